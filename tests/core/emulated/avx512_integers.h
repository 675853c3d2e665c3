/* Intrinsics that epi32 and epi64 share. Included by avx512.h once for each, with
 * VECTOR of LANEs, SIGNED_VECTOR of SIGNED_LANEs, LANES, BITS of a lane, MASK and
 * NAME(x): emulated_x_epi32, UNSIGNED_NAME(x): emulated_x_epu32, MASK_NAME(x):
 * emulated_x_epi32_mask, UNSIGNED_MASK_NAME(x): emulated_x_epu32_mask. */

#define ALL emulated_m512i
#define EACH_LANE for (int i = 0; i < LANES; i++)

EMULATED ALL NAME(set1)(SIGNED_LANE a) {
    SIGNED_VECTOR x;
    EACH_LANE x[i] = a;
    return (ALL)x;
}
EMULATED ALL NAME(mask_blend)(MASK mask, ALL no, ALL yes) {
    VECTOR x = (VECTOR)no, y = (VECTOR)yes;
    EACH_LANE x[i] = mask >> i & 1 ? y[i] : x[i];
    return (ALL)x;
}
EMULATED ALL NAME(mask_mov)(ALL no, MASK mask, ALL yes) { return NAME(mask_blend)(mask, no, yes); }
EMULATED ALL NAME(maskz_mov)(MASK mask, ALL yes) { return NAME(mask_blend)(mask, (ALL){0}, yes); }

/* numbers wrap around */
EMULATED ALL NAME(add)(ALL a, ALL b) { return (ALL)((VECTOR)a + (VECTOR)b); }
EMULATED ALL NAME(sub)(ALL a, ALL b) { return (ALL)((VECTOR)a - (VECTOR)b); }
EMULATED ALL NAME(mullo)(ALL a, ALL b) { return (ALL)((VECTOR)a * (VECTOR)b); }
EMULATED ALL NAME(and)(ALL a, ALL b) { return a & b; }
EMULATED ALL NAME(or)(ALL a, ALL b) { return a | b; }
EMULATED ALL NAME(xor)(ALL a, ALL b) { return a ^ b; }
EMULATED ALL NAME(andnot)(ALL a, ALL b) { return ~a & b; }
/* bit by bit: of a, b and c, the bit of `table` that they number */
EMULATED ALL NAME(ternarylogic)(ALL a, ALL b, ALL c, int table) {
    ALL to = {0};
    for (int number = 0; number < 8; number++) {
        if (table >> number & 1) {
            to |= (number & 4 ? a : ~a) & (number & 2 ? b : ~b) & (number & 1 ? c : ~c);
        }
    }
    return to;
}

/* ---- shifts: by as many bits as a lane has, and more, nothing is left ---- */

EMULATED ALL NAME(sllv)(ALL a, ALL by) {
    VECTOR x = (VECTOR)a, n = (VECTOR)by;
    EACH_LANE x[i] = n[i] < BITS ? x[i] << n[i] : 0;
    return (ALL)x;
}
EMULATED ALL NAME(srlv)(ALL a, ALL by) {
    VECTOR x = (VECTOR)a, n = (VECTOR)by;
    EACH_LANE x[i] = n[i] < BITS ? x[i] >> n[i] : 0;
    return (ALL)x;
}
EMULATED ALL NAME(srav)(ALL a, ALL by) { /* nothing but the sign */
    SIGNED_VECTOR x = (SIGNED_VECTOR)a;
    VECTOR n = (VECTOR)by;
    EACH_LANE x[i] = x[i] >> (n[i] < BITS ? n[i] : BITS - 1);
    return (ALL)x;
}
EMULATED ALL NAME(slli)(ALL a, unsigned by) { return NAME(sllv)(a, NAME(set1)((SIGNED_LANE)by)); }
EMULATED ALL NAME(srli)(ALL a, unsigned by) { return NAME(srlv)(a, NAME(set1)((SIGNED_LANE)by)); }
EMULATED ALL NAME(srai)(ALL a, unsigned by) { return NAME(srav)(a, NAME(set1)((SIGNED_LANE)by)); }
EMULATED ALL NAME(rol)(ALL a, int by) {
    const unsigned n = (unsigned)by % BITS;
    return NAME(slli)(a, n) | NAME(srli)(a, BITS - n);
}
EMULATED ALL NAME(ror)(ALL a, int by) { return NAME(rol)(a, -by); }

/* ---- comparisons: a bit per lane ---- */

#define COMPARE(name, operator)                                                        \
    EMULATED MASK MASK_NAME(name)(ALL a, ALL b) {                                      \
        SIGNED_VECTOR x = (SIGNED_VECTOR)a, y = (SIGNED_VECTOR)b;                      \
        unsigned holds = 0;                                                            \
        EACH_LANE holds |= (unsigned)(x[i] operator y[i]) << i;                        \
        return (MASK)holds;                                                            \
    }                                                                                  \
    EMULATED MASK UNSIGNED_MASK_NAME(name)(ALL a, ALL b) {                             \
        VECTOR x = (VECTOR)a, y = (VECTOR)b;                                           \
        unsigned holds = 0;                                                            \
        EACH_LANE holds |= (unsigned)(x[i] operator y[i]) << i;                        \
        return (MASK)holds;                                                            \
    }
COMPARE(cmpeq, ==)
COMPARE(cmpneq, !=)
COMPARE(cmplt, <)
COMPARE(cmple, <=)
COMPARE(cmpgt, >)
COMPARE(cmpge, >=)
#undef COMPARE
EMULATED MASK MASK_NAME(test)(ALL a, ALL b) { return MASK_NAME(cmpneq)(a & b, (ALL){0}); }
EMULATED MASK MASK_NAME(testn)(ALL a, ALL b) { return MASK_NAME(cmpeq)(a & b, (ALL){0}); }

EMULATED ALL NAME(max)(ALL a, ALL b) { return NAME(mask_blend)(MASK_NAME(cmpgt)(a, b), b, a); }
EMULATED ALL NAME(min)(ALL a, ALL b) { return NAME(mask_blend)(MASK_NAME(cmplt)(a, b), b, a); }
EMULATED ALL UNSIGNED_NAME(max)(ALL a, ALL b) {
    return NAME(mask_blend)(UNSIGNED_MASK_NAME(cmpgt)(a, b), b, a);
}
EMULATED ALL UNSIGNED_NAME(min)(ALL a, ALL b) {
    return NAME(mask_blend)(UNSIGNED_MASK_NAME(cmplt)(a, b), b, a);
}

/* ---- lanes from elsewhere ---- */

EMULATED ALL NAME(permutex2var)(ALL a, ALL index, ALL b) {
    VECTOR x = (VECTOR)a, y = (VECTOR)b, from = (VECTOR)index, to;
    EACH_LANE to[i] = (from[i] & LANES ? y : x)[from[i] & (LANES - 1)];
    return (ALL)to;
}
EMULATED ALL NAME(permutexvar)(ALL index, ALL a) { return NAME(permutex2var)(a, index, a); }
/* within each quarter of 128 bits: its lower lanes, or its upper, a and b by turns */
EMULATED ALL NAME(unpack)(ALL a, ALL b, int upper) {
    enum { QUARTER = LANES / 4 };
    VECTOR x = (VECTOR)a, y = (VECTOR)b, to;
    EACH_LANE {
        const int from = i / QUARTER * QUARTER + i % QUARTER / 2 + upper * QUARTER / 2;
        to[i] = i % 2 ? y[from] : x[from];
    }
    return (ALL)to;
}
EMULATED ALL NAME(unpacklo)(ALL a, ALL b) { return NAME(unpack)(a, b, 0); }
EMULATED ALL NAME(unpackhi)(ALL a, ALL b) { return NAME(unpack)(a, b, 1); }

#undef ALL
#undef EACH_LANE
#undef VECTOR
#undef SIGNED_VECTOR
#undef LANE
#undef SIGNED_LANE
#undef LANES
#undef BITS
#undef MASK
#undef NAME
#undef UNSIGNED_NAME
#undef MASK_NAME
#undef UNSIGNED_MASK_NAME

/* Intrinsics that ps and pd share. Included by avx512.h once for each, with
 * VECTOR, LANE, LANES, MASK, NAME(x): emulated_x_ps or _pd, MASK_NAME(x): emulated_x_ps_mask
 * or _pd_mask. */

#define EACH_LANE for (int i = 0; i < LANES; i++)

/* ---- memory: a masked lane's is not touched ---- */

EMULATED VECTOR NAME(loadu)(const void* from) {
    VECTOR x;
    memcpy(&x, from, sizeof x);
    return x;
}
EMULATED void NAME(storeu)(void* to, VECTOR x) { memcpy(to, &x, sizeof x); }
EMULATED VECTOR NAME(load)(const void* from) {
    emulated_want_aligned(from);
    return NAME(loadu)(from);
}
EMULATED void NAME(store)(void* to, VECTOR x) {
    emulated_want_aligned(to);
    NAME(storeu)(to, x);
}
EMULATED void NAME(stream)(void* to, VECTOR x) { NAME(store)(to, x); }
EMULATED VECTOR NAME(mask_loadu)(VECTOR x, MASK mask, const void* from) {
    EACH_LANE if (mask >> i & 1) {
        LANE lane;
        memcpy(&lane, (const char*)from + (size_t)i * sizeof lane, sizeof lane);
        x[i] = lane;
    }
    return x;
}
EMULATED VECTOR NAME(maskz_loadu)(MASK mask, const void* from) {
    return NAME(mask_loadu)((VECTOR){0}, mask, from);
}
EMULATED void NAME(mask_storeu)(void* to, MASK mask, VECTOR x) {
    EACH_LANE if (mask >> i & 1) {
        const LANE lane = x[i];
        memcpy((char*)to + (size_t)i * sizeof lane, &lane, sizeof lane);
    }
}

/* ---- lanes from elsewhere ---- */

EMULATED VECTOR NAME(set1)(LANE a) {
    VECTOR x;
    EACH_LANE x[i] = a;
    return x;
}
EMULATED VECTOR NAME(setzero)(void) { return (VECTOR){0}; }
EMULATED VECTOR NAME(mask_blend)(MASK mask, VECTOR no, VECTOR yes) {
    EACH_LANE no[i] = mask >> i & 1 ? yes[i] : no[i];
    return no;
}
EMULATED VECTOR NAME(mask_mov)(VECTOR no, MASK mask, VECTOR yes) {
    return NAME(mask_blend)(mask, no, yes);
}
EMULATED VECTOR NAME(maskz_mov)(MASK mask, VECTOR yes) {
    return NAME(mask_blend)(mask, (VECTOR){0}, yes);
}
EMULATED VECTOR NAME(permutex2var)(VECTOR a, emulated_m512i index, VECTOR b) {
    VECTOR to;
    LANE from[2 * LANES];
    NAME(storeu)(from, a);
    NAME(storeu)(from + LANES, b);
    EACH_LANE {
        const int64_t wide = index[i * 8 / LANES]; /* two numbers of 32 bits, or one of 64 */
        to[i] = from[(LANES == 16 && i % 2 ? wide >> 32 : wide) & (2 * LANES - 1)];
    }
    return to;
}
EMULATED VECTOR NAME(permutexvar)(emulated_m512i index, VECTOR a) {
    return NAME(permutex2var)(a, index, a);
}
/* within each quarter of 128 bits: its lower lanes, or its upper, a and b by turns */
EMULATED VECTOR NAME(unpack)(VECTOR a, VECTOR b, int upper) {
    enum { QUARTER = LANES / 4 };
    VECTOR to;
    EACH_LANE {
        const int from = i / QUARTER * QUARTER + i % QUARTER / 2 + upper * QUARTER / 2;
        to[i] = i % 2 ? b[from] : a[from];
    }
    return to;
}
EMULATED VECTOR NAME(unpacklo)(VECTOR a, VECTOR b) { return NAME(unpack)(a, b, 0); }
EMULATED VECTOR NAME(unpackhi)(VECTOR a, VECTOR b) { return NAME(unpack)(a, b, 1); }
/* within each quarter: the lower half chosen from a, the upper from b; ps has four
 * choices of two bits for all quarters, pd eight of one bit, one a lane */
EMULATED VECTOR NAME(shuffle)(VECTOR a, VECTOR b, int choice) {
    enum { QUARTER = LANES / 4 };
    VECTOR to;
    EACH_LANE {
        const int lane = i % QUARTER;
        const int chosen = QUARTER == 4 ? choice >> 2 * lane & 3 : choice >> i & 1;
        to[i] = (lane < QUARTER / 2 ? a : b)[i - lane + chosen];
    }
    return to;
}
EMULATED VECTOR NAME(permute)(VECTOR a, int choice) { return NAME(shuffle)(a, a, choice); }
/* quarters: two of a, then two of b */
EMULATED VECTOR NAME(shuffle_quarters)(VECTOR a, VECTOR b, int choice) {
    enum { QUARTER = LANES / 4 };
    VECTOR to;
    EACH_LANE {
        const int chosen = choice >> i / QUARTER * 2 & 3;
        to[i] = (i < LANES / 2 ? a : b)[chosen * QUARTER + i % QUARTER];
    }
    return to;
}

/* ---- arithmetic ---- */

EMULATED VECTOR NAME(add)(VECTOR a, VECTOR b) { return a + b; }
EMULATED VECTOR NAME(sub)(VECTOR a, VECTOR b) { return a - b; }
EMULATED VECTOR NAME(mul)(VECTOR a, VECTOR b) { return a * b; }
EMULATED VECTOR NAME(div)(VECTOR a, VECTOR b) { return a / b; }
/* b where either is NaN and where both are zeros */
EMULATED VECTOR NAME(max)(VECTOR a, VECTOR b) {
    EACH_LANE b[i] = a[i] > b[i] ? a[i] : b[i];
    return b;
}
EMULATED VECTOR NAME(min)(VECTOR a, VECTOR b) {
    EACH_LANE b[i] = a[i] < b[i] ? a[i] : b[i];
    return b;
}
EMULATED VECTOR NAME(fmadd)(VECTOR a, VECTOR b, VECTOR c) {
    EACH_LANE c[i] = NAME(fma)(a[i], b[i], c[i]);
    return c;
}
EMULATED VECTOR NAME(fmsub)(VECTOR a, VECTOR b, VECTOR c) { return NAME(fmadd)(a, b, -c); }
EMULATED VECTOR NAME(fnmadd)(VECTOR a, VECTOR b, VECTOR c) { return NAME(fmadd)(-a, b, c); }
EMULATED VECTOR NAME(fnmsub)(VECTOR a, VECTOR b, VECTOR c) { return NAME(fmadd)(-a, b, -c); }
EMULATED VECTOR NAME(sqrt)(VECTOR a) {
    EACH_LANE a[i] = (LANE)sqrt((double)a[i]); /* of a float, too, rounded as if once */
    return a;
}
EMULATED VECTOR NAME(abs)(VECTOR a) {
    EACH_LANE a[i] = NAME(size)(a[i]);
    return a;
}
EMULATED VECTOR NAME(scalef)(VECTOR a, VECTOR b) {
    EACH_LANE a[i] = (LANE)emulated_scale((double)a[i], (double)b[i]);
    return a;
}
EMULATED VECTOR NAME(roundscale)(VECTOR a, int control) {
    EACH_LANE a[i] = (LANE)emulated_round((double)a[i], control);
    return a;
}

/* a bit per lane */
EMULATED MASK MASK_NAME(mask_cmp)(MASK mask, VECTOR a, VECTOR b, int predicate) {
    unsigned holds = 0;
    EACH_LANE holds |= (unsigned)emulated_holds(predicate, (double)a[i], (double)b[i]) << i;
    return (MASK)(holds & mask);
}
EMULATED MASK MASK_NAME(cmp)(VECTOR a, VECTOR b, int predicate) {
    return MASK_NAME(mask_cmp)((MASK)-1, a, b, predicate);
}

#define MASKED(name)                                                                    \
    EMULATED VECTOR NAME(mask_##name)(VECTOR no, MASK mask, VECTOR a, VECTOR b) {       \
        return NAME(mask_blend)(mask, no, NAME(name)(a, b));                            \
    }                                                                                   \
    EMULATED VECTOR NAME(maskz_##name)(MASK mask, VECTOR a, VECTOR b) {                 \
        return NAME(mask_blend)(mask, (VECTOR){0}, NAME(name)(a, b));                   \
    }
MASKED(add)
MASKED(sub)
MASKED(mul)
MASKED(div)
MASKED(max)
MASKED(min)
MASKED(scalef)
#undef MASKED
EMULATED VECTOR NAME(mask_fmadd)(VECTOR a, MASK mask, VECTOR b, VECTOR c) {
    return NAME(mask_blend)(mask, a, NAME(fmadd)(a, b, c));
}
EMULATED VECTOR NAME(mask3_fmadd)(VECTOR a, VECTOR b, VECTOR c, MASK mask) {
    return NAME(mask_blend)(mask, c, NAME(fmadd)(a, b, c));
}
EMULATED VECTOR NAME(maskz_fmadd)(MASK mask, VECTOR a, VECTOR b, VECTOR c) {
    return NAME(mask_blend)(mask, (VECTOR){0}, NAME(fmadd)(a, b, c));
}

/* Halves, then quarters, ...: the order in which the compilers' reductions add. */
EMULATED LANE NAME(reduce_add)(VECTOR a) {
    for (int half = LANES / 2; half > 0; half /= 2) {
        for (int i = 0; i < half; i++) {
            a[i] += a[i + half];
        }
    }
    return a[0];
}

#undef EACH_LANE
#undef VECTOR
#undef LANE
#undef LANES
#undef MASK
#undef NAME
#undef MASK_NAME

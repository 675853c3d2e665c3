/* exp and tanh of vectors. Included by kernels_impl.h. */

/* ---- elementary functions -------------------------------------------------
 * x = n ln2 + r with |r| <= ln2 / 2. Adding and subtracting 1.5 * 2^(mantissa
 * bits) rounds to an integer and leaves that integer in the low bits of the
 * sum, from where it is shifted into an exponent; the bias of the exponent is
 * part of the number that is added. ln2 is split so that the
 * product n * LN2_HIGH is exact with or without fma. */
#undef EXPONENT_BIAS
#undef ROUNDING_SHIFT
#undef LN2_HIGH
#undef LN2_LOW
#undef EXP_LOWEST
#undef EXP_HIGHEST
#undef TANH_ONE
#undef EXPONENT_MOST
#undef EXP2_C1
#undef EXP2_C1_LOW
#undef EXP2_C2
#undef EXP2_C2_LOW
#if REAL_BITS == 32
#define EXPONENT_BIAS 127
#define ROUNDING_SHIFT (0x1.8p23f + EXPONENT_BIAS)
#define LN2_HIGH 0x1.63p-1f
#define LN2_LOW -0x1.bd0106p-13f
#define EXP_LOWEST -87.0f  /* smaller results are below the normal range: 0 */
#define EXP_HIGHEST 88.0f
#define TANH_ONE 20.0f /* 2|x| from which tanh rounds to 1 */
#define EXPONENT_MOST 60 /* 2^60 * 2^60 is a number, and 2^-60 / 2^24 a normal one */
/* ln2 and ln2^2 / 2, in two parts */
#define EXP2_C1 0x1.62e430p-1f
#define EXP2_C1_LOW -0x1.05c610p-29f
#define EXP2_C2 0x1.ebfbe0p-3f
#define EXP2_C2_LOW -0x1.f4e9c6p-33f
#else
#define EXPONENT_BIAS 1023
#define ROUNDING_SHIFT (0x1.8p52 + EXPONENT_BIAS)
#define LN2_HIGH 0x1.62e42feep-1
#define LN2_LOW 0x1.a39ef35793c76p-33
#define EXP_LOWEST -708.0
#define EXP_HIGHEST 709.0
#define TANH_ONE 40.0
#define EXPONENT_MOST 500
#define EXP2_C1 0x1.62e42fefa39efp-1
#define EXP2_C1_LOW 0x1.abc9e3b39803fp-56
#define EXP2_C2 0x1.ebfbdff82c58fp-3
#define EXP2_C2_LOW -0x1.5e43a53e44da3p-57
#endif

/* (exp(r) - 1 - r) / r^2, |r| <= 0.35: a Taylor sum, long enough that the first term
 * left out is below a quarter ulp of exp(r) */
ATTN_INLINE vec KERNEL(exp_tail)(vec r) {
#if REAL_BITS == 32
    vec sum = vec_set1((real)(1.0 / 5040));
    sum = vec_fma(sum, r, vec_set1((real)(1.0 / 720)));
#else
    vec sum = vec_set1(1.0 / 6227020800.0);
    sum = vec_fma(sum, r, vec_set1(1.0 / 479001600.0));
    sum = vec_fma(sum, r, vec_set1(1.0 / 39916800.0));
    sum = vec_fma(sum, r, vec_set1(1.0 / 3628800.0));
    sum = vec_fma(sum, r, vec_set1(1.0 / 362880.0));
    sum = vec_fma(sum, r, vec_set1(1.0 / 40320.0));
    sum = vec_fma(sum, r, vec_set1(1.0 / 5040.0));
    sum = vec_fma(sum, r, vec_set1(1.0 / 720.0));
#endif
    sum = vec_fma(sum, r, vec_set1((real)(1.0 / 120)));
    sum = vec_fma(sum, r, vec_set1((real)(1.0 / 24)));
    sum = vec_fma(sum, r, vec_set1((real)(1.0 / 6)));
    return vec_fma(sum, r, vec_set1((real)0.5));
}

/* rounded = n + ROUNDING_SHIFT; returns r */
ATTN_INLINE vec KERNEL(reduce)(vec x, vec* rounded) {
    const vec shift = vec_set1(ROUNDING_SHIFT);
    *rounded = vec_fma(x, vec_set1((real)1.4426950408889634), shift);
    vec n = vec_sub(*rounded, shift);
    vec r = vec_fma(n, vec_set1(-(real)LN2_HIGH), x);
    return vec_fma(n, vec_set1(-(real)LN2_LOW), r);
}

ATTN_INLINE vec KERNEL(vec_exp)(vec x) {
    vec rounded;
    vec clamped = vec_max(vec_set1(EXP_LOWEST), vec_min(vec_set1(EXP_HIGHEST), x));
    vec r = KERNEL(reduce)(clamped, &rounded);
    vec tail = vec_mul(vec_mul(r, r), KERNEL(exp_tail)(r));
    vec y = vec_add(vec_set1((real)1), vec_add(r, tail));
    /* a product, not a shift of y's own exponent: NaN times anything stays NaN */
    y = vec_mul(y, vec_power_of_two(rounded));
    return vec_if_less(x, vec_set1(EXP_LOWEST), vec_set1((real)0), y);
}

/* tanh|x| = e / (e + 2) with e = exp(2|x|) - 1, and e = 2^n (exp(r) - 1) + (2^n - 1),
 * which keeps its relative precision down to the smallest x. */
ATTN_INLINE vec KERNEL(vec_tanh)(vec x) {
    vec rounded;
    vec twice = vec_abs(x);
    twice = vec_min(vec_set1(TANH_ONE), vec_add(twice, twice));
    vec r = KERNEL(reduce)(twice, &rounded);
    vec expm1_r = vec_fma(vec_mul(r, r), KERNEL(exp_tail)(r), r);
    vec power = vec_power_of_two(rounded);
    vec e = vec_fma(power, expm1_r, vec_sub(power, vec_set1((real)1)));
    return vec_copysign(vec_div(e, vec_add(e, vec_set1((real)2))), x);
}

/* ---- exp(scale * x) for x <= 0, in the softmax ----------------------------- */

/* scale * log2(e) in two parts, and the x from which on the result is 0 */
struct KERNEL(exponent) {
    vec high, low, lowest;
};

/* scale from 2^-100 to 2^100: a smaller one would not carry every x to 0 */
ATTN_INLINE struct KERNEL(exponent) KERNEL(exponent_of)(real scale) {
#if REAL_BITS == 32
    const double product = 1.4426950408889634 * (double)scale;
    const real high = (real)product;
    const real low = (real)(product - (double)high);
#else
    const real high = 0x1.71547652b82fep0 * scale;
    const real low = fma(0x1.71547652b82fep0, scale, -high) + 0x1.777d0ffda0d24p-56 * scale;
#endif
    struct KERNEL(exponent) exponent = {vec_set1(high), vec_set1(low),
                                        vec_set1((real)(1 - EXPONENT_BIAS) / high)};
    return exponent;
}

/* 2 (2^f - 1) / f, |f| <= 1/2: minimax in the relative error of 2^f with one
 * coefficient after the other rounded, lowest first, and the others fitted again
 * (Remez exchange in decimal arithmetic of 60 digits); the error left is 2^-28.3
 * and 2^-57.7. */
ATTN_INLINE vec KERNEL(exp2_slope)(vec f) {
#if REAL_BITS == 32
    vec sum = vec_set1(0x1.416b82p-12f);
    sum = vec_fma(sum, f, vec_set1(0x1.5f0838p-9f));
    sum = vec_fma(sum, f, vec_set1(0x1.3b2de0p-6f));
    sum = vec_fma(sum, f, vec_set1(0x1.c6af7cp-4f));
    sum = vec_fma(sum, f, vec_set1(0x1.ebfbdcp-2f));
    return vec_fma(sum, f, vec_set1(0x1.62e430p0f));
#else
    vec sum = vec_set1(0x1.e80efef4f880cp-31);
    sum = vec_fma(sum, f, vec_set1(0x1.e611bc1076e44p-27));
    sum = vec_fma(sum, f, vec_set1(0x1.b5260da7ca7a3p-23));
    sum = vec_fma(sum, f, vec_set1(0x1.62bfcdd0bea97p-19));
    sum = vec_fma(sum, f, vec_set1(0x1.ffcbfbf8bc7ffp-16));
    sum = vec_fma(sum, f, vec_set1(0x1.4309130c0564cp-12));
    sum = vec_fma(sum, f, vec_set1(0x1.5d87fe78b3bbfp-9));
    sum = vec_fma(sum, f, vec_set1(0x1.3b2ab6fba11e8p-6));
    sum = vec_fma(sum, f, vec_set1(0x1.c6b08d704a0d4p-4));
    sum = vec_fma(sum, f, vec_set1(0x1.ebfbdff82c59cp-2));
    return vec_fma(sum, f, vec_set1(0x1.62e42fefa39efp0));
#endif
}

/* scale * x * log2(e) = n + f, and the result is 2^(n-1) times 2 * 2^f: with
 * n - 1 in the exponent the smallest n asks for the exponent bits of 0, which
 * makes everything below twice the smallest normal number 0 without a comparison.
 * f is what is left of the product after n, so it is not rounded with the
 * product; NaN passes the maximum as its last operand. */
ATTN_INLINE vec KERNEL(vec_exp_negative)(vec x, struct KERNEL(exponent) by) {
    const vec shift = vec_set1((real)(ROUNDING_SHIFT - 1));
    vec limited = vec_max(by.lowest, x);
    vec rounded = vec_fma(limited, by.high, shift);
    vec n = vec_sub(rounded, shift);
    vec f = vec_fma(limited, by.low, vec_fms(limited, by.high, n));
    vec twice = vec_fma(KERNEL(exp2_slope)(f), f, vec_set1((real)2));
    return vec_mul(twice, vec_power_of_two(rounded));
}

/* ---- exp(scale * x) as a sum of two numbers, for the tanh of sums ------------- */

/* (2^f - 1 - c1 f - c2 f^2) / f^3, |f| <= 1/2, where c1 and c2 are ln2 and ln2^2 / 2:
 * minimax as exp2_slope is, obtained in the same way; its error in 2^f is 2^-33 and
 * 2^-63 */
ATTN_INLINE vec KERNEL(exp2_tail)(vec f) {
#if REAL_BITS == 32
    vec sum = vec_set1(0x1.fd847cp-17f);
    sum = vec_fma(sum, f, vec_set1(0x1.4419fap-13f));
    sum = vec_fma(sum, f, vec_set1(0x1.5d8a34p-10f));
    sum = vec_fma(sum, f, vec_set1(0x1.3b2a54p-7f));
    return vec_fma(sum, f, vec_set1(0x1.c6b08cp-5f));
#else
    vec sum = vec_set1(0x1.c2e3551d18b72p-36);
    sum = vec_fma(sum, f, vec_set1(0x1.e9f1034bd9bd3p-32));
    sum = vec_fma(sum, f, vec_set1(0x1.e4d043a4c9045p-28));
    sum = vec_fma(sum, f, vec_set1(0x1.b524e9020f814p-24));
    sum = vec_fma(sum, f, vec_set1(0x1.62c021f75b8acp-20));
    sum = vec_fma(sum, f, vec_set1(0x1.ffcbfc6eaff2ap-17));
    sum = vec_fma(sum, f, vec_set1(0x1.430912f87b026p-13));
    sum = vec_fma(sum, f, vec_set1(0x1.5d87fe78a3dcep-10));
    sum = vec_fma(sum, f, vec_set1(0x1.3b2ab6fba4e55p-7));
    return vec_fma(sum, f, vec_set1(0x1.c6b08d704a0c6p-5));
#endif
}

/* high + low = exp(scale * x). The error is that of an x that is off by 2^-5 of its
 * rounding; where scale * x is tiny, and low is exp - 1, by one rounding.
 * NaN where the exponent is beyond EXPONENT_MOST: the product of two such numbers
 * might not be one.
 * 1 + f (c1 + f (c2 + f tail)) is summed with what each rounding leaves (Dekker
 * 1971, "A floating-point technique for extending the available precision"). */
struct KERNEL(exp_parts) {
    vec high, low;
};

ATTN_INLINE struct KERNEL(exp_parts) KERNEL(vec_exp_parts)(vec x, struct KERNEL(exponent) by) {
    const vec shift = vec_set1(ROUNDING_SHIFT), one = vec_set1((real)1);
    const vec c1 = vec_set1(EXP2_C1), c2 = vec_set1(EXP2_C2);
    vec product = vec_mul(x, by.high);
    vec rounded = vec_add(product, shift);
    vec f = vec_sub(product, vec_sub(rounded, shift));
    vec f_low = vec_fma(x, by.low, vec_fms(x, by.high, product));

    vec tail = vec_mul(KERNEL(exp2_tail)(f), f);
    vec b = vec_add(c2, tail);
    vec b_low = vec_add(vec_sub(tail, vec_sub(b, c2)), vec_set1(EXP2_C2_LOW));
    vec bf = vec_mul(b, f);
    vec bf_low = vec_fma(b_low, f, vec_fms(b, f, bf));
    vec a = vec_add(c1, bf);
    vec a_low = vec_add(vec_sub(bf, vec_sub(a, c1)), vec_add(bf_low, vec_set1(EXP2_C1_LOW)));
    vec af = vec_mul(a, f);
    vec af_low = vec_fma(a_low, f, vec_fms(a, f, af));
    vec high = vec_add(one, af);
    vec low = vec_fma(vec_mul(c1, f_low), high, af_low);
    low = vec_add(vec_sub(af, vec_sub(high, one)), low);

    vec power = vec_power_of_two(rounded);
    power = vec_if_less(vec_set1((real)EXPONENT_MOST), vec_abs(product), vec_set1((real)NAN),
                        power);
    struct KERNEL(exp_parts) parts = {vec_mul(high, power), vec_mul(low, power)};
    return parts;
}

/* exp and tanh of vectors. Included by kernels_impl.h. */

/* ---- elementary functions -------------------------------------------------
 * x = n ln2 + r with |r| <= ln2 / 2. Adding and subtracting 1.5 * 2^(mantissa
 * bits) rounds to an integer and leaves that integer in the low bits of the
 * sum, from where it is shifted into an exponent. ln2 is split so that the
 * product n * LN2_HIGH is exact with or without fma. The polynomials are Taylor
 * sums, long enough that the first term left out is below a quarter ulp. */
#undef ROUNDING_SHIFT
#undef LN2_HIGH
#undef LN2_LOW
#undef EXP_LOWEST
#undef EXP_HIGHEST
#undef TANH_ONE
#if REAL_BITS == 32
#define ROUNDING_SHIFT 0x1.8p23f
#define LN2_HIGH 0x1.63p-1f
#define LN2_LOW -0x1.bd0106p-13f
#define EXP_LOWEST -87.0f  /* smaller results are below the normal range: 0 */
#define EXP_HIGHEST 88.0f
#define TANH_ONE 20.0f /* 2|x| from which tanh rounds to 1 */
#else
#define ROUNDING_SHIFT 0x1.8p52
#define LN2_HIGH 0x1.62e42feep-1
#define LN2_LOW 0x1.a39ef35793c76p-33
#define EXP_LOWEST -708.0
#define EXP_HIGHEST 709.0
#define TANH_ONE 40.0
#endif

/* exp(r) - 1 - r over r^2, |r| <= 0.35 */
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

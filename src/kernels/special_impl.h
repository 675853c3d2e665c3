/* Functions of a vector that layers want beside exp and tanh, from KERNEL(vec_exp)
 * and KERNEL(vec_tanh). Included by op_kernels_impl.h.
 *
 * The polynomials are minimax, fitted to coefficients of the precision that they
 * have here (fpminimax of Sollya; Brisebarre & Chevillard 2007, "Efficient
 * polynomial L-infinity approximations"). The error left is given with each, as
 * a part of the function. */

/* ---- the normal distribution and erf ---------------------------------------
 * Upper tail, u >= 0:
 *     1 - Phi(u) = erfc(u / sqrt(2)) / 2 = exp(-u^2 / 2) h(u),
 * where h falls slowly, from 1/2 to 0 as 1 / u. With t = (u - k) / (u + k), which
 * carries [0, inf) to [-1, 1), (u + k) h(u) is close to a polynomial in t
 * (Shepherd & Laframboise 1981, "Chebyshev approximation of (1 + 2x) exp(x^2) erfc x
 * in 0 <= x < inf"). */
#undef TAIL_CENTRE
#undef TAIL_END
#undef ERF_SMALL
#if REAL_BITS == 32
#define TAIL_CENTRE 4.0f
#define TAIL_END 14.0f    /* 1 - Phi is below the normal range from here */
#define ERF_SMALL 0.875f
#else
#define TAIL_CENTRE 5.0
#define TAIL_END 39.0
#define ERF_SMALL 0.75
#endif

/* h(u), 0 <= u <= TAIL_END */
ATTN_INLINE vec KERNEL(tail_factor)(vec u) {
#if REAL_BITS == 32
    static const real c[] = { /* 2^-25.7 */
        0x1.82b4bcp-1f, -0x1.373e3ap-1f, 0x1.8c6d8cp-2f, -0x1.7dffap-3f, 0x1.eed966p-5f,
        -0x1.ed6548p-8f, -0x1.cdcdf6p-9f, 0x1.9c1858p-10f, 0x1.9a470cp-13f, -0x1.031362p-13f};
#else
    static const real c[] = { /* 2^-55.3 */
        0x1.89d3abe1f95aep-1, -0x1.54ad03f27ca17p-1, 0x1.fb31653876f7bp-2,
        -0x1.410ed5f875a1cp-2, 0x1.51f6329f01b2p-3, -0x1.1b1c254c9d463p-4,
        0x1.54b4d4f4b33ffp-6, -0x1.88590ea5348acp-9, -0x1.a25037d39b67dp-11,
        0x1.1daf1c8f75f65p-11, -0x1.f21460e789f71p-15, -0x1.a17098d8409a2p-15,
        0x1.17dd0fa6b2252p-16, 0x1.0b2168b37b99dp-18, -0x1.73ac6293e3463p-19,
        -0x1.68ab7ed36851ap-22, 0x1.d10eae9a8ae56p-22, 0x1.6344167c93835p-25,
        -0x1.1bdfc10d74173p-24, -0x1.2927554715bb8p-27, 0x1.0f0f672d6af69p-27,
        0x1.a878daf161e39p-30, -0x1.1e1a945a5f4dbp-32};
#endif
    const vec one = vec_set1((real)1);
    const vec inverse = vec_div(one, vec_add(u, vec_set1(TAIL_CENTRE)));
    const vec t = vec_fma(inverse, vec_set1(-2 * TAIL_CENTRE), one);
    return vec_mul(inverse, KERNEL(polynomial)(t, sizeof c / sizeof c[0], c));
}

/* 1 - Phi(u), 0 <= u <= TAIL_END */
ATTN_INLINE vec KERNEL(normal_tail)(vec u) {
    const vec half = vec_set1((real)0.5), zero = vec_set1((real)0);
    const vec square = vec_mul(u, u);
    /* what the square lost in rounding: u^2 / 2 is large where the tail is small */
    const vec lost = vec_fma(u, u, vec_sub(zero, square));
    const vec power = KERNEL(vec_exp)(vec_sub(zero, vec_mul(half, square)));
    const vec exact = vec_fma(vec_mul(power, lost), vec_set1((real)-0.5), power);
    return vec_mul(exact, KERNEL(tail_factor)(u));
}

/* x + x p(x^2) near 0, 1 - 2 (1 - Phi(sqrt(2) |x|)) with x's sign elsewhere */
ATTN_INLINE vec KERNEL(vec_erf)(vec x) {
#if REAL_BITS == 32
    static const real c[] = { /* 2^-29.9 */
        0x1.06eba8p-3f, -0x1.812742p-2f, 0x1.ce2dfap-4f, -0x1.b80eeap-6f,
        0x1.54d5cap-8f, -0x1.aaff0ep-11f, 0x1.6007bcp-14f};
#else
    static const real c[] = { /* 2^-56.0 */
        0x1.06eba8214db69p-3, -0x1.812746b037a0ap-2, 0x1.ce2f21a044561p-4,
        -0x1.b82ce31310a8ap-6, 0x1.565bcd278d311p-8, -0x1.c02db9ac0b064p-11,
        0x1.f9a3f8fac2c04p-14, -0x1.f4e6398327cb8p-17, 0x1.bb1f1e6871f8fp-20,
        -0x1.6b660ce48a54cp-23, 0x1.3f96ae1de1204p-26, -0x1.34a47294e5e61p-29};
#endif
    const vec size = vec_abs(x), zero = vec_set1((real)0);
    const vec a = vec_min(vec_set1((real)(TAIL_END / 2)), size);
    const vec square = vec_mul(a, a);
    const vec near = vec_fma(a, KERNEL(polynomial)(square, sizeof c / sizeof c[0], c), a);
    const vec u = vec_mul(a, vec_set1((real)1.4142135623730951));
    const vec tail = vec_mul(KERNEL(vec_exp)(vec_sub(zero, square)), KERNEL(tail_factor)(u));
    const vec far = vec_fma(tail, vec_set1((real)-2), vec_set1((real)1));
    return vec_copysign(vec_if_less(size, vec_set1(ERF_SMALL), near, far), x);
}

/* ---- logarithm and exponential near 1 --------------------------------------- */

/* log(1 + y), 0 <= y <= 1: 2 artanh(s) with s = y / (2 + y) */
ATTN_INLINE vec KERNEL(vec_log1p)(vec y) {
#if REAL_BITS == 32
    static const real c[] = { /* 2^-31 */
        0x1.555556p-1f, 0x1.999862p-2f, 0x1.24d86ap-2f, 0x1.bb0ep-3f, 0x1.e1dc6p-3f};
#else
    static const real c[] = { /* 2^-61 */
        0x1.5555555555555p-1, 0x1.9999999999b0ep-2, 0x1.249249248476ep-2,
        0x1.c71c71cd77815p-3, 0x1.745d16d65603fp-3, 0x1.3b13a066a4462p-3,
        0x1.1115295dd1b7dp-3, 0x1.e122208c20a8p-4, 0x1.b8be2cdd94186p-4,
        0x1.4077d89ef221ap-4, 0x1.34bbb6237df26p-3};
#endif
    const vec two = vec_set1((real)2);
    const vec s = vec_div(y, vec_add(two, y));
    const vec square = vec_mul(s, s);
    const vec sum = vec_mul(square, KERNEL(polynomial)(square, sizeof c / sizeof c[0], c));
    return vec_fma(s, sum, vec_add(s, s));
}

/* exp(x) - 1, x <= 0: x + x^2 p(x) down to -0.7, from where on the difference
 * loses nothing */
ATTN_INLINE vec KERNEL(vec_expm1)(vec x) {
#if REAL_BITS == 32
    static const real c[] = { /* 2^-29.5 */
        0x1p-1f, 0x1.555548p-3f, 0x1.55514ap-5f, 0x1.10a9d2p-7f, 0x1.62f8cp-10f,
        0x1.3fe36p-13f};
#else
    static const real c[] = { /* 2^-65 */
        0x1p-1, 0x1.5555555555555p-3, 0x1.55555555554fap-5, 0x1.111111110ecebp-7,
        0x1.6c16c16b2afdap-10, 0x1.a01a01672bf93p-13, 0x1.a019f8dde4a0cp-16,
        0x1.71dd560ca01bbp-19, 0x1.27d562b1b735p-22, 0x1.acf9232f7bdbcp-26,
        0x1.1450842d9c18fp-29, 0x1.033909909a191p-33};
#endif
    const vec limit = vec_set1((real)-0.7);
    const vec small = vec_max(limit, x); /* keeps NaN; the powers stay finite */
    const vec near = vec_fma(vec_mul(small, small),
                             KERNEL(polynomial)(small, sizeof c / sizeof c[0], c), small);
    const vec far = vec_sub(KERNEL(vec_exp)(x), vec_set1((real)1));
    return vec_if_less(x, limit, far, near);
}

/* exp(x) with its overflow to infinity, which vec_exp need not have */
ATTN_INLINE vec KERNEL(vec_exp_wide)(vec x) {
#if REAL_BITS == 32
    const vec high = vec_set1(80.0f), most = vec_set1(90.0f);
#else
    const vec high = vec_set1(700.0), most = vec_set1(711.0);
#endif
    /* x - 4 is exact there, and exp(x - 4) is in range */
    const vec four = vec_set1((real)4), e4 = vec_set1((real)54.598150033144236);
    const vec above = vec_if_less(high, x, four, vec_set1((real)0));
    const vec factor = vec_if_less(high, x, e4, vec_set1((real)1));
    return vec_mul(KERNEL(vec_exp)(vec_sub(vec_min(most, x), above)), factor);
}

/* 1 / (1 + exp(-x)), precise in both tails */
ATTN_INLINE vec KERNEL(vec_sigmoid)(vec x) {
    const vec zero = vec_set1((real)0), one = vec_set1((real)1);
    const vec e = KERNEL(vec_exp)(vec_sub(zero, vec_abs(x)));
    return vec_div(vec_if_less(x, zero, e, one), vec_add(one, e));
}

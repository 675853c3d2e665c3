/* Vectors of the end of a row, polynomials, comparisons. Included by op_kernels_impl.h. */

/* the first n < VEC_LANES numbers; the other lanes are `rest` */
ATTN_INLINE vec KERNEL(load_some)(const real* from, ptrdiff_t n, real rest) {
    real lane[VEC_LANES];
    for (ptrdiff_t i = 0; i < VEC_LANES; i++) {
        lane[i] = i < n ? from[i] : rest;
    }
    return vec_load(lane);
}

ATTN_INLINE void KERNEL(store_some)(real* to, ptrdiff_t n, vec x) {
    real lane[VEC_LANES];
    vec_store(lane, x);
    for (ptrdiff_t i = 0; i < n; i++) {
        to[i] = lane[i];
    }
}

/* lanes added in a fixed order, in double: halves, quarters, ... */
ATTN_INLINE double KERNEL(sum_lanes)(vec x) {
    real lane[VEC_LANES];
    double sum[VEC_LANES];
    vec_store(lane, x);
    for (int i = 0; i < VEC_LANES; i++) {
        sum[i] = (double)lane[i];
    }
    ATTN_UNROLL
    for (int half = VEC_LANES / 2; half > 0; half /= 2) {
        ATTN_UNROLL
        for (int i = 0; i < half; i++) {
            sum[i] += sum[i + half];
        }
    }
    return sum[0];
}

/* c[0] + c[1] x + ...; even and odd powers apart, which halves the chain of
 * products that wait for each other. `terms` is a constant >= 4. */
ATTN_INLINE vec KERNEL(polynomial)(vec x, const int terms, const real* c) {
    const vec square = vec_mul(x, x);
    const int last_even = (terms - 1) / 2 * 2, last_odd = terms / 2 * 2 - 1;
    vec even = vec_set1(c[last_even]), odd = vec_set1(c[last_odd]);
    ATTN_UNROLL
    for (int i = last_even - 2; i >= 0; i -= 2) {
        even = vec_fma(even, square, vec_set1(c[i]));
    }
    ATTN_UNROLL
    for (int i = last_odd - 2; i >= 1; i -= 2) {
        odd = vec_fma(odd, square, vec_set1(c[i]));
    }
    return vec_fma(odd, x, even);
}

/* x where it is a number, else NaN */
ATTN_INLINE vec KERNEL(if_number)(vec x, vec yes) {
    const vec zero = vec_set1((real)0);
    return vec_if_less(x, vec_set1((real)1), yes, vec_if_less(zero, x, yes, x));
}

/* vec_max and vec_min, but NaN where either is NaN */
ATTN_INLINE vec KERNEL(vec_maximum)(vec a, vec b) {
    return KERNEL(if_number)(b, vec_if_less(a, b, b, a));
}

ATTN_INLINE vec KERNEL(vec_minimum)(vec a, vec b) {
    return KERNEL(if_number)(b, vec_if_less(b, a, b, a));
}

ATTN_INLINE vec KERNEL(vec_sqrt)(vec x) {
    real lane[VEC_LANES];
    vec_store(lane, x);
    for (int i = 0; i < VEC_LANES; i++) {
#if REAL_BITS == 32
        lane[i] = sqrtf(lane[i]);
#else
        lane[i] = sqrt(lane[i]);
#endif
    }
    return vec_load(lane);
}

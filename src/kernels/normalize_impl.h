/* Layer normalization and its relatives. Included by op_kernels_impl.h. */

/* Sums over a row of d = s - origin and of d^2, s = x + residual. The sums of runs
 * go on in double, so an error is that of a run's few additions to an accumulator. */
ATTN_INLINE void KERNEL(row_moments)(ptrdiff_t columns, const real* s, real origin,
                                     double* first, double* second) {
    const vec from = vec_set1(origin), zero = vec_set1((real)0);
    *first = 0;
    *second = 0;
    for (ptrdiff_t run = 0; run < columns; run += SUM_RUN) {
        const ptrdiff_t end = columns - run < SUM_RUN ? columns : run + SUM_RUN;
        vec sum[4] = {zero, zero, zero, zero}, squares[4] = {zero, zero, zero, zero};
        ptrdiff_t i = run;
        for (; i + 4 * VEC_LANES <= end; i += 4 * VEC_LANES) {
            ATTN_UNROLL
            for (int j = 0; j < 4; j++) {
                const vec d = vec_sub(vec_load(s + i + j * VEC_LANES), from);
                sum[j] = vec_add(sum[j], d);
                squares[j] = vec_fma(d, d, squares[j]);
            }
        }
        for (; i < end; i += VEC_LANES) {
            const vec d = end - i >= VEC_LANES
                              ? vec_sub(vec_load(s + i), from)
                              : vec_sub(KERNEL(load_some)(s + i, end - i, origin), from);
            sum[0] = vec_add(sum[0], d);
            squares[0] = vec_fma(d, d, squares[0]);
        }
        *first += KERNEL(sum_lanes)(vec_add(vec_add(sum[0], sum[1]), vec_add(sum[2], sum[3])));
        *second += KERNEL(sum_lanes)(
            vec_add(vec_add(squares[0], squares[1]), vec_add(squares[2], squares[3])));
    }
}

/* ((s - origin) - rest) * factor * gamma + beta: a mean that is large beside the
 * deviations from it is taken away in two parts, the first of which leaves differences
 * that are exact or nearly so. */
struct KERNEL(normal) {
    vec origin, rest, factor;
};

ATTN_INLINE vec KERNEL(normalized)(struct KERNEL(normal) by, vec s, const vec* gamma,
                                   const vec* beta) {
    const vec v = vec_sub(vec_sub(s, by.origin), by.rest);
    const vec factor = gamma != NULL ? vec_mul(by.factor, *gamma) : by.factor;
    return beta != NULL ? vec_fma(v, factor, *beta) : vec_mul(v, factor);
}

ATTN_INLINE void KERNEL(normalize_store)(struct KERNEL(normal) by, ptrdiff_t columns,
                                         const real* s, const real* gamma, const real* beta,
                                         real* y) {
    ptrdiff_t i = 0;
    vec g = by.factor, b = by.factor;
    for (; i + VEC_LANES <= columns; i += VEC_LANES) {
        if (gamma != NULL) {
            g = vec_load(gamma + i);
        }
        if (beta != NULL) {
            b = vec_load(beta + i);
        }
        vec_store(y + i, KERNEL(normalized)(by, vec_load(s + i), gamma != NULL ? &g : NULL,
                                            beta != NULL ? &b : NULL));
    }
    if (i < columns) {
        const ptrdiff_t n = columns - i;
        if (gamma != NULL) {
            g = KERNEL(load_some)(gamma + i, n, (real)0);
        }
        if (beta != NULL) {
            b = KERNEL(load_some)(beta + i, n, (real)0);
        }
        KERNEL(store_some)(y + i, n,
                           KERNEL(normalized)(by, KERNEL(load_some)(s + i, n, (real)0),
                                              gamma != NULL ? &g : NULL,
                                              beta != NULL ? &b : NULL));
    }
}

/* What a row is normalized by: y = ((s - origin) - rest) / sqrt(variance + epsilon). */
struct KERNEL(moments) {
    real origin;
    double rest, variance;
};

ATTN_INLINE struct KERNEL(moments) KERNEL(moments_of)(enum attn_normalizing how,
                                                      ptrdiff_t columns, const real* s) {
    const double count = (double)columns;
    const real origin = how == ATTN_NORMALIZE_RMS
                            ? (real)0
                            : (real)(KERNEL(sum_row)(columns, s) / count);
    double first, second;
    KERNEL(row_moments)(columns, s, origin, &first, &second);
    /* what the origin, a rounded mean, is short of the mean */
    const double rest = how == ATTN_NORMALIZE_RMS ? 0 : first / count;
    return (struct KERNEL(moments)){origin, rest, second / count - rest * rest};
}

/* Moments of a row of numbers so large that those of moments_of() overflowed. The
 * result is the same for a multiple of the row, so y becomes one that is small enough,
 * and epsilon what it is beside that. Returns what is to be normalized: y, or s where it
 * holds NaN or Inf, or is constant, which has no deviations to scale. */
static const real* KERNEL(scaled_moments)(enum attn_normalizing how, ptrdiff_t columns,
                                          const real* s, double* epsilon, real* y,
                                          struct KERNEL(moments) * moments) {
    real low = s[0], high = s[0];
    for (ptrdiff_t i = 0; i < columns; i++) {
        if (s[i] - s[i] != 0) {
            return s;
        }
        low = s[i] < low ? s[i] : low;
        high = s[i] > high ? s[i] : high;
    }
    if (low == high && how != ATTN_NORMALIZE_RMS) {
        *moments = (struct KERNEL(moments)){low, 0, 0};
        return s;
    }
    int exponent;
    frexp(high > -low ? (double)high : -(double)low, &exponent);
    for (ptrdiff_t i = 0; i < columns; i++) {
        y[i] = (real)ldexp((double)s[i], -exponent);
    }
    *epsilon = ldexp(*epsilon, -2 * exponent);
    *moments = KERNEL(moments_of)(how, columns, y);
    return y;
}

static void KERNEL(normalize_row)(enum attn_normalizing how, ptrdiff_t columns, const real* x,
                                  const real* residual, const real* gamma, const real* beta,
                                  double epsilon, real* sum, real* y) {
    const real* s = x;
    if (residual != NULL) {
        real* both = sum != NULL ? sum : y;
        KERNEL(merge_add)(columns, x, residual, 0, both);
        s = both;
    } else if (sum != NULL && sum != x) {
        memcpy(sum, x, (size_t)columns * sizeof(real));
    }
    struct KERNEL(moments) is = KERNEL(moments_of)(how, columns, s);
    if (!(is.variance - is.variance == 0)) {
        s = KERNEL(scaled_moments)(how, columns, s, &epsilon, y, &is);
    }
    const double factor = 1 / sqrt((is.variance < 0 ? 0 : is.variance) + epsilon);
    const int centred = how == ATTN_NORMALIZE_LAYER;
    const struct KERNEL(normal) by = {vec_set1(centred ? is.origin : (real)0),
                                      vec_set1(centred ? (real)is.rest : (real)0),
                                      vec_set1((real)factor)};
    if (gamma != NULL && beta != NULL) {
        KERNEL(normalize_store)(by, columns, s, gamma, beta, y);
    } else if (gamma != NULL) {
        KERNEL(normalize_store)(by, columns, s, gamma, NULL, y);
    } else {
        KERNEL(normalize_store)(by, columns, s, NULL, beta, y);
    }
}

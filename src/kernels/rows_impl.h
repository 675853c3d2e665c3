/* Softmax, sums and maxima of rows, merging. Included by op_kernels_impl.h. */

/* Numbers that are summed in vectors, before what they give goes on in double:
 * each lane of the four accumulators has few additions behind it. */
#undef SUM_RUN
#define SUM_RUN (64 * VEC_LANES)

/* The sum of one run, in four accumulators. */
ATTN_INLINE double KERNEL(sum_run)(ptrdiff_t count, const real* x) {
    const vec zero = vec_set1((real)0);
    vec sum[4] = {zero, zero, zero, zero};
    ptrdiff_t i = 0;
    for (; i + 4 * VEC_LANES <= count; i += 4 * VEC_LANES) {
        ATTN_UNROLL
        for (int j = 0; j < 4; j++) {
            sum[j] = vec_add(sum[j], vec_load(x + i + j * VEC_LANES));
        }
    }
    for (; i + VEC_LANES <= count; i += VEC_LANES) {
        sum[0] = vec_add(sum[0], vec_load(x + i));
    }
    if (i < count) {
        sum[1] = vec_add(sum[1], KERNEL(load_some)(x + i, count - i, (real)0));
    }
    return KERNEL(sum_lanes)(vec_add(vec_add(sum[0], sum[1]), vec_add(sum[2], sum[3])));
}

static double KERNEL(sum_row)(ptrdiff_t columns, const real* x) {
    double sum = 0;
    for (ptrdiff_t i = 0; i < columns; i += SUM_RUN) {
        sum += KERNEL(sum_run)(columns - i < SUM_RUN ? columns - i : SUM_RUN, x + i);
    }
    return sum;
}

static real KERNEL(max_row)(ptrdiff_t columns, const real* x) {
    vec max[2] = {vec_set1(-REAL_INFINITY), vec_set1(-REAL_INFINITY)};
    ptrdiff_t i = 0;
    for (; i + 2 * VEC_LANES <= columns; i += 2 * VEC_LANES) {
        max[0] = KERNEL(vec_maximum)(max[0], vec_load(x + i));
        max[1] = KERNEL(vec_maximum)(max[1], vec_load(x + i + VEC_LANES));
    }
    for (; i + VEC_LANES <= columns; i += VEC_LANES) {
        max[0] = KERNEL(vec_maximum)(max[0], vec_load(x + i));
    }
    if (i < columns) {
        max[1] = KERNEL(vec_maximum)(
            max[1], KERNEL(load_some)(x + i, columns - i, -REAL_INFINITY));
    }
    real lane[VEC_LANES];
    vec_store(lane, KERNEL(vec_maximum)(max[0], max[1]));
    real largest = lane[0];
    for (int j = 1; j < VEC_LANES; j++) {
        largest = lane[j] > largest || lane[j] != lane[j] ? lane[j] : largest;
    }
    return largest;
}

/* The largest number of a row. NaN may be lost here: it is in the sum that follows. */
ATTN_INLINE real KERNEL(softmax_origin)(ptrdiff_t columns, const real* x) {
    vec max = vec_set1(-REAL_INFINITY);
    ptrdiff_t i = 0;
    for (; i + VEC_LANES <= columns; i += VEC_LANES) {
        max = vec_max(max, vec_load(x + i));
    }
    if (i < columns) {
        max = vec_max(max, KERNEL(load_some)(x + i, columns - i, -REAL_INFINITY));
    }
    real lane[VEC_LANES];
    vec_store(lane, max);
    real largest = lane[0];
    for (int j = 1; j < VEC_LANES; j++) {
        largest = lane[j] > largest ? lane[j] : largest;
    }
    return largest;
}

/* sum of exp(x - origin); the summands go to y where it is not NULL */
ATTN_INLINE double KERNEL(sum_exp)(ptrdiff_t columns, const real* x, vec origin, real* y) {
    double total = 0;
    for (ptrdiff_t first = 0; first < columns; first += SUM_RUN) {
        const ptrdiff_t end = columns - first < SUM_RUN ? columns : first + SUM_RUN;
        vec sum = vec_set1((real)0);
        ptrdiff_t i = first;
        for (; i + VEC_LANES <= end; i += VEC_LANES) {
            const vec e = KERNEL(vec_exp)(vec_sub(vec_load(x + i), origin));
            sum = vec_add(sum, e);
            if (y != NULL) {
                vec_store(y + i, e);
            }
        }
        total += KERNEL(sum_lanes)(sum);
        if (i < end) {
            const vec e =
                KERNEL(vec_exp)(vec_sub(KERNEL(load_some)(x + i, end - i, (real)0), origin));
            real lane[VEC_LANES];
            vec_store(lane, e);
            for (ptrdiff_t j = 0; j < end - i; j++) {
                total += (double)lane[j];
                if (y != NULL) {
                    y[i + j] = lane[j];
                }
            }
        }
    }
    return total;
}

static void KERNEL(softmax_row)(ptrdiff_t columns, const real* x, real* y) {
    const vec origin = vec_set1(KERNEL(softmax_origin)(columns, x));
    const vec sum = vec_set1((real)KERNEL(sum_exp)(columns, x, origin, y));
    ptrdiff_t i = 0;
    for (; i + VEC_LANES <= columns; i += VEC_LANES) {
        vec_store(y + i, vec_div(vec_load(y + i), sum));
    }
    if (i < columns) {
        const vec rest = KERNEL(load_some)(y + i, columns - i, (real)0);
        KERNEL(store_some)(y + i, columns - i, vec_div(rest, sum));
    }
}

static void KERNEL(log_softmax_row)(ptrdiff_t columns, const real* x, real* y) {
    const vec origin = vec_set1(KERNEL(softmax_origin)(columns, x));
    const vec logarithm = vec_set1((real)log(KERNEL(sum_exp)(columns, x, origin, NULL)));
    ptrdiff_t i = 0;
    for (; i + VEC_LANES <= columns; i += VEC_LANES) {
        vec_store(y + i, vec_sub(vec_sub(vec_load(x + i), origin), logarithm));
    }
    if (i < columns) {
        const vec rest = KERNEL(load_some)(x + i, columns - i, (real)0);
        KERNEL(store_some)(y + i, columns - i, vec_sub(vec_sub(rest, origin), logarithm));
    }
}

#define ATTN_MERGING(name, merged)                                                               \
    static void KERNEL(merge_##name)(ptrdiff_t count, const real* a_from, const real* b_from,    \
                                     int b_is_one, real* y) {                                    \
        ptrdiff_t i = 0;                                                                         \
        vec b = vec_set1(b_from[0]);                                                             \
        for (; i + VEC_LANES <= count; i += VEC_LANES) {                                         \
            const vec a = vec_load(a_from + i);                                                  \
            if (!b_is_one) {                                                                     \
                b = vec_load(b_from + i);                                                        \
            }                                                                                    \
            vec_store(y + i, merged);                                                            \
        }                                                                                        \
        if (i < count) {                                                                         \
            const vec a = KERNEL(load_some)(a_from + i, count - i, (real)1);                     \
            if (!b_is_one) {                                                                     \
                b = KERNEL(load_some)(b_from + i, count - i, (real)1);                           \
            }                                                                                    \
            KERNEL(store_some)(y + i, count - i, merged);                                        \
        }                                                                                        \
    }
ATTN_MERGING(add, vec_add(a, b))
ATTN_MERGING(subtract, vec_sub(a, b))
ATTN_MERGING(multiply, vec_mul(a, b))
ATTN_MERGING(divide, vec_div(a, b))
ATTN_MERGING(maximum, KERNEL(vec_maximum)(a, b))
ATTN_MERGING(minimum, KERNEL(vec_minimum)(a, b))
#undef ATTN_MERGING

static void KERNEL(merge)(enum attn_merging how, ptrdiff_t count, const real* a, const real* b,
                          int b_is_one, real* y) {
    switch (how) {
        case ATTN_ADD:
            KERNEL(merge_add)(count, a, b, b_is_one, y);
            break;
        case ATTN_SUBTRACT:
            KERNEL(merge_subtract)(count, a, b, b_is_one, y);
            break;
        case ATTN_MULTIPLY:
            KERNEL(merge_multiply)(count, a, b, b_is_one, y);
            break;
        case ATTN_DIVIDE:
            KERNEL(merge_divide)(count, a, b, b_is_one, y);
            break;
        case ATTN_MAXIMUM:
            KERNEL(merge_maximum)(count, a, b, b_is_one, y);
            break;
        case ATTN_MINIMUM:
            KERNEL(merge_minimum)(count, a, b, b_is_one, y);
            break;
    }
}

static void KERNEL(rescale)(ptrdiff_t count, const real* x, real scale, real offset, real* y) {
    const vec by = vec_set1(scale), more = vec_set1(offset);
    ptrdiff_t i = 0;
    for (; i + VEC_LANES <= count; i += VEC_LANES) {
        vec_store(y + i, vec_fma(vec_load(x + i), by, more));
    }
    if (i < count) {
        const vec rest = KERNEL(load_some)(x + i, count - i, (real)0);
        KERNEL(store_some)(y + i, count - i, vec_fma(rest, by, more));
    }
}

static void KERNEL(rotate)(ptrdiff_t half, const real* x, const real* c, const real* s, real* y) {
    ptrdiff_t i = 0;
    for (; i + VEC_LANES <= half; i += VEC_LANES) {
        const vec a = vec_load(x + i), b = vec_load(x + half + i);
        const vec cosine = vec_load(c + i), sine = vec_load(s + i);
        vec_store(y + i, vec_sub(vec_mul(a, cosine), vec_mul(b, sine)));
        vec_store(y + half + i, vec_add(vec_mul(b, cosine), vec_mul(a, sine)));
    }
    for (; i < half; i++) {
        const real a = x[i], b = x[half + i];
        y[i] = a * c[i] - b * s[i];
        y[half + i] = b * c[i] + a * s[i];
    }
}

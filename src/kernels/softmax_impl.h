/* The online softmax over tiles of logits. Included by kernels_impl.h. */

/* ---- softmax ---------------------------------------------------------------- */

/* exp(scale * (logit - max)): the difference first, because it is exact where
 * it matters, near the maximum; scaled logits would each carry a rounding of
 * their own size. */
static int KERNEL(softmax_step)(ptrdiff_t keys, real scale, real* logits, real* row_max,
                                real* row_sum, real* rescale) {
    const vec minus_infinity = vec_set1(-REAL_INFINITY);
    const struct KERNEL(exponent) by = KERNEL(exponent_of)(scale);
    int changed = 0;
    for (int lane = 0; lane < BLOCK_COLUMNS; lane += VEC_LANES) {
        real* column = logits + lane;
        vec old_max = vec_load(row_max + lane);
        vec max = old_max;
        for (ptrdiff_t j = 0; j < keys; j++) {
            max = vec_max(max, vec_load(column + j * BLOCK_COLUMNS));
        }
        /* A row with nothing visible yet has max -Inf; -Inf - -Inf would be NaN. */
        vec origin = vec_if_less(minus_infinity, max, max, vec_set1((real)0));
        vec sum = vec_set1((real)0);
        for (ptrdiff_t j = 0; j < keys; j++) {
            real* at = column + j * BLOCK_COLUMNS;
            vec weight = KERNEL(vec_exp_negative)(vec_sub(vec_load(at), origin), by);
            vec_store(at, weight);
            sum = vec_add(sum, weight);
        }
        vec factor = KERNEL(vec_exp_negative)(vec_sub(old_max, origin), by);
        vec_store(rescale + lane, factor);
        vec_store(row_max + lane, max);
        vec_store(row_sum + lane, vec_fma(vec_load(row_sum + lane), factor, sum));
        changed |= !vec_all_one(factor);
    }
    return changed;
}

static void KERNEL(softmax_finish)(ptrdiff_t keys, real scale, real* logits,
                                   const real* row_max, const real* row_sum) {
    const struct KERNEL(exponent) by = KERNEL(exponent_of)(scale);
    for (int lane = 0; lane < BLOCK_COLUMNS; lane += VEC_LANES) {
        vec max = vec_load(row_max + lane);
        vec sum = vec_load(row_sum + lane);
        for (ptrdiff_t j = 0; j < keys; j++) {
            real* at = logits + j * BLOCK_COLUMNS + lane;
            vec weight = KERNEL(vec_exp_negative)(vec_sub(vec_load(at), max), by);
            vec_store(at, vec_div(weight, sum));
        }
    }
}

/* a true division: a product with 1 / sum would round twice */
static void KERNEL(divide_lanes)(ptrdiff_t rows, real* x, const real* divisor) {
    for (int lane = 0; lane < BLOCK_COLUMNS; lane += VEC_LANES) {
        vec by = vec_load(divisor + lane);
        for (ptrdiff_t i = 0; i < rows; i++) {
            real* at = x + i * BLOCK_COLUMNS + lane;
            vec_store(at, vec_div(vec_load(at), by));
        }
    }
}

static void KERNEL(scale_lanes)(ptrdiff_t rows, real* x, const real* factor) {
    for (int lane = 0; lane < BLOCK_COLUMNS; lane += VEC_LANES) {
        vec by = vec_load(factor + lane);
        for (ptrdiff_t i = 0; i < rows; i++) {
            real* at = x + i * BLOCK_COLUMNS + lane;
            vec_store(at, vec_mul(vec_load(at), by));
        }
    }
}

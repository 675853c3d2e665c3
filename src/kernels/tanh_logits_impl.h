/* Score functions beside the scaled dot product. Included by kernels_impl.h. */

/* ---- sums of tanh(inner * (query + key)) --------------------------------------
 * exp(2 inner (query + key)) is a product, so its factors are computed once per
 * query and once per key (tanh_parts), each as a sum of two numbers, and what is
 * left per pair is
 *   e = (high high' - 1) + (high low' + low high'),  tanh = e / (e + 2):
 * no exp, and the relative precision of tanh down to the smallest arguments, since
 * high high' - 1 is exact before it is rounded. Where query and key cancel, the
 * error is that of inputs that are off by 2^-5 of a rounding (by one where they are
 * as tiny as the last place of 1).
 *
 * Where the exponent of a part would be so large that the product might not be a
 * number, the part is NaN, and so is the sum: then that logit, and no other, is
 * computed from the query and the key themselves. Which it is depends on this query
 * and this key alone. */

static void KERNEL(tanh_parts)(ptrdiff_t count, real inner, real* x, ptrdiff_t part) {
    const struct KERNEL(exponent) by = KERNEL(exponent_of)(2 * inner);
    ptrdiff_t i = 0;
    for (; i + VEC_LANES <= count; i += VEC_LANES) {
        struct KERNEL(exp_parts) parts = KERNEL(vec_exp_parts)(vec_load(x + i), by);
        vec_store(x + i + part, parts.high);
        vec_store(x + i + 2 * part, parts.low);
    }
    if (i < count) {
        const size_t rest = (size_t)(count - i) * sizeof(real);
        real buffer[VEC_LANES] = {0};
        memcpy(buffer, x + i, rest);
        struct KERNEL(exp_parts) parts = KERNEL(vec_exp_parts)(vec_load(buffer), by);
        vec_store(buffer, parts.high);
        memcpy(x + i + part, buffer, rest);
        vec_store(buffer, parts.low);
        memcpy(x + i + 2 * part, buffer, rest);
    }
}

struct KERNEL(tanh_sums) {
    ptrdiff_t depth;
    const real* key;
    ptrdiff_t key_depth, key_part;
    const real* query;
    ptrdiff_t query_part;
    const real* weight;
    ptrdiff_t weight_depth; /* 0: one weight for all */
    real inner, outer;
};

/* the sums of key j and the vector of queries at `lane` as the formula says it */
static vec KERNEL(tanh_sum)(const struct KERNEL(tanh_sums) * p, ptrdiff_t j, int lane) {
    const vec factor = vec_set1(p->inner);
    vec sum = vec_set1((real)0);
    for (ptrdiff_t d = 0; d < p->depth; d++) {
        vec both = vec_add(vec_load(p->query + d * BLOCK_COLUMNS + lane),
                           vec_set1(p->key[d * p->key_depth + j]));
        vec bent = KERNEL(vec_tanh)(vec_mul(factor, both));
        sum = vec_fma(vec_set1(p->weight[d * p->weight_depth]), bent, sum);
    }
    return sum;
}

/* rows first, ... of the logits; `keys` is a constant wherever this is called */
ATTN_INLINE void KERNEL(tanh_block)(const int keys, const struct KERNEL(tanh_sums) * p,
                                    ptrdiff_t first, real* logits) {
    const vec one = vec_set1((real)1), two = vec_set1((real)2);
    const real* key = p->key + p->key_part + first;
    const real* query = p->query + p->query_part;
    const real* weight = p->weight;
    vec sum[TANH_KEYS][BLOCK_VECTORS];
    ATTN_UNROLL
    for (int j = 0; j < keys; j++) {
        ATTN_UNROLL
        for (int i = 0; i < BLOCK_VECTORS; i++) {
            sum[j][i] = vec_set1((real)0);
        }
    }
    for (ptrdiff_t d = 0; d < p->depth; d++) {
        vec by = vec_set1(*weight);
        ATTN_UNROLL
        for (int j = 0; j < keys; j++) {
            vec high = vec_set1(key[j]), low = vec_set1(key[p->key_part + j]);
            ATTN_UNROLL
            for (int i = 0; i < BLOCK_VECTORS; i++) {
                vec other = vec_load(query + i * VEC_LANES);
                vec rest = vec_mul(vec_load(query + p->query_part + i * VEC_LANES), high);
                vec e = vec_add(vec_fms(other, high, one), vec_fma(other, low, rest));
                sum[j][i] = vec_fma(by, vec_div(e, vec_add(e, two)), sum[j][i]);
            }
        }
        key += p->key_depth;
        query += BLOCK_COLUMNS;
        weight += p->weight_depth;
    }
    ATTN_UNROLL
    for (int j = 0; j < keys; j++) {
        ATTN_UNROLL
        for (int i = 0; i < BLOCK_VECTORS; i++) {
            vec done = sum[j][i];
            if (vec_any_nan(done)) {
                done = vec_if_less(done, vec_set1(REAL_INFINITY), done,
                                   KERNEL(tanh_sum)(p, first + j, i * VEC_LANES));
            }
            vec_store(logits + (first + j) * BLOCK_COLUMNS + i * VEC_LANES,
                      vec_mul(vec_set1(p->outer), done));
        }
    }
}

static void KERNEL(tanh_logits)(ptrdiff_t keys, ptrdiff_t depth, const real* key,
                                ptrdiff_t key_depth, ptrdiff_t key_part, const real* query,
                                ptrdiff_t query_part, const real* weight, real inner, real outer,
                                real* logits) {
    const real one = 1;
    const struct KERNEL(tanh_sums) sums = {
        depth, key, key_depth, key_part, query, query_part,
        weight != NULL ? weight : &one, weight != NULL ? 1 : 0, inner, outer};
    ptrdiff_t j = 0;
    for (; j + TANH_KEYS <= keys; j += TANH_KEYS) {
        KERNEL(tanh_block)(TANH_KEYS, &sums, j, logits);
    }
    for (; j < keys; j++) {
        KERNEL(tanh_block)(1, &sums, j, logits);
    }
}

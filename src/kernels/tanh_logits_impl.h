/* Score functions beside the scaled dot product. Included by kernels_impl.h. */

/* ---- other score functions ---------------------------------------------------- */

static void KERNEL(tanh_logits)(ptrdiff_t keys, ptrdiff_t depth, const real* key,
                                ptrdiff_t key_depth, const real* query, const real* weight,
                                real inner, real outer, real* logits) {
    const vec factor = vec_set1(inner), last = vec_set1(outer);
    for (ptrdiff_t j = 0; j < keys; j++) {
        for (int lane = 0; lane < BLOCK_COLUMNS; lane += VEC_LANES) {
            vec sum = vec_set1((real)0);
            for (ptrdiff_t d = 0; d < depth; d++) {
                vec both = vec_add(vec_load(query + d * BLOCK_COLUMNS + lane),
                                   vec_set1(key[d * key_depth + j]));
                vec bent = KERNEL(vec_tanh)(vec_mul(factor, both));
                sum = weight == NULL ? vec_add(sum, bent) : vec_fma(vec_set1(weight[d]), bent, sum);
            }
            vec_store(logits + j * BLOCK_COLUMNS + lane, vec_mul(last, sum));
        }
    }
}

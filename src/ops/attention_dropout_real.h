/* Dropout of a tile of weights. Included by attention_real.h. */

/* weights (keys x tile_queries) become 0 or weight / (1 - rate) */
static void REAL_NAME(drop_weights)(const struct attn_attention* p,
                                    const struct REAL_NAME(lane_state) * lanes, ptrdiff_t s_begin,
                                    ptrdiff_t keys) {
    const ptrdiff_t width = REAL_KERNELS->tile_queries;
    const real factor = (real)attn_dropout_factor(&p->dropout);
    for (ptrdiff_t i = 0; i < lanes->queries; i++) {
        const uint64_t row = (uint64_t)((lanes->batch * p->heads + lanes->head) * p->target +
                                        lanes->t_begin + i);
        attn_dropout_keep(&p->dropout, row * (uint64_t)p->source + (uint64_t)s_begin, keys,
                          lanes->keep);
        for (ptrdiff_t j = 0; j < keys; j++) {
            real* weight = lanes->logits + j * width + i;
            *weight = lanes->keep[j] ? *weight * factor : 0;
        }
    }
}

/* Dropout of a tile of weights. Included by attention_real.h. */

/* weights (keys x block_columns) become 0 or weight / (1 - rate) */
static void REAL_NAME(drop_weights)(const struct attn_attention* p,
                                    const struct REAL_NAME(panel) * panel, ptrdiff_t s_begin,
                                    ptrdiff_t keys) {
    const ptrdiff_t width = REAL_KERNELS->block_columns;
    const real factor = (real)attn_dropout_factor(&p->dropout);
    for (ptrdiff_t i = 0; i < panel->queries; i++) {
        const uint64_t row = (uint64_t)((panel->batch * p->heads + panel->head) * p->target +
                                        panel->t_begin + i);
        attn_dropout_keep(&p->dropout, row * (uint64_t)p->source + (uint64_t)s_begin, keys,
                          panel->keep);
        for (ptrdiff_t j = 0; j < keys; j++) {
            real* weight = panel->logits + j * width + i;
            *weight = panel->keep[j] ? *weight * factor : 0;
        }
    }
}

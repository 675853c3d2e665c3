/* Dropout of a tile of weights. Included by attention_real.h. */

/* weights (keys x block_columns) become 0 or weight / (1 - rate) */
static void REAL_NAME(drop_weights)(const struct attn_attention* p,
                                    const struct REAL_NAME(panel) * panel, ptrdiff_t s_begin,
                                    ptrdiff_t keys) {
    const uint64_t threshold = attn_dropout_threshold(&p->dropout);
    const struct attn_random_stream stream = attn_dropout_stream(&p->dropout);
    const uint64_t row =
        (uint64_t)((panel->batch * p->heads + panel->head) * p->target + panel->t_begin);
    if (threshold > UINT32_MAX) {
        memset(panel->logits, 0, (size_t)(keys * REAL_KERNELS->block_columns) * sizeof(real));
    } else {
        REAL_KERNELS->drop_weights(keys, panel->logits, &stream,
                                   row * (uint64_t)p->source + (uint64_t)s_begin,
                                   (uint64_t)p->source, (uint32_t)threshold,
                                   (real)attn_dropout_factor(&p->dropout));
    }
}

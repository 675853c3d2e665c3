/* The weights that a caller asked for, tile by tile. Included by attention_real.h. */

/* Weights of the dead rows of a tile, whose logits are still whole. */
static void REAL_NAME(dead_weights)(const struct REAL_NAME(attend) * attend,
                                    const struct REAL_NAME(panel) * panel, ptrdiff_t keys,
                                    real* weights) {
    const struct attn_attention* p = attend->problem;
    const ptrdiff_t count = keys * REAL_KERNELS->block_columns;
    if (p->dead_row == ATTN_DEAD_SHIFTED) {
        memcpy(weights, panel->logits, (size_t)count * sizeof(real));
        REAL_NAME(shift)(attend, count, weights);
        REAL_KERNELS->softmax_finish(keys, 1, weights, panel->row_max, panel->row_sum);
    } else {
        const real weight = p->dead_row == ATTN_DEAD_MEAN ? 1 / (real)p->source : 0;
        for (ptrdiff_t i = 0; i < count; i++) {
            weights[i] = weight;
        }
    }
}

/* the weights of one tile of keys, from a second look at its logits */
static void REAL_NAME(store_scores_tile)(const struct REAL_NAME(attend) * attend,
                                         const struct REAL_NAME(panel) * panel,
                                         ptrdiff_t s_begin, ptrdiff_t keys, int any_dead) {
    const struct attn_attention* p = attend->problem;
    const struct attn_scores_out* out = &p->scores;
    const ptrdiff_t width = REAL_KERNELS->block_columns;
    real* of_dead = panel->logits + REAL_KERNELS->tile_keys * width;
    REAL_NAME(tile_logits)(attend, panel, s_begin, keys);
    if (any_dead) {
        REAL_NAME(dead_weights)(attend, panel, keys, of_dead);
    }
    REAL_NAME(hide_masked)(p, panel, s_begin, keys);
    REAL_KERNELS->softmax_finish(keys, attend->softmax_scale, panel->logits, panel->row_max,
                                 panel->row_sum);
    for (ptrdiff_t i = 0; i < panel->queries && any_dead; i++) {
        for (ptrdiff_t j = 0; j < keys && panel->dead[i]; j++) {
            panel->logits[j * width + i] = of_dead[j * width + i];
        }
    }
    if (p->dropout.rate > 0 && p->scores_after_dropout) {
        REAL_NAME(drop_weights)(p, panel, s_begin, keys);
    }
    for (ptrdiff_t i = 0; i < panel->queries; i++) {
        double* to = out->data + out->batch[panel->batch] + out->head[panel->head] +
                     out->target[panel->t_begin + i];
        for (ptrdiff_t j = 0; j < keys; j++) {
            to[out->source[s_begin + j]] = (double)panel->logits[j * width + i];
        }
    }
}

/* The weights that a caller asked for, tile by tile. Included by attention_real.h. */

/* Weights of the dead rows of a tile, whose logits are still whole. */
static void REAL_NAME(dead_weights)(const struct REAL_NAME(attend) * attend,
                                    const struct REAL_NAME(lane_state) * lanes, ptrdiff_t keys,
                                    real* weights) {
    const struct attn_attention* p = attend->problem;
    const ptrdiff_t count = keys * REAL_KERNELS->tile_queries;
    if (p->dead_row == ATTN_DEAD_SHIFTED) {
        memcpy(weights, lanes->logits, (size_t)count * sizeof(real));
        REAL_NAME(shift)(attend, count, weights);
        REAL_KERNELS->softmax_finish(keys, 1, weights, lanes->row_max, lanes->row_sum);
    } else {
        const real weight = p->dead_row == ATTN_DEAD_MEAN ? 1 / (real)p->source : 0;
        for (ptrdiff_t i = 0; i < count; i++) {
            weights[i] = weight;
        }
    }
}

/* the weights of one tile of keys, from a second look at its logits */
static void REAL_NAME(store_scores_tile)(const struct REAL_NAME(attend) * attend,
                                         const struct REAL_NAME(lane_state) * lanes,
                                         ptrdiff_t s_begin, ptrdiff_t keys, int any_dead) {
    const struct attn_attention* p = attend->problem;
    const struct attn_scores_out* out = &p->scores;
    const ptrdiff_t width = REAL_KERNELS->tile_queries;
    real* of_dead = lanes->logits + REAL_KERNELS->tile_keys * width;
    REAL_NAME(tile_logits)(attend, lanes, s_begin, keys);
    if (any_dead) {
        REAL_NAME(dead_weights)(attend, lanes, keys, of_dead);
    }
    REAL_NAME(hide_masked)(p, lanes, s_begin, keys);
    REAL_KERNELS->softmax_finish(keys, attend->softmax_scale, lanes->logits, lanes->row_max,
                                 lanes->row_sum);
    for (ptrdiff_t i = 0; i < lanes->queries && any_dead; i++) {
        for (ptrdiff_t j = 0; j < keys && lanes->dead[i]; j++) {
            lanes->logits[j * width + i] = of_dead[j * width + i];
        }
    }
    if (p->dropout.rate > 0 && p->scores_after_dropout) {
        REAL_NAME(drop_weights)(p, lanes, s_begin, keys);
    }
    for (ptrdiff_t i = 0; i < lanes->queries; i++) {
        double* to = out->data + out->batch[lanes->batch] + out->head[lanes->head] +
                     out->target[lanes->t_begin + i];
        for (ptrdiff_t j = 0; j < keys; j++) {
            to[out->source[s_begin + j]] = (double)lanes->logits[j * width + i];
        }
    }
}

/* From the sums of a panel to rows of the output. Included by attention_real.h. */

/* output (V x block_columns) -> rows of the result, of the queries that
 * are dead, or of those that are not, as `dead` says; zeros where the caller keeps a
 * row at zero. */
static void REAL_NAME(store_rows)(const struct REAL_NAME(attend) * attend,
                                  const struct REAL_NAME(panel) * panel, int thread, int dead) {
    const struct attn_attention* p = attend->problem;
    const struct attn_mask_part* keep = &p->keep_row;
    real** row = (real**)REAL_NAME(row_pointers)(attend, thread);
    for (ptrdiff_t i = 0; i < REAL_KERNELS->block_columns; i++) {
        row[i] = panel->spare;
        if (i < panel->queries && panel->dead[i] == dead) {
            row[i] = (real*)p->output + attn_row(&p->output_strides, panel->batch, panel->head,
                                                 panel->t_begin + i);
        }
    }
    REAL_KERNELS->unpack_panel(p->value_dim, panel->output, row);
    for (ptrdiff_t i = 0; keep->visible != NULL && i < panel->queries; i++) {
        const ptrdiff_t t = panel->t_begin + i;
        if (!keep->visible[panel->batch * keep->batch + t * keep->target]) {
            memset(row[i], 0, (size_t)p->value_dim * sizeof(real));
        }
    }
}

/* The mean over all S values in every lane; summed in double. Returns whether it is done:
 * at: the next dim. */
static int REAL_NAME(mean_value)(const struct REAL_NAME(attend) * attend,
                                 const struct REAL_NAME(panel) * panel,
                                 struct attn_progress* progress) {
    const struct attn_attention* p = attend->problem;
    const ptrdiff_t width = REAL_KERNELS->block_columns, height = REAL_KERNELS->tile_keys;
    const real* tiles =
        attend->values + panel->matrix * attend->key_tiles * attend->value_tile_size;
    const ptrdiff_t per_look = attn_progress_parts(4.0 * (double)p->source);
    for (ptrdiff_t v = progress->at; v < p->value_dim; v++) {
        if (v > progress->at && (v - progress->at) % per_look == 0 &&
            attn_progress_must_pause(progress)) {
            progress->at = v;
            return 0;
        }
        double sum = 0;
        for (ptrdiff_t s = 0; s < p->source; s++) {
            sum += (double)tiles[s / height * attend->value_tile_size +
                                 REAL_NAME(value_place)(s % height, v)];
        }
        for (ptrdiff_t i = 0; i < width; i++) {
            panel->output[v * width + i] = (real)(sum / (double)p->source);
        }
    }
    return 1;
}

/* The softmax of logits that all lose ATTN_SHIFT, in the same way; at: the next tile. */
static int REAL_NAME(shifted_sweep)(const struct REAL_NAME(attend) * attend,
                                    const struct REAL_NAME(panel) * panel,
                                    struct attn_progress* progress) {
    const ptrdiff_t width = REAL_KERNELS->block_columns;
    /* the sweep gives live lanes other sums: keep theirs for the scores */
    real* live_max = panel->logits + REAL_KERNELS->tile_keys * width;
    real* live_sum = live_max + width;
    if (progress->at == 0) {
        memcpy(live_max, panel->row_max, (size_t)width * sizeof(real));
        memcpy(live_sum, panel->row_sum, (size_t)width * sizeof(real));
        REAL_NAME(begin_sums)(attend, panel);
    }
    for (ptrdiff_t tile = progress->at; tile < attend->key_tiles; tile++) {
        if (tile > progress->at && (tile - progress->at) % attend->steps_per_look == 0 &&
            attn_progress_must_pause(progress)) {
            progress->at = tile;
            return 0;
        }
        REAL_NAME(add_tile)(attend, panel, tile * REAL_KERNELS->tile_keys, 1);
    }
    REAL_NAME(end_sums)(attend, panel);
    for (ptrdiff_t i = 0; i < width; i++) {
        if (!panel->dead[i]) {
            panel->row_max[i] = live_max[i];
            panel->row_sum[i] = live_sum[i];
        }
    }
    return 1;
}

/* Output of rows that see nothing, in part: every live row has been stored, `output` is
 * free. Returns whether it is done. */
static int REAL_NAME(sweep_dead)(const struct REAL_NAME(attend) * attend,
                                 const struct REAL_NAME(panel) * panel,
                                 struct attn_progress* progress) {
    const struct attn_attention* p = attend->problem;
    switch (p->dead_row) {
        case ATTN_DEAD_MEAN:
            return REAL_NAME(mean_value)(attend, panel, progress);
        case ATTN_DEAD_SHIFTED:
            return REAL_NAME(shifted_sweep)(attend, panel, progress);
        case ATTN_DEAD_ZERO:
            break;
    }
    memset(panel->output, 0,
           (size_t)(p->value_dim * REAL_KERNELS->block_columns) * sizeof(real));
    return 1;
}

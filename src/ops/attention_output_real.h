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

/* the mean over all S values in every lane; summed in double */
static void REAL_NAME(mean_value)(const struct REAL_NAME(attend) * attend,
                                  const struct REAL_NAME(panel) * panel) {
    const struct attn_attention* p = attend->problem;
    const ptrdiff_t width = REAL_KERNELS->block_columns, height = REAL_KERNELS->tile_keys;
    const real* tiles =
        attend->values + panel->matrix * attend->key_tiles * attend->value_tile_size;
    for (ptrdiff_t v = 0; v < p->value_dim; v++) {
        double sum = 0;
        for (ptrdiff_t s = 0; s < p->source; s++) {
            sum += (double)tiles[s / height * attend->value_tile_size +
                                 REAL_NAME(value_place)(s % height, v)];
        }
        for (ptrdiff_t i = 0; i < width; i++) {
            panel->output[v * width + i] = (real)(sum / (double)p->source);
        }
    }
}

/* rows that see nothing; every live row has been stored, `output` is free */
static void REAL_NAME(store_dead_rows)(const struct REAL_NAME(attend) * attend,
                                       const struct REAL_NAME(panel) * panel, int thread) {
    const struct attn_attention* p = attend->problem;
    const ptrdiff_t width = REAL_KERNELS->block_columns;
    if (p->dead_row == ATTN_DEAD_MEAN) {
        REAL_NAME(mean_value)(attend, panel);
    } else if (p->dead_row == ATTN_DEAD_ZERO) {
        memset(panel->output, 0, (size_t)(p->value_dim * width) * sizeof(real));
    } else {
        /* the second sweep gives live lanes other sums: keep theirs for the scores */
        real* live_max = panel->logits + REAL_KERNELS->tile_keys * width;
        real* live_sum = live_max + width;
        memcpy(live_max, panel->row_max, (size_t)width * sizeof(real));
        memcpy(live_sum, panel->row_sum, (size_t)width * sizeof(real));
        REAL_NAME(begin_sums)(attend, panel);
        for (ptrdiff_t s = 0; s < p->source; s += REAL_KERNELS->tile_keys) {
            REAL_NAME(add_tile)(attend, panel, s, 1);
        }
        REAL_KERNELS->divide_lanes(p->value_dim, panel->output, panel->row_sum);
        for (ptrdiff_t i = 0; i < width; i++) {
            if (!panel->dead[i]) {
                panel->row_max[i] = live_max[i];
                panel->row_sum[i] = live_sum[i];
            }
        }
    }
    REAL_NAME(store_rows)(attend, panel, thread, 1);
}

/* What a mask does to the logits of a panel. Included by attention_real.h.
 *
 * Hidden logits become -Inf: chosen, not added, so that a NaN in a masked key is
 * gone as well. */

/* lanes [first, last) of key row j */
static void REAL_NAME(hide_lanes)(real* logits, ptrdiff_t j, ptrdiff_t first, ptrdiff_t last) {
    const ptrdiff_t width = REAL_KERNELS->block_columns;
    first = first < 0 ? 0 : first;
    last = last > width ? width : last;
    for (ptrdiff_t i = first; i < last; i++) {
        logits[j * width + i] = -REAL_INFINITY;
    }
}

/* causality and window: of a key, a run of lanes at either end */
static void REAL_NAME(hide_geometry)(const struct attn_mask* mask,
                                     const struct REAL_NAME(panel) * panel, ptrdiff_t s_begin,
                                     ptrdiff_t keys) {
    const ptrdiff_t width = REAL_KERNELS->block_columns;
    for (ptrdiff_t j = 0; j < keys; j++) {
        const ptrdiff_t ahead = s_begin + j - panel->t_begin; /* of the first query */
        if (mask->causal) {
            REAL_NAME(hide_lanes)(panel->logits, j, 0, ahead);
        }
        /* some query of the panel is past the window of this tile's first key */
        if (mask->window > 0 && mask->window < width + panel->t_begin - s_begin) {
            REAL_NAME(hide_lanes)(panel->logits, j, ahead + mask->window, width);
        }
        if (mask->window > 0 && !mask->causal && mask->window <= ahead) {
            REAL_NAME(hide_lanes)(panel->logits, j, 0, ahead - mask->window + 1);
        }
    }
}

/* a boolean tensor that differs from query to query */
static void REAL_NAME(hide_by_query)(const struct attn_mask_part* part,
                                     const struct REAL_NAME(panel) * panel, ptrdiff_t s_begin,
                                     ptrdiff_t keys) {
    const ptrdiff_t width = REAL_KERNELS->block_columns;
    for (ptrdiff_t i = 0; i < panel->queries; i++) {
        const uint8_t* visible = part->visible + panel->batch * part->batch +
                                 panel->head * part->head + (panel->t_begin + i) * part->target +
                                 s_begin * part->source;
        const ptrdiff_t flags = part->source == 0 ? 1 : keys;
        if (memchr(visible, 0, (size_t)flags) == NULL) {
            continue;
        }
        for (ptrdiff_t j = 0; j < keys; j++) {
            if (!visible[j * part->source]) {
                panel->logits[j * width + i] = -REAL_INFINITY;
            }
        }
    }
}

static void REAL_NAME(hide_masked)(const struct attn_attention* p,
                                   const struct REAL_NAME(panel) * panel, ptrdiff_t s_begin,
                                   ptrdiff_t keys) {
    const ptrdiff_t width = REAL_KERNELS->block_columns;
    const struct attn_mask* mask = &p->mask;
    if (mask->causal || mask->window > 0) {
        REAL_NAME(hide_geometry)(mask, panel, s_begin, keys);
    }
    for (int i = 0; i < mask->parts; i++) {
        const struct attn_mask_part* part = &mask->part[i];
        if (part->target != 0) {
            REAL_NAME(hide_by_query)(part, panel, s_begin, keys);
            continue;
        }
        const uint8_t* visible = part->visible + panel->batch * part->batch +
                                 panel->head * part->head + s_begin * part->source;
        for (ptrdiff_t j = 0; j < keys; j++) {
            if (!visible[j * part->source]) {
                REAL_NAME(hide_lanes)(panel->logits, j, 0, width);
            }
        }
    }
}

/* What a mask does to a tile of logits. Included by attention_real.h. */

/* -Inf where a query does not see a key; chosen, not added, so that a NaN in a
 * masked key is gone as well */
static void REAL_NAME(hide_masked)(const struct attn_attention* p,
                                   const struct REAL_NAME(lane_state) * lanes, ptrdiff_t s_begin,
                                   ptrdiff_t keys) {
    const ptrdiff_t width = REAL_KERNELS->tile_queries;
    const struct attn_mask* mask = &p->mask;
    for (ptrdiff_t i = 0; i < lanes->queries; i++) {
        const ptrdiff_t t = lanes->t_begin + i;
        struct attn_tile row = {lanes->batch, lanes->head, t, t + 1, s_begin, s_begin + keys};
        attn_mask_narrow(mask, &row);
        real* column = lanes->logits + i;
        for (ptrdiff_t s = s_begin; s < row.s_begin; s++) {
            column[(s - s_begin) * width] = -REAL_INFINITY;
        }
        for (ptrdiff_t s = row.s_end; s < s_begin + keys; s++) {
            column[(s - s_begin) * width] = -REAL_INFINITY;
        }
        for (int part = 0; part < mask->parts; part++) {
            const struct attn_mask_part* m = &mask->part[part];
            const uint8_t* visible =
                m->visible + lanes->batch * m->batch + lanes->head * m->head + t * m->target;
            for (ptrdiff_t s = row.s_begin; s < row.s_end; s++) {
                if (!visible[s * m->source]) {
                    column[(s - s_begin) * width] = -REAL_INFINITY;
                }
            }
        }
    }
}

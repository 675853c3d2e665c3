/* attn_tensor_dropout in one precision; see tensor_dropout.h. */

static void REAL_NAME(drop_item)(void* data, ptrdiff_t item, int thread) {
    const struct dropping* work = data;
    const ptrdiff_t piece = item % work->pieces, row = item / work->pieces;
    const ptrdiff_t begin = piece * PIECE;
    const ptrdiff_t count = work->columns - begin < PIECE ? work->columns - begin : PIECE;
    const real* x = (const real*)work->x + row * work->columns + begin;
    real* y = (real*)work->y + row * work->columns + begin;
    const real factor = (real)work->factor;
    uint8_t keep[PIECE];
    (void)thread;
    attn_dropout_keep(work->dropout, first_decision(work, row) + (uint64_t)(work->one ? 0 : begin),
                      work->one ? 1 : count, keep);
    for (ptrdiff_t i = 0; i < count; i++) {
        y[i] = keep[work->one ? 0 : i] ? x[i] * factor : 0;
    }
}

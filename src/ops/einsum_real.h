/* Rows summed, in one precision; see einsum.c. */

struct REAL_NAME(summing) {
    ptrdiff_t rows, columns, per_item;
    const real* x;
    real* y;
};

static void REAL_NAME(sum_item)(void* data, ptrdiff_t item, int thread) {
    const struct REAL_NAME(summing)* work = data;
    const ptrdiff_t first = item * work->per_item;
    const ptrdiff_t end = first + attn_item_rows(work->rows, first, work->per_item);
    (void)thread;
    for (ptrdiff_t row = first; row < end; row++) {
        work->y[row] = (real)REAL_KERNELS->sum_row(work->columns, work->x + row * work->columns);
    }
}

/* y (rows) = sums over x (rows x columns) */
static void REAL_NAME(sum_rows)(const struct attn_context* context, ptrdiff_t rows,
                                ptrdiff_t columns, const real* x, real* y) {
    struct REAL_NAME(summing) work = {rows, columns, attn_rows_per_item(columns), x, y};
    const ptrdiff_t items = attn_row_items(rows, work.per_item);
    const int threads =
        attn_parallel_width(context, items, 2.0 * (double)rows * (double)columns);
    attn_parallel_run(context, threads, items, REAL_NAME(sum_item), &work);
}

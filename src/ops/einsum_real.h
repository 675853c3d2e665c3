/* Rows summed, in one precision; see einsum.c. */

struct REAL_NAME(summing) {
    ptrdiff_t rows, columns, per_item;
    const real* x;
    real* y;
};

/* A row, in parts of SUM_PART numbers; at: the next one. */
static int REAL_NAME(sum_long_row)(const struct REAL_NAME(summing) * work, ptrdiff_t row,
                                   struct attn_progress* progress) {
    const real* x = work->x + row * work->columns;
    for (int worked = 0; progress->at < work->columns; worked = 1) {
        const ptrdiff_t left = work->columns - progress->at;
        const ptrdiff_t count = left < SUM_PART ? left : SUM_PART;
        if (worked && attn_progress_must_pause(progress)) {
            return 0;
        }
        progress->number += REAL_KERNELS->sum_row(count, x + progress->at);
        progress->at += count;
    }
    work->y[row] = (real)progress->number;
    return 1;
}

static int REAL_NAME(sum_item)(void* data, ptrdiff_t item, int thread,
                               struct attn_progress* progress) {
    const struct REAL_NAME(summing)* work = data;
    const ptrdiff_t first = item * work->per_item;
    const ptrdiff_t end = first + attn_item_rows(work->rows, first, work->per_item);
    (void)thread;
    if (work->columns > SUM_PART) { /* then the item is one row */
        return REAL_NAME(sum_long_row)(work, first, progress);
    }
    for (ptrdiff_t row = first; row < end; row++) {
        work->y[row] = (real)REAL_KERNELS->sum_row(work->columns, work->x + row * work->columns);
    }
    return 1;
}

/* y (rows) = sums over x (rows x columns) */
static void REAL_NAME(sum_rows)(const struct attn_context* context, ptrdiff_t rows,
                                ptrdiff_t columns, const real* x, real* y) {
    struct REAL_NAME(summing) work = {rows, columns, attn_rows_per_item(columns), x, y};
    const ptrdiff_t items = attn_row_items(rows, work.per_item);
    const int threads =
        attn_parallel_width(context, items, 2.0 * (double)rows * (double)columns);
    attn_parallel_run_long(context, threads, items, REAL_NAME(sum_item), &work);
}

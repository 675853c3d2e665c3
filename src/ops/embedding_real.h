/* attn_masking in one precision; see embedding.h. Included by embedding.c. */

struct REAL_NAME(masking) {
    ptrdiff_t rows, columns, per_item;
    const real* x;
    real value;
    uint8_t* mask;
    real* y;
};

static void REAL_NAME(mask_item)(void* data, ptrdiff_t item, int thread) {
    const struct REAL_NAME(masking)* work = data;
    const ptrdiff_t first = item * work->per_item, columns = work->columns;
    const ptrdiff_t end = first + attn_item_rows(work->rows, first, work->per_item);
    (void)thread;
    for (ptrdiff_t row = first; row < end; row++) {
        const real* x = work->x + row * columns;
        ptrdiff_t i = 0;
        while (i < columns && x[i] == work->value) {
            i++;
        }
        work->mask[row] = i < columns;
        if (work->y != NULL && i < columns) {
            memmove(work->y + row * columns, x, (size_t)columns * sizeof(real));
        } else if (work->y != NULL) {
            memset(work->y + row * columns, 0, (size_t)columns * sizeof(real));
        }
    }
}

static void REAL_NAME(mask_rows)(const struct attn_context* context, ptrdiff_t rows,
                                 ptrdiff_t columns, const real* x, double value, uint8_t* mask,
                                 real* y) {
    struct REAL_NAME(masking) work = {rows, columns, attn_rows_per_item(columns),
                                      x,    (real)value, mask, y};
    const ptrdiff_t items = attn_row_items(rows, work.per_item);
    const int threads =
        attn_parallel_width(context, items, COPY_OPERATIONS * (double)rows * (double)columns);
    attn_parallel_run(context, threads, items, REAL_NAME(mask_item), &work);
}

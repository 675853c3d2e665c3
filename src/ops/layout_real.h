/* attn_permute in one precision; see layout.h. Included by layout.c. */

static void REAL_NAME(permute_item)(void* data, ptrdiff_t item, int thread) {
    const struct permutation* work = data;
    const ptrdiff_t column = item % work->pieces * work->piece;
    const ptrdiff_t strip = item / work->pieces % work->strips;
    ptrdiff_t outer = item / work->pieces / work->strips, from = 0, to = 0;
    (void)thread;
    for (int axis = work->outer_axes - 1; axis >= 0; axis--) {
        const ptrdiff_t index = outer % work->outer_dim[axis];
        outer /= work->outer_dim[axis];
        from += index * work->outer_from[axis];
        to += index * work->outer_to[axis];
    }
    const ptrdiff_t first = strip * work->strip;
    const ptrdiff_t rows = work->rows - first < work->strip ? work->rows - first : work->strip;
    const ptrdiff_t left = work->columns - column;
    const ptrdiff_t columns = left < work->piece ? left : work->piece;
    const real* x = (const real*)work->x + from + first * work->x_row + column;
    real* y = (real*)work->y + to;
    if (work->turns) {
        REAL_KERNELS->transpose(rows, columns, x, work->x_row, y + column * work->y_row + first,
                                work->y_row);
    } else {
        y += first * work->y_row + column;
        for (ptrdiff_t row = 0; row < rows; row++) {
            memcpy(y + row * work->y_row, x + row * work->x_row,
                   (size_t)columns * sizeof(real));
        }
    }
}

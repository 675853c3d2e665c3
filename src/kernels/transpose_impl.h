/* Matrices transposed. Included by op_kernels_impl.h. */

/* numbers of a line of the cache */
#undef LINE_NUMBERS
#define LINE_NUMBERS (64 / (ptrdiff_t)sizeof(real))

/* A square of LINE_NUMBERS by as many, in squares of vectors: lines of x are read and
 * those of y written in one go, also where they fall on the same place in the cache. */
ATTN_INLINE void KERNEL(transpose_lines)(const real* x, ptrdiff_t x_row, real* y,
                                         ptrdiff_t y_row) {
    for (ptrdiff_t right = 0; right < LINE_NUMBERS; right += VEC_LANES) {
        for (ptrdiff_t below = 0; below < LINE_NUMBERS; below += VEC_LANES) {
            vec square[VEC_LANES];
            ATTN_UNROLL
            for (int i = 0; i < VEC_LANES; i++) {
                square[i] = vec_load(x + (below + i) * x_row + right);
            }
            vec_transpose(square);
            ATTN_UNROLL
            for (int i = 0; i < VEC_LANES; i++) {
                vec_store(y + (right + i) * y_row + below, square[i]);
            }
        }
    }
}

static void KERNEL(transpose_block)(ptrdiff_t rows, ptrdiff_t columns, const real* x,
                                    ptrdiff_t x_row, real* y, ptrdiff_t y_row) {
    for (ptrdiff_t column = 0; column < columns; column += LINE_NUMBERS) {
        const ptrdiff_t across = columns - column < LINE_NUMBERS ? columns - column : LINE_NUMBERS;
        for (ptrdiff_t row = 0; row < rows; row += LINE_NUMBERS) {
            const ptrdiff_t down = rows - row < LINE_NUMBERS ? rows - row : LINE_NUMBERS;
            const real* from = x + row * x_row + column;
            real* to = y + column * y_row + row;
            if (across == LINE_NUMBERS && down == LINE_NUMBERS) {
                KERNEL(transpose_lines)(from, x_row, to, y_row);
                continue;
            }
            for (ptrdiff_t i = 0; i < across; i++) {
                for (ptrdiff_t j = 0; j < down; j++) {
                    to[i * y_row + j] = from[j * x_row + i];
                }
            }
        }
    }
}

/* Between R's arrays, which are matrices of doubles with contiguous columns, the
 * core's tensors, which are of `real` with contiguous rows, and the panels of the
 * left matrix that `multiply_panel` reads. Included by kernels_impl.h.
 *
 * A panel is (depth x BLOCK_ROWS) and contiguous, `a_panel` numbers from the
 * next. Whole vectors are stored, in the order of the depth: what a vector holds
 * beyond the panel's rows is overwritten by the next one, or lands in the
 * VEC_LANES numbers that follow the panel. */

#undef PANEL_VECTORS
#define PANEL_VECTORS ((BLOCK_ROWS + VEC_LANES - 1) / VEC_LANES)

/* Depths that are under way from memory while one is packed: the columns of a
 * large array lie on pages of their own, which no hardware prefetcher crosses. */
#ifndef ATTN_DEPTHS_AHEAD
#define ATTN_DEPTHS_AHEAD 8
#define ATTN_LINE_DOUBLES 8
#endif

/* from[row + d * from_depth]: no number changes its neighbors. `readable` rows, at
 * least `rows`, may be read of every column. */
static void KERNEL(pack_columns)(ptrdiff_t rows, ptrdiff_t readable, ptrdiff_t depth,
                                 const double* from, ptrdiff_t from_depth, real* to,
                                 ptrdiff_t a_panel) {
    const ptrdiff_t panels = PANELS_OF(rows), height = rows / panels, higher = rows % panels;
    for (ptrdiff_t d = 0; d < depth; d++) {
        if (d + ATTN_DEPTHS_AHEAD < depth) {
            const double* ahead = from + ATTN_DEPTHS_AHEAD * from_depth;
            for (ptrdiff_t row = 0; row < rows; row += ATTN_LINE_DOUBLES) {
                __builtin_prefetch(ahead + row);
            }
        }
        ptrdiff_t row = 0;
        for (ptrdiff_t panel = 0; panel < panels; panel++) {
            const ptrdiff_t present = height + (panel < higher);
            real* at = to + panel * a_panel;
            if (row + PANEL_VECTORS * VEC_LANES <= readable) {
                ATTN_UNROLL
                for (int v = 0; v < PANEL_VECTORS; v++) {
                    vec_store(at + v * VEC_LANES, vec_from_doubles(from + row + v * VEC_LANES));
                }
            } else {
                for (ptrdiff_t i = 0; i < present; i++) {
                    at[i] = (real)from[row + i];
                }
            }
            row += present;
        }
        from += from_depth;
        to += BLOCK_ROWS;
    }
}

/* from[row * from_row + d]: squares of VEC_LANES rows by as many depths are
 * transposed in registers */
static void KERNEL(pack_rows)(ptrdiff_t rows, ptrdiff_t depth, const real* from,
                              ptrdiff_t from_row, real* to, ptrdiff_t a_panel) {
    const ptrdiff_t panels = PANELS_OF(rows), height = rows / panels, higher = rows % panels;
    for (ptrdiff_t panel = 0; panel < panels; panel++) {
        const ptrdiff_t present = height + (panel < higher);
        ptrdiff_t d = 0;
        for (; d + VEC_LANES <= depth; d += VEC_LANES) {
            /* the last square first: the others overwrite what it has too much */
            for (ptrdiff_t first = (present - 1) / VEC_LANES * VEC_LANES; first >= 0;
                 first -= VEC_LANES) {
                vec square[VEC_LANES];
                ATTN_UNROLL
                for (int i = 0; i < VEC_LANES; i++) {
                    const ptrdiff_t row = first + i < present ? first + i : present - 1;
                    square[i] = vec_load(from + row * from_row + d);
                }
                vec_transpose(square);
                ATTN_UNROLL
                for (int i = 0; i < VEC_LANES; i++) {
                    vec_store(to + (d + i) * BLOCK_ROWS + first, square[i]);
                }
            }
        }
        for (; d < depth; d++) {
            for (ptrdiff_t row = 0; row < present; row++) {
                to[d * BLOCK_ROWS + row] = from[row * from_row + d];
            }
        }
        from += present * from_row;
        to += a_panel;
    }
}

/* to[row * to_row + column] = from[row + column * from_column] */
static void KERNEL(read_columns)(ptrdiff_t rows, ptrdiff_t columns, const double* from,
                                 ptrdiff_t from_column, real* to, ptrdiff_t to_row) {
    ptrdiff_t column = 0;
    for (; column + VEC_LANES <= columns; column += VEC_LANES) {
        const double* corner = from + column * from_column;
        ptrdiff_t row = 0;
        for (; row + VEC_LANES <= rows; row += VEC_LANES) {
            vec square[VEC_LANES];
            ATTN_UNROLL
            for (int i = 0; i < VEC_LANES; i++) {
                square[i] = vec_from_doubles(corner + row + i * from_column);
            }
            vec_transpose(square);
            ATTN_UNROLL
            for (int i = 0; i < VEC_LANES; i++) {
                vec_store(to + (row + i) * to_row + column, square[i]);
            }
        }
        for (; row < rows; row++) {
            for (int i = 0; i < VEC_LANES; i++) {
                to[row * to_row + column + i] = (real)corner[row + i * from_column];
            }
        }
    }
    for (; column < columns; column++) {
        for (ptrdiff_t row = 0; row < rows; row++) {
            to[row * to_row + column] = (real)from[row + column * from_column];
        }
    }
}

/* to[row + to_column[column]] = from[row * from_row + column] */
static void KERNEL(write_columns)(ptrdiff_t rows, ptrdiff_t columns, const real* from,
                                  ptrdiff_t from_row, double* to, const ptrdiff_t* to_column) {
    ptrdiff_t column = 0;
    for (; column + VEC_LANES <= columns; column += VEC_LANES) {
        const real* corner = from + column;
        ptrdiff_t row = 0;
        for (; row + VEC_LANES <= rows; row += VEC_LANES) {
            vec square[VEC_LANES];
            ATTN_UNROLL
            for (int i = 0; i < VEC_LANES; i++) {
                square[i] = vec_load(corner + (row + i) * from_row);
            }
            vec_transpose(square);
            ATTN_UNROLL
            for (int i = 0; i < VEC_LANES; i++) {
                vec_to_doubles(to + row + to_column[column + i], square[i]);
            }
        }
        for (; row < rows; row++) {
            for (int i = 0; i < VEC_LANES; i++) {
                to[row + to_column[column + i]] = (double)corner[row * from_row + i];
            }
        }
    }
    for (; column < columns; column++) {
        for (ptrdiff_t row = 0; row < rows; row++) {
            to[row + to_column[column]] = (double)from[row * from_row + column];
        }
    }
}

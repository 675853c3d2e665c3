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

/* Where row or column `line` of a matrix starts: at its place, if there is a list of
 * places, times the step from one to the next. */
ATTN_INLINE ptrdiff_t KERNEL(start_of)(ptrdiff_t line, ptrdiff_t step, const ptrdiff_t* place) {
    return (place != NULL ? place[line] : line) * step;
}

/* from[row * from_row + d]: squares of VEC_LANES rows by as many depths are
 * transposed in registers */
static void KERNEL(pack_rows)(ptrdiff_t rows, ptrdiff_t depth, const real* from,
                              ptrdiff_t from_row, const ptrdiff_t* place, real* to,
                              ptrdiff_t a_panel) {
    const ptrdiff_t panels = PANELS_OF(rows), height = rows / panels, higher = rows % panels;
    ptrdiff_t start[PANEL_VECTORS * VEC_LANES], row = 0;
    for (ptrdiff_t panel = 0; panel < panels; panel++) {
        const ptrdiff_t present = height + (panel < higher);
        for (int i = 0; i < PANEL_VECTORS * VEC_LANES; i++) {
            const ptrdiff_t last = row + present - 1;
            start[i] = KERNEL(start_of)(row + i < last ? row + i : last, from_row, place);
        }
        ptrdiff_t d = 0;
        for (; d + VEC_LANES <= depth; d += VEC_LANES) {
            /* the last square first: the others overwrite what it has too much */
            for (int first = (PANEL_VECTORS - 1) * VEC_LANES; first >= 0; first -= VEC_LANES) {
                vec square[VEC_LANES];
                ATTN_UNROLL
                for (int i = 0; i < VEC_LANES; i++) {
                    square[i] = vec_load(from + start[first + i] + d);
                }
                vec_transpose(square);
                ATTN_UNROLL
                for (int i = 0; i < VEC_LANES; i++) {
                    vec_store(to + (d + i) * BLOCK_ROWS + first, square[i]);
                }
            }
        }
        for (; d < depth; d++) {
            for (ptrdiff_t i = 0; i < present; i++) {
                to[d * BLOCK_ROWS + i] = from[start[i] + d];
            }
        }
        row += present;
        to += a_panel;
    }
}

/* rows of `to` are at their places: to[place[row] * to_row + column] =
 * from[row + column * from_column] */
static void KERNEL(read_columns)(ptrdiff_t rows, ptrdiff_t columns, const double* from,
                                 ptrdiff_t from_column, real* to, ptrdiff_t to_row,
                                 const ptrdiff_t* place) {
    for (ptrdiff_t column = 0; column < columns; column += VEC_LANES) {
        const double* corner = from + column * from_column;
        const ptrdiff_t wide = columns - column < VEC_LANES ? columns - column : VEC_LANES;
        ptrdiff_t row = 0;
        for (; wide == VEC_LANES && row + VEC_LANES <= rows; row += VEC_LANES) {
            vec square[VEC_LANES];
            ATTN_UNROLL
            for (int i = 0; i < VEC_LANES; i++) {
                square[i] = vec_from_doubles(corner + row + i * from_column);
            }
            vec_transpose(square);
            ATTN_UNROLL
            for (int i = 0; i < VEC_LANES; i++) {
                vec_store(to + KERNEL(start_of)(row + i, to_row, place) + column, square[i]);
            }
        }
        for (; row < rows; row++) {
            real* at = to + KERNEL(start_of)(row, to_row, place) + column;
            for (ptrdiff_t i = 0; i < wide; i++) {
                at[i] = (real)corner[row + i * from_column];
            }
        }
    }
}

/* rows of `from` and columns of `to` are at their places:
 * to[row + to_place[column] * to_column] = from[place[row] * from_row + column] */
static void KERNEL(write_columns)(ptrdiff_t rows, ptrdiff_t columns, const real* from,
                                  ptrdiff_t from_row, const ptrdiff_t* place, double* to,
                                  ptrdiff_t to_column, const ptrdiff_t* to_place) {
    for (ptrdiff_t column = 0; column < columns; column += VEC_LANES) {
        const real* corner = from + column;
        const ptrdiff_t wide = columns - column < VEC_LANES ? columns - column : VEC_LANES;
        double* start[VEC_LANES];
        for (ptrdiff_t i = 0; i < VEC_LANES; i++) {
            start[i] = to + KERNEL(start_of)(column + (i < wide ? i : 0), to_column, to_place);
        }
        ptrdiff_t row = 0;
        for (; wide == VEC_LANES && row + VEC_LANES <= rows; row += VEC_LANES) {
            vec square[VEC_LANES];
            ATTN_UNROLL
            for (int i = 0; i < VEC_LANES; i++) {
                square[i] = vec_load(corner + KERNEL(start_of)(row + i, from_row, place));
            }
            vec_transpose(square);
            ATTN_UNROLL
            for (int i = 0; i < VEC_LANES; i++) {
                vec_to_doubles(start[i] + row, square[i]);
            }
        }
        for (; row < rows; row++) {
            const real* at = corner + KERNEL(start_of)(row, from_row, place);
            for (ptrdiff_t i = 0; i < wide; i++) {
                start[i][row] = (double)at[i];
            }
        }
    }
}

/* The matrix product over packed panels. Included by kernels_impl.h. */

/* ---- matrix product -------------------------------------------------------- */

/* One register block of C = A B, plus C itself or `bias`, a row of C's width, or
 * nothing. Row i of C is `place[i]` steps of c_row away, or i. `rows`, `vectors` and
 * what may be NULL are constants wherever this is called, so that acc stays in
 * registers. */
ATTN_INLINE void KERNEL(multiply_block)(const int rows, const int vectors, ptrdiff_t depth,
                                        const real* a, ptrdiff_t a_depth, const real* b,
                                        ptrdiff_t b_depth, const real* bias, real* c,
                                        ptrdiff_t c_row, const ptrdiff_t* place,
                                        int accumulate) {
    vec acc[BLOCK_ROWS][BLOCK_VECTORS];
    ATTN_UNROLL
    for (int i = 0; i < rows; i++) {
        ATTN_UNROLL
        for (int j = 0; j < vectors; j++) {
            acc[i][j] = vec_set1((real)0);
        }
    }
    for (ptrdiff_t d = 0; d < depth; d++) {
        vec column[BLOCK_VECTORS];
        ATTN_UNROLL
        for (int j = 0; j < vectors; j++) {
            column[j] = vec_load(b + j * VEC_LANES);
        }
        ATTN_UNROLL
        for (int i = 0; i < rows; i++) {
            vec element = vec_set1(a[i]);
            ATTN_UNROLL
            for (int j = 0; j < vectors; j++) {
                acc[i][j] = vec_fma(element, column[j], acc[i][j]);
            }
        }
        a += a_depth;
        b += b_depth;
    }
    if (bias != NULL && !accumulate) {
        ATTN_UNROLL
        for (int j = 0; j < vectors; j++) {
            const vec addend = vec_load(bias + j * VEC_LANES);
            ATTN_UNROLL
            for (int i = 0; i < rows; i++) {
                acc[i][j] = vec_add(addend, acc[i][j]);
            }
        }
    }
    ATTN_UNROLL
    for (int i = 0; i < rows; i++) {
        real* to = c + (place != NULL ? place[i] : i) * c_row;
        ATTN_UNROLL
        for (int j = 0; j < vectors; j++) {
            real* at = to + j * VEC_LANES;
            vec_store(at, accumulate ? vec_add(vec_load(at), acc[i][j]) : acc[i][j]);
        }
    }
}

/* one unrolled copy for every height; those above BLOCK_ROWS compile to nothing */
#undef ATTN_MOST_BLOCK_ROWS
#define ATTN_MOST_BLOCK_ROWS 14
ATTN_INLINE void KERNEL(multiply_rows)(int rows, const int vectors, ptrdiff_t depth, const real* a,
                                       ptrdiff_t a_depth, const real* b, ptrdiff_t b_depth,
                                       const real* bias, real* c, ptrdiff_t c_row,
                                       const ptrdiff_t* place, int accumulate) {
#define ATTN_MULTIPLY_CASE(n)                                                                 \
    case n:                                                                                   \
        if (n <= BLOCK_ROWS) {                                                                \
            KERNEL(multiply_block)(n <= BLOCK_ROWS ? n : 1, vectors, depth, a, a_depth, b,    \
                                   b_depth, bias, c, c_row, place, accumulate);               \
        }                                                                                     \
        break
    switch (rows) {
        ATTN_MULTIPLY_CASE(1);
        ATTN_MULTIPLY_CASE(2);
        ATTN_MULTIPLY_CASE(3);
        ATTN_MULTIPLY_CASE(4);
        ATTN_MULTIPLY_CASE(5);
        ATTN_MULTIPLY_CASE(6);
        ATTN_MULTIPLY_CASE(7);
        ATTN_MULTIPLY_CASE(8);
        ATTN_MULTIPLY_CASE(9);
        ATTN_MULTIPLY_CASE(10);
        ATTN_MULTIPLY_CASE(11);
        ATTN_MULTIPLY_CASE(12);
        ATTN_MULTIPLY_CASE(13);
        ATTN_MULTIPLY_CASE(14);
    }
#undef ATTN_MULTIPLY_CASE
}

/* Rows of A are spread evenly over as many panels as they need: what is left
 * over makes no panel of a row or two, which would wait for its own sums. The
 * first `rows % panels` panels have a row more; pack_rows and pack_columns
 * (marshal_impl.h) count in the same way. */
#undef PANELS_OF
#define PANELS_OF(rows) (((rows) + BLOCK_ROWS - 1) / BLOCK_ROWS)

ATTN_INLINE void KERNEL(multiply_panels)(const int vectors, ptrdiff_t rows, ptrdiff_t depth,
                                         const real* a, ptrdiff_t a_panel, const real* b,
                                         const real* bias, real* c, ptrdiff_t c_row,
                                         const ptrdiff_t* place, int accumulate) {
    const ptrdiff_t panels = PANELS_OF(rows), height = rows / panels, higher = rows % panels;
    ptrdiff_t row = 0;
    for (ptrdiff_t panel = 0; panel < panels; panel++) {
        const int block = (int)(height + (panel < higher));
        const ptrdiff_t* places = place == NULL ? NULL : place + row;
        real* to = place == NULL ? c + row * c_row : c;
        /* rows of C are far apart: under way while the sums are made */
        for (int i = 0; i < block; i++) {
            const real* soon = to + (places == NULL ? i : places[i]) * c_row;
            __builtin_prefetch(soon, 1);
            __builtin_prefetch(soon + vectors * VEC_LANES - 1, 1);
        }
        KERNEL(multiply_rows)(block, vectors, depth, a, BLOCK_ROWS, b, vectors * VEC_LANES, bias,
                              to, c_row, places, accumulate);
        a += a_panel;
        row += block;
    }
}

static void KERNEL(multiply_panel)(ptrdiff_t rows, ptrdiff_t depth, const real* a,
                                   ptrdiff_t a_panel, const real* b, const real* bias, real* c,
                                   ptrdiff_t c_row, const ptrdiff_t* place, int accumulate) {
    KERNEL(multiply_panels)(BLOCK_VECTORS, rows, depth, a, a_panel, b, bias, c, c_row, place,
                            accumulate);
}

static void KERNEL(multiply_narrow)(ptrdiff_t rows, ptrdiff_t depth, const real* a,
                                    ptrdiff_t a_panel, const real* b, const real* bias, real* c,
                                    ptrdiff_t c_row, const ptrdiff_t* place, int accumulate) {
    KERNEL(multiply_panels)(1, rows, depth, a, a_panel, b, bias, c, c_row, place, accumulate);
}

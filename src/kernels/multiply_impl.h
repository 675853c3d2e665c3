/* The matrix product over packed panels. Included by kernels_impl.h. */

/* ---- matrix product -------------------------------------------------------- */

/* C = A B + addend, one register block. `rows` and `vectors` are constants
 * wherever this is called, so that acc stays in registers. addend may be NULL. */
ATTN_INLINE void KERNEL(multiply_block)(const int rows, const int vectors, ptrdiff_t depth,
                                        const real* a, ptrdiff_t a_depth, const real* b,
                                        ptrdiff_t b_depth, const real* addend,
                                        ptrdiff_t addend_row, real* c, ptrdiff_t c_row) {
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
    ATTN_UNROLL
    for (int i = 0; i < rows; i++) {
        ATTN_UNROLL
        for (int j = 0; j < vectors; j++) {
            const ptrdiff_t at = j * VEC_LANES;
            vec sum = acc[i][j];
            if (addend != NULL) {
                sum = vec_add(vec_load(addend + i * addend_row + at), sum);
            }
            vec_store(c + i * c_row + at, sum);
        }
    }
}

/* one unrolled copy for every height; those above BLOCK_ROWS compile to nothing */
ATTN_INLINE void KERNEL(multiply_rows)(int rows, const int vectors, ptrdiff_t depth, const real* a,
                                       ptrdiff_t a_depth, const real* b, ptrdiff_t b_depth,
                                       const real* addend, ptrdiff_t addend_row, real* c,
                                       ptrdiff_t c_row) {
#define ATTN_MULTIPLY_CASE(n)                                                                 \
    case n:                                                                                   \
        if (n <= BLOCK_ROWS) {                                                                \
            KERNEL(multiply_block)(n <= BLOCK_ROWS ? n : 1, vectors, depth, a, a_depth, b,    \
                                   b_depth, addend, addend_row, c, c_row);                    \
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
        default:
            break;
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
                                         const real* addend, ptrdiff_t addend_row, real* c,
                                         ptrdiff_t c_row) {
    const ptrdiff_t panels = PANELS_OF(rows), height = rows / panels, higher = rows % panels;
    for (ptrdiff_t panel = 0; panel < panels; panel++) {
        const int block = (int)(height + (panel < higher));
        /* rows of C are far apart: under way while the sums are made */
        for (int i = 0; i < block; i++) {
            __builtin_prefetch(c + i * c_row, 1);
            __builtin_prefetch(c + i * c_row + vectors * VEC_LANES - 1, 1);
        }
        KERNEL(multiply_rows)(block, vectors, depth, a, BLOCK_ROWS, b, vectors * VEC_LANES, addend,
                              addend_row, c, c_row);
        a += a_panel;
        c += block * c_row;
        addend = addend == NULL ? NULL : addend + block * addend_row;
    }
}

static void KERNEL(multiply_panel)(ptrdiff_t rows, ptrdiff_t depth, const real* a,
                                   ptrdiff_t a_panel, const real* b, const real* addend,
                                   ptrdiff_t addend_row, real* c, ptrdiff_t c_row) {
    KERNEL(multiply_panels)(BLOCK_VECTORS, rows, depth, a, a_panel, b, addend, addend_row, c,
                            c_row);
}

static void KERNEL(multiply_narrow)(ptrdiff_t rows, ptrdiff_t depth, const real* a,
                                    ptrdiff_t a_panel, const real* b, const real* addend,
                                    ptrdiff_t addend_row, real* c, ptrdiff_t c_row) {
    KERNEL(multiply_panels)(1, rows, depth, a, a_panel, b, addend, addend_row, c, c_row);
}

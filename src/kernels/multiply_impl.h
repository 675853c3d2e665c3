/* The matrix product over packed panels. Included by kernels_impl.h. */

/* ---- matrix product -------------------------------------------------------- */

/* `rows` is a constant wherever this is called, so that acc stays in registers */
ATTN_INLINE void KERNEL(multiply_block)(const int rows, ptrdiff_t depth, const real* a,
                                        ptrdiff_t a_depth, const real* b, ptrdiff_t b_depth,
                                        real* c, ptrdiff_t c_row, int accumulate) {
    vec acc[BLOCK_ROWS][BLOCK_VECTORS];
    ATTN_UNROLL
    for (int i = 0; i < rows; i++) {
        ATTN_UNROLL
        for (int j = 0; j < BLOCK_VECTORS; j++) {
            acc[i][j] = vec_set1((real)0);
        }
    }
    for (ptrdiff_t d = 0; d < depth; d++) {
        vec column[BLOCK_VECTORS];
        ATTN_UNROLL
        for (int j = 0; j < BLOCK_VECTORS; j++) {
            column[j] = vec_load(b + j * VEC_LANES);
        }
        ATTN_UNROLL
        for (int i = 0; i < rows; i++) {
            vec element = vec_set1(a[i]);
            ATTN_UNROLL
            for (int j = 0; j < BLOCK_VECTORS; j++) {
                acc[i][j] = vec_fma(element, column[j], acc[i][j]);
            }
        }
        a += a_depth;
        b += b_depth;
    }
    ATTN_UNROLL
    for (int i = 0; i < rows; i++) {
        ATTN_UNROLL
        for (int j = 0; j < BLOCK_VECTORS; j++) {
            real* to = c + i * c_row + j * VEC_LANES;
            vec_store(to, accumulate ? vec_add(vec_load(to), acc[i][j]) : acc[i][j]);
        }
    }
}

static void KERNEL(multiply)(ptrdiff_t rows, ptrdiff_t depth, const real* a, ptrdiff_t a_depth,
                             const real* b, ptrdiff_t b_depth, real* c, ptrdiff_t c_row,
                             int accumulate) {
    while (rows > 0) {
        int block = rows < BLOCK_ROWS ? (int)rows : BLOCK_ROWS;
/* one unrolled copy for every height; those above BLOCK_ROWS compile to nothing */
#define ATTN_MULTIPLY_CASE(n)                                                             \
    case n:                                                                               \
        if (n <= BLOCK_ROWS) {                                                            \
            KERNEL(multiply_block)(n <= BLOCK_ROWS ? n : 1, depth, a, a_depth, b, b_depth, \
                                   c, c_row, accumulate);                                 \
        }                                                                                 \
        break
        switch (block) {
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
        a += block;
        c += block * c_row;
        rows -= block;
    }
}

/* The products of attention and the packing that they read from. Included by
 * kernels_impl.h.
 *
 * R = BLOCK_ROWS, W = BLOCK_COLUMNS. A panel is W queries, one on each vector
 * lane; keys and values lie in blocks of R, so that every product is the register
 * block of multiply_impl.h over two contiguous streams. */

/* to[d * width + i] = row[i][d], i < width, `together` squares of rows at a time.
 * What is stored beside the last lane, where `width` is no multiple of a square's
 * side, is overwritten by what comes next: such squares go together, all lanes of
 * a d at once, upwards, and leave at most ATTN_PACK_SPILL numbers behind the last d.
 * Else a few rows go from end to end: rows may lie a power of two apart, and a
 * cache set has room for few of them. */
ATTN_INLINE void KERNEL(interleave)(const int width, const int together, ptrdiff_t depth,
                                    const real* const* row, real* to) {
    for (int first = 0; first < width; first += together * VEC_LANES) {
        ptrdiff_t d = 0;
        for (; d + VEC_LANES <= depth; d += VEC_LANES) {
            vec square[BLOCK_ROWS / VEC_LANES + 1][VEC_LANES];
            ATTN_UNROLL
            for (int g = 0; g < together; g++) {
                ATTN_UNROLL
                for (int i = 0; i < VEC_LANES; i++) {
                    const int lane = first + g * VEC_LANES + i;
                    square[g][i] = vec_load(row[lane < width ? lane : width - 1] + d);
                }
                vec_transpose(square[g]);
            }
            ATTN_UNROLL
            for (int i = 0; i < VEC_LANES; i++) {
                ATTN_UNROLL
                for (int g = 0; g < together; g++) {
                    vec_store(to + (d + i) * width + first + g * VEC_LANES, square[g][i]);
                }
            }
        }
        for (; d < depth; d++) {
            for (int i = first; i < width && i < first + together * VEC_LANES; i++) {
                to[d * width + i] = row[i][d];
            }
        }
    }
}

/* squares that cover `width` lanes together, or 1 where they need not */
#undef SQUARES
#define SQUARES(width) ((width) % VEC_LANES == 0 ? 1 : ((width) - 1) / VEC_LANES + 1)

static void KERNEL(pack_query_panel)(ptrdiff_t depth, const real* const* row, real* to) {
    KERNEL(interleave)(BLOCK_COLUMNS, SQUARES(BLOCK_COLUMNS), depth, row, to);
}

static void KERNEL(pack_key_block)(ptrdiff_t depth, const real* const* row, real* to) {
    KERNEL(interleave)(BLOCK_ROWS, SQUARES(BLOCK_ROWS), depth, row, to);
}

/* Block b, (block_keys x R) numbers from b * block_keys * R on, holds dims b R to
 * b R + R - 1 of every key. A row is read from end to end: the next one may lie in
 * the same cache set. What a copy of whole vectors writes behind its R numbers is
 * the next key's place, which is filled later; the last key of a block has none.
 * Returns whether some number is NaN or infinite: x - x is 0 but for those. */
static int KERNEL(pack_values)(ptrdiff_t keys, ptrdiff_t dims, const real* const* row, real* to,
                               ptrdiff_t block_keys) {
    enum { PIECES = (BLOCK_ROWS + VEC_LANES - 1) / VEC_LANES };
    vec trace = vec_set1((real)0);
    real rest = 0;
    for (ptrdiff_t j = 0; j < keys; j++) {
        ptrdiff_t first = 0;
        for (; j + 1 < block_keys && first + PIECES * VEC_LANES <= dims; first += BLOCK_ROWS) {
            real* place = to + first * block_keys + j * BLOCK_ROWS;
            ATTN_UNROLL
            for (int piece = 0; piece < PIECES; piece++) {
                vec x = vec_load(row[j] + first + piece * VEC_LANES);
                vec_store(place + piece * VEC_LANES, x);
                trace = vec_add(trace, vec_sub(x, x));
            }
        }
        for (; first < dims; first += BLOCK_ROWS) {
            const ptrdiff_t present = dims - first < BLOCK_ROWS ? dims - first : BLOCK_ROWS;
            for (ptrdiff_t i = 0; i < present; i++) {
                const real x = row[j][first + i];
                to[first * block_keys + j * BLOCK_ROWS + i] = x;
                rest += x - x;
            }
        }
    }
    real sum[VEC_LANES];
    vec_store(sum, trace);
    for (int i = 0; i < VEC_LANES; i++) {
        rest += sum[i];
    }
    return rest != 0;
}

/* row[i][v] = panel[v * W + i] */
static void KERNEL(unpack_panel)(ptrdiff_t dims, const real* panel, real* const* row) {
    for (int first = 0; first < BLOCK_COLUMNS; first += VEC_LANES) {
        ptrdiff_t v = 0;
        for (; v + VEC_LANES <= dims; v += VEC_LANES) {
            vec square[VEC_LANES];
            ATTN_UNROLL
            for (int i = 0; i < VEC_LANES; i++) {
                square[i] = vec_load(panel + (v + i) * BLOCK_COLUMNS + first);
            }
            vec_transpose(square);
            ATTN_UNROLL
            for (int i = 0; i < VEC_LANES; i++) {
                vec_store(row[first + i] + v, square[i]);
            }
        }
        for (; v < dims; v++) {
            for (int i = first; i < first + VEC_LANES; i++) {
                row[i][v] = panel[v * BLOCK_COLUMNS + i];
            }
        }
    }
}

/* logits (keys x W) = keys . queries, whole blocks of keys. A logit is summed in
 * runs of `run` dims, each from zero in registers, so that its error grows with
 * run + depth / run and not with depth: with LOGIT_RUN the output of attention stays
 * within u (1 + max|logit|) max|value| for depths up to 256
 * (tests/core/test_attention.c); a multiplication and an addition that both round
 * need shorter runs than a fused one. */
static void KERNEL(dot_logits)(ptrdiff_t keys, ptrdiff_t depth, ptrdiff_t run, const real* key,
                               const real* query, real* logits) {
    for (ptrdiff_t j = 0; j < keys; j += BLOCK_ROWS) {
        for (ptrdiff_t d = 0; d < depth; d += run) {
            real* sums = logits + j * BLOCK_COLUMNS;
            KERNEL(multiply_block)(BLOCK_ROWS, BLOCK_VECTORS, depth - d < run ? depth - d : run,
                                   key + j * depth + d * BLOCK_ROWS, BLOCK_ROWS,
                                   query + d * BLOCK_COLUMNS, BLOCK_COLUMNS, NULL, sums,
                                   BLOCK_COLUMNS, NULL, d > 0);
        }
    }
}

/* output (dims x W) += transposed values (dims x keys) . weights (keys x W) */
static void KERNEL(add_weighted)(ptrdiff_t dims, ptrdiff_t keys, const real* values,
                                 ptrdiff_t block_keys, const real* weights, real* output) {
    for (ptrdiff_t first = 0; first < dims; first += BLOCK_ROWS) {
        const int rows = dims - first < BLOCK_ROWS ? (int)(dims - first) : BLOCK_ROWS;
        real* sums = output + first * BLOCK_COLUMNS;
        KERNEL(multiply_rows)(rows, BLOCK_VECTORS, keys, values + first * block_keys, BLOCK_ROWS,
                              weights, BLOCK_COLUMNS, NULL, sums, BLOCK_COLUMNS, NULL, 1);
    }
}

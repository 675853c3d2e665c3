/* Dropout of weights, with queries on the lanes. Included by kernels_impl.h.
 *
 * Philox4x32-10 as random.c computes it, for as many counters at once as a vector
 * has 64-bit lanes: a 32-bit number in the lower half of each, with anything in the
 * upper half, which neither the product of the lower halves nor an exclusive or
 * lets down. */

#undef WORD_VECTORS
#undef lane_word
#define WORD_VECTORS (VEC_LANES / WORD_LANES) /* 64-bit lanes for one vec: 1 or 2 vectors */
#if REAL_BITS == 32
#define lane_word uint32_t
#else
#define lane_word uint64_t
#endif

struct KERNEL(philox) {
    words round_key[ATTN_PHILOX_ROUNDS][2];
    words high[2];
};

ATTN_INLINE struct KERNEL(philox) KERNEL(philox_of)(const struct attn_random_stream* stream) {
    struct KERNEL(philox) philox;
    uint32_t k0 = stream->key.word[0], k1 = stream->key.word[1];
    for (int round = 0; round < ATTN_PHILOX_ROUNDS; round++) {
        philox.round_key[round][0] = words_set1(k0);
        philox.round_key[round][1] = words_set1(k1);
        k0 += ATTN_PHILOX_WEYL0;
        k1 += ATTN_PHILOX_WEYL1;
    }
    philox.high[0] = words_set1((uint32_t)stream->high);
    philox.high[1] = words_set1((uint32_t)(stream->high >> 32));
    return philox;
}

/* the four words of every counter (low, philox->high) */
ATTN_INLINE void KERNEL(philox_block)(const struct KERNEL(philox) * philox, words low, words* to) {
    const words multiplier0 = words_set1(ATTN_PHILOX_MULTIPLIER0);
    const words multiplier1 = words_set1(ATTN_PHILOX_MULTIPLIER1);
    words c0 = low, c1 = words_upper(low), c2 = philox->high[0], c3 = philox->high[1];
    ATTN_UNROLL
    for (int round = 0; round < ATTN_PHILOX_ROUNDS; round++) {
        words product0 = words_product(multiplier0, c0);
        words product1 = words_product(multiplier1, c2);
        c0 = words_xor(words_upper(product1), words_xor(c1, philox->round_key[round][0]));
        c1 = product1;
        c2 = words_xor(words_upper(product0), words_xor(c3, philox->round_key[round][1]));
        c3 = product0;
    }
    to[0] = c0;
    to[1] = c1;
    to[2] = c2;
    to[3] = c3;
}

/* Where a lane's block of four begins up to three rows above the tile's first row,
 * the lanes differ by that many rows (S is no multiple of 4): moves every lane up
 * by its own number of rows. rows (count + 3 x VEC_LANES) */
static void KERNEL(align_lanes)(ptrdiff_t count, const int* above, lane_word* rows) {
    lane_word mask[4][VEC_LANES];
    for (int k = 0; k < 4; k++) {
        for (int i = 0; i < VEC_LANES; i++) {
            mask[k][i] = above[i] == k ? (lane_word)-1 : 0;
        }
    }
    for (lane_word* row = rows; row < rows + count * VEC_LANES; row += VEC_LANES) {
        for (int i = 0; i < VEC_LANES; i++) {
            row[i] = (row[i] & mask[0][i]) | (row[VEC_LANES + i] & mask[1][i]) |
                     (row[2 * VEC_LANES + i] & mask[2][i]) | (row[3 * VEC_LANES + i] & mask[3][i]);
        }
    }
}

/* rows of words for VEC_LANES lanes, of which lane i has the elements first + i * step
 * and on; returns the first row */
static const lane_word* KERNEL(word_rows)(ptrdiff_t keys, const struct KERNEL(philox) * philox,
                                          uint64_t first, uint64_t step, lane_word* rows) {
    uint64_t low[WORD_VECTORS][WORD_LANES];
    int above[VEC_LANES], differ = 0;
    for (int i = 0; i < VEC_LANES; i++) {
        const uint64_t index = first + (uint64_t)i * step;
        low[i % WORD_VECTORS][i / WORD_VECTORS] = index / 4;
        above[i] = (int)(index % 4);
        differ |= above[i] != above[0];
    }
    words counter[WORD_VECTORS];
    for (int w = 0; w < WORD_VECTORS; w++) {
        counter[w] = words_load(low[w]);
    }
    const words one = words_set1(1);
    const ptrdiff_t needed = keys + (differ ? 3 : above[0]);
    for (ptrdiff_t row = 0; row < needed; row += 4) {
        words block[WORD_VECTORS][4];
        ATTN_UNROLL
        for (int w = 0; w < WORD_VECTORS; w++) {
            KERNEL(philox_block)(philox, counter[w], block[w]);
            counter[w] = words_add(counter[w], one);
        }
        ATTN_UNROLL
        for (int k = 0; k < 4; k++) {
            vec_store_words(rows + (row + k) * VEC_LANES, block[0][k], block[WORD_VECTORS - 1][k]);
        }
    }
    if (differ) {
        KERNEL(align_lanes)(keys, above, rows);
        return rows;
    }
    return rows + above[0] * VEC_LANES;
}

static void KERNEL(drop_weights)(ptrdiff_t keys, real* weights,
                                 const struct attn_random_stream* stream, uint64_t first,
                                 uint64_t step, uint32_t threshold, real factor) {
    const struct KERNEL(philox) philox = KERNEL(philox_of)(stream);
    const vec by = vec_set1(factor);
    lane_word rows[(TILE_KEYS + 6) * VEC_LANES];
    for (int lane = 0; lane < BLOCK_COLUMNS; lane += VEC_LANES) {
        const lane_word* row =
            KERNEL(word_rows)(keys, &philox, first + (uint64_t)lane * step, step, rows);
        for (ptrdiff_t j = 0; j < keys; j++) {
            real* at = weights + j * BLOCK_COLUMNS + lane;
            vec_store(at, vec_if_word_from(row, threshold, vec_mul(vec_load(at), by)));
            row += VEC_LANES;
        }
    }
}

/* The checks of test_attend_kernels.c in one precision. R = block_rows,
 * W = block_columns, H = tile_keys. u = UNIT, half a unit in the last place of 1. */

static const char* REAL_NAME(set)(void) {
    static char name[32];
    snprintf(name, sizeof name, "%s float%d", attn_kernels()->isa, REAL_BITS);
    return name;
}

/* numbers in -1 to 1 that nothing follows */
static real* REAL_NAME(draw)(int slot, ptrdiff_t count) {
    real* x = fenced(slot, (size_t)count * sizeof *x);
    for (ptrdiff_t i = 0; i < count; i++) {
        x[i] = (real)(2 * dice_unit(&dice) - 1);
    }
    return x;
}

/* numbers not yet written, NaN, with canaries behind */
static real* REAL_NAME(blank)(int slot, ptrdiff_t count) {
    const size_t bytes = (size_t)(count + CANARIES) * sizeof(real);
    return memset(fenced(slot, bytes), 0xFF, bytes);
}

static int REAL_NAME(canaries_hold)(const real* at) {
    return untouched(at, CANARIES * sizeof *at);
}

static int REAL_NAME(same)(real a, real b) { return memcmp(&a, &b, sizeof a) == 0; }

/* ---- packing ---- */

static void REAL_NAME(packs_lanes)(const char* name, int width,
                                   void (*pack)(ptrdiff_t, const real* const*, real*)) {
    const real* row[MOST_ROWS];
    for (ptrdiff_t depth = 1; depth <= MOST_DIMS; depth++) {
        real* to = REAL_NAME(blank)(PACKED, depth * width + ATTN_PACK_SPILL);
        for (int i = 0; i < width; i++) {
            row[i] = REAL_NAME(draw)(i, depth);
        }
        pack(depth, row, to);
        int right = 1;
        for (ptrdiff_t at = 0; at < depth * width; at++) {
            right &= REAL_NAME(same)(to[at], row[at % width][at / width]);
        }
        CHECK(right, "%s: %s of %td dims is wrong", REAL_NAME(set)(), name, depth);
        CHECK(REAL_NAME(canaries_hold)(to + depth * width + ATTN_PACK_SPILL),
              "%s: %s of %td dims writes too far", REAL_NAME(set)(), name, depth);
    }
}

/* the place of dim v of key j in packed values */
static ptrdiff_t REAL_NAME(place)(ptrdiff_t j, ptrdiff_t v, ptrdiff_t block_keys) {
    const ptrdiff_t rows = REAL_KERNELS->block_rows;
    return (v / rows * block_keys + j) * rows + v % rows;
}

static void REAL_NAME(packs_values_of)(ptrdiff_t keys, ptrdiff_t dims, ptrdiff_t block_keys) {
    const ptrdiff_t rows = REAL_KERNELS->block_rows;
    const ptrdiff_t size = (dims + rows - 1) / rows * rows * block_keys + ATTN_PACK_SPILL;
    const real* row[MOST_ROWS];
    real* to = REAL_NAME(blank)(PACKED, size);
    for (int j = 0; j < keys; j++) {
        row[j] = REAL_NAME(draw)(j, dims);
    }
    int unclean = REAL_KERNELS->pack_values(keys, dims, row, to, block_keys), right = 1;
    for (ptrdiff_t j = 0; j < keys; j++) {
        for (ptrdiff_t v = 0; v < dims; v++) {
            right &= REAL_NAME(same)(to[REAL_NAME(place)(j, v, block_keys)], row[j][v]);
        }
    }
    CHECK(right && !unclean, "%s: pack_values of %td x %td is %s", REAL_NAME(set)(), keys, dims,
          right ? "not clean" : "wrong");
    int kept = REAL_NAME(canaries_hold)(to + size);
    for (ptrdiff_t v = 0; v < dims; v += rows) { /* what lies behind the keys of every block */
        const ptrdiff_t from = REAL_NAME(place)(keys, v, block_keys) + ATTN_PACK_SPILL;
        const ptrdiff_t end = REAL_NAME(place)(block_keys, v, block_keys);
        kept &= from >= end || untouched(to + from, (size_t)(end - from) * sizeof *to);
    }
    CHECK(kept, "%s: pack_values of %td x %td writes too far", REAL_NAME(set)(), keys, dims);
}

/* one number that is NaN or infinite, in every place; else the largest there are */
static void REAL_NAME(finds_unclean_values)(ptrdiff_t keys, ptrdiff_t dims) {
    const real bad[] = {(real)NAN, REAL_INFINITY, -REAL_INFINITY};
    const ptrdiff_t rows = REAL_KERNELS->block_rows;
    real* row[MOST_ROWS];
    real* to = REAL_NAME(blank)(PACKED, (dims + rows) * keys + ATTN_PACK_SPILL);
    for (int j = 0; j < keys; j++) {
        row[j] = REAL_NAME(draw)(j, dims);
        for (ptrdiff_t v = 0; v < dims; v++) {
            row[j][v] = v % 2 ? LARGEST : -LARGEST;
        }
    }
    const real* const* from = (const real* const*)row;
    int found = 1, alarm = REAL_KERNELS->pack_values(keys, dims, from, to, keys);
    for (ptrdiff_t at = 0; at < keys * dims; at++) {
        real* place = &row[at / dims][at % dims];
        const real kept = *place;
        *place = bad[at % 3];
        found &= REAL_KERNELS->pack_values(keys, dims, from, to, keys) != 0;
        *place = kept;
    }
    CHECK(found, "%s: pack_values of %td x %td misses a NaN or Inf", REAL_NAME(set)(), keys, dims);
    CHECK(!alarm, "%s: pack_values of %td x %td sees a NaN or Inf", REAL_NAME(set)(), keys, dims);
}

static void REAL_NAME(packs_values)(void) {
    const int rows = REAL_KERNELS->block_rows, tile = REAL_KERNELS->tile_keys;
    const int some[] = {1, 2, 3, rows - 1, rows, rows + 1, tile - 1, tile};
    for (ptrdiff_t dims = 1; dims <= MOST_DIMS; dims++) {
        for (int i = 0; i < 8; i++) {
            REAL_NAME(packs_values_of)(some[i], dims, dims % 2 ? tile : some[i]);
        }
        REAL_NAME(finds_unclean_values)(3, dims);
    }
    REAL_NAME(finds_unclean_values)(tile, 17);
}

static void REAL_NAME(unpacks)(void) {
    const ptrdiff_t width = REAL_KERNELS->block_columns;
    real* row[MOST_ROWS];
    for (ptrdiff_t dims = 1; dims <= MOST_DIMS; dims++) {
        const real* panel = REAL_NAME(draw)(PACKED, dims * width);
        for (int i = 0; i < width; i++) {
            row[i] = REAL_NAME(blank)(i, dims);
        }
        REAL_KERNELS->unpack_panel(dims, panel, row);
        int right = 1, kept = 1;
        for (ptrdiff_t at = 0; at < dims * width; at++) {
            right &= REAL_NAME(same)(row[at % width][at / width], panel[at]);
        }
        for (int i = 0; i < width; i++) {
            kept &= REAL_NAME(canaries_hold)(row[i] + dims);
        }
        CHECK(right && kept, "%s: unpack_panel of %td dims %s", REAL_NAME(set)(), dims,
              right ? "writes too far" : "is wrong");
    }
}

/* ---- products ---- */

static void REAL_NAME(dots)(ptrdiff_t keys, ptrdiff_t depth, ptrdiff_t run) {
    const ptrdiff_t rows = REAL_KERNELS->block_rows, width = REAL_KERNELS->block_columns;
    const ptrdiff_t whole = (keys + rows - 1) / rows * rows;
    const real* key = REAL_NAME(draw)(PACKED, whole * depth);
    const real* query = REAL_NAME(draw)(QUERY, depth * width);
    real* logits = REAL_NAME(blank)(LOGITS, whole * width);
    REAL_KERNELS->dot_logits(keys, depth, run, key, query, logits);
    /* roundings: of a product, of the sum within a run, of the sum over runs */
    const long double most = (long double)(2 + (run < depth ? run : depth) + depth / run) * UNIT;
    int right = 1;
    for (ptrdiff_t at = 0; at < keys * width; at++) {
        const ptrdiff_t j = at / width;
        long double sum = 0, size = 0;
        for (ptrdiff_t d = 0; d < depth; d++) {
            const long double product = (long double)key[(j / rows * depth + d) * rows + j % rows] *
                                        (long double)query[d * width + at % width];
            sum += product;
            size += fabsl(product);
        }
        right &= fabsl((long double)logits[at] - sum) <= most * size;
    }
    CHECK(right, "%s: dot_logits %td x %td in runs of %td is wrong", REAL_NAME(set)(), keys, depth,
          run);
    CHECK(REAL_NAME(canaries_hold)(logits + whole * width), "%s: dot_logits writes too far",
          REAL_NAME(set)());
}

static void REAL_NAME(adds_weighted)(ptrdiff_t dims, ptrdiff_t keys, ptrdiff_t block_keys) {
    const ptrdiff_t rows = REAL_KERNELS->block_rows, width = REAL_KERNELS->block_columns;
    const ptrdiff_t last = (dims - 1) / rows * rows;
    /* with the room behind that packing wants: of the scalar products gcc 12 has made
     * vectors that load a key after the last */
    real* values =
        REAL_NAME(draw)(PACKED, REAL_NAME(place)(keys, last, block_keys) + ATTN_PACK_SPILL);
    for (ptrdiff_t j = 0; j < keys; j++) {
        for (ptrdiff_t v = dims; v < last + rows; v++) { /* no dims: not to be looked at */
            values[REAL_NAME(place)(j, v, block_keys)] = (real)NAN;
        }
    }
    const real* weights = REAL_NAME(draw)(LOGITS, keys * width);
    const real* before = REAL_NAME(draw)(QUERY, dims * width);
    real* output = REAL_NAME(blank)(OUTPUT, dims * width);
    memcpy(output, before, (size_t)(dims * width) * sizeof(real));
    REAL_KERNELS->add_weighted(dims, keys, values, block_keys, weights, output);
    int right = 1;
    for (ptrdiff_t at = 0; at < dims * width; at++) {
        long double sum = (long double)before[at], size = fabsl(sum);
        for (ptrdiff_t j = 0; j < keys; j++) {
            const long double product =
                (long double)values[REAL_NAME(place)(j, at / width, block_keys)] *
                (long double)weights[j * width + at % width];
            sum += product;
            size += fabsl(product);
        }
        right &= fabsl((long double)output[at] - sum) <= (long double)(keys + 2) * UNIT * size;
    }
    CHECK(right && REAL_NAME(canaries_hold)(output + dims * width),
          "%s: add_weighted %td x %td %s", REAL_NAME(set)(), dims, keys,
          right ? "writes too far" : "is wrong");
}

static void REAL_NAME(multiplies)(void) {
    const int rows = REAL_KERNELS->block_rows, tile = REAL_KERNELS->tile_keys;
    const int some[] = {1, rows, rows + 1, tile}, depths[] = {1, 2, 15, 16, 17, 64, 65, 129, 300};
    const int runs[] = {1, 16, 64, 1000};
    for (int i = 0; i < 4; i++) {
        for (int j = 0; j < 9 * 4; j++) {
            REAL_NAME(dots)(some[i], depths[j / 4], runs[j % 4]);
        }
        for (ptrdiff_t dims = 1; dims <= MOST_DIMS; dims += 1 + dims / 20) {
            REAL_NAME(adds_weighted)(dims, some[i], dims % 2 ? tile : some[i]);
        }
    }
}

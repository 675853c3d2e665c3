/* Keys, values and queries as the kernels read them. Included by attention_real.h. */

/* one tile of keys and its values, of one key head */
static void REAL_NAME(pack_tile)(void* work, ptrdiff_t item, int thread) {
    const struct REAL_NAME(attend)* attend = work;
    const struct attn_attention* p = attend->problem;
    const ptrdiff_t height = REAL_KERNELS->tile_keys, rows = REAL_KERNELS->block_rows;
    const ptrdiff_t matrix = item / attend->key_tiles;
    const ptrdiff_t head = matrix % p->key_heads, batch = matrix / p->key_heads;
    const ptrdiff_t first = item % attend->key_tiles * height;
    const ptrdiff_t present = p->source - first < height ? p->source - first : height;
    const real** row = REAL_NAME(row_pointers)(attend, thread);
    for (ptrdiff_t j = 0; j < present; j++) {
        row[j] = (const real*)p->key + attn_row(&p->key_strides, batch, head, first + j);
    }
    /* what fills up the last block is never looked at */
    for (ptrdiff_t j = present; j % rows != 0; j++) {
        row[j] = row[present - 1];
    }
    real* key = attend->keys + item * attend->key_tile_size;
    for (ptrdiff_t j = 0; j < present; j += rows) {
        REAL_KERNELS->pack_key_block(p->key_dim, row + j, key + j * p->key_dim);
    }
    if (p->score == ATTN_SCORE_TANH) {
        REAL_KERNELS->tanh_parts((present + rows - 1) / rows * rows * p->key_dim, (real)p->inner,
                                 key, attend->key_part);
    }
    for (ptrdiff_t j = 0; j < present; j++) {
        row[j] = (const real*)p->value + attn_row(&p->value_strides, batch, head, first + j);
    }
    attend->unclean[item] = (unsigned char)REAL_KERNELS->pack_values(
        present, p->value_dim, row, attend->values + item * attend->value_tile_size, height);
}

/* dim v of key j of a tile of packed values */
static ptrdiff_t REAL_NAME(value_place)(ptrdiff_t j, ptrdiff_t v) {
    const ptrdiff_t rows = REAL_KERNELS->block_rows;
    return (v / rows * REAL_KERNELS->tile_keys + j) * rows + v % rows;
}

static void REAL_NAME(load_queries)(const struct REAL_NAME(attend) * attend,
                                    const struct REAL_NAME(panel) * panel, int thread) {
    const struct attn_attention* p = attend->problem;
    const ptrdiff_t width = REAL_KERNELS->block_columns;
    const real** row = REAL_NAME(row_pointers)(attend, thread);
    for (ptrdiff_t i = 0; i < width; i++) {
        /* lanes without a query do the last one's work again */
        const ptrdiff_t t = panel->t_begin + (i < panel->queries ? i : panel->queries - 1);
        row[i] = (const real*)p->query + attn_row(&p->query_strides, panel->batch, panel->head, t);
    }
    REAL_KERNELS->pack_query_panel(p->key_dim, row, panel->query);
    for (ptrdiff_t i = 0; attend->query_scale != 1 && i < p->key_dim * width; i++) {
        panel->query[i] *= attend->query_scale;
    }
    if (p->score == ATTN_SCORE_TANH) {
        REAL_KERNELS->tanh_parts(p->key_dim * width, (real)p->inner, panel->query,
                                 REAL_NAME(query_part)(p));
    }
}

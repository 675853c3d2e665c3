/* Keys, values and queries as the kernels read them. Included by attention_real.h. */

static void REAL_NAME(pack_keys)(void* work, ptrdiff_t item, int thread) {
    (void)thread;
    const struct REAL_NAME(attend)* attend = work;
    const struct attn_attention* p = attend->problem;
    const ptrdiff_t width = REAL_KERNELS->tile_keys;
    const ptrdiff_t tile = item % attend->key_tiles, matrix = item / attend->key_tiles;
    const ptrdiff_t head = matrix % p->key_heads, batch = matrix / p->key_heads;
    const ptrdiff_t first = tile * width;
    const ptrdiff_t present = p->source - first < width ? p->source - first : width;
    real* packed_keys = attend->keys + item * width * p->key_dim;
    for (ptrdiff_t j = 0; j < width; j++) {
        const real* key = j < present
                              ? (const real*)p->key + attn_row(&p->key_strides, batch, head, first + j)
                              : NULL;
        for (ptrdiff_t d = 0; d < p->key_dim; d++) {
            packed_keys[d * width + j] = key != NULL ? key[d] : 0;
        }
    }
    real* packed_values = attend->values + (matrix * p->source + first) * p->value_dim;
    real trace = 0; /* x - x is 0, or NaN for NaN and Inf */
    for (ptrdiff_t j = 0; j < present; j++) {
        const real* value =
            (const real*)p->value + attn_row(&p->value_strides, batch, head, first + j);
        for (ptrdiff_t d = 0; d < p->value_dim; d++) {
            real x = value[d];
            packed_values[j * p->value_dim + d] = x;
            trace += x - x;
        }
    }
    attend->unclean[item] = trace != 0;
}

static void REAL_NAME(load_queries)(const struct REAL_NAME(attend) * attend,
                                    const struct REAL_NAME(lane_state) * lanes) {
    const struct attn_attention* p = attend->problem;
    const ptrdiff_t width = REAL_KERNELS->tile_queries;
    for (ptrdiff_t i = 0; i < width; i++) {
        const real* query =
            i < lanes->queries ? (const real*)p->query + attn_row(&p->query_strides, lanes->batch,
                                                                  lanes->head, lanes->t_begin + i)
                               : NULL;
        for (ptrdiff_t d = 0; d < p->key_dim; d++) {
            lanes->query[d * width + i] =
                query != NULL ? query[d] * attend->query_scale : 0;
        }
    }
}

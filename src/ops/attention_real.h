/* attn_attention in one precision; see attention.h. Included by attention.c.
 *
 * Keys and values are packed once per call:
 *   keys    (B, G, tiles, K, tile_keys): a tile is transposed, so that the keys
 *           of a column are contiguous for the kernel; the last tile is filled
 *           up with zeros
 *   values  (B, G, S, V)
 * Then one item of work is a tile of tile_queries queries of one head. */

struct REAL_NAME(attend) {
    const struct attn_attention* problem;
    ptrdiff_t key_tiles, query_tiles;
    /* The scale of the logits is applied in the softmax where it can be, to
     * differences from the maximum; else (a bias or cap to add, a scale that is
     * negative or, as a `real`, 0) to the queries. One of the two is 1. */
    real query_scale, softmax_scale;
    real* keys;
    real* values;
    unsigned char* unclean; /* (B, G, tiles): the tile's values hold NaN or Inf */
    unsigned char* scratch;
    size_t scratch_stride;
};

/* What one thread works with. Matrices are (rows x tile_queries). */
struct REAL_NAME(lane_state) {
    real* query;   /* K rows, scaled */
    real* logits;  /* tile_keys rows */
    real* output;  /* V rows */
    real *row_max, *row_sum, *factor;
    real* cleaned;       /* a tile of values: (tile_keys x V) */
    unsigned char* dead; /* queries that see nothing */
    uint8_t* keep;       /* dropout of one row of logits */
    ptrdiff_t batch, head, t_begin, queries;
};

#include "attention_pack_real.h"

static void REAL_NAME(add_bias_tile)(const struct attn_attention* p,
                                     const struct REAL_NAME(lane_state) * lanes, ptrdiff_t s_begin,
                                     ptrdiff_t keys) {
    const ptrdiff_t width = REAL_KERNELS->tile_queries;
    const real* bias = (const real*)p->bias.data + lanes->batch * p->bias.batch +
                       lanes->head * p->bias.head + lanes->t_begin * p->bias.target +
                       s_begin * p->bias.source;
    for (ptrdiff_t j = 0; j < keys; j++) {
        for (ptrdiff_t i = 0; i < lanes->queries; i++) {
            lanes->logits[j * width + i] += bias[i * p->bias.target + j * p->bias.source];
        }
    }
}

/* logits (keys x tile_queries) of one tile of keys */
static void REAL_NAME(tile_logits)(const struct REAL_NAME(attend) * attend,
                                   const struct REAL_NAME(lane_state) * lanes,
                                   ptrdiff_t s_begin, ptrdiff_t keys) {
    const struct attn_attention* p = attend->problem;
    const ptrdiff_t width = REAL_KERNELS->tile_queries, height = REAL_KERNELS->tile_keys;
    const ptrdiff_t matrix = lanes->batch * p->key_heads + lanes->head / (p->heads / p->key_heads);
    const real* key =
        attend->keys + (matrix * attend->key_tiles + s_begin / height) * height * p->key_dim;
    for (ptrdiff_t d = 0; p->score == ATTN_SCORE_DOT && d < p->key_dim; d += LOGIT_DEPTH) {
        const ptrdiff_t depth = p->key_dim - d < LOGIT_DEPTH ? p->key_dim - d : LOGIT_DEPTH;
        for (ptrdiff_t lane = 0; lane < width; lane += REAL_KERNELS->block_columns) {
            REAL_KERNELS->multiply(keys, depth, key + d * height, height,
                                   lanes->query + d * width + lane, width, lanes->logits + lane,
                                   width, d > 0);
        }
    }
    if (p->score == ATTN_SCORE_TANH) {
        REAL_KERNELS->tanh_logits(keys, p->key_dim, key, height, lanes->query, p->tanh_weight,
                                  (real)p->inner, (real)p->scale, lanes->logits);
    }
    if (p->bias.data != NULL) {
        REAL_NAME(add_bias_tile)(p, lanes, s_begin, keys);
    }
    if (p->soft_cap > 0) {
        REAL_KERNELS->soft_cap(keys * width, lanes->logits, (real)p->soft_cap);
    }
}

#include "attention_mask_real.h"
#include "attention_dropout_real.h"

/* output (V x tile_queries) += values' weights */
static void REAL_NAME(add_weighted)(const struct REAL_NAME(lane_state) * lanes, ptrdiff_t dims,
                                    ptrdiff_t keys, const real* values) {
    const ptrdiff_t width = REAL_KERNELS->tile_queries;
    for (ptrdiff_t lane = 0; lane < width; lane += REAL_KERNELS->block_columns) {
        REAL_KERNELS->multiply(dims, keys, values, dims, lanes->logits + lane, width,
                               lanes->output + lane, width, 1);
    }
}

/* A masked key's weight is 0, but 0 * NaN is not. Where a tile has both masked
 * keys and such values, these are first taken as 0, so that rows that do not see
 * them get the bits they would get without them, then added to the rows that do. */
static void REAL_NAME(add_unclean)(const struct attn_attention* p,
                                   const struct REAL_NAME(lane_state) * lanes, ptrdiff_t s_begin,
                                   ptrdiff_t keys, const real* values) {
    const ptrdiff_t width = REAL_KERNELS->tile_queries, dims = p->value_dim;
    for (ptrdiff_t at = 0; at < keys * dims; at++) {
        lanes->cleaned[at] = values[at] - values[at] == 0 ? values[at] : 0;
    }
    REAL_NAME(add_weighted)(lanes, dims, keys, lanes->cleaned);
    for (ptrdiff_t at = 0; at < keys * dims; at++) {
        const ptrdiff_t j = at / dims, v = at % dims;
        for (ptrdiff_t i = 0; values[at] - values[at] != 0 && i < lanes->queries; i++) {
            if (attn_mask_sees(&p->mask, lanes->batch, lanes->head, lanes->t_begin + i,
                               s_begin + j)) {
                lanes->output[v * width + i] += lanes->logits[j * width + i] * values[at];
            }
        }
    }
}

static void REAL_NAME(add_values)(const struct REAL_NAME(attend) * attend,
                                  const struct REAL_NAME(lane_state) * lanes, ptrdiff_t s_begin,
                                  ptrdiff_t keys, int some_masked) {
    const struct attn_attention* p = attend->problem;
    const ptrdiff_t matrix = lanes->batch * p->key_heads + lanes->head / (p->heads / p->key_heads);
    const real* values = attend->values + (matrix * p->source + s_begin) * p->value_dim;
    const ptrdiff_t tile = matrix * attend->key_tiles + s_begin / REAL_KERNELS->tile_keys;
    if (some_masked && attend->unclean[tile]) {
        REAL_NAME(add_unclean)(p, lanes, s_begin, keys, values);
    } else {
        REAL_NAME(add_weighted)(lanes, p->value_dim, keys, values);
    }
}

/* logits become scale * logit - ATTN_SHIFT, rounded as `real` rounds it */
static void REAL_NAME(shift)(const struct REAL_NAME(attend) * attend, ptrdiff_t count,
                             real* logits) {
    for (ptrdiff_t i = 0; i < count; i++) {
        const real scaled = logits[i] * attend->softmax_scale;
        logits[i] = scaled - (real)ATTN_SHIFT;
    }
}

/* The online softmax over all keys. shifted: nothing is masked and every logit
 * loses ATTN_SHIFT. */
static void REAL_NAME(sweep)(const struct REAL_NAME(attend) * attend,
                             const struct REAL_NAME(lane_state) * lanes, int shifted) {
    const struct attn_attention* p = attend->problem;
    const ptrdiff_t width = REAL_KERNELS->tile_queries, height = REAL_KERNELS->tile_keys;
    for (ptrdiff_t i = 0; i < width; i++) {
        lanes->row_max[i] = -REAL_INFINITY;
        lanes->row_sum[i] = 0;
    }
    memset(lanes->output, 0, (size_t)(p->value_dim * width) * sizeof(real));
    struct attn_tile range = {lanes->batch, lanes->head, lanes->t_begin,
                              lanes->t_begin + lanes->queries, 0, p->source};
    if (!shifted) {
        attn_mask_narrow(&p->mask, &range);
    }
    for (ptrdiff_t s = range.s_begin / height * height; s < range.s_end; s += height) {
        const ptrdiff_t keys = p->source - s < height ? p->source - s : height;
        struct attn_tile tile = range;
        tile.s_begin = s;
        tile.s_end = s + keys;
        enum attn_visibility look =
            shifted ? ATTN_VISIBLE_ALL : attn_mask_look(&p->mask, &tile);
        if (look == ATTN_VISIBLE_NONE) {
            continue;
        }
        REAL_NAME(tile_logits)(attend, lanes, s, keys);
        if (shifted) {
            REAL_NAME(shift)(attend, keys * width, lanes->logits);
        } else if (look == ATTN_VISIBLE_SOME) {
            REAL_NAME(hide_masked)(p, lanes, s, keys);
        }
        if (REAL_KERNELS->softmax_step(keys, shifted ? 1 : attend->softmax_scale, lanes->logits,
                                       lanes->row_max, lanes->row_sum, lanes->factor)) {
            REAL_KERNELS->scale_lanes(p->value_dim, lanes->output, lanes->factor);
        }
        if (p->dropout.rate > 0) {
            REAL_NAME(drop_weights)(p, lanes, s, keys);
        }
        REAL_NAME(add_values)(attend, lanes, s, keys, look == ATTN_VISIBLE_SOME);
    }
}

/* row i of the output, unless the caller keeps it at zero */
static void REAL_NAME(store_row)(const struct attn_attention* p,
                                 const struct REAL_NAME(lane_state) * lanes, ptrdiff_t i,
                                 const real* column, ptrdiff_t step) {
    const ptrdiff_t t = lanes->t_begin + i;
    const struct attn_mask_part* keep = &p->keep_row;
    real* to = (real*)p->output + attn_row(&p->output_strides, lanes->batch, lanes->head, t);
    const int kept = keep->visible == NULL ||
                     keep->visible[lanes->batch * keep->batch + t * keep->target];
    for (ptrdiff_t v = 0; v < p->value_dim; v++) {
        to[v] = kept && column != NULL ? column[v * step] : 0;
    }
}

/* the mean over all S values, the same for every dead row; summed in double */
static void REAL_NAME(mean_value)(const struct REAL_NAME(attend) * attend,
                                  const struct REAL_NAME(lane_state) * lanes, real* mean) {
    const struct attn_attention* p = attend->problem;
    const ptrdiff_t matrix = lanes->batch * p->key_heads + lanes->head / (p->heads / p->key_heads);
    const real* values = attend->values + matrix * p->source * p->value_dim;
    for (ptrdiff_t v = 0; v < p->value_dim; v++) {
        double sum = 0;
        for (ptrdiff_t s = 0; s < p->source; s++) {
            sum += (double)values[s * p->value_dim + v];
        }
        mean[v] = (real)(sum / (double)p->source);
    }
}

static void REAL_NAME(store_dead_rows)(const struct REAL_NAME(attend) * attend,
                                       const struct REAL_NAME(lane_state) * lanes) {
    const struct attn_attention* p = attend->problem;
    const ptrdiff_t width = REAL_KERNELS->tile_queries;
    const real* column = NULL; /* zeros */
    ptrdiff_t step = 1;
    if (p->dead_row == ATTN_DEAD_MEAN) {
        /* every live row has been stored: `output` is free for the mean */
        REAL_NAME(mean_value)(attend, lanes, lanes->output);
        column = lanes->output;
    } else if (p->dead_row == ATTN_DEAD_SHIFTED) {
        /* the second sweep gives live lanes other sums: keep theirs for the scores */
        real* live_max = lanes->logits + REAL_KERNELS->tile_keys * width;
        real* live_sum = live_max + width;
        memcpy(live_max, lanes->row_max, (size_t)width * sizeof(real));
        memcpy(live_sum, lanes->row_sum, (size_t)width * sizeof(real));
        REAL_NAME(sweep)(attend, lanes, 1);
        REAL_KERNELS->divide_lanes(p->value_dim, lanes->output, lanes->row_sum);
        for (ptrdiff_t i = 0; i < width; i++) {
            if (!lanes->dead[i]) {
                lanes->row_max[i] = live_max[i];
                lanes->row_sum[i] = live_sum[i];
            }
        }
        column = lanes->output;
        step = width;
    }
    for (ptrdiff_t i = 0; i < lanes->queries; i++) {
        if (lanes->dead[i]) {
            REAL_NAME(store_row)(p, lanes, i, step == 1 ? column : column + i, step);
        }
    }
}

#include "attention_scores_real.h"

static void REAL_NAME(attend_tile)(void* work, ptrdiff_t item, int thread) {
    const struct REAL_NAME(attend)* attend = work;
    const struct attn_attention* p = attend->problem;
    const ptrdiff_t width = REAL_KERNELS->tile_queries, height = REAL_KERNELS->tile_keys;
    const ptrdiff_t matrix = item / attend->query_tiles;
    struct REAL_NAME(lane_state) lanes = {0};
    real* scratch = (real*)(attend->scratch + (size_t)thread * attend->scratch_stride);
    lanes.query = scratch;
    lanes.output = lanes.query + p->key_dim * width;
    lanes.row_max = lanes.output + p->value_dim * width;
    lanes.row_sum = lanes.row_max + width;
    lanes.factor = lanes.row_sum + width;
    lanes.logits = lanes.factor + width; /* twice tile_keys rows */
    lanes.cleaned = lanes.logits + 2 * height * width;
    lanes.dead = (unsigned char*)(lanes.cleaned + height * p->value_dim);
    lanes.keep = lanes.dead + width;
    lanes.batch = matrix / p->heads;
    lanes.head = matrix % p->heads;
    lanes.t_begin = item % attend->query_tiles * width;
    lanes.queries = p->target - lanes.t_begin < width ? p->target - lanes.t_begin : width;

    REAL_NAME(load_queries)(attend, &lanes);
    REAL_NAME(sweep)(attend, &lanes, 0);
    int any_dead = 0;
    for (ptrdiff_t i = 0; i < width; i++) {
        lanes.dead[i] = i < lanes.queries && lanes.row_sum[i] == 0 &&
                        !attn_mask_sees_any(&p->mask, lanes.batch, lanes.head, lanes.t_begin + i,
                                            p->source);
        any_dead |= lanes.dead[i];
    }
    REAL_KERNELS->divide_lanes(p->value_dim, lanes.output, lanes.row_sum);
    for (ptrdiff_t i = 0; i < lanes.queries; i++) {
        if (!lanes.dead[i]) {
            REAL_NAME(store_row)(p, &lanes, i, lanes.output + i, width);
        }
    }
    if (any_dead) {
        REAL_NAME(store_dead_rows)(attend, &lanes);
    }
    for (ptrdiff_t s = 0; p->scores.data != NULL && s < p->source; s += height) {
        const ptrdiff_t keys = p->source - s < height ? p->source - s : height;
        REAL_NAME(store_scores_tile)(attend, &lanes, s, keys, any_dead);
    }
}

static enum attn_status REAL_NAME(attention)(const struct attn_context* context,
                                             const struct attn_attention* p) {
    const ptrdiff_t width = REAL_KERNELS->tile_queries, height = REAL_KERNELS->tile_keys;
    const double operations = 2.0 * (double)p->batch * (double)p->heads * (double)p->target *
                              (double)p->source * (double)(p->key_dim + p->value_dim);
    struct REAL_NAME(attend) attend = {0};
    attend.problem = p;
    const int in_softmax = p->score == ATTN_SCORE_DOT && p->bias.data == NULL &&
                           !(p->soft_cap > 0) && (real)p->scale > 0;
    attend.softmax_scale = in_softmax ? (real)p->scale : 1;
    attend.query_scale = p->score == ATTN_SCORE_DOT && !in_softmax ? (real)p->scale : 1;
    attend.key_tiles = (p->source + height - 1) / height;
    attend.query_tiles = (p->target + width - 1) / width;
    const ptrdiff_t packs = p->batch * p->key_heads * attend.key_tiles;
    const ptrdiff_t items = p->batch * p->heads * attend.query_tiles;
    const int threads = attn_parallel_width(context, items, operations);
    size_t elements = (size_t)(width * (p->key_dim + p->value_dim + 3 + 2 * height) +
                               height * p->value_dim);
    attend.scratch_stride = (elements * sizeof(real) + (size_t)(width + height) + 63) / 64 * 64;
    attend.scratch =
        attn_workspace_take(context->workspace, (size_t)threads, attend.scratch_stride);
    attend.keys = attn_workspace_take(context->workspace, (size_t)packs,
                                      (size_t)(height * p->key_dim) * sizeof(real));
    attend.values = attn_workspace_take(context->workspace,
                                        (size_t)(p->batch * p->key_heads * p->source),
                                        (size_t)p->value_dim * sizeof(real));
    attend.unclean = attn_workspace_take(context->workspace, (size_t)packs, 1);
    if (attend.scratch == NULL || attend.keys == NULL || attend.values == NULL ||
        attend.unclean == NULL) {
        return ATTN_NO_MEMORY;
    }
    attn_parallel_run(context, attn_parallel_width(context, packs, operations / 16), packs,
                      REAL_NAME(pack_keys), &attend);
    attn_parallel_run(context, threads, items, REAL_NAME(attend_tile), &attend);
    return ATTN_OK;
}

/* attn_attention in one precision; see attention.h. Included by attention.c.
 *
 * R = block_rows, W = block_columns, H = tile_keys of the kernels. Keys and values
 * are packed once per call, in tiles of H keys:
 *   keys    (B, G, tiles, H / R, K, R)
 *   values  (B, G, tiles, ceil(V / R), H, R)
 * The queries of a head go in panels of W, one on each vector lane; an item of work
 * is as many panels as share the tiles of keys while these are in the cache. */

struct REAL_NAME(attend) {
    const struct attn_attention* problem;
    ptrdiff_t key_tiles, query_tiles;           /* per head */
    ptrdiff_t tile_queries;                     /* of an item of work */
    ptrdiff_t steps_per_look;                   /* at the clock */
    ptrdiff_t key_tile_size, value_tile_size;   /* in numbers */
    ptrdiff_t key_part; /* tanh: from a tile of keys to each of its parts (kernels.h) */
    /* The scale of the logits is applied in the softmax where it can be, to
     * differences from the maximum; else (a bias or cap to add, a scale that is
     * negative, or beyond what the kernel's exp takes) to the queries. One of the
     * two is 1. */
    real query_scale, softmax_scale;
    real* keys;
    real* values;
    unsigned char* unclean; /* (B, G, tiles): the tile's values hold NaN or Inf */
    /* of all rows, where weights are asked for: (B, N, panels, W) */
    real *row_max, *row_sum;
    unsigned char* dead;
    unsigned char* scratch;
    size_t scratch_stride;
};

/* W queries of one head. Matrices are (rows x W); those of a thread, not of a
 * panel, are marked. */
struct REAL_NAME(panel) {
    real* query;  /* K rows; tanh: and their parts (kernels.h) */
    real* output; /* V rows */
    real *row_max, *row_sum;
    real* factor;        /* (W), the thread's */
    real* logits;        /* 2 H rows, the thread's */
    real* cleaned;       /* a tile of values, the thread's */
    real* spare;         /* a row of output that nobody wants (V), the thread's */
    unsigned char* dead; /* (W) queries that see nothing, the thread's */
    real value_factor;   /* of the values as they are summed; see attention_tiny_real.h */
    ptrdiff_t batch, head;
    ptrdiff_t matrix; /* of keys and values: batch * G + key head */
    ptrdiff_t t_begin, queries;
};

/* from the queries of a panel to each of their parts, and how many there are of both */
static ptrdiff_t REAL_NAME(query_part)(const struct attn_attention* p) {
    return REAL_KERNELS->block_columns * p->key_dim + ATTN_PACK_SPILL;
}

static ptrdiff_t REAL_NAME(parts)(const struct attn_attention* p) {
    return p->score == ATTN_SCORE_TANH ? 3 : 1;
}

/* room for H + R or W pointers, whichever is more */
static const real** REAL_NAME(row_pointers)(const struct REAL_NAME(attend) * attend, int thread) {
    return (const real**)(attend->scratch + (size_t)thread * attend->scratch_stride);
}

/* which row of (B, N, panels, W) the panel begins with */
static ptrdiff_t REAL_NAME(first_row)(const struct attn_attention* p,
                                      const struct REAL_NAME(panel) * panel) {
    const ptrdiff_t width = REAL_KERNELS->block_columns;
    return (panel->batch * p->heads + panel->head) * ((p->target + width - 1) / width) * width +
           panel->t_begin;
}

#include "attention_pack_real.h"

static void REAL_NAME(add_bias_tile)(const struct attn_attention* p,
                                     const struct REAL_NAME(panel) * panel, ptrdiff_t s_begin,
                                     ptrdiff_t keys) {
    const ptrdiff_t width = REAL_KERNELS->block_columns;
    const real* bias = (const real*)p->bias.data + panel->batch * p->bias.batch +
                       panel->head * p->bias.head + panel->t_begin * p->bias.target +
                       s_begin * p->bias.source;
    for (ptrdiff_t j = 0; j < keys; j++) {
        for (ptrdiff_t i = 0; i < panel->queries; i++) {
            panel->logits[j * width + i] += bias[i * p->bias.target + j * p->bias.source];
        }
    }
}

/* logits (keys x W) of keys s_begin, ...: within a tile, from a whole block on */
static void REAL_NAME(tile_logits)(const struct REAL_NAME(attend) * attend,
                                   const struct REAL_NAME(panel) * panel, ptrdiff_t s_begin,
                                   ptrdiff_t keys) {
    const struct attn_attention* p = attend->problem;
    const ptrdiff_t width = REAL_KERNELS->block_columns, height = REAL_KERNELS->tile_keys;
    const ptrdiff_t rows = REAL_KERNELS->block_rows;
    const ptrdiff_t tile = panel->matrix * attend->key_tiles + s_begin / height;
    const real* key =
        attend->keys + tile * attend->key_tile_size + s_begin % height * p->key_dim;
    if (p->score == ATTN_SCORE_DOT) {
        REAL_KERNELS->dot_logits(keys, p->key_dim, REAL_KERNELS->logit_run, key, panel->query,
                                 panel->logits);
    } else {
        for (ptrdiff_t j = 0; j < keys; j += rows) {
            REAL_KERNELS->tanh_logits(keys - j < rows ? keys - j : rows, p->key_dim,
                                      key + j * p->key_dim, rows, attend->key_part, panel->query,
                                      REAL_NAME(query_part)(p), p->tanh_weight, (real)p->inner,
                                      (real)p->scale, panel->logits + j * width);
        }
    }
    if (p->bias.data != NULL) {
        REAL_NAME(add_bias_tile)(p, panel, s_begin, keys);
    }
    if (p->soft_cap > 0) {
        REAL_KERNELS->soft_cap(keys * width, panel->logits, (real)p->soft_cap);
    }
}

#include "attention_mask_real.h"
#include "attention_dropout_real.h"

/* A masked key's weight is 0, but 0 * NaN is not. Where a tile has both masked
 * keys and such values, these are first taken as 0, so that rows that do not see
 * them get the bits they would get without them, then added to the rows that do. */
static void REAL_NAME(add_copied)(const struct attn_attention* p,
                                  const struct REAL_NAME(panel) * panel, ptrdiff_t s_begin,
                                  ptrdiff_t keys, const real* values) {
    const ptrdiff_t width = REAL_KERNELS->block_columns, height = REAL_KERNELS->tile_keys;
    for (ptrdiff_t v = 0; v < p->value_dim; v++) {
        for (ptrdiff_t j = 0; j < keys; j++) {
            const real x = values[REAL_NAME(value_place)(j, v)];
            panel->cleaned[REAL_NAME(value_place)(j, v)] =
                x - x == 0 ? x * panel->value_factor : 0;
        }
    }
    REAL_KERNELS->add_weighted(p->value_dim, keys, panel->cleaned, height, panel->logits,
                               panel->output);
    for (ptrdiff_t at = 0; at < keys * p->value_dim; at++) {
        const ptrdiff_t j = at / p->value_dim, v = at % p->value_dim;
        const real x = values[REAL_NAME(value_place)(j, v)];
        for (ptrdiff_t i = 0; x - x != 0 && i < panel->queries; i++) {
            if (attn_mask_sees(&p->mask, panel->batch, panel->head, panel->t_begin + i,
                               s_begin + j)) {
                panel->output[v * width + i] += panel->logits[j * width + i] * x;
            }
        }
    }
}

static void REAL_NAME(add_values)(const struct REAL_NAME(attend) * attend,
                                  const struct REAL_NAME(panel) * panel, ptrdiff_t s_begin,
                                  ptrdiff_t keys, int some_masked) {
    const struct attn_attention* p = attend->problem;
    const ptrdiff_t height = REAL_KERNELS->tile_keys;
    const ptrdiff_t tile = panel->matrix * attend->key_tiles + s_begin / height;
    const real* values = attend->values + tile * attend->value_tile_size +
                         REAL_NAME(value_place)(s_begin % height, 0);
    if ((some_masked && attend->unclean[tile]) || panel->value_factor != 1) {
        REAL_NAME(add_copied)(p, panel, s_begin, keys, values);
    } else {
        REAL_KERNELS->add_weighted(p->value_dim, keys, values, height, panel->logits,
                                   panel->output);
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

static void REAL_NAME(begin_sums)(const struct REAL_NAME(attend) * attend,
                                  const struct REAL_NAME(panel) * panel) {
    const ptrdiff_t width = REAL_KERNELS->block_columns;
    for (ptrdiff_t i = 0; i < width; i++) {
        panel->row_max[i] = -REAL_INFINITY;
        panel->row_sum[i] = 0;
    }
    memset(panel->output, 0, (size_t)(attend->problem->value_dim * width) * sizeof(real));
}

/* leaves of the tile's keys what causality and window leave, from a whole block on */
static void REAL_NAME(narrow)(const struct attn_attention* p, struct attn_tile* tile) {
    const ptrdiff_t s_begin = tile->s_begin;
    attn_mask_narrow(&p->mask, tile);
    tile->s_begin -= (tile->s_begin - s_begin) % REAL_KERNELS->block_rows;
}

/* One step of the online softmax: the tile of keys that begins at s. shifted:
 * nothing is masked and every logit loses ATTN_SHIFT. */
static void REAL_NAME(add_tile)(const struct REAL_NAME(attend) * attend,
                                const struct REAL_NAME(panel) * panel, ptrdiff_t s, int shifted) {
    const struct attn_attention* p = attend->problem;
    const ptrdiff_t height = REAL_KERNELS->tile_keys;
    struct attn_tile tile = {panel->batch, panel->head, panel->t_begin,
                             panel->t_begin + panel->queries, s,
                             p->source - s < height ? p->source : s + height};
    enum attn_visibility look = ATTN_VISIBLE_ALL;
    if (!shifted) {
        REAL_NAME(narrow)(p, &tile);
        look = attn_mask_look(&p->mask, &tile);
    }
    if (tile.s_begin == tile.s_end || look == ATTN_VISIBLE_NONE) {
        return;
    }
    const ptrdiff_t keys = tile.s_end - tile.s_begin;
    REAL_NAME(tile_logits)(attend, panel, tile.s_begin, keys);
    if (shifted) {
        REAL_NAME(shift)(attend, keys * REAL_KERNELS->block_columns, panel->logits);
    } else if (look == ATTN_VISIBLE_SOME) {
        REAL_NAME(hide_masked)(p, panel, tile.s_begin, keys);
    }
    if (REAL_KERNELS->softmax_step(keys, shifted ? 1 : attend->softmax_scale, panel->logits,
                                   panel->row_max, panel->row_sum, panel->factor)) {
        REAL_KERNELS->scale_lanes(p->value_dim, panel->output, panel->factor);
    }
    if (p->dropout.rate > 0) {
        REAL_NAME(drop_weights)(p, panel, tile.s_begin, keys);
    }
    REAL_NAME(add_values)(attend, panel, tile.s_begin, keys, look == ATTN_VISIBLE_SOME);
}

/* The values' sums become their mean by weight. */
static void REAL_NAME(end_sums)(const struct REAL_NAME(attend) * attend,
                                const struct REAL_NAME(panel) * panel) {
    const ptrdiff_t dims = attend->problem->value_dim;
    REAL_KERNELS->divide_lanes(dims, panel->output, panel->row_sum);
    for (ptrdiff_t i = 0; panel->value_factor != 1 && i < dims * REAL_KERNELS->block_columns;
         i++) {
        panel->output[i] /= panel->value_factor;
    }
}

/* The steps of the online softmax that these panels, neighbors of one head, take: one for
 * each tile of keys and panel, the panels of a tile one after the other. Returns whether
 * all are done. */
static int REAL_NAME(add_tiles)(const struct REAL_NAME(attend) * attend, int panels,
                                const struct REAL_NAME(panel) * panel,
                                struct attn_progress* progress) {
    const struct attn_attention* p = attend->problem;
    const ptrdiff_t height = REAL_KERNELS->tile_keys;
    struct attn_tile range = {panel[0].batch, panel[0].head, panel[0].t_begin,
                              panel[panels - 1].t_begin + panel[panels - 1].queries, 0,
                              p->source};
    attn_mask_narrow(&p->mask, &range);
    const ptrdiff_t first = range.s_begin / height * height;
    const ptrdiff_t steps = (range.s_end - first + height - 1) / height * panels;
    ptrdiff_t until_look = attend->steps_per_look;
    for (ptrdiff_t step = progress->at; step < steps; step++) {
        if (until_look-- == 0) {
            if (attn_progress_must_pause(progress)) {
                progress->at = step;
                return 0;
            }
            until_look = attend->steps_per_look - 1;
        }
        REAL_NAME(add_tile)(attend, &panel[step % panels], first + step / panels * height, 0);
    }
    return 1;
}

#include "attention_tiny_real.h"
#include "attention_output_real.h"
#include "attention_scores_real.h"

/* Which queries see nothing: returns whether all have been looked at. */
static int REAL_NAME(find_dead)(const struct attn_attention* p,
                                const struct REAL_NAME(panel) * panel,
                                struct attn_progress* progress) {
    for (ptrdiff_t i = progress->at; i < panel->queries; i++) {
        const int looks = panel->row_sum[i] == 0;
        if (looks && i > progress->at && attn_progress_must_pause(progress)) {
            progress->at = i;
            return 0;
        }
        panel->dead[i] = looks && !attn_mask_sees_any(&p->mask, panel->batch, panel->head,
                                                      panel->t_begin + i, p->source);
    }
    return 1;
}

/* Returns whether the panel is finished. `ending`: of enum ending, where to go on. */
static int REAL_NAME(finish_panel)(const struct REAL_NAME(attend) * attend,
                                   struct REAL_NAME(panel) * panel, int thread,
                                   ptrdiff_t* ending, struct attn_progress* progress) {
    const struct attn_attention* p = attend->problem;
    if (!REAL_NAME(sum_tiny)(attend, panel, ending, progress)) {
        return 0;
    }
    if (*ending == FIND_DEAD) {
        if (!REAL_NAME(find_dead)(p, panel, progress)) {
            return 0;
        }
        REAL_NAME(end_sums)(attend, panel);
        REAL_NAME(store_rows)(attend, panel, thread, 0);
        *ending = SWEEP_DEAD;
        progress->at = 0;
    }
    if (memchr(panel->dead, 1, (size_t)panel->queries) != NULL) {
        if (!REAL_NAME(sweep_dead)(attend, panel, progress)) {
            return 0;
        }
        REAL_NAME(store_rows)(attend, panel, thread, 1);
    }
    if (p->scores.data != NULL) {
        REAL_NAME(keep_sums)(attend, panel);
    }
    return 1;
}

/* ---- items of work ---- */

/* numbers that belong to one panel: query, output, row_max, row_sum */
static ptrdiff_t REAL_NAME(panel_size)(const struct attn_attention* p) {
    return REAL_NAME(parts)(p) * REAL_NAME(query_part)(p) +
           REAL_KERNELS->block_columns * (p->value_dim + 2);
}

static ptrdiff_t REAL_NAME(pointer_count)(void) {
    const ptrdiff_t keys = REAL_KERNELS->tile_keys + REAL_KERNELS->block_rows;
    return keys > REAL_KERNELS->block_columns ? keys : REAL_KERNELS->block_columns;
}

/* Bytes of one thread: row pointers, what its panels share, the panels, flags. */
static size_t REAL_NAME(scratch_size)(const struct REAL_NAME(attend) * attend) {
    const struct attn_attention* p = attend->problem;
    const ptrdiff_t width = REAL_KERNELS->block_columns, height = REAL_KERNELS->tile_keys;
    const ptrdiff_t shared =
        width * (1 + 2 * height) + attend->value_tile_size + p->value_dim;
    const ptrdiff_t numbers =
        shared + REAL_KERNELS->tile_queries / width * REAL_NAME(panel_size)(p);
    return (size_t)REAL_NAME(pointer_count)() * sizeof(real*) + (size_t)numbers * sizeof(real) +
           (size_t)width;
}

/* the panels of an item's queries; returns their number */
static int REAL_NAME(lay_out)(const struct REAL_NAME(attend) * attend, ptrdiff_t item, int thread,
                              struct REAL_NAME(panel) * panels) {
    const struct attn_attention* p = attend->problem;
    const ptrdiff_t width = REAL_KERNELS->block_columns, height = REAL_KERNELS->tile_keys;
    const ptrdiff_t most = attend->tile_queries, size = REAL_NAME(panel_size)(p);
    const ptrdiff_t matrix = item / attend->query_tiles;
    const ptrdiff_t t_first = item % attend->query_tiles * most;
    const ptrdiff_t t_end = p->target - t_first < most ? p->target : t_first + most;
    struct REAL_NAME(panel) panel = {0};
    panel.factor =
        (real*)(REAL_NAME(row_pointers)(attend, thread) + REAL_NAME(pointer_count)());
    panel.logits = panel.factor + width;
    panel.cleaned = panel.logits + 2 * height * width;
    panel.spare = panel.cleaned + attend->value_tile_size;
    panel.query = panel.spare + p->value_dim;
    panel.dead = (unsigned char*)(panel.query + REAL_KERNELS->tile_queries / width * size);
    panel.value_factor = 1;
    panel.batch = matrix / p->heads;
    panel.head = matrix % p->heads;
    panel.matrix = panel.batch * p->key_heads + panel.head / (p->heads / p->key_heads);
    int count = 0;
    for (ptrdiff_t t = t_first; t < t_end; t += width) {
        panel.output = panel.query + REAL_NAME(parts)(p) * REAL_NAME(query_part)(p);
        panel.row_max = panel.output + p->value_dim * width;
        panel.row_sum = panel.row_max + width;
        panel.t_begin = t;
        panel.queries = t_end - t < width ? t_end - t : width;
        panels[count++] = panel;
        panel.query += size;
    }
    return count;
}

static int REAL_NAME(attend_tile)(void* work, ptrdiff_t item, int thread,
                                  struct attn_progress* progress) {
    const struct REAL_NAME(attend)* attend = work;
    struct REAL_NAME(panel) panel[ATTN_MOST_TILE_PANELS];
    const int panels = REAL_NAME(lay_out)(attend, item, thread, panel);
    if (progress->stage == LOAD) {
        for (int i = 0; i < panels; i++) {
            REAL_NAME(load_queries)(attend, &panel[i], thread);
            REAL_NAME(begin_sums)(attend, &panel[i]);
        }
        progress->stage = ADD_TILES;
    }
    if (progress->stage == ADD_TILES) {
        if (!REAL_NAME(add_tiles)(attend, panels, panel, progress)) {
            return 0;
        }
        progress->stage = FINISH;
        progress->at = 0;
    }
    for (ptrdiff_t done = (progress->stage - FINISH) / ENDINGS; done < panels; done++) {
        ptrdiff_t ending = (progress->stage - FINISH) % ENDINGS;
        const int finished =
            REAL_NAME(finish_panel)(attend, &panel[done], thread, &ending, progress);
        progress->stage = FINISH + done * ENDINGS + ending;
        if (!finished) {
            return 0;
        }
        progress->stage = FINISH + (done + 1) * ENDINGS;
        progress->at = 0;
    }
    return 1;
}

/* ---- the call ---- */

/* Whether the numbers of a tile and of a thread can be counted: where memory ends at
 * 2^32, a row of an array may be so long that a tile of such rows cannot be. */
static int REAL_NAME(sizes_fit)(const struct attn_attention* p) {
    const double rows = 3.0 * (REAL_KERNELS->tile_keys + REAL_KERNELS->tile_queries +
                               REAL_NAME(GROUP) * REAL_KERNELS->block_columns);
    const double width = (double)p->key_dim + (double)p->value_dim + 64;
    return rows * width * sizeof(real) < (double)PTRDIFF_MAX;
}

static int REAL_NAME(take_memory)(const struct attn_context* context, int threads,
                                  struct REAL_NAME(attend) * attend) {
    const struct attn_attention* p = attend->problem;
    const ptrdiff_t height = REAL_KERNELS->tile_keys, rows = REAL_KERNELS->block_rows;
    const size_t tiles = (size_t)(p->batch * p->key_heads * attend->key_tiles);
    attend->key_part = height * p->key_dim + ATTN_PACK_SPILL;
    attend->key_tile_size = REAL_NAME(parts)(p) * attend->key_part;
    attend->value_tile_size = (p->value_dim + rows - 1) / rows * rows * height + ATTN_PACK_SPILL;
    attend->scratch_stride = (REAL_NAME(scratch_size)(attend) + 63) / 64 * 64;
    attend->scratch =
        attn_workspace_take(context->workspace, (size_t)threads, attend->scratch_stride);
    attend->keys = attn_workspace_take(context->workspace, tiles,
                                       (size_t)attend->key_tile_size * sizeof(real));
    attend->values = attn_workspace_take(context->workspace, tiles,
                                         (size_t)attend->value_tile_size * sizeof(real));
    attend->unclean = attn_workspace_take(context->workspace, tiles, 1);
    return attend->scratch != NULL && attend->keys != NULL && attend->values != NULL &&
           attend->unclean != NULL;
}

/* Queries of an item: the panels that share tiles of keys, or one where theirs would be
 * more than TANH_ITEM tanh: then there is nothing to be won by sharing, and more items
 * for the threads. Panels do not depend on each other: the bits are the same. */
static ptrdiff_t REAL_NAME(item_queries)(const struct attn_attention* p) {
    const ptrdiff_t queries = REAL_KERNELS->tile_queries;
    const double tanhs = (double)queries * (double)p->source * (double)p->key_dim;
    return p->score == ATTN_SCORE_TANH && tanhs > TANH_ITEM ? REAL_KERNELS->block_columns
                                                            : queries;
}

/* Steps between two looks at the clock: a step is a panel of queries and a tile of keys. */
static ptrdiff_t REAL_NAME(steps_per_look)(const struct attn_attention* p) {
    const double pairs = (double)(REAL_KERNELS->block_columns * REAL_KERNELS->tile_keys);
    const double of_key = (p->score == ATTN_SCORE_TANH ? TANH_OPERATIONS : 2.0) *
                          (double)p->key_dim;
    return attn_progress_parts(pairs * (of_key + 2.0 * (double)p->value_dim + 16.0));
}

static enum attn_status REAL_NAME(attention)(const struct attn_context* context,
                                             const struct attn_attention* p) {
    const ptrdiff_t height = REAL_KERNELS->tile_keys;
    const double operations = 2.0 * (double)p->batch * (double)p->heads * (double)p->target *
                              (double)p->source * (double)(p->key_dim + p->value_dim);
    struct REAL_NAME(attend) attend = {0};
    attend.problem = p;
    const int in_softmax = p->score == ATTN_SCORE_DOT && p->bias.data == NULL &&
                           !(p->soft_cap > 0) && p->scale > 0x1p-100 && p->scale < 0x1p100;
    attend.softmax_scale = in_softmax ? (real)p->scale : 1;
    attend.query_scale = p->score == ATTN_SCORE_DOT && !in_softmax ? (real)p->scale : 1;
    attend.key_tiles = (p->source + height - 1) / height;
    attend.tile_queries = REAL_NAME(item_queries)(p);
    attend.steps_per_look = REAL_NAME(steps_per_look)(p);
    attend.query_tiles = (p->target + attend.tile_queries - 1) / attend.tile_queries;
    const ptrdiff_t packs = p->batch * p->key_heads * attend.key_tiles;
    const ptrdiff_t items = p->batch * p->heads * attend.query_tiles;
    /* packing is a small part of the call: threads pay for it only where the whole is 16
     * times what they need to pay for themselves */
    const int pack_threads = attn_parallel_width(context, packs, operations / 16);
    const int threads = attn_parallel_width(context, items, operations);
    const int most_threads = threads > pack_threads ? threads : pack_threads;
    if (!REAL_NAME(sizes_fit)(p) || !REAL_NAME(take_memory)(context, most_threads, &attend) ||
        (p->scores.data != NULL && !REAL_NAME(take_sums)(context, &attend))) {
        return ATTN_NO_MEMORY;
    }
    attn_parallel_run(context, pack_threads, packs, REAL_NAME(pack_tile), &attend);
    attn_parallel_run_long(context, threads, items, REAL_NAME(attend_tile), &attend);
    return p->scores.data != NULL ? REAL_NAME(score)(context, &attend, most_threads) : ATTN_OK;
}

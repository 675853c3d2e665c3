/* The weights that a caller asked for, from a second look at the logits once the
 * sums of all rows are known. Included by attention_real.h.
 *
 * In R's array of weights the neighbors of an element are the same query and key of
 * the next batch entry or head. So an item of work is a panel of queries for several
 * matrices (a matrix: the weights of one head of one batch entry) that are neighbors
 * there, and every cache line of the array is written once. */

enum { REAL_NAME(GROUP) = 8 }; /* most matrices of an item: the doubles of a cache line */

struct REAL_NAME(scoring) {
    const struct REAL_NAME(attend) * attend;
    ptrdiff_t group, groups, panels; /* matrices of an item; items of a panel; of a matrix */
    ptrdiff_t tiles_per_look; /* at the clock */
    int heads_first; /* neighbors are heads, else batch entries */
    unsigned char* scratch;
    size_t scratch_stride;
};

/* what the second look wants to know of the first */
static void REAL_NAME(keep_sums)(const struct REAL_NAME(attend) * attend,
                                 const struct REAL_NAME(panel) * panel) {
    const ptrdiff_t width = REAL_KERNELS->block_columns;
    const ptrdiff_t at = REAL_NAME(first_row)(attend->problem, panel);
    memcpy(attend->row_max + at, panel->row_max, (size_t)width * sizeof(real));
    memcpy(attend->row_sum + at, panel->row_sum, (size_t)width * sizeof(real));
    memcpy(attend->dead + at, panel->dead, (size_t)panel->queries);
}

/* weights of the dead rows of a panel, whose logits are still whole */
static void REAL_NAME(weigh_dead)(const struct REAL_NAME(attend) * attend,
                                  const struct REAL_NAME(panel) * panel, ptrdiff_t keys,
                                  real* weights) {
    const struct attn_attention* p = attend->problem;
    const ptrdiff_t count = keys * REAL_KERNELS->block_columns;
    if (p->dead_row == ATTN_DEAD_SHIFTED) {
        memcpy(weights, panel->logits, (size_t)count * sizeof(real));
        REAL_NAME(shift)(attend, count, weights);
        REAL_KERNELS->softmax_finish(keys, 1, weights, panel->row_max, panel->row_sum);
    } else {
        const real weight = p->dead_row == ATTN_DEAD_MEAN ? 1 / (real)p->source : 0;
        for (ptrdiff_t i = 0; i < count; i++) {
            weights[i] = weight;
        }
    }
}

static int REAL_NAME(any_dead)(const struct REAL_NAME(panel) * panel) {
    return memchr(panel->dead, 1, (size_t)panel->queries) != NULL;
}

/* rows whose sum is NaN, or 0 as all that they see is -Inf */
static int REAL_NAME(any_nan)(const struct REAL_NAME(panel) * panel) {
    int any = 0;
    for (ptrdiff_t i = 0; i < panel->queries; i++) {
        any |= !(panel->row_sum[i] > 0);
    }
    return any;
}

/* panel->logits (keys x W) become the weights of keys s_begin, ... of a tile */
static void REAL_NAME(weigh_tile)(const struct REAL_NAME(attend) * attend,
                                  const struct REAL_NAME(panel) * panel, ptrdiff_t s_begin,
                                  ptrdiff_t keys, real* of_dead) {
    const struct attn_attention* p = attend->problem;
    const ptrdiff_t width = REAL_KERNELS->block_columns;
    struct attn_tile tile = {panel->batch, panel->head, panel->t_begin,
                             panel->t_begin + panel->queries, s_begin, s_begin + keys};
    const int dead = REAL_NAME(any_dead)(panel);
    enum attn_visibility look = ATTN_VISIBLE_SOME;
    /* else hidden keys may weigh something: in dead rows, and NaN in rows of NaN */
    if (!dead && !REAL_NAME(any_nan)(panel)) {
        REAL_NAME(narrow)(p, &tile);
        look = attn_mask_look(&p->mask, &tile);
    }
    if (tile.s_begin == tile.s_end || look == ATTN_VISIBLE_NONE) {
        memset(panel->logits, 0, (size_t)(keys * width) * sizeof(real));
        return;
    }
    struct REAL_NAME(panel) seen = *panel;
    const ptrdiff_t before = tile.s_begin - s_begin, count = tile.s_end - tile.s_begin;
    seen.logits += before * width;
    REAL_NAME(tile_logits)(attend, &seen, tile.s_begin, count);
    if (dead) {
        REAL_NAME(weigh_dead)(attend, &seen, count, of_dead);
    }
    if (look == ATTN_VISIBLE_SOME) {
        REAL_NAME(hide_masked)(p, &seen, tile.s_begin, count);
    }
    REAL_KERNELS->softmax_finish(count, attend->softmax_scale, seen.logits, panel->row_max,
                                 panel->row_sum);
    for (ptrdiff_t i = 0; dead && i < panel->queries; i++) {
        for (ptrdiff_t j = 0; j < count && panel->dead[i]; j++) {
            seen.logits[j * width + i] = of_dead[j * width + i];
        }
    }
    if (p->dropout.rate > 0 && p->scores_after_dropout) {
        REAL_NAME(drop_weights)(p, &seen, tile.s_begin, count);
    }
    memset(panel->logits, 0, (size_t)(before * width) * sizeof(real));
    memset(seen.logits + count * width, 0,
           (size_t)((keys - before - count) * width) * sizeof(real));
}

/* Bytes of one thread: the panels of a group with their tiles of weights, and one
 * tile more for dead rows; places of the lanes' rows. */
static size_t REAL_NAME(scoring_size)(const struct attn_attention* p) {
    const ptrdiff_t tile = REAL_KERNELS->tile_keys * REAL_KERNELS->block_columns;
    const ptrdiff_t query = REAL_NAME(parts)(p) * REAL_NAME(query_part)(p);
    return (size_t)REAL_KERNELS->block_columns * sizeof(ptrdiff_t) +
           (size_t)(REAL_NAME(GROUP) * (query + tile) + tile) * sizeof(real);
}

/* matrix `at` in the order of the array of weights */
static struct REAL_NAME(panel) REAL_NAME(panel_to_score)(const struct REAL_NAME(scoring) * scoring,
                                                         ptrdiff_t at, ptrdiff_t panel_index) {
    const struct REAL_NAME(attend)* attend = scoring->attend;
    const struct attn_attention* p = attend->problem;
    const ptrdiff_t width = REAL_KERNELS->block_columns;
    struct REAL_NAME(panel) panel = {0};
    panel.batch = scoring->heads_first ? at / p->heads : at % p->batch;
    panel.head = scoring->heads_first ? at % p->heads : at / p->batch;
    panel.matrix = panel.batch * p->key_heads + panel.head / (p->heads / p->key_heads);
    panel.t_begin = panel_index * width;
    panel.queries = p->target - panel.t_begin < width ? p->target - panel.t_begin : width;
    const ptrdiff_t row = REAL_NAME(first_row)(p, &panel);
    panel.row_max = attend->row_max + row;
    panel.row_sum = attend->row_sum + row;
    panel.dead = attend->dead + row;
    return panel;
}

static int REAL_NAME(score_panels)(void* work, ptrdiff_t item, int thread,
                                   struct attn_progress* progress) {
    const struct REAL_NAME(scoring)* scoring = work;
    const struct REAL_NAME(attend)* attend = scoring->attend;
    const struct attn_attention* p = attend->problem;
    const struct attn_scores_out* out = &p->scores;
    const ptrdiff_t width = REAL_KERNELS->block_columns, height = REAL_KERNELS->tile_keys;
    const ptrdiff_t first = item % scoring->groups * scoring->group;
    const ptrdiff_t left = p->batch * p->heads - first;
    const ptrdiff_t matrices = left < scoring->group ? left : scoring->group;
    struct REAL_NAME(panel) panel[REAL_NAME(GROUP)];
    ptrdiff_t place[REAL_NAME(GROUP)];
    ptrdiff_t* row =
        (ptrdiff_t*)(void*)(scoring->scratch + (size_t)thread * scoring->scratch_stride);
    real* weights = (real*)(void*)(row + width);
    real* of_dead = weights + REAL_NAME(GROUP) * height * width;
    real* query = of_dead + height * width;
    for (ptrdiff_t m = 0; m < matrices; m++) {
        panel[m] = REAL_NAME(panel_to_score)(scoring, first + m, item / scoring->groups);
        panel[m].logits = weights + m * height * width;
        panel[m].query = query + m * REAL_NAME(parts)(p) * REAL_NAME(query_part)(p);
        place[m] = out->batch[panel[m].batch] + out->head[panel[m].head];
        if (progress->at == 0) {
            REAL_NAME(load_queries)(attend, &panel[m], thread);
        }
    }
    /* the same queries in each of the panels */
    const ptrdiff_t t_begin = item / scoring->groups * width;
    const ptrdiff_t queries = p->target - t_begin < width ? p->target - t_begin : width;
    for (ptrdiff_t i = 0; i < queries; i++) {
        row[i] = out->target[t_begin + i];
    }
    for (ptrdiff_t tile = progress->at; tile < attend->key_tiles; tile++) {
        if (tile > progress->at && (tile - progress->at) % scoring->tiles_per_look == 0 &&
            attn_progress_must_pause(progress)) {
            progress->at = tile;
            return 0;
        }
        const ptrdiff_t s = tile * height;
        const ptrdiff_t keys = p->source - s < height ? p->source - s : height;
        for (ptrdiff_t m = 0; m < matrices; m++) {
            REAL_NAME(weigh_tile)(attend, &panel[m], s, keys, of_dead);
        }
        REAL_KERNELS->store_weights(matrices, keys, queries, weights, height * width,
                                    out->data, place, row, out->source + s);
    }
    return 1;
}

/* Matrices of an item: a group, or one where a group's would be more than TANH_ITEM
 * tanh, as item_queries() has it. */
static ptrdiff_t REAL_NAME(item_matrices)(const struct attn_attention* p) {
    const double tanhs = (double)(REAL_NAME(GROUP) * REAL_KERNELS->block_columns) *
                         (double)p->source * (double)p->key_dim;
    return p->score == ATTN_SCORE_TANH && tanhs > TANH_ITEM ? 1 : REAL_NAME(GROUP);
}

/* memory for the sums, before they are computed */
static int REAL_NAME(take_sums)(const struct attn_context* context,
                                struct REAL_NAME(attend) * attend) {
    const struct attn_attention* p = attend->problem;
    const ptrdiff_t width = REAL_KERNELS->block_columns;
    const size_t rows = (size_t)(p->batch * p->heads * ((p->target + width - 1) / width));
    attend->row_max = attn_workspace_take(context->workspace, rows, (size_t)width * sizeof(real));
    attend->row_sum = attn_workspace_take(context->workspace, rows, (size_t)width * sizeof(real));
    attend->dead = attn_workspace_take(context->workspace, rows, (size_t)width);
    return attend->row_max != NULL && attend->row_sum != NULL && attend->dead != NULL;
}

static enum attn_status REAL_NAME(score)(const struct attn_context* context,
                                         const struct REAL_NAME(attend) * attend, int threads) {
    const struct attn_attention* p = attend->problem;
    const struct attn_scores_out* out = &p->scores;
    const ptrdiff_t width = REAL_KERNELS->block_columns;
    struct REAL_NAME(scoring) scoring = {.attend = attend};
    scoring.panels = (p->target + width - 1) / width;
    scoring.group = REAL_NAME(item_matrices)(p);
    scoring.tiles_per_look = (attend->steps_per_look + scoring.group - 1) / scoring.group;
    scoring.groups = (p->batch * p->heads + scoring.group - 1) / scoring.group;
    scoring.heads_first = p->batch == 1 || (p->heads > 1 && out->head[1] - out->head[0] <
                                                                out->batch[1] - out->batch[0]);
    scoring.scratch_stride = (REAL_NAME(scoring_size)(p) + 63) / 64 * 64;
    const ptrdiff_t items = scoring.groups * scoring.panels;
    threads = threads < items ? threads : (int)items;
    scoring.scratch =
        attn_workspace_take(context->workspace, (size_t)threads, scoring.scratch_stride);
    if (scoring.scratch == NULL) {
        return ATTN_NO_MEMORY;
    }
    attn_parallel_run_long(context, threads, items, REAL_NAME(score_panels), &scoring);
    return ATTN_OK;
}

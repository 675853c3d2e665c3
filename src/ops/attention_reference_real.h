/* attn_attention_reference in one precision; see attention.h. Included by
 * attention_reference.c. One item of work is one query of one head. */

struct REAL_NAME(plain) {
    const struct attn_attention* problem;
    ptrdiff_t keys_per_look; /* at the clock */
    real* logits; /* per thread: S logits, S weights */
    uint8_t* keep;
    struct REAL_NAME(plain_row_state) * state; /* per thread */
};

/* What the stages of a row hand on. */
struct REAL_NAME(plain_row_state) {
    int sees; /* whether some key is visible */
    real max, sum;
};

/* A row that a thread is at. */
struct REAL_NAME(plain_place) {
    const struct attn_attention* p;
    ptrdiff_t batch, head, key_head, t, first; /* first: of the row, among all weights */
    real *logits, *weights, *to;
    double* scores; /* or NULL */
    uint8_t* keep;
    struct REAL_NAME(plain_row_state) * state;
};

static real REAL_NAME(plain_logit)(const struct attn_attention* p, ptrdiff_t batch,
                                   ptrdiff_t head, ptrdiff_t t, ptrdiff_t s) {
    const ptrdiff_t key_head = head / (p->heads / p->key_heads);
    const real* query = (const real*)p->query + attn_row(&p->query_strides, batch, head, t);
    const real* key = (const real*)p->key + attn_row(&p->key_strides, batch, key_head, s);
    const real* weight = p->tanh_weight;
    real sum = 0;
    for (ptrdiff_t d = 0; d < p->key_dim; d++) {
        if (p->score == ATTN_SCORE_DOT) {
            sum += query[d] * key[d];
        } else {
            real bent = (real)tanh((double)((real)p->inner * (query[d] + key[d])));
            sum += weight == NULL ? bent : weight[d] * bent;
        }
    }
    real logit = (real)p->scale * sum;
    if (p->bias.data != NULL) {
        logit += ((const real*)p->bias.data)[batch * p->bias.batch + head * p->bias.head +
                                             t * p->bias.target + s * p->bias.source];
    }
    if (p->soft_cap > 0) {
        logit = (real)(p->soft_cap * tanh((double)logit / p->soft_cap));
    }
    return logit;
}

static int REAL_NAME(plain_sees)(const struct REAL_NAME(plain_place) * row, ptrdiff_t s) {
    return attn_mask_sees(&row->p->mask, row->batch, row->head, row->t, s);
}

static int REAL_NAME(plain_shifted)(const struct REAL_NAME(plain_place) * row) {
    return !row->state->sees && row->p->dead_row == ATTN_DEAD_SHIFTED;
}

/* ---- the stages of a row, each for the keys begin ... end - 1 ---- */

static void REAL_NAME(plain_look)(const struct REAL_NAME(plain_place) * row, ptrdiff_t begin,
                                  ptrdiff_t end) {
    for (ptrdiff_t s = begin; s < end && !row->state->sees; s++) {
        row->state->sees = REAL_NAME(plain_sees)(row, s);
    }
}

static void REAL_NAME(plain_logits)(const struct REAL_NAME(plain_place) * row, ptrdiff_t begin,
                                    ptrdiff_t end) {
    const int shifted = REAL_NAME(plain_shifted)(row);
    real* logits = row->logits;
    for (ptrdiff_t s = begin; s < end; s++) {
        logits[s] = -REAL_INFINITY;
        if (shifted || REAL_NAME(plain_sees)(row, s)) {
            logits[s] = REAL_NAME(plain_logit)(row->p, row->batch, row->head, row->t, s);
            if (shifted) {
                logits[s] -= (real)ATTN_SHIFT;
            }
            row->state->max = logits[s] > row->state->max ? logits[s] : row->state->max;
        }
    }
}

static void REAL_NAME(plain_exponentials)(const struct REAL_NAME(plain_place) * row,
                                          ptrdiff_t begin, ptrdiff_t end) {
    const int shifted = REAL_NAME(plain_shifted)(row);
    for (ptrdiff_t s = begin; s < end; s++) {
        const int visible = shifted || REAL_NAME(plain_sees)(row, s);
        row->weights[s] = visible ? (real)exp((double)(row->logits[s] - row->state->max)) : 0;
        row->state->sum += row->weights[s];
    }
}

static void REAL_NAME(plain_divide)(const struct REAL_NAME(plain_place) * row, ptrdiff_t begin,
                                    ptrdiff_t end) {
    const struct attn_attention* p = row->p;
    const int live = row->state->sees || REAL_NAME(plain_shifted)(row);
    for (ptrdiff_t s = begin; s < end; s++) {
        if (live) {
            row->weights[s] /= row->state->sum;
        } else {
            row->weights[s] = p->dead_row == ATTN_DEAD_MEAN ? 1 / (real)p->source : 0;
        }
        if (row->scores != NULL) {
            row->scores[p->scores.source[s]] = (double)row->weights[s];
        }
    }
}

static void REAL_NAME(plain_drop)(const struct REAL_NAME(plain_place) * row, ptrdiff_t begin,
                                  ptrdiff_t end) {
    const struct attn_attention* p = row->p;
    if (p->dropout.rate <= 0) {
        return;
    }
    const real factor = (real)attn_dropout_factor(&p->dropout);
    attn_dropout_keep(&p->dropout, (uint64_t)row->first + (uint64_t)begin, end - begin,
                      row->keep + begin);
    for (ptrdiff_t s = begin; s < end; s++) {
        row->weights[s] = row->keep[s] ? row->weights[s] * factor : 0;
        if (row->scores != NULL && p->scores_after_dropout) {
            row->scores[p->scores.source[s]] = (double)row->weights[s];
        }
    }
}

static void REAL_NAME(plain_sum)(const struct REAL_NAME(plain_place) * row, ptrdiff_t begin,
                                 ptrdiff_t end) {
    const struct attn_attention* p = row->p;
    const struct attn_mask_part* kept = &p->keep_row;
    const int live = row->state->sees || REAL_NAME(plain_shifted)(row);
    for (ptrdiff_t v = 0; begin == 0 && v < p->value_dim; v++) {
        row->to[v] = 0;
    }
    if (kept->visible != NULL && !kept->visible[row->batch * kept->batch + row->t * kept->target]) {
        return;
    }
    for (ptrdiff_t s = begin; s < end; s++) {
        const real* value =
            (const real*)p->value + attn_row(&p->value_strides, row->batch, row->key_head, s);
        const real weight = row->weights[s];
        /* a masked key never touches the row, whatever its value */
        if (row->state->sees && !REAL_NAME(plain_sees)(row, s)) {
            continue;
        }
        /* a weight of 0 by rounding is one nevertheless: 0 NaN is NaN */
        for (ptrdiff_t v = 0; v < p->value_dim && (weight != 0 || live); v++) {
            row->to[v] += weight * value[v];
        }
    }
}

static struct REAL_NAME(plain_place) REAL_NAME(plain_place_of)(const struct REAL_NAME(plain) *
                                                                   plain,
                                                               ptrdiff_t item, int thread) {
    const struct attn_attention* p = plain->problem;
    const struct attn_scores_out* out = &p->scores;
    struct REAL_NAME(plain_place) row = {
        .p = p, .t = item % p->target, .head = item / p->target % p->heads,
        .batch = item / p->target / p->heads, .first = item * p->source,
        .logits = plain->logits + (ptrdiff_t)thread * 2 * p->source,
        .keep = plain->keep + (ptrdiff_t)thread * p->source, .state = plain->state + thread,
    };
    row.key_head = row.head / (p->heads / p->key_heads);
    row.weights = row.logits + p->source;
    row.to = (real*)p->output + attn_row(&p->output_strides, row.batch, row.head, row.t);
    row.scores = out->data == NULL ? NULL
                                   : out->data + out->batch[row.batch] + out->head[row.head] +
                                         out->target[row.t];
    return row;
}

static int REAL_NAME(plain_row)(void* work, ptrdiff_t item, int thread,
                                struct attn_progress* progress) {
    static void (*const stages[])(const struct REAL_NAME(plain_place)*, ptrdiff_t, ptrdiff_t) = {
        REAL_NAME(plain_look),   REAL_NAME(plain_logits), REAL_NAME(plain_exponentials),
        REAL_NAME(plain_divide), REAL_NAME(plain_drop),   REAL_NAME(plain_sum)};
    enum { STAGES = sizeof stages / sizeof stages[0] };
    const struct REAL_NAME(plain)* plain = work;
    const ptrdiff_t keys = plain->problem->source;
    const struct REAL_NAME(plain_place) row = REAL_NAME(plain_place_of)(plain, item, thread);
    if (progress->stage == 0 && progress->at == 0) {
        *row.state = (struct REAL_NAME(plain_row_state)){0, -REAL_INFINITY, 0};
    }
    int worked = 0;
    for (; progress->stage < STAGES; progress->stage++, progress->at = 0) {
        while (progress->at < keys) {
            const ptrdiff_t left = keys - progress->at;
            if (worked && keys > plain->keys_per_look && attn_progress_must_pause(progress)) {
                return 0;
            }
            const ptrdiff_t end =
                left > plain->keys_per_look ? progress->at + plain->keys_per_look : keys;
            stages[progress->stage](&row, progress->at, end);
            progress->at = end;
            worked = 1;
        }
    }
    return 1;
}

static enum attn_status REAL_NAME(reference)(const struct attn_context* context,
                                             const struct attn_attention* p) {
    const ptrdiff_t items = p->batch * p->heads * p->target;
    const int threads = attn_parallel_width(
        context, items, (double)items * (double)p->source * (double)(p->key_dim + p->value_dim));
    struct REAL_NAME(plain) plain = {.problem = p};
    plain.keys_per_look =
        attn_progress_parts(PLAIN_OPERATIONS * (double)(p->key_dim + p->value_dim + 8));
    plain.logits = attn_workspace_take(context->workspace, 2 * (size_t)threads,
                                       (size_t)p->source * sizeof(real));
    plain.keep = attn_workspace_take(context->workspace, (size_t)threads, (size_t)p->source);
    plain.state = attn_workspace_take(context->workspace, (size_t)threads, sizeof *plain.state);
    if (plain.logits == NULL || plain.keep == NULL || plain.state == NULL) {
        return ATTN_NO_MEMORY;
    }
    attn_parallel_run_long(context, threads, items, REAL_NAME(plain_row), &plain);
    return ATTN_OK;
}

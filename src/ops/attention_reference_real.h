/* attn_attention_reference in one precision; see attention.h. Included by
 * attention_reference.c. One item of work is one query of one head. */

struct REAL_NAME(plain) {
    const struct attn_attention* problem;
    real* logits; /* per thread: S logits, S weights */
    uint8_t* keep;
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

/* weights of one row; `sees` says that some key is visible */
static void REAL_NAME(plain_softmax)(const struct attn_attention* p, ptrdiff_t batch,
                                     ptrdiff_t head, ptrdiff_t t, int sees, real* logits,
                                     real* weights) {
    const int shifted = !sees && p->dead_row == ATTN_DEAD_SHIFTED;
    real max = -REAL_INFINITY, sum = 0;
    for (ptrdiff_t s = 0; s < p->source; s++) {
        logits[s] = -REAL_INFINITY;
        if (shifted || attn_mask_sees(&p->mask, batch, head, t, s)) {
            logits[s] = REAL_NAME(plain_logit)(p, batch, head, t, s);
            if (shifted) {
                logits[s] -= (real)ATTN_SHIFT;
            }
            max = logits[s] > max ? logits[s] : max;
        }
    }
    for (ptrdiff_t s = 0; s < p->source; s++) {
        int visible = shifted || attn_mask_sees(&p->mask, batch, head, t, s);
        weights[s] = visible ? (real)exp((double)(logits[s] - max)) : 0;
        sum += weights[s];
    }
    for (ptrdiff_t s = 0; s < p->source; s++) {
        if (sees || shifted) {
            weights[s] /= sum;
        } else {
            weights[s] = p->dead_row == ATTN_DEAD_MEAN ? 1 / (real)p->source : 0;
        }
    }
}

static void REAL_NAME(plain_row)(void* work, ptrdiff_t item, int thread) {
    const struct REAL_NAME(plain)* plain = work;
    const struct attn_attention* p = plain->problem;
    const ptrdiff_t t = item % p->target, head = item / p->target % p->heads;
    const ptrdiff_t batch = item / p->target / p->heads;
    const ptrdiff_t key_head = head / (p->heads / p->key_heads);
    real* logits = plain->logits + (ptrdiff_t)thread * 2 * p->source;
    real* weights = logits + p->source;
    uint8_t* keep = plain->keep + (ptrdiff_t)thread * p->source;
    const int sees = attn_mask_sees_any(&p->mask, batch, head, t, p->source);
    REAL_NAME(plain_softmax)(p, batch, head, t, sees, logits, weights);

    real* to = (real*)p->output + attn_row(&p->output_strides, batch, head, t);
    const struct attn_scores_out* out = &p->scores;
    double* scores = out->data == NULL
                         ? NULL
                         : out->data + out->batch[batch] + out->head[head] + out->target[t];
    for (ptrdiff_t s = 0; scores != NULL && s < p->source; s++) {
        scores[out->source[s]] = (double)weights[s];
    }
    if (p->dropout.rate > 0) {
        const real factor = (real)attn_dropout_factor(&p->dropout);
        attn_dropout_keep(&p->dropout, (uint64_t)item * (uint64_t)p->source, p->source, keep);
        for (ptrdiff_t s = 0; s < p->source; s++) {
            weights[s] = keep[s] ? weights[s] * factor : 0;
            if (scores != NULL && p->scores_after_dropout) {
                scores[out->source[s]] = (double)weights[s];
            }
        }
    }
    const struct attn_mask_part* kept = &p->keep_row;
    for (ptrdiff_t v = 0; v < p->value_dim; v++) {
        to[v] = 0;
    }
    if (kept->visible != NULL && !kept->visible[batch * kept->batch + t * kept->target]) {
        return;
    }
    for (ptrdiff_t s = 0; s < p->source; s++) {
        const real* value = (const real*)p->value + attn_row(&p->value_strides, batch, key_head, s);
        /* a masked key never touches the row, whatever its value */
        if (sees && !attn_mask_sees(&p->mask, batch, head, t, s)) {
            continue;
        }
        for (ptrdiff_t v = 0; v < p->value_dim && (weights[s] != 0 || sees); v++) {
            to[v] += weights[s] * value[v];
        }
    }
}

static enum attn_status REAL_NAME(reference)(const struct attn_context* context,
                                             const struct attn_attention* p) {
    const ptrdiff_t items = p->batch * p->heads * p->target;
    const int threads = attn_parallel_width(
        context, items, (double)items * (double)p->source * (double)(p->key_dim + p->value_dim));
    struct REAL_NAME(plain) plain = {p, NULL, NULL};
    plain.logits = attn_workspace_take(context->workspace, 2 * (size_t)threads,
                                       (size_t)p->source * sizeof(real));
    plain.keep = attn_workspace_take(context->workspace, (size_t)threads, (size_t)p->source);
    if (plain.logits == NULL || plain.keep == NULL) {
        return ATTN_NO_MEMORY;
    }
    attn_parallel_run(context, threads, items, REAL_NAME(plain_row), &plain);
    return ATTN_OK;
}

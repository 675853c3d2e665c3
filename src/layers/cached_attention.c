/* KerasHub's CachedMultiHeadAttention with a cache (keras_hub/src/layers/modeling/
 * cached_multi_head_attention.py, and the masks of transformer_decoder.py): keys and values
 * of positions that were seen before are not computed again.
 *
 * Inputs: query (B, T, D); value (B, S, Dv); the cache (B, 2, length, N, K), keys first;
 * the position, from 0, of the cache where those of value go, or none, which is the
 * setting UPDATE then, -1 for no update; a mask of positions (B, length) or none, which is
 * value's own mask then; a mask of pairs (B, T, length) or none. Outputs: (B, T, Do), the
 * cache.
 * CAUSAL: query t, which is at the position of the update plus t, sees keys up to there. */
#include <string.h>

#include "attend_masks.h"
#include "projected_attention.h"
#include "start_index.h"

enum { QUERY, VALUE, CACHE, INDEX, POSITIONS, PAIRS, INPUTS };
enum { CAUSAL, UPDATE, SETTINGS };

static int fits(const struct attn_step* step, struct attn_value* const* in) {
    const struct attn_layer* layer = step->layer;
    const struct attn_value *query = in[QUERY], *value = in[VALUE], *cache = in[CACHE];
    return value != NULL && cache != NULL && query->rank == 3 && value->rank == 3 &&
           cache->rank == 5 && layer->kind == &attn_multi_head_attention_kind &&
           !layer->config.use_gate && layer->config.key_dim == layer->config.value_dim &&
           layer->widths.output_rank == 1 &&
           layer->kind->accepts(layer, query->dim[2], value->dim[2], value->dim[2]) &&
           value->dim[0] == query->dim[0] && cache->dim[0] == query->dim[0] &&
           cache->dim[1] == 2 && cache->dim[3] == layer->config.num_heads &&
           cache->dim[4] == layer->config.key_dim;
}

/* out: the cache, to be written */
static enum attn_status copy_cache(struct attn_run* run, const struct attn_step* step,
                                   const struct attn_value* cache, struct attn_value* out) {
    const void* numbers = attn_step_floats(run, step, cache);
    if (numbers == NULL) {
        return ATTN_NO_MEMORY;
    }
    ATTN_TRY(attn_step_like(run, step, cache, out));
    if (out->buffer->data != numbers) {
        attn_parallel_copy(&run->context, out->buffer->data, numbers,
                           (size_t)attn_value_length(cache) * attn_dtype_size(step->dtype));
    }
    return ATTN_OK;
}

/* (T, length): what query `first` + t sees */
static enum attn_status add_causal(struct attn_run* run, struct attn_layer_call* call,
                                   ptrdiff_t first) {
    const ptrdiff_t T = call->target, S = call->source;
    uint8_t* visible = attn_workspace_take(run->context.workspace, (size_t)T, (size_t)S);
    if (visible == NULL) {
        return ATTN_NO_MEMORY;
    }
    ptrdiff_t since = 0;
    for (ptrdiff_t t = 0; t < T; t++) {
        const ptrdiff_t seen = first + t + 1 < S ? first + t + 1 : S;
        memset(visible + t * S, 1, (size_t)seen);
        memset(visible + t * S + seen, 0, (size_t)(S - seen));
        attn_parallel_poll_after(&run->context, S, &since);
    }
    call->mask.part[call->mask.parts++] = (struct attn_mask_part){visible, 0, 0, S, 1};
    return ATTN_OK;
}

/* Without other masks no query is without a key, and what comes behind the last query need
 * not be looked at; with them, a query that sees nothing gets the mean of the whole cache. */
static enum attn_status set_masks(struct attn_run* run, const struct attn_step* step,
                                  struct attn_value* const* in, ptrdiff_t first,
                                  struct attn_layer_call* call) {
    struct attn_flags positions;
    ATTN_TRY(attn_find_flags(run, in[POSITIONS], in[VALUE], &positions));
    ATTN_TRY(attn_add_positions(call, &positions, 0));
    ATTN_TRY(attn_add_pairs(run, call, in[PAIRS]));
    if (!attn_step_flag(step, CAUSAL)) {
        return ATTN_OK;
    }
    if (call->mask.parts == 0 && first + call->target < call->source) {
        call->source = first + call->target;
    }
    return call->target == 1 && call->source == first + 1 ? ATTN_OK
                                                          : add_causal(run, call, first);
}

static enum attn_status run(struct attn_run* run, const struct attn_step* step,
                            struct attn_value* const* in, struct attn_value* out) {
    if (!fits(step, in)) {
        return ATTN_BAD_LENGTH;
    }
    const struct attn_layer* layer = step->layer;
    const struct attn_value *query = in[QUERY], *value = in[VALUE];
    struct attn_projection_cache cache = {.length = in[CACHE]->dim[2]};
    if (in[INDEX] != NULL || step->setting[UPDATE] >= 0) {
        cache.added = value->dim[1];
        ATTN_TRY(attn_start_index(run, step, in[INDEX], UPDATE, &cache.first));
        if (cache.first < 0 || cache.first > cache.length - cache.added) {
            return ATTN_BAD_INDEX;
        }
    }
    struct attn_layer_call call = {
        .batch = query->dim[0], .target = query->dim[1], .source = cache.length,
        .query_width = query->dim[2], .value_width = value->dim[2], .key_width = value->dim[2],
        .query = attn_rows(attn_step_floats(run, step, query), query->dim[2]),
        .value = attn_rows(attn_step_floats(run, step, value), value->dim[2]),
        .dead_row = layer->config.dropout == 0 ? ATTN_DEAD_MEAN : ATTN_DEAD_ZERO,
        .training = step->training, .calls_before = step->calls_before,
        .reference = run->reference,
    };
    if (call.query.data == NULL || call.value.data == NULL) {
        return ATTN_NO_MEMORY;
    }
    if (value->buffer == query->buffer && value->dim[2] == query->dim[2]) {
        call.value = call.query; /* one tensor, projected in one pass */
    }
    ATTN_TRY(set_masks(run, step, in, cache.first, &call));
    const ptrdiff_t dim[3] = {call.batch, call.target, layer->widths.output[0]};
    ATTN_TRY(attn_step_new(run, step, 3, dim, &out[0]));
    ATTN_TRY(copy_cache(run, step, in[CACHE], &out[1]));
    call.output = attn_rows_out(out[0].buffer->data, dim[2]);
    cache.data = out[1].buffer->data;
    attn_value_share_mask(query, &out[0]);
    return attn_projected_cached(&run->context, layer, &call, &cache);
}

const struct attn_operation attn_cached_attention_operation = {
    .name = "cached_attention", .inputs = {INPUTS, INPUTS}, .settings = {SETTINGS, SETTINGS},
    .passes_mask = 0, .needs_layer = 1, .run = run,
};

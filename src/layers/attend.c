/* The four attention layers as a step of a model, over sequences (B, T, D) and one
 * attention axis; other ranks and axes go through R's arrays (R/program.R).
 *
 * Inputs: query, value, key or none, query_mask, value_mask, key_mask, attention_mask or
 * none each. Outputs: the result; the weights, if they are asked for: (B, N, T, S), or
 * (B, T, S) of layers without heads. */
#include <string.h>

#include "attend_masks.h"

enum { QUERY, VALUE, KEY, QUERY_MASK, VALUE_MASK, KEY_MASK, ATTENTION_MASK, INPUTS };
enum { HEADS, CAUSAL, WINDOW, NEEDED_SETTINGS, FLASH = NEEDED_SETTINGS, SETTINGS };
/* HEADS: whether the layer has heads; and whether an implicit mask of the query hides its
 * rows, as it does everywhere but in KerasHub's attention with a cache */
enum { NO_HEADS, HEADS_AND_QUERY_MASK, HEADS_AND_KEY_MASKS };

/* Keras: layers with heads hide pairs whose query or key is masked; the others hide
 * keys, and empty the rows of masked queries. */
static enum attn_status set_masks(struct attn_run* run, const struct attn_step* step,
                                  struct attn_value* const* in, struct attn_layer_call* call) {
    struct attn_flags query, value, key;
    ATTN_TRY(attn_find_flags(run, in[QUERY_MASK], in[QUERY], &query));
    ATTN_TRY(attn_find_flags(run, in[VALUE_MASK], in[VALUE], &value));
    ATTN_TRY(attn_find_flags(run, in[KEY_MASK], in[KEY], &key));
    if (attn_step_flag(step, HEADS)) {
        if (attn_step_whole(step, HEADS) == HEADS_AND_QUERY_MASK) {
            ATTN_TRY(attn_add_positions(call, &query, 1));
        }
        ATTN_TRY(attn_add_positions(call, &value, 0));
        ATTN_TRY(attn_add_positions(call, &key, 0));
        ATTN_TRY(attn_add_pairs(run, call, in[ATTENTION_MASK]));
    } else {
        ATTN_TRY(attn_add_positions(call, &value, 0));
        if (query.visible != NULL) {
            ATTN_TRY(attn_position_part(&query, 1, call->batch, call->target, &call->keep_row));
        }
    }
    call->mask.causal = attn_step_flag(step, CAUSAL);
    call->mask.window = attn_step_whole(step, WINDOW);
    return ATTN_OK;
}

static enum attn_status set_input(struct attn_run* run, const struct attn_step* step,
                                  const struct attn_value* x, struct attn_matrix* matrix) {
    *matrix = attn_rows(attn_step_floats(run, step, x), x->dim[2]);
    return matrix->data != NULL ? ATTN_OK : ATTN_NO_MEMORY;
}

static enum attn_status set_inputs(struct attn_run* run, const struct attn_step* step,
                                   struct attn_value* const* in, struct attn_layer_call* call) {
    const struct attn_value *query = in[QUERY], *value = in[VALUE];
    const struct attn_value* key = in[KEY] != NULL ? in[KEY] : value;
    if (value == NULL || query->rank != 3 || value->rank != 3 || key->rank != 3 ||
        query->dim[0] != value->dim[0] || key->dim[0] != value->dim[0] ||
        key->dim[1] != value->dim[1] ||
        !step->layer->kind->accepts(step->layer, query->dim[2], key->dim[2], value->dim[2])) {
        return ATTN_BAD_LENGTH;
    }
    call->batch = query->dim[0];
    call->target = query->dim[1];
    call->source = value->dim[1];
    call->query_width = query->dim[2];
    call->value_width = value->dim[2];
    call->key_width = key->dim[2];
    ATTN_TRY(set_input(run, step, query, &call->query));
    /* what is one tensor stays one, so that it is projected in one pass */
    if (value->buffer == query->buffer && value->dim[2] == query->dim[2]) {
        call->value = call->query;
    } else {
        ATTN_TRY(set_input(run, step, value, &call->value));
    }
    if (key == value) {
        call->key = call->value;
        return ATTN_OK;
    }
    return set_input(run, step, key, &call->key);
}

/* the output, and where its matrix is */
static enum attn_status set_output(struct attn_run* run, const struct attn_step* step,
                                   const struct attn_value* query, struct attn_layer_call* call,
                                   struct attn_value* out) {
    const struct attn_layer_widths* widths = &step->layer->widths;
    ptrdiff_t dim[2 + ATTN_MAX_OUTPUT_RANK] = {query->dim[0], query->dim[1], call->value_width};
    int rank = 3;
    if (attn_step_flag(step, HEADS)) {
        memcpy(dim + 2, widths->output, (size_t)widths->output_rank * sizeof *dim);
        rank = 2 + widths->output_rank;
    }
    ATTN_TRY(attn_step_new(run, step, rank, dim, out));
    call->output = attn_rows_out(out->buffer->data, attn_value_extent(out, 2, rank));
    return ATTN_OK;
}

static ptrdiff_t* multiples(struct attn_run* run, ptrdiff_t count, ptrdiff_t step) {
    ptrdiff_t* made = attn_workspace_take(run->context.workspace, (size_t)count, sizeof *made);
    for (ptrdiff_t i = 0; made != NULL && i < count; i++) {
        made[i] = i * step;
    }
    return made;
}

static enum attn_status set_scores(struct attn_run* run, const struct attn_step* step,
                                   struct attn_layer_call* call, struct attn_value* out) {
    const int has_heads = attn_step_flag(step, HEADS);
    const ptrdiff_t N = has_heads ? step->layer->config.num_heads : 1;
    const ptrdiff_t T = call->target, S = call->source;
    const ptrdiff_t with_heads[4] = {call->batch, N, T, S}, without[3] = {call->batch, T, S};
    ATTN_TRY(attn_value_new(&run->memory, ATTN_VALUE_FLOAT64, has_heads ? 4 : 3,
                            has_heads ? with_heads : without, out));
    call->scores = (struct attn_scores_out){
        out->buffer->data, multiples(run, call->batch, N * T * S), multiples(run, N, T * S),
        multiples(run, T, S), multiples(run, S, 1)};
    return call->scores.batch != NULL && call->scores.head != NULL &&
                   call->scores.target != NULL && call->scores.source != NULL
               ? ATTN_OK
               : ATTN_NO_MEMORY;
}

/* whether attention is computed by its plain definition: the session says, unless the
 * layer does, by a setting of 1 (no) or 2 */
static int uses_reference(const struct attn_run* run, const struct attn_step* step) {
    const double flash = step->settings > FLASH ? step->setting[FLASH] : 0;
    return flash == 0 ? run->reference : flash == 2;
}

static int layer_has_heads(const struct attn_layer* layer) {
    return layer->kind->id == ATTN_LAYER_MULTI_HEAD_ATTENTION ||
           layer->kind->id == ATTN_LAYER_GROUP_QUERY_ATTENTION;
}

static enum attn_status run(struct attn_run* run, const struct attn_step* step,
                            struct attn_value* const* in, struct attn_value* out) {
    const int has_heads = attn_step_flag(step, HEADS), wants_scores = step->outputs > 1;
    struct attn_layer_call call = {.training = step->training,
                                   .calls_before = step->calls_before,
                                   .reference = uses_reference(run, step)};
    /* the size of the output follows from it */
    if (has_heads != layer_has_heads(step->layer) ||
        !(step->setting[WINDOW] >= 0 && step->setting[WINDOW] <= INT32_MAX)) {
        return ATTN_BAD_STATE;
    }
    /* Keras's fused path, its softmax layer, and the layers that subtract 1e9 */
    call.dead_row = !has_heads                                               ? ATTN_DEAD_SHIFTED
                    : step->layer->config.dropout == 0 && !wants_scores ? ATTN_DEAD_MEAN
                                                                        : ATTN_DEAD_ZERO;
    ATTN_TRY(set_inputs(run, step, in, &call));
    ATTN_TRY(set_masks(run, step, in, &call));
    ATTN_TRY(set_output(run, step, in[QUERY], &call, &out[0]));
    if (wants_scores) {
        ATTN_TRY(set_scores(run, step, &call, &out[1]));
    }
    ATTN_TRY(attn_layer_forward(&run->context, step->layer, &call));
    /* the output has the query's mask; only layers without heads count an explicit one */
    if (!has_heads && in[QUERY_MASK] != NULL) {
        const struct attn_value* mask = in[QUERY_MASK];
        const uint8_t* flags = attn_value_flags(&run->context, mask);
        if (flags == NULL) {
            return ATTN_NO_MEMORY;
        }
        ATTN_TRY(attn_value_new_mask(&run->memory, mask->rank, mask->dim, &out[0]));
        attn_parallel_copy(&run->context, out[0].mask->data, flags,
                           (size_t)attn_value_length(mask));
    } else {
        attn_value_share_mask(in[QUERY], &out[0]);
    }
    return ATTN_OK;
}

const struct attn_operation attn_attend_operation = {
    .name = "attend", .inputs = {INPUTS, INPUTS}, .settings = {NEEDED_SETTINGS, SETTINGS},
    .passes_mask = 0, .needs_layer = 1, .run = run,
};

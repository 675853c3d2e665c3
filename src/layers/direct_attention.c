#include "direct_attention.h"

struct attn_attention attn_direct_problem(const struct attn_layer* layer,
                                          const struct attn_layer_call* call) {
    struct attn_attention problem = {
        .dtype = layer->dtype,
        .batch = call->batch, .heads = 1, .key_heads = 1,
        .target = call->target, .source = call->source,
        .key_dim = call->query_width, .value_dim = call->value_width,
        .score = ATTN_SCORE_DOT, .scale = 1, .inner = 1,
        .mask = call->mask, .dead_row = call->dead_row, .keep_row = call->keep_row,
        .dropout = {call->training ? layer->config.dropout : 0, layer->key, layer->calls},
        .scores = call->scores,
        .scores_after_dropout = 1,
    };
    return problem;
}

/* the inputs with contiguous rows; what is one array stays one tensor */
static enum attn_status read_inputs(const struct attn_context* context,
                                    const struct attn_layer_call* call,
                                    struct attn_attention* problem) {
    const ptrdiff_t targets = call->batch * call->target, sources = call->batch * call->source;
    const ptrdiff_t K = call->query_width, V = call->value_width;
    const enum attn_dtype dtype = problem->dtype;
    ATTN_TRY(attn_read_rows(context, dtype, targets, K, &call->query, &problem->query));
    if (K == V && targets == sources && attn_same_matrix(&call->value, &call->query)) {
        problem->value = problem->query;
    } else {
        ATTN_TRY(attn_read_rows(context, dtype, sources, V, &call->value, &problem->value));
    }
    if (K == V && attn_same_matrix(&call->key, &call->value)) {
        problem->key = problem->value;
    } else if (targets == sources && attn_same_matrix(&call->key, &call->query)) {
        problem->key = problem->query;
    } else {
        ATTN_TRY(attn_read_rows(context, dtype, sources, K, &call->key, &problem->key));
    }
    ATTN_TRY(attn_layer_strides(context, call, &call->query_rows, call->target, K, 0,
                                &problem->query_strides));
    ATTN_TRY(attn_layer_strides(context, call, &call->key_rows, call->source, K, 0,
                                &problem->key_strides));
    return attn_layer_strides(context, call, &call->key_rows, call->source, V, 0,
                              &problem->value_strides);
}

enum attn_status attn_direct_run(const struct attn_context* context,
                                 const struct attn_layer_call* call,
                                 struct attn_attention* problem) {
    const ptrdiff_t rows = call->batch * call->target, V = call->value_width;
    const int in_place = call->output.layout == ATTN_ROWS && call->output.step == V;
    ATTN_TRY(read_inputs(context, call, problem));
    ATTN_TRY(attn_layer_strides(context, call, &call->query_rows, call->target, V, 0,
                                &problem->output_strides));
    problem->output = in_place ? call->output.data
                               : attn_workspace_take(context->workspace, (size_t)rows,
                                                     (size_t)V * attn_dtype_size(problem->dtype));
    if (problem->output == NULL) {
        return ATTN_NO_MEMORY;
    }
    ATTN_TRY(call->reference ? attn_attention_reference(context, problem)
                             : attn_attention(context, problem));
    if (!in_place) {
        attn_write_rows(context, problem->dtype, rows, V, problem->output, &call->output);
    }
    return ATTN_OK;
}

double attn_direct_scalar(const struct attn_layer* layer, int index) {
    const void* weight = attn_layer_weight(layer, index);
    return layer->dtype == ATTN_FLOAT32 ? (double)*(const float*)weight : *(const double*)weight;
}

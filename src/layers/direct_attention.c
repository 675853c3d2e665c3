#include "direct_attention.h"

struct attn_attention attn_direct_problem(const struct attn_layer* layer,
                                          const struct attn_layer_call* call) {
    const ptrdiff_t K = call->query_width, V = call->value_width;
    const ptrdiff_t T = call->target, S = call->source;
    struct attn_attention problem = {
        .dtype = layer->dtype,
        .batch = call->batch, .heads = 1, .key_heads = 1,
        .target = T, .source = S, .key_dim = K, .value_dim = V,
        .query_strides = attn_strides(T * K, 0, K), .key_strides = attn_strides(S * K, 0, K),
        .value_strides = attn_strides(S * V, 0, V), .output_strides = attn_strides(T * V, 0, V),
        .score = ATTN_SCORE_DOT, .scale = 1, .inner = 1,
        .mask = call->mask, .dead_row = call->dead_row, .keep_row = call->keep_row,
        .dropout = {call->training ? layer->config.dropout : 0, layer->key,
                    layer->calls + call->calls_before},
        .scores = call->scores,
        .scores_after_dropout = 1,
    };
    return problem;
}

/* an input as a tensor: what the caller has, if it is one */
static enum attn_status read_input(const struct attn_context* context, enum attn_dtype dtype,
                                   ptrdiff_t rows, ptrdiff_t columns,
                                   const struct attn_matrix* input, const ptrdiff_t* order,
                                   const void** tensor) {
    if (input->layout == ATTN_ROWS && input->step == columns && order == NULL) {
        *tensor = input->data;
        return ATTN_OK;
    }
    void* made = attn_workspace_take(context->workspace, (size_t)rows,
                                     (size_t)columns * attn_dtype_size(dtype));
    if (made == NULL) {
        return ATTN_NO_MEMORY;
    }
    struct attn_matrix_out out = attn_rows_out(made, columns);
    out.row_place = order;
    attn_matrix_copy(context, dtype, rows, columns, input, &out);
    *tensor = made;
    return ATTN_OK;
}

/* query, key and value; what is one array stays one tensor */
static enum attn_status read_inputs(const struct attn_context* context,
                                    const struct attn_layer_call* call,
                                    struct attn_attention* problem) {
    const ptrdiff_t targets = call->batch * call->target, sources = call->batch * call->source;
    const ptrdiff_t K = call->query_width, V = call->value_width;
    const enum attn_dtype dtype = problem->dtype;
    const int alike = targets == sources && call->query_order == call->key_order;
    ATTN_TRY(read_input(context, dtype, targets, K, &call->query, call->query_order,
                        &problem->query));
    if (alike && K == V && attn_same_matrix(&call->value, &call->query)) {
        problem->value = problem->query;
    } else {
        ATTN_TRY(read_input(context, dtype, sources, V, &call->value, call->key_order,
                            &problem->value));
    }
    if (K == V && attn_same_matrix(&call->key, &call->value)) {
        problem->key = problem->value;
    } else if (alike && attn_same_matrix(&call->key, &call->query)) {
        problem->key = problem->query;
    } else {
        ATTN_TRY(
            read_input(context, dtype, sources, K, &call->key, call->key_order, &problem->key));
    }
    return ATTN_OK;
}

enum attn_status attn_direct_run(const struct attn_context* context,
                                 const struct attn_layer_call* call,
                                 struct attn_attention* problem) {
    const ptrdiff_t rows = call->batch * call->target, V = call->value_width;
    const int in_place = call->output.layout == ATTN_ROWS && call->output.step == V &&
                         call->query_order == NULL;
    ATTN_TRY(read_inputs(context, call, problem));
    problem->output = in_place ? call->output.data
                               : attn_workspace_take(context->workspace, (size_t)rows,
                                                     (size_t)V * attn_dtype_size(problem->dtype));
    if (problem->output == NULL) {
        return ATTN_NO_MEMORY;
    }
    ATTN_TRY(call->reference ? attn_attention_reference(context, problem)
                             : attn_attention(context, problem));
    if (!in_place) {
        struct attn_matrix from = attn_rows(problem->output, V);
        from.row_place = call->query_order;
        attn_matrix_copy(context, problem->dtype, rows, V, &from, &call->output);
    }
    return ATTN_OK;
}

double attn_direct_scalar(const struct attn_layer* layer, int index) {
    const void* weight = attn_layer_weight(layer, index);
    return layer->dtype == ATTN_FLOAT32 ? (double)*(const float*)weight : *(const double*)weight;
}

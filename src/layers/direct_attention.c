#include "direct_attention.h"

struct attn_attention attn_direct_problem(const struct attn_layer* layer,
                                          const struct attn_layer_call* call) {
    const ptrdiff_t K = call->query_width, V = call->value_width;
    const ptrdiff_t T = call->target, S = call->source;
    struct attn_attention problem = {
        .dtype = layer->dtype,
        .batch = call->batch, .heads = 1, .key_heads = 1,
        .target = T, .source = S, .key_dim = K, .value_dim = V,
        .query = call->query, .query_strides = attn_strides(T * K, 0, K),
        .key = call->key, .key_strides = attn_strides(S * K, 0, K),
        .value = call->value, .value_strides = attn_strides(S * V, 0, V),
        .score = ATTN_SCORE_DOT, .scale = 1, .inner = 1,
        .mask = call->mask, .dead_row = call->dead_row, .keep_row = call->keep_row,
        .dropout = {call->training ? layer->config.dropout : 0, layer->key, layer->calls},
        .output = call->output, .output_strides = attn_strides(T * V, 0, V),
        .scores = call->scores,
        .scores_after_dropout = 1,
    };
    return problem;
}

enum attn_status attn_direct_run(const struct attn_context* context,
                                 const struct attn_layer_call* call,
                                 const struct attn_attention* problem) {
    return call->reference ? attn_attention_reference(context, problem)
                           : attn_attention(context, problem);
}

double attn_direct_scalar(const struct attn_layer* layer, int index) {
    const void* weight = attn_layer_weight(layer, index);
    return layer->dtype == ATTN_FLOAT32 ? (double)*(const float*)weight : *(const double*)weight;
}

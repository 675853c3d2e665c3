/* AdditiveAttention (Bahdanau, Cho & Bengio 2015, appendix A.1.2): logits are
 * sum_d scale_d tanh(q_d + k_d), with scale a vector of weights, or ones. */
#include "direct_attention.h"

static enum attn_status describe(struct attn_layer* layer) {
    if (layer->config.use_scale) {
        attn_layer_add_weight(layer, "scale", 1, &layer->widths.query, 0);
    }
    return ATTN_OK;
}

static enum attn_status forward(const struct attn_context* context,
                                const struct attn_layer* layer, struct attn_layer_call* call) {
    struct attn_attention problem = attn_direct_problem(layer, call);
    problem.score = ATTN_SCORE_TANH;
    problem.tanh_weight = layer->config.use_scale ? attn_layer_weight(layer, 0) : NULL;
    return attn_direct_run(context, call, &problem);
}

/* the scale is a vector over the last dim of query and key */
static int accepts(const struct attn_layer* layer, ptrdiff_t query, ptrdiff_t key,
                   ptrdiff_t value) {
    (void)value;
    return query == key && (!layer->config.use_scale || query == layer->widths.query);
}

const struct attn_layer_kind attn_additive_attention_kind = {
    ATTN_LAYER_ADDITIVE_ATTENTION,
    "additive_attention",
    describe,
    forward,
    accepts,
};

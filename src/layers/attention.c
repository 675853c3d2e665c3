/* Attention: logits are scale * q.k ("dot"; Luong et al. 2015, section 3.1), or
 * concat_score_weight * sum tanh(scale * (q + k)) ("concat"). scale is a scalar
 * weight, or 1. */
#include "direct_attention.h"

static enum attn_status describe(struct attn_layer* layer) {
    if (layer->config.use_scale) {
        attn_layer_add_weight(layer, "scale", 0, NULL, 0);
    }
    if (layer->config.score_mode == ATTN_MODE_CONCAT) {
        attn_layer_add_weight(layer, "concat_score_weight", 0, NULL, 0);
    }
    return ATTN_OK;
}

static enum attn_status forward(const struct attn_context* context,
                                const struct attn_layer* layer, struct attn_layer_call* call) {
    struct attn_attention problem = attn_direct_problem(layer, call);
    const double scale = layer->config.use_scale ? attn_direct_scalar(layer, 0) : 1;
    if (layer->config.score_mode == ATTN_MODE_CONCAT) {
        problem.score = ATTN_SCORE_TANH;
        problem.inner = scale;
        problem.scale = attn_direct_scalar(layer, layer->config.use_scale ? 1 : 0);
    } else {
        problem.scale = scale;
    }
    return attn_direct_run(context, call, &problem);
}

static int accepts(const struct attn_layer* layer, ptrdiff_t query, ptrdiff_t key,
                   ptrdiff_t value) {
    (void)layer;
    (void)value;
    return query == key;
}

const struct attn_layer_kind attn_attention_kind = {
    ATTN_LAYER_ATTENTION,
    "attention",
    describe,
    forward,
    accepts,
};

/* MultiHeadAttention: every query head has a key and a value head of its own
 * (num_key_value_heads == num_heads). */
#include "projected_attention.h"

const struct attn_layer_kind attn_multi_head_attention_kind = {
    ATTN_LAYER_MULTI_HEAD_ATTENTION,
    "multi_head_attention",
    attn_projected_describe,
    attn_projected_forward,
    attn_projected_accepts,
};

/* GroupQueryAttention: num_heads / num_key_value_heads query heads share a key
 * and a value head; head n reads key/value head n / (N / G). key_dim and
 * value_dim are both Keras's head_dim. */
#include "projected_attention.h"

const struct attn_layer_kind attn_group_query_attention_kind = {
    ATTN_LAYER_GROUP_QUERY_ATTENTION,
    "group_query_attention",
    attn_projected_describe,
    attn_projected_forward,
    attn_projected_accepts,
};

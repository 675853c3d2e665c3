/* What multi-head and grouped-query attention share: query, key, value (and
 * gate) projections, attention head by head, the output projection. Multi-head
 * attention is the case G = N.
 *
 * Vaswani et al. 2017, "Attention is all you need", section 3.2.2;
 * Ainslie et al. 2023, "GQA", section 2.2. */
#ifndef ATTN_LAYERS_PROJECTED_ATTENTION_H
#define ATTN_LAYERS_PROJECTED_ATTENTION_H

#include "layer.h"

enum attn_status attn_projected_describe(struct attn_layer* layer);
enum attn_status attn_projected_forward(const struct attn_context* context,
                                        const struct attn_layer* layer,
                                        struct attn_layer_call* call);
/* Keys and values of earlier calls, which are not projected again: (B, 2, length, N, K),
 * keys first. The layer is multi-head attention without a gate, its K is its V. */
struct attn_projection_cache {
    void* data;
    ptrdiff_t length;
    /* call->value has (B * added) rows, whose keys and values go where positions
     * first .. first + added - 1 are; added 0: none do */
    ptrdiff_t first, added;
};

/* The same as attn_projected_forward, over the first call->source positions of the cache.
 * There are no orders of rows, call->key is not looked at. */
enum attn_status attn_projected_cached(const struct attn_context* context,
                                       const struct attn_layer* layer,
                                       struct attn_layer_call* call,
                                       const struct attn_projection_cache* cache);
int attn_projected_accepts(const struct attn_layer* layer, ptrdiff_t query, ptrdiff_t key,
                           ptrdiff_t value);

#endif

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
int attn_projected_accepts(const struct attn_layer* layer, ptrdiff_t query, ptrdiff_t key,
                           ptrdiff_t value);

#endif

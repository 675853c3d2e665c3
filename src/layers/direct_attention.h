/* What the two layers without projections share: one head, inputs as they come. */
#ifndef ATTN_LAYERS_DIRECT_ATTENTION_H
#define ATTN_LAYERS_DIRECT_ATTENTION_H

#include "layer.h"

/* an attention problem with logits q.k of scale 1, still without tensors */
struct attn_attention attn_direct_problem(const struct attn_layer* layer,
                                          const struct attn_layer_call* call);
/* reads the call's inputs, attends and writes its output */
enum attn_status attn_direct_run(const struct attn_context* context,
                                 const struct attn_layer_call* call,
                                 struct attn_attention* problem);

/* a scalar weight as a number */
double attn_direct_scalar(const struct attn_layer* layer, int index);

#endif

/* The table of operations: everything that a step of a model can be. One that is added
 * here is a file in layers/ (or a few that belong together), and a constructor in R. */
#ifndef ATTN_MODELS_OPERATIONS_H
#define ATTN_MODELS_OPERATIONS_H

#include "step.h"

#define ATTN_OPERATIONS(X) \
    X(activation) \
    X(attend) \
    X(cached_attention) \
    X(calculate) \
    X(concatenate) \
    X(conv1d) \
    X(dense) \
    X(dot) \
    X(dropout) \
    X(einsum_dense) \
    X(embedding) \
    X(expand_dims) \
    X(flatten) \
    X(global_pooling) \
    X(identity) \
    X(learned_positions) \
    X(masking) \
    X(merge) \
    X(merge_time) \
    X(normalization) \
    X(parametric_relu) \
    X(permute) \
    X(reduce) \
    X(repeat_vector) \
    X(rescaling) \
    X(reshape) \
    X(rotary) \
    X(sine_positions) \
    X(split_time) \
    X(squeeze)

#define DECLARE(name) extern const struct attn_operation attn_##name##_operation;
ATTN_OPERATIONS(DECLARE)
#undef DECLARE

#endif

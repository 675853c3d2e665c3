/* Layers that are weights and nothing else to the core: what is computed with them is
 * an operation of a model's step (step.h). Their names, shapes and packing come from R. */
#ifndef ATTN_LAYERS_WEIGHTS_H
#define ATTN_LAYERS_WEIGHTS_H

#include "layer.h"

struct attn_weight_shape {
    const char* name; /* shorter than ATTN_NAME_SIZE */
    int rank;
    ptrdiff_t dim[ATTN_MAX_RANK];
    /* 0, or the number of rows of the matrix that it is in products */
    ptrdiff_t depth;
};

extern const struct attn_layer_kind attn_weights_kind;

/* A built layer of zeros; ATTN_BAD_LENGTH where a depth does not divide its length. */
enum attn_status attn_weights_create(enum attn_dtype dtype, int count,
                                     const struct attn_weight_shape* shape,
                                     struct attn_random_key key, struct attn_layer** layer);

/* The part of the state that is only theirs; state.c calls them. */
size_t attn_weights_state_size(const struct attn_layer* layer);
void attn_weights_state_put(const struct attn_context* context, const struct attn_layer* layer,
                            unsigned char* bytes);
enum attn_status attn_weights_state_get(const struct attn_context* context,
                                        const unsigned char* bytes, size_t size,
                                        struct attn_layer** layer);

#endif

/* Tensors merged number by number, with broadcasting; scaled and shifted tensors.
 *
 * Keras's merging layers (src/layers/merging): Add, Subtract, Multiply, Average,
 * Maximum, Minimum fold their inputs from the first to the last; Average divides
 * their sum by their number. */
#ifndef ATTN_OPS_ELEMENTWISE_H
#define ATTN_OPS_ELEMENTWISE_H

#include <stdint.h>

#include "parallel.h"
#include "status.h"
#include "tensor.h"

enum attn_merge {
    ATTN_MERGE_ADD,
    ATTN_MERGE_SUBTRACT,
    ATTN_MERGE_MULTIPLY,
    ATTN_MERGE_AVERAGE,
    ATTN_MERGE_MAXIMUM,
    ATTN_MERGE_MINIMUM
};

struct attn_operand {
    const void* data;
    int rank;
    ptrdiff_t dim[ATTN_MAX_RANK];
    /* Non-zero = a row that counts, of the dims but the last; or NULL. Only for
     * multiply, maximum and minimum, where Keras lets the mask of an input speak:
     * a masked row does not take part (src/layers/merging/base_merge.py). A product
     * of masked inputs that are all masked in a row is 0 there. */
    const uint8_t* mask;
};

/* Dims of 1 behind the first axis until there are `rank`: how Keras's merging layers
 * make tensors of different ranks fit, keeping the batch in front. */
void attn_align_batch(struct attn_operand* operand, int rank);

/* The common shape of all: aligned at the last axis, dims equal or 1, as numpy has
 * it; ATTN_BAD_LENGTH where there is none. */
enum attn_status attn_broadcast_shape(int count, const struct attn_operand* operand, int* rank,
                                      ptrdiff_t* dim);

enum { ATTN_MOST_OPERANDS = 64 };

/* out (rank, dim): the shape of attn_broadcast_shape, or a larger one that all fit; may
 * be the first operand where that has the same shape. A single operand is copied,
 * broadcast. ATTN_BAD_LENGTH: operands that do not fit, none, or too many. */
enum attn_status attn_merge(const struct attn_context* context, enum attn_dtype dtype,
                            enum attn_merge how, int count, const struct attn_operand* operand,
                            int rank, const ptrdiff_t* dim, void* out);

/* y = x * scale + offset, Keras's Rescaling; y may be x */
enum attn_status attn_rescale(const struct attn_context* context, enum attn_dtype dtype,
                              ptrdiff_t count, const void* x, double scale, double offset,
                              void* y);

#endif

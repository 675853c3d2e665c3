/* Dropout of the numbers of a tensor, Keras's Dropout layer in training.
 *
 * y = x / (1 - rate) where a number is kept, else 0; rate 1 drops all. noise: the shape
 * of the decisions, each dim that of x or 1, where one decision is for the whole axis
 * (`noise_shape` of the layer). Which stay is a function of the layer's key, the number
 * of the call and the place in `noise`, as in attention (dropout.h). */
#ifndef ATTN_OPS_TENSOR_DROPOUT_H
#define ATTN_OPS_TENSOR_DROPOUT_H

#include "dropout.h"
#include "parallel.h"
#include "status.h"
#include "tensor.h"

/* noise: (rank), or NULL for dim itself; y may be x. ATTN_BAD_LENGTH: a noise dim that is
 * neither 1 nor x's. */
enum attn_status attn_tensor_dropout(const struct attn_context* context, enum attn_dtype dtype,
                                     const struct attn_dropout* dropout, int rank,
                                     const ptrdiff_t* dim, const ptrdiff_t* noise, const void* x,
                                     void* y);

#endif

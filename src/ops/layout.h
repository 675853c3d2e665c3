/* Tensors in another order: permuted axes, joined tensors, repeated rows. Flattening
 * and reshaping a row-major tensor moves nothing, so there is no function for it.
 *
 * Keras 3: Permute, Concatenate (src/layers/merging/concatenate.py), RepeatVector. */
#ifndef ATTN_OPS_LAYOUT_H
#define ATTN_OPS_LAYOUT_H

#include "parallel.h"
#include "status.h"
#include "tensor.h"

/* y: axis i of y is axis order[i] of x; y is not x. ATTN_BAD_LENGTH where `order` is no
 * permutation of 0 .. rank - 1. Axes count from 0, the batch among them. */
enum attn_status attn_permute(const struct attn_context* context, enum attn_dtype dtype, int rank,
                              const ptrdiff_t* dim, const int* order, const void* x, void* y);

/* Whether attn_permute would leave every number where it is: only axes of 1 move.
 * `order` is a permutation. */
int attn_permute_is_view(int rank, const ptrdiff_t* dim, const int* order);

/* y: x[0], x[1], ... one behind the other along `axis`, all (rank, dim) but for
 * dim[axis], which is size[k] for x[k]. */
enum attn_status attn_concatenate(const struct attn_context* context, enum attn_dtype dtype,
                                  int rank, const ptrdiff_t* dim, int axis, int count,
                                  const ptrdiff_t* size, const void* const* x, void* y);

/* y (batch, times, features) from x (batch, features) */
enum attn_status attn_repeat_vector(const struct attn_context* context, enum attn_dtype dtype,
                                    ptrdiff_t batch, ptrdiff_t times, ptrdiff_t features,
                                    const void* x, void* y);

#endif

/* Products of as many pairs of matrices as there are, and Keras's Dot layer.
 * For a right-hand side that is the same for all, weights for example, there is
 * matmul.h, which packs it once. */
#ifndef ATTN_OPS_BATCH_PRODUCT_H
#define ATTN_OPS_BATCH_PRODUCT_H

#include "parallel.h"
#include "status.h"
#include "tensor.h"

/* out (batch, rows, columns) = x (batch, rows, depth) y (batch, depth, columns) */
enum attn_status attn_batch_product(const struct attn_context* context, enum attn_dtype dtype,
                                    ptrdiff_t batch, ptrdiff_t rows, ptrdiff_t columns,
                                    ptrdiff_t depth, const void* x, const void* y, void* out);

/* Keras's Dot (src/layers/merging/dot.py): for each entry of the batch, axis 0 of
 * both, the sum over axis `axis[0]` of x times axis `axis[1]` of y. The result has x's
 * other axes, then y's other axes without the batch; with rank 1 left, an axis of 1
 * behind it. normalize: both are divided by their 2-norm along that axis first, which
 * counts as at least 1e-7 (keras.ops.normalize). */
struct attn_dot {
    int x_rank, y_rank;
    ptrdiff_t x_dim[ATTN_MAX_RANK], y_dim[ATTN_MAX_RANK];
    int axis[2]; /* 1 .. rank - 1 */
    int normalize;
};

/* ATTN_BAD_LENGTH: ranks below 2, an axis that is none or 0, sizes that differ. */
enum attn_status attn_dot_shape(const struct attn_dot* dot, int* rank, ptrdiff_t* dim);

enum attn_status attn_dot(const struct attn_context* context, enum attn_dtype dtype,
                          const struct attn_dot* dot, const void* x, const void* y, void* out);

#endif

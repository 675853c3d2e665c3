/* Matrix product with right-hand sides that are packed once, as weights are.
 * Blocked as in BLIS (Van Zee & van de Geijn 2015): panels of the left matrix
 * are packed per block of rows, so that the kernel reads both sides in order. */
#ifndef ATTN_OPS_MATMUL_H
#define ATTN_OPS_MATMUL_H

#include "matrix.h"
#include "parallel.h"
#include "status.h"
#include "tensor.h"

/* Bytes of the packed form of a (depth x columns) matrix. */
size_t attn_matmul_packed_size(enum attn_dtype dtype, ptrdiff_t depth, ptrdiff_t columns);

/* packed: 64-byte aligned, of the size above; matrix: row-major (depth x columns) */
void attn_matmul_pack(const struct attn_context* context, enum attn_dtype dtype, ptrdiff_t depth,
                      ptrdiff_t columns, const void* matrix, void* packed);

/* A right-hand side and where its product goes. */
struct attn_factor {
    ptrdiff_t columns;
    const void* packed; /* (depth x columns) */
    const void* bias;   /* (columns), or NULL */
    struct attn_matrix_out out; /* (rows x columns) */
};

enum { ATTN_MOST_FACTORS = 4 }; /* of one attn_matmul_each() */

/* out = x packed + bias for each of `count` factors, at most ATTN_MOST_FACTORS, in
 * one pass over x (rows x depth); rows may be 0, depth and columns not */
enum attn_status attn_matmul_each(const struct attn_context* context, enum attn_dtype dtype,
                                  ptrdiff_t rows, ptrdiff_t depth, const struct attn_matrix* x,
                                  int count, const struct attn_factor* factor);

/* One product of tensors: out (rows x columns) = x (rows x depth) packed + bias */
enum attn_status attn_matmul(const struct attn_context* context, enum attn_dtype dtype,
                             ptrdiff_t rows, ptrdiff_t depth, ptrdiff_t columns, const void* x,
                             const void* packed, const void* bias, void* out);

#endif

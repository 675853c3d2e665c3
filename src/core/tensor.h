/* Element types, checked sizes, and the description of a dense tensor.
 * Tensors are row-major: the last axis is contiguous. */
#ifndef ATTN_CORE_TENSOR_H
#define ATTN_CORE_TENSOR_H

#include <stddef.h>

#include "status.h"

enum attn_dtype { ATTN_FLOAT32 = 0, ATTN_FLOAT64 = 1 };

enum { ATTN_MAX_RANK = 16 };

static inline size_t attn_dtype_size(enum attn_dtype dtype) {
    return dtype == ATTN_FLOAT32 ? sizeof(float) : sizeof(double);
}

/* product of dims; ATTN_BAD_LENGTH where it, or that of those dims that are not 0, times
 * 16 bytes, leaves ptrdiff_t: so that the product of any of them is one */
enum attn_status attn_checked_length(int rank, const ptrdiff_t* dim, ptrdiff_t* length);

/* Steps, in elements, from one row to the next along each of the axes that
 * attention knows. The innermost axis is always contiguous. */
struct attn_strides {
    ptrdiff_t batch, head, row;
};

static inline struct attn_strides attn_strides(ptrdiff_t batch, ptrdiff_t head, ptrdiff_t row) {
    const struct attn_strides strides = {batch, head, row};
    return strides;
}

/* where row `row` of a head starts */
static inline ptrdiff_t attn_row(const struct attn_strides* strides, ptrdiff_t batch,
                                 ptrdiff_t head, ptrdiff_t row) {
    return batch * strides->batch + head * strides->head + row * strides->row;
}

#endif

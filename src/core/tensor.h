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

/* product of dims; ATTN_BAD_LENGTH where it, times 16 bytes, leaves ptrdiff_t */
enum attn_status attn_checked_length(int rank, const ptrdiff_t* dim, ptrdiff_t* length);

/* Steps, in elements, from one row to the next along each of the axes that
 * attention knows. The innermost axis is always contiguous. */
struct attn_strides {
    ptrdiff_t batch, head, row;
    /* Where the rows of B or T do not lie evenly (the flattened axes of an R
     * array), tables of their offsets stand for the strides; else NULL. */
    const ptrdiff_t *batch_offset, *row_offset;
};

static inline struct attn_strides attn_strides(ptrdiff_t batch, ptrdiff_t head, ptrdiff_t row) {
    const struct attn_strides even = {batch, head, row, NULL, NULL};
    return even;
}

/* where row `row` of a head starts */
static inline ptrdiff_t attn_row(const struct attn_strides* strides, ptrdiff_t batch,
                                 ptrdiff_t head, ptrdiff_t row) {
    return (strides->batch_offset != NULL ? strides->batch_offset[batch]
                                          : batch * strides->batch) +
           head * strides->head +
           (strides->row_offset != NULL ? strides->row_offset[row] : row * strides->row);
}

#endif

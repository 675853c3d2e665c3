/* The kernels of op_kernels.h. Included by kernels_impl.h. */

#include "op_vectors_impl.h"
#include "special_impl.h"
#include "activate_impl.h"
#include "rows_impl.h"
#include "normalize_impl.h"
#include "transpose_impl.h"

#undef ATTN_OP_KERNEL_TABLE
#define ATTN_OP_KERNEL_TABLE                                \
    .activate = KERNEL(activate),                           \
    .softmax_row = KERNEL(softmax_row),                     \
    .log_softmax_row = KERNEL(log_softmax_row),             \
    .normalize_row = KERNEL(normalize_row),                 \
    .sum_row = KERNEL(sum_row),                             \
    .max_row = KERNEL(max_row),                             \
    .merge = KERNEL(merge),                                 \
    .rescale = KERNEL(rescale),                             \
    .rotate = KERNEL(rotate),                               \
    .transpose = KERNEL(transpose_block)

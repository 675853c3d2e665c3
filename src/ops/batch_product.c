#include "batch_product.h"

#include <math.h>
#include <string.h>

#include "kernels.h"
#include "layout.h"

static const double NORM_LEAST = 1e-7; /* keras.config.epsilon() */

enum { LENGTH_PIECE = 1 << 16 }; /* of a vector, between two looks at the clock */

#define REAL_BITS 32
#include "real.h"
#define REAL_KERNELS (attn_kernels()->f32)
#include "batch_product_real.h"
#undef REAL_BITS
#undef REAL_KERNELS

#define REAL_BITS 64
#include "real.h"
#define REAL_KERNELS (attn_kernels()->f64)
#include "batch_product_real.h"

enum attn_status attn_batch_product(const struct attn_context* context, enum attn_dtype dtype,
                                    ptrdiff_t batch, ptrdiff_t rows, ptrdiff_t columns,
                                    ptrdiff_t depth, const void* x, const void* y, void* out) {
    const ptrdiff_t dim[3] = {batch, rows, columns};
    ptrdiff_t numbers;
    ATTN_TRY(attn_checked_length(3, dim, &numbers));
    if (numbers == 0) {
        return ATTN_OK;
    }
    if (depth == 0) {
        attn_parallel_zero(context, out, (size_t)numbers * attn_dtype_size(dtype));
        return ATTN_OK;
    }
    return dtype == ATTN_FLOAT32
               ? products_f32(context, batch, rows, columns, depth, x, y, out)
               : products_f64(context, batch, rows, columns, depth, x, y, out);
}

enum attn_status attn_dot_shape(const struct attn_dot* dot, int* rank, ptrdiff_t* dim) {
    const int x_axis = dot->axis[0], y_axis = dot->axis[1];
    if (dot->x_rank < 2 || dot->y_rank < 2 || x_axis < 1 || x_axis >= dot->x_rank || y_axis < 1 ||
        y_axis >= dot->y_rank || dot->x_rank + dot->y_rank - 3 > ATTN_MAX_RANK ||
        dot->x_dim[0] != dot->y_dim[0] || dot->x_dim[x_axis] != dot->y_dim[y_axis]) {
        return ATTN_BAD_LENGTH;
    }
    *rank = 0;
    for (int axis = 0; axis < dot->x_rank; axis++) {
        if (axis != x_axis) {
            dim[(*rank)++] = dot->x_dim[axis];
        }
    }
    for (int axis = 1; axis < dot->y_rank; axis++) {
        if (axis != y_axis) {
            dim[(*rank)++] = dot->y_dim[axis];
        }
    }
    if (*rank == 1) {
        dim[(*rank)++] = 1;
    }
    return ATTN_OK;
}

/* `tensor` with `axis` moved to the place `to`, in memory of the workspace, or as it is */
static enum attn_status move_axis(const struct attn_context* context, enum attn_dtype dtype,
                                  int rank, const ptrdiff_t* dim, int axis, int to,
                                  const void* tensor, const void** moved) {
    int order[ATTN_MAX_RANK], next = 0;
    ptrdiff_t numbers;
    for (int i = 0; i < rank; i++) {
        next += next == axis;
        order[i] = i == to ? axis : next++;
    }
    *moved = tensor;
    if (attn_permute_is_view(rank, dim, order)) {
        return ATTN_OK;
    }
    ATTN_TRY(attn_checked_length(rank, dim, &numbers));
    void* copy = attn_workspace_take(context->workspace, (size_t)numbers, attn_dtype_size(dtype));
    if (copy == NULL) {
        return ATTN_NO_MEMORY;
    }
    ATTN_TRY(attn_permute(context, dtype, rank, dim, order, tensor, copy));
    *moved = copy;
    return ATTN_OK;
}

/* x as (batch, ..., depth), each vector of unit length if that is wanted */
static enum attn_status depth_last(const struct attn_context* context, enum attn_dtype dtype,
                                   int rank, const ptrdiff_t* dim, int axis, int normalize,
                                   const void* x, const void** moved) {
    const ptrdiff_t depth = dim[axis];
    ptrdiff_t numbers;
    ATTN_TRY(move_axis(context, dtype, rank, dim, axis, rank - 1, x, moved));
    ATTN_TRY(attn_checked_length(rank, dim, &numbers));
    if (!normalize || numbers == 0) {
        return ATTN_OK;
    }
    void* unit = attn_workspace_take(context->workspace, (size_t)numbers, attn_dtype_size(dtype));
    if (unit == NULL) {
        return ATTN_NO_MEMORY;
    }
    if (dtype == ATTN_FLOAT32) {
        unit_lengths_f32(context, numbers / depth, depth, *moved, unit);
    } else {
        unit_lengths_f64(context, numbers / depth, depth, *moved, unit);
    }
    *moved = unit;
    return ATTN_OK;
}

/* y as (batch, depth, ...) */
static enum attn_status depth_second(const struct attn_context* context, enum attn_dtype dtype,
                                     int rank, const ptrdiff_t* dim, int axis, int normalize,
                                     const void* y, const void** moved) {
    ptrdiff_t last[ATTN_MAX_RANK];
    if (!normalize) {
        return move_axis(context, dtype, rank, dim, axis, 1, y, moved);
    }
    ATTN_TRY(depth_last(context, dtype, rank, dim, axis, 1, y, moved));
    for (int i = 0, from = 0; i < rank - 1; i++, from++) {
        from += from == axis;
        last[i] = dim[from];
    }
    last[rank - 1] = dim[axis];
    return move_axis(context, dtype, rank, last, rank - 1, 1, *moved, moved);
}

enum attn_status attn_dot(const struct attn_context* context, enum attn_dtype dtype,
                          const struct attn_dot* dot, const void* x, const void* y, void* out) {
    int rank;
    ptrdiff_t dim[ATTN_MAX_RANK + 1], numbers, rows = 1, columns = 1;
    ATTN_TRY(attn_dot_shape(dot, &rank, dim));
    ATTN_TRY(attn_checked_length(rank, dim, &numbers));
    if (numbers == 0) {
        return ATTN_OK;
    }
    for (int axis = 1; axis < dot->x_rank; axis++) {
        rows *= axis == dot->axis[0] ? 1 : dot->x_dim[axis];
    }
    for (int axis = 1; axis < dot->y_rank; axis++) {
        columns *= axis == dot->axis[1] ? 1 : dot->y_dim[axis];
    }
    ATTN_TRY(depth_last(context, dtype, dot->x_rank, dot->x_dim, dot->axis[0], dot->normalize, x,
                        &x));
    ATTN_TRY(depth_second(context, dtype, dot->y_rank, dot->y_dim, dot->axis[1], dot->normalize,
                          y, &y));
    return attn_batch_product(context, dtype, dot->x_dim[0], rows, columns,
                              dot->x_dim[dot->axis[0]], x, y, out);
}

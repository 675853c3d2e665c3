/* Keras's Concatenate: tensors one behind the other along an axis, the only setting,
 * counted from 0, or from the end as -1.
 *
 * The result is masked where an input has a mask; one that has none counts everywhere.
 * Along the last axis, which masks do not have, what counts in one input counts
 * (src/layers/merging/concatenate.py). */
#include <string.h>

#include "layout.h"
#include "step.h"

enum { AXIS, SETTINGS };

/* The common shape, and each input's size along the axis. */
static enum attn_status find_shape(struct attn_value* const* in, int count, int axis,
                                   ptrdiff_t* size, ptrdiff_t* dim) {
    const int rank = in[0]->rank;
    memcpy(dim, in[0]->dim, sizeof in[0]->dim);
    dim[axis] = 0;
    for (int k = 0; k < count; k++) {
        if (in[k]->rank != rank) {
            return ATTN_BAD_LENGTH;
        }
        for (int i = 0; i < rank; i++) {
            if (i != axis && in[k]->dim[i] != dim[i]) {
                return ATTN_BAD_LENGTH;
            }
        }
        size[k] = in[k]->dim[axis];
        if (dim[axis] > PTRDIFF_MAX - size[k]) {
            return ATTN_BAD_LENGTH;
        }
        dim[axis] += size[k];
    }
    return ATTN_OK;
}

/* One flag for each row of a value: its mask, or, of a mask of all its dims, whether
 * any number of the row counts. */
static enum attn_status row_flag(const struct attn_value* value, ptrdiff_t row, uint8_t* flag) {
    *flag = 1;
    if (value->mask == NULL) {
        return ATTN_OK;
    }
    if (value->mask_rank != value->rank && value->mask_rank != value->rank - 1) {
        return ATTN_BAD_LENGTH;
    }
    for (int axis = 0; axis < value->mask_rank; axis++) {
        if (value->mask_dim[axis] != value->dim[axis]) {
            return ATTN_BAD_LENGTH;
        }
    }
    const uint8_t* mask = value->mask->data;
    if (value->mask_rank < value->rank) {
        *flag = mask[row] != 0;
        return ATTN_OK;
    }
    const ptrdiff_t columns = value->dim[value->rank - 1];
    *flag = 0;
    for (ptrdiff_t i = 0; i < columns; i++) {
        *flag = *flag || mask[row * columns + i];
    }
    return ATTN_OK;
}

/* The rows of one input, `size` of them in each of `outer` blocks, go to the result's
 * mask from `first` on in its blocks of `whole`; flags that are there stay. */
static enum attn_status put_rows(const struct attn_context* context,
                                 const struct attn_value* value, ptrdiff_t outer, ptrdiff_t size,
                                 ptrdiff_t first, ptrdiff_t whole, uint8_t* to) {
    ptrdiff_t since = 0;
    const ptrdiff_t flags = value->mask != NULL && value->mask_rank == value->rank
                                ? value->dim[value->rank - 1]
                                : 1;
    for (ptrdiff_t block = 0; block < outer; block++) {
        for (ptrdiff_t i = 0; i < size; i++) {
            uint8_t flag;
            ATTN_TRY(row_flag(value, block * size + i, &flag));
            uint8_t* at = &to[block * whole + first + i];
            *at = *at || flag;
            attn_parallel_poll_after(context, flags, &since);
        }
    }
    return ATTN_OK;
}

static enum attn_status join_masks(struct attn_run* run, struct attn_value* const* in, int count,
                                   int axis, struct attn_value* out) {
    const int last = out->rank - 1;
    int any = 0;
    for (int k = 0; k < count; k++) {
        any = any || in[k]->mask != NULL;
    }
    if (!any || last < 0) {
        return ATTN_OK;
    }
    ATTN_TRY(attn_value_new_mask(&run->memory, last, out->dim, out));
    const ptrdiff_t rows = attn_value_extent(out, 0, last);
    attn_parallel_zero(&run->context, out->mask->data, (size_t)rows);
    /* along the last axis the rows of all inputs are the same rows */
    const ptrdiff_t outer = axis == last ? 1 : attn_value_extent(out, 0, axis);
    const ptrdiff_t whole = rows / (outer > 0 ? outer : 1);
    ptrdiff_t first = 0;
    for (int k = 0; k < count; k++) {
        const ptrdiff_t size = axis == last ? rows : attn_value_extent(in[k], axis, last);
        ATTN_TRY(put_rows(&run->context, in[k], outer, size, first, whole, out->mask->data));
        first += axis == last ? 0 : size;
    }
    return ATTN_OK;
}

static enum attn_status run(struct attn_run* run, const struct attn_step* step,
                            struct attn_value* const* in, struct attn_value* out) {
    const int count = step->inputs;
    ptrdiff_t dim[ATTN_MAX_RANK], axis = attn_step_whole(step, AXIS);
    struct attn_workspace* scratch = run->context.workspace;
    ptrdiff_t* size = attn_workspace_take(scratch, (size_t)count, sizeof *size);
    const void** numbers = attn_workspace_take(scratch, (size_t)count, sizeof *numbers);
    if (size == NULL || numbers == NULL) {
        return ATTN_NO_MEMORY;
    }
    for (int k = 0; k < count; k++) {
        numbers[k] = in[k] == NULL ? NULL : attn_step_floats(run, step, in[k]);
        if (numbers[k] == NULL) {
            return in[k] == NULL ? ATTN_BAD_STATE : ATTN_NO_MEMORY;
        }
    }
    axis += axis < 0 ? in[0]->rank : 0;
    if (axis < 0 || axis >= in[0]->rank) {
        return ATTN_BAD_LENGTH;
    }
    ATTN_TRY(find_shape(in, count, (int)axis, size, dim));
    ATTN_TRY(attn_step_new(run, step, in[0]->rank, dim, out));
    ATTN_TRY(attn_concatenate(&run->context, step->dtype, out->rank, dim, (int)axis, count, size,
                              numbers, out->buffer->data));
    return join_masks(run, in, count, (int)axis, out);
}

const struct attn_operation attn_concatenate_operation = {
    .name = "concatenate", .inputs = {1, -1}, .settings = {SETTINGS, SETTINGS},
    .passes_mask = 0, .needs_layer = 0, .run = run,
};

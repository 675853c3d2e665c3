#include "last_axes.h"

#include <string.h>

#include "layout.h"

enum attn_status attn_last_axes(const struct attn_step* step, int first, int count,
                                const struct attn_value* x, struct attn_last_axes* axes) {
    int chosen[ATTN_MAX_RANK] = {0}, place = 0;
    axes->rank = x->rank;
    axes->rows = axes->columns = 1;
    for (int i = first; i < first + count; i++) {
        const ptrdiff_t axis = attn_step_whole(step, i);
        if (axis < 0 || axis >= x->rank || chosen[axis]) {
            return ATTN_BAD_LENGTH;
        }
        chosen[axis] = 1;
    }
    for (int last = 0; last <= 1; last++) {
        for (int axis = 0; axis < x->rank; axis++) {
            if (chosen[axis] == last) {
                axes->order[place] = axis;
                axes->back[axis] = place;
                axes->dim[place++] = x->dim[axis];
                *(last ? &axes->columns : &axes->rows) *= x->dim[axis];
            }
        }
    }
    axes->moved = !attn_permute_is_view(x->rank, x->dim, axes->order);
    return ATTN_OK;
}

static enum attn_status take(struct attn_run* run, enum attn_dtype dtype,
                             const struct attn_last_axes* axes, void** taken) {
    *taken = attn_workspace_take(run->context.workspace, (size_t)(axes->rows * axes->columns) + 1,
                                 attn_dtype_size(dtype));
    return *taken != NULL ? ATTN_OK : ATTN_NO_MEMORY;
}

enum attn_status attn_axes_to_last(struct attn_run* run, enum attn_dtype dtype,
                                   const struct attn_last_axes* axes, const void* x,
                                   const void** moved) {
    void* copy;
    *moved = x;
    if (!axes->moved) {
        return ATTN_OK;
    }
    ptrdiff_t dim[ATTN_MAX_RANK];
    for (int axis = 0; axis < axes->rank; axis++) {
        dim[axis] = axes->dim[axes->back[axis]];
    }
    ATTN_TRY(take(run, dtype, axes, &copy));
    *moved = copy;
    return attn_permute(&run->context, dtype, axes->rank, dim, axes->order, x, copy);
}

enum attn_status attn_axes_result(struct attn_run* run, enum attn_dtype dtype,
                                  const struct attn_last_axes* axes, void* out, void** result) {
    *result = out;
    return axes->moved ? take(run, dtype, axes, result) : ATTN_OK;
}

enum attn_status attn_axes_back(struct attn_run* run, enum attn_dtype dtype,
                                const struct attn_last_axes* axes, const void* result, void* out) {
    return axes->moved ? attn_permute(&run->context, dtype, axes->rank, axes->dim, axes->back,
                                      result, out)
                       : ATTN_OK;
}

enum attn_status attn_spread_mask(struct attn_run* run, const uint8_t* flags, int mask_rank,
                                  const ptrdiff_t* mask_dim, int first, int rank,
                                  const ptrdiff_t* dim, const int* order,
                                  const uint8_t** spread) {
    ptrdiff_t stride[ATTN_MAX_RANK] = {0}, at[ATTN_MAX_RANK] = {0};
    ptrdiff_t length = 1, step = 1, from = 0;
    if (first < 0 || mask_rank > rank - first) {
        return ATTN_BAD_LENGTH;
    }
    for (int axis = mask_rank - 1; axis >= 0; axis--) {
        if (mask_dim[axis] != 1 && mask_dim[axis] != dim[first + axis]) {
            return ATTN_BAD_LENGTH;
        }
        stride[first + axis] = mask_dim[axis] == 1 ? 0 : step;
        step *= mask_dim[axis];
    }
    for (int axis = 0; axis < rank; axis++) {
        length *= dim[axis];
    }
    *spread = flags;
    if (step == length && mask_rank == rank && order == NULL) {
        return ATTN_OK;
    }
    uint8_t* made = attn_workspace_take(run->context.workspace, (size_t)length + 1, 1);
    if (made == NULL) {
        return ATTN_NO_MEMORY;
    }
    for (ptrdiff_t i = 0; i < length; i++) {
        made[i] = flags[from];
        attn_parallel_poll_at(&run->context, i);
        for (int place = rank - 1; place >= 0; place--) { /* the next index in this order */
            const int axis = order == NULL ? place : order[place];
            from += stride[axis];
            if (++at[axis] < dim[axis]) {
                break;
            }
            from -= stride[axis] * dim[axis];
            at[axis] = 0;
        }
    }
    *spread = made;
    return ATTN_OK;
}

/* Keras's Flatten, Reshape and Identity, and the operations Reshape, ExpandDims and
 * Squeeze: the same numbers under other dims. All but Identity lose the mask. */
#include "reshape.h"

#include <string.h>


enum attn_status attn_step_reshaped(struct attn_run* run, const struct attn_step* step,
                                    const struct attn_value* in, int rank, const ptrdiff_t* dim,
                                    struct attn_value* out) {
    if (attn_moved_type(step, in) == in->type) {
        attn_value_view(in, rank, dim, out);
        return ATTN_OK;
    }
    const void* numbers = attn_step_floats(run, step, in);
    ATTN_TRY(attn_step_new(run, step, rank, dim, out));
    if (numbers == NULL) {
        return ATTN_NO_MEMORY;
    }
    attn_parallel_copy(&run->context, out->buffer->data, numbers,
                       (size_t)attn_value_length(in) * attn_dtype_size(step->dtype));
    return ATTN_OK;
}

static enum attn_status identity(struct attn_run* run, const struct attn_step* step,
                                 struct attn_value* const* in, struct attn_value* out) {
    return attn_step_reshaped(run, step, in[0], in[0]->rank, in[0]->dim, out);
}

/* Setting: whether axis 1 are channels, which become the last axis first. */
static enum attn_status flatten(struct attn_run* run, const struct attn_step* step,
                                struct attn_value* const* in, struct attn_value* out) {
    const struct attn_value* x = in[0];
    if (x->rank < 1) {
        return ATTN_BAD_LENGTH;
    }
    const ptrdiff_t dim[2] = {x->dim[0], attn_value_extent(x, 1, x->rank)};
    if (x->rank < 3 || !attn_step_flag(step, 0)) {
        return attn_step_reshaped(run, step, x, 2, dim, out);
    }
    int order[ATTN_MAX_RANK] = {0};
    for (int axis = 1; axis < x->rank; axis++) {
        order[axis] = axis == x->rank - 1 ? 1 : axis + 1;
    }
    return attn_step_permuted(run, step, x, order, 2, dim, out);
}

/* Settings: whether axis 0 stays as it is; then the dims, behind it if so. One of them
 * may be -1: whatever is left. */
static enum attn_status reshape(struct attn_run* run, const struct attn_step* step,
                                struct attn_value* const* in, struct attn_value* out) {
    const struct attn_value* x = in[0];
    const int kept = attn_step_flag(step, 0), rank = step->settings - 1 + kept;
    ptrdiff_t dim[ATTN_MAX_RANK], known = 1;
    const ptrdiff_t length = attn_value_length(x);
    int unknown = -1;
    if (rank > ATTN_MAX_RANK || x->rank < kept) {
        return ATTN_BAD_LENGTH;
    }
    for (int axis = 0; axis < rank; axis++) {
        dim[axis] = kept && axis == 0 ? x->dim[0] : attn_step_whole(step, 1 + axis - kept);
        if (dim[axis] == -1 && unknown < 0) {
            unknown = axis;
        } else if (dim[axis] < 1 || dim[axis] > length / known) {
            return ATTN_BAD_LENGTH;
        } else {
            known *= dim[axis];
        }
    }
    if (unknown >= 0) {
        dim[unknown] = length / known;
        known *= dim[unknown];
    }
    return known == length ? attn_step_reshaped(run, step, x, rank, dim, out) : ATTN_BAD_LENGTH;
}

/* where an axis, from 0 or from the end as -1, is among `rank` of them; -1: nowhere */
static int axis_among(ptrdiff_t axis, int rank) {
    axis += axis < 0 ? rank : 0;
    return axis >= 0 && axis < rank ? (int)axis : -1;
}

/* Settings: the axes of the result that are new. */
static enum attn_status expand(struct attn_run* run, const struct attn_step* step,
                               struct attn_value* const* in, struct attn_value* out) {
    const int rank = in[0]->rank + step->settings;
    ptrdiff_t dim[ATTN_MAX_RANK] = {0};
    if (rank > ATTN_MAX_RANK) {
        return ATTN_BAD_LENGTH;
    }
    for (int i = 0; i < step->settings; i++) {
        const int axis = axis_among(attn_step_whole(step, i), rank);
        if (axis < 0 || dim[axis] != 0) {
            return ATTN_BAD_LENGTH;
        }
        dim[axis] = 1;
    }
    for (int axis = 0, from = 0; axis < rank; axis++) {
        dim[axis] = dim[axis] == 1 ? 1 : in[0]->dim[from++];
    }
    return attn_step_reshaped(run, step, in[0], rank, dim, out);
}

/* Settings: the axes of 1 that go; none: all of them. */
static enum attn_status squeeze(struct attn_run* run, const struct attn_step* step,
                                struct attn_value* const* in, struct attn_value* out) {
    int goes[ATTN_MAX_RANK] = {0}, rank = 0;
    ptrdiff_t dim[ATTN_MAX_RANK];
    for (int i = 0; i < step->settings; i++) {
        const int axis = axis_among(attn_step_whole(step, i), in[0]->rank);
        if (axis < 0 || in[0]->dim[axis] != 1) {
            return ATTN_BAD_LENGTH;
        }
        goes[axis] = 1;
    }
    for (int axis = 0; axis < in[0]->rank; axis++) {
        if (!goes[axis] && !(step->settings == 0 && in[0]->dim[axis] == 1)) {
            dim[rank++] = in[0]->dim[axis];
        }
    }
    return attn_step_reshaped(run, step, in[0], rank, dim, out);
}

const struct attn_operation attn_identity_operation = {
    .name = "identity", .inputs = {1, 1}, .settings = {0, 0},
    .passes_mask = 1, .needs_layer = 0, .run = identity,
};
const struct attn_operation attn_flatten_operation = {
    .name = "flatten", .inputs = {1, 1}, .settings = {1, 1},
    .passes_mask = 0, .needs_layer = 0, .run = flatten,
};
const struct attn_operation attn_reshape_operation = {
    .name = "reshape", .inputs = {1, 1}, .settings = {1, 1 + ATTN_MAX_RANK},
    .passes_mask = 0, .needs_layer = 0, .run = reshape,
};
const struct attn_operation attn_expand_dims_operation = {
    .name = "expand_dims", .inputs = {1, 1}, .settings = {1, ATTN_MAX_RANK},
    .passes_mask = 0, .needs_layer = 0, .run = expand,
};
const struct attn_operation attn_squeeze_operation = {
    .name = "squeeze", .inputs = {1, 1}, .settings = {0, ATTN_MAX_RANK},
    .passes_mask = 0, .needs_layer = 0, .run = squeeze,
};

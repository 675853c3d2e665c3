/* Keras's Dot: the product of two tensors along one axis of each, for each entry of the
 * batch. Settings: the two axes, counted from 0, and whether vectors are normalized. The
 * result has no mask. */
#include <string.h>

#include "batch_product.h"
#include "step.h"

enum { X_AXIS, Y_AXIS, NORMALIZE, SETTINGS };

static int axis_of(ptrdiff_t axis, int rank) {
    axis += axis < 0 ? rank : 0;
    return axis > 0 && axis < rank ? (int)axis : 0; /* 0, the batch, is refused later */
}

static enum attn_status run(struct attn_run* run, const struct attn_step* step,
                            struct attn_value* const* in, struct attn_value* out) {
    const struct attn_value *x = in[0], *y = in[1];
    if (y == NULL) {
        return ATTN_BAD_STATE;
    }
    struct attn_dot dot = {.x_rank = x->rank, .y_rank = y->rank,
                           .normalize = attn_step_flag(step, NORMALIZE)};
    memcpy(dot.x_dim, x->dim, sizeof dot.x_dim);
    memcpy(dot.y_dim, y->dim, sizeof dot.y_dim);
    dot.axis[0] = axis_of(attn_step_whole(step, X_AXIS), x->rank);
    dot.axis[1] = axis_of(attn_step_whole(step, Y_AXIS), y->rank);
    ptrdiff_t dim[2 * ATTN_MAX_RANK];
    int rank;
    ATTN_TRY(attn_dot_shape(&dot, &rank, dim));
    const void* x_numbers = attn_step_floats(run, step, x);
    const void* y_numbers = attn_step_floats(run, step, y);
    if (x_numbers == NULL || y_numbers == NULL) {
        return ATTN_NO_MEMORY;
    }
    ATTN_TRY(attn_step_new(run, step, rank, dim, out));
    return attn_dot(&run->context, step->dtype, &dot, x_numbers, y_numbers, out->buffer->data);
}

const struct attn_operation attn_dot_operation = {
    .name = "dot", .inputs = {2, 2}, .settings = {SETTINGS, SETTINGS},
    .passes_mask = 0, .needs_layer = 0, .run = run,
};

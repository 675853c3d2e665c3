/* KerasHub's RotaryEmbedding: pairs of features are turned by an angle that grows with the
 * position (src/ops/position.h).
 *
 * Inputs: the tensor; the number of the first position, or none, which is the setting
 * START then. The axes are counted as Keras does, from 0, or from the last, which is -1. */
#include "position.h"
#include "start_index.h"

enum { START, WAVELENGTH, SCALING, SEQUENCE_AXIS, FEATURE_AXIS, SETTINGS };

static int axis_of(const struct attn_step* step, int setting, int rank) {
    const ptrdiff_t axis = attn_step_whole(step, setting);
    return (int)(axis < 0 ? axis + rank : axis);
}

static enum attn_status run(struct attn_run* run, const struct attn_step* step,
                            struct attn_value* const* in, struct attn_value* out) {
    const struct attn_value* x = in[0];
    const int sequence_axis = axis_of(step, SEQUENCE_AXIS, x->rank);
    const int feature_axis = axis_of(step, FEATURE_AXIS, x->rank);
    if (sequence_axis < 0 || sequence_axis >= x->rank || feature_axis < 0 ||
        feature_axis >= x->rank || sequence_axis == feature_axis) {
        return ATTN_BAD_LENGTH;
    }
    ptrdiff_t start;
    ATTN_TRY(attn_start_index(run, step, in[1], START, &start));
    const struct attn_rotary rotary = {
        .max_wavelength = step->setting[WAVELENGTH], .scaling_factor = step->setting[SCALING],
        .T = x->dim[sequence_axis], .features = x->dim[feature_axis],
        .start_index = (double)start,
    };
    const size_t angles = (size_t)(rotary.T * (rotary.features / 2)) + 1;
    const size_t size = attn_dtype_size(step->dtype);
    void* cosine = attn_workspace_take(run->context.workspace, angles, size);
    void* sine = attn_workspace_take(run->context.workspace, angles, size);
    const void* numbers = attn_step_floats(run, step, x);
    if (cosine == NULL || sine == NULL || numbers == NULL) {
        return ATTN_NO_MEMORY;
    }
    ATTN_TRY(attn_rotary_tables(&run->context, step->dtype, &rotary, cosine, sine));
    ATTN_TRY(attn_step_like(run, step, x, out));
    return attn_rotate(&run->context, step->dtype, x->rank, x->dim, sequence_axis, feature_axis,
                       cosine, sine, numbers, out->buffer->data);
}

const struct attn_operation attn_rotary_operation = {
    .name = "rotary", .inputs = {2, 2}, .settings = {SETTINGS, SETTINGS},
    .passes_mask = 1, .needs_layer = 0, .run = run,
};

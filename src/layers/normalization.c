/* Keras's LayerNormalization and RMSNormalization over any axes of a tensor.
 *
 * Weights: gamma, if there is one, then beta, if there is one; their numbers are those of
 * the axes in ascending order. Settings: what is computed (enum attn_normalizing),
 * epsilon, whether there is a gamma, a beta; then the axes, ascending. */
#include "normalization.h"

#include "last_axes.h"

enum { HOW, EPSILON, GAMMA, BETA, FIRST_AXIS };

/* the next weight, which is (columns) */
static enum attn_status take_weight(const struct attn_step* step, int wanted, ptrdiff_t columns,
                                    int* next, const void** weight) {
    *weight = NULL;
    if (!wanted) {
        return ATTN_OK;
    }
    if (step->layer == NULL || *next >= step->layer->weights ||
        step->layer->weight[*next].length != columns) {
        return ATTN_BAD_LENGTH;
    }
    *weight = attn_layer_weight(step->layer, (*next)++);
    return ATTN_OK;
}

static enum attn_status run(struct attn_run* run, const struct attn_step* step,
                            struct attn_value* const* in, struct attn_value* out) {
    struct attn_last_axes axes;
    const ptrdiff_t how = attn_step_whole(step, HOW);
    struct attn_normalization problem = {.how = (enum attn_normalizing)how,
                                         .epsilon = step->setting[EPSILON]};
    int next = 0;
    if (how < ATTN_NORMALIZE_LAYER || how > ATTN_NORMALIZE_RMS) {
        return ATTN_BAD_STATE;
    }
    ATTN_TRY(attn_last_axes(step, FIRST_AXIS, step->settings - FIRST_AXIS, in[0], &axes));
    problem.rows = axes.rows;
    problem.columns = axes.columns;
    ATTN_TRY(take_weight(step, attn_step_flag(step, GAMMA), axes.columns, &next, &problem.gamma));
    ATTN_TRY(take_weight(step, attn_step_flag(step, BETA), axes.columns, &next, &problem.beta));
    const void* numbers = attn_step_floats(run, step, in[0]);
    if (numbers == NULL) {
        return ATTN_NO_MEMORY;
    }
    ATTN_TRY(attn_axes_to_last(run, step->dtype, &axes, numbers, &problem.x));
    ATTN_TRY(attn_step_like(run, step, in[0], out));
    ATTN_TRY(attn_axes_result(run, step->dtype, &axes, out->buffer->data, &problem.y));
    ATTN_TRY(attn_normalize(&run->context, step->dtype, &problem));
    return attn_axes_back(run, step->dtype, &axes, problem.y, out->buffer->data);
}

const struct attn_operation attn_normalization_operation = {
    .name = "normalization", .inputs = {1, 1}, .settings = {FIRST_AXIS + 1, -1},
    .passes_mask = 1, .needs_layer = 0, .run = run,
};

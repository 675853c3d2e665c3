/* Keras's Rescaling: y = x scale + offset.
 * Settings: how many numbers the scale has, then these, then the offset's: one for all of
 * x, or one for each place of the last axis. */
#include <string.h>

#include "elementwise.h"
#include "step.h"

enum { SCALES, FIRST };

/* x = x how number, along the last axis */
static enum attn_status apply(struct attn_run* run, const struct attn_step* step,
                              enum attn_merge how, int first, int count, struct attn_value* x) {
    struct attn_value numbers = {.type = ATTN_VALUE_FLOAT64, .rank = 1, .dim = {count}};
    struct attn_buffer settings = {.users = 1};
    struct attn_operand operand[2] = {{.data = x->buffer->data, .rank = x->rank}, {.rank = 1}};
    double* copy = attn_workspace_take(run->context.workspace, (size_t)count, sizeof *copy);
    if (copy == NULL) {
        return ATTN_NO_MEMORY;
    }
    memcpy(copy, step->setting + first, (size_t)count * sizeof *copy);
    settings.data = copy;
    numbers.buffer = &settings;
    memcpy(operand[0].dim, x->dim, sizeof x->dim);
    operand[1].dim[0] = count;
    operand[1].data = attn_value_floats(&run->context, step->dtype, &numbers);
    if (operand[1].data == NULL) {
        return ATTN_NO_MEMORY;
    }
    return attn_merge(&run->context, step->dtype, how, 2, operand, x->rank, x->dim,
                      x->buffer->data);
}

static enum attn_status run(struct attn_run* run, const struct attn_step* step,
                            struct attn_value* const* in, struct attn_value* out) {
    const ptrdiff_t scales = attn_step_whole(step, SCALES);
    if (scales < 1 || scales >= step->settings - FIRST) {
        return ATTN_BAD_LENGTH;
    }
    const int offsets = step->settings - FIRST - (int)scales;
    const void* numbers = attn_step_floats(run, step, in[0]);
    if (numbers == NULL) {
        return ATTN_NO_MEMORY;
    }
    const double* number = step->setting + FIRST;
    const int single = scales == 1 && offsets == 1;
    ATTN_TRY(attn_step_like(run, step, in[0], out));
    ATTN_TRY(attn_rescale(&run->context, step->dtype, attn_value_length(in[0]), numbers,
                          single ? number[0] : 1, single ? number[1] : 0, out->buffer->data));
    if (single) {
        return ATTN_OK;
    }
    ATTN_TRY(apply(run, step, ATTN_MERGE_MULTIPLY, FIRST, (int)scales, out));
    return apply(run, step, ATTN_MERGE_ADD, FIRST + (int)scales, offsets, out);
}

const struct attn_operation attn_rescaling_operation = {
    .name = "rescaling", .inputs = {1, 1}, .settings = {FIRST + 2, -1},
    .passes_mask = 1, .needs_layer = 0, .run = run,
};

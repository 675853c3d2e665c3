/* Keras's Dropout: in training numbers become 0 at a rate, and the others grow for it;
 * else nothing happens.
 *
 * Settings: the rate; then the noise shape, a 0 for an axis of x's own length, or none
 * for x's shape. */
#include <string.h>

#include "step.h"
#include "tensor_dropout.h"

enum { RATE, FIRST_DIM };

/* x as it is, in the step's dtype */
static enum attn_status pass(struct attn_run* run, const struct attn_step* step,
                             const struct attn_value* x, struct attn_value* out) {
    if ((int)x->type == (int)step->dtype) {
        attn_value_view(x, x->rank, x->dim, out);
        return ATTN_OK;
    }
    const void* numbers = attn_step_floats(run, step, x);
    if (numbers == NULL) {
        return ATTN_NO_MEMORY;
    }
    ATTN_TRY(attn_step_new(run, step, x->rank, x->dim, out));
    attn_parallel_copy(&run->context, out->buffer->data, numbers,
                       (size_t)attn_value_length(x) * attn_dtype_size(step->dtype));
    return ATTN_OK;
}

static enum attn_status run(struct attn_run* run, const struct attn_step* step,
                            struct attn_value* const* in, struct attn_value* out) {
    const struct attn_value* x = in[0];
    const struct attn_dropout dropout = {step->setting[RATE], step->layer->key,
                                         step->layer->calls + step->calls_before};
    const int dims = step->settings - FIRST_DIM;
    ptrdiff_t noise[ATTN_MAX_RANK];
    if (!(dropout.rate >= 0 && dropout.rate <= 1)) {
        return ATTN_BAD_STATE;
    }
    if (dims != 0 && dims != x->rank) {
        return ATTN_BAD_LENGTH;
    }
    for (int axis = 0; axis < dims; axis++) {
        const ptrdiff_t own = attn_step_whole(step, FIRST_DIM + axis);
        noise[axis] = own == 0 ? x->dim[axis] : own;
    }
    if (!step->training || dropout.rate == 0) {
        return pass(run, step, x, out);
    }
    const void* numbers = attn_step_floats(run, step, x);
    if (numbers == NULL) {
        return ATTN_NO_MEMORY;
    }
    ATTN_TRY(attn_step_like(run, step, x, out));
    return attn_tensor_dropout(&run->context, step->dtype, &dropout, x->rank, x->dim,
                               dims > 0 ? noise : NULL, numbers, out->buffer->data);
}

const struct attn_operation attn_dropout_operation = {
    .name = "dropout", .inputs = {1, 1}, .settings = {FIRST_DIM, -1},
    .passes_mask = 1, .needs_layer = 1, .run = run,
};

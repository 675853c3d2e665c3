/* Keras's RepeatVector: (B, D) to (B, times, D), the only setting. No mask. */
#include <string.h>

#include "layout.h"
#include "reshape.h"

static void repeat_rows(const struct attn_context* context, ptrdiff_t batch, ptrdiff_t times,
                        size_t bytes, const unsigned char* x, unsigned char* y) {
    ptrdiff_t since = 0;
    for (ptrdiff_t row = 0; row < batch * times; row++) {
        attn_parallel_copy(context, y + (size_t)row * bytes, x + (size_t)(row / times) * bytes,
                           bytes);
        attn_parallel_poll_after(context, (ptrdiff_t)bytes, &since);
    }
}

static enum attn_status run(struct attn_run* run, const struct attn_step* step,
                            struct attn_value* const* in, struct attn_value* out) {
    const struct attn_value* x = in[0];
    const ptrdiff_t times = attn_step_whole(step, 0);
    if (x->rank != 2 || times < 1) {
        return ATTN_BAD_LENGTH;
    }
    const ptrdiff_t dim[3] = {x->dim[0], times, x->dim[1]};
    const enum attn_value_type type = attn_moved_type(step, x);
    ATTN_TRY(attn_value_new(&run->memory, type, 3, dim, out));
    if (type > ATTN_VALUE_FLOAT64) {
        repeat_rows(&run->context, dim[0], times, (size_t)dim[2] * attn_value_type_size(type),
                    x->buffer->data, out->buffer->data);
        return ATTN_OK;
    }
    const void* numbers = attn_step_floats(run, step, x);
    if (numbers == NULL) {
        return ATTN_NO_MEMORY;
    }
    return attn_repeat_vector(&run->context, step->dtype, dim[0], times, dim[2], numbers,
                              out->buffer->data);
}

const struct attn_operation attn_repeat_vector_operation = {
    .name = "repeat_vector", .inputs = {1, 1}, .settings = {1, 1},
    .passes_mask = 0, .needs_layer = 0, .run = run,
};

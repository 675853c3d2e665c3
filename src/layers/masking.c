/* Keras's Masking: steps whose numbers all are one value are padding, become 0, and make
 * the mask. Settings: the value. */
#include "embedding.h"
#include "step.h"

static enum attn_status run(struct attn_run* run, const struct attn_step* step,
                            struct attn_value* const* in, struct attn_value* out) {
    const struct attn_value* x = in[0];
    if (x->rank < 2) {
        return ATTN_BAD_LENGTH;
    }
    const void* numbers = attn_step_floats(run, step, x);
    if (numbers == NULL) {
        return ATTN_NO_MEMORY;
    }
    const ptrdiff_t rows = attn_value_extent(x, 0, x->rank - 1);
    ATTN_TRY(attn_step_like(run, step, x, out));
    ATTN_TRY(attn_value_new_mask(&run->memory, x->rank - 1, x->dim, out));
    return attn_masking(&run->context, step->dtype, rows, x->dim[x->rank - 1], numbers,
                        step->setting[0], out->mask->data, out->buffer->data);
}

const struct attn_operation attn_masking_operation = {
    .name = "masking", .inputs = {1, 1}, .settings = {1, 1},
    .passes_mask = 0, .needs_layer = 0, .run = run,
};

#include "step.h"

enum attn_status attn_step_new(struct attn_run* run, const struct attn_step* step, int rank,
                               const ptrdiff_t* dim, struct attn_value* out) {
    return attn_value_new(&run->memory, (enum attn_value_type)step->dtype, rank, dim, out);
}

/* whether this step is the last that needs the value in this slot */
static int is_released(const struct attn_step* step, ptrdiff_t slot) {
    for (int i = 0; i < step->released; i++) {
        if (step->release[i] == slot) {
            return 1;
        }
    }
    return 0;
}

enum attn_status attn_step_like(struct attn_run* run, const struct attn_step* step,
                                const struct attn_value* in, struct attn_value* out) {
    if ((int)in->type == (int)step->dtype && in->buffer->users == 1 &&
        is_released(step, in - run->slot)) {
        attn_value_view(in, in->rank, in->dim, out);
        return ATTN_OK;
    }
    return attn_step_new(run, step, in->rank, in->dim, out);
}

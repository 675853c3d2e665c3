/* Keras's Permute and the operation Transpose: axes in another order. Settings: which
 * axis of the input each axis of the result is, the batch among them, counted from 0.
 * The result has no mask. */
#include <string.h>

#include "layout.h"
#include "reshape.h"

/* What is no float, number by number: `rank` axes of the result, of these dims, and
 * their steps in x. */
static void permute_elements(const struct attn_context* context, int rank, const ptrdiff_t* dim,
                             const ptrdiff_t* step, size_t size, const unsigned char* x,
                             unsigned char* y) {
    ptrdiff_t at[ATTN_MAX_RANK] = {0}, from = 0, since = 0;
    int axis;
    do {
        memcpy(y, x + (size_t)from * size, size);
        y += size;
        attn_parallel_poll_after(context, 1, &since);
        for (axis = rank - 1; axis >= 0; axis--) {
            from += step[axis];
            if (++at[axis] < dim[axis]) {
                break;
            }
            from -= at[axis] * step[axis];
            at[axis] = 0;
        }
    } while (axis >= 0);
}

static enum attn_status permute_others(const struct attn_context* context,
                                       const struct attn_value* in, const int* order,
                                       struct attn_value* out) {
    ptrdiff_t in_step[ATTN_MAX_RANK] = {0}, dim[ATTN_MAX_RANK], step[ATTN_MAX_RANK], next = 1;
    for (int axis = in->rank - 1; axis >= 0; axis--) {
        in_step[axis] = next;
        next *= in->dim[axis];
    }
    for (int axis = 0; axis < in->rank; axis++) {
        dim[axis] = in->dim[order[axis]];
        step[axis] = in_step[order[axis]];
    }
    if (next > 0) {
        permute_elements(context, in->rank, dim, step, attn_value_type_size(in->type),
                         in->buffer->data, out->buffer->data);
    }
    return ATTN_OK;
}

enum attn_status attn_step_permuted(struct attn_run* run, const struct attn_step* step,
                                    const struct attn_value* in, const int* order, int rank,
                                    const ptrdiff_t* dim, struct attn_value* out) {
    const enum attn_value_type type = attn_moved_type(step, in);
    if (attn_permute_is_view(in->rank, in->dim, order)) {
        return attn_step_reshaped(run, step, in, rank, dim, out);
    }
    ATTN_TRY(attn_value_new(&run->memory, type, rank, dim, out));
    if (type > ATTN_VALUE_FLOAT64) {
        return permute_others(&run->context, in, order, out);
    }
    const void* numbers = attn_step_floats(run, step, in);
    if (numbers == NULL) {
        return ATTN_NO_MEMORY;
    }
    return attn_permute(&run->context, step->dtype, in->rank, in->dim, order, numbers,
                        out->buffer->data);
}

static enum attn_status run(struct attn_run* run, const struct attn_step* step,
                            struct attn_value* const* in, struct attn_value* out) {
    const int rank = in[0]->rank;
    int order[ATTN_MAX_RANK];
    ptrdiff_t dim[ATTN_MAX_RANK];
    unsigned seen = 0;
    if (step->settings != rank) {
        return ATTN_BAD_LENGTH;
    }
    for (int axis = 0; axis < rank; axis++) {
        const ptrdiff_t from = attn_step_whole(step, axis);
        if (from < 0 || from >= rank || (seen & 1u << from) != 0) {
            return ATTN_BAD_LENGTH;
        }
        seen |= 1u << from;
        order[axis] = (int)from;
        dim[axis] = in[0]->dim[from];
    }
    return attn_step_permuted(run, step, in[0], order, rank, dim, out);
}

const struct attn_operation attn_permute_operation = {
    .name = "permute", .inputs = {1, 1}, .settings = {0, ATTN_MAX_RANK},
    .passes_mask = 0, .needs_layer = 0, .run = run,
};

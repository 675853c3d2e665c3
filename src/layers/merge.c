/* Keras's Add, Subtract, Multiply, Average, Maximum, Minimum, by that name in lower case
 * as the text: tensors merged number by number, those of lower rank with axes of 1
 * behind the batch.
 *
 * The result is masked where all inputs have a mask: what counts in one of them counts
 * (src/layers/merging/base_merge.py). */
#include <string.h>

#include "elementwise.h"
#include "step.h"

static int merge_named(const char* name, enum attn_merge* how) {
    static const struct {
        const char* name;
        enum attn_merge how;
    } known[] = {{"add", ATTN_MERGE_ADD},           {"subtract", ATTN_MERGE_SUBTRACT},
                 {"multiply", ATTN_MERGE_MULTIPLY}, {"average", ATTN_MERGE_AVERAGE},
                 {"maximum", ATTN_MERGE_MAXIMUM},   {"minimum", ATTN_MERGE_MINIMUM}};
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        if (strcmp(name, known[i].name) == 0) {
            *how = known[i].how;
            return 1;
        }
    }
    return 0;
}

/* whether a mask has the dims of the value but for the last */
static int is_mask_of_rows(const struct attn_value* value) {
    int fits = value->mask_rank == value->rank - 1;
    for (int axis = 0; fits && axis < value->mask_rank; axis++) {
        fits = value->mask_dim[axis] == value->dim[axis];
    }
    return fits;
}

static enum attn_status set_operands(struct attn_run* run, const struct attn_step* step,
                                     struct attn_value* const* in, int masked,
                                     struct attn_operand* operand) {
    int rank = 0;
    for (int k = 0; k < step->inputs; k++) {
        rank = in[k]->rank > rank ? in[k]->rank : rank;
    }
    for (int k = 0; k < step->inputs; k++) {
        operand[k] = (struct attn_operand){.data = attn_step_floats(run, step, in[k]),
                                           .rank = in[k]->rank};
        if (operand[k].data == NULL) {
            return ATTN_NO_MEMORY;
        }
        memcpy(operand[k].dim, in[k]->dim, sizeof in[k]->dim);
        /* a tensor that gets new axes loses its mask before they are merged */
        if (masked && in[k]->mask != NULL && in[k]->rank == rank) {
            if (!is_mask_of_rows(in[k])) {
                return ATTN_BAD_LENGTH;
            }
            operand[k].mask = in[k]->mask->data;
        }
        attn_align_batch(&operand[k], rank);
    }
    return ATTN_OK;
}

/* The result's memory: that of the first input where it is free, of the same shape and
 * read by no other operand. */
static enum attn_status new_result(struct attn_run* run, const struct attn_step* step,
                                   struct attn_value* const* in, int rank, const ptrdiff_t* dim,
                                   struct attn_value* out) {
    int alone = in[0]->rank == rank;
    for (int axis = 0; alone && axis < rank; axis++) {
        alone = in[0]->dim[axis] == dim[axis];
    }
    for (int k = 1; alone && k < step->inputs; k++) {
        alone = in[k]->buffer != in[0]->buffer;
    }
    return alone ? attn_step_like(run, step, in[0], out)
                 : attn_step_new(run, step, rank, dim, out);
}

/* where a mask's number lies that number `at` of the result's mask depends on */
static ptrdiff_t mask_place(const struct attn_value* value, const struct attn_value* out,
                            ptrdiff_t at) {
    ptrdiff_t place = 0, step = 1;
    const int shift = out->mask_rank - value->mask_rank;
    for (int axis = out->mask_rank - 1; axis >= shift; axis--) {
        const ptrdiff_t own = value->mask_dim[axis - shift];
        place += own == 1 ? 0 : at % out->mask_dim[axis] * step;
        at /= out->mask_dim[axis];
        step *= own;
    }
    return place;
}

static enum attn_status merge_masks(struct attn_run* run, int count,
                                    struct attn_value* const* in, struct attn_operand* operand,
                                    struct attn_value* out) {
    ptrdiff_t dim[ATTN_MAX_RANK], length;
    int rank;
    for (int k = 0; k < count; k++) {
        if (in[k]->mask == NULL) {
            return ATTN_OK;
        }
        operand[k] = (struct attn_operand){.data = in[k]->mask->data, .rank = in[k]->mask_rank};
        memcpy(operand[k].dim, in[k]->mask_dim, sizeof in[k]->mask_dim);
    }
    ATTN_TRY(attn_broadcast_shape(count, operand, &rank, dim));
    ATTN_TRY(attn_checked_length(rank, dim, &length));
    ATTN_TRY(attn_value_new_mask(&run->memory, rank, dim, out));
    uint8_t* counts = out->mask->data;
    attn_parallel_zero(&run->context, counts, (size_t)length);
    for (int k = 0; k < count; k++) {
        const uint8_t* own = in[k]->mask->data;
        for (ptrdiff_t i = 0; i < length; i++) {
            counts[i] = counts[i] || own[mask_place(in[k], out, i)];
            attn_parallel_poll_at(&run->context, i);
        }
    }
    return ATTN_OK;
}

static enum attn_status run(struct attn_run* run, const struct attn_step* step,
                            struct attn_value* const* in, struct attn_value* out) {
    enum attn_merge how;
    ptrdiff_t dim[ATTN_MAX_RANK];
    int rank;
    for (int k = 0; k < step->inputs; k++) {
        if (in[k] == NULL) {
            return ATTN_BAD_STATE;
        }
    }
    if (!merge_named(step->text, &how)) {
        return ATTN_BAD_STATE;
    }
    struct attn_operand* operand = attn_workspace_take(
        run->context.workspace, (size_t)step->inputs, sizeof *operand);
    if (operand == NULL) {
        return ATTN_NO_MEMORY;
    }
    const int masked =
        how == ATTN_MERGE_MULTIPLY || how == ATTN_MERGE_MAXIMUM || how == ATTN_MERGE_MINIMUM;
    ATTN_TRY(set_operands(run, step, in, masked, operand));
    ATTN_TRY(attn_broadcast_shape(step->inputs, operand, &rank, dim));
    ATTN_TRY(new_result(run, step, in, rank, dim, out));
    ATTN_TRY(attn_merge(&run->context, step->dtype, how, step->inputs, operand, rank, dim,
                        out->buffer->data));
    return merge_masks(run, step->inputs, in, operand, out);
}

const struct attn_operation attn_merge_operation = {
    .name = "merge", .inputs = {1, ATTN_MOST_OPERANDS}, .settings = {0, 0},
    .passes_mask = 0, .needs_layer = 0, .run = run,
};

/* Keras's PReLU: x, or alpha x below 0; as Keras has it, max(x, 0) + alpha min(x, 0).
 * Weights: alpha, the shape of x without the batch, or 1 where an axis shares. */
#include <math.h>
#include <string.h>

#include "activations.h"
#include "elementwise.h"
#include "step.h"

static struct attn_operand operand_of(const void* data, int rank, const ptrdiff_t* dim) {
    struct attn_operand operand = {.data = data, .rank = rank};
    if (rank > 0) {
        memcpy(operand.dim, dim, (size_t)rank * sizeof *dim);
    }
    return operand;
}

static enum attn_status run(struct attn_run* run, const struct attn_step* step,
                            struct attn_value* const* in, struct attn_value* out) {
    static const struct attn_activation below = {ATTN_CLIP, {1, 0, -INFINITY, 0}};
    const struct attn_activation above = attn_activation_relu(0, INFINITY, 0);
    const struct attn_value* x = in[0];
    const struct attn_weight* alpha = &step->layer->weight[0];
    const ptrdiff_t length = attn_value_length(x);
    if (step->layer->weights != 1 || alpha->rank != x->rank - 1) {
        return ATTN_BAD_LENGTH;
    }
    const void* numbers = attn_step_floats(run, step, x);
    void* scaled = attn_workspace_take(run->context.workspace, (size_t)length + 1,
                                       attn_dtype_size(step->dtype));
    if (numbers == NULL || scaled == NULL) {
        return ATTN_NO_MEMORY;
    }
    ATTN_TRY(attn_activate(&run->context, step->dtype, &below, 1, length, numbers, NULL, scaled));
    struct attn_operand factor[2] = {
        operand_of(scaled, x->rank, x->dim),
        operand_of(attn_layer_weight(step->layer, 0), alpha->rank, alpha->dim)};
    ATTN_TRY(attn_merge(&run->context, step->dtype, ATTN_MERGE_MULTIPLY, 2, factor, x->rank, x->dim,
                        scaled));
    ATTN_TRY(attn_step_like(run, step, x, out));
    void* y = out->buffer->data;
    ATTN_TRY(attn_activate(&run->context, step->dtype, &above, 1, length, numbers, NULL, y));
    struct attn_operand part[2] = {operand_of(y, x->rank, x->dim),
                                   operand_of(scaled, x->rank, x->dim)};
    return attn_merge(&run->context, step->dtype, ATTN_MERGE_ADD, 2, part, x->rank, x->dim, y);
}

const struct attn_operation attn_parametric_relu_operation = {
    .name = "parametric_relu", .inputs = {1, 1}, .settings = {0, 0},
    .passes_mask = 1, .needs_layer = 1, .run = run,
};

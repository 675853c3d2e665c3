/* Keras's Dense: y = activation(x kernel + bias) over the last axis.
 * Weights: kernel (D, units), bias (units) or none. Text: the activation's name. */
#include <string.h>

#include "activations.h"
#include "matmul.h"
#include "step.h"

static enum attn_status run(struct attn_run* run, const struct attn_step* step,
                            struct attn_value* const* in, struct attn_value* out) {
    const struct attn_value* x = in[0];
    const struct attn_weight* kernel = &step->layer->weight[0];
    struct attn_activation activation;
    if (x->rank < 1 || kernel->depth < 1 || x->dim[x->rank - 1] != kernel->depth) {
        return ATTN_BAD_LENGTH;
    }
    /* the layer may be one of other weights */
    if (!attn_activation_named(step->text, &activation) ||
        (step->layer->weights > 1 && step->layer->weight[1].length != kernel->columns)) {
        return ATTN_BAD_STATE;
    }
    ptrdiff_t dim[ATTN_MAX_RANK];
    memcpy(dim, x->dim, sizeof dim);
    dim[x->rank - 1] = kernel->columns;
    const void* numbers = attn_step_floats(run, step, x);
    const void* bias = step->layer->weights > 1 ? attn_layer_weight(step->layer, 1) : NULL;
    const ptrdiff_t rows = attn_value_extent(x, 0, x->rank - 1);
    ATTN_TRY(attn_step_new(run, step, x->rank, dim, out));
    if (numbers == NULL) {
        return ATTN_NO_MEMORY;
    }
    ATTN_TRY(attn_matmul(&run->context, step->dtype, rows, kernel->depth, kernel->columns,
                         numbers, attn_layer_packed(step->layer, 0), bias, out->buffer->data));
    return attn_bias_activate(&run->context, step->dtype, rows, kernel->columns, NULL,
                              &activation, out->buffer->data);
}

const struct attn_operation attn_dense_operation = {
    .name = "dense", .inputs = {1, 1}, .settings = {0, 0},
    .passes_mask = 1, .needs_layer = 1, .run = run,
};

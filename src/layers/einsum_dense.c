/* Keras's EinsumDense: y = activation(einsum(x, kernel) + bias).
 *
 * Weights: kernel; bias, if there is one. Text: "equation;bias axes;activation", the second
 * empty where there is no bias. Settings: Keras's output_shape, -1 for what is not known. */
#include "einsum.h"

#include <string.h>

#include "activations.h"
#include "step.h"

enum { PART_SIZE = 128, PARTS = 3 };

/* the parts between the semicolons */
static int split(const char* text, char part[PARTS][PART_SIZE]) {
    for (int i = 0; i < PARTS; i++) {
        const size_t length = strcspn(text, ";");
        if (length >= PART_SIZE || (text[length] == ';') != (i < PARTS - 1)) {
            return 0;
        }
        memcpy(part[i], text, length);
        part[i][length] = '\0';
        text += length + (i < PARTS - 1);
    }
    return 1;
}

static int same_dims(const struct attn_weight* weight, int rank, const ptrdiff_t* dim) {
    int same = weight->rank == rank;
    for (int axis = 0; same && axis < rank; axis++) {
        same = weight->dim[axis] == dim[axis];
    }
    return same;
}

/* what the equation means for this input; the weights must be those for it */
static enum attn_status analyse(const struct attn_step* step, const char* equation,
                                const char* bias_axes, const struct attn_value* x,
                                struct attn_einsum* einsum) {
    const struct attn_layer* layer = step->layer;
    const int biased = bias_axes[0] != '\0';
    ptrdiff_t shape[ATTN_MAX_RANK];
    if (step->settings > ATTN_MAX_RANK || layer->weights != 1 + biased) {
        return ATTN_BAD_LENGTH;
    }
    for (int i = 0; i < step->settings; i++) {
        shape[i] = step->setting[i] < 0 ? ATTN_UNKNOWN_DIM : attn_step_whole(step, i);
    }
    ATTN_TRY(attn_einsum_analyse(equation, biased ? bias_axes : NULL, x->rank, x->dim,
                                 step->settings, shape, einsum));
    int known = same_dims(&layer->weight[0], einsum->kernel_rank, einsum->kernel_dim) &&
                (!biased || same_dims(&layer->weight[1], einsum->bias_rank, einsum->bias_dim));
    for (int axis = 0; axis < einsum->output_rank; axis++) {
        known = known && einsum->output_dim[axis] >= 0;
    }
    return known ? ATTN_OK : ATTN_BAD_LENGTH;
}

/* The kernel packed: it is kept so where it is a matrix as it lies, and this one. */
static enum attn_status find_kernel(struct attn_run* run, const struct attn_step* step,
                                    const struct attn_einsum* einsum, const void** packed) {
    const ptrdiff_t depth = step->layer->weight[0].depth;
    size_t bytes;
    *packed = attn_layer_packed(step->layer, 0);
    if (depth > 0 && depth == attn_einsum_depth(einsum)) {
        return ATTN_OK;
    }
    ATTN_TRY(attn_einsum_packed_size(step->dtype, einsum, &bytes));
    void* made = attn_workspace_take(run->context.workspace, bytes + 1, 1);
    if (made == NULL) {
        return ATTN_NO_MEMORY;
    }
    *packed = made;
    return attn_einsum_pack(&run->context, step->dtype, einsum, attn_layer_weight(step->layer, 0),
                            made);
}

static enum attn_status run(struct attn_run* run, const struct attn_step* step,
                            struct attn_value* const* in, struct attn_value* out) {
    char part[PARTS][PART_SIZE];
    struct attn_activation activation;
    struct attn_einsum einsum;
    const void* packed;
    if (!split(step->text, part) || !attn_activation_named(part[2], &activation)) {
        return ATTN_BAD_STATE;
    }
    ATTN_TRY(analyse(step, part[0], part[1], in[0], &einsum));
    const void* x = attn_step_floats(run, step, in[0]);
    const void* bias = part[1][0] != '\0' ? attn_layer_weight(step->layer, 1) : NULL;
    if (x == NULL) {
        return ATTN_NO_MEMORY;
    }
    ATTN_TRY(find_kernel(run, step, &einsum, &packed));
    ATTN_TRY(attn_step_new(run, step, einsum.output_rank, einsum.output_dim, out));
    return attn_einsum(&run->context, step->dtype, &einsum, x, packed, bias, &activation,
                       out->buffer->data);
}

const struct attn_operation attn_einsum_dense_operation = {
    .name = "einsum_dense", .inputs = {1, 1}, .settings = {0, ATTN_MAX_RANK},
    .passes_mask = 0, .needs_layer = 1, .run = run,
};

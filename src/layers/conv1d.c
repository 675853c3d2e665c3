/* Keras's Conv1D: y = activation(x * kernel + bias) along the steps of sequences.
 *
 * Weights: kernel (kernel_size, channels / groups, filters), bias (filters) or none. Text:
 * the activation. Settings: stride, dilation, groups, padding (enum attn_padding), whether
 * the channels come first. */
#include "conv1d.h"

#include "activations.h"
#include "step.h"

enum { STRIDE, DILATION, GROUPS, PADDING, CHANNELS_FIRST, SETTINGS };

static struct attn_conv1d conv_of(const struct attn_step* step) {
    const struct attn_weight* kernel = &step->layer->weight[0];
    const ptrdiff_t groups = attn_step_whole(step, GROUPS);
    const struct attn_conv1d conv = {
        .channels = kernel->dim[1] * groups, .filters = kernel->dim[2],
        .kernel_size = kernel->dim[0], .stride = attn_step_whole(step, STRIDE),
        .dilation = attn_step_whole(step, DILATION), .groups = groups,
        .padding = (enum attn_padding)attn_step_whole(step, PADDING),
        .channels_first = attn_step_flag(step, CHANNELS_FIRST),
    };
    return conv;
}

/* The kernel packed: it is kept so where there is one group. */
static enum attn_status find_kernel(struct attn_run* run, const struct attn_step* step,
                                    const struct attn_conv1d* conv, const void** packed) {
    *packed = attn_layer_packed(step->layer, 0);
    if (step->layer->weight[0].depth == conv->kernel_size * conv->channels && conv->groups == 1) {
        return ATTN_OK;
    }
    void* made = attn_workspace_take(run->context.workspace,
                                     attn_conv1d_packed_size(step->dtype, conv) + 1, 1);
    if (made == NULL) {
        return ATTN_NO_MEMORY;
    }
    *packed = made;
    return attn_conv1d_pack(&run->context, step->dtype, conv, attn_layer_weight(step->layer, 0),
                            made);
}

static enum attn_status run(struct attn_run* run, const struct attn_step* step,
                            struct attn_value* const* in, struct attn_value* out) {
    const struct attn_value* x = in[0];
    struct attn_activation activation;
    const void* packed;
    ptrdiff_t steps;
    if (!attn_activation_named(step->text, &activation)) {
        return ATTN_BAD_STATE;
    }
    if (x->rank != 3 || step->layer->weights < 1 || step->layer->weight[0].rank != 3) {
        return ATTN_BAD_LENGTH;
    }
    const struct attn_conv1d conv = conv_of(step);
    const ptrdiff_t padding = attn_step_whole(step, PADDING);
    if (padding < ATTN_PAD_VALID || padding > ATTN_PAD_CAUSAL ||
        (step->layer->weights > 1 && step->layer->weight[1].length != conv.filters)) {
        return ATTN_BAD_LENGTH;
    }
    const int first = conv.channels_first;
    const ptrdiff_t T = x->dim[first ? 2 : 1];
    if (x->dim[first ? 1 : 2] != conv.channels) {
        return ATTN_BAD_LENGTH;
    }
    ATTN_TRY(attn_conv1d_steps(&conv, T, &steps));
    const ptrdiff_t dim[3] = {x->dim[0], first ? conv.filters : steps,
                              first ? steps : conv.filters};
    const void* numbers = attn_step_floats(run, step, x);
    const void* bias = step->layer->weights > 1 ? attn_layer_weight(step->layer, 1) : NULL;
    if (numbers == NULL) {
        return ATTN_NO_MEMORY;
    }
    ATTN_TRY(find_kernel(run, step, &conv, &packed));
    ATTN_TRY(attn_step_new(run, step, 3, dim, out));
    return attn_conv1d(&run->context, step->dtype, &conv, x->dim[0], T, numbers, packed, bias,
                       &activation, out->buffer->data);
}

const struct attn_operation attn_conv1d_operation = {
    .name = "conv1d", .inputs = {1, 1}, .settings = {SETTINGS, SETTINGS},
    .passes_mask = 0, .needs_layer = 1, .run = run,
};

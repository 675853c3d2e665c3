/* Keras's activation functions as a step.
 *
 * Text: the function's Keras name. Settings: whether a mask counts (the Softmax layer);
 * the number of axes that it is over, and these (softmax, log_softmax, sparsemax, glu);
 * then its parameters, or none for Keras's defaults.
 * Inputs: x, and a mask that broadcasts to it, or none. */
#include <string.h>

#include "activations.h"
#include "last_axes.h"

enum { MASKED, AXES, FIRST_AXIS };

struct parameters {
    int count;
    double number[3];
};

/* with the parameters; 0 where there is no function of this name and so many */
static int with_parameters(const char* name, const struct parameters* given,
                           struct attn_activation* activation) {
    static const struct {
        const char* name;
        struct attn_activation (*of)(double parameter);
    } single[] = {
        {"leaky_relu", attn_activation_leaky_relu},   {"elu", attn_activation_elu},
        {"celu", attn_activation_celu},               {"squareplus", attn_activation_squareplus},
        {"soft_shrink", attn_activation_soft_shrink}, {"hard_shrink", attn_activation_hard_shrink},
    };
    const double* number = given->number;
    for (size_t i = 0; given->count == 1 && i < sizeof single / sizeof single[0]; i++) {
        if (strcmp(name, single[i].name) == 0) {
            *activation = single[i].of(number[0]);
            return 1;
        }
    }
    if (given->count == 1 && strcmp(name, "gelu") == 0) {
        *activation = attn_activation_gelu(number[0] != 0);
        return 1;
    }
    if (given->count == 2 && strcmp(name, "threshold") == 0) {
        *activation = attn_activation_threshold(number[0], number[1]);
        return 1;
    }
    if (given->count == 3 && strcmp(name, "relu") == 0) {
        *activation = attn_activation_relu(number[0], number[1], number[2]);
        return 1;
    }
    return 0;
}

static int find_activation(const struct attn_step* step, int first,
                           struct attn_activation* activation) {
    struct parameters given = {step->settings - first, {0}};
    if (given.count == 0) {
        return attn_activation_named(step->text, activation);
    }
    if (given.count > 3) {
        return 0;
    }
    memcpy(given.number, step->setting + first, (size_t)given.count * sizeof(double));
    return with_parameters(step->text, &given, activation);
}

static enum attn_status run_numbers(struct attn_run* run, const struct attn_step* step,
                                    const struct attn_activation* activation,
                                    const struct attn_value* x, const void* numbers,
                                    struct attn_value* out) {
    const ptrdiff_t columns = x->rank > 0 ? x->dim[x->rank - 1] : 1;
    const ptrdiff_t length = attn_value_length(x);
    ATTN_TRY(attn_step_like(run, step, x, out));
    return length == 0 ? ATTN_OK
                       : attn_activate(&run->context, step->dtype, activation, length / columns,
                                       columns, numbers, NULL, out->buffer->data);
}

/* The Softmax layer's mask for every number, in the order of the moved axes; NULL: none.
 * It is the one that is given, else that of x, lined up at the last axes as numpy does. */
static enum attn_status find_mask(struct attn_run* run, const struct attn_step* step,
                                  struct attn_value* const* in,
                                  const struct attn_last_axes* axes, const uint8_t** mask) {
    const struct attn_value *x = in[0], *given = step->inputs > 1 ? in[1] : NULL;
    const uint8_t* flags = x->mask != NULL ? x->mask->data : NULL;
    const ptrdiff_t* dim = given != NULL ? given->dim : x->mask_dim;
    const int rank = given != NULL ? given->rank : x->mask_rank;
    *mask = NULL;
    if (given != NULL && (flags = attn_value_flags(&run->context, given)) == NULL) {
        return ATTN_NO_MEMORY;
    }
    if (!attn_step_flag(step, MASKED) || flags == NULL) {
        return ATTN_OK;
    }
    return attn_spread_mask(run, flags, rank, dim, x->rank - rank, x->rank, x->dim,
                            axes->moved ? axes->order : NULL, mask);
}

/* functions of whole rows: `halves` for glu, which makes one axis half as long */
static enum attn_status run_rows(struct attn_run* run, const struct attn_step* step,
                                 const struct attn_activation* activation, int halves,
                                 struct attn_value* const* in, const void* numbers,
                                 struct attn_value* out) {
    const int axes_given = (int)attn_step_whole(step, AXES);
    struct attn_last_axes axes, half;
    const uint8_t* mask;
    const void* x;
    void* y;
    ATTN_TRY(attn_last_axes(step, FIRST_AXIS, axes_given, in[0], &axes));
    ATTN_TRY(find_mask(run, step, in, &axes, &mask));
    ATTN_TRY(attn_axes_to_last(run, step->dtype, &axes, numbers, &x));
    if (!halves) {
        ATTN_TRY(attn_step_like(run, step, in[0], out));
        ATTN_TRY(attn_axes_result(run, step->dtype, &axes, out->buffer->data, &y));
        ATTN_TRY(mask != NULL ? attn_softmax(&run->context, step->dtype, axes.rows, axes.columns,
                                             x, mask, y)
                              : attn_activate(&run->context, step->dtype, activation, axes.rows,
                                              axes.columns, x, NULL, y));
        return attn_axes_back(run, step->dtype, &axes, y, out->buffer->data);
    }
    if (axes_given != 1 || axes.columns % 2 != 0) {
        return ATTN_BAD_LENGTH;
    }
    struct attn_value halved = *in[0];
    halved.dim[attn_step_whole(step, FIRST_AXIS)] /= 2;
    ATTN_TRY(attn_last_axes(step, FIRST_AXIS, 1, &halved, &half));
    half.moved = axes.moved;
    ATTN_TRY(attn_step_new(run, step, halved.rank, halved.dim, out));
    ATTN_TRY(attn_axes_result(run, step->dtype, &half, out->buffer->data, &y));
    ATTN_TRY(attn_glu(&run->context, step->dtype, half.rows, half.columns, x, y));
    return attn_axes_back(run, step->dtype, &half, y, out->buffer->data);
}

static enum attn_status run(struct attn_run* run, const struct attn_step* step,
                            struct attn_value* const* in, struct attn_value* out) {
    struct attn_activation activation = {ATTN_LINEAR, {0}};
    const ptrdiff_t axes = attn_step_whole(step, AXES);
    const int halves = strcmp(step->text, "glu") == 0;
    if (axes < 0 || axes > step->settings - FIRST_AXIS ||
        !(halves || find_activation(step, FIRST_AXIS + (int)axes, &activation))) {
        return ATTN_BAD_STATE;
    }
    const void* numbers = attn_step_floats(run, step, in[0]);
    if (numbers == NULL) {
        return ATTN_NO_MEMORY;
    }
    return halves || activation.function >= ATTN_ELEMENTWISE
               ? run_rows(run, step, &activation, halves, in, numbers, out)
               : run_numbers(run, step, &activation, in[0], numbers, out);
}

const struct attn_operation attn_activation_operation = {
    .name = "activation", .inputs = {1, 2}, .settings = {FIRST_AXIS, -1},
    .passes_mask = 1, .needs_layer = 0, .run = run,
};

/* Equations read; see einsum.h. */
#include <string.h>

#include "einsum.h"

/* The letters of one part of an equation, then numbers for the axes of "...", which
 * are of input and output alone. */
struct part {
    int count;
    unsigned char letter[ATTN_MAX_RANK];
};

enum { ELIDED = 128 }; /* "letters" of elided axes: ELIDED, ELIDED + 1, ... */

static int is_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }

static enum attn_status refuse(struct attn_einsum* einsum, enum attn_einsum_problem problem,
                               unsigned char letter) {
    einsum->problem = problem;
    einsum->letter = (char)(letter < ELIDED ? letter : 0);
    return ATTN_BAD_LENGTH;
}

static int find(const struct part* part, unsigned char letter) {
    for (int i = 0; i < part->count; i++) {
        if (part->letter[i] == letter) {
            return i;
        }
    }
    return -1;
}

/* Letters from *at on; at least one. */
static enum attn_status read_letters(struct attn_einsum* einsum, const char** at,
                                     struct part* part) {
    part->count = 0;
    while (is_letter(**at)) {
        const unsigned char letter = (unsigned char)**at;
        if (part->count == ATTN_MAX_RANK) {
            return refuse(einsum, ATTN_EINSUM_RANK, 0);
        }
        if (find(part, letter) >= 0) {
            return refuse(einsum, ATTN_EINSUM_REPEATED, letter);
        }
        part->letter[part->count++] = letter;
        ++*at;
    }
    return part->count > 0 ? ATTN_OK : refuse(einsum, ATTN_EINSUM_FORM, 0);
}

static int skip(const char** at, const char* text) {
    const size_t length = strlen(text);
    if (strncmp(*at, text, length) != 0) {
        return 0;
    }
    *at += length;
    return 1;
}

struct equation {
    struct part input, kernel, output;
    int left, right; /* where "..." stands */
};

static enum attn_status read_equation(struct attn_einsum* einsum, const char* text,
                                      struct equation* equation) {
    const char* at = text;
    equation->left = skip(&at, "...");
    ATTN_TRY(read_letters(einsum, &at, &equation->input));
    equation->right = skip(&at, "...");
    if (!skip(&at, ",")) {
        return refuse(einsum, ATTN_EINSUM_FORM, 0);
    }
    ATTN_TRY(read_letters(einsum, &at, &equation->kernel));
    if (!skip(&at, "->") || skip(&at, "...") != equation->left) {
        return refuse(einsum, ATTN_EINSUM_FORM, 0);
    }
    ATTN_TRY(read_letters(einsum, &at, &equation->output));
    if (skip(&at, "...") != equation->right || *at != '\0' ||
        (equation->left && equation->right) ||
        /* the batch and one more, as Keras wants them */
        (equation->right && equation->input.count < 2)) {
        return refuse(einsum, ATTN_EINSUM_FORM, 0);
    }
    return ATTN_OK;
}

/* The axes of "..." get letters of their own, in input and output. */
static enum attn_status elide(struct attn_einsum* einsum, struct part* part, int elided,
                              int left) {
    if (part->count + elided > ATTN_MAX_RANK) {
        return refuse(einsum, ATTN_EINSUM_RANK, 0);
    }
    if (left) {
        memmove(part->letter + elided, part->letter, (size_t)part->count);
    }
    for (int i = 0; i < elided; i++) {
        part->letter[(left ? 0 : part->count) + i] = (unsigned char)(ELIDED + i);
    }
    part->count += elided;
    return ATTN_OK;
}

/* Dims of the output: the input's batch, output_shape, and between or behind them what
 * was elided; unknown ones from the input where it has them. */
static enum attn_status set_output(struct attn_einsum* einsum, const struct equation* equation,
                                   int elided, int shape_rank, const ptrdiff_t* shape) {
    const struct part* output = &equation->output;
    /* an elided batch is the first of the elided axes; else "..." is besides */
    const int own_batch = equation->left && elided > 0 ? 0 : 1;
    const int given = output->count - elided - own_batch;
    int next = 0;
    if (shape_rank != given) {
        return refuse(einsum, ATTN_EINSUM_OUTPUT_RANK, 0);
    }
    einsum->output_rank = output->count;
    for (int axis = 0; axis < output->count; axis++) {
        const int in = find(&equation->input, output->letter[axis]);
        ptrdiff_t dim;
        if (output->letter[axis] >= ELIDED) {
            dim = einsum->input_dim[in];
        } else if (axis == 0) {
            dim = einsum->input_dim[0];
        } else {
            dim = shape[next] < 0 ? ATTN_UNKNOWN_DIM : shape[next];
            next++;
        }
        if (in >= 0) {
            const ptrdiff_t there = einsum->input_dim[in];
            if (dim >= 0 && there >= 0 && dim != there) {
                einsum->input_dim_there = there;
                einsum->output_dim_there = dim;
                return refuse(einsum, ATTN_EINSUM_MISMATCH, output->letter[axis]);
            }
            dim = dim >= 0 ? dim : there;
        }
        einsum->output_dim[axis] = dim;
    }
    return ATTN_OK;
}

static enum attn_status set_kernel(struct attn_einsum* einsum, const struct equation* equation) {
    einsum->kernel_rank = equation->kernel.count;
    for (int i = 0; i < equation->output.count; i++) {
        const unsigned char letter = equation->output.letter[i];
        if (find(&equation->input, letter) < 0 && find(&equation->kernel, letter) < 0) {
            return refuse(einsum, ATTN_EINSUM_UNMATCHED, letter);
        }
    }
    for (int i = 0; i < equation->kernel.count; i++) {
        const unsigned char letter = equation->kernel.letter[i];
        const int in = find(&equation->input, letter), out = find(&equation->output, letter);
        if (in < 0 && out < 0) {
            return refuse(einsum, ATTN_EINSUM_FREE, letter);
        }
        einsum->kernel_dim[i] = in >= 0 ? einsum->input_dim[in] : einsum->output_dim[out];
    }
    return ATTN_OK;
}

/* From the first axis of the output that has a bias on, the others 1. */
static enum attn_status set_bias(struct attn_einsum* einsum, const struct equation* equation,
                                 const char* bias_axes) {
    const struct part* output = &equation->output;
    int first = output->count, has[ATTN_MAX_RANK] = {0};
    for (const char* at = bias_axes; *at != '\0'; at++) {
        const int axis = is_letter(*at) ? find(output, (unsigned char)*at) : -1;
        if (axis < 0) {
            einsum->problem = ATTN_EINSUM_BIAS;
            einsum->letter = *at;
            return ATTN_BAD_LENGTH;
        }
        has[axis] = 1;
        first = axis < first ? axis : first;
    }
    einsum->bias_rank = output->count - first;
    for (int axis = first; axis < output->count; axis++) {
        einsum->bias_dim[axis - first] = has[axis] ? einsum->output_dim[axis] : 1;
    }
    return ATTN_OK;
}

/* Axes sorted into batch, rows, columns, contracted, summed. */
static void set_orders(struct attn_einsum* einsum, const struct equation* equation) {
    const struct part *input = &equation->input, *kernel = &equation->kernel,
                      *output = &equation->output;
    unsigned char batch[ATTN_MAX_RANK] = {0}, rows[ATTN_MAX_RANK] = {0},
                  contracted[ATTN_MAX_RANK] = {0};
    int middle[ATTN_MAX_RANK], summed[ATTN_MAX_RANK] = {0}, at = 0;
    for (int i = 0; i < input->count; i++) {
        const unsigned char letter = input->letter[i];
        const int in_kernel = find(kernel, letter) >= 0, in_output = find(output, letter) >= 0;
        if (in_kernel && in_output) {
            batch[einsum->batch_axes++] = letter;
        } else if (in_output) {
            rows[einsum->row_axes++] = letter;
        } else if (in_kernel) {
            contracted[einsum->contracted_axes++] = letter;
        } else {
            summed[einsum->summed_axes++] = i;
        }
    }
    for (int i = 0; i < einsum->batch_axes; i++) {
        einsum->input_order[at] = find(input, batch[i]);
        einsum->kernel_order[at] = find(kernel, batch[i]);
        middle[at++] = find(output, batch[i]);
    }
    for (int i = 0; i < einsum->contracted_axes; i++) {
        einsum->input_order[einsum->batch_axes + einsum->row_axes + i] =
            find(input, contracted[i]);
        einsum->kernel_order[einsum->batch_axes + i] = find(kernel, contracted[i]);
    }
    for (int i = 0; i < einsum->row_axes; i++) {
        einsum->input_order[einsum->batch_axes + i] = find(input, rows[i]);
        middle[at++] = find(output, rows[i]);
    }
    for (int i = 0; i < einsum->summed_axes; i++) {
        einsum->input_order[input->count - einsum->summed_axes + i] = summed[i];
    }
    for (int axis = 0; axis < output->count; axis++) {
        if (find(input, output->letter[axis]) < 0) {
            einsum->column_axis[einsum->column_axes] = axis;
            einsum->kernel_order[einsum->batch_axes + einsum->contracted_axes +
                                 einsum->column_axes++] = find(kernel, output->letter[axis]);
            middle[at++] = axis;
        }
    }
    for (int i = 0; i < at; i++) {
        einsum->output_order[middle[i]] = i;
    }
}

enum attn_status attn_einsum_analyse(const char* equation, const char* bias_axes, int input_rank,
                                     const ptrdiff_t* input_dim, int shape_rank,
                                     const ptrdiff_t* output_shape, struct attn_einsum* einsum) {
    struct equation parts;
    memset(einsum, 0, sizeof *einsum);
    ATTN_TRY(read_equation(einsum, equation, &parts));
    const int elided = input_rank - parts.input.count;
    if (input_rank < 1 || input_rank > ATTN_MAX_RANK || elided < 0 ||
        (elided > 0 && !parts.left && !parts.right)) {
        return refuse(einsum, ATTN_EINSUM_RANK, 0);
    }
    einsum->input_rank = input_rank;
    for (int axis = 0; axis < input_rank; axis++) {
        einsum->input_dim[axis] = input_dim[axis] < 0 ? ATTN_UNKNOWN_DIM : input_dim[axis];
    }
    ATTN_TRY(elide(einsum, &parts.input, elided, parts.left));
    ATTN_TRY(elide(einsum, &parts.output, elided, parts.left));
    ATTN_TRY(set_output(einsum, &parts, elided, shape_rank, output_shape));
    ATTN_TRY(set_kernel(einsum, &parts));
    if (bias_axes != NULL) {
        ATTN_TRY(set_bias(einsum, &parts, bias_axes));
    }
    set_orders(einsum, &parts);
    return ATTN_OK;
}

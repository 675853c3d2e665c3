/* One step of a model: a layer, or an operation without weights, from tensors to
 * tensors. What a step does is a row in the table of operations (models/program.c);
 * its settings come from R as numbers and a text whose meaning the operation's file
 * says. */
#ifndef ATTN_LAYERS_STEP_H
#define ATTN_LAYERS_STEP_H

#include "layer.h"
#include "value.h"

struct attn_run;
struct attn_step;

struct attn_operation {
    const char* name;
    /* Least and most numbers of inputs and of settings; -1: any number. */
    int inputs[2], settings[2];
    /* Whether the output gets the mask of the first input that has one, unless `run`
     * has given it another. */
    int passes_mask;
    /* Whether it needs a layer's weights, or its place in the sequence of random
     * numbers. */
    int needs_layer;
    /* Fills out[0 .. step->outputs - 1]. in[i]: NULL where there is none. */
    enum attn_status (*run)(struct attn_run* run, const struct attn_step* step,
                            struct attn_value* const* in, struct attn_value* out);
};

struct attn_step {
    const struct attn_operation* operation;
    enum attn_dtype dtype;    /* of its arithmetic and its results */
    struct attn_layer* layer; /* NULL: none */
    int inputs, outputs;
    const int *input, *output; /* slots; an input of -1: none */
    int settings;
    const double* setting;
    const char* text;
    int training; /* 0 or 1 */
    uint64_t calls_before; /* earlier steps of the run that train the same layer */
    int released; /* slots that nobody needs after this step */
    const int* release;
};

struct attn_run {
    struct attn_context context; /* its workspace is a step's scratch */
    struct attn_value_memory memory;
    int reference; /* attention by its plain definition */
    int slots;
    struct attn_value* slot;
    /* where a step fails: which one, and, for ids that are not in a table, the id */
    int failed_step;
    double failed_number;
};

/* out[0] of the step's dtype, or of `type`. */
enum attn_status attn_step_new(struct attn_run* run, const struct attn_step* step, int rank,
                               const ptrdiff_t* dim, struct attn_value* out);
/* out[0] of in[0]'s dims: in[0]'s own memory where nobody needs that any more. */
enum attn_status attn_step_like(struct attn_run* run, const struct attn_step* step,
                                const struct attn_value* in, struct attn_value* out);
/* in as floats of the step's dtype; NULL without memory */
static inline const void* attn_step_floats(struct attn_run* run, const struct attn_step* step,
                                           const struct attn_value* in) {
    return attn_value_floats(&run->context, step->dtype, in);
}

/* A setting as a whole number, truncated. Settings are R's doubles, of which not all are
 * one: what is not of 32 bits is INT32_MIN, which is no size, no axis and no choice. */
static inline ptrdiff_t attn_step_whole(const struct attn_step* step, int setting) {
    const double x = step->setting[setting];
    return x > -2147483649.0 && x < 2147483648.0 ? (ptrdiff_t)x : INT32_MIN;
}
static inline int attn_step_flag(const struct attn_step* step, int setting) {
    return step->setting[setting] != 0;
}

#endif

/* The arrays of a model's call: what its program reads, and what it writes. */
#ifndef ATTN_GLUE_PROGRAM_ARRAYS_H
#define ATTN_GLUE_PROGRAM_ARRAYS_H

#include "marshal.h"
#include "step.h"

/* An input of a program: checked before the call begins, read after. Of the first axis
 * the entries first, ..., first + count - 1 are meant. */
struct program_input {
    struct glue_array array, mask; /* mask.object: NULL where the array carries none */
    enum attn_value_type type;
    ptrdiff_t first, count;
};

/* `type` as in R/program.R; `batch`: NULL, or two whole numbers, the first entry (from 1)
 * and their number. An R error where the array or its mask is not what R's side passes. */
struct program_input program_input(SEXP array, const char* type, SEXP batch);

/* The value of an input, with its mask written out to the array's leading dims.
 * ATTN_BAD_INDEX where something that must be a whole number or a flag is none: it is
 * there nevertheless, as INT32_MIN or 1. */
enum attn_status program_read(struct glue_call* call, struct attn_run* run,
                              const struct program_input* input, struct attn_value* value);

/* Arrays of the values, with their masks, as a list. The list is not protected. */
SEXP program_new_results(struct glue_call* call, int count, struct attn_value** value);
void program_write_results(struct glue_call* call, int count, struct attn_value** value,
                           SEXP list);

/* The same for a batch of `total` entries that comes in parts: arrays of `total` entries,
 * without masks, of which each call writes those of its own `batch`. */
SEXP program_new_parts(struct glue_call* call, int count, struct attn_value** value, int total);
/* Ends the call with an R error where an array is none that this part belongs to. */
void program_write_parts(struct glue_call* call, int count, struct attn_value** value,
                         ptrdiff_t first, ptrdiff_t entries, SEXP list);

#endif

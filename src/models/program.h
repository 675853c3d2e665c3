/* A model as a list of steps, run from the first to the last over numbered slots. */
#ifndef ATTN_MODELS_PROGRAM_H
#define ATTN_MODELS_PROGRAM_H

#include "step.h"

/* the operation of that name, or NULL */
const struct attn_operation* attn_operation_by_name(const char* name);

/* Whether the step says what its operation wants: numbers of inputs and settings, a
 * layer, of its dtype, if it needs one, slots that there are. */
int attn_step_is_sound(const struct attn_step* step, int slots);

/* Runs the steps. The slots that no step fills must be filled. On failure
 * run->failed_step says where; all memory belongs to the workspaces. The poll may leave by
 * longjmp. */
enum attn_status attn_program_run(struct attn_run* run, int steps, const struct attn_step* step);

#endif

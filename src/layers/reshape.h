/* Layers that move numbers and compute nothing: whole numbers and flags stay what they
 * are, floats become the step's, as Keras casts what a layer is called with. */
#ifndef ATTN_LAYERS_RESHAPE_H
#define ATTN_LAYERS_RESHAPE_H

#include "step.h"

/* what the moved numbers of `in` are */
static inline enum attn_value_type attn_moved_type(const struct attn_step* step,
                                                   const struct attn_value* in) {
    return in->type > ATTN_VALUE_FLOAT64 ? in->type : (enum attn_value_type)step->dtype;
}

/* out[0]: the numbers of `in` under these dims, of as many numbers, without its mask */
enum attn_status attn_step_reshaped(struct attn_run* run, const struct attn_step* step,
                                    const struct attn_value* in, int rank, const ptrdiff_t* dim,
                                    struct attn_value* out);

/* out[0], of these dims: axis i of it is axis order[i] of `in`. The dims may be those of
 * the permuted tensor, or others of as many numbers. */
enum attn_status attn_step_permuted(struct attn_run* run, const struct attn_step* step,
                                    const struct attn_value* in, const int* order, int rank,
                                    const ptrdiff_t* dim, struct attn_value* out);

#endif

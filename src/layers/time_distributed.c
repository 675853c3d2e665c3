/* Keras's TimeDistributed: what is done to the tensor (B, T, ...) before and after the
 * layer in it, which gets (B T, ...). Both operations move nothing. */
#include <string.h>

#include "reshape.h"

enum { X, MASK, MERGED_INPUTS };
enum { Y, INPUT, INPUT_MASK, SPLIT_INPUTS };

/* whether a tensor, or a mask, has the batch and the times of x in front */
static int covers_times(const struct attn_value* x, int rank, const ptrdiff_t* dim) {
    return rank >= 2 && dim[0] == x->dim[0] && dim[1] == x->dim[1];
}

/* dims with the first two as one */
static int merged_dims(int rank, const ptrdiff_t* dim, ptrdiff_t* merged) {
    merged[0] = dim[0] * dim[1];
    if (rank > 2) {
        memcpy(merged + 1, dim + 2, (size_t)(rank - 2) * sizeof *dim);
    }
    return rank - 1;
}

/* Inputs: x, and a mask of it or none. Setting: whether the layer looks at masks; it gets
 * none else, as Keras hands it an array without one. */
static enum attn_status merge_time(struct attn_run* run, const struct attn_step* step,
                                   struct attn_value* const* in, struct attn_value* out) {
    const struct attn_value* x = in[X];
    ptrdiff_t dim[ATTN_MAX_RANK];
    if (x->rank < 3) {
        return ATTN_BAD_LENGTH;
    }
    const int rank = merged_dims(x->rank, x->dim, dim);
    ATTN_TRY(attn_step_reshaped(run, step, x, rank, dim, out));
    if (!attn_step_flag(step, 0) || (in[MASK] == NULL && x->mask == NULL)) {
        return ATTN_OK;
    }
    const int mask_rank = in[MASK] != NULL ? in[MASK]->rank : x->mask_rank;
    const ptrdiff_t* mask_dim = in[MASK] != NULL ? in[MASK]->dim : x->mask_dim;
    const uint8_t* flags =
        in[MASK] != NULL ? attn_value_flags(&run->context, in[MASK]) : x->mask->data;
    if (flags == NULL) {
        return ATTN_NO_MEMORY;
    }
    if (!covers_times(x, mask_rank, mask_dim)) {
        return ATTN_BAD_LENGTH;
    }
    ptrdiff_t length;
    ATTN_TRY(attn_checked_length(mask_rank, mask_dim, &length));
    ATTN_TRY(attn_value_new_mask(&run->memory, merged_dims(mask_rank, mask_dim, dim), dim, out));
    attn_parallel_copy(&run->context, out->mask->data, flags, (size_t)length);
    return ATTN_OK;
}

/* Inputs: what the layer has made of (B T, ...), the tensor (B, T, ...), a mask of that or
 * none. The result, (B, T, ...), has the mask, else that of the tensor. */
static enum attn_status split_time(struct attn_run* run, const struct attn_step* step,
                                   struct attn_value* const* in, struct attn_value* out) {
    const struct attn_value *y = in[Y], *x = in[INPUT];
    ptrdiff_t dim[ATTN_MAX_RANK];
    if (x == NULL || x->rank < 2 || y->rank < 1 || y->rank >= ATTN_MAX_RANK ||
        y->dim[0] != x->dim[0] * x->dim[1]) {
        return ATTN_BAD_LENGTH;
    }
    dim[0] = x->dim[0];
    dim[1] = x->dim[1];
    memcpy(dim + 2, y->dim + 1, (size_t)(y->rank - 1) * sizeof *dim);
    attn_value_view(y, y->rank + 1, dim, out);
    const struct attn_value* mask = in[INPUT_MASK];
    if (mask == NULL) {
        attn_value_share_mask(x, out);
        return ATTN_OK;
    }
    const uint8_t* flags = attn_value_flags(&run->context, mask);
    if (flags == NULL) {
        return ATTN_NO_MEMORY;
    }
    if (!covers_times(x, mask->rank, mask->dim)) {
        return ATTN_BAD_LENGTH;
    }
    ATTN_TRY(attn_value_new_mask(&run->memory, mask->rank, mask->dim, out));
    attn_parallel_copy(&run->context, out->mask->data, flags, (size_t)attn_value_length(mask));
    (void)step;
    return ATTN_OK;
}

const struct attn_operation attn_merge_time_operation = {
    .name = "merge_time", .inputs = {MERGED_INPUTS, MERGED_INPUTS}, .settings = {1, 1},
    .passes_mask = 0, .needs_layer = 0, .run = merge_time,
};
const struct attn_operation attn_split_time_operation = {
    .name = "split_time", .inputs = {SPLIT_INPUTS, SPLIT_INPUTS}, .settings = {0, 0},
    .passes_mask = 0, .needs_layer = 0, .run = split_time,
};

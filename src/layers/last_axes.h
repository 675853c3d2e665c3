/* Layers that compute over some axes of a tensor as if they were its last: what has to
 * be moved for that, and masks spread over a tensor. */
#ifndef ATTN_LAYERS_LAST_AXES_H
#define ATTN_LAYERS_LAST_AXES_H

#include "step.h"

struct attn_last_axes {
    int rank, moved;              /* moved: 0 where the axes are the last ones anyway */
    int order[ATTN_MAX_RANK];     /* of the axes of x: the others, then the chosen ones */
    int back[ATTN_MAX_RANK];      /* the order that undoes it */
    ptrdiff_t dim[ATTN_MAX_RANK]; /* x's, in that order */
    ptrdiff_t rows, columns;      /* the others, and the chosen ones */
};

/* `count` settings of the step from `first` on are axes, ascending; ATTN_BAD_LENGTH where
 * x has not all of them. */
enum attn_status attn_last_axes(const struct attn_step* step, int first, int count,
                                const struct attn_value* x, struct attn_last_axes* axes);

/* Where the chosen axes are last: *moved is x itself, or a copy in the step's scratch. */
enum attn_status attn_axes_to_last(struct attn_run* run, enum attn_dtype dtype,
                                   const struct attn_last_axes* axes, const void* x,
                                   const void** moved);
/* Where a result of moved axes belongs: `out`, or scratch that attn_axes_back reads. */
enum attn_status attn_axes_result(struct attn_run* run, enum attn_dtype dtype,
                                  const struct attn_last_axes* axes, void* out, void** result);
enum attn_status attn_axes_back(struct attn_run* run, enum attn_dtype dtype,
                                const struct attn_last_axes* axes, const void* result, void* out);

/* A mask as it is for every number of a tensor (rank, dim). Axis i of the mask belongs to
 * axis first + i, and has its length or 1. order: that of attn_last_axes, in which the
 * flags are wanted, or NULL. */
enum attn_status attn_spread_mask(struct attn_run* run, const uint8_t* flags, int mask_rank,
                                  const ptrdiff_t* mask_dim, int first, int rank,
                                  const ptrdiff_t* dim, const int* order,
                                  const uint8_t** spread);

#endif

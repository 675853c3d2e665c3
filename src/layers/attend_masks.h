/* Masks that come to attention as tensors, or on tensors, as parts of a mask of the core. */
#ifndef ATTN_LAYERS_ATTEND_MASKS_H
#define ATTN_LAYERS_ATTEND_MASKS_H

#include "step.h"

/* A mask: a tensor, or the mask of one; visible == NULL: none. */
struct attn_flags {
    const uint8_t* visible;
    int rank;
    const ptrdiff_t* dim;
};

/* an explicit mask; else the implicit one of `bearer`; either may be NULL */
enum attn_status attn_find_flags(struct attn_run* run, const struct attn_value* explicit_mask,
                                 const struct attn_value* bearer, struct attn_flags* flags);

/* a mask (B, length) over the positions of queries, or of keys */
enum attn_status attn_position_part(const struct attn_flags* flags, int of_query, ptrdiff_t batch,
                                    ptrdiff_t length, struct attn_mask_part* part);

/* Adds it to the masks of the call, if there is one. */
enum attn_status attn_add_positions(struct attn_layer_call* call, const struct attn_flags* flags,
                                    int of_query);

/* Adds a mask over pairs, (T, S) or (B, T, S), if there is one. */
enum attn_status attn_add_pairs(struct attn_run* run, struct attn_layer_call* call,
                                const struct attn_value* mask);

#endif

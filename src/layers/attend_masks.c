#include "attend_masks.h"

static struct attn_flags flags_of_mask(const struct attn_value* value) {
    const struct attn_flags none = {NULL, 0, NULL};
    if (value == NULL || value->mask == NULL) {
        return none;
    }
    return (struct attn_flags){value->mask->data, value->mask_rank, value->mask_dim};
}

enum attn_status attn_find_flags(struct attn_run* run, const struct attn_value* explicit_mask,
                                 const struct attn_value* bearer, struct attn_flags* flags) {
    *flags = flags_of_mask(bearer);
    if (explicit_mask != NULL) {
        *flags = (struct attn_flags){attn_value_flags(&run->context, explicit_mask),
                                     explicit_mask->rank, explicit_mask->dim};
        return flags->visible != NULL ? ATTN_OK : ATTN_NO_MEMORY;
    }
    return ATTN_OK;
}

/* The strides of a mask of `rank` dims, each 1 or that of `extent`. */
static enum attn_status strides_of(const struct attn_flags* flags, int rank,
                                   const ptrdiff_t* extent, ptrdiff_t* stride) {
    ptrdiff_t step = 1;
    if (flags->rank != rank) {
        return ATTN_BAD_LENGTH;
    }
    for (int axis = rank - 1; axis >= 0; axis--) {
        if (flags->dim[axis] != 1 && flags->dim[axis] != extent[axis]) {
            return ATTN_BAD_LENGTH;
        }
        stride[axis] = flags->dim[axis] == 1 ? 0 : step;
        step *= flags->dim[axis];
    }
    return ATTN_OK;
}

enum attn_status attn_position_part(const struct attn_flags* flags, int of_query, ptrdiff_t batch,
                                    ptrdiff_t length, struct attn_mask_part* part) {
    const ptrdiff_t extent[2] = {batch, length};
    ptrdiff_t stride[2];
    ATTN_TRY(strides_of(flags, 2, extent, stride));
    *part = (struct attn_mask_part){flags->visible, stride[0], 0, of_query ? stride[1] : 0,
                                    of_query ? 0 : stride[1]};
    return ATTN_OK;
}

enum attn_status attn_add_positions(struct attn_layer_call* call, const struct attn_flags* flags,
                                    int of_query) {
    if (flags->visible == NULL) {
        return ATTN_OK;
    }
    return attn_position_part(flags, of_query, call->batch, of_query ? call->target : call->source,
                              &call->mask.part[call->mask.parts++]);
}

enum attn_status attn_add_pairs(struct attn_run* run, struct attn_layer_call* call,
                                const struct attn_value* mask) {
    if (mask == NULL) {
        return ATTN_OK;
    }
    const struct attn_flags flags = {attn_value_flags(&run->context, mask), mask->rank, mask->dim};
    const ptrdiff_t extent[3] = {call->batch, call->target, call->source};
    ptrdiff_t stride[3] = {0, 0, 0};
    const int skipped = mask->rank == 2;
    if (flags.visible == NULL) {
        return ATTN_NO_MEMORY;
    }
    ATTN_TRY(strides_of(&flags, 3 - skipped, extent + skipped, stride + skipped));
    call->mask.part[call->mask.parts++] =
        (struct attn_mask_part){flags.visible, stride[0], 0, stride[1], stride[2]};
    return ATTN_OK;
}

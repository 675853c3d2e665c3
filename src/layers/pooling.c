/* Keras's GlobalAveragePooling1D and GlobalMaxPooling1D: sequences (B, T, C), or
 * (B, C, T), to (B, C), the axis of the steps kept as 1 or not.
 *
 * Settings: what (enum attn_pooling), whether the channels come first, whether the axis is
 * kept. Inputs: x; for averages a mask (B, T) or none, then that of x counts. */
#include "pooling.h"

#include "last_axes.h"

enum { HOW, CHANNELS_FIRST, KEEPDIMS, SETTINGS };

static enum attn_status find_mask(struct attn_run* run, const struct attn_value* x,
                                  const struct attn_value* given, ptrdiff_t steps,
                                  const uint8_t** mask) {
    const ptrdiff_t dim[2] = {x->dim[0], steps};
    const uint8_t* flags = x->mask != NULL ? x->mask->data : NULL;
    *mask = NULL;
    if (given != NULL && (flags = attn_value_flags(&run->context, given)) == NULL) {
        return ATTN_NO_MEMORY;
    }
    return flags == NULL   ? ATTN_OK
           : given != NULL ? attn_spread_mask(run, flags, given->rank, given->dim, 0, 2, dim, NULL,
                                              mask)
                           : attn_spread_mask(run, flags, x->mask_rank, x->mask_dim, 0, 2, dim,
                                              NULL, mask);
}

static enum attn_status run(struct attn_run* run, const struct attn_step* step,
                            struct attn_value* const* in, struct attn_value* out) {
    const struct attn_value* x = in[0];
    const ptrdiff_t choice = attn_step_whole(step, HOW);
    const enum attn_pooling how = (enum attn_pooling)choice;
    const int first = attn_step_flag(step, CHANNELS_FIRST);
    const uint8_t* mask = NULL;
    if (choice < ATTN_POOL_AVERAGE || choice > ATTN_POOL_MAX) {
        return ATTN_BAD_STATE;
    }
    if (x->rank != 3) {
        return ATTN_BAD_LENGTH;
    }
    const ptrdiff_t batch = x->dim[0], steps = x->dim[first ? 2 : 1];
    const ptrdiff_t channels = x->dim[first ? 1 : 2];
    if (how == ATTN_POOL_AVERAGE) {
        ATTN_TRY(find_mask(run, x, step->inputs > 1 ? in[1] : NULL, steps, &mask));
    }
    const void* numbers = attn_step_floats(run, step, x);
    if (numbers == NULL) {
        return ATTN_NO_MEMORY;
    }
    const ptrdiff_t pooled[2] = {batch, channels};
    const ptrdiff_t kept[3] = {batch, first ? channels : 1, first ? 1 : channels};
    const int keeps = attn_step_flag(step, KEEPDIMS);
    ATTN_TRY(attn_step_new(run, step, keeps ? 3 : 2, keeps ? kept : pooled, out));
    return attn_global_pool(&run->context, step->dtype, how, batch, steps, channels, first, numbers,
                            mask, out->buffer->data);
}

const struct attn_operation attn_global_pooling_operation = {
    .name = "global_pooling", .inputs = {1, 2}, .settings = {SETTINGS, SETTINGS},
    .passes_mask = 0, .needs_layer = 0, .run = run,
};

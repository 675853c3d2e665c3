/* The number, from 0, of the position with which a step begins: of the layers that know
 * positions and of attention with a cache. */
#ifndef ATTN_LAYERS_START_INDEX_H
#define ATTN_LAYERS_START_INDEX_H

#include "step.h"

/* The first number of `value`, or, where that is NULL, the setting. ATTN_BAD_INDEX where
 * it is no whole number of 32 bits. */
static inline enum attn_status attn_start_index(struct attn_run* run,
                                                const struct attn_step* step,
                                                const struct attn_value* value, int setting,
                                                ptrdiff_t* start) {
    if (value == NULL) {
        *start = attn_step_whole(step, setting);
        run->failed_number = step->setting[setting];
        return *start != INT32_MIN ? ATTN_OK : ATTN_BAD_INDEX;
    }
    if (attn_value_length(value) < 1) {
        return ATTN_BAD_LENGTH;
    }
    const int32_t* ids = attn_value_ids(&run->context, value);
    if (ids == NULL) {
        return ATTN_NO_MEMORY;
    }
    *start = ids[0];
    run->failed_number = ids[0];
    return ids[0] != INT32_MIN ? ATTN_OK : ATTN_BAD_INDEX;
}

#endif

#include "position.h"

#include <math.h>

#include "kernels.h"
#include "layout.h"
#include "row_items.h"

#define ROTATE_OPERATIONS 6.0

enum { SINE_NUMBERS = 16 }; /* that are read or written in the time of one sine */

/* 1 / max_wavelength^(2 i / features), every step rounded to float32 */
static float rotary_frequency(const struct attn_rotary* rotary, ptrdiff_t i) {
    const float exponent = (float)(2 * i) / (float)rotary->features;
    return 1.0f / (float)pow(rotary->max_wavelength, (double)exponent);
}

static float rotary_position(const struct attn_rotary* rotary, ptrdiff_t t) {
    const float position = rotary->positions != NULL ? (float)rotary->positions[t]
                                                     : (float)t + (float)rotary->start_index;
    return position / (float)rotary->scaling_factor;
}

#define REAL_BITS 32
#include "real.h"
#define REAL_KERNELS (attn_kernels()->f32)
#include "position_real.h"
#undef REAL_BITS
#undef REAL_KERNELS

#define REAL_BITS 64
#include "real.h"
#define REAL_KERNELS (attn_kernels()->f64)
#include "position_real.h"

void attn_sine_positions(const struct attn_context* context, enum attn_dtype dtype, ptrdiff_t T,
                         ptrdiff_t D, ptrdiff_t start, double max_wavelength, void* table) {
    if (dtype == ATTN_FLOAT32) {
        sine_positions_f32(context, T, D, start, max_wavelength, table);
    } else {
        sine_positions_f64(context, T, D, start, max_wavelength, table);
    }
}

enum attn_status attn_learned_positions(enum attn_dtype dtype, ptrdiff_t T, ptrdiff_t D,
                                        ptrdiff_t start, ptrdiff_t length, const void* weights,
                                        const void** table) {
    if (start < 0 || T < 0 || T > length || start > length - T) {
        return ATTN_BAD_INDEX;
    }
    *table = (const unsigned char*)weights + (size_t)(start * D) * attn_dtype_size(dtype);
    return ATTN_OK;
}

enum attn_status attn_rotary_tables(const struct attn_context* context, enum attn_dtype dtype,
                                    const struct attn_rotary* rotary, void* cosine, void* sine) {
    if (rotary->features < 2 || rotary->features % 2 != 0) {
        return ATTN_BAD_LENGTH;
    }
    if (dtype == ATTN_FLOAT32) {
        rotary_tables_f32(context, rotary, cosine, sine);
    } else {
        rotary_tables_f64(context, rotary, cosine, sine);
    }
    return ATTN_OK;
}

/* features last */
static enum attn_status rotate_last(const struct attn_context* context, enum attn_dtype dtype,
                                    int rank, const ptrdiff_t* dim, int sequence_axis,
                                    const void* cosine, const void* sine, const void* x,
                                    void* y) {
    ptrdiff_t outer, inner;
    ATTN_TRY(attn_checked_length(sequence_axis, dim, &outer));
    ATTN_TRY(attn_checked_length(rank - sequence_axis - 2, dim + sequence_axis + 1, &inner));
    if (dtype == ATTN_FLOAT32) {
        rotate_rows_f32(context, outer, dim[sequence_axis], inner, dim[rank - 1], cosine, sine, x,
                        y);
    } else {
        rotate_rows_f64(context, outer, dim[sequence_axis], inner, dim[rank - 1], cosine, sine, x,
                        y);
    }
    return ATTN_OK;
}

enum attn_status attn_rotate(const struct attn_context* context, enum attn_dtype dtype, int rank,
                             const ptrdiff_t* dim, int sequence_axis, int feature_axis,
                             const void* cosine, const void* sine, const void* x, void* y) {
    int there[ATTN_MAX_RANK], back[ATTN_MAX_RANK];
    ptrdiff_t last_dim[ATTN_MAX_RANK], numbers;
    if (rank < 2 || rank > ATTN_MAX_RANK || sequence_axis < 0 || sequence_axis >= rank ||
        feature_axis < 0 || feature_axis >= rank || sequence_axis == feature_axis ||
        dim[feature_axis] % 2 != 0) {
        return ATTN_BAD_LENGTH;
    }
    ATTN_TRY(attn_checked_length(rank, dim, &numbers));
    if (numbers == 0) {
        return ATTN_OK;
    }
    for (int axis = 0; axis < rank; axis++) {
        there[axis] = axis == rank - 1 ? feature_axis : axis + (axis >= feature_axis);
        last_dim[axis] = dim[there[axis]];
        back[there[axis]] = axis;
    }
    const int sequence = back[sequence_axis];
    if (attn_permute_is_view(rank, dim, there)) {
        return rotate_last(context, dtype, rank, last_dim, sequence, cosine, sine, x, y);
    }
    void* copy = attn_workspace_take(context->workspace, (size_t)numbers, attn_dtype_size(dtype));
    if (copy == NULL) {
        return ATTN_NO_MEMORY;
    }
    ATTN_TRY(attn_permute(context, dtype, rank, dim, there, x, copy));
    ATTN_TRY(rotate_last(context, dtype, rank, last_dim, sequence, cosine, sine, copy, copy));
    return attn_permute(context, dtype, rank, last_dim, back, copy, y);
}

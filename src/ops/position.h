/* What tells a Transformer where in the sequence a row is. KerasHub's layers
 * (keras_hub/src/layers/modeling): position_embedding.py, sine_position_encoding.py,
 * rotary_embedding.py.
 *
 * The first two give a tensor to be added, of the input's shape; (T, D) tables here,
 * which attn_merge broadcasts over the batch in the addition. */
#ifndef ATTN_OPS_POSITION_H
#define ATTN_OPS_POSITION_H

#include "parallel.h"
#include "status.h"
#include "tensor.h"

/* SinePositionEncoding: table (T, D), position p = start + t, max_wavelength 10000:
 *   timescale(d) = (1 / max_wavelength)^(2 floor(d / 2) / D)
 *   table[t, d]  = sin(p timescale(d)) for even d, cos(p timescale(d)) for odd d
 * The numbers up to the angle are rounded to the dtype, as there. */
void attn_sine_positions(const struct attn_context* context, enum attn_dtype dtype, ptrdiff_t T,
                         ptrdiff_t D, ptrdiff_t start, double max_wavelength, void* table);

/* PositionEmbedding: rows start .. start + T - 1 of the weights (length, D), which are
 * contiguous: *table points to the first. ATTN_BAD_INDEX where one is not there. */
enum attn_status attn_learned_positions(enum attn_dtype dtype, ptrdiff_t T, ptrdiff_t D,
                                        ptrdiff_t start, ptrdiff_t length, const void* weights,
                                        const void** table);

/* RotaryEmbedding turns pairs of features, i and F / 2 + i (halves, not neighbours), by
 *   angle(t, i) = position(t) / scaling_factor * (1 / max_wavelength^(2 i / F)):
 *   y1 = x1 cos - x2 sin, y2 = x2 cos + x1 sin
 * with position(t) = start_index + t, or the `positions` given; max_wavelength 10000,
 * scaling_factor 1. Angles, sines and cosines are float32 whatever the dtype, as there:
 * at position 10000 an exact angle would differ in the fourth digit. */
struct attn_rotary {
    double max_wavelength, scaling_factor;
    ptrdiff_t T, features; /* features: even */
    double start_index;
    const double* positions; /* (T), or NULL */
};

/* cosine, sine: (T, features / 2) each, of the dtype */
enum attn_status attn_rotary_tables(const struct attn_context* context, enum attn_dtype dtype,
                                    const struct attn_rotary* rotary, void* cosine, void* sine);

/* y = x turned; x (rank, dim) has T along sequence_axis (1 in Keras) and the features
 * along feature_axis (the last in Keras). y may be x. */
enum attn_status attn_rotate(const struct attn_context* context, enum attn_dtype dtype, int rank,
                             const ptrdiff_t* dim, int sequence_axis, int feature_axis,
                             const void* cosine, const void* sine, const void* x, void* y);

#endif

/* Layer and root mean square normalization over the last axes, which are taken as
 * one: x (rows x columns).
 *
 *   ATTN_NORMALIZE_LAYER     (s - mean) / sqrt(variance + epsilon) * gamma + beta
 *   ATTN_NORMALIZE_RMS       s / sqrt(mean(s^2) + epsilon) * gamma
 *   ATTN_NORMALIZE_VARIANCE  s / sqrt(variance + epsilon) * gamma
 *
 * with s = x + residual, and the variance divided by `columns`. Keras 3
 * (src/ops/nn.py, layer_normalization and rms_normalization): LayerNormalization has
 * epsilon 1e-3, RMSNormalization 1e-6 and `scale` for gamma; the third is
 * LayerNormalization's old rms_scaling = TRUE. The residual is the addition in front
 * of the normalization in a Transformer block, which costs no pass of its own here. */
#ifndef ATTN_OPS_NORMALIZATION_H
#define ATTN_OPS_NORMALIZATION_H

#include "op_kinds.h"
#include "parallel.h"
#include "status.h"
#include "tensor.h"

struct attn_normalization {
    enum attn_normalizing how;
    ptrdiff_t rows, columns;
    const void* x;        /* (rows, columns) */
    const void* residual; /* (rows, columns), or NULL for 0 */
    const void* gamma;    /* (columns), or NULL for 1 */
    const void* beta;     /* (columns), or NULL for 0 */
    double epsilon;
    void* sum; /* (rows, columns) gets s; or NULL; may be x or residual */
    void* y;   /* (rows, columns); may be x, or residual, or sum where nobody wants that */
};

enum attn_status attn_normalize(const struct attn_context* context, enum attn_dtype dtype,
                                const struct attn_normalization* problem);

#endif

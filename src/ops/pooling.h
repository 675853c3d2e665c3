/* Sequences pooled over their steps.
 *
 * Keras 3 (src/layers/pooling): GlobalAveragePooling1D takes the mean of the steps that
 * its mask keeps (NaN where it keeps none, 0 / 0); GlobalMaxPooling1D knows no mask.
 * keepdims only adds an axis of 1 to the result's shape. */
#ifndef ATTN_OPS_POOLING_H
#define ATTN_OPS_POOLING_H

#include <stdint.h>

#include "parallel.h"
#include "status.h"
#include "tensor.h"

enum attn_pooling { ATTN_POOL_AVERAGE, ATTN_POOL_MAX };

/* y (batch, channels) from x (batch, steps, channels), or, where channels_first, from
 * (batch, channels, steps). mask (batch, steps), non-zero = keep, or NULL; a masked
 * step does not take part whatever it holds. The maximum of no step is -Inf. */
enum attn_status attn_global_pool(const struct attn_context* context, enum attn_dtype dtype,
                                  enum attn_pooling how, ptrdiff_t batch, ptrdiff_t steps,
                                  ptrdiff_t channels, int channels_first, const void* x,
                                  const uint8_t* mask, void* y);

#endif

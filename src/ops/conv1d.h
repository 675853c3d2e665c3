/* Convolution (cross-correlation, as Keras has it) along the steps of sequences.
 *
 *   y[b, t, f] = bias[f] + sum over k, c of
 *                x[b, t * stride - left + k * dilation, group(f) * C + c] * kernel[k, c, f]
 *
 * with C = channels / groups and zeros outside of x. Keras 3
 * (src/layers/convolutional/base_conv.py, conv1d.py): strides 1, padding "valid",
 * dilation_rate 1, groups 1; strides and dilation_rate above 1 exclude each other there
 * (not here). "same": ceil(T / stride) steps, what is missing added half in front, the
 * odd one behind; "causal": all of it in front. */
#ifndef ATTN_OPS_CONV1D_H
#define ATTN_OPS_CONV1D_H

#include "op_kinds.h"
#include "parallel.h"
#include "status.h"
#include "tensor.h"

enum attn_padding { ATTN_PAD_VALID, ATTN_PAD_SAME, ATTN_PAD_CAUSAL };

struct attn_conv1d {
    ptrdiff_t channels, filters, kernel_size, stride, dilation, groups;
    enum attn_padding padding;
    int channels_first; /* x (B, channels, T) and y (B, filters, steps) */
};

/* Steps of the result for T steps; ATTN_BAD_LENGTH where the numbers above make no
 * convolution or nothing is left. */
enum attn_status attn_conv1d_steps(const struct attn_conv1d* conv, ptrdiff_t T, ptrdiff_t* steps);

/* Bytes of the packed kernel, and the kernel (kernel_size, channels / groups, filters)
 * packed; packed: 64-byte aligned. The numbers have passed attn_conv1d_steps. */
size_t attn_conv1d_packed_size(enum attn_dtype dtype, const struct attn_conv1d* conv);
enum attn_status attn_conv1d_pack(const struct attn_context* context, enum attn_dtype dtype,
                                  const struct attn_conv1d* conv, const void* kernel,
                                  void* packed);

/* y (B, steps, filters) = f(x (B, T, channels) * kernel + bias); bias (filters), or NULL */
enum attn_status attn_conv1d(const struct attn_context* context, enum attn_dtype dtype,
                             const struct attn_conv1d* conv, ptrdiff_t batch, ptrdiff_t T,
                             const void* x, const void* packed, const void* bias,
                             const struct attn_activation* activation, void* y);

#endif

/* Activations of Keras by name, the bias and activation behind a product, softmax.
 *
 * Formulas and default parameters are those of keras.activations (Keras 3:
 * src/activations/activations.py and src/backend/numpy/nn.py); the formulas stand
 * with enum attn_function in op_kinds.h. Where Keras's own loses digits (gelu and
 * sigmoid of large negative numbers), the exact function is computed. */
#ifndef ATTN_OPS_ACTIVATIONS_H
#define ATTN_OPS_ACTIVATIONS_H

#include <stdint.h>

#include "op_kinds.h"
#include "parallel.h"
#include "status.h"
#include "tensor.h"

/* The activation of Keras's name ("relu", "gelu", "swish", ...) with Keras's default
 * parameters; returns 0 where there is none. Not here: "glu", which halves an axis
 * (attn_glu), and "threshold", which has no defaults. */
int attn_activation_named(const char* name, struct attn_activation* activation);

/* Those with parameters; Keras's defaults behind them. max_value: INFINITY for none. */
struct attn_activation attn_activation_relu(double negative_slope, double max_value,
                                            double threshold);        /* 0, none, 0 */
struct attn_activation attn_activation_leaky_relu(double negative_slope); /* 0.2; layer: 0.3 */
struct attn_activation attn_activation_elu(double alpha);             /* 1 */
struct attn_activation attn_activation_celu(double alpha);            /* 1 */
struct attn_activation attn_activation_gelu(int approximate);         /* 0 */
struct attn_activation attn_activation_squareplus(double b);          /* 4 */
struct attn_activation attn_activation_soft_shrink(double threshold); /* 0.5 */
struct attn_activation attn_activation_hard_shrink(double threshold); /* 0.5 */
struct attn_activation attn_activation_threshold(double threshold, double value);

/* y = f(x + bias), x and y (rows x columns), which may be the same; bias: (columns),
 * or NULL. softmax, log_softmax and sparsemax are over the columns. */
enum attn_status attn_activate(const struct attn_context* context, enum attn_dtype dtype,
                               const struct attn_activation* activation, ptrdiff_t rows,
                               ptrdiff_t columns, const void* x, const void* bias, void* y);

/* The tail of a dense layer: x = f(x + bias) in place. */
enum attn_status attn_bias_activate(const struct attn_context* context, enum attn_dtype dtype,
                                    ptrdiff_t rows, ptrdiff_t columns, const void* bias,
                                    const struct attn_activation* activation, void* x);

/* Keras's Softmax layer over the columns. mask (rows x columns), non-zero = keep, or
 * NULL: other numbers count as -1e9, and what they give is 0 then, so that a row
 * without any is 0. */
enum attn_status attn_softmax(const struct attn_context* context, enum attn_dtype dtype,
                              ptrdiff_t rows, ptrdiff_t columns, const void* x,
                              const uint8_t* mask, void* y);

/* y (rows x columns) = a / (1 + exp(-b)) of x = (a, b) (rows x 2 columns) */
enum attn_status attn_glu(const struct attn_context* context, enum attn_dtype dtype,
                          ptrdiff_t rows, ptrdiff_t columns, const void* x, void* y);

#define ATTN_SOFTMAX_MASKED -1e9

#endif

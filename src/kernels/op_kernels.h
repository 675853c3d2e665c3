/* The kernels of the layers around attention: what the table of kernels.h has at
 * its end. A row is `columns` contiguous numbers. An output may be the input that
 * it is made from; otherwise they do not overlap. */
#ifndef ATTN_KERNELS_OP_KERNELS_H
#define ATTN_KERNELS_OP_KERNELS_H

#include <stddef.h>

#include "op_kinds.h"

#define ATTN_OP_KERNELS(real)                                                                    \
    /* y[row][i] = f(x[row][i] + bias[i]); bias: (columns), or NULL. Elementwise functions. */   \
    void (*activate)(const struct attn_activation* f, ptrdiff_t rows, ptrdiff_t columns,         \
                     const real* x, ptrdiff_t x_row, const real* bias, real* y,                  \
                     ptrdiff_t y_row);                                                           \
                                                                                                 \
    /* y = exp(x - max) / sum(exp(x - max)), or its logarithm */                                 \
    void (*softmax_row)(ptrdiff_t columns, const real* x, real* y);                              \
    void (*log_softmax_row)(ptrdiff_t columns, const real* x, real* y);                          \
                                                                                                 \
    /* With s = x + residual (NULL: 0), which is stored in `sum` as well (if not NULL):          \
     * y = normalized s * gamma (NULL: 1) + beta (NULL: 0) */                                    \
    void (*normalize_row)(enum attn_normalizing how, ptrdiff_t columns, const real* x,           \
                          const real* residual, const real* gamma, const real* beta,             \
                          double epsilon, real* sum, real* y);                                   \
                                                                                                 \
    /* sum and maximum of a row; the maximum is NaN if one of them is, -Inf of none */           \
    double (*sum_row)(ptrdiff_t columns, const real* x);                                         \
    real (*max_row)(ptrdiff_t columns, const real* x);                                           \
                                                                                                 \
    /* y[i] = a[i] (+) b[i], or a[i] (+) b[0] */                                                 \
    void (*merge)(enum attn_merging how, ptrdiff_t count, const real* a, const real* b,          \
                  int b_is_one, real* y);                                                        \
                                                                                                 \
    /* y = x * scale + offset */                                                                 \
    void (*rescale)(ptrdiff_t count, const real* x, real scale, real offset, real* y);           \
                                                                                                 \
    /* The pairs (x[i], x[half + i]) turned by an angle of cosine c[i] and sine s[i] */          \
    void (*rotate)(ptrdiff_t half, const real* x, const real* c, const real* s, real* y);        \
                                                                                                 \
    /* y[column * y_row + row] = x[row * x_row + column]; never in place */                      \
    void (*transpose)(ptrdiff_t rows, ptrdiff_t columns, const real* x, ptrdiff_t x_row,         \
                      real* y, ptrdiff_t y_row);

#endif

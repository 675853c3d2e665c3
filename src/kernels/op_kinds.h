/* What the kernels of op_kernels.h can be asked for.
 * Which of Keras's names is which function: ops/activations.h. */
#ifndef ATTN_KERNELS_OP_KINDS_H
#define ATTN_KERNELS_OP_KINDS_H

/* f(x), with the parameters p0, p1, ... */
enum attn_function {
    ATTN_LINEAR,       /* x */
    ATTN_RELU,         /* max(x, 0) */
    ATTN_LEAKY,        /* x, or p0 x where x < 0 */
    ATTN_BENT,         /* (x > p2 ? max(min(x, p1), p3) : max(0, p3)) - p0 max(p2 - x, 0) */
    ATTN_CLIP,         /* min(max(p0 x + p1, p2), p3) */
    ATTN_HARD_SILU,    /* x min(max(x / 6 + 1/2, 0), 1) */
    ATTN_HARD_SHRINK,  /* x, or 0 where |x| <= p0 */
    ATTN_SOFT_SHRINK,  /* x - p0 above p0, x + p0 below -p0, else 0 */
    ATTN_THRESHOLD,    /* x, or p1 where x <= p0 */
    ATTN_SPARSE_PLUS,  /* 0 up to -1, (x + 1)^2 / 4 up to 1, then x */
    ATTN_SOFTSIGN,     /* x / (1 + |x|) */
    ATTN_SQUAREPLUS,   /* (x + sqrt(x^2 + p0)) / 2 */
    ATTN_EXPONENTIAL,  /* exp(x) */
    ATTN_ELU,          /* p1 x, or p1 p0 (exp(x / p2) - 1) where x < 0 */
    ATTN_SIGMOID,      /* 1 / (1 + exp(-x)) */
    ATTN_SILU,         /* x / (1 + exp(-x)) */
    ATTN_SOFTPLUS,     /* log(1 + exp(x)) */
    ATTN_LOG_SIGMOID,  /* -log(1 + exp(-x)) */
    ATTN_TANH,         /* tanh(x) */
    ATTN_TANH_SHRINK,  /* x - tanh(x) */
    ATTN_MISH,         /* x tanh(log(1 + exp(x))) */
    ATTN_GELU,         /* x (1 + erf(x / sqrt(2))) / 2 */
    ATTN_GELU_TANH,    /* x (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3))) / 2 */
    ATTN_ERF,          /* erf(x) */
    ATTN_ELEMENTWISE,  /* the number of those above */

    /* functions of a whole row, the last axis; not for the kernel `activate` */
    ATTN_SOFTMAX = ATTN_ELEMENTWISE,
    ATTN_LOG_SOFTMAX,
    ATTN_SPARSEMAX,
    ATTN_FUNCTIONS
};

enum { ATTN_ACTIVATION_PARAMETERS = 4 };

struct attn_activation {
    enum attn_function function;
    double parameter[ATTN_ACTIVATION_PARAMETERS];
};

/* What merges two tensors, number by number. */
enum attn_merging {
    ATTN_ADD,
    ATTN_SUBTRACT,
    ATTN_MULTIPLY,
    ATTN_DIVIDE,
    ATTN_MAXIMUM, /* NaN where either is NaN */
    ATTN_MINIMUM
};

/* What a row is divided by, and whether its mean is taken away before. */
enum attn_normalizing {
    ATTN_NORMALIZE_LAYER,   /* (x - mean) / sqrt(variance + epsilon) */
    ATTN_NORMALIZE_VARIANCE, /* x / sqrt(variance + epsilon) */
    ATTN_NORMALIZE_RMS      /* x / sqrt(mean(x^2) + epsilon) */
};

#endif

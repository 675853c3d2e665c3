#include "activations.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "kernels.h"
#include "row_items.h"

/* what a number costs, beside the 2 operations of a step of a product */
#define ACTIVATION_OPERATIONS 8.0

#define REAL_BITS 32
#include "real.h"
#define REAL_KERNELS (attn_kernels()->f32)
#include "activations_real.h"
#undef REAL_BITS
#undef REAL_KERNELS

#define REAL_BITS 64
#include "real.h"
#define REAL_KERNELS (attn_kernels()->f64)
#include "activations_real.h"

static struct attn_activation function_of(enum attn_function function, double p0, double p1,
                                          double p2, double p3) {
    const struct attn_activation activation = {function, {p0, p1, p2, p3}};
    return activation;
}

struct attn_activation attn_activation_relu(double negative_slope, double max_value,
                                            double threshold) {
    const int limited = max_value < INFINITY;
    if (threshold == 0 && !limited) {
        return negative_slope == 0 ? function_of(ATTN_RELU, 0, 0, 0, 0)
                                   : attn_activation_leaky_relu(negative_slope);
    }
    /* Keras clips to [0, max_value], but only where there is a max_value */
    return function_of(ATTN_BENT, negative_slope, max_value, threshold, limited ? 0 : -INFINITY);
}

struct attn_activation attn_activation_leaky_relu(double negative_slope) {
    return function_of(ATTN_LEAKY, negative_slope, 0, 0, 0);
}

struct attn_activation attn_activation_elu(double alpha) {
    return function_of(ATTN_ELU, alpha, 1, 1, 0);
}

struct attn_activation attn_activation_celu(double alpha) {
    return function_of(ATTN_ELU, alpha, 1, alpha, 0);
}

struct attn_activation attn_activation_gelu(int approximate) {
    return function_of(approximate ? ATTN_GELU_TANH : ATTN_GELU, 0, 0, 0, 0);
}

struct attn_activation attn_activation_squareplus(double b) {
    return function_of(ATTN_SQUAREPLUS, b, 0, 0, 0);
}

struct attn_activation attn_activation_soft_shrink(double threshold) {
    return function_of(ATTN_SOFT_SHRINK, threshold, 0, 0, 0);
}

struct attn_activation attn_activation_hard_shrink(double threshold) {
    return function_of(ATTN_HARD_SHRINK, threshold, 0, 0, 0);
}

struct attn_activation attn_activation_threshold(double threshold, double value) {
    return function_of(ATTN_THRESHOLD, threshold, value, 0, 0);
}

int attn_activation_named(const char* name, struct attn_activation* activation) {
    static const struct {
        const char* name;
        struct attn_activation activation;
    } table[] = {
        {"linear", {ATTN_LINEAR, {0}}},
        {"relu", {ATTN_RELU, {0}}},
        {"relu6", {ATTN_CLIP, {1, 0, 0, 6}}},
        {"leaky_relu", {ATTN_LEAKY, {0.2}}},
        {"elu", {ATTN_ELU, {1, 1, 1}}},
        {"celu", {ATTN_ELU, {1, 1, 1}}},
        /* alpha and scale of Klambauer et al. 2017, appendix A1, to double precision */
        {"selu", {ATTN_ELU, {1.6732632423543772, 1.0507009873554805, 1}}},
        {"softplus", {ATTN_SOFTPLUS, {0}}},
        {"softsign", {ATTN_SOFTSIGN, {0}}},
        {"squareplus", {ATTN_SQUAREPLUS, {4}}},
        {"soft_shrink", {ATTN_SOFT_SHRINK, {0.5}}},
        {"hard_shrink", {ATTN_HARD_SHRINK, {0.5}}},
        {"tanh_shrink", {ATTN_TANH_SHRINK, {0}}},
        {"sparse_plus", {ATTN_SPARSE_PLUS, {0}}},
        {"silu", {ATTN_SILU, {0}}},
        {"swish", {ATTN_SILU, {0}}},
        {"gelu", {ATTN_GELU, {0}}},
        {"gelu_approximate", {ATTN_GELU_TANH, {0}}}, /* KerasHub's name */
        {"tanh", {ATTN_TANH, {0}}},
        {"hard_tanh", {ATTN_CLIP, {1, 0, -1, 1}}},
        {"sigmoid", {ATTN_SIGMOID, {0}}},
        {"log_sigmoid", {ATTN_LOG_SIGMOID, {0}}},
        {"hard_sigmoid", {ATTN_CLIP, {1.0 / 6, 0.5, 0, 1}}},
        {"sparse_sigmoid", {ATTN_CLIP, {0.5, 0.5, 0, 1}}},
        {"hard_silu", {ATTN_HARD_SILU, {0}}},
        {"hard_swish", {ATTN_HARD_SILU, {0}}},
        {"exponential", {ATTN_EXPONENTIAL, {0}}},
        {"mish", {ATTN_MISH, {0}}},
        {"softmax", {ATTN_SOFTMAX, {0}}},
        {"log_softmax", {ATTN_LOG_SOFTMAX, {0}}},
        {"sparsemax", {ATTN_SPARSEMAX, {0}}},
    };
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        if (strcmp(table[i].name, name) == 0) {
            *activation = table[i].activation;
            return 1;
        }
    }
    return 0;
}

static enum attn_status activate(const struct attn_context* context, enum attn_dtype dtype,
                                 const struct attn_activation* activation, ptrdiff_t rows,
                                 ptrdiff_t columns, const void* x, const void* bias,
                                 const uint8_t* mask, void* y) {
    if (dtype == ATTN_FLOAT32) {
        struct activating_f32 work = {activation, rows, columns, 1, x, bias, mask, y, NULL};
        return activate_f32(context, &work);
    }
    struct activating_f64 work = {activation, rows, columns, 1, x, bias, mask, y, NULL};
    return activate_f64(context, &work);
}

enum attn_status attn_activate(const struct attn_context* context, enum attn_dtype dtype,
                               const struct attn_activation* activation, ptrdiff_t rows,
                               ptrdiff_t columns, const void* x, const void* bias, void* y) {
    return activate(context, dtype, activation, rows, columns, x, bias, NULL, y);
}

enum attn_status attn_bias_activate(const struct attn_context* context, enum attn_dtype dtype,
                                    ptrdiff_t rows, ptrdiff_t columns, const void* bias,
                                    const struct attn_activation* activation, void* x) {
    if (activation->function == ATTN_LINEAR && bias == NULL) {
        return ATTN_OK;
    }
    return activate(context, dtype, activation, rows, columns, x, bias, NULL, x);
}

enum attn_status attn_softmax(const struct attn_context* context, enum attn_dtype dtype,
                              ptrdiff_t rows, ptrdiff_t columns, const void* x,
                              const uint8_t* mask, void* y) {
    static const struct attn_activation softmax = {ATTN_SOFTMAX, {0}};
    return activate(context, dtype, &softmax, rows, columns, x, NULL, mask, y);
}

enum attn_status attn_glu(const struct attn_context* context, enum attn_dtype dtype,
                          ptrdiff_t rows, ptrdiff_t columns, const void* x, void* y) {
    return dtype == ATTN_FLOAT32 ? glu_f32(context, rows, columns, x, y)
                                 : glu_f64(context, rows, columns, x, y);
}

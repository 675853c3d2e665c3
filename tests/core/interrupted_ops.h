/* The operations of test_interrupts.c, each on numbers that are always the same. */
#ifndef ATTN_TESTS_INTERRUPTED_OPS_H
#define ATTN_TESTS_INTERRUPTED_OPS_H

#include <stdlib.h>
#include <string.h>

#include "activations.h"
#include "attention.h"
#include "batch_product.h"
#include "check.h"
#include "conv1d.h"
#include "einsum.h"
#include "elementwise.h"
#include "embedding.h"
#include "layer.h"
#include "layout.h"
#include "matmul.h"
#include "normalization.h"
#include "pooling.h"
#include "position.h"
#include "program.h"
#include "tensor_dropout.h"
#include "weights.h"

/* One run of an operation: all its memory is the workspaces', or the trial's layer. */
struct trial {
    struct attn_context context;
    struct attn_workspace* inputs;
    enum attn_dtype dtype;
    const void* result;
    size_t size;
    struct attn_layer *layer, *copy;
};

struct interrupted_op {
    const char* name;
    void (*run)(struct trial* trial);
    int least_polls; /* on one thread, with slices of no length */
};

static const char* name_of(enum attn_dtype dtype) {
    return dtype == ATTN_FLOAT32 ? "float32" : "float64";
}

static void trial_give_up(struct trial* trial) {
    attn_layer_destroy(trial->layer);
    attn_layer_destroy(trial->copy);
    trial->layer = trial->copy = NULL;
}

/* ---- inputs and results ---- */

static void* room(struct trial* trial, ptrdiff_t count) {
    return attn_workspace_take(trial->inputs, (size_t)count, attn_dtype_size(trial->dtype));
}

/* From 0 to 1: made anew for every run, so made quickly. */
static double number_at(uint32_t seed, ptrdiff_t i) {
    const uint32_t mixed = ((uint32_t)i + 977u * seed) * UINT32_C(2654435761);
    return (double)((mixed ^ mixed >> 15) & 0xFFFFFFu) / 16777216.0;
}

/* numbers from -1 to 1 */
static void* numbers(struct trial* trial, uint32_t seed, ptrdiff_t count) {
    void* made = room(trial, count);
    for (ptrdiff_t i = 0; i < count; i++) {
        const double x = 2 * number_at(seed, i) - 1;
        if (trial->dtype == ATTN_FLOAT32) {
            ((float*)made)[i] = (float)x;
        } else {
            ((double*)made)[i] = x;
        }
    }
    return made;
}

static double* doubles(struct trial* trial, uint32_t seed, ptrdiff_t count) {
    double* made = attn_workspace_take(trial->inputs, (size_t)count, sizeof *made);
    for (ptrdiff_t i = 0; i < count; i++) {
        made[i] = number_at(seed, i);
    }
    return made;
}

static uint8_t* flags(struct trial* trial, uint32_t seed, ptrdiff_t count, double share) {
    uint8_t* made = attn_workspace_take(trial->inputs, (size_t)count, 1);
    for (ptrdiff_t i = 0; i < count; i++) {
        made[i] = number_at(seed, i) < share;
    }
    return made;
}

static ptrdiff_t* multiples_of(struct trial* trial, ptrdiff_t step, ptrdiff_t count) {
    ptrdiff_t* made = attn_workspace_take(trial->inputs, (size_t)count, sizeof *made);
    for (ptrdiff_t i = 0; i < count; i++) {
        made[i] = i * step;
    }
    return made;
}

/* room for the result, with other bits in it before than it will have */
static void* result(struct trial* trial, ptrdiff_t count) {
    void* made = room(trial, count);
    trial->size = (size_t)count * attn_dtype_size(trial->dtype);
    memset(made, 0x5A, trial->size);
    trial->result = made;
    return made;
}

static void expect(struct trial* trial, enum attn_status status) {
    CHECK(status == ATTN_OK, "status %d (%s)", (int)status, name_of(trial->dtype));
}

/* ---- attention ---- */

enum { B = 2, N = 2, G = 1, T = 37, S = 420, K = 20, V = 17, PLAIN_QUERIES = 2 };

static struct attn_attention attention_problem(struct trial* trial) {
    const struct attn_attention problem = {
        .dtype = trial->dtype, .batch = B, .heads = N, .key_heads = G,
        .target = T, .source = S, .key_dim = K, .value_dim = V,
        .query = numbers(trial, 1, B * N * T * K), .key = numbers(trial, 2, B * G * S * K),
        .value = numbers(trial, 3, B * G * S * V),
        .query_strides = attn_strides(N * T * K, T * K, K),
        .key_strides = attn_strides(G * S * K, S * K, K),
        .value_strides = attn_strides(G * S * V, S * V, V),
        .output_strides = attn_strides(N * T * V, T * V, V),
        .score = ATTN_SCORE_DOT, .scale = 1.5, .inner = 1,
        .output = result(trial, B * N * T * V),
    };
    return problem;
}

/* half of the queries see nothing, the others some keys */
static void hide_queries(struct trial* trial, struct attn_attention* problem) {
    problem->mask.parts = 2;
    problem->mask.part[0] =
        (struct attn_mask_part){flags(trial, 5, B * T, 0.5), T, 0, 1, 0};
    problem->mask.part[1] =
        (struct attn_mask_part){flags(trial, 6, B * S, 0.7), S, 0, 0, 1};
}

/* The scores are part of the result: they come first, then the output. */
static void ask_for_scores(struct trial* trial, struct attn_attention* problem) {
    const size_t scores = (size_t)(B * N * T * S) * sizeof(double);
    const ptrdiff_t both = B * N * T * S * (trial->dtype == ATTN_FLOAT32 ? 2 : 1) + B * N * T * V;
    unsigned char* made = result(trial, both);
    problem->scores = (struct attn_scores_out){
        (double*)(void*)made, multiples_of(trial, N * T * S, B), multiples_of(trial, T * S, N),
        multiples_of(trial, S, T), multiples_of(trial, 1, S)};
    problem->output = made + scores;
}

static void drop(struct attn_attention* problem) {
    problem->dropout = (struct attn_dropout){0.3, {{7, 8}}, 3};
    problem->scores_after_dropout = 1;
}

static void causal_attention(struct trial* trial) {
    struct attn_attention problem = attention_problem(trial);
    problem.mask.causal = 1;
    problem.mask.window = 30;
    expect(trial, attn_attention(&trial->context, &problem));
}

static void scored_attention(struct trial* trial) {
    struct attn_attention problem = attention_problem(trial);
    hide_queries(trial, &problem);
    ask_for_scores(trial, &problem);
    drop(&problem);
    expect(trial, attn_attention(&trial->context, &problem));
}

static void zero_attention(struct trial* trial) {
    struct attn_attention problem = attention_problem(trial);
    hide_queries(trial, &problem);
    problem.dead_row = ATTN_DEAD_ZERO;
    problem.soft_cap = 0.5;
    problem.bias = (struct attn_bias){numbers(trial, 9, T * S), 0, 0, S, 1};
    expect(trial, attn_attention(&trial->context, &problem));
}

static void tanh_attention(struct trial* trial) {
    struct attn_attention problem = attention_problem(trial);
    hide_queries(trial, &problem);
    ask_for_scores(trial, &problem);
    problem.score = ATTN_SCORE_TANH;
    problem.tanh_weight = numbers(trial, 4, K);
    problem.dead_row = ATTN_DEAD_SHIFTED;
    expect(trial, attn_attention(&trial->context, &problem));
}

static void plain_attention(struct trial* trial) {
    struct attn_attention problem = attention_problem(trial);
    hide_queries(trial, &problem);
    ask_for_scores(trial, &problem);
    drop(&problem);
    problem.dead_row = ATTN_DEAD_SHIFTED;
    problem.target = PLAIN_QUERIES;
    memset(problem.scores.data, 0, trial->size);
    expect(trial, attn_attention_reference(&trial->context, &problem));
}

/* ---- products ---- */

enum { DEEP = 1500, WIDE = 300, TALL = 50 };

static void* packed_factor(struct trial* trial, uint32_t seed, ptrdiff_t depth,
                           ptrdiff_t columns) {
    void* packed = attn_workspace_take(
        trial->inputs, attn_matmul_packed_size(trial->dtype, depth, columns), 1);
    attn_matmul_pack(&trial->context, trial->dtype, depth, columns,
                     numbers(trial, seed, depth * columns), packed);
    return packed;
}

static void deep_product(struct trial* trial) {
    expect(trial, attn_matmul(&trial->context, trial->dtype, TALL, DEEP, WIDE,
                              numbers(trial, 1, TALL * DEEP),
                              packed_factor(trial, 2, DEEP, WIDE), numbers(trial, 3, WIDE),
                              result(trial, TALL * WIDE)));
}

/* one column: nothing to divide but the depth */
static void narrow_product(struct trial* trial) {
    enum { DEPTH = 30000 };
    expect(trial, attn_matmul(&trial->context, trial->dtype, 3, DEPTH, 1,
                              numbers(trial, 1, 3 * DEPTH), packed_factor(trial, 2, DEPTH, 1),
                              NULL, result(trial, 3)));
}

static void batch_product(struct trial* trial) {
    expect(trial, attn_batch_product(&trial->context, trial->dtype, 2, TALL, 90, DEEP,
                                     numbers(trial, 1, 2 * TALL * DEEP),
                                     numbers(trial, 2, 2 * DEEP * 90),
                                     result(trial, 2 * TALL * 90)));
}

static void normalized_dot(struct trial* trial) {
    enum { DEPTH = 150000 };
    const struct attn_dot dot = {2, 2, {2, DEPTH}, {2, DEPTH}, {1, 1}, 1};
    expect(trial, attn_dot(&trial->context, trial->dtype, &dot, numbers(trial, 1, 2 * DEPTH),
                           numbers(trial, 2, 2 * DEPTH), result(trial, 2)));
}

static void einsum(struct trial* trial) {
    const ptrdiff_t in[3] = {20, 30, 40}, out[2] = {ATTN_UNKNOWN_DIM, 500};
    const struct attn_activation relu = attn_activation_relu(0, INFINITY, 0);
    struct attn_einsum e;
    size_t bytes;
    attn_einsum_analyse("abc,ck->abk", "k", 3, in, 2, out, &e);
    expect(trial, attn_einsum_packed_size(trial->dtype, &e, &bytes));
    void* packed = attn_workspace_take(trial->inputs, bytes, 1);
    expect(trial, attn_einsum_pack(&trial->context, trial->dtype, &e,
                                   numbers(trial, 1, 40 * 500), packed));
    expect(trial, attn_einsum(&trial->context, trial->dtype, &e, numbers(trial, 2, 20 * 30 * 40),
                              packed, numbers(trial, 3, 500), &relu,
                              result(trial, 20 * 30 * 500)));
}

static void convolution(struct trial* trial, ptrdiff_t dilation, enum attn_padding padding) {
    const struct attn_conv1d conv = {12, 40, 5, 1, dilation, 1, padding, 0};
    struct attn_activation linear;
    ptrdiff_t steps;
    attn_activation_named("linear", &linear);
    expect(trial, attn_conv1d_steps(&conv, 700, &steps));
    void* packed =
        attn_workspace_take(trial->inputs, attn_conv1d_packed_size(trial->dtype, &conv), 1);
    expect(trial, attn_conv1d_pack(&trial->context, trial->dtype, &conv,
                                   numbers(trial, 1, 5 * 12 * 40), packed));
    expect(trial, attn_conv1d(&trial->context, trial->dtype, &conv, 3, 700,
                              numbers(trial, 2, 3 * 700 * 12), packed, numbers(trial, 3, 40),
                              &linear, result(trial, 3 * steps * 40)));
}

static void dilated_convolution(struct trial* trial) { convolution(trial, 3, ATTN_PAD_CAUSAL); }
static void padded_convolution(struct trial* trial) { convolution(trial, 1, ATTN_PAD_SAME); }

/* ---- what goes over numbers or rows ---- */

enum { ROWS = 60, COLUMNS = 9000 };

static void activate_named(struct trial* trial, const char* name) {
    struct attn_activation activation;
    CHECK(attn_activation_named(name, &activation), "no %s", name);
    expect(trial, attn_activate(&trial->context, trial->dtype, &activation, ROWS, COLUMNS,
                                numbers(trial, 1, ROWS * COLUMNS), numbers(trial, 2, COLUMNS),
                                result(trial, ROWS * COLUMNS)));
}

static void gelu(struct trial* trial) { activate_named(trial, "gelu"); }
static void softmax(struct trial* trial) { activate_named(trial, "softmax"); }
static void sparsemax(struct trial* trial) { activate_named(trial, "sparsemax"); }

static void gated(struct trial* trial) {
    expect(trial, attn_glu(&trial->context, trial->dtype, ROWS, COLUMNS / 2,
                           numbers(trial, 1, ROWS * COLUMNS),
                           result(trial, ROWS * COLUMNS / 2)));
}

static void normalization(struct trial* trial) {
    const struct attn_normalization problem = {
        .how = ATTN_NORMALIZE_LAYER, .rows = ROWS, .columns = COLUMNS,
        .x = numbers(trial, 1, ROWS * COLUMNS), .gamma = numbers(trial, 2, COLUMNS),
        .epsilon = 1e-3, .y = result(trial, ROWS * COLUMNS)};
    expect(trial, attn_normalize(&trial->context, trial->dtype, &problem));
}

static void permutation(struct trial* trial) {
    static const ptrdiff_t dim[3] = {5, 400, 300};
    static const int order[3] = {0, 2, 1};
    expect(trial, attn_permute(&trial->context, trial->dtype, 3, dim, order,
                               numbers(trial, 1, 5 * 400 * 300), result(trial, 5 * 400 * 300)));
}

static void long_rows_permuted(struct trial* trial) {
    static const ptrdiff_t dim[3] = {2, 2, 300000};
    static const int order[3] = {1, 0, 2};
    expect(trial, attn_permute(&trial->context, trial->dtype, 3, dim, order,
                               numbers(trial, 1, 4 * 300000), result(trial, 4 * 300000)));
}

static void concatenation(struct trial* trial) {
    static const ptrdiff_t dim[2] = {2, 700007}, size[3] = {300000, 7, 400000};
    const void* x[3];
    for (int k = 0; k < 3; k++) {
        x[k] = numbers(trial, (uint32_t)k + 1, 2 * size[k]);
    }
    expect(trial, attn_concatenate(&trial->context, trial->dtype, 2, dim, 1, 3, size, x,
                                   result(trial, 2 * dim[1])));
}

static void repetition(struct trial* trial) {
    expect(trial, attn_repeat_vector(&trial->context, trial->dtype, 1, 3, 300000,
                                     numbers(trial, 1, 300000), result(trial, 900000)));
}

static void average_of_steps(struct trial* trial) {
    expect(trial, attn_global_pool(&trial->context, trial->dtype, ATTN_POOL_AVERAGE, 2, 3000, 70,
                                   0, numbers(trial, 1, 2 * 3000 * 70),
                                   flags(trial, 2, 2 * 3000, 0.8), result(trial, 2 * 70)));
}

static void average_of_channels(struct trial* trial) {
    enum { STEPS = 300000 };
    expect(trial, attn_global_pool(&trial->context, trial->dtype, ATTN_POOL_AVERAGE, 1, STEPS, 2,
                                   1, numbers(trial, 1, 2 * STEPS), flags(trial, 2, STEPS, 0.8),
                                   result(trial, 2)));
}

static void maximum_of_channels(struct trial* trial) {
    enum { STEPS = 300000 };
    expect(trial, attn_global_pool(&trial->context, trial->dtype, ATTN_POOL_MAX, 1, STEPS, 2, 1,
                                   numbers(trial, 1, 2 * STEPS), NULL, result(trial, 2)));
}

static void broadcast_sum(struct trial* trial) {
    const struct attn_operand operand[2] = {
        {numbers(trial, 1, ROWS * COLUMNS), 2, {ROWS, COLUMNS}, NULL},
        {numbers(trial, 2, COLUMNS), 1, {COLUMNS}, NULL}};
    const ptrdiff_t dim[2] = {ROWS, COLUMNS};
    expect(trial, attn_merge(&trial->context, trial->dtype, ATTN_MERGE_ADD, 2, operand, 2, dim,
                             result(trial, ROWS * COLUMNS)));
}

static void dropped(struct trial* trial) {
    const struct attn_dropout dropout = {0.4, {{1, 2}}, 5};
    const ptrdiff_t dim[2] = {ROWS, COLUMNS};
    expect(trial, attn_tensor_dropout(&trial->context, trial->dtype, &dropout, 2, dim, NULL,
                                      numbers(trial, 1, ROWS * COLUMNS),
                                      result(trial, ROWS * COLUMNS)));
}

static void looked_up(struct trial* trial) {
    enum { IDS = 600000, TABLE = 50 };
    int32_t* id = attn_workspace_take(trial->inputs, IDS, sizeof *id);
    ptrdiff_t wrong = 0;
    for (int i = 0; i < IDS; i++) {
        id[i] = i % TABLE;
    }
    expect(trial, attn_embedding(&trial->context, trial->dtype, IDS, id, TABLE, 2,
                                 numbers(trial, 1, TABLE * 2), result(trial, IDS * 2), &wrong));
}

static void sine_positions(struct trial* trial) {
    attn_sine_positions(&trial->context, trial->dtype, 700, 100, 0, 10000,
                        result(trial, 700 * 100));
}

static void rotation(struct trial* trial) {
    const struct attn_rotary rotary = {10000, 1, 700, 100, 0, NULL};
    const ptrdiff_t dim[3] = {5, 700, 100};
    void *cosine = numbers(trial, 1, 700 * 50), *sine = numbers(trial, 1, 700 * 50);
    expect(trial, attn_rotary_tables(&trial->context, trial->dtype, &rotary, cosine, sine));
    expect(trial, attn_rotate(&trial->context, trial->dtype, 3, dim, 1, 2, cosine, sine,
                              numbers(trial, 2, 5 * 700 * 100), result(trial, 5 * 700 * 100)));
}

static void array_of_r(struct trial* trial) {
    const struct attn_matrix from = attn_columns(doubles(trial, 1, 70 * 9000), 70);
    const struct attn_matrix_out to = attn_rows_out(result(trial, 70 * 9000), 9000);
    attn_matrix_copy(&trial->context, trial->dtype, 70, 9000, &from, &to);
}

static void array_for_r(struct trial* trial) {
    const struct attn_matrix from = attn_rows(numbers(trial, 1, 70 * 9000), 9000);
    double* array = result(trial, 70 * 9000 * (trial->dtype == ATTN_FLOAT32 ? 2 : 1));
    struct attn_matrix_out to = attn_columns_out(array, 70);
    to.column_place = multiples_of(trial, 1, 9000);
    attn_matrix_copy(&trial->context, trial->dtype, 70, 9000, &from, &to);
}

#include "interrupted_layers.h"

static const struct interrupted_op interrupted_ops[] = {
    {"attention, causal, window", causal_attention, 15},
    {"attention, means, scores, dropout", scored_attention, 15},
    {"attention, zeros, bias, soft cap", zero_attention, 10},
    {"attention, tanh, shifted, scores", tanh_attention, 15},
    {"attention, plain", plain_attention, B * N * PLAIN_QUERIES * S * 4},
    {"product, deep", deep_product, 20},
    {"product, narrow", narrow_product, 10},
    {"products of a batch", batch_product, 10},
    {"dot, normalized", normalized_dot, 10},
    {"einsum", einsum, 10},
    {"convolution, dilated", dilated_convolution, 5},
    {"convolution, padded", padded_convolution, 5},
    {"gelu", gelu, ROWS / 2},
    {"softmax", softmax, ROWS / 2},
    {"sparsemax", sparsemax, ROWS / 2},
    {"gated linear unit", gated, ROWS / 2},
    {"normalization", normalization, ROWS / 2},
    {"permutation", permutation, 20},
    {"permutation of long rows", long_rows_permuted, 4},
    {"concatenation", concatenation, 4},
    {"repetition", repetition, 3},
    {"average of steps", average_of_steps, 20},
    {"average of channels", average_of_channels, 6},
    {"maximum of channels", maximum_of_channels, 6},
    {"sum, broadcast", broadcast_sum, ROWS / 2},
    {"dropout", dropped, ROWS / 2},
    {"embedding", looked_up, 20},
    {"positions", sine_positions, 4},
    {"rotation", rotation, 20},
    {"array of R", array_of_r, 4},
    {"array for R", array_for_r, 4},
    INTERRUPTED_LAYERS,
    {NULL, NULL, 0},
};

#endif

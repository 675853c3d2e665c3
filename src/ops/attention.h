/* softmax(score(query, key) + mask) value, tile by tile, in memory that grows
 * with T + S and never with T * S.
 *
 * The recurrence is the online softmax (Milakov & Gimelshein 2018, "Online
 * normalizer calculation for softmax"), tiled as in FlashAttention (Dao et al.
 * 2022, algorithm 1; Dao 2023, section 3.1).
 *
 * Axes: B batch, N query heads, G key/value heads (N a multiple of G),
 * T queries, S keys, K key dim, V value dim. */
#ifndef ATTN_OPS_ATTENTION_H
#define ATTN_OPS_ATTENTION_H

#include "dropout.h"
#include "mask.h"
#include "parallel.h"
#include "status.h"
#include "tensor.h"

/* What a query row gives that sees no key at all: Keras's layers differ, and a
 * model that comes from Keras is to predict the same. */
enum attn_dead_row {
    ATTN_DEAD_MEAN,    /* the mean of all values: Keras's fused path */
    ATTN_DEAD_ZERO,    /* zeros: Keras's softmax layer */
    ATTN_DEAD_SHIFTED, /* the softmax of logits - 1e9: Attention, AdditiveAttention */
};

enum attn_score {
    ATTN_SCORE_DOT, /* scale * q.k */
    ATTN_SCORE_TANH /* scale * sum_d weight_d tanh(inner * (q_d + k_d)) */
};

/* Where weights go that are asked for: data (NULL: nowhere) plus one offset per
 * axis, from tables of length B, N, T and S. Tables, not strides, because one
 * flattened axis may be several axes of the array that receives them. */
struct attn_scores_out {
    double* data;
    const ptrdiff_t *batch, *head, *target, *source;
};

/* A tensor added to the logits, broadcast by strides of 0. */
struct attn_bias {
    const void* data; /* NULL: none */
    ptrdiff_t batch, head, target, source;
};

struct attn_attention {
    enum attn_dtype dtype;
    ptrdiff_t batch, heads, key_heads, target, source, key_dim, value_dim;

    const void* query; /* (B, N, T, K) by strides; the last axis is contiguous */
    const void* key;   /* (B, G, S, K) */
    const void* value; /* (B, G, S, V) */
    struct attn_strides query_strides, key_strides, value_strides;

    enum attn_score score;
    double scale;
    double inner;            /* tanh only */
    const void* tanh_weight; /* (K), or NULL for ones */
    double soft_cap;         /* > 0: logits become cap * tanh(logits / cap) */
    struct attn_bias bias;   /* added after scale, before soft_cap */

    struct attn_mask mask;
    enum attn_dead_row dead_row;
    struct attn_mask_part keep_row; /* visible == NULL, or 0 where an output row is to be zero */
    struct attn_dropout dropout;

    void* output; /* (B, N, T, V) by strides */
    struct attn_strides output_strides;

    struct attn_scores_out scores;
    int scores_after_dropout;
};

enum attn_status attn_attention(const struct attn_context* context,
                                const struct attn_attention* problem);

/* The same, row by row with a row of logits in memory: the plain definition,
 * which the tests hold the tiled one against and `flash_attention = FALSE`
 * asks for. */
enum attn_status attn_attention_reference(const struct attn_context* context,
                                          const struct attn_attention* problem);

/* Logits of masked keys lose this much on the ATTN_DEAD_SHIFTED path. */
#define ATTN_SHIFT 1e9

#endif

/* The table of kernels: the only code that is compiled per instruction set.
 *
 * Kernels know pointers, strides and sizes. They trust their caller: sizes are
 * positive, pointers valid, `lanes` wide buffers complete.
 *
 * Attention keeps queries on the vector lanes: a tile is a matrix of
 * (keys or dims) rows by `block_columns` columns, so that the softmax over the
 * keys runs down the rows and needs no horizontal step. */
#ifndef ATTN_KERNELS_H
#define ATTN_KERNELS_H

#include <stddef.h>

#include "op_kernels.h"
#include "random.h"

enum {
    ATTN_PACK_SPILL = 8,
    ATTN_MOST_TILE_PANELS = 8 /* tile_queries / block_columns of any set, at most */
};

#define ATTN_DECLARE_KERNELS(real, bits)                                                         \
    struct attn_kernels_f##bits {                                                                \
        const char* isa;                                                                         \
        int block_rows;    /* rows of the register block of a product */                         \
        int block_columns; /* its columns: the width of a packed panel */                        \
        int tile_queries;  /* that share a tile of keys; a multiple of block_columns */          \
        int tile_keys;     /* a multiple of block_rows */                                        \
        int logit_run;     /* of attention: the `run` of dot_logits */                           \
        int narrow_columns; /* the width of a narrow panel of a product: one vector */           \
        int product_panels; /* panels of rows of a product that are packed at a time */          \
        int product_depth;  /* their depth, at most */                                           \
                                                                                                 \
        /* A panel of queries: block_columns of them, one on each lane. Keys and values          \
         * lie in blocks of block_rows.                                                          \
         * pack_query_panel: to[d * block_columns + i] = row[i][d]                               \
         * pack_key_block:   to[d * block_rows + i] = row[i][d]                                  \
         * pack_values:      to[(v / block_rows * block_keys + j) * block_rows + v % block_rows] \
         *                   = row[j][v]; returns whether one is NaN or infinite.                \
         * They may write ATTN_PACK_SPILL numbers behind their last one. */                      \
        void (*pack_query_panel)(ptrdiff_t depth, const real* const* row, real* to);             \
        void (*pack_key_block)(ptrdiff_t depth, const real* const* row, real* to);               \
        int (*pack_values)(ptrdiff_t keys, ptrdiff_t dims, const real* const* row, real* to,     \
                           ptrdiff_t block_keys);                                                \
                                                                                                 \
        /* row[i][v] = panel[v * block_columns + i], for all block_columns rows */               \
        void (*unpack_panel)(ptrdiff_t dims, const real* panel, real* const* row);               \
                                                                                                 \
        /* logits (keys x block_columns) of whole blocks of keys and a panel of queries;         \
         * a logit is summed in runs of `run` dims, then over these */                           \
        void (*dot_logits)(ptrdiff_t keys, ptrdiff_t depth, ptrdiff_t run, const real* key,      \
                           const real* query, real* logits);                                     \
                                                                                                 \
        /* output (dims x block_columns) += values (keys x dims), transposed, times weights      \
         * (keys x block_columns); values as pack_values leaves them */                          \
        void (*add_weighted)(ptrdiff_t dims, ptrdiff_t keys, const real* values,                 \
                             ptrdiff_t block_keys, const real* weights, real* output);           \
                                                                                                 \
        /* One step of the online softmax over a tile of logits (keys x block_columns):          \
         * updates row_max and row_sum, leaves exp(scale * (logit - row_max)) in the tile and    \
         * exp(scale * (old max - new max)) in rescale. Returns 0 when every rescale is 1. */    \
        int (*softmax_step)(ptrdiff_t keys, real scale, real* logits, real* row_max,             \
                            real* row_sum, real* rescale);                                       \
                                                                                                 \
        /* logits (keys x block_columns) become exp(scale * (logit - row_max)) / row_sum */      \
        void (*softmax_finish)(ptrdiff_t keys, real scale, real* logits, const real* row_max,    \
                               const real* row_sum);                                             \
                                                                                                 \
        /* x (rows x block_columns) times factor, or by divisor (block_columns) */               \
        void (*scale_lanes)(ptrdiff_t rows, real* x, const real* factor);                        \
        void (*divide_lanes)(ptrdiff_t rows, real* x, const real* divisor);                      \
                                                                                                 \
        /* weights (keys x block_columns) times factor, or 0 where the word of the stream is below\
         * threshold that has the number first + i * step + j, for key j and lane i */           \
        void (*drop_weights)(ptrdiff_t keys, real* weights,                                      \
                             const struct attn_random_stream* stream, uint64_t first,            \
                             uint64_t step, uint32_t threshold, real factor);                    \
                                                                                                 \
        /* the weights of several matrices to their array: that of matrix m, key j and lane i, at\
         * weights[m * step + j * block_columns + i], to to[matrix[m] + row[i] + source[j]] */   \
        void (*store_weights)(ptrdiff_t matrices, ptrdiff_t keys, ptrdiff_t lanes,               \
                              const real* weights, ptrdiff_t step, double* to,                   \
                              const ptrdiff_t* matrix, const ptrdiff_t* row,                     \
                              const ptrdiff_t* source);                                          \
                                                                                                 \
        /* x (count) gets its two parts behind it, `part` further on each: high and low, of which\
         * the sum is exp(2 * inner * x), or NaN */                                              \
        void (*tanh_parts)(ptrdiff_t count, real inner, real* x, ptrdiff_t part);                \
                                                                                                 \
        /* logit = outer * sum over d of weight[d] * tanh(inner * (query[d] + key[d]));          \
         * query (depth x block_columns), key: key[d * key_depth + j], both with their parts;    \
         * weight may be NULL */                                                                 \
        void (*tanh_logits)(ptrdiff_t keys, ptrdiff_t depth, const real* key,                    \
                            ptrdiff_t key_depth, ptrdiff_t key_part, const real* query,          \
                            ptrdiff_t query_part, const real* weight, real inner, real outer,    \
                            real* logits);                                                       \
                                                                                                 \
        /* x = cap * tanh(x / cap) */                                                            \
        void (*soft_cap)(ptrdiff_t count, real* x, real cap);                                    \
                                                                                                 \
        /* x *= 1 / (1 + exp(-gate)) */                                                          \
        void (*sigmoid_gate)(ptrdiff_t count, real* x, const real* gate);                        \
                                                                                                 \
        /* y = exp(x), y = exp(scale * x) for x <= 0, y = tanh(x): what the kernels above use,   \
         * for the tests */                                                                      \
        void (*exponential)(ptrdiff_t count, const real* x, real* y);                            \
        void (*exponential_negative)(ptrdiff_t count, real scale, const real* x, real* y);       \
        void (*hyperbolic_tangent)(ptrdiff_t count, const real* x, real* y);                     \
                                                                                                 \
        /* ---- packed products and R's arrays (multiply_impl.h, marshal_impl.h) ---- */         \
        /* C (rows x block_columns, or narrow_columns) = A B + bias, or += A B. A: `rows` rows   \
         * as pack_rows or pack_columns leave them; B: (depth x columns), contiguous; bias:      \
         * NULL or a row. Row i of C is at place[i] * c_row, without places at i * c_row. */     \
        void (*multiply_panel)(ptrdiff_t rows, ptrdiff_t depth, const real* a,                   \
                               ptrdiff_t a_panel, const real* b, const real* bias, real* c,      \
                               ptrdiff_t c_row, const ptrdiff_t* place, int accumulate);         \
        void (*multiply_narrow)(ptrdiff_t rows, ptrdiff_t depth, const real* a,                  \
                                ptrdiff_t a_panel, const real* b, const real* bias, real* c,     \
                                ptrdiff_t c_row, const ptrdiff_t* place, int accumulate);        \
                                                                                                 \
        /* Rows into panels of at most block_rows, a_panel apart, which is depth * block_rows    \
         * and a vector more. pack_columns: from[row + d * from_depth], of which `readable` rows \
         * may be read; pack_rows: from[place[row] * from_row + d] */                            \
        void (*pack_columns)(ptrdiff_t rows, ptrdiff_t readable, ptrdiff_t depth,                \
                             const double* from, ptrdiff_t from_depth, real* to,                 \
                             ptrdiff_t a_panel);                                                 \
        void (*pack_rows)(ptrdiff_t rows, ptrdiff_t depth, const real* from,                     \
                          ptrdiff_t from_row, const ptrdiff_t* place, real* to,                  \
                          ptrdiff_t a_panel);                                                    \
                                                                                                 \
        /* to[place[row] * to_row + column] = from[row + column * from_column], and              \
         * to[row + to_place[column] * to_column] = from[place[row] * from_row + column] */      \
        void (*read_columns)(ptrdiff_t rows, ptrdiff_t columns, const double* from,              \
                             ptrdiff_t from_column, real* to, ptrdiff_t to_row,                  \
                             const ptrdiff_t* place);                                            \
        void (*write_columns)(ptrdiff_t rows, ptrdiff_t columns, const real* from,               \
                              ptrdiff_t from_row, const ptrdiff_t* place, double* to,            \
                              ptrdiff_t to_column, const ptrdiff_t* to_place);                   \
                                                                                                 \
        ATTN_OP_KERNELS(real)                                                                    \
    }

ATTN_DECLARE_KERNELS(float, 32);
ATTN_DECLARE_KERNELS(double, 64);

struct attn_kernel_set {
    const char* isa;
    int (*supported)(void);
    const struct attn_kernels_f32* f32;
    const struct attn_kernels_f64* f64;
};

/* Chosen once, before any layer exists: the best set that the processor runs,
 * or the one that is asked for by name. Returns 0, and keeps the best set, when
 * the name is unknown or the processor cannot run it. */
int attn_kernels_choose(const char* isa);
const struct attn_kernel_set* attn_kernels(void);

/* Names of all sets in this build that the processor runs; NULL after the last. */
const char* attn_kernels_available(int index);

#endif

/* What every layer is: a configuration, weights, and a row in the table of
 * kinds that says how weights look and how the layer computes. A new layer is
 * one file and one row here. */
#ifndef ATTN_LAYERS_LAYER_H
#define ATTN_LAYERS_LAYER_H

#include <stdint.h>

#include "attention.h"
#include "mask.h"
#include "matrix.h"
#include "parallel.h"
#include "random.h"
#include "status.h"
#include "tensor.h"

enum { ATTN_MAX_WEIGHTS = 10, ATTN_MAX_OUTPUT_RANK = 8, ATTN_NAME_SIZE = 32 };

/* Part of the serialized state: numbers are never reused. */
enum attn_layer_id {
    ATTN_LAYER_MULTI_HEAD_ATTENTION = 1,
    ATTN_LAYER_GROUP_QUERY_ATTENTION = 2,
    ATTN_LAYER_ATTENTION = 3,
    ATTN_LAYER_ADDITIVE_ATTENTION = 4,
    ATTN_LAYER_WEIGHTS = 5
};

enum attn_score_mode { ATTN_MODE_DOT = 0, ATTN_MODE_CONCAT = 1, ATTN_MODE_ADDITIVE = 2 };

struct attn_layer_config {
    ptrdiff_t num_heads, num_key_value_heads, key_dim, value_dim;
    int use_bias, use_gate, use_scale;
    enum attn_score_mode score_mode;
    double dropout;
};

/* last dims of the inputs, and the trailing shape of the output */
struct attn_layer_widths {
    ptrdiff_t query, value, key;
    int output_rank;
    ptrdiff_t output[ATTN_MAX_OUTPUT_RANK];
};

struct attn_weight {
    char name[ATTN_NAME_SIZE]; /* Keras's path within the layer: "query/kernel" */
    int rank;
    ptrdiff_t dim[ATTN_MAX_RANK];
    ptrdiff_t length;
    /* a matrix of the products: (depth x columns), kept packed as well; 0: not one */
    ptrdiff_t depth, columns;
    size_t offset, packed_offset; /* bytes into the storage */
};

struct attn_layer;
struct attn_layer_call;

struct attn_layer_kind {
    enum attn_layer_id id;
    const char* name;
    /* fills layer->weight[] and layer->weights from config and widths */
    enum attn_status (*describe)(struct attn_layer* layer);
    enum attn_status (*forward)(const struct attn_context* context,
                                const struct attn_layer* layer, struct attn_layer_call* call);
    /* whether inputs of these last dims can be computed with the layer's weights */
    int (*accepts)(const struct attn_layer* layer, ptrdiff_t query, ptrdiff_t key,
                   ptrdiff_t value);
};

struct attn_layer {
    uint64_t magic; /* ATTN_LAYER_MAGIC while alive */
    const struct attn_layer_kind* kind;
    enum attn_dtype dtype;
    struct attn_layer_config config;
    struct attn_layer_widths widths;
    int built;
    int weights;
    int described_weights; /* where R describes them: weights.h */
    struct attn_weight weight[ATTN_MAX_WEIGHTS];
    size_t storage_size;
    unsigned char* storage; /* plain weights, then packed ones */
    struct attn_random_key key;
    uint64_t calls; /* training calls so far: part of the dropout counter */
};

#define ATTN_LAYER_MAGIC UINT64_C(0x6174746e6c617972)

enum {
    ATTN_PROJECT_QUERY,
    ATTN_PROJECT_KEY,
    ATTN_PROJECT_VALUE,
    ATTN_PROJECT_GATE,
    ATTN_PROJECTIONS
};

/* One call of a layer.
 *
 * Inputs and output are matrices whose rows are the positions, (B * T) or (B * S) of
 * them, in an order of the caller's own: row i of the query and of the output is
 * position query_order[i], counted b * T + t; row i of key and value is position
 * key_order[i], b * S + s. NULL: their order is that of the positions. */
struct attn_layer_call {
    ptrdiff_t batch, target, source;
    /* last dims of the inputs: where no weight depends on them (Attention) they
     * may differ from those the layer was built for */
    ptrdiff_t query_width, key_width, value_width;
    struct attn_matrix query; /* (B T x query_width); the same data may appear twice */
    struct attn_matrix key;   /* (B S x key_width) */
    struct attn_matrix value; /* (B S x value_width) */
    const ptrdiff_t *query_order, *key_order;
    struct attn_mask mask;
    struct attn_mask_part keep_row;
    enum attn_dead_row dead_row;
    int training;
    /* training calls of the layer that come before this one and are not counted yet */
    uint64_t calls_before;
    int reference;
    /* (B T x prod of widths.output), or (B T x value_width) */
    struct attn_matrix_out output;
    struct attn_scores_out scores;
    /* set by the layer: its projections, (B, T or S, heads, dim), in the workspace */
    const void* projection[ATTN_PROJECTIONS];
};

const struct attn_layer_kind* attn_layer_kind_by_name(const char* name);
const struct attn_layer_kind* attn_layer_kind_by_id(uint64_t id);

enum attn_status attn_layer_create(const struct attn_layer_kind* kind, enum attn_dtype dtype,
                                   const struct attn_layer_config* config,
                                   struct attn_random_key key, struct attn_layer** layer);
void attn_layer_destroy(struct attn_layer* layer);

/* All layers of the process that are alive now, and the bytes of their weights. */
struct attn_layers_alive {
    size_t layers, bytes;
};
struct attn_layers_alive attn_layers_alive(void);

/* Gives the layer its shapes and zero weights; leaves it alone on failure. */
enum attn_status attn_layer_build(struct attn_layer* layer,
                                  const struct attn_layer_widths* widths);

/* New weights: fill what `stage` gives, `pack` it, then let the layer `take` it. Until
 * taken it belongs to the caller, who may discard it, and the layer computes with the old
 * ones. `pack` polls; `take` neither fails nor polls. `adopt`: both, without polls. */
enum attn_status attn_layer_stage(const struct attn_layer* layer, unsigned char** storage);
void* attn_layer_staged_weight(const struct attn_layer* layer, unsigned char* storage, int index);
void attn_layer_pack(const struct attn_context* context, const struct attn_layer* layer,
                     unsigned char* storage);
void attn_layer_take(struct attn_layer* layer, unsigned char* storage);
void attn_layer_adopt(struct attn_layer* layer, unsigned char* storage);
void attn_layer_discard(unsigned char* storage);

const void* attn_layer_weight(const struct attn_layer* layer, int index);
const void* attn_layer_packed(const struct attn_layer* layer, int index);
/* appends one weight to the description; depth 0: not a matrix */
struct attn_weight* attn_layer_add_weight(struct attn_layer* layer, const char* name, int rank,
                                          const ptrdiff_t* dim, ptrdiff_t depth);

enum attn_status attn_layer_forward(const struct attn_context* context,
                                    const struct attn_layer* layer, struct attn_layer_call* call);
/* Counts a call whose results have arrived: until then it may be interrupted and
 * must leave the layer as it was. */
void attn_layer_count(struct attn_layer* layer, int training);

/* The state as bytes, the same on every machine. */
size_t attn_layer_state_size(const struct attn_layer* layer);
void attn_layer_state_write(const struct attn_layer* layer, unsigned char* bytes);
/* Trusts nothing: sizes are proven against `size` before anything is allocated, and only bytes
 * are accepted that the layer made from them would be written as. */
enum attn_status attn_layer_state_read(const unsigned char* bytes, size_t size,
                                       struct attn_layer** layer);
/* The same, polled. *layer, which is NULL before, is the new layer as soon as there is one:
 * a poll that does not come back leaves it there, unfinished, for its owner to destroy. */
void attn_layer_state_put(const struct attn_context* context, const struct attn_layer* layer,
                          unsigned char* bytes);
enum attn_status attn_layer_state_get(const struct attn_context* context,
                                      const unsigned char* bytes, size_t size,
                                      struct attn_layer** layer);

extern const struct attn_layer_kind attn_multi_head_attention_kind;
extern const struct attn_layer_kind attn_group_query_attention_kind;
extern const struct attn_layer_kind attn_attention_kind;
extern const struct attn_layer_kind attn_additive_attention_kind;

#endif

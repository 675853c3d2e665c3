/* Tensors between the layers of a model, and the memory that they share. */
#ifndef ATTN_LAYERS_VALUE_H
#define ATTN_LAYERS_VALUE_H

#include <stdint.h>

#include "parallel.h"
#include "status.h"
#include "tensor.h"

enum attn_value_type {
    ATTN_VALUE_FLOAT32 = ATTN_FLOAT32,
    ATTN_VALUE_FLOAT64 = ATTN_FLOAT64,
    ATTN_VALUE_INT32, /* ids of tokens, classes */
    ATTN_VALUE_BOOL   /* uint8_t, 0 or 1: masks */
};

/* Memory that is used again once nobody uses it. */
struct attn_buffer {
    void* data;
    size_t size;
    int users;
    struct attn_buffer* next; /* of the buffers without users */
};

/* A tensor: row-major, dense, 64-byte aligned. Several may share one buffer. */
struct attn_value {
    enum attn_value_type type;
    int rank;
    ptrdiff_t dim[ATTN_MAX_RANK];
    struct attn_buffer* buffer; /* NULL: no value */
    /* Keras's implicit mask: uint8_t, non-zero = counts; usually of the dims but the
     * last. NULL: none */
    struct attn_buffer* mask;
    int mask_rank;
    ptrdiff_t mask_dim[ATTN_MAX_RANK];
};

struct attn_value_memory {
    struct attn_workspace* workspace;
    struct attn_buffer* spare;
};

size_t attn_value_type_size(enum attn_value_type type);
ptrdiff_t attn_value_length(const struct attn_value* value);
/* the product of the dims from axis `first` up to, not including, `end` */
ptrdiff_t attn_value_extent(const struct attn_value* value, int first, int end);

/* number i, which fits a double whatever its type */
double attn_value_number(const struct attn_value* value, ptrdiff_t i);

/* A value of its own, not cleared, without a mask. */
enum attn_status attn_value_new(struct attn_value_memory* memory, enum attn_value_type type,
                                int rank, const ptrdiff_t* dim, struct attn_value* value);
/* The same numbers under other dims of the same length, without the mask. */
void attn_value_view(const struct attn_value* from, int rank, const ptrdiff_t* dim,
                     struct attn_value* view);
/* A mask of the value's own, not cleared, of these dims. */
enum attn_status attn_value_new_mask(struct attn_value_memory* memory, int rank,
                                     const ptrdiff_t* dim, struct attn_value* value);
/* `to`, which has no mask, gets the mask of `from`, if it has one. */
void attn_value_share_mask(const struct attn_value* from, struct attn_value* to);
/* Gives back what it uses; it is no value then. */
void attn_value_release(struct attn_value_memory* memory, struct attn_value* value);

/* The numbers as floats of `dtype`: its own, or converted in the context's workspace.
 * NULL without memory. */
const void* attn_value_floats(const struct attn_context* context, enum attn_dtype dtype,
                              const struct attn_value* value);
/* The numbers as int32_t, truncated as Keras's cast does; likewise. Numbers outside of
 * int32_t are INT32_MIN. */
const int32_t* attn_value_ids(const struct attn_context* context, const struct attn_value* value);
/* 0 and 1, 1 for what is not 0; likewise. */
const uint8_t* attn_value_flags(const struct attn_context* context,
                                const struct attn_value* value);
/* number `at` of a value becomes x, in the value's type, by the same rules */
void attn_value_put(const struct attn_value* value, ptrdiff_t at, double x);

#endif

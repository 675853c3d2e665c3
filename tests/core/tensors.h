/* Tensors of either precision for the tests of operations: filled from dice, read and
 * written as doubles, with a guard behind the last number. */
#ifndef ATTN_TESTS_TENSORS_H
#define ATTN_TESTS_TENSORS_H

#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "kernels.h"
#include "parallel.h"
#include "tensor.h"

enum { GUARD = 64 };

struct tensor {
    enum attn_dtype dtype;
    ptrdiff_t count;
    void* data;
};

static inline struct tensor tensor_new(enum attn_dtype dtype, ptrdiff_t count) {
    const size_t bytes = (size_t)count * attn_dtype_size(dtype);
    struct tensor tensor = {dtype, count, aligned_alloc(64, (bytes + GUARD + 63) / 64 * 64)};
    memset(tensor.data, 0xA5, bytes + GUARD);
    return tensor;
}

static inline double tensor_get(const struct tensor* tensor, ptrdiff_t i) {
    return tensor->dtype == ATTN_FLOAT32 ? (double)((const float*)tensor->data)[i]
                                         : ((const double*)tensor->data)[i];
}

static inline void tensor_set(struct tensor* tensor, ptrdiff_t i, double x) {
    if (tensor->dtype == ATTN_FLOAT32) {
        ((float*)tensor->data)[i] = (float)x;
    } else {
        ((double*)tensor->data)[i] = x;
    }
}

/* standard normal, the same numbers in both precisions */
static inline struct tensor tensor_normal(struct dice* dice, enum attn_dtype dtype,
                                          ptrdiff_t count) {
    struct tensor tensor = tensor_new(dtype, count);
    for (ptrdiff_t i = 0; i < count; i++) {
        tensor_set(&tensor, i, dice_normal(dice));
    }
    return tensor;
}

static inline size_t tensor_bytes(const struct tensor* tensor) {
    return (size_t)tensor->count * attn_dtype_size(tensor->dtype);
}

/* whether nothing was written behind the last number; frees */
static inline int tensor_end(struct tensor* tensor) {
    const unsigned char* guard = (const unsigned char*)tensor->data + tensor_bytes(tensor);
    int whole = 1;
    for (int i = 0; i < GUARD; i++) {
        whole = whole && guard[i] == 0xA5;
    }
    free(tensor->data);
    return whole;
}

/* half the distance from 1 to the next number */
static inline double unit_of(enum attn_dtype dtype) {
    return dtype == ATTN_FLOAT32 ? 0x1p-24 : 0x1p-53;
}

static inline const char* name_of(enum attn_dtype dtype) {
    return dtype == ATTN_FLOAT32 ? "float32" : "float64";
}

/* A context of its own: memory that context_end returns. */
static struct attn_workspace test_workspace;

static inline struct attn_context context_new(int threads) {
    const struct attn_context context = {&test_workspace, threads, NULL, NULL};
    return context;
}

static inline void context_end(void) { attn_workspace_reset(&test_workspace, 0); }

/* runs test(dtype) for every set of kernels and both precisions */
static inline void for_each_setting(void (*test)(enum attn_dtype dtype)) {
    for (int set = 0; attn_kernels_available(set) != NULL; set++) {
        CHECK(attn_kernels_choose(attn_kernels_available(set)), "an available set is refused");
        test(ATTN_FLOAT32);
        test(ATTN_FLOAT64);
        context_end();
    }
}

#endif

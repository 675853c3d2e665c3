#include "tensor_dropout.h"

/* a number's share of ten rounds of Philox, and its own product */
#define DROPOUT_OPERATIONS 20.0

enum { PIECE = 1024 };

/* Rows of numbers, each with decisions of its own that lie in a row, or one decision. */
struct dropping {
    const struct attn_dropout* dropout;
    double factor;
    int axes, one;
    ptrdiff_t dim[ATTN_MAX_RANK], step[ATTN_MAX_RANK]; /* of the rows; 0: the same decision */
    ptrdiff_t columns, pieces;
    const void* x;
    void* y;
};

/* index of the first decision for a row */
static uint64_t first_decision(const struct dropping* work, ptrdiff_t row) {
    uint64_t at = 0;
    for (int axis = work->axes - 1; axis >= 0; axis--) {
        at += (uint64_t)(row % work->dim[axis] * work->step[axis]);
        row /= work->dim[axis];
    }
    return at;
}

#define REAL_BITS 32
#include "real.h"
#include "tensor_dropout_real.h"
#undef REAL_BITS

#define REAL_BITS 64
#include "real.h"
#include "tensor_dropout_real.h"

/* Axes from the last on that share one decision, or have one each, are one row. */
static enum attn_status find_rows(struct dropping* work, int rank, const ptrdiff_t* dim,
                                  const ptrdiff_t* noise) {
    ptrdiff_t step = 1;
    int axis = rank - 1;
    for (int i = 0; i < rank; i++) {
        if (noise[i] != 1 && noise[i] != dim[i]) {
            return ATTN_BAD_LENGTH;
        }
    }
    while (axis >= 0 && dim[axis] == 1) {
        axis--;
    }
    work->one = axis >= 0 && noise[axis] == 1;
    work->columns = 1;
    for (; axis >= 0 && (dim[axis] == 1 || (noise[axis] == 1) == work->one); axis--) {
        work->columns *= dim[axis];
        step *= noise[axis];
    }
    work->axes = axis + 1;
    for (; axis >= 0; axis--) {
        work->dim[axis] = dim[axis];
        work->step[axis] = noise[axis] == 1 ? 0 : step;
        step *= noise[axis];
    }
    return ATTN_OK;
}

enum attn_status attn_tensor_dropout(const struct attn_context* context, enum attn_dtype dtype,
                                     const struct attn_dropout* dropout, int rank,
                                     const ptrdiff_t* dim, const ptrdiff_t* noise, const void* x,
                                     void* y) {
    struct dropping work = {0};
    ptrdiff_t numbers;
    if (rank > ATTN_MAX_RANK) {
        return ATTN_BAD_LENGTH;
    }
    ATTN_TRY(attn_checked_length(rank, dim, &numbers));
    if (numbers == 0) {
        return ATTN_OK;
    }
    ATTN_TRY(find_rows(&work, rank, dim, noise != NULL ? noise : dim));
    work.dropout = dropout;
    work.factor = attn_dropout_factor(dropout);
    work.x = x;
    work.y = y;
    work.pieces = (work.columns + PIECE - 1) / PIECE;
    const ptrdiff_t items = numbers / work.columns * work.pieces;
    const int threads = attn_parallel_width(context, items, DROPOUT_OPERATIONS * (double)numbers);
    attn_parallel_run(context, threads, items,
                      dtype == ATTN_FLOAT32 ? drop_item_f32 : drop_item_f64, &work);
    return ATTN_OK;
}

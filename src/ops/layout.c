#include "layout.h"

#include <stdint.h>
#include <string.h>

#include "kernels.h"
#include "row_items.h"

#define COPY_OPERATIONS 4.0

/* Numbers of a row that an item works on, at most, where it turns and where it copies
 * rows: a slice of work ends only between items. */
enum { MOST_TURNED = 1 << 14, MOST_COPIED = 1 << 18 };

/* A permutation as matrices: those of all outer axes are moved, one by one. In each,
 * rows of `columns` numbers that lie side by side are copied or, where the last axis
 * of y is another than that of x, turned into columns. */
struct permutation {
    int turns;
    ptrdiff_t rows, columns, x_row, y_row;
    ptrdiff_t strip, strips; /* rows of an item of work, strips of a matrix */
    ptrdiff_t piece, pieces; /* columns of an item, pieces of a strip */
    int outer_axes;
    ptrdiff_t outer_dim[ATTN_MAX_RANK], outer_from[ATTN_MAX_RANK], outer_to[ATTN_MAX_RANK];
    const void* x;
    void* y;
};

#define REAL_BITS 32
#include "real.h"
#define REAL_KERNELS (attn_kernels()->f32)
#include "layout_real.h"
#undef REAL_BITS
#undef REAL_KERNELS

#define REAL_BITS 64
#include "real.h"
#define REAL_KERNELS (attn_kernels()->f64)
#include "layout_real.h"

/* The axes of y, each with its step in x, those of 1 left out and those run together
 * that stay neighbours. */
struct axes {
    int rank;
    ptrdiff_t dim[ATTN_MAX_RANK], from[ATTN_MAX_RANK], to[ATTN_MAX_RANK];
};

static int is_permutation(int rank, const int* order) {
    unsigned seen = 0;
    for (int i = 0; i < rank; i++) {
        if (order[i] < 0 || order[i] >= rank || (seen & 1u << order[i]) != 0) {
            return 0;
        }
        seen |= 1u << order[i];
    }
    return 1;
}

static void find_axes(int rank, const ptrdiff_t* dim, const int* order, struct axes* axes) {
    ptrdiff_t step[ATTN_MAX_RANK + 1];
    step[rank] = 1;
    for (int axis = rank - 1; axis >= 0; axis--) {
        step[axis] = step[axis + 1] * dim[axis];
    }
    axes->rank = 0;
    for (int i = 0; i < rank; i++) {
        const int axis = order[i];
        if (dim[axis] == 1) {
            continue;
        }
        const int last = axes->rank - 1;
        if (last >= 0 && axes->from[last] == step[axis + 1] * dim[axis]) {
            axes->dim[last] *= dim[axis];
            axes->from[last] = step[axis + 1];
        } else {
            axes->dim[axes->rank] = dim[axis];
            axes->from[axes->rank] = step[axis + 1];
            axes->rank++;
        }
    }
    ptrdiff_t to = 1;
    for (int i = axes->rank - 1; i >= 0; i--) {
        axes->to[i] = to;
        to *= axes->dim[i];
    }
}

/* Rows and columns of the matrices, the rest outer axes. */
static void find_matrices(const struct axes* axes, struct permutation* work) {
    const int last = axes->rank - 1;
    int row_axis = last - 1, column_axis = last;
    work->turns = axes->from[last] != 1;
    if (work->turns) {
        row_axis = last;
        while (axes->from[column_axis] != 1) {
            column_axis--;
        }
    }
    work->columns = axes->dim[column_axis];
    work->rows = row_axis < 0 ? 1 : axes->dim[row_axis];
    work->x_row = row_axis < 0 ? 0 : axes->from[row_axis];
    work->y_row = work->turns ? axes->to[column_axis] : row_axis < 0 ? 0 : axes->to[row_axis];
    for (int i = 0; i <= last; i++) {
        if (i != row_axis && i != column_axis) {
            work->outer_dim[work->outer_axes] = axes->dim[i];
            work->outer_from[work->outer_axes] = axes->from[i];
            work->outer_to[work->outer_axes] = axes->to[i];
            work->outer_axes++;
        }
    }
}

int attn_permute_is_view(int rank, const ptrdiff_t* dim, const int* order) {
    struct axes axes;
    find_axes(rank, dim, order, &axes);
    return axes.rank == 0 || (axes.rank == 1 && axes.from[0] == 1);
}

enum attn_status attn_permute(const struct attn_context* context, enum attn_dtype dtype, int rank,
                              const ptrdiff_t* dim, const int* order, const void* x, void* y) {
    struct permutation work = {0};
    struct axes axes = {0};
    ptrdiff_t numbers;
    if (rank < 0 || rank > ATTN_MAX_RANK || !is_permutation(rank, order)) {
        return ATTN_BAD_LENGTH;
    }
    ATTN_TRY(attn_checked_length(rank, dim, &numbers));
    if (numbers == 0) {
        return ATTN_OK;
    }
    find_axes(rank, dim, order, &axes);
    if (axes.rank == 0) {
        memcpy(y, x, attn_dtype_size(dtype));
        return ATTN_OK;
    }
    find_matrices(&axes, &work);
    work.x = x;
    work.y = y;
    /* strips of whole lines of the cache, which two threads never write to at once */
    work.strip = work.turns ? 64 : (attn_rows_per_item(work.columns) + 15) / 16 * 16;
    work.strips = (work.rows + work.strip - 1) / work.strip;
    work.piece = work.turns ? MOST_TURNED : MOST_COPIED;
    work.pieces = (work.columns + work.piece - 1) / work.piece;
    ptrdiff_t items = work.strips * work.pieces;
    for (int axis = 0; axis < work.outer_axes; axis++) {
        items *= work.outer_dim[axis];
    }
    const int threads = attn_parallel_width(context, items, COPY_OPERATIONS * (double)numbers);
    attn_parallel_run(context, threads, items,
                      dtype == ATTN_FLOAT32 ? permute_item_f32 : permute_item_f64, &work);
    return ATTN_OK;
}

/* ---- joined and repeated: bytes are bytes ------------------------------------ */

struct joining {
    int count;
    const ptrdiff_t* size;
    const void* const* x;
    size_t inner, whole; /* bytes behind the axis, and of an outer row of y */
    unsigned char* y;
    ptrdiff_t rows, per_item;
    size_t piece; /* bytes of a row that an item copies */
    ptrdiff_t pieces;
};

/* bytes `begin` to `end` of a row of y */
static void join_row(const struct joining* work, ptrdiff_t row, size_t begin, size_t end) {
    unsigned char* y = work->y + (size_t)row * work->whole;
    size_t first = 0; /* of an input, in the row of y */
    for (int k = 0; k < work->count && first < end; k++) {
        const size_t bytes = (size_t)work->size[k] * work->inner, last = first + bytes;
        const size_t from = begin > first ? begin : first, to = end < last ? end : last;
        if (from < to) {
            memcpy(y + from,
                   (const unsigned char*)work->x[k] + (size_t)row * bytes + (from - first),
                   to - from);
        }
        first = last;
    }
}

static void join_item(void* data, ptrdiff_t item, int thread) {
    const struct joining* work = data;
    const ptrdiff_t first = item / work->pieces * work->per_item;
    const ptrdiff_t rows = attn_item_rows(work->rows, first, work->per_item);
    const size_t begin = (size_t)(item % work->pieces) * work->piece;
    const size_t end = work->whole - begin < work->piece ? work->whole : begin + work->piece;
    (void)thread;
    for (ptrdiff_t row = first; row < first + rows; row++) {
        join_row(work, row, begin, end);
    }
}

enum attn_status attn_concatenate(const struct attn_context* context, enum attn_dtype dtype,
                                  int rank, const ptrdiff_t* dim, int axis, int count,
                                  const ptrdiff_t* size, const void* const* x, void* y) {
    struct joining work = {.count = count, .size = size, .x = x,
                           .inner = attn_dtype_size(dtype), .y = y};
    ptrdiff_t inner, along = 0;
    if (axis < 0 || axis >= rank) {
        return ATTN_BAD_LENGTH;
    }
    ATTN_TRY(attn_checked_length(axis, dim, &work.rows));
    ATTN_TRY(attn_checked_length(rank - axis - 1, dim + axis + 1, &inner));
    for (int k = 0; k < count; k++) {
        if (size[k] < 0 || along > PTRDIFF_MAX / 16 - size[k]) {
            return ATTN_BAD_LENGTH;
        }
        along += size[k];
    }
    const ptrdiff_t all[3] = {work.rows, along, inner};
    ptrdiff_t numbers;
    ATTN_TRY(attn_checked_length(3, all, &numbers));
    if (numbers == 0) {
        return ATTN_OK;
    }
    work.inner *= (size_t)inner;
    work.whole = work.inner * (size_t)along;
    work.per_item = attn_rows_per_item(along * inner);
    work.piece = MOST_COPIED * attn_dtype_size(dtype);
    work.pieces = (ptrdiff_t)((work.whole + work.piece - 1) / work.piece);
    const ptrdiff_t items = attn_row_items(work.rows, work.per_item) * work.pieces;
    const int threads = attn_parallel_width(context, items, COPY_OPERATIONS * (double)numbers);
    attn_parallel_run(context, threads, items, join_item, &work);
    return ATTN_OK;
}

struct repeating {
    ptrdiff_t vectors, times;
    size_t bytes; /* of a vector */
    const unsigned char* x;
    unsigned char* y;
    ptrdiff_t per_item; /* vectors of y */
    size_t piece;
    ptrdiff_t pieces;
};

static void repeat_item(void* data, ptrdiff_t item, int thread) {
    const struct repeating* work = data;
    const ptrdiff_t first = item / work->pieces * work->per_item;
    const ptrdiff_t end = first + attn_item_rows(work->vectors, first, work->per_item);
    const size_t begin = (size_t)(item % work->pieces) * work->piece;
    const size_t bytes = work->bytes - begin < work->piece ? work->bytes - begin : work->piece;
    (void)thread;
    for (ptrdiff_t at = first; at < end; at++) {
        memcpy(work->y + (size_t)at * work->bytes + begin,
               work->x + (size_t)(at / work->times) * work->bytes + begin, bytes);
    }
}

enum attn_status attn_repeat_vector(const struct attn_context* context, enum attn_dtype dtype,
                                    ptrdiff_t batch, ptrdiff_t times, ptrdiff_t features,
                                    const void* x, void* y) {
    const ptrdiff_t dim[3] = {batch, times, features};
    ptrdiff_t numbers;
    ATTN_TRY(attn_checked_length(3, dim, &numbers));
    if (numbers == 0) {
        return ATTN_OK;
    }
    struct repeating work = {.vectors = batch * times, .times = times,
                             .bytes = (size_t)features * attn_dtype_size(dtype), .x = x, .y = y,
                             .per_item = attn_rows_per_item(features),
                             .piece = MOST_COPIED * attn_dtype_size(dtype)};
    work.pieces = (ptrdiff_t)((work.bytes + work.piece - 1) / work.piece);
    const ptrdiff_t items = attn_row_items(work.vectors, work.per_item) * work.pieces;
    const int threads = attn_parallel_width(context, items, COPY_OPERATIONS * (double)numbers);
    attn_parallel_run(context, threads, items, repeat_item, &work);
    return ATTN_OK;
}

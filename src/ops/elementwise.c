#include "elementwise.h"

#include <string.h>

#include "kernels.h"
#include "op_kinds.h"
#include "row_items.h"

#define MERGE_OPERATIONS 4.0

enum { MOST_OPERANDS = ATTN_MOST_OPERANDS };

/* The axes of the result, those run together that lie evenly in every operand; the
 * last is `inner`, cut in pieces, the others are `rows`. */
struct merging {
    enum attn_merge how;
    enum attn_merging kernel;
    int count, masked;
    const struct attn_operand* operand;
    int axes; /* of the rows */
    ptrdiff_t dim[ATTN_MAX_RANK];
    ptrdiff_t step[MOST_OPERANDS][ATTN_MAX_RANK]; /* 0 along a broadcast axis */
    ptrdiff_t mask_step[MOST_OPERANDS][ATTN_MAX_RANK];
    int one[MOST_OPERANDS]; /* the operand has one number for all of `inner` */
    ptrdiff_t rows, inner, per_item, pieces, piece;
    void* out;
};

static void find_row(const struct merging* work, ptrdiff_t row, ptrdiff_t* at,
                     ptrdiff_t* mask_at) {
    memset(at, 0, (size_t)work->count * sizeof *at);
    memset(mask_at, 0, (size_t)work->count * sizeof *mask_at);
    for (int axis = work->axes - 1; axis >= 0; axis--) {
        const ptrdiff_t index = row % work->dim[axis];
        row /= work->dim[axis];
        for (int k = 0; k < work->count; k++) {
            at[k] += index * work->step[k][axis];
            mask_at[k] += index * work->mask_step[k][axis];
        }
    }
}

#define REAL_BITS 32
#include "real.h"
#define REAL_KERNELS (attn_kernels()->f32)
#include "elementwise_real.h"
#undef REAL_BITS
#undef REAL_KERNELS

#define REAL_BITS 64
#include "real.h"
#define REAL_KERNELS (attn_kernels()->f64)
#include "elementwise_real.h"

void attn_align_batch(struct attn_operand* operand, int rank) {
    const int added = rank - operand->rank;
    if (added <= 0 || operand->rank < 1) {
        return;
    }
    memmove(operand->dim + 1 + added, operand->dim + 1,
            (size_t)(operand->rank - 1) * sizeof *operand->dim);
    for (int axis = 1; axis <= added; axis++) {
        operand->dim[axis] = 1;
    }
    operand->rank = rank;
}

enum attn_status attn_broadcast_shape(int count, const struct attn_operand* operand, int* rank,
                                      ptrdiff_t* dim) {
    *rank = 0;
    for (int k = 0; k < count; k++) {
        *rank = operand[k].rank > *rank ? operand[k].rank : *rank;
    }
    for (int axis = 0; axis < *rank; axis++) {
        dim[axis] = 1;
    }
    for (int k = 0; k < count; k++) {
        const int shift = *rank - operand[k].rank;
        for (int axis = 0; axis < operand[k].rank; axis++) {
            ptrdiff_t* to = &dim[axis + shift];
            if (operand[k].dim[axis] != 1 && *to != 1 && *to != operand[k].dim[axis]) {
                return ATTN_BAD_LENGTH;
            }
            *to = *to == 1 ? operand[k].dim[axis] : *to;
        }
    }
    return ATTN_OK;
}

/* Steps of an operand along the axes of the result, and of its mask. */
static enum attn_status set_steps(struct merging* work, int k, int rank, const ptrdiff_t* dim) {
    const struct attn_operand* operand = &work->operand[k];
    const int shift = rank - operand->rank;
    ptrdiff_t step = 1, mask_step = 1;
    if (shift < 0) {
        return ATTN_BAD_LENGTH;
    }
    for (int axis = rank - 1; axis >= 0; axis--) {
        const ptrdiff_t own = axis < shift ? 1 : operand->dim[axis - shift];
        if (own != 1 && own != dim[axis]) {
            return ATTN_BAD_LENGTH;
        }
        work->step[k][axis] = own == 1 ? 0 : step;
        work->mask_step[k][axis] =
            own == 1 || axis == rank - 1 || operand->mask == NULL ? 0 : mask_step;
        step *= own;
        mask_step *= axis == rank - 1 ? 1 : own;
    }
    return ATTN_OK;
}

/* Whether axis `outer` goes on where axis `outer` + 1 ends, in every operand. */
static int even_axes(const struct merging* work, int outer) {
    const ptrdiff_t size = work->dim[outer + 1];
    for (int k = 0; k < work->count; k++) {
        if (work->step[k][outer] != work->step[k][outer + 1] * size ||
            work->mask_step[k][outer] != work->mask_step[k][outer + 1] * size) {
            return 0;
        }
    }
    return 1;
}

static void move_axis(struct merging* work, int from, int to) {
    work->dim[to] = work->dim[from];
    for (int k = 0; k < work->count; k++) {
        work->step[k][to] = work->step[k][from];
        work->mask_step[k][to] = work->mask_step[k][from];
    }
}

/* Leaves out axes of 1 and runs even ones together, from the last on, at the end of
 * the arrays; returns the first that is left. A mask speaks for all of the last axis,
 * which therefore stays the last. */
static int run_together(struct merging* work, int rank) {
    int last = rank;
    for (int axis = rank - 1; axis >= 0; axis--) {
        if (work->dim[axis] == 1 && !(work->masked && axis == rank - 1)) {
            continue;
        }
        if (last < rank) {
            /* next to the one before, to be compared */
            move_axis(work, axis, last - 1);
            if (even_axes(work, last - 1)) {
                work->dim[last] *= work->dim[last - 1];
                continue;
            }
        } else {
            move_axis(work, axis, last - 1);
        }
        last--;
    }
    return last;
}

static void plan_items(struct merging* work, int rank) {
    const int first = run_together(work, rank);
    work->axes = rank - first > 0 ? rank - first - 1 : 0;
    work->inner = rank - first > 0 ? work->dim[rank - 1] : 1;
    work->rows = 1;
    for (int k = 0; k < work->count; k++) {
        work->one[k] = rank - first == 0 || work->step[k][rank - 1] == 0;
    }
    for (int axis = 0; axis < work->axes; axis++) {
        move_axis(work, first + axis, axis);
        work->rows *= work->dim[axis];
    }
    work->piece = work->inner < ATTN_ITEM_NUMBERS ? work->inner : ATTN_ITEM_NUMBERS;
    work->pieces = (work->inner + work->piece - 1) / work->piece;
    work->per_item = attn_rows_per_item(work->inner);
}

static enum attn_merging kernel_of(enum attn_merge how) {
    switch (how) {
        case ATTN_MERGE_SUBTRACT:
            return ATTN_SUBTRACT;
        case ATTN_MERGE_MULTIPLY:
            return ATTN_MULTIPLY;
        case ATTN_MERGE_MAXIMUM:
            return ATTN_MAXIMUM;
        case ATTN_MERGE_MINIMUM:
            return ATTN_MINIMUM;
        default:
            return ATTN_ADD;
    }
}

enum attn_status attn_merge(const struct attn_context* context, enum attn_dtype dtype,
                            enum attn_merge how, int count, const struct attn_operand* operand,
                            int rank, const ptrdiff_t* dim, void* out) {
    struct merging work = {how, kernel_of(how), count, 0, operand, 0, {0}, {{0}}, {{0}}, {0},
                           0,   0,              0,     0, 0,       out};
    ptrdiff_t numbers;
    if (count < 1 || count > ATTN_MOST_OPERANDS || rank > ATTN_MAX_RANK) {
        return ATTN_BAD_LENGTH;
    }
    ATTN_TRY(attn_checked_length(rank, dim, &numbers));
    for (int k = 0; k < count; k++) {
        ATTN_TRY(set_steps(&work, k, rank, dim));
        work.masked = work.masked || operand[k].mask != NULL;
    }
    work.masked = work.masked && (how == ATTN_MERGE_MULTIPLY || how == ATTN_MERGE_MAXIMUM ||
                                  how == ATTN_MERGE_MINIMUM);
    if (numbers == 0) {
        return ATTN_OK;
    }
    memcpy(work.dim, dim, (size_t)rank * sizeof *dim);
    plan_items(&work, rank);
    const ptrdiff_t items = attn_row_items(work.rows, work.per_item) * work.pieces;
    const int threads =
        attn_parallel_width(context, items, MERGE_OPERATIONS * (double)numbers * count);
    attn_parallel_run(context, threads, items,
                      dtype == ATTN_FLOAT32 ? merge_item_f32 : merge_item_f64, &work);
    return ATTN_OK;
}

enum attn_status attn_rescale(const struct attn_context* context, enum attn_dtype dtype,
                              ptrdiff_t count, const void* x, double scale, double offset,
                              void* y) {
    if (dtype == ATTN_FLOAT32) {
        rescale_f32(context, count, x, scale, offset, y);
    } else {
        rescale_f64(context, count, x, scale, offset, y);
    }
    return ATTN_OK;
}

#include "marshal.h"

struct glue_array glue_array_with(SEXP x, int rank, const int* dim, const char* what) {
    struct glue_array array = {.object = x, .rank = rank};
    if (TYPEOF(x) != REALSXP && TYPEOF(x) != INTSXP && TYPEOF(x) != LGLSXP) {
        glue_abort("internal", "%s is not a numeric array", what);
    }
    ptrdiff_t length = 1;
    for (int axis = 0; axis < array.rank; axis++) {
        array.dim[axis] = dim[axis];
        array.step[axis] = length;
        if (dim[axis] < 1 || length > PTRDIFF_MAX / 16 / dim[axis]) {
            glue_abort("shape", "%s has dims that are empty or too large", what);
        }
        length *= dim[axis];
    }
    if (Rf_xlength(x) != length) {
        glue_abort("internal", "%s does not have the length of its dims", what);
    }
    if (TYPEOF(x) == REALSXP) {
        array.numbers = REAL_RO(x);
    } else {
        array.integers = TYPEOF(x) == INTSXP ? INTEGER_RO(x) : LOGICAL_RO(x);
    }
    return array;
}

struct glue_array glue_array(SEXP x, const char* what) {
    SEXP dims = Rf_getAttrib(x, R_DimSymbol);
    if (dims == R_NilValue) {
        glue_abort("internal", "%s has no dim", what);
    }
    return glue_array_of(x, dims, what);
}

struct glue_array glue_array_of(SEXP x, SEXP dims, const char* what) {
    const R_xlen_t rank = Rf_xlength(dims);
    if (TYPEOF(dims) != INTSXP || rank < 1 || rank > ATTN_MAX_RANK) {
        glue_abort("shape", "%s must have from 1 to %d dims", what, ATTN_MAX_RANK);
    }
    return glue_array_with(x, (int)rank, INTEGER_RO(dims), what);
}

int glue_broadcasts(const struct glue_array* array, int axes, const ptrdiff_t* extent) {
    int fits = array->rank == axes;
    for (int i = 0; fits && i < axes; i++) {
        fits = array->dim[i] == 1 || array->dim[i] == extent[i];
    }
    return fits;
}

SEXP glue_new_array(int rank, const ptrdiff_t* dim) {
    ptrdiff_t length;
    if (attn_checked_length(rank, dim, &length) != ATTN_OK || length > R_XLEN_T_MAX) {
        glue_abort("shape", "attn: a result would be larger than an array can be");
    }
    SEXP array = PROTECT(glue_vector(REALSXP, length));
    SEXP dims = PROTECT(Rf_allocVector(INTSXP, rank));
    for (int axis = 0; axis < rank; axis++) {
        INTEGER(dims)[axis] = (int)dim[axis];
    }
    Rf_setAttrib(array, R_DimSymbol, dims);
    UNPROTECT(2);
    return array;
}

const double* glue_doubles(struct glue_call* call, const struct glue_array* array) {
    if (array->numbers != NULL) {
        return array->numbers;
    }
    const ptrdiff_t count = Rf_xlength(array->object);
    double* numbers = glue_take(call, (size_t)count, sizeof *numbers);
    for (ptrdiff_t i = 0; i < count; i++) {
        /* NA_integer_ and a logical NA are missing numbers, not -2^31 */
        numbers[i] = array->integers[i] == NA_INTEGER ? R_NaN : (double)array->integers[i];
        attn_parallel_poll_at(&call->context, i);
    }
    return numbers;
}

ptrdiff_t glue_offsets(struct glue_call* call, int axes, const ptrdiff_t* extent,
                       const ptrdiff_t* step, ptrdiff_t* offsets) {
    ptrdiff_t count = 1, since = 0;
    offsets[0] = 0;
    /* append one axis at a time, from the last result backwards so that it can
     * be done in place */
    for (int axis = 0; axis < axes; axis++) {
        for (ptrdiff_t i = count - 1; i >= 0; i--) {
            ptrdiff_t base = offsets[i];
            for (ptrdiff_t j = extent[axis] - 1; j >= 0; j--) {
                offsets[i * extent[axis] + j] = base + j * step[axis];
            }
            attn_parallel_poll_after(&call->context, extent[axis], &since);
        }
        count *= extent[axis];
    }
    return count;
}

const ptrdiff_t* glue_places(struct glue_call* call, int axes, const ptrdiff_t* dim,
                             ptrdiff_t* count) {
    ptrdiff_t slowest_first[ATTN_MAX_RANK], step[ATTN_MAX_RANK], length = 1;
    for (int axis = axes - 1; axis >= 0; axis--) {
        slowest_first[axes - 1 - axis] = dim[axis];
        step[axes - 1 - axis] = length;
        length *= dim[axis];
    }
    /* one element where there is none: glue_offsets() writes the first in any case */
    ptrdiff_t* place = glue_take(call, (size_t)length + 1, sizeof *place);
    const ptrdiff_t written = glue_offsets(call, axes, slowest_first, step, place);
    if (count != NULL) {
        *count = written;
    }
    return place;
}

const ptrdiff_t* glue_row_places(struct glue_call* call, int rank, const ptrdiff_t* dim) {
    return rank > 2 ? glue_places(call, rank - 1, dim, NULL) : NULL;
}

/* ---- masks ---- */

struct mask_copy {
    const struct glue_array* mask;
    double threshold;
    uint8_t* visible;
    const ptrdiff_t* offset[4];
    ptrdiff_t count[4];
};

static int is_visible(const struct mask_copy* copy, ptrdiff_t at) {
    if (copy->mask->numbers == NULL) {
        const int x = copy->mask->integers[at];
        return copy->threshold > 0 ? (double)x > copy->threshold : x != 0;
    }
    const double x = copy->mask->numbers[at];
    return copy->threshold > 0 ? x > copy->threshold : x != 0;
}

/* one row (over S) of the flattened mask */
static void mask_row(void* work, ptrdiff_t item, int thread) {
    (void)thread;
    const struct mask_copy* copy = work;
    const ptrdiff_t t = item % copy->count[2], head = item / copy->count[2] % copy->count[1];
    const ptrdiff_t batch = item / copy->count[2] / copy->count[1];
    const ptrdiff_t base = copy->offset[0][batch] + copy->offset[1][head] + copy->offset[2][t];
    uint8_t* to = copy->visible + item * copy->count[3];
    for (ptrdiff_t s = 0; s < copy->count[3]; s++) {
        to[s] = (uint8_t)is_visible(copy, base + copy->offset[3][s]);
    }
}

struct attn_mask_part glue_mask(struct glue_call* call, const struct glue_array* mask,
                                const int groups[4], const ptrdiff_t* extent, double threshold) {
    struct mask_copy copy = {.mask = mask, .threshold = threshold};
    int axis = 0;
    for (int group = 0; group < 4; group++) {
        /* a group of axes that is broadcast as a whole stays of size 1; one that
         * is broadcast in part is written out, within the group */
        ptrdiff_t steps[ATTN_MAX_RANK], count = 1;
        int broadcast = 1;
        for (int i = 0; i < groups[group]; i++) {
            const int at = axis + i;
            steps[i] = mask->dim[at] == 1 ? 0 : mask->step[at];
            broadcast = broadcast && mask->dim[at] == 1;
            count *= extent[at];
        }
        ptrdiff_t* offsets = glue_take(call, (size_t)count, sizeof *offsets);
        copy.count[group] =
            glue_offsets(call, broadcast ? 0 : groups[group], extent + axis, steps, offsets);
        copy.offset[group] = offsets;
        axis += groups[group];
    }
    ptrdiff_t length;
    if (attn_checked_length(4, copy.count, &length) != ATTN_OK) {
        glue_end_checked(call, ATTN_BAD_LENGTH);
    }
    const ptrdiff_t rows = length / copy.count[3];
    copy.visible = glue_take(call, (size_t)rows, (size_t)copy.count[3]);
    const double operations = 8.0 * (double)rows * (double)copy.count[3];
    attn_parallel_run(&call->context, attn_parallel_width(&call->context, rows, operations), rows,
                      mask_row, &copy);
    const ptrdiff_t S = copy.count[3], T = copy.count[2], N = copy.count[1];
    struct attn_mask_part part = {
        copy.visible,
        copy.count[0] > 1 ? N * T * S : 0,
        N > 1 ? T * S : 0,
        T > 1 ? S : 0,
        S > 1 ? 1 : 0,
    };
    return part;
}

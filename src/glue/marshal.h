/* What an R array (column-major, double or int) is to the core.
 *
 * Inputs and results of a call are matrices as they lie in R's memory (ops/matrix.h):
 * the core reads and writes them where they are. Weights are tensors (row-major, the
 * layer's dtype), copied when they are set or asked for from or to such a matrix, whose
 * columns are their last axis. */
#ifndef ATTN_GLUE_MARSHAL_H
#define ATTN_GLUE_MARSHAL_H

#include "glue.h"
#include "mask.h"
#include "matrix.h"

/* An R array as the glue sees it; checked: length is the product of dim. */
struct glue_array {
    SEXP object;
    const double* numbers; /* one of the two is NULL */
    const int* integers;
    int rank;
    ptrdiff_t dim[ATTN_MAX_RANK];
    ptrdiff_t step[ATTN_MAX_RANK]; /* R's distance between neighbors on an axis */
};

/* R error unless x is a double, integer or logical vector with a usable dim. */
struct glue_array glue_array(SEXP x, const char* what);
/* the same with dims given beside the data */
struct glue_array glue_array_of(SEXP x, SEXP dims, const char* what);
struct glue_array glue_array_with(SEXP x, int rank, const int* dim, const char* what);

/* whether it has that many axes, each of size 1 or of that extent */
int glue_broadcasts(const struct glue_array* array, int axes, const ptrdiff_t* extent);

/* A new double array, or an R error where R could not count its elements (Rf_allocArray()
 * does not look). */
SEXP glue_new_array(int rank, const ptrdiff_t* dim);

/* The array's numbers as doubles: R's own, or a copy in the call's memory where they
 * are integers; a missing integer is NaN. */
const double* glue_doubles(struct glue_call* call, const struct glue_array* array);

/* offsets of the row-major enumeration of `axes` axes; returns their count */
ptrdiff_t glue_offsets(struct glue_call* call, int axes, const ptrdiff_t* extent,
                       const ptrdiff_t* step, ptrdiff_t* offsets);

/* Where the elements of an array of these axes, in R's order, are in a row-major tensor of
 * the same axes; `count` is their number (1 without axes), and may be NULL. */
const ptrdiff_t* glue_places(struct glue_call* call, int axes, const ptrdiff_t* dim,
                             ptrdiff_t* count);
/* The rows of R's matrix are all axes but the last: where each is among the tensor's rows.
 * NULL: where it is anyway, as there is one axis of them at most. */
const ptrdiff_t* glue_row_places(struct glue_call* call, int rank, const ptrdiff_t* dim);

/* A mask in the layout of the scores, to whose extents glue_broadcasts() has found that
 * it fits. groups: how many of the layout's axes make up B, N, T and S; extent: all of
 * them in that order. */
struct attn_mask_part glue_mask(struct glue_call* call, const struct glue_array* mask,
                                const int groups[4], const ptrdiff_t* extent, double threshold);

#endif

/* Where the numbers of a matrix are: in a tensor of ours, or in an array of R.
 *
 * R's array of dims (B, T, D) is, as it lies in memory, a matrix of B * T rows
 * by D columns whose columns are contiguous. What does not care for the order of
 * rows reads and writes it as it is. */
#ifndef ATTN_OPS_MATRIX_H
#define ATTN_OPS_MATRIX_H

#include "parallel.h"
#include "status.h"
#include "tensor.h"

enum attn_layout {
    ATTN_ROWS,   /* of the computation's dtype, the numbers of a row side by side */
    ATTN_COLUMNS /* doubles whatever the dtype, the numbers of a column side by side */
};

struct attn_matrix {
    const void* data;
    enum attn_layout layout;
    ptrdiff_t step; /* numbers from one row, or one column, to the next */
    /* ATTN_ROWS: row i starts at row_place[i] * step; NULL: at i * step */
    const ptrdiff_t* row_place;
};

/* The same to be written. */
struct attn_matrix_out {
    void* data;
    enum attn_layout layout;
    ptrdiff_t step;
    const ptrdiff_t* row_place;
    /* ATTN_COLUMNS: column i starts at column_place[i] * step; NULL: at i * step.
     * Several axes behind the rows are columns in R's order, not in ours. */
    const ptrdiff_t* column_place;
};

static inline struct attn_matrix attn_rows(const void* data, ptrdiff_t columns) {
    const struct attn_matrix matrix = {data, ATTN_ROWS, columns, NULL};
    return matrix;
}

static inline struct attn_matrix_out attn_rows_out(void* data, ptrdiff_t columns) {
    const struct attn_matrix_out matrix = {data, ATTN_ROWS, columns, NULL, NULL};
    return matrix;
}

static inline struct attn_matrix attn_columns(const double* data, ptrdiff_t rows) {
    const struct attn_matrix matrix = {data, ATTN_COLUMNS, rows, NULL};
    return matrix;
}

static inline struct attn_matrix_out attn_columns_out(double* data, ptrdiff_t rows) {
    const struct attn_matrix_out matrix = {data, ATTN_COLUMNS, rows, NULL, NULL};
    return matrix;
}

/* Whether two descriptions are of the same numbers, given that they are of as many
 * rows and columns. */
static inline int attn_same_matrix(const struct attn_matrix* a, const struct attn_matrix* b) {
    return a->data == b->data && a->layout == b->layout && a->step == b->step &&
           a->row_place == b->row_place;
}

/* the places of the rows or columns from `first` on, where there are any */
static inline const ptrdiff_t* attn_places_from(const ptrdiff_t* place, ptrdiff_t first) {
    return place == NULL ? NULL : place + first;
}

/* from (rows x columns) into `to`; one of the two is ATTN_ROWS. */
void attn_matrix_copy(const struct attn_context* context, enum attn_dtype dtype, ptrdiff_t rows,
                      ptrdiff_t columns, const struct attn_matrix* from,
                      const struct attn_matrix_out* to);

#endif

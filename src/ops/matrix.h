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
};

/* The same to be written. */
struct attn_matrix_out {
    void* data;
    enum attn_layout layout;
    ptrdiff_t step;
    /* ATTN_COLUMNS only: where each column starts, if they are not `step` apart;
     * several axes behind the rows are columns in R's order, not in ours */
    const ptrdiff_t* column_offset;
};

static inline struct attn_matrix attn_rows(const void* data, ptrdiff_t columns) {
    const struct attn_matrix matrix = {data, ATTN_ROWS, columns};
    return matrix;
}

static inline struct attn_matrix_out attn_rows_out(void* data, ptrdiff_t columns) {
    const struct attn_matrix_out matrix = {data, ATTN_ROWS, columns, NULL};
    return matrix;
}

/* Whether two descriptions are of the same numbers, given that they are of as many
 * rows and columns. */
static inline int attn_same_matrix(const struct attn_matrix* a, const struct attn_matrix* b) {
    return a->data == b->data && a->layout == b->layout && a->step == b->step;
}

/* The matrix (rows x columns) with contiguous rows: as it is where it is so, or a
 * copy in the workspace. */
enum attn_status attn_read_rows(const struct attn_context* context, enum attn_dtype dtype,
                                ptrdiff_t rows, ptrdiff_t columns,
                                const struct attn_matrix* matrix, const void** tensor);

/* Contiguous rows (rows x columns) into `matrix`. */
void attn_write_rows(const struct attn_context* context, enum attn_dtype dtype, ptrdiff_t rows,
                     ptrdiff_t columns, const void* tensor, const struct attn_matrix_out* matrix);

/* (rows x columns), `from_row` numbers from row to row, into an ATTN_COLUMNS
 * matrix from its row `first_row` and column `first_column` on. */
void attn_write_columns_f32(ptrdiff_t rows, ptrdiff_t columns, const float* from,
                            ptrdiff_t from_row, const struct attn_matrix_out* to,
                            ptrdiff_t first_row, ptrdiff_t first_column);
void attn_write_columns_f64(ptrdiff_t rows, ptrdiff_t columns, const double* from,
                            ptrdiff_t from_row, const struct attn_matrix_out* to,
                            ptrdiff_t first_row, ptrdiff_t first_column);

#endif

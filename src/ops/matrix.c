#include "matrix.h"

#include <string.h>

#include "kernels.h"

/* Rows of a copy are worked on in blocks, which stay in the first-level cache
 * until their lines are full. Places of columns are worked out in runs. */
enum { COPY_ROWS = 64, COPY_COLUMNS = 64 };

/* operations of a product that take as long as one number */
static const double COPY_OPERATIONS = 16;

struct copy {
    ptrdiff_t rows, columns;
    struct attn_matrix from;
    struct attn_matrix_out to;
};

static ptrdiff_t rows_of_block(const struct copy* copy, ptrdiff_t first) {
    return copy->rows - first < COPY_ROWS ? copy->rows - first : COPY_ROWS;
}

#define REAL_BITS 32
#include "real.h"
#define REAL_KERNELS (attn_kernels()->f32)
#include "matrix_real.h"
#undef REAL_BITS
#undef REAL_KERNELS

#define REAL_BITS 64
#include "real.h"
#define REAL_KERNELS (attn_kernels()->f64)
#include "matrix_real.h"

static void run_copy(const struct attn_context* context, enum attn_dtype dtype, ptrdiff_t rows,
                     ptrdiff_t columns, const struct attn_matrix* from,
                     const struct attn_matrix_out* to) {
    struct copy copy = {rows, columns, *from, *to};
    const ptrdiff_t items = (rows + COPY_ROWS - 1) / COPY_ROWS;
    const int threads =
        attn_parallel_width(context, items, COPY_OPERATIONS * (double)rows * (double)columns);
    attn_parallel_run(context, threads, items,
                      dtype == ATTN_FLOAT32 ? copy_block_f32 : copy_block_f64, &copy);
}

enum attn_status attn_read_rows(const struct attn_context* context, enum attn_dtype dtype,
                                ptrdiff_t rows, ptrdiff_t columns,
                                const struct attn_matrix* matrix, const void** tensor) {
    if (matrix->layout == ATTN_ROWS && matrix->step == columns) {
        *tensor = matrix->data;
        return ATTN_OK;
    }
    void* copy = attn_workspace_take(context->workspace, (size_t)rows,
                                     (size_t)columns * attn_dtype_size(dtype));
    if (copy == NULL) {
        return ATTN_NO_MEMORY;
    }
    const struct attn_matrix_out to = attn_rows_out(copy, columns);
    run_copy(context, dtype, rows, columns, matrix, &to);
    *tensor = copy;
    return ATTN_OK;
}

void attn_write_rows(const struct attn_context* context, enum attn_dtype dtype, ptrdiff_t rows,
                     ptrdiff_t columns, const void* tensor, const struct attn_matrix_out* matrix) {
    const struct attn_matrix from = attn_rows(tensor, columns);
    run_copy(context, dtype, rows, columns, &from, matrix);
}

#include "matrix.h"

#include <string.h>

#include "kernels.h"

/* rows of an item, which stay in the first-level cache until their lines are full, and
 * its columns, at most: a slice of work ends only between items */
enum { COPY_ROWS = 64, COPY_COLUMNS = 4096 };

/* operations of a product that take as long as one number */
static const double COPY_OPERATIONS = 16;

struct copy {
    ptrdiff_t rows, columns, column_blocks;
    struct attn_matrix from;
    struct attn_matrix_out to;
};

/* Where a block of a matrix begins, in numbers: rows and columns that have places are
 * found by them. */
static ptrdiff_t start_of_block(enum attn_layout layout, ptrdiff_t step, const ptrdiff_t* row_place,
                                const ptrdiff_t* column_place, ptrdiff_t row, ptrdiff_t column) {
    return layout == ATTN_COLUMNS ? row + (column_place == NULL ? column * step : 0)
                                  : (row_place == NULL ? row * step : 0) + column;
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

void attn_matrix_copy(const struct attn_context* context, enum attn_dtype dtype, ptrdiff_t rows,
                      ptrdiff_t columns, const struct attn_matrix* from,
                      const struct attn_matrix_out* to) {
    struct copy copy = {rows, columns, (columns + COPY_COLUMNS - 1) / COPY_COLUMNS, *from, *to};
    const ptrdiff_t items = (rows + COPY_ROWS - 1) / COPY_ROWS * copy.column_blocks;
    const int threads =
        attn_parallel_width(context, items, COPY_OPERATIONS * (double)rows * (double)columns);
    attn_parallel_run(context, threads, items,
                      dtype == ATTN_FLOAT32 ? copy_block_f32 : copy_block_f64, &copy);
}

#include "matrix.h"

#include <string.h>

#include "kernels.h"

/* rows of an item: they stay in the first-level cache until their lines are full */
enum { COPY_ROWS = 64 };

/* operations of a product that take as long as one number */
static const double COPY_OPERATIONS = 16;

struct copy {
    ptrdiff_t rows, columns;
    struct attn_matrix from;
    struct attn_matrix_out to;
};

/* where an item's first row is, in numbers: rows that have places are found by them */
static ptrdiff_t start_of_rows(enum attn_layout layout, ptrdiff_t step, const ptrdiff_t* place,
                               ptrdiff_t first) {
    return layout == ATTN_COLUMNS ? first : place == NULL ? first * step : 0;
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
    struct copy copy = {rows, columns, *from, *to};
    const ptrdiff_t items = (rows + COPY_ROWS - 1) / COPY_ROWS;
    const int threads =
        attn_parallel_width(context, items, COPY_OPERATIONS * (double)rows * (double)columns);
    attn_parallel_run(context, threads, items,
                      dtype == ATTN_FLOAT32 ? copy_block_f32 : copy_block_f64, &copy);
}

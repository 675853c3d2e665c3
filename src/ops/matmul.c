#include "matmul.h"

#include <string.h>

#include "kernels.h"

/* Operations of an item, at most, where its columns can be divided. Columns are not divided below SHARED_COLUMNS, as every
 * item packs its rows anew. */
static const double ITEM_OPERATIONS = 1.6e8;
enum { SHARED_COLUMNS = 256 };

/* Items that a thread finds, so that one that is slower for a while leaves some to
 * the others; but none of fewer panels of rows than FEWEST_PANELS: each item reads
 * the right-hand sides anew. */
enum { ITEMS_PER_THREAD = 4, FEWEST_PANELS = 4 };

/* of a product, in the time that packing takes for a number */
static const double PACK_OPERATIONS = 8;

static ptrdiff_t smaller(ptrdiff_t a, ptrdiff_t b) { return a < b ? a : b; }
static ptrdiff_t larger(ptrdiff_t a, ptrdiff_t b) { return a > b ? a : b; }
static ptrdiff_t divide_up(ptrdiff_t a, ptrdiff_t b) { return (a + b - 1) / b; }

#define REAL_BITS 32
#include "real.h"
#define REAL_KERNELS (attn_kernels()->f32)
#include "matmul_real.h"
#undef REAL_BITS
#undef REAL_KERNELS

#define REAL_BITS 64
#include "real.h"
#define REAL_KERNELS (attn_kernels()->f64)
#include "matmul_real.h"

size_t attn_matmul_packed_size(enum attn_dtype dtype, ptrdiff_t depth, ptrdiff_t columns) {
    const ptrdiff_t narrow = dtype == ATTN_FLOAT32 ? attn_kernels()->f32->narrow_columns
                                                   : attn_kernels()->f64->narrow_columns;
    return (size_t)divide_up(columns, narrow) * (size_t)narrow * (size_t)depth *
           attn_dtype_size(dtype);
}

void attn_matmul_pack(const struct attn_context* context, enum attn_dtype dtype, ptrdiff_t depth,
                      ptrdiff_t columns, const void* matrix, void* packed) {
    if (dtype == ATTN_FLOAT32) {
        pack_f32(context, depth, columns, matrix, packed);
    } else {
        pack_f64(context, depth, columns, matrix, packed);
    }
}

enum attn_status attn_matmul_each(const struct attn_context* context, enum attn_dtype dtype,
                                  ptrdiff_t rows, ptrdiff_t depth, const struct attn_matrix* x,
                                  int count, const struct attn_factor* factor) {
    if (rows == 0) {
        return ATTN_OK;
    }
    return dtype == ATTN_FLOAT32 ? matmul_f32(context, rows, depth, x, count, factor)
                                 : matmul_f64(context, rows, depth, x, count, factor);
}

enum attn_status attn_matmul(const struct attn_context* context, enum attn_dtype dtype,
                             ptrdiff_t rows, ptrdiff_t depth, ptrdiff_t columns, const void* x,
                             const void* packed, const void* bias, void* out) {
    const struct attn_matrix left = attn_rows(x, depth);
    const struct attn_factor factor = {columns, packed, bias, attn_rows_out(out, columns)};
    return attn_matmul_each(context, dtype, rows, depth, &left, 1, &factor);
}

#include "matmul.h"

#include "kernels.h"

/* A block of x is ROW_PANELS register panels of DEPTH_BLOCK deep: it stays in
 * the second-level cache while all panels of the weights pass by. */
enum { ROW_PANELS = 8, DEPTH_BLOCK = 384 };

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
    ptrdiff_t width = dtype == ATTN_FLOAT32 ? attn_kernels()->f32->block_columns
                                            : attn_kernels()->f64->block_columns;
    size_t panels = (size_t)((columns + width - 1) / width);
    return panels * (size_t)width * (size_t)depth * attn_dtype_size(dtype);
}

void attn_matmul_pack(enum attn_dtype dtype, ptrdiff_t depth, ptrdiff_t columns,
                      const void* matrix, void* packed) {
    if (dtype == ATTN_FLOAT32) {
        pack_f32(depth, columns, matrix, packed);
    } else {
        pack_f64(depth, columns, matrix, packed);
    }
}

enum attn_status attn_matmul(const struct attn_context* context, enum attn_dtype dtype,
                             ptrdiff_t rows, ptrdiff_t depth, ptrdiff_t columns, const void* x,
                             const void* packed, const void* bias, void* out) {
    return dtype == ATTN_FLOAT32
               ? matmul_f32(context, rows, depth, columns, x, packed, bias, out)
               : matmul_f64(context, rows, depth, columns, x, packed, bias, out);
}

#include "normalization.h"

#include "kernels.h"
#include "row_items.h"

#define NORMALIZATION_OPERATIONS 8.0

#define REAL_BITS 32
#include "real.h"
#define REAL_KERNELS (attn_kernels()->f32)
#include "normalization_real.h"
#undef REAL_BITS
#undef REAL_KERNELS

#define REAL_BITS 64
#include "real.h"
#define REAL_KERNELS (attn_kernels()->f64)
#include "normalization_real.h"

enum attn_status attn_normalize(const struct attn_context* context, enum attn_dtype dtype,
                                const struct attn_normalization* problem) {
    struct attn_normalization work = *problem;
    const ptrdiff_t items =
        work.columns == 0 ? 0 : attn_row_items(work.rows, attn_rows_per_item(work.columns));
    const int threads =
        attn_parallel_width(context, items,
                            NORMALIZATION_OPERATIONS * (double)work.rows * (double)work.columns);
    attn_parallel_run(context, threads, items,
                      dtype == ATTN_FLOAT32 ? normalize_rows_f32 : normalize_rows_f64, &work);
    return ATTN_OK;
}

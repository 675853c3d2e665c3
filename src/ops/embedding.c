#include "embedding.h"

#include <string.h>

#include "row_items.h"

#define COPY_OPERATIONS 4.0

#define REAL_BITS 32
#include "real.h"
#include "embedding_real.h"
#undef REAL_BITS

#define REAL_BITS 64
#include "real.h"
#include "embedding_real.h"

struct gathering {
    ptrdiff_t count, per_item;
    const int32_t* id;
    size_t bytes; /* of a row */
    const unsigned char* table;
    unsigned char* y;
};

static void gather_item(void* data, ptrdiff_t item, int thread) {
    const struct gathering* work = data;
    const ptrdiff_t first = item * work->per_item;
    const ptrdiff_t end = first + attn_item_rows(work->count, first, work->per_item);
    (void)thread;
    for (ptrdiff_t i = first; i < end; i++) {
        memcpy(work->y + (size_t)i * work->bytes, work->table + (size_t)work->id[i] * work->bytes,
               work->bytes);
    }
}

enum attn_status attn_embedding(const struct attn_context* context, enum attn_dtype dtype,
                                ptrdiff_t count, const int32_t* id, ptrdiff_t rows,
                                ptrdiff_t columns, const void* table, void* y, ptrdiff_t* wrong) {
    const ptrdiff_t dim[2] = {count, columns};
    ptrdiff_t numbers;
    ATTN_TRY(attn_checked_length(2, dim, &numbers));
    for (ptrdiff_t i = 0; i < count; i++) {
        if (id[i] < 0 || id[i] >= rows) {
            *wrong = i;
            return ATTN_BAD_INDEX;
        }
        attn_parallel_poll_at(context, i);
    }
    struct gathering work = {count, attn_rows_per_item(columns), id,
                             (size_t)columns * attn_dtype_size(dtype), table, y};
    const ptrdiff_t items = numbers == 0 ? 0 : attn_row_items(count, work.per_item);
    const int threads = attn_parallel_width(context, items, COPY_OPERATIONS * (double)numbers);
    attn_parallel_run(context, threads, items, gather_item, &work);
    return ATTN_OK;
}

void attn_mask_zero(const struct attn_context* context, ptrdiff_t count, const int32_t* id,
                    uint8_t* mask) {
    for (ptrdiff_t i = 0; i < count; i++) {
        mask[i] = id[i] != 0;
        attn_parallel_poll_at(context, i);
    }
}

enum attn_status attn_masking(const struct attn_context* context, enum attn_dtype dtype,
                              ptrdiff_t rows, ptrdiff_t columns, const void* x, double value,
                              uint8_t* mask, void* y) {
    if (dtype == ATTN_FLOAT32) {
        mask_rows_f32(context, rows, columns, x, value, mask, y);
    } else {
        mask_rows_f64(context, rows, columns, x, value, mask, y);
    }
    return ATTN_OK;
}

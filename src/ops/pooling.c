#include "pooling.h"

#include <math.h>
#include <string.h>

#include "kernels.h"

enum {
    PIECE = 256, /* channels of an item of work */
    RUN = 64,    /* steps that are summed before their sum joins the others */
    STEPS = 1 << 16 /* of one channel, between two looks at the clock */
};

#define REAL_BITS 32
#include "real.h"
#define REAL_KERNELS (attn_kernels()->f32)
#include "pooling_real.h"
#undef REAL_BITS
#undef REAL_KERNELS

#define REAL_BITS 64
#include "real.h"
#define REAL_KERNELS (attn_kernels()->f64)
#include "pooling_real.h"

enum attn_status attn_global_pool(const struct attn_context* context, enum attn_dtype dtype,
                                  enum attn_pooling how, ptrdiff_t batch, ptrdiff_t steps,
                                  ptrdiff_t channels, int channels_first, const void* x,
                                  const uint8_t* mask, void* y) {
    const ptrdiff_t dim[3] = {batch, steps, channels};
    ptrdiff_t numbers;
    ATTN_TRY(attn_checked_length(3, dim, &numbers));
    if (dtype == ATTN_FLOAT32) {
        global_pool_f32(context, how, batch, steps, channels, channels_first, x, mask, y);
    } else {
        global_pool_f64(context, how, batch, steps, channels, channels_first, x, mask, y);
    }
    return ATTN_OK;
}

#include "attention.h"

#include <math.h>
#include <string.h>

#include "kernels.h"

/* A logit is a sum over K. Summed in one go its error grows with K; in runs of
 * this length, added up afterwards, the output stays within u (1 + max|logit|)
 * max|value| for K up to 256 (tests/core/test_attention.c). */
enum { LOGIT_DEPTH = 32 };

#define REAL_BITS 32
#include "real.h"
#define REAL_KERNELS (attn_kernels()->f32)
#include "attention_real.h"
#undef REAL_BITS
#undef REAL_KERNELS

#define REAL_BITS 64
#include "real.h"
#define REAL_KERNELS (attn_kernels()->f64)
#include "attention_real.h"

enum attn_status attn_attention(const struct attn_context* context,
                                const struct attn_attention* problem) {
    return problem->dtype == ATTN_FLOAT32 ? attention_f32(context, problem)
                                          : attention_f64(context, problem);
}

#include "attention.h"

#include <math.h>
#include <string.h>

#include "kernels.h"

/* What takes 20 ms where a core does 5e8 tanh per second. */
static const double TANH_ITEM = 1e7;
static const double TANH_OPERATIONS = 20; /* of a product, in the time of one tanh */

/* Stages of an item of attention: its queries are loaded, its tiles are added, its panels
 * finished one by one, which is some steps each: few panels have values so small that they
 * are summed again, or rows that see no key, but then any of these may be long. */
enum { LOAD, ADD_TILES, FINISH };
enum { LOOK_TINY, SUM_TINY, FIND_DEAD, SWEEP_DEAD, ENDINGS };

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

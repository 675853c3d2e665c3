#include <math.h>

#include "attention.h"

/* of a product, in the time of a number of a row */
static const double PLAIN_OPERATIONS = 4;

#define REAL_BITS 32
#include "real.h"
#include "attention_reference_real.h"
#undef REAL_BITS

#define REAL_BITS 64
#include "real.h"
#include "attention_reference_real.h"

enum attn_status attn_attention_reference(const struct attn_context* context,
                                          const struct attn_attention* problem) {
    return problem->dtype == ATTN_FLOAT32 ? reference_f32(context, problem)
                                          : reference_f64(context, problem);
}

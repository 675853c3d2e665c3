/* exp, tanh and sums of tanh of every instruction set against libm, in a precision
 * above the kernel's: double for float, long double for double. */
#include <float.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "kernels.h"

/* What the kernels promise, in units of the result's last place. exp: half a unit
 * from the last addition, and what the reduced argument and the polynomial bring.
 * tanh: e = exp(2|x|) - 1 to about one unit and a half (worst where 2^n (exp(r) - 1)
 * and 2^n - 1 cancel), then an addition and a division of half a unit each.
 * exp(scale * x): half a unit from the last operation, a quarter from f, a quarter
 * from the slope times f; where that product is rounded as well (no fma), more.
 * tanh(query + key): as tanh, and another addition in e, whose error counts up to
 * twice where e is negative. */
static const double EXP_ULPS = 1.25, TANH_ULPS = 3;

static int fused(void) { return strcmp(attn_kernels()->isa, "scalar") != 0; }
static double exp_negative_ulps(void) { return fused() ? 1.05 : 1.4; }
static double tanh_sum_ulps(void) { return fused() ? 3.5 : 4; }

#define REAL_BITS 32
#include "real.h"
#define KERNELS (attn_kernels()->f32)
#define wide double
#define WIDE(function) function
#define MANTISSA 24
#define REAL_LARGEST FLT_MAX
#define EXP_LEAST 86.9
#define EXP_ZERO 87.4
#define TANH_SUM_MOST 20.7
#include "elementary_real.h"
#undef REAL_BITS
#undef KERNELS
#undef wide
#undef WIDE
#undef MANTISSA
#undef REAL_LARGEST
#undef EXP_LEAST
#undef EXP_ZERO
#undef TANH_SUM_MOST

#define REAL_BITS 64
#include "real.h"
#define KERNELS (attn_kernels()->f64)
#define wide long double
#define WIDE(function) function##l
#define MANTISSA 53
#define REAL_LARGEST DBL_MAX
#define EXP_LEAST 707.5
#define EXP_ZERO 708.5
#define TANH_SUM_MOST 173
#include "elementary_real.h"

int main(void) {
    for (int set = 0; attn_kernels_available(set) != NULL; set++) {
        CHECK(attn_kernels_choose(attn_kernels_available(set)), "an available set is refused");
        elementary_f32();
        elementary_f64();
    }
    return checks_end();
}

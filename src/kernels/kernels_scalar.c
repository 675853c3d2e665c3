/* Plain C for every processor, and what the other sets are tested against. */

#include <float.h>
#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "kernels.h"
#include "unroll.h"

#define ISA_NAME "scalar"

/* Where numbers in registers have more digits than in memory (x87, the default for
 * 32-bit x86), exp would not round to whole numbers, nor a sum of two parts be exact:
 * every result goes through memory. */
#if FLT_EVAL_METHOD == 0
#define as_real(x) (x)
#else
#define as_real(x) KERNEL(rounded)(x)
#endif

/* ---- integers ---- */
#define words uint64_t
#define WORD_LANES 1
#define words_load(from) (*(from))
#define words_set1(x) ((uint64_t)(x))
#define words_add(a, b) ((a) + (b))
#define words_xor(a, b) ((a) ^ (b))
#define words_product(a, b) ((uint64_t)(uint32_t)(a) * (uint32_t)(b))
#define words_upper(x) ((x) >> 32)

/* ---- float ---- */
#define REAL_BITS 32
#include "real.h"
#define KERNEL(name) name##_scalar_f32
#define vec real
#define VEC_LANES 1
#define BLOCK_ROWS 4
#define BLOCK_VECTORS 4
#define TILE_PANELS 4
#define TILE_KEYS 32
#define LOGIT_RUN 16
#define PRODUCT_PANELS 24
#define PRODUCT_DEPTH 256
#define vec_load(from) (*(from))
#define vec_store(to, x) (*(to) = (x))
#define vec_set1(x) ((real)(x))
#define vec_add(a, b) as_real((a) + (b))
#define vec_sub(a, b) as_real((a) - (b))
#define vec_mul(a, b) as_real((a) * (b))
#define vec_div(a, b) as_real((a) / (b))
#define vec_fma(a, b, c) as_real((a) * (b) + (c))
#define vec_fms(a, b, c) as_real((real)((double)(a) * (double)(b) - (double)(c)))
#define vec_max(a, b) KERNEL(larger)(a, b)
#define vec_min(a, b) KERNEL(smaller)(a, b)
#define vec_abs(x) fabsf(x)
#define vec_copysign(size, sign) copysignf(size, sign)
#define vec_if_less(a, b, yes, no) ((a) < (b) ? (yes) : (no))
#define vec_all_one(x) ((x) == (real)1)
#define vec_any_nan(x) ((x) != (x))
#define vec_power_of_two(rounded) KERNEL(power_of_two)(rounded)

#if FLT_EVAL_METHOD != 0
static inline real KERNEL(rounded)(real x) {
    volatile real y = x;
    return y;
}
#endif
static inline real KERNEL(larger)(real a, real b) { return a > b ? a : b; }
static inline real KERNEL(smaller)(real a, real b) { return a < b ? a : b; }

static inline real KERNEL(power_of_two)(real rounded) {
    uint32_t bits;
    real power;
    memcpy(&bits, &rounded, sizeof bits);
    bits <<= 23;
    memcpy(&power, &bits, sizeof power);
    return power;
}

#define vec_from_doubles(from) ((real)*(from))
#define vec_to_doubles(to, x) (*(to) = (double)(x))
#define vec_store_words(to, even, odd) ((void)(odd), *(to) = (uint32_t)(even))
#define vec_if_word_from(row, limit, x) (*(row) >= (limit) ? (x) : 0)
#define vec_transpose(x) ((void)(x))

#include "kernels_impl.h"

/* ---- double ---- */
#define REAL_BITS 64
#include "real.h"
#define KERNEL(name) name##_scalar_f64
#define vec real
#define VEC_LANES 1
#define BLOCK_ROWS 4
#define BLOCK_VECTORS 4
#define TILE_PANELS 4
#define TILE_KEYS 32
#define LOGIT_RUN 16
#define PRODUCT_PANELS 24
#define PRODUCT_DEPTH 256
#define vec_load(from) (*(from))
#define vec_store(to, x) (*(to) = (x))
#define vec_set1(x) ((real)(x))
#define vec_add(a, b) as_real((a) + (b))
#define vec_sub(a, b) as_real((a) - (b))
#define vec_mul(a, b) as_real((a) * (b))
#define vec_div(a, b) as_real((a) / (b))
#define vec_fma(a, b, c) as_real((a) * (b) + (c))
#define vec_fms(a, b, c) KERNEL(product_less)(a, b, c)
#define vec_max(a, b) KERNEL(larger)(a, b)
#define vec_min(a, b) KERNEL(smaller)(a, b)
#define vec_abs(x) fabs(x)
#define vec_copysign(size, sign) copysign(size, sign)
#define vec_if_less(a, b, yes, no) ((a) < (b) ? (yes) : (no))
#define vec_all_one(x) ((x) == (real)1)
#define vec_any_nan(x) ((x) != (x))
#define vec_power_of_two(rounded) KERNEL(power_of_two)(rounded)

#if FLT_EVAL_METHOD != 0
static inline real KERNEL(rounded)(real x) {
    volatile real y = x;
    return y;
}
#endif
static inline real KERNEL(larger)(real a, real b) { return a > b ? a : b; }
static inline real KERNEL(smaller)(real a, real b) { return a < b ? a : b; }

static inline real KERNEL(power_of_two)(real rounded) {
    uint64_t bits;
    real power;
    memcpy(&bits, &rounded, sizeof bits);
    bits <<= 52;
    memcpy(&power, &bits, sizeof power);
    return power;
}

/* x with the lower half of its mantissa cleared */
static inline real KERNEL(upper_half)(real x) {
    uint64_t bits;
    memcpy(&bits, &x, sizeof bits);
    bits &= ~UINT64_C(0x7ffffff);
    memcpy(&x, &bits, sizeof x);
    return x;
}

/* a * b - c by halves, whose products are exact */
static inline real KERNEL(product_less)(real a, real b, real c) {
    const real a_high = KERNEL(upper_half)(a), a_low = a - a_high;
    const real b_high = KERNEL(upper_half)(b), b_low = b - b_high;
    return as_real(a_high * b_high - c + (a_high * b_low + a_low * b_high + a_low * b_low));
}

#define vec_from_doubles(from) (*(from))
#define vec_to_doubles(to, x) (*(to) = (x))
#define vec_store_words(to, even, odd) ((void)(odd), *(to) = (uint32_t)(even))
#define vec_if_word_from(row, limit, x) (*(row) >= (limit) ? (x) : 0)
#define vec_transpose(x) ((void)(x))

#include "kernels_impl.h"


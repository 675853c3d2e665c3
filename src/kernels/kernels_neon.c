/* 64-bit Arm: NEON is part of its baseline, 32 registers of 128 bits. */
#if defined(__aarch64__)
#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <arm_neon.h>

#include "kernels.h"
#include "unroll.h"

#define ISA_NAME "neon"

/* ---- integers ---- */
#define words uint64x2_t
#define WORD_LANES 2
#define words_load(from) vld1q_u64(from)
#define words_set1(x) vdupq_n_u64(x)
#define words_add(a, b) vaddq_u64(a, b)
#define words_xor(a, b) veorq_u64(a, b)
#define words_product(a, b) vmull_u32(vmovn_u64(a), vmovn_u64(b))
#define words_upper(x) vshrq_n_u64(x, 32)

/* ---- float ---- */
#define REAL_BITS 32
#include "real.h"
#define KERNEL(name) name##_neon_f32
#define vec float32x4_t
#define VEC_LANES 4
#define BLOCK_ROWS 8
#define BLOCK_VECTORS 2
#define TILE_PANELS 4
#define TILE_KEYS 64
#define LOGIT_RUN 32
#define PRODUCT_PANELS 12
#define PRODUCT_DEPTH 256
#define vec_load(from) vld1q_f32(from)
#define vec_store(to, x) vst1q_f32(to, x)
#define vec_set1(x) vdupq_n_f32(x)
#define vec_add(a, b) vaddq_f32(a, b)
#define vec_sub(a, b) vsubq_f32(a, b)
#define vec_mul(a, b) vmulq_f32(a, b)
#define vec_div(a, b) vdivq_f32(a, b)
#define vec_fma(a, b, c) vfmaq_f32(c, a, b)
#define vec_fms(a, b, c) vnegq_f32(vfmsq_f32(c, a, b))
/* vmaxq would keep a NaN of either side; the others keep the second, so must this one */
#define vec_max(a, b) vbslq_f32(vcgtq_f32(a, b), a, b)
#define vec_min(a, b) vbslq_f32(vcltq_f32(a, b), a, b)
#define vec_abs(x) vabsq_f32(x)
#define vec_copysign(size, sign) vbslq_f32(vreinterpretq_u32_f32(vec_set1((real)-0.0)), sign, size)
#define vec_if_less(a, b, yes, no) vbslq_f32(vcltq_f32(a, b), yes, no)
#define vec_any_nan(x) (vminvq_u32(vceqq_f32(x, x)) != 0xFFFFFFFFu)
#define vec_power_of_two(rounded) \
    vreinterpretq_f32_s32(vshlq_n_s32(vreinterpretq_s32_f32(rounded), 23))
#define vec_all_one(x) (vminvq_u32(vceqq_f32(x, vec_set1((real)1))) == 0xFFFFFFFFu)
#define vec_from_doubles(from) \
    vcvt_high_f32_f64(vcvt_f32_f64(vld1q_f64(from)), vld1q_f64((from) + 2))
#define vec_to_doubles(to, x) \
    (vst1q_f64(to, vcvt_f64_f32(vget_low_f32(x))), vst1q_f64((to) + 2, vcvt_high_f64_f32(x)))
#define vec_store_words(to, even, odd) \
    vst1q_u32(to, vtrn1q_u32(vreinterpretq_u32_u64(even), vreinterpretq_u32_u64(odd)))
#define vec_if_word_from(row, limit, x) \
    vreinterpretq_f32_u32(vandq_u32(vcgeq_u32(vld1q_u32(row), vdupq_n_u32(limit)), \
        vreinterpretq_u32_f32(x)))
#define vec_transpose(x) KERNEL(transpose)(x)

ATTN_INLINE void KERNEL(transpose)(float32x4_t* x) {
    const float32x4_t low = vzip1q_f32(x[0], x[2]), high = vzip2q_f32(x[0], x[2]);
    const float32x4_t low2 = vzip1q_f32(x[1], x[3]), high2 = vzip2q_f32(x[1], x[3]);
    x[0] = vzip1q_f32(low, low2);
    x[1] = vzip2q_f32(low, low2);
    x[2] = vzip1q_f32(high, high2);
    x[3] = vzip2q_f32(high, high2);
}

#include "kernels_impl.h"

/* ---- double ---- */
#define REAL_BITS 64
#include "real.h"
#define KERNEL(name) name##_neon_f64
#define vec float64x2_t
#define VEC_LANES 2
#define BLOCK_ROWS 8
#define BLOCK_VECTORS 2
#define TILE_PANELS 4
#define TILE_KEYS 64
#define LOGIT_RUN 32
#define PRODUCT_PANELS 12
#define PRODUCT_DEPTH 256
#define vec_load(from) vld1q_f64(from)
#define vec_store(to, x) vst1q_f64(to, x)
#define vec_set1(x) vdupq_n_f64(x)
#define vec_add(a, b) vaddq_f64(a, b)
#define vec_sub(a, b) vsubq_f64(a, b)
#define vec_mul(a, b) vmulq_f64(a, b)
#define vec_div(a, b) vdivq_f64(a, b)
#define vec_fma(a, b, c) vfmaq_f64(c, a, b)
#define vec_fms(a, b, c) vnegq_f64(vfmsq_f64(c, a, b))
/* vmaxq would keep a NaN of either side; the others keep the second, so must this one */
#define vec_max(a, b) vbslq_f64(vcgtq_f64(a, b), a, b)
#define vec_min(a, b) vbslq_f64(vcltq_f64(a, b), a, b)
#define vec_abs(x) vabsq_f64(x)
#define vec_copysign(size, sign) vbslq_f64(vreinterpretq_u64_f64(vec_set1((real)-0.0)), sign, size)
#define vec_if_less(a, b, yes, no) vbslq_f64(vcltq_f64(a, b), yes, no)
#define vec_any_nan(x) (vminvq_u32(vreinterpretq_u32_u64(vceqq_f64(x, x))) != 0xFFFFFFFFu)
#define vec_power_of_two(rounded) \
    vreinterpretq_f64_s64(vshlq_n_s64(vreinterpretq_s64_f64(rounded), 52))
#define vec_all_one(x) \
    (vgetq_lane_f64(x, 0) == 1.0 && vgetq_lane_f64(x, 1) == 1.0)
#define vec_from_doubles(from) vld1q_f64(from)
#define vec_to_doubles(to, x) vst1q_f64(to, x)
#define vec_store_words(to, even, odd) \
    ((void)(odd), vst1q_u64(to, vandq_u64(even, vdupq_n_u64(UINT32_MAX))))
#define vec_if_word_from(row, limit, x) \
    vreinterpretq_f64_u64(vandq_u64(vcgeq_u64(vld1q_u64(row), vdupq_n_u64(limit)), \
        vreinterpretq_u64_f64(x)))
#define vec_transpose(x) KERNEL(transpose)(x)

ATTN_INLINE void KERNEL(transpose)(float64x2_t* x) {
    const float64x2_t low = vzip1q_f64(x[0], x[1]);
    x[1] = vzip2q_f64(x[0], x[1]);
    x[0] = low;
}

#include "kernels_impl.h"

#else
typedef int attn_no_neon_kernels; /* ISO C wants a declaration */
#endif

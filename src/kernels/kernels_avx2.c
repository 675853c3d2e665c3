/* x86-64 with AVX2 and FMA: 16 registers of 256 bits.
 * Not on Windows: gcc there may spill to an unaligned stack (GCC PR 54412). */
#if defined(__x86_64__) && (defined(__GNUC__) || defined(__clang__)) && !defined(_WIN32)
#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <immintrin.h>

#include "kernels.h"
#include "unroll.h"

#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx2,fma"))), apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target("avx2,fma")
#endif

#define ISA_NAME "avx2"

/* ---- integers ---- */
#define words __m256i
#define WORD_LANES 4
#define words_load(from) _mm256_loadu_si256((const __m256i*)(const void*)(from))
#define words_set1(x) _mm256_set1_epi64x((long long)(x))
#define words_add(a, b) _mm256_add_epi64(a, b)
#define words_xor(a, b) _mm256_xor_si256(a, b)
#define words_product(a, b) _mm256_mul_epu32(a, b)
#define words_upper(x) _mm256_srli_epi64(x, 32)

/* ---- float ---- */
#define REAL_BITS 32
#include "real.h"
#define KERNEL(name) name##_avx2_f32
#define vec __m256
#define VEC_LANES 8
#define BLOCK_ROWS 6
#define BLOCK_VECTORS 2
#define TILE_PANELS 4
#define TILE_KEYS 144
#define LOGIT_RUN 32
#define PRODUCT_PANELS 16
#define PRODUCT_DEPTH 256
#define vec_load(from) _mm256_loadu_ps(from)
#define vec_store(to, x) _mm256_storeu_ps(to, x)
#define vec_set1(x) _mm256_set1_ps(x)
#define vec_add(a, b) _mm256_add_ps(a, b)
#define vec_sub(a, b) _mm256_sub_ps(a, b)
#define vec_mul(a, b) _mm256_mul_ps(a, b)
#define vec_div(a, b) _mm256_div_ps(a, b)
#define vec_max(a, b) _mm256_max_ps(a, b)
#define vec_min(a, b) _mm256_min_ps(a, b)
#define vec_fma(a, b, c) _mm256_fmadd_ps(a, b, c)
#define vec_fms(a, b, c) _mm256_fmsub_ps(a, b, c)
#define vec_abs(x) _mm256_andnot_ps(vec_set1((real)-0.0), x)
#define vec_copysign(size, sign) _mm256_or_ps(size, _mm256_and_ps(vec_set1((real)-0.0), sign))
#define vec_if_less(a, b, yes, no) _mm256_blendv_ps(no, yes, _mm256_cmp_ps(a, b, _CMP_LT_OQ))
#define vec_all_one(x) (_mm256_movemask_ps(_mm256_cmp_ps(x, vec_set1((real)1), _CMP_NEQ_UQ)) == 0)
#define vec_any_nan(x) (_mm256_movemask_ps(_mm256_cmp_ps(x, x, _CMP_UNORD_Q)) != 0)
#define vec_power_of_two(rounded) \
    _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_castps_si256(rounded), 23))
#define vec_from_doubles(from) \
    _mm256_insertf128_ps(_mm256_castps128_ps256(_mm256_cvtpd_ps(_mm256_loadu_pd(from))), \
        _mm256_cvtpd_ps(_mm256_loadu_pd((from) + 4)), 1)
#define vec_to_doubles(to, x) \
    (_mm256_storeu_pd(to, _mm256_cvtps_pd(_mm256_castps256_ps128(x))), \
     _mm256_storeu_pd((to) + 4, _mm256_cvtps_pd(_mm256_extractf128_ps(x, 1))))
#define vec_transpose(x) KERNEL(transpose)(x)
#define vec_store_words(to, even, odd) \
    _mm256_storeu_si256((__m256i*)(void*)(to), \
        _mm256_blend_epi32(even, _mm256_slli_epi64(odd, 32), 0xAA))
#define vec_if_word_from(row, limit, x) \
    _mm256_andnot_ps(_mm256_castsi256_ps(KERNEL(words_below)(words_load(row), limit)), x)

/* signed comparisons of numbers that have lost 2^31 */
ATTN_INLINE __m256i KERNEL(words_below)(__m256i row, uint32_t limit) {
    const __m256i half = _mm256_set1_epi32(INT32_MIN);
    return _mm256_cmpgt_epi32(_mm256_set1_epi32((int32_t)(limit ^ UINT32_C(0x80000000))),
                              _mm256_xor_si256(row, half));
}

/* pairs of rows, then pairs of pairs, within the halves of the registers; then the halves */
ATTN_INLINE void KERNEL(transpose)(__m256* x) {
    __m256 y[8];
    ATTN_UNROLL
    for (int i = 0; i < 8; i += 2) {
        y[i] = _mm256_unpacklo_ps(x[i], x[i + 1]);
        y[i + 1] = _mm256_unpackhi_ps(x[i], x[i + 1]);
    }
    ATTN_UNROLL
    for (int i = 0; i < 8; i += 4) {
        x[i] = _mm256_shuffle_ps(y[i], y[i + 2], 0x44);
        x[i + 1] = _mm256_shuffle_ps(y[i], y[i + 2], 0xEE);
        x[i + 2] = _mm256_shuffle_ps(y[i + 1], y[i + 3], 0x44);
        x[i + 3] = _mm256_shuffle_ps(y[i + 1], y[i + 3], 0xEE);
    }
    ATTN_UNROLL
    for (int i = 0; i < 4; i++) {
        y[i] = _mm256_permute2f128_ps(x[i], x[i + 4], 0x20);
        y[i + 4] = _mm256_permute2f128_ps(x[i], x[i + 4], 0x31);
    }
    ATTN_UNROLL
    for (int i = 0; i < 8; i++) {
        x[i] = y[i];
    }
}

#include "kernels_impl.h"

/* ---- double ---- */
#define REAL_BITS 64
#include "real.h"
#define KERNEL(name) name##_avx2_f64
#define vec __m256d
#define VEC_LANES 4
#define BLOCK_ROWS 6
#define BLOCK_VECTORS 2
#define TILE_PANELS 4
#define TILE_KEYS 144
#define LOGIT_RUN 32
#define PRODUCT_PANELS 16
#define PRODUCT_DEPTH 256
#define vec_load(from) _mm256_loadu_pd(from)
#define vec_store(to, x) _mm256_storeu_pd(to, x)
#define vec_set1(x) _mm256_set1_pd(x)
#define vec_add(a, b) _mm256_add_pd(a, b)
#define vec_sub(a, b) _mm256_sub_pd(a, b)
#define vec_mul(a, b) _mm256_mul_pd(a, b)
#define vec_div(a, b) _mm256_div_pd(a, b)
#define vec_max(a, b) _mm256_max_pd(a, b)
#define vec_min(a, b) _mm256_min_pd(a, b)
#define vec_fma(a, b, c) _mm256_fmadd_pd(a, b, c)
#define vec_fms(a, b, c) _mm256_fmsub_pd(a, b, c)
#define vec_abs(x) _mm256_andnot_pd(vec_set1((real)-0.0), x)
#define vec_copysign(size, sign) _mm256_or_pd(size, _mm256_and_pd(vec_set1((real)-0.0), sign))
#define vec_if_less(a, b, yes, no) _mm256_blendv_pd(no, yes, _mm256_cmp_pd(a, b, _CMP_LT_OQ))
#define vec_all_one(x) (_mm256_movemask_pd(_mm256_cmp_pd(x, vec_set1((real)1), _CMP_NEQ_UQ)) == 0)
#define vec_any_nan(x) (_mm256_movemask_pd(_mm256_cmp_pd(x, x, _CMP_UNORD_Q)) != 0)
#define vec_power_of_two(rounded) \
    _mm256_castsi256_pd(_mm256_slli_epi64(_mm256_castpd_si256(rounded), 52))
#define vec_from_doubles(from) _mm256_loadu_pd(from)
#define vec_to_doubles(to, x) _mm256_storeu_pd(to, x)
#define vec_store_words(to, even, odd) \
    ((void)(odd), _mm256_storeu_si256((__m256i*)(void*)(to), \
        _mm256_and_si256(even, words_set1(UINT32_MAX))))
#define vec_if_word_from(row, limit, x) \
    _mm256_andnot_pd(_mm256_castsi256_pd(_mm256_cmpgt_epi64(words_set1(limit), \
        words_load(row))), x)
#define vec_transpose(x) KERNEL(transpose)(x)

ATTN_INLINE void KERNEL(transpose)(__m256d* x) {
    const __m256d low = _mm256_unpacklo_pd(x[0], x[1]), high = _mm256_unpackhi_pd(x[0], x[1]);
    const __m256d low2 = _mm256_unpacklo_pd(x[2], x[3]), high2 = _mm256_unpackhi_pd(x[2], x[3]);
    x[0] = _mm256_permute2f128_pd(low, low2, 0x20);
    x[1] = _mm256_permute2f128_pd(high, high2, 0x20);
    x[2] = _mm256_permute2f128_pd(low, low2, 0x31);
    x[3] = _mm256_permute2f128_pd(high, high2, 0x31);
}

#include "kernels_impl.h"

#if defined(__clang__)
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif
#else
typedef int attn_no_avx2_kernels; /* ISO C wants a declaration */
#endif

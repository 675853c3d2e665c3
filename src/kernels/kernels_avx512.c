/* x86-64 with AVX-512F: 32 registers of 512 bits.
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
#pragma clang attribute push(__attribute__((target("avx512f,avx2,fma"))), apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target("avx512f,avx2,fma")
#endif

#define ISA_NAME "avx512"

/* ---- integers ---- */
#define words __m512i
#define WORD_LANES 8
#define words_load(from) _mm512_loadu_si512(from)
#define words_set1(x) _mm512_set1_epi64((long long)(x))
#define words_add(a, b) _mm512_add_epi64(a, b)
#define words_xor(a, b) _mm512_xor_si512(a, b)
#define words_product(a, b) _mm512_mul_epu32(a, b)
#define words_upper(x) _mm512_srli_epi64(x, 32)

/* ---- float ---- */
#define REAL_BITS 32
#include "real.h"
#define KERNEL(name) name##_avx512_f32
#define vec __m512
#define VEC_LANES 16
#define BLOCK_ROWS 14
#define BLOCK_VECTORS 2
#define TILE_PANELS 2
#define TILE_KEYS 140
#define LOGIT_RUN 32
#define PRODUCT_PANELS 8
#define PRODUCT_DEPTH 256
#define vec_load(from) _mm512_loadu_ps(from)
#define vec_store(to, x) _mm512_storeu_ps(to, x)
#define vec_set1(x) _mm512_set1_ps(x)
#define vec_add(a, b) _mm512_add_ps(a, b)
#define vec_sub(a, b) _mm512_sub_ps(a, b)
#define vec_mul(a, b) _mm512_mul_ps(a, b)
#define vec_div(a, b) _mm512_div_ps(a, b)
#define vec_max(a, b) _mm512_max_ps(a, b)
#define vec_min(a, b) _mm512_min_ps(a, b)
#define vec_fma(a, b, c) _mm512_fmadd_ps(a, b, c)
#define vec_fms(a, b, c) _mm512_fmsub_ps(a, b, c)
#define vec_abs(x) _mm512_abs_ps(x)
#define vec_copysign(size, sign) \
    _mm512_castsi512_ps(_mm512_ternarylogic_epi32(_mm512_castps_si512(vec_set1((real)-0.0)), \
        _mm512_castps_si512(sign), _mm512_castps_si512(size), 0xCA))
#define vec_if_less(a, b, yes, no) \
    _mm512_mask_blend_ps(_mm512_cmp_ps_mask(a, b, _CMP_LT_OQ), no, yes)
#define vec_all_one(x) (_mm512_cmp_ps_mask(x, vec_set1((real)1), _CMP_NEQ_UQ) == 0)
#define vec_any_nan(x) (_mm512_cmp_ps_mask(x, x, _CMP_UNORD_Q) != 0)
#define vec_power_of_two(rounded) \
    _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_castps_si512(rounded), 23))
#define vec_from_doubles(from) \
    _mm512_castpd_ps(_mm512_insertf64x4( \
        _mm512_castpd256_pd512(_mm256_castps_pd(_mm512_cvtpd_ps(_mm512_loadu_pd(from)))), \
        _mm256_castps_pd(_mm512_cvtpd_ps(_mm512_loadu_pd((from) + 8))), 1))
#define vec_to_doubles(to, x) \
    (_mm512_storeu_pd(to, _mm512_cvtps_pd(_mm512_castps512_ps256(x))), \
     _mm512_storeu_pd((to) + 8, \
        _mm512_cvtps_pd(_mm256_castpd_ps(_mm512_extractf64x4_pd(_mm512_castps_pd(x), 1)))))
#define vec_store_words(to, even, odd) \
    _mm512_storeu_si512(to, _mm512_mask_blend_epi32(0xAAAA, even, _mm512_slli_epi64(odd, 32)))
#define vec_if_word_from(row, limit, x) \
    _mm512_maskz_mov_ps(_mm512_cmpge_epu32_mask(words_load(row), \
        _mm512_set1_epi32((int32_t)(limit))), x)
#define vec_transpose(x) KERNEL(transpose)(x)

/* four times, rows i and i + 8 lane by lane in turn become rows 2i and 2i + 1 */
ATTN_INLINE void KERNEL(transpose)(__m512* x) {
    const __m512i low = _mm512_setr_epi32(0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
    const __m512i high =
        _mm512_setr_epi32(8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31);
    ATTN_UNROLL
    for (int turn = 0; turn < 2; turn++) {
        __m512 y[16];
        ATTN_UNROLL
        for (ptrdiff_t i = 0; i < 8; i++) {
            y[2 * i] = _mm512_permutex2var_ps(x[i], low, x[i + 8]);
            y[2 * i + 1] = _mm512_permutex2var_ps(x[i], high, x[i + 8]);
        }
        ATTN_UNROLL
        for (ptrdiff_t i = 0; i < 8; i++) {
            x[2 * i] = _mm512_permutex2var_ps(y[i], low, y[i + 8]);
            x[2 * i + 1] = _mm512_permutex2var_ps(y[i], high, y[i + 8]);
        }
    }
}

#include "kernels_impl.h"

/* ---- double ---- */
#define REAL_BITS 64
#include "real.h"
#define KERNEL(name) name##_avx512_f64
#define vec __m512d
#define VEC_LANES 8
#define BLOCK_ROWS 14
#define BLOCK_VECTORS 2
#define TILE_PANELS 2
#define TILE_KEYS 140
#define LOGIT_RUN 32
#define PRODUCT_PANELS 8
#define PRODUCT_DEPTH 256
#define vec_load(from) _mm512_loadu_pd(from)
#define vec_store(to, x) _mm512_storeu_pd(to, x)
#define vec_set1(x) _mm512_set1_pd(x)
#define vec_add(a, b) _mm512_add_pd(a, b)
#define vec_sub(a, b) _mm512_sub_pd(a, b)
#define vec_mul(a, b) _mm512_mul_pd(a, b)
#define vec_div(a, b) _mm512_div_pd(a, b)
#define vec_max(a, b) _mm512_max_pd(a, b)
#define vec_min(a, b) _mm512_min_pd(a, b)
#define vec_fma(a, b, c) _mm512_fmadd_pd(a, b, c)
#define vec_fms(a, b, c) _mm512_fmsub_pd(a, b, c)
#define vec_abs(x) _mm512_abs_pd(x)
#define vec_copysign(size, sign) \
    _mm512_castsi512_pd(_mm512_ternarylogic_epi64(_mm512_castpd_si512(vec_set1((real)-0.0)), \
        _mm512_castpd_si512(sign), _mm512_castpd_si512(size), 0xCA))
#define vec_if_less(a, b, yes, no) \
    _mm512_mask_blend_pd(_mm512_cmp_pd_mask(a, b, _CMP_LT_OQ), no, yes)
#define vec_all_one(x) (_mm512_cmp_pd_mask(x, vec_set1((real)1), _CMP_NEQ_UQ) == 0)
#define vec_any_nan(x) (_mm512_cmp_pd_mask(x, x, _CMP_UNORD_Q) != 0)
#define vec_power_of_two(rounded) \
    _mm512_castsi512_pd(_mm512_slli_epi64(_mm512_castpd_si512(rounded), 52))
#define vec_from_doubles(from) _mm512_loadu_pd(from)
#define vec_to_doubles(to, x) _mm512_storeu_pd(to, x)
#define vec_store_words(to, even, odd) \
    ((void)(odd), _mm512_storeu_si512(to, _mm512_and_si512(even, words_set1(UINT32_MAX))))
#define vec_if_word_from(row, limit, x) \
    _mm512_maskz_mov_pd(_mm512_cmpge_epu64_mask(words_load(row), words_set1(limit)), x)
#define vec_transpose(x) KERNEL(transpose)(x)

/* three times, rows i and i + 4 lane by lane in turn become rows 2i and 2i + 1 */
ATTN_INLINE void KERNEL(transpose)(__m512d* x) {
    const __m512i low = _mm512_setr_epi64(0, 8, 1, 9, 2, 10, 3, 11);
    const __m512i high = _mm512_setr_epi64(4, 12, 5, 13, 6, 14, 7, 15);
    ATTN_UNROLL
    for (int turn = 0; turn < 3; turn++) {
        __m512d y[8];
        ATTN_UNROLL
        for (ptrdiff_t i = 0; i < 4; i++) {
            y[2 * i] = _mm512_permutex2var_pd(x[i], low, x[i + 4]);
            y[2 * i + 1] = _mm512_permutex2var_pd(x[i], high, x[i + 4]);
        }
        ATTN_UNROLL
        for (ptrdiff_t i = 0; i < 8; i++) {
            x[i] = y[i];
        }
    }
}

#include "kernels_impl.h"

#if defined(__clang__)
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif
#else
typedef int attn_no_avx512_kernels; /* ISO C wants a declaration */
#endif

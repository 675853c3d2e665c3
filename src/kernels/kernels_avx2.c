/* x86-64 with AVX2 and FMA: 16 registers of 256 bits.
 * Not on Windows: gcc there may spill to an unaligned stack (GCC PR 54412). */
#if defined(__x86_64__) && (defined(__GNUC__) || defined(__clang__)) && !defined(_WIN32)
#include <float.h>
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
#define vec_power_of_two(rounded) \
    _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_castps_si256(rounded), 23))
#include "transpose_x86.h"
#include "kernels_impl.h"
#undef vec
#undef VEC_LANES
#undef BLOCK_ROWS
#undef BLOCK_VECTORS
#undef TILE_PANELS
#undef TILE_KEYS
#undef KERNEL
#undef REAL_BITS
#undef vec_load
#undef vec_store
#undef vec_set1
#undef vec_add
#undef vec_sub
#undef vec_mul
#undef vec_div
#undef vec_max
#undef vec_min
#undef vec_fma
#undef vec_fms
#undef vec_abs
#undef vec_copysign
#undef vec_if_less
#undef vec_all_one
#undef vec_power_of_two

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
#define vec_power_of_two(rounded) \
    _mm256_castsi256_pd(_mm256_slli_epi64(_mm256_castpd_si256(rounded), 52))
#include "transpose_x86.h"
#include "kernels_impl.h"

#if defined(__clang__)
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif
#else
typedef int attn_no_avx2_kernels; /* ISO C wants a declaration */
#endif

/* The AVX-512F intrinsics in plain C, so that the AVX-512 kernels run on processors
 * that lack it: run.sh compiles a copy of src/kernels in which every _mm512_x is
 * emulated_x and every __m512 is emulated_m512. An intrinsic that is not here is
 * then an undeclared function, which the compiler refuses.
 *
 * Lane by lane what Intel's Software Developer's Manual says of the instruction.
 * Only which NaN arithmetic on NaNs returns may differ. What AVX-512F leaves to the
 * processor (rcp14, rsqrt14) cannot be had here. */
#ifndef ATTN_TESTS_EMULATED_AVX512_H
#define ATTN_TESTS_EMULATED_AVX512_H

#include <immintrin.h>
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#pragma GCC push_options
#pragma GCC target("avx2,fma")

/* the compiler splits these into halves that AVX2 can hold */
typedef float emulated_m512 __attribute__((vector_size(64)));
typedef double emulated_m512d __attribute__((vector_size(64)));
typedef int64_t emulated_m512i __attribute__((vector_size(64)));

#define EMULATED static inline __attribute__((always_inline))

/* what an aligned load or store does with another address */
EMULATED void emulated_want_aligned(const void* at) {
    if ((uintptr_t)at % 64 != 0) {
        abort();
    }
}

/* ---- one lane ---- */

/* One hexadecimal digit per predicate of _CMP_EQ_OQ, ...: the outcomes for which it
 * holds, 1 for less, 2 for equal, 4 for greater, 8 for unordered. Predicates 16 to
 * 31 are these again; they differ in the exceptions that they raise. */
EMULATED int emulated_holds(int predicate, double a, double b) {
    const int outcome = a < b ? 1 : a == b ? 2 : a > b ? 4 : 8;
    return (UINT64_C(0xF4650B9A7CED8312) >> predicate % 16 * 4 & (uint64_t)outcome) != 0;
}

/* a times 2 to the floor of b, rounded once; as a float it is exact before */
EMULATED double emulated_scale(double a, double b) {
    if (isnan(a) && isinf(b)) {
        return b > 0 ? INFINITY : 0;
    }
    if (isnan(a) || isnan(b) || isinf(b)) {
        return b == -INFINITY ? a * 0 : a * b * b; /* Inf times 0 is NaN; keeps a's sign */
    }
    return ldexp(a, (int)floor(b < -5000 ? -5000 : b > 5000 ? 5000 : b));
}

/* to a multiple of 2^-(control / 16); the low bits of control say which way */
EMULATED double emulated_round(double x, int control) {
    const double parts = (double)(1 << (control >> 4 & 15)), y = x * parts;
    if (!(fabs(y) < 0x1p52)) {
        return x;
    }
    const int way = control & 4 ? 0 : control & 3;
    return (way == 0 ? nearbyint(y) : way == 1 ? floor(y) : way == 2 ? ceil(y) : trunc(y)) / parts;
}

EMULATED int32_t emulated_int32(double whole) {
    return whole >= -2147483648.0 && whole <= 2147483647.0 ? (int32_t)whole : INT32_MIN;
}

EMULATED float emulated_fma_ps(float a, float b, float c) { return __builtin_fmaf(a, b, c); }
EMULATED double emulated_fma_pd(double a, double b, double c) { return __builtin_fma(a, b, c); }
EMULATED float emulated_size_ps(float a) { return __builtin_fabsf(a); }
EMULATED double emulated_size_pd(double a) { return __builtin_fabs(a); }

/* ---- what all lanes do alike ---- */

#define VECTOR emulated_m512
#define LANE float
#define LANES 16
#define MASK __mmask16
#define NAME(x) emulated_##x##_ps
#define MASK_NAME(x) emulated_##x##_ps_mask
#include "avx512_floats.h"
#define VECTOR emulated_m512d
#define LANE double
#define LANES 8
#define MASK __mmask8
#define NAME(x) emulated_##x##_pd
#define MASK_NAME(x) emulated_##x##_pd_mask
#include "avx512_floats.h"

typedef int32_t emulated_i32 __attribute__((vector_size(64)));
typedef uint32_t emulated_u32 __attribute__((vector_size(64)));
typedef uint64_t emulated_u64 __attribute__((vector_size(64)));

#define SIGNED_VECTOR emulated_i32
#define VECTOR emulated_u32
#define SIGNED_LANE int32_t
#define LANE uint32_t
#define LANES 16
#define BITS 32u
#define MASK __mmask16
#define NAME(x) emulated_##x##_epi32
#define UNSIGNED_NAME(x) emulated_##x##_epu32
#define MASK_NAME(x) emulated_##x##_epi32_mask
#define UNSIGNED_MASK_NAME(x) emulated_##x##_epu32_mask
#include "avx512_integers.h"
#define SIGNED_VECTOR emulated_m512i
#define VECTOR emulated_u64
#define SIGNED_LANE int64_t
#define LANE uint64_t
#define LANES 8
#define BITS 64u
#define MASK __mmask8
#define NAME(x) emulated_##x##_epi64
#define UNSIGNED_NAME(x) emulated_##x##_epu64
#define MASK_NAME(x) emulated_##x##_epi64_mask
#define UNSIGNED_MASK_NAME(x) emulated_##x##_epu64_mask
#include "avx512_integers.h"

/* ---- the same bits as another type ---- */

EMULATED emulated_m512i emulated_castps_si512(emulated_m512 x) { return (emulated_m512i)x; }
EMULATED emulated_m512i emulated_castpd_si512(emulated_m512d x) { return (emulated_m512i)x; }
EMULATED emulated_m512 emulated_castsi512_ps(emulated_m512i x) { return (emulated_m512)x; }
EMULATED emulated_m512d emulated_castsi512_pd(emulated_m512i x) { return (emulated_m512d)x; }
EMULATED emulated_m512d emulated_castps_pd(emulated_m512 x) { return (emulated_m512d)x; }
EMULATED emulated_m512 emulated_castpd_ps(emulated_m512d x) { return (emulated_m512)x; }

/* ---- parts: halves of 256 bits, quarters of 128 ---- */

/* `narrow`, one of the parts of `wide`, out of it and into it */
#define EMULATED_PART(wide, narrow, extract, insert)                          \
    EMULATED narrow emulated_##extract(wide from, int part) {                 \
        narrow to;                                                            \
        part %= (int)(sizeof from / sizeof to);                               \
        memcpy(&to, (char*)&from + (size_t)part * sizeof to, sizeof to);      \
        return to;                                                            \
    }                                                                         \
    EMULATED wide emulated_##insert(wide to, narrow from, int part) {         \
        part %= (int)(sizeof to / sizeof from);                               \
        memcpy((char*)&to + (size_t)part * sizeof from, &from, sizeof from);  \
        return to;                                                            \
    }
EMULATED_PART(emulated_m512d, __m256d, extractf64x4_pd, insertf64x4)
EMULATED_PART(emulated_m512, __m128, extractf32x4_ps, insertf32x4)
EMULATED_PART(emulated_m512i, __m256i, extracti64x4_epi64, inserti64x4)
EMULATED_PART(emulated_m512i, __m128i, extracti32x4_epi32, inserti32x4)
EMULATED_PART(emulated_m512, __m256, half_ps, insert_half_ps)
EMULATED_PART(emulated_m512d, __m128d, quarter_pd, insert_quarter_pd)

EMULATED __m256 emulated_castps512_ps256(emulated_m512 x) { return emulated_half_ps(x, 0); }
EMULATED __m256d emulated_castpd512_pd256(emulated_m512d x) {
    return emulated_extractf64x4_pd(x, 0);
}
EMULATED __m256i emulated_castsi512_si256(emulated_m512i x) {
    return emulated_extracti64x4_epi64(x, 0);
}
/* The upper half is undefined by a cast, 0 by zext. Undefined is NaN here, so that
 * it shows. */
EMULATED emulated_m512 emulated_castps256_ps512(__m256 x) {
    return emulated_insert_half_ps(emulated_set1_ps(NAN), x, 0);
}
EMULATED emulated_m512d emulated_castpd256_pd512(__m256d x) {
    return emulated_insertf64x4(emulated_set1_pd(NAN), x, 0);
}
EMULATED emulated_m512i emulated_castsi256_si512(__m256i x) {
    return emulated_inserti64x4(emulated_set1_epi64(-1), x, 0);
}
EMULATED emulated_m512 emulated_zextps256_ps512(__m256 x) {
    return emulated_insert_half_ps((emulated_m512){0}, x, 0);
}
EMULATED emulated_m512d emulated_zextpd256_pd512(__m256d x) {
    return emulated_insertf64x4((emulated_m512d){0}, x, 0);
}
EMULATED emulated_m512 emulated_broadcast_f32x4(__m128 x) {
    emulated_m512 to = {0};
    for (int part = 0; part < 4; part++) to = emulated_insertf32x4(to, x, part);
    return to;
}
EMULATED emulated_m512d emulated_broadcast_f64x4(__m256d x) {
    return emulated_insertf64x4(emulated_castpd256_pd512(x), x, 1);
}
EMULATED emulated_m512 emulated_shuffle_f32x4(emulated_m512 a, emulated_m512 b, int choice) {
    return emulated_shuffle_quarters_ps(a, b, choice);
}
EMULATED emulated_m512d emulated_shuffle_f64x2(emulated_m512d a, emulated_m512d b, int choice) {
    return emulated_shuffle_quarters_pd(a, b, choice);
}

/* ---- other types ---- */

/* a name, its result, its argument, how many lanes, of which types */
#define EMULATED_CONVERT(name, result, argument, count, to_lane, from_lane, value)  \
    EMULATED result emulated_##name(argument x) {                                   \
        from_lane from[sizeof x / sizeof(from_lane)];                               \
        to_lane to[sizeof(result) / sizeof(to_lane)] = {0};                         \
        result y;                                                                   \
        memcpy(from, &x, sizeof x);                                                 \
        for (int i = 0; i < (count); i++) {                                         \
            const from_lane a = from[i];                                            \
            to[i] = (to_lane)(value);                                               \
        }                                                                           \
        memcpy(&y, to, sizeof y);                                                   \
        return y;                                                                   \
    }
EMULATED_CONVERT(cvtps_pd, emulated_m512d, __m256, 8, double, float, a)
EMULATED_CONVERT(cvtpd_ps, __m256, emulated_m512d, 8, float, double, a)
EMULATED_CONVERT(cvtps_epi32, emulated_m512i, emulated_m512, 16, int32_t, float,
                 emulated_int32(nearbyint((double)a)))
EMULATED_CONVERT(cvttps_epi32, emulated_m512i, emulated_m512, 16, int32_t, float,
                 emulated_int32(trunc((double)a)))
EMULATED_CONVERT(cvtpd_epi32, __m256i, emulated_m512d, 8, int32_t, double,
                 emulated_int32(nearbyint(a)))
EMULATED_CONVERT(cvttpd_epi32, __m256i, emulated_m512d, 8, int32_t, double,
                 emulated_int32(trunc(a)))
EMULATED_CONVERT(cvtepi32_ps, emulated_m512, emulated_m512i, 16, float, int32_t, a)
EMULATED_CONVERT(cvtepu32_ps, emulated_m512, emulated_m512i, 16, float, uint32_t, a)
EMULATED_CONVERT(cvtepi32_pd, emulated_m512d, __m256i, 8, double, int32_t, a)
EMULATED_CONVERT(cvtepu32_pd, emulated_m512d, __m256i, 8, double, uint32_t, a)
EMULATED_CONVERT(cvtepi32_epi64, emulated_m512i, __m256i, 8, int64_t, int32_t, a)
EMULATED_CONVERT(cvtepu32_epi64, emulated_m512i, __m256i, 8, uint64_t, uint32_t, a)
EMULATED_CONVERT(cvtepi64_epi32, __m256i, emulated_m512i, 8, uint32_t, uint64_t, a)
EMULATED_CONVERT(cvtepi8_epi32, emulated_m512i, __m128i, 16, int32_t, int8_t, a)
EMULATED_CONVERT(cvtepu8_epi32, emulated_m512i, __m128i, 16, uint32_t, uint8_t, a)
EMULATED_CONVERT(cvtepi32_epi8, __m128i, emulated_m512i, 16, uint8_t, uint32_t, a)

/* ---- all 512 bits ---- */

EMULATED emulated_m512i emulated_loadu_si512(const void* from) {
    emulated_m512i x;
    memcpy(&x, from, sizeof x);
    return x;
}
EMULATED void emulated_storeu_si512(void* to, emulated_m512i x) { memcpy(to, &x, sizeof x); }
EMULATED emulated_m512i emulated_load_si512(const void* from) {
    emulated_want_aligned(from);
    return emulated_loadu_si512(from);
}
EMULATED void emulated_store_si512(void* to, emulated_m512i x) {
    emulated_want_aligned(to);
    emulated_storeu_si512(to, x);
}
EMULATED emulated_m512i emulated_setzero_si512(void) { return (emulated_m512i){0}; }
EMULATED emulated_m512i emulated_and_si512(emulated_m512i a, emulated_m512i b) { return a & b; }
EMULATED emulated_m512i emulated_or_si512(emulated_m512i a, emulated_m512i b) { return a | b; }
EMULATED emulated_m512i emulated_xor_si512(emulated_m512i a, emulated_m512i b) { return a ^ b; }
EMULATED emulated_m512i emulated_andnot_si512(emulated_m512i a, emulated_m512i b) {
    return ~a & b;
}

/* products of the lower 32 bits of each 64 */
EMULATED emulated_m512i emulated_mul_epu32(emulated_m512i a, emulated_m512i b) {
    const emulated_u64 low = {~UINT32_C(0), ~UINT32_C(0), ~UINT32_C(0), ~UINT32_C(0),
                              ~UINT32_C(0), ~UINT32_C(0), ~UINT32_C(0), ~UINT32_C(0)};
    return (emulated_m512i)(((emulated_u64)a & low) * ((emulated_u64)b & low));
}

#define emulated_setr_epi32(...) ((emulated_m512i)(emulated_i32){__VA_ARGS__})
#define emulated_setr_epi64(...) ((emulated_m512i){__VA_ARGS__})
#define emulated_setr_ps(...) ((emulated_m512){__VA_ARGS__})
#define emulated_setr_pd(...) ((emulated_m512d){__VA_ARGS__})

#pragma GCC pop_options
#endif

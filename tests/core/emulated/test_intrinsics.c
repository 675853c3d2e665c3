/* Whether AVX-512F intrinsics do what the manual says, NaN, Inf and signed zeros
 * above all. run.sh runs this over the emulated ones; where the processor has the
 * true ones, over these, which judges the test itself. */
#include <float.h>
#include <string.h>
#include <immintrin.h>

#include "check.h"

#pragma GCC target("avx512f,avx2,fma")

enum { PS = 16, PD = 8 };

/* every pair of these meets, in eight turns */
static const float special[8] = {NAN, -INFINITY, -2.5f, -0.0f, 0.0f, 1.0f, 3.5f, INFINITY};

/* the same bits, or NaN both */
static int same_ps(__m512 x, const float* wanted) {
    float got[PS];
    int same = 1;
    _mm512_storeu_ps(got, x);
    for (int i = 0; i < PS; i++) {
        same &= isnan(wanted[i]) ? isnan(got[i]) : memcmp(&got[i], &wanted[i], sizeof got[i]) == 0;
    }
    return same;
}

static int same_pd(__m512d x, const double* wanted) {
    double got[PD];
    int same = 1;
    _mm512_storeu_pd(got, x);
    for (int i = 0; i < PD; i++) {
        same &= isnan(wanted[i]) ? isnan(got[i]) : memcmp(&got[i], &wanted[i], sizeof got[i]) == 0;
    }
    return same;
}

static int same_int(__m512i x, const void* wanted) {
    unsigned char got[64];
    _mm512_storeu_si512(got, x);
    return memcmp(got, wanted, 64) == 0;
}

/* name(x, y) of both precisions, where each is `value` of a and b */
#define BINARY(name, value)                                                             \
    {                                                                                   \
        float wanted[PS];                                                               \
        double wide_wanted[PD];                                                         \
        for (int i = 0; i < PS; i++) {                                                  \
            const float a = x[i], b = y[i];                                             \
            wanted[i] = (value);                                                        \
        }                                                                               \
        for (int i = 0; i < PD; i++) {                                                  \
            const double a = wide_x[i], b = wide_y[i];                                  \
            wide_wanted[i] = (value);                                                   \
        }                                                                               \
        CHECK(same_ps(_mm512_##name##_ps(_mm512_loadu_ps(x), _mm512_loadu_ps(y)), wanted), \
              #name "_ps, turn %d", turn);                                              \
        CHECK(same_pd(_mm512_##name##_pd(_mm512_loadu_pd(wide_x), _mm512_loadu_pd(wide_y)), \
                      wide_wanted),                                                     \
              #name "_pd, turn %d", turn);                                              \
    }

/* a predicate of both precisions: the lanes for which it holds */
#define COMPARISON(predicate, value)                                                    \
    {                                                                                   \
        unsigned wanted = 0, wide_wanted = 0;                                           \
        for (int i = 0; i < PS; i++) {                                                  \
            const float a = x[i], b = y[i];                                             \
            wanted |= (value) ? 1u << i : 0;                                            \
        }                                                                               \
        for (int i = 0; i < PD; i++) {                                                  \
            const double a = wide_x[i], b = wide_y[i];                                  \
            wide_wanted |= (value) ? 1u << i : 0;                                       \
        }                                                                               \
        CHECK(_mm512_cmp_ps_mask(_mm512_loadu_ps(x), _mm512_loadu_ps(y), predicate) == wanted, \
              #predicate ", turn %d", turn);                                            \
        CHECK(_mm512_cmp_pd_mask(_mm512_loadu_pd(wide_x), _mm512_loadu_pd(wide_y), predicate) == \
                  wide_wanted,                                                          \
              #predicate " of doubles, turn %d", turn);                                 \
    }

static void pairs(void) {
    for (int turn = 0; turn < 8; turn++) {
        float x[PS], y[PS];
        double wide_x[PD], wide_y[PD];
        for (int i = 0; i < PS; i++) {
            x[i] = special[i % 8];
            y[i] = special[(i + turn) % 8];
        }
        for (int i = 0; i < PD; i++) {
            wide_x[i] = (double)x[i];
            wide_y[i] = (double)y[i];
        }
        BINARY(add, a + b)
        BINARY(sub, a - b)
        BINARY(mul, a * b)
        BINARY(div, a / b)
        BINARY(max, isnan(a) || isnan(b) || a == b ? b : a > b ? a : b)
        BINARY(min, isnan(a) || isnan(b) || a == b ? b : a < b ? a : b)
        COMPARISON(_CMP_EQ_OQ, a == b)
        COMPARISON(_CMP_LT_OQ, a < b)
        COMPARISON(_CMP_LT_OS, a < b)
        COMPARISON(_CMP_LE_OQ, a <= b)
        COMPARISON(_CMP_GT_OQ, a > b)
        COMPARISON(_CMP_GE_OQ, a >= b)
        COMPARISON(_CMP_UNORD_Q, isnan(a) || isnan(b))
        COMPARISON(_CMP_ORD_Q, !isnan(a) && !isnan(b))
        COMPARISON(_CMP_NEQ_UQ, !(a == b))
        COMPARISON(_CMP_NEQ_OQ, a < b || a > b)
        COMPARISON(_CMP_EQ_UQ, !(a < b || a > b))
        COMPARISON(_CMP_NLT_UQ, !(a < b))
        COMPARISON(_CMP_NLE_UQ, !(a <= b))
        COMPARISON(_CMP_NGE_UQ, !(a >= b))
        COMPARISON(_CMP_NGT_UQ, !(a > b))
        COMPARISON(_CMP_TRUE_UQ, a <= b || !(a <= b))
        COMPARISON(_CMP_FALSE_OQ, a < b && a > b)
    }
}

static void fused(void) {
    /* (1 + e)^2 - (1 + 2e) is e^2, and 0 where the product is rounded first */
    const __m512 near_one = _mm512_set1_ps(1 + FLT_EPSILON);
    const __m512 subtracted = _mm512_set1_ps(1 + 2 * FLT_EPSILON);
    const __m512d near = _mm512_set1_pd(1 + DBL_EPSILON);
    const __m512d less = _mm512_set1_pd(1 + 2 * DBL_EPSILON);
    float wanted[PS];
    double wide[PD];
    for (int i = 0; i < PS; i++) {
        wanted[i] = FLT_EPSILON * FLT_EPSILON;
        wide[i % PD] = DBL_EPSILON * DBL_EPSILON;
    }
    CHECK(same_ps(_mm512_fmsub_ps(near_one, near_one, subtracted), wanted), "fmsub_ps");
    CHECK(same_pd(_mm512_fmsub_pd(near, near, less), wide), "fmsub_pd");
    for (int i = 0; i < PS; i++) {
        wanted[i] = -wanted[i];
        wide[i % PD] = i < PD ? -wide[i % PD] : wide[i % PD];
    }
    CHECK(same_ps(_mm512_fnmadd_ps(near_one, near_one, subtracted), wanted), "fnmadd_ps");
    CHECK(same_pd(_mm512_fnmadd_pd(near, near, less), wide), "fnmadd_pd");
}

static void bits_of_numbers(void) {
    float x[PS], y[PS], wanted[PS];
    for (int i = 0; i < PS; i++) {
        x[i] = special[i % 8];
        y[i] = i % 3 ? -1.5f : 2.0f;
        wanted[i] = copysignf(y[i], x[i]);
    }
    const __m512 sign = _mm512_loadu_ps(x), size = _mm512_loadu_ps(y);
    const __m512i chosen = _mm512_ternarylogic_epi32(
        _mm512_castps_si512(_mm512_set1_ps(-0.0f)), _mm512_castps_si512(sign),
        _mm512_castps_si512(size), 0xCA);
    CHECK(same_ps(_mm512_castsi512_ps(chosen), wanted), "the sign chosen by ternarylogic");
    for (int i = 0; i < PS; i++) {
        wanted[i] = fabsf(x[i]);
    }
    CHECK(same_ps(_mm512_abs_ps(sign), wanted), "abs_ps");
    for (int i = 0; i < PS; i++) {
        wanted[i] = 0xA5C3 >> i & 1 ? y[i] : x[i];
    }
    CHECK(same_ps(_mm512_mask_blend_ps(0xA5C3, sign, size), wanted), "mask_blend_ps");
    for (int i = 0; i < PS; i++) {
        wanted[i] = 0xA5C3 >> i & 1 ? x[i] : 0;
    }
    CHECK(same_ps(_mm512_maskz_mov_ps(0xA5C3, sign), wanted), "maskz_mov_ps");
    CHECK(same_ps(_mm512_maskz_loadu_ps(0xA5C3, x), wanted), "maskz_loadu_ps");
    memcpy(wanted, y, sizeof wanted);
    _mm512_mask_storeu_ps(wanted, 0x00FF, sign);
    memcpy(y, x, sizeof y / 2);
    CHECK(memcmp(wanted, y, sizeof y) == 0, "mask_storeu_ps");
}

static void powers_and_conversions(void) {
    const float a[PS] = {1,        1,    -3,        0.75f,     0, -0.0f,    INFINITY, NAN,
                         INFINITY, -1,   1,         1,         0, INFINITY, NAN,      NAN};
    const float b[PS] = {3,        2.9f, -1.5f,     -0.5f,     7, INFINITY, -3,        2,
                         NAN,      1e9f, -INFINITY, -148.5f,   NAN, -INFINITY, INFINITY, -INFINITY};
    const float scaled[PS] = {8,   4,         -0.75f, 0.375f, 0,   NAN, INFINITY, NAN,
                              NAN, -INFINITY, 0,      0x1p-149f, NAN, NAN, INFINITY, 0};
    CHECK(same_ps(_mm512_scalef_ps(_mm512_loadu_ps(a), _mm512_loadu_ps(b)), scaled), "scalef_ps");
    const float x[PS] = {0.5f, 1.5f, 2.5f, -0.5f, -1.5f, 3.25f, -3.75f, 1e9f,
                         3e9f, -3e9f, NAN, INFINITY, -INFINITY, -0.0f, 0.49999997f, 8388609.0f};
    const float nearest[PS] = {0, 2, 2, -0.0f, -2, 3, -4, 1e9f,
                               3e9f, -3e9f, NAN, INFINITY, -INFINITY, -0.0f, 0, 8388609.0f};
    const int none = INT32_MIN;
    const int32_t whole[PS] = {0, 2, 2, 0, -2, 3, -4, 1000000000,
                               none, none, none, none, none, 0, 0, 8388609};
    const int32_t cut[PS] = {0, 1, 2, 0, -1, 3, -3, 1000000000,
                             none, none, none, none, none, 0, 0, 8388609};
    const __m512 from = _mm512_loadu_ps(x);
    CHECK(same_ps(_mm512_roundscale_ps(from, 0), nearest), "roundscale_ps");
    CHECK(same_int(_mm512_cvtps_epi32(from), whole), "cvtps_epi32");
    CHECK(same_int(_mm512_cvttps_epi32(from), cut), "cvttps_epi32");
    const double wide[PD] = {1e300, -1e300, 1 + 0x1p-24, 1 + 0x1.8p-24, NAN, 1e-50, -0.0, 0x1p-149};
    const float narrow[PD] = {INFINITY, -INFINITY, 1, 1 + 0x1p-23f, NAN, 0, -0.0f, 0x1p-149f};
    float got[PD];
    _mm256_storeu_ps(got, _mm512_cvtpd_ps(_mm512_loadu_pd(wide)));
    for (int i = 0; i < PD; i++) {
        CHECK(isnan(narrow[i]) ? isnan(got[i]) : memcmp(&got[i], &narrow[i], sizeof got[i]) == 0,
              "cvtpd_ps, lane %d", i);
    }
}

static void integers(void) {
    uint32_t a[PS], b[PS], wanted[PS];
    uint64_t products[PD];
    struct dice dice = {1};
    for (int i = 0; i < PS; i++) {
        a[i] = (uint32_t)dice_bits(&dice);
        b[i] = (uint32_t)dice_bits(&dice);
    }
    const __m512i x = _mm512_loadu_si512(a), y = _mm512_loadu_si512(b);
    for (int i = 0; i < PD; i++) {
        products[i] = (uint64_t)a[2 * i] * b[2 * i];
    }
    CHECK(same_int(_mm512_mul_epu32(x, y), products), "mul_epu32");
#define EACH(name, call, value)                      \
    for (int i = 0; i < PS; i++) wanted[i] = (value); \
    CHECK(same_int(call, wanted), name)
    EACH("add_epi32", _mm512_add_epi32(x, y), a[i] + b[i]);
    EACH("mullo_epi32", _mm512_mullo_epi32(x, y), a[i] * b[i]);
    EACH("xor_si512", _mm512_xor_si512(x, y), a[i] ^ b[i]);
    EACH("slli_epi32", _mm512_slli_epi32(x, 23), a[i] << 23);
    EACH("slli_epi32 by 32", _mm512_slli_epi32(x, 32), 0);
    EACH("srli_epi32", _mm512_srli_epi32(x, 9), a[i] >> 9);
    EACH("srai_epi32", _mm512_srai_epi32(x, 31), a[i] >> 31 ? ~UINT32_C(0) : 0);
    EACH("rol_epi32", _mm512_rol_epi32(x, 5), a[i] << 5 | a[i] >> 27);
    EACH("shifts of 64 bits", _mm512_or_si512(_mm512_slli_epi64(x, 32), _mm512_srli_epi64(x, 32)),
         a[i ^ 1]);
    EACH("permutexvar_epi32",
         _mm512_permutexvar_epi32(_mm512_setr_epi32(15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2,
                                                    1, 0), x), a[15 - i]);
    EACH("ternarylogic_epi32", _mm512_ternarylogic_epi32(x, y, _mm512_set1_epi32(-1), 0x96),
         ~(a[i] ^ b[i]));
#undef EACH
    unsigned below = 0, signed_below = 0;
    for (int i = 0; i < PS; i++) {
        below |= a[i] < b[i] ? 1u << i : 0;
        signed_below |= (a[i] ^ 1u << 31) < (b[i] ^ 1u << 31) ? 1u << i : 0;
    }
    CHECK(_mm512_cmplt_epu32_mask(x, y) == below, "cmplt_epu32_mask");
    CHECK(_mm512_cmplt_epi32_mask(x, y) == signed_below, "cmplt_epi32_mask");
}

static void places(void) {
    float x[PS], y[PS], wanted[PS];
    double wide_x[PD], wide_y[PD], wide[PD];
    for (int i = 0; i < PS; i++) {
        x[i] = (float)i;
        y[i] = (float)(100 + i);
        wide_x[i % PD] = (double)x[i];
        wide_y[i % PD] = (double)y[i];
    }
    const __m512 a = _mm512_loadu_ps(x), b = _mm512_loadu_ps(y);
    const __m512d c = _mm512_loadu_pd(wide_x), d = _mm512_loadu_pd(wide_y);
#define EACH(name, call, value)                      \
    for (int i = 0; i < PS; i++) wanted[i] = (value); \
    CHECK(same_ps(call, wanted), name)
#define EACH_WIDE(name, call, value)               \
    for (int i = 0; i < PD; i++) wide[i] = (value); \
    CHECK(same_pd(call, wide), name)
    const int order[PS] = {0, 16, 1, 17, 31, 15, 7, 23, 2, 3, 4, 40, 63, 32, 8, 9};
    const int64_t wide_order[PD] = {0, 8, 1, 9, 15, 7, 16, 31};
    EACH("permutex2var_ps", _mm512_permutex2var_ps(a, _mm512_loadu_si512(order), b),
         (order[i] & 16 ? y : x)[order[i] % 16]);
    EACH_WIDE("permutex2var_pd", _mm512_permutex2var_pd(c, _mm512_loadu_si512(wide_order), d),
              (wide_order[i] & 8 ? wide_y : wide_x)[wide_order[i] % 8]);
    const int low[4] = {0, 100, 1, 101};
    EACH("unpacklo_ps", _mm512_unpacklo_ps(a, b), (float)(low[i % 4] + i / 4 * 4));
    EACH("unpackhi_ps", _mm512_unpackhi_ps(a, b), (float)(low[i % 4] + i / 4 * 4 + 2));
    EACH_WIDE("unpackhi_pd", _mm512_unpackhi_pd(c, d), i % 2 ? wide_y[i] : wide_x[i + 1]);
    EACH("shuffle_ps", _mm512_shuffle_ps(a, b, 0xEE), /* 2, 3 of a; 2, 3 of b */
         (i % 4 < 2 ? x : y)[i / 4 * 4 + 2 + i % 2]);
    EACH_WIDE("shuffle_pd", _mm512_shuffle_pd(c, d, 0x55), i % 2 ? wide_y[i - 1] : wide_x[i + 1]);
    EACH("shuffle_f32x4", _mm512_shuffle_f32x4(a, b, 0xD8), /* quarters 0, 2 of a; 1, 3 of b */
         i < 8 ? x[i / 4 * 8 + i % 4] : y[i / 4 * 8 - 12 + i % 4]);
    EACH_WIDE("insertf64x4", _mm512_insertf64x4(c, _mm512_extractf64x4_pd(d, 0), 1),
              i < 4 ? wide_x[i] : wide_y[i - 4]);
    EACH_WIDE("cvtps_pd", _mm512_cvtps_pd(_mm512_castps512_ps256(b)), 100.0 + i);
#undef EACH
#undef EACH_WIDE
    CHECK(_mm512_reduce_add_ps(a) == 120, "reduce_add_ps");
}

int main(void) {
    pairs();
    fused();
    bits_of_numbers();
    powers_and_conversions();
    integers();
    places();
    return checks_end();
}

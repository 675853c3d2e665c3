/* Squares of numbers in 256-bit registers, transposed; for the AVX2 and the
 * AVX-512 kernels, inside their target regions. Included once per precision. */
#undef PACK_LANES
#undef pack_vec
#undef pack_load
#undef pack_store
#undef pack_set1
#undef pack_add
#undef pack_sub
#undef pack_transpose
#define pack_transpose(square) KERNEL(transpose)(square)
#if REAL_BITS == 32
#define PACK_LANES 8
#define pack_vec __m256
#define pack_load(from) _mm256_loadu_ps(from)
#define pack_store(to, x) _mm256_storeu_ps(to, x)
#define pack_set1(x) _mm256_set1_ps(x)
#define pack_add(a, b) _mm256_add_ps(a, b)
#define pack_sub(a, b) _mm256_sub_ps(a, b)

ATTN_INLINE void KERNEL(transpose)(__m256 x[8]) {
    /* pairs of rows, then fours, then the halves of 128 bits */
    __m256 pair[8], four[8];
    ATTN_UNROLL
    for (int i = 0; i < 8; i += 2) {
        pair[i] = _mm256_unpacklo_ps(x[i], x[i + 1]);
        pair[i + 1] = _mm256_unpackhi_ps(x[i], x[i + 1]);
    }
    ATTN_UNROLL
    for (int i = 0; i < 8; i += 4) {
        four[i] = _mm256_shuffle_ps(pair[i], pair[i + 2], 0x44);
        four[i + 1] = _mm256_shuffle_ps(pair[i], pair[i + 2], 0xEE);
        four[i + 2] = _mm256_shuffle_ps(pair[i + 1], pair[i + 3], 0x44);
        four[i + 3] = _mm256_shuffle_ps(pair[i + 1], pair[i + 3], 0xEE);
    }
    ATTN_UNROLL
    for (int i = 0; i < 4; i++) {
        x[i] = _mm256_permute2f128_ps(four[i], four[i + 4], 0x20);
        x[i + 4] = _mm256_permute2f128_ps(four[i], four[i + 4], 0x31);
    }
}
#else
#define PACK_LANES 4
#define pack_vec __m256d
#define pack_load(from) _mm256_loadu_pd(from)
#define pack_store(to, x) _mm256_storeu_pd(to, x)
#define pack_set1(x) _mm256_set1_pd(x)
#define pack_add(a, b) _mm256_add_pd(a, b)
#define pack_sub(a, b) _mm256_sub_pd(a, b)

ATTN_INLINE void KERNEL(transpose)(__m256d x[4]) {
    __m256d low01 = _mm256_unpacklo_pd(x[0], x[1]), high01 = _mm256_unpackhi_pd(x[0], x[1]);
    __m256d low23 = _mm256_unpacklo_pd(x[2], x[3]), high23 = _mm256_unpackhi_pd(x[2], x[3]);
    x[0] = _mm256_permute2f128_pd(low01, low23, 0x20);
    x[1] = _mm256_permute2f128_pd(high01, high23, 0x20);
    x[2] = _mm256_permute2f128_pd(low01, low23, 0x31);
    x[3] = _mm256_permute2f128_pd(high01, high23, 0x31);
}
#endif

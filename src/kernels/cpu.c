/* Which kernels run on this processor. AVX needs the operating system to save
 * the wide registers, which CPUID alone does not say: gcc's and clang's
 * __builtin_cpu_supports() check XGETBV as well. */
#include <string.h>

#include "kernels.h"

#if defined(__x86_64__) && (defined(__GNUC__) || defined(__clang__)) && !defined(_WIN32)
#define ATTN_X86_KERNELS 1
#endif

extern const struct attn_kernels_f32 attn_kernels_scalar_f32;
extern const struct attn_kernels_f64 attn_kernels_scalar_f64;
#ifdef ATTN_X86_KERNELS
extern const struct attn_kernels_f32 attn_kernels_avx2_f32, attn_kernels_avx512_f32;
extern const struct attn_kernels_f64 attn_kernels_avx2_f64, attn_kernels_avx512_f64;
#endif
#if defined(__aarch64__)
extern const struct attn_kernels_f32 attn_kernels_neon_f32;
extern const struct attn_kernels_f64 attn_kernels_neon_f64;
#endif

static int always(void) { return 1; }

#ifdef ATTN_X86_KERNELS
static int has_avx2(void) {
    __builtin_cpu_init();
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
}

static int has_avx512(void) {
    return has_avx2() && __builtin_cpu_supports("avx512f");
}
#endif

/* best first */
static const struct attn_kernel_set sets[] = {
#ifdef ATTN_X86_KERNELS
    {"avx512", has_avx512, &attn_kernels_avx512_f32, &attn_kernels_avx512_f64},
    {"avx2", has_avx2, &attn_kernels_avx2_f32, &attn_kernels_avx2_f64},
#endif
#if defined(__aarch64__)
    {"neon", always, &attn_kernels_neon_f32, &attn_kernels_neon_f64},
#endif
    {"scalar", always, &attn_kernels_scalar_f32, &attn_kernels_scalar_f64},
};
enum { SETS = sizeof sets / sizeof sets[0] };

static const struct attn_kernel_set* chosen = &sets[SETS - 1];

int attn_kernels_choose(const char* isa) {
    const struct attn_kernel_set* best = NULL;
    for (int i = 0; i < SETS; i++) {
        if (!sets[i].supported()) {
            continue;
        }
        if (best == NULL) {
            best = &sets[i];
        }
        if (isa != NULL && strcmp(isa, sets[i].isa) == 0) {
            chosen = &sets[i];
            return 1;
        }
    }
    chosen = best;
    return isa == NULL;
}

const struct attn_kernel_set* attn_kernels(void) { return chosen; }

const char* attn_kernels_available(int index) {
    for (int i = 0; i < SETS; i++) {
        if (sets[i].supported() && index-- == 0) {
            return sets[i].isa;
        }
    }
    return NULL;
}

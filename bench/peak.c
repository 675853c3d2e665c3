/* A loop of multiply-adds on twelve registers: enough of them to cover the
 * latency of two units, none waits for another. */
#include "peak.h"

#include "peer.h"

enum { CHAINS = 12 };

/* volatile, so that the compiler cannot know what the loop computes */
static volatile double factor = 0.999, summand = 1e-3, sink;

#define DEFINE_PEAK(name, attribute, real, bytes)                                    \
    typedef real name##_vector __attribute__((vector_size(bytes)));                  \
    attribute static void name(void) {                                               \
        enum { LANES = bytes / sizeof(real) };                                       \
        const name##_vector a = (real)factor + (name##_vector){0};                   \
        const name##_vector b = (real)summand + (name##_vector){0};                  \
        name##_vector x0 = a, x1 = b, x2 = a + b, x3 = a - b, x4 = a * b, x5 = a * a; \
        name##_vector x6 = b * b, x7 = x2 * a, x8 = x3 * a, x9 = x4 * a, xa = x5 * a; \
        name##_vector xb = x6 * a;                                                   \
        const long rounds = (long)(PEAK_OPERATIONS / (2 * CHAINS * LANES));          \
        for (long i = 0; i < rounds; i++) {                                          \
            x0 = x0 * a + b, x1 = x1 * a + b, x2 = x2 * a + b, x3 = x3 * a + b;      \
            x4 = x4 * a + b, x5 = x5 * a + b, x6 = x6 * a + b, x7 = x7 * a + b;      \
            x8 = x8 * a + b, x9 = x9 * a + b, xa = xa * a + b, xb = xb * a + b;      \
        }                                                                            \
        x0 += x1 + x2 + x3 + x4 + x5 + x6 + x7 + x8 + x9 + xa + xb;                  \
        sink = (double)x0[0];                                                        \
    }

DEFINE_PEAK(baseline_f32, , float, 16)
DEFINE_PEAK(baseline_f64, , double, 16)
#if defined(__x86_64__)
DEFINE_PEAK(avx2_f32, __attribute__((target("avx2,fma"))), float, 32)
DEFINE_PEAK(avx2_f64, __attribute__((target("avx2,fma"))), double, 32)
DEFINE_PEAK(avx512_f32, __attribute__((target("avx512f"))), float, 64)
DEFINE_PEAK(avx512_f64, __attribute__((target("avx512f"))), double, 64)
#endif

static const struct {
    const char* isa;
    void (*run[2])(void); /* by is_double */
} peaks[] = {
    {"scalar", {baseline_f32, baseline_f64}},
#if defined(__x86_64__)
    {"avx2", {avx2_f32, avx2_f64}},
    {"avx512", {avx512_f32, avx512_f64}},
#else
    {"neon", {baseline_f32, baseline_f64}},
#endif
};

struct peak_case {
    void (*run)(void);
    int threads;
};

static void call_peak(void* data) {
    const struct peak_case* one = data;
#pragma omp parallel num_threads(one->threads)
    one->run();
}

double peak_seconds(const char* isa, int is_double, int threads, double budget) {
    for (size_t i = 0; i < sizeof peaks / sizeof peaks[0]; i++) {
        if (strcmp(isa, peaks[i].isa) == 0) {
            struct peak_case one = {peaks[i].run[is_double], threads};
            return fastest_call(call_peak, &one, budget);
        }
    }
    return -1;
}

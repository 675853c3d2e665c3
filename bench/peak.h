/* How many multiply-adds a second the processor can do at all: what the other
 * numbers are shares of. */
#ifndef ATTN_BENCH_PEAK_H
#define ATTN_BENCH_PEAK_H

/* floating-point operations, per thread, that peak_seconds() answers the time of */
#define PEAK_OPERATIONS 1e9

/* isa: "scalar" stands for what every processor of the platform has, so SSE2
 * with separate multiplications and additions on x86-64. Negative: not here. */
double peak_seconds(const char* isa, int is_double, int threads, double budget);

#endif

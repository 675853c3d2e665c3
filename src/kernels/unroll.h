/* What the sources of the kernels share: loops that must be unrolled and functions
 * that must be inlined at any level of optimization, so that vectors stay in
 * registers. */
#ifndef ATTN_KERNELS_UNROLL_H
#define ATTN_KERNELS_UNROLL_H

#if defined(__clang__)
#define ATTN_UNROLL _Pragma("clang loop unroll(full)")
#else
#define ATTN_UNROLL _Pragma("GCC unroll 32")
#endif

/* R compiles with -g. Where each variable lies at each instruction is half of what
 * that adds to kernels inlined this deep, and no debugger shows it readably: without,
 * the code is the same, and compiled in three quarters of the time. */
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC optimize("no-var-tracking")
#endif

#define ATTN_INLINE static inline __attribute__((always_inline))

#endif

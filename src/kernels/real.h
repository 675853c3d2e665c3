/* The element type of the file that is being compiled. Code that is the same in
 * both precisions is written once over `real` in a header and included twice,
 * with REAL_BITS 32 and 64; REAL_NAME(matmul) is matmul_f32 or matmul_f64. */
#undef real
#undef REAL_NAME
#undef REAL_INFINITY
#if REAL_BITS == 32
#define real float
#define REAL_NAME(name) name##_f32
#else
#define real double
#define REAL_NAME(name) name##_f64
#endif
#define REAL_INFINITY ((real)INFINITY)

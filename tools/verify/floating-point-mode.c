/* What governs floating-point arithmetic on this thread: the rounding mode, x87's control
 * word and the bits of MXCSR that are no record of what has happened. */
#include <fenv.h>

#define R_NO_REMAP
#include <R.h>
#include <Rinternals.h>

#if defined(__x86_64__)
#include <xmmintrin.h>
#endif

SEXP floating_point_mode(void) {
    SEXP mode = PROTECT(Rf_allocVector(INTSXP, 3));
    INTEGER(mode)[0] = fegetround();
    INTEGER(mode)[1] = INTEGER(mode)[2] = 0;
#if defined(__x86_64__)
    unsigned short control = 0;
    __asm__ volatile("fnstcw %0" : "=m"(control));
    INTEGER(mode)[1] = control;
    INTEGER(mode)[2] = (int)(_mm_getcsr() & ~0x3fu);
#endif
    UNPROTECT(1);
    return mode;
}

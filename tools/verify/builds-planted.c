/* Mistakes on purpose: a read behind the end of a block of memory, and a block that is lost.
 * What looks for such mistakes must find these. */
#include <stdlib.h>

#define R_NO_REMAP
#include <R.h>
#include <Rinternals.h>

SEXP planted_read(SEXP by);
SEXP planted_read(SEXP by) {
    volatile int* block = malloc(4 * sizeof *block);
    int found = 0;
    if (block != NULL) {
        block[3] = 1;
        found = block[3 + Rf_asInteger(by)];
        free((void*)block);
    }
    return Rf_ScalarInteger(found);
}

/* Many, or a register or the stack might still know the only one. */
SEXP planted_leak(SEXP hundreds);
SEXP planted_leak(SEXP hundreds) {
    for (int i = 100 * Rf_asInteger(hundreds); i > 0; i--) {
        volatile char* lost = malloc(1000);
        if (lost != NULL) {
            lost[0] = 1;
        }
    }
    return R_NilValue;
}

/* A mistake on purpose: reads behind the end of a block of memory. What looks for such
 * mistakes must find this one. */
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

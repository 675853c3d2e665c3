/* Threads, and what this build can do. */
#include <string.h>

#include "glue.h"
#include "kernels.h"

SEXP ffi_threads(SEXP threads) {
    const int before = attn_threads_get();
    if (threads != R_NilValue) {
        if (TYPEOF(threads) != INTSXP || Rf_xlength(threads) != 1) {
            glue_abort("internal", "threads is not an integer");
        }
        const int wanted = INTEGER_RO(threads)[0];
        attn_threads_set(wanted < 1 ? attn_threads_default() : wanted);
    }
    return Rf_ScalarInteger(before);
}

SEXP ffi_info(void) {
    const char* names[] = {"isa", "isa_available", "threads", "openmp", ""};
    int sets = 0;
    while (attn_kernels_available(sets) != NULL) {
        sets++;
    }
    SEXP info = PROTECT(Rf_mkNamed(VECSXP, names));
    SET_VECTOR_ELT(info, 0, Rf_mkString(attn_kernels()->isa));
    SET_VECTOR_ELT(info, 1, Rf_allocVector(STRSXP, sets));
    for (int i = 0; i < sets; i++) {
        SET_STRING_ELT(VECTOR_ELT(info, 1), i, Rf_mkChar(attn_kernels_available(i)));
    }
    SET_VECTOR_ELT(info, 2, Rf_ScalarInteger(attn_threads_get()));
    SET_VECTOR_ELT(info, 3, Rf_ScalarLogical(attn_has_openmp()));
    UNPROTECT(1);
    return info;
}

/* exp or tanh as the kernels compute them: for the accuracy tests */
SEXP ffi_elementary(SEXP x, SEXP name, SEXP dtype) {
    if (TYPEOF(x) != REALSXP) {
        glue_abort("internal", "an elementary function needs numbers");
    }
    const int is_exp = strcmp(glue_string(name, "the name of a function"), "exp") == 0;
    const int single = glue_dtype(dtype) == ATTN_FLOAT32;
    const R_xlen_t count = Rf_xlength(x);
    SEXP y = PROTECT(glue_vector(REALSXP, count));
    const double* from = REAL_RO(x);
    double* to = REAL(y);
    for (R_xlen_t i = 0; i < count; i++) {
        if (single) {
            const struct attn_kernels_f32* kernels = attn_kernels()->f32;
            float one = (float)from[i], result = 0;
            (is_exp ? kernels->exponential : kernels->hyperbolic_tangent)(1, &one, &result);
            to[i] = (double)result;
        } else {
            const struct attn_kernels_f64* kernels = attn_kernels()->f64;
            (is_exp ? kernels->exponential : kernels->hyperbolic_tangent)(1, from + i, to + i);
        }
    }
    UNPROTECT(1);
    return y;
}

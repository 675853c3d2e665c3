/* What an object of R keeps for its next use but what is no part of it: it is not saved
 * with it, and a copy that is read again has none. A weak reference is just that, and R
 * writes it without its value. Also: telling one environment from another. */
#include <stdio.h>

#include "glue.h"

SEXP ffi_cache_new(SEXP owner, SEXP value) {
    if (TYPEOF(owner) != ENVSXP) {
        glue_abort("internal", "a cache's owner is not an environment");
    }
    return R_MakeWeakRef(owner, value, R_NilValue, FALSE);
}

/* NULL where there is none */
SEXP ffi_cache_get(SEXP cache) {
    return TYPEOF(cache) == WEAKREFSXP ? R_WeakRefValue(cache) : R_NilValue;
}

/* A name for each environment of a list, the same as long as the environment is there. */
SEXP ffi_addresses(SEXP environments) {
    if (TYPEOF(environments) != VECSXP) {
        glue_abort("internal", "environments are not a list");
    }
    const R_xlen_t count = Rf_xlength(environments);
    SEXP names = PROTECT(Rf_allocVector(STRSXP, count));
    for (R_xlen_t i = 0; i < count; i++) {
        char name[32];
        SEXP environment = VECTOR_ELT(environments, i);
        if (TYPEOF(environment) != ENVSXP) {
            glue_abort("internal", "what has no address is no environment");
        }
        (void)snprintf(name, sizeof name, "%p", (void*)environment);
        SET_STRING_ELT(names, i, Rf_mkChar(name));
    }
    UNPROTECT(1);
    return names;
}

/* ---- the places of layers in their sequences of random numbers ---- */

static R_xlen_t check_handles(SEXP handles) {
    if (TYPEOF(handles) != VECSXP) {
        glue_abort("internal", "handles are not a list");
    }
    return Rf_xlength(handles);
}

/* as doubles; NA of a handle without a layer */
SEXP ffi_calls_get(SEXP handles) {
    const R_xlen_t count = check_handles(handles);
    SEXP calls = PROTECT(Rf_allocVector(REALSXP, count));
    for (R_xlen_t i = 0; i < count; i++) {
        const struct attn_layer* layer = glue_layer_or_null(VECTOR_ELT(handles, i));
        REAL(calls)[i] = layer != NULL ? (double)layer->calls : NA_REAL;
    }
    UNPROTECT(1);
    return calls;
}

SEXP ffi_calls_set(SEXP handles, SEXP calls) {
    const R_xlen_t count = check_handles(handles);
    if (TYPEOF(calls) != REALSXP || Rf_xlength(calls) != count) {
        glue_abort("internal", "there is not one number for each handle");
    }
    for (R_xlen_t i = 0; i < count; i++) {
        struct attn_layer* layer = glue_layer_or_null(VECTOR_ELT(handles, i));
        const double number = REAL_RO(calls)[i];
        if (layer != NULL && number >= 0 && number < 9007199254740992.0) {
            layer->calls = (uint64_t)number;
        }
    }
    return R_NilValue;
}

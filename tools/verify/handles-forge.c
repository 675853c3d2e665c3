/* For handles.R: what no R code can make, namely handles that are no longer, or never
 * were, what they seem. Built by R CMD SHLIB. */
#define R_NO_REMAP
#include <R.h>
#include <Rinternals.h>

#include <R_ext/Altrep.h>
#include <R_ext/Rdynload.h>
#include <R_ext/Visibility.h>
#include <stdint.h>
#include <string.h>

/* memory that is no layer, and large enough to be taken for one */
static unsigned char zeros[1 << 16];

/* an external pointer with a tag of that name, to such memory or to nothing */
SEXP forge_pointer(SEXP tag, SEXP is_null) {
    SEXP symbol = Rf_installChar(STRING_ELT(tag, 0));
    return R_MakeExternalPtr(Rf_asLogical(is_null) == TRUE ? NULL : zeros, symbol, R_NilValue);
}

SEXP forge_pointer_of(SEXP handle) { return R_altrep_data1(handle); }

/* Makes of a handle one whose layer is gone (0), is no layer (1), whose pointer has another
 * tag (2), or gives it back what it had (3). Of one handle at a time. */
SEXP forge_state(SEXP handle, SEXP what) {
    static void* address;
    static SEXP tag;
    SEXP pointer = R_altrep_data1(handle);
    switch (Rf_asInteger(what)) {
        case 0:
        case 1:
            address = R_ExternalPtrAddr(pointer);
            tag = R_ExternalPtrTag(pointer);
            R_SetExternalPtrAddr(pointer, Rf_asInteger(what) == 0 ? NULL : zeros);
            break;
        case 2:
            address = R_ExternalPtrAddr(pointer);
            tag = R_ExternalPtrTag(pointer);
            R_SetExternalPtrTag(pointer, Rf_install("another"));
            break;
        default:
            R_SetExternalPtrAddr(pointer, address);
            R_SetExternalPtrTag(pointer, tag);
    }
    return R_NilValue;
}

/* the state of a layer with the checksum that its bytes ask for (FNV-1a) */
SEXP forge_checksum(SEXP state) {
    SEXP made = PROTECT(Rf_duplicate(state));
    const R_xlen_t size = Rf_xlength(made) - 8;
    uint64_t hash = UINT64_C(0xcbf29ce484222325);
    for (R_xlen_t i = 0; i < size; i++) {
        hash = (hash ^ RAW(made)[i]) * UINT64_C(0x100000001b3);
    }
    for (int i = 0; size >= 0 && i < 8; i++) {
        RAW(made)[size + i] = (Rbyte)(hash >> (8 * i));
    }
    UNPROTECT(1);
    return made;
}

/* what no argument should be */
SEXP forge_weak_reference(SEXP key, SEXP value) {
    return R_MakeWeakRef(key, value, R_NilValue, FALSE);
}

static const R_CallMethodDef entries[] = {
    {"forge_pointer", (DL_FUNC)&forge_pointer, 2},
    {"forge_pointer_of", (DL_FUNC)&forge_pointer_of, 1},
    {"forge_state", (DL_FUNC)&forge_state, 2},
    {"forge_checksum", (DL_FUNC)&forge_checksum, 1},
    {"forge_weak_reference", (DL_FUNC)&forge_weak_reference, 2},
    {NULL, NULL, 0},
};

void attribute_visible R_init_forge(DllInfo* dll) {
    R_registerRoutines(dll, NULL, entries, NULL, NULL);
    R_useDynamicSymbols(dll, FALSE);
}

/* Arguments that can be understood without R's help. All others are left to R,
 * which knows what more is allowed and has the words for what is not. */
#include <string.h>

#include "glue.h"

static int is_plain(SEXP x) {
    const int type = TYPEOF(x);
    return (type == REALSXP || type == INTSXP || type == LGLSXP) && !Rf_isObject(x);
}

int glue_plain_rank(SEXP x) {
    SEXP dim = is_plain(x) ? Rf_getAttrib(x, R_DimSymbol) : R_NilValue;
    if (dim == R_NilValue) {
        return 0;
    }
    const R_xlen_t rank = Rf_xlength(dim);
    if (TYPEOF(dim) != INTSXP || rank > ATTN_MAX_RANK) {
        return 0;
    }
    const int* size = INTEGER_RO(dim);
    for (R_xlen_t i = 0; i < rank; i++) {
        if (size[i] < 1) {
            return 0;
        }
    }
    return (int)rank;
}

static int number_is_missing(const double* number, R_xlen_t begin, R_xlen_t end) {
    for (R_xlen_t i = begin; i < end; i++) {
        if (ISNAN(number[i])) {
            return 1;
        }
    }
    return 0;
}

static int integer_is_missing(const int* number, R_xlen_t begin, R_xlen_t end) {
    for (R_xlen_t i = begin; i < end; i++) {
        if (number[i] == NA_INTEGER) {
            return 1;
        }
    }
    return 0;
}

static int has_missing(SEXP x) {
    const R_xlen_t length = Rf_xlength(x);
    for (R_xlen_t begin = 0; begin < length; begin += GLUE_POLL_EVERY) {
        const R_xlen_t end = length - begin < GLUE_POLL_EVERY ? length : begin + GLUE_POLL_EVERY;
        if (begin > 0) {
            glue_poll();
        }
        if (TYPEOF(x) == REALSXP
                ? number_is_missing(REAL_RO(x), begin, end)
                : integer_is_missing(TYPEOF(x) == INTSXP ? INTEGER_RO(x) : LOGICAL_RO(x), begin,
                                     end)) {
            return 1;
        }
    }
    return 0;
}

int glue_plain_mask(SEXP x, int* dim) {
    int rank = glue_plain_rank(x);
    if (rank > 0) {
        memcpy(dim, INTEGER_RO(Rf_getAttrib(x, R_DimSymbol)), (size_t)rank * sizeof *dim);
    } else {
        const R_xlen_t length = Rf_xlength(x);
        if (!is_plain(x) || Rf_getAttrib(x, R_DimSymbol) != R_NilValue || length < 1 ||
            length > INT_MAX) {
            return 0;
        }
        dim[0] = (int)length;
        rank = 1;
    }
    return has_missing(x) ? 0 : rank;
}

int glue_plain_flag(SEXP x) {
    if (TYPEOF(x) != LGLSXP || Rf_xlength(x) != 1 || Rf_isObject(x) ||
        Rf_getAttrib(x, R_DimSymbol) != R_NilValue) {
        return -1;
    }
    const int flag = LOGICAL_RO(x)[0];
    return flag == NA_LOGICAL ? -1 : flag != 0;
}

/* Numbers of files: raw vectors of their bytes to R arrays, and back. */
#include <string.h>

#include "glue.h"
#include "stored.h"

struct attn_stored glue_stored(SEXP type, SEXP dim, int is_big_endian) {
    struct attn_stored tensor = {.is_big_endian = is_big_endian};
    if (TYPEOF(type) != STRSXP || Rf_xlength(type) != 1) {
        glue_abort("internal", "the type of a tensor is not a string");
    }
    const char* name = CHAR(STRING_ELT(type, 0));
    if (!attn_stored_type_named(name, strlen(name), &tensor.type)) {
        glue_abort("internal", "a tensor has an unknown type: %s", name);
    }
    const R_xlen_t rank = Rf_xlength(dim);
    if (TYPEOF(dim) != REALSXP || rank > ATTN_STORED_MAX_RANK) {
        glue_abort("internal", "the shape of a tensor is not one");
    }
    tensor.rank = (int)rank;
    for (int axis = 0; axis < tensor.rank; axis++) {
        const double extent = REAL_RO(dim)[axis];
        if (!(extent >= 0 && extent <= INT_MAX)) {
            glue_abort("internal", "the shape of a tensor is larger than an array can be");
        }
        tensor.extent[axis] = (uint64_t)extent;
    }
    return tensor;
}

R_xlen_t glue_stored_length(const struct attn_stored* tensor) {
    uint64_t bytes;
    if (!attn_stored_bytes(tensor, &bytes) ||
        bytes / attn_stored_size(tensor->type) > (uint64_t)R_XLEN_T_MAX) {
        glue_abort("internal", "a tensor is larger than an array can be");
    }
    return (R_xlen_t)(bytes / attn_stored_size(tensor->type));
}

/* what R calls element `at` of the row-major order: its indices, "[1, 2]" */
static SEXP describe_place(const struct attn_stored* tensor, R_xlen_t at) {
    char text[ATTN_STORED_MAX_RANK * 12 + 8];
    int index[ATTN_STORED_MAX_RANK] = {0};
    for (int axis = tensor->rank - 1; axis >= 0; axis--) {
        index[axis] = (int)((uint64_t)at % tensor->extent[axis]) + 1;
        at = (R_xlen_t)((uint64_t)at / tensor->extent[axis]);
    }
    size_t used = (size_t)snprintf(text, sizeof text, "[");
    for (int axis = 0; axis < tensor->rank; axis++) {
        used += (size_t)snprintf(text + used, sizeof text - used, axis > 0 ? ", %d" : "%d",
                                 index[axis]);
    }
    (void)snprintf(text + used, sizeof text - used, "]");
    return Rf_mkString(text);
}

static SEXP new_array(const struct attn_stored* tensor) {
    SEXP array = PROTECT(glue_vector(REALSXP, glue_stored_length(tensor)));
    if (tensor->rank > 0) {
        SEXP dims = PROTECT(Rf_allocVector(INTSXP, tensor->rank));
        for (int axis = 0; axis < tensor->rank; axis++) {
            INTEGER(dims)[axis] = (int)tensor->extent[axis];
        }
        Rf_setAttrib(array, R_DimSymbol, dims);
        UNPROTECT(1);
    }
    UNPROTECT(1);
    return array;
}

/* attn_stored_read() of elements first ... first + count - 1, with polls */
static size_t read_elements(const struct attn_stored* tensor, size_t first, size_t count,
                            const unsigned char* bytes, double* array) {
    const size_t size = attn_stored_size(tensor->type);
    size_t done = 0;
    while (done < count) {
        const size_t left = count - done;
        const size_t part = left < GLUE_POLL_EVERY ? left : GLUE_POLL_EVERY;
        const size_t read =
            attn_stored_read(tensor, first + done, part, bytes + done * size, array);
        done += read;
        if (read < part) {
            break;
        }
        if (done < count) {
            glue_poll();
        }
    }
    return done;
}

SEXP glue_read_stored(const struct attn_stored* tensor, const unsigned char* bytes) {
    SEXP array = PROTECT(new_array(tensor));
    const size_t length = (size_t)Rf_xlength(array);
    const size_t read = read_elements(tensor, 0, length, bytes, REAL(array));
    UNPROTECT(1);
    return read < length ? describe_place(tensor, (R_xlen_t)read) : array;
}

/* An array of doubles from the bytes of a whole tensor, which come as a list of
 * raw vectors so that no part of a large file needs to be one vector; or, as a
 * string, the indices of a number that no double holds. */
SEXP ffi_stored_read(SEXP parts, SEXP type, SEXP dim) {
    const struct attn_stored tensor = glue_stored(type, dim, 0);
    const R_xlen_t size = (R_xlen_t)attn_stored_size(tensor.type);
    if (TYPEOF(parts) != VECSXP) {
        glue_abort("internal", "the bytes of a tensor are not a list");
    }
    R_xlen_t there = 0;
    for (R_xlen_t i = 0; i < Rf_xlength(parts); i++) {
        SEXP part = VECTOR_ELT(parts, i);
        if (TYPEOF(part) != RAWSXP || Rf_xlength(part) % size != 0) {
            glue_abort("internal", "a part of a tensor is not made of whole elements");
        }
        there += Rf_xlength(part) / size;
    }
    if (there != glue_stored_length(&tensor)) {
        glue_abort("internal", "a tensor does not have the bytes of its shape");
    }
    SEXP array = PROTECT(new_array(&tensor));
    R_xlen_t done = 0;
    for (R_xlen_t i = 0; i < Rf_xlength(parts); i++) {
        SEXP part = VECTOR_ELT(parts, i);
        const size_t count = (size_t)(Rf_xlength(part) / size);
        const size_t read =
            read_elements(&tensor, (size_t)done, count, RAW_RO(part), REAL(array));
        done += (R_xlen_t)read;
        if (read < count) {
            UNPROTECT(1);
            return describe_place(&tensor, done);
        }
    }
    UNPROTECT(1);
    return array;
}

/* The bytes of `count` elements of the array from the row-major place `first` (from
 * 0) on; or, as a string, the indices of a number that is too large for F32. */
SEXP ffi_stored_write(SEXP array, SEXP type, SEXP dim, SEXP first, SEXP count) {
    const struct attn_stored tensor = glue_stored(type, dim, 0);
    const R_xlen_t length = glue_stored_length(&tensor);
    const double from = Rf_asReal(first), number = Rf_asReal(count);
    if (TYPEOF(array) != REALSXP || Rf_xlength(array) != length ||
        (tensor.type != ATTN_STORED_F64 && tensor.type != ATTN_STORED_F32) ||
        !(from >= 0 && number >= 0 && from + number <= (double)length)) {
        glue_abort("internal", "a tensor to be written is not an array of its shape");
    }
    const size_t elements = (size_t)number;
    SEXP bytes = PROTECT(
        glue_vector(RAWSXP, (R_xlen_t)(elements * attn_stored_size(tensor.type))));
    size_t written = 0;
    while (written < elements) {
        const size_t left = elements - written;
        const size_t part = left < GLUE_POLL_EVERY ? left : GLUE_POLL_EVERY;
        const size_t now =
            attn_stored_write(&tensor, (size_t)from + written, part, REAL_RO(array),
                              RAW(bytes) + written * attn_stored_size(tensor.type));
        written += now;
        if (now < part) {
            break;
        }
        if (written < elements) {
            glue_poll();
        }
    }
    UNPROTECT(1);
    return written < elements ? describe_place(&tensor, (R_xlen_t)from + (R_xlen_t)written)
                              : bytes;
}

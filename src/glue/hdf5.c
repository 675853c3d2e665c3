/* HDF5 files as R lists. */
#include "glue.h"
#include "hdf5.h"

static SEXP text_of(const struct attn_hdf5* parsed, struct attn_hdf5_text text) {
    return Rf_mkCharLenCE(parsed->text + text.at, (int)text.length, CE_UTF8);
}

static void set_names(SEXP list, int count, const char* const* names) {
    SEXP vector = PROTECT(glue_vector(STRSXP, count));
    for (int i = 0; i < count; i++) {
        SET_STRING_ELT(vector, i, Rf_mkChar(names[i]));
    }
    Rf_setAttrib(list, R_NamesSymbol, vector);
    UNPROTECT(1);
}

/* list(verdict =, problem =, at =) */
static SEXP fault_list(enum attn_hdf5_verdict verdict, const struct attn_hdf5_fault* fault) {
    static const char* const names[] = {"verdict", "problem", "at"};
    const char* name = verdict == ATTN_HDF5_WRONG     ? "wrong"
                       : verdict == ATTN_HDF5_REFUSED ? "refused"
                                                      : "foreign";
    SEXP list = PROTECT(Rf_allocVector(VECSXP, 3));
    SET_VECTOR_ELT(list, 0, Rf_mkString(name));
    SET_VECTOR_ELT(list, 1, Rf_mkString(fault->problem));
    SET_VECTOR_ELT(list, 2, Rf_ScalarReal((double)fault->at));
    set_names(list, 3, names);
    UNPROTECT(1);
    return list;
}

/* list(dtype =, big_endian =, shape =, at =) of data, NULL of a group */
static SEXP node_list(const struct attn_hdf5_node* node) {
    static const char* const names[] = {"dtype", "big_endian", "shape", "at"};
    if (!node->is_data) {
        return R_NilValue;
    }
    SEXP list = PROTECT(Rf_allocVector(VECSXP, 4));
    SET_VECTOR_ELT(list, 0, Rf_mkString(attn_stored_name(node->tensor.type)));
    SET_VECTOR_ELT(list, 1, Rf_ScalarLogical(node->tensor.is_big_endian));
    SEXP shape = SET_VECTOR_ELT(list, 2, Rf_allocVector(REALSXP, node->tensor.rank));
    for (int axis = 0; axis < node->tensor.rank; axis++) {
        REAL(shape)[axis] = (double)node->tensor.extent[axis];
    }
    SET_VECTOR_ELT(list, 3, Rf_ScalarReal((double)node->data_at));
    set_names(list, 4, names);
    UNPROTECT(1);
    return list;
}

static SEXP values_of(const struct attn_hdf5* parsed, const struct attn_hdf5_attribute* attribute) {
    SEXP values = PROTECT(glue_vector(STRSXP, (R_xlen_t)attribute->values));
    for (size_t i = 0; i < attribute->values; i++) {
        const struct attn_hdf5_text value = parsed->value[attribute->value_at + i];
        SET_STRING_ELT(values, (R_xlen_t)i, text_of(parsed, value));
    }
    UNPROTECT(1);
    return values;
}

/* list(path =, node =, owner =, attribute =, value =): owner[i] is the path of the group
 * or data that has the attribute */
static SEXP parsed_list(const struct attn_hdf5* parsed) {
    static const char* const names[] = {"path", "node", "owner", "attribute", "value"};
    const R_xlen_t nodes = (R_xlen_t)parsed->nodes, count = (R_xlen_t)parsed->attributes;
    SEXP list = PROTECT(Rf_allocVector(VECSXP, 5));
    SEXP path = SET_VECTOR_ELT(list, 0, glue_vector(STRSXP, nodes));
    SEXP node = SET_VECTOR_ELT(list, 1, glue_vector(VECSXP, nodes));
    SEXP owner = SET_VECTOR_ELT(list, 2, glue_vector(STRSXP, count));
    SEXP attribute = SET_VECTOR_ELT(list, 3, glue_vector(STRSXP, count));
    SEXP value = SET_VECTOR_ELT(list, 4, glue_vector(VECSXP, count));
    for (R_xlen_t i = 0; i < nodes; i++) {
        SET_STRING_ELT(path, i, text_of(parsed, parsed->node[i].path));
        SET_VECTOR_ELT(node, i, node_list(&parsed->node[i]));
    }
    for (R_xlen_t i = 0; i < count; i++) {
        SET_STRING_ELT(owner, i, STRING_ELT(path, (R_xlen_t)parsed->attribute[i].node));
        SET_STRING_ELT(attribute, i, text_of(parsed, parsed->attribute[i].name));
        SET_VECTOR_ELT(value, i, values_of(parsed, &parsed->attribute[i]));
    }
    set_names(list, 5, names);
    UNPROTECT(1);
    return list;
}

/* What a file holds, or what is wrong with it (fault_list). */
SEXP ffi_hdf5_parse(SEXP bytes) {
    struct attn_hdf5 parsed;
    struct attn_hdf5_fault fault;
    if (TYPEOF(bytes) != RAWSXP) {
        glue_abort("internal", "a file is not a raw vector");
    }
    const unsigned char* file = RAW_RO(bytes);
    const size_t size = (size_t)Rf_xlength(bytes);
    enum attn_hdf5_verdict verdict = attn_hdf5_count(file, size, &parsed, &fault);
    if (verdict == ATTN_HDF5_RIGHT && parsed.text_size > INT_MAX) {
        glue_abort("internal", "the names in a file are longer than text can be");
    }
    if (verdict == ATTN_HDF5_RIGHT) {
        parsed.node = glue_scratch(parsed.nodes, sizeof *parsed.node);
        parsed.attribute = glue_scratch(parsed.attributes, sizeof *parsed.attribute);
        parsed.value = glue_scratch(parsed.values, sizeof *parsed.value);
        parsed.span = glue_scratch(parsed.spans, sizeof *parsed.span);
        parsed.text = glue_scratch(parsed.text_size, 1);
        verdict = attn_hdf5_fill(file, size, &parsed, &fault);
    }
    return verdict == ATTN_HDF5_RIGHT ? parsed_list(&parsed) : fault_list(verdict, &fault);
}

/* The tensor whose bytes start at byte `at` (from 0) of a file: as ffi_stored_read(). */
SEXP ffi_hdf5_read(SEXP bytes, SEXP at, SEXP type, SEXP dim, SEXP big_endian) {
    const struct attn_stored tensor = glue_stored(type, dim, Rf_asLogical(big_endian) == TRUE);
    const double start = Rf_asReal(at);
    const double size =
        (double)glue_stored_length(&tensor) * (double)attn_stored_size(tensor.type);
    if (TYPEOF(bytes) != RAWSXP || !(start >= 0 && start + size <= (double)Rf_xlength(bytes))) {
        glue_abort("internal", "a tensor lies outside its file");
    }
    return glue_read_stored(&tensor, RAW_RO(bytes) + (size_t)start);
}

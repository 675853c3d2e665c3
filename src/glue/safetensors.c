/* Headers of safetensors files as R lists. */
#include "glue.h"
#include "safetensors.h"

static SEXP new_text(const char* text, size_t length) {
    return Rf_mkCharLenCE(text, (int)length, CE_UTF8);
}

static SEXP text_of(const struct attn_safetensors* parsed, struct attn_safetensors_text text) {
    return new_text(parsed->text + text.at, text.length);
}

static void set_names(SEXP list, int count, const char* const* names) {
    SEXP vector = PROTECT(glue_vector(STRSXP, count));
    for (int i = 0; i < count; i++) {
        SET_STRING_ELT(vector, i, Rf_mkChar(names[i]));
    }
    Rf_setAttrib(list, R_NamesSymbol, vector);
    UNPROTECT(1);
}

/* list(problem =, at =, key =): key is the tensor's name as JSON, or "" */
static SEXP fault_list(const struct attn_safetensors_fault* fault, const unsigned char* header) {
    static const char* const names[] = {"problem", "at", "key"};
    SEXP list = PROTECT(Rf_allocVector(VECSXP, 3));
    SET_VECTOR_ELT(list, 0, Rf_mkString(fault->problem));
    SET_VECTOR_ELT(list, 1, Rf_ScalarReal((double)fault->at));
    SEXP key = PROTECT(header != NULL ? new_text((const char*)header + fault->key.at,
                                                 fault->key.length)
                                      : Rf_mkChar(""));
    SET_VECTOR_ELT(list, 2, Rf_ScalarString(key));
    set_names(list, 3, names);
    UNPROTECT(2);
    return list;
}

/* a size of a file, which R counts in doubles */
static uint64_t file_size(SEXP size) {
    const double number = Rf_asReal(size);
    if (!(number >= 0 && number <= 9007199254740992.0)) {
        glue_abort("internal", "the size of a file is not a number");
    }
    return (uint64_t)number;
}

/* The length of the header from the first 8 bytes of a file, or what is wrong. */
SEXP ffi_safetensors_size(SEXP prefix, SEXP size) {
    struct attn_safetensors_fault fault;
    uint64_t header_size;
    if (TYPEOF(prefix) != RAWSXP || Rf_xlength(prefix) != ATTN_SAFETENSORS_PREFIX) {
        glue_abort("internal", "the start of a file is not 8 bytes");
    }
    if (!attn_safetensors_header_size(RAW_RO(prefix), file_size(size), &header_size, &fault)) {
        return fault_list(&fault, NULL);
    }
    return Rf_ScalarReal((double)header_size);
}

static SEXP shape_vector(const struct attn_safetensors* parsed, size_t i) {
    const struct attn_safetensors_tensor* tensor = &parsed->tensor[i];
    SEXP shape = Rf_allocVector(REALSXP, tensor->rank);
    for (int axis = 0; axis < tensor->rank; axis++) {
        REAL(shape)[axis] = (double)parsed->extent[tensor->extent_at + (size_t)axis];
    }
    return shape;
}

static SEXP metadata_vector(const struct attn_safetensors* parsed) {
    SEXP values = PROTECT(glue_vector(STRSXP, (R_xlen_t)parsed->pairs));
    SEXP keys = PROTECT(glue_vector(STRSXP, (R_xlen_t)parsed->pairs));
    for (size_t i = 0; i < parsed->pairs; i++) {
        SET_STRING_ELT(keys, (R_xlen_t)i, text_of(parsed, parsed->pair[i].key));
        SET_STRING_ELT(values, (R_xlen_t)i, text_of(parsed, parsed->pair[i].value));
    }
    Rf_setAttrib(values, R_NamesSymbol, keys);
    UNPROTECT(2);
    return values;
}

/* list(name =, dtype =, shape =, begin =, end =, metadata =), tensors in the order
 * of their data */
static SEXP parsed_list(const struct attn_safetensors* parsed) {
    static const char* const names[] = {"name", "dtype", "shape", "begin", "end", "metadata"};
    const R_xlen_t tensors = (R_xlen_t)parsed->tensors;
    SEXP list = PROTECT(Rf_allocVector(VECSXP, 6));
    SEXP name = SET_VECTOR_ELT(list, 0, glue_vector(STRSXP, tensors));
    SEXP dtype = SET_VECTOR_ELT(list, 1, glue_vector(STRSXP, tensors));
    SEXP shape = SET_VECTOR_ELT(list, 2, glue_vector(VECSXP, tensors));
    SEXP begin = SET_VECTOR_ELT(list, 3, glue_vector(REALSXP, tensors));
    SEXP end = SET_VECTOR_ELT(list, 4, glue_vector(REALSXP, tensors));
    for (R_xlen_t i = 0; i < tensors; i++) {
        const size_t at = parsed->order[i];
        const struct attn_safetensors_tensor* tensor = &parsed->tensor[at];
        SET_STRING_ELT(name, i, text_of(parsed, tensor->name));
        SET_STRING_ELT(dtype, i, Rf_mkChar(attn_stored_name(tensor->type)));
        SET_VECTOR_ELT(shape, i, shape_vector(parsed, at));
        REAL(begin)[i] = (double)tensor->begin;
        REAL(end)[i] = (double)tensor->end;
    }
    SET_VECTOR_ELT(list, 5, metadata_vector(parsed));
    set_names(list, 6, names);
    UNPROTECT(1);
    return list;
}

/* What a header says, or what is wrong with it (fault_list). */
SEXP ffi_safetensors_parse(SEXP header, SEXP data_size) {
    struct attn_safetensors parsed;
    struct attn_safetensors_fault fault;
    if (TYPEOF(header) != RAWSXP) {
        glue_abort("internal", "a header is not a raw vector");
    }
    const unsigned char* bytes = RAW_RO(header);
    const size_t size = (size_t)Rf_xlength(header);
    const uint64_t data = file_size(data_size);
    if (size > ATTN_SAFETENSORS_MAX_HEADER) {
        glue_abort("internal", "a header is larger than headers can be");
    }
    if (!attn_safetensors_count(bytes, size, data, &parsed, &fault)) {
        return fault_list(&fault, bytes);
    }
    const size_t rows = parsed.tensors > parsed.pairs ? parsed.tensors : parsed.pairs;
    parsed.tensor = glue_scratch(parsed.tensors, sizeof *parsed.tensor);
    parsed.pair = glue_scratch(parsed.pairs, sizeof *parsed.pair);
    parsed.extent = glue_scratch(parsed.extents, sizeof *parsed.extent);
    parsed.text = glue_scratch(parsed.text_size, 1);
    parsed.order = glue_scratch(rows, sizeof *parsed.order);
    if (!attn_safetensors_fill(bytes, size, data, &parsed, &fault)) {
        return fault_list(&fault, bytes);
    }
    return parsed_list(&parsed);
}

static struct attn_safetensors_string string_of(SEXP vector, R_xlen_t i) {
    SEXP text = STRING_ELT(vector, i);
    const struct attn_safetensors_string string = {CHAR(text), (size_t)Rf_xlength(text)};
    return string;
}

/* The first bytes of a file: names and metadata are UTF-8, shapes a list of doubles. */
SEXP ffi_safetensors_write(SEXP names, SEXP type, SEXP shapes, SEXP keys, SEXP values) {
    const R_xlen_t tensors = Rf_xlength(names), pairs = Rf_xlength(keys);
    if (TYPEOF(names) != STRSXP || TYPEOF(keys) != STRSXP || TYPEOF(values) != STRSXP ||
        TYPEOF(shapes) != VECSXP || Rf_xlength(shapes) != tensors || Rf_xlength(values) != pairs) {
        glue_abort("internal", "a header does not have a shape for every name");
    }
    struct attn_safetensors_entry* entry = glue_scratch((size_t)tensors, sizeof *entry);
    struct attn_safetensors_string* pair = glue_scratch(2 * (size_t)pairs, sizeof *pair);
    for (R_xlen_t i = 0; i < tensors; i++) {
        entry[i].name = string_of(names, i);
        entry[i].shape = glue_stored(type, VECTOR_ELT(shapes, i), 0);
    }
    for (R_xlen_t i = 0; i < pairs; i++) {
        pair[2 * i] = string_of(keys, i);
        pair[2 * i + 1] = string_of(values, i);
    }
    const size_t size =
        attn_safetensors_write(entry, (size_t)tensors, pair, (size_t)pairs, NULL);
    SEXP bytes = PROTECT(glue_vector(RAWSXP, (R_xlen_t)size));
    attn_safetensors_write(entry, (size_t)tensors, pair, (size_t)pairs, RAW(bytes));
    UNPROTECT(1);
    return bytes;
}

#include "program_arrays.h"

#include <string.h>

/* ---- arrays in ---- */

static enum attn_value_type type_of(const char* name) {
    return strcmp(name, "float64") == 0 ? ATTN_VALUE_FLOAT64
           : strcmp(name, "int32") == 0 ? ATTN_VALUE_INT32
           : strcmp(name, "bool") == 0  ? ATTN_VALUE_BOOL
                                        : ATTN_VALUE_FLOAT32;
}

static struct glue_array array_or_vector(SEXP x, const char* what) {
    SEXP dims = Rf_getAttrib(x, R_DimSymbol);
    if (dims != R_NilValue) {
        return glue_array_of(x, dims, what);
    }
    const int length = Rf_xlength(x) > INT_MAX ? 0 : (int)Rf_xlength(x);
    return glue_array_with(x, 1, &length, what);
}

static struct glue_array mask_of(SEXP x, const struct glue_array* array) {
    const struct glue_array mask = array_or_vector(x, "a mask");
    int fits = mask.rank <= array->rank;
    for (int axis = 0; fits && axis < mask.rank; axis++) {
        fits = mask.dim[axis] == 1 || mask.dim[axis] == array->dim[axis];
    }
    if (!fits) {
        glue_abort("internal", "a mask does not have the leading dims of its array");
    }
    return mask;
}

struct program_input program_input(SEXP x, const char* type, SEXP batch) {
    struct program_input input = {.array = array_or_vector(x, "an input"), .type = type_of(type)};
    input.count = input.array.dim[0];
    if (batch != R_NilValue) {
        input.first = (ptrdiff_t)INTEGER_RO(batch)[0] - 1;
        input.count = INTEGER_RO(batch)[1];
    }
    if (input.first < 0 || input.count < 1 || input.count > input.array.dim[0] - input.first) {
        glue_abort("internal", "a batch is not part of its array");
    }
    SEXP mask = Rf_getAttrib(x, glue_symbols.keras_mask);
    if (mask != R_NilValue) {
        input.mask = mask_of(mask, &input.array);
    }
    return input;
}

/* glue_places() of a tensor without its first axis; one place where there is no other. */
static const ptrdiff_t* tail_places(struct glue_call* call, int rank, const ptrdiff_t* dim,
                                    ptrdiff_t* count) {
    return glue_places(call, rank > 1 ? rank - 1 : 0, dim + 1, count);
}

static double array_number(const struct glue_array* array, ptrdiff_t i) {
    if (array->numbers != NULL) {
        return array->numbers[i];
    }
    return array->integers[i] == NA_INTEGER ? R_NaN : (double)array->integers[i];
}

/* Whether x can be what its type says. Ids are truncated, as Keras's cast does. */
static int set_number(enum attn_value_type type, void* data, ptrdiff_t i, double x) {
    switch (type) {
        case ATTN_VALUE_FLOAT32:
            ((float*)data)[i] = (float)x;
            return 1;
        case ATTN_VALUE_FLOAT64:
            ((double*)data)[i] = x;
            return 1;
        case ATTN_VALUE_INT32:
            if (!(x > -2147483649.0 && x < 2147483648.0)) {
                ((int32_t*)data)[i] = INT32_MIN;
                return 0;
            }
            ((int32_t*)data)[i] = (int32_t)x;
            return 1;
        case ATTN_VALUE_BOOL:
            break;
    }
    ((uint8_t*)data)[i] = x != 0;
    return !ISNAN(x);
}

/* numbers of a part of an array, row-major, one by one */
static enum attn_status read_numbers(struct glue_call* call, const struct program_input* input,
                                     void* data) {
    const struct glue_array* array = &input->array;
    ptrdiff_t count;
    const ptrdiff_t* place = tail_places(call, array->rank, array->dim, &count);
    ptrdiff_t since = 0;
    int sound = 1;
    for (ptrdiff_t i = 0; i < count; i++) {
        for (ptrdiff_t b = 0; b < input->count; b++) {
            const double x = array_number(array, i * array->dim[0] + input->first + b);
            sound &= set_number(input->type, data, b * count + place[i], x);
        }
        attn_parallel_poll_after(&call->context, input->count, &since);
    }
    return sound ? ATTN_OK : ATTN_BAD_INDEX;
}

/* The axes of a tensor between the first and the last: where the rows of each of their
 * `count` index tuples, in R's order, are in a row-major tensor, for the first entry. */
static const ptrdiff_t* middle_places(struct glue_call* call, int rank, const ptrdiff_t* dim,
                                      ptrdiff_t* count) {
    return tail_places(call, rank > 2 ? rank - 1 : 1, dim, count);
}

static ptrdiff_t columns_of(int rank, const ptrdiff_t* dim) {
    return rank > 1 ? dim[rank - 1] : 1;
}

/* doubles of a part of an array, as floats: one matrix (entries x columns) for each index
 * of the axes between */
static void read_floats(struct glue_call* call, const struct program_input* input, void* data) {
    const struct glue_array* array = &input->array;
    const enum attn_dtype dtype = (enum attn_dtype)input->type;
    const ptrdiff_t columns = columns_of(array->rank, array->dim);
    ptrdiff_t count, since = 0;
    const ptrdiff_t* place = middle_places(call, array->rank, array->dim, &count);
    for (ptrdiff_t i = 0; i < count; i++) {
        const struct attn_matrix from = attn_columns(
            array->numbers + i * array->dim[0] + input->first, array->dim[0] * count);
        struct attn_matrix_out to = attn_rows_out(
            (unsigned char*)data + (size_t)(place[i] * columns) * attn_dtype_size(dtype),
            count * columns);
        attn_matrix_copy(&call->context, dtype, input->count, columns, &from, &to);
        attn_parallel_poll_after(&call->context, input->count * columns, &since);
    }
}

/* the same for a whole array: one matrix, whose rows have places */
static void read_whole(struct glue_call* call, const struct program_input* input, void* data) {
    const struct glue_array* array = &input->array;
    const ptrdiff_t columns = columns_of(array->rank, array->dim);
    const ptrdiff_t rows = Rf_xlength(array->object) / columns;
    const struct attn_matrix from = attn_columns(array->numbers, rows);
    struct attn_matrix_out to = attn_rows_out(data, columns);
    to.row_place = glue_row_places(call, array->rank, array->dim);
    attn_matrix_copy(&call->context, (enum attn_dtype)input->type, rows, columns, &from, &to);
}

/* A mask, whose dims of size 1 stand for every index, of the value's leading dims. */
static enum attn_status read_mask(struct attn_run* run, const struct program_input* input,
                                  struct attn_value* value) {
    const struct glue_array* mask = &input->mask;
    ATTN_TRY(attn_value_new_mask(&run->memory, mask->rank, value->dim, value));
    uint8_t* to = value->mask->data;
    ptrdiff_t index[ATTN_MAX_RANK] = {0}, length = 1;
    for (int axis = 0; axis < mask->rank; axis++) {
        length *= value->dim[axis];
    }
    int sound = 1;
    for (ptrdiff_t i = 0; i < length; i++) {
        ptrdiff_t at = 0;
        for (int axis = 0; axis < mask->rank; axis++) {
            const ptrdiff_t entry = index[axis] + (axis == 0 ? input->first : 0);
            at += mask->dim[axis] == 1 ? 0 : entry * mask->step[axis];
        }
        sound &= set_number(ATTN_VALUE_BOOL, to, i, array_number(mask, at));
        attn_parallel_poll_at(&run->context, i);
        for (int axis = mask->rank - 1; axis >= 0 && ++index[axis] == value->dim[axis]; axis--) {
            index[axis] = 0;
        }
    }
    return sound ? ATTN_OK : ATTN_BAD_INDEX;
}

enum attn_status program_read(struct glue_call* call, struct attn_run* run,
                              const struct program_input* input, struct attn_value* value) {
    const struct glue_array* array = &input->array;
    ptrdiff_t dim[ATTN_MAX_RANK];
    memcpy(dim, array->dim, sizeof dim);
    enum attn_status status = ATTN_OK;
    dim[0] = input->count;
    ATTN_TRY(attn_value_new(&run->memory, input->type, array->rank, dim, value));
    if (array->numbers == NULL || input->type > ATTN_VALUE_FLOAT64) {
        status = read_numbers(call, input, value->buffer->data);
    } else if (input->count == array->dim[0]) {
        read_whole(call, input, value->buffer->data);
    } else {
        read_floats(call, input, value->buffer->data);
    }
    if (input->mask.object != NULL) {
        const enum attn_status of_mask = read_mask(run, input, value);
        status = of_mask == ATTN_OK ? status : of_mask;
    }
    return status;
}

/* ---- arrays out ---- */

static SEXPTYPE r_type(enum attn_value_type type) {
    return type == ATTN_VALUE_BOOL ? LGLSXP : type == ATTN_VALUE_INT32 ? INTSXP : REALSXP;
}

static SEXP new_array(SEXPTYPE type, int rank, const ptrdiff_t* dim) {
    ptrdiff_t length;
    if (attn_checked_length(rank, dim, &length) != ATTN_OK || length > R_XLEN_T_MAX) {
        glue_abort("shape", "attn: a result would be larger than an array can be");
    }
    SEXP array = PROTECT(glue_vector(type, length));
    if (rank > 0) {
        SEXP dims = PROTECT(Rf_allocVector(INTSXP, rank));
        for (int axis = 0; axis < rank; axis++) {
            if (dim[axis] > INT_MAX) {
                glue_abort("shape", "attn: a result has an axis that is too long for R");
            }
            INTEGER(dims)[axis] = (int)dim[axis];
        }
        Rf_setAttrib(array, R_DimSymbol, dims);
        UNPROTECT(1);
    }
    UNPROTECT(1);
    return array;
}

struct results {
    int count;
    struct attn_value** value;
    int total; /* entries of the first axis where they come in parts; else 0 */
};

static SEXP allocate_results(void* data) {
    const struct results* results = data;
    SEXP list = PROTECT(Rf_allocVector(VECSXP, results->count));
    for (int i = 0; i < results->count; i++) {
        const struct attn_value* value = results->value[i];
        ptrdiff_t dim[ATTN_MAX_RANK];
        memcpy(dim, value->dim, sizeof dim);
        if (results->total > 0 && value->rank > 0) {
            dim[0] = results->total;
        }
        SEXP array = new_array(r_type(value->type), value->rank, dim);
        SET_VECTOR_ELT(list, i, array);
        if (value->mask != NULL && results->total == 0) {
            SEXP mask = PROTECT(new_array(LGLSXP, value->mask_rank, value->mask_dim));
            Rf_setAttrib(array, glue_symbols.keras_mask, mask);
            UNPROTECT(1);
        }
    }
    UNPROTECT(1);
    return list;
}

SEXP program_new_results(struct glue_call* call, int count, struct attn_value** value) {
    struct results results = {count, value, 0};
    return glue_allocate(call, allocate_results, &results);
}

SEXP program_new_parts(struct glue_call* call, int count, struct attn_value** value, int total) {
    struct results results = {count, value, total};
    return glue_allocate(call, allocate_results, &results);
}

/* `total` entries in the array, of which the value's begin at `first` */
static void write_integers(struct glue_call* call, enum attn_value_type type, int rank,
                           const ptrdiff_t* dim, const void* data, ptrdiff_t first,
                           ptrdiff_t total, int* to) {
    const ptrdiff_t entries = rank > 0 ? dim[0] : 1;
    ptrdiff_t count, since = 0;
    const ptrdiff_t* place = tail_places(call, rank > 0 ? rank : 1, dim, &count);
    for (ptrdiff_t i = 0; i < count; i++) {
        for (ptrdiff_t b = 0; b < entries; b++) {
            const ptrdiff_t from = b * count + place[i];
            to[i * total + first + b] = type == ATTN_VALUE_BOOL
                                            ? ((const uint8_t*)data)[from] != 0
                                            : ((const int32_t*)data)[from];
        }
        attn_parallel_poll_after(&call->context, entries, &since);
    }
}

static int* integers_of(SEXP array) {
    return TYPEOF(array) == LGLSXP ? LOGICAL(array) : INTEGER(array);
}

void program_write_results(struct glue_call* call, int count, struct attn_value** values,
                           SEXP list) {
    for (int i = 0; i < count; i++) {
        const struct attn_value* value = values[i];
        SEXP array = VECTOR_ELT(list, i);
        if (value->type > ATTN_VALUE_FLOAT64) {
            write_integers(call, value->type, value->rank, value->dim, value->buffer->data, 0,
                           value->rank > 0 ? value->dim[0] : 1, integers_of(array));
        } else {
            const ptrdiff_t columns = columns_of(value->rank, value->dim);
            const ptrdiff_t rows = columns > 0 ? attn_value_length(value) / columns : 0;
            struct attn_matrix from = attn_rows(value->buffer->data, columns);
            from.row_place = glue_row_places(call, value->rank, value->dim);
            const struct attn_matrix_out to = attn_columns_out(REAL(array), rows);
            attn_matrix_copy(&call->context, (enum attn_dtype)value->type, rows, columns, &from,
                             &to);
        }
        if (value->mask != NULL) {
            write_integers(call, ATTN_VALUE_BOOL, value->mask_rank, value->mask_dim,
                           value->mask->data, 0, value->mask_rank > 0 ? value->mask_dim[0] : 1,
                           LOGICAL(Rf_getAttrib(array, glue_symbols.keras_mask)));
        }
    }
}

/* whether the value is, of an array of R, the entries from `first` on */
static int is_part(const struct attn_value* value, ptrdiff_t first, ptrdiff_t entries,
                   SEXP array) {
    SEXP dims = Rf_getAttrib(array, R_DimSymbol);
    if (ALTREP(array) || (SEXPTYPE)TYPEOF(array) != r_type(value->type) ||
        TYPEOF(dims) != INTSXP || value->rank < 1 || Rf_xlength(dims) != value->rank ||
        value->dim[0] != entries) {
        return 0;
    }
    const int* dim = INTEGER_RO(dims);
    ptrdiff_t length = dim[0];
    int fits = first >= 0 && entries <= dim[0] - first;
    for (int axis = 1; fits && axis < value->rank; axis++) {
        fits = dim[axis] == value->dim[axis];
        length *= dim[axis];
    }
    return fits && Rf_xlength(array) == length;
}

static void write_part(struct glue_call* call, const struct attn_value* value, ptrdiff_t first,
                       SEXP array) {
    const ptrdiff_t total = INTEGER_RO(Rf_getAttrib(array, R_DimSymbol))[0];
    if (value->type > ATTN_VALUE_FLOAT64) {
        write_integers(call, value->type, value->rank, value->dim, value->buffer->data, first,
                       total, integers_of(array));
        return;
    }
    const enum attn_dtype dtype = (enum attn_dtype)value->type;
    const ptrdiff_t columns = columns_of(value->rank, value->dim);
    ptrdiff_t count, since = 0;
    const ptrdiff_t* place = middle_places(call, value->rank, value->dim, &count);
    for (ptrdiff_t i = 0; i < count; i++) {
        const struct attn_matrix from = attn_rows(
            (const unsigned char*)value->buffer->data +
                (size_t)(place[i] * columns) * attn_dtype_size(dtype),
            count * columns);
        const struct attn_matrix_out to =
            attn_columns_out(REAL(array) + i * total + first, total * count);
        attn_matrix_copy(&call->context, dtype, value->dim[0], columns, &from, &to);
        attn_parallel_poll_after(&call->context, value->dim[0] * columns, &since);
    }
}

void program_write_parts(struct glue_call* call, int count, struct attn_value** value,
                         ptrdiff_t first, ptrdiff_t entries, SEXP list) {
    for (int i = 0; i < count; i++) {
        if (!is_part(value[i], first, entries, VECTOR_ELT(list, i))) {
            glue_end(call);
            glue_abort("shape",
                       "attn: the first axis of output %d of a model is not that of its batch",
                       i + 1);
        }
        write_part(call, value[i], first, VECTOR_ELT(list, i));
    }
}

/* A model's program: steps and arrays of R in, the core, arrays of R out.
 *
 * A program is a list(slots, steps, inputs, types, outputs), as R/program.R makes it:
 * inputs and outputs are slots, types what the inputs become. Its layers are places
 * among `handles`. A step is a list whose
 * elements are those of `enum part`. */
#include <string.h>

#include "glue.h"
#include "marshal.h"
#include "program.h"

enum part { OPERATION, DTYPE, LAYER, INPUTS, OUTPUTS, SETTINGS, TEXT, RELEASE, TRAINING, PARTS };
enum { MOST_SLOTS = 1 << 20 };

struct slots {
    int count;
    const int* slot;
};

static struct slots slots_of(SEXP x) {
    if (TYPEOF(x) != INTSXP || Rf_xlength(x) > MOST_SLOTS) {
        glue_abort("internal", "slots are not whole numbers");
    }
    const struct slots slots = {(int)Rf_xlength(x), INTEGER_RO(x)};
    return slots;
}

/* the layer at a place, counted from 1; 0: none */
static struct attn_layer* layer_at(SEXP handles, SEXP place) {
    if (TYPEOF(place) != INTSXP || Rf_xlength(place) != 1 || INTEGER_RO(place)[0] < 0 ||
        INTEGER_RO(place)[0] > Rf_xlength(handles)) {
        glue_abort("internal", "a step's layer is not one of the program's");
    }
    const int at = INTEGER_RO(place)[0];
    return at == 0 ? NULL : glue_layer(VECTOR_ELT(handles, at - 1));
}

static struct attn_step step_of(SEXP list, SEXP handles, int slots, int training) {
    if (TYPEOF(list) != VECSXP || Rf_xlength(list) != PARTS) {
        glue_abort("internal", "a step is not a list of %d parts", PARTS);
    }
    const char* name = glue_string(VECTOR_ELT(list, OPERATION), "an operation");
    SEXP settings = VECTOR_ELT(list, SETTINGS);
    SEXP own_training = VECTOR_ELT(list, TRAINING);
    const struct slots in = slots_of(VECTOR_ELT(list, INPUTS));
    const struct slots out = slots_of(VECTOR_ELT(list, OUTPUTS));
    const struct slots release = slots_of(VECTOR_ELT(list, RELEASE));
    if (TYPEOF(settings) != REALSXP || TYPEOF(own_training) != LGLSXP ||
        Rf_xlength(own_training) != 1) {
        glue_abort("internal", "the settings of a step are not numbers");
    }
    const int own = LOGICAL_RO(own_training)[0];
    const struct attn_step step = {
        .operation = attn_operation_by_name(name),
        .dtype = glue_dtype(VECTOR_ELT(list, DTYPE)),
        .layer = layer_at(handles, VECTOR_ELT(list, LAYER)),
        .inputs = in.count, .input = in.slot, .outputs = out.count, .output = out.slot,
        .settings = (int)Rf_xlength(settings), .setting = REAL_RO(settings),
        .text = glue_string(VECTOR_ELT(list, TEXT), "the text of a step"),
        .training = own == NA_LOGICAL ? training : own,
        .released = release.count, .release = release.slot,
    };
    if (step.operation == NULL || !attn_step_is_sound(&step, slots) ||
        (step.layer != NULL && step.layer->dtype != step.dtype)) {
        glue_abort("internal", "a step is not what its operation wants: %s", name);
    }
    return step;
}

/* ---- arrays in ---- */

static enum attn_value_type type_of(const char* name) {
    return strcmp(name, "float64") == 0 ? ATTN_VALUE_FLOAT64
           : strcmp(name, "int32") == 0 ? ATTN_VALUE_INT32
           : strcmp(name, "bool") == 0  ? ATTN_VALUE_BOOL
                                        : ATTN_VALUE_FLOAT32;
}

/* The part of an array that a call is about: `count` entries of the first axis. */
struct slice {
    ptrdiff_t first, count;
};

static double array_number(const struct glue_array* array, ptrdiff_t i) {
    if (array->numbers != NULL) {
        return array->numbers[i];
    }
    return array->integers[i] == NA_INTEGER ? R_NaN : (double)array->integers[i];
}

static void set_number(enum attn_value_type type, void* data, ptrdiff_t i, double x) {
    switch (type) {
        case ATTN_VALUE_FLOAT32:
            ((float*)data)[i] = (float)x;
            break;
        case ATTN_VALUE_FLOAT64:
            ((double*)data)[i] = x;
            break;
        case ATTN_VALUE_INT32: /* truncated, as Keras's cast does */
            ((int32_t*)data)[i] = x > -2147483649.0 && x < 2147483648.0 ? (int32_t)x : INT32_MIN;
            break;
        case ATTN_VALUE_BOOL:
            ((uint8_t*)data)[i] = x != 0;
            break;
    }
}

/* Where, among the elements of a row-major tensor without its first axis, those of R's
 * order are: `count` places. */
static const ptrdiff_t* tail_places(struct glue_call* call, int rank, const ptrdiff_t* dim,
                                    ptrdiff_t* count) {
    ptrdiff_t slowest_first[ATTN_MAX_RANK], step[ATTN_MAX_RANK], places = 1;
    for (int axis = rank - 1; axis >= 1; axis--) {
        slowest_first[rank - 1 - axis] = dim[axis];
        step[rank - 1 - axis] = places;
        places *= dim[axis];
    }
    ptrdiff_t* place = glue_take(call, (size_t)places, sizeof *place);
    *count = glue_offsets(rank - 1, slowest_first, step, place);
    return place;
}

/* numbers of a slice of an array, row-major */
static void read_numbers(struct glue_call* call, const struct glue_array* array,
                         struct slice slice, enum attn_value_type type, void* data) {
    ptrdiff_t count;
    const ptrdiff_t* place = tail_places(call, array->rank, array->dim, &count);
    for (ptrdiff_t i = 0; i < count; i++) {
        for (ptrdiff_t b = 0; b < slice.count; b++) {
            const double x = array_number(array, i * array->dim[0] + slice.first + b);
            set_number(type, data, b * count + place[i], x);
        }
    }
}

/* The rows of a matrix in R's order are all axes but the last; where row i of it is in
 * the tensor. NULL: where it is anyway. */
static const ptrdiff_t* row_places(struct glue_call* call, int rank, const ptrdiff_t* dim) {
    if (rank <= 2) {
        return NULL;
    }
    ptrdiff_t slowest_first[ATTN_MAX_RANK], step[ATTN_MAX_RANK], rows = 1;
    for (int axis = rank - 2; axis >= 0; axis--) {
        slowest_first[rank - 2 - axis] = dim[axis];
        step[rank - 2 - axis] = rows;
        rows *= dim[axis];
    }
    ptrdiff_t* place = glue_take(call, (size_t)rows, sizeof *place);
    glue_offsets(rank - 1, slowest_first, step, place);
    return place;
}

/* An input of the program: checked before the call begins, read after. */
struct input {
    struct glue_array array, mask; /* mask.object: NULL where the array carries none */
    enum attn_value_type type;
    struct slice slice, mask_slice;
};

static struct glue_array array_or_vector(SEXP x, const char* what) {
    SEXP dims = Rf_getAttrib(x, R_DimSymbol);
    if (dims != R_NilValue) {
        return glue_array_of(x, dims, what);
    }
    const int length = Rf_xlength(x) > INT_MAX ? 0 : (int)Rf_xlength(x);
    return glue_array_with(x, 1, &length, what);
}

/* the entries that a batch, a pair of first (from 1) and count, or NULL, means */
static struct slice slice_of(const struct glue_array* array, SEXP batch) {
    struct slice slice = {0, array->dim[0]};
    if (batch != R_NilValue) {
        slice.first = (ptrdiff_t)INTEGER_RO(batch)[0] - 1;
        slice.count = INTEGER_RO(batch)[1];
    }
    if (slice.first < 0 || slice.count < 1 || slice.count > array->dim[0] - slice.first) {
        glue_abort("internal", "a batch is not part of its array");
    }
    return slice;
}

static struct input input_of(SEXP x, const char* type, SEXP batch) {
    struct input input = {.array = array_or_vector(x, "an input"), .type = type_of(type)};
    input.slice = slice_of(&input.array, batch);
    SEXP mask = Rf_getAttrib(x, glue_symbols.keras_mask);
    if (mask != R_NilValue) {
        input.mask = array_or_vector(mask, "a mask");
        input.mask_slice = slice_of(&input.mask, batch);
    }
    return input;
}

static void read_value(struct glue_call* call, struct attn_run* run,
                       const struct glue_array* array, struct slice slice,
                       enum attn_value_type type, struct attn_value* value) {
    ptrdiff_t dim[ATTN_MAX_RANK];
    memcpy(dim, array->dim, sizeof dim);
    dim[0] = slice.count;
    const enum attn_status status = attn_value_new(&run->memory, type, array->rank, dim, value);
    if (status != ATTN_OK) {
        glue_end_checked(call, status);
    }
    if (array->numbers != NULL && slice.count == array->dim[0] && type <= ATTN_VALUE_FLOAT64) {
        const ptrdiff_t columns = dim[array->rank - 1];
        const ptrdiff_t rows = attn_value_length(value) / columns;
        const struct attn_matrix from = attn_columns(array->numbers, rows);
        struct attn_matrix_out to = attn_rows_out(value->buffer->data, columns);
        to.row_place = row_places(call, array->rank, dim);
        attn_matrix_copy(&call->context, (enum attn_dtype)type, rows, columns, &from, &to);
    } else {
        read_numbers(call, array, slice, type, value->buffer->data);
    }
}

/* the array, and the mask that it carries */
static void read_input(struct glue_call* call, struct attn_run* run, const struct input* input,
                       struct attn_value* value) {
    read_value(call, run, &input->array, input->slice, input->type, value);
    if (input->mask.object != NULL) {
        struct attn_value mask;
        read_value(call, run, &input->mask, input->mask_slice, ATTN_VALUE_BOOL, &mask);
        value->mask = mask.buffer;
        value->mask_rank = mask.rank;
        memcpy(value->mask_dim, mask.dim, sizeof mask.dim);
    }
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
    SEXP array = PROTECT(Rf_allocVector(type, length));
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
};

static SEXP allocate_results(void* data) {
    const struct results* results = data;
    SEXP list = PROTECT(Rf_allocVector(VECSXP, results->count));
    for (int i = 0; i < results->count; i++) {
        const struct attn_value* value = results->value[i];
        SEXP array = new_array(r_type(value->type), value->rank, value->dim);
        SET_VECTOR_ELT(list, i, array);
        if (value->mask != NULL) {
            SEXP mask = PROTECT(new_array(LGLSXP, value->mask_rank, value->mask_dim));
            Rf_setAttrib(array, glue_symbols.keras_mask, mask);
            UNPROTECT(1);
        }
    }
    UNPROTECT(1);
    return list;
}

static void write_integers(struct glue_call* call, enum attn_value_type type, int rank,
                           const ptrdiff_t* dim, const void* data, int* to) {
    const ptrdiff_t first = rank > 0 ? dim[0] : 1;
    ptrdiff_t count;
    const ptrdiff_t* place = tail_places(call, rank > 0 ? rank : 1, dim, &count);
    for (ptrdiff_t i = 0; i < count; i++) {
        for (ptrdiff_t b = 0; b < first; b++) {
            const ptrdiff_t from = b * count + place[i];
            to[i * first + b] = type == ATTN_VALUE_BOOL ? ((const uint8_t*)data)[from] != 0
                                                        : ((const int32_t*)data)[from];
        }
    }
}

static void write_value(struct glue_call* call, const struct attn_value* value, SEXP array) {
    if (value->type > ATTN_VALUE_FLOAT64) {
        write_integers(call, value->type, value->rank, value->dim, value->buffer->data,
                       value->type == ATTN_VALUE_BOOL ? LOGICAL(array) : INTEGER(array));
    } else {
        const ptrdiff_t columns = value->rank > 0 ? value->dim[value->rank - 1] : 1;
        const ptrdiff_t rows = columns > 0 ? attn_value_length(value) / columns : 0;
        struct attn_matrix from = attn_rows(value->buffer->data, columns);
        from.row_place = row_places(call, value->rank, value->dim);
        const struct attn_matrix_out to = attn_columns_out(REAL(array), rows);
        attn_matrix_copy(&call->context, (enum attn_dtype)value->type, rows, columns, &from, &to);
    }
    if (value->mask != NULL) {
        SEXP mask = Rf_getAttrib(array, glue_symbols.keras_mask);
        write_integers(call, ATTN_VALUE_BOOL, value->mask_rank, value->mask_dim,
                       value->mask->data, LOGICAL(mask));
    }
}

/* ---- the call ---- */

/* A layer that several steps train draws other random numbers in each of them. */
static void number_calls(int steps, struct attn_step* step) {
    for (int i = 0; i < steps; i++) {
        for (int j = 0; j < i && step[i].training && step[i].layer != NULL; j++) {
            step[i].calls_before += step[j].training && step[j].layer == step[i].layer;
        }
    }
}

/* Dropout of every layer moves on by one call, but only when all have arrived. */
static void count_calls(int steps, const struct attn_step* step) {
    for (int i = 0; i < steps; i++) {
        if (step[i].training && step[i].layer != NULL) {
            step[i].layer->calls++;
        }
    }
}

static void abort_run(struct glue_call* call, const struct attn_run* run,
                      enum attn_status status) {
    const int failed = run->failed_step;
    const double number = run->failed_number;
    if (status == ATTN_NO_MEMORY) {
        glue_end_checked(call, status);
    }
    glue_end(call);
    SEXP where = PROTECT(Rf_ScalarInteger(failed + 1));
    SEXP what = PROTECT(Rf_ScalarReal(number));
    SEXP kind = PROTECT(Rf_mkString(status == ATTN_BAD_INDEX ? "index" : "shape"));
    SEXP call_r = PROTECT(Rf_lang4(Rf_install("abort_step"), where, kind, what));
    SEXP name = PROTECT(Rf_mkString("attn"));
    SEXP namespace = PROTECT(R_FindNamespace(name));
    Rf_eval(call_r, namespace);
    UNPROTECT(6);
    glue_abort("shape", "attn: step %d of a model has failed", failed + 1); /* not reached */
}

/* a program and its call, with all that R's memory holds of them */
struct program {
    struct slots in, out;
    int steps, slots;
    struct attn_step* step;
    struct attn_value* slot;
    struct attn_value** result;
    struct input* input;
};

static void check_slots(struct slots slots, int count) {
    for (int i = 0; i < slots.count; i++) {
        if (slots.slot[i] < 0 || slots.slot[i] >= count) {
            glue_abort("internal", "a program has no slot %d", slots.slot[i]);
        }
    }
}

static struct program program_of(SEXP list, SEXP handles, SEXP arrays, SEXP batch,
                                 int training) {
    SEXP steps = glue_element(list, "steps"), types = glue_element(list, "types");
    struct program p = {.in = slots_of(glue_element(list, "inputs")),
                        .out = slots_of(glue_element(list, "outputs")),
                        .slots = glue_int(list, "slots")};
    if (TYPEOF(steps) != VECSXP || Rf_xlength(steps) > MOST_SLOTS || p.slots > MOST_SLOTS ||
        TYPEOF(handles) != VECSXP || TYPEOF(arrays) != VECSXP || Rf_xlength(arrays) != p.in.count ||
        TYPEOF(types) != STRSXP || Rf_xlength(types) != p.in.count) {
        glue_abort("internal", "a program is not what its call wants");
    }
    check_slots(p.in, p.slots);
    check_slots(p.out, p.slots);
    p.steps = (int)Rf_xlength(steps);
    p.step = (struct attn_step*)R_alloc((size_t)p.steps + 1, sizeof *p.step);
    p.slot = (struct attn_value*)R_alloc((size_t)p.slots + 1, sizeof *p.slot);
    p.result = (struct attn_value**)R_alloc((size_t)p.out.count + 1, sizeof *p.result);
    p.input = (struct input*)R_alloc((size_t)p.in.count + 1, sizeof *p.input);
    memset(p.slot, 0, (size_t)(p.slots + 1) * sizeof *p.slot);
    for (int i = 0; i < p.steps; i++) {
        p.step[i] = step_of(VECTOR_ELT(steps, i), handles, p.slots, training);
    }
    number_calls(p.steps, p.step);
    for (int i = 0; i < p.in.count; i++) {
        p.input[i] = input_of(VECTOR_ELT(arrays, i), CHAR(STRING_ELT(types, i)), batch);
    }
    return p;
}

static int flag_of(SEXP x, const char* what) {
    if (TYPEOF(x) != LGLSXP || Rf_xlength(x) != 1) {
        glue_abort("internal", "%s is not TRUE or FALSE", what);
    }
    return LOGICAL_RO(x)[0] == TRUE;
}

SEXP ffi_program_run(SEXP program, SEXP handles, SEXP arrays, SEXP batch, SEXP training,
                     SEXP reference) {
    if (batch != R_NilValue && (TYPEOF(batch) != INTSXP || Rf_xlength(batch) != 2)) {
        glue_abort("internal", "a batch is not two whole numbers");
    }
    struct program p = program_of(program, handles, arrays, batch, flag_of(training, "training"));
    const int by_definition = flag_of(reference, "reference");
    struct glue_call call;
    glue_begin(&call);
    struct attn_run run = {.context = call.context, .memory = {call.tensors, NULL},
                           .reference = by_definition, .slots = p.slots, .slot = p.slot};
    for (int i = 0; i < p.in.count; i++) {
        attn_value_release(&run.memory, &p.slot[p.in.slot[i]]);
        read_input(&call, &run, &p.input[i], &p.slot[p.in.slot[i]]);
    }
    enum attn_status status = attn_program_run(&run, p.steps, p.step);
    for (int i = 0; status == ATTN_OK && i < p.out.count; i++) {
        p.result[i] = &p.slot[p.out.slot[i]];
        status = p.result[i]->buffer != NULL ? ATTN_OK : ATTN_BAD_STATE;
    }
    if (status != ATTN_OK) {
        abort_run(&call, &run, status);
    }
    struct results results = {p.out.count, p.result};
    SEXP made = PROTECT(glue_allocate(&call, allocate_results, &results));
    for (int i = 0; i < p.out.count; i++) {
        write_value(&call, p.result[i], VECTOR_ELT(made, i));
    }
    count_calls(p.steps, p.step);
    glue_end(&call);
    UNPROTECT(1);
    return made;
}

/* A model's program: steps and arrays of R in, the core, arrays of R out.
 *
 * A program is a list(slots, steps, inputs, types, outputs), as R/program.R makes it:
 * inputs and outputs are slots, types what the inputs become. Its layers are places
 * among `handles`. A step is a list whose elements are those of `enum part`. */
#include <string.h>

#include "program.h"

#include "program_arrays.h"

enum part {
    OPERATION,
    DTYPE,
    LAYER,
    INPUTS,
    OUTPUTS,
    SETTINGS,
    TEXT,
    RELEASE,
    TRAINING,
    LABEL, /* of the layer, for messages */
    PARTS
};
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

/* `training`: of the whole call; NA: each step knows */
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
    glue_string(VECTOR_ELT(list, LABEL), "the label of a step");
    const int own = LOGICAL_RO(own_training)[0];
    const struct attn_step step = {
        .operation = attn_operation_by_name(name),
        .dtype = glue_dtype(VECTOR_ELT(list, DTYPE)),
        .layer = layer_at(handles, VECTOR_ELT(list, LAYER)),
        .inputs = in.count, .input = in.slot, .outputs = out.count, .output = out.slot,
        .settings = (int)Rf_xlength(settings), .setting = REAL_RO(settings),
        .text = glue_string(VECTOR_ELT(list, TEXT), "the text of a step"),
        .training = training == NA_LOGICAL ? own == TRUE : training,
        .released = release.count, .release = release.slot,
    };
    if (step.operation == NULL || !attn_step_is_sound(&step, slots)) {
        glue_abort("internal", "a step is not what its operation wants: %s", name);
    }
    return step;
}

/* ---- a program and its call ---- */

struct program {
    struct slots in, out;
    int steps, slots;
    struct attn_step* step;
    SEXP labels; /* the list of steps, which have them */
    struct attn_value* slot;
    struct attn_value** result;
    struct program_input* input;
};

static void check_slots(struct slots slots, int count) {
    for (int i = 0; i < slots.count; i++) {
        if (slots.slot[i] < 0 || slots.slot[i] >= count) {
            glue_abort("internal", "a program has no slot %d", slots.slot[i]);
        }
    }
}

/* A layer that several steps train draws other random numbers in each of them. */
static void number_calls(int steps, struct attn_step* step) {
    for (int i = 0; i < steps; i++) {
        for (int j = 0; j < i && step[i].training && step[i].layer != NULL; j++) {
            step[i].calls_before += step[j].training && step[j].layer == step[i].layer;
        }
    }
}

/* `arrays`: a list of as many as the program has inputs; or the array of its only one,
 * which is no list. */
static struct program program_of(SEXP list, SEXP handles, SEXP arrays, SEXP batch,
                                 int training) {
    SEXP steps = glue_element(list, "steps"), types = glue_element(list, "types");
    struct program p = {.in = slots_of(glue_element(list, "inputs")),
                        .out = slots_of(glue_element(list, "outputs")),
                        .slots = glue_int(list, "slots"), .labels = steps};
    const R_xlen_t given = TYPEOF(arrays) == VECSXP ? Rf_xlength(arrays) : 1;
    if (TYPEOF(steps) != VECSXP || Rf_xlength(steps) > MOST_SLOTS || p.slots > MOST_SLOTS ||
        TYPEOF(handles) != VECSXP || given != p.in.count || TYPEOF(types) != STRSXP ||
        Rf_xlength(types) != p.in.count) {
        glue_abort("internal", "a program is not what its call wants");
    }
    check_slots(p.in, p.slots);
    check_slots(p.out, p.slots);
    p.steps = (int)Rf_xlength(steps);
    p.step = glue_scratch((size_t)p.steps + 1, sizeof *p.step);
    p.slot = glue_scratch((size_t)p.slots + 1, sizeof *p.slot);
    /* an array of pointers: NOLINTNEXTLINE(bugprone-sizeof-expression) */
    p.result = glue_scratch((size_t)p.out.count + 1, sizeof *p.result);
    p.input = glue_scratch((size_t)p.in.count + 1, sizeof *p.input);
    memset(p.slot, 0, (size_t)(p.slots + 1) * sizeof *p.slot);
    for (int i = 0; i < p.steps; i++) {
        p.step[i] = step_of(VECTOR_ELT(steps, i), handles, p.slots, training);
    }
    number_calls(p.steps, p.step);
    for (int i = 0; i < p.in.count; i++) {
        SEXP array = TYPEOF(arrays) == VECSXP ? VECTOR_ELT(arrays, i) : arrays;
        p.input[i] = program_input(array, CHAR(STRING_ELT(types, i)), batch);
    }
    return p;
}

/* Dropout of every layer moves on by one call, but only when all results have arrived. */
static void count_calls(const struct program* p) {
    for (int i = 0; i < p->steps; i++) {
        if (p->step[i].training && p->step[i].layer != NULL) {
            p->step[i].layer->calls++;
        }
    }
}

/* The words for a step that has failed are R's. */
static void abort_step(const struct program* p, int failed, double number,
                       enum attn_status status) {
    SEXP label = VECTOR_ELT(VECTOR_ELT(p->labels, failed), LABEL);
    SEXP what = PROTECT(Rf_ScalarReal(number));
    SEXP kind = PROTECT(Rf_mkString(status == ATTN_BAD_INDEX ? "index" : "shape"));
    SEXP call_r = PROTECT(Rf_lang4(Rf_install("abort_step"), label, kind, what));
    SEXP name = PROTECT(Rf_mkString("attn"));
    SEXP namespace = PROTECT(R_FindNamespace(name));
    Rf_eval(call_r, namespace);
    UNPROTECT(5);
    glue_abort("shape", "attn: step %d of a model has failed", failed + 1); /* not reached */
}

/* Runs the program up to its results, which are then p->result. On success the call is
 * still under way. Else it has ended: ATTN_BAD_INDEX is returned for an input that is
 * not what its type wants, if the call is `strict`; all other failures are errors of R. */
static enum attn_status run_program(struct glue_call* call, struct program* p, int reference,
                                    int strict) {
    glue_begin(call);
    struct attn_run run = {.context = call->context, .memory = {call->tensors, NULL},
                           .reference = reference, .slots = p->slots, .slot = p->slot};
    enum attn_status status = ATTN_OK;
    for (int i = 0; i < p->in.count; i++) {
        struct attn_value* slot = &p->slot[p->in.slot[i]];
        attn_value_release(&run.memory, slot);
        status = program_read(call, &run, &p->input[i], slot);
        if (status == ATTN_BAD_INDEX && strict) {
            glue_end(call);
            return status;
        }
        if (status != ATTN_OK && status != ATTN_BAD_INDEX) {
            glue_end_checked(call, status);
        }
    }
    status = attn_program_run(&run, p->steps, p->step);
    if (status == ATTN_BAD_INDEX || status == ATTN_BAD_LENGTH) {
        glue_end(call);
        abort_step(p, run.failed_step, run.failed_number, status);
    }
    for (int i = 0; status == ATTN_OK && i < p->out.count; i++) {
        p->result[i] = &p->slot[p->out.slot[i]];
        status = p->result[i]->buffer != NULL ? ATTN_OK : ATTN_BAD_STATE;
    }
    if (status == ATTN_BAD_STATE) {
        glue_end(call);
        glue_abort("internal", "a program's steps do not belong together");
    }
    if (status != ATTN_OK) {
        glue_end_checked(call, status);
    }
    return ATTN_OK;
}

static int flag_of(SEXP x, const char* what) {
    if (TYPEOF(x) != LGLSXP || Rf_xlength(x) != 1) {
        glue_abort("internal", "%s is not TRUE or FALSE", what);
    }
    return LOGICAL_RO(x)[0] == TRUE;
}

/* what ffi_program_run() gives, or writes to */
enum form { WHOLE, FIRST_PART, NEXT_PART };

static enum form form_of(SEXP parts, SEXP batch, int outputs) {
    if (parts == R_NilValue) {
        return WHOLE;
    }
    const int is_total = TYPEOF(parts) == INTSXP && Rf_xlength(parts) == 1;
    const int is_list = TYPEOF(parts) == VECSXP && Rf_xlength(parts) == outputs;
    if (batch == R_NilValue || !(is_list || (is_total && INTEGER_RO(parts)[0] > 0))) {
        glue_abort("internal", "the parts of a result are not what their call wants");
    }
    return is_total ? FIRST_PART : NEXT_PART;
}

/* `parts`: NULL: the results are those of this call. Else the call is about one batch of
 * several: a number makes results with as many entries, of which those of this batch are
 * filled; such results are filled where the batch says. */
SEXP ffi_program_run(SEXP program, SEXP handles, SEXP arrays, SEXP batch, SEXP training,
                     SEXP reference, SEXP parts) {
    if (batch != R_NilValue && (TYPEOF(batch) != INTSXP || Rf_xlength(batch) != 2)) {
        glue_abort("internal", "a batch is not two whole numbers");
    }
    if (TYPEOF(arrays) != VECSXP) {
        glue_abort("internal", "a program's arrays are not a list");
    }
    if (TYPEOF(training) != LGLSXP || Rf_xlength(training) != 1) {
        glue_abort("internal", "training is not TRUE, FALSE or NA");
    }
    struct program p = program_of(program, handles, arrays, batch, LOGICAL_RO(training)[0]);
    const enum form form = form_of(parts, batch, p.out.count);
    struct glue_call call;
    run_program(&call, &p, flag_of(reference, "reference"), 0);
    SEXP made = parts;
    if (form == WHOLE) {
        made = program_new_results(&call, p.out.count, p.result);
    } else if (form == FIRST_PART) {
        made = program_new_parts(&call, p.out.count, p.result, INTEGER_RO(parts)[0]);
    }
    PROTECT(made);
    if (form == WHOLE) {
        program_write_results(&call, p.out.count, p.result, made);
    } else {
        program_write_parts(&call, p.out.count, p.result, (ptrdiff_t)INTEGER_RO(batch)[0] - 1,
                            INTEGER_RO(batch)[1], made);
    }
    count_calls(&p);
    glue_end(&call);
    UNPROTECT(1);
    return made;
}

/* ---- calls of a model that need nothing of R ---- */

/* What a model keeps for its calls (R/model-call.R). SPECS: the shape of each input, NA
 * for any size. INPUTS: their names. SINGLE: whether the model's output is one tensor.
 * NAMES: of the list of outputs, or NULL. */
enum plan {
    PLAN_PROGRAM,
    PLAN_HANDLES,
    PLAN_SPECS,
    PLAN_INPUTS,
    PLAN_SINGLE,
    PLAN_NAMES,
    PLAN_PARTS
};

/* whether x is an array of that shape, with no mask or with one that fits */
static int fits(SEXP x, SEXP spec) {
    int dim[ATTN_MAX_RANK];
    const int rank = glue_plain_rank(x);
    if (rank == 0 || TYPEOF(spec) != INTSXP || Rf_xlength(spec) != rank) {
        return 0;
    }
    const int *size = INTEGER_RO(Rf_getAttrib(x, R_DimSymbol)), *wanted = INTEGER_RO(spec);
    for (int axis = 0; axis < rank; axis++) {
        if (wanted[axis] != NA_INTEGER && axis > 0 && wanted[axis] != size[axis]) {
            return 0;
        }
    }
    SEXP mask = Rf_getAttrib(x, glue_symbols.keras_mask);
    if (mask == R_NilValue) {
        return 1;
    }
    const int mask_rank = glue_plain_mask(mask, dim);
    int covers = mask_rank > 0 && mask_rank <= rank;
    for (int axis = 0; covers && axis < mask_rank; axis++) {
        covers = dim[axis] == 1 || dim[axis] == size[axis];
    }
    return covers;
}

/* Whether two vectors of names are the same; or there are none at all. */
static int same_names(SEXP names, SEXP wanted) {
    if (names == R_NilValue) {
        return 1;
    }
    const R_xlen_t count = Rf_xlength(names);
    int same = TYPEOF(names) == STRSXP && TYPEOF(wanted) == STRSXP && Rf_xlength(wanted) == count;
    for (R_xlen_t i = 0; same && i < count; i++) {
        same = STRING_ELT(names, i) == STRING_ELT(wanted, i);
    }
    return same;
}

static int all_fit(SEXP inputs, SEXP specs, SEXP names) {
    if (TYPEOF(specs) != VECSXP) {
        return 0;
    }
    if (TYPEOF(inputs) != VECSXP) {
        return Rf_xlength(specs) == 1 && fits(inputs, VECTOR_ELT(specs, 0));
    }
    const R_xlen_t count = Rf_xlength(inputs);
    int fit = !Rf_isObject(inputs) && count == Rf_xlength(specs) &&
              same_names(Rf_getAttrib(inputs, R_NamesSymbol), names);
    for (R_xlen_t i = 0; fit && i < count; i++) {
        fit = fits(VECTOR_ELT(inputs, i), VECTOR_ELT(specs, i));
    }
    return fit;
}

/* The call model(inputs) without further arguments, or NULL where R has more to look at
 * than the shapes of arrays. `cache`: see ffi_cache_new(); `flash`: the session's
 * setting. */
SEXP ffi_model_call(SEXP cache, SEXP inputs, SEXP flash) {
    /* a weak reference keeps nothing alive */
    SEXP plan = PROTECT(TYPEOF(cache) == WEAKREFSXP ? R_WeakRefValue(cache) : R_NilValue);
    if (TYPEOF(plan) != VECSXP || Rf_xlength(plan) < PLAN_PARTS ||
        VECTOR_ELT(plan, PLAN_PROGRAM) == R_NilValue ||
        !all_fit(inputs, VECTOR_ELT(plan, PLAN_SPECS), VECTOR_ELT(plan, PLAN_INPUTS))) {
        UNPROTECT(1);
        return R_NilValue;
    }
    struct program p = program_of(VECTOR_ELT(plan, PLAN_PROGRAM), VECTOR_ELT(plan, PLAN_HANDLES),
                                  inputs, R_NilValue, NA_LOGICAL);
    const int single = flag_of(VECTOR_ELT(plan, PLAN_SINGLE), "single");
    SEXP names = VECTOR_ELT(plan, PLAN_NAMES);
    if (p.out.count < 1 || (names != R_NilValue && (TYPEOF(names) != STRSXP ||
                                                    Rf_xlength(names) != p.out.count))) {
        glue_abort("internal", "a model's outputs are not what its plan says");
    }
    struct glue_call call;
    if (run_program(&call, &p, !flag_of(flash, "flash"), 1) != ATTN_OK) {
        UNPROTECT(1);
        return R_NilValue;
    }
    SEXP made = PROTECT(program_new_results(&call, p.out.count, p.result));
    program_write_results(&call, p.out.count, p.result, made);
    glue_end(&call);
    if (single) {
        made = VECTOR_ELT(made, 0);
    } else if (names != R_NilValue) {
        Rf_setAttrib(made, R_NamesSymbol, names);
    }
    count_calls(&p);
    UNPROTECT(2);
    return made;
}

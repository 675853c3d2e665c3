/* One call into the core: memory, threads, interrupts, errors, option lists. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "glue.h"

/* Calls share one workspace, so that small calls do not allocate at all. Of
 * what a large call needed only this much stays. */
static const size_t KEPT_BYTES = (size_t)64 << 20;
static struct attn_workspace shared_workspace, shared_tensors;
static int shared_is_busy = 0;
/* Made once: to make one per poll could fail for want of memory, and would then
 * leave without glue_end(). */
static SEXP unwind_token;

struct glue_symbols glue_symbols;

void glue_register_calls(void) {
    unwind_token = R_MakeUnwindCont();
    R_PreserveObject(unwind_token);
    glue_symbols.handle_tag = Rf_install("attn_layer_handle");
    glue_symbols.keras_mask = Rf_install("keras_mask");
    glue_symbols.axes = Rf_install("axes");
    glue_symbols.scores_class = Rf_mkString("attn_scores");
    R_PreserveObject(glue_symbols.scores_class);
    MARK_NOT_MUTABLE(glue_symbols.scores_class);
}

void glue_unregister_calls(void) {
    if (!shared_is_busy) {
        attn_workspace_reset(&shared_workspace, 0);
        attn_workspace_reset(&shared_tensors, 0);
        R_ReleaseObject(unwind_token);
        R_ReleaseObject(glue_symbols.scores_class);
    }
}

/* R looks at the limits of setTimeLimit() in every sixth of these calls only. */
enum { CALLS_TO_TIME_LIMIT = 6 };

void glue_poll(void) {
    for (int i = 0; i < CALLS_TO_TIME_LIMIT; i++) {
        R_CheckUserInterrupt();
    }
}

/* for loops in R's own language, which R leaves after a thousand rounds only */
SEXP ffi_poll(void) {
    glue_poll();
    return R_NilValue;
}

static SEXP check_interrupt(void* nothing) {
    (void)nothing;
    glue_poll();
    return R_NilValue;
}

static void end_on_jump(void* call, Rboolean jump) {
    if (jump) {
        glue_end(call);
    }
}

static void poll_r(void* call) {
    R_UnwindProtect(check_interrupt, NULL, end_on_jump, call, unwind_token);
}

void glue_begin(struct glue_call* call) {
    memset(call, 0, sizeof *call);
    call->uses_shared = !shared_is_busy;
    if (call->uses_shared) {
        shared_is_busy = 1;
    }
    call->context.workspace = call->uses_shared ? &shared_workspace : &call->own[0];
    call->tensors = call->uses_shared ? &shared_tensors : &call->own[1];
    call->context.threads = attn_threads_get();
    call->context.poll = poll_r;
    call->context.poll_data = call;
}

/* What R runs at a poll (event handlers of a GUI) may come back to this package. */
int glue_is_nested(void) { return shared_is_busy; }

void glue_end(struct glue_call* call) {
    for (; call->new_weights != NULL; call->new_weights = call->new_weights->before) {
        attn_layer_discard(call->new_weights->storage);
    }
    attn_layer_destroy(call->layer);
    call->layer = NULL;
    attn_workspace_reset(call->context.workspace, call->uses_shared ? KEPT_BYTES : 0);
    attn_workspace_reset(call->tensors, call->uses_shared ? KEPT_BYTES : 0);
    if (call->uses_shared) {
        shared_is_busy = 0;
    }
}

SEXP glue_allocate(struct glue_call* call, SEXP (*make)(void*), void* data) {
    SEXP made = R_UnwindProtect(make, data, end_on_jump, call, unwind_token);
    /* R leaves the result in the token, where nobody would ever give it up */
    SETCAR(unwind_token, R_NilValue);
    return made;
}

/* bytes from which on a handler costs nothing beside what is allocated */
static const size_t LARGE = (size_t)1 << 16;

struct r_request {
    SEXPTYPE type;
    R_xlen_t length;
    size_t count, size;
    void* scratch;
};

/* a condition of R, whose message says how much it was asked for */
static SEXP on_no_memory(SEXP condition, void* nothing) {
    (void)nothing;
    SEXP message = TYPEOF(condition) == VECSXP && Rf_xlength(condition) > 0
                       ? VECTOR_ELT(condition, 0)
                       : R_NilValue;
    glue_abort("memory", "attn: there is not enough memory for this call: %s",
               TYPEOF(message) == STRSXP && Rf_xlength(message) == 1
                   ? Rf_translateChar(STRING_ELT(message, 0))
                   : "R has none left");
}

static SEXP make_vector(void* data) {
    const struct r_request* request = data;
    return Rf_allocVector(request->type, request->length);
}

static SEXP make_scratch(void* data) {
    struct r_request* request = data;
    request->scratch = R_alloc(request->count, (int)request->size);
    return R_NilValue;
}

static size_t element_size(SEXPTYPE type) {
    return type == RAWSXP ? 1 : type == INTSXP || type == LGLSXP ? sizeof(int) : sizeof(double);
}

SEXP glue_vector(SEXPTYPE type, R_xlen_t length) {
    if ((size_t)length < LARGE / element_size(type)) {
        return Rf_allocVector(type, length);
    }
    struct r_request request = {.type = type, .length = length};
    return R_withCallingErrorHandler(make_vector, &request, on_no_memory, NULL);
}

void* glue_scratch(size_t count, size_t size) {
    struct r_request request = {.count = count > 0 ? count : 1, .size = size};
    if (request.count < LARGE / size) {
        return R_alloc(request.count, (int)size);
    }
    R_withCallingErrorHandler(make_scratch, &request, on_no_memory, NULL);
    return request.scratch;
}

void* glue_take(struct glue_call* call, size_t count, size_t size) {
    void* taken = attn_workspace_take(call->context.workspace, count, size);
    if (taken == NULL) {
        glue_end_checked(call, ATTN_NO_MEMORY);
    }
    return taken;
}

void glue_end_checked(struct glue_call* call, enum attn_status status) {
    glue_end(call);
    switch (status) {
        case ATTN_OK:
            return;
        case ATTN_NO_MEMORY:
            glue_abort("memory", "attn: there is not enough memory for this call");
        case ATTN_BAD_STATE:
            glue_abort("state", "attn: these bytes are not the state of a layer");
        case ATTN_BAD_LENGTH:
            glue_abort("shape", "attn: these shapes are larger than memory can address");
        case ATTN_BAD_INDEX:
            glue_abort("shape", "attn: a row is asked for that is not there");
    }
}

void glue_abort(const char* kind, const char* format, ...) {
    char message[512];
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(message, sizeof message, format, arguments); /* cut short if need be */
    va_end(arguments);
    SEXP name = PROTECT(Rf_mkString("attn"));
    SEXP namespace = PROTECT(R_FindNamespace(name));
    SEXP first = PROTECT(Rf_mkString(kind));
    SEXP second = PROTECT(Rf_mkString(message));
    SEXP call = PROTECT(Rf_lang3(Rf_install("abort_native"), first, second));
    Rf_eval(call, namespace);
    UNPROTECT(5);
    Rf_error("%s", message); /* not reached */
}

const char* glue_string(SEXP x, const char* what) {
    if (TYPEOF(x) != STRSXP || Rf_xlength(x) != 1) {
        glue_abort("internal", "%s is not a string", what);
    }
    return CHAR(STRING_ELT(x, 0));
}

enum attn_dtype glue_dtype(SEXP name) {
    const char* dtype = glue_string(name, "dtype");
    if (strcmp(dtype, "float32") != 0 && strcmp(dtype, "float64") != 0) {
        glue_abort("internal", "there is no dtype %s", dtype);
    }
    return strcmp(dtype, "float64") == 0 ? ATTN_FLOAT64 : ATTN_FLOAT32;
}

struct attn_random_key glue_key(SEXP words) {
    struct attn_random_key key;
    if (TYPEOF(words) != REALSXP || Rf_xlength(words) != 2) {
        glue_abort("internal", "a key is not two numbers");
    }
    for (int i = 0; i < 2; i++) {
        const double word = REAL_RO(words)[i];
        if (!(word >= 0 && word <= UINT32_MAX)) {
            glue_abort("internal", "a word of a key is out of range");
        }
        key.word[i] = (uint32_t)word;
    }
    return key;
}

SEXP glue_element(SEXP list, const char* name) {
    SEXP names = Rf_getAttrib(list, R_NamesSymbol);
    if (TYPEOF(list) == VECSXP && TYPEOF(names) == STRSXP) {
        for (R_xlen_t i = 0; i < Rf_xlength(list); i++) {
            if (strcmp(CHAR(STRING_ELT(names, i)), name) == 0) {
                return VECTOR_ELT(list, i);
            }
        }
    }
    glue_abort("internal", "an option is missing: %s", name);
}

double glue_number(SEXP list, const char* name) {
    SEXP x = glue_element(list, name);
    if (Rf_xlength(x) != 1) {
        glue_abort("internal", "an option is not a number: %s", name);
    }
    switch (TYPEOF(x)) {
        case REALSXP:
            return REAL_RO(x)[0];
        case INTSXP:
            return (double)INTEGER_RO(x)[0];
        case LGLSXP:
            return (double)LOGICAL_RO(x)[0];
        default:
            glue_abort("internal", "an option is not a number: %s", name);
    }
}

int glue_int(SEXP list, const char* name) {
    double x = glue_number(list, name);
    if (!(x >= 0 && x <= INT_MAX)) {
        glue_abort("internal", "an option is out of range: %s", name);
    }
    return (int)x;
}

int glue_flag(SEXP list, const char* name) { return glue_int(list, name) != 0; }

/* The handle of a layer: an ALTREP raw vector of length 0 that carries a tagged
 * external pointer. ALTREP, because its serialized state is ours to define, so
 * that saveRDS(), workers and caches keep the weights; raw, because that class
 * exists in every R since 3.5. */
#include "glue.h"

#include <R_ext/Altrep.h>

static R_altrep_class_t handle_class;

/* with a layer or without one: each has a finalizer that R is going to call */
static size_t handles_alive;

size_t glue_handles_alive(void) { return handles_alive; }

static void finalize(SEXP pointer) {
    struct attn_layer* layer = R_ExternalPtrAddr(pointer);
    R_ClearExternalPtr(pointer);
    attn_layer_destroy(layer);
    handles_alive--;
}

SEXP glue_new_handle(void) {
    SEXP pointer = PROTECT(R_MakeExternalPtr(NULL, glue_symbols.handle_tag, R_NilValue));
    /* registering allocates: do it while there is nothing to lose yet */
    R_RegisterCFinalizerEx(pointer, finalize, TRUE);
    handles_alive++;
    SEXP handle = R_new_altrep(handle_class, pointer, R_NilValue);
    UNPROTECT(1);
    return handle;
}

void glue_own(SEXP handle, struct attn_layer* layer) {
    R_SetExternalPtrAddr(R_altrep_data1(handle), layer);
}

struct attn_layer* glue_layer_or_null(SEXP handle) {
    if (!ALTREP(handle) || !R_altrep_inherits(handle, handle_class)) {
        return NULL;
    }
    SEXP pointer = R_altrep_data1(handle);
    if (TYPEOF(pointer) != EXTPTRSXP || R_ExternalPtrTag(pointer) != glue_symbols.handle_tag) {
        return NULL;
    }
    struct attn_layer* layer = R_ExternalPtrAddr(pointer);
    return layer != NULL && layer->magic == ATTN_LAYER_MAGIC ? layer : NULL;
}

struct attn_layer* glue_layer(SEXP handle) {
    struct attn_layer* layer = glue_layer_or_null(handle);
    if (layer == NULL) {
        glue_abort("state",
                   "this layer has lost its weights: either it was serialized with version = 2 "
                   "(use version 3, R's default), or its internals were replaced");
    }
    return layer;
}

SEXP glue_plans(SEXP handle) { return R_ExternalPtrProtected(R_altrep_data1(handle)); }

void glue_set_plans(SEXP handle, SEXP plans) {
    R_SetExternalPtrProtected(R_altrep_data1(handle), plans);
}

/* ---- ALTREP methods ---- */

static R_xlen_t handle_length(SEXP handle) {
    (void)handle;
    return 0;
}

/* nobody may read or write behind it: the length is 0 */
static void* handle_dataptr(SEXP handle, Rboolean writable) {
    static Rbyte nothing[1];
    (void)handle;
    (void)writable;
    return nothing;
}

static const void* handle_dataptr_or_null(SEXP handle) {
    (void)handle;
    return NULL;
}

static SEXP handle_duplicate(SEXP handle, Rboolean deep) {
    (void)deep; /* layers have reference semantics: copies share the state */
    return R_new_altrep(handle_class, R_altrep_data1(handle), R_NilValue);
}

/* serialize() and unserialize() can be left by longjmp wherever they allocate, and so in
 * these two methods, which an interrupt leaves where they poll. */

static SEXP handle_serialized_state(SEXP handle) {
    const struct attn_layer* layer = glue_layer_or_null(handle);
    if (layer == NULL) {
        return Rf_allocVector(RAWSXP, 0);
    }
    SEXP state = PROTECT(glue_vector(RAWSXP, (R_xlen_t)attn_layer_state_size(layer)));
    struct glue_call call;
    glue_begin(&call);
    attn_layer_state_put(&call.context, layer, RAW(state));
    glue_end(&call);
    UNPROTECT(1);
    return state;
}

static SEXP handle_unserialize(SEXP class, SEXP state) {
    (void)class;
    SEXP handle = PROTECT(glue_new_handle());
    if (TYPEOF(state) == RAWSXP && Rf_xlength(state) > 0) {
        struct glue_call call;
        glue_begin(&call);
        const enum attn_status status = attn_layer_state_get(
            &call.context, RAW_RO(state), (size_t)Rf_xlength(state), &call.layer);
        if (status == ATTN_OK) {
            glue_own(handle, call.layer);
            call.layer = NULL;
        }
        glue_end(&call);
        if (status == ATTN_NO_MEMORY) {
            glue_abort("memory", "attn: there is not enough memory to restore a layer");
        } else if (status != ATTN_OK) {
            glue_abort("state", "attn: the saved state of a layer is damaged");
        }
    }
    UNPROTECT(1);
    return handle;
}

static Rboolean handle_inspect(SEXP handle, int pre, int deep, int pvec,
                               void (*inspect_subtree)(SEXP, int, int, int)) {
    (void)pre;
    (void)deep;
    (void)pvec;
    (void)inspect_subtree;
    const struct attn_layer* layer = glue_layer_or_null(handle);
    Rprintf(" attn layer handle (%s)\n", layer == NULL ? "empty" : layer->kind->name);
    return TRUE;
}

void glue_register_handles(DllInfo* dll) {
    handle_class = R_make_altraw_class("attn_handle", "attn", dll);
    R_set_altrep_Length_method(handle_class, handle_length);
    R_set_altrep_Duplicate_method(handle_class, handle_duplicate);
    R_set_altrep_Serialized_state_method(handle_class, handle_serialized_state);
    R_set_altrep_Unserialize_method(handle_class, handle_unserialize);
    R_set_altrep_Inspect_method(handle_class, handle_inspect);
    R_set_altvec_Dataptr_method(handle_class, handle_dataptr);
    R_set_altvec_Dataptr_or_null_method(handle_class, handle_dataptr_or_null);
}

/* Entry points that serve every kind of layer: make, build, weights. The call
 * itself is in forward.c. */
#include <string.h>

#include "glue.h"
#include "marshal.h"
#include "plan.h"
#include "weights.h"

static enum attn_score_mode score_mode_of(const char* name) {
    return strcmp(name, "concat") == 0     ? ATTN_MODE_CONCAT
           : strcmp(name, "additive") == 0 ? ATTN_MODE_ADDITIVE
                                           : ATTN_MODE_DOT;
}

SEXP ffi_layer_create(SEXP kind, SEXP dtype, SEXP config, SEXP key) {
    const struct attn_layer_kind* found = attn_layer_kind_by_name(glue_string(kind, "kind"));
    if (found == NULL) {
        glue_abort("internal", "a layer needs a known kind");
    }
    struct attn_layer_config c = {
        .num_heads = glue_int(config, "num_heads"),
        .num_key_value_heads = glue_int(config, "num_key_value_heads"),
        .key_dim = glue_int(config, "key_dim"),
        .value_dim = glue_int(config, "value_dim"),
        .use_bias = glue_flag(config, "use_bias"),
        .use_gate = glue_flag(config, "use_gate"),
        .use_scale = glue_flag(config, "use_scale"),
        .score_mode = score_mode_of(glue_string(glue_element(config, "score_mode"), "score_mode")),
        .dropout = glue_number(config, "dropout"),
    };
    if (c.num_heads < 1 || c.num_key_value_heads < 1 || c.key_dim < 1 || c.value_dim < 1 ||
        c.num_heads % c.num_key_value_heads != 0 || !(c.dropout >= 0 && c.dropout <= 1)) {
        glue_abort("internal", "the configuration of a layer is out of range");
    }
    const enum attn_dtype precision = glue_dtype(dtype);
    const struct attn_random_key words = glue_key(key);
    SEXP handle = PROTECT(glue_new_handle());
    struct attn_layer* layer;
    if (attn_layer_create(found, precision, &c, words, &layer) != ATTN_OK) {
        glue_abort("memory", "attn: there is not enough memory for a layer");
    }
    glue_own(handle, layer);
    UNPROTECT(1);
    return handle;
}

/* Weights that R describes: names, dims (a list of integers) and depths (weights.h). */
SEXP ffi_weights_create(SEXP dtype, SEXP names, SEXP dims, SEXP depths, SEXP key) {
    const R_xlen_t count = Rf_xlength(names);
    struct attn_weight_shape shape[ATTN_MAX_WEIGHTS] = {{0}};
    if (TYPEOF(names) != STRSXP || TYPEOF(dims) != VECSXP || TYPEOF(depths) != INTSXP ||
        count > ATTN_MAX_WEIGHTS || Rf_xlength(dims) != count || Rf_xlength(depths) != count) {
        glue_abort("internal", "weights are a name, dims and a depth each");
    }
    for (int i = 0; i < (int)count; i++) {
        SEXP dim = VECTOR_ELT(dims, i);
        shape[i].name = CHAR(STRING_ELT(names, i));
        shape[i].rank = (int)Rf_xlength(dim);
        shape[i].depth = INTEGER_RO(depths)[i];
        if (TYPEOF(dim) != INTSXP || Rf_xlength(dim) > ATTN_MAX_RANK ||
            strlen(shape[i].name) >= ATTN_NAME_SIZE) {
            glue_abort("internal", "a weight has an odd name or odd dims");
        }
        for (int axis = 0; axis < shape[i].rank; axis++) {
            shape[i].dim[axis] = INTEGER_RO(dim)[axis];
            if (shape[i].dim[axis] < 1) {
                glue_abort("internal", "dims of weights are positive");
            }
        }
    }
    const enum attn_dtype precision = glue_dtype(dtype);
    const struct attn_random_key words = glue_key(key);
    SEXP handle = PROTECT(glue_new_handle());
    struct attn_layer* layer = NULL;
    switch (attn_weights_create(precision, (int)count, shape, words, &layer)) {
        case ATTN_OK:
            break;
        case ATTN_NO_MEMORY:
            glue_abort("memory", "attn: there is not enough memory for the weights");
        default:
            glue_abort("shape", "attn: the weights would be larger than memory can address");
    }
    glue_own(handle, layer);
    UNPROTECT(1);
    return handle;
}

SEXP ffi_layer_build(SEXP handle, SEXP widths, SEXP output_shape) {
    struct attn_layer* layer = glue_layer(handle);
    if (layer->built || TYPEOF(widths) != INTSXP || Rf_xlength(widths) != 3 ||
        TYPEOF(output_shape) != INTSXP || Rf_xlength(output_shape) > ATTN_MAX_OUTPUT_RANK) {
        glue_abort("internal",
                   "a layer is built once, from three widths and at most %d output dims",
                   ATTN_MAX_OUTPUT_RANK);
    }
    const int* width = INTEGER_RO(widths);
    struct attn_layer_widths w = {width[0], width[1], width[2], (int)Rf_xlength(output_shape), {0}};
    int positive = width[0] > 0 && width[1] > 0 && width[2] > 0;
    for (int i = 0; i < w.output_rank; i++) {
        w.output[i] = INTEGER_RO(output_shape)[i];
        positive = positive && w.output[i] > 0;
    }
    if (!positive) {
        glue_abort("internal", "widths and output dims must be positive");
    }
    switch (attn_layer_build(layer, &w)) {
        case ATTN_OK:
            return R_NilValue;
        case ATTN_NO_MEMORY:
            glue_abort("memory", "attn: there is not enough memory for the weights");
        default:
            glue_abort("shape", "attn: the weights would be larger than memory can address");
    }
}


/* length of the last axis of a weight */
static ptrdiff_t columns_of(const struct attn_weight* weight) {
    return weight->rank > 0 ? weight->dim[weight->rank - 1] : 1;
}

static void read_weight(struct glue_call* call, enum attn_dtype dtype,
                        const struct attn_weight* weight, const struct glue_array* array,
                        void* tensor) {
    const ptrdiff_t columns = columns_of(weight), rows = weight->length / columns;
    const struct attn_matrix from = attn_columns(glue_doubles(call, array), rows);
    struct attn_matrix_out to = attn_rows_out(tensor, columns);
    to.row_place = glue_row_places(call, weight->rank, weight->dim);
    attn_matrix_copy(&call->context, dtype, rows, columns, &from, &to);
}

static void write_weight(struct glue_call* call, enum attn_dtype dtype,
                         const struct attn_weight* weight, const void* tensor, double* array) {
    const ptrdiff_t columns = columns_of(weight), rows = weight->length / columns;
    struct attn_matrix from = attn_rows(tensor, columns);
    from.row_place = glue_row_places(call, weight->rank, weight->dim);
    const struct attn_matrix_out to = attn_columns_out(array, rows);
    attn_matrix_copy(&call->context, dtype, rows, columns, &from, &to);
}

static SEXP array_for(const struct attn_weight* weight) {
    SEXP array = PROTECT(glue_vector(REALSXP, weight->length));
    if (weight->rank > 0) {
        SEXP dim = PROTECT(Rf_allocVector(INTSXP, weight->rank));
        for (int axis = 0; axis < weight->rank; axis++) {
            INTEGER(dim)[axis] = (int)weight->dim[axis];
        }
        Rf_setAttrib(array, R_DimSymbol, dim);
        UNPROTECT(1);
    }
    UNPROTECT(1);
    return array;
}

SEXP ffi_layer_get_weights(SEXP handle) {
    struct attn_layer* layer = glue_layer(handle);
    SEXP list = PROTECT(Rf_allocVector(VECSXP, layer->weights));
    for (int i = 0; i < layer->weights; i++) {
        SET_VECTOR_ELT(list, i, array_for(&layer->weight[i]));
    }
    struct glue_call call;
    glue_begin(&call);
    for (int i = 0; i < layer->weights; i++) {
        write_weight(&call, layer->dtype, &layer->weight[i], attn_layer_weight(layer, i),
                     REAL(VECTOR_ELT(list, i)));
    }
    glue_end(&call);
    UNPROTECT(1);
    return list;
}

SEXP ffi_layer_weight_names(SEXP handle) {
    struct attn_layer* layer = glue_layer(handle);
    SEXP names = PROTECT(Rf_allocVector(STRSXP, layer->weights));
    for (int i = 0; i < layer->weights; i++) {
        SET_STRING_ELT(names, i, Rf_mkChar(layer->weight[i].name));
    }
    UNPROTECT(1);
    return names;
}

/* ---- new weights ---- */

/* the array of R for a weight, whose own dims R has checked */
static struct glue_array weight_array(const struct attn_weight* weight, SEXP x) {
    int dim[ATTN_MAX_RANK];
    for (int axis = 0; axis < weight->rank; axis++) {
        dim[axis] = (int)weight->dim[axis];
    }
    return glue_array_with(x, weight->rank, dim, "a weight");
}

static void check_new_weights(SEXP handle, SEXP weights) {
    const struct attn_layer* layer = glue_layer(handle);
    if (!layer->built || TYPEOF(weights) != VECSXP || Rf_xlength(weights) != layer->weights) {
        glue_abort("internal", "set_weights() needs a built layer and one array per weight");
    }
    for (int i = 0; i < layer->weights; i++) {
        weight_array(&layer->weight[i], VECTOR_ELT(weights, i));
    }
}

/* Storage for the new weights of all layers. Until it is given to them it is the call's,
 * which discards it where memory is short or an interrupt comes. */
static enum attn_status stage_all(struct glue_call* call, SEXP handles) {
    for (R_xlen_t i = 0; i < Rf_xlength(handles); i++) {
        struct glue_new_weights* new = glue_take(call, 1, sizeof *new);
        new->layer = glue_layer(VECTOR_ELT(handles, i));
        new->index = i;
        ATTN_TRY(attn_layer_stage(new->layer, &new->storage));
        new->before = call->new_weights;
        call->new_weights = new;
    }
    return ATTN_OK;
}

static void read_new_weights(struct glue_call* call, const struct glue_new_weights* new,
                             SEXP weights) {
    const struct attn_layer* layer = new->layer;
    for (int i = 0; i < layer->weights; i++) {
        const struct attn_weight* weight = &layer->weight[i];
        const struct glue_array array = weight_array(weight, VECTOR_ELT(weights, i));
        attn_parallel_poll(&call->context);
        read_weight(call, layer->dtype, weight, &array,
                    attn_layer_staged_weight(layer, new->storage, i));
    }
    attn_layer_pack(&call->context, layer, new->storage);
}

/* `weights`: for each handle the list of its layer's weights. All layers get theirs or,
 * where there is not memory for all or an interrupt comes, none. */
SEXP ffi_layers_set_weights(SEXP handles, SEXP weights) {
    if (TYPEOF(handles) != VECSXP || TYPEOF(weights) != VECSXP ||
        Rf_xlength(handles) != Rf_xlength(weights)) {
        glue_abort("internal", "set_weights() needs a list of weights for each layer");
    }
    if (glue_is_nested()) {
        glue_abort("state", "attn: weights cannot be set from an event that interrupts a call");
    }
    for (R_xlen_t i = 0; i < Rf_xlength(handles); i++) {
        check_new_weights(VECTOR_ELT(handles, i), VECTOR_ELT(weights, i));
    }
    struct glue_call call;
    glue_begin(&call);
    const enum attn_status status = stage_all(&call, handles);
    if (status == ATTN_OK) {
        for (struct glue_new_weights* new = call.new_weights; new != NULL; new = new->before) {
            read_new_weights(&call, new, VECTOR_ELT(weights, new->index));
        }
        for (; call.new_weights != NULL; call.new_weights = call.new_weights->before) {
            attn_layer_take(call.new_weights->layer, call.new_weights->storage);
        }
    }
    glue_end_checked(&call, status);
    return R_NilValue;
}

SEXP ffi_layer_info(SEXP handle) {
    struct attn_layer* layer = glue_layer(handle);
    const char* names[] = {"kind", "dtype", "built", "calls", "plans", ""};
    SEXP info = PROTECT(Rf_mkNamed(VECSXP, names));
    SET_VECTOR_ELT(info, 0, Rf_mkString(layer->kind->name));
    SET_VECTOR_ELT(info, 1, Rf_mkString(layer->dtype == ATTN_FLOAT32 ? "float32" : "float64"));
    SET_VECTOR_ELT(info, 2, Rf_ScalarLogical(layer->built));
    SET_VECTOR_ELT(info, 3, Rf_ScalarReal((double)layer->calls));
    SET_VECTOR_ELT(info, 4, Rf_ScalarInteger(glue_plan_count(handle)));
    UNPROTECT(1);
    return info;
}

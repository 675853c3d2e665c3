/* From the arguments of a call to its plan: by way of R, which checks everything
 * and has the plan remembered, or of a plan that is remembered. A plan is
 * remembered by the layer's handle, under the call's form: ranks and flags. Sizes
 * are no part of it, so that calls of changing length need one plan. */
#include <string.h>

#include "glue.h"
#include "plan.h"

/* ---- R's word for a plan ---- */

static enum attn_dead_row dead_row_of(SEXP options) {
    SEXP name = glue_element(options, "dead_row");
    if (TYPEOF(name) != STRSXP || Rf_xlength(name) != 1) {
        glue_abort("internal", "dead_row is not a string");
    }
    const char* text = CHAR(STRING_ELT(name, 0));
    return strcmp(text, "mean") == 0   ? ATTN_DEAD_MEAN
           : strcmp(text, "zero") == 0 ? ATTN_DEAD_ZERO
                                       : ATTN_DEAD_SHIFTED;
}

static void read_order(struct glue_plan* plan, SEXP order, SEXP n_attention) {
    if (TYPEOF(order) != INTSXP || Rf_xlength(order) < 2 ||
        Rf_xlength(order) >= ATTN_MAX_RANK || TYPEOF(n_attention) != INTSXP ||
        Rf_xlength(n_attention) != 1) {
        glue_abort("internal", "the order of axes does not fit the inputs");
    }
    plan->leading = (int)Rf_xlength(order);
    plan->attending = INTEGER_RO(n_attention)[0];
    unsigned seen = 0;
    for (int i = 0; i < plan->leading; i++) {
        const int axis = plan->order[i] = INTEGER_RO(order)[i];
        const unsigned bit = axis >= 0 && axis < plan->leading ? 1u << axis : 0;
        if (bit == 0 || (seen & bit) != 0) {
            glue_abort("internal", "the order of axes is not a permutation");
        }
        seen |= bit;
    }
    if (plan->attending < 1 || plan->attending >= plan->leading) {
        glue_abort("internal", "there must be batch axes and attention axes");
    }
}

static struct glue_plan read_plan(SEXP order, SEXP n_attention, SEXP options) {
    struct glue_plan plan;
    memset(&plan, 0, sizeof plan);
    read_order(&plan, order, n_attention);
    plan.causal = glue_flag(options, "causal");
    plan.window = glue_int(options, "window");
    plan.training = glue_flag(options, "training");
    plan.reference = glue_flag(options, "reference");
    plan.scores = glue_flag(options, "scores");
    plan.projections = glue_flag(options, "projections");
    plan.dead_row = dead_row_of(options);
    plan.threshold = glue_number(options, "mask_threshold");
    return plan;
}

/* a mask in the layout of the scores: list(values, dims, axes), see R/masks.R */
enum { MASK_VALUES, MASK_DIMS, MASK_AXES, MASK_FIELDS };

static SEXP mask_field(SEXP mask, int field) {
    if (TYPEOF(mask) != VECSXP || Rf_xlength(mask) != MASK_FIELDS) {
        glue_abort("internal", "a mask is not a list of values, dims and axes");
    }
    return VECTOR_ELT(mask, field);
}

static struct glue_array placed_mask(SEXP mask) {
    return glue_array_of(mask_field(mask, MASK_VALUES), mask_field(mask, MASK_DIMS), "a mask");
}

static int mask_count(SEXP masks) {
    if (TYPEOF(masks) != VECSXP || Rf_xlength(masks) > ATTN_MASK_PARTS) {
        glue_abort("internal", "masks are not a list of at most %d", ATTN_MASK_PARTS);
    }
    return (int)Rf_xlength(masks);
}

SEXP ffi_layer_forward(SEXP handle, SEXP inputs, SEXP order, SEXP n_attention, SEXP masks,
                       SEXP row_mask, SEXP options) {
    static const char* const names[] = {"output", "scores", "projections"};
    struct attn_layer* layer = glue_layer(handle);
    const struct glue_plan plan = read_plan(order, n_attention, options);
    struct glue_request request;
    if (TYPEOF(inputs) != VECSXP || Rf_xlength(inputs) != INPUTS) {
        glue_abort("internal", "a call needs three inputs");
    }
    for (int i = 0; i < INPUTS; i++) {
        request.input[i] = VECTOR_ELT(inputs, i);
    }
    request.masks = mask_count(masks);
    for (int i = 0; i < request.masks; i++) {
        request.mask[i] = placed_mask(VECTOR_ELT(masks, i));
    }
    request.has_rows = row_mask != R_NilValue;
    if (request.has_rows) {
        request.rows = placed_mask(row_mask);
    }
    SEXP results;
    const char* flaw = glue_forward(layer, &plan, &request, &results);
    if (flaw != NULL) {
        glue_abort("internal", "%s", flaw);
    }
    PROTECT(results);
    SEXP named = PROTECT(Rf_allocVector(STRSXP, 3));
    for (int i = 0; i < 3; i++) {
        SET_STRING_ELT(named, i, Rf_mkChar(names[i]));
    }
    Rf_setAttrib(results, R_NamesSymbol, named);
    attn_layer_count(layer, plan.training);
    UNPROTECT(2);
    return results;
}

/* ---- remembered plans ---- */

/* Forms of call that a layer remembers; those of one program are few. */
enum { PLANS = 16 };

enum { QUERY_MASK, VALUE_MASK, KEY_MASK, ATTENTION_MASK, MASKS };

/* The form of a call. Ranks of masks are 0 where there is none. Only integers, so
 * that forms can be compared as bytes. */
struct form {
    int rank, has_key, scores, training, causal;
    int flash_enabled; /* the session's choice */
    int mask_rank[MASKS];
};
enum { FORM_LENGTH = sizeof(struct form) / sizeof(int) };

/* For each axis of a layout the axis of the mask, counted from 1; 0: none. */
struct placement {
    int rank;
    unsigned char axis[ATTN_MAX_RANK];
};

struct remembered {
    struct form form;
    struct glue_plan plan;
    int query_mask_is_of_rows;
    struct placement placement[MASKS];
};

/* A remembered plan is a list: the bytes of the struct, the attribute `axes` that
 * its scores get. */
enum { PLAN_BYTES, PLAN_AXES, PLAN_FIELDS };

static struct placement read_placement(SEXP mask, int mask_rank) {
    SEXP axes = mask_field(mask, MASK_AXES);
    struct placement placement;
    memset(&placement, 0, sizeof placement);
    if (TYPEOF(axes) != INTSXP || Rf_xlength(axes) > ATTN_MAX_RANK) {
        glue_abort("internal", "the axes of a mask are not integers");
    }
    placement.rank = (int)Rf_xlength(axes);
    for (int i = 0; i < placement.rank; i++) {
        const int axis = INTEGER_RO(axes)[i];
        if (axis < 0 || axis > mask_rank) {
            glue_abort("internal", "the axes of a mask are out of range");
        }
        placement.axis[i] = (unsigned char)axis;
    }
    return placement;
}

/* Masks come in the order of their arguments; a mask of rows is the query's. */
static void read_placements(struct remembered* made, SEXP masks, SEXP row_mask) {
    const int count = mask_count(masks);
    int next = 0;
    made->query_mask_is_of_rows = row_mask != R_NilValue;
    for (int i = 0; i < MASKS; i++) {
        const int mask_rank = made->form.mask_rank[i];
        const int of_rows = i == QUERY_MASK && made->query_mask_is_of_rows;
        if (mask_rank == 0) {
            continue;
        }
        if (!of_rows && next >= count) {
            glue_abort("internal", "the form of a call has more masks than the call");
        }
        made->placement[i] =
            read_placement(of_rows ? row_mask : VECTOR_ELT(masks, next++), mask_rank);
    }
    if (next != count || (made->query_mask_is_of_rows && made->form.mask_rank[QUERY_MASK] == 0)) {
        glue_abort("internal", "the form of a call has fewer masks than the call");
    }
}

/* the list of the plan for this form, or R_NilValue */
static SEXP find_plan(SEXP handle, const struct form* form) {
    SEXP plans = glue_plans(handle);
    for (R_xlen_t i = 0; plans != R_NilValue && i < PLANS; i++) {
        SEXP plan = VECTOR_ELT(plans, i);
        if (plan != R_NilValue &&
            memcmp(RAW_RO(VECTOR_ELT(plan, PLAN_BYTES)), form, sizeof *form) == 0) {
            return plan;
        }
    }
    return R_NilValue;
}

int glue_plan_count(SEXP handle) {
    SEXP plans = glue_plans(handle);
    int count = 0;
    while (plans != R_NilValue && count < PLANS && VECTOR_ELT(plans, count) != R_NilValue) {
        count++;
    }
    return count;
}

/* The newest comes first; the oldest goes when there are too many. */
static void keep(SEXP handle, SEXP plan) {
    SEXP plans = glue_plans(handle);
    if (plans == R_NilValue) {
        plans = PROTECT(Rf_allocVector(VECSXP, PLANS));
        glue_set_plans(handle, plans);
        UNPROTECT(1);
    }
    for (R_xlen_t i = PLANS - 1; i > 0; i--) {
        SET_VECTOR_ELT(plans, i, VECTOR_ELT(plans, i - 1));
    }
    SET_VECTOR_ELT(plans, 0, plan);
}

SEXP ffi_layer_remember(SEXP handle, SEXP form, SEXP order, SEXP n_attention, SEXP masks,
                        SEXP row_mask, SEXP options, SEXP axes) {
    glue_layer(handle);
    if (TYPEOF(form) != INTSXP || Rf_xlength(form) != FORM_LENGTH) {
        glue_abort("internal", "the form of a call is not %d integers", (int)FORM_LENGTH);
    }
    struct remembered made;
    memset(&made, 0, sizeof made);
    memcpy(&made.form, INTEGER_RO(form), sizeof made.form);
    if (find_plan(handle, &made.form) != R_NilValue) {
        return R_NilValue; /* R had to look at the call for another reason than its form */
    }
    made.plan = read_plan(order, n_attention, options);
    read_placements(&made, masks, row_mask);
    SEXP plan = PROTECT(Rf_allocVector(VECSXP, PLAN_FIELDS));
    SET_VECTOR_ELT(plan, PLAN_BYTES, Rf_allocVector(RAWSXP, sizeof made));
    memcpy(RAW(VECTOR_ELT(plan, PLAN_BYTES)), &made, sizeof made);
    SET_VECTOR_ELT(plan, PLAN_AXES, axes);
    keep(handle, plan);
    UNPROTECT(1);
    return R_NilValue;
}

/* ---- a call by a remembered plan ---- */

/* The arguments of a call as R gave them; masks as they apply. */
struct arguments {
    SEXP input[INPUTS];
    SEXP mask[MASKS];
    SEXP output_mask;                      /* the one that the result is to carry */
    SEXP scores, training, causal, flash; /* flags */
};

/* whether the arguments are what a remembered plan can be about */
static int read_form(const struct arguments* given, struct form* form,
                     int mask_dim[MASKS][ATTN_MAX_RANK]) {
    memset(form, 0, sizeof *form);
    form->rank = glue_plain_rank(given->input[QUERY]);
    form->has_key = given->input[KEY] != R_NilValue;
    form->scores = glue_plain_flag(given->scores);
    form->training = given->training == R_NilValue ? 0 : glue_plain_flag(given->training);
    form->causal = glue_plain_flag(given->causal);
    form->flash_enabled = glue_plain_flag(given->flash);
    int usable = form->rank > 0 && glue_plain_rank(given->input[VALUE]) == form->rank &&
                 (!form->has_key || glue_plain_rank(given->input[KEY]) == form->rank) &&
                 form->scores >= 0 && form->training >= 0 && form->causal >= 0 &&
                 form->flash_enabled >= 0;
    for (int i = 0; usable && i < MASKS; i++) {
        if (given->mask[i] != R_NilValue) {
            form->mask_rank[i] = glue_plain_mask(given->mask[i], mask_dim[i]);
            usable = form->mask_rank[i] > 0;
        }
    }
    return usable;
}

static struct glue_array place(SEXP mask, const struct placement* placement, const int* mask_dim) {
    int dim[ATTN_MAX_RANK];
    for (int i = 0; i < placement->rank; i++) {
        dim[i] = placement->axis[i] == 0 ? 1 : mask_dim[placement->axis[i] - 1];
    }
    return glue_array_with(mask, placement->rank, dim, "a mask");
}

/* what R makes of the results, see heads_result() */
static SEXP finish(SEXP results, SEXP output_mask, SEXP axes, int with_scores) {
    PROTECT(results);
    SEXP output = VECTOR_ELT(results, 0);
    if (output_mask != R_NilValue) {
        Rf_setAttrib(output, glue_symbols.keras_mask, output_mask);
    }
    if (with_scores) {
        SEXP scores = VECTOR_ELT(results, 1);
        Rf_setAttrib(scores, glue_symbols.axes, axes);
        Rf_setAttrib(scores, R_ClassSymbol, glue_symbols.scores_class);
        SEXP both = PROTECT(Rf_allocVector(VECSXP, 2));
        SET_VECTOR_ELT(both, 0, output);
        SET_VECTOR_ELT(both, 1, scores);
        output = both;
        UNPROTECT(1);
    }
    UNPROTECT(1);
    return output;
}

/* The result, or NULL where R has to look: it may be a call of a form that is new,
 * or one that is an error, whose words R has. */
static SEXP call_by_plan(SEXP handle, struct attn_layer* layer, const struct arguments* given) {
    struct form form;
    int mask_dim[MASKS][ATTN_MAX_RANK];
    if (!read_form(given, &form, mask_dim)) {
        return R_NilValue;
    }
    SEXP plan = PROTECT(find_plan(handle, &form));
    if (plan == R_NilValue) {
        UNPROTECT(1);
        return R_NilValue;
    }
    struct remembered found;
    memcpy(&found, RAW_RO(VECTOR_ELT(plan, PLAN_BYTES)), sizeof found);
    struct glue_request request;
    memcpy(request.input, given->input, sizeof request.input);
    request.masks = request.has_rows = 0;
    for (int i = 0; i < MASKS; i++) {
        if (form.mask_rank[i] > 0) {
            const int of_rows = i == QUERY_MASK && found.query_mask_is_of_rows;
            *(of_rows ? &request.rows : &request.mask[request.masks]) =
                place(given->mask[i], &found.placement[i], mask_dim[i]);
            request.has_rows += of_rows;
            request.masks += !of_rows;
        }
    }
    SEXP results;
    if (glue_forward(layer, &found.plan, &request, &results) != NULL) {
        results = R_NilValue;
    } else {
        results = finish(results, given->output_mask, VECTOR_ELT(plan, PLAN_AXES),
                         found.plan.scores);
        attn_layer_count(layer, found.plan.training);
    }
    UNPROTECT(1);
    return results;
}

static SEXP attached_mask(SEXP x) { return Rf_getAttrib(x, glue_symbols.keras_mask); }

SEXP ffi_heads_call(SEXP handle, SEXP query, SEXP value, SEXP key, SEXP query_mask,
                    SEXP value_mask, SEXP key_mask, SEXP attention_mask, SEXP scores,
                    SEXP training, SEXP causal, SEXP flash) {
    struct attn_layer* layer = glue_layer_or_null(handle);
    /* a query mask has no effect on multi-head attention, and R warns */
    if (layer == NULL || (query_mask != R_NilValue &&
                          layer->kind->id == ATTN_LAYER_MULTI_HEAD_ATTENTION)) {
        return R_NilValue;
    }
    SEXP of_query = attached_mask(query);
    const struct arguments given = {
        {query, value, key},
        {query_mask != R_NilValue ? query_mask : of_query,
         value_mask != R_NilValue ? value_mask : attached_mask(value),
         key_mask != R_NilValue ? key_mask : attached_mask(key), attention_mask},
        of_query, scores, training, causal, flash,
    };
    return call_by_plan(handle, layer, &given);
}

/* two or three elements without names */
static int is_plain_list(SEXP x) {
    return TYPEOF(x) == VECSXP && !Rf_isObject(x) && (Rf_xlength(x) == 2 || Rf_xlength(x) == 3) &&
           Rf_getAttrib(x, R_NamesSymbol) == R_NilValue;
}

SEXP ffi_scores_call(SEXP handle, SEXP inputs, SEXP mask, SEXP scores, SEXP training, SEXP causal,
                     SEXP flash) {
    struct attn_layer* layer = glue_layer_or_null(handle);
    if (layer == NULL || !is_plain_list(inputs) || (mask != R_NilValue && !is_plain_list(mask))) {
        return R_NilValue;
    }
    SEXP query = VECTOR_ELT(inputs, QUERY), value = VECTOR_ELT(inputs, VALUE);
    SEXP query_mask = mask != R_NilValue ? VECTOR_ELT(mask, 0) : attached_mask(query);
    const struct arguments given = {
        {query, value, Rf_xlength(inputs) == 3 ? VECTOR_ELT(inputs, KEY) : R_NilValue},
        {query_mask, mask != R_NilValue ? VECTOR_ELT(mask, 1) : attached_mask(value), R_NilValue,
         R_NilValue},
        query_mask, scores, training, causal, flash,
    };
    return call_by_plan(handle, layer, &given);
}

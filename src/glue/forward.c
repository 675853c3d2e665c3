/* The call of a layer: R arrays in, the core, R arrays out.
 *
 * An array is given to the core as the matrix that it is in R's memory: a row for
 * each element of its leading axes, in R's order. `order` names those axes, batch
 * axes first, then the attention axes; which position a row is follows from it.
 * Scores have the axes (batch axes, N, query attention axes, key attention axes). */
#include <string.h>

#include "glue.h"
#include "marshal.h"
#include "plan.h"

struct forward {
    struct attn_layer* layer;
    struct glue_array input[INPUTS];
    int leading, attending; /* axes in `order`, and how many of them attend */
    int order[ATTN_MAX_RANK];
    int has_heads; /* scores have a head axis */
    struct attn_layer_call call;
    ptrdiff_t rows[INPUTS];
};

/* whether `axis` of the order has the same extent in both inputs */
static int same_extent(const struct forward* f, int a, int b, int axis) {
    return f->input[a].dim[f->order[axis]] == f->input[b].dim[f->order[axis]];
}

/* Each of these returns NULL, or what does not fit. */

static const char* check_inputs(struct forward* f, const SEXP* inputs) {
    static const char* const names[INPUTS] = {"query", "value", "key"};
    if (!f->layer->built) {
        return "a call needs a built layer";
    }
    for (int i = 0; i < INPUTS; i++) {
        SEXP x = i == KEY && inputs[KEY] == R_NilValue ? inputs[VALUE] : inputs[i];
        f->input[i] = glue_array(x, names[i]);
        if (f->input[i].rank != f->leading + 1) {
            return "an input does not have one axis more than the order of axes";
        }
    }
    f->call.query_width = f->input[QUERY].dim[f->leading];
    f->call.key_width = f->input[KEY].dim[f->leading];
    f->call.value_width = f->input[VALUE].dim[f->leading];
    return f->layer->kind->accepts(f->layer, f->call.query_width, f->call.key_width,
                                   f->call.value_width)
               ? NULL
               : "the inputs do not fit the layer's weights";
}

static const char* check_extents(struct forward* f) {
    const int batch_axes = f->leading - f->attending;
    f->call.batch = f->call.target = f->call.source = 1;
    for (int axis = 0; axis < f->leading; axis++) {
        if (!same_extent(f, VALUE, KEY, axis) ||
            (axis < batch_axes && !same_extent(f, QUERY, VALUE, axis))) {
            return "the inputs do not fit each other";
        }
        if (axis < batch_axes) {
            f->call.batch *= f->input[QUERY].dim[f->order[axis]];
        } else {
            f->call.target *= f->input[QUERY].dim[f->order[axis]];
            f->call.source *= f->input[VALUE].dim[f->order[axis]];
        }
    }
    f->rows[QUERY] = f->call.batch * f->call.target;
    f->rows[VALUE] = f->rows[KEY] = f->call.batch * f->call.source;
    return NULL;
}

/* ---- results, allocated before the core runs ---- */

/* leading dims of an input, then `trailing` dims */
static SEXP array_like(const struct glue_array* input, int trailing, const ptrdiff_t* tail) {
    const int leading = input->rank - 1;
    ptrdiff_t dim[2 * ATTN_MAX_RANK];
    memcpy(dim, input->dim, (size_t)leading * sizeof *dim);
    memcpy(dim + leading, tail, (size_t)trailing * sizeof *dim);
    return glue_new_array(leading + trailing, dim);
}

/* extents of the axes of the scores, in order; returns their number */
static int score_extents(const struct forward* f, ptrdiff_t* extent) {
    const int batch_axes = f->leading - f->attending;
    int axes = 0;
    for (int i = 0; i < batch_axes; i++) {
        extent[axes++] = f->input[QUERY].dim[f->order[i]];
    }
    /* not the configuration's number, which says nothing where there are no heads */
    extent[axes++] = f->has_heads ? f->layer->config.num_heads : 1;
    for (int i = batch_axes; i < f->leading; i++) {
        extent[axes++] = f->input[QUERY].dim[f->order[i]];
    }
    for (int i = batch_axes; i < f->leading; i++) {
        extent[axes++] = f->input[VALUE].dim[f->order[i]];
    }
    return axes;
}

static SEXP scores_array(const struct forward* f) {
    ptrdiff_t extent[2 * ATTN_MAX_RANK];
    const int axes = score_extents(f, extent), head_axis = f->leading - f->attending;
    if (f->has_heads) {
        return glue_new_array(axes, extent);
    }
    memmove(extent + head_axis, extent + head_axis + 1,
            (size_t)(axes - head_axis - 1) * sizeof *extent);
    return glue_new_array(axes - 1, extent);
}

/* heads and size of a projection; 0 heads where the layer has none such */
static void projection_shape(const struct attn_layer* layer, int which, ptrdiff_t shape[2]) {
    const struct attn_layer_config* c = &layer->config;
    const int of_query = which == ATTN_PROJECT_QUERY || which == ATTN_PROJECT_GATE;
    shape[0] = of_query ? c->num_heads : c->num_key_value_heads;
    shape[1] = which == ATTN_PROJECT_QUERY || which == ATTN_PROJECT_KEY ? c->key_dim : c->value_dim;
    if (which == ATTN_PROJECT_GATE && !c->use_gate) {
        shape[0] = 0;
    }
}

static int input_of_projection(int which) {
    return which == ATTN_PROJECT_KEY ? KEY : which == ATTN_PROJECT_VALUE ? VALUE : QUERY;
}

static SEXP projections_list(const struct forward* f) {
    const char* names[] = {"query", "key", "value", "gate", ""};
    SEXP list = PROTECT(Rf_mkNamed(VECSXP, names));
    for (int which = 0; which < ATTN_PROJECTIONS; which++) {
        ptrdiff_t shape[2];
        projection_shape(f->layer, which, shape);
        if (shape[0] > 0) {
            SET_VECTOR_ELT(list, which,
                           array_like(&f->input[input_of_projection(which)], 2, shape));
        }
    }
    UNPROTECT(1);
    return list;
}

static SEXP allocate_results(const struct forward* f, const struct glue_plan* plan) {
    const struct attn_layer_widths* widths = &f->layer->widths;
    SEXP results = PROTECT(Rf_allocVector(VECSXP, 3));
    SET_VECTOR_ELT(results, 0,
                   f->has_heads
                       ? array_like(&f->input[QUERY], widths->output_rank, widths->output)
                       : array_like(&f->input[QUERY], 1, &f->call.value_width));
    if (plan->scores) {
        SET_VECTOR_ELT(results, 1, scores_array(f));
    }
    if (f->has_heads && plan->projections) {
        SET_VECTOR_ELT(results, 2, projections_list(f));
    }
    UNPROTECT(1);
    return results;
}

/* ---- rows and columns ---- */

/* Which position (the row-major index in the axes of `order`) each row of an input is;
 * NULL where rows are in that order, as they are if one axis has all of them. */
static const ptrdiff_t* position_order(struct glue_call* call, const struct forward* f,
                                       int input) {
    ptrdiff_t extent[ATTN_MAX_RANK], step[ATTN_MAX_RANK], length = 1;
    int longer = 0;
    for (int i = f->leading - 1; i >= 0; i--) {
        const int axis = f->order[i], reversed = f->leading - 1 - axis;
        extent[reversed] = f->input[input].dim[axis];
        step[reversed] = length;
        length *= extent[reversed];
        longer += extent[reversed] > 1;
    }
    if (longer <= 1) {
        return NULL;
    }
    ptrdiff_t* positions = glue_take(call, (size_t)length, sizeof *positions);
    glue_offsets(call, f->leading, extent, step, positions);
    return positions;
}

static int same_leading_dims(const struct forward* f, int a, int b) {
    return memcmp(f->input[a].dim, f->input[b].dim,
                  (size_t)f->leading * sizeof f->input[a].dim[0]) == 0;
}

static struct attn_matrix input_matrix(struct glue_call* call, const struct forward* f,
                                       int input) {
    return attn_columns(glue_doubles(call, &f->input[input]), f->rows[input]);
}

/* the same R object is one matrix, however often it was given */
static void describe_inputs(struct glue_call* call, struct forward* f) {
    f->call.query = input_matrix(call, f, QUERY);
    f->call.value = f->input[VALUE].object == f->input[QUERY].object
                        ? f->call.query
                        : input_matrix(call, f, VALUE);
    f->call.key = f->input[KEY].object == f->input[VALUE].object   ? f->call.value
                  : f->input[KEY].object == f->input[QUERY].object ? f->call.query
                                                                   : input_matrix(call, f, KEY);
    f->call.query_order = position_order(call, f, QUERY);
    f->call.key_order = same_leading_dims(f, QUERY, VALUE) ? f->call.query_order
                                                           : position_order(call, f, VALUE);
}

/* An array whose leading axes are an input's. Ours and R's order of the axes behind
 * them differ, but for those of length 1. */
static struct attn_matrix_out result_matrix(struct glue_call* call, const struct forward* f,
                                            int input, int axes, const ptrdiff_t* extent,
                                            SEXP array) {
    struct attn_matrix_out matrix = attn_columns_out(REAL(array), f->rows[input]);
    ptrdiff_t step[ATTN_MAX_RANK], columns = 1;
    int longer = 0;
    for (int i = 0; i < axes; i++) {
        step[i] = columns;
        columns *= extent[i];
        longer += extent[i] > 1;
    }
    if (longer > 1) {
        ptrdiff_t* places = glue_take(call, (size_t)columns, sizeof *places);
        glue_offsets(call, axes, extent, step, places);
        matrix.column_place = places;
    }
    return matrix;
}

/* ---- masks and scores ---- */

/* extents of a mask of rows: those of the scores without heads and keys */
static int row_extents(const struct forward* f, ptrdiff_t* extent) {
    for (int i = 0; i < f->leading; i++) {
        extent[i] = f->input[QUERY].dim[f->order[i]];
    }
    return f->leading;
}

static const char* check_masks(const struct forward* f, const struct glue_request* request) {
    ptrdiff_t extent[2 * ATTN_MAX_RANK];
    const int axes = score_extents(f, extent);
    for (int i = 0; i < request->masks; i++) {
        if (!glue_broadcasts(&request->mask[i], axes, extent)) {
            return "a mask does not fit the scores";
        }
    }
    if (request->has_rows && !glue_broadcasts(&request->rows, row_extents(f, extent), extent)) {
        return "a mask of rows does not fit them";
    }
    return NULL;
}

/* of arrays that check_masks() has seen */
static void read_masks(struct glue_call* call, struct forward* f,
                       const struct glue_request* request, double threshold) {
    ptrdiff_t extent[2 * ATTN_MAX_RANK];
    const int batch_axes = f->leading - f->attending;
    const int groups[4] = {batch_axes, 1, f->attending, f->attending};
    score_extents(f, extent);
    for (int i = 0; i < request->masks; i++) {
        f->call.mask.part[i] = glue_mask(call, &request->mask[i], groups, extent, threshold);
    }
    f->call.mask.parts = request->masks;
    if (request->has_rows) {
        const int row_groups[4] = {batch_axes, 0, f->attending, 0};
        row_extents(f, extent);
        f->call.keep_row = glue_mask(call, &request->rows, row_groups, extent, 0);
    }
}

static struct attn_scores_out scores_out(struct glue_call* call, const struct forward* f,
                                         SEXP scores) {
    ptrdiff_t extent[2 * ATTN_MAX_RANK], step[2 * ATTN_MAX_RANK], length = 1;
    const int axes = score_extents(f, extent), batch_axes = f->leading - f->attending;
    for (int i = 0; i < axes; i++) {
        step[i] = length;
        length *= extent[i];
    }
    const int group_axes[4] = {batch_axes, 1, f->attending, f->attending};
    const ptrdiff_t group_length[4] = {f->call.batch, extent[batch_axes], f->call.target,
                                       f->call.source};
    ptrdiff_t* offsets[4];
    int axis = 0;
    for (int group = 0; group < 4; group++) {
        offsets[group] = glue_take(call, (size_t)group_length[group], sizeof **offsets);
        glue_offsets(call, group_axes[group], extent + axis, step + axis, offsets[group]);
        axis += group_axes[group];
    }
    struct attn_scores_out out = {REAL(scores), offsets[0], offsets[1], offsets[2], offsets[3]};
    return out;
}

static struct attn_matrix_out output_matrix(struct glue_call* call, const struct forward* f,
                                            SEXP output) {
    const struct attn_layer_widths* widths = &f->layer->widths;
    return result_matrix(call, f, QUERY, f->has_heads ? widths->output_rank : 1,
                         f->has_heads ? widths->output : &f->call.value_width, output);
}

static void write_projections(struct glue_call* call, const struct forward* f,
                              SEXP projections) {
    for (int which = 0; which < ATTN_PROJECTIONS; which++) {
        ptrdiff_t shape[2];
        projection_shape(f->layer, which, shape);
        if (shape[0] > 0) {
            const int input = input_of_projection(which);
            const ptrdiff_t columns = shape[0] * shape[1];
            const struct attn_matrix_out array =
                result_matrix(call, f, input, 2, shape, VECTOR_ELT(projections, which));
            struct attn_matrix tensor = attn_rows(f->call.projection[which], columns);
            tensor.row_place = input == QUERY ? f->call.query_order : f->call.key_order;
            attn_matrix_copy(&call->context, f->layer->dtype, f->rows[input], columns, &tensor,
                             &array);
        }
    }
}

/* the plan and the shapes of the inputs, checked */
static const char* begin_forward(struct forward* f, struct attn_layer* layer,
                                 const struct glue_plan* plan,
                                 const struct glue_request* request) {
    memset(f, 0, sizeof *f);
    f->layer = layer;
    f->has_heads = layer->kind->id == ATTN_LAYER_MULTI_HEAD_ATTENTION ||
                   layer->kind->id == ATTN_LAYER_GROUP_QUERY_ATTENTION;
    f->leading = plan->leading;
    f->attending = plan->attending;
    memcpy(f->order, plan->order, sizeof f->order);
    f->call.mask.causal = plan->causal;
    f->call.mask.window = plan->window;
    f->call.training = plan->training;
    f->call.reference = plan->reference;
    f->call.dead_row = plan->dead_row;
    const char* flaw = check_inputs(f, request->input);
    flaw = flaw == NULL ? check_extents(f) : flaw;
    return flaw == NULL ? check_masks(f, request) : flaw;
}

const char* glue_forward(struct attn_layer* layer, const struct glue_plan* plan,
                         const struct glue_request* request, SEXP* results) {
    struct forward f;
    const char* flaw = begin_forward(&f, layer, plan, request);
    if (flaw != NULL) {
        return flaw;
    }
    SEXP made = PROTECT(allocate_results(&f, plan));

    struct glue_call call;
    glue_begin(&call);
    describe_inputs(&call, &f);
    read_masks(&call, &f, request, plan->threshold);
    if (plan->scores) {
        f.call.scores = scores_out(&call, &f, VECTOR_ELT(made, 1));
    }
    f.call.output = output_matrix(&call, &f, VECTOR_ELT(made, 0));
    enum attn_status status = attn_layer_forward(&call.context, layer, &f.call);
    if (status == ATTN_OK) {
        if (VECTOR_ELT(made, 2) != R_NilValue) {
            write_projections(&call, &f, VECTOR_ELT(made, 2));
        }
    }
    glue_end_checked(&call, status);
    UNPROTECT(1);
    *results = made;
    return NULL;
}

/* The call of a layer: R arrays to tensors, the core, tensors to R arrays.
 *
 * `order` names the leading axes of the inputs, batch axes first, then the
 * attention axes; tensors have their rows in that order. Scores have the axes
 * (batch axes, N, query attention axes, key attention axes). */
#include <string.h>

#include "glue.h"
#include "marshal.h"

enum { QUERY, VALUE, KEY, INPUTS };

struct forward {
    struct attn_layer* layer;
    struct glue_array input[INPUTS];
    int has_key;
    int leading, attending; /* axes in `order`, and how many of them attend */
    int order[ATTN_MAX_RANK];
    int has_heads; /* scores have a head axis */
    struct attn_layer_call call;
    ptrdiff_t rows[INPUTS];
};

static void check_order(struct forward* f, SEXP order, SEXP n_attention) {
    f->leading = f->input[QUERY].rank - 1;
    if (TYPEOF(order) != INTSXP || Rf_xlength(order) != f->leading ||
        TYPEOF(n_attention) != INTSXP || Rf_xlength(n_attention) != 1) {
        glue_abort("internal", "the order of axes does not fit the inputs");
    }
    f->attending = INTEGER_RO(n_attention)[0];
    unsigned seen = 0;
    for (int i = 0; i < f->leading; i++) {
        f->order[i] = INTEGER_RO(order)[i];
        if (f->order[i] < 0 || f->order[i] >= f->leading || (seen >> f->order[i] & 1u)) {
            glue_abort("internal", "the order of axes is not a permutation");
        }
        seen |= 1u << f->order[i];
    }
    if (f->attending < 1 || f->attending >= f->leading) {
        glue_abort("internal", "there must be batch axes and attention axes");
    }
}

/* whether `axis` of the order has the same extent in both inputs */
static int same_extent(const struct forward* f, int a, int b, int axis) {
    return f->input[a].dim[f->order[axis]] == f->input[b].dim[f->order[axis]];
}

static void check_inputs(struct forward* f, SEXP inputs) {
    static const char* const names[INPUTS] = {"query", "value", "key"};
    if (TYPEOF(inputs) != VECSXP || Rf_xlength(inputs) != INPUTS || !f->layer->built) {
        glue_abort("internal", "a call needs a built layer and three inputs");
    }
    f->has_key = VECTOR_ELT(inputs, KEY) != R_NilValue;
    for (int i = 0; i < INPUTS; i++) {
        SEXP x = i == KEY && !f->has_key ? VECTOR_ELT(inputs, VALUE) : VECTOR_ELT(inputs, i);
        f->input[i] = glue_array(x, names[i]);
        if (f->input[i].rank != f->input[QUERY].rank || f->input[i].rank < 3) {
            glue_abort("internal", "%s does not have the rank of the others", names[i]);
        }
    }
    const int last = f->input[QUERY].rank - 1;
    f->call.query_width = f->input[QUERY].dim[last];
    f->call.key_width = f->input[KEY].dim[last];
    f->call.value_width = f->input[VALUE].dim[last];
    if (!f->layer->kind->accepts(f->layer, f->call.query_width, f->call.key_width,
                                 f->call.value_width)) {
        glue_abort("internal", "the inputs do not fit the layer's weights");
    }
}

static void check_extents(struct forward* f) {
    const int batch_axes = f->leading - f->attending;
    f->call.batch = f->call.target = f->call.source = 1;
    for (int axis = 0; axis < f->leading; axis++) {
        int fits = same_extent(f, VALUE, KEY, axis);
        if (axis < batch_axes) {
            fits = fits && same_extent(f, QUERY, VALUE, axis);
            f->call.batch *= f->input[QUERY].dim[f->order[axis]];
        } else {
            f->call.target *= f->input[QUERY].dim[f->order[axis]];
            f->call.source *= f->input[VALUE].dim[f->order[axis]];
        }
        if (!fits) {
            glue_abort("internal", "the inputs do not fit each other");
        }
    }
    f->rows[QUERY] = f->call.batch * f->call.target;
    f->rows[VALUE] = f->rows[KEY] = f->call.batch * f->call.source;
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

static SEXP allocate_results(const struct forward* f, SEXP options) {
    const struct attn_layer_widths* widths = &f->layer->widths;
    const char* names[] = {"output", "scores", "projections", ""};
    SEXP results = PROTECT(Rf_mkNamed(VECSXP, names));
    SET_VECTOR_ELT(results, 0,
                   f->has_heads
                       ? array_like(&f->input[QUERY], widths->output_rank, widths->output)
                       : array_like(&f->input[QUERY], 1, &f->call.value_width));
    if (glue_flag(options, "scores")) {
        SET_VECTOR_ELT(results, 1, scores_array(f));
    }
    if (f->has_heads && glue_flag(options, "projections")) {
        SET_VECTOR_ELT(results, 2, projections_list(f));
    }
    UNPROTECT(1);
    return results;
}

/* ---- rows and columns ---- */

/* where each row of an array with an input's leading axes starts */
static ptrdiff_t* row_offsets(struct glue_call* call, const struct forward* f, int input) {
    ptrdiff_t extent[ATTN_MAX_RANK], step[ATTN_MAX_RANK];
    for (int i = 0; i < f->leading; i++) {
        extent[i] = f->input[input].dim[f->order[i]];
        step[i] = f->input[input].step[f->order[i]];
    }
    ptrdiff_t* offsets = glue_take(call, (size_t)f->rows[input], sizeof *offsets);
    glue_offsets(f->leading, extent, step, offsets);
    return offsets;
}

/* where each column of the trailing axes is, behind `rows` elements per step */
static ptrdiff_t* column_offsets(struct glue_call* call, ptrdiff_t rows, int axes,
                                 const ptrdiff_t* extent, ptrdiff_t* columns) {
    ptrdiff_t step[ATTN_MAX_RANK], length = rows;
    for (int i = 0; i < axes; i++) {
        step[i] = length;
        length *= extent[i];
    }
    *columns = length / rows;
    ptrdiff_t* offsets = glue_take(call, (size_t)*columns, sizeof *offsets);
    glue_offsets(axes, extent, step, offsets);
    return offsets;
}

static const void* read_input(struct glue_call* call, const struct forward* f, int input) {
    const struct glue_array* array = &f->input[input];
    ptrdiff_t columns;
    const ptrdiff_t* column =
        column_offsets(call, f->rows[input], 1, &array->dim[array->rank - 1], &columns);
    void* tensor = glue_take(call, (size_t)f->rows[input],
                             (size_t)columns * attn_dtype_size(f->layer->dtype));
    glue_read(&call->context, f->layer->dtype, array, f->rows[input],
              row_offsets(call, f, input), columns, column, tensor);
    return tensor;
}

/* the same R object is one tensor, however often it was given */
static void read_inputs(struct glue_call* call, struct forward* f) {
    f->call.query = read_input(call, f, QUERY);
    f->call.value = f->input[VALUE].object == f->input[QUERY].object
                        ? f->call.query
                        : read_input(call, f, VALUE);
    f->call.key = f->input[KEY].object == f->input[VALUE].object   ? f->call.value
                  : f->input[KEY].object == f->input[QUERY].object ? f->call.query
                                                                   : read_input(call, f, KEY);
}

static void write_result(struct glue_call* call, const struct forward* f, int input, int axes,
                         const ptrdiff_t* extent, const void* tensor, SEXP array) {
    ptrdiff_t columns;
    const ptrdiff_t* column = column_offsets(call, f->rows[input], axes, extent, &columns);
    glue_write(&call->context, f->layer->dtype, tensor, f->rows[input],
               row_offsets(call, f, input), columns, column, REAL(array));
}

/* ---- masks and scores ---- */

/* `checked` arrays were proven by check_masks() before the call began */
static void read_masks(struct glue_call* call, struct forward* f, const struct glue_array* checked,
                       int masks, const struct glue_array* row_mask, double threshold) {
    ptrdiff_t extent[2 * ATTN_MAX_RANK];
    const int batch_axes = f->leading - f->attending;
    const int groups[4] = {batch_axes, 1, f->attending, f->attending};
    const int axes = score_extents(f, extent);
    for (int i = 0; i < masks; i++) {
        if (checked[i].rank != axes) {
            glue_end(call);
            glue_abort("internal", "a mask does not have the rank of the scores");
        }
        f->call.mask.part[i] = glue_mask(call, &checked[i], groups, extent, threshold);
    }
    f->call.mask.parts = masks;
    if (row_mask != NULL) {
        const int row_groups[4] = {batch_axes, 0, f->attending, 0};
        memmove(extent + batch_axes, extent + batch_axes + 1,
                (size_t)f->attending * sizeof *extent);
        f->call.keep_row = glue_mask(call, row_mask, row_groups, extent, 0);
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
        glue_offsets(group_axes[group], extent + axis, step + axis, offsets[group]);
        axis += group_axes[group];
    }
    struct attn_scores_out out = {REAL(scores), offsets[0], offsets[1], offsets[2], offsets[3]};
    return out;
}

static int check_masks(SEXP masks, struct glue_array* checked) {
    if (TYPEOF(masks) != VECSXP || Rf_xlength(masks) > ATTN_MASK_PARTS) {
        glue_abort("internal", "masks are not a list of at most %d", ATTN_MASK_PARTS);
    }
    const int count = (int)Rf_xlength(masks);
    for (int i = 0; i < count; i++) {
        SEXP pair = VECTOR_ELT(masks, i);
        if (TYPEOF(pair) != VECSXP || Rf_xlength(pair) != 2) {
            glue_abort("internal", "a mask is not a pair of values and dims");
        }
        checked[i] = glue_array_of(VECTOR_ELT(pair, 0), VECTOR_ELT(pair, 1), "a mask");
    }
    return count;
}

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

static void write_results(struct glue_call* call, const struct forward* f, SEXP results) {
    const struct attn_layer_widths* widths = &f->layer->widths;
    write_result(call, f, QUERY, f->has_heads ? widths->output_rank : 1,
                 f->has_heads ? widths->output : &f->call.value_width, f->call.output,
                 VECTOR_ELT(results, 0));
    SEXP projections = VECTOR_ELT(results, 2);
    for (int which = 0; projections != R_NilValue && which < ATTN_PROJECTIONS; which++) {
        ptrdiff_t shape[2];
        projection_shape(f->layer, which, shape);
        if (shape[0] > 0) {
            write_result(call, f, input_of_projection(which), 2, shape,
                         f->call.projection[which], VECTOR_ELT(projections, which));
        }
    }
}

SEXP ffi_layer_forward(SEXP handle, SEXP inputs, SEXP order, SEXP n_attention, SEXP masks,
                       SEXP row_mask, SEXP options) {
    struct forward f;
    memset(&f, 0, sizeof f);
    f.layer = glue_layer(handle);
    f.has_heads = f.layer->kind->id == ATTN_LAYER_MULTI_HEAD_ATTENTION ||
                  f.layer->kind->id == ATTN_LAYER_GROUP_QUERY_ATTENTION;
    check_inputs(&f, inputs);
    check_order(&f, order, n_attention);
    check_extents(&f);
    struct glue_array mask[ATTN_MASK_PARTS], rows;
    const int mask_count = check_masks(masks, mask);
    const int has_rows = row_mask != R_NilValue;
    if (has_rows) {
        if (TYPEOF(row_mask) != VECSXP || Rf_xlength(row_mask) != 2) {
            glue_abort("internal", "a mask of rows is not a pair of values and dims");
        }
        rows = glue_array_of(VECTOR_ELT(row_mask, 0), VECTOR_ELT(row_mask, 1), "a mask of rows");
        if (rows.rank != f.leading) {
            glue_abort("internal", "a mask of rows does not have their rank");
        }
    }
    f.call.mask.causal = glue_flag(options, "causal");
    f.call.mask.window = glue_int(options, "window");
    f.call.training = glue_flag(options, "training");
    f.call.reference = glue_flag(options, "reference");
    f.call.dead_row = dead_row_of(options);
    const double threshold = glue_number(options, "mask_threshold");
    SEXP results = PROTECT(allocate_results(&f, options));

    struct glue_call call;
    glue_begin(&call);
    read_inputs(&call, &f);
    read_masks(&call, &f, mask, mask_count, has_rows ? &rows : NULL, threshold);
    if (VECTOR_ELT(results, 1) != R_NilValue) {
        f.call.scores = scores_out(&call, &f, VECTOR_ELT(results, 1));
    }
    const ptrdiff_t width = Rf_xlength(VECTOR_ELT(results, 0)) / f.rows[QUERY];
    f.call.output = glue_take(&call, (size_t)f.rows[QUERY],
                              (size_t)width * attn_dtype_size(f.layer->dtype));
    enum attn_status status = attn_layer_forward(&call.context, f.layer, &f.call);
    if (status == ATTN_OK) {
        write_results(&call, &f, results);
        attn_layer_count(f.layer, &f.call);
    }
    glue_end_checked(&call, status);
    UNPROTECT(1);
    return results;
}

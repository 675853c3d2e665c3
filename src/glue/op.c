/* Attention without a layer: op_dot_product_attention(). Arrays are (B, T, N, K),
 * (B, S, G, K), (B, S, G, V); bias and masks are broadcast to (B, N, T, S). */
#include <math.h>
#include <string.h>

#include "glue.h"
#include "marshal.h"

/* Which row of the tensor the rows of a rank-4 array are, the rows being its first
 * three axes in R's order; `step` is the tensor's, in rows. */
static const ptrdiff_t* row_order(struct glue_call* call, const ptrdiff_t* dim,
                                  const ptrdiff_t step[3]) {
    const ptrdiff_t slowest_first[3] = {dim[2], dim[1], dim[0]};
    const ptrdiff_t steps[3] = {step[2], step[1], step[0]};
    ptrdiff_t* order = glue_take(call, (size_t)(dim[0] * dim[1] * dim[2]), sizeof *order);
    glue_offsets(call, 3, slowest_first, steps, order);
    return order;
}

static const void* read_tensor(struct glue_call* call, enum attn_dtype dtype,
                               const struct glue_array* array, const ptrdiff_t step[3]) {
    const ptrdiff_t rows = array->dim[0] * array->dim[1] * array->dim[2], columns = array->dim[3];
    const struct attn_matrix from = attn_columns(glue_doubles(call, array), rows);
    void* tensor = glue_take(call, (size_t)rows, (size_t)columns * attn_dtype_size(dtype));
    struct attn_matrix_out to = attn_rows_out(tensor, columns);
    to.row_place = row_order(call, array->dim, step);
    attn_matrix_copy(&call->context, dtype, rows, columns, &from, &to);
    return tensor;
}

/* (B, T, N, width) as a tensor (B, N, T, width) */
static const void* read_heads(struct glue_call* call, enum attn_dtype dtype,
                              const struct glue_array* array) {
    const ptrdiff_t T = array->dim[1], N = array->dim[2], step[3] = {N * T, 1, T};
    return read_tensor(call, dtype, array, step);
}

static void write_heads(struct glue_call* call, const struct attn_attention* problem,
                        double* array) {
    const ptrdiff_t B = problem->batch, T = problem->target, N = problem->heads;
    const ptrdiff_t dim[3] = {B, T, N}, step[3] = {N * T, 1, T};
    struct attn_matrix from = attn_rows(problem->output, problem->value_dim);
    from.row_place = row_order(call, dim, step);
    const struct attn_matrix_out to = attn_columns_out(array, B * T * N);
    attn_matrix_copy(&call->context, problem->dtype, B * T * N, problem->value_dim, &from, &to);
}

static struct attn_strides strides_of(ptrdiff_t N, ptrdiff_t T, ptrdiff_t width) {
    return attn_strides(N * T * width, T * width, width);
}

static struct attn_bias read_bias(struct glue_call* call, enum attn_dtype dtype,
                                  const struct glue_array* array) {
    const ptrdiff_t* d = array->dim;
    const ptrdiff_t step[3] = {d[1] * d[2], d[2], 1};
    struct attn_bias bias = {
        read_tensor(call, dtype, array, step),
        d[0] > 1 ? d[1] * d[2] * d[3] : 0,
        d[1] > 1 ? d[2] * d[3] : 0,
        d[2] > 1 ? d[3] : 0,
        d[3] > 1 ? 1 : 0,
    };
    return bias;
}

/* the arrays of one call */
struct op_request {
    struct glue_array query, key, value;
    const struct glue_array* bias; /* or NULL */
    int masks;
    struct glue_array mask[ATTN_MASK_PARTS];
};

/* whether attention over them is defined */
static int fit_each_other(const struct op_request* r) {
    const ptrdiff_t *q = r->query.dim, *k = r->key.dim, *v = r->value.dim;
    return r->query.rank == 4 && r->key.rank == 4 && r->value.rank == 4 && k[0] == q[0] &&
           v[0] == q[0] && v[1] == k[1] && v[2] == k[2] && k[3] == q[3] && q[2] % k[2] == 0;
}

static void score_extents(const struct op_request* r, ptrdiff_t extent[4]) {
    extent[0] = r->query.dim[0];
    extent[1] = r->query.dim[2];
    extent[2] = r->query.dim[1];
    extent[3] = r->key.dim[1];
}

static struct glue_array pair_array(SEXP pair, const ptrdiff_t* extent, const char* what) {
    if (TYPEOF(pair) != VECSXP || Rf_xlength(pair) != 2) {
        glue_abort("internal", "%s is not a pair of values and dims", what);
    }
    struct glue_array array = glue_array_of(VECTOR_ELT(pair, 0), VECTOR_ELT(pair, 1), what);
    if (!glue_broadcasts(&array, 4, extent)) {
        glue_abort("internal", "%s does not fit the scores", what);
    }
    return array;
}

static SEXP allocate_output(const struct glue_array* q, const struct glue_array* v) {
    const ptrdiff_t dim[4] = {q->dim[0], q->dim[1], q->dim[2], v->dim[3]};
    return glue_new_array(4, dim);
}

/* without data */
static struct attn_attention describe(const struct op_request* r, enum attn_dtype dtype) {
    const ptrdiff_t B = r->query.dim[0], T = r->query.dim[1], N = r->query.dim[2];
    const ptrdiff_t S = r->key.dim[1], G = r->key.dim[2];
    const ptrdiff_t K = r->query.dim[3], V = r->value.dim[3];
    struct attn_attention problem = {
        .dtype = dtype,
        .batch = B, .heads = N, .key_heads = G,
        .target = T, .source = S, .key_dim = K, .value_dim = V,
        .query_strides = strides_of(N, T, K), .key_strides = strides_of(G, S, K),
        .value_strides = strides_of(G, S, V), .output_strides = strides_of(N, T, V),
        .score = ATTN_SCORE_DOT,
        .scale = 1 / sqrt((double)K),
        .dead_row = ATTN_DEAD_MEAN,
    };
    return problem;
}

/* the call itself, once all is known to fit */
static SEXP run(struct attn_attention* problem, const struct op_request* r, int reference) {
    static const int groups[4] = {1, 1, 1, 1};
    ptrdiff_t extent[4];
    score_extents(r, extent);
    SEXP output = PROTECT(allocate_output(&r->query, &r->value));

    struct glue_call call;
    glue_begin(&call);
    problem->query = read_heads(&call, problem->dtype, &r->query);
    problem->key = r->key.object == r->query.object
                       ? problem->query
                       : read_heads(&call, problem->dtype, &r->key);
    problem->value = r->value.object == r->key.object     ? problem->key
                     : r->value.object == r->query.object ? problem->query
                                                          : read_heads(&call, problem->dtype,
                                                                       &r->value);
    if (r->bias != NULL) {
        problem->bias = read_bias(&call, problem->dtype, r->bias);
    }
    problem->mask.parts = r->masks;
    for (int i = 0; i < r->masks; i++) {
        problem->mask.part[i] = glue_mask(&call, &r->mask[i], groups, extent, 0);
    }
    const ptrdiff_t rows = problem->batch * problem->target * problem->heads;
    problem->output = glue_take(&call, (size_t)rows,
                                (size_t)problem->value_dim * attn_dtype_size(problem->dtype));
    enum attn_status status = reference ? attn_attention_reference(&call.context, problem)
                                        : attn_attention(&call.context, problem);
    if (status == ATTN_OK) {
        write_heads(&call, problem, REAL(output));
    }
    glue_end_checked(&call, status);
    UNPROTECT(1);
    return output;
}

SEXP ffi_op_attention(SEXP query, SEXP key, SEXP value, SEXP bias, SEXP masks, SEXP options) {
    struct op_request request = {
        .query = glue_array(query, "query"),
        .key = glue_array(key, "key"),
        .value = glue_array(value, "value"),
    };
    if (!fit_each_other(&request)) {
        glue_abort("internal", "query, key and value do not fit each other");
    }
    struct attn_attention problem = describe(&request, glue_dtype(glue_element(options, "dtype")));
    problem.scale = glue_number(options, "scale");
    problem.soft_cap = glue_number(options, "soft_cap");
    problem.mask.causal = glue_flag(options, "causal");
    ptrdiff_t extent[4];
    score_extents(&request, extent);
    struct glue_array bias_array;
    if (bias != R_NilValue) {
        bias_array = pair_array(bias, extent, "bias");
        request.bias = &bias_array;
    }
    if (TYPEOF(masks) != VECSXP || Rf_xlength(masks) > ATTN_MASK_PARTS) {
        glue_abort("internal", "masks are not a list of at most %d", ATTN_MASK_PARTS);
    }
    request.masks = (int)Rf_xlength(masks);
    for (int i = 0; i < request.masks; i++) {
        request.mask[i] = pair_array(VECTOR_ELT(masks, i), extent, "a mask");
    }
    return run(&problem, &request, glue_flag(options, "reference"));
}

/* The result where the arguments are plain and fit, else NULL: R has the words for
 * what is wrong with them. `flash` may be NULL: then the session's choice counts. */
SEXP ffi_op_call(SEXP query, SEXP key, SEXP value, SEXP mask, SEXP causal, SEXP flash,
                 SEXP dtype, SEXP session_flash) {
    const int is_causal = glue_plain_flag(causal);
    const int is_flash = glue_plain_flag(flash == R_NilValue ? session_flash : flash);
    if (glue_plain_rank(query) != 4 || glue_plain_rank(key) != 4 || glue_plain_rank(value) != 4 ||
        is_causal < 0 || is_flash < 0) {
        return R_NilValue;
    }
    struct op_request request = {
        .query = glue_array(query, "query"),
        .key = glue_array(key, "key"),
        .value = glue_array(value, "value"),
    };
    if (!fit_each_other(&request)) {
        return R_NilValue;
    }
    if (mask != R_NilValue) {
        /* aligned at the last dims */
        int given[ATTN_MAX_RANK], dim[4] = {1, 1, 1, 1};
        const int rank = glue_plain_mask(mask, given);
        if (rank < 1 || rank > 4) {
            return R_NilValue;
        }
        memcpy(dim + 4 - rank, given, (size_t)rank * sizeof *dim);
        request.mask[request.masks++] = glue_array_with(mask, 4, dim, "a mask");
        ptrdiff_t extent[4];
        score_extents(&request, extent);
        if (!glue_broadcasts(&request.mask[0], 4, extent)) {
            return R_NilValue;
        }
    }
    struct attn_attention problem = describe(&request, glue_dtype(dtype));
    problem.mask.causal = is_causal;
    return run(&problem, &request, !is_flash);
}

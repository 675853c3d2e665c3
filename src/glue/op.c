/* Attention without a layer: op_dot_product_attention(). Arrays are (B, T, N, K),
 * (B, S, G, K), (B, S, G, V); bias and masks are broadcast to (B, N, T, S). */
#include <string.h>

#include "glue.h"
#include "marshal.h"

/* a row-major tensor of a rank-4 array */
static const void* read_tensor(struct glue_call* call, enum attn_dtype dtype,
                               const struct glue_array* array) {
    const ptrdiff_t rows = array->dim[0] * array->dim[1] * array->dim[2];
    ptrdiff_t* row = glue_take(call, (size_t)rows, sizeof *row);
    ptrdiff_t* column = glue_take(call, (size_t)array->dim[3], sizeof *column);
    glue_offsets(3, array->dim, array->step, row);
    glue_offsets(1, array->dim + 3, array->step + 3, column);
    void* tensor = glue_take(call, (size_t)rows, (size_t)array->dim[3] * attn_dtype_size(dtype));
    glue_read(&call->context, dtype, array, rows, row, array->dim[3], column, tensor);
    return tensor;
}

static struct attn_bias read_bias(struct glue_call* call, enum attn_dtype dtype,
                                  const struct glue_array* array) {
    const ptrdiff_t* d = array->dim;
    struct attn_bias bias = {
        read_tensor(call, dtype, array),
        d[0] > 1 ? d[1] * d[2] * d[3] : 0,
        d[1] > 1 ? d[2] * d[3] : 0,
        d[2] > 1 ? d[3] : 0,
        d[3] > 1 ? 1 : 0,
    };
    return bias;
}

/* rank 4, every dim 1 or that of the scores */
static int fits_scores(const struct glue_array* array, const ptrdiff_t* extent) {
    int fits = array->rank == 4;
    for (int i = 0; fits && i < 4; i++) {
        fits = array->dim[i] == 1 || array->dim[i] == extent[i];
    }
    return fits;
}

static struct glue_array pair_array(SEXP pair, const ptrdiff_t* extent, const char* what) {
    if (TYPEOF(pair) != VECSXP || Rf_xlength(pair) != 2) {
        glue_abort("internal", "%s is not a pair of values and dims", what);
    }
    struct glue_array array = glue_array_of(VECTOR_ELT(pair, 0), VECTOR_ELT(pair, 1), what);
    if (!fits_scores(&array, extent)) {
        glue_abort("internal", "%s does not fit the scores", what);
    }
    return array;
}

static SEXP allocate_output(const struct glue_array* q, const struct glue_array* v) {
    const ptrdiff_t dim[4] = {q->dim[0], q->dim[1], q->dim[2], v->dim[3]};
    return glue_new_array(4, dim);
}

static struct attn_attention describe(const struct glue_array* q, const struct glue_array* k,
                                      const struct glue_array* v, SEXP options) {
    const ptrdiff_t B = q->dim[0], T = q->dim[1], N = q->dim[2], K = q->dim[3];
    const ptrdiff_t S = k->dim[1], G = k->dim[2], V = v->dim[3];
    if (q->rank != 4 || k->rank != 4 || v->rank != 4 || k->dim[0] != B || v->dim[0] != B ||
        v->dim[1] != S || v->dim[2] != G || k->dim[3] != K || N % G != 0) {
        glue_abort("internal", "query, key and value do not fit each other");
    }
    SEXP dtype = glue_element(options, "dtype");
    const int is_double = TYPEOF(dtype) == STRSXP && Rf_xlength(dtype) == 1 &&
                          strcmp(CHAR(STRING_ELT(dtype, 0)), "float64") == 0;
    struct attn_attention problem = {
        .dtype = is_double ? ATTN_FLOAT64 : ATTN_FLOAT32,
        .batch = B, .heads = N, .key_heads = G,
        .target = T, .source = S, .key_dim = K, .value_dim = V,
        .query_strides = attn_strides(T * N * K, K, N * K),
        .key_strides = attn_strides(S * G * K, K, G * K),
        .value_strides = attn_strides(S * G * V, V, G * V),
        .output_strides = attn_strides(T * N * V, V, N * V),
        .score = ATTN_SCORE_DOT,
        .scale = glue_number(options, "scale"),
        .soft_cap = glue_number(options, "soft_cap"),
        .dead_row = ATTN_DEAD_MEAN,
    };
    problem.mask.causal = glue_flag(options, "causal");
    return problem;
}

SEXP ffi_op_attention(SEXP query, SEXP key, SEXP value, SEXP bias, SEXP masks, SEXP options) {
    const struct glue_array q = glue_array(query, "query"), k = glue_array(key, "key"),
                            v = glue_array(value, "value");
    struct attn_attention problem = describe(&q, &k, &v, options);
    const ptrdiff_t extent[4] = {problem.batch, problem.heads, problem.target, problem.source};
    const int groups[4] = {1, 1, 1, 1}, reference = glue_flag(options, "reference");
    struct glue_array bias_array, mask[ATTN_MASK_PARTS];
    if (bias != R_NilValue) {
        bias_array = pair_array(bias, extent, "bias");
    }
    if (TYPEOF(masks) != VECSXP || Rf_xlength(masks) > ATTN_MASK_PARTS) {
        glue_abort("internal", "masks are not a list of at most %d", ATTN_MASK_PARTS);
    }
    problem.mask.parts = (int)Rf_xlength(masks);
    for (int i = 0; i < problem.mask.parts; i++) {
        mask[i] = pair_array(VECTOR_ELT(masks, i), extent, "a mask");
    }
    SEXP output = PROTECT(allocate_output(&q, &v));

    struct glue_call call;
    glue_begin(&call);
    problem.query = read_tensor(&call, problem.dtype, &q);
    problem.key = key == query ? problem.query : read_tensor(&call, problem.dtype, &k);
    problem.value = value == key     ? problem.key
                    : value == query ? problem.query
                                     : read_tensor(&call, problem.dtype, &v);
    if (bias != R_NilValue) {
        problem.bias = read_bias(&call, problem.dtype, &bias_array);
    }
    for (int i = 0; i < problem.mask.parts; i++) {
        problem.mask.part[i] = glue_mask(&call, &mask[i], groups, extent, 0);
    }
    const ptrdiff_t rows = problem.batch * problem.target * problem.heads;
    ptrdiff_t dim[4] = {problem.batch, problem.target, problem.heads, problem.value_dim}, step[4];
    step[0] = 1;
    for (int i = 1; i < 4; i++) {
        step[i] = step[i - 1] * dim[i - 1];
    }
    ptrdiff_t* row = glue_take(&call, (size_t)rows, sizeof *row);
    ptrdiff_t* column = glue_take(&call, (size_t)problem.value_dim, sizeof *column);
    glue_offsets(3, dim, step, row);
    glue_offsets(1, dim + 3, step + 3, column);
    problem.output = glue_take(&call, (size_t)rows,
                               (size_t)problem.value_dim * attn_dtype_size(problem.dtype));
    enum attn_status status = reference ? attn_attention_reference(&call.context, &problem)
                                        : attn_attention(&call.context, &problem);
    if (status == ATTN_OK) {
        glue_write(&call.context, problem.dtype, problem.output, rows, row, problem.value_dim,
                   column, REAL(output));
    }
    glue_end_checked(&call, status);
    UNPROTECT(1);
    return output;
}

#include "projected_attention.h"

#include <math.h>
#include <string.h>

#include "kernels.h"
#include "matmul.h"

/* a kernel and, with biases, its bias; Keras's get_weights() order */
static void add_projection(struct attn_layer* layer, const char* kernel, const char* bias,
                           ptrdiff_t width, ptrdiff_t heads, ptrdiff_t dim) {
    const ptrdiff_t shape[3] = {width, heads, dim};
    attn_layer_add_weight(layer, kernel, 3, shape, width);
    if (layer->config.use_bias) {
        attn_layer_add_weight(layer, bias, 2, shape + 1, 0);
    }
}

enum attn_status attn_projected_describe(struct attn_layer* layer) {
    const struct attn_layer_config* config = &layer->config;
    const struct attn_layer_widths* widths = &layer->widths;
    const ptrdiff_t N = config->num_heads, G = config->num_key_value_heads;
    const ptrdiff_t K = config->key_dim, V = config->value_dim;
    add_projection(layer, "query/kernel", "query/bias", widths->query, N, K);
    add_projection(layer, "key/kernel", "key/bias", widths->key, G, K);
    if (config->use_gate) {
        add_projection(layer, "gate/kernel", "gate/bias", widths->query, N, V);
    }
    add_projection(layer, "value/kernel", "value/bias", widths->value, G, V);
    ptrdiff_t shape[2 + ATTN_MAX_OUTPUT_RANK] = {N, V};
    ptrdiff_t depth;
    ATTN_TRY(attn_checked_length(2, shape, &depth));
    memcpy(shape + 2, widths->output, (size_t)widths->output_rank * sizeof shape[0]);
    attn_layer_add_weight(layer, "attention_output/kernel", 2 + widths->output_rank, shape, depth);
    if (config->use_bias) {
        attn_layer_add_weight(layer, "attention_output/bias", widths->output_rank, shape + 2, 0);
    }
    return ATTN_OK;
}

/* places of the kernels among the projections, in weight order */
enum { QUERY_PLACE = 0, KEY_PLACE = 1, GATE_PLACE = 2 };
static int value_place(const struct attn_layer* layer) { return layer->config.use_gate ? 3 : 2; }
static int output_place(const struct attn_layer* layer) { return value_place(layer) + 1; }

/* x kernel + bias of the projection at `place` */
static struct attn_factor factor_of(const struct attn_layer* layer, int place,
                                    struct attn_matrix_out out) {
    const int index = layer->config.use_bias ? 2 * place : place;
    const struct attn_factor factor = {
        layer->weight[index].columns, attn_layer_packed(layer, index),
        layer->config.use_bias ? attn_layer_weight(layer, index + 1) : NULL, out};
    return factor;
}

/* A projection of an input: its positions in their order, (heads x dim) each. */
struct projection {
    const struct attn_matrix* input;
    ptrdiff_t rows, depth;
    struct attn_factor factor;
};

static enum attn_status prepare(const struct attn_context* context, const struct attn_layer* layer,
                                int place, const struct attn_matrix* input, ptrdiff_t rows,
                                const ptrdiff_t* order, struct projection* projection) {
    struct attn_factor factor = factor_of(layer, place, attn_rows_out(NULL, 0));
    factor.out = attn_rows_out(
        attn_workspace_take(context->workspace, (size_t)rows,
                            (size_t)factor.columns * attn_dtype_size(layer->dtype)),
        factor.columns);
    factor.out.row_place = order;
    projection->input = input;
    projection->rows = rows;
    projection->depth = layer->weight[layer->config.use_bias ? 2 * place : place].depth;
    projection->factor = factor;
    return factor.out.data != NULL ? ATTN_OK : ATTN_NO_MEMORY;
}

/* The same array, even if under other dims, is the same matrix only with the same rows. */
static int same_input(const struct projection* a, const struct projection* b) {
    return a->rows == b->rows && a->depth == b->depth && attn_same_matrix(a->input, b->input);
}

_Static_assert((int)ATTN_PROJECTIONS <= (int)ATTN_MOST_FACTORS,
               "all projections may be from the same array");

/* What is projected from the same array is projected in one pass over it. */
static enum attn_status project(const struct attn_context* context, const struct attn_layer* layer,
                                int count, const struct projection* projection) {
    int done[ATTN_PROJECTIONS] = {0};
    for (int first = 0; first < count; first++) {
        struct attn_factor factor[ATTN_MOST_FACTORS];
        int factors = 0;
        for (int i = first; i < count; i++) {
            if (!done[i] && same_input(&projection[i], &projection[first])) {
                factor[factors++] = projection[i].factor;
                done[i] = 1;
            }
        }
        if (factors > 0) {
            ATTN_TRY(attn_matmul_each(context, layer->dtype, projection[first].rows,
                                      projection[first].depth, projection[first].input, factors,
                                      factor));
        }
    }
    return ATTN_OK;
}

/* query, key, value and, with a gate, gate, as attn_layer_call numbers them */
static enum attn_status project_inputs(const struct attn_context* context,
                                       const struct attn_layer* layer,
                                       struct attn_layer_call* call) {
    const ptrdiff_t targets = call->batch * call->target, sources = call->batch * call->source;
    struct projection projection[ATTN_PROJECTIONS];
    ATTN_TRY(prepare(context, layer, QUERY_PLACE, &call->query, targets, call->query_order,
                     &projection[ATTN_PROJECT_QUERY]));
    ATTN_TRY(prepare(context, layer, KEY_PLACE, &call->key, sources, call->key_order,
                     &projection[ATTN_PROJECT_KEY]));
    ATTN_TRY(prepare(context, layer, value_place(layer), &call->value, sources, call->key_order,
                     &projection[ATTN_PROJECT_VALUE]));
    int count = ATTN_PROJECT_GATE;
    if (layer->config.use_gate) {
        ATTN_TRY(prepare(context, layer, GATE_PLACE, &call->query, targets, call->query_order,
                         &projection[count++]));
    }
    for (int i = 0; i < count; i++) {
        call->projection[i] = projection[i].factor.out.data;
    }
    return project(context, layer, count, projection);
}

/* ---- the gate ---- */

struct gate {
    enum attn_dtype dtype;
    ptrdiff_t count;
    void* x;
    const void* gate;
};

enum { GATE_BLOCK = 1 << 14 };
static const double GATE_OPERATIONS = 32; /* of a product, in the time of one number */

static void gate_block(void* work, ptrdiff_t item, int thread) {
    (void)thread;
    const struct gate* gate = work;
    const ptrdiff_t first = item * GATE_BLOCK, left = gate->count - first;
    const ptrdiff_t count = left < GATE_BLOCK ? left : GATE_BLOCK;
    if (gate->dtype == ATTN_FLOAT32) {
        attn_kernels()->f32->sigmoid_gate(count, (float*)gate->x + first,
                                          (const float*)gate->gate + first);
    } else {
        attn_kernels()->f64->sigmoid_gate(count, (double*)gate->x + first,
                                          (const double*)gate->gate + first);
    }
}

/* x (count) *= sigmoid(by) */
static void apply_gate(const struct attn_context* context, enum attn_dtype dtype, ptrdiff_t count,
                       void* x, const void* by) {
    struct gate gate = {dtype, count, x, by};
    const ptrdiff_t items = (count + GATE_BLOCK - 1) / GATE_BLOCK;
    const int threads = attn_parallel_width(context, items, GATE_OPERATIONS * (double)count);
    attn_parallel_run(context, threads, items, gate_block, &gate);
}

/* ---- the layer ---- */

/* attention of the projected inputs, head by head */
static struct attn_attention attention_of(const struct attn_layer* layer,
                                          const struct attn_layer_call* call, void* output) {
    const struct attn_layer_config* config = &layer->config;
    const ptrdiff_t N = config->num_heads, G = config->num_key_value_heads;
    const ptrdiff_t K = config->key_dim, V = config->value_dim;
    const ptrdiff_t T = call->target, S = call->source;
    const struct attn_attention attention = {
        .dtype = layer->dtype,
        .batch = call->batch, .heads = N, .key_heads = G,
        .target = T, .source = S, .key_dim = K, .value_dim = V,
        .query = call->projection[ATTN_PROJECT_QUERY],
        .query_strides = attn_strides(T * N * K, K, N * K),
        .key = call->projection[ATTN_PROJECT_KEY],
        .key_strides = attn_strides(S * G * K, K, G * K),
        .value = call->projection[ATTN_PROJECT_VALUE],
        .value_strides = attn_strides(S * G * V, V, G * V),
        .score = ATTN_SCORE_DOT, .scale = 1 / sqrt((double)K),
        .mask = call->mask, .dead_row = call->dead_row, .keep_row = call->keep_row,
        .dropout = {call->training ? config->dropout : 0, layer->key,
                    layer->calls + call->calls_before},
        .output = output, .output_strides = attn_strides(T * N * V, V, N * V),
        .scores = call->scores,
    };
    return attention;
}

/* room for the heads' results, (B, T, N, V) */
static void* new_attended(const struct attn_context* context, const struct attn_layer* layer,
                          const struct attn_layer_call* call) {
    const ptrdiff_t width = layer->config.num_heads * layer->config.value_dim;
    return attn_workspace_take(context->workspace, (size_t)(call->batch * call->target),
                               (size_t)width * attn_dtype_size(layer->dtype));
}

/* attention, the gate, and the projection that joins the heads */
static enum attn_status attend(const struct attn_context* context, const struct attn_layer* layer,
                               const struct attn_layer_call* call,
                               const struct attn_attention* attention) {
    const ptrdiff_t rows = call->batch * call->target;
    const ptrdiff_t width = layer->config.num_heads * layer->config.value_dim;
    ATTN_TRY(call->reference ? attn_attention_reference(context, attention)
                             : attn_attention(context, attention));
    if (layer->config.use_gate) {
        apply_gate(context, layer->dtype, rows * width, attention->output,
                   call->projection[ATTN_PROJECT_GATE]);
    }
    struct attn_matrix left = attn_rows(attention->output, width);
    left.row_place = call->query_order;
    const struct attn_factor factor = factor_of(layer, output_place(layer), call->output);
    return attn_matmul_each(context, layer->dtype, rows, width, &left, 1, &factor);
}

enum attn_status attn_projected_forward(const struct attn_context* context,
                                        const struct attn_layer* layer,
                                        struct attn_layer_call* call) {
    ATTN_TRY(project_inputs(context, layer, call));
    void* attended = new_attended(context, layer, call);
    if (attended == NULL) {
        return ATTN_NO_MEMORY;
    }
    const struct attn_attention attention = attention_of(layer, call, attended);
    return attend(context, layer, call, &attention);
}

/* ---- with a cache ---- */

/* The half of the cache, (2, length, heads, dim) of each batch entry, that has keys (0)
 * or values (1). */
static void* cache_half(const struct attn_layer* layer, const struct attn_projection_cache* cache,
                        int half) {
    const ptrdiff_t row = layer->config.num_heads * layer->config.key_dim;
    return (unsigned char*)cache->data +
           (size_t)(half * cache->length * row) * attn_dtype_size(layer->dtype);
}

/* the projection at `place`, into rows `first` and on of that half of the cache */
static enum attn_status prepare_update(const struct attn_context* context,
                                       const struct attn_layer* layer, int place, int half,
                                       const struct attn_layer_call* call,
                                       const struct attn_projection_cache* cache,
                                       struct projection* projection) {
    const ptrdiff_t rows = call->batch * cache->added;
    ptrdiff_t* row_place =
        attn_workspace_take(context->workspace, (size_t)rows, sizeof *row_place);
    if (row_place == NULL) {
        return ATTN_NO_MEMORY;
    }
    for (ptrdiff_t row = 0; row < rows; row++) {
        row_place[row] = row / cache->added * 2 * cache->length + cache->first + row % cache->added;
        attn_parallel_poll_at(context, row);
    }
    struct attn_factor factor = factor_of(layer, place, attn_rows_out(NULL, 0));
    factor.out = attn_rows_out(cache_half(layer, cache, half), factor.columns);
    factor.out.row_place = row_place;
    const int index = layer->config.use_bias ? 2 * place : place;
    *projection = (struct projection){&call->value, rows, layer->weight[index].depth, factor};
    return ATTN_OK;
}

enum attn_status attn_projected_cached(const struct attn_context* context,
                                       const struct attn_layer* layer,
                                       struct attn_layer_call* call,
                                       const struct attn_projection_cache* cache) {
    const ptrdiff_t N = layer->config.num_heads, K = layer->config.key_dim;
    const ptrdiff_t targets = call->batch * call->target;
    struct projection projection[3];
    int count = 1;
    ATTN_TRY(prepare(context, layer, QUERY_PLACE, &call->query, targets, NULL, &projection[0]));
    if (cache->added > 0) {
        ATTN_TRY(prepare_update(context, layer, KEY_PLACE, 0, call, cache, &projection[1]));
        ATTN_TRY(
            prepare_update(context, layer, value_place(layer), 1, call, cache, &projection[2]));
        count = 3;
    }
    call->projection[ATTN_PROJECT_QUERY] = projection[0].factor.out.data;
    call->projection[ATTN_PROJECT_KEY] = cache_half(layer, cache, 0);
    call->projection[ATTN_PROJECT_VALUE] = cache_half(layer, cache, 1);
    ATTN_TRY(project(context, layer, count, projection));
    void* attended = new_attended(context, layer, call);
    if (attended == NULL) {
        return ATTN_NO_MEMORY;
    }
    struct attn_attention attention = attention_of(layer, call, attended);
    attention.key_strides = attention.value_strides =
        attn_strides(2 * cache->length * N * K, K, N * K);
    return attend(context, layer, call, &attention);
}

int attn_projected_accepts(const struct attn_layer* layer, ptrdiff_t query, ptrdiff_t key,
                           ptrdiff_t value) {
    const struct attn_layer_widths* widths = &layer->widths;
    return query == widths->query && key == widths->key && value == widths->value;
}

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

/* out (rows x heads x dim) = x (rows x width) kernel + bias */
static enum attn_status project(const struct attn_context* context,
                                const struct attn_layer* layer, int place, ptrdiff_t rows,
                                const void* x, void* out) {
    const int index = layer->config.use_bias ? 2 * place : place;
    const struct attn_weight* kernel = &layer->weight[index];
    const void* bias = layer->config.use_bias ? attn_layer_weight(layer, index + 1) : NULL;
    return attn_matmul(context, layer->dtype, rows, kernel->depth, kernel->columns, x,
                       attn_layer_packed(layer, index), bias, out);
}

static void* take_rows(const struct attn_context* context, const struct attn_layer* layer,
                       ptrdiff_t rows, ptrdiff_t columns) {
    return attn_workspace_take(context->workspace, (size_t)rows,
                               (size_t)columns * attn_dtype_size(layer->dtype));
}

/* x (count) *= sigmoid(gate) */
static void apply_gate(const struct attn_layer* layer, ptrdiff_t count, void* x,
                       const void* gate) {
    if (layer->dtype == ATTN_FLOAT32) {
        attn_kernels()->f32->sigmoid_gate(count, x, gate);
    } else {
        attn_kernels()->f64->sigmoid_gate(count, x, gate);
    }
}

enum attn_status attn_projected_forward(const struct attn_context* context,
                                        const struct attn_layer* layer,
                                        struct attn_layer_call* call) {
    const struct attn_layer_config* config = &layer->config;
    const ptrdiff_t N = config->num_heads, G = config->num_key_value_heads;
    const ptrdiff_t K = config->key_dim, V = config->value_dim;
    const ptrdiff_t T = call->target, S = call->source;
    const ptrdiff_t query_rows = call->batch * T, key_rows = call->batch * S;
    void* query = take_rows(context, layer, query_rows, N * K);
    void* key = take_rows(context, layer, key_rows, G * K);
    void* value = take_rows(context, layer, key_rows, G * V);
    void* gate = config->use_gate ? take_rows(context, layer, query_rows, N * V) : NULL;
    void* attended = take_rows(context, layer, query_rows, N * V);
    if (query == NULL || key == NULL || value == NULL || attended == NULL ||
        (config->use_gate && gate == NULL)) {
        return ATTN_NO_MEMORY;
    }
    ATTN_TRY(project(context, layer, QUERY_PLACE, query_rows, call->query, query));
    ATTN_TRY(project(context, layer, KEY_PLACE, key_rows, call->key, key));
    ATTN_TRY(project(context, layer, value_place(layer), key_rows, call->value, value));
    if (config->use_gate) {
        ATTN_TRY(project(context, layer, GATE_PLACE, query_rows, call->query, gate));
    }

    struct attn_attention attention = {
        .dtype = layer->dtype,
        .batch = call->batch, .heads = N, .key_heads = G,
        .target = T, .source = S, .key_dim = K, .value_dim = V,
        .query = query, .query_strides = attn_strides(T * N * K, K, N * K),
        .key = key, .key_strides = attn_strides(S * G * K, K, G * K),
        .value = value, .value_strides = attn_strides(S * G * V, V, G * V),
        .score = ATTN_SCORE_DOT, .scale = 1 / sqrt((double)K),
        .mask = call->mask, .dead_row = call->dead_row, .keep_row = call->keep_row,
        .dropout = {call->training ? config->dropout : 0, layer->key, layer->calls},
        .output = attended, .output_strides = attn_strides(T * N * V, V, N * V),
        .scores = call->scores,
    };
    ATTN_TRY(call->reference ? attn_attention_reference(context, &attention)
                             : attn_attention(context, &attention));
    if (config->use_gate) {
        apply_gate(layer, query_rows * N * V, attended, gate);
    }
    call->projection[ATTN_PROJECT_QUERY] = query;
    call->projection[ATTN_PROJECT_KEY] = key;
    call->projection[ATTN_PROJECT_VALUE] = value;
    call->projection[ATTN_PROJECT_GATE] = gate;
    return project(context, layer, output_place(layer), query_rows, attended, call->output);
}

int attn_projected_accepts(const struct attn_layer* layer, ptrdiff_t query, ptrdiff_t key,
                           ptrdiff_t value) {
    const struct attn_layer_widths* widths = &layer->widths;
    return query == widths->query && key == widths->key && value == widths->value;
}

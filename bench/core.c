/* The C core of attn as a peer, without R: FMA peak, matrix product, tanh,
 * attention and whole layers, from row-major tensors to row-major tensors.
 * What a case says is explained in cases.R. */
#include "attention.h"
#include "kernels.h"
#include "layer.h"
#include "matmul.h"
#include "peak.h"
#include "peer.h"

static struct attn_workspace workspace;
static struct attn_context context = {.workspace = &workspace, .threads = 1};

/* as the glue does it after every call */
static void reset_workspace(void) { attn_workspace_reset(&workspace, (size_t)64 << 20); }

static void check(enum attn_status status) {
    if (status != ATTN_OK) {
        fprintf(stderr, "the core answers with status %d\n", (int)status);
        exit(1);
    }
}

/* ---- matrix product: (M x D) times a packed (D x C) ---- */

struct product {
    enum attn_dtype dtype;
    ptrdiff_t rows, depth, columns;
    void *x, *packed, *out;
};

static void call_product(void* data) {
    const struct product* p = data;
    const struct attn_matrix x = attn_rows(p->x, p->depth);
    const struct attn_factor factor = {p->columns, p->packed, NULL,
                                       attn_rows_out(p->out, p->columns)};
    check(attn_matmul_each(&context, p->dtype, p->rows, p->depth, &x, 1, &factor));
    reset_workspace();
}

static double time_product(const char* line, enum attn_dtype dtype, double budget) {
    struct product p = {dtype, number_of(line, "M"), number_of(line, "D"), number_of(line, "C"),
                        NULL, NULL, NULL};
    const size_t size = attn_matmul_packed_size(dtype, p.depth, p.columns);
    p.x = filled(dtype, p.rows * p.depth);
    p.out = filled(dtype, p.rows * p.columns);
    p.packed = aligned_alloc(64, (size + 63) / 64 * 64);
    void* matrix = filled(dtype, p.depth * p.columns);
    attn_matmul_pack(dtype, p.depth, p.columns, matrix, p.packed);
    const double seconds = fastest_call(call_product, &p, budget);
    free(matrix);
    free(p.x);
    free(p.out);
    free(p.packed);
    return seconds;
}

/* ---- tanh: the kernel of the additive scores on one tile, one thread ----
 * without the parts of queries and keys, of which there are T + S, not T S */

enum { TANH_DEPTH = 64 };

/* seconds of a million tanh */
#define DEFINE_TANH(bits, real)                                                            \
    struct tanh_f##bits {                                                                  \
        ptrdiff_t keys, queries;                                                           \
        real *key, *query, *weight, *logits;                                               \
    };                                                                                     \
    static void call_tanh_f##bits(void* data) {                                            \
        const struct tanh_f##bits* t = data;                                               \
        attn_kernels()->f##bits->tanh_logits(                                              \
            t->keys, TANH_DEPTH, t->key, t->keys, t->keys * TANH_DEPTH, t->query,          \
            t->queries * TANH_DEPTH, t->weight, 1, 1, t->logits);                          \
    }                                                                                      \
    static double time_tanh_f##bits(double budget) {                                       \
        const struct attn_kernels_f##bits* kernels = attn_kernels()->f##bits;              \
        const ptrdiff_t keys = kernels->tile_keys, queries = kernels->block_columns;       \
        const int is_double = bits == 64;                                                  \
        struct tanh_f##bits t = {                                                          \
            keys, queries,                                                                 \
            filled(is_double, 3 * keys * TANH_DEPTH), filled(is_double, 3 * queries * TANH_DEPTH),\
            filled(is_double, TANH_DEPTH), filled(is_double, keys * queries)};             \
        kernels->tanh_parts(keys * TANH_DEPTH, 1, t.key, keys * TANH_DEPTH);               \
        kernels->tanh_parts(queries * TANH_DEPTH, 1, t.query, queries * TANH_DEPTH);       \
        const double seconds = fastest_call(call_tanh_f##bits, &t, budget);                \
        free(t.key);                                                                       \
        free(t.query);                                                                     \
        free(t.weight);                                                                    \
        free(t.logits);                                                                    \
        return seconds * 1e6 / (double)(keys * queries * TANH_DEPTH);                      \
    }
DEFINE_TANH(32, float)
DEFINE_TANH(64, double)

/* ---- masks ---- */

/* padding hides the last quarter of the keys */
static uint8_t* padding(ptrdiff_t keys) {
    uint8_t* visible = malloc((size_t)keys);
    for (ptrdiff_t s = 0; s < keys; s++) {
        visible[s] = s < keys - keys / 4;
    }
    return visible;
}

static void set_mask(const char* line, ptrdiff_t keys, struct attn_mask* mask) {
    mask->causal = is_word(line, "mask", "causal") || is_word(line, "mask", "window");
    mask->window = is_word(line, "mask", "window") ? 256 : 0;
    if (is_word(line, "mask", "padding")) {
        mask->parts = 1;
        mask->part[0].visible = padding(keys);
        mask->part[0].source = 1;
    }
}

/* ---- attention alone: q, k, v and the result of shape (B, T, N, K) ---- */

static void call_attention(void* problem) {
    check(attn_attention(&context, problem));
    reset_workspace();
}

static double time_attention(const char* line, enum attn_dtype dtype, double budget) {
    const ptrdiff_t B = number_of(line, "B"), T = number_of(line, "T"), N = number_of(line, "N");
    const ptrdiff_t G = number_of(line, "G"), K = number_of(line, "K");
    void* query = filled(dtype, B * T * N * K);
    void* key = filled(dtype, B * T * G * K);
    void* value = filled(dtype, B * T * G * K);
    struct attn_attention attention = {
        .dtype = dtype, .batch = B, .heads = N, .key_heads = G,
        .target = T, .source = T, .key_dim = K, .value_dim = K,
        .query = query, .query_strides = attn_strides(T * N * K, K, N * K),
        .key = key, .key_strides = attn_strides(T * G * K, K, G * K),
        .value = value, .value_strides = attn_strides(T * G * K, K, G * K),
        .scale = 0.125,
        .output = filled(dtype, B * T * N * K), .output_strides = attn_strides(T * N * K, K, N * K),
    };
    set_mask(line, T, &attention.mask);
    const double seconds = fastest_call(call_attention, &attention, budget);
    free((void*)attention.mask.part[0].visible);
    free(query);
    free(key);
    free(value);
    free(attention.output);
    return seconds;
}

/* ---- whole layers, self-attention on one (B, T, D) ---- */

struct layer_case {
    struct attn_layer* layer;
    struct attn_layer_call call;
};

static void call_layer(void* data) {
    struct layer_case* one = data;
    check(attn_layer_forward(&context, one->layer, &one->call));
    reset_workspace();
}

static struct attn_layer* new_layer(const char* line, enum attn_dtype dtype) {
    const ptrdiff_t D = number_of(line, "D"), K = number_of(line, "K");
    const struct attn_layer_config config = {
        .num_heads = number_of(line, "N"), .num_key_value_heads = number_of(line, "G"),
        .key_dim = K, .value_dim = K, .use_bias = 1,
    };
    const struct attn_layer_widths widths = {D, D, D, 1, {D}};
    const struct attn_random_key key = {{1, 2}};
    struct attn_layer* layer;
    unsigned char* storage;
    check(attn_layer_create(&attn_group_query_attention_kind, dtype, &config, key, &layer));
    check(attn_layer_build(layer, &widths));
    check(attn_layer_stage(layer, &storage));
    for (int i = 0; i < layer->weights; i++) {
        const ptrdiff_t length = layer->weight[i].length;
        void* numbers = filled(dtype, length);
        memcpy(attn_layer_staged_weight(layer, storage, i), numbers,
               (size_t)length * attn_dtype_size(dtype));
        free(numbers);
    }
    attn_layer_adopt(layer, storage);
    return layer;
}

static double time_layer(const char* line, enum attn_dtype dtype, double budget) {
    const ptrdiff_t B = number_of(line, "B"), T = number_of(line, "T"), D = number_of(line, "D");
    void* x = filled(dtype, B * T * D);
    struct layer_case one = {
        .layer = new_layer(line, dtype),
        .call = {.batch = B, .target = T, .source = T, .query_width = D, .key_width = D,
                 .value_width = D, .query = attn_rows(x, D), .key = attn_rows(x, D),
                 .value = attn_rows(x, D),
                 .output = attn_rows_out(filled(dtype, B * T * D), D)},
    };
    set_mask(line, T, &one.call.mask);
    const double seconds = fastest_call(call_layer, &one, budget);
    free((void*)one.call.mask.part[0].visible);
    attn_layer_destroy(one.layer);
    free(one.call.output.data);
    free(x);
    return seconds;
}

/* ---- the peer ---- */

static double answer(const char* line) {
    const enum attn_dtype dtype =
        is_word(line, "dtype", "float64") ? ATTN_FLOAT64 : ATTN_FLOAT32;
    const double budget = atof(word_of(line, "seconds", "0.2"));
    context.threads = (int)number_of(line, "threads");
    if (is_word(line, "kind", "peak")) {
        return peak_seconds(word_of(line, "isa", ""), dtype, context.threads, budget);
    }
    if (is_word(line, "kind", "matmul")) {
        return time_product(line, dtype, budget);
    }
    if (is_word(line, "kind", "tanh")) {
        return dtype == ATTN_FLOAT32 ? time_tanh_f32(budget) : time_tanh_f64(budget);
    }
    if (is_word(line, "kind", "attention")) {
        return time_attention(line, dtype, budget);
    }
    return is_word(line, "kind", "layer") ? time_layer(line, dtype, budget) : -1;
}

int main(void) {
    char line[LINE_SIZE];
    attn_threads_initialize();
    while (fgets(line, sizeof line, stdin) != NULL) {
        if (is_word(line, "kind", "hello")) {
            attn_kernels_choose(NULL);
            printf("0 %s\n", attn_kernels()->isa);
        } else if (!attn_kernels_choose(word_of(line, "isa", NULL))) {
            printf("skip this processor has no such instructions\n");
        } else {
            const double seconds = answer(line);
            if (seconds >= 0) {
                printf("%.9g\n", seconds);
            } else {
                printf("skip unknown case\n");
            }
        }
        fflush(stdout);
    }
    return 0;
}

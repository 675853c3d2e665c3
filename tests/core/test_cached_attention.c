/* Attention with a cache, step by step, against attention over the whole at once; the
 * operation of a program, with its masks and its refusals. */
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "program.h"
#include "tensors.h"

enum { B = 3, T = 11, D = 10, N = 2, K = 5, LENGTH = 13 };

static struct attn_layer* new_layer(enum attn_dtype dtype, int bias) {
    const struct attn_layer_config config = {N, N, K, K, bias, 0, 0, ATTN_MODE_DOT, 0};
    const struct attn_layer_widths widths = {D, D, D, 1, {D}};
    const struct attn_random_key key = {{1, 2}};
    struct attn_layer* layer = NULL;
    unsigned char* storage = NULL;
    struct dice dice = {5};
    CHECK(attn_layer_create(&attn_multi_head_attention_kind, dtype, &config, key, &layer) ==
                  ATTN_OK &&
              attn_layer_build(layer, &widths) == ATTN_OK &&
              attn_layer_stage(layer, &storage) == ATTN_OK,
          "no layer");
    for (int i = 0; i < layer->weights; i++) {
        struct tensor weight = tensor_normal(&dice, dtype, layer->weight[i].length);
        memcpy(attn_layer_staged_weight(layer, storage, i), weight.data, tensor_bytes(&weight));
        free(weight.data);
    }
    attn_layer_adopt(layer, storage);
    return layer;
}

/* slots of the program */
enum { QUERY, CACHE, INDEX, POSITIONS, PAIRS, RESULT, NEW_CACHE, SLOTS };

struct step_call {
    const struct attn_layer* layer;
    ptrdiff_t first, count; /* queries, and where they go */
    int by_value;           /* the position comes as a tensor, not as a setting */
    const uint8_t* positions; /* (B, LENGTH), or NULL */
};

static void fill(struct attn_run* run, int slot, enum attn_value_type type, int rank,
                 const ptrdiff_t* dim, const void* data) {
    struct attn_value* value = &run->slot[slot];
    CHECK(attn_value_new(&run->memory, type, rank, dim, value) == ATTN_OK, "no value");
    memcpy(value->buffer->data, data,
           (size_t)attn_value_length(value) * attn_value_type_size(type));
}

/* queries first .. first + count - 1 of x (B, T, D), into the same rows of `result`; the
 * cache is replaced by the new one */
static enum attn_status run_step(const struct step_call* call, const struct tensor* x,
                                 struct tensor* cache, struct tensor* result) {
    const enum attn_dtype dtype = call->layer->dtype;
    const size_t row = D * attn_dtype_size(dtype);
    const ptrdiff_t query_dim[3] = {B, call->count, D}, cache_dim[5] = {B, 2, LENGTH, N, K};
    const ptrdiff_t one = 1, mask_dim[2] = {B, LENGTH};
    struct attn_workspace tensors = {NULL, 0}, scratch = {NULL, 0};
    struct attn_value slot[SLOTS];
    memset(slot, 0, sizeof slot);
    struct attn_run run = {.context = {.workspace = &scratch, .threads = 1},
                           .memory = {&tensors, NULL}, .slots = SLOTS, .slot = slot};
    unsigned char* queries = malloc((size_t)(B * call->count) * row);
    for (ptrdiff_t b = 0; b < B; b++) {
        memcpy(queries + (size_t)(b * call->count) * row,
               (const unsigned char*)x->data + (size_t)(b * T + call->first) * row,
               (size_t)call->count * row);
    }
    fill(&run, QUERY, (enum attn_value_type)dtype, 3, query_dim, queries);
    fill(&run, CACHE, (enum attn_value_type)dtype, 5, cache_dim, cache->data);
    const int32_t index = (int32_t)call->first;
    if (call->by_value) {
        fill(&run, INDEX, ATTN_VALUE_INT32, 1, &one, &index);
    }
    if (call->positions != NULL) {
        fill(&run, POSITIONS, ATTN_VALUE_BOOL, 2, mask_dim, call->positions);
    }
    const int in[6] = {QUERY, QUERY, CACHE, call->by_value ? INDEX : -1,
                       call->positions != NULL ? POSITIONS : -1, -1};
    const int out[2] = {RESULT, NEW_CACHE}, release[1] = {CACHE};
    const double setting[2] = {1, call->by_value ? -1 : (double)call->first};
    const struct attn_step step = {
        .operation = attn_operation_by_name("cached_attention"), .dtype = dtype,
        .layer = (struct attn_layer*)(uintptr_t)call->layer, .inputs = 6, .outputs = 2,
        .input = in, .output = out, .settings = 2, .setting = setting, .text = "",
        .released = 1, .release = release};
    CHECK(attn_step_is_sound(&step, SLOTS), "the step is not sound");
    const enum attn_status status = attn_program_run(&run, 1, &step);
    if (status == ATTN_OK) {
        memcpy(cache->data, slot[NEW_CACHE].buffer->data, tensor_bytes(cache));
        for (ptrdiff_t b = 0; b < B; b++) {
            memcpy((unsigned char*)result->data + (size_t)(b * T + call->first) * row,
                   (unsigned char*)slot[RESULT].buffer->data + (size_t)(b * call->count) * row,
                   (size_t)call->count * row);
        }
    }
    free(queries);
    attn_workspace_reset(&tensors, 0);
    attn_workspace_reset(&scratch, 0);
    return status;
}

/* all at once, causal, with the first T columns of the mask */
static void whole(const struct attn_layer* layer, const struct tensor* x,
                  const uint8_t* positions, struct tensor* result) {
    struct attn_workspace scratch = {NULL, 0};
    const struct attn_context context = {.workspace = &scratch, .threads = 1};
    const struct attn_matrix rows = attn_rows(x->data, D);
    struct attn_layer_call call = {
        .batch = B, .target = T, .source = T, .query_width = D, .key_width = D, .value_width = D,
        .query = rows, .key = rows, .value = rows, .dead_row = ATTN_DEAD_MEAN,
        .output = attn_rows_out(result->data, D)};
    call.mask.causal = 1;
    if (positions != NULL) {
        call.mask.part[call.mask.parts++] = (struct attn_mask_part){positions, LENGTH, 0, 0, 1};
    }
    CHECK(attn_layer_forward(&context, layer, &call) == ATTN_OK, "the whole fails");
    attn_workspace_reset(&scratch, 0);
}

static double distance(const struct tensor* a, const struct tensor* b) {
    double most = 0;
    for (ptrdiff_t i = 0; i < a->count; i++) {
        const double d = fabs(tensor_get(a, i) - tensor_get(b, i));
        most = d > most || d != d ? d : most;
    }
    return most;
}

static void steps_equal_the_whole(enum attn_dtype dtype, int bias, ptrdiff_t count, int by_value,
                                  const uint8_t* positions) {
    struct attn_layer* layer = new_layer(dtype, bias);
    struct dice dice = {7};
    struct tensor x = tensor_normal(&dice, dtype, B * T * D), got = tensor_new(dtype, B * T * D);
    struct tensor wanted = tensor_new(dtype, B * T * D);
    struct tensor cache = tensor_new(dtype, B * 2 * LENGTH * N * K);
    for (ptrdiff_t i = 0; i < cache.count; i++) {
        /* where no mask makes the whole cache count, what lies ahead is not looked at */
        tensor_set(&cache, i, positions == NULL ? NAN : 0);
    }
    whole(layer, &x, positions, &wanted);
    for (ptrdiff_t first = 0; first < T; first += count) {
        const struct step_call call = {layer, first, first + count < T ? count : T - first,
                                       by_value, positions};
        CHECK(run_step(&call, &x, &cache, &got) == ATTN_OK, "step %d fails", (int)first);
    }
    CHECK(distance(&got, &wanted) <= (dtype == ATTN_FLOAT32 ? 2e-5 : 1e-13),
          "steps of %d differ by %g", (int)count, distance(&got, &wanted));
    CHECK(tensor_end(&x) && tensor_end(&got) && tensor_end(&wanted) && tensor_end(&cache),
          "written beyond a tensor");
    attn_layer_destroy(layer);
}

static void what_does_not_fit_is_refused(void) {
    struct attn_layer* layer = new_layer(ATTN_FLOAT64, 1);
    struct dice dice = {7};
    struct tensor x = tensor_normal(&dice, ATTN_FLOAT64, B * T * D);
    struct tensor result = tensor_new(ATTN_FLOAT64, B * (LENGTH + 1) * D);
    struct tensor cache = tensor_normal(&dice, ATTN_FLOAT64, B * 2 * LENGTH * N * K);
    layer->config.use_gate = 1;
    const struct step_call gated = {layer, 0, 1, 0, NULL};
    CHECK(run_step(&gated, &x, &cache, &result) == ATTN_BAD_LENGTH, "a gate is ignored");
    layer->config.use_gate = 0;
    layer->config.num_heads = 1;
    const struct step_call other = {layer, 0, 1, 0, NULL};
    CHECK(run_step(&other, &x, &cache, &result) == ATTN_BAD_LENGTH, "another cache is taken");
    layer->config.num_heads = N;
    attn_layer_destroy(layer);
    CHECK(tensor_end(&x) && tensor_end(&result) && tensor_end(&cache), "written beyond a tensor");
}

int main(void) {
    uint8_t positions[B * LENGTH];
    struct dice dice = {3};
    for (int i = 0; i < B * LENGTH; i++) {
        /* every query sees its first key: with none, the mean would be of other values */
        positions[i] = (uint8_t)(i % LENGTH == 0 || dice_below(&dice, 3) > 0);
    }
    for (int bias = 0; bias < 2; bias++) {
        for (ptrdiff_t count = 1; count <= T; count += 3) {
            for (int by_value = 0; by_value < 2; by_value++) {
                steps_equal_the_whole(ATTN_FLOAT32, bias, count, by_value, NULL);
                steps_equal_the_whole(ATTN_FLOAT64, bias, count, by_value, NULL);
                steps_equal_the_whole(ATTN_FLOAT64, bias, count, by_value, positions);
            }
        }
    }
    what_does_not_fit_is_refused();
    return checks_end();
}

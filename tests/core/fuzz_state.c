/* Any bytes, read as the saved state of a layer. What is accepted is what would be written,
 * byte by byte, and can be used: the layer is run on a small input.
 *
 * With all of core, kernels, ops, layers of the core, built by
 * clang -fsanitize=fuzzer,address,undefined (tools/verify/files.sh does):
 *
 *   ./fuzz -max_len=2048 tests/core/corpus/state
 *
 * The checksum is made right first: no fuzzer would hit it. */
#include "fuzz.h"
#include "layer.h"
#include "state_bytes.h"
#include "weights.h"

static volatile double fuzz_sink;

enum { BATCH = 1, LENGTH = 3, WIDEST = 64 };

/* not all are zero, and none is large */
static void fill(const struct attn_layer* layer, void* numbers, ptrdiff_t count) {
    for (ptrdiff_t i = 0; i < count; i++) {
        const double x = (double)(i % 7) / 8 - 0.25;
        if (layer->dtype == ATTN_FLOAT32) {
            ((float*)numbers)[i] = (float)x;
        } else {
            ((double*)numbers)[i] = x;
        }
    }
}

static void* new_input(const struct attn_layer* layer, ptrdiff_t width) {
    const ptrdiff_t count = BATCH * LENGTH * width;
    void* numbers = fuzz_take((size_t)count, attn_dtype_size(layer->dtype));
    fill(layer, numbers, count);
    return numbers;
}

static void run(struct attn_layer* layer) {
    const struct attn_layer_widths* widths = &layer->widths;
    ptrdiff_t width = widths->output_rank > 0 ? 1 : widths->value;
    for (int i = 0; i < widths->output_rank && width <= WIDEST; i++) {
        width *= widths->output[i];
    }
    if (width > WIDEST || widths->query > WIDEST || widths->key > WIDEST ||
        widths->value > WIDEST ||
        !layer->kind->accepts(layer, widths->query, widths->key, widths->value)) {
        return;
    }
    if (layer->kind->id == ATTN_LAYER_ATTENTION || layer->kind->id == ATTN_LAYER_ADDITIVE_ATTENTION) {
        width = widths->value;
    }
    void* query = new_input(layer, widths->query);
    void* key = new_input(layer, widths->key);
    void* value = new_input(layer, widths->value);
    void* output = fuzz_take((size_t)(BATCH * LENGTH * width), attn_dtype_size(layer->dtype));
    struct attn_layer_call call = {
        .batch = BATCH, .target = LENGTH, .source = LENGTH, .query_width = widths->query,
        .key_width = widths->key, .value_width = widths->value,
        .query = attn_rows(query, widths->query), .key = attn_rows(key, widths->key),
        .value = attn_rows(value, widths->value), .training = 1,
        .output = attn_rows_out(output, width),
    };
    struct attn_workspace workspace = {0};
    const struct attn_context context = {&workspace, 1, NULL, NULL};
    if (attn_layer_forward(&context, layer, &call) == ATTN_OK) {
        attn_layer_count(layer, call.training);
        fuzz_sink = ((const unsigned char*)output)[0];
    }
    attn_workspace_reset(&workspace, 0);
    free(query);
    free(key);
    free(value);
    free(output);
}

static void look(struct attn_layer* layer, const uint8_t* bytes, size_t size) {
    fuzz_require(layer->magic == ATTN_LAYER_MAGIC && attn_layer_state_size(layer) == size,
                 "the state has another size than the layer's");
    unsigned char* again = fuzz_take(size, 1);
    attn_layer_state_write(layer, again);
    fuzz_require(memcmp(again, bytes, size) == 0, "the layer writes something else");
    free(again);
    for (int i = 0; layer->built && i < layer->weights; i++) {
        const unsigned char* weight = attn_layer_weight(layer, i);
        fuzz_sink = weight[(size_t)layer->weight[i].length * attn_dtype_size(layer->dtype) - 1];
    }
    if (layer->built && layer->kind != &attn_weights_kind) {
        run(layer);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t* bytes, size_t size) {
    uint8_t* copy = fuzz_take(size, 1);
    memcpy(copy, bytes, size);
    if (size >= ATTN_STATE_CHECKSUM) {
        attn_put(copy + size - ATTN_STATE_CHECKSUM,
                 attn_state_checksum(&attn_context_alone, copy, size - ATTN_STATE_CHECKSUM),
                 ATTN_STATE_CHECKSUM);
    }
    struct attn_layer* layer = NULL;
    const enum attn_status status = attn_layer_state_read(copy, size, &layer);
    fuzz_require((status == ATTN_OK) == (layer != NULL), "neither a layer nor a reason");
    fuzz_require(status == ATTN_OK || status == ATTN_BAD_STATE || status == ATTN_BAD_LENGTH,
                 "refused for another reason");
    if (layer != NULL) {
        look(layer, copy, size);
        attn_layer_destroy(layer);
    }
    free(copy);
    return 0;
}

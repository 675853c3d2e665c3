/* A layer's bytes: they restore the layer, and nothing else is ever believed. */
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "layer.h"

static struct attn_layer* make(const char* kind, enum attn_dtype dtype, int built) {
    struct attn_layer_config config = {4, 2, 3, 5, 1, 1, 1, ATTN_MODE_CONCAT, 0.25};
    if (strstr(kind, "_query_") == NULL && strstr(kind, "_head_") == NULL) {
        config.num_heads = config.num_key_value_heads = 1;
    }
    struct attn_random_key key = {{11, 22}};
    struct attn_layer* layer = NULL;
    CHECK(attn_layer_create(attn_layer_kind_by_name(kind), dtype, &config, key, &layer) == ATTN_OK,
          "create %s", kind);
    struct attn_layer_widths widths = {6, 7, 6, 2, {3, 2}};
    if (built) {
        CHECK(attn_layer_build(layer, &widths) == ATTN_OK, "build %s", kind);
        unsigned char* storage = NULL;
        CHECK(attn_layer_stage(layer, &storage) == ATTN_OK, "stage %s", kind);
        struct dice dice = {9};
        for (int i = 0; i < layer->weights; i++) {
            void* weight = attn_layer_staged_weight(layer, storage, i);
            for (ptrdiff_t e = 0; e < layer->weight[i].length; e++) {
                double x = dice_normal(&dice);
                if (dtype == ATTN_FLOAT32) {
                    ((float*)weight)[e] = (float)x;
                } else {
                    ((double*)weight)[e] = x;
                }
            }
        }
        attn_layer_adopt(layer, storage);
    }
    layer->calls = 77;
    return layer;
}

static void survives(const char* kind, enum attn_dtype dtype, int built) {
    struct attn_layer* layer = make(kind, dtype, built);
    const size_t size = attn_layer_state_size(layer);
    unsigned char* bytes = malloc(size);
    unsigned char* again = malloc(size);
    attn_layer_state_write(layer, bytes);
    struct attn_layer* copy = NULL;
    CHECK(attn_layer_state_read(bytes, size, &copy) == ATTN_OK, "read %s", kind);
    CHECK(copy != NULL && copy->calls == 77 && copy->built == built &&
              attn_layer_state_size(copy) == size,
          "%s comes back changed", kind);
    attn_layer_state_write(copy, again);
    CHECK(memcmp(bytes, again, size) == 0, "%s does not write the bytes it was read from", kind);
    for (int i = 0; built && i < layer->weights; i++) {
        CHECK(memcmp(attn_layer_weight(layer, i), attn_layer_weight(copy, i),
                     (size_t)layer->weight[i].length * attn_dtype_size(dtype)) == 0,
              "weight %d of %s differs", i, kind);
    }
    attn_layer_destroy(copy);
    attn_layer_destroy(layer);
    free(bytes);
    free(again);
}

/* every truncation and every flipped byte: refused, without reading astray (this
 * test also runs under the address sanitizer) */
static void damage_is_refused(const char* kind) {
    struct attn_layer* layer = make(kind, ATTN_FLOAT32, 1);
    const size_t size = attn_layer_state_size(layer);
    unsigned char* bytes = malloc(size);
    attn_layer_state_write(layer, bytes);
    int refused = 0, tried = 0;
    for (size_t length = 0; length < size; length++) {
        unsigned char* exact = malloc(length > 0 ? length : 1);
        memcpy(exact, bytes, length);
        struct attn_layer* read = NULL;
        tried++;
        refused += attn_layer_state_read(exact, length, &read) == ATTN_BAD_STATE;
        attn_layer_destroy(read);
        free(exact);
    }
    for (size_t at = 0; at < size; at++) {
        for (int flip = 1; flip < 256; flip += 37) {
            bytes[at] ^= (unsigned char)flip;
            struct attn_layer* read = NULL;
            tried++;
            refused += attn_layer_state_read(bytes, size, &read) == ATTN_BAD_STATE;
            attn_layer_destroy(read);
            bytes[at] ^= (unsigned char)flip;
        }
    }
    CHECK(refused == tried, "%s: %d of %d damaged states were accepted", kind, tried - refused,
          tried);
    attn_layer_destroy(layer);
    free(bytes);
}

/* a forger can make the checksum fit: then the fields have to speak */
static void forged_fields(void) {
    struct attn_layer* layer = make("multi_head_attention", ATTN_FLOAT32, 1);
    const size_t size = attn_layer_state_size(layer);
    unsigned char* bytes = malloc(size);
    struct dice dice = {4};
    int accepted = 0;
    for (int trial = 0; trial < 20000; trial++) {
        attn_layer_state_write(layer, bytes);
        for (int n = 1 + dice_below(&dice, 3); n > 0; n--) {
            int field = dice_below(&dice, 18);
            uint64_t value = dice_bits(&dice) >> dice_below(&dice, 64);
            for (int i = 0; i < 8; i++) {
                bytes[8 + 8 * field + i] = (unsigned char)(value >> (8 * i));
            }
        }
        uint64_t hash = UINT64_C(0xcbf29ce484222325);
        for (size_t i = 0; i < size - 8; i++) {
            hash = (hash ^ bytes[i]) * UINT64_C(0x100000001b3);
        }
        for (int i = 0; i < 8; i++) {
            bytes[size - 8 + (size_t)i] = (unsigned char)(hash >> (8 * i));
        }
        struct attn_layer* read = NULL;
        if (attn_layer_state_read(bytes, size, &read) == ATTN_OK) {
            accepted++;
            CHECK(attn_layer_state_size(read) == size, "a forged state grew");
        }
        attn_layer_destroy(read);
    }
    printf("forged states that make a consistent layer: %d of 20000\n", accepted);
    CHECK(accepted < 20000, "every forged state was accepted");
    attn_layer_destroy(layer);
    free(bytes);
}

/* layers without heads have one: their scores have no room for more */
static void heads_where_there_are_none(void) {
    struct attn_layer* layer = make("attention", ATTN_FLOAT32, 1);
    layer->config.num_heads = 4;
    const size_t size = attn_layer_state_size(layer);
    unsigned char* bytes = malloc(size);
    attn_layer_state_write(layer, bytes);
    struct attn_layer* read = NULL;
    CHECK(attn_layer_state_read(bytes, size, &read) == ATTN_BAD_STATE, "attention with 4 heads");
    attn_layer_destroy(read);
    attn_layer_destroy(layer);
    free(bytes);
}

/* a call counts when its results have arrived, not when they are computed */
static void calls_count_at_the_end(void) {
    struct attn_layer* layer = make("attention", ATTN_FLOAT32, 1);
    const float x[12] = {1, 2, 3, 4, 5, 6, 6, 5, 4, 3, 2, 1};
    float output[12];
    struct attn_layer_call call = {.batch = 1, .target = 2, .source = 2, .query_width = 6,
                                   .key_width = 6, .value_width = 6,
                                   .query = attn_rows(x, 6), .key = attn_rows(x, 6),
                                   .value = attn_rows(x, 6), .training = 1,
                                   .output = attn_rows_out(output, 6)};
    struct attn_workspace workspace = {0};
    struct attn_context context = {&workspace, 1, NULL, NULL};
    CHECK(attn_layer_forward(&context, layer, &call) == ATTN_OK, "forward");
    CHECK(layer->calls == 77, "a call is counted before its results have arrived");
    attn_layer_count(layer, call.training);
    CHECK(layer->calls == 78, "a call is not counted");
    call.training = 0;
    attn_layer_count(layer, call.training);
    CHECK(layer->calls == 78, "a call without dropout is counted");
    attn_workspace_reset(&workspace, 0);
    attn_layer_destroy(layer);
}

/* four kernels of an eighth of the address space each, which are as much again when
 * packed: 2^64 bytes, and a few more, are no few bytes */
static void sizes_beyond_memory(void) {
    if (sizeof(size_t) < 8) {
        return;
    }
    const ptrdiff_t much = (ptrdiff_t)((INT64_C(1) << 58) - 1); /* a multiple of 3 */
    const struct attn_layer_config config = {1, 1, much / 3, (ptrdiff_t)(INT64_C(1) << 40),
                                             0, 0, 0, ATTN_MODE_DOT, 0};
    const struct attn_layer_widths widths = {3, 1 << 18, 3, 1, {1 << 18}};
    const struct attn_random_key key = {{1, 2}};
    struct attn_layer* layer = NULL;
    CHECK(attn_layer_create(attn_layer_kind_by_name("multi_head_attention"), ATTN_FLOAT64, &config,
                            key, &layer) == ATTN_OK,
          "create");
    CHECK(attn_layer_build(layer, &widths) == ATTN_BAD_LENGTH, "weights beyond memory were built");
    attn_layer_destroy(layer);
}

/* what the counters say, after all that has been made and destroyed before */
static void layers_are_counted(void) {
    CHECK(attn_layers_alive().layers == 0 && attn_layers_alive().bytes == 0 &&
              attn_workspace_held() == 0,
          "%zu layers of %zu bytes are left, and %zu bytes of calls", attn_layers_alive().layers,
          attn_layers_alive().bytes, attn_workspace_held());
    struct attn_layer* layer = make("multi_head_attention", ATTN_FLOAT32, 1);
    size_t weights = 0;
    for (int i = 0; i < layer->weights; i++) {
        weights += (size_t)layer->weight[i].length * sizeof(float);
    }
    CHECK(attn_layers_alive().layers == 1 && attn_layers_alive().bytes >= weights,
          "%zu layers of %zu bytes", attn_layers_alive().layers, attn_layers_alive().bytes);
    unsigned char* storage = NULL;
    const size_t before = attn_layers_alive().bytes;
    CHECK(attn_layer_stage(layer, &storage) == ATTN_OK && attn_layers_alive().bytes == 2 * before,
          "staged weights are not counted");
    CHECK((uintptr_t)storage % 64 == 0, "weights are not aligned");
    attn_layer_adopt(layer, storage);
    CHECK(attn_layers_alive().bytes == before, "the weights before were not given back");
    attn_layer_destroy(layer);
    CHECK(attn_layers_alive().layers == 0 && attn_layers_alive().bytes == 0, "the layer is left");
}

int main(void) {
    const char* kinds[] = {"multi_head_attention", "group_query_attention", "attention",
                           "additive_attention"};
    for (int kind = 0; kind < 4; kind++) {
        for (int built = 0; built < 2; built++) {
            survives(kinds[kind], ATTN_FLOAT32, built);
            survives(kinds[kind], ATTN_FLOAT64, built);
        }
        damage_is_refused(kinds[kind]);
    }
    forged_fields();
    heads_where_there_are_none();
    calls_count_at_the_end();
    sizes_beyond_memory();
    layers_are_counted();
    return checks_end();
}

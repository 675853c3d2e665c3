/* Any bytes, read as a safetensors file: nothing may be read outside them, and
 * what is accepted must hold what the reader promises.
 *
 *   clang -g -O1 -fsanitize=fuzzer,address,undefined -Isrc/core -Itests/core \
 *     tests/core/fuzz_safetensors.c src/core/{json,safetensors,stored}.c -o fuzz
 *   ./fuzz -max_len=4096 tests/core/corpus/safetensors
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "safetensors.h"

int LLVMFuzzerTestOneInput(const uint8_t* bytes, size_t size);

/* results go here, so that no optimiser leaves out the reads */
static volatile double fuzz_sink;

static void fuzz_require(int condition, const char* what) {
    if (!condition) {
        fprintf(stderr, "safetensors: %s\n", what);
        abort();
    }
}

/* memory of exactly that size, so that a sanitizer sees every byte beyond it */
static void* fuzz_take(size_t count, size_t size) {
    void* memory = malloc(count * size + (count == 0));
    fuzz_require(memory != NULL, "no memory");
    return memory;
}

static struct attn_stored fuzz_shape(const struct attn_safetensors* parsed, size_t i) {
    const struct attn_safetensors_tensor* tensor = &parsed->tensor[i];
    struct attn_stored shape = {.type = tensor->type, .rank = tensor->rank};
    if (tensor->rank > 0) {
        memcpy(shape.extent, parsed->extent + tensor->extent_at,
               (size_t)tensor->rank * sizeof shape.extent[0]);
    }
    return shape;
}

static void fuzz_read_data(const struct attn_safetensors* parsed, const uint8_t* data,
                           size_t data_size) {
    uint64_t covered = 0;
    for (size_t i = 0; i < parsed->tensors; i++) {
        const struct attn_safetensors_tensor* tensor = &parsed->tensor[parsed->order[i]];
        const struct attn_stored shape = fuzz_shape(parsed, parsed->order[i]);
        fuzz_require(tensor->begin == covered && tensor->end <= data_size, "a hole or an overlap");
        covered = tensor->end;
        const size_t count = (size_t)(tensor->end - tensor->begin) / attn_stored_size(shape.type);
        double* array = fuzz_take(count, sizeof *array);
        unsigned char* raw = fuzz_take(count, attn_stored_size(shape.type));
        memcpy(raw, data + tensor->begin, count * attn_stored_size(shape.type));
        const size_t read = attn_stored_read(&shape, 0, count, raw, array);
        fuzz_require(read <= count, "more was read than there is");
        fuzz_sink = read > 0 ? array[0] : 0;
        free(array);
        free(raw);
    }
    fuzz_require(covered == data_size, "bytes that belong to no tensor");
}

int LLVMFuzzerTestOneInput(const uint8_t* bytes, size_t size) {
    struct attn_safetensors_fault fault;
    uint64_t header_size;
    if (size < ATTN_SAFETENSORS_PREFIX ||
        !attn_safetensors_header_size(bytes, size, &header_size, &fault)) {
        return 0;
    }
    const size_t data_size = size - ATTN_SAFETENSORS_PREFIX - (size_t)header_size;
    uint8_t* header = fuzz_take((size_t)header_size, 1);
    memcpy(header, bytes + ATTN_SAFETENSORS_PREFIX, (size_t)header_size);
    struct attn_safetensors parsed;
    if (!attn_safetensors_count(header, (size_t)header_size, data_size, &parsed, &fault)) {
        fuzz_require(fault.problem != NULL && fault.at <= size, "refused without a reason");
        free(header);
        return 0;
    }
    const size_t rows = parsed.tensors > parsed.pairs ? parsed.tensors : parsed.pairs;
    parsed.tensor = fuzz_take(parsed.tensors, sizeof *parsed.tensor);
    parsed.pair = fuzz_take(parsed.pairs, sizeof *parsed.pair);
    parsed.extent = fuzz_take(parsed.extents, sizeof *parsed.extent);
    parsed.text = fuzz_take(parsed.text_size, 1);
    parsed.order = fuzz_take(rows, sizeof *parsed.order);
    if (attn_safetensors_fill(header, (size_t)header_size, data_size, &parsed, &fault)) {
        fuzz_read_data(&parsed, bytes + ATTN_SAFETENSORS_PREFIX + header_size, data_size);
    } else {
        fuzz_require(fault.problem != NULL && fault.at <= size, "refused without a reason");
    }
    free(parsed.tensor);
    free(parsed.pair);
    free(parsed.extent);
    free(parsed.text);
    free(parsed.order);
    free(header);
    return 0;
}

/* Any bytes, read as an HDF5 file: nothing may be read outside them, and what is
 * accepted must hold what the reader promises.
 *
 *   clang -g -O1 -fsanitize=fuzzer,address,undefined -Isrc/core -Itests/core \
 *     tests/core/fuzz_hdf5.c src/core/hdf5*.c src/core/stored.c -o fuzz
 *   ./fuzz -max_len=8192 tests/core/corpus/hdf5
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "hdf5.h"

int LLVMFuzzerTestOneInput(const uint8_t* bytes, size_t size);

/* results go here, so that no optimiser leaves out the reads */
static volatile double fuzz_sink;

static void fuzz_require(int condition, const char* what) {
    if (!condition) {
        fprintf(stderr, "hdf5: %s\n", what);
        abort();
    }
}

/* memory of exactly that size, so that a sanitizer sees every byte beyond it */
static void* fuzz_take(size_t count, size_t size) {
    void* memory = malloc(count * size + (count == 0));
    fuzz_require(memory != NULL, "no memory");
    return memory;
}

static void fuzz_allocate(struct attn_hdf5* out, size_t size) {
    fuzz_require(out->text_size <= 4 * size + (1 << 20) && out->nodes <= size &&
                     out->attributes <= size && out->values <= size && out->spans <= size,
                 "more would be allocated than the file is worth");
    out->node = fuzz_take(out->nodes, sizeof *out->node);
    out->attribute = fuzz_take(out->attributes, sizeof *out->attribute);
    out->value = fuzz_take(out->values, sizeof *out->value);
    out->span = fuzz_take(out->spans, sizeof *out->span);
    out->text = fuzz_take(out->text_size, 1);
}

static void fuzz_free(struct attn_hdf5* out) {
    free(out->node);
    free(out->attribute);
    free(out->value);
    free(out->span);
    free(out->text);
}

static int fuzz_fits(const struct attn_hdf5* out, struct attn_hdf5_text text) {
    return text.at <= out->text_size && text.length <= out->text_size - text.at;
}

static void fuzz_look(const struct attn_hdf5* out, const uint8_t* bytes, size_t size) {
    uint64_t all = 0;
    for (size_t i = 0; i < out->nodes; i++) {
        const struct attn_hdf5_node* node = &out->node[i];
        fuzz_require(fuzz_fits(out, node->path), "a path outside the text");
        if (node->is_data) {
            const size_t count =
                (size_t)(node->data_size / attn_stored_size(node->tensor.type));
            fuzz_require(node->data_at <= size && node->data_size <= size - node->data_at,
                         "data outside the file");
            all += node->data_size;
            double* array = fuzz_take(count, sizeof *array);
            attn_stored_read(&node->tensor, 0, count, bytes + node->data_at, array);
            fuzz_sink = count > 0 ? array[0] : 0;
            free(array);
        }
    }
    fuzz_require(all <= size, "more data than the file has");
    for (size_t i = 0; i < out->attributes; i++) {
        const struct attn_hdf5_attribute* attribute = &out->attribute[i];
        fuzz_require(attribute->node < out->nodes && fuzz_fits(out, attribute->name) &&
                         attribute->value_at + attribute->values <= out->values,
                     "an attribute of nothing");
    }
    for (size_t i = 0; i < out->values; i++) {
        fuzz_require(fuzz_fits(out, out->value[i]), "a value outside the text");
    }
}

int LLVMFuzzerTestOneInput(const uint8_t* bytes, size_t size) {
    struct attn_hdf5 out;
    struct attn_hdf5_fault fault;
    uint8_t* copy = fuzz_take(size, 1);
    memcpy(copy, bytes, size);
    enum attn_hdf5_verdict verdict = attn_hdf5_count(copy, size, &out, &fault);
    if (verdict == ATTN_HDF5_RIGHT) {
        fuzz_allocate(&out, size);
        verdict = attn_hdf5_fill(copy, size, &out, &fault);
        if (verdict == ATTN_HDF5_RIGHT) {
            fuzz_look(&out, copy, size);
        }
        fuzz_free(&out);
    }
    fuzz_require((verdict == ATTN_HDF5_RIGHT) == (fault.problem == NULL) && fault.at <= size,
                 "refused without a reason");
    free(copy);
    return 0;
}

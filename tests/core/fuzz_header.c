/* Any bytes, read as the header of a safetensors file: as fuzz_safetensors.c, without the
 * data and without an allocation, so that a core tries a million of them in a second or two.
 *
 *   clang -g -O2 -fsanitize=fuzzer,address,undefined -Isrc/core -Itests/core \
 *     tests/core/fuzz_header.c src/core/{json,safetensors,stored}.c -o fuzz
 *   ./fuzz -max_len=256 tests/core/corpus/header
 *
 * The first two bytes are the size of the data, the others the header. */
#include "fuzz.h"
#include "safetensors.h"

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define HAS_POISON
#include <sanitizer/asan_interface.h>
#endif
#endif

/* a tensor, a pair, a number and a character take more than one byte of the header each */
enum { MOST = 4096 };
static struct attn_safetensors_tensor tensors[MOST];
static struct attn_safetensors_pair pairs[MOST];
static uint64_t extents[MOST];
static size_t order[MOST];
static char text[MOST];

/* results go here, so that no optimiser leaves out the reads */
static volatile uint64_t fuzz_sink;

/* None of the memory may be touched, except what is counted out to the reader. */
static void forbid(const void* memory, size_t size) {
#ifdef HAS_POISON
    __asan_poison_memory_region(memory, size);
#else
    (void)memory;
    (void)size;
#endif
}

static void permit(const void* memory, size_t size) {
#ifdef HAS_POISON
    __asan_unpoison_memory_region(memory, size);
#else
    (void)memory;
    (void)size;
#endif
}

static void each_array(const struct attn_safetensors* parsed,
                       void (*mark)(const void* memory, size_t size)) {
    const size_t rows = parsed->tensors > parsed->pairs ? parsed->tensors : parsed->pairs;
    mark(tensors, parsed->tensors * sizeof tensors[0]);
    mark(pairs, parsed->pairs * sizeof pairs[0]);
    mark(extents, parsed->extents * sizeof extents[0]);
    mark(order, rows * sizeof order[0]);
    mark(text, parsed->text_size);
}

static void provide(struct attn_safetensors* parsed) {
    static int is_ready;
    if (!is_ready) {
        forbid(tensors, sizeof tensors);
        forbid(pairs, sizeof pairs);
        forbid(extents, sizeof extents);
        forbid(order, sizeof order);
        forbid(text, sizeof text);
        is_ready = 1;
    }
    fuzz_require(parsed->tensors < MOST && parsed->pairs < MOST && parsed->extents < MOST &&
                     parsed->text_size < MOST,
                 "more is counted than there is");
    parsed->tensor = tensors;
    parsed->pair = pairs;
    parsed->extent = extents;
    parsed->order = order;
    parsed->text = text;
    each_array(parsed, permit);
}

/* the data is covered once, by what the shapes say, and all text is where it should be */
static void look(const struct attn_safetensors* parsed, uint64_t data_size) {
    uint64_t covered = 0, sum = 0;
    for (size_t i = 0; i < parsed->tensors; i++) {
        const struct attn_safetensors_tensor* tensor = &parsed->tensor[parsed->order[i]];
        struct attn_stored shape = {.type = tensor->type, .rank = tensor->rank};
        uint64_t bytes;
        for (int axis = 0; axis < tensor->rank; axis++) {
            shape.extent[axis] = parsed->extent[tensor->extent_at + (size_t)axis];
        }
        fuzz_require(attn_stored_bytes(&shape, &bytes) && tensor->begin == covered &&
                         tensor->end - tensor->begin == bytes,
                     "a hole, an overlap or another size");
        covered = tensor->end;
        fuzz_require(tensor->name.at + tensor->name.length <= parsed->text_size, "a name");
        sum += tensor->name.length > 0 ? (uint64_t)parsed->text[tensor->name.at] : 0;
    }
    for (size_t i = 0; i < parsed->pairs; i++) {
        const struct attn_safetensors_pair* pair = &parsed->pair[i];
        fuzz_require(pair->key.at + pair->key.length <= parsed->text_size &&
                         pair->value.at + pair->value.length <= parsed->text_size,
                     "a pair");
    }
    fuzz_require(covered == data_size, "bytes that belong to no tensor");
    fuzz_sink = sum;
}

int LLVMFuzzerTestOneInput(const uint8_t* bytes, size_t size) {
    struct attn_safetensors_fault fault;
    struct attn_safetensors parsed;
    if (size < 2 || size > MOST) {
        return 0;
    }
    /* the fuzzer's copy ends where the header does */
    const uint64_t data_size = (uint64_t)bytes[0] | (uint64_t)bytes[1] << 8;
    int is_right = attn_safetensors_count(bytes + 2, size - 2, data_size, &parsed, &fault);
    if (is_right) {
        provide(&parsed);
        const struct attn_safetensors counted = parsed;
        is_right = attn_safetensors_fill(bytes + 2, size - 2, data_size, &parsed, &fault);
        if (is_right) {
            look(&parsed, data_size);
        }
        each_array(&counted, forbid);
    }
    if (!is_right) {
        fuzz_require(fault.problem != NULL && fault.at <= size + ATTN_SAFETENSORS_PREFIX,
                     "refused without a reason");
    }
    return 0;
}

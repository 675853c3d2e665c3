/* What the fuzz targets share. */
#ifndef ATTN_TESTS_FUZZ_H
#define ATTN_TESTS_FUZZ_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t* bytes, size_t size);

static void fuzz_require(int condition, const char* what) {
    if (!condition) {
        fprintf(stderr, "%s\n", what);
        abort();
    }
}

/* memory of exactly that size, so that a sanitizer sees every byte beyond it */
static inline void* fuzz_take(size_t count, size_t size) {
    void* memory = malloc(count * size + (count == 0));
    fuzz_require(memory != NULL, "no memory");
    return memory;
}

#endif

/* Headers of safetensors files that a fuzzer found to be different, and their neighbors. */
#include "fuzz_header.c"
#include "replay.h"

int main(void) {
    replay(__FILE__, "header", 5);
    return checks_end();
}

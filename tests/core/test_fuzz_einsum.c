/* Equations that a fuzzer found to be different, and their neighbors. */
#include "fuzz_einsum.c"
#include "replay.h"

int main(void) {
    replay(__FILE__, "einsum", 17);
    return checks_end();
}

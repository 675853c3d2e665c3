/* Saved states of layers that a fuzzer found to be different, and their neighbors. */
#include "fuzz_state.c"
#include "replay.h"

int main(void) {
    replay(__FILE__, "state", 51);
    return checks_end();
}

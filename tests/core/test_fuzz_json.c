/* Pieces of JSON that a fuzzer found to be different, and their neighbors. */
#include "fuzz_json.c"
#include "replay.h"

int main(void) {
    replay(__FILE__, "json", 5);
    return checks_end();
}

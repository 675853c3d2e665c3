/* Any bytes, read as JSON by the tokens of core/json.c: nothing may be read outside them,
 * every value has an end, and the second reading finds what the first one counted.
 *
 *   clang -g -O1 -fsanitize=fuzzer,address,undefined -Isrc/core -Itests/core \
 *     tests/core/fuzz_json.c src/core/json.c -o fuzz
 *   ./fuzz -max_len=1024 tests/core/corpus/json
 */
#include "fuzz.h"
#include "json.h"

static volatile size_t fuzz_sink;

/* Reads values one after the other, whatever they are; returns how many. */
static size_t read_values(struct attn_json* json) {
    size_t values = 0;
    int byte;
    while (json->problem == NULL && (byte = attn_json_peek(json)) >= 0) {
        struct attn_json_string string;
        uint64_t number;
        int more = 0;
        const size_t before = json->at;
        if (byte == '"') {
            if (attn_json_string(json, &string)) {
                fuzz_require(attn_json_is(&string, "name") == (string.length == 4 &&
                                                               memcmp(string.head, "name", 4) == 0),
                             "a string is another one");
                fuzz_sink = attn_json_keep(json, &string);
            }
        } else if (byte == '[' || byte == '{') {
            json->at++;
            fuzz_sink = (size_t)attn_json_open(json, byte + 2);
        } else if (byte == ',' || byte == ']' || byte == '}') {
            attn_json_next(json, byte == ',' ? ']' : byte, &more, "never");
        } else if (byte == ':') {
            attn_json_expect(json, ':', "never");
        } else {
            attn_json_number(json, &number);
        }
        fuzz_require(json->problem != NULL || json->at > before, "nothing was read");
        values++;
    }
    fuzz_require(json->at <= json->size && json->problem_at <= json->size, "beyond the end");
    return values;
}

int LLVMFuzzerTestOneInput(const uint8_t* bytes, size_t size) {
    uint8_t* copy = fuzz_take(size, 1);
    memcpy(copy, bytes, size);
    struct attn_json counted = {.bytes = copy, .size = size};
    const size_t values = read_values(&counted);
    struct attn_json kept = {.bytes = copy, .size = size, .text_room = counted.text_size};
    kept.text = fuzz_take(kept.text_room, 1);
    fuzz_require(read_values(&kept) == values && kept.text_size == counted.text_size &&
                     kept.problem == counted.problem,
                 "the second reading finds something else");
    fuzz_require(counted.text_size <= size, "text grew");
    const struct attn_json_extent extent = attn_json_measure(copy, size);
    fuzz_require(extent.depth < extent.values && extent.values <= size + 1, "more than there is");
    free(kept.text);
    free(copy);
    return 0;
}

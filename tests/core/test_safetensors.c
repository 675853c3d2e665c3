/* The reader and writer of safetensors headers, and the numbers in files. */
#include <dirent.h>

#include "check.h"
#include "fuzz_safetensors.c"
#include "json.h"

/* ---- headers in text ---- */

struct parsed {
    struct attn_safetensors out;
    struct attn_safetensors_fault fault;
    int is_right;
};

static void parse(const char* header, size_t size, uint64_t data_size, struct parsed* parsed) {
    memset(parsed, 0, sizeof *parsed);
    struct attn_safetensors* out = &parsed->out;
    if (!attn_safetensors_count((const unsigned char*)header, size, data_size, out,
                                &parsed->fault)) {
        return;
    }
    const size_t rows = out->tensors > out->pairs ? out->tensors : out->pairs;
    out->tensor = fuzz_take(out->tensors, sizeof *out->tensor);
    out->pair = fuzz_take(out->pairs, sizeof *out->pair);
    out->extent = fuzz_take(out->extents, sizeof *out->extent);
    out->text = fuzz_take(out->text_size, 1);
    out->order = fuzz_take(rows, sizeof *out->order);
    parsed->is_right =
        attn_safetensors_fill((const unsigned char*)header, size, data_size, out, &parsed->fault);
}

static void discard(struct parsed* parsed) {
    free(parsed->out.tensor);
    free(parsed->out.pair);
    free(parsed->out.extent);
    free(parsed->out.text);
    free(parsed->out.order);
}

static int same_text(const struct parsed* parsed, struct attn_safetensors_text text,
                     const char* expected) {
    return text.length == strlen(expected) &&
           memcmp(parsed->out.text + text.at, expected, text.length) == 0;
}

static void accepted(const char* header, uint64_t data_size, size_t tensors) {
    struct parsed parsed;
    parse(header, strlen(header), data_size, &parsed);
    CHECK(parsed.is_right && parsed.out.tensors == tensors, "%s: %s", header,
          parsed.fault.problem != NULL ? parsed.fault.problem : "another number of tensors");
    discard(&parsed);
}

/* refused for a reason that contains `problem`, found at that byte of the file */
static void refused(const char* header, uint64_t data_size, const char* problem, uint64_t at) {
    struct parsed parsed;
    parse(header, strlen(header), data_size, &parsed);
    CHECK(!parsed.is_right && parsed.fault.problem != NULL &&
              strstr(parsed.fault.problem, problem) != NULL && parsed.fault.at == at,
          "%s: expected \"%s\" at %d, got \"%s\" at %d", header, problem, (int)at,
          parsed.fault.problem != NULL ? parsed.fault.problem : "no problem",
          (int)parsed.fault.at);
    discard(&parsed);
}

#define ENTRY(name, shape, begin, end) \
    "\"" name "\":{\"dtype\":\"U8\",\"shape\":" shape ",\"data_offsets\":[" begin "," end "]}"

static void headers_that_are_right(void) {
    accepted("{}", 0, 0);
    accepted("{} \n\t\r ", 0, 0);
    accepted("{\"__metadata__\":{}}", 0, 0);
    accepted("{\"__metadata__\":{\"a\":\"\",\"\":\"b\"}}", 0, 0);
    accepted("{" ENTRY("a", "[]", "0", "1") "}", 1, 1);
    accepted("{ \"a\" : { \"data_offsets\" : [ 0 , 6 ] , \"shape\" : [ 2 , 3 ] , \"dtype\" : "
             "\"U8\" } }", 6, 1);
    accepted("{" ENTRY("b", "[2]", "3", "5") "," ENTRY("a", "[3]", "0", "3") "}", 5, 2);
    accepted("{" ENTRY("a", "[0,9]", "0", "0") "," ENTRY("b", "[1]", "0", "1") "," ENTRY(
                 "c", "[9,0]", "1", "1") "}", 1, 3);
    /* too large for any memory, were it not for the 0 */
    accepted("{" ENTRY("a", "[9000000000000000000,9000000000000000000,0]", "0", "0") "}", 0, 1);
    accepted("{" ENTRY("", "[1]", "0", "1") "}", 1, 1);
}

static void headers_that_are_not_json(void) {
    refused("", 0, "does not start", 8);
    refused(" {}", 0, "does not start", 8);
    refused("[]", 0, "does not start", 8);
    refused("{", 0, "where a string must be", 9);
    refused("{}x", 0, "after its end", 10);
    refused("{}{}", 0, "after its end", 10);
    refused("{,}", 0, "where a string must be", 9);
    refused("{\"a", 0, "without an end", 9);
    refused("{\"a\"", 0, "lacks a :", 12);
    refused("{\"a\":1}", 0, "must start with {", 13);
    refused("{\"a\\", 0, "escape", 12);
    refused("{\"\\x41\":1}", 0, "escape", 11);
    refused("{\"\\u12", 0, "hexadecimal", 14);
    refused("{\"\\u12g4\":1}", 0, "hexadecimal", 14);
    refused("{\"\\u0000\":1}", 0, "U+0000", 16);
    refused("{\"\\ud800\":1}", 0, "surrogate", 16);
    refused("{\"\\udc00\":1}", 0, "surrogate", 16);
    refused("{\"\\ud800\\ud800\":1}", 0, "surrogate", 22);
    refused("{\"\\ud800\\n\":1}", 0, "surrogate", 16);
    refused("{\"a\nb\":1}", 0, "control character", 11);
    refused("{\"a\":{\"dtype\":null}}", 0, "where a string must be", 22);
}

/* bytes that look like UTF-8 and are not */
static void text_that_is_not_utf8(void) {
    static const char* const bad[] = {"\x80", "\xBF", "\xC0\x80", "\xC1\xBF", "\xC2", "\xC2\x7F",
                                      "\xE0\x9F\xBF", "\xED\xA0\x80", "\xEF\xBF",
                                      "\xF0\x8F\xBF\xBF",
                                      "\xF4\x90\x80\x80", "\xF5\x80\x80\x80", "\xFF", "\xE2\x82"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        char header[64];
        snprintf(header, sizeof header, "{\"%s\":1}", bad[i]);
        refused(header, 0, "not UTF-8", 10);
    }
}

static void headers_of_another_schema(void) {
    refused("{\"__metadata__\":null}", 0, "metadata must start", 24);
    refused("{\"__metadata__\":{\"a\":1}}", 0, "where a string must be", 29);
    refused("{\"__metadata__\":{\"a\":\"b\",\"\\u0061\":\"c\"}}", 0, "metadata twice", 8);
    refused("{\"__metadata__\":{},\"__metadata__\":{}}", 0, "__metadata__ twice", 27);
    refused("{\"a\":{}}", 0, "lacks dtype", 13);
    refused("{\"a\":{\"dtype\":\"U8\",\"shape\":[]}}", 1, "lacks dtype", 13);
    refused("{\"a\":{\"dtype\":\"U8\",\"dtype\":\"U8\"}}", 1, "field twice", 27);
    refused("{\"a\":{\"dtype\":\"C64\"}}", 1, "dtype other than", 22);
    refused("{\"a\":{\"dtype\":\"F320000000000000000\"}}", 1, "dtype other than", 22);
    refused("{\"a\":{\"other\":1}}", 1, "field other than", 14);
    refused("{\"a\":{\"shape\":[-1]}}", 1, "whole number", 23);
    refused("{\"a\":{\"shape\":[1.0]}}", 1, "lacks a , or ]", 24);
    refused("{\"a\":{\"shape\":[1e1]}}", 1, "lacks a , or ]", 24);
    refused("{\"a\":{\"shape\":[01]}}", 1, "starts with 0", 23);
    refused("{\"a\":{\"shape\":[1,]}}", 1, "whole number", 25);
    refused("{\"a\":{\"shape\":[18446744073709551616]}}", 1, "too large", 23);
    refused("{\"a\":{\"data_offsets\":[0,1,2]}}", 1, "data_offsets", 33);
    refused("{\"a\":{\"data_offsets\":[0]}}", 1, "data_offsets", 31);
    char deep[64 + 2 * 33] = "{\"a\":{\"shape\":[1";
    for (int i = 0; i < 32; i++) {
        strcat(deep, ",1");
    }
    refused(deep, 1, "32 dimensions", strlen(deep) + 8);
}

static void data_that_does_not_fit(void) {
    refused("{" ENTRY("a", "[2]", "0", "1") "}", 1, "another size", 13);
    refused("{" ENTRY("a", "[2]", "0", "2") "}", 1, "beyond the end", 13);
    refused("{" ENTRY("a", "[1]", "2", "1") "}", 2, "ends before", 13);
    refused("{" ENTRY("a", "[9223372036854775808,2]", "0", "0") "}", 1, "64 bits", 13);
    refused("{" ENTRY("a", "[1]", "1", "2") "}", 2, "before the data", 9);
    refused("{" ENTRY("a", "[1]", "0", "1") "}", 2, "at the end", 8);
    refused("{}", 1, "at the end", 8);
    refused("{" ENTRY("a", "[2]", "0", "2") "," ENTRY("b", "[2]", "1", "3") "}", 3, "overlap", 61);
    refused("{" ENTRY("a", "[2]", "0", "2") "," ENTRY("b", "[0]", "1", "1") "}", 2, "overlap", 61);
    refused("{" ENTRY("a", "[1]", "0", "1") "," ENTRY("\\u0061", "[1]", "1", "2") "}", 2,
            "name twice", 61);
}

static void what_is_read(void) {
    static const char header[] =
        "{\"__metadata__\":{\"\\u00e9\":\"a\\\"\\\\\\/\\b\\f\\n\\r\\t\\u20AC\\ud83d\\ude00\"},"
        "\"x/\\u0031\":{\"dtype\":\"F32\",\"shape\":[2,3],\"data_offsets\":[8,32]},"
        "\"y\":{\"dtype\":\"F64\",\"shape\":[],\"data_offsets\":[0,8]}}";
    struct parsed parsed;
    parse(header, sizeof header - 1, 32, &parsed);
    CHECK(parsed.is_right, "%s", parsed.fault.problem);
    if (!parsed.is_right) {
        return;
    }
    const struct attn_safetensors* out = &parsed.out;
    CHECK(out->pairs == 1 && out->tensors == 2 && out->extents == 2, "other counts");
    CHECK(same_text(&parsed, out->pair[0].key, "\xC3\xA9"), "the key of the metadata");
    CHECK(same_text(&parsed, out->pair[0].value,
                    "a\"\\/\b\f\n\r\t\xE2\x82\xAC\xF0\x9F\x98\x80"),
          "the value of the metadata");
    const struct attn_safetensors_tensor *x = &out->tensor[0], *y = &out->tensor[1];
    CHECK(same_text(&parsed, x->name, "x/1") && x->type == ATTN_STORED_F32 && x->rank == 2 &&
              out->extent[x->extent_at] == 2 && out->extent[x->extent_at + 1] == 3 &&
              x->begin == 8 && x->end == 32,
          "the first tensor");
    CHECK(memcmp(header + x->key.at, "\"x/\\u0031\"", x->key.length) == 0, "its key");
    CHECK(same_text(&parsed, y->name, "y") && y->type == ATTN_STORED_F64 && y->rank == 0 &&
              y->begin == 0 && y->end == 8,
          "the second tensor");
    CHECK(out->order[0] == 1 && out->order[1] == 0, "the order of the data");
    discard(&parsed);
}

static void sizes_of_headers(void) {
    static const struct {
        unsigned char prefix[8];
        uint64_t file;
        int is_right;
    } cases[] = {
        {{2}, 10, 1}, {{2}, 9, 0}, {{0}, 8, 1}, {{0, 0xE1, 0xF5, 5}, 200000000, 1},
        {{1, 0xE1, 0xF5, 5}, 200000000, 0}, {{255, 255, 255, 255, 255, 255, 255, 255}, 100, 0},
        {{0, 0, 0, 0, 0, 0, 0, 1}, 100, 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        uint64_t size;
        struct attn_safetensors_fault fault;
        CHECK(attn_safetensors_header_size(cases[i].prefix, cases[i].file, &size, &fault) ==
                  cases[i].is_right,
              "header size %d", (int)i);
    }
}

/* ---- numbers ---- */

static double read_one(enum attn_stored_type type, uint64_t bits, int is_big_endian, int* is_read) {
    struct attn_stored one = {.type = type, .is_big_endian = is_big_endian};
    unsigned char bytes[8];
    const size_t size = attn_stored_size(type);
    for (size_t i = 0; i < size; i++) {
        bytes[is_big_endian ? size - 1 - i : i] = (unsigned char)(bits >> 8 * i);
    }
    double x = -77;
    *is_read = attn_stored_read(&one, 0, 1, bytes, &x) == 1;
    return x;
}

static void is_number(enum attn_stored_type type, uint64_t bits, double expected) {
    for (int is_big_endian = 0; is_big_endian < 2; is_big_endian++) {
        int is_read;
        const double x = read_one(type, bits, is_big_endian, &is_read);
        CHECK(is_read && (x == expected || (isnan(x) && isnan(expected))) &&
                  signbit(x) == signbit(expected),
              "%s %llx is %g, not %g", attn_stored_name(type), (unsigned long long)bits, x,
              expected);
    }
}

static void is_no_number(enum attn_stored_type type, uint64_t bits) {
    int is_read;
    read_one(type, bits, 0, &is_read);
    CHECK(!is_read, "%s %llx was read", attn_stored_name(type), (unsigned long long)bits);
}

static void numbers_of_all_types(void) {
    is_number(ATTN_STORED_F64, UINT64_C(0x3FF8000000000000), 1.5);
    is_number(ATTN_STORED_F32, 0xC0490FDB, -(double)3.14159274101257324219f);
    is_number(ATTN_STORED_F32, 1, 0x1p-149);
    is_number(ATTN_STORED_BF16, 0x3FC0, 1.5);
    is_number(ATTN_STORED_BF16, 0xFF80, -INFINITY);
    is_number(ATTN_STORED_F16, 0x3C00, 1);
    is_number(ATTN_STORED_F16, 0xC000, -2);
    is_number(ATTN_STORED_F16, 0x7BFF, 65504);
    is_number(ATTN_STORED_F16, 0x0001, 0x1p-24);
    is_number(ATTN_STORED_F16, 0x03FF, 0x3FFp-24);
    is_number(ATTN_STORED_F16, 0x0400, 0x1p-14);
    is_number(ATTN_STORED_F16, 0x3555, 0.333251953125);
    is_number(ATTN_STORED_F16, 0x8000, -0.0);
    is_number(ATTN_STORED_F16, 0x7C00, INFINITY);
    is_number(ATTN_STORED_F16, 0x7E00, (double)NAN);
    is_number(ATTN_STORED_I8, 0x80, -128);
    is_number(ATTN_STORED_U8, 0x80, 128);
    is_number(ATTN_STORED_I16, 0x8000, -32768);
    is_number(ATTN_STORED_U16, 0xFFFF, 65535);
    is_number(ATTN_STORED_I32, 0x80000000, -2147483648.0);
    is_number(ATTN_STORED_I32, 0xFFFFFFFF, -1);
    is_number(ATTN_STORED_U32, 0xFFFFFFFF, 4294967295.0);
    is_number(ATTN_STORED_I64, UINT64_C(1) << 53, 9007199254740992.0);
    is_number(ATTN_STORED_I64, ~(UINT64_C(1) << 53) + 1, -9007199254740992.0);
    is_number(ATTN_STORED_U64, UINT64_C(1) << 53, 9007199254740992.0);
    is_number(ATTN_STORED_BOOL, 1, 1);
    is_no_number(ATTN_STORED_I64, (UINT64_C(1) << 53) + 1);
    is_no_number(ATTN_STORED_I64, UINT64_C(1) << 63);
    is_no_number(ATTN_STORED_I64, ~(UINT64_C(1) << 53));
    is_no_number(ATTN_STORED_U64, UINT64_MAX);
    is_no_number(ATTN_STORED_BOOL, 2);
}

/* every half is the number that its bits say: sign * 2^(e-25) * significand */
static void all_halves(void) {
    int wrong = 0;
    for (uint32_t bits = 0; bits < 0x8000; bits++) {
        int is_read;
        const double x = read_one(ATTN_STORED_F16, bits, 0, &is_read);
        const double next = read_one(ATTN_STORED_F16, bits + 1, 0, &is_read);
        if (bits < 0x7C00) {
            const int exponent = (int)(bits >> 10);
            const double unit = ldexp(1, exponent > 0 ? exponent - 25 : -24);
            wrong += !(next - x == unit || (bits == 0x7BFF && isinf(next)));
        } else {
            wrong += isfinite(x) != 0;
        }
    }
    CHECK(wrong == 0, "%d halves are wrong", wrong);
}

/* Row-major bytes and R's arrays, in parts of any size, both ways. */
static void orders_of_elements(void) {
    struct attn_stored shape = {.type = ATTN_STORED_F32, .rank = 3, .extent = {2, 3, 4}};
    double array[24], back[24];
    unsigned char bytes[96], again[96];
    for (int i = 0; i < 2; i++) {
        for (int j = 0; j < 3; j++) {
            for (int k = 0; k < 4; k++) {
                array[i + 2 * j + 6 * k] = 100 * i + 10 * j + k;
            }
        }
    }
    CHECK(attn_stored_write(&shape, 0, 24, array, bytes) == 24, "not all was written");
    for (int i = 0; i < 24; i++) {
        int is_read;
        uint64_t bits = 0;
        for (int b = 0; b < 4; b++) {
            bits |= (uint64_t)bytes[4 * i + b] << 8 * b;
        }
        const double x = read_one(ATTN_STORED_F32, bits, 0, &is_read);
        CHECK(x == 100 * (i / 12) + 10 * (i / 4 % 3) + i % 4, "element %d is %g", i, x);
    }
    for (size_t part = 1; part <= 24; part++) {
        memset(back, 0, sizeof back);
        memset(again, 0, sizeof again);
        for (size_t first = 0; first < 24; first += part) {
            const size_t count = first + part > 24 ? 24 - first : part;
            attn_stored_read(&shape, first, count, bytes + 4 * first, back);
            attn_stored_write(&shape, first, count, array, again + 4 * first);
        }
        CHECK(memcmp(array, back, sizeof array) == 0, "read in parts of %d", (int)part);
        CHECK(memcmp(bytes, again, sizeof bytes) == 0, "written in parts of %d", (int)part);
    }
    array[7] = 1e300;
    CHECK(attn_stored_write(&shape, 0, 24, array, bytes) == 13, "1e300 as F32");
    array[7] = INFINITY;
    CHECK(attn_stored_write(&shape, 0, 24, array, bytes) == 24, "an infinite number as F32");
}

/* ---- writing and the corpus ---- */

static void what_is_written_is_read(void) {
    const struct attn_safetensors_entry entries[2] = {
        {{"a\"\\\x01\xC3\xA9", 6}, {.type = ATTN_STORED_F32, .rank = 2, .extent = {2, 3}}},
        {{"b", 1}, {.type = ATTN_STORED_F64}},
    };
    const struct attn_safetensors_string pairs[2] = {{"key\n", 4}, {"\x7F{}", 3}};
    unsigned char file[512];
    const size_t size = attn_safetensors_write(entries, 2, pairs, 1, NULL);
    CHECK(size % 8 == 0 && size <= sizeof file, "size %d", (int)size);
    CHECK(attn_safetensors_write(entries, 2, pairs, 1, file) == size, "another size");
    uint64_t header_size;
    struct parsed parsed;
    CHECK(attn_safetensors_header_size(file, size + 32, &header_size, &parsed.fault) &&
              header_size == size - 8,
          "the size in the file");
    parse((const char*)file + 8, size - 8, 32, &parsed);
    CHECK(parsed.is_right, "%s", parsed.fault.problem);
    if (parsed.is_right) {
        CHECK(same_text(&parsed, parsed.out.pair[0].key, "key\n") &&
                  same_text(&parsed, parsed.out.pair[0].value, "\x7F{}"),
              "the metadata");
        CHECK(same_text(&parsed, parsed.out.tensor[0].name, "a\"\\\x01\xC3\xA9"), "the name");
        CHECK(parsed.out.tensor[1].begin == 24 && parsed.out.tensor[1].end == 32, "the data");
    }
    discard(&parsed);
    CHECK(attn_safetensors_write(NULL, 0, NULL, 0, file) == 16 &&
              memcmp(file, "\x08\0\0\0\0\0\0\0{}      ", 16) == 0,
          "an empty file");
}

static void extent_of_json(void) {
    static const struct {
        const char* text;
        size_t depth, values;
    } cases[] = {{"", 0, 1},
                 {"1", 0, 1},
                 {"[]", 1, 2},
                 {"{\"a\":[{}]}", 3, 4},
                 {"[[],[[]]]", 3, 6},
                 {"\"[[,[\"", 0, 1},
                 {"[\"\\\"[[\"]", 1, 2},
                 {"[\"\\\\\",[]]", 2, 4},
                 {"]][", 1, 2},
                 {"[\"\\", 1, 2},
                 {"[1,2,{\"a\":3,\"b\":4}]", 2, 6}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const size_t size = strlen(cases[i].text);
        const struct attn_json_extent extent =
            attn_json_measure((const unsigned char*)cases[i].text, size);
        CHECK(extent.depth == cases[i].depth && extent.values == cases[i].values,
              "depth or values of %s", cases[i].text);
    }
}

/* every cut and every other byte of a small file: the entry point of the fuzzer
 * ends the process if anything is wrong */
static void damaged_files(const uint8_t* file, size_t size) {
    uint8_t* copy = fuzz_take(size, 1);
    for (size_t length = 0; length <= size; length++) {
        LLVMFuzzerTestOneInput(file, length);
    }
    for (size_t at = 0; at < size; at++) {
        memcpy(copy, file, size);
        for (int flip = 1; flip < 256; flip++) {
            copy[at] = file[at] ^ (uint8_t)flip;
            LLVMFuzzerTestOneInput(copy, size);
        }
    }
    free(copy);
}

static void corpus(void) {
    char folder[1024], path[2048];
    const char* slash = strrchr(__FILE__, '/');
    snprintf(folder, sizeof folder, "%.*s/corpus/safetensors",
             slash != NULL ? (int)(slash - __FILE__) : 1, slash != NULL ? __FILE__ : ".");
    DIR* open = opendir(folder);
    CHECK(open != NULL, "there is no %s", folder);
    int files = 0;
    for (struct dirent* entry; open != NULL && (entry = readdir(open)) != NULL;) {
        static uint8_t bytes[1 << 16];
        snprintf(path, sizeof path, "%s/%s", folder, entry->d_name);
        FILE* file = entry->d_name[0] != '.' ? fopen(path, "rb") : NULL;
        if (file != NULL) {
            const size_t size = fread(bytes, 1, sizeof bytes, file);
            fclose(file);
            files++;
            if (size <= 512) {
                damaged_files(bytes, size);
            } else {
                LLVMFuzzerTestOneInput(bytes, size);
            }
        }
    }
    if (open != NULL) {
        closedir(open);
    }
    CHECK(files >= 5, "%d files in %s", files, folder);
}

/* Time proportional to the size: many names that begin alike, out of order. */
static void many_tensors(void) {
    enum { TENSORS = 20000 };
    char* header = fuzz_take(TENSORS, 128);
    size_t size = 1;
    header[0] = '{';
    for (int i = 0; i < TENSORS; i++) {
        const int place = (int)((int64_t)i * 7919 % TENSORS);
        size += (size_t)sprintf(header + size,
                                "%s\"layers/with/a/long/name/%d\":{\"dtype\":\"U8\",\"shape\":[1],"
                                "\"data_offsets\":[%d,%d]}",
                                i > 0 ? "," : "", place, place, place + 1);
    }
    header[size++] = '}';
    struct parsed parsed;
    parse(header, size, TENSORS, &parsed);
    CHECK(parsed.is_right && parsed.out.tensors == TENSORS, "many tensors");
    discard(&parsed);
    free(header);
}

int main(void) {
    headers_that_are_right();
    headers_that_are_not_json();
    text_that_is_not_utf8();
    headers_of_another_schema();
    data_that_does_not_fit();
    what_is_read();
    sizes_of_headers();
    extent_of_json();
    numbers_of_all_types();
    all_halves();
    orders_of_elements();
    what_is_written_is_read();
    corpus();
    many_tensors();
    return checks_end();
}

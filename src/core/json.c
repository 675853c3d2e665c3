#include "json.h"

#include <string.h>

int attn_json_fail_at(struct attn_json* reader, size_t at, const char* problem) {
    reader->problem = problem;
    reader->problem_at = at;
    return 0;
}

int attn_json_fail(struct attn_json* reader, const char* problem) {
    return attn_json_fail_at(reader, reader->at, problem);
}

/* ---- tokens ---- */

int attn_json_peek(struct attn_json* reader) {
    while (reader->at < reader->size) {
        const int byte = reader->bytes[reader->at];
        if (byte != ' ' && byte != '\n' && byte != '\r' && byte != '\t') {
            return byte;
        }
        reader->at++;
    }
    return -1;
}

int attn_json_expect(struct attn_json* reader, int byte, const char* problem) {
    if (attn_json_peek(reader) != byte) {
        return attn_json_fail(reader, problem);
    }
    reader->at++;
    return 1;
}

int attn_json_next(struct attn_json* reader, int closing, int* more, const char* problem) {
    const int byte = attn_json_peek(reader);
    if (byte != ',' && byte != closing) {
        return attn_json_fail(reader, problem);
    }
    reader->at++;
    *more = byte == ',';
    return 1;
}

int attn_json_open(struct attn_json* reader, int closing) {
    if (attn_json_peek(reader) == closing) {
        reader->at++;
        return 0;
    }
    return 1;
}

int attn_json_number(struct attn_json* reader, uint64_t* number) {
    const int first = attn_json_peek(reader);
    if (first < '0' || first > '9') {
        return attn_json_fail(reader, "has something else where a whole number must be");
    }
    const size_t start = reader->at;
    uint64_t value = 0;
    while (reader->at < reader->size && reader->bytes[reader->at] >= '0' &&
           reader->bytes[reader->at] <= '9') {
        const uint64_t digit = (uint64_t)(reader->bytes[reader->at] - '0');
        if (value > (UINT64_MAX - digit) / 10) {
            return attn_json_fail_at(reader, start, "has a number that is too large");
        }
        value = 10 * value + digit;
        reader->at++;
    }
    if (first == '0' && reader->at > start + 1) {
        return attn_json_fail_at(reader, start, "has a number that starts with 0");
    }
    *number = value;
    return 1;
}

/* ---- strings ---- */

static void put_byte(struct attn_json* reader, struct attn_json_string* string,
                     unsigned char byte) {
    if (string->length < sizeof string->head) {
        string->head[string->length] = (char)byte;
    }
    /* strings that are only looked at need not fit */
    if (reader->text != NULL && string->at + string->length < reader->text_room) {
        reader->text[string->at + string->length] = (char)byte;
    }
    string->length++;
}

static void put_code_point(struct attn_json* reader, struct attn_json_string* string,
                           uint32_t code) {
    if (code < 0x80) {
        put_byte(reader, string, (unsigned char)code);
        return;
    }
    if (code < 0x800) {
        put_byte(reader, string, (unsigned char)(0xC0 | code >> 6));
    } else {
        if (code < 0x10000) {
            put_byte(reader, string, (unsigned char)(0xE0 | code >> 12));
        } else {
            put_byte(reader, string, (unsigned char)(0xF0 | code >> 18));
            put_byte(reader, string, (unsigned char)(0x80 | (code >> 12 & 0x3F)));
        }
        put_byte(reader, string, (unsigned char)(0x80 | (code >> 6 & 0x3F)));
    }
    put_byte(reader, string, (unsigned char)(0x80 | (code & 0x3F)));
}

/* the four digits of \uXXXX */
static int read_hex(struct attn_json* reader, uint32_t* unit) {
    *unit = 0;
    for (int i = 0; i < 4; i++) {
        const int byte = reader->at < reader->size ? reader->bytes[reader->at] : -1;
        int digit;
        if (byte >= '0' && byte <= '9') {
            digit = byte - '0';
        } else if (byte >= 'a' && byte <= 'f') {
            digit = byte - 'a' + 10;
        } else if (byte >= 'A' && byte <= 'F') {
            digit = byte - 'A' + 10;
        } else {
            return attn_json_fail(reader, "has \\u without four hexadecimal digits");
        }
        *unit = *unit << 4 | (uint32_t)digit;
        reader->at++;
    }
    return 1;
}

static int read_unicode_escape(struct attn_json* reader, struct attn_json_string* string) {
    uint32_t unit, low;
    if (!read_hex(reader, &unit)) {
        return 0;
    }
    if (unit == 0) {
        return attn_json_fail(reader, "has the character U+0000 in a string");
    }
    if (unit < 0xD800 || unit > 0xDFFF) {
        put_code_point(reader, string, unit);
        return 1;
    }
    if (unit > 0xDBFF || reader->size - reader->at < 2 || reader->bytes[reader->at] != '\\' ||
        reader->bytes[reader->at + 1] != 'u') {
        return attn_json_fail(reader, "has half of a surrogate pair in a string");
    }
    reader->at += 2;
    if (!read_hex(reader, &low)) {
        return 0;
    }
    if (low < 0xDC00 || low > 0xDFFF) {
        return attn_json_fail(reader, "has half of a surrogate pair in a string");
    }
    put_code_point(reader, string, 0x10000 + ((unit - 0xD800) << 10) + (low - 0xDC00));
    return 1;
}

/* after a backslash */
static int read_escape(struct attn_json* reader, struct attn_json_string* string) {
    static const char letters[] = "\"\\/bfnrt", meanings[] = "\"\\/\b\f\n\r\t";
    const int byte = reader->at < reader->size ? reader->bytes[reader->at] : -1;
    if (byte == 'u') {
        reader->at++;
        return read_unicode_escape(reader, string);
    }
    const char* letter = byte > 0 ? strchr(letters, byte) : NULL;
    if (letter == NULL) {
        return attn_json_fail(reader, "has an escape in a string that JSON does not know");
    }
    reader->at++;
    put_byte(reader, string, (unsigned char)meanings[letter - letters]);
    return 1;
}

/* how many bytes the UTF-8 character at `at` has; 0: it is none */
static size_t utf8_length(const unsigned char* at, size_t left) {
    const unsigned lead = at[0];
    size_t length;
    unsigned low = 0x80, high = 0xBF; /* what the second byte may be */
    if (lead >= 0xC2 && lead <= 0xDF) {
        length = 2;
    } else if (lead >= 0xE0 && lead <= 0xEF) {
        length = 3;
        low = lead == 0xE0 ? 0xA0 : 0x80;  /* shorter forms exist below */
        high = lead == 0xED ? 0x9F : 0xBF; /* surrogates above */
    } else if (lead >= 0xF0 && lead <= 0xF4) {
        length = 4;
        low = lead == 0xF0 ? 0x90 : 0x80;
        high = lead == 0xF4 ? 0x8F : 0xBF; /* beyond U+10FFFF */
    } else {
        return 0;
    }
    if (left < length || at[1] < low || at[1] > high) {
        return 0;
    }
    for (size_t i = 2; i < length; i++) {
        if (at[i] < 0x80 || at[i] > 0xBF) {
            return 0;
        }
    }
    return length;
}

/* one character of a string that is neither a quote nor an escape */
static int read_character(struct attn_json* reader, struct attn_json_string* string) {
    const unsigned char* at = reader->bytes + reader->at;
    if (at[0] < 0x20) {
        return attn_json_fail(reader, "has a control character in a string");
    }
    const size_t length = at[0] < 0x80 ? 1 : utf8_length(at, reader->size - reader->at);
    if (length == 0) {
        return attn_json_fail(reader, "has text that is not UTF-8");
    }
    for (size_t i = 0; i < length; i++) {
        put_byte(reader, string, at[i]);
    }
    reader->at += length;
    return 1;
}

int attn_json_string(struct attn_json* reader, struct attn_json_string* string) {
    memset(string, 0, sizeof *string);
    string->at = reader->text_size;
    if (!attn_json_expect(reader, '"', "has something else where a string must be")) {
        return 0;
    }
    const size_t start = reader->at - 1;
    while (reader->at < reader->size) {
        const unsigned char byte = reader->bytes[reader->at];
        if (byte == '"') {
            reader->at++;
            return 1;
        }
        if (byte == '\\') {
            reader->at++;
            if (!read_escape(reader, string)) {
                return 0;
            }
        } else if (!read_character(reader, string)) {
            return 0;
        }
    }
    return attn_json_fail_at(reader, start, "has a string without an end");
}

size_t attn_json_keep(struct attn_json* reader, const struct attn_json_string* string) {
    reader->text_size += string->length;
    return string->at;
}

int attn_json_is(const struct attn_json_string* string, const char* text) {
    const size_t length = strlen(text); /* shorter than head */
    return string->length == length && memcmp(string->head, text, length) == 0;
}

struct attn_json_extent attn_json_measure(const unsigned char* bytes, size_t size) {
    struct attn_json_extent extent = {0, 1};
    size_t depth = 0;
    int is_in_string = 0;
    for (size_t at = 0; at < size; at++) {
        if (is_in_string && bytes[at] == '\\') {
            at++; /* what is escaped ends nothing */
        } else if (is_in_string) {
            is_in_string = bytes[at] != '"';
        } else if (bytes[at] == '"') {
            is_in_string = 1;
        } else if (bytes[at] == '[' || bytes[at] == '{') {
            depth++;
            extent.depth = depth > extent.depth ? depth : extent.depth;
            extent.values++;
        } else if (bytes[at] == ']' || bytes[at] == '}') {
            depth -= depth > 0;
        } else if (bytes[at] == ',') {
            extent.values++;
        }
    }
    return extent;
}

#include <string.h>

#include "safetensors.h"

/* Bytes so far; written only where there is a place for them. */
struct sink {
    unsigned char* to;
    size_t size;
};

static void put(struct sink* sink, const char* text, size_t length) {
    if (sink->to != NULL && length > 0) {
        memcpy(sink->to + sink->size, text, length);
    }
    sink->size += length;
}

static void put_text(struct sink* sink, const char* text) { put(sink, text, strlen(text)); }

static void put_number(struct sink* sink, uint64_t number) {
    char digits[20];
    size_t first = sizeof digits;
    do {
        digits[--first] = (char)('0' + number % 10);
        number /= 10;
    } while (number > 0);
    put(sink, digits + first, sizeof digits - first);
}

/* JSON needs escapes for quotes, backslashes and what is below U+0020 */
static void put_string(struct sink* sink, struct attn_safetensors_string string) {
    static const char hex[] = "0123456789abcdef";
    put_text(sink, "\"");
    for (size_t i = 0; i < string.length; i++) {
        const unsigned char byte = (unsigned char)string.text[i];
        if (byte == '"' || byte == '\\') {
            put_text(sink, "\\");
        }
        if (byte < 0x20) {
            const char escape[6] = {'\\', 'u', '0', '0', hex[byte >> 4], hex[byte & 15]};
            put(sink, escape, sizeof escape);
        } else {
            put(sink, string.text + i, 1);
        }
    }
    put_text(sink, "\"");
}

static void put_metadata(struct sink* sink, const struct attn_safetensors_string* pair,
                         size_t pairs) {
    put_text(sink, "\"__metadata__\":{");
    for (size_t i = 0; i < pairs; i++) {
        put_text(sink, i > 0 ? "," : "");
        put_string(sink, pair[2 * i]);
        put_text(sink, ":");
        put_string(sink, pair[2 * i + 1]);
    }
    put_text(sink, "}");
}

static void put_entry(struct sink* sink, const struct attn_safetensors_entry* entry,
                      uint64_t begin, uint64_t end) {
    put_string(sink, entry->name);
    put_text(sink, ":{\"dtype\":\"");
    put_text(sink, attn_stored_name(entry->shape.type));
    put_text(sink, "\",\"shape\":[");
    for (int axis = 0; axis < entry->shape.rank; axis++) {
        put_text(sink, axis > 0 ? "," : "");
        put_number(sink, entry->shape.extent[axis]);
    }
    put_text(sink, "],\"data_offsets\":[");
    put_number(sink, begin);
    put_text(sink, ",");
    put_number(sink, end);
    put_text(sink, "]}");
}

size_t attn_safetensors_write(const struct attn_safetensors_entry* entry, size_t entries,
                              const struct attn_safetensors_string* pair, size_t pairs,
                              unsigned char* to) {
    struct sink sink = {to, ATTN_SAFETENSORS_PREFIX};
    uint64_t begin = 0;
    put_text(&sink, "{");
    if (pairs > 0) {
        put_metadata(&sink, pair, pairs);
    }
    for (size_t i = 0; i < entries; i++) {
        uint64_t bytes = 0;
        attn_stored_bytes(&entry[i].shape, &bytes);
        put_text(&sink, i > 0 || pairs > 0 ? "," : "");
        put_entry(&sink, &entry[i], begin, begin + bytes);
        begin += bytes;
    }
    put_text(&sink, "}");
    while (sink.size % 8 != 0) { /* so that the data is aligned */
        put_text(&sink, " ");
    }
    for (int i = 0; i < ATTN_SAFETENSORS_PREFIX && to != NULL; i++) {
        to[i] = (unsigned char)((uint64_t)(sink.size - ATTN_SAFETENSORS_PREFIX) >> (8 * i));
    }
    return sink.size;
}

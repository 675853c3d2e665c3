/* The tokens of JSON text (RFC 8259), strictly: for readers that know what they
 * expect, so that nothing here nests or recurses. Never reads outside its bytes.
 * The functions return whether all is right; where not, `problem` says why. */
#ifndef ATTN_CORE_JSON_H
#define ATTN_CORE_JSON_H

#include <stddef.h>
#include <stdint.h>

struct attn_json {
    const unsigned char* bytes;
    size_t size, at;
    char* text; /* where strings are decoded to; NULL: they are only measured */
    size_t text_size, text_room;
    const char* problem; /* continues "the header ..."; NULL: none */
    size_t problem_at;
};

/* A decoded string, UTF-8 without NUL: bytes text[at], ..., text[at + length - 1],
 * and the start of it again, so that it can be compared when nothing is kept. */
struct attn_json_string {
    size_t at, length;
    char head[16];
};

/* 0, always */
int attn_json_fail(struct attn_json* reader, const char* problem); /* where the reader is */
int attn_json_fail_at(struct attn_json* reader, size_t at, const char* problem);

/* the next byte that is no white space; -1: the end */
int attn_json_peek(struct attn_json* reader);
int attn_json_expect(struct attn_json* reader, int byte, const char* problem);
/* whether an object or array that was just opened has items; else it is closed now */
int attn_json_open(struct attn_json* reader, int closing);
/* after an item; `more` says whether another one follows */
int attn_json_next(struct attn_json* reader, int closing, int* more, const char* problem);
int attn_json_number(struct attn_json* reader, uint64_t* number); /* whole, not negative */

/* The next string is decoded to the same place unless this one is kept; returns
 * where it is. */
int attn_json_string(struct attn_json* reader, struct attn_json_string* string);
size_t attn_json_keep(struct attn_json* reader, const struct attn_json_string* string);
/* whether it is `text`, which is shorter than `head` */
int attn_json_is(const struct attn_json_string* string, const char* text);

/* Of any bytes, if those are JSON: how deep arrays and objects nest, and a number that values
 * and names do not come to more than twice. For a look before a parser that recurses, and
 * takes memory for each, is given them. */
struct attn_json_extent {
    size_t depth, values;
};
struct attn_json_extent attn_json_measure(const unsigned char* bytes, size_t size);

#endif

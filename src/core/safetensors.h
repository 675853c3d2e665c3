/* The header of a safetensors file (https://github.com/huggingface/safetensors):
 *
 *   8 bytes   N, the length of the header, little-endian; at most 100 MB
 *   N bytes   JSON: {"__metadata__": {"key": "text", ...},
 *                    "name": {"dtype": "F32", "shape": [2, 3], "data_offsets": [0, 24]}, ...}
 *   the rest  the data, row-major, little-endian: every byte of it belongs to
 *             exactly one tensor
 *
 * Bytes in, a description out, and the other way; no file is opened here. The
 * bytes may come from anyone. Nothing beside this schema is understood, no number
 * is believed before it was compared with the size of the file, and the time is
 * proportional to the size of the header (times its logarithm, for sorting). */
#ifndef ATTN_CORE_SAFETENSORS_H
#define ATTN_CORE_SAFETENSORS_H

#include "stored.h"

#define ATTN_SAFETENSORS_MAX_HEADER UINT64_C(100000000)
enum { ATTN_SAFETENSORS_PREFIX = 8 };

/* length bytes from text[at] on */
struct attn_safetensors_text {
    size_t at, length;
};

struct attn_safetensors_tensor {
    struct attn_safetensors_text name;
    enum attn_stored_type type;
    int rank;
    size_t extent_at;    /* extent[extent_at], ... */
    uint64_t begin, end; /* bytes of the data, which starts after the header */
    struct attn_safetensors_text key; /* the name as it stands in the header, with its quotes */
};

struct attn_safetensors_pair {
    struct attn_safetensors_text key, value;
};

/* The counts come from a first pass; then the caller provides that much room, and
 * a second pass fills it. Text is UTF-8 without NUL, not terminated. */
struct attn_safetensors {
    size_t tensors, pairs, extents, text_size;
    struct attn_safetensors_tensor* tensor; /* in the order of the header */
    struct attn_safetensors_pair* pair;     /* __metadata__ */
    uint64_t* extent;
    char* text;
    /* room for the larger of `tensors` and `pairs`; afterwards the tensors in the
     * order of their data */
    size_t* order;
};

/* What is wrong with a header. */
struct attn_safetensors_fault {
    const char* problem;              /* continues "the header ..." */
    uint64_t at;                      /* the byte of the file */
    struct attn_safetensors_text key; /* of the header: the tensor's name; length 0: none */
};

/* N of the first 8 bytes of a file of `file_size` bytes: whether it can be right */
int attn_safetensors_header_size(const unsigned char prefix[ATTN_SAFETENSORS_PREFIX],
                                 uint64_t file_size, uint64_t* header_size,
                                 struct attn_safetensors_fault* fault);

/* The N bytes of a header that is followed by data_size bytes of data. The first
 * sets the counts of `out`, the second fills its arrays (`text` must not be NULL)
 * and looks at the whole as well. Whether all is right. */
int attn_safetensors_count(const unsigned char* header, size_t size, uint64_t data_size,
                           struct attn_safetensors* out, struct attn_safetensors_fault* fault);
int attn_safetensors_fill(const unsigned char* header, size_t size, uint64_t data_size,
                          struct attn_safetensors* out, struct attn_safetensors_fault* fault);

/* ---- writing ---- */

struct attn_safetensors_string {
    const char* text; /* UTF-8 */
    size_t length;
};

struct attn_safetensors_entry {
    struct attn_safetensors_string name;
    struct attn_stored shape;
};

/* The first 8 + N bytes of a file whose tensors follow each other in the order
 * of `entry`; pairs are key, value, key, value, ... Writes nothing where `to` is
 * NULL. Returns 8 + N, a multiple of 8. */
size_t attn_safetensors_write(const struct attn_safetensors_entry* entry, size_t entries,
                              const struct attn_safetensors_string* pair, size_t pairs,
                              unsigned char* to);

#endif

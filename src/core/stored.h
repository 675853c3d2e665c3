/* Numbers as files store them, to and from arrays of doubles.
 *
 * Files hold tensors row-major (the last axis varies fastest), in one of these
 * types and one order of bytes. The arrays on the other side are R's: doubles,
 * the first axis varies fastest, the same element at the same indices. Bytes are
 * put together one by one, so that the host's own order does not matter. */
#ifndef ATTN_CORE_STORED_H
#define ATTN_CORE_STORED_H

#include <stddef.h>
#include <stdint.h>

enum attn_stored_type {
    ATTN_STORED_F64, ATTN_STORED_F32, ATTN_STORED_F16, ATTN_STORED_BF16,
    ATTN_STORED_I64, ATTN_STORED_I32, ATTN_STORED_I16, ATTN_STORED_I8,
    ATTN_STORED_U64, ATTN_STORED_U32, ATTN_STORED_U16, ATTN_STORED_U8,
    ATTN_STORED_BOOL,
    ATTN_STORED_TYPES
};

/* as many as HDF5 allows, and more than anyone uses */
enum { ATTN_STORED_MAX_RANK = 32 };

struct attn_stored {
    enum attn_stored_type type;
    int is_big_endian;
    int rank; /* 0: one number */
    uint64_t extent[ATTN_STORED_MAX_RANK];
};

size_t attn_stored_size(enum attn_stored_type type); /* bytes of one element */
/* the name that safetensors gives the type, "F32"; and back: whether it has that name */
const char* attn_stored_name(enum attn_stored_type type);
int attn_stored_type_named(const char* name, size_t length, enum attn_stored_type* type);

/* whether the product of the extents, in bytes, fits in 64 bits; an extent of 0 makes it 0 */
int attn_stored_bytes(const struct attn_stored* tensor, uint64_t* bytes);

/* Elements first, ..., first + count - 1 of the row-major order, from `bytes` to
 * their places in `array`, which holds the whole tensor. Returns how many were
 * read: less than `count` where the next one is an integer that no double holds,
 * or neither 0 nor 1 in a tensor of type BOOL. */
size_t attn_stored_read(const struct attn_stored* tensor, size_t first, size_t count,
                        const unsigned char* bytes, double* array);

/* The other way, as F64 or F32. Returns how many were written: less than `count`
 * where the next one is finite but not so as F32. */
size_t attn_stored_write(const struct attn_stored* tensor, size_t first, size_t count,
                         const double* array, unsigned char* bytes);

#endif

#include "stored.h"

#include <math.h>
#include <string.h>

static const struct {
    const char* name;
    size_t size;
} types[ATTN_STORED_TYPES] = {
    [ATTN_STORED_F64] = {"F64", 8}, [ATTN_STORED_F32] = {"F32", 4},
    [ATTN_STORED_F16] = {"F16", 2}, [ATTN_STORED_BF16] = {"BF16", 2},
    [ATTN_STORED_I64] = {"I64", 8}, [ATTN_STORED_I32] = {"I32", 4},
    [ATTN_STORED_I16] = {"I16", 2}, [ATTN_STORED_I8] = {"I8", 1},
    [ATTN_STORED_U64] = {"U64", 8}, [ATTN_STORED_U32] = {"U32", 4},
    [ATTN_STORED_U16] = {"U16", 2}, [ATTN_STORED_U8] = {"U8", 1},
    [ATTN_STORED_BOOL] = {"BOOL", 1},
};

size_t attn_stored_size(enum attn_stored_type type) { return types[type].size; }

const char* attn_stored_name(enum attn_stored_type type) { return types[type].name; }

int attn_stored_type_named(const char* name, size_t length, enum attn_stored_type* type) {
    for (int i = 0; i < ATTN_STORED_TYPES; i++) {
        if (strlen(types[i].name) == length && memcmp(types[i].name, name, length) == 0) {
            *type = (enum attn_stored_type)i;
            return 1;
        }
    }
    return 0;
}

int attn_stored_bytes(const struct attn_stored* tensor, uint64_t* bytes) {
    uint64_t product = types[tensor->type].size;
    for (int axis = 0; axis < tensor->rank; axis++) {
        if (tensor->extent[axis] == 0) {
            *bytes = 0;
            return 1;
        }
    }
    for (int axis = 0; axis < tensor->rank; axis++) {
        if (product > UINT64_MAX / tensor->extent[axis]) {
            return 0;
        }
        product *= tensor->extent[axis];
    }
    *bytes = product;
    return 1;
}

/* ---- one number ---- */

static uint64_t get_bits(const unsigned char* bytes, size_t size, int is_big_endian) {
    uint64_t bits = 0;
    for (size_t i = 0; i < size; i++) {
        bits |= (uint64_t)bytes[is_big_endian ? size - 1 - i : i] << (8 * i);
    }
    return bits;
}

static double double_of_bits(uint64_t bits) {
    double x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

static double float_of_bits(uint32_t bits) {
    float x;
    memcpy(&x, &bits, sizeof x);
    return (double)x;
}

/* 1 sign bit, 5 of exponent (bias 15), 10 of fraction */
static double half_of_bits(uint32_t bits) {
    const uint32_t exponent = bits >> 10 & 31, fraction = bits & 1023;
    double size;
    if (exponent == 31) {
        size = fraction != 0 ? (double)NAN : (double)INFINITY;
    } else if (exponent == 0) {
        size = ldexp((double)fraction, -24);
    } else {
        size = ldexp((double)(fraction | 1024), (int)exponent - 25);
    }
    return bits >> 15 != 0 ? -size : size;
}

/* two's complement of `size` bytes */
static int64_t signed_of_bits(uint64_t bits, size_t size) {
    const uint64_t sign = UINT64_C(1) << (8 * size - 1);
    if ((bits & sign) == 0) {
        return (int64_t)bits;
    }
    /* -1 - (the bits flipped): nothing that overflows on the way */
    return -1 - (int64_t)(~bits & (sign - 1));
}

static const uint64_t largest_exact = UINT64_C(1) << 53;

/* whether the number has a place among the doubles */
static int element_of_bits(enum attn_stored_type type, uint64_t bits, double* x) {
    switch (type) {
        case ATTN_STORED_F64:
            *x = double_of_bits(bits);
            return 1;
        case ATTN_STORED_F32:
            *x = float_of_bits((uint32_t)bits);
            return 1;
        case ATTN_STORED_F16:
            *x = half_of_bits((uint32_t)bits);
            return 1;
        case ATTN_STORED_BF16:
            *x = float_of_bits((uint32_t)bits << 16);
            return 1;
        case ATTN_STORED_I64:
        case ATTN_STORED_I32:
        case ATTN_STORED_I16:
        case ATTN_STORED_I8: {
            const int64_t whole = signed_of_bits(bits, types[type].size);
            *x = (double)whole;
            return whole >= -(int64_t)largest_exact && whole <= (int64_t)largest_exact;
        }
        case ATTN_STORED_BOOL:
            *x = (double)bits;
            return bits <= 1;
        default:
            *x = (double)bits;
            return bits <= largest_exact;
    }
}

static int element_to_bits(enum attn_stored_type type, double x, uint64_t* bits) {
    if (type == ATTN_STORED_F32) {
        const float rounded = (float)x;
        uint32_t narrow;
        memcpy(&narrow, &rounded, sizeof narrow);
        *bits = narrow;
        return isfinite(rounded) || !isfinite(x);
    }
    memcpy(bits, &x, sizeof x);
    return 1;
}

/* ---- rows: elements that follow each other on the last axis ---- */

static size_t read_row(const struct attn_stored* tensor, size_t count, const unsigned char* bytes,
                       double* to, size_t step) {
    const size_t size = types[tensor->type].size;
    if (tensor->type == ATTN_STORED_F32 && !tensor->is_big_endian) {
        for (size_t i = 0; i < count; i++) { /* the common case, without the switch */
            to[i * step] = float_of_bits((uint32_t)get_bits(bytes + 4 * i, 4, 0));
        }
        return count;
    }
    for (size_t i = 0; i < count; i++) {
        const uint64_t bits = get_bits(bytes + i * size, size, tensor->is_big_endian);
        if (!element_of_bits(tensor->type, bits, &to[i * step])) {
            return i;
        }
    }
    return count;
}

static size_t write_row(const struct attn_stored* tensor, size_t count, const double* from,
                        size_t step, unsigned char* bytes) {
    const size_t size = types[tensor->type].size;
    for (size_t i = 0; i < count; i++) {
        uint64_t bits;
        if (!element_to_bits(tensor->type, from[i * step], &bits)) {
            return i;
        }
        for (size_t b = 0; b < size; b++) {
            bytes[i * size + b] = (unsigned char)(bits >> (8 * b));
        }
    }
    return count;
}

/* A place in the row-major order, and where the array keeps that element. */
struct place {
    uint64_t index[ATTN_STORED_MAX_RANK];
    size_t step[ATTN_STORED_MAX_RANK]; /* the array's distance between neighbors on an axis */
    size_t offset;
};

static struct place place_of(const struct attn_stored* tensor, size_t element) {
    struct place place = {.offset = 0};
    size_t step = 1;
    for (int axis = 0; axis < tensor->rank; axis++) {
        place.step[axis] = step;
        step *= (size_t)tensor->extent[axis];
    }
    for (int axis = tensor->rank - 1; axis >= 0; axis--) {
        place.index[axis] = element % tensor->extent[axis];
        place.offset += (size_t)place.index[axis] * place.step[axis];
        element = (size_t)(element / tensor->extent[axis]);
    }
    return place;
}

/* `count` elements on along the last axis, to the next row where this one ends */
static void advance(const struct attn_stored* tensor, struct place* place, size_t count) {
    int axis = tensor->rank - 1;
    place->index[axis] += count;
    place->offset += count * place->step[axis];
    while (axis > 0 && place->index[axis] == tensor->extent[axis]) {
        place->offset -= (size_t)place->index[axis] * place->step[axis];
        place->index[axis] = 0;
        axis--;
        place->index[axis]++;
        place->offset += place->step[axis];
    }
}

/* how many of `count` elements are in the row that `place` is in */
static size_t row_part(const struct attn_stored* tensor, const struct place* place, size_t count) {
    const int last = tensor->rank - 1;
    const uint64_t left = tensor->extent[last] - place->index[last];
    return left < count ? (size_t)left : count;
}

size_t attn_stored_read(const struct attn_stored* tensor, size_t first, size_t count,
                        const unsigned char* bytes, double* array) {
    if (tensor->rank == 0 || count == 0) {
        return read_row(tensor, count, bytes, array, 1);
    }
    struct place place = place_of(tensor, first);
    size_t done = 0;
    while (done < count) {
        const size_t part = row_part(tensor, &place, count - done);
        const size_t read =
            read_row(tensor, part, bytes + done * types[tensor->type].size, array + place.offset,
                     place.step[tensor->rank - 1]);
        done += read;
        if (read < part) {
            return done;
        }
        advance(tensor, &place, part);
    }
    return done;
}

size_t attn_stored_write(const struct attn_stored* tensor, size_t first, size_t count,
                         const double* array, unsigned char* bytes) {
    if (tensor->rank == 0 || count == 0) {
        return write_row(tensor, count, array, 1, bytes);
    }
    struct place place = place_of(tensor, first);
    size_t done = 0;
    while (done < count) {
        const size_t part = row_part(tensor, &place, count - done);
        const size_t written = write_row(tensor, part, array + place.offset,
                                         place.step[tensor->rank - 1],
                                         bytes + done * types[tensor->type].size);
        done += written;
        if (written < part) {
            return done;
        }
        advance(tensor, &place, part);
    }
    return done;
}

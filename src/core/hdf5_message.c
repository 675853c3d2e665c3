/* Datatype, dataspace and data layout messages. */
#include "hdf5_read.h"

/* ---- types ---- */

enum { CLASS_INTEGER = 0, CLASS_FLOAT = 1, CLASS_STRING = 3, CLASS_VARIABLE = 9 };

/* The floats that exist: where their bits are, and the bias of the exponent. */
static const struct {
    enum attn_stored_type type;
    uint64_t size, exponent_at, exponent_size, mantissa_size, bias;
} floats[] = {
    {ATTN_STORED_F32, 4, 23, 8, 23, 127},
    {ATTN_STORED_F64, 8, 52, 11, 52, 1023},
    {ATTN_STORED_F16, 2, 10, 5, 10, 15},
    {ATTN_STORED_BF16, 2, 7, 8, 7, 127},
};

/* bit field: byte order, no padding, implied leading 1, the sign where it belongs;
 * offset 0, precision, exponent, mantissa, bias */
static int read_float(struct hdf5_file* file, struct hdf5_part part, struct hdf5_type* type) {
    if (part.end - part.at < 20) {
        return hdf5_wrong(file, part.at, "a type of numbers is cut short");
    }
    const uint64_t flags = hdf5_get(file, part.at + 1, 1), sign = hdf5_get(file, part.at + 2, 1);
    for (size_t i = 0; i < sizeof floats / sizeof floats[0]; i++) {
        if ((flags & ~UINT64_C(1)) == 0x20 && sign == 8 * floats[i].size - 1 &&
            hdf5_get(file, part.at + 3, 1) == 0 && type->size == floats[i].size &&
            hdf5_get(file, part.at + 8, 2) == 0 &&
            hdf5_get(file, part.at + 10, 2) == 8 * floats[i].size &&
            hdf5_get(file, part.at + 12, 1) == floats[i].exponent_at &&
            hdf5_get(file, part.at + 13, 1) == floats[i].exponent_size &&
            hdf5_get(file, part.at + 14, 1) == 0 &&
            hdf5_get(file, part.at + 15, 1) == floats[i].mantissa_size &&
            hdf5_get(file, part.at + 16, 4) == floats[i].bias) {
            type->kind = HDF5_NUMBER;
            type->number = floats[i].type;
            type->is_big_endian = (int)(flags & 1);
        }
    }
    return 1;
}

static int read_integer(struct hdf5_file* file, struct hdf5_part part, struct hdf5_type* type) {
    static const enum attn_stored_type integers[2][4] = {
        {ATTN_STORED_U8, ATTN_STORED_U16, ATTN_STORED_U32, ATTN_STORED_U64},
        {ATTN_STORED_I8, ATTN_STORED_I16, ATTN_STORED_I32, ATTN_STORED_I64},
    };
    if (part.end - part.at < 12) {
        return hdf5_wrong(file, part.at, "a type of numbers is cut short");
    }
    const uint64_t flags = hdf5_get(file, part.at + 1, 1);
    const int is_plain = (flags & ~UINT64_C(9)) == 0 && hdf5_get(file, part.at + 2, 2) == 0 &&
                         hdf5_get(file, part.at + 8, 2) == 0 &&
                         hdf5_get(file, part.at + 10, 2) == 8 * type->size;
    for (int log_size = 0; log_size < 4; log_size++) {
        if (is_plain && type->size == UINT64_C(1) << log_size) {
            type->kind = HDF5_NUMBER;
            type->number = integers[flags >> 3 & 1][log_size];
            type->is_big_endian = (int)(flags & 1);
        }
    }
    return 1;
}

/* class and version (1 byte), bit field (3), size (4), and what the class needs */
int hdf5_read_type(struct hdf5_file* file, struct hdf5_part part, struct hdf5_type* type) {
    if (part.end - part.at < 8) {
        return hdf5_wrong(file, part.at, "a type is cut short");
    }
    const uint64_t head = hdf5_get(file, part.at, 1), flags = hdf5_get(file, part.at + 1, 3);
    if (head >> 4 < 1 || head >> 4 > 3) {
        return hdf5_wrong(file, part.at, "a type has an unknown version");
    }
    type->kind = HDF5_OTHER_TYPE;
    type->size = hdf5_get(file, part.at + 4, 4);
    switch (head & 15) {
        case CLASS_INTEGER:
            return read_integer(file, part, type);
        case CLASS_FLOAT:
            return read_float(file, part, type);
        case CLASS_STRING:
            if ((flags & 15) <= 2 && type->size > 0) {
                type->kind = HDF5_STRING;
                type->padding = (int)(flags & 15);
            }
            return 1;
        case CLASS_VARIABLE:
            if ((flags & 15) == 1 && type->size == 16) {
                type->kind = HDF5_VARIABLE_STRING;
            }
            return 1;
        default:
            return 1;
    }
}

/* ---- shapes ---- */

/* version 1: rank, flags, 5 bytes of nothing; version 2: rank, flags, kind;
 * then 8 bytes for each extent, and again for the largest that it may become */
int hdf5_read_space(struct hdf5_file* file, struct hdf5_part part, struct attn_stored* tensor) {
    if (part.end - part.at < 4) {
        return hdf5_wrong(file, part.at, "a shape is cut short");
    }
    const uint64_t version = hdf5_get(file, part.at, 1), rank = hdf5_get(file, part.at + 1, 1);
    const uint64_t flags = hdf5_get(file, part.at + 2, 1), kind = hdf5_get(file, part.at + 3, 1);
    const uint64_t first = version == 1 ? 8 : 4;
    if (version < 1 || version > 2 || flags > 1 || rank > ATTN_STORED_MAX_RANK) {
        return hdf5_wrong(file, part.at, "a shape has an unknown form");
    }
    if (version == 2 && kind == 2) {
        return hdf5_fail(file, ATTN_HDF5_FOREIGN, part.at, "data is of the kind that has no shape");
    }
    if (part.end - part.at < first + 8 * rank * (1 + flags) ||
        (version == 2 && kind != (rank > 0))) {
        return hdf5_wrong(file, part.at, "a shape is cut short");
    }
    tensor->rank = (int)rank;
    for (uint64_t axis = 0; axis < rank; axis++) {
        tensor->extent[axis] = hdf5_get(file, part.at + first + 8 * axis, 8);
    }
    return 1;
}

/* ---- where the data is ---- */

/* version (3), class (1: contiguous), address (8), size (8) */
int hdf5_read_layout(struct hdf5_file* file, struct hdf5_part part, struct hdf5_header* header) {
    if (part.end - part.at < 2) {
        return hdf5_wrong(file, part.at, "the place of data is cut short");
    }
    const uint64_t version = hdf5_get(file, part.at, 1), class = hdf5_get(file, part.at + 1, 1);
    if (version < 1 || version > 4) {
        return hdf5_wrong(file, part.at, "the place of data has an unknown form");
    }
    if (version != 3 || class != 1) {
        return hdf5_fail(file, ATTN_HDF5_FOREIGN, part.at,
                         "data is stored in another way than in one piece");
    }
    if (part.end - part.at < 18) {
        return hdf5_wrong(file, part.at, "the place of data is cut short");
    }
    header->has_layout = 1;
    header->data_at = hdf5_get(file, part.at + 2, 8);
    header->data_size = hdf5_get(file, part.at + 10, 8);
    return 1;
}

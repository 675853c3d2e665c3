/* Attributes: those that are strings are kept, all others are passed over. */
#include "hdf5_read.h"

static uint64_t padded(uint64_t size) { return (size + 7) / 8 * 8; }

/* Object `index` of the global heap at `at`: "GCOL", version, 3 bytes, size of the
 * whole; then objects: index (2), references (2), 4 bytes, size (8), the bytes. */
static int find_in_heap(struct hdf5_file* file, uint64_t at, uint64_t index,
                        struct hdf5_part* found) {
    static const char problem[] = "a string is not where its attribute says";
    if (file->size < 16 || at > file->size - 16 || !hdf5_is(file, at, "GCOL") ||
        hdf5_get(file, at + 4, 1) != 1) {
        return hdf5_wrong(file, at, problem);
    }
    const uint64_t size = hdf5_get(file, at + 8, 8);
    if (size < 16 || !hdf5_claim(file, at, size, ATTN_HDF5_STRINGS)) {
        return hdf5_wrong(file, at, "a heap of strings has a wrong size");
    }
    struct hdf5_part rest = {at + 16, at + size};
    while (rest.end - rest.at >= 16) {
        const uint64_t here = hdf5_get(file, rest.at, 2), length = hdf5_get(file, rest.at + 8, 8);
        if (here == 0) { /* free space: nothing follows */
            break;
        }
        if (length > rest.end - rest.at - 16) {
            return hdf5_wrong(file, rest.at, "a string is longer than its heap");
        }
        if (here == index) {
            found->at = rest.at + 16;
            found->end = found->at + length;
            return 1;
        }
        if (!hdf5_spend(file, 16, at) || padded(length) > rest.end - rest.at - 16) {
            return hdf5_wrong(file, rest.at, problem);
        }
        rest.at += 16 + padded(length);
    }
    return hdf5_wrong(file, at, problem);
}

static int keep_value(struct hdf5_file* file, struct hdf5_part part) {
    struct attn_hdf5* out = file->out;
    struct attn_hdf5_text text;
    if (!hdf5_keep(file, part.at, hdf5_length(file, part), &text)) {
        return 0;
    }
    if (out->value != NULL) {
        out->value[out->values] = text;
    }
    out->values++;
    return 1;
}

/* length (4), address of a global heap (8), index in it (4) */
static int read_variable_string(struct hdf5_file* file, uint64_t at) {
    const uint64_t length = hdf5_get(file, at, 4), heap = hdf5_get(file, at + 4, 8);
    struct hdf5_part part = {at, at};
    if (length > 0 || (heap != 0 && heap != HDF5_UNDEFINED)) {
        if (!find_in_heap(file, heap, hdf5_get(file, at + 12, 4), &part)) {
            return 0;
        }
        if (length > part.end - part.at) {
            return hdf5_wrong(file, at, "a string is longer than its place in the heap");
        }
        part.end = part.at + length;
    }
    return keep_value(file, part);
}

static int read_fixed_string(struct hdf5_file* file, uint64_t at, const struct hdf5_type* type) {
    struct hdf5_part part = {at, at + type->size};
    while (type->padding == 2 && part.end > part.at && hdf5_get(file, part.end - 1, 1) == ' ') {
        part.end--;
    }
    return keep_value(file, part);
}

static int read_values(struct hdf5_file* file, struct hdf5_part data, const struct hdf5_type* type,
                       const struct attn_stored* space) {
    const int is_variable = type->kind == HDF5_VARIABLE_STRING;
    uint64_t count = 1;
    for (int axis = 0; axis < space->rank; axis++) {
        const uint64_t extent = space->extent[axis];
        if (extent > 0 && count > (data.end - data.at) / extent) {
            return hdf5_wrong(file, data.at, "an attribute is cut short");
        }
        count *= extent;
    }
    if (count > (data.end - data.at) / type->size) {
        return hdf5_wrong(file, data.at, "an attribute is cut short");
    }
    for (uint64_t i = 0; i < count; i++) {
        const uint64_t at = data.at + i * type->size;
        if (!(is_variable ? read_variable_string(file, at) : read_fixed_string(file, at, type))) {
            return 0;
        }
    }
    return 1;
}

/* the next `size` bytes of the message, and the padding after them where there is one */
static int take(struct hdf5_file* file, struct hdf5_part* rest, uint64_t size, int is_padded,
                struct hdf5_part* part) {
    const uint64_t step = is_padded ? padded(size) : size;
    if (step > rest->end - rest->at) {
        return hdf5_wrong(file, rest->at, "an attribute is cut short");
    }
    part->at = rest->at;
    part->end = rest->at + size;
    rest->at += step;
    return 1;
}

/* version (1), nothing or flags (1), sizes of name, type and shape (2 each), in version
 * 3 the encoding of the name (1); name, type, shape (in version 1 padded), data */
int hdf5_read_attribute(struct hdf5_file* file, struct hdf5_part part, size_t node) {
    struct attn_hdf5* out = file->out;
    struct hdf5_part rest = part, name = {0}, type_part = {0}, space_part = {0};
    if (part.end - part.at < 9) {
        return hdf5_wrong(file, part.at, "an attribute is cut short");
    }
    const uint64_t version = hdf5_get(file, part.at, 1);
    if (version < 1 || version > 3) {
        return hdf5_wrong(file, part.at, "an attribute has an unknown version");
    }
    if (version > 1 && hdf5_get(file, part.at + 1, 1) != 0) {
        return hdf5_fail(file, ATTN_HDF5_FOREIGN, part.at, "an attribute shares its type");
    }
    rest.at += version == 3 ? 9 : 8;
    if (!take(file, &rest, hdf5_get(file, part.at + 2, 2), version == 1, &name) ||
        !take(file, &rest, hdf5_get(file, part.at + 4, 2), version == 1, &type_part) ||
        !take(file, &rest, hdf5_get(file, part.at + 6, 2), version == 1, &space_part)) {
        return 0;
    }
    struct hdf5_type type;
    struct attn_stored space;
    struct attn_hdf5_attribute attribute = {.node = node, .value_at = out->values};
    if (!hdf5_read_type(file, type_part, &type)) {
        return 0;
    }
    if (type.kind != HDF5_STRING && type.kind != HDF5_VARIABLE_STRING) {
        return 1;
    }
    if (!hdf5_read_space(file, space_part, &space) ||
        !hdf5_keep(file, name.at, hdf5_length(file, name), &attribute.name) ||
        !read_values(file, rest, &type, &space)) {
        return 0;
    }
    attribute.values = out->values - attribute.value_at;
    if (out->attribute != NULL) {
        out->attribute[out->attributes] = attribute;
    }
    out->attributes++;
    return 1;
}

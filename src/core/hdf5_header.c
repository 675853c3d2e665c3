/* Object headers of version 1: version (1), a byte, number of messages (2), references
 * (4), size of the messages (4), 4 bytes; then messages: type (2), size (2), flags (1),
 * 3 bytes, the message. Some are in blocks elsewhere, to which a message leads. */
#include "hdf5_read.h"

enum {
    MESSAGE_NOTHING = 0x00, MESSAGE_SPACE = 0x01, MESSAGE_LINKS = 0x02, MESSAGE_TYPE = 0x03,
    MESSAGE_OLD_FILL = 0x04, MESSAGE_FILL = 0x05, MESSAGE_LINK = 0x06, MESSAGE_EXTERNAL = 0x07,
    MESSAGE_LAYOUT = 0x08, MESSAGE_GROUP = 0x0A, MESSAGE_FILTER = 0x0B, MESSAGE_ATTRIBUTE = 0x0C,
    MESSAGE_COMMENT = 0x0D, MESSAGE_OLD_TIME = 0x0E, MESSAGE_MORE = 0x10, MESSAGE_TABLE = 0x11,
    MESSAGE_TIME = 0x12, MESSAGE_ATTRIBUTES = 0x15
};

/* Blocks of messages of one object. */
struct blocks {
    int count;
    struct hdf5_part part[HDF5_MAX_BLOCKS];
};

static int add_block(struct hdf5_file* file, struct hdf5_part message, struct blocks* blocks) {
    if (message.end - message.at < 16) {
        return hdf5_wrong(file, message.at, "a reference to more messages is cut short");
    }
    const uint64_t at = hdf5_get(file, message.at, 8), size = hdf5_get(file, message.at + 8, 8);
    if (blocks->count == HDF5_MAX_BLOCKS) {
        return hdf5_wrong(file, message.at, "an object has too many blocks of messages");
    }
    if (!hdf5_claim(file, at, size, ATTN_HDF5_STRUCTURE)) {
        return 0;
    }
    blocks->part[blocks->count].at = at;
    blocks->part[blocks->count].end = at + size;
    blocks->count++;
    return 1;
}

static int read_table(struct hdf5_file* file, struct hdf5_part part, struct hdf5_header* header) {
    if (part.end - part.at < 16 || header->has_table) {
        return hdf5_wrong(file, part.at, "a group's table is cut short");
    }
    header->has_table = 1;
    header->tree = hdf5_get(file, part.at, 8);
    header->heap = hdf5_get(file, part.at + 8, 8);
    return 1;
}

static int read_data_type(struct hdf5_file* file, struct hdf5_part part,
                          struct hdf5_header* header) {
    struct hdf5_type type;
    if (!hdf5_read_type(file, part, &type)) {
        return 0;
    }
    if (type.kind != HDF5_NUMBER) {
        return hdf5_fail(file, ATTN_HDF5_REFUSED, part.at,
                         "data is neither floating-point numbers of 16, 32 or 64 bits nor "
                         "integers of 8, 16, 32 or 64");
    }
    header->has_type = 1;
    header->tensor.type = type.number;
    header->tensor.is_big_endian = type.is_big_endian;
    return 1;
}

static int read_message(struct hdf5_file* file, uint64_t type, struct hdf5_part part, size_t node,
                        struct hdf5_header* header, struct blocks* blocks) {
    switch (type) {
        case MESSAGE_NOTHING:
        case MESSAGE_OLD_FILL:
        case MESSAGE_FILL:
        case MESSAGE_COMMENT:
        case MESSAGE_OLD_TIME:
        case MESSAGE_TIME:
            return 1;
        case MESSAGE_SPACE:
            header->has_space = 1;
            return hdf5_read_space(file, part, &header->tensor);
        case MESSAGE_TYPE:
            return read_data_type(file, part, header);
        case MESSAGE_LAYOUT:
            return hdf5_read_layout(file, part, header);
        case MESSAGE_ATTRIBUTE:
            return hdf5_read_attribute(file, part, node);
        case MESSAGE_MORE:
            return add_block(file, part, blocks);
        case MESSAGE_TABLE:
            return read_table(file, part, header);
        case MESSAGE_EXTERNAL:
            return hdf5_fail(file, ATTN_HDF5_REFUSED, part.at, "data is in other files");
        case MESSAGE_LINKS:
        case MESSAGE_LINK:
        case MESSAGE_GROUP:
            return hdf5_fail(file, ATTN_HDF5_FOREIGN, part.at, "a group is of the newer form");
        case MESSAGE_FILTER:
            return hdf5_fail(file, ATTN_HDF5_FOREIGN, part.at, "data is compressed");
        case MESSAGE_ATTRIBUTES:
            return hdf5_fail(file, ATTN_HDF5_FOREIGN, part.at,
                             "attributes are of the newer form");
        default:
            return hdf5_wrong(file, part.at, "an object has a message of an unknown kind");
    }
}

/* the messages of one block; counts them */
static int read_block(struct hdf5_file* file, struct hdf5_part part, size_t node,
                      struct hdf5_header* header, struct blocks* blocks, uint64_t* messages) {
    while (part.end - part.at >= 8) {
        const uint64_t type = hdf5_get(file, part.at, 2), size = hdf5_get(file, part.at + 2, 2);
        const uint64_t flags = hdf5_get(file, part.at + 4, 1);
        const struct hdf5_part message = {part.at + 8, part.at + 8 + size};
        if (size > part.end - part.at - 8) {
            return hdf5_wrong(file, part.at, "a message is longer than its block");
        }
        if ((flags & 2) != 0) {
            return hdf5_fail(file, ATTN_HDF5_FOREIGN, part.at, "a message is stored elsewhere");
        }
        if (!read_message(file, type, message, node, header, blocks)) {
            return 0;
        }
        part.at = message.end;
        ++*messages;
    }
    return part.at == part.end ||
           hdf5_wrong(file, part.at, "bytes are left over in a block of messages");
}

int hdf5_read_header(struct hdf5_file* file, uint64_t at, size_t node,
                     struct hdf5_header* header) {
    struct blocks blocks = {.count = 0};
    const struct hdf5_header nothing = {.has_table = 0};
    *header = nothing;
    if (!hdf5_claim(file, at, 16, ATTN_HDF5_STRUCTURE)) {
        return 0;
    }
    if (hdf5_is(file, at, "OHDR")) {
        return hdf5_fail(file, ATTN_HDF5_FOREIGN, at, "an object is of the newer form");
    }
    if (hdf5_get(file, at, 1) != 1) {
        return hdf5_wrong(file, at, "there is no object where one should be");
    }
    const uint64_t wanted = hdf5_get(file, at + 2, 2), size = hdf5_get(file, at + 8, 4);
    if (!hdf5_claim(file, at + 16, size, ATTN_HDF5_STRUCTURE)) {
        return 0;
    }
    blocks.count = 1;
    blocks.part[0].at = at + 16;
    blocks.part[0].end = at + 16 + size;
    uint64_t messages = 0;
    for (int i = 0; i < blocks.count; i++) {
        if (!read_block(file, blocks.part[i], node, header, &blocks, &messages)) {
            return 0;
        }
    }
    return messages == wanted ||
           hdf5_wrong(file, at, "an object has another number of messages than it says");
}

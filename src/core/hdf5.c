/* The superblock, groups, and the check of the whole. */
#include "hdf5.h"

#include <string.h>

#include "hdf5_read.h"

/* ---- bytes ---- */

int hdf5_fail(struct hdf5_file* file, enum attn_hdf5_verdict verdict, uint64_t at,
              const char* problem) {
    if (file->verdict == ATTN_HDF5_RIGHT) { /* what was found first */
        file->verdict = verdict;
        file->fault->problem = problem;
        file->fault->at = at < file->size ? at : file->size; /* addresses may be anything */
    }
    return 0;
}

int hdf5_wrong(struct hdf5_file* file, uint64_t at, const char* problem) {
    return hdf5_fail(file, ATTN_HDF5_WRONG, at, problem);
}

int hdf5_claim(struct hdf5_file* file, uint64_t at, uint64_t size, enum attn_hdf5_use use) {
    struct attn_hdf5* out = file->out;
    if (at > file->size || size > file->size - at) {
        return hdf5_wrong(file, at, "something lies beyond the end of the file");
    }
    if (out->span != NULL) {
        const struct attn_hdf5_span span = {at, at + size, use};
        out->span[out->spans] = span;
    }
    out->spans++;
    /* What is apart fits in the file together: a walk that comes back to where it was
     * ends here, long before all spans are compared. */
    file->claimed += use != ATTN_HDF5_STRINGS ? size : 0;
    return file->claimed <= file->size || hdf5_wrong(file, at, "parts of the file overlap");
}

int hdf5_spend(struct hdf5_file* file, uint64_t work, uint64_t at) {
    file->work += work;
    return file->work / 4 <= file->size + 65536 ||
           hdf5_wrong(file, at, "the file refers to the same text again and again");
}

uint64_t hdf5_get(const struct hdf5_file* file, uint64_t at, int bytes) {
    uint64_t value = 0;
    for (int i = 0; i < bytes; i++) {
        value |= (uint64_t)file->bytes[at + (uint64_t)i] << (8 * i);
    }
    return value;
}

int hdf5_is(const struct hdf5_file* file, uint64_t at, const char* signature) {
    return memcmp(file->bytes + at, signature, 4) == 0;
}

static int put_text(struct hdf5_file* file, const void* from, uint64_t length) {
    struct attn_hdf5* out = file->out;
    if (out->text != NULL && length > 0 && length <= file->text_room - out->text_size) {
        memcpy(out->text + out->text_size, from, (size_t)length);
    }
    out->text_size += (size_t)length;
    return hdf5_spend(file, length, 0);
}

int hdf5_keep(struct hdf5_file* file, uint64_t at, uint64_t length, struct attn_hdf5_text* text) {
    text->at = file->out->text_size;
    text->length = (size_t)length;
    return put_text(file, file->bytes + at, length);
}

uint64_t hdf5_length(const struct hdf5_file* file, struct hdf5_part part) {
    if (part.end == part.at) {
        return 0;
    }
    const size_t size = (size_t)(part.end - part.at);
    const unsigned char* start = file->bytes + part.at;
    const unsigned char* nul = memchr(start, 0, size);
    return nul != NULL ? (uint64_t)(nul - start) : size;
}

/* ---- groups ---- */

/* A group on the way down, and the last name that was met in it. */
struct group {
    const struct group* parent;
    struct hdf5_part heap; /* the names */
    struct hdf5_part name; /* of the group in its parent */
    struct hdf5_part last;
    int depth;
};

static int read_object(struct hdf5_file* file, uint64_t at, const struct group* parent,
                       struct hdf5_part name);

/* "HEAP", version, 3 bytes, size of the names, 8 bytes, their address */
static int read_heap(struct hdf5_file* file, uint64_t at, struct hdf5_part* names) {
    if (!hdf5_claim(file, at, 32, ATTN_HDF5_STRUCTURE)) {
        return 0;
    }
    if (!hdf5_is(file, at, "HEAP") || hdf5_get(file, at + 4, 1) != 0) {
        return hdf5_wrong(file, at, "a group does not have its names where it says");
    }
    const uint64_t size = hdf5_get(file, at + 8, 8), start = hdf5_get(file, at + 24, 8);
    if (!hdf5_claim(file, start, size, ATTN_HDF5_STRUCTURE)) {
        return 0;
    }
    names->at = start;
    names->end = start + size;
    return 1;
}

/* Names are text without slashes, and each group has them in order: no name twice. */
static int read_name(struct hdf5_file* file, uint64_t offset, struct group* group,
                     struct hdf5_part* name) {
    if (offset >= group->heap.end - group->heap.at) {
        return hdf5_wrong(file, group->heap.at, "a name lies outside the names of its group");
    }
    name->at = group->heap.at + offset;
    name->end = group->heap.end;
    const uint64_t length = hdf5_length(file, *name);
    if (length == 0 || length == name->end - name->at) {
        return hdf5_wrong(file, name->at, "a name is empty or has no end");
    }
    name->end = name->at + length;
    if (!hdf5_spend(file, length, name->at)) {
        return 0;
    }
    const char* text = (const char*)file->bytes + name->at; /* ends with NUL */
    if (memchr(text, '/', (size_t)length) != NULL || strcmp(text, ".") == 0) {
        return hdf5_wrong(file, name->at, "a name has a slash, or is a dot");
    }
    if (group->last.end > 0 && strcmp((const char*)file->bytes + group->last.at, text) >= 0) {
        return hdf5_wrong(file, name->at, "the names of a group are not in order");
    }
    group->last = *name;
    return 1;
}

/* "SNOD", version, a byte, number of entries (2); entries of 40 bytes: offset of the
 * name, address of the object, what else is there (4), ... */
static int read_table_node(struct hdf5_file* file, uint64_t at, struct group* group) {
    if (!hdf5_claim(file, at, 8 + 40 * file->leaf_entries, ATTN_HDF5_STRUCTURE)) {
        return 0;
    }
    const uint64_t entries = hdf5_get(file, at + 6, 2);
    if (!hdf5_is(file, at, "SNOD") || hdf5_get(file, at + 4, 1) != 1 ||
        entries > file->leaf_entries) {
        return hdf5_wrong(file, at, "a group does not have its entries where it says");
    }
    for (uint64_t i = 0; i < entries; i++) {
        const uint64_t entry = at + 8 + 40 * i;
        struct hdf5_part name;
        if (!read_name(file, hdf5_get(file, entry, 8), group, &name)) {
            return 0;
        }
        const uint64_t cached = hdf5_get(file, entry + 16, 4);
        if (cached == 2) {
            return hdf5_fail(file, ATTN_HDF5_REFUSED, entry, "a group has a soft link");
        }
        if (cached > 2) {
            return hdf5_wrong(file, entry, "an entry of a group is of an unknown kind");
        }
        if (!read_object(file, hdf5_get(file, entry + 8, 8), group, name)) {
            return 0;
        }
    }
    return 1;
}

/* "TREE", type 0 (groups), level, number of entries (2), neighbors (16); then keys
 * (8) and addresses (8) by turns: of nodes a level below, or of table nodes */
static int read_tree(struct hdf5_file* file, uint64_t at, int level, struct group* group) {
    if (!hdf5_claim(file, at, 24 + 8 + 16 * file->internal_entries, ATTN_HDF5_STRUCTURE)) {
        return 0;
    }
    const uint64_t entries = hdf5_get(file, at + 6, 2), found = hdf5_get(file, at + 5, 1);
    if (!hdf5_is(file, at, "TREE") || hdf5_get(file, at + 4, 1) != 0 ||
        entries > file->internal_entries || found > HDF5_MAX_LEVEL ||
        (level >= 0 && found != (uint64_t)level)) {
        return hdf5_wrong(file, at, "a group does not have its tree where it says");
    }
    for (uint64_t i = 0; i < entries; i++) {
        const uint64_t child = hdf5_get(file, at + 32 + 16 * i, 8);
        if (!(found > 0 ? read_tree(file, child, (int)found - 1, group)
                        : read_table_node(file, child, group))) {
            return 0;
        }
    }
    return 1;
}

/* "a/b/c", from the names on the way down */
static int put_path(struct hdf5_file* file, const struct group* parent, struct hdf5_part name) {
    if (parent != NULL && parent->parent != NULL) {
        if (!put_path(file, parent->parent, parent->name) || !put_text(file, "/", 1)) {
            return 0;
        }
    }
    return put_text(file, file->bytes + name.at, name.end - name.at);
}

static int check_data(struct hdf5_file* file, uint64_t at, struct hdf5_header* header) {
    uint64_t bytes;
    if (!header->has_space || !header->has_type || !header->has_layout) {
        return hdf5_wrong(file, at, "an object is neither a group nor data");
    }
    if (!attn_stored_bytes(&header->tensor, &bytes) || bytes != header->data_size) {
        return hdf5_wrong(file, at, "data has another size than its shape and type say");
    }
    if (bytes == 0) {
        header->data_at = 0;
        return 1;
    }
    if (header->data_at == HDF5_UNDEFINED) {
        return hdf5_wrong(file, at, "data was never written");
    }
    return hdf5_claim(file, header->data_at, bytes, ATTN_HDF5_DATA);
}

static int read_object(struct hdf5_file* file, uint64_t at, const struct group* parent,
                       struct hdf5_part name) {
    struct attn_hdf5* out = file->out;
    struct attn_hdf5_node node = {.path = {.at = out->text_size}};
    struct group group = {.parent = parent, .name = name,
                          .depth = parent != NULL ? parent->depth + 1 : 0};
    struct hdf5_header header;
    const size_t place = out->nodes++;
    if (group.depth > HDF5_MAX_DEPTH) {
        return hdf5_wrong(file, at, "groups are nested too deeply");
    }
    if (!put_path(file, parent, name)) {
        return 0;
    }
    node.path.length = out->text_size - node.path.at;
    if (!hdf5_read_header(file, at, place, &header)) {
        return 0;
    }
    node.is_data = !header.has_table;
    if (node.is_data) {
        if (!check_data(file, at, &header)) {
            return 0;
        }
        node.tensor = header.tensor;
        node.data_at = header.data_at;
        node.data_size = header.data_size;
    }
    if (out->node != NULL) {
        out->node[place] = node;
    }
    return node.is_data || (read_heap(file, header.heap, &group.heap) &&
                            read_tree(file, header.tree, -1, &group));
}

/* ---- the whole ---- */

static void sift_down(struct attn_hdf5_span* span, size_t parent, size_t count) {
    while (2 * parent + 1 < count) {
        size_t child = 2 * parent + 1;
        if (child + 1 < count && span[child].begin < span[child + 1].begin) {
            child++;
        }
        if (span[parent].begin >= span[child].begin) {
            return;
        }
        const struct attn_hdf5_span moved = span[parent];
        span[parent] = span[child];
        span[child] = moved;
        parent = child;
    }
}

static void sort_spans(struct attn_hdf5_span* span, size_t count) {
    for (size_t parent = count / 2; parent-- > 0;) {
        sift_down(span, parent, count);
    }
    for (size_t last = count; last-- > 1;) {
        const struct attn_hdf5_span largest = span[0];
        span[0] = span[last];
        span[last] = largest;
        sift_down(span, 0, last);
    }
}

static int is_zero(const struct hdf5_file* file, uint64_t begin, uint64_t end) {
    for (uint64_t at = begin; at < end; at++) {
        if (file->bytes[at] != 0) {
            return 0;
        }
    }
    return 1;
}

/* Bytes beside data that nothing uses. A file that is written once has them only at the
 * ends of a run of data, and they are 0. What else is found is data that the file has
 * lost, because an address was damaged: the format itself has no check of addresses. */
static int check_gap(struct hdf5_file* file, uint64_t begin, uint64_t end, int is_after_data,
                     int is_before_data) {
    if ((is_after_data && is_before_data) ||
        ((is_after_data || is_before_data) && !is_zero(file, begin, end))) {
        return hdf5_wrong(file, begin,
                          "beside data there are bytes that belong to nothing: the file is "
                          "damaged, or was changed after it was first written");
    }
    return 1;
}

static int check_spans(struct hdf5_file* file) {
    struct attn_hdf5_span* span = file->out->span;
    const size_t count = file->out->spans;
    struct attn_hdf5_span last = {0, 0, ATTN_HDF5_STRUCTURE};
    sort_spans(span, count);
    for (size_t i = 0; i < count; i++) {
        const int is_same_heap = span[i].begin == last.begin && span[i].end == last.end &&
                                 span[i].use == ATTN_HDF5_STRINGS && last.use == ATTN_HDF5_STRINGS;
        if (span[i].begin < last.end && !is_same_heap) {
            return hdf5_wrong(file, span[i].begin, "parts of the file overlap");
        }
        if (span[i].begin > last.end &&
            !check_gap(file, last.end, span[i].begin, last.use == ATTN_HDF5_DATA,
                       span[i].use == ATTN_HDF5_DATA)) {
            return 0;
        }
        last = span[i];
    }
    return last.end == file->size ||
           check_gap(file, last.end, file->size, last.use == ATTN_HDF5_DATA, 0);
}

/* A program writes numbers in one order of bytes: that of its machine. */
static int check_orders(struct hdf5_file* file) {
    const struct attn_hdf5_node* first = NULL;
    for (size_t i = 0; i < file->out->nodes; i++) {
        const struct attn_hdf5_node* node = &file->out->node[i];
        if (!node->is_data || attn_stored_size(node->tensor.type) == 1) {
            continue;
        }
        if (first != NULL && first->tensor.is_big_endian != node->tensor.is_big_endian) {
            return hdf5_wrong(file, 0, "some data has the other order of bytes than the rest");
        }
        first = node;
    }
    return 1;
}

static const unsigned char signature[8] = {0x89, 'H', 'D', 'F', '\r', '\n', 0x1A, '\n'};

/* signature (8), versions: of the superblock (0 or 1), free space, root, a byte, shared
 * headers; sizes of addresses and lengths (8 and 8), a byte, K of symbol table nodes
 * (2), K of B-tree nodes (2), flags (4), in version 1 another K (2) and 2 bytes; base,
 * free space, end of the file, driver (8 each); the root's entry */
static int read_superblock(struct hdf5_file* file, uint64_t* root) {
    if (file->size < 96 || memcmp(file->bytes, signature, sizeof signature) != 0) {
        return hdf5_wrong(file, 0, "it does not start as an HDF5 file does");
    }
    const uint64_t version = hdf5_get(file, 8, 1), base = version == 1 ? 28 : 24;
    if (version > 3) {
        return hdf5_wrong(file, 8, "it is of an unknown version of HDF5");
    }
    if (version > 1) {
        return hdf5_fail(file, ATTN_HDF5_FOREIGN, 8, "it is of a newer form of HDF5");
    }
    if (hdf5_get(file, 9, 2) != 0 || hdf5_get(file, 12, 1) != 0) {
        return hdf5_wrong(file, 9, "it is of an unknown version of HDF5");
    }
    if (hdf5_get(file, 13, 1) != 8 || hdf5_get(file, 14, 1) != 8 || hdf5_get(file, base, 8) != 0 ||
        hdf5_get(file, base + 24, 8) != HDF5_UNDEFINED) {
        return hdf5_fail(file, ATTN_HDF5_FOREIGN, 13, "it is of an unusual form of HDF5");
    }
    file->leaf_entries = 2 * hdf5_get(file, 16, 2);
    file->internal_entries = 2 * hdf5_get(file, 18, 2);
    const uint64_t end = hdf5_get(file, base + 16, 8);
    if (end > file->size) {
        return hdf5_wrong(file, base + 16, "the file is shorter than it says: it was cut");
    }
    file->size = end;
    *root = hdf5_get(file, base + 32 + 8, 8);
    return end >= 100 ? hdf5_claim(file, 0, base + 32 + 40, ATTN_HDF5_STRUCTURE)
                      : hdf5_wrong(file, base + 16, "the file says that it is empty");
}

static enum attn_hdf5_verdict read_all(const unsigned char* bytes, size_t size,
                                       struct attn_hdf5* out, struct attn_hdf5_fault* fault,
                                       int checks_whole) {
    struct hdf5_file file = {.bytes = bytes, .size = size, .out = out, .fault = fault,
                             .verdict = ATTN_HDF5_RIGHT, .text_room = out->text_size};
    const struct hdf5_part no_name = {0, 0};
    uint64_t root = 0;
    out->nodes = out->attributes = out->values = out->spans = out->text_size = 0;
    fault->problem = NULL;
    fault->at = 0;
    if (read_superblock(&file, &root) && read_object(&file, root, NULL, no_name) && checks_whole) {
        (void)(check_spans(&file) && check_orders(&file));
    }
    return file.verdict;
}

enum attn_hdf5_verdict attn_hdf5_count(const unsigned char* bytes, size_t size,
                                       struct attn_hdf5* out, struct attn_hdf5_fault* fault) {
    memset(out, 0, sizeof *out);
    return read_all(bytes, size, out, fault, 0);
}

enum attn_hdf5_verdict attn_hdf5_fill(const unsigned char* bytes, size_t size,
                                      struct attn_hdf5* out, struct attn_hdf5_fault* fault) {
    return read_all(bytes, size, out, fault, 1);
}

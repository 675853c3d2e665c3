/* What the reader of HDF5 files says of files that no byte changed in a file of the HDF5
 * library leads to. They are put together here, structure by structure. */
#include "check.h"
#include "fuzz_hdf5.c"

enum { ENTRIES = 4, TREE_SIZE = 32 + 16 * ENTRIES, NODE_SIZE = 8 + 40 * ENTRIES, ROOM = 1 << 21 };

/* A file while it is written: what is put goes to its end. */
struct file {
    uint8_t* bytes;
    size_t size;
};

static void set(struct file* file, size_t at, uint64_t value, int bytes) {
    for (int i = 0; i < bytes; i++) {
        file->bytes[at + (size_t)i] = (uint8_t)(value >> (8 * i));
    }
}

static size_t put(struct file* file, uint64_t value, int bytes) {
    const size_t at = file->size;
    set(file, at, value, bytes);
    file->size += (size_t)bytes;
    return at;
}

static size_t put_bytes(struct file* file, const void* from, size_t size) {
    const size_t at = file->size;
    memcpy(file->bytes + at, from, size);
    file->size += size;
    return at;
}

/* the superblock, whose root is at byte 96 */
static struct file new_file(void) {
    static const uint8_t signature[8] = {0x89, 'H', 'D', 'F', '\r', '\n', 0x1A, '\n'};
    struct file file = {fuzz_take(ROOM, 1), 0};
    memset(file.bytes, 0, ROOM);
    put_bytes(&file, signature, 8);
    put(&file, 0, 5);
    put(&file, 0x0808, 3);
    put(&file, ENTRIES / 2, 2);
    put(&file, ENTRIES / 2, 2);
    put(&file, 0, 4);
    put(&file, 0, 8);
    put(&file, UINT64_MAX, 8); /* free space, the end of the file (see verdict_on), driver */
    put(&file, 0, 8);
    put(&file, UINT64_MAX, 8);
    put(&file, 0, 8); /* the root's entry */
    put(&file, 96, 8);
    file.size = 96;
    return file;
}

struct message {
    int type, size;
    uint8_t byte[256];
};

static size_t put_header(struct file* file, const struct message* message, int count) {
    const size_t at = put(file, 1, 2);
    put(file, (uint64_t)count, 2);
    put(file, 1, 4);
    const size_t size_at = put(file, 0, 8);
    const size_t start = file->size;
    for (int i = 0; i < count; i++) {
        put(file, (uint64_t)message[i].type, 2);
        put(file, (uint64_t)message[i].size, 2);
        put(file, 0, 4);
        put_bytes(file, message[i].byte, (size_t)message[i].size);
    }
    set(file, size_at, file->size - start, 4);
    return at;
}

/* A group whose names are in `names` (each ends with NUL) at these offsets. Returns where
 * the addresses of its objects go: entry i at that place + 40 i. */
static size_t put_group(struct file* file, const char* names, size_t names_size,
                        const size_t* offset, int count) {
    struct message table = {0x11, 16, {0}};
    const size_t header = put_header(file, &table, 1), heap = file->size;
    put_bytes(file, "HEAP\0\0\0\0", 8);
    put(file, names_size, 8);
    put(file, 0, 8);
    put(file, heap + 32, 8);
    put_bytes(file, names, names_size);
    const size_t tree = put_bytes(file, "TREE\0\0\1\0", 8);
    file->size = tree + TREE_SIZE;
    const size_t node = put_bytes(file, "SNOD\1\0", 6);
    put(file, (uint64_t)count, 2);
    for (int i = 0; i < count; i++) {
        set(file, file->size + 40 * (size_t)i, offset[i], 8);
    }
    file->size = node + NODE_SIZE;
    set(file, tree + 32, node, 8);
    set(file, header + 24, tree, 8);
    set(file, header + 32, heap, 8);
    return node + 16;
}

/* a file whose root has one object, "x", to be put next */
static struct file file_of_one(void) {
    const size_t offset = 0;
    struct file file = new_file();
    const size_t place = put_group(&file, "x\0\0\0\0\0\0\0", 8, &offset, 1);
    set(&file, place, file.size, 8);
    return file;
}

static struct message message_of(int type, const uint8_t* bytes, size_t size) {
    struct message message = {type, (int)size, {0}};
    memcpy(message.byte, bytes, size);
    return message;
}
#define MESSAGE(type, ...) \
    message_of(type, (const uint8_t[]){__VA_ARGS__}, sizeof((const uint8_t[]){__VA_ARGS__}))

#define FLOAT32 0x11, 0x20, 31, 0, 4, 0, 0, 0, 0, 0, 32, 0, 23, 8, 0, 23, 127, 0, 0, 0
#define FOUR_BYTES_AT(low, high) 3, 1, low, high, 0, 0, 0, 0, 0, 0, 4, 0, 0, 0, 0, 0, 0, 0
#define NOWHERE 255, 255, 255, 255, 255, 255, 255, 255
#define SCALAR 1, 0, 0, 0, 0, 0, 0, 0

/* ---- verdicts ---- */

static enum attn_hdf5_verdict read(struct file* file, struct attn_hdf5* out,
                                   struct attn_hdf5_fault* fault) {
    set(file, 40, file->size, 8);
    enum attn_hdf5_verdict verdict = attn_hdf5_count(file->bytes, file->size, out, fault);
    if (verdict == ATTN_HDF5_RIGHT) {
        fuzz_allocate(out, file->size);
        verdict = attn_hdf5_fill(file->bytes, file->size, out, fault);
    }
    return verdict;
}

static void is_judged(const char* what, struct file file, enum attn_hdf5_verdict expected,
                      const char* problem) {
    struct attn_hdf5 out;
    struct attn_hdf5_fault fault;
    const enum attn_hdf5_verdict verdict = read(&file, &out, &fault);
    CHECK(verdict == expected && (problem == NULL) == (fault.problem == NULL) &&
              (problem == NULL || strstr(fault.problem, problem) != NULL),
          "%s: %d, %s", what, (int)verdict, fault.problem != NULL ? fault.problem : "right");
    if (verdict == ATTN_HDF5_RIGHT) {
        fuzz_look(&out, file.bytes, file.size);
    }
    fuzz_free(&out);
    free(file.bytes);
}

/* data with these three messages, and 4 bytes after them */
static void data_is_judged(const char* what, struct message type, struct message space,
                           struct message layout, enum attn_hdf5_verdict expected,
                           const char* problem) {
    const struct message messages[] = {type, space, layout};
    struct file file = file_of_one();
    const size_t header = put_header(&file, messages, 3);
    const size_t address = header + 16 + 8 + (size_t)type.size + 8 + (size_t)space.size + 8 + 2;
    if (layout.size == 18 && layout.byte[2] == 1) { /* 1 stands for the place after it */
        set(&file, address, file.size, 8);
        put(&file, 0x3f800000, 4);
    }
    is_judged(what, file, expected, problem);
}

static void data(void) {
    const struct message number = MESSAGE(3, FLOAT32), scalar = MESSAGE(1, SCALAR);
    const struct message layout = MESSAGE(8, FOUR_BYTES_AT(1, 0));
    data_is_judged("one number", number, scalar, layout, ATTN_HDF5_RIGHT, NULL);
    data_is_judged("no numbers", number,
                   MESSAGE(1, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0),
                   MESSAGE(8, 3, 1, NOWHERE, 0, 0, 0, 0, 0, 0, 0, 0), ATTN_HDF5_RIGHT, NULL);
    data_is_judged("nothing written", number, scalar,
                   MESSAGE(8, 3, 1, NOWHERE, 4, 0, 0, 0, 0, 0, 0, 0), ATTN_HDF5_WRONG,
                   "never written");
    data_is_judged("half an integer", MESSAGE(3, 0x10, 0, 0, 0, 4, 0, 0, 0), scalar, layout,
                   ATTN_HDF5_WRONG, "type of numbers is cut short");
    data_is_judged("half a number", MESSAGE(3, 0x11, 0, 0, 0, 4, 0, 0, 0), scalar, layout,
                   ATTN_HDF5_WRONG, "type of numbers is cut short");
    data_is_judged("the null space", number, MESSAGE(1, 2, 0, 0, 2), layout, ATTN_HDF5_FOREIGN,
                   "no shape");
    data_is_judged("a scalar of the newer form", number, MESSAGE(1, 2, 0, 0, 0), layout,
                   ATTN_HDF5_RIGHT, NULL);
    data_is_judged("a scalar with an axis", number, MESSAGE(1, 2, 0, 0, 1), layout,
                   ATTN_HDF5_WRONG, "a shape is cut short");
}

/* ---- attributes ---- */

/* an attribute "a" of version 2 with 3 strings of 4 bytes */
static void strings_are(int padding, const char* bytes, const char* expected) {
    struct message message = MESSAGE(12, 2, 0, 2, 0, 8, 0, 12, 0, 'a', 0, 0x13, 0, 0, 0, 4, 0, 0,
                                     0, 2, 1, 0, 1, 3, 0, 0, 0, 0, 0, 0, 0);
    struct attn_hdf5 out;
    struct attn_hdf5_fault fault;
    char found[64] = "";
    message.byte[11] = (uint8_t)padding;
    memcpy(message.byte + message.size, bytes, 12);
    message.size += 12;
    const struct message messages[] = {MESSAGE(3, FLOAT32), MESSAGE(1, SCALAR),
                                       MESSAGE(8, 3, 1, NOWHERE, 0, 0, 0, 0, 0, 0, 0, 0),
                                       message};
    struct file file = file_of_one();
    const size_t header = put_header(&file, messages, 4);
    set(&file, header + 16 + 28 + 16 + 8 + 2, file.size, 8);
    set(&file, header + 16 + 28 + 16 + 8 + 10, 4, 8);
    put(&file, 0, 4);
    const enum attn_hdf5_verdict verdict = read(&file, &out, &fault);
    for (size_t i = 0; verdict == ATTN_HDF5_RIGHT && i < out.values; i++) {
        strncat(found, out.text + out.value[i].at, out.value[i].length);
        strcat(found, "|");
    }
    CHECK(strcmp(found, expected) == 0, "strings padded the way %d: %s, %s", padding, found,
          fault.problem != NULL ? fault.problem : "right");
    fuzz_free(&out);
    free(file.bytes);
}

/* an attribute "a" of this version and flag, whose one string is object 1 of the heap of
 * strings that is put after it */
static struct file file_of_string(int version, int flag, size_t heap_size, size_t references) {
    struct message message = MESSAGE(12, 1, 0, 2, 0, 8, 0, 16, 0, 'a', 0, 0, 0, 0, 0, 0, 0, 0x19,
                                     1, 0, 0, 16, 0, 0, 0, 1, 1, 0, 0, 0, 0, 0, 0);
    message.byte[0] = (uint8_t)version;
    message.byte[1] = (uint8_t)flag;
    message.byte[message.size] = (uint8_t)references;
    message.size += 8;
    struct file file = file_of_one();
    put_header(&file, &message, 1);
    const size_t values = file.size;
    file.size += 16 * references;
    set(&file, values - (size_t)message.size - 6, (uint64_t)message.size + 16 * references, 2);
    set(&file, values - (size_t)message.size - 16, 8 + (uint64_t)message.size + 16 * references,
        4);
    for (size_t i = 0; i < references; i++) {
        set(&file, values + 16 * i, 1, 4);
        set(&file, values + 16 * i + 4, file.size, 8);
        set(&file, values + 16 * i + 12, 1, 4);
    }
    put_bytes(&file, "GCOL\1\0\0\0", 8);
    put(&file, heap_size, 8);
    return file;
}

static void heaps_of_strings(void) {
    is_judged("a shared type", file_of_string(2, 1, 16, 1), ATTN_HDF5_FOREIGN, "shares its type");
    /* object 2, of 3 bytes, ends with the heap, but what it is padded to does not */
    struct file file = file_of_string(1, 0, 16 + 16 + 3, 1);
    put(&file, 2, 8);
    put(&file, 3, 8);
    put(&file, 0, 3);
    is_judged("a string with half its padding", file, ATTN_HDF5_WRONG,
              "not where its attribute says");
    /* 60 times the same 8192 bytes */
    file = file_of_string(1, 0, 16 + 16 + 8192, 60);
    put(&file, 1, 8);
    put(&file, 8192, 8);
    memset(file.bytes + file.size, 'a', 8192);
    file.size += 8192;
    for (size_t i = 0; i < 60; i++) {
        set(&file, file.size - 16 - 16 - 8192 - 16 * (60 - i), 8192, 4);
    }
    is_judged("a string again and again", file, ATTN_HDF5_WRONG, "again and again");
}

/* ---- objects and groups ---- */

static void objects(void) {
    struct file file = file_of_one();
    put_bytes(&file, "OHDR\2\0\0\0\0\0\0\0\0\0\0\0", 16);
    is_judged("a header of the newer form", file, ATTN_HDF5_FOREIGN, "newer form");
    /* each block leads to the next */
    file = file_of_one();
    struct message more = {16, 16, {0}};
    put_header(&file, &more, 1);
    for (int i = 0; i < 70; i++) {
        set(&file, file.size - 16, file.size, 8);
        set(&file, file.size - 8, 24, 8);
        put(&file, 16 | 16 << 16, 8);
        put(&file, 0, 8);
        put(&file, 0, 8);
    }
    is_judged("seventy blocks of messages", file, ATTN_HDF5_WRONG, "too many blocks");
}

static void nested_groups(int depth, enum attn_hdf5_verdict expected, const char* problem) {
    const size_t offset = 0;
    struct file file = new_file();
    for (int i = 0; i < depth; i++) {
        const size_t place = put_group(&file, "x\0\0\0\0\0\0\0", 8, &offset, 1);
        set(&file, place, file.size, 8);
    }
    put_group(&file, "x\0\0\0\0\0\0\0", 8, &offset, 0);
    is_judged("nested groups", file, expected, problem);
}

/* a tree over a tree that is said to be two levels below it */
static void levels_of_trees(void) {
    struct file file = file_of_one();
    const size_t tree = 96 + 40 + 32 + 8, second = file.size;
    put_bytes(&file, "TREE\0\2\1\0", 8);
    file.size = second + TREE_SIZE;
    set(&file, tree + 5, 1, 1);
    set(&file, tree + 32, second, 8);
    is_judged("trees of the wrong level", file, ATTN_HDF5_WRONG, "its tree where it says");
}

/* data without numbers */
static void put_empty_data(struct file* file) {
    const struct message messages[] = {
        MESSAGE(3, FLOAT32), MESSAGE(1, 2, 1, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0),
        MESSAGE(8, 3, 1, NOWHERE, 0, 0, 0, 0, 0, 0, 0, 0)};
    put_header(file, messages, 3);
}

/* A group with data under three names, the last `length` - 2, - 1 and - 0 letters of one
 * text; in a group with a name of `outer` letters if that is not 0. The text is looked at
 * for each name and copied into each path: a file may have only so much of that. */
static void names_are_judged(size_t length, size_t outer, enum attn_hdf5_verdict expected) {
    struct file file = new_file();
    char* names = fuzz_take(ROOM, 1);
    const size_t first = 0, offset[] = {2, 1, 0};
    memset(names, 'a', ROOM);
    if (outer > 0) {
        names[outer] = 0;
        const size_t place = put_group(&file, names, outer + 1, &first, 1);
        set(&file, place, file.size, 8);
        names[outer] = 'a';
    }
    names[length] = 0;
    const size_t place = put_group(&file, names, length + 1, offset, 3);
    for (size_t i = 0; i < 3; i++) {
        set(&file, place + 40 * i, file.size, 8);
        put_empty_data(&file);
    }
    char what[64];
    snprintf(what, sizeof what, "names of %d in a group of %d", (int)length, (int)outer);
    is_judged(what, file, expected,
              expected == ATTN_HDF5_RIGHT ? NULL : "same text again and again");
    free(names);
}

int main(void) {
    data();
    strings_are(0, "ab\0\0cd\0\0efgh", "ab|cd|efgh|");
    strings_are(2, "ab  c d     ", "ab|c d||");
    heaps_of_strings();
    objects();
    nested_groups(31, ATTN_HDF5_RIGHT, NULL);
    nested_groups(33, ATTN_HDF5_WRONG, "nested too deeply");
    levels_of_trees();
    names_are_judged(1000, 0, ATTN_HDF5_RIGHT);
    names_are_judged(1000, 1000, ATTN_HDF5_RIGHT);
    names_are_judged(300000, 0, ATTN_HDF5_WRONG); /* at the third name */
    names_are_judged(200000, 0, ATTN_HDF5_WRONG); /* at its path */
    names_are_judged(3, 300000, ATTN_HDF5_WRONG); /* at the group's part of that */
    return checks_end();
}

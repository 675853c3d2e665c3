/* What the parts of the HDF5 reader share. */
#ifndef ATTN_CORE_HDF5_READ_H
#define ATTN_CORE_HDF5_READ_H

#include "hdf5.h"

enum { HDF5_MAX_DEPTH = 32, HDF5_MAX_LEVEL = 16, HDF5_MAX_BLOCKS = 64 };

#define HDF5_UNDEFINED UINT64_MAX /* an address that leads nowhere */

struct hdf5_file {
    const unsigned char* bytes;
    uint64_t size; /* the end of the file as its superblock says: at most that of the bytes */
    uint64_t leaf_entries, internal_entries; /* 2K of symbol table nodes and B-tree nodes */
    struct attn_hdf5* out;
    struct attn_hdf5_fault* fault;
    enum attn_hdf5_verdict verdict;
    uint64_t claimed; /* bytes that structures and data have taken */
    uint64_t work;    /* bytes looked at more than once: text copied, heaps searched */
    size_t text_room; /* of out->text, in the second pass */
};

/* bytes [at, end) of the file that are being read */
struct hdf5_part {
    uint64_t at, end;
};

/* What an object header says of its object. */
struct hdf5_header {
    int has_table, has_space, has_type, has_layout;
    uint64_t tree, heap;         /* of a group */
    struct attn_stored tensor;   /* of data */
    uint64_t data_at, data_size;
};

/* All return 0 for failures, with file->verdict and file->fault set. */
int hdf5_fail(struct hdf5_file* file, enum attn_hdf5_verdict verdict, uint64_t at,
              const char* problem);
int hdf5_wrong(struct hdf5_file* file, uint64_t at, const char* problem);
/* [at, at + size) is within the file, and from now on it is used for this */
int hdf5_claim(struct hdf5_file* file, uint64_t at, uint64_t size, enum attn_hdf5_use use);
int hdf5_spend(struct hdf5_file* file, uint64_t work, uint64_t at);

/* little-endian; the bytes must be within the file */
uint64_t hdf5_get(const struct hdf5_file* file, uint64_t at, int bytes);
int hdf5_is(const struct hdf5_file* file, uint64_t at, const char* signature); /* of 4 bytes */

/* copies text behind what is there already */
int hdf5_keep(struct hdf5_file* file, uint64_t at, uint64_t length, struct attn_hdf5_text* text);
/* how many bytes of the part come before the first NUL */
uint64_t hdf5_length(const struct hdf5_file* file, struct hdf5_part part);

/* messages of object headers (hdf5_message.c) */
struct hdf5_type {
    enum { HDF5_NUMBER, HDF5_STRING, HDF5_VARIABLE_STRING, HDF5_OTHER_TYPE } kind;
    enum attn_stored_type number;
    int is_big_endian;
    int padding; /* of strings: 0 ends at NUL, 1 filled with NUL, 2 filled with spaces */
    uint64_t size;
};
int hdf5_read_type(struct hdf5_file* file, struct hdf5_part part, struct hdf5_type* type);
int hdf5_read_space(struct hdf5_file* file, struct hdf5_part part, struct attn_stored* tensor);
int hdf5_read_layout(struct hdf5_file* file, struct hdf5_part part, struct hdf5_header* header);

/* attributes (hdf5_attribute.c) */
int hdf5_read_attribute(struct hdf5_file* file, struct hdf5_part part, size_t node);

/* object headers (hdf5_header.c) */
int hdf5_read_header(struct hdf5_file* file, uint64_t at, size_t node, struct hdf5_header* header);

#endif

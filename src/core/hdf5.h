/* The HDF5 files that Keras writes, understood without the HDF5 library.
 *
 * "HDF5 File Format Specification, version 3.0" has many ways to say the same; this
 * reader knows those of a library that is told nothing special: superblock 0 or 1,
 * groups as symbol tables (B-tree, local heap, nodes), object headers of version 1,
 * contiguous data without filters, attributes that are strings (of fixed length, or
 * in a global heap). It says so when it meets another (ATTN_HDF5_FOREIGN).
 *
 * The bytes may come from anyone. Nothing is read outside them; every structure
 * and all data must lie within the file and apart from each other, so that no byte
 * is used twice, no walk comes back to where it was, and what is allocated is
 * proportional to the file. */
#ifndef ATTN_CORE_HDF5_H
#define ATTN_CORE_HDF5_H

#include "stored.h"

enum attn_hdf5_verdict {
    ATTN_HDF5_RIGHT,
    ATTN_HDF5_WRONG,   /* damaged */
    ATTN_HDF5_REFUSED, /* it may be right, but we will not follow it: soft links, external data */
    ATTN_HDF5_FOREIGN  /* it may be right, but has features that are not known here */
};

/* length bytes from text[at] on; not terminated, any bytes but NUL */
struct attn_hdf5_text {
    size_t at, length;
};

/* A group or a data set, at "layers/dense/vars"; the root group is "". */
struct attn_hdf5_node {
    struct attn_hdf5_text path;
    int is_data;
    struct attn_stored tensor; /* of data */
    uint64_t data_at, data_size;
};

/* value[value_at], ..., value[value_at + values - 1]: the strings of an attribute */
struct attn_hdf5_attribute {
    size_t node;
    struct attn_hdf5_text name;
    size_t value_at, values;
};

enum attn_hdf5_use {
    ATTN_HDF5_STRUCTURE,
    ATTN_HDF5_STRINGS, /* a global heap, which attributes may have in common */
    ATTN_HDF5_DATA
};

struct attn_hdf5_span {
    uint64_t begin, end;
    enum attn_hdf5_use use;
};

/* The counts come from a first pass; then the caller provides that much room (at
 * least one of each), and a second pass fills it. */
struct attn_hdf5 {
    size_t nodes, attributes, values, spans, text_size;
    struct attn_hdf5_node* node; /* groups before what is in them, each in order of its names */
    struct attn_hdf5_attribute* attribute;
    struct attn_hdf5_text* value;
    struct attn_hdf5_span* span; /* what belongs to the structures and the data */
    char* text;
};

struct attn_hdf5_fault {
    const char* problem; /* a sentence about the file: "a group has ..." */
    uint64_t at;         /* the byte of the file */
};

enum attn_hdf5_verdict attn_hdf5_count(const unsigned char* bytes, size_t size,
                                       struct attn_hdf5* out, struct attn_hdf5_fault* fault);
enum attn_hdf5_verdict attn_hdf5_fill(const unsigned char* bytes, size_t size,
                                      struct attn_hdf5* out, struct attn_hdf5_fault* fault);

#endif

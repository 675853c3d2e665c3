#include "safetensors.h"

#include <string.h>

#include "json.h"

/* The same code runs twice: first it counts (the arrays of `out` are NULL), then
 * it fills them. */
struct reader {
    struct attn_json json;
    uint64_t data_size;
    struct attn_safetensors* out;
    struct attn_safetensors_text key; /* of the tensor being read */
};

static struct attn_safetensors_text keep(struct reader* reader,
                                         const struct attn_json_string* string) {
    const struct attn_safetensors_text text = {attn_json_keep(&reader->json, string),
                                               string->length};
    return text;
}

static int fail_at(struct reader* reader, size_t at, const char* problem) {
    return attn_json_fail_at(&reader->json, at, problem);
}

/* ---- the schema ---- */

static int read_metadata(struct reader* reader) {
    struct attn_json* json = &reader->json;
    struct attn_safetensors* out = reader->out;
    if (!attn_json_expect(json, '{', "has something else where metadata must start with {")) {
        return 0;
    }
    int more = attn_json_open(json, '}');
    while (more) {
        struct attn_json_string string;
        struct attn_safetensors_pair pair;
        if (!attn_json_string(json, &string)) {
            return 0;
        }
        pair.key = keep(reader, &string);
        if (!attn_json_expect(json, ':', "lacks a : after a key of the metadata") ||
            !attn_json_string(json, &string)) {
            return 0;
        }
        pair.value = keep(reader, &string);
        if (out->pair != NULL) {
            out->pair[out->pairs] = pair;
        }
        out->pairs++;
        if (!attn_json_next(json, '}', &more, "lacks a , or } in the metadata")) {
            return 0;
        }
    }
    return 1;
}

static int read_shape(struct reader* reader, struct attn_stored* shape) {
    struct attn_json* json = &reader->json;
    struct attn_safetensors* out = reader->out;
    shape->rank = 0;
    if (!attn_json_expect(json, '[', "has something else where a shape must start with [")) {
        return 0;
    }
    int more = attn_json_open(json, ']');
    while (more) {
        uint64_t extent;
        if (!attn_json_number(json, &extent)) {
            return 0;
        }
        if (shape->rank == ATTN_STORED_MAX_RANK) {
            return attn_json_fail(json, "has a shape of more than 32 dimensions");
        }
        shape->extent[shape->rank++] = extent;
        if (out->extent != NULL) {
            out->extent[out->extents] = extent;
        }
        out->extents++;
        if (!attn_json_next(json, ']', &more, "lacks a , or ] in a shape")) {
            return 0;
        }
    }
    return 1;
}

static int read_offsets(struct reader* reader, struct attn_safetensors_tensor* tensor) {
    struct attn_json* json = &reader->json;
    static const char problem[] = "does not have data_offsets of the form [begin, end]";
    return attn_json_expect(json, '[', problem) && attn_json_number(json, &tensor->begin) &&
           attn_json_expect(json, ',', problem) && attn_json_number(json, &tensor->end) &&
           attn_json_expect(json, ']', problem);
}

static int read_dtype(struct reader* reader, struct attn_stored* shape) {
    struct attn_json* json = &reader->json;
    struct attn_json_string string;
    attn_json_peek(json);
    const size_t start = json->at;
    if (!attn_json_string(json, &string)) {
        return 0;
    }
    if (string.length > sizeof string.head ||
        !attn_stored_type_named(string.head, string.length, &shape->type)) {
        return fail_at(reader, start,
                       "has a dtype other than F64, F32, F16, BF16, I64, I32, I16, I8, U64, U32, "
                       "U16, U8 and BOOL");
    }
    return 1;
}

enum { HAS_DTYPE = 1, HAS_SHAPE = 2, HAS_OFFSETS = 4, HAS_ALL = 7 };

/* one of the three fields of an entry */
static int read_field(struct reader* reader, struct attn_stored* shape,
                      struct attn_safetensors_tensor* tensor, int* found) {
    struct attn_json* json = &reader->json;
    struct attn_json_string name;
    attn_json_peek(json);
    const size_t start = json->at;
    if (!attn_json_string(json, &name)) {
        return 0;
    }
    const int field = attn_json_is(&name, "dtype")          ? HAS_DTYPE
                      : attn_json_is(&name, "shape")        ? HAS_SHAPE
                      : attn_json_is(&name, "data_offsets") ? HAS_OFFSETS
                                                            : 0;
    if (field == 0) {
        return fail_at(reader, start, "has a field other than dtype, shape and data_offsets");
    }
    if (*found & field) {
        return fail_at(reader, start, "has a field twice");
    }
    *found |= field;
    return attn_json_expect(json, ':', "lacks a : after the name of a field") &&
           (field == HAS_DTYPE   ? read_dtype(reader, shape)
            : field == HAS_SHAPE ? read_shape(reader, shape)
                                 : read_offsets(reader, tensor));
}

/* the size that dtype and shape make is that between the offsets, and the data has it */
static int check_size(struct reader* reader, size_t start, const struct attn_stored* shape,
                      const struct attn_safetensors_tensor* tensor) {
    uint64_t bytes;
    if (!attn_stored_bytes(shape, &bytes)) {
        return fail_at(reader, start, "has a shape that is larger than 64 bits can count");
    }
    if (tensor->begin > tensor->end) {
        return fail_at(reader, start, "has data that ends before it begins");
    }
    if (tensor->end > reader->data_size) {
        return fail_at(reader, start, "has data beyond the end of the file");
    }
    if (tensor->end - tensor->begin != bytes) {
        return fail_at(reader, start, "has data of another size than dtype and shape say");
    }
    return 1;
}

static int read_tensor(struct reader* reader, struct attn_safetensors_text name) {
    struct attn_json* json = &reader->json;
    struct attn_safetensors* out = reader->out;
    struct attn_safetensors_tensor tensor = {.name = name, .key = reader->key};
    struct attn_stored shape = {.rank = 0};
    int found = 0;
    tensor.extent_at = out->extents;
    attn_json_peek(json);
    const size_t start = json->at;
    if (!attn_json_expect(json, '{', "has something else where an entry must start with {")) {
        return 0;
    }
    int more = attn_json_open(json, '}');
    while (more) {
        if (!read_field(reader, &shape, &tensor, &found) ||
            !attn_json_next(json, '}', &more, "lacks a , or } in a tensor's entry")) {
            return 0;
        }
    }
    if (found != HAS_ALL) {
        return fail_at(reader, start, "lacks dtype, shape or data_offsets of a tensor");
    }
    if (!check_size(reader, start, &shape, &tensor)) {
        return 0;
    }
    tensor.type = shape.type;
    tensor.rank = shape.rank;
    if (out->tensor != NULL) {
        out->tensor[out->tensors] = tensor;
    }
    out->tensors++;
    return 1;
}

static int read_entry(struct reader* reader, int* has_metadata) {
    struct attn_json* json = &reader->json;
    struct attn_json_string name;
    attn_json_peek(json);
    const size_t start = json->at;
    if (!attn_json_string(json, &name)) {
        return 0;
    }
    const size_t end = json->at;
    if (!attn_json_expect(json, ':', "lacks a : after a name")) {
        return 0;
    }
    if (attn_json_is(&name, "__metadata__")) {
        if (*has_metadata) {
            return fail_at(reader, start, "has __metadata__ twice");
        }
        *has_metadata = 1;
        return read_metadata(reader);
    }
    reader->key.at = start;
    reader->key.length = end - start;
    if (!read_tensor(reader, keep(reader, &name))) {
        return 0;
    }
    reader->key.length = 0;
    return 1;
}

static int read_header(struct reader* reader) {
    struct attn_json* json = &reader->json;
    int has_metadata = 0;
    if (json->size == 0 || json->bytes[0] != '{') {
        return attn_json_fail(json, "does not start with {");
    }
    json->at = 1;
    int more = attn_json_open(json, '}');
    while (more) {
        if (!read_entry(reader, &has_metadata) ||
            !attn_json_next(json, '}', &more, "lacks a , or } after an entry")) {
            return 0;
        }
    }
    if (attn_json_peek(json) != -1) {
        return attn_json_fail(json, "has something after its end");
    }
    return 1;
}

/* ---- the whole: names are unique, and the data is covered once ---- */

/* Heap sort: never quadratic, no memory. */
typedef int before(const struct attn_safetensors* out, size_t a, size_t b);

static void sift_down(const struct attn_safetensors* out, before* is_before, size_t parent,
                      size_t count) {
    size_t* order = out->order;
    while (2 * parent + 1 < count) {
        size_t child = 2 * parent + 1;
        if (child + 1 < count && is_before(out, order[child], order[child + 1])) {
            child++;
        }
        if (!is_before(out, order[parent], order[child])) {
            return;
        }
        const size_t moved = order[parent];
        order[parent] = order[child];
        order[child] = moved;
        parent = child;
    }
}

static void sort(const struct attn_safetensors* out, before* is_before, size_t count) {
    for (size_t i = 0; i < count; i++) {
        out->order[i] = i;
    }
    for (size_t parent = count / 2; parent-- > 0;) {
        sift_down(out, is_before, parent, count);
    }
    for (size_t last = count; last-- > 1;) {
        const size_t largest = out->order[0];
        out->order[0] = out->order[last];
        out->order[last] = largest;
        sift_down(out, is_before, 0, last);
    }
}

static int compare_text(const struct attn_safetensors* out, struct attn_safetensors_text a,
                        struct attn_safetensors_text b) {
    const size_t shorter = a.length < b.length ? a.length : b.length;
    const int order = memcmp(out->text + a.at, out->text + b.at, shorter);
    return order != 0 ? order : (a.length > b.length) - (a.length < b.length);
}

static int name_is_before(const struct attn_safetensors* out, size_t a, size_t b) {
    const int order = compare_text(out, out->tensor[a].name, out->tensor[b].name);
    return order != 0 ? order < 0 : a < b;
}

static int pair_is_before(const struct attn_safetensors* out, size_t a, size_t b) {
    const int order = compare_text(out, out->pair[a].key, out->pair[b].key);
    return order != 0 ? order < 0 : a < b;
}

static int data_is_before(const struct attn_safetensors* out, size_t a, size_t b) {
    const struct attn_safetensors_tensor *x = &out->tensor[a], *y = &out->tensor[b];
    if (x->begin != y->begin) {
        return x->begin < y->begin;
    }
    return x->end != y->end ? x->end < y->end : a < b;
}

static int check_keys(struct reader* reader) {
    const struct attn_safetensors* out = reader->out;
    sort(out, pair_is_before, out->pairs);
    for (size_t i = 1; i < out->pairs; i++) {
        if (compare_text(out, out->pair[out->order[i - 1]].key, out->pair[out->order[i]].key) ==
            0) {
            return fail_at(reader, 0, "has a key of the metadata twice");
        }
    }
    sort(out, name_is_before, out->tensors);
    for (size_t i = 1; i < out->tensors; i++) {
        const struct attn_safetensors_tensor* later = &out->tensor[out->order[i]];
        if (compare_text(out, out->tensor[out->order[i - 1]].name, later->name) == 0) {
            reader->key = later->key;
            return fail_at(reader, later->key.at, "has a name twice");
        }
    }
    return 1;
}

static int check_coverage(struct reader* reader) {
    const struct attn_safetensors* out = reader->out;
    uint64_t covered = 0;
    sort(out, data_is_before, out->tensors);
    for (size_t i = 0; i < out->tensors; i++) {
        const struct attn_safetensors_tensor* tensor = &out->tensor[out->order[i]];
        if (tensor->begin != covered) {
            reader->key = tensor->key;
            return fail_at(reader, tensor->key.at,
                           tensor->begin > covered ? "leaves bytes before the data of a tensor "
                                                     "that belong to none"
                                                   : "has tensors whose data overlap");
        }
        covered = tensor->end;
    }
    if (covered != reader->data_size) {
        return fail_at(reader, 0, "leaves bytes at the end of the file that belong to no tensor");
    }
    return 1;
}

int attn_safetensors_header_size(const unsigned char prefix[ATTN_SAFETENSORS_PREFIX],
                                 uint64_t file_size, uint64_t* header_size,
                                 struct attn_safetensors_fault* fault) {
    uint64_t size = 0;
    for (int i = 0; i < ATTN_SAFETENSORS_PREFIX; i++) {
        size |= (uint64_t)prefix[i] << (8 * i);
    }
    *header_size = size;
    memset(fault, 0, sizeof *fault);
    if (size > ATTN_SAFETENSORS_MAX_HEADER) {
        fault->problem = "is said to be larger than 100 MB";
    } else if (file_size < ATTN_SAFETENSORS_PREFIX ||
               size > file_size - ATTN_SAFETENSORS_PREFIX) {
        fault->problem = "is said to be larger than the file";
    }
    return fault->problem == NULL;
}

static int read_all(const unsigned char* header, size_t size, uint64_t data_size,
                    struct attn_safetensors* out, struct attn_safetensors_fault* fault,
                    int checks_whole) {
    struct reader reader = {
        .json = {.bytes = header, .size = size, .text = out->text, .text_room = out->text_size},
        .data_size = data_size,
        .out = out,
    };
    out->tensors = out->pairs = out->extents = 0;
    int is_right = read_header(&reader);
    out->text_size = reader.json.text_size;
    if (is_right && checks_whole) {
        is_right = check_keys(&reader) && check_coverage(&reader);
    }
    fault->problem = reader.json.problem;
    fault->at = ATTN_SAFETENSORS_PREFIX + (uint64_t)reader.json.problem_at;
    fault->key = reader.key;
    return is_right;
}

int attn_safetensors_count(const unsigned char* header, size_t size, uint64_t data_size,
                           struct attn_safetensors* out, struct attn_safetensors_fault* fault) {
    memset(out, 0, sizeof *out);
    return read_all(header, size, data_size, out, fault, 0);
}

int attn_safetensors_fill(const unsigned char* header, size_t size, uint64_t data_size,
                          struct attn_safetensors* out, struct attn_safetensors_fault* fault) {
    return read_all(header, size, data_size, out, fault, 1);
}

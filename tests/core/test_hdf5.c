/* The reader of HDF5 files: what is right, what is refused, and that a damaged file
 * is never read as if it were another one. */
#include <dirent.h>

#include "check.h"
#include "fuzz_hdf5.c"

/* ---- files ---- */

struct file {
    uint8_t* bytes;
    size_t size;
};

static void folder_of_tests(char* path, size_t size, const char* rest) {
    const char* slash = strrchr(__FILE__, '/');
    snprintf(path, size, "%.*s/%s", slash != NULL ? (int)(slash - __FILE__) : 1,
             slash != NULL ? __FILE__ : ".", rest);
}

static struct file read_file(const char* rest) {
    char path[2048];
    struct file file = {NULL, 0};
    folder_of_tests(path, sizeof path, rest);
    FILE* stream = fopen(path, "rb");
    CHECK(stream != NULL, "there is no %s", path);
    if (stream != NULL) {
        fseek(stream, 0, SEEK_END);
        file.size = (size_t)ftell(stream);
        rewind(stream);
        file.bytes = fuzz_take(file.size, 1);
        CHECK(fread(file.bytes, 1, file.size, stream) == file.size, "%s cannot be read", path);
        fclose(stream);
    }
    return file;
}

static enum attn_hdf5_verdict parse(const struct file* file, struct attn_hdf5* out,
                                    struct attn_hdf5_fault* fault) {
    const enum attn_hdf5_verdict verdict = attn_hdf5_count(file->bytes, file->size, out, fault);
    if (verdict != ATTN_HDF5_RIGHT) {
        return verdict;
    }
    fuzz_allocate(out, file->size);
    return attn_hdf5_fill(file->bytes, file->size, out, fault);
}

/* ---- verdicts ---- */

static void is_judged(const char* name, enum attn_hdf5_verdict expected, const char* problem) {
    char path[256];
    struct attn_hdf5 out;
    struct attn_hdf5_fault fault;
    snprintf(path, sizeof path, "corpus/hdf5/%s", name);
    struct file file = read_file(path);
    const enum attn_hdf5_verdict verdict = parse(&file, &out, &fault);
    CHECK(verdict == expected && (problem == NULL) == (fault.problem == NULL) &&
              (problem == NULL || strstr(fault.problem, problem) != NULL),
          "%s: %d, %s", name, (int)verdict, fault.problem != NULL ? fault.problem : "right");
    fuzz_free(&out);
    free(file.bytes);
}

static void files_of_all_kinds(void) {
    is_judged("keras3", ATTN_HDF5_RIGHT, NULL);
    is_judged("keras2", ATTN_HDF5_RIGHT, NULL);
    is_judged("types", ATTN_HDF5_RIGHT, NULL);
    is_judged("big", ATTN_HDF5_RIGHT, NULL);
    is_judged("mixed", ATTN_HDF5_WRONG, "order of bytes");
    is_judged("hard", ATTN_HDF5_WRONG, "overlap");
    is_judged("soft", ATTN_HDF5_REFUSED, "soft link");
    is_judged("text", ATTN_HDF5_REFUSED, "neither floating-point");
    is_judged("chunked", ATTN_HDF5_FOREIGN, "compressed");
    is_judged("external", ATTN_HDF5_FOREIGN, "newer form");
    is_judged("latest", ATTN_HDF5_FOREIGN, "newer form");
}

/* ---- contents ---- */

static int is_text(const struct attn_hdf5* out, struct attn_hdf5_text text, const char* expected) {
    return text.length == strlen(expected) &&
           memcmp(out->text + text.at, expected, text.length) == 0;
}

static const struct attn_hdf5_node* find(const struct attn_hdf5* out, const char* path) {
    for (size_t i = 0; i < out->nodes; i++) {
        if (is_text(out, out->node[i].path, path)) {
            return &out->node[i];
        }
    }
    return NULL;
}

static void what_is_read(void) {
    struct attn_hdf5 out;
    struct attn_hdf5_fault fault;
    struct file file = read_file("corpus/hdf5/keras3");
    if (parse(&file, &out, &fault) == ATTN_HDF5_RIGHT) {
        static const char* const paths[] = {"", "layers", "layers/dense", "layers/dense/vars",
                                            "layers/dense/vars/0", "layers/dense/vars/1", "vars"};
        CHECK(out.nodes == 7, "%d nodes", (int)out.nodes);
        for (size_t i = 0; i < 7 && i < out.nodes; i++) {
            CHECK(is_text(&out, out.node[i].path, paths[i]), "node %d is not %s", (int)i, paths[i]);
        }
        const struct attn_hdf5_node* kernel = find(&out, "layers/dense/vars/0");
        double array[6];
        CHECK(kernel != NULL && kernel->is_data && kernel->tensor.rank == 2 &&
                  kernel->tensor.extent[0] == 2 && kernel->tensor.extent[1] == 3 &&
                  attn_stored_read(&kernel->tensor, 0, 6, file.bytes + kernel->data_at, array) == 6,
              "the kernel");
        CHECK(array[0] == 0 && array[1] == 3 && array[2] == 1 && array[5] == 5, "its numbers");
        const struct attn_hdf5_node* scale = find(&out, "layers/dense/vars/1");
        CHECK(scale != NULL && scale->tensor.rank == 0 && scale->data_size == 4, "the scale");
        CHECK(out.attributes == 2 && is_text(&out, out.attribute[0].name, "name") &&
                  is_text(&out, out.value[out.attribute[0].value_at], "ff\xC3\xA9") &&
                  out.attribute[0].node == 3,
              "the name");
        fuzz_free(&out);
    }
    free(file.bytes);
    file = read_file("corpus/hdf5/keras2");
    if (parse(&file, &out, &fault) == ATTN_HDF5_RIGHT) {
        CHECK(out.attributes == 6 && is_text(&out, out.attribute[0].name, "layer_names") &&
                  out.attribute[0].values == 2 && is_text(&out, out.value[1], "out"),
              "the names of the layers");
        fuzz_free(&out);
    }
    free(file.bytes);
}

/* ---- damage ---- */

static int is_same_path(const struct attn_hdf5* a, const struct attn_hdf5_node* x,
                        const struct attn_hdf5* b, const struct attn_hdf5_node* y) {
    return x->path.length == y->path.length &&
           memcmp(a->text + x->path.at, b->text + y->path.at, x->path.length) == 0;
}

static int is_same_shape(const struct attn_stored* x, const struct attn_stored* y) {
    return x->rank == y->rank &&
           memcmp(x->extent, y->extent, (size_t)x->rank * sizeof x->extent[0]) == 0;
}

static int is_same_data(const struct attn_hdf5_node* x, const struct file* in_x,
                        const struct attn_hdf5_node* y, const struct file* in_y) {
    const size_t size = attn_stored_size(x->tensor.type);
    for (size_t i = 0; i < x->data_size / size; i++) {
        const struct attn_stored a = {x->tensor.type, x->tensor.is_big_endian, 0, {0}};
        const struct attn_stored b = {y->tensor.type, y->tensor.is_big_endian, 0, {0}};
        double left = 0, right = 0;
        attn_stored_read(&a, 0, 1, in_x->bytes + x->data_at + i * size, &left);
        attn_stored_read(&b, 0, 1, in_y->bytes + y->data_at + i * size, &right);
        if (memcmp(&left, &right, sizeof left) != 0) {
            return 0;
        }
    }
    return x->data_size == y->data_size;
}

/* Data that a damaged file still has under the same name and in the same shape must be
 * the data of the file: nothing else can tell that it is not. */
static int is_same_where_named(const struct attn_hdf5* right, const struct file* file,
                               const struct attn_hdf5* out, const struct file* damaged) {
    for (size_t i = 0; i < out->nodes; i++) {
        const struct attn_hdf5_node* node = &out->node[i];
        for (size_t j = 0; node->is_data && j < right->nodes; j++) {
            const struct attn_hdf5_node* other = &right->node[j];
            if (other->is_data && is_same_path(right, other, out, node) &&
                is_same_shape(&other->tensor, &node->tensor) &&
                !is_same_data(other, file, node, damaged)) {
                return 0;
            }
        }
    }
    return 1;
}

static int is_data_byte(const struct attn_hdf5* out, size_t at) {
    for (size_t i = 0; i < out->nodes; i++) {
        if (out->node[i].is_data && at >= out->node[i].data_at &&
            at < out->node[i].data_at + out->node[i].data_size) {
            return 1;
        }
    }
    return 0;
}

/* Cuts, and every byte of the structure changed in many ways: `step` 1 means in every way
 * for bytes that are not 0, `zero_step` the same for the others (most of which are room
 * for entries to come). */
static void damaged_file(const char* name, int step, int zero_step) {
    struct attn_hdf5 right, out;
    struct attn_hdf5_fault fault;
    struct file file = read_file(name);
    int accepted = 0, refused = 0, others = 0;
    if (parse(&file, &right, &fault) != ATTN_HDF5_RIGHT) {
        CHECK(0, "%s: %s", name, fault.problem);
        free(file.bytes);
        return;
    }
    for (size_t length = 0; length < file.size; length += (size_t)step) {
        const struct file cut = {file.bytes, length};
        CHECK(attn_hdf5_count(cut.bytes, cut.size, &out, &fault) == ATTN_HDF5_WRONG,
              "%s cut to %d bytes", name, (int)length);
    }
    struct file damaged = {fuzz_take(file.size, 1), file.size};
    memcpy(damaged.bytes, file.bytes, file.size);
    for (size_t at = 0; at < file.size; at++) {
        const int by = file.bytes[at] != 0 ? step : zero_step;
        for (int flip = 1; flip < 256 && !is_data_byte(&right, at); flip += by) {
            damaged.bytes[at] = (uint8_t)(file.bytes[at] ^ flip);
            const enum attn_hdf5_verdict verdict = parse(&damaged, &out, &fault);
            if (verdict == ATTN_HDF5_RIGHT) {
                accepted++;
                if (!is_same_where_named(&right, &file, &out, &damaged)) {
                    others++;
                    fprintf(stderr, "%s, byte %d, flip %d: other data\n", name, (int)at, flip);
                }
            } else {
                refused++;
            }
            fuzz_free(&out);
        }
        damaged.bytes[at] = file.bytes[at];
    }
    CHECK(others == 0, "%s: %d damaged files were read as other data", name, others);
    CHECK(accepted > 0 && refused > 0, "%s: %d accepted, %d refused", name, accepted, refused);
    printf("%s: %d changes refused, %d without consequence for the data\n", name, refused,
           accepted);
    free(damaged.bytes);
    fuzz_free(&right);
    free(file.bytes);
}

static void corpus(void) {
    char path[2048];
    int files = 0;
    folder_of_tests(path, sizeof path, "corpus/hdf5");
    DIR* folder = opendir(path);
    CHECK(folder != NULL, "there is no %s", path);
    for (struct dirent* entry; folder != NULL && (entry = readdir(folder)) != NULL;) {
        if (entry->d_name[0] != '.') {
            snprintf(path, sizeof path, "corpus/hdf5/%s", entry->d_name);
            struct file file = read_file(path);
            for (size_t at = 0; at < file.size; at++) { /* in place, every bit */
                const uint8_t byte = file.bytes[at];
                file.bytes[at] = (uint8_t)(byte ^ 1 << at % 8);
                LLVMFuzzerTestOneInput(file.bytes, file.size);
                file.bytes[at] = byte;
            }
            free(file.bytes);
            files++;
        }
    }
    if (folder != NULL) {
        closedir(folder);
    }
    CHECK(files >= 10, "%d files", files);
}

int main(void) {
    files_of_all_kinds();
    what_is_read();
    corpus();
    damaged_file("corpus/hdf5/keras3", 5, 127);
    damaged_file("corpus/hdf5/types", 7, 127);
    damaged_file("../testthat/fixtures/model_func_mha_1.weights.h5", 31, 255);
    return checks_end();
}

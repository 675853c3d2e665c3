/* Every allocation of the core fails once: the status says so, what there was is as it was,
 * nothing is lost and nothing is touched that was not had. Under the address sanitizer each
 * piece of memory that a call takes is an allocation of its own. Linked with malloc() and
 * calloc() wrapped (run.sh). */
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "program.h"
#include "weights.h"

/* ---- the allocations ---- */

void* __real_malloc(size_t size);
void* __real_calloc(size_t count, size_t size);
void __real_free(void* memory);
void* __wrap_malloc(size_t size);
void* __wrap_calloc(size_t count, size_t size);
void __wrap_free(void* memory);

static long turns = -1; /* how many still succeed; -1: nothing is to fail */
static int goes_on, failures;
static long live;

static int fails(void) {
    if (turns < 0 || turns-- > 0) {
        return 0;
    }
    turns = goes_on ? 0 : -1;
    failures++;
    return 1;
}

void* __wrap_malloc(size_t size) {
    void* memory = fails() ? NULL : __real_malloc(size);
    live += memory != NULL;
    return memory;
}

void* __wrap_calloc(size_t count, size_t size) {
    void* memory = fails() ? NULL : __real_calloc(count, size);
    live += memory != NULL;
    return memory;
}

void __wrap_free(void* memory) {
    live -= memory != NULL;
    __real_free(memory);
}

/* ---- what is done, once for each allocation of it ---- */

/* ATTN_OK, or the status of what failed; leaves nothing behind */
typedef enum attn_status (*deed)(const void* subject);

static int swept; /* allocations that have failed */

static void sweep(const char* name, deed act, const void* subject) {
    for (goes_on = 0; goes_on <= 1; goes_on++) {
        for (long k = 0;; k++) {
            const long before = live;
            failures = 0;
            turns = k;
            const enum attn_status status = act(subject);
            turns = -1;
            CHECK(live == before, "%s: allocation %ld fails, %ld blocks are left", name, k,
                  live - before);
            if (failures == 0) {
                CHECK(status == ATTN_OK, "%s fails: %d", name, (int)status);
                break;
            }
            /* a workspace that gets no large block may make do with a small one */
            CHECK(status == ATTN_NO_MEMORY || (status == ATTN_OK && !goes_on),
                  "%s: allocation %ld fails, and the status is %d", name, k, (int)status);
            swept++;
        }
    }
}

/* ---- layers ---- */

static const struct attn_layer_widths widths = {6, 6, 6, 2, {3, 2}};
static const struct attn_random_key key = {{11, 22}};

struct kind {
    const char* name;
    struct attn_layer_config config;
    enum attn_dtype dtype;
    struct attn_layer* layer;
    int training, reference;
};

static enum attn_status make(const void* subject) {
    const struct kind* kind = subject;
    struct attn_layer* layer;
    ATTN_TRY(attn_layer_create(attn_layer_kind_by_name(kind->name), kind->dtype, &kind->config, key,
                               &layer));
    const enum attn_status status = attn_layer_build(layer, &widths);
    CHECK((status == ATTN_OK) == layer->built, "a layer without memory is built");
    attn_layer_destroy(layer);
    return status;
}

static enum attn_status save_and_read(const void* subject) {
    const struct kind* kind = subject;
    static unsigned char bytes[1 << 16];
    const size_t size = attn_layer_state_size(kind->layer);
    struct attn_layer* copy = NULL;
    attn_layer_state_write(kind->layer, bytes);
    const enum attn_status status = attn_layer_state_read(bytes, size, &copy);
    CHECK((status == ATTN_OK) == (copy != NULL), "a layer that is not there is given");
    attn_layer_destroy(copy);
    return status;
}

static enum attn_status set(const void* subject) {
    const struct kind* kind = subject;
    unsigned char* storage = NULL;
    ATTN_TRY(attn_layer_stage(kind->layer, &storage));
    attn_layer_discard(storage);
    return ATTN_OK;
}

static enum attn_status call(const void* subject) {
    enum { B = 2, T = 5, S = 7, D = 6 };
    const struct kind* kind = subject;
    static const double zeros[B * S * D] = {0};
    static double output[B * T * D * 6], scores[B * 4 * T * S];
    static const ptrdiff_t offset[T * S] = {0};
    struct attn_workspace workspace = {0};
    const struct attn_context context = {&workspace, 1, NULL, NULL};
    struct attn_layer_call c = {
        .batch = B, .target = T, .source = S, .query_width = D, .key_width = D, .value_width = D,
        .query = attn_columns(zeros, B * T), .key = attn_columns(zeros, B * S),
        .value = attn_columns(zeros, B * S), .training = kind->training,
        .reference = kind->reference, .output = attn_columns_out(output, B * T),
        .scores = {scores, offset, offset, offset, offset},
    };
    const enum attn_status status = attn_layer_forward(&context, kind->layer, &c);
    attn_workspace_reset(&workspace, 0);
    return status;
}

static void layers(void) {
    static const char* const names[] = {"multi_head_attention", "group_query_attention",
                                        "attention", "additive_attention"};
    static const struct attn_layer_config with_heads = {4, 2, 3, 5, 1, 1, 1, ATTN_MODE_DOT, 0.25};
    static const struct attn_layer_config without[2] = {
        {1, 1, 1, 1, 0, 0, 1, ATTN_MODE_CONCAT, 0.25},
        {1, 1, 1, 1, 0, 0, 1, ATTN_MODE_ADDITIVE, 0.25}};
    for (int i = 0; i < 4 * 2 * 4; i++) {
        struct kind kind = {names[i / 8], i < 16 ? with_heads : without[i / 8 - 2],
                            i / 4 % 2 ? ATTN_FLOAT64 : ATTN_FLOAT32, NULL, i / 2 % 2, i % 2};
        sweep(kind.name, make, &kind);
        CHECK(attn_layer_create(attn_layer_kind_by_name(kind.name), kind.dtype, &kind.config, key,
                                &kind.layer) == ATTN_OK &&
                  attn_layer_build(kind.layer, &widths) == ATTN_OK,
              "no layer");
        sweep(kind.name, save_and_read, &kind);
        sweep(kind.name, set, &kind);
        sweep(kind.name, call, &kind);
        attn_layer_destroy(kind.layer);
    }
}

/* ---- programs ---- */

static enum attn_status run_steps(const void* subject) {
    enum { SLOTS = 4 };
    static const int in[3][2] = {{0, 1}, {2, 2}, {3, -1}}, out[3] = {2, 3, 0};
    const enum attn_dtype dtype = *(const enum attn_dtype*)subject;
    struct attn_workspace scratch = {0}, tensors = {0};
    struct attn_value slot[SLOTS];
    memset(slot, 0, sizeof slot);
    struct attn_run run = {.context = {&scratch, 1, NULL, NULL}, .memory = {&tensors, NULL},
                           .slots = SLOTS, .slot = slot};
    enum attn_status status = ATTN_OK;
    for (int i = 0; i < 2 && status == ATTN_OK; i++) {
        const ptrdiff_t dim[2] = {40, 50};
        status = attn_value_new(&run.memory, (enum attn_value_type)dtype, 2, dim, &slot[i]);
        if (status == ATTN_OK) {
            memset(slot[i].buffer->data, 0, 2000 * attn_dtype_size(dtype));
            status = attn_value_new_mask(&run.memory, 1, dim, &slot[i]);
        }
        if (status == ATTN_OK) {
            memset(slot[i].mask->data, 1, 40);
        }
    }
    if (status == ATTN_OK) {
        static const char* const operations[3] = {"merge", "merge", "flatten"};
        struct attn_step step[3];
        for (int i = 0; i < 3; i++) {
            step[i] = (struct attn_step){.operation = attn_operation_by_name(operations[i]),
                                         .dtype = dtype, .inputs = i < 2 ? 2 : 1, .input = in[i],
                                         .outputs = 1, .output = &out[i],
                                         .text = i < 2 ? "multiply" : ""};
        }
        status = attn_program_run(&run, 3, step);
    }
    attn_workspace_reset(&scratch, 0);
    attn_workspace_reset(&tensors, 0);
    return status;
}

/* a workspace that gave nothing gives again, and keeps what it gave before */
static void workspaces(void) {
    struct attn_workspace workspace = {0};
    char* first = attn_workspace_take(&workspace, 100, 1);
    memset(first, 7, 100);
    turns = 0;
    goes_on = 1;
    void* refused = attn_workspace_take(&workspace, 1 << 20, 1);
    turns = -1;
    CHECK(refused == NULL, "memory from nowhere");
    CHECK(attn_workspace_take(&workspace, 1 << 20, 1) != NULL, "no more memory");
    CHECK(first[0] == 7 && first[99] == 7, "what was taken has changed");
    CHECK(attn_workspace_take(&workspace, SIZE_MAX, 2) == NULL, "a size that overflows");
    attn_workspace_reset(&workspace, 1 << 21);
    /* the one block that the last call's would fit in is too large now */
    turns = 0;
    goes_on = 0;
    CHECK(attn_workspace_take(&workspace, 100, 1) != NULL, "a small block is not tried");
    turns = -1;
    attn_workspace_reset(&workspace, 0);
}

int main(void) {
    static const enum attn_dtype dtypes[2] = {ATTN_FLOAT32, ATTN_FLOAT64};
    const long before = live;
    layers();
    sweep("a program", run_steps, &dtypes[0]);
    sweep("a program", run_steps, &dtypes[1]);
    workspaces();
    CHECK(live == before, "%ld blocks are left", live - before);
    CHECK(swept > 100, "only %d allocations have failed", swept);
    fprintf(stderr, "%d allocations have failed\n", swept);
    return checks_end();
}

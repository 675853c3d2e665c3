#include "layer.h"

#include <stdlib.h>
#include <string.h>

#include "matmul.h"
#include "weights.h"

static const struct attn_layer_kind* const kinds[] = {
    &attn_multi_head_attention_kind,
    &attn_group_query_attention_kind,
    &attn_attention_kind,
    &attn_additive_attention_kind,
    &attn_weights_kind,
};
enum { KINDS = sizeof kinds / sizeof kinds[0], ALIGNMENT = 64 };

const struct attn_layer_kind* attn_layer_kind_by_name(const char* name) {
    for (int i = 0; i < KINDS; i++) {
        if (strcmp(kinds[i]->name, name) == 0) {
            return kinds[i];
        }
    }
    return NULL;
}

const struct attn_layer_kind* attn_layer_kind_by_id(uint64_t id) {
    for (int i = 0; i < KINDS; i++) {
        if ((uint64_t)kinds[i]->id == id) {
            return kinds[i];
        }
    }
    return NULL;
}

/* all layers that are alive, and the bytes of their weights */
static struct attn_layers_alive alive;

struct attn_layers_alive attn_layers_alive(void) { return alive; }

enum attn_status attn_layer_create(const struct attn_layer_kind* kind, enum attn_dtype dtype,
                                   const struct attn_layer_config* config,
                                   struct attn_random_key key, struct attn_layer** layer) {
    struct attn_layer* made = calloc(1, sizeof *made);
    if (made == NULL) {
        return ATTN_NO_MEMORY;
    }
    made->magic = ATTN_LAYER_MAGIC;
    made->kind = kind;
    made->dtype = dtype;
    made->config = *config;
    made->key = key;
    *layer = made;
    alive.layers++;
    return ATTN_OK;
}

/* Zeros, aligned by hand; what stands before the aligned start tells what to free. */
struct before_start {
    unsigned char* raw;
    size_t size;
};

static enum attn_status aligned_new(size_t size, unsigned char** made) {
    const size_t room = sizeof(struct before_start) + ALIGNMENT;
    unsigned char* raw = size > SIZE_MAX - room ? NULL : calloc(size + room, 1);
    if (raw == NULL) {
        return ATTN_NO_MEMORY;
    }
    const struct before_start before = {raw, size};
    unsigned char* start = raw + sizeof before;
    start += (ALIGNMENT - (uintptr_t)start % ALIGNMENT) % ALIGNMENT;
    memcpy(start - sizeof before, &before, sizeof before);
    alive.bytes += size;
    *made = start;
    return ATTN_OK;
}

void attn_layer_discard(unsigned char* storage) {
    if (storage != NULL) {
        struct before_start before;
        memcpy(&before, storage - sizeof before, sizeof before);
        alive.bytes -= before.size;
        free(before.raw);
    }
}

void attn_layer_destroy(struct attn_layer* layer) {
    if (layer != NULL) {
        layer->magic = 0;
        attn_layer_discard(layer->storage);
        free(layer);
        alive.layers--;
    }
}

struct attn_weight* attn_layer_add_weight(struct attn_layer* layer, const char* name, int rank,
                                          const ptrdiff_t* dim, ptrdiff_t depth) {
    struct attn_weight* weight = &layer->weight[layer->weights++];
    memset(weight, 0, sizeof *weight);
    strncpy(weight->name, name, ATTN_NAME_SIZE - 1);
    weight->rank = rank;
    if (rank > 0) {
        memcpy(weight->dim, dim, (size_t)rank * sizeof *dim);
    }
    weight->depth = depth;
    return weight;
}

static size_t round_up(size_t size) { return (size + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT; }

/* offsets of all weights in the storage; refuses what does not fit a size_t */
static enum attn_status lay_out(struct attn_layer* layer) {
    const size_t limit = SIZE_MAX / 8, element = attn_dtype_size(layer->dtype);
    size_t size = 0;
    for (int i = 0; i < layer->weights; i++) {
        struct attn_weight* weight = &layer->weight[i];
        ATTN_TRY(attn_checked_length(weight->rank, weight->dim, &weight->length));
        weight->columns = weight->depth > 0 ? weight->length / weight->depth : 0;
        weight->offset = size;
        if ((size_t)weight->length > (limit - size) / element) {
            return ATTN_BAD_LENGTH;
        }
        size += round_up((size_t)weight->length * element);
        if (size > limit) {
            return ATTN_BAD_LENGTH;
        }
    }
    for (int i = 0; i < layer->weights; i++) {
        struct attn_weight* weight = &layer->weight[i];
        weight->packed_offset = size;
        if (weight->depth > 0) {
            /* packing fills the last vector up, which adds fewer than 64 columns at any
             * instruction set: check before computing it */
            if (weight->columns > PTRDIFF_MAX - 64 ||
                (size_t)weight->columns + 64 > (limit - size) / element / (size_t)weight->depth) {
                return ATTN_BAD_LENGTH;
            }
            size += round_up(
                attn_matmul_packed_size(layer->dtype, weight->depth, weight->columns));
        }
    }
    layer->storage_size = size;
    return ATTN_OK;
}

enum attn_status attn_layer_build(struct attn_layer* layer,
                                  const struct attn_layer_widths* widths) {
    struct attn_layer draft = *layer;
    draft.widths = *widths;
    draft.weights = 0;
    ATTN_TRY(draft.kind->describe(&draft));
    ATTN_TRY(lay_out(&draft));
    ATTN_TRY(attn_layer_stage(&draft, &draft.storage));
    draft.built = 1;
    attn_layer_discard(layer->storage);
    *layer = draft;
    return ATTN_OK;
}

enum attn_status attn_layer_stage(const struct attn_layer* layer, unsigned char** storage) {
    return aligned_new(layer->storage_size, storage);
}

void* attn_layer_staged_weight(const struct attn_layer* layer, unsigned char* storage,
                               int index) {
    return storage + layer->weight[index].offset;
}

void attn_layer_pack(const struct attn_context* context, const struct attn_layer* layer,
                     unsigned char* storage) {
    for (int i = 0; i < layer->weights; i++) {
        const struct attn_weight* weight = &layer->weight[i];
        if (weight->depth > 0) {
            attn_matmul_pack(context, layer->dtype, weight->depth, weight->columns,
                             storage + weight->offset, storage + weight->packed_offset);
        }
    }
}

void attn_layer_take(struct attn_layer* layer, unsigned char* storage) {
    if (storage != layer->storage) {
        attn_layer_discard(layer->storage);
        layer->storage = storage;
    }
}

void attn_layer_adopt(struct attn_layer* layer, unsigned char* storage) {
    attn_layer_pack(&attn_context_alone, layer, storage);
    attn_layer_take(layer, storage);
}

const void* attn_layer_weight(const struct attn_layer* layer, int index) {
    return layer->storage + layer->weight[index].offset;
}

const void* attn_layer_packed(const struct attn_layer* layer, int index) {
    return layer->storage + layer->weight[index].packed_offset;
}

enum attn_status attn_layer_forward(const struct attn_context* context,
                                    const struct attn_layer* layer, struct attn_layer_call* call) {
    return layer->kind->forward(context, layer, call);
}

void attn_layer_count(struct attn_layer* layer, int training) {
    if (training && layer->config.dropout > 0) {
        layer->calls++;
    }
}

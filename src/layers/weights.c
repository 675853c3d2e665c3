/* Their state as bytes:
 *
 *   8 bytes   "ATTNWTS1"
 *   4 x 8     dtype, random key, calls, number of weights
 *   each      name (ATTN_NAME_SIZE bytes), rank, depth, ATTN_MAX_RANK dims (8 bytes each)
 *   weights   IEEE floats of the dtype, in order
 *   8 bytes   FNV-1a of all that precedes */
#include "weights.h"

#include <string.h>

#include "state_bytes.h"

static const char signature[ATTN_STATE_SIGNATURE] = {'A', 'T', 'T', 'N', 'W', 'T', 'S', '1'};

enum {
    DTYPE, RANDOM_KEY, CALLS, COUNT, FIELDS,
    HEADER = ATTN_STATE_SIGNATURE + 8 * FIELDS,
    WEIGHT_RANK = ATTN_NAME_SIZE, WEIGHT_DEPTH = WEIGHT_RANK + 8, WEIGHT_DIM = WEIGHT_DEPTH + 8,
    WEIGHT_SIZE = WEIGHT_DIM + 8 * ATTN_MAX_RANK
};

/* the weights were described when the layer was made, and a build keeps them */
static enum attn_status describe(struct attn_layer* layer) {
    layer->weights = layer->described_weights;
    return ATTN_OK;
}

static enum attn_status forward(const struct attn_context* context,
                                const struct attn_layer* layer, struct attn_layer_call* call) {
    (void)context;
    (void)layer;
    (void)call;
    return ATTN_BAD_STATE; /* glue lets nobody call them */
}

static int accepts(const struct attn_layer* layer, ptrdiff_t query, ptrdiff_t key,
                   ptrdiff_t value) {
    (void)layer;
    (void)query;
    (void)key;
    (void)value;
    return 0;
}

const struct attn_layer_kind attn_weights_kind = {
    .id = ATTN_LAYER_WEIGHTS, .name = "weights",
    .describe = describe, .forward = forward, .accepts = accepts,
};

static enum attn_status check_depth(const struct attn_weight_shape* shape) {
    ptrdiff_t length;
    ATTN_TRY(attn_checked_length(shape->rank, shape->dim, &length));
    return shape->depth == 0 || (shape->depth > 0 && length % shape->depth == 0) ? ATTN_OK
                                                                                : ATTN_BAD_LENGTH;
}

enum attn_status attn_weights_create(enum attn_dtype dtype, int count,
                                     const struct attn_weight_shape* shape,
                                     struct attn_random_key key, struct attn_layer** layer) {
    const struct attn_layer_config config = {.num_heads = 1, .num_key_value_heads = 1,
                                             .key_dim = 1, .value_dim = 1};
    const struct attn_layer_widths widths = {.query = 1, .value = 1, .key = 1};
    if (count < 0 || count > ATTN_MAX_WEIGHTS) {
        return ATTN_BAD_LENGTH;
    }
    for (int i = 0; i < count; i++) {
        ATTN_TRY(check_depth(&shape[i]));
    }
    struct attn_layer* made;
    ATTN_TRY(attn_layer_create(&attn_weights_kind, dtype, &config, key, &made));
    for (int i = 0; i < count; i++) {
        attn_layer_add_weight(made, shape[i].name, shape[i].rank, shape[i].dim, shape[i].depth);
    }
    made->described_weights = count;
    const enum attn_status status = attn_layer_build(made, &widths);
    if (status != ATTN_OK) {
        attn_layer_destroy(made);
        return status;
    }
    *layer = made;
    return ATTN_OK;
}

size_t attn_weights_state_size(const struct attn_layer* layer) {
    return HEADER + (size_t)layer->weights * WEIGHT_SIZE + attn_state_weights_size(layer) +
           ATTN_STATE_CHECKSUM;
}

static void write_shape(const struct attn_weight* weight, unsigned char* at) {
    memcpy(at, weight->name, ATTN_NAME_SIZE);
    attn_put(at + WEIGHT_RANK, (uint64_t)weight->rank, 8);
    attn_put(at + WEIGHT_DEPTH, (uint64_t)weight->depth, 8);
    for (int axis = 0; axis < ATTN_MAX_RANK; axis++) {
        const ptrdiff_t dim = axis < weight->rank ? weight->dim[axis] : 0;
        attn_put(at + WEIGHT_DIM + 8 * (size_t)axis, (uint64_t)dim, 8);
    }
}

void attn_weights_state_put(const struct attn_context* context, const struct attn_layer* layer,
                            unsigned char* bytes) {
    const uint64_t field[FIELDS] = {
        (uint64_t)layer->dtype,
        layer->key.word[0] | (uint64_t)layer->key.word[1] << 32,
        layer->calls,
        (uint64_t)layer->weights,
    };
    memcpy(bytes, signature, sizeof signature);
    for (size_t i = 0; i < FIELDS; i++) {
        attn_put(bytes + ATTN_STATE_SIGNATURE + 8 * i, field[i], 8);
    }
    unsigned char* at = bytes + HEADER;
    for (int i = 0; i < layer->weights; i++, at += WEIGHT_SIZE) {
        write_shape(&layer->weight[i], at);
    }
    at = attn_state_put_weights(context, layer, at);
    attn_put(at, attn_state_checksum(context, bytes, (size_t)(at - bytes)), ATTN_STATE_CHECKSUM);
}

/* a weight's description, believed only as far as `elements`, which are really there */
static int read_shape(const unsigned char* at, size_t elements, struct attn_weight_shape* shape) {
    const uint64_t rank = attn_get(at + WEIGHT_RANK, 8), depth = attn_get(at + WEIGHT_DEPTH, 8);
    size_t length = 1;
    if (at[ATTN_NAME_SIZE - 1] != 0 || rank > ATTN_MAX_RANK || depth > elements) {
        return 0;
    }
    shape->name = (const char*)at;
    shape->rank = (int)rank;
    shape->depth = (ptrdiff_t)depth;
    for (int axis = 0; axis < (int)rank; axis++) {
        const uint64_t dim = attn_get(at + WEIGHT_DIM + 8 * (size_t)axis, 8);
        if (dim < 1 || dim > INT32_MAX || dim > elements / length) {
            return 0;
        }
        shape->dim[axis] = (ptrdiff_t)dim;
        length *= (size_t)dim;
    }
    return 1;
}

/* whether the weights would be written with these descriptions, what is behind the end of a
 * name included */
static int says_the_same(const struct attn_layer* layer, const unsigned char* at) {
    unsigned char written[WEIGHT_SIZE];
    for (int i = 0; i < layer->weights; i++, at += WEIGHT_SIZE) {
        write_shape(&layer->weight[i], written);
        if (memcmp(written, at, sizeof written) != 0) {
            return 0;
        }
    }
    return 1;
}

/* the checksum holds: state.c has looked */
enum attn_status attn_weights_state_get(const struct attn_context* context,
                                        const unsigned char* bytes, size_t size,
                                        struct attn_layer** layer) {
    if (size < HEADER + ATTN_STATE_CHECKSUM || memcmp(bytes, signature, sizeof signature) != 0) {
        return ATTN_BAD_STATE;
    }
    uint64_t field[FIELDS];
    for (size_t i = 0; i < FIELDS; i++) {
        field[i] = attn_get(bytes + ATTN_STATE_SIGNATURE + 8 * i, 8);
    }
    size_t rest = size - HEADER - ATTN_STATE_CHECKSUM;
    if (field[DTYPE] > ATTN_FLOAT64 || field[COUNT] > ATTN_MAX_WEIGHTS ||
        field[COUNT] * WEIGHT_SIZE > rest) {
        return ATTN_BAD_STATE;
    }
    const int count = (int)field[COUNT];
    const enum attn_dtype dtype = (enum attn_dtype)field[DTYPE];
    rest -= (size_t)count * WEIGHT_SIZE;
    struct attn_weight_shape shape[ATTN_MAX_WEIGHTS];
    size_t elements = 0;
    for (int i = 0; i < count; i++) {
        ptrdiff_t length;
        if (!read_shape(bytes + HEADER + (size_t)i * WEIGHT_SIZE, rest, &shape[i]) ||
            attn_checked_length(shape[i].rank, shape[i].dim, &length) != ATTN_OK) {
            return ATTN_BAD_STATE;
        }
        elements += (size_t)length;
    }
    if (elements * attn_dtype_size(dtype) != rest) {
        return ATTN_BAD_STATE;
    }
    const struct attn_random_key key = {
        {(uint32_t)field[RANDOM_KEY], (uint32_t)(field[RANDOM_KEY] >> 32)}};
    const enum attn_status status = attn_weights_create(dtype, count, shape, key, layer);
    if (status != ATTN_OK) {
        return status == ATTN_BAD_LENGTH ? ATTN_BAD_STATE : status;
    }
    if (!says_the_same(*layer, bytes + HEADER)) {
        attn_layer_destroy(*layer);
        *layer = NULL;
        return ATTN_BAD_STATE;
    }
    (*layer)->calls = field[CALLS];
    attn_state_get_weights(context, *layer, bytes + HEADER + (size_t)count * WEIGHT_SIZE);
    return ATTN_OK;
}

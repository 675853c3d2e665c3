/* A layer as bytes, for saveRDS() and every other way R serializes objects.
 *
 *   8 bytes   "ATTNLAY1"
 *   n x 8     the fields below, unsigned 64-bit, little-endian
 *   weights   IEEE floats of the layer's dtype, little-endian, in weight order
 *   8 bytes   FNV-1a of all that precedes
 *
 * Packed weights are made anew by the reader: their form depends on the
 * processor. The bytes may come from anyone, so the reader believes no number
 * before it has compared it with the size that is really there. */
#include <stdlib.h>
#include <string.h>

#include "layer.h"
#include "state_bytes.h"
#include "weights.h"

static const char signature[8] = {'A', 'T', 'T', 'N', 'L', 'A', 'Y', '1'};

enum {
    KIND, DTYPE, NUM_HEADS, NUM_KEY_VALUE_HEADS, KEY_DIM, VALUE_DIM, USE_BIAS, USE_GATE,
    USE_SCALE, SCORE_MODE, DROPOUT, RANDOM_KEY, CALLS, BUILT, QUERY_WIDTH, VALUE_WIDTH,
    KEY_WIDTH, OUTPUT_RANK, OUTPUT_0,
    FIELDS = OUTPUT_0 + ATTN_MAX_OUTPUT_RANK
};
enum { HEADER = sizeof signature + sizeof(uint64_t) * FIELDS, CHECKSUM = ATTN_STATE_CHECKSUM };

uint64_t attn_state_checksum(const struct attn_context* context, const unsigned char* bytes,
                             size_t size) {
    uint64_t hash = UINT64_C(0xcbf29ce484222325);
    for (size_t i = 0; i < size; i++) {
        hash = (hash ^ bytes[i]) * UINT64_C(0x100000001b3);
        attn_parallel_poll_at(context, (ptrdiff_t)i);
    }
    return hash;
}

size_t attn_state_weights_size(const struct attn_layer* layer) {
    size_t elements = 0;
    for (int i = 0; i < layer->weights; i++) {
        elements += (size_t)layer->weight[i].length;
    }
    return elements * attn_dtype_size(layer->dtype);
}

size_t attn_layer_state_size(const struct attn_layer* layer) {
    if (layer->kind == &attn_weights_kind) {
        return attn_weights_state_size(layer);
    }
    return HEADER + (layer->built ? attn_state_weights_size(layer) : 0) + CHECKSUM;
}

/* the bits of floats as integers, so that the order of bytes is ours */
static uint64_t element_bits(enum attn_dtype dtype, const void* elements, ptrdiff_t i) {
    if (dtype == ATTN_FLOAT32) {
        uint32_t bits;
        memcpy(&bits, (const float*)elements + i, sizeof bits);
        return bits;
    }
    uint64_t bits;
    memcpy(&bits, (const double*)elements + i, sizeof bits);
    return bits;
}

static void set_element_bits(enum attn_dtype dtype, void* elements, ptrdiff_t i, uint64_t bits) {
    if (dtype == ATTN_FLOAT32) {
        uint32_t narrow = (uint32_t)bits;
        memcpy((float*)elements + i, &narrow, sizeof narrow);
    } else {
        memcpy((double*)elements + i, &bits, sizeof bits);
    }
}

static void collect_fields(const struct attn_layer* layer, uint64_t* field) {
    const struct attn_layer_config* config = &layer->config;
    const struct attn_layer_widths* widths = &layer->widths;
    field[KIND] = (uint64_t)layer->kind->id;
    field[DTYPE] = (uint64_t)layer->dtype;
    field[NUM_HEADS] = (uint64_t)config->num_heads;
    field[NUM_KEY_VALUE_HEADS] = (uint64_t)config->num_key_value_heads;
    field[KEY_DIM] = (uint64_t)config->key_dim;
    field[VALUE_DIM] = (uint64_t)config->value_dim;
    field[USE_BIAS] = (uint64_t)config->use_bias;
    field[USE_GATE] = (uint64_t)config->use_gate;
    field[USE_SCALE] = (uint64_t)config->use_scale;
    field[SCORE_MODE] = (uint64_t)config->score_mode;
    memcpy(&field[DROPOUT], &config->dropout, sizeof field[DROPOUT]);
    field[RANDOM_KEY] = layer->key.word[0] | (uint64_t)layer->key.word[1] << 32;
    field[CALLS] = layer->calls;
    field[BUILT] = (uint64_t)layer->built;
    field[QUERY_WIDTH] = (uint64_t)widths->query;
    field[VALUE_WIDTH] = (uint64_t)widths->value;
    field[KEY_WIDTH] = (uint64_t)widths->key;
    field[OUTPUT_RANK] = (uint64_t)widths->output_rank;
    for (int i = 0; i < widths->output_rank; i++) {
        field[OUTPUT_0 + i] = (uint64_t)widths->output[i];
    }
}

unsigned char* attn_state_put_weights(const struct attn_context* context,
                                      const struct attn_layer* layer, unsigned char* bytes) {
    const int width = (int)attn_dtype_size(layer->dtype);
    for (int i = 0; i < layer->weights; i++) {
        const void* elements = attn_layer_weight(layer, i);
        for (ptrdiff_t e = 0; e < layer->weight[i].length; e++, bytes += width) {
            attn_put(bytes, element_bits(layer->dtype, elements, e), width);
            attn_parallel_poll_at(context, e);
        }
    }
    return bytes;
}

void attn_state_get_weights(const struct attn_context* context, struct attn_layer* layer,
                            const unsigned char* bytes) {
    const int width = (int)attn_dtype_size(layer->dtype);
    for (int i = 0; i < layer->weights; i++) {
        void* to = attn_layer_staged_weight(layer, layer->storage, i);
        for (ptrdiff_t e = 0; e < layer->weight[i].length; e++, bytes += width) {
            set_element_bits(layer->dtype, to, e, attn_get(bytes, width));
            attn_parallel_poll_at(context, e);
        }
    }
    attn_layer_pack(context, layer, layer->storage);
}

void attn_layer_state_put(const struct attn_context* context, const struct attn_layer* layer,
                          unsigned char* bytes) {
    if (layer->kind == &attn_weights_kind) {
        attn_weights_state_put(context, layer, bytes);
        return;
    }
    uint64_t field[FIELDS] = {0};
    collect_fields(layer, field);
    memcpy(bytes, signature, sizeof signature);
    for (size_t i = 0; i < FIELDS; i++) {
        attn_put(bytes + sizeof signature + 8 * i, field[i], 8);
    }
    unsigned char* at = bytes + HEADER;
    if (layer->built) {
        at = attn_state_put_weights(context, layer, at);
    }
    attn_put(at, attn_state_checksum(context, bytes, (size_t)(at - bytes)), CHECKSUM);
}

void attn_layer_state_write(const struct attn_layer* layer, unsigned char* bytes) {
    attn_layer_state_put(&attn_context_alone, layer, bytes);
}

static int in_range(uint64_t value, uint64_t low, uint64_t high) {
    return value >= low && value <= high;
}

/* what R's constructors let through, and no more */
static int fields_are_sound(const uint64_t* field, double dropout) {
    const uint64_t most = INT32_MAX;
    const int direct = field[KIND] == ATTN_LAYER_ATTENTION ||
                       field[KIND] == ATTN_LAYER_ADDITIVE_ATTENTION;
    int sound = attn_layer_kind_by_id(field[KIND]) != NULL &&
                field[KIND] != ATTN_LAYER_WEIGHTS && field[DTYPE] <= ATTN_FLOAT64 &&
                in_range(field[NUM_HEADS], 1, most) &&
                in_range(field[NUM_KEY_VALUE_HEADS], 1, field[NUM_HEADS]) &&
                field[NUM_HEADS] % field[NUM_KEY_VALUE_HEADS] == 0 &&
                (!direct || field[NUM_HEADS] == 1) &&
                in_range(field[KEY_DIM], 1, most) && in_range(field[VALUE_DIM], 1, most) &&
                field[USE_BIAS] <= 1 && field[USE_GATE] <= 1 && field[USE_SCALE] <= 1 &&
                field[SCORE_MODE] <= ATTN_MODE_ADDITIVE && dropout >= 0 && dropout <= 1 &&
                field[BUILT] <= 1 && field[OUTPUT_RANK] <= ATTN_MAX_OUTPUT_RANK;
    if (sound && field[BUILT]) {
        sound = in_range(field[QUERY_WIDTH], 1, most) && in_range(field[VALUE_WIDTH], 1, most) &&
                in_range(field[KEY_WIDTH], 1, most) && (direct || field[OUTPUT_RANK] >= 1) &&
                (!direct || field[KEY_WIDTH] == field[QUERY_WIDTH]);
        for (uint64_t i = 0; sound && i < field[OUTPUT_RANK]; i++) {
            sound = in_range(field[OUTPUT_0 + i], 1, most);
        }
    }
    return sound;
}

/* elements that the described weights must have, or -1 where they cannot be counted */
static ptrdiff_t described_elements(struct attn_layer* probe) {
    ptrdiff_t elements = 0;
    probe->weights = 0;
    if (probe->kind->describe(probe) != ATTN_OK) {
        return -1;
    }
    for (int i = 0; i < probe->weights; i++) {
        ptrdiff_t length;
        if (attn_checked_length(probe->weight[i].rank, probe->weight[i].dim, &length) != ATTN_OK ||
            length > PTRDIFF_MAX / 16 - elements) {
            return -1;
        }
        elements += length;
    }
    return elements;
}

static enum attn_status read_weights(const struct attn_context* context, struct attn_layer* layer,
                                     const unsigned char* bytes, size_t size,
                                     const struct attn_layer_widths* widths) {
    struct attn_layer probe = *layer;
    probe.widths = *widths;
    const ptrdiff_t elements = described_elements(&probe);
    const size_t width = attn_dtype_size(layer->dtype);
    if (elements < 0 || size % width != 0 || (size_t)elements != size / width) {
        return ATTN_BAD_STATE;
    }
    ATTN_TRY(attn_layer_build(layer, widths));
    attn_state_get_weights(context, layer, bytes);
    return ATTN_OK;
}

/* whether the layer would be written with these fields, those that it does not use included */
static int says_the_same(const struct attn_layer* layer, const uint64_t* field) {
    uint64_t written[FIELDS] = {0};
    collect_fields(layer, written);
    return memcmp(written, field, sizeof written) == 0;
}

enum attn_status attn_layer_state_get(const struct attn_context* context,
                                      const unsigned char* bytes, size_t size,
                                      struct attn_layer** layer) {
    if (size < ATTN_STATE_SIGNATURE + CHECKSUM ||
        attn_get(bytes + size - CHECKSUM, CHECKSUM) !=
            attn_state_checksum(context, bytes, size - CHECKSUM)) {
        return ATTN_BAD_STATE;
    }
    if (memcmp(bytes, signature, sizeof signature) != 0) {
        return attn_weights_state_get(context, bytes, size, layer);
    }
    if (size < HEADER + CHECKSUM) {
        return ATTN_BAD_STATE;
    }
    uint64_t field[FIELDS];
    for (size_t i = 0; i < FIELDS; i++) {
        field[i] = attn_get(bytes + sizeof signature + 8 * i, 8);
    }
    struct attn_layer_config config;
    memcpy(&config.dropout, &field[DROPOUT], sizeof config.dropout);
    if (!fields_are_sound(field, config.dropout)) {
        return ATTN_BAD_STATE;
    }
    config.num_heads = (ptrdiff_t)field[NUM_HEADS];
    config.num_key_value_heads = (ptrdiff_t)field[NUM_KEY_VALUE_HEADS];
    config.key_dim = (ptrdiff_t)field[KEY_DIM];
    config.value_dim = (ptrdiff_t)field[VALUE_DIM];
    config.use_bias = (int)field[USE_BIAS];
    config.use_gate = (int)field[USE_GATE];
    config.use_scale = (int)field[USE_SCALE];
    config.score_mode = (enum attn_score_mode)field[SCORE_MODE];
    struct attn_layer_widths widths = {(ptrdiff_t)field[QUERY_WIDTH],
                                       (ptrdiff_t)field[VALUE_WIDTH],
                                       (ptrdiff_t)field[KEY_WIDTH], (int)field[OUTPUT_RANK], {0}};
    for (int i = 0; i < widths.output_rank; i++) {
        widths.output[i] = (ptrdiff_t)field[OUTPUT_0 + i];
    }
    struct attn_random_key key = {
        {(uint32_t)field[RANDOM_KEY], (uint32_t)(field[RANDOM_KEY] >> 32)}};

    ATTN_TRY(attn_layer_create(attn_layer_kind_by_id(field[KIND]),
                               (enum attn_dtype)field[DTYPE], &config, key, layer));
    (*layer)->calls = field[CALLS];
    const size_t rest = size - HEADER - CHECKSUM;
    enum attn_status status = field[BUILT] ? read_weights(context, *layer, bytes + HEADER, rest,
                                                          &widths)
                              : rest == 0  ? ATTN_OK
                                           : ATTN_BAD_STATE;
    if (status == ATTN_OK && !says_the_same(*layer, field)) {
        status = ATTN_BAD_STATE;
    }
    if (status != ATTN_OK) {
        attn_layer_destroy(*layer);
        *layer = NULL;
    }
    return status;
}

enum attn_status attn_layer_state_read(const unsigned char* bytes, size_t size,
                                       struct attn_layer** layer) {
    struct attn_layer* made = NULL;
    ATTN_TRY(attn_layer_state_get(&attn_context_alone, bytes, size, &made));
    *layer = made;
    return ATTN_OK;
}

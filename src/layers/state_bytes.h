/* Numbers and sums as the bytes of a saved state: little-endian on every machine. */
#ifndef ATTN_LAYERS_STATE_BYTES_H
#define ATTN_LAYERS_STATE_BYTES_H

#include <stddef.h>
#include <stdint.h>

#include "layer.h"

enum { ATTN_STATE_SIGNATURE = 8, ATTN_STATE_CHECKSUM = 8 };

static inline void attn_put(unsigned char* bytes, uint64_t value, int width) {
    for (int i = 0; i < width; i++) {
        bytes[i] = (unsigned char)(value >> (8 * i));
    }
}

static inline uint64_t attn_get(const unsigned char* bytes, int width) {
    uint64_t value = 0;
    for (int i = 0; i < width; i++) {
        value |= (uint64_t)bytes[i] << (8 * i);
    }
    return value;
}

/* FNV-1a */
uint64_t attn_state_checksum(const struct attn_context* context, const unsigned char* bytes,
                             size_t size);
/* bytes that the layer's weights take */
size_t attn_state_weights_size(const struct attn_layer* layer);
/* The weights of a built layer; returns what is behind them. */
unsigned char* attn_state_put_weights(const struct attn_context* context,
                                      const struct attn_layer* layer, unsigned char* bytes);
/* Fills a built layer's weights from attn_state_weights_size() bytes. */
void attn_state_get_weights(const struct attn_context* context, struct attn_layer* layer,
                            const unsigned char* bytes);

#endif

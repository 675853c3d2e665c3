#include "dropout.h"

uint64_t attn_dropout_threshold(const struct attn_dropout* dropout) {
    return (uint64_t)(dropout->rate * 4294967296.0 + 0.5);
}

struct attn_random_stream attn_dropout_stream(const struct attn_dropout* dropout) {
    const struct attn_random_stream stream = {dropout->key, dropout->call};
    return stream;
}

void attn_dropout_keep(const struct attn_dropout* dropout, uint64_t first, ptrdiff_t count,
                       uint8_t* keep) {
    const uint64_t threshold = attn_dropout_threshold(dropout);
    struct attn_random_bits bits = {{0, 0, 0, 0}};
    for (ptrdiff_t i = 0; i < count; i++) {
        uint64_t index = first + (uint64_t)i;
        if (i == 0 || index % 4 == 0) {
            bits = attn_random_block(dropout->key, index / 4, dropout->call);
        }
        keep[i] = bits.word[index % 4] >= threshold;
    }
}

double attn_dropout_factor(const struct attn_dropout* dropout) {
    return dropout->rate < 1 ? 1 / (1 - dropout->rate) : 0;
}

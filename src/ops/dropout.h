/* Dropout of attention weights. Whether an element stays is a function of the
 * layer's key, the number of the call and the element's index in (B, N, T, S),
 * so it is the same for every thread count and is never stored. */
#ifndef ATTN_OPS_DROPOUT_H
#define ATTN_OPS_DROPOUT_H

#include <stddef.h>
#include <stdint.h>

#include "random.h"

struct attn_dropout {
    double rate; /* 0: none */
    struct attn_random_key key;
    uint64_t call;
};

/* keep[i] for the `count` elements from index `first` on: 1 or 0 */
void attn_dropout_keep(const struct attn_dropout* dropout, uint64_t first, ptrdiff_t count,
                       uint8_t* keep);

/* A word of the stream below this drops its element: none at rate 0, all at rate 1. */
uint64_t attn_dropout_threshold(const struct attn_dropout* dropout);

/* The elements' words, by their index. */
struct attn_random_stream attn_dropout_stream(const struct attn_dropout* dropout);

/* What kept elements are multiplied by; 0 when nothing is kept. */
double attn_dropout_factor(const struct attn_dropout* dropout);

#endif

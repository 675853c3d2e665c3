/* Random bits as a pure function of a key and a counter: Philox4x32-10
 * (Salmon, Moraes, Dror & Shaw 2011, "Parallel random numbers: as easy as
 * 1, 2, 3", section 3.3). No state, so any thread can ask for any element and
 * the backward pass can ask again. */
#ifndef ATTN_CORE_RANDOM_H
#define ATTN_CORE_RANDOM_H

#include <stdint.h>

struct attn_random_key {
    uint32_t word[2];
};

struct attn_random_bits {
    uint32_t word[4];
};

/* Four words for the 128-bit counter (low, high), each half 64 bits. */
struct attn_random_bits attn_random_block(struct attn_random_key key, uint64_t low, uint64_t high);

/* A number strictly between 0 and 1 from two words. */
double attn_random_unit(uint32_t high, uint32_t low);

#endif

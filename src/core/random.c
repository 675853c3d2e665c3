#include "random.h"

struct attn_random_bits attn_random_block(struct attn_random_key key, uint64_t low, uint64_t high) {
    uint32_t c0 = (uint32_t)low, c1 = (uint32_t)(low >> 32);
    uint32_t c2 = (uint32_t)high, c3 = (uint32_t)(high >> 32);
    uint32_t k0 = key.word[0], k1 = key.word[1];
    for (int round = 0; round < ATTN_PHILOX_ROUNDS; round++) {
        uint64_t product0 = (uint64_t)ATTN_PHILOX_MULTIPLIER0 * c0;
        uint64_t product1 = (uint64_t)ATTN_PHILOX_MULTIPLIER1 * c2;
        c0 = (uint32_t)(product1 >> 32) ^ c1 ^ k0;
        c1 = (uint32_t)product1;
        c2 = (uint32_t)(product0 >> 32) ^ c3 ^ k1;
        c3 = (uint32_t)product0;
        k0 += ATTN_PHILOX_WEYL0;
        k1 += ATTN_PHILOX_WEYL1;
    }
    struct attn_random_bits bits = {{c0, c1, c2, c3}};
    return bits;
}

/* 52 bits and half a step: 53 bits would leave no room for the half, and the
 * largest would round to 1. */
double attn_random_unit(uint32_t high, uint32_t low) {
    return ((double)(high >> 6) * 0x1p26 + (double)(low >> 6) + 0.5) * 0x1p-52;
}

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

/* The rounds, multipliers and key increments of the paper. */
enum { ATTN_PHILOX_ROUNDS = 10 };
#define ATTN_PHILOX_MULTIPLIER0 UINT32_C(0xD2511F53)
#define ATTN_PHILOX_MULTIPLIER1 UINT32_C(0xCD9E8D57)
#define ATTN_PHILOX_WEYL0 UINT32_C(0x9E3779B9)
#define ATTN_PHILOX_WEYL1 UINT32_C(0xBB67AE85)

/* The words of all counters that share their upper half: four words a counter, so
 * word i is word i % 4 of counter (i / 4, high). */
struct attn_random_stream {
    struct attn_random_key key;
    uint64_t high;
};

/* Four words for the 128-bit counter (low, high), each half 64 bits. */
struct attn_random_bits attn_random_block(struct attn_random_key key, uint64_t low, uint64_t high);

/* A number strictly between 0 and 1 from two words. */
double attn_random_unit(uint32_t high, uint32_t low);

#endif

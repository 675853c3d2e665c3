/* The smallest test frame that does: CHECK() counts, main() prints the line
 * that run.sh adds up. */
#ifndef ATTN_TESTS_CHECK_H
#define ATTN_TESTS_CHECK_H

#include <stdio.h>

static int checks_passed, checks_failed;

#define CHECK(condition, ...)                                    \
    do {                                                         \
        if (condition) {                                         \
            checks_passed++;                                     \
        } else {                                                 \
            checks_failed++;                                     \
            fprintf(stderr, "%s:%d: ", __FILE__, __LINE__);      \
            fprintf(stderr, __VA_ARGS__);                        \
            fprintf(stderr, "\n");                               \
        }                                                        \
    } while (0)

static inline int checks_end(void) {
    printf("%d passed, %d failed\n", checks_passed, checks_failed);
    return checks_failed > 0;
}

/* Numbers for test data: a 64-bit mix (Steele, Lea & Flood 2014, "splitmix"),
 * seeded per problem so that a failing one can be run alone. */
#include <math.h>
#include <stdint.h>

struct dice {
    uint64_t state;
};

static inline uint64_t dice_bits(struct dice* dice) {
    uint64_t z = dice->state += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

static inline double dice_unit(struct dice* dice) {
    return ((double)(dice_bits(dice) >> 11) + 0.5) / 9007199254740992.0;
}

static inline int dice_below(struct dice* dice, int limit) {
    return (int)(dice_bits(dice) % (uint64_t)limit);
}

static inline int dice_one_of(struct dice* dice, const int* values, int count) {
    return values[dice_below(dice, count)];
}

/* standard normal, rounded to float so that both precisions get the same data */
static inline double dice_normal(struct dice* dice) {
    double radius = sqrt(-2 * log(dice_unit(dice)));
    return (double)(float)(radius * cos(6.283185307179586 * dice_unit(dice)));
}

#endif

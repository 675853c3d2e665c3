/* Philox against the known answers of its authors (Random123, kat_vectors). */
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "dropout.h"
#include "kernels.h"
#include "random.h"

static void known_answer(uint64_t low, uint64_t high, uint32_t k0, uint32_t k1, uint32_t w0,
                         uint32_t w1, uint32_t w2, uint32_t w3) {
    struct attn_random_key key = {{k0, k1}};
    struct attn_random_bits bits = attn_random_block(key, low, high);
    CHECK(bits.word[0] == w0 && bits.word[1] == w1 && bits.word[2] == w2 && bits.word[3] == w3,
          "Philox gave %08x %08x %08x %08x", (unsigned)bits.word[0], (unsigned)bits.word[1],
          (unsigned)bits.word[2], (unsigned)bits.word[3]);
}

static void units_exclude_both_ends(void) {
    CHECK(attn_random_unit(0, 0) > 0, "the smallest number is 0");
    CHECK(attn_random_unit(UINT32_MAX, UINT32_MAX) < 1, "the largest number is 1");
    CHECK(attn_random_unit(UINT32_C(1) << 31, 0) > 0.5, "the words are read in another order");
}

/* any cut of a run of elements gives the same decisions */
static void dropout_is_a_function_of_the_index(void) {
    struct attn_dropout dropout = {0.3, {{5, 6}}, 7};
    uint8_t whole[1000], part[1000];
    attn_dropout_keep(&dropout, 12345, 1000, whole);
    for (int cut = 1; cut < 1000; cut += 13) {
        attn_dropout_keep(&dropout, 12345, cut, part);
        attn_dropout_keep(&dropout, 12345 + (uint64_t)cut, 1000 - cut, part + cut);
        int same = 1;
        for (int i = 0; i < 1000; i++) {
            same = same && whole[i] == part[i];
        }
        CHECK(same, "dropout differs when the run is cut at %d", cut);
    }
}

static void dropout_keeps_its_share(void) {
    static uint8_t keep[200000];
    const double rates[] = {0, 0.1, 0.5, 0.9, 1};
    for (int r = 0; r < 5; r++) {
        struct attn_dropout dropout = {rates[r], {{1, 2}}, 3};
        attn_dropout_keep(&dropout, 0, 200000, keep);
        double kept = 0;
        for (int i = 0; i < 200000; i++) {
            kept += keep[i];
        }
        double sigma = sqrt(200000 * rates[r] * (1 - rates[r]));
        CHECK(fabs(kept - 200000 * (1 - rates[r])) <= 4 * sigma, "rate %g kept %g", rates[r], kept);
    }
}

/* The kernels drop what attn_dropout_keep() drops: lanes whose blocks of four begin in
 * the same row and in different ones, indices on both sides of 2^34, where the counter
 * outgrows 32 bits, thresholds at both ends, and keys from one to a whole tile. */
#define DEFINE_DROPS_THE_SAME(bits, real)                                                         \
    static int drops_the_same_f##bits(struct dice* dice, uint64_t first, uint64_t step,           \
                                      double rate) {                                              \
        const struct attn_kernels_f##bits* kernels = attn_kernels()->f##bits;                     \
        const ptrdiff_t lanes = kernels->block_columns;                                           \
        const ptrdiff_t keys = 1 + dice_below(dice, kernels->tile_keys);                          \
        const struct attn_dropout dropout = {                                                     \
            rate, {{(uint32_t)dice_bits(dice), (uint32_t)dice_bits(dice)}}, dice_bits(dice)};     \
        const struct attn_random_stream stream = attn_dropout_stream(&dropout);                   \
        const real factor = (real)attn_dropout_factor(&dropout);                                  \
        real* weights = malloc((size_t)((keys + 1) * lanes) * sizeof *weights);                   \
        uint8_t* keep = malloc((size_t)keys);                                                     \
        for (ptrdiff_t at = 0; at < (keys + 1) * lanes; at++) {                                   \
            weights[at] = (real)(at + 1);                                                         \
        }                                                                                         \
        kernels->drop_weights(keys, weights, &stream, first, step,                                \
                              (uint32_t)attn_dropout_threshold(&dropout), factor);                \
        int same = 1;                                                                             \
        for (ptrdiff_t i = 0; i < lanes; i++) {                                                   \
            attn_dropout_keep(&dropout, first + (uint64_t)i * step, keys, keep);                  \
            for (ptrdiff_t j = 0; j < keys; j++) {                                                \
                const real whole = (real)(j * lanes + i + 1) * factor;                            \
                same = same && weights[j * lanes + i] == (keep[j] ? whole : 0);                   \
            }                                                                                     \
            same = same && weights[keys * lanes + i] == (real)(keys * lanes + i + 1);             \
        }                                                                                         \
        free(weights);                                                                            \
        free(keep);                                                                               \
        return same;                                                                              \
    }
DEFINE_DROPS_THE_SAME(32, float)
DEFINE_DROPS_THE_SAME(64, double)

static void kernels_drop_the_same(void) {
    const double rates[] = {1e-9, 0.1, 0.5, 0.75, 0.999, 0.9999999997};
    struct dice dice = {8};
    for (int problem = 0; problem < 300; problem++) {
        const uint64_t step = 1 + dice_bits(&dice) % (problem % 5 ? 3000 : UINT64_C(1) << 33);
        const uint64_t first = problem % 3   ? dice_bits(&dice) % 100000
                               : problem % 2 ? (UINT64_C(1) << 34) - dice_bits(&dice) % 300
                                             : dice_bits(&dice) >> 1;
        const double rate = rates[dice_below(&dice, 6)];
        CHECK(drops_the_same_f32(&dice, first, problem % 4 ? step : 4 * step, rate) &&
                  drops_the_same_f64(&dice, first, problem % 4 ? step : 4 * step, rate),
              "%s: problem %d drops other weights", attn_kernels()->isa, problem);
    }
}

int main(void) {
    known_answer(0, 0, 0, 0, 0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8);
    known_answer(UINT64_MAX, UINT64_MAX, 0xffffffff, 0xffffffff, 0x408f276d, 0x41c83b0e,
                 0xa20bc7c6, 0x6d5451fd);
    known_answer(UINT64_C(0x85a308d3243f6a88), UINT64_C(0x0370734413198a2e), 0xa4093822,
                 0x299f31d0, 0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1);
    units_exclude_both_ends();
    dropout_is_a_function_of_the_index();
    dropout_keeps_its_share();
    for (int set = 0; attn_kernels_available(set) != NULL; set++) {
        attn_kernels_choose(attn_kernels_available(set));
        kernels_drop_the_same();
    }
    return checks_end();
}

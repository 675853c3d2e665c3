/* Philox against the known answers of its authors (Random123, kat_vectors). */
#include "check.h"
#include "dropout.h"
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

int main(void) {
    known_answer(0, 0, 0, 0, 0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8);
    known_answer(UINT64_MAX, UINT64_MAX, 0xffffffff, 0xffffffff, 0x408f276d, 0x41c83b0e,
                 0xa20bc7c6, 0x6d5451fd);
    known_answer(UINT64_C(0x85a308d3243f6a88), UINT64_C(0x0370734413198a2e), 0xa4093822,
                 0x299f31d0, 0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1);
    units_exclude_both_ends();
    dropout_is_a_function_of_the_index();
    dropout_keeps_its_share();
    return checks_end();
}

/* Seeded random problems for the attention op: sizes on both sides of every tile's
 * edge, every way a mask can be broadcast, logits from 1e-30 to 1e18. Their output lies
 * between canaries and is filled with NaN before, so that a cell that is not written
 * shows, and one beyond as well. */
#ifndef ATTN_TESTS_ATTENTION_PROBLEMS_H
#define ATTN_TESTS_ATTENTION_PROBLEMS_H

#include <stdlib.h>
#include <string.h>

#include "attention.h"
#include "check.h"
#include "kernels.h"
#include "oracle.h"

static const int lengths[] = {1,   2,   3,   7,   8,   15,  16,  17,  31,  32,  33,  47,  48,
                              49,  63,  64,  65,  95,  96,  97,  111, 112, 113, 127, 128, 129,
                              191, 192, 193, 223, 224, 225, 255, 257, 335, 336, 337, 511, 513};
static const int long_lengths[] = {1023, 1024, 1025, 1343, 1345, 2047, 2049, 2100};
static const int dims[] = {1,  2,  3,  4,  5,  6,  7,  8,  9,  10, 11,  12,  13,
                           14, 15, 16, 17, 31, 32, 33, 64, 80, 96, 127, 128, 129, 256};
static const double logit_scales[] = {1e-30, 1, 4, 30, 1e4, 1e18};
enum { CANARY = 64 };

struct problem {
    enum attn_dtype dtype;
    struct oracle_problem oracle; /* numbers that the precision holds */
    double *query, *key, *value;
    uint8_t* mask;
    double logit_scale;
};

#define ONE_OF(dice, table) dice_one_of(dice, table, (int)(sizeof(table) / sizeof(table[0])))

static inline double* normals(struct dice* dice, ptrdiff_t count, double factor,
                              enum attn_dtype dtype) {
    double* x = malloc((size_t)count * sizeof *x);
    for (ptrdiff_t i = 0; i < count; i++) {
        const double radius = sqrt(-2 * log(dice_unit(dice)));
        x[i] = factor * radius * cos(6.283185307179586 * dice_unit(dice));
        x[i] = dtype == ATTN_FLOAT32 ? (double)(float)x[i] : x[i];
    }
    return x;
}

static inline void draw_mask(struct dice* dice, struct problem* p) {
    struct oracle_problem* o = &p->oracle;
    const ptrdiff_t full[4] = {o->B, o->N, o->T, o->S};
    ptrdiff_t count = 1;
    for (int i = 0; i < 4; i++) {
        o->mask_dim[i] = dice_below(dice, 2) ? full[i] : 1;
        count *= o->mask_dim[i];
    }
    p->mask = malloc((size_t)count);
    const double visible = dice_below(dice, 4) == 0 ? 0.05 : 0.8;
    for (ptrdiff_t i = 0; i < count; i++) {
        p->mask[i] = dice_unit(dice) < visible;
    }
    o->mask = p->mask;
}

/* leaves the dice where they are: more may be drawn with them */
static inline struct dice problem_draw(uint64_t seed, enum attn_dtype dtype,
                                       struct problem* p) {
    struct dice dice = {seed * UINT64_C(7919) + 1};
    memset(p, 0, sizeof *p);
    p->dtype = dtype;
    struct oracle_problem* o = &p->oracle;
    const int is_long = dice_below(&dice, 12) == 0;
    o->T = is_long ? ONE_OF(&dice, long_lengths) : ONE_OF(&dice, lengths);
    o->S = is_long ? ONE_OF(&dice, long_lengths) : ONE_OF(&dice, lengths);
    o->K = ONE_OF(&dice, dims);
    o->V = ONE_OF(&dice, dims);
    const ptrdiff_t one_head = o->T * o->S * (o->K + o->V);
    o->G = one_head < 200000 ? 1 + dice_below(&dice, 4) : 1;
    o->N = o->G * (one_head < 2000000 ? 1 + dice_below(&dice, 4) : 1);
    o->B = one_head * o->N < 400000 ? 1 + dice_below(&dice, 8) : 1;
    o->scale = 1 / sqrt((double)o->K);
    o->causal = dice_below(&dice, 3) == 0;
    o->window = dice_below(&dice, 4) == 0 ? 1 + dice_below(&dice, (int)o->S + 20) : 0;
    p->logit_scale = logit_scales[dice_below(&dice, 6)];
    o->query = p->query = normals(&dice, o->B * o->N * o->T * o->K, p->logit_scale, dtype);
    o->key = p->key = normals(&dice, o->B * o->G * o->S * o->K, 1, dtype);
    o->value = p->value = normals(&dice, o->B * o->G * o->S * o->V, 1, dtype);
    if (dice_below(&dice, 2)) {
        draw_mask(&dice, p);
    }
    return dice;
}

static inline void problem_release(struct problem* p) {
    free(p->query);
    free(p->key);
    free(p->value);
    free(p->mask);
}

/* the data in the op's precision */
static inline void* converted(const double* x, ptrdiff_t count, enum attn_dtype dtype) {
    void* copy = malloc((size_t)count * attn_dtype_size(dtype));
    for (ptrdiff_t i = 0; i < count; i++) {
        if (dtype == ATTN_FLOAT32) {
            ((float*)copy)[i] = (float)x[i];
        } else {
            ((double*)copy)[i] = x[i];
        }
    }
    return copy;
}

static inline struct attn_mask mask_of(const struct oracle_problem* o) {
    struct attn_mask mask = {.causal = o->causal, .window = o->window};
    if (o->mask != NULL) {
        const ptrdiff_t* d = o->mask_dim;
        mask.parts = 1;
        mask.part[0] = (struct attn_mask_part){o->mask, d[0] > 1 ? d[1] * d[2] * d[3] : 0,
                                               d[1] > 1 ? d[2] * d[3] : 0, d[2] > 1 ? d[3] : 0,
                                               d[3] > 1 ? 1 : 0};
    }
    return mask;
}

/* How a problem is run. scores: NULL, or room for (B, N, T, S) weights. */
struct run_settings {
    int threads;
    int reference; /* by the plain definition */
    enum attn_score score;
    enum attn_dead_row dead_row;
    double dropout;
    double* scores;
};

/* a table of `length` multiples of `step` */
static inline ptrdiff_t* multiples(ptrdiff_t length, ptrdiff_t step) {
    ptrdiff_t* offset = malloc((size_t)length * sizeof *offset);
    for (ptrdiff_t i = 0; i < length; i++) {
        offset[i] = i * step;
    }
    return offset;
}

/* the output (B, N, T, V) between canaries */
static inline unsigned char* problem_run(const struct problem* p, struct run_settings how,
                                         size_t* bytes) {
    const struct oracle_problem* o = &p->oracle;
    void* query = converted(o->query, o->B * o->N * o->T * o->K, p->dtype);
    void* key = converted(o->key, o->B * o->G * o->S * o->K, p->dtype);
    void* value = converted(o->value, o->B * o->G * o->S * o->V, p->dtype);
    ptrdiff_t* place[4] = {multiples(o->B, o->N * o->T * o->S), multiples(o->N, o->T * o->S),
                           multiples(o->T, o->S), multiples(o->S, 1)};
    *bytes = (size_t)(o->B * o->N * o->T * o->V) * attn_dtype_size(p->dtype);
    unsigned char* guarded = malloc(*bytes + 2 * CANARY);
    memset(guarded, 0xA5, *bytes + 2 * CANARY);
    memset(guarded + CANARY, 0xFF, *bytes); /* all bits set: a NaN in both precisions */
    struct attn_attention attention = {
        .dtype = p->dtype,
        .batch = o->B, .heads = o->N, .key_heads = o->G,
        .target = o->T, .source = o->S, .key_dim = o->K, .value_dim = o->V,
        .query = query, .query_strides = attn_strides(o->N * o->T * o->K, o->T * o->K, o->K),
        .key = key, .key_strides = attn_strides(o->G * o->S * o->K, o->S * o->K, o->K),
        .value = value, .value_strides = attn_strides(o->G * o->S * o->V, o->S * o->V, o->V),
        .score = how.score, .scale = o->scale, .inner = 1,
        .mask = mask_of(o), .dead_row = how.dead_row,
        .dropout = {.rate = how.dropout, .call = 1},
        .output = guarded + CANARY,
        .output_strides = attn_strides(o->N * o->T * o->V, o->T * o->V, o->V),
        .scores = {how.scores, place[0], place[1], place[2], place[3]},
    };
    struct attn_workspace workspace = {0};
    struct attn_context context = {&workspace, how.threads, NULL, NULL};
    enum attn_status status = how.reference ? attn_attention_reference(&context, &attention)
                                            : attn_attention(&context, &attention);
    CHECK(status == ATTN_OK, "attention returned %d", (int)status);
    attn_workspace_reset(&workspace, 0);
    for (int i = 0; i < 4; i++) {
        free(place[i]);
    }
    free(query);
    free(key);
    free(value);
    return guarded;
}

static inline int canaries_hold(const unsigned char* guarded, size_t bytes) {
    int hold = 1;
    for (size_t i = 0; i < CANARY; i++) {
        hold = hold && guarded[i] == 0xA5 && guarded[CANARY + bytes + i] == 0xA5;
    }
    return hold;
}

/* number `at` of an output of problem_run() */
static inline double output_at(const struct problem* p, const unsigned char* guarded,
                               ptrdiff_t at) {
    return p->dtype == ATTN_FLOAT32 ? (double)((const float*)(const void*)(guarded + CANARY))[at]
                                 : ((const double*)(const void*)(guarded + CANARY))[at];
}

#endif

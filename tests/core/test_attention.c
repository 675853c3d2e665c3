/* Accuracy and determinism of the attention op over seeded random problems, at
 * every instruction set: sizes on both sides of every tile edge, every way a
 * mask can be broadcast, logits from 1e-30 to 1e18.
 *
 * The bound, for output and u = 2^-24 or 2^-53: |error| <= u (1 + max|s|) max|v|
 * with s the scaled logits that the rows see. Usage: test_attention [problems] */
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
enum { MOST_ROWS = 24, CANARY = 64 };

struct problem {
    struct oracle_problem oracle;
    double *query, *key, *value;
    uint8_t* mask;
    double largest_value;
    int rows;
    struct {
        ptrdiff_t b, n, t;
        struct oracle_row row;
        long double* output;
    } row[MOST_ROWS];
    long double largest_logit;
};

#define ONE_OF(dice, table) dice_one_of(dice, table, (int)(sizeof(table) / sizeof(table[0])))

static double* normals(struct dice* dice, ptrdiff_t count, double factor) {
    double* x = malloc((size_t)count * sizeof *x);
    for (ptrdiff_t i = 0; i < count; i++) {
        x[i] = (double)(float)(factor * dice_normal(dice));
    }
    return x;
}

static void draw_mask(struct dice* dice, struct problem* p) {
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

static void draw(uint64_t seed, struct problem* p) {
    struct dice dice = {seed * UINT64_C(7919) + 1};
    memset(p, 0, sizeof *p);
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
    const double logit = logit_scales[dice_below(&dice, 6)];
    o->query = p->query = normals(&dice, o->B * o->N * o->T * o->K, logit);
    o->key = p->key = normals(&dice, o->B * o->G * o->S * o->K, 1);
    o->value = p->value = normals(&dice, o->B * o->G * o->S * o->V, 1);
    for (ptrdiff_t i = 0; i < o->B * o->G * o->S * o->V; i++) {
        p->largest_value = fmax(p->largest_value, fabs(p->value[i]));
    }
    if (dice_below(&dice, 2)) {
        draw_mask(&dice, p);
    }
    long double* weights = malloc((size_t)o->S * sizeof *weights);
    p->rows = MOST_ROWS;
    for (int i = 0; i < p->rows; i++) {
        p->row[i].b = dice_below(&dice, (int)o->B);
        p->row[i].n = dice_below(&dice, (int)o->N);
        p->row[i].t = i == 0 ? 0 : i == 1 ? o->T - 1 : dice_below(&dice, (int)o->T);
        p->row[i].output = malloc((size_t)o->V * sizeof(long double));
        p->row[i].row = oracle_attend(o, p->row[i].b, p->row[i].n, p->row[i].t,
                                      p->row[i].output, weights);
        p->largest_logit = fmaxl(p->largest_logit, p->row[i].row.largest_logit);
    }
    free(weights);
}

static void release(struct problem* p) {
    for (int i = 0; i < p->rows; i++) {
        free(p->row[i].output);
    }
    free(p->query);
    free(p->key);
    free(p->value);
    free(p->mask);
}

/* the data in the op's precision */
static void* converted(const double* x, ptrdiff_t count, enum attn_dtype dtype) {
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

static struct attn_mask mask_of(const struct oracle_problem* o) {
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

/* output between canaries, filled with NaN before */
static unsigned char* run(const struct problem* p, enum attn_dtype dtype, int threads,
                          int reference, size_t* bytes) {
    const struct oracle_problem* o = &p->oracle;
    void* query = converted(o->query, o->B * o->N * o->T * o->K, dtype);
    void* key = converted(o->key, o->B * o->G * o->S * o->K, dtype);
    void* value = converted(o->value, o->B * o->G * o->S * o->V, dtype);
    *bytes = (size_t)(o->B * o->N * o->T * o->V) * attn_dtype_size(dtype);
    unsigned char* guarded = malloc(*bytes + 2 * CANARY);
    memset(guarded, 0xA5, *bytes + 2 * CANARY);
    memset(guarded + CANARY, 0xFF, *bytes); /* all bits set: a NaN in both precisions */
    struct attn_attention attention = {
        .dtype = dtype,
        .batch = o->B, .heads = o->N, .key_heads = o->G,
        .target = o->T, .source = o->S, .key_dim = o->K, .value_dim = o->V,
        .query = query, .query_strides = attn_strides(o->N * o->T * o->K, o->T * o->K, o->K),
        .key = key, .key_strides = attn_strides(o->G * o->S * o->K, o->S * o->K, o->K),
        .value = value, .value_strides = attn_strides(o->G * o->S * o->V, o->S * o->V, o->V),
        .score = ATTN_SCORE_DOT, .scale = o->scale,
        .mask = mask_of(o), .dead_row = ATTN_DEAD_MEAN,
        .output = guarded + CANARY,
        .output_strides = attn_strides(o->N * o->T * o->V, o->T * o->V, o->V),
    };
    struct attn_workspace workspace = {0};
    struct attn_context context = {&workspace, threads, NULL, NULL};
    enum attn_status status = reference ? attn_attention_reference(&context, &attention)
                                        : attn_attention(&context, &attention);
    CHECK(status == ATTN_OK, "attention returned %d", (int)status);
    attn_workspace_reset(&workspace, 0);
    free(query);
    free(key);
    free(value);
    return guarded;
}

static int canaries_hold(const unsigned char* guarded, size_t bytes) {
    int hold = 1;
    for (size_t i = 0; i < CANARY; i++) {
        hold = hold && guarded[i] == 0xA5 && guarded[CANARY + bytes + i] == 0xA5;
    }
    return hold;
}

/* largest error over the bound, NaN where a cell was not written */
static long double worst_error(const struct problem* p, enum attn_dtype dtype,
                               const unsigned char* guarded) {
    const struct oracle_problem* o = &p->oracle;
    const long double u = dtype == ATTN_FLOAT32 ? 0x1p-24L : 0x1p-53L;
    const long double bound = u * (1 + p->largest_logit) * p->largest_value;
    const void* output = guarded + CANARY;
    long double worst = 0;
    for (int i = 0; i < p->rows; i++) {
        ptrdiff_t at = ((p->row[i].b * o->N + p->row[i].n) * o->T + p->row[i].t) * o->V;
        for (ptrdiff_t v = 0; v < o->V; v++) {
            double got = dtype == ATTN_FLOAT32 ? (double)((const float*)output)[at + v]
                                               : ((const double*)output)[at + v];
            long double error = fabsl((long double)got - p->row[i].output[v]) / bound;
            if (!(error <= worst)) {
                worst = error;
            }
        }
    }
    return worst;
}

static long double judge(const struct problem* p, int seed, enum attn_dtype dtype) {
    size_t bytes;
    unsigned char* one = run(p, dtype, 1, 0, &bytes);
    unsigned char* two = run(p, dtype, 2, 0, &bytes);
    long double worst = worst_error(p, dtype, one);
    const char* isa = attn_kernels()->isa;
    CHECK(worst <= 1, "problem %d, %s, float%d: %.3Lf of the bound", seed, isa,
          dtype == ATTN_FLOAT32 ? 32 : 64, worst);
    CHECK(canaries_hold(one, bytes), "problem %d, %s: wrote outside its output", seed, isa);
    CHECK(memcmp(one, two, bytes + 2 * CANARY) == 0,
          "problem %d, %s: 1 and 2 threads give other bits", seed, isa);
    free(one);
    free(two);
    return worst;
}

/* rows so long that a tile of them cannot be counted: an error, and nothing is read */
static void sizes_beyond_memory(void) {
    for (int score = ATTN_SCORE_DOT; score <= ATTN_SCORE_TANH; score++) {
        for (int dtype = 0; dtype < 2; dtype++) {
            for (int shift = 4; shift < 9; shift++) {
                const ptrdiff_t much = (PTRDIFF_MAX >> shift) + 1;
                struct attn_attention p = {
                    .dtype = (enum attn_dtype)dtype, .score = (enum attn_score)score,
                    .batch = 1, .heads = 1, .key_heads = 1, .target = 1, .source = 1,
                    .key_dim = much, .value_dim = 1, .scale = 1, .inner = 1,
                };
                struct attn_workspace workspace = {0};
                const struct attn_context context = {&workspace, 1, NULL, NULL};
                CHECK(attn_attention(&context, &p) == ATTN_NO_MEMORY, "2^-%d of memory, K", shift);
                p.key_dim = 1;
                p.value_dim = much;
                CHECK(attn_attention(&context, &p) == ATTN_NO_MEMORY, "2^-%d of memory, V", shift);
                attn_workspace_reset(&workspace, 0);
            }
        }
    }
}

int main(int argc, char** argv) {
    const int problems = argc > 1 ? atoi(argv[1]) : 2000;
    sizes_beyond_memory();
    long double worst[2][8] = {{0}};
    for (int seed = 1; seed <= problems; seed++) {
        struct problem p;
        draw((uint64_t)seed, &p);
        for (int set = 0; attn_kernels_available(set) != NULL; set++) {
            attn_kernels_choose(attn_kernels_available(set));
            for (int dtype = 0; dtype < 2; dtype++) {
                long double one = judge(&p, seed, (enum attn_dtype)dtype);
                worst[dtype][set] = fmaxl(worst[dtype][set], one);
            }
        }
        release(&p);
    }
    for (int set = 0; attn_kernels_available(set) != NULL; set++) {
        printf("%-8s worst error / bound over %d problems: float32 %.3Lf, float64 %.3Lf\n",
               attn_kernels_available(set), problems, worst[0][set], worst[1][set]);
    }
    return checks_end();
}

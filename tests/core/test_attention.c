/* Accuracy of the attention op over seeded random problems, at every instruction set:
 * sizes on both sides of every tile edge, every way a mask can be broadcast, logits
 * from 1e-30 to 1e18. The bound, for output and u = 2^-24 or 2^-53:
 *   |error| <= u (1 + max|s|) max|v|, s the scaled logits of visible keys,
 * and 1e-6 or 1e-14 where queries, keys and values are standard normal. One thread and
 * two give the same bits. Usage: test_attention [problems [first]] */
#include <float.h>

#include "attention_problems.h"

enum { MOST_ROWS = 24, SETS = 8 };

/* What some of a problem's rows should be. */
struct answer {
    struct {
        ptrdiff_t b, n, t;
        long double* output;
    } row[MOST_ROWS];
    long double bound;
};

struct worst {
    long double of_bound, of_normals;
};

/* max|s| over all rows, in double: good enough for a bound */
static double largest_logit(const struct oracle_problem* o) {
    double largest = 0;
    for (ptrdiff_t row = 0; row < o->B * o->N * o->T; row++) {
        const ptrdiff_t b = row / o->T / o->N, n = row / o->T % o->N, t = row % o->T;
        const double* query = o->query + row * o->K;
        const double* key = o->key + (b * o->G + n / (o->N / o->G)) * o->S * o->K;
        for (ptrdiff_t s = 0; s < o->S; s++, key += o->K) {
            double sum[4] = {0, 0, 0, 0};
            for (ptrdiff_t k = 0; k < o->K; k++) {
                sum[k % 4] += query[k] * key[k];
            }
            const double dot = fabs(o->scale * (sum[0] + sum[1] + sum[2] + sum[3]));
            if (dot > largest && oracle_sees(o, b, n, t, s)) {
                largest = dot;
            }
        }
    }
    return largest;
}

static void solve(struct dice* dice, const struct problem* p, struct answer* answer) {
    const struct oracle_problem* o = &p->oracle;
    long double* weights = malloc((size_t)o->S * sizeof *weights);
    long double largest_value = 0;
    for (ptrdiff_t i = 0; i < o->B * o->G * o->S * o->V; i++) {
        largest_value = fmaxl(largest_value, fabsl((long double)p->value[i]));
    }
    for (int i = 0; i < MOST_ROWS; i++) {
        const ptrdiff_t b = dice_below(dice, (int)o->B), n = dice_below(dice, (int)o->N);
        const ptrdiff_t t = i == 0 ? 0 : i == 1 ? o->T - 1 : dice_below(dice, (int)o->T);
        answer->row[i].b = b;
        answer->row[i].n = n;
        answer->row[i].t = t;
        answer->row[i].output = malloc((size_t)o->V * sizeof(long double));
        oracle_attend(o, b, n, t, answer->row[i].output, weights);
    }
    const long double u = p->dtype == ATTN_FLOAT32 ? 0x1p-24L : 0x1p-53L;
    answer->bound = u * (1 + (long double)largest_logit(o)) * largest_value;
    free(weights);
}

/* largest error, NaN where a cell was not written */
static long double worst_error(const struct problem* p, const struct answer* answer,
                               const unsigned char* guarded) {
    const struct oracle_problem* o = &p->oracle;
    long double worst = 0;
    for (int i = 0; i < MOST_ROWS; i++) {
        const ptrdiff_t row = (answer->row[i].b * o->N + answer->row[i].n) * o->T;
        for (ptrdiff_t v = 0; v < o->V; v++) {
            const double got = output_at(p, guarded, (row + answer->row[i].t) * o->V + v);
            const long double error = fabsl((long double)got - answer->row[i].output[v]);
            if (!(error <= worst)) {
                worst = error;
            }
        }
    }
    return worst;
}

/* whether some cell still holds the NaN that was there before */
static int has_gap(const struct problem* p, const unsigned char* guarded) {
    const struct oracle_problem* o = &p->oracle;
    int gap = 0;
    for (ptrdiff_t i = 0; i < o->B * o->N * o->T * o->V; i++) {
        gap |= isnan(output_at(p, guarded, i));
    }
    return gap;
}

static void judge(const struct problem* p, const struct answer* answer, int seed,
                  struct worst* worst) {
    size_t bytes;
    unsigned char* one = problem_run(p, (struct run_settings){.threads = 1}, &bytes);
    unsigned char* two = problem_run(p, (struct run_settings){.threads = 2}, &bytes);
    const char* isa = attn_kernels()->isa;
    const int single = p->dtype == ATTN_FLOAT32;
    const long double error = worst_error(p, answer, one);
    CHECK(error <= answer->bound, "problem %d, %s, float%d: %.3Lf of the bound", seed, isa,
          single ? 32 : 64, error / answer->bound);
    worst->of_bound = fmaxl(worst->of_bound, error / answer->bound);
    if (p->logit_scale == 1) {
        CHECK(error <= (single ? 1e-6L : 1e-14L), "problem %d, %s, float%d: error %.3Lg", seed,
              isa, single ? 32 : 64, error);
        worst->of_normals = fmaxl(worst->of_normals, error);
    }
    CHECK(!has_gap(p, one), "problem %d, %s: a cell was not written", seed, isa);
    CHECK(canaries_hold(one, bytes), "problem %d, %s: wrote outside its output", seed, isa);
    CHECK(memcmp(one, two, bytes + 2 * CANARY) == 0,
          "problem %d, %s: 1 and 2 threads give other bits", seed, isa);
    free(one);
    free(two);
}

static void try_problem(int seed, enum attn_dtype dtype, struct worst worst[SETS]) {
    struct problem p;
    struct answer answer;
    struct dice dice = problem_draw((uint64_t)seed, dtype, &p);
    solve(&dice, &p, &answer);
    for (int set = 0; attn_kernels_available(set) != NULL; set++) {
        attn_kernels_choose(attn_kernels_available(set));
        judge(&p, &answer, seed, &worst[set]);
    }
    for (int i = 0; i < MOST_ROWS; i++) {
        free(answer.row[i].output);
    }
    problem_release(&p);
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
    const int first = argc > 2 ? atoi(argv[2]) : 1;
    /* an oracle no more exact than what it judges could not judge it */
    const int dtypes = LDBL_MANT_DIG > DBL_MANT_DIG ? 2 : 1;
    if (dtypes == 1) {
        printf("long double is double here: float64 is not judged\n");
    }
    sizes_beyond_memory();
    struct worst worst[2][SETS] = {{{0, 0}}};
    for (int seed = first; seed < first + problems; seed++) {
        for (int dtype = 0; dtype < dtypes; dtype++) {
            try_problem(seed, (enum attn_dtype)dtype, worst[dtype]);
        }
    }
    for (int set = 0; attn_kernels_available(set) != NULL; set++) {
        for (int dtype = 0; dtype < dtypes; dtype++) {
            const struct worst* at = &worst[dtype][set];
            printf("worst %s float%d problems %d of_bound %.3Lf of_normals %.3Lg\n",
                   attn_kernels_available(set), dtype == 0 ? 32 : 64, problems, at->of_bound,
                   at->of_normals);
        }
    }
    return checks_end();
}

/* What attention does with numbers at the ends of the scale, at every instruction set,
 * in both precisions, tiled and by the plain definition:
 *   - huge, tiny, equal and overflowing logits: weights that are right and sum to 1;
 *   - NaN or Inf in one place of a query, key or value: in exactly the cells that
 *     see it, with the bits of all others as they were;
 *   - denormal inputs: the bound of test_attention.c and one smallest number more;
 *   - -0: the results of 0;
 *   - the processor's floating-point mode: as it was found.
 * Usage: test_extreme_values [problems] */
#include <fenv.h>
#include <float.h>
#if defined(__x86_64__)
#include <xmmintrin.h>
#endif

#include "attention_problems.h"

static long tables, cells_compared;

static const char* label(const struct problem* p, struct run_settings how) {
    static char text[96];
    snprintf(text, sizeof text, "%s, float%d, %s%s%s", attn_kernels()->isa,
             p->dtype == ATTN_FLOAT32 ? 32 : 64, how.reference ? "plain" : "tiled",
             how.scores != NULL ? ", weights" : "", how.dropout > 0 ? ", dropout" : "");
    return text;
}

/* ---- logits at the ends of the scale ---------------------------------------- */

enum { S_EXTREME = 150, V_EXTREME = 5 };

/* A table of logits, repeated along the keys: q = 1, k = logit, so that the logits are
 * exact and the weights must be as good as those of moderate ones. */
static void set_logits(struct problem* p, const double* logit, int count) {
    for (int s = 0; s < S_EXTREME; s++) {
        const double x = logit[s % count];
        p->key[s] = p->dtype == ATTN_FLOAT32 ? (double)(float)x : x;
    }
}

static void judge_logits(struct problem* p, const char* what) {
    const double u = p->dtype == ATTN_FLOAT32 ? 0x1p-24 : 0x1p-53;
    long double output[V_EXTREME], weights[S_EXTREME];
    double scores[S_EXTREME];
    oracle_attend(&p->oracle, 0, 0, 0, output, weights);
    for (int way = 0; way < 2; way++) {
        const struct run_settings how = {.threads = 1, .reference = way, .scores = scores};
        size_t bytes;
        unsigned char* got = problem_run(p, how, &bytes);
        long double sum = 0, worst = 0;
        for (int s = 0; s < S_EXTREME; s++) {
            sum += (long double)scores[s];
            const long double error = fabsl((long double)scores[s] - weights[s]);
            worst = error <= worst ? worst : error;
        }
        CHECK(fabsl(sum - 1) <= 4 * u * S_EXTREME, "%s, %s: weights sum to 1 + %Lg", what,
              label(p, how), sum - 1);
        CHECK(worst <= 8 * u, "%s, %s: weights off by %.2Lf u", what, label(p, how), worst / u);
        worst = 0;
        for (int v = 0; v < V_EXTREME; v++) {
            const long double error = fabsl((long double)output_at(p, got, v) - output[v]);
            worst = error <= worst ? worst : error;
        }
        CHECK(worst <= 16 * u, "%s, %s: output off by %.2Lf u", what, label(p, how), worst / u);
        tables++;
        free(got);
    }
}

static void extreme_logits(enum attn_dtype dtype) {
    const int single = dtype == ATTN_FLOAT32;
    const double huge = single ? 1e30 : 1e300, most = single ? FLT_MAX : DBL_MAX;
    const double edge = single ? 88.8 : 709.9, least = single ? 1e-45 : 5e-324;
    const struct {
        const char* what;
        int count;
        double logit[4];
    } table[] = {
        {"huge and its negative", 2, {huge, -huge}},
        {"one huge among small", 4, {1, huge, -1, 0}},
        {"all huge", 1, {huge}},
        {"all hugely negative", 1, {-huge}},
        {"hugely negative and a little less", 2, {-huge, -huge * 0.75}},
        {"the largest number", 3, {most, -most, 0}},
        {"all the largest number", 1, {most}},
        {"where exp() overflows", 4, {edge, -edge, edge - 0.2, 0}},
        {"where exp() underflows", 4, {0, -edge, -edge * 1.2, -edge * 0.98}},
        {"all zero", 1, {0}},
        {"zeros of both signs", 2, {0, -0.0}},
        {"all denormal", 2, {least, -least}},
        {"all equal", 1, {20}},
    };
    double query = 1, key[S_EXTREME], value[S_EXTREME * V_EXTREME];
    struct problem p = {.dtype = dtype, .query = &query, .key = key, .value = value};
    p.oracle = (struct oracle_problem){.B = 1, .N = 1, .G = 1, .T = 1, .S = S_EXTREME, .K = 1,
                                       .V = V_EXTREME, .query = &query, .key = key,
                                       .value = value, .scale = 1};
    for (int i = 0; i < S_EXTREME * V_EXTREME; i++) {
        value[i] = (double)(i * 37 % 64 - 32) / 32; /* at most 1 */
    }
    for (int i = 0; i < (int)(sizeof table / sizeof table[0]); i++) {
        set_logits(&p, table[i].logit, table[i].count);
        judge_logits(&p, table[i].what);
    }
}

/* ---- NaN and Inf ------------------------------------------------------------- */

enum place { IN_QUERY, IN_KEY, IN_VALUE, PLACES };

struct spoiled {
    enum place place;
    ptrdiff_t b, head, at, column; /* head: n of a query, g of a key or value */
    double number;
};

static double* spoiled_number(const struct problem* p, const struct spoiled* spoiled) {
    const struct oracle_problem* o = &p->oracle;
    switch (spoiled->place) {
        case IN_QUERY:
            return p->query + ((spoiled->b * o->N + spoiled->head) * o->T + spoiled->at) * o->K +
                   spoiled->column;
        case IN_KEY:
            return p->key + ((spoiled->b * o->G + spoiled->head) * o->S + spoiled->at) * o->K +
                   spoiled->column;
        default:
            return p->value + ((spoiled->b * o->G + spoiled->head) * o->S + spoiled->at) * o->V +
                   spoiled->column;
    }
}

static struct spoiled draw_spoiled(struct dice* dice, const struct problem* p) {
    const struct oracle_problem* o = &p->oracle;
    static const double numbers[] = {(double)NAN, (double)INFINITY, -(double)INFINITY};
    struct spoiled spoiled;
    spoiled.place = (enum place)dice_below(dice, PLACES);
    spoiled.b = dice_below(dice, (int)o->B);
    spoiled.head = dice_below(dice, (int)(spoiled.place == IN_QUERY ? o->N : o->G));
    spoiled.at = dice_below(dice, (int)(spoiled.place == IN_QUERY ? o->T : o->S));
    spoiled.column = dice_below(dice, (int)(spoiled.place == IN_VALUE ? o->V : o->K));
    spoiled.number = numbers[dice_below(dice, 3)];
    return spoiled;
}

/* Whether the row may differ, and whether it has to be NaN (or Inf, if the value is):
 * a row that sees nothing sees all values, where it is their mean, or all of its
 * logits, where these are shifted. */
struct reach {
    int may, must;
};

static struct reach reach_of(const struct problem* p, const struct spoiled* spoiled,
                             struct run_settings how, ptrdiff_t b, ptrdiff_t n, ptrdiff_t t) {
    const struct oracle_problem* o = &p->oracle;
    const int dead = oracle_is_dead(o, b, n, t);
    struct reach reach = {0, 0};
    if (b != spoiled->b || (spoiled->place == IN_QUERY ? n : n / (o->N / o->G)) != spoiled->head) {
        return reach;
    }
    if (spoiled->place == IN_QUERY) {
        reach.may = t == spoiled->at && (!dead || how.dead_row == ATTN_DEAD_SHIFTED);
    } else if (dead) {
        reach.may = how.dead_row == ATTN_DEAD_SHIFTED ||
                    (how.dead_row == ATTN_DEAD_MEAN && spoiled->place == IN_VALUE);
    } else {
        reach.may = oracle_sees(o, b, n, t, spoiled->at);
    }
    /* tanh(Inf) is 1, -Inf as a logit is the weight 0; what dropout leaves out may be all */
    reach.must = reach.may && isnan(spoiled->number) && how.dropout == 0;
    return reach;
}

static void compare_rows(const struct problem* p, const struct spoiled* spoiled, int seed,
                         struct run_settings how, const unsigned char* clean,
                         const unsigned char* got) {
    const struct oracle_problem* o = &p->oracle;
    const size_t size = attn_dtype_size(p->dtype);
    long touched = 0, missed = 0;
    for (ptrdiff_t row = 0; row < o->B * o->N * o->T; row++) {
        const struct reach reach =
            reach_of(p, spoiled, how, row / o->T / o->N, row / o->T % o->N, row % o->T);
        for (ptrdiff_t v = 0; v < o->V; v++) {
            const ptrdiff_t at = row * o->V + v;
            const int here = spoiled->place != IN_VALUE || v == spoiled->column;
            const size_t byte = CANARY + (size_t)at * size;
            touched += !(reach.may && here) && memcmp(clean + byte, got + byte, size) != 0;
            missed += reach.must && here && !isnan(output_at(p, got, at));
            cells_compared++;
        }
    }
    CHECK(touched == 0, "problem %d, %s: %g in place %d changed %ld cells that do not see it",
          seed, label(p, how), spoiled->number, (int)spoiled->place, touched);
    CHECK(missed == 0, "problem %d, %s: NaN in place %d did not reach %ld cells that see it",
          seed, label(p, how), (int)spoiled->place, missed);
}

/* an infinite value with weights that are not 0: Inf of its sign */
static void compare_infinite(const struct problem* p, const struct spoiled* spoiled, int seed,
                             struct run_settings how, const unsigned char* got) {
    const struct oracle_problem* o = &p->oracle;
    long wrong = 0;
    for (ptrdiff_t row = 0; row < o->B * o->N * o->T; row++) {
        const struct reach reach =
            reach_of(p, spoiled, how, row / o->T / o->N, row / o->T % o->N, row % o->T);
        wrong += reach.may &&
                 output_at(p, got, row * o->V + spoiled->column) != spoiled->number;
    }
    CHECK(wrong == 0, "problem %d, %s: an infinite value with a weight is not Inf in %ld rows",
          seed, label(p, how), wrong);
}

static void try_spoiled(struct dice* dice, const struct problem* p, int seed,
                        struct run_settings how) {
    size_t bytes;
    const struct oracle_problem* o = &p->oracle;
    const size_t cells = (size_t)(o->B * o->N * o->T * o->S);
    double* scores = malloc(cells * sizeof *scores);
    how.scores = dice_below(dice, 2) ? scores : NULL;
    unsigned char* clean = problem_run(p, how, &bytes);
    for (int times = 0; times < 4; times++) {
        const struct spoiled spoiled = draw_spoiled(dice, p);
        double* place = spoiled_number(p, &spoiled);
        const double kept = *place;
        *place = spoiled.number;
        unsigned char* got = problem_run(p, how, &bytes);
        compare_rows(p, &spoiled, seed, how, clean, got);
        CHECK(canaries_hold(got, bytes), "problem %d: wrote outside its output", seed);
        if (spoiled.place == IN_VALUE && isinf(spoiled.number) && p->logit_scale <= 1 &&
            how.score == ATTN_SCORE_DOT && how.dropout == 0) {
            compare_infinite(p, &spoiled, seed, how, got);
        }
        *place = kept;
        free(got);
        tables++;
    }
    free(clean);
    free(scores);
}

static int is_small(const struct oracle_problem* o) {
    return (double)(o->B * o->N) * (double)(o->T * o->S) * (double)(o->K + o->V) < 2e6;
}

/* Whether the problem is small enough to be tried. */
static int spoil_problem(enum attn_dtype dtype, int seed) {
    struct problem p;
    struct dice dice = problem_draw((uint64_t)seed, dtype, &p);
    const int small = is_small(&p.oracle);
    for (int way = 0; small && way < 6; way++) {
        const struct run_settings how = {
            .threads = 1, .reference = way == 5,
            .score = way == 3 ? ATTN_SCORE_TANH : ATTN_SCORE_DOT,
            .dropout = way == 4 ? 0.4 : 0,
            .dead_row = (enum attn_dead_row)((way + seed) % 3),
        };
        try_spoiled(&dice, &p, seed, how);
    }
    problem_release(&p);
    return small;
}

static void spoiled_numbers(enum attn_dtype dtype, int problems) {
    int seed = 1;
    for (int done = 0; done < problems; seed++) {
        done += spoil_problem(dtype, seed);
    }
    /* here a row that sees nothing has shifted logits so far apart that weights are 0 */
    if (seed <= 87) {
        spoil_problem(dtype, 87);
    }
}

/* ---- denormals and zeros ----------------------------------------------------- */

static void scale_all(double* x, ptrdiff_t count, double by, enum attn_dtype dtype) {
    for (ptrdiff_t i = 0; i < count; i++) {
        x[i] = dtype == ATTN_FLOAT32 ? (double)(float)(x[i] * by) : x[i] * by;
    }
}

/* which of query, key and value are denormal: the bits of `which` */
static void judge_denormals(const struct problem* p, int which, int reference) {
    const struct oracle_problem* o = &p->oracle;
    const int single = p->dtype == ATTN_FLOAT32;
    const struct run_settings how = {.threads = 1, .reference = reference};
    long double* output = malloc((size_t)o->V * sizeof *output);
    long double* weights = malloc((size_t)o->S * sizeof *weights);
    size_t bytes;
    unsigned char* got = problem_run(p, how, &bytes);
    long double largest_value = 0, largest_logit = 0, worst = 0;
    for (ptrdiff_t i = 0; i < o->B * o->G * o->S * o->V; i++) {
        largest_value = fmaxl(largest_value, fabsl((long double)p->value[i]));
    }
    for (ptrdiff_t row = 0; row < o->B * o->N * o->T; row++) {
        const struct oracle_row is =
            oracle_attend(o, row / o->T / o->N, row / o->T % o->N, row % o->T, output, weights);
        largest_logit = fmaxl(largest_logit, is.largest_logit);
        for (ptrdiff_t v = 0; v < o->V; v++) {
            const long double error =
                fabsl((long double)output_at(p, got, row * o->V + v) - output[v]);
            worst = error <= worst ? worst : error;
        }
    }
    /* the plain definition sums in one go: the bound is the tiled one's */
    const long double bound =
        (single ? 0x1p-24L : 0x1p-53L) * (1 + largest_logit) * largest_value *
            (reference ? (long double)o->S : 1) +
        (single ? 0x1p-149L : (long double)0x1p-1074) * (reference ? (long double)o->S : 1);
    CHECK(worst <= bound, "denormals %d, %s: %.3Lf of the bound", which, label(p, how),
          worst / bound);
    tables++;
    free(got);
    free(output);
    free(weights);
}

static void denormals(enum attn_dtype dtype, int problems) {
    const double tiny = dtype == ATTN_FLOAT32 ? 1e-40 : 1e-310;
    for (int seed = 1, done = 0; done < problems; seed++) {
        for (int which = 1; which < 8; which++) {
            struct problem p;
            problem_draw((uint64_t)seed, dtype, &p);
            const struct oracle_problem* o = &p.oracle;
            if (!is_small(o) || p.logit_scale != 1) {
                problem_release(&p);
                break;
            }
            done += which == 7;
            scale_all(p.query, o->B * o->N * o->T * o->K, which & 1 ? tiny : 1, dtype);
            scale_all(p.key, o->B * o->G * o->S * o->K, which & 2 ? tiny : 1, dtype);
            scale_all(p.value, o->B * o->G * o->S * o->V, which & 4 ? tiny : 1, dtype);
            judge_denormals(&p, which, 0);
            judge_denormals(&p, which, 1);
            problem_release(&p);
        }
    }
}

/* Every third number is 0, then -0. */
static void zeros_of_both_signs(enum attn_dtype dtype) {
    for (int seed = 1, done = 0; done < 10; seed++) {
        struct problem p;
        problem_draw((uint64_t)seed, dtype, &p);
        const struct oracle_problem* o = &p.oracle;
        if (is_small(o)) {
            done++;
            double* x[3] = {p.query, p.key, p.value};
            const ptrdiff_t count[3] = {o->B * o->N * o->T * o->K, o->B * o->G * o->S * o->K,
                                        o->B * o->G * o->S * o->V};
            const struct run_settings how = {.threads = 1};
            unsigned char* got[2];
            size_t bytes;
            for (int negative = 0; negative < 2; negative++) {
                for (int i = 0; i < 3; i++) {
                    for (ptrdiff_t j = 0; j < count[i]; j += 3) {
                        x[i][j] = negative ? -0.0 : 0;
                    }
                }
                got[negative] = problem_run(&p, how, &bytes);
            }
            long differing = 0;
            for (ptrdiff_t i = 0; i < o->B * o->N * o->T * o->V; i++) {
                differing += output_at(&p, got[0], i) != output_at(&p, got[1], i);
            }
            CHECK(differing == 0, "problem %d, %s: -0 is not 0 in %ld cells", seed,
                  label(&p, how), differing);
            free(got[0]);
            free(got[1]);
            tables++;
        }
        problem_release(&p);
    }
}

/* ---- the floating-point mode -------------------------------------------------- */

/* all but the flags of what has happened */
static unsigned long mode(void) {
#if defined(__x86_64__)
    return _mm_getcsr() & ~0x3FUL;
#elif defined(__aarch64__)
    unsigned long control;
    __asm__ volatile("mrs %0, fpcr" : "=r"(control));
    return control;
#else
    return (unsigned long)fegetround();
#endif
}

int main(int argc, char** argv) {
    const int problems = argc > 1 ? atoi(argv[1]) : 40;
    const unsigned long found = mode();
    /* float64 is not judged by an oracle that is no more exact */
    const int judged = LDBL_MANT_DIG > DBL_MANT_DIG ? 2 : 1;
    for (int set = 0; attn_kernels_available(set) != NULL; set++) {
        CHECK(attn_kernels_choose(attn_kernels_available(set)), "an available set is refused");
        const int failed = checks_failed;
        tables = cells_compared = 0;
        for (int dtype = 0; dtype < 2; dtype++) {
            if (dtype < judged) {
                extreme_logits((enum attn_dtype)dtype);
                denormals((enum attn_dtype)dtype, 1 + problems / 10);
            }
            spoiled_numbers((enum attn_dtype)dtype, problems);
            zeros_of_both_signs((enum attn_dtype)dtype);
        }
        CHECK(mode() == found, "%s: another floating-point mode is left behind",
              attn_kernels()->isa);
        printf("extremes %s cases %ld cells %ld failed %d mode %s\n", attn_kernels()->isa, tables,
               cells_compared, checks_failed - failed, mode() == found ? "kept" : "changed");
    }
    return checks_end();
}

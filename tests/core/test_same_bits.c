/* Attention gives the same bits for 1, 2, 3, 7 and 16 threads, call after call, with
 * either score function, with weights returned and dropout, at every instruction set.
 * Usage: test_same_bits [problems [repeats]]
 *
 * Small work is given fewer threads than are asked for: tools/verify/determinism.sh
 * compiles this once more with a core that starts them all. */
#include "attention_problems.h"

static const int thread_counts[] = {1, 2, 3, 7, 16};
static const double MOST_OPERATIONS = 4e7;

static double operations(const struct oracle_problem* o) {
    return (double)(o->B * o->N) * (double)(o->T * o->S) * (double)(o->K + o->V);
}

/* what differs from problem to problem */
static struct run_settings settings_of(int seed, const struct problem* p, double* scores) {
    const struct oracle_problem* o = &p->oracle;
    return (struct run_settings){
        .score = seed % 4 == 3 && operations(o) < MOST_OPERATIONS / 10 ? ATTN_SCORE_TANH
                                                                       : ATTN_SCORE_DOT,
        .dead_row = (enum attn_dead_row)(seed % 3),
        .dropout = seed % 5 == 4 ? 0.3 : 0,
        .scores = seed % 2 ? scores : NULL,
    };
}

/* the number of calls whose bits were not those of the first */
static int differing_calls(int seed, const struct problem* p, int repeats, long* calls) {
    const struct oracle_problem* o = &p->oracle;
    const size_t cells = (size_t)(o->B * o->N * o->T * o->S);
    double* scores = malloc(cells * sizeof *scores);
    double* first_scores = malloc(cells * sizeof *scores);
    unsigned char* first = NULL;
    size_t bytes;
    int differing = 0;
    for (int repeat = 0; repeat < repeats; repeat++) {
        for (int i = 0; i < (int)(sizeof thread_counts / sizeof thread_counts[0]); i++) {
            struct run_settings how = settings_of(seed, p, scores);
            how.threads = thread_counts[i];
            memset(scores, 0xFF, cells * sizeof *scores);
            unsigned char* got = problem_run(p, how, &bytes);
            ++*calls;
            if (first == NULL) {
                first = got;
                memcpy(first_scores, scores, cells * sizeof *scores);
                continue;
            }
            differing += memcmp(first, got, bytes + 2 * CANARY) != 0 ||
                         memcmp(first_scores, scores, cells * sizeof *scores) != 0;
            free(got);
        }
    }
    free(first);
    free(scores);
    free(first_scores);
    return differing;
}

int main(int argc, char** argv) {
    const int problems = argc > 1 ? atoi(argv[1]) : 20;
    const int repeats = argc > 2 ? atoi(argv[2]) : 2;
    for (int set = 0; attn_kernels_available(set) != NULL; set++) {
        attn_kernels_choose(attn_kernels_available(set));
        long calls = 0, differing = 0;
        int done = 0;
        for (int seed = 1; done < problems; seed++) {
            struct problem p;
            problem_draw((uint64_t)seed, (enum attn_dtype)(done % 2), &p);
            if (operations(&p.oracle) < MOST_OPERATIONS) {
                const int differ = differing_calls(seed, &p, repeats, &calls);
                CHECK(differ == 0, "problem %d, %s: other bits in %d calls", seed,
                      attn_kernels()->isa, differ);
                differing += differ;
                done++;
            }
            problem_release(&p);
        }
        printf("bits %s problems %d calls %ld differing %ld\n", attn_kernels()->isa, problems,
               calls, differing);
    }
    return checks_end();
}

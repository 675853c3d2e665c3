/* Threads: every item once at any width, progress when slices are short, and no
 * more threads than the system gives. */
#include <stdlib.h>
#include <string.h>
#if defined(_OPENMP) && defined(__linux__)
#include <sys/resource.h>
#endif

#include "check.h"
#include "parallel.h"
#include "team.h"

enum { ITEMS = 5000 };
static int times_run[ITEMS];

static void mark(void* work, ptrdiff_t item, int thread) {
    (void)thread;
    ((int*)work)[item]++;
}

static void every_item_runs_once(int width) {
    struct attn_workspace workspace = {0};
    struct attn_context context = {&workspace, width, NULL, NULL};
    memset(times_run, 0, sizeof times_run);
    const int granted = attn_parallel_width(&context, ITEMS, 1e12);
    CHECK(granted >= 1 && granted <= width, "%d of %d threads", granted, width);
    attn_parallel_run(&context, granted, ITEMS, mark, times_run);
    int once = 1;
    for (int i = 0; i < ITEMS; i++) {
        once = once && times_run[i] == 1;
    }
    CHECK(once, "an item was left out or run twice by %d threads", granted);
}

static void count_poll(void* polls) { ++*(int*)polls; }

static void busy(void* work, ptrdiff_t item, int thread) {
    (void)thread;
    volatile double sum = 0;
    for (int i = 0; i < 3000000; i++) {
        sum = sum + i;
    }
    ((double*)work)[item] = sum;
}

static void long_work_is_polled(void) {
    int polls = 0;
    double results[40];
    struct attn_context context = {NULL, 1, count_poll, &polls};
    attn_parallel_run(&context, 1, 40, busy, results);
    CHECK(polls > 0, "long work was never polled");
}

/* Threads are tried with stacks of the size that the environment asks for, where it is one. */
static void stacks_of_any_size(void) {
#if defined(_OPENMP) && defined(__linux__)
    static const char* const sizes[] = {"2M", "512 k", "300", "1048576B", "16K", "3x", "-1",
                                        "0", "99999999999999999G"};
    const int count = (int)(sizeof sizes / sizeof sizes[0]);
    for (int i = 0; i < count; i++) {
        setenv("OMP_STACKSIZE", sizes[i], 1);
        every_item_runs_once(10 + i);
    }
    unsetenv("OMP_STACKSIZE");
#endif
}

/* libgomp would end the process: as a limit of address space that has no room
 * for that many stacks shows */
static void refused_threads_are_not_fatal(void) {
#if defined(_OPENMP) && defined(__linux__)
    struct rlimit limit = {(rlim_t)512 << 20, (rlim_t)512 << 20};
    CHECK(setrlimit(RLIMIT_AS, &limit) == 0, "no limit could be set");
    every_item_runs_once(2000);
    every_item_runs_once(2000); /* the refusal is known, and fewer are asked for */
    every_item_runs_once(3);
#endif
}

/* A worker may be ending yet when a region after its own has one thread alone. */
static void threads_are_remembered(void) {
#if defined(_OPENMP) && !defined(_WIN32)
    attn_team_join(0, 2);
    attn_team_join(0, 1);
    CHECK(attn_team_has_worked(), "threads of a wide region are forgotten after a narrow one");
#endif
}

int main(void) {
    for (int width = 1; width <= 9; width++) {
        every_item_runs_once(width);
    }
    long_work_is_polled();
    stacks_of_any_size();
    refused_threads_are_not_fatal();
    threads_are_remembered();
    return checks_end();
}

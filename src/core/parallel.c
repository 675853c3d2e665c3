#include "parallel.h"

#include <limits.h>
#include <stdlib.h>
#include <time.h>

#ifdef _OPENMP
#include <omp.h>
#ifndef _WIN32
#include <pthread.h>
#endif
#endif

static const double SLICE_SECONDS = 0.04;        /* leaves room below the promised 50 ms */
static const double OPERATIONS_PER_THREAD = 2e6; /* below this a thread costs more than it does */

static int process_threads = 1;
#ifdef _OPENMP
static int in_forked_child = 0;
#endif

int attn_has_openmp(void) {
#ifdef _OPENMP
    return 1;
#else
    return 0;
#endif
}

int attn_threads_default(void) {
#ifdef _OPENMP
    /* both already know OMP_NUM_THREADS and the processor affinity */
    int threads = omp_get_max_threads();
    int limit = omp_get_thread_limit();
    if (threads > limit) {
        threads = limit;
    }
    return threads > 0 ? threads : 1;
#else
    return 1;
#endif
}

int attn_threads_get(void) { return process_threads; }

void attn_threads_set(int threads) {
#ifdef _OPENMP
    int limit = omp_get_thread_limit();
    /* far more threads than processors only cost: stop where it is surely a slip */
    int sensible = 4 * omp_get_num_procs();
    sensible = sensible < 64 ? 64 : sensible;
    limit = limit > sensible ? sensible : limit;
    threads = threads > limit ? limit : threads;
    process_threads = threads < 1 || in_forked_child ? 1 : threads;
#else
    (void)threads;
    process_threads = 1;
#endif
}

#if defined(_OPENMP) && !defined(_WIN32)
/* libgomp's pool does not survive fork(): a child that opened a parallel region
 * would wait for threads that are not there. So a child keeps to one thread. */
static void after_fork_in_child(void) {
    in_forked_child = 1;
    process_threads = 1;
}
#endif

void attn_threads_initialize(void) {
    process_threads = attn_threads_default();
#if defined(_OPENMP) && !defined(_WIN32)
    pthread_atfork(NULL, NULL, after_fork_in_child);
#endif
}

#if defined(_OPENMP) && !defined(_WIN32)
static void* wait_for_gate(void* gate) {
    pthread_mutex_lock(gate);
    pthread_mutex_unlock(gate);
    return NULL;
}

/* How many of `wanted` more threads the system lets run at once. */
static int probe_threads(int wanted) {
    pthread_t* probe = malloc((size_t)wanted * sizeof *probe);
    if (probe == NULL) {
        return 0;
    }
    pthread_mutex_t gate = PTHREAD_MUTEX_INITIALIZER;
    int started = 0;
    pthread_mutex_lock(&gate);
    while (started < wanted &&
           pthread_create(&probe[started], NULL, wait_for_gate, &gate) == 0) {
        started++;
    }
    pthread_mutex_unlock(&gate);
    for (int i = 0; i < started; i++) {
        pthread_join(probe[i], NULL);
    }
    free(probe);
    return started;
}

/* libgomp ends the process when it cannot start a thread, so a width is tried
 * before the first region that has it. Where the system refuses, half of what it
 * gave is taken: the rest of the process needs threads and memory as well. */
static int width_that_can_start(int width) {
    static int proven = 1, most = INT_MAX;
    width = width < most ? width : most;
    if (width > proven) {
        const int started = probe_threads(width - 1);
        if (started < width - 1) {
            most = 1 + started / 2 > proven ? 1 + started / 2 : proven;
            width = most;
        }
        proven = width;
    }
    return width;
}
#endif

int attn_parallel_width(const struct attn_context* context, ptrdiff_t items, double operations) {
    int width = context->threads;
    if ((double)width > 1.0 + operations / OPERATIONS_PER_THREAD) {
        width = 1 + (int)(operations / OPERATIONS_PER_THREAD);
    }
    if (width > items) {
        width = (int)items;
    }
    if (width <= 1) {
        return 1;
    }
#if defined(_OPENMP) && !defined(_WIN32)
    return width_that_can_start(width);
#elif defined(_OPENMP)
    return width;
#else
    return 1;
#endif
}

static double seconds(void) {
    struct timespec now;
    timespec_get(&now, TIME_UTC);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

/* Whether a slice that began at `start` is over. A clock that was set back ends
 * it as well, or the work would never be polled again. */
static int slice_is_over(double start) {
    double elapsed = seconds() - start;
    return elapsed > SLICE_SECONDS || elapsed < 0;
}

void attn_parallel_run(const struct attn_context* context, int width, ptrdiff_t items,
                       attn_item run, void* work) {
    ptrdiff_t next = 0;
    if (items == 1) { /* nothing to poll after, so no need of a clock: calls are often small */
        run(work, 0, 0);
        return;
    }
    while (next < items) {
        double start = seconds();
        if (width > 1) {
#ifdef _OPENMP
#pragma omp parallel num_threads(width)
            {
                int thread = omp_get_thread_num();
                /* at least one item each, or a slice that the system spent on
                 * starting threads would bring the work no further */
                do {
                    ptrdiff_t item;
#pragma omp atomic capture
                    item = next++;
                    if (item >= items) {
                        break;
                    }
                    run(work, item, thread);
                } while (!slice_is_over(start));
            }
#endif
        } else {
            do {
                run(work, next, 0);
                next++;
            } while (next < items && !slice_is_over(start));
        }
        if (next < items && context->poll != NULL) {
            context->poll(context->poll_data);
        }
    }
}

double attn_parallel_now(void) { return seconds(); }

double attn_parallel_poll(const struct attn_context* context, double start) {
    if (!slice_is_over(start)) {
        return start;
    }
    if (context->poll != NULL) {
        context->poll(context->poll_data);
    }
    return seconds();
}

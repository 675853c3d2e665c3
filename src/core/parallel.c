#include "parallel.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "team.h"

#ifdef _OPENMP
#include <omp.h>
#ifndef _WIN32
#include <pthread.h>
#endif
#endif

/* leaves room below the promised 100 ms for what is under way, and for giving memory back */
static double slice_seconds = 0.025;
static const double OPERATIONS_PER_THREAD = 2e6; /* below this a thread costs more than it does */
static const double OPERATIONS_PER_LOOK = 1e6;   /* a look at the clock is nothing beside them */

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

#ifdef _OPENMP
/* Checks of packages that others run beside them set a variable to anything but "false", as R
 * itself reads it, and allow two cores. */
static int cores_are_limited(void) {
    static const char no[] = "false";
    const char* value = getenv("_R_CHECK_LIMIT_CORES_");
    if (value == NULL || value[0] == '\0') {
        return 0;
    }
    size_t same = 0;
    while (no[same] != '\0' && tolower((unsigned char)value[same]) == no[same]) {
        same++;
    }
    return no[same] != '\0' || value[same] != '\0';
}
#endif

int attn_threads_default(void) {
#ifdef _OPENMP
    /* both already know OMP_NUM_THREADS and the processor affinity */
    int threads = omp_get_max_threads();
    int limit = omp_get_thread_limit();
    if (cores_are_limited() && limit > 2) {
        limit = 2;
    }
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

/* Whether this process is the child of a fork and has started no program since: other packages
 * may have used the pool in its parent, before this code was loaded. Linux notes it among the
 * flags of the process; elsewhere nobody knows, and the answer is no. */
static int began_as_fork(void) {
#ifdef __linux__
    static const unsigned long forked_without_exec = 0x40; /* PF_FORKNOEXEC */
    enum { FLAGS = 7 };                                     /* fields behind the name */
    char line[1024];
    FILE* file = fopen("/proc/self/stat", "r");
    if (file == NULL) {
        return 0;
    }
    line[fread(line, 1, sizeof line - 1, file)] = '\0';
    (void)fclose(file);
    /* the name of the program, in parentheses, may hold anything */
    const char* field = strrchr(line, ')');
    for (int i = 0; field != NULL && i < FLAGS; i++) {
        field = strchr(field + 1, ' ');
    }
    return field != NULL && (strtoul(field, NULL, 10) & forked_without_exec) != 0;
#else
    return 0;
#endif
}
#endif

void attn_threads_initialize(void) {
    process_threads = attn_threads_default();
#if defined(_OPENMP) && !defined(_WIN32)
    pthread_atfork(NULL, NULL, after_fork_in_child);
    if (in_forked_child || began_as_fork()) {
        after_fork_in_child();
    }
#endif
}

int attn_parallel_width(const struct attn_context* context, ptrdiff_t items, double operations) {
    int width = context->threads;
    if ((double)width > 1.0 + operations / OPERATIONS_PER_THREAD) {
        width = 1 + (int)(operations / OPERATIONS_PER_THREAD);
    }
    width = width > ATTN_MOST_THREADS ? ATTN_MOST_THREADS : width;
    if (width > items) {
        width = (int)items;
    }
    if (width <= 1) {
        return 1;
    }
    return attn_team_width(width);
}

static double seconds(void) {
    struct timespec now;
    (void)timespec_get(&now, TIME_UTC);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

/* When the slice under way began, which is when there was last a poll. Only the calling
 * thread changes it, outside parallel regions. */
static double slice_start;

void attn_parallel_set_slice(double length) {
    slice_seconds = length;
    slice_start = 0;
}

/* A clock that was set back ends a slice as well, or the work would never be polled again. */
static int slice_is_over(double start) {
    const double elapsed = seconds() - start;
    return elapsed > slice_seconds || elapsed < 0;
}

int attn_progress_must_pause(const struct attn_progress* progress) {
    return slice_is_over(progress->slice);
}

ptrdiff_t attn_progress_parts(double operations) {
    const int many = slice_seconds >= 0 && operations < OPERATIONS_PER_LOOK;
    return many ? (ptrdiff_t)(OPERATIONS_PER_LOOK / (operations < 1 ? 1 : operations)) : 1;
}

void attn_parallel_poll(const struct attn_context* context) {
    if (slice_is_over(slice_start)) {
        if (context->poll != NULL) {
            context->poll(context->poll_data);
        }
        slice_start = seconds();
    }
}

/* bytes that are copied between two looks at the clock: about a millisecond */
static const size_t COPY_PIECE = (size_t)1 << 22;

void attn_parallel_copy(const struct attn_context* context, void* to, const void* from,
                        size_t bytes) {
    for (size_t at = 0; at < bytes; at += COPY_PIECE) {
        if (at > 0) {
            attn_parallel_poll(context);
        }
        memcpy((unsigned char*)to + at, (const unsigned char*)from + at,
               bytes - at < COPY_PIECE ? bytes - at : COPY_PIECE);
    }
}

void attn_parallel_zero(const struct attn_context* context, void* to, size_t bytes) {
    for (size_t at = 0; at < bytes; at += COPY_PIECE) {
        if (at > 0) {
            attn_parallel_poll(context);
        }
        memset((unsigned char*)to + at, 0, bytes - at < COPY_PIECE ? bytes - at : COPY_PIECE);
    }
}

const struct attn_context attn_context_alone = {NULL, 1, NULL, NULL};

/* ---- items ---- */

struct slot {
    ptrdiff_t item; /* that was left unfinished, or -1 */
    struct attn_progress progress;
};

struct items {
    ptrdiff_t next, count;
    attn_long_item run;
    void* work;
};

static ptrdiff_t next_item(struct items* items) {
    ptrdiff_t item;
#ifdef _OPENMP
#pragma omp atomic capture
#endif
    item = items->next++;
    return item < items->count ? item : -1;
}

/* Items, one after the other, until the slice is over: at least a part of one, or a slice
 * that the system spent on starting threads would bring the work no further. */
static void run_slot(struct items* items, struct slot* slot, int number) {
    do {
        if (slot->item < 0) {
            slot->item = next_item(items);
            slot->progress.stage = slot->progress.at = 0;
            slot->progress.number = 0;
        }
        if (slot->item < 0) {
            return;
        }
        if (items->run(items->work, slot->item, number, &slot->progress)) {
            slot->item = -1;
        }
    } while (!slice_is_over(slot->progress.slice));
}

static void run_slice(struct items* items, int width, struct slot* slots) {
    /* what was there when the call began may be used up by now */
    const int wanted = width > 1 ? attn_team_width(width) : 1;
#ifdef _OPENMP
    if (wanted > 1) {
#pragma omp parallel num_threads(attn_team_steady(wanted, process_threads))
        {
            const int thread = omp_get_thread_num(), threads = omp_get_num_threads();
            const int working = threads < wanted ? threads : wanted;
            attn_team_join(thread, threads);
            if (thread < working) {
                run_slot(items, &slots[thread], thread);
            }
            /* of threads that worked in an earlier slice and do not now */
            for (int other = thread + working; thread < working && other < width;
                 other += working) {
                if (slots[other].item >= 0) {
                    run_slot(items, &slots[other], other);
                }
            }
        }
        return;
    }
#endif
    (void)wanted;
    run_slot(items, slots, 0);
    for (int other = 1; other < width; other++) {
        if (slots[other].item >= 0) {
            run_slot(items, &slots[other], other);
        }
    }
}

static int is_unfinished(const struct items* items, int width, const struct slot* slots) {
    for (int i = 0; i < width; i++) {
        if (slots[i].item >= 0) {
            return 1;
        }
    }
    return items->next < items->count;
}

void attn_parallel_run_long(const struct attn_context* context, int width, ptrdiff_t count,
                            attn_long_item run, void* work) {
    struct items items = {0, count, run, work};
    struct slot slots[ATTN_MOST_THREADS];
    width = width > 1 ? width : 1;
    for (int i = 0; i < width; i++) {
        slots[i].item = -1;
    }
    if (count == 1) { /* calls are often small: no need of a clock where the item has none */
        const struct slot only = {next_item(&items), {.slice = slice_start}};
        slots[0] = only;
        if (run(work, 0, 0, &slots[0].progress)) {
            return;
        }
    }
    while (is_unfinished(&items, width, slots)) {
        attn_parallel_poll(context);
        for (int i = 0; i < width; i++) {
            slots[i].progress.slice = slice_start;
        }
        run_slice(&items, width, slots);
    }
}

struct short_items {
    attn_item run;
    void* work;
};

static int run_short_item(void* data, ptrdiff_t item, int slot, struct attn_progress* progress) {
    const struct short_items* items = data;
    (void)progress;
    items->run(items->work, item, slot);
    return 1;
}

void attn_parallel_run(const struct attn_context* context, int width, ptrdiff_t count,
                       attn_item run, void* work) {
    struct short_items items = {run, work};
    attn_parallel_run_long(context, width, count, run_short_item, &items);
}

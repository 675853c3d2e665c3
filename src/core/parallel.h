/* Threads. Work is a numbered list of items that do not depend on each other;
 * any thread may take any item, so results are the same bits for every number
 * of threads as long as an item computes the same whoever runs it. */
#ifndef ATTN_CORE_PARALLEL_H
#define ATTN_CORE_PARALLEL_H

#include <stddef.h>

#include "workspace.h"

/* What a call carries downwards: its memory, its threads, and what to do
 * between slices of long work. `poll` may leave by longjmp: it runs on the
 * calling thread, outside parallel regions, and all memory belongs to the
 * workspace. */
struct attn_context {
    struct attn_workspace* workspace;
    int threads;
    void (*poll)(void* poll_data);
    void* poll_data;
};

typedef void (*attn_item)(void* work, ptrdiff_t item, int slot);

/* Most threads of a parallel region. */
enum { ATTN_MOST_THREADS = 512 };

/* Number of threads worth starting for that many items and operations. */
int attn_parallel_width(const struct attn_context* context, ptrdiff_t items, double operations);

/* Runs items 0 .. items-1 on `width` threads, in slices of 25 ms: when one is over, the
 * items under way are finished, and the calling thread polls. A slice goes on over
 * several runs. */
void attn_parallel_run(const struct attn_context* context, int width, ptrdiff_t items,
                       attn_item run, void* work);

/* ---- items that may take longer than a slice ---- */

/* Where an item was left when its slice was over: what the item keeps here, all 0 when it
 * begins, and in the scratch memory of its slot. There are as many slots as threads, and
 * an item stays in the slot where it began, whichever thread goes on with it: what it
 * computes does not depend on where it was left. */
struct attn_progress {
    ptrdiff_t stage, at;
    double number;
    double slice; /* when the slice under way began */
};

/* Begins the item, or goes on with it, and returns whether it is finished. Between two
 * looks, and before the first one of a slice, it does a part of its work. */
typedef int (*attn_long_item)(void* work, ptrdiff_t item, int slot,
                              struct attn_progress* progress);

/* Whether the item is to be left: looks at the clock, so not after every small part. */
int attn_progress_must_pause(const struct attn_progress* progress);

/* How many parts of so many operations are worth a look at the clock, at least 1: on the
 * slowest instruction set they take some milliseconds. */
ptrdiff_t attn_progress_parts(double operations);

void attn_parallel_run_long(const struct attn_context* context, int width, ptrdiff_t items,
                            attn_long_item run, void* work);

/* ---- work on the calling thread ---- */

/* Polls if the slice is over. For loops over parts that are each too short to be polled
 * after; all memory must have an owner, as in any poll. */
void attn_parallel_poll(const struct attn_context* context);

/* Numbers of a plain loop that are worth a look at the clock. */
enum { ATTN_POLL_NUMBERS = 1 << 18 };

/* The same within a loop over numbers, of which `at` is done, counted from 0. */
static inline void attn_parallel_poll_at(const struct attn_context* context, ptrdiff_t at) {
    if (at % ATTN_POLL_NUMBERS == ATTN_POLL_NUMBERS - 1) {
        attn_parallel_poll(context);
    }
}

/* The same after a part of so many numbers; *since: numbers since the last look, 0 at first. */
static inline void attn_parallel_poll_after(const struct attn_context* context,
                                            ptrdiff_t numbers, ptrdiff_t* since) {
    *since += numbers;
    if (*since >= ATTN_POLL_NUMBERS) {
        *since = 0;
        attn_parallel_poll(context);
    }
}

/* memcpy() and memset() to 0, polled */
void attn_parallel_copy(const struct attn_context* context, void* to, const void* from,
                        size_t bytes);
void attn_parallel_zero(const struct attn_context* context, void* to, size_t bytes);

/* Of work that nobody waits for: one thread, no memory, no polls. */
extern const struct attn_context attn_context_alone;

/* Slices of another length, for tests: negative ones are over at every look, and parts
 * are looked after one by one. */
void attn_parallel_set_slice(double seconds);

/* Process-wide number of threads. */
void attn_threads_initialize(void);
int attn_threads_get(void);
void attn_threads_set(int threads);
int attn_threads_default(void);
int attn_has_openmp(void);

#endif

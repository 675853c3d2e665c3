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

typedef void (*attn_item)(void* work, ptrdiff_t item, int thread);

/* Number of threads worth starting for that many items and operations. */
int attn_parallel_width(const struct attn_context* context, ptrdiff_t items, double operations);

/* Runs items 0 .. items-1 on `width` threads, polling after the items that are
 * under way when 40 ms are over. */
void attn_parallel_run(const struct attn_context* context, int width, ptrdiff_t items,
                       attn_item run, void* work);

/* For work of many parts that are each too short to be polled after: polls if a slice is
 * over that began at `start`. When the slice began that is under way then. */
double attn_parallel_poll(const struct attn_context* context, double start);
double attn_parallel_now(void);

/* Process-wide number of threads. */
void attn_threads_initialize(void);
int attn_threads_get(void);
void attn_threads_set(int threads);
int attn_threads_default(void);
int attn_has_openmp(void);

#endif

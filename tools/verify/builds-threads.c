/* Between the tests of the core and the core, by the linker's --wrap: says at the end how many
 * threads the widest parallel region had, and gives calls that name fewer threads than
 * $LEAST_THREADS as many as that. */
#include <stdio.h>
#include <stdlib.h>

#include "parallel.h"
#include "team.h"

void __real_attn_team_join(int thread, int width);
int __real_attn_parallel_width(const struct attn_context* context, ptrdiff_t items,
                               double operations);
void __wrap_attn_team_join(int thread, int width);
int __wrap_attn_parallel_width(const struct attn_context* context, ptrdiff_t items,
                               double operations);

/* of the calling thread alone, which opens all regions */
static int widest = 1;

static void say_widest(void) { printf("widest region %d threads\n", widest); }

void __wrap_attn_team_join(int thread, int width) {
    if (thread == 0) {
        if (widest == 1) {
            atexit(say_widest);
        }
        widest = width > widest ? width : widest;
    }
    __real_attn_team_join(thread, width);
}

int __wrap_attn_parallel_width(const struct attn_context* context, ptrdiff_t items,
                               double operations) {
    const char* least = getenv("LEAST_THREADS");
    struct attn_context wider = *context;
    if (least != NULL && wider.threads < atoi(least)) {
        wider.threads = atoi(least);
    }
    return __real_attn_parallel_width(&wider, items, operations);
}

/* A limit of the process would leave the sanitizer's own memory no room. */
struct rlimit;
int __wrap_setrlimit(int resource, const struct rlimit* limit);
int __wrap_setrlimit(int resource, const struct rlimit* limit) {
    (void)resource;
    (void)limit;
    return 0;
}

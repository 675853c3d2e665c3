/* A mistake on purpose: items of parallel work that write to the same place. What looks
 * for data races must find this one. */
#include <stdio.h>

#include "parallel.h"

static void add(void* work, ptrdiff_t item, int slot) {
    (void)slot;
    *(double*)work += (double)item;
}

int main(void) {
    struct attn_workspace workspace = {0};
    const struct attn_context context = {&workspace, 4, NULL, NULL};
    double sum = 0;
    attn_parallel_run(&context, 4, 100000, add, &sum);
    printf("%g\n", sum);
    return 0;
}

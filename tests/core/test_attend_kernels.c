/* The kernels of attention, of every instruction set and in both precisions, one by
 * one against plain loops in long double. What they read ends at a page that cannot
 * be read; behind what they may write lie canaries. */
#include <float.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "check.h"
#include "kernels.h"

#ifndef MAP_ANONYMOUS
#define MAP_ANONYMOUS MAP_ANON
#endif

enum { MOST_DIMS = 70, MOST_ROWS = 256, CANARIES = 64, SLOT_BYTES = 1 << 19 };
/* buffers that are in use together; a slot below MOST_ROWS is a row */
enum { PACKED = MOST_ROWS, QUERY, LOGITS, OUTPUT, ROW_MAX, ROW_SUM, FACTOR, SLOTS };

static struct dice dice = {1};

/* `bytes` bytes that end where reading and writing fault */
static void* fenced(int slot, size_t bytes) {
    static unsigned char* end[SLOTS];
    if (end[slot] == NULL) {
        const size_t page = (size_t)sysconf(_SC_PAGESIZE);
        unsigned char* begin = mmap(NULL, SLOT_BYTES + page, PROT_READ | PROT_WRITE,
                                    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (begin == MAP_FAILED || mprotect(begin + SLOT_BYTES, page, PROT_NONE) != 0 ||
            bytes > SLOT_BYTES) {
            abort();
        }
        end[slot] = begin + SLOT_BYTES;
    }
    return end[slot] - bytes;
}

static int untouched(const void* from, size_t bytes) {
    const unsigned char* byte = from;
    int all = 1;
    for (size_t i = 0; i < bytes; i++) {
        all &= byte[i] == 0xFF;
    }
    return all;
}

#define REAL_BITS 32
#include "real.h"
#define REAL_KERNELS attn_kernels()->f32
#define UNIT 0x1p-24L
#define LARGEST FLT_MAX
#define SMALLEST FLT_MIN
#include "attend_kernels_real.h"
#include "softmax_kernels_real.h"
#undef REAL_BITS
#undef REAL_KERNELS
#undef UNIT
#undef LARGEST
#undef SMALLEST

#define REAL_BITS 64
#include "real.h"
#define REAL_KERNELS attn_kernels()->f64
#define UNIT 0x1p-53L
#define LARGEST DBL_MAX
#define SMALLEST DBL_MIN
#include "attend_kernels_real.h"
#include "softmax_kernels_real.h"

int main(void) {
    for (int set = 0; attn_kernels_available(set) != NULL; set++) {
        attn_kernels_choose(attn_kernels_available(set));
        all_f32();
        all_f64();
    }
    return checks_end();
}

/* What the peers written in C share: a case is a line of `key=value` words on
 * standard input, the answer is a line with the seconds of the fastest call, or
 * "skip" and a reason. */
#ifndef ATTN_BENCH_PEER_H
#define ATTN_BENCH_PEER_H

#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { LINE_SIZE = 1024 };

/* the word behind `key=`, in a buffer that the next call reuses */
static inline const char* word_of(const char* line, const char* key, const char* otherwise) {
    static char word[64];
    const size_t length = strlen(key);
    for (const char* at = line; (at = strstr(at, key)) != NULL; at += length) {
        if ((at == line || at[-1] == ' ') && at[length] == '=') {
            snprintf(word, sizeof word, "%.*s", (int)strcspn(at + length + 1, " \n"),
                     at + length + 1);
            return word;
        }
    }
    return otherwise;
}

static inline int is_word(const char* line, const char* key, const char* word) {
    return strcmp(word_of(line, key, ""), word) == 0;
}

static inline ptrdiff_t number_of(const char* line, const char* key) {
    return (ptrdiff_t)atoll(word_of(line, key, "0"));
}

static inline double clock_seconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

/* Seconds of the fastest call. All peers time alike: the first call warms up;
 * calls shorter than a millisecond are timed in batches that fill two; what takes
 * longer than the budget is called once more, what takes two seconds is not. */
static inline double fastest_call(void (*call)(void*), void* data, double budget) {
    const double start = clock_seconds();
    call(data);
    double best = clock_seconds() - start;
    if (best > 2) {
        return best;
    }
    double before = clock_seconds();
    call(data);
    best = clock_seconds() - before;
    const int batch = best < 1e-3 ? (int)(2e-3 / (best + 1e-9)) + 1 : 1;
    const double end = clock_seconds() + budget;
    while (best < budget && (before = clock_seconds()) < end) {
        for (int i = 0; i < batch; i++) {
            call(data);
        }
        const double seconds = (clock_seconds() - before) / batch;
        best = seconds < best ? seconds : best;
    }
    return best;
}

/* numbers between -0.5 and 0.5, the same in every run */
static inline void* filled(int is_double, ptrdiff_t count) {
    const size_t bytes = ((size_t)count * (is_double ? 8 : 4) + 63) / 64 * 64;
    void* made = aligned_alloc(64, bytes);
    if (made == NULL) {
        fprintf(stderr, "no memory for %td numbers\n", count);
        exit(1);
    }
    unsigned state = 1;
    for (ptrdiff_t i = 0; i < count; i++) {
        state = state * 1664525u + 1013904223u;
        const double x = (double)(state >> 8) / 16777216.0 - 0.5;
        if (is_double) {
            ((double*)made)[i] = x;
        } else {
            ((float*)made)[i] = (float)x;
        }
    }
    return made;
}

#endif

/* Attention as one would write it on paper, one row at a time, in long double
 * (64-bit mantissa on x86-64). Shares no code with what it judges. */
#ifndef ATTN_TESTS_ORACLE_H
#define ATTN_TESTS_ORACLE_H

#include <stddef.h>
#include <stdint.h>

/* Contiguous tensors in double: query (B, N, T, K), key (B, G, S, K), value (B, G, S, V). */
struct oracle_problem {
    ptrdiff_t B, N, G, T, S, K, V;
    const double *query, *key, *value;
    double scale;
    int causal;
    ptrdiff_t window;
    const uint8_t* mask; /* NULL or (mask_dim) broadcast to (B, N, T, S) */
    ptrdiff_t mask_dim[4];
};

struct oracle_row {
    int dead;                /* no key is visible */
    long double largest_logit; /* max |s| over visible keys */
};

int oracle_sees(const struct oracle_problem* problem, ptrdiff_t b, ptrdiff_t n, ptrdiff_t t,
                ptrdiff_t s);

/* whether query t sees no key at all */
int oracle_is_dead(const struct oracle_problem* problem, ptrdiff_t b, ptrdiff_t n, ptrdiff_t t);

/* One row: output (V), weights (S). A dead row gives the mean of all values. */
struct oracle_row oracle_attend(const struct oracle_problem* problem, ptrdiff_t b, ptrdiff_t n,
                                ptrdiff_t t, long double* output, long double* weights);

#endif

/* How a layer computes a call. What a call needs beyond its arrays follows from
 * their ranks and from the flags. R works it out, with all its checks; a plan
 * keeps it, so that the next call of the same form goes straight to the core. */
#ifndef ATTN_GLUE_PLAN_H
#define ATTN_GLUE_PLAN_H

#include "marshal.h"

enum { QUERY, VALUE, KEY, INPUTS };

struct glue_plan {
    int leading, attending;   /* axes in `order`, and how many of them attend */
    int order[ATTN_MAX_RANK]; /* the inputs' leading axes, batch axes first */
    int causal, window, training, reference, scores, projections;
    enum attn_dead_row dead_row;
    double threshold; /* numbers of a mask count as TRUE above it; 0: all but zero do */
};

/* the arrays of one call */
struct glue_request {
    SEXP input[INPUTS]; /* without a key: R_NilValue in its place */
    int masks;
    struct glue_array mask[ATTN_MASK_PARTS]; /* in the layout of the scores */
    int has_rows;
    struct glue_array rows; /* which rows of the output are kept: (batch axes, query axes) */
};

/* Computes a call. Returns NULL and gives a list (output, scores, projections),
 * the latter two NULL where the plan does not ask for them; or returns what does
 * not fit, with nothing done. The caller counts the call, with attn_layer_count(),
 * when nothing is left to do that could fail. */
const char* glue_forward(struct attn_layer* layer, const struct glue_plan* plan,
                         const struct glue_request* request, SEXP* results);

/* how many plans the layer remembers */
int glue_plan_count(SEXP handle);

#endif

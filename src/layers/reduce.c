/* Keras's operations Any, All, Sum, Mean, Max and Min over some axes, by that name in
 * lower case as the text. The result has no mask.
 *
 * Settings: what the result is (0 floats, 1 whole numbers, 2 flags), whether the axes stay
 * as axes of 1, the axes, counted from 0 or from the end as -1; none: all of them. */
#include <string.h>

#include "step.h"

enum { RESULT, KEEPS, AXES };
enum reducing { ANY, ALL, SUM, MEAN, MAX, MIN, REDUCINGS };

static const char* const names[REDUCINGS] = {"any", "all", "sum", "mean", "max", "min"};

/* axes, of which each number of the result goes through all */
struct walk {
    int rank;
    ptrdiff_t dim[ATTN_MAX_RANK], step[ATTN_MAX_RANK];
};

static void add_axis(struct walk* walk, ptrdiff_t dim, ptrdiff_t step) {
    walk->dim[walk->rank] = dim;
    walk->step[walk->rank] = step;
    walk->rank++;
}

/* the place of the at-th of a walk's numbers, the last axis being the fastest */
static ptrdiff_t place_of(const struct walk* walk, ptrdiff_t at) {
    ptrdiff_t place = 0;
    for (int axis = walk->rank - 1; axis >= 0; axis--) {
        place += at % walk->dim[axis] * walk->step[axis];
        at /= walk->dim[axis];
    }
    return place;
}

static ptrdiff_t length_of(const struct walk* walk) {
    ptrdiff_t length = 1;
    for (int axis = 0; axis < walk->rank; axis++) {
        length *= walk->dim[axis];
    }
    return length;
}

static double next(enum reducing how, double so_far, double x) {
    switch (how) {
        case ANY:
            return so_far != 0 || x != 0;
        case ALL:
            return so_far != 0 && x != 0;
        case MAX: /* NaN stays */
            return x > so_far || x != x ? x : so_far;
        case MIN:
            return x < so_far || x != x ? x : so_far;
        default:
            return so_far + x;
    }
}

static double reduced(const struct attn_context* context, enum reducing how,
                      const struct walk* inner, ptrdiff_t count, const double* x) {
    double result = how == ANY || how == ALL ? x[0] != 0 : x[0];
    for (ptrdiff_t i = 1; i < count; i++) {
        result = next(how, result, x[place_of(inner, i)]);
        attn_parallel_poll_at(context, i);
    }
    return how == MEAN ? result / (double)count : result;
}

static enum attn_status find_axes(const struct attn_step* step, int rank, int* goes) {
    for (int axis = 0; axis < rank; axis++) {
        goes[axis] = step->settings == AXES;
    }
    for (int i = AXES; i < step->settings; i++) {
        const ptrdiff_t axis = attn_step_whole(step, i) + (step->setting[i] < 0 ? rank : 0);
        if (axis < 0 || axis >= rank) {
            return ATTN_BAD_LENGTH;
        }
        goes[axis] = 1;
    }
    return ATTN_OK;
}

static enum attn_status run(struct attn_run* run, const struct attn_step* step,
                            struct attn_value* const* in, struct attn_value* out) {
    const struct attn_value* x = in[0];
    const ptrdiff_t result = attn_step_whole(step, RESULT);
    int how = 0, goes[ATTN_MAX_RANK], rank = 0;
    ptrdiff_t dim[ATTN_MAX_RANK], stride = 1;
    struct walk inner = {0}, outer = {0};
    while (how < REDUCINGS && strcmp(names[how], step->text) != 0) {
        how++;
    }
    if (how == REDUCINGS || attn_value_length(x) < 1) {
        return how == REDUCINGS ? ATTN_BAD_STATE : ATTN_BAD_LENGTH;
    }
    ATTN_TRY(find_axes(step, x->rank, goes));
    for (int axis = 0; axis < x->rank; axis++) {
        stride = attn_value_extent(x, axis + 1, x->rank);
        add_axis(goes[axis] ? &inner : &outer, x->dim[axis], stride);
        if (!goes[axis] || attn_step_flag(step, KEEPS)) {
            dim[rank++] = goes[axis] ? 1 : x->dim[axis];
        }
    }
    ATTN_TRY(attn_value_new(&run->memory,
                            result == 1   ? ATTN_VALUE_INT32
                            : result == 2 ? ATTN_VALUE_BOOL
                                          : (enum attn_value_type)step->dtype,
                            rank, dim, out));
    const double* numbers = attn_value_floats(&run->context, ATTN_FLOAT64, x);
    if (numbers == NULL) {
        return ATTN_NO_MEMORY;
    }
    const ptrdiff_t length = attn_value_length(out), count = length_of(&inner);
    ptrdiff_t since = 0;
    for (ptrdiff_t i = 0; i < length; i++) {
        attn_value_put(out, i, reduced(&run->context, (enum reducing)how, &inner, count,
                                       numbers + place_of(&outer, i)));
        attn_parallel_poll_after(&run->context, count, &since);
    }
    return ATTN_OK;
}

const struct attn_operation attn_reduce_operation = {
    .name = "reduce", .inputs = {1, 1}, .settings = {AXES, AXES + ATTN_MAX_RANK},
    .passes_mask = 0, .needs_layer = 0, .run = run,
};

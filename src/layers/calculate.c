/* Keras's operations on tensors, number by number: arithmetic, comparisons, logic, a
 * choice between two. The text is the operation's name. Operands are tensors or numbers
 * and arrays of the model itself, broadcast as numpy does. The result has no mask.
 *
 * Settings: what the result is (0 floats, 1 whole numbers, 2 flags); the number of
 * operands; for each operand -1, the next input, or the rank, the dims and the numbers of
 * an array, row-major. */
#include <math.h>
#include <string.h>

#include "elementwise.h"
#include "row_items.h"
#include "step.h"

enum { MOST_OPERANDS = 3, RESULT = 0, OPERANDS = 1, FIRST = 2 };

#define OPERATION_COST 20.0

/* ---- what is calculated ---- */

#define FUNCTION(name, value)                  \
    static double name##_of(const double* x) { \
        return (value);                        \
    }
static int is_nan(double x) {
    return x != x;
}
FUNCTION(add, x[0] + x[1])
FUNCTION(subtract, x[0] - x[1])
FUNCTION(multiply, x[0] * x[1])
FUNCTION(divide, x[0] / x[1])
FUNCTION(floor_divide, floor(x[0] / x[1]))
FUNCTION(power, pow(x[0], x[1]))
FUNCTION(maximum, is_nan(x[0]) || x[0] > x[1] ? x[0] : x[1])
FUNCTION(minimum, is_nan(x[0]) || x[0] < x[1] ? x[0] : x[1])
FUNCTION(equal, x[0] == x[1])
FUNCTION(not_equal, x[0] != x[1])
FUNCTION(greater, x[0] > x[1])
FUNCTION(greater_equal, x[0] >= x[1])
FUNCTION(less, x[0] < x[1])
FUNCTION(less_equal, x[0] <= x[1])
FUNCTION(logical_and, x[0] != 0 && x[1] != 0)
FUNCTION(logical_or, x[0] != 0 || x[1] != 0)
FUNCTION(logical_xor, (x[0] != 0) != (x[1] != 0))
FUNCTION(logical_not, x[0] == 0)
FUNCTION(negative, -x[0])
FUNCTION(absolute, fabs(x[0]))
FUNCTION(square, x[0] * x[0])
FUNCTION(sqrt, sqrt(x[0]))
FUNCTION(exp, exp(x[0]))
FUNCTION(log, log(x[0]))
FUNCTION(where, x[0] != 0 ? x[1] : x[2])
/* with the sign of the divisor, as Python has it */
static double mod_of(const double* x) {
    const double rest = fmod(x[0], x[1]);
    return rest != 0 && (rest < 0) != (x[1] < 0) ? rest + x[1] : rest;
}

struct function {
    const char* name;
    double (*of)(const double* x);
    int operands;
    int merge; /* of enum attn_merge, where floats can be merged by that; or -1 */
};

#define ROW(name, operands, merge) {#name, name##_of, operands, merge}
static const struct function functions[] = {
    ROW(add, 2, ATTN_MERGE_ADD),
    ROW(subtract, 2, ATTN_MERGE_SUBTRACT),
    ROW(multiply, 2, ATTN_MERGE_MULTIPLY),
    ROW(maximum, 2, ATTN_MERGE_MAXIMUM),
    ROW(minimum, 2, ATTN_MERGE_MINIMUM),
    ROW(divide, 2, -1), ROW(floor_divide, 2, -1), ROW(mod, 2, -1), ROW(power, 2, -1),
    ROW(equal, 2, -1), ROW(not_equal, 2, -1), ROW(greater, 2, -1), ROW(greater_equal, 2, -1),
    ROW(less, 2, -1), ROW(less_equal, 2, -1), ROW(logical_and, 2, -1), ROW(logical_or, 2, -1),
    ROW(logical_xor, 2, -1), ROW(logical_not, 1, -1), ROW(negative, 1, -1),
    ROW(absolute, 1, -1), ROW(square, 1, -1), ROW(sqrt, 1, -1), ROW(exp, 1, -1),
    ROW(log, 1, -1), ROW(where, 3, -1),
};

static const struct function* function_named(const char* name) {
    for (size_t i = 0; i < sizeof functions / sizeof functions[0]; i++) {
        if (strcmp(functions[i].name, name) == 0) {
            return &functions[i];
        }
    }
    return NULL;
}

/* ---- operands ---- */

/* an array among the settings, from setting `*at` on, which moves behind it */
static enum attn_status read_array(const struct attn_step* step, int* at,
                                   struct attn_operand* operand) {
    const ptrdiff_t rank = attn_step_whole(step, (*at)++);
    ptrdiff_t length;
    if (rank < 0 || rank > ATTN_MAX_RANK || rank > step->settings - *at) {
        return ATTN_BAD_STATE;
    }
    operand->rank = (int)rank;
    for (int axis = 0; axis < operand->rank; axis++) {
        operand->dim[axis] = attn_step_whole(step, (*at)++);
        if (operand->dim[axis] < 1) {
            return ATTN_BAD_STATE;
        }
    }
    ATTN_TRY(attn_checked_length(operand->rank, operand->dim, &length));
    if (length > step->settings - *at) {
        return ATTN_BAD_STATE;
    }
    operand->data = &step->setting[*at];
    *at += (int)length;
    return ATTN_OK;
}

/* a copy of doubles as floats */
static const void* as_floats(struct attn_run* run, const struct attn_operand* operand) {
    ptrdiff_t length = 1;
    for (int axis = 0; axis < operand->rank; axis++) {
        length *= operand->dim[axis];
    }
    float* made = attn_workspace_take(run->context.workspace, (size_t)length, sizeof *made);
    for (ptrdiff_t i = 0; made != NULL && i < length; i++) {
        made[i] = (float)((const double*)operand->data)[i];
        attn_parallel_poll_at(&run->context, i);
    }
    return made;
}

/* Every operand's dims, and its numbers in `dtype`. */
static enum attn_status read_operands(struct attn_run* run, const struct attn_step* step,
                                      struct attn_value* const* in, int count,
                                      enum attn_dtype dtype, struct attn_operand* operand) {
    int at = FIRST, input = 0;
    for (int k = 0; k < count; k++) {
        if (at >= step->settings) {
            return ATTN_BAD_STATE;
        }
        if (step->setting[at] >= 0) {
            ATTN_TRY(read_array(step, &at, &operand[k]));
            operand[k].data = dtype == ATTN_FLOAT32 ? as_floats(run, &operand[k])
                                                    : operand[k].data;
        } else {
            if (input >= step->inputs || in[input] == NULL) {
                return ATTN_BAD_STATE;
            }
            operand[k].rank = in[input]->rank;
            memcpy(operand[k].dim, in[input]->dim, sizeof in[input]->dim);
            operand[k].data = attn_value_floats(&run->context, dtype, in[input]);
            input++;
            at++;
        }
        if (operand[k].data == NULL) {
            return ATTN_NO_MEMORY;
        }
    }
    return ATTN_OK;
}

/* ---- number by number ---- */

struct calculation {
    const struct function* function;
    const double* x[MOST_OPERANDS];
    int rank;
    const ptrdiff_t* dim;
    ptrdiff_t step[MOST_OPERANDS][ATTN_MAX_RANK]; /* 0 along a broadcast axis */
    ptrdiff_t length;
    const struct attn_value* out;
};

static void set_steps(const struct attn_operand* operand, int rank, ptrdiff_t* to) {
    const int shift = rank - operand->rank;
    ptrdiff_t step = 1;
    for (int axis = rank - 1; axis >= 0; axis--) {
        const ptrdiff_t own = axis < shift ? 1 : operand->dim[axis - shift];
        to[axis] = own == 1 ? 0 : step;
        step *= own;
    }
}

static double calculate(const struct calculation* work, ptrdiff_t at) {
    double x[MOST_OPERANDS];
    ptrdiff_t place[MOST_OPERANDS] = {0};
    for (int axis = work->rank - 1; axis >= 0; axis--) {
        const ptrdiff_t index = at % work->dim[axis];
        at /= work->dim[axis];
        for (int k = 0; k < work->function->operands; k++) {
            place[k] += index * work->step[k][axis];
        }
    }
    for (int k = 0; k < work->function->operands; k++) {
        x[k] = work->x[k][place[k]];
    }
    return work->function->of(x);
}

static void calculate_item(void* data, ptrdiff_t item, int thread) {
    const struct calculation* work = data;
    const ptrdiff_t first = item * ATTN_ITEM_NUMBERS;
    const ptrdiff_t count = attn_item_rows(work->length, first, ATTN_ITEM_NUMBERS);
    (void)thread;
    for (ptrdiff_t at = first; at < first + count; at++) {
        attn_value_put(work->out, at, calculate(work, at));
    }
}

static enum attn_status by_number(struct attn_run* run, const struct function* function,
                                  const struct attn_operand* operand, int rank,
                                  const ptrdiff_t* dim, struct attn_value* out) {
    struct calculation work = {.function = function, .rank = rank, .dim = dim, .out = out,
                               .length = attn_value_length(out)};
    for (int k = 0; k < function->operands; k++) {
        work.x[k] = operand[k].data;
        set_steps(&operand[k], rank, work.step[k]);
    }
    const ptrdiff_t items = attn_row_items(work.length, ATTN_ITEM_NUMBERS);
    const int threads =
        attn_parallel_width(&run->context, items, OPERATION_COST * (double)work.length);
    attn_parallel_run(&run->context, threads, items, calculate_item, &work);
    return ATTN_OK;
}

static enum attn_status run(struct attn_run* run, const struct attn_step* step,
                            struct attn_value* const* in, struct attn_value* out) {
    const struct function* function = function_named(step->text);
    const ptrdiff_t result = attn_step_whole(step, RESULT);
    if (function == NULL || attn_step_whole(step, OPERANDS) != function->operands) {
        return ATTN_BAD_STATE;
    }
    const enum attn_value_type type = result == 1   ? ATTN_VALUE_INT32
                                      : result == 2 ? ATTN_VALUE_BOOL
                                                    : (enum attn_value_type)step->dtype;
    const int merges = function->merge >= 0 && result == 0;
    struct attn_operand operand[MOST_OPERANDS] = {{0}};
    ptrdiff_t dim[ATTN_MAX_RANK];
    int rank;
    ATTN_TRY(read_operands(run, step, in, function->operands,
                           merges ? step->dtype : ATTN_FLOAT64, operand));
    ATTN_TRY(attn_broadcast_shape(function->operands, operand, &rank, dim));
    ATTN_TRY(attn_value_new(&run->memory, type, rank, dim, out));
    if (merges) {
        return attn_merge(&run->context, step->dtype, (enum attn_merge)function->merge,
                          function->operands, operand, rank, dim, out->buffer->data);
    }
    return by_number(run, function, operand, rank, dim, out);
}

const struct attn_operation attn_calculate_operation = {
    .name = "calculate", .inputs = {1, MOST_OPERANDS}, .settings = {FIRST + 1, -1},
    .passes_mask = 0, .needs_layer = 0, .run = run,
};

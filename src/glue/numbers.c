/* Numbers of R's that are made without a layer: those of the initializers, and the rounding of
 * all that is given to "float32". */
#include <Rmath.h>

#include "glue.h"

/* such numbers between two polls: those of quantiles are the slow ones */
enum { NUMBERS_TO_POLL = 1 << 16 };

struct affine {
    double shift, scale;
};

static struct affine affine_of(SEXP x) {
    if (TYPEOF(x) != REALSXP || Rf_xlength(x) != 2) {
        glue_abort("internal", "random numbers are moved by a shift and a scale");
    }
    const struct affine map = {REAL_RO(x)[0], REAL_RO(x)[1]};
    return map;
}

static R_xlen_t count_of(SEXP n) {
    if (TYPEOF(n) != REALSXP || Rf_xlength(n) != 1) {
        glue_abort("internal", "numbers need a count");
    }
    const double count = REAL_RO(n)[0];
    if (!(count >= 0 && count <= (double)R_XLEN_T_MAX)) {
        glue_abort("internal", "the count of numbers is out of range");
    }
    return (R_xlen_t)count;
}

/* Rounded twice, where compilers may make one operation of the two: numbers of a seed are
 * the same on every machine. */
static double moved(struct affine map, double x) {
    const volatile double scaled = map.scale * x;
    return map.shift + scaled;
}

/* `n` numbers: uniform ones between 0 and 1, moved by `inner`; of these the quantiles of the
 * normal distribution where `is_normal`; and these moved by `outer`. */
SEXP ffi_random_numbers(SEXP n, SEXP key, SEXP inner, SEXP is_normal, SEXP outer) {
    const R_xlen_t count = count_of(n);
    const int normal = glue_plain_flag(is_normal);
    if (normal < 0) {
        glue_abort("internal", "random numbers are normal or not");
    }
    const struct attn_random_key words = glue_key(key);
    const struct affine before = affine_of(inner), after = affine_of(outer);
    SEXP numbers = PROTECT(glue_vector(REALSXP, count));
    double* to = REAL(numbers);
    struct attn_random_bits bits = {{0}};
    for (R_xlen_t i = 0; i < count; i++) {
        if (i % 2 == 0) {
            bits = attn_random_block(words, (uint64_t)i / 2, 0);
        }
        const uint32_t* pair = bits.word + 2 * (i % 2);
        const double uniform = moved(before, attn_random_unit(pair[0], pair[1]));
        to[i] = moved(after, normal ? Rf_qnorm5(uniform, 0, 1, 1, 0) : uniform);
        if (i % NUMBERS_TO_POLL == NUMBERS_TO_POLL - 1) {
            glue_poll();
        }
    }
    UNPROTECT(1);
    return numbers;
}

/* `value`, `times` times. */
SEXP ffi_same_numbers(SEXP value, SEXP times) {
    if (TYPEOF(value) != REALSXP || Rf_xlength(value) != 1) {
        glue_abort("internal", "only one number can be repeated");
    }
    const R_xlen_t count = count_of(times);
    const double number = REAL_RO(value)[0];
    SEXP numbers = PROTECT(glue_vector(REALSXP, count));
    double* to = REAL(numbers);
    for (R_xlen_t begin = 0; begin < count; begin += GLUE_POLL_EVERY) {
        const R_xlen_t end = count - begin < GLUE_POLL_EVERY ? count : begin + GLUE_POLL_EVERY;
        for (R_xlen_t i = begin; i < end; i++) {
            to[i] = number;
        }
        glue_poll();
    }
    UNPROTECT(1);
    return numbers;
}

/* Each number as "float32" holds it, without attributes. */
SEXP ffi_round_to_float32(SEXP x) {
    if (TYPEOF(x) != REALSXP) {
        glue_abort("internal", "only numbers can be rounded");
    }
    const R_xlen_t count = Rf_xlength(x);
    SEXP rounded = PROTECT(glue_vector(REALSXP, count));
    const double* from = REAL_RO(x);
    double* to = REAL(rounded);
    for (R_xlen_t begin = 0; begin < count; begin += GLUE_POLL_EVERY) {
        const R_xlen_t end = count - begin < GLUE_POLL_EVERY ? count : begin + GLUE_POLL_EVERY;
        for (R_xlen_t i = begin; i < end; i++) {
            to[i] = (double)(float)from[i];
        }
        glue_poll();
    }
    UNPROTECT(1);
    return rounded;
}

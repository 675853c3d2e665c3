/* Functions of arrays, number by number. Included by kernels_impl.h. */

/* Whole vectors in place, then what is left through a buffer: `statement` is run
 * with `from` and `to` pointing at a vector of x and y. */
#define ATTN_ELEMENTWISE(count, x, y, statement)                                     \
    do {                                                                             \
        ptrdiff_t at = 0;                                                            \
        for (; at + VEC_LANES <= (count); at += VEC_LANES) {                         \
            const real* from = (x) + at;                                             \
            real* to = (y) + at;                                                     \
            statement;                                                               \
        }                                                                            \
        if (at < (count)) {                                                          \
            const size_t rest = (size_t)((count) - at) * sizeof(real);               \
            real from[VEC_LANES] = {0}, to[VEC_LANES] = {0};                         \
            memcpy(from, (x) + at, rest);                                            \
            memcpy(to, (y) + at, rest);                                              \
            statement;                                                               \
            memcpy((y) + at, to, rest);                                              \
        }                                                                            \
    } while (0)

static void KERNEL(soft_cap)(ptrdiff_t count, real* x, real cap) {
    const vec by = vec_set1(cap);
    ATTN_ELEMENTWISE(count, x, x,
                     vec_store(to, vec_mul(by, KERNEL(vec_tanh)(vec_div(vec_load(from), by)))));
}

static void KERNEL(sigmoid_gate)(ptrdiff_t count, real* x, const real* gate) {
    const vec one = vec_set1((real)1), zero = vec_set1((real)0);
    ATTN_ELEMENTWISE(count, gate, x, {
        vec decay = KERNEL(vec_exp)(vec_sub(zero, vec_load(from)));
        vec_store(to, vec_div(vec_load(to), vec_add(one, decay)));
    });
}

static void KERNEL(exponential)(ptrdiff_t count, const real* x, real* y) {
    ATTN_ELEMENTWISE(count, x, y, vec_store(to, KERNEL(vec_exp)(vec_load(from))));
}

static void KERNEL(exponential_negative)(ptrdiff_t count, real scale, const real* x, real* y) {
    const struct KERNEL(exponent) by = KERNEL(exponent_of)(scale);
    ATTN_ELEMENTWISE(count, x, y, vec_store(to, KERNEL(vec_exp_negative)(vec_load(from), by)));
}

static void KERNEL(hyperbolic_tangent)(ptrdiff_t count, const real* x, real* y) {
    ATTN_ELEMENTWISE(count, x, y, vec_store(to, KERNEL(vec_tanh)(vec_load(from))));
}
#undef ATTN_ELEMENTWISE

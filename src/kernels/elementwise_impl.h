/* Functions of arrays, number by number. Included by kernels_impl.h. */

/* ---- element by element; the last, incomplete vector goes through a buffer ------ */

static void KERNEL(soft_cap)(ptrdiff_t count, real* x, real cap) {
    const vec by = vec_set1(cap);
    real buffer[VEC_LANES] = {0};
    for (ptrdiff_t i = 0; i < count; i += VEC_LANES) {
        ptrdiff_t n = count - i < VEC_LANES ? count - i : VEC_LANES;
        real* at = n == VEC_LANES ? x + i : buffer;
        if (n < VEC_LANES) {
            memcpy(buffer, x + i, (size_t)n * sizeof(real));
        }
        vec_store(at, vec_mul(by, KERNEL(vec_tanh)(vec_div(vec_load(at), by))));
        if (n < VEC_LANES) {
            memcpy(x + i, buffer, (size_t)n * sizeof(real));
        }
    }
}

static void KERNEL(sigmoid_gate)(ptrdiff_t count, real* x, const real* gate) {
    const vec one = vec_set1((real)1);
    real buffer[VEC_LANES] = {0}, gate_buffer[VEC_LANES] = {0};
    for (ptrdiff_t i = 0; i < count; i += VEC_LANES) {
        ptrdiff_t n = count - i < VEC_LANES ? count - i : VEC_LANES;
        real* at = n == VEC_LANES ? x + i : buffer;
        const real* by = n == VEC_LANES ? gate + i : gate_buffer;
        if (n < VEC_LANES) {
            memcpy(buffer, x + i, (size_t)n * sizeof(real));
            memcpy(gate_buffer, gate + i, (size_t)n * sizeof(real));
        }
        vec minus = vec_sub(vec_set1((real)0), vec_load(by));
        vec_store(at, vec_div(vec_load(at), vec_add(one, KERNEL(vec_exp)(minus))));
        if (n < VEC_LANES) {
            memcpy(x + i, buffer, (size_t)n * sizeof(real));
        }
    }
}

#define ATTN_ELEMENTWISE(name, function)                                             \
    static void KERNEL(name)(ptrdiff_t count, const real* x, real* y) {              \
        real buffer[VEC_LANES] = {0};                                                \
        for (ptrdiff_t i = 0; i < count; i += VEC_LANES) {                           \
            ptrdiff_t n = count - i < VEC_LANES ? count - i : VEC_LANES;             \
            memcpy(buffer, x + i, (size_t)n * sizeof(real));                         \
            vec_store(buffer, KERNEL(function)(vec_load(buffer)));                   \
            memcpy(y + i, buffer, (size_t)n * sizeof(real));                         \
        }                                                                            \
    }
ATTN_ELEMENTWISE(exponential, vec_exp)
ATTN_ELEMENTWISE(hyperbolic_tangent, vec_tanh)
#undef ATTN_ELEMENTWISE

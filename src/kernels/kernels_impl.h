/* The source of all kernels. Included by kernels_<isa>.c once per precision,
 * inside that file's target region, with these defined:
 *   REAL_BITS                          32 or 64, and `real` (real.h)
 *   vec, VEC_LANES                     a vector of `real`
 *   BLOCK_ROWS, BLOCK_VECTORS          the register block of `multiply`
 *   TILE_PANELS, TILE_KEYS             a tile of attention: panels of queries, and keys
 *   ISA_NAME                           the set's name in the table
 *   KERNEL(name)                       the function's name for this set
 *   vec_load vec_store vec_set1 vec_add vec_sub vec_mul vec_div vec_fma(a, b, c) = a * b + c
 *   vec_max(a, b), vec_min(a, b)       b where either is NaN (so put x last to keep its NaN)
 *   vec_abs, vec_copysign(size, sign)
 *   vec_if_less(a, b, yes, no)         lane-wise a < b ? yes : no
 *   vec_power_of_two(rounded)          2^n, where `rounded` is n + ROUNDING_SHIFT
 *   vec_all_one(x)                     whether every lane is exactly 1
 *
 * Everything is static and inlined into the table's functions: no vector
 * crosses a call. */

/* Two ways to keep a small loop over registers unrolled at any -O level. */
#ifndef ATTN_UNROLL
#if defined(__clang__)
#define ATTN_UNROLL _Pragma("clang loop unroll(full)")
#else
#define ATTN_UNROLL _Pragma("GCC unroll 32")
#endif
#define ATTN_INLINE static inline __attribute__((always_inline))
#endif

#undef BLOCK_COLUMNS
#undef TILE_QUERIES
#define BLOCK_COLUMNS (BLOCK_VECTORS * VEC_LANES)
#define TILE_QUERIES (TILE_PANELS * BLOCK_COLUMNS)

/* ---- elementary functions -------------------------------------------------
 * x = n ln2 + r with |r| <= ln2 / 2. Adding and subtracting 1.5 * 2^(mantissa
 * bits) rounds to an integer and leaves that integer in the low bits of the
 * sum, from where it is shifted into an exponent. ln2 is split so that the
 * product n * LN2_HIGH is exact with or without fma. The polynomials are Taylor
 * sums, long enough that the first term left out is below a quarter ulp. */
#undef ROUNDING_SHIFT
#undef LN2_HIGH
#undef LN2_LOW
#undef EXP_LOWEST
#undef EXP_HIGHEST
#undef TANH_ONE
#if REAL_BITS == 32
#define ROUNDING_SHIFT 0x1.8p23f
#define LN2_HIGH 0x1.63p-1f
#define LN2_LOW -0x1.bd0106p-13f
#define EXP_LOWEST -87.0f  /* smaller results are below the normal range: 0 */
#define EXP_HIGHEST 88.0f
#define TANH_ONE 20.0f /* 2|x| from which tanh rounds to 1 */
#else
#define ROUNDING_SHIFT 0x1.8p52
#define LN2_HIGH 0x1.62e42feep-1
#define LN2_LOW 0x1.a39ef35793c76p-33
#define EXP_LOWEST -708.0
#define EXP_HIGHEST 709.0
#define TANH_ONE 40.0
#endif

/* exp(r) - 1 - r over r^2, |r| <= 0.35 */
ATTN_INLINE vec KERNEL(exp_tail)(vec r) {
#if REAL_BITS == 32
    vec sum = vec_set1((real)(1.0 / 5040));
    sum = vec_fma(sum, r, vec_set1((real)(1.0 / 720)));
#else
    vec sum = vec_set1(1.0 / 6227020800.0);
    sum = vec_fma(sum, r, vec_set1(1.0 / 479001600.0));
    sum = vec_fma(sum, r, vec_set1(1.0 / 39916800.0));
    sum = vec_fma(sum, r, vec_set1(1.0 / 3628800.0));
    sum = vec_fma(sum, r, vec_set1(1.0 / 362880.0));
    sum = vec_fma(sum, r, vec_set1(1.0 / 40320.0));
    sum = vec_fma(sum, r, vec_set1(1.0 / 5040.0));
    sum = vec_fma(sum, r, vec_set1(1.0 / 720.0));
#endif
    sum = vec_fma(sum, r, vec_set1((real)(1.0 / 120)));
    sum = vec_fma(sum, r, vec_set1((real)(1.0 / 24)));
    sum = vec_fma(sum, r, vec_set1((real)(1.0 / 6)));
    return vec_fma(sum, r, vec_set1((real)0.5));
}

/* rounded = n + ROUNDING_SHIFT; returns r */
ATTN_INLINE vec KERNEL(reduce)(vec x, vec* rounded) {
    const vec shift = vec_set1(ROUNDING_SHIFT);
    *rounded = vec_fma(x, vec_set1((real)1.4426950408889634), shift);
    vec n = vec_sub(*rounded, shift);
    vec r = vec_fma(n, vec_set1(-(real)LN2_HIGH), x);
    return vec_fma(n, vec_set1(-(real)LN2_LOW), r);
}

ATTN_INLINE vec KERNEL(vec_exp)(vec x) {
    vec rounded;
    vec clamped = vec_max(vec_set1(EXP_LOWEST), vec_min(vec_set1(EXP_HIGHEST), x));
    vec r = KERNEL(reduce)(clamped, &rounded);
    vec tail = vec_mul(vec_mul(r, r), KERNEL(exp_tail)(r));
    vec y = vec_add(vec_set1((real)1), vec_add(r, tail));
    /* a product, not a shift of y's own exponent: NaN times anything stays NaN */
    y = vec_mul(y, vec_power_of_two(rounded));
    return vec_if_less(x, vec_set1(EXP_LOWEST), vec_set1((real)0), y);
}

/* tanh|x| = e / (e + 2) with e = exp(2|x|) - 1, and e = 2^n (exp(r) - 1) + (2^n - 1),
 * which keeps its relative precision down to the smallest x. */
ATTN_INLINE vec KERNEL(vec_tanh)(vec x) {
    vec rounded;
    vec twice = vec_abs(x);
    twice = vec_min(vec_set1(TANH_ONE), vec_add(twice, twice));
    vec r = KERNEL(reduce)(twice, &rounded);
    vec expm1_r = vec_fma(vec_mul(r, r), KERNEL(exp_tail)(r), r);
    vec power = vec_power_of_two(rounded);
    vec e = vec_fma(power, expm1_r, vec_sub(power, vec_set1((real)1)));
    return vec_copysign(vec_div(e, vec_add(e, vec_set1((real)2))), x);
}

/* ---- matrix product -------------------------------------------------------- */

/* `rows` is a constant wherever this is called, so that acc stays in registers */
ATTN_INLINE void KERNEL(multiply_block)(const int rows, ptrdiff_t depth, const real* a,
                                        ptrdiff_t a_depth, const real* b, ptrdiff_t b_depth,
                                        real* c, ptrdiff_t c_row, int accumulate) {
    vec acc[BLOCK_ROWS][BLOCK_VECTORS];
    ATTN_UNROLL
    for (int i = 0; i < rows; i++) {
        ATTN_UNROLL
        for (int j = 0; j < BLOCK_VECTORS; j++) {
            acc[i][j] = vec_set1((real)0);
        }
    }
    for (ptrdiff_t d = 0; d < depth; d++) {
        vec column[BLOCK_VECTORS];
        ATTN_UNROLL
        for (int j = 0; j < BLOCK_VECTORS; j++) {
            column[j] = vec_load(b + j * VEC_LANES);
        }
        ATTN_UNROLL
        for (int i = 0; i < rows; i++) {
            vec element = vec_set1(a[i]);
            ATTN_UNROLL
            for (int j = 0; j < BLOCK_VECTORS; j++) {
                acc[i][j] = vec_fma(element, column[j], acc[i][j]);
            }
        }
        a += a_depth;
        b += b_depth;
    }
    ATTN_UNROLL
    for (int i = 0; i < rows; i++) {
        ATTN_UNROLL
        for (int j = 0; j < BLOCK_VECTORS; j++) {
            real* to = c + i * c_row + j * VEC_LANES;
            vec_store(to, accumulate ? vec_add(vec_load(to), acc[i][j]) : acc[i][j]);
        }
    }
}

static void KERNEL(multiply)(ptrdiff_t rows, ptrdiff_t depth, const real* a, ptrdiff_t a_depth,
                             const real* b, ptrdiff_t b_depth, real* c, ptrdiff_t c_row,
                             int accumulate) {
    while (rows > 0) {
        int block = rows < BLOCK_ROWS ? (int)rows : BLOCK_ROWS;
/* one unrolled copy for every height; those above BLOCK_ROWS compile to nothing */
#define ATTN_MULTIPLY_CASE(n)                                                             \
    case n:                                                                               \
        if (n <= BLOCK_ROWS) {                                                            \
            KERNEL(multiply_block)(n <= BLOCK_ROWS ? n : 1, depth, a, a_depth, b, b_depth, \
                                   c, c_row, accumulate);                                 \
        }                                                                                 \
        break
        switch (block) {
            ATTN_MULTIPLY_CASE(1);
            ATTN_MULTIPLY_CASE(2);
            ATTN_MULTIPLY_CASE(3);
            ATTN_MULTIPLY_CASE(4);
            ATTN_MULTIPLY_CASE(5);
            ATTN_MULTIPLY_CASE(6);
            ATTN_MULTIPLY_CASE(7);
            ATTN_MULTIPLY_CASE(8);
            ATTN_MULTIPLY_CASE(9);
            ATTN_MULTIPLY_CASE(10);
            ATTN_MULTIPLY_CASE(11);
            ATTN_MULTIPLY_CASE(12);
            ATTN_MULTIPLY_CASE(13);
            ATTN_MULTIPLY_CASE(14);
            default:
                break;
        }
#undef ATTN_MULTIPLY_CASE
        a += block;
        c += block * c_row;
        rows -= block;
    }
}

/* ---- softmax ---------------------------------------------------------------- */

/* exp(scale * (logit - max)): the difference first, because it is exact where
 * it matters, near the maximum; scaled logits would each carry a rounding of
 * their own size. */
static int KERNEL(softmax_step)(ptrdiff_t keys, real scale, real* logits, real* row_max,
                                real* row_sum, real* rescale) {
    const vec minus_infinity = vec_set1(-REAL_INFINITY), by = vec_set1(scale);
    int changed = 0;
    for (int lane = 0; lane < TILE_QUERIES; lane += VEC_LANES) {
        real* column = logits + lane;
        vec old_max = vec_load(row_max + lane);
        vec max = old_max;
        for (ptrdiff_t j = 0; j < keys; j++) {
            max = vec_max(max, vec_load(column + j * TILE_QUERIES));
        }
        /* A row with nothing visible yet has max -Inf; -Inf - -Inf would be NaN. */
        vec origin = vec_if_less(minus_infinity, max, max, vec_set1((real)0));
        vec sum = vec_set1((real)0);
        for (ptrdiff_t j = 0; j < keys; j++) {
            real* at = column + j * TILE_QUERIES;
            vec weight = KERNEL(vec_exp)(vec_mul(by, vec_sub(vec_load(at), origin)));
            vec_store(at, weight);
            sum = vec_add(sum, weight);
        }
        vec factor = KERNEL(vec_exp)(vec_mul(by, vec_sub(old_max, origin)));
        vec_store(rescale + lane, factor);
        vec_store(row_max + lane, max);
        vec_store(row_sum + lane, vec_fma(vec_load(row_sum + lane), factor, sum));
        changed |= !vec_all_one(factor);
    }
    return changed;
}

static void KERNEL(softmax_finish)(ptrdiff_t keys, real scale, real* logits,
                                   const real* row_max, const real* row_sum) {
    const vec by = vec_set1(scale);
    for (int lane = 0; lane < TILE_QUERIES; lane += VEC_LANES) {
        vec max = vec_load(row_max + lane);
        vec sum = vec_load(row_sum + lane);
        for (ptrdiff_t j = 0; j < keys; j++) {
            real* at = logits + j * TILE_QUERIES + lane;
            vec weight = KERNEL(vec_exp)(vec_mul(by, vec_sub(vec_load(at), max)));
            vec_store(at, vec_div(weight, sum));
        }
    }
}

/* a true division: a product with 1 / sum would round twice */
static void KERNEL(divide_lanes)(ptrdiff_t rows, real* x, const real* divisor) {
    for (int lane = 0; lane < TILE_QUERIES; lane += VEC_LANES) {
        vec by = vec_load(divisor + lane);
        for (ptrdiff_t i = 0; i < rows; i++) {
            real* at = x + i * TILE_QUERIES + lane;
            vec_store(at, vec_div(vec_load(at), by));
        }
    }
}

static void KERNEL(scale_lanes)(ptrdiff_t rows, real* x, const real* factor) {
    for (int lane = 0; lane < TILE_QUERIES; lane += VEC_LANES) {
        vec by = vec_load(factor + lane);
        for (ptrdiff_t i = 0; i < rows; i++) {
            real* at = x + i * TILE_QUERIES + lane;
            vec_store(at, vec_mul(vec_load(at), by));
        }
    }
}

/* ---- other score functions ---------------------------------------------------- */

static void KERNEL(tanh_logits)(ptrdiff_t keys, ptrdiff_t depth, const real* key,
                                ptrdiff_t key_depth, const real* query, const real* weight,
                                real inner, real outer, real* logits) {
    const vec factor = vec_set1(inner), last = vec_set1(outer);
    for (ptrdiff_t j = 0; j < keys; j++) {
        for (int lane = 0; lane < TILE_QUERIES; lane += VEC_LANES) {
            vec sum = vec_set1((real)0);
            for (ptrdiff_t d = 0; d < depth; d++) {
                vec both = vec_add(vec_load(query + d * TILE_QUERIES + lane),
                                   vec_set1(key[d * key_depth + j]));
                vec bent = KERNEL(vec_tanh)(vec_mul(factor, both));
                sum = weight == NULL ? vec_add(sum, bent) : vec_fma(vec_set1(weight[d]), bent, sum);
            }
            vec_store(logits + j * TILE_QUERIES + lane, vec_mul(last, sum));
        }
    }
}

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

const struct REAL_NAME(attn_kernels) KERNEL(attn_kernels) = {
    ISA_NAME,
    BLOCK_ROWS,
    BLOCK_COLUMNS,
    TILE_QUERIES,
    TILE_KEYS,
    KERNEL(multiply),
    KERNEL(softmax_step),
    KERNEL(softmax_finish),
    KERNEL(scale_lanes),
    KERNEL(divide_lanes),
    KERNEL(tanh_logits),
    KERNEL(soft_cap),
    KERNEL(sigmoid_gate),
    KERNEL(exponential),
    KERNEL(hyperbolic_tangent),
};

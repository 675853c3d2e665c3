/* Activations. Included by op_kernels_impl.h.
 *
 * Every function is a vector's worth of arithmetic, inlined into a loop of its
 * own; the last, incomplete vector of a row goes through the same arithmetic, so
 * that a number's result does not depend on its place. p: the function's
 * parameters, each in all lanes. NaN stays NaN where Keras keeps it. */

ATTN_INLINE vec KERNEL(act_linear)(vec x, const vec* p) {
    (void)p;
    return x;
}

ATTN_INLINE vec KERNEL(act_relu)(vec x, const vec* p) {
    (void)p;
    return vec_max(vec_set1((real)0), x);
}

ATTN_INLINE vec KERNEL(act_leaky)(vec x, const vec* p) {
    return vec_if_less(x, vec_set1((real)0), vec_mul(p[0], x), x);
}

ATTN_INLINE vec KERNEL(act_bent)(vec x, const vec* p) {
    const vec zero = vec_set1((real)0);
    const vec nothing = vec_min(zero, vec_abs(x)); /* 0, or NaN of NaN */
    const vec above = vec_max(p[3], vec_min(p[1], vec_if_less(p[2], x, x, nothing)));
    /* a slope of 0 takes nothing from -Inf either */
    const vec below = vec_mul(p[0], vec_max(zero, vec_sub(p[2], x)));
    return vec_sub(above, vec_if_less(zero, vec_abs(p[0]), below, zero));
}

ATTN_INLINE vec KERNEL(act_clip)(vec x, const vec* p) {
    return vec_min(p[3], vec_max(p[2], vec_fma(x, p[0], p[1])));
}

ATTN_INLINE vec KERNEL(act_hard_silu)(vec x, const vec* p) {
    const vec gate = vec_fma(x, vec_set1((real)(1.0 / 6)), vec_set1((real)0.5));
    (void)p;
    return vec_mul(x, vec_min(vec_set1((real)1), vec_max(vec_set1((real)0), gate)));
}

ATTN_INLINE vec KERNEL(act_hard_shrink)(vec x, const vec* p) {
    return vec_if_less(p[0], vec_abs(x), x, vec_set1((real)0));
}

ATTN_INLINE vec KERNEL(act_soft_shrink)(vec x, const vec* p) {
    const vec zero = vec_set1((real)0);
    const vec below = vec_if_less(x, vec_sub(zero, p[0]), vec_add(x, p[0]), zero);
    return vec_if_less(p[0], x, vec_sub(x, p[0]), below);
}

ATTN_INLINE vec KERNEL(act_threshold)(vec x, const vec* p) {
    return vec_if_less(p[0], x, x, p[1]);
}

ATTN_INLINE vec KERNEL(act_sparse_plus)(vec x, const vec* p) {
    const vec one = vec_set1((real)1);
    const vec shifted = vec_max(vec_set1((real)0), vec_add(x, one));
    (void)p;
    return vec_if_less(x, one, vec_mul(vec_set1((real)0.25), vec_mul(shifted, shifted)), x);
}

ATTN_INLINE vec KERNEL(act_softsign)(vec x, const vec* p) {
    (void)p;
    return vec_div(x, vec_add(vec_set1((real)1), vec_abs(x)));
}

ATTN_INLINE vec KERNEL(act_squareplus)(vec x, const vec* p) {
    /* x^2 may overflow where the root of x^2 + b does not: there it is the larger of two */
    const vec size = vec_abs(x), large = vec_max(size, KERNEL(vec_sqrt)(p[0]));
    const vec root = vec_if_less(size, vec_set1((real)0x1p60),
                                 KERNEL(vec_sqrt)(vec_fma(x, x, p[0])), large);
    return vec_mul(vec_set1((real)0.5), vec_add(x, root));
}

ATTN_INLINE vec KERNEL(act_exponential)(vec x, const vec* p) {
    (void)p;
    return KERNEL(vec_exp_wide)(x);
}

ATTN_INLINE vec KERNEL(act_elu)(vec x, const vec* p) {
    const vec zero = vec_set1((real)0);
    const vec below = KERNEL(vec_expm1)(vec_min(zero, vec_div(x, p[2])));
    return vec_mul(p[1], vec_if_less(x, zero, vec_mul(p[0], below), x));
}

ATTN_INLINE vec KERNEL(act_sigmoid)(vec x, const vec* p) {
    (void)p;
    return KERNEL(vec_sigmoid)(x);
}

ATTN_INLINE vec KERNEL(act_silu)(vec x, const vec* p) {
    (void)p;
    return vec_mul(x, KERNEL(vec_sigmoid)(x));
}

/* log(1 + exp(-|x|)), what softplus is above max(x, 0) */
ATTN_INLINE vec KERNEL(softplus_rest)(vec x) {
    return KERNEL(vec_log1p)(KERNEL(vec_exp)(vec_sub(vec_set1((real)0), vec_abs(x))));
}

ATTN_INLINE vec KERNEL(act_softplus)(vec x, const vec* p) {
    (void)p;
    return vec_add(vec_max(vec_set1((real)0), x), KERNEL(softplus_rest)(x));
}

ATTN_INLINE vec KERNEL(act_log_sigmoid)(vec x, const vec* p) {
    (void)p;
    return vec_sub(vec_min(vec_set1((real)0), x), KERNEL(softplus_rest)(x));
}

ATTN_INLINE vec KERNEL(act_tanh)(vec x, const vec* p) {
    (void)p;
    return KERNEL(vec_tanh)(x);
}

ATTN_INLINE vec KERNEL(act_tanh_shrink)(vec x, const vec* p) {
    (void)p;
    return vec_sub(x, KERNEL(vec_tanh)(x));
}

/* tanh(log(1 + e)) = ((1 + e)^2 - 1) / ((1 + e)^2 + 1) with e = exp(x); from 40 on
 * it is 1 in either precision */
ATTN_INLINE vec KERNEL(act_mish)(vec x, const vec* p) {
    const vec two = vec_set1((real)2);
    const vec e = KERNEL(vec_exp)(vec_min(vec_set1((real)40), x));
    const vec square = vec_mul(e, vec_add(e, two));
    (void)p;
    return vec_mul(x, vec_div(square, vec_add(square, two)));
}

/* |x| (1 - Phi(|x|)) is what is short of x, or left of 0; |x| ends where the tail is
 * 0, so that infinity takes no part in a product with it */
ATTN_INLINE vec KERNEL(act_gelu)(vec x, const vec* p) {
    const vec zero = vec_set1((real)0);
    const vec size = vec_min(vec_set1(TAIL_END), vec_abs(x));
    const vec part = vec_mul(size, KERNEL(normal_tail)(size));
    (void)p;
    return vec_sub(vec_max(zero, x), part);
}

/* (1 + tanh(z)) / 2 = 1 / (1 + exp(-2 z)), which keeps its precision where tanh is
 * close to -1; 1.5957... = 2 sqrt(2 / pi) */
ATTN_INLINE vec KERNEL(act_gelu_tanh)(vec x, const vec* p) {
    const vec cube = vec_mul(vec_mul(x, x), x);
    const vec inner = vec_fma(cube, vec_set1((real)0.044715), x);
    const vec twice = vec_mul(vec_set1((real)1.5957691216057308), inner);
    (void)p;
    return vec_mul(x, KERNEL(vec_sigmoid)(twice));
}

ATTN_INLINE vec KERNEL(act_erf)(vec x, const vec* p) {
    (void)p;
    return KERNEL(vec_erf)(x);
}

#define ATTN_ACTIVATION(name)                                                                    \
    static void KERNEL(each_##name)(const real* parameter, ptrdiff_t rows, ptrdiff_t columns,    \
                                    const real* x, ptrdiff_t x_row, const real* bias, real* y,   \
                                    ptrdiff_t y_row) {                                           \
        vec p[ATTN_ACTIVATION_PARAMETERS];                                                       \
        for (int i = 0; i < ATTN_ACTIVATION_PARAMETERS; i++) {                                   \
            p[i] = vec_set1(parameter[i]);                                                       \
        }                                                                                        \
        for (ptrdiff_t row = 0; row < rows; row++) {                                             \
            ptrdiff_t i = 0;                                                                     \
            for (; i + VEC_LANES <= columns; i += VEC_LANES) {                                   \
                vec v = vec_load(x + i);                                                         \
                if (bias != NULL) {                                                              \
                    v = vec_add(v, vec_load(bias + i));                                          \
                }                                                                                \
                vec_store(y + i, KERNEL(act_##name)(v, p));                                      \
            }                                                                                    \
            if (i < columns) {                                                                   \
                vec v = KERNEL(load_some)(x + i, columns - i, (real)0);                          \
                if (bias != NULL) {                                                              \
                    v = vec_add(v, KERNEL(load_some)(bias + i, columns - i, (real)0));           \
                }                                                                                \
                KERNEL(store_some)(y + i, columns - i, KERNEL(act_##name)(v, p));                \
            }                                                                                    \
            x += x_row;                                                                          \
            y += y_row;                                                                          \
        }                                                                                        \
    }
ATTN_ACTIVATION(linear)
ATTN_ACTIVATION(relu)
ATTN_ACTIVATION(leaky)
ATTN_ACTIVATION(bent)
ATTN_ACTIVATION(clip)
ATTN_ACTIVATION(hard_silu)
ATTN_ACTIVATION(hard_shrink)
ATTN_ACTIVATION(soft_shrink)
ATTN_ACTIVATION(threshold)
ATTN_ACTIVATION(sparse_plus)
ATTN_ACTIVATION(softsign)
ATTN_ACTIVATION(squareplus)
ATTN_ACTIVATION(exponential)
ATTN_ACTIVATION(elu)
ATTN_ACTIVATION(sigmoid)
ATTN_ACTIVATION(silu)
ATTN_ACTIVATION(softplus)
ATTN_ACTIVATION(log_sigmoid)
ATTN_ACTIVATION(tanh)
ATTN_ACTIVATION(tanh_shrink)
ATTN_ACTIVATION(mish)
ATTN_ACTIVATION(gelu)
ATTN_ACTIVATION(gelu_tanh)
ATTN_ACTIVATION(erf)
#undef ATTN_ACTIVATION

typedef void (*KERNEL(each))(const real* parameter, ptrdiff_t rows, ptrdiff_t columns,
                             const real* x, ptrdiff_t x_row, const real* bias, real* y,
                             ptrdiff_t y_row);

static void KERNEL(activate)(const struct attn_activation* f, ptrdiff_t rows, ptrdiff_t columns,
                             const real* x, ptrdiff_t x_row, const real* bias, real* y,
                             ptrdiff_t y_row) {
    static const KERNEL(each) each[ATTN_ELEMENTWISE] = {
        [ATTN_LINEAR] = KERNEL(each_linear),
        [ATTN_RELU] = KERNEL(each_relu),
        [ATTN_LEAKY] = KERNEL(each_leaky),
        [ATTN_BENT] = KERNEL(each_bent),
        [ATTN_CLIP] = KERNEL(each_clip),
        [ATTN_HARD_SILU] = KERNEL(each_hard_silu),
        [ATTN_HARD_SHRINK] = KERNEL(each_hard_shrink),
        [ATTN_SOFT_SHRINK] = KERNEL(each_soft_shrink),
        [ATTN_THRESHOLD] = KERNEL(each_threshold),
        [ATTN_SPARSE_PLUS] = KERNEL(each_sparse_plus),
        [ATTN_SOFTSIGN] = KERNEL(each_softsign),
        [ATTN_SQUAREPLUS] = KERNEL(each_squareplus),
        [ATTN_EXPONENTIAL] = KERNEL(each_exponential),
        [ATTN_ELU] = KERNEL(each_elu),
        [ATTN_SIGMOID] = KERNEL(each_sigmoid),
        [ATTN_SILU] = KERNEL(each_silu),
        [ATTN_SOFTPLUS] = KERNEL(each_softplus),
        [ATTN_LOG_SIGMOID] = KERNEL(each_log_sigmoid),
        [ATTN_TANH] = KERNEL(each_tanh),
        [ATTN_TANH_SHRINK] = KERNEL(each_tanh_shrink),
        [ATTN_MISH] = KERNEL(each_mish),
        [ATTN_GELU] = KERNEL(each_gelu),
        [ATTN_GELU_TANH] = KERNEL(each_gelu_tanh),
        [ATTN_ERF] = KERNEL(each_erf),
    };
    real parameter[ATTN_ACTIVATION_PARAMETERS];
    for (int i = 0; i < ATTN_ACTIVATION_PARAMETERS; i++) {
        parameter[i] = (real)f->parameter[i];
    }
    each[f->function](parameter, rows, columns, x, x_row, bias, y, y_row);
}

/* Activations and softmax against their formulas in long double. */
#include "activations.h"
#include "tensors.h"

typedef long double wide;

/* ---- the formulas, as Keras's documentation has them ---------------------------- */

static wide of_linear(wide x) { return x; }
static wide of_relu(wide x) { return x > 0 ? x : 0; }
static wide of_relu6(wide x) { return x < 0 ? 0 : x > 6 ? 6 : x; }
static wide of_leaky_relu(wide x) { return x < 0 ? (wide)0.2 * x : x; }
static wide of_elu(wide x) { return x < 0 ? expm1l(x) : x; }
static wide of_selu(wide x) {
    return 1.0507009873554804934193349852946L *
           (x < 0 ? 1.6732632423543772848170429916717L * expm1l(x) : x);
}
static wide of_softplus(wide x) { return x > 0 ? x + log1pl(expl(-x)) : log1pl(expl(x)); }
static wide of_log_sigmoid(wide x) { return -of_softplus(-x); }
static wide of_softsign(wide x) { return x / (1 + fabsl(x)); }
static wide of_squareplus(wide x) { return (x + sqrtl(x * x + 4)) / 2; }
static wide of_soft_shrink(wide x) {
    return x > 0.5L ? x - 0.5L : x < -0.5L ? x + 0.5L : 0;
}
static wide of_hard_shrink(wide x) { return fabsl(x) > 0.5L ? x : 0; }
static wide of_tanh_shrink(wide x) { return x - tanhl(x); }
static wide of_sparse_plus(wide x) { return x <= -1 ? 0 : x < 1 ? (x + 1) * (x + 1) / 4 : x; }
static wide of_sigmoid(wide x) { return 1 / (1 + expl(-x)); }
static wide of_silu(wide x) { return x * of_sigmoid(x); }
static wide of_gelu(wide x) { return x * erfcl(-x / sqrtl(2)) / 2; }
static wide of_gelu_tanh(wide x) {
    return x * of_sigmoid(2 * sqrtl(2 / 3.14159265358979323846264338327950288L) *
                          (x + 0.044715L * x * x * x));
}
static wide of_hard_tanh(wide x) { return x < -1 ? -1 : x > 1 ? 1 : x; }
static wide of_hard_sigmoid(wide x) { return x < -3 ? 0 : x > 3 ? 1 : x / 6 + 0.5L; }
static wide of_sparse_sigmoid(wide x) { return x < -1 ? 0 : x > 1 ? 1 : x / 2 + 0.5L; }
static wide of_hard_silu(wide x) { return x * of_hard_sigmoid(x); }
static wide of_mish(wide x) { return x * tanhl(of_softplus(x)); }
static wide of_tanh(wide x) { return tanhl(x); }
static wide of_exponential(wide x) { return expl(x); }
static wide of_erf(wide x) { return erfl(x); }

/* An error of at most `units` units of the result, plus `beside` units of |x| + 1 where
 * a difference of larger numbers is the definition. What the units consist of: half of
 * one for every operation behind the last function, what exp (1.25 units of the last
 * place, which is up to 2.5 of these) and tanh (6) bring. `narrow`: below this x the
 * exponential of float32 has left its normal range. */
struct formula {
    const char* name;
    wide (*of)(wide x);
    double low, high, narrow, units, beside;
};

static const struct formula formulas[] = {
    {"linear", of_linear, -9, 9, -9, 0, 0},
    {"relu", of_relu, -9, 9, -9, 0, 0},
    {"relu6", of_relu6, -9, 9, -9, 0, 0},
    {"leaky_relu", of_leaky_relu, -9, 9, -9, 2.5, 0},
    {"elu", of_elu, -40, 9, -40, 6, 0},
    {"celu", of_elu, -40, 9, -40, 6, 0},
    {"selu", of_selu, -40, 9, -40, 8, 0},
    {"softplus", of_softplus, -600, 40, -80, 8, 0},
    {"log_sigmoid", of_log_sigmoid, -40, 600, -40, 8, 0},
    {"softsign", of_softsign, -1e4, 1e4, -1e4, 4, 0},
    {"squareplus", of_squareplus, -20, 20, -20, 2, 2},
    {"soft_shrink", of_soft_shrink, -2, 2, -2, 1, 0},
    {"hard_shrink", of_hard_shrink, -2, 2, -2, 0, 0},
    {"tanh_shrink", of_tanh_shrink, -20, 20, -20, 1, 6},
    {"sparse_plus", of_sparse_plus, -3, 3, -3, 6, 0},
    {"silu", of_silu, -600, 40, -80, 7, 0},
    {"swish", of_silu, -600, 40, -80, 7, 0},
    {"gelu", of_gelu, -36, 40, -12, 10, 0},
    {"tanh", of_tanh, -30, 30, -30, 6, 0},
    {"hard_tanh", of_hard_tanh, -3, 3, -3, 0, 0},
    {"sigmoid", of_sigmoid, -600, 40, -80, 6, 0},
    {"hard_sigmoid", of_hard_sigmoid, -6, 6, -6, 0, 1},
    {"sparse_sigmoid", of_sparse_sigmoid, -3, 3, -3, 0, 1},
    {"hard_silu", of_hard_silu, -6, 6, -6, 2, 6},
    {"hard_swish", of_hard_silu, -6, 6, -6, 2, 6},
    {"exponential", of_exponential, -700, 709.7, -80, 5, 0},
    {"mish", of_mish, -600, 60, -80, 9, 0},
    {"gelu_tanh", of_gelu_tanh, -10, 40, -7, 8, 0},
    {"gelu_approximate", of_gelu_tanh, -10, 40, -7, 8, 0},
    {"erf", of_erf, -7, 7, -7, 4, 0},
};
enum { FORMULAS = sizeof formulas / sizeof formulas[0] };

static struct attn_activation activation_of(const char* name) {
    struct attn_activation activation = {ATTN_LINEAR, {0}};
    if (strcmp(name, "gelu_tanh") == 0) {
        activation = attn_activation_gelu(1);
    } else if (strcmp(name, "erf") == 0) {
        activation.function = ATTN_ERF;
    } else {
        CHECK(attn_activation_named(name, &activation), "no activation %s", name);
    }
    return activation;
}

/* numbers of all sizes, more of them small, and both ends of the range */
static double argument(struct dice* dice, const struct formula* formula, enum attn_dtype dtype,
                       int i) {
    const double low = dtype == ATTN_FLOAT32 ? formula->narrow : formula->low;
    double high = formula->high;
    if (dtype == ATTN_FLOAT32 && high > 80) {
        /* where its exponential leaves the range of float32 */
        high = strcmp(formula->name, "exponential") == 0 ? 88.7 : 80;
    }
    if (i % 3 == 0) {
        const double size = pow(10, -8 * dice_unit(dice));
        return (i % 2 ? low : high) * size;
    }
    if (i % 3 == 1 && low < -4) {
        return 8 * (dice_unit(dice) - 0.5);
    }
    return low + (high - low) * dice_unit(dice);
}

/* Units of the result that are allowed at x. The exponential of -x^2 / 2 has the error
 * of x^2 / 2 where there is no fused product to find it; z of gelu's tanh form has a few
 * units, and so its exponential |z| times as many. */
static wide units_at(const struct formula* formula, wide x) {
    wide units = (wide)formula->units;
    if (formula->of == of_gelu && strcmp(attn_kernels()->isa, "scalar") == 0) {
        units += x * x / 2;
    }
    if (formula->of == of_gelu_tanh) {
        units += 4 * fabsl(x) * (1 + x * x / 20);
    }
    return units;
}

static void values(enum attn_dtype dtype) {
    enum { N = 6000 };
    struct dice dice = {dtype + 1};
    const struct attn_context context = context_new(1);
    for (int f = 0; f < FORMULAS; f++) {
        const struct formula* formula = &formulas[f];
        const struct attn_activation activation = activation_of(formula->name);
        struct tensor x = tensor_new(dtype, N), y = tensor_new(dtype, N);
        double worst = 0, at = 0, most = 0;
        for (int i = 0; i < N; i++) {
            tensor_set(&x, i, argument(&dice, formula, dtype, i));
        }
        attn_activate(&context, dtype, &activation, 1, N, x.data, NULL, y.data);
        for (int i = 0; i < N; i++) {
            const wide in = (wide)tensor_get(&x, i), wanted = formula->of(in);
            const wide unit = (wide)unit_of(dtype);
            const wide error = fabsl((wide)tensor_get(&y, i) - wanted);
            const wide allowed = unit * (fabsl(wanted) * units_at(formula, in) +
                                         (wide)formula->beside * (fabsl(in) + 1));
            const double part = error == 0 ? 0 : (double)(error / allowed);
            if (!(part <= worst)) {
                worst = part;
                at = (double)in;
            }
            most = fmax(most, error == 0 ? 0 : (double)(error / (unit * fabsl(wanted))));
        }
        if (formula->of == of_gelu || formula->of == of_erf) {
            printf("%-8s %s %s: at most %.2f units\n", attn_kernels()->isa, name_of(dtype),
                   formula->name, most);
        }
        CHECK(worst <= 1, "%s %s %s: %.2f of the error allowed, at %.17g", attn_kernels()->isa,
              name_of(dtype), formula->name, worst, at);
        CHECK(tensor_end(&x) && tensor_end(&y), "%s wrote behind its output", formula->name);
    }
}

/* relu with all of its parameters, and the others that have some */
static wide bent(wide x, double slope, double max, double threshold) {
    wide above = x > (wide)threshold ? x : 0;
    if (max < INFINITY) {
        above = above < 0 ? 0 : above > (wide)max ? (wide)max : above;
    }
    return above - (x < (wide)threshold ? (wide)slope * ((wide)threshold - x) : 0);
}

static void parameters(enum attn_dtype dtype) {
    static const double cases[][3] = {{0, INFINITY, 0}, {0.25, INFINITY, 0}, {0, 6, 0},
                                      {0.5, 4, 0},      {0, INFINITY, 1},    {0.125, 3, 1},
                                      {0.5, INFINITY, 2}, {0, 2, -1},        {0, INFINITY, -1},
                                      {2, INFINITY, 0}};
    static const double at[] = {-5, -2.5, -1, -0.5, 0, 0.25, 1, 1.5, 2, 3, 4, 5.5, 7};
    enum { N = sizeof at / sizeof at[0] };
    const struct attn_context context = context_new(1);
    struct tensor x = tensor_new(dtype, N), y = tensor_new(dtype, N);
    for (int i = 0; i < N; i++) {
        tensor_set(&x, i, at[i]);
    }
    for (int c = 0; c < 10; c++) {
        const struct attn_activation relu =
            attn_activation_relu(cases[c][0], cases[c][1], cases[c][2]);
        attn_activate(&context, dtype, &relu, 1, N, x.data, NULL, y.data);
        for (int i = 0; i < N; i++) {
            const double wanted = (double)bent((wide)at[i], cases[c][0], cases[c][1], cases[c][2]);
            CHECK(tensor_get(&y, i) == wanted, "relu(%g; %g, %g, %g) = %g", at[i], cases[c][0],
                  cases[c][1], cases[c][2], tensor_get(&y, i));
        }
    }
    const struct attn_activation threshold = attn_activation_threshold(1, -7);
    attn_activate(&context, dtype, &threshold, 1, N, x.data, NULL, y.data);
    for (int i = 0; i < N; i++) {
        CHECK(tensor_get(&y, i) == (at[i] > 1 ? at[i] : -7), "threshold(%g)", at[i]);
    }
    const struct attn_activation celu = attn_activation_celu(2), elu = attn_activation_elu(3);
    const double unit = unit_of(dtype);
    attn_activate(&context, dtype, &celu, 1, N, x.data, NULL, y.data);
    for (int i = 0; i < N; i++) {
        const double wanted = at[i] < 0 ? 2 * expm1(at[i] / 2) : at[i];
        CHECK(fabs(tensor_get(&y, i) - wanted) <= 8 * unit * fabs(wanted), "celu(%g)", at[i]);
    }
    attn_activate(&context, dtype, &elu, 1, N, x.data, NULL, y.data);
    for (int i = 0; i < N; i++) {
        const double wanted = at[i] < 0 ? 3 * expm1(at[i]) : at[i];
        CHECK(fabs(tensor_get(&y, i) - wanted) <= 8 * unit * fabs(wanted), "elu(%g)", at[i]);
    }
    CHECK(tensor_end(&x) && tensor_end(&y), "wrote behind its output");
}

static void special_values(enum attn_dtype dtype) {
    const struct attn_context context = context_new(1);
    struct tensor x = tensor_new(dtype, 4), y = tensor_new(dtype, 4);
    const double at[4] = {NAN, INFINITY, -INFINITY, 0};
    for (int i = 0; i < 4; i++) {
        tensor_set(&x, i, at[i]);
    }
    for (int f = 0; f < FORMULAS; f++) {
        const char* name = formulas[f].name;
        const struct attn_activation activation = activation_of(name);
        attn_activate(&context, dtype, &activation, 1, 4, x.data, NULL, y.data);
        /* Keras's comparisons send NaN to 0 in these two */
        const int shrinks = strstr(name, "t_shrink") != NULL || strstr(name, "d_shrink") != NULL;
        CHECK(isnan(tensor_get(&y, 0)) || shrinks, "%s(NaN) = %g", name, tensor_get(&y, 0));
        const double top = tensor_get(&y, 1), zero = tensor_get(&y, 3);
        CHECK(!isnan(top) || strcmp(name, "softsign") == 0 || strcmp(name, "tanh_shrink") == 0,
              "%s(Inf) = %g", name, top);
        CHECK(fabs(zero - (double)formulas[f].of(0)) <= 4 * unit_of(dtype), "%s(0) = %g", name,
              zero);
    }
    const struct attn_activation exponential = activation_of("exponential");
    tensor_set(&x, 0, dtype == ATTN_FLOAT32 ? 89 : 710);
    attn_activate(&context, dtype, &exponential, 1, 4, x.data, NULL, y.data);
    CHECK(isinf(tensor_get(&y, 0)) && isinf(tensor_get(&y, 1)) && tensor_get(&y, 2) == 0,
          "exp at its ends: %g %g %g", tensor_get(&y, 0), tensor_get(&y, 1), tensor_get(&y, 2));
    CHECK(tensor_end(&x) && tensor_end(&y), "wrote behind its output");
    struct attn_activation unknown;
    CHECK(!attn_activation_named("glu", &unknown) && !attn_activation_named("", &unknown) &&
              !attn_activation_named("Relu", &unknown),
          "an unknown name is accepted");
}

/* every end of a row, with bias, in place; a number's result is the same at any place */
static void rows_with_bias(enum attn_dtype dtype) {
    const struct attn_activation gelu = activation_of("gelu");
    const struct attn_context context = context_new(2);
    struct dice dice = {7};
    for (ptrdiff_t columns = 1; columns < 40; columns += 1 + columns / 8) {
        const ptrdiff_t rows = 1 + dice_below(&dice, 5);
        struct tensor x = tensor_normal(&dice, dtype, rows * columns);
        struct tensor bias = tensor_normal(&dice, dtype, columns);
        struct tensor y = tensor_new(dtype, rows * columns), one = tensor_new(dtype, 1);
        attn_activate(&context, dtype, &gelu, rows, columns, x.data, bias.data, y.data);
        attn_bias_activate(&context, dtype, rows, columns, bias.data, &gelu, x.data);
        CHECK(memcmp(x.data, y.data, tensor_bytes(&y)) == 0, "in place differs");
        struct tensor plain = tensor_new(dtype, rows * columns);
        memcpy(plain.data, y.data, tensor_bytes(&y));
        attn_bias_activate(&context, dtype, rows, columns, NULL, &gelu, plain.data);
        for (ptrdiff_t i = 0; i < rows * columns; i++) {
            tensor_set(&one, 0, tensor_get(&y, i));
            attn_activate(&context, dtype, &gelu, 1, 1, one.data, NULL, one.data);
            CHECK(tensor_get(&one, 0) == tensor_get(&plain, i), "place %td of %td", i, columns);
        }
        CHECK(tensor_end(&x) && tensor_end(&y) && tensor_end(&bias) && tensor_end(&plain) &&
                  tensor_end(&one),
              "wrote behind its output");
    }
}

/* ---- rows ------------------------------------------------------------------------ */

static void softmax_shape(struct dice* dice, enum attn_dtype dtype, ptrdiff_t rows,
                          ptrdiff_t columns) {
    const struct attn_context context = context_new(2);
    struct tensor x = tensor_normal(dice, dtype, rows * columns);
    struct tensor y = tensor_new(dtype, rows * columns), z = tensor_new(dtype, rows * columns);
    struct tensor masked = tensor_new(dtype, rows * columns);
    struct attn_activation log_softmax = activation_of("log_softmax");
    uint8_t* mask = malloc((size_t)(rows * columns));
    const wide unit = (wide)unit_of(dtype);
    for (ptrdiff_t i = 0; i < rows * columns; i++) {
        tensor_set(&x, i, 10 * tensor_get(&x, i));
        mask[i] = (uint8_t)(i < columns ? 0 : dice_below(dice, 3));
    }
    attn_softmax(&context, dtype, rows, columns, x.data, NULL, y.data);
    attn_softmax(&context, dtype, rows, columns, x.data, mask, masked.data);
    attn_activate(&context, dtype, &log_softmax, rows, columns, x.data, NULL, z.data);
    for (ptrdiff_t row = 0; row < rows; row++) {
        wide max = -INFINITY, sum = 0, kept_max = -INFINITY, kept = 0;
        for (ptrdiff_t i = row * columns; i < (row + 1) * columns; i++) {
            max = fmaxl(max, (wide)tensor_get(&x, i));
            kept_max = mask[i] ? fmaxl(kept_max, (wide)tensor_get(&x, i)) : kept_max;
        }
        for (ptrdiff_t i = row * columns; i < (row + 1) * columns; i++) {
            sum += expl((wide)tensor_get(&x, i) - max);
            kept += mask[i] ? expl((wide)tensor_get(&x, i) - kept_max) : 0;
        }
        for (ptrdiff_t i = row * columns; i < (row + 1) * columns; i++) {
            /* exp(x - max) has the error of x - max, which is |x - max| units */
            const wide below = (wide)tensor_get(&x, i) - max, wanted = expl(below) / sum;
            const wide error = fabsl((wide)tensor_get(&y, i) - wanted);
            CHECK(error <= unit * wanted * (12 + fabsl(below)) + 0x1p-120L, "softmax %td: %Lg",
                  columns, error / unit);
            const wide logarithm = below - logl(sum);
            CHECK(fabsl((wide)tensor_get(&z, i) - logarithm) <=
                      unit * (8 + 3 * fabsl(logarithm)),
                  "log_softmax %td", columns);
            if (!mask[i]) {
                CHECK(tensor_get(&masked, i) == 0, "masked softmax %td: a masked weight", columns);
                continue;
            }
            const wide under = (wide)tensor_get(&x, i) - kept_max, shown = expl(under) / kept;
            CHECK(fabsl((wide)tensor_get(&masked, i) - shown) <=
                      unit * shown * (12 + fabsl(under)) + 0x1p-120L,
                  "masked softmax %td", columns);
        }
    }
    free(mask);
    CHECK(tensor_end(&x) && tensor_end(&y) && tensor_end(&z) && tensor_end(&masked),
          "softmax wrote behind its output");
}

/* tau from the number of larger ones, Keras's sum of sums and all */
static void sparsemax_row(enum attn_dtype dtype, struct dice* dice, ptrdiff_t columns) {
    const struct attn_context context = context_new(1);
    const struct attn_activation sparsemax = activation_of("sparsemax");
    struct tensor x = tensor_normal(dice, dtype, columns), y = tensor_new(dtype, columns);
    attn_activate(&context, dtype, &sparsemax, 1, columns, x.data, NULL, y.data);
    wide sums = 0, support = 0;
    for (ptrdiff_t i = 0; i < columns; i++) {
        wide sum = 0, place = 0;
        for (ptrdiff_t j = 0; j < columns; j++) {
            if (tensor_get(&x, j) >= tensor_get(&x, i)) {
                sum += (wide)tensor_get(&x, j);
                place += 1;
            }
        }
        if ((wide)tensor_get(&x, i) - (sum - 1) / place > 0) {
            sums += sum;
            support += 1;
        }
    }
    for (ptrdiff_t i = 0; i < columns; i++) {
        const wide wanted = fmaxl((wide)tensor_get(&x, i) - (sums - 1) / support, 0);
        CHECK(fabsl((wide)tensor_get(&y, i) - wanted) <= 8 * (wide)unit_of(dtype), "sparsemax");
    }
    CHECK(tensor_end(&x) && tensor_end(&y), "sparsemax wrote behind its output");
}

static void rows(enum attn_dtype dtype) {
    struct dice dice = {11};
    for (ptrdiff_t columns = 1; columns < 70; columns += 1 + columns / 6) {
        softmax_shape(&dice, dtype, 3, columns);
        sparsemax_row(dtype, &dice, columns);
    }
    softmax_shape(&dice, dtype, 2, 1500);
    const struct attn_context context = context_new(2);
    struct tensor x = tensor_normal(&dice, dtype, 5 * 26), y = tensor_new(dtype, 5 * 13);
    attn_glu(&context, dtype, 5, 13, x.data, y.data);
    for (ptrdiff_t i = 0; i < 5 * 13; i++) {
        const ptrdiff_t at = i / 13 * 26 + i % 13;
        const wide wanted =
            (wide)tensor_get(&x, at) * of_sigmoid((wide)tensor_get(&x, at + 13));
        CHECK(fabsl((wide)tensor_get(&y, i) - wanted) <= 8 * (wide)unit_of(dtype) * fabsl(wanted),
              "glu");
    }
    CHECK(tensor_end(&x) && tensor_end(&y), "glu wrote behind its output");
}

/* enough numbers for several threads: the same bits */
static void threads(enum attn_dtype dtype) {
    enum { ROWS = 3000, COLUMNS = 257 };
    static const char* const names[] = {"gelu", "softmax", "tanh"};
    struct dice dice = {13};
    struct tensor x = tensor_normal(&dice, dtype, ROWS * COLUMNS);
    struct tensor bias = tensor_normal(&dice, dtype, COLUMNS);
    struct tensor y = tensor_new(dtype, ROWS * COLUMNS), z = tensor_new(dtype, ROWS * COLUMNS);
    for (int i = 0; i < 3; i++) {
        const struct attn_activation activation = activation_of(names[i]);
        const struct attn_context one = context_new(1), more = context_new(3);
        const void* with = i == 2 ? NULL : bias.data;
        attn_activate(&one, dtype, &activation, ROWS, COLUMNS, x.data, with, y.data);
        attn_activate(&more, dtype, &activation, ROWS, COLUMNS, x.data, with, z.data);
        CHECK(memcmp(y.data, z.data, tensor_bytes(&y)) == 0, "%s on threads", names[i]);
    }
    CHECK(tensor_end(&x) && tensor_end(&y) && tensor_end(&z) && tensor_end(&bias),
          "wrote behind its output");
}

int main(void) {
    for_each_setting(values);
    for_each_setting(parameters);
    for_each_setting(special_values);
    for_each_setting(rows_with_bias);
    for_each_setting(rows);
    for_each_setting(threads);
    return checks_end();
}

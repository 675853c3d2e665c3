/* Layer and root mean square normalization against long double. */
#include "normalization.h"
#include "tensors.h"

typedef long double wide;

struct case_of {
    ptrdiff_t rows, columns;
    double mean, spread; /* of the data */
    int residual, gamma, beta;
    double epsilon;
};

/* Errors allowed, in units of |y|, of beta, and of the deviation from the mean (1 after
 * the normalization), which is what the mean's own error is measured by: its sums and
 * those of squares are of runs of additions, then in double; half of the latter's error
 * and a unit are in the factor. Then a product with gamma, the difference from the mean,
 * the product, the sum. */
static const double UNITS = 6;
static wide worst_of_all;

static void row_of(enum attn_normalizing how, const struct case_of* c, const struct tensor* s,
                   const struct tensor* gamma, const struct tensor* beta, ptrdiff_t row,
                   const struct tensor* y) {
    wide sum = 0, squares = 0, worst = 0;
    const wide count = (wide)c->columns, unit = (wide)unit_of(y->dtype);
    for (ptrdiff_t i = 0; i < c->columns; i++) {
        sum += (wide)tensor_get(s, row * c->columns + i);
    }
    const wide mean = sum / count;
    for (ptrdiff_t i = 0; i < c->columns; i++) {
        const wide x = (wide)tensor_get(s, row * c->columns + i);
        squares += how == ATTN_NORMALIZE_RMS ? x * x : (x - mean) * (x - mean);
    }
    const wide factor = 1 / sqrtl(squares / count + (wide)c->epsilon);
    for (ptrdiff_t i = 0; i < c->columns; i++) {
        const wide x = (wide)tensor_get(s, row * c->columns + i);
        const wide g = c->gamma ? (wide)tensor_get(gamma, i) : 1;
        const wide b = c->beta ? (wide)tensor_get(beta, i) : 0;
        const wide scaled = (how == ATTN_NORMALIZE_LAYER ? x - mean : x) * factor * g;
        const wide deviation = how == ATTN_NORMALIZE_LAYER ? sqrtl(squares / count) : 0;
        const wide size = fabsl(scaled) + fabsl(b) + fabsl(factor * g) * deviation;
        const wide error = fabsl((wide)tensor_get(y, row * c->columns + i) - (scaled + b));
        /* not a number is worse than all */
        const wide units = error == 0 ? 0 : error / (unit * size);
        worst = !(units <= worst) ? units : worst;
    }
    worst_of_all = worst > worst_of_all ? worst : worst_of_all;
    CHECK(worst <= (wide)UNITS, "%s %s way %d, %td columns, mean %g: %.1Lf units",
          attn_kernels()->isa, name_of(y->dtype), (int)how, c->columns, c->mean, worst);
}

static void normalize_case(enum attn_dtype dtype, struct dice* dice, enum attn_normalizing how,
                           const struct case_of* c) {
    const ptrdiff_t count = c->rows * c->columns;
    const struct attn_context context = context_new(2);
    struct tensor x = tensor_normal(dice, dtype, count), y = tensor_new(dtype, count);
    struct tensor residual = tensor_normal(dice, dtype, count), sum = tensor_new(dtype, count);
    struct tensor gamma = tensor_normal(dice, dtype, c->columns);
    struct tensor beta = tensor_normal(dice, dtype, c->columns), s = tensor_new(dtype, count);
    for (ptrdiff_t i = 0; i < count; i++) {
        tensor_set(&x, i, c->mean + c->spread * tensor_get(&x, i));
        /* rounded to the dtype, as any addition */
        tensor_set(&s, i, tensor_get(&x, i) + (c->residual ? tensor_get(&residual, i) : 0));
    }
    struct attn_normalization problem = {how,
                                         c->rows,
                                         c->columns,
                                         x.data,
                                         c->residual ? residual.data : NULL,
                                         c->gamma ? gamma.data : NULL,
                                         c->beta ? beta.data : NULL,
                                         c->epsilon,
                                         sum.data,
                                         y.data};
    attn_normalize(&context, dtype, &problem);
    CHECK(memcmp(sum.data, s.data, tensor_bytes(&s)) == 0, "the sum differs from x + residual");
    for (ptrdiff_t row = 0; row < c->rows; row++) {
        row_of(how, c, &s, &gamma, &beta, row, &y);
    }
    /* without the sum, and in place */
    struct tensor z = tensor_new(dtype, count);
    problem.sum = NULL;
    problem.y = z.data;
    attn_normalize(&context, dtype, &problem);
    CHECK(memcmp(y.data, z.data, tensor_bytes(&y)) == 0, "without the sum it is another result");
    problem.y = x.data;
    attn_normalize(&context, dtype, &problem);
    CHECK(memcmp(y.data, x.data, tensor_bytes(&y)) == 0, "in place it is another result");
    CHECK(tensor_end(&x) && tensor_end(&y) && tensor_end(&z) && tensor_end(&residual) &&
              tensor_end(&sum) && tensor_end(&gamma) && tensor_end(&beta) && tensor_end(&s),
          "wrote behind an output");
}

static void shapes(enum attn_dtype dtype) {
    worst_of_all = 0;
    static const int columns[] = {1, 2, 3, 4, 7, 8, 15, 16, 17, 33, 64, 100, 255, 513, 1025, 2300};
    static const double means[][2] = {{0, 1}, {3, 1}, {1000, 1}, {0, 1e-3}, {-50, 0.5}, {0, 1e4}};
    struct dice dice = {21};
    for (int i = 0; i < 16; i++) {
        for (int how = 0; how < 3; how++) {
            const double* mean = means[dice_below(&dice, 6)];
            const struct case_of c = {1 + dice_below(&dice, 4), columns[i], mean[0], mean[1],
                                      dice_below(&dice, 2), dice_below(&dice, 2),
                                      dice_below(&dice, 2), i % 2 ? 1e-3 : 1e-6};
            normalize_case(dtype, &dice, (enum attn_normalizing)how, &c);
        }
    }
    printf("%-8s %s: at most %.2Lf units\n", attn_kernels()->isa, name_of(dtype), worst_of_all);
}

/* a row of equal numbers is 0 after its mean, to the rounding of the mean */
static void constant_rows(enum attn_dtype dtype) {
    const struct attn_context context = context_new(1);
    const double huge = dtype == ATTN_FLOAT32 ? 3e38 : 1.7e308;
    const double values[] = {0, 1, -3.3, 12345.678, 1e-20, 1e30, huge};
    for (int v = 0; v < 7; v++) {
        struct tensor x = tensor_new(dtype, 37), y = tensor_new(dtype, 37);
        for (int i = 0; i < 37; i++) {
            tensor_set(&x, i, values[v]);
        }
        struct attn_normalization problem = {ATTN_NORMALIZE_LAYER, 1,    37,   x.data, NULL, NULL,
                                             NULL,                 1e-3, NULL, y.data};
        attn_normalize(&context, dtype, &problem);
        for (int i = 0; i < 37; i++) {
            CHECK(fabs(tensor_get(&y, i)) <= 1e-10, "constant %g gives %g", values[v],
                  tensor_get(&y, i));
        }
        CHECK(tensor_end(&x) && tensor_end(&y), "wrote behind an output");
    }
}

/* Squares, or the sum, overflow: the result is that of the row divided by 2^power, and
 * of equal numbers 0. In place as well. */
static void huge_rows(enum attn_dtype dtype) {
    static const int columns[] = {1, 2, 7, 16, 33, 100, 1025};
    const struct attn_context context = context_new(1);
    const double factor = ldexp(1, dtype == ATTN_FLOAT32 ? 123 : 1019);
    struct dice dice = {29};
    for (int i = 0; i < 21; i++) {
        const enum attn_normalizing how = (enum attn_normalizing)(i % 3);
        const ptrdiff_t count = columns[i / 3];
        struct tensor x = tensor_normal(&dice, dtype, count), huge = tensor_new(dtype, count);
        struct tensor y = tensor_new(dtype, count), z = tensor_new(dtype, count);
        for (ptrdiff_t j = 0; j < count; j++) {
            tensor_set(&x, j, tensor_get(&x, j) + 3); /* 2^-3 .. 2^4, and not 0 */
            tensor_set(&huge, j, factor * tensor_get(&x, j));
        }
        struct attn_normalization problem = {how,  1,     count, x.data, NULL, NULL,
                                             NULL, 1e-30, NULL,  y.data};
        attn_normalize(&context, dtype, &problem);
        problem.x = huge.data;
        problem.y = z.data;
        attn_normalize(&context, dtype, &problem);
        problem.y = huge.data;
        attn_normalize(&context, dtype, &problem);
        CHECK(memcmp(z.data, huge.data, tensor_bytes(&z)) == 0, "in place it is another result");
        for (ptrdiff_t j = 0; j < count && (count > 1 || how == ATTN_NORMALIZE_RMS); j++) {
            const double wanted = tensor_get(&y, j), got = tensor_get(&z, j);
            CHECK(fabs(got - wanted) <= 64 * unit_of(dtype) * (1 + fabs(wanted)),
                  "huge row %d of %td: %g is %g", i, count, wanted, got);
        }
        CHECK(tensor_end(&x) && tensor_end(&y) && tensor_end(&z) && tensor_end(&huge),
              "wrote behind an output");
    }
}

static void threads(enum attn_dtype dtype) {
    enum { ROWS = 2000, COLUMNS = 300 };
    struct dice dice = {23};
    struct tensor x = tensor_normal(&dice, dtype, ROWS * COLUMNS);
    struct tensor y = tensor_new(dtype, ROWS * COLUMNS), z = tensor_new(dtype, ROWS * COLUMNS);
    const struct attn_context one = context_new(1), more = context_new(3);
    struct attn_normalization problem = {ATTN_NORMALIZE_LAYER, ROWS, COLUMNS, x.data, NULL, NULL,
                                         NULL,                 1e-3, NULL,    y.data};
    attn_normalize(&one, dtype, &problem);
    problem.y = z.data;
    attn_normalize(&more, dtype, &problem);
    CHECK(memcmp(y.data, z.data, tensor_bytes(&y)) == 0, "on threads it is another result");
    CHECK(tensor_end(&x) && tensor_end(&y) && tensor_end(&z), "wrote behind an output");
}

int main(void) {
    for_each_setting(shapes);
    for_each_setting(constant_rows);
    for_each_setting(huge_rows);
    for_each_setting(threads);
    return checks_end();
}

/* Kernels of every instruction set against libm and plain loops. */
#include <float.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "kernels.h"
#include "matmul.h"

/* What the kernels promise, in units of the result's last place. exp: half a unit
 * from the last addition, and what the reduced argument and the polynomial bring.
 * tanh: e = exp(2|x|) - 1 to about one unit and a half (worst where 2^n (exp(r) - 1)
 * and 2^n - 1 cancel), then an addition and a division of half a unit each.
 * exp(scale * x): half a unit from the last operation, a quarter from f, a quarter
 * from the slope times f; where that product is rounded as well (no fma), more. */
static const double EXP_ULPS = 1.25, TANH_ULPS = 3;
static double exp_negative_ulps(void) {
    return strcmp(attn_kernels()->isa, "scalar") == 0 ? 1.4 : 1;
}

static double ulps_f32(float got, double wanted) {
    int exponent;
    frexp(wanted, &exponent);
    return fabs((double)got - wanted) / ldexp(1, exponent - 24);
}

static double ulps_f64(double got, long double wanted) {
    int exponent;
    frexpl(wanted, &exponent);
    return (double)(fabsl((long double)got - wanted) / ldexpl(1, exponent - 53));
}

static void elementary_f32(void) {
    const struct attn_kernels_f32* kernels = attn_kernels()->f32;
    struct dice dice = {1};
    double worst_exp = 0, worst_tanh = 0;
    for (int i = 0; i < 400000; i++) {
        float x = (float)(-87 * dice_unit(&dice)), y;
        if (i % 2) {
            x = -(float)pow(10, -40 + 41 * dice_unit(&dice));
        }
        kernels->exponential(1, &x, &y);
        worst_exp = fmax(worst_exp, ulps_f32(y, exp((double)x)));
        x = (float)((i % 3 ? 24 : 1) * (dice_unit(&dice) - 0.5));
        kernels->hyperbolic_tangent(1, &x, &y);
        worst_tanh = fmax(worst_tanh, ulps_f32(y, tanh((double)x)));
    }
    printf("%-8s float32: exp %.2f ulp, tanh %.2f ulp\n", kernels->isa, worst_exp, worst_tanh);
    CHECK(worst_exp <= EXP_ULPS, "%s expf: %.2f ulp", kernels->isa, worst_exp);
    CHECK(worst_tanh <= TANH_ULPS, "%s tanhf: %.2f ulp", kernels->isa, worst_tanh);
}

static void elementary_f64(void) {
    const struct attn_kernels_f64* kernels = attn_kernels()->f64;
    struct dice dice = {2};
    double worst_exp = 0, worst_tanh = 0;
    for (int i = 0; i < 400000; i++) {
        double x = -708 * dice_unit(&dice), y;
        if (i % 2) {
            x = -pow(10, -300 + 302 * dice_unit(&dice));
        }
        kernels->exponential(1, &x, &y);
        worst_exp = fmax(worst_exp, ulps_f64(y, expl((long double)x)));
        x = (i % 3 ? 48 : 1) * (dice_unit(&dice) - 0.5);
        kernels->hyperbolic_tangent(1, &x, &y);
        worst_tanh = fmax(worst_tanh, ulps_f64(y, tanhl((long double)x)));
    }
    printf("%-8s float64: exp %.2f ulp, tanh %.2f ulp\n", kernels->isa, worst_exp, worst_tanh);
    CHECK(worst_exp <= EXP_ULPS, "%s exp: %.2f ulp", kernels->isa, worst_exp);
    CHECK(worst_tanh <= TANH_ULPS, "%s tanh: %.2f ulp", kernels->isa, worst_tanh);
}

static const double scales[] = {1, 0.125, 0.17677669529663687, 3, 0x1p-100, 0x1p100};

/* x such that scale * x is in the range of results, near 0 and far from it */
static double negative(struct dice* dice, double scale, double lowest, double magnitudes) {
    const double product = dice_below(dice, 2) ? lowest * dice_unit(dice)
                                               : -pow(10, 1 - magnitudes * dice_unit(dice));
    return product / scale;
}

static void exponential_negative(void) {
    const struct attn_kernels_f32* f32 = attn_kernels()->f32;
    const struct attn_kernels_f64* f64 = attn_kernels()->f64;
    enum { LENGTH = 1001 };
    float x[LENGTH], y[LENGTH];
    double wide_x[LENGTH], wide_y[LENGTH], worst = 0, worst_wide = 0;
    struct dice dice = {4};
    for (int round = 0; round < 300; round++) {
        const float scale = (float)scales[round % 6];
        const double wide_scale = scales[round % 6];
        for (int i = 0; i < LENGTH; i++) {
            x[i] = (float)negative(&dice, (double)scale, -86.9, 40);
            wide_x[i] = negative(&dice, wide_scale, -707.5, 300);
        }
        f32->exponential_negative(LENGTH, scale, x, y);
        f64->exponential_negative(LENGTH, wide_scale, wide_x, wide_y);
        for (int i = 0; i < LENGTH; i++) {
            worst = fmax(worst, ulps_f32(y[i], exp((double)scale * (double)x[i])));
            worst_wide = fmax(worst_wide, ulps_f64(wide_y[i], expl((long double)wide_scale *
                                                                   (long double)wide_x[i])));
        }
    }
    printf("%-8s exp(scale * x): float32 %.2f ulp, float64 %.2f ulp\n", f32->isa, worst,
           worst_wide);
    CHECK(worst <= exp_negative_ulps(), "%s exp(scale * x): %.2f ulp", f32->isa, worst);
    CHECK(worst_wide <= exp_negative_ulps(), "%s exp(scale * x): %.2f ulp, float64", f32->isa,
          worst_wide);
}

/* what the softmax counts on: 1 at the maximum, nothing subnormal, 0 for a hidden
 * key under any scale, and a NaN that shows */
static void exponential_negative_at_its_ends(void) {
    for (int i = 0; i < 6; i++) {
        const float scale = (float)scales[i];
        const float x[] = {0.0f, -0.0f, -INFINITY, NAN, -FLT_MAX, -87.4f / scale};
        float y[6];
        attn_kernels()->f32->exponential_negative(6, scale, x, y);
        CHECK(y[0] == 1 && y[1] == 1 && y[2] == 0 && isnan(y[3]) && y[4] == 0 && y[5] == 0,
              "exp(%g * x): %g %g %g %g %g %g", (double)scale, (double)y[0], (double)y[1],
              (double)y[2], (double)y[3], (double)y[4], (double)y[5]);
        const double wide[] = {0.0, -0.0, -INFINITY, NAN, -DBL_MAX, -708.5 / scales[i]};
        double z[6];
        attn_kernels()->f64->exponential_negative(6, scales[i], wide, z);
        CHECK(z[0] == 1 && z[1] == 1 && z[2] == 0 && isnan(z[3]) && z[4] == 0 && z[5] == 0,
              "exp(%g * x), float64: %g %g %g %g %g %g", scales[i], z[0], z[1], z[2], z[3], z[4],
              z[5]);
    }
}

static void special_values(void) {
    const float x[] = {-INFINITY, NAN, 0.0f, -0.0f, 1e30f, -1e30f};
    float e[6], t[6];
    attn_kernels()->f32->exponential(6, x, e);
    attn_kernels()->f32->hyperbolic_tangent(6, x, t);
    CHECK(e[0] == 0 && isnan(e[1]) && e[2] == 1 && e[3] == 1 && e[5] == 0, "exp of special values");
    CHECK(t[0] == -1 && isnan(t[1]) && t[2] == 0 && signbit(t[3]) && t[4] == 1 && t[5] == -1,
          "tanh of special values");
    const double wide[] = {-INFINITY, NAN, 0.0, -0.0, 1e300, -1e300};
    double ew[6], tw[6];
    attn_kernels()->f64->exponential(6, wide, ew);
    attn_kernels()->f64->hyperbolic_tangent(6, wide, tw);
    CHECK(ew[0] == 0 && isnan(ew[1]) && ew[2] == 1 && ew[3] == 1 && ew[5] == 0,
          "exp of special values, float64");
    CHECK(tw[0] == -1 && isnan(tw[1]) && tw[2] == 0 && signbit(tw[3]) && tw[4] == 1 && tw[5] == -1,
          "tanh of special values, float64");
}

/* every edge of the blocking, against a plain triple loop in double */
static void matmul_f32_shape(struct dice* dice, ptrdiff_t rows, ptrdiff_t depth,
                             ptrdiff_t columns, int with_bias) {
    float* x = malloc((size_t)(rows * depth) * sizeof *x);
    float* w = malloc((size_t)(depth * columns) * sizeof *w);
    float* bias = malloc((size_t)columns * sizeof *bias);
    float* out = malloc(((size_t)(rows * columns) + 32) * sizeof *out);
    void* packed = aligned_alloc(
        64, (attn_matmul_packed_size(ATTN_FLOAT32, depth, columns) + 63) / 64 * 64);
    for (ptrdiff_t i = 0; i < rows * depth; i++) x[i] = (float)dice_normal(dice);
    for (ptrdiff_t i = 0; i < depth * columns; i++) w[i] = (float)dice_normal(dice);
    for (ptrdiff_t i = 0; i < columns; i++) bias[i] = (float)dice_normal(dice);
    memset(out, 0xA5, ((size_t)(rows * columns) + 32) * sizeof *out);
    attn_matmul_pack(ATTN_FLOAT32, depth, columns, w, packed);
    struct attn_workspace workspace = {0};
    struct attn_context context = {&workspace, 2, NULL, NULL};
    enum attn_status status = attn_matmul(&context, ATTN_FLOAT32, rows, depth, columns, x, packed,
                                          with_bias ? bias : NULL, out);
    CHECK(status == ATTN_OK, "matmul returned %d", (int)status);
    double worst = 0;
    for (ptrdiff_t i = 0; i < rows; i++) {
        for (ptrdiff_t j = 0; j < columns; j++) {
            double sum = with_bias ? (double)bias[j] : 0;
            for (ptrdiff_t d = 0; d < depth; d++) {
                sum += (double)x[i * depth + d] * (double)w[d * columns + j];
            }
            double error = fabs((double)out[i * columns + j] - sum);
            worst = error > worst || error != error ? error : worst;
        }
    }
    CHECK(worst <= 1e-6 * (1 + sqrt((double)depth)) * 4, "%s matmul %td x %td x %td: error %g",
          attn_kernels()->isa, rows, depth, columns, worst);
    unsigned char guard[32 * sizeof(float)];
    memset(guard, 0xA5, sizeof guard);
    CHECK(memcmp(out + rows * columns, guard, sizeof guard) == 0, "matmul wrote past its output");
    attn_workspace_reset(&workspace, 0);
    free(x);
    free(w);
    free(bias);
    free(out);
    free(packed);
}

static void matmul_shapes(void) {
    const int rows[] = {1, 2, 5, 6, 7, 13, 14, 15, 28, 47, 48, 49, 111, 112, 113, 225};
    const int depths[] = {1, 3, 16, 64, 383, 384, 385, 800};
    const int columns[] = {1, 3, 4, 15, 16, 17, 31, 32, 33, 63, 64, 65, 100};
    struct dice dice = {3};
    for (int i = 0; i < 16; i++) {
        for (int j = 0; j < 8; j++) {
            matmul_f32_shape(&dice, rows[i], depths[j], dice_one_of(&dice, columns, 13), i % 2);
        }
    }
    for (int j = 0; j < 13; j++) {
        matmul_f32_shape(&dice, 20, 40, columns[j], j % 2);
    }
}

int main(void) {
    for (int set = 0; attn_kernels_available(set) != NULL; set++) {
        CHECK(attn_kernels_choose(attn_kernels_available(set)), "an available set is refused");
        elementary_f32();
        elementary_f64();
        exponential_negative();
        exponential_negative_at_its_ends();
        special_values();
        matmul_shapes();
    }
    CHECK(!attn_kernels_choose("no such set"), "an unknown set is accepted");
    return checks_end();
}

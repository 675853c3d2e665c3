/* Kernels of every instruction set against plain loops. */
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "kernels.h"
#include "matmul.h"

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
        matmul_shapes();
    }
    CHECK(!attn_kernels_choose("no such set"), "an unknown set is accepted");
    return checks_end();
}

/* The matrix product in every layout, at every instruction set and in both
 * precisions: sizes on both sides of every edge of the blocking, several
 * right-hand sides at once, the same bits for any number of threads and for a row
 * alone. What is read ends where its numbers end, so that the address sanitizer sees a
 * number too many; what is written has a guard behind it. */
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "kernels.h"
#include "matmul.h"

static const int heights[] = {1,  2,  3,  5,  6,  7,  8,  9,  11, 12,  13,  14,  15,  16,
                              17, 27, 28, 29, 47, 48, 49, 95, 96, 97,  111, 112, 113, 200};
static const int depths[] = {1, 2, 3, 7, 8, 9, 15, 16, 17, 64, 80, 255, 256, 257, 300, 513, 770};
static const int widths[] = {1,  2,  3,  4,  5,  7,  8,  9,  12, 15,
                             16, 17, 24, 31, 32, 33, 40, 63, 65, 100};
enum { MOST_THREADS = 3, GUARD = 128 };

#define ONE_OF(dice, table) dice_one_of(dice, table, (int)(sizeof(table) / sizeof(table[0])))

/* One right-hand side of a problem, in doubles. */
struct side {
    ptrdiff_t columns;
    double *matrix, *bias; /* row-major (depth x columns); bias may be NULL */
    int as_columns;        /* the result goes to an array of R's layout */
    int is_turned;         /* its lines, which are rows or columns, are in the opposite order */
};

struct problem {
    enum attn_dtype dtype;
    ptrdiff_t rows, depth;
    int from_columns, is_turned; /* x is an array of R's; its lines in the opposite order */
    ptrdiff_t gap;               /* numbers between its lines that are not its own */
    double* x; /* row-major (rows x depth) */
    int sides;
    struct side side[ATTN_MOST_FACTORS];
};

static double* normals(struct dice* dice, ptrdiff_t count) {
    double* made = malloc((size_t)count * sizeof *made);
    for (ptrdiff_t i = 0; i < count; i++) {
        made[i] = dice_normal(dice);
    }
    return made;
}

static void* in_dtype(enum attn_dtype dtype, const double* x, ptrdiff_t count) {
    const size_t size = (size_t)count * attn_dtype_size(dtype);
    void* made = aligned_alloc(64, (size + 63) / 64 * 64);
    for (ptrdiff_t i = 0; i < count; i++) {
        if (dtype == ATTN_FLOAT32) {
            ((float*)made)[i] = (float)x[i];
        } else {
            ((double*)made)[i] = x[i];
        }
    }
    return made;
}

/* places in the opposite order, or NULL */
static ptrdiff_t* places(int is_turned, ptrdiff_t lines) {
    ptrdiff_t* place = is_turned ? malloc((size_t)lines * sizeof *place) : NULL;
    for (ptrdiff_t i = 0; is_turned && i < lines; i++) {
        place[i] = lines - 1 - i;
    }
    return place;
}

static struct problem draw(struct dice* dice, enum attn_dtype dtype) {
    struct problem p = {.dtype = dtype};
    p.rows = ONE_OF(dice, heights);
    p.depth = ONE_OF(dice, depths);
    p.from_columns = dice_below(dice, 2);
    p.is_turned = !p.from_columns && dice_below(dice, 2);
    p.gap = dice_below(dice, 3);
    p.x = normals(dice, p.rows * p.depth);
    p.sides = 1 + dice_below(dice, ATTN_MOST_FACTORS);
    for (int i = 0; i < p.sides; i++) {
        struct side* side = &p.side[i];
        side->columns = ONE_OF(dice, widths);
        side->matrix = normals(dice, p.depth * side->columns);
        side->bias = dice_below(dice, 2) ? normals(dice, side->columns) : NULL;
        side->as_columns = dice_below(dice, 2);
        side->is_turned = dice_below(dice, 2);
    }
    return p;
}

static void release(struct problem* p) {
    for (int i = 0; i < p->sides; i++) {
        free(p->side[i].matrix);
        free(p->side[i].bias);
    }
    free(p->x);
}

/* x as the product gets it: rows [first, first + rows) of the problem's. The end of
 * the memory is the end of the last line. */
static void* left_side(const struct problem* p, ptrdiff_t first, ptrdiff_t rows,
                       struct attn_matrix* matrix) {
    const ptrdiff_t lines = p->from_columns ? p->depth : rows;
    const ptrdiff_t length = p->from_columns ? rows : p->depth, step = length + p->gap;
    const int as_double = p->from_columns || p->dtype == ATTN_FLOAT64;
    void* made = malloc((size_t)((lines - 1) * step + length) *
                        (as_double ? sizeof(double) : sizeof(float)));
    for (ptrdiff_t line = 0; line < lines; line++) {
        for (ptrdiff_t i = 0; i < length; i++) {
            const ptrdiff_t at = (p->is_turned ? lines - 1 - line : line) * step + i;
            const double x = p->from_columns ? p->x[(first + i) * p->depth + line]
                                             : p->x[(first + line) * p->depth + i];
            if (as_double) {
                ((double*)made)[at] = x;
            } else {
                ((float*)made)[at] = (float)x;
            }
        }
    }
    *matrix = (struct attn_matrix){made, p->from_columns ? ATTN_COLUMNS : ATTN_ROWS, step,
                                   places(p->is_turned, lines)};
    return made;
}

/* the numbers of a result, whatever its layout */
static double number_of_result(const struct problem* p, const struct side* side, const void* out,
                               ptrdiff_t rows, ptrdiff_t row, ptrdiff_t column) {
    if (side->as_columns) {
        column = side->is_turned ? side->columns - 1 - column : column;
        return ((const double*)out)[row + column * rows];
    }
    row = side->is_turned ? rows - 1 - row : row;
    const ptrdiff_t at = row * side->columns + column;
    return p->dtype == ATTN_FLOAT32 ? (double)((const float*)out)[at] : ((const double*)out)[at];
}

/* A result has only 0xFF behind it: kernels store whole vectors. */
static void check_guard(const struct side* side, enum attn_dtype dtype, ptrdiff_t rows,
                        const void* out) {
    const size_t element = side->as_columns ? sizeof(double) : attn_dtype_size(dtype);
    unsigned char untouched[GUARD];
    memset(untouched, 0xFF, sizeof untouched);
    CHECK(memcmp((const unsigned char*)out + (size_t)(rows * side->columns) * element, untouched,
                 sizeof untouched) == 0,
          "%s: a product of %td x %td is written past its end", attn_kernels()->isa, rows,
          side->columns);
}

/* results of rows [first, first + rows), for side i: row-major doubles, to be freed */
static void run(const struct problem* p, ptrdiff_t first, ptrdiff_t rows, int threads,
                double** results) {
    struct attn_workspace workspace = {0};
    struct attn_context context = {&workspace, threads, NULL, NULL};
    struct attn_factor factor[ATTN_MOST_FACTORS];
    struct attn_matrix x;
    void* left = left_side(p, first, rows, &x);
    void *packed[ATTN_MOST_FACTORS], *bias[ATTN_MOST_FACTORS], *out[ATTN_MOST_FACTORS];
    ptrdiff_t *row_place[ATTN_MOST_FACTORS], *column_place[ATTN_MOST_FACTORS];
    for (int i = 0; i < p->sides; i++) {
        const struct side* side = &p->side[i];
        const ptrdiff_t count = rows * side->columns;
        const size_t element = side->as_columns ? sizeof(double) : attn_dtype_size(p->dtype);
        void* matrix = in_dtype(p->dtype, side->matrix, p->depth * side->columns);
        const size_t size = attn_matmul_packed_size(p->dtype, p->depth, side->columns);
        packed[i] = aligned_alloc(64, (size + 63) / 64 * 64);
        attn_matmul_pack(&context, p->dtype, p->depth, side->columns, matrix, packed[i]);
        free(matrix);
        bias[i] = side->bias != NULL ? in_dtype(p->dtype, side->bias, side->columns) : NULL;
        out[i] = malloc((size_t)count * element + GUARD);
        memset(out[i], 0xFF, (size_t)count * element + GUARD); /* NaN in both precisions */
        row_place[i] = places(!side->as_columns && side->is_turned, rows);
        column_place[i] = places(side->as_columns && side->is_turned, side->columns);
        const struct attn_matrix_out to = {out[i], side->as_columns ? ATTN_COLUMNS : ATTN_ROWS,
                                           side->as_columns ? rows : side->columns, row_place[i],
                                           column_place[i]};
        factor[i] = (struct attn_factor){side->columns, packed[i], bias[i], to};
    }
    enum attn_status status =
        attn_matmul_each(&context, p->dtype, rows, p->depth, &x, p->sides, factor);
    CHECK(status == ATTN_OK, "the product answers %d", (int)status);
    for (int i = 0; i < p->sides; i++) {
        check_guard(&p->side[i], p->dtype, rows, out[i]);
        results[i] = malloc((size_t)(rows * p->side[i].columns) * sizeof(double));
        for (ptrdiff_t at = 0; at < rows * p->side[i].columns; at++) {
            results[i][at] =
                number_of_result(p, &p->side[i], out[i], rows, at / p->side[i].columns,
                                 at % p->side[i].columns);
        }
        free(packed[i]);
        free(bias[i]);
        free(out[i]);
        free(row_place[i]);
        free(column_place[i]);
    }
    free((void*)x.row_place);
    free(left);
    attn_workspace_reset(&workspace, 0);
}

/* Largest error over what n additions in a row can lose of a sum of terms:
 * n u / (1 - n u) times the sum of their sizes (Higham 2002, "Accuracy and stability
 * of numerical algorithms", section 4.2). The parts of the depth are such rows, then
 * the parts are one; a product may be rounded, and the bias is one addition more. */
static double worst_error(const struct problem* p, const struct side* side, const double* got) {
    const double u = p->dtype == ATTN_FLOAT32 ? 0x1p-24 : 0x1p-53;
    const ptrdiff_t most = p->dtype == ATTN_FLOAT32 ? attn_kernels()->f32->product_depth
                                                    : attn_kernels()->f64->product_depth;
    const ptrdiff_t parts = (p->depth + most - 1) / most;
    const double n = (double)((p->depth + parts - 1) / parts + parts + 1);
    const double lost = n * u / (1 - n * u);
    double worst = 0;
    for (ptrdiff_t row = 0; row < p->rows; row++) {
        for (ptrdiff_t column = 0; column < side->columns; column++) {
            long double sum = side->bias != NULL ? (long double)side->bias[column] : 0;
            long double size = fabsl(sum);
            for (ptrdiff_t d = 0; d < p->depth; d++) {
                const long double term = (long double)p->x[row * p->depth + d] *
                                         (long double)side->matrix[d * side->columns + column];
                sum += term;
                size += fabsl(term);
            }
            const double error =
                (double)fabsl((long double)got[row * side->columns + column] - sum) /
                (lost * (double)size);
            worst = error > worst || error != error ? error : worst;
        }
    }
    return worst;
}

static void judge(struct dice* dice, int number, enum attn_dtype dtype) {
    struct problem p = draw(dice, dtype);
    const char* isa = attn_kernels()->isa;
    double* result[MOST_THREADS][ATTN_MOST_FACTORS];
    for (int threads = 1; threads <= MOST_THREADS; threads++) {
        run(&p, 0, p.rows, threads, result[threads - 1]);
    }
    const ptrdiff_t first = dice_below(dice, (int)p.rows);
    const ptrdiff_t rows = 1 + dice_below(dice, (int)(p.rows - first));
    double* alone[ATTN_MOST_FACTORS];
    run(&p, first, rows, 1, alone);
    for (int i = 0; i < p.sides; i++) {
        const struct side* side = &p.side[i];
        const size_t bytes = (size_t)(p.rows * side->columns) * sizeof(double);
        const double worst = worst_error(&p, side, result[0][i]);
        CHECK(worst <= 1, "%s problem %d, float%d, %td x %td x %td: %g of the bound", isa, number,
              dtype == ATTN_FLOAT32 ? 32 : 64, p.rows, p.depth, side->columns, worst);
        for (int threads = 2; threads <= MOST_THREADS; threads++) {
            CHECK(memcmp(result[0][i], result[threads - 1][i], bytes) == 0,
                  "%s problem %d: %d threads give other bits", isa, number, threads);
        }
        CHECK(memcmp(result[0][i] + first * side->columns, alone[i],
                     (size_t)(rows * side->columns) * sizeof(double)) == 0,
              "%s problem %d: some rows alone have other bits", isa, number);
    }
    for (int i = 0; i < p.sides; i++) {
        free(alone[i]);
        for (int threads = 0; threads < MOST_THREADS; threads++) {
            free(result[threads][i]);
        }
    }
    release(&p);
}

static double number_at(const void* tensor, enum attn_dtype dtype, ptrdiff_t at) {
    return dtype == ATTN_FLOAT32 ? (double)((const float*)tensor)[at] : ((const double*)tensor)[at];
}

/* Copies are exact: casts of the same numbers in other places. */
static void copies(struct dice* dice, enum attn_dtype dtype) {
    const ptrdiff_t rows = ONE_OF(dice, heights), columns = ONE_OF(dice, widths);
    const ptrdiff_t step = rows + dice_below(dice, 2);
    double* from = malloc((size_t)((columns - 1) * step + rows) * sizeof *from);
    void* tensor = malloc((size_t)(rows * columns) * attn_dtype_size(dtype));
    void* moved = malloc((size_t)(rows * columns) * attn_dtype_size(dtype));
    double* back = malloc((size_t)(rows * columns) * sizeof *back);
    for (ptrdiff_t i = 0; i < (columns - 1) * step + rows; i++) {
        from[i] = dice_unit(dice) - 0.5; /* needs all bits of a double */
    }
    from[0] = NAN;
    const int rows_turned = dice_below(dice, 2), columns_turned = dice_below(dice, 2);
    ptrdiff_t* row_place = places(rows_turned, rows);
    ptrdiff_t* column_place = places(columns_turned, columns);
    struct attn_context context = {NULL, 2, NULL, NULL};
    const struct attn_matrix read = {from, ATTN_COLUMNS, step, NULL};
    const struct attn_matrix_out in_rows = {tensor, ATTN_ROWS, columns, row_place, NULL};
    attn_matrix_copy(&context, dtype, rows, columns, &read, &in_rows);
    const struct attn_matrix again = {tensor, ATTN_ROWS, columns, row_place};
    const struct attn_matrix_out written = {back, ATTN_COLUMNS, rows, NULL, column_place};
    attn_matrix_copy(&context, dtype, rows, columns, &again, &written);
    const struct attn_matrix_out in_order = {moved, ATTN_ROWS, columns, NULL, NULL};
    attn_matrix_copy(&context, dtype, rows, columns, &again, &in_order);
    ptrdiff_t wrong = 0;
    for (ptrdiff_t at = 0; at < rows * columns; at++) {
        const ptrdiff_t row = at / columns, column = at % columns;
        const double x = from[row + column * step];
        const double wanted = dtype == ATTN_FLOAT32 ? (double)(float)x : x;
        const ptrdiff_t tensor_at = (rows_turned ? rows - 1 - row : row) * columns + column;
        const double in_tensor = number_at(tensor, dtype, tensor_at);
        const double in_moved = number_at(moved, dtype, at);
        const double got = back[row + (columns_turned ? columns - 1 - column : column) * rows];
        wrong += !(in_tensor == wanted || (isnan(in_tensor) && isnan(wanted)));
        wrong += !(in_moved == wanted || (isnan(in_moved) && isnan(wanted)));
        wrong += !(got == wanted || (isnan(got) && isnan(wanted)));
    }
    CHECK(wrong == 0, "%s: %td of %td x %td numbers are not copied", attn_kernels()->isa, wrong,
          rows, columns);
    free(row_place);
    free(column_place);
    free(from);
    free(tensor);
    free(moved);
    free(back);
}

int main(int argc, char** argv) {
    const int problems = argc > 1 ? atoi(argv[1]) : 400;
    for (int set = 0; attn_kernels_available(set) != NULL; set++) {
        attn_kernels_choose(attn_kernels_available(set));
        for (int dtype = 0; dtype < 2; dtype++) {
            struct dice dice = {7};
            for (int number = 0; number < problems; number++) {
                judge(&dice, number, (enum attn_dtype)dtype);
                copies(&dice, (enum attn_dtype)dtype);
            }
        }
    }
    CHECK(!attn_kernels_choose("no such set"), "an unknown set is accepted");
    return checks_end();
}

/* The matrix product in every layout, at every instruction set and in both
 * precisions: sizes on both sides of every edge of the blocking, several
 * right-hand sides at once, the same bits for any number of threads and for a row
 * alone. Arrays end where their numbers end, so that the address sanitizer sees a
 * number too many. */
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "kernels.h"
#include "matmul.h"

static const int heights[] = {1,  2,  3,  5,  6,  7,  8,  9,  11, 12,  13,  14,  15,  16,
                              17, 27, 28, 29, 47, 48, 49, 95, 96, 97,  111, 112, 113, 200};
static const int depths[] = {1, 2, 3, 7, 8, 9, 15, 16, 17, 64, 80, 255, 256, 257, 300, 513, 770};
static const int widths[] = {1, 2, 3, 4, 5, 7, 8, 9, 12, 15, 16, 17, 24, 31, 32, 33, 40, 63, 65, 100};
enum { MOST_THREADS = 3 };

#define ONE_OF(dice, table) dice_one_of(dice, table, (int)(sizeof(table) / sizeof(table[0])))

/* One right-hand side of a problem, in doubles. */
struct side {
    ptrdiff_t columns;
    double *matrix, *bias; /* row-major (depth x columns); bias may be NULL */
    int as_columns;        /* the result goes to an array of R's layout ... */
    ptrdiff_t* place;      /* ... with its columns in this order, or NULL */
};

struct problem {
    enum attn_dtype dtype;
    ptrdiff_t rows, depth, step; /* step between the columns of x as R has them */
    int from_columns;
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

/* an order of the columns that is not theirs */
static ptrdiff_t* turned(ptrdiff_t columns, ptrdiff_t step) {
    ptrdiff_t* place = malloc((size_t)columns * sizeof *place);
    for (ptrdiff_t i = 0; i < columns; i++) {
        place[i] = (columns - 1 - i) * step;
    }
    return place;
}

static struct problem draw(struct dice* dice, enum attn_dtype dtype) {
    struct problem p = {.dtype = dtype};
    p.rows = ONE_OF(dice, heights);
    p.depth = ONE_OF(dice, depths);
    p.from_columns = dice_below(dice, 2);
    p.step = p.rows + (p.from_columns ? dice_below(dice, 3) : 0);
    p.x = normals(dice, p.rows * p.depth);
    p.sides = 1 + dice_below(dice, ATTN_MOST_FACTORS);
    for (int i = 0; i < p.sides; i++) {
        struct side* side = &p.side[i];
        side->columns = ONE_OF(dice, widths);
        side->matrix = normals(dice, p.depth * side->columns);
        side->bias = dice_below(dice, 2) ? normals(dice, side->columns) : NULL;
        side->as_columns = dice_below(dice, 2);
        side->place = side->as_columns && dice_below(dice, 2) ? turned(side->columns, p.rows) : NULL;
    }
    return p;
}

static void release(struct problem* p) {
    for (int i = 0; i < p->sides; i++) {
        free(p->side[i].matrix);
        free(p->side[i].bias);
        free(p->side[i].place);
    }
    free(p->x);
}

/* x as the product gets it: rows [first, first + rows) of the problem's */
static void* left_side(const struct problem* p, ptrdiff_t first, ptrdiff_t rows,
                       struct attn_matrix* matrix) {
    void* made;
    if (p->from_columns) {
        const ptrdiff_t step = rows + p->step - p->rows;
        double* columns = malloc((size_t)((p->depth - 1) * step + rows) * sizeof *columns);
        for (ptrdiff_t d = 0; d < p->depth; d++) {
            for (ptrdiff_t row = 0; row < rows; row++) {
                columns[row + d * step] = p->x[(first + row) * p->depth + d];
            }
        }
        made = columns;
        *matrix = (struct attn_matrix){columns, ATTN_COLUMNS, step};
    } else {
        /* not in_dtype(): the end is to be the end */
        const size_t size = (size_t)(rows * p->depth) * attn_dtype_size(p->dtype);
        void* padded = in_dtype(p->dtype, p->x + first * p->depth, rows * p->depth);
        made = memcpy(malloc(size), padded, size);
        free(padded);
        *matrix = attn_rows(made, p->depth);
    }
    return made;
}

/* the numbers of a result, row-major, whatever its layout */
static double number_of_result(const struct problem* p, const struct side* side, const void* out,
                               ptrdiff_t rows, ptrdiff_t row, ptrdiff_t column) {
    if (side->as_columns) {
        const ptrdiff_t place =
            side->place != NULL ? side->columns - 1 - column : column;
        return ((const double*)out)[row + place * rows];
    }
    const ptrdiff_t at = row * side->columns + column;
    return p->dtype == ATTN_FLOAT32 ? (double)((const float*)out)[at] : ((const double*)out)[at];
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
    ptrdiff_t* place[ATTN_MOST_FACTORS];
    for (int i = 0; i < p->sides; i++) {
        const struct side* side = &p->side[i];
        const ptrdiff_t count = rows * side->columns;
        const size_t element = side->as_columns ? sizeof(double) : attn_dtype_size(p->dtype);
        void* matrix = in_dtype(p->dtype, side->matrix, p->depth * side->columns);
        const size_t size = attn_matmul_packed_size(p->dtype, p->depth, side->columns);
        packed[i] = aligned_alloc(64, (size + 63) / 64 * 64);
        attn_matmul_pack(p->dtype, p->depth, side->columns, matrix, packed[i]);
        free(matrix);
        bias[i] = side->bias != NULL ? in_dtype(p->dtype, side->bias, side->columns) : NULL;
        out[i] = malloc((size_t)count * element);
        memset(out[i], 0xFF, (size_t)count * element); /* NaN in both precisions */
        place[i] = side->place != NULL ? turned(side->columns, rows) : NULL;
        factor[i] = (struct attn_factor){side->columns, packed[i], bias[i],
                                         attn_rows_out(out[i], side->columns)};
        if (side->as_columns) {
            factor[i].out = (struct attn_matrix_out){out[i], ATTN_COLUMNS, rows, place[i]};
        }
    }
    enum attn_status status =
        attn_matmul_each(&context, p->dtype, rows, p->depth, &x, p->sides, factor);
    CHECK(status == ATTN_OK, "the product answers %d", (int)status);
    for (int i = 0; i < p->sides; i++) {
        results[i] = malloc((size_t)(rows * p->side[i].columns) * sizeof(double));
        for (ptrdiff_t at = 0; at < rows * p->side[i].columns; at++) {
            results[i][at] =
                number_of_result(p, &p->side[i], out[i], rows, at / p->side[i].columns,
                                 at % p->side[i].columns);
        }
        free(packed[i]);
        free(bias[i]);
        free(out[i]);
        free(place[i]);
    }
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

/* Reading and writing are exact: casts of the same numbers in other places. */
static void copies(struct dice* dice, enum attn_dtype dtype) {
    const ptrdiff_t rows = ONE_OF(dice, heights), columns = ONE_OF(dice, widths);
    const ptrdiff_t step = rows + dice_below(dice, 2);
    double* from = malloc((size_t)((columns - 1) * step + rows) * sizeof *from);
    double* back = malloc((size_t)(columns * rows) * sizeof *back);
    for (ptrdiff_t i = 0; i < (columns - 1) * step + rows; i++) {
        from[i] = dice_unit(dice) - 0.5; /* needs all bits of a double */
    }
    from[0] = NAN;
    struct attn_workspace workspace = {0};
    struct attn_context context = {&workspace, 2, NULL, NULL};
    const struct attn_matrix matrix = {from, ATTN_COLUMNS, step};
    const void* tensor = NULL;
    CHECK(attn_read_rows(&context, dtype, rows, columns, &matrix, &tensor) == ATTN_OK, "read");
    const int as_given = dice_below(dice, 2);
    ptrdiff_t* place = as_given ? NULL : turned(columns, rows);
    const struct attn_matrix_out out = {back, ATTN_COLUMNS, rows, place};
    attn_write_rows(&context, dtype, rows, columns, tensor, &out);
    ptrdiff_t wrong = 0;
    for (ptrdiff_t row = 0; row < rows; row++) {
        for (ptrdiff_t column = 0; column < columns; column++) {
            const double x = from[row + column * step];
            const double wanted = dtype == ATTN_FLOAT32 ? (double)(float)x : x;
            const ptrdiff_t at = as_given ? column : columns - 1 - column;
            const double got = back[row + at * rows];
            wrong += !(got == wanted || (isnan(got) && isnan(wanted)));
        }
    }
    CHECK(wrong == 0, "%s: %td of %td x %td numbers are not copied", attn_kernels()->isa, wrong,
          rows, columns);
    const struct attn_matrix same = attn_rows(tensor, columns);
    const void* again = NULL;
    CHECK(attn_read_rows(&context, dtype, rows, columns, &same, &again) == ATTN_OK &&
              again == tensor,
          "what has contiguous rows is copied");
    attn_workspace_reset(&workspace, 0);
    free(place);
    free(from);
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
    return checks_end();
}

/* Permutations, joined and merged tensors, products of pairs, against plain loops. */
#include "batch_product.h"
#include "elementwise.h"
#include "layout.h"
#include "tensors.h"

typedef long double wide;

static ptrdiff_t product(int rank, const ptrdiff_t* dim) {
    ptrdiff_t count = 1;
    for (int axis = 0; axis < rank; axis++) {
        count *= dim[axis];
    }
    return count;
}

/* index -> place along every axis, row-major */
static void place_of(int rank, const ptrdiff_t* dim, ptrdiff_t index, ptrdiff_t* place) {
    for (int axis = rank - 1; axis >= 0; axis--) {
        place[axis] = index % dim[axis];
        index /= dim[axis];
    }
}

static ptrdiff_t index_of(int rank, const ptrdiff_t* dim, const ptrdiff_t* place) {
    ptrdiff_t index = 0;
    for (int axis = 0; axis < rank; axis++) {
        index = index * dim[axis] + place[axis];
    }
    return index;
}

/* ---- permutations ------------------------------------------------------------------ */

static void permute_case(struct dice* dice, enum attn_dtype dtype, int rank, const ptrdiff_t* dim,
                         const int* order) {
    const struct attn_context context = context_new(2);
    const ptrdiff_t count = product(rank, dim);
    struct tensor x = tensor_normal(dice, dtype, count), y = tensor_new(dtype, count);
    ptrdiff_t turned[ATTN_MAX_RANK], at[ATTN_MAX_RANK], from[ATTN_MAX_RANK];
    int moved = 0, wrong = 0;
    for (int i = 0; i < rank; i++) {
        turned[i] = dim[order[i]];
    }
    CHECK(attn_permute(&context, dtype, rank, dim, order, x.data, y.data) == ATTN_OK, "permute");
    for (ptrdiff_t i = 0; i < count; i++) {
        place_of(rank, turned, i, at);
        for (int axis = 0; axis < rank; axis++) {
            from[order[axis]] = at[axis];
        }
        const ptrdiff_t j = index_of(rank, dim, from);
        wrong += tensor_get(&y, i) != tensor_get(&x, j);
        moved = moved || i != j;
    }
    CHECK(wrong == 0, "%s permuted: %d of %td wrong", attn_kernels()->isa, wrong, count);
    CHECK(!(moved && attn_permute_is_view(rank, dim, order)), "no view, yet taken for one");
    CHECK(tensor_end(&x) && tensor_end(&y), "permute wrote behind its output");
}

static void permutations(enum attn_dtype dtype) {
    static const int sizes[] = {1, 1, 2, 3, 5, 8, 16, 17, 33};
    struct dice dice = {31};
    for (int i = 0; i < 150; i++) {
        const int rank = 1 + dice_below(&dice, 5);
        ptrdiff_t dim[5];
        int order[5];
        for (int axis = 0; axis < rank; axis++) {
            dim[axis] = dice_one_of(&dice, sizes, rank > 3 ? 7 : 9);
            const int other = dice_below(&dice, axis + 1);
            order[axis] = order[other];
            order[other] = axis;
        }
        permute_case(&dice, dtype, rank, dim, order);
    }
    static const ptrdiff_t large[4] = {2, 70, 3, 90};
    static const int swap[4] = {0, 2, 1, 3}, turn[4] = {3, 0, 2, 1};
    permute_case(&dice, dtype, 4, large, swap);
    permute_case(&dice, dtype, 4, large, turn);
    const struct attn_context context = context_new(1);
    static const int twice[2] = {1, 1}, beyond[2] = {0, 2};
    CHECK(attn_permute(&context, dtype, 2, large, twice, NULL, NULL) == ATTN_BAD_LENGTH, "0, 0");
    CHECK(attn_permute(&context, dtype, 2, large, beyond, NULL, NULL) == ATTN_BAD_LENGTH, "0, 2");
}

/* ---- joined, repeated ---------------------------------------------------------------- */

static void joined(enum attn_dtype dtype) {
    const struct attn_context context = context_new(2);
    struct dice dice = {37};
    for (int i = 0; i < 30; i++) {
        const int rank = 1 + dice_below(&dice, 4), axis = dice_below(&dice, rank);
        const int count = 1 + dice_below(&dice, 3);
        ptrdiff_t dim[4], size[3], whole[4];
        struct tensor part[3];
        const void* data[3];
        for (int a = 0; a < rank; a++) {
            whole[a] = dim[a] = 1 + dice_below(&dice, 5);
        }
        whole[axis] = 0;
        for (int k = 0; k < count; k++) {
            size[k] = dice_below(&dice, 4);
            whole[axis] += dim[axis] = size[k];
            part[k] = tensor_normal(&dice, dtype, product(rank, dim));
            data[k] = part[k].data;
        }
        struct tensor y = tensor_new(dtype, product(rank, whole));
        CHECK(attn_concatenate(&context, dtype, rank, dim, axis, count, size, data, y.data) ==
                  ATTN_OK,
              "concatenate");
        for (ptrdiff_t n = 0; n < y.count; n++) {
            ptrdiff_t at[4];
            int k = 0;
            place_of(rank, whole, n, at);
            while (at[axis] >= size[k]) {
                at[axis] -= size[k++];
            }
            dim[axis] = size[k];
            CHECK(tensor_get(&y, n) == tensor_get(&part[k], index_of(rank, dim, at)), "joined");
        }
        for (int k = 0; k < count; k++) {
            CHECK(tensor_end(&part[k]), "an input was written to");
        }
        CHECK(tensor_end(&y), "concatenate wrote behind its output");
    }
    struct tensor x = tensor_normal(&dice, dtype, 4 * 7), y = tensor_new(dtype, 4 * 3 * 7);
    attn_repeat_vector(&context, dtype, 4, 3, 7, x.data, y.data);
    for (ptrdiff_t n = 0; n < y.count; n++) {
        CHECK(tensor_get(&y, n) == tensor_get(&x, n / 21 * 7 + n % 7), "repeated");
    }
    CHECK(tensor_end(&x) && tensor_end(&y), "repeat wrote behind its output");
}

/* ---- merged ---------------------------------------------------------------------------- */

static double operand_number(const struct attn_operand* operand, const struct tensor* data,
                             int rank, const ptrdiff_t* at, int* counts) {
    ptrdiff_t own[ATTN_MAX_RANK];
    const int shift = rank - operand->rank;
    for (int axis = 0; axis < operand->rank; axis++) {
        own[axis] = operand->dim[axis] == 1 ? 0 : at[axis + shift];
    }
    *counts = operand->mask == NULL ||
              operand->mask[index_of(operand->rank - 1, operand->dim, own)] != 0;
    return tensor_get(data, index_of(operand->rank, operand->dim, own));
}

/* Keras's loops: _apply_merge_op_and_or_mask and Multiply, one number at a time */
static double merged(enum attn_merge how, enum attn_dtype dtype, int count, const double* x,
                     const struct attn_operand* operand, const int* counts) {
    double result = x[0];
    int known = operand[0].mask != NULL, mask = counts[0], all = known;
    const int masks = how == ATTN_MERGE_MAXIMUM || how == ATTN_MERGE_MINIMUM;
    if (how == ATTN_MERGE_MULTIPLY && !counts[0]) {
        result = 1;
    }
    for (int k = 1; k < count; k++) {
        double a = result, b = x[k];
        if (masks && operand[k].mask != NULL && !counts[k]) {
            b = a;
        }
        if (masks && known && !mask) {
            a = b;
        }
        known = known && operand[k].mask != NULL;
        all = all && operand[k].mask != NULL;
        mask = mask || counts[k];
        if (how == ATTN_MERGE_MULTIPLY && !counts[k]) {
            b = 1;
        }
        result = how == ATTN_MERGE_SUBTRACT ? a - b
                 : how == ATTN_MERGE_MULTIPLY ? a * b
                 : how == ATTN_MERGE_MAXIMUM ? (a > b || a != a ? a : b)
                 : how == ATTN_MERGE_MINIMUM ? (a < b || a != a ? a : b)
                                             : a + b;
        result = dtype == ATTN_FLOAT32 ? (double)(float)result : result;
    }
    if (how == ATTN_MERGE_MULTIPLY && all && !mask) {
        result = 0;
    }
    if (how == ATTN_MERGE_AVERAGE) {
        result = dtype == ATTN_FLOAT32 ? (double)((float)result / (float)count) : result / count;
    }
    return result;
}

static void merge_case(struct dice* dice, enum attn_dtype dtype, enum attn_merge how) {
    const struct attn_context context = context_new(2);
    const int rank = 1 + dice_below(dice, 4), count = 1 + dice_below(dice, 4);
    const int with_masks = dice_below(dice, 2) && rank > 1;
    static const int sizes[] = {1, 2, 3, 4, 9, 17};
    ptrdiff_t whole[4], dim[ATTN_MAX_RANK], at[ATTN_MAX_RANK];
    struct attn_operand operand[4];
    struct tensor data[4];
    uint8_t* mask[4] = {NULL, NULL, NULL, NULL};
    int out_rank;
    for (int axis = 0; axis < rank; axis++) {
        whole[axis] = dice_one_of(dice, sizes, 6);
    }
    for (int k = 0; k < count; k++) {
        operand[k].rank = with_masks ? rank : 1 + dice_below(dice, rank);
        for (int axis = 0; axis < operand[k].rank; axis++) {
            const ptrdiff_t own = whole[rank - operand[k].rank + axis];
            operand[k].dim[axis] = dice_below(dice, 3) == 0 && (!with_masks || axis > 0) ? 1 : own;
        }
        data[k] = tensor_normal(dice, dtype, product(operand[k].rank, operand[k].dim));
        if (dice_below(dice, 6) == 0) {
            tensor_set(&data[k], 0, NAN);
        }
        operand[k].data = data[k].data;
        operand[k].mask = NULL;
        if (with_masks && dice_below(dice, 4) != 0) {
            const ptrdiff_t rows = product(rank - 1, operand[k].dim);
            mask[k] = malloc((size_t)rows);
            for (ptrdiff_t i = 0; i < rows; i++) {
                mask[k][i] = (uint8_t)dice_below(dice, 2);
            }
            operand[k].mask = mask[k];
        }
    }
    CHECK(attn_broadcast_shape(count, operand, &out_rank, dim) == ATTN_OK, "no common shape");
    struct tensor y = tensor_new(dtype, product(out_rank, dim));
    CHECK(attn_merge(&context, dtype, how, count, operand, out_rank, dim, y.data) == ATTN_OK,
          "merge");
    int wrong = 0;
    for (ptrdiff_t i = 0; i < y.count; i++) {
        double x[4];
        int counts[4];
        place_of(out_rank, dim, i, at);
        for (int k = 0; k < count; k++) {
            x[k] = operand_number(&operand[k], &data[k], out_rank, at, &counts[k]);
        }
        const int masked_how = how != ATTN_MERGE_ADD && how != ATTN_MERGE_SUBTRACT &&
                               how != ATTN_MERGE_AVERAGE;
        for (int k = 0; k < count && !masked_how; k++) {
            counts[k] = 1;
        }
        const double wanted = merged(how, dtype, count, x, operand, counts);
        const double got = tensor_get(&y, i);
        wrong += !(got == wanted || (isnan(got) && isnan(wanted)));
    }
    CHECK(wrong == 0, "%s %s merge %d of %d: %d of %td wrong", attn_kernels()->isa,
          name_of(dtype), (int)how, count, wrong, y.count);
    for (int k = 0; k < count; k++) {
        CHECK(tensor_end(&data[k]), "an input was written to");
        free(mask[k]);
    }
    CHECK(tensor_end(&y), "merge wrote behind its output");
}

static void merges(enum attn_dtype dtype) {
    struct dice dice = {41};
    for (int i = 0; i < 300; i++) {
        merge_case(&dice, dtype, (enum attn_merge)(i % 6));
    }
    struct attn_operand a = {NULL, 2, {4, 5}, NULL}, b = {NULL, 2, {4, 6}, NULL};
    const struct attn_operand both[2] = {a, b};
    const struct attn_context context = context_new(1);
    ptrdiff_t dim[ATTN_MAX_RANK];
    int rank;
    CHECK(attn_broadcast_shape(2, both, &rank, dim) == ATTN_BAD_LENGTH, "5 and 6 broadcast");
    CHECK(attn_merge(&context, dtype, ATTN_MERGE_ADD, 2, both, 2, a.dim, NULL) == ATTN_BAD_LENGTH,
          "5 and 6 merge");
    attn_align_batch(&a, 4);
    CHECK(a.rank == 4 && a.dim[0] == 4 && a.dim[1] == 1 && a.dim[2] == 1 && a.dim[3] == 5,
          "aligned at the batch");
}

/* one long row, several threads, the first operand in place */
static void long_merge(enum attn_dtype dtype) {
    enum { N = 900001 };
    struct dice dice = {43};
    struct tensor x = tensor_normal(&dice, dtype, N), y = tensor_normal(&dice, dtype, N);
    struct tensor z = tensor_new(dtype, N), r = tensor_new(dtype, N);
    const struct attn_context one = context_new(1), more = context_new(3);
    const struct attn_operand operand[2] = {{x.data, 1, {N}, NULL}, {y.data, 1, {N}, NULL}};
    const ptrdiff_t dim[1] = {N};
    attn_merge(&one, dtype, ATTN_MERGE_SUBTRACT, 2, operand, 1, dim, z.data);
    attn_rescale(&one, dtype, N, x.data, 0.125, -3, r.data);
    int wrong = 0;
    for (ptrdiff_t i = 0; i < N; i++) {
        const double plain = tensor_get(&x, i) - tensor_get(&y, i);
        const double scaled = tensor_get(&x, i) * 0.125 - 3;
        wrong += tensor_get(&z, i) != (dtype == ATTN_FLOAT32 ? (double)(float)plain : plain);
        wrong += fabs(tensor_get(&r, i) - scaled) > unit_of(dtype) * fabs(scaled);
    }
    CHECK(wrong == 0, "%d of a long row are wrong", wrong);
    attn_merge(&more, dtype, ATTN_MERGE_SUBTRACT, 2, operand, 1, dim, x.data);
    CHECK(memcmp(x.data, z.data, tensor_bytes(&x)) == 0, "in place, on threads");
    CHECK(tensor_end(&x) && tensor_end(&y) && tensor_end(&z) && tensor_end(&r), "wrote behind");
}

/* ---- products ----------------------------------------------------------------------------- */

static void product_case(struct dice* dice, enum attn_dtype dtype, ptrdiff_t batch, ptrdiff_t rows,
                         ptrdiff_t columns, ptrdiff_t depth) {
    const struct attn_context context = context_new(2);
    struct tensor x = tensor_normal(dice, dtype, batch * rows * depth);
    struct tensor y = tensor_normal(dice, dtype, batch * depth * columns);
    struct tensor out = tensor_new(dtype, batch * rows * columns);
    CHECK(attn_batch_product(&context, dtype, batch, rows, columns, depth, x.data, y.data,
                             out.data) == ATTN_OK,
          "batch product");
    double worst = 0;
    for (ptrdiff_t i = 0; i < out.count; i++) {
        const ptrdiff_t b = i / (rows * columns), r = i / columns % rows, c = i % columns;
        wide sum = 0, size = 0;
        for (ptrdiff_t d = 0; d < depth; d++) {
            const wide term = (wide)tensor_get(&x, (b * rows + r) * depth + d) *
                              (wide)tensor_get(&y, (b * depth + d) * columns + c);
            sum += term;
            size += fabsl(term);
        }
        const wide error = fabsl((wide)tensor_get(&out, i) - sum);
        const double part = error == 0 ? 0 : (double)(error / size) / unit_of(dtype);
        worst = !(part <= worst) ? part : worst;
    }
    /* a sum of n terms: n units at worst, about its root in fact */
    CHECK(worst <= 4 + sqrt((double)depth), "%td x %td x %td: %g units", rows, depth, columns,
          worst);
    CHECK(tensor_end(&x) && tensor_end(&y) && tensor_end(&out), "product wrote behind its output");
}

static void products(enum attn_dtype dtype) {
    static const int rows[] = {1, 2, 5, 6, 7, 13, 40, 97, 230};
    static const int columns[] = {1, 3, 8, 15, 16, 17, 32, 50};
    struct dice dice = {47};
    for (int i = 0; i < 9; i++) {
        for (int j = 0; j < 8; j++) {
            product_case(&dice, dtype, 1 + dice_below(&dice, 3), rows[i], columns[j],
                         1 + dice_below(&dice, i == 2 ? 900 : 40));
        }
    }
    product_case(&dice, dtype, 2, 4, 5, 0);
}

/* dot_case: Keras's definition, number by number */
static void dot_case(struct dice* dice, enum attn_dtype dtype, int normalize) {
    const struct attn_context context = context_new(2);
    struct attn_dot dot = {0};
    ptrdiff_t dim[ATTN_MAX_RANK], at[ATTN_MAX_RANK], x_at[ATTN_MAX_RANK], y_at[ATTN_MAX_RANK];
    int rank;
    dot.x_rank = 2 + dice_below(dice, 3);
    dot.y_rank = 2 + dice_below(dice, 3);
    dot.normalize = normalize;
    for (int axis = 0; axis < 4; axis++) {
        dot.x_dim[axis] = 1 + dice_below(dice, 6);
        dot.y_dim[axis] = 1 + dice_below(dice, 6);
    }
    dot.axis[0] = 1 + dice_below(dice, dot.x_rank - 1);
    dot.axis[1] = 1 + dice_below(dice, dot.y_rank - 1);
    dot.y_dim[0] = dot.x_dim[0];
    dot.y_dim[dot.axis[1]] = dot.x_dim[dot.axis[0]];
    CHECK(attn_dot_shape(&dot, &rank, dim) == ATTN_OK, "no shape of a dot product");
    struct tensor x = tensor_normal(dice, dtype, product(dot.x_rank, dot.x_dim));
    struct tensor y = tensor_normal(dice, dtype, product(dot.y_rank, dot.y_dim));
    struct tensor out = tensor_new(dtype, product(rank, dim));
    CHECK(attn_dot(&context, dtype, &dot, x.data, y.data, out.data) == ATTN_OK, "dot");
    for (ptrdiff_t i = 0; i < out.count; i++) {
        wide sum = 0, size = 0, x_norm = 0, y_norm = 0;
        int next = 0;
        place_of(rank, dim, i, at);
        for (int axis = 0; axis < dot.x_rank; axis++) {
            x_at[axis] = axis == dot.axis[0] ? 0 : at[next++];
        }
        y_at[0] = at[0];
        for (int axis = 1; axis < dot.y_rank; axis++) {
            y_at[axis] = axis == dot.axis[1] ? 0 : at[next++];
        }
        for (ptrdiff_t d = 0; d < dot.x_dim[dot.axis[0]]; d++) {
            x_at[dot.axis[0]] = y_at[dot.axis[1]] = d;
            const wide a = (wide)tensor_get(&x, index_of(dot.x_rank, dot.x_dim, x_at));
            const wide b = (wide)tensor_get(&y, index_of(dot.y_rank, dot.y_dim, y_at));
            sum += a * b;
            size += fabsl(a * b);
            x_norm += a * a;
            y_norm += b * b;
        }
        const wide by = normalize ? sqrtl(x_norm) * sqrtl(y_norm) : 1;
        CHECK(fabsl((wide)tensor_get(&out, i) - sum / by) <= 12 * (wide)unit_of(dtype) * size / by,
              "dot of ranks %d, %d over %d, %d", dot.x_rank, dot.y_rank, dot.axis[0], dot.axis[1]);
    }
    CHECK(tensor_end(&x) && tensor_end(&y) && tensor_end(&out), "dot wrote behind its output");
}

static void dots(enum attn_dtype dtype) {
    struct dice dice = {53};
    for (int i = 0; i < 60; i++) {
        dot_case(&dice, dtype, i % 3 == 0);
    }
    struct attn_dot dot = {2, 3, {2, 3}, {2, 4, 3}, {1, 2}, 0};
    ptrdiff_t dim[ATTN_MAX_RANK];
    int rank;
    CHECK(attn_dot_shape(&dot, &rank, dim) == ATTN_OK && rank == 2 && dim[1] == 4, "shape of dot");
    dot.axis[1] = 1;
    CHECK(attn_dot_shape(&dot, &rank, dim) == ATTN_BAD_LENGTH, "3 and 4 are summed over");
    dot.axis[1] = 0;
    CHECK(attn_dot_shape(&dot, &rank, dim) == ATTN_BAD_LENGTH, "the batch is summed over");
}

int main(void) {
    for_each_setting(permutations);
    for_each_setting(joined);
    for_each_setting(merges);
    for_each_setting(long_merge);
    for_each_setting(products);
    for_each_setting(dots);
    return checks_end();
}

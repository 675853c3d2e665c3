#include "einsum.h"

#include <string.h>

#include "activations.h"
#include "batch_product.h"
#include "elementwise.h"
#include "kernels.h"
#include "layout.h"
#include "matmul.h"
#include "row_items.h"

enum { SUM_PART = 1 << 18 }; /* numbers of a row between two looks at the clock */

#define REAL_BITS 32
#include "real.h"
#define REAL_KERNELS (attn_kernels()->f32)
#include "einsum_real.h"
#undef REAL_BITS
#undef REAL_KERNELS

#define REAL_BITS 64
#include "real.h"
#define REAL_KERNELS (attn_kernels()->f64)
#include "einsum_real.h"

/* the equation as a product of matrices */
struct sizes {
    ptrdiff_t batch, rows, contracted, columns, summed;
};

static enum attn_status product_of(const ptrdiff_t* dim, const int* axis, int axes,
                                   ptrdiff_t* product) {
    ptrdiff_t chosen[ATTN_MAX_RANK];
    for (int i = 0; i < axes; i++) {
        chosen[i] = dim[axis[i]]; /* an unknown one is negative: no length */
    }
    return attn_checked_length(axes, chosen, product);
}

static enum attn_status kernel_sizes(const struct attn_einsum* e, struct sizes* sizes) {
    const int* order = e->kernel_order;
    ptrdiff_t numbers;
    ATTN_TRY(attn_checked_length(e->kernel_rank, e->kernel_dim, &numbers));
    ATTN_TRY(product_of(e->kernel_dim, order, e->batch_axes, &sizes->batch));
    order += e->batch_axes;
    ATTN_TRY(product_of(e->kernel_dim, order, e->contracted_axes, &sizes->contracted));
    order += e->contracted_axes;
    return product_of(e->kernel_dim, order, e->column_axes, &sizes->columns);
}

static enum attn_status all_sizes(const struct attn_einsum* e, struct sizes* sizes) {
    const int* rows = e->input_order + e->batch_axes;
    const int* summed = e->input_order + e->input_rank - e->summed_axes;
    ptrdiff_t numbers;
    ATTN_TRY(kernel_sizes(e, sizes));
    ATTN_TRY(attn_checked_length(e->input_rank, e->input_dim, &numbers));
    ATTN_TRY(attn_checked_length(e->output_rank, e->output_dim, &numbers));
    ATTN_TRY(product_of(e->input_dim, rows, e->row_axes, &sizes->rows));
    return product_of(e->input_dim, summed, e->summed_axes, &sizes->summed);
}

int attn_einsum_is_matrix(const struct attn_einsum* einsum) {
    int ordered = einsum->batch_axes == 0 && einsum->contracted_axes > 0;
    for (int i = 0; i < einsum->kernel_rank; i++) {
        ordered = ordered && einsum->kernel_order[i] == i;
    }
    return ordered;
}

ptrdiff_t attn_einsum_depth(const struct attn_einsum* einsum) {
    struct sizes sizes;
    return attn_einsum_is_matrix(einsum) && kernel_sizes(einsum, &sizes) == ATTN_OK
               ? sizes.contracted
               : 0;
}

enum attn_status attn_einsum_packed_size(enum attn_dtype dtype, const struct attn_einsum* einsum,
                                         size_t* bytes) {
    struct sizes sizes;
    ATTN_TRY(kernel_sizes(einsum, &sizes));
    *bytes = einsum->batch_axes > 0
                 ? (size_t)(sizes.batch * sizes.contracted * sizes.columns) *
                       attn_dtype_size(dtype)
                 : attn_matmul_packed_size(dtype, sizes.contracted, sizes.columns);
    return ATTN_OK;
}

enum attn_status attn_einsum_pack(const struct attn_context* context, enum attn_dtype dtype,
                                  const struct attn_einsum* einsum, const void* kernel,
                                  void* packed) {
    struct sizes sizes;
    ATTN_TRY(kernel_sizes(einsum, &sizes));
    const ptrdiff_t numbers = sizes.batch * sizes.contracted * sizes.columns;
    const void* ordered = kernel;
    if (!attn_permute_is_view(einsum->kernel_rank, einsum->kernel_dim, einsum->kernel_order)) {
        void* copy =
            attn_workspace_take(context->workspace, (size_t)numbers, attn_dtype_size(dtype));
        if (copy == NULL) {
            return ATTN_NO_MEMORY;
        }
        ATTN_TRY(attn_permute(context, dtype, einsum->kernel_rank, einsum->kernel_dim,
                              einsum->kernel_order, kernel, copy));
        ordered = copy;
    }
    if (einsum->batch_axes > 0) {
        attn_parallel_copy(context, packed, ordered, (size_t)numbers * attn_dtype_size(dtype));
    } else {
        attn_matmul_pack(context, dtype, sizes.contracted, sizes.columns, ordered, packed);
    }
    return ATTN_OK;
}

static enum attn_status take(const struct attn_context* context, enum attn_dtype dtype,
                             ptrdiff_t numbers, void** taken) {
    *taken = attn_workspace_take(context->workspace, (size_t)numbers, attn_dtype_size(dtype));
    return *taken != NULL ? ATTN_OK : ATTN_NO_MEMORY;
}

/* x in the order of the product, its summed axes summed */
static enum attn_status order_input(const struct attn_context* context, enum attn_dtype dtype,
                                    const struct attn_einsum* e, const struct sizes* sizes,
                                    const void** x) {
    const ptrdiff_t kept = sizes->batch * sizes->rows * sizes->contracted;
    void* copy;
    if (!attn_permute_is_view(e->input_rank, e->input_dim, e->input_order)) {
        ATTN_TRY(take(context, dtype, kept * sizes->summed, &copy));
        ATTN_TRY(
            attn_permute(context, dtype, e->input_rank, e->input_dim, e->input_order, *x, copy));
        *x = copy;
    }
    if (e->summed_axes > 0) {
        ATTN_TRY(take(context, dtype, kept, &copy));
        if (dtype == ATTN_FLOAT32) {
            sum_rows_f32(context, kept, sizes->summed, *x, copy);
        } else {
            sum_rows_f64(context, kept, sizes->summed, *x, copy);
        }
        *x = copy;
    }
    return ATTN_OK;
}

static enum attn_status multiply(const struct attn_context* context, enum attn_dtype dtype,
                                 const struct attn_einsum* e, const struct sizes* sizes,
                                 const void* x, const void* packed, const void* bias,
                                 void* product) {
    if (e->batch_axes > 0) {
        return attn_batch_product(context, dtype, sizes->batch, sizes->rows, sizes->columns,
                                  sizes->contracted, x, packed, product);
    }
    if (sizes->contracted == 0) {
        attn_parallel_zero(context, product,
                           (size_t)(sizes->rows * sizes->columns) * attn_dtype_size(dtype));
        return ATTN_OK;
    }
    return attn_matmul(context, dtype, sizes->rows, sizes->contracted, sizes->columns, x, packed,
                       bias, product);
}

/* Whether the bias is a number for each column of the product, and the product's columns
 * are the last axes of the output: then it is added where the product is stored. */
static int bias_of_columns(const struct attn_einsum* e) {
    const int first = e->output_rank - e->bias_rank;
    int same = e->batch_axes == 0 && e->bias_rank == e->column_axes;
    for (int i = 0; same && i < e->bias_rank; i++) {
        same = e->column_axis[i] == first + i && e->bias_dim[i] == e->output_dim[first + i];
    }
    return same;
}

/* out = f(out + bias) */
static enum attn_status finish(const struct attn_context* context, enum attn_dtype dtype,
                               const struct attn_einsum* e, const void* bias,
                               const struct attn_activation* activation, void* out) {
    const int first = e->output_rank - e->bias_rank;
    const ptrdiff_t last = e->output_dim[e->output_rank - 1];
    ptrdiff_t numbers, width = 1;
    int whole = bias != NULL && activation->function < ATTN_ELEMENTWISE;
    ATTN_TRY(attn_checked_length(e->output_rank, e->output_dim, &numbers));
    if (numbers == 0) {
        return ATTN_OK;
    }
    for (int axis = 0; axis < e->bias_rank; axis++) {
        whole = whole && e->bias_dim[axis] == e->output_dim[first + axis];
        width *= e->bias_dim[axis];
    }
    if (whole) {
        return attn_bias_activate(context, dtype, numbers / width, width, bias, activation, out);
    }
    if (bias != NULL) {
        struct attn_operand operand[2] = {{out, e->output_rank, {0}, NULL},
                                          {bias, e->bias_rank, {0}, NULL}};
        memcpy(operand[0].dim, e->output_dim, sizeof e->output_dim);
        memcpy(operand[1].dim, e->bias_dim, sizeof e->bias_dim);
        ATTN_TRY(attn_merge(context, dtype, ATTN_MERGE_ADD, 2, operand, e->output_rank,
                            e->output_dim, out));
    }
    return attn_bias_activate(context, dtype, numbers / last, last, NULL, activation, out);
}

enum attn_status attn_einsum(const struct attn_context* context, enum attn_dtype dtype,
                             const struct attn_einsum* einsum, const void* x, const void* packed,
                             const void* bias, const struct attn_activation* activation,
                             void* out) {
    struct sizes sizes;
    ptrdiff_t middle[ATTN_MAX_RANK];
    void* product = out;
    ATTN_TRY(all_sizes(einsum, &sizes));
    if (sizes.batch * sizes.rows * sizes.columns == 0) {
        return ATTN_OK;
    }
    for (int axis = 0; axis < einsum->output_rank; axis++) {
        middle[einsum->output_order[axis]] = einsum->output_dim[axis];
    }
    const int in_order =
        attn_permute_is_view(einsum->output_rank, middle, einsum->output_order);
    ATTN_TRY(order_input(context, dtype, einsum, &sizes, &x));
    if (!in_order) {
        ATTN_TRY(take(context, dtype, sizes.batch * sizes.rows * sizes.columns, &product));
    }
    const int fused = bias_of_columns(einsum) && sizes.contracted > 0;
    ATTN_TRY(
        multiply(context, dtype, einsum, &sizes, x, packed, fused ? bias : NULL, product));
    if (!in_order) {
        ATTN_TRY(attn_permute(context, dtype, einsum->output_rank, middle, einsum->output_order,
                              product, out));
    }
    return finish(context, dtype, einsum, fused ? NULL : bias, activation, out);
}

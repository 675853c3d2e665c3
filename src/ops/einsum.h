/* The equations of Keras's EinsumDense: one input, one kernel, "ab,bc->ac",
 * "...ab,bc->...ac" or "ab...,bc->ac..." (src/layers/core/einsum_dense.py).
 *
 * Every axis has a letter. Letters of the input, the kernel and the output number a
 * batch of products; of input and output, their rows; of kernel and output, their
 * columns; of input and kernel, what is summed over. A letter of the input alone is
 * summed over before. So an equation is a product of matrices between permutations,
 * most of which leave everything where it is. */
#ifndef ATTN_OPS_EINSUM_H
#define ATTN_OPS_EINSUM_H

#include "op_kinds.h"
#include "parallel.h"
#include "status.h"
#include "tensor.h"

enum { ATTN_UNKNOWN_DIM = -1 };

enum attn_einsum_problem {
    ATTN_EINSUM_FINE,
    ATTN_EINSUM_FORM,         /* the equation is of none of the three forms */
    ATTN_EINSUM_REPEATED,     /* `letter` stands twice in one of its parts */
    ATTN_EINSUM_RANK,         /* the input's axes are not those of the equation, or too many */
    ATTN_EINSUM_OUTPUT_RANK,  /* output_shape has not the length that the equation wants */
    ATTN_EINSUM_MISMATCH,     /* input_dim and output_dim of the shared `letter` differ */
    ATTN_EINSUM_UNMATCHED,    /* the output's `letter` is neither in input nor kernel */
    ATTN_EINSUM_FREE,         /* the kernel's `letter` is neither in input nor output */
    ATTN_EINSUM_BIAS          /* the bias's `letter` is not in the output */
};

struct attn_einsum {
    enum attn_einsum_problem problem;
    char letter;
    ptrdiff_t input_dim_there, output_dim_there;

    int input_rank, kernel_rank, output_rank;
    int bias_rank; /* 0: no bias */
    /* ATTN_UNKNOWN_DIM where the shapes that were given do not tell */
    ptrdiff_t input_dim[ATTN_MAX_RANK], kernel_dim[ATTN_MAX_RANK];
    ptrdiff_t output_dim[ATTN_MAX_RANK], bias_dim[ATTN_MAX_RANK]; /* bias: to be broadcast */

    /* Orders of axes, as for attn_permute: input to (batch, rows, contracted, summed);
     * kernel to (batch, contracted, columns); (batch, rows, columns) to output. */
    int input_order[ATTN_MAX_RANK], kernel_order[ATTN_MAX_RANK], output_order[ATTN_MAX_RANK];
    int batch_axes, row_axes, contracted_axes, column_axes, summed_axes;
    int column_axis[ATTN_MAX_RANK]; /* of the output, in the order of the columns */
};

/* What the equation means for an input of these dims (the batch first; unknown ones
 * allowed) and Keras's `output_shape`, without the batch and the dims of "...", unknown
 * ones allowed. bias_axes: NULL for no bias. Returns ATTN_BAD_LENGTH with the problem
 * set where it means nothing. */
enum attn_status attn_einsum_analyse(const char* equation, const char* bias_axes, int input_rank,
                                     const ptrdiff_t* input_dim, int shape_rank,
                                     const ptrdiff_t* output_shape, struct attn_einsum* einsum);

/* Whether the kernel is a matrix as it lies, contracted axes by the others; and its number
 * of rows then, 0 where it is none or where a dim is unknown. */
int attn_einsum_is_matrix(const struct attn_einsum* einsum);
ptrdiff_t attn_einsum_depth(const struct attn_einsum* einsum);

/* Bytes of the packed kernel; it holds for every input with these kernel dims. */
enum attn_status attn_einsum_packed_size(enum attn_dtype dtype, const struct attn_einsum* einsum,
                                         size_t* bytes);
enum attn_status attn_einsum_pack(const struct attn_context* context, enum attn_dtype dtype,
                                  const struct attn_einsum* einsum, const void* kernel,
                                  void* packed);

/* out = f(einsum(x, kernel) + bias); no dim is unknown; bias: bias_dim, or NULL;
 * packed: 64-byte aligned, from attn_einsum_pack */
enum attn_status attn_einsum(const struct attn_context* context, enum attn_dtype dtype,
                             const struct attn_einsum* einsum, const void* x, const void* packed,
                             const void* bias, const struct attn_activation* activation,
                             void* out);

#endif

/* What an equation of an einsum layer means, for R, which makes the weights. */
#include <limits.h>

#include "einsum.h"
#include "glue.h"

/* whole numbers, NA for an unknown one, as the core has them; returns how many */
static int dims_of(SEXP x, ptrdiff_t* dim) {
    if (TYPEOF(x) != INTSXP || Rf_xlength(x) > ATTN_MAX_RANK) {
        glue_abort("internal", "a shape is not %d whole numbers", ATTN_MAX_RANK);
    }
    const int rank = (int)Rf_xlength(x);
    for (int i = 0; i < rank; i++) {
        const int size = INTEGER_RO(x)[i];
        dim[i] = size == NA_INTEGER ? ATTN_UNKNOWN_DIM : size;
    }
    return rank;
}

static SEXP whole_numbers(int count, const ptrdiff_t* number) {
    SEXP x = Rf_allocVector(INTSXP, count);
    for (int i = 0; i < count; i++) {
        INTEGER(x)[i] = number[i] < 0 || number[i] > INT_MAX ? NA_INTEGER : (int)number[i];
    }
    return x;
}

/* axes of the kernel that are summed over, from 0 */
static SEXP contracted_axes(const struct attn_einsum* einsum) {
    ptrdiff_t axis[ATTN_MAX_RANK];
    for (int i = 0; i < einsum->contracted_axes; i++) {
        axis[i] = einsum->kernel_order[einsum->batch_axes + i];
    }
    return whole_numbers(einsum->contracted_axes, axis);
}

SEXP ffi_einsum(SEXP equation, SEXP bias_axes, SEXP input, SEXP output) {
    static const char* names[] = {"problem", "letter", "there", "kernel", "bias", "output",
                                  "contracted", "matrix", ""};
    ptrdiff_t in[ATTN_MAX_RANK], out[ATTN_MAX_RANK];
    const int in_rank = dims_of(input, in), out_rank = dims_of(output, out);
    const char* text = glue_string(equation, "an equation");
    const char* bias = bias_axes == R_NilValue ? NULL : glue_string(bias_axes, "the bias's axes");
    struct attn_einsum einsum;
    attn_einsum_analyse(text, bias, in_rank, in, out_rank, out, &einsum);
    const ptrdiff_t there[2] = {einsum.input_dim_there, einsum.output_dim_there};
    const char letter[2] = {einsum.letter, '\0'};
    SEXP result = PROTECT(Rf_mkNamed(VECSXP, names));
    SET_VECTOR_ELT(result, 0, Rf_ScalarInteger((int)einsum.problem));
    SET_VECTOR_ELT(result, 1, Rf_mkString(letter));
    SET_VECTOR_ELT(result, 2, whole_numbers(2, there));
    if (einsum.problem == ATTN_EINSUM_FINE) {
        SET_VECTOR_ELT(result, 3, whole_numbers(einsum.kernel_rank, einsum.kernel_dim));
        SET_VECTOR_ELT(result, 4, whole_numbers(einsum.bias_rank, einsum.bias_dim));
        SET_VECTOR_ELT(result, 5, whole_numbers(einsum.output_rank, einsum.output_dim));
        SET_VECTOR_ELT(result, 6, contracted_axes(&einsum));
        SET_VECTOR_ELT(result, 7, Rf_ScalarLogical(attn_einsum_is_matrix(&einsum)));
    }
    UNPROTECT(1);
    return result;
}

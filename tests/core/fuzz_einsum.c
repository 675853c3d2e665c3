/* Any bytes, read as the equation of an einsum layer with the dims of its input and its
 * output: what is accepted is computed.
 *
 * With all of core, kernels, ops of the core, built by
 * clang -fsanitize=fuzzer,address,undefined (tools/verify/files.sh does):
 *
 *   ./fuzz -max_len=64 tests/core/corpus/einsum
 *
 * The first byte: how many dims there are of input (low half) and output, the bytes after
 * it the dims, 255 for an unknown one. Then the equation, and behind a ';' the bias's axes. */
#include "activations.h"
#include "einsum.h"
#include "fuzz.h"
#include "kernels.h"

static volatile float fuzz_sink;

static size_t product(int rank, const ptrdiff_t* dim) {
    size_t all = 1;
    for (int i = 0; i < rank; i++) {
        if (dim[i] < 0 || (size_t)dim[i] > 4096 / all) {
            return 0;
        }
        all *= (size_t)dim[i];
        if (all == 0) {
            return 0;
        }
    }
    return all;
}

static void orders_are_permutations(const struct attn_einsum* e) {
    const int* order[] = {e->input_order, e->kernel_order, e->output_order};
    const int rank[] = {e->input_rank, e->kernel_rank, e->output_rank};
    for (int which = 0; which < 3; which++) {
        unsigned seen = 0;
        for (int i = 0; i < rank[which]; i++) {
            fuzz_require(order[which][i] >= 0 && order[which][i] < rank[which], "an axis");
            seen |= 1u << order[which][i];
        }
        fuzz_require(seen == (1u << rank[which]) - 1, "an order is no permutation");
    }
}

static void compute(const struct attn_einsum* e) {
    const size_t in = product(e->input_rank, e->input_dim);
    const size_t kernel = product(e->kernel_rank, e->kernel_dim);
    const size_t out = product(e->output_rank, e->output_dim);
    const size_t bias = product(e->bias_rank, e->bias_dim);
    size_t bytes;
    if (in == 0 || kernel == 0 || out == 0 || bias == 0 ||
        attn_einsum_packed_size(ATTN_FLOAT32, e, &bytes) != ATTN_OK) {
        return;
    }
    float* x = fuzz_take(in, sizeof *x);
    float* weights = fuzz_take(kernel, sizeof *weights);
    float* added = fuzz_take(bias, sizeof *added);
    float* result = fuzz_take(out, sizeof *result);
    memset(x, 0, in * sizeof *x);
    memset(weights, 0, kernel * sizeof *weights);
    memset(added, 0, bias * sizeof *added);
    void* packed = aligned_alloc(64, (bytes + 127) / 64 * 64);
    fuzz_require(packed != NULL, "no memory");
    struct attn_activation linear;
    fuzz_require(attn_activation_named("linear", &linear), "there is no linear activation");
    struct attn_workspace workspace = {0};
    const struct attn_context context = {&workspace, 1, NULL, NULL};
    if (attn_einsum_pack(&context, ATTN_FLOAT32, e, weights, packed) == ATTN_OK &&
        attn_einsum(&context, ATTN_FLOAT32, e, x, packed, e->bias_rank > 0 ? added : NULL, &linear,
                    result) == ATTN_OK) {
        fuzz_sink = result[out - 1];
    }
    attn_workspace_reset(&workspace, 0);
    free(packed);
    free(x);
    free(weights);
    free(added);
    free(result);
}

int LLVMFuzzerTestOneInput(const uint8_t* bytes, size_t size) {
    ptrdiff_t dim[2 * 16];
    const int in = size > 0 ? bytes[0] & 15 : 0, out = size > 0 ? bytes[0] >> 4 : 0;
    if (in > ATTN_MAX_RANK || out > ATTN_MAX_RANK || size < (size_t)(1 + in + out)) {
        return 0;
    }
    for (int i = 0; i < in + out; i++) {
        dim[i] = bytes[1 + i] == 255 ? ATTN_UNKNOWN_DIM : bytes[1 + i];
    }
    const size_t rest = size - (size_t)(1 + in + out);
    char* equation = fuzz_take(rest + 1, 1);
    memcpy(equation, bytes + 1 + in + out, rest);
    equation[rest] = '\0';
    char* bias = strchr(equation, ';');
    if (bias != NULL) {
        *bias++ = '\0';
    }
    struct attn_einsum einsum;
    const enum attn_status status =
        attn_einsum_analyse(equation, bias, in, dim, out, dim + in, &einsum);
    fuzz_require((status == ATTN_OK) == (einsum.problem == ATTN_EINSUM_FINE), "no reason");
    if (status == ATTN_OK) {
        orders_are_permutations(&einsum);
        compute(&einsum);
    }
    free(equation);
    return 0;
}

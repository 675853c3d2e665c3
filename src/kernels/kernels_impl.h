/* The source of all kernels. Included by kernels_<isa>.c once per precision,
 * inside that file's target region, with these defined:
 *   REAL_BITS                          32 or 64, and `real` (real.h)
 *   vec, VEC_LANES                     a vector of `real`
 *   BLOCK_ROWS, BLOCK_VECTORS          the register block of `multiply`
 *   TILE_PANELS, TILE_KEYS             a tile of attention: panels of queries, and keys
 *   LOGIT_RUN                          dims of a logit that are summed in one go
 *   PRODUCT_PANELS, PRODUCT_DEPTH      a block of the left matrix of a product: panels, depth
 *   ISA_NAME                           the set's name in the table
 *   KERNEL(name)                       the function's name for this set
 *   vec_load vec_store vec_set1 vec_add vec_sub vec_mul vec_div vec_fma(a, b, c) = a * b + c
 *   vec_fms(a, b, c)                   a * b - c, with a product that is not rounded first
 *   vec_max(a, b), vec_min(a, b)       b where either is NaN (so put x last to keep its NaN)
 *   vec_abs, vec_copysign(size, sign)
 *   vec_if_less(a, b, yes, no)         lane-wise a < b ? yes : no
 *   vec_power_of_two(rounded)          2^n, where `rounded` is n + ROUNDING_SHIFT: its low bits
 *                                      moved up to where an exponent has its bits
 *   vec_all_one(x)                     whether every lane is exactly 1
 *   vec_any_nan(x)                     whether some lane is NaN
 *   vec_from_doubles, vec_to_doubles   VEC_LANES doubles, as `real`, from or to memory
 *   vec_transpose(x)                   x[VEC_LANES]: lane i of x[j] and lane j of x[i] change places
 * and, the same for both precisions, vectors of integers as wide as vec:
 *   words, WORD_LANES                  a vector of 64-bit integers
 *   words_load words_set1 words_add words_xor
 *   words_product(a, b)                of the lower halves of the lanes
 *   words_upper(x)                     the upper halves of the lanes, moved down
 * between which and vec there are
 *   vec_store_words(to, even, odd)     the lower halves of the lanes, one per lane of vec, as
 *                                      lane_word; where vec has as many lanes as words, of even
 *   vec_if_word_from(row, limit, x)    x where the lane_word of row is limit or more, else 0
 *
 * Everything is static and inlined into the table's functions: no vector
 * crosses a call. */

#undef BLOCK_COLUMNS
#undef TILE_QUERIES
#undef TANH_KEYS
#define BLOCK_COLUMNS (BLOCK_VECTORS * VEC_LANES)
#define TILE_QUERIES (TILE_PANELS * BLOCK_COLUMNS)
#define TANH_KEYS 2 /* that tanh_logits looks at together */

#include "elementary_impl.h"
#include "multiply_impl.h"
#include "attend_impl.h"
#include "marshal_impl.h"
#include "softmax_impl.h"
#include "dropout_impl.h"
#include "tanh_logits_impl.h"
#include "elementwise_impl.h"

const struct REAL_NAME(attn_kernels) KERNEL(attn_kernels) = {
    ISA_NAME,
    BLOCK_ROWS,
    BLOCK_COLUMNS,
    TILE_QUERIES,
    TILE_KEYS,
    LOGIT_RUN,
    KERNEL(pack_query_panel),
    KERNEL(pack_key_block),
    KERNEL(pack_values),
    KERNEL(unpack_panel),
    KERNEL(dot_logits),
    KERNEL(add_weighted),
    KERNEL(softmax_step),
    KERNEL(softmax_finish),
    KERNEL(scale_lanes),
    KERNEL(divide_lanes),
    KERNEL(drop_weights),
    KERNEL(tanh_parts),
    KERNEL(tanh_logits),
    KERNEL(soft_cap),
    KERNEL(sigmoid_gate),
    KERNEL(exponential),
    KERNEL(exponential_negative),
    KERNEL(hyperbolic_tangent),
    VEC_LANES,
    PRODUCT_PANELS,
    PRODUCT_DEPTH,
    KERNEL(multiply_panel),
    KERNEL(multiply_narrow),
    KERNEL(pack_columns),
    KERNEL(pack_rows),
    KERNEL(read_columns),
    KERNEL(write_columns),
};

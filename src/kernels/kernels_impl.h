/* The source of all kernels. Included by kernels_<isa>.c once per precision,
 * inside that file's target region, with these defined:
 *   REAL_BITS                          32 or 64, and `real` (real.h)
 *   vec, VEC_LANES                     a vector of `real`
 *   BLOCK_ROWS, BLOCK_VECTORS          the register block of `multiply_block`
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
 *   vec_transpose(x)                   x[VEC_LANES]: lane i of x[j] and lane j of x[i] change
 *                                      places
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
#include "scores_impl.h"
#include "tanh_logits_impl.h"
#include "elementwise_impl.h"
#include "op_kernels_impl.h"

/* what the core and the switch of multiply_rows() have room for */
_Static_assert(TILE_PANELS <= ATTN_MOST_TILE_PANELS, "an item of attention keeps its panels");
_Static_assert(BLOCK_ROWS <= ATTN_MOST_BLOCK_ROWS, "multiply_rows() has a case for every height");
_Static_assert(TILE_KEYS % BLOCK_ROWS == 0, "a tile of keys is whole blocks");
_Static_assert(PANEL_VECTORS * VEC_LANES - BLOCK_ROWS <= ATTN_PACK_SPILL,
               "whole vectors are stored behind the last row of a block");

const struct REAL_NAME(attn_kernels) KERNEL(attn_kernels) = {
    .isa = ISA_NAME,
    .block_rows = BLOCK_ROWS,
    .block_columns = BLOCK_COLUMNS,
    .tile_queries = TILE_QUERIES,
    .tile_keys = TILE_KEYS,
    .logit_run = LOGIT_RUN,
    .narrow_columns = VEC_LANES,
    .product_panels = PRODUCT_PANELS,
    .product_depth = PRODUCT_DEPTH,
    .pack_query_panel = KERNEL(pack_query_panel),
    .pack_key_block = KERNEL(pack_key_block),
    .pack_values = KERNEL(pack_values),
    .unpack_panel = KERNEL(unpack_panel),
    .dot_logits = KERNEL(dot_logits),
    .add_weighted = KERNEL(add_weighted),
    .softmax_step = KERNEL(softmax_step),
    .softmax_finish = KERNEL(softmax_finish),
    .scale_lanes = KERNEL(scale_lanes),
    .divide_lanes = KERNEL(divide_lanes),
    .drop_weights = KERNEL(drop_weights),
    .store_weights = KERNEL(store_weights),
    .tanh_parts = KERNEL(tanh_parts),
    .tanh_logits = KERNEL(tanh_logits),
    .soft_cap = KERNEL(soft_cap),
    .sigmoid_gate = KERNEL(sigmoid_gate),
    .exponential = KERNEL(exponential),
    .exponential_negative = KERNEL(exponential_negative),
    .hyperbolic_tangent = KERNEL(hyperbolic_tangent),
    .multiply_panel = KERNEL(multiply_panel),
    .multiply_narrow = KERNEL(multiply_narrow),
    .pack_columns = KERNEL(pack_columns),
    .pack_rows = KERNEL(pack_rows),
    .read_columns = KERNEL(read_columns),
    .write_columns = KERNEL(write_columns),
    ATTN_OP_KERNEL_TABLE,
};

/* the vocabulary, for the other precision */
#undef KERNEL
#undef REAL_BITS
#undef vec
#undef VEC_LANES
#undef BLOCK_ROWS
#undef BLOCK_VECTORS
#undef TILE_PANELS
#undef TILE_KEYS
#undef LOGIT_RUN
#undef PRODUCT_PANELS
#undef PRODUCT_DEPTH
#undef vec_load
#undef vec_store
#undef vec_set1
#undef vec_add
#undef vec_sub
#undef vec_mul
#undef vec_div
#undef vec_fma
#undef vec_fms
#undef vec_max
#undef vec_min
#undef vec_abs
#undef vec_copysign
#undef vec_if_less
#undef vec_power_of_two
#undef vec_all_one
#undef vec_any_nan
#undef vec_from_doubles
#undef vec_to_doubles
#undef vec_transpose
#undef vec_store_words
#undef vec_if_word_from

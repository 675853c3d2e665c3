/* Rows of a table by number, and the masks of padded sequences.
 *
 * Keras 3: Embedding (src/layers/core/embedding.py), mask_zero = FALSE by default;
 * Masking (src/layers/core/masking.py), mask_value 0 by default. */
#ifndef ATTN_OPS_EMBEDDING_H
#define ATTN_OPS_EMBEDDING_H

#include <stdint.h>

#include "parallel.h"
#include "status.h"
#include "tensor.h"

/* y (count x columns): row i is row id[i] of table (rows x columns). Ids count from 0.
 * ATTN_BAD_INDEX, with *wrong the first i whose id is not in the table, before
 * anything is written. */
enum attn_status attn_embedding(const struct attn_context* context, enum attn_dtype dtype,
                                ptrdiff_t count, const int32_t* id, ptrdiff_t rows,
                                ptrdiff_t columns, const void* table, void* y, ptrdiff_t* wrong);

/* mask[i] = id[i] != 0 */
void attn_mask_zero(const struct attn_context* context, ptrdiff_t count, const int32_t* id,
                    uint8_t* mask);

/* mask[row] = whether any number of x (rows x columns) differs from `value`; y = x, and
 * 0 where the mask is 0; y may be x, or NULL. */
enum attn_status attn_masking(const struct attn_context* context, enum attn_dtype dtype,
                              ptrdiff_t rows, ptrdiff_t columns, const void* x, double value,
                              uint8_t* mask, void* y);

#endif

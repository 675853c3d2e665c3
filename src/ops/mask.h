/* Which key a query may see. Several masks stay several masks: nothing of size
 * T x S is made because two were combined.
 *
 * Axes: B batch, N heads, T queries, S keys. */
#ifndef ATTN_OPS_MASK_H
#define ATTN_OPS_MASK_H

#include <stddef.h>
#include <stdint.h>

enum { ATTN_MASK_PARTS = 8 };

/* One boolean tensor, broadcast over any axis by a stride of 0; non-zero = visible. */
struct attn_mask_part {
    const uint8_t* visible;
    ptrdiff_t batch, head, target, source; /* strides; of source 1, or 0 */
};

struct attn_mask {
    struct attn_mask_part part[ATTN_MASK_PARTS]; /* all must agree */
    int parts;
    int causal;       /* key <= query */
    ptrdiff_t window; /* |query - key| < window; 0: no window */
};

enum attn_visibility { ATTN_VISIBLE_ALL, ATTN_VISIBLE_NONE, ATTN_VISIBLE_SOME };

/* A rectangle of the (T, S) plane of one batch entry and head: queries
 * [t_begin, t_end), keys [s_begin, s_end). */
struct attn_tile {
    ptrdiff_t batch, head;
    ptrdiff_t t_begin, t_end, s_begin, s_end;
};

/* Narrows the tile's keys to those that causality and window leave to any of
 * its queries; an empty range stays at the tile's first key. */
void attn_mask_narrow(const struct attn_mask* mask, struct attn_tile* tile);

enum attn_visibility attn_mask_look(const struct attn_mask* mask, const struct attn_tile* tile);

int attn_mask_sees(const struct attn_mask* mask, ptrdiff_t batch, ptrdiff_t head, ptrdiff_t t,
                   ptrdiff_t s);

/* Whether query t sees any of `source` keys. */
int attn_mask_sees_any(const struct attn_mask* mask, ptrdiff_t batch, ptrdiff_t head, ptrdiff_t t,
                       ptrdiff_t source);

#endif

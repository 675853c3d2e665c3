#include "mask.h"

static ptrdiff_t larger(ptrdiff_t a, ptrdiff_t b) { return a > b ? a : b; }
static ptrdiff_t smaller(ptrdiff_t a, ptrdiff_t b) { return a < b ? a : b; }

void attn_mask_narrow(const struct attn_mask* mask, struct attn_tile* tile) {
    ptrdiff_t begin = tile->s_begin, end = tile->s_end;
    const ptrdiff_t last = tile->t_end - 1;
    if (mask->causal) {
        end = smaller(end, last + 1);
    }
    if (mask->window > 0) {
        begin = larger(begin, tile->t_begin - mask->window + 1);
        if (mask->window < end - last) {
            end = last + mask->window;
        }
    }
    tile->s_end = begin < end ? end : tile->s_begin;
    tile->s_begin = begin < end ? begin : tile->s_begin;
}

static enum attn_visibility look_at_geometry(const struct attn_mask* mask,
                                             const struct attn_tile* tile) {
    struct attn_tile narrowed = *tile;
    attn_mask_narrow(mask, &narrowed);
    if (narrowed.s_begin == narrowed.s_end) {
        return ATTN_VISIBLE_NONE;
    }
    int all = 1;
    if (mask->causal) {
        all = all && tile->s_end - 1 <= tile->t_begin;
    }
    if (mask->window > 0) {
        ptrdiff_t furthest =
            larger(tile->t_end - 1 - tile->s_begin, tile->s_end - 1 - tile->t_begin);
        all = all && furthest < mask->window;
    }
    return all ? ATTN_VISIBLE_ALL : ATTN_VISIBLE_SOME;
}

static enum attn_visibility look_at_part(const struct attn_mask_part* part,
                                         const struct attn_tile* tile) {
    /* an axis that is broadcast is looked at once */
    ptrdiff_t t_end = part->target == 0 ? tile->t_begin + 1 : tile->t_end;
    ptrdiff_t s_end = part->source == 0 ? tile->s_begin + 1 : tile->s_end;
    int any = 0, all = 1;
    for (ptrdiff_t t = tile->t_begin; t < t_end; t++) {
        const uint8_t* row = part->visible + tile->batch * part->batch + tile->head * part->head +
                             t * part->target + tile->s_begin * part->source;
        ptrdiff_t length = s_end - tile->s_begin, seen = 0;
        for (ptrdiff_t s = 0; s < length; s++) {
            seen += row[s * part->source] != 0;
        }
        any |= seen > 0;
        all &= seen == length;
        if (any && !all) {
            return ATTN_VISIBLE_SOME;
        }
    }
    return all ? ATTN_VISIBLE_ALL : ATTN_VISIBLE_NONE;
}

enum attn_visibility attn_mask_look(const struct attn_mask* mask, const struct attn_tile* tile) {
    enum attn_visibility together = look_at_geometry(mask, tile);
    for (int i = 0; i < mask->parts && together != ATTN_VISIBLE_NONE; i++) {
        enum attn_visibility one = look_at_part(&mask->part[i], tile);
        if (one != ATTN_VISIBLE_ALL) {
            together = one;
        }
    }
    return together;
}

int attn_mask_sees(const struct attn_mask* mask, ptrdiff_t batch, ptrdiff_t head, ptrdiff_t t,
                   ptrdiff_t s) {
    if (mask->causal && s > t) {
        return 0;
    }
    if (mask->window > 0 && (t - s >= mask->window || s - t >= mask->window)) {
        return 0;
    }
    for (int i = 0; i < mask->parts; i++) {
        const struct attn_mask_part* part = &mask->part[i];
        if (!part->visible[batch * part->batch + head * part->head + t * part->target +
                           s * part->source]) {
            return 0;
        }
    }
    return 1;
}

int attn_mask_sees_any(const struct attn_mask* mask, ptrdiff_t batch, ptrdiff_t head, ptrdiff_t t,
                       ptrdiff_t source) {
    struct attn_tile row = {batch, head, t, t + 1, 0, source};
    attn_mask_narrow(mask, &row);
    for (ptrdiff_t s = row.s_begin; s < row.s_end; s++) {
        if (attn_mask_sees(mask, batch, head, t, s)) {
            return 1;
        }
    }
    return 0;
}

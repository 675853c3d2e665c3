#include "mask.h"

#include <string.h>

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

/* of `length` > 0 flags next to each other */
static enum attn_visibility look_at_flags(const uint8_t* flag, ptrdiff_t length) {
    const uint8_t* hidden = memchr(flag, 0, (size_t)length);
    if (hidden != flag) {
        return hidden == NULL ? ATTN_VISIBLE_ALL : ATTN_VISIBLE_SOME;
    }
    uint64_t eight = 0;
    ptrdiff_t at = 0;
    for (; at + 8 <= length && eight == 0; at += 8) {
        memcpy(&eight, flag + at, 8);
    }
    for (; at < length && eight == 0; at++) {
        eight = flag[at];
    }
    return eight != 0 ? ATTN_VISIBLE_SOME : ATTN_VISIBLE_NONE;
}

static enum attn_visibility look_at_part(const struct attn_mask_part* part,
                                         const struct attn_tile* tile) {
    /* an axis that is broadcast is looked at once */
    const ptrdiff_t t_end = part->target == 0 ? tile->t_begin + 1 : tile->t_end;
    const ptrdiff_t length = part->source == 0 ? 1 : tile->s_end - tile->s_begin;
    enum attn_visibility together = ATTN_VISIBLE_ALL;
    for (ptrdiff_t t = tile->t_begin; t < t_end; t++) {
        const enum attn_visibility row =
            look_at_flags(part->visible + tile->batch * part->batch + tile->head * part->head +
                              t * part->target + tile->s_begin * part->source,
                          length);
        if (row == ATTN_VISIBLE_SOME || (t > tile->t_begin && row != together)) {
            return ATTN_VISIBLE_SOME;
        }
        together = row;
    }
    return together;
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

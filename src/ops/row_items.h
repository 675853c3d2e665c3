/* Rows shared out to threads: an item of work is so many rows that it is worth a
 * thread's while and fits the first cache. The number depends on the shape alone,
 * never on the threads. */
#ifndef ATTN_OPS_ROW_ITEMS_H
#define ATTN_OPS_ROW_ITEMS_H

#include <stddef.h>

enum { ATTN_ITEM_NUMBERS = 4096 };

static inline ptrdiff_t attn_rows_per_item(ptrdiff_t columns) {
    return columns >= ATTN_ITEM_NUMBERS ? 1 : ATTN_ITEM_NUMBERS / (columns < 1 ? 1 : columns);
}

static inline ptrdiff_t attn_row_items(ptrdiff_t rows, ptrdiff_t per_item) {
    return (rows + per_item - 1) / per_item;
}

/* rows of the item that begins at row `first` */
static inline ptrdiff_t attn_item_rows(ptrdiff_t rows, ptrdiff_t first, ptrdiff_t per_item) {
    return rows - first < per_item ? rows - first : per_item;
}

#endif

/* attn_normalize in one precision; see normalization.h. Included by normalization.c. */

static void REAL_NAME(normalize_rows)(void* data, ptrdiff_t item, int thread) {
    const struct attn_normalization* p = data;
    const ptrdiff_t per_item = attn_rows_per_item(p->columns);
    const ptrdiff_t first = item * per_item;
    const ptrdiff_t end = first + attn_item_rows(p->rows, first, per_item);
    (void)thread;
    for (ptrdiff_t row = first; row < end; row++) {
        const ptrdiff_t at = row * p->columns;
        REAL_KERNELS->normalize_row(
            p->how, p->columns, (const real*)p->x + at,
            p->residual == NULL ? NULL : (const real*)p->residual + at, p->gamma, p->beta,
            p->epsilon, p->sum == NULL ? NULL : (real*)p->sum + at, (real*)p->y + at);
    }
}

/* attn_merge in one precision; see elementwise.h. Included by elementwise.c. */

static void REAL_NAME(fill)(ptrdiff_t count, real value, real* to) {
    for (ptrdiff_t i = 0; i < count; i++) {
        to[i] = value;
    }
}

/* to = the operand's row, from `at`, as it is or one number over and over */
static void REAL_NAME(take_row)(ptrdiff_t count, const real* from, int is_one, real* to) {
    if (is_one) {
        REAL_NAME(fill)(count, *from, to);
    } else if (from != to) {
        memmove(to, from, (size_t)count * sizeof(real));
    }
}

static void REAL_NAME(merge_plain_row)(const struct merging* work, const ptrdiff_t* at,
                                       ptrdiff_t count, real* out) {
    const real* so_far = (const real*)work->operand[0].data + at[0];
    if (work->count == 1 || work->one[0]) {
        REAL_NAME(take_row)(count, so_far, work->one[0], out);
        so_far = out;
    }
    for (int k = 1; k < work->count; k++) {
        REAL_KERNELS->merge(work->kernel, count, so_far, (const real*)work->operand[k].data + at[k],
                            work->one[k], out);
        so_far = out;
    }
    if (work->how == ATTN_MERGE_AVERAGE) {
        const real number = (real)work->count;
        REAL_KERNELS->merge(ATTN_DIVIDE, count, so_far, &number, 1, out);
    }
}

static int REAL_NAME(row_counts)(const struct merging* work, const ptrdiff_t* mask_at, int k) {
    return work->operand[k].mask == NULL || work->operand[k].mask[mask_at[k]] != 0;
}

/* A masked row is passed over; the first that counts begins the result. */
static void REAL_NAME(merge_masked_row)(const struct merging* work, const ptrdiff_t* at,
                                        const ptrdiff_t* mask_at, ptrdiff_t count, real* out) {
    const int product = work->how == ATTN_MERGE_MULTIPLY;
    int any = 0;
    for (int k = 0; k < work->count; k++) {
        const real* x = (const real*)work->operand[k].data + at[k];
        const int counts = REAL_NAME(row_counts)(work, mask_at, k);
        if ((counts && !any) || (k == 0 && !product)) {
            REAL_NAME(take_row)(count, x, work->one[k], out);
        } else if (counts) {
            REAL_KERNELS->merge(work->kernel, count, out, x, work->one[k], out);
        }
        any = any || counts;
    }
    if (product && !any) {
        REAL_NAME(fill)(count, 0, out);
    }
}

static void REAL_NAME(merge_item)(void* data, ptrdiff_t item, int thread) {
    const struct merging* work = data;
    const ptrdiff_t piece = item % work->pieces, group = item / work->pieces;
    const ptrdiff_t first = group * work->per_item, begin = piece * work->piece;
    const ptrdiff_t end = first + attn_item_rows(work->rows, first, work->per_item);
    const ptrdiff_t count = work->inner - begin < work->piece ? work->inner - begin : work->piece;
    (void)thread;
    for (ptrdiff_t row = first; row < end; row++) {
        ptrdiff_t at[MOST_OPERANDS], mask_at[MOST_OPERANDS];
        find_row(work, row, at, mask_at);
        for (int k = 0; k < work->count; k++) {
            at[k] += work->one[k] ? 0 : begin;
        }
        real* out = (real*)work->out + row * work->inner + begin;
        if (work->masked) {
            REAL_NAME(merge_masked_row)(work, at, mask_at, count, out);
        } else {
            REAL_NAME(merge_plain_row)(work, at, count, out);
        }
    }
}

struct REAL_NAME(rescaling) {
    ptrdiff_t count;
    const real* x;
    real scale, offset;
    real* y;
};

static void REAL_NAME(rescale_item)(void* data, ptrdiff_t item, int thread) {
    const struct REAL_NAME(rescaling)* work = data;
    const ptrdiff_t at = item * ATTN_ITEM_NUMBERS;
    (void)thread;
    REAL_KERNELS->rescale(attn_item_rows(work->count, at, ATTN_ITEM_NUMBERS), work->x + at,
                          work->scale, work->offset, work->y + at);
}

static void REAL_NAME(rescale)(const struct attn_context* context, ptrdiff_t count, const real* x,
                               double scale, double offset, real* y) {
    struct REAL_NAME(rescaling) work = {count, x, (real)scale, (real)offset, y};
    const ptrdiff_t items = attn_row_items(count, ATTN_ITEM_NUMBERS);
    const int threads = attn_parallel_width(context, items, MERGE_OPERATIONS * (double)count);
    attn_parallel_run(context, threads, items, REAL_NAME(rescale_item), &work);
}

/* attn_batch_product in one precision; see batch_product.h. Included by batch_product.c. */

struct REAL_NAME(pairs) {
    ptrdiff_t rows, columns, depth, strip, strips; /* rows of a strip, strips of a matrix */
    ptrdiff_t parts, part_depth;                   /* of the depth, and the most of one */
    ptrdiff_t a_panel;                             /* numbers of a packed panel of rows */
    const real* x;
    const real* y;
    real* out;
    /* per thread: a packed strip of x, part by part; a part of a panel of y; a panel of
     * the product */
    real* scratch;
    ptrdiff_t scratch_size, part_size;
};

static ptrdiff_t REAL_NAME(part_begin)(const struct REAL_NAME(pairs) * work, ptrdiff_t part) {
    return work->depth * part / work->parts;
}

/* to (a part of the depth x block_columns): columns `column` and on of y, what is not
 * there 0 */
static void REAL_NAME(pack_panel)(const struct REAL_NAME(pairs) * work, ptrdiff_t part,
                                  const real* y, ptrdiff_t column, real* to) {
    const ptrdiff_t width = REAL_KERNELS->block_columns;
    const ptrdiff_t left = work->columns - column, present = left < width ? left : width;
    const ptrdiff_t end = REAL_NAME(part_begin)(work, part + 1);
    for (ptrdiff_t d = REAL_NAME(part_begin)(work, part); d < end; d++) {
        memcpy(to, y + d * work->columns + column, (size_t)present * sizeof(real));
        for (ptrdiff_t i = present; i < width; i++) {
            to[i] = 0;
        }
        to += width;
    }
}

/* What an item works on: rows of one pair, their packed strip in the slot's memory. */
struct REAL_NAME(strip) {
    ptrdiff_t rows;
    const real *x, *y;
    real *out, *packed, *panel, *edge;
};

static struct REAL_NAME(strip) REAL_NAME(strip_of)(const struct REAL_NAME(pairs) * work,
                                                   ptrdiff_t item, int slot) {
    const ptrdiff_t pair = item / work->strips, first = item % work->strips * work->strip;
    struct REAL_NAME(strip) strip = {
        .rows = work->rows - first < work->strip ? work->rows - first : work->strip,
        .x = work->x + (pair * work->rows + first) * work->depth,
        .y = work->y + pair * work->depth * work->columns,
        .out = work->out + (pair * work->rows + first) * work->columns,
        .packed = work->scratch + slot * work->scratch_size,
    };
    strip.panel = strip.packed + work->parts * work->part_size;
    strip.edge = strip.panel + work->part_depth * REAL_KERNELS->block_columns;
    return strip;
}

static void REAL_NAME(pack_part)(const struct REAL_NAME(pairs) * work,
                                 const struct REAL_NAME(strip) * strip, ptrdiff_t part) {
    const ptrdiff_t d = REAL_NAME(part_begin)(work, part);
    REAL_KERNELS->pack_rows(strip->rows, REAL_NAME(part_begin)(work, part + 1) - d, strip->x + d,
                            work->depth, NULL, strip->packed + part * work->part_size,
                            work->a_panel);
}

/* One part of the sums of one panel of the product: delivered with the last. */
static void REAL_NAME(multiply_part)(const struct REAL_NAME(pairs) * work,
                                     const struct REAL_NAME(strip) * strip, ptrdiff_t column,
                                     ptrdiff_t part) {
    const ptrdiff_t width = REAL_KERNELS->block_columns, present = work->columns - column;
    const int in_place = present >= width;
    const ptrdiff_t d = REAL_NAME(part_begin)(work, part);
    REAL_NAME(pack_panel)(work, part, strip->y, column, strip->panel);
    REAL_KERNELS->multiply_panel(strip->rows, REAL_NAME(part_begin)(work, part + 1) - d,
                                 strip->packed + part * work->part_size, work->a_panel,
                                 strip->panel, NULL, in_place ? strip->out + column : strip->edge,
                                 in_place ? work->columns : width, NULL, part > 0);
    for (ptrdiff_t row = 0; !in_place && part == work->parts - 1 && row < strip->rows; row++) {
        memcpy(strip->out + row * work->columns + column, strip->edge + row * width,
               (size_t)present * sizeof(real));
    }
}

/* at: the steps that are done: x is packed part by part, then come the parts of the panels */
static int REAL_NAME(strip_product)(void* data, ptrdiff_t item, int slot,
                                    struct attn_progress* progress) {
    const struct REAL_NAME(pairs)* work = data;
    const ptrdiff_t width = REAL_KERNELS->block_columns;
    const struct REAL_NAME(strip) strip = REAL_NAME(strip_of)(work, item, slot);
    const ptrdiff_t panels = (work->columns + width - 1) / width;
    const ptrdiff_t steps = (1 + panels) * work->parts;
    const ptrdiff_t per_look =
        attn_progress_parts(2.0 * (double)(work->part_depth * width) * (double)strip.rows);
    ptrdiff_t until_look = per_look;
    for (; progress->at < steps; progress->at++) {
        if (until_look-- == 0) {
            if (attn_progress_must_pause(progress)) {
                return 0;
            }
            until_look = per_look - 1;
        }
        const ptrdiff_t part = progress->at % work->parts;
        if (progress->at < work->parts) {
            REAL_NAME(pack_part)(work, &strip, part);
        } else {
            REAL_NAME(multiply_part)(work, &strip, (progress->at / work->parts - 1) * width, part);
        }
    }
    return 1;
}

static enum attn_status REAL_NAME(products)(const struct attn_context* context, ptrdiff_t batch,
                                            ptrdiff_t rows, ptrdiff_t columns, ptrdiff_t depth,
                                            const real* x, const real* y, real* out) {
    const ptrdiff_t width = REAL_KERNELS->block_columns, height = REAL_KERNELS->block_rows;
    const ptrdiff_t most = REAL_KERNELS->product_panels * height;
    struct REAL_NAME(pairs) work = {
        .rows = rows, .columns = columns, .depth = depth, .x = x, .y = y, .out = out};
    work.strip = rows < most ? rows : most;
    work.strips = (rows + work.strip - 1) / work.strip;
    work.parts = (depth + REAL_KERNELS->product_depth - 1) / REAL_KERNELS->product_depth;
    work.part_depth = (depth + work.parts - 1) / work.parts;
    work.a_panel = work.part_depth * height + REAL_KERNELS->narrow_columns;
    work.part_size = (work.strip + height - 1) / height * work.a_panel;
    work.scratch_size = work.parts * work.part_size + (work.part_depth + work.strip) * width;
    const ptrdiff_t items = batch * work.strips;
    const double products = (double)batch * (double)rows * (double)columns * (double)depth;
    const int threads = attn_parallel_width(context, items, 2.0 * products);
    work.scratch = attn_workspace_take(context->workspace, (size_t)threads,
                                       (size_t)work.scratch_size * sizeof(real));
    if (work.scratch == NULL) {
        return ATTN_NO_MEMORY;
    }
    attn_parallel_run_long(context, threads, items, REAL_NAME(strip_product), &work);
    return ATTN_OK;
}

/* x (vectors, depth) divided by max(2-norm, NORM_LEAST) of each vector, into y */
struct REAL_NAME(lengths) {
    ptrdiff_t vectors, depth;
    const real* x;
    real* y;
};

static double REAL_NAME(add_squares)(double sum, ptrdiff_t count, const real* x) {
    for (ptrdiff_t i = 0; i < count; i++) {
        sum += (double)x[i] * (double)x[i];
    }
    return sum;
}

/* stage 0: the sum of squares, in `number`; 1: the vector itself */
static int REAL_NAME(unit_length)(void* data, ptrdiff_t item, int slot,
                                  struct attn_progress* progress) {
    const struct REAL_NAME(lengths)* work = data;
    const real* x = work->x + item * work->depth;
    real* y = work->y + item * work->depth;
    (void)slot;
    for (int worked = 0; progress->stage < 2; progress->stage++, progress->at = 0) {
        const double norm =
            sqrt(progress->number) < NORM_LEAST ? NORM_LEAST : sqrt(progress->number);
        while (progress->at < work->depth) {
            const ptrdiff_t at = progress->at, left = work->depth - at;
            const ptrdiff_t count = left < LENGTH_PIECE ? left : LENGTH_PIECE;
            if (worked && work->depth > LENGTH_PIECE && attn_progress_must_pause(progress)) {
                return 0;
            }
            if (progress->stage == 0) {
                progress->number = REAL_NAME(add_squares)(progress->number, count, x + at);
            } else {
                REAL_KERNELS->rescale(count, x + at, (real)(1 / norm), 0, y + at);
            }
            progress->at += count;
            worked = 1;
        }
    }
    return 1;
}

static void REAL_NAME(unit_lengths)(const struct attn_context* context, ptrdiff_t vectors,
                                    ptrdiff_t depth, const real* x, real* y) {
    struct REAL_NAME(lengths) work = {vectors, depth, x, y};
    const int threads =
        attn_parallel_width(context, vectors, 8.0 * (double)vectors * (double)depth);
    attn_parallel_run_long(context, threads, vectors, REAL_NAME(unit_length), &work);
}

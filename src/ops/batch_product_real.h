/* attn_batch_product in one precision; see batch_product.h. Included by batch_product.c. */

struct REAL_NAME(pairs) {
    ptrdiff_t rows, columns, depth, strip, strips; /* rows of a strip, strips of a matrix */
    ptrdiff_t parts;                               /* of the depth */
    ptrdiff_t a_panel;                             /* numbers of a packed panel of rows */
    const real* x;
    const real* y;
    real* out;
    /* per thread: a packed strip of x, part by part; a panel of y; of the product */
    real* scratch;
    ptrdiff_t scratch_size, part_size;
};

static ptrdiff_t REAL_NAME(part_begin)(const struct REAL_NAME(pairs) * work, ptrdiff_t part) {
    return work->depth * part / work->parts;
}

/* to (depth x block_columns): columns `column` and on of y, what is not there 0 */
static void REAL_NAME(pack_panel)(const struct REAL_NAME(pairs) * work, const real* y,
                                  ptrdiff_t column, real* to) {
    const ptrdiff_t width = REAL_KERNELS->block_columns;
    const ptrdiff_t left = work->columns - column, present = left < width ? left : width;
    for (ptrdiff_t d = 0; d < work->depth; d++) {
        memcpy(to, y + d * work->columns + column, (size_t)present * sizeof(real));
        for (ptrdiff_t i = present; i < width; i++) {
            to[i] = 0;
        }
        to += width;
    }
}

/* c (rows x block_columns, c_row apart) = the packed strip . the packed panel */
static void REAL_NAME(panel_product)(const struct REAL_NAME(pairs) * work, ptrdiff_t rows,
                                     const real* strip, const real* panel, real* c,
                                     ptrdiff_t c_row) {
    for (ptrdiff_t part = 0; part < work->parts; part++) {
        const ptrdiff_t d = REAL_NAME(part_begin)(work, part);
        REAL_KERNELS->multiply_panel(rows, REAL_NAME(part_begin)(work, part + 1) - d,
                                     strip + part * work->part_size, work->a_panel,
                                     panel + d * REAL_KERNELS->block_columns, NULL, c, c_row, NULL,
                                     part > 0);
    }
}

static void REAL_NAME(strip_product)(void* data, ptrdiff_t item, int thread) {
    const struct REAL_NAME(pairs)* work = data;
    const ptrdiff_t width = REAL_KERNELS->block_columns;
    const ptrdiff_t pair = item / work->strips, first = item % work->strips * work->strip;
    const ptrdiff_t rows = work->rows - first < work->strip ? work->rows - first : work->strip;
    const real* x = work->x + (pair * work->rows + first) * work->depth;
    const real* y = work->y + pair * work->depth * work->columns;
    real* out = work->out + (pair * work->rows + first) * work->columns;
    real* strip = work->scratch + thread * work->scratch_size;
    real* panel = strip + work->parts * work->part_size;
    real* edge = panel + work->depth * width;
    for (ptrdiff_t part = 0; part < work->parts; part++) {
        const ptrdiff_t d = REAL_NAME(part_begin)(work, part);
        REAL_KERNELS->pack_rows(rows, REAL_NAME(part_begin)(work, part + 1) - d, x + d,
                                work->depth, NULL, strip + part * work->part_size, work->a_panel);
    }
    for (ptrdiff_t column = 0; column < work->columns; column += width) {
        const ptrdiff_t present = work->columns - column;
        REAL_NAME(pack_panel)(work, y, column, panel);
        if (present >= width) {
            REAL_NAME(panel_product)(work, rows, strip, panel, out + column, work->columns);
            continue;
        }
        REAL_NAME(panel_product)(work, rows, strip, panel, edge, width);
        for (ptrdiff_t row = 0; row < rows; row++) {
            memcpy(out + row * work->columns + column, edge + row * width,
                   (size_t)present * sizeof(real));
        }
    }
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
    work.a_panel =
        (depth + work.parts - 1) / work.parts * height + REAL_KERNELS->narrow_columns;
    work.part_size = (work.strip + height - 1) / height * work.a_panel;
    work.scratch_size = work.parts * work.part_size + (depth + work.strip) * width;
    const ptrdiff_t items = batch * work.strips;
    const double products = (double)batch * (double)rows * (double)columns * (double)depth;
    const int threads = attn_parallel_width(context, items, 2.0 * products);
    work.scratch = attn_workspace_take(context->workspace, (size_t)threads,
                                       (size_t)work.scratch_size * sizeof(real));
    if (work.scratch == NULL) {
        return ATTN_NO_MEMORY;
    }
    attn_parallel_run(context, threads, items, REAL_NAME(strip_product), &work);
    return ATTN_OK;
}

/* x (vectors, depth) divided by max(2-norm, NORM_LEAST) of each vector, into y */
struct REAL_NAME(lengths) {
    ptrdiff_t vectors, depth;
    const real* x;
    real* y;
};

static void REAL_NAME(unit_length)(void* data, ptrdiff_t item, int thread) {
    const struct REAL_NAME(lengths)* work = data;
    const real* x = work->x + item * work->depth;
    real* y = work->y + item * work->depth;
    double sum = 0;
    (void)thread;
    for (ptrdiff_t d = 0; d < work->depth; d++) {
        sum += (double)x[d] * (double)x[d];
    }
    const double norm = sqrt(sum) < NORM_LEAST ? NORM_LEAST : sqrt(sum);
    REAL_KERNELS->rescale(work->depth, x, (real)(1 / norm), 0, y);
}

static void REAL_NAME(unit_lengths)(const struct attn_context* context, ptrdiff_t vectors,
                                    ptrdiff_t depth, const real* x, real* y) {
    struct REAL_NAME(lengths) work = {vectors, depth, x, y};
    const int threads =
        attn_parallel_width(context, vectors, 8.0 * (double)vectors * (double)depth);
    attn_parallel_run(context, threads, vectors, REAL_NAME(unit_length), &work);
}

/* attn_matmul_each in one precision; see matmul.h. Included by matmul.c.
 *
 * A packed right-hand side is panels of block_columns columns, each (depth x
 * block_columns) and contiguous; what is left over is in narrow panels of one
 * vector, the last one filled up with zeros. An item of work is a block of rows
 * times some of the panels of all factors. */

/* how wide the panel is that starts at `column` */
static ptrdiff_t REAL_NAME(panel_width)(ptrdiff_t columns, ptrdiff_t column) {
    const ptrdiff_t width = REAL_KERNELS->block_columns, narrow = REAL_KERNELS->narrow_columns;
    /* a last panel that would be filled with less than a vector is a whole one */
    return columns - column > width - narrow ? width : narrow;
}

struct REAL_NAME(packing) {
    ptrdiff_t depth, columns;
    const real* matrix;
    real* packed;
};

/* a panel: first the full ones, then the narrow ones */
static void REAL_NAME(pack_item)(void* work, ptrdiff_t item, int thread) {
    const struct REAL_NAME(packing)* packing = work;
    const ptrdiff_t columns = packing->columns, full = REAL_KERNELS->block_columns;
    const ptrdiff_t fulls = (columns + REAL_KERNELS->narrow_columns - 1) / full;
    const ptrdiff_t first = smaller(item, fulls) * full +
                            larger(item - fulls, 0) * REAL_KERNELS->narrow_columns;
    const ptrdiff_t width = REAL_NAME(panel_width)(columns, first);
    const ptrdiff_t present = smaller(columns - first, width);
    real* packed = packing->packed + first * packing->depth;
    (void)thread;
    for (ptrdiff_t d = 0; d < packing->depth; d++) {
        memcpy(packed, packing->matrix + d * columns + first, (size_t)present * sizeof(real));
        for (ptrdiff_t column = present; column < width; column++) {
            packed[column] = 0;
        }
        packed += width;
    }
}

/* how many panels a right-hand side has */
static ptrdiff_t REAL_NAME(count_panels)(ptrdiff_t columns) {
    const ptrdiff_t narrow = REAL_KERNELS->narrow_columns;
    const ptrdiff_t vectors = REAL_KERNELS->block_columns / narrow;
    const ptrdiff_t in_vectors = divide_up(columns, narrow);
    return in_vectors / vectors + in_vectors % vectors;
}

static void REAL_NAME(pack)(const struct attn_context* context, ptrdiff_t depth,
                            ptrdiff_t columns, const real* matrix, real* packed) {
    struct REAL_NAME(packing) packing = {depth, columns, matrix, packed};
    const ptrdiff_t panels = REAL_NAME(count_panels)(columns);
    const int threads = attn_parallel_width(
        context, panels, PACK_OPERATIONS * (double)depth * (double)columns);
    attn_parallel_run(context, threads, panels, REAL_NAME(pack_item), &packing);
}

struct REAL_NAME(product) {
    ptrdiff_t rows, depth;
    struct attn_matrix x;
    const struct attn_factor* factor;
    int factors;
    /* panels that precede those of each factor; the last number is that of all */
    ptrdiff_t panels_before[ATTN_MOST_FACTORS + 1];
    const real* last_bias[ATTN_MOST_FACTORS]; /* of the last panel, filled up */
    ptrdiff_t row_panels, row_blocks, shares; /* items are row_blocks x shares */
    ptrdiff_t depth_blocks, most_depth;
    ptrdiff_t a_panel; /* from one packed panel of rows to the next */
    /* per thread: a packed block of rows, then results that cannot be computed in
     * their place, panel by panel: (rows of the block x block_columns) each */
    real* scratch;
    ptrdiff_t scratch_stride, waiting_offset, waiting_stride;
};

/* A panel of a right-hand side. */
struct REAL_NAME(panel) {
    const struct attn_factor* factor;
    ptrdiff_t column, width, present;
    const real *packed, *bias;
};

static struct REAL_NAME(panel) REAL_NAME(find_panel)(const struct REAL_NAME(product) * product,
                                                     ptrdiff_t number) {
    int f = 0;
    while (f + 1 < product->factors && number >= product->panels_before[f + 1]) {
        f++;
    }
    struct REAL_NAME(panel) panel = {.factor = &product->factor[f]};
    const ptrdiff_t columns = panel.factor->columns, full = REAL_KERNELS->block_columns;
    const ptrdiff_t within = number - product->panels_before[f];
    const ptrdiff_t fulls = (columns + REAL_KERNELS->narrow_columns - 1) / full;
    panel.column = smaller(within, fulls) * full +
                   larger(within - fulls, 0) * REAL_KERNELS->narrow_columns;
    panel.width = REAL_NAME(panel_width)(columns, panel.column);
    panel.present = smaller(columns - panel.column, panel.width);
    panel.packed = (const real*)panel.factor->packed + panel.column * product->depth;
    panel.bias = panel.factor->bias == NULL ? NULL
                 : panel.present < panel.width
                     ? product->last_bias[f]
                     : (const real*)panel.factor->bias + panel.column;
    return panel;
}

/* the block of rows that an item works on, and a part of the depth */
struct REAL_NAME(block) {
    ptrdiff_t first_row, rows;
    ptrdiff_t first_depth, depth;
    real *packed, *waiting;
};

static void REAL_NAME(pack_block)(const struct REAL_NAME(product) * product,
                                  const struct REAL_NAME(block) * block) {
    const struct attn_matrix* x = &product->x;
    if (x->layout == ATTN_COLUMNS) {
        REAL_KERNELS->pack_columns(block->rows, product->rows - block->first_row, block->depth,
                                   (const double*)x->data + block->first_depth * x->step +
                                       block->first_row,
                                   x->step, block->packed, product->a_panel);
    } else {
        const ptrdiff_t start = x->row_place == NULL ? block->first_row * x->step : 0;
        REAL_KERNELS->pack_rows(
            block->rows, block->depth, (const real*)x->data + start + block->first_depth, x->step,
            attn_places_from(x->row_place, block->first_row), block->packed, product->a_panel);
    }
}

/* a panel of results from `from`, where it is (rows x its width), to where it belongs */
static void REAL_NAME(deliver)(const struct REAL_NAME(block) * block,
                               const struct REAL_NAME(panel) * panel, const real* from) {
    const struct attn_matrix_out* out = &panel->factor->out;
    if (out->layout == ATTN_COLUMNS) {
        double* to = (double*)out->data + block->first_row;
        if (out->column_place == NULL) {
            to += panel->column * out->step;
        }
        REAL_KERNELS->write_columns(block->rows, panel->present, from, panel->width, NULL, to,
                                    out->step, attn_places_from(out->column_place, panel->column));
        return;
    }
    real* to = (real*)out->data + panel->column;
    for (ptrdiff_t row = 0; row < block->rows; row++) {
        const ptrdiff_t place = block->first_row + row;
        memcpy(to + (out->row_place != NULL ? out->row_place[place] : place) * out->step,
               from + row * panel->width, (size_t)panel->present * sizeof(real));
    }
}

static void REAL_NAME(multiply_by_panel)(const struct REAL_NAME(product) * product,
                                         const struct REAL_NAME(block) * block,
                                         const struct REAL_NAME(panel) * panel, real* waiting) {
    const struct attn_matrix_out* out = &panel->factor->out;
    const int in_place = out->layout == ATTN_ROWS && panel->present == panel->width;
    real* c = waiting;
    ptrdiff_t c_row = panel->width;
    const ptrdiff_t* place = NULL;
    if (in_place) {
        place = attn_places_from(out->row_place, block->first_row);
        c = (real*)out->data + panel->column + (place == NULL ? block->first_row * out->step : 0);
        c_row = out->step;
    }
    (panel->width == REAL_KERNELS->block_columns ? REAL_KERNELS->multiply_panel
                                                 : REAL_KERNELS->multiply_narrow)(
        block->rows, block->depth, block->packed, product->a_panel,
        panel->packed + block->first_depth * panel->width, panel->bias, c, c_row, place,
        block->first_depth > 0);
    if (!in_place && block->first_depth + block->depth == product->depth) {
        REAL_NAME(deliver)(block, panel, c);
    }
}

/* stage: the part of the depth; at: the panels of it that are done */
static int REAL_NAME(multiply_item)(void* work, ptrdiff_t item, int thread,
                                    struct attn_progress* progress) {
    const struct REAL_NAME(product)* product = work;
    const ptrdiff_t height = REAL_KERNELS->block_rows;
    const ptrdiff_t row_block = item / product->shares, share = item % product->shares;
    const ptrdiff_t all = product->panels_before[product->factors];
    const ptrdiff_t first_panel = all * share / product->shares;
    const ptrdiff_t panels = all * (share + 1) / product->shares - first_panel;
    const ptrdiff_t first_row = product->row_panels * row_block / product->row_blocks * height;
    const ptrdiff_t end_row =
        product->row_panels * (row_block + 1) / product->row_blocks * height;
    real* scratch = product->scratch + thread * product->scratch_stride;
    struct REAL_NAME(block) block = {
        .first_row = first_row, .rows = smaller(end_row, product->rows) - first_row,
        .packed = scratch, .waiting = scratch + product->waiting_offset,
    };
    const double of_panel = 2.0 * (double)(REAL_KERNELS->block_columns * product->most_depth) *
                            (double)block.rows;
    const ptrdiff_t per_look = attn_progress_parts(of_panel);
    ptrdiff_t until_look = per_look;
    for (; progress->stage < product->depth_blocks; progress->stage++, progress->at = 0) {
        const ptrdiff_t part = progress->stage;
        block.first_depth = product->depth * part / product->depth_blocks;
        block.depth = product->depth * (part + 1) / product->depth_blocks - block.first_depth;
        for (; progress->at < panels; progress->at++) {
            if (until_look-- == 0) {
                if (attn_progress_must_pause(progress)) {
                    return 0;
                }
                until_look = per_look - 1;
            }
            if (progress->at == 0) {
                REAL_NAME(pack_block)(product, &block);
            }
            const struct REAL_NAME(panel) panel =
                REAL_NAME(find_panel)(product, first_panel + progress->at);
            REAL_NAME(multiply_by_panel)(product, &block, &panel,
                                         block.waiting + progress->at * product->waiting_stride);
        }
    }
    return 1;
}

/* How the work is divided: nothing that a row's sums depend on. */
static void REAL_NAME(divide)(struct REAL_NAME(product) * product, int threads,
                              double operations) {
    const ptrdiff_t panels = product->panels_before[product->factors];
    const ptrdiff_t height = REAL_KERNELS->block_rows;
    const ptrdiff_t wanted = threads > 1 ? threads * ITEMS_PER_THREAD : 1;
    const ptrdiff_t row_panels = divide_up(product->rows, height);
    ptrdiff_t blocks = larger(divide_up(row_panels, REAL_KERNELS->product_panels),
                              smaller(wanted, divide_up(row_panels, FEWEST_PANELS)));
    /* as many for each thread, or one would work on the last while others wait */
    blocks = smaller(divide_up(blocks, threads) * threads, row_panels);
    const ptrdiff_t least = divide_up(SHARED_COLUMNS, REAL_KERNELS->block_columns);
    const double slices = operations / ITEM_OPERATIONS / (double)blocks;
    ptrdiff_t shares = slices > 1 ? (ptrdiff_t)smaller((ptrdiff_t)slices, panels) : 1;
    shares = smaller(shares, divide_up(panels, least));
    if (blocks < wanted) { /* few rows: threads share the columns as well */
        const ptrdiff_t most = divide_up(panels, FEWEST_PANELS);
        shares = larger(shares, smaller(divide_up(wanted, blocks), most));
    }
    product->row_panels = row_panels;
    product->row_blocks = blocks;
    product->shares = shares;
    product->depth_blocks = divide_up(product->depth, REAL_KERNELS->product_depth);
    product->most_depth = divide_up(product->depth, product->depth_blocks);
    product->a_panel = product->most_depth * height + REAL_KERNELS->narrow_columns;
}

static enum attn_status REAL_NAME(take_scratch)(const struct attn_context* context,
                                                struct REAL_NAME(product) * product,
                                                int threads) {
    const ptrdiff_t panels = product->panels_before[product->factors];
    const ptrdiff_t block_panels = divide_up(product->row_panels, product->row_blocks);
    const ptrdiff_t rows = block_panels * REAL_KERNELS->block_rows;
    const ptrdiff_t waiting = rows * REAL_KERNELS->block_columns;
    const ptrdiff_t panels_of_item = divide_up(panels, product->shares);
    /* sums of a depth that is done in parts wait for the last part */
    product->waiting_stride = product->depth_blocks > 1 ? waiting : 0;
    product->waiting_offset = block_panels * product->a_panel;
    product->scratch_stride = product->waiting_offset + waiting +
                              (panels_of_item - 1) * product->waiting_stride;
    product->scratch = attn_workspace_take(
        context->workspace, (size_t)threads, (size_t)product->scratch_stride * sizeof(real));
    return product->scratch != NULL ? ATTN_OK : ATTN_NO_MEMORY;
}

/* a copy of the end of a bias that does not fill its panel */
static enum attn_status REAL_NAME(fill_bias)(const struct attn_context* context,
                                             struct REAL_NAME(product) * product, int f) {
    const struct attn_factor* factor = &product->factor[f];
    const ptrdiff_t last = product->panels_before[f + 1] - 1;
    const struct REAL_NAME(panel) panel = REAL_NAME(find_panel)(product, last);
    if (factor->bias == NULL || panel.present == panel.width) {
        return ATTN_OK;
    }
    real* filled = attn_workspace_take(context->workspace, (size_t)panel.width, sizeof(real));
    if (filled == NULL) {
        return ATTN_NO_MEMORY;
    }
    for (ptrdiff_t i = 0; i < panel.width; i++) {
        filled[i] = i < panel.present ? ((const real*)factor->bias)[panel.column + i] : 0;
    }
    product->last_bias[f] = filled;
    return ATTN_OK;
}

static enum attn_status REAL_NAME(matmul)(const struct attn_context* context, ptrdiff_t rows,
                                          ptrdiff_t depth, const struct attn_matrix* x, int count,
                                          const struct attn_factor* factor) {
    struct REAL_NAME(product) product = {
        .rows = rows, .depth = depth, .x = *x, .factor = factor, .factors = count};
    double columns = 0;
    for (int f = 0; f < count; f++) {
        product.panels_before[f + 1] =
            product.panels_before[f] + REAL_NAME(count_panels)(factor[f].columns);
        ATTN_TRY(REAL_NAME(fill_bias)(context, &product, f));
        columns += (double)factor[f].columns;
    }
    const double operations = 2.0 * (double)rows * (double)depth * columns;
    const int threads = attn_parallel_width(
        context, divide_up(rows, REAL_KERNELS->block_rows) * product.panels_before[count],
        operations);
    REAL_NAME(divide)(&product, threads, operations);
    ATTN_TRY(REAL_NAME(take_scratch)(context, &product, threads));
    attn_parallel_run_long(context, threads, product.row_blocks * product.shares,
                           REAL_NAME(multiply_item), &product);
    return ATTN_OK;
}

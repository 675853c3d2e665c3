/* attn_matmul in one precision; see matmul.h. Included by matmul.c. */

/* packed right-hand side: panels of block_columns columns, each (depth x
 * block_columns) and contiguous, the last one filled up with zeros */
static void REAL_NAME(pack)(ptrdiff_t depth, ptrdiff_t columns, const real* matrix, real* packed) {
    const ptrdiff_t width = REAL_KERNELS->block_columns;
    for (ptrdiff_t first = 0; first < columns; first += width) {
        ptrdiff_t present = columns - first < width ? columns - first : width;
        for (ptrdiff_t d = 0; d < depth; d++) {
            const real* from = matrix + d * columns + first;
            for (ptrdiff_t column = 0; column < width; column++) {
                packed[column] = column < present ? from[column] : 0;
            }
            packed += width;
        }
    }
}

struct REAL_NAME(product) {
    ptrdiff_t rows, depth, columns;
    const real* x;
    const real* packed;
    const real* bias;
    real* out;
    real* scratch; /* per thread: a block of x, then one register block of out */
    ptrdiff_t scratch_stride;
};

/* panels of block_rows rows: (depth x block_rows) each, as the kernel reads A */
static void REAL_NAME(pack_rows)(ptrdiff_t rows, ptrdiff_t depth, const real* x, ptrdiff_t x_row,
                                 real* panels) {
    const ptrdiff_t height = REAL_KERNELS->block_rows;
    for (ptrdiff_t first = 0; first < rows; first += height) {
        ptrdiff_t present = rows - first < height ? rows - first : height;
        for (ptrdiff_t row = 0; row < present; row++) {
            const real* from = x + (first + row) * x_row;
            for (ptrdiff_t d = 0; d < depth; d++) {
                panels[d * height + row] = from[d];
            }
        }
        panels += depth * height;
    }
}

static void REAL_NAME(add_bias)(ptrdiff_t rows, ptrdiff_t columns, const real* bias, real* out,
                                ptrdiff_t out_row) {
    for (ptrdiff_t row = 0; row < rows; row++) {
        for (ptrdiff_t column = 0; column < columns; column++) {
            out[row * out_row + column] += bias[column];
        }
    }
}

/* One register block of the result. The kernel always writes whole panels, so
 * the last columns pass through `edge`. */
static void REAL_NAME(block)(const struct REAL_NAME(product) * product, ptrdiff_t row,
                             ptrdiff_t rows, ptrdiff_t column, ptrdiff_t d, ptrdiff_t depth,
                             const real* left, real* edge) {
    const ptrdiff_t width = REAL_KERNELS->block_columns, height = REAL_KERNELS->block_rows;
    const ptrdiff_t present =
        product->columns - column < width ? product->columns - column : width;
    const real* right = product->packed + column * product->depth + d * width;
    real* out = product->out + row * product->columns + column;
    if (present == width) {
        REAL_KERNELS->multiply(rows, depth, left, height, right, width, out, product->columns,
                               d > 0);
    } else {
        REAL_KERNELS->multiply(rows, depth, left, height, right, width, edge, width, 0);
        for (ptrdiff_t i = 0; i < rows; i++) {
            for (ptrdiff_t j = 0; j < present; j++) {
                real* to = out + i * product->columns + j;
                *to = edge[i * width + j] + (d > 0 ? *to : 0);
            }
        }
    }
    if (product->bias != NULL && d + depth == product->depth) {
        REAL_NAME(add_bias)(rows, present, product->bias + column, out, product->columns);
    }
}

static void REAL_NAME(block_of_rows)(void* work, ptrdiff_t item, int thread) {
    const struct REAL_NAME(product)* product = work;
    const ptrdiff_t width = REAL_KERNELS->block_columns, height = REAL_KERNELS->block_rows;
    const ptrdiff_t first_row = item * ROW_PANELS * height;
    const ptrdiff_t left_rows = product->rows - first_row;
    const ptrdiff_t rows = left_rows < ROW_PANELS * height ? left_rows : ROW_PANELS * height;
    real* panels = product->scratch + thread * product->scratch_stride;
    real* edge = panels + ROW_PANELS * height * DEPTH_BLOCK;
    for (ptrdiff_t d = 0; d < product->depth; d += DEPTH_BLOCK) {
        ptrdiff_t depth = product->depth - d < DEPTH_BLOCK ? product->depth - d : DEPTH_BLOCK;
        REAL_NAME(pack_rows)(rows, depth, product->x + first_row * product->depth + d,
                             product->depth, panels);
        for (ptrdiff_t column = 0; column < product->columns; column += width) {
            for (ptrdiff_t row = 0; row < rows; row += height) {
                ptrdiff_t present = rows - row < height ? rows - row : height;
                REAL_NAME(block)(product, first_row + row, present, column, d, depth,
                                 panels + row * depth, edge);
            }
        }
    }
}

static enum attn_status REAL_NAME(matmul)(const struct attn_context* context, ptrdiff_t rows,
                                          ptrdiff_t depth, ptrdiff_t columns, const real* x,
                                          const real* packed, const real* bias, real* out) {
    const ptrdiff_t height = REAL_KERNELS->block_rows, width = REAL_KERNELS->block_columns;
    const ptrdiff_t items = (rows + ROW_PANELS * height - 1) / (ROW_PANELS * height);
    const int threads =
        attn_parallel_width(context, items, 2.0 * (double)rows * (double)depth * (double)columns);
    struct REAL_NAME(product) product = {rows, depth, columns, x, packed, bias, out, NULL, 0};
    product.scratch_stride = ROW_PANELS * height * DEPTH_BLOCK + height * width;
    product.scratch = attn_workspace_take(
        context->workspace, (size_t)(threads * product.scratch_stride), sizeof(real));
    if (product.scratch == NULL) {
        return ATTN_NO_MEMORY;
    }
    attn_parallel_run(context, threads, items, REAL_NAME(block_of_rows), &product);
    return ATTN_OK;
}

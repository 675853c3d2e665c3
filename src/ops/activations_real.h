/* Activations in one precision; see activations.h. Included by activations.c. */

struct REAL_NAME(activating) {
    const struct attn_activation* activation;
    ptrdiff_t rows, columns, per_item;
    const real* x;
    const real* bias;
    const uint8_t* mask;
    real* y;
    real* scratch; /* per thread: a row, for sparsemax */
};

/* NaN before all numbers: qsort() may do anything where there is no order */
static int REAL_NAME(descending)(const void* a, const void* b) {
    const real x = *(const real*)a, y = *(const real*)b;
    if (x != x || y != y) {
        return (x == x) - (y == y);
    }
    return (x < y) - (x > y);
}

/* max(x - tau, 0). Keras's tau: of the sums over the largest 1, 2, ... numbers, those
 * of the support are added up, not the last of them taken (Martins & Astudillo 2016,
 * algorithm 1); a model that comes from Keras is to predict the same. */
static void REAL_NAME(sparsemax_row)(ptrdiff_t columns, const real* x, real* sorted, real* y) {
    double sum = 0, sums = 0, support = 0, belows = 0;
    memcpy(sorted, x, (size_t)columns * sizeof(real));
    qsort(sorted, (size_t)columns, sizeof(real), REAL_NAME(descending));
    for (ptrdiff_t i = 0; i < columns; i++) {
        sum += (double)sorted[i];
        /* seen from the largest, as 1 is nothing beside large numbers */
        const double below = (double)sorted[i] - (double)sorted[0];
        belows += below;
        if (below - (belows - 1) / (double)(i + 1) > 0) {
            sums += sum;
            support += 1;
        }
    }
    const real tau = (real)((sums - 1) / support);
    for (ptrdiff_t i = 0; i < columns; i++) {
        const real above = x[i] - tau;
        y[i] = above < 0 ? 0 : above;
    }
}

static void REAL_NAME(mask_row)(ptrdiff_t columns, const uint8_t* mask, const real* x, real to,
                                real* y) {
    for (ptrdiff_t i = 0; i < columns; i++) {
        y[i] = mask[i] ? x[i] : to;
    }
}

static void REAL_NAME(activate_row)(const struct REAL_NAME(activating) * work, ptrdiff_t row,
                                    int thread) {
    const ptrdiff_t columns = work->columns;
    const real* x = work->x + row * columns;
    real* y = work->y + row * columns;
    if (work->bias != NULL) {
        REAL_KERNELS->merge(ATTN_ADD, columns, x, work->bias, 0, y);
        x = y;
    }
    if (work->mask != NULL) {
        REAL_NAME(mask_row)(columns, work->mask + row * columns, x, (real)ATTN_SOFTMAX_MASKED, y);
        x = y;
    }
    if (work->activation->function == ATTN_SOFTMAX) {
        REAL_KERNELS->softmax_row(columns, x, y);
    } else if (work->activation->function == ATTN_LOG_SOFTMAX) {
        REAL_KERNELS->log_softmax_row(columns, x, y);
    } else {
        REAL_NAME(sparsemax_row)(columns, x, work->scratch + thread * columns, y);
    }
    if (work->mask != NULL) {
        REAL_NAME(mask_row)(columns, work->mask + row * columns, y, 0, y);
    }
}

static void REAL_NAME(activate_rows)(void* data, ptrdiff_t item, int thread) {
    const struct REAL_NAME(activating)* work = data;
    const ptrdiff_t first = item * work->per_item;
    const ptrdiff_t rows = attn_item_rows(work->rows, first, work->per_item);
    if (work->activation->function < ATTN_ELEMENTWISE) {
        REAL_KERNELS->activate(work->activation, rows, work->columns,
                               work->x + first * work->columns, work->columns, work->bias,
                               work->y + first * work->columns, work->columns);
    } else {
        for (ptrdiff_t row = first; row < first + rows; row++) {
            REAL_NAME(activate_row)(work, row, thread);
        }
    }
}

static enum attn_status REAL_NAME(activate)(const struct attn_context* context,
                                            struct REAL_NAME(activating) * work) {
    const int elementwise = work->activation->function < ATTN_ELEMENTWISE;
    const ptrdiff_t numbers = work->rows * work->columns;
    if (numbers == 0) {
        return ATTN_OK;
    }
    ptrdiff_t items;
    if (elementwise && work->bias == NULL) {
        /* one row, cut where no item is left with a bit */
        work->columns = numbers < ATTN_ITEM_NUMBERS ? numbers : ATTN_ITEM_NUMBERS;
        work->rows = numbers / work->columns;
    }
    work->per_item = attn_rows_per_item(work->columns);
    items = attn_row_items(work->rows, work->per_item);
    const int threads =
        attn_parallel_width(context, items, ACTIVATION_OPERATIONS * (double)numbers);
    if (work->activation->function == ATTN_SPARSEMAX) {
        work->scratch = attn_workspace_take(context->workspace, (size_t)threads,
                                            (size_t)work->columns * sizeof(real));
        if (work->scratch == NULL) {
            return ATTN_NO_MEMORY;
        }
    }
    attn_parallel_run(context, threads, items, REAL_NAME(activate_rows), work);
    const ptrdiff_t done = work->rows * work->columns;
    if (done < numbers) {
        REAL_KERNELS->activate(work->activation, 1, numbers - done, work->x + done, 0, NULL,
                               work->y + done, 0);
    }
    return ATTN_OK;
}

struct REAL_NAME(gating) {
    ptrdiff_t rows, columns, per_item;
    const real* x;
    real* y;
};

static void REAL_NAME(gate_rows)(void* data, ptrdiff_t item, int thread) {
    static const struct attn_activation sigmoid = {ATTN_SIGMOID, {0}};
    const struct REAL_NAME(gating)* work = data;
    const ptrdiff_t first = item * work->per_item;
    const ptrdiff_t rows = attn_item_rows(work->rows, first, work->per_item);
    const ptrdiff_t columns = work->columns;
    (void)thread;
    for (ptrdiff_t row = first; row < first + rows; row++) {
        const real* x = work->x + row * 2 * columns;
        real* y = work->y + row * columns;
        REAL_KERNELS->activate(&sigmoid, 1, columns, x + columns, 0, NULL, y, 0);
        REAL_KERNELS->merge(ATTN_MULTIPLY, columns, y, x, 0, y);
    }
}

static enum attn_status REAL_NAME(glu)(const struct attn_context* context, ptrdiff_t rows,
                                       ptrdiff_t columns, const real* x, real* y) {
    struct REAL_NAME(gating) work = {rows, columns, attn_rows_per_item(columns), x, y};
    const ptrdiff_t items = columns == 0 ? 0 : attn_row_items(rows, work.per_item);
    const int threads = attn_parallel_width(
        context, items, ACTIVATION_OPERATIONS * (double)rows * (double)columns);
    attn_parallel_run(context, threads, items, REAL_NAME(gate_rows), &work);
    return ATTN_OK;
}

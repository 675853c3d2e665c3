/* Positions in one precision; see position.h. Included by position.c. */

static void REAL_NAME(sine_positions)(const struct attn_context* context, ptrdiff_t T, ptrdiff_t D,
                                      ptrdiff_t start, double max_wavelength, real* table) {
    ptrdiff_t since = 0;
    const real least = (real)(1 / max_wavelength);
    for (ptrdiff_t d = 0; d < D; d++) {
        const real exponent = (real)(d / 2 * 2) / (real)D;
        const real timescale = (real)pow((double)least, (double)exponent);
        for (ptrdiff_t t = 0; t < T; t++) {
            const real angle = (real)(start + t) * timescale;
            table[t * D + d] = (real)(d % 2 == 0 ? sin((double)angle) : cos((double)angle));
            attn_parallel_poll_after(context, SINE_NUMBERS, &since);
        }
    }
}

static void REAL_NAME(rotary_tables)(const struct attn_context* context,
                                     const struct attn_rotary* rotary, real* cosine, real* sine) {
    ptrdiff_t since = 0;
    const ptrdiff_t half = rotary->features / 2;
    for (ptrdiff_t i = 0; i < half; i++) {
        const float frequency = rotary_frequency(rotary, i);
        for (ptrdiff_t t = 0; t < rotary->T; t++) {
            const float angle = rotary_position(rotary, t) * frequency;
            cosine[t * half + i] = (real)(float)cos((double)angle);
            sine[t * half + i] = (real)(float)sin((double)angle);
            attn_parallel_poll_after(context, 2 * SINE_NUMBERS, &since);
        }
    }
}

/* rows (outer, T, inner) of `features` numbers */
struct REAL_NAME(rotating) {
    ptrdiff_t rows, T, inner, features, per_item;
    const real* cosine;
    const real* sine;
    const real* x;
    real* y;
};

static void REAL_NAME(rotate_item)(void* data, ptrdiff_t item, int thread) {
    const struct REAL_NAME(rotating)* work = data;
    const ptrdiff_t half = work->features / 2, first = item * work->per_item;
    const ptrdiff_t end = first + attn_item_rows(work->rows, first, work->per_item);
    (void)thread;
    for (ptrdiff_t row = first; row < end; row++) {
        const ptrdiff_t t = row / work->inner % work->T;
        REAL_KERNELS->rotate(half, work->x + row * work->features, work->cosine + t * half,
                             work->sine + t * half, work->y + row * work->features);
    }
}

static void REAL_NAME(rotate_rows)(const struct attn_context* context, ptrdiff_t outer,
                                   ptrdiff_t T, ptrdiff_t inner, ptrdiff_t features,
                                   const real* cosine, const real* sine, const real* x, real* y) {
    struct REAL_NAME(rotating) work = {outer * T * inner, T,      inner, features,
                                       attn_rows_per_item(features), cosine, sine, x, y};
    const ptrdiff_t items = attn_row_items(work.rows, work.per_item);
    const int threads = attn_parallel_width(
        context, items, ROTATE_OPERATIONS * (double)work.rows * (double)features);
    attn_parallel_run(context, threads, items, REAL_NAME(rotate_item), &work);
}

/* attn_global_pool in one precision; see pooling.h. Included by pooling.c. */

struct REAL_NAME(pool) {
    enum attn_pooling how;
    ptrdiff_t steps, channels, pieces; /* pieces of PIECE channels */
    const real* x;
    const uint8_t* mask;
    real* y;
};

/* `from` is merged into `to`: the first of all begins it. */
static void REAL_NAME(pool_in)(enum attn_merging how, ptrdiff_t count, int first, const real* from,
                               real* to) {
    if (first) {
        memcpy(to, from, (size_t)count * sizeof(real));
    } else {
        REAL_KERNELS->merge(how, count, to, from, 0, to);
    }
}

/* A piece of the channels of one entry, channels last. Sums are of RUN steps, then of
 * these: the error grows with RUN + steps / RUN. */
static void REAL_NAME(pool_last)(void* data, ptrdiff_t item, int thread) {
    const struct REAL_NAME(pool)* work = data;
    const enum attn_merging how = work->how == ATTN_POOL_MAX ? ATTN_MAXIMUM : ATTN_ADD;
    const ptrdiff_t entry = item / work->pieces, channel = item % work->pieces * PIECE;
    const ptrdiff_t count = work->channels - channel < PIECE ? work->channels - channel : PIECE;
    const real* x = work->x + entry * work->steps * work->channels + channel;
    const uint8_t* mask = work->mask == NULL ? NULL : work->mask + entry * work->steps;
    real* y = work->y + entry * work->channels + channel;
    real run[PIECE];
    ptrdiff_t kept = 0, runs = 0, in_run = 0;
    (void)thread;
    for (ptrdiff_t step = 0; step < work->steps; step++) {
        if (mask != NULL && !mask[step]) {
            continue;
        }
        REAL_NAME(pool_in)(how, count, in_run == 0, x + step * work->channels, run);
        kept++;
        if (++in_run == RUN) {
            REAL_NAME(pool_in)(how, count, runs++ == 0, run, y);
            in_run = 0;
        }
    }
    if (in_run > 0) {
        REAL_NAME(pool_in)(how, count, runs++ == 0, run, y);
    }
    for (ptrdiff_t i = 0; runs == 0 && i < count; i++) {
        y[i] = work->how == ATTN_POOL_MAX ? -REAL_INFINITY : 0;
    }
    if (work->how == ATTN_POOL_AVERAGE) {
        const real number = (real)kept;
        REAL_KERNELS->merge(ATTN_DIVIDE, count, y, &number, 1, y);
    }
}

/* One channel of one entry, channels first. */
static void REAL_NAME(pool_first)(void* data, ptrdiff_t item, int thread) {
    const struct REAL_NAME(pool)* work = data;
    const real* x = work->x + item * work->steps;
    const uint8_t* mask =
        work->mask == NULL ? NULL : work->mask + item / work->channels * work->steps;
    double sum = 0;
    real largest = -REAL_INFINITY;
    ptrdiff_t kept = 0;
    (void)thread;
    for (ptrdiff_t step = 0; step < work->steps;) {
        /* a run of steps that are kept */
        ptrdiff_t end = mask == NULL ? work->steps : step;
        while (end < work->steps && mask != NULL && mask[end]) {
            end++;
        }
        if (end > step && work->how == ATTN_POOL_AVERAGE) {
            sum += REAL_KERNELS->sum_row(end - step, x + step);
        } else if (end > step) {
            const real here = REAL_KERNELS->max_row(end - step, x + step);
            largest = here > largest || here != here ? here : largest;
        }
        kept += end - step;
        step = end + 1; /* the one that ended the run is masked */
    }
    work->y[item] = work->how == ATTN_POOL_MAX ? largest : (real)(sum / (double)kept);
}

static void REAL_NAME(global_pool)(const struct attn_context* context, enum attn_pooling how,
                                   ptrdiff_t batch, ptrdiff_t steps, ptrdiff_t channels,
                                   int channels_first, const real* x, const uint8_t* mask,
                                   real* y) {
    struct REAL_NAME(pool) work = {how, steps, channels, (channels + PIECE - 1) / PIECE, x, mask,
                                   y};
    const ptrdiff_t items = batch * (channels_first ? channels : work.pieces);
    const int threads = attn_parallel_width(
        context, items, 4.0 * (double)batch * (double)steps * (double)channels);
    attn_parallel_run(context, threads, items,
                      channels_first ? REAL_NAME(pool_first) : REAL_NAME(pool_last), &work);
}

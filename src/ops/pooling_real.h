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
 * these: the error grows with RUN + steps / RUN. It is left where a run is full; at: the
 * next step, stage: the full runs. */
static int REAL_NAME(pool_last)(void* data, ptrdiff_t item, int slot,
                                struct attn_progress* progress) {
    const struct REAL_NAME(pool)* work = data;
    const enum attn_merging how = work->how == ATTN_POOL_MAX ? ATTN_MAXIMUM : ATTN_ADD;
    const ptrdiff_t entry = item / work->pieces, channel = item % work->pieces * PIECE;
    const ptrdiff_t count = work->channels - channel < PIECE ? work->channels - channel : PIECE;
    const real* x = work->x + entry * work->steps * work->channels + channel;
    const uint8_t* mask = work->mask == NULL ? NULL : work->mask + entry * work->steps;
    real* y = work->y + entry * work->channels + channel;
    const ptrdiff_t look_after = attn_progress_parts((double)(RUN * PIECE));
    real run[PIECE];
    ptrdiff_t in_run = 0, until_look = look_after;
    (void)slot;
    for (ptrdiff_t step = progress->at; step < work->steps; step++) {
        if (mask != NULL && !mask[step]) {
            continue;
        }
        REAL_NAME(pool_in)(how, count, in_run == 0, x + step * work->channels, run);
        if (++in_run == RUN) {
            REAL_NAME(pool_in)(how, count, progress->stage++ == 0, run, y);
            in_run = 0;
            if (--until_look == 0 && attn_progress_must_pause(progress)) {
                progress->at = step + 1;
                return 0;
            }
            until_look = until_look == 0 ? look_after : until_look;
        }
    }
    const ptrdiff_t kept = progress->stage * RUN + in_run;
    if (in_run > 0) {
        REAL_NAME(pool_in)(how, count, progress->stage == 0, run, y);
    }
    for (ptrdiff_t i = 0; kept == 0 && i < count; i++) {
        y[i] = work->how == ATTN_POOL_MAX ? -REAL_INFINITY : 0;
    }
    if (work->how == ATTN_POOL_AVERAGE) {
        const real number = (real)kept;
        REAL_KERNELS->merge(ATTN_DIVIDE, count, y, &number, 1, y);
    }
    return 1;
}

/* One channel of one entry, channels first, in runs of at most STEPS steps that are kept.
 * at: the next step, stage: those that were kept, number: their sum or the largest. */
static int REAL_NAME(pool_first)(void* data, ptrdiff_t item, int slot,
                                 struct attn_progress* progress) {
    const struct REAL_NAME(pool)* work = data;
    const real* x = work->x + item * work->steps;
    const uint8_t* mask =
        work->mask == NULL ? NULL : work->mask + item / work->channels * work->steps;
    const int is_max = work->how == ATTN_POOL_MAX;
    ptrdiff_t looked = progress->at;
    (void)slot;
    if (progress->at == 0) {
        progress->number = is_max ? -INFINITY : 0;
    }
    while (progress->at < work->steps) {
        const ptrdiff_t step = progress->at, left = work->steps - step;
        const ptrdiff_t most = step + (left < STEPS ? left : STEPS);
        if (step - looked >= STEPS) {
            looked = step;
            if (attn_progress_must_pause(progress)) {
                return 0;
            }
        }
        ptrdiff_t end = mask == NULL ? most : step;
        while (end < most && mask != NULL && mask[end]) {
            end++;
        }
        if (end > step && !is_max) {
            progress->number += REAL_KERNELS->sum_row(end - step, x + step);
        } else if (end > step) {
            const double here = (double)REAL_KERNELS->max_row(end - step, x + step);
            const int larger = here > progress->number || here != here;
            progress->number = larger ? here : progress->number;
        }
        progress->stage += end - step;
        progress->at = end < most ? end + 1 : end; /* the one that ended the run is masked */
    }
    work->y[item] = (real)(is_max ? progress->number : progress->number / (double)progress->stage);
    return 1;
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
    attn_parallel_run_long(context, threads, items,
                           channels_first ? REAL_NAME(pool_first) : REAL_NAME(pool_last), &work);
}

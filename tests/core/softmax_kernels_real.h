/* More of test_attend_kernels.c in one precision: the softmax and functions of logits.
 * W = block_columns. u = UNIT. */

/* What exp(x) may be off by, where x is a difference of logits, rounded, times a scale,
 * rounded: u for each of these relative to x, and of exp itself two units in the last
 * place, 4 u; and what is below the normal range may be 0. */
static long double REAL_NAME(slack)(long double x) {
    const long double of_itself = x > -1000 ? (4 + 2 * fabsl(x)) * UNIT * expl(x) : 0;
    return of_itself + 2 * (long double)SMALLEST;
}

enum { REAL_NAME(HIDDEN), REAL_NAME(SOME_HIDDEN), REAL_NAME(EQUAL), REAL_NAME(FAR_APART),
       REAL_NAME(WITH_NAN), REAL_NAME(WITH_INF), REAL_NAME(KINDS) = 8 };

/* logits (keys x W) of a kind for every lane; the kinds above KINDS are ordinary */
static void REAL_NAME(fill)(ptrdiff_t keys, int ordinary, real scale, real* logits) {
    const ptrdiff_t width = REAL_KERNELS->block_columns;
    for (ptrdiff_t at = 0; at < keys * width; at++) {
        const ptrdiff_t j = at / width, lane = at % width;
        const int kind = ordinary ? REAL_NAME(KINDS) : (int)(lane % REAL_NAME(KINDS));
        real x = (real)(4 * dice_unit(&dice) - 2) / scale;
        if (kind == REAL_NAME(HIDDEN) || (kind == REAL_NAME(SOME_HIDDEN) && dice_below(&dice, 2))) {
            x = -REAL_INFINITY;
        } else if (kind == REAL_NAME(EQUAL)) {
            x = (real)3 / scale;
        } else if (kind == REAL_NAME(FAR_APART)) {
            x *= 500;
        } else if (kind == REAL_NAME(WITH_NAN) && j == keys / 2) {
            x = (real)NAN;
        } else if (kind == REAL_NAME(WITH_INF) && j == keys / 2) {
            x = REAL_INFINITY;
        }
        logits[at] = x;
    }
}

/* one lane before and after a step of the softmax */
struct REAL_NAME(lane) {
    real old_max, old_sum, max, sum, rescale;
    const real *logits, *weights; /* W apart */
};

static int REAL_NAME(lane_is_right)(ptrdiff_t keys, real scale,
                                    const struct REAL_NAME(lane) * lane) {
    const ptrdiff_t width = REAL_KERNELS->block_columns;
    real largest = lane->old_max;
    int unclean = isnan(lane->old_sum), right = 1;
    for (ptrdiff_t j = 0; j < keys; j++) {
        const real x = lane->logits[j * width];
        if (!(x < REAL_INFINITY)) { /* shows in its weight and in the sum */
            unclean = 1;
            right &= isnan(lane->weights[j * width]);
        }
        largest = x > largest ? x : largest;
    }
    if (unclean) {
        return right && isnan(lane->sum);
    }
    const long double origin = largest == -REAL_INFINITY ? 0 : (long double)largest;
    const long double factor = (long double)scale * ((long double)lane->old_max - origin);
    long double sum = (long double)lane->old_sum * expl(factor);
    long double slack = (long double)lane->old_sum * REAL_NAME(slack)(factor);
    right = lane->max == largest &&
            fabsl((long double)lane->rescale - expl(factor)) <= REAL_NAME(slack)(factor);
    for (ptrdiff_t j = 0; j < keys; j++) {
        const real weight = lane->weights[j * width], x = lane->logits[j * width];
        const long double wanted = (long double)scale * ((long double)x - origin);
        right &= fabsl((long double)weight - expl(wanted)) <= REAL_NAME(slack)(wanted);
        right &= x == -REAL_INFINITY ? weight == 0 : x < largest || weight == 1;
        sum += expl(wanted);
        slack += REAL_NAME(slack)(wanted);
    }
    slack += (long double)(keys + 2) * UNIT * sum;
    return right && fabsl((long double)lane->sum - sum) <= slack;
}

/* Five steps from nothing. Ordinary logits: those of the second are below the
 * maximum of the first, those of the third above in one lane; there the fourth
 * ends with a NaN, which may become the maximum, and then the fifth rescales by it. */
static void REAL_NAME(softmax_steps)(ptrdiff_t keys, real scale, int ordinary) {
    const ptrdiff_t width = REAL_KERNELS->block_columns, size = keys * width;
    real *max = REAL_NAME(blank)(ROW_MAX, width), *sum = REAL_NAME(blank)(ROW_SUM, width);
    real *rescale = REAL_NAME(blank)(FACTOR, width), *logits = REAL_NAME(blank)(LOGITS, size);
    real *before = REAL_NAME(draw)(QUERY, size), old_max[MOST_ROWS], old_sum[MOST_ROWS];
    for (int i = 0; i < width; i++) {
        max[i] = -REAL_INFINITY;
        sum[i] = 0;
    }
    for (int step = 0; step < 5; step++) {
        REAL_NAME(fill)(keys, ordinary, scale, before);
        for (ptrdiff_t at = 0; ordinary && step > 0 && at < size; at++) {
            before[at] += (step == 2 && at == width / 2 ? 10 : -10) / scale;
        }
        if (ordinary && step == 3) {
            before[size - width + width / 2] = (real)NAN;
        }
        memcpy(logits, before, (size_t)size * sizeof(real));
        memcpy(old_max, max, (size_t)width * sizeof(real));
        memcpy(old_sum, sum, (size_t)width * sizeof(real));
        const int told = REAL_KERNELS->softmax_step(keys, scale, logits, max, sum, rescale);
        int right = 1, rescaled = 0;
        for (ptrdiff_t i = 0; i < width; i++) {
            const struct REAL_NAME(lane) lane = {old_max[i], old_sum[i], max[i], sum[i],
                                                 rescale[i], before + i, logits + i};
            right &= REAL_NAME(lane_is_right)(keys, scale, &lane);
            rescaled += rescale[i] != 1;
        }
        CHECK(right, "%s: softmax_step of %td keys is wrong", REAL_NAME(set)(), keys);
        CHECK(!told == !rescaled &&
                  (!ordinary || step > 2 || rescaled == (step == 0 ? width : step == 2)),
              "%s: softmax_step says %d, rescales %d lanes", REAL_NAME(set)(), told, rescaled);
    }
    CHECK(REAL_NAME(canaries_hold)(logits + size) && REAL_NAME(canaries_hold)(max + width) &&
              REAL_NAME(canaries_hold)(sum + width) && REAL_NAME(canaries_hold)(rescale + width),
          "%s: softmax_step of %td keys writes too far", REAL_NAME(set)(), keys);
}

static void REAL_NAME(softmax_end)(ptrdiff_t keys, real scale) {
    const ptrdiff_t width = REAL_KERNELS->block_columns, size = keys * width;
    real *logits = REAL_NAME(blank)(LOGITS, size), *before = REAL_NAME(draw)(QUERY, size);
    real *max = REAL_NAME(draw)(ROW_MAX, width), *sum = REAL_NAME(draw)(ROW_SUM, width);
    REAL_NAME(fill)(keys, 1, scale, before);
    for (ptrdiff_t i = 0; i < width; i++) {
        max[i] = 2 / scale;
        sum[i] = 1 + sum[i] / 2;
        before[i] = i % 2 ? -REAL_INFINITY : before[i];
    }
    memcpy(logits, before, (size_t)size * sizeof(real));
    REAL_KERNELS->softmax_finish(keys, scale, logits, max, sum);
    int right = 1;
    for (ptrdiff_t at = 0; at < size; at++) {
        const long double divisor = (long double)sum[at % width];
        const long double x =
            (long double)scale * ((long double)before[at] - (long double)max[at % width]);
        right &= before[at] == -REAL_INFINITY
                     ? logits[at] == 0
                     : fabsl((long double)logits[at] - expl(x) / divisor) <=
                           (REAL_NAME(slack)(x) + UNIT * expl(x)) / divisor;
    }
    CHECK(right && REAL_NAME(canaries_hold)(logits + size),
          "%s: softmax_finish of %td keys is wrong", REAL_NAME(set)(), keys);
}

/* by one factor for every lane: exact, for zeros and NaN, too */
static void REAL_NAME(lanes_by)(ptrdiff_t rows) {
    const ptrdiff_t width = REAL_KERNELS->block_columns, size = rows * width;
    real *before = REAL_NAME(draw)(QUERY, size), *by = REAL_NAME(draw)(FACTOR, width);
    real *scaled = REAL_NAME(blank)(OUTPUT, size), *divided = REAL_NAME(blank)(LOGITS, size);
    by[0] = 0;
    by[width - 1] = REAL_INFINITY;
    before[size / 2] = (real)NAN;
    memcpy(scaled, before, (size_t)size * sizeof(real));
    memcpy(divided, before, (size_t)size * sizeof(real));
    REAL_KERNELS->scale_lanes(rows, scaled, by);
    REAL_KERNELS->divide_lanes(rows, divided, by);
    int right = 1;
    for (ptrdiff_t at = 0; at < size; at++) {
        const real product = before[at] * by[at % width], ratio = before[at] / by[at % width];
        right &= isnan(product) ? isnan(scaled[at]) : REAL_NAME(same)(scaled[at], product);
        right &= isnan(ratio) ? isnan(divided[at]) : REAL_NAME(same)(divided[at], ratio);
    }
    CHECK(right && REAL_NAME(canaries_hold)(scaled + size) &&
              REAL_NAME(canaries_hold)(divided + size),
          "%s: scale_lanes or divide_lanes of %td rows is wrong", REAL_NAME(set)(), rows);
}

/* tanh to three units in the last place, 6 u; exp to one and a quarter, with the
 * additions and divisions around them */
static void REAL_NAME(element_by_element)(ptrdiff_t count) {
    const real cap = (real)0.7;
    const real *x = REAL_NAME(draw)(QUERY, count), *gate = REAL_NAME(draw)(PACKED, count);
    real *capped = REAL_NAME(blank)(OUTPUT, count), *gated = REAL_NAME(blank)(LOGITS, count);
    memcpy(capped, x, (size_t)count * sizeof(real));
    memcpy(gated, x, (size_t)count * sizeof(real));
    REAL_KERNELS->soft_cap(count, capped, cap);
    REAL_KERNELS->sigmoid_gate(count, gated, gate);
    int right = 1;
    for (ptrdiff_t i = 0; i < count; i++) {
        const long double a = (long double)cap * tanhl((long double)x[i] / (long double)cap);
        const long double b = (long double)x[i] / (1 + expl(-(long double)gate[i]));
        right &= fabsl((long double)capped[i] - a) <= 9 * UNIT * fabsl(a);
        right &= fabsl((long double)gated[i] - b) <= 6 * UNIT * fabsl(b);
    }
    CHECK(right && REAL_NAME(canaries_hold)(capped + count) &&
              REAL_NAME(canaries_hold)(gated + count),
          "%s: soft_cap or sigmoid_gate of %td is wrong", REAL_NAME(set)(), count);
}

static void REAL_NAME(all)(void) {
    const struct REAL_NAME(attn_kernels)* kernels = REAL_KERNELS;
    const int some[] = {1, 2, kernels->block_rows + 1, kernels->tile_keys};
    const real scales[] = {1, (real)0.125, (real)0.001, 4};
    if (kernels->tile_keys > MOST_ROWS || kernels->block_columns > MOST_ROWS) {
        CHECK(0, "%s: tiles of %d keys want a greater MOST_ROWS", REAL_NAME(set)(),
              kernels->tile_keys);
        return;
    }
    REAL_NAME(packs_lanes)("pack_query_panel", kernels->block_columns, kernels->pack_query_panel);
    REAL_NAME(packs_lanes)("pack_key_block", kernels->block_rows, kernels->pack_key_block);
    REAL_NAME(packs_values)();
    REAL_NAME(unpacks)();
    REAL_NAME(multiplies)();
    for (int i = 0; i < 4 * 4; i++) {
        REAL_NAME(softmax_steps)(some[i / 4], scales[i % 4], 0);
        REAL_NAME(softmax_steps)(some[i / 4], scales[i % 4], 1);
        REAL_NAME(softmax_end)(some[i / 4], scales[i % 4]);
    }
    for (ptrdiff_t rows = 1; rows <= MOST_DIMS; rows++) {
        REAL_NAME(lanes_by)(rows);
        REAL_NAME(element_by_element)(rows);
    }
}

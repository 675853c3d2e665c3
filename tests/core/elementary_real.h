/* The tests of test_elementary.c in one precision: `real` is the kernel's, `wide` the
 * one that judges it. */

static double REAL_NAME(ulps)(real got, wide wanted) {
    int exponent;
    WIDE(frexp)(wanted, &exponent);
    return (double)(WIDE(fabs)((wide)got - wanted) / WIDE(ldexp)(1, exponent - MANTISSA));
}

static void REAL_NAME(exp_and_tanh)(void) {
    struct dice dice = {1};
    double worst_exp = 0, worst_tanh = 0;
    for (int i = 0; i < 400000; i++) {
        real x = (real)(-EXP_LEAST * dice_unit(&dice)), y;
        if (i % 2) {
            x = -(real)pow(10, -(MANTISSA == 24 ? 38 : 300) + (MANTISSA == 24 ? 39 : 302) *
                                                                  dice_unit(&dice));
        }
        KERNELS->exponential(1, &x, &y);
        worst_exp = fmax(worst_exp, REAL_NAME(ulps)(y, WIDE(exp)((wide)x)));
        x = (real)((i % 3 ? MANTISSA : 1) * (dice_unit(&dice) - 0.5));
        KERNELS->hyperbolic_tangent(1, &x, &y);
        worst_tanh = fmax(worst_tanh, REAL_NAME(ulps)(y, WIDE(tanh)((wide)x)));
    }
    printf("%-8s float%d: exp %.2f ulp, tanh %.2f ulp\n", KERNELS->isa, REAL_BITS, worst_exp,
           worst_tanh);
    CHECK(worst_exp <= EXP_ULPS, "%s exp, %d: %.2f ulp", KERNELS->isa, REAL_BITS, worst_exp);
    CHECK(worst_tanh <= TANH_ULPS, "%s tanh, %d: %.2f ulp", KERNELS->isa, REAL_BITS, worst_tanh);
}

static void REAL_NAME(special_values)(void) {
    const real large = REAL_LARGEST / 100;
    const real x[] = {-REAL_INFINITY, (real)NAN, 0, (real)-0.0, large, -large};
    real e[6], t[6];
    KERNELS->exponential(6, x, e);
    KERNELS->hyperbolic_tangent(6, x, t);
    CHECK(e[0] == 0 && isnan(e[1]) && e[2] == 1 && e[3] == 1 && e[5] == 0,
          "exp of special values, %d", REAL_BITS);
    CHECK(t[0] == -1 && isnan(t[1]) && t[2] == 0 && signbit(t[3]) && t[4] == 1 && t[5] == -1,
          "tanh of special values, %d", REAL_BITS);
}

/* ---- exp(scale * x), x <= 0 ---- */

enum { REAL_NAME(SCALES) = 6 };
static real REAL_NAME(scale)(int i) {
    const double scales[REAL_NAME(SCALES)] = {1, 0.125, 0.17677669529663687, 3, 0x1p-100, 0x1p100};
    return (real)scales[i % REAL_NAME(SCALES)];
}

static void REAL_NAME(exponential_negative)(void) {
    enum { LENGTH = 1001 };
    real x[LENGTH], y[LENGTH];
    double worst = 0;
    struct dice dice = {4};
    for (int round = 0; round < 300; round++) {
        const real scale = REAL_NAME(scale)(round);
        for (int i = 0; i < LENGTH; i++) {
            /* within the range of results, evenly, and close to 0 */
            const double product = dice_below(&dice, 2) ? -EXP_LEAST * dice_unit(&dice)
                                                        : -pow(10, 1 - 38 * dice_unit(&dice));
            x[i] = (real)(product / (double)scale);
        }
        KERNELS->exponential_negative(LENGTH, scale, x, y);
        for (int i = 0; i < LENGTH; i++) {
            worst = fmax(worst, REAL_NAME(ulps)(y[i], WIDE(exp)((wide)scale * (wide)x[i])));
        }
    }
    printf("%-8s float%d: exp(scale * x) %.2f ulp\n", KERNELS->isa, REAL_BITS, worst);
    CHECK(worst <= exp_negative_ulps(), "%s exp(scale * x), %d: %.2f ulp", KERNELS->isa, REAL_BITS,
          worst);
}

/* what the softmax counts on: 1 at the maximum, nothing subnormal, 0 for a hidden
 * key under any scale, and a NaN that shows */
static void REAL_NAME(exponential_negative_at_its_ends)(void) {
    for (int i = 0; i < REAL_NAME(SCALES); i++) {
        const real scale = REAL_NAME(scale)(i);
        const real x[] = {0, (real)-0.0, -REAL_INFINITY, (real)NAN, -REAL_LARGEST,
                          (real)-EXP_ZERO / scale};
        real y[6];
        KERNELS->exponential_negative(6, scale, x, y);
        CHECK(y[0] == 1 && y[1] == 1 && y[2] == 0 && isnan(y[3]) && y[4] == 0 && y[5] == 0,
              "exp(%g * x), %d: %g %g %g %g %g %g", (double)scale, REAL_BITS, (double)y[0],
              (double)y[1], (double)y[2], (double)y[3], (double)y[4], (double)y[5]);
    }
}

/* ---- sums of tanh(inner * (query + key)) ---- */

enum { REAL_NAME(MOST_DEPTH) = 7, REAL_NAME(MOST_LANES) = 64, REAL_NAME(KEYS) = 29 };
enum { REAL_NAME(QUERY_PART) = REAL_NAME(MOST_DEPTH) * REAL_NAME(MOST_LANES) };
enum { REAL_NAME(KEY_PART) = REAL_NAME(MOST_DEPTH) * REAL_NAME(KEYS) };

/* queries (depth x lanes) and keys (depth x KEYS) with their parts, and the logits */
struct REAL_NAME(sums) {
    ptrdiff_t depth;
    real inner, outer;
    const real* weight;
    real query[3 * REAL_NAME(QUERY_PART)], key[3 * REAL_NAME(KEY_PART)];
    real logits[REAL_NAME(KEYS) * REAL_NAME(MOST_LANES)];
};

static void REAL_NAME(compute_sums)(struct REAL_NAME(sums) * sums) {
    const ptrdiff_t lanes = KERNELS->block_columns;
    KERNELS->tanh_parts(sums->depth * lanes, sums->inner, sums->query, REAL_NAME(QUERY_PART));
    KERNELS->tanh_parts(sums->depth * REAL_NAME(KEYS), sums->inner, sums->key,
                        REAL_NAME(KEY_PART));
    KERNELS->tanh_logits(REAL_NAME(KEYS), sums->depth, sums->key, REAL_NAME(KEYS),
                         REAL_NAME(KEY_PART), sums->query, REAL_NAME(QUERY_PART), sums->weight,
                         sums->inner, sums->outer, sums->logits);
}

static real REAL_NAME(signed_magnitude)(struct dice* dice, double least, double most) {
    const double size = most * pow(least / most, dice_unit(dice));
    return (real)(dice_below(dice, 2) ? size : -size);
}

/* One term, so that nothing hides its error: up to the largest inputs that have
 * parts, and beyond. Where query and key cancel, the rounding of the parts remains. */
static void REAL_NAME(tanh_of_sums)(void) {
    static struct REAL_NAME(sums) sums;
    struct dice dice = {5};
    const double inners[] = {1, 0.3, -2, 1e-20};
    double worst = 0, worst_cancelled = 0;
    for (int round = 0; round < 1000; round++) {
        const double most = (round % 5 ? TANH_SUM_MOST : 3 * TANH_SUM_MOST) / fabs(inners[round % 4]);
        const double least = most * (round % 3 ? 1e-3 : 1e-8);
        sums.depth = 1;
        sums.inner = (real)inners[round % 4];
        sums.outer = 1;
        for (ptrdiff_t j = 0; j < REAL_NAME(KEYS); j++) {
            sums.key[j] = REAL_NAME(signed_magnitude)(&dice, least, most);
        }
        for (ptrdiff_t i = 0; i < KERNELS->block_columns; i++) {
            const real opposite = -sums.key[i % REAL_NAME(KEYS)];
            sums.query[i] = round % 2 ? REAL_NAME(signed_magnitude)(&dice, least, most)
                                      : opposite * (real)(1 + 1e-4 * (double)i);
        }
        REAL_NAME(compute_sums)(&sums);
        for (ptrdiff_t at = 0; at < REAL_NAME(KEYS) * KERNELS->block_columns; at++) {
            const wide query = (wide)sums.query[at % KERNELS->block_columns];
            const wide key = (wide)sums.key[at / KERNELS->block_columns];
            const wide wanted = WIDE(tanh)((wide)sums.inner * (query + key));
            const wide larger = WIDE(fabs)(WIDE(fabs)(query) > WIDE(fabs)(key) ? query : key);
            if (WIDE(fabs)(query + key) > larger / 8) {
                worst = fmax(worst, REAL_NAME(ulps)(sums.logits[at], wanted));
            } else {
                /* 4 u of the result and u / 16 of the inputs, u where these are tiny */
                const wide input = WIDE(fabs)((wide)sums.inner) * larger;
                const wide bound =
                    4 * WIDE(fabs)(wanted) +
                    input * (input < WIDE(ldexp)(1, 8 - MANTISSA) ? 1 : (wide)(1. / 16));
                const wide error = WIDE(fabs)((wide)sums.logits[at] - wanted);
                worst_cancelled = fmax(worst_cancelled,
                                       (double)(error / bound * WIDE(ldexp)(1, MANTISSA)));
            }
        }
    }
    printf("%-8s float%d: tanh(query + key) %.2f ulp; cancelled, %.2f of the bound\n",
           KERNELS->isa, REAL_BITS, worst, worst_cancelled);
    CHECK(worst <= tanh_sum_ulps(), "%s tanh of sums, %d: %.2f ulp", KERNELS->isa, REAL_BITS,
          worst);
    CHECK(worst_cancelled <= 1, "%s tanh of sums that cancel, %d: %.2f of the bound",
          KERNELS->isa, REAL_BITS, worst_cancelled);
}

/* several terms, with and without weights */
static void REAL_NAME(weighted_sums)(void) {
    static struct REAL_NAME(sums) sums;
    struct dice dice = {6};
    real weight[REAL_NAME(MOST_DEPTH)];
    double worst = 0;
    for (int round = 0; round < 200; round++) {
        const ptrdiff_t lanes = KERNELS->block_columns;
        sums.depth = 1 + dice_below(&dice, REAL_NAME(MOST_DEPTH));
        sums.inner = (real)0.7;
        sums.outer = (real)-1.3;
        sums.weight = round % 2 ? weight : NULL;
        for (ptrdiff_t d = 0; d < sums.depth; d++) {
            weight[d] = (real)dice_normal(&dice);
        }
        for (ptrdiff_t i = 0; i < sums.depth * lanes; i++) {
            sums.query[i] = (real)dice_normal(&dice);
        }
        for (ptrdiff_t i = 0; i < sums.depth * REAL_NAME(KEYS); i++) {
            sums.key[i] = (real)dice_normal(&dice);
        }
        REAL_NAME(compute_sums)(&sums);
        for (ptrdiff_t at = 0; at < REAL_NAME(KEYS) * lanes; at++) {
            wide wanted = 0, size = 0;
            for (ptrdiff_t d = 0; d < sums.depth; d++) {
                const wide both = (wide)sums.query[d * lanes + at % lanes] +
                                  (wide)sums.key[d * REAL_NAME(KEYS) + at / lanes];
                const wide term = (wide)sums.outer * (round % 2 ? (wide)weight[d] : 1) *
                                  WIDE(tanh)((wide)sums.inner * both);
                wanted += term;
                size += WIDE(fabs)(term) + (wide)(1. / 64);
            }
            const wide error = WIDE(fabs)((wide)sums.logits[at] - wanted);
            worst = fmax(worst, (double)(error / size * WIDE(ldexp)(1, MANTISSA)));
        }
    }
    CHECK(worst <= tanh_sum_ulps() + 1, "%s sums of tanh, %d: %.2f roundings of their terms",
          KERNELS->isa, REAL_BITS, worst);
}

/* A query or key beyond the range of the parts, or NaN, touches its own logits only,
 * and these are tanh nonetheless. */
static void REAL_NAME(sums_of_large_numbers)(void) {
    static struct REAL_NAME(sums) plain, spoilt;
    struct dice dice = {7};
    const ptrdiff_t lanes = KERNELS->block_columns, odd_lane = lanes - 1;
    plain.depth = 2;
    plain.inner = 1;
    plain.outer = 1;
    for (ptrdiff_t i = 0; i < 2 * lanes; i++) {
        plain.query[i] = (real)dice_normal(&dice);
    }
    for (ptrdiff_t i = 0; i < 2 * REAL_NAME(KEYS); i++) {
        plain.key[i] = (real)dice_normal(&dice);
    }
    spoilt = plain;
    spoilt.query[odd_lane] = (real)1e6;
    spoilt.key[REAL_NAME(KEYS) + 3] = (real)-1e6;
    spoilt.key[5] = (real)NAN;
    spoilt.key[6] = REAL_INFINITY;
    REAL_NAME(compute_sums)(&plain);
    REAL_NAME(compute_sums)(&spoilt);
    int same = 1;
    for (ptrdiff_t at = 0; at < REAL_NAME(KEYS) * lanes; at++) {
        const ptrdiff_t i = at % lanes, j = at / lanes;
        if (i != odd_lane && j != 3 && j != 5 && j != 6) {
            same = same && plain.logits[at] == spoilt.logits[at];
        }
    }
    CHECK(same, "%s: a large number changes other logits, %d", KERNELS->isa, REAL_BITS);
    const real at_both = spoilt.logits[3 * lanes + odd_lane];
    CHECK(at_both == 0, "%s: tanh(1e6 + x) + tanh(y - 1e6) is %g", KERNELS->isa, (double)at_both);
    const wide first = WIDE(tanh)((wide)spoilt.query[0] + (wide)spoilt.key[3]) - 1;
    CHECK(WIDE(fabs)((wide)spoilt.logits[3 * lanes] - first) <= WIDE(ldexp)(4, -MANTISSA),
          "%s: tanh(y - 1e6) + tanh(x) is %g", KERNELS->isa, (double)spoilt.logits[3 * lanes]);
    CHECK(isnan(spoilt.logits[5 * lanes]), "%s: a NaN is lost, %d", KERNELS->isa, REAL_BITS);
    const wide second =
        WIDE(tanh)((wide)spoilt.query[lanes] + (wide)spoilt.key[REAL_NAME(KEYS) + 6]) + 1;
    CHECK(WIDE(fabs)((wide)spoilt.logits[6 * lanes] - second) <= WIDE(ldexp)(4, -MANTISSA),
          "%s: tanh(Inf) + tanh(x) is %g", KERNELS->isa, (double)spoilt.logits[6 * lanes]);
}

static void REAL_NAME(elementary)(void) {
    REAL_NAME(exp_and_tanh)();
    REAL_NAME(special_values)();
    REAL_NAME(exponential_negative)();
    REAL_NAME(exponential_negative_at_its_ends)();
    REAL_NAME(tanh_of_sums)();
    REAL_NAME(weighted_sums)();
    REAL_NAME(sums_of_large_numbers)();
}

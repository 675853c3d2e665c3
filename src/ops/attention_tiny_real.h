/* Values so small that their sums lose digits. Included by attention_real.h.
 *
 * A sum of denormal products is rounded to a whole smallest number at every key. Where
 * all values of a head are that small, a panel's sums are taken once more of the values
 * times a power of two, which the mean is divided by: one rounding in all. From TINY on
 * no sum of fewer than 2^24 keys can lose as much as the last digit of a value. */

static const real REAL_NAME(TINY) = (real)(REAL_BITS == 32 ? 0x1p-100 : 0x1p-1000);
static const real REAL_NAME(TINY_FACTOR) = (real)(REAL_BITS == 32 ? 0x1p100 : 0x1p1000);

static int REAL_NAME(is_small)(real x) {
    return x < REAL_NAME(TINY) && x > -REAL_NAME(TINY);
}

/* Whether all finite values of the panel's head are below TINY, and some is not 0. */
static int REAL_NAME(has_tiny_values)(const struct REAL_NAME(attend) * attend,
                                      const struct REAL_NAME(panel) * panel) {
    const struct attn_attention* p = attend->problem;
    const ptrdiff_t height = REAL_KERNELS->tile_keys;
    const real* tiles =
        attend->values + panel->matrix * attend->key_tiles * attend->value_tile_size;
    int some = 0;
    for (ptrdiff_t v = 0; v < p->value_dim; v++) {
        for (ptrdiff_t s = 0; s < p->source; s++) {
            const real x = tiles[s / height * attend->value_tile_size +
                                 REAL_NAME(value_place)(s % height, v)];
            if (!REAL_NAME(is_small)(x) && x - x == 0) {
                return 0;
            }
            some |= REAL_NAME(is_small)(x) && x != 0;
        }
    }
    return some;
}

/* Most panels are told by their first number. */
static int REAL_NAME(is_tiny)(const struct REAL_NAME(attend) * attend,
                              const struct REAL_NAME(panel) * panel) {
    const ptrdiff_t numbers = attend->problem->value_dim * REAL_KERNELS->block_columns;
    for (ptrdiff_t i = 0; i < numbers; i++) {
        if (!REAL_NAME(is_small)(panel->output[i]) && panel->output[i] == panel->output[i]) {
            return 0;
        }
    }
    return REAL_NAME(has_tiny_values)(attend, panel);
}

/* Sums the panel again if its values are tiny. Returns whether it has its sums; `number` of
 * its progress is the factor, for when its ending is gone on with in another slice. */
static int REAL_NAME(sum_tiny)(const struct REAL_NAME(attend) * attend,
                               struct REAL_NAME(panel) * panel, ptrdiff_t* ending,
                               struct attn_progress* progress) {
    if (*ending == LOOK_TINY) {
        const int tiny = REAL_NAME(is_tiny)(attend, panel);
        progress->number = tiny ? (double)REAL_NAME(TINY_FACTOR) : 1;
        *ending = tiny ? SUM_TINY : FIND_DEAD;
        if (tiny) {
            REAL_NAME(begin_sums)(attend, panel);
        }
    }
    panel->value_factor = (real)progress->number;
    if (*ending == SUM_TINY) {
        if (!REAL_NAME(add_tiles)(attend, 1, panel, progress)) {
            return 0;
        }
        *ending = FIND_DEAD;
        progress->at = 0;
    }
    return 1;
}

/* Embedding, masks, pooling, convolution, positions, dropout, against plain loops. */
#include "activations.h"
#include "conv1d.h"
#include "embedding.h"
#include "pooling.h"
#include "position.h"
#include "tensor_dropout.h"
#include "tensors.h"

typedef long double wide;

static const struct attn_activation linear = {ATTN_LINEAR, {0}};

/* ---- rows by number, masks ------------------------------------------------------------- */

static void embedding(enum attn_dtype dtype) {
    enum { ROWS = 11, COLUMNS = 7, COUNT = 40 };
    const struct attn_context context = context_new(2);
    struct dice dice = {81};
    struct tensor table = tensor_normal(&dice, dtype, ROWS * COLUMNS);
    struct tensor y = tensor_new(dtype, COUNT * COLUMNS);
    int32_t id[COUNT];
    uint8_t mask[COUNT];
    ptrdiff_t wrong = -1;
    for (int i = 0; i < COUNT; i++) {
        id[i] = dice_below(&dice, ROWS);
    }
    CHECK(attn_embedding(&context, dtype, COUNT, id, ROWS, COLUMNS, table.data, y.data, &wrong) ==
              ATTN_OK,
          "embedding");
    attn_mask_zero(&attn_context_alone, COUNT, id, mask);
    for (int i = 0; i < COUNT * COLUMNS; i++) {
        CHECK(tensor_get(&y, i) == tensor_get(&table, id[i / COLUMNS] * COLUMNS + i % COLUMNS) &&
                  mask[i / COLUMNS] == (id[i / COLUMNS] != 0),
              "row of the table");
    }
    const int32_t bad[] = {ROWS, -1, INT32_MAX, INT32_MIN};
    for (int i = 0; i < 4; i++) {
        const int32_t kept = id[3 + i];
        id[3 + i] = bad[i];
        CHECK(attn_embedding(&context, dtype, COUNT, id, ROWS, COLUMNS, table.data, y.data,
                             &wrong) == ATTN_BAD_INDEX &&
                  wrong == 3 + i,
              "id %d is taken, or not named (%td)", (int)bad[i], wrong);
        id[3 + i] = kept;
    }
    CHECK(tensor_end(&table) && tensor_end(&y), "embedding wrote behind its output");
}

static void masking(enum attn_dtype dtype) {
    enum { ROWS = 9, COLUMNS = 5 };
    const struct attn_context context = context_new(1);
    struct dice dice = {83};
    struct tensor x = tensor_normal(&dice, dtype, ROWS * COLUMNS), y = tensor_new(dtype, x.count);
    uint8_t mask[ROWS];
    for (int i = 0; i < COLUMNS; i++) {
        tensor_set(&x, 2 * COLUMNS + i, -1.5);
        tensor_set(&x, 5 * COLUMNS + i, i == 3 ? 0 : -1.5);
        tensor_set(&x, 6 * COLUMNS + i, i == 3 ? NAN : -1.5);
    }
    attn_masking(&context, dtype, ROWS, COLUMNS, x.data, -1.5, mask, y.data);
    for (int i = 0; i < ROWS * COLUMNS; i++) {
        const int row = i / COLUMNS, kept = row != 2;
        const double in = tensor_get(&x, i), out = tensor_get(&y, i);
        CHECK(mask[row] == kept && (kept ? out == in || (isnan(out) && isnan(in)) : out == 0),
              "masking");
    }
    CHECK(tensor_end(&x) && tensor_end(&y), "masking wrote behind its output");
}

/* ---- pooling ------------------------------------------------------------------------------ */

static void pool_case(struct dice* dice, enum attn_dtype dtype, ptrdiff_t steps, ptrdiff_t channels,
                      int first, int masked) {
    enum { BATCH = 3 };
    const struct attn_context context = context_new(2);
    const ptrdiff_t count = BATCH * steps * channels;
    struct tensor x = tensor_normal(dice, dtype, count);
    struct tensor mean = tensor_new(dtype, BATCH * channels), max = tensor_new(dtype, mean.count);
    uint8_t* mask = malloc((size_t)(BATCH * steps));
    for (ptrdiff_t i = 0; i < BATCH * steps; i++) {
        mask[i] = i < steps ? 0 : (uint8_t)dice_below(dice, 2);
    }
    mask[2 * steps] = 0;
    tensor_set(&x, 2 * steps * channels, NAN); /* of a masked step */
    const uint8_t* with = masked ? mask : NULL;
    attn_global_pool(&context, dtype, ATTN_POOL_AVERAGE, BATCH, steps, channels, first, x.data,
                     with, mean.data);
    attn_global_pool(&context, dtype, ATTN_POOL_MAX, BATCH, steps, channels, first, x.data, with,
                     max.data);
    for (ptrdiff_t i = 0; i < BATCH * channels; i++) {
        const ptrdiff_t b = i / channels, c = i % channels;
        wide sum = 0, size = 0, largest = -INFINITY, kept = 0;
        for (ptrdiff_t t = 0; t < steps; t++) {
            const ptrdiff_t at =
                first ? (b * channels + c) * steps + t : (b * steps + t) * channels + c;
            const wide number = (wide)tensor_get(&x, at);
            if (!masked || mask[b * steps + t]) {
                sum += number;
                size += fabsl(number);
                kept += 1;
                largest = number > largest || number != number ? number : largest;
            }
        }
        const wide wanted = sum / kept, got = (wide)tensor_get(&mean, i);
        const wide top = (wide)tensor_get(&max, i);
        CHECK(fabsl(got - wanted) <= 12 * (wide)unit_of(dtype) * size / kept ||
                  (isnan(got) && isnan(wanted)),
              "mean of %td steps, %td channels, first %d: %Lg, not %Lg", steps, channels, first,
              got, wanted);
        CHECK(top == largest || (isnan(top) && isnan(largest)), "maximum of %td steps", steps);
    }
    free(mask);
    CHECK(tensor_end(&x) && tensor_end(&mean) && tensor_end(&max), "pool wrote behind its output");
}

static void pooling(enum attn_dtype dtype) {
    static const int sizes[] = {1, 2, 5, 8, 17, 64, 65, 130, 300};
    struct dice dice = {87};
    for (int i = 0; i < 9; i++) {
        for (int way = 0; way < 4; way++) {
            pool_case(&dice, dtype, sizes[i], dice_one_of(&dice, sizes, 9), way / 2, way % 2);
        }
    }
}

/* ---- convolution ---------------------------------------------------------------------------- */

static void conv_case(struct dice* dice, enum attn_dtype dtype, const struct attn_conv1d* conv,
                      ptrdiff_t batch, ptrdiff_t T) {
    const struct attn_context context = context_new(2);
    const ptrdiff_t C = conv->channels / conv->groups, F = conv->filters / conv->groups;
    const ptrdiff_t spread = (conv->kernel_size - 1) * conv->dilation;
    ptrdiff_t steps, wanted_steps, left = 0;
    /* Keras's rules, spelt out: valid fits whole windows; same has ceil(T / stride) */
    if (conv->padding == ATTN_PAD_SAME) {
        wanted_steps = (T + conv->stride - 1) / conv->stride;
        const ptrdiff_t total = (wanted_steps - 1) * conv->stride + spread + 1 - T;
        left = total > 0 ? total / 2 : 0;
    } else {
        left = conv->padding == ATTN_PAD_CAUSAL ? spread : 0;
        wanted_steps = T + left - spread > 0 ? (T + left - spread - 1) / conv->stride + 1 : 0;
    }
    const enum attn_status status = attn_conv1d_steps(conv, T, &steps);
    CHECK((status == ATTN_OK) == (wanted_steps > 0) && steps == wanted_steps, "%td steps", steps);
    if (status != ATTN_OK) {
        return;
    }
    struct tensor x = tensor_normal(dice, dtype, batch * T * conv->channels);
    struct tensor kernel = tensor_normal(dice, dtype, conv->kernel_size * C * conv->filters);
    struct tensor bias = tensor_normal(dice, dtype, conv->filters);
    struct tensor y = tensor_new(dtype, batch * steps * conv->filters);
    const size_t bytes = attn_conv1d_packed_size(dtype, conv);
    void* packed = aligned_alloc(64, (bytes + 63) / 64 * 64);
    CHECK(attn_conv1d_pack(&context, dtype, conv, kernel.data, packed) == ATTN_OK, "pack");
    CHECK(attn_conv1d(&context, dtype, conv, batch, T, x.data, packed, bias.data, &linear,
                      y.data) == ATTN_OK,
          "convolution");
    double worst = 0;
    for (ptrdiff_t i = 0; i < y.count; i++) {
        const ptrdiff_t b = i / (steps * conv->filters), rest = i % (steps * conv->filters);
        const ptrdiff_t t = conv->channels_first ? rest % steps : rest / conv->filters;
        const ptrdiff_t f = conv->channels_first ? rest / steps : rest % conv->filters;
        wide sum = (wide)tensor_get(&bias, f), size = fabsl(sum);
        for (ptrdiff_t k = 0; k < conv->kernel_size; k++) {
            const ptrdiff_t at = t * conv->stride - left + k * conv->dilation;
            for (ptrdiff_t c = 0; c < C && at >= 0 && at < T; c++) {
                const ptrdiff_t channel = f / F * C + c;
                const ptrdiff_t from = conv->channels_first
                                           ? (b * conv->channels + channel) * T + at
                                           : (b * T + at) * conv->channels + channel;
                const wide term = (wide)tensor_get(&x, from) *
                                  (wide)tensor_get(&kernel, (k * C + c) * conv->filters + f);
                sum += term;
                size += fabsl(term);
            }
        }
        const wide error = fabsl((wide)tensor_get(&y, i) - sum);
        const double part = error == 0 ? 0 : (double)(error / size) / unit_of(dtype);
        worst = !(part <= worst) ? part : worst;
    }
    CHECK(worst <= 12, "convolution of %td, groups %td, stride %td, dilation %td: %g units",
          conv->kernel_size, conv->groups, conv->stride, conv->dilation, worst);
    free(packed);
    CHECK(tensor_end(&x) && tensor_end(&kernel) && tensor_end(&bias) && tensor_end(&y),
          "convolution wrote behind its output");
}

static void convolutions(enum attn_dtype dtype) {
    struct dice dice = {89};
    for (int i = 0; i < 120; i++) {
        const ptrdiff_t groups = 1 + dice_below(&dice, 3);
        const struct attn_conv1d conv = {groups * (1 + dice_below(&dice, 5)),
                                         groups * (1 + dice_below(&dice, 9)),
                                         1 + dice_below(&dice, 5),
                                         1 + dice_below(&dice, 3),
                                         1 + dice_below(&dice, 3),
                                         groups,
                                         (enum attn_padding)(i % 3),
                                         i % 4 == 0};
        conv_case(&dice, dtype, &conv, 1 + dice_below(&dice, 3), 1 + dice_below(&dice, 20));
    }
    /* more windows than are laid out at a time */
    const struct attn_conv1d wide_window = {96, 5, 40, 1, 1, 1, ATTN_PAD_SAME, 0};
    conv_case(&dice, dtype, &wide_window, 2, 200);
    const struct attn_conv1d bad[] = {{6, 4, 3, 1, 1, 4, ATTN_PAD_SAME, 0},
                                      {4, 6, 3, 1, 1, 4, ATTN_PAD_SAME, 0},
                                      {4, 4, 0, 1, 1, 1, ATTN_PAD_SAME, 0},
                                      {4, 4, 3, 0, 1, 1, ATTN_PAD_SAME, 0},
                                      {4, 4, 3, 1, 0, 1, ATTN_PAD_SAME, 0},
                                      {4, 4, 9, 1, 1, 1, ATTN_PAD_VALID, 0}};
    ptrdiff_t steps;
    for (int i = 0; i < 6; i++) {
        CHECK(attn_conv1d_steps(&bad[i], 8, &steps) == ATTN_BAD_LENGTH, "bad convolution %d", i);
    }
}

/* ---- positions --------------------------------------------------------------------------- */

/* The exact formula. The angle has a unit of its own size from each of its factors, the
 * power two more. */
static void sine_positions(enum attn_dtype dtype) {
    static const int sizes[][3] = {{7, 6, 0}, {40, 9, 0}, {3, 16, 1000}};
    for (int i = 0; i < 3; i++) {
        const ptrdiff_t T = sizes[i][0], D = sizes[i][1], start = sizes[i][2];
        struct tensor table = tensor_new(dtype, T * D);
        attn_sine_positions(&attn_context_alone, dtype, T, D, start, 10000, table.data);
        for (ptrdiff_t n = 0; n < T * D; n++) {
            const ptrdiff_t t = n / D, d = n % D;
            const wide power = (wide)(2 * (d / 2)) / (wide)D;
            const wide angle = (wide)(start + t) * powl(10000, -power);
            const wide wanted = d % 2 ? cosl(angle) : sinl(angle);
            const wide unit = (wide)unit_of(dtype);
            /* the power's own error: its exponent times log(10000) */
            CHECK(fabsl((wide)tensor_get(&table, n) - wanted) <=
                      unit * (1 + angle * (4 + power * logl(10000) * 2)),
                  "sine position %td, %td", start + t, d);
        }
        CHECK(tensor_end(&table), "positions were written behind the table");
    }
    /* a known row: Vaswani et al. 2017, section 3.5, position 1 of 4 dims */
    struct tensor table = tensor_new(dtype, 8);
    attn_sine_positions(&attn_context_alone, dtype, 2, 4, 0, 10000, table.data);
    const double known[8] = {0, 1, 0, 1, 0.8414709848078965, 0.5403023058681398,
                             0.009999833334166664, 0.9999500004166653};
    for (int i = 0; i < 8; i++) {
        CHECK(fabs(tensor_get(&table, i) - known[i]) <= 4 * unit_of(dtype), "known position %d", i);
    }
    CHECK(tensor_end(&table), "positions were written behind the table");
}

static void learned_positions(void) {
    const float weights[5 * 3] = {0};
    const void* table = NULL;
    CHECK(attn_learned_positions(ATTN_FLOAT32, 2, 3, 3, 5, weights, &table) == ATTN_OK &&
              table == weights + 9,
          "rows 3 and 4");
    CHECK(attn_learned_positions(ATTN_FLOAT32, 3, 3, 3, 5, weights, &table) == ATTN_BAD_INDEX &&
              attn_learned_positions(ATTN_FLOAT32, 6, 3, 0, 5, weights, &table) == ATTN_BAD_INDEX &&
              attn_learned_positions(ATTN_FLOAT32, 1, 3, -1, 5, weights, &table) == ATTN_BAD_INDEX,
          "rows that are not there");
}

static void rotary_case(struct dice* dice, enum attn_dtype dtype, int rank, const ptrdiff_t* dim,
                        int sequence, int feature, const double* positions) {
    const struct attn_context context = context_new(2);
    const ptrdiff_t T = dim[sequence], F = dim[feature], half = F / 2;
    const struct attn_rotary rotary = {10000, 2, T, F, 5, positions};
    ptrdiff_t count = 1, step[ATTN_MAX_RANK];
    for (int axis = rank - 1; axis >= 0; axis--) {
        step[axis] = count;
        count *= dim[axis];
    }
    struct tensor x = tensor_normal(dice, dtype, count), y = tensor_new(dtype, count);
    struct tensor cosine = tensor_new(dtype, T * half), sine = tensor_new(dtype, T * half);
    CHECK(attn_rotary_tables(&attn_context_alone, dtype, &rotary, cosine.data, sine.data) == ATTN_OK, "tables");
    CHECK(attn_rotate(&context, dtype, rank, dim, sequence, feature, cosine.data, sine.data,
                      x.data, y.data) == ATTN_OK,
          "rotate");
    for (ptrdiff_t i = 0; i < count; i++) {
        const ptrdiff_t t = i / step[sequence] % T, f = i / step[feature] % F, pair = f % half;
        const wide position = positions == NULL ? (wide)(t + 5) : (wide)positions[t];
        const wide angle = position / 2 * powl(10000, -(wide)(2 * pair) / (wide)F);
        const ptrdiff_t partner = f < half ? i + half * step[feature] : i - half * step[feature];
        const wide own = (wide)tensor_get(&x, i), other = (wide)tensor_get(&x, partner);
        const wide wanted = own * cosl(angle) + (f < half ? -other : other) * sinl(angle);
        /* angles are float32 in both precisions */
        const wide allowed = 0x1p-24L * (1 + 12 * fabsl(angle)) + 4 * (wide)unit_of(dtype);
        CHECK(fabsl((wide)tensor_get(&y, i) - wanted) <= allowed * (fabsl(own) + fabsl(other)),
              "rotary %td, %td", t, f);
    }
    attn_rotate(&context, dtype, rank, dim, sequence, feature, cosine.data, sine.data, x.data,
                x.data);
    CHECK(memcmp(x.data, y.data, tensor_bytes(&x)) == 0, "rotated in place it is another result");
    CHECK(tensor_end(&x) && tensor_end(&y) && tensor_end(&cosine) && tensor_end(&sine),
          "rotate wrote behind its output");
}

static void rotary(enum attn_dtype dtype) {
    static const ptrdiff_t three[3] = {2, 9, 8}, four[4] = {2, 9, 3, 34}, odd[2] = {4, 7};
    static const double positions[9] = {3, 1, 4, 1, 5, 9, 2.5, 600, 0};
    struct dice dice = {97};
    rotary_case(&dice, dtype, 3, three, 1, 2, NULL);
    rotary_case(&dice, dtype, 3, three, 1, 2, positions);
    rotary_case(&dice, dtype, 4, four, 1, 3, NULL);
    rotary_case(&dice, dtype, 4, four, 1, 0, NULL);
    rotary_case(&dice, dtype, 4, four, 2, 3, NULL);
    rotary_case(&dice, dtype, 4, four, 3, 0, NULL);
    const struct attn_context context = context_new(1);
    CHECK(attn_rotate(&context, dtype, 2, odd, 0, 1, NULL, NULL, NULL, NULL) == ATTN_BAD_LENGTH &&
              attn_rotate(&context, dtype, 3, three, 1, 1, NULL, NULL, NULL, NULL) ==
                  ATTN_BAD_LENGTH,
          "odd features, or an axis for both");
}

/* ---- dropout ------------------------------------------------------------------------------- */

static void dropout_case(struct dice* dice, enum attn_dtype dtype, int rank, const ptrdiff_t* dim,
                         const ptrdiff_t* noise) {
    const struct attn_context one = context_new(1), more = context_new(3);
    const struct attn_dropout dropout = {0.3, {{11, 22}}, 7};
    ptrdiff_t count = 1;
    for (int axis = 0; axis < rank; axis++) {
        count *= dim[axis];
    }
    struct tensor x = tensor_normal(dice, dtype, count), y = tensor_new(dtype, count);
    CHECK(attn_tensor_dropout(&one, dtype, &dropout, rank, dim, noise, x.data, y.data) == ATTN_OK,
          "dropout");
    int wrong = 0;
    for (ptrdiff_t i = 0; i < count; i++) {
        ptrdiff_t rest = i, decision = 0, step = 1;
        uint8_t keep;
        for (int axis = rank - 1; axis >= 0; axis--) {
            const ptrdiff_t at = rest % dim[axis], own = noise == NULL ? dim[axis] : noise[axis];
            rest /= dim[axis];
            decision += own == 1 ? 0 : at * step;
            step *= own;
        }
        attn_dropout_keep(&dropout, (uint64_t)decision, 1, &keep);
        const double wanted = keep ? tensor_get(&x, i) / 0.7 : 0;
        wrong += !(fabs(tensor_get(&y, i) - wanted) <= 3 * unit_of(dtype) * fabs(wanted));
    }
    CHECK(wrong == 0, "dropout: %d of %td wrong", wrong, count);
    attn_tensor_dropout(&more, dtype, &dropout, rank, dim, noise, x.data, x.data);
    CHECK(memcmp(x.data, y.data, tensor_bytes(&x)) == 0, "in place, on threads");
    CHECK(tensor_end(&x) && tensor_end(&y), "dropout wrote behind its output");
}

static void dropout(enum attn_dtype dtype) {
    static const ptrdiff_t dim[3] = {4, 6, 5}, large[2] = {3, 90001};
    static const ptrdiff_t noises[][3] = {{4, 1, 5}, {4, 6, 1}, {1, 6, 5}, {1, 1, 1}, {4, 1, 1}};
    struct dice dice = {101};
    dropout_case(&dice, dtype, 3, dim, NULL);
    dropout_case(&dice, dtype, 2, large, NULL);
    for (int i = 0; i < 5; i++) {
        dropout_case(&dice, dtype, 3, dim, noises[i]);
    }
    static const ptrdiff_t bad[3] = {4, 2, 5};
    const struct attn_dropout some = {0.5, {{1, 2}}, 0}, all = {1, {{1, 2}}, 0};
    const struct attn_context context = context_new(1);
    double x[3] = {1, 2, 3};
    const ptrdiff_t three[1] = {3};
    CHECK(attn_tensor_dropout(&context, ATTN_FLOAT64, &some, 3, dim, bad, NULL, NULL) ==
              ATTN_BAD_LENGTH,
          "a noise of 2 for 6");
    attn_tensor_dropout(&context, ATTN_FLOAT64, &all, 1, three, NULL, x, x);
    CHECK(x[0] == 0 && x[1] == 0 && x[2] == 0, "rate 1 leaves something");
}

int main(void) {
    for_each_setting(embedding);
    for_each_setting(masking);
    for_each_setting(pooling);
    for_each_setting(convolutions);
    for_each_setting(sine_positions);
    learned_positions();
    for_each_setting(rotary);
    for_each_setting(dropout);
    return checks_end();
}

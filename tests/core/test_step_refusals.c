/* Every operation of a program with what its constructors in R would never give it:
 * tensors of other ranks, types and masks, layers of other weights, settings that are no
 * numbers. A step is refused or it runs; it never touches memory that is not its own,
 * which the sanitizers look at.
 *
 * Each operation has a step that is right. The trials change parts of it at random, so that
 * what is changed alone is met as well as what is changed together. */
#include <string.h>

#include "check.h"
#include "program.h"
#include "weights.h"

enum { MOST_INPUTS = 8, MOST_SETTINGS = 16, SLOTS = 16, RESULTS = 12, TRIALS = 1500 };

/* ---- what there is to put together ---- */

static const struct {
    int rank;
    ptrdiff_t dim[ATTN_MAX_RANK];
} shapes[] = {
    {2, {2, 4}},          {3, {2, 5, 4}}, {3, {2, 4, 5}},    {0, {0}},          {1, {3}},
    {2, {2, 5}},          {2, {2, 6}},    {3, {2, 5, 5}},    {3, {2, 5, 6}},    {1, {1}},
    {5, {2, 2, 6, 2, 3}}, {2, {10, 4}},   {4, {2, 3, 5, 4}}, {3, {2, 1, 1}},    {3, {2, 0, 4}},
    {3, {0, 5, 40}},      {3, {4, 5, 2}}, {4, {2, 5, 2, 2}}, {3, {2, 20, 2}},   {3, {2, 7, 4}},
    {16, {1, 1, 1, 1, 2, 1, 1, 1, 1, 1, 1, 1, 1, 1, 5, 4}}, {3, {2, 10, 2}},
};
enum {
    ROWS, SEQUENCE, TURNED, NUMBER, VECTOR, MASK, CACHE_MASK, PAIRS, CACHE_PAIRS, ONE, CACHE,
    MERGED, SHAPES = sizeof shapes / sizeof shapes[0]
};

static const double odd_numbers[] = {
    0, 1, 2, 3, 4, 5, 17, -1, -2, -3, 0.5, -0.5, NAN, INFINITY, -INFINITY, 1e300, -1e300, 1e18,
    -1e18, 9.3e18, 2147483647, 2147483648.0, -2147483648.0, -2147483649.0, 4294967297.0,
};
enum { ODD_NUMBERS = sizeof odd_numbers / sizeof odd_numbers[0] };

static const char long_text[] =
    "abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyzabcdefghijkl"
    "mnopqrstuvwxyzabcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyz;;";
static const char* const texts[] = {
    "", "nothing", long_text, ";;", ";;;", "add", "multiply", "average", "softmax", "sparsemax",
    "log_softmax", "glu", "relu", "threshold", "sum", "max", "where", "cast", "floor_divide",
    "abc,cd->abd;d;", "...c,cd->...d;;relu", "abc,bde->acde;;", "abc,cde->abde;de;softmax",
    "abcdefghijklmnop,pq->abcdefghijklmnoq;;", "ab,ab->ab;b;",
};
enum { TEXTS = sizeof texts / sizeof texts[0] };

static const struct weights {
    int count;
    struct attn_weight_shape shape[2];
} weights[] = {
    {2, {{"kernel", 2, {4, 3}, 4}, {"bias", 1, {3}, 0}}},
    {1, {{"kernel", 2, {4, 3}, 4}}},
    {2, {{"kernel", 2, {4, 30}, 4}, {"bias", 1, {2}, 0}}},
    {1, {{"embeddings", 2, {7, 4}, 0}}},
    {2, {{"kernel", 3, {3, 4, 2}, 12}, {"bias", 1, {2}, 0}}},
    {2, {{"kernel", 3, {3, 4, 20}, 240}, {"bias", 1, {1}, 0}}},
    {2, {{"kernel", 3, {3, 2, 4}, 0}, {"bias", 1, {4}, 0}}},
    {2, {{"kernel", 3, {4, 2, 3}, 4}, {"bias", 2, {2, 3}, 0}}},
    {1, {{"kernel", 3, {4, 20, 3}, 240}}},
    {2, {{"gamma", 1, {4}, 0}, {"beta", 1, {4}, 0}}},
    {1, {{"alpha", 2, {5, 4}, 0}}},
    {1, {{"number", 0, {0}, 0}}},
    {1, {{"vector", 1, {40}, 0}}},
    {1, {{"deep", 16, {1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 5, 4}, 20}}},
    {0, {{0}}},
};
enum {
    NO_LAYER = -1, DENSE, TABLE = 3, CONVOLUTION, EINSUM = 7, NORM = 9, ALPHA,
    WEIGHTS = sizeof weights / sizeof weights[0]
};

static const struct attentive {
    const struct attn_layer_kind* kind;
    struct attn_layer_config config;
    struct attn_layer_widths widths;
} attentives[] = {
    {&attn_multi_head_attention_kind, {2, 2, 3, 3, 1, 0, 0, ATTN_MODE_DOT, 0}, {4, 4, 4, 1, {4}}},
    {&attn_multi_head_attention_kind, {2, 2, 3, 3, 0, 0, 0, ATTN_MODE_DOT, 0.5},
     {4, 4, 4, 2, {2, 20}}},
    {&attn_multi_head_attention_kind, {2, 2, 3, 3, 1, 1, 0, ATTN_MODE_DOT, 0}, {4, 4, 4, 1, {4}}},
    {&attn_multi_head_attention_kind, {2, 2, 3, 3, 1, 0, 0, ATTN_MODE_DOT, 0}, {2, 4, 4, 1, {4}}},
    {&attn_multi_head_attention_kind, {2, 2, 3, 3, 1, 0, 0, ATTN_MODE_DOT, 0},
     {4, 4, 4, 8, {1, 1, 1, 1, 1, 1, 2, 2}}},
    {&attn_group_query_attention_kind, {4, 2, 3, 3, 1, 0, 0, ATTN_MODE_DOT, 0}, {4, 4, 4, 1, {4}}},
    {&attn_attention_kind, {1, 1, 1, 1, 0, 0, 1, ATTN_MODE_CONCAT, 0.5}, {4, 4, 4, 0, {0}}},
    {&attn_attention_kind, {1, 1, 1, 1, 0, 0, 0, ATTN_MODE_DOT, 0}, {4, 4, 4, 0, {0}}},
    {&attn_additive_attention_kind, {1, 1, 1, 1, 0, 0, 1, ATTN_MODE_ADDITIVE, 0},
     {4, 4, 4, 0, {0}}},
};
enum {
    HEADS = WEIGHTS, NO_HEADS = WEIGHTS + 7,
    LAYERS = WEIGHTS + (int)(sizeof attentives / sizeof attentives[0])
};

/* ---- steps that are right ---- */

struct right {
    const char* name;
    const char* text;
    int layer, inputs, outputs;
    int shape[MOST_INPUTS]; /* -1: no input */
    int settings;
    double setting[MOST_SETTINGS];
};

static const struct right rights[] = {
    {"activation", "relu", NO_LAYER, 1, 1, {SEQUENCE}, 2, {0, 0}},
    {"activation", "softmax", NO_LAYER, 2, 1, {SEQUENCE, MASK}, 4, {1, 2, 0, 1}},
    {"activation", "glu", NO_LAYER, 1, 1, {SEQUENCE}, 3, {0, 1, 2}},
    {"activation", "relu", NO_LAYER, 1, 1, {SEQUENCE}, 5, {0, 0, 0.1, 6, 1}},
    {"attend", "", HEADS, 7, 2, {SEQUENCE, SEQUENCE, -1, MASK, MASK, -1, PAIRS}, 3, {1, 0, 0}},
    {"attend", "", HEADS, 7, 1, {SEQUENCE, SEQUENCE, SEQUENCE, -1, -1, MASK, -1}, 4, {2, 1, 3, 2}},
    {"attend", "", NO_HEADS, 7, 1, {SEQUENCE, SEQUENCE, -1, MASK, MASK, -1, -1}, 3, {0, 0, 0}},
    {"cached_attention", "", HEADS, 6, 2, {SEQUENCE, SEQUENCE, CACHE, -1, CACHE_MASK, CACHE_PAIRS},
     2, {1, 1}},
    {"cached_attention", "", HEADS, 6, 2, {SEQUENCE, SEQUENCE, CACHE, ONE, -1, -1}, 2, {1, 0}},
    {"calculate", "add", NO_LAYER, 2, 1, {SEQUENCE, SEQUENCE}, 4, {0, 2, -1, -1}},
    {"calculate", "where", NO_LAYER, 2, 1, {SEQUENCE, SEQUENCE}, 10,
     {1, 3, -1, 1, 4, 7, 8, 9, 7, -1}},
    {"calculate", "floor_divide", NO_LAYER, 1, 1, {SEQUENCE}, 5, {2, 2, 0, 3, -1}},
    {"concatenate", "", NO_LAYER, 3, 1, {SEQUENCE, SEQUENCE, SEQUENCE}, 1, {1}},
    {"concatenate", "", NO_LAYER, 2, 1, {SEQUENCE, SEQUENCE}, 1, {-1}},
    {"conv1d", "relu", CONVOLUTION, 1, 1, {SEQUENCE}, 5, {1, 1, 1, 0, 0}},
    {"conv1d", "softmax", CONVOLUTION + 2, 1, 1, {SEQUENCE}, 5, {2, 1, 2, 1, 0}},
    {"conv1d", "linear", CONVOLUTION, 1, 1, {TURNED}, 5, {1, 2, 1, 2, 1}},
    {"dense", "relu", DENSE, 1, 1, {SEQUENCE}, 0, {0}},
    {"dot", "", NO_LAYER, 2, 1, {SEQUENCE, SEQUENCE}, 3, {2, 2, 1}},
    {"dropout", "", DENSE, 1, 1, {SEQUENCE}, 1, {0.5}},
    {"dropout", "", DENSE, 1, 1, {SEQUENCE}, 4, {0.5, 0, 1, 4}},
    {"einsum_dense", "abc,cde->abde;de;relu", EINSUM, 1, 1, {SEQUENCE}, 3, {-1, 2, 3}},
    {"einsum_dense", "...c,cd->...d;;linear", DENSE + 1, 1, 1, {SEQUENCE}, 1, {3}},
    {"embedding", "", TABLE, 1, 1, {MASK}, 1, {1}},
    {"expand_dims", "", NO_LAYER, 1, 1, {SEQUENCE}, 2, {1, -1}},
    {"flatten", "", NO_LAYER, 1, 1, {SEQUENCE}, 1, {1}},
    {"global_pooling", "", NO_LAYER, 2, 1, {SEQUENCE, MASK}, 3, {0, 0, 1}},
    {"global_pooling", "", NO_LAYER, 1, 1, {TURNED}, 3, {1, 1, 0}},
    {"identity", "", NO_LAYER, 1, 1, {SEQUENCE}, 0, {0}},
    {"learned_positions", "", TABLE, 2, 1, {SEQUENCE, ONE}, 1, {0}},
    {"masking", "", NO_LAYER, 1, 1, {SEQUENCE}, 1, {0}},
    {"merge", "multiply", NO_LAYER, 3, 1, {SEQUENCE, SEQUENCE, ROWS}, 0, {0}},
    {"merge", "add", NO_LAYER, 2, 1, {SEQUENCE, SEQUENCE}, 0, {0}},
    {"merge_time", "", NO_LAYER, 2, 1, {SEQUENCE, MASK}, 1, {1}},
    {"normalization", "", NORM, 1, 1, {SEQUENCE}, 5, {0, 1e-3, 1, 1, 2}},
    {"normalization", "", NO_LAYER, 1, 1, {SEQUENCE}, 6, {1, 1e-3, 0, 0, 0, 1}},
    {"parametric_relu", "", ALPHA, 1, 1, {SEQUENCE}, 0, {0}},
    {"permute", "", NO_LAYER, 1, 1, {SEQUENCE}, 3, {2, 0, 1}},
    {"reduce", "mean", NO_LAYER, 1, 1, {SEQUENCE}, 4, {0, 1, 1, -1}},
    {"repeat_vector", "", NO_LAYER, 1, 1, {ROWS}, 1, {3}},
    {"rescaling", "", NO_LAYER, 1, 1, {SEQUENCE}, 3, {1, 2, 1}},
    {"rescaling", "", NO_LAYER, 1, 1, {SEQUENCE}, 6, {4, 1, 2, 3, 4, 1}},
    {"reshape", "", NO_LAYER, 1, 1, {SEQUENCE}, 3, {1, 2, -1}},
    {"rotary", "", NO_LAYER, 2, 1, {SEQUENCE, ONE}, 5, {0, 10000, 1, 1, -1}},
    {"sine_positions", "", NO_LAYER, 2, 1, {SEQUENCE, -1}, 2, {3, 10000}},
    {"split_time", "", NO_LAYER, 3, 1, {MERGED, SEQUENCE, MASK}, 0, {0}},
    {"squeeze", "", NO_LAYER, 1, 1, {SEQUENCE}, 0, {0}},
};
enum { RIGHTS = sizeof rights / sizeof rights[0] };

/* ---- layers and values ---- */

static struct attn_layer* new_layer(int which, enum attn_dtype dtype) {
    const struct attn_random_key key = {{1, 2}};
    struct attn_layer* layer = NULL;
    unsigned char* storage = NULL;
    if (which < WEIGHTS) {
        CHECK(attn_weights_create(dtype, weights[which].count, weights[which].shape, key,
                                  &layer) == ATTN_OK,
              "no weights %d", which);
    } else {
        const struct attentive* like = &attentives[which - WEIGHTS];
        CHECK(attn_layer_create(like->kind, dtype, &like->config, key, &layer) == ATTN_OK &&
                  attn_layer_build(layer, &like->widths) == ATTN_OK,
              "no layer %d", which);
    }
    CHECK(attn_layer_stage(layer, &storage) == ATTN_OK, "no weights");
    for (int i = 0; i < layer->weights; i++) {
        for (ptrdiff_t at = 0; at < layer->weight[i].length; at++) {
            const double x = 0.25 * (double)(at % 7) - 0.5;
            if (dtype == ATTN_FLOAT32) {
                ((float*)attn_layer_staged_weight(layer, storage, i))[at] = (float)x;
            } else {
                ((double*)attn_layer_staged_weight(layer, storage, i))[at] = x;
            }
        }
    }
    attn_layer_adopt(layer, storage);
    return layer;
}

struct bench {
    struct dice dice;
    struct attn_workspace scratch, tensors;
    struct attn_value slot[SLOTS];
    struct attn_run run;
};

static int happens(struct bench* bench, double probability) {
    return dice_unit(&bench->dice) < probability;
}

/* a mask of the leading dims of a value, or nearly so */
static void add_mask(struct bench* bench, struct attn_value* value) {
    ptrdiff_t dim[ATTN_MAX_RANK];
    int rank = value->rank - 1 + (happens(bench, 0.1) ? 1 : 0) - (happens(bench, 0.1) ? 1 : 0);
    rank = rank < 0 ? 0 : rank;
    for (int axis = 0; axis < rank; axis++) {
        dim[axis] = happens(bench, 0.1) ? dice_below(&bench->dice, 7) : value->dim[axis];
        dim[axis] = happens(bench, 0.05) ? 1 : dim[axis];
    }
    ptrdiff_t length;
    CHECK(attn_checked_length(rank, dim, &length) == ATTN_OK &&
              attn_value_new_mask(&bench->run.memory, rank, dim, value) == ATTN_OK,
          "no mask");
    for (ptrdiff_t i = 0; i < length; i++) {
        ((uint8_t*)value->mask->data)[i] = happens(bench, 0.7);
    }
}

static void fill(struct bench* bench, int slot, int shape, enum attn_value_type type) {
    struct attn_value* value = &bench->slot[slot];
    CHECK(attn_value_new(&bench->run.memory, type, shapes[shape].rank, shapes[shape].dim, value) ==
              ATTN_OK,
          "no value");
    const ptrdiff_t length = attn_value_length(value);
    for (ptrdiff_t i = 0; i < length; i++) {
        const double x = type == ATTN_VALUE_INT32  ? dice_below(&bench->dice, 4)
                         : type == ATTN_VALUE_BOOL ? dice_below(&bench->dice, 2)
                                                   : dice_normal(&bench->dice);
        attn_value_put(value, i, happens(bench, 0.001) ? odd_numbers[dice_below(
                                                             &bench->dice, ODD_NUMBERS)]
                                                       : x);
    }
    if (happens(bench, 0.4)) {
        add_mask(bench, value);
    }
}

static void start(struct bench* bench, uint64_t seed) {
    memset(bench, 0, sizeof *bench);
    bench->dice.state = seed;
    bench->run.context.workspace = &bench->scratch;
    bench->run.context.threads = 1 + dice_below(&bench->dice, 2);
    bench->run.memory.workspace = &bench->tensors;
    bench->run.slots = SLOTS;
    bench->run.slot = bench->slot;
}

static void stop(struct bench* bench) {
    attn_workspace_reset(&bench->scratch, 0);
    attn_workspace_reset(&bench->tensors, 0);
}

/* ---- trials ---- */

struct trial {
    double change; /* the probability of a change to each part */
    struct attn_step step;
    int input[MOST_INPUTS], output[2], release[SLOTS];
    double setting[MOST_SETTINGS];
};

static void choose_inputs(struct bench* bench, const struct right* right, struct trial* trial) {
    const enum attn_value_type own = (enum attn_value_type)trial->step.dtype;
    trial->step.inputs = right->inputs;
    for (int i = 0; i < right->inputs; i++) {
        int shape = right->shape[i];
        if (happens(bench, trial->change)) {
            shape = dice_below(&bench->dice, SHAPES + 1) - 1;
        }
        trial->input[i] = shape < 0 ? -1 : i;
        if (shape >= 0) {
            /* ids, masks and positions are whole numbers */
            enum attn_value_type type = shape == MASK || shape == ONE ? ATTN_VALUE_INT32 : own;
            type = happens(bench, trial->change)
                       ? (enum attn_value_type)dice_below(&bench->dice, ATTN_VALUE_BOOL + 1)
                       : type;
            fill(bench, i, shape, type);
        }
        /* the value of another input, or a view of it under other dims */
        const int other = dice_below(&bench->dice, i + 1);
        if (other < i && trial->input[other] == other && happens(bench, 0.25)) {
            trial->input[i] = other;
            const struct attn_value* from = &bench->slot[other];
            const int turned = dice_below(&bench->dice, SHAPES);
            ptrdiff_t length = 0;
            attn_checked_length(shapes[turned].rank, shapes[turned].dim, &length);
            if (happens(bench, 0.5) && length == attn_value_length(from)) {
                attn_value_release(&bench->run.memory, &bench->slot[i]);
                attn_value_view(from, shapes[turned].rank, shapes[turned].dim, &bench->slot[i]);
                trial->input[i] = i;
            }
        }
    }
    trial->step.input = trial->input;
}

static double odd_number(struct bench* bench, const char* name) {
    double x;
    do {
        x = odd_numbers[dice_below(&bench->dice, ODD_NUMBERS)];
        /* which would be right, and more than there is memory for */
    } while (x == 2147483647 && strcmp(name, "repeat_vector") == 0);
    return x;
}

static void choose_settings(struct bench* bench, const struct right* right, struct trial* trial) {
    int count = right->settings;
    for (int i = 0; i < MOST_SETTINGS; i++) {
        const int changes = happens(bench, trial->change) || i >= count;
        trial->setting[i] = changes ? odd_number(bench, right->name) : right->setting[i];
    }
    if (happens(bench, trial->change / 2)) {
        count = dice_below(&bench->dice, MOST_SETTINGS + 1);
    }
    trial->step.settings = count;
    trial->step.setting = trial->setting;
}

static void choose_slots(struct bench* bench, const struct right* right, struct trial* trial) {
    trial->step.outputs = happens(bench, trial->change) ? 1 + dice_below(&bench->dice, 2)
                                                        : right->outputs;
    trial->output[0] = RESULTS;
    trial->output[1] = happens(bench, 0.1) ? dice_below(&bench->dice, SLOTS) : RESULTS + 1;
    trial->step.output = trial->output;
    for (int i = 0; i < right->inputs; i++) {
        if (happens(bench, 0.6)) {
            trial->release[trial->step.released++] = i;
        }
    }
    trial->step.release = trial->release;
}

/* all of what a step has made can be read, and given back */
static int is_whole(const struct attn_value* value) {
    ptrdiff_t length = -1, mask_length = 0;
    uint8_t read = 0;
    if (value->rank < 0 || value->rank > ATTN_MAX_RANK ||
        attn_checked_length(value->rank, value->dim, &length) != ATTN_OK ||
        (value->mask != NULL &&
         attn_checked_length(value->mask_rank, value->mask_dim, &mask_length) != ATTN_OK)) {
        return 0;
    }
    const size_t bytes = (size_t)length * attn_value_type_size(value->type);
    const volatile uint8_t* data = value->buffer->data;
    for (size_t i = 0; i < bytes; i++) {
        read |= data[i];
    }
    for (ptrdiff_t i = 0; i < mask_length; i++) {
        read |= ((const volatile uint8_t*)value->mask->data)[i];
    }
    return (void)read, bytes <= value->buffer->size;
}

static enum attn_status run_trial(struct bench* bench, const struct right* right,
                                  struct attn_layer* layers[2][LAYERS], double change) {
    struct trial trial = {.change = change};
    struct attn_step* step = &trial.step;
    int layer = right->layer;
    step->operation = attn_operation_by_name(right->name);
    step->dtype = (enum attn_dtype)dice_below(&bench->dice, 2);
    if (happens(bench, change)) {
        layer = dice_below(&bench->dice, LAYERS + 1) - 1;
    }
    const int precision = happens(bench, change / 4) ? 1 - (int)step->dtype : (int)step->dtype;
    step->layer = layer < 0 ? NULL : layers[precision][layer];
    step->text = happens(bench, change) ? texts[dice_below(&bench->dice, TEXTS)] : right->text;
    step->training = dice_below(&bench->dice, 2);
    choose_inputs(bench, right, &trial);
    choose_settings(bench, right, &trial);
    choose_slots(bench, right, &trial);
    if (!attn_step_is_sound(step, SLOTS)) {
        return ATTN_BAD_STATE;
    }
    const enum attn_status status = attn_program_run(&bench->run, 1, step);
    const struct attn_value* made = &bench->slot[RESULTS];
    CHECK(status != ATTN_OK || made->buffer == NULL || is_whole(made), "%s makes half a tensor",
          right->name);
    return status;
}

static void try_all(struct attn_layer* layers[2][LAYERS]) {
    static struct bench bench;
    for (int i = 0; i < RIGHTS; i++) {
        int done = 0, refused = 0;
        CHECK(attn_operation_by_name(rights[i].name) != NULL, "no %s", rights[i].name);
        for (int trial = 0; trial < TRIALS; trial++) {
            const double change = trial % 3 == 0 ? 0.05 : trial % 3 == 1 ? 0.15 : 0.5;
            start(&bench, (uint64_t)i << 32 | (uint64_t)trial);
            const enum attn_status status = run_trial(&bench, &rights[i], layers, change);
            CHECK(status >= ATTN_OK && status <= ATTN_BAD_INDEX, "%s: status %d", rights[i].name,
                  (int)status);
            done += status == ATTN_OK;
            refused += status != ATTN_OK;
            stop(&bench);
        }
        CHECK(done > TRIALS / 20 && (refused > 0 || strcmp(rights[i].name, "identity") == 0),
              "%s: %d of %d trials ran, %d were refused", rights[i].name, done, TRIALS, refused);
    }
}

/* a step that is right runs: else nothing above would say anything */
static void rights_are_right(struct attn_layer* layers[2][LAYERS]) {
    static struct bench bench;
    for (int i = 0; i < RIGHTS; i++) {
        int done = 0;
        for (int trial = 0; trial < 64; trial++) {
            start(&bench, (uint64_t)trial);
            done += run_trial(&bench, &rights[i], layers, 0) == ATTN_OK;
            stop(&bench);
        }
        CHECK(done > 0, "%s (%d) never runs", rights[i].name, i);
    }
}

int main(void) {
    struct attn_layer* layers[2][LAYERS];
    for (int precision = 0; precision < 2; precision++) {
        for (int i = 0; i < LAYERS; i++) {
            layers[precision][i] = new_layer(i, (enum attn_dtype)precision);
        }
    }
    rights_are_right(layers);
    try_all(layers);
    for (int precision = 0; precision < 2; precision++) {
        for (int i = 0; i < LAYERS; i++) {
            attn_layer_destroy(layers[precision][i]);
        }
    }
    return checks_end();
}

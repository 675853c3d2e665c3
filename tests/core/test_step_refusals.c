/* Every operation of a program with what its constructors in R would never give it:
 * tensors of other ranks, types and masks, layers of other weights, settings that are no
 * numbers. A step is refused or it runs; it never touches memory that is not its own,
 * which the sanitizers look at.
 *
 * Each operation has a step that is right. First one part of it is changed, in every way
 * that there is here; then several at random. A step that runs must give the same bits
 * whether it may write over its inputs or not. */
#include <string.h>

#include "check.h"
#include "kernels.h"
#include "matmul.h"
#include "program.h"
#include "weights.h"

enum { MOST_INPUTS = 8, MOST_SETTINGS = 16, SLOTS = 16, RESULTS = 12, TRIALS = 600 };

/* what lies behind a weight in its layer's storage belongs to nobody */
#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#define FORBID(start, size) __asan_poison_memory_region(start, size)
#else
#define FORBID(start, size) ((void)(start), (void)(size))
#endif

/* ---- what there is to put together ---- */

static const struct {
    int rank;
    ptrdiff_t dim[ATTN_MAX_RANK];
} shapes[] = {
    {2, {2, 4}},          {3, {2, 5, 4}}, {3, {2, 4, 5}},    {0, {0}},          {1, {3}},
    {2, {2, 5}},          {2, {2, 6}},    {3, {2, 5, 5}},    {3, {2, 5, 6}},    {1, {1}},
    {5, {2, 2, 6, 2, 3}}, {2, {10, 4}},   {4, {2, 3, 5, 4}}, {3, {2, 1, 1}},    {3, {2, 0, 4}},
    {3, {0, 5, 4}},      {3, {4, 5, 2}}, {4, {2, 5, 2, 2}}, {3, {2, 20, 2}},   {3, {2, 7, 4}},
    {16, {1, 1, 1, 1, 2, 1, 1, 1, 1, 1, 1, 1, 1, 1, 5, 4}}, {3, {2, 10, 2}},
    {3, {1, 5, 4}},       {3, {3, 5, 4}}, {5, {2, 2, 12, 2, 3}},
};
enum {
    ROWS, SEQUENCE, TURNED, NUMBER, VECTOR, MASK, CACHE_MASK, PAIRS, CACHE_PAIRS, ONE, CACHE,
    MERGED, NARROW = 21, LONG_CACHE = 24, SHAPES = sizeof shapes / sizeof shapes[0]
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
    {2, {{"kernel", 3, {3, 4, 17}, 1}, {"bias", 1, {17}, 0}}},
    {2, {{"kernel", 3, {3, 2, 4}, 0}, {"bias", 1, {4}, 0}}},
    {2, {{"kernel", 3, {4, 2, 3}, 4}, {"bias", 2, {2, 3}, 0}}},
    {2, {{"kernel", 3, {4, 17, 3}, 1}, {"bias", 2, {17, 3}, 0}}},
    {2, {{"gamma", 1, {4}, 0}, {"beta", 1, {4}, 0}}},
    {1, {{"alpha", 2, {5, 4}, 0}}},
    {1, {{"number", 0, {0}, 0}}},
    {1, {{"vector", 1, {40}, 0}}},
    {1, {{"deep", 16, {1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 5, 4}, 20}}},
    {2, {{"kernel", 3, {3, 4, 2}, 12}, {"bias", 1, {1}, 0}}},
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
    {&attn_multi_head_attention_kind, {2, 2, 3, 3, 1, 0, 0, ATTN_MODE_DOT, 0}, {4, 2, 2, 1, {4}}},
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
    {"activation", "softmax", NO_LAYER, 2, 1, {SEQUENCE, SEQUENCE}, 4, {1, 2, 0, 1}},
    {"activation", "glu", NO_LAYER, 1, 1, {SEQUENCE}, 3, {0, 1, 2}},
    {"activation", "relu", NO_LAYER, 1, 1, {SEQUENCE}, 5, {0, 0, 0.1, 6, 1}},
    {"attend", "", HEADS, 7, 2, {SEQUENCE, SEQUENCE, -1, MASK, MASK, -1, PAIRS}, 3, {1, 0, 0}},
    {"attend", "", HEADS, 7, 1, {SEQUENCE, SEQUENCE, SEQUENCE, -1, -1, MASK, -1}, 4, {2, 1, 3, 2}},
    {"attend", "", NO_HEADS, 7, 1, {SEQUENCE, SEQUENCE, -1, MASK, MASK, -1, -1}, 3, {0, 0, 0}},
    {"cached_attention", "", HEADS, 6, 2, {SEQUENCE, SEQUENCE, CACHE, -1, CACHE_MASK, CACHE_PAIRS},
     2, {1, 1}},
    {"cached_attention", "", HEADS, 6, 2, {SEQUENCE, SEQUENCE, CACHE, ONE, -1, -1}, 2, {1, 0}},
    {"cached_attention", "", HEADS + 3, 6, 2, {SEQUENCE, NARROW, LONG_CACHE, ONE, -1, -1}, 2, {1, 0}},
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
    {"einsum_dense", "abc,cde->abde;de;linear", EINSUM + 1, 1, 1, {SEQUENCE}, 3, {-1, 17, 3}},
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

/* All in a layer's storage begins at 64 bytes; how far the storage itself has been moved
 * to begin there stands in front of it. */
static void forbid_gaps(const struct attn_layer* layer) {
    for (int i = 0; i < layer->weights; i++) {
        const struct attn_weight* weight = &layer->weight[i];
        const size_t size = (size_t)weight->length * attn_dtype_size(layer->dtype);
        FORBID(layer->storage + weight->offset + size, (64 - size % 64) % 64);
        if (weight->depth > 0) {
            const size_t packed =
                attn_matmul_packed_size(layer->dtype, weight->depth, weight->columns);
            FORBID(layer->storage + weight->packed_offset + packed, (64 - packed % 64) % 64);
        }
    }
    FORBID(layer->storage + layer->storage_size, 64 - (size_t)layer->storage[-1]);
}

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
    forbid_gaps(layer);
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
        ((uint8_t*)value->mask->data)[i] = (uint8_t)happens(bench, 0.7);
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

enum part { NOTHING, LAYER, PRECISION, SHAPE, TYPE, ALIAS, VIEW, TEXT, SETTING, COUNT, PARTS };

/* One change, and the probability of each other. ALIAS: an input is another one; VIEW: it is
 * another one's numbers under its own dims. */
struct change {
    enum part part;
    int at, to;
    double others;
};

static int changes(struct bench* bench, const struct change* change, enum part part, int at) {
    return happens(bench, change->others) || (change->part == part && change->at == at);
}

/* what a part is changed to, of so many */
static int chosen(struct bench* bench, const struct change* change, enum part part, int at,
                  int count) {
    const int any = dice_below(&bench->dice, count);
    return change->part == part && change->at == at ? change->to : any;
}

struct trial {
    const struct change* change;
    struct attn_step step;
    int input[MOST_INPUTS], output[2], release[SLOTS];
    double setting[MOST_SETTINGS];
};

static void look_like(struct bench* bench, struct trial* trial, int input, int other) {
    const struct attn_value* from = &bench->slot[other];
    struct attn_value* value = &bench->slot[input];
    if (changes(bench, trial->change, ALIAS, input)) {
        trial->input[input] = other;
    } else if (changes(bench, trial->change, VIEW, input) && value->buffer != NULL &&
               attn_value_length(value) == attn_value_length(from)) {
        const struct attn_value own = *value;
        attn_value_view(from, own.rank, own.dim, value);
        value->mask = own.mask;
        value->mask_rank = own.mask_rank;
        memcpy(value->mask_dim, own.mask_dim, sizeof own.mask_dim);
    }
}

static void choose_inputs(struct bench* bench, const struct right* right, struct trial* trial) {
    const enum attn_value_type own = (enum attn_value_type)trial->step.dtype;
    const struct change* change = trial->change;
    trial->step.inputs = right->inputs;
    for (int i = 0; i < right->inputs; i++) {
        int shape = right->shape[i];
        if (changes(bench, change, SHAPE, i)) {
            shape = chosen(bench, change, SHAPE, i, SHAPES + 1) - 1;
        }
        trial->input[i] = shape < 0 ? -1 : i;
        if (shape < 0) {
            continue;
        }
        /* ids, masks and positions are whole numbers */
        enum attn_value_type type = shape == MASK || shape == ONE ? ATTN_VALUE_INT32 : own;
        if (changes(bench, change, TYPE, i)) {
            type = (enum attn_value_type)chosen(bench, change, TYPE, i, ATTN_VALUE_BOOL + 1);
        }
        fill(bench, i, shape, type);
        const enum part like = change->part == VIEW ? VIEW : ALIAS;
        const int other = chosen(bench, change, like, i, i + 1);
        if (other < i && trial->input[other] == other) {
            look_like(bench, trial, i, other);
        }
    }
    trial->step.input = trial->input;
}

/* odd number `which`; but not one that would be right, and more than there is memory for */
static double odd_number(const char* name, int which) {
    const double x = odd_numbers[which];
    return x == 2147483647 && strcmp(name, "repeat_vector") == 0 ? NAN : x;
}

static void choose_settings(struct bench* bench, const struct right* right, struct trial* trial) {
    const struct change* change = trial->change;
    int count = right->settings;
    for (int i = 0; i < MOST_SETTINGS; i++) {
        const int odd = chosen(bench, change, SETTING, i, ODD_NUMBERS);
        trial->setting[i] = changes(bench, change, SETTING, i) || i >= count
                                ? odd_number(right->name, odd)
                                : right->setting[i];
    }
    if (happens(bench, change->others / 2) || change->part == COUNT) {
        count = chosen(bench, change, COUNT, 0, MOST_SETTINGS + 1);
    }
    trial->step.settings = count;
    trial->step.setting = trial->setting;
}

static void choose_slots(struct bench* bench, const struct right* right, int releases,
                         struct trial* trial) {
    trial->step.outputs = happens(bench, trial->change->others) ? 1 + dice_below(&bench->dice, 2)
                                                                : right->outputs;
    trial->output[0] = RESULTS;
    trial->output[1] = RESULTS + 1;
    trial->step.output = trial->output;
    for (int i = 0; releases && i < right->inputs; i++) {
        trial->release[trial->step.released++] = i;
    }
    trial->step.release = trial->release;
}

/* FNV-1a of all that a step has made; what is not there ends in a sanitizer's report */
static uint64_t sum_of(const struct attn_value* value) {
    uint64_t sum = UINT64_C(0xcbf29ce484222325);
    ptrdiff_t length = 0, mask_length = 0;
    CHECK(value->rank >= 0 && value->rank <= ATTN_MAX_RANK &&
              attn_checked_length(value->rank, value->dim, &length) == ATTN_OK &&
              (value->mask == NULL || attn_checked_length(value->mask_rank, value->mask_dim,
                                                          &mask_length) == ATTN_OK),
          "a tensor of no shape");
    const ptrdiff_t bytes = length * (ptrdiff_t)attn_value_type_size(value->type);
    CHECK((size_t)bytes <= value->buffer->size, "a tensor is larger than its memory");
    for (ptrdiff_t i = 0; i < bytes; i++) {
        sum = (sum ^ ((const uint8_t*)value->buffer->data)[i]) * UINT64_C(0x100000001b3);
    }
    for (ptrdiff_t i = 0; i < mask_length; i++) {
        sum = (sum ^ ((const uint8_t*)value->mask->data)[i]) * UINT64_C(0x100000001b3);
    }
    return sum;
}

typedef struct attn_layer* all_layers[2][LAYERS];

static void choose_step(struct bench* bench, const struct right* right, all_layers layers,
                        struct trial* trial) {
    const struct change* change = trial->change;
    struct attn_step* step = &trial->step;
    int layer = right->layer;
    step->operation = attn_operation_by_name(right->name);
    step->dtype = (enum attn_dtype)dice_below(&bench->dice, 2);
    if (changes(bench, change, LAYER, 0)) {
        layer = chosen(bench, change, LAYER, 0, LAYERS + 1) - 1;
    }
    const int other = happens(bench, change->others / 4) || change->part == PRECISION;
    step->layer = layer < 0 ? NULL : layers[other ? 1 - (int)step->dtype : (int)step->dtype][layer];
    step->text = right->text;
    if (changes(bench, change, TEXT, 0)) {
        step->text = texts[chosen(bench, change, TEXT, 0, TEXTS)];
    }
    step->training = dice_below(&bench->dice, 2);
}

struct outcome {
    enum attn_status status;
    uint64_t sum[2];
};

/* the step that the seed and the change make; `releases`: nobody needs its inputs behind it */
static struct outcome run_trial(const struct right* right, all_layers layers, uint64_t seed,
                                const struct change* change, int releases) {
    static struct bench bench;
    struct trial trial = {.change = change};
    struct outcome outcome = {ATTN_BAD_STATE, {0, 0}};
    start(&bench, seed);
    choose_step(&bench, right, layers, &trial);
    choose_inputs(&bench, right, &trial);
    choose_settings(&bench, right, &trial);
    choose_slots(&bench, right, releases, &trial);
    if (attn_step_is_sound(&trial.step, SLOTS)) {
        outcome.status = attn_program_run(&bench.run, 1, &trial.step);
    }
    for (int i = 0; i < 2 && outcome.status == ATTN_OK; i++) {
        const struct attn_value* made = &bench.slot[RESULTS + i];
        outcome.sum[i] = made->buffer != NULL ? sum_of(made) : 0;
    }
    stop(&bench);
    return outcome;
}

/* whether the step ran */
static int try_once(const struct right* right, all_layers layers, uint64_t seed,
                    const struct change* change) {
    const struct outcome kept = run_trial(right, layers, seed, change, 0);
    const struct outcome released = run_trial(right, layers, seed, change, 1);
    CHECK(kept.status >= ATTN_OK && kept.status <= ATTN_BAD_INDEX, "%s: status %d", right->name,
          (int)kept.status);
    CHECK(kept.status == released.status && kept.sum[0] == released.sum[0] &&
              kept.sum[1] == released.sum[1],
          "%s: part %d, %d to %d: not the same in place", right->name, (int)change->part,
          change->at, change->to);
    return kept.status == ATTN_OK;
}

static void try_single_changes(const struct right* right, all_layers layers) {
    /* of how many, and each to what, a part can be changed */
    const int places[PARTS] = {[NOTHING] = 32, [LAYER] = 1, [PRECISION] = 1,
                               [SHAPE] = right->inputs, [TYPE] = right->inputs,
                               [ALIAS] = right->inputs, [VIEW] = right->inputs, [TEXT] = 1,
                               [SETTING] = right->settings, [COUNT] = 1};
    const int choices[PARTS] = {[NOTHING] = 1, [LAYER] = LAYERS + 1, [PRECISION] = 2,
                                [SHAPE] = SHAPES + 1, [TYPE] = ATTN_VALUE_BOOL + 1,
                                [ALIAS] = right->inputs, [VIEW] = right->inputs, [TEXT] = TEXTS,
                                [SETTING] = ODD_NUMBERS, [COUNT] = MOST_SETTINGS + 1};
    for (int part = NOTHING; part < PARTS; part++) {
        int done = 0;
        for (int at = 0; at < places[part]; at++) {
            for (int to = 0; to < choices[part]; to++) {
                const struct change change = {(enum part)part, at, to, 0};
                done += try_once(right, layers, (uint64_t)(at * 100 + to), &change);
            }
        }
        CHECK(part != NOTHING || done > 0, "%s never runs", right->name);
        CHECK(part != PRECISION || right->layer < 0 || done == 0,
              "%s runs with weights of another dtype", right->name);
    }
}

static void try_many_changes(const struct right* right, all_layers layers) {
    static const double others[] = {0.03, 0.1, 0.4};
    int done = 0;
    for (int trial = 0; trial < TRIALS; trial++) {
        const struct change change = {NOTHING, 0, 0, others[trial % 3]};
        done += try_once(right, layers, (uint64_t)trial, &change);
    }
    CHECK(done > TRIALS / 50 && done < TRIALS, "%s: %d of %d trials ran", right->name, done,
          TRIALS);
}

static void try_all(void) {
    static all_layers layers;
    for (int precision = 0; precision < 2; precision++) {
        for (int i = 0; i < LAYERS; i++) {
            layers[precision][i] = new_layer(i, (enum attn_dtype)precision);
        }
    }
    for (int i = 0; i < RIGHTS; i++) {
        try_single_changes(&rights[i], layers);
        try_many_changes(&rights[i], layers);
    }
    for (int precision = 0; precision < 2; precision++) {
        for (int i = 0; i < LAYERS; i++) {
            attn_layer_destroy(layers[precision][i]);
        }
    }
}

int main(void) {
    /* packed weights, and how far kernels read, are another matter for each of them */
    for (int set = 0; attn_kernels_available(set) != NULL; set++) {
        if (attn_kernels_choose(attn_kernels_available(set))) {
            try_all();
        }
    }
    return checks_end();
}

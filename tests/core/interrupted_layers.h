/* Layers and steps of models, for interrupted_ops.h. */

/* A multi-head attention with a gate; the trial owns it. */
static struct attn_layer* new_layer(struct trial* trial, ptrdiff_t width) {
    const struct attn_layer_config config = {
        .num_heads = 2, .num_key_value_heads = 2, .key_dim = 16, .value_dim = 16, .use_bias = 1,
        .use_gate = 1, .dropout = 0.25};
    const struct attn_layer_widths widths = {width, width, width, 1, {width}};
    const struct attn_random_key key = {{3, 4}};
    unsigned char* storage = NULL;
    expect(trial, attn_layer_create(&attn_multi_head_attention_kind, trial->dtype, &config, key,
                                    &trial->layer));
    expect(trial, attn_layer_build(trial->layer, &widths));
    expect(trial, attn_layer_stage(trial->layer, &storage));
    for (int i = 0; i < trial->layer->weights; i++) {
        const size_t bytes =
            (size_t)trial->layer->weight[i].length * attn_dtype_size(trial->dtype);
        memcpy(attn_layer_staged_weight(trial->layer, storage, i),
               numbers(trial, (uint32_t)i + 1, trial->layer->weight[i].length), bytes);
    }
    attn_layer_adopt(trial->layer, storage);
    return trial->layer;
}

static void layer_call(struct trial* trial) {
    enum { WIDTH = 30, LENGTH = 150 };
    const struct attn_layer* layer = new_layer(trial, WIDTH);
    const struct attn_matrix x = attn_columns(doubles(trial, 1, 2 * LENGTH * WIDTH), 2 * LENGTH);
    struct attn_layer_call call = {
        .batch = 2, .target = LENGTH, .source = LENGTH, .query_width = WIDTH, .key_width = WIDTH,
        .value_width = WIDTH, .query = x, .key = x, .value = x, .mask = {.causal = 1},
        .dead_row = ATTN_DEAD_ZERO, .training = 1,
        .output = attn_rows_out(result(trial, 2 * LENGTH * WIDTH), WIDTH)};
    expect(trial, attn_layer_forward(&trial->context, layer, &call));
    CHECK(layer->calls == 0, "a call is counted before it has arrived");
}

/* Storage that the trial owns while it is packed: the layer keeps its weights. */
static void packed_weights(struct trial* trial) {
    struct attn_layer* layer = new_layer(trial, 4000);
    attn_layer_pack(&trial->context, layer, layer->storage);
    trial->result = layer->storage;
    trial->size = layer->storage_size;
}

static void saved_and_restored(struct trial* trial) {
    const struct attn_layer* layer = new_layer(trial, 3000);
    const size_t size = attn_layer_state_size(layer);
    unsigned char* bytes = attn_workspace_take(trial->inputs, size, 1);
    attn_layer_state_put(&trial->context, layer, bytes);
    expect(trial, attn_layer_state_get(&trial->context, bytes, size, &trial->copy));
    CHECK(trial->copy->storage_size == layer->storage_size, "another size");
    trial->result = trial->copy->storage;
    trial->size = trial->copy->storage_size;
}

/* ---- steps of models ---- */

enum { MOST_SLOTS = 4 };

/* A value of `dim` in a slot: whole numbers 0, 1, 2, 0, ... or flags, or floats. */
static void fill_slot(struct trial* trial, struct attn_value_memory* memory,
                      enum attn_value_type type, int rank, const ptrdiff_t* dim,
                      struct attn_value* slot) {
    expect(trial, attn_value_new(memory, type, rank, dim, slot));
    const ptrdiff_t length = attn_value_length(slot);
    for (ptrdiff_t i = 0; i < length; i++) {
        attn_value_put(slot, i, type == ATTN_VALUE_BOOL ? i % 3 != 0 : (double)(i * 7 % 3));
    }
}

static void give_mask(struct trial* trial, struct attn_value_memory* memory, int rank,
                      struct attn_value* slot) {
    expect(trial, attn_value_new_mask(memory, rank, slot->dim, slot));
    uint8_t* mask = slot->mask->data;
    const ptrdiff_t length = attn_value_extent(slot, 0, rank);
    for (ptrdiff_t i = 0; i < length; i++) {
        mask[i] = i % 5 != 0;
    }
}

/* Runs one step from slots 0 ... inputs-1, which are of this type and dims and have a
 * mask of so many of them; the result is the output's numbers, or its mask. */
static void run_step_of(struct trial* trial, const char* operation, const char* text, int inputs,
                        enum attn_value_type type, int rank, const ptrdiff_t* dim, int mask_rank,
                        int settings, const double* setting, int wants_mask) {
    static const int in[MOST_SLOTS] = {0, 1, 2, 3};
    static const int out = MOST_SLOTS - 1;
    struct attn_value slot[MOST_SLOTS];
    memset(slot, 0, sizeof slot);
    struct attn_run run = {.context = trial->context, .memory = {trial->inputs, NULL},
                           .slots = MOST_SLOTS, .slot = slot};
    for (int i = 0; i < inputs; i++) {
        fill_slot(trial, &run.memory, type, rank, dim, &slot[i]);
        if (mask_rank > 0) {
            give_mask(trial, &run.memory, mask_rank, &slot[i]);
        }
    }
    const struct attn_step step = {
        .operation = attn_operation_by_name(operation), .dtype = trial->dtype, .inputs = inputs,
        .input = in, .outputs = 1, .output = &out, .settings = settings, .setting = setting,
        .text = text};
    CHECK(attn_step_is_sound(&step, MOST_SLOTS), "%s is not a step", operation);
    expect(trial, attn_program_run(&run, 1, &step));
    const struct attn_value* made = &slot[MOST_SLOTS - 1];
    if (wants_mask) {
        trial->result = made->mask->data;
        trial->size = 1;
        for (int axis = 0; axis < made->mask_rank; axis++) {
            trial->size *= (size_t)made->mask_dim[axis];
        }
    } else {
        trial->result = made->buffer->data;
        trial->size = (size_t)attn_value_length(made) * attn_value_type_size(made->type);
    }
}

static void reduced_sum(struct trial* trial) {
    static const ptrdiff_t dim[3] = {3, 1000, 300};
    static const double setting[3] = {0, 0, 1};
    run_step_of(trial, "reduce", "mean", 1, ATTN_VALUE_INT32, 3, dim, 0, 3, setting, 0);
}

static void calculated(struct trial* trial) {
    static const ptrdiff_t dim[2] = {60, 9000};
    static const double setting[4] = {0, 2, -1, -1};
    run_step_of(trial, "calculate", "divide", 2, ATTN_VALUE_INT32, 2, dim, 0, 4, setting, 0);
}

static void permuted_ids(struct trial* trial) {
    static const ptrdiff_t dim[3] = {3, 500, 400};
    static const double setting[3] = {0, 2, 1};
    run_step_of(trial, "permute", "", 1, ATTN_VALUE_INT32, 3, dim, 0, 3, setting, 0);
}

static void repeated_ids(struct trial* trial) {
    static const ptrdiff_t dim[2] = {3, 500};
    static const double setting[1] = {900};
    run_step_of(trial, "repeat_vector", "", 1, ATTN_VALUE_INT32, 2, dim, 0, 1, setting, 0);
}

static void merged_masks(struct trial* trial) {
    static const ptrdiff_t dim[3] = {600, 500, 1};
    run_step_of(trial, "merge", "add", 2, (enum attn_value_type)trial->dtype, 3, dim, 2, 0, NULL,
                1);
}

static void joined_masks(struct trial* trial) {
    static const ptrdiff_t dim[3] = {600, 500, 1};
    static const double setting[1] = {1};
    run_step_of(trial, "concatenate", "", 2, (enum attn_value_type)trial->dtype, 3, dim, 2, 1,
                setting, 1);
}

#define INTERRUPTED_LAYERS                                                              \
    {"layer with heads", layer_call, 15}, {"weights, packed", packed_weights, 8},       \
        {"state", saved_and_restored, 4}, {"mean of whole numbers", reduced_sum, 4},    \
        {"division of whole numbers", calculated, 60},                                  \
        {"permutation of whole numbers", permuted_ids, 2},                              \
        {"repetition of whole numbers", repeated_ids, 5},                               \
        {"masks, merged", merged_masks, 2}, {"masks, joined", joined_masks, 2}

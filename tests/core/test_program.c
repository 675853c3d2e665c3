/* Programs without R: values share and return their memory, steps are looked at before
 * they run, and a failure says where. */
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "program.h"
#include "weights.h"

enum { SLOTS = 64, LENGTH = 6 };

struct bench {
    struct attn_workspace scratch, tensors;
    struct attn_value slot[SLOTS];
    struct attn_run run;
};

static void start(struct bench* bench) {
    memset(bench, 0, sizeof *bench);
    bench->run.context.workspace = &bench->scratch;
    bench->run.context.threads = 1;
    bench->run.memory.workspace = &bench->tensors;
    bench->run.slots = SLOTS;
    bench->run.slot = bench->slot;
}

static void stop(struct bench* bench) {
    attn_workspace_reset(&bench->scratch, 0);
    attn_workspace_reset(&bench->tensors, 0);
}

/* a (2 x 3) tensor of 1, 2, ..., 6 times `scale` */
static void fill(struct bench* bench, int slot, float scale) {
    const ptrdiff_t dim[2] = {2, 3};
    struct attn_value* value = &bench->slot[slot];
    CHECK(attn_value_new(&bench->run.memory, ATTN_VALUE_FLOAT32, 2, dim, value) == ATTN_OK,
          "no value");
    for (int i = 0; i < LENGTH; i++) {
        ((float*)value->buffer->data)[i] = scale * (float)(i + 1);
    }
}

static int spare_buffers(const struct bench* bench) {
    int count = 0;
    for (const struct attn_buffer* at = bench->run.memory.spare; at != NULL; at = at->next) {
        count++;
    }
    return count;
}

static int holds(const struct bench* bench, int slot, float scale) {
    const struct attn_value* value = &bench->slot[slot];
    int right = value->buffer != NULL && value->rank == 2 && value->dim[0] == 2 &&
                value->dim[1] == 3;
    for (int i = 0; right && i < LENGTH; i++) {
        right = ((const float*)value->buffer->data)[i] == scale * (float)(i + 1);
    }
    return right;
}

static struct attn_step sum(const int* input, const int* output, int released,
                            const int* release) {
    const struct attn_step step = {.operation = attn_operation_by_name("merge"),
                                   .dtype = ATTN_FLOAT32, .inputs = 2, .input = input,
                                   .outputs = 1, .output = output, .text = "add",
                                   .released = released, .release = release};
    return step;
}

/* slot 1 + i = slot i + slot 0, and slot i is let go of: two buffers are enough besides
 * that of slot 0, however long the chain */
static void reuses_memory(void) {
    enum { STEPS = 50 };
    int input[STEPS][2], output[STEPS], release[STEPS];
    struct attn_step step[STEPS];
    struct bench bench;
    start(&bench);
    fill(&bench, 0, 1);
    for (int i = 0; i < STEPS; i++) {
        input[i][0] = i;
        input[i][1] = 0;
        output[i] = i + 1;
        release[i] = i;
        step[i] = sum(input[i], &output[i], i > 0, &release[i]);
        CHECK(attn_step_is_sound(&step[i], SLOTS), "step %d is refused", i);
    }
    CHECK(attn_program_run(&bench.run, STEPS, step) == ATTN_OK, "the chain fails");
    CHECK(holds(&bench, STEPS, STEPS + 1), "the chain's sum is wrong");
    CHECK(holds(&bench, 0, 1), "an input that is still needed has changed");
    for (int i = 1; i < STEPS; i++) {
        CHECK(bench.slot[i].buffer == NULL, "slot %d is still there", i);
    }
    CHECK(spare_buffers(&bench) <= 2, "%d buffers for a chain", spare_buffers(&bench));
    stop(&bench);
}

/* a result may take the memory of its input only where nobody else has it */
static void works_in_place(void) {
    const int released = 0;
    struct attn_value out;
    struct bench bench;
    start(&bench);
    fill(&bench, 0, 1);
    const struct attn_step kept = sum(&released, &released, 0, NULL);
    const struct attn_step last = sum(&released, &released, 1, &released);
    CHECK(attn_step_like(&bench.run, &kept, &bench.slot[0], &out) == ATTN_OK &&
              out.buffer != bench.slot[0].buffer,
          "an input that is needed later is written over");
    CHECK(attn_step_like(&bench.run, &last, &bench.slot[0], &out) == ATTN_OK &&
              out.buffer == bench.slot[0].buffer && out.buffer->users == 2,
          "an input that is needed no more is not used again");
    attn_value_release(&bench.run.memory, &out);
    attn_value_view(&bench.slot[0], 2, bench.slot[0].dim, &bench.slot[1]);
    CHECK(attn_step_like(&bench.run, &last, &bench.slot[0], &out) == ATTN_OK &&
              out.buffer != bench.slot[0].buffer,
          "an input that another value shares is written over");
    stop(&bench);
}

static void shares_masks(void) {
    const ptrdiff_t dim[1] = {2};
    const int input[2] = {0, 1}, output = 2, release[2] = {0, 1};
    struct bench bench;
    start(&bench);
    fill(&bench, 0, 1);
    fill(&bench, 1, 2);
    CHECK(attn_value_new_mask(&bench.run.memory, 1, dim, &bench.slot[0]) == ATTN_OK, "no mask");
    memset(bench.slot[0].mask->data, 1, 2);
    attn_value_share_mask(&bench.slot[0], &bench.slot[1]);
    CHECK(bench.slot[0].mask->users == 2, "%d users", bench.slot[0].mask->users);
    const struct attn_step step = sum(input, &output, 2, release);
    CHECK(attn_program_run(&bench.run, 1, &step) == ATTN_OK && holds(&bench, 2, 3), "sum");
    CHECK(bench.slot[2].mask != NULL && bench.slot[2].mask_rank == 1 &&
              ((const uint8_t*)bench.slot[2].mask->data)[0] == 1,
          "the sum has lost the mask");
    stop(&bench);
}

static void fails_where_it_does(void) {
    const int good[2] = {0, 0}, bad[2] = {1, 9}, first = 1, second = 2;
    struct attn_step step[2] = {sum(good, &first, 0, NULL), sum(bad, &second, 0, NULL)};
    struct bench bench;
    start(&bench);
    fill(&bench, 0, 1);
    CHECK(attn_program_run(&bench.run, 2, step) == ATTN_BAD_STATE && bench.run.failed_step == 1,
          "an input that nobody has made, at step %d", bench.run.failed_step);
    stop(&bench);
}

static void looks_at_steps(void) {
    const int in[2] = {0, 1}, high[2] = {0, SLOTS}, none[2] = {-1, 0}, out = 2, beyond = SLOTS;
    const double setting = 1;
    struct attn_step step = sum(in, &out, 0, NULL);
    CHECK(attn_step_is_sound(&step, SLOTS), "a sound step is refused");
    step.input = high;
    CHECK(!attn_step_is_sound(&step, SLOTS), "an input beyond the slots");
    step.input = none;
    CHECK(!attn_step_is_sound(&step, SLOTS), "no first input");
    step = sum(in, &beyond, 0, NULL);
    CHECK(!attn_step_is_sound(&step, SLOTS), "an output beyond the slots");
    step = sum(in, &out, 1, &beyond);
    CHECK(!attn_step_is_sound(&step, SLOTS), "a slot beyond the others is released");
    step = sum(in, &out, 0, NULL);
    step.outputs = 0;
    CHECK(!attn_step_is_sound(&step, SLOTS), "no output");
    step = sum(in, &out, 0, NULL);
    step.operation = attn_operation_by_name("dense");
    step.inputs = 1;
    CHECK(!attn_step_is_sound(&step, SLOTS), "a dense step without a layer");
    step.settings = 1;
    step.setting = &setting;
    CHECK(!attn_step_is_sound(&step, SLOTS), "a setting that there is not");
    CHECK(attn_operation_by_name("nothing") == NULL, "an operation that there is not");
}

/* the same layer, trained twice in one run */
static void draws_anew(void) {
    const struct attn_random_key key = {{1, 2}};
    const int in = 0, out[2] = {1, 2};
    const double rate = 0.5;
    struct attn_layer* layer = NULL;
    struct bench bench;
    CHECK(attn_weights_create(ATTN_FLOAT32, 0, NULL, key, &layer) == ATTN_OK, "no layer");
    start(&bench);
    const ptrdiff_t dim[1] = {256};
    CHECK(attn_value_new(&bench.run.memory, ATTN_VALUE_FLOAT32, 1, dim, &bench.slot[0]) == ATTN_OK,
          "no value");
    for (int i = 0; i < 256; i++) {
        ((float*)bench.slot[0].buffer->data)[i] = 1;
    }
    struct attn_step step[2];
    for (int i = 0; i < 2; i++) {
        step[i] = (struct attn_step){.operation = attn_operation_by_name("dropout"),
                                     .dtype = ATTN_FLOAT32, .layer = layer, .inputs = 1,
                                     .input = &in, .outputs = 1, .output = &out[i], .settings = 1,
                                     .setting = &rate, .text = "", .training = 1};
    }
    const size_t size = 256 * sizeof(float);
    CHECK(attn_program_run(&bench.run, 2, step) == ATTN_OK &&
              memcmp(bench.slot[1].buffer->data, bench.slot[2].buffer->data, size) == 0,
          "the same call draws other numbers");
    step[1].calls_before = 1;
    CHECK(attn_program_run(&bench.run, 2, step) == ATTN_OK &&
              memcmp(bench.slot[1].buffer->data, bench.slot[2].buffer->data, size) != 0,
          "the next call draws the same numbers");
    stop(&bench);
    attn_layer_destroy(layer);
}

int main(void) {
    draws_anew();
    reuses_memory();
    works_in_place();
    shares_masks();
    fails_where_it_does();
    looks_at_steps();
    return checks_end();
}

#include "program.h"

#include <string.h>

#include "operations.h"

static const struct attn_operation* const operations[] = {
#define ROW(name) &attn_##name##_operation,
    ATTN_OPERATIONS(ROW)
#undef ROW
};
enum { OPERATIONS = sizeof operations / sizeof operations[0], MOST_INPUTS = 64, MOST_OUTPUTS = 2 };

const struct attn_operation* attn_operation_by_name(const char* name) {
    for (int i = 0; i < OPERATIONS; i++) {
        if (strcmp(operations[i]->name, name) == 0) {
            return operations[i];
        }
    }
    return NULL;
}

static int in_limits(const int limit[2], int count) {
    return (limit[0] < 0 || count >= limit[0]) && (limit[1] < 0 || count <= limit[1]);
}

int attn_step_is_sound(const struct attn_step* step, int slots) {
    const struct attn_operation* operation = step->operation;
    int sound = step->inputs >= 1 && step->inputs <= MOST_INPUTS && step->outputs >= 1 &&
                step->outputs <= MOST_OUTPUTS && in_limits(operation->inputs, step->inputs) &&
                in_limits(operation->settings, step->settings) &&
                (!operation->needs_layer || step->layer != NULL) &&
                (step->layer == NULL ||
                 (step->layer->built && step->layer->dtype == step->dtype));
    for (int i = 0; sound && i < step->inputs; i++) {
        sound = step->input[i] >= (i == 0 ? 0 : -1) && step->input[i] < slots;
    }
    for (int i = 0; sound && i < step->outputs; i++) {
        sound = step->output[i] >= 0 && step->output[i] < slots;
    }
    for (int i = 0; sound && i < step->released; i++) {
        sound = step->release[i] >= 0 && step->release[i] < slots;
    }
    return sound;
}

static enum attn_status run_step(struct attn_run* run, const struct attn_step* step) {
    struct attn_value* in[MOST_INPUTS];
    struct attn_value out[MOST_OUTPUTS];
    memset(out, 0, sizeof out);
    for (int i = 0; i < step->inputs; i++) {
        in[i] = step->input[i] < 0 ? NULL : &run->slot[step->input[i]];
        if (in[i] != NULL && in[i]->buffer == NULL) {
            return ATTN_BAD_STATE;
        }
    }
    ATTN_TRY(step->operation->run(run, step, in, out));
    for (int i = 0; step->operation->passes_mask && i < step->inputs && out[0].mask == NULL; i++) {
        if (in[i] != NULL) {
            attn_value_share_mask(in[i], &out[0]);
        }
    }
    for (int i = 0; i < step->outputs; i++) {
        attn_value_release(&run->memory, &run->slot[step->output[i]]);
        run->slot[step->output[i]] = out[i];
    }
    for (int i = 0; i < step->released; i++) {
        attn_value_release(&run->memory, &run->slot[step->release[i]]);
    }
    return ATTN_OK;
}

enum attn_status attn_program_run(struct attn_run* run, int steps, const struct attn_step* step) {
    static const size_t kept_scratch = (size_t)64 << 20;
    for (int i = 0; i < steps; i++) {
        run->failed_step = i;
        ATTN_TRY(run_step(run, &step[i]));
        attn_workspace_reset(run->context.workspace, kept_scratch);
        attn_parallel_poll(&run->context);
    }
    return ATTN_OK;
}

/* Keras's Embedding: rows of a table by their numbers, which count from 0.
 * Weights: embeddings (rows, columns). Settings: whether id 0 is padding, which makes
 * the output's mask. */
#include "embedding.h"

#include <string.h>

#include "step.h"

enum { MASK_ZERO, SETTINGS };

static enum attn_status run(struct attn_run* run, const struct attn_step* step,
                            struct attn_value* const* in, struct attn_value* out) {
    const struct attn_value* x = in[0];
    const struct attn_weight* table = &step->layer->weight[0];
    if (x->rank >= ATTN_MAX_RANK || step->layer->weights != 1 || table->rank != 2) {
        return ATTN_BAD_LENGTH;
    }
    const int32_t* id = attn_value_ids(&run->context, x);
    if (id == NULL) {
        return ATTN_NO_MEMORY;
    }
    const ptrdiff_t count = attn_value_length(x);
    ptrdiff_t dim[ATTN_MAX_RANK], wrong = 0;
    memcpy(dim, x->dim, sizeof dim);
    dim[x->rank] = table->dim[1];
    ATTN_TRY(attn_step_new(run, step, x->rank + 1, dim, out));
    const enum attn_status status =
        attn_embedding(&run->context, step->dtype, count, id, table->dim[0], table->dim[1],
                       attn_layer_weight(step->layer, 0), out->buffer->data, &wrong);
    if (status == ATTN_BAD_INDEX) {
        run->failed_number = attn_value_number(x, wrong);
    }
    ATTN_TRY(status);
    if (attn_step_flag(step, MASK_ZERO)) {
        ATTN_TRY(attn_value_new_mask(&run->memory, x->rank, x->dim, out));
        attn_mask_zero(&run->context, count, id, out->mask->data);
    }
    return ATTN_OK;
}

const struct attn_operation attn_embedding_operation = {
    .name = "embedding", .inputs = {1, 1}, .settings = {SETTINGS, SETTINGS},
    .passes_mask = 0, .needs_layer = 1, .run = run,
};

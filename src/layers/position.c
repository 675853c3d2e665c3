/* KerasHub's PositionEmbedding and SinePositionEncoding: what is to be added to a tensor
 * (..., T, D) so that its rows know where they are; of the shape of the input, whose
 * numbers do not matter.
 *
 * Inputs: the tensor; the number of the first position, or none, which is the setting
 * START then. Weights of the first: embeddings (sequence_length, D). */
#include "position.h"

#include <string.h>

#include "start_index.h"

/* whether there is something of the shape of x to write a table to */
static int has_entries(const struct attn_value* x) {
    return attn_value_extent(x, 0, x->rank - 2) > 0;
}

/* Makes of the table (T, D) with which out begins the whole of out: it repeats itself. */
static void repeat_table(const struct attn_run* run, const struct attn_step* step,
                         struct attn_value* out) {
    const size_t size = (size_t)attn_value_extent(out, out->rank - 2, out->rank) *
                        attn_dtype_size(step->dtype);
    const ptrdiff_t copies = attn_value_extent(out, 0, out->rank - 2);
    unsigned char* table = out->buffer->data;
    ptrdiff_t since = 0;
    for (ptrdiff_t i = 1; i < copies; i++) {
        attn_parallel_copy(&run->context, table + (size_t)i * size, table, size);
        attn_parallel_poll_after(&run->context, (ptrdiff_t)size, &since);
    }
}

enum { LEARNED_START, LEARNED_SETTINGS };

static enum attn_status run_learned(struct attn_run* run, const struct attn_step* step,
                                    struct attn_value* const* in, struct attn_value* out) {
    const struct attn_value* x = in[0];
    const struct attn_weight* embeddings = &step->layer->weight[0];
    if (x->rank < 2 || step->layer->weights != 1 || embeddings->rank != 2 ||
        x->dim[x->rank - 1] != embeddings->dim[1]) {
        return ATTN_BAD_LENGTH;
    }
    const ptrdiff_t T = x->dim[x->rank - 2], D = embeddings->dim[1];
    ptrdiff_t start;
    const void* rows;
    ATTN_TRY(attn_start_index(run, step, in[1], LEARNED_START, &start));
    run->failed_number = (double)(start < 0 ? start : start + T - 1);
    ATTN_TRY(attn_learned_positions(step->dtype, T, D, start, embeddings->dim[0],
                                    attn_layer_weight(step->layer, 0), &rows));
    ATTN_TRY(attn_step_new(run, step, x->rank, x->dim, out));
    if (has_entries(x)) {
        attn_parallel_copy(&run->context, out->buffer->data, rows,
                           (size_t)(T * D) * attn_dtype_size(step->dtype));
        repeat_table(run, step, out);
    }
    return ATTN_OK;
}

const struct attn_operation attn_learned_positions_operation = {
    .name = "learned_positions", .inputs = {2, 2}, .settings = {LEARNED_SETTINGS, LEARNED_SETTINGS},
    .passes_mask = 1, .needs_layer = 1, .run = run_learned,
};

enum { SINE_START, SINE_WAVELENGTH, SINE_SETTINGS };

static enum attn_status run_sine(struct attn_run* run, const struct attn_step* step,
                                 struct attn_value* const* in, struct attn_value* out) {
    const struct attn_value* x = in[0];
    if (x->rank < 2) {
        return ATTN_BAD_LENGTH;
    }
    ptrdiff_t start;
    ATTN_TRY(attn_start_index(run, step, in[1], SINE_START, &start));
    ATTN_TRY(attn_step_new(run, step, x->rank, x->dim, out));
    if (has_entries(x)) {
        attn_sine_positions(&run->context, step->dtype, x->dim[x->rank - 2], x->dim[x->rank - 1], start,
                            step->setting[SINE_WAVELENGTH], out->buffer->data);
        repeat_table(run, step, out);
    }
    return ATTN_OK;
}

const struct attn_operation attn_sine_positions_operation = {
    .name = "sine_positions", .inputs = {2, 2}, .settings = {SINE_SETTINGS, SINE_SETTINGS},
    .passes_mask = 1, .needs_layer = 0, .run = run_sine,
};

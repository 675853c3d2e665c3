#include "value.h"

#include <string.h>

size_t attn_value_type_size(enum attn_value_type type) {
    switch (type) {
        case ATTN_VALUE_FLOAT32:
            return sizeof(float);
        case ATTN_VALUE_FLOAT64:
            return sizeof(double);
        case ATTN_VALUE_INT32:
            return sizeof(int32_t);
        case ATTN_VALUE_BOOL:
            break;
    }
    return sizeof(uint8_t);
}

ptrdiff_t attn_value_extent(const struct attn_value* value, int first, int end) {
    ptrdiff_t extent = 1;
    for (int axis = first; axis < end; axis++) {
        extent *= value->dim[axis];
    }
    return extent;
}

ptrdiff_t attn_value_length(const struct attn_value* value) {
    return attn_value_extent(value, 0, value->rank);
}

/* The smallest spare buffer that is large enough, but not so large that something
 * else will miss it; or a new one. */
static struct attn_buffer* take(struct attn_value_memory* memory, size_t size) {
    struct attn_buffer **best = NULL, *taken;
    for (struct attn_buffer** at = &memory->spare; *at != NULL; at = &(*at)->next) {
        if ((*at)->size >= size && (*at)->size / 4 <= size &&
            (best == NULL || (*at)->size < (*best)->size)) {
            best = at;
        }
    }
    if (best != NULL) {
        taken = *best;
        *best = taken->next;
    } else {
        taken = attn_workspace_take(memory->workspace, 1, sizeof *taken);
        if (taken == NULL) {
            return NULL;
        }
        taken->size = size;
        taken->data = attn_workspace_take(memory->workspace, size, 1);
        if (taken->data == NULL) {
            return NULL;
        }
    }
    taken->users = 1;
    return taken;
}

static void give_back(struct attn_value_memory* memory, struct attn_buffer* buffer) {
    if (buffer != NULL && --buffer->users == 0) {
        buffer->next = memory->spare;
        memory->spare = buffer;
    }
}

static enum attn_status checked_size(enum attn_value_type type, int rank, const ptrdiff_t* dim,
                                     size_t* size) {
    ptrdiff_t length;
    if (rank < 0 || rank > ATTN_MAX_RANK) {
        return ATTN_BAD_LENGTH;
    }
    ATTN_TRY(attn_checked_length(rank, dim, &length));
    *size = (size_t)(length > 0 ? length : 1) * attn_value_type_size(type);
    return ATTN_OK;
}

static void set_dims(int rank, const ptrdiff_t* dim, ptrdiff_t* to) {
    if (rank > 0) {
        memmove(to, dim, (size_t)rank * sizeof *dim);
    }
}

enum attn_status attn_value_new(struct attn_value_memory* memory, enum attn_value_type type,
                                int rank, const ptrdiff_t* dim, struct attn_value* value) {
    size_t size;
    ATTN_TRY(checked_size(type, rank, dim, &size));
    struct attn_buffer* buffer = take(memory, size);
    if (buffer == NULL) {
        return ATTN_NO_MEMORY;
    }
    struct attn_value made = {.type = type, .rank = rank, .buffer = buffer};
    set_dims(rank, dim, made.dim);
    *value = made;
    return ATTN_OK;
}

void attn_value_view(const struct attn_value* from, int rank, const ptrdiff_t* dim,
                     struct attn_value* view) {
    struct attn_value made = {.type = from->type, .rank = rank, .buffer = from->buffer};
    set_dims(rank, dim, made.dim);
    made.buffer->users++;
    *view = made;
}

enum attn_status attn_value_new_mask(struct attn_value_memory* memory, int rank,
                                     const ptrdiff_t* dim, struct attn_value* value) {
    size_t size;
    ATTN_TRY(checked_size(ATTN_VALUE_BOOL, rank, dim, &size));
    value->mask = take(memory, size);
    value->mask_rank = rank;
    set_dims(rank, dim, value->mask_dim);
    return value->mask != NULL ? ATTN_OK : ATTN_NO_MEMORY;
}

void attn_value_share_mask(const struct attn_value* from, struct attn_value* to) {
    if (from->mask != NULL) {
        to->mask = from->mask;
        to->mask->users++;
        to->mask_rank = from->mask_rank;
        set_dims(from->mask_rank, from->mask_dim, to->mask_dim);
    }
}

void attn_value_release(struct attn_value_memory* memory, struct attn_value* value) {
    give_back(memory, value->buffer);
    give_back(memory, value->mask);
    value->buffer = value->mask = NULL;
}

double attn_value_number(const struct attn_value* value, ptrdiff_t i) {
    const void* data = value->buffer->data;
    switch (value->type) {
        case ATTN_VALUE_FLOAT32:
            return ((const float*)data)[i];
        case ATTN_VALUE_FLOAT64:
            return ((const double*)data)[i];
        case ATTN_VALUE_INT32:
            return ((const int32_t*)data)[i];
        case ATTN_VALUE_BOOL:
            break;
    }
    return ((const uint8_t*)data)[i];
}

void attn_value_put(const struct attn_value* value, ptrdiff_t at, double x) {
    switch (value->type) {
        case ATTN_VALUE_FLOAT32:
            ((float*)value->buffer->data)[at] = (float)x;
            break;
        case ATTN_VALUE_FLOAT64:
            ((double*)value->buffer->data)[at] = x;
            break;
        case ATTN_VALUE_INT32:
            ((int32_t*)value->buffer->data)[at] =
                x > -2147483649.0 && x < 2147483648.0 ? (int32_t)x : INT32_MIN;
            break;
        case ATTN_VALUE_BOOL:
            ((uint8_t*)value->buffer->data)[at] = x != 0;
            break;
    }
}

const void* attn_value_floats(const struct attn_context* context, enum attn_dtype dtype,
                              const struct attn_value* value) {
    if ((int)value->type == (int)dtype) {
        return value->buffer->data;
    }
    const ptrdiff_t length = attn_value_length(value);
    void* made = attn_workspace_take(context->workspace, (size_t)length + 1,
                                     attn_dtype_size(dtype));
    for (ptrdiff_t i = 0; made != NULL && i < length; i++) {
        if (dtype == ATTN_FLOAT32) {
            ((float*)made)[i] = (float)attn_value_number(value, i);
        } else {
            ((double*)made)[i] = attn_value_number(value, i);
        }
        attn_parallel_poll_at(context, i);
    }
    return made;
}

const int32_t* attn_value_ids(const struct attn_context* context, const struct attn_value* value) {
    if (value->type == ATTN_VALUE_INT32) {
        return value->buffer->data;
    }
    const ptrdiff_t length = attn_value_length(value);
    int32_t* made = attn_workspace_take(context->workspace, (size_t)length + 1, sizeof *made);
    for (ptrdiff_t i = 0; made != NULL && i < length; i++) {
        const double x = attn_value_number(value, i);
        made[i] = x > -2147483649.0 && x < 2147483648.0 ? (int32_t)x : INT32_MIN;
        attn_parallel_poll_at(context, i);
    }
    return made;
}

const uint8_t* attn_value_flags(const struct attn_context* context,
                                const struct attn_value* value) {
    if (value->type == ATTN_VALUE_BOOL) {
        return value->buffer->data;
    }
    const ptrdiff_t length = attn_value_length(value);
    uint8_t* made = attn_workspace_take(context->workspace, (size_t)length + 1, sizeof *made);
    for (ptrdiff_t i = 0; made != NULL && i < length; i++) {
        made[i] = attn_value_number(value, i) != 0;
        attn_parallel_poll_at(context, i);
    }
    return made;
}

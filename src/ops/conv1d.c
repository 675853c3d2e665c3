#include "conv1d.h"

#include <string.h>

#include "activations.h"
#include "batch_product.h"
#include "layout.h"
#include "matmul.h"
#include "row_items.h"

#define COPY_OPERATIONS 4.0

/* Numbers of windows that are laid out for one product, where they have to be: enough
 * rows to be worth a product, and a bound on the memory beside x and y. */
enum { WINDOW_NUMBERS = 1 << 20, LEAST_WINDOWS = 256 };

enum attn_status attn_conv1d_steps(const struct attn_conv1d* conv, ptrdiff_t T, ptrdiff_t* steps) {
    ptrdiff_t numbers;
    const ptrdiff_t reach[2] = {conv->kernel_size, conv->dilation};
    const ptrdiff_t kernel[3] = {conv->kernel_size, conv->channels, conv->filters};
    if (T < 0 || conv->channels < 1 || conv->filters < 1 || conv->kernel_size < 1 ||
        conv->stride < 1 || conv->dilation < 1 || conv->groups < 1 ||
        conv->channels % conv->groups != 0 || conv->filters % conv->groups != 0) {
        return ATTN_BAD_LENGTH;
    }
    ATTN_TRY(attn_checked_length(3, kernel, &numbers));
    ATTN_TRY(attn_checked_length(2, reach, &numbers));
    const ptrdiff_t spread = (conv->kernel_size - 1) * conv->dilation;
    const ptrdiff_t starts = conv->padding == ATTN_PAD_VALID ? T - spread : T;
    *steps = starts < 1 ? 0 : (starts - 1) / conv->stride + 1;
    return *steps > 0 ? ATTN_OK : ATTN_BAD_LENGTH;
}

/* zeros in front of x */
static ptrdiff_t left_padding(const struct attn_conv1d* conv, ptrdiff_t T, ptrdiff_t steps) {
    const ptrdiff_t spread = (conv->kernel_size - 1) * conv->dilation;
    const ptrdiff_t missing = (steps - 1) * conv->stride + spread + 1 - T;
    switch (conv->padding) {
        case ATTN_PAD_SAME:
            return missing > 0 ? missing / 2 : 0;
        case ATTN_PAD_CAUSAL:
            return spread;
        default:
            return 0;
    }
}

/* Windows of x, laid out as rows (kernel_size, channels). */
struct windows {
    const struct attn_conv1d* conv;
    size_t step; /* bytes of all channels */
    ptrdiff_t T, steps, left;
    ptrdiff_t first, rows, per_item; /* rows first .. first + rows - 1 of B * steps */
    const unsigned char* x;          /* (B, T, channels) */
    unsigned char* to;               /* (rows, kernel_size, channels) */
};

static void lay_out_row(const struct windows* work, ptrdiff_t row, unsigned char* to) {
    const struct attn_conv1d* conv = work->conv;
    const unsigned char* x = work->x + (size_t)(row / work->steps * work->T) * work->step;
    ptrdiff_t at = row % work->steps * conv->stride - work->left;
    for (ptrdiff_t k = 0; k < conv->kernel_size; k++) {
        if (at >= 0 && at < work->T) {
            memcpy(to, x + (size_t)at * work->step, work->step);
        } else {
            memset(to, 0, work->step);
        }
        to += work->step;
        at += conv->dilation;
    }
}

static void lay_out_item(void* data, ptrdiff_t item, int thread) {
    const struct windows* work = data;
    const ptrdiff_t begin = item * work->per_item;
    const ptrdiff_t end = begin + attn_item_rows(work->rows, begin, work->per_item);
    (void)thread;
    for (ptrdiff_t row = begin; row < end; row++) {
        lay_out_row(work, work->first + row,
                    work->to + (size_t)(row * work->conv->kernel_size) * work->step);
    }
}

static void lay_out(const struct attn_context* context, struct windows* windows,
                    ptrdiff_t columns) {
    const ptrdiff_t items = attn_row_items(windows->rows, windows->per_item);
    const int threads = attn_parallel_width(
        context, items, COPY_OPERATIONS * (double)windows->rows * (double)columns);
    attn_parallel_run(context, threads, items, lay_out_item, windows);
}

static ptrdiff_t group_depth(const struct attn_conv1d* conv) {
    return conv->kernel_size * (conv->channels / conv->groups);
}

/* One group: panels of a product. Several: (groups, depth, filters / groups). */
size_t attn_conv1d_packed_size(enum attn_dtype dtype, const struct attn_conv1d* conv) {
    return conv->groups == 1
               ? attn_matmul_packed_size(dtype, group_depth(conv), conv->filters)
               : (size_t)(group_depth(conv) * conv->filters) * attn_dtype_size(dtype);
}

enum attn_status attn_conv1d_pack(const struct attn_context* context, enum attn_dtype dtype,
                                  const struct attn_conv1d* conv, const void* kernel,
                                  void* packed) {
    static const int groups_first[3] = {1, 0, 2};
    const ptrdiff_t dim[3] = {group_depth(conv), conv->groups, conv->filters / conv->groups};
    if (conv->groups > 1) {
        return attn_permute(context, dtype, 3, dim, groups_first, kernel, packed);
    }
    attn_matmul_pack(context, dtype, group_depth(conv), conv->filters, kernel, packed);
    return ATTN_OK;
}

static enum attn_status take(const struct attn_context* context, enum attn_dtype dtype,
                             const ptrdiff_t dim[3], void** taken) {
    ptrdiff_t numbers;
    ATTN_TRY(attn_checked_length(3, dim, &numbers));
    *taken = attn_workspace_take(context->workspace, (size_t)numbers, attn_dtype_size(dtype));
    return *taken != NULL ? ATTN_OK : ATTN_NO_MEMORY;
}

/* Memory for the products of several groups. */
struct grouped {
    void* windows; /* (groups, rows, kernel_size, channels / groups) */
    void* product; /* (groups, rows, filters / groups) */
};

/* y (rows, filters) from `rows` windows, group by group */
static enum attn_status multiply_groups(const struct attn_context* context, enum attn_dtype dtype,
                                        const struct attn_conv1d* conv, ptrdiff_t rows,
                                        const void* windows, const void* packed,
                                        const struct grouped* grouped, void* y) {
    static const int groups_first[4] = {2, 0, 1, 3}, rows_first[3] = {1, 0, 2};
    const ptrdiff_t filters = conv->filters / conv->groups;
    const ptrdiff_t window_dim[4] = {rows, conv->kernel_size, conv->groups,
                                     conv->channels / conv->groups};
    const ptrdiff_t product_dim[3] = {conv->groups, rows, filters};
    ATTN_TRY(attn_permute(context, dtype, 4, window_dim, groups_first, windows, grouped->windows));
    ATTN_TRY(attn_batch_product(context, dtype, conv->groups, rows, filters, group_depth(conv),
                                grouped->windows, packed, grouped->product));
    return attn_permute(context, dtype, 3, product_dim, rows_first, grouped->product, y);
}

/* x with zeros in front of and behind its steps: `length` steps of each entry, from the
 * first that a window has on. An item of work is `per_item` steps of an entry. */
struct padding {
    size_t step; /* bytes of all channels */
    ptrdiff_t T, left, length;
    const unsigned char* x;
    unsigned char* to;
    ptrdiff_t per_item, items; /* items: of an entry */
};

static void pad_item(void* data, ptrdiff_t item, int thread) {
    const struct padding* work = data;
    const ptrdiff_t entry = item / work->items, first = item % work->items * work->per_item;
    const ptrdiff_t end = first + attn_item_rows(work->length, first, work->per_item);
    const unsigned char* x = work->x + (size_t)(entry * work->T) * work->step;
    unsigned char* to = work->to + (size_t)(entry * work->length) * work->step;
    (void)thread;
    for (ptrdiff_t step = first; step < end; step++) {
        const ptrdiff_t from = step - work->left;
        if (from >= 0 && from < work->T) {
            memcpy(to + (size_t)step * work->step, x + (size_t)from * work->step, work->step);
        } else {
            memset(to + (size_t)step * work->step, 0, work->step);
        }
    }
}

/* Without dilation and groups a window lies in one piece: the product reads it where it
 * is. y (B, steps, filters) with the bias, channels last. */
static enum attn_status convolve_in_place(const struct attn_context* context,
                                          enum attn_dtype dtype, const struct attn_conv1d* conv,
                                          ptrdiff_t batch, ptrdiff_t T, ptrdiff_t steps,
                                          const void* x, const void* packed, const void* bias,
                                          void* y) {
    const size_t step = (size_t)conv->channels * attn_dtype_size(dtype);
    struct padding pad = {step, T, left_padding(conv, T, steps),
                          (steps - 1) * conv->stride + conv->kernel_size, x, NULL,
                          attn_rows_per_item(conv->channels), 0};
    ptrdiff_t length = T;
    if (pad.left > 0 || pad.length > T) {
        const ptrdiff_t dim[3] = {batch, pad.length, conv->channels};
        void* padded;
        ATTN_TRY(take(context, dtype, dim, &padded));
        pad.to = padded;
        pad.items = attn_row_items(pad.length, pad.per_item);
        const int threads =
            attn_parallel_width(context, batch * pad.items,
                                COPY_OPERATIONS * (double)batch * (double)pad.length *
                                    (double)conv->channels);
        attn_parallel_run(context, threads, batch * pad.items, pad_item, &pad);
        x = padded;
        length = pad.length;
    }
    ptrdiff_t* place =
        attn_workspace_take(context->workspace, (size_t)(batch * steps), sizeof *place);
    if (place == NULL) {
        return ATTN_NO_MEMORY;
    }
    for (ptrdiff_t row = 0; row < batch * steps; row++) {
        place[row] = row / steps * length + row % steps * conv->stride;
        attn_parallel_poll_at(context, row);
    }
    struct attn_matrix windows = attn_rows(x, conv->channels);
    const struct attn_factor factor = {conv->filters, packed, bias,
                                       attn_rows_out(y, conv->filters)};
    windows.row_place = place;
    return attn_matmul_each(context, dtype, batch * steps, conv->kernel_size * conv->channels,
                            &windows, 1, &factor);
}

/* The same by windows that are laid out first. */
static enum attn_status convolve_laid_out(const struct attn_context* context,
                                          enum attn_dtype dtype, const struct attn_conv1d* conv,
                                          ptrdiff_t batch, ptrdiff_t T, ptrdiff_t steps,
                                          const void* x, const void* packed, const void* bias,
                                          void* y) {
    static const struct attn_activation linear = {ATTN_LINEAR, {0}};
    const ptrdiff_t rows = batch * steps, depth = conv->kernel_size * conv->channels;
    const size_t number = attn_dtype_size(dtype);
    ptrdiff_t most = WINDOW_NUMBERS / depth;
    most = most < LEAST_WINDOWS ? LEAST_WINDOWS : most;
    most = most > rows ? rows : most;
    struct windows windows = {conv, (size_t)conv->channels * number, T, steps,
                              left_padding(conv, T, steps), 0, 0, attn_rows_per_item(depth), x,
                              NULL};
    const ptrdiff_t window_dim[3] = {most, conv->kernel_size, conv->channels};
    const ptrdiff_t product_dim[3] = {most, 1, conv->filters};
    struct grouped grouped = {NULL, NULL};
    void* laid_out;
    ATTN_TRY(take(context, dtype, window_dim, &laid_out));
    if (conv->groups > 1) {
        ATTN_TRY(take(context, dtype, window_dim, &grouped.windows));
        ATTN_TRY(take(context, dtype, product_dim, &grouped.product));
    }
    windows.to = laid_out;
    for (; windows.first < rows; windows.first += most) {
        unsigned char* to = (unsigned char*)y + (size_t)(windows.first * conv->filters) * number;
        windows.rows = rows - windows.first < most ? rows - windows.first : most;
        attn_parallel_poll(context);
        lay_out(context, &windows, depth);
        if (conv->groups > 1) {
            ATTN_TRY(multiply_groups(context, dtype, conv, windows.rows, laid_out, packed,
                                     &grouped, to));
        } else {
            ATTN_TRY(attn_matmul(context, dtype, windows.rows, depth, conv->filters, laid_out,
                                 packed, bias, to));
        }
    }
    return conv->groups > 1
               ? attn_bias_activate(context, dtype, rows, conv->filters, bias, &linear, y)
               : ATTN_OK;
}

enum attn_status attn_conv1d(const struct attn_context* context, enum attn_dtype dtype,
                             const struct attn_conv1d* conv, ptrdiff_t batch, ptrdiff_t T,
                             const void* x, const void* packed, const void* bias,
                             const struct attn_activation* activation, void* y) {
    static const int swap[3] = {0, 2, 1};
    const ptrdiff_t x_dim[3] = {batch, conv->channels, T};
    ptrdiff_t steps, numbers;
    void *last = y, *x_last;
    ATTN_TRY(attn_conv1d_steps(conv, T, &steps));
    const ptrdiff_t y_dim[3] = {batch, steps, conv->filters};
    ATTN_TRY(attn_checked_length(3, x_dim, &numbers));
    ATTN_TRY(attn_checked_length(3, y_dim, &numbers));
    if (batch == 0) {
        return ATTN_OK;
    }
    if (conv->channels_first) {
        ATTN_TRY(take(context, dtype, x_dim, &x_last));
        ATTN_TRY(take(context, dtype, y_dim, &last));
        ATTN_TRY(attn_permute(context, dtype, 3, x_dim, swap, x, x_last));
        x = x_last;
    }
    ATTN_TRY((conv->dilation == 1 && conv->groups == 1 ? convolve_in_place : convolve_laid_out)(
        context, dtype, conv, batch, T, steps, x, packed, bias, last));
    if (conv->channels_first) {
        ATTN_TRY(attn_permute(context, dtype, 3, y_dim, swap, last, y));
    }
    /* a softmax is over the last axis, whichever that is */
    const ptrdiff_t columns = conv->channels_first ? steps : conv->filters;
    return attn_bias_activate(context, dtype, batch * steps * conv->filters / columns, columns,
                              NULL, activation, y);
}

/* Copies between the layouts, in one precision; see matrix.h. Included by matrix.c. */

void REAL_NAME(attn_write_columns)(ptrdiff_t rows, ptrdiff_t columns, const real* from,
                                   ptrdiff_t from_row, const struct attn_matrix_out* to,
                                   ptrdiff_t first_row, ptrdiff_t first_column) {
    ptrdiff_t even[COPY_COLUMNS];
    for (ptrdiff_t done = 0; done < columns; done += COPY_COLUMNS) {
        const ptrdiff_t first = first_column + done;
        const ptrdiff_t count = columns - done < COPY_COLUMNS ? columns - done : COPY_COLUMNS;
        const ptrdiff_t* place = even;
        if (to->column_offset != NULL) {
            place = to->column_offset + first;
        } else {
            for (ptrdiff_t i = 0; i < count; i++) {
                even[i] = (first + i) * to->step;
            }
        }
        REAL_KERNELS->write_columns(rows, count, from + done, from_row,
                                    (double*)to->data + first_row, place);
    }
}

/* rows to rows, columns to rows, or rows to columns */
static void REAL_NAME(copy_block)(void* work, ptrdiff_t item, int thread) {
    (void)thread;
    const struct copy* copy = work;
    const struct attn_matrix* from = &copy->from;
    const struct attn_matrix_out* to = &copy->to;
    const ptrdiff_t first = item * COPY_ROWS, rows = rows_of_block(copy, first);
    if (from->layout == ATTN_COLUMNS) {
        REAL_KERNELS->read_columns(rows, copy->columns, (const double*)from->data + first,
                                   from->step, (real*)to->data + first * to->step, to->step);
    } else if (to->layout == ATTN_COLUMNS) {
        REAL_NAME(attn_write_columns)(rows, copy->columns,
                                      (const real*)from->data + first * from->step, from->step,
                                      to, first, 0);
    } else {
        for (ptrdiff_t row = first; row < first + rows; row++) {
            memcpy((real*)to->data + row * to->step, (const real*)from->data + row * from->step,
                   (size_t)copy->columns * sizeof(real));
        }
    }
}

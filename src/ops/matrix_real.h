/* Copies between the layouts, in one precision; see matrix.h. Included by matrix.c. */

static void REAL_NAME(copy_block)(void* work, ptrdiff_t item, int thread) {
    (void)thread;
    const struct copy* copy = work;
    const struct attn_matrix* from = &copy->from;
    const struct attn_matrix_out* to = &copy->to;
    const ptrdiff_t first = item / copy->column_blocks * COPY_ROWS;
    const ptrdiff_t column = item % copy->column_blocks * COPY_COLUMNS;
    const ptrdiff_t rows = copy->rows - first < COPY_ROWS ? copy->rows - first : COPY_ROWS;
    const ptrdiff_t columns =
        copy->columns - column < COPY_COLUMNS ? copy->columns - column : COPY_COLUMNS;
    const ptrdiff_t source =
        start_of_block(from->layout, from->step, from->row_place, NULL, first, column);
    const ptrdiff_t target =
        start_of_block(to->layout, to->step, to->row_place, to->column_place, first, column);
    const ptrdiff_t* source_place = attn_places_from(from->row_place, first);
    const ptrdiff_t* target_place = attn_places_from(to->row_place, first);
    if (from->layout == ATTN_COLUMNS) {
        REAL_KERNELS->read_columns(rows, columns, (const double*)from->data + source, from->step,
                                   (real*)to->data + target, to->step, target_place);
    } else if (to->layout == ATTN_COLUMNS) {
        REAL_KERNELS->write_columns(rows, columns, (const real*)from->data + source, from->step,
                                    source_place, (double*)to->data + target, to->step,
                                    attn_places_from(to->column_place, column));
    } else {
        for (ptrdiff_t row = 0; row < rows; row++) {
            memcpy((real*)to->data + target +
                       (target_place != NULL ? target_place[row] : row) * to->step,
                   (const real*)from->data + source +
                       (source_place != NULL ? source_place[row] : row) * from->step,
                   (size_t)columns * sizeof(real));
        }
    }
}

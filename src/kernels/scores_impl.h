/* From tiles of weights to an array of doubles that a caller laid out. Included by
 * kernels_impl.h. */

static int KERNEL(follow_each_other)(ptrdiff_t count, const ptrdiff_t* place) {
    ptrdiff_t i = 1;
    while (i < count && place[i] == place[0] + i) {
        i++;
    }
    return i >= count;
}

/* VEC_LANES lanes of up to VEC_LANES matrices of one key: those of a lane go to
 * neighbors in memory */
ATTN_INLINE void KERNEL(store_across)(ptrdiff_t matrices, ptrdiff_t lanes, const real* weights,
                                      ptrdiff_t step, double* to, const ptrdiff_t* row) {
    vec x[VEC_LANES];
    ATTN_UNROLL
    for (int m = 0; m < VEC_LANES; m++) {
        /* what there is no matrix for is not stored */
        x[m] = vec_load(weights + (m < matrices ? m : 0) * step);
    }
    vec_transpose(x);
    if (matrices >= VEC_LANES && lanes >= VEC_LANES) {
        ATTN_UNROLL
        for (int i = 0; i < VEC_LANES; i++) {
            vec_to_doubles(to + row[i], x[i]);
        }
        return;
    }
    double all[VEC_LANES][VEC_LANES];
    ATTN_UNROLL
    for (int i = 0; i < VEC_LANES; i++) {
        vec_to_doubles(all[i], x[i]);
    }
    const ptrdiff_t present = matrices < VEC_LANES ? matrices : VEC_LANES;
    for (ptrdiff_t i = 0; i < lanes && i < VEC_LANES; i++) {
        memcpy(to + row[i], all[i], (size_t)present * sizeof(double));
    }
}

/* the lanes of one matrix and key, which follow each other in memory */
ATTN_INLINE void KERNEL(store_along)(ptrdiff_t lanes, const real* weights, double* to) {
    ptrdiff_t i = 0;
    for (; i + VEC_LANES <= lanes; i += VEC_LANES) {
        vec_to_doubles(to + i, vec_load(weights + i));
    }
    for (; i < lanes; i++) {
        to[i] = (double)weights[i];
    }
}

static void KERNEL(store_weights)(ptrdiff_t matrices, ptrdiff_t keys, ptrdiff_t lanes,
                                  const real* weights, ptrdiff_t step, double* to,
                                  const ptrdiff_t* matrix, const ptrdiff_t* row,
                                  const ptrdiff_t* source) {
    const int across = 2 * matrices > VEC_LANES && KERNEL(follow_each_other)(matrices, matrix);
    const int along = KERNEL(follow_each_other)(lanes, row);
    for (ptrdiff_t j = 0; j < keys; j++) {
        const real* of_key = weights + j * BLOCK_COLUMNS;
        double* at = to + source[j];
        for (ptrdiff_t m = 0; across && m < matrices; m += VEC_LANES) {
            for (ptrdiff_t i = 0; i < lanes; i += VEC_LANES) {
                KERNEL(store_across)(matrices - m, lanes - i, of_key + m * step + i, step,
                                     at + matrix[m], row + i);
            }
        }
        for (ptrdiff_t m = 0; !across && m < matrices; m++) {
            if (along) {
                KERNEL(store_along)(lanes, of_key + m * step, at + matrix[m] + row[0]);
                continue;
            }
            for (ptrdiff_t i = 0; i < lanes; i++) {
                at[matrix[m] + row[i]] = (double)of_key[m * step + i];
            }
        }
    }
}

#include "tensor.h"

#include <stdint.h>

enum attn_status attn_checked_length(int rank, const ptrdiff_t* dim, ptrdiff_t* length) {
    const ptrdiff_t limit = PTRDIFF_MAX / 16;
    ptrdiff_t product = 1;
    int is_empty = 0;
    for (int axis = 0; axis < rank; axis++) {
        if (dim[axis] < 0 || (dim[axis] > 0 && product > limit / dim[axis])) {
            return ATTN_BAD_LENGTH;
        }
        is_empty = is_empty || dim[axis] == 0;
        product *= dim[axis] > 0 ? dim[axis] : 1;
    }
    *length = is_empty ? 0 : product;
    return ATTN_OK;
}

/* What a function of the core returns. The core never calls R, never prints
 * and never ends the process: it says what went wrong and its caller decides. */
#ifndef ATTN_CORE_STATUS_H
#define ATTN_CORE_STATUS_H

enum attn_status {
    ATTN_OK = 0,
    ATTN_NO_MEMORY,  /* an allocation failed; nothing has changed */
    ATTN_BAD_STATE,  /* serialized bytes that are not a layer of ours */
    ATTN_BAD_LENGTH, /* sizes that do not fit each other or size_t */
    ATTN_BAD_INDEX   /* a number of a row that is not there */
};

#define ATTN_TRY(call)                        \
    do {                                      \
        enum attn_status try_status = (call); \
        if (try_status != ATTN_OK) {          \
            return try_status;                \
        }                                     \
    } while (0)

#endif

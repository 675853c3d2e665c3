/* Scratch memory of one call. Blocks are only added while a call runs, so
 * pointers stay valid until the reset; what a call needed in several blocks the
 * next one finds in a single block. The owner resets it after every call, also
 * after one that was interrupted. */
#ifndef ATTN_CORE_WORKSPACE_H
#define ATTN_CORE_WORKSPACE_H

#include <stddef.h>

struct attn_workspace_block;

struct attn_workspace {
    struct attn_workspace_block* blocks; /* newest first */
    size_t wanted;                       /* size of the first block of the next call */
};

/* `count` elements of `size` bytes, aligned to 64 bytes, not cleared; NULL
 * without memory. */
void* attn_workspace_take(struct attn_workspace* workspace, size_t count, size_t size);

/* Forgets what was taken. Keeps one block of at most `keep` bytes. */
void attn_workspace_reset(struct attn_workspace* workspace, size_t keep);

/* Bytes that all workspaces hold now. */
size_t attn_workspace_held(void);

#endif

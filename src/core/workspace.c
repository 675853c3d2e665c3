#include "workspace.h"

#include <stdint.h>
#include <stdlib.h>

/* Under the address sanitizer what is taken is followed by bytes that nobody may touch,
 * and so is what is left of a block: else a step over the end of one piece of memory
 * would go unseen into the next. */
#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define IS_GUARDED 1
#endif
#elif defined(__SANITIZE_ADDRESS__)
#define IS_GUARDED 1
#endif
#ifdef IS_GUARDED
#include <sanitizer/asan_interface.h>
#define FORBID(start, size) __asan_poison_memory_region(start, size)
#define ALLOW(start, size) __asan_unpoison_memory_region(start, size)
enum { GUARD = 64, SMALLEST_BLOCK = 1 }; /* so that each piece can fail on its own */
#else
#define FORBID(start, size) ((void)0)
#define ALLOW(start, size) ((void)0)
enum { GUARD = 0, SMALLEST_BLOCK = 1 << 16 };
#endif

enum { ALIGNMENT = 64 };

struct attn_workspace_block {
    struct attn_workspace_block* older;
    size_t capacity; /* usable bytes behind the aligned start */
    size_t used;
    unsigned char* start;
};

static size_t held = 0; /* by the blocks of all workspaces */

static void free_block(struct attn_workspace_block* block) {
    held -= block->capacity;
    free(block);
}

size_t attn_workspace_held(void) { return held; }

static struct attn_workspace_block* new_block(size_t capacity) {
    size_t extra = sizeof(struct attn_workspace_block) + ALIGNMENT;
    if (capacity > SIZE_MAX - extra) {
        return NULL;
    }
    struct attn_workspace_block* block = malloc(capacity + extra);
    if (block == NULL) {
        return NULL;
    }
    uintptr_t behind_header = (uintptr_t)(block + 1);
    size_t padding = (ALIGNMENT - behind_header % ALIGNMENT) % ALIGNMENT;
    block->older = NULL;
    block->capacity = capacity;
    block->used = 0;
    block->start = (unsigned char*)(block + 1) + padding;
    FORBID(block->start, capacity);
    held += capacity;
    return block;
}

void* attn_workspace_take(struct attn_workspace* workspace, size_t count, size_t size) {
    if (size != 0 && count > (SIZE_MAX - ALIGNMENT - GUARD) / size) {
        return NULL;
    }
    size_t bytes = (count * size + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT + GUARD;
    struct attn_workspace_block* block = workspace->blocks;
    if (block == NULL || block->capacity - block->used < bytes) {
        size_t capacity = bytes < SMALLEST_BLOCK ? SMALLEST_BLOCK : bytes;
        if (block == NULL && capacity < workspace->wanted) {
            capacity = workspace->wanted;
        }
        struct attn_workspace_block* added = new_block(capacity);
        if (added == NULL && capacity > bytes) {
            added = new_block(bytes);
        }
        if (added == NULL) {
            return NULL;
        }
        added->older = block;
        workspace->blocks = added;
        block = added;
    }
    void* taken = block->start + block->used;
    block->used += bytes;
    ALLOW(taken, count * size);
    return taken;
}

void attn_workspace_reset(struct attn_workspace* workspace, size_t keep) {
    size_t total = 0;
    struct attn_workspace_block* block = workspace->blocks;
    if (block != NULL && block->older == NULL && block->capacity <= keep) {
        block->used = 0;
        FORBID(block->start, block->capacity);
        return;
    }
    while (block != NULL) {
        struct attn_workspace_block* older = block->older;
        total += block->used;
        free_block(block);
        block = older;
    }
    workspace->blocks = NULL;
    workspace->wanted = total <= keep ? total : 0;
}

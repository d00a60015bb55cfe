/* Bump allocation in blocks: see arena.h. */
#include "arena.h"

#include <stdalign.h>
#include <stdint.h>
#include <string.h>

#include "base/alloc.h"

#define BLOCK_BYTES 16384

struct mly__arena_block {
    struct mly__arena_block *next;
    size_t used;
    size_t capacity;
    alignas(max_align_t) unsigned char bytes[];
};

void *mly__arena_alloc(struct mly__arena *arena, size_t count, size_t bytes)
{
    if (bytes != 0 && count > (SIZE_MAX / 2) / bytes) {
        return NULL;
    }
    size_t needed = count * bytes;
    needed = (needed + alignof(max_align_t)) / alignof(max_align_t) * alignof(max_align_t);

    struct mly__arena_block *block = arena->blocks;
    if (block == NULL || block->capacity - block->used < needed) {
        size_t capacity = needed > BLOCK_BYTES / 4 ? needed : BLOCK_BYTES;
        struct mly__arena_block *fresh = mly_alloc(sizeof *fresh + capacity);
        if (fresh == NULL) {
            return NULL;
        }
        fresh->capacity = capacity;
        if (block != NULL && capacity == needed) {
            /* A block that is full from the start goes second: the first keeps its room. */
            fresh->next = block->next;
            block->next = fresh;
        } else {
            fresh->next = block;
            arena->blocks = fresh;
        }
        block = fresh;
    }
    void *result = block->bytes + block->used;
    block->used += needed;
    return result;
}

char *mly__arena_strdup(struct mly__arena *arena, const char *text)
{
    const char *source = text != NULL ? text : "";
    size_t length = strlen(source);
    char *copy = mly__arena_alloc(arena, length + 1, 1);
    if (copy != NULL) {
        memcpy(copy, source, length);
    }
    return copy;
}

void mly__arena_fini(struct mly__arena *arena)
{
    struct mly__arena_block *block = arena->blocks;
    while (block != NULL) {
        struct mly__arena_block *next = block->next;
        mly_free(block);
        block = next;
    }
    arena->blocks = NULL;
}

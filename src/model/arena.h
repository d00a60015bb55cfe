/* Memory that lives and dies together: small pieces of one model's graph. */
#ifndef MLY_MODEL_ARENA_H
#define MLY_MODEL_ARENA_H

#include <stddef.h>

struct mly__arena_block;

/* Zero-initialise. Not thread-safe. */
struct mly__arena {
    struct mly__arena_block *blocks;
};

/* Zeroed, aligned for any object, valid until mly__arena_fini; NULL when memory is short or count *
 * bytes overflows. */
void *mly__arena_alloc(struct mly__arena *arena, size_t count, size_t bytes);
/* A copy of text (NULL is copied as ""). */
char *mly__arena_strdup(struct mly__arena *arena, const char *text);
void mly__arena_fini(struct mly__arena *arena);

#endif

/* Sizes of symbolic dimensions as text, as costs and plans keep them: "height=480,width=640". */
#ifndef MLY_COST_SIZES_H
#define MLY_COST_SIZES_H

#include <stddef.h>

#include <motley/model.h>
#include <motley/status.h>

/* Longest text, its terminating zero included. */
#define MLY_SIZES_BYTES 512

/* Owns items[count] and their names; zeroed is empty. */
struct mly_sizes {
    struct mly_dim_binding *items;
    size_t count;
    char *text; /* behind the names */
};
/*
 * "" is none. text is borrowed for the call; free with mly_sizes_fini. MLY_E_INVALID (the word) for
 * anything but NAME=N with N from 1 to INT32_MAX, MLY_E_LIMIT over MLY_SIZES_BYTES, MLY_E_NO_MEMORY.
 */
enum mly_status mly_sizes_parse(const char *text, struct mly_sizes *out,
                                struct mly_error *err) MLY_MUST_CHECK;
void mly_sizes_fini(struct mly_sizes *sizes);

#endif

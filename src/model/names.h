/* Names looked up by binary search: no hash, so no input makes it slow. */
#ifndef MLY_MODEL_NAMES_H
#define MLY_MODEL_NAMES_H

#include <stddef.h>
#include <stdint.h>

struct mly__name {
    const char *text; /* borrowed */
    uint32_t index;
};

/* Orders by text, then by index. */
void mly__names_sort(struct mly__name *names, size_t count);
/* The first entry with that text in sorted names, or NULL. */
const struct mly__name *mly__names_find(const struct mly__name *names, size_t count,
                                        const char *text);
/* Levenshtein's distance; SIZE_MAX for texts over 255 bytes, which are near to none. */
size_t mly__name_distance(const char *a, const char *b);

#endif

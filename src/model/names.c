/* Sorted names: see names.h. */
#include "names.h"

#include <stdlib.h>
#include <string.h>

static int compare(const void *a, const void *b)
{
    const struct mly__name *left = a;
    const struct mly__name *right = b;
    int order = strcmp(left->text, right->text);
    if (order != 0) {
        return order;
    }
    return left->index < right->index ? -1 : left->index > right->index;
}

void mly__names_sort(struct mly__name *names, size_t count)
{
    if (count > 1) {
        qsort(names, count, sizeof *names, compare);
    }
}

const struct mly__name *mly__names_find(const struct mly__name *names, size_t count,
                                        const char *text)
{
    size_t low = 0;
    size_t high = count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (strcmp(names[middle].text, text) < 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low < count && strcmp(names[low].text, text) == 0 ? &names[low] : NULL;
}

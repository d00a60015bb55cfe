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

size_t mly__name_distance(const char *a, const char *b)
{
    enum { BYTES_MAX = 255 };
    size_t row[BYTES_MAX + 1]; /* row[j]: distance of what was read of a to the first j of b */
    const size_t length = strlen(b);
    if (length > BYTES_MAX || strlen(a) > BYTES_MAX) {
        return SIZE_MAX;
    }
    for (size_t j = 0; j <= length; j++) {
        row[j] = j;
    }
    for (; *a != '\0'; a++) {
        size_t diagonal = row[0]++;
        for (size_t j = 1; j <= length; j++) {
            size_t best = diagonal + (*a != b[j - 1] ? 1 : 0);
            best = row[j] + 1 < best ? row[j] + 1 : best;
            best = row[j - 1] + 1 < best ? row[j - 1] + 1 : best;
            diagonal = row[j];
            row[j] = best;
        }
    }
    return row[length];
}

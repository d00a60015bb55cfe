/* Sizes of symbolic dimensions as text. */
#include "cost/sizes.h"

#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"

static enum mly_status parse_one(char *word, struct mly_dim_binding *out, struct mly_error *err)
{
    char *equals = strrchr(word, '='), *end = NULL;
    const bool has_number = equals && equals > word && equals[1] >= '1' && equals[1] <= '9';
    const long long size = has_number ? strtoll(equals + 1, &end, 10) : 0;
    if (!has_number || *end != '\0' || size > INT32_MAX)
        return mly_error_set(err, MLY_E_INVALID, "'%.200s' is no size of a dimension: NAME=N",
                             word);
    *equals = '\0';
    *out = (struct mly_dim_binding){.name = word, .size = size};
    return MLY_OK;
}

enum mly_status mly_sizes_parse(const char *text, struct mly_sizes *out, struct mly_error *err)
{
    struct mly_sizes sizes = {0};
    if (*text == '\0') {
        *out = sizes;
        return MLY_OK;
    }
    if (strlen(text) >= MLY_SIZES_BYTES)
        return mly_error_set(err, MLY_E_LIMIT, "sizes of dimensions of over %d bytes",
                             MLY_SIZES_BYTES - 1);
    size_t most = 1;
    for (const char *at = text; *at; at++)
        most += *at == ',';
    sizes.text = mly_strdup(text);
    sizes.items = mly_alloc_array(most, sizeof *sizes.items);
    enum mly_status status =
        sizes.text && sizes.items
            ? MLY_OK
            : mly_error_set(err, MLY_E_NO_MEMORY, "no memory for sizes of dimensions");
    for (char *at = sizes.text, *next; status == MLY_OK && at; at = next) {
        char *comma = strchr(at, ',');
        next = comma ? comma + 1 : NULL;
        if (comma)
            *comma = '\0';
        status = parse_one(at, &sizes.items[sizes.count++], err);
    }
    if (status != MLY_OK) {
        mly_sizes_fini(&sizes);
        return status;
    }
    *out = sizes;
    return MLY_OK;
}

void mly_sizes_fini(struct mly_sizes *sizes)
{
    mly_free(sizes->items);
    mly_free(sizes->text);
    *sizes = (struct mly_sizes){0};
}

/* What the commands that measure share. */
#include "measuring.h"

#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"

enum mly_status cli_dims_parse(const struct cli_texts *texts, struct cli_dims *out,
                               struct mly_error *err)
{
    *out = (struct cli_dims){0};
    for (size_t i = 0; i < texts->count; i++) {
        const char *text = texts->items[i], *equals = strrchr(text, '=');
        char *end = NULL;
        long long size = equals ? strtoll(equals + 1, &end, 10) : 0;
        if (!equals || equals == text || size < 1 || size > INT32_MAX || *end != '\0')
            return mly_error_set(err, MLY_E_INVALID, "--dim %s: NAME=N with N from 1 is needed",
                                 text);
        char *name = mly_strndup(text, (size_t)(equals - text));
        if (!name)
            return mly_error_set(err, MLY_E_NO_MEMORY, "memory is short");
        out->names[out->count] = name;
        out->items[out->count++] = (struct mly_dim_binding){name, size};
    }
    return MLY_OK;
}

void cli_dims_fini(struct cli_dims *dims)
{
    for (size_t i = 0; i < dims->count; i++)
        mly_free(dims->names[i]);
    *dims = (struct cli_dims){0};
}

void cli_measuring_begin(struct cli_measuring *measuring, const struct cli_common *common)
{
    measuring->common = common;
    cli_progress_begin(&measuring->progress, common);
}

bool cli_measuring_progress(double fraction, const char *text, void *user)
{
    struct cli_measuring *measuring = user;
    cli_progress_update(&measuring->progress, fraction, text);
    return !atomic_load(cli_stop_flag());
}

void cli_measuring_remark(const char *text, void *user)
{
    struct cli_measuring *measuring = user;
    struct cli_progress shown = measuring->progress;
    cli_progress_end(&shown); /* clears the line; the bar comes back with the next update */
    cli_remark(measuring->common, "%s", text);
}

void cli_measuring_end(struct cli_measuring *measuring)
{
    cli_progress_end(&measuring->progress);
}

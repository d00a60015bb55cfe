/*
 * What others measured: tables of the authors' repository, from a folder where the user has them, else the
 * rows that motley quotes (data/published/, built into the program by Meson).
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/file.h"
#include "experiment.h"
#include "published_quotes.h"

void mly_published_fini(struct mly_published *published)
{
    mly_free(published->rows);
    *published = (struct mly_published){0};
}

/* --- a line --- */

struct line {
    const char *name;
    uint32_t number;
    const char *at, *end;
};

static enum mly_status wrong(const struct line *line, const char *rule, struct mly_error *err)
{
    return mly_error_set(err, MLY_E_FORMAT, "%s:%" PRIu32 ": %s", line->name, line->number, rule);
}

/* A number at the line's place, which moves behind it. */
static bool take_number(struct line *line, double max, double *out)
{
    char text[64];
    const size_t left = (size_t)(line->end - line->at);
    const size_t length = left < sizeof text - 1 ? left : sizeof text - 1;
    memcpy(text, line->at, length);
    text[length] = '\0';
    char *end = text;
    if ((*text >= '0' && *text <= '9') || *text == '.')
        *out = strtod(text, &end);
    line->at += end - text;
    return end > text && *out >= 0 && *out <= max;
}

static bool take(struct line *line, char wanted)
{
    if (line->at == line->end || *line->at != wanted)
        return false;
    line->at++;
    return true;
}

static void skip_spaces(struct line *line)
{
    while (take(line, ' '))
        continue;
}

/* "[1.0, 2.5]" in quotes, one number, or nothing, where the compiler failed. */
static bool take_list(struct line *line, double *out, uint32_t *count)
{
    *count = 0;
    if (line->at < line->end && *line->at == ',')
        return true;
    if (!take(line, '"')) {
        *count = 1;
        return take_number(line, 1e9, &out[0]);
    }
    if (!take(line, '['))
        return false;
    do {
        skip_spaces(line);
        if (*count == MLY_PUBLISHED_SEGMENTS_MAX || !take_number(line, 1e9, &out[*count]))
            return false;
        ++*count;
    } while (take(line, ','));
    return take(line, ']') && take(line, '"');
}

static bool take_row(struct line *line, struct mly_published_row *row)
{
    double size, macs;
    uint32_t off_count = 0;
    *row = (struct mly_published_row){.time_ms = NAN};
    if (!take_number(line, 1e6, &size) || !take(line, ',') || !take_number(line, 1e18, &macs) ||
        !take(line, ',') || !take_list(line, row->on_chip_mib, &row->segment_count) ||
        !take(line, ',') || !take_list(line, row->off_chip_mib, &off_count) || !take(line, ','))
        return false;
    row->size = (uint32_t)size;
    if (line->at < line->end && !take_number(line, 1e9, &row->time_ms))
        return false;
    return line->at == line->end && off_count == row->segment_count;
}

/* --- a table --- */

static enum mly_status add_row(struct mly_published *out, const struct mly_published_row *row,
                               size_t *capacity, struct mly_error *err)
{
    if (out->count == MLY_PUBLISHED_ROWS_MAX)
        return mly_error_set(err, MLY_E_LIMIT, "more than %u published rows",
                             MLY_PUBLISHED_ROWS_MAX);
    if (mly_array_reserve(&out->rows, capacity, out->count + 1, sizeof *out->rows) != 0)
        return mly_error_set(err, MLY_E_NO_MEMORY, "memory is short");
    out->rows[out->count++] = *row;
    return MLY_OK;
}

enum mly_status mly_published_parse(const char *name, const char *text, size_t length,
                                    struct mly_published *out, struct mly_error *err)
{
    const char *end = text + length;
    size_t capacity = out->count;
    enum mly_status status = MLY_OK;
    if (length > MLY_PUBLISHED_BYTES_MAX)
        return mly_error_set(err, MLY_E_LIMIT, "%s: over %zu bytes", name, MLY_PUBLISHED_BYTES_MAX);
    struct line line = {.name = name};
    for (const char *at = text; at < end && status == MLY_OK;) {
        const char *newline = memchr(at, '\n', (size_t)(end - at));
        struct mly_published_row row;
        line.number++;
        line.at = at;
        line.end = newline ? newline : end;
        at = newline ? newline + 1 : end;
        if (line.end > line.at && line.end[-1] == '\r')
            line.end--;
        const bool is_head = line.number == 1 && line.at < line.end && *line.at > '9';
        if (line.at == line.end || is_head)
            continue;
        if (!take_row(&line, &row))
            status = wrong(&line, "a row is size,MACs,on-chip MiB,off-chip MiB,ms", err);
        else if (!isnan(row.time_ms))
            status = add_row(out, &row, &capacity, err);
    }
    return status;
}

/* Quoted rows begin with the name of their table; others are not of it. */
static enum mly_status take_quotes(const char *table, struct mly_published *out,
                                   struct mly_error *err)
{
    const size_t name_length = strlen(table);
    size_t capacity = 0;
    enum mly_status status = MLY_OK;
    for (size_t i = 0; i < MLY__COUNT(mly__published_quotes) && status == MLY_OK; i++) {
        const char *text = mly__published_quotes[i];
        struct line line = {.name = "quoted", .end = text + strlen(text)};
        struct mly_published_row row;
        if (strncmp(text, table, name_length) != 0 || text[name_length] != ',')
            continue;
        line.at = text + name_length + 1;
        if (!take_row(&line, &row))
            return mly_error_set(err, MLY_E_INTERNAL, "data/published: %s", text);
        status = add_row(out, &row, &capacity, err);
    }
    return status;
}

enum mly_status mly__published_load(struct mly_bench *bench, const char *table,
                                    struct mly_published *out, struct mly_error *err)
{
    const char *folder = bench->options->published;
    char *text = NULL;
    size_t length = 0;
    if (!table)
        return MLY_OK;
    if (!folder)
        return take_quotes(table, out, err);
    char *path = mly_strfmt("%s/%s", folder, table);
    if (!path)
        return mly_error_set(err, MLY_E_NO_MEMORY, "memory is short");
    enum mly_status status = mly_file_read(path, MLY_PUBLISHED_BYTES_MAX, &text, &length, err);
    if (status == MLY_OK)
        status = mly_published_parse(path, text, length, out, err);
    mly_free(text);
    mly_free(path);
    return status;
}

const struct mly_published_row *mly_published_find(const struct mly_published *published,
                                                   uint32_t size)
{
    for (size_t i = 0; i < published->count; i++)
        if (published->rows[i].size == size)
            return &published->rows[i];
    return NULL;
}

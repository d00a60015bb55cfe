/* Files of measurements: comma-separated values, read line by line. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "cost/calibrate.h"

#define COLUMNS_MAX 32
#define MODEL_BYTES_MAX 4096
#define MIB 1048576.0

enum column { MODEL, TIME_MS, BATCH, LINKS, ON_CHIP_MIB, OFF_CHIP_MIB, COLUMN_COUNT };

static const struct {
    const char *name;
    bool needed;
} columns[COLUMN_COUNT] = {
    [MODEL] = {"model", true},
    [TIME_MS] = {"time_ms", true},
    [BATCH] = {"batch", false},
    [LINKS] = {"links", false},
    [ON_CHIP_MIB] = {"on_chip_mib", false},
    [OFF_CHIP_MIB] = {"off_chip_mib", false},
};

struct reader {
    const char *name;
    uint32_t line;
    char *fields[COLUMNS_MAX]; /* of the line, in a copy of it */
    size_t field_count;
    size_t place[COLUMN_COUNT]; /* of each column among the fields; COLUMNS_MAX: not there */
    size_t width;               /* fields of the line of names */
    struct mly_error *err;
};

void mly_measurement_list_fini(struct mly_measurement_list *list)
{
    for (size_t i = 0; i < list->count; i++)
        mly_free(list->items[i].model);
    mly_free(list->items);
    *list = (struct mly_measurement_list){0};
}

static enum mly_status refuse(const struct reader *reader, const char *where, const char *rule)
{
    return mly_error_set(reader->err, MLY_E_FORMAT, "%s:%u: %s%s%s", reader->name, reader->line,
                         where, *where ? ": " : "", rule);
}

/* --- lines --- */

/* Takes the blanks around a field away. */
static char *trim(char *field)
{
    field += strspn(field, " \t\r");
    size_t length = strlen(field);
    while (length > 0 && strchr(" \t\r", field[length - 1]))
        length--;
    field[length] = '\0';
    return field;
}

/* Reads a value in double quotes ("" is one quote) in its place; returns what follows it, or NULL. */
static char *unquote(char *at)
{
    char *to = at++;
    bool closed = false;
    while (*at && !closed) {
        if (*at == '"' && at[1] != '"')
            closed = true;
        else
            *to++ = *at;
        at += *at == '"' && at[1] == '"' ? 2 : 1;
    }
    *to = '\0'; /* before what follows: the quotes are gone */
    return closed ? at : NULL;
}

/* Cuts the line into fields, in its place. */
static enum mly_status split(struct reader *reader, char *line)
{
    reader->field_count = 0;
    for (char *at = line;;) {
        if (reader->field_count == COLUMNS_MAX)
            return refuse(reader, "", "over 32 columns");
        at += strspn(at, " \t");
        if (*at == '"') {
            char *field = at, *rest = unquote(at);
            if (!rest)
                return refuse(reader, "", "a quotation mark is missing");
            bool more = rest[strspn(rest, " \t\r")] == ',';
            if (rest[strspn(rest, " \t\r")] && !more)
                return refuse(reader, "", "a comma is missing after a quotation mark");
            reader->fields[reader->field_count++] = field;
            if (!more)
                return MLY_OK;
            at = rest + strspn(rest, " \t\r") + 1;
            continue;
        }
        char *comma = strchr(at, ',');
        if (comma)
            *comma = '\0';
        reader->fields[reader->field_count++] = trim(at);
        if (!comma)
            return MLY_OK;
        at = comma + 1;
    }
}

/* The line of names: each known and given once, the needed ones there. */
static enum mly_status read_names(struct reader *reader)
{
    for (size_t c = 0; c < COLUMN_COUNT; c++)
        reader->place[c] = COLUMNS_MAX;
    for (size_t i = 0; i < reader->field_count; i++) {
        size_t c = 0;
        while (c < COLUMN_COUNT && strcmp(reader->fields[i], columns[c].name) != 0)
            c++;
        if (c == COLUMN_COUNT)
            return mly_error_set(reader->err, MLY_E_FORMAT,
                                 "%s:%u: '%.40s' is no column; known are model, time_ms, batch, "
                                 "links, on_chip_mib, off_chip_mib",
                                 reader->name, reader->line, reader->fields[i]);
        if (reader->place[c] != COLUMNS_MAX)
            return refuse(reader, columns[c].name, "given twice");
        reader->place[c] = i;
    }
    for (size_t c = 0; c < COLUMN_COUNT; c++)
        if (columns[c].needed && reader->place[c] == COLUMNS_MAX)
            return refuse(reader, columns[c].name,
                          "missing; the first line names the columns: model,time_ms,batch");
    reader->width = reader->field_count;
    return MLY_OK;
}

/* --- values --- */

/* NULL where there is no such column, or nothing in it. */
static const char *field(const struct reader *reader, enum column column)
{
    size_t place = reader->place[column];
    return place < reader->field_count && *reader->fields[place] ? reader->fields[place] : NULL;
}

static enum mly_status read_number(const struct reader *reader, enum column column, double min,
                                   double max, double *out)
{
    const char *text = field(reader, column);
    char *end;
    if (!text)
        return columns[column].needed ? refuse(reader, columns[column].name, "is empty") : MLY_OK;
    double value = strtod(text, &end);
    if (end == text || *end || strpbrk(text, "xXnNpP") || !(value >= min && value <= max))
        return mly_error_set(reader->err, MLY_E_FORMAT,
                             "%s:%u: %s: '%.40s' is no number from %g to %g", reader->name,
                             reader->line, columns[column].name, text, min, max);
    *out = value;
    return MLY_OK;
}

static enum mly_status read_links(const struct reader *reader, bool *out)
{
    const char *text = field(reader, LINKS);
    *out = !text || strcmp(text, "yes") == 0;
    if (text && !*out && strcmp(text, "no") != 0)
        return refuse(reader, "links", "is neither yes nor no");
    return MLY_OK;
}

static enum mly_status read_row(const struct reader *reader, struct mly_measurement *out)
{
    double batch = 1, time_ms = 0, on_mib = -1 / MIB, off_mib = -1 / MIB;
    const char *model = field(reader, MODEL);
    if (reader->field_count != reader->width)
        return mly_error_set(reader->err, MLY_E_FORMAT,
                             "%s:%u: %zu values; the first line names %zu", reader->name,
                             reader->line, reader->field_count, reader->width);
    if (!model)
        return refuse(reader, "model", "is empty");
    if (strlen(model) > MODEL_BYTES_MAX)
        return refuse(reader, "model", "over 4096 bytes");
    enum mly_status status = read_number(reader, TIME_MS, 1e-6, 1e9, &time_ms);
    if (!status)
        status = read_number(reader, BATCH, 1, 65536, &batch);
    if (!status && batch != floor(batch))
        status = refuse(reader, "batch", "is no whole number");
    if (!status)
        status = read_links(reader, &out->links);
    if (!status)
        status = read_number(reader, ON_CHIP_MIB, 0, 1e9, &on_mib);
    if (!status)
        status = read_number(reader, OFF_CHIP_MIB, 0, 1e9, &off_mib);
    if (status)
        return status;
    out->model = mly_strdup(model);
    if (!out->model)
        return mly_error_set(reader->err, MLY_E_NO_MEMORY, "%s: no memory", reader->name);
    out->batch = (uint32_t)batch;
    out->time_ns = time_ms * 1e6;
    out->on_chip_bytes = on_mib * MIB;
    out->off_chip_bytes = off_mib * MIB;
    out->line = reader->line;
    return MLY_OK;
}

/* --- files --- */

/* Every line of text, which is changed. */
static enum mly_status read_lines(struct reader *reader, char *text,
                                  struct mly_measurement_list *list)
{
    size_t capacity = 0;
    enum mly_status status = MLY_OK;
    bool named = false;
    for (char *line = text, *next; !status && line; line = next) {
        next = strchr(line, '\n');
        if (next)
            *next++ = '\0';
        reader->line++;
        const char *first = line + strspn(line, " \t\r");
        if (!*first || *first == '#')
            continue;
        if ((status = split(reader, line)))
            break;
        if (!named) {
            status = read_names(reader);
            named = true;
            continue;
        }
        if (list->count == MLY_MEASUREMENT_ROWS_MAX)
            status = mly_error_set(reader->err, MLY_E_LIMIT, "%s:%u: over %u measurements",
                                   reader->name, reader->line, MLY_MEASUREMENT_ROWS_MAX);
        else if (mly_array_reserve(&list->items, &capacity, list->count + 1, sizeof *list->items))
            status = mly_error_set(reader->err, MLY_E_NO_MEMORY, "%s: no memory", reader->name);
        else if (!(status = read_row(reader, &list->items[list->count])))
            list->count++;
    }
    if (!status && list->count == 0)
        status = refuse(reader, "", named ? "no measurements" : "no line that names the columns");
    return status;
}

enum mly_status mly_measurements_parse(const char *name, const char *text, size_t length,
                                       struct mly_measurement_list *out, struct mly_error *err)
{
    struct reader reader = {.name = name, .err = err};
    struct mly_measurement_list list = {0};
    if (length > MLY_MEASUREMENT_BYTES_MAX)
        return mly_error_set(err, MLY_E_LIMIT, "%s: %zu bytes; at most %zu are read", name, length,
                             MLY_MEASUREMENT_BYTES_MAX);
    if (length > 0 && memchr(text, '\0', length))
        return mly_error_set(err, MLY_E_FORMAT, "%s: has NUL bytes in it; this is no text", name);
    char *copy = mly_strndup(length > 0 ? text : "", length);
    if (!copy)
        return mly_error_set(err, MLY_E_NO_MEMORY, "%s: no memory", name);
    enum mly_status status = read_lines(&reader, copy, &list);
    mly_free(copy);
    if (status)
        mly_measurement_list_fini(&list);
    else
        *out = list;
    return status;
}

/*
 * Traces of arrivals: a time in seconds per line, alone or in a column of a table. Read digit by
 * digit into whole nanoseconds, so that times of a calendar (1.7e9 s) stay exact.
 */
#include <inttypes.h>
#include <stdbool.h>
#include <string.h>
#include <strings.h>

#include "base/alloc.h"
#include "runtime/arrivals.h"

/* Whole seconds over this are refused: 300 years. */
#define SECONDS_MAX INT64_C(9000000000)

struct reader {
    const char *name;
    struct mly_error *err;
    size_t line;   /* from 1 */
    size_t column; /* of the table, from 0 */
    bool begun;    /* the first line that says something was seen */
    int64_t first_ns, last_ns;
    struct mly_arrivals *out;
    size_t capacity;
};

struct span {
    const char *at;
    size_t length;
};

static struct span trimmed(struct span s)
{
    while (s.length > 0 && (*s.at == ' ' || *s.at == '\t' || *s.at == '"')) {
        s.at++;
        s.length--;
    }
    while (s.length > 0 && s.at[s.length - 1] && strchr(" \t\r\"", s.at[s.length - 1]))
        s.length--;
    return s;
}

/* The index-th column of a line; false if it has not so many. */
static bool take_column(struct span line, size_t index, struct span *out)
{
    for (size_t start = 0, column = 0, i = 0; i <= line.length; i++) {
        if (i < line.length && line.at[i] != ',' && line.at[i] != ';' && line.at[i] != '\t')
            continue;
        if (column++ == index) {
            *out = trimmed((struct span){line.at + start, i - start});
            return true;
        }
        start = i + 1;
    }
    return false;
}

/* Digits beyond the nanosecond are dropped. */
static bool read_ns(struct span text, int64_t *out)
{
    int64_t seconds = 0, fraction = 0, unit = 100000000;
    size_t i = 0;
    for (; i < text.length && text.at[i] >= '0' && text.at[i] <= '9'; i++) {
        seconds = seconds * 10 + (text.at[i] - '0');
        if (seconds > SECONDS_MAX)
            return false;
    }
    bool digits = i > 0;
    if (i < text.length && text.at[i] == '.') {
        for (i++; i < text.length && text.at[i] >= '0' && text.at[i] <= '9'; i++) {
            fraction += unit * (text.at[i] - '0');
            unit /= 10;
            digits = true;
        }
    }
    *out = seconds * 1000000000 + fraction;
    return digits && i == text.length;
}

/* Where a heading says that times are. */
static enum mly_status read_heading(struct reader *r, struct span line)
{
    static const char *const names[] = {"time", "timestamp"};
    struct span cell;
    for (size_t column = 0; take_column(line, column, &cell); column++) {
        for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
            if (cell.length == strlen(names[i]) &&
                strncasecmp(cell.at, names[i], cell.length) == 0) {
                r->column = column;
                return MLY_OK;
            }
        }
    }
    return mly_error_set(r->err, MLY_E_FORMAT,
                         "%s:%zu: '%.*s' is neither a time in seconds nor a heading with a column "
                         "`time` or `timestamp`",
                         r->name, r->line, (int)(line.length < 60 ? line.length : 60), line.at);
}

static enum mly_status add(struct reader *r, int64_t at_ns)
{
    struct mly_arrivals *out = r->out;
    if (out->count == MLY_ARRIVALS_TRACE_COUNT_MAX)
        return mly_error_set(r->err, MLY_E_LIMIT, "%s:%zu: a trace has at most %zu requests",
                             r->name, r->line, MLY_ARRIVALS_TRACE_COUNT_MAX);
    if (mly_array_reserve(&out->times_ns, &r->capacity, out->count + 1, sizeof *out->times_ns) != 0)
        return mly_error_set(r->err, MLY_E_NO_MEMORY, "no memory for a trace");
    if (out->count == 0)
        r->first_ns = at_ns;
    else if (at_ns < r->last_ns)
        return mly_error_set(r->err, MLY_E_FORMAT,
                             "%s:%zu: the time is before that of the request before it; sort the "
                             "lines by time",
                             r->name, r->line);
    r->last_ns = at_ns;
    out->times_ns[out->count++] = at_ns - r->first_ns;
    return MLY_OK;
}

static enum mly_status read_line(struct reader *r, struct span line)
{
    struct span cell, all = trimmed(line);
    int64_t at_ns = 0;
    if (all.length == 0 || *all.at == '#')
        return MLY_OK;
    bool first = !r->begun;
    r->begun = true;
    if (!take_column(line, r->column, &cell))
        return mly_error_set(r->err, MLY_E_FORMAT, "%s:%zu: there is no column %zu", r->name,
                             r->line, r->column + 1);
    if (read_ns(cell, &at_ns))
        return add(r, at_ns);
    if (first)
        return read_heading(r, line);
    return mly_error_set(r->err, MLY_E_FORMAT,
                         "%s:%zu: '%.*s' is no time in seconds (a plain decimal number up to "
                         "%" PRId64 ")",
                         r->name, r->line, (int)(cell.length < 60 ? cell.length : 60), cell.at,
                         SECONDS_MAX);
}

enum mly_status mly_arrivals_parse_trace(const char *name, const char *text, size_t length,
                                         struct mly_arrivals *out, struct mly_error *err)
{
    struct mly_arrivals arrivals = {.kind = MLY_ARRIVALS_TRACE};
    struct reader reader = {.name = name, .err = err, .out = &arrivals};
    enum mly_status status = MLY_OK;
    if (length > MLY_ARRIVALS_TRACE_BYTES_MAX)
        return mly_error_set(err, MLY_E_LIMIT, "%s: a trace has at most %zu MiB", name,
                             MLY_ARRIVALS_TRACE_BYTES_MAX >> 20);
    for (size_t at = 0; at < length && status == MLY_OK;) {
        const char *end = memchr(text + at, '\n', length - at);
        struct span line = {text + at, end ? (size_t)(end - (text + at)) : length - at};
        reader.line++;
        status = read_line(&reader, line);
        at += line.length + 1;
    }
    if (status == MLY_OK && arrivals.count == 0)
        status = mly_error_set(err, MLY_E_FORMAT, "%s: there is no time in it", name);
    if (status != MLY_OK) {
        mly_arrivals_fini(&arrivals);
        return status;
    }
    *out = arrivals;
    return MLY_OK;
}

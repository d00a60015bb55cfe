/* Tables, progress and number formats: what people see. */
#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "internal.h"

void cli_table_init(struct cli_table *table, const char *heads)
{
    *table = (struct cli_table){0};
    while (*heads) {
        size_t length = strcspn(heads, "|");
        bool right = *heads == '>';
        table->right[table->columns++] = right;
        cli_table_cell(table, "%.*s", (int)(length - right), heads + right);
        heads += length + (heads[length] == '|');
    }
}

void cli_table_cell(struct cli_table *table, const char *format, ...)
{
    char text[512];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    char *cell = mly_strdup(text);
    if (!cell || mly_array_reserve(&table->cells, &table->capacity, table->cell_count + 1,
                                   sizeof *table->cells) != 0) {
        mly_free(cell);
        table->failed = true;
        return;
    }
    table->cells[table->cell_count++] = cell;
}

/* Columns that UTF-8 text takes: continuation bytes take none. */
static size_t text_width(const char *text)
{
    size_t width = 0;
    for (; *text; text++)
        width += ((unsigned char)*text & 0xC0) != 0x80;
    return width;
}

void cli_table_print(struct cli_table *table, FILE *to)
{
    size_t widths[CLI_COLUMNS_MAX] = {0};
    for (size_t i = 0; i < table->cell_count; i++) {
        size_t width = text_width(table->cells[i]);
        if (width > widths[i % table->columns])
            widths[i % table->columns] = width;
    }
    for (size_t i = 0; i < table->cell_count; i++) {
        size_t column = i % table->columns;
        bool last = column + 1 == table->columns;
        size_t padding = widths[column] - text_width(table->cells[i]);
        if (table->right[column])
            fprintf(to, "%*s%s", (int)padding, "", table->cells[i]);
        else
            fprintf(to, "%s%*s", table->cells[i], last ? 0 : (int)padding, "");
        fputs(last ? "\n" : "  ", to);
    }
    if (table->failed)
        fputs("(the table is cut: memory is short)\n", to);
}

void cli_table_fini(struct cli_table *table)
{
    for (size_t i = 0; i < table->cell_count; i++)
        mly_free(table->cells[i]);
    mly_free(table->cells);
    *table = (struct cli_table){0};
}

void cli_progress_begin(struct cli_progress *progress, const struct cli_common *common)
{
    const char *terminal = getenv("TERM");
    progress->active =
        !common->quiet && isatty(STDERR_FILENO) && !(terminal && strcmp(terminal, "dumb") == 0);
    progress->start_ns = mly_now_ns();
    progress->last_ns = 0;
}

void cli_progress_update(struct cli_progress *progress, double fraction, const char *text)
{
    enum { BAR = 24 };
    int64_t now = mly_now_ns();
    if (!progress->active || now - progress->last_ns < 100000000)
        return;
    progress->last_ns = now;
    if (fraction < 0)
        fraction = 0;
    if (fraction > 1)
        fraction = 1;
    int filled = (int)(fraction * BAR);
    char bar[BAR + 1];
    memset(bar, '.', BAR);
    memset(bar, '#', (size_t)filled);
    bar[BAR] = '\0';
    double elapsed = (double)(now - progress->start_ns) / 1e9;
    char left[32] = "";
    if (fraction > 0.05 && elapsed > 1)
        snprintf(left, sizeof left, ", %.0f s left", elapsed * (1 - fraction) / fraction);
    fprintf(stderr, "\r\033[K[%s] %3.0f %%  %s%s", bar, fraction * 100, text, left);
    fflush(stderr);
}

void cli_progress_end(struct cli_progress *progress)
{
    if (progress->active && progress->last_ns) {
        fputs("\r\033[K", stderr);
        fflush(stderr);
    }
    progress->active = false;
}

static char *scaled(double value, double base, const char *const *units, size_t unit_count,
                    char *buffer)
{
    size_t unit = 0;
    while (unit + 1 < unit_count && value >= base * 0.9995) {
        value /= base;
        unit++;
    }
    int decimals = unit == 0 && value == (double)(int64_t)value ? 0
                   : value < 9.995                              ? 2
                   : value < 99.95                              ? 1
                                                                : 0;
    snprintf(buffer, CLI_NUMBER_BYTES, "%.*f%s%s", decimals, value, units[unit][0] ? " " : "",
             units[unit]);
    return buffer;
}

char *cli_bytes(double bytes, char buffer[CLI_NUMBER_BYTES])
{
    static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB"};
    return scaled(bytes, 1024, units, 5, buffer);
}

char *cli_count(double count, char buffer[CLI_NUMBER_BYTES])
{
    static const char *const units[] = {"", "k", "M", "G", "T"};
    return scaled(count, 1000, units, 5, buffer);
}

char *cli_time(double ns, char buffer[CLI_NUMBER_BYTES])
{
    static const char *const units[] = {"ns", "us", "ms", "s"};
    return scaled(ns, 1000, units, 4, buffer);
}

int cli_finish_output(void)
{
    if (fflush(stdout) == 0 && !ferror(stdout))
        return CLI_EXIT_OK;
    fprintf(stderr, "motley: writing to standard output failed: %s\n", strerror(errno));
    return CLI_EXIT_FAILED;
}

int cli_print_json(struct mly_json_writer *writer)
{
    char *text = NULL;
    size_t length = 0;
    struct mly_error err;
    if (mly_json_finish(writer, &text, &length, &err) != MLY_OK)
        return cli_fail(&err);
    fwrite(text, 1, length, stdout);
    mly_free(text);
    return cli_finish_output();
}

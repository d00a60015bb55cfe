/*
 * A result for people: what it is, its tables, its findings, its notes. Every number's origin is said: in
 * the head of a column that has one of its own, else at the end of the row.
 */
#include <string.h>

#include "base/alloc.h"
#include "result_private.h"

enum { TEXT_BYTES = 256 };

/* Columns of UTF-8 text: continuation bytes take none. */
static size_t width_of(const char *text)
{
    size_t width = 0;
    for (; *text; text++)
        width += ((unsigned char)*text & 0xC0) != 0x80;
    return width;
}

/* "time, ms" and, under it, "published". */
static const char *head_text(const struct mly_result_column *column, char text[TEXT_BYTES])
{
    snprintf(text, TEXT_BYTES, "%s%s%s", column->head, column->unit[0] ? ", " : "", column->unit);
    return text;
}

static const char *origin_text(const struct mly_result_column *column)
{
    return mly_origin_name(column->origin);
}

static const char *cell_text(const mly_result_table *table, size_t row, size_t column,
                             char text[TEXT_BYTES])
{
    const struct mly__cell *cell = mly__result_cell(table, row, column);
    if (cell->text)
        return cell->text;
    if (isnan(cell->number))
        return table->columns[column].is_text ? "" : "-";
    snprintf(text, TEXT_BYTES, "%.*f", table->columns[column].decimals, cell->number);
    return text;
}

/* Does a row's own origin say anything of this table? */
static bool shows_origin(const mly_result_table *table)
{
    for (size_t c = 0; c < table->column_count; c++)
        if (table->columns[c].origin == MLY_ORIGIN_ROW)
            return true;
    return false;
}

static void print_cell(const char *text, size_t width, bool right, bool last, FILE *to)
{
    const int padding = (int)(width - width_of(text));
    if (right)
        fprintf(to, "%*s%s", padding, "", text);
    else
        fprintf(to, "%s%*s", text, last ? 0 : padding, "");
    fputs(last ? "\n" : "  ", to);
}

static void print_table(const mly_result_table *table, size_t *widths, FILE *to)
{
    char text[TEXT_BYTES];
    const bool origins = shows_origin(table);
    bool second = false;
    for (size_t c = 0; c < table->column_count; c++) {
        const size_t head = width_of(head_text(&table->columns[c], text)),
                     origin = width_of(origin_text(&table->columns[c]));
        second = second || origin > 0;
        widths[c] = head > origin ? head : origin;
        for (size_t r = 0; r < table->row_count; r++) {
            const size_t width = width_of(cell_text(table, r, c, text));
            widths[c] = width > widths[c] ? width : widths[c];
        }
    }
    for (size_t c = 0; c < table->column_count; c++)
        print_cell(head_text(&table->columns[c], text), widths[c], !table->columns[c].is_text,
                   c + 1 == table->column_count, to);
    for (size_t c = 0; second && c < table->column_count; c++)
        print_cell(origin_text(&table->columns[c]), widths[c], !table->columns[c].is_text,
                   c + 1 == table->column_count, to);
    for (size_t r = 0; r < table->row_count; r++) {
        for (size_t c = 0; c < table->column_count; c++)
            print_cell(cell_text(table, r, c, text), widths[c], !table->columns[c].is_text,
                       c + 1 == table->column_count && !origins, to);
        if (origins)
            fprintf(to, "%s\n", mly_origin_name(table->origins[r]));
    }
}

/* "38.4 x (the author's raw data)" */
static void print_published(const char *comma, double value, const char *unit, const char *by,
                            FILE *to)
{
    if (by)
        fprintf(to, "%s%.4g%s%s (%s)", comma, value, unit[0] ? " " : "", unit, by);
}

static void print_finding(const struct mly_finding *f, FILE *to)
{
    const char *space = f->unit[0] ? " " : "";
    fprintf(to, "- %s: ", f->what);
    if (isnan(f->value))
        fputs("not known", to);
    else
        fprintf(to, "%.4g%s%s (%s)", f->value, space, f->unit, mly_origin_name(f->origin));
    if (f->published_by) {
        print_published("; published: ", f->published, f->unit, f->published_by, to);
        print_published(", ", f->published_too, f->unit, f->published_2nd, to);
    }
    if (!isnan(f->bar))
        fprintf(to, "; wanted: at least %.4g%s%s: %s", f->bar, space, f->unit,
                mly__finding_holds(f) ? "holds" : "DOES NOT HOLD");
    if (f->note)
        fprintf(to, "; %s", f->note);
    fputc('\n', to);
}

static size_t most_columns(const mly_result *result)
{
    size_t most = 1;
    for (size_t i = 0; i < result->table_count; i++)
        most = result->tables[i]->column_count > most ? result->tables[i]->column_count : most;
    return most;
}

void mly_result_print(const mly_result *result, bool details, size_t *hidden, FILE *to)
{
    size_t *widths = mly_alloc_array(most_columns(result), sizeof *widths), left_out = 0;
    fprintf(to, "%s: %s\n", result->experiment, result->summary);
    fprintf(to, "re-creates: %s\n", result->source);
    fprintf(to, "%s%s%scommit %s, %s%s\n", result->processors[0] ? "processors: " : "",
            result->processors, result->processors[0] ? "; " : "", mly_result_commit(),
            result->date, result->quick ? "; quick: a few sizes only" : "");
    for (size_t i = 0; i < result->table_count; i++) {
        const mly_result_table *table = result->tables[i];
        if (table->detail && !details) {
            left_out += table->row_count;
            continue;
        }
        fprintf(to, "\n%s\n", table->title);
        if (widths)
            print_table(table, widths, to);
        else
            fputs("(memory is short)\n", to);
    }
    if (result->finding_count > 0)
        fputc('\n', to);
    for (size_t i = 0; i < result->finding_count; i++)
        print_finding(&result->findings[i], to);
    for (size_t i = 0; i < result->note_count; i++)
        fprintf(to, "%s%s\n", i == 0 ? "\n" : "", result->notes[i]);
    mly_free(widths);
    if (hidden)
        *hidden = left_out;
}

/* Results: building them up. Writing is in result_text.c, result_files.c and figure.c. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "result_private.h"

#define CELLS_MAX ((size_t)1 << 24) /* of one table */

const char *mly_origin_name(enum mly_origin origin)
{
    static const char *const names[] = {"", "measured", "modelled", "published", ""};
    return names[origin];
}

/* --- failures --- */

static void fail(mly_result *result, enum mly_status status, const char *message)
{
    if (result->failure.status == MLY_OK)
        mly_error_set(&result->failure, status, "result of %s: %s", result->experiment, message);
}

static void fail_memory(mly_result *result)
{
    fail(result, MLY_E_NO_MEMORY, "memory is short");
}

enum mly_status mly_result_check(const mly_result *result, struct mly_error *err)
{
    if (result->failure.status == MLY_OK)
        return MLY_OK;
    return mly_error_set(err, result->failure.status, "%s", result->failure.message);
}

/* --- the whole --- */

enum mly_status mly_result_create(const struct mly_result_head *head, mly_result **out,
                                  struct mly_error *err)
{
    mly_result *result = mly_alloc(sizeof *result);
    if (!result)
        return mly_error_set(err, MLY_E_NO_MEMORY, "no memory for a result");
    result->experiment = mly_strdup(head->experiment);
    result->summary = mly_strdup(head->summary);
    result->source = mly_strdup(head->source);
    result->processors = mly_strdup(head->processors);
    result->host_id = mly_strdup(head->host_id);
    result->host = mly_strdup(head->host);
    result->seed = head->seed;
    result->quick = head->quick;
    result->nowhere.result = result;
    mly_utc_now(result->date);
    if (!result->experiment || !result->summary || !result->source || !result->processors ||
        !result->host_id || !result->host) {
        mly_result_destroy(result);
        return mly_error_set(err, MLY_E_NO_MEMORY, "no memory for a result");
    }
    *out = result;
    return MLY_OK;
}

static void table_destroy(mly_result_table *table)
{
    for (size_t i = 0; i < table->row_count * table->column_count; i++)
        mly_free(table->cells[i].text);
    mly_free(table->cells);
    mly_free(table->origins);
    mly_free(table->name);
    mly_free(table->title);
    mly_free(table);
}

void mly_result_destroy(mly_result *result)
{
    if (!result)
        return;
    for (size_t i = 0; i < result->table_count; i++)
        table_destroy(result->tables[i]);
    for (size_t i = 0; i < result->finding_count; i++) {
        mly_free((char *)result->findings[i].what);
        mly_free((char *)result->findings[i].note);
    }
    for (size_t i = 0; i < result->note_count; i++)
        mly_free(result->notes[i]);
    for (size_t i = 0; i < result->model_count; i++) {
        mly_free(result->models[i].name);
        mly_free(result->models[i].hash);
    }
    mly_free(result->tables);
    mly_free(result->findings);
    mly_free(result->notes);
    mly_free(result->models);
    mly_free(result->figures);
    mly_free(result->experiment);
    mly_free(result->summary);
    mly_free(result->source);
    mly_free(result->processors);
    mly_free(result->host_id);
    mly_free(result->host);
    mly_free(result);
}

const char *mly_result_experiment(const mly_result *result)
{
    return result->experiment;
}

size_t mly_result_table_count(const mly_result *result)
{
    return result->table_count;
}

const char *mly_result_table_name(const mly_result *result, size_t index)
{
    return result->tables[index]->name;
}

/* --- tables --- */

const mly_result_table *mly__result_find_table(const mly_result *result, const char *name)
{
    for (size_t i = 0; i < result->table_count; i++)
        if (strcmp(result->tables[i]->name, name) == 0)
            return result->tables[i];
    return NULL;
}

size_t mly__result_find_column(const mly_result_table *table, const char *name)
{
    size_t i = 0;
    while (i < table->column_count && strcmp(table->columns[i].name, name) != 0)
        i++;
    return i;
}

mly_result_table *mly_result_add_table(mly_result *result, const char *name, const char *title,
                                       bool detail, const struct mly_result_column *columns,
                                       size_t column_count)
{
    if (result->failure.status == MLY_OK && mly__result_find_table(result, name))
        fail(result, MLY_E_INTERNAL, "two tables of one name");
    if (result->failure.status != MLY_OK)
        return &result->nowhere;
    mly_result_table *table = mly_alloc(sizeof *table);
    if (!table || mly_array_reserve(&result->tables, &result->table_capacity,
                                    result->table_count + 1, sizeof *result->tables) != 0) {
        mly_free(table);
        fail_memory(result);
        return &result->nowhere;
    }
    result->tables[result->table_count++] = table;
    table->result = result;
    table->name = mly_strdup(name);
    table->title = mly_strdup(title);
    table->detail = detail;
    table->columns = columns;
    table->column_count = column_count;
    if (!table->name || !table->title)
        fail_memory(result);
    return table;
}

void mly_result_begin_row(mly_result_table *table, enum mly_origin origin)
{
    const size_t cells = (table->row_count + 1) * table->column_count;
    if (table->result->failure.status != MLY_OK)
        return;
    if (cells > CELLS_MAX) {
        fail(table->result, MLY_E_LIMIT, "a table of too many rows");
        return;
    }
    if (mly_array_reserve(&table->cells, &table->cell_capacity, cells, sizeof *table->cells) != 0 ||
        mly_array_reserve(&table->origins, &table->origin_capacity, table->row_count + 1,
                          sizeof *table->origins) != 0) {
        fail_memory(table->result);
        return;
    }
    for (size_t i = cells - table->column_count; i < cells; i++)
        table->cells[i] = (struct mly__cell){.number = NAN};
    table->origins[table->row_count++] = origin;
    table->filled = 0;
}

/* The next cell of the row; NULL after a failure. */
static struct mly__cell *next_cell(mly_result_table *table, bool is_text)
{
    if (table->result->failure.status != MLY_OK)
        return NULL;
    if (table->row_count == 0 || table->filled == table->column_count ||
        table->columns[table->filled].is_text != is_text) {
        fail(table->result, MLY_E_INTERNAL, "a value that fits no column");
        return NULL;
    }
    return &table->cells[(table->row_count - 1) * table->column_count + table->filled++];
}

void mly_result_number(mly_result_table *table, double value)
{
    struct mly__cell *cell = next_cell(table, false);
    if (cell)
        cell->number = value;
}

void mly_result_text(mly_result_table *table, const char *value)
{
    struct mly__cell *cell = next_cell(table, true);
    if (cell && !(cell->text = mly_strdup(value)))
        fail_memory(table->result);
}

/* --- what is said about them --- */

void mly_result_find(mly_result *result, const struct mly_finding *finding)
{
    if (result->failure.status != MLY_OK)
        return;
    struct mly_finding copy = *finding;
    copy.what = mly_strdup(finding->what);
    copy.note = finding->note ? mly_strdup(finding->note) : NULL;
    if (!copy.what || (finding->note && !copy.note) ||
        mly_array_reserve(&result->findings, &result->finding_capacity, result->finding_count + 1,
                          sizeof *result->findings) != 0) {
        mly_free((char *)copy.what);
        mly_free((char *)copy.note);
        fail_memory(result);
        return;
    }
    result->findings[result->finding_count++] = copy;
}

void mly_result_note(mly_result *result, const char *format, ...)
{
    char text[1024];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    if (result->failure.status != MLY_OK)
        return;
    char *copy = mly_strdup(text);
    if (!copy || mly_array_reserve(&result->notes, &result->note_capacity, result->note_count + 1,
                                   sizeof *result->notes) != 0) {
        mly_free(copy);
        fail_memory(result);
        return;
    }
    result->notes[result->note_count++] = copy;
}

void mly_result_model(mly_result *result, const char *name, const char *hash)
{
    for (size_t i = 0; i < result->model_count; i++)
        if (strcmp(result->models[i].name, name) == 0)
            return;
    if (result->failure.status != MLY_OK)
        return;
    struct mly__result_model model = {.name = mly_strdup(name), .hash = mly_strdup(hash)};
    if (!model.name || !model.hash ||
        mly_array_reserve(&result->models, &result->model_capacity, result->model_count + 1,
                          sizeof *result->models) != 0) {
        mly_free(model.name);
        mly_free(model.hash);
        fail_memory(result);
        return;
    }
    result->models[result->model_count++] = model;
}

/* Do the curves name tables and columns that there are? */
static bool is_drawable(const mly_result *result, const struct mly_figure *figure)
{
    for (size_t i = 0; i < figure->series_count; i++) {
        const struct mly_series *s = &figure->series[i];
        const mly_result_table *table = mly__result_find_table(result, s->table);
        if (!table || mly__result_find_column(table, s->x) == table->column_count ||
            mly__result_find_column(table, s->y) == table->column_count)
            return false;
        for (size_t k = 0; k < sizeof s->where / sizeof *s->where; k++)
            if (s->where[k].column &&
                mly__result_find_column(table, s->where[k].column) == table->column_count)
                return false;
    }
    return true;
}

void mly_result_add_figure(mly_result *result, const struct mly_figure *figure)
{
    if (result->failure.status != MLY_OK)
        return;
    if (!is_drawable(result, figure))
        fail(result, MLY_E_INTERNAL, "a figure of a table or column that there is not");
    else if (mly_array_reserve(&result->figures, &result->figure_capacity, result->figure_count + 1,
                               sizeof *result->figures) != 0)
        fail_memory(result);
    else
        result->figures[result->figure_count++] = *figure;
}

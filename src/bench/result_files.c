/* A result as JSON and CSV, and all its files in a folder. */
#include <stdio.h>
#include <string.h>

#include <motley/version.h>

#include "base/alloc.h"
#include "base/file.h"
#include "base/json.h"
#include "commit.h"
#include "result_private.h"

const char *mly_result_commit(void)
{
    return MLY__COMMIT;
}

/* --- JSON --- */

static void put_head(const mly_result *result, struct mly_json_writer *json)
{
    mly_json_put_int(json, "motley_result", MLY_RESULT_VERSION);
    mly_json_put_string(json, "experiment", result->experiment);
    mly_json_put_string(json, "summary", result->summary);
    mly_json_put_string(json, "source", result->source);
    mly_json_put_string(json, "version", mly_version());
    mly_json_put_string(json, "commit", mly_result_commit());
    mly_json_put_string(json, "date", result->date);
    mly_json_begin_object(json, "host");
    mly_json_put_string(json, "id", result->host_id);
    mly_json_put_string(json, "description", result->host);
    mly_json_end_object(json);
    mly_json_put_string(json, "processors", result->processors);
    mly_json_put_int(json, "seed", (int64_t)result->seed);
    mly_json_put_bool(json, "quick", result->quick);
    mly_json_begin_array(json, "models");
    for (size_t i = 0; i < result->model_count; i++) {
        mly_json_begin_object(json, NULL);
        mly_json_put_string(json, "name", result->models[i].name);
        mly_json_put_string(json, "hash", result->models[i].hash);
        mly_json_end_object(json);
    }
    mly_json_end_array(json);
}

/* "set", "measured", …, "row" */
static const char *origin_word(enum mly_origin origin)
{
    return origin == MLY_ORIGIN_SET   ? "set"
           : origin == MLY_ORIGIN_ROW ? "row"
                                      : mly_origin_name(origin);
}

static void put_row(const mly_result_table *table, size_t row, struct mly_json_writer *json)
{
    mly_json_begin_object(json, NULL);
    mly_json_put_string(json, "origin", origin_word(table->origins[row]));
    mly_json_begin_array(json, "values");
    for (size_t c = 0; c < table->column_count; c++) {
        const struct mly__cell *cell = mly__result_cell(table, row, c);
        if (cell->text)
            mly_json_put_string(json, NULL, cell->text);
        else
            mly_json_put_number(json, NULL, cell->number);
    }
    mly_json_end_array(json);
    mly_json_end_object(json);
}

static void put_table(const mly_result_table *table, struct mly_json_writer *json)
{
    mly_json_begin_object(json, NULL);
    mly_json_put_string(json, "name", table->name);
    mly_json_put_string(json, "title", table->title);
    mly_json_begin_array(json, "columns");
    for (size_t c = 0; c < table->column_count; c++) {
        mly_json_begin_object(json, NULL);
        mly_json_put_string(json, "name", table->columns[c].name);
        mly_json_put_string(json, "head", table->columns[c].head);
        mly_json_put_string(json, "unit", table->columns[c].unit);
        mly_json_put_string(json, "origin", origin_word(table->columns[c].origin));
        mly_json_end_object(json);
    }
    mly_json_end_array(json);
    mly_json_begin_array(json, "rows");
    for (size_t r = 0; r < table->row_count; r++)
        put_row(table, r, json);
    mly_json_end_array(json);
    mly_json_end_object(json);
}

static void put_published(double value, const char *by, struct mly_json_writer *json)
{
    if (!by)
        return;
    mly_json_begin_object(json, NULL);
    mly_json_put_number(json, "value", value);
    mly_json_put_string(json, "by", by);
    mly_json_end_object(json);
}

static void put_finding(const struct mly_finding *finding, struct mly_json_writer *json)
{
    mly_json_begin_object(json, NULL);
    mly_json_put_string(json, "what", finding->what);
    mly_json_put_number(json, "value", finding->value);
    mly_json_put_string(json, "unit", finding->unit);
    mly_json_put_string(json, "origin", origin_word(finding->origin));
    mly_json_begin_array(json, "published");
    put_published(finding->published, finding->published_by, json);
    put_published(finding->published_too, finding->published_2nd, json);
    mly_json_end_array(json);
    mly_json_put_number(json, "bar", finding->bar);
    mly_json_put_bool(json, "holds", mly__finding_holds(finding));
    mly_json_put_string(json, "note", finding->note);
    mly_json_end_object(json);
}

void mly_result_put_json(const mly_result *result, const char *key, struct mly_json_writer *json)
{
    mly_json_begin_object(json, key);
    put_head(result, json);
    mly_json_begin_array(json, "findings");
    for (size_t i = 0; i < result->finding_count; i++)
        put_finding(&result->findings[i], json);
    mly_json_end_array(json);
    mly_json_begin_array(json, "notes");
    for (size_t i = 0; i < result->note_count; i++)
        mly_json_put_string(json, NULL, result->notes[i]);
    mly_json_end_array(json);
    mly_json_begin_array(json, "tables");
    for (size_t i = 0; i < result->table_count; i++)
        put_table(result->tables[i], json);
    mly_json_end_array(json);
    mly_json_end_object(json);
}

enum mly_status mly_result_format_json(const mly_result *result, char **text, size_t *length,
                                       struct mly_error *err)
{
    struct mly_json_writer json;
    mly_json_writer_init(&json, true);
    mly_result_put_json(result, NULL, &json);
    return mly_json_finish(&json, text, length, err);
}

/* --- CSV --- */

static enum mly_status put_field(struct mly_buffer *out, const char *text)
{
    enum mly_status status = MLY_OK;
    if (!strpbrk(text, ",\"\r\n"))
        return mly_buffer_printf(out, "%s", text);
    status = mly_buffer_printf(out, "\"");
    for (; *text && status == MLY_OK; text++)
        status = *text == '"' ? mly_buffer_append(out, "\"\"", 2) : mly_buffer_append(out, text, 1);
    return status == MLY_OK ? mly_buffer_printf(out, "\"") : status;
}

static enum mly_status put_csv_row(struct mly_buffer *out, const mly_result_table *table,
                                   size_t row)
{
    enum mly_status status = MLY_OK;
    for (size_t c = 0; c < table->column_count && status == MLY_OK; c++) {
        const struct mly__cell *cell = mly__result_cell(table, row, c);
        if (cell->text)
            status = put_field(out, cell->text);
        else if (!isnan(cell->number))
            status = mly_buffer_printf(out, "%.10g", cell->number);
        if (status == MLY_OK)
            status = mly_buffer_printf(out, ",");
    }
    return status == MLY_OK ? mly_buffer_printf(out, "%s\n", mly_origin_name(table->origins[row]))
                            : status;
}

enum mly_status mly_result_format_csv(const mly_result *result, size_t index, char **text,
                                      size_t *length, struct mly_error *err)
{
    const mly_result_table *table = result->tables[index];
    struct mly_buffer out = {0};
    enum mly_status status = MLY_OK;
    for (size_t c = 0; c < table->column_count && status == MLY_OK; c++)
        status = mly_buffer_printf(&out, "%s,", table->columns[c].name);
    if (status == MLY_OK)
        status = mly_buffer_printf(&out, "origin\n");
    for (size_t r = 0; r < table->row_count && status == MLY_OK; r++)
        status = put_csv_row(&out, table, r);
    if (status != MLY_OK) {
        mly_buffer_fini(&out);
        return mly_error_set(err, status, "no memory for table %s", table->name);
    }
    *text = out.data;
    *length = out.length;
    return MLY_OK;
}

/* --- the folder --- */

static enum mly_status write_file(const mly_result *result, const char *folder, const char *part,
                                  const char *suffix, const char *text, size_t length,
                                  struct mly_error *err)
{
    char *path =
        mly_strfmt("%s/%s%s%s.%s", folder, result->experiment, part[0] ? "." : "", part, suffix);
    if (!path)
        return mly_error_set(err, MLY_E_NO_MEMORY, "memory is short");
    enum mly_status status = mly_file_write(path, text, length, err);
    mly_free(path);
    return status;
}

/* What cannot be drawn is said once, and stops nothing. */
static enum mly_status save_figures(const mly_result *result, const char *folder, char **word,
                                    struct mly_error *err)
{
    struct mly_error reason = {0};
    enum mly_status status = MLY_OK;
    for (size_t i = 0; i < result->figure_count && status == MLY_OK; i++) {
        char *svg = NULL;
        size_t length = 0;
        status = mly__figure_draw(result, &result->figures[i], &svg, &length, &reason);
        if (status == MLY_OK)
            status = write_file(result, folder, result->figures[i].name, "svg", svg, length, err);
        else if (status == MLY_E_NOT_FOUND) /* nothing to draw: a quick run may lack the curve */
            status = MLY_OK;
        else if (status == MLY_E_NO_MEMORY)
            return mly_error_set(err, status, "%s", reason.message);
        else {
            *word = mly_strfmt("%s: no picture: %s", result->experiment, reason.message);
            return *word ? MLY_OK : mly_error_set(err, MLY_E_NO_MEMORY, "memory is short");
        }
        mly_free(svg);
    }
    return status;
}

enum mly_status mly_result_save(const mly_result *result, const char *folder, char **word,
                                struct mly_error *err)
{
    char *text = NULL, *said = NULL;
    size_t length = 0;
    enum mly_status status = mly_result_check(result, err);
    if (status == MLY_OK)
        status = mly_dir_create(folder, err);
    for (size_t i = 0; i < result->table_count && status == MLY_OK; i++) {
        status = mly_result_format_csv(result, i, &text, &length, err);
        if (status == MLY_OK)
            status = write_file(result, folder, result->tables[i]->name, "csv", text, length, err);
        mly_free(text);
        text = NULL;
    }
    if (status == MLY_OK)
        status = save_figures(result, folder, &said, err);
    if (status == MLY_OK)
        status = mly_result_format_json(result, &text, &length, err);
    if (status == MLY_OK)
        status = write_file(result, folder, "", "result.json", text, length, err);
    mly_free(text);
    if (status == MLY_OK && word)
        *word = said;
    else
        mly_free(said);
    return status;
}

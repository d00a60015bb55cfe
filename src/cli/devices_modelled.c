#include "devices_modelled.h"

#include "base/alloc.h"
#include "device/modelled.h"

static int count_assumed(const struct mly_device_model *model, int *given)
{
    int assumed = 0;
    *given = 0;
    for (size_t i = 0; i < MLY_DEVICE_CONSTANT_COUNT; i++) {
        *given += model->origins[i].given;
        assumed += model->origins[i].assumed;
    }
    return assumed;
}

/* --- JSON --- */

static void put_model(struct mly_json_writer *json, const struct mly_device_model *model)
{
    int given, assumed = count_assumed(model, &given);
    mly_json_begin_object(json, NULL);
    mly_json_put_string(json, "name", model->name);
    mly_json_put_string(json, "description", model->description);
    mly_json_put_string(json, "family", mly_device_family_name(model->family));
    mly_json_put_string(json, "file", model->path);
    mly_json_put_bool(json, "modelled", true);
    mly_json_put_int(json, "constants_given", given);
    mly_json_put_int(json, "constants_assumed", assumed);
    mly_json_begin_object(json, "constants");
    for (size_t i = 0; i < MLY_DEVICE_CONSTANT_COUNT; i++) {
        const struct mly_device_origin *origin = &model->origins[i];
        if (!origin->given)
            continue;
        mly_json_begin_object(json, mly_device_constant_at(i)->key);
        mly_json_put_number(json, "value", mly_device_constant_get(model, i));
        mly_json_put_string(json, "unit", mly_device_constant_at(i)->unit);
        mly_json_put_bool(json, "assumed", origin->assumed);
        mly_json_put_string(json, "source", origin->source[0] ? origin->source : NULL);
        mly_json_end_object(json);
    }
    mly_json_end_object(json);
    mly_json_end_object(json);
}

static int print_json(const struct mly_device_model *only)
{
    struct mly_json_writer json;
    const struct mly_device_model *model;
    mly_json_writer_init(&json, true);
    mly_json_begin_object(&json, NULL);
    mly_json_begin_array(&json, "modelled");
    for (size_t i = 0; (model = mly_device_model_at(i)); i++)
        if (!only || model == only)
            put_model(&json, model);
    mly_json_end_array(&json);
    mly_json_end_object(&json);
    return cli_print_json(&json);
}

/* --- text --- */

/* "4.65 T", or "-" for none. */
static const char *rate_text(double per_s, char buffer[CLI_NUMBER_BYTES])
{
    return per_s > 0 ? cli_count(per_s, buffer) : "-";
}

static const char *bytes_text(double bytes, char buffer[CLI_NUMBER_BYTES])
{
    return bytes > 0 ? cli_bytes(bytes, buffer) : "-";
}

static void print_row(struct cli_table *table, const struct mly_device_model *model)
{
    char a[CLI_NUMBER_BYTES], b[CLI_NUMBER_BYTES];
    int given, assumed = count_assumed(model, &given);
    cli_table_cell(table, "%s", model->name);
    cli_table_cell(table, "%s", mly_device_family_name(model->family));
    cli_table_cell(table, "%s", rate_text(model->macs_per_s[MLY_DTYPE_F32], a));
    cli_table_cell(table, "%s", rate_text(model->macs_per_s[MLY_DTYPE_F16], a));
    cli_table_cell(table, "%s", rate_text(model->macs_per_s[MLY_DTYPE_I8], a));
    cli_table_cell(table, "%s", rate_text(model->memory_bytes_per_s, a));
    cli_table_cell(table, "%s", bytes_text(model->memory_bytes, a));
    cli_table_cell(table, "%s", bytes_text(model->on_chip_bytes, a));
    cli_table_cell(table, "%s, %s", cli_count(model->to_device.bytes_per_s, a),
                   cli_count(model->to_host.bytes_per_s, b));
    cli_table_cell(table, "%g, %g", model->idle_w, model->active_w);
    cli_table_cell(table, "%d of %d", assumed, given);
    cli_table_cell(table, "%s", model->description);
}

static int print_all(void)
{
    struct cli_table table;
    const struct mly_device_model *model;
    cli_table_init(&table,
                   "name|family|>f32 MAC/s|>f16|>i8|>memory B/s|>memory|>on chip|>links B/s|"
                   ">W idle, active|>assumed|description");
    for (size_t i = 0; (model = mly_device_model_at(i)); i++)
        print_row(&table, model);
    cli_table_print(&table, stdout);
    cli_table_fini(&table);
    puts("Modelled: none of these is here; their times are worked out from published constants. "
         "Rates are peaks; links are to and from the device.");
    return cli_finish_output();
}

static int print_one(const struct mly_device_model *model)
{
    struct cli_table table;
    printf("%s (modelled, %s): %s\n%s\n\n", model->name, mly_device_family_name(model->family),
           model->description, model->path);
    cli_table_init(&table, "constant|>value|unit|what it is|source");
    for (size_t i = 0; i < MLY_DEVICE_CONSTANT_COUNT; i++) {
        const struct mly_device_constant_info *info = mly_device_constant_at(i);
        const struct mly_device_origin *origin = &model->origins[i];
        if (!origin->given)
            continue;
        cli_table_cell(&table, "%s", info->key);
        cli_table_cell(&table, "%.6g", mly_device_constant_get(model, i));
        cli_table_cell(&table, "%s", info->unit);
        cli_table_cell(&table, "%s", info->meaning);
        cli_table_cell(&table, "%s%s%s", origin->assumed ? "assumed" : "",
                       origin->assumed && origin->source[0] ? ": " : "", origin->source);
    }
    cli_table_print(&table, stdout);
    cli_table_fini(&table);
    return cli_finish_output();
}

enum mly_status cli_device_modelled(const struct cli_common *common, const char *name,
                                    const struct mly_device_model **out, struct mly_error *err)
{
    char *word = NULL;
    enum mly_status status = mly_device_models_load(&word, err);
    if (status)
        return status;
    if (word)
        cli_remark(common, "device files that are left out:\n%s", word);
    mly_free(word);
    const struct mly_device_model *model = name ? mly_device_model_find(name) : NULL;
    if (name && !model)
        return mly_error_set(err, MLY_E_NOT_FOUND,
                             "no device file describes '%s'; 'motley devices --modelled' lists all",
                             name);
    *out = model;
    return MLY_OK;
}

int cli_devices_modelled(const struct cli_common *common, const char *name)
{
    struct mly_error err = {0};
    const struct mly_device_model *model = NULL;
    if (cli_device_modelled(common, name, &model, &err))
        return cli_fail(&err);
    if (common->json)
        return print_json(model);
    return model ? print_one(model) : print_all();
}

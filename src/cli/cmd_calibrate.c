/* motley calibrate: fits a modelled device's constants to measurements. */
#include <math.h>
#include <string.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/file.h"
#include "cost/calibrate.h"
#include "internal.h"
#include "model/zoo.h"

struct calibrate_values {
    const char *output;
    struct cli_texts fit;
    struct cli_texts keep;
};

static const struct cli_option calibrate_options[] = {
    {"output", 'o', CLI_FILE, "NEW.json",
     "Write the fitted device there; its name becomes that of the file.", NULL,
     offsetof(struct calibrate_values, output), 0, 0},
    {"fit", 0, CLI_REPEAT, "CONSTANT,…",
     "Fit only these (default: all rates and fixed times that are above 0).", NULL,
     offsetof(struct calibrate_values, fit), 0, 0},
    {"keep", 0, CLI_REPEAT, "CONSTANT,…", "Do not fit these.", NULL,
     offsetof(struct calibrate_values, keep), 0, 0},
};

/* A model of the measurements, once for each name and batch. */
struct measured_model {
    const char *name;
    uint32_t batch;
    mly_model *model; /* owned by the first of its name */
    bool owns;
    mly_modelled *modelled;
};

/* What is to be released at the end. */
struct calibration {
    const char *csv;
    struct mly_device_model device;
    struct mly_measurement_list measurements;
    struct measured_model *models; /* [measurements.count] at most */
    size_t model_count;
    struct mly_calibration_row *rows; /* parallel to measurements */
    struct mly_calibration_constant constants[MLY_DEVICE_CONSTANT_COUNT];
    size_t constant_count;
};

static void release(struct calibration *calibration)
{
    for (size_t i = 0; i < calibration->model_count; i++) {
        mly_modelled_destroy(calibration->models[i].modelled);
        if (calibration->models[i].owns)
            mly_model_destroy(calibration->models[i].model);
    }
    mly_free(calibration->models);
    mly_free(calibration->rows);
    mly_measurement_list_fini(&calibration->measurements);
}

static enum mly_status no_memory(struct mly_error *err)
{
    return mly_error_set(err, MLY_E_NO_MEMORY, "memory is short");
}

/* --- the device --- */

/* A device file, or the name of a device that is known. */
static enum mly_status open_device(const char *device, struct mly_device_model *out,
                                   struct mly_error *err)
{
    char *content = NULL;
    size_t length = 0;
    bool is_file = strchr(device, '/') || access(device, F_OK) == 0;
    const struct mly_device_model *known = is_file ? NULL : mly_device_model_find(device);
    if (known) {
        *out = *known;
        return MLY_OK;
    }
    if (!is_file)
        return mly_error_set(err, MLY_E_NOT_FOUND,
                             "'%s' is neither a file nor a device; 'motley devices --modelled' "
                             "lists those that are known",
                             device);
    enum mly_status status =
        mly_file_read(device, MLY_DEVICE_TEXT_BYTES_MAX, &content, &length, err);
    if (status)
        return status;
    status = mly_device_model_parse(device, content, length, out, err);
    mly_free(content);
    return status;
}

/* --- which constants --- */

/* Whether the name is among those given, between commas. */
static bool is_named(const struct cli_texts *texts, const char *name)
{
    const size_t length = strlen(name);
    for (size_t i = 0; i < texts->count; i++)
        for (const char *at = texts->items[i]; *at;) {
            size_t word = strcspn(at, ",");
            if (word == length && strncmp(at, name, word) == 0)
                return true;
            at += word + (at[word] == ',');
        }
    return false;
}

/* Every name must be that of a constant that can be fitted. */
static enum mly_status check_names(const struct cli_texts *texts, const char *option,
                                   const struct calibration *calibration, struct mly_error *err)
{
    for (size_t i = 0; i < texts->count; i++)
        for (const char *at = texts->items[i]; *at;) {
            size_t word = strcspn(at, ","), k = 0;
            for (; k < calibration->constant_count; k++) {
                const char *key = mly_device_constant_at(calibration->constants[k].index)->key;
                if (strlen(key) == word && strncmp(at, key, word) == 0)
                    break;
            }
            if (k == calibration->constant_count)
                return mly_error_set(err, MLY_E_INVALID,
                                     "%s: '%.*s' is no constant of %s that can be fitted; 'motley "
                                     "devices --modelled %s' lists its constants",
                                     option, (int)word, at, calibration->device.name,
                                     calibration->device.name);
            at += word + (at[word] == ',');
        }
    return MLY_OK;
}

static enum mly_status choose_constants(const struct calibrate_values *given,
                                        struct calibration *calibration, struct mly_error *err)
{
    size_t kept = 0;
    calibration->constant_count =
        mly_calibration_constants(&calibration->device, calibration->constants);
    enum mly_status status = check_names(&given->fit, "--fit", calibration, err);
    if (!status)
        status = check_names(&given->keep, "--keep", calibration, err);
    if (status)
        return status;
    for (size_t i = 0; i < calibration->constant_count; i++) {
        const char *key = mly_device_constant_at(calibration->constants[i].index)->key;
        if ((given->fit.count && !is_named(&given->fit, key)) || is_named(&given->keep, key))
            continue;
        calibration->constants[kept++] = calibration->constants[i];
    }
    calibration->constant_count = kept;
    return kept ? MLY_OK : mly_error_set(err, MLY_E_INVALID, "no constant is left to fit");
}

/* --- the measurements --- */

/* A network of the zoo, without its weights. */
static enum mly_status open_zoo(const char *name, mly_model **out, struct mly_error *err)
{
    char *folder = NULL;
    enum mly_status status = mly_cache_dir("calibrate", &folder, err);
    if (status)
        return status;
    char *path = mly_strfmt("%s/%ld.onnx", folder, (long)getpid());
    mly_free(folder);
    if (!path)
        return no_memory(err);
    status = mly_zoo_write_hollow(name, path, err);
    if (!status) {
        status = mly_model_load(path, NULL, out, err);
        unlink(path);
    }
    mly_free(path);
    return status;
}

/* A file, relative to that of the measurements, or a network of the zoo. */
static enum mly_status open_model(const char *csv, const char *name, mly_model **out,
                                  struct mly_error *err)
{
    size_t length = strlen(name);
    bool is_file = strchr(name, '/') || (length > 5 && strcmp(name + length - 5, ".onnx") == 0);
    if (!is_file)
        return open_zoo(name, out, err);
    const char *slash = name[0] == '/' ? NULL : strrchr(csv, '/');
    char *path = mly_strfmt("%.*s%s", slash ? (int)(slash - csv + 1) : 0, csv, name);
    if (!path)
        return no_memory(err);
    enum mly_status status = cli_model_open(path, false, out, err);
    mly_free(path);
    return status;
}

static enum mly_status find_model(struct calibration *calibration,
                                  const struct mly_measurement *measurement,
                                  const mly_modelled **out, struct mly_error *err)
{
    struct measured_model *next = &calibration->models[calibration->model_count];
    *next = (struct measured_model){.name = measurement->model, .batch = measurement->batch};
    for (size_t i = 0; i < calibration->model_count; i++) {
        struct measured_model *known = &calibration->models[i];
        if (strcmp(known->name, measurement->model) != 0)
            continue;
        next->model = known->model;
        if (known->batch == measurement->batch) {
            *out = known->modelled;
            return MLY_OK;
        }
    }
    enum mly_status status = MLY_OK;
    if (!next->model) {
        status = open_model(calibration->csv, measurement->model, &next->model, err);
        next->owns = status == MLY_OK;
    }
    if (!status)
        status = mly_modelled_create(&calibration->device, next->model, measurement->batch, NULL, 0,
                                     &next->modelled, err);
    struct mly_modelled_cost
        cost; /* that the device can run it is asked here, where the line is known */
    if (!status)
        status = mly_modelled_segment(next->modelled, NULL, 0, &cost, err);
    calibration->model_count++;
    *out = next->modelled;
    return status;
}

static enum mly_status open_measurements(struct calibration *calibration,
                                         struct cli_progress *progress, struct mly_error *err)
{
    char *text = NULL;
    size_t length = 0;
    enum mly_status status =
        mly_file_read(calibration->csv, MLY_MEASUREMENT_BYTES_MAX, &text, &length, err);
    if (!status)
        status =
            mly_measurements_parse(calibration->csv, text, length, &calibration->measurements, err);
    mly_free(text);
    if (status)
        return status;
    const size_t count = calibration->measurements.count;
    calibration->models = mly_alloc_array(count, sizeof *calibration->models);
    calibration->rows = mly_alloc_array(count, sizeof *calibration->rows);
    if (!calibration->models || !calibration->rows)
        return no_memory(err);
    for (size_t i = 0; !status && i < count; i++) {
        const struct mly_measurement *measurement = &calibration->measurements.items[i];
        struct mly_calibration_row *row = &calibration->rows[i];
        row->measured_ns = measurement->time_ns;
        row->links = measurement->links;
        status = find_model(calibration, measurement, &row->modelled, err);
        if (status)
            status = mly_error_prefix(err, status, "%s:%u", calibration->csv, measurement->line);
        cli_progress_update(progress, (double)i / (double)count, "reading models");
        if (!status && atomic_load(cli_stop_flag()))
            status = mly_error_set(err, MLY_E_CANCELLED, "interrupted");
    }
    return status;
}

/* --- what came out --- */

static double error_of(double modelled_ns, double measured_ns)
{
    return 100 * (modelled_ns / measured_ns - 1);
}

/* Mean of what rows are off, before and after. */
static void mean_errors(const struct calibration *calibration, double *before, double *after)
{
    const size_t count = calibration->measurements.count;
    *before = *after = 0;
    for (size_t i = 0; i < count; i++) {
        const struct mly_calibration_row *row = &calibration->rows[i];
        *before += fabs(error_of(row->before_ns, row->measured_ns)) / (double)count;
        *after += fabs(error_of(row->after_ns, row->measured_ns)) / (double)count;
    }
}

static void print_memory(const struct mly_measurement *measurement,
                         const struct mly_calibration_row *row, struct cli_table *table)
{
    struct mly_modelled_cost cost;
    if ((measurement->on_chip_bytes < 0 && measurement->off_chip_bytes < 0) ||
        mly_modelled_segment(row->modelled, NULL, 0, &cost, NULL) != MLY_OK) {
        cli_table_cell(table, "%s", "");
        return;
    }
    double off = 0;
    if (measurement->on_chip_bytes >= 0)
        off = fabs(cost.on_chip_bytes - measurement->on_chip_bytes);
    if (measurement->off_chip_bytes >= 0)
        off = fmax(off, fabs(cost.off_chip_bytes - measurement->off_chip_bytes));
    cli_table_cell(table, "%.3f", off / 1048576);
}

static void print_rows(const struct calibration *calibration)
{
    struct cli_table table;
    char text[CLI_NUMBER_BYTES];
    cli_table_init(&table, "model|>batch|>measured|>before|>error|>after|>error|>MiB off|remark");
    for (size_t i = 0; i < calibration->measurements.count; i++) {
        const struct mly_measurement *measurement = &calibration->measurements.items[i];
        const struct mly_calibration_row *row = &calibration->rows[i];
        cli_table_cell(&table, "%s", measurement->model);
        cli_table_cell(&table, "%u", measurement->batch);
        cli_table_cell(&table, "%s", cli_time(row->measured_ns, text));
        cli_table_cell(&table, "%s", cli_time(row->before_ns, text));
        cli_table_cell(&table, "%+.1f %%", error_of(row->before_ns, row->measured_ns));
        cli_table_cell(&table, "%s", cli_time(row->after_ns, text));
        cli_table_cell(&table, "%+.1f %%", error_of(row->after_ns, row->measured_ns));
        print_memory(measurement, row, &table);
        cli_table_cell(&table, "%s", row->weight < 0.5 ? "counts less: far off the others" : "-");
    }
    cli_table_print(&table, stdout);
    cli_table_fini(&table);
}

/* Of what as few rows were fitted to as there are constants nobody knows how uncertain it is. */
static bool knows_spread(const struct calibration *calibration)
{
    size_t fitted = 0;
    for (size_t i = 0; i < calibration->constant_count; i++)
        fitted += calibration->constants[i].spread >= 0;
    return calibration->measurements.count > fitted;
}

static void print_constants(const struct calibration *calibration)
{
    struct cli_table table;
    cli_table_init(&table, "constant|>before|>after|unit|>uncertain by");
    for (size_t i = 0; i < calibration->constant_count; i++) {
        const struct mly_calibration_constant *constant = &calibration->constants[i];
        const struct mly_device_constant_info *info = mly_device_constant_at(constant->index);
        cli_table_cell(&table, "%s", info->key);
        cli_table_cell(&table, "%.6g", constant->before);
        cli_table_cell(&table, "%.6g", constant->after);
        cli_table_cell(&table, "%s", info->unit);
        if (constant->spread < 0)
            cli_table_cell(&table, "unchanged: these rows do not tell");
        else if (!knows_spread(calibration))
            cli_table_cell(&table, "not known: too few rows");
        else
            cli_table_cell(&table, "%.1f %%", 100 * constant->spread);
    }
    cli_table_print(&table, stdout);
    cli_table_fini(&table);
}

static int print_text(const struct calibration *calibration, const char *output)
{
    double before, after;
    mean_errors(calibration, &before, &after);
    print_rows(calibration);
    printf("\n%s (modelled), fitted to %zu measurement%s of %s\n", calibration->device.name,
           calibration->measurements.count, calibration->measurements.count == 1 ? "" : "s",
           calibration->csv);
    print_constants(calibration);
    printf("\nmean error %.2f %% before, %.2f %% after; ", before, after);
    if (output)
        printf("written to %s\n", output);
    else
        printf("nothing is written without -o\n");
    return cli_finish_output();
}

static int print_json(const struct calibration *calibration, const char *output)
{
    struct mly_json_writer json;
    double before, after;
    mean_errors(calibration, &before, &after);
    mly_json_writer_init(&json, true);
    mly_json_begin_object(&json, NULL);
    mly_json_put_string(&json, "device", calibration->device.name);
    mly_json_put_bool(&json, "modelled", true);
    mly_json_put_string(&json, "measurements", calibration->csv);
    mly_json_put_string(&json, "output", output);
    mly_json_put_number(&json, "mean_error_before", before / 100);
    mly_json_put_number(&json, "mean_error_after", after / 100);
    mly_json_begin_array(&json, "constants");
    for (size_t i = 0; i < calibration->constant_count; i++) {
        const struct mly_calibration_constant *constant = &calibration->constants[i];
        mly_json_begin_object(&json, NULL);
        mly_json_put_string(&json, "name", mly_device_constant_at(constant->index)->key);
        mly_json_put_number(&json, "before", constant->before);
        mly_json_put_number(&json, "after", constant->after);
        mly_json_put_bool(&json, "fitted", constant->spread >= 0);
        if (constant->spread < 0 || !knows_spread(calibration))
            mly_json_put_null(&json, "relative_standard_error");
        else
            mly_json_put_number(&json, "relative_standard_error", constant->spread);
        mly_json_end_object(&json);
    }
    mly_json_end_array(&json);
    mly_json_begin_array(&json, "rows");
    for (size_t i = 0; i < calibration->measurements.count; i++) {
        const struct mly_calibration_row *row = &calibration->rows[i];
        mly_json_begin_object(&json, NULL);
        mly_json_put_string(&json, "model", calibration->measurements.items[i].model);
        mly_json_put_int(&json, "batch", calibration->measurements.items[i].batch);
        mly_json_put_int(&json, "line", calibration->measurements.items[i].line);
        mly_json_put_number(&json, "measured_ns", row->measured_ns);
        mly_json_put_number(&json, "before_ns", row->before_ns);
        mly_json_put_number(&json, "after_ns", row->after_ns);
        mly_json_put_number(&json, "weight", row->weight);
        mly_json_end_object(&json);
    }
    mly_json_end_array(&json);
    mly_json_end_object(&json);
    return cli_print_json(&json);
}

/* What was fitted has the measurements as its source. */
static void note_origin(struct calibration *calibration)
{
    const char *slash = strrchr(calibration->csv, '/');
    for (size_t i = 0; i < calibration->constant_count; i++) {
        const struct mly_calibration_constant *constant = &calibration->constants[i];
        struct mly_device_origin *origin = &calibration->device.origins[constant->index];
        if (constant->spread < 0)
            continue;
        origin->assumed = false;
        snprintf(origin->source, sizeof origin->source, "motley calibrate, %.64s, %zu rows",
                 slash ? slash + 1 : calibration->csv, calibration->measurements.count);
    }
}

/* The file's name without its ending becomes the device's; what cannot be read again is not written. */
static enum mly_status save_device(struct calibration *calibration, const char *path,
                                   struct mly_error *err)
{
    const char *slash = strrchr(path, '/'), *file = slash ? slash + 1 : path;
    const size_t stem = strlen(file) < 5 ? 0 : strlen(file) - 5;
    char *text = NULL;
    size_t length = 0;
    struct mly_device_model again;
    if (stem == 0 || strcmp(file + stem, ".json") != 0 || stem >= sizeof calibration->device.name)
        return mly_error_set(err, MLY_E_INVALID,
                             "-o %s: a device file is called NAME.json, NAME of at most %zu bytes",
                             path, sizeof calibration->device.name - 1);
    snprintf(calibration->device.name, sizeof calibration->device.name, "%.*s", (int)stem, file);
    note_origin(calibration);
    enum mly_status status = mly_device_model_format(&calibration->device, &text, &length, err);
    if (status)
        return status;
    status = mly_device_model_parse(path, text, length, &again, err);
    if (!status)
        status = mly_file_write(path, text, length, err);
    mly_free(text);
    return status;
}

static int run_calibrate(const struct cli_common *common, const void *values, char **operands,
                         size_t operand_count)
{
    const struct calibrate_values *given = values;
    struct calibration calibration = {.csv = operands[1]};
    struct cli_progress progress;
    struct mly_error err = {0};
    (void)operand_count;
    cli_catch_interrupts();
    cli_progress_begin(&progress, common);
    enum mly_status status = open_device(operands[0], &calibration.device, &err);
    if (!status)
        status = choose_constants(given, &calibration, &err);
    if (!status)
        status = open_measurements(&calibration, &progress, &err);
    if (!status)
        status =
            mly_calibrate(&calibration.device, calibration.constants, calibration.constant_count,
                          calibration.rows, calibration.measurements.count, &err);
    if (!status && given->output)
        status = save_device(&calibration, given->output, &err);
    cli_progress_end(&progress);
    int exit_status = status         ? cli_fail(&err)
                      : common->json ? print_json(&calibration, given->output)
                                     : print_text(&calibration, given->output);
    release(&calibration);
    return exit_status;
}

const struct cli_command cli_command_calibrate = {
    .name = "calibrate",
    .operands = "DEVICE MEASUREMENTS.csv",
    .summary = "fit a modelled device's constants to measurements",
    .description =
        "Fits the rates and fixed times of a device file (or of a device that `motley devices "
        "--modelled` lists) to measured times, and prints how far the model is off each of them, "
        "before and after. The first line of MEASUREMENTS.csv names its columns: model (a file, "
        "relative to the CSV's folder, or a network of `motley zoo`) and time_ms of one run; if "
        "wanted batch (default 1), links (yes: with transfers, the default; or no), and for Edge "
        "TPUs on_chip_mib and off_chip_mib, which are compared only. Errors count by their ratio, "
        "large ones less than others; a constant of which the measurements say nothing stays.",
    .examples = "  motley calibrate edgetpu-pcie measured.csv\n  motley calibrate p100.json "
                "measured.csv -o my-p100.json\n",
    .options = calibrate_options,
    .option_count = sizeof calibrate_options / sizeof calibrate_options[0],
    .values_bytes = sizeof(struct calibrate_values),
    .min_operands = 2,
    .max_operands = 2,
    .run = run_calibrate,
};

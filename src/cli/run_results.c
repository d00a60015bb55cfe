/* Results of a run: kept, written, ranked, compared. */
#include "run_results.h"

#include <string.h>
#include <strings.h>
#include <sys/stat.h>

#include "base/alloc.h"
#include "base/file.h"
#include "plan/plan.h"
#include "run_stream.h"
#include "tensorio/npy.h"
#include "tensorio/raw.h"

enum mly_status run_results_take(void *user, const struct run_batch *batch,
                                 const struct mly_tensor *outputs, size_t output_count,
                                 struct mly_error *err)
{
    struct run_results *results = user;
    if (mly_array_reserve(&results->outputs, &results->batch_capacity, results->batch_count + 1,
                          sizeof *results->outputs) != 0)
        return mly_error_set(err, MLY_E_NO_MEMORY, "memory is short for results");
    struct mly_tensor *copies = mly_alloc_array(output_count ? output_count : 1, sizeof *copies);
    if (!copies)
        return mly_error_set(err, MLY_E_NO_MEMORY, "memory is short for results");
    results->output_count = output_count;
    results->outputs[results->batch_count++] = copies;
    for (size_t i = 0; i < output_count; i++) {
        enum mly_status status = mly_tensor_dup(&outputs[i], &copies[i], err);
        if (status != MLY_OK)
            return status;
    }
    results->sample_count += batch->count;
    return MLY_OK;
}

void run_results_fini(struct run_results *results)
{
    for (size_t b = 0; b < results->batch_count; b++) {
        for (size_t i = 0; i < results->output_count; i++)
            mly_tensor_fini(&results->outputs[b][i]);
        mly_free(results->outputs[b]);
    }
    mly_free(results->outputs);
    *results = (struct run_results){0};
}

/* Output `index` of all batches along dimension 0 (when it has one), into a new file. */
static enum mly_status save_output(const struct run_results *results, size_t index,
                                   const char *path, struct mly_error *err)
{
    struct mly_tensor joined = {0};
    const struct mly_tensor **parts =
        mly_alloc_array(results->batch_count ? results->batch_count : 1, sizeof *parts);
    if (!parts)
        return mly_error_set(err, MLY_E_NO_MEMORY, "memory is short");
    for (size_t b = 0; b < results->batch_count; b++)
        parts[b] = &results->outputs[b][index];
    enum mly_status status = MLY_OK;
    if (results->batch_count == 1) {
        status = mly_npy_save(path, parts[0], err);
    } else {
        status = mly_tensor_join(parts, results->batch_count, &joined, err);
        if (status == MLY_OK)
            status = mly_npy_save(path, &joined, err);
    }
    mly_tensor_fini(&joined);
    mly_free(parts);
    return status;
}

/* Names may hold what file names must not. */
static char *output_path(const char *folder, const char *name)
{
    char *path = mly_strfmt("%s/%s.npy", folder, name);
    for (char *at = path ? path + strlen(folder) + 1 : NULL; at && *at; at++)
        if (*at == '/' || *at == ':' || (unsigned char)*at < ' ')
            *at = '_';
    return path;
}

static bool ends_with(const char *text, const char *ending)
{
    size_t length = strlen(text), tail = strlen(ending);
    return length > tail && strcasecmp(text + length - tail, ending) == 0;
}

enum mly_status run_results_check_path(const mly_model *model, const char *path,
                                       struct mly_error *err)
{
    static const char *const others[] = {".npz", ".raw", ".bin", ".pb",  ".json",
                                         ".csv", ".txt", ".png", ".jpg", ".jpeg"};
    struct stat info;
    if (ends_with(path, ".npy"))
        return mly_model_output_count(model) == 1
                   ? MLY_OK
                   : mly_error_set(err, MLY_E_INVALID,
                                   "--output %s: the model has %zu outputs; give a folder", path,
                                   mly_model_output_count(model));
    if (stat(path, &info) == 0)
        return S_ISDIR(info.st_mode) ? MLY_OK
                                     : mly_error_set(err, MLY_E_INVALID,
                                                     "--output %s: a file of that name is there; "
                                                     "give FILE.npy or a folder",
                                                     path);
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++)
        if (ends_with(path, others[i]))
            return mly_error_set(err, MLY_E_INVALID,
                                 "--output %s: results are written as FILE.npy, or into a folder",
                                 path);
    return MLY_OK;
}

enum mly_status run_results_save(struct run_results *results, const char *path,
                                 struct mly_error *err)
{
    if (results->batch_count == 0)
        return mly_error_set(err, MLY_E_INVALID, "there are no results to write");
    enum mly_status status = run_results_check_path(results->model, path, err);
    if (status == MLY_OK && ends_with(path, ".npy")) {
        status = save_output(results, 0, path, err);
        results->written = status == MLY_OK;
        return status;
    }
    if (status == MLY_OK)
        status = mly_dir_create(path, err);
    for (size_t i = 0; status == MLY_OK && i < results->output_count; i++) {
        char *file = output_path(path, mly_model_output(results->model, i)->name);
        status = file ? save_output(results, i, file, err)
                      : mly_error_set(err, MLY_E_NO_MEMORY, "memory is short");
        mly_free(file);
    }
    results->written = status == MLY_OK;
    return status;
}

void run_results_report(const struct run_results *results, const struct run_inputs *inputs,
                        const char *path, struct mly_json_writer *json)
{
    uint64_t wanted = 0;
    for (size_t b = 0; b < inputs->batch_count; b++)
        wanted += inputs->batches[b].count;
    if (json && !results->written) {
        mly_json_put_null(json, "output");
    } else if (json) {
        mly_json_begin_object(json, "output");
        mly_json_put_string(json, "path", path);
        mly_json_put_int(json, "samples", (int64_t)results->sample_count);
        mly_json_put_int(json, "samples_wanted", (int64_t)wanted);
        mly_json_end_object(json);
    } else if (!results->written) {
        printf("nothing was written to %s\n", path);
    } else if (results->sample_count < wanted) {
        printf("results of the first %llu of %llu samples written to %s\n",
               (unsigned long long)results->sample_count, (unsigned long long)wanted, path);
    } else {
        printf("results written to %s\n", path);
    }
}

enum mly_status run_labels_load(const char *path, struct run_labels *out, struct mly_error *err)
{
    enum { LABEL_FILE_BYTES = 16 << 20 };
    struct run_labels labels = {0};
    size_t length = 0, capacity = 0;
    enum mly_status status = mly_file_read(path, LABEL_FILE_BYTES, &labels.text, &length, err);
    if (status != MLY_OK)
        return status;
    for (char *at = labels.text; at < labels.text + length;) {
        char *end = memchr(at, '\n', (size_t)(labels.text + length - at));
        if (mly_array_reserve(&labels.lines, &capacity, labels.count + 1, sizeof *labels.lines) !=
            0) {
            run_labels_fini(&labels);
            return mly_error_set(err, MLY_E_NO_MEMORY, "memory is short");
        }
        labels.lines[labels.count++] = at;
        if (!end)
            break;
        *end = '\0';
        if (end > at && end[-1] == '\r')
            end[-1] = '\0';
        at = end + 1;
    }
    while (labels.count > 0 && *labels.lines[labels.count - 1] == '\0')
        labels.count--; /* empty lines at the end name nothing */
    *out = labels;
    return MLY_OK;
}

void run_labels_fini(struct run_labels *labels)
{
    mly_free(labels->lines);
    mly_free(labels->text);
    *labels = (struct run_labels){0};
}

void run_labels_remark(const struct run_labels *labels, const char *path,
                       const struct run_results *results, const struct cli_common *common)
{
    int64_t count = 0;
    if (results->batch_count == 0 || results->output_count == 0 ||
        mly_shape_count(&results->outputs[0][0].shape, &count, NULL) != MLY_OK)
        return;
    const int64_t classes = count / mly_tensor_rows(&results->outputs[0][0]);
    if ((int64_t)labels->count < classes)
        cli_remark(common,
                   "%s names %zu of the %lld classes; those without a name are shown by number",
                   path, labels->count, (long long)classes);
    else if ((int64_t)labels->count > classes)
        cli_remark(common, "%s names %zu classes, but the output has %lld: is it this model's?",
                   path, labels->count, (long long)classes);
}

static const char *label_of(const struct run_labels *labels, int64_t index)
{
    return labels && (size_t)index < labels->count ? labels->lines[index] : "";
}

static const char *base_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash && slash[1] ? slash + 1 : path;
}

static void show_top(const struct mly_top *top, size_t found, const char *name,
                     const struct run_labels *labels, struct mly_json_writer *json)
{
    if (!json)
        printf("%s:\n", base_name(name));
    else {
        mly_json_begin_object(json, NULL);
        mly_json_put_string(json, "input", name);
        mly_json_begin_array(json, "classes");
    }
    for (size_t i = 0; i < found; i++) {
        if (!json) {
            printf("  %6lld  %10.5g  %s\n", (long long)top[i].index, top[i].value,
                   label_of(labels, top[i].index));
            continue;
        }
        mly_json_begin_object(json, NULL);
        mly_json_put_int(json, "index", top[i].index);
        mly_json_put_number(json, "value", top[i].value);
        if (labels)
            mly_json_put_string(json, "label", label_of(labels, top[i].index));
        mly_json_end_object(json);
    }
    if (json) {
        mly_json_end_array(json);
        mly_json_end_object(json);
    }
}

enum mly_status run_results_top(const struct run_results *results, const struct run_inputs *inputs,
                                uint32_t top, const struct run_labels *labels,
                                struct mly_json_writer *json, struct mly_error *err)
{
    enum mly_status status = MLY_OK;
    const bool fixed = mly_model_fixed_batch(results->model) > 0; /* a sample is a whole batch */
    struct mly_top *best = mly_alloc_array(top, sizeof *best);
    if (!best)
        return mly_error_set(err, MLY_E_NO_MEMORY, "memory is short");
    if (json)
        mly_json_begin_array(json, "top");
    for (size_t b = 0; status == MLY_OK && b < results->batch_count; b++) {
        const struct mly_tensor *output = &results->outputs[b][0];
        for (int64_t row = 0; status == MLY_OK && row < mly_tensor_rows(output); row++) {
            size_t found = 0;
            size_t sample =
                (inputs->batches[b].first + (fixed ? 0 : (uint64_t)row)) % inputs->sample_count;
            status = mly_tensor_top(output, row, top, best, &found, err);
            if (status == MLY_OK)
                show_top(best, found, inputs->samples[sample].name, labels, json);
        }
    }
    if (json)
        mly_json_end_array(json);
    mly_free(best);
    return status;
}

/*
 * Fusing and packing change the order of additions: what single precision may lose over a deep network is allowed, relative to the output's range; half precision gets what its
 * ten bits allow; integers one step, since a quantised value may fall to either side of a tie.
 */
static double tolerance_of(enum mly_dtype dtype)
{
    switch (dtype) {
    case MLY_DTYPE_F64:
    case MLY_DTYPE_F32:
        return 1e-4;
    case MLY_DTYPE_F16:
        return 5e-3;
    case MLY_DTYPE_BF16:
        return 4e-2;
    default:
        return 0;
    }
}

static enum mly_status verify_output(const struct mly_tensor *actual,
                                     const struct mly_tensor *expected, const char *name,
                                     uint64_t sample, struct run_verdict *verdict,
                                     struct mly_error *err)
{
    struct mly_comparison comparison;
    double tolerance = tolerance_of(expected->dtype);
    enum mly_status status = mly_tensor_compare(actual, expected, 0, 0, &comparison, err);
    if (status != MLY_OK)
        return mly_error_prefix(err, status, "output '%s'", name);
    bool ok = comparison.nan_mismatches == 0 &&
              (comparison.max_relative <= tolerance || (tolerance == 0 && comparison.max_abs <= 1));
    verdict->compared += (uint64_t)comparison.count;
    if (comparison.max_relative >= verdict->max_relative || (!ok && verdict->ok)) {
        verdict->max_relative = comparison.max_relative;
        verdict->max_absolute = comparison.max_abs;
        verdict->tolerance = tolerance;
        verdict->sample = sample;
        snprintf(verdict->output, sizeof verdict->output, "%s", name);
    }
    verdict->ok = verdict->ok && ok;
    return MLY_OK;
}

static enum mly_status verify_batch(const struct run_results *results,
                                    const struct run_inputs *inputs, size_t index,
                                    mly_engine *yardstick, struct run_verdict *verdict,
                                    struct mly_error *err)
{
    struct mly_tensor *expected =
        mly_alloc_array(results->output_count ? results->output_count : 1, sizeof *expected);
    if (!expected)
        return mly_error_set(err, MLY_E_NO_MEMORY, "memory is short");
    enum mly_status status =
        mly_engine_infer(yardstick, inputs->batches[index].tensors, inputs->input_count, expected,
                         results->output_count, err);
    for (size_t i = 0; status == MLY_OK && i < results->output_count; i++)
        status = verify_output(&results->outputs[index][i], &expected[i],
                               mly_model_output(results->model, i)->name,
                               inputs->batches[index].first, verdict, err);
    for (size_t i = 0; i < results->output_count; i++)
        mly_tensor_fini(&expected[i]);
    mly_free(expected);
    return status;
}

enum mly_status run_results_verify(const struct run_results *results,
                                   const struct run_inputs *inputs, const mly_machine *machine,
                                   struct run_verdict *out, struct mly_error *err)
{
    struct run_verdict verdict = {.ok = true, .batches_of = results->batch_count};
    mly_plan *plan = NULL;
    mly_engine *yardstick = NULL;
    uint32_t batch = inputs->batch_count ? (uint32_t)inputs->batches[0].count : 1;
    int64_t fixed = mly_model_fixed_batch(results->model);
    enum mly_status status =
        run_baseline_plan(results->model, machine, fixed ? (uint32_t)fixed : batch, &plan, err);
    if (status == MLY_OK)
        status = mly_engine_create(results->model, plan, NULL, &yardstick, err);
    for (size_t b = 0; status == MLY_OK && b < results->batch_count; b++) {
        if (atomic_load(cli_stop_flag())) {
            status =
                mly_error_set(err, MLY_E_CANCELLED, "stopped after comparing %zu of %zu batches", b,
                              results->batch_count);
            break;
        }
        status = verify_batch(results, inputs, b, yardstick, &verdict, err);
        verdict.batches += status == MLY_OK;
    }
    mly_engine_destroy(yardstick);
    mly_plan_destroy(plan);
    if (status == MLY_OK || status == MLY_E_CANCELLED)
        *out = verdict;
    return status;
}

static void put_verdict(const struct run_verdict *verdict, struct mly_json_writer *json)
{
    mly_json_begin_object(json, "verify");
    if (verdict->batches == 0 || (verdict->ok && verdict->batches < verdict->batches_of)) {
        mly_json_put_null(json, "ok");
        mly_json_put_string(json, "why", "stopped before all results were compared");
    } else {
        mly_json_put_bool(json, "ok", verdict->ok);
    }
    mly_json_put_int(json, "batches", (int64_t)verdict->batches);
    if (verdict->batches > 0) {
        mly_json_put_number(json, "max_absolute", verdict->max_absolute);
        mly_json_put_number(json, "max_relative", verdict->max_relative);
        mly_json_put_number(json, "tolerance", verdict->tolerance);
        mly_json_put_string(json, "output", verdict->output);
        mly_json_put_int(json, "sample", (int64_t)verdict->sample);
    }
    mly_json_end_object(json);
}

void run_verdict_report(const struct run_verdict *verdict, struct mly_json_writer *json)
{
    if (json) {
        put_verdict(verdict, json);
        return;
    }
    if (verdict->batches == 0) {
        puts("verify: not done: stopped before results were compared");
        return;
    }
    printf("verify: largest difference %.3g (%.3g of the range, %.3g allowed) in output '%s', "
           "sample %llu, over %llu values",
           verdict->max_absolute, verdict->max_relative, verdict->tolerance, verdict->output,
           (unsigned long long)verdict->sample, (unsigned long long)verdict->compared);
    if (verdict->batches < verdict->batches_of)
        printf(" of the first %llu of %llu batches", (unsigned long long)verdict->batches,
               (unsigned long long)verdict->batches_of);
    printf(": %s\n", verdict->ok ? "equal" : "DIFFERENT");
}

/*
 * tpu-capacity: networks that outgrow one Edge TPU's memory: how long they take, what stays on the chip and
 * what is streamed, by the model, beside what was measured.
 */
#include <stdio.h>

#include "device/modelled.h"
#include "experiment.h"

static const struct mly_result_column columns[] = {
    {"size", "size", "", MLY_ORIGIN_SET, false, 0},
    {"time_ms", "time", "ms", MLY_ORIGIN_ROW, false, 3},
    {"on_chip_mib", "on chip", "MiB", MLY_ORIGIN_ROW, false, 3},
    {"off_chip_mib", "off chip", "MiB", MLY_ORIGIN_ROW, false, 3},
    {"published_ms", "time", "ms", MLY_ORIGIN_PUBLISHED, false, 3},
    {"published_on_chip_mib", "on chip", "MiB", MLY_ORIGIN_PUBLISHED, false, 3},
    {"published_off_chip_mib", "off chip", "MiB", MLY_ORIGIN_PUBLISHED, false, 3},
    {"time_error_percent", "time off by", "%", MLY_ORIGIN_ROW, false, 1},
    {"memory_error_mib", "memory off by", "MiB", MLY_ORIGIN_ROW, false, 3},
};

static const struct mly_result_column summary_columns[] = {
    {"family", "networks", "", MLY_ORIGIN_SET, true, 0},
    {"networks", "number", "", MLY_ORIGIN_SET, false, 0},
    {"first_streamed", "streams from size", "", MLY_ORIGIN_ROW, false, 0},
    {"compared", "compared", "", MLY_ORIGIN_SET, false, 0},
    {"memory_error_mib", "memory off by at most", "MiB", MLY_ORIGIN_ROW, false, 3},
    {"on_chip_error_percent", "time, on the chip: mean", "%", MLY_ORIGIN_ROW, false, 1},
    {"on_chip_largest_percent", "largest", "%", MLY_ORIGIN_ROW, false, 1},
    {"off_chip_error_percent", "time, streamed: mean", "%", MLY_ORIGIN_ROW, false, 1},
    {"off_chip_largest_percent", "largest", "%", MLY_ORIGIN_ROW, false, 1},
};

#define SERIES(from)                                                                               \
    {                                                                                              \
        {.table = (from), .x = "size", .y = "time_ms", .title = "modelled"},                       \
        {                                                                                          \
            .table = (from), .x = "size", .y = "published_ms", .title = "published",               \
            .points = true                                                                         \
        }                                                                                          \
    }
static const struct mly_series fc_series[] = SERIES("fc"), conv_series[] = SERIES("conv");
static const struct mly_figure figures[] = {
    {"fc", "One Edge TPU, fully connected", "neurons", "ms", true, fc_series,
     MLY__COUNT(fc_series)},
    {"conv", "One Edge TPU, convolutions", "filters", "ms", true, conv_series,
     MLY__COUNT(conv_series)},
};

/* Errors of a family, of networks that fit on the chip and of others. */
struct errors {
    double sum, largest;
    uint32_t count;
};
struct family_errors {
    struct errors time[2]; /* streamed or not */
    double memory_mib;
    uint32_t compared;
    double first_streamed;
};

static void add_error(struct errors *errors, double percent)
{
    errors->sum += fabs(percent);
    errors->largest = fmax(errors->largest, fabs(percent));
    errors->count++;
}

static double mean(const struct errors *errors)
{
    return errors->count ? errors->sum / errors->count : NAN;
}

/* The whole network on one device. */
static enum mly_status find_cost(const struct mly_device_model *device, const mly_model *model,
                                 struct mly_modelled_cost *cost, struct mly_error *err)
{
    mly_modelled *modelled = NULL;
    enum mly_status status = mly_modelled_create(device, model, 1, NULL, 0, &modelled, err);
    if (status == MLY_OK)
        status = mly_modelled_segment(modelled, NULL, 0, cost, err);
    mly_modelled_destroy(modelled);
    return status;
}

static void put_row(mly_result_table *table, uint32_t size, const struct mly_modelled_cost *cost,
                    const struct mly_published_row *published, struct family_errors *errors)
{
    const double ms = (cost->input_ns + cost->execution_ns + cost->output_ns) * 1e-6,
                 on = cost->on_chip_bytes / MLY__MIB, off = cost->off_chip_bytes / MLY__MIB;
    mly_result_begin_row(table, MLY_ORIGIN_MODELLED);
    mly_result_number(table, size);
    mly_result_number(table, ms);
    mly_result_number(table, on);
    mly_result_number(table, off);
    if (off > 0)
        errors->first_streamed = fmin(errors->first_streamed, size);
    if (!published)
        return;
    const double time_error = mly__percent_off(ms, published->time_ms),
                 memory_error = fmax(fabs(on - published->on_chip_mib[0]),
                                     fabs(off - published->off_chip_mib[0]));
    mly_result_number(table, published->time_ms);
    mly_result_number(table, published->on_chip_mib[0]);
    mly_result_number(table, published->off_chip_mib[0]);
    mly_result_number(table, time_error);
    mly_result_number(table, memory_error);
    add_error(&errors->time[off > 0], time_error);
    errors->memory_mib = fmax(errors->memory_mib, memory_error);
    errors->compared++;
}

static enum mly_status run_family(struct mly_bench *bench, size_t index,
                                  const struct mly_device_model *device,
                                  struct family_errors *errors, struct mly_error *err)
{
    const struct mly__tpu_family *family = &mly__tpu_families[index];
    const bool quick = bench->options->quick;
    const size_t count = mly__sizes_count(&family->sizes, quick);
    struct mly_published published = {0};
    mly_result_table *table = mly_result_add_table(bench->result, family->name, family->title, true,
                                                   columns, MLY__COUNT(columns));
    enum mly_status status = mly__tpu_published(bench, family->vendor[1], &published, err);
    *errors = (struct family_errors){.first_streamed = INFINITY};
    for (size_t i = 0; i < count && status == MLY_OK; i++) {
        const uint32_t size = mly__sizes_at(&family->sizes, quick, i);
        struct mly_modelled_cost cost;
        mly_model *model = NULL;
        status = mly__bench_progress(
            bench, ((double)index + (double)i / (double)count) / MLY__TPU_FAMILIES, family->name,
            err);
        if (status == MLY_OK)
            status = mly__tpu_network(bench, family, size, &model, err);
        if (status == MLY_OK)
            status = find_cost(device, model, &cost, err);
        if (status == MLY_OK)
            put_row(table, size, &cost, mly_published_find(&published, size), errors);
        mly_model_destroy(model);
    }
    mly_published_fini(&published);
    return status;
}

static void summarise(struct mly_bench *bench, mly_result_table *table, size_t index,
                      const struct family_errors *errors)
{
    const struct mly__tpu_family *family = &mly__tpu_families[index];
    mly_result_begin_row(table, MLY_ORIGIN_MODELLED);
    mly_result_text(table, family->title);
    mly_result_number(table, (double)mly__sizes_count(&family->sizes, bench->options->quick));
    mly_result_number(table, isfinite(errors->first_streamed) ? errors->first_streamed : NAN);
    mly_result_number(table, errors->compared);
    mly_result_number(table, errors->compared ? errors->memory_mib : NAN);
    for (size_t streamed = 0; streamed < 2; streamed++) {
        mly_result_number(table, mean(&errors->time[streamed]));
        mly_result_number(table,
                          errors->time[streamed].count ? errors->time[streamed].largest : NAN);
    }
}

static enum mly_status run(struct mly_bench *bench, struct mly_error *err)
{
    const struct mly_device_model *device = NULL;
    struct family_errors errors[MLY__TPU_FAMILIES];
    mly_result_table *summary =
        mly_result_add_table(bench->result, "errors", "The model against the measurements", false,
                             summary_columns, MLY__COUNT(summary_columns));
    enum mly_status status = mly__bench_device(bench, &device, err);
    for (size_t i = 0; i < MLY__TPU_FAMILIES && status == MLY_OK; i++)
        status = run_family(bench, i, device, &errors[i], err);
    if (status != MLY_OK)
        return status;
    for (size_t i = 0; i < MLY__TPU_FAMILIES; i++)
        summarise(bench, summary, i, &errors[i]);
    for (size_t i = 0; i < MLY__COUNT(figures); i++)
        mly_result_add_figure(bench->result, &figures[i]);
    mly_result_note(bench->result,
                    "Published times are of Edge TPUs on PCIe; single measurements below 0.3 ms "
                    "scatter by half.%s",
                    bench->options->published ? ""
                                              : " Compared are the rows that motley quotes "
                                                "(data/published); --published FOLDER has all.");
    return MLY_OK;
}

const struct mly_experiment mly__experiment_tpu_capacity = {
    .name = "tpu-capacity",
    .summary = "what fits on one Edge TPU's chip, and what it costs when it does not",
    .source = "Villarrubia et al., PDP 2023, figure 2",
    .numbers = "modelled; published beside",
    .processors = "edgetpu-pcie",
    .run = run,
};

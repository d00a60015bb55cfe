/*
 * Ways of cutting a network for several TPUs, over all sizes: 50 inputs at once and 1,000, on the virtual
 * clock, against one TPU, beside what was published.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "experiment.h"

static const struct mly_result_column columns[] = {
    {"size", "size", "", MLY_ORIGIN_SET, false, 0},
    {"tpus", "TPUs", "", MLY_ORIGIN_SET, false, 0},
    {"way", "cut by", "", MLY_ORIGIN_SET, true, 0},
    {"layers", "layers", "", MLY_ORIGIN_ROW, true, 0},
    {"off_chip_mib", "off chip", "MiB", MLY_ORIGIN_ROW, false, 2},
    {"slowest_stage_ms", "slowest stage", "ms", MLY_ORIGIN_ROW, false, 3},
    {"time_ms", "of 50 inputs", "ms", MLY_ORIGIN_ROW, false, 3},
    {"time_1000_ms", "of 1000", "ms", MLY_ORIGIN_ROW, false, 3},
    {"speed_up", "speed-up", "x", MLY_ORIGIN_ROW, false, 2},
    {"published_off_chip_mib", "off chip", "MiB", MLY_ORIGIN_PUBLISHED, false, 2},
    {"published_ms", "of 50 inputs", "ms", MLY_ORIGIN_PUBLISHED, false, 3},
    {"published_speed_up", "speed-up", "x", MLY_ORIGIN_PUBLISHED, false, 2},
};

static const struct mly_result_column best_columns[] = {
    {"family", "networks", "", MLY_ORIGIN_SET, true, 0},
    {"tpus", "TPUs", "", MLY_ORIGIN_SET, false, 0},
    {"way", "cut by", "", MLY_ORIGIN_SET, true, 0},
    {"speed_up", "best speed-up", "x", MLY_ORIGIN_ROW, false, 2},
    {"size", "at size", "", MLY_ORIGIN_ROW, false, 0},
    {"published_speed_up", "best speed-up", "x", MLY_ORIGIN_PUBLISHED, false, 2},
    {"published_size", "at size", "", MLY_ORIGIN_PUBLISHED, false, 0},
};

enum { SHORT_RUN = 50, LONG_RUN = 1000 };

/* What a family's runs look up. */
struct tables {
    struct mly_published vendor[MLY__TPUS_MAX + 1], profiled[MLY__TPUS_MAX + 1];
};

static void tables_fini(struct tables *tables)
{
    for (size_t i = 0; i <= MLY__TPUS_MAX; i++) {
        mly_published_fini(&tables->vendor[i]);
        mly_published_fini(&tables->profiled[i]);
    }
}

static enum mly_status tables_load(struct mly_bench *bench, const struct mly__tpu_family *family,
                                   struct tables *tables, struct mly_error *err)
{
    enum mly_status status = MLY_OK;
    for (size_t i = 1; i <= MLY__TPUS_MAX && status == MLY_OK; i++) {
        status = mly__tpu_published(bench, family->vendor[i], &tables->vendor[i], err);
        if (status == MLY_OK)
            status = mly__tpu_published(bench, family->profiled[i], &tables->profiled[i], err);
    }
    return status;
}

static const struct mly_published_row *row_of(const struct tables *tables,
                                              const struct mly__tpu_run *run)
{
    if (run->tpus == 1 || run->way->published == MLY__TPU_VENDOR)
        return mly_published_find(&tables->vendor[run->tpus], run->size);
    if (run->way->published == MLY__TPU_PROFILED)
        return mly_published_find(&tables->profiled[run->tpus], run->size);
    return NULL;
}

static void look_up(const struct tables *tables, struct mly__tpu_run *run)
{
    const struct mly_published_row *row = row_of(tables, run),
                                   *one = mly_published_find(&tables->vendor[1], run->size);
    run->published_ms = run->published_speed_up = run->published_off_mib = NAN;
    if (!row)
        return;
    run->published_ms = row->time_ms;
    run->published_off_mib = 0;
    for (uint32_t i = 0; i < row->segment_count; i++)
        run->published_off_mib += row->off_chip_mib[i];
    if (one)
        run->published_speed_up = one->time_ms / row->time_ms;
}

static void put_row(mly_result_table *table, const struct mly__tpu_run *run)
{
    mly_result_begin_row(table, MLY_ORIGIN_MODELLED);
    mly_result_number(table, run->size);
    mly_result_number(table, run->tpus);
    mly_result_text(table, run->way ? run->way->name : "");
    mly_result_text(table, run->pipeline.cuts);
    mly_result_number(table, run->pipeline.off_chip_sum_mib);
    mly_result_number(table, run->pipeline.slowest_ms);
    mly_result_number(table, run->ms);
    mly_result_number(table, run->ms_1000);
    mly_result_number(table, run->speed_up);
    mly_result_number(table, run->published_off_mib);
    mly_result_number(table, run->published_ms);
    mly_result_number(table, run->published_speed_up);
}

/* MLY_E_NOT_FOUND where nothing was published of a way that follows what was. */
static enum mly_status make_plan(struct mly_bench *bench, const mly_model *model,
                                 const struct tables *tables, struct mly__tpu_run *run,
                                 mly_plan **plan, struct mly_error *err)
{
    char processors[128];
    const struct mly_published_row *row = row_of(tables, run);
    snprintf(processors, sizeof processors, "%s*%" PRIu32, bench->processors, run->tpus);
    if (run->way->planner)
        return mly__pipeline_plan(bench, model, processors, run->way->planner,
                                  run->way->no_replicas, plan, &run->pipeline, err);
    if (!row)
        return mly_error_set(err, MLY_E_NOT_FOUND, "nothing was published of it");
    return mly__tpu_plan_as_published(bench, model, processors, row, plan, &run->pipeline, err);
}

static enum mly_status measure(struct mly_bench *bench, const mly_model *model,
                               const struct tables *tables, struct mly__tpu_run *run,
                               struct mly_error *err)
{
    mly_plan *plan = NULL;
    enum mly_status status = make_plan(bench, model, tables, run, &plan, err);
    if (status == MLY_OK)
        status = mly__pipeline_time(model, plan, SHORT_RUN, &run->ms, err);
    if (status == MLY_OK)
        status = mly__pipeline_time(model, plan, LONG_RUN, &run->ms_1000, err);
    mly_plan_destroy(plan);
    return status;
}

static void keep_best(struct mly__tpu_best *best, const struct mly__tpu_run *run)
{
    if (!(run->speed_up <= best->speed_up)) {
        best->speed_up = run->speed_up;
        best->size = run->size;
    }
    if (!isnan(run->published_speed_up) && !(run->published_speed_up <= best->published_speed_up)) {
        best->published_speed_up = run->published_speed_up;
        best->published_size = run->size;
    }
}

static enum mly_status run_network(struct mly_bench *bench, struct mly__tpu_sweep *sweep,
                                   size_t family, uint32_t size, const struct tables *tables,
                                   mly_result_table *table, struct mly_error *err)
{
    static const struct mly__tpu_way whole = {.name = "whole", .planner = "pipeline"};
    struct mly__tpu_run run = {.family = &mly__tpu_families[family], .size = size, .tpus = 1};
    mly_model *model = NULL;
    enum mly_status status = mly__tpu_network(bench, run.family, size, &model, err);
    run.way = &whole;
    if (status == MLY_OK)
        status = measure(bench, model, tables, &run, err);
    run.one_ms = run.ms;
    run.speed_up = 1;
    look_up(tables, &run);
    if (status == MLY_OK)
        put_row(table, &run);
    for (run.tpus = 2; run.tpus <= MLY__TPUS_MAX && status == MLY_OK; run.tpus++) {
        for (size_t w = 0; w < sweep->way_count && status == MLY_OK; w++) {
            run.way = &sweep->ways[w];
            status = measure(bench, model, tables, &run, err);
            if (status == MLY_E_NOT_FOUND && !run.way->planner) {
                status = MLY_OK;
                continue;
            }
            if (status != MLY_OK)
                break;
            run.speed_up = run.one_ms / run.ms;
            look_up(tables, &run);
            put_row(table, &run);
            keep_best(&sweep->best[family][w][run.tpus], &run);
            if (sweep->visit)
                sweep->visit(sweep->user, &run);
        }
    }
    mly_model_destroy(model);
    return status;
}

static enum mly_status run_family(struct mly_bench *bench, struct mly__tpu_sweep *sweep,
                                  size_t index, struct mly_error *err)
{
    const struct mly__tpu_family *family = &mly__tpu_families[index];
    const bool quick = bench->options->quick;
    const size_t count = mly__sizes_count(&family->sizes, quick);
    struct tables tables = {0};
    mly_result_table *table = mly_result_add_table(bench->result, family->name, family->title, true,
                                                   columns, MLY__COUNT(columns));
    enum mly_status status = tables_load(bench, family, &tables, err);
    for (size_t i = 0; i < count && status == MLY_OK; i++) {
        const double done = ((double)index + (double)i / (double)count) / MLY__TPU_FAMILIES;
        status = mly__bench_progress(bench, done, family->name, err);
        if (status == MLY_OK)
            status = run_network(bench, sweep, index, mly__sizes_at(&family->sizes, quick, i),
                                 &tables, table, err);
    }
    tables_fini(&tables);
    return status;
}

enum mly_status mly__tpu_sweep_run(struct mly_bench *bench, struct mly__tpu_sweep *sweep,
                                   struct mly_error *err)
{
    const struct mly_device_model *device = NULL;
    enum mly_status status = mly__bench_device(bench, &device, err);
    for (size_t f = 0; f < MLY__TPU_FAMILIES; f++)
        for (size_t w = 0; w < MLY__TPU_WAYS_MAX; w++)
            for (size_t t = 0; t <= MLY__TPUS_MAX; t++)
                sweep->best[f][w][t] =
                    (struct mly__tpu_best){.speed_up = NAN, .published_speed_up = NAN};
    for (size_t f = 0; f < MLY__TPU_FAMILIES && status == MLY_OK; f++)
        status = run_family(bench, sweep, f, err);
    return status;
}

void mly__tpu_best_table(struct mly_bench *bench, const struct mly__tpu_sweep *sweep)
{
    mly_result_table *table = mly_result_add_table(bench->result, "best",
                                                   "Best speed-ups over one TPU, 50 inputs at once",
                                                   false, best_columns, MLY__COUNT(best_columns));
    for (size_t f = 0; f < MLY__TPU_FAMILIES; f++) {
        for (uint32_t tpus = 2; tpus <= MLY__TPUS_MAX; tpus++) {
            for (size_t w = 0; w < sweep->way_count; w++) {
                const struct mly__tpu_best *best = &sweep->best[f][w][tpus];
                mly_result_begin_row(table, MLY_ORIGIN_MODELLED);
                mly_result_text(table, mly__tpu_families[f].name);
                mly_result_number(table, tpus);
                mly_result_text(table, sweep->ways[w].name);
                mly_result_number(table, best->speed_up);
                mly_result_number(table, best->size ? best->size : NAN);
                mly_result_number(table, best->published_speed_up);
                mly_result_number(table, best->published_size ? best->published_size : NAN);
            }
        }
    }
}

/*
 * tpu-realtime: pipelines of modelled Edge TPUs in real time, through the native engine: how near it comes
 * to what the slowest stage allows. Stages' times are modelled, the engine around them is measured.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include <motley/engine.h>

#include "base/alloc.h"
#include "experiment.h"
#include "plan/plan.h"
#include "runtime/measure.h"

static const struct mly_result_column columns[] = {
    {"network", "network", "", MLY_ORIGIN_SET, true, 0},
    {"stages", "stages", "", MLY_ORIGIN_SET, false, 0},
    {"inputs", "inputs", "", MLY_ORIGIN_SET, false, 0},
    {"slowest_stage_ms", "slowest stage", "ms", MLY_ORIGIN_MODELLED, false, 3},
    {"bound_ms", "bound", "ms", MLY_ORIGIN_MODELLED, false, 2},
    {"time_ms", "took", "ms", MLY_ORIGIN_ROW, false, 2},
    {"share", "of the bound", "", MLY_ORIGIN_ROW, false, 4},
};

enum { TPUS = 4, ROUNDS = 3 };

static const struct {
    const char *network;
    uint32_t inputs;
    bool quick; /* runs in a quick run, too */
} runs[] = {
    {"edge-conv-102", 50, true},  {"edge-conv-202", 50, false}, {"edge-conv-202", 1000, false},
    {"edge-conv-662", 50, false}, {"edge-fc-2620", 50, false},  {"edge-fc-2620", 1000, false},
};

/* --- inputs --- */

struct feed {
    struct mly_bench *bench;
    struct mly_tensor input; /* the same for all: modelled processors do not read it */
    double before, share;    /* progress of all runs: done before, and of this one */
};

static enum mly_status give_input(void *user, uint64_t index, uint32_t lane,
                                  struct mly_tensor *inputs, struct mly_error *err)
{
    const struct feed *feed = user;
    (void)index;
    (void)lane;
    (void)err;
    inputs[0] = feed->input;
    return MLY_OK;
}

static void on_progress(void *user, const struct mly_measure_progress *progress)
{
    const struct feed *feed = user;
    const struct mly_bench_options *options = feed->bench->options;
    if (options->progress)
        options->progress(options->user, feed->before + feed->share * progress->fraction,
                          "in real time");
}

static enum mly_status make_input(const mly_model *model, struct mly_tensor *out,
                                  struct mly_error *err)
{
    const struct mly_graph *graph = mly_model_graph(model);
    const struct mly_graph_tensor *input = &graph->tensors[graph->inputs[0]];
    struct mly_shape shape = input->shape;
    for (int32_t d = 0; d < shape.rank; d++)
        if (shape.dims[d] < 0)
            shape.dims[d] = 1;
    return mly_tensor_init(input->dtype, &shape, out, err);
}

/* --- one run --- */

/* No schedule takes less: the first input passes all stages, the others follow at the slowest's pace. */
static double bound_ms(const struct mly__pipeline *pipeline, uint32_t inputs)
{
    return pipeline->latency_ms + (inputs - 1) * pipeline->slowest_ms;
}

static enum mly_status time_engine(const mly_model *model, const mly_plan *plan, struct feed *feed,
                                   uint32_t inputs, double *best_ms, struct mly_error *err)
{
    const struct mly_engine_options engine_options = {
        .results = MLY_RESULTS_NEVER, .queue_capacity = inputs, .no_prepared_copy = true};
    const struct mly_measure_options options = {.inputs = give_input,
                                                .progress = on_progress,
                                                .user = feed,
                                                .count = inputs,
                                                .warm_up = 2 * TPUS,
                                                .in_flight = inputs < 64 ? inputs : 64,
                                                .stop = feed->bench->options->stop};
    mly_engine *engine = NULL;
    enum mly_status status = mly_engine_create(model, plan, &engine_options, &engine, err);
    const uint32_t rounds = inputs <= 50 ? ROUNDS : 1;
    feed->share /= rounds;
    *best_ms = INFINITY;
    for (uint32_t i = 0; i < rounds && status == MLY_OK; i++) {
        struct mly_measure_result result = {0};
        status = mly_measure_stream(engine, &options, &result, err);
        *best_ms = fmin(*best_ms, (double)result.elapsed_ns * 1e-6);
        feed->before += feed->share;
    }
    mly_engine_destroy(engine);
    return status;
}

static enum mly_status run_one(struct mly_bench *bench, size_t index, double before, double share,
                               mly_result_table *table, double *least, struct mly_error *err)
{
    char processors[128];
    struct feed feed = {.bench = bench, .before = before, .share = share};
    struct mly__pipeline pipeline;
    mly_model *model = NULL;
    mly_plan *plan = NULL;
    double ms = NAN;
    const uint32_t inputs = runs[index].inputs;
    snprintf(processors, sizeof processors, "%s*%d", bench->processors, TPUS);
    enum mly_status status = mly__bench_network(bench, runs[index].network, &model, err);
    if (status == MLY_OK)
        status =
            mly__pipeline_plan(bench, model, processors, "parameters", true, &plan, &pipeline, err);
    if (status == MLY_OK)
        status = make_input(model, &feed.input, err);
    if (status == MLY_OK)
        status = time_engine(model, plan, &feed, inputs, &ms, err);
    if (status == MLY_OK) {
        const double bound = bound_ms(&pipeline, inputs);
        mly_result_begin_row(table, MLY_ORIGIN_MEASURED);
        mly_result_text(table, runs[index].network);
        mly_result_number(table, pipeline.segment_count);
        mly_result_number(table, inputs);
        mly_result_number(table, pipeline.slowest_ms);
        mly_result_number(table, bound);
        mly_result_number(table, ms);
        mly_result_number(table, bound / ms);
        *least = fmin(*least, bound / ms);
    }
    mly_tensor_fini(&feed.input);
    mly_plan_destroy(plan);
    mly_model_destroy(model);
    return status;
}

static enum mly_status run(struct mly_bench *bench, struct mly_error *err)
{
    mly_result_table *table = mly_result_add_table(
        bench->result, "runs", "Pipelines of 4 modelled Edge TPUs, cut by the vendor's rule", false,
        columns, MLY__COUNT(columns));
    const struct mly_device_model *device = NULL;
    double least = INFINITY;
    size_t wanted = 0, done = 0;
    enum mly_status status = mly__bench_device(bench, &device, err);
    for (size_t i = 0; i < MLY__COUNT(runs); i++)
        wanted += !bench->options->quick || runs[i].quick;
    for (size_t i = 0; i < MLY__COUNT(runs) && status == MLY_OK; i++) {
        if (bench->options->quick && !runs[i].quick)
            continue;
        const double before = (double)done++ / (double)wanted;
        status = mly__bench_progress(bench, before, runs[i].network, err);
        if (status == MLY_OK)
            status = run_one(bench, i, before, 1 / (double)wanted, table, &least, err);
    }
    if (status != MLY_OK)
        return status;
    mly_result_find(bench->result, &(struct mly_finding){.what = "least share of the bound",
                                                         .value = least,
                                                         .unit = "",
                                                         .origin = MLY_ORIGIN_MEASURED,
                                                         .bar = 0.98,
                                                         .note = "on a quiet box only"});
    mly_result_note(bench->result,
                    "Modelled times, measured engine: stages sleep for as long as the model says. "
                    "The bound: the first input passes all stages, the others follow at the "
                    "slowest one's pace. Of 50 inputs the best of %d rounds.",
                    ROUNDS);
    return MLY_OK;
}

const struct mly_experiment mly__experiment_tpu_realtime = {
    .name = "tpu-realtime",
    .summary = "pipelines of 4 modelled Edge TPUs in real time against their slowest stage",
    .source = "motley's own: the pipelines of Villarrubia et al., PDP 2023, figure 4",
    .numbers = "modelled times, measured engine",
    .processors = "edgetpu-pcie",
    .run = run,
};

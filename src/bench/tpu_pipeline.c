/* tpu-pipeline: networks cut by the vendor's rule, pipelined on 1 to 4 Edge TPUs. */
#include "experiment.h"

static const struct mly__tpu_way ways[] = {
    {.name = "vendor", .planner = "parameters", .no_replicas = true, .published = MLY__TPU_VENDOR},
    {.name = "vendor, as published", .published = MLY__TPU_VENDOR},
};

#define SERIES(from, label_, count_, way_name)                                                     \
    {.table = (from),                                                                              \
     .x = "size",                                                                                  \
     .y = "time_ms",                                                                               \
     .where = {{.column = "way", .text = (way_name)}, {.column = "tpus", .number = (count_)}},     \
     .title = (label_)}
#define ALL(from)                                                                                  \
    {SERIES(from, "1 TPU", 1, "whole"), SERIES(from, "2 TPUs", 2, "vendor"),                       \
     SERIES(from, "3 TPUs", 3, "vendor"), SERIES(from, "4 TPUs", 4, "vendor")}
static const struct mly_series fc_series[] = ALL("fc"), conv_series[] = ALL("conv");
static const struct mly_figure figures[] = {
    {"fc", "Vendor's split, fully connected (modelled)", "neurons", "ms per input", true, fc_series,
     MLY__COUNT(fc_series)},
    {"conv", "Vendor's split, convolutions (modelled)", "filters", "ms per input", false,
     conv_series, MLY__COUNT(conv_series)},
};

static enum mly_status run(struct mly_bench *bench, struct mly_error *err)
{
    struct mly__tpu_sweep sweep = {.ways = ways, .way_count = MLY__COUNT(ways)};
    enum mly_status status = mly__tpu_sweep_run(bench, &sweep, err);
    if (status != MLY_OK)
        return status;
    mly__tpu_best_table(bench, &sweep);
    for (size_t i = 0; i < MLY__COUNT(figures); i++)
        mly_result_add_figure(bench->result, &figures[i]);
    mly_result_note(bench->result,
                    "vendor: by parameters, as the compiler's rule is described; as published: cut "
                    "where the published memory of each segment says. They agree but for fully "
                    "connected networks on 3 TPUs, which the compiler cut by number of layers.");
    mly_result_note(bench->result,
                    "The published pipelines were driven by Python, which took about 0.245 ms per "
                    "TPU and input whatever the network: that, not the TPUs, is their time for "
                    "networks that fit. Here it is left out.");
    return MLY_OK;
}

const struct mly_experiment mly__experiment_tpu_pipeline = {
    .name = "tpu-pipeline",
    .summary = "the vendor's split of a network on 1 to 4 Edge TPUs, 50 inputs at once",
    .source = "Villarrubia et al., PDP 2023, figure 4",
    .numbers = "modelled; published beside",
    .processors = "edgetpu-pcie",
    .run = run,
};

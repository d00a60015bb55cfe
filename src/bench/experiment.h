/*
 * What experiments are written with. An experiment is one file: static columns and figures, loops over
 * sizes that fill tables, findings at the end; and a row in registry.c.
 */
#ifndef MLY_BENCH_EXPERIMENT_H
#define MLY_BENCH_EXPERIMENT_H

#include <math.h>

#include <motley/model.h>
#include <motley/plan.h>

#include "bench/bench.h"
#include "bench/published.h"
#include "cost/modelled.h"

#define MLY__COUNT(array) (sizeof(array) / sizeof *(array))
#define MLY__MIB 1048576.0

extern const struct mly_experiment mly__experiment_tpu_capacity, mly__experiment_tpu_pipeline,
    mly__experiment_tpu_profiled, mly__experiment_tpu_realtime;

struct mly_bench {
    const struct mly_experiment *experiment;
    const struct mly_bench_options *options;
    const char *processors; /* what was asked for, or the experiment's own; NULL: none */
    mly_result *result;
};

/* --- bench.c --- */

/* Tells how far it is. MLY_E_CANCELLED when the user wants it to stop: call it often. */
enum mly_status mly__bench_progress(struct mly_bench *bench, double fraction, const char *what,
                                    struct mly_error *err) MLY_MUST_CHECK;
/*
 * A network of the zoo without its weights (they are zero): for asking what it costs. Noted in the
 * result with its hash. *out is the caller's (mly_model_destroy). Errors: those of mly_zoo_write_hollow
 * and mly_model_load.
 */
enum mly_status mly__bench_network(struct mly_bench *bench, const char *name, mly_model **out,
                                   struct mly_error *err) MLY_MUST_CHECK;
/* The one modelled processor that -d names ("edgetpu-pcie"). MLY_E_INVALID if it is not one. */
enum mly_status mly__bench_device(struct mly_bench *bench, const struct mly_device_model **out,
                                  struct mly_error *err) MLY_MUST_CHECK;

/* Sizes of a family of networks: those of a full run, or few for a quick one. */
struct mly__sizes {
    uint32_t first, last, step; /* of a full run */
    const uint32_t *quick;      /* of a quick one */
    size_t quick_count;
};
size_t mly__sizes_count(const struct mly__sizes *sizes, bool quick);
uint32_t mly__sizes_at(const struct mly__sizes *sizes, bool quick, size_t index);

/* --- pipelines.c: plans of modelled processors on the virtual clock --- */

struct mly__pipeline {
    uint32_t segment_count;
    uint32_t layers[MLY_PUBLISHED_SEGMENTS_MAX];   /* nodes with weights of each segment */
    uint32_t replicas[MLY_PUBLISHED_SEGMENTS_MAX]; /* processors that run it */
    double on_chip_mib[MLY_PUBLISHED_SEGMENTS_MAX], off_chip_mib[MLY_PUBLISHED_SEGMENTS_MAX];
    double off_chip_sum_mib;
    double slowest_ms; /* the slowest stage's time between inputs */
    double link_ms;    /* of that, with one processor for the stage, tensors are on links */
    double latency_ms; /* of an input that waits for nothing */
    char cuts[64];     /* "2+1+2", "2 | 3 x 2": layers of each segment, and how many run it */
};

/*
 * Plans `model` for the processors (as after -d) by that planner, batch 1. *out is the caller's.
 * Errors: those of mly_plan_make.
 */
enum mly_status mly__pipeline_plan(struct mly_bench *bench, const mly_model *model,
                                   const char *processors, const char *planner, bool no_replicas,
                                   mly_plan **plan, struct mly__pipeline *out,
                                   struct mly_error *err) MLY_MUST_CHECK;
/* What a plan for modelled processors is, stage by stage. */
enum mly_status mly__pipeline_look_at(const mly_model *model, const mly_plan *plan,
                                      struct mly__pipeline *out,
                                      struct mly_error *err) MLY_MUST_CHECK;
/*
 * Mean time per input, in ms, of `count` inputs that are all there at the beginning, on the virtual
 * clock, weights loaded before: from the beginning to the last result, by their number.
 */
enum mly_status mly__pipeline_time(const mly_model *model, const mly_plan *plan, uint64_t count,
                                   double *ms, struct mly_error *err) MLY_MUST_CHECK;

/* --- published.c: what others measured --- */

/*
 * A table by its name in the authors' repository ("fc/….csv"): all of it from the folder that the user
 * gave, else the rows that motley quotes (data/published/). Nothing for a table that is not quoted.
 */
enum mly_status mly__published_load(struct mly_bench *bench, const char *table,
                                    struct mly_published *out,
                                    struct mly_error *err) MLY_MUST_CHECK;
/* --- tpu.c, tpu_ways.c: what the experiments of Villarrubia et al. share --- */

enum { MLY__TPUS_MAX = 4, MLY__TPU_TABLES_MAX = 2 };

/* One of the paper's two families of networks. */
struct mly__tpu_family {
    const char *name;    /* "fc" */
    const char *title;   /* "fully connected" */
    const char *network; /* "edge-fc": a number follows */
    struct mly__sizes sizes;
    /* The authors' tables, by number of TPUs: */
    const char *vendor[MLY__TPUS_MAX + 1]
                      [MLY__TPU_TABLES_MAX]; /* of [1] one TPU, then the vendor's split */
    const char *profiled[MLY__TPUS_MAX + 1][MLY__TPU_TABLES_MAX]; /* their profiled one */
};
enum { MLY__TPU_FC, MLY__TPU_CONV, MLY__TPU_FAMILIES };
extern const struct mly__tpu_family mly__tpu_families[MLY__TPU_FAMILIES];
/* "edge-fc-100" as mly__bench_network opens it. */
enum mly_status mly__tpu_network(struct mly_bench *bench, const struct mly__tpu_family *family,
                                 uint32_t size, mly_model **out,
                                 struct mly_error *err) MLY_MUST_CHECK;
/* All of a family's tables together. */
enum mly_status mly__tpu_published(struct mly_bench *bench,
                                   const char *const tables[MLY__TPU_TABLES_MAX],
                                   struct mly_published *out, struct mly_error *err) MLY_MUST_CHECK;

/* A way of cutting a network for several TPUs. */
struct mly__tpu_way {
    const char *name;    /* as tables have it: "vendor" */
    const char *planner; /* of motley's registry; NULL: as the published row was cut */
    bool no_replicas;
    enum { MLY__TPU_NOT_PUBLISHED, MLY__TPU_VENDOR, MLY__TPU_PROFILED } published;
};

/*
 * tpu_cuts.c: a plan whose segments, one on each TPU, hold what the row's held: the cuts between layers that
 * come nearest to its MiB, within 0.1 of each. MLY_E_NOT_FOUND if no cuts do.
 */
enum mly_status mly__tpu_plan_as_published(struct mly_bench *bench, const mly_model *model,
                                           const char *processors,
                                           const struct mly_published_row *row, mly_plan **plan,
                                           struct mly__pipeline *out,
                                           struct mly_error *err) MLY_MUST_CHECK;

/* What a way gives for one network on so many TPUs, and what was published of it (NaN: nothing). */
struct mly__tpu_run {
    const struct mly__tpu_family *family;
    const struct mly__tpu_way *way;
    uint32_t size, tpus;
    struct mly__pipeline pipeline;
    double ms, ms_1000; /* per input, 50 and 1,000 of them at once */
    double one_ms;      /* the whole network on one TPU */
    double speed_up;    /* over that */
    double published_ms, published_speed_up, published_off_mib;
};

/* The best of a way on so many TPUs over all sizes. */
struct mly__tpu_best {
    double speed_up, published_speed_up; /* NaN before the first */
    uint32_t size, published_size;
};

#define MLY__TPU_WAYS_MAX 5u
struct mly__tpu_sweep {
    const struct mly__tpu_way *ways;
    size_t way_count;
    /* After each run; may be NULL. */
    void (*visit)(void *user, const struct mly__tpu_run *run);
    void *user;
    struct mly__tpu_best best[MLY__TPU_FAMILIES][MLY__TPU_WAYS_MAX][MLY__TPUS_MAX + 1]; /* out */
};
/* Runs every way for every network and number of TPUs; a table for each family with every run. */
enum mly_status mly__tpu_sweep_run(struct mly_bench *bench, struct mly__tpu_sweep *sweep,
                                   struct mly_error *err) MLY_MUST_CHECK;
/* A table of the best of every way. */
void mly__tpu_best_table(struct mly_bench *bench, const struct mly__tpu_sweep *sweep);

/* Error in per cent; NaN where either is not known. */
static inline double mly__percent_off(double value, double published)
{
    return 100 * (value / published - 1);
}

#endif

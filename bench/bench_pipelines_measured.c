/*
 * Do predictions of pipelines on core groups come true?
 *
 *   bench_pipelines_measured [--seconds S] [--budget S] MODEL…
 *
 * Per model motley measures it whole and node by node on two core groups, batch 1 (nothing stored is used). Then
 * cut plans of two stages: METIS' parts of 50/50 and 75/25, the best cut of `exact` and of `pipeline`, what
 * `profiled` keeps; and beside them the whole model on both groups. Each runs in the native engine, in ROUNDS
 * rounds one after the other, for S seconds in all (default 10): a closed loop with as many batches in
 * flight as the plan wants gives the throughput, one batch at a time the latency. (Costs are measured
 * with both groups at work; one batch at a time leaves one idle.)
 *
 * Printed: medians over the rounds, measured on this box's cores; what was predicted from times of nodes
 * (whole models: as measured), with the error; and again with the plan's segments measured, at the pace of their
 * pipeline.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <motley/decide.h>
#include <motley/engine.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/stats.h"
#include "plan/plan.h"
#include "profile/candidates.h"
#include "profile/profile.h"
#include "real_models.h"
#include "runtime/measure.h"

enum { ROUNDS = 5, GROUPS = 2, BATCH = 1 };

static const char *const planners[] = {"metis:50/50", "metis:75/25", "exact",
                                       "pipeline",    "profiled",    "groups"};
enum { WAYS = sizeof planners / sizeof *planners };

/* A plan, what it was said to give, and what it gave. */
struct way {
    mly_plan *plan;
    mly_engine *engine;
    struct mly_prediction from_nodes, from_segments;
    double throughput[ROUNDS], latency_ns[ROUNDS];
    char failed[160];
};

struct trial {
    mly_model *model;
    const mly_machine *machine;
    mly_cost_table *costs;
    struct bench_inputs inputs;
    struct way ways[WAYS];
    double budget_s, slice_ns;
};

struct tally {
    int rows, throughput, latency, failed;
};

/* --- making ready --- */

static enum mly_status open_costs(struct trial *t, struct mly_error *err)
{
    struct mly_cost_identity identity;
    char *word = NULL;
    mly_cost_table_destroy(t->costs);
    t->costs = NULL;
    enum mly_status status = mly_profile_identity(t->model, t->machine, NULL, &identity, err);
    if (status == MLY_OK)
        status = mly_cost_store_open(&identity, &t->costs, &word, err);
    mly_free(word);
    return status;
}

/* That the box is noisy is seen in the errors. */
static void ignore_remark(const char *text, void *user)
{
    (void)text;
    (void)user;
}

/* Every planner once, from what the first call measured. What `profiled` measures comes last. */
static enum mly_status make_plans(struct trial *t, struct mly_error *err)
{
    struct mly_decide_options options = {.again = true,
                                         .remark = ignore_remark,
                                         .batch = BATCH,
                                         .groups = GROUPS,
                                         .budget_ns = (int64_t)(t->budget_s * 1e9)};
    for (int i = 0; i < WAYS; i++) {
        const int at = (i + WAYS - 1) % WAYS; /* the whole model first */
        struct way *way = &t->ways[at];
        struct mly_error reason = {0};
        options.planner = i ? planners[at] : "pipeline"; /* has the nodes measured, too */
        options.no_replicas = at < WAYS - 1;
        enum mly_status status = MLY_OK;
        if (!i) {
            status = mly_decide(t->model, t->machine, &options, &way->plan, err);
            mly_plan_destroy(way->plan);
            way->plan = NULL;
            options.again = false;
            options.planner = planners[at];
        }
        if (status != MLY_OK)
            return status;
        if (mly_decide(t->model, t->machine, &options, &way->plan, &reason) != MLY_OK)
            snprintf(way->failed, sizeof way->failed, "%.159s", reason.message);
        else
            way->from_nodes = way->plan->prediction;
    }
    return MLY_OK;
}

/* The plans' segments at work, as they will be; then the predictions anew. */
static enum mly_status measure_segments(struct trial *t, struct mly_error *err)
{
    const struct mly_profile_options options = {0};
    enum mly_status status = open_costs(t, err);
    for (int i = 0; i < WAYS && status == MLY_OK; i++) {
        struct way *way = &t->ways[i];
        if (!way->plan)
            continue;
        status = mly_profile_plan(t->model, way->plan, &options, 1000000000, t->costs, err);
        if (status == MLY_OK)
            status = mly_plan_evaluate(way->plan, t->model, t->costs, &way->from_segments, err);
        if (status == MLY_OK)
            status = mly_engine_create(t->model, way->plan, NULL, &way->engine, err);
    }
    return status;
}

static void close_trial(struct trial *t)
{
    for (int i = 0; i < WAYS; i++) {
        mly_engine_destroy(t->ways[i].engine);
        mly_plan_destroy(t->ways[i].plan);
    }
    mly_cost_table_destroy(t->costs);
    bench_inputs_free(&t->inputs);
    mly_model_destroy(t->model);
}

/* --- measuring --- */

static enum mly_status measure(struct trial *t, struct way *way, int round, struct mly_error *err)
{
    struct mly_measure_result result;
    struct mly_measure_options options = {.inputs = bench_inputs_give,
                                          .user = &t->inputs,
                                          .duration_ns = (int64_t)(t->slice_ns / 2),
                                          .warm_up = 2 * way->plan->in_flight,
                                          .in_flight = way->plan->in_flight};
    enum mly_status status = mly_measure_stream(way->engine, &options, &result, err);
    if (status != MLY_OK)
        return status;
    way->throughput[round] =
        result.steady_per_s > 0 ? result.steady_per_s : result.throughput_per_s;
    options.in_flight = 1;
    status = mly_measure_stream(way->engine, &options, &result, err);
    way->latency_ns[round] = result.latency_ns.median;
    return status;
}

/* --- the table --- */

static double median(const double *rounds)
{
    double sorted[ROUNDS];
    memcpy(sorted, rounds, sizeof sorted);
    return mly_percentile(sorted, ROUNDS, 0.5);
}

static double error_of(double predicted, double measured)
{
    return measured > 0 ? (predicted / measured - 1) * 100 : 0;
}

static void report(const char *name, const struct way *way, const char *planner,
                   struct tally *tally)
{
    if (!way->plan) {
        printf("%-14.14s %-12s %s\n", name, planner, way->failed);
        return;
    }
    const double per_s = median(way->throughput), ns = median(way->latency_ns);
    const struct mly_prediction *a = &way->from_nodes, *b = &way->from_segments;
    printf("%-14.14s %-12s %4u %10.2f %9.2f %+6.1f%% %9.2f %+6.1f%%   %9.2f %9.2f %+6.1f%% %9.2f "
           "%+6.1f%%\n",
           name, planner, way->plan->segment_count, per_s, a->throughput_per_s,
           error_of(a->throughput_per_s, per_s), b->throughput_per_s,
           error_of(b->throughput_per_s, per_s), ns / 1e6, a->latency_ns / 1e6,
           error_of(a->latency_ns, ns), b->latency_ns / 1e6, error_of(b->latency_ns, ns));
    fflush(stdout);
    tally->rows++;
    tally->throughput += fabs(error_of(b->throughput_per_s, per_s)) <= 10;
    tally->latency += fabs(error_of(b->latency_ns, ns)) <= 10;
}

static enum mly_status try_model(const char *path, const mly_machine *machine, double seconds,
                                 double budget, struct tally *tally, struct mly_error *err)
{
    struct trial t = {.machine = machine, .budget_s = budget, .slice_ns = seconds * 1e9 / ROUNDS};
    enum mly_status status = mly_model_load(path, NULL, &t.model, err);
    if (status == MLY_OK)
        status = bench_inputs_make(t.model, BATCH, &t.inputs, err);
    if (status == MLY_OK)
        status = make_plans(&t, err);
    if (status == MLY_OK)
        status = measure_segments(&t, err);
    for (int round = 0; round < ROUNDS && status == MLY_OK; round++)
        for (int i = 0; i < WAYS && status == MLY_OK; i++)
            if (t.ways[i].plan)
                status = measure(&t, &t.ways[i], round, err);
    for (int i = 0; i < WAYS && status == MLY_OK; i++)
        report(bench_base_name(path), &t.ways[i], planners[i], tally);
    close_trial(&t);
    return status;
}

int main(int argc, char **argv)
{
    double seconds = 10, budget = 15;
    struct mly_error err = {0};
    struct tally tally = {0};
    mly_machine *machine = NULL;
    char now[MLY_UTC_TEXT_BYTES];
    const int first = bench_arguments(argc, argv, &seconds, &budget);
    if (!first)
        return 2;
    if (mly_machine_create(NULL, &machine, &err) != MLY_OK) {
        fprintf(stderr, "bench_pipelines_measured: %s\n", err.message);
        return 1;
    }
    const struct mly_machine_info *info = mly_machine_info(machine);
    printf(
        "pipelines on %d core groups, batch %d, predicted and measured, %s on %s, %u cores; %g s "
        "per "
        "plan in %d rounds\n"
        "samples/s measured; predicted from times of nodes, and with the segments measured; ms per "
        "batch alone\n",
        GROUPS, BATCH, mly_utc_now(now), info->cpu_model, info->cores, seconds, ROUNDS);
    printf("%-14s %-12s %4s %10s %9s %7s %9s %7s   %9s %9s %7s %9s %7s\n", "model", "planner",
           "segm", "samples/s", "nodes", "error", "segments", "error", "ms", "nodes", "error",
           "segments", "error");
    for (int i = first; i < argc; i++) {
        if (try_model(argv[i], machine, seconds, budget, &tally, &err) != MLY_OK) {
            printf("%-14.14s failed: %s\n", bench_base_name(argv[i]), err.message);
            tally.failed++;
        }
    }
    printf(
        "with segments measured, within 10 %%: throughput %d of %d, latency %d; %d models failed\n",
        tally.throughput, tally.rows, tally.latency, tally.failed);
    mly_machine_destroy(machine);
    return tally.failed ? 1 : 0;
}

/*
 * Does the prediction come true? The same plan, measured by the native executor on this box and
 * predicted by the virtual one from the cost table.
 *
 *   bench_prediction [--seconds S] [--budget S] MODEL…
 *
 * Per model motley measures and decides (nothing stored is used). Then ROUNDS rounds, each with a closed
 * loop of as many batches in flight as the plan wants and Poisson arrivals at 30, 60 and 80 % of the
 * throughput that this closed loop had; every load runs for S seconds in all (default 20). The virtual
 * executor gets the same arrivals, to the nanosecond. Printed: medians over the rounds of throughput and
 * of the median and 99th percentile of the latency of a batch, predicted and measured, with the errors,
 * and how many are within the bars: throughput 5 %, p50 10 %, p99 25 %.
 *
 * The loop that the costs were measured with runs in every round, too: by how much it is slower or
 * faster now is the box's drift. "now" is the error of the same prediction from costs that drifted so.
 * Measured is this box's CPU; predicted is from its cost table.
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
#include "profile/profile.h"
#include "real_models.h"
#include "runtime/measure.h"
#include "runtime/measure_open.h"
#include "runtime/virtual.h"

enum { LOADS = 4, ROUNDS = 5 };

static const double shares[LOADS] = {0, 0.3, 0.6, 0.8}; /* of capacity; 0: closed loop */

struct outcome {
    double throughput, p50_ns, p99_ns; /* batches per second; of a batch */
};

struct trial {
    mly_model *model;
    const mly_machine *machine;
    mly_plan *plan;
    mly_engine *engine;
    mly_cost_table *costs;
    struct mly_flow flow;
    struct mly_virtual_cost *virtual_costs, *drifted_costs;
    size_t cost_count;
    struct bench_inputs inputs;
    struct bench_loop loop; /* what the costs were measured with */
    double loop_per_s;      /* then, in samples */
    double slice_ns;
};

/* Of one load, by round. */
struct rounds {
    struct outcome predicted[ROUNDS], now[ROUNDS], measured[ROUNDS];
};

struct tally {
    int rows, throughput, p50, p99, throughput_now, p50_now, p99_now, failed;
};

/* --- making ready --- */

static enum mly_status open_costs(struct trial *t, struct mly_error *err)
{
    struct mly_cost_identity identity;
    char *word = NULL;
    enum mly_status status = mly_profile_identity(t->model, t->machine, NULL, &identity, err);
    if (status == MLY_OK)
        status = mly_cost_store_open(&identity, &t->costs, &word, err);
    mly_free(word);
    const struct mly_virtual_cost_request request = {
        .model = t->model, .plan = t->plan, .measured = t->costs, .batch = t->plan->batch};
    if (status == MLY_OK)
        status = mly_virtual_costs(&request, &t->virtual_costs, err);
    t->cost_count = (size_t)t->plan->segment_count * t->plan->processor_count;
    t->drifted_costs = mly_alloc_array(t->cost_count, sizeof *t->drifted_costs);
    if (status == MLY_OK && !t->drifted_costs)
        status = mly_error_set(err, MLY_E_NO_MEMORY, "memory is short");
    return status;
}

static enum mly_status open_trial(struct trial *t, const char *path, double budget,
                                  struct mly_error *err)
{
    const struct mly_decide_options decide = {.again = true, .budget_ns = (int64_t)(budget * 1e9)};
    enum mly_status status = mly_model_load(path, NULL, &t->model, err);
    if (status == MLY_OK)
        status = mly_decide(t->model, t->machine, &decide, &t->plan, err);
    if (status == MLY_OK)
        status = open_costs(t, err);
    if (status == MLY_OK)
        status = mly_flow_init(t->model, t->plan, true, &t->flow, err);
    if (status == MLY_OK)
        status = mly_engine_create(t->model, t->plan, NULL, &t->engine, err);
    if (status == MLY_OK)
        status = bench_loop_open(t->model, t->machine, t->plan, &t->loop, err);
    if (status == MLY_OK)
        t->loop_per_s = mly_plan_throughput_per_s(t->plan);
    return status == MLY_OK ? bench_inputs_make(t->model, t->plan->batch, &t->inputs, err) : status;
}

static void close_trial(struct trial *t)
{
    bench_loop_close(&t->loop);
    mly_engine_destroy(t->engine);
    mly_flow_fini(&t->flow);
    mly_free(t->virtual_costs);
    mly_free(t->drifted_costs);
    mly_cost_table_destroy(t->costs);
    mly_plan_destroy(t->plan);
    bench_inputs_free(&t->inputs);
    mly_model_destroy(t->model);
}

/* --- both sides --- */

static enum mly_status measure_closed(struct trial *t, struct outcome *out, struct mly_error *err)
{
    struct mly_measure_result result;
    const struct mly_measure_options options = {.inputs = bench_inputs_give,
                                                .user = &t->inputs,
                                                .duration_ns = (int64_t)t->slice_ns,
                                                .warm_up = 2 * t->plan->in_flight,
                                                .in_flight = t->plan->in_flight};
    enum mly_status status = mly_measure_stream(t->engine, &options, &result, err);
    if (status != MLY_OK)
        return status;
    double samples = result.steady_per_s > 0 ? result.steady_per_s : result.throughput_per_s;
    *out = (struct outcome){samples / (double)t->plan->batch, result.latency_ns.median,
                            result.latency_ns.p99};
    return MLY_OK;
}

static enum mly_status measure_open(struct trial *t, const struct mly_arrivals *arrivals,
                                    uint64_t seed, struct outcome *out, struct mly_error *err)
{
    struct mly_measure_open_result result;
    const struct mly_measure_open_options options = {.inputs = t->inputs.items,
                                                     .input_count = t->inputs.count,
                                                     .arrivals = arrivals,
                                                     .seed = seed,
                                                     .duration_ns = (int64_t)t->slice_ns};
    enum mly_status status = mly_measure_open(t->engine, &options, &result, err);
    if (status == MLY_OK && (result.failed > 0 || result.measured == 0))
        status = mly_error_set(err, MLY_E_BACKEND, "%llu requests failed",
                               (unsigned long long)result.failed);
    if (status == MLY_OK)
        *out =
            (struct outcome){result.throughput_per_s, result.latency.p50_ns, result.latency.p99_ns};
    return status;
}

static enum mly_status predict(struct trial *t, const struct mly_virtual_cost *costs,
                               const struct mly_arrivals *arrivals, uint64_t seed,
                               struct outcome *out, struct mly_error *err)
{
    struct mly_virtual_result result;
    struct mly_virtual_options options = {.flow = &t->flow,
                                          .costs = costs,
                                          .arrivals = arrivals,
                                          .seed = seed,
                                          .duration_ns = (int64_t)t->slice_ns};
    if (arrivals->kind == MLY_ARRIVALS_CLOSED) { /* a longer run: its chance is smaller */
        options.duration_ns *= 10;
        options.warm_up_ns = options.duration_ns / 10;
    }
    enum mly_status status = mly_virtual_run(&options, &result, err);
    if (status == MLY_OK)
        *out =
            (struct outcome){result.throughput_per_s, result.latency.p50_ns, result.latency.p99_ns};
    mly_virtual_result_fini(&result);
    return status;
}

/* The costs as they are now, by the loop that they were measured with. */
static enum mly_status follow_drift(struct trial *t, struct mly_error *err)
{
    double now_per_s = 0;
    enum mly_status status = bench_loop_run(&t->loop, &t->inputs, t->plan->batch,
                                            (int64_t)(t->slice_ns / 2), &now_per_s, err);
    const double slower = now_per_s > 0 ? t->loop_per_s / now_per_s : 1;
    for (size_t i = 0; i < t->cost_count; i++) {
        t->drifted_costs[i] = t->virtual_costs[i];
        t->drifted_costs[i].median_ns *= slower;
        t->drifted_costs[i].p10_ns *= slower;
        t->drifted_costs[i].p90_ns *= slower;
    }
    return status;
}

static enum mly_status run_round(struct trial *t, int round, struct rounds loads[LOADS],
                                 struct mly_error *err)
{
    const uint64_t seed = (uint64_t)round + 1;
    double capacity = 0;
    enum mly_status status = follow_drift(t, err);
    for (int i = 0; i < LOADS && status == MLY_OK; i++) {
        struct mly_arrivals arrivals = {.kind = MLY_ARRIVALS_POISSON,
                                        .rate_per_s = capacity * shares[i]};
        if (shares[i] > 0) {
            status = measure_open(t, &arrivals, seed, &loads[i].measured[round], err);
        } else {
            arrivals =
                (struct mly_arrivals){.kind = MLY_ARRIVALS_CLOSED, .in_flight = t->plan->in_flight};
            status = measure_closed(t, &loads[i].measured[round], err);
            capacity = loads[i].measured[round].throughput;
        }
        if (status == MLY_OK)
            status = predict(t, t->virtual_costs, &arrivals, seed, &loads[i].predicted[round], err);
        if (status == MLY_OK)
            status = predict(t, t->drifted_costs, &arrivals, seed, &loads[i].now[round], err);
    }
    return status;
}

/* --- the table --- */

static struct outcome median_of(const struct outcome *rounds)
{
    double throughput[ROUNDS], p50[ROUNDS], p99[ROUNDS];
    for (int i = 0; i < ROUNDS; i++) {
        throughput[i] = rounds[i].throughput;
        p50[i] = rounds[i].p50_ns;
        p99[i] = rounds[i].p99_ns;
    }
    return (struct outcome){mly_percentile(throughput, ROUNDS, 0.5),
                            mly_percentile(p50, ROUNDS, 0.5), mly_percentile(p99, ROUNDS, 0.5)};
}

static double error_of(double predicted, double measured)
{
    return measured > 0 ? predicted / measured - 1 : 0;
}

static void print_pair(double predicted, double now, double measured, double scale, double bar,
                       int *within, int *within_now)
{
    const double error = error_of(predicted, measured), error_now = error_of(now, measured);
    printf("  %9.4g %9.4g %+6.1f%% %+6.1f%%", predicted * scale, measured * scale, error * 100,
           error_now * 100);
    *within += fabs(error) <= bar;
    *within_now += fabs(error_now) <= bar;
}

static void report(const char *name, double share, const struct trial *t,
                   const struct rounds *rounds, struct tally *tally)
{
    const struct outcome predicted = median_of(rounds->predicted), now = median_of(rounds->now),
                         measured = median_of(rounds->measured);
    char load[24];
    if (share > 0)
        snprintf(load, sizeof load, "poisson %.0f %%", share * 100);
    else
        snprintf(load, sizeof load, "closed %u", t->plan->in_flight);
    printf("%-24.24s %-12s", name, load);
    print_pair(predicted.throughput, now.throughput, measured.throughput, t->plan->batch, 0.05,
               &tally->throughput, &tally->throughput_now);
    print_pair(predicted.p50_ns, now.p50_ns, measured.p50_ns, 1e-6, 0.10, &tally->p50,
               &tally->p50_now);
    print_pair(predicted.p99_ns, now.p99_ns, measured.p99_ns, 1e-6, 0.25, &tally->p99,
               &tally->p99_now);
    printf("\n");
    fflush(stdout);
    tally->rows++;
}

static enum mly_status try_model(const char *path, const mly_machine *machine, double seconds,
                                 double budget, struct tally *tally, struct mly_error *err)
{
    struct trial t = {.machine = machine, .slice_ns = seconds * 1e9 / ROUNDS};
    struct rounds loads[LOADS] = {0};
    enum mly_status status = open_trial(&t, path, budget, err);
    for (int round = 0; round < ROUNDS && status == MLY_OK; round++)
        status = run_round(&t, round, loads, err);
    if (status == MLY_OK) {
        char *line = mly_plan_describe(t.plan);
        for (int i = 0; i < LOADS; i++)
            report(bench_base_name(path), shares[i], &t, &loads[i], tally);
        printf("  %s\n", line ? line : "");
        mly_free(line);
    }
    close_trial(&t);
    return status;
}

int main(int argc, char **argv)
{
    double seconds = 20, budget = 20;
    struct mly_error err = {0};
    struct tally tally = {0};
    mly_machine *machine = NULL;
    char now[MLY_UTC_TEXT_BYTES];
    const int first = bench_arguments(argc, argv, &seconds, &budget);
    if (!first)
        return 2;
    if (mly_machine_create(NULL, &machine, &err) != MLY_OK) {
        fprintf(stderr, "bench_prediction: %s\n", err.message);
        return 1;
    }
    const struct mly_machine_info *info = mly_machine_info(machine);
    printf(
        "predicted by the virtual executor from the cost table, and measured, %s on %s, %u cores; "
        "%g s per load in %d rounds; samples/s and ms per batch\n",
        mly_utc_now(now), info->cpu_model, info->cores, seconds, ROUNDS);
    printf("%-24s %-12s  %9s %9s %7s %7s  %9s %9s %7s %7s  %9s %9s %7s %7s\n", "model", "load",
           "predicted", "measured", "error", "now", "p50 pred.", "measured", "error", "now",
           "p99 pred.", "measured", "error", "now");
    for (int i = first; i < argc; i++) {
        if (try_model(argv[i], machine, seconds, budget, &tally, &err) != MLY_OK) {
            printf("%-24.24s failed: %s\n", bench_base_name(argv[i]), err.message);
            tally.failed++;
        }
    }
    printf("within the bars: throughput (5 %%) %d of %d, p50 (10 %%) %d, p99 (25 %%) %d; from "
           "costs as "
           "drifted: %d, %d, %d; %d models failed\n",
           tally.throughput, tally.rows, tally.p50, tally.p99, tally.throughput_now, tally.p50_now,
           tally.p99_now, tally.failed);
    mly_machine_destroy(machine);
    return tally.failed ? 1 : 0;
}

/*
 * Is the plan never worse than the obvious one, and does its prediction come true?
 *
 *   bench_plan [--seconds S] [--budget S] MODEL…
 *
 * Per model: motley measures and decides (nothing stored is used). Then the decision and every
 * configuration tried by hand run in interleaved rounds through the same engine: the runtime's
 * defaults, one group of all threads spinning and blocking, and one thread per group, each at batch
 * 1 and at the batch that motley chose. Who goes first changes from round to round. The best by hand
 * is chosen by the even rounds and judged by the odd ones; a configuration by hand that is just
 * motley's plan is not run twice. Printed: predicted and measured throughput of the plan (median of
 * all rounds), the best by hand, and the median over the odd rounds of the ratio between them.
 * The loop that the prediction was measured with runs in every round, too: by how much it is
 * slower or faster now is the box's drift, and said beside the error. Everything is measured on this
 * box.
 */
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

enum {
    ROUNDS = 11,
    SLICE_BATCHES = 8, /* per processor, at least: filling and draining is not what is measured */
    HAND_MAX = 16,
};

struct contender {
    char label[64];
    uint32_t batch;
    mly_plan *plan;
    mly_engine *engine;
    struct bench_inputs inputs;
    double rounds[ROUNDS];
    double throughput; /* median of the rounds */
    double batch_ns;   /* median execution of one batch in the last round */
    bool by_hand;      /* tried by hand; motley's own plan may be one of these */
};

struct trial {
    mly_model *model;
    const mly_machine *machine;
    struct contender contenders[HAND_MAX]; /* the first is motley's */
    size_t count;
    struct bench_loop loop; /* what the first was predicted by */
    double loop_rounds[ROUNDS];
};

static enum mly_status add(struct trial *trial, const char *label, mly_plan *plan, uint32_t batch,
                           struct mly_error *err)
{
    struct contender *contender = &trial->contenders[trial->count++];
    *contender = (struct contender){.batch = batch, .plan = plan, .by_hand = trial->count > 1};
    snprintf(contender->label, sizeof contender->label, "%s", label);
    enum mly_status status = mly_engine_create(trial->model, plan, NULL, &contender->engine, err);
    return status == MLY_OK ? bench_inputs_make(trial->model, batch, &contender->inputs, err)
                            : status;
}

/* Does motley's plan do just what this one does? Then it is one contender, not two. */
static bool is_ours(const struct trial *trial, const mly_plan *plan)
{
    char *ours = mly_plan_describe(trial->contenders[0].plan);
    char *other = mly_plan_describe(plan);
    bool same = ours && other && strcmp(ours, other) == 0;
    mly_free(ours);
    mly_free(other);
    return same;
}

static enum mly_status add_by_hand(struct trial *trial, uint32_t batch, struct mly_error *err)
{
    uint32_t cores = mly_machine_info(trial->machine)->cores;
    const struct {
        const char *label;
        struct mly_cost_config config;
    } by_hand[] = {
        {"runtime defaults", {.groups = 1, .spin = true, .runtime_defaults = true}},
        {"1 x all, spin", {.groups = 1, .threads = cores, .spin = true}},
        {"1 x all, block", {.groups = 1, .threads = cores}},
        {"n x 1 thread", {.groups = cores, .threads = 1}},
    };
    for (size_t i = 0; i < sizeof by_hand / sizeof by_hand[0]; i++) {
        struct mly_cost_config config = by_hand[i].config;
        mly_plan *plan = NULL;
        char label[64];
        if (cores == 1 && i > 1)
            break;
        snprintf(config.backend, sizeof config.backend, "ort");
        snprintf(config.processor_kind, sizeof config.processor_kind, "cpu");
        config.batch = batch;
        snprintf(label, sizeof label, "%s, batch %u", by_hand[i].label, batch);
        enum mly_status status = bench_plan_of(trial->model, trial->machine, &config, &plan, err);
        if (status != MLY_OK)
            return status;
        if (is_ours(trial, plan)) {
            snprintf(trial->contenders[0].label, sizeof trial->contenders[0].label, "%s", label);
            trial->contenders[0].by_hand = true;
            mly_plan_destroy(plan);
            continue;
        }
        status = add(trial, label, plan, batch, err);
        if (status != MLY_OK)
            return status;
    }
    return MLY_OK;
}

static enum mly_status race(struct trial *trial, double seconds, struct mly_error *err)
{
    int64_t slice = (int64_t)(seconds * 1e9 / ROUNDS / (double)(trial->count + 1));
    for (int round = 0; round < ROUNDS; round++) {
        for (size_t k = 0; k < trial->count; k++) {
            /* Who goes first changes from round to round. */
            struct contender *contender = &trial->contenders[(k + (size_t)round) % trial->count];
            struct mly_measure_result result;
            uint32_t in_flight = contender->plan->in_flight;
            struct mly_measure_options options = {.inputs = bench_inputs_give,
                                                  .user = &contender->inputs,
                                                  .duration_ns = slice,
                                                  .warm_up = in_flight,
                                                  .in_flight = in_flight};
            if (contender->batch_ns * SLICE_BATCHES > (double)slice)
                options.duration_ns = (int64_t)(contender->batch_ns * SLICE_BATCHES);
            enum mly_status status = mly_measure_stream(contender->engine, &options, &result, err);
            if (status != MLY_OK)
                return status;
            contender->batch_ns = result.execution_ns.median;
            contender->rounds[round] =
                result.steady_per_s > 0 ? result.steady_per_s : result.throughput_per_s;
        }
        double own = trial->contenders[0].batch_ns * SLICE_BATCHES;
        enum mly_status status = bench_loop_run(
            &trial->loop, &trial->contenders[0].inputs, trial->contenders[0].batch,
            own > (double)slice ? (int64_t)own : slice, &trial->loop_rounds[round], err);
        if (status != MLY_OK)
            return status;
    }
    for (size_t i = 0; i < trial->count; i++) {
        double copy[ROUNDS];
        memcpy(copy, trial->contenders[i].rounds, sizeof copy);
        trial->contenders[i].throughput = mly_percentile(copy, ROUNDS, 0.5);
    }
    return MLY_OK;
}

/* Median over the odd rounds. */
static double ratio_of(const struct contender *a, const struct contender *b)
{
    double ratios[ROUNDS];
    size_t count = 0;
    for (int i = 1; i < ROUNDS; i += 2)
        ratios[count++] = b->rounds[i] > 0 ? a->rounds[i] / b->rounds[i] : 0;
    return mly_percentile(ratios, count, 0.5);
}

struct tally {
    int models, predicted_well, predicted_well_now, never_worse;
    double worst_ratio;
};

/*
 * The best by hand, chosen by the even rounds: judged by the odd ones, it is not flattered by having been chosen for
 * its luck.
 */
static const struct contender *best_by_hand(const struct trial *trial)
{
    const struct contender *best = NULL;
    double most = 0;
    for (size_t i = 0; i < trial->count; i++) {
        double even[ROUNDS];
        size_t count = 0;
        for (int round = 0; round < ROUNDS; round += 2)
            even[count++] = trial->contenders[i].rounds[round];
        double median = mly_percentile(even, count, 0.5);
        if (trial->contenders[i].by_hand && (!best || median > most)) {
            best = &trial->contenders[i];
            most = median;
        }
    }
    return best;
}

static const struct contender *defaults_of(const struct trial *trial)
{
    for (size_t i = 0; i < trial->count; i++)
        if (trial->contenders[i].plan->processors[0].runtime_defaults)
            return &trial->contenders[i];
    return &trial->contenders[0];
}

static void report(const char *path, const struct trial *trial, struct tally *tally)
{
    const struct contender *ours = &trial->contenders[0];
    const struct contender *best = best_by_hand(trial), *defaults = defaults_of(trial);
    double predicted = mly_plan_throughput_per_s(ours->plan);
    double error = ours->throughput > 0 ? predicted / ours->throughput - 1 : 0;
    double loop[ROUNDS];
    memcpy(loop, trial->loop_rounds, sizeof loop);
    double now = mly_percentile(loop, ROUNDS, 0.5);
    double drift = predicted > 0 ? now / predicted - 1 : 0;
    double error_now = ours->throughput > 0 ? now / ours->throughput - 1 : 0;
    double ratio = ratio_of(ours, best);
    char *line = mly_plan_describe(ours->plan);
    printf("%-28.28s %9.4g %9.4g %+6.1f%% %+6.1f%% %+6.1f%%  %-24.24s %9.4g %6.3f %6.2fx  %s\n",
           bench_base_name(path), predicted, ours->throughput, error * 100, drift * 100,
           error_now * 100, best->label, best->throughput, ratio, ratio_of(ours, defaults),
           line ? line : "");
    fflush(stdout);
    mly_free(line);
    tally->models++;
    tally->predicted_well += error > -0.1 && error < 0.1;
    tally->predicted_well_now += error_now > -0.1 && error_now < 0.1;
    tally->never_worse += ratio >= 0.98;
    if (ratio < tally->worst_ratio)
        tally->worst_ratio = ratio;
}

static enum mly_status try_model(const char *path, const mly_machine *machine, double seconds,
                                 double budget, struct tally *tally, struct mly_error *err)
{
    struct trial trial = {.machine = machine};
    mly_plan *plan = NULL;
    struct mly_decide_options decide = {.again = true, .budget_ns = (int64_t)(budget * 1e9)};
    enum mly_status status = mly_model_load(path, NULL, &trial.model, err);
    if (status == MLY_OK)
        status = mly_decide(trial.model, machine, &decide, &plan, err);
    if (status == MLY_OK)
        status = add(&trial, "motley", plan, mly_plan_batch(plan), err);
    uint32_t one = status == MLY_OK && mly_model_fixed_batch(trial.model)
                       ? (uint32_t)mly_model_fixed_batch(trial.model)
                       : 1;
    if (status == MLY_OK)
        status = add_by_hand(&trial, one, err);
    if (status == MLY_OK && mly_plan_batch(plan) != one)
        status = add_by_hand(&trial, mly_plan_batch(plan), err);
    if (status == MLY_OK)
        status = bench_loop_open(trial.model, machine, plan, &trial.loop, err);
    if (status == MLY_OK)
        status = race(&trial, seconds, err);
    if (status == MLY_OK)
        report(path, &trial, tally);
    for (size_t i = 0; i < trial.count; i++) {
        struct contender *contender = &trial.contenders[i];
        mly_engine_destroy(contender->engine);
        mly_plan_destroy(contender->plan);
        bench_inputs_free(&contender->inputs);
    }
    bench_loop_close(&trial.loop);
    mly_model_destroy(trial.model);
    return status;
}

int main(int argc, char **argv)
{
    double seconds = 20, budget = 20;
    struct mly_error err = {0};
    mly_machine *machine = NULL;
    struct tally tally = {.worst_ratio = 1e9};
    int failed = 0;
    char now[MLY_UTC_TEXT_BYTES];
    const int first = bench_arguments(argc, argv, &seconds, &budget);
    if (!first)
        return 2;
    if (mly_machine_create(NULL, &machine, &err) != MLY_OK) {
        fprintf(stderr, "bench_plan: %s\n", err.message);
        return 1;
    }
    const struct mly_machine_info *info = mly_machine_info(machine);
    printf("plan against configurations tried by hand; measured %s on %s, %u cores; samples/s, "
           "medians of %d interleaved rounds\n",
           mly_utc_now(now), info->cpu_model, info->cores, ROUNDS);
    printf("%-28s %9s %9s %7s %7s %7s  %-24s %9s %6s %7s  %s\n", "model", "predicted", "measured",
           "error", "drift", "without", "best by hand", "measured", "ratio", "default",
           "motley's plan");
    for (int i = first; i < argc; i++) {
        if (try_model(argv[i], machine, seconds, budget, &tally, &err) != MLY_OK) {
            printf("%-28.28s failed: %s\n", bench_base_name(argv[i]), err.message);
            failed++;
        }
    }
    printf(
        "%d models: prediction within 10 %% for %d, for %d without the drift of the box since; at "
        "least 0.98 of the best by hand for %d, worst %.3f; %d failed\n",
        tally.models, tally.predicted_well, tally.predicted_well_now, tally.never_worse,
        tally.worst_ratio, failed);
    mly_machine_destroy(machine);
    return failed ? 1 : 0;
}

/*
 * A plan against the runtime's defaults: engines that stand side by side and have their turns in interleaved rounds.
 * An interrupted comparison keeps the rounds that were whole.
 */
#include "run_compare.h"

#include <string.h>

#include "base/alloc.h"
#include "base/stats.h"
#include "run_stream.h"

enum { ROUNDS = RUN_COMPARE_ROUNDS, CONTENDERS_MAX = 3 };

struct racer {
    const char *label;
    const mly_plan *plan;
    mly_plan *own_plan; /* destroyed with the racer; NULL when the plan is the caller's */
    mly_engine *engine;
    struct run_inputs *inputs;
    double rounds[ROUNDS];
    double p50[ROUNDS], p99[ROUNDS];
    uint64_t batches;
    uint32_t samples_per_batch;
    struct run_energy_use energy; /* of the saturated halves */
};

static uint32_t replicas_of(const mly_plan *plan)
{
    return plan->segments[0].processor_count;
}

/* A stream with the sensors read from before its warm-up to its end. */
static enum mly_status run_metered(const struct run_comparison *comparison,
                                   const struct run_stream *stream, struct racer *racer,
                                   struct mly_measure_result *result, struct mly_error *err)
{
    struct run_energy *energy = comparison->energy;
    enum mly_status status = energy ? run_energy_begin(energy, err) : MLY_OK;
    if (status != MLY_OK)
        return status;
    status = run_stream(stream, result, err);
    if (!energy)
        return status;
    run_energy_end(energy);
    if (run_is_modelled(racer->plan))
        racer->energy.reason = "its processors are not here: what this box takes is not theirs";
    if (status == MLY_OK)
        run_energy_add(energy,
                       result->samples + stream->warm_up * (uint64_t)racer->samples_per_batch,
                       &racer->energy);
    return status;
}

/* Throughput with in_flight batches, then latency with one batch in flight per replica; half the time each. */
static enum mly_status race_round(const struct run_comparison *comparison, struct racer *racer,
                                  uint32_t round, int64_t slice_ns, double from, double to,
                                  struct mly_error *err)
{
    struct mly_measure_result result;
    struct run_stream stream = {.engine = racer->engine,
                                .inputs = racer->inputs,
                                .duration_ns = slice_ns / 2,
                                .warm_up = round == 0 ? 2 : 1,
                                .in_flight = racer->plan->in_flight,
                                .progress = comparison->progress,
                                .text = racer->label,
                                .fraction_from = from,
                                .fraction_to = (from + to) / 2};
    enum mly_status status = run_metered(comparison, &stream, racer, &result, err);
    if (status != MLY_OK)
        return status;
    racer->rounds[round] = result.steady_per_s > 0 ? result.steady_per_s : result.throughput_per_s;
    racer->batches += result.batches;
    stream.in_flight = replicas_of(racer->plan);
    stream.fraction_from = (from + to) / 2;
    stream.fraction_to = to;
    status = run_stream(&stream, &result, err);
    if (status != MLY_OK)
        return status;
    racer->p50[round] = result.latency_ns.median;
    racer->p99[round] = result.latency_ns.p99;
    racer->batches += result.batches;
    return MLY_OK;
}

/* *rounds counts those that all had their turn in. */
static enum mly_status race(const struct run_comparison *comparison, struct racer *racers,
                            size_t count, uint32_t *rounds, struct mly_error *err)
{
    int64_t slice = comparison->duration_ns / (int64_t)(ROUNDS * count);
    for (uint32_t round = 0; round < ROUNDS; round++) {
        for (size_t i = 0; i < count; i++) {
            double at = (double)(round * count + i), all = (double)(ROUNDS * count);
            enum mly_status status =
                race_round(comparison, &racers[i], round, slice, at / all, (at + 1) / all, err);
            if (status != MLY_OK)
                return status;
        }
        *rounds = round + 1;
    }
    return MLY_OK;
}

static void summarise(const struct racer *racer, const struct racer *first, uint32_t round_count,
                      struct run_contender *row)
{
    double ratios[ROUNDS], rounds[ROUNDS], p50[ROUNDS], p99[ROUNDS];
    for (uint32_t i = 0; i < round_count; i++) {
        ratios[i] = first->rounds[i] > 0 ? racer->rounds[i] / first->rounds[i] : 0;
        rounds[i] = racer->rounds[i];
        p50[i] = racer->p50[i];
        p99[i] = racer->p99[i];
    }
    *row = (struct run_contender){.batch = racer->plan->batch,
                                  .replicas = replicas_of(racer->plan),
                                  .batches = racer->batches,
                                  .energy = racer->energy};
    snprintf(row->label, sizeof row->label, "%s", racer->label);
    row->ratio = mly_percentile(ratios, round_count, 0.5);
    row->throughput_per_s = mly_percentile(rounds, round_count, 0.5);
    row->p50_ns = mly_percentile(p50, round_count, 0.5);
    row->p99_ns = mly_percentile(p99, round_count, 0.5);
}

static enum mly_status start_racer(const mly_model *model, const struct run_inputs *samples,
                                   uint64_t sample_count, struct racer *racer,
                                   struct mly_error *err)
{
    const struct mly_engine_options options = {.results = run_results_mode(racer->plan, false)};
    racer->inputs = mly_alloc(sizeof *racer->inputs);
    if (!racer->inputs)
        return mly_error_set(err, MLY_E_NO_MEMORY, "memory is short");
    run_inputs_share(samples, racer->inputs);
    enum mly_status status =
        run_inputs_make_batches(racer->inputs, racer->plan->batch, sample_count, err);
    if (status == MLY_OK)
        status = mly_engine_create(model, racer->plan, &options, &racer->engine, err);
    return status;
}

/* The runtime's defaults at batch one and at the plan's, then the plan; how many. */
static enum mly_status line_up(const struct run_comparison *comparison, struct racer *racers,
                               size_t *count, struct mly_error *err)
{
    const mly_plan *plan = comparison->plan;
    const int64_t fixed = mly_model_fixed_batch(comparison->model);
    const uint32_t one = fixed ? (uint32_t)fixed : 1;
    const uint32_t batches[] = {one, plan->batch};
    enum mly_status status = MLY_OK;
    for (size_t i = 0; status == MLY_OK && i < (plan->batch == one ? 1u : 2u); i++) {
        struct racer *racer = &racers[(*count)++];
        racer->label = "the runtime's defaults";
        status = run_baseline_plan(comparison->model, comparison->machine, batches[i],
                                   &racer->own_plan, err);
        if (status != MLY_OK)
            return status;
        racer->plan = racer->own_plan;
        memcpy(racer->own_plan->shapes, plan->shapes, sizeof plan->shapes);
        if (racer->own_plan->in_flight < plan->in_flight) /* waking costs all the same */
            racer->own_plan->in_flight = plan->in_flight;
    }
    racers[(*count)++] = (struct racer){.label = "motley", .plan = plan};
    return status;
}

static void leave(struct racer *racer)
{
    mly_engine_destroy(racer->engine);
    if (racer->inputs)
        run_inputs_fini(racer->inputs);
    mly_free(racer->inputs);
    mly_plan_destroy(racer->own_plan);
}

enum mly_status run_compare(const struct run_comparison *comparison, struct run_contender *rows,
                            size_t *count, uint32_t *rounds, struct mly_error *err)
{
    const mly_plan *plan = comparison->plan;
    struct racer racers[CONTENDERS_MAX] = {{0}};
    size_t racer_count = 0;
    *rounds = 0;
    enum mly_status status = line_up(comparison, racers, &racer_count, err);
    for (size_t i = 0; status == MLY_OK && i < racer_count; i++) {
        /* A round must not mix a full batch with a last, smaller one. */
        const uint64_t batch = racers[i].plan->batch;
        racers[i].samples_per_batch =
            mly_model_fixed_batch(comparison->model) ? 1 : (uint32_t)batch;
        status = start_racer(comparison->model, comparison->inputs,
                             (comparison->samples + batch - 1) / batch * batch, &racers[i], err);
    }
    if (status == MLY_OK && comparison->energy)
        status = run_energy_rest(comparison->energy, comparison->idle_ns, err);
    if (status == MLY_OK)
        status = race(comparison, racers, racer_count, rounds, err);
    if (status == MLY_E_CANCELLED)
        mly_error_set(err, status, "stopped in round %u of %u", *rounds + 1, ROUNDS);
    if (status == MLY_OK || (status == MLY_E_CANCELLED && *rounds > 0)) {
        struct mly_error why;
        for (size_t i = 0; i < racer_count; i++)
            summarise(&racers[i], &racers[0], *rounds, &rows[i]);
        const enum mly_status looked =
            run_processors_get(racers[racer_count - 1].engine, plan, run_results_mode(plan, false),
                               0, comparison->processors, &why);
        if (looked == MLY_OK) {
            rows[racer_count - 1].modelled = run_times_are_modelled(comparison->processors);
            *count = racer_count;
        } else {
            status = mly_error_set(err, looked, "%s", why.message);
        }
    }
    for (size_t i = 0; i < racer_count; i++)
        leave(&racers[i]);
    return status;
}

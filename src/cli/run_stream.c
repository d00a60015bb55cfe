/* Streams through engines, and the comparison of a plan with the runtime's defaults. */
#include "run_stream.h"

#include <string.h>

#include "base/alloc.h"
#include "base/stats.h"

static enum mly_status give_inputs(void *user, uint64_t index, uint32_t lane,
                                   struct mly_tensor *inputs, struct mly_error *err)
{
    (void)lane;
    (void)err;
    const struct run_stream *stream = user;
    const struct run_batch *batch = &stream->inputs->batches[index % stream->inputs->batch_count];
    memcpy(inputs, batch->tensors, stream->inputs->input_count * sizeof *inputs);
    return MLY_OK;
}

static enum mly_status take_outputs(void *user, uint64_t index, const struct mly_tensor *outputs,
                                    size_t output_count, struct mly_error *err)
{
    const struct run_stream *stream = user;
    if (index >= stream->inputs->batch_count)
        return MLY_OK;
    return stream->result(stream->user, &stream->inputs->batches[index], outputs, output_count,
                          err);
}

static void show_progress(void *user, const struct mly_measure_progress *progress)
{
    const struct run_stream *stream = user;
    double span = stream->fraction_to - stream->fraction_from;
    double fraction = stream->fraction_from + (span > 0 ? span : 1) * progress->fraction;
    char text[160];
    double seconds = (double)progress->elapsed_ns / 1e9;
    char rate[MLY_RATE_TEXT_BYTES];
    snprintf(text, sizeof text, "%s, %s samples/s", stream->text,
             mly_rate_text(seconds > 0 ? (double)progress->samples / seconds : 0, rate));
    cli_progress_update(stream->progress, fraction, text);
}

enum mly_status run_stream(const struct run_stream *stream, struct mly_measure_result *out,
                           struct mly_error *err)
{
    struct run_stream copy = *stream;
    struct mly_measure_options options = {.inputs = give_inputs,
                                          .outputs = stream->result ? take_outputs : NULL,
                                          .progress = stream->progress ? show_progress : NULL,
                                          .user = &copy,
                                          .count = stream->count,
                                          .duration_ns = stream->duration_ns,
                                          .warm_up = stream->warm_up,
                                          .in_flight = stream->in_flight,
                                          .stop = cli_stop_flag()};
    return mly_measure_stream(stream->engine, &options, out, err);
}

enum mly_status run_baseline_plan(const mly_model *model, const mly_machine *machine,
                                  uint32_t batch, mly_plan **out, struct mly_error *err)
{
    mly_plan *plan = NULL;
    struct mly_processor_list whole = {0};
    enum mly_status status = mly_plan_create(model, machine, &plan, err);
    if (status == MLY_OK)
        status = mly_machine_group(machine, MLY_GROUP_WHOLE, 1, false, &whole, err);
    if (status != MLY_OK)
        goto fail;
    plan->processors = mly_alloc(sizeof *plan->processors);
    plan->segments = mly_alloc(sizeof *plan->segments);
    plan->ladder = mly_alloc(sizeof *plan->ladder);
    if (!plan->processors || !plan->segments || !plan->ladder)
        goto no_memory;
    plan->processor_count = 1;
    plan->segment_count = 1;
    plan->ladder_count = 1;
    struct mly_plan_processor *processor = plan->processors;
    snprintf(processor->id, sizeof processor->id, "%s", whole.items[0].id);
    snprintf(processor->kind, sizeof processor->kind, "cpu");
    snprintf(processor->backend, sizeof processor->backend, "ort");
    processor->runtime_defaults = true;
    processor->spin = true;
    processor->threads = whole.items[0].cpu_count;
    processor->cpu_count = whole.items[0].cpu_count;
    processor->cpus = mly_alloc_array(processor->cpu_count, sizeof *processor->cpus);
    plan->segments[0].name = mly_strdup("whole");
    plan->segments[0].processors = mly_alloc(sizeof *plan->segments[0].processors);
    if (!processor->cpus || !plan->segments[0].name || !plan->segments[0].processors)
        goto no_memory;
    plan->segments[0].processor_count = 1;
    memcpy(processor->cpus, whole.items[0].cpus, processor->cpu_count * sizeof *processor->cpus);
    snprintf(plan->planner, sizeof plan->planner, "baseline");
    plan->ladder[0] = batch;
    plan->batch = batch;
    plan->in_flight = 2;
    mly_processor_list_fini(&whole);
    *out = plan;
    return MLY_OK;
no_memory:
    status = mly_error_set(err, MLY_E_NO_MEMORY, "memory is short");
fail:
    mly_processor_list_fini(&whole);
    mly_plan_destroy(plan);
    return status;
}

enum { ROUNDS = 5, CONTENDERS_MAX = 3 };

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

static enum mly_status race(const struct run_comparison *comparison, struct racer *racers,
                            size_t count, struct mly_error *err)
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
    }
    return MLY_OK;
}

static void summarise(const struct racer *racer, const struct racer *first,
                      struct run_contender *row)
{
    double ratios[ROUNDS], rounds[ROUNDS], p50[ROUNDS], p99[ROUNDS];
    for (uint32_t i = 0; i < ROUNDS; i++) {
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
    row->ratio = mly_percentile(ratios, ROUNDS, 0.5);
    row->throughput_per_s = mly_percentile(rounds, ROUNDS, 0.5);
    row->p50_ns = mly_percentile(p50, ROUNDS, 0.5);
    row->p99_ns = mly_percentile(p99, ROUNDS, 0.5);
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

enum mly_status run_compare(const struct run_comparison *comparison, struct run_contender *rows,
                            size_t *count, struct mly_error *err)
{
    const mly_model *model = comparison->model;
    const mly_machine *machine = comparison->machine;
    const mly_plan *plan = comparison->plan;
    const uint64_t samples = comparison->samples;
    struct racer racers[CONTENDERS_MAX] = {{.label = "the runtime's defaults"}};
    uint32_t one = mly_model_fixed_batch(model) ? (uint32_t)mly_model_fixed_batch(model) : 1;
    size_t racer_count = 1;
    enum mly_status status = run_baseline_plan(model, machine, one, &racers[0].own_plan, err);
    if (status == MLY_OK && plan->batch != one) {
        racers[racer_count].label = "the runtime's defaults";
        status = run_baseline_plan(model, machine, plan->batch, &racers[racer_count].own_plan, err);
        racer_count++;
    }
    for (size_t i = 0; status == MLY_OK && i < racer_count; i++) {
        memcpy(racers[i].own_plan->shapes, plan->shapes, sizeof plan->shapes);
        if (racers[i].own_plan->in_flight < plan->in_flight) /* waking costs all the same */
            racers[i].own_plan->in_flight = plan->in_flight;
    }
    racers[racer_count++] = (struct racer){.label = "motley", .plan = plan};
    for (size_t i = 0; status == MLY_OK && i < racer_count; i++) {
        if (racers[i].own_plan)
            racers[i].plan = racers[i].own_plan;
        /* A round must not mix a full batch with a last, smaller one. */
        uint64_t batch = racers[i].plan->batch;
        racers[i].samples_per_batch = mly_model_fixed_batch(model) ? 1 : racers[i].plan->batch;
        status = start_racer(model, comparison->inputs, (samples + batch - 1) / batch * batch,
                             &racers[i], err);
    }
    if (status == MLY_OK && comparison->energy)
        status = run_energy_rest(comparison->energy, comparison->idle_ns, err);
    if (status == MLY_OK)
        status = race(comparison, racers, racer_count, err);
    for (size_t i = 0; status == MLY_OK && i < racer_count; i++)
        summarise(&racers[i], &racers[0], &rows[i]);
    if (status == MLY_OK)
        status = run_processors_get(racers[racer_count - 1].engine, plan,
                                    run_results_mode(plan, false), 0, comparison->processors, err);
    if (status == MLY_OK)
        rows[racer_count - 1].modelled = run_times_are_modelled(comparison->processors);
    if (status == MLY_OK)
        *count = racer_count;
    for (size_t i = 0; i < racer_count; i++) {
        mly_engine_destroy(racers[i].engine);
        if (racers[i].inputs)
            run_inputs_fini(racers[i].inputs);
        mly_free(racers[i].inputs);
        mly_plan_destroy(racers[i].own_plan);
    }
    return status;
}

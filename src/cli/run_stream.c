/* Streams through engines, and the plan that others are compared with. */
#include "run_stream.h"

#include <string.h>

#include "base/alloc.h"

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

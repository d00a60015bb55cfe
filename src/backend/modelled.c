/*
 * Modelled processors in real time: a run takes as long as a model of the hardware says, and its
 * results, where there are any, come from this box's CPU. Opening and closing; modelled_run.c runs.
 */
#include <inttypes.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/log.h"
#include "modelled_session.h"
#include "ort_session.h"

static enum mly_status probe(const char **version, struct mly_error *err)
{
    if (!mly_device_model_at(0))
        return mly_error_set(err, MLY_E_ABSENT, "no device files are installed");
    *version = "device files 1";
    return MLY_OK;
}

static bool drives(const char *processor_kind)
{
    return mly_device_model_find(processor_kind) != NULL;
}

static void fill_port(const struct mly_graph *graph, uint32_t tensor, struct mly_session_port *port)
{
    port->name = graph->tensors[tensor].name;
    port->dtype = graph->tensors[tensor].dtype;
    port->shape = graph->tensors[tensor].shape;
}

static enum mly_status fill_ports(struct mly__modelled_session *s, struct mly_error *err)
{
    const struct mly_graph *graph = mly_model_graph(s->model);
    s->inputs = mly_alloc_array((size_t)s->segment->input_count + 1, sizeof *s->inputs);
    s->outputs = mly_alloc_array((size_t)s->segment->output_count + 1, sizeof *s->outputs);
    s->is_preset = mly_alloc_array((size_t)s->segment->output_count + 1, sizeof *s->is_preset);
    if (!s->inputs || !s->outputs || !s->is_preset)
        return mly_error_set(err, MLY_E_NO_MEMORY, "memory is short");
    for (uint32_t i = 0; i < s->segment->input_count; i++)
        fill_port(graph, s->segment->inputs[i], &s->inputs[i]);
    for (uint32_t i = 0; i < s->segment->output_count; i++)
        fill_port(graph, s->segment->outputs[i], &s->outputs[i]);
    s->info.inputs = s->inputs;
    s->info.outputs = s->outputs;
    s->info.input_count = s->segment->input_count;
    s->info.output_count = s->segment->output_count;
    return MLY_OK;
}

static enum mly_status check_options(const struct mly_session_options *options,
                                     const struct mly_device_model **device, struct mly_error *err)
{
    const struct mly_processor *processor = options->processor;
    if (!processor)
        return mly_error_set(err, MLY_E_INVALID, "a session needs a processor");
    *device = mly_device_model_find(processor->kind);
    if (!*device)
        return mly_error_set(err, MLY_E_UNSUPPORTED,
                             "%s: there is no device file for processors of kind '%s'",
                             processor->id, processor->kind);
    if (options->threads > 1)
        return mly_error_set(err, MLY_E_INVALID,
                             "%s: %" PRIu32 " threads asked for; a modelled processor has one",
                             processor->id, options->threads);
    return MLY_OK;
}

/* One thread, so that several modelled processors may compute at once. */
static enum mly_status open_cpu(struct mly__modelled_session *s, bool no_prepared_copy,
                                struct mly_error *err)
{
    uint32_t cpu = 0;
    struct mly_processor processor = {
        .id = "cpu", .kind = "cpu", .usable = true, .cpus = &cpu, .cpu_count = 1, .numa_node = -1};
    const struct mly_session_options options = {
        .processor = &processor, .threads = 1, .no_prepared_copy = no_prepared_copy};
    const char *version;
    enum mly_status status = mly__ort_ops.probe(&version, err);
    s->cpu_ops = &mly__ort_ops;
    if (status == MLY_OK)
        status = s->cpu_ops->open(s->model, s->segment, &options, &s->cpu, err);
    return status;
}

/*
 * A segment that the CPU cannot run can still be timed: its results are then absent, and why is kept.
 * Not so if results are wanted in any case, or memory is short.
 */
static enum mly_status prepare_results(struct mly__modelled_session *s, bool no_prepared_copy,
                                       struct mly_error *err)
{
    struct mly_error why = {0};
    if (s->results == MLY_RESULTS_NEVER) {
        snprintf(s->reason, sizeof s->reason, "they were not asked for");
        return MLY_OK;
    }
    enum mly_status status = open_cpu(s, no_prepared_copy, &why);
    if (status == MLY_OK)
        return MLY_OK;
    if (s->results == MLY_RESULTS_ALWAYS || status == MLY_E_NO_MEMORY)
        return mly_error_set(err, status, "%s (modelled): results cannot be computed: %.900s",
                             s->processor, why.message);
    snprintf(s->reason, sizeof s->reason, "the CPU cannot compute them: %.200s", why.message);
    return MLY_OK;
}

/* Sizes that inputs do not fix yet count as 1: enough to learn whether the device computes it. */
static enum mly_status check_segment(struct mly__modelled_session *s, struct mly_error *err)
{
    struct mly__modelled_timing *timing;
    struct mly_tensor *inputs = mly_alloc_array((size_t)s->info.input_count + 1, sizeof *inputs);
    if (!inputs)
        return mly_error_set(err, MLY_E_NO_MEMORY, "memory is short");
    for (uint32_t i = 0; i < s->info.input_count; i++) {
        inputs[i].dtype = s->inputs[i].dtype;
        inputs[i].shape = s->inputs[i].shape;
        for (int32_t d = 0; d < inputs[i].shape.rank; d++)
            if (inputs[i].shape.dims[d] < 0)
                inputs[i].shape.dims[d] = 1;
    }
    enum mly_status status = mly__modelled_timing(s, inputs, &timing, err);
    mly_free(inputs);
    return status;
}

static void modelled_close(mly_session *session)
{
    struct mly__modelled_session *s = mly__modelled_session_of(session);
    if (!s)
        return;
    if (s->info.slowed > 0)
        mly_log(MLY_LOG_INFO,
                "%s (modelled): %" PRIu64 " of %" PRIu64
                " runs took longer than is modelled, as the CPU computed their results",
                s->processor, s->info.slowed, s->runs);
    if (s->cpu)
        s->cpu_ops->close(s->cpu);
    mly__modelled_timings_fini(s);
    if (s->lock_made) {
        pthread_cond_destroy(&s->wake);
        pthread_mutex_destroy(&s->lock);
    }
    mly_free(s->inputs);
    mly_free(s->outputs);
    mly_free(s->is_preset);
    mly_free(s);
}

static void make_lock(struct mly__modelled_session *s)
{
    pthread_condattr_t monotonic;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_mutex_init(&s->lock, NULL);
    pthread_cond_init(&s->wake, &monotonic);
    pthread_condattr_destroy(&monotonic);
    s->lock_made = true;
}

static enum mly_status modelled_open(const mly_model *model, const struct mly_segment *segment,
                                     const struct mly_session_options *options, mly_session **out,
                                     struct mly_error *err)
{
    const int64_t begun_ns = mly_now_ns();
    const struct mly_device_model *device = NULL;
    enum mly_status status = check_options(options, &device, err);
    if (status != MLY_OK)
        return status;
    struct mly__modelled_session *s = mly_alloc(sizeof *s);
    if (!s)
        return mly_error_set(err, MLY_E_NO_MEMORY, "memory is short");
    s->model = model;
    s->segment = segment;
    s->device = device;
    s->results = options->results;
    memcpy(s->processor, options->processor->id, sizeof s->processor);
    make_lock(s);
    status = fill_ports(s, err);
    if (status == MLY_OK)
        status = check_segment(s, err);
    if (status == MLY_OK)
        status = prepare_results(s, options->no_prepared_copy, err);
    if (status != MLY_OK) {
        modelled_close((mly_session *)s);
        return status;
    }
    s->info.prepared_copy = !s->cpu || s->cpu_ops->info(s->cpu)->prepared_copy;
    s->info.open_ns = mly_now_ns() - begun_ns;
    *out = (mly_session *)s;
    return MLY_OK;
}

static const struct mly_session_info *info(const mly_session *session)
{
    return &((const struct mly__modelled_session *)(const void *)session)->info;
}

const struct mly_backend_ops mly__modelled_ops = {
    .name = "modelled",
    .description = "modelled processors: times from device files, results from the CPU",
    .probe = probe,
    .drives = drives,
    .open = modelled_open,
    .run = mly__modelled_run,
    .close = modelled_close,
    .info = info,
    .cancel = mly__modelled_cancel,
    .copies = mly__modelled_copies,
};

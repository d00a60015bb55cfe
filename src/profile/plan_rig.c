/*
 * Measuring the segments of a plan on their processors.
 *
 *   1. Waves: segments that share no processor run at the same time, as they would in a pipeline; one that
 *      shares a processor with an earlier one begins the next wave.
 *   2. Each session of a wave has a thread and inputs of its own; it runs its segment over and over, and
 *      short segments wait for long ones, as they would in a pipeline.
 *   3. Times of sessions of one segment on processors that are run alike become one entry of the table.
 */
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/alloc.h"
#include "candidates.h"
#include "profile/crew.h"
#include "profile/inputs.h"
#include "tensorio/raw.h"

/* One session of a wave. */
struct seat {
    uint32_t segment, processor; /* of the plan */
    struct mly_segment cut;
    struct mly_tensor *inputs;
    char hash[65];
};

struct wave {
    mly_model *model;
    const mly_plan *plan;
    const struct mly_profile_options *options;
    mly_cost_table *table;
    struct mly_shape *shapes; /* by tensor, for the plan's batch */
    struct seat *seats;
    struct crew_own *own; /* by seat */
    uint32_t *stages;     /* by seat: which of the wave's segments, from 0 */
    uint32_t count;
    struct crew crew;
};

/* --- configurations --- */

static bool is_measured(const struct mly_plan_processor *p)
{
    return strcmp(p->backend, "modelled") != 0;
}

static bool are_alike(const struct mly_plan_processor *a, const struct mly_plan_processor *b)
{
    return !strcmp(a->kind, b->kind) && !strcmp(a->backend, b->backend) &&
           a->threads == b->threads && a->spin == b->spin &&
           a->runtime_defaults == b->runtime_defaults;
}

static bool has_segment(const mly_plan *plan, uint32_t processor)
{
    for (uint32_t i = 0; i < plan->segment_count; i++)
        for (uint32_t k = 0; k < plan->segments[i].processor_count; k++)
            if (plan->segments[i].processors[k] == processor)
                return true;
    return false;
}

/* What the entry is kept under: as evaluating asks for it. */
static struct mly_cost_config config_of(const mly_plan *plan, uint32_t processor)
{
    const struct mly_plan_processor *p = &plan->processors[processor];
    struct mly_cost_config config = {.threads = p->threads,
                                     .batch = plan->batch,
                                     .spin = p->spin,
                                     .runtime_defaults = p->runtime_defaults};
    for (uint32_t i = 0; i < plan->processor_count; i++)
        config.groups += has_segment(plan, i) && are_alike(&plan->processors[i], p);
    memcpy(config.backend, p->backend, sizeof config.backend);
    memcpy(config.processor_kind, p->kind, sizeof config.processor_kind);
    return config;
}

/* --- 2 --- */

static void free_inputs(struct seat *seat)
{
    for (uint32_t i = 0; seat->inputs && i < seat->cut.input_count; i++)
        mly_tensor_fini(&seat->inputs[i]);
    mly_free(seat->inputs);
    seat->inputs = NULL;
}

static enum mly_status make_inputs(const struct wave *wave, struct seat *seat,
                                   enum profile_fill fill, struct mly_error *err)
{
    const struct mly_graph *graph = mly_model_graph(wave->model);
    enum mly_status status = MLY_OK;
    free_inputs(seat);
    seat->inputs = mly_alloc_array((size_t)seat->cut.input_count + 1, sizeof *seat->inputs);
    if (!seat->inputs)
        return mly_error_set(err, MLY_E_NO_MEMORY, "no memory for inputs");
    for (uint32_t i = 0; status == MLY_OK && i < seat->cut.input_count; i++) {
        const uint32_t tensor = seat->cut.inputs[i];
        const struct mly_shape *shape = &wave->shapes[tensor];
        const enum mly_dtype dtype = graph->tensors[tensor].dtype;
        if (shape->rank < 0)
            status = mly_error_set(err, MLY_E_UNSUPPORTED, "the shape of '%.200s' is not known",
                                   graph->tensors[tensor].name);
        else
            status = fill == FILL_RANDOM
                         ? mly_tensor_random(dtype, shape, i + 1, &seat->inputs[i], err)
                         : mly_tensor_init(dtype, shape, &seat->inputs[i], err);
    }
    return status;
}

static void wave_fini(struct wave *wave)
{
    wave->crew.groups = (struct mly_processor_list){0}; /* borrowed from the plan */
    for (uint32_t i = 0; wave->crew.sessions && i < wave->count; i++)
        if (wave->crew.sessions[i])
            wave->crew.ops->close(wave->crew.sessions[i]);
    mly_free(wave->crew.sessions);
    for (uint32_t i = 0; i < wave->count; i++) {
        free_inputs(&wave->seats[i]);
        mly_segment_fini(&wave->seats[i].cut);
        samples_fini(&wave->own[i].times);
    }
    mly_free(wave->seats);
    mly_free(wave->own);
    mly_free(wave->stages);
}

static enum mly_status open_seat(struct wave *wave, uint32_t index,
                                 const struct mly_processor *processor, struct mly_error *err)
{
    struct seat *seat = &wave->seats[index];
    const struct mly_plan_processor *p = &wave->plan->processors[seat->processor];
    const struct mly_session_options options = {.processor = processor,
                                                .threads = p->threads,
                                                .spin = p->spin,
                                                .pin = p->pin,
                                                .runtime_defaults = p->runtime_defaults};
    const struct mly_plan_segment *segment = &wave->plan->segments[seat->segment];
    enum mly_status status =
        segment->node_count
            ? mly_segment_extract(wave->model, segment->nodes, segment->node_count, &seat->cut, err)
            : mly_segment_whole(wave->model, &seat->cut, err);
    if (status == MLY_OK)
        status = mly_segment_hash(wave->model, &seat->cut, seat->hash, err);
    if (status == MLY_OK)
        status = make_inputs(wave, seat, FILL_RANDOM, err);
    if (status == MLY_OK)
        status = wave->crew.ops->open(wave->model, &seat->cut, &options,
                                      &wave->crew.sessions[index], err);
    return status;
}

/* Once without counting; then what counts. Zeros where the segment does not stand random values. */
static enum mly_status run_wave(struct wave *wave, int64_t slice_ns, struct mly_error *err)
{
    struct mly_error reason = {0};
    double throughput = 0;
    enum mly_status status = MLY_OK;
    for (int fill = FILL_RANDOM; fill <= FILL_ZEROS; fill++) {
        for (uint32_t i = 0; status == MLY_OK && i < wave->count; i++) {
            if (fill != FILL_RANDOM)
                status = make_inputs(wave, &wave->seats[i], FILL_ZEROS, &reason);
            wave->own[i].inputs = wave->seats[i].inputs;
        }
        if (status == MLY_OK)
            status = crew_round(&wave->crew, NULL, wave->plan->batch, 0, wave->options->stop,
                                &throughput, NULL, &reason);
        if (!profile_fill_may_help(status) || fill == FILL_ZEROS)
            break;
        status = MLY_OK;
    }
    for (uint32_t i = 0; i < wave->count; i++)
        samples_fini(&wave->own[i].times);
    if (status == MLY_OK)
        status = crew_round(&wave->crew, NULL, wave->plan->batch, slice_ns, wave->options->stop,
                            &throughput, NULL, &reason);
    return status == MLY_OK ? MLY_OK : mly_error_set(err, status, "%s", reason.message);
}

/* --- 3 --- */

static enum mly_status put_times(struct wave *wave, uint32_t first, struct mly_error *err)
{
    const struct seat *seat = &wave->seats[first];
    const struct mly_plan_processor *p = &wave->plan->processors[seat->processor];
    struct samples all = {0};
    enum mly_status status = MLY_OK;
    for (uint32_t i = 0; status == MLY_OK && i < wave->count; i++) {
        const struct seat *other = &wave->seats[i];
        if (other->segment != seat->segment ||
            !are_alike(&wave->plan->processors[other->processor], p))
            continue;
        if (i < first) {
            samples_fini(&all);
            return MLY_OK; /* told with the first one */
        }
        status = samples_merge(&all, &wave->own[i].times, err);
    }
    const uint64_t runs = all.added;
    const struct mly_summary summary = samples_summarise(&all);
    samples_fini(&all);
    const struct mly_cost_entry entry = {.scope = MLY_COST_SEGMENT,
                                         .scope_id = seat->hash,
                                         .config = config_of(wave->plan, seat->processor),
                                         .p10_ns = summary.p10,
                                         .median_ns = summary.median,
                                         .p90_ns = summary.p90,
                                         .samples = runs,
                                         .measured_s = (int64_t)time(NULL)};
    return status == MLY_OK ? mly_cost_table_put(wave->table, &entry, err) : status;
}

/* --- 1 --- */

/* Does the table lack the time of the segment on one of its processors? */
static enum mly_status is_missing(const struct wave *wave, uint32_t index, bool *out,
                                  struct mly_error *err)
{
    const struct mly_plan_segment *segment = &wave->plan->segments[index];
    struct mly_segment nodes = {.nodes = segment->nodes, .node_count = segment->node_count};
    char hash[65];
    *out = false;
    if (!segment->node_count)
        return MLY_OK; /* the whole model has its own entries */
    enum mly_status status = mly_segment_hash(wave->model, &nodes, hash, err);
    for (uint32_t k = 0; status == MLY_OK && k < segment->processor_count; k++) {
        const struct mly_cost_config config = config_of(wave->plan, segment->processors[k]);
        *out = *out || (is_measured(&wave->plan->processors[segment->processors[k]]) &&
                        !mly_cost_table_find(wave->table, MLY_COST_SEGMENT, hash, &config));
    }
    return status;
}

/* Seats for the segments from *next on that share no processor; *next moves behind them. */
static enum mly_status seat_wave(struct wave *wave, uint32_t *next, bool *missing,
                                 struct mly_error *err)
{
    const mly_plan *plan = wave->plan;
    enum mly_status status = MLY_OK;
    *missing = false;
    for (; status == MLY_OK && *next < plan->segment_count; ++*next) {
        const struct mly_plan_segment *segment = &plan->segments[*next];
        bool lacks = false;
        for (uint32_t k = 0; k < segment->processor_count; k++)
            for (uint32_t i = 0; i < wave->count; i++)
                if (wave->seats[i].processor == segment->processors[k])
                    return MLY_OK;
        for (uint32_t k = 0; k < segment->processor_count; k++)
            if (is_measured(&plan->processors[segment->processors[k]]))
                wave->seats[wave->count++] =
                    (struct seat){.segment = *next, .processor = segment->processors[k]};
        status = is_missing(wave, *next, &lacks, err);
        *missing = *missing || lacks;
    }
    return status;
}

static enum mly_status measure_wave(struct wave *wave, struct mly_processor *processors,
                                    int64_t slice_ns, struct mly_error *err)
{
    const char *backend = wave->plan->processors[wave->seats[0].processor].backend;
    enum mly_status status = MLY_OK;
    wave->crew = (struct crew){.config = {.groups = wave->count},
                               .ops = mly_backend_find(backend),
                               .groups = {.items = processors, .count = wave->count},
                               .own = wave->own,
                               .stages = wave->stages};
    wave->crew.sessions = mly_alloc_array(wave->count, sizeof *wave->crew.sessions);
    if (!wave->crew.sessions)
        return mly_error_set(err, MLY_E_NO_MEMORY, "no memory for %u sessions", wave->count);
    if (!wave->crew.ops)
        return mly_error_set(err, MLY_E_NOT_FOUND, "there is no back end named '%s'", backend);
    for (uint32_t i = 1; i < wave->count; i++)
        wave->stages[i] =
            wave->stages[i - 1] + (wave->seats[i].segment != wave->seats[i - 1].segment);
    for (uint32_t i = 0; status == MLY_OK && i < wave->count; i++) {
        const struct mly_plan_processor *p = &wave->plan->processors[wave->seats[i].processor];
        processors[i] = (struct mly_processor){
            .usable = true, .cpus = p->cpus, .cpu_count = p->cpu_count, .numa_node = -1};
        memcpy(processors[i].id, p->id, sizeof processors[i].id);
        memcpy(processors[i].kind, p->kind, sizeof processors[i].kind);
        if (strcmp(p->backend, backend) != 0 || !p->cpu_count)
            status = mly_error_set(err, MLY_E_UNSUPPORTED, "%s cannot be measured together with %s",
                                   p->id, wave->plan->processors[wave->seats[0].processor].id);
        else
            status = open_seat(wave, i, &processors[i], err);
    }
    if (status == MLY_OK)
        status = run_wave(wave, slice_ns, err);
    for (uint32_t i = 0; status == MLY_OK && i < wave->count; i++)
        status = put_times(wave, i, err);
    return status;
}

enum mly_status mly_profile_plan(mly_model *model, const mly_plan *plan,
                                 const struct mly_profile_options *options, int64_t slice_ns,
                                 mly_cost_table *table, struct mly_error *err)
{
    const struct mly_graph *graph = mly_model_graph(model);
    struct mly_shape *shapes = mly_alloc_array((size_t)graph->tensor_count + 1, sizeof *shapes);
    struct mly_processor *processors = mly_alloc_array(plan->processor_count, sizeof *processors);
    enum mly_status status = shapes && processors
                                 ? MLY_OK
                                 : mly_error_set(err, MLY_E_NO_MEMORY, "no memory for measuring");
    if (status == MLY_OK)
        status = mly_graph_bind(model, plan->batch, options->bindings, options->binding_count,
                                shapes, err);
    for (uint32_t t = 0; status == MLY_OK && t < graph->tensor_count; t++)
        for (int32_t d = 0; d < shapes[t].rank; d++)
            if (shapes[t].dims[d] < 0)
                shapes[t].dims[d] = 1;
    for (uint32_t next = 0; status == MLY_OK && next < plan->segment_count;) {
        struct wave wave = {.model = model,
                            .plan = plan,
                            .options = options,
                            .table = table,
                            .shapes = shapes,
                            .seats = mly_alloc_array(plan->processor_count, sizeof *wave.seats),
                            .own = mly_alloc_array(plan->processor_count, sizeof *wave.own),
                            .stages = mly_alloc_array(plan->processor_count, sizeof *wave.stages)};
        bool missing = false;
        status = wave.seats && wave.own && wave.stages
                     ? seat_wave(&wave, &next, &missing, err)
                     : mly_error_set(err, MLY_E_NO_MEMORY, "no memory for measuring");
        if (status == MLY_OK && wave.count && missing)
            status = measure_wave(&wave, processors, slice_ns, err);
        wave_fini(&wave);
    }
    mly_free(shapes);
    mly_free(processors);
    return status;
}

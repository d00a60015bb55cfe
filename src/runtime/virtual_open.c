/* The beginning of a virtual run and its end: options are checked, memory is taken, sums become averages. */
#include "runtime/virtual.h"

#include <inttypes.h>

#include "base/alloc.h"
#include "virtual_private.h"

#define DEFAULT_CAPACITY 4096u

/* --- what is to be run --- */

static enum mly_status no_memory(struct mly_error *err)
{
    return mly_error_set(err, MLY_E_NO_MEMORY, "no memory for a simulation");
}

/* One way, or the family's. */
static enum mly_status list_sides(struct mly__virtual_run *run, struct mly_error *err)
{
    const struct mly_virtual_options *o = run->options;
    run->side_count = o->way_count > 0 ? o->way_count : 1;
    run->sides = mly_alloc_array(run->side_count, sizeof *run->sides);
    run->max_rates = mly_alloc_array(run->side_count, sizeof *run->max_rates);
    if (!run->sides || !run->max_rates)
        return no_memory(err);
    for (uint32_t i = 0; i < run->side_count; i++) {
        run->sides[i].flow = o->way_count > 0 ? o->ways[i].flow : o->flow;
        run->sides[i].costs = o->way_count > 0 ? o->ways[i].costs : o->costs;
        run->max_rates[i] = o->way_count > 0 ? o->ways[i].max_rate_per_s : 0;
    }
    run->processor_count = run->sides[0].flow->processor_count;
    run->samples = o->batch > 0 ? o->batch : 1;
    return MLY_OK;
}

static enum mly_status check_side(const struct mly__virtual_run *run,
                                  const struct mly__virtual_side *side, struct mly_error *err)
{
    const struct mly_flow *flow = side->flow, *first = run->sides[0].flow;
    if (flow->processor_count != first->processor_count ||
        flow->input_count != first->input_count || flow->output_count != first->output_count)
        return mly_error_set(err, MLY_E_INVALID,
                             "the ways of a family are not of one model on the same processors");
    if (flow->segments[0].shares && run->options->batch == 0)
        return mly_error_set(err, MLY_E_INVALID, "batches that are split need a size");
    for (uint32_t s = 0; s < flow->segment_count; s++) {
        for (uint32_t i = 0; i < flow->segments[s].processor_count; i++) {
            uint32_t p = flow->segments[s].processors[i];
            const struct mly_virtual_cost *cost =
                &side->costs[(size_t)s * flow->processor_count + p];
            if (!cost->known || !(cost->median_ns >= 0 && cost->median_ns < 1e17))
                return mly_error_set(
                    err, MLY_E_INVALID,
                    "the cost of segment %" PRIu32 " on processor %" PRIu32 " is not known", s, p);
        }
    }
    return MLY_OK;
}

static enum mly_status check(const struct mly__virtual_run *run, uint32_t capacity,
                             struct mly_error *err)
{
    const struct mly_virtual_options *o = run->options;
    const bool closed = o->arrivals->kind == MLY_ARRIVALS_CLOSED;
    if (o->duration_ns < 0 || o->warm_up_ns < 0 ||
        (o->duration_ns == 0 && o->count == 0 && o->arrivals->kind != MLY_ARRIVALS_TRACE))
        return mly_error_set(err, MLY_E_INVALID, "a simulation needs a duration or a count");
    if (o->duration_ns > 0 && o->warm_up_ns >= o->duration_ns)
        return mly_error_set(err, MLY_E_INVALID, "the warm-up is not shorter than the duration");
    if (closed && (o->arrivals->in_flight == 0 || o->arrivals->in_flight > capacity))
        return mly_error_set(err, MLY_E_INVALID,
                             "%" PRIu32 " requests in flight are not between 1 and the %" PRIu32
                             " that the queue holds",
                             o->arrivals->in_flight, capacity);
    enum mly_status status = MLY_OK;
    for (uint32_t i = 0; i < run->side_count && status == MLY_OK; i++)
        status = check_side(run, &run->sides[i], err);
    return status;
}

/* --- memory --- */

static enum mly_status allocate_result(struct mly__virtual_run *run, struct mly_error *err)
{
    struct mly_virtual_result *result = run->result;
    for (uint32_t i = 0; i < run->side_count; i++)
        result->stage_count += run->sides[i].flow->segment_count;
    result->processor_count = run->processor_count;
    result->way_count = run->side_count;
    result->processors = mly_alloc_array(result->processor_count, sizeof *result->processors);
    result->stages = mly_alloc_array(result->stage_count, sizeof *result->stages);
    result->ways = mly_alloc_array(result->way_count, sizeof *result->ways);
    run->sums = mly_alloc_array(result->stage_count, sizeof *run->sums);
    if (!result->processors || !result->stages || !result->ways || !run->sums)
        return no_memory(err);
    uint32_t first = 0;
    for (uint32_t i = 0; i < run->side_count; i++) {
        struct mly__virtual_side *side = &run->sides[i];
        side->served = &result->ways[i];
        side->served->first_stage = first;
        side->served->stage_count = side->flow->segment_count;
        side->stages = result->stages + first;
        side->sums = run->sums + first;
        first += side->flow->segment_count;
    }
    return MLY_OK;
}

static enum mly_status allocate(struct mly__virtual_run *run, struct mly_error *err)
{
    uint32_t garbage = 0;
    bool split = false;
    for (uint32_t i = 0; i < run->side_count; i++) {
        const struct mly_flow *flow = run->sides[i].flow;
        if (flow->max_inputs + flow->max_outputs > garbage)
            garbage = flow->max_inputs + flow->max_outputs;
        split = split || flow->segments[0].shares;
    }
    run->heap = mly_alloc_array(run->processor_count, sizeof *run->heap);
    run->seats = mly_alloc_array(run->processor_count, sizeof *run->seats);
    run->inputs = mly_alloc_array(run->sides[0].flow->input_count, sizeof *run->inputs);
    run->garbage = mly_alloc_array(garbage, sizeof *run->garbage);
    run->latency = mly_alloc(sizeof *run->latency);
    run->queue = mly_alloc(sizeof *run->queue);
    if (!run->heap || !run->seats || !run->inputs || !run->garbage || !run->latency || !run->queue)
        return no_memory(err);
    if (split) /* the core divides its rows */
        run->inputs[0].shape = (struct mly_shape){.rank = 1, .dims = {run->options->batch}};
    return mly__ways_init(&run->ways, run->max_rates, run->side_count, err);
}

/* --- the core --- */

/* A group in the core's scheduler, and requests, for a way beside the first one. */
static enum mly_status add_side(struct mly__virtual_run *run, uint32_t index, struct mly_error *err)
{
    struct mly__virtual_side *side = &run->sides[index];
    uint32_t group = 0;
    enum mly_status status = mly__core_add_group(run->core.scheduler, side->flow, 1, &group, err);
    if (status == MLY_OK)
        status =
            mly__request_pool_init(&side->own_pool, side->flow, NULL, run->core.pool.count, err);
    side->pool = &side->own_pool;
    side->pool->index = index;
    mly__core_adopt_pool(&run->core, side->pool, group);
    return status;
}

static void set_costs(struct mly__virtual_run *run, const struct mly__virtual_side *side)
{
    const struct mly_flow *flow = side->flow;
    for (uint32_t s = 0; s < flow->segment_count; s++) {
        for (uint32_t i = 0; i < flow->segments[s].processor_count; i++) {
            uint32_t p = flow->segments[s].processors[i];
            const struct mly_virtual_cost *cost =
                &side->costs[(size_t)s * flow->processor_count + p];
            if (flow->segments[s].cost_count == 0) /* else the core has set them */
                mly_scheduler_set_batch_cost(run->core.scheduler, side->pool->group, s, p, 0,
                                             (int64_t)cost->median_ns);
        }
    }
}

static enum mly_status make_core(struct mly__virtual_run *run, uint32_t capacity,
                                 struct mly_error *err)
{
    const struct mly_virtual_options *o = run->options;
    enum mly_status status =
        mly__core_init(&run->core, run->sides[0].flow, NULL, o->policy, o->ordered, capacity, err);
    run->sides[0].pool = &run->core.pool;
    for (uint32_t i = 1; i < run->side_count && status == MLY_OK; i++)
        status = add_side(run, i, err);
    for (uint32_t i = 0; i < run->side_count && status == MLY_OK; i++) {
        struct mly__virtual_side *side = &run->sides[i];
        set_costs(run, side);
        run->ways.ready[i] = true;
        status = mly__services_init(&side->services, side->costs,
                                    (size_t)side->flow->segment_count * run->processor_count, err);
    }
    return status;
}

enum mly_status mly__virtual_open(struct mly__virtual_run *run, struct mly_error *err)
{
    const struct mly_virtual_options *o = run->options;
    const uint32_t capacity = o->queue_capacity ? o->queue_capacity : DEFAULT_CAPACITY;
    enum mly_status status = list_sides(run, err);
    if (status == MLY_OK)
        status = check(run, capacity, err);
    if (status == MLY_OK)
        status = allocate_result(run, err);
    if (status == MLY_OK)
        status = allocate(run, err);
    if (status == MLY_OK)
        status = make_core(run, capacity, err);
    if (status == MLY_OK)
        status = mly__virtual_open_timeline(run, err);
    if (status != MLY_OK)
        return status;
    run->from_ns = o->warm_up_ns;
    run->to_ns = o->duration_ns > 0 ? o->duration_ns : INT64_MAX;
    mly_arrival_stream_init(&run->stream, o->arrivals, o->seed);
    mly_random_init(&run->random, ~o->seed); /* independent of the arrivals' numbers */
    return MLY_OK;
}

void mly__virtual_close(struct mly__virtual_run *run)
{
    for (uint32_t i = 0; i < run->side_count && run->sides; i++) {
        struct mly__virtual_side *side = &run->sides[i];
        mly__services_fini(&side->services);
        mly__request_pool_fini(&side->own_pool);
        mly__flow_names_destroy(side->names);
    }
    mly__core_fini(&run->core);
    mly__ways_fini(&run->ways);
    mly_free(run->sides);
    mly_free(run->max_rates);
    mly_free(run->heap);
    mly_free(run->seats);
    mly_free(run->sums);
    mly_free(run->inputs);
    mly_free(run->garbage);
    mly_free(run->latency);
    mly_free(run->queue);
}

/* --- the end --- */

static struct mly_virtual_times times_of(const struct mly_histogram *h)
{
    return (struct mly_virtual_times){.count = h->count,
                                      .min_ns = (double)h->min,
                                      .mean_ns = mly_histogram_mean(h),
                                      .p50_ns = mly_histogram_percentile(h, 0.5),
                                      .p90_ns = mly_histogram_percentile(h, 0.9),
                                      .p99_ns = mly_histogram_percentile(h, 0.99),
                                      .p999_ns = mly_histogram_percentile(h, 0.999),
                                      .max_ns = (double)h->max};
}

static void conclude_side(struct mly__virtual_side *side, double window_ns)
{
    for (uint32_t s = 0; s < side->flow->segment_count; s++) {
        struct mly_virtual_stage *stage = &side->stages[s];
        const struct mly__virtual_sums *sums = &side->sums[s];
        if (stage->tasks > 0) {
            stage->mean_ns = sums->ns / (double)stage->tasks;
            stage->mean_link_ns = sums->link_ns / (double)stage->tasks;
            stage->mean_wait_ns = sums->wait_ns / (double)stage->tasks;
        }
        if (window_ns > 0)
            stage->queue_length = sums->wait_ns / window_ns; /* Little's law */
    }
    if (side->over > 0)
        side->served->mean_latency_ns = side->latency_ns / (double)side->over;
    if (window_ns > 0)
        side->served->share = side->served->serving_ns / window_ns;
}

void mly__virtual_conclude(struct mly__virtual_run *run)
{
    struct mly_virtual_result *result = run->result;
    int64_t end_ns = run->by_duration ? run->options->duration_ns : run->now_ns;
    result->window_ns = end_ns > run->from_ns ? end_ns - run->from_ns : 0;
    const int64_t last_ns = run->now_ns > run->from_ns ? run->now_ns : run->from_ns;
    if (end_ns > last_ns) /* nothing happened any more */
        run->sides[run->ways.serving].served->serving_ns += (double)(end_ns - last_ns);
    result->latency = times_of(run->latency);
    result->queue = times_of(run->queue);
    result->measured = run->latency->count;
    result->way_changes = run->ways.changes;
    double window = (double)result->window_ns;
    if (window > 0) {
        result->throughput_per_s = (double)run->in_window * 1e9 / window;
        result->mean_waiting = run->area_waiting / window;
        result->mean_in_system = run->area_in_system / window;
    }
    for (uint32_t p = 0; p < result->processor_count && window > 0; p++)
        result->processors[p].utilisation = result->processors[p].busy_ns / window;
    for (uint32_t i = 0; i < run->side_count; i++)
        conclude_side(&run->sides[i], window);
}

void mly_virtual_result_fini(struct mly_virtual_result *result)
{
    mly_free(result->processors);
    mly_free(result->stages);
    mly_free(result->ways);
    *result = (struct mly_virtual_result){0};
}

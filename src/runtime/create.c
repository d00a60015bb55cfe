/* An engine from a model and a plan: checked against this box, then handed to an executor. */
#include <string.h>

#include <motley/device.h>
#include <motley/engine.h>

#include "base/alloc.h"
#include "plan/plan.h"
#include "runtime/native.h"

static enum mly_status read_options(const struct mly_engine_options *options,
                                    enum mly_schedule_policy *policy, struct mly_error *err)
{
    *policy = MLY_SCHEDULE_EARLIEST;
    if (options->weight > 10000)
        return mly_error_set(err, MLY_E_INVALID, "a weight of %u is not within 1…10000",
                             options->weight);
    if (options->beside && (options->executor || options->timeline))
        return mly_error_set(err, MLY_E_INVALID,
                             "an engine beside another one has that one's executor and timeline");
    if (!options->policy)
        return MLY_OK;
    if (options->executor && strncmp(options->executor, "starpu", 6) == 0)
        return mly_error_set(err, MLY_E_INVALID,
                             "policy '%.64s' is the native executor's; StarPU's are chosen by "
                             "executor \"starpu:NAME\"",
                             options->policy);
    if (options->beside)
        return mly_error_set(err, MLY_E_INVALID,
                             "an engine beside another one has that one's policy: '%.64s' cannot "
                             "be chosen",
                             options->policy);
    return mly_schedule_policy_parse(options->policy, policy, err);
}

static enum mly_status no_memory(struct mly_error *err)
{
    return mly_error_set(err, MLY_E_NO_MEMORY, "no memory for the plan's costs");
}

/* What the plan says that a segment takes; costs are kept for batch 0 where the model fixes it. */
static enum mly_status take_times(struct mly_flow_segment *segment,
                                  const struct mly_plan_segment *from, bool free_batch,
                                  uint32_t plan_batch, struct mly_error *err)
{
    segment->costs = mly_alloc_array(from->time_count, sizeof *segment->costs);
    if (!segment->costs)
        return no_memory(err);
    for (uint32_t i = 0; i < from->time_count; i++) {
        const struct mly_plan_time *time = &from->times[i];
        if (free_batch || time->batch == plan_batch)
            segment->costs[segment->cost_count++] =
                (struct mly_flow_cost){.processor = time->processor,
                                       .batch = free_batch ? time->batch : 0,
                                       .ns = time->ns < 1 ? 1 : (int64_t)time->ns};
    }
    return MLY_OK;
}

/*
 * A plan of one segment that does not say what it takes: where its processors are all alike each takes
 * the plan's latency.
 */
static enum mly_status take_latency(struct mly_flow *flow, const mly_plan *plan,
                                    struct mly_error *err)
{
    struct mly_flow_segment *segment = &flow->segments[0];
    bool alike = plan->prediction.known && plan->prediction.latency_ns >= 1 &&
                 plan->segment_count == 1 && !plan->segments[0].shares;
    for (uint32_t i = 1; i < segment->processor_count && alike; i++) {
        const struct mly_plan_processor *p = &plan->processors[plan->segments[0].processors[i]],
                                        *first = &plan->processors[plan->segments[0].processors[0]];
        alike = strcmp(p->kind, first->kind) == 0 && p->threads == first->threads;
    }
    if (!alike)
        return MLY_OK;
    segment->costs = mly_alloc_array(segment->processor_count, sizeof *segment->costs);
    if (!segment->costs)
        return no_memory(err);
    segment->cost_count = segment->processor_count;
    for (uint32_t i = 0; i < segment->processor_count; i++)
        segment->costs[i] = (struct mly_flow_cost){.processor = segment->processors[i],
                                                   .batch = flow->free_batch ? plan->batch : 0,
                                                   .ns = (int64_t)plan->prediction.latency_ns};
    return MLY_OK;
}

static enum mly_status take_costs(struct mly_flow *flow, const mly_plan *plan,
                                  struct mly_error *err)
{
    enum mly_status status = MLY_OK;
    bool says = false;
    for (uint32_t s = 0; s < plan->segment_count && status == MLY_OK; s++) {
        if (plan->segments[s].time_count == 0)
            continue;
        says = true;
        status =
            take_times(&flow->segments[s], &plan->segments[s], flow->free_batch, plan->batch, err);
    }
    return status == MLY_OK && !says ? take_latency(flow, plan, err) : status;
}

/* What flows are made from. All borrowed. */
struct maker {
    const mly_model *model;
    const mly_machine *machine;
    const struct mly_engine_options *options;
    enum mly_schedule_policy policy;
};

static enum mly_status make_flow(const struct maker *maker, const mly_plan *plan,
                                 struct mly_flow *flow, struct mly_error *err)
{
    enum mly_status status =
        mly_flow_init(maker->model, plan, maker->options->no_prepared_copy, flow, err);
    if (status != MLY_OK)
        return status;
    for (uint32_t i = 0; i < flow->processor_count; i++)
        flow->processors[i].session.results = maker->options->results;
    status = take_costs(flow, plan, err);
    if (status == MLY_OK)
        status = mly_flow_find_links(flow, plan, maker->machine, plan->batch, err);
    if (status != MLY_OK)
        mly_flow_fini(flow);
    return status;
}

/* Of the box's memory, what the sessions of a family may take together, as predicted. */
#define FAMILY_MEMORY_SHARE 0.5

/* A flow per member of the plan's family. */
static enum mly_status make_family(const struct maker *maker, const mly_plan *plan,
                                   struct mly_flow *flows, double *max_rates, double *memory_bytes,
                                   struct mly_error *err)
{
    enum mly_status status = MLY_OK;
    uint32_t made = 0;
    for (; made < plan->family_count && status == MLY_OK; made++) {
        mly_plan *member = NULL;
        max_rates[made] = plan->family[made].max_rate_per_s;
        memory_bytes[made] = plan->family[made].prediction.memory_bytes;
        status = mly_plan_take_member(plan, made, &member, err);
        if (status == MLY_OK)
            status = make_flow(maker, member, &flows[made], err);
        if (status != MLY_OK)
            status = mly_error_prefix(err, status, "plan %u of the family", made + 1);
        mly_plan_destroy(member);
    }
    for (uint32_t i = 0; i + 1 < made && status != MLY_OK; i++)
        mly_flow_fini(&flows[i]);
    return status;
}

static enum mly_status create_family(const struct maker *maker, const mly_plan *plan,
                                     mly_engine **out, struct mly_error *err)
{
    struct mly_flow *flows = mly_alloc_array(plan->family_count, sizeof *flows);
    double *max_rates = mly_alloc_array(plan->family_count, sizeof *max_rates);
    double *memory_bytes = mly_alloc_array(plan->family_count, sizeof *memory_bytes);
    const struct mly__family family = {.max_rates = max_rates,
                                       .memory_bytes = memory_bytes,
                                       .memory_limit_bytes =
                                           FAMILY_MEMORY_SHARE *
                                           (double)mly_machine_info(maker->machine)->memory_bytes};
    enum mly_status status = MLY_E_NO_MEMORY;
    if (flows && max_rates && memory_bytes)
        status = make_family(maker, plan, flows, max_rates, memory_bytes, err);
    else
        mly_error_set(err, status, "no memory for a family of plans");
    if (status == MLY_OK)
        status = mly__engine_create_flows(flows, plan->family_count, &family, maker->options,
                                          maker->policy, out, err);
    mly_free(flows);
    mly_free(max_rates);
    mly_free(memory_bytes);
    return status;
}

static uint32_t most_in_flight(const mly_plan *plan)
{
    uint32_t most = plan->in_flight;
    for (uint32_t i = 0; i < plan->family_count; i++)
        most = plan->family[i].in_flight > most ? plan->family[i].in_flight : most;
    return most;
}

static enum mly_status create(const struct maker *maker, const mly_plan *plan, mly_engine **out,
                              struct mly_error *err)
{
    struct mly_flow flow;
    enum mly_status status = mly_plan_check(plan, maker->model, maker->machine, err);
    if (status != MLY_OK)
        return status;
    if (plan->family_count > 1)
        return create_family(maker, plan, out, err);
    status = make_flow(maker, plan, &flow, err);
    if (status != MLY_OK)
        return status;
    return mly__engine_create_flow(&flow, maker->options, maker->policy, out, err);
}

enum mly_status mly_engine_create(const mly_model *model, const mly_plan *plan,
                                  const struct mly_engine_options *options, mly_engine **out,
                                  struct mly_error *err)
{
    struct mly_engine_options sized = options ? *options : (struct mly_engine_options){0};
    struct maker maker = {.model = model, .options = &sized};
    mly_machine *machine = NULL;
    enum mly_status status = read_options(&sized, &maker.policy, err);
    if (status == MLY_OK)
        status = mly_machine_create(NULL, &machine, err);
    if (status != MLY_OK)
        return status;
    if (sized.queue_capacity == 0)
        sized.queue_capacity =
            mly__engine_queue_capacity(plan->processor_count, most_in_flight(plan));
    maker.machine = machine;
    status = create(&maker, plan, out, err);
    mly_machine_destroy(machine);
    return status;
}

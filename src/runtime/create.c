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

static enum mly_status check_plan(const mly_model *model, const mly_plan *plan,
                                  struct mly_error *err)
{
    mly_machine *machine = NULL;
    enum mly_status status = mly_machine_create(NULL, &machine, err);
    if (status == MLY_OK)
        status = mly_plan_check(plan, model, machine, err);
    mly_machine_destroy(machine);
    return status;
}

/*
 * What the plan predicts of one batch, for processors that are all alike; of unlike ones it does not
 * say which takes how long, and the engine learns.
 */
static enum mly_status take_costs(struct mly_flow *flow, const mly_plan *plan,
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
    segment->cost_ns = mly_alloc_array(segment->processor_count, sizeof *segment->cost_ns);
    if (!segment->cost_ns)
        return mly_error_set(err, MLY_E_NO_MEMORY, "no memory for the plan's costs");
    segment->cost_batch = flow->free_batch ? plan->batch : 0;
    for (uint32_t i = 0; i < segment->processor_count; i++)
        segment->cost_ns[i] = (int64_t)plan->prediction.latency_ns;
    return MLY_OK;
}

static enum mly_status make_flow(const mly_model *model, const mly_plan *plan,
                                 const struct mly_engine_options *options, struct mly_flow *flow,
                                 struct mly_error *err)
{
    enum mly_status status = mly_flow_init(model, plan, options->no_prepared_copy, flow, err);
    if (status != MLY_OK)
        return status;
    for (uint32_t i = 0; i < flow->processor_count; i++)
        flow->processors[i].session.results = options->results;
    status = take_costs(flow, plan, err);
    if (status != MLY_OK)
        mly_flow_fini(flow);
    return status;
}

/* A flow per member of the plan's family. */
static enum mly_status make_family(const mly_model *model, const mly_plan *plan,
                                   const struct mly_engine_options *options, struct mly_flow *flows,
                                   double *max_rates, struct mly_error *err)
{
    enum mly_status status = MLY_OK;
    uint32_t made = 0;
    for (; made < plan->family_count && status == MLY_OK; made++) {
        mly_plan *member = NULL;
        max_rates[made] = plan->family[made].max_rate_per_s;
        status = mly_plan_take_member(plan, made, &member, err);
        if (status == MLY_OK)
            status = make_flow(model, member, options, &flows[made], err);
        if (status != MLY_OK)
            status = mly_error_prefix(err, status, "plan %u of the family", made + 1);
        mly_plan_destroy(member);
    }
    for (uint32_t i = 0; i + 1 < made && status != MLY_OK; i++)
        mly_flow_fini(&flows[i]);
    return status;
}

static enum mly_status create_family(const mly_model *model, const mly_plan *plan,
                                     const struct mly_engine_options *options,
                                     enum mly_schedule_policy policy, mly_engine **out,
                                     struct mly_error *err)
{
    struct mly_flow *flows = mly_alloc_array(plan->family_count, sizeof *flows);
    double *max_rates = mly_alloc_array(plan->family_count, sizeof *max_rates);
    enum mly_status status = MLY_E_NO_MEMORY;
    if (flows && max_rates)
        status = make_family(model, plan, options, flows, max_rates, err);
    else
        mly_error_set(err, status, "no memory for a family of plans");
    if (status == MLY_OK)
        status = mly__engine_create_flows(flows, plan->family_count, max_rates, options, policy,
                                          out, err);
    mly_free(flows);
    mly_free(max_rates);
    return status;
}

static uint32_t most_in_flight(const mly_plan *plan)
{
    uint32_t most = plan->in_flight;
    for (uint32_t i = 0; i < plan->family_count; i++)
        most = plan->family[i].in_flight > most ? plan->family[i].in_flight : most;
    return most;
}

enum mly_status mly_engine_create(const mly_model *model, const mly_plan *plan,
                                  const struct mly_engine_options *options, mly_engine **out,
                                  struct mly_error *err)
{
    struct mly_engine_options sized = options ? *options : (struct mly_engine_options){0};
    enum mly_schedule_policy policy;
    struct mly_flow flow;
    enum mly_status status = read_options(&sized, &policy, err);
    if (status == MLY_OK)
        status = check_plan(model, plan, err);
    if (status != MLY_OK)
        return status;
    if (sized.queue_capacity == 0)
        sized.queue_capacity =
            mly__engine_queue_capacity(plan->processor_count, most_in_flight(plan));
    if (plan->family_count > 1)
        return create_family(model, plan, &sized, policy, out, err);
    status = make_flow(model, plan, &sized, &flow, err);
    if (status != MLY_OK)
        return status;
    return mly__engine_create_flow(&flow, &sized, policy, out, err);
}

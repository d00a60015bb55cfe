/* An engine from a model and a plan: checked against this box, then handed to an executor. */
#include <string.h>

#include <motley/device.h>
#include <motley/engine.h>

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
    if (status == MLY_OK)
        status = mly_flow_init(model, plan, sized.no_prepared_copy, &flow, err);
    if (status != MLY_OK)
        return status;
    for (uint32_t i = 0; i < flow.processor_count; i++)
        flow.processors[i].session.results = sized.results;
    if (sized.queue_capacity == 0)
        sized.queue_capacity = mly__engine_queue_capacity(flow.processor_count, plan->in_flight);
    return mly__engine_create_flow(&flow, &sized, policy, out, err);
}

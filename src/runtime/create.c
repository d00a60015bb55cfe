/* An engine from a model and a plan: checked against this box, then handed to an executor. */
#include <motley/device.h>
#include <motley/engine.h>

#include "plan/plan.h"
#include "runtime/native.h"

enum mly_status mly_engine_create(const mly_model *model, const mly_plan *plan,
                                  const struct mly_engine_options *options, mly_engine **out,
                                  struct mly_error *err)
{
    mly_machine *machine = NULL;
    enum mly_status status = mly_machine_create(NULL, &machine, err);
    if (status == MLY_OK)
        status = mly_plan_check(plan, model, machine, err);
    mly_machine_destroy(machine);
    if (status != MLY_OK)
        return status;
    struct mly_flow flow;
    status = mly_flow_init(model, plan, options && options->no_prepared_copy, &flow, err);
    if (status != MLY_OK)
        return status;
    struct mly_engine_options sized = options ? *options : (struct mly_engine_options){0};
    if (sized.queue_capacity == 0)
        sized.queue_capacity = mly__engine_queue_capacity(flow.processor_count, plan->in_flight);
    return mly__engine_create_flow(&flow, &sized, MLY_SCHEDULE_EARLIEST, out, err);
}

/* From a model and a box to a plan: stored measurements, missing ones measured, then the planners. */
#include <motley/decide.h>

#include "base/alloc.h"
#include "base/log.h"
#include "plan/plan.h"
#include "profile/profile.h"

struct relay {
    const struct mly_decide_options *options;
};

static bool relay_progress(const struct mly_profile_progress *progress, void *user)
{
    const struct relay *relay = user;
    if (!relay->options->progress)
        return true;
    double fraction = progress->total ? (double)progress->done / progress->total : 0;
    return relay->options->progress(fraction, progress->text, relay->options->user);
}

/*
 * Is there a whole-model entry of every kind of configuration that planning would ask for? A table that was filled within
 * its budget may lack large batches; those are not asked for again here (`motley profile` does that).
 */
static bool holds_enough(const mly_cost_table *costs, const mly_machine *machine,
                         const struct mly_decide_options *options, int64_t fixed_batch)
{
    uint32_t batch = options->batch ? options->batch : fixed_batch ? (uint32_t)fixed_batch : 1;
    uint32_t cores = mly_machine_info(machine)->cores;
    struct mly_cost_config config = {.backend = "ort",
                                     .processor_kind = "cpu",
                                     .groups = 1,
                                     .batch = batch,
                                     .spin = true,
                                     .runtime_defaults = true};
    if (!mly_cost_table_find(costs, MLY_COST_MODEL, "", &config))
        return false;
    config.runtime_defaults = false;
    config.groups = options->groups ? options->groups : cores;
    config.threads = config.groups <= cores ? cores / config.groups : 0;
    config.spin = false;
    return mly_cost_table_find(costs, MLY_COST_MODEL, "", &config) != NULL;
}

static enum mly_status measure_missing(mly_model *model, const mly_machine *machine,
                                       const struct mly_decide_options *options,
                                       mly_cost_table *costs, struct mly_error *err)
{
    struct relay relay = {options};
    struct mly_profile_options profile = {.again = options->again,
                                          .budget_ns = options->budget_ns,
                                          .progress = relay_progress,
                                          .user = &relay};
    if (options->batch) {
        profile.batches = &options->batch;
        profile.batch_count = 1;
    }
    if (options->groups) {
        profile.group_counts = &options->groups;
        profile.group_count_count = 1;
    }
    enum mly_status status = mly_profile_run(model, machine, &profile, costs, err);
    struct mly_error save_err;
    if ((status == MLY_OK || status == MLY_E_CANCELLED) &&
        mly_cost_store_save(costs, &save_err) != MLY_OK)
        mly_log(MLY_LOG_WARNING, "the measurements could not be stored: %s", save_err.message);
    return status;
}

enum mly_status mly_decide(mly_model *model, const mly_machine *machine,
                           const struct mly_decide_options *options, mly_plan **out,
                           struct mly_error *err)
{
    static const struct mly_decide_options defaults = {0};
    struct mly_cost_identity identity;
    mly_cost_table *costs = NULL;
    char *word = NULL;
    if (!options)
        options = &defaults;
    enum mly_status status = mly_profile_infer_shapes(model, err);
    if (status == MLY_OK)
        status = mly_profile_identity(model, machine, &identity, err);
    if (status == MLY_OK)
        status = mly_cost_store_open(&identity, &costs, &word, err);
    if (status == MLY_OK && word)
        mly_log(MLY_LOG_WARNING, "%s", word);
    if (status == MLY_OK &&
        (options->again || !holds_enough(costs, machine, options, mly_model_fixed_batch(model))))
        status = measure_missing(model, machine, options, costs, err);
    if (status == MLY_OK) {
        struct mly_plan_request request = {.model = model,
                                           .machine = machine,
                                           .costs = costs,
                                           .objective = options->objective,
                                           .batch = options->batch,
                                           .groups = options->groups};
        status = mly_plan_make(options->planner ? options->planner : "auto", &request, out, err);
    }
    mly_free(word);
    mly_cost_table_destroy(costs);
    return status;
}

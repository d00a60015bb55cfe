/* motley simulate: the plan to simulate, from a file or for a model. */
#include <string.h>

#include <motley/decide.h>

#include "base/alloc.h"
#include "device/modelled.h"
#include "profile/profile.h"
#include "simulate.h"

void simulated_plan_fini(struct simulated_plan *plan)
{
    simulate_close_ways(plan);
    mly_plan_destroy(plan->plan);
    *plan = (struct simulated_plan){0};
}

void simulate_close(struct simulate *s)
{
    mly_cost_table_destroy(s->measured);
    mly_model_destroy(s->model);
    cli_box_close(&s->box);
    cli_dims_fini(&s->dims);
}

bool simulate_is_plan_file(const char *path)
{
    size_t length = strlen(path);
    return length > 5 && strcmp(path + length - 5, ".json") == 0;
}

/* --- measured costs --- */

static bool needs_measurements(const mly_plan *plan)
{
    for (uint32_t i = 0; i < plan->processor_count; i++)
        if (!mly_device_model_find(plan->processors[i].kind))
            return true;
    return false;
}

static enum mly_status load_costs(struct simulate *s, struct mly_error *err)
{
    const char *hash = NULL;
    enum mly_status status = mly_cost_table_load(s->given->costs, &s->measured, err);
    if (status == MLY_OK)
        status = mly_model_hash(s->model, &hash, err);
    if (status == MLY_OK && strcmp(hash, mly_cost_table_identity(s->measured)->model_hash) != 0)
        status = mly_error_set(err, MLY_E_MISMATCH,
                               "%s: these costs belong to another model (%s) than %s",
                               s->given->costs, mly_cost_table_identity(s->measured)->model_name,
                               mly_model_path(s->model));
    return status;
}

/* The table given, else what is stored of this model on this box. */
static enum mly_status open_costs(struct simulate *s, struct mly_error *err)
{
    struct mly_cost_identity identity;
    const struct mly_profile_options options = {.bindings = s->dims.items,
                                                .binding_count = s->dims.count};
    char *word = NULL;
    if (s->measured)
        return MLY_OK;
    if (s->given->costs)
        return load_costs(s, err);
    enum mly_status status =
        mly_profile_identity(s->model, s->box.machine, &options, &identity, err);
    if (status == MLY_OK)
        status = mly_cost_store_open(&identity, &s->measured, &word, err);
    if (word)
        cli_remark(s->common, "%s", word);
    mly_free(word);
    return status;
}

/* --- a plan file --- */

static enum mly_status open_file(struct simulate *s, mly_plan **out, struct mly_error *err)
{
    const struct cli_plan_source source = {.path = s->target, .model = s->given->model};
    return cli_plan_open(&source, out, &s->model, &s->box, err);
}

/* --- a model --- */

/*
 * Samples per request; 0: the planner's choice. Requests that come by themselves are single samples, as
 * nothing here makes batches of them; a closed loop is given what the plan is best at.
 */
static uint32_t wanted_batch(const struct simulate *s)
{
    const struct simulate_values *given = s->given;
    const bool open = given->arrivals ? strncmp(given->arrivals, "closed:", 7) != 0
                                      : given->sweep && strncmp(given->sweep, "rate=", 5) == 0;
    if (given->batch || !open || mly_model_fixed_batch(s->model) > 0)
        return (uint32_t)given->batch;
    return 1;
}

static enum mly_status make_plan(struct simulate *s, const char *devices, mly_plan **out,
                                 struct mly_error *err)
{
    struct cli_measuring measuring;
    cli_box_close(&s->box); /* of another number of processors */
    enum mly_status status = cli_box_open(devices, NULL, &s->box, err);
    if (status == MLY_OK && !s->model)
        status = cli_model_open(s->target, false, &s->model, err);
    if (status != MLY_OK)
        return status;
    const struct mly_decide_options options = {
        .planner = s->given->planner,
        .batch = wanted_batch(s),
        .groups = s->box.groups,
        .processors = s->box.processors.count ? &s->box.processors : NULL,
        .budget_ns = s->given->budget_ns,
        .dims = s->dims.items,
        .dim_count = s->dims.count,
        .progress = cli_measuring_progress,
        .remark = cli_measuring_remark,
        .user = &measuring};
    cli_measuring_begin(&measuring, s->common);
    status = mly_decide(s->model, s->box.machine, &options, out, err);
    cli_measuring_end(&measuring);
    return status;
}

/* --- both --- */

enum mly_status simulate_open_plan(struct simulate *s, const char *devices,
                                   struct simulated_plan *out, struct mly_error *err)
{
    *out = (struct simulated_plan){0};
    enum mly_status status = simulate_is_plan_file(s->target)
                                 ? open_file(s, &out->plan, err)
                                 : make_plan(s, devices, &out->plan, err);
    if (status == MLY_OK && needs_measurements(out->plan))
        status = open_costs(s, err);
    if (status == MLY_OK) {
        out->batch = s->given->batch ? (uint32_t)s->given->batch : out->plan->batch;
        status = simulate_open_ways(s, out, err);
    }
    if (status != MLY_OK)
        simulated_plan_fini(out);
    return status;
}

/* From a model and a box to a plan: stored measurements, missing ones measured, then the planners.
 */
#include <motley/decide.h>

#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/log.h"
#include "candidates.h"
#include "plan/plan.h"
#include "profiler.h"

static bool relay_progress(const struct mly_profile_progress *progress, void *user)
{
    const struct mly_decide_options *options = user;
    return !options->progress ||
           options->progress(progress->fraction, progress->text, options->user);
}

/* While planning, which is the last part. */
static bool relay_planning(void *user)
{
    const struct mly_decide_options *options = user;
    return !options->progress || options->progress(1, "planning", options->user);
}

static void relay_remark(const char *text, void *user)
{
    const struct mly_decide_options *options = user;
    if (options->remark)
        options->remark(text, options->user);
    else
        mly_log(MLY_LOG_WARNING, "%s", text);
}

static bool is_modelled(const struct mly_processor *processor, void *user)
{
    (void)user;
    return processor->modelled;
}

static bool is_core_group(const struct mly_processor *processor, void *user)
{
    (void)user;
    return !processor->modelled && strcmp(processor->kind, "cpu") == 0;
}

static size_t count_if(const struct mly_processor_list *list,
                       bool (*is)(const struct mly_processor *processor, void *user))
{
    size_t count = 0;
    for (size_t i = 0; list && i < list->count; i++)
        count += is(&list->items[i], NULL);
    return count;
}

/* Segments on cores are planned from times of nodes. */
static bool needs_nodes(const struct mly_decide_options *options)
{
    static const char *const whole_only[] = {"auto", "single", "groups", "data"};
    if (count_if(options->processors, is_modelled) > 0)
        return count_if(options->processors, is_core_group) > 0;
    for (size_t i = 0; i < sizeof whole_only / sizeof *whole_only; i++)
        if (!options->planner || strcmp(options->planner, whole_only[i]) == 0)
            return false;
    return true;
}

/* Is there anything to measure? */
static bool is_all_modelled(const struct mly_decide_options *options)
{
    return options->processors &&
           count_if(options->processors, is_modelled) == options->processors->count;
}

/* What is asked of the profiler; the options outlive it. */
static struct mly_profile_options profile_options(const struct mly_decide_options *options)
{
    struct mly_profile_options profile = {.backend = options->backend,
                                          .bindings = options->dims,
                                          .binding_count = options->dim_count,
                                          .again = options->again,
                                          .budget_ns = options->budget_ns,
                                          .progress = relay_progress,
                                          .remark = relay_remark,
                                          .user = (void *)(uintptr_t)options};
    if (options->batch) {
        profile.batches = &options->batch;
        profile.batch_count = 1;
    }
    if (options->groups) {
        profile.group_counts = &options->groups;
        profile.group_count_count = 1;
    }
    profile.nodes = needs_nodes(options);
    return profile;
}

/* Has every node a time, of whatever configuration? */
static bool has_nodes(const mly_cost_table *costs, const mly_model *model)
{
    const struct mly_graph *graph = mly_model_graph(model);
    const struct mly_cost_entry *entry;
    size_t found = 0;
    for (size_t i = 0; (entry = mly_cost_table_at(costs, i)); i++)
        found += entry->scope == MLY_COST_NODE;
    return found >= graph->node_count;
}

/*
 * Is there an entry of the whole model for every configuration that planning would ask for, with
 * the batch asked for or the least? A table that was filled within its budget may lack large
 * batches; those are not asked for again here (`motley profile` does that).
 */
static enum mly_status holds_enough(const mly_cost_table *costs, const mly_model *model,
                                    const mly_machine *machine,
                                    const struct mly_profile_options *options, bool *out,
                                    struct mly_error *err)
{
    const int64_t fixed = mly_model_fixed_batch(model);
    struct profile_configs configs = {0};
    enum mly_status status =
        profile_configs_init(machine, options->backend ? options->backend : PROFILE_BACKEND,
                             options->group_counts, options->group_count_count, &configs, err);
    if (status != MLY_OK)
        return status;
    *out = true;
    for (uint32_t i = 0; i < configs.count && *out; i++) {
        configs.items[i].batch = options->batches ? options->batches[0]
                                 : fixed > 0      ? (uint32_t)fixed
                                                  : 1;
        *out = mly_cost_table_find(costs, MLY_COST_MODEL, "", &configs.items[i]) != NULL;
    }
    profile_configs_fini(&configs);
    if (*out && options->nodes)
        *out = has_nodes(costs, model);
    return MLY_OK;
}

static enum mly_status measure_missing(mly_model *model, const mly_machine *machine,
                                       const struct mly_profile_options *options, bool has_place,
                                       mly_cost_table *costs, struct mly_error *err)
{
    bool enough = false;
    enum mly_status status = MLY_OK;
    if (!options->again)
        status = holds_enough(costs, model, machine, options, &enough, err);
    if (status != MLY_OK || enough)
        return status;
    status = mly_profile_run(model, machine, options, costs, err);
    struct mly_error save_err = {0};
    const bool keep = (status == MLY_OK || status == MLY_E_CANCELLED) && has_place &&
                      mly_cost_table_count(costs) > 0;
    if (keep && mly_cost_store_save(costs, &save_err) != MLY_OK) {
        char text[MLY_ERROR_MESSAGE_BYTES];
        snprintf(text, sizeof text, "the measurements could not be stored: %.900s",
                 save_err.message);
        options->remark(text, options->user);
    }
    return status;
}

/* A sentence into text if whole models were measured so far apart that the box may have changed. */
static bool times_remark(const mly_cost_table *costs, char *text, size_t text_bytes)
{
    static const int64_t apart_s = 3600;
    const struct mly_cost_times times = mly_cost_table_times(costs, MLY_COST_MODEL);
    if (times.last_s - times.first_s < apart_s)
        return false;
    snprintf(text, text_bytes,
             "configurations that are compared here were measured up to %.3g hours apart: a box "
             "drifts, so differences of a few per cent mean nothing (--again measures all side by "
             "side)",
             (double)(times.last_s - times.first_s) / 3600);
    return true;
}

static bool is_profiled(const struct mly_decide_options *options)
{
    return options->planner && strcmp(options->planner, "profiled") == 0;
}

/* What was measured is kept, whether the user waited for the end or not. */
static enum mly_status try_candidates(mly_model *model, const struct mly_plan_request *request,
                                      const struct mly_profile_options *options, bool has_place,
                                      mly_cost_table *costs, mly_plan **out, struct mly_error *err)
{
    struct mly_error save_err;
    enum mly_status status = mly_profile_candidates(model, request, options, costs, out, err);
    if (has_place && mly_cost_table_count(costs) > 0 &&
        mly_cost_store_save(costs, &save_err) != MLY_OK) {
        char text[MLY_ERROR_MESSAGE_BYTES];
        snprintf(text, sizeof text, "the measurements could not be stored: %.900s",
                 save_err.message);
        options->remark(text, options->user);
    }
    return status;
}

enum mly_status mly_decide(mly_model *model, const mly_machine *machine,
                           const struct mly_decide_options *options, mly_plan **out,
                           struct mly_error *err)
{
    static const struct mly_decide_options defaults = {0};
    struct mly_cost_identity identity;
    mly_cost_table *costs = NULL;
    mly_plan *plan = NULL;
    char *word = NULL, *place = NULL, text[MLY_ERROR_MESSAGE_BYTES];
    if (!options)
        options = &defaults;
    const struct mly_profile_options profile = profile_options(options);
    enum mly_status status = mly_profile_infer_shapes(model, err);
    if (status == MLY_OK)
        status = mly_profile_identity(model, machine, &profile, &identity, err);
    if (status == MLY_OK)
        status = mly_cost_store_open(&identity, &costs, &word, err);
    /* Without a place to keep it nothing is kept, which the word says. */
    if (status == MLY_OK && mly_cost_store_path(&identity, &place, NULL) != MLY_OK)
        place = NULL;
    if (status == MLY_OK && word)
        profile.remark(word, profile.user);
    if (status == MLY_OK && !is_all_modelled(options))
        status = measure_missing(model, machine, &profile, place != NULL, costs, err);
    if (status == MLY_OK) {
        struct mly_plan_request request = {.model = model,
                                           .machine = machine,
                                           .costs = costs,
                                           .objective = options->objective,
                                           .batch = options->batch,
                                           .groups = options->groups,
                                           .processors = options->processors,
                                           .rate_per_s = options->rate_per_s,
                                           .no_replicas = options->no_replicas,
                                           .go_on = relay_planning,
                                           .user = (void *)(uintptr_t)options};
        status =
            is_profiled(options)
                ? try_candidates(model, &request, &profile, place != NULL, costs, &plan, err)
                : mly_plan_make(options->planner ? options->planner : "auto", &request, &plan, err);
        if (status == MLY_OK) /* by what was measured meanwhile */
            status = mly_plan_note_times(plan, model, costs, err);
    }
    if (status == MLY_OK) {
        if (!is_all_modelled(options) &&
            mly_profile_noise_remark(costs, plan->prediction.spread, text, sizeof text))
            profile.remark(text, profile.user);
        if (!is_all_modelled(options) && times_remark(costs, text, sizeof text))
            profile.remark(text, profile.user);
        *out = plan;
    } else {
        mly_plan_destroy(plan);
    }
    mly_free(word);
    mly_free(place);
    mly_cost_table_destroy(costs);
    return status;
}

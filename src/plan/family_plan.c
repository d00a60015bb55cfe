/*
 * Ways that a family is made of.
 *
 *   1. The whole model in core groups, as it was measured: each number of groups and each batch size.
 *   2. For each batch size, on the processors of the request: the whole model on each kind of them and
 *      on all; what the planners of segments find for a rate; divisions between two kinds, each within
 *      the next (min_cut_plan.c).
 *   3. The family of all these (family.c).
 */
#include <string.h>

#include "base/alloc.h"
#include "base/buffer.h"
#include "desk.h"
#include "family.h"
#include "stages.h"

enum { BATCHES_MAX = 8 };

struct ways {
    const struct mly_plan_request *request;
    struct mly_plan_request at_rate; /* the same: what waits least, at whatever rate */
    mly_plan **plans;
    char **descriptions;
    size_t count, plan_capacity, description_capacity;
    struct mly_error reason; /* why the last attempt brought nothing */
};

static enum mly_status no_memory(struct mly_error *err)
{
    return mly_error_set(err, MLY_E_NO_MEMORY, "no memory for a family of plans");
}

static bool may_pass_over(enum mly_status status)
{
    return status == MLY_E_NOT_FOUND || status == MLY_E_LIMIT || status == MLY_E_UNSUPPORTED;
}

/* "2 segments on …, batch 8 (90 + 52 nodes)" */
static char *describe(const mly_plan *plan)
{
    struct mly_buffer text = {.max_bytes = 4096};
    char *line = mly_plan_describe(plan);
    enum mly_status status = line ? mly_buffer_printf(&text, "%s", line) : MLY_E_NO_MEMORY;
    mly_free(line);
    for (uint32_t i = 0; !status && plan->segment_count > 1 && i < plan->segment_count; i++)
        status = mly_buffer_printf(&text, "%s%u", i ? " + " : " (", plan->segments[i].node_count);
    if (!status && plan->segment_count > 1)
        status = mly_buffer_printf(&text, " nodes)");
    if (!status)
        return text.data;
    mly_buffer_fini(&text);
    return NULL;
}

/* The plan becomes the list's; what reads and gives like one that is there is freed. */
static enum mly_status take(struct ways *ways, mly_plan *plan, struct mly_error *err)
{
    char *description = describe(plan);
    if (!description ||
        mly_array_reserve(&ways->plans, &ways->plan_capacity, ways->count + 1,
                          sizeof *ways->plans) ||
        mly_array_reserve(&ways->descriptions, &ways->description_capacity, ways->count + 1,
                          sizeof *ways->descriptions)) {
        mly_free(description);
        mly_plan_destroy(plan);
        return no_memory(err);
    }
    for (size_t i = 0; i < ways->count; i++) {
        const struct mly_prediction *a = &ways->plans[i]->prediction, *b = &plan->prediction;
        if (!strcmp(ways->descriptions[i], description) &&
            a->throughput_per_s == b->throughput_per_s && a->latency_ns == b->latency_ns) {
            mly_free(description);
            mly_plan_destroy(plan);
            return MLY_OK;
        }
    }
    ways->plans[ways->count] = plan;
    ways->descriptions[ways->count++] = description;
    return MLY_OK;
}

static void ways_fini(struct ways *ways)
{
    for (size_t i = 0; i < ways->count; i++) {
        mly_plan_destroy(ways->plans[i]);
        mly_free(ways->descriptions[i]);
    }
    mly__desk_destroy(ways->at_rate.desk);
    mly_free(ways->plans);
    mly_free(ways->descriptions);
}

/* --- 1 --- */

static enum mly_status add_groups(struct ways *ways, struct mly_error *err)
{
    const struct mly_plan_request *request = ways->request;
    const struct mly_cost_entry *entry;
    for (size_t i = 0; request->costs && (entry = mly_cost_table_at(request->costs, i)); i++) {
        const struct mly_cost_config *c = &entry->config;
        struct mly_plan_request one = *request;
        mly_plan *plan = NULL;
        if (entry->scope != MLY_COST_MODEL || c->runtime_defaults ||
            (request->groups && request->groups != c->groups) ||
            (request->batch && request->batch != c->batch))
            continue;
        one.groups = c->groups;
        one.batch = c->batch;
        one.objective = MLY_OBJECTIVE_THROUGHPUT;
        enum mly_status status = mly__planner_groups.make(&one, &plan, &ways->reason);
        if (status && !may_pass_over(status))
            return mly_error_set(err, status, "%s", ways->reason.message);
        if (!status && (status = take(ways, plan, err)))
            return status;
    }
    return MLY_OK;
}

/* --- 2 --- */

static enum mly_status add_whole(const struct mly__problem *problem, uint32_t class,
                                 uint32_t replicas, struct mly__found *found, struct mly_error *err)
{
    struct mly__layout layout;
    enum mly_status status = mly__layout_init(&layout, problem, 1, err);
    if (status)
        return status;
    for (uint32_t c = 0; c < problem->class_count; c++)
        if (class == MLY_NO_INDEX || c == class)
            layout.replicas[0][c] =
                replicas < problem->classes[c].count ? replicas : problem->classes[c].count;
    status = mly__found_add(found, problem, &layout, err);
    mly__layout_fini(&layout);
    return status;
}

static enum mly_status find_wholes(const struct mly__problem *problem, struct mly__found *found,
                                   struct mly_error *err)
{
    const bool replicas = !problem->request->no_replicas;
    enum mly_status status =
        replicas ? add_whole(problem, MLY_NO_INDEX, UINT32_MAX, found, err) : MLY_OK;
    for (uint32_t c = 0; !status && c < problem->class_count; c++) {
        status = add_whole(problem, c, 1, found, err);
        if (!status && replicas)
            status = add_whole(problem, c, UINT32_MAX, found, err);
    }
    return status;
}

/* What one search finds, as plans; where it finds nothing the others may. */
static enum mly_status add_found(struct ways *ways, const struct mly__problem *problem,
                                 mly__find *find, struct mly_error *err)
{
    struct mly__found found = {0};
    enum mly_status status = find(problem, &found, &ways->reason);
    if (may_pass_over(status))
        status = MLY_OK;
    for (uint32_t i = 0; !status && i < found.count; i++) {
        mly_plan *plan = NULL;
        status = mly__layout_plan(problem, &found.layouts[i], "family", &plan, &ways->reason);
        if (!status)
            status = take(ways, plan, &ways->reason);
        else if (may_pass_over(status))
            status = MLY_OK;
    }
    mly__found_fini(&found);
    return status ? mly_error_set(err, status, "%s", ways->reason.message) : MLY_OK;
}

static enum mly_status add_batch(struct ways *ways, uint32_t batch, struct mly_error *err)
{
    static mly__find *const searches[] = {find_wholes, mly__pipeline_find, mly__exact_find,
                                          mly__metis_find, mly__min_cut_sweep};
    struct mly__problem *problem = NULL;
    enum mly_status status =
        mly__problem_create(&ways->at_rate, batch, MLY__UNITS_FUSED, &problem, &ways->reason);
    if (status)
        return may_pass_over(status) ? MLY_OK
                                     : mly_error_set(err, status, "%s", ways->reason.message);
    for (size_t i = 0; !status && i < MLY__COUNT(searches); i++)
        status = add_found(ways, problem, searches[i], err);
    mly__problem_destroy(problem);
    return status;
}

static uint32_t list_batches(const struct mly_plan_request *request, uint32_t batches[BATCHES_MAX])
{
    static const uint32_t usual[] = {1, 2, 4, 8, 16, 32};
    const int64_t fixed = mly_model_fixed_batch(request->model);
    if (request->batch || fixed > 0) {
        batches[0] = request->batch ? request->batch : (uint32_t)fixed;
        return 1;
    }
    memcpy(batches, usual, sizeof usual);
    return MLY__COUNT(usual);
}

/* --- 3 --- */

enum mly_status mly_plan_make_family(const struct mly_plan_request *request, mly_plan **out,
                                     struct mly_error *err)
{
    struct ways ways = {.request = request, .at_rate = *request};
    uint32_t batches[BATCHES_MAX];
    const uint32_t batch_count = list_batches(request, batches);
    mly_plan *plan = NULL;
    ways.at_rate.objective = MLY_OBJECTIVE_LATENCY_AT_RATE;
    ways.at_rate.rate_per_s = 0;
    ways.at_rate.brief = true;
    enum mly_status status = mly__desk_create(&ways.at_rate.desk, err);
    if (!status)
        status = add_groups(&ways, err);
    for (uint32_t i = 0; !status && i < batch_count; i++)
        status = add_batch(&ways, batches[i], err);
    if (!status && !ways.count)
        status = mly_error_set(err, ways.reason.status ? ways.reason.status : MLY_E_NOT_FOUND, "%s",
                               ways.reason.message[0] ? ways.reason.message
                                                      : "nothing was measured to decide on");
    if (!status)
        status = mly__family_of(request, ways.plans, ways.descriptions, (uint32_t)ways.count, &plan,
                                err);
    ways_fini(&ways);
    if (status)
        return status;
    struct mly_error reason;
    status = mly_plan_note_times(plan, request->model, request->costs, &reason);
    if (!status)
        status = mly_plan_check(plan, request->model, request->machine, &reason);
    if (status) {
        mly_plan_destroy(plan);
        return mly_error_set(err, status == MLY_E_NO_MEMORY ? status : MLY_E_INTERNAL,
                             "a family was made that cannot be used: %s", reason.message);
    }
    *out = plan;
    return MLY_OK;
}

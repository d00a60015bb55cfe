/*
 * Planner `data`: one batch split over processors that work side by side.
 *
 *   1. For every batch size that fits the request: curves, and the split with the least makespan.
 *   2. Beside it, to compare with: the batch in equal shares, and whole on the fastest processor.
 *   3. What a plan of shares gives: the slowest share's time is the latency, and the next batch begins
 *      when it ends.
 */
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "data_curves.h"
#include "plan/splits.h"
#include "problem_private.h"

#define ROWS_MAX 1000000u
enum { BATCHES_MAX = 16 };

static enum mly_status no_memory(struct mly_error *err)
{
    return mly_error_set(err, MLY_E_NO_MEMORY, "no memory for splitting a batch");
}

/* --- 3 --- */

/* The parts of a prediction as the shares add to it. */
struct sums {
    struct mly_prediction prediction;
    double energy_j, idle_w;
    bool energy_known, host;
};

static enum mly_status add_share(const mly_plan *plan, const struct mly__class *class,
                                 const mly_model *model, const mly_cost_table *costs,
                                 uint32_t samples, struct sums *sums, struct mly_error *err)
{
    struct mly__share_cost cost;
    struct mly_prediction *p = &sums->prediction;
    enum mly_status status = mly__share_cost(class, model, costs, samples, &cost, err);
    if (status)
        return status;
    if (isinf(cost.time_ns))
        return mly_error_set(err, MLY_E_UNSUPPORTED,
                             "plan: segments[0].shares: %s cannot compute %u samples of %s",
                             class->name, samples, plan->model_name);
    if (cost.time_ns > p->latency_ns) {
        p->latency_ns = cost.time_ns;
        p->spread = cost.spread;
    }
    p->modelled = p->modelled || cost.modelled;
    p->memory_bytes += cost.memory_bytes;
    sums->host = sums->host || !class->modelled;
    sums->energy_j += cost.energy_j;
    sums->idle_w += class->idle_w;
    sums->energy_known = sums->energy_known && class->active_w > 0;
    return MLY_OK;
}

enum mly_status mly__plan_evaluate_split(const mly_plan *plan, const mly_model *model,
                                         const mly_cost_table *costs, struct mly_prediction *out,
                                         struct mly_error *err)
{
    const struct mly_plan_segment *segment = &plan->segments[0];
    struct sums sums = {.prediction = {.known = true}, .energy_known = true};
    struct mly__problem *problem = NULL;
    uint32_t *class_of = mly_alloc_array((size_t)plan->processor_count + 1, sizeof *class_of);
    if (!class_of)
        return no_memory(err);
    enum mly_status status = mly__classes_of_plan(plan, model, class_of, &problem, err);
    for (uint32_t i = 0; !status && i < segment->processor_count; i++)
        status = add_share(plan, &problem->classes[class_of[segment->processors[i]]], model, costs,
                           segment->shares[i], &sums, err);
    struct mly__plan_memory memory = {0};
    if (!status && sums.host)
        status = mly__plan_memory_whole(model, plan->batch, mly__plan_shapes(costs), &memory, err);
    mly__problem_destroy(problem);
    mly_free(class_of);
    if (status)
        return status;
    struct mly_prediction *p = &sums.prediction;
    p->memory_bytes += memory.weight_bytes;
    if (p->latency_ns > 0)
        p->throughput_per_s = 1e9 * plan->batch / p->latency_ns;
    if (sums.energy_known)
        p->energy_j = (sums.energy_j + sums.idle_w * p->latency_ns * 1e-9) / plan->batch;
    *out = *p;
    return MLY_OK;
}

static enum mly_status share_times(const mly_plan *plan, const mly_model *model,
                                   const mly_cost_table *costs, struct mly_plan_time *times,
                                   struct mly_error *err)
{
    const struct mly_plan_segment *segment = &plan->segments[0];
    struct mly__problem *problem = NULL;
    uint32_t *class_of = mly_alloc_array((size_t)plan->processor_count + 1, sizeof *class_of);
    if (!class_of)
        return no_memory(err);
    enum mly_status status = mly__classes_of_plan(plan, model, class_of, &problem, err);
    for (uint32_t i = 0; !status && i < segment->processor_count; i++) {
        struct mly__share_cost cost;
        status = mly__share_cost(&problem->classes[class_of[segment->processors[i]]], model, costs,
                                 segment->shares[i], &cost, err);
        if (!status)
            times[i] = (struct mly_plan_time){.processor = segment->processors[i],
                                              .batch = segment->shares[i],
                                              .ns = isfinite(cost.time_ns) ? cost.time_ns : 0,
                                              .basis = cost.modelled    ? MLY_PLAN_MODELLED
                                                       : cost.estimated ? MLY_PLAN_ESTIMATED
                                                                        : MLY_PLAN_MEASURED};
    }
    mly__problem_destroy(problem);
    mly_free(class_of);
    return status;
}

enum mly_status mly_plan_part_times(const mly_plan *plan, const mly_model *model,
                                    const mly_cost_table *costs, struct mly_plan_time *times,
                                    struct mly_error *err)
{
    if (plan->segment_count && plan->segments[0].shares)
        return share_times(plan, model, costs, times, err);
    for (uint32_t s = 0, at = 0; s < plan->segment_count; s++) {
        const struct mly_plan_segment *segment = &plan->segments[s];
        for (uint32_t i = 0; i < segment->processor_count; i++, at++) {
            times[at] =
                (struct mly_plan_time){.processor = segment->processors[i], .batch = plan->batch};
            for (uint32_t k = 0; k < segment->time_count; k++)
                if (segment->times[k].processor == segment->processors[i] &&
                    segment->times[k].batch == plan->batch)
                    times[at] = segment->times[k];
        }
    }
    return MLY_OK;
}

/* --- 1, 2: plans --- */

/* A plan of these shares, by processor of the problem; those of 0 are left out. */
static enum mly_status build(const struct mly_plan_request *request,
                             const struct mly__problem *problem, const uint32_t *shares,
                             mly_plan **out, struct mly_error *err)
{
    mly_plan *plan = NULL;
    enum mly_status status = mly_plan_create(request->model, request->machine, &plan, err);
    if (status)
        return status;
    snprintf(plan->planner, sizeof plan->planner, "data");
    if (request->costs)
        memcpy(plan->runtime, mly_cost_table_identity(request->costs)->runtime,
               sizeof plan->runtime);
    plan->objective = request->objective;
    plan->rate_per_s = request->rate_per_s;
    plan->batch = problem->batch;
    plan->in_flight = 1;
    plan->ladder = mly_alloc_array(1, sizeof *plan->ladder);
    plan->segments = mly_alloc_array(1, sizeof *plan->segments);
    plan->processors = mly_alloc_array(problem->processor_count, sizeof *plan->processors);
    if (!plan->ladder || !plan->segments || !plan->processors)
        goto short_of_memory;
    plan->ladder[plan->ladder_count++] = plan->batch;
    struct mly_plan_segment *segment = &plan->segments[plan->segment_count++];
    segment->name = mly_strdup("s0");
    segment->processors = mly_alloc_array(problem->processor_count, sizeof(uint32_t));
    segment->shares = mly_alloc_array(problem->processor_count, sizeof(uint32_t));
    if (!segment->name || !segment->processors || !segment->shares)
        goto short_of_memory;
    for (uint32_t i = 0; i < problem->processor_count; i++) {
        if (!shares[i])
            continue;
        segment->shares[segment->processor_count] = shares[i];
        segment->processors[segment->processor_count++] = plan->processor_count;
        if (!mly__plan_add_processor(plan, &problem->processors[i]))
            goto short_of_memory;
    }
    if (segment->processor_count == 1) { /* no split at all */
        mly_free(segment->shares);
        segment->shares = NULL;
    }
    *out = plan;
    return MLY_OK;

short_of_memory:
    mly_plan_destroy(plan);
    return no_memory(err);
}

/* What may keep one alternative, or batch size, from being looked at without keeping the others. */
static bool may_pass_over(enum mly_status status)
{
    return status == MLY_E_NOT_FOUND || status == MLY_E_LIMIT || status == MLY_E_UNSUPPORTED;
}

/* An alternative under way: a plan and what is said of it. */
struct option {
    mly_plan *plan;
    char *description;
    struct mly_prediction prediction;
};

struct search {
    const struct mly_plan_request *request;
    struct option options[BATCHES_MAX * 3];
    uint32_t count;
};

static void search_fini(struct search *s)
{
    for (uint32_t i = 0; i < s->count; i++) {
        mly_plan_destroy(s->options[i].plan);
        mly_free(s->options[i].description);
    }
}

/* Adds the plan of these shares, unless they are an option already or cannot be computed. */
static enum mly_status add_option(struct search *s, const struct mly__curves *curves,
                                  const uint32_t *shares, struct mly_error *err)
{
    const struct mly__problem *problem = curves->problem;
    struct option *option = &s->options[s->count];
    for (uint32_t i = 0; i < problem->processor_count; i++)
        if (isinf(curves->rows[i][shares[i]]))
            return MLY_OK;
    enum mly_status status = build(s->request, problem, shares, &option->plan, err);
    if (status)
        return status;
    s->count++;
    option->description = mly_plan_describe(option->plan);
    if (!option->description)
        return no_memory(err);
    bool known = false;
    for (uint32_t i = 0; i + 1 < s->count; i++)
        known = known || !strcmp(s->options[i].description, option->description);
    if (!known)
        status = mly_plan_evaluate(option->plan, s->request->model, s->request->costs,
                                   &option->prediction, err);
    option->plan->prediction = option->prediction;
    if (!known && !may_pass_over(status))
        return status;
    mly_plan_destroy(option->plan);
    mly_free(option->description);
    s->count--;
    return MLY_OK;
}

/* Everything on the processor that is fastest with it. */
static uint32_t fastest(const struct mly__curves *curves)
{
    const uint32_t batch = curves->problem->batch;
    uint32_t best = 0;
    for (uint32_t i = 1; i < curves->problem->processor_count; i++)
        if (curves->rows[i][batch] < curves->rows[best][batch])
            best = i;
    return best;
}

static enum mly_status try_batch(struct search *s, uint32_t batch, struct mly_error *err)
{
    uint32_t shares[MLY__SPLIT_PROCESSORS_MAX];
    struct mly__curves curves;
    double makespan_ns;
    enum mly_status status = mly__curves_init(&curves, s->request, batch, err);
    if (status)
        return status;
    const uint32_t count = curves.problem->processor_count;
    status = mly__data_split(&curves.data, shares, &makespan_ns, err);
    if (!status)
        status = add_option(s, &curves, shares, err);
    for (uint32_t i = 0; !status && i < count; i++)
        shares[i] = batch / count + (i < batch % count);
    if (!status)
        status = add_option(s, &curves, shares, err);
    for (uint32_t i = 0; !status && i < count; i++)
        shares[i] = i == fastest(&curves) ? batch : 0;
    if (!status)
        status = add_option(s, &curves, shares, err);
    mly__curves_fini(&curves);
    return status;
}

/*
 * Batches that were asked for, that were measured, or that are usual; for latency the least that can be
 * split.
 */
static uint32_t list_batches(const struct mly_plan_request *request, uint32_t batches[BATCHES_MAX])
{
    static const uint32_t usual[] = {2, 4, 8, 16, 32, 64};
    const struct mly_cost_entry *entry;
    uint32_t count = 0;
    if (request->batch) {
        batches[0] = request->batch;
        return 1;
    }
    for (size_t i = 0; request->costs && (entry = mly_cost_table_at(request->costs, i)); i++) {
        bool known = entry->scope != MLY_COST_MODEL || entry->config.batch < 2;
        for (uint32_t k = 0; k < count && !known; k++)
            known = batches[k] == entry->config.batch;
        if (!known && count < BATCHES_MAX)
            batches[count++] = entry->config.batch;
    }
    if (!count) {
        count = MLY__COUNT(usual);
        memcpy(batches, usual, sizeof usual);
    }
    for (uint32_t i = 1; i < count; i++)
        for (uint32_t k = i; k && batches[k - 1] > batches[k]; k--) {
            const uint32_t kept = batches[k];
            batches[k] = batches[k - 1];
            batches[k - 1] = kept;
        }
    return request->objective == MLY_OBJECTIVE_LATENCY ? 1 : count;
}

static enum mly_status take_winner(struct search *s, mly_plan **out, struct mly_error *err)
{
    struct mly__alternative alternatives[MLY__COUNT(s->options)];
    const enum mly_objective objective = s->request->objective;
    uint32_t order[MLY__COUNT(s->options)];
    for (uint32_t i = 0; i < s->count; i++) {
        const mly_plan *plan = s->options[i].plan;
        alternatives[i] = (struct mly__alternative){.prediction = s->options[i].prediction,
                                                    .eligible = true,
                                                    .segments = 1,
                                                    .groups = plan->processor_count,
                                                    .batch = plan->batch,
                                                    .name = s->options[i].description};
        uint32_t at = i;
        for (;
             at && mly__plan_compare(&alternatives[i], &alternatives[order[at - 1]], objective) < 0;
             at--)
            order[at] = order[at - 1];
        order[at] = i;
    }
    const size_t winner = mly__plan_choose(alternatives, s->count, objective);
    if (winner >= s->count || !s->options[winner].plan)
        return mly_error_set(err, MLY_E_NOT_FOUND, "planner data: no split can be predicted");
    mly_plan *plan = s->options[winner].plan;
    enum mly_status status = MLY_OK;
    for (uint32_t i = 0; !status && i < s->count; i++)
        status = mly__plan_add_candidate(plan, s->options[order[i]].description, "data",
                                         &s->options[order[i]].prediction, order[i] == winner, err);
    if (!status)
        status = mly__plan_add_baseline(s->request, "data", plan, err);
    if (!status && !(plan->why = mly__plan_explain(plan)))
        status = no_memory(err);
    if (status)
        return status;
    s->options[winner].plan = NULL;
    *out = plan;
    return MLY_OK;
}

static enum mly_status make(const struct mly_plan_request *request, mly_plan **out,
                            struct mly_error *err)
{
    struct search s = {.request = request};
    struct mly_error reason = {0};
    uint32_t batches[BATCHES_MAX];
    enum mly_status status = MLY_OK;
    const uint32_t count = list_batches(request, batches);
    for (uint32_t i = 0; !status && i < count; i++) {
        status = try_batch(&s, batches[i], &reason);
        if (may_pass_over(status) && (s.count || i + 1 < count))
            status = MLY_OK;
    }
    if (status)
        status = mly_error_set(err, status, "%s", reason.message);
    else
        status = take_winner(&s, out, err);
    search_fini(&s);
    return status;
}

const struct mly_planner mly__planner_data = {
    .name = "data",
    .summary = "one batch split over processors that work side by side",
    .by_name_only = true,
    .make = make,
};

/* --- all splits --- */

struct listing {
    struct mly_split_head head;
    const struct mly__curves *curves;
    mly_split_visit *visit;
    void *user;
};

static enum mly_status pass_on(const struct mly__data_row *row, void *user, struct mly_error *err)
{
    const struct listing *l = user;
    struct mly_split_row shown = {.shares = row->shares,
                                  .time_ns = row->time_ns,
                                  .sum_ns = row->sum_ns,
                                  .makespan_ns = row->makespan_ns};
    for (uint32_t i = 0; i < l->head.processor_count; i++) {
        if (!row->shares[i])
            continue;
        shown.modelled = shown.modelled || mly__plan_is_modelled(&l->head.processors[i]);
        shown.estimated = shown.estimated || l->curves->guessed[i][row->shares[i]];
    }
    return l->visit(&l->head, &shown, l->user, err);
}

enum mly_status mly_plan_list_splits(const struct mly_plan_request *request, uint32_t step,
                                     mly_split_visit *visit, void *user, struct mly_error *err)
{
    struct mly__curves curves;
    enum mly_status status = mly__curves_init(&curves, request, request->batch, err);
    if (status)
        return status;
    struct listing listing = {.head = {.processors = curves.problem->processors,
                                       .processor_count = curves.problem->processor_count,
                                       .batch = request->batch,
                                       .modelled = curves.modelled,
                                       .estimated = curves.estimated},
                              .curves = &curves,
                              .visit = visit,
                              .user = user};
    status = mly__data_list(&curves.data, step, ROWS_MAX, pass_on, &listing, err);
    mly__curves_fini(&curves);
    return status;
}

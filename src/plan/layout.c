/*
 * Layouts: what planners find, what it gives, and the plan that it becomes.
 *
 *   A layout's value by the builder's costs: a part with r processors of class c and the period p on
 *   each has the rate of the sum of r / p. Every processor adds up what its parts take.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "one_batch.h"
#include "problem_private.h"

enum mly_status mly__layout_init(struct mly__layout *layout, const struct mly__problem *problem,
                                 uint32_t part_count, struct mly_error *err)
{
    *layout = (struct mly__layout){.part_count = part_count};
    layout->part_of_unit = mly_alloc_array(problem->unit_count, sizeof *layout->part_of_unit);
    layout->replicas = mly_alloc_array(part_count, sizeof *layout->replicas);
    layout->first = mly_alloc_array(part_count, sizeof *layout->first);
    if (layout->part_of_unit && layout->replicas && layout->first)
        return MLY_OK;
    mly__layout_fini(layout);
    return mly__problem_no_memory(err);
}

void mly__layout_fini(struct mly__layout *layout)
{
    mly_free(layout->part_of_unit);
    mly_free(layout->replicas);
    mly_free(layout->first);
    *layout = (struct mly__layout){0};
}

enum mly_status mly__layout_refine(const struct mly__layout *layout,
                                   const struct mly__problem *coarse,
                                   const struct mly__problem *fine, struct mly__layout *out,
                                   struct mly_error *err)
{
    struct mly__layout made;
    enum mly_status status = mly__layout_init(&made, fine, layout->part_count, err);
    if (status)
        return status;
    for (uint32_t u = 0; u < fine->unit_count; u++)
        made.part_of_unit[u] = layout->part_of_unit[coarse->hidden->group_of_unit[u]];
    memcpy(made.replicas, layout->replicas, layout->part_count * sizeof *layout->replicas);
    memcpy(made.first, layout->first, layout->part_count * sizeof *layout->first);
    made.shared = layout->shared;
    *out = made;
    return MLY_OK;
}

/* --- value --- */

/* Processors of a class that a part gets: [first, first + replicas). */
static uint32_t first_of(const struct mly__problem *problem, const struct mly__layout *layout,
                         uint32_t part, uint32_t class)
{
    uint32_t first = 0;
    if (layout->shared && !problem->classes[class].exclusive)
        return layout->replicas[part][class] ? layout->first[part] : 0;
    for (uint32_t p = 0; p < part; p++)
        first += layout->replicas[p][class];
    return first;
}

/* What is summed up over the parts. */
struct sums {
    const struct mly__problem *problem;
    const struct mly__layout *layout;
    struct mly__layout_value value;
    double *busy_ns; /* by processor: of one batch */
    struct mly__one_batch alone;
};

static enum mly_status sums_init(struct sums *sums, const struct mly__problem *problem,
                                 const struct mly__layout *layout, struct mly_error *err)
{
    *sums = (struct sums){.problem = problem, .layout = layout};
    sums->busy_ns = mly_alloc_array(problem->processor_count, sizeof *sums->busy_ns);
    if (!sums->busy_ns)
        return mly__problem_no_memory(err);
    return mly__one_batch_init(&sums->alone, layout->part_count, problem->processor_count, err);
}

static void sums_fini(struct sums *sums)
{
    mly_free(sums->busy_ns);
    mly__one_batch_fini(&sums->alone);
}

/* Replicas share batches in proportion to their speed, so that each is busy 1 / rate for a batch. */
static void add_part(struct sums *sums, uint32_t part, const struct mly__segment_cost *costs)
{
    const struct mly__problem *problem = sums->problem;
    const uint32_t *replicas = sums->layout->replicas[part];
    bool *uses = sums->alone.uses + (size_t)problem->processor_count * part;
    double rate = 0;
    for (uint32_t c = 0; c < problem->class_count; c++)
        if (replicas[c])
            rate += replicas[c] / mly__stage_period_ns(&problem->classes[c], &costs[c]);
    for (uint32_t c = 0; c < problem->class_count; c++) {
        if (!replicas[c])
            continue;
        const struct mly__class *class = &problem->classes[c];
        const uint32_t first = first_of(problem, sums->layout, part, c);
        const double share = replicas[c] / mly__stage_period_ns(class, &costs[c]) / rate;
        sums->alone.ns[part] += share * mly__stage_latency_ns(&costs[c]);
        sums->value.energy_j += share * costs[c].energy_j;
        sums->value.spread_ns += share * costs[c].spread_ns;
        if (!class->in_host_memory)
            sums->value.crossing_bytes += share * (costs[c].input_bytes + costs[c].output_bytes);
        for (uint32_t k = first; k < first + replicas[c] && k < class->count; k++) {
            sums->busy_ns[class->processors[k]] += 1 / rate;
            uses[class->processors[k]] = true;
        }
    }
    sums->value.sum_ns += sums->alone.ns[part];
}

static void find_needs(struct sums *sums)
{
    const struct mly__problem *problem = sums->problem;
    const uint32_t *part_of = sums->layout->part_of_unit;
    for (uint32_t c = 0; c < problem->crossing_count; c++) {
        const struct mly__crossing *crossing = &problem->crossings[c];
        if (crossing->producer == MLY_NO_INDEX)
            continue;
        const uint32_t from = part_of[crossing->producer];
        for (uint32_t i = 0; i < crossing->consumer_count; i++) {
            const uint32_t to = part_of[crossing->consumers[i]];
            if (to != from)
                sums->alone.needs[(size_t)sums->layout->part_count * to + from] = true;
        }
    }
}

static void sum_up(struct sums *sums)
{
    const struct mly__problem *problem = sums->problem;
    double idle_w = 0;
    for (uint32_t c = 0; c < problem->class_count; c++) {
        for (uint32_t k = 0; k < problem->classes[c].count; k++) {
            const double busy = sums->busy_ns[problem->classes[c].processors[k]];
            sums->value.bottleneck_ns = fmax(sums->value.bottleneck_ns, busy);
            idle_w += busy > 0 ? problem->classes[c].idle_w : 0;
        }
    }
    find_needs(sums);
    sums->value.latency_ns = mly__one_batch_run(&sums->alone);
    sums->value.energy_j += idle_w * sums->value.bottleneck_ns * 1e-9;
}

/* Costs of a part on the classes that run it; false: one of them cannot. */
static bool part_costs(const struct mly__problem *problem, const struct mly__layout *layout,
                       uint32_t part, struct mly__part_builder *builder,
                       struct mly__segment_cost *costs)
{
    bool runs = true;
    for (uint32_t c = 0; runs && c < problem->class_count; c++) {
        if (!layout->replicas[part][c])
            continue;
        mly__part_builder_reset(builder, c);
        for (uint32_t u = 0; u < problem->unit_count; u++)
            if (layout->part_of_unit[u] == part)
                mly__part_builder_add(builder, u);
        mly__part_builder_cost(builder, &costs[c]);
        runs = isfinite(costs[c].execution_ns);
    }
    return runs;
}

enum mly_status mly__layout_value(const struct mly__problem *problem,
                                  const struct mly__layout *layout, struct mly__layout_value *out,
                                  struct mly_error *err)
{
    struct mly__segment_cost costs[MLY__CLASSES_MAX] = {0};
    struct mly__part_builder builder;
    struct sums sums;
    bool runs = true;
    enum mly_status status = sums_init(&sums, problem, layout, err);
    if (!status)
        status = mly__part_builder_init(&builder, problem, 0, err);
    if (status) {
        sums_fini(&sums);
        return status;
    }
    for (uint32_t part = 0; runs && part < layout->part_count; part++) {
        runs = part_costs(problem, layout, part, &builder, costs);
        if (runs)
            add_part(&sums, part, costs);
    }
    mly__part_builder_fini(&builder);
    if (runs)
        sum_up(&sums);
    else
        sums.value = (struct mly__layout_value){.bottleneck_ns = INFINITY,
                                                .latency_ns = INFINITY,
                                                .sum_ns = INFINITY,
                                                .energy_j = INFINITY};
    *out = sums.value;
    sums_fini(&sums);
    return MLY_OK;
}

/* --- the plan --- */

/* Which of the problem's processors the plan has, and what they are there. */
struct numbering {
    uint32_t *number; /* by the problem's processor; MLY_NO_INDEX: not used */
};

static enum mly_status set_processors(const struct mly__problem *problem,
                                      const struct mly__layout *layout, struct numbering *numbering,
                                      mly_plan *plan, struct mly_error *err)
{
    for (uint32_t i = 0; i < problem->processor_count; i++)
        numbering->number[i] = MLY_NO_INDEX;
    for (uint32_t part = 0; part < layout->part_count; part++) {
        for (uint32_t c = 0; c < problem->class_count; c++) {
            const uint32_t first = first_of(problem, layout, part, c);
            if (first + layout->replicas[part][c] > problem->classes[c].count)
                return mly_error_set(err, MLY_E_INTERNAL, "a layout wants %u of %u processors %s",
                                     first + layout->replicas[part][c], problem->classes[c].count,
                                     problem->classes[c].name);
            for (uint32_t k = 0; k < layout->replicas[part][c]; k++)
                numbering->number[problem->classes[c].processors[first + k]] = 0;
        }
    }
    plan->processors = mly_alloc_array(problem->processor_count, sizeof *plan->processors);
    if (!plan->processors)
        return mly__problem_no_memory(err);
    for (uint32_t i = 0; i < problem->processor_count; i++) {
        if (numbering->number[i] == MLY_NO_INDEX)
            continue;
        numbering->number[i] = plan->processor_count;
        if (!mly__plan_add_processor(plan, &problem->processors[i]))
            return mly__problem_no_memory(err);
    }
    return MLY_OK;
}

static int compare_numbers(const void *a, const void *b)
{
    const uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

static enum mly_status set_segment(const struct mly__problem *problem,
                                   const struct mly__layout *layout, uint32_t part,
                                   const struct numbering *numbering,
                                   struct mly_plan_segment *segment, struct mly_error *err)
{
    const uint32_t node_count = problem->graph->node_count;
    segment->name = mly_strfmt("s%u", part);
    segment->processors = mly_alloc_array(problem->processor_count, sizeof *segment->processors);
    if (!segment->name || !segment->processors)
        return mly__problem_no_memory(err);
    for (uint32_t c = 0; c < problem->class_count; c++) {
        const uint32_t first = first_of(problem, layout, part, c);
        for (uint32_t k = 0; k < layout->replicas[part][c]; k++)
            segment->processors[segment->processor_count++] =
                numbering->number[problem->classes[c].processors[first + k]];
    }
    qsort(segment->processors, segment->processor_count, sizeof *segment->processors,
          compare_numbers);
    if (layout->part_count == 1)
        return MLY_OK; /* all nodes */
    segment->nodes = mly_alloc_array(node_count, sizeof *segment->nodes);
    if (!segment->nodes)
        return mly__problem_no_memory(err);
    for (uint32_t n = 0; n < node_count; n++)
        if (layout->part_of_unit[problem->unit_of_node[n]] == part)
            segment->nodes[segment->node_count++] = n;
    return MLY_OK;
}

static enum mly_status set_batches(const struct mly__problem *problem, mly_plan *plan,
                                   struct mly_error *err)
{
    plan->batch = problem->batch;
    plan->ladder = mly_alloc_array(1, sizeof *plan->ladder);
    if (!plan->ladder)
        return mly__problem_no_memory(err);
    plan->ladder[plan->ladder_count++] = plan->batch;
    plan->in_flight =
        2 * plan->processor_count; /* one runs, one waits: no processor idles between */
    return MLY_OK;
}

enum mly_status mly__layout_plan(const struct mly__problem *problem,
                                 const struct mly__layout *layout, const char *planner,
                                 mly_plan **out, struct mly_error *err)
{
    const struct mly_plan_request *request = problem->request;
    struct numbering numbering = {
        .number = mly_alloc_array(problem->processor_count, sizeof *numbering.number)};
    mly_plan *plan = NULL;
    if (!numbering.number)
        return mly__problem_no_memory(err);
    enum mly_status status = mly_plan_create(problem->model, request->machine, &plan, err);
    if (!status) {
        snprintf(plan->planner, sizeof plan->planner, "%s", planner);
        if (request->costs)
            memcpy(plan->runtime, mly_cost_table_identity(request->costs)->runtime,
                   sizeof plan->runtime);
        plan->objective = request->objective;
        plan->rate_per_s = request->rate_per_s;
        plan->segments = mly_alloc_array(layout->part_count, sizeof *plan->segments);
        status = plan->segments ? set_processors(problem, layout, &numbering, plan, err)
                                : mly__problem_no_memory(err);
    }
    for (uint32_t part = 0; !status && part < layout->part_count; part++)
        status = set_segment(problem, layout, part, &numbering,
                             &plan->segments[plan->segment_count++], err);
    if (!status)
        status = set_batches(problem, plan, err);
    if (!status)
        status = mly_plan_evaluate(plan, problem->model, request->costs, &plan->prediction, err);
    mly_free(numbering.number);
    if (status) {
        mly_plan_destroy(plan);
        return status;
    }
    *out = plan;
    return MLY_OK;
}

enum mly_status mly__plan_add_candidate(mly_plan *plan, const char *description,
                                        const char *planner,
                                        const struct mly_prediction *prediction, bool chosen,
                                        struct mly_error *err)
{
    size_t capacity = plan->candidate_count; /* exact: candidates are few */
    if (mly_array_reserve(&plan->candidates, &capacity, (size_t)plan->candidate_count + 1,
                          sizeof *plan->candidates))
        return mly__problem_no_memory(err);
    char *text = mly_strdup(description);
    if (!text)
        return mly__problem_no_memory(err);
    struct mly_plan_candidate *to = &plan->candidates[plan->candidate_count++];
    *to = (struct mly_plan_candidate){
        .description = text, .prediction = *prediction, .chosen = chosen};
    snprintf(to->planner, sizeof to->planner, "%s", planner);
    return MLY_OK;
}

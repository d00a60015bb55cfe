/*
 * Planners that cut the topological order once, a segment for each processor.
 *
 *   1. For each batch size: the problem, the cut, the layout with a part on each processor, the plan.
 *   2. The best of them by prediction; the others are its candidates.
 */
#include <string.h>

#include "base/alloc.h"
#include "in_order.h"
#include "problem_private.h"

/* --- 1 --- */

static double total_ns(const struct mly__problem *problem, uint32_t class)
{
    double sum = 0;
    for (uint32_t u = 0; u < problem->unit_count; u++)
        sum += mly__load_of(problem, class, u)->time_ns;
    return sum;
}

static bool comes_before(const struct mly__problem *problem, uint32_t a, uint32_t b)
{
    const double x = total_ns(problem, a), y = total_ns(problem, b);
    return x != y ? x < y : strcmp(problem->classes[a].name, problem->classes[b].name) < 0;
}

/* The classes of the parts: the fastest kind first, whatever the order of the request. */
static void order_processors(const struct mly__problem *problem, uint32_t part_count,
                             uint32_t *class_of_part)
{
    uint32_t order[MLY__CLASSES_MAX];
    for (uint32_t c = 0; c < problem->class_count; c++) {
        uint32_t at = c;
        for (; at && comes_before(problem, c, order[at - 1]); at--)
            order[at] = order[at - 1];
        order[at] = c;
    }
    for (uint32_t i = 0, part = 0; i < problem->class_count; i++)
        for (uint32_t k = 0; k < problem->classes[order[i]].count && part < part_count; k++)
            class_of_part[part++] = order[i];
}

static uint32_t count_parts(const struct mly__problem *problem)
{
    const uint32_t most = problem->request->segments_max;
    uint32_t parts = problem->processor_count;
    parts = most && most < parts ? most : parts;
    return problem->unit_count < parts ? problem->unit_count : parts;
}

static enum mly_status lay_out(const struct mly__problem *problem, const uint32_t *class_of_part,
                               const uint32_t *ends, uint32_t part_count, const char *planner,
                               mly_plan **out, struct mly_error *err)
{
    struct mly__layout layout;
    enum mly_status status = mly__layout_init(&layout, problem, part_count, err);
    if (status)
        return status;
    for (uint32_t part = 0, u = 0; part < part_count; part++) {
        layout.replicas[part][class_of_part[part]] = 1;
        for (; u < ends[part]; u++)
            layout.part_of_unit[u] = part;
    }
    status = mly__layout_plan(problem, &layout, planner, out, err);
    mly__layout_fini(&layout);
    return status;
}

static enum mly_status cut_batch(const struct mly_plan_request *request, uint32_t batch,
                                 const char *planner, mly__cut_in_order *cut, mly_plan **out,
                                 struct mly_error *err)
{
    struct mly__problem *problem = NULL;
    enum mly_status status = mly__problem_create(request, batch, MLY__UNITS_FUSED, &problem, err);
    if (status)
        return status;
    const uint32_t parts = count_parts(problem);
    uint32_t *classes = mly_alloc_array(parts, sizeof *classes),
             *ends = mly_alloc_array(parts, sizeof *ends);
    if (!classes || !ends)
        status = mly__problem_no_memory(err);
    if (!status)
        order_processors(problem, parts, classes);
    if (!status)
        status = cut(problem, classes, parts, ends, err);
    if (!status)
        status = lay_out(problem, classes, ends, parts, planner, out, err);
    mly_free(classes);
    mly_free(ends);
    mly__problem_destroy(problem);
    return status;
}

/* --- 2 --- */

enum mly_status mly__plan_in_order(const struct mly_plan_request *request, const char *planner,
                                   mly__cut_in_order *cut, mly_plan **out, struct mly_error *err)
{
    uint32_t batches[MLY__BATCHES_MAX];
    mly_plan *plans[MLY__BATCHES_MAX] = {NULL};
    struct mly_error reason = {0};
    size_t made = 0;
    const uint32_t count = mly__plan_batches(request, batches);
    for (uint32_t i = 0; i < count; i++) {
        const enum mly_status status =
            cut_batch(request, batches[i], planner, cut, &plans[made], &reason);
        made += status == MLY_OK;
        if (status && !mly__plan_may_pass_over(status)) {
            while (made)
                mly_plan_destroy(plans[--made]);
            return mly_error_set(err, status, "%s", reason.message);
        }
    }
    return made ? mly_plan_take_best(request, planner, "", plans, made, out, err)
                : mly_error_set(err, reason.status, "%s", reason.message);
}

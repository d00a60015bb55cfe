/*
 * `parameters`: segments of about equal parameters, as libcoral documents the vendor's split for several
 * Edge TPUs (edgetpu_compiler --num_segments): the average is the sum over the number of segments, plus 1;
 * operators are taken in topological order, and a segment ends before it would exceed the average; the
 * last takes the rest. Times are not looked at.
 */
#include "base/alloc.h"
#include "in_order.h"
#include "problem_private.h"

static double parameters_of(const struct mly__problem *problem, uint32_t unit)
{
    double sum = 0;
    for (uint32_t i = 0; i < problem->units[unit].node_count; i++) {
        struct mly_node_work work;
        mly_graph_node_work(problem->graph, problem->shapes, problem->units[unit].nodes[i], &work);
        sum += work.parameters;
    }
    return sum;
}

enum mly_status mly__cut_by_parameters(const struct mly__problem *problem,
                                       const uint32_t *class_of_part, uint32_t part_count,
                                       uint32_t *ends, struct mly_error *err)
{
    double total = 0, sum = 0;
    uint32_t part = 0, begin = 0;
    (void)class_of_part;
    (void)err;
    for (uint32_t u = 0; u < problem->unit_count; u++)
        total += parameters_of(problem, u);
    const double average = total / part_count + 1;
    for (uint32_t u = 0; u < problem->unit_count && part + 1 < part_count; u++) {
        const double more = parameters_of(problem, u);
        /* One unit at least for each segment, this one and those after it. */
        const bool needed = problem->unit_count - u == part_count - part - 1;
        if (u > begin && (needed || sum + more > average)) {
            ends[part++] = begin = u;
            sum = 0;
        }
        sum += more;
    }
    ends[part_count - 1] = problem->unit_count;
    return MLY_OK;
}

static enum mly_status make(const struct mly_plan_request *request, mly_plan **out,
                            struct mly_error *err)
{
    return mly__plan_in_order(request, "parameters", mly__cut_by_parameters, out, err);
}

const struct mly_planner mly__planner_parameters = {
    .name = "parameters",
    .summary = "segments of about equal parameters, one per processor, as Edge TPU's vendor splits",
    .by_name_only = true,
    .make = make,
};

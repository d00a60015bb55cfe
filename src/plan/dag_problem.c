/* Planning problems as graphs, and parts of such graphs as layouts. */
#include "dag_problem.h"

#include <string.h>

#include "base/alloc.h"

static double least_time_ns(const struct mly__problem *problem, uint32_t unit)
{
    double least = INFINITY;
    for (uint32_t c = 0; c < problem->class_count; c++)
        least = fmin(least, mly__load_of(problem, c, unit)->time_ns);
    return isfinite(least) ? least : 0;
}

enum mly_status mly__problem_dag_init(struct mly__problem_dag *dag,
                                      const struct mly__problem *problem, uint32_t class_index,
                                      struct mly_error *err)
{
    *dag = (struct mly__problem_dag){
        .weight = mly_alloc_array((size_t)problem->unit_count + 1, sizeof *dag->weight),
        .nets = mly_alloc_array((size_t)problem->crossing_count + 1, sizeof *dag->nets),
    };
    if (!dag->weight || !dag->nets) {
        mly__problem_dag_fini(dag);
        return mly_error_set(err, MLY_E_NO_MEMORY, "no memory for a graph of %u units",
                             problem->unit_count);
    }
    for (uint32_t u = 0; u < problem->unit_count; u++) {
        const double ns = mly__load_of(problem, class_index, u)->time_ns;
        dag->weight[u] = isfinite(ns) ? ns : least_time_ns(problem, u);
    }
    for (uint32_t i = 0; i < problem->crossing_count; i++) {
        const struct mly__crossing *crossing = &problem->crossings[i];
        dag->nets[i] = (struct mly__dag_net){.from = crossing->producer,
                                             .to = crossing->consumers,
                                             .to_count = crossing->consumer_count,
                                             .bytes = crossing->bytes,
                                             .goes_out = crossing->goes_to_host};
    }
    dag->dag = (struct mly__dag){.node_count = problem->unit_count,
                                 .weight = dag->weight,
                                 .net_count = problem->crossing_count,
                                 .nets = dag->nets};
    return MLY_OK;
}

void mly__problem_dag_fini(struct mly__problem_dag *dag)
{
    mly_free(dag->weight);
    mly_free(dag->nets);
    *dag = (struct mly__problem_dag){0};
}

enum mly_status mly__found_parts(struct mly__found *found, const struct mly__problem *problem,
                                 const uint32_t *part_of_unit, uint32_t part_count,
                                 const uint32_t *class_of_part, struct mly__layout_value *value,
                                 struct mly_error *err)
{
    struct mly__layout layout;
    struct mly__layout_value got;
    uint32_t *number = mly_alloc_array((size_t)part_count + 1, sizeof *number);
    if (!number)
        return mly_error_set(err, MLY_E_NO_MEMORY, "no memory for %u parts", part_count);
    for (uint32_t u = 0; u < problem->unit_count; u++)
        number[part_of_unit[u]] = 1;
    uint32_t used = 0;
    for (uint32_t p = 0; p < part_count; p++)
        number[p] = number[p] ? used++ : MLY_NO_INDEX;
    enum mly_status status = mly__layout_init(&layout, problem, used, err);
    if (status) {
        mly_free(number);
        return status;
    }
    for (uint32_t u = 0; u < problem->unit_count; u++)
        layout.part_of_unit[u] = number[part_of_unit[u]];
    for (uint32_t p = 0; p < part_count; p++)
        if (number[p] != MLY_NO_INDEX)
            layout.replicas[number[p]][class_of_part[p]] = 1;
    status = mly__layout_value(problem, &layout, &got, err);
    if (!status && found && isfinite(got.bottleneck_ns))
        status = mly__found_add(found, problem, &layout, err);
    if (!status && value)
        *value = got;
    mly__layout_fini(&layout);
    mly_free(number);
    return status;
}

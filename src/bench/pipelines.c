/*
 * Plans of modelled processors, and what they give on the virtual clock: nothing runs, and the same plan
 * gives the same numbers on any box.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "experiment.h"
#include "plan/plan.h"
#include "runtime/virtual.h"

/* --- planning --- */

/* Nodes that have weights: what a paper counts as layers. */
static uint32_t count_layers(const mly_model *model, const struct mly_plan_segment *segment,
                             const struct mly_shape *shapes)
{
    const struct mly_graph *graph = mly_model_graph(model);
    const bool whole = segment->node_count == 0;
    const uint32_t count = whole ? graph->node_count : segment->node_count;
    uint32_t layers = 0;
    for (uint32_t i = 0; i < count; i++) {
        struct mly_node_work work;
        mly_graph_node_work(graph, shapes, whole ? i : segment->nodes[i], &work);
        layers += work.macs > 0 && work.parameters > 0;
    }
    return layers;
}

static void name_cuts(struct mly__pipeline *pipeline)
{
    size_t used = 0;
    for (uint32_t i = 0; i < pipeline->segment_count && used < sizeof pipeline->cuts; i++) {
        used += (size_t)snprintf(pipeline->cuts + used, sizeof pipeline->cuts - used, "%s%" PRIu32,
                                 i ? "+" : "", pipeline->layers[i]);
        if (pipeline->replicas[i] > 1 && used < sizeof pipeline->cuts)
            used += (size_t)snprintf(pipeline->cuts + used, sizeof pipeline->cuts - used,
                                     " x %" PRIu32, pipeline->replicas[i]);
    }
}

static void take_stages(const mly_model *model, const mly_plan *plan,
                        const struct mly_stage *stages, const struct mly_shape *shapes,
                        struct mly__pipeline *out)
{
    *out = (struct mly__pipeline){.segment_count = plan->segment_count,
                                  .latency_ms = plan->prediction.latency_ns * 1e-6};
    for (uint32_t i = 0; i < plan->segment_count;
         i++) { /* the last of equally slow stages counts */
        out->layers[i] = count_layers(model, &plan->segments[i], shapes);
        out->replicas[i] = plan->segments[i].processor_count;
        out->on_chip_mib[i] = stages[i].on_chip_bytes / MLY__MIB;
        out->off_chip_mib[i] = stages[i].off_chip_bytes / MLY__MIB;
        out->off_chip_sum_mib += out->off_chip_mib[i];
        if (stages[i].period_ns * 1e-6 < out->slowest_ms)
            continue;
        out->slowest_ms = stages[i].period_ns * 1e-6;
        out->link_ms = (stages[i].input_ns + stages[i].output_ns) * 1e-6 / out->replicas[i];
    }
    name_cuts(out);
}

enum mly_status mly__pipeline_look_at(const mly_model *model, const mly_plan *plan,
                                      struct mly__pipeline *out, struct mly_error *err)
{
    struct mly_stage stages[MLY_PUBLISHED_SEGMENTS_MAX];
    const struct mly_graph *graph = mly_model_graph(model);
    if (plan->segment_count > MLY_PUBLISHED_SEGMENTS_MAX)
        return mly_error_set(err, MLY_E_LIMIT, "a pipeline of %" PRIu32 " segments",
                             plan->segment_count);
    struct mly_shape *shapes = mly_alloc_array(graph->tensor_count, sizeof *shapes);
    if (!shapes)
        return mly_error_set(err, MLY_E_NO_MEMORY, "memory is short");
    enum mly_status status = mly_graph_bind(model, 1, NULL, 0, shapes, err);
    if (status == MLY_OK)
        status = mly_plan_stages(plan, model, NULL, stages, err);
    if (status == MLY_OK)
        take_stages(model, plan, stages, shapes, out);
    mly_free(shapes);
    return status;
}

enum mly_status mly__pipeline_plan(struct mly_bench *bench, const mly_model *model,
                                   const char *processors, const char *planner, bool no_replicas,
                                   mly_plan **plan, struct mly__pipeline *out,
                                   struct mly_error *err)
{
    struct mly_processor_list list = {0};
    mly_plan *made = NULL;
    enum mly_status status = mly_machine_select(bench->options->machine, processors, &list, err);
    if (status != MLY_OK)
        return mly_error_prefix(err, status, "-d %s", processors);
    const struct mly_plan_request request = {.model = model,
                                             .machine = bench->options->machine,
                                             .objective = MLY_OBJECTIVE_THROUGHPUT,
                                             .batch = 1,
                                             .processors = &list,
                                             .no_replicas = no_replicas};
    status = mly_plan_make(planner, &request, &made, err);
    mly_processor_list_fini(&list);
    if (status == MLY_OK)
        status = mly__pipeline_look_at(model, made, out, err);
    if (status != MLY_OK) {
        mly_plan_destroy(made);
        return status;
    }
    *plan = made;
    return MLY_OK;
}

/* --- the virtual clock --- */

enum mly_status mly__pipeline_time(const mly_model *model, const mly_plan *plan, uint64_t count,
                                   double *ms, struct mly_error *err)
{
    const struct mly_virtual_cost_request request = {.model = model, .plan = plan, .batch = 1};
    const struct mly_arrivals arrivals = {.kind = MLY_ARRIVALS_CLOSED,
                                          .in_flight = (uint32_t)count};
    struct mly_virtual_cost *costs = NULL;
    struct mly_virtual_result result = {0};
    struct mly_flow flow = {0};
    enum mly_status status = mly_virtual_costs(&request, &costs, err);
    if (status == MLY_OK)
        status = mly_flow_init(model, plan, true, &flow, err);
    if (status == MLY_OK) {
        const struct mly_virtual_options options = {.flow = &flow,
                                                    .costs = costs,
                                                    .batch = 1,
                                                    .queue_capacity = (uint32_t)count,
                                                    .arrivals = &arrivals,
                                                    .count = count};
        status = mly_virtual_run(&options, &result, err);
    }
    if (status == MLY_OK)
        *ms = (double)result.window_ns * 1e-6 / (double)count;
    mly_virtual_result_fini(&result);
    mly_flow_fini(&flow);
    mly_free(costs);
    return status;
}

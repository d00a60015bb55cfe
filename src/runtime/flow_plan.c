/*
 * From a model and a plan to a flow: cutting the segments, finding the back ends, shapes for
 * warming.
 */
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "device/modelled.h"
#include "device/thread.h"
#include "model/graph.h"
#include "plan/plan.h"
#include "runtime/flow.h"
#include "runtime/split.h"

static enum mly_status out_of_memory(struct mly_error *err)
{
    return mly_error_set(err, MLY_E_NO_MEMORY, "no memory to lay out the plan's segments");
}

static uint32_t *dup_indices(const uint32_t *indices, uint32_t count)
{
    uint32_t *copy = mly_alloc_array(count, sizeof *copy);
    if (copy && count)
        memcpy(copy, indices, count * sizeof *copy);
    return copy;
}

static enum mly_status take_ports(struct mly_flow *flow, struct mly_error *err)
{
    const struct mly_graph *graph = mly_model_graph(flow->model);
    flow->free_batch = mly_model_fixed_batch(flow->model) == 0;
    flow->inputs = mly_alloc_array(graph->input_count, sizeof *flow->inputs);
    flow->outputs = mly_alloc_array(graph->output_count, sizeof *flow->outputs);
    flow->input_tensors = dup_indices(graph->inputs, graph->input_count);
    flow->output_tensors = dup_indices(graph->outputs, graph->output_count);
    if (!flow->inputs || !flow->outputs || !flow->input_tensors || !flow->output_tensors)
        return out_of_memory(err);
    flow->input_count = graph->input_count;
    flow->output_count = graph->output_count;
    for (uint32_t i = 0; i < flow->input_count; i++)
        flow->inputs[i] = mly_model_input(flow->model, i);
    for (uint32_t i = 0; i < flow->output_count; i++)
        flow->outputs[i] = mly_model_output(flow->model, i);
    return MLY_OK;
}

static enum mly_status take_processor(struct mly_flow_processor *p,
                                      const struct mly_plan_processor *from, bool no_prepared_copy,
                                      struct mly_error *err)
{
    p->ops = mly_backend_find(from->backend);
    if (!p->ops)
        return mly_error_set(err, MLY_E_NOT_FOUND, "processor %s: this motley has no back end '%s'",
                             from->id, from->backend);
    if (!p->ops->drives(from->kind))
        return mly_error_set(err, MLY_E_INVALID,
                             "processor %s: back end '%s' does not drive processors of kind '%s'",
                             from->id, from->backend, from->kind);
    const char *version = NULL;
    enum mly_status status = p->ops->probe(&version, err);
    if (status != MLY_OK)
        return mly_error_prefix(err, status, "processor %s", from->id);

    snprintf(p->device.id, sizeof p->device.id, "%s", from->id);
    snprintf(p->device.kind, sizeof p->device.kind, "%s", from->kind);
    p->device.usable = true;
    p->device.modelled = mly_device_model_find(from->kind) != NULL;
    p->device.numa_node = -1;
    p->device.cpus = dup_indices(from->cpus, from->cpu_count);
    if (!p->device.cpus)
        return out_of_memory(err);
    p->device.cpu_count = from->cpu_count;
    const bool pin = from->pin && from->cpu_count > 0 && !from->runtime_defaults;
    const bool confine =
        from->runtime_defaults && !mly_cpus_are_whole_box(from->cpus, from->cpu_count);
    p->seat_count = pin ? 1 : confine ? from->cpu_count : 0;
    p->session = (struct mly_session_options){
        .processor = &p->device,
        .threads = from->threads,
        .spin = from->spin,
        .pin = pin,
        .runtime_defaults = from->runtime_defaults,
        .no_prepared_copy = no_prepared_copy,
    };
    return MLY_OK;
}

static enum mly_status take_segment(struct mly_flow *flow, struct mly_flow_segment *segment,
                                    const struct mly_plan_segment *from, struct mly_error *err)
{
    segment->name = mly_strdup(from->name ? from->name : "");
    segment->processors = dup_indices(from->processors, from->processor_count);
    if (!segment->name || !segment->processors)
        return out_of_memory(err);
    segment->processor_count = from->processor_count;
    if (from->shares) {
        segment->shares = dup_indices(from->shares, from->processor_count);
        if (!segment->shares)
            return out_of_memory(err);
    }
    enum mly_status status =
        from->node_count == 0
            ? mly_segment_whole(flow->model, &segment->cut, err)
            : mly_segment_extract(flow->model, from->nodes, from->node_count, &segment->cut, err);
    if (status != MLY_OK)
        return mly_error_prefix(err, status, "segment '%s'", segment->name);
    segment->inputs = dup_indices(segment->cut.inputs, segment->cut.input_count);
    segment->outputs = dup_indices(segment->cut.outputs, segment->cut.output_count);
    if (!segment->inputs || !segment->outputs)
        return out_of_memory(err);
    segment->input_count = segment->cut.input_count;
    segment->output_count = segment->cut.output_count;
    return MLY_OK;
}

/*
 * Shapes of every segment's inputs for every batch size of the ladder, before linking; sizes of the
 * other symbolic dimensions as the plan says.
 */
static enum mly_status take_warm_shapes(struct mly_flow *flow, const struct mly_sizes *sizes,
                                        struct mly_error *err)
{
    const struct mly_graph *graph = mly_model_graph(flow->model);
    struct mly_shape *shapes = mly_alloc_array(graph->tensor_count, sizeof *shapes);
    if (!shapes)
        return out_of_memory(err);
    enum mly_status status = MLY_OK;
    for (uint32_t s = 0; s < flow->segment_count && status == MLY_OK; s++) {
        struct mly_flow_segment *segment = &flow->segments[s];
        segment->warm_shapes = mly_alloc_array((size_t)flow->ladder_count * segment->input_count,
                                               sizeof *segment->warm_shapes);
        segment->warm_dtypes = mly_alloc_array(segment->input_count, sizeof *segment->warm_dtypes);
        if (!segment->warm_shapes || !segment->warm_dtypes) {
            status = out_of_memory(err);
            break;
        }
        for (uint32_t i = 0; i < segment->input_count; i++)
            segment->warm_dtypes[i] = graph->tensors[segment->inputs[i]].dtype;
    }
    for (uint32_t rung = 0; rung < flow->ladder_count && status == MLY_OK; rung++) {
        struct mly_error why = {0};
        status = mly_graph_bind(flow->model, flow->ladder[rung], sizes->items, sizes->count, shapes,
                                &why);
        bool known = status == MLY_OK;
        if (status == MLY_E_NO_MEMORY) {
            mly_error_set(err, status, "%s", why.message);
            break;
        }
        status = MLY_OK; /* a batch that cannot be bound is one that is not warmed */
        for (uint32_t s = 0; s < flow->segment_count; s++) {
            struct mly_flow_segment *segment = &flow->segments[s];
            struct mly_shape *row = segment->warm_shapes + (size_t)rung * segment->input_count;
            for (uint32_t i = 0; i < segment->input_count; i++)
                row[i] = known ? shapes[segment->inputs[i]] : (struct mly_shape){.rank = -1};
        }
    }
    mly_free(shapes);
    return status;
}

static enum mly_status take_plan(struct mly_flow *flow, const mly_plan *plan, bool no_prepared_copy,
                                 struct mly_error *err)
{
    enum mly_status status = take_ports(flow, err);
    if (status != MLY_OK)
        return status;
    flow->processors = mly_alloc_array(plan->processor_count, sizeof *flow->processors);
    flow->segments = mly_alloc_array(plan->segment_count, sizeof *flow->segments);
    /* What is split is warmed by the parts. */
    const uint32_t *shares = plan->segments[0].shares;
    const uint32_t rungs = shares ? plan->segments[0].processor_count : plan->ladder_count;
    flow->ladder = dup_indices(shares ? shares : plan->ladder, rungs);
    if (!flow->processors || !flow->segments || !flow->ladder)
        return out_of_memory(err);
    flow->processor_count = plan->processor_count;
    flow->segment_count = plan->segment_count;
    flow->ladder_count = rungs;
    for (uint32_t i = 0; i < flow->processor_count && status == MLY_OK; i++)
        status = take_processor(&flow->processors[i], &plan->processors[i], no_prepared_copy, err);
    for (uint32_t i = 0; i < flow->segment_count && status == MLY_OK; i++)
        status = take_segment(flow, &flow->segments[i], &plan->segments[i], err);
    struct mly_sizes sizes = {0};
    if (status == MLY_OK)
        status = mly_sizes_parse(plan->shapes, &sizes, err);
    if (status == MLY_OK)
        status = take_warm_shapes(flow, &sizes, err);
    mly_sizes_fini(&sizes);
    if (status == MLY_OK)
        status = mly_flow_link(flow, err);
    if (status == MLY_OK && flow->segments[0].shares)
        status = mly__split_check(flow, err);
    return status;
}

enum mly_status mly_flow_init(const mly_model *model, const mly_plan *plan, bool no_prepared_copy,
                              struct mly_flow *out, struct mly_error *err)
{
    struct mly_flow *flow = out;
    *flow = (struct mly_flow){.model = model};
    enum mly_status status = take_plan(flow, plan, no_prepared_copy, err);
    if (status != MLY_OK)
        mly_flow_fini(flow);
    return status;
}

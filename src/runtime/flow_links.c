/*
 * What moving tensors costs besides the runs of those that make and read them.
 *
 *   1. A back end that copies to and from its processor by itself does so within its runs: what they are
 *      predicted to take, and what they are measured to take, has the copies in it. All modelled
 *      processors are of this kind. They have no links here, or copies would count twice.
 *   2. Core groups compute in the host's memory, where results lie in the NUMA node of the group that made
 *      them. A group of the same node moves nothing; one of another node reads them over what joins the
 *      two. Where a client's own tensors lie is not known: they count nowhere.
 */
#include <string.h>

#include "base/alloc.h"
#include "cost/sizes.h"
#include "device/internal.h"
#include "model/graph.h"
#include "plan/plan.h"
#include "runtime/flow.h"

/*
 * Assumed, for nothing measures it: one link of Intel's QuickPath at 9.6 GT/s of 2 bytes each way ("An
 * Introduction to the Intel QuickPath Interconnect", 2009). What a remote access waits for is hidden by
 * prefetching, but for the first one.
 */
static const struct mly_flow_link assumed_interconnect = {.latency_ns = 1000,
                                                          .bytes_per_s = 19.2e9};

/* The node of all its CPUs; -1: they are of several, or it has none. */
static int32_t node_of(const mly_machine *machine, const struct mly_processor *device)
{
    int32_t node = -1;
    for (uint32_t i = 0; i < device->cpu_count; i++) {
        uint32_t position = mly__cpu_position(machine, device->cpus[i]);
        if (position == UINT32_MAX)
            return -1;
        int32_t its = (int32_t)machine->cpus[position].numa;
        if (i > 0 && its != node)
            return -1;
        node = its;
    }
    return node;
}

/* By the plan's sizes of dimensions; what cannot be bound has none. */
static enum mly_status find_bytes(struct mly_flow *flow, const mly_plan *plan, uint32_t batch,
                                  struct mly_error *err)
{
    const struct mly_graph *graph = mly_model_graph(flow->model);
    struct mly_sizes sizes = {0};
    struct mly_error why = {0};
    struct mly_shape *shapes = mly_alloc_array(graph->tensor_count, sizeof *shapes);
    enum mly_status status = shapes ? mly_sizes_parse(plan->shapes, &sizes, &why) : MLY_E_NO_MEMORY;
    if (status == MLY_OK)
        status = mly_graph_bind(flow->model, batch, sizes.items, sizes.count, shapes, &why);
    for (uint32_t i = 0; i < flow->slot_count && status == MLY_OK; i++) {
        const uint32_t tensor = flow->slots[i].tensor;
        size_t bytes = 0;
        if (mly_shape_is_known(&shapes[tensor]) &&
            mly_shape_bytes(graph->tensors[tensor].dtype, &shapes[tensor], &bytes, &why) == MLY_OK)
            flow->slots[i].bytes = (double)bytes;
    }
    mly_sizes_fini(&sizes);
    mly_free(shapes);
    return status == MLY_E_NO_MEMORY
               ? mly_error_set(err, status, "no memory to lay out the plan's segments")
               : MLY_OK;
}

enum mly_status mly_flow_find_links(struct mly_flow *flow, const mly_plan *plan,
                                    const mly_machine *machine, uint32_t batch,
                                    struct mly_error *err)
{
    int32_t first = -1;
    bool unlike = false;
    for (uint32_t i = 0; i < flow->processor_count; i++) {
        struct mly_flow_processor *p = &flow->processors[i];
        const bool in_host_memory = machine && strcmp(p->device.kind, "cpu") == 0; /* (2) */
        p->node = in_host_memory ? node_of(machine, &p->device) : -1;
        if (p->node >= 0 && first >= 0 && p->node != first)
            unlike = true;
        if (first < 0)
            first = p->node;
    }
    if (!unlike)
        return MLY_OK;
    flow->interconnect = assumed_interconnect;
    return find_bytes(flow, plan, batch, err);
}

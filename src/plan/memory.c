/*
 * Memory that a plan needs by its graph alone: weights once, however many sessions share them, and
 * for each session the peak of the activations that live at the same time.
 *
 * The peak of a segment, over its nodes in topological order:
 *   1. What comes in lives from the start; what a node makes lives from there.
 *   2. What goes out lives to the end; the rest until the last node of the segment that reads it.
 */
#include <string.h>

#include "base/alloc.h"
#include "internal.h"

static enum mly_status no_memory(const struct mly_graph *graph, struct mly_error *err)
{
    return mly_error_set(err, MLY_E_NO_MEMORY, "no memory for the shapes of %u tensors",
                         graph->tensor_count);
}

/* Concrete shapes for a batch and sizes of other dimensions; the caller's (mly_free). */
static enum mly_status bind_shapes(const mly_model *model, uint32_t batch, const char *text,
                                   struct mly_shape **out, struct mly_error *err)
{
    struct mly_sizes sizes = {0};
    const struct mly_graph *graph = mly_model_graph(model);
    struct mly_shape *shapes = mly_alloc_array(graph->tensor_count, sizeof *shapes);
    if (!shapes)
        return no_memory(graph, err);
    enum mly_status status = mly_sizes_parse(text, &sizes, err);
    if (!status)
        status = mly_graph_bind(model, batch, sizes.items, sizes.count, shapes, err);
    mly_sizes_fini(&sizes);
    if (status) {
        mly_free(shapes);
        return status;
    }
    *out = shapes;
    return MLY_OK;
}

enum mly_status mly__plan_memory_whole(const mly_model *model, uint32_t batch, const char *text,
                                       struct mly__plan_memory *out, struct mly_error *err)
{
    struct mly_shape *shapes;
    struct mly_graph_totals totals;
    enum mly_status status = bind_shapes(model, batch, text, &shapes, err);
    if (status)
        return status;
    status = mly_graph_totals(mly_model_graph(model), shapes, &totals, err);
    mly_free(shapes);
    if (status)
        return status;
    *out = (struct mly__plan_memory){totals.weight_bytes, totals.peak_activation_bytes};
    return MLY_OK;
}

/* Bytes of a tensor as far as they are known. */
static double tensor_bytes(const struct mly_graph *graph, const struct mly_shape *shapes,
                           uint32_t tensor)
{
    size_t bytes;
    if (graph->tensors[tensor].kind == MLY_TENSOR_INITIALISER ||
        mly_shape_bytes(graph->tensors[tensor].dtype, &shapes[tensor], &bytes, NULL))
        return 0;
    return (double)bytes;
}

/* Tensors of a segment and the last of its nodes that needs each. */
struct lifetimes {
    uint32_t
        *last; /* by tensor: MLY_NO_INDEX for those the segment does not touch, else a position */
    uint32_t *touched; /* the tensors whose `last` is set */
    uint32_t touched_count;
};

static void touch(struct lifetimes *lives, uint32_t tensor, uint32_t position)
{
    if (lives->last[tensor] == MLY_NO_INDEX)
        lives->touched[lives->touched_count++] = tensor;
    lives->last[tensor] = position;
}

static bool is_inside(const struct mly_plan_segment *segment, uint32_t node)
{
    uint32_t low = 0, high = segment->node_count;
    while (low < high) {
        const uint32_t middle = low + (high - low) / 2;
        if (segment->nodes[middle] < node)
            low = middle + 1;
        else
            high = middle;
    }
    return low < segment->node_count && segment->nodes[low] == node;
}

static bool goes_out(const struct mly_graph *graph, const struct mly_plan_segment *segment,
                     uint32_t tensor)
{
    const struct mly_graph_tensor *t = &graph->tensors[tensor];
    bool out = t->is_output;
    for (uint32_t i = 0; !out && i < t->consumer_count; i++)
        out = !is_inside(segment, t->consumers[i]);
    return out;
}

static double segment_peak(const struct mly_graph *graph, const struct mly_shape *shapes,
                           const struct mly_plan_segment *segment, struct lifetimes *lives)
{
    const uint32_t end = segment->node_count;
    double live = 0, peak = 0;
    lives->touched_count = 0;
    for (uint32_t i = 0; i < end; i++) {
        const struct mly_graph_node *node = &graph->nodes[segment->nodes[i]];
        for (uint32_t k = 0; k < node->input_count; k++)
            if (node->inputs[k] != MLY_NO_INDEX)
                touch(lives, node->inputs[k], i);
        for (uint32_t k = 0; k < node->captured_count; k++)
            touch(lives, node->captured[k], i);
        for (uint32_t k = 0; k < node->output_count; k++)
            if (node->outputs[k] != MLY_NO_INDEX)
                touch(lives, node->outputs[k], i);
    }
    for (uint32_t i = 0; i < lives->touched_count; i++) {
        const uint32_t tensor = lives->touched[i], producer = graph->tensors[tensor].producer;
        const bool inside = producer != MLY_NO_INDEX && is_inside(segment, producer);
        if (!inside)
            live += tensor_bytes(graph, shapes, tensor); /* 1 */
        else if (goes_out(graph, segment, tensor))
            lives->last[tensor] = end; /* 2 */
    }
    peak = live;
    for (uint32_t i = 0; i < end; i++) {
        const struct mly_graph_node *node = &graph->nodes[segment->nodes[i]];
        for (uint32_t k = 0; k < node->output_count; k++)
            if (node->outputs[k] != MLY_NO_INDEX)
                live += tensor_bytes(graph, shapes, node->outputs[k]);
        if (live > peak)
            peak = live;
        /* A tensor read twice by one node ends once: its `last` is then marked as passed. */
        for (uint32_t k = 0; k < node->input_count + node->captured_count + node->output_count;
             k++) {
            const uint32_t tensor =
                k < node->input_count ? node->inputs[k]
                : k < node->input_count + node->captured_count
                    ? node->captured[k - node->input_count]
                    : node->outputs[k - node->input_count - node->captured_count];
            if (tensor == MLY_NO_INDEX || lives->last[tensor] != i)
                continue;
            live -= tensor_bytes(graph, shapes, tensor);
            lives->last[tensor] = end + 1;
        }
    }
    for (uint32_t i = 0; i < lives->touched_count; i++)
        lives->last[lives->touched[i]] = MLY_NO_INDEX;
    return peak;
}

static enum mly_status lifetimes_init(struct lifetimes *lives, const struct mly_graph *graph,
                                      struct mly_error *err)
{
    lives->last = mly_alloc_array((size_t)graph->tensor_count + 1, sizeof *lives->last);
    lives->touched = mly_alloc_array((size_t)graph->tensor_count + 1, sizeof *lives->touched);
    if (!lives->last || !lives->touched)
        return no_memory(graph, err);
    for (uint32_t i = 0; i < graph->tensor_count; i++)
        lives->last[i] = MLY_NO_INDEX;
    return MLY_OK;
}

static void lifetimes_fini(struct lifetimes *lives)
{
    mly_free(lives->last);
    mly_free(lives->touched);
}

enum mly_status mly__plan_peak(const struct mly_graph *graph, const struct mly_shape *shapes,
                               const uint32_t *nodes, uint32_t count, double *out,
                               struct mly_error *err)
{
    const struct mly_plan_segment segment = {.nodes = (uint32_t *)(uintptr_t)nodes,
                                             .node_count = count};
    struct lifetimes lives = {0};
    enum mly_status status = lifetimes_init(&lives, graph, err);
    if (!status)
        *out = segment_peak(graph, shapes, &segment, &lives);
    lifetimes_fini(&lives);
    return status;
}

static bool is_whole(const mly_plan *plan, const struct mly_graph *graph)
{
    return plan->segment_count == 1 &&
           (plan->segments[0].node_count == 0 || plan->segments[0].node_count == graph->node_count);
}

enum mly_status mly__plan_memory(const mly_plan *plan, const mly_model *model,
                                 struct mly__plan_memory *out, struct mly_error *err)
{
    const struct mly_graph *graph = mly_model_graph(model);
    struct mly__plan_memory whole;
    struct mly_shape *shapes = NULL;
    enum mly_status status = mly__plan_memory_whole(model, plan->batch, plan->shapes, &whole, err);
    if (status)
        return status;
    if (is_whole(plan, graph)) {
        whole.activation_bytes *= plan->segments[0].processor_count;
        *out = whole;
        return MLY_OK;
    }
    status = bind_shapes(model, plan->batch, plan->shapes, &shapes, err);
    if (status)
        return status;
    struct lifetimes lives = {0};
    status = lifetimes_init(&lives, graph, err);
    if (!status) {
        whole.activation_bytes = 0;
        for (uint32_t i = 0; i < plan->segment_count; i++)
            whole.activation_bytes += segment_peak(graph, shapes, &plan->segments[i], &lives) *
                                      plan->segments[i].processor_count;
        *out = whole;
    }
    lifetimes_fini(&lives);
    mly_free(shapes);
    return status;
}

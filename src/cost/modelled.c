/*
 * Modelled costs: what crosses a segment's border and what it keeps in memory meanwhile; the
 * family's own file then says how long it takes.
 */
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "modelled_private.h"

double mly_device_link_ns(const struct mly_device_link *link, double bytes)
{
    return bytes > 0 ? link->latency_ns + bytes / link->bytes_per_s * 1e9 : 0;
}

/* --- one device, model and batch --- */

enum mly_status mly_modelled_create(const struct mly_device_model *device, const mly_model *model,
                                    uint32_t batch, const struct mly_dim_binding *bindings,
                                    size_t binding_count, mly_modelled **out, struct mly_error *err)
{
    const struct mly_graph *graph = mly_model_graph(model);
    struct mly_shape *shapes = mly_alloc_array((size_t)graph->tensor_count + 1, sizeof *shapes);
    mly_modelled *modelled = mly_alloc(sizeof *modelled);
    enum mly_status status = MLY_OK;
    if (modelled) {
        *modelled = (mly_modelled){
            .device = device,
            .model = model,
            .graph = graph,
            .batch = batch,
            .nodes = mly_alloc_array((size_t)graph->node_count + 1, sizeof *modelled->nodes),
            .tensor_bytes = mly_alloc_array((size_t)graph->tensor_count + 1, sizeof(double)),
            .tensor_elements = mly_alloc_array((size_t)graph->tensor_count + 1, sizeof(double)),
            .constant = mly_alloc_array((size_t)graph->tensor_count + 1, sizeof(bool)),
        };
    }
    if (!shapes || !modelled || !modelled->nodes || !modelled->tensor_bytes ||
        !modelled->tensor_elements || !modelled->constant)
        status = mly_error_set(err, MLY_E_NO_MEMORY, "no memory for the costs of %u nodes on %s",
                               graph->node_count, device->name);
    if (!status)
        status = mly_graph_bind(model, batch, bindings, binding_count, shapes, err);
    if (!status)
        mly__modelled_describe(modelled, shapes);
    mly_free(shapes);
    if (status)
        mly_modelled_destroy(modelled);
    else
        *out = modelled;
    return status;
}

void mly_modelled_destroy(mly_modelled *modelled)
{
    if (!modelled)
        return;
    mly_free(modelled->nodes);
    mly_free(modelled->tensor_bytes);
    mly_free(modelled->tensor_elements);
    mly_free(modelled->constant);
    mly_free(modelled);
}

/* --- segments --- */

bool mly__modelled_has(const struct mly__modelled_segment *segment, uint32_t node)
{
    if (!segment->nodes)
        return node < segment->count;
    uint32_t low = 0, high = segment->count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (segment->nodes[middle] < node)
            low = middle + 1;
        else
            high = middle;
    }
    return low < segment->count && segment->nodes[low] == node;
}

bool mly__modelled_is_free(const struct mly__modelled_segment *segment, uint32_t node)
{
    const struct mly_graph *graph = segment->modelled->graph;
    enum mly__modelled_kind kind = segment->modelled->nodes[node].kind;
    if (kind != MLY__MODELLED_FOLLOWS)
        return kind == MLY__MODELLED_VIEW;
    if (graph->nodes[node].input_count == 0 || graph->nodes[node].inputs[0] == MLY_NO_INDEX)
        return false;
    uint32_t producer = graph->tensors[graph->nodes[node].inputs[0]].producer;
    return producer != MLY_NO_INDEX && mly__modelled_has(segment, producer);
}

/* Whether the segment's first reader of a tensor is that node. */
static bool reads_first(const struct mly__modelled_segment *segment, uint32_t tensor, uint32_t node)
{
    const struct mly_graph_tensor *read = &segment->modelled->graph->tensors[tensor];
    for (uint32_t i = 0; i < read->consumer_count && read->consumers[i] < node; i++)
        if (mly__modelled_has(segment, read->consumers[i]))
            return false;
    return true;
}

/* Position in the segment of a tensor's last reader there; count if it is wanted outside. */
static uint32_t last_read(const struct mly__modelled_segment *segment, uint32_t tensor,
                          uint32_t position)
{
    const struct mly_graph_tensor *made = &segment->modelled->graph->tensors[tensor];
    uint32_t last = position;
    if (made->is_output)
        return segment->count;
    for (uint32_t i = 0; i < made->consumer_count; i++) {
        if (!mly__modelled_has(segment, made->consumers[i])) {
            if (segment->nodes && made->producer != MLY_NO_INDEX &&
                mly__modelled_has(segment, made->producer))
                return segment->count;
            continue;
        }
        uint32_t low = last;
        while (mly__modelled_node_at(segment, low) < made->consumers[i])
            low++;
        last = low;
    }
    return last;
}

struct crossing {
    const struct mly__modelled_segment *segment;
    const double *sizes; /* by tensor */
    double *change;      /* [count + 1]: bytes that begin to live at a place less those that end */
    struct mly_modelled_cost *out;
};

static void hold(const struct crossing *crossing, uint32_t tensor, uint32_t from)
{
    uint32_t last = last_read(crossing->segment, tensor, from);
    crossing->change[from] += crossing->sizes[tensor];
    if (last < crossing->segment->count)
        crossing->change[last + 1] -= crossing->sizes[tensor];
}

static void add_inputs(const struct crossing *crossing, const uint32_t *tensors, uint32_t count,
                       uint32_t position)
{
    const struct mly__modelled_segment *segment = crossing->segment;
    const mly_modelled *modelled = segment->modelled;
    uint32_t node = mly__modelled_node_at(segment, position);
    for (uint32_t i = 0; i < count; i++) {
        uint32_t tensor = tensors[i], k = 0;
        if (tensor == MLY_NO_INDEX || modelled->constant[tensor])
            continue;
        while (k < i && i <= 64 && tensors[k] != tensor)
            k++;
        if (i <= 64 && k < i)
            continue; /* read twice by one node */
        uint32_t producer = modelled->graph->tensors[tensor].producer;
        if ((producer != MLY_NO_INDEX && mly__modelled_has(segment, producer)) ||
            !reads_first(segment, tensor, node))
            continue;
        crossing->out->input_bytes += crossing->sizes[tensor];
        hold(crossing, tensor, position);
    }
}

static void add_outputs(const struct crossing *crossing, uint32_t position)
{
    const struct mly__modelled_segment *segment = crossing->segment;
    const mly_modelled *modelled = segment->modelled;
    const struct mly_graph_node *node =
        &modelled->graph->nodes[mly__modelled_node_at(segment, position)];
    for (uint32_t i = 0; i < node->output_count; i++) {
        uint32_t tensor = node->outputs[i];
        if (tensor == MLY_NO_INDEX ||
            (modelled->constant[tensor] && !modelled->graph->tensors[tensor].is_output))
            continue;
        if (last_read(segment, tensor, position) == segment->count)
            crossing->out->output_bytes += crossing->sizes[tensor];
        hold(crossing, tensor, position);
    }
}

/* Bytes over the border, and the peak of what is live at once. */
static enum mly_status cross(const struct mly__modelled_segment *segment,
                             struct mly_modelled_cost *out, struct mly_error *err)
{
    const mly_modelled *modelled = segment->modelled;
    struct crossing crossing = {
        .segment = segment,
        .sizes = modelled->device->family == MLY_DEVICE_EDGETPU ? modelled->tensor_elements
                                                                : modelled->tensor_bytes,
        .change = mly_alloc_array((size_t)segment->count + 1, sizeof(double)),
        .out = out,
    };
    double live = 0;
    if (!crossing.change)
        return mly_error_set(err, MLY_E_NO_MEMORY, "no memory for the costs of a segment on %s",
                             modelled->device->name);
    for (uint32_t i = 0; i < segment->count; i++) {
        const struct mly_graph_node *node =
            &modelled->graph->nodes[mly__modelled_node_at(segment, i)];
        add_inputs(&crossing, node->inputs, node->input_count, i);
        add_inputs(&crossing, node->captured, node->captured_count, i);
        add_outputs(&crossing, i);
    }
    for (uint32_t i = 0; i < segment->count; i++) {
        live += crossing.change[i];
        out->activation_bytes = live > out->activation_bytes ? live : out->activation_bytes;
    }
    mly_free(crossing.change);
    return MLY_OK;
}

enum mly_status mly_modelled_segment(const mly_modelled *modelled, const uint32_t *nodes,
                                     uint32_t count, struct mly_modelled_cost *out,
                                     struct mly_error *err)
{
    const struct mly_device_model *device = modelled->device;
    const struct mly__modelled_segment segment = {
        .modelled = modelled,
        .nodes = count ? nodes : NULL,
        .count = count ? count : modelled->graph->node_count,
    };
    struct mly_modelled_cost cost = {0};
    enum mly_status status = cross(&segment, &cost, err);
    if (!status)
        status = device->family == MLY_DEVICE_EDGETPU
                     ? mly__modelled_edgetpu(&segment, &cost, err)
                     : mly__modelled_roofline(&segment, &cost, err);
    if (status)
        return status;
    cost.input_ns = mly_device_link_ns(&device->to_device, cost.input_bytes);
    cost.output_ns = mly_device_link_ns(&device->to_host, cost.output_bytes);
    cost.energy_j = (device->active_w - device->idle_w) * cost.execution_ns * 1e-9;
    *out = cost;
    return MLY_OK;
}

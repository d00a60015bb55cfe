/* Flows: numbering the tensors that go in, come out and pass between segments. */
#include "runtime/flow.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "model/graph.h"

static enum mly_status out_of_memory(struct mly_error *err)
{
    return mly_error_set(err, MLY_E_NO_MEMORY, "no memory to lay out the plan's segments");
}

/*
 * While linking: for every graph tensor the slot that holds it for readers, and the one its maker
 * writes.
 */
struct link {
    struct mly_flow *flow;
    uint32_t *read, *write;
    struct mly_error *err;
};

/* "'conv1'" or, without a model, "17"; for messages. */
static const char *tensor_name(const struct mly_flow *flow, uint32_t tensor, char buffer[32])
{
    if (flow->model)
        return mly_model_graph(flow->model)->tensors[tensor].name;
    snprintf(buffer, 32, "%" PRIu32, tensor);
    return buffer;
}

static uint32_t largest_tensor(const struct mly_flow *flow)
{
    uint32_t largest = 0;
#define MLY_CONSIDER(array, count)                                                                 \
    for (uint32_t i_ = 0; i_ < (count); i_++)                                                      \
    largest = (array)[i_] > largest ? (array)[i_] : largest
    MLY_CONSIDER(flow->input_tensors, flow->input_count);
    MLY_CONSIDER(flow->output_tensors, flow->output_count);
    for (uint32_t s = 0; s < flow->segment_count; s++) {
        MLY_CONSIDER(flow->segments[s].inputs, flow->segments[s].input_count);
        MLY_CONSIDER(flow->segments[s].outputs, flow->segments[s].output_count);
    }
#undef MLY_CONSIDER
    return largest;
}

static void add_slot(struct link *link, uint32_t tensor, uint32_t *map)
{
    struct mly_flow *flow = link->flow;
    map[tensor] = flow->slot_count;
    flow->slots[flow->slot_count++] =
        (struct mly_flow_slot){.tensor = tensor, .producer = MLY_NO_INDEX};
}

/* A segment's inputs become slots that exist by then; its outputs become slots that it makes. */
static enum mly_status link_segment(struct link *link, uint32_t index)
{
    struct mly_flow *flow = link->flow;
    struct mly_flow_segment *segment = &flow->segments[index];
    char buffer[32];
    for (uint32_t i = 0; i < segment->input_count; i++) {
        uint32_t tensor = segment->inputs[i], slot = link->read[tensor];
        if (slot == MLY_NO_INDEX)
            return mly_error_set(link->err, MLY_E_INVALID,
                                 "segment '%s' reads tensor '%s', which no earlier segment makes",
                                 segment->name, tensor_name(flow, tensor, buffer));
        segment->inputs[i] = slot;
    }
    for (uint32_t i = 0; i < segment->output_count; i++) {
        uint32_t tensor = segment->outputs[i];
        if (link->write[tensor] == MLY_NO_INDEX)
            add_slot(link, tensor, link->write);
        uint32_t slot = link->write[tensor];
        if (flow->slots[slot].producer != MLY_NO_INDEX)
            return mly_error_set(link->err, MLY_E_INVALID,
                                 "segments '%s' and '%s' both make tensor '%s'",
                                 flow->segments[flow->slots[slot].producer].name, segment->name,
                                 tensor_name(flow, tensor, buffer));
        flow->slots[slot].producer = index;
        if (link->read[tensor] == MLY_NO_INDEX)
            link->read[tensor] = slot;
        segment->outputs[i] = slot;
    }
    if (segment->input_count > flow->max_inputs)
        flow->max_inputs = segment->input_count;
    if (segment->output_count > flow->max_outputs)
        flow->max_outputs = segment->output_count;
    return MLY_OK;
}

static enum mly_status link_slots(struct link *link)
{
    struct mly_flow *flow = link->flow;
    for (uint32_t i = 0; i < flow->output_count; i++)
        add_slot(link, flow->output_tensors[i], link->write);
    for (uint32_t i = 0; i < flow->input_count; i++)
        add_slot(link, flow->input_tensors[i], link->read);
    for (uint32_t s = 0; s < flow->segment_count; s++) {
        enum mly_status status = link_segment(link, s);
        if (status != MLY_OK)
            return status;
    }
    for (uint32_t i = 0; i < flow->output_count; i++) {
        char buffer[32];
        if (flow->slots[i].producer == MLY_NO_INDEX)
            return mly_error_set(link->err, MLY_E_UNSUPPORTED,
                                 "output '%s' is made by no segment (it is an input, a constant "
                                 "or listed twice): run this model as one segment",
                                 tensor_name(flow, flow->output_tensors[i], buffer));
    }
    return MLY_OK;
}

/* Each slot's readers, ascending, once each. flow->consumers has room for all. */
static void list_consumers(struct mly_flow *flow)
{
    uint32_t *next = flow->consumers;
    for (uint32_t slot = 0; slot < flow->slot_count; slot++) {
        struct mly_flow_slot *s = &flow->slots[slot];
        s->consumers = next;
        for (uint32_t k = 0; k < flow->segment_count; k++) {
            const struct mly_flow_segment *segment = &flow->segments[k];
            bool reads = false;
            for (uint32_t i = 0; i < segment->input_count && !reads; i++)
                reads = segment->inputs[i] == slot;
            if (reads)
                s->consumers[s->consumer_count++] = k;
        }
        next += s->consumer_count;
    }
}

enum mly_status mly_flow_link(struct mly_flow *flow, struct mly_error *err)
{
    struct link link = {.flow = flow, .err = err};
    size_t tensors = (size_t)largest_tensor(flow) + 1;
    size_t slots = (size_t)flow->output_count + flow->input_count, readers = 0;
    for (uint32_t s = 0; s < flow->segment_count; s++) {
        slots += flow->segments[s].output_count;
        readers += flow->segments[s].input_count;
    }
    enum mly_status status = MLY_E_NO_MEMORY;
    link.read = mly_alloc_array(tensors, sizeof *link.read);
    link.write = mly_alloc_array(tensors, sizeof *link.write);
    flow->slots = mly_alloc_array(slots, sizeof *flow->slots);
    flow->consumers = mly_alloc_array(readers, sizeof *flow->consumers);
    if (!link.read || !link.write || !flow->slots || !flow->consumers) {
        status = out_of_memory(err);
    } else {
        memset(link.read, 0xFF, tensors * sizeof *link.read); /* MLY_NO_INDEX */
        memset(link.write, 0xFF, tensors * sizeof *link.write);
        status = link_slots(&link);
    }
    if (status == MLY_OK)
        list_consumers(flow);
    mly_free(link.read);
    mly_free(link.write);
    return status;
}

void mly_flow_fini(struct mly_flow *flow)
{
    for (uint32_t i = 0; i < flow->segment_count; i++) {
        struct mly_flow_segment *segment = &flow->segments[i];
        mly_free(segment->name);
        mly_free(segment->inputs);
        mly_free(segment->outputs);
        mly_free(segment->processors);
        mly_free(segment->warm_shapes);
        mly_free(segment->warm_dtypes);
        mly_free(segment->costs);
        mly_free(segment->shares);
        mly_segment_fini(&segment->cut);
    }
    for (uint32_t i = 0; i < flow->processor_count; i++)
        mly_free(flow->processors[i].device.cpus);
    mly_free(flow->segments);
    mly_free(flow->processors);
    mly_free(flow->links);
    mly_free(flow->inputs);
    mly_free(flow->outputs);
    mly_free(flow->input_tensors);
    mly_free(flow->output_tensors);
    mly_free(flow->ladder);
    mly_free(flow->slots);
    mly_free(flow->consumers);
    *flow = (struct mly_flow){0};
}

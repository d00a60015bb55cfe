/*
 * What a run of these input shapes takes on a modelled processor. Batch and other free dimensions are
 * read off the inputs by their names in the graph, and given to the model as bindings.
 */
#include <string.h>

#include "base/alloc.h"
#include "cost/modelled.h"
#include "modelled_session.h"

enum { BINDINGS_MAX = 64 };

struct bindings {
    int64_t batch;
    struct mly_dim_binding items[BINDINGS_MAX];
    size_t count;
};

static bool is_bound(const struct bindings *bindings, const char *name)
{
    for (size_t i = 0; i < bindings->count; i++)
        if (strcmp(bindings->items[i].name, name) == 0)
            return true;
    return false;
}

/* The name of the batch, or NULL where it is fixed. */
static const char *batch_name(const mly_model *model)
{
    const struct mly_graph *graph = mly_model_graph(model);
    if (mly_model_fixed_batch(model) != 0 || graph->input_count == 0)
        return NULL;
    return graph->tensors[graph->inputs[0]].dim_names[0];
}

static void read_bindings(const struct mly__modelled_session *s, const struct mly_tensor *inputs,
                          struct bindings *out)
{
    const struct mly_graph *graph = mly_model_graph(s->model);
    const char *batch = batch_name(s->model);
    int64_t fixed = mly_model_fixed_batch(s->model);
    *out = (struct bindings){.batch = fixed > 0 ? fixed : 1};
    for (uint32_t i = 0; i < s->info.input_count; i++) {
        const struct mly_graph_tensor *tensor = &graph->tensors[s->segment->inputs[i]];
        for (int32_t d = 0; d < tensor->shape.rank; d++) {
            const char *name = tensor->dim_names[d];
            if (tensor->shape.dims[d] >= 0 || !name || name[0] == '\0')
                continue;
            if (batch && strcmp(name, batch) == 0)
                out->batch = inputs[i].shape.dims[d];
            else if (out->count < BINDINGS_MAX && !is_bound(out, name))
                out->items[out->count++] = (struct mly_dim_binding){name, inputs[i].shape.dims[d]};
        }
    }
}

/* Shapes of what would come out; sizes that nothing tells count as 1, as they do in its cost. */
static enum mly_status fill_outputs(const struct mly__modelled_session *s,
                                    const struct bindings *bindings, struct mly_shape *out,
                                    struct mly_error *err)
{
    const struct mly_graph *graph = mly_model_graph(s->model);
    struct mly_shape *shapes = mly_alloc_array(graph->tensor_count, sizeof *shapes);
    if (!shapes)
        return mly_error_set(err, MLY_E_NO_MEMORY, "memory is short");
    enum mly_status status =
        mly_graph_bind(s->model, bindings->batch, bindings->items, bindings->count, shapes, err);
    for (uint32_t i = 0; i < s->info.output_count && status == MLY_OK; i++) {
        out[i] = shapes[s->segment->outputs[i]];
        if (out[i].rank < 0)
            out[i].rank = 0;
        for (int32_t d = 0; d < out[i].rank; d++)
            if (out[i].dims[d] < 0)
                out[i].dims[d] = 1;
    }
    mly_free(shapes);
    return status;
}

static enum mly_status work_out(const struct mly__modelled_session *s,
                                const struct mly_tensor *inputs,
                                struct mly__modelled_timing *timing, struct mly_error *err)
{
    struct bindings bindings;
    mly_modelled *modelled = NULL;
    struct mly_modelled_cost cost;
    read_bindings(s, inputs, &bindings);
    enum mly_status status = mly_modelled_create(s->device, s->model, (uint32_t)bindings.batch,
                                                 bindings.items, bindings.count, &modelled, err);
    if (status == MLY_OK)
        status =
            mly_modelled_segment(modelled, s->segment->nodes, s->segment->node_count, &cost, err);
    mly_modelled_destroy(modelled);
    if (status != MLY_OK)
        return mly_error_prefix(err, status, "%s (modelled)", s->processor);
    timing->run_ns = cost.input_ns + cost.execution_ns + cost.output_ns;
    timing->first_ns = cost.first_ns;
    timing->energy_j = cost.energy_j;
    timing->input_ns = cost.input_ns;
    timing->output_ns = cost.output_ns;
    timing->input_bytes = cost.input_bytes;
    timing->output_bytes = cost.output_bytes;
    for (uint32_t i = 0; i < s->info.input_count; i++)
        timing->shapes[i] = inputs[i].shape;
    return fill_outputs(s, &bindings, timing->shapes + s->info.input_count, err);
}

static bool matches(const struct mly__modelled_session *s,
                    const struct mly__modelled_timing *timing, const struct mly_tensor *inputs)
{
    for (uint32_t i = 0; i < s->info.input_count; i++)
        if (!mly_shape_equal(&timing->shapes[i], &inputs[i].shape))
            return false;
    return true;
}

enum mly_status mly__modelled_timing(struct mly__modelled_session *s,
                                     const struct mly_tensor *inputs,
                                     struct mly__modelled_timing **out, struct mly_error *err)
{
    for (uint32_t i = 0; i < s->timing_count; i++) {
        if (matches(s, &s->timings[i], inputs)) {
            *out = &s->timings[i];
            return MLY_OK;
        }
    }
    struct mly__modelled_timing timing = {0};
    timing.shapes = mly_alloc_array((size_t)s->info.input_count + s->info.output_count + 1,
                                    sizeof *timing.shapes);
    if (!timing.shapes)
        return mly_error_set(err, MLY_E_NO_MEMORY, "memory is short");
    enum mly_status status = work_out(s, inputs, &timing, err);
    if (status != MLY_OK) {
        mly_free(timing.shapes);
        return status;
    }
    struct mly__modelled_timing *place = &s->timings[s->next_timing];
    s->next_timing = (s->next_timing + 1) % MLY__MODELLED_TIMINGS;
    if (s->timing_count < MLY__MODELLED_TIMINGS)
        s->timing_count++;
    mly_free(place->shapes);
    *place = timing;
    *out = place;
    return MLY_OK;
}

void mly__modelled_timings_fini(struct mly__modelled_session *s)
{
    for (uint32_t i = 0; i < s->timing_count; i++)
        mly_free(s->timings[i].shapes);
}

/*
 * The batch: which symbols stand for it, and shapes for one size of it.
 *
 * 1. The batch size is free if the first input's dimension 0 is symbolic. If that symbol has no
 * name, every other input must have a symbolic dimension 0 too, else there is no telling which of
 * them grow together, and the batch counts as fixed at 1.
 * 2. Symbols without a name get one, so that a runtime's shape inference carries it through the
 * graph.
 * 3. Names of dimension 0 of all inputs stand for the batch if all are symbolic, else that of the
 * first input alone.
 */
#include <stdlib.h>
#include <string.h>

#include "model.h"

#define BATCH_NAME "motley_batch"

static bool is_symbolic(const struct mly_graph_tensor *tensor)
{
    return tensor->shape.rank > 0 && tensor->shape.dims[0] < 0;
}

static bool all_symbolic(const struct mly_graph *graph)
{
    for (uint32_t i = 0; i < graph->input_count; i++) {
        if (!is_symbolic(&graph->tensors[graph->inputs[i]])) {
            return false;
        }
    }
    return true;
}

/* 1. */
static int64_t fixed_batch(const struct mly_graph *graph)
{
    if (graph->input_count == 0) {
        return 1;
    }
    const struct mly_graph_tensor *first = &graph->tensors[graph->inputs[0]];
    if (first->shape.rank <= 0) {
        return 1;
    }
    if (first->shape.dims[0] >= 0) {
        return first->shape.dims[0] > 0 ? first->shape.dims[0] : 1; /* 0 would read as free */
    }
    return first->dim_names[0][0] != '\0' || all_symbolic(graph) ? 0 : 1;
}

static bool is_batch_symbol(const mly_model *model, const char *name)
{
    for (size_t i = 0; i < model->batch_symbol_count; i++) {
        if (strcmp(model->batch_symbols[i], name) == 0) {
            return true;
        }
    }
    return false;
}

static void fill_ports(const mly_model *model, const uint32_t *tensors, uint32_t count,
                       struct mly_port *ports)
{
    for (uint32_t i = 0; i < count; i++) {
        const struct mly_graph_tensor *tensor = &model->graph.tensors[tensors[i]];
        ports[i] =
            (struct mly_port){.name = tensor->name, .dtype = tensor->dtype, .shape = tensor->shape};
        memcpy(ports[i].dim_names, tensor->dim_names, sizeof ports[i].dim_names);
    }
}

void mly__graph_refresh_outputs(mly_model *model)
{
    fill_ports(model, model->graph.outputs, model->graph.output_count, model->outputs);
}

static enum mly_status list_ports(mly_model *model, const uint32_t *tensors, uint32_t count,
                                  struct mly_port **out, struct mly_error *err)
{
    struct mly_port *ports = mly__arena_alloc(&model->arena, (size_t)count + 1, sizeof *ports);
    if (ports == NULL) {
        return mly__no_memory(err);
    }
    fill_ports(model, tensors, count, ports);
    *out = ports;
    return MLY_OK;
}

enum mly_status mly__graph_set_batch(mly_model *model, struct mly_error *err)
{
    struct mly_graph *graph = &model->graph;
    enum mly_status status =
        list_ports(model, graph->inputs, graph->input_count, &model->inputs, err);
    if (status == MLY_OK) {
        status = list_ports(model, graph->outputs, graph->output_count, &model->outputs, err);
    }
    if (status != MLY_OK) {
        return status;
    }
    model->fixed_batch = fixed_batch(graph);
    if (model->fixed_batch != 0) {
        return MLY_OK;
    }
    model->batch_symbols =
        mly__arena_alloc(&model->arena, graph->input_count, sizeof *model->batch_symbols);
    if (model->batch_symbols == NULL) {
        return mly__no_memory(err);
    }
    /* 2. and 3. */
    const uint32_t batched = all_symbolic(graph) ? graph->input_count : 1;
    for (uint32_t i = 0; i < batched; i++) {
        struct mly_graph_tensor *tensor = &graph->tensors[graph->inputs[i]];
        if (tensor->dim_names[0][0] == '\0') {
            tensor->dim_names[0] = BATCH_NAME;
        }
        if (!is_batch_symbol(model, tensor->dim_names[0])) {
            model->batch_symbols[model->batch_symbol_count++] = tensor->dim_names[0];
        }
    }
    return MLY_OK;
}

int64_t mly_model_fixed_batch(const mly_model *model)
{
    return model->fixed_batch;
}

const char *const *mly_graph_batch_symbols(const mly_model *model, size_t *count)
{
    *count = model->batch_symbol_count;
    return model->batch_symbols;
}

/* "12*N" is twelve times what N is. */
static const char *split_factor(const char *name, int64_t *factor)
{
    char *end;
    *factor = 1;
    if (name[0] < '1' || name[0] > '9') {
        return name;
    }
    long long value = strtoll(name, &end, 10);
    if (*end != '*' || end[1] == '\0' || value > INT32_MAX) {
        return name;
    }
    *factor = value;
    return end + 1;
}

static int64_t bind_dim(const mly_model *model, const char *name, int64_t batch,
                        const struct mly_dim_binding *bindings, size_t count)
{
    int64_t factor, size = MLY_DIM_UNKNOWN;
    if (name[0] == '\0') {
        return MLY_DIM_UNKNOWN;
    }
    for (size_t i = 0; i < count; i++) {
        if (strcmp(bindings[i].name, name) == 0) {
            return bindings[i].size;
        }
    }
    name = split_factor(name, &factor);
    if (is_batch_symbol(model, name)) {
        size = batch;
    }
    for (size_t i = 0; i < count; i++) {
        if (strcmp(bindings[i].name, name) == 0) {
            size = bindings[i].size;
        }
    }
    if (size < 0 || (size > 0 && factor > INT64_MAX / size)) {
        return MLY_DIM_UNKNOWN;
    }
    return size * factor;
}

enum mly_status mly_graph_bind(const mly_model *model, int64_t batch,
                               const struct mly_dim_binding *bindings, size_t binding_count,
                               struct mly_shape *shapes, struct mly_error *err)
{
    if (batch < 1) {
        return mly_error_set(err, MLY_E_INVALID, "batch %lld: it must be at least 1",
                             (long long)batch);
    }
    if (model->fixed_batch > 0 && batch != model->fixed_batch) {
        return mly_error_set(err, MLY_E_INVALID, "batch %lld: the model's batch is fixed at %lld",
                             (long long)batch, (long long)model->fixed_batch);
    }
    for (size_t i = 0; i < binding_count; i++) {
        if (bindings[i].size < 0) {
            return mly_error_set(err, MLY_E_INVALID,
                                 "dimension '%.200s' bound to %lld: it must not be negative",
                                 bindings[i].name, (long long)bindings[i].size);
        }
    }
    for (uint32_t i = 0; i < model->graph.tensor_count; i++) {
        const struct mly_graph_tensor *tensor = &model->graph.tensors[i];
        struct mly_shape shape = tensor->shape;
        for (int32_t k = 0; k < shape.rank; k++) {
            if (shape.dims[k] < 0) {
                shape.dims[k] =
                    bind_dim(model, tensor->dim_names[k], batch, bindings, binding_count);
            }
        }
        shapes[i] = shape;
    }
    return MLY_OK;
}

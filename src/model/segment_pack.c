/*
 * Serialising a segment without copying weights.
 *
 * 1. The messages are shallow: structs and lists of pointers of our own around the model's
 * messages.
 * 2. An initialiser whose data lies in a mapped file and is large becomes external data that names
 * the region. Data within sub-graphs and attributes stays inline, where runtimes need it.
 * 3. A Constant node with a large tensor is written as the initialiser that it stands for.
 * 4. The IR version is at least 4, the first in which an initialiser need not be an input, and so
 * is a constant.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "segment_private.h"
#include "skeleton.h"

#define IR_VERSION_CONSTANTS 4

static void *make(struct mly__cut *cut, size_t count, size_t bytes)
{
    return mly__arena_alloc(&cut->arena, count + 1, bytes);
}

/* The region that holds the tensor's large data, or SIZE_MAX. */
static size_t region_of(const mly_model *model, const Onnx__TensorProto *tensor)
{
    if (!tensor->has_raw_data || tensor->raw_data.len < MLY__LARGE_TENSOR_BYTES) {
        return SIZE_MAX;
    }
    const uintptr_t at = (uintptr_t)tensor->raw_data.data;
    for (size_t i = 0; i < model->region_count; i++) {
        const uintptr_t begin = (uintptr_t)model->regions[i].map.data;
        if (at >= begin && at - begin < model->regions[i].map.length) {
            return i;
        }
    }
    return SIZE_MAX;
}

static Onnx__StringStringEntryProto *entry(struct mly__cut *cut, const char *key, const char *value)
{
    Onnx__StringStringEntryProto *result = make(cut, 1, sizeof *result);
    char *kept = mly__arena_strdup(&cut->arena, value);
    if (result == NULL || kept == NULL) {
        return NULL;
    }
    onnx__string_string_entry_proto__init(result);
    result->key = (char *)(uintptr_t)key;
    result->value = kept;
    return result;
}

/* 2. NULL when memory is short. */
static Onnx__TensorProto *external(struct mly__cut *cut, const Onnx__TensorProto *tensor,
                                   size_t region)
{
    const struct mly__region *at = &cut->model->regions[region];
    Onnx__TensorProto *copy = make(cut, 1, sizeof *copy);
    Onnx__StringStringEntryProto **entries = make(cut, 3, sizeof *entries);
    if (copy == NULL || entries == NULL) {
        return NULL;
    }
    char offset[24];
    char length[24];
    snprintf(offset, sizeof offset, "%zu", (size_t)(tensor->raw_data.data - at->map.data));
    snprintf(length, sizeof length, "%zu", tensor->raw_data.len);
    entries[0] = entry(cut, "location", at->name);
    entries[1] = entry(cut, "offset", offset);
    entries[2] = entry(cut, "length", length);
    if (entries[0] == NULL || entries[1] == NULL || entries[2] == NULL) {
        return NULL;
    }
    *copy = *tensor;
    copy->has_raw_data = 0;
    copy->raw_data = (ProtobufCBinaryData){0};
    copy->n_external_data = 3;
    copy->external_data = entries;
    copy->has_data_location = 1;
    copy->data_location = ONNX__TENSOR_PROTO__DATA_LOCATION__EXTERNAL;
    cut->region_used[region] = true;
    return copy;
}

/* As an initialiser of that name: by reference where it pays. NULL when memory is short. */
static Onnx__TensorProto *initialiser(struct mly__cut *cut, const Onnx__TensorProto *tensor,
                                      const char *name)
{
    const size_t region = region_of(cut->model, tensor);
    if (region == SIZE_MAX) {
        return (Onnx__TensorProto *)(uintptr_t)tensor;
    }
    Onnx__TensorProto *copy = external(cut, tensor, region);
    if (copy != NULL) {
        copy->name = (char *)(uintptr_t)name;
    }
    return copy;
}

/* 3. The tensor of a Constant node that is to be an initialiser, or NULL. */
static const Onnx__TensorProto *large_constant(const mly_model *model, uint32_t node)
{
    if (!mly__is_constant(&model->graph, node)) {
        return NULL;
    }
    const Onnx__AttributeProto *value = mly__pb_attribute(model->node_protos[node], "value");
    return value != NULL && value->t != NULL && region_of(model, value->t) != SIZE_MAX ? value->t
                                                                                       : NULL;
}

/* The node itself or, if that may be, the initialiser that it stands for. */
static enum mly_status pack_node(struct mly__cut *cut, Onnx__GraphProto *graph, uint32_t node,
                                 bool may_be_initialiser, struct mly_error *err)
{
    const mly_model *model = cut->model;
    const Onnx__TensorProto *constant = may_be_initialiser ? large_constant(model, node) : NULL;
    if (constant == NULL) {
        graph->node[graph->n_node++] = (Onnx__NodeProto *)(uintptr_t)model->node_protos[node];
        return MLY_OK;
    }
    const uint32_t made = model->graph.nodes[node].outputs[0];
    Onnx__TensorProto *tensor = initialiser(cut, constant, model->graph.tensors[made].name);
    if (tensor == NULL) {
        return mly__no_memory(err);
    }
    graph->initializer[graph->n_initializer++] = tensor;
    return MLY_OK;
}

static enum mly_status pack_nodes(struct mly__cut *cut, Onnx__GraphProto *graph,
                                  struct mly_error *err)
{
    const mly_model *model = cut->model;
    const struct mly_segment *out = cut->out;
    uint32_t constants = 0;
    for (uint32_t i = 0; i < out->node_count; i++) {
        constants += large_constant(model, out->nodes[i]) != NULL;
    }
    if (constants == out->node_count) {
        constants = 0; /* a graph without nodes is none */
    }
    size_t stored = 0;
    size_t copied = 0;
    for (uint32_t i = 0; i < model->graph.tensor_count; i++) {
        stored += (cut->role[i] & MLY__STORED) != 0;
        copied += (cut->role[i] & MLY__COPIED) != 0;
    }
    graph->n_node = 0;
    graph->node = make(cut, out->node_count + copied, sizeof *graph->node);
    graph->n_initializer = 0;
    graph->initializer = make(cut, stored + constants + copied, sizeof *graph->initializer);
    graph->n_sparse_initializer = 0;
    graph->sparse_initializer = make(cut, stored, sizeof *graph->sparse_initializer);
    if (graph->node == NULL || graph->initializer == NULL || graph->sparse_initializer == NULL) {
        return mly__no_memory(err);
    }
    for (uint32_t i = 0; i < model->graph.tensor_count; i++) {
        if ((cut->role[i] & MLY__STORED) == 0) {
            continue;
        }
        if (model->sparse[i] != NULL) {
            graph->sparse_initializer[graph->n_sparse_initializer++] =
                (Onnx__SparseTensorProto *)(uintptr_t)model->sparse[i];
            continue;
        }
        Onnx__TensorProto *tensor =
            initialiser(cut, model->initialisers[i], model->graph.tensors[i].name);
        if (tensor == NULL) {
            return mly__no_memory(err);
        }
        graph->initializer[graph->n_initializer++] = tensor;
    }
    enum mly_status status = MLY_OK;
    /* Constants first: other copied nodes may read them */
    for (unsigned others = 0; others < 2; others++) {
        for (uint32_t i = 0; i < model->graph.tensor_count && status == MLY_OK; i++) {
            const uint32_t producer = model->graph.tensors[i].producer;
            if ((cut->role[i] & MLY__COPIED) != 0 &&
                mly__is_constant(&model->graph, producer) == (others == 0)) {
                status = pack_node(cut, graph, producer, true, err);
            }
        }
    }
    for (uint32_t i = 0; i < out->node_count && status == MLY_OK; i++) {
        status = pack_node(cut, graph, out->nodes[i], constants > 0, err);
    }
    return status;
}

static bool says_the_same(const Onnx__ValueInfoProto *info, const struct mly_graph_tensor *tensor)
{
    struct mly_value_type type;
    if (mly__pb_value_type(info->type, &type, NULL) != MLY_OK || type.dtype != tensor->dtype ||
        !mly_shape_equal(&type.shape, &tensor->shape)) {
        return false;
    }
    for (int32_t i = 0; i < type.shape.rank; i++) {
        if (strcmp(type.dim_names[i], tensor->dim_names[i]) != 0) {
            return false;
        }
    }
    return true;
}

/* What the file says of the tensor, or what became known since. NULL when memory is short. */
static Onnx__ValueInfoProto *value_info(struct mly__cut *cut, uint32_t index)
{
    const struct mly_graph_tensor *tensor = &cut->model->graph.tensors[index];
    const Onnx__ValueInfoProto *known = cut->model->value_infos[index];
    if (known != NULL && (tensor->dtype == MLY_DTYPE_UNDEFINED || tensor->is_sequence_or_optional ||
                          says_the_same(known, tensor))) {
        return (Onnx__ValueInfoProto *)(uintptr_t)known;
    }
    /* A sequence of unknown elements is left to the runtime to infer: only its name is written. */
    struct mly_value_type type = {.name = tensor->name, .shape = tensor->shape};
    if (!tensor->is_sequence_or_optional) {
        type.dtype = tensor->dtype;
    }
    memcpy(type.dim_names, tensor->dim_names, sizeof type.dim_names);
    return mly__pb_value_info(&cut->arena, &type, known);
}

static enum mly_status pack_ports(struct mly__cut *cut, const uint32_t *tensors, uint32_t count,
                                  size_t *n, Onnx__ValueInfoProto ***list, struct mly_error *err)
{
    *n = 0;
    *list = make(cut, count, sizeof **list);
    if (*list == NULL) {
        return mly__no_memory(err);
    }
    for (uint32_t i = 0; i < count; i++) {
        (*list)[*n] = value_info(cut, tensors[i]);
        if ((*list)[*n] == NULL) {
            return mly__no_memory(err);
        }
        (*n)++;
    }
    return MLY_OK;
}

/* value_info and quantisation notes of the tensors that the segment touches. */
static enum mly_status pack_notes(struct mly__cut *cut, Onnx__GraphProto *graph,
                                  struct mly_error *err)
{
    const mly_model *model = cut->model;
    const Onnx__GraphProto *from = model->proto->graph;
    graph->n_value_info = 0;
    graph->value_info = make(cut, from->n_value_info, sizeof *graph->value_info);
    graph->n_quantization_annotation = 0;
    graph->quantization_annotation =
        make(cut, from->n_quantization_annotation, sizeof *graph->quantization_annotation);
    if (graph->value_info == NULL || graph->quantization_annotation == NULL) {
        return mly__no_memory(err);
    }
    for (size_t i = 0; i < from->n_value_info; i++) {
        const uint32_t index =
            mly_graph_find_tensor(&model->graph, mly__text(from->value_info[i]->name));
        if (index != MLY_NO_INDEX && (cut->role[index] & MLY__TOUCHED) != 0 &&
            (cut->role[index] & (MLY__GOES_IN | MLY__GOES_OUT)) == 0 &&
            model->value_infos[index] == from->value_info[i]) {
            graph->value_info[graph->n_value_info++] = from->value_info[i];
        }
    }
    for (size_t i = 0; i < from->n_quantization_annotation; i++) {
        const uint32_t index = mly_graph_find_tensor(
            &model->graph, mly__text(from->quantization_annotation[i]->tensor_name));
        if (index != MLY_NO_INDEX && (cut->role[index] & MLY__TOUCHED) != 0) {
            graph->quantization_annotation[graph->n_quantization_annotation++] =
                from->quantization_annotation[i];
        }
    }
    return MLY_OK;
}

static enum mly_status list_regions(struct mly__cut *cut, struct mly_error *err)
{
    const mly_model *model = cut->model;
    struct mly_segment *out = cut->out;
    out->regions = mly_alloc_array(model->region_count + 1, sizeof *out->regions);
    if (out->regions == NULL) {
        return mly__no_memory(err);
    }
    for (size_t i = 0; i < model->region_count; i++) {
        if (cut->region_used[i]) {
            out->regions[out->region_count++] =
                (struct mly_weight_region){.name = model->regions[i].name,
                                           .data = model->regions[i].map.data,
                                           .length = model->regions[i].map.length};
        }
    }
    return MLY_OK;
}

enum mly_status mly__segment_pack(struct mly__cut *cut, struct mly_error *err)
{
    struct mly_segment *out = cut->out;
    /* 1. */
    Onnx__GraphProto graph = *cut->model->proto->graph;
    Onnx__ModelProto model = *cut->model->proto;
    model.graph = &graph;
    model.has_ir_version = 1;
    if (model.ir_version < IR_VERSION_CONSTANTS) {
        model.ir_version = IR_VERSION_CONSTANTS; /* 4. */
    }
    if (!cut->whole) {
        model.n_training_info = 0;
    }
    enum mly_status status = pack_nodes(cut, &graph, err);
    if (status == MLY_OK) {
        status = pack_ports(cut, out->inputs, out->input_count, &graph.n_input, &graph.input, err);
    }
    if (status == MLY_OK) {
        status =
            pack_ports(cut, out->outputs, out->output_count, &graph.n_output, &graph.output, err);
    }
    if (status == MLY_OK) {
        status = pack_notes(cut, &graph, err);
    }
    if (status == MLY_OK) {
        status = list_regions(cut, err);
    }
    if (status != MLY_OK) {
        return status;
    }
    const size_t bytes = onnx__model_proto__get_packed_size(&model);
    if (bytes > INT32_MAX) {
        return mly_error_set(err, MLY_E_LIMIT,
                             "the segment has %zu bytes besides its large initialisers; protobuf's "
                             "limit is %" PRId32,
                             bytes, INT32_MAX);
    }
    out->onnx = mly_alloc(bytes + 1);
    if (out->onnx == NULL) {
        return mly__no_memory(err);
    }
    out->onnx_bytes = onnx__model_proto__pack(&model, out->onnx);
    return MLY_OK;
}

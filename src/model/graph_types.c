/* Types and shapes of tensors: from the file's inputs, outputs, value_info and constants, later
 * from a runtime. */
#include <string.h>

#include "base/alloc.h"
#include "model.h"

/* Operators whose (first) output is a sequence, an optional or a map, for tensors without
 * value_info. */
static const char *const non_tensor_operators[] = {
    "SequenceConstruct", "SequenceEmpty",   "SequenceInsert", "SequenceErase",
    "SequenceMap",       "SplitToSequence", "Optional",       "ZipMap",
};

static void set_type(struct mly_graph_tensor *tensor, const struct mly_value_type *type)
{
    tensor->dtype = type->dtype;
    tensor->is_sequence_or_optional = type->is_sequence_or_optional;
    tensor->shape = type->shape;
    memcpy(tensor->dim_names, type->dim_names, sizeof tensor->dim_names);
}

static enum mly_status apply_value_infos(mly_model *model, Onnx__ValueInfoProto *const *infos,
                                         size_t count, struct mly_error *err)
{
    for (size_t i = 0; i < count; i++) {
        const char *name = mly__text(infos[i]->name);
        uint32_t index = mly_graph_find_tensor(&model->graph, name);
        if (index == MLY_NO_INDEX || model->value_infos[index] != NULL) {
            continue;
        }
        struct mly_value_type type;
        enum mly_status status = mly__pb_value_type(infos[i]->type, &type, err);
        if (status != MLY_OK) {
            return mly_error_prefix(err, status, "tensor '%.200s'", name);
        }
        model->value_infos[index] = infos[i];
        set_type(&model->graph.tensors[index], &type);
    }
    return MLY_OK;
}

static enum mly_status apply_constant(struct mly_graph_tensor *tensor,
                                      const Onnx__TensorProto *proto, struct mly_error *err)
{
    enum mly_status status = mly__pb_tensor_shape(proto, &tensor->dtype, &tensor->shape, err);
    if (status != MLY_OK) {
        return status;
    }
    for (size_t i = 0; i < MLY_RANK_MAX; i++) {
        tensor->dim_names[i] = "";
    }
    tensor->is_sequence_or_optional = false;
    return MLY_OK;
}

static size_t weight_bytes(const Onnx__TensorProto *proto, const struct mly_graph_tensor *tensor)
{
    size_t bytes;
    if (proto->has_raw_data) {
        return proto->raw_data.len;
    }
    if (proto->n_string_data > 0) {
        bytes = 0;
        for (size_t i = 0; i < proto->n_string_data; i++) {
            bytes += proto->string_data[i].len;
        }
        return bytes;
    }
    return mly_shape_bytes(tensor->dtype, &tensor->shape, &bytes, NULL) == MLY_OK ? bytes : 0;
}

static enum mly_status apply_initialiser(mly_model *model, uint32_t index, struct mly_error *err)
{
    struct mly_graph_tensor *tensor = &model->graph.tensors[index];
    if (model->initialisers[index] != NULL) {
        enum mly_status status = apply_constant(tensor, model->initialisers[index], err);
        if (status == MLY_OK) {
            tensor->weight_bytes = weight_bytes(model->initialisers[index], tensor);
        }
        return status;
    }
    const Onnx__SparseTensorProto *sparse = model->sparse[index];
    if (sparse == NULL) {
        return MLY_OK;
    }
    /* The runtime hands a sparse initialiser to its readers as a dense tensor of these dimensions.
     */
    Onnx__TensorProto dense = ONNX__TENSOR_PROTO__INIT;
    dense.name = sparse->values->name;
    dense.data_type = sparse->values->data_type;
    dense.n_dims = sparse->n_dims;
    dense.dims = sparse->dims;
    enum mly_status status = apply_constant(tensor, &dense, err);
    if (status == MLY_OK) {
        tensor->weight_bytes = weight_bytes(sparse->values, tensor) +
                               (sparse->indices != NULL ? sparse->indices->raw_data.len : 0);
    }
    return status;
}

/* What operators say by themselves, where the file says nothing. */
static enum mly_status apply_operators(mly_model *model, struct mly_error *err)
{
    for (uint32_t i = 0; i < model->graph.node_count; i++) {
        const struct mly_graph_node *node = &model->graph.nodes[i];
        if (node->output_count == 0 || node->outputs[0] == MLY_NO_INDEX) {
            continue;
        }
        struct mly_graph_tensor *tensor = &model->graph.tensors[node->outputs[0]];
        if (tensor->dtype != MLY_DTYPE_UNDEFINED || model->value_infos[node->outputs[0]] != NULL) {
            continue;
        }
        for (size_t k = 0; k < sizeof non_tensor_operators / sizeof *non_tensor_operators; k++) {
            if (strcmp(node->op_type, non_tensor_operators[k]) == 0) {
                tensor->is_sequence_or_optional = true;
            }
        }
        if (strcmp(node->op_type, "Constant") != 0 || node->domain[0] != '\0') {
            continue;
        }
        const Onnx__AttributeProto *value = mly__pb_attribute(model->node_protos[i], "value");
        if (value != NULL && value->t != NULL) {
            enum mly_status status = apply_constant(tensor, value->t, err);
            if (status != MLY_OK) {
                return mly_error_prefix(err, status, "node '%.200s'", node->label);
            }
        }
    }
    return MLY_OK;
}

enum mly_status mly__graph_set_types(mly_model *model, struct mly_error *err)
{
    const Onnx__GraphProto *graph = model->proto->graph;
    struct mly_value_type nothing;
    enum mly_status status = mly__pb_value_type(NULL, &nothing, err);
    for (uint32_t i = 0; i < model->graph.tensor_count && status == MLY_OK; i++) {
        set_type(&model->graph.tensors[i], &nothing);
    }
    if (status == MLY_OK) {
        status = apply_value_infos(model, graph->input, graph->n_input, err);
    }
    if (status == MLY_OK) {
        status = apply_value_infos(model, graph->output, graph->n_output, err);
    }
    if (status == MLY_OK) {
        status = apply_value_infos(model, graph->value_info, graph->n_value_info, err);
    }
    for (uint32_t i = 0; i < model->graph.tensor_count && status == MLY_OK; i++) {
        status = apply_initialiser(model, i, err);
    }
    return status == MLY_OK ? apply_operators(model, err) : status;
}

static enum mly_status set_dim_name(mly_model *model, struct mly_graph_tensor *tensor, int32_t dim,
                                    const char *name, struct mly_error *err)
{
    if (name[0] != '\0') {
        tensor->dim_names[dim] = mly__arena_strdup(&model->arena, name);
        if (tensor->dim_names[dim] == NULL) {
            tensor->dim_names[dim] = "";
            return mly__no_memory(err);
        }
    }
    return MLY_OK;
}

/* Fills what is not known yet; what the file says stays. */
static enum mly_status add_type(mly_model *model, struct mly_graph_tensor *tensor,
                                const struct mly_value_type *type, struct mly_error *err)
{
    if (tensor->kind != MLY_TENSOR_VALUE) {
        return MLY_OK;
    }
    if (type->is_sequence_or_optional && tensor->dtype == MLY_DTYPE_UNDEFINED) {
        tensor->is_sequence_or_optional = true;
        return MLY_OK;
    }
    if (tensor->dtype == MLY_DTYPE_UNDEFINED && !tensor->is_sequence_or_optional) {
        tensor->dtype = type->dtype;
    }
    if (type->dtype == MLY_DTYPE_UNDEFINED || type->dtype != tensor->dtype ||
        type->shape.rank < 0) {
        return MLY_OK;
    }
    if (tensor->shape.rank < 0) {
        tensor->shape.rank = type->shape.rank;
        for (int32_t i = 0; i < type->shape.rank; i++) {
            tensor->shape.dims[i] = MLY_DIM_UNKNOWN;
        }
    }
    if (tensor->shape.rank != type->shape.rank) {
        return MLY_OK;
    }
    enum mly_status status = MLY_OK;
    for (int32_t i = 0; i < type->shape.rank && status == MLY_OK; i++) {
        if (tensor->shape.dims[i] < 0 && tensor->dim_names[i][0] == '\0') {
            tensor->shape.dims[i] = type->shape.dims[i];
            status = set_dim_name(model, tensor, i, type->dim_names[i], err);
        }
    }
    return status;
}

static enum mly_status add_value_infos(mly_model *model, Onnx__ValueInfoProto *const *infos,
                                       size_t count, struct mly_error *err)
{
    for (size_t i = 0; i < count; i++) {
        uint32_t index = mly_graph_find_tensor(&model->graph, mly__text(infos[i]->name));
        struct mly_value_type type;
        enum mly_status status = mly__pb_value_type(infos[i]->type, &type, err);
        if (status == MLY_OK && index != MLY_NO_INDEX) {
            status = add_type(model, &model->graph.tensors[index], &type, err);
        }
        if (status != MLY_OK) {
            return status;
        }
    }
    return MLY_OK;
}

enum mly_status mly_model_add_shapes(mly_model *model, const void *onnx, size_t length,
                                     struct mly_error *err)
{
    struct mly__pb_memory memory;
    mly__pb_memory_init(&memory);
    ProtobufCMessage *message = NULL;
    enum mly_status status =
        mly__pb_unpack(onnx, length, &onnx__model_proto__descriptor, &memory, &message, err);
    if (status != MLY_OK) {
        return mly_error_prefix(err, status, "inferred shapes");
    }
    const Onnx__GraphProto *graph = ((const Onnx__ModelProto *)message)->graph;
    if (graph == NULL) {
        status = mly_error_set(err, MLY_E_FORMAT, "inferred shapes: no graph");
    } else {
        status = add_value_infos(model, graph->input, graph->n_input, err);
        if (status == MLY_OK) {
            status = add_value_infos(model, graph->output, graph->n_output, err);
        }
        if (status == MLY_OK) {
            status = add_value_infos(model, graph->value_info, graph->n_value_info, err);
        }
    }
    protobuf_c_message_free_unpacked(message, &memory.allocator);
    mly__graph_refresh_outputs(model);
    return status;
}

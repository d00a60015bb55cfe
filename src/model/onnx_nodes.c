/* Names of the nodes of an ONNX model that a runtime wrote. */
#include "model/onnx_nodes.h"

#include "base/alloc.h"
#include "model.h"

struct message {
    struct mly__pb_memory memory;
    ProtobufCMessage *model;
    struct mly__arena arena;
};

/* Absent strings are NULL in messages and "" here. NULL when memory is short. */
static const char *const *texts(struct message *message, char *const *from, size_t count)
{
    const char **list = mly__arena_alloc(&message->arena, count + 1, sizeof *list);
    for (size_t i = 0; list != NULL && i < count; i++) {
        list[i] = mly__text(from[i]);
    }
    return list;
}

static enum mly_status read_nodes(struct message *message, const void *onnx, size_t length,
                                  struct mly_onnx_nodes *out, struct mly_error *err)
{
    mly__pb_memory_init(&message->memory);
    enum mly_status status = mly__pb_unpack(onnx, length, &onnx__model_proto__descriptor,
                                            &message->memory, &message->model, err);
    if (status != MLY_OK) {
        return status;
    }
    const Onnx__GraphProto *graph = ((const Onnx__ModelProto *)message->model)->graph;
    const size_t count = graph != NULL ? graph->n_node : 0;
    out->items = mly__arena_alloc(&message->arena, count + 1, sizeof *out->items);
    if (out->items == NULL) {
        return mly__no_memory(err);
    }
    for (size_t i = 0; i < count; i++) {
        const Onnx__NodeProto *node = graph->node[i];
        struct mly_onnx_node *item = &out->items[i];
        item->name = mly__text(node->name);
        item->op_type = mly__text(node->op_type);
        item->domain = mly__text(node->domain);
        item->inputs = texts(message, node->input, node->n_input);
        item->outputs = texts(message, node->output, node->n_output);
        item->input_count = (uint32_t)node->n_input;
        item->output_count = (uint32_t)node->n_output;
        if (item->inputs == NULL || item->outputs == NULL) {
            return mly__no_memory(err);
        }
    }
    out->count = (uint32_t)count;
    return MLY_OK;
}

enum mly_status mly_onnx_nodes_read(const void *onnx, size_t length, struct mly_onnx_nodes *out,
                                    struct mly_error *err)
{
    struct mly_onnx_nodes nodes = {.message = mly_alloc(sizeof(struct message))};
    if (nodes.message == NULL) {
        return mly__no_memory(err);
    }
    enum mly_status status = read_nodes(nodes.message, onnx, length, &nodes, err);
    if (status != MLY_OK) {
        mly_onnx_nodes_fini(&nodes);
        return status;
    }
    *out = nodes;
    return MLY_OK;
}

void mly_onnx_nodes_fini(struct mly_onnx_nodes *nodes)
{
    struct message *message = nodes->message;
    if (message != NULL) {
        if (message->model != NULL) {
            protobuf_c_message_free_unpacked(message->model, &message->memory.allocator);
        }
        mly__arena_fini(&message->arena);
        mly_free(message);
    }
    *nodes = (struct mly_onnx_nodes){0};
}

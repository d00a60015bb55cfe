/*
 * Which of the model's tensors a node of the runtime's optimised graph completes.
 *
 * 1. Outputs that kept the model's names say it themselves.
 * 2. Blocked convolutions and pools are named after the tensor that they make, with "_nchwc" behind;
 *    their outputs have new names. Names that would be there twice got "_token_" and a number.
 * 3. Other nodes that work on blocked tensors kept the name of the model's node.
 * 4. ReorderOutput makes a plain tensor of a blocked one: its time and tensors are those of the node
 *    that made the blocked one. ReorderInput is part of the first node that reads what it makes.
 * 5. A blocked convolution with a fourth input took the addition in that follows it, and maybe the
 *    activation after that; it is named after itself all the same. What no other node completes down
 *    that way, it does.
 */
#include "ort_profile.h"

#include <ctype.h>
#include <string.h>

#include "base/alloc.h"

static enum mly_status no_memory(struct mly_error *err)
{
    return mly_error_set(err, MLY_E_NO_MEMORY, "memory is short");
}

static enum mly_status add(struct mly__node_map *map, uint32_t tensor, struct mly_error *err)
{
    for (uint32_t i = 0; i < map->tensor_count; i++)
        if (map->tensors[i] == tensor)
            return MLY_OK;
    uint32_t *grown = mly_realloc_array(map->tensors, (size_t)map->tensor_count + 1, sizeof *grown);
    if (!grown)
        return no_memory(err);
    grown[map->tensor_count++] = tensor;
    map->tensors = grown;
    return MLY_OK;
}

/* The tensor of that name, if a node makes it. */
static uint32_t find_made(const struct mly_graph *graph, const char *name)
{
    const uint32_t tensor = mly_graph_find_tensor(graph, name);
    return tensor != MLY_NO_INDEX && graph->tensors[tensor].producer != MLY_NO_INDEX ? tensor
                                                                                     : MLY_NO_INDEX;
}

/* Cuts "_token_7" off, then ending. False if it did not end so. */
static bool cut_ending(char *name, const char *ending)
{
    char *token = NULL;
    for (char *at = name; (at = strstr(at, "_token_")); at++)
        token = at;
    if (token && token[strlen("_token_")] &&
        strspn(token + strlen("_token_"), "0123456789") == strlen(token + strlen("_token_")))
        *token = '\0';
    const size_t length = strlen(name), cut = strlen(ending);
    if (length <= cut || strcmp(name + length - cut, ending) != 0)
        return false;
    name[length - cut] = '\0';
    return true;
}

/* 2. and 3. */
static enum mly_status map_by_name(const struct mly_graph *graph, const struct mly_onnx_node *node,
                                   struct mly__node_map *map, struct mly_error *err)
{
    if (!node->name[0])
        return MLY_OK;
    char *name = mly_strdup(node->name);
    if (!name)
        return no_memory(err);
    enum mly_status status = MLY_OK;
    const bool blocked = cut_ending(name, "_nchwc");
    const uint32_t tensor = blocked ? find_made(graph, name) : MLY_NO_INDEX;
    if (tensor != MLY_NO_INDEX)
        status = add(map, tensor, err);
    for (uint32_t i = 0; status == MLY_OK && map->tensor_count == 0 && i < graph->node_count; i++)
        if (strcmp(graph->nodes[i].name, name) == 0)
            for (uint32_t k = 0; status == MLY_OK && k < graph->nodes[i].output_count; k++)
                if (graph->nodes[i].outputs[k] != MLY_NO_INDEX)
                    status = add(map, graph->nodes[i].outputs[k], err);
    mly_free(name);
    return status;
}

static bool is_blocked(const struct mly_onnx_node *node, const char *op_type)
{
    return strcmp(node->op_type, op_type) == 0 && strcmp(node->domain, "com.microsoft.nchwc") == 0;
}

/* Index of the node that makes the tensor, or that first reads it; MLY_NO_INDEX if none does. */
static uint32_t find_node(const struct mly_onnx_nodes *nodes, const char *tensor, bool maker)
{
    for (uint32_t i = 0; i < nodes->count; i++) {
        const struct mly_onnx_node *node = &nodes->items[i];
        const char *const *names = maker ? node->outputs : node->inputs;
        const uint32_t count = maker ? node->output_count : node->input_count;
        for (uint32_t k = 0; k < count; k++)
            if (strcmp(names[k], tensor) == 0)
                return i;
    }
    return MLY_NO_INDEX;
}

static enum mly_status map_node(const struct mly_graph *graph, const struct mly_onnx_nodes *nodes,
                                uint32_t index, struct mly__node_map *maps, struct mly_error *err)
{
    const struct mly_onnx_node *node = &nodes->items[index];
    struct mly__node_map *map = &maps[index];
    const bool to_plain = is_blocked(node, "ReorderOutput");
    const bool to_blocked = is_blocked(node, "ReorderInput");
    if ((to_plain && node->input_count > 0) || (to_blocked && node->output_count > 0)) { /* 4. */
        const uint32_t other =
            find_node(nodes, to_plain ? node->inputs[0] : node->outputs[0], to_plain);
        if (other != MLY_NO_INDEX) {
            map->counts_for = other;
            map = &maps[other];
        }
    }
    enum mly_status status = MLY_OK;
    for (uint32_t k = 0; status == MLY_OK && k < node->output_count; k++) { /* 1. */
        const uint32_t tensor = find_made(graph, node->outputs[k]);
        if (tensor != MLY_NO_INDEX)
            status = add(map, tensor, err);
    }
    return status == MLY_OK && !to_plain && !to_blocked ? map_by_name(graph, node, map, err)
                                                        : status;
}

/* The only node that reads the tensor, if its type is one of those. */
static uint32_t only_reader(const struct mly_graph *graph, uint32_t tensor,
                            const char *const *op_types)
{
    const struct mly_graph_tensor *at = &graph->tensors[tensor];
    if (at->consumer_count != 1 || at->is_output)
        return MLY_NO_INDEX;
    const struct mly_graph_node *node = &graph->nodes[at->consumers[0]];
    for (; *op_types; op_types++)
        if (strcmp(node->op_type, *op_types) == 0 && node->output_count == 1)
            return node->outputs[0];
    return MLY_NO_INDEX;
}

/* 5. */
static enum mly_status map_swallowed(const struct mly_graph *graph,
                                     const struct mly_onnx_nodes *nodes, struct mly__node_map *maps,
                                     struct mly_error *err)
{
    static const char *const sums[] = {"Add", "Sum", NULL};
    static const char *const activations[] = {"Relu",      "Clip",        "Sigmoid", "Tanh",
                                              "LeakyRelu", "HardSigmoid", NULL};
    bool *claimed = mly_alloc_array((size_t)graph->tensor_count + 1, sizeof *claimed);
    if (!claimed)
        return no_memory(err);
    for (uint32_t i = 0; i < nodes->count; i++)
        for (uint32_t k = 0; k < maps[i].tensor_count; k++)
            claimed[maps[i].tensors[k]] = true;
    enum mly_status status = MLY_OK;
    for (uint32_t i = 0; status == MLY_OK && i < nodes->count; i++) {
        const struct mly_onnx_node *node = &nodes->items[i];
        if (!is_blocked(node, "Conv") || node->input_count < 4 || maps[i].tensor_count != 1)
            continue;
        const uint32_t sum = only_reader(graph, maps[i].tensors[0], sums);
        if (sum == MLY_NO_INDEX || claimed[sum])
            continue;
        claimed[sum] = true;
        status = add(&maps[i], sum, err);
        const uint32_t activation = only_reader(graph, sum, activations);
        if (status == MLY_OK && activation != MLY_NO_INDEX && !claimed[activation]) {
            claimed[activation] = true;
            status = add(&maps[i], activation, err);
        }
    }
    mly_free(claimed);
    return status;
}

enum mly_status mly__node_maps_make(const struct mly_graph *graph,
                                    const struct mly_onnx_nodes *nodes, struct mly__node_map **out,
                                    struct mly_error *err)
{
    struct mly__node_map *maps = mly_alloc_array((size_t)nodes->count + 1, sizeof *maps);
    enum mly_status status = maps ? MLY_OK : no_memory(err);
    for (uint32_t i = 0; maps && i < nodes->count; i++)
        maps[i].counts_for = i;
    for (uint32_t i = 0; status == MLY_OK && i < nodes->count; i++)
        status = map_node(graph, nodes, i, maps, err);
    if (status == MLY_OK)
        status = map_swallowed(graph, nodes, maps, err);
    if (status != MLY_OK) {
        mly__node_maps_free(maps, nodes->count);
        return status;
    }
    *out = maps;
    return MLY_OK;
}

void mly__node_maps_free(struct mly__node_map *maps, uint32_t count)
{
    for (uint32_t i = 0; maps && i < count; i++)
        mly_free(maps[i].tensors);
    mly_free(maps);
}

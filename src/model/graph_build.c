/*
 * From an ONNX graph's messages to struct mly_graph.
 *
 * 1. Definitions: inputs, initialisers, outputs of nodes; each name once, but for an input with an
 * initialiser.
 * 2. Nodes: inputs and outputs by tensor, outer tensors that sub-graphs use.
 * 3. Topological order; nodes are numbered by it.
 * 4. Who reads each tensor.
 * 5. Labels: unique names for people.
 */
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "model.h"

#define TRY(expression)                                                                            \
    do {                                                                                           \
        enum mly_status try_status = (expression);                                                 \
        if (try_status != MLY_OK) {                                                                \
            return try_status;                                                                     \
        }                                                                                          \
    } while (0)

static void *keep(mly_model *model, size_t count, size_t bytes)
{
    return mly__arena_alloc(&model->arena, count != 0 ? count : 1, bytes);
}

static const char *node_title(const Onnx__NodeProto *node)
{
    const char *name = mly__text(node->name);
    return name[0] != '\0' ? name : mly__text(node->op_type);
}

static const char *sparse_name(const Onnx__SparseTensorProto *sparse)
{
    return sparse->values != NULL ? mly__text(sparse->values->name) : "";
}

/* What defines a name; the order is that of tensor indices. */
enum definition_kind { DEFINED_INPUT, DEFINED_INITIALISER, DEFINED_SPARSE, DEFINED_OUTPUT };

struct definition {
    const char *name;
    enum definition_kind kind;
    uint32_t ordinal; /* within its list; the node for an output */
    uint32_t tensor;
};

struct definitions {
    struct definition *items;
    struct mly__name *sorted; /* index: into items */
    uint32_t count;
};

static const char *definition_text(enum definition_kind kind)
{
    static const char *const texts[] = {"an input", "an initialiser", "a sparse initialiser",
                                        "a node's output"};
    return texts[kind];
}

static enum mly_status define(struct definitions *all, const char *name, enum definition_kind kind,
                              size_t ordinal, struct mly_error *err)
{
    if (name == NULL || name[0] == '\0') {
        if (kind == DEFINED_OUTPUT) {
            return MLY_OK; /* an optional output that is not wanted */
        }
        return mly_error_set(err, MLY_E_FORMAT, "%s has no name (number %zu)",
                             definition_text(kind), ordinal);
    }
    all->items[all->count++] = (struct definition){
        .name = name, .kind = kind, .ordinal = (uint32_t)ordinal, .tensor = MLY_NO_INDEX};
    return MLY_OK;
}

/* 1. */
static enum mly_status collect(const Onnx__GraphProto *graph, struct definitions *all,
                               struct mly_error *err)
{
    size_t count = graph->n_input + graph->n_initializer + graph->n_sparse_initializer;
    for (size_t i = 0; i < graph->n_node; i++) {
        count += graph->node[i]->n_output;
    }
    if (count > MLY__TENSOR_MAX) {
        return mly_error_set(err, MLY_E_LIMIT, "the graph has %zu tensors; the limit is %d", count,
                             MLY__TENSOR_MAX);
    }
    all->items = mly_alloc_array(count + 1, sizeof *all->items);
    all->sorted = mly_alloc_array(count + 1, sizeof *all->sorted);
    if (all->items == NULL || all->sorted == NULL) {
        return mly__no_memory(err);
    }
    for (size_t i = 0; i < graph->n_input; i++) {
        TRY(define(all, graph->input[i]->name, DEFINED_INPUT, i, err));
    }
    for (size_t i = 0; i < graph->n_initializer; i++) {
        TRY(define(all, graph->initializer[i]->name, DEFINED_INITIALISER, i, err));
    }
    for (size_t i = 0; i < graph->n_sparse_initializer; i++) {
        TRY(define(all, sparse_name(graph->sparse_initializer[i]), DEFINED_SPARSE, i, err));
    }
    for (size_t i = 0; i < graph->n_node; i++) {
        for (size_t k = 0; k < graph->node[i]->n_output; k++) {
            TRY(define(all, graph->node[i]->output[k], DEFINED_OUTPUT, i, err));
        }
    }
    for (uint32_t i = 0; i < all->count; i++) {
        all->sorted[i] = (struct mly__name){.text = all->items[i].name, .index = i};
    }
    mly__names_sort(all->sorted, all->count);
    return MLY_OK;
}

static enum mly_status number_tensors(mly_model *model, const Onnx__GraphProto *graph,
                                      struct definitions *all, struct mly_error *err)
{
    uint32_t distinct = 0;
    for (uint32_t i = 0; i < all->count; i++) {
        struct definition *here = &all->items[all->sorted[i].index];
        struct definition *before = i > 0 ? &all->items[all->sorted[i - 1].index] : NULL;
        if (before == NULL || strcmp(before->name, here->name) != 0) {
            distinct++;
            continue;
        }
        if (before->kind != DEFINED_INPUT ||
            (here->kind != DEFINED_INITIALISER && here->kind != DEFINED_SPARSE)) {
            const char *node =
                here->kind == DEFINED_OUTPUT ? node_title(graph->node[here->ordinal]) : "";
            return mly_error_set(err, MLY_E_FORMAT,
                                 "tensor '%.200s' is defined twice: as %s and as %s%s%.200s",
                                 here->name, definition_text(before->kind),
                                 definition_text(here->kind), node[0] != '\0' ? " of " : "", node);
        }
    }
    model->tensor_names = keep(model, distinct, sizeof *model->tensor_names);
    model->graph.tensors = keep(model, distinct, sizeof *model->graph.tensors);
    model->initialisers = keep(model, distinct, sizeof *model->initialisers);
    model->sparse = keep(model, distinct, sizeof *model->sparse);
    model->value_infos = keep(model, distinct, sizeof *model->value_infos);
    uint32_t *tensor_of_sorted = mly_alloc_array((size_t)all->count + 1, sizeof *tensor_of_sorted);
    if (model->tensor_names == NULL || model->graph.tensors == NULL ||
        model->initialisers == NULL || model->sparse == NULL || model->value_infos == NULL ||
        tensor_of_sorted == NULL) {
        mly_free(tensor_of_sorted);
        return mly__no_memory(err);
    }
    /* An initialiser of an input shares its tensor: the input comes first in both orders. */
    for (uint32_t i = 1; i < all->count; i++) {
        if (strcmp(all->sorted[i].text, all->sorted[i - 1].text) == 0) {
            tensor_of_sorted[all->sorted[i].index] = all->sorted[i - 1].index + 1;
        }
    }
    uint32_t next = 0;
    for (uint32_t i = 0; i < all->count; i++) {
        struct definition *here = &all->items[i];
        uint32_t shared = tensor_of_sorted[i]; /* 0, or one more than an index before this one */
        if (shared != 0 && shared <= i) {
            here->tensor = all->items[shared - 1].tensor;
        } else {
            here->tensor = next++;
        }
        struct mly_graph_tensor *tensor = &model->graph.tensors[here->tensor];
        switch (here->kind) {
        case DEFINED_INPUT:
            tensor->kind = MLY_TENSOR_INPUT;
            break;
        case DEFINED_INITIALISER:
        case DEFINED_SPARSE:
            if (here->kind == DEFINED_INITIALISER) {
                model->initialisers[here->tensor] = graph->initializer[here->ordinal];
            } else {
                model->sparse[here->tensor] = graph->sparse_initializer[here->ordinal];
            }
            if (shared == 0 || !model->options.keep_overridable) {
                tensor->kind = MLY_TENSOR_INITIALISER;
            }
            break;
        case DEFINED_OUTPUT:
            tensor->kind = MLY_TENSOR_VALUE;
            break;
        }
        tensor->name = here->name;
        tensor->producer = MLY_NO_INDEX;
    }
    uint32_t named = 0;
    for (uint32_t i = 0; i < all->count; i++) {
        if (tensor_of_sorted[all->sorted[i].index] == 0) {
            model->tensor_names[named++] = (struct mly__name){
                .text = all->sorted[i].text, .index = all->items[all->sorted[i].index].tensor};
        }
    }
    model->tensor_name_count = named;
    model->graph.tensor_count = next;
    mly_free(tensor_of_sorted);
    return MLY_OK;
}

/* The model's inputs and outputs. */
static enum mly_status list_ports(mly_model *model, const Onnx__GraphProto *graph,
                                  struct mly_error *err)
{
    uint32_t *inputs = keep(model, graph->n_input, sizeof *inputs);
    uint32_t *outputs = keep(model, graph->n_output, sizeof *outputs);
    if (inputs == NULL || outputs == NULL) {
        return mly__no_memory(err);
    }
    model->graph.inputs = inputs;
    model->graph.outputs = outputs;
    for (size_t i = 0; i < graph->n_input; i++) {
        uint32_t tensor = mly_graph_find_tensor(&model->graph, graph->input[i]->name);
        if (model->graph.tensors[tensor].kind == MLY_TENSOR_INPUT) {
            inputs[model->graph.input_count++] = tensor;
        }
    }
    for (size_t i = 0; i < graph->n_output; i++) {
        const char *name = mly__text(graph->output[i]->name);
        uint32_t tensor = mly_graph_find_tensor(&model->graph, name);
        if (tensor == MLY_NO_INDEX) {
            return mly_error_set(err, MLY_E_FORMAT,
                                 "the graph's output '%.200s' is made by no node", name);
        }
        if (model->graph.tensors[tensor].is_output) {
            return mly_error_set(err, MLY_E_FORMAT, "the graph lists its output '%.200s' twice",
                                 name);
        }
        model->graph.tensors[tensor].is_output = true;
        outputs[model->graph.output_count++] = tensor;
    }
    if (model->graph.output_count == 0) {
        return mly_error_set(err, MLY_E_FORMAT, "the graph has no outputs");
    }
    return MLY_OK;
}

static int compare_indices(const void *a, const void *b)
{
    const uint32_t left = *(const uint32_t *)a;
    const uint32_t right = *(const uint32_t *)b;
    return left < right ? -1 : left > right;
}

static size_t sort_unique(uint32_t *items, size_t count)
{
    if (count < 2) {
        return count;
    }
    qsort(items, count, sizeof *items, compare_indices);
    size_t kept = 1;
    for (size_t i = 1; i < count; i++) {
        if (items[i] != items[kept - 1]) {
            items[kept++] = items[i];
        }
    }
    return kept;
}

static bool has_subgraph(const Onnx__NodeProto *proto)
{
    for (size_t i = 0; i < proto->n_attribute; i++) {
        if (proto->attribute[i]->g != NULL || proto->attribute[i]->n_graphs > 0) {
            return true;
        }
    }
    return false;
}

static enum mly_status add_inner_tensor(Onnx__TensorProto *tensor, void *user,
                                        struct mly_error *err)
{
    struct mly_graph_node *node = user;
    enum mly_dtype dtype;
    struct mly_shape shape;
    int64_t count;
    size_t bytes;
    TRY(mly__pb_tensor_shape(tensor, &dtype, &shape, err));
    if (mly_shape_count(&shape, &count, NULL) == MLY_OK) {
        node->inner_parameters += (uint64_t)count;
    }
    if (mly_shape_bytes(dtype, &shape, &bytes, NULL) == MLY_OK) {
        node->inner_weight_bytes += bytes;
    }
    return MLY_OK;
}

/* Depth is bounded: the skeleton was walked before. */
static uint32_t count_inner_nodes(const Onnx__NodeProto *proto)
{
    size_t count = 0;
    for (size_t i = 0; i < proto->n_attribute; i++) {
        const Onnx__AttributeProto *attribute = proto->attribute[i];
        for (size_t k = 0; k < attribute->n_graphs + 1; k++) {
            const Onnx__GraphProto *graph = k > 0 ? attribute->graphs[k - 1] : attribute->g;
            for (size_t n = 0; graph != NULL && n < graph->n_node; n++) {
                count += 1 + (size_t)count_inner_nodes(graph->node[n]);
            }
        }
    }
    return count < UINT32_MAX ? (uint32_t)count : UINT32_MAX;
}

static enum mly_status add_inner(const Onnx__NodeProto *proto, struct mly_graph_node *node,
                                 struct mly_error *err)
{
    node->inner_nodes = count_inner_nodes(proto);
    for (size_t i = 0; i < proto->n_attribute; i++) {
        const Onnx__AttributeProto *attribute = proto->attribute[i];
        for (size_t k = 0; k < attribute->n_graphs + 1; k++) {
            Onnx__GraphProto *graph = k > 0 ? attribute->graphs[k - 1] : attribute->g;
            if (graph != NULL) {
                TRY(mly__pb_visit_tensors(&graph->base, add_inner_tensor, node, err));
            }
        }
    }
    return MLY_OK;
}

/* 2. One node; its number does not matter yet. */
static enum mly_status build_node(mly_model *model, const Onnx__NodeProto *proto,
                                  struct mly_graph_node *node, struct mly_error *err)
{
    if (mly__text(proto->op_type)[0] == '\0') {
        return mly_error_set(err, MLY_E_FORMAT, "node '%.200s' has no operator",
                             mly__text(proto->name));
    }
    uint32_t *inputs = keep(model, proto->n_input, sizeof *inputs);
    uint32_t *outputs = keep(model, proto->n_output, sizeof *outputs);
    if (inputs == NULL || outputs == NULL) {
        return mly__no_memory(err);
    }
    for (size_t i = 0; i < proto->n_input; i++) {
        const char *name = mly__text(proto->input[i]);
        inputs[i] = name[0] != '\0' ? mly_graph_find_tensor(&model->graph, name) : MLY_NO_INDEX;
        if (name[0] != '\0' && inputs[i] == MLY_NO_INDEX) {
            return mly_error_set(
                err, MLY_E_FORMAT,
                "node '%.200s' (%.100s) uses tensor '%.200s', which nothing defines",
                node_title(proto), proto->op_type, name);
        }
    }
    for (size_t i = 0; i < proto->n_output; i++) {
        const char *name = mly__text(proto->output[i]);
        outputs[i] = name[0] != '\0' ? mly_graph_find_tensor(&model->graph, name) : MLY_NO_INDEX;
    }
    *node = (struct mly_graph_node){
        .name = mly__text(proto->name),
        .op_type = proto->op_type,
        .domain = strcmp(mly__text(proto->domain), "ai.onnx") == 0 ? "" : mly__text(proto->domain),
        .inputs = inputs,
        .input_count = (uint32_t)proto->n_input,
        .outputs = outputs,
        .output_count = (uint32_t)proto->n_output,
        .has_subgraph = has_subgraph(proto)};
    if (!node->has_subgraph) {
        return MLY_OK;
    }
    TRY(add_inner(proto, node, err));
    struct mly__index_list list = {0};
    enum mly_status status =
        mly__subgraph_captures(model->tensor_names, model->tensor_name_count, proto, &list, err);
    if (status == MLY_OK && list.count > 0) {
        size_t count = sort_unique(list.items, list.count);
        uint32_t *captured = keep(model, count, sizeof *captured);
        if (captured != NULL) {
            memcpy(captured, list.items, count * sizeof *captured);
            node->captured = captured;
            node->captured_count = (uint32_t)count;
        } else {
            status = mly__no_memory(err);
        }
    }
    mly_free(list.items);
    return status;
}

/* Distinct tensors that a node reads, into a caller's array with room for all of them. */
static size_t read_by(const struct mly_graph_node *node, uint32_t *tensors)
{
    size_t count = 0;
    for (uint32_t i = 0; i < node->input_count; i++) {
        if (node->inputs[i] != MLY_NO_INDEX) {
            tensors[count++] = node->inputs[i];
        }
    }
    for (uint32_t i = 0; i < node->captured_count; i++) {
        tensors[count++] = node->captured[i];
    }
    return sort_unique(tensors, count);
}

/* 3. and 4. need, for each node in file order, the distinct tensors it reads. */
struct reads {
    uint32_t *begin;
    uint32_t *tensors;
    uint32_t *producers; /* parallel to begin's ranges after compaction: nodes that make them */
    uint32_t *order;
    uint32_t *rank;
};

static void reads_fini(struct reads *reads)
{
    mly_free(reads->begin);
    mly_free(reads->tensors);
    mly_free(reads->producers);
    mly_free(reads->order);
    mly_free(reads->rank);
}

static enum mly_status collect_reads(const struct mly_graph_node *nodes, uint32_t count,
                                     struct reads *reads, struct mly_error *err)
{
    uint64_t total = 0;
    for (uint32_t i = 0; i < count; i++) {
        total += (uint64_t)nodes[i].input_count + nodes[i].captured_count;
    }
    if (total >= UINT32_MAX / 2) {
        (void)mly_error_set(err, MLY_E_LIMIT, "the graph has %llu edges",
                            (unsigned long long)total);
        return MLY_E_LIMIT;
    }
    reads->begin = mly_alloc_array((size_t)count + 1, sizeof(uint32_t));
    reads->tensors = mly_alloc_array((size_t)total + 1, sizeof(uint32_t));
    reads->producers = mly_alloc_array((size_t)total + 1, sizeof(uint32_t));
    reads->order = mly_alloc_array((size_t)count + 1, sizeof(uint32_t));
    reads->rank = mly_alloc_array((size_t)count + 1, sizeof(uint32_t));
    if (reads->begin == NULL || reads->tensors == NULL || reads->producers == NULL ||
        reads->order == NULL || reads->rank == NULL) {
        return mly__no_memory(err);
    }
    for (uint32_t i = 0; i < count; i++) {
        reads->begin[i + 1] =
            reads->begin[i] + (uint32_t)read_by(&nodes[i], reads->tensors + reads->begin[i]);
    }
    return MLY_OK;
}

static enum mly_status order_nodes(mly_model *model, const Onnx__GraphProto *graph,
                                   const struct mly_graph_node *nodes, struct reads *reads,
                                   struct mly_error *err)
{
    const uint32_t count = (uint32_t)graph->n_node;
    TRY(collect_reads(nodes, count, reads, err));
    uint32_t *begin = mly_alloc_array((size_t)count + 1, sizeof *begin);
    if (begin == NULL) {
        return mly__no_memory(err);
    }
    uint32_t edges = 0;
    for (uint32_t i = 0; i < count; i++) {
        for (uint32_t k = reads->begin[i]; k < reads->begin[i + 1]; k++) {
            uint32_t producer = model->graph.tensors[reads->tensors[k]].producer;
            if (producer != MLY_NO_INDEX) {
                reads->producers[edges++] = producer;
            }
        }
        begin[i + 1] = edges;
    }
    uint32_t on_cycle = 0;
    enum mly_status status =
        mly__graph_order(count, begin, reads->producers, reads->order, &on_cycle, err);
    mly_free(begin);
    if (status == MLY_E_FORMAT) {
        return mly_error_set(err, status, "the graph has a cycle through node '%.200s' (%.100s)",
                             node_title(graph->node[on_cycle]),
                             mly__text(graph->node[on_cycle]->op_type));
    }
    for (uint32_t k = 0; k < count && status == MLY_OK; k++) {
        reads->rank[reads->order[k]] = k;
    }
    return status;
}

/* 3. */
static enum mly_status place_nodes(mly_model *model, const Onnx__GraphProto *graph,
                                   const struct mly_graph_node *nodes, const struct reads *reads,
                                   struct mly_error *err)
{
    const uint32_t count = (uint32_t)graph->n_node;
    model->graph.nodes = keep(model, count, sizeof *model->graph.nodes);
    model->node_protos = keep(model, count, sizeof *model->node_protos);
    if (model->graph.nodes == NULL || model->node_protos == NULL) {
        return mly__no_memory(err);
    }
    model->graph.node_count = count;
    for (uint32_t k = 0; k < count; k++) {
        model->graph.nodes[k] = nodes[reads->order[k]];
        model->node_protos[k] = graph->node[reads->order[k]];
    }
    for (uint32_t i = 0; i < model->graph.tensor_count; i++) {
        struct mly_graph_tensor *tensor = &model->graph.tensors[i];
        if (tensor->producer != MLY_NO_INDEX) {
            tensor->producer = reads->rank[tensor->producer];
        }
    }
    return MLY_OK;
}

/* 4. Nodes are visited in their final order, so that each list ascends. */
static enum mly_status list_consumers(mly_model *model, const struct reads *reads,
                                      struct mly_error *err)
{
    const uint32_t count = model->graph.node_count;
    uint32_t *consumers = keep(model, reads->begin[count], sizeof *consumers);
    if (consumers == NULL) {
        return mly__no_memory(err);
    }
    for (uint32_t k = 0; k < reads->begin[count]; k++) {
        model->graph.tensors[reads->tensors[k]].consumer_count++;
    }
    for (uint32_t i = 0; i < model->graph.tensor_count; i++) {
        model->graph.tensors[i].consumers = consumers;
        consumers += model->graph.tensors[i].consumer_count;
        model->graph.tensors[i].consumer_count = 0;
    }
    for (uint32_t k = 0; k < count; k++) {
        const uint32_t node = reads->order[k];
        for (uint32_t at = reads->begin[node]; at < reads->begin[node + 1]; at++) {
            struct mly_graph_tensor *tensor = &model->graph.tensors[reads->tensors[at]];
            ((uint32_t *)(uintptr_t)tensor->consumers)[tensor->consumer_count++] = k;
        }
    }
    return MLY_OK;
}

static const char *make_label(mly_model *model, const struct mly__name *names, uint32_t count,
                              uint32_t node)
{
    const struct mly_graph_node *at = &model->graph.nodes[node];
    char *label = mly_strfmt("%s_%u", at->op_type, node);
    while (label != NULL && mly__names_find(names, count, label) != NULL) {
        char *longer = mly_strfmt("%s#", label);
        mly_free(label);
        label = longer;
    }
    const char *kept = label != NULL ? mly__arena_strdup(&model->arena, label) : NULL;
    mly_free(label);
    return kept;
}

/* 5. */
static enum mly_status label_nodes(mly_model *model, struct mly_error *err)
{
    const uint32_t count = model->graph.node_count;
    struct mly__name *names = mly_alloc_array((size_t)count + 1, sizeof *names);
    if (names == NULL) {
        return mly__no_memory(err);
    }
    for (uint32_t i = 0; i < count; i++) {
        names[i] = (struct mly__name){.text = model->graph.nodes[i].name, .index = i};
    }
    mly__names_sort(names, count);
    enum mly_status status = MLY_OK;
    for (uint32_t i = 0; i < count; i++) {
        const bool repeated = (i > 0 && strcmp(names[i - 1].text, names[i].text) == 0) ||
                              (i + 1 < count && strcmp(names[i + 1].text, names[i].text) == 0);
        const uint32_t node = names[i].index;
        model->graph.nodes[node].label = names[i].text[0] != '\0' && !repeated
                                             ? names[i].text
                                             : make_label(model, names, count, node);
        if (model->graph.nodes[node].label == NULL) {
            status = mly__no_memory(err);
            break;
        }
    }
    mly_free(names);
    return status;
}

static enum mly_status build(mly_model *model, const Onnx__GraphProto *graph,
                             struct mly_graph_node *nodes, struct definitions *all,
                             struct reads *reads, struct mly_error *err)
{
    TRY(collect(graph, all, err));
    TRY(number_tensors(model, graph, all, err));
    for (uint32_t i = 0; i < all->count; i++) {
        if (all->items[i].kind == DEFINED_OUTPUT) {
            model->graph.tensors[all->items[i].tensor].producer = all->items[i].ordinal;
        }
    }
    TRY(list_ports(model, graph, err));
    for (size_t i = 0; i < graph->n_node; i++) {
        TRY(build_node(model, graph->node[i], &nodes[i], err));
    }
    TRY(order_nodes(model, graph, nodes, reads, err));
    TRY(place_nodes(model, graph, nodes, reads, err));
    TRY(list_consumers(model, reads, err));
    return label_nodes(model, err);
}

enum mly_status mly__graph_build(mly_model *model, struct mly_error *err)
{
    const Onnx__GraphProto *graph = model->proto->graph;
    if (graph->n_node == 0) {
        return mly_error_set(err, MLY_E_FORMAT, "the graph has no nodes");
    }
    struct definitions all = {0};
    struct reads reads = {0};
    struct mly_graph_node *nodes = mly_alloc_array(graph->n_node, sizeof *nodes);
    enum mly_status status =
        nodes == NULL ? mly__no_memory(err) : build(model, graph, nodes, &all, &reads, err);
    model->graph.ir_version = model->proto->ir_version;
    model->graph.producer_name = mly__text(model->proto->producer_name);
    mly_free(all.items);
    mly_free(all.sorted);
    mly_free(nodes);
    reads_fini(&reads);
    return status;
}

/*
 * Outer tensors that the sub-graphs of If, Loop, Scan and their like use.
 *
 * A name in a sub-graph means, in this order: what the sub-graph itself defines, what the graphs
 * around it define, and what the model's graph defines. Only the last is a capture. Depth is
 * bounded by MLY__NESTING_MAX.
 */
#include "base/alloc.h"
#include "model.h"

/* The names one sub-graph defines, sorted, and the sub-graph around it. */
struct scope {
    const struct scope *around;
    struct mly__name *names;
    size_t count;
};

struct captures {
    const struct mly__name *outer;
    size_t outer_count;
    const char *owner; /* the outer node, for messages */
    struct mly__index_list *list;
    struct mly_error *err;
};

static enum mly_status capture_graph(struct captures *captures, const struct scope *around,
                                     const Onnx__GraphProto *graph);

enum mly_status mly__index_list_add(struct mly__index_list *list, uint32_t index,
                                    struct mly_error *err)
{
    if (mly_array_reserve(&list->items, &list->capacity, list->count + 1, sizeof *list->items) !=
        0) {
        return mly__no_memory(err);
    }
    list->items[list->count++] = index;
    return MLY_OK;
}

static void define(struct scope *scope, const char *name)
{
    if (name != NULL && name[0] != '\0') {
        scope->names[scope->count++] = (struct mly__name){.text = name};
    }
}

static enum mly_status scope_init(struct scope *scope, const Onnx__GraphProto *graph,
                                  struct mly_error *err)
{
    size_t count = graph->n_input + graph->n_initializer + graph->n_sparse_initializer;
    for (size_t i = 0; i < graph->n_node; i++) {
        count += graph->node[i]->n_output;
    }
    scope->names = mly_alloc_array(count + 1, sizeof *scope->names);
    if (scope->names == NULL) {
        return mly__no_memory(err);
    }
    for (size_t i = 0; i < graph->n_input; i++) {
        define(scope, graph->input[i]->name);
    }
    for (size_t i = 0; i < graph->n_initializer; i++) {
        define(scope, graph->initializer[i]->name);
    }
    for (size_t i = 0; i < graph->n_sparse_initializer; i++) {
        const Onnx__TensorProto *values = graph->sparse_initializer[i]->values;
        define(scope, values != NULL ? values->name : NULL);
    }
    for (size_t i = 0; i < graph->n_node; i++) {
        for (size_t k = 0; k < graph->node[i]->n_output; k++) {
            define(scope, graph->node[i]->output[k]);
        }
    }
    mly__names_sort(scope->names, scope->count);
    return MLY_OK;
}

static enum mly_status use(struct captures *captures, const struct scope *scope, const char *name,
                           const char *user)
{
    if (name == NULL || name[0] == '\0') {
        return MLY_OK;
    }
    for (const struct scope *at = scope; at != NULL; at = at->around) {
        if (mly__names_find(at->names, at->count, name) != NULL) {
            return MLY_OK;
        }
    }
    const struct mly__name *found = mly__names_find(captures->outer, captures->outer_count, name);
    if (found == NULL) {
        return mly_error_set(
            captures->err, MLY_E_FORMAT,
            "in a sub-graph of node '%.200s': %.200s uses tensor '%.200s', which nothing defines",
            captures->owner, user, name);
    }
    return mly__index_list_add(captures->list, found->index, captures->err);
}

static enum mly_status capture_node(struct captures *captures, const struct scope *scope,
                                    const Onnx__NodeProto *node)
{
    enum mly_status status = MLY_OK;
    for (size_t i = 0; scope != NULL && i < node->n_input && status == MLY_OK; i++) {
        status = use(captures, scope, node->input[i], mly__text(node->op_type));
    }
    for (size_t i = 0; i < node->n_attribute && status == MLY_OK; i++) {
        const Onnx__AttributeProto *attribute = node->attribute[i];
        if (attribute->g != NULL) {
            status = capture_graph(captures, scope, attribute->g);
        }
        for (size_t k = 0; k < attribute->n_graphs && status == MLY_OK; k++) {
            status = capture_graph(captures, scope, attribute->graphs[k]);
        }
    }
    return status;
}

static enum mly_status capture_graph(struct captures *captures, const struct scope *around,
                                     const Onnx__GraphProto *graph)
{
    struct scope scope = {.around = around};
    enum mly_status status = scope_init(&scope, graph, captures->err);
    for (size_t i = 0; i < graph->n_node && status == MLY_OK; i++) {
        status = capture_node(captures, &scope, graph->node[i]);
    }
    for (size_t i = 0; i < graph->n_output && status == MLY_OK; i++) {
        status = use(captures, &scope, graph->output[i]->name, "its output");
    }
    mly_free(scope.names);
    return status;
}

enum mly_status mly__subgraph_captures(const struct mly__name *outer, size_t outer_count,
                                       const Onnx__NodeProto *node, struct mly__index_list *list,
                                       struct mly_error *err)
{
    const char *name = mly__text(node->name);
    struct captures captures = {.outer = outer,
                                .outer_count = outer_count,
                                .owner = name[0] != '\0' ? name : mly__text(node->op_type),
                                .list = list,
                                .err = err};
    return capture_node(&captures, NULL, node);
}

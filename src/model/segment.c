/*
 * Cutting a convex set of nodes out of a model.
 *
 * 1. The set is checked: ascending, in range, convex.
 * 2. Each tensor gets its role: what the nodes read comes in unless a node of the set makes it or
 * it is an initialiser, which comes along; what they make goes out if a later node or the model's
 * user needs it.
 * 3. A model's output that no node makes (an input or an initialiser passed through) belongs to the
 * segment of its first reader, or of node 0 if nothing reads it: so the segments of any partition
 * together give all outputs.
 * 4. What a Constant node makes does not cross either: a segment that reads it gets a copy of the node.
 *    So does one that reads what a DequantizeLinear of constant scale makes: the integers cross, a
 *    quarter of the bytes, and its readers still work on integers. If nothing else is in a set, it goes
 *    out all the same, for each set to be a segment.
 * 5. Tensors that cross must be plain and of known type.
 */
#include <string.h>

#include "base/alloc.h"
#include "base/hash.h"
#include "segment_private.h"

/* 1. */
static enum mly_status mark_nodes(struct mly__cut *cut, const uint32_t *nodes, uint32_t count,
                                  struct mly_error *err)
{
    const struct mly_graph *graph = &cut->model->graph;
    if (count == 0) {
        return mly_error_set(err, MLY_E_INVALID, "a segment needs at least one node");
    }
    for (uint32_t i = 0; i < count; i++) {
        if (nodes[i] >= graph->node_count || (i > 0 && nodes[i] <= nodes[i - 1])) {
            return mly_error_set(err, MLY_E_INVALID,
                                 "a segment's nodes must ascend and be under %u; number %u is %u",
                                 graph->node_count, i, nodes[i]);
        }
        cut->inside[nodes[i]] = true;
    }
    cut->whole = count == graph->node_count;
    uint32_t leaving, returning;
    enum mly_status status = mly__convex(graph, cut->inside, &leaving, &returning, err);
    if (status == MLY_OK && leaving != MLY_NO_INDEX) {
        return mly_error_set(err, MLY_E_INVALID,
                             "these nodes are no segment: a path leaves them after '%.200s' and "
                             "comes back at '%.200s'",
                             graph->nodes[leaving].label, graph->nodes[returning].label);
    }
    return status;
}

bool mly__is_constant(const struct mly_graph *graph, uint32_t node)
{
    const struct mly_graph_node *at = &graph->nodes[node];
    return at->domain[0] == '\0' && at->input_count == 0 && at->output_count == 1 &&
           at->outputs[0] != MLY_NO_INDEX && strcmp(at->op_type, "Constant") == 0;
}

static bool is_stored(const struct mly_graph *graph, uint32_t tensor)
{
    return tensor == MLY_NO_INDEX || graph->tensors[tensor].kind == MLY_TENSOR_INITIALISER ||
           (graph->tensors[tensor].kind == MLY_TENSOR_VALUE &&
            mly__is_constant(graph, graph->tensors[tensor].producer));
}

static bool is_dequantise(const struct mly_graph *graph, uint32_t node)
{
    return strcmp(graph->nodes[node].op_type, "DequantizeLinear") == 0;
}

bool mly__is_copied(const struct mly_graph *graph, uint32_t node)
{
    const struct mly_graph_node *at = &graph->nodes[node];
    if (mly__is_constant(graph, node)) {
        return true;
    }
    if (!is_dequantise(graph, node) || at->input_count < 2 || at->inputs[0] == MLY_NO_INDEX ||
        at->output_count != 1 || at->outputs[0] == MLY_NO_INDEX) {
        return false;
    }
    for (uint32_t i = 1; i < at->input_count; i++) {
        if (!is_stored(graph, at->inputs[i])) {
            return false;
        }
    }
    /* one after another, which makes no sense, would be copied in a chain */
    const uint32_t producer = graph->tensors[at->inputs[0]].producer;
    return producer == MLY_NO_INDEX || !is_dequantise(graph, producer);
}

/* Recursion ends at once: what a copied node reads is stored, or made by a node that is not copied. */
static void read_tensor(struct mly__cut *cut, uint32_t index)
{
    if (index == MLY_NO_INDEX) {
        return;
    }
    const struct mly_graph_tensor *tensor = &cut->model->graph.tensors[index];
    const bool stored =
        cut->model->initialisers[index] != NULL || cut->model->sparse[index] != NULL;
    cut->role[index] |= MLY__TOUCHED;
    if (stored) {
        cut->role[index] |= MLY__STORED;
    }
    if (tensor->kind == MLY_TENSOR_INPUT) {
        cut->role[index] |= MLY__GOES_IN;
    } else if (tensor->kind == MLY_TENSOR_VALUE && !cut->inside[tensor->producer]) {
        if (!mly__is_copied(&cut->model->graph, tensor->producer)) {
            cut->role[index] |= MLY__GOES_IN;
            return;
        }
        cut->role[index] |= MLY__COPIED;
        const struct mly_graph_node *node = &cut->model->graph.nodes[tensor->producer];
        for (uint32_t i = 0; i < node->input_count; i++) {
            read_tensor(cut, node->inputs[i]);
        }
    }
}

static bool has_reader_outside(const struct mly__cut *cut, const struct mly_graph_tensor *tensor)
{
    for (uint32_t i = 0; i < tensor->consumer_count; i++) {
        if (!cut->inside[tensor->consumers[i]]) {
            return true;
        }
    }
    return false;
}

/* Read by a node outside, or by one inside of which another segment gets a copy. */
static bool crosses_to_others(const struct mly__cut *cut, const struct mly_graph_tensor *tensor)
{
    const struct mly_graph *graph = &cut->model->graph;
    if (!cut->only_copied && mly__is_copied(graph, tensor->producer)) {
        return false;
    }
    for (uint32_t i = 0; i < tensor->consumer_count; i++) {
        const uint32_t reader = tensor->consumers[i];
        if (!cut->inside[reader] ||
            (mly__is_copied(graph, reader) &&
             has_reader_outside(cut, &graph->tensors[graph->nodes[reader].outputs[0]]))) {
            return true;
        }
    }
    return false;
}

/* 2. to 4. */
static void assign_roles(struct mly__cut *cut, const uint32_t *nodes, uint32_t count)
{
    const struct mly_graph *graph = &cut->model->graph;
    cut->only_copied = true;
    for (uint32_t i = 0; i < count && cut->only_copied; i++) {
        cut->only_copied = mly__is_copied(graph, nodes[i]);
    }
    for (uint32_t i = 0; i < count; i++) {
        const struct mly_graph_node *node = &graph->nodes[nodes[i]];
        for (uint32_t k = 0; k < node->input_count; k++) {
            read_tensor(cut, node->inputs[k]);
        }
        for (uint32_t k = 0; k < node->captured_count; k++) {
            read_tensor(cut, node->captured[k]);
        }
        for (uint32_t k = 0; k < node->output_count; k++) {
            if (node->outputs[k] != MLY_NO_INDEX) {
                const struct mly_graph_tensor *made = &graph->tensors[node->outputs[k]];
                const bool out = cut->observed || made->is_output || crosses_to_others(cut, made);
                cut->role[node->outputs[k]] |= MLY__TOUCHED | (out ? MLY__GOES_OUT : 0);
            }
        }
    }
    for (uint32_t i = 0; i < graph->output_count; i++) {
        const struct mly_graph_tensor *tensor = &graph->tensors[graph->outputs[i]];
        if (tensor->kind != MLY_TENSOR_VALUE &&
            cut->inside[tensor->consumer_count > 0 ? tensor->consumers[0] : 0]) {
            read_tensor(cut, graph->outputs[i]);
            cut->role[graph->outputs[i]] |= MLY__GOES_OUT;
        }
    }
    for (uint32_t i = 0; i < graph->tensor_count && cut->whole; i++) {
        if (graph->tensors[i].kind != MLY_TENSOR_VALUE) {
            read_tensor(cut, i);
        }
    }
}

/* 5. */
static enum mly_status check_crossing(const struct mly__cut *cut, uint32_t index,
                                      struct mly_error *err)
{
    const struct mly_graph *graph = &cut->model->graph;
    const struct mly_graph_tensor *tensor = &graph->tensors[index];
    if (tensor->kind != MLY_TENSOR_VALUE || cut->whole) {
        return MLY_OK;
    }
    if (cut->inside[tensor->producer] && !crosses_to_others(cut, tensor)) {
        return MLY_OK; /* an output of the model that only this segment knows */
    }
    if (tensor->is_sequence_or_optional) {
        return mly_error_set(err, MLY_E_INVALID,
                             "tensor '%.200s' cannot cross a cut: it is a sequence, an optional or "
                             "a map; keep '%.200s' and its "
                             "readers in one segment",
                             tensor->name, graph->nodes[tensor->producer].label);
    }
    if (tensor->dtype == MLY_DTYPE_UNDEFINED) {
        return mly_error_set(err, MLY_E_UNSUPPORTED,
                             "type of tensor '%.200s' is not known; have a runtime infer it first "
                             "(mly_model_add_shapes)",
                             tensor->name);
    }
    return MLY_OK;
}

static enum mly_status list_crossings(struct mly__cut *cut, uint8_t role,
                                      const uint32_t *model_order, uint32_t model_count,
                                      uint32_t **list, uint32_t *list_count, struct mly_error *err)
{
    const struct mly_graph *graph = &cut->model->graph;
    uint32_t count = 0;
    for (uint32_t i = 0; i < graph->tensor_count; i++) {
        count += (cut->role[i] & role) != 0;
    }
    *list = mly_alloc_array((size_t)count + 1, sizeof **list);
    if (*list == NULL) {
        return mly__no_memory(err);
    }
    for (uint32_t i = 0; cut->whole && i < model_count; i++) {
        (*list)[(*list_count)++] = model_order[i];
    }
    for (uint32_t i = 0; cut->observed && role == MLY__GOES_OUT && i < graph->tensor_count; i++) {
        if ((cut->role[i] & role) != 0 && !graph->tensors[i].is_output) {
            (*list)[(*list_count)++] = i;
        }
    }
    for (uint32_t i = 0; !cut->whole && i < graph->tensor_count; i++) {
        if ((cut->role[i] & role) == 0) {
            continue;
        }
        enum mly_status status = check_crossing(cut, i, err);
        if (status != MLY_OK) {
            return status;
        }
        (*list)[(*list_count)++] = i;
    }
    return MLY_OK;
}

static enum mly_status cut_out(struct mly__cut *cut, const uint32_t *nodes, uint32_t count,
                               struct mly_error *err)
{
    const struct mly_graph *graph = &cut->model->graph;
    struct mly_segment *out = cut->out;
    cut->inside = mly_alloc_array(graph->node_count, sizeof *cut->inside);
    cut->role = mly_alloc_array((size_t)graph->tensor_count + 1, sizeof *cut->role);
    cut->region_used = mly_alloc_array(cut->model->region_count, sizeof *cut->region_used);
    out->nodes = mly_alloc_array((size_t)count + 1, sizeof *out->nodes);
    if (cut->inside == NULL || cut->role == NULL || cut->region_used == NULL ||
        out->nodes == NULL) {
        return mly__no_memory(err);
    }
    enum mly_status status = mark_nodes(cut, nodes, count, err);
    if (status != MLY_OK) {
        return status;
    }
    memcpy(out->nodes, nodes, count * sizeof *nodes);
    out->node_count = count;
    assign_roles(cut, nodes, count);
    status = list_crossings(cut, MLY__GOES_IN, graph->inputs, graph->input_count, &out->inputs,
                            &out->input_count, err);
    if (status == MLY_OK) {
        status = list_crossings(cut, MLY__GOES_OUT, graph->outputs, graph->output_count,
                                &out->outputs, &out->output_count, err);
    }
    if (status == MLY_OK && out->output_count == 0) {
        status = mly_error_set(err, MLY_E_INVALID,
                               "nothing needs what these nodes make (the first is '%.200s')",
                               graph->nodes[nodes[0]].label);
    }
    return status == MLY_OK ? mly__segment_pack(cut, err) : status;
}

static enum mly_status extract(const mly_model *model, const uint32_t *nodes, uint32_t count,
                               bool observed, struct mly_segment *out, struct mly_error *err)
{
    struct mly_segment segment = {0};
    struct mly__cut cut = {.model = model, .observed = observed, .out = &segment};
    enum mly_status status = cut_out(&cut, nodes, count, err);
    mly_free(cut.inside);
    mly_free(cut.role);
    mly_free(cut.region_used);
    mly__arena_fini(&cut.arena);
    if (status != MLY_OK) {
        mly_segment_fini(&segment);
        return status;
    }
    *out = segment;
    return MLY_OK;
}

enum mly_status mly_segment_extract(const mly_model *model, const uint32_t *nodes, uint32_t count,
                                    struct mly_segment *out, struct mly_error *err)
{
    return extract(model, nodes, count, false, out, err);
}

static enum mly_status extract_all(const mly_model *model, bool observed, struct mly_segment *out,
                                   struct mly_error *err)
{
    uint32_t *nodes = mly_alloc_array(model->graph.node_count, sizeof *nodes);
    if (nodes == NULL) {
        return mly__no_memory(err);
    }
    for (uint32_t i = 0; i < model->graph.node_count; i++) {
        nodes[i] = i;
    }
    enum mly_status status = extract(model, nodes, model->graph.node_count, observed, out, err);
    mly_free(nodes);
    return status;
}

enum mly_status mly_segment_whole(const mly_model *model, struct mly_segment *out,
                                  struct mly_error *err)
{
    return extract_all(model, false, out, err);
}

enum mly_status mly_segment_observed(const mly_model *model, struct mly_segment *out,
                                     struct mly_error *err)
{
    return extract_all(model, true, out, err);
}

void mly_segment_fini(struct mly_segment *segment)
{
    if (segment == NULL) {
        return;
    }
    mly_free(segment->onnx);
    mly_free(segment->regions);
    mly_free(segment->nodes);
    mly_free(segment->inputs);
    mly_free(segment->outputs);
    *segment = (struct mly_segment){0};
}

enum mly_status mly_segment_hash(const mly_model *model, const struct mly_segment *segment,
                                 char text[65], struct mly_error *err)
{
    const char *model_hash;
    mly_hasher *hasher = NULL;
    enum mly_status status = mly_model_hash(model, &model_hash, err);
    if (status != MLY_OK) {
        return status;
    }
    status = mly_hasher_create(&hasher, err);
    if (status != MLY_OK) {
        return status;
    }
    static const char domain[] = "motley segment 1";
    status = mly_hasher_update(hasher, domain, sizeof domain);
    if (status == MLY_OK) {
        status = mly_hasher_update(hasher, model_hash, strlen(model_hash) + 1);
    }
    for (uint32_t i = 0; i < segment->node_count && status == MLY_OK; i++) {
        const uint32_t node = segment->nodes[i];
        const uint8_t bytes[4] = {(uint8_t)node, (uint8_t)(node >> 8), (uint8_t)(node >> 16),
                                  (uint8_t)(node >> 24)};
        status = mly_hasher_update(hasher, bytes, sizeof bytes);
    }
    if (status != MLY_OK) {
        mly_hasher_destroy(hasher);
        return mly_error_set(err, status, "the segment's hash could not be made");
    }
    status = mly_hasher_finish(hasher, text);
    return status == MLY_OK ? status
                            : mly_error_set(err, status, "the segment's hash could not be made");
}

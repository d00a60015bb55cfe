/* Arithmetic and bytes of a node, by the table in work_rules.inc. */
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "model.h"

enum work_rule {
    WORK_NONE,           /* moves data */
    WORK_ELEMENTS,       /* per output element */
    WORK_VARIADIC,       /* per output element and input but one */
    WORK_REDUCE,         /* per element of input 0 */
    WORK_POOL,           /* per output element and window element */
    WORK_LRN,            /* per output element and neighbour */
    WORK_CONV,           /* weights are input 1 */
    WORK_QCONV,          /* weights are input 3 */
    WORK_CONV_TRANSPOSE, /* per input element */
    WORK_MATMUL,
    WORK_GEMM,
    WORK_EINSUM,
    WORK_RECURRENT,
    WORK_ATTENTION,
    WORK_HEADS
};

static const struct work_row {
    const char *operator_name;
    enum work_rule rule;
    double per_element;
} rows[] = {
#define WORK(operator_name, rule, per_element) {operator_name, rule, per_element},
#include "work_rules.inc"
#undef WORK
};

/* A node with the bound shapes of what it reads and makes. */
struct view {
    const struct mly_graph *graph;
    const struct mly_graph_node *node;
    const Onnx__NodeProto *proto;
    const struct mly_shape *shapes;
};

static const struct mly_shape *shape_of(const struct view *view, const uint32_t *list,
                                        uint32_t count, uint32_t k)
{
    if (k >= count || list[k] == MLY_NO_INDEX || !mly_shape_is_known(&view->shapes[list[k]])) {
        return NULL;
    }
    return &view->shapes[list[k]];
}

static const struct mly_shape *input(const struct view *view, uint32_t k)
{
    return shape_of(view, view->node->inputs, view->node->input_count, k);
}

static const struct mly_shape *output(const struct view *view, uint32_t k)
{
    return shape_of(view, view->node->outputs, view->node->output_count, k);
}

static double count_of(const struct mly_shape *shape)
{
    double count = 1;
    for (int32_t i = 0; i < shape->rank; i++) {
        count *= (double)shape->dims[i];
    }
    return count;
}

static double ratio(double a, double b)
{
    return b > 0 ? a / b : 0;
}

static int64_t int_attribute(const struct view *view, const char *name, int64_t otherwise)
{
    const Onnx__AttributeProto *attribute = mly__pb_attribute(view->proto, name);
    return attribute != NULL && attribute->has_i ? attribute->i : otherwise;
}

/* Window elements of a pooling node; 0 when it does not say. */
static double window(const struct view *view)
{
    const Onnx__AttributeProto *kernel = mly__pb_attribute(view->proto, "kernel_shape");
    if (kernel == NULL || kernel->n_ints == 0) {
        return 0;
    }
    double elements = 1;
    for (size_t i = 0; i < kernel->n_ints; i++) {
        elements *= (double)kernel->ints[i];
    }
    return elements;
}

static bool conv_macs(const struct view *view, uint32_t weights_input, double *macs)
{
    const struct mly_shape *weights = input(view, weights_input);
    const struct mly_shape *out = output(view, 0);
    if (weights == NULL || out == NULL || weights->rank < 1) {
        return false;
    }
    *macs = count_of(out) * ratio(count_of(weights), (double)weights->dims[0]);
    return true;
}

static bool conv_transpose_macs(const struct view *view, double *macs)
{
    const struct mly_shape *in = input(view, 0);
    const struct mly_shape *weights = input(view, 1);
    if (in == NULL || weights == NULL || weights->rank < 1) {
        return false;
    }
    *macs = count_of(in) * ratio(count_of(weights), (double)weights->dims[0]);
    return true;
}

static bool matmul_macs(const struct view *view, double *macs)
{
    const struct mly_shape *a = input(view, 0);
    const struct mly_shape *out = output(view, 0);
    if (a == NULL || out == NULL || a->rank < 1) {
        return false;
    }
    const int64_t summed = a->rank >= 2 && int_attribute(view, "transA", 0) != 0
                               ? a->dims[a->rank - 2]
                               : a->dims[a->rank - 1];
    *macs = count_of(out) * (double)summed;
    return true;
}

static bool gemm_macs(const struct view *view, double *macs)
{
    const struct mly_shape *a = input(view, 0);
    const struct mly_shape *out = output(view, 0);
    if (a == NULL || out == NULL || a->rank != 2) {
        return false;
    }
    *macs = count_of(out) * (double)a->dims[int_attribute(view, "transA", 0) != 0 ? 0 : 1];
    return true;
}

/* "bij,bjk->bik": one MAC per combination of all letters; ellipses are not handled. */
static bool einsum_macs(const struct view *view, double *macs)
{
    const Onnx__AttributeProto *equation = mly__pb_attribute(view->proto, "equation");
    if (equation == NULL || !equation->has_s) {
        return false;
    }
    double sizes[256] = {0};
    uint32_t operand = 0;
    int32_t dim = 0;
    for (size_t i = 0; i < equation->s.len && equation->s.data[i] != '-'; i++) {
        const uint8_t letter = equation->s.data[i];
        const struct mly_shape *shape = input(view, operand);
        if (letter == ',') {
            operand++;
            dim = 0;
        } else if (letter != ' ') {
            if (letter == '.' || shape == NULL || dim >= shape->rank) {
                return false;
            }
            sizes[letter] = (double)shape->dims[dim++];
        }
    }
    *macs = 1;
    for (size_t i = 0; i < 256; i++) {
        *macs *= sizes[i] > 0 ? sizes[i] : 1;
    }
    return true;
}

/* X is [steps, batch, input] ([batch, steps, input] with layout 1), W and R hold all directions and
 * gates. */
static bool recurrent_macs(const struct view *view, double *macs)
{
    const struct mly_shape *x = input(view, 0);
    const struct mly_shape *w = input(view, 1);
    const struct mly_shape *r = input(view, 2);
    if (x == NULL || w == NULL || r == NULL || x->rank != 3) {
        return false;
    }
    *macs = (double)x->dims[0] * (double)x->dims[1] * (count_of(w) + count_of(r));
    return true;
}

/* Scores and their product with the values, queries [.., S, H] against T keys: S x T x H each. */
static double score_macs(double batch, double queries, double keys, double width)
{
    return 2 * batch * queries * keys * width;
}

static bool attention_macs(const struct view *view, double *macs)
{
    const struct mly_shape *in = input(view, 0);
    const struct mly_shape *second = input(view, 1);
    const struct mly_shape *out = output(view, 0);
    if (in == NULL || second == NULL || out == NULL) {
        return false;
    }
    if (view->node->domain[0] != '\0') {
        /* com.microsoft: input [B, S, E], weights [E, 3H], output [B, S, H] */
        if (in->rank != 3 || second->rank != 2 || out->rank != 3) {
            return false;
        }
        *macs = count_of(in) * (double)second->dims[1] +
                score_macs((double)in->dims[0], (double)in->dims[1], (double)in->dims[1],
                           (double)out->dims[2]);
        return true;
    }
    /* ai.onnx 23: Q [B, heads, S, D] and K [B, heads, T, D], or Q [B, S, H] and K [B, T, H] */
    if (in->rank != second->rank || in->rank < 3) {
        return false;
    }
    *macs = 2 * count_of(in) * (double)second->dims[second->rank - 2];
    return true;
}

/* com.microsoft MultiHeadAttention: query [B, S, H], key [B, T, H] */
static bool heads_macs(const struct view *view, double *macs)
{
    const struct mly_shape *query = input(view, 0);
    const struct mly_shape *key = input(view, 1);
    if (query == NULL || key == NULL || query->rank != 3 || key->rank != 3) {
        return false;
    }
    *macs = score_macs((double)query->dims[0], (double)query->dims[1], (double)key->dims[1],
                       (double)query->dims[2]);
    return true;
}

static bool per_element(const struct mly_shape *shape, double factor, double *flops)
{
    if (shape == NULL) {
        return false;
    }
    *flops = count_of(shape) * factor;
    return true;
}

/* MACs and other flops of the node by its rule; false where a shape that it needs is missing. */
static bool apply(const struct view *view, const struct work_row *row, double *macs, double *flops)
{
    switch (row->rule) {
    case WORK_NONE:
        return true;
    case WORK_ELEMENTS:
        return per_element(output(view, 0), row->per_element, flops);
    case WORK_VARIADIC:
        return per_element(output(view, 0),
                           row->per_element *
                               (view->node->input_count > 1 ? view->node->input_count - 1 : 1),
                           flops);
    case WORK_REDUCE:
        return per_element(input(view, 0), row->per_element, flops);
    case WORK_POOL:
        return window(view) > 0 &&
               per_element(output(view, 0), row->per_element * window(view), flops);
    case WORK_LRN:
        return per_element(output(view, 0),
                           row->per_element * (double)int_attribute(view, "size", 1) + 2, flops);
    case WORK_CONV:
        return conv_macs(view, 1, macs);
    case WORK_QCONV:
        return conv_macs(view, 3, macs);
    case WORK_CONV_TRANSPOSE:
        return conv_transpose_macs(view, macs);
    case WORK_MATMUL:
        return matmul_macs(view, macs);
    case WORK_GEMM:
        return gemm_macs(view, macs);
    case WORK_EINSUM:
        return einsum_macs(view, macs);
    case WORK_RECURRENT:
        return recurrent_macs(view, macs);
    case WORK_ATTENTION:
        return attention_macs(view, macs);
    case WORK_HEADS:
        return heads_macs(view, macs);
    }
    return false;
}

static double bytes_of(const struct view *view, uint32_t tensor)
{
    size_t bytes;
    const enum mly_status status =
        mly_shape_bytes(view->graph->tensors[tensor].dtype, &view->shapes[tensor], &bytes, NULL);
    return status == MLY_OK ? (double)bytes : 0;
}

static bool seen_before(const uint32_t *list, uint32_t count, uint32_t tensor)
{
    for (uint32_t i = 0; i < count; i++) {
        if (list[i] == tensor) {
            return true;
        }
    }
    return false;
}

static void add_read(const struct view *view, uint32_t index, uint32_t node,
                     struct mly_node_work *out)
{
    const struct mly_graph_tensor *tensor = &view->graph->tensors[index];
    if (tensor->kind != MLY_TENSOR_INITIALISER) {
        out->input_bytes += bytes_of(view, index);
    } else if (tensor->consumer_count > 0 && tensor->consumers[0] == node) {
        out->parameters += count_of(&tensor->shape);
        out->weight_bytes += (double)tensor->weight_bytes;
    }
}

void mly_graph_node_work(const struct mly_graph *graph, const struct mly_shape *shapes,
                         uint32_t node, struct mly_node_work *out)
{
    const struct mly_graph_node *at = &graph->nodes[node];
    const struct view view = {.graph = graph,
                              .node = at,
                              .proto = mly__model_of(graph)->node_protos[node],
                              .shapes = shapes};
    *out = (struct mly_node_work){0};
    for (uint32_t i = 0; i < at->input_count; i++) {
        if (at->inputs[i] != MLY_NO_INDEX &&
            (at->input_count > 64 || !seen_before(at->inputs, i, at->inputs[i]))) {
            add_read(&view, at->inputs[i], node, out);
        }
    }
    for (uint32_t i = 0; i < at->captured_count; i++) {
        if (at->input_count > 64 || !seen_before(at->inputs, at->input_count, at->captured[i])) {
            add_read(&view, at->captured[i], node, out);
        }
    }
    for (uint32_t i = 0; i < at->output_count; i++) {
        if (at->outputs[i] != MLY_NO_INDEX) {
            out->output_bytes += bytes_of(&view, at->outputs[i]);
        }
    }
    double macs = 0;
    double flops = 0;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        if (strcmp(rows[i].operator_name, at->op_type) == 0) {
            out->known = apply(&view, &rows[i], &macs, &flops);
            break;
        }
    }
    if (out->known) {
        out->macs = macs;
        out->flops = 2 * macs + flops;
    }
}

/* Last node that needs a tensor. */
static uint32_t last_use(const struct mly_graph *graph, const struct mly_graph_tensor *tensor)
{
    if (tensor->is_output) {
        return graph->node_count - 1;
    }
    if (tensor->consumer_count > 0) {
        return tensor->consumers[tensor->consumer_count - 1];
    }
    return tensor->producer != MLY_NO_INDEX ? tensor->producer : 0;
}

enum mly_status mly_graph_totals(const struct mly_graph *graph, const struct mly_shape *shapes,
                                 struct mly_graph_totals *out, struct mly_error *err)
{
    /* change[i]: bytes that begin to live with node i less those that ended with node i - 1 */
    double *change = mly_alloc_array((size_t)graph->node_count + 1, sizeof *change);
    if (change == NULL) {
        return mly__no_memory(err);
    }
    struct mly_graph_totals totals = {0};
    for (uint32_t i = 0; i < graph->node_count; i++) {
        struct mly_node_work work;
        mly_graph_node_work(graph, shapes, i, &work);
        totals.macs += work.macs;
        totals.flops += work.flops;
        totals.unknown_nodes += !work.known;
    }
    const struct view view = {.graph = graph, .shapes = shapes};
    for (uint32_t i = 0; i < graph->tensor_count; i++) {
        const struct mly_graph_tensor *tensor = &graph->tensors[i];
        if (tensor->kind == MLY_TENSOR_INITIALISER) {
            totals.parameters += count_of(&tensor->shape);
            totals.weight_bytes += (double)tensor->weight_bytes;
            continue;
        }
        const double bytes = bytes_of(&view, i);
        change[tensor->producer != MLY_NO_INDEX ? tensor->producer : 0] += bytes;
        change[last_use(graph, tensor) + 1] -= bytes;
    }
    double live = 0;
    for (uint32_t i = 0; i < graph->node_count; i++) {
        live += change[i];
        totals.peak_activation_bytes =
            live > totals.peak_activation_bytes ? live : totals.peak_activation_bytes;
    }
    mly_free(change);
    *out = totals;
    return MLY_OK;
}

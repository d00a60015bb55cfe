/* What each node is to a modelled device: its class, arithmetic, weights and bytes. */
#include <string.h>

#include "modelled_private.h"

enum class { VIEW, FOLLOWS, MATRIX, MOVE, MAP, OTHER };
enum answer { NO, YES };

static const struct operator_row {
    const char *name;
    enum class class;
    enum answer on_edgetpu;
} operators[] = {
#define OPERATOR(name, class, on_edgetpu) {name, class, on_edgetpu},
#include "modelled_ops.inc"
#undef OPERATOR
};

static const struct operator_row *find_operator(const char *name)
{
    static const struct operator_row other = {"", OTHER, NO};
    for (size_t i = 0; i < sizeof operators / sizeof *operators; i++)
        if (strcmp(operators[i].name, name) == 0)
            return &operators[i];
    return &other;
}

/* Dimensions without a size count as 1. */
static double count_of(const struct mly_shape *shape)
{
    double count = 1;
    for (int32_t i = 0; i < shape->rank; i++)
        count *= shape->dims[i] >= 0 ? (double)shape->dims[i] : 1;
    return shape->rank < 0 ? 0 : count;
}

static bool is_float(enum mly_dtype dtype)
{
    return dtype == MLY_DTYPE_F32 || dtype == MLY_DTYPE_F64 || dtype == MLY_DTYPE_F16 ||
           dtype == MLY_DTYPE_BF16;
}

static bool is_constant(const mly_modelled *modelled, uint32_t tensor)
{
    return tensor == MLY_NO_INDEX || modelled->constant[tensor];
}

static bool all_constant(const mly_modelled *modelled, const struct mly_graph_node *node)
{
    for (uint32_t i = 0; i < node->input_count; i++)
        if (!is_constant(modelled, node->inputs[i]))
            return false;
    for (uint32_t i = 0; i < node->captured_count; i++)
        if (!is_constant(modelled, node->captured[i]))
            return false;
    return true;
}

/* The stored weights of a convolution or product: its first constant of rank 2 or more after the data. */
static uint32_t weights_of(const mly_modelled *modelled, const struct mly_graph_node *node,
                           const struct mly_shape *shapes)
{
    for (uint32_t i = 0; i < node->input_count; i++) {
        uint32_t tensor = node->inputs[i];
        if (tensor != MLY_NO_INDEX && modelled->constant[tensor] && shapes[tensor].rank >= 2)
            return tensor;
    }
    return MLY_NO_INDEX;
}

/* Weights of convolutions are [out, in / groups, …], of transposed ones [in, out / groups, …]. */
static void describe_convolution(const struct mly_graph_node *node, const struct mly_shape *weights,
                                 const struct mly_shape *result, struct mly__modelled_node *out)
{
    bool transposed = strcmp(node->op_type, "ConvTranspose") == 0;
    double first = (double)weights->dims[0], second = (double)weights->dims[1];
    double elements = count_of(weights);
    out->is_convolution = true;
    out->out_channels =
        transposed && result->rank >= 2 && result->dims[1] > 0 ? (double)result->dims[1] : first;
    out->depth = transposed ? first : second;
    out->taps = first * second > 0 ? elements / (first * second) : 1;
}

static void describe_product(const struct mly_shape *weights, const struct mly_shape *result,
                             struct mly__modelled_node *out)
{
    double elements = count_of(weights);
    out->out_channels = result->rank >= 1 && result->dims[result->rank - 1] > 0
                            ? (double)result->dims[result->rank - 1]
                            : 1;
    out->depth = elements / out->out_channels;
    out->taps = 1;
}

/* Without stored weights a product is something else, which no Edge TPU computes. */
static void describe_matrix(mly_modelled *modelled, const struct mly_graph_node *node,
                            const struct mly_shape *shapes, struct mly__modelled_node *out)
{
    uint32_t weights = weights_of(modelled, node, shapes);
    uint32_t result = node->output_count > 0 ? node->outputs[0] : MLY_NO_INDEX;
    out->kind = MLY__MODELLED_OTHER;
    if (weights == MLY_NO_INDEX)
        out->why = " of two computed tensors";
    else if (shapes[weights].rank > 4)
        out->why = " over three dimensions";
    out->supported = out->supported && !*out->why;
    if (weights == MLY_NO_INDEX || result == MLY_NO_INDEX || out->macs <= 0)
        return;
    out->kind = MLY__MODELLED_MATRIX;
    if (strstr(node->op_type, "Conv"))
        describe_convolution(node, &shapes[weights], &shapes[result], out);
    else
        describe_product(&shapes[weights], &shapes[result], out);
    double per_position = out->out_channels * out->depth * out->taps;
    out->positions = per_position > 0 ? out->macs / per_position : 0;
    out->weight_elements = count_of(&shapes[weights]);
}

static void add_traffic(const mly_modelled *modelled, const uint32_t *tensors, uint32_t count,
                        double *bytes, double *elements)
{
    for (uint32_t i = 0; i < count; i++)
        if (tensors[i] != MLY_NO_INDEX && !modelled->constant[tensors[i]]) {
            *bytes += modelled->tensor_bytes[tensors[i]];
            *elements += modelled->tensor_elements[tensors[i]];
        }
}

/* The type that is computed in: of the first result that is a number with a fraction, or of 8 bits. */
static enum mly_dtype arithmetic_of(const mly_modelled *modelled, const struct mly_graph_node *node)
{
    for (uint32_t i = 0; i < node->input_count; i++)
        if (node->inputs[i] != MLY_NO_INDEX) {
            enum mly_dtype dtype = modelled->graph->tensors[node->inputs[i]].dtype;
            if (is_float(dtype) || dtype == MLY_DTYPE_I8 || dtype == MLY_DTYPE_U8)
                return dtype;
        }
    return MLY_DTYPE_UNDEFINED;
}

/* Arithmetic on shapes: whole numbers, a few of them. */
static bool is_bookkeeping(const mly_modelled *modelled, const struct mly_graph_node *node)
{
    for (uint32_t i = 0; i < node->output_count; i++) {
        if (node->outputs[i] == MLY_NO_INDEX)
            continue;
        const struct mly_graph_tensor *tensor = &modelled->graph->tensors[node->outputs[i]];
        bool whole = tensor->dtype == MLY_DTYPE_I64 || tensor->dtype == MLY_DTYPE_I32 ||
                     tensor->dtype == MLY_DTYPE_BOOL;
        if (!whole || modelled->tensor_elements[node->outputs[i]] > 64)
            return false;
    }
    return !node->has_subgraph;
}

static void describe_node(mly_modelled *modelled, const struct mly_shape *shapes, uint32_t index)
{
    static const enum mly__modelled_kind kinds[] = {
        [VIEW] = MLY__MODELLED_VIEW,    [FOLLOWS] = MLY__MODELLED_FOLLOWS,
        [MATRIX] = MLY__MODELLED_OTHER, [MAP] = MLY__MODELLED_OTHER,
        [MOVE] = MLY__MODELLED_OTHER,   [OTHER] = MLY__MODELLED_OTHER,
    };
    const struct mly_graph_node *node = &modelled->graph->nodes[index];
    const struct operator_row *row = find_operator(node->op_type);
    struct mly__modelled_node *out = &modelled->nodes[index];
    struct mly_node_work work;
    mly_graph_node_work(modelled->graph, shapes, index, &work);
    out->kind = kinds[row->class];
    out->supported = row->on_edgetpu == YES;
    out->why = "";
    out->moves = row->class == MOVE;
    out->dtype = arithmetic_of(modelled, node);
    out->macs = work.macs;
    out->other_flops = work.flops - 2 * work.macs;
    out->weight_bytes = work.weight_bytes;
    out->weight_elements = work.parameters;
    if (all_constant(modelled, node) && !node->has_subgraph) {
        for (uint32_t i = 0; i < node->output_count; i++)
            if (node->outputs[i] != MLY_NO_INDEX)
                modelled->constant[node->outputs[i]] = true;
        out->kind = MLY__MODELLED_VIEW;
        out->supported = true;
        out->macs = out->other_flops = 0;
        return;
    }
    add_traffic(modelled, node->inputs, node->input_count, &out->input_bytes, &out->input_elements);
    add_traffic(modelled, node->outputs, node->output_count, &out->output_bytes,
                &out->output_elements);
    if (row->class == MATRIX)
        describe_matrix(modelled, node, shapes, out);
    else if (is_bookkeeping(modelled, node)) {
        out->kind = MLY__MODELLED_VIEW;
        out->supported = true;
    }
}

void mly__modelled_describe(mly_modelled *modelled, const struct mly_shape *shapes)
{
    const struct mly_graph *graph = modelled->graph;
    for (uint32_t i = 0; i < graph->tensor_count; i++) {
        const struct mly_graph_tensor *tensor = &graph->tensors[i];
        modelled->constant[i] = tensor->kind == MLY_TENSOR_INITIALISER;
        modelled->tensor_elements[i] = count_of(&shapes[i]);
        modelled->tensor_bytes[i] =
            modelled->tensor_elements[i] * mly_dtype_bits(tensor->dtype) / 8;
    }
    for (uint32_t i = 0; i < graph->node_count; i++)
        describe_node(modelled, shapes, i);
}

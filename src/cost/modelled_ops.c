/* What each node is to a modelled device: its class, arithmetic, weights and bytes. */
#include <math.h>
#include <string.h>

#include "modelled_private.h"

enum class { VIEW, FOLLOWS, MATRIX, MOVE, MAP, OTHER };
enum answer { NO, YES };

static const struct operator_row {
    const char *name;
    enum class class;
    enum answer on_edgetpu;
    const char *instead; /* what an Edge TPU has that does the same; "" for nothing */
} operators[] = {
#define OPERATOR(name, class, on_edgetpu, instead) {name, class, on_edgetpu, instead},
#include "modelled_ops.inc"
#undef OPERATOR
};

static const struct operator_row *find_operator(const char *name)
{
    static const struct operator_row other = {"", OTHER, NO, ""};
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

/*
 * Adds a tensor [N, C, …] as it lies on an Edge TPU. Its tiles make a square and each has its part of the image; a window's
 * border is there twice, in the parts on both sides.
 */
static void lay_out(const struct mly_device_model *device, const struct mly_shape *tensor,
                    const struct mly_shape *weights, struct mly__modelled_node *out)
{
    const double side = fmax(1, floor(sqrt(device->edgetpu.tiles)));
    const double depth = fmax(device->edgetpu.depth, 1);
    if (tensor->rank < 2)
        return;
    double plain = tensor->dims[0] > 0 ? (double)tensor->dims[0] : 1;
    plain *= ceil((tensor->dims[1] > 0 ? (double)tensor->dims[1] : 1) / depth) * depth;
    double bordered = plain;
    for (int32_t i = 2; i < tensor->rank; i++) {
        double size = tensor->dims[i] > 0 ? (double)tensor->dims[i] : 1;
        double window = i < weights->rank ? (double)weights->dims[i] : 1;
        plain *= size;
        bordered *= size * (1 + (window - 1) / ceil(size / side));
    }
    out->lying_elements += plain;
    out->bordered_elements += bordered;
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
    if (strstr(node->op_type, "Conv")) {
        describe_convolution(node, &shapes[weights], &shapes[result], out);
        out->lying_elements = out->bordered_elements = 0;
        if (node->inputs[0] != MLY_NO_INDEX)
            lay_out(modelled->device, &shapes[node->inputs[0]], &shapes[weights], out);
        lay_out(modelled->device, &shapes[result], &shapes[weights], out);
    } else
        describe_product(&shapes[weights], &shapes[result], out);
    double per_position = out->out_channels * out->depth * out->taps;
    out->positions = per_position > 0 ? out->macs / per_position : 0;
    out->weight_elements = count_of(&shapes[weights]);
}

/* Coral's table: softmax takes at most so many numbers. */
#define EDGETPU_SOFTMAX_MAX 16000

/* What an Edge TPU has only with conditions; sets out->why where they do not hold. */
static void check_conditions(const mly_modelled *modelled, const struct mly_graph_node *node,
                             struct mly__modelled_node *out)
{
    const bool divides = strcmp(node->op_type, "Div") == 0;
    if (divides && (node->input_count < 2 || !is_constant(modelled, node->inputs[1])))
        out->why = " by what is computed";
    if (strstr(node->op_type, "Softmax") &&
        out->output_elements / modelled->batch > EDGETPU_SOFTMAX_MAX)
        out->why = " of over 16000 numbers";
    out->supported = out->supported && !*out->why;
}

/* The type that numbers of this one are computed in. */
static enum mly_dtype computed_as(const struct mly_device_model *device, enum mly_dtype dtype)
{
    static const struct {
        double bits;
        enum mly_dtype dtype;
    } types[] = {{8, MLY_DTYPE_I8}, {16, MLY_DTYPE_F16}, {32, MLY_DTYPE_F32}, {64, MLY_DTYPE_F64}};
    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        if (is_float(dtype) && device->float_bits == types[i].bits)
            return types[i].dtype;
    return dtype;
}

/* Bytes that something of a type takes on the device, over those that it takes in the file. */
static double stored_share(const struct mly_device_model *device, enum mly_dtype dtype)
{
    return is_float(dtype) && device->float_bits > 0 ? device->float_bits / mly_dtype_bits(dtype)
                                                     : 1;
}

static void add_traffic(const mly_modelled *modelled, const uint32_t *tensors, uint32_t count,
                        double *bytes, double *elements)
{
    for (uint32_t i = 0; i < count; i++)
        if (tensors[i] != MLY_NO_INDEX && !modelled->constant[tensors[i]]) {
            enum mly_dtype dtype = modelled->graph->tensors[tensors[i]].dtype;
            *bytes += modelled->tensor_bytes[tensors[i]] * stored_share(modelled->device, dtype);
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
    out->instead = row->instead;
    out->moves = row->class == MOVE;
    const enum mly_dtype dtype = arithmetic_of(modelled, node);
    out->dtype = computed_as(modelled->device, dtype);
    out->macs = work.macs;
    out->other_flops = work.flops - 2 * work.macs;
    out->weight_bytes = work.weight_bytes * stored_share(modelled->device, dtype);
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
    out->lying_elements = out->bordered_elements = out->input_elements + out->output_elements;
    check_conditions(modelled, node, out);
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

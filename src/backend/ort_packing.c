/*
 * Whether a segment's sessions gain from packed weights.
 *
 * The runtime packs the weights of matrix products, recurrent and quantised operators whenever a
 * session is opened, even if the prepared copy holds them packed: it packs, compares and throws away.
 * For vgg16 that is 0.5 to 2 s of opening, against 10 ms, and 411 MB more in the copy; its two
 * convolutional thirds use blocked weights, which are stored as such. So where matrix products are a
 * small part of the work, they go without packing: measured on vgg16, with 0.8 % of its
 * multiplications in matrix products, batches of 1, 2 and 4 take the same time either way, while 24
 * layers of 768 x 3072 take 1.26 times longer without.
 */
#include <string.h>

#include "base/alloc.h"
#include "ort_session.h"

/* Most of the work that matrix products may be, as a fraction. */
#define PRODUCTS_MOST 0.02

/* Which kernels pack was seen on x86 only; elsewhere everything is packed. */
#if defined(__x86_64__)
#define KERNELS_ARE_KNOWN true
#else
#define KERNELS_ARE_KNOWN false
#endif

/* Operators of ai.onnx whose single precision kernels never pack weights on x86. */
static const char *const plain_operators[] = {
    "Abs",
    "Add",
    "AveragePool",
    "BatchNormalization",
    "Cast",
    "Ceil",
    "Clip",
    "Concat",
    "Constant",
    "ConstantOfShape",
    "Conv",
    "DepthToSpace",
    "Div",
    "Dropout",
    "Elu",
    "Exp",
    "Expand",
    "Flatten",
    "Floor",
    "Gather",
    "GlobalAveragePool",
    "GlobalMaxPool",
    "HardSigmoid",
    "HardSwish",
    "Identity",
    "InstanceNormalization",
    "LRN",
    "LeakyRelu",
    "Log",
    "LogSoftmax",
    "Max",
    "MaxPool",
    "Min",
    "Mul",
    "Neg",
    "PRelu",
    "Pad",
    "Pow",
    "ReduceMax",
    "ReduceMean",
    "ReduceSum",
    "Relu",
    "Reshape",
    "Resize",
    "Selu",
    "Shape",
    "Sigmoid",
    "Slice",
    "Softmax",
    "Softplus",
    "SpaceToDepth",
    "Split",
    "Sqrt",
    "Squeeze",
    "Sub",
    "Sum",
    "Tanh",
    "Transpose",
    "Unsqueeze",
    "Upsample",
};

static bool is_plain(const char *op_type)
{
    for (size_t i = 0; i < sizeof plain_operators / sizeof *plain_operators; i++)
        if (strcmp(plain_operators[i], op_type) == 0)
            return true;
    return false;
}

/* By the weights, whose type every file tells. */
static bool is_single(const struct mly_graph *graph, const struct mly_graph_node *node)
{
    for (uint32_t i = 0; i < node->input_count; i++)
        if (node->inputs[i] != MLY_NO_INDEX &&
            graph->tensors[node->inputs[i]].dtype == MLY_DTYPE_F32)
            return true;
    return false;
}

/* False if something other than matrix products packs, or the work is not known. */
static bool products_are_few(const struct mly_graph *graph, const struct mly_segment *segment,
                             const struct mly_shape *shapes)
{
    double products = 0.0, all = 0.0;
    bool known = true, any = false;
    for (uint32_t i = 0; i < segment->node_count; i++) {
        const struct mly_graph_node *node = &graph->nodes[segment->nodes[i]];
        const bool product =
            strcmp(node->op_type, "Gemm") == 0 || strcmp(node->op_type, "MatMul") == 0;
        const bool convolution = strcmp(node->op_type, "Conv") == 0;
        if (node->domain[0] || node->has_subgraph || (!product && !is_plain(node->op_type)))
            return false;
        if (!product && !convolution)
            continue;
        struct mly_node_work work;
        if (!is_single(graph, node))
            return false;
        mly_graph_node_work(graph, shapes, segment->nodes[i], &work);
        known = known && work.known;
        any = any || product;
        products += product ? work.macs : 0.0;
        all += work.macs;
    }
    return !any || (known && products <= PRODUCTS_MOST * all);
}

bool mly__ort_needs_packing(const mly_model *model, const struct mly_segment *segment)
{
    if (!KERNELS_ARE_KNOWN)
        return true;
    const struct mly_graph *graph = mly_model_graph(model);
    const int64_t batch = mly_model_fixed_batch(model);
    struct mly_shape *shapes = mly_alloc_array((size_t)graph->tensor_count + 1, sizeof *shapes);
    const bool needs =
        !shapes || mly_graph_bind(model, batch > 0 ? batch : 1, NULL, 0, shapes, NULL) != MLY_OK ||
        !products_are_few(graph, segment, shapes);
    mly_free(shapes);
    return needs;
}

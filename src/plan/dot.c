/* A graph in Graphviz's language: operators coloured by kind, shapes at the edges, fusion groups in boxes. */
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "dot_private.h"
#include "model/cut.h"
#include "plan/dot.h"

/* Colours by kind of operator; the words stand between spaces. */
static const struct {
    const char *words;
    const char *colour;
} kinds[] = {
    {" Conv ConvTranspose ConvInteger QLinearConv FusedConv ", "#f4a582"},
    {" Gemm MatMul MatMulInteger QLinearMatMul Attention ", "#fddbc7"},
    {" Relu Clip LeakyRelu Tanh Sigmoid HardSigmoid HardSwish Elu Selu PRelu Gelu Softmax Erf ",
     "#a6d96a"},
    {" BatchNormalization LayerNormalization InstanceNormalization LRN ReduceMean ", "#d9ef8b"},
    {" MaxPool AveragePool GlobalAveragePool GlobalMaxPool Resize Upsample ", "#92c5de"},
    {" Add Sub Mul Div Pow Sqrt Sum Min Max ", "#d1e5f0"},
    {" QuantizeLinear DequantizeLinear DynamicQuantizeLinear Cast ", "#c2a5cf"},
    {" If Loop Scan ", "#fee08b"},
};

static const char *colour_of(const struct mly_graph_node *node)
{
    char word[128];
    snprintf(word, sizeof word, " %.120s ", node->op_type);
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (strstr(kinds[i].words, word))
            return kinds[i].colour;
    return "#eeeeee";
}

enum mly_status mly__dot_text(struct mly_buffer *out, const char *text)
{
    enum mly_status status = MLY_OK;
    for (; *text && status == MLY_OK; text++) {
        if (*text == '"' || *text == '\\')
            status = mly_buffer_append(out, "\\", 1);
        if (status == MLY_OK)
            status = (unsigned char)*text < ' ' ? mly_buffer_append(out, " ", 1)
                                                : mly_buffer_append(out, text, 1);
    }
    return status;
}

static enum mly_status put_node(const struct mly_graph *graph, uint32_t index,
                                struct mly_buffer *out)
{
    const struct mly_graph_node *node = &graph->nodes[index];
    enum mly_status status = mly_buffer_printf(out, "  n%u [label=\"", index);
    if (status == MLY_OK)
        status = mly__dot_text(out, node->op_type);
    if (status == MLY_OK)
        status = mly_buffer_printf(out, "\", tooltip=\"");
    if (status == MLY_OK)
        status = mly__dot_text(out, node->label);
    return status == MLY_OK ? mly_buffer_printf(out, "\", fillcolor=\"%s\"];\n", colour_of(node))
                            : status;
}

static enum mly_status put_nodes(const struct mly_graph *graph, const uint32_t *group_of_node,
                                 uint32_t group_count, struct mly_buffer *out)
{
    enum mly_status status = MLY_OK;
    for (uint32_t g = 0; g < group_count && status == MLY_OK; g++) {
        uint32_t members = 0;
        for (uint32_t i = 0; i < graph->node_count; i++)
            members += group_of_node[i] == g;
        if (members > 1)
            status = mly_buffer_printf(out, "  subgraph cluster_%u {\n", g);
        for (uint32_t i = 0; i < graph->node_count && status == MLY_OK; i++)
            if (group_of_node[i] == g)
                status = put_node(graph, i, out);
        if (members > 1 && status == MLY_OK)
            status = mly_buffer_printf(out, "  }\n");
    }
    return status;
}

static enum mly_status put_edges(const struct mly_graph *graph, const struct mly_shape *shapes,
                                 uint32_t index, struct mly_buffer *out)
{
    const struct mly_graph_tensor *tensor = &graph->tensors[index];
    enum mly_status status = MLY_OK;
    char shape[MLY_SHAPE_TEXT_BYTES], from[32];
    if (tensor->kind == MLY_TENSOR_INITIALISER)
        return MLY_OK;
    snprintf(from, sizeof from, "%s%u", tensor->producer == MLY_NO_INDEX ? "t" : "n",
             tensor->producer == MLY_NO_INDEX ? index : tensor->producer);
    mly_shape_format(&shapes[index], shape);
    if (tensor->producer == MLY_NO_INDEX || tensor->is_output) {
        status = mly_buffer_printf(out, "  t%u [shape=ellipse, fillcolor=white, label=\"", index);
        if (status == MLY_OK)
            status = mly__dot_text(out, tensor->name);
        if (status == MLY_OK)
            status = mly_buffer_printf(out, "\"];\n");
    }
    if (tensor->is_output && tensor->producer != MLY_NO_INDEX && status == MLY_OK)
        status = mly_buffer_printf(out, "  %s -> t%u [label=\"%s\"];\n", from, index, shape);
    for (uint32_t i = 0; i < tensor->consumer_count && status == MLY_OK; i++)
        status = mly_buffer_printf(out, "  %s -> n%u [label=\"%s\"];\n", from, tensor->consumers[i],
                                   shape);
    return status;
}

enum mly_status mly_dot_graph(const struct mly_graph *graph, const struct mly_shape *shapes,
                              struct mly_buffer *out, struct mly_error *err)
{
    uint32_t *group_of_node = mly_alloc_array((size_t)graph->node_count + 1, sizeof(uint32_t));
    uint32_t group_count = 0;
    if (!group_of_node)
        return mly_error_set(err, MLY_E_NO_MEMORY, "memory is short");
    enum mly_status status = MLY_OK;
    const bool clustered = graph->node_count <= MLY__DOT_NODES_MAX;
    if (clustered)
        status = mly_graph_fusion_groups(graph, MLY_CUT_BETWEEN_PATTERNS, group_of_node,
                                         &group_count, err);
    if (status != MLY_OK)
        goto done;
    status = mly_buffer_printf(
        out, "digraph model {\n  node [shape=box, style=\"filled,rounded\", fontname=\"sans\"];\n"
             "  edge [fontname=\"sans\", fontsize=9];\n  graph [style=\"dashed,rounded\"];\n");
    if (status == MLY_OK && clustered)
        status = put_nodes(graph, group_of_node, group_count, out);
    for (uint32_t i = 0; i < graph->node_count && !clustered && status == MLY_OK; i++)
        status = put_node(graph, i, out);
    for (uint32_t i = 0; i < graph->tensor_count && status == MLY_OK; i++)
        status = put_edges(graph, shapes, i, out);
    if (status == MLY_OK)
        status = mly_buffer_printf(out, "}\n");
    if (status != MLY_OK)
        (void)mly_error_set(err, status, "the picture is too large");
done:
    mly_free(group_of_node);
    return status;
}

/*
 * What a runtime computes as one, so that a cut within it would cost speed and may change the last
 * digits.
 *
 * 1. Shapes with branches (LayerNorm, GELU, SiLU, attention) are found by an operator that is always
 * in them, the anchor. From it the group grows down, along single readers, and up, over operators
 * that the pattern may hold; it counts if it then holds what it must.
 * 2. Chains (Conv, BatchNormalization, Relu; DequantizeLinear, Conv, QuantizeLinear) are rows of two
 * operators: what makes the first's only reader.
 * 3. Constants, and arithmetic on shapes, go with their reader if that is one.
 *
 * In all of them a node joins only if every reader of what it makes is in the group already, and none
 * of it is an output of the model. So a group has one node whose results leave it, and no path
 * leaves and comes back: a path that leaves does so from that node, and all others lead to it. That is
 * also what runtimes ask for before they fuse. 2. and 3. are one walk against the topological order,
 * repeated until it changes nothing, because uniting groups may let another node join.
 *
 * Source: ONNX Runtime, "Graph optimizations in ONNX Runtime" (basic and extended), by name of fusion.
 */
#include <string.h>

#include "base/alloc.h"
#include "cut_private.h"
#include "segment_private.h"

/* Repetitions of the walk; each one joins at least a node, and real models need two or three. */
#define WALKS_MAX 16
/* Inputs of a node that are looked at: operators of patterns have a few. */
#define INPUTS_MAX 16

/* 1. Lists of operators are words between spaces. */
struct pattern {
    const char *name;
    const char *anchor;
    const char *down;
    uint32_t down_max;
    const char *until; /* the way down ends with the first of these */
    const char *after; /* and goes on over these */
    const char *up;
    uint32_t up_max;
    const char *must; /* an operator that has to be there… */
    uint32_t must_count;
    bool gates; /* the anchor's input is also read further down */
};

static const struct pattern patterns[] = {
    {.name = "LayerNorm",
     .anchor = " Sqrt ",
     .down = " Div Reciprocal Mul Add Cast ",
     .down_max = 5,
     .up = " Add ReduceMean Pow Mul Sub Cast ",
     .up_max = 9,
     .must = " ReduceMean ",
     .must_count = 1},
    {.name = "GELU",
     .anchor = " Erf ",
     .down = " Add Mul ",
     .down_max = 3,
     .up = " Div Mul Add ", /* Add: the bias before it */
     .up_max = 4,
     .must = " Mul ",
     .must_count = 1},
    {.name = "GELU by tanh",
     .anchor = " Tanh ",
     .down = " Add Mul ",
     .down_max = 3,
     .up = " Mul Add Pow ",
     .up_max = 6,
     .must = " Mul ",
     .must_count = 3},
    {.name = "SiLU",
     .anchor = " Sigmoid HardSigmoid ",
     .down = " Mul ",
     .down_max = 1,
     .up = " Mul ",
     .up_max = 1,
     .must = " Mul ",
     .must_count = 1,
     .gates = true},
    {.name = "attention",
     .anchor = " Softmax ",
     .down = " Cast Dropout Where Mul MatMul ",
     .down_max = 5,
     .until = " MatMul ",
     .after = " Transpose Reshape ",
     .up = " Add Sub Mul Div Where Cast MatMul Transpose Reshape Split Gather Slice Squeeze "
           "Unsqueeze ",
     .up_max = 32,
     .must = " MatMul ",
     .must_count = 2},
};

#define PRODUCTS                                                                                   \
    " Conv ConvTranspose Gemm MatMul ConvInteger MatMulInteger QLinearConv QLinearMatMul "         \
    "FusedConv "
#define ACTIVATIONS                                                                                \
    " Relu Clip LeakyRelu Tanh Sigmoid HardSigmoid HardSwish Elu Selu PRelu Gelu Mish Softplus "

/* 2. What stays together with its only reader. */
static const struct chain {
    const char *makers;
    const char *readers;
} chains[] = {
    {PRODUCTS, " Add Sub Mul Div BatchNormalization Cast " ACTIVATIONS},
    {" Add ", ACTIVATIONS " LayerNormalization "},
    {" BatchNormalization InstanceNormalization ", ACTIVATIONS},
    {" Pad ", " Conv MaxPool AveragePool "},
    {" Transpose ", " MatMul Gemm "},
    {" Cast ", " Mul "}, /* MatMulInteger, Cast, Mul: dynamic quantisation */
    {" DynamicQuantizeLinear ", " MatMulInteger ConvInteger Mul "},
};

static bool is_in(const char *words, const char *word)
{
    const size_t length = strlen(word);
    if (words == NULL || length == 0) {
        return false; /* operators of other domains have no name here */
    }
    for (const char *at = words; (at = strstr(at, word)) != NULL; at += length) {
        if (at > words && at[-1] == ' ' && at[length] == ' ') {
            return true;
        }
    }
    return false;
}

struct fusing {
    const struct mly_graph *graph;
    struct mly__sets *sets;
    uint32_t *members; /* of the pattern that is growing */
    uint32_t member_count;
    bool *inside;
    bool *of_shapes; /* by node: arithmetic on shapes and constants alone */
};

static const char *operator_of(const struct fusing *fusing, uint32_t node)
{
    const struct mly_graph_node *at = &fusing->graph->nodes[node];
    return at->domain[0] == '\0' || strncmp(at->domain, "com.microsoft", 13) == 0 ? at->op_type
                                                                                  : "";
}

static void join(struct fusing *fusing, uint32_t node)
{
    fusing->members[fusing->member_count++] = node;
    fusing->inside[node] = true;
}

/* The one node that reads what this one makes, or MLY_NO_INDEX. */
static uint32_t only_reader(const struct fusing *fusing, uint32_t node)
{
    const struct mly_graph_node *at = &fusing->graph->nodes[node];
    uint32_t reader = MLY_NO_INDEX;
    for (uint32_t i = 0; i < at->output_count; i++) {
        if (at->outputs[i] == MLY_NO_INDEX) {
            continue;
        }
        const struct mly_graph_tensor *tensor = &fusing->graph->tensors[at->outputs[i]];
        if (tensor->is_output) {
            return MLY_NO_INDEX;
        }
        for (uint32_t k = 0; k < tensor->consumer_count; k++) {
            if (reader != MLY_NO_INDEX && reader != tensor->consumers[k]) {
                return MLY_NO_INDEX;
            }
            reader = tensor->consumers[k];
        }
    }
    return reader;
}

static bool all_readers_inside(const struct fusing *fusing, uint32_t node)
{
    const struct mly_graph_node *at = &fusing->graph->nodes[node];
    bool read = false;
    for (uint32_t i = 0; i < at->output_count; i++) {
        if (at->outputs[i] == MLY_NO_INDEX) {
            continue;
        }
        const struct mly_graph_tensor *tensor = &fusing->graph->tensors[at->outputs[i]];
        for (uint32_t k = 0; k < tensor->consumer_count; k++) {
            if (!fusing->inside[tensor->consumers[k]]) {
                return false;
            }
        }
        if (tensor->is_output) {
            return false;
        }
        read = read || tensor->consumer_count > 0;
    }
    return read;
}

static uint32_t producer_of(const struct fusing *fusing, uint32_t tensor)
{
    return tensor != MLY_NO_INDEX ? fusing->graph->tensors[tensor].producer : MLY_NO_INDEX;
}

static void grow_down(struct fusing *fusing, const struct pattern *pattern, uint32_t from)
{
    const char *words = pattern->down;
    uint32_t left = pattern->down_max;
    for (uint32_t at = from; left > 0; left--) {
        at = only_reader(fusing, at);
        if (at == MLY_NO_INDEX || !is_in(words, operator_of(fusing, at))) {
            return;
        }
        join(fusing, at);
        if (is_in(pattern->until, operator_of(fusing, at))) {
            words = pattern->after;
        }
    }
}

static void grow_up(struct fusing *fusing, const struct pattern *pattern)
{
    uint32_t left = pattern->up_max;
    for (bool grew = true; grew && left > 0;) {
        grew = false;
        for (uint32_t m = 0; m < fusing->member_count && left > 0; m++) {
            const struct mly_graph_node *member = &fusing->graph->nodes[fusing->members[m]];
            for (uint32_t i = 0; i < member->input_count && i < INPUTS_MAX && left > 0; i++) {
                const uint32_t node = producer_of(fusing, member->inputs[i]);
                if (node != MLY_NO_INDEX && !fusing->inside[node] &&
                    is_in(pattern->up, operator_of(fusing, node)) &&
                    all_readers_inside(fusing, node)) {
                    join(fusing, node);
                    left--;
                    grew = true;
                }
            }
        }
    }
}

/* Does the node that ends the pattern read what the anchor, or what lies above it, reads too? */
static bool is_gate(const struct fusing *fusing, uint32_t anchor, uint32_t last)
{
    uint32_t tensor = fusing->graph->nodes[anchor].inputs[0];
    const uint32_t above = producer_of(fusing, tensor);
    for (unsigned step = 0; step < 2; step++) {
        const struct mly_graph_node *node = &fusing->graph->nodes[last];
        for (uint32_t i = 0; i < node->input_count; i++) {
            if (tensor != MLY_NO_INDEX && node->inputs[i] == tensor) {
                return true;
            }
        }
        if (above == MLY_NO_INDEX || !fusing->inside[above]) {
            return false;
        }
        tensor = fusing->graph->nodes[above].inputs[0];
    }
    return false;
}

/* 1. */
static void match_pattern(struct fusing *fusing, const struct pattern *pattern, uint32_t anchor)
{
    fusing->member_count = 0;
    join(fusing, anchor);
    grow_down(fusing, pattern, anchor);
    const uint32_t last = fusing->members[fusing->member_count - 1];
    grow_up(fusing, pattern);
    uint32_t found = 0;
    for (uint32_t m = 0; m < fusing->member_count; m++) {
        found += is_in(pattern->must, operator_of(fusing, fusing->members[m]));
    }
    const bool matches =
        found >= pattern->must_count && (!pattern->gates || is_gate(fusing, anchor, last));
    for (uint32_t m = 0; m < fusing->member_count; m++) {
        fusing->inside[fusing->members[m]] = false;
        if (matches) {
            (void)mly__sets_unite(fusing->sets, anchor, fusing->members[m]);
        }
    }
}

static void match_patterns(struct fusing *fusing)
{
    for (uint32_t i = 0; i < fusing->graph->node_count; i++) {
        if (fusing->graph->nodes[i].input_count == 0) {
            continue;
        }
        const char *name = operator_of(fusing, i);
        for (size_t k = 0; k < sizeof patterns / sizeof *patterns; k++) {
            if (is_in(patterns[k].anchor, name)) {
                match_pattern(fusing, &patterns[k], i);
            }
        }
    }
}

/* 3. Does it only compute with shapes and constants? Its inputs' makers are known already. */
static bool computes_shapes(const struct fusing *fusing, uint32_t node)
{
    const char *name = operator_of(fusing, node);
    if (strcmp(name, "Shape") == 0 || strcmp(name, "Size") == 0) {
        return true;
    }
    const struct mly_graph_node *at = &fusing->graph->nodes[node];
    bool any = false;
    if (at->has_subgraph) {
        return false;
    }
    for (uint32_t i = 0; i < at->input_count; i++) {
        if (at->inputs[i] == MLY_NO_INDEX ||
            fusing->graph->tensors[at->inputs[i]].kind == MLY_TENSOR_INITIALISER) {
            continue;
        }
        const uint32_t producer = producer_of(fusing, at->inputs[i]);
        if (producer == MLY_NO_INDEX ||
            (!fusing->of_shapes[producer] && !mly__is_constant(fusing->graph, producer))) {
            return false;
        }
        any = true;
    }
    return any;
}

/* The set that all readers are in, or MLY_NO_INDEX; with *as_chain whether a row of `chains` fits one. */
static uint32_t set_of_readers(const struct fusing *fusing, uint32_t node, bool *as_chain)
{
    const struct mly_graph_node *at = &fusing->graph->nodes[node];
    const char *name = operator_of(fusing, node);
    uint32_t set = MLY_NO_INDEX;
    for (uint32_t i = 0; i < at->output_count; i++) {
        if (at->outputs[i] == MLY_NO_INDEX) {
            continue;
        }
        const struct mly_graph_tensor *tensor = &fusing->graph->tensors[at->outputs[i]];
        if (tensor->is_output) {
            return MLY_NO_INDEX;
        }
        for (uint32_t k = 0; k < tensor->consumer_count; k++) {
            const uint32_t found = mly__sets_find(fusing->sets, tensor->consumers[k]);
            if (set != MLY_NO_INDEX && set != found) {
                return MLY_NO_INDEX;
            }
            set = found;
            const char *reader = operator_of(fusing, tensor->consumers[k]);
            for (size_t c = 0; c < sizeof chains / sizeof *chains && !*as_chain; c++) {
                *as_chain = is_in(chains[c].makers, name) && is_in(chains[c].readers, reader);
            }
        }
    }
    return set;
}

/* Dequantised operands, an operator, its result quantised: the operator works on integers. */
static bool is_quantised(const struct fusing *fusing, uint32_t node, uint32_t reader_set)
{
    const struct mly_graph_node *at = &fusing->graph->nodes[node];
    if (strcmp(operator_of(fusing, node), "DequantizeLinear") == 0) {
        return true;
    }
    const uint32_t reader = only_reader(fusing, node);
    if (reader == MLY_NO_INDEX || mly__sets_find(fusing->sets, reader) != reader_set) {
        return false;
    }
    const char *reader_name = operator_of(fusing, reader);
    const bool quantised =
        strcmp(reader_name, "QuantizeLinear") == 0 ||
        (is_in(ACTIVATIONS, reader_name) && is_in(PRODUCTS " Add ", operator_of(fusing, node)));
    for (uint32_t i = 0; quantised && i < at->input_count; i++) {
        const uint32_t producer = producer_of(fusing, at->inputs[i]);
        if (producer != MLY_NO_INDEX &&
            strcmp(operator_of(fusing, producer), "DequantizeLinear") == 0) {
            return true;
        }
    }
    return quantised && is_in(ACTIVATIONS, operator_of(fusing, node));
}

/* 2. and 3.: one walk. */
static bool walk(struct fusing *fusing)
{
    bool changed = false;
    for (uint32_t i = fusing->graph->node_count; i-- > 0;) {
        bool as_chain = false;
        const uint32_t set = set_of_readers(fusing, i, &as_chain);
        if (set == MLY_NO_INDEX || set == mly__sets_find(fusing->sets, i)) {
            continue;
        }
        if (as_chain || fusing->of_shapes[i] || mly__is_constant(fusing->graph, i) ||
            is_quantised(fusing, i, set)) {
            changed = mly__sets_unite(fusing->sets, i, set) || changed;
        }
    }
    return changed;
}

enum mly_status mly__fusion_unite(const struct mly_graph *graph, struct mly__sets *sets,
                                  struct mly_error *err)
{
    const size_t count = (size_t)graph->node_count + 1;
    struct fusing fusing = {.graph = graph,
                            .sets = sets,
                            .members = mly_alloc_array(count, sizeof(uint32_t)),
                            .inside = mly_alloc_array(count, sizeof(bool)),
                            .of_shapes = mly_alloc_array(count, sizeof(bool))};
    enum mly_status status = MLY_OK;
    if (fusing.members == NULL || fusing.inside == NULL || fusing.of_shapes == NULL) {
        status = mly__no_memory(err);
        goto done;
    }
    for (uint32_t i = 0; i < graph->node_count; i++) {
        fusing.of_shapes[i] = computes_shapes(&fusing, i);
    }
    match_patterns(&fusing);
    for (unsigned walks = 0; walks < WALKS_MAX && walk(&fusing); walks++) {
    }
done:
    mly_free(fusing.members);
    mly_free(fusing.inside);
    mly_free(fusing.of_shapes);
    return status;
}

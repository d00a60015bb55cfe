/*
 * The graph of a model as the layers above see it: nodes in topological order, tensors, who makes
 * and who uses them, and what each node costs in arithmetic and bytes. Built by mly_model_load,
 * immutable but for shapes, which mly_model_add_shapes adds once a runtime has inferred them.
 */
#ifndef MLY_MODEL_GRAPH_H
#define MLY_MODEL_GRAPH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <motley/model.h>

#define MLY_NO_INDEX UINT32_MAX

enum mly_tensor_kind {
    MLY_TENSOR_INPUT,       /* graph input without initialiser, or overridable */
    MLY_TENSOR_INITIALISER, /* constant stored in the file */
    MLY_TENSOR_VALUE        /* made by a node */
};

struct mly_graph_tensor {
    const char *name;
    enum mly_tensor_kind kind;
    bool is_output;                      /* also an output of the graph */
    enum mly_dtype dtype;                /* MLY_DTYPE_UNDEFINED until known */
    bool is_sequence_or_optional;        /* not a plain tensor: can't cross a cut */
    struct mly_shape shape;              /* as in the file: -1 where symbolic */
    const char *dim_names[MLY_RANK_MAX]; /* of symbolic dimensions; "" where there is none */
    size_t weight_bytes;                 /* initialisers only */
    uint32_t producer;                   /* node, or MLY_NO_INDEX */
    const uint32_t
        *consumers; /* nodes that read it, directly or from inside a sub-graph; ascending */
    uint32_t consumer_count;
};

struct mly_graph_node {
    const char *name;  /* "" if the file has none */
    const char *label; /* unique: the name, else "Conv_17"; what tables and messages show */
    const char *op_type;
    const char *domain;     /* "" for ai.onnx */
    const uint32_t *inputs; /* tensors; MLY_NO_INDEX for an omitted optional input */
    uint32_t input_count;
    const uint32_t *outputs; /* tensors; MLY_NO_INDEX for an optional output that is not wanted */
    uint32_t output_count;
    const uint32_t *captured; /* outer tensors that its sub-graphs use (If, Loop, Scan) */
    uint32_t captured_count;
    bool has_subgraph;
    /* What the sub-graphs hold, at any depth; no total counts it: which of it runs, values decide. */
    uint32_t inner_nodes;
    uint64_t inner_parameters, inner_weight_bytes;
};

struct mly_graph {
    struct mly_graph_node *nodes; /* topological order; index is the node's identity everywhere */
    uint32_t node_count;
    struct mly_graph_tensor *tensors;
    uint32_t tensor_count;
    const uint32_t *inputs; /* tensors, in the model's order, parallel to mly_model_input */
    uint32_t input_count;
    const uint32_t *outputs;
    uint32_t output_count;
    int64_t ir_version;
    const char *producer_name;
};

const struct mly_graph *mly_model_graph(const mly_model *model);
/* True if it was loaded with keep_overridable. */
bool mly_model_keeps_overridable(const mly_model *model);
/* Index of the tensor with that name, or MLY_NO_INDEX. */
uint32_t mly_graph_find_tensor(const struct mly_graph *graph, const char *name);

/*
 * Adds types and shapes for tensors that nodes make and that have none, taken from the value_info,
 * inputs and outputs of a serialised ONNX model (as a runtime writes it after inference) with equal
 * tensor names; names unknown here are ignored, and what the file says stays. Dimensions without
 * size or name are filled too, so infer with symbolic dimensions left symbolic: sizes of one batch
 * would be taken for those of all. MLY_E_FORMAT if onnx is no model. Not thread-safe.
 */
enum mly_status mly_model_add_shapes(mly_model *model, const void *onnx, size_t length,
                                     struct mly_error *err) MLY_MUST_CHECK;

/* Type and shape of one tensor, as a runtime tells it. */
struct mly_value_type {
    const char *name;
    enum mly_dtype dtype;
    bool is_sequence_or_optional; /* dtype and shape are then ignored */
    struct mly_shape shape;
    const char *dim_names[MLY_RANK_MAX]; /* NULL or "" where there is none */
};
/*
 * Writes types in the form that mly_model_add_shapes reads: an ONNX model of value_info only. All
 * pointers are borrowed; *onnx is owned by the caller (mly_free). MLY_E_INVALID for a rank over
 * MLY_RANK_MAX. Thread-safe.
 */
enum mly_status mly_value_types_pack(const struct mly_value_type *types, size_t count, void **onnx,
                                     size_t *length, struct mly_error *err) MLY_MUST_CHECK;

/*
 * Concrete shapes for one batch size: fills shapes[tensor_count] (caller's array); the batch symbol
 * becomes `batch`, other symbols stay -1 unless given in bindings (name → size). A batch dimension
 * without a name in the file is named "motley_batch" in the graph's tensors and in segments, so
 * that inference carries it along; a dimension named "12*N" is twelve times N. MLY_E_INVALID for a batch under 1 or other than a fixed one.
 * Thread-safe.
 */
enum mly_status mly_graph_bind(const mly_model *model, int64_t batch,
                               const struct mly_dim_binding *bindings, size_t binding_count,
                               struct mly_shape *shapes, struct mly_error *err) MLY_MUST_CHECK;

/* Names that stand for the batch (borrowed from the model) and how many; none where it is fixed. */
const char *const *mly_graph_batch_symbols(const mly_model *model, size_t *count);

/*
 * Arithmetic of a node for bound shapes. macs counts multiply-accumulates; flops is 2 * macs plus
 * element-wise work. known is false where a shape is missing or the operator has no rule
 * (work_rules.inc).
 */
struct mly_node_work {
    bool known;
    double macs;
    double flops;
    double parameters;   /* elements of the initialisers it reads first (shared ones count once) */
    double input_bytes;  /* activations read */
    double output_bytes; /* activations written */
    double weight_bytes; /* of the initialisers that parameters counts */
};
void mly_graph_node_work(const struct mly_graph *graph, const struct mly_shape *shapes,
                         uint32_t node, struct mly_node_work *out);
/* Totals, and the peak of live activation bytes over the topological order (first to last use). */
struct mly_graph_totals {
    double macs, flops, parameters, weight_bytes, peak_activation_bytes;
    uint32_t unknown_nodes; /* nodes whose work is not known and not counted */
};
enum mly_status mly_graph_totals(const struct mly_graph *graph, const struct mly_shape *shapes,
                                 struct mly_graph_totals *out,
                                 struct mly_error *err) MLY_MUST_CHECK;

#endif

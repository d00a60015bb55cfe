/* Cutting: a convex set of nodes becomes a model of its own. */
#ifndef MLY_MODEL_SEGMENT_H
#define MLY_MODEL_SEGMENT_H

#include "model/graph.h"

/* A region of memory that holds weights; borrowed from the model (its mapped files). */
struct mly_weight_region {
    const char
        *name; /* the external_data location under which the serialised segment refers to it: the
                  file's name relative to mly_model_folder, where there is one */
    const void *data;
    size_t length;
};

/*
 * A segment as a serialised ONNX ModelProto whose large initialisers (1 KiB and over) are external
 * data that refer to `regions` (location = region name, with offset and length), so that no weight
 * is copied. Initialisers that the file also lists as inputs are plain initialisers here unless
 * keep_overridable. Valid until the model is destroyed.
 */
struct mly_segment {
    void *onnx;
    size_t onnx_bytes;
    struct mly_weight_region *regions;
    size_t region_count;
    uint32_t *nodes; /* ascending */
    uint32_t node_count;
    uint32_t *inputs; /* graph tensors that come in (not initialisers), then in this order the
                         session's inputs */
    uint32_t input_count;
    uint32_t *outputs; /* graph tensors that go out: used by later nodes or outputs of the graph */
    uint32_t output_count;
};

/*
 * Extracts nodes[0..count) (ascending, borrowed). MLY_E_INVALID if the set is empty or not convex
 * (names the path), if a tensor that would cross cannot (sequence, optional), or if nothing needs
 * what the nodes make; MLY_E_UNSUPPORTED if the type of a tensor that would cross is not known yet.
 * With all nodes it is the whole model, inputs and outputs in the model's order. An output of the
 * model that no node makes (an input or initialiser passed through) goes out of the segment of its
 * first reader, or of node 0: the segments of a partition together give all outputs. A Constant
 * node with a large tensor is written as the initialiser that it stands for, and a segment that
 * reads what a Constant node of another segment makes gets a copy of that node, not an input; the
 * same holds for a DequantizeLinear of constant scale, whose integers cross then.
 * Thread-safe. O(model without weights).
 */
enum mly_status mly_segment_extract(const mly_model *model, const uint32_t *nodes, uint32_t count,
                                    struct mly_segment *out, struct mly_error *err) MLY_MUST_CHECK;
/* The whole model. */
enum mly_status mly_segment_whole(const mly_model *model, struct mly_segment *out,
                                  struct mly_error *err) MLY_MUST_CHECK;
/*
 * The whole model with every tensor that a node makes as an output too, after the model's own: a
 * runtime that opens it tells the types and shapes of all of them (see mly_model_add_shapes and
 * mly_value_types_pack). For asking, not for running. ONNX Runtime's C API before
 * 1.23 reports rank 0 both for scalars and for tensors of unknown rank: pass that on as rank -1.
 */
enum mly_status mly_segment_observed(const mly_model *model, struct mly_segment *out,
                                     struct mly_error *err) MLY_MUST_CHECK;
/*
 * The real path of the folder that every file with weights lies in, under its region's name; *out is
 * NULL if one lies elsewhere, was removed or replaced: the regions' memory still has what was loaded.
 * MLY_E_MISMATCH if a file was written to after it was loaded: nothing of it can be relied upon.
 * *out is borrowed from the model. Thread-safe.
 */
enum mly_status mly_model_folder(const mly_model *model, const char **out,
                                 struct mly_error *err) MLY_MUST_CHECK;
void mly_segment_fini(struct mly_segment *segment);
/* SHA-256 that determines the segment's results: model hash and node set. */
enum mly_status mly_segment_hash(const mly_model *model, const struct mly_segment *segment,
                                 char text[65], struct mly_error *err) MLY_MUST_CHECK;

/* True if no path leaves the set and comes back (false, with MLY_NO_INDEX in both, when memory is
 * short or a node is out of range); else *leaving and *returning (may be NULL) name a node inside
 * from which, and one to which, such a path goes. */
bool mly_graph_is_convex(const struct mly_graph *graph, const uint32_t *nodes, uint32_t count,
                         uint32_t *leaving, uint32_t *returning);

/* Writes a segment as a self-contained ONNX file (weights inside when they fit in 2 GB, else beside
 * it as `<file>.data`). Atomic. */
enum mly_status mly_segment_save(const struct mly_segment *segment, const char *path,
                                 struct mly_error *err) MLY_MUST_CHECK;

#endif

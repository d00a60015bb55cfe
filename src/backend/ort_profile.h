/* From the runtime's nodes to the model's tensors; for src/backend only. */
#ifndef MLY_BACKEND_ORT_PROFILE_H
#define MLY_BACKEND_ORT_PROFILE_H

#include "backend/backend.h"
#include "model/onnx_nodes.h"

/* What one node of the runtime's graph is to the model. */
struct mly__node_map {
    uint32_t counts_for; /* the node whose time this one's is part of; itself for most */
    uint32_t *tensors;   /* of the model, which this node completes */
    uint32_t tensor_count;
};

/*
 * One entry per node; *out: free with mly__node_maps_free. Layout changes between blocked and plain
 * tensors count for the node that they serve.
 */
enum mly_status mly__node_maps_make(const struct mly_graph *graph,
                                    const struct mly_onnx_nodes *nodes, struct mly__node_map **out,
                                    struct mly_error *err) MLY_MUST_CHECK;
void mly__node_maps_free(struct mly__node_map *maps, uint32_t count);

#endif

/* The nodes of a serialised ONNX model that somebody else wrote, as far as names go: what a runtime made of
 * a model is told apart by them. */
#ifndef MLY_MODEL_ONNX_NODES_H
#define MLY_MODEL_ONNX_NODES_H

#include <stddef.h>
#include <stdint.h>

#include <motley/status.h>

struct mly_onnx_node {
    const char *name; /* "" where there is none, as for the rest */
    const char *op_type;
    const char *domain;
    const char *const *inputs;
    const char *const *outputs;
    uint32_t input_count;
    uint32_t output_count;
};

/* Nodes in the file's order; of sub-graphs none. */
struct mly_onnx_nodes {
    struct mly_onnx_node *items;
    uint32_t count;
    void *message; /* what the names lie in */
};

/*
 * Reads onnx[0..length), which is borrowed for the call only. *out: free with mly_onnx_nodes_fini.
 * MLY_E_FORMAT, MLY_E_LIMIT, MLY_E_NO_MEMORY. Thread-safe.
 */
enum mly_status mly_onnx_nodes_read(const void *onnx, size_t length, struct mly_onnx_nodes *out,
                                    struct mly_error *err) MLY_MUST_CHECK;
void mly_onnx_nodes_fini(struct mly_onnx_nodes *nodes);

#endif

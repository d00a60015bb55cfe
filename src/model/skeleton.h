/*
 * A model's bytes without its weights: a checked copy of a serialised message in which the data of
 * large tensors is replaced by a reference to where it lies, so that reading a model costs memory
 * for its structure only.
 */
#ifndef MLY_MODEL_SKELETON_H
#define MLY_MODEL_SKELETON_H

#include <stddef.h>
#include <stdint.h>

#include <protobuf-c/protobuf-c.h>

#include <motley/status.h>

#include "base/buffer.h"

/* Tensor data of at least this many bytes stays in the file. */
#define MLY__LARGE_TENSOR_BYTES 1024
/* Messages within messages; protobuf's own limit, so that what the runtime can read passes. */
#define MLY__NESTING_MAX 100
/* Nodes in all graphs, sub-graphs and functions together. */
#define MLY__NODE_MAX 1000000
/* Sub-messages of any kind: bounds what protobuf-c allocates. */
#define MLY__MESSAGE_MAX 16000000

/*
 * TensorProto.data_location of a tensor whose data lies in the walked bytes. Not a value of ONNX:
 * files that hold it are refused. The tensor's external_data is then one entry: key "offset", value
 * "OFFSET LENGTH" in decimal.
 */
#define MLY__LOCATION_HERE 2

/*
 * Walks data[0..length) as a message of type `root` and appends its skeleton to *out (initialised
 * by the caller). Checks nesting, node count, wire types and strings before any recursive parser
 * sees them. Errors: MLY_E_FORMAT with the byte position, MLY_E_LIMIT, MLY_E_NO_MEMORY. Cost:
 * O(length less large tensors).
 */
enum mly_status mly__skeleton_build(const void *data, size_t length,
                                    const ProtobufCMessageDescriptor *root, struct mly_buffer *out,
                                    struct mly_error *err) MLY_MUST_CHECK;

#endif

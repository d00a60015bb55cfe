/* ONNX TensorProto files (.pb), as ONNX's own test data uses them. */
#ifndef MLY_MODEL_TENSOR_PB_H
#define MLY_MODEL_TENSOR_PB_H

#include <motley/tensor.h>

/* Reads a serialised TensorProto file of at most max_bytes; *name (owned, mly_free; may be NULL)
 * gets its name. */
enum mly_status mly_tensor_load_pb(const char *path, size_t max_bytes, struct mly_tensor *out,
                                   char **name, struct mly_error *err) MLY_MUST_CHECK;
enum mly_status mly_tensor_parse_pb(const void *bytes, size_t length, struct mly_tensor *out,
                                    char **name, struct mly_error *err) MLY_MUST_CHECK;

#endif

/* Unpacked ONNX messages: memory, tensors within them, types. */
#ifndef MLY_MODEL_PROTO_H
#define MLY_MODEL_PROTO_H

#include <stdbool.h>

#include <motley/tensor.h>

#include "arena.h"
#include "model/graph.h"
#include "onnx_pb.h"

/* Bytes that unpacking one model may take, freed ones counted too: a bound against files made to
 * expand. */
#define MLY__UNPACKED_BYTES_MAX (UINT64_C(4) << 30)

/* protobuf-c's memory through mly_alloc, bounded. */
struct mly__pb_memory {
    ProtobufCAllocator allocator;
    uint64_t used_bytes;
    bool over_limit;
    bool short_of_memory;
};
void mly__pb_memory_init(struct mly__pb_memory *memory);
/* The status for a failed protobuf-c call: MLY_E_LIMIT, MLY_E_NO_MEMORY, or MLY_E_FORMAT when
 * neither was the cause. */
enum mly_status mly__pb_failure(const struct mly__pb_memory *memory,
                                struct mly_error *err) MLY_MUST_CHECK;

/*
 * Checks data[0..length) as a message of that type, and unpacks it without its large tensors (see
 * skeleton.h). *out is owned by the caller, free with protobuf_c_message_free_unpacked(out,
 * &memory->allocator).
 */
enum mly_status mly__pb_unpack(const void *data, size_t length,
                               const ProtobufCMessageDescriptor *type,
                               struct mly__pb_memory *memory, ProtobufCMessage **out,
                               struct mly_error *err) MLY_MUST_CHECK;

/* Calls visit for every tensor within message, at any depth; stops at and returns the first status
 * that is not MLY_OK. */
typedef enum mly_status mly__tensor_visit(Onnx__TensorProto *tensor, void *user,
                                          struct mly_error *err);
enum mly_status mly__pb_visit_tensors(ProtobufCMessage *message, mly__tensor_visit *visit,
                                      void *user, struct mly_error *err) MLY_MUST_CHECK;

/* "" for a string that is not there. */
static inline const char *mly__text(const char *text)
{
    return text != NULL ? text : "";
}

/* Type and shape of a tensor; MLY_E_FORMAT for a negative dimension, MLY_E_LIMIT over MLY_RANK_MAX
 * or int64. */
enum mly_status mly__pb_tensor_shape(const Onnx__TensorProto *tensor, enum mly_dtype *dtype,
                                     struct mly_shape *shape, struct mly_error *err) MLY_MUST_CHECK;
/*
 * Does the tensor hold as much data, raw or typed, as its type and shape say? MLY_E_FORMAT if not.
 * Types unknown here and tensors with external data (not adopted yet) pass.
 */
enum mly_status mly__pb_tensor_check(const Onnx__TensorProto *tensor,
                                     struct mly_error *err) MLY_MUST_CHECK;

/* A decimal number that fills text up to the character `end`; *rest begins behind it. False if it
 * is none or overflows. */
bool mly__parse_size(const char *text, char end, size_t *out, const char **rest);
/* Where the data lies that the skeleton left out (see skeleton.h), within the total bytes that were
 * walked; false if it is malformed. */
bool mly__pb_data_here(const Onnx__TensorProto *tensor, size_t total, size_t *offset,
                       size_t *length);

/* A node's attribute of that name, or NULL. */
const Onnx__AttributeProto *mly__pb_attribute(const Onnx__NodeProto *node, const char *name);

/*
 * What a TypeProto says of a value (its name is left NULL). Names of dimensions are borrowed from
 * it; "" where there is none.
 */
/* type may be NULL (nothing is known then). MLY_E_LIMIT over MLY_RANK_MAX dimensions. */
enum mly_status mly__pb_value_type(const Onnx__TypeProto *type, struct mly_value_type *out,
                                   struct mly_error *err) MLY_MUST_CHECK;

/*
 * value_info.c: the other way round, in the arena, strings borrowed. What base (may be NULL) says
 * besides the type is kept. NULL when memory is short.
 */
Onnx__ValueInfoProto *mly__pb_value_info(struct mly__arena *arena,
                                         const struct mly_value_type *type,
                                         const Onnx__ValueInfoProto *base);

#endif

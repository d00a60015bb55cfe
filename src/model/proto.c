/* Unpacked ONNX messages: see proto.h. */
#include "proto.h"

#include <stddef.h>
#include <string.h>

#include "base/alloc.h"
#include "skeleton.h"

static void *pb_alloc(void *data, size_t bytes)
{
    struct mly__pb_memory *memory = data;
    memory->used_bytes += bytes;
    if (memory->used_bytes > MLY__UNPACKED_BYTES_MAX) {
        memory->over_limit = true;
        return NULL;
    }
    void *result = mly_alloc(bytes != 0 ? bytes : 1);
    if (result == NULL) {
        memory->short_of_memory = true;
    }
    return result;
}

static void pb_free(void *data, void *pointer)
{
    (void)data;
    mly_free(pointer);
}

void mly__pb_memory_init(struct mly__pb_memory *memory)
{
    *memory = (struct mly__pb_memory){
        .allocator = {.alloc = pb_alloc, .free = pb_free, .allocator_data = memory}};
}

enum mly_status mly__pb_failure(const struct mly__pb_memory *memory, struct mly_error *err)
{
    if (memory->over_limit) {
        return mly_error_set(err, MLY_E_LIMIT, "the model's structure takes over %llu bytes",
                             (unsigned long long)MLY__UNPACKED_BYTES_MAX);
    }
    if (memory->short_of_memory) {
        return mly_error_set(err, MLY_E_NO_MEMORY, "memory is short");
    }
    return mly_error_set(err, MLY_E_FORMAT, "not a valid ONNX protobuf message");
}

enum mly_status mly__pb_unpack(const void *data, size_t length,
                               const ProtobufCMessageDescriptor *type,
                               struct mly__pb_memory *memory, ProtobufCMessage **out,
                               struct mly_error *err)
{
    struct mly_buffer skeleton = {.max_bytes = INT32_MAX};
    enum mly_status status = mly__skeleton_build(data, length, type, &skeleton, err);
    if (status == MLY_OK) {
        static const uint8_t nothing[1];
        const uint8_t *bytes = skeleton.length != 0 ? (const uint8_t *)skeleton.data : nothing;
        ProtobufCMessage *message =
            protobuf_c_message_unpack(type, &memory->allocator, skeleton.length, bytes);
        if (message == NULL) {
            status = mly__pb_failure(memory, err);
        } else {
            *out = message;
        }
    }
    mly_buffer_fini(&skeleton);
    return status;
}

/* Is the (singular) field set? */
static bool is_set(const ProtobufCMessage *message, const ProtobufCFieldDescriptor *field)
{
    if ((field->flags & PROTOBUF_C_FIELD_FLAG_ONEOF) == 0) {
        return true;
    }
    uint32_t which;
    memcpy(&which, (const char *)message + field->quantifier_offset, sizeof which);
    return which == field->id;
}

/* Depth is bounded by MLY__NESTING_MAX: the skeleton was walked before. */
enum mly_status mly__pb_visit_tensors(ProtobufCMessage *message, mly__tensor_visit *visit,
                                      void *user, struct mly_error *err)
{
    if (message->descriptor == &onnx__tensor_proto__descriptor) {
        return visit((Onnx__TensorProto *)message, user, err);
    }
    for (unsigned i = 0; i < message->descriptor->n_fields; i++) {
        const ProtobufCFieldDescriptor *field = &message->descriptor->fields[i];
        if (field->type != PROTOBUF_C_TYPE_MESSAGE || !is_set(message, field)) {
            continue;
        }
        char *member = (char *)message + field->offset;
        ProtobufCMessage **items = (ProtobufCMessage **)member;
        size_t count = 1;
        if (field->label == PROTOBUF_C_LABEL_REPEATED) {
            memcpy(&count, (char *)message + field->quantifier_offset, sizeof count);
            memcpy(&items, member, sizeof items);
        }
        for (size_t k = 0; k < count; k++) {
            if (items[k] == NULL) {
                continue;
            }
            enum mly_status status = mly__pb_visit_tensors(items[k], visit, user, err);
            if (status != MLY_OK) {
                return status;
            }
        }
    }
    return MLY_OK;
}

enum mly_status mly__pb_tensor_shape(const Onnx__TensorProto *tensor, enum mly_dtype *dtype,
                                     struct mly_shape *shape, struct mly_error *err)
{
    if (tensor->n_dims > MLY_RANK_MAX) {
        return mly_error_set(err, MLY_E_LIMIT,
                             "tensor '%.200s' has %zu dimensions; the limit is %d",
                             mly__text(tensor->name), tensor->n_dims, MLY_RANK_MAX);
    }
    struct mly_shape result = {.rank = (int32_t)tensor->n_dims};
    for (size_t i = 0; i < tensor->n_dims; i++) {
        if (tensor->dims[i] < 0) {
            return mly_error_set(err, MLY_E_FORMAT, "tensor '%.200s': dimension %zu is %lld",
                                 mly__text(tensor->name), i, (long long)tensor->dims[i]);
        }
        result.dims[i] = tensor->dims[i];
    }
    int64_t count;
    enum mly_status status = mly_shape_count(&result, &count, err);
    if (status != MLY_OK) {
        return mly_error_prefix(err, status, "tensor '%.200s'", mly__text(tensor->name));
    }
    *dtype = mly_dtype_from_onnx(tensor->data_type);
    *shape = result;
    return MLY_OK;
}

/* Elements in the typed field that holds tensors of this type, and how many the shape needs; false:
 * unknown type. */
static bool typed_counts(const Onnx__TensorProto *tensor, enum mly_dtype dtype, uint64_t count,
                         uint64_t *have, uint64_t *need)
{
    *need = count;
    switch (dtype) {
    case MLY_DTYPE_UNDEFINED:
        return false;
    case MLY_DTYPE_C64:
        *need = count * 2;
        *have = tensor->n_float_data;
        return true;
    case MLY_DTYPE_F32:
        *have = tensor->n_float_data;
        return true;
    case MLY_DTYPE_C128:
        *need = count * 2;
        *have = tensor->n_double_data;
        return true;
    case MLY_DTYPE_F64:
        *have = tensor->n_double_data;
        return true;
    case MLY_DTYPE_I64:
        *have = tensor->n_int64_data;
        return true;
    case MLY_DTYPE_U32:
    case MLY_DTYPE_U64:
        *have = tensor->n_uint64_data;
        return true;
    case MLY_DTYPE_STRING:
        *have = tensor->n_string_data;
        return true;
    case MLY_DTYPE_U4:
    case MLY_DTYPE_I4:
        *need = count / 2 + count % 2;
        *have = tensor->n_int32_data;
        return true;
    default:
        *have = tensor->n_int32_data;
        return true;
    }
}

enum mly_status mly__pb_tensor_check(const Onnx__TensorProto *tensor, struct mly_error *err)
{
    enum mly_dtype dtype = MLY_DTYPE_UNDEFINED;
    struct mly_shape shape;
    enum mly_status status = mly__pb_tensor_shape(tensor, &dtype, &shape, err);
    if (status != MLY_OK) {
        return status;
    }
    int64_t count;
    status = mly_shape_count(&shape, &count, err);
    if (status != MLY_OK || dtype == MLY_DTYPE_UNDEFINED ||
        (tensor->has_data_location &&
         tensor->data_location != ONNX__TENSOR_PROTO__DATA_LOCATION__DEFAULT)) {
        return status;
    }
    char text[MLY_SHAPE_TEXT_BYTES];
    if (tensor->has_raw_data && dtype != MLY_DTYPE_STRING) {
        size_t bytes;
        status = mly_shape_bytes(dtype, &shape, &bytes, err);
        if (status != MLY_OK) {
            return mly_error_prefix(err, status, "tensor '%.200s'", mly__text(tensor->name));
        }
        if (tensor->raw_data.len != bytes) {
            return mly_error_set(err, MLY_E_FORMAT,
                                 "tensor '%.200s' has %zu bytes of data, but %s of %s takes %zu",
                                 mly__text(tensor->name), tensor->raw_data.len,
                                 mly_dtype_name(dtype), mly_shape_format(&shape, text), bytes);
        }
        return MLY_OK;
    }
    uint64_t have = 0;
    uint64_t need = 0;
    if (count > INT64_MAX / 2) {
        return mly_error_set(err, MLY_E_LIMIT, "tensor '%.200s' has too many elements",
                             mly__text(tensor->name));
    }
    if (typed_counts(tensor, dtype, (uint64_t)count, &have, &need) && have != need) {
        return mly_error_set(
            err, MLY_E_FORMAT, "tensor '%.200s' has %llu elements of data, but %s of %s takes %llu",
            mly__text(tensor->name), (unsigned long long)have, mly_dtype_name(dtype),
            mly_shape_format(&shape, text), (unsigned long long)need);
    }
    return MLY_OK;
}

bool mly__parse_size(const char *text, char end, size_t *out, const char **rest)
{
    size_t value = 0;
    const char *at = text;
    for (; *at >= '0' && *at <= '9'; at++) {
        size_t digit = (size_t)(*at - '0');
        if (value > (SIZE_MAX - digit) / 10) {
            return false;
        }
        value = value * 10 + digit;
    }
    if (at == text || *at != end) {
        return false;
    }
    *out = value;
    *rest = at + 1;
    return true;
}

bool mly__pb_data_here(const Onnx__TensorProto *tensor, size_t total, size_t *offset,
                       size_t *length)
{
    const char *rest;
    return tensor->n_external_data == 1 &&
           mly__parse_size(mly__text(tensor->external_data[0]->value), ' ', offset, &rest) &&
           mly__parse_size(rest, '\0', length, &rest) && *offset <= total &&
           *length <= total - *offset;
}

const Onnx__AttributeProto *mly__pb_attribute(const Onnx__NodeProto *node, const char *name)
{
    for (size_t i = 0; i < node->n_attribute; i++) {
        if (strcmp(mly__text(node->attribute[i]->name), name) == 0) {
            return node->attribute[i];
        }
    }
    return NULL;
}

enum mly_status mly__pb_value_type(const Onnx__TypeProto *type, struct mly_value_type *out,
                                   struct mly_error *err)
{
    struct mly_value_type result = {.dtype = MLY_DTYPE_UNDEFINED, .shape = {.rank = -1}};
    for (size_t i = 0; i < MLY_RANK_MAX; i++) {
        result.dim_names[i] = "";
    }
    if (type == NULL || type->value_case == ONNX__TYPE_PROTO__VALUE__NOT_SET) {
        *out = result;
        return MLY_OK;
    }
    if (type->value_case != ONNX__TYPE_PROTO__VALUE_TENSOR_TYPE) {
        result.is_sequence_or_optional = true;
        *out = result;
        return MLY_OK;
    }
    const Onnx__TypeProto__Tensor *tensor = type->tensor_type;
    result.dtype = mly_dtype_from_onnx(tensor->elem_type);
    const Onnx__TensorShapeProto *shape = tensor->shape;
    if (shape == NULL) {
        *out = result;
        return MLY_OK;
    }
    if (shape->n_dim > MLY_RANK_MAX) {
        return mly_error_set(err, MLY_E_LIMIT, "a shape has %zu dimensions; the limit is %d",
                             shape->n_dim, MLY_RANK_MAX);
    }
    result.shape.rank = (int32_t)shape->n_dim;
    for (size_t i = 0; i < shape->n_dim; i++) {
        const Onnx__TensorShapeProto__Dimension *dim = shape->dim[i];
        result.shape.dims[i] = MLY_DIM_UNKNOWN;
        if (dim->value_case == ONNX__TENSOR_SHAPE_PROTO__DIMENSION__VALUE_DIM_VALUE) {
            /* Some exporters write -1 for a size that is not known. */
            result.shape.dims[i] = dim->dim_value >= 0 ? dim->dim_value : MLY_DIM_UNKNOWN;
        } else if (dim->value_case == ONNX__TENSOR_SHAPE_PROTO__DIMENSION__VALUE_DIM_PARAM) {
            result.dim_names[i] = mly__text(dim->dim_param);
        }
    }
    *out = result;
    return MLY_OK;
}

/* TensorProto files to tensors: raw data as it is, typed fields element by element. */
#include "model/tensor_pb.h"

#include <string.h>

#include "base/alloc.h"
#include "base/file.h"
#include "proto.h"
#include "skeleton.h"

/* Writes the low `bytes` bytes of value, little-endian. */
static void put(uint8_t *out, size_t bytes, uint64_t value)
{
    for (size_t i = 0; i < bytes; i++) {
        out[i] = (uint8_t)(value >> (8 * i));
    }
}

/* Counts were checked: the typed field has the elements that the shape needs. */
static void fill_typed(const Onnx__TensorProto *proto, struct mly_tensor *tensor)
{
    uint8_t *out = tensor->data;
    switch (tensor->dtype) {
    case MLY_DTYPE_F32:
    case MLY_DTYPE_C64:
        if (proto->n_float_data > 0) {
            memcpy(out, proto->float_data, proto->n_float_data * sizeof *proto->float_data);
        }
        break;
    case MLY_DTYPE_F64:
    case MLY_DTYPE_C128:
        if (proto->n_double_data > 0) {
            memcpy(out, proto->double_data, proto->n_double_data * sizeof *proto->double_data);
        }
        break;
    case MLY_DTYPE_I64:
        for (size_t i = 0; i < proto->n_int64_data; i++) {
            put(out + 8 * i, 8, (uint64_t)proto->int64_data[i]);
        }
        break;
    case MLY_DTYPE_U32:
    case MLY_DTYPE_U64: {
        const size_t bytes = tensor->dtype == MLY_DTYPE_U32 ? 4 : 8;
        for (size_t i = 0; i < proto->n_uint64_data; i++) {
            put(out + bytes * i, bytes, proto->uint64_data[i]);
        }
        break;
    }
    default: {
        /* int32_data holds one element each, 4-bit types one pair of elements. */
        const uint32_t bits = mly_dtype_bits(tensor->dtype);
        const size_t bytes = bits < 8 ? 1 : bits / 8;
        for (size_t i = 0; i < proto->n_int32_data; i++) {
            put(out + bytes * i, bytes, (uint64_t)(int64_t)proto->int32_data[i]);
        }
        break;
    }
    }
}

static enum mly_status convert(const Onnx__TensorProto *proto, struct mly_tensor *out,
                               struct mly_error *err)
{
    if (proto->n_external_data > 0 || (proto->has_data_location && proto->data_location != 0)) {
        return mly_error_set(err, MLY_E_UNSUPPORTED,
                             "tensor '%.200s' keeps its data in another file",
                             mly__text(proto->name));
    }
    enum mly_dtype dtype;
    struct mly_shape shape;
    enum mly_status status = mly__pb_tensor_shape(proto, &dtype, &shape, err);
    if (status != MLY_OK) {
        return status;
    }
    if (dtype == MLY_DTYPE_STRING || mly_dtype_bits(dtype) == 0) {
        return mly_error_set(err, MLY_E_UNSUPPORTED,
                             "tensor '%.200s': elements of type %s (ONNX type %d) are not handled",
                             mly__text(proto->name), mly_dtype_name(dtype), (int)proto->data_type);
    }
    status = mly__pb_tensor_check(proto, err);
    if (status != MLY_OK) {
        return status;
    }
    struct mly_tensor tensor = {0};
    status = mly_tensor_init(dtype, &shape, &tensor, err);
    if (status != MLY_OK) {
        return status;
    }
    if (!proto->has_raw_data) {
        fill_typed(proto, &tensor);
    } else if (proto->raw_data.len > 0) {
        memcpy(tensor.data, proto->raw_data.data, proto->raw_data.len);
    }
    *out = tensor;
    return MLY_OK;
}

enum mly_status mly_tensor_parse_pb(const void *bytes, size_t length, struct mly_tensor *out,
                                    char **name, struct mly_error *err)
{
    struct mly__pb_memory memory;
    mly__pb_memory_init(&memory);
    ProtobufCMessage *message = NULL;
    enum mly_status status =
        mly__pb_unpack(bytes, length, &onnx__tensor_proto__descriptor, &memory, &message, err);
    if (status != MLY_OK) {
        return status;
    }
    Onnx__TensorProto *proto = (Onnx__TensorProto *)message;
    Onnx__TensorProto filled = *proto;
    size_t offset, data_length;
    if (proto->has_data_location && (int)proto->data_location == MLY__LOCATION_HERE &&
        mly__pb_data_here(proto, length, &offset, &data_length)) {
        filled.n_external_data = 0;
        filled.has_data_location = 0;
        filled.has_raw_data = 1;
        filled.raw_data.data = (uint8_t *)(uintptr_t)bytes + offset;
        filled.raw_data.len = data_length;
    }
    char *kept_name = name != NULL ? mly_strdup(mly__text(proto->name)) : NULL;
    if (name != NULL && kept_name == NULL) {
        status = mly_error_set(err, MLY_E_NO_MEMORY, "memory is short");
    } else {
        status = convert(&filled, out, err);
    }
    if (status == MLY_OK && name != NULL) {
        *name = kept_name;
        kept_name = NULL;
    }
    mly_free(kept_name);
    protobuf_c_message_free_unpacked(message, &memory.allocator);
    return status;
}

enum mly_status mly_tensor_load_pb(const char *path, size_t max_bytes, struct mly_tensor *out,
                                   char **name, struct mly_error *err)
{
    char *data = NULL;
    size_t length = 0;
    enum mly_status status = mly_file_read(path, max_bytes, &data, &length, err);
    if (status != MLY_OK) {
        return status;
    }
    status = mly_tensor_parse_pb(data, length, out, name, err);
    mly_free(data);
    return status == MLY_OK ? status : mly_error_prefix(err, status, "%s", path);
}

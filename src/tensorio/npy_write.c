/* Writing .npy, in pieces. */
#include "tensorio/npy.h"

#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "base/half.h"

#define PREFIX_BYTES 10
#define HEADER_ALIGNMENT 64 /* so that the data can be mapped aligned */
#define PIECE_ELEMENTS 4096

static enum mly_dtype type_in_file(enum mly_dtype dtype)
{
    switch (dtype) {
    case MLY_DTYPE_BF16:
        return MLY_DTYPE_F32;
    case MLY_DTYPE_U4:
        return MLY_DTYPE_U8;
    case MLY_DTYPE_I4:
        return MLY_DTYPE_I8;
    default:
        return dtype;
    }
}

static enum mly_status write_header(mly_file_writer *writer, enum mly_dtype dtype,
                                    const struct mly_shape *shape, struct mly_error *err)
{
    char header[1024] = "\x93NUMPY\x01";
    size_t length = PREFIX_BYTES, room = sizeof header - HEADER_ALIGNMENT - 8;
    length += (size_t)snprintf(header + length, room - length,
                               "{'descr': '%c%s', 'fortran_order': False, 'shape': (",
                               mly_dtype_bits(dtype) == 8 ? '|' : '<', mly_dtype_npy(dtype));
    for (int32_t i = 0; i < shape->rank; i++)
        length += (size_t)snprintf(header + length, room - length, "%s%" PRId64, i ? ", " : "",
                                   shape->dims[i]);
    length +=
        (size_t)snprintf(header + length, room - length, "%s), }", shape->rank == 1 ? "," : "");
    while ((length + 1) % HEADER_ALIGNMENT)
        header[length++] = ' ';
    header[length++] = '\n';
    header[8] = (char)((length - PREFIX_BYTES) & 0xFF);
    header[9] = (char)((length - PREFIX_BYTES) >> 8);
    return mly_file_writer_write(writer, header, length, err);
}

/* Element i of a packed 4-bit tensor: the low half of a byte comes first. */
static uint8_t nibble(const uint8_t *data, int64_t i, bool is_signed)
{
    uint8_t value = i & 1 ? data[i / 2] >> 4 : data[i / 2] & 15;
    return is_signed && value > 7 ? value | 0xF0 : value;
}

static enum mly_status write_widened(mly_file_writer *writer, const struct mly_tensor *tensor,
                                     int64_t count, struct mly_error *err)
{
    union {
        float floats[PIECE_ELEMENTS];
        uint8_t bytes[PIECE_ELEMENTS];
    } piece;
    const uint8_t *data = tensor->data;
    enum mly_status status = MLY_OK;
    for (int64_t start = 0; start < count && status == MLY_OK; start += PIECE_ELEMENTS) {
        int64_t part = count - start < PIECE_ELEMENTS ? count - start : PIECE_ELEMENTS;
        size_t bytes = (size_t)part;
        if (tensor->dtype == MLY_DTYPE_BF16) {
            for (int64_t i = 0; i < part; i++) {
                uint16_t half;
                memcpy(&half, data + 2 * (start + i), sizeof half);
                piece.floats[i] = mly_bf16_to_f32(half);
            }
            bytes *= sizeof(float);
        } else {
            for (int64_t i = 0; i < part; i++)
                piece.bytes[i] = nibble(data, start + i, tensor->dtype == MLY_DTYPE_I4);
        }
        status = mly_file_writer_write(writer, &piece, bytes, err);
    }
    return status;
}

enum mly_status mly_npy_write(mly_file_writer *writer, const struct mly_tensor *tensor,
                              struct mly_error *err)
{
    enum mly_dtype dtype = type_in_file(tensor->dtype);
    if (!*mly_dtype_npy(dtype))
        return mly_error_set(err, MLY_E_UNSUPPORTED, "NumPy has no type for elements of type %s",
                             mly_dtype_name(tensor->dtype));
    size_t bytes = 0;
    int64_t count = 0;
    enum mly_status status = mly_shape_bytes(tensor->dtype, &tensor->shape, &bytes, err);
    if (status == MLY_OK)
        status = mly_shape_count(&tensor->shape, &count, err);
    if (status != MLY_OK)
        return status;
    if (bytes != tensor->size_bytes || (bytes && !tensor->data))
        return mly_error_set(err, MLY_E_INVALID,
                             "a tensor holds %zu bytes where its shape needs %zu",
                             tensor->data ? tensor->size_bytes : 0, bytes);
    status = write_header(writer, dtype, &tensor->shape, err);
    if (status != MLY_OK)
        return status;
    if (dtype != tensor->dtype)
        return write_widened(writer, tensor, count, err);
    return mly_file_writer_write(writer, tensor->data, bytes, err);
}

enum mly_status mly_npy_save(const char *path, const struct mly_tensor *tensor,
                             struct mly_error *err)
{
    mly_file_writer *writer = NULL;
    enum mly_status status = mly_file_writer_create(path, &writer, err);
    if (status != MLY_OK)
        return status;
    status = mly_npy_write(writer, tensor, err);
    if (status != MLY_OK) {
        mly_file_writer_abort(writer);
        return status;
    }
    return mly_file_writer_commit(writer, err);
}

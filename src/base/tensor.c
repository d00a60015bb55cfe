/* Element types, shapes and tensors. */
#include <motley/tensor.h>

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"

static const struct {
    const char *name, *npy;
    int32_t onnx;
    uint32_t bits;
} dtypes[] = {
#define MLY_DTYPE(enumerator, name, onnx, bits, oip, npy) [enumerator] = {name, npy, onnx, bits},
#include <motley/dtype_defs.inc>
#undef MLY_DTYPE
};

static bool is_dtype(enum mly_dtype dtype)
{
    return (unsigned)dtype < MLY_DTYPE_COUNT;
}

const char *mly_dtype_name(enum mly_dtype dtype)
{
    return is_dtype(dtype) ? dtypes[dtype].name : "undefined";
}

uint32_t mly_dtype_bits(enum mly_dtype dtype)
{
    return is_dtype(dtype) ? dtypes[dtype].bits : 0;
}

enum mly_dtype mly_dtype_from_name(const char *name)
{
    for (unsigned i = 0; name && i < MLY_DTYPE_COUNT; i++) {
        if (strcmp(dtypes[i].name, name) == 0)
            return (enum mly_dtype)i;
    }
    return MLY_DTYPE_UNDEFINED;
}

enum mly_dtype mly_dtype_from_onnx(int32_t number)
{
    for (unsigned i = 0; i < MLY_DTYPE_COUNT; i++) {
        if (dtypes[i].onnx == number)
            return (enum mly_dtype)i;
    }
    return MLY_DTYPE_UNDEFINED;
}

int32_t mly_dtype_to_onnx(enum mly_dtype dtype)
{
    return is_dtype(dtype) ? dtypes[dtype].onnx : 0;
}

const char *mly_dtype_npy(enum mly_dtype dtype)
{
    return is_dtype(dtype) ? dtypes[dtype].npy : "";
}

bool mly_shape_is_known(const struct mly_shape *shape)
{
    if (shape->rank < 0 || shape->rank > MLY_RANK_MAX)
        return false;
    for (int32_t i = 0; i < shape->rank; i++) {
        if (shape->dims[i] < 0)
            return false;
    }
    return true;
}

bool mly_shape_equal(const struct mly_shape *a, const struct mly_shape *b)
{
    if (a->rank != b->rank)
        return false;
    for (int32_t i = 0; i < a->rank && i < MLY_RANK_MAX; i++) {
        if (a->dims[i] != b->dims[i])
            return false;
    }
    return true;
}

enum mly_status mly_shape_count(const struct mly_shape *shape, int64_t *count,
                                struct mly_error *err)
{
    char text[MLY_SHAPE_TEXT_BYTES];
    if (shape->rank > MLY_RANK_MAX)
        return mly_error_set(err, MLY_E_INVALID, "rank %" PRId32 " is over %d", shape->rank,
                             MLY_RANK_MAX);
    if (!mly_shape_is_known(shape))
        return mly_error_set(err, MLY_E_INVALID, "shape %s is not fully known",
                             mly_shape_format(shape, text));
    int64_t product = 1;
    for (int32_t i = 0; i < shape->rank; i++) {
        if (shape->dims[i] == 0)
            product = 0; /* and stays so: 0 elements, however large the others are */
    }
    for (int32_t i = 0; i < shape->rank; i++) {
        if (__builtin_mul_overflow(product, shape->dims[i], &product))
            return mly_error_set(err, MLY_E_LIMIT, "shape %s has more than 2^63-1 elements",
                                 mly_shape_format(shape, text));
    }
    *count = product;
    return MLY_OK;
}

enum mly_status mly_shape_bytes(enum mly_dtype dtype, const struct mly_shape *shape, size_t *bytes,
                                struct mly_error *err)
{
    uint64_t bits = mly_dtype_bits(dtype);
    if (bits == 0)
        return mly_error_set(err, MLY_E_UNSUPPORTED, "elements of type %s have no fixed size",
                             mly_dtype_name(dtype));
    int64_t count = 0;
    enum mly_status status = mly_shape_count(shape, &count, err);
    if (status != MLY_OK)
        return status;
    uint64_t total = (uint64_t)count;
    bool too_large = false;
    if (bits < 8)
        total = total / (8 / bits) + (total % (8 / bits) != 0);
    else
        too_large = __builtin_mul_overflow(total, bits / 8, &total);
    if (too_large || total > PTRDIFF_MAX) {
        char text[MLY_SHAPE_TEXT_BYTES];
        return mly_error_set(err, MLY_E_LIMIT, "a tensor %s of %s is larger than any memory",
                             mly_shape_format(shape, text), mly_dtype_name(dtype));
    }
    *bytes = (size_t)total;
    return MLY_OK;
}

char *mly_shape_format(const struct mly_shape *shape, char buffer[MLY_SHAPE_TEXT_BYTES])
{
    if (shape->rank < 0 || shape->rank > MLY_RANK_MAX)
        return strcpy(buffer, "?");
    if (shape->rank == 0)
        return strcpy(buffer, "scalar");
    size_t length = 0;
    for (int32_t i = 0; i < shape->rank; i++) {
        const char *separator = i ? "x" : "";
        int written = shape->dims[i] < 0 ? snprintf(buffer + length, MLY_SHAPE_TEXT_BYTES - length,
                                                    "%s?", separator)
                                         : snprintf(buffer + length, MLY_SHAPE_TEXT_BYTES - length,
                                                    "%s%" PRId64, separator, shape->dims[i]);
        length += (size_t)written;
    }
    return buffer;
}

/* Allocates without zeroing what the caller is about to fill. */
static enum mly_status allocate(enum mly_dtype dtype, const struct mly_shape *shape,
                                struct mly_tensor *out, struct mly_error *err)
{
    size_t bytes = 0;
    enum mly_status status = mly_shape_bytes(dtype, shape, &bytes, err);
    if (status != MLY_OK)
        return status;
    void *data = mly_alloc_aligned(MLY_TENSOR_ALIGNMENT, bytes);
    if (!data) {
        char text[MLY_SHAPE_TEXT_BYTES];
        return mly_error_set(err, MLY_E_NO_MEMORY, "no memory for a tensor %s of %s (%zu bytes)",
                             mly_shape_format(shape, text), mly_dtype_name(dtype), bytes);
    }
    *out = (struct mly_tensor){
        .dtype = dtype,
        .shape = *shape,
        .data = data,
        .size_bytes = bytes,
        .release = mly_free,
        .owner = data,
    };
    return MLY_OK;
}

enum mly_status mly_tensor_init(enum mly_dtype dtype, const struct mly_shape *shape,
                                struct mly_tensor *out, struct mly_error *err)
{
    enum mly_status status = allocate(dtype, shape, out, err);
    if (status == MLY_OK)
        memset(out->data, 0, out->size_bytes);
    return status;
}

void mly_tensor_fini(struct mly_tensor *tensor)
{
    if (!tensor)
        return;
    if (tensor->release)
        tensor->release(tensor->owner);
    *tensor = (struct mly_tensor){0};
}

bool mly_tensor_is_absent(const struct mly_tensor *tensor)
{
    size_t bytes = 0;
    return !tensor->data && tensor->size_bytes == 0 && tensor->dtype != MLY_DTYPE_UNDEFINED &&
           mly_shape_bytes(tensor->dtype, &tensor->shape, &bytes, NULL) == MLY_OK && bytes > 0;
}

enum mly_status mly_tensor_dup(const struct mly_tensor *src, struct mly_tensor *out,
                               struct mly_error *err)
{
    size_t bytes = 0;
    enum mly_status status = mly_shape_bytes(src->dtype, &src->shape, &bytes, err);
    if (status != MLY_OK)
        return status;
    if (mly_tensor_is_absent(src))
        return mly_error_set(
            err, MLY_E_ABSENT,
            "the tensor's values are declared absent: a modelled processor did not "
            "compute them");
    if (bytes != src->size_bytes || (bytes && !src->data))
        return mly_error_set(err, MLY_E_INVALID,
                             "a tensor holds %zu bytes where its shape needs %zu",
                             src->data ? src->size_bytes : 0, bytes);
    status = allocate(src->dtype, &src->shape, out, err);
    if (status == MLY_OK && bytes)
        memcpy(out->data, src->data, bytes);
    return status;
}

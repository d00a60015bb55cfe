/* Tensors from raw bytes, from a seed, and from other tensors. */
#include "tensorio/raw.h"

#include <inttypes.h>
#include <string.h>

#include "base/file.h"
#include "base/half.h"
#include "base/random.h"

enum mly_status mly_raw_parse(const char *name, const void *bytes, size_t length,
                              enum mly_dtype dtype, const struct mly_shape *shape,
                              struct mly_tensor *out, struct mly_error *err)
{
    size_t needed = 0;
    enum mly_status status = mly_shape_bytes(dtype, shape, &needed, err);
    if (status != MLY_OK)
        return mly_error_prefix(err, status, "%s", name);
    if (length != needed) {
        char text[MLY_SHAPE_TEXT_BYTES];
        return mly_error_set(err, MLY_E_MISMATCH, "%s: %zu bytes where %s of %s needs %zu", name,
                             length, mly_shape_format(shape, text), mly_dtype_name(dtype), needed);
    }
    struct mly_tensor borrowed = {dtype, *shape, (void *)(uintptr_t)bytes, length, NULL, NULL};
    status = mly_tensor_dup(&borrowed, out, err);
    return status == MLY_OK ? status : mly_error_prefix(err, status, "%s", name);
}

enum mly_status mly_raw_load(const char *path, enum mly_dtype dtype, const struct mly_shape *shape,
                             struct mly_tensor *out, struct mly_error *err)
{
    struct mly_file_map map = {0};
    enum mly_status status = mly_file_map_open(path, &map, err);
    if (status != MLY_OK)
        return status;
    status = mly_raw_parse(path, map.data, map.length, dtype, shape, out, err);
    mly_file_map_close(&map);
    return status;
}

static double signed_unit(struct mly_random *random)
{
    return 2 * mly_random_uniform(random) - 1;
}

static void put_f32(struct mly_random *random, unsigned char *to)
{
    float value = (float)signed_unit(random);
    memcpy(to, &value, sizeof value);
}

static void put_f64(struct mly_random *random, unsigned char *to)
{
    double value = signed_unit(random);
    memcpy(to, &value, sizeof value);
}

/* One element, into memory that is zero. */
static void put_random(struct mly_random *random, enum mly_dtype dtype, unsigned char *to)
{
    uint16_t half;
    switch (dtype) {
    case MLY_DTYPE_F32:
        put_f32(random, to);
        break;
    case MLY_DTYPE_F64:
        put_f64(random, to);
        break;
    case MLY_DTYPE_C64:
        put_f32(random, to);
        put_f32(random, to + 4);
        break;
    case MLY_DTYPE_C128:
        put_f64(random, to);
        put_f64(random, to + 8);
        break;
    case MLY_DTYPE_F16:
        half = mly_f16_from_f32((float)signed_unit(random));
        memcpy(to, &half, sizeof half);
        break;
    case MLY_DTYPE_BF16:
        half = mly_bf16_from_f32((float)signed_unit(random));
        memcpy(to, &half, sizeof half);
        break;
    case MLY_DTYPE_F8E4M3FN:
    case MLY_DTYPE_F8E4M3FNUZ:
    case MLY_DTYPE_F8E5M2:
    case MLY_DTYPE_F8E5M2FNUZ:
        /* 0x38 is the smallest code of 1.0 among them; 0x80 alone is NaN in two of them. */
        *to = (unsigned char)(1 + mly_random_below(random, 0x37));
        *to |= (unsigned char)(mly_random_below(random, 2) << 7);
        break;
    case MLY_DTYPE_U8:
    case MLY_DTYPE_I8:
        *to = (unsigned char)mly_random_below(random, 256);
        break;
    case MLY_DTYPE_U4:
    case MLY_DTYPE_I4:
        *to = (unsigned char)(mly_random_below(random, 2) | mly_random_below(random, 2) << 4);
        break;
    default:
        *to = (unsigned char)mly_random_below(random, 2);
        break;
    }
}

enum mly_status mly_tensor_random(enum mly_dtype dtype, const struct mly_shape *shape,
                                  uint64_t seed, struct mly_tensor *out, struct mly_error *err)
{
    struct mly_tensor tensor = {0};
    enum mly_status status = mly_tensor_init(dtype, shape, &tensor, err);
    if (status != MLY_OK)
        return status;
    struct mly_random random;
    mly_random_init(&random, seed);
    unsigned char *data = tensor.data;
    size_t step = mly_dtype_bits(dtype) < 8 ? 1 : mly_dtype_bits(dtype) / 8;
    for (size_t at = 0; at < tensor.size_bytes; at += step)
        put_random(&random, dtype, data + at);
    int64_t count = 0;
    /* The unused half of the last byte stays 0. */
    if (mly_dtype_bits(dtype) == 4 && mly_shape_count(shape, &count, NULL) == MLY_OK && count & 1)
        data[tensor.size_bytes - 1] &= 15;
    *out = tensor;
    return MLY_OK;
}

static enum mly_status check_parts(const struct mly_tensor *const *parts, size_t count,
                                   int64_t *rows, struct mly_error *err)
{
    char a[MLY_SHAPE_TEXT_BYTES], b[MLY_SHAPE_TEXT_BYTES];
    if (count == 0 || parts[0]->shape.rank < 1 || mly_dtype_bits(parts[0]->dtype) < 8)
        return mly_error_set(err, MLY_E_INVALID,
                             count ? "tensors %s of %s cannot be joined" : "no tensors to join",
                             count ? mly_shape_format(&parts[0]->shape, a) : "",
                             count ? mly_dtype_name(parts[0]->dtype) : "");
    *rows = 0;
    for (size_t i = 0; i < count; i++) {
        struct mly_shape shape = parts[i]->shape;
        size_t bytes = 0;
        if (shape.rank > 0 && shape.rank <= MLY_RANK_MAX)
            shape.dims[0] = parts[0]->shape.dims[0];
        if (parts[i]->dtype != parts[0]->dtype || !mly_shape_equal(&shape, &parts[0]->shape))
            return mly_error_set(
                err, MLY_E_MISMATCH, "cannot join tensor %zu (%s %s) to the first (%s %s)", i,
                mly_dtype_name(parts[i]->dtype), mly_shape_format(&parts[i]->shape, a),
                mly_dtype_name(parts[0]->dtype), mly_shape_format(&parts[0]->shape, b));
        enum mly_status status = mly_shape_bytes(parts[i]->dtype, &parts[i]->shape, &bytes, err);
        if (status != MLY_OK)
            return status;
        if (bytes != parts[i]->size_bytes ||
            __builtin_add_overflow(*rows, parts[i]->shape.dims[0], rows))
            return mly_error_set(err, MLY_E_INVALID, "tensor %zu holds %zu bytes, %zu wanted", i,
                                 parts[i]->size_bytes, bytes);
    }
    return MLY_OK;
}

enum mly_status mly_tensor_join(const struct mly_tensor *const *parts, size_t count,
                                struct mly_tensor *out, struct mly_error *err)
{
    int64_t rows = 0;
    enum mly_status status = check_parts(parts, count, &rows, err);
    if (status != MLY_OK)
        return status;
    struct mly_shape shape = parts[0]->shape;
    shape.dims[0] = rows;
    struct mly_tensor tensor = {0};
    status = mly_tensor_init(parts[0]->dtype, &shape, &tensor, err);
    if (status != MLY_OK)
        return status;
    unsigned char *to = tensor.data;
    for (size_t i = 0; i < count; i++) {
        if (parts[i]->size_bytes)
            memcpy(to, parts[i]->data, parts[i]->size_bytes);
        to += parts[i]->size_bytes;
    }
    *out = tensor;
    return MLY_OK;
}

/* Comparing tensors, and finding the largest values. */
#include "tensorio/compare.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/half.h"

enum family { FAMILY_NONE, FAMILY_FLOAT, FAMILY_SIGNED, FAMILY_UNSIGNED, FAMILY_COMPLEX };

static enum family family(enum mly_dtype dtype)
{
    switch (dtype) {
    case MLY_DTYPE_F16:
    case MLY_DTYPE_BF16:
    case MLY_DTYPE_F32:
    case MLY_DTYPE_F64:
        return FAMILY_FLOAT;
    case MLY_DTYPE_I4:
    case MLY_DTYPE_I8:
    case MLY_DTYPE_I16:
    case MLY_DTYPE_I32:
    case MLY_DTYPE_I64:
        return FAMILY_SIGNED;
    case MLY_DTYPE_U4:
    case MLY_DTYPE_U8:
    case MLY_DTYPE_U16:
    case MLY_DTYPE_U32:
    case MLY_DTYPE_U64:
    case MLY_DTYPE_BOOL:
        return FAMILY_UNSIGNED;
    case MLY_DTYPE_C64:
    case MLY_DTYPE_C128:
        return FAMILY_COMPLEX;
    default:
        return FAMILY_NONE;
    }
}

static double load_float(enum mly_dtype dtype, const unsigned char *data, int64_t i)
{
    uint16_t half;
    float f32;
    double f64;
    switch (dtype) {
    case MLY_DTYPE_F16:
    case MLY_DTYPE_BF16:
        memcpy(&half, data + 2 * i, sizeof half);
        return dtype == MLY_DTYPE_F16 ? mly_f16_to_f32(half) : mly_bf16_to_f32(half);
    case MLY_DTYPE_F64:
    case MLY_DTYPE_C128:
        memcpy(&f64, data + 8 * i, sizeof f64);
        return f64;
    default:
        memcpy(&f32, data + 4 * i, sizeof f32);
        return f32;
    }
}

/* An integer's 64 bits, sign-extended if it has a sign. */
static uint64_t load_integer(enum mly_dtype dtype, const unsigned char *data, int64_t i)
{
    uint32_t bits = mly_dtype_bits(dtype);
    uint64_t value = 0;
    if (bits == 4)
        value = i & 1 ? data[i / 2] >> 4 : data[i / 2] & 15U;
    else
        memcpy(&value, data + (size_t)i * (bits / 8), bits / 8);
    if (family(dtype) == FAMILY_SIGNED && bits < 64 && value >> (bits - 1) & 1)
        value |= UINT64_MAX << bits;
    return value;
}

static double load(enum mly_dtype dtype, const void *data, int64_t i)
{
    enum family f = family(dtype);
    if (f == FAMILY_FLOAT || f == FAMILY_COMPLEX)
        return load_float(dtype, data, i);
    uint64_t value = load_integer(dtype, data, i);
    return f == FAMILY_SIGNED ? (double)(int64_t)value : (double)value;
}

static enum mly_status check(const struct mly_tensor *tensor, struct mly_error *err)
{
    size_t bytes = 0;
    if (family(tensor->dtype) == FAMILY_NONE)
        return mly_error_set(err, MLY_E_UNSUPPORTED, "elements of type %s are not handled",
                             mly_dtype_name(tensor->dtype));
    enum mly_status status = mly_shape_bytes(tensor->dtype, &tensor->shape, &bytes, err);
    if (status == MLY_OK && (bytes != tensor->size_bytes || (bytes && !tensor->data)))
        return mly_error_set(err, MLY_E_INVALID,
                             "a tensor holds %zu bytes where its shape needs %zu",
                             tensor->data ? tensor->size_bytes : 0, bytes);
    return status;
}

static enum mly_status check_pair(const struct mly_tensor *actual,
                                  const struct mly_tensor *expected, struct mly_error *err)
{
    char a[MLY_SHAPE_TEXT_BYTES], b[MLY_SHAPE_TEXT_BYTES];
    enum mly_status status = check(actual, err);
    if (status == MLY_OK)
        status = check(expected, err);
    if (status != MLY_OK)
        return status;
    enum family f = family(actual->dtype);
    bool any_width = f == FAMILY_FLOAT || f == FAMILY_COMPLEX;
    if (any_width ? f != family(expected->dtype) : actual->dtype != expected->dtype)
        return mly_error_set(err, MLY_E_MISMATCH,
                             "a tensor of %s cannot be compared with one of %s",
                             mly_dtype_name(actual->dtype), mly_dtype_name(expected->dtype));
    if (!mly_shape_equal(&actual->shape, &expected->shape))
        return mly_error_set(err, MLY_E_MISMATCH, "shape %s where %s is expected",
                             mly_shape_format(&actual->shape, a),
                             mly_shape_format(&expected->shape, b));
    return MLY_OK;
}

/* Exact in 64 bits, and only then rounded. */
static double integer_difference(enum mly_dtype dtype, uint64_t a, uint64_t b)
{
    bool less = family(dtype) == FAMILY_SIGNED ? (int64_t)a < (int64_t)b : a < b;
    return (double)(less ? b - a : a - b);
}

static bool is_same_special(double a, double b)
{
    return (isnan(a) && isnan(b)) || (isinf(a) && a == b);
}

struct progress {
    struct mly_comparison *c;
    double atol, rtol, sum, low, high;
    int64_t finite;
};

static void compare_element(struct progress *p, const struct mly_tensor *actual,
                            const struct mly_tensor *expected, int64_t i)
{
    struct mly_comparison *c = p->c;
    double a = load(actual->dtype, actual->data, i), e = load(expected->dtype, expected->data, i);
    bool is_real = family(actual->dtype) == FAMILY_FLOAT || family(actual->dtype) == FAMILY_COMPLEX;
    if (isfinite(e)) {
        p->low = fmin(p->low, e);
        p->high = fmax(p->high, e);
    }
    if (!isfinite(a) || !isfinite(e)) {
        if (is_same_special(a, e))
            return;
        c->mismatches++;
        if (c->nan_mismatches++ == 0) {
            c->worst = i;
            c->worst_actual = a;
            c->worst_expected = e;
        }
        return;
    }
    double difference =
        is_real ? fabs(a - e)
                : integer_difference(actual->dtype, load_integer(actual->dtype, actual->data, i),
                                     load_integer(actual->dtype, expected->data, i));
    double allowed = p->atol + (is_real ? p->rtol * fabs(e) : 0);
    if (!(difference <= allowed))
        c->mismatches++;
    p->sum += difference;
    p->finite++;
    if (difference > c->max_abs || c->worst < 0) {
        c->max_abs = difference;
        if (c->nan_mismatches == 0) {
            c->worst = i;
            c->worst_actual = a;
            c->worst_expected = e;
        }
    }
}

enum mly_status mly_tensor_compare(const struct mly_tensor *actual,
                                   const struct mly_tensor *expected, double atol, double rtol,
                                   struct mly_comparison *out, struct mly_error *err)
{
    enum mly_status status = check_pair(actual, expected, err);
    if (status != MLY_OK)
        return status;
    if (!(atol >= 0) || !(rtol >= 0))
        return mly_error_set(err, MLY_E_INVALID, "tolerances %g and %g are not 0 or more", atol,
                             rtol);
    struct mly_comparison c = {.worst = -1};
    struct progress p = {&c, atol, rtol, 0, INFINITY, -INFINITY, 0};
    status = mly_shape_count(&actual->shape, &c.count, err);
    if (status != MLY_OK)
        return status;
    if (family(actual->dtype) == FAMILY_COMPLEX)
        c.count *= 2;
    for (int64_t i = 0; i < c.count; i++)
        compare_element(&p, actual, expected, i);
    c.mean_abs = p.finite ? p.sum / (double)p.finite : 0;
    c.expected_range = p.high > p.low ? p.high - p.low : 0;
    double scale = c.expected_range;
    if (scale == 0 && p.high >= p.low)
        scale = fabs(p.high);
    c.max_relative = c.max_abs / (scale > 0 ? scale : 1);
    *out = c;
    return MLY_OK;
}

char *mly_index_format(const struct mly_shape *shape, int64_t flat,
                       char buffer[MLY_SHAPE_TEXT_BYTES])
{
    int64_t index[MLY_RANK_MAX] = {0};
    for (int32_t i = shape->rank - 1; i >= 0; i--) {
        int64_t size = shape->dims[i] > 0 ? shape->dims[i] : 1;
        index[i] = flat % size;
        flat /= size;
    }
    size_t length = (size_t)snprintf(buffer, MLY_SHAPE_TEXT_BYTES, "[");
    for (int32_t i = 0; i < shape->rank && length < MLY_SHAPE_TEXT_BYTES; i++)
        length += (size_t)snprintf(buffer + length, MLY_SHAPE_TEXT_BYTES - length, "%s%" PRId64,
                                   i ? ", " : "", index[i]);
    if (length + 1 < MLY_SHAPE_TEXT_BYTES)
        memcpy(buffer + length, "]", 2);
    return buffer;
}

int64_t mly_tensor_rows(const struct mly_tensor *tensor)
{
    return tensor->shape.rank < 2 ? 1 : tensor->shape.dims[0];
}

/* Larger first; NaN after everything. Equal ones keep the order in which they came. */
static bool ranks_above(double a, double b)
{
    return a > b || (isnan(b) && !isnan(a));
}

enum mly_status mly_tensor_top(const struct mly_tensor *tensor, int64_t row, size_t k,
                               struct mly_top *out, size_t *found, struct mly_error *err)
{
    int64_t count = 0, rows = mly_tensor_rows(tensor);
    enum mly_status status = check(tensor, err);
    if (status == MLY_OK && family(tensor->dtype) == FAMILY_COMPLEX)
        status = mly_error_set(err, MLY_E_UNSUPPORTED, "complex numbers have no order");
    if (status == MLY_OK)
        status = mly_shape_count(&tensor->shape, &count, err);
    if (status != MLY_OK)
        return status;
    if (row < 0 || row >= rows)
        return mly_error_set(err, MLY_E_INVALID, "row %" PRId64 " of %" PRId64, row, rows);
    int64_t length = count / rows, first = row * length;
    size_t filled = 0;
    for (int64_t i = 0; i < length; i++) {
        double value = load(tensor->dtype, tensor->data, first + i);
        size_t at = filled;
        while (at > 0 && ranks_above(value, out[at - 1].value))
            at--;
        if (at == k)
            continue;
        if (filled < k)
            filled++;
        for (size_t j = filled - 1; j > at; j--)
            out[j] = out[j - 1];
        out[at] = (struct mly_top){i, value};
    }
    *found = filled;
    return MLY_OK;
}

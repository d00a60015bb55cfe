/*
 * Reading .npy.
 *
 * 1. The magic, the version and the header's length.
 * 2. The header: a Python dictionary literal with exactly 'descr', 'fortran_order' and 'shape'.
 * 3. The data: copied, put in row-major order, byte-swapped.
 */
#include "tensorio/npy.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#define HEADER_MAX_BYTES 65536

/* Position in the bytes, and what they said so far. */
struct reader {
    const char *name;
    const unsigned char *bytes;
    size_t position, header_end, length;
    bool has_descr, has_order, has_shape;
    enum mly_dtype dtype;
    bool swapped, fortran;
    struct mly_shape shape;
    struct mly_error *err;
};

static MLY_PRINTF(3, 4) enum mly_status
    fail(const struct reader *r, enum mly_status status, const char *format, ...)
{
    char message[512];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(message, sizeof message, format, arguments);
    va_end(arguments);
    return mly_error_set(r->err, status, "%s: byte %zu: %s", r->name, r->position, message);
}

/* (1) */
static enum mly_status read_prefix(struct reader *r)
{
    static const unsigned char magic[] = {0x93, 'N', 'U', 'M', 'P', 'Y'};
    if (r->length < sizeof magic + 2)
        return fail(r, MLY_E_FORMAT, "only %zu bytes, no .npy file", r->length);
    if (memcmp(r->bytes, magic, sizeof magic) != 0)
        return fail(r, MLY_E_FORMAT, "no .npy file (its first bytes are not \\x93NUMPY)");
    r->position = sizeof magic;
    unsigned major = r->bytes[6], minor = r->bytes[7];
    if (major < 1 || major > 3 || minor != 0)
        return fail(r, MLY_E_UNSUPPORTED, "version %u.%u; known are 1.0, 2.0 and 3.0", major,
                    minor);
    size_t size_bytes = major == 1 ? 2 : 4, header_bytes = 0;
    r->position = 8;
    if (r->length < r->position + size_bytes)
        return fail(r, MLY_E_FORMAT, "truncated in the header's length");
    for (size_t i = 0; i < size_bytes; i++)
        header_bytes |= (size_t)r->bytes[r->position + i] << (8 * i);
    if (header_bytes > HEADER_MAX_BYTES)
        return fail(r, MLY_E_LIMIT, "the header's %zu bytes are over the limit of %d", header_bytes,
                    HEADER_MAX_BYTES);
    r->position += size_bytes;
    if (header_bytes > r->length - r->position)
        return fail(r, MLY_E_FORMAT, "truncated in the header: %zu of its %zu bytes are there",
                    r->length - r->position, header_bytes);
    r->header_end = r->position + header_bytes;
    return MLY_OK;
}

static int peek(struct reader *r)
{
    while (r->position < r->header_end && strchr(" \t\r\n", r->bytes[r->position]) &&
           r->bytes[r->position])
        r->position++;
    return r->position < r->header_end ? r->bytes[r->position] : -1;
}

static bool skip(struct reader *r, char c)
{
    if (peek(r) != c)
        return false;
    r->position++;
    return true;
}

static enum mly_status want(struct reader *r, char c)
{
    if (skip(r, c))
        return MLY_OK;
    int found = peek(r);
    if (found < 0)
        return fail(r, MLY_E_FORMAT, "expected '%c', found the header's end", c);
    if (found >= 0x20 && found < 0x7F)
        return fail(r, MLY_E_FORMAT, "expected '%c', found '%c'", c, found);
    return fail(r, MLY_E_FORMAT, "expected '%c', found byte 0x%02x", c, (unsigned)found);
}

/* A Python string literal without escapes, into text. */
static enum mly_status read_string(struct reader *r, char *text, size_t capacity)
{
    int quote = peek(r);
    if (quote != '\'' && quote != '"')
        return fail(r, MLY_E_FORMAT, "expected a string");
    size_t start = ++r->position, end = start;
    while (end < r->header_end && r->bytes[end] != quote) {
        unsigned char c = r->bytes[end];
        if (c < 0x20 || c >= 0x7F || c == '\\' || end - start + 1 >= capacity)
            return fail(r, MLY_E_FORMAT, "a string that does not belong here");
        text[end - start] = (char)c;
        end++;
    }
    if (end == r->header_end)
        return fail(r, MLY_E_FORMAT, "a string without end");
    text[end - start] = '\0';
    r->position = end + 1;
    return MLY_OK;
}

static enum mly_status unsupported_type(struct reader *r, const char *descr)
{
    static const struct {
        char kind;
        const char *what;
    } kinds[] = {
        {'O', "Python objects, which only Python can load"},
        {'V', "structured or raw data"},
        {'S', "byte strings"},
        {'a', "byte strings"},
        {'U', "text"},
        {'M', "dates"},
        {'m', "time spans"},
    };
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        if (descr[0] == kinds[i].kind || (descr[0] && descr[1] == kinds[i].kind))
            return fail(r, MLY_E_UNSUPPORTED, "type '%s' (%s) is not handled", descr,
                        kinds[i].what);
    }
    return fail(r, MLY_E_UNSUPPORTED, "type '%s' is not handled", descr);
}

static enum mly_status read_descr(struct reader *r)
{
    char descr[64];
    if (peek(r) == '[')
        return fail(r, MLY_E_UNSUPPORTED, "structured types are not handled");
    size_t start = r->position;
    enum mly_status status = read_string(r, descr, sizeof descr);
    if (status != MLY_OK)
        return status;
    char order = descr[0];
    const char *type = order && strchr("<>|=", order) ? descr + 1 : descr;
    for (int i = 0; i < MLY_DTYPE_COUNT && *type; i++) {
        if (strcmp(type, mly_dtype_npy((enum mly_dtype)i)) == 0)
            r->dtype = (enum mly_dtype)i;
    }
    if (r->dtype == MLY_DTYPE_UNDEFINED) {
        r->position = start;
        return unsupported_type(r, descr);
    }
    r->swapped = order == '>';
    return MLY_OK;
}

static enum mly_status read_bool(struct reader *r, bool *value)
{
    peek(r);
    const char *at = (const char *)r->bytes + r->position;
    size_t left = r->header_end - r->position;
    if (left >= 4 && memcmp(at, "True", 4) == 0) {
        *value = true;
        r->position += 4;
    } else if (left >= 5 && memcmp(at, "False", 5) == 0) {
        *value = false;
        r->position += 5;
    } else {
        return fail(r, MLY_E_FORMAT, "'fortran_order' is neither True nor False");
    }
    return MLY_OK;
}

static enum mly_status read_dimension(struct reader *r, int64_t *value)
{
    int c = peek(r);
    if (c < '0' || c > '9')
        return fail(r, MLY_E_FORMAT, "expected a dimension (0 or more)");
    int64_t number = 0;
    for (; r->position < r->header_end; r->position++) {
        c = r->bytes[r->position];
        if (c < '0' || c > '9')
            break;
        if (__builtin_mul_overflow(number, 10, &number) ||
            __builtin_add_overflow(number, c - '0', &number))
            return fail(r, MLY_E_LIMIT, "a dimension over 2^63-1");
    }
    if (r->position < r->header_end && r->bytes[r->position] == 'L')
        r->position++; /* Python 2 wrote its long integers so */
    *value = number;
    return MLY_OK;
}

static enum mly_status read_shape(struct reader *r)
{
    enum mly_status status = want(r, '(');
    while (status == MLY_OK && peek(r) != ')') {
        if (r->shape.rank == MLY_RANK_MAX)
            return fail(r, MLY_E_LIMIT, "more than %d dimensions", MLY_RANK_MAX);
        status = read_dimension(r, &r->shape.dims[r->shape.rank]);
        if (status != MLY_OK)
            return status;
        r->shape.rank++;
        if (!skip(r, ',') && peek(r) != ')')
            return want(r, ')');
    }
    return status == MLY_OK ? want(r, ')') : status;
}

static enum mly_status read_field(struct reader *r)
{
    char key[32];
    peek(r);
    size_t start = r->position;
    enum mly_status status = read_string(r, key, sizeof key);
    if (status == MLY_OK)
        status = want(r, ':');
    if (status != MLY_OK)
        return status;
    bool *seen = strcmp(key, "descr") == 0           ? &r->has_descr
                 : strcmp(key, "fortran_order") == 0 ? &r->has_order
                 : strcmp(key, "shape") == 0         ? &r->has_shape
                                                     : NULL;
    if (!seen || *seen) {
        r->position = start;
        return fail(r, MLY_E_FORMAT, seen ? "'%s' comes twice" : "unknown field '%s'", key);
    }
    *seen = true;
    if (seen == &r->has_descr)
        return read_descr(r);
    return seen == &r->has_order ? read_bool(r, &r->fortran) : read_shape(r);
}

/* (2) */
static enum mly_status read_header(struct reader *r)
{
    enum mly_status status = want(r, '{');
    while (status == MLY_OK && peek(r) != '}') {
        status = read_field(r);
        if (status == MLY_OK && !skip(r, ',') && peek(r) != '}')
            return want(r, '}');
    }
    if (status == MLY_OK)
        status = want(r, '}');
    if (status == MLY_OK && peek(r) >= 0)
        return fail(r, MLY_E_FORMAT, "something follows the header's dictionary");
    if (status == MLY_OK && !(r->has_descr && r->has_order && r->has_shape))
        return fail(r, MLY_E_FORMAT, "the header has no '%s'",
                    !r->has_descr   ? "descr"
                    : !r->has_order ? "fortran_order"
                                    : "shape");
    r->position = r->header_end;
    return status;
}

/* Column-major to row-major: the destination is walked in its order, the source by its strides. */
static void transpose(const struct mly_shape *shape, const unsigned char *from, unsigned char *to,
                      size_t element_bytes, int64_t count)
{
    int64_t index[MLY_RANK_MAX] = {0};
    size_t stride[MLY_RANK_MAX], offset = 0, step = element_bytes;
    for (int32_t i = 0; i < shape->rank; i++) {
        stride[i] = step;
        step *= (size_t)shape->dims[i];
    }
    for (int64_t n = 0; n < count; n++) {
        memcpy(to, from + offset, element_bytes);
        to += element_bytes;
        for (int32_t i = shape->rank - 1; i >= 0; i--) {
            offset += stride[i];
            if (++index[i] < shape->dims[i])
                break;
            offset -= stride[i] * (size_t)shape->dims[i];
            index[i] = 0;
        }
    }
}

static void swap_bytes(unsigned char *data, size_t bytes, size_t unit)
{
    for (size_t at = 0; at < bytes; at += unit) {
        for (size_t i = 0; i < unit / 2; i++) {
            unsigned char kept = data[at + i];
            data[at + i] = data[at + unit - 1 - i];
            data[at + unit - 1 - i] = kept;
        }
    }
}

/* (3) */
static enum mly_status read_data(struct reader *r, size_t max_bytes, struct mly_tensor *out)
{
    size_t bytes = 0, there = r->length - r->position;
    enum mly_status status = mly_shape_bytes(r->dtype, &r->shape, &bytes, r->err);
    if (status != MLY_OK)
        return mly_error_prefix(r->err, status, "%s", r->name);
    if (bytes > max_bytes)
        return fail(r, MLY_E_LIMIT, "%zu bytes of data are over the limit of %zu", bytes,
                    max_bytes);
    if (bytes != there) {
        char text[MLY_SHAPE_TEXT_BYTES];
        if (there > bytes)
            r->position += bytes;
        return fail(r, MLY_E_FORMAT, "%s: %zu bytes of data where %s of %s needs %zu",
                    there < bytes ? "truncated" : "bytes follow the data", there,
                    mly_shape_format(&r->shape, text), mly_dtype_name(r->dtype), bytes);
    }
    struct mly_tensor tensor = {0};
    status = mly_tensor_init(r->dtype, &r->shape, &tensor, r->err);
    if (status != MLY_OK)
        return mly_error_prefix(r->err, status, "%s", r->name);
    const unsigned char *from = r->bytes + r->position;
    size_t element_bytes = mly_dtype_bits(r->dtype) / 8;
    if (r->fortran && r->shape.rank > 1)
        transpose(&r->shape, from, tensor.data, element_bytes, (int64_t)(bytes / element_bytes));
    else if (bytes)
        memcpy(tensor.data, from, bytes);
    bool is_complex = r->dtype == MLY_DTYPE_C64 || r->dtype == MLY_DTYPE_C128;
    if (r->swapped)
        swap_bytes(tensor.data, bytes, is_complex ? element_bytes / 2 : element_bytes);
    if (r->dtype == MLY_DTYPE_BOOL) {
        unsigned char *values = tensor.data;
        for (size_t i = 0; i < bytes; i++)
            values[i] = values[i] != 0; /* runtimes rely on 0 and 1 */
    }
    *out = tensor;
    return MLY_OK;
}

enum mly_status mly_npy_parse(const char *name, const void *bytes, size_t length, size_t max_bytes,
                              struct mly_tensor *out, struct mly_error *err)
{
    struct reader r = {.name = name, .bytes = bytes, .length = length, .err = err};
    enum mly_status status = read_prefix(&r);
    if (status == MLY_OK)
        status = read_header(&r);
    if (status == MLY_OK)
        status = read_data(&r, max_bytes ? max_bytes : MLY_NPY_DEFAULT_MAX_BYTES, out);
    return status;
}

enum mly_status mly_npy_load(const char *path, size_t max_bytes, struct mly_tensor *out,
                             struct mly_error *err)
{
    struct mly_file_map map = {0};
    enum mly_status status = mly_file_map_open(path, &map, err);
    if (status != MLY_OK)
        return status;
    status = mly_npy_parse(path, map.data, map.length, max_bytes, out, err);
    mly_file_map_close(&map);
    return status;
}

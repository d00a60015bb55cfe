/* Growable byte buffer with a maximum size. */
#include "base/buffer.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"

#define DEFAULT_MAX_BYTES ((size_t)256 << 20)

void mly_buffer_fini(struct mly_buffer *buffer)
{
    if (!buffer)
        return;
    mly_free(buffer->data);
    *buffer = (struct mly_buffer){.max_bytes = buffer->max_bytes};
}

/* Makes room for `more` bytes and a NUL. */
static enum mly_status reserve(struct mly_buffer *buffer, size_t more)
{
    size_t max = buffer->max_bytes ? buffer->max_bytes : DEFAULT_MAX_BYTES;
    if (buffer->length > max || more > max - buffer->length)
        return MLY_E_LIMIT;
    if (buffer->length + more >= SIZE_MAX)
        return MLY_E_LIMIT;
    if (mly_array_reserve(&buffer->data, &buffer->capacity, buffer->length + more + 1, 1) != 0)
        return MLY_E_NO_MEMORY;
    return MLY_OK;
}

enum mly_status mly_buffer_append(struct mly_buffer *buffer, const void *bytes, size_t length)
{
    enum mly_status status = reserve(buffer, length);
    if (status != MLY_OK)
        return status;
    if (length)
        memcpy(buffer->data + buffer->length, bytes, length);
    buffer->length += length;
    buffer->data[buffer->length] = '\0';
    return MLY_OK;
}

enum mly_status mly_buffer_printf(struct mly_buffer *buffer, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(NULL, 0, format, arguments);
    va_end(arguments);
    if (length < 0)
        return MLY_E_INVALID;
    enum mly_status status = reserve(buffer, (size_t)length);
    if (status != MLY_OK)
        return status;
    va_start(arguments, format);
    vsnprintf(buffer->data + buffer->length, (size_t)length + 1, format, arguments);
    va_end(arguments);
    buffer->length += (size_t)length;
    return MLY_OK;
}

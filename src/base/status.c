/* Names of statuses, and error messages. */
#include <motley/status.h>

#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

static const struct {
    const char *name, *meaning;
} table[] = {
#define MLY_STATUS(enumerator, name, meaning) [enumerator] = {name, meaning},
#include <motley/status_defs.inc>
#undef MLY_STATUS
};

const char *mly_status_name(enum mly_status status)
{
    return (unsigned)status < MLY_STATUS_COUNT ? table[status].name : "unknown";
}

const char *mly_status_meaning(enum mly_status status)
{
    return (unsigned)status < MLY_STATUS_COUNT ? table[status].meaning : "an unknown status";
}

/* Drops what a cut left of a UTF-8 sequence at the end of text. */
static void drop_partial_character(char *text)
{
    size_t length = strlen(text), tail = 0;
    while (tail < 3 && tail < length && ((unsigned char)text[length - 1 - tail] & 0xC0) == 0x80)
        tail++;
    if (tail == length)
        return;
    unsigned char lead = (unsigned char)text[length - 1 - tail];
    size_t needed = lead >= 0xF0 ? 3 : lead >= 0xE0 ? 2 : lead >= 0xC0 ? 1 : 0;
    if (needed > tail)
        text[length - 1 - tail] = '\0';
}

/* Arguments may point into the message itself, so it is composed beside it. */
static MLY_PRINTF(2, 0) void compose(char message[MLY_ERROR_MESSAGE_BYTES], const char *format,
                                     va_list arguments)
{
    int length = vsnprintf(message, MLY_ERROR_MESSAGE_BYTES, format, arguments);
    if (length < 0)
        message[0] = '\0';
    else if (length >= MLY_ERROR_MESSAGE_BYTES)
        drop_partial_character(message);
}

enum mly_status mly_error_set(struct mly_error *err, enum mly_status status, const char *format,
                              ...)
{
    if (!err)
        return status;
    char message[MLY_ERROR_MESSAGE_BYTES];
    va_list arguments;
    va_start(arguments, format);
    compose(message, format, arguments);
    va_end(arguments);
    memcpy(err->message, message, strlen(message) + 1);
    err->status = status;
    return status;
}

enum mly_status mly_error_prefix(struct mly_error *err, enum mly_status status, const char *format,
                                 ...)
{
    if (!err)
        return status;
    char prefix[MLY_ERROR_MESSAGE_BYTES], message[MLY_ERROR_MESSAGE_BYTES];
    va_list arguments;
    va_start(arguments, format);
    compose(prefix, format, arguments);
    va_end(arguments);
    memcpy(message, err->message, sizeof message);
    message[sizeof message - 1] = '\0';
    size_t prefix_length = strlen(prefix), length = strlen(message);
    if (prefix_length + 2 + length < sizeof message) {
        memcpy(err->message, prefix, prefix_length);
        memcpy(err->message + prefix_length, ": ", 2);
        memcpy(err->message + prefix_length + 2, message, length + 1);
        return err->status;
    }
    /* Too long together: the inner message, which says what was wrong, loses its end. */
    size_t room = sizeof message - 1;
    if (prefix_length > room - 2)
        prefix_length = room - 2;
    memcpy(err->message, prefix, prefix_length);
    memcpy(err->message + prefix_length, ": ", 2);
    memcpy(err->message + prefix_length + 2, message, room - prefix_length - 2);
    err->message[room] = '\0';
    drop_partial_character(err->message);
    return err->status;
}

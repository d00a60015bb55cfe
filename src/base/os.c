/* Errors of the operating system, converted in one place. */
#include "base/os.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum mly_status mly_status_from_errno(int error_number)
{
    switch (error_number) {
    case ENOENT:
    case ENOTDIR:
        return MLY_E_NOT_FOUND;
    case ENOMEM:
        return MLY_E_NO_MEMORY;
    case ENOSPC:
    case EDQUOT:
    case EFBIG: /* over the process's file size limit */
        return MLY_E_NO_SPACE;
    case ENAMETOOLONG:
    case EINVAL:
        return MLY_E_INVALID;
    case EMFILE:
    case ENFILE:
        return MLY_E_LIMIT;
    default:
        return MLY_E_IO;
    }
}

enum mly_status mly_error_os(struct mly_error *err, int error_number, const char *format, ...)
{
    enum mly_status status = mly_status_from_errno(error_number);
    if (!err)
        return status;
    char context[MLY_ERROR_MESSAGE_BYTES], buffer[128];
    va_list arguments;
    va_start(arguments, format);
    if (vsnprintf(context, sizeof context, format, arguments) < 0)
        context[0] = '\0';
    va_end(arguments);
    return mly_error_set(err, status, "%s: %s", context,
                         strerror_r(error_number, buffer, sizeof buffer));
}

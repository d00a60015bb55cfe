/* Errors of the operating system, converted in one place. */
#ifndef MLY_BASE_OS_H
#define MLY_BASE_OS_H

#include <motley/status.h>

/* The status that stands for an errno value: ENOENT is MLY_E_NOT_FOUND, ENOSPC MLY_E_NO_SPACE, …,
 * else MLY_E_IO. */
enum mly_status mly_status_from_errno(int error_number);

/*
 * Fills *err (may be NULL) with "CONTEXT: what the errno value means" and returns its status:
 * `return mly_error_os(err, errno, "cannot open '%s'", path);`. Thread-safe.
 */
enum mly_status mly_error_os(struct mly_error *err, int error_number, const char *format, ...)
    MLY_PRINTF(3, 4);

#endif

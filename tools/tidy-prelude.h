/*
 * Read by clang-tidy before every file (tools/check-tidy), never by a compiler: tells its analyzer,
 * which sees one file at a time, that a function that reports an error returns the status that it
 * was given.
 */
#include <motley/status.h>

#define mly_error_set(err, status, ...) ((void)(mly_error_set)(err, status, __VA_ARGS__), (status))
#define mly_error_prefix(err, status, ...)                                                         \
    ((void)(mly_error_prefix)(err, status, __VA_ARGS__), (status))
#if __has_include("base/os.h")
#include "base/os.h"
#define mly_error_os(...) ((void)(mly_error_os)(__VA_ARGS__), MLY_E_IO)
#endif

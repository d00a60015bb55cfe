/* Status codes and error messages returned by every fallible function of motley. */
#ifndef MOTLEY_STATUS_H
#define MOTLEY_STATUS_H

#include <motley/export.h>

MLY_BEGIN_DECLS

enum mly_status {
#define MLY_STATUS(enumerator, name, meaning) enumerator,
#include <motley/status_defs.inc>
#undef MLY_STATUS
    MLY_STATUS_COUNT
};

#define MLY_ERROR_MESSAGE_BYTES 1024

/*
 * What went wrong, for people: the offending value, the rule it broke, the position (file:line,
 * byte offset or node name) and, where there is one, what to do. The caller owns it; no function
 * keeps a pointer to it. Left untouched on success.
 */
struct mly_error {
    enum mly_status status;
    char message[MLY_ERROR_MESSAGE_BYTES];
};

/* Short name of a status ("no-space"); "unknown" for a value out of range. Thread-safe. */
MLY_API const char *mly_status_name(enum mly_status status);

/* One-sentence meaning of a status. Thread-safe. */
MLY_API const char *mly_status_meaning(enum mly_status status);

/*
 * Fills *err (may be NULL) with status and a formatted message, cut at its size, and returns
 * status, so that a failure is reported in one statement: `return mly_error_set(err, MLY_E_IO, "…",
 * …);`. Thread-safe.
 */
MLY_API enum mly_status mly_error_set(struct mly_error *err, enum mly_status status,
                                      const char *format, ...) MLY_PRINTF(3, 4);

/*
 * Puts a formatted context and ": " before the message that *err already holds ("m.onnx: node 'x':
 * …"); keeps its status and returns it. With err NULL returns status unchanged. Thread-safe.
 */
MLY_API enum mly_status mly_error_prefix(struct mly_error *err, enum mly_status status,
                                         const char *format, ...) MLY_PRINTF(3, 4);

MLY_END_DECLS

#endif

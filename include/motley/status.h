/*
 * Status codes and error messages returned by every fallible function of motley.
 *
 * A function that returns enum mly_status leaves its out-parameters untouched unless it returns
 * MLY_OK. Its last parameter, which may be NULL, gets the message.
 *
 * Threads: every function here may be called from any thread.
 */
#ifndef MOTLEY_STATUS_H
#define MOTLEY_STATUS_H

#include <motley/export.h>

MLY_BEGIN_DECLS

/* 0 is success. The numbers are part of the ABI: new ones are only added at the end. */
enum mly_status {
#define MLY_STATUS(enumerator, name, meaning) enumerator,
#include <motley/status_defs.inc>
#undef MLY_STATUS
    MLY_STATUS_COUNT
};

/* Room for a message, its terminating zero included; longer ones are cut at a whole character. */
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

/* Short name of a status ("no-space"); "unknown" for a value out of range. Static. */
MLY_API const char *mly_status_name(enum mly_status status);

/* Meaning of a status in a few words, of a value out of range too. Static. */
MLY_API const char *mly_status_meaning(enum mly_status status);

/*
 * Fills *err (may be NULL) with status and a formatted message (printf's format), cut at its size,
 * and returns status, so that a failure is reported in one statement: `return mly_error_set(err,
 * MLY_E_IO, "…", …);`. Arguments may point into *err.
 * Errors: none of its own.
 */
MLY_API enum mly_status mly_error_set(struct mly_error *err, enum mly_status status,
                                      const char *format, ...) MLY_PRINTF(3, 4);

/*
 * Puts a formatted context and ": " before the message that *err already holds ("m.onnx: node 'x':
 * …"); keeps its status and returns it. With err NULL returns status unchanged.
 * Errors: none of its own.
 */
MLY_API enum mly_status mly_error_prefix(struct mly_error *err, enum mly_status status,
                                         const char *format, ...) MLY_PRINTF(3, 4);

MLY_END_DECLS

#endif

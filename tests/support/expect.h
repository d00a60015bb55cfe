/* Expectations that many tests share: statuses with their messages, and a scratch directory. */
#ifndef TESTS_SUPPORT_EXPECT_H
#define TESTS_SUPPORT_EXPECT_H

#include <string.h>
#include <unistd.h>

#include <motley/status.h>

#include "base/file.h"
#include "support/test.h"

/* The call succeeded; else its message is shown. */
#define expect_ok(call, err)                                                                       \
    do {                                                                                           \
        enum mly_status expected_ok = (call);                                                      \
        if (expected_ok != MLY_OK)                                                                 \
            fail_msg("%s: %s (%s)", #call, (err).message, mly_status_name(expected_ok));           \
    } while (0)

/* The call failed with that status, *err has it too, and the message has `fragment` in it. */
#define expect_error(call, wanted, err, fragment)                                                  \
    do {                                                                                           \
        (err).status = MLY_OK;                                                                     \
        (err).message[0] = '\0';                                                                   \
        enum mly_status expected_error = (call);                                                   \
        if (expected_error != (wanted))                                                            \
            fail_msg("%s: %s, wanted %s (%s)", #call, mly_status_name(expected_error),             \
                     mly_status_name(wanted), (err).message);                                      \
        if ((err).status != (wanted))                                                              \
            fail_msg("%s: err has status %s", #call, mly_status_name((err).status));               \
        if (!strstr((err).message, (fragment)))                                                    \
            fail_msg("%s: '%s' does not say '%s'", #call, (err).message, (fragment));              \
    } while (0)

/* A new empty directory; removed and freed by scratch_remove. */
static inline char *scratch_create(void)
{
    const char *base = getenv("TMPDIR");
    char path[4096];
    snprintf(path, sizeof path, "%s/motley-test-XXXXXX", base && *base ? base : "/tmp");
    assert_non_null(mkdtemp(path));
    return strdup(path);
}

static inline void scratch_remove(char *path)
{
    struct mly_error err = {0};
    expect_ok(mly_dir_remove(path, &err), err);
    free(path);
}

/* DIRECTORY/NAME in one of a few static buffers. */
static inline const char *scratch_path(const char *directory, const char *name)
{
    static char buffers[8][4096];
    static unsigned next;
    char *buffer = buffers[next++ % 8];
    snprintf(buffer, sizeof buffers[0], "%s/%s", directory, name);
    return buffer;
}

#endif

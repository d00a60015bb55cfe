/* Diagnostics: one line each, by level, to standard error or a sink. */
#include "base/log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#define LINE_BYTES 2048
#define LEVEL_UNSET (-1)

static const char *const level_names[] = {
    [MLY_LOG_ERROR] = "error",
    [MLY_LOG_WARNING] = "warning",
    [MLY_LOG_INFO] = "info",
    [MLY_LOG_DEBUG] = "debug",
};

static _Atomic int threshold = LEVEL_UNSET;
/* Set before threads start, as the header demands; not locked. */
static void (*sink_function)(enum mly_log_level level, const char *text, void *user);
static void *sink_user;

static int level_from_environment(void)
{
    const char *text = getenv("MOTLEY_LOG");
    if (text) {
        for (int i = MLY_LOG_ERROR; i <= MLY_LOG_DEBUG; i++) {
            if (strcasecmp(text, level_names[i]) == 0)
                return i;
        }
    }
    return MLY_LOG_WARNING;
}

static int current_threshold(void)
{
    int level = atomic_load_explicit(&threshold, memory_order_relaxed);
    if (level != LEVEL_UNSET)
        return level;
    int unset = LEVEL_UNSET;
    level = level_from_environment();
    /* Another thread may have set a level meanwhile: that one stays. */
    return atomic_compare_exchange_strong(&threshold, &unset, level) ? level : unset;
}

/* One write per line, so that lines of several threads do not mix. */
static void write_line(const char *line, size_t length)
{
    while (length) {
        ssize_t written = write(STDERR_FILENO, line, length);
        if (written < 0 && errno == EINTR)
            continue;
        if (written <= 0)
            return;
        line += written;
        length -= (size_t)written;
    }
}

void mly_log(enum mly_log_level level, const char *format, ...)
{
    if ((unsigned)level > MLY_LOG_DEBUG || (int)level > current_threshold())
        return;
    int saved = errno;
    char line[LINE_BYTES];
    int start = snprintf(line, sizeof line, "motley: %s: ", level_names[level]);
    size_t room = sizeof line - (size_t)start - 1;
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(line + start, room, format, arguments);
    va_end(arguments);
    if (length < 0)
        length = 0;
    size_t end = (size_t)start + ((size_t)length < room ? (size_t)length : room - 1);
    for (size_t i = (size_t)start; i < end; i++) {
        unsigned char c = (unsigned char)line[i];
        if (c < 0x20 || c == 0x7F)
            line[i] = ' '; /* one line, and no terminal escapes from a file's contents */
    }
    if (sink_function) {
        sink_function(level, line + start, sink_user);
    } else {
        line[end] = '\n';
        write_line(line, end + 1);
    }
    errno = saved;
}

void mly_log_set_level(enum mly_log_level level)
{
    atomic_store(&threshold, (int)level);
}

void mly_log_set_sink(void (*sink)(enum mly_log_level level, const char *text, void *user),
                      void *user)
{
    sink_function = sink;
    sink_user = user;
}

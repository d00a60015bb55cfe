/* Diagnostics: one line each to a sink (standard error by default), by level. */
#ifndef MLY_BASE_LOG_H
#define MLY_BASE_LOG_H

#include <motley/export.h>

enum mly_log_level { MLY_LOG_ERROR, MLY_LOG_WARNING, MLY_LOG_INFO, MLY_LOG_DEBUG };

/* Thread-safe. Dropped when level is above the threshold (default MLY_LOG_WARNING, or $MOTLEY_LOG).
 */
void mly_log(enum mly_log_level level, const char *format, ...) MLY_PRINTF(2, 3);
void mly_log_set_level(enum mly_log_level level);
/* sink NULL restores standard error; text carries no newline. Set it before threads start. */
void mly_log_set_sink(void (*sink)(enum mly_log_level level, const char *text, void *user),
                      void *user);

#endif

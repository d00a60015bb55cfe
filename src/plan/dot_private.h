/* What the files that draw share. */
#ifndef MLY_PLAN_DOT_PRIVATE_H
#define MLY_PLAN_DOT_PRIVATE_H

#include "base/buffer.h"

/* Beyond this boxes around groups, or all nodes of a plan, make pictures unreadable and dot slow. */
#define MLY__DOT_NODES_MAX 300

/* Text within quotes. */
enum mly_status mly__dot_text(struct mly_buffer *out, const char *text) MLY_MUST_CHECK;

#endif

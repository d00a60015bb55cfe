/*
 * A back end for measuring engines: its tasks compute nothing (results are the first input), allocate
 * nothing, but keep their processor busy for a set time, none at first, and note when they began.
 */
#ifndef MOTLEY_TEST_WORK_BACKEND_H
#define MOTLEY_TEST_WORK_BACKEND_H

#include "runtime/flow.h"

extern const struct mly_backend_ops work_ops;

/* How long each run takes, also those that have begun; 0: no longer than it must. */
void work_set_ns(int64_t ns);
/* When the last run began. */
int64_t work_began_ns(void);

#endif

/*
 * A back end for benchmarks of engines: its tasks compute nothing, but keep their processor busy for
 * a set time, and note when they began.
 */
#ifndef MOTLEY_BENCH_WORK_BACKEND_H
#define MOTLEY_BENCH_WORK_BACKEND_H

#include "runtime/flow.h"

extern const struct mly_backend_ops work_ops;

/* How long each run takes, also those that have begun; 0: no longer than it must. */
void work_set_ns(int64_t ns);
/* When the last run began. */
int64_t work_began_ns(void);

#endif

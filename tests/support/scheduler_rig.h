/* What tests of the scheduler share: schedulers, tasks, and what is decided next. */
#ifndef MOTLEY_TEST_SCHEDULER_RIG_H
#define MOTLEY_TEST_SCHEDULER_RIG_H

#include "support/test.h"

#include <stdbool.h>

#include "runtime/scheduler.h"

/* Processors that a segment may run on. */
extern const uint32_t schedule_p0[1], schedule_p1[1], schedule_p01[2], schedule_p12[2],
    schedule_p012[3];

mly_scheduler *schedule_make(enum mly_schedule_policy policy, uint32_t processors,
                             const struct mly_schedule_eligible *eligible, uint32_t segments);
/* Earliest finish; 0 takes 100, 1 takes 350; both may run everything. */
mly_scheduler *schedule_make_unlike(void);
struct mly_schedule_task schedule_task(uint64_t order, uint32_t segment);
/* The next decision, at the latest time that the scheduler was told, or then; NULL: none. */
void schedule_expect(mly_scheduler *scheduler, const struct mly_schedule_task *expected,
                     uint32_t on_processor);
void schedule_expect_at(mly_scheduler *scheduler, int64_t now_ns,
                        const struct mly_schedule_task *expected, uint32_t on_processor);
/* One run of segment 0 on that processor. */
void schedule_run(mly_scheduler *scheduler, uint32_t processor, uint32_t batch, int64_t took_ns);

#endif

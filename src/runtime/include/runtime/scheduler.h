/*
 * The scheduler: which processor runs which ready task next. Decisions only: it has no threads,
 * no locks and no clock (the caller serialises calls and says what time it is), so that every
 * executor, on real or on virtual time, runs the same code.
 *
 *   push a task when its inputs exist → decide, until it has nothing more to give → (the executor
 *   runs it) → release the processor → decide …
 */
#ifndef MLY_RUNTIME_SCHEDULER_H
#define MLY_RUNTIME_SCHEDULER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <motley/status.h>

enum mly_schedule_policy {
    /* The processor expected to finish first; no eligible processor idles while a task waits. */
    MLY_SCHEDULE_EARLIEST,
    /*
     * Request n of a segment with r processors always goes to processor n mod r: a static
     * pipeline.
     */
    MLY_SCHEDULE_PINNED
};

/*
 * A task as the scheduler sees it; lives in the executor's own struct, which outlives its waiting
 * here.
 */
struct mly_schedule_task {
    uint64_t order; /* oldest first: the request's number */
    uint32_t segment;
    uint32_t home; /* processor that made its inputs, MLY_NO_INDEX when there is none */
    /* The scheduler's own. */
    uint32_t lane;
    bool waiting;
    struct mly_schedule_task *previous, *next;
};

/* The processors that hold a session of one segment. */
struct mly_schedule_eligible {
    const uint32_t *processors;
    uint32_t count;
};

typedef struct mly_scheduler mly_scheduler;

/*
 * eligible[segment_count] is copied. MLY_E_INVALID for a segment without processor or one out of
 * range.
 */
enum mly_status mly_scheduler_create(enum mly_schedule_policy policy, uint32_t processor_count,
                                     const struct mly_schedule_eligible *eligible,
                                     uint32_t segment_count, mly_scheduler **out,
                                     struct mly_error *err) MLY_MUST_CHECK;
void mly_scheduler_destroy(mly_scheduler *scheduler);

/*
 * Expected time of a segment on a processor; 0, as at the start, means unknown: nothing speaks
 * against it.
 */
void mly_scheduler_set_cost(mly_scheduler *scheduler, uint32_t segment, uint32_t processor,
                            int64_t cost_ns);
/*
 * The task (order, segment, home set) is ready; it stays linked here until decided on or removed.
 * O(1) when in order.
 */
void mly_scheduler_push(mly_scheduler *scheduler, struct mly_schedule_task *task);
/* Takes a waiting task back; nothing happens if it is not waiting. O(1). */
void mly_scheduler_remove(mly_scheduler *scheduler, struct mly_schedule_task *task);
/*
 * One decision: the oldest task that an idle processor may run, and that processor, which is busy
 * from now on. False when there is none; then nothing changes until the next push or release.
 * O(lanes).
 */
bool mly_scheduler_decide(mly_scheduler *scheduler, struct mly_schedule_task **task,
                          uint32_t *processor);
/* The processor is idle again. */
void mly_scheduler_release(mly_scheduler *scheduler, uint32_t processor, int64_t now_ns);
/* Tasks that wait. */
size_t mly_scheduler_length(const mly_scheduler *scheduler);

#endif

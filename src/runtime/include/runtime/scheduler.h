/*
 * The scheduler: which processor runs which ready task next. Decisions only: it has no threads,
 * no locks and no clock (the caller serialises calls and says what time it is), so that every
 * executor, on real or on virtual time, runs the same code.
 *
 *   push a task when its inputs exist → decide, until it has nothing more to give → (the executor
 *   runs it) → tell how it went (ran, failed) → release the processor → decide …
 *
 * Tasks belong to groups, one per model (or per plan of a model); weights say how groups share the
 * processors.
 */
#ifndef MLY_RUNTIME_SCHEDULER_H
#define MLY_RUNTIME_SCHEDULER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <motley/status.h>

enum mly_schedule_policy {
    /*
     * "earliest-finish": the processor expected to finish first, counting what runs and waits
     * there, moving of inputs, and the cost for the batch. No processor idles while a task waits
     * that it is expected to finish sooner than the others would.
     */
    MLY_SCHEDULE_EARLIEST,
    /*
     * "pinned": request n of a segment with r processors always goes to processor n mod r: a
     * static pipeline.
     */
    MLY_SCHEDULE_PINNED,
    /* "eager": the oldest task to any idle processor, whatever it costs there. */
    MLY_SCHEDULE_EAGER,
    /* "random": a processor drawn when the task becomes ready. For comparison. */
    MLY_SCHEDULE_RANDOM,
    MLY_SCHEDULE_POLICY_COUNT
};

const char *mly_schedule_policy_name(enum mly_schedule_policy policy);
/* MLY_E_INVALID names the word and the choices. */
enum mly_status mly_schedule_policy_parse(const char *word, enum mly_schedule_policy *out,
                                          struct mly_error *err) MLY_MUST_CHECK;

/*
 * A task as the scheduler sees it; lives in the executor's own struct, which outlives its waiting
 * here. Zero is the usual value of what follows `home`.
 */
struct mly_schedule_task {
    uint64_t order; /* oldest first: the request's number */
    uint32_t segment;
    uint32_t home;          /* processor that made its inputs, MLY_NO_INDEX when there is none */
    uint32_t group;         /* whose segments these are */
    uint32_t batch;         /* samples; costs are kept per batch size. 0: one cost for all */
    int32_t priority;       /* higher ones go first, within the group */
    bool late;              /* behind all that are not, within the group */
    uint32_t avoid;         /* 1 + processor that failed it; 0: none */
    uint32_t only;          /* 1 + the processor to run it while that one can; 0: any */
    const int64_t *move_ns; /* [processors of the group]: moving its inputs there; NULL: free */
    /* The scheduler's own. */
    uint32_t lane, row;
    int64_t cost_ns; /* what was expected when it was decided on */
    bool waiting, choosy;
    struct mly_schedule_task *previous, *next;
};

/* The processors that hold a session of one segment. */
struct mly_schedule_eligible {
    const uint32_t *processors;
    uint32_t count;
};

typedef struct mly_scheduler mly_scheduler;

/*
 * A scheduler with group 0, of weight 1. eligible[segment_count] is copied. MLY_E_INVALID for a
 * segment without processor or one out of range.
 */
enum mly_status mly_scheduler_create(enum mly_schedule_policy policy, uint32_t processor_count,
                                     const struct mly_schedule_eligible *eligible,
                                     uint32_t segment_count, mly_scheduler **out,
                                     struct mly_error *err) MLY_MUST_CHECK;
/* A scheduler without processors and groups, which are added as they come. */
enum mly_status mly_scheduler_create_empty(enum mly_schedule_policy policy, mly_scheduler **out,
                                           struct mly_error *err) MLY_MUST_CHECK;
void mly_scheduler_destroy(mly_scheduler *scheduler);

/*
 * Another group, which may use all processors up to processor_count; those that are new are idle.
 * Groups that always have work share the time of a processor in proportion to their weights
 * (1…10000). *group numbers it; numbers are used again. Errors as in create; nothing changes then.
 */
enum mly_status mly_scheduler_add_group(mly_scheduler *scheduler, uint32_t processor_count,
                                        const struct mly_schedule_eligible *eligible,
                                        uint32_t segment_count, uint32_t weight, uint32_t *group,
                                        struct mly_error *err) MLY_MUST_CHECK;
/* No task of it may wait or run. */
void mly_scheduler_remove_group(mly_scheduler *scheduler, uint32_t group);

/* --- costs --- */

/*
 * Expected time of a segment of group 0 on a processor, for all batch sizes without a cost of their
 * own; 0, as at the start, means unknown: nothing speaks against it. What runs corrects it.
 */
void mly_scheduler_set_cost(mly_scheduler *scheduler, uint32_t segment, uint32_t processor,
                            int64_t cost_ns);
/* The same for any group and one batch size. */
void mly_scheduler_set_batch_cost(mly_scheduler *scheduler, uint32_t group, uint32_t segment,
                                  uint32_t processor, uint32_t batch, int64_t cost_ns);
/* What a run of this would be taken to cost, in ns; 0: unknown. */
int64_t mly_scheduler_cost(const mly_scheduler *scheduler, uint32_t group, uint32_t segment,
                           uint32_t processor, uint32_t batch);

/* --- tasks --- */

/*
 * The task (order, segment, home and what follows set) is ready; it stays linked here until decided
 * on or removed. O(1) when in order.
 */
void mly_scheduler_push(mly_scheduler *scheduler, struct mly_schedule_task *task);
/* Takes a waiting task back; nothing happens if it is not waiting. O(1). */
void mly_scheduler_remove(mly_scheduler *scheduler, struct mly_schedule_task *task);
/*
 * One decision: a task for an idle processor, which is busy from now on. False when there is none;
 * then nothing changes until the next push or release, or the time that mly_scheduler_review_ns
 * says. Under MLY_SCHEDULE_EARLIEST O(waiting tasks * processors) at worst, O(kinds of waiting tasks *
 * processors) where no processor that could take one is idle, or the busy ones are clearly sooner; under the
 * others O(lanes * processors).
 */
bool mly_scheduler_decide_at(mly_scheduler *scheduler, int64_t now_ns,
                             struct mly_schedule_task **task, uint32_t *processor);
/* The same at the latest time that the scheduler was told. */
bool mly_scheduler_decide(mly_scheduler *scheduler, struct mly_schedule_task **task,
                          uint32_t *processor);
/*
 * When to decide again although nothing was pushed or released: a task waits for a busy processor
 * that should be free by then, or one that was set aside may be tried again. INT64_MAX: never.
 * Only an executor that wants to be quick about stalls needs to look at it.
 */
int64_t mly_scheduler_review_ns(const mly_scheduler *scheduler);
/* The task was decided on for this processor and ran for so long, with success. */
void mly_scheduler_ran(mly_scheduler *scheduler, const struct mly_schedule_task *task,
                       uint32_t processor, int64_t elapsed_ns);
/* The processor is idle again. */
void mly_scheduler_release(mly_scheduler *scheduler, uint32_t processor, int64_t now_ns);
/* Tasks that wait. */
size_t mly_scheduler_length(const mly_scheduler *scheduler);

/* --- for executors that choose the next task themselves --- */

/*
 * Tasks of a group that wait outside of the scheduler: one more, one less. A group without any does not
 * save up what it does not use.
 */
void mly_scheduler_enter(mly_scheduler *scheduler, uint32_t group);
void mly_scheduler_leave(mly_scheduler *scheduler, uint32_t group);
/* Time that the group is promised; taken back (negative) when its task is pushed, which counts by itself. */
void mly_scheduler_charge(mly_scheduler *scheduler, uint32_t group, int64_t ns);
/* What the group has had for its weight; who has least is next. */
double mly_scheduler_served(const mly_scheduler *scheduler, uint32_t group);

/* --- failing processors --- */

/*
 * The processor failed a task. After the third time without a success in between it is set aside:
 * it gets no task for a while (twice as long each time), then it is tried. Where no other processor
 * may run a segment it is tried at once. Not certain: it may have been the task's own fault (others
 * failed it too); that makes it suspect only. True if it is set aside now.
 */
bool mly_scheduler_failed(mly_scheduler *scheduler, uint32_t processor, bool certain,
                          int64_t now_ns);
/* Is there another processor, not set aside, that may run the task? */
bool mly_scheduler_has_other(const mly_scheduler *scheduler, const struct mly_schedule_task *task,
                             uint32_t processor);
/* Set aside; *until_ns (may be NULL) is when it will be tried again. */
bool mly_scheduler_is_aside(const mly_scheduler *scheduler, uint32_t processor, int64_t *until_ns);

#endif

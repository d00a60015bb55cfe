/*
 * The executor's core: requests flow through segments, the scheduler decides, finished ones come
 * out in the right order. It has no threads, locks or clock: an executor serialises the calls and
 * passes the time, real or virtual.
 *
 *   submit → next (task for a processor), until none → begin → [the executor runs it] → complete
 *   → release → next … take_finished → [the executor tells the client] → delivered
 */
#ifndef MLY_RUNTIME_CORE_H
#define MLY_RUNTIME_CORE_H

#include "runtime/request.h"

/*
 * Who chooses processors instead of the scheduler. It is given each task that is ready (state
 * MLY__TASK_WAITING, schedule set, task->placement its own to use), and pushes it to the scheduler
 * for the processor that it chose, unless the task was stopped meanwhile.
 */
struct mly__placer {
    void (*place)(struct mly__placer *placer, struct mly__task *task);
};

struct mly__core {
    const struct mly_flow *flow; /* borrowed */
    mly_scheduler *scheduler;
    struct mly__placer *placer;    /* NULL: ready tasks go to the scheduler */
    bool shares_scheduler;         /* with other cores: it is theirs to destroy */
    struct mly__request_pool pool; /* of `flow`; other flows of one model have pools of their own */
    bool ordered;
    bool closing;
    bool delivering;        /* ordered only: somebody has the head of the line */
    uint32_t capacity;      /* batches that may wait */
    uint32_t occupied;      /* submitted, not yet taken for delivery */
    uint32_t on_processors; /* of these: with at least one task on a processor */
    uint64_t next_sequence;
    int64_t now_ns;            /* the latest time it was told */
    int64_t next_deadline_ns;  /* no request is late before that; INT64_MAX: none has a deadline */
    mly_request *first, *last; /* submitted and not yet delivered, by sequence */
    mly_request *finished, **finished_tail; /* unordered only: in order of completion */
    uint64_t submitted, completed, failed, cancelled;
    uint64_t late;    /* of the failed ones: dropped at their deadlines */
    uint64_t retried; /* tasks that a processor failed and another one was given */
};

enum mly_status mly__core_init(struct mly__core *core, const struct mly_flow *flow,
                               mly_engine *engine, enum mly_schedule_policy policy, bool ordered,
                               uint32_t capacity, struct mly_error *err) MLY_MUST_CHECK;
/*
 * The same with a scheduler that other cores use too (borrowed until fini); its group for this
 * core's flow is added and removed by the caller.
 */
enum mly_status mly__core_init_shared(struct mly__core *core, const struct mly_flow *flow,
                                      mly_engine *engine, mly_scheduler *scheduler, uint32_t group,
                                      bool ordered, uint32_t capacity,
                                      struct mly_error *err) MLY_MUST_CHECK;
void mly__core_fini(struct mly__core *core);
/*
 * Adds a flow's segments to a scheduler as a group, with the costs that the flow knows. Its
 * processors are the scheduler's first ones.
 */
enum mly_status mly__core_add_group(mly_scheduler *scheduler, const struct mly_flow *flow,
                                    uint32_t weight, uint32_t *group,
                                    struct mly_error *err) MLY_MUST_CHECK;
/* A pool of requests for another flow of the same model: submitted to this core, as its own are. */
void mly__core_adopt_pool(struct mly__core *core, struct mly__request_pool *pool, uint32_t group);

/* Batches that wait: for a processor, for their next segment, or for their turn to be delivered. */
static inline uint32_t mly__core_waiting(const struct mly__core *core)
{
    return core->occupied - core->on_processors;
}
static inline bool mly__core_has_room(const struct mly__core *core)
{
    return mly__core_waiting(core) < core->capacity;
}

/*
 * Admits a request from a pool whose done, user, references and, if wanted, priority, deadline_ns,
 * late_last and only are set; inputs and outputs
 * (NULL, or with data set where memory is provided) as in mly_engine_submit, checked by the
 * caller. Its first tasks wait in the scheduler afterwards.
 */
void mly__core_submit(struct mly__core *core, mly_request *request, const struct mly_tensor *inputs,
                      const struct mly_tensor *outputs, int64_t now_ns);
/*
 * The next task to put on a processor (task->processor), or NULL. With a shared scheduler it may
 * belong to any of the cores.
 */
struct mly__task *mly__core_next(struct mly__core *core);
/* The same at a time; from a scheduler. */
struct mly__task *mly__scheduler_next(mly_scheduler *scheduler, int64_t now_ns);
/*
 * Requests whose deadlines have passed: those to be dropped end with MLY_E_DEADLINE, at once if none
 * of their tasks is on a processor (look for finished ones then); the others go behind all that are
 * not late. To be called when core->next_deadline_ns has come; O(requests).
 */
void mly__core_expire(struct mly__core *core, int64_t now_ns);
/* Is there a request to be delivered? */
bool mly__core_has_finished(const struct mly__core *core);
/*
 * The processor is about to run the task. False if it must not (stopped meanwhile): complete it
 * with MLY_E_CANCELLED.
 */
bool mly__core_begin(struct mly__task *task, int64_t now_ns) MLY_MUST_CHECK;
/*
 * The task is over, for now: if its processor failed it, and another one may run it, it waits there
 * again, once; its inputs stay. Failures for which a request is to blame (MLY_E_INVALID,
 * MLY_E_MISMATCH and the like) are final, as is a lack of memory. On success its outputs must lie in the request's tensors. Tensors that nobody
 * needs any more are moved to garbage[max_inputs + max_outputs] (*garbage_count of them), to be
 * finished without a lock. err may be NULL on success. True if the request failed by this, with
 * other tasks still running (which the executor may stop).
 */
bool mly__core_complete(struct mly__core *core, struct mly__task *task, enum mly_status status,
                        const struct mly_error *err, int64_t now_ns, struct mly_tensor *garbage,
                        uint32_t *garbage_count);
/* The processor of a completed task may be given the next one. */
void mly__core_release(struct mly__core *core, uint32_t processor, int64_t now_ns);
/*
 * Stops a request; tasks that run go on until the executor stops them. Nothing happens to
 * finished ones.
 */
void mly__core_cancel(struct mly__core *core, mly_request *request);
/* Stops all requests, and starts no task any more; what runs may finish. */
void mly__core_close(struct mly__core *core);
/*
 * A finished request whose turn has come, or NULL. The executor calls its `done`, then
 * mly__core_delivered.
 */
mly_request *mly__core_take_finished(struct mly__core *core, int64_t now_ns);
void mly__core_delivered(struct mly__core *core, mly_request *request);

#endif

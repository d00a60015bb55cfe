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

struct mly__core {
    const struct mly_flow *flow; /* borrowed */
    mly_scheduler *scheduler;
    struct mly__request_pool pool;
    bool ordered;
    bool closing;
    bool delivering;        /* ordered only: somebody has the head of the line */
    uint32_t capacity;      /* batches that may wait */
    uint32_t occupied;      /* submitted, not yet taken for delivery */
    uint32_t on_processors; /* of these: with at least one task on a processor */
    uint64_t next_sequence;
    mly_request *first, *last;              /* submitted and not yet delivered, by sequence */
    mly_request *finished, **finished_tail; /* unordered only: in order of completion */
    uint64_t submitted, completed, failed, cancelled;
};

enum mly_status mly__core_init(struct mly__core *core, const struct mly_flow *flow,
                               mly_engine *engine, enum mly_schedule_policy policy, bool ordered,
                               uint32_t capacity, struct mly_error *err) MLY_MUST_CHECK;
void mly__core_fini(struct mly__core *core);

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
 * Admits a request from the pool whose done, user and references are set; inputs and outputs
 * (NULL, or with data set where memory is provided) as in mly_engine_submit, checked by the
 * caller. Its first tasks wait in the scheduler afterwards.
 */
void mly__core_submit(struct mly__core *core, mly_request *request, const struct mly_tensor *inputs,
                      const struct mly_tensor *outputs, int64_t now_ns);
/* The next task to put on a processor (task->processor), or NULL. */
struct mly__task *mly__core_next(struct mly__core *core);
/*
 * The processor is about to run the task. False if it must not (stopped meanwhile): complete it
 * with MLY_E_CANCELLED.
 */
bool mly__core_begin(struct mly__task *task, int64_t now_ns) MLY_MUST_CHECK;
/*
 * The task is over. On success its outputs must lie in the request's tensors. Tensors that nobody
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

/*
 * The native executor: a blocking worker thread per processor around the core, all under one
 * lock.
 *
 * Who runs what: workers run tasks and deliver the requests they finish. Requests that end
 * without a worker (cancelled or stopped while they waited) are delivered by the janitor, a
 * thread that sleeps otherwise: so `done` never runs inside a client's call. The engine's memory
 * lives until the last request is released (references); everything that needs model or back end
 * ends in mly_engine_destroy.
 */
#ifndef MLY_RUNTIME_NATIVE_H
#define MLY_RUNTIME_NATIVE_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

#include <motley/engine.h>

#include "runtime/core.h"

struct mly__worker {
    mly_engine *engine;
    uint32_t index; /* of the processor */
    pthread_t thread;
    bool has_thread;
    mly_session **sessions; /* [segments]; NULL where this processor has none */
    struct mly_tensor *inputs, *outputs, *garbage; /* scratch for one task */
    struct mly_error error;                        /* scratch for one task */
    /* Protected by the engine's lock: */
    pthread_cond_t wake; /* it has a task, or the engine closes */
    struct mly__task *task;
    uint64_t tasks, failures;
    int64_t busy_ns;
};

struct mly_engine {
    _Atomic uint32_t
        references;       /* the owner, requests held by clients, callers inside a blocking call */
    struct mly_flow flow; /* immutable until destroy */
    bool no_warm_up;      /* immutable, as all up to the lock */
    int64_t open_ns;      /* set before create returns */
    bool prepared_copy;   /* set before create returns */
    uint32_t worker_count;
    struct mly__worker *workers;
    pthread_t janitor;
    bool has_janitor;

    pthread_mutex_t
        lock; /* protects the core, all requests, the marked fields of workers, and all below */
    struct mly__core core;
    pthread_cond_t
        room; /* a place in the queue came free, or closing; one submitter is woken at a time */
    uint32_t submitters;    /* blocked on it */
    pthread_cond_t drained; /* the oldest request was delivered */
    uint32_t drainers;
    pthread_cond_t janitor_wake; /* janitor_wanted or janitor_stop */
    bool janitor_wanted, janitor_stop;
    uint32_t recycling;   /* threads that free a request's tensors outside the lock */
    pthread_cond_t quiet; /* recycling became 0 while closing */
    /* Opening: */
    pthread_cond_t opened; /* a session was opened, a worker became ready, or opening failed */
    bool
        *segment_opened; /* [segments]: the first session is there, and with it the prepared copy */
    uint32_t opening;    /* workers that still open and warm */
    bool open_failed;
    struct mly_error open_error;
};

/* Workers to signal once the lock is released. */
struct mly__wakes {
    pthread_cond_t *conditions[16];
    uint32_t count;
};

/*
 * As mly_engine_create, from a flow: its contents move into the engine and *flow is zeroed, also
 * on failure.
 */
enum mly_status mly__engine_create_flow(struct mly_flow *flow,
                                        const struct mly_engine_options *options,
                                        enum mly_schedule_policy policy, mly_engine **out,
                                        struct mly_error *err) MLY_MUST_CHECK;
/* What queue_capacity 0 means for a plan that wants so many batches in flight. */
uint32_t mly__engine_queue_capacity(uint32_t processor_count, uint32_t in_flight);
const struct mly_flow *mly__engine_flow(const mly_engine *engine);

/* The last one frees what mly_engine_destroy left for requests and late callers. Thread-safe. */
void mly__engine_reference(mly_engine *engine);
void mly__engine_unreference(mly_engine *engine);
/*
 * With the lock held, which it releases for a while: frees the tensors of a request that nobody
 * refers to, back to the pool.
 */
void mly__engine_recycle(mly_engine *engine, mly_request *request);
/* With the lock held: has the janitor deliver what a client's call has finished. */
void mly__engine_call_janitor(mly_engine *engine);
/* With the lock held: wakes a blocked submitter if there is room. */
void mly__engine_offer_room(mly_engine *engine);

/* With the lock held: gives tasks to idle processors; `self` (may be NULL) needs no waking. */
void mly__engine_dispatch(mly_engine *engine, const struct mly__worker *self,
                          struct mly__wakes *wakes);
void mly__wakes_send(struct mly__wakes *wakes);
/*
 * With the lock held, which it releases around each `done`: delivers what is finished and whose
 * turn has come.
 */
void mly__engine_deliver(mly_engine *engine);
/* With the lock held: asks the back ends to stop the request's running tasks, where they can. */
void mly__engine_interrupt(mly_engine *engine, mly_request *request);

/*
 * A worker's thread (its argument): opens and warms its sessions, then runs tasks until the
 * engine closes.
 */
void *mly__worker_main(void *argument);
/* Opens all sessions of this worker's processor on the calling thread and warms them. */
enum mly_status mly__worker_open(struct mly__worker *worker, struct mly_error *err) MLY_MUST_CHECK;
void mly__worker_close_sessions(struct mly__worker *worker);

#endif

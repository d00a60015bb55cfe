/*
 * The native executor: a blocking worker thread per processor around the core, all under one
 * lock.
 *
 * Who runs what: workers run tasks and deliver the requests they finish. Requests that end
 * without a worker (cancelled, late or stopped while they waited) are delivered by the janitor, a
 * thread that sleeps otherwise: so `done` never runs inside a client's call. It also keeps the
 * alarm: deadlines, and decisions to think over.
 *
 * Workers, janitor, lock and scheduler are a crew. Engines that share processors share a crew; each
 * engine has its own requests, sessions and queue. An engine has one flow, or several to change
 * between (variants). Processors have the same numbers in all flows of a crew.
 *
 * The engine's memory lives until the last request is released (references), the crew's until the
 * last engine's; everything that needs model or back end ends in mly_engine_destroy.
 */
#ifndef MLY_RUNTIME_NATIVE_H
#define MLY_RUNTIME_NATIVE_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

#include <motley/engine.h>

#include "runtime/core.h"
#include "runtime/lane.h"
#include "runtime/ways.h"

struct mly__crew;
struct mly__starpu;

struct mly__worker {
    struct mly__crew *crew;
    uint32_t index; /* of the processor */
    char id[64];    /* its name */
    uint32_t *cpus; /* [cpu_count] where it stays; owned; 0: anywhere */
    uint32_t cpu_count;
    pthread_t thread;
    bool has_thread;
    struct mly_error error; /* scratch for one task */
    struct mly__lane lane;  /* in the crew's timeline */
    /* Protected by the crew's lock: */
    pthread_cond_t wake; /* it has a task, or the crew stops */
    struct mly__task *task;
    bool marked_aside; /* the timeline says that the processor was set aside */
};

struct mly__crew {
    _Atomic uint32_t references; /* engines whose memory lives */
    pthread_mutex_t joining;     /* held while an engine joins; before `lock` */
    pthread_t janitor;           /* it and the next two: set once, by the first engine */
    bool has_janitor;
    mly_scheduler *scheduler;
    struct mly__starpu *starpu;           /* chooses processors; NULL: the scheduler does */
    mly_timeline *timeline;               /* borrowed; NULL: nothing is recorded */
    mly__timeline_writer *request_writer; /* for requests; under the lock */

    pthread_mutex_t lock; /* protects the scheduler, the cores and requests of all engines, the
                             marked fields of workers and engines, and all below */
    uint32_t worker_count;
    struct mly__worker **workers; /* grows; also read with `joining` held alone */
    mly_engine *engines;          /* those that are open */
    uint32_t members;             /* engines that are open or join */
    bool stop;                    /* workers end */
    pthread_cond_t janitor_wake;  /* an engine's janitor_wanted, the alarm changed, janitor_stop */
    bool janitor_stop;
    int64_t alarm_ns; /* when the janitor is to look at deadlines and reviews; INT64_MAX: never */
};

/* What one processor has of one flow. */
struct mly__seat {
    mly_session **sessions; /* [segments]; NULL where this processor has none */
    bool *shared;           /* [segments]: the session is another variant's, which closes it */
    struct mly_tensor *inputs, *outputs, *garbage; /* scratch for one task */
    /* Protected by the crew's lock: */
    uint64_t tasks, failures, slowed;
    int64_t busy_ns;
    double modelled_energy_j;
};

/* A flow with its sessions and requests. */
struct mly__variant {
    struct mly_flow flow;              /* immutable until destroy */
    struct mly__seat *seats;           /* [flow.processor_count] */
    struct mly__request_pool *pool;    /* of the first variant: the core's */
    struct mly__request_pool own_pool; /* of the others */
    struct mly__flow_names *names;     /* in the crew's timeline */
    uint32_t group;                    /* in the scheduler */
    bool has_group;
};

/* For engines with several variants. */
struct mly__family {
    const double *max_rates;    /* samples per second up to which each is the best, ascending */
    const double *memory_bytes; /* predicted of each by itself; 0: not known */
    double memory_limit_bytes;  /* of all together; 0: none */
};

struct mly_engine {
    _Atomic uint32_t
        references; /* the owner, requests held by clients, callers inside a blocking call */
    struct mly__crew *crew; /* immutable, as all up to `core` */
    struct mly__variant *variants;
    uint32_t variant_count;
    double *max_rates;    /* [variant_count]; NULL with one variant */
    double *memory_bytes; /* [variant_count]; NULL with one variant */
    double memory_limit_bytes;
    pthread_t opener; /* opens the variants that are not needed at once (variants.c) */
    bool has_opener;
    _Atomic bool stop_opening;
    bool no_warm_up;
    uint32_t weight;
    int64_t open_ns;    /* set before create returns */
    bool prepared_copy; /* set before create returns */

    /* Protected by the crew's lock: */
    struct mly__core core;
    mly_engine *next;       /* in the crew */
    struct mly__ways ways;  /* the variants; ready: its sessions are open, and stay as they are */
    uint32_t to_open;       /* variants that the opener has not come to yet */
    pthread_cond_t opened;  /* to_open became 0 */
    pthread_cond_t room;    /* a place in the queue came free, or closing; one submitter is woken */
    uint32_t submitters;    /* blocked on it */
    pthread_cond_t drained; /* the oldest request was delivered */
    uint32_t drainers;
    bool janitor_wanted;
    uint32_t recycling;   /* threads that free a request's tensors outside the lock */
    uint32_t inside;      /* workers that have a task of this engine */
    pthread_cond_t quiet; /* one of these became 0, or a request was delivered, while closing */
};

/* Workers to signal once the lock is released. */
struct mly__wakes {
    pthread_cond_t *conditions[16];
    uint32_t count;
};

/*
 * As mly_engine_create, from a flow: its contents move into the engine and *flow is zeroed, also
 * on failure. The policy is that of a new crew (options->policy is not looked at).
 */
enum mly_status mly__engine_create_flow(struct mly_flow *flow,
                                        const struct mly_engine_options *options,
                                        enum mly_schedule_policy policy, mly_engine **out,
                                        struct mly_error *err) MLY_MUST_CHECK;
/*
 * The same with several flows of one model, each the best up to a rate of arrivals (family, whose arrays
 * are copied; NULL with one flow). The first one is current, and open when this returns; the others
 * follow in the background. All are zeroed.
 */
enum mly_status mly__engine_create_flows(struct mly_flow *flows, uint32_t count,
                                         const struct mly__family *family,
                                         const struct mly_engine_options *options,
                                         enum mly_schedule_policy policy, mly_engine **out,
                                         struct mly_error *err) MLY_MUST_CHECK;
/* What queue_capacity 0 means for a plan that wants so many batches in flight. */
uint32_t mly__engine_queue_capacity(uint32_t processor_count, uint32_t in_flight);
/* The first variant's. */
const struct mly_flow *mly__engine_flow(const mly_engine *engine);

/* The last one frees what mly_engine_destroy left for requests and late callers. Thread-safe. */
void mly__engine_reference(mly_engine *engine);
void mly__engine_unreference(mly_engine *engine);
/*
 * With the lock held, which it releases for a while: frees the tensors of a request that nobody
 * refers to, back to the pool.
 */
void mly__engine_recycle(mly_engine *engine, mly_request *request);
/* With the lock held: has the janitor deliver what is finished without a worker. */
void mly__engine_call_janitor(mly_engine *engine);
/* With the lock held: wakes a blocked submitter if there is room. */
void mly__engine_offer_room(mly_engine *engine);
/*
 * With the lock held, which it releases around each `done`: delivers what is finished and whose
 * turn has come.
 */
void mly__engine_deliver(mly_engine *engine);
/* With the lock held: asks the back ends to stop the request's running tasks, where they can. */
void mly__engine_interrupt(mly_engine *engine, mly_request *request);

/* --- crews (crew.c) --- */

enum mly_status mly__crew_create(enum mly_schedule_policy policy, struct mly__crew **out,
                                 struct mly_error *err) MLY_MUST_CHECK;
/* The last one frees it; its threads must have ended. */
void mly__crew_unreference(struct mly__crew *crew);
/*
 * With `joining` held: gives the flow's processors the crew's numbers, new ones for new ids. The
 * flow stays whole on failure.
 */
enum mly_status mly__crew_number(struct mly__crew *crew, struct mly_flow *flow,
                                 struct mly_error *err) MLY_MUST_CHECK;
/* With `joining` held: threads for the processors of a numbered flow that have none yet. */
enum mly_status mly__crew_hire(struct mly__crew *crew, const struct mly_flow *flow,
                               struct mly_error *err) MLY_MUST_CHECK;
/* One member less; the last one ends the threads. */
void mly__crew_leave(struct mly__crew *crew);
/*
 * With the lock held: drops what is late, gives tasks to idle processors, sets the alarm; `self`
 * (may be NULL) needs no waking.
 */
void mly__crew_dispatch(struct mly__crew *crew, int64_t now_ns, const struct mly__worker *self,
                        struct mly__wakes *wakes);
void mly__wakes_send(struct mly__wakes *wakes);

/*
 * Before any engine joins: the executor by its name in mly_engine_options (NULL: native), and the
 * timeline that the crew records into (NULL: none).
 */
enum mly_status mly__crew_equip(struct mly__crew *crew, const char *executor,
                                mly_timeline *timeline, struct mly_error *err) MLY_MUST_CHECK;
/* With the lock held: marks in the timeline which processors were set aside or work again. */
void mly__crew_mark_health(struct mly__crew *crew, int64_t now_ns);
/* With the lock held, which it releases meanwhile: runs the task that the worker was given, if any. */
void mly__worker_execute_given(struct mly__worker *worker);
/* With the lock held: one less of those that are inside. */
void mly__engine_leave(mly_engine *engine);
/* A worker's thread (its argument): runs tasks until the crew stops. */
void *mly__worker_main(void *argument);

/* --- sessions (open.c) --- */

/*
 * Seats for all processors of the variant's flow, and all sessions of its segments, opened and
 * warmed, all processors at once. Sessions of the engine's variants that are ready are shared where they
 * are the same: of the same nodes on the same processor, run alike. Those opened here are warmed for
 * the batches of the variants that will share them. On failure, and when it is asked to stop
 * (MLY_E_CANCELLED), nothing is left open.
 */
enum mly_status mly__variant_open(mly_engine *engine, struct mly__variant *variant,
                                  struct mly_error *err) MLY_MUST_CHECK;
void mly__variant_close(struct mly__variant *variant);
/* The part of a variant's sessions that is not open yet in one that is ready. */
double mly__variant_own_share(const mly_engine *engine, const struct mly__variant *variant);

/* --- variants (variants.c) --- */

/* Opens all variants but the first one from a thread of its own. */
enum mly_status mly__variants_begin(mly_engine *engine, struct mly_error *err) MLY_MUST_CHECK;
/* Without the lock: ends that thread, which finishes the session that it is opening. */
void mly__variants_stop(mly_engine *engine);
/* Blocks until no variant is left to be opened. Thread-safe. */
void mly__variants_await(mly_engine *engine);

#endif

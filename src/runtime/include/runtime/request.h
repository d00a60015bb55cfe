/*
 * Requests: one submitted batch on its way through the segments, its tensors, and the pool that
 * re-uses them. No function here locks: whoever owns the requests serialises the calls.
 */
#ifndef MLY_RUNTIME_REQUEST_H
#define MLY_RUNTIME_REQUEST_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include <motley/engine.h>

#include "runtime/flow.h"
#include "runtime/scheduler.h"

enum mly__request_state {
    MLY__REQUEST_FREE,       /* in the pool */
    MLY__REQUEST_ACTIVE,     /* submitted: tasks wait or run */
    MLY__REQUEST_FINISHED,   /* nothing runs any more; its turn to be delivered has not come */
    MLY__REQUEST_DELIVERING, /* `done` is being called */
    MLY__REQUEST_DONE        /* delivered; kept until the client releases it */
};

/* Why a request's tasks are no longer started. */
enum mly__request_stop {
    MLY__STOP_NONE,
    MLY__STOP_CLOSING, /* the engine closes: it succeeds only if what runs completes it */
    MLY__STOP_CANCELLED,
    MLY__STOP_FAILED
};

enum mly__task_state {
    MLY__TASK_BLOCKED,  /* inputs are missing */
    MLY__TASK_WAITING,  /* in the scheduler */
    MLY__TASK_ASSIGNED, /* given to a processor, which has not begun */
    MLY__TASK_RUNNING,
    MLY__TASK_OVER /* done, failed, or taken back */
};

/* One segment of one request. */
struct mly__task {
    struct mly_schedule_task schedule; /* first: the scheduler hands out its address */
    mly_request *request;
    enum mly__task_state state;
    uint32_t missing;         /* input slots that do not exist yet */
    uint32_t processor;       /* while assigned or running, and that which ran it afterwards */
    bool retried;             /* a processor has failed it before */
    uint32_t first_row, rows; /* of the batch, where it is split; else 0 */
    bool absent;              /* its results are declared so, where it is split */
    int64_t ready_ns;         /* when it began to wait for a processor */
    int64_t started_ns;
    uint64_t placement; /* counts how often a placer (core.h) was given it */
};

struct mly__core;
struct mly__flow_names;
struct mly__request_pool;

struct mly_request {
    mly_engine *engine;             /* set once, when made, as is the next */
    struct mly__request_pool *pool; /* where it came from: says which flow it runs */
    mly_request *all_next;          /* every request of the pool */
    mly_request *previous, *next;   /* submitted and not yet delivered, in order of submission */
    mly_request *queue_next;        /* free in the pool, or finished */
    uint64_t sequence;
    enum mly__request_state state;
    enum mly__request_stop stop;
    uint32_t references; /* the engine's until delivered, the client's until released */
    int32_t priority;    /* this and the next three: before it is submitted, 0 is usual */
    uint32_t only;       /* 1 + processor that runs it while that one works */
    int64_t deadline_ns; /* by the executor's clock; 0: none */
    bool late_last;      /* late, it runs behind all others instead of being dropped */
    bool late;           /* the deadline has passed: its tasks go behind all others */
    uint32_t batch;      /* samples; 0 where the model fixes them */
    uint32_t remaining;  /* tasks not completed */
    uint32_t parts_left; /* of a split batch: not completed */
    uint32_t assigned;   /* tasks on processors, begun or not */
    uint32_t running;    /* tasks begun */
    enum mly_status status;
    struct mly_error error; /* message of the first failure */
    int64_t submitted_ns, waiting_since_ns;
    int64_t queue_ns, execute_ns, total_ns;
    mly_done_fn done;
    void *user;
    pthread_cond_t changed; /* signalled when it is done and waiters is not 0 */
    uint32_t waiters;
    bool tensors_dropped;
    struct mly_tensor *tensors; /* [slots]: outputs first; borrowed, owned or empty */
    uint32_t *uses;             /* [slots]: readers to come */
    struct mly__task *tasks;    /* [segments]; of a split one [processors of it] */
    uint32_t task_count;
    int64_t *move_ns; /* [segments][processors], where moving tensors costs time; else NULL */
};

/* Tasks of a flow's requests. */
static inline uint32_t mly__flow_task_count(const struct mly_flow *flow)
{
    return flow->segments[0].shares ? flow->segments[0].processor_count : flow->segment_count;
}
/* The k-th part of a split segment; there is one segment then. */
static inline struct mly__task *mly__request_part(mly_request *request, uint32_t segment,
                                                  uint32_t k)
{
    return &request->tasks[segment + k];
}

/* Requests that are free for re-use, and all that exist. */
struct mly__request_pool {
    const struct mly_flow *flow; /* borrowed */
    mly_engine *engine;          /* what requests point back to */
    struct mly__core *core;      /* whose requests they are; set by the core */
    uint32_t group;              /* of the flow's segments in the scheduler; set by the core */
    uint32_t index;              /* of the flow, where an engine has several */
    const struct mly__flow_names *names; /* in a timeline (lane.h); NULL: nothing is recorded */
    mly_request *free, *all;
    uint32_t count; /* of all */
};

/*
 * Makes `count` requests beforehand. MLY_E_NO_MEMORY; the pool must be finished with fini in
 * every case.
 */
enum mly_status mly__request_pool_init(struct mly__request_pool *pool, const struct mly_flow *flow,
                                       mly_engine *engine, uint32_t count,
                                       struct mly_error *err) MLY_MUST_CHECK;
/* Frees all requests; their tensors must have been dropped. */
void mly__request_pool_fini(struct mly__request_pool *pool);
/*
 * A free request, or a new one; NULL when memory is short. All its tasks are blocked, all tensors
 * empty.
 */
mly_request *mly__request_take(struct mly__request_pool *pool);
/* Back into the pool; its tensors must have been dropped. */
void mly__request_give(struct mly__request_pool *pool, mly_request *request);
/* Frees every tensor that the request owns. */
void mly__request_drop_tensors(const struct mly_flow *flow, mly_request *request);

#endif

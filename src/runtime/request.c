/*
 * Requests and the pool that re-uses them: each is one allocation with its tensors, counters and
 * tasks.
 */
#include "runtime/request.h"

#include <inttypes.h>
#include <stdalign.h>
#include <string.h>

#include "base/alloc.h"
#include "model/graph.h"

static size_t round_up(size_t bytes)
{
    size_t unit = alignof(max_align_t);
    return (bytes + unit - 1) / unit * unit;
}

static mly_request *create(struct mly__request_pool *pool)
{
    const struct mly_flow *flow = pool->flow;
    size_t tensors = round_up(sizeof(mly_request));
    size_t tasks = tensors + round_up(flow->slot_count * sizeof(struct mly_tensor));
    uint32_t task_count = mly__flow_task_count(flow);
    size_t uses = tasks + round_up(task_count * sizeof(struct mly__task));
    size_t moves = uses + round_up(flow->slot_count * sizeof(uint32_t));
    size_t pairs = mly_flow_moves(flow) ? (size_t)flow->segment_count * flow->processor_count : 0;
    unsigned char *memory = mly_alloc(moves + pairs * sizeof(int64_t));
    if (!memory)
        return NULL;
    mly_request *request = (void *)memory;
    request->engine = pool->engine;
    request->pool = pool;
    request->tensors = (void *)(memory + tensors);
    request->tasks = (void *)(memory + tasks);
    request->uses = (void *)(memory + uses);
    request->move_ns = pairs > 0 ? (void *)(memory + moves) : NULL;
    request->task_count = task_count;
    for (uint32_t t = 0; t < task_count; t++) {
        request->tasks[t].request = request;
        request->tasks[t].schedule.segment = flow->segments[0].shares ? 0 : t;
    }
    pthread_cond_init(&request->changed, NULL);
    request->all_next = pool->all;
    pool->all = request;
    pool->count++;
    return request;
}

enum mly_status mly__request_pool_init(struct mly__request_pool *pool, const struct mly_flow *flow,
                                       mly_engine *engine, uint32_t count, struct mly_error *err)
{
    *pool = (struct mly__request_pool){.flow = flow, .engine = engine};
    for (uint32_t i = 0; i < count; i++) {
        mly_request *request = create(pool);
        if (!request)
            return mly_error_set(err, MLY_E_NO_MEMORY, "no memory for %" PRIu32 " requests", count);
        mly__request_give(pool, request);
    }
    return MLY_OK;
}

void mly__request_pool_fini(struct mly__request_pool *pool)
{
    while (pool->all) {
        mly_request *request = pool->all;
        pool->all = request->all_next;
        pthread_cond_destroy(&request->changed);
        mly_free(request);
    }
    *pool = (struct mly__request_pool){0};
}

mly_request *mly__request_take(struct mly__request_pool *pool)
{
    mly_request *request = pool->free;
    if (request)
        pool->free = request->queue_next;
    else
        request = create(pool);
    if (!request)
        return NULL;
    request->queue_next = NULL;
    request->state = MLY__REQUEST_ACTIVE;
    request->stop = MLY__STOP_NONE;
    request->remaining = request->parts_left = request->task_count;
    request->assigned = request->running = 0;
    request->status = MLY_OK;
    request->error.status = MLY_OK;
    request->error.message[0] = '\0';
    request->queue_ns = request->execute_ns = request->total_ns = 0;
    request->done = NULL;
    request->user = NULL;
    request->priority = 0;
    request->only = 0;
    request->deadline_ns = 0;
    request->late_last = false;
    request->tensors_dropped = false;
    for (uint32_t i = 0; i < pool->flow->slot_count; i++)
        request->uses[i] = pool->flow->slots[i].consumer_count;
    for (uint32_t t = 0; t < request->task_count; t++) {
        struct mly__task *task = &request->tasks[t];
        task->state = MLY__TASK_BLOCKED;
        task->missing = 0;
        task->retried = task->absent = false;
        task->schedule.home = MLY_NO_INDEX;
        task->schedule.avoid = 0;
        task->schedule.late = false;
    }
    return request;
}

void mly__request_give(struct mly__request_pool *pool, mly_request *request)
{
    request->state = MLY__REQUEST_FREE;
    request->queue_next = pool->free;
    pool->free = request;
}

void mly__request_drop_tensors(const struct mly_flow *flow, mly_request *request)
{
    for (uint32_t i = 0; i < flow->slot_count; i++)
        mly_tensor_fini(&request->tensors[i]);
    request->tensors_dropped = true;
}

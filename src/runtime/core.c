/*
 * The executor's core.
 *
 * A task is ready when all input slots of its segment exist. Counters do that: request.uses[slot]
 * counts readers to come (0: free the tensor), task.missing input slots to come (0: push it).
 * Lists: first…last holds all requests not yet delivered, by sequence; `finished` those that may
 * be delivered when order does not matter.
 */
#include "runtime/core.h"

#include <inttypes.h>
#include <string.h>

#include "base/alloc.h"
#include "model/graph.h"

/* Requests made beforehand, at most; a longer queue makes the others when it first needs them. */
#define MADE_AT_START 1024u

enum mly_status mly__core_init(struct mly__core *core, const struct mly_flow *flow,
                               mly_engine *engine, enum mly_schedule_policy policy, bool ordered,
                               uint32_t capacity, struct mly_error *err)
{
    *core = (struct mly__core){.flow = flow, .ordered = ordered, .capacity = capacity};
    core->finished_tail = &core->finished;
    struct mly_schedule_eligible *eligible = mly_alloc_array(flow->segment_count, sizeof *eligible);
    if (!eligible)
        return mly_error_set(err, MLY_E_NO_MEMORY, "no memory for %" PRIu32 " segments",
                             flow->segment_count);
    for (uint32_t s = 0; s < flow->segment_count; s++)
        eligible[s] = (struct mly_schedule_eligible){flow->segments[s].processors,
                                                     flow->segments[s].processor_count};
    enum mly_status status = mly_scheduler_create(policy, flow->processor_count, eligible,
                                                  flow->segment_count, &core->scheduler, err);
    mly_free(eligible);
    if (status == MLY_OK)
        status = mly__request_pool_init(&core->pool, flow, engine, capacity + flow->processor_count,
                                        err);
    if (status != MLY_OK)
        mly__core_fini(core);
    return status;
}

void mly__core_fini(struct mly__core *core)
{
    mly__request_pool_fini(&core->pool);
    mly_scheduler_destroy(core->scheduler);
    core->scheduler = NULL;
}

/* --- lists --- */

static void append(struct mly__core *core, mly_request *request)
{
    request->next = NULL;
    request->previous = core->last;
    if (core->last)
        core->last->next = request;
    else
        core->first = request;
    core->last = request;
}

static void unlink_request(struct mly__core *core, mly_request *request)
{
    if (request->previous)
        request->previous->next = request->next;
    else
        core->first = request->next;
    if (request->next)
        request->next->previous = request->previous;
    else
        core->last = request->previous;
    request->previous = request->next = NULL;
}

/* --- tasks --- */

static void make_ready(struct mly__core *core, struct mly__task *task)
{
    task->state = MLY__TASK_WAITING;
    task->schedule.order = task->request->sequence;
    mly_scheduler_push(core->scheduler, &task->schedule);
}

/* The request's number of assigned tasks falls by one. */
static void unassign(struct mly__core *core, mly_request *request)
{
    if (--request->assigned == 0)
        core->on_processors--;
}

static void finish(struct mly__core *core, mly_request *request)
{
    if (request->stop == MLY__STOP_CLOSING && request->remaining == 0)
        request->status = MLY_OK;
    request->state = MLY__REQUEST_FINISHED;
    if (!core->ordered) {
        request->queue_next = NULL;
        *core->finished_tail = request;
        core->finished_tail = &request->queue_next;
    }
}

/*
 * Starts no more tasks of an active request; it finishes now if none is on a processor. The first
 * reason stays.
 */
static void stop(struct mly__core *core, mly_request *request, enum mly__request_stop why,
                 enum mly_status status, const char *message)
{
    if (request->state != MLY__REQUEST_ACTIVE)
        return;
    if (request->stop == MLY__STOP_NONE ||
        (request->stop == MLY__STOP_CLOSING && why == MLY__STOP_CANCELLED)) {
        request->stop = why;
        request->status = request->error.status = status;
        size_t length = strnlen(message, MLY_ERROR_MESSAGE_BYTES - 1);
        memcpy(request->error.message, message, length);
        request->error.message[length] = '\0';
    }
    for (uint32_t s = 0; s < core->flow->segment_count; s++) {
        struct mly__task *task = &request->tasks[s];
        if (task->state == MLY__TASK_WAITING) {
            mly_scheduler_remove(core->scheduler, &task->schedule);
            task->state = MLY__TASK_OVER;
        }
    }
    if (request->assigned == 0)
        finish(core, request);
}

void mly__core_submit(struct mly__core *core, mly_request *request, const struct mly_tensor *inputs,
                      const struct mly_tensor *outputs, int64_t now_ns)
{
    const struct mly_flow *flow = core->flow;
    request->sequence = core->next_sequence++;
    request->submitted_ns = request->waiting_since_ns = now_ns;
    core->occupied++;
    core->submitted++;
    append(core, request);
    for (uint32_t i = 0; i < flow->output_count && outputs; i++) {
        if (!outputs[i].data)
            continue;
        request->tensors[i] = outputs[i];
        request->tensors[i].release = NULL;
    }
    for (uint32_t i = 0; i < flow->input_count; i++) {
        struct mly_tensor *tensor = &request->tensors[flow->output_count + i];
        *tensor = inputs[i];
        tensor->release = NULL;
    }
    for (uint32_t s = 0; s < flow->segment_count; s++) {
        struct mly__task *task = &request->tasks[s];
        for (uint32_t i = 0; i < flow->segments[s].input_count; i++) {
            if (flow->slots[flow->segments[s].inputs[i]].producer != MLY_NO_INDEX)
                task->missing++;
        }
        if (task->missing == 0)
            make_ready(core, task);
    }
}

struct mly__task *mly__core_next(struct mly__core *core)
{
    struct mly_schedule_task *decided;
    uint32_t processor;
    if (!mly_scheduler_decide(core->scheduler, &decided, &processor))
        return NULL;
    struct mly__task *task = (struct mly__task *)(void *)decided;
    task->state = MLY__TASK_ASSIGNED;
    task->processor = processor;
    if (task->request->assigned++ == 0)
        core->on_processors++;
    return task;
}

bool mly__core_begin(struct mly__task *task, int64_t now_ns)
{
    mly_request *request = task->request;
    if (request->stop != MLY__STOP_NONE)
        return false;
    task->state = MLY__TASK_RUNNING;
    task->started_ns = now_ns;
    if (request->running++ == 0)
        request->queue_ns += now_ns - request->waiting_since_ns;
    return true;
}

/* The outputs of a task exist: what waited for nothing else becomes ready. */
static void pass_on(struct mly__core *core, struct mly__task *task, struct mly_tensor *garbage,
                    uint32_t *garbage_count)
{
    const struct mly_flow *flow = core->flow;
    mly_request *request = task->request;
    const struct mly_flow_segment *segment = &flow->segments[task->schedule.segment];
    for (uint32_t i = 0; i < segment->output_count; i++) {
        uint32_t slot = segment->outputs[i];
        const struct mly_flow_slot *s = &flow->slots[slot];
        for (uint32_t k = 0; k < s->consumer_count; k++) {
            struct mly__task *reader = &request->tasks[s->consumers[k]];
            reader->schedule.home = task->processor;
            const struct mly_flow_segment *its = &flow->segments[s->consumers[k]];
            for (uint32_t n = 0; n < its->input_count; n++)
                reader->missing -= its->inputs[n] == slot;
            if (reader->missing == 0 && request->stop == MLY__STOP_NONE)
                make_ready(core, reader);
        }
        if (s->consumer_count == 0 && mly_flow_is_between(flow, slot)) {
            garbage[(*garbage_count)++] = request->tensors[slot];
            request->tensors[slot] = (struct mly_tensor){0};
        }
    }
}

/* One reader of the task's inputs less: those without further readers go. */
static void let_go(const struct mly_flow *flow, struct mly__task *task, struct mly_tensor *garbage,
                   uint32_t *garbage_count)
{
    mly_request *request = task->request;
    uint32_t segment = task->schedule.segment;
    const struct mly_flow_segment *s = &flow->segments[segment];
    for (uint32_t i = 0; i < s->input_count; i++) {
        uint32_t slot = s->inputs[i];
        bool seen = false;
        for (uint32_t k = 0; k < i && !seen; k++)
            seen = s->inputs[k] == slot;
        if (seen || --request->uses[slot] > 0 || !mly_flow_is_between(flow, slot))
            continue;
        garbage[(*garbage_count)++] = request->tensors[slot];
        request->tensors[slot] = (struct mly_tensor){0};
    }
}

bool mly__core_complete(struct mly__core *core, struct mly__task *task, enum mly_status status,
                        const struct mly_error *err, int64_t now_ns, struct mly_tensor *garbage,
                        uint32_t *garbage_count)
{
    mly_request *request = task->request;
    *garbage_count = 0;
    if (task->state == MLY__TASK_RUNNING) {
        request->execute_ns += now_ns - task->started_ns;
        if (--request->running == 0)
            request->waiting_since_ns = now_ns;
        let_go(core->flow, task, garbage, garbage_count);
    }
    task->state = MLY__TASK_OVER;
    unassign(core, request);
    if (status == MLY_OK) {
        request->remaining--;
        pass_on(core, task, garbage, garbage_count);
    }
    if (request->stop == MLY__STOP_NONE && status != MLY_OK) {
        stop(core, request, MLY__STOP_FAILED, status, err ? err->message : "");
        return request->assigned > 0;
    }
    if (request->stop != MLY__STOP_NONE ? request->assigned == 0 : request->remaining == 0)
        finish(core, request);
    return false;
}

void mly__core_release(struct mly__core *core, uint32_t processor, int64_t now_ns)
{
    mly_scheduler_release(core->scheduler, processor, now_ns);
}

void mly__core_cancel(struct mly__core *core, mly_request *request)
{
    stop(core, request, MLY__STOP_CANCELLED, MLY_E_CANCELLED, "the request was cancelled");
}

void mly__core_close(struct mly__core *core)
{
    core->closing = true;
    for (mly_request *request = core->first; request; request = request->next)
        stop(core, request, MLY__STOP_CLOSING, MLY_E_CANCELLED, "the engine was stopped");
}

mly_request *mly__core_take_finished(struct mly__core *core, int64_t now_ns)
{
    mly_request *request = NULL;
    if (!core->ordered) {
        request = core->finished;
        if (!request)
            return NULL;
        core->finished = request->queue_next;
        if (!core->finished)
            core->finished_tail = &core->finished;
    } else {
        if (core->delivering || !core->first || core->first->state != MLY__REQUEST_FINISHED)
            return NULL;
        request = core->first;
        core->delivering = true;
    }
    request->state = MLY__REQUEST_DELIVERING;
    request->queue_ns += now_ns - request->waiting_since_ns;
    request->total_ns = now_ns - request->submitted_ns;
    core->occupied--;
    if (request->status == MLY_OK)
        core->completed++;
    else if (request->status == MLY_E_CANCELLED)
        core->cancelled++;
    else
        core->failed++;
    return request;
}

void mly__core_delivered(struct mly__core *core, mly_request *request)
{
    request->state = MLY__REQUEST_DONE;
    unlink_request(core, request);
    core->delivering = false;
}

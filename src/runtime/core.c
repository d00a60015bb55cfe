/*
 * The executor's core.
 *
 * A task is ready when all input slots of its segment exist. Counters do that: request.uses[slot]
 * counts readers to come (0: free the tensor), task.missing input slots to come (0: push it).
 * Lists: first…last holds all requests not yet delivered, by sequence; `finished` those that may
 * be delivered when order does not matter. Requests that stop leave the scheduler at once, so what it
 * holds is always to be run.
 */
#include "runtime/core.h"

#include <inttypes.h>
#include <string.h>

#include "base/alloc.h"
#include "model/graph.h"
#include "runtime/split.h"

/* Requests made beforehand, at most; a longer queue makes the others when it first needs them. */
#define MADE_AT_START 1024u

static struct mly_schedule_eligible *list_eligible(const struct mly_flow *flow,
                                                   struct mly_error *err)
{
    struct mly_schedule_eligible *eligible = mly_alloc_array(flow->segment_count, sizeof *eligible);
    if (!eligible)
        (void)mly_error_set(err, MLY_E_NO_MEMORY, "no memory for %" PRIu32 " segments",
                            flow->segment_count);
    for (uint32_t s = 0; s < flow->segment_count && eligible; s++)
        eligible[s] = (struct mly_schedule_eligible){flow->segments[s].processors,
                                                     flow->segments[s].processor_count};
    return eligible;
}

static void set_costs(mly_scheduler *scheduler, const struct mly_flow *flow, uint32_t group)
{
    for (uint32_t s = 0; s < flow->segment_count; s++) {
        const struct mly_flow_segment *segment = &flow->segments[s];
        for (uint32_t i = 0; i < segment->cost_count; i++)
            mly_scheduler_set_batch_cost(scheduler, group, s, segment->costs[i].processor,
                                         segment->costs[i].batch, segment->costs[i].ns);
    }
}

enum mly_status mly__core_add_group(mly_scheduler *scheduler, const struct mly_flow *flow,
                                    uint32_t weight, uint32_t *group, struct mly_error *err)
{
    struct mly_schedule_eligible *eligible = list_eligible(flow, err);
    if (!eligible)
        return MLY_E_NO_MEMORY;
    enum mly_status status = mly_scheduler_add_group(scheduler, flow->processor_count, eligible,
                                                     flow->segment_count, weight, group, err);
    mly_free(eligible);
    if (status == MLY_OK)
        set_costs(scheduler, flow, *group);
    return status;
}

static void set_out(struct mly__core *core, const struct mly_flow *flow, bool ordered,
                    uint32_t capacity)
{
    *core = (struct mly__core){
        .flow = flow, .ordered = ordered, .capacity = capacity, .next_deadline_ns = INT64_MAX};
    core->finished_tail = &core->finished;
}

static enum mly_status make_requests(struct mly__core *core, mly_engine *engine, uint32_t group,
                                     struct mly_error *err)
{
    uint32_t count = core->capacity < MADE_AT_START ? core->capacity : MADE_AT_START;
    enum mly_status status = mly__request_pool_init(&core->pool, core->flow, engine,
                                                    count + core->flow->processor_count, err);
    mly__core_adopt_pool(core, &core->pool, group);
    return status;
}

void mly__core_adopt_pool(struct mly__core *core, struct mly__request_pool *pool, uint32_t group)
{
    pool->core = core;
    pool->group = group;
}

enum mly_status mly__core_init(struct mly__core *core, const struct mly_flow *flow,
                               mly_engine *engine, enum mly_schedule_policy policy, bool ordered,
                               uint32_t capacity, struct mly_error *err)
{
    set_out(core, flow, ordered, capacity);
    struct mly_schedule_eligible *eligible = list_eligible(flow, err);
    if (!eligible)
        return MLY_E_NO_MEMORY;
    enum mly_status status = mly_scheduler_create(policy, flow->processor_count, eligible,
                                                  flow->segment_count, &core->scheduler, err);
    mly_free(eligible);
    if (status == MLY_OK) {
        set_costs(core->scheduler, flow, 0);
        status = make_requests(core, engine, 0, err);
    }
    if (status != MLY_OK)
        mly__core_fini(core);
    return status;
}

enum mly_status mly__core_init_shared(struct mly__core *core, const struct mly_flow *flow,
                                      mly_engine *engine, mly_scheduler *scheduler, uint32_t group,
                                      bool ordered, uint32_t capacity, struct mly_error *err)
{
    set_out(core, flow, ordered, capacity);
    core->scheduler = scheduler;
    core->shares_scheduler = true;
    enum mly_status status = make_requests(core, engine, group, err);
    if (status != MLY_OK)
        mly__core_fini(core);
    return status;
}

void mly__core_fini(struct mly__core *core)
{
    mly__request_pool_fini(&core->pool);
    if (!core->shares_scheduler)
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

static double link_ns(const struct mly_flow_link *link, double bytes)
{
    return link->latency_ns + (link->bytes_per_s > 0 ? bytes / link->bytes_per_s * 1e9 : 0);
}

static double transfer_ns(const struct mly_flow *flow, uint32_t from, uint32_t to, double bytes)
{
    const bool is_made = from != MLY_NO_INDEX; /* not the client's */
    double ns = 0;
    if (from == to)
        return 0;
    if (flow->links)
        ns = link_ns(&flow->links[to][0], bytes) +
             (is_made ? link_ns(&flow->links[from][1], bytes) : 0);
    if (is_made && flow->processors[from].node >= 0 && flow->processors[to].node >= 0 &&
        flow->processors[from].node != flow->processors[to].node)
        ns += link_ns(&flow->interconnect, bytes);
    return ns;
}

/* Is it among the segment's inputs before the i-th? */
static bool is_read_before(const struct mly_flow_segment *segment, uint32_t i)
{
    for (uint32_t k = 0; k < i; k++) {
        if (segment->inputs[k] == segment->inputs[i])
            return true;
    }
    return false;
}

/*
 * What it costs to move the task's inputs, each once, to each processor: from the processors that made
 * them, where those have memory of their own through the host's.
 */
static void find_moves(struct mly__task *task)
{
    mly_request *request = task->request;
    const struct mly_flow *flow = request->pool->flow;
    const struct mly_flow_segment *segment = &flow->segments[task->schedule.segment];
    int64_t *move_ns = request->move_ns + (size_t)task->schedule.segment * flow->processor_count;
    for (uint32_t p = 0; p < flow->processor_count; p++) {
        double ns = 0;
        for (uint32_t i = 0; i < segment->input_count; i++) {
            uint32_t slot = segment->inputs[i], maker = flow->slots[slot].producer;
            size_t bytes = request->tensors[slot].size_bytes;
            uint32_t from = maker == MLY_NO_INDEX ? maker : request->tasks[maker].processor;
            if (!is_read_before(segment, i))
                ns +=
                    transfer_ns(flow, from, p, bytes > 0 ? (double)bytes : flow->slots[slot].bytes);
        }
        move_ns[p] = (int64_t)ns;
    }
    task->schedule.move_ns = move_ns;
}

static void make_ready(struct mly__core *core, struct mly__task *task)
{
    mly_request *request = task->request;
    task->state = MLY__TASK_WAITING;
    task->schedule.order = request->sequence;
    task->schedule.group = request->pool->group;
    task->schedule.batch = task->rows > 0 ? task->rows : request->batch;
    task->schedule.priority = request->priority;
    if (task->rows == 0)
        task->schedule.only = request->only;
    task->schedule.late = request->late;
    if (request->move_ns)
        find_moves(task);
    task->ready_ns = core->now_ns;
    if (core->placer)
        core->placer->place(core->placer, task);
    else
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
    for (uint32_t t = 0; t < request->task_count; t++) {
        struct mly__task *task = &request->tasks[t];
        if (task->state == MLY__TASK_WAITING) {
            mly_scheduler_remove(core->scheduler, &task->schedule);
            task->state = MLY__TASK_OVER;
        }
    }
    if (request->assigned == 0)
        finish(core, request);
}

static void note_time(struct mly__core *core, int64_t now_ns)
{
    if (now_ns > core->now_ns)
        core->now_ns = now_ns;
}

/* All parts of a split batch begin at once, each on its processor; those without rows are over. */
static void release_parts(struct mly__core *core, mly_request *request)
{
    const struct mly_flow_segment *segment = &request->pool->flow->segments[0];
    mly__split_rows(request, 0);
    for (uint32_t t = 0; t < request->task_count; t++) {
        struct mly__task *part = &request->tasks[t];
        if (part->rows > 0) {
            part->schedule.only = segment->processors[t] + 1;
            make_ready(core, part);
        } else {
            part->state = MLY__TASK_OVER;
            request->remaining--;
            request->parts_left--;
        }
    }
}

/* A late request's tasks go behind all others, those that wait and those that will. */
static void run_last(struct mly__core *core, mly_request *request)
{
    request->late = true;
    for (uint32_t t = 0; t < request->task_count; t++) {
        struct mly__task *task = &request->tasks[t];
        if (task->state != MLY__TASK_WAITING)
            continue;
        mly_scheduler_remove(core->scheduler, &task->schedule);
        make_ready(core, task);
    }
}

void mly__core_submit(struct mly__core *core, mly_request *request, const struct mly_tensor *inputs,
                      const struct mly_tensor *outputs, int64_t now_ns)
{
    const struct mly_flow *flow = request->pool->flow;
    note_time(core, now_ns);
    request->sequence = core->next_sequence++;
    request->late = false;
    request->batch = flow->free_batch ? (uint32_t)inputs[0].shape.dims[0] : 0;
    if (request->deadline_ns > 0 && request->deadline_ns < core->next_deadline_ns)
        core->next_deadline_ns = request->deadline_ns;
    request->submitted_ns = request->waiting_since_ns = now_ns;
    core->occupied++;
    core->submitted++;
    append(core, request);
    for (uint32_t i = 0; i < flow->output_count && outputs; i++) {
        if (!outputs[i].data)
            continue;
        request->tensors[i] = outputs[i];
        request->tensors[i].release = NULL;
        if (flow->segments[0].shares)
            request->tensors[i].shape = mly__split_output_shape(flow, i, inputs[0].shape.dims[0]);
    }
    for (uint32_t i = 0; i < flow->input_count; i++) {
        struct mly_tensor *tensor = &request->tensors[flow->output_count + i];
        *tensor = inputs[i];
        tensor->release = NULL;
    }
    if (flow->segments[0].shares) {
        release_parts(core, request);
        return;
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

struct mly__task *mly__scheduler_next(mly_scheduler *scheduler, int64_t now_ns)
{
    struct mly_schedule_task *decided;
    uint32_t processor;
    if (!mly_scheduler_decide_at(scheduler, now_ns, &decided, &processor))
        return NULL;
    struct mly__task *task = (struct mly__task *)(void *)decided;
    task->state = MLY__TASK_ASSIGNED;
    task->processor = processor;
    if (task->request->assigned++ == 0)
        task->request->pool->core->on_processors++;
    return task;
}

struct mly__task *mly__core_next(struct mly__core *core)
{
    return mly__scheduler_next(core->scheduler, core->now_ns);
}

void mly__core_expire(struct mly__core *core, int64_t now_ns)
{
    note_time(core, now_ns);
    core->next_deadline_ns = INT64_MAX;
    for (mly_request *request = core->first; request; request = request->next) {
        if (request->deadline_ns == 0 || request->state != MLY__REQUEST_ACTIVE || request->late)
            continue;
        if (request->deadline_ns > now_ns) {
            if (request->deadline_ns < core->next_deadline_ns)
                core->next_deadline_ns = request->deadline_ns;
        } else if (request->late_last) {
            run_last(core, request);
        } else {
            stop(core, request, MLY__STOP_FAILED, MLY_E_DEADLINE,
                 "the deadline passed before it was done");
        }
    }
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

/* Nobody needs the slot's tensor any more. On a virtual clock there is none. */
static void discard(struct mly_tensor *tensor, struct mly_tensor *garbage, uint32_t *garbage_count)
{
    if (!tensor->data && !tensor->release && tensor->shape.rank == 0)
        return;
    garbage[(*garbage_count)++] = *tensor;
    *tensor = (struct mly_tensor){0};
}

/* The outputs of a task exist: what waited for nothing else becomes ready. */
static void pass_on(struct mly__core *core, struct mly__task *task, struct mly_tensor *garbage,
                    uint32_t *garbage_count)
{
    mly_request *request = task->request;
    const struct mly_flow *flow = request->pool->flow;
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
        if (s->consumer_count == 0 && mly_flow_is_between(flow, slot))
            discard(&request->tensors[slot], garbage, garbage_count);
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
        discard(&request->tensors[slot], garbage, garbage_count);
    }
}

/* Is this the processor's failure, and not the request's or the box's? */
static bool is_processors_fault(enum mly_status status)
{
    switch (status) {
    case MLY_E_BACKEND:
    case MLY_E_ABSENT:
    case MLY_E_IO:
    case MLY_E_DEADLINE:
    case MLY_E_BUSY:
    case MLY_E_CLOSED:
    case MLY_E_INTERNAL:
        return true;
    default:
        return false;
    }
}

/*
 * A processor failed the task. True if it waits for another one now. A failure that another
 * processor repeats may be the request's own; one that another processor puts right is certain
 * (count_success below).
 */
static bool try_elsewhere(struct mly__core *core, struct mly__task *task, int64_t now_ns)
{
    mly_request *request = task->request;
    uint32_t processor = task->processor;
    if (task->retried) {
        (void)mly_scheduler_failed(core->scheduler, task->schedule.avoid - 1, false, now_ns);
        (void)mly_scheduler_failed(core->scheduler, processor, false, now_ns);
        return false;
    }
    if (!mly_scheduler_has_other(core->scheduler, &task->schedule, processor)) {
        (void)mly_scheduler_failed(core->scheduler, processor, true, now_ns);
        return false;
    }
    if (request->stop != MLY__STOP_NONE)
        return false;
    task->retried = true;
    task->schedule.avoid = processor + 1;
    core->retried++;
    make_ready(core, task);
    return true;
}

static void count_success(struct mly__core *core, struct mly__task *task, int64_t now_ns)
{
    mly_scheduler_ran(core->scheduler, &task->schedule, task->processor, now_ns - task->started_ns);
    if (task->retried)
        (void)mly_scheduler_failed(core->scheduler, task->schedule.avoid - 1, true, now_ns);
}

static bool any_absent(const mly_request *request)
{
    for (uint32_t t = 0; t < request->task_count; t++) {
        if (request->tasks[t].absent)
            return true;
    }
    return false;
}

bool mly__core_complete(struct mly__core *core, struct mly__task *task, enum mly_status status,
                        const struct mly_error *err, int64_t now_ns, struct mly_tensor *garbage,
                        uint32_t *garbage_count)
{
    mly_request *request = task->request;
    *garbage_count = 0;
    note_time(core, now_ns);
    bool ran = task->state == MLY__TASK_RUNNING;
    if (ran) {
        request->execute_ns += now_ns - task->started_ns;
        if (--request->running == 0)
            request->waiting_since_ns = now_ns;
    }
    task->state = MLY__TASK_OVER;
    unassign(core, request);
    if (ran && is_processors_fault(status) && try_elsewhere(core, task, now_ns))
        return false;
    /* What was split goes on when all parts are there. */
    bool last = task->rows == 0 || (status == MLY_OK && --request->parts_left == 0);
    if (ran && last)
        let_go(request->pool->flow, task, garbage, garbage_count);
    if (status == MLY_OK) {
        count_success(core, task, now_ns);
        request->remaining--;
        if (last && task->rows > 0 && any_absent(request))
            mly__split_declare_absent(request);
        if (last)
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
    note_time(core, now_ns);
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

bool mly__core_has_finished(const struct mly__core *core)
{
    if (!core->ordered)
        return core->finished != NULL;
    return !core->delivering && core->first && core->first->state == MLY__REQUEST_FINISHED;
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
    core->late += request->status == MLY_E_DEADLINE;
    return request;
}

void mly__core_delivered(struct mly__core *core, mly_request *request)
{
    request->state = MLY__REQUEST_DONE;
    unlink_request(core, request);
    core->delivering = false;
}

/*
 * Discrete events around the core.
 *
 *   1. Two kinds of events: the next arrival, of which there is one, and ends of tasks, at most one per
 *      processor, in a heap by time and, of equal times, in the order in which the tasks began. A task
 *      ends before a request of the same moment arrives.
 *   2. The end of a task does what a worker of the native executor does, in the same order: complete,
 *      deliver, release the processor, give out what is ready.
 *   3. What waits for whom is the core's business. To know how long a task waited, a ticket goes with
 *      every request that notes when each of its segments ended: a task was ready when the last of its
 *      producers ended.
 *   4. Averages over time are areas, added up from event to event inside the window.
 *   5. The scheduler may leave a processor idle for a task that another one should end sooner, and says
 *      when to look again: a third kind of event, as late as the native executor's.
 */
#include "runtime/virtual.h"

#include <inttypes.h>
#include <string.h>

#include "base/alloc.h"
#include "model/graph.h"
#include "runtime/core.h"
#include "virtual_service.h"

#define DEFAULT_CAPACITY 4096u
#define EVENTS_PER_PROGRESS (UINT64_C(1) << 17)
#define REVIEW_NS 1000000 /* (5) at the soonest, as in crew.c */

struct event {
    int64_t at_ns;
    uint64_t order; /* in which tasks began */
    uint32_t processor;
};

/* Goes with a request. */
struct ticket {
    struct ticket *next; /* free ones; all are in blocks of their own */
    uint64_t number;
    int64_t ended_ns[]; /* [segments] */
};

struct block {
    struct block *next;
};

struct processor {
    struct mly__task *task; /* that runs */
    int64_t begin_ns, end_ns;
};

struct stage {
    const uint32_t *producers; /* segments, each once */
    uint32_t producer_count;
    double sum_ns, sum_link_ns, sum_wait_ns;
};

struct run {
    const struct mly_virtual_options *options;
    const struct mly_flow *flow;
    struct mly_virtual_result *result;
    struct mly_error *err;
    enum mly_status status; /* the first failure */
    struct mly__core core;
    struct mly__services services;
    struct mly_arrival_stream stream;
    struct mly_random random; /* service times */
    int64_t now_ns, arrival_ns, review_ns;
    bool ended; /* no request arrives any more */
    bool by_duration;
    int64_t from_ns, to_ns; /* the window */
    uint64_t begun, in_window;
    struct event *heap;
    uint32_t heap_length;
    struct processor *processors;
    struct stage *stages;
    uint32_t *producers; /* behind all stages */
    struct ticket *tickets;
    struct block *blocks;
    struct mly_tensor *inputs, *garbage;
    struct mly_histogram *latency, *queue;
    uint64_t in_system;
    double area_waiting, area_in_system;
};

/* --- (1) the heap --- */

static bool is_before(const struct event *a, const struct event *b)
{
    return a->at_ns != b->at_ns ? a->at_ns < b->at_ns : a->order < b->order;
}

static void heap_push(struct run *run, struct event event)
{
    uint32_t at = run->heap_length++;
    for (; at > 0; at = (at - 1) / 2) {
        struct event *parent = &run->heap[(at - 1) / 2];
        if (!is_before(&event, parent))
            break;
        run->heap[at] = *parent;
    }
    run->heap[at] = event;
}

static struct event heap_pop(struct run *run)
{
    struct event first = run->heap[0], last = run->heap[--run->heap_length];
    uint32_t at = 0;
    for (;;) {
        uint32_t child = 2 * at + 1;
        if (child >= run->heap_length)
            break;
        if (child + 1 < run->heap_length && is_before(&run->heap[child + 1], &run->heap[child]))
            child++;
        if (!is_before(&run->heap[child], &last))
            break;
        run->heap[at] = run->heap[child];
        at = child;
    }
    run->heap[at] = last;
    return first;
}

/* --- (4) the window --- */

static int64_t overlap_ns(const struct run *run, int64_t from_ns, int64_t to_ns)
{
    if (from_ns < run->from_ns)
        from_ns = run->from_ns;
    if (to_ns > run->to_ns)
        to_ns = run->to_ns;
    return to_ns > from_ns ? to_ns - from_ns : 0;
}

static bool is_inside(const struct run *run, int64_t at_ns)
{
    return at_ns >= run->from_ns && at_ns <= run->to_ns;
}

static void advance(struct run *run, int64_t at_ns)
{
    double ns = (double)overlap_ns(run, run->now_ns, at_ns);
    run->area_waiting += ns * (double)mly__core_waiting(&run->core);
    run->area_in_system += ns * (double)run->in_system;
    run->now_ns = at_ns;
}

/* --- (3) tickets --- */

static struct ticket *take_ticket(struct run *run)
{
    struct ticket *ticket = run->tickets;
    if (ticket) {
        run->tickets = ticket->next;
        return ticket;
    }
    size_t head = (sizeof(struct block) + sizeof(int64_t) - 1) / sizeof(int64_t) * sizeof(int64_t);
    struct block *block =
        mly_alloc(head + sizeof *ticket + run->flow->segment_count * sizeof ticket->ended_ns[0]);
    if (!block)
        return NULL;
    block->next = run->blocks;
    run->blocks = block;
    return (void *)((unsigned char *)block + head);
}

static void give_ticket(struct run *run, struct ticket *ticket)
{
    ticket->next = run->tickets;
    run->tickets = ticket;
}

/* --- requests --- */

static void fail(struct run *run, enum mly_status status, const char *what)
{
    if (run->status == MLY_OK)
        run->status = mly_error_set(run->err, status, "%s", what);
}

static void submit(struct run *run)
{
    struct mly__core *core = &run->core;
    run->result->arrived++;
    if (!mly__core_has_room(core)) {
        run->result->rejected++;
        return;
    }
    struct ticket *ticket = take_ticket(run);
    mly_request *request = ticket ? mly__request_take(&core->pool) : NULL;
    if (!request) {
        fail(run, MLY_E_NO_MEMORY, "no memory for a request");
        return;
    }
    ticket->number = run->result->arrived - 1;
    request->user = ticket;
    request->references = 1;
    mly__core_submit(core, request, run->inputs, NULL, run->now_ns);
    if (++run->in_system > run->result->most_in_system)
        run->result->most_in_system = (uint32_t)run->in_system;
}

static uint32_t deliver(struct run *run)
{
    uint32_t count = 0;
    mly_request *request;
    while ((request = mly__core_take_finished(&run->core, run->now_ns))) {
        run->result->completed++;
        run->in_window += is_inside(run, run->now_ns);
        if (is_inside(run, request->submitted_ns)) {
            mly_histogram_add(run->latency, request->total_ns);
            mly_histogram_add(run->queue, request->queue_ns);
        }
        give_ticket(run, request->user);
        mly__core_delivered(&run->core, request);
        mly__request_give(&run->core.pool, request); /* its tensors own nothing */
        run->in_system--;
        count++;
    }
    return count;
}

/* --- tasks --- */

static void dispatch(struct run *run)
{
    struct mly__task *task;
    while ((task = mly__scheduler_next(run->core.scheduler, run->now_ns))) {
        uint32_t p = task->processor;
        size_t pair = (size_t)task->schedule.segment * run->flow->processor_count + p;
        if (!mly__core_begin(task, run->now_ns)) { /* requests are never stopped here */
            fail(run, MLY_E_INTERNAL, "a task of a virtual run was stopped");
            return;
        }
        int64_t idle_ns = run->now_ns - run->processors[p].end_ns;
        int64_t end_ns =
            run->now_ns + mly__service_draw(&run->services.items[pair], idle_ns, &run->random);
        if (task->schedule.move_ns)
            end_ns += task->schedule.move_ns[p];
        run->processors[p] = (struct processor){task, run->now_ns, end_ns};
        heap_push(run, (struct event){end_ns, run->begun++, p});
    }
    int64_t review_ns = mly_scheduler_review_ns(run->core.scheduler);
    if (review_ns < run->now_ns + REVIEW_NS)
        review_ns = run->now_ns + REVIEW_NS;
    run->review_ns = review_ns;
    uint32_t waiting = mly__core_waiting(&run->core);
    if (waiting > run->result->most_waiting)
        run->result->most_waiting = waiting;
}

/* A task of `processor` is over: counts it, and notes its end in its request's ticket. */
static void count_task(struct run *run, uint32_t processor)
{
    const struct processor *ran = &run->processors[processor];
    const mly_request *request = ran->task->request;
    struct ticket *ticket = request->user;
    const uint32_t segment = ran->task->schedule.segment;
    struct stage *stage = &run->stages[segment];
    int64_t ready_ns = request->submitted_ns;
    for (uint32_t i = 0; i < stage->producer_count; i++) {
        int64_t ended_ns = ticket->ended_ns[stage->producers[i]];
        ready_ns = ended_ns > ready_ns ? ended_ns : ready_ns;
    }
    ticket->ended_ns[segment] = ran->end_ns;
    struct mly_virtual_processor *p = &run->result->processors[processor];
    p->busy_ns += (double)overlap_ns(run, ran->begin_ns, ran->end_ns);
    if (is_inside(run, ran->end_ns)) {
        const struct mly_virtual_cost *cost =
            &run->options->costs[(size_t)segment * run->flow->processor_count + processor];
        struct mly_virtual_stage *s = &run->result->stages[segment];
        double wait_ns = (double)(ran->begin_ns - ready_ns);
        p->tasks++;
        p->energy_j += cost->energy_j;
        p->link_bytes += cost->link_bytes;
        p->off_chip_bytes += cost->off_chip_bytes;
        s->tasks++;
        s->energy_j += cost->energy_j;
        s->off_chip_bytes += cost->off_chip_bytes;
        s->max_wait_ns = wait_ns > s->max_wait_ns ? wait_ns : s->max_wait_ns;
        stage->sum_ns += (double)(ran->end_ns - ran->begin_ns);
        stage->sum_link_ns += cost->link_ns;
        if (ran->task->schedule.move_ns)
            stage->sum_link_ns += (double)ran->task->schedule.move_ns[processor];
        stage->sum_wait_ns += wait_ns;
    }
    if (run->options->task)
        run->options->task(run->options->user, &(struct mly_virtual_task){.request = ticket->number,
                                                                          .segment = segment,
                                                                          .processor = processor,
                                                                          .ready_ns = ready_ns,
                                                                          .begin_ns = ran->begin_ns,
                                                                          .end_ns = ran->end_ns});
}

/* (2) */
static void end_task(struct run *run, uint32_t processor)
{
    struct mly__task *task = run->processors[processor].task;
    uint32_t garbage_count;
    count_task(run, processor);
    (void)mly__core_complete(&run->core, task, MLY_OK, NULL, run->now_ns, run->garbage,
                             &garbage_count);
    uint32_t over = deliver(run);
    mly__core_release(&run->core, processor, run->now_ns);
    if (run->options->arrivals->kind == MLY_ARRIVALS_CLOSED) {
        while (over-- > 0 && !run->ended) {
            run->ended =
                (run->options->count > 0 && run->result->arrived >= run->options->count) ||
                (run->options->duration_ns > 0 && run->now_ns >= run->options->duration_ns);
            if (!run->ended)
                submit(run);
        }
    }
    dispatch(run);
}

/* --- the run --- */

/* The next arrival, or none: the stream, the count or the duration is at its end. */
static void plan_arrival(struct run *run)
{
    const struct mly_virtual_options *o = run->options;
    run->arrival_ns = mly_arrival_stream_next(&run->stream);
    if (o->duration_ns > 0 && run->arrival_ns >= o->duration_ns && run->arrival_ns != INT64_MAX)
        run->by_duration = true;
    if ((o->count > 0 && run->result->arrived >= o->count) || run->by_duration)
        run->arrival_ns = INT64_MAX;
}

static void begin(struct run *run)
{
    const struct mly_arrivals *arrivals = run->options->arrivals;
    run->arrival_ns = run->review_ns = INT64_MAX;
    if (arrivals->kind != MLY_ARRIVALS_CLOSED) {
        plan_arrival(run);
        return;
    }
    run->by_duration = run->options->duration_ns > 0;
    for (uint32_t i = 0; i < arrivals->in_flight && run->status == MLY_OK; i++) {
        if (run->options->count == 0 || run->result->arrived < run->options->count)
            submit(run);
    }
    dispatch(run);
}

static void report_progress(struct run *run)
{
    const struct mly_virtual_options *o = run->options;
    double fraction = 0;
    if (o->duration_ns > 0)
        fraction = (double)run->now_ns / (double)o->duration_ns;
    if (o->count > 0 && (double)run->result->completed / (double)o->count > fraction)
        fraction = (double)run->result->completed / (double)o->count;
    if (!o->progress(o->user, fraction < 1 ? fraction : 1))
        fail(run, MLY_E_CANCELLED, "the simulation was stopped");
}

static void go(struct run *run)
{
    begin(run);
    while (run->status == MLY_OK) {
        int64_t end_ns = run->heap_length > 0 ? run->heap[0].at_ns : INT64_MAX;
        if (run->review_ns < end_ns && run->review_ns < run->arrival_ns) { /* (5) */
            advance(run, run->review_ns);
            dispatch(run);
        } else if (run->heap_length > 0 && end_ns <= run->arrival_ns) {
            struct event event = heap_pop(run);
            advance(run, event.at_ns);
            end_task(run, event.processor);
        } else if (run->arrival_ns != INT64_MAX) {
            advance(run, run->arrival_ns);
            submit(run);
            plan_arrival(run);
            dispatch(run);
        } else {
            break;
        }
        if (++run->result->events % EVENTS_PER_PROGRESS == 0 && run->options->progress)
            report_progress(run);
    }
}

static struct mly_virtual_times times_of(const struct mly_histogram *h)
{
    return (struct mly_virtual_times){.count = h->count,
                                      .min_ns = (double)h->min,
                                      .mean_ns = mly_histogram_mean(h),
                                      .p50_ns = mly_histogram_percentile(h, 0.5),
                                      .p90_ns = mly_histogram_percentile(h, 0.9),
                                      .p99_ns = mly_histogram_percentile(h, 0.99),
                                      .p999_ns = mly_histogram_percentile(h, 0.999),
                                      .max_ns = (double)h->max};
}

static void conclude(struct run *run)
{
    struct mly_virtual_result *result = run->result;
    int64_t end_ns = run->by_duration ? run->options->duration_ns : run->now_ns;
    result->window_ns = end_ns > run->from_ns ? end_ns - run->from_ns : 0;
    result->latency = times_of(run->latency);
    result->queue = times_of(run->queue);
    result->measured = run->latency->count;
    double window = (double)result->window_ns;
    if (window > 0) {
        result->throughput_per_s = (double)run->in_window * 1e9 / window;
        result->mean_waiting = run->area_waiting / window;
        result->mean_in_system = run->area_in_system / window;
    }
    for (uint32_t p = 0; p < result->processor_count && window > 0; p++)
        result->processors[p].utilisation = result->processors[p].busy_ns / window;
    for (uint32_t s = 0; s < result->stage_count; s++) {
        struct mly_virtual_stage *stage = &result->stages[s];
        const struct stage *sums = &run->stages[s];
        if (stage->tasks > 0) {
            stage->mean_ns = sums->sum_ns / (double)stage->tasks;
            stage->mean_link_ns = sums->sum_link_ns / (double)stage->tasks;
            stage->mean_wait_ns = sums->sum_wait_ns / (double)stage->tasks;
        }
        if (window > 0)
            stage->queue_length = sums->sum_wait_ns / window; /* Little's law */
    }
}

/* --- beginning and end --- */

static enum mly_status check(const struct mly_virtual_options *o, uint32_t capacity,
                             struct mly_error *err)
{
    const struct mly_flow *flow = o->flow;
    const bool closed = o->arrivals->kind == MLY_ARRIVALS_CLOSED;
    if (o->duration_ns < 0 || o->warm_up_ns < 0 ||
        (o->duration_ns == 0 && o->count == 0 && o->arrivals->kind != MLY_ARRIVALS_TRACE))
        return mly_error_set(err, MLY_E_INVALID, "a simulation needs a duration or a count");
    if (o->duration_ns > 0 && o->warm_up_ns >= o->duration_ns)
        return mly_error_set(err, MLY_E_INVALID, "the warm-up is not shorter than the duration");
    if (flow->segments[0].shares && o->batch == 0)
        return mly_error_set(err, MLY_E_INVALID, "batches that are split need a size");
    if (closed && (o->arrivals->in_flight == 0 || o->arrivals->in_flight > capacity))
        return mly_error_set(err, MLY_E_INVALID,
                             "%" PRIu32 " requests in flight are not between 1 and the %" PRIu32
                             " that the queue holds",
                             o->arrivals->in_flight, capacity);
    for (uint32_t s = 0; s < flow->segment_count; s++) {
        for (uint32_t i = 0; i < flow->segments[s].processor_count; i++) {
            uint32_t p = flow->segments[s].processors[i];
            const struct mly_virtual_cost *cost = &o->costs[(size_t)s * flow->processor_count + p];
            if (!cost->known || !(cost->median_ns >= 0 && cost->median_ns < 1e17))
                return mly_error_set(
                    err, MLY_E_INVALID,
                    "the cost of segment %" PRIu32 " on processor %" PRIu32 " is not known", s, p);
        }
    }
    return MLY_OK;
}

/* Segments whose outputs a segment reads, each once. */
static void list_producers(struct run *run)
{
    const struct mly_flow *flow = run->flow;
    uint32_t *next = run->producers;
    for (uint32_t s = 0; s < flow->segment_count; s++) {
        struct stage *stage = &run->stages[s];
        stage->producers = next;
        for (uint32_t i = 0; i < flow->segments[s].input_count; i++) {
            uint32_t producer = flow->slots[flow->segments[s].inputs[i]].producer;
            bool seen = producer == MLY_NO_INDEX;
            for (uint32_t k = 0; k < stage->producer_count && !seen; k++)
                seen = stage->producers[k] == producer;
            if (!seen)
                next[stage->producer_count++] = producer;
        }
        next += stage->producer_count;
    }
}

static enum mly_status allocate(struct run *run, uint32_t capacity, struct mly_error *err)
{
    const struct mly_flow *flow = run->flow;
    struct mly_virtual_result *result = run->result;
    size_t readers = 0;
    for (uint32_t s = 0; s < flow->segment_count; s++)
        readers += flow->segments[s].input_count;
    result->processors = mly_alloc_array(flow->processor_count, sizeof *result->processors);
    result->stages = mly_alloc_array(flow->segment_count, sizeof *result->stages);
    result->processor_count = flow->processor_count;
    result->stage_count = flow->segment_count;
    run->heap = mly_alloc_array(flow->processor_count, sizeof *run->heap);
    run->processors = mly_alloc_array(flow->processor_count, sizeof *run->processors);
    run->stages = mly_alloc_array(flow->segment_count, sizeof *run->stages);
    run->producers = mly_alloc_array(readers, sizeof *run->producers);
    run->inputs = mly_alloc_array(flow->input_count, sizeof *run->inputs);
    run->garbage =
        mly_alloc_array((size_t)flow->max_inputs + flow->max_outputs, sizeof *run->garbage);
    run->latency = mly_alloc(sizeof *run->latency);
    run->queue = mly_alloc(sizeof *run->queue);
    if (!result->processors || !result->stages || !run->heap || !run->processors || !run->stages ||
        !run->producers || !run->inputs || !run->garbage || !run->latency || !run->queue)
        return mly_error_set(err, MLY_E_NO_MEMORY, "no memory for a simulation");
    if (flow->segments[0].shares) /* the core divides its rows */
        run->inputs[0].shape = (struct mly_shape){.rank = 1, .dims = {run->options->batch}};
    list_producers(run);
    enum mly_status status =
        mly__services_init(&run->services, run->options->costs,
                           (size_t)flow->segment_count * flow->processor_count, err);
    if (status == MLY_OK)
        status = mly__core_init(&run->core, flow, NULL, run->options->policy, run->options->ordered,
                                capacity, err);
    for (uint32_t s = 0; s < flow->segment_count && status == MLY_OK; s++) {
        for (uint32_t i = 0; i < flow->segments[s].processor_count; i++) {
            uint32_t p = flow->segments[s].processors[i];
            const struct mly_virtual_cost *cost =
                &run->options->costs[(size_t)s * flow->processor_count + p];
            if (flow->segments[s].cost_count == 0) /* else the core has set them */
                mly_scheduler_set_cost(run->core.scheduler, s, p, (int64_t)cost->median_ns);
        }
    }
    return status;
}

static void release(struct run *run)
{
    mly__core_fini(&run->core);
    mly__services_fini(&run->services);
    while (run->blocks) {
        struct block *block = run->blocks;
        run->blocks = block->next;
        mly_free(block);
    }
    mly_free(run->heap);
    mly_free(run->processors);
    mly_free(run->stages);
    mly_free(run->producers);
    mly_free(run->inputs);
    mly_free(run->garbage);
    mly_free(run->latency);
    mly_free(run->queue);
}

void mly_virtual_result_fini(struct mly_virtual_result *result)
{
    mly_free(result->processors);
    mly_free(result->stages);
    *result = (struct mly_virtual_result){0};
}

enum mly_status mly_virtual_run(const struct mly_virtual_options *options,
                                struct mly_virtual_result *out, struct mly_error *err)
{
    struct mly_virtual_result result = {0};
    struct run run = {.options = options, .flow = options->flow, .result = &result, .err = err};
    const uint32_t capacity = options->queue_capacity ? options->queue_capacity : DEFAULT_CAPACITY;
    enum mly_status status = check(options, capacity, err);
    if (status == MLY_OK)
        status = allocate(&run, capacity, err);
    if (status == MLY_OK) {
        run.from_ns = options->warm_up_ns;
        run.to_ns = options->duration_ns > 0 ? options->duration_ns : INT64_MAX;
        mly_arrival_stream_init(&run.stream, options->arrivals, options->seed);
        mly_random_init(&run.random, ~options->seed); /* independent of the arrivals' numbers */
        go(&run);
        conclude(&run);
        status = run.status;
    }
    release(&run);
    if (status != MLY_OK) {
        mly_virtual_result_fini(&result);
        return status;
    }
    *out = result;
    return MLY_OK;
}

/*
 * Discrete events around the core.
 *
 *   1. Two kinds of events: the next arrival, of which there is one, and ends of tasks, at most one per
 *      processor, in a heap by time and, of equal times, in the order in which the tasks began. A task
 *      ends before a request of the same moment arrives.
 *   2. The end of a task does what a worker of the native executor does, in the same order: complete,
 *      deliver, release the processor, give out what is ready.
 *   3. What waits for whom is the core's business, which of several ways a request runs that of ways.c,
 *      as for the native executor.
 *   4. Averages over time are areas, added up from event to event inside the window.
 *   5. The scheduler may leave a processor idle for a task that another one should end sooner, and says
 *      when to look again: a third kind of event, as late as the native executor's.
 */
#include "runtime/virtual.h"

#include "virtual_private.h"

#define EVENTS_PER_PROGRESS (UINT64_C(1) << 17)
#define REVIEW_NS 1000000 /* (5) at the soonest, as in crew.c */

/* --- (1) the heap --- */

static bool is_before(const struct mly__virtual_event *a, const struct mly__virtual_event *b)
{
    return a->at_ns != b->at_ns ? a->at_ns < b->at_ns : a->order < b->order;
}

static void heap_push(struct mly__virtual_run *run, struct mly__virtual_event event)
{
    uint32_t at = run->heap_length++;
    for (; at > 0; at = (at - 1) / 2) {
        struct mly__virtual_event *parent = &run->heap[(at - 1) / 2];
        if (!is_before(&event, parent))
            break;
        run->heap[at] = *parent;
    }
    run->heap[at] = event;
}

static struct mly__virtual_event heap_pop(struct mly__virtual_run *run)
{
    struct mly__virtual_event first = run->heap[0], last = run->heap[--run->heap_length];
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

static int64_t overlap_ns(const struct mly__virtual_run *run, int64_t from_ns, int64_t to_ns)
{
    if (from_ns < run->from_ns)
        from_ns = run->from_ns;
    if (to_ns > run->to_ns)
        to_ns = run->to_ns;
    return to_ns > from_ns ? to_ns - from_ns : 0;
}

static bool is_inside(const struct mly__virtual_run *run, int64_t at_ns)
{
    return at_ns >= run->from_ns && at_ns <= run->to_ns;
}

static void advance(struct mly__virtual_run *run, int64_t at_ns)
{
    double ns = (double)overlap_ns(run, run->now_ns, at_ns);
    run->area_waiting += ns * (double)mly__core_waiting(&run->core);
    run->area_in_system += ns * (double)run->in_system;
    run->sides[run->ways.serving].served->serving_ns += ns;
    run->now_ns = at_ns;
}

/* --- requests --- */

static void fail(struct mly__virtual_run *run, enum mly_status status, const char *what)
{
    if (run->status == MLY_OK)
        run->status = mly_error_set(run->err, status, "%s", what);
}

static void submit(struct mly__virtual_run *run)
{
    struct mly__core *core = &run->core;
    const bool crowded = !mly__core_has_room(core);
    run->result->arrived++;
    if (run->side_count > 1)
        (void)mly__ways_arrive(&run->ways, run->options->timeline, run->now_ns, run->samples,
                               crowded);
    if (crowded) {
        run->result->rejected++;
        return;
    }
    struct mly__virtual_side *side = &run->sides[run->ways.serving];
    mly_request *request = mly__request_take(side->pool);
    if (!request) {
        fail(run, MLY_E_NO_MEMORY, "no memory for a request");
        return;
    }
    request->references = 1;
    side->served->requests += is_inside(run, run->now_ns);
    mly__core_submit(core, request, run->inputs, NULL, run->now_ns);
    if (++run->in_system > run->result->most_in_system)
        run->result->most_in_system = (uint32_t)run->in_system;
}

static void count_request(struct mly__virtual_run *run, const mly_request *request)
{
    struct mly__virtual_side *side = mly__virtual_side_of(run, request);
    run->result->completed++;
    run->in_window += is_inside(run, run->now_ns);
    if (!is_inside(run, request->submitted_ns))
        return;
    mly_histogram_add(run->latency, request->total_ns);
    mly_histogram_add(run->queue, request->queue_ns);
    side->latency_ns += (double)request->total_ns;
    side->over++;
}

static uint32_t deliver(struct mly__virtual_run *run)
{
    uint32_t count = 0;
    mly_request *request;
    while ((request = mly__core_take_finished(&run->core, run->now_ns))) {
        count_request(run, request);
        mly__lane_record_request(run->request_writer, request, run->now_ns);
        mly__core_delivered(&run->core, request);
        mly__request_give(request->pool, request); /* its tensors own nothing */
        run->in_system--;
        count++;
    }
    return count;
}

/* --- tasks --- */

/* What a task takes, from what its segment costs there and how long the processor rested. */
static int64_t draw(struct mly__virtual_run *run, const struct mly__task *task)
{
    const uint32_t p = task->processor;
    struct mly__virtual_side *side = mly__virtual_side_of(run, task->request);
    const size_t pair = (size_t)task->schedule.segment * run->processor_count + p;
    int64_t ns = mly__service_draw(&side->services.items[pair], run->now_ns - run->seats[p].end_ns,
                                   &run->random);
    return task->schedule.move_ns ? ns + task->schedule.move_ns[p] : ns;
}

static void dispatch(struct mly__virtual_run *run)
{
    struct mly__task *task;
    while ((task = mly__scheduler_next(run->core.scheduler, run->now_ns))) {
        struct mly__virtual_seat *seat = &run->seats[task->processor];
        if (!mly__core_begin(task, run->now_ns)) { /* requests are never stopped here */
            fail(run, MLY_E_INTERNAL, "a task of a virtual run was stopped");
            return;
        }
        const int64_t end_ns = run->now_ns + draw(run, task);
        seat->task = task;
        seat->begin_ns = run->now_ns;
        seat->end_ns = end_ns;
        heap_push(run, (struct mly__virtual_event){end_ns, run->begun++, task->processor});
    }
    int64_t review_ns = mly_scheduler_review_ns(run->core.scheduler);
    if (review_ns < run->now_ns + REVIEW_NS)
        review_ns = run->now_ns + REVIEW_NS;
    run->review_ns = review_ns;
    uint32_t waiting = mly__core_waiting(&run->core);
    if (waiting > run->result->most_waiting)
        run->result->most_waiting = waiting;
}

/* A task is over that ended within the window. */
static void count_within(const struct mly__virtual_seat *seat, struct mly__virtual_side *side,
                         struct mly_virtual_processor *p)
{
    const struct mly__task *task = seat->task;
    const struct mly_virtual_cost *cost = mly__virtual_cost_of(side, task);
    struct mly_virtual_stage *s = &side->stages[task->schedule.segment];
    struct mly__virtual_sums *sums = &side->sums[task->schedule.segment];
    const double wait_ns = (double)(seat->begin_ns - task->ready_ns);
    p->tasks++;
    p->energy_j += cost->energy_j;
    p->link_bytes += cost->input_bytes + cost->output_bytes;
    p->off_chip_bytes += cost->off_chip_bytes;
    s->tasks++;
    s->energy_j += cost->energy_j;
    s->off_chip_bytes += cost->off_chip_bytes;
    s->max_wait_ns = wait_ns > s->max_wait_ns ? wait_ns : s->max_wait_ns;
    sums->ns += (double)(seat->end_ns - seat->begin_ns);
    sums->link_ns += cost->input_ns + cost->output_ns;
    if (task->schedule.move_ns)
        sums->link_ns += (double)task->schedule.move_ns[task->processor];
    sums->wait_ns += wait_ns;
}

static void count_task(struct mly__virtual_run *run, const struct mly__virtual_seat *seat)
{
    const struct mly__task *task = seat->task;
    struct mly_virtual_processor *p = &run->result->processors[task->processor];
    p->busy_ns += (double)overlap_ns(run, seat->begin_ns, seat->end_ns);
    if (is_inside(run, seat->end_ns))
        count_within(seat, mly__virtual_side_of(run, task->request), p);
    if (run->request_writer)
        mly__virtual_record(run, seat);
    if (run->options->task)
        run->options->task(run->options->user,
                           &(struct mly_virtual_task){.request = task->request->sequence,
                                                      .way = task->request->pool->index,
                                                      .segment = task->schedule.segment,
                                                      .processor = task->processor,
                                                      .ready_ns = task->ready_ns,
                                                      .begin_ns = seat->begin_ns,
                                                      .end_ns = seat->end_ns});
}

/* (2) A task of `processor` is over. */
static void end_task(struct mly__virtual_run *run, uint32_t processor)
{
    struct mly__task *task = run->seats[processor].task;
    uint32_t garbage_count;
    count_task(run, &run->seats[processor]);
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
static void plan_arrival(struct mly__virtual_run *run)
{
    const struct mly_virtual_options *o = run->options;
    run->arrival_ns = mly_arrival_stream_next(&run->stream);
    if (o->duration_ns > 0 && run->arrival_ns >= o->duration_ns && run->arrival_ns != INT64_MAX)
        run->by_duration = true;
    if ((o->count > 0 && run->result->arrived >= o->count) || run->by_duration)
        run->arrival_ns = INT64_MAX;
}

static void begin(struct mly__virtual_run *run)
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

static void report_progress(struct mly__virtual_run *run)
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

static void go(struct mly__virtual_run *run)
{
    begin(run);
    while (run->status == MLY_OK) {
        int64_t end_ns = run->heap_length > 0 ? run->heap[0].at_ns : INT64_MAX;
        if (run->review_ns < end_ns && run->review_ns < run->arrival_ns) { /* (5) */
            advance(run, run->review_ns);
            dispatch(run);
        } else if (run->heap_length > 0 && end_ns <= run->arrival_ns) {
            struct mly__virtual_event event = heap_pop(run);
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

enum mly_status mly_virtual_run(const struct mly_virtual_options *options,
                                struct mly_virtual_result *out, struct mly_error *err)
{
    struct mly_virtual_result result = {0};
    struct mly__virtual_run run = {.options = options, .result = &result, .err = err};
    enum mly_status status = mly__virtual_open(&run, err);
    if (status == MLY_OK) {
        go(&run);
        mly__virtual_conclude(&run);
        status = run.status;
    }
    mly__virtual_close(&run);
    if (status != MLY_OK) {
        mly_virtual_result_fini(&result);
        return status;
    }
    *out = result;
    return MLY_OK;
}

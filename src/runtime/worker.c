/*
 * A worker: the thread that runs one processor's tasks. It sleeps on its own condition when it
 * has none.
 */
#include <inttypes.h>

#include "base/clock.h"
#include "base/log.h"
#include "device/thread.h"
#include "runtime/native.h"
#include "runtime/split.h"
#include "runtime/starpu.h"

/* What the back end moved in the run that is over. */
static void record_copies(const struct mly__lane *lane, const struct mly_backend_ops *ops,
                          const mly_session *session, const struct mly__task *task)
{
    struct mly_session_copy copies[MLY_SESSION_COPIES_MAX];
    const uint32_t count = lane->writer && ops->copies ? ops->copies(session, copies) : 0;
    for (uint32_t i = 0; i < count; i++) {
        const int64_t begin_ns = task->started_ns + copies[i].offset_ns;
        mly__lane_record_copy(lane, task, copies[i].out, begin_ns, begin_ns + copies[i].ns,
                              copies[i].bytes);
    }
}

/* The outputs of a part, back into those of the whole batch where they are not written there. */
static void take_parts(const struct mly__lane *lane, struct mly__task *task,
                       const struct mly_flow_segment *segment, struct mly_tensor *outputs)
{
    const int64_t begin_ns = lane->writer ? mly_now_ns() : 0;
    uint64_t bytes = 0;
    for (uint32_t i = 0; i < segment->output_count; i++) {
        if (!mly__split_take(task, segment->outputs[i], &outputs[i], &bytes))
            task->absent = true;
    }
    if (bytes > 0)
        mly__lane_record_copy(lane, task, true, begin_ns, lane->writer ? mly_now_ns() : 0, bytes);
}

/* Without the lock: the request's tensors of this task belong to it alone until it is completed. */
static enum mly_status run(struct mly__worker *worker, struct mly__seat *seat,
                           struct mly__task *task)
{
    const struct mly_flow *flow = task->request->pool->flow;
    uint32_t index = task->schedule.segment;
    const struct mly_flow_segment *segment = &flow->segments[index];
    const struct mly_flow_processor *processor = &flow->processors[worker->index];
    struct mly_tensor *tensors = task->request->tensors;
    for (uint32_t i = 0; i < segment->input_count; i++)
        seat->inputs[i] = task->rows > 0 ? mly__split_view(task, segment->inputs[i])
                                         : tensors[segment->inputs[i]];
    for (uint32_t i = 0; i < segment->output_count; i++)
        seat->outputs[i] = task->rows > 0 ? mly__split_output(task, segment->outputs[i], processor)
                                          : tensors[segment->outputs[i]];
    worker->error.status = MLY_OK;
    worker->error.message[0] = '\0';
    enum mly_status status =
        processor->ops->run(seat->sessions[index], seat->inputs, seat->outputs, &worker->error);
    if (status != MLY_OK) {
        worker->error.status = status;
        mly_error_prefix(&worker->error, status, "segment '%s' on %s", segment->name,
                         processor->device.id);
        return status;
    }
    record_copies(&worker->lane, processor->ops, seat->sessions[index], task);
    if (task->rows > 0)
        take_parts(&worker->lane, task, segment, seat->outputs);
    for (uint32_t i = 0; i < segment->output_count && task->rows == 0; i++)
        tensors[segment->outputs[i]] = seat->outputs[i];
    return MLY_OK;
}

/* What a back end counts of its runs; the session is this worker's. */
static const struct mly_session_info *info_of(const struct mly__worker *worker,
                                              const struct mly__seat *seat,
                                              const struct mly__task *task)
{
    const struct mly_flow *flow = task->request->pool->flow;
    return flow->processors[worker->index].ops->info(seat->sessions[task->schedule.segment]);
}

/* The engine is done with this worker: who destroys it may wait for that. */
void mly__engine_leave(mly_engine *engine)
{
    if (--engine->inside == 0 && engine->core.closing)
        pthread_cond_broadcast(&engine->quiet);
}

/* With the lock held, which it releases while the back end works. */
static void execute(struct mly__worker *worker, struct mly__task *task)
{
    struct mly__crew *crew = worker->crew;
    mly_request *request = task->request;
    mly_engine *engine = request->engine;
    struct mly__seat *seat = &engine->variants[request->pool->index].seats[worker->index];
    enum mly_status status = MLY_E_CANCELLED;
    int64_t begun_ns = mly_now_ns(), now_ns = begun_ns;
    if (mly__core_begin(task, begun_ns)) {
        pthread_mutex_unlock(&crew->lock);
        const struct mly_session_info *info = info_of(worker, seat, task), before = *info;
        status = run(worker, seat, task);
        now_ns = mly_now_ns();
        mly__lane_record_task(&worker->lane, task, now_ns, status);
        pthread_mutex_lock(&crew->lock);
        seat->tasks++;
        seat->failures += status != MLY_OK && status != MLY_E_CANCELLED;
        seat->busy_ns += now_ns - begun_ns;
        seat->slowed += info->slowed - before.slowed;
        seat->modelled_energy_j += info->modelled_energy_j - before.modelled_energy_j;
    }
    struct mly__wakes wakes = {.count = 0};
    uint32_t garbage_count = 0;
    bool notable = status != MLY_OK || task->retried || worker->marked_aside;
    if (mly__core_complete(&engine->core, task, status, &worker->error, now_ns, seat->garbage,
                           &garbage_count))
        mly__engine_interrupt(engine, request);
    if (notable && crew->timeline)
        mly__crew_mark_health(crew, now_ns);
    /*
     * Results first, while the processor still counts as busy: this thread cannot work and call
     * clients at once. If there are none, the request goes on, and what became ready is given out
     * right away.
     */
    mly__engine_deliver(engine);
    mly__core_release(&engine->core, worker->index, now_ns);
    mly__crew_dispatch(crew, now_ns, worker, &wakes);
    if (wakes.count > 0 || garbage_count > 0) {
        pthread_mutex_unlock(&crew->lock);
        mly__wakes_send(&wakes);
        for (uint32_t i = 0; i < garbage_count; i++)
            mly_tensor_fini(&seat->garbage[i]);
        pthread_mutex_lock(&crew->lock);
    }
    mly__engine_leave(engine);
}

void mly__worker_execute_given(struct mly__worker *worker)
{
    struct mly__task *task = worker->task;
    worker->task = NULL;
    if (task)
        execute(worker, task);
}

void *mly__worker_main(void *argument)
{
    struct mly__worker *worker = argument;
    struct mly__crew *crew = worker->crew;
    struct mly_error why = {0};
    /* Opening the sessions has shown that it can be done. */
    if (worker->cpu_count > 0 &&
        mly_thread_pin_set(worker->cpus, worker->cpu_count, &why) != MLY_OK)
        mly_log(MLY_LOG_WARNING, "processor %s: %s", worker->id, why.message);
    if (crew->starpu) {
        mly__starpu_work(crew->starpu, worker);
        return NULL;
    }
    pthread_mutex_lock(&crew->lock);
    for (;;) {
        while (!worker->task && !crew->stop)
            pthread_cond_wait(&worker->wake, &crew->lock);
        if (!worker->task)
            break;
        mly__worker_execute_given(worker);
    }
    pthread_mutex_unlock(&crew->lock);
    return NULL;
}

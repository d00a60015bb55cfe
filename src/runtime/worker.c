/*
 * A worker: the thread that runs one processor's tasks. It sleeps on its own condition when it
 * has none.
 */
#include <inttypes.h>

#include "base/clock.h"
#include "runtime/native.h"

/* Without the lock: the request's tensors of this task belong to it alone until it is completed. */
static enum mly_status run(struct mly__worker *worker, struct mly__task *task)
{
    const struct mly_flow *flow = &worker->engine->flow;
    uint32_t index = task->schedule.segment;
    const struct mly_flow_segment *segment = &flow->segments[index];
    const struct mly_flow_processor *processor = &flow->processors[worker->index];
    struct mly_tensor *tensors = task->request->tensors;
    for (uint32_t i = 0; i < segment->input_count; i++)
        worker->inputs[i] = tensors[segment->inputs[i]];
    for (uint32_t i = 0; i < segment->output_count; i++)
        worker->outputs[i] = tensors[segment->outputs[i]];
    worker->error.status = MLY_OK;
    worker->error.message[0] = '\0';
    enum mly_status status = processor->ops->run(worker->sessions[index], worker->inputs,
                                                 worker->outputs, &worker->error);
    if (status != MLY_OK) {
        worker->error.status = status;
        mly_error_prefix(&worker->error, status, "segment '%s' on %s", segment->name,
                         processor->device.id);
        return status;
    }
    for (uint32_t i = 0; i < segment->output_count; i++)
        tensors[segment->outputs[i]] = worker->outputs[i];
    return MLY_OK;
}

/* With the lock held, which it releases while the back end works. */
static void execute(struct mly__worker *worker, struct mly__task *task)
{
    mly_engine *engine = worker->engine;
    mly_request *request = task->request;
    enum mly_status status = MLY_E_CANCELLED;
    int64_t begun_ns = mly_now_ns(), now_ns = begun_ns;
    if (mly__core_begin(task, begun_ns)) {
        pthread_mutex_unlock(&engine->lock);
        status = run(worker, task);
        now_ns = mly_now_ns();
        pthread_mutex_lock(&engine->lock);
        worker->tasks++;
        worker->failures += status != MLY_OK && status != MLY_E_CANCELLED;
        worker->busy_ns += now_ns - begun_ns;
    }
    struct mly__wakes wakes = {.count = 0};
    uint32_t garbage_count = 0;
    if (mly__core_complete(&engine->core, task, status, &worker->error, now_ns, worker->garbage,
                           &garbage_count))
        mly__engine_interrupt(engine, request);
    /*
     * Results first, while the processor still counts as busy: this thread cannot work and call
     * clients at once. If there are none, the request goes on, and what became ready is given out
     * right away.
     */
    mly__engine_deliver(engine);
    mly__core_release(&engine->core, worker->index, now_ns);
    mly__engine_dispatch(engine, worker, &wakes);
    if (wakes.count > 0 || garbage_count > 0) {
        pthread_mutex_unlock(&engine->lock);
        mly__wakes_send(&wakes);
        for (uint32_t i = 0; i < garbage_count; i++)
            mly_tensor_fini(&worker->garbage[i]);
        pthread_mutex_lock(&engine->lock);
    }
}

static void report_opened(struct mly__worker *worker, enum mly_status status,
                          const struct mly_error *error)
{
    mly_engine *engine = worker->engine;
    engine->opening--;
    if (status != MLY_OK && !engine->open_failed) {
        engine->open_failed = true;
        engine->open_error = *error;
        engine->open_error.status = status;
    }
    pthread_cond_broadcast(&engine->opened);
}

void *mly__worker_main(void *argument)
{
    struct mly__worker *worker = argument;
    mly_engine *engine = worker->engine;
    enum mly_status status = mly__worker_open(worker, &worker->error);
    pthread_mutex_lock(&engine->lock);
    report_opened(worker, status, &worker->error);
    for (;;) {
        while (!worker->task && !engine->core.closing)
            pthread_cond_wait(&worker->wake, &engine->lock);
        struct mly__task *task = worker->task;
        if (!task)
            break;
        worker->task = NULL;
        execute(worker, task);
    }
    pthread_mutex_unlock(&engine->lock);
    return NULL;
}

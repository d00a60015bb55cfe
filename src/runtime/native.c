/* The native executor: starting and stopping it, handing out tasks, delivering results. */
#include "runtime/native.h"

#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/clock.h"

/* --- memory --- */

void mly__engine_reference(mly_engine *engine)
{
    atomic_fetch_add_explicit(&engine->references, 1, memory_order_relaxed);
}

void mly__engine_unreference(mly_engine *engine)
{
    if (atomic_fetch_sub_explicit(&engine->references, 1, memory_order_acq_rel) != 1)
        return;
    mly__core_fini(&engine->core);
    for (uint32_t i = 0; i < engine->worker_count; i++) {
        struct mly__worker *worker = &engine->workers[i];
        pthread_cond_destroy(&worker->wake);
        mly_free(worker->sessions);
        mly_free(worker->inputs);
        mly_free(worker->outputs);
        mly_free(worker->garbage);
    }
    mly_free(engine->workers);
    mly_free(engine->segment_opened);
    pthread_cond_destroy(&engine->room);
    pthread_cond_destroy(&engine->drained);
    pthread_cond_destroy(&engine->janitor_wake);
    pthread_cond_destroy(&engine->quiet);
    pthread_cond_destroy(&engine->opened);
    pthread_mutex_destroy(&engine->lock);
    mly_free(engine);
}

const struct mly_flow *mly__engine_flow(const mly_engine *engine)
{
    return &engine->flow;
}

void mly__engine_recycle(mly_engine *engine, mly_request *request)
{
    if (!request->tensors_dropped) {
        engine->recycling++;
        pthread_mutex_unlock(&engine->lock);
        mly__request_drop_tensors(&engine->flow, request);
        pthread_mutex_lock(&engine->lock);
        if (--engine->recycling == 0 && engine->core.closing)
            pthread_cond_broadcast(&engine->quiet);
    }
    mly__request_give(&engine->core.pool, request);
}

/* --- tasks --- */

void mly__wakes_send(struct mly__wakes *wakes)
{
    for (uint32_t i = 0; i < wakes->count; i++)
        pthread_cond_signal(wakes->conditions[i]);
    wakes->count = 0;
}

void mly__engine_offer_room(mly_engine *engine)
{
    if (engine->submitters > 0 && mly__core_has_room(&engine->core))
        pthread_cond_signal(&engine->room);
}

void mly__engine_dispatch(mly_engine *engine, const struct mly__worker *self,
                          struct mly__wakes *wakes)
{
    struct mly__task *task;
    while ((task = mly__core_next(&engine->core))) {
        struct mly__worker *worker = &engine->workers[task->processor];
        worker->task = task;
        if (worker == self)
            continue;
        if (wakes->count < sizeof wakes->conditions / sizeof *wakes->conditions)
            wakes->conditions[wakes->count++] = &worker->wake;
        else
            pthread_cond_signal(&worker->wake);
    }
    mly__engine_offer_room(engine);
}

void mly__engine_interrupt(mly_engine *engine, mly_request *request)
{
    for (uint32_t s = 0; s < engine->flow.segment_count; s++) {
        const struct mly__task *task = &request->tasks[s];
        if (task->state != MLY__TASK_RUNNING)
            continue;
        const struct mly_backend_ops *ops = engine->flow.processors[task->processor].ops;
        if (ops->cancel)
            ops->cancel(engine->workers[task->processor].sessions[s]);
    }
}

/* --- delivery --- */

void mly__engine_deliver(mly_engine *engine)
{
    struct mly__core *core = &engine->core;
    mly_request *request;
    while ((request = mly__core_take_finished(core, mly_now_ns()))) {
        mly__engine_offer_room(engine);
        bool failed = request->status != MLY_OK;
        if (failed || request->done) {
            pthread_mutex_unlock(&engine->lock);
            if (failed)
                mly__request_drop_tensors(&engine->flow, request);
            if (request->done)
                request->done(request, request->status, request->user);
            pthread_mutex_lock(&engine->lock);
        }
        bool oldest = request == core->first;
        mly__core_delivered(core, request);
        if (request->waiters > 0)
            pthread_cond_broadcast(&request->changed);
        if (oldest && engine->drainers > 0)
            pthread_cond_broadcast(&engine->drained);
        if (--request->references == 0)
            mly__engine_recycle(engine, request);
    }
}

void mly__engine_call_janitor(mly_engine *engine)
{
    engine->janitor_wanted = true;
    pthread_cond_signal(&engine->janitor_wake);
}

static void *janitor_main(void *argument)
{
    mly_engine *engine = argument;
    pthread_mutex_lock(&engine->lock);
    for (;;) {
        while (!engine->janitor_wanted && !engine->janitor_stop)
            pthread_cond_wait(&engine->janitor_wake, &engine->lock);
        engine->janitor_wanted = false;
        mly__engine_deliver(engine);
        if (engine->janitor_stop && !engine->janitor_wanted)
            break;
    }
    pthread_mutex_unlock(&engine->lock);
    return NULL;
}

/* --- start --- */

static enum mly_status out_of_memory(struct mly_error *err)
{
    return mly_error_set(err, MLY_E_NO_MEMORY, "no memory for an engine");
}

static enum mly_status make_workers(mly_engine *engine, struct mly_error *err)
{
    const struct mly_flow *flow = &engine->flow;
    engine->workers = mly_alloc_array(flow->processor_count, sizeof *engine->workers);
    engine->segment_opened = mly_alloc_array(flow->segment_count, sizeof *engine->segment_opened);
    if (!engine->workers || !engine->segment_opened)
        return out_of_memory(err);
    for (uint32_t i = 0; i < flow->processor_count; i++) {
        struct mly__worker *worker = &engine->workers[i];
        pthread_cond_init(&worker->wake, NULL);
        engine->worker_count++;
        worker->engine = engine;
        worker->index = i;
        worker->sessions = mly_alloc_array(flow->segment_count, sizeof *worker->sessions);
        worker->inputs = mly_alloc_array(flow->max_inputs, sizeof *worker->inputs);
        worker->outputs = mly_alloc_array(flow->max_outputs, sizeof *worker->outputs);
        worker->garbage =
            mly_alloc_array((size_t)flow->max_inputs + flow->max_outputs, sizeof *worker->garbage);
        if (!worker->sessions || !worker->inputs || !worker->outputs || !worker->garbage)
            return out_of_memory(err);
    }
    return MLY_OK;
}

static enum mly_status start_thread(pthread_t *thread, bool *has_thread, void *(*main)(void *),
                                    void *argument, const char *name, struct mly_error *err)
{
    int error = pthread_create(thread, NULL, main, argument);
    if (error != 0)
        return mly_error_set(err, MLY_E_LIMIT, "cannot start a thread for %s: %s", name,
                             strerror(error));
    *has_thread = true;
    char short_name[16]; /* what the kernel keeps */
    snprintf(short_name, sizeof short_name, "%.15s", name);
    pthread_setname_np(*thread, short_name);
    return MLY_OK;
}

/* Signals are the business of the program's own threads, so ours block them all. */
static enum mly_status start_threads(mly_engine *engine, struct mly_error *err)
{
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    enum mly_status status =
        start_thread(&engine->janitor, &engine->has_janitor, janitor_main, engine, "motley", err);
    for (uint32_t i = 0; i < engine->worker_count && status == MLY_OK; i++) {
        struct mly__worker *worker = &engine->workers[i];
        pthread_mutex_lock(&engine->lock);
        engine->opening++;
        pthread_mutex_unlock(&engine->lock);
        status = start_thread(&worker->thread, &worker->has_thread, mly__worker_main, worker,
                              engine->flow.processors[i].device.id, err);
        if (status == MLY_OK)
            continue;
        pthread_mutex_lock(&engine->lock);
        engine->opening--;
        engine->open_failed = true;
        pthread_cond_broadcast(&engine->opened);
        pthread_mutex_unlock(&engine->lock);
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return status;
}

/* Waits until every worker has opened its sessions or given up. */
static enum mly_status await_opening(mly_engine *engine, struct mly_error *err)
{
    pthread_mutex_lock(&engine->lock);
    while (engine->opening > 0)
        pthread_cond_wait(&engine->opened, &engine->lock);
    enum mly_status status = MLY_OK;
    if (engine->open_failed)
        status = mly_error_set(err, engine->open_error.status, "%s", engine->open_error.message);
    pthread_mutex_unlock(&engine->lock);
    return status;
}

static bool all_prepared(const mly_engine *engine)
{
    const struct mly_flow *flow = &engine->flow;
    for (uint32_t i = 0; i < engine->worker_count; i++) {
        for (uint32_t s = 0; s < flow->segment_count; s++) {
            mly_session *session = engine->workers[i].sessions[s];
            if (session && !flow->processors[i].ops->info(session)->prepared_copy)
                return false;
        }
    }
    return true;
}

static enum mly_status start(mly_engine *engine, enum mly_schedule_policy policy, bool ordered,
                             uint32_t capacity, struct mly_error *err)
{
    int64_t begun_ns = mly_now_ns();
    enum mly_status status =
        mly__core_init(&engine->core, &engine->flow, engine, policy, ordered, capacity, err);
    if (status == MLY_OK)
        status = make_workers(engine, err);
    if (status == MLY_OK)
        status = start_threads(engine, err);
    if (status == MLY_OK)
        status = await_opening(engine, err);
    if (status == MLY_OK)
        engine->prepared_copy = all_prepared(engine);
    engine->open_ns = mly_now_ns() - begun_ns;
    return status;
}

uint32_t mly__engine_queue_capacity(uint32_t processor_count, uint32_t in_flight)
{
    uint32_t capacity = processor_count * 4 > 16 ? processor_count * 4 : 16;
    return in_flight > capacity ? in_flight : capacity;
}

enum mly_status mly__engine_create_flow(struct mly_flow *flow,
                                        const struct mly_engine_options *options,
                                        enum mly_schedule_policy policy, mly_engine **out,
                                        struct mly_error *err)
{
    struct mly_engine_options defaults = {0};
    if (!options)
        options = &defaults;
    mly_engine *engine = mly_alloc(sizeof *engine);
    if (!engine) {
        mly_flow_fini(flow);
        return out_of_memory(err);
    }
    atomic_init(&engine->references, 1);
    engine->flow = *flow;
    *flow = (struct mly_flow){0};
    engine->no_warm_up = options->no_warm_up;
    pthread_mutex_init(&engine->lock, NULL);
    pthread_cond_init(&engine->room, NULL);
    pthread_cond_init(&engine->drained, NULL);
    pthread_cond_init(&engine->janitor_wake, NULL);
    pthread_cond_init(&engine->quiet, NULL);
    pthread_cond_init(&engine->opened, NULL);

    uint32_t capacity = options->queue_capacity;
    if (capacity == 0)
        capacity = mly__engine_queue_capacity(engine->flow.processor_count, 0);
    enum mly_status status = start(engine, policy, options->ordered, capacity, err);
    if (status != MLY_OK) {
        mly_engine_destroy(engine);
        return status;
    }
    *out = engine;
    return MLY_OK;
}

/* --- stop --- */

static void join_threads(mly_engine *engine)
{
    for (uint32_t i = 0; i < engine->worker_count; i++) {
        if (engine->workers[i].has_thread)
            pthread_join(engine->workers[i].thread, NULL);
    }
    pthread_mutex_lock(&engine->lock);
    engine->janitor_stop = true;
    pthread_cond_signal(&engine->janitor_wake);
    pthread_mutex_unlock(&engine->lock);
    if (engine->has_janitor)
        pthread_join(engine->janitor, NULL);
}

/* Results that clients still hold may live in memory of a back end, which ends now. */
static void drop_held_results(mly_engine *engine)
{
    pthread_mutex_lock(&engine->lock);
    while (engine->recycling > 0)
        pthread_cond_wait(&engine->quiet, &engine->lock);
    for (mly_request *r = engine->core.pool.all; r; r = r->all_next) {
        if (r->state == MLY__REQUEST_DONE && !r->tensors_dropped)
            mly__request_drop_tensors(&engine->flow, r);
    }
    pthread_mutex_unlock(&engine->lock);
}

void mly_engine_destroy(mly_engine *engine)
{
    if (!engine)
        return;
    pthread_mutex_lock(&engine->lock);
    mly__core_close(&engine->core);
    mly__engine_call_janitor(engine);
    for (uint32_t i = 0; i < engine->worker_count; i++)
        pthread_cond_signal(&engine->workers[i].wake);
    pthread_cond_broadcast(&engine->room);
    pthread_mutex_unlock(&engine->lock);

    join_threads(engine);
    drop_held_results(engine);
    for (uint32_t i = 0; i < engine->worker_count; i++)
        mly__worker_close_sessions(&engine->workers[i]);
    pthread_mutex_lock(&engine->lock);
    mly_flow_fini(&engine->flow);
    pthread_mutex_unlock(&engine->lock);
    mly__engine_unreference(engine);
}

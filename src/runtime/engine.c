/* The engine as its clients see it: submit, wait, cancel, drain, statistics. */
#include <motley/engine.h>

#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "runtime/native.h"
#include "runtime/split.h"

/* With the lock held: blocks while the queue is full, if it may. */
static enum mly_status await_room(mly_engine *engine, bool wait, struct mly_error *err)
{
    struct mly__core *core = &engine->core;
    while (wait && !core->closing && !mly__core_has_room(core)) {
        engine->submitters++;
        pthread_cond_wait(&engine->room, &engine->crew->lock);
        engine->submitters--;
    }
    if (core->closing)
        return mly_error_set(err, MLY_E_CLOSED, "the engine is being stopped");
    if (!mly__core_has_room(core))
        return mly_error_set(err, MLY_E_BUSY, "%u batches wait already, as many as the queue holds",
                             core->capacity);
    return MLY_OK;
}

/* With the lock held. */
static enum mly_status admit(mly_engine *engine, const struct mly_tensor *inputs,
                             size_t input_count, const struct mly_tensor *outputs, bool wait,
                             mly_request **out, struct mly_error *err)
{
    if (engine->core.closing)
        return mly_error_set(err, MLY_E_CLOSED, "the engine is being stopped");
    const struct mly_flow *flow = mly__engine_flow(engine);
    enum mly_status status = mly_flow_check_inputs(flow, inputs, input_count, err);
    if (status == MLY_OK && outputs)
        status = mly_flow_check_outputs(flow, outputs, err);
    if (status == MLY_OK)
        status = await_room(engine, wait, err);
    if (status != MLY_OK)
        return status;
    *out = mly__request_take(engine->variants[engine->ways.serving].pool);
    if (!*out)
        return mly_error_set(err, MLY_E_NO_MEMORY, "no memory for a request");
    if ((*out)->pool->flow->segments[0].shares) {
        status = mly__split_make_outputs(*out, inputs, outputs, err);
        if (status != MLY_OK) {
            mly__request_drop_tensors((*out)->pool->flow, *out);
            mly__request_give((*out)->pool, *out);
        }
    }
    return status;
}

/* With the lock held: a batch arrives, and may be the one from which on another plan is used. */
static void keep_pace(mly_engine *engine, const struct mly_tensor *inputs, bool crowded)
{
    const struct mly_flow *flow = mly__engine_flow(engine);
    uint32_t samples = flow->model ? (uint32_t)mly_model_fixed_batch(flow->model) : 0;
    if (flow->free_batch && inputs[0].shape.rank > 0 && inputs[0].shape.dims[0] > 0)
        samples = (uint32_t)inputs[0].shape.dims[0];
    (void)mly__ways_arrive(&engine->ways, engine->crew->timeline, mly_now_ns(),
                           samples > 0 ? samples : 1, crowded);
}

enum mly_status mly_engine_submit_with(mly_engine *engine, const struct mly_tensor *inputs,
                                       size_t input_count, const struct mly_tensor *outputs,
                                       const struct mly_submit_options *options, mly_request **out,
                                       struct mly_error *err)
{
    static const struct mly_submit_options defaults;
    if (!options)
        options = &defaults;
    if (!out && !options->done)
        return mly_error_set(err, MLY_E_INVALID, "a request needs a holder or a callback");
    if (options->deadline_ns < 0)
        return mly_error_set(err, MLY_E_INVALID, "a deadline of %lld ns is in the past",
                             (long long)options->deadline_ns);
    int64_t deadline_ns = options->deadline_ns > 0 ? mly_now_ns() + options->deadline_ns : 0;
    struct mly__wakes wakes = {.count = 0};
    mly_request *request = NULL;
    mly__engine_reference(engine);
    pthread_mutex_lock(&engine->crew->lock);
    if (engine->variant_count > 1 && input_count > 0)
        keep_pace(engine, inputs, !mly__core_has_room(&engine->core));
    enum mly_status status =
        admit(engine, inputs, input_count, outputs, options->wait, &request, err);
    if (status == MLY_OK) {
        int64_t now_ns = mly_now_ns();
        request->done = options->done;
        request->user = options->user;
        request->priority = options->priority;
        request->deadline_ns = deadline_ns;
        request->late_last = options->late_last;
        request->references = out ? 2 : 1;
        if (out) {
            *out = request;
            mly__engine_reference(engine);
        }
        mly__core_submit(&engine->core, request, inputs, outputs, now_ns);
        mly__crew_dispatch(engine->crew, now_ns, NULL, &wakes);
    } else {
        mly__engine_offer_room(engine); /* a place that was offered to this call is still free */
    }
    pthread_mutex_unlock(&engine->crew->lock);
    mly__wakes_send(&wakes);
    mly__engine_unreference(engine);
    return status;
}

enum mly_status mly_engine_submit(mly_engine *engine, const struct mly_tensor *inputs,
                                  size_t input_count, const struct mly_tensor *outputs, bool wait,
                                  mly_done_fn done, void *user, mly_request **out,
                                  struct mly_error *err)
{
    struct mly_submit_options options = {.wait = wait, .done = done, .user = user};
    return mly_engine_submit_with(engine, inputs, input_count, outputs, &options, out, err);
}

enum mly_status mly_request_wait(mly_request *request, struct mly_error *err)
{
    mly_engine *engine = request->engine;
    pthread_mutex_lock(&engine->crew->lock);
    request->waiters++;
    while (request->state != MLY__REQUEST_DONE)
        pthread_cond_wait(&request->changed, &engine->crew->lock);
    request->waiters--;
    enum mly_status status = request->status;
    if (status != MLY_OK)
        mly_error_set(err, status, "%s", request->error.message);
    pthread_mutex_unlock(&engine->crew->lock);
    return status;
}

void mly_request_cancel(mly_request *request)
{
    mly_engine *engine = request->engine;
    pthread_mutex_lock(&engine->crew->lock);
    if (request->state == MLY__REQUEST_ACTIVE) {
        mly__core_cancel(&engine->core, request);
        if (request->state == MLY__REQUEST_FINISHED)
            mly__engine_call_janitor(engine);
        else
            mly__engine_interrupt(engine, request);
    }
    pthread_mutex_unlock(&engine->crew->lock);
}

const struct mly_tensor *mly_request_outputs(const mly_request *request, size_t *count)
{
    mly_engine *engine = request->engine;
    pthread_mutex_lock(&engine->crew->lock);
    bool has = request->status == MLY_OK &&
               (request->state == MLY__REQUEST_DELIVERING || request->state == MLY__REQUEST_DONE);
    if (count)
        *count = has ? mly__engine_flow(engine)->output_count : 0;
    pthread_mutex_unlock(&engine->crew->lock);
    return has ? request->tensors : NULL;
}

void mly_request_times(const mly_request *request, int64_t *queue_ns, int64_t *execute_ns,
                       int64_t *total_ns)
{
    mly_engine *engine = request->engine;
    pthread_mutex_lock(&engine->crew->lock);
    if (queue_ns)
        *queue_ns = request->queue_ns;
    if (execute_ns)
        *execute_ns = request->execute_ns;
    if (total_ns)
        *total_ns = request->total_ns;
    pthread_mutex_unlock(&engine->crew->lock);
}

void mly_request_release(mly_request *request)
{
    if (!request)
        return;
    mly_engine *engine = request->engine;
    pthread_mutex_lock(&engine->crew->lock);
    if (--request->references == 0)
        mly__engine_recycle(engine, request);
    pthread_mutex_unlock(&engine->crew->lock);
    mly__engine_unreference(engine);
}

void mly_engine_drain(mly_engine *engine)
{
    mly__engine_reference(engine);
    pthread_mutex_lock(&engine->crew->lock);
    struct mly__core *core = &engine->core;
    uint64_t end = core->next_sequence;
    engine->drainers++;
    while (core->first && core->first->sequence < end)
        pthread_cond_wait(&engine->drained, &engine->crew->lock);
    engine->drainers--;
    pthread_mutex_unlock(&engine->crew->lock);
    mly__engine_unreference(engine);
}

/* Copies results into the caller's tensors; those with memory of their own have theirs already. */
static enum mly_status copy_out(const struct mly_tensor *results, struct mly_tensor *outputs,
                                size_t count, struct mly_error *err)
{
    enum mly_status status = MLY_OK;
    size_t made = 0;
    while (made < count) {
        if (!outputs[made].data)
            status = mly_tensor_dup(&results[made], &outputs[made], err);
        if (status != MLY_OK)
            break;
        outputs[made].shape = results[made].shape;
        outputs[made].size_bytes = results[made].size_bytes;
        made++;
    }
    while (status != MLY_OK && made-- > 0) {
        if (outputs[made].data != results[made].data) /* not the caller's own */
            mly_tensor_fini(&outputs[made]);
    }
    return status;
}

enum mly_status mly_engine_infer(mly_engine *engine, const struct mly_tensor *inputs,
                                 size_t input_count, struct mly_tensor *outputs,
                                 size_t output_count, struct mly_error *err)
{
    if (output_count != mly__engine_flow(engine)->output_count)
        return mly_error_set(err, MLY_E_MISMATCH, "the model has %u outputs, not %zu",
                             mly__engine_flow(engine)->output_count, output_count);
    mly_request *request = NULL;
    enum mly_status status =
        mly_engine_submit(engine, inputs, input_count, outputs, true, NULL, NULL, &request, err);
    if (status != MLY_OK)
        return status;
    status = mly_request_wait(request, err);
    if (status == MLY_OK)
        status = copy_out(mly_request_outputs(request, NULL), outputs, output_count, err);
    mly_request_release(request);
    return status;
}

/* With the lock held: what one processor did for this engine, in all its plans. */
static void fill_stats(const mly_engine *engine, uint32_t processor,
                       struct mly_processor_stats *stats)
{
    const struct mly__crew *crew = engine->crew;
    int64_t until_ns = 0;
    memcpy(stats->id, crew->workers[processor]->id, sizeof stats->id);
    for (uint32_t v = 0; v < engine->variant_count; v++) {
        const struct mly__variant *variant = &engine->variants[v];
        if (!engine->ways.ready[v] || processor >= variant->flow.processor_count)
            continue;
        stats->tasks += variant->seats[processor].tasks;
        stats->failures += variant->seats[processor].failures;
        stats->busy_ns += variant->seats[processor].busy_ns;
        stats->slowed += variant->seats[processor].slowed;
        stats->modelled_energy_j += variant->seats[processor].modelled_energy_j;
    }
    stats->set_aside = mly_scheduler_is_aside(crew->scheduler, processor, &until_ns);
    stats->retry_ns = stats->set_aside ? until_ns - mly_now_ns() : 0;
    if (stats->retry_ns < 0)
        stats->retry_ns = 0;
}

/* By any of its plans, open or not. */
static bool is_used(const mly_engine *engine, uint32_t processor)
{
    for (uint32_t v = 0; v < engine->variant_count; v++) {
        const struct mly_flow *flow = &engine->variants[v].flow;
        for (uint32_t s = 0; s < flow->segment_count; s++) {
            const struct mly_flow_segment *segment = &flow->segments[s];
            for (uint32_t i = 0; i < segment->processor_count; i++) {
                if (segment->processors[i] == processor)
                    return true;
            }
        }
    }
    return false;
}

/* With the lock held. */
static uint32_t fill_processors(const mly_engine *engine, struct mly_processor_stats *out,
                                uint32_t room)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < engine->crew->worker_count; i++) {
        if (!is_used(engine, i))
            continue;
        if (count < room)
            fill_stats(engine, i, &out[count]);
        count++;
    }
    return count;
}

uint32_t mly_engine_get_processors(mly_engine *engine, struct mly_processor_stats *out,
                                   uint32_t room)
{
    if (room > 0)
        memset(out, 0, room * sizeof *out);
    pthread_mutex_lock(&engine->crew->lock);
    uint32_t count = fill_processors(engine, out, room);
    pthread_mutex_unlock(&engine->crew->lock);
    return count;
}

void mly_engine_get_stats(mly_engine *engine, struct mly_engine_stats *out)
{
    memset(out, 0, sizeof *out);
    pthread_mutex_lock(&engine->crew->lock);
    const struct mly__core *core = &engine->core;
    out->submitted = core->submitted;
    out->completed = core->completed;
    out->failed = core->failed;
    out->cancelled = core->cancelled;
    out->late = core->late;
    out->retried = core->retried;
    out->queued = mly__core_waiting(core);
    out->running = core->on_processors;
    out->open_ns = engine->open_ns;
    out->prepared_copy = engine->prepared_copy;
    out->plan_count = engine->variant_count;
    for (uint32_t v = 0; v < engine->variant_count; v++)
        out->plans_open += engine->ways.ready[v];
    out->plan = engine->ways.serving;
    out->plan_changes = engine->ways.changes;
    out->arrivals_per_s = mly__pace_rate(&engine->ways.pace, mly_now_ns());
    const uint32_t room = sizeof out->processors / sizeof *out->processors;
    const uint32_t count = fill_processors(engine, out->processors, room);
    out->processor_count = count < room ? count : room;
    pthread_mutex_unlock(&engine->crew->lock);
}

/*
 * Opening and warming the sessions of one processor, on its own (pinned) thread, all processors
 * at once.
 *
 *   1. Pin.
 *   2. Open the segments whose first processor this is: that makes their prepared copies. Nobody
 *      waits here, so waiting in step 3 always ends.
 *   3. Open the others, each after its first session is there to share the prepared copy.
 *   4. Run every session once for each batch size of the ladder, on zeros.
 */
#include <inttypes.h>

#include "base/alloc.h"
#include "base/log.h"
#include "device/thread.h"
#include "runtime/native.h"

static bool is_on(const struct mly_flow_segment *segment, uint32_t processor)
{
    for (uint32_t i = 0; i < segment->processor_count; i++) {
        if (segment->processors[i] == processor)
            return true;
    }
    return false;
}

static bool opening_failed(mly_engine *engine)
{
    pthread_mutex_lock(&engine->lock);
    bool failed = engine->open_failed;
    pthread_mutex_unlock(&engine->lock);
    return failed;
}

static enum mly_status open_session(struct mly__worker *worker, uint32_t index,
                                    struct mly_error *err)
{
    const struct mly_flow *flow = &worker->engine->flow;
    const struct mly_flow_processor *processor = &flow->processors[worker->index];
    const struct mly_flow_segment *segment = &flow->segments[index];
    enum mly_status status = processor->ops->open(flow->model, &segment->cut, &processor->session,
                                                  &worker->sessions[index], err);
    if (status != MLY_OK)
        return mly_error_prefix(err, status, "segment '%s' on %s", segment->name,
                                processor->device.id);
    const struct mly_session_info *info = processor->ops->info(worker->sessions[index]);
    if (info->input_count != segment->input_count || info->output_count != segment->output_count)
        return mly_error_set(
            err, MLY_E_INTERNAL,
            "segment '%s' on %s: back end '%s' takes %" PRIu32 " and gives %" PRIu32
            " tensors where the segment has %" PRIu32 " and %" PRIu32,
            segment->name, processor->device.id, processor->ops->name, info->input_count,
            info->output_count, segment->input_count, segment->output_count);
    return MLY_OK;
}

/* (3) False if opening failed elsewhere. */
static bool wait_for_first(mly_engine *engine, uint32_t segment)
{
    pthread_mutex_lock(&engine->lock);
    while (!engine->segment_opened[segment] && !engine->open_failed)
        pthread_cond_wait(&engine->opened, &engine->lock);
    bool ok = !engine->open_failed;
    pthread_mutex_unlock(&engine->lock);
    return ok;
}

static void announce_first(mly_engine *engine, uint32_t segment)
{
    pthread_mutex_lock(&engine->lock);
    engine->segment_opened[segment] = true;
    pthread_cond_broadcast(&engine->opened);
    pthread_mutex_unlock(&engine->lock);
}

static enum mly_status open_all(struct mly__worker *worker, struct mly_error *err)
{
    mly_engine *engine = worker->engine;
    const struct mly_flow *flow = &engine->flow;
    for (uint32_t s = 0; s < flow->segment_count; s++) { /* (2) */
        if (flow->segments[s].processors[0] != worker->index)
            continue;
        if (opening_failed(engine))
            return MLY_OK;
        enum mly_status status = open_session(worker, s, err);
        if (status != MLY_OK)
            return status;
        announce_first(engine, s);
    }
    for (uint32_t s = 0; s < flow->segment_count; s++) { /* (3) */
        if (flow->segments[s].processors[0] == worker->index ||
            !is_on(&flow->segments[s], worker->index))
            continue;
        if (!wait_for_first(engine, s))
            return MLY_OK;
        enum mly_status status = open_session(worker, s, err);
        if (status != MLY_OK)
            return status;
    }
    return MLY_OK;
}

/*
 * One run on zeros. Only a lack of memory fails: zeros may be values that a segment cannot take
 * (a shape, say), and then the first real batch warms it.
 */
static enum mly_status warm(struct mly__worker *worker, uint32_t index, uint32_t rung,
                            struct mly_error *err)
{
    const struct mly_flow *flow = &worker->engine->flow;
    const struct mly_flow_segment *segment = &flow->segments[index];
    const struct mly_backend_ops *ops = flow->processors[worker->index].ops;
    const struct mly_shape *shapes = segment->warm_shapes + (size_t)rung * segment->input_count;
    enum mly_status status = MLY_OK;
    struct mly_error why = {0};

    for (uint32_t i = 0; i < segment->input_count; i++) {
        if (!mly_shape_is_known(&shapes[i]) || mly_dtype_bits(segment->warm_dtypes[i]) == 0)
            return MLY_OK;
    }
    for (uint32_t i = 0; i < segment->output_count; i++)
        worker->outputs[i] = (struct mly_tensor){0};
    uint32_t made = 0;
    while (made < segment->input_count && status == MLY_OK) {
        status =
            mly_tensor_init(segment->warm_dtypes[made], &shapes[made], &worker->inputs[made], &why);
        made += status == MLY_OK;
    }
    if (status == MLY_OK) {
        status = ops->run(worker->sessions[index], worker->inputs, worker->outputs, &why);
        for (uint32_t i = 0; i < segment->output_count && status == MLY_OK; i++)
            mly_tensor_fini(&worker->outputs[i]);
    }
    for (uint32_t i = 0; i < made; i++)
        mly_tensor_fini(&worker->inputs[i]);
    if (status == MLY_E_NO_MEMORY)
        return mly_error_set(err, status, "warming segment '%s' with batch %" PRIu32 ": %s",
                             segment->name, flow->ladder[rung], why.message);
    if (status != MLY_OK)
        mly_log(MLY_LOG_INFO, "segment '%s' was not warmed with batch %" PRIu32 ": %s",
                segment->name, flow->ladder[rung], why.message);
    return MLY_OK;
}

static enum mly_status warm_all(struct mly__worker *worker, struct mly_error *err)
{
    const struct mly_flow *flow = &worker->engine->flow;
    for (uint32_t s = 0; s < flow->segment_count; s++) {
        if (!worker->sessions[s] || !flow->segments[s].warm_shapes)
            continue;
        for (uint32_t rung = 0; rung < flow->ladder_count; rung++) {
            if (opening_failed(worker->engine))
                return MLY_OK;
            enum mly_status status = warm(worker, s, rung, err);
            if (status != MLY_OK)
                return status;
        }
    }
    return MLY_OK;
}

enum mly_status mly__worker_open(struct mly__worker *worker, struct mly_error *err)
{
    const struct mly_flow_processor *processor = &worker->engine->flow.processors[worker->index];
    enum mly_status status = MLY_OK;
    if (processor->pin)
        status = mly_thread_pin(processor->device.cpus[0], err); /* (1) */
    if (status != MLY_OK)
        return mly_error_prefix(err, status, "processor %s", processor->device.id);
    status = open_all(worker, err);
    if (status == MLY_OK && !worker->engine->no_warm_up)
        status = warm_all(worker, err); /* (4) */
    return status;
}

void mly__worker_close_sessions(struct mly__worker *worker)
{
    const struct mly_flow *flow = &worker->engine->flow;
    for (uint32_t s = 0; worker->sessions && s < flow->segment_count; s++) {
        if (worker->sessions[s])
            flow->processors[worker->index].ops->close(worker->sessions[s]);
        worker->sessions[s] = NULL;
    }
}

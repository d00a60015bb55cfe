/*
 * Opening and warming the sessions of a flow: a thread per processor, pinned as its worker is, all
 * at once. They end when all is open; workers of other engines go on meanwhile.
 *
 *   1. Pin.
 *   2. Open the segments whose first processor this is: that makes their prepared copies. Nobody
 *      waits here, so waiting in step 3 always ends.
 *   3. Open the others, each after its first session is there to share the prepared copy.
 *   4. Run every session once for each batch size of the ladder, on zeros.
 *
 * A session that another variant of the engine has open already is taken instead: nothing is opened, and
 * its owner has warmed it for all variants. A processor runs one task at a time, whichever variant's.
 */
#include <inttypes.h>
#include <signal.h>
#include <string.h>

#include "base/alloc.h"
#include "base/log.h"
#include "device/thread.h"
#include "model/graph.h"
#include "runtime/native.h"

struct opening {
    mly_engine *engine; /* its other variants are only looked at */
    struct mly__variant *variant;
    pthread_mutex_t lock;   /* protects all below */
    pthread_cond_t changed; /* a first session was opened, or opening failed */
    bool *segment_opened;   /* [segments]: the first session is there, and its prepared copy */
    bool failed;
    struct mly_error error; /* the first one */
};

struct opener {
    struct opening *opening;
    uint32_t index; /* of the processor */
    pthread_t thread;
    bool has_thread;
};

static enum mly_status out_of_memory(struct mly_error *err)
{
    return mly_error_set(err, MLY_E_NO_MEMORY, "no memory for an engine");
}

static bool is_on(const struct mly_flow_segment *segment, uint32_t processor)
{
    for (uint32_t i = 0; i < segment->processor_count; i++) {
        if (segment->processors[i] == processor)
            return true;
    }
    return false;
}

static bool is_used(const struct mly_flow *flow, uint32_t processor)
{
    for (uint32_t s = 0; s < flow->segment_count; s++) {
        if (is_on(&flow->segments[s], processor))
            return true;
    }
    return false;
}

static bool has_failed(struct opening *opening)
{
    pthread_mutex_lock(&opening->lock);
    if (!opening->failed && atomic_load(&opening->engine->stop_opening)) {
        opening->failed = true;
        opening->error.status =
            mly_error_set(&opening->error, MLY_E_CANCELLED, "the engine is being stopped");
        pthread_cond_broadcast(
            &opening->changed); /* who opens nothing more announces nothing more */
    }
    bool failed = opening->failed;
    pthread_mutex_unlock(&opening->lock);
    return failed;
}

/* --- what variants share --- */

static bool runs_alike(const struct mly_flow_processor *a, const struct mly_flow_processor *b)
{
    return a->ops == b->ops && strcmp(a->device.id, b->device.id) == 0 &&
           a->session.threads == b->session.threads && a->session.spin == b->session.spin &&
           a->session.pin == b->session.pin &&
           a->session.runtime_defaults == b->session.runtime_defaults &&
           a->session.no_prepared_copy == b->session.no_prepared_copy &&
           a->session.results == b->session.results;
}

static bool is_same_segment(const struct mly_flow_segment *a, const struct mly_flow_segment *b)
{
    return a->cut.node_count == b->cut.node_count && a->input_count == b->input_count &&
           a->output_count == b->output_count &&
           (a->cut.node_count == 0 ||
            memcmp(a->cut.nodes, b->cut.nodes, a->cut.node_count * sizeof *a->cut.nodes) == 0);
}

/* Where `other` would have the same session on that processor: the segment, else MLY_NO_INDEX. */
static uint32_t find_same(const struct mly_flow *flow, uint32_t segment, uint32_t processor,
                          const struct mly_flow *other)
{
    if (processor >= other->processor_count || flow->model != other->model ||
        !runs_alike(&flow->processors[processor], &other->processors[processor]))
        return MLY_NO_INDEX;
    for (uint32_t s = 0; s < other->segment_count; s++) {
        if (is_on(&other->segments[s], processor) &&
            is_same_segment(&flow->segments[segment], &other->segments[s]))
            return s;
    }
    return MLY_NO_INDEX;
}

/* The session that a variant has open already; NULL: none has. */
static mly_session *find_open(const mly_engine *engine, const struct mly_flow *flow,
                              uint32_t segment, uint32_t processor)
{
    for (uint32_t v = 0; v < engine->variant_count; v++) {
        const struct mly__variant *variant = &engine->variants[v];
        uint32_t same = engine->ways.ready[v] ? find_same(flow, segment, processor, &variant->flow)
                                              : MLY_NO_INDEX;
        if (same != MLY_NO_INDEX)
            return variant->seats[processor].sessions[same];
    }
    return NULL;
}

double mly__variant_own_share(const mly_engine *engine, const struct mly__variant *variant)
{
    const struct mly_flow *flow = &variant->flow;
    uint32_t sessions = 0, own = 0;
    for (uint32_t s = 0; s < flow->segment_count; s++) {
        for (uint32_t i = 0; i < flow->segments[s].processor_count; i++) {
            sessions++;
            own += find_open(engine, flow, s, flow->segments[s].processors[i]) == NULL;
        }
    }
    return (double)own / sessions;
}

/* --- opening --- */

static enum mly_status open_session(struct opener *opener, uint32_t index, struct mly_error *err)
{
    const struct mly_flow *flow = &opener->opening->variant->flow;
    const struct mly_flow_processor *processor = &flow->processors[opener->index];
    const struct mly_flow_segment *segment = &flow->segments[index];
    struct mly__seat *seat = &opener->opening->variant->seats[opener->index];
    mly_session **session = &seat->sessions[index];
    *session = find_open(opener->opening->engine, flow, index, opener->index);
    seat->shared[index] = *session != NULL;
    if (*session)
        return MLY_OK;
    enum mly_status status =
        processor->ops->open(flow->model, &segment->cut, &processor->session, session, err);
    if (status != MLY_OK)
        return mly_error_prefix(err, status, "segment '%s' on %s", segment->name,
                                processor->device.id);
    const struct mly_session_info *info = processor->ops->info(*session);
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
static bool wait_for_first(struct opening *opening, uint32_t segment)
{
    pthread_mutex_lock(&opening->lock);
    while (!opening->segment_opened[segment] && !opening->failed)
        pthread_cond_wait(&opening->changed, &opening->lock);
    bool ok = !opening->failed;
    pthread_mutex_unlock(&opening->lock);
    return ok;
}

static void announce_first(struct opening *opening, uint32_t segment)
{
    pthread_mutex_lock(&opening->lock);
    opening->segment_opened[segment] = true;
    pthread_cond_broadcast(&opening->changed);
    pthread_mutex_unlock(&opening->lock);
}

static enum mly_status open_all(struct opener *opener, struct mly_error *err)
{
    struct opening *opening = opener->opening;
    const struct mly_flow *flow = &opening->variant->flow;
    for (uint32_t s = 0; s < flow->segment_count; s++) { /* (2) */
        if (flow->segments[s].processors[0] != opener->index)
            continue;
        if (has_failed(opening))
            return MLY_OK;
        enum mly_status status = open_session(opener, s, err);
        if (status != MLY_OK)
            return status;
        announce_first(opening, s);
    }
    for (uint32_t s = 0; s < flow->segment_count; s++) { /* (3) */
        if (flow->segments[s].processors[0] == opener->index ||
            !is_on(&flow->segments[s], opener->index))
            continue;
        if (!wait_for_first(opening, s))
            return MLY_OK;
        enum mly_status status = open_session(opener, s, err);
        if (status != MLY_OK)
            return status;
    }
    return MLY_OK;
}

/*
 * One run on zeros. Only a lack of memory fails: zeros may be values that a segment cannot take
 * (a shape, say), and then the first real batch warms it.
 */
static enum mly_status warm(struct opener *opener, mly_session *session,
                            const struct mly_flow *flow, uint32_t index, uint32_t rung,
                            struct mly_error *err)
{
    const struct mly_flow_segment *segment = &flow->segments[index];
    const struct mly_backend_ops *ops = flow->processors[opener->index].ops;
    struct mly__seat *seat = &opener->opening->variant->seats[opener->index];
    const struct mly_shape *shapes = segment->warm_shapes + (size_t)rung * segment->input_count;
    enum mly_status status = MLY_OK;
    struct mly_error why = {0};

    for (uint32_t i = 0; i < segment->input_count; i++) {
        if (!mly_shape_is_known(&shapes[i]) || mly_dtype_bits(segment->warm_dtypes[i]) == 0)
            return MLY_OK;
    }
    for (uint32_t i = 0; i < segment->output_count; i++)
        seat->outputs[i] = (struct mly_tensor){0};
    uint32_t made = 0;
    while (made < segment->input_count && status == MLY_OK) {
        status =
            mly_tensor_init(segment->warm_dtypes[made], &shapes[made], &seat->inputs[made], &why);
        made += status == MLY_OK;
    }
    if (status == MLY_OK) {
        status = ops->run(session, seat->inputs, seat->outputs, &why);
        for (uint32_t i = 0; i < segment->output_count && status == MLY_OK; i++)
            mly_tensor_fini(&seat->outputs[i]);
    }
    for (uint32_t i = 0; i < made; i++)
        mly_tensor_fini(&seat->inputs[i]);
    if (status == MLY_E_NO_MEMORY)
        return mly_error_set(err, status, "warming segment '%s' with batch %" PRIu32 ": %s",
                             segment->name, flow->ladder[rung], why.message);
    if (status != MLY_OK)
        mly_log(MLY_LOG_INFO, "segment '%s' was not warmed with batch %" PRIu32 ": %s",
                segment->name, flow->ladder[rung], why.message);
    return MLY_OK;
}

static bool has_rung(const struct mly_flow *flow, uint32_t batch)
{
    for (uint32_t rung = 0; rung < flow->ladder_count; rung++) {
        if (flow->ladder[rung] == batch)
            return true;
    }
    return false;
}

/* Warms a session of this variant for the batches of a flow: its own, or one that will share it. */
static enum mly_status warm_for(struct opener *opener, mly_session *session,
                                const struct mly_flow *flow, uint32_t index, struct mly_error *err)
{
    const struct mly_flow *own = &opener->opening->variant->flow;
    enum mly_status status = MLY_OK;
    if (!flow->segments[index].warm_shapes)
        return MLY_OK;
    for (uint32_t rung = 0; rung < flow->ladder_count && status == MLY_OK; rung++) {
        if (has_failed(opener->opening))
            break;
        if (flow == own || !has_rung(own, flow->ladder[rung]))
            status = warm(opener, session, flow, index, rung, err);
    }
    return status;
}

static enum mly_status warm_all(struct opener *opener, struct mly_error *err)
{
    const mly_engine *engine = opener->opening->engine;
    const struct mly__variant *variant = opener->opening->variant;
    const struct mly__seat *seat = &variant->seats[opener->index];
    enum mly_status status = MLY_OK;
    for (uint32_t s = 0; s < variant->flow.segment_count && status == MLY_OK; s++) {
        if (!seat->sessions[s] || seat->shared[s])
            continue;
        status = warm_for(opener, seat->sessions[s], &variant->flow, s, err);
        for (uint32_t v = 0; v < engine->variant_count && status == MLY_OK; v++) {
            const struct mly_flow *other = &engine->variants[v].flow;
            uint32_t same = other->segments == variant->flow.segments
                                ? MLY_NO_INDEX
                                : find_same(&variant->flow, s, opener->index, other);
            if (same != MLY_NO_INDEX)
                status = warm_for(opener, seat->sessions[s], other, same, err);
        }
    }
    return status;
}

static enum mly_status open_one(struct opener *opener, struct mly_error *err)
{
    const struct mly_flow_processor *processor =
        &opener->opening->variant->flow.processors[opener->index];
    enum mly_status status = MLY_OK;
    if (processor->seat_count > 0)
        status = mly_thread_pin_set(processor->device.cpus, processor->seat_count, err); /* (1) */
    if (status != MLY_OK)
        return mly_error_prefix(err, status, "processor %s", processor->device.id);
    status = open_all(opener, err);
    if (status == MLY_OK && !opener->opening->engine->no_warm_up)
        status = warm_all(opener, err); /* (4) */
    return status;
}

static void report_failure(struct opening *opening, enum mly_status status,
                           const struct mly_error *error)
{
    pthread_mutex_lock(&opening->lock);
    if (!opening->failed) {
        opening->failed = true;
        opening->error = *error;
        opening->error.status = status;
    }
    pthread_cond_broadcast(&opening->changed);
    pthread_mutex_unlock(&opening->lock);
}

static void *opener_main(void *argument)
{
    struct opener *opener = argument;
    struct mly_error error = {0};
    enum mly_status status = open_one(opener, &error);
    if (status != MLY_OK)
        report_failure(opener->opening, status, &error);
    return NULL;
}

static void start_opener(struct opener *opener)
{
    struct mly_error error = {0};
    int failure = pthread_create(&opener->thread, NULL, opener_main, opener);
    opener->has_thread = failure == 0;
    if (failure == 0)
        return;
    const char *id = opener->opening->variant->flow.processors[opener->index].device.id;
    enum mly_status status = mly_error_set(&error, MLY_E_LIMIT, "cannot start a thread for %s: %s",
                                           id, strerror(failure));
    report_failure(opener->opening, status, &error);
}

/* Signals are the business of the program's own threads, so ours block them all. */
static enum mly_status run_openers(struct opening *opening, struct opener *openers,
                                   struct mly_error *err)
{
    const struct mly_flow *flow = &opening->variant->flow;
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    for (uint32_t i = 0; i < flow->processor_count && !has_failed(opening); i++) {
        openers[i].opening = opening;
        openers[i].index = i;
        if (is_used(flow, i))
            start_opener(&openers[i]);
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    for (uint32_t i = 0; i < flow->processor_count; i++) {
        if (openers[i].has_thread)
            pthread_join(openers[i].thread, NULL);
    }
    if (!has_failed(opening))
        return MLY_OK;
    return mly_error_set(err, opening->error.status, "%s", opening->error.message);
}

static enum mly_status make_seats(struct mly__variant *variant, struct mly_error *err)
{
    const struct mly_flow *flow = &variant->flow;
    variant->seats = mly_alloc_array(flow->processor_count, sizeof *variant->seats);
    for (uint32_t i = 0; i < flow->processor_count && variant->seats; i++) {
        struct mly__seat *seat = &variant->seats[i];
        if (!is_used(flow, i))
            continue;
        seat->sessions = mly_alloc_array(flow->segment_count, sizeof *seat->sessions);
        seat->shared = mly_alloc_array(flow->segment_count, sizeof *seat->shared);
        seat->inputs = mly_alloc_array(flow->max_inputs, sizeof *seat->inputs);
        seat->outputs = mly_alloc_array(flow->max_outputs, sizeof *seat->outputs);
        seat->garbage =
            mly_alloc_array((size_t)flow->max_inputs + flow->max_outputs, sizeof *seat->garbage);
        if (!seat->sessions || !seat->shared || !seat->inputs || !seat->outputs || !seat->garbage)
            return out_of_memory(err);
    }
    return variant->seats ? MLY_OK : out_of_memory(err);
}

enum mly_status mly__variant_open(mly_engine *engine, struct mly__variant *variant,
                                  struct mly_error *err)
{
    const struct mly_flow *flow = &variant->flow;
    struct opening opening = {.engine = engine, .variant = variant};
    pthread_mutex_init(&opening.lock, NULL);
    pthread_cond_init(&opening.changed, NULL);
    enum mly_status status = make_seats(variant, err);
    struct opener *openers = mly_alloc_array(flow->processor_count, sizeof *openers);
    opening.segment_opened = mly_alloc_array(flow->segment_count, sizeof *opening.segment_opened);
    if (status == MLY_OK && (!openers || !opening.segment_opened))
        status = out_of_memory(err);
    if (status == MLY_OK)
        status = run_openers(&opening, openers, err);
    mly_free(openers);
    mly_free(opening.segment_opened);
    pthread_cond_destroy(&opening.changed);
    pthread_mutex_destroy(&opening.lock);
    if (status != MLY_OK)
        mly__variant_close(variant);
    return status;
}

void mly__variant_close(struct mly__variant *variant)
{
    const struct mly_flow *flow = &variant->flow;
    for (uint32_t i = 0; i < flow->processor_count && variant->seats; i++) {
        struct mly__seat *seat = &variant->seats[i];
        for (uint32_t s = 0; s < flow->segment_count && seat->sessions; s++) {
            if (seat->sessions[s] && !seat->shared[s])
                flow->processors[i].ops->close(seat->sessions[s]);
        }
        mly_free(seat->sessions);
        mly_free(seat->shared);
        mly_free(seat->inputs);
        mly_free(seat->outputs);
        mly_free(seat->garbage);
        *seat = (struct mly__seat){0};
    }
    mly_free(variant->seats);
    variant->seats = NULL;
}

/* The native executor: starting and stopping engines, delivering results. */
#include "runtime/native.h"
#include "runtime/starpu.h"

#include <inttypes.h>
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
    for (uint32_t i = 0; i < engine->variant_count; i++)
        mly__request_pool_fini(&engine->variants[i].own_pool);
    mly__ways_fini(&engine->ways);
    mly_free(engine->variants);
    mly_free(engine->max_rates);
    mly_free(engine->memory_bytes);
    pthread_cond_destroy(&engine->opened);
    pthread_cond_destroy(&engine->room);
    pthread_cond_destroy(&engine->drained);
    pthread_cond_destroy(&engine->quiet);
    if (engine->crew)
        mly__crew_unreference(engine->crew);
    mly_free(engine);
}

const struct mly_flow *mly__engine_flow(const mly_engine *engine)
{
    return &engine->variants[0].flow;
}

void mly__engine_recycle(mly_engine *engine, mly_request *request)
{
    if (!request->tensors_dropped) {
        engine->recycling++;
        pthread_mutex_unlock(&engine->crew->lock);
        mly__request_drop_tensors(request->pool->flow, request);
        pthread_mutex_lock(&engine->crew->lock);
        if (--engine->recycling == 0 && engine->core.closing)
            pthread_cond_broadcast(&engine->quiet);
    }
    mly__request_give(request->pool, request);
}

/* --- delivery --- */

void mly__engine_offer_room(mly_engine *engine)
{
    if (engine->submitters > 0 && mly__core_has_room(&engine->core))
        pthread_cond_signal(&engine->room);
}

void mly__engine_interrupt(mly_engine *engine, mly_request *request)
{
    const struct mly__variant *variant = &engine->variants[request->pool->index];
    for (uint32_t t = 0; t < request->task_count; t++) {
        const struct mly__task *task = &request->tasks[t];
        if (task->state != MLY__TASK_RUNNING)
            continue;
        const struct mly_backend_ops *ops = variant->flow.processors[task->processor].ops;
        if (ops->cancel)
            ops->cancel(variant->seats[task->processor].sessions[task->schedule.segment]);
    }
}

void mly__engine_deliver(mly_engine *engine)
{
    struct mly__core *core = &engine->core;
    mly_request *request;
    int64_t now_ns;
    while ((request = mly__core_take_finished(core, now_ns = mly_now_ns()))) {
        mly__engine_offer_room(engine);
        mly__lane_record_request(engine->crew->request_writer, request, now_ns);
        bool failed = request->status != MLY_OK;
        if (failed || request->done) {
            pthread_mutex_unlock(&engine->crew->lock);
            if (failed)
                mly__request_drop_tensors(request->pool->flow, request);
            if (request->done)
                request->done(request, request->status, request->user);
            pthread_mutex_lock(&engine->crew->lock);
        }
        bool oldest = request == core->first;
        mly__core_delivered(core, request);
        if (request->waiters > 0)
            pthread_cond_broadcast(&request->changed);
        if (oldest && engine->drainers > 0)
            pthread_cond_broadcast(&engine->drained);
        if (core->closing && !core->first)
            pthread_cond_broadcast(&engine->quiet);
        if (--request->references == 0)
            mly__engine_recycle(engine, request);
    }
}

void mly__engine_call_janitor(mly_engine *engine)
{
    engine->janitor_wanted = true;
    pthread_cond_signal(&engine->crew->janitor_wake);
}

/* --- start --- */

static enum mly_status out_of_memory(struct mly_error *err)
{
    return mly_error_set(err, MLY_E_NO_MEMORY, "no memory for an engine");
}

/* Of those that are ready. */
static bool all_prepared(const mly_engine *engine)
{
    for (uint32_t v = 0; v < engine->variant_count && engine->ways.ready[v]; v++) {
        const struct mly_flow *flow = &engine->variants[v].flow;
        for (uint32_t i = 0; i < flow->processor_count; i++) {
            mly_session **sessions = engine->variants[v].seats[i].sessions;
            for (uint32_t s = 0; s < flow->segment_count && sessions; s++) {
                if (sessions[s] && !flow->processors[i].ops->info(sessions[s])->prepared_copy)
                    return false;
            }
        }
    }
    return true;
}

/* With the lock held: a group for each flow, and requests. */
static enum mly_status make_core(mly_engine *engine, bool ordered, uint32_t capacity,
                                 struct mly_error *err)
{
    mly_scheduler *scheduler = engine->crew->scheduler;
    enum mly_status status = MLY_OK;
    for (uint32_t i = 0; i < engine->variant_count && status == MLY_OK; i++) {
        struct mly__variant *variant = &engine->variants[i];
        status =
            mly__core_add_group(scheduler, &variant->flow, engine->weight, &variant->group, err);
        variant->has_group = status == MLY_OK;
    }
    if (status == MLY_OK)
        status = mly__core_init_shared(&engine->core, &engine->variants[0].flow, engine, scheduler,
                                       engine->variants[0].group, ordered, capacity, err);
    engine->variants[0].pool = &engine->core.pool;
    engine->variants[0].pool->names = engine->variants[0].names;
    if (engine->crew->starpu)
        engine->core.placer = mly__starpu_placer(engine->crew->starpu);
    for (uint32_t i = 1; i < engine->variant_count && status == MLY_OK; i++) {
        struct mly__variant *variant = &engine->variants[i];
        variant->pool = &variant->own_pool;
        status = mly__request_pool_init(variant->pool, &variant->flow, engine,
                                        engine->core.pool.count, err);
        variant->pool->index = i;
        variant->pool->names = variant->names;
        mly__core_adopt_pool(&engine->core, variant->pool, variant->group);
    }
    return status;
}

/* With the crew's `joining` held. */
static enum mly_status join(mly_engine *engine, bool ordered, uint32_t capacity,
                            struct mly_error *err)
{
    struct mly__crew *crew = engine->crew;
    enum mly_status status = MLY_OK;
    for (uint32_t i = 0; i < engine->variant_count && status == MLY_OK; i++)
        status = mly__crew_number(crew, &engine->variants[i].flow, err);
    if (status == MLY_OK)
        status = mly__variant_open(engine, &engine->variants[0], err);
    engine->ways.ready[0] = status == MLY_OK;
    uint32_t processors = 0;
    for (uint32_t i = 0; i < engine->variant_count; i++) {
        if (engine->variants[i].flow.processor_count > processors)
            processors = engine->variants[i].flow.processor_count;
    }
    if (status == MLY_OK && crew->starpu)
        status = mly__starpu_start(crew->starpu, processors, err);
    for (uint32_t i = 0; i < engine->variant_count && status == MLY_OK && crew->timeline; i++)
        status = mly__flow_names_create(crew->timeline, &engine->variants[i].flow,
                                        engine->variant_count > 1 ? i + 1 : 0, 1,
                                        &engine->variants[i].names, err);
    for (uint32_t i = 0; i < engine->variant_count && status == MLY_OK; i++)
        status = mly__crew_hire(crew, &engine->variants[i].flow, err);
    if (status != MLY_OK)
        return status;
    engine->prepared_copy = all_prepared(engine);
    pthread_mutex_lock(&crew->lock);
    status = make_core(engine, ordered, capacity, err);
    if (status == MLY_OK) {
        engine->next = crew->engines;
        crew->engines = engine;
    }
    pthread_mutex_unlock(&crew->lock);
    return status;
}

uint32_t mly__engine_queue_capacity(uint32_t processor_count, uint32_t in_flight)
{
    uint32_t capacity = processor_count * 4 > 16 ? processor_count * 4 : 16;
    return in_flight > capacity ? in_flight : capacity;
}

static enum mly_status enter_crew(mly_engine *engine, const struct mly_engine_options *options,
                                  enum mly_schedule_policy policy, struct mly_error *err)
{
    const mly_engine *beside = options->beside;
    if (!beside) {
        enum mly_status status = mly__crew_create(policy, &engine->crew, err);
        if (status != MLY_OK)
            return status;
        engine->crew->members = 1;
        return mly__crew_equip(engine->crew, options->executor, options->timeline, err);
    }
    engine->crew = beside->crew;
    atomic_fetch_add_explicit(&engine->crew->references, 1, memory_order_relaxed);
    pthread_mutex_lock(&engine->crew->lock);
    engine->crew->members++;
    pthread_mutex_unlock(&engine->crew->lock);
    return MLY_OK;
}

static void drop_flows(struct mly_flow *flows, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        mly_flow_fini(&flows[i]);
}

static double *dup_numbers(const double *numbers, uint32_t count)
{
    double *copy = mly_alloc_array(count, sizeof *copy);
    if (copy)
        memcpy(copy, numbers, count * sizeof *copy);
    return copy;
}

enum mly_status mly__engine_create_flows(struct mly_flow *flows, uint32_t count,
                                         const struct mly__family *family,
                                         const struct mly_engine_options *options,
                                         enum mly_schedule_policy policy, mly_engine **out,
                                         struct mly_error *err)
{
    struct mly_engine_options defaults = {0};
    int64_t begun_ns = mly_now_ns();
    if (!options)
        options = &defaults;
    mly_engine *engine = mly_alloc(sizeof *engine);
    struct mly__variant *variants = mly_alloc_array(count, sizeof *variants);
    double *rates = family ? dup_numbers(family->max_rates, count) : NULL;
    double *memory_bytes = family ? dup_numbers(family->memory_bytes, count) : NULL;
    struct mly__ways ways;
    if (mly__ways_init(&ways, rates, count, err) != MLY_OK || !engine || !variants ||
        (family && (!rates || !memory_bytes))) {
        mly__ways_fini(&ways);
        mly_free(engine);
        mly_free(variants);
        mly_free(rates);
        mly_free(memory_bytes);
        drop_flows(flows, count);
        return out_of_memory(err);
    }
    atomic_init(&engine->references, 1);
    engine->variants = variants;
    engine->variant_count = count;
    engine->max_rates = rates;
    engine->memory_bytes = memory_bytes;
    engine->memory_limit_bytes = family ? family->memory_limit_bytes : 0;
    atomic_init(&engine->stop_opening, false);
    engine->ways = ways;
    for (uint32_t i = 0; i < count; i++) {
        variants[i].flow = flows[i];
        flows[i] = (struct mly_flow){0};
    }
    engine->no_warm_up = options->no_warm_up;
    engine->weight = options->weight > 0 ? options->weight : 1;
    pthread_cond_init(&engine->opened, NULL);
    pthread_cond_init(&engine->room, NULL);
    pthread_cond_init(&engine->drained, NULL);
    pthread_cond_init(&engine->quiet, NULL);

    uint32_t capacity = options->queue_capacity;
    if (capacity == 0)
        capacity = mly__engine_queue_capacity(variants[0].flow.processor_count, 0);
    enum mly_status status = enter_crew(engine, options, policy, err);
    if (status == MLY_OK) {
        pthread_mutex_lock(&engine->crew->joining);
        status = join(engine, options->ordered, capacity, err);
        pthread_mutex_unlock(&engine->crew->joining);
    }
    if (status == MLY_OK)
        status = mly__variants_begin(engine, err);
    engine->open_ns = mly_now_ns() - begun_ns;
    if (status != MLY_OK) {
        mly_engine_destroy(engine);
        return status;
    }
    *out = engine;
    return MLY_OK;
}

enum mly_status mly__engine_create_flow(struct mly_flow *flow,
                                        const struct mly_engine_options *options,
                                        enum mly_schedule_policy policy, mly_engine **out,
                                        struct mly_error *err)
{
    return mly__engine_create_flows(flow, 1, NULL, options, policy, out, err);
}

/* --- stop --- */

/* With the lock held: waits until no thread of the crew has anything to do with the engine. */
static void await_quiet(mly_engine *engine)
{
    while (engine->core.first || engine->inside > 0 || engine->recycling > 0)
        pthread_cond_wait(&engine->quiet, &engine->crew->lock);
}

/* With the lock held: out of the crew's list and the scheduler. */
static void withdraw(mly_engine *engine)
{
    struct mly__crew *crew = engine->crew;
    mly_engine **link = &crew->engines;
    while (*link && *link != engine)
        link = &(*link)->next;
    if (*link)
        *link = engine->next;
    for (uint32_t i = 0; i < engine->variant_count; i++) {
        if (engine->variants[i].has_group)
            mly_scheduler_remove_group(crew->scheduler, engine->variants[i].group);
        engine->variants[i].has_group = false;
    }
}

/* Results that clients still hold may live in memory of a back end, which ends now. */
static void drop_held_results(struct mly__request_pool *pool)
{
    for (mly_request *r = pool->all; r; r = r->all_next) {
        if (r->state == MLY__REQUEST_DONE && !r->tensors_dropped)
            mly__request_drop_tensors(pool->flow, r);
    }
}

static void leave_crew(mly_engine *engine)
{
    struct mly__crew *crew = engine->crew;
    pthread_mutex_lock(&crew->lock);
    mly__core_close(&engine->core);
    if (crew->starpu)
        mly__starpu_purge(crew->starpu);
    mly__engine_call_janitor(engine);
    pthread_cond_broadcast(&engine->room);
    await_quiet(engine);
    withdraw(engine);
    drop_held_results(&engine->core.pool);
    for (uint32_t i = 1; i < engine->variant_count; i++)
        drop_held_results(&engine->variants[i].own_pool);
    pthread_mutex_unlock(&crew->lock);
    mly__crew_leave(crew);
}

void mly_engine_destroy(mly_engine *engine)
{
    if (!engine)
        return;
    mly__variants_stop(engine);
    if (engine->crew)
        leave_crew(engine);
    for (uint32_t i = 0; i < engine->variant_count; i++)
        mly__variant_close(&engine->variants[i]);
    if (engine->crew)
        pthread_mutex_lock(&engine->crew->lock);
    for (uint32_t i = 0; i < engine->variant_count; i++) {
        mly_flow_fini(&engine->variants[i].flow);
        mly__flow_names_destroy(engine->variants[i].names);
    }
    if (engine->crew)
        pthread_mutex_unlock(&engine->crew->lock);
    mly__engine_unreference(engine);
}

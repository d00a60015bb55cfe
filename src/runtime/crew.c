/* The crew: workers, janitor and scheduler that engines share. */
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "runtime/native.h"
#include "runtime/starpu.h"

/* A decision is thought over no sooner than this after it was made. */
#define REVIEW_NS 1000000

static enum mly_status out_of_memory(struct mly_error *err)
{
    return mly_error_set(err, MLY_E_NO_MEMORY, "no memory for an engine");
}

enum mly_status mly__crew_create(enum mly_schedule_policy policy, struct mly__crew **out,
                                 struct mly_error *err)
{
    struct mly__crew *crew = mly_alloc(sizeof *crew);
    if (!crew)
        return out_of_memory(err);
    enum mly_status status = mly_scheduler_create_empty(policy, &crew->scheduler, err);
    if (status != MLY_OK) {
        mly_free(crew);
        return status;
    }
    atomic_init(&crew->references, 1);
    crew->alarm_ns = INT64_MAX;
    pthread_mutex_init(&crew->joining, NULL);
    pthread_mutex_init(&crew->lock, NULL);
    pthread_condattr_t monotonic;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&crew->janitor_wake, &monotonic);
    pthread_condattr_destroy(&monotonic);
    *out = crew;
    return MLY_OK;
}

void mly__crew_unreference(struct mly__crew *crew)
{
    if (atomic_fetch_sub_explicit(&crew->references, 1, memory_order_acq_rel) != 1)
        return;
    for (uint32_t i = 0; i < crew->worker_count; i++) {
        pthread_cond_destroy(&crew->workers[i]->wake);
        mly_free(crew->workers[i]->cpus);
        mly_free(crew->workers[i]);
    }
    mly_free(crew->workers);
    mly_scheduler_destroy(crew->scheduler);
    pthread_cond_destroy(&crew->janitor_wake);
    pthread_mutex_destroy(&crew->lock);
    pthread_mutex_destroy(&crew->joining);
    mly_free(crew);
}

/* --- numbers of processors --- */

static uint32_t find_worker(const struct mly__crew *crew, const char *id)
{
    uint32_t i = 0;
    while (i < crew->worker_count && strcmp(crew->workers[i]->id, id) != 0)
        i++;
    return i;
}

/* The processors under their new numbers; those of the crew that the flow does not use as names. */
static void renumber(struct mly__crew *crew, struct mly_flow *flow,
                     struct mly_flow_processor *processors, struct mly_flow_link (*links)[2],
                     const uint32_t *numbers, uint32_t total)
{
    for (uint32_t i = 0; i < crew->worker_count; i++) {
        memcpy(processors[i].device.id, crew->workers[i]->id, sizeof processors[i].device.id);
        processors[i].ops = flow->processors[0].ops;
    }
    for (uint32_t i = 0; i < flow->processor_count; i++) {
        struct mly_flow_processor *p = &processors[numbers[i]];
        *p = flow->processors[i];
        p->session.processor = &p->device;
        if (links)
            memcpy(links[numbers[i]], flow->links[i], sizeof *links);
    }
    for (uint32_t s = 0; s < flow->segment_count; s++) {
        struct mly_flow_segment *segment = &flow->segments[s];
        for (uint32_t i = 0; i < segment->processor_count; i++)
            segment->processors[i] = numbers[segment->processors[i]];
        for (uint32_t i = 0; i < segment->cost_count; i++)
            segment->costs[i].processor = numbers[segment->costs[i].processor];
    }
    mly_free(flow->processors);
    mly_free(flow->links);
    flow->processors = processors;
    flow->links = links;
    flow->processor_count = total;
}

enum mly_status mly__crew_number(struct mly__crew *crew, struct mly_flow *flow,
                                 struct mly_error *err)
{
    if (crew->worker_count == 0)
        return MLY_OK; /* the first one's numbers are the crew's */
    uint32_t *numbers = mly_alloc_array(flow->processor_count, sizeof *numbers);
    uint32_t total = crew->worker_count;
    for (uint32_t i = 0; i < flow->processor_count && numbers; i++) {
        numbers[i] = find_worker(crew, flow->processors[i].device.id);
        if (numbers[i] == crew->worker_count)
            numbers[i] = total++;
    }
    struct mly_flow_processor *processors = mly_alloc_array(total, sizeof *processors);
    struct mly_flow_link(*links)[2] = flow->links ? mly_alloc_array(total, sizeof *links) : NULL;
    if (!numbers || !processors || (flow->links && !links)) {
        mly_free(numbers);
        mly_free(processors);
        mly_free(links);
        return out_of_memory(err);
    }
    renumber(crew, flow, processors, links, numbers, total);
    mly_free(numbers);
    return MLY_OK;
}

/* --- threads --- */

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

/* The engine that the janitor is to deliver for. */
static mly_engine *wanted(struct mly__crew *crew)
{
    mly_engine *engine = crew->engines;
    while (engine && !engine->janitor_wanted)
        engine = engine->next;
    return engine;
}

static void sleep_until(struct mly__crew *crew)
{
    if (crew->alarm_ns == INT64_MAX) {
        pthread_cond_wait(&crew->janitor_wake, &crew->lock);
        return;
    }
    struct timespec at = {.tv_sec = (time_t)(crew->alarm_ns / 1000000000),
                          .tv_nsec = (long)(crew->alarm_ns % 1000000000)};
    pthread_cond_timedwait(&crew->janitor_wake, &crew->lock, &at);
}

static void *janitor_main(void *argument)
{
    struct mly__crew *crew = argument;
    pthread_mutex_lock(&crew->lock);
    for (;;) {
        mly_engine *engine = wanted(crew);
        if (engine) {
            engine->janitor_wanted = false;
            mly__engine_deliver(engine);
            continue;
        }
        if (crew->janitor_stop)
            break;
        int64_t now_ns = mly_now_ns();
        if (now_ns < crew->alarm_ns) {
            sleep_until(crew);
            continue;
        }
        struct mly__wakes wakes = {.count = 0};
        crew->alarm_ns = INT64_MAX;
        mly__crew_dispatch(crew, now_ns, NULL, &wakes);
        mly__wakes_send(&wakes);
    }
    pthread_mutex_unlock(&crew->lock);
    return NULL;
}

static enum mly_status create_worker(struct mly__crew *crew, const struct mly_processor *device,
                                     uint32_t seat_count, struct mly__worker **out,
                                     struct mly_error *err)
{
    struct mly__worker *worker = mly_alloc(sizeof *worker);
    if (!worker)
        return out_of_memory(err);
    enum mly_status status = MLY_OK;
    worker->crew = crew;
    worker->index = crew->worker_count;
    memcpy(worker->id, device->id, sizeof worker->id);
    if (seat_count > 0) {
        worker->cpus = mly_alloc_array(seat_count, sizeof *worker->cpus);
        status = worker->cpus ? MLY_OK : out_of_memory(err);
    }
    if (status == MLY_OK) {
        worker->cpu_count = seat_count;
        for (uint32_t i = 0; i < seat_count; i++)
            worker->cpus[i] = device->cpus[i];
        if (crew->timeline)
            status = mly__lane_open(crew->timeline, device, &worker->lane, err);
    }
    if (status != MLY_OK) {
        mly_free(worker->cpus);
        mly_free(worker);
        return status;
    }
    *out = worker;
    return MLY_OK;
}

/* A worker without thread for each processor that is new. */
static enum mly_status add_workers(struct mly__crew *crew, const struct mly_flow *flow,
                                   struct mly_error *err)
{
    if (flow->processor_count <= crew->worker_count)
        return MLY_OK;
    pthread_mutex_lock(&crew->lock);
    struct mly__worker **workers =
        mly_realloc_array(crew->workers, flow->processor_count, sizeof *workers);
    if (workers)
        crew->workers = workers;
    pthread_mutex_unlock(&crew->lock);
    while (workers && crew->worker_count < flow->processor_count) {
        const struct mly_flow_processor *processor = &flow->processors[crew->worker_count];
        struct mly__worker *worker = NULL;
        enum mly_status status =
            create_worker(crew, &processor->device, processor->seat_count, &worker, err);
        if (status != MLY_OK)
            return status;
        pthread_cond_init(&worker->wake, NULL);
        pthread_mutex_lock(&crew->lock);
        crew->workers[crew->worker_count++] = worker;
        pthread_mutex_unlock(&crew->lock);
    }
    return workers ? MLY_OK : out_of_memory(err);
}

/* Signals are the business of the program's own threads, so ours block them all. */
enum mly_status mly__crew_hire(struct mly__crew *crew, const struct mly_flow *flow,
                               struct mly_error *err)
{
    enum mly_status status = add_workers(crew, flow, err);
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    if (status == MLY_OK && !crew->has_janitor)
        status =
            start_thread(&crew->janitor, &crew->has_janitor, janitor_main, crew, "motley", err);
    for (uint32_t i = 0; i < crew->worker_count && status == MLY_OK; i++) {
        struct mly__worker *worker = crew->workers[i];
        if (!worker->has_thread)
            status = start_thread(&worker->thread, &worker->has_thread, mly__worker_main, worker,
                                  worker->id, err);
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return status;
}

void mly__crew_leave(struct mly__crew *crew)
{
    pthread_mutex_lock(&crew->lock);
    bool last = --crew->members == 0;
    if (last) {
        crew->stop = crew->janitor_stop = true;
        for (uint32_t i = 0; i < crew->worker_count; i++)
            pthread_cond_signal(&crew->workers[i]->wake);
        pthread_cond_signal(&crew->janitor_wake);
    }
    pthread_mutex_unlock(&crew->lock);
    if (!last)
        return;
    for (uint32_t i = 0; i < crew->worker_count; i++) {
        if (crew->workers[i]->has_thread)
            pthread_join(crew->workers[i]->thread, NULL);
    }
    if (crew->has_janitor)
        pthread_join(crew->janitor, NULL);
    mly__starpu_destroy(crew->starpu);
    crew->starpu = NULL;
}

/* --- handing out --- */

void mly__wakes_send(struct mly__wakes *wakes)
{
    for (uint32_t i = 0; i < wakes->count; i++)
        pthread_cond_signal(wakes->conditions[i]);
    wakes->count = 0;
}

static void set_alarm(struct mly__crew *crew, int64_t at_ns)
{
    if (at_ns >= crew->alarm_ns)
        return;
    crew->alarm_ns = at_ns;
    pthread_cond_signal(&crew->janitor_wake);
}

static void wake(struct mly__worker *worker, struct mly__wakes *wakes)
{
    if (wakes->count < sizeof wakes->conditions / sizeof *wakes->conditions)
        wakes->conditions[wakes->count++] = &worker->wake;
    else
        pthread_cond_signal(&worker->wake);
}

void mly__crew_dispatch(struct mly__crew *crew, int64_t now_ns, const struct mly__worker *self,
                        struct mly__wakes *wakes)
{
    for (mly_engine *engine = crew->engines; engine; engine = engine->next) {
        if (now_ns < engine->core.next_deadline_ns)
            continue;
        mly__core_expire(&engine->core, now_ns);
        if (mly__core_has_finished(&engine->core))
            mly__engine_call_janitor(engine);
    }
    if (crew->starpu)
        mly__starpu_submit(crew->starpu, self, wakes);
    struct mly__task *task;
    while ((task = mly__scheduler_next(crew->scheduler, now_ns))) {
        struct mly__worker *worker = crew->workers[task->processor];
        worker->task = task;
        task->request->engine->inside++;
        if (worker != self)
            wake(worker, wakes);
    }
    int64_t review_ns = mly_scheduler_review_ns(crew->scheduler);
    if (review_ns < INT64_MAX)
        set_alarm(crew, review_ns > now_ns + REVIEW_NS ? review_ns : now_ns + REVIEW_NS);
    for (mly_engine *engine = crew->engines; engine; engine = engine->next) {
        mly__engine_offer_room(engine);
        if (engine->core.next_deadline_ns < INT64_MAX)
            set_alarm(crew, engine->core.next_deadline_ns);
    }
}

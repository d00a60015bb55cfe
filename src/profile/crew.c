/* Opening the sessions of one configuration and running them all at once. */
#include "profile/crew.h"

#include <pthread.h>
#include <string.h>
#include <time.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/random.h"
#include "device/thread.h"

enum { STAGE_AHEAD = 2 };
static const long watch_ns = 20000000; /* how often the stop flag is looked at during a run */

enum mly_status crew_open(const mly_model *model, const struct mly_segment *segment,
                          const mly_machine *machine, const struct mly_cost_config *config,
                          struct crew *out, struct mly_error *err)
{
    struct crew crew = {.config = *config, .ops = mly_backend_find(config->backend)};
    if (!crew.ops)
        return mly_error_set(err, MLY_E_NOT_FOUND, "there is no back end named '%s'",
                             config->backend);
    enum mly_status status =
        mly_machine_group(machine, config->groups == 1 ? MLY_GROUP_WHOLE : MLY_GROUP_COUNT,
                          config->groups, false, &crew.groups, err);
    if (status == MLY_OK) {
        crew.sessions = mly_alloc_array(config->groups, sizeof *crew.sessions);
        if (!crew.sessions)
            status =
                mly_error_set(err, MLY_E_NO_MEMORY, "no memory for %u sessions", config->groups);
    }
    for (uint32_t i = 0; status == MLY_OK && i < config->groups; i++) {
        struct mly_session_options options = {.processor = &crew.groups.items[i],
                                              .threads = config->threads,
                                              .spin = config->spin,
                                              .pin = !config->runtime_defaults,
                                              .runtime_defaults = config->runtime_defaults};
        status = crew.ops->open(model, segment, &options, &crew.sessions[i], err);
    }
    if (status != MLY_OK) {
        crew_close(&crew);
        return status;
    }
    *out = crew;
    return MLY_OK;
}

void crew_close(struct crew *crew)
{
    for (uint32_t i = 0; crew->sessions && i < crew->config.groups; i++)
        if (crew->sessions[i])
            crew->ops->close(crew->sessions[i]);
    mly_free(crew->sessions);
    mly_processor_list_fini(&crew->groups);
    *crew = (struct crew){0};
}

/* Lets all members start together, or none; and tells when all have finished. */
struct gate {
    pthread_mutex_t lock; /* protects what follows */
    pthread_cond_t changed;
    uint32_t ready, finished;
    enum { GATE_SHUT, GATE_OPEN, GATE_CALLED_OFF } state;
    uint64_t *stage_runs; /* [stage_count]; runs begun by each stage's sessions; NULL: no stages */
    uint32_t stage_count;
};

/* One group's part in a round. Written by its own thread, read after it is joined. */
struct member {
    struct crew *crew;
    uint32_t index;
    const struct mly_tensor *inputs;
    int64_t duration_ns;
    const atomic_bool *stop;
    struct gate *gate;
    struct samples times;
    int64_t elapsed_ns, last_run_ns;
    uint64_t runs;
    enum mly_status status;
    struct mly_error err;
};

/* Returns false when the round is called off. */
static bool gate_pass(struct gate *gate)
{
    pthread_mutex_lock(&gate->lock);
    gate->ready++;
    pthread_cond_broadcast(&gate->changed);
    while (gate->state == GATE_SHUT)
        pthread_cond_wait(&gate->changed, &gate->lock);
    bool open = gate->state == GATE_OPEN;
    pthread_mutex_unlock(&gate->lock);
    return open;
}

/* Once `started` members wait: opens, or calls the round off. */
static void gate_decide(struct gate *gate, uint32_t started, bool open)
{
    pthread_mutex_lock(&gate->lock);
    while (gate->ready < started)
        pthread_cond_wait(&gate->changed, &gate->lock);
    gate->state = open ? GATE_OPEN : GATE_CALLED_OFF;
    pthread_cond_broadcast(&gate->changed);
    pthread_mutex_unlock(&gate->lock);
}

static void gate_leave(struct gate *gate)
{
    pthread_mutex_lock(&gate->lock);
    gate->finished++;
    pthread_cond_broadcast(&gate->changed);
    pthread_mutex_unlock(&gate->lock);
}

/*
 * Waits until the member's stage may begin another run, and counts that. False when some member has
 * left: then nobody follows any more, and the round is over.
 */
static bool gate_begin_run(struct gate *gate, uint32_t stage)
{
    pthread_mutex_lock(&gate->lock);
    for (;;) {
        uint64_t fewest = gate->stage_runs[0];
        for (uint32_t i = 1; i < gate->stage_count; i++)
            if (gate->stage_runs[i] < fewest)
                fewest = gate->stage_runs[i];
        if (gate->finished > 0 || gate->stage_runs[stage] < fewest + STAGE_AHEAD)
            break;
        pthread_cond_wait(&gate->changed, &gate->lock);
    }
    const bool go_on = gate->finished == 0;
    gate->stage_runs[stage]++;
    pthread_cond_broadcast(&gate->changed);
    pthread_mutex_unlock(&gate->lock);
    return go_on;
}

static bool is_set(const atomic_bool *stop)
{
    return stop && atomic_load_explicit(stop, memory_order_relaxed);
}

/*
 * Waits until all started members have left. A single run may take seconds: when the user wants to
 * stop, the back end is asked to give up, again and again, since a run that begins later forgets
 * what was asked before.
 */
static void gate_wait_finished(struct gate *gate, uint32_t started, const struct crew *crew,
                               const atomic_bool *stop)
{
    pthread_mutex_lock(&gate->lock);
    while (gate->finished < started) {
        if (!stop || !crew->ops->cancel) {
            pthread_cond_wait(&gate->changed, &gate->lock);
            continue;
        }
        if (is_set(stop)) {
            pthread_mutex_unlock(&gate->lock);
            for (uint32_t i = 0; i < crew->config.groups; i++)
                crew->ops->cancel(crew->sessions[i]);
            pthread_mutex_lock(&gate->lock);
        }
        struct timespec until;
        clock_gettime(CLOCK_MONOTONIC, &until);
        until.tv_nsec += watch_ns;
        until.tv_sec += until.tv_nsec / 1000000000;
        until.tv_nsec %= 1000000000;
        if (gate->finished < started)
            pthread_cond_timedwait(&gate->changed, &gate->lock, &until);
    }
    pthread_mutex_unlock(&gate->lock);
}

static void drop_outputs(struct mly_tensor *outputs, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        mly_tensor_fini(&outputs[i]);
}

/*
 * The first run's outputs are the memory of the later runs', as in an engine. Where results are not
 * of the same shape every time, every run gets new ones.
 */
static enum mly_status run_once(struct member *member, struct mly_tensor *outputs, bool *renew)
{
    struct crew *crew = member->crew;
    mly_session *session = crew->sessions[member->index];
    uint32_t count = crew->ops->info(session)->output_count;
    if (*renew)
        drop_outputs(outputs, count);
    enum mly_status status = crew->ops->run(session, member->inputs, outputs, &member->err);
    if (status == MLY_E_MISMATCH && member->runs > 0 && !*renew) {
        *renew = true;
        drop_outputs(outputs, count);
        status = crew->ops->run(session, member->inputs, outputs, &member->err);
    }
    return status;
}

static void rest(const struct crew *crew, struct mly_random *random)
{
    const int64_t ns = (int64_t)(2 * mly_random_uniform(random) * (double)crew->rest_ns);
    const struct timespec nap = {ns / 1000000000, ns % 1000000000};
    nanosleep(&nap, NULL);
}

static enum mly_status run_loop(struct member *member, struct mly_tensor *outputs)
{
    bool renew = false;
    struct mly_random random;
    mly_random_init(&random, member->index + 1);
    int64_t start = mly_now_ns(), now = start;
    do {
        if (is_set(member->stop))
            return mly_error_set(&member->err, MLY_E_CANCELLED, "measuring was interrupted");
        if (member->gate->stage_runs &&
            !gate_begin_run(member->gate, member->crew->stages[member->index]) && member->runs > 0)
            break;
        if (member->crew->rest_ns > 0)
            rest(member->crew, &random);
        int64_t before = mly_now_ns();
        enum mly_status status = run_once(member, outputs, &renew);
        now = mly_now_ns();
        if (status == MLY_OK)
            status = samples_add(&member->times, (double)(now - before), &member->err);
        if (status != MLY_OK)
            return status;
        member->runs++;
        member->last_run_ns = now - before;
    } while (now - start < member->duration_ns);
    /* A clock may be coarser than a run. */
    member->elapsed_ns = now > start ? now - start : 1;
    return MLY_OK;
}

/* On the group's first core; the runtime's defaults leave the thread free among the cores given. */
static enum mly_status take_seat(const struct mly_processor *group, bool runtime_defaults,
                                 struct mly_error *err)
{
    if (!runtime_defaults)
        return mly_thread_pin(group->cpus[0], err);
    return group->cpu_count == 0 || mly_cpus_are_whole_box(group->cpus, group->cpu_count)
               ? MLY_OK
               : mly_thread_pin_set(group->cpus, group->cpu_count, err);
}

static void *run_member(void *argument)
{
    struct member *member = argument;
    struct crew *crew = member->crew;
    uint32_t count = crew->ops->info(crew->sessions[member->index])->output_count;
    struct mly_tensor *outputs = mly_alloc_array(count ? count : 1, sizeof *outputs);
    if (!outputs)
        member->status = mly_error_set(&member->err, MLY_E_NO_MEMORY, "no memory for outputs");
    if (member->status == MLY_OK)
        member->status = samples_reserve(&member->times, &member->err);
    if (member->status == MLY_OK)
        member->status = take_seat(&crew->groups.items[member->index],
                                   crew->config.runtime_defaults, &member->err);
    bool open = gate_pass(member->gate);
    if (open && member->status == MLY_OK)
        member->status = run_loop(member, outputs);
    if (outputs)
        drop_outputs(outputs, count);
    mly_free(outputs);
    gate_leave(member->gate);
    return NULL;
}

/* Runs every member on a thread of its own, and waits for all. */
static enum mly_status run_members(struct member *members, uint32_t count, struct mly_error *err)
{
    struct gate gate = {.lock = PTHREAD_MUTEX_INITIALIZER};
    pthread_condattr_t monotonic;
    enum mly_status status = MLY_OK;
    uint32_t started = 0;
    pthread_t *threads = mly_alloc_array(count, sizeof *threads);
    if (!threads)
        return mly_error_set(err, MLY_E_NO_MEMORY, "no memory for %u threads", count);
    const struct crew *crew = members[0].crew;
    if (crew->stages) {
        gate.stage_count = crew->stages[count - 1] + 1;
        gate.stage_runs = mly_alloc_array(gate.stage_count, sizeof *gate.stage_runs);
        if (!gate.stage_runs) {
            mly_free(threads);
            return mly_error_set(err, MLY_E_NO_MEMORY, "no memory for %u stages", gate.stage_count);
        }
    }
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&gate.changed, &monotonic);
    while (status == MLY_OK && started < count) {
        members[started].gate = &gate;
        const int number = pthread_create(&threads[started], NULL, run_member, &members[started]);
        if (number == 0)
            started++;
        else
            status =
                mly_error_set(err, MLY_E_NO_MEMORY,
                              "thread %u of %u could not be started (%s): memory or the number "
                              "of threads is limited (ulimit -v, ulimit -u, the control group)",
                              started + 1, count, strerror(number));
    }
    gate_decide(&gate, started, status == MLY_OK);
    gate_wait_finished(&gate, started, members[0].crew, members[0].stop);
    for (uint32_t i = 0; i < started; i++)
        pthread_join(threads[i], NULL);
    pthread_cond_destroy(&gate.changed);
    pthread_condattr_destroy(&monotonic);
    mly_free(gate.stage_runs);
    mly_free(threads);
    return status;
}

/*
 * Runs per second. A last run that went on for long after others had ended says how fast this
 * member is alone, and does not count.
 */
static double rate_of(const struct member *member, int64_t first_end_ns)
{
    uint64_t runs = member->runs;
    int64_t elapsed_ns = member->elapsed_ns;
    if (runs > 1 && elapsed_ns - member->last_run_ns / 2 > first_end_ns &&
        elapsed_ns > member->last_run_ns) {
        runs--;
        elapsed_ns -= member->last_run_ns;
    }
    return (double)runs / ((double)elapsed_ns / 1e9);
}

static enum mly_status gather(struct member *members, uint32_t count, uint32_t batch,
                              double *throughput_per_s, struct samples *times,
                              struct mly_error *err)
{
    struct samples sum = {0};
    double throughput = 0;
    int64_t first_end_ns = members[0].elapsed_ns;
    enum mly_status status = MLY_OK;
    for (uint32_t i = 1; i < count; i++)
        if (members[i].elapsed_ns < first_end_ns)
            first_end_ns = members[i].elapsed_ns;
    for (uint32_t i = 0; status == MLY_OK && i < count; i++) {
        struct member *member = &members[i];
        if (member->status != MLY_OK)
            status = mly_error_set(err, member->status, "%s", member->err.message);
        else
            status = samples_merge(member->crew->own ? &member->crew->own[i].times : &sum,
                                   &member->times, err);
        if (status == MLY_OK)
            throughput += rate_of(member, first_end_ns) * batch;
    }
    if (status == MLY_OK && times)
        status = samples_merge(times, &sum, err);
    samples_fini(&sum);
    if (status == MLY_OK)
        *throughput_per_s = throughput;
    return status;
}

enum mly_status crew_round(struct crew *crew, const struct mly_tensor *inputs, uint32_t batch,
                           int64_t duration_ns, const atomic_bool *stop, double *throughput_per_s,
                           struct samples *times, struct mly_error *err)
{
    uint32_t count = crew->config.groups;
    struct member *members = mly_alloc_array(count, sizeof *members);
    if (!members)
        return mly_error_set(err, MLY_E_NO_MEMORY, "no memory for %u groups", count);
    for (uint32_t i = 0; i < count; i++)
        members[i] = (struct member){
            .crew = crew, .index = i, .inputs = inputs, .duration_ns = duration_ns, .stop = stop};
    for (uint32_t i = 0; crew->own && i < count; i++)
        members[i].inputs = crew->own[i].inputs;
    enum mly_status status = run_members(members, count, err);
    if (status == MLY_OK)
        status = gather(members, count, batch, throughput_per_s, times, err);
    for (uint32_t i = 0; i < count; i++)
        samples_fini(&members[i].times);
    mly_free(members);
    return status;
}

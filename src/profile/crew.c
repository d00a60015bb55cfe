/* Opening the sessions of one configuration and running them all at once. */
#include "crew.h"

#include <pthread.h>
#include <string.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "device/thread.h"

enum { SAMPLES_MAX = 4096 };

enum mly_status samples_add(struct samples *samples, double value, struct mly_error *err)
{
    if (samples->count == SAMPLES_MAX) {
        samples->values[samples->added++ % SAMPLES_MAX] = value;
        return MLY_OK;
    }
    if (mly_array_reserve(&samples->values, &samples->capacity, samples->count + 1,
                          sizeof *samples->values) != 0)
        return mly_error_set(err, MLY_E_NO_MEMORY, "memory is short for measurements");
    samples->values[samples->count++] = value;
    samples->added++;
    return MLY_OK;
}

void samples_fini(struct samples *samples)
{
    mly_free(samples->values);
    *samples = (struct samples){0};
}

enum mly_status crew_open(const mly_model *model, const struct mly_segment *segment,
                          const mly_machine *machine, const struct mly_cost_config *config,
                          struct crew *out, struct mly_error *err)
{
    struct crew crew = {.config = *config, .ops = mly_backend_find(config->backend)};
    if (!crew.ops)
        return mly_error_set(err, MLY_E_NOT_FOUND, "there is no back end named %s",
                             config->backend);
    enum mly_status status =
        mly_machine_group(machine, config->groups == 1 ? MLY_GROUP_WHOLE : MLY_GROUP_COUNT,
                          config->groups, false, &crew.groups, err);
    if (status == MLY_OK) {
        crew.sessions = mly_alloc_array(config->groups, sizeof(mly_session *));
        if (!crew.sessions)
            status = mly_error_set(err, MLY_E_NO_MEMORY, "memory is short");
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

/* Lets all members start together, or none. */
struct gate {
    pthread_mutex_t lock; /* protects ready and state */
    pthread_cond_t changed;
    uint32_t ready;
    enum { GATE_SHUT, GATE_OPEN, GATE_CALLED_OFF } state;
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
    int64_t elapsed_ns;
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

static enum mly_status run_loop(struct member *member, struct mly_tensor *outputs)
{
    struct crew *crew = member->crew;
    mly_session *session = crew->sessions[member->index];
    int64_t start = mly_now_ns(), now = start;
    do {
        if (member->stop && atomic_load_explicit(member->stop, memory_order_relaxed))
            return mly_error_set(&member->err, MLY_E_CANCELLED, "measuring was interrupted");
        int64_t before = now;
        enum mly_status status = crew->ops->run(session, member->inputs, outputs, &member->err);
        now = mly_now_ns();
        if (status == MLY_OK)
            status = samples_add(&member->times, (double)(now - before), &member->err);
        if (status != MLY_OK)
            return status;
        member->runs++;
    } while (now - start < member->duration_ns);
    member->elapsed_ns = now - start;
    return MLY_OK;
}

static void *run_member(void *argument)
{
    struct member *member = argument;
    struct crew *crew = member->crew;
    const struct mly_session_info *info = crew->ops->info(crew->sessions[member->index]);
    struct mly_tensor *outputs =
        mly_alloc_array(info->output_count ? info->output_count : 1, sizeof *outputs);
    if (!outputs)
        member->status = mly_error_set(&member->err, MLY_E_NO_MEMORY, "memory is short");
    else if (!crew->config.runtime_defaults)
        member->status = mly_thread_pin(crew->groups.items[member->index].cpus[0], &member->err);
    bool open = gate_pass(member->gate);
    if (open && member->status == MLY_OK)
        member->status = run_loop(member, outputs);
    for (uint32_t i = 0; outputs && i < info->output_count; i++)
        mly_tensor_fini(&outputs[i]);
    mly_free(outputs);
    return NULL;
}

/* Runs every member on a thread of its own, and waits for all. */
static enum mly_status run_members(struct member *members, uint32_t count, struct mly_error *err)
{
    struct gate gate = {.lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};
    enum mly_status status = MLY_OK;
    uint32_t started = 0;
    pthread_t *threads = mly_alloc_array(count, sizeof *threads);
    if (!threads)
        return mly_error_set(err, MLY_E_NO_MEMORY, "memory is short");
    while (status == MLY_OK && started < count) {
        members[started].gate = &gate;
        if (pthread_create(&threads[started], NULL, run_member, &members[started]) == 0)
            started++;
        else
            status = mly_error_set(err, MLY_E_NO_MEMORY, "a thread could not be started");
    }
    gate_decide(&gate, started, status == MLY_OK);
    for (uint32_t i = 0; i < started; i++)
        pthread_join(threads[i], NULL);
    mly_free(threads);
    return status;
}

static enum mly_status gather(struct member *members, uint32_t count, uint32_t batch,
                              double *throughput_per_s, struct samples *times,
                              struct mly_error *err)
{
    double throughput = 0;
    for (uint32_t i = 0; i < count; i++) {
        struct member *member = &members[i];
        if (member->status != MLY_OK) {
            if (err)
                *err = member->err;
            return member->status;
        }
        throughput += (double)member->runs * batch / ((double)member->elapsed_ns / 1e9);
        for (size_t j = 0; j < member->times.count; j++) {
            enum mly_status status = samples_add(times, member->times.values[j], err);
            if (status != MLY_OK)
                return status;
        }
    }
    *throughput_per_s = throughput;
    return MLY_OK;
}

enum mly_status crew_round(struct crew *crew, const struct mly_tensor *inputs, uint32_t batch,
                           int64_t duration_ns, const atomic_bool *stop, double *throughput_per_s,
                           struct samples *times, struct mly_error *err)
{
    uint32_t count = crew->config.groups;
    struct member *members = mly_alloc_array(count, sizeof *members);
    if (!members)
        return mly_error_set(err, MLY_E_NO_MEMORY, "memory is short");
    for (uint32_t i = 0; i < count; i++)
        members[i] = (struct member){
            .crew = crew, .index = i, .inputs = inputs, .duration_ns = duration_ns, .stop = stop};
    enum mly_status status = run_members(members, count, err);
    if (status == MLY_OK)
        status = gather(members, count, batch, throughput_per_s, times, err);
    for (uint32_t i = 0; i < count; i++)
        samples_fini(&members[i].times);
    mly_free(members);
    return status;
}

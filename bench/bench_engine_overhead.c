/*
 * What the engine itself costs, with a back end that does nothing.
 *
 *   bench_engine_overhead [--quick]
 *
 * Printed, all measured on this box: time from submit to the start of the run and to the result,
 * one request at a time on an idle engine (the workers sleep: this contains waking them); time
 * and CPU time per task when the engine is saturated; CPU cores used by an engine with nothing to
 * do.
 */
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/stats.h"
#include "device/thread.h"
#include "runtime/native.h"
#include "support/fake_backend.h"
#include "support/work_backend.h"

/* --- measuring --- */

static void fail(const char *what, const struct mly_error *err)
{
    fprintf(stderr, "bench_engine_overhead: %s: %s\n", what, err->message);
    exit(1);
}

/* Worker i is pinned to cpus[i] where cpus is not NULL. */
static mly_engine *start(uint32_t processors, const char *outputs, const char *const *segments,
                         uint32_t segment_count, const uint32_t *cpus)
{
    struct mly_error err = {0};
    struct mly_flow flow;
    mly_engine *engine = NULL;
    if (fake_flow_init(&work_ops, "0", outputs, processors, segments, segment_count, &flow, &err) !=
        MLY_OK)
        fail("starting", &err);
    for (uint32_t i = 0; i < processors && cpus; i++) {
        struct mly_flow_processor *processor = &flow.processors[i];
        processor->device.cpus = mly_alloc(sizeof *cpus);
        if (!processor->device.cpus)
            exit(1);
        processor->device.cpus[0] = cpus[i];
        processor->device.cpu_count = 1;
        processor->seat_count = 1;
    }
    if (mly__engine_create_flow(&flow, NULL, MLY_SCHEDULE_EARLIEST, &engine, &err) != MLY_OK)
        fail("starting", &err);
    return engine;
}

static int64_t memory[FAKE_WIDTH];

static struct mly_tensor input(void)
{
    struct mly_tensor tensor;
    fake_fill(&tensor, memory, 1, 1, 0);
    return tensor;
}

static void print_series(const char *what, double *ns, size_t count)
{
    struct mly_summary s = mly_summarise(ns, count);
    double p999 = mly_percentile(ns, count, 0.999);
    printf("  %-28s p50 %6.2f   p90 %6.2f   p99 %6.2f   p99.9 %7.2f us\n", what, s.median / 1e3,
           s.p90 / 1e3, s.p99 / 1e3, p999 / 1e3);
}

static void one_at_a_time(mly_engine *engine, size_t count, const char *title)
{
    double *to_start = calloc(count, sizeof *to_start),
           *round_trip = calloc(count, sizeof *to_start);
    struct mly_tensor in = input();
    struct mly_error err = {0};
    if (!to_start || !round_trip)
        exit(1);
    for (size_t i = 0; i < count; i++) {
        mly_request *request = NULL;
        int64_t begin_ns = mly_now_ns();
        if (mly_engine_submit(engine, &in, 1, NULL, true, NULL, NULL, &request, &err) != MLY_OK ||
            mly_request_wait(request, &err) != MLY_OK)
            fail("running", &err);
        round_trip[i] = (double)(mly_now_ns() - begin_ns);
        to_start[i] = (double)(work_began_ns() - begin_ns);
        mly_request_release(request);
    }
    printf("%s, one request at a time (%zu requests)\n", title, count);
    print_series("submit to start of last task", to_start, count);
    print_series("submit to result", round_trip, count);
    free(to_start);
    free(round_trip);
}

/* --- the floor: two threads and a condition variable each, nothing else --- */

struct pair {
    pthread_mutex_t lock;
    pthread_cond_t ping, pong;
    uint64_t asked, answered, end;
    int64_t woken_ns;
};

static void *answer(void *argument)
{
    struct pair *pair = argument;
    pthread_mutex_lock(&pair->lock);
    while (pair->answered < pair->end) {
        while (pair->asked == pair->answered)
            pthread_cond_wait(&pair->ping, &pair->lock);
        pair->woken_ns = mly_now_ns();
        pair->answered++;
        pthread_cond_signal(&pair->pong);
    }
    pthread_mutex_unlock(&pair->lock);
    return NULL;
}

static void bare_threads(size_t count)
{
    double *to_start = calloc(count, sizeof *to_start),
           *round_trip = calloc(count, sizeof *to_start);
    struct pair pair = {.lock = PTHREAD_MUTEX_INITIALIZER,
                        .ping = PTHREAD_COND_INITIALIZER,
                        .pong = PTHREAD_COND_INITIALIZER,
                        .end = count};
    pthread_t thread;
    if (!to_start || !round_trip || pthread_create(&thread, NULL, answer, &pair) != 0)
        exit(1);
    pthread_mutex_lock(&pair.lock);
    for (size_t i = 0; i < count; i++) {
        int64_t begin_ns = mly_now_ns();
        pair.asked++;
        pthread_cond_signal(&pair.ping);
        while (pair.answered < pair.asked)
            pthread_cond_wait(&pair.pong, &pair.lock);
        round_trip[i] = (double)(mly_now_ns() - begin_ns);
        to_start[i] = (double)(pair.woken_ns - begin_ns);
    }
    pthread_mutex_unlock(&pair.lock);
    pthread_join(thread, NULL);
    printf("no engine, two threads that wake each other (%zu times): the floor of what follows\n",
           count);
    print_series("signal to woken", to_start, count);
    print_series("signal to answer", round_trip, count);
    free(to_start);
    free(round_trip);
}

static void ignore(mly_request *request, enum mly_status status, void *user)
{
    (void)request;
    (void)status;
    (void)user;
}

static void saturated(mly_engine *engine, size_t count, uint32_t tasks_each, const char *title)
{
    struct mly_tensor in = input();
    struct mly_error err = {0};
    int64_t begin_ns = mly_now_ns(), begin_cpu_ns = mly_cpu_time_ns();
    for (size_t i = 0; i < count; i++) {
        if (mly_engine_submit(engine, &in, 1, NULL, true, ignore, NULL, NULL, &err) != MLY_OK)
            fail("running", &err);
    }
    mly_engine_drain(engine);
    double wall = (double)(mly_now_ns() - begin_ns),
           cpu = (double)(mly_cpu_time_ns() - begin_cpu_ns);
    double tasks = (double)count * tasks_each;
    printf("%s, saturated: %.2f us per task, %.2f us of CPU per task (submitting included)\n",
           title, wall / tasks / 1e3, cpu / tasks / 1e3);
}

/*
 * A worker's own time from task to task, without submitting and waking: all requests are queued
 * first.
 */
static _Atomic bool gate_open;

static int64_t first_done_ns, last_done_ns; /* written by the only worker */

static void note_time(mly_request *request, enum mly_status status, void *user)
{
    (void)request;
    (void)status;
    (void)user;
    last_done_ns = mly_now_ns();
    if (first_done_ns == 0)
        first_done_ns = last_done_ns;
}

static enum mly_status gated_run(mly_session *session, const struct mly_tensor *inputs,
                                 struct mly_tensor *outputs, struct mly_error *err)
{
    struct timespec pause = {.tv_nsec = 1000000};
    while (!atomic_load(&gate_open))
        nanosleep(&pause, NULL);
    return work_ops.run(session, inputs, outputs, err);
}

static void between_tasks(size_t count)
{
    static const char *const whole[] = {"0>1@0"};
    struct mly_backend_ops ops = work_ops;
    ops.run = gated_run;
    struct mly_flow flow;
    struct mly_error err = {0};
    mly_engine *engine = NULL;
    struct mly_engine_options options = {.queue_capacity = (uint32_t)count, .no_warm_up = true};
    if (fake_flow_init(&ops, "0", "1", 1, whole, 1, &flow, &err) != MLY_OK ||
        mly__engine_create_flow(&flow, &options, MLY_SCHEDULE_EARLIEST, &engine, &err) != MLY_OK)
        fail("starting", &err);
    struct mly_tensor in = input();
    for (size_t i = 0; i < count; i++) {
        if (mly_engine_submit(engine, &in, 1, NULL, true, note_time, NULL, NULL, &err) != MLY_OK)
            fail("running", &err);
    }
    atomic_store(&gate_open, true);
    mly_engine_drain(engine);
    printf("one processor, queue full: %.2f us from task to task on the worker\n",
           (double)(last_done_ns - first_done_ns) / (double)(count - 1) / 1e3);
    mly_engine_destroy(engine);
}

static void idle(double seconds)
{
    struct timespec nap = {.tv_sec = (time_t)seconds,
                           .tv_nsec = (long)((seconds - (double)(time_t)seconds) * 1e9)};
    int64_t begin_ns = mly_now_ns(), begin_cpu_ns = mly_cpu_time_ns();
    nanosleep(&nap, NULL);
    printf("idle: %.4f cores over %.1f s\n",
           (double)(mly_cpu_time_ns() - begin_cpu_ns) / (double)(mly_now_ns() - begin_ns), seconds);
}

/* Two CPUs that this process may use. */
static bool two_cpus(uint32_t cpus[2])
{
    cpu_set_t allowed;
    uint32_t found = 0;
    if (sched_getaffinity(0, sizeof allowed, &allowed) != 0)
        return false;
    for (uint32_t cpu = 0; cpu < CPU_SETSIZE && found < 2; cpu++) {
        if (CPU_ISSET(cpu, &allowed))
            cpus[found++] = cpu;
    }
    return found == 2;
}

int main(int argument_count, char **arguments)
{
    static const char *const whole[] = {"0>1@0"};
    static const char *const replicas[] = {"0>1@0 1"};
    static const char *const chain[] = {"0>1@0", "1>2@1", "2>3@2"};
    bool quick = argument_count > 1 && strcmp(arguments[1], "--quick") == 0;
    size_t few = quick ? 1000 : 20000, many = quick ? 10000 : 300000;

    bare_threads(few);
    mly_engine *engine = start(1, "1", whole, 1, NULL);
    one_at_a_time(engine, few, "one segment on one processor");
    saturated(engine, many, 1, "one segment on one processor");
    idle(quick ? 0.5 : 2);
    mly_engine_destroy(engine);

    uint32_t cpus[2];
    if (two_cpus(cpus)) { /* waking goes from core to core, as it does in plans that pin */
        engine = start(1, "1", whole, 1, &cpus[1]);
        cpu_set_t before;
        sched_getaffinity(0, sizeof before, &before);
        struct mly_error err = {0};
        if (mly_thread_pin(cpus[0], &err) != MLY_OK)
            fail("pinning", &err);
        one_at_a_time(engine, few, "one segment on one processor, client and worker on two cores");
        saturated(engine, many, 1, "one segment on one processor, client and worker on two cores");
        sched_setaffinity(0, sizeof before, &before);
        mly_engine_destroy(engine);
    }

    engine = start(2, "1", replicas, 1, NULL);
    saturated(engine, many, 1, "one segment on two processors");
    mly_engine_destroy(engine);

    engine = start(3, "3", chain, 3, NULL);
    one_at_a_time(engine, few, "three segments on three processors");
    saturated(engine, many / 3, 3, "three segments on three processors");
    idle(quick ? 0.5 : 2);
    mly_engine_destroy(engine);

    between_tasks(many / 10);
    return 0;
}

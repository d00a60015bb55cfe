/*
 * How soon an engine adapts to a processor that becomes slow.
 *
 *   bench_adapt [--quick]
 *
 * Two processors, each one pinned core; tasks are a fixed amount of arithmetic, some 5 ms. As many
 * batches are in flight as plans ask for, two per processor. In mid-run two threads that only spin
 * are pinned to the first one's core, so that it is left a third of it. Printed, all measured here:
 * what both processors do together against the sum of what each does alone, without and with the
 * load, in slices of half a second after the load began, for each policy.
 */
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "device/thread.h"
#include "runtime/native.h"
#include "support/fake_backend.h"
#include "support/work_backend.h"

enum { SLICES = 10 };

static uint64_t rounds;              /* of arithmetic per task */
static _Atomic uint64_t done_count;  /* tasks */
static _Atomic bool stop, load_stop; /* submitting; spinning */

static void fail(const char *what, const struct mly_error *err)
{
    fprintf(stderr, "bench_adapt: %s: %s\n", what, err->message);
    exit(1);
}

/* --- the back end: arithmetic --- */

static uint64_t compute(uint64_t count)
{
    volatile uint64_t result = 1;
    uint64_t x = 88172645463325252u;
    for (uint64_t i = 0; i < count; i++) {
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
    }
    result = x;
    return result;
}

static enum mly_status run_session(mly_session *session, const struct mly_tensor *inputs,
                                   struct mly_tensor *outputs, struct mly_error *err)
{
    (void)session;
    (void)err;
    (void)compute(rounds);
    outputs[0] = inputs[0];
    outputs[0].release = NULL;
    return MLY_OK;
}

/* --- a stream of so many batches in flight --- */

struct stream {
    mly_engine *engine;
    struct mly_tensor input;
    int64_t memory[FAKE_WIDTH];
};

static void next(mly_request *request, enum mly_status status, void *user)
{
    struct stream *stream = user;
    (void)request;
    (void)status;
    done_count++;
    if (!stop && mly_engine_submit(stream->engine, &stream->input, 1, NULL, false, next, stream,
                                   NULL, NULL) != MLY_OK)
        abort(); /* there is room: one has just left */
}

static void begin(struct stream *stream, uint32_t processors, const uint32_t *cpus,
                  enum mly_schedule_policy policy)
{
    static const char *const segments[] = {"0>1@0", "0>1@0 1"};
    struct mly_error err = {0};
    struct mly_flow flow;
    struct mly_engine_options options = {.no_warm_up = true};
    static struct mly_backend_ops ops; /* engines borrow it */
    ops = work_ops;
    ops.run = run_session;
    if (fake_flow_init(&ops, "0", "1", processors, &segments[processors - 1], 1, &flow, &err) !=
        MLY_OK)
        fail("starting", &err);
    for (uint32_t i = 0; i < processors; i++) {
        flow.processors[i].device.cpus = mly_alloc(sizeof *cpus);
        if (!flow.processors[i].device.cpus)
            exit(1);
        flow.processors[i].device.cpus[0] = cpus[i];
        flow.processors[i].device.cpu_count = 1;
        flow.processors[i].seat_count = 1;
    }
    if (mly__engine_create_flow(&flow, &options, policy, &stream->engine, &err) != MLY_OK)
        fail("starting", &err);
    fake_fill(&stream->input, stream->memory, 1, 1, 0);
    stop = false;
    for (uint32_t i = 0; i < 2 * processors; i++) {
        if (mly_engine_submit(stream->engine, &stream->input, 1, NULL, true, next, stream, NULL,
                              &err) != MLY_OK)
            fail("running", &err);
    }
}

static void end(struct stream *stream)
{
    stop = true;
    mly_engine_drain(stream->engine);
    mly_engine_destroy(stream->engine);
}

/* Tasks per second over so long. */
static double rate_over(double seconds)
{
    struct timespec nap = {.tv_sec = (time_t)seconds,
                           .tv_nsec = (long)((seconds - (double)(time_t)seconds) * 1e9)};
    uint64_t before = done_count;
    int64_t begin_ns = mly_now_ns();
    nanosleep(&nap, NULL);
    return (double)(done_count - before) * 1e9 / (double)(mly_now_ns() - begin_ns);
}

static double alone(const uint32_t *cpu, double seconds)
{
    struct stream stream;
    begin(&stream, 1, cpu, MLY_SCHEDULE_EARLIEST);
    (void)rate_over(0.2);
    double rate = rate_over(seconds);
    end(&stream);
    return rate;
}

/* --- the load --- */

static uint32_t loaded_cpu;

static void *spin(void *argument)
{
    (void)argument;
    struct mly_error err = {0};
    if (mly_thread_pin(loaded_cpu, &err) != MLY_OK)
        fail("pinning the load", &err);
    while (!load_stop)
        (void)compute(100000);
    return NULL;
}

static void load(pthread_t threads[2], bool on)
{
    load_stop = !on;
    for (int i = 0; i < 2; i++) {
        if (on && pthread_create(&threads[i], NULL, spin, NULL) != 0)
            exit(1);
        if (!on)
            pthread_join(threads[i], NULL);
    }
}

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
    bool quick = argument_count > 1 && strcmp(arguments[1], "--quick") == 0;
    double seconds = quick ? 0.5 : 3;
    uint32_t cpus[2];
    pthread_t threads[2];
    if (!two_cpus(cpus)) {
        printf("bench_adapt: two cores are needed\n");
        return 0;
    }
    loaded_cpu = cpus[0];
    int64_t begin_ns = mly_now_ns();
    (void)compute(10000000);
    rounds = (uint64_t)(10000000 * 5e6 / (double)(mly_now_ns() - begin_ns));

    double usual = alone(&cpus[0], seconds) + alone(&cpus[1], seconds);
    load(threads, true);
    double loaded = alone(&cpus[0], seconds) + alone(&cpus[1], seconds);
    load(threads, false);
    printf("alone, the sum of both: %.1f tasks/s; with a load on the first one's core: %.1f\n",
           usual, loaded);
    for (int i = 0; i < MLY_SCHEDULE_POLICY_COUNT; i++) {
        struct stream stream;
        enum mly_schedule_policy policy = (enum mly_schedule_policy)i;
        begin(&stream, 2, cpus, policy);
        (void)rate_over(0.2);
        double together = rate_over(seconds);
        printf("%-16s together %.3f of the sum; after the load began",
               mly_schedule_policy_name(policy), together / usual);
        load(threads, true);
        for (int slice = 0; slice < (quick ? 2 : SLICES); slice++)
            printf(" %.2f", rate_over(0.5) / loaded);
        load(threads, false);
        printf(" of the loaded sum\n");
        end(&stream);
    }
    return 0;
}

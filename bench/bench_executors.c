/*
 * The native executor against StarPU, on the same plans in the same run.
 *
 *   bench_executors [--quick] [--seconds S] [PLAN.json…]
 *
 * Plans: some of tasks that compute nothing, or keep their processor busy for 100 us; and the plans
 * given. Printed, all measured on this box, per plan and StarPU policy: throughput with the queue
 * full, and one request at a time the time from submit to the start of its last task (plans given:
 * not known) and to its result; each as medians over rounds in which the two take turns, with the
 * median of the rounds' ratios. And the CPU cores that an engine with nothing to do uses.
 *
 * Waking a thread on another core takes ten times as long as on one's own. Left to the kernel, who sits
 * where is chance, and the ratios with it: workers are pinned, and the client that sends one request at
 * a time sits on each of the first two cores in turn (the mean of both medians is a round's figure).
 */
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <motley/engine.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/stats.h"
#include "device/thread.h"
#include "plan/plan.h"
#include "runtime/native.h"
#include "runtime/starpu.h"
#include "support/fake_backend.h"
#include "support/work_backend.h"
#include "tensorio/raw.h"

enum { ROUNDS = 9, SOLO_MAX = 2000, INPUTS_MAX = 16 };

static const char *const policies[] = {"starpu:dmda", "starpu:eager"};

/* A plan to run, and what to feed it. */
struct subject {
    const char *name;
    const char *outputs; /* made-up plans, as in fake_flow_init; NULL: a real one */
    const char *const *segments;
    uint32_t segment_count, processors;
    int64_t work_ns;
    mly_model *model;
    mly_plan *plan;
    struct mly_tensor inputs[INPUTS_MAX];
    size_t input_count;
    int64_t memory[FAKE_WIDTH];
};

/* What one executor did, by round. */
struct series {
    double per_s[ROUNDS], start_ns[ROUNDS], trip_ns[ROUNDS];
};

static size_t solo_count;
static double slice_s;
static uint32_t seats[2], seat_count; /* CPUs that workers and client sit on */

static void check(enum mly_status status, const struct mly_error *err)
{
    if (status == MLY_OK)
        return;
    fprintf(stderr, "bench_executors: %s\n", err->message);
    exit(1);
}

/* The first CPUs that this process may use. */
static void find_seats(void)
{
    cpu_set_t set;
    CPU_ZERO(&set);
    if (sched_getaffinity(0, sizeof set, &set) == 0)
        for (uint32_t cpu = 0; cpu < CPU_SETSIZE && seat_count < 2; cpu++)
            if (CPU_ISSET(cpu, &set))
                seats[seat_count++] = cpu;
    if (seat_count == 0)
        seat_count = 1; /* CPU 0 */
}

static void pin_workers(struct mly_flow *flow)
{
    for (uint32_t p = 0; p < flow->processor_count; p++) {
        struct mly_processor *device = &flow->processors[p].device;
        mly_free(device->cpus);
        if (!(device->cpus = mly_alloc_array(1, sizeof *device->cpus)))
            abort();
        device->cpus[0] = seats[p % seat_count];
        device->cpu_count = 1;
        flow->processors[p].seat_count = 1;
    }
}

static mly_engine *start(const struct subject *subject, const char *executor)
{
    struct mly_error err = {0};
    struct mly_engine_options options = {.executor = executor};
    mly_engine *engine = NULL;
    if (!subject->outputs) {
        check(mly_engine_create(subject->model, subject->plan, &options, &engine, &err), &err);
        return engine;
    }
    struct mly_flow flow;
    check(fake_flow_init(&work_ops, "0", subject->outputs, subject->processors, subject->segments,
                         subject->segment_count, &flow, &err),
          &err);
    pin_workers(&flow);
    check(mly__engine_create_flow(&flow, &options, MLY_SCHEDULE_EARLIEST, &engine, &err), &err);
    return engine;
}

static void ignore(mly_request *request, enum mly_status status, void *user)
{
    (void)request;
    (void)status;
    (void)user;
}

/* Requests per second with the queue full. */
static double saturate(mly_engine *engine, const struct subject *subject, size_t count)
{
    struct mly_error err = {0};
    int64_t begin_ns = mly_now_ns();
    for (size_t i = 0; i < count; i++)
        check(mly_engine_submit(engine, subject->inputs, subject->input_count, NULL, true, ignore,
                                NULL, NULL, &err),
              &err);
    mly_engine_drain(engine);
    return (double)count * 1e9 / (double)(mly_now_ns() - begin_ns);
}

/* From one seat: medians. */
static void trips(mly_engine *engine, const struct subject *subject, size_t count, double *start_ns,
                  double *trip_ns)
{
    static double to_start[SOLO_MAX], to_result[SOLO_MAX];
    struct mly_error err = {0};
    for (size_t i = 0; i < count; i++) {
        mly_request *request = NULL;
        int64_t begin_ns = mly_now_ns();
        check(mly_engine_submit(engine, subject->inputs, subject->input_count, NULL, true, NULL,
                                NULL, &request, &err),
              &err);
        check(mly_request_wait(request, &err), &err);
        to_result[i] = (double)(mly_now_ns() - begin_ns);
        to_start[i] = (double)(work_began_ns() - begin_ns);
        mly_request_release(request);
    }
    *start_ns += mly_percentile(to_start, count, 0.5) / seat_count;
    *trip_ns += mly_percentile(to_result, count, 0.5) / seat_count;
}

static void one_at_a_time(mly_engine *engine, const struct subject *subject, size_t count,
                          double *start_ns, double *trip_ns)
{
    struct mly_error err = {0};
    *start_ns = *trip_ns = 0;
    for (uint32_t i = 0; i < seat_count; i++) {
        check(mly_thread_pin(seats[i], &err), &err);
        trips(engine, subject, count / seat_count, start_ns, trip_ns);
    }
    check(mly_thread_pin_set(seats, seat_count, &err), &err);
}

static double idle_cores(void)
{
    struct timespec nap = {.tv_sec = (time_t)slice_s + 1};
    int64_t begin_ns = mly_now_ns(), cpu_ns = mly_cpu_time_ns();
    nanosleep(&nap, NULL);
    return (double)(mly_cpu_time_ns() - cpu_ns) / (double)(mly_now_ns() - begin_ns);
}

static double median(const double *values)
{
    double copy[ROUNDS];
    memcpy(copy, values, sizeof copy);
    return mly_percentile(copy, ROUNDS, 0.5);
}

static double median_ratio(const double *a, const double *b)
{
    double ratios[ROUNDS];
    for (int i = 0; i < ROUNDS; i++)
        ratios[i] = b[i] > 0 ? a[i] / b[i] : 0;
    return mly_percentile(ratios, ROUNDS, 0.5);
}

static void print_row(const char *who, const struct series *s, bool real, double idle)
{
    printf("  %-14s %10.1f /s", who, median(s->per_s));
    if (!real)
        printf("   submit to start %8.2f us", median(s->start_ns) / 1e3);
    printf("   to result %10.2f us   idle %.4f cores\n", median(s->trip_ns) / 1e3, idle);
}

static void compare(const struct subject *subject, const char *policy)
{
    struct series native = {0}, starpu = {0};
    bool real = !subject->outputs;
    work_set_ns(subject->work_ns);
    mly_engine *engines[2] = {start(subject, NULL), NULL};
    double idle_native = idle_cores();
    engines[1] = start(subject, policy);
    double idle_both = idle_cores();

    size_t count = 64;
    double rate = saturate(engines[0], subject, count);
    saturate(engines[1], subject, count);
    count = (size_t)(rate * slice_s) + 8;
    size_t solo = (size_t)(rate * slice_s / 2) + 4;
    if (solo > solo_count)
        solo = solo_count;
    for (int round = 0; round < ROUNDS; round++) {
        for (int turn = 0; turn < 2; turn++) {
            int who = (turn + round) % 2;
            struct series *s = who ? &starpu : &native;
            s->per_s[round] = saturate(engines[who], subject, count);
            one_at_a_time(engines[who], subject, solo, &s->start_ns[round], &s->trip_ns[round]);
        }
    }
    printf("%s\n", subject->name);
    print_row("native", &native, real, idle_native);
    print_row(policy, &starpu, real, idle_both - idle_native > 0 ? idle_both - idle_native : 0);
    printf("  native over StarPU: throughput %.3fx", median_ratio(native.per_s, starpu.per_s));
    if (!real)
        printf(", time to start %.3fx", median_ratio(native.start_ns, starpu.start_ns));
    printf(", time to result %.3fx\n", median_ratio(native.trip_ns, starpu.trip_ns));
    fflush(stdout);
    mly_engine_destroy(engines[0]);
    mly_engine_destroy(engines[1]);
}

/* --- subjects --- */

static void compare_made_up(void)
{
    static const char *const whole[] = {"0>1@0"};
    static const char *const replicas[] = {"0>1@0 1"};
    static const char *const chain[] = {"0>1@0", "1>2@1", "2>3@2"};
    static struct subject subjects[] = {
        {.name = "one segment on one processor, tasks of no length",
         .outputs = "1",
         .segments = whole,
         .segment_count = 1,
         .processors = 1},
        {.name = "one segment on two processors, tasks of no length",
         .outputs = "1",
         .segments = replicas,
         .segment_count = 1,
         .processors = 2},
        {.name = "one segment on two processors, tasks of 100 us",
         .outputs = "1",
         .segments = replicas,
         .segment_count = 1,
         .processors = 2,
         .work_ns = 100000},
        {.name = "three segments on three processors, tasks of no length",
         .outputs = "3",
         .segments = chain,
         .segment_count = 3,
         .processors = 3},
    };
    for (size_t i = 0; i < sizeof subjects / sizeof *subjects; i++) {
        struct subject *subject = &subjects[i];
        fake_fill(&subject->inputs[0], subject->memory, 1, 1, 0);
        subject->input_count = 1;
        for (size_t p = 0; p < sizeof policies / sizeof *policies; p++)
            compare(subject, policies[p]);
    }
}

static void make_inputs(struct subject *subject)
{
    struct mly_error err = {0};
    subject->input_count = mly_model_input_count(subject->model);
    if (subject->input_count > INPUTS_MAX) {
        fprintf(stderr, "bench_executors: %s: more than %d inputs\n", subject->name, INPUTS_MAX);
        exit(1);
    }
    for (size_t i = 0; i < subject->input_count; i++) {
        const struct mly_port *port = mly_model_input(subject->model, i);
        struct mly_shape shape = port->shape;
        for (int32_t d = 0; d < shape.rank; d++) {
            if (shape.dims[d] < 0)
                shape.dims[d] = d == 0 ? (int64_t)mly_plan_batch(subject->plan) : 1;
        }
        check(mly_tensor_random(port->dtype, &shape, i + 1, &subject->inputs[i], &err), &err);
    }
}

static void compare_plan(const char *path)
{
    struct mly_error err = {0};
    struct subject subject = {.name = path};
    check(mly_plan_load(path, &subject.plan, &err), &err);
    check(mly_model_load(mly_plan_model_path(subject.plan), NULL, &subject.model, &err), &err);
    make_inputs(&subject);
    char *line = mly_plan_describe(subject.plan);
    printf("%s: %s\n", path, line ? line : "");
    mly_free(line);
    for (size_t p = 0; p < sizeof policies / sizeof *policies; p++)
        compare(&subject, policies[p]);
    for (size_t i = 0; i < subject.input_count; i++)
        mly_tensor_fini(&subject.inputs[i]);
    mly_plan_destroy(subject.plan);
    mly_model_destroy(subject.model);
}

int main(int argument_count, char **arguments)
{
    int first = 1;
    slice_s = 0.5;
    solo_count = SOLO_MAX;
    for (; first < argument_count && strncmp(arguments[first], "--", 2) == 0; first++) {
        if (strcmp(arguments[first], "--quick") == 0) {
            slice_s = 0.05;
            solo_count = 100;
        } else if (strcmp(arguments[first], "--seconds") == 0 && first + 1 < argument_count) {
            slice_s = atof(arguments[++first]) / (2 * ROUNDS);
        } else {
            fprintf(stderr, "usage: bench_executors [--quick] [--seconds S] [PLAN.json…]\n");
            return 2;
        }
    }
    struct mly_error err = {0};
    const char *version;
    uint32_t workers;
    if (mly__starpu_probe(&version, NULL, &workers, &err) != MLY_OK) {
        printf("bench_executors: skipped: %s\n", err.message);
        return 0;
    }
    find_seats();
    printf("StarPU %s, built for %u CPU workers; medians of %d rounds in which both take turns\n",
           version, workers, ROUNDS);
    compare_made_up();
    for (int i = first; i < argument_count; i++)
        compare_plan(arguments[i]);
    return 0;
}

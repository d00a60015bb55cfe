/*
 * What recording a timeline costs.
 *
 *   bench_timeline [--quick] [--task-us N]
 *
 * Printed, measured on this box: one record by itself; and an engine with and without a timeline,
 * whose tasks keep their processors busy for N us (default 200, that of a small network), in rounds
 * in which the two take turns: the ratio of their throughputs, its median over the rounds and
 * quartiles. And tasks of no length, all queued beforehand: a worker's time from one to the next,
 * where nothing hides what recording takes, and what part of a task of N us that is.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/stats.h"
#include "runtime/native.h"
#include "support/fake_backend.h"
#include "support/work_backend.h"

enum { ROUNDS = 41 };

static void check(enum mly_status status, const struct mly_error *err)
{
    if (status == MLY_OK)
        return;
    fprintf(stderr, "bench_timeline: %s\n", err->message);
    exit(1);
}

static void one_record(size_t count)
{
    struct mly_error err = {0};
    mly_timeline *timeline = NULL;
    mly__timeline_writer *writer = NULL;
    check(mly_timeline_create(NULL, &timeline, &err), &err);
    check(mly__timeline_add_writer(timeline, &writer, &err), &err);
    struct mly__timeline_record record = {.kind = MLY__TIMELINE_TASK};
    int64_t begin_ns = mly_now_ns();
    for (size_t i = 0; i < count; i++) {
        record.request = i;
        mly__timeline_add(writer, &record);
    }
    printf("one record: %.1f ns, over %zu records\n",
           (double)(mly_now_ns() - begin_ns) / (double)count, count);
    mly_timeline_destroy(timeline);
}

static mly_engine *start(mly_timeline *timeline)
{
    static const char *const replicas[] = {"0>1@0 1"};
    struct mly_error err = {0};
    struct mly_flow flow;
    struct mly_engine_options options = {.timeline = timeline};
    mly_engine *engine = NULL;
    check(fake_flow_init(&work_ops, "0", "1", 2, replicas, 1, &flow, &err), &err);
    check(mly__engine_create_flow(&flow, &options, MLY_SCHEDULE_EARLIEST, &engine, &err), &err);
    return engine;
}

static void ignore(mly_request *request, enum mly_status status, void *user)
{
    (void)request;
    (void)status;
    (void)user;
}

static double tasks_per_s(mly_engine *engine, size_t count)
{
    static int64_t memory[FAKE_WIDTH];
    struct mly_tensor input;
    struct mly_error err = {0};
    fake_fill(&input, memory, 1, 1, 0);
    int64_t begin_ns = mly_now_ns();
    for (size_t i = 0; i < count; i++)
        check(mly_engine_submit(engine, &input, 1, NULL, true, ignore, NULL, NULL, &err), &err);
    mly_engine_drain(engine);
    return (double)count * 1e9 / (double)(mly_now_ns() - begin_ns);
}

static void on_and_off(int64_t work_ns, double slice_s)
{
    struct mly_error err = {0};
    mly_timeline *timeline = NULL;
    check(mly_timeline_create(NULL, &timeline, &err), &err);
    work_set_ns(work_ns);
    mly_engine *engines[2] = {start(NULL), start(timeline)};
    size_t count = (size_t)(tasks_per_s(engines[0], 200) * slice_s) + 10;
    tasks_per_s(engines[1], count);
    double rates[2][ROUNDS], ratios[ROUNDS];
    for (int round = 0; round < ROUNDS; round++) {
        for (int turn = 0; turn < 2; turn++) {
            int who = (turn + round) % 2;
            rates[who][round] = tasks_per_s(engines[who], count);
        }
        ratios[round] = rates[1][round] / rates[0][round];
    }
    struct mly_summary off = mly_summarise(rates[0], ROUNDS), on = mly_summarise(rates[1], ROUNDS);
    double low = mly_percentile(ratios, ROUNDS, 0.25), high = mly_percentile(ratios, ROUNDS, 0.75);
    printf("tasks of %lld us on two processors: %.1f tasks/s without, %.1f with a timeline: "
           "%.4fx (quartiles %.4f to %.4f)\n",
           (long long)(work_ns / 1000), off.median, on.median, mly_percentile(ratios, ROUNDS, 0.5),
           low, high);
    fflush(stdout);
    mly_engine_destroy(engines[0]);
    mly_engine_destroy(engines[1]);
    mly_timeline_destroy(timeline);
}

/* --- a worker's own time from task to task, everything being queued already --- */

static int64_t first_ns, last_ns; /* written by the only worker */

static void note_time(mly_request *request, enum mly_status status, void *user)
{
    (void)request;
    (void)status;
    (void)user;
    last_ns = mly_now_ns();
    if (first_ns == 0)
        first_ns = last_ns;
}

static double task_to_task_ns(mly_timeline *timeline, size_t count)
{
    static const char *const whole[] = {"0>1@0"};
    static int64_t memory[FAKE_WIDTH];
    struct mly_tensor input;
    struct mly_error err = {0};
    struct mly_flow flow;
    struct mly_engine_options options = {
        .timeline = timeline, .queue_capacity = (uint32_t)count, .no_warm_up = true};
    mly_engine *engine = NULL;
    fake_fill(&input, memory, 1, 1, 0);
    work_set_ns(INT64_C(1) << 40); /* the first task waits for the others to be queued */
    check(fake_flow_init(&work_ops, "0", "1", 1, whole, 1, &flow, &err), &err);
    check(mly__engine_create_flow(&flow, &options, MLY_SCHEDULE_EARLIEST, &engine, &err), &err);
    first_ns = 0;
    for (size_t i = 0; i < count; i++)
        check(mly_engine_submit(engine, &input, 1, NULL, true, note_time, NULL, NULL, &err), &err);
    work_set_ns(0);
    mly_engine_drain(engine);
    mly_engine_destroy(engine);
    return (double)(last_ns - first_ns) / (double)(count - 1);
}

static void between_tasks(size_t count, int64_t task_us)
{
    double with_ns[ROUNDS], without_ns[ROUNDS];
    for (int round = 0; round < ROUNDS; round++) {
        for (int turn = 0; turn < 2; turn++) {
            bool on = (turn + round) % 2;
            struct mly_error err = {0};
            mly_timeline *timeline = NULL;
            if (on)
                check(mly_timeline_create(NULL, &timeline, &err), &err);
            *(on ? &with_ns[round] : &without_ns[round]) = task_to_task_ns(timeline, count);
            mly_timeline_destroy(timeline);
        }
    }
    double with = mly_percentile(with_ns, ROUNDS, 0.5),
           without = mly_percentile(without_ns, ROUNDS, 0.5);
    printf("from task to task on a worker with its queue full: %.0f ns without, %.0f ns with a "
           "timeline: %.0f ns for a task's record and a request's, %.3f %% of a task of %lld us\n",
           without, with, with - without, (with - without) / (double)(task_us * 10),
           (long long)task_us);
}

int main(int argument_count, char **arguments)
{
    int64_t task_us = 200;
    bool quick = false;
    for (int i = 1; i < argument_count; i++) {
        if (strcmp(arguments[i], "--quick") == 0) {
            quick = true;
        } else if (strcmp(arguments[i], "--task-us") == 0 && i + 1 < argument_count) {
            task_us = atoll(arguments[++i]);
        } else {
            fprintf(stderr, "usage: bench_timeline [--quick] [--task-us N]\n");
            return 2;
        }
    }
    one_record(quick ? 100000 : 800000);
    on_and_off(task_us * 1000, quick ? 0.02 : 0.5);
    between_tasks(quick ? 2000 : 50000, task_us);
    return 0;
}

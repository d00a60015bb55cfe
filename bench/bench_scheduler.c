/*
 * What a scheduling decision costs.
 *
 *   bench_scheduler [--quick]
 *
 * Printed, measured on this box, per policy: one decision with 16 processors of unlike speed and 64
 * queued tasks, in the situations there are. "taken": a fast processor became idle and gets
 * the first task. "searched": only slow processors are idle, and the first tasks are better off
 * waiting for the fast ones. "declined": all tasks are better off waiting, clearly; "just declined":
 * so little better off that all are looked at. And a whole turn: push, decide, ran, release.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/random.h"
#include "base/stats.h"
#include "model/graph.h"
#include "runtime/scheduler.h"

enum { PROCESSORS = 16, QUEUED = 64, SEGMENTS = 8, SAMPLES = 20000, JUST = 10 };

static double samples_ns[SAMPLES];
static struct mly_schedule_task tasks[QUEUED + PROCESSORS];

static void check(enum mly_status status, const struct mly_error *err)
{
    if (status == MLY_OK)
        return;
    fprintf(stderr, "bench_scheduler: %s\n", err->message);
    exit(1);
}

static mly_scheduler *make(enum mly_schedule_policy policy, uint32_t segments)
{
    uint32_t all[PROCESSORS];
    struct mly_schedule_eligible eligible[SEGMENTS];
    struct mly_error err = {0};
    mly_scheduler *scheduler = NULL;
    for (uint32_t p = 0; p < PROCESSORS; p++)
        all[p] = p;
    for (uint32_t s = 0; s < segments; s++)
        eligible[s] = (struct mly_schedule_eligible){all, PROCESSORS};
    check(mly_scheduler_create(policy, PROCESSORS, eligible, segments, &scheduler, &err), &err);
    return scheduler;
}

/* Half of the processors are fast; the others take `ratio` times as long. */
static void set_costs(mly_scheduler *scheduler, uint32_t segments, int64_t ratio)
{
    for (uint32_t s = 0; s < segments; s++) {
        for (uint32_t p = 0; p < PROCESSORS; p++)
            mly_scheduler_set_cost(scheduler, s, p,
                                   (p % 2 ? ratio : 1) * (1000000 + 1000 * (int64_t)p));
    }
}

/* only: 1 + processor, 0: any. */
static void push(mly_scheduler *scheduler, struct mly_schedule_task *task, uint64_t order,
                 uint32_t segments, uint32_t only)
{
    *task = (struct mly_schedule_task){.order = order,
                                       .segment = (uint32_t)(order % segments),
                                       .home = MLY_NO_INDEX,
                                       .only = only};
    mly_scheduler_push(scheduler, task);
}

static void report(enum mly_schedule_policy policy, const char *what, size_t count)
{
    struct mly_summary s = mly_summarise(samples_ns, count);
    printf("  %-16s %-34s p50 %5.0f   p90 %5.0f   p99 %5.0f ns\n", mly_schedule_policy_name(policy),
           what, s.median, s.p90, s.p99);
}

/*
 * Every processor gets a task; those that `idle` says are released; 64 tasks wait. Then decisions
 * are timed; what was decided goes back.
 */
static void decide(enum mly_schedule_policy policy, uint32_t segments, int64_t ratio, bool fast,
                   const char *what, size_t count)
{
    mly_scheduler *scheduler = make(policy, segments);
    struct mly_schedule_task *decided;
    uint32_t processor;
    uint64_t order = 0;
    set_costs(scheduler, segments, ratio);
    for (uint32_t p = 0; p < PROCESSORS; p++) {
        push(scheduler, &tasks[QUEUED + p], order++, segments, p + 1);
        (void)mly_scheduler_decide_at(scheduler, 0, &decided, &processor);
    }
    for (uint32_t p = 1; p < PROCESSORS; p += 2) /* slow ones */
        mly_scheduler_release(scheduler, p, 10);
    if (fast)
        mly_scheduler_release(scheduler, 0, 10);
    for (uint32_t i = 0; i < QUEUED; i++)
        push(scheduler, &tasks[i], order++, segments, 0);
    for (size_t i = 0; i < count; i++) {
        int64_t begin_ns = mly_now_ns();
        bool found = mly_scheduler_decide_at(scheduler, 20, &decided, &processor);
        samples_ns[i] = (double)(mly_now_ns() - begin_ns);
        if (found) {
            mly_scheduler_release(scheduler, processor, 20);
            mly_scheduler_push(scheduler, decided);
        }
    }
    mly_scheduler_destroy(scheduler);
    report(policy, what, count);
}

static void turn(enum mly_schedule_policy policy, size_t count)
{
    mly_scheduler *scheduler = make(policy, 1);
    struct mly_schedule_task *decided, *running[PROCESSORS] = {NULL};
    struct mly_random random;
    uint32_t processor;
    uint64_t order = 0;
    int64_t now_ns = 0;
    mly_random_init(&random, 1);
    set_costs(scheduler, 1, 4);
    for (uint32_t i = 0; i < QUEUED + PROCESSORS; i++)
        push(scheduler, &tasks[i], order++, 1, 0);
    while (mly_scheduler_decide_at(scheduler, now_ns, &decided, &processor))
        running[processor] = decided;
    for (size_t i = 0; i < count; i++) {
        uint32_t p = (uint32_t)mly_random_below(&random, PROCESSORS);
        while (!running[p])
            p = (p + 1) % PROCESSORS;
        struct mly_schedule_task *task = running[p];
        now_ns += 60000;
        int64_t begin_ns = mly_now_ns();
        mly_scheduler_ran(scheduler, task, p, p % 2 ? 4000000 : 1000000);
        mly_scheduler_release(scheduler, p, now_ns);
        push(scheduler, task, order++, 1, 0);
        running[p] = NULL;
        while (mly_scheduler_decide_at(scheduler, now_ns, &decided, &processor))
            running[processor] = decided;
        samples_ns[i] = (double)(mly_now_ns() - begin_ns);
    }
    mly_scheduler_destroy(scheduler);
    report(policy, "whole turn, decided until declined", count);
}

int main(int argument_count, char **arguments)
{
    bool quick = argument_count > 1 && strcmp(arguments[1], "--quick") == 0;
    size_t count = quick ? SAMPLES / 20 : SAMPLES;
    printf("%d processors, half of them slower; %d queued tasks (%zu times each)\n", PROCESSORS,
           QUEUED, count);
    for (int i = 0; i < MLY_SCHEDULE_POLICY_COUNT; i++) {
        enum mly_schedule_policy policy = (enum mly_schedule_policy)i;
        decide(policy, 1, 4, true, "taken, 1 segment", count);
        decide(policy, SEGMENTS, 4, true, "taken, 8 segments", count);
        if (policy == MLY_SCHEDULE_EARLIEST) {
            decide(policy, 1, 4, false, "searched, 1 segment", count);
            decide(policy, SEGMENTS, 4, false, "searched, 8 segments", count);
            decide(policy, 1, 100, false, "declined, 1 segment", count);
            decide(policy, SEGMENTS, 100, false, "declined, 8 segments", count);
            decide(policy, 1, JUST, false, "just declined, 1 segment", count);
            decide(policy, SEGMENTS, JUST, false, "just declined, 8 segments", count);
        }
        turn(policy, count);
    }
    return 0;
}

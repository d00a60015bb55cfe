/*
 * How fast the virtual executor is, on one core: requests simulated per second.
 *
 *   bench_virtual [--quick]
 *
 * Plans of stages without anything behind them; the work is that of the core, the scheduler and the
 * events. Printed: requests and tasks per second of wall-clock and of CPU time (this process has one
 * thread; on a busy box the second number is the one to look at), the best of several runs.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "runtime/virtual.h"
#include "support/fake_backend.h"

enum { STAGES_MAX = 8, RUNS = 5 };

struct scene {
    const char *title;
    uint32_t stages, processors;
    const char *segments[STAGES_MAX];
    const char *outputs, *arrivals;
    enum mly_virtual_spread spread;
};

/* Stage k takes 1 ms, so that 1000 requests per second are what a chain can do. */
static const struct scene scenes[] = {
    {"4 stages on 4 processors, 16 in flight",
     4,
     4,
     {"0>1@0", "1>2@1", "2>3@2", "3>4@3"},
     "4",
     "closed:16",
     MLY_VIRTUAL_LOGNORMAL},
    {"4 stages on 4 processors, poisson at 80 %",
     4,
     4,
     {"0>1@0", "1>2@1", "2>3@2", "3>4@3"},
     "4",
     "poisson:800",
     MLY_VIRTUAL_LOGNORMAL},
    {"4 stages, 2 replicas each, poisson at 80 %",
     4,
     8,
     {"0>1@0 1", "1>2@2 3", "2>3@4 5", "3>4@6 7"},
     "4",
     "poisson:1600",
     MLY_VIRTUAL_LOGNORMAL},
    {"1 stage on 1 processor, poisson at 80 %",
     1,
     1,
     {"0>1@0"},
     "1",
     "poisson:800",
     MLY_VIRTUAL_EXACT},
    {"1 stage on 8 processors, poisson at 80 %",
     1,
     8,
     {"0>1@0 1 2 3 4 5 6 7"},
     "1",
     "poisson:6400",
     MLY_VIRTUAL_EXACT},
};

static void fail(const char *what, const struct mly_error *err)
{
    fprintf(stderr, "bench_virtual: %s: %s\n", what, err->message);
    exit(1);
}

static void run(const struct scene *scene, uint64_t count)
{
    struct mly_error err = {0};
    struct mly_flow flow;
    struct mly_arrivals arrivals = {0};
    struct mly_virtual_cost costs[STAGES_MAX * STAGES_MAX] = {0};
    struct mly_virtual_result result = {0};
    double best_wall = 0, best_cpu = 0;
    if (fake_flow_init(&fake_ops, "0", scene->outputs, scene->processors, scene->segments,
                       scene->stages, &flow, &err) != MLY_OK ||
        mly_arrivals_parse(scene->arrivals, &arrivals, &err) != MLY_OK)
        fail(scene->title, &err);
    for (uint32_t i = 0; i < scene->stages * scene->processors; i++)
        costs[i] = (struct mly_virtual_cost){.known = true,
                                             .spread = scene->spread,
                                             .median_ns = 1e6,
                                             .p10_ns = 0.95e6,
                                             .p90_ns = 1.05e6};
    const struct mly_virtual_options options = {
        .flow = &flow, .costs = costs, .arrivals = &arrivals, .seed = 1, .count = count};
    for (int i = 0; i < RUNS; i++) {
        int64_t begin_ns = mly_now_ns(), begin_cpu_ns = mly_cpu_time_ns();
        mly_virtual_result_fini(&result);
        if (mly_virtual_run(&options, &result, &err) != MLY_OK)
            fail(scene->title, &err);
        double wall = (double)count * 1e9 / (double)(mly_now_ns() - begin_ns);
        double cpu = (double)count * 1e9 / (double)(mly_cpu_time_ns() - begin_cpu_ns);
        best_wall = wall > best_wall ? wall : best_wall;
        best_cpu = cpu > best_cpu ? cpu : best_cpu;
    }
    printf("%-44s %10.3g %10.3g %10.3g   %6.1f ns per event\n", scene->title, best_wall, best_cpu,
           best_cpu * scene->stages, 1e9 * (double)count / best_cpu / (double)result.events);
    fflush(stdout);
    mly_virtual_result_fini(&result);
    mly_arrivals_fini(&arrivals);
    mly_flow_fini(&flow);
}

int main(int argument_count, char **arguments)
{
    bool quick = argument_count > 1 && strcmp(arguments[1], "--quick") == 0;
    printf("virtual executor, measured on this box, one thread\n");
    printf("%-44s %10s %10s %10s\n", "", "requests/s", "per CPU s", "tasks/s");
    for (size_t i = 0; i < sizeof scenes / sizeof *scenes; i++)
        run(&scenes[i], quick ? 100000 : 2000000);
    return 0;
}

/*
 * The virtual executor: against queueing theory, against bounds that are exact, and itself run twice.
 * All on a virtual clock.
 */
#include "support/expect.h"
#include "support/fake_backend.h"

#include <math.h>

#include "base/alloc.h"
#include "runtime/virtual.h"

enum { PAIRS_MAX = 32 };
#define MS 1e6

static struct mly_error err;

/* A simulation to be: a flow, costs in ms by segment and processor, arrivals. */
struct sim {
    struct mly_flow flow;
    struct mly_virtual_cost costs[PAIRS_MAX];
    struct mly_arrivals arrivals;
    struct mly_virtual_options options;
    struct mly_virtual_result result;
};

static struct sim sim;

static const char *const whole[] = {"0>1@0"};
static const char *const two_replicas[] = {"0>1@0 1"};
static const char *const four_stages[] = {"0>1@0", "1>2@1", "2>3@2", "3>4@3"};
static const char *const diamond[] = {"0>1 2@0", "1>3@1", "2>4@2", "3 4>5@0"};

static void open_sim(const char *outputs, uint32_t processors, const char *const *segments,
                     uint32_t count, const char *arrivals)
{
    memset(&sim, 0, sizeof sim);
    expect_ok(fake_flow_init(&fake_ops, "0", outputs, processors, segments, count, &sim.flow, &err),
              err);
    expect_ok(mly_arrivals_parse(arrivals, &sim.arrivals, &err), err);
    sim.options = (struct mly_virtual_options){
        .flow = &sim.flow, .costs = sim.costs, .arrivals = &sim.arrivals, .seed = 1};
}

static void set_cost(uint32_t segment, uint32_t processor, double ms,
                     enum mly_virtual_spread spread)
{
    sim.costs[segment * sim.flow.processor_count + processor] =
        (struct mly_virtual_cost){.known = true,
                                  .spread = spread,
                                  .median_ns = ms * MS,
                                  .p10_ns = ms * MS,
                                  .p90_ns = ms * MS};
}

static const struct mly_virtual_result *run(void)
{
    mly_virtual_result_fini(&sim.result);
    expect_ok(mly_virtual_run(&sim.options, &sim.result, &err), err);
    const struct mly_virtual_result *r = &sim.result;
    assert_int_equal(r->arrived, r->rejected + r->completed);
    return r;
}

static void close_sim(void)
{
    mly_virtual_result_fini(&sim.result);
    mly_arrivals_fini(&sim.arrivals);
    mly_flow_fini(&sim.flow);
}

static void expect_near(double value, double wanted, double tolerance)
{
    if (!(fabs(value / wanted - 1) <= tolerance))
        fail_msg("%g is not within %g of %g", value, tolerance, wanted);
}

/* --- queueing theory; the tolerances are three standard errors or more --- */

/* Pollaczek-Khinchine: mean wait of M/D/1 is rho S / (2 (1 - rho)). */
static void md1_waits_as_theory_says(void **state)
{
    (void)state;
    static const struct {
        const char *arrivals;
        double rho, tolerance;
    } loads[] = {
        {"poisson:300", 0.3, 0.02}, {"poisson:700", 0.7, 0.02}, {"poisson:900", 0.9, 0.05}};
    for (size_t i = 0; i < sizeof loads / sizeof *loads; i++) {
        open_sim("1", 1, whole, 1, loads[i].arrivals);
        set_cost(0, 0, 1, MLY_VIRTUAL_EXACT);
        sim.options.count = 500000;
        const struct mly_virtual_result *r = run();
        double rho = loads[i].rho;
        expect_near(r->queue.mean_ns, rho / (2 * (1 - rho)) * MS, loads[i].tolerance);
        expect_near(r->stages[0].mean_wait_ns, r->queue.mean_ns, 1e-9);
        expect_near(r->processors[0].utilisation, rho, 0.01);
        expect_near(r->mean_waiting, rho * rho / (2 * (1 - rho)), loads[i].tolerance + 0.01);
        expect_near(r->latency.min_ns, MS, 1e-9);
        close_sim();
    }
}

/* M/M/1: the time in the system is exponential with mean S / (1 - rho). */
static void mm1_latency_is_exponential(void **state)
{
    (void)state;
    open_sim("1", 1, whole, 1, "poisson:700");
    set_cost(0, 0, 1, MLY_VIRTUAL_EXPONENTIAL);
    sim.options.count = 1000000;
    const struct mly_virtual_result *r = run();
    double mean_ns = MS / 0.3;
    expect_near(r->latency.mean_ns, mean_ns, 0.03);
    expect_near(r->latency.p50_ns, mean_ns * log(2), 0.03);
    expect_near(r->latency.p90_ns, mean_ns * log(10), 0.04);
    expect_near(r->latency.p99_ns, mean_ns * log(100), 0.06);
    expect_near(r->queue.mean_ns, 0.7 * mean_ns, 0.04);
    /* Little: requests in the system are rate times latency. */
    expect_near(r->mean_in_system, r->throughput_per_s * r->latency.mean_ns / 1e9, 0.001);
    close_sim();
}

/* M/M/2 by Erlang's C formula: with a = 1.4 of 2, a request waits with probability 0.5765. */
static void mm2_waits_as_theory_says(void **state)
{
    (void)state;
    open_sim("1", 2, two_replicas, 1, "poisson:1400");
    set_cost(0, 0, 1, MLY_VIRTUAL_EXPONENTIAL);
    set_cost(0, 1, 1, MLY_VIRTUAL_EXPONENTIAL);
    sim.options.count = 1000000;
    sim.options.policy = MLY_SCHEDULE_EAGER; /* the theory's: nobody waits while one is idle */
    const struct mly_virtual_result *r = run();
    expect_near(r->queue.mean_ns, 0.576470588 / (2 - 1.4) * MS, 0.04);
    expect_near(r->processors[0].utilisation + r->processors[1].utilisation, 1.4, 0.01);
    close_sim();
}

/* --- exact --- */

static void a_pipeline_runs_at_the_rate_of_its_bottleneck(void **state)
{
    (void)state;
    static const double ms[] = {3, 5, 2, 4};
    open_sim("4", 4, four_stages, 4, "closed:8");
    for (uint32_t s = 0; s < 4; s++)
        set_cost(s, s, ms[s], MLY_VIRTUAL_EXACT);
    sim.options.duration_ns = 101000000000;
    sim.options.warm_up_ns = 1000000000;
    const struct mly_virtual_result *r = run();
    assert_true(fabs(r->throughput_per_s * 100 - 20000) <= 1);
    for (uint32_t s = 0; s < 4; s++) {
        expect_near(r->processors[s].utilisation, ms[s] / 5, 1e-3);
        expect_near(r->stages[s].mean_ns, ms[s] * MS, 1e-12);
    }
    assert_true(r->processors[1].utilisation == 1);
    /* All that are not on a processor wait for the bottleneck; latency is 8 periods. */
    expect_near(r->latency.mean_ns, 40 * MS, 1e-9);
    expect_near(r->mean_in_system, 8, 1e-9);
    expect_near(r->stages[1].mean_wait_ns, 40 * MS - 14 * MS, 1e-6);
    close_sim();
}

static void one_request_takes_the_longest_path(void **state)
{
    (void)state;
    static const double ms[] = {1, 7, 2, 3};
    static const uint32_t on[] = {0, 1, 2, 0};
    open_sim("5", 3, diamond, 4, "closed:1");
    for (uint32_t s = 0; s < 4; s++)
        set_cost(s, on[s], ms[s], MLY_VIRTUAL_EXACT);
    sim.options.count = 10;
    const struct mly_virtual_result *r = run();
    assert_true(r->latency.min_ns == 11 * MS && r->latency.max_ns == 11 * MS);
    assert_int_equal(r->window_ns, 110000000);
    expect_near(r->throughput_per_s, 1e3 / 11, 1e-9);
    close_sim();
}

/* The faster of two unlike processors is taken; the other is tried now and then. */
static void the_faster_processor_works_more(void **state)
{
    (void)state;
    open_sim("1", 2, two_replicas, 1, "constant:100");
    set_cost(0, 0, 9, MLY_VIRTUAL_EXACT);
    set_cost(0, 1, 3, MLY_VIRTUAL_EXACT);
    sim.options.count = 1000;
    const struct mly_virtual_result *r = run();
    assert_true(r->processors[1].tasks >= 980);
    assert_true(r->latency.p90_ns <= 3.02 * MS && r->latency.max_ns <= 9 * MS);
    close_sim();
}

static void a_first_task_takes_longer(void **state)
{
    (void)state;
    open_sim("1", 1, whole, 1, "closed:1");
    set_cost(0, 0, 2, MLY_VIRTUAL_EXACT);
    sim.costs[0].first_ns = 50 * MS;
    sim.options.count = 100;
    const struct mly_virtual_result *r = run();
    assert_true(r->latency.max_ns == 52 * MS && r->latency.p50_ns <= 2.01 * MS);
    assert_int_equal(r->window_ns, 250000000);
    close_sim();
}

/* Tasks of 1 ms, and half as much again after a rest of 2 ms. */
static void open_restful(const char *arrivals)
{
    open_sim("1", 1, whole, 1, arrivals);
    set_cost(0, 0, 1, MLY_VIRTUAL_EXACT);
    sim.costs[0].rested = 1.5;
    sim.costs[0].rest_ns = 2 * MS;
    sim.options.count = 1000;
}

static void a_rest_makes_the_next_task_longer(void **state)
{
    (void)state;
    open_restful("constant:100");
    expect_near(run()->latency.p50_ns, 1.5 * MS, 0.005);
    close_sim();
    open_restful("constant:500"); /* a shorter rest, in proportion: t = 1 + 0.5 (2 - t) / 2 */
    expect_near(run()->latency.p50_ns, 1.2 * MS, 0.005);
    close_sim();
    open_restful("constant:100"); /* a tenth takes longer still, of runs after rests only */
    sim.costs[0].spread = MLY_VIRTUAL_LOGNORMAL;
    sim.costs[0].rested_p90 = 1.4;
    sim.options.count = 20000;
    const struct mly_virtual_result *r = run();
    expect_near(r->latency.p50_ns, 1.5 * MS, 0.02);
    expect_near(r->latency.p90_ns, 2.1 * MS, 0.02);
    close_sim();
    open_restful("closed:2"); /* none at all, and not known */
    expect_near(run()->throughput_per_s, 1000, 0.002);
    sim.costs[0].rested = 0;
    expect_near(run()->throughput_per_s, 1000, 1e-9);
    close_sim();
}

static void a_trace_is_followed(void **state)
{
    (void)state;
    static const char text[] = "10\n10.001\n10.5\n11\n";
    open_sim("1", 1, whole, 1, "closed:1");
    expect_ok(mly_arrivals_parse_trace("t", text, strlen(text), &sim.arrivals, &err), err);
    set_cost(0, 0, 100, MLY_VIRTUAL_EXACT);
    const struct mly_virtual_result *r = run();
    assert_int_equal(r->completed, 4);
    assert_int_equal(r->window_ns, 1100000000);
    assert_true(r->latency.max_ns == 199 * MS); /* the second waits for 99 ms */
    assert_true(r->latency.min_ns == 100 * MS);
    close_sim();
}

static void a_full_queue_rejects(void **state)
{
    (void)state;
    open_sim("1", 1, whole, 1, "constant:1000");
    set_cost(0, 0, 10, MLY_VIRTUAL_EXACT);
    sim.options.duration_ns = 10000000000;
    sim.options.queue_capacity = 5;
    const struct mly_virtual_result *r = run();
    assert_int_equal(r->arrived, 10000);
    assert_true(r->rejected > 8900 && r->rejected < 9100);
    assert_int_equal(r->most_waiting, 5);
    expect_near(r->throughput_per_s, 100, 0.01);
    expect_near(r->mean_waiting, 5, 0.01);
    close_sim();
}

/* A tenth of the times lies below p10 and above p90. */
static void measured_spread_is_drawn(void **state)
{
    (void)state;
    open_sim("1", 1, whole, 1, "closed:1");
    set_cost(0, 0, 10, MLY_VIRTUAL_LOGNORMAL);
    sim.costs[0].p10_ns = 9 * MS;
    sim.costs[0].p90_ns = 13 * MS;
    sim.options.count = 100000;
    const struct mly_virtual_result *r = run();
    expect_near(r->latency.p50_ns, 10 * MS, 0.01);
    expect_near(r->latency.p90_ns, 13 * MS, 0.01);
    expect_near(r->latency.p99_ns, 10 * MS * pow(1.3, 2.3263 / 1.2816), 0.02);
    close_sim();
}

/* --- the run itself --- */

struct record {
    uint64_t hash, tasks;
    int64_t free_ns[4];       /* by processor */
    int64_t ended_ns[4][512]; /* by segment and request, cyclic */
    bool wrong;
};

static void note_task(void *user, const struct mly_virtual_task *task)
{
    struct record *record = user;
    const uint64_t values[] = {task->request, task->segment, task->processor,
                               (uint64_t)task->begin_ns, (uint64_t)task->end_ns};
    for (size_t i = 0; i < sizeof values / sizeof *values; i++)
        record->hash = (record->hash ^ values[i]) * UINT64_C(0x100000001b3);
    record->tasks++;
    record->wrong = record->wrong || task->begin_ns < task->ready_ns ||
                    task->begin_ns < record->free_ns[task->processor] ||
                    task->end_ns <= task->begin_ns;
    record->free_ns[task->processor] = task->end_ns;
    record->ended_ns[task->segment][task->request % 512] = task->end_ns;
    if (task->segment == 3) { /* of the diamond: both sides were there */
        int64_t a = record->ended_ns[1][task->request % 512];
        int64_t b = record->ended_ns[2][task->request % 512];
        record->wrong = record->wrong || task->ready_ns != (a > b ? a : b);
    }
}

static void run_diamond(uint64_t seed, struct record *record)
{
    static const uint32_t on[] = {0, 1, 2, 0};
    open_sim("5", 3, diamond, 4, "bursty:100/1,800/0.2");
    for (uint32_t s = 0; s < 4; s++) {
        set_cost(s, on[s], 1 + s, MLY_VIRTUAL_LOGNORMAL);
        sim.costs[s * 3 + on[s]].p90_ns = (2 + s) * MS;
    }
    *record = (struct record){0};
    sim.options.seed = seed;
    sim.options.duration_ns = 20000000000;
    sim.options.task = note_task;
    sim.options.user = record;
    const struct mly_virtual_result *r = run();
    assert_false(record->wrong);
    assert_int_equal(record->tasks, 4 * r->completed);
    assert_int_equal(r->rejected, 0);
    assert_true(r->completed > 1000);
    close_sim();
}

static void a_seed_gives_the_same_run(void **state)
{
    (void)state;
    static struct record a, b, c;
    run_diamond(3, &a);
    run_diamond(3, &b);
    run_diamond(4, &c);
    assert_true(a.hash == b.hash && a.tasks == b.tasks);
    assert_true(a.hash != c.hash);
}

static uint64_t allocations_of(uint64_t count)
{
    open_sim("4", 4, four_stages, 4, "closed:16");
    for (uint32_t s = 0; s < 4; s++) {
        set_cost(s, s, 1 + s, MLY_VIRTUAL_LOGNORMAL);
        sim.costs[s * 4 + s].p90_ns = (2 + s) * MS;
    }
    sim.options.count = count;
    uint64_t before = mly_alloc_count();
    run();
    uint64_t allocations = mly_alloc_count() - before;
    close_sim();
    return allocations;
}

static void memory_does_not_grow_with_requests(void **state)
{
    (void)state;
    assert_int_equal(allocations_of(1000), allocations_of(1000000));
}

static void only_the_window_counts(void **state)
{
    (void)state;
    open_sim("1", 1, whole, 1, "constant:100");
    set_cost(0, 0, 5, MLY_VIRTUAL_EXACT);
    sim.options.warm_up_ns = 4000000000;
    sim.options.duration_ns = 10000000000;
    const struct mly_virtual_result *r = run();
    assert_int_equal(r->arrived, 1000);
    assert_int_equal(r->measured, 600);
    assert_int_equal(r->window_ns, 6000000000);
    expect_near(r->processors[0].utilisation, 0.5, 1e-9);
    expect_near(r->throughput_per_s, 100, 1e-9);
    close_sim();
}

static void energy_and_bytes_add_up(void **state)
{
    (void)state;
    open_sim("4", 4, four_stages, 4, "closed:2");
    for (uint32_t s = 0; s < 4; s++) {
        set_cost(s, s, 1, MLY_VIRTUAL_EXACT);
        sim.costs[s * 4 + s].energy_j = 0.5;
        sim.costs[s * 4 + s].off_chip_bytes = 1000;
        sim.costs[s * 4 + s].input_bytes = 7;
        sim.costs[s * 4 + s].output_bytes = 3;
    }
    sim.options.count = 100;
    const struct mly_virtual_result *r = run();
    for (uint32_t s = 0; s < 4; s++) {
        assert_true(r->processors[s].energy_j == 50 && r->stages[s].energy_j == 50);
        assert_true(r->processors[s].off_chip_bytes == 100000);
        assert_true(r->processors[s].link_bytes == 1000);
    }
    close_sim();
}

static bool stop_soon(void *user, double fraction)
{
    uint32_t *calls = user;
    return fraction >= 0 && fraction <= 1 && ++*calls < 3;
}

static void progress_may_stop_it(void **state)
{
    (void)state;
    uint32_t calls = 0;
    open_sim("1", 1, whole, 1, "closed:1");
    set_cost(0, 0, 1, MLY_VIRTUAL_EXACT);
    sim.options.count = 100000000;
    sim.options.progress = stop_soon;
    sim.options.user = &calls;
    expect_error(mly_virtual_run(&sim.options, &sim.result, &err), MLY_E_CANCELLED, err, "stopped");
    assert_int_equal(calls, 3);
    close_sim();
}

static void options_that_cannot_be_are_refused(void **state)
{
    (void)state;
    open_sim("1", 1, whole, 1, "closed:8");
    sim.options.count = 10;
    expect_error(mly_virtual_run(&sim.options, &sim.result, &err), MLY_E_INVALID, err, "not known");
    set_cost(0, 0, 1, MLY_VIRTUAL_EXACT);
    sim.options.count = 0;
    expect_error(mly_virtual_run(&sim.options, &sim.result, &err), MLY_E_INVALID, err, "duration");
    sim.options.duration_ns = sim.options.warm_up_ns = 5;
    expect_error(mly_virtual_run(&sim.options, &sim.result, &err), MLY_E_INVALID, err, "warm-up");
    sim.options.warm_up_ns = 0;
    sim.options.queue_capacity = 7;
    expect_error(mly_virtual_run(&sim.options, &sim.result, &err), MLY_E_INVALID, err,
                 "8 requests");
    close_sim();
}

static void every_allocation_may_fail(void **state)
{
    (void)state;
    open_sim("4", 4, four_stages, 4, "closed:8");
    for (uint32_t s = 0; s < 4; s++)
        set_cost(s, s, 1, MLY_VIRTUAL_LOGNORMAL);
    sim.options.count = 100;
    sim.options.queue_capacity = 8;
    enum mly_status status = MLY_E_NO_MEMORY;
    uint64_t n = 0;
    while (status == MLY_E_NO_MEMORY) {
        mly_alloc_fail_once(++n);
        status = mly_virtual_run(&sim.options, &sim.result, &err);
        mly_alloc_fail_once(0);
        assert_true(status == MLY_OK || strstr(err.message, "memory"));
    }
    expect_ok(status, err);
    assert_true(n > 20);
    close_sim();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(md1_waits_as_theory_says),
        cmocka_unit_test(mm1_latency_is_exponential),
        cmocka_unit_test(mm2_waits_as_theory_says),
        cmocka_unit_test(a_pipeline_runs_at_the_rate_of_its_bottleneck),
        cmocka_unit_test(one_request_takes_the_longest_path),
        cmocka_unit_test(the_faster_processor_works_more),
        cmocka_unit_test(a_first_task_takes_longer),
        cmocka_unit_test(a_rest_makes_the_next_task_longer),
        cmocka_unit_test(a_trace_is_followed),
        cmocka_unit_test(a_full_queue_rejects),
        cmocka_unit_test(measured_spread_is_drawn),
        cmocka_unit_test(a_seed_gives_the_same_run),
        cmocka_unit_test(memory_does_not_grow_with_requests),
        cmocka_unit_test(only_the_window_counts),
        cmocka_unit_test(energy_and_bytes_add_up),
        cmocka_unit_test(progress_may_stop_it),
        cmocka_unit_test(options_that_cannot_be_are_refused),
        cmocka_unit_test(every_allocation_may_fail),
    };
    return cmocka_run_group_tests_name("virtual executor", tests, NULL, NULL);
}

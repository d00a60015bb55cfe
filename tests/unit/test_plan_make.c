/*
 * What planners decide, on machines that are only described: the rules of the choice, and what may
 * be asked for.
 */
#include <math.h>
#include <string.h>

#include "base/alloc.h"
#include "support/expect.h"
#include "support/plan_fixture.h"
#include "support/test.h"

struct fixture {
    mly_model *model;
    mly_machine *machine;
    mly_cost_table *costs;
    struct mly_plan_request request;
};

static void use(struct fixture *f, mly_model *model, const char *machine)
{
    f->model = model;
    f->machine = tiny_machine(machine);
    f->costs = tiny_costs(f->model, f->machine);
    f->request =
        (struct mly_plan_request){.model = f->model, .machine = f->machine, .costs = f->costs};
}

static int set_up(void **state)
{
    static struct fixture f;
    use(&f, tiny_chain(3, 0), "pack:2 core:2 pu:1");
    *state = &f;
    return 0;
}

static void drop(struct fixture *f)
{
    mly_cost_table_destroy(f->costs);
    mly_model_destroy(f->model);
    mly_machine_destroy(f->machine);
}

static int tear_down(void **state)
{
    drop(*state);
    return 0;
}

static mly_plan *make(const struct fixture *f, const char *planner)
{
    struct mly_error err;
    mly_plan *plan = NULL;
    expect_ok(mly_plan_make(planner, &f->request, &plan, &err), err);
    return plan;
}

static void expect_not_made(const struct fixture *f, const char *planner, enum mly_status status,
                            const char *part)
{
    struct mly_error err;
    mly_plan *plan = NULL;
    expect_error(mly_plan_make(planner, &f->request, &plan, &err), status, err, part);
    assert_null(plan);
}

static void expect_plan(const struct fixture *f, const char *planner, const char *description)
{
    mly_plan *plan = make(f, planner);
    char *text = mly_plan_describe(plan);
    if (strcmp(text, description))
        fail_msg("'%s' instead of '%s': %s", text, description, plan->why);
    mly_free(text);
    mly_plan_destroy(plan);
}

/* Cost that gives so many samples per second. */
static void rate(struct fixture *f, uint32_t groups, uint32_t threads, uint32_t batch, bool spin,
                 double per_s)
{
    tiny_cost(f->costs, groups, threads, batch, spin, 1e9 * (groups ? groups : 1) * batch / per_s,
              0.004);
}

static void the_highest_throughput_wins_and_says_why(void **state)
{
    struct fixture *f = *state;
    rate(f, 0, 0, 1, false, 40);
    rate(f, 0, 0, 4, false, 55);
    rate(f, 1, 4, 4, false, 58);
    rate(f, 4, 1, 4, false, 61);
    rate(f, 2, 2, 4, false, 70);
    rate(f, 2, 2, 4, true, 66.5);
    rate(f, 2, 2, 1, false, 60);
    mly_plan *plan = make(f, "auto");
    assert_string_equal(plan->planner, "groups");
    assert_string_equal(plan->runtime, "ort 1.31.1");
    assert_string_equal(plan->why,
                        "2 groups x 2 threads, batch 4, block: 70 samples/s against 55 samples/s "
                        "(+27.3 %) of the runtime's defaults, batch 4; next, 4 groups x 1 thread, "
                        "batch 4, block gives 61 samples/s (-12.9 %); spinning would give 66.5 "
                        "samples/s (-5.0 %)");
    assert_int_equal(plan->batch, 4);
    assert_int_equal(plan->in_flight, 4);
    assert_int_equal(plan->ladder_count, 2);
    assert_int_equal(plan->ladder[0], 1);
    assert_int_equal(plan->ladder[1], 4);
    assert_int_equal(plan->processor_count, 2);
    assert_int_equal(plan->processors[0].cpus[0], 0);
    assert_int_equal(plan->processors[1].cpus[0], 2);
    assert_true(plan->processors[0].pin && !plan->processors[0].spin);
    assert_int_equal(plan->candidate_count, 7);
    assert_true(plan->candidates[0].chosen);
    for (uint32_t i = 1; i < plan->candidate_count; i++) {
        assert_false(plan->candidates[i].chosen);
        assert_true(plan->candidates[i].prediction.throughput_per_s <=
                    plan->candidates[i - 1].prediction.throughput_per_s);
    }
    mly_plan_destroy(plan);
    expect_plan(f, "groups", "2 groups x 2 threads (cpu:0-1, cpu:2-3), batch 4, blocking");
    expect_plan(f, "single", "1 group x 4 threads (cpu:0-3), batch 4, blocking");
}

static void ties_within_the_noise_go_to_the_simpler_plan(void **state)
{
    struct fixture *f = *state;
    rate(f, 0, 0, 16, false, 50);
    rate(f, 4, 1, 16, false, 100);
    rate(f, 2, 2, 16, true, 99.5); /* fewer sessions do not outweigh spinning */
    expect_plan(f, "auto", "4 groups x 1 thread (cpu:0, cpu:1, cpu:2, cpu:3), batch 16, blocking");
    rate(f, 2, 2, 16, false, 99.4);
    expect_plan(f, "auto", "2 groups x 2 threads (cpu:0-1, cpu:2-3), batch 16, blocking");
    rate(f, 1, 4, 16, true, 99.1);
    expect_plan(f, "auto", "2 groups x 2 threads (cpu:0-1, cpu:2-3), batch 16, blocking");
    rate(f, 4, 1, 8, false, 99.2); /* more sessions do not outweigh a shorter batch */
    expect_plan(f, "auto", "4 groups x 1 thread (cpu:0, cpu:1, cpu:2, cpu:3), batch 8, blocking");
    rate(f, 4, 1, 8, false, 98.9); /* more than 1 % below the best */
    expect_plan(f, "auto", "2 groups x 2 threads (cpu:0-1, cpu:2-3), batch 16, blocking");
}

static void noise_that_was_measured_widens_a_tie_a_little(void **state)
{
    struct fixture *f = *state;
    tiny_cost(f->costs, 2, 2, 1, false, 2e9 / 100, 0.03);
    tiny_cost(f->costs, 1, 4, 1, false, 1e9 / 98.3, 0.03);
    expect_plan(f, "auto", "1 group x 4 threads (cpu:0-3), batch 1, blocking");
    /* However noisy the box was, not more than 2 % are given away. */
    tiny_cost(f->costs, 1, 4, 1, false, 1e9 / 97.9, 0.5);
    expect_plan(f, "auto", "2 groups x 2 threads (cpu:0-1, cpu:2-3), batch 1, blocking");
}

static void two_ties_in_a_row_do_not_add_up(void **state)
{
    struct fixture *f = *state;
    rate(f, 4, 1, 1, false, 100);
    rate(f, 2, 2, 1, false, 99.2);
    rate(f, 1, 4, 1, false, 98.4); /* ties with the second, not with the first */
    expect_plan(f, "auto", "2 groups x 2 threads (cpu:0-1, cpu:2-3), batch 1, blocking");
}

static void the_baseline_wins_only_if_nothing_comes_up_to_it(void **state)
{
    struct fixture *f = *state;
    rate(f, 0, 0, 4, false, 100);
    rate(f, 1, 4, 4, false, 97);
    rate(f, 2, 2, 4, false, 96);
    mly_plan *plan = make(f, "auto");
    assert_int_equal(plan->processor_count, 1);
    assert_true(plan->processors[0].runtime_defaults);
    assert_false(plan->processors[0].pin);
    assert_int_equal(plan->processors[0].cpu_count, 4);
    assert_true(plan->candidates[0].baseline && plan->candidates[0].chosen);
    assert_non_null(strstr(plan->why, "the runtime's defaults, batch 4: 100 samples/s; the best "
                                      "other, 1 group x 4 threads, batch 4, block gives 97"));
    mly_plan_destroy(plan);
    rate(f, 2, 2, 4, false, 99.5);
    expect_plan(f, "auto", "2 groups x 2 threads (cpu:0-1, cpu:2-3), batch 4, blocking");
    /* Where the number of groups is fixed, it is listed but cannot win. */
    rate(f, 2, 2, 4, false, 10);
    f->request.groups = 2;
    plan = make(f, "auto");
    assert_int_equal(plan->processor_count, 2);
    assert_true(plan->candidates[0].baseline && !plan->candidates[0].chosen);
    mly_plan_destroy(plan);
}

static void latency_is_that_of_one_sample(void **state)
{
    struct fixture *f = *state;
    f->request.objective = MLY_OBJECTIVE_LATENCY;
    tiny_cost(f->costs, 0, 0, 1, false, 9e6, 0.004);
    tiny_cost(f->costs, 4, 1, 1, false, 20e6, 0.004);
    tiny_cost(f->costs, 1, 4, 1, false, 8e6, 0.004);
    tiny_cost(f->costs, 1, 4, 1, true, 7e6, 0.004);
    tiny_cost(f->costs, 1, 4, 8, true, 1e6, 0.004);
    mly_plan *plan = make(f, "auto");
    assert_int_equal(plan->batch, 1);
    assert_true(plan->processors[0].spin);
    assert_true(mly_plan_latency_ns(plan) == 7e6);
    assert_int_equal(plan->ladder_count, 1);
    assert_string_equal(plan->why, "1 group x 4 threads, batch 1, spin: 7 ms against 9 ms (-22.2 "
                                   "%) of the runtime's defaults, batch 1; next, 4 groups x 1 "
                                   "thread, batch 1, block gives 20 ms (+185.7 %); blocking would "
                                   "give 8 ms (+14.3 %)");
    mly_plan_destroy(plan);
    f->request.batch = 8;
    plan = make(f, "auto");
    assert_int_equal(plan->batch, 8);
    mly_plan_destroy(plan);
}

static void what_the_user_fixed_is_kept(void **state)
{
    struct fixture *f = *state;
    rate(f, 0, 0, 1, false, 10);
    rate(f, 1, 4, 1, false, 30);
    rate(f, 2, 2, 1, false, 20);
    rate(f, 2, 2, 4, false, 100);
    f->request.batch = 1;
    expect_plan(f, "auto", "1 group x 4 threads (cpu:0-3), batch 1, blocking");
    f->request.groups = 2;
    expect_plan(f, "auto", "2 groups x 2 threads (cpu:0-1, cpu:2-3), batch 1, blocking");
    f->request.batch = 3;
    expect_not_made(f, "auto", MLY_E_NOT_FOUND, "--batches 3");
    f->request.batch = 0;
    f->request.groups = 4;
    expect_not_made(f, "auto", MLY_E_NOT_FOUND, "in 4 core groups");
    f->request.groups = 5;
    expect_not_made(f, "auto", MLY_E_INVALID, "5 core groups");
    f->request.groups = 2;
    expect_not_made(f, "single", MLY_E_UNSUPPORTED, "one core group");
    f->request.groups = 1;
    expect_plan(f, "single", "1 group x 4 threads (cpu:0-3), batch 1, blocking");
}

static void memory_limits_what_may_win(void **state)
{
    struct fixture *f = *state;
    rate(f, 1, 4, 1, false, 30);
    rate(f, 2, 2, 1, false, 40);
    struct mly_cost_entry entry = *mly_cost_table_at(f->costs, 1);
    entry.memory_bytes = 1e6;
    assert_int_equal(mly_cost_table_put(f->costs, &entry, NULL), MLY_OK);
    expect_plan(f, "auto", "2 groups x 2 threads (cpu:0-1, cpu:2-3), batch 1, blocking");
    f->request.memory_limit_bytes = 5e5;
    expect_plan(f, "auto", "1 group x 4 threads (cpu:0-3), batch 1, blocking");
    f->request.memory_limit_bytes = 10;
    expect_not_made(f, "auto", MLY_E_LIMIT, "need more memory");
    f->request.memory_limit_bytes = NAN;
    expect_not_made(f, "auto", MLY_E_INVALID, "memory limit");
}

static void what_was_not_measured_is_asked_for(void **state)
{
    struct fixture *f = *state;
    expect_not_made(f, "auto", MLY_E_NOT_FOUND, "run `motley profile ");
    rate(f, 8, 1, 1, false, 100); /* of more groups than there are cores */
    rate(f, 1, 8, 1, false, 100);
    expect_not_made(f, "auto", MLY_E_NOT_FOUND, "was not measured");
    expect_not_made(f, "best", MLY_E_INVALID, "'best'; there are auto, single, groups");
}

static void costs_of_another_model_or_box_are_refused(void **state)
{
    struct fixture *f = *state;
    mly_model *other = tiny_chain(4, 0);
    mly_machine *box = tiny_machine("core:2 pu:1");
    rate(f, 1, 4, 1, false, 100);
    f->request.model = other;
    expect_not_made(f, "auto", MLY_E_MISMATCH, "another model");
    f->request.model = f->model;
    f->request.machine = box;
    expect_not_made(f, "groups", MLY_E_MISMATCH, "another box");
    mly_model_destroy(other);
    mly_machine_destroy(box);
}

static void a_fixed_batch_is_planned_for(void **state)
{
    (void)state;
    struct fixture fixed;
    use(&fixed, tiny_chain(3, 2), "pack:2 core:2 pu:1");
    rate(&fixed, 1, 4, 2, false, 30);
    expect_plan(&fixed, "auto", "1 group x 4 threads (cpu:0-3), batch 2, blocking");
    fixed.request.objective = MLY_OBJECTIVE_LATENCY;
    expect_plan(&fixed, "auto", "1 group x 4 threads (cpu:0-3), batch 2, blocking");
    fixed.request.batch = 4;
    expect_not_made(&fixed, "auto", MLY_E_INVALID, "fixed at 2");
    drop(&fixed);
}

static void two_times_sixteen_cores_are_planned_on_any_box(void **state)
{
    (void)state;
    struct fixture f;
    use(&f, tiny_chain(3, 0), "pack:2 numa:1 l3:1 core:16 pu:2");
    rate(&f, 0, 0, 8, false, 400);
    rate(&f, 1, 32, 8, false, 500);
    rate(&f, 2, 16, 8, false, 900);
    rate(&f, 8, 4, 8, false, 880);
    rate(&f, 32, 1, 8, false, 700);
    mly_plan *plan = make(&f, "auto");
    assert_int_equal(plan->processor_count, 2);
    for (uint32_t i = 0; i < 2; i++) {
        assert_int_equal(plan->processors[i].cpu_count, 16);
        for (uint32_t k = 0; k < 16; k++) /* the first hardware thread of each core */
            assert_int_equal(plan->processors[i].cpus[k], 32 * i + 2 * k);
    }
    mly_plan_destroy(plan);
    drop(&f);
}

static void cores_that_are_left_over_are_not_claimed(void **state)
{
    (void)state;
    struct fixture f;
    use(&f, tiny_chain(3, 0), "core:3 pu:1");
    rate(&f, 2, 1, 1, false, 900);
    mly_plan *plan = make(&f, "groups");
    assert_int_equal(plan->processors[0].cpu_count, 1);
    assert_string_equal(plan->processors[0].id, "cpu:0");
    assert_int_equal(plan->processors[1].cpu_count, 1);
    assert_string_equal(plan->processors[1].id, "cpu:2");
    mly_plan_destroy(plan);
    drop(&f);
}

static void a_huge_table_is_listed_in_part(void **state)
{
    struct fixture *f = *state;
    rate(f, 0, 0, 1, false, 1);
    for (uint32_t batch = 1; batch <= 1500; batch++)
        rate(f, 2, 2, batch, false, 1000 + (batch % 997));
    mly_plan *plan = make(f, "auto"), *back;
    size_t length;
    char *text;
    uint32_t chosen = 0, baselines = 0;
    struct mly_error err;
    for (uint32_t i = 0; i < plan->candidate_count; i++) {
        chosen += plan->candidates[i].chosen;
        baselines += plan->candidates[i].baseline;
    }
    assert_int_equal(chosen, 1);
    assert_int_equal(baselines, 1);
    assert_true(plan->candidate_count <= 1000);
    assert_true(plan->ladder_count <= 64);
    expect_ok(mly_plan_format(plan, &text, &length, &err), err);
    expect_ok(mly_plan_parse("x", text, length, &back, &err), err);
    mly_plan_destroy(back);
    mly_free(text);
    mly_plan_destroy(plan);
}

static void every_failing_allocation_is_reported(void **state)
{
    struct fixture *f = *state;
    rate(f, 0, 0, 1, false, 10);
    rate(f, 1, 4, 1, false, 30);
    rate(f, 2, 2, 4, false, 100);
    for (int once = 0; once < 2; once++) {
        mly_plan *plan = NULL;
        for (uint64_t n = 1, ended = 0; !ended; n++) {
            (once ? mly_alloc_fail_once : mly_alloc_fail_after)(n);
            enum mly_status status = mly_plan_make("auto", &f->request, &plan, NULL);
            mly_alloc_fail_after(0);
            ended = !status;
            assert_true(ended || (status == MLY_E_NO_MEMORY && !plan));
        }
        assert_int_equal(plan->processor_count, 2);
        mly_plan_destroy(plan);
    }
}

static void without_a_power_sensor_it_is_said_what_to_do(void **state)
{
    const struct fixture *f = *state;
    struct fixture energy = *f;
    tiny_cost(f->costs, 0, 4, 1, false, 4e6, 0.01);
    tiny_cost(f->costs, 2, 2, 1, false, 4e6, 0.01);
    energy.request.objective = MLY_OBJECTIVE_ENERGY;
    expect_not_made(&energy, "groups", MLY_E_NOT_FOUND, "no power sensor was read");
    expect_not_made(&energy, "auto", MLY_E_NOT_FOUND, "motley devices");
    /* With what a sensor gave it is planned. */
    struct mly_cost_entry entry = *mly_cost_table_at(f->costs, 1);
    struct mly_error err;
    entry.energy_j = 0.5;
    expect_ok(mly_cost_table_put(f->costs, &entry, &err), err);
    mly_plan *plan = make(&energy, "auto");
    assert_int_equal(plan->processor_count, 2);
    assert_true(plan->prediction.energy_j == 0.5);
    mly_plan_destroy(plan);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(without_a_power_sensor_it_is_said_what_to_do),
        TEST(the_highest_throughput_wins_and_says_why),
        TEST(ties_within_the_noise_go_to_the_simpler_plan),
        TEST(noise_that_was_measured_widens_a_tie_a_little),
        TEST(two_ties_in_a_row_do_not_add_up),
        TEST(the_baseline_wins_only_if_nothing_comes_up_to_it),
        TEST(latency_is_that_of_one_sample),
        TEST(what_the_user_fixed_is_kept),
        TEST(memory_limits_what_may_win),
        TEST(what_was_not_measured_is_asked_for),
        TEST(costs_of_another_model_or_box_are_refused),
        cmocka_unit_test(a_fixed_batch_is_planned_for),
        cmocka_unit_test(two_times_sixteen_cores_are_planned_on_any_box),
        cmocka_unit_test(cores_that_are_left_over_are_not_claimed),
        TEST(a_huge_table_is_listed_in_part),
        TEST(every_failing_allocation_is_reported),
    };
#undef TEST
    return cmocka_run_group_tests(tests, NULL, NULL);
}

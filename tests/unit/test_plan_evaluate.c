/* Predictions from the cost table alone, against figures worked out by hand. */
#include <math.h>
#include <string.h>

#include "base/alloc.h"
#include "model/segment.h"
#include "support/expect.h"
#include "support/plan_fixture.h"
#include "support/test.h"

enum { NODES = 6 };

struct fixture {
    mly_model *model;
    mly_machine *machine;
    mly_cost_table *costs;
};

static int set_up(void **state)
{
    static struct fixture f;
    f.model = tiny_chain(NODES, 0);
    f.machine = tiny_machine("pack:2 core:4 pu:1");
    f.costs = tiny_costs(f.model, f.machine);
    *state = &f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    mly_cost_table_destroy(f->costs);
    mly_model_destroy(f->model);
    mly_machine_destroy(f->machine);
    return 0;
}

static struct mly_prediction evaluate(const struct fixture *f, const mly_plan *plan)
{
    struct mly_prediction prediction = {0};
    struct mly_error err;
    expect_ok(mly_plan_evaluate(plan, f->model, f->costs, &prediction, &err), err);
    return prediction;
}

static void assert_near(double a, double b)
{
    if (!(fabs(a - b) <= 1e-9 * fabs(b)))
        fail_msg("%.17g is not %.17g", a, b);
}

static void a_whole_model_is_what_was_measured_of_just_that_configuration(void **state)
{
    struct fixture *f = *state;
    tiny_cost(f->costs, 2, 4, 8, false, 4e6, 0.03);
    mly_plan *plan = tiny_plan(f->model, f->machine, 2, 8);
    struct mly_prediction p = evaluate(f, plan);
    assert_true(p.known && p.measured && !p.modelled);
    assert_near(p.throughput_per_s, 2 * 8 / 4e-3);
    assert_near(p.latency_ns, 4e6);
    assert_near(p.spread, 0.03);
    /* No weights; per session 8 x 4 floats come in and go out of a node. */
    assert_near(p.memory_bytes, 2 * 2 * 8 * 4 * 4);

    /* All nodes by number are the whole model too. */
    tiny_cut(plan, (const uint32_t[]){NODES}, 1);
    plan->segments[0].processor_count = 1;
    struct mly_error err;
    struct mly_prediction none;
    expect_error(mly_plan_evaluate(plan, f->model, f->costs, &none, &err), MLY_E_NOT_FOUND, err,
                 "1 group x 4 threads, batch 8, block");
    assert_non_null(strstr(err.message, "motley profile"));
    mly_plan_destroy(plan);

    /* Neither another batch nor spinning is guessed. */
    plan = tiny_plan(f->model, f->machine, 2, 4);
    expect_error(mly_plan_evaluate(plan, f->model, f->costs, &none, &err), MLY_E_NOT_FOUND, err,
                 "batch 4");
    plan->batch = 8;
    plan->processors[0].spin = plan->processors[1].spin = true;
    expect_error(mly_plan_evaluate(plan, f->model, f->costs, &none, &err), MLY_E_NOT_FOUND, err,
                 "spin");
    mly_plan_destroy(plan);
}

static void measured_memory_is_used_and_weights_count_once(void **state)
{
    struct fixture *f = *state;
    static const struct tiny_node nodes[] = {{"Add", "a", "x", "w", "t"},
                                             {"Relu", "b", "t", NULL, "y"}};
    struct fixture g = {.machine = f->machine};
    g.model = tiny_model(&(struct tiny_spec){.nodes = nodes, .node_count = 2, .weight_count = 4});
    g.costs = tiny_costs(g.model, g.machine);
    tiny_cost(g.costs, 2, 4, 1, false, 1e6, 0);
    tiny_cost(g.costs, 0, 0, 1, false, 1e6, 0);
    mly_plan *plan = tiny_plan(g.model, g.machine, 2, 1);
    assert_near(evaluate(&g, plan).memory_bytes, 16 + 2 * 32);
    struct mly_cost_entry entry = *mly_cost_table_at(g.costs, 0);
    entry.memory_bytes = 1000;
    assert_int_equal(mly_cost_table_put(g.costs, &entry, NULL), MLY_OK);
    assert_near(evaluate(&g, plan).memory_bytes, 1016);
    mly_plan_destroy(plan);

    /* The runtime's defaults have a copy of the weights of their own, within what was measured. */
    plan = tiny_plan(g.model, g.machine, 1, 1);
    plan->processors[0].runtime_defaults = true;
    assert_near(evaluate(&g, plan).memory_bytes, 16 + 32);
    entry = *mly_cost_table_at(g.costs, 1);
    entry.memory_bytes = 1000;
    assert_int_equal(mly_cost_table_put(g.costs, &entry, NULL), MLY_OK);
    assert_near(evaluate(&g, plan).memory_bytes, 1000);
    mly_plan_destroy(plan);
    mly_cost_table_destroy(g.costs);
    mly_model_destroy(g.model);
}

static void unlike_processors_add_up(void **state)
{
    struct fixture *f = *state;
    tiny_cost(f->costs, 1, 4, 8, false, 4e6, 0.01); /* 2000/s */
    tiny_cost(f->costs, 1, 2, 8, false, 8e6, 0.04); /* 1000/s */
    mly_plan *plan = tiny_plan(f->model, f->machine, 2, 8);
    plan->processors[1].threads = 2;
    struct mly_prediction p = evaluate(f, plan);
    assert_false(p.measured);
    assert_near(p.throughput_per_s, 3000);
    assert_near(p.latency_ns, (2000 * 4e6 + 1000 * 8e6) / 3000);
    assert_near(p.spread, 0.04);
    mly_plan_destroy(plan);
}

static void the_busiest_processor_sets_the_throughput(void **state)
{
    struct fixture *f = *state;
    static const double ns[NODES] = {1e6, 2e6, 3e6, 4e6, 5e6, 6e6};
    char label[16];
    for (uint32_t i = 0; i < NODES; i++) {
        snprintf(label, sizeof label, "r%u", i);
        tiny_part_cost(f->costs, MLY_COST_NODE, label, 2, 4, 4, ns[i]);
    }
    mly_plan *plan = tiny_plan(f->model, f->machine, 2, 4);
    tiny_cut(plan, (const uint32_t[]){4, 6}, 2);
    struct mly_prediction p = evaluate(f, plan);
    assert_true(p.known && !p.measured && !p.modelled);
    assert_near(p.latency_ns, 21e6);
    assert_near(p.throughput_per_s, 4 / 11e-3);
    assert_near(p.spread, 0.1);

    /* Three segments: the first and the last share processor 0. */
    tiny_cut(plan, (const uint32_t[]){1, 5, 6}, 3);
    p = evaluate(f, plan);
    assert_near(p.latency_ns, 21e6);
    assert_near(p.throughput_per_s, 4 / 14e-3);

    /* A replica of the middle one: processor 0 has 1 + 6 + 14 / 2, processor 1 has 14 / 2. */
    mly_free(plan->segments[1].processors);
    plan->segments[1].processors = mly_alloc_array(2, sizeof(uint32_t));
    plan->segments[1].processors[1] = 1;
    plan->segments[1].processor_count = 2;
    p = evaluate(f, plan);
    assert_near(p.latency_ns, 21e6);
    assert_near(p.throughput_per_s, 4 / 14e-3);

    /* Another batch is estimated from this one. */
    plan->batch = 8;
    p = evaluate(f, plan);
    assert_near(p.latency_ns, 42e6);
    plan->batch = 4;

    /* A segment that was measured itself counts instead of its nodes. */
    struct mly_segment segment = {.nodes = plan->segments[1].nodes,
                                  .node_count = plan->segments[1].node_count};
    char hash[65];
    assert_int_equal(mly_segment_hash(f->model, &segment, hash, NULL), MLY_OK);
    tiny_part_cost(f->costs, MLY_COST_SEGMENT, hash, 2, 4, 4, 10e6);
    p = evaluate(f, plan);
    assert_near(p.latency_ns, 17e6);
    assert_near(p.throughput_per_s, 4 / 12e-3);

    struct mly_error err;
    plan->processors[0].threads = 3;
    expect_error(mly_plan_evaluate(plan, f->model, f->costs, &p, &err), MLY_E_NOT_FOUND, err,
                 "node r0");
    mly_plan_destroy(plan);
}

static void nonsense_is_refused_before_it_is_followed(void **state)
{
    struct fixture *f = *state;
    struct mly_error err;
    struct mly_prediction p;
    mly_plan *plan = tiny_plan(f->model, f->machine, 2, 4);
    tiny_cut(plan, (const uint32_t[]){3, 6}, 2);
    plan->segments[1].processors[0] = 9;
    expect_error(mly_plan_evaluate(plan, f->model, f->costs, &p, &err), MLY_E_INVALID, err,
                 "segments[1].processors[0]");
    plan->segments[1].processors[0] = 1;
    plan->segments[1].nodes[2] = 6;
    expect_error(mly_plan_evaluate(plan, f->model, f->costs, &p, &err), MLY_E_INVALID, err,
                 "segments[1].nodes");
    plan->segments[1].nodes[2] = 5;
    plan->batch = 0;
    expect_error(mly_plan_evaluate(plan, f->model, f->costs, &p, &err), MLY_E_INVALID, err,
                 "batch");
    mly_plan_destroy(plan);
}

static void every_failing_allocation_is_reported(void **state)
{
    struct fixture *f = *state;
    char label[16];
    for (uint32_t i = 0; i < NODES; i++) {
        snprintf(label, sizeof label, "r%u", i);
        tiny_part_cost(f->costs, MLY_COST_NODE, label, 2, 4, 4, 1e6);
    }
    mly_plan *plan = tiny_plan(f->model, f->machine, 2, 4);
    tiny_cut(plan, (const uint32_t[]){3, 6}, 2);
    for (uint64_t n = 1;; n++) {
        struct mly_prediction p;
        mly_alloc_fail_after(n);
        enum mly_status status = mly_plan_evaluate(plan, f->model, f->costs, &p, NULL);
        mly_alloc_fail_after(0);
        if (!status)
            break;
        assert_int_equal(status, MLY_E_NO_MEMORY);
    }
    mly_plan_destroy(plan);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(
            a_whole_model_is_what_was_measured_of_just_that_configuration, set_up, tear_down),
        cmocka_unit_test_setup_teardown(measured_memory_is_used_and_weights_count_once, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(unlike_processors_add_up, set_up, tear_down),
        cmocka_unit_test_setup_teardown(the_busiest_processor_sets_the_throughput, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(nonsense_is_refused_before_it_is_followed, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(every_failing_allocation_is_reported, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* Times that plans carry: who is known to take what, and on what that rests. */
#include <string.h>

#include "base/alloc.h"
#include "model/segment.h"
#include "support/expect.h"
#include "support/plan_fixture.h"
#include "support/test.h"

enum { NODES = 6 };

static mly_model *model;
static mly_machine *machine;
static mly_cost_table *costs;
static mly_plan *plan;
static struct mly_error err;

static int set_up(void **state)
{
    (void)state;
    model = tiny_chain(NODES, 0);
    machine = tiny_machine("pack:2 core:4 pu:1");
    costs = tiny_costs(model, machine);
    plan = tiny_plan(model, machine, 2, 4);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    mly_plan_destroy(plan);
    mly_cost_table_destroy(costs);
    mly_model_destroy(model);
    mly_machine_destroy(machine);
    return 0;
}

static void expect_time(uint32_t segment, uint32_t index, uint32_t processor, double ns,
                        enum mly_plan_basis basis)
{
    assert_true(index < plan->segments[segment].time_count);
    const struct mly_plan_time *time = &plan->segments[segment].times[index];
    assert_int_equal(time->processor, processor);
    assert_int_equal(time->batch, 4);
    assert_int_equal(time->basis, basis);
    if (ns > 0 && !(time->ns > 0.999 * ns && time->ns < 1.001 * ns))
        fail_msg("%g is not %g", time->ns, ns);
}

static void make_modelled(struct mly_plan_processor *p)
{
    snprintf(p->id, sizeof p->id, "p100:0");
    snprintf(p->kind, sizeof p->kind, "p100");
    snprintf(p->backend, sizeof p->backend, "modelled");
    p->cpu_count = 0;
    p->threads = 1;
    p->pin = false;
}

static void the_whole_model_takes_what_was_measured(void **state)
{
    (void)state;
    expect_ok(mly_plan_note_times(plan, model, costs, &err), err);
    assert_int_equal(plan->segments[0].time_count, 0); /* nothing was */
    assert_null(plan->segments[0].times);
    expect_ok(mly_plan_note_times(plan, model, NULL, &err), err);
    tiny_cost(costs, 2, 4, 4, false, 4e6, 0.03);
    expect_ok(mly_plan_note_times(plan, model, costs, &err), err);
    assert_int_equal(plan->segments[0].time_count, 2);
    expect_time(0, 0, 0, 4e6, MLY_PLAN_MEASURED);
    expect_time(0, 1, 1, 4e6, MLY_PLAN_MEASURED);
    /* What cannot be told any more is forgotten. */
    plan->processors[0].threads = plan->processors[1].threads = 3;
    expect_ok(mly_plan_note_times(plan, model, costs, &err), err);
    assert_int_equal(plan->segments[0].time_count, 0);
}

static void a_slow_processor_is_waited_for_by_more_batches(void **state)
{
    (void)state;
    tiny_cost(costs, 1, 4, 4, false, 4e6, 0.03);
    tiny_cost(costs, 1, 1, 4, false, 15e6, 0.03);
    plan->in_flight = 1;
    plan->objective = MLY_OBJECTIVE_LATENCY; /* short ones do not wait in numbers */
    plan->processors[0].threads = 4;
    plan->processors[1].threads = 1;
    expect_ok(mly_plan_note_times(plan, model, costs, &err), err);
    assert_int_equal(plan->segments[0].time_count, 2);
    assert_int_equal(plan->in_flight, 2 + 2 + 3); /* three more in 15 ms of 4 ms each */
    plan->in_flight = 50;                         /* what is more stays */
    expect_ok(mly_plan_note_times(plan, model, costs, &err), err);
    assert_int_equal(plan->in_flight, 50);
}

static void of_short_batches_more_wait_on_cores(void **state)
{
    (void)state;
    const struct {
        double ns;
        enum mly_objective objective;
        uint32_t in_flight;
    } rows[] = {
        {9e6, MLY_OBJECTIVE_THROUGHPUT, 2 * 3},  {4e6, MLY_OBJECTIVE_THROUGHPUT, 2 * 5},
        {4e6, MLY_OBJECTIVE_ENERGY, 2 * 5},      {4e6, MLY_OBJECTIVE_LATENCY, 2 * 2},
        {1e4, MLY_OBJECTIVE_THROUGHPUT, 2 * 32}, {4e6, MLY_OBJECTIVE_LATENCY_AT_RATE, 2 * 2},
        {30e6, MLY_OBJECTIVE_THROUGHPUT, 2 * 2},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        tiny_cost(costs, 2, 4, 4, false, rows[i].ns, 0.03);
        plan->in_flight = 1;
        plan->objective = rows[i].objective;
        expect_ok(mly_plan_note_times(plan, model, costs, &err), err);
        assert_int_equal(plan->in_flight, rows[i].in_flight);
    }
}

static void a_core_with_several_segments_counts_all_of_them(void **state)
{
    (void)state;
    char label[16];
    for (uint32_t i = 0; i < NODES; i++) {
        snprintf(label, sizeof label, "r%u", i);
        tiny_part_cost(costs, MLY_COST_NODE, label, 1, 4, 4, 0.5e6);
    }
    tiny_cut(plan, (const uint32_t[]){3, 6}, 2);
    plan->segments[1].processors[0] = plan->segments[0].processors[0];
    plan->in_flight = 1;
    expect_ok(mly_plan_note_times(plan, model, costs, &err), err);
    assert_int_equal(plan->in_flight, 7); /* 20 ms of 3 ms; the other core has nothing to do */
}

static void no_more_wait_on_what_is_no_core(void **state)
{
    (void)state;
    make_modelled(&plan->processors[0]);
    make_modelled(&plan->processors[1]);
    plan->in_flight = 1;
    expect_ok(mly_plan_note_times(plan, model, costs, &err), err);
    assert_int_equal(plan->segments[0].time_count, 2);
    assert_int_equal(plan->in_flight, 4);
}

static void segments_take_what_their_nodes_do_or_what_was_measured(void **state)
{
    (void)state;
    char label[16], hash[65];
    for (uint32_t i = 0; i < NODES; i++) {
        snprintf(label, sizeof label, "r%u", i);
        tiny_part_cost(costs, MLY_COST_NODE, label, 2, 4, 4, (i + 1) * 1e6);
    }
    tiny_cut(plan, (const uint32_t[]){3, 6}, 2);
    expect_ok(mly_plan_note_times(plan, model, costs, &err), err);
    expect_time(0, 0, plan->segments[0].processors[0], 6e6, MLY_PLAN_ESTIMATED);
    expect_time(1, 0, plan->segments[1].processors[0], 15e6, MLY_PLAN_ESTIMATED);
    struct mly_segment segment = {.nodes = plan->segments[1].nodes,
                                  .node_count = plan->segments[1].node_count};
    assert_int_equal(mly_segment_hash(model, &segment, hash, NULL), MLY_OK);
    tiny_part_cost(costs, MLY_COST_SEGMENT, hash, 2, 4, 4, 10e6);
    expect_ok(mly_plan_note_times(plan, model, costs, &err), err);
    expect_time(0, 0, plan->segments[0].processors[0], 6e6, MLY_PLAN_ESTIMATED);
    expect_time(1, 0, plan->segments[1].processors[0], 10e6, MLY_PLAN_MEASURED);
}

static void what_is_modelled_says_so(void **state)
{
    (void)state;
    make_modelled(&plan->processors[1]);
    tiny_cost(costs, 1, 4, 4, false, 4e6, 0.03);
    expect_ok(mly_plan_note_times(plan, model, costs, &err), err);
    assert_int_equal(plan->segments[0].time_count, 2);
    expect_time(0, 0, 0, 4e6, MLY_PLAN_MEASURED);
    expect_time(0, 1, 1, 0, MLY_PLAN_MODELLED);
}

static void split_batches_have_none(void **state)
{
    (void)state;
    tiny_cost(costs, 2, 4, 4, false, 4e6, 0.03);
    plan->segments[0].shares = mly_alloc_array(2, sizeof(uint32_t));
    assert_non_null(plan->segments[0].shares);
    plan->segments[0].shares[0] = plan->segments[0].shares[1] = 2;
    expect_ok(mly_plan_note_times(plan, model, costs, &err), err);
    assert_int_equal(plan->segments[0].time_count, 0);
}

static void a_planners_plan_has_them(void **state)
{
    (void)state;
    mly_plan *made = NULL;
    tiny_cost(costs, 0, 0, 1, true, 4e6, 0.01);
    tiny_cost(costs, 2, 4, 1, false, 3e6, 0.01);
    const struct mly_plan_request request = {
        .model = model, .machine = machine, .costs = costs, .objective = MLY_OBJECTIVE_THROUGHPUT};
    expect_ok(mly_plan_make("auto", &request, &made, &err), err);
    assert_int_equal(made->segments[0].time_count, 2);
    assert_true(made->segments[0].times[1].ns == 3e6);
    mly_plan_destroy(made);
    expect_ok(mly_plan_make_family(&request, &made, &err), err);
    assert_true(made->segments[0].time_count > 0);
    for (uint32_t i = 0; i < made->family_count; i++) {
        const struct mly_plan_segment *segment = &made->family[i].segments[0];
        assert_int_equal(segment->time_count, segment->processor_count);
        for (uint32_t k = 0; k < segment->time_count; k++)
            assert_int_equal(segment->times[k].processor, segment->processors[k]);
    }
    mly_plan_destroy(made);
}

static void every_failing_allocation_is_reported(void **state)
{
    (void)state;
    make_modelled(&plan->processors[1]);
    tiny_cost(costs, 1, 4, 4, false, 4e6, 0.03);
    enum mly_status status = MLY_E_NO_MEMORY;
    for (uint64_t n = 1; status; n++) {
        mly_alloc_fail_once(n);
        status = mly_plan_note_times(plan, model, costs, &err);
        mly_alloc_fail_once(0);
        assert_true(!status || status == MLY_E_NO_MEMORY);
    }
    assert_int_equal(plan->segments[0].time_count, 2);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(the_whole_model_takes_what_was_measured),
        TEST(a_slow_processor_is_waited_for_by_more_batches),
        TEST(of_short_batches_more_wait_on_cores),
        TEST(a_core_with_several_segments_counts_all_of_them),
        TEST(no_more_wait_on_what_is_no_core),
        TEST(segments_take_what_their_nodes_do_or_what_was_measured),
        TEST(what_is_modelled_says_so),
        TEST(split_batches_have_none),
        TEST(a_planners_plan_has_them),
        TEST(every_failing_allocation_is_reported),
    };
#undef TEST
    return cmocka_run_group_tests(tests, NULL, NULL);
}

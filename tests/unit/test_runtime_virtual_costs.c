/* Costs of a plan's segments for the virtual executor: the measured ones by the rules of planning. */
#include "support/expect.h"
#include "support/plan_fixture.h"

#include <math.h>

#include "base/alloc.h"
#include "model/segment.h"
#include "runtime/virtual.h"

static struct mly_error err;
static mly_model *model;
static mly_machine *machine;
static mly_cost_table *costs;

static int setup(void **state)
{
    (void)state;
    model = tiny_chain(4, 0);
    machine = tiny_machine("core:2 pu:1");
    costs = tiny_costs(model, machine);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    mly_cost_table_destroy(costs);
    mly_machine_destroy(machine);
    mly_model_destroy(model);
    return 0;
}

static enum mly_status costs_of(const mly_plan *plan, uint32_t batch, struct mly_virtual_cost **out)
{
    const struct mly_virtual_cost_request request = {
        .model = model, .plan = plan, .measured = costs, .batch = batch};
    return mly_virtual_costs(&request, out, &err);
}

static void a_whole_model_costs_what_it_was_measured_at(void **state)
{
    (void)state;
    mly_plan *plan = tiny_plan(model, machine, 2, 2);
    struct mly_virtual_cost *out = NULL;
    tiny_cost(costs, 2, 1, 2, false, 2e6, 0);
    tiny_cost(costs, 2, 1, 4, false, 4e6, 0);
    expect_ok(costs_of(plan, 2, &out), err);
    for (int p = 0; p < 2; p++) {
        assert_true(out[p].known && !out[p].modelled);
        assert_int_equal(out[p].spread, MLY_VIRTUAL_LOGNORMAL);
        assert_true(out[p].median_ns == 2e6 && out[p].input_ns == 0 && out[p].energy_j == 0);
        assert_true(fabs(out[p].p10_ns - 1.9e6) < 1 && fabs(out[p].p90_ns - 2.1e6) < 1);
    }
    assert_true(out[0].rested == 0);
    mly_free(out);
    struct mly_cost_entry entry = *mly_cost_table_at(costs, 0);
    entry.rested_ns = 2.5e6;
    entry.rested_p90_ns = 3e6;
    expect_ok(mly_cost_table_put(costs, &entry, &err), err);
    expect_ok(costs_of(plan, 2, &out), err);
    assert_true(out[0].rested == 1.25 && out[0].rested_p90 == 1.2 && out[0].rest_ns == 4e6);
    mly_free(out);
    expect_ok(costs_of(plan, 3, &out), err); /* between two that were measured */
    assert_true(fabs(out[0].median_ns - 3e6) < 1 && fabs(out[0].p90_ns - 3.15e6) < 1);
    mly_free(out);
    mly_plan_destroy(plan);
}

static void segments_cost_their_own_time_or_that_of_their_nodes(void **state)
{
    (void)state;
    mly_plan *plan = tiny_plan(model, machine, 2, 1);
    struct mly_virtual_cost *out = NULL;
    char hash[65];
    tiny_cut(plan, (const uint32_t[]){1, 4}, 2);
    struct mly_segment second = {.nodes = plan->segments[1].nodes, .node_count = 3};
    expect_ok(mly_segment_hash(model, &second, hash, &err), err);
    tiny_part_cost(costs, MLY_COST_NODE, "r0", 2, 1, 1, 5e5);
    expect_error(costs_of(plan, 1, &out), MLY_E_NOT_FOUND, err, "r1");
    tiny_part_cost(costs, MLY_COST_SEGMENT, hash, 2, 1, 1, 7e5);
    expect_ok(costs_of(plan, 1, &out), err);
    assert_true(out[0 * 2 + 0].median_ns == 5e5 && out[1 * 2 + 1].median_ns == 7e5);
    assert_false(out[0 * 2 + 1].known || out[1 * 2 + 0].known);
    mly_free(out);
    mly_plan_destroy(plan);
}

static void what_was_not_measured_is_named(void **state)
{
    (void)state;
    mly_plan *plan = tiny_plan(model, machine, 1, 1);
    struct mly_virtual_cost *out = NULL;
    expect_error(costs_of(plan, 1, &out), MLY_E_NOT_FOUND, err, "1 groups of 2 threads");
    const struct mly_virtual_cost_request request = {.model = model, .plan = plan, .batch = 1};
    expect_error(mly_virtual_costs(&request, &out, &err), MLY_E_NOT_FOUND, err, "motley profile");
    assert_null(out);
    mly_plan_destroy(plan);
}

/* Puts a device into the place of a plan's processor. */
static void put_device(mly_plan *plan, uint32_t processor, const char *kind)
{
    struct mly_plan_processor *p = &plan->processors[processor];
    snprintf(p->id, sizeof p->id, "%s:%u", kind, processor);
    snprintf(p->kind, sizeof p->kind, "%s", kind);
    snprintf(p->backend, sizeof p->backend, "modelled");
    mly_free(p->cpus);
    p->cpus = NULL;
    p->cpu_count = p->threads = 0;
}

static void modelled_processors_cost_what_their_device_says(void **state)
{
    (void)state;
    mly_plan *plan = tiny_plan(model, machine, 2, 1);
    struct mly_virtual_cost *out = NULL;
    put_device(plan, 0, "p100");
    put_device(plan, 1, "p100");
    expect_ok(costs_of(plan, 1, &out), err);
    for (int p = 0; p < 2; p++) {
        assert_true(out[p].known && out[p].modelled);
        assert_int_equal(out[p].spread, MLY_VIRTUAL_EXACT);
        assert_true(out[p].median_ns > out[p].input_ns + out[p].output_ns);
        assert_true(out[p].input_ns > 0 && out[p].output_ns > 0);
        assert_true(out[p].input_bytes == 16 &&
                    out[p].output_bytes == 16); /* 4 floats there and back */
        assert_true(out[p].median_ns == out[0].median_ns);
    }
    mly_free(out);
    mly_plan_destroy(plan);
}

/* A batch of 8 in shares of 3 and 1: 6 samples here, 2 there. */
static void a_split_batch_costs_each_processor_its_rows(void **state)
{
    (void)state;
    mly_plan *plan = tiny_plan(model, machine, 2, 8);
    struct mly_virtual_cost *out = NULL;
    plan->segments[0].shares = mly_alloc_array(2, sizeof(uint32_t));
    assert_non_null(plan->segments[0].shares);
    plan->segments[0].shares[0] = 3;
    plan->segments[0].shares[1] = 1;
    for (uint32_t batch = 1; batch <= 8; batch++)
        tiny_cost(costs, 2, 1, batch, false, 1e6 * batch, 0);
    expect_ok(costs_of(plan, 8, &out), err);
    assert_true(out[0].median_ns == 6e6 && out[1].median_ns == 2e6);
    mly_free(out);
    expect_ok(costs_of(plan, 1, &out), err);
    assert_true(out[0].median_ns == 0 && out[1].median_ns == 1e6 && out[0].known);
    mly_free(out);
    put_device(plan, 0, "p100");
    put_device(plan, 1, "p100");
    expect_ok(costs_of(plan, 8, &out), err);
    assert_true(out[0].input_bytes == 6 * 16 && out[1].input_bytes == 2 * 16);
    mly_free(out);
    mly_plan_destroy(plan);
}

static void every_allocation_may_fail(void **state)
{
    (void)state;
    mly_plan *plan = tiny_plan(model, machine, 2, 1);
    struct mly_virtual_cost *out = NULL;
    put_device(plan, 0, "p100");
    put_device(plan, 1, "p100");
    expect_ok(costs_of(plan, 1, &out), err);
    mly_free(out);
    enum mly_status status = MLY_E_NO_MEMORY;
    uint64_t n = 0;
    for (out = NULL; status == MLY_E_NO_MEMORY;) {
        mly_alloc_fail_once(++n);
        status = costs_of(plan, 1, &out);
        mly_alloc_fail_once(0);
    }
    expect_ok(status, err);
    assert_true(n > 3);
    mly_free(out);
    mly_plan_destroy(plan);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_whole_model_costs_what_it_was_measured_at, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(segments_cost_their_own_time_or_that_of_their_nodes, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(what_was_not_measured_is_named, setup, teardown),
        cmocka_unit_test_setup_teardown(modelled_processors_cost_what_their_device_says, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(a_split_batch_costs_each_processor_its_rows, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(every_allocation_may_fail, setup, teardown),
    };
    return cmocka_run_group_tests_name("costs of a virtual run", tests, NULL, NULL);
}

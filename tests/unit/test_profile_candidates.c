/* The planner `profiled` with a back end that only counts: what it measures, keeps and says. */
#include <motley/decide.h>

#include "base/alloc.h"
#include "base/file.h"
#include "cost/table.h"
#include "device/modelled.h"
#include "plan/plan.h"
#include "profile/candidates.h"
#include "support/plan_fixture.h"
#include "support/profile_rig.h"
#include "support/test.h"

enum { NODES = 8 };

static const char *const outputs[NODES] = {"t0", "t1", "t2", "t3", "t4", "t5", "t6", "t7"};
static struct mly_node_time times[NODES];
static mly_machine *machine;
static mly_model *model;
static char *cache;
static struct remarks remarks;

static void orders(const struct counting_orders *wanted)
{
    struct counting_orders all = wanted ? *wanted : (struct counting_orders){0};
    for (uint32_t i = 0; i < NODES; i++)
        times[i] = (struct mly_node_time){.name = outputs[i],
                                          .op_type = "Sin",
                                          .outputs = &outputs[i],
                                          .output_count = 1,
                                          .p10_ns = 1e6,
                                          .median_ns = 1e6,
                                          .p90_ns = 1e6,
                                          .samples = 9};
    all.nodes = times;
    all.node_count = NODES;
    counting_reset(&all);
}

static int set_up(void **state)
{
    static const struct tiny_node nodes[NODES] = {
        {"Sin", "r0", "x", NULL, "t0"},  {"Sin", "r1", "t0", NULL, "t1"},
        {"Sin", "r2", "t1", NULL, "t2"}, {"Sin", "r3", "t2", NULL, "t3"},
        {"Sin", "r4", "t3", NULL, "t4"}, {"Sin", "r5", "t4", NULL, "t5"},
        {"Sin", "r6", "t5", NULL, "t6"}, {"Sin", "r7", "t6", NULL, "t7"}};
    (void)state;
    orders(NULL);
    remarks = (struct remarks){0};
    cache = scratch_create();
    setenv("MOTLEY_CACHE_DIR", cache, 1);
    machine = rig_machine();
    model = tiny_model(&(struct tiny_spec){.nodes = nodes, .node_count = NODES});
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    assert_int_equal(counting_left(), 0);
    mly_model_destroy(model);
    mly_machine_destroy(machine);
    scratch_remove(cache);
    return 0;
}

static struct mly_decide_options quick(void)
{
    return (struct mly_decide_options){.planner = "profiled",
                                       .backend = COUNTING,
                                       .batch = 1,
                                       .budget_ns = 400000000,
                                       .remark = remarks_take,
                                       .user = &remarks};
}

static size_t stored_segments(void)
{
    struct mly_error err = {0};
    struct mly_cost_identity identity;
    const struct mly_profile_options options = {.backend = COUNTING};
    mly_cost_table *table = NULL;
    const struct mly_cost_entry *entry;
    size_t count = 0;
    expect_ok(mly_profile_identity(model, machine, &options, &identity, &err), err);
    expect_ok(mly_cost_store_open(&identity, &table, NULL, &err), err);
    for (size_t i = 0; (entry = mly_cost_table_at(table, i)); i++) {
        if (entry->scope != MLY_COST_SEGMENT)
            continue;
        assert_true(entry->samples > 0 && entry->median_ns > 0 && !entry->modelled);
        count++;
    }
    mly_cost_table_destroy(table);
    return count;
}

static void candidates_are_measured_and_what_was_measured_is_kept(void **state)
{
    (void)state;
    struct mly_error err = {0};
    mly_plan *plan = NULL;
    const struct mly_decide_options options = quick();
    if (mly_machine_info(machine)->cores < 2)
        TEST_SKIP("one core: there is nothing to cut for");
    expect_ok(mly_decide(model, machine, &options, &plan, &err), err);
    assert_string_equal(plan->planner, "profiled");
    assert_true(plan->prediction.known && plan->candidate_count >= 2);
    for (uint32_t i = 0; i < plan->candidate_count; i++)
        assert_string_equal(plan->candidates[i].planner, "profiled");
    mly_plan_destroy(plan);
    plan = NULL;
    const size_t stored = stored_segments();
    assert_true(stored > 0);
    /* What is stored is not measured again. */
    orders(NULL);
    expect_ok(mly_decide(model, machine, &options, &plan, &err), err);
    assert_int_equal(counting_runs(), 0);
    assert_int_equal(stored_segments(), stored);
    mly_plan_destroy(plan);
}

/* As in the pipeline: the short one is never more than two runs ahead, and one may be running. */
static void a_short_segment_waits_for_the_long_one(void **state)
{
    (void)state;
    struct mly_error err = {0};
    struct mly_cost_identity identity;
    const struct mly_profile_options options = {.backend = COUNTING};
    mly_cost_table *table = NULL;
    const struct mly_cost_entry *entry;
    uint64_t fewest = UINT64_MAX, most = 0;
    if (mly_machine_info(machine)->cores < 2)
        TEST_SKIP("one core: there is nothing to cut for");
    expect_ok(mly_profile_identity(model, machine, &options, &identity, &err), err);
    expect_ok(mly_cost_table_create(&identity, &table, &err), err);
    mly_plan *plan = tiny_plan(model, machine, 2, 1);
    tiny_cut(plan, (const uint32_t[]){1, NODES}, 2);
    for (uint32_t i = 0; i < 2; i++)
        snprintf(plan->processors[i].backend, sizeof plan->processors[i].backend, COUNTING);
    expect_ok(mly_profile_plan(model, plan, &options, 20000000, table, &err), err);
    for (size_t i = 0; (entry = mly_cost_table_at(table, i)); i++) {
        fewest = entry->samples < fewest ? entry->samples : fewest;
        most = entry->samples > most ? entry->samples : most;
    }
    assert_int_equal(mly_cost_table_count(table), 2);
    assert_true(fewest > 1 && most - fewest <= 3);
    mly_plan_destroy(plan);
    mly_cost_table_destroy(table);
}

static mly_plan *decide_on(const char *spec)
{
    struct mly_error err = {0};
    struct mly_processor_list processors = {0};
    struct mly_decide_options options = quick();
    mly_plan *plan = NULL;
    char *word = NULL;
    expect_ok(mly_device_models_load(&word, &err), err);
    mly_free(word);
    expect_ok(mly_machine_select(machine, spec, &processors, &err), err);
    options.processors = &processors;
    expect_ok(mly_decide(model, machine, &options, &plan, &err), err);
    mly_processor_list_fini(&processors);
    return plan;
}

static void what_is_modelled_is_not_measured_and_that_is_said(void **state)
{
    (void)state;
    mly_plan *plan = decide_on("p100,gtx1650");
    assert_int_equal(counting_runs(), 0);
    assert_string_equal(plan->planner, "profiled");
    assert_non_null(strstr(plan->note, "none of"));
    assert_non_null(strstr(plan->note, "needs no measuring"));
    assert_non_null(strstr(plan->why, plan->note));
    mly_plan_destroy(plan);
    plan = decide_on("cpu:0,raspberry-pi-3");
    assert_non_null(strstr(plan->note, "candidates"));
    assert_non_null(strstr(plan->note, "device files"));
    mly_plan_destroy(plan);
}

static bool stop_at_samples(double fraction, const char *text, void *user)
{
    (void)fraction;
    (void)user;
    return strcmp(text, "sample segments") != 0;
}

static void stopping_keeps_what_is_done_and_makes_no_plan(void **state)
{
    (void)state;
    struct mly_error err = {0};
    mly_plan *plan = NULL;
    struct mly_decide_options options = quick();
    options.budget_ns = 4000000000;
    options.progress = stop_at_samples;
    expect_error(mly_decide(model, machine, &options, &plan, &err), MLY_E_CANCELLED, err,
                 "interrupted");
    assert_null(plan);
}

static void every_failing_allocation_is_reported(void **state)
{
    (void)state;
    struct mly_error err = {0};
    mly_plan *plan = NULL;
    struct mly_decide_options options = quick();
    expect_ok(mly_decide(model, machine, &options, &plan, &err), err);
    mly_plan_destroy(plan);
    /* Steps grow: there are thousands of allocations, and threads make some in any order. */
    for (uint64_t n = 1;; n += 1 + n / 8) {
        plan = NULL;
        mly_alloc_fail_after(n);
        enum mly_status status = mly_decide(model, machine, &options, &plan, &err);
        mly_alloc_fail_after(0);
        if (!status)
            break;
        assert_null(plan);
        assert_int_equal(status, MLY_E_NO_MEMORY);
    }
    mly_plan_destroy(plan);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(candidates_are_measured_and_what_was_measured_is_kept),
        CASE(a_short_segment_waits_for_the_long_one),
        CASE(what_is_modelled_is_not_measured_and_that_is_said),
        CASE(stopping_keeps_what_is_done_and_makes_no_plan),
        CASE(every_failing_allocation_is_reported),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

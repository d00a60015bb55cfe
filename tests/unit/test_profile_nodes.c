/* Times of a runtime's nodes become times of the model's: exact numbers in, exact numbers out. */
#include "support/plan_fixture.h"
#include "support/profile_rig.h"

static mly_machine *machine;

static int set_up(void **state)
{
    (void)state;
    counting_reset(NULL);
    machine = rig_machine();
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    mly_machine_destroy(machine);
    return 0;
}

/* Arithmetic per element (work_rules.inc): Add 1, Softmax 4, Frobnicate unknown. */
static const struct tiny_node nodes[] = {
    {"Add", "add", "x", "w", "a"},        {"Softmax", "soft", "a", NULL, "b"},
    {"Frobnicate", "f1", "b", NULL, "c"}, {"Frobnicate", "f2", "c", NULL, "d"},
    {"Add", "last", "d", "w", "y"},       {"Add", "unused", "x", "w", "z"},
};

static mly_model *model_of_nodes(void)
{
    return tiny_model(
        &(struct tiny_spec){.nodes = nodes, .node_count = 6, .output = "y", .weight_count = 4});
}

static mly_cost_table *empty_table(const mly_model *model,
                                   const struct mly_profile_options *options)
{
    struct mly_error err = {0};
    struct mly_cost_identity identity;
    mly_cost_table *table = NULL;
    expect_ok(mly_profile_identity(model, machine, options, &identity, &err), err);
    expect_ok(mly_cost_table_create(&identity, &table, &err), err);
    return table;
}

static const struct mly_cost_entry *node_entry(const mly_cost_table *table, const char *label,
                                               uint32_t batch)
{
    const struct mly_cost_config config = {
        .backend = COUNTING, .processor_kind = "cpu", .groups = 1, .threads = 1, .batch = batch};
    return mly_cost_table_find(table, MLY_COST_NODE, label, &config);
}

static void expect_ns(const mly_cost_table *table, const char *label, double p10, double median,
                      double p90)
{
    const struct mly_cost_entry *entry = node_entry(table, label, 1);
    assert_non_null(entry);
    assert_float_equal((float)entry->p10_ns, (float)p10, 1e-3F);
    assert_float_equal((float)entry->median_ns, (float)median, 1e-3F);
    assert_float_equal((float)entry->p90_ns, (float)p90, 1e-3F);
    assert_int_equal(entry->samples, median > 0 ? 7 : 0);
}

static void a_fused_nodes_time_is_shared_by_arithmetic(void **state)
{
    (void)state;
    struct mly_error err = {0};
    struct remarks remarks = {0};
    static const char *const makes_b[] = {"b"}, *const makes_d[] = {"d"}, *const makes_y[] = {"y"},
                             *const makes_own[] = {"b_reordered"};
    /* "add" was swallowed by what makes b, "f1" by what makes d; "unused" was never run. */
    const struct mly_node_time times[] = {
        {"fused_1", "FusedAddSoftmax", makes_b, 1, 500, 400, 600, 7},
        {"reorder", "Reorder", makes_own, 1, 9999, 9999, 9999, 7},
        {"fused_2", "Frobnicate2", makes_d, 1, 80, 60, 100, 7},
        {"last", "Add", makes_y, 1, 30, 20, 40, 7},
    };
    const struct counting_orders orders = {.nodes = times, .node_count = 4};
    counting_reset(&orders);
    mly_model *model = model_of_nodes();
    struct mly_profile_options options = {.backend = COUNTING,
                                          .nodes = true,
                                          .budget_ns = 1,
                                          .remark = remarks_take,
                                          .user = &remarks};
    mly_cost_table *table = empty_table(model, &options);
    expect_ok(mly_profile_run(model, machine, &options, table, &err), err);
    expect_ns(table, "add", 80, 100, 120);
    expect_ns(table, "soft", 320, 400, 480);
    expect_ns(table, "f1", 30, 40, 50);
    expect_ns(table, "f2", 30, 40, 50);
    expect_ns(table, "last", 20, 30, 40);
    expect_ns(table, "unused", 0, 0, 0);

    /* All is there: not asked again, unless told to. */
    counting_reset(&orders);
    const uint32_t one = 1;
    options.batches = &one;
    options.batch_count = 1;
    expect_ok(mly_profile_run(model, machine, &options, table, &err), err);
    assert_int_equal(counting_opens(), 0);
    options.again = true;
    expect_ok(mly_profile_run(model, machine, &options, table, &err), err);
    assert_true(counting_opens() > 0);
    assert_int_equal(counting_left(), 0);
    mly_cost_table_destroy(table);
    mly_model_destroy(model);
}

/* What was measured of the whole model is not lost with it. */
static void node_times_that_fail_are_a_remark(void **state)
{
    (void)state;
    struct mly_error err = {0};
    struct remarks remarks = {0};
    const uint32_t one = 1;
    counting_reset(&(struct counting_orders){.no_node_times = true});
    mly_model *model = model_of_nodes();
    struct mly_profile_options options = {.backend = COUNTING,
                                          .batches = &one,
                                          .batch_count = 1,
                                          .nodes = true,
                                          .budget_ns = 1,
                                          .remark = remarks_take,
                                          .user = &remarks};
    mly_cost_table *table = empty_table(model, &options);
    expect_ok(mly_profile_run(model, machine, &options, table, &err), err);
    assert_string_equal(remarks.text, "times of single nodes are missing: counting: no times\n");
    assert_int_equal(mly_cost_table_count(table), rig_configs(machine));
    assert_null(node_entry(table, "add", 1));
    assert_int_equal(counting_left(), 0);
    mly_cost_table_destroy(table);
    mly_model_destroy(model);
}

static bool stop_at_nodes(const struct mly_profile_progress *progress, void *user)
{
    (void)user;
    return strcmp(progress->text, "single nodes") != 0;
}

static void stopping_before_the_nodes_keeps_the_rest(void **state)
{
    (void)state;
    struct mly_error err = {0};
    const uint32_t one = 1;
    counting_reset(NULL);
    mly_model *model = model_of_nodes();
    struct mly_profile_options options = {.backend = COUNTING,
                                          .batches = &one,
                                          .batch_count = 1,
                                          .nodes = true,
                                          .budget_ns = 1,
                                          .progress = stop_at_nodes};
    mly_cost_table *table = empty_table(model, &options);
    expect_error(mly_profile_run(model, machine, &options, table, &err), MLY_E_CANCELLED, err,
                 "interrupted");
    assert_int_equal(mly_cost_table_count(table), rig_configs(machine));
    mly_cost_table_destroy(table);
    mly_model_destroy(model);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_fused_nodes_time_is_shared_by_arithmetic),
        cmocka_unit_test(node_times_that_fail_are_a_remark),
        cmocka_unit_test(stopping_before_the_nodes_keeps_the_rest),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}

/*
 * Faults below measuring and deciding: the n-th allocation, alone or with all later ones, the n-th
 * open fail, for every n. An error comes back or a remark says what is lost, nothing leaks, the
 * next call works.
 */
#include <motley/decide.h>

#include "base/alloc.h"
#include "plan/plan.h"
#include "support/plan_fixture.h"
#include "support/profile_rig.h"

static mly_machine *machine;
static mly_model *model;
static char *cache;

static int set_up(void **state)
{
    (void)state;
    struct mly_error err = {0};
    counting_reset(NULL);
    cache = scratch_create();
    setenv("MOTLEY_CACHE_DIR", cache, 1);
    machine = rig_machine();
    model = rig_free_dims_model();
    expect_ok(mly_profile_infer_shapes(model, &err), err);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    mly_model_destroy(model);
    mly_machine_destroy(machine);
    scratch_remove(cache);
    return 0;
}

/* One go at measuring or deciding. */
typedef enum mly_status attempt_function(struct remarks *remarks, struct mly_error *err);

static const struct mly_dim_binding dims[] = {{"W", 2}, {"H", 3}};
/* The fewest configurations that there can be. */
static const uint32_t batch = 1, groups = 1;

static const struct mly_node_time *times(void)
{
    static const char *const outputs[] = {"y"};
    static const struct mly_node_time all[] = {{"a", "Relu", outputs, 1, 3, 2, 4, 5}};
    return all;
}

static enum mly_status try_profile(struct remarks *remarks, struct mly_error *err)
{
    struct mly_cost_identity identity;
    mly_cost_table *table = NULL;
    const struct mly_profile_options options = {.backend = COUNTING,
                                                .batches = &batch,
                                                .batch_count = 1,
                                                .group_counts = &groups,
                                                .group_count_count = 1,
                                                .bindings = dims,
                                                .binding_count = 2,
                                                .nodes = true,
                                                .budget_ns = 1,
                                                .remark = remarks_take,
                                                .user = remarks};
    enum mly_status status = mly_profile_identity(model, machine, &options, &identity, err);
    if (status == MLY_OK)
        status = mly_cost_table_create(&identity, &table, err);
    if (status == MLY_OK)
        status = mly_profile_run(model, machine, &options, table, err);
    mly_cost_table_destroy(table);
    return status;
}

static enum mly_status try_decide(struct remarks *remarks, struct mly_error *err)
{
    mly_plan *plan = NULL;
    const struct mly_decide_options options = {.backend = COUNTING,
                                               .batch = batch,
                                               .groups = groups,
                                               .dims = dims,
                                               .dim_count = 2,
                                               .budget_ns = 1,
                                               .again = true,
                                               .remark = remarks_take,
                                               .user = remarks};
    enum mly_status status = mly_decide(model, machine, &options, &plan, err);
    assert_true((status == MLY_OK) == (plan != NULL));
    mly_plan_destroy(plan);
    return status;
}

static void fail_every_allocation(attempt_function *attempt, void (*fail_nth)(uint64_t n))
{
    const struct counting_orders orders = {.nodes = times(), .node_count = 1};
    bool reached = true;
    for (uint64_t n = 1; reached; n++) {
        struct remarks remarks = {0};
        struct mly_error err = {0};
        counting_reset(&orders);
        uint64_t before = mly_alloc_count();
        fail_nth(n);
        enum mly_status status = attempt(&remarks, &err);
        fail_nth(0);
        reached = mly_alloc_count() - before >= n;
        if (counting_left() != 0)
            fail_msg("allocation %llu: %d sessions and outputs are left", (unsigned long long)n,
                     counting_left());
        if (status != MLY_OK && (status != MLY_E_NO_MEMORY || err.status != status))
            fail_msg("allocation %llu: %s: %s", (unsigned long long)n, mly_status_name(status),
                     err.message);
        if (status != MLY_OK && !err.message[0])
            fail_msg("allocation %llu: no word", (unsigned long long)n);
        if (!reached)
            assert_int_equal(status, MLY_OK);
    }
    struct remarks remarks = {0};
    struct mly_error err = {0};
    counting_reset(&orders);
    expect_ok(attempt(&remarks, &err), err);
}

static void every_failing_allocation_of_measuring_is_told(void **state)
{
    (void)state;
    fail_every_allocation(try_profile, mly_alloc_fail_once);
    fail_every_allocation(try_profile, mly_alloc_fail_after);
}

static void every_failing_allocation_of_deciding_is_told(void **state)
{
    (void)state;
    fail_every_allocation(try_decide, mly_alloc_fail_once);
    fail_every_allocation(try_decide, mly_alloc_fail_after);
}

static void every_failing_open_is_told(void **state)
{
    (void)state;
    bool failed = true;
    for (uint64_t n = 1; failed; n++) {
        struct remarks remarks = {0};
        struct mly_error err = {0};
        counting_reset(&(struct counting_orders){.fail_open = n});
        enum mly_status status = try_profile(&remarks, &err);
        uint64_t opens = counting_opens();
        failed = opens >= n;
        assert_int_equal(counting_left(), 0);
        /* The last one is that for single nodes: all else is kept. */
        bool told = status == MLY_E_UNSUPPORTED ? strstr(err.message, "opening ") != NULL
                                                : strstr(remarks.text, "single nodes") != NULL;
        assert_true(told == failed);
    }
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(every_failing_allocation_of_measuring_is_told),
        CASE(every_failing_allocation_of_deciding_is_told),
        CASE(every_failing_open_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* Deciding with a back end that only counts: what is stored is used, and what is of no use is said. */
#include <motley/decide.h>

#include "base/alloc.h"
#include "base/file.h"
#include "plan/plan.h"
#include "support/plan_fixture.h"
#include "support/profile_rig.h"

static mly_machine *machine;
static mly_model *model;
static char *cache;
static struct remarks remarks;

static int set_up(void **state)
{
    (void)state;
    counting_reset(NULL);
    remarks = (struct remarks){0};
    cache = scratch_create();
    setenv("MOTLEY_CACHE_DIR", cache, 1);
    machine = rig_machine();
    model = tiny_chain(3, 0);
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
    return (struct mly_decide_options){.backend = COUNTING,
                                       .batch = 1,
                                       .budget_ns = 1000000,
                                       .remark = remarks_take,
                                       .user = &remarks};
}

static void decide(const struct mly_decide_options *options)
{
    struct mly_error err = {0};
    mly_plan *plan = NULL;
    expect_ok(mly_decide(model, machine, options, &plan, &err), err);
    assert_non_null(plan);
    assert_string_equal(plan->processors[0].backend, COUNTING);
    assert_true(plan->prediction.measured);
    mly_plan_destroy(plan);
}

/* The one stored table: its path, to be freed. */
static char *stored_path(void)
{
    struct mly_error err = {0};
    struct mly_cost_identity identity;
    const struct mly_profile_options options = {.backend = COUNTING};
    char *path = NULL;
    expect_ok(mly_profile_identity(model, machine, &options, &identity, &err), err);
    expect_ok(mly_cost_store_path(&identity, &path, &err), err);
    return path;
}

static bool said(const char *words)
{
    return strstr(remarks.text, words) != NULL;
}

static void stored_measurements_are_used(void **state)
{
    (void)state;
    struct mly_decide_options options = quick();
    decide(&options);
    assert_true(counting_runs() > 0);
    counting_reset(NULL);
    decide(&options);
    assert_int_equal(counting_opens(), 0);
    assert_int_equal(counting_runs(), 0);
    /* Another batch is missing … */
    options.batch = 2;
    decide(&options);
    assert_true(counting_runs_of(0, false, 2) > 0);
    assert_int_equal(counting_runs_of(0, false, 1), 0);
    /* … and `again` is again. */
    counting_reset(NULL);
    options.again = true;
    decide(&options);
    assert_true(counting_runs_of(0, false, 2) > 0);
}

static void measurements_of_another_runtime_are_ignored_with_a_word(void **state)
{
    (void)state;
    struct mly_decide_options options = quick();
    decide(&options);
    counting_reset(&(struct counting_orders){.version = "2"});
    decide(&options);
    assert_true(counting_runs() > 0);
    assert_true(said("were measured with counting 1; this is counting 2"));
}

static void measurements_of_another_host_are_ignored_with_a_word(void **state)
{
    (void)state;
    struct mly_error err = {0};
    struct mly_decide_options options = quick();
    mly_cost_table *table = NULL;
    decide(&options);
    char *path = stored_path();
    expect_ok(mly_cost_table_load(path, &table, &err), err);
    struct mly_cost_identity identity = *mly_cost_table_identity(table);
    mly_cost_table_destroy(table);
    snprintf(identity.host_id, sizeof identity.host_id, "another");
    expect_ok(mly_cost_table_create(&identity, &table, &err), err);
    expect_ok(mly_cost_table_save(table, path, &err), err);
    mly_cost_table_destroy(table);
    counting_reset(NULL);
    decide(&options);
    assert_true(counting_runs() > 0);
    assert_true(said("another host"));

    expect_ok(mly_file_write(path, "{\"motley", 8, &err), err);
    counting_reset(NULL);
    decide(&options);
    assert_true(counting_runs() > 0);
    assert_true(said("cannot be read"));
    mly_free(path);
}

static void sizes_of_dimensions_are_measured_apart(void **state)
{
    (void)state;
    struct mly_decide_options options = quick();
    const struct mly_dim_binding two = {"W", 2}, three = {"W", 3};
    mly_model_destroy(model);
    model = rig_free_dims_model();
    options.dims = &two;
    options.dim_count = 1;
    decide(&options);
    assert_true(said("sets one): H\n"));
    counting_reset(NULL);
    options.dims = &three;
    decide(&options);
    assert_true(counting_runs() > 0);
    counting_reset(NULL);
    options.dims = &two;
    decide(&options);
    assert_int_equal(counting_opens(), 0);
}

/* How noisy the box is belongs to what is stored: a decision on it is no better for being late. */
static void a_noisy_box_is_said_once(void **state)
{
    (void)state;
    struct mly_error err = {0};
    struct mly_decide_options options = quick();
    decide(&options);
    char *path = stored_path();
    for (int noisy = 0; noisy < 2; noisy++) {
        mly_cost_table *table = NULL;
        expect_ok(mly_cost_table_load(path, &table, &err), err);
        mly_cost_table_noise(table)->relative_spread = noisy ? 0.5 : 0.01;
        for (size_t i = 0; i < mly_cost_table_count(table); i++) {
            struct mly_cost_entry entry = *mly_cost_table_at(table, i);
            entry.throughput_spread = 0.01;
            entry.noise_spread = noisy ? 0.5 : 0.01;
            expect_ok(mly_cost_table_put(table, &entry, &err), err);
        }
        expect_ok(mly_cost_table_save(table, path, &err), err);
        mly_cost_table_destroy(table);
        remarks = (struct remarks){0};
        decide(&options);
        assert_int_equal(remarks.count, noisy);
        assert_true(!noisy || said("varied by 50 %"));
    }
    mly_free(path);
}

static void measurements_of_other_hours_are_said(void **state)
{
    (void)state;
    struct mly_error err = {0};
    struct mly_decide_options options = quick();
    decide(&options);
    assert_false(said("hours apart"));
    char *path = stored_path();
    mly_cost_table *table = NULL;
    expect_ok(mly_cost_table_load(path, &table, &err), err);
    struct mly_cost_entry entry = *mly_cost_table_at(table, 0);
    assert_int_equal(entry.scope, MLY_COST_MODEL);
    entry.measured_s -= 3 * 3600;
    expect_ok(mly_cost_table_put(table, &entry, &err), err);
    expect_ok(mly_cost_table_save(table, path, &err), err);
    mly_cost_table_destroy(table);
    mly_free(path);
    decide(&options);
    assert_true(said("up to 3 hours apart"));
    options.again = true;
    remarks = (struct remarks){0};
    decide(&options);
    assert_false(said("hours apart"));
}

struct stop_after {
    int left;
};

static bool stop_after(double fraction, const char *text, void *user)
{
    struct stop_after *stop = user;
    assert_true(fraction >= 0 && fraction <= 1);
    assert_non_null(text);
    return --stop->left > 0;
}

static void stopping_makes_no_plan(void **state)
{
    (void)state;
    struct mly_error err = {0};
    struct stop_after stop = {4};
    struct mly_decide_options options = quick();
    mly_plan *plan = NULL;
    options.progress = stop_after;
    options.remark = NULL;
    options.user = &stop;
    expect_error(mly_decide(model, machine, &options, &plan, &err), MLY_E_CANCELLED, err,
                 "interrupted");
    assert_null(plan);
    options = quick();
    decide(&options);
}

static void without_a_place_to_keep_them_measurements_still_decide(void **state)
{
    (void)state;
    struct mly_decide_options options = quick();
    setenv("MOTLEY_CACHE_DIR", "/dev/null/nowhere", 1);
    decide(&options);
    assert_true(said("cannot be kept"));
    counting_reset(NULL);
    decide(&options);
    assert_true(counting_runs() > 0);
    setenv("MOTLEY_CACHE_DIR", cache, 1);
}

static void wishes_that_make_no_sense_are_refused(void **state)
{
    (void)state;
    struct mly_error err = {0};
    mly_plan *plan = NULL;
    struct mly_decide_options options = quick();
    options.backend = "nobody";
    expect_error(mly_decide(model, machine, &options, &plan, &err), MLY_E_NOT_FOUND, err, "nobody");
    options = quick();
    options.groups = mly_machine_info(machine)->cores + 1;
    expect_error(mly_decide(model, machine, &options, &plan, &err), MLY_E_INVALID, err, "groups");
    options = quick();
    options.dims = &(struct mly_dim_binding){"Q", 2};
    options.dim_count = 1;
    expect_error(mly_decide(model, machine, &options, &plan, &err), MLY_E_INVALID, err, "'Q'");
    options = quick();
    options.planner = "oracle";
    expect_error(mly_decide(model, machine, &options, &plan, &err), MLY_E_INVALID, err, "oracle");
    mly_machine *synthetic = tiny_machine("core:2 pu:1");
    options = quick();
    expect_error(mly_decide(model, synthetic, &options, &plan, &err), MLY_E_INVALID, err,
                 "synthetic");
    mly_machine_destroy(synthetic);
    mly_model_destroy(model);
    model = tiny_chain(2, 3);
    expect_error(mly_decide(model, machine, &options, &plan, &err), MLY_E_INVALID, err,
                 "fixed at 3");
    assert_null(plan);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(stored_measurements_are_used),
        CASE(measurements_of_another_runtime_are_ignored_with_a_word),
        CASE(measurements_of_another_host_are_ignored_with_a_word),
        CASE(sizes_of_dimensions_are_measured_apart),
        CASE(a_noisy_box_is_said_once),
        CASE(measurements_of_other_hours_are_said),
        CASE(stopping_makes_no_plan),
        CASE(without_a_place_to_keep_them_measurements_still_decide),
        CASE(wishes_that_make_no_sense_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/*
 * The experiments of the multi-TPU paper, a quick run of each: what the compiler kept and streamed in every
 * published segment is what the model says, numbers follow from each other, and findings are there.
 */
#include <math.h>

#include "base/alloc.h"
#include "base/json.h"
#include "bench/bench.h"
#include "support/expect.h"

static struct mly_error err;
static mly_machine *machine;
static char *scratch;

static int setup(void **state)
{
    (void)state;
    unsetenv("MOTLEY_DEVICES");
    scratch = scratch_create();
    setenv("MOTLEY_CACHE_DIR", scratch, 1);
    expect_ok(mly_machine_create("core:2 pu:1", &machine, &err), err);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    mly_machine_destroy(machine);
    scratch_remove(scratch);
    return 0;
}

static void on_progress(void *user, double fraction, const char *what)
{
    double *last = user;
    assert_true(fraction >= *last - 1e-9 && fraction <= 1 + 1e-9 && what[0]);
    *last = fraction;
}

/* The result as it is written, read again. */
static mly_json_doc *run(const char *name)
{
    char *text = NULL;
    size_t length = 0;
    double last = 0;
    mly_result *result = NULL;
    mly_json_doc *doc = NULL;
    const struct mly_bench_options options = {
        .machine = machine, .quick = true, .progress = on_progress, .user = &last};
    expect_ok(mly_experiment_run(mly_experiment_find(name), &options, &result, &err), err);
    expect_ok(mly_result_format_json(result, &text, &length, &err), err);
    expect_ok(mly_json_parse(name, text, length, &doc, &err), err);
    mly_free(text);
    mly_result_destroy(result);
    return doc;
}

static struct mly_json member(struct mly_json object, const char *key)
{
    struct mly_json value;
    expect_ok(mly_json_member(object, key, &value, &err), err);
    return value;
}

static struct mly_json table_of(const mly_json_doc *doc, const char *name)
{
    struct mly_json tables = member(mly_json_root(doc), "tables");
    for (size_t i = 0; i < mly_json_length(tables); i++) {
        struct mly_json table = mly_json_element(tables, i);
        const char *its_name;
        expect_ok(mly_json_string(table, "name", &its_name, &err), err);
        if (strcmp(its_name, name) == 0)
            return table;
    }
    fail_msg("there is no table %s", name);
    return mly_json_root(doc);
}

static size_t row_count(struct mly_json table)
{
    return mly_json_length(member(table, "rows"));
}

static struct mly_json cell(struct mly_json table, size_t row, const char *column)
{
    struct mly_json columns = member(table, "columns");
    for (size_t i = 0; i < mly_json_length(columns); i++) {
        const char *name;
        expect_ok(mly_json_string(mly_json_element(columns, i), "name", &name, &err), err);
        if (strcmp(name, column) == 0)
            return mly_json_element(member(mly_json_element(member(table, "rows"), row), "values"),
                                    i);
    }
    fail_msg("there is no column %s", column);
    return table;
}

/* NaN where it is empty. */
static double number(struct mly_json table, size_t row, const char *column)
{
    struct mly_json value = cell(table, row, column);
    double out = NAN;
    if (!mly_json_is_null(value))
        expect_ok(mly_json_as_number(value, -1e18, 1e18, &out, &err), err);
    return out;
}

static const char *text(struct mly_json table, size_t row, const char *column)
{
    const char *out = NULL;
    expect_ok(mly_json_as_string(cell(table, row, column), &out, &err), err);
    return out;
}

static void expect_origin(struct mly_json table, const char *wanted)
{
    struct mly_json rows = member(table, "rows");
    for (size_t i = 0; i < mly_json_length(rows); i++) {
        const char *origin;
        expect_ok(mly_json_string(mly_json_element(rows, i), "origin", &origin, &err), err);
        assert_string_equal(origin, wanted);
    }
}

static const char *const families[] = {"fc", "conv"};
static const size_t sizes[] = {6, 7}; /* of a quick run */

static void capacity_is_what_the_compiler_said(void **state)
{
    (void)state;
    mly_json_doc *doc = run("tpu-capacity");
    for (size_t f = 0; f < 2; f++) {
        struct mly_json table = table_of(doc, families[f]);
        assert_int_equal(row_count(table), sizes[f]);
        expect_origin(table, "modelled");
        for (size_t r = 0; r < row_count(table); r++) {
            assert_true(number(table, r, "memory_error_mib") <= 0.006);
            assert_true(fabs(number(table, r, "time_error_percent")) < 50);
            const double ms = number(table, r, "time_ms"),
                         published = number(table, r, "published_ms");
            assert_true(fabs(100 * (ms / published - 1) - number(table, r, "time_error_percent")) <
                        1e-6);
        }
    }
    assert_true(number(table_of(doc, "errors"), 0, "first_streamed") == 1620);
    assert_true(number(table_of(doc, "errors"), 1, "first_streamed") == 452);
    mly_json_destroy(doc);
}

/* Rows of ways on several TPUs: each follows from the others; what was cut as published streams as published. */
static size_t check_ways(struct mly_json table)
{
    double one_ms = NAN;
    size_t as_published = 0;
    expect_origin(table, "modelled");
    for (size_t r = 0; r < row_count(table); r++) {
        const double ms = number(table, r, "time_ms"), ms_1000 = number(table, r, "time_1000_ms"),
                     slowest = number(table, r, "slowest_stage_ms"),
                     tpus = number(table, r, "tpus");
        if (tpus == 1)
            one_ms = ms;
        assert_true(fabs(number(table, r, "speed_up") - one_ms / ms) < 1e-6 * one_ms / ms);
        /* More inputs at once fill the pipeline better; nothing beats its slowest stage. */
        assert_true(ms_1000 <= ms * (1 + 1e-9));
        assert_true(ms_1000 >= slowest * (1 - 1e-4)); /* the clock's nanoseconds are whole */
        if (!strstr(text(table, r, "way"), "as published"))
            continue;
        as_published++;
        if (fabs(number(table, r, "off_chip_mib") - number(table, r, "published_off_chip_mib")) >
            0.03 * tpus)
            fail_msg("size %g, %g TPUs, %s: %g MiB are streamed; the compiler streamed %g",
                     number(table, r, "size"), tpus, text(table, r, "layers"),
                     number(table, r, "off_chip_mib"), number(table, r, "published_off_chip_mib"));
    }
    return as_published;
}

static void pipelines_by_the_vendors_split(void **state)
{
    (void)state;
    mly_json_doc *doc = run("tpu-pipeline");
    assert_true(check_ways(table_of(doc, "fc")) >= 6);
    assert_true(check_ways(table_of(doc, "conv")) >= 12);
    assert_int_equal(row_count(table_of(doc, "best")), 2 * 3 * 2);
    mly_json_destroy(doc);
}

static void profiled_splits_and_ours(void **state)
{
    (void)state;
    mly_json_doc *doc = run("tpu-profiled");
    for (size_t f = 0; f < 2; f++) {
        struct mly_json table = table_of(doc, families[f]);
        double others = NAN;
        assert_true(check_ways(table) >= 12);
        for (size_t r = 0; r < row_count(table); r++) {
            const char *way = text(table, r, "way");
            const double slowest = number(table, r, "slowest_stage_ms");
            /* Of pipelines with one segment on each TPU ours has the shortest bottleneck. */
            if (strcmp(way, "vendor") == 0)
                others = INFINITY;
            if (strcmp(way, "pipeline") == 0)
                assert_true(slowest <= others * (1 + 1e-6));
            else if (strcmp(way, "auto") != 0)
                others = fmin(others, slowest);
        }
    }
    struct mly_json findings = member(mly_json_root(doc), "findings");
    assert_int_equal(mly_json_length(findings), 5);
    for (size_t i = 0; i < 4; i++) {
        double bar, value;
        bool holds;
        struct mly_json finding = mly_json_element(findings, i);
        expect_ok(mly_json_number(finding, "bar", 1, 100, &bar, &err), err);
        expect_ok(mly_json_number(finding, "value", 0, 1000, &value, &err), err);
        expect_ok(mly_json_bool(finding, "holds", &holds, &err), err);
        assert_true(holds == (value >= bar));
        if (i == 0)
            assert_true(holds); /* fully connected: 46 times one TPU */
    }
    mly_json_destroy(doc);
}

/* How near it comes is a matter of the box: only that it keeps to what is possible. */
static void pipelines_in_real_time(void **state)
{
    (void)state;
    mly_json_doc *doc = run("tpu-realtime");
    struct mly_json table = table_of(doc, "runs");
    assert_int_equal(row_count(table), 1);
    expect_origin(table, "measured");
    assert_true(number(table, 0, "stages") == 4 && number(table, 0, "inputs") == 50);
    assert_true(number(table, 0, "share") > 0 && number(table, 0, "share") < 1.001);
    mly_json_destroy(doc);
}

/* Every experiment but the one that sleeps: what fails is said, and nothing is left. */
static void memory_may_be_short_at_any_time(void **state)
{
    (void)state;
    static const char *const names[] = {"tpu-capacity", "tpu-pipeline", "tpu-profiled"};
    for (size_t i = 0; i < 3; i++) {
        for (uint64_t n = 1;; n = n * 3 + 1) {
            mly_result *result = NULL;
            const struct mly_bench_options options = {.machine = machine, .quick = true};
            mly_alloc_fail_once(n);
            enum mly_status status =
                mly_experiment_run(mly_experiment_find(names[i]), &options, &result, &err);
            mly_alloc_fail_once(0);
            mly_result_destroy(result);
            if (status == MLY_OK)
                break;
            assert_null(result);
            if (status != MLY_E_NO_MEMORY)
                fail_msg("allocation %lu: %s", (unsigned long)n, err.message);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(memory_may_be_short_at_any_time),
        cmocka_unit_test(capacity_is_what_the_compiler_said),
        cmocka_unit_test(pipelines_by_the_vendors_split),
        cmocka_unit_test(profiled_splits_and_ours),
        cmocka_unit_test(pipelines_in_real_time),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}

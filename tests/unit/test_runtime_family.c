/*
 * Families of plans in one engine: the first one is open at once, the others follow; sessions that are
 * the same are opened once; what cannot be opened is done without. Order of events is made by gates.
 */
#include "support/expect.h"
#include "support/fake_backend.h"

#include <pthread.h>
#include <sched.h>

#include "base/alloc.h"
#include "base/log.h"
#include "runtime/native.h"
#include "runtime/starpu.h"

enum { PLANS_MAX = 3 };

static struct mly_error err;
static struct mly_flow oracle;
static const char *executor; /* NULL: native */

static const char *const first[] = {"0>1@0"};
static const char *const second[] = {"0>1@1"};
static const char *const both[] = {"0>1@0 1"};

static enum mly_status create(const char *const *const *plans, uint32_t count,
                              const struct mly__family *family, mly_engine **out)
{
    struct mly_flow flows[PLANS_MAX] = {0};
    const struct mly_engine_options options = {
        .ordered = true, .queue_capacity = 64, .executor = executor};
    enum mly_status status = MLY_OK;
    uint32_t made = 0;
    for (; made < count && status == MLY_OK; made++)
        status = fake_flow_init(&fake_ops, "0", "1", 2, plans[made], 1, &flows[made], &err);
    if (status == MLY_OK)
        return mly__engine_create_flows(flows, count, family, &options, MLY_SCHEDULE_EARLIEST, out,
                                        &err);
    for (uint32_t i = 0; i + 1 < made; i++)
        mly_flow_fini(&flows[i]);
    return status;
}

/* The first plan is for next to nothing, the last one for everything. */
static mly_engine *open_engine(const char *const *const *plans, uint32_t count, double memory_limit)
{
    static const double max_rates[] = {1e-6, 1e-5, 1e9}, memory_bytes[] = {100, 100, 100};
    const struct mly__family family = {.max_rates = max_rates + (PLANS_MAX - count) * (count < 3),
                                       .memory_bytes = memory_bytes,
                                       .memory_limit_bytes = memory_limit};
    mly_engine *engine = NULL;
    expect_ok(create(plans, count, &family, &engine), err);
    return engine;
}

static struct mly_engine_stats stats_of(mly_engine *engine)
{
    struct mly_engine_stats stats;
    mly_engine_get_stats(engine, &stats);
    return stats;
}

/* One batch, there and back. */
static void infer(mly_engine *engine, int64_t tag)
{
    int64_t memory[FAKE_WIDTH], results[FAKE_WIDTH];
    struct mly_tensor input, output;
    fake_fill(&input, memory, 1, tag, 0);
    fake_fill(&output, results, 1, 0, 0);
    expect_ok(mly_engine_infer(engine, &input, 1, &output, 1, &err), err);
    assert_true(fake_is_right(&oracle, &input, &output));
}

/* Batches until the rate calls for another plan than the first. */
static int64_t infer_until_wanted(mly_engine *engine, int64_t tag)
{
    uint32_t wanted = 0;
    while (wanted == 0) {
        infer(engine, tag++);
        pthread_mutex_lock(&engine->crew->lock);
        wanted = engine->ways.pace.current;
        pthread_mutex_unlock(&engine->crew->lock);
    }
    return tag;
}

static int set_up(void **state)
{
    (void)state;
    fake_reset();
    expect_ok(fake_flow_init(&fake_ops, "0", "1", 2, first, 1, &oracle, &err), err);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    mly_flow_fini(&oracle);
    assert_int_equal(fake_open_sessions(), 0);
    assert_int_equal(fake_live_tensors(), 0);
    return 0;
}

static void same_sessions_are_opened_once_and_warmed_for_all(void **state)
{
    (void)state;
    const char *const *const plans[] = {first, both, both};
    mly_engine *engine = open_engine(plans, 3, 0);
    mly__variants_await(engine);
    assert_int_equal(fake_open_sessions(), 2);       /* of five seats */
    assert_int_equal(fake_begun(FAKE_ANY, 0, 0), 2); /* each batch size once */
    assert_int_equal(fake_begun(FAKE_ANY, 0, 1), 2);
    struct mly_engine_stats stats = stats_of(engine);
    assert_int_equal(stats.plan_count, 3);
    assert_int_equal(stats.plans_open, 3);
    assert_int_equal(stats.plan, 0);
    int64_t tag = infer_until_wanted(engine, 1);
    for (int i = 0; i < 20; i++)
        infer(engine, tag++);
    assert_true(stats_of(engine).plan > 0);
    mly_engine_destroy(engine);
}

static void a_batch_size_of_another_plan_is_warmed_too(void **state)
{
    (void)state;
    static const double max_rates[] = {1, 2}, memory_bytes[] = {0, 0};
    const struct mly__family family = {.max_rates = max_rates, .memory_bytes = memory_bytes};
    const struct mly_engine_options options = {.executor = executor};
    struct mly_flow flows[2];
    mly_engine *engine = NULL;
    for (int i = 0; i < 2; i++)
        expect_ok(fake_flow_init(&fake_ops, "0", "1", 2, first, 1, &flows[i], &err), err);
    flows[1].ladder[1] = 7;
    flows[1].segments[0].warm_shapes[1].dims[0] = 7;
    expect_ok(
        mly__engine_create_flows(flows, 2, &family, &options, MLY_SCHEDULE_EARLIEST, &engine, &err),
        err);
    assert_int_equal(fake_begun(FAKE_ANY, 0, 0), 3); /* 1, 2 and 7, before anybody uses it */
    mly__variants_await(engine);
    assert_int_equal(fake_begun(FAKE_ANY, 0, 0), 3);
    assert_int_equal(fake_open_sessions(), 1);
    mly_engine_destroy(engine);
}

/* The second plan's only session hangs in its warming: the engine is there, and works by the first plan. */
static void nobody_waits_for_a_plan_that_is_not_open(void **state)
{
    (void)state;
    const char *const *const plans[] = {first, second};
    fake_hold(FAKE_ANY, FAKE_ANY, 1);
    mly_engine *engine = open_engine(plans, 2, 0);
    fake_await_held(FAKE_ANY, FAKE_ANY, 1);
    struct mly_engine_stats stats = stats_of(engine);
    assert_int_equal(stats.plans_open, 1);
    int64_t tag = infer_until_wanted(engine, 1);
    for (int i = 0; i < 20; i++)
        infer(engine, tag++);
    assert_int_equal(stats_of(engine).plan, 0);
    assert_int_equal(stats_of(engine).plan_changes, 0);
    fake_release_all();
    mly__variants_await(engine);
    uint64_t before = fake_begun(FAKE_ANY, 0, 1);
    for (int i = 0; i < 20; i++)
        infer(engine, tag++);
    assert_int_equal(fake_begun(FAKE_ANY, 0, 1), before + 20);
    stats = stats_of(engine);
    assert_int_equal(stats.plans_open, 2);
    assert_int_equal(stats.plan, 1);
    assert_int_equal(stats.plan_changes, 1);
    assert_int_equal(stats.completed, stats.submitted);
    mly_engine_destroy(engine);
}

static void the_one_for_the_highest_rate_comes_first_and_stands_in(void **state)
{
    (void)state;
    const char *const *const plans[] = {first, both, second};
    fake_hold(FAKE_ANY, FAKE_ANY, 1);
    mly_engine *engine = open_engine(plans, 3, 0);
    fake_await_held(FAKE_ANY, FAKE_ANY, 1);
    /* It is the last one that is being opened: the middle one would share both its sessions then. */
    pthread_mutex_lock(&engine->crew->lock);
    assert_false(engine->ways.ready[1]);
    pthread_mutex_unlock(&engine->crew->lock);
    fake_release_all();
    mly__variants_await(engine);
    assert_int_equal(fake_open_sessions(), 2);
    assert_string_equal(fake_open_log(), "0@0 0@1");
    /* Without the middle one the last one is taken; without both the first one. */
    pthread_mutex_lock(&engine->crew->lock);
    engine->ways.pace.current = 1;
    engine->ways.ready[1] = false;
    assert_true(mly__ways_choose(&engine->ways));
    assert_int_equal(engine->ways.serving, 2);
    engine->ways.ready[2] = false;
    assert_true(mly__ways_choose(&engine->ways));
    assert_int_equal(engine->ways.serving, 0);
    assert_false(mly__ways_choose(&engine->ways));
    engine->ways.ready[1] = engine->ways.ready[2] = true;
    pthread_mutex_unlock(&engine->crew->lock);
    mly_engine_destroy(engine);
}

static void a_plan_that_cannot_be_opened_is_left_out(void **state)
{
    (void)state;
    const char *const *const plans[] = {first, second};
    mly_log_set_level(MLY_LOG_ERROR);
    fake_fail_open(2, MLY_E_BACKEND); /* the second plan's: the first one has a session only */
    mly_engine *engine = open_engine(plans, 2, 0);
    mly__variants_await(engine);
    assert_int_equal(stats_of(engine).plans_open, 1);
    int64_t tag = infer_until_wanted(engine, 1);
    for (int i = 0; i < 5; i++)
        infer(engine, tag++);
    assert_int_equal(stats_of(engine).plan, 0);
    mly_engine_destroy(engine);
    /* The first one's failure is the engine's. */
    fake_fail_open(1, MLY_E_BACKEND);
    static const double rates[] = {1, 2}, memory_bytes[] = {0, 0};
    const struct mly__family family = {.max_rates = rates, .memory_bytes = memory_bytes};
    assert_int_equal(create(plans, 2, &family, &engine), MLY_E_BACKEND);
    fake_fail_open(0, MLY_OK);
}

static void memory_is_bounded_and_what_is_shared_counts_once(void **state)
{
    (void)state;
    mly_log_set_level(MLY_LOG_ERROR);
    static const struct {
        const char *const *plan;
        double limit;
        uint32_t open;
    } cases[] = {{second, 199, 1}, {second, 200, 2}, {first, 100, 2},
                 {both, 149, 1},   {both, 150, 2},   {second, 0, 2}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const char *const *const plans[] = {first, cases[i].plan};
        mly_engine *engine = open_engine(plans, 2, cases[i].limit);
        mly__variants_await(engine);
        if (stats_of(engine).plans_open != cases[i].open)
            fail_msg("case %zu: %u plans open", i, stats_of(engine).plans_open);
        infer(engine, 1);
        mly_engine_destroy(engine);
    }
}

static void *destroy(void *engine)
{
    mly_engine_destroy(engine);
    return NULL;
}

static void an_engine_may_be_destroyed_while_plans_are_opened(void **state)
{
    (void)state;
    const char *const *const plans[] = {first, both, second};
    for (int held = 0; held < 2; held++) {
        pthread_t destroyer;
        if (held)
            fake_hold(FAKE_ANY, FAKE_ANY, 1);
        mly_engine *engine = open_engine(plans, 3, 0);
        infer(engine, 1);
        if (held)
            fake_await_held(FAKE_ANY, FAKE_ANY, 1);
        assert_int_equal(pthread_create(&destroyer, NULL, destroy, engine), 0);
        sched_yield();
        fake_release_all();
        pthread_join(destroyer, NULL);
        assert_int_equal(fake_open_sessions(), 0);
    }
}

static void every_failing_allocation_leaves_a_plan_out_or_fails_all(void **state)
{
    (void)state;
    static const double rates[] = {1, 2, 3}, memory_bytes[] = {0, 0, 0};
    const struct mly__family family = {.max_rates = rates, .memory_bytes = memory_bytes};
    const char *const *const plans[] = {first, both, second};
    mly_log_set_level(MLY_LOG_ERROR);
    uint32_t open = 0;
    for (uint64_t n = 1; open < 3; n++) {
        mly_engine *engine = NULL;
        mly_alloc_fail_once(n);
        enum mly_status status = create(plans, 3, &family, &engine);
        if (status == MLY_OK) {
            mly__variants_await(engine);
            mly_alloc_fail_once(0);
            open = stats_of(engine).plans_open;
            assert_true(open >= 1);
            infer(engine, (int64_t)n);
        }
        mly_alloc_fail_once(0);
        assert_true(status == MLY_OK || status == MLY_E_NO_MEMORY);
        mly_engine_destroy(engine);
        assert_int_equal(fake_open_sessions(), 0);
    }
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(same_sessions_are_opened_once_and_warmed_for_all),
        TEST(a_batch_size_of_another_plan_is_warmed_too),
        TEST(nobody_waits_for_a_plan_that_is_not_open),
        TEST(the_one_for_the_highest_rate_comes_first_and_stands_in),
        TEST(a_plan_that_cannot_be_opened_is_left_out),
        TEST(memory_is_bounded_and_what_is_shared_counts_once),
        TEST(an_engine_may_be_destroyed_while_plans_are_opened),
        TEST(every_failing_allocation_leaves_a_plan_out_or_fails_all),
    };
#undef TEST
    static const char *const executors[] = {NULL, "starpu:eager"};
    int failed = 0;
    for (size_t i = 0; i < sizeof executors / sizeof *executors; i++) {
        const char *name = executors[i] ? executors[i] : "native";
        executor = executors[i];
        if (executor && mly__starpu_probe(NULL, NULL, NULL, &err) != MLY_OK)
            printf("# %s\nok - %s # SKIP\n", err.message, name);
        else
            failed +=
                _cmocka_run_group_tests(name, tests, sizeof tests / sizeof *tests, NULL, NULL);
    }
    return failed;
}

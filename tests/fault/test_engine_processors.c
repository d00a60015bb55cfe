/*
 * Processors that fail below an engine: their tasks are done elsewhere, they are set aside, tried
 * again, and where nobody is left the client is told.
 */
#include "support/executor_rig.h"
#include "support/test.h"

#include <string.h>
#include <time.h>

#include "base/alloc.h"
#include "runtime/native.h"

static const char *const replicas[] = {"0>1@0 1"};
static const char *const chain[] = {"0>1@0 1", "1>2@0 1", "2 1>3@0 1"};

static struct rig rig;
static struct rig_batch batches[512];

static enum mly_status eager(struct mly_flow *flow, const struct mly_engine_options *options,
                             mly_engine **out, struct mly_error *err)
{
    return mly__engine_create_flow(flow, options, MLY_SCHEDULE_EAGER, out, err);
}

static enum mly_status earliest(struct mly_flow *flow, const struct mly_engine_options *options,
                                mly_engine **out, struct mly_error *err)
{
    return mly__engine_create_flow(flow, options, MLY_SCHEDULE_EARLIEST, out, err);
}

static enum mly_status pinned(struct mly_flow *flow, const struct mly_engine_options *options,
                              mly_engine **out, struct mly_error *err)
{
    return mly__engine_create_flow(flow, options, MLY_SCHEDULE_PINNED, out, err);
}

static struct mly_engine_stats stats_now(void)
{
    struct mly_engine_stats stats;
    mly_engine_get_stats(rig.engine, &stats);
    return stats;
}

/* One after the other; all must succeed. */
static void run_one_by_one(int64_t first, int64_t last)
{
    for (int64_t tag = first; tag <= last; tag++) {
        struct rig_batch *batch = &batches[(tag - 1) % 512];
        struct mly_error err = {0};
        rig_send(&rig, batch, tag);
        if (mly_request_wait(batch->request, &err) != MLY_OK)
            fail_msg("batch %lld: %s", (long long)tag, err.message);
        assert_true(batch->right);
        mly_request_release(batch->request);
    }
}

/* Eight at a time, so that there is work for both processors; all must succeed. */
static void run_round(int64_t *tag)
{
    for (int k = 0; k < 8; k++)
        rig_send(&rig, &batches[k], ++*tag);
    for (int k = 0; k < 8; k++) {
        assert_int_equal(mly_request_wait(batches[k].request, NULL), MLY_OK);
        assert_true(batches[k].right);
        mly_request_release(batches[k].request);
    }
}

static void a_broken_processor_costs_no_request_and_is_set_aside(void **state)
{
    (void)state;
    static const rig_create_fn creates[] = {eager, earliest, pinned};
    const struct timespec moment = {.tv_nsec = 1000000};
    for (size_t i = 0; i < sizeof creates / sizeof *creates; i++) {
        rig_open(&rig, creates[i], &fake_ops, NULL, "0", "3 1", 2, chain, 3);
        fake_break(1, MLY_E_BACKEND);
        int64_t tag = 0;
        while (!stats_now().processors[1].set_aside)
            run_round(&tag);
        struct mly_engine_stats stats = stats_now();
        assert_int_equal(stats.completed, (uint64_t)tag);
        assert_int_equal(stats.failed, 0);
        assert_true(stats.retried >= 3);
        assert_int_equal(stats.retried, stats.processors[1].failures);
        assert_int_equal(stats.processors[0].failures, 0);
        assert_false(stats.processors[0].set_aside);
        assert_true(stats.processors[1].retry_ns >= 0);
        /* Mended, it is tried again when its time has come, and stays. */
        fake_break(1, MLY_OK);
        while (stats_now().processors[1].retry_ns > 0)
            nanosleep(&moment, NULL);
        do {
            run_round(&tag);
            stats = stats_now();
        } while (stats.processors[1].tasks == stats.processors[1].failures);
        assert_false(stats.processors[1].set_aside);
        assert_int_equal(stats.failed, 0);
        rig_close(&rig);
    }
}

static void the_last_one_failing_gives_the_client_the_error(void **state)
{
    (void)state;
    rig_open(&rig, earliest, &fake_ops, NULL, "0", "1", 2, replicas, 1);
    fake_break(0, MLY_E_BACKEND);
    fake_break(1, MLY_E_ABSENT);
    for (int64_t tag = 1; tag <= 40; tag++) {
        struct mly_error err = {0};
        rig_send(&rig, &batches[0], tag);
        enum mly_status status = mly_request_wait(batches[0].request, &err);
        assert_true(status == MLY_E_BACKEND || status == MLY_E_ABSENT);
        assert_non_null(strstr(err.message, "segment 's0' on fake:"));
        assert_non_null(strstr(err.message, "is broken"));
        mly_request_release(batches[0].request);
    }
    assert_int_equal(stats_now().failed, 40);
    fake_break(0, MLY_OK);
    fake_break(1, MLY_OK);
    run_one_by_one(41, 50);
    rig_close(&rig);

    rig_open(&rig, earliest, &fake_ops, NULL, "0", "1", 1, (const char *const[]){"0>1@0"}, 1);
    fake_break(0, MLY_E_BACKEND);
    for (int64_t tag = 1; tag <= 10; tag++) {
        rig_send(&rig, &batches[0], tag);
        assert_int_equal(mly_request_wait(batches[0].request, NULL), MLY_E_BACKEND);
        mly_request_release(batches[0].request);
    }
    assert_int_equal(stats_now().retried, 0);
    fake_break(0, MLY_OK);
    run_one_by_one(11, 20);
    rig_close(&rig);
}

/* A batch that no processor can compute is nobody's failure. */
static void what_a_request_is_to_blame_for_is_not_retried(void **state)
{
    (void)state;
    static const enum mly_status statuses[] = {MLY_E_INVALID, MLY_E_MISMATCH, MLY_E_UNSUPPORTED,
                                               MLY_E_NO_MEMORY, MLY_E_LIMIT};
    rig_open(&rig, earliest, &fake_ops, NULL, "0", "1", 2, replicas, 1);
    for (size_t i = 0; i < sizeof statuses / sizeof *statuses; i++) {
        for (int64_t tag = 1; tag <= 20; tag++) {
            fake_reset();
            fake_poison(tag, 0, statuses[i]);
            rig_send(&rig, &batches[0], tag);
            assert_int_equal(mly_request_wait(batches[0].request, NULL), statuses[i]);
            mly_request_release(batches[0].request);
            assert_int_equal(fake_begun(tag, FAKE_ANY, FAKE_ANY), 1);
        }
    }
    assert_int_equal(stats_now().retried, 0);
    for (uint32_t p = 0; p < 2; p++)
        assert_false(stats_now().processors[p].set_aside);
    rig_close(&rig);
}

/* Nor is one that fails on two of them, among others that do not. */
static void poisonous_requests_set_nobody_aside(void **state)
{
    (void)state;
    rig_open(&rig, earliest, &fake_ops, NULL, "0", "1", 2, replicas, 1);
    for (int64_t tag = 1; tag <= 60; tag++) {
        fake_reset();
        if (tag % 2)
            fake_poison(tag, 0, MLY_E_BACKEND);
        rig_send(&rig, &batches[0], tag);
        enum mly_status status = mly_request_wait(batches[0].request, NULL);
        assert_int_equal(status, tag % 2 ? MLY_E_BACKEND : MLY_OK);
        assert_int_equal(fake_begun(tag, FAKE_ANY, 0) + fake_begun(tag, FAKE_ANY, 1),
                         tag % 2 ? 2 : 1);
        if (tag % 2)
            assert_int_equal(fake_begun(tag, FAKE_ANY, 0), 1);
        mly_request_release(batches[0].request);
    }
    assert_int_equal(stats_now().failed, 30);
    rig_close(&rig);
}

/* Each could be the requests' fault; not that of all of them. What works again is found to. */
static void where_all_are_broken_they_are_set_aside_and_tried_again(void **state)
{
    (void)state;
    bool aside[2] = {false, false};
    rig_open(&rig, eager, &fake_ops, NULL, "0", "1", 2, replicas, 1);
    fake_break(0, MLY_E_BACKEND);
    fake_break(1, MLY_E_BACKEND);
    for (int64_t tag = 1; tag <= 40; tag++) {
        rig_send(&rig, &batches[0], tag);
        assert_int_equal(mly_request_wait(batches[0].request, NULL), MLY_E_BACKEND);
        mly_request_release(batches[0].request);
        for (int p = 0; p < 2; p++)
            aside[p] = aside[p] || stats_now().processors[p].set_aside;
    }
    assert_true(aside[0] && aside[1]);
    fake_break(0, MLY_OK);
    fake_break(1, MLY_OK);
    run_one_by_one(41, 60);
    rig_close(&rig);
}

/* A second try goes to one above suspicion: at most one request finds both broken ones. */
static void two_broken_ones_of_three_cost_one_request_at_most(void **state)
{
    (void)state;
    static const char *const three[] = {"0>1@0 1 2"};
    static const rig_create_fn creates[] = {eager, earliest, pinned};
    for (size_t i = 0; i < sizeof creates / sizeof *creates; i++) {
        rig_open(&rig, creates[i], &fake_ops, NULL, "0", "1", 3, three, 1);
        fake_break(0, MLY_E_BACKEND);
        fake_break(1, MLY_E_BACKEND);
        uint32_t failed = 0;
        for (int64_t tag = 1; tag <= 60; tag++) {
            rig_send(&rig, &batches[0], tag);
            failed += mly_request_wait(batches[0].request, NULL) != MLY_OK;
            mly_request_release(batches[0].request);
        }
        assert_true(failed <= 1);
        rig_close(&rig);
    }
}

static void a_task_that_waits_for_its_second_try_can_be_cancelled(void **state)
{
    (void)state;
    rig_open(&rig, eager, &fake_ops, NULL, "0", "1", 2, replicas, 1);
    fake_break(1, MLY_E_BACKEND);
    fake_hold(1, FAKE_ANY, FAKE_ANY);
    rig_send(&rig, &batches[0], 1);
    fake_await_held(1, FAKE_ANY, 0);
    rig_send(&rig, &batches[1], 2);
    fake_await_ended(1, 2, FAKE_ANY, 1);
    mly_request_cancel(batches[1].request);
    assert_int_equal(mly_request_wait(batches[1].request, NULL), MLY_E_CANCELLED);
    assert_int_equal(fake_begun(2, FAKE_ANY, FAKE_ANY), 1);
    fake_release_all();
    assert_int_equal(mly_request_wait(batches[0].request, NULL), MLY_OK);
    mly_request_release(batches[0].request);
    mly_request_release(batches[1].request);
    rig_close(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_broken_processor_costs_no_request_and_is_set_aside),
        cmocka_unit_test(the_last_one_failing_gives_the_client_the_error),
        cmocka_unit_test(what_a_request_is_to_blame_for_is_not_retried),
        cmocka_unit_test(poisonous_requests_set_nobody_aside),
        cmocka_unit_test(where_all_are_broken_they_are_set_aside_and_tried_again),
        cmocka_unit_test(two_broken_ones_of_three_cost_one_request_at_most),
        cmocka_unit_test(a_task_that_waits_for_its_second_try_can_be_cancelled),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

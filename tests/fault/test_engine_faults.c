/*
 * Faults below the engine: the n-th open, run or allocation fails, for every n. An error comes
 * back, nothing leaks, the next call works.
 */
#include "support/executor_rig.h"
#include "support/test.h"

#include <string.h>

#include "base/alloc.h"
#include "runtime/measure.h"
#include "runtime/native.h"

static const char *const segments[] = {"0 1>2 3@0 1", "2 0>4@1 2", "3 4 2>5 6@0 2",
                                       "6 1 4>7@0 1 2"};
enum { SEGMENTS = 4, SESSIONS = 9, PROCESSORS = 3 };

static struct rig rig;
static struct rig_batch batches[64];

static enum mly_status create(struct mly_flow *flow, const struct mly_engine_options *options,
                              mly_engine **out, struct mly_error *err)
{
    return mly__engine_create_flow(flow, options, MLY_SCHEDULE_EARLIEST, out, err);
}

static enum mly_status make_engine(const struct mly_engine_options *options, mly_engine **out,
                                   struct mly_error *err)
{
    struct mly_flow flow;
    enum mly_status status =
        fake_flow_init(&fake_ops, "0 1", "7 5 2", PROCESSORS, segments, SEGMENTS, &flow, err);
    if (status != MLY_OK)
        return status;
    return mly__engine_create_flow(&flow, options, MLY_SCHEDULE_EARLIEST, out, err);
}

static void open_rig(const struct mly_engine_options *options)
{
    rig_open(&rig, create, &fake_ops, options, "0 1", "7 5 2", PROCESSORS, segments, SEGMENTS);
}

static void nothing_is_left(void)
{
    assert_int_equal(fake_open_sessions(), 0);
    assert_int_equal(fake_live_tensors(), 0);
}

static void every_failing_open_fails_creation(void **state)
{
    (void)state;
    for (uint64_t n = 1; n <= SESSIONS + 1; n++) {
        mly_engine *engine = NULL;
        struct mly_error err = {0};
        fake_reset();
        fake_fail_open(n, MLY_E_UNSUPPORTED);
        enum mly_status status = make_engine(NULL, &engine, &err);
        if (n > SESSIONS) {
            assert_int_equal(status, MLY_OK);
            assert_int_equal(fake_open_sessions(), SESSIONS);
            mly_engine_destroy(engine);
            break;
        }
        assert_int_equal(status, MLY_E_UNSUPPORTED);
        assert_int_equal(err.status, MLY_E_UNSUPPORTED);
        assert_null(engine);
        assert_non_null(strstr(err.message, "' on fake:"));
        assert_non_null(strstr(err.message, "open was told to fail"));
        nothing_is_left();
    }
    fake_reset();
    nothing_is_left();
}

static void a_processor_that_vanished_fails_creation(void **state)
{
    (void)state;
    struct mly_flow flow;
    struct mly_error err = {0};
    mly_engine *engine = NULL;
    fake_reset();
    assert_int_equal(
        fake_flow_init(&fake_ops, "0 1", "7 5 2", PROCESSORS, segments, SEGMENTS, &flow, &err),
        MLY_OK);
    flow.processors[1].device.cpus = mly_alloc(sizeof(uint32_t));
    flow.processors[1].device.cpu_count = 1;
    flow.processors[1].device.cpus[0] = 60000;
    flow.processors[1].seat_count = 1;
    assert_int_equal(mly__engine_create_flow(&flow, NULL, MLY_SCHEDULE_EARLIEST, &engine, &err),
                     MLY_E_ABSENT);
    assert_null(engine);
    assert_non_null(strstr(err.message, "processor fake:1: "));
    assert_non_null(strstr(err.message, "60000"));
    nothing_is_left();
}

/*
 * The prepared copy is made by whoever opens a segment first: nobody else may open it before that
 * has ended.
 */
static void first_session_of_a_segment_opens_before_its_replicas(void **state)
{
    (void)state;
    for (int i = 0; i < 20; i++) {
        mly_engine *engine = NULL;
        fake_reset();
        assert_int_equal(make_engine(NULL, &engine, NULL), MLY_OK);
        const char *log = fake_open_log();
        static const char *const pairs[][2] = {
            {"0@0", "0@1"}, {"1@1", "1@2"}, {"2@0", "2@2"}, {"3@0", "3@1"}, {"3@0", "3@2"}};
        for (size_t k = 0; k < sizeof pairs / sizeof *pairs; k++)
            assert_true(strstr(log, pairs[k][0]) < strstr(log, pairs[k][1]));
        mly_engine_destroy(engine);
    }
}

static void warming_runs_each_batch_size_once(void **state)
{
    (void)state;
    mly_engine *engine = NULL;
    fake_reset();
    assert_int_equal(make_engine(NULL, &engine, NULL), MLY_OK);
    assert_int_equal(fake_begun(FAKE_ANY, FAKE_ANY, FAKE_ANY), 2 * SESSIONS);
    assert_int_equal(fake_begun(0, 3, 2), 2);
    assert_int_equal(fake_live_tensors(), 0);
    mly_engine_destroy(engine);
    fake_reset();
    struct mly_engine_options options = {.no_warm_up = true};
    assert_int_equal(make_engine(&options, &engine, NULL), MLY_OK);
    assert_int_equal(fake_begun(FAKE_ANY, FAKE_ANY, FAKE_ANY), 0);
    mly_engine_destroy(engine);
    /* Zeros may be what a segment cannot take: that is no reason not to start. */
    fake_reset();
    fake_fail_run(3, MLY_E_BACKEND);
    assert_int_equal(make_engine(NULL, &engine, NULL), MLY_OK);
    mly_engine_destroy(engine);
    nothing_is_left();
}

/* Without another processor for any segment. */
static void every_failing_run_fails_its_request_only(void **state)
{
    (void)state;
    static const char *const alone[] = {"0 1>2 3@0", "2 0>4@1", "3 4 2>5 6@2", "6 1 4>7@1"};
    struct mly_engine_options options = {.ordered = true, .queue_capacity = 32};
    rig_open(&rig, create, &fake_ops, &options, "0 1", "7 5 2", PROCESSORS, alone, SEGMENTS);
    for (uint64_t n = 1; n <= 8 * SEGMENTS; n++) {
        fake_reset();
        fake_fail_run(n, MLY_E_BACKEND);
        uint32_t failed = 0;
        for (int64_t tag = 1; tag <= 8; tag++)
            rig_send(&rig, &batches[tag - 1], tag);
        for (int64_t tag = 1; tag <= 8; tag++) {
            struct mly_error err = {0};
            enum mly_status status = mly_request_wait(batches[tag - 1].request, &err);
            if (status != MLY_OK) {
                failed++;
                assert_int_equal(status, MLY_E_BACKEND);
                assert_non_null(strstr(err.message, "run was told to fail"));
            } else {
                assert_true(batches[tag - 1].right);
            }
            mly_request_release(batches[tag - 1].request);
        }
        /* A failed request runs fewer tasks, but the n-th run exists in any case for small n. */
        assert_true(failed <= 1 && (n > 7 * SEGMENTS || failed == 1));
    }
    fake_reset();
    rig_close(&rig);
}

/* With another processor for every segment; its inputs are there still. */
static void every_failing_run_is_tried_elsewhere(void **state)
{
    (void)state;
    struct mly_engine_options options = {.ordered = true, .queue_capacity = 32};
    struct mly_engine_stats stats;
    for (uint64_t n = 1; n <= 8 * SEGMENTS; n++) {
        open_rig(&options);
        fake_fail_run(n, MLY_E_BACKEND);
        for (int64_t tag = 1; tag <= 8; tag++)
            rig_send(&rig, &batches[tag - 1], tag);
        for (int64_t tag = 1; tag <= 8; tag++) {
            assert_int_equal(mly_request_wait(batches[tag - 1].request, NULL), MLY_OK);
            assert_true(batches[tag - 1].right);
            mly_request_release(batches[tag - 1].request);
        }
        mly_engine_get_stats(rig.engine, &stats);
        assert_int_equal(stats.retried, 1);
        assert_int_equal(stats.completed, 8);
        assert_int_equal(stats.failed, 0);
        rig_close(&rig);
    }
}

/*
 * Fails the n-th allocation for n = 1, 2, … until the call needs fewer; worker threads allocate
 * as well.
 */
static void every_failing_allocation_fails_creation(void **state)
{
    (void)state;
    uint64_t n = 1;
    for (bool reached = true; reached; n++) {
        mly_engine *engine = NULL;
        struct mly_error err = {0};
        fake_reset();
        uint64_t before = mly_alloc_count();
        mly_alloc_fail_once(n);
        enum mly_status status = make_engine(NULL, &engine, &err);
        mly_alloc_fail_once(0);
        reached = mly_alloc_count() - before >= n;
        if (status != MLY_OK) {
            assert_int_equal(status, MLY_E_NO_MEMORY);
            assert_true(err.message[0] != '\0');
            assert_null(engine);
        } else {
            assert_false(reached && fake_open_sessions() != SESSIONS);
        }
        mly_engine_destroy(engine);
        nothing_is_left();
    }
    assert_true(n > 100);
}

static void every_failing_allocation_fails_its_request_only(void **state)
{
    (void)state;
    open_rig(NULL);
    for (uint64_t n = 1; n <= 12; n++) {
        struct mly_error err = {0};
        mly_request *request = NULL;
        rig_fill(&rig, &batches[0], 5);
        mly_alloc_fail_once(n);
        assert_int_equal(mly_engine_submit(rig.engine, batches[0].inputs, 2, NULL, true, NULL, NULL,
                                           &request, &err),
                         MLY_OK);
        enum mly_status status = mly_request_wait(request, &err);
        mly_alloc_fail_once(0);
        if (status != MLY_OK)
            assert_int_equal(status, MLY_E_NO_MEMORY);
        assert_int_equal(status == MLY_OK, n > 6); /* a task's results: six in all */
        mly_request_release(request);

        struct mly_tensor outputs[3] = {0};
        mly_alloc_fail_once(n);
        status = mly_engine_infer(rig.engine, batches[0].inputs, 2, outputs, 3, &err);
        mly_alloc_fail_once(0);
        assert_int_equal(status, n > 9 ? MLY_OK : MLY_E_NO_MEMORY); /* and three copies */
        for (int i = 0; i < 3; i++) {
            assert_int_equal(outputs[i].data != NULL, status == MLY_OK);
            mly_tensor_fini(&outputs[i]);
        }
    }
    rig_close(&rig);
}

static void more_requests_than_the_pool_holds_need_memory(void **state)
{
    (void)state;
    struct mly_engine_options options = {.queue_capacity = 1};
    open_rig(&options); /* the pool holds 1 + 3 */
    for (int64_t tag = 1; tag <= 6; tag++) {
        rig_send(&rig, &batches[tag - 1], tag);
        assert_int_equal(mly_request_wait(batches[tag - 1].request, NULL), MLY_OK);
    }
    struct mly_error err = {0};
    rig_fill(&rig, &batches[6], 7);
    mly_alloc_fail_once(1);
    assert_int_equal(rig_submit(&batches[6], true, true, &err), MLY_E_NO_MEMORY);
    mly_alloc_fail_once(0);
    assert_null(batches[6].request);
    assert_int_equal(rig_submit(&batches[6], true, true, &err), MLY_OK);
    assert_int_equal(mly_request_wait(batches[6].request, NULL), MLY_OK);
    for (int i = 0; i < 7; i++)
        mly_request_release(batches[i].request);
    rig_close(&rig);
}

static enum mly_status give(void *user, uint64_t index, uint32_t lane, struct mly_tensor *inputs,
                            struct mly_error *err)
{
    (void)user;
    (void)err;
    struct rig_batch *batch = &batches[lane];
    rig_fill(&rig, batch, (int64_t)index + 1);
    memcpy(inputs, batch->inputs, 2 * sizeof *inputs);
    return MLY_OK;
}

static void every_failing_allocation_ends_a_stream(void **state)
{
    (void)state;
    open_rig(NULL);
    struct mly_measure_options options = {.inputs = give, .count = 5, .in_flight = 2};
    bool reached = true;
    for (uint64_t n = 1; reached; n++) {
        struct mly_measure_result result;
        struct mly_error err = {0};
        uint64_t before = mly_alloc_count();
        mly_alloc_fail_once(n);
        enum mly_status status = mly_measure_stream(rig.engine, &options, &result, &err);
        reached = mly_alloc_count() - before >= n;
        mly_alloc_fail_once(0);
        assert_int_equal(status, reached ? MLY_E_NO_MEMORY : MLY_OK);
        assert_true(!reached || err.message[0] != '\0');
    }
    rig_close(&rig);
}

static void steady_state_allocates_only_results(void **state)
{
    (void)state;
    open_rig(NULL);
    for (int round = 0; round < 2; round++) {
        uint64_t before = mly_alloc_count();
        for (int64_t tag = 1; tag <= 16; tag++)
            rig_send(&rig, &batches[tag - 1], tag);
        mly_engine_drain(rig.engine);
        assert_int_equal(mly_alloc_count() - before, 16 * 6);
        for (int i = 0; i < 16; i++)
            mly_request_release(batches[i].request);
    }
    rig_close(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_failing_open_fails_creation),
        cmocka_unit_test(a_processor_that_vanished_fails_creation),
        cmocka_unit_test(first_session_of_a_segment_opens_before_its_replicas),
        cmocka_unit_test(warming_runs_each_batch_size_once),
        cmocka_unit_test(every_failing_run_fails_its_request_only),
        cmocka_unit_test(every_failing_run_is_tried_elsewhere),
        cmocka_unit_test(every_failing_allocation_fails_creation),
        cmocka_unit_test(every_failing_allocation_fails_its_request_only),
        cmocka_unit_test(more_requests_than_the_pool_holds_need_memory),
        cmocka_unit_test(every_failing_allocation_ends_a_stream),
        cmocka_unit_test(steady_state_allocates_only_results),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* Open-loop measuring: what is sent, rejected, failed and counted; order is made by gates, never by time. */
#include "support/executor_rig.h"
#include "support/expect.h"

#include <pthread.h>
#include <string.h>

#include "runtime/measure_open.h"
#include "runtime/native.h"

static const char *const whole[] = {"0>1@0"};

static struct rig rig;
static struct mly_error err;
static int64_t memory[2 * FAKE_WIDTH];
static struct mly_tensor input;
static struct mly_arrivals arrivals;
static struct mly_measure_open_options options;
static struct mly_measure_open_result result;

static enum mly_status create(struct mly_flow *flow, const struct mly_engine_options *engine,
                              mly_engine **out, struct mly_error *why)
{
    return mly__engine_create_flow(flow, engine, MLY_SCHEDULE_EARLIEST, out, why);
}

static void open_rig(const char *text, uint32_t queue_capacity)
{
    const struct mly_engine_options engine = {.queue_capacity = queue_capacity};
    rig_open(&rig, create, &fake_ops, &engine, "0", "1", 1, whole, 1);
    fake_fill(&input, memory, 2, 7, 0);
    expect_ok(mly_arrivals_parse(text, &arrivals, &err), err);
    options = (struct mly_measure_open_options){
        .inputs = &input, .input_count = 1, .arrivals = &arrivals, .seed = 1};
}

static void close_rig(void)
{
    fake_release_all();
    rig_close(&rig);
    mly_arrivals_fini(&arrivals);
}

static void everything_sent_is_accounted_for(void **state)
{
    (void)state;
    open_rig("poisson:20000", 100000);
    options.count = 500;
    options.in_flight = 100000;
    expect_ok(mly_measure_open(rig.engine, &options, &result, &err), err);
    assert_int_equal(result.sent, 500);
    assert_int_equal(result.completed, 500);
    assert_int_equal(result.measured, 500);
    assert_int_equal(result.rejected + result.failed, 0);
    assert_true(result.latency.p50_ns > 0 && result.latency.p50_ns <= result.latency.p99_ns);
    assert_true(result.latency.p99_ns <= result.latency.max_ns);
    assert_true(result.lateness.p50_ns >= 0 && result.lateness.p50_ns <= result.latency.p99_ns);
    assert_true(result.elapsed_ns > 0 && result.throughput_per_s > 0);
    close_rig();
}

static void a_duration_ends_it_and_the_warm_up_does_not_count(void **state)
{
    (void)state;
    open_rig("constant:1000", 100000);
    options.duration_ns = 100000000;
    options.warm_up_ns = 50000000;
    options.in_flight = 100000;
    expect_ok(mly_measure_open(rig.engine, &options, &result, &err), err);
    assert_int_equal(result.sent, 100);
    assert_int_equal(result.completed, 100);
    assert_int_equal(result.measured, 50);
    assert_true(result.elapsed_ns >= 50000000);
    close_rig();
}

static void *release_when_all_are_sent(void *argument)
{
    (void)argument;
    /* Two wait in the engine and one is held: the other 17 were rejected when those are known. */
    fake_await_held(FAKE_ANY, FAKE_ANY, FAKE_ANY);
    struct mly_engine_stats stats;
    do
        mly_engine_get_stats(rig.engine, &stats);
    while (stats.queued < 2);
    fake_release_all();
    return NULL;
}

static void no_more_are_in_flight_than_may_be(void **state)
{
    (void)state;
    pthread_t thread;
    static const char times[] = "0\n0\n0\n0\n0\n0\n0\n0\n0\n0\n0\n0\n0\n0\n0\n0\n0\n0\n0\n0\n";
    open_rig("closed:1", 100);
    expect_ok(mly_arrivals_parse_trace("t", times, strlen(times), &arrivals, &err), err);
    options.in_flight = 3;
    fake_hold(FAKE_ANY, FAKE_ANY, FAKE_ANY);
    assert_int_equal(pthread_create(&thread, NULL, release_when_all_are_sent, NULL), 0);
    expect_ok(mly_measure_open(rig.engine, &options, &result, &err), err);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_int_equal(result.sent, 20);
    assert_int_equal(result.sent, result.completed + result.rejected);
    assert_true(result.completed >= 3);
    close_rig();
}

static void a_full_queue_of_the_engine_rejects(void **state)
{
    (void)state;
    pthread_t thread;
    static const char times[] = "0\n0\n0\n0\n0\n0\n0\n0\n0\n0\n0\n0\n";
    open_rig("closed:1", 2);
    expect_ok(mly_arrivals_parse_trace("t", times, strlen(times), &arrivals, &err), err);
    fake_hold(FAKE_ANY, FAKE_ANY, FAKE_ANY);
    assert_int_equal(pthread_create(&thread, NULL, release_when_all_are_sent, NULL), 0);
    expect_ok(mly_measure_open(rig.engine, &options, &result, &err), err);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_int_equal(result.sent, 12);
    assert_int_equal(result.sent, result.completed + result.rejected);
    close_rig();
}

static void failures_are_counted(void **state)
{
    (void)state;
    open_rig("constant:10000", 100);
    options.count = 20;
    fake_poison(7, 0, MLY_E_BACKEND);
    expect_ok(mly_measure_open(rig.engine, &options, &result, &err), err);
    assert_int_equal(result.failed, 20);
    assert_int_equal(result.measured, 0);
    assert_true(result.throughput_per_s == 0);
    close_rig();
}

static void wrong_wishes_are_refused(void **state)
{
    (void)state;
    atomic_bool stop = true;
    open_rig("closed:1", 100);
    expect_error(mly_measure_open(rig.engine, &options, &result, &err), MLY_E_INVALID, err,
                 "closed loop");
    mly_arrivals_fini(&arrivals);
    expect_ok(mly_arrivals_parse("poisson:100000", &arrivals, &err), err);
    expect_error(mly_measure_open(rig.engine, &options, &result, &err), MLY_E_INVALID, err,
                 "duration");
    options.count = 1000;
    options.stop = &stop;
    expect_error(mly_measure_open(rig.engine, &options, &result, &err), MLY_E_CANCELLED, err,
                 "stopped after 0");
    options.stop = NULL;
    input.dtype = MLY_DTYPE_F32;
    expect_error(mly_measure_open(rig.engine, &options, &result, &err), MLY_E_MISMATCH, err, "f32");
    close_rig();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(everything_sent_is_accounted_for),
        cmocka_unit_test(a_duration_ends_it_and_the_warm_up_does_not_count),
        cmocka_unit_test(no_more_are_in_flight_than_may_be),
        cmocka_unit_test(a_full_queue_of_the_engine_rejects),
        cmocka_unit_test(failures_are_counted),
        cmocka_unit_test(wrong_wishes_are_refused),
    };
    return cmocka_run_group_tests_name("open-loop measuring", tests, NULL, NULL);
}

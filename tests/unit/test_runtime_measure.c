/* Measured streams: order, number in flight, ends by count, inputs, failure and stop flag. */
#include "support/executor_rig.h"
#include "support/test.h"

#include <string.h>

#include "runtime/measure.h"
#include "runtime/native.h"

enum { LANES_MAX = 256 };

static const char *const two_replicas[] = {"0>1@0 1"};

/* A client of a stream: batch `index` has tag index + 1. */
struct client {
    struct rig rig;
    struct mly_measure_options options;
    struct mly_measure_result result;
    int64_t memory[LANES_MAX][2 * FAKE_WIDTH];
    bool lane_used[LANES_MAX];
    uint32_t lane_of[RIG_RECORDS];
    uint64_t asked, delivered, limit; /* limit: batches the inputs have; 0: endless */
    uint64_t most_ahead;              /* asked for and not delivered */
    bool wrong;
    enum mly_status output_status;
    uint64_t fail_output_at, stop_at_output;
    atomic_bool stop;
    uint32_t progress_calls;
    struct mly_measure_progress last;
};

static struct client client;

static enum mly_status create(struct mly_flow *flow, const struct mly_engine_options *options,
                              mly_engine **out, struct mly_error *err)
{
    return mly__engine_create_flow(flow, options, MLY_SCHEDULE_EARLIEST, out, err);
}

static enum mly_status give(void *user, uint64_t index, uint32_t lane, struct mly_tensor *inputs,
                            struct mly_error *err)
{
    struct client *c = user;
    if (c->limit > 0 && index >= c->limit)
        return mly_error_set(err, MLY_E_NOT_FOUND, "no more inputs");
    c->wrong = c->wrong || index != c->asked || lane >= LANES_MAX || c->lane_used[lane];
    c->lane_used[lane] = true;
    c->lane_of[index] = lane;
    c->asked++;
    if (c->asked - c->delivered > c->most_ahead)
        c->most_ahead = c->asked - c->delivered;
    fake_fill(&inputs[0], c->memory[lane], 2, (int64_t)index + 1, 0);
    return MLY_OK;
}

static enum mly_status get(void *user, uint64_t index, const struct mly_tensor *outputs,
                           size_t output_count, struct mly_error *err)
{
    struct client *c = user;
    struct mly_tensor inputs;
    uint32_t lane = c->lane_of[index];
    int64_t memory[2 * FAKE_WIDTH];
    fake_fill(&inputs, memory, 2, (int64_t)index + 1, 0);
    c->wrong = c->wrong || index < c->delivered || !c->lane_used[lane] || output_count != 1 ||
               !fake_is_right(&c->rig.flow, &inputs, outputs);
    c->lane_used[lane] = false;
    c->delivered = index + 1;
    if (c->stop_at_output == index + 1)
        atomic_store(&c->stop, true);
    if (c->fail_output_at == index + 1)
        return mly_error_set(err, MLY_E_NO_SPACE, "told to fail");
    return MLY_OK;
}

static void progress(void *user, const struct mly_measure_progress *p)
{
    struct client *c = user;
    c->wrong = c->wrong || p->fraction < 0 || p->fraction > 1 || p->batches < c->last.batches;
    c->last = *p;
    c->progress_calls++;
}

static void open_client(bool ordered)
{
    struct mly_engine_options options = {.ordered = ordered};
    memset(&client, 0, sizeof client);
    rig_open(&client.rig, create, &fake_ops, &options, "0", "1", 2, two_replicas, 1);
    client.options = (struct mly_measure_options){.inputs = give,
                                                  .outputs = get,
                                                  .progress = progress,
                                                  .user = &client,
                                                  .in_flight = 3,
                                                  .stop = &client.stop};
}

static enum mly_status measure(struct mly_error *err)
{
    return mly_measure_stream(client.rig.engine, &client.options, &client.result, err);
}

static void count_is_exact_and_results_come_in_order(void **state)
{
    (void)state;
    for (int ordered = 0; ordered < 2; ordered++) {
        open_client(ordered);
        client.options.count = 100;
        client.options.warm_up = 7;
        assert_int_equal(measure(NULL), MLY_OK);
        assert_false(client.wrong);
        assert_int_equal(client.asked, 107);
        assert_int_equal(client.delivered, 107);
        const struct mly_measure_result *r = &client.result;
        assert_int_equal(r->batches, 100);
        assert_int_equal(r->samples, 200);
        assert_int_equal(r->failed, 0);
        assert_int_equal(r->latency_ns.count, 100);
        assert_true(r->latency_ns.median >= r->execution_ns.min);
        assert_true(r->elapsed_ns > 0 && r->throughput_per_s > 0);
        assert_true(client.progress_calls > 0);
        assert_int_equal(client.last.batches, 100);
        assert_true(client.last.fraction == 1);
        rig_close(&client.rig);
    }
}

static void *release_held(void *unused)
{
    (void)unused;
    fake_await_held(1, FAKE_ANY, FAKE_ANY);
    fake_await_held(3, FAKE_ANY, FAKE_ANY); /* 2 is done, and its place was given to another */
    fake_release_all();
    return NULL;
}

static void a_finished_batch_makes_place_before_older_ones_are_delivered(void **state)
{
    (void)state;
    open_client(false);
    client.options.count = 6;
    client.options.in_flight = 2;
    fake_hold(1, FAKE_ANY, FAKE_ANY);
    fake_hold(3, FAKE_ANY, FAKE_ANY);
    pthread_t thread;
    pthread_create(&thread, NULL, release_held, NULL);
    assert_int_equal(measure(NULL), MLY_OK);
    pthread_join(thread, NULL);
    assert_false(client.wrong);
    assert_true(client.most_ahead >= 3);
    assert_true(client.most_ahead <= mly_measure_lanes(2));
    assert_true(fake_most_at_once() <= 2);
    rig_close(&client.rig);
}

static enum mly_status give_untracked(void *user, uint64_t index, uint32_t lane,
                                      struct mly_tensor *inputs, struct mly_error *err)
{
    struct client *c = user;
    (void)err;
    c->wrong = c->wrong || index != c->asked || lane >= LANES_MAX;
    c->asked++;
    fake_fill(&inputs[0], c->memory[lane], 2, (int64_t)index + 1, 0);
    return MLY_OK;
}

/* One processor holds its batch as long as the other one needs for so many. */
static void *release_after(void *ended)
{
    fake_await_ended(*(const uint64_t *)ended, FAKE_ANY, FAKE_ANY, FAKE_ANY);
    fake_release_all();
    return NULL;
}

static void a_slow_processor_does_not_hold_the_others_back(void **state)
{
    (void)state;
    for (int wanted = 0; wanted < 2; wanted++) {
        uint64_t ended = 60;
        open_client(false);
        client.options.count = 70;
        client.options.in_flight = 2;
        if (!wanted) {
            client.options.outputs = NULL;
            client.options.inputs = give_untracked;
        }
        fake_hold(1, FAKE_ANY, FAKE_ANY);
        pthread_t thread;
        pthread_create(&thread, NULL, release_after, &ended);
        assert_int_equal(measure(NULL), MLY_OK);
        pthread_join(thread, NULL);
        assert_false(client.wrong);
        assert_int_equal(client.result.batches, 70);
        assert_int_equal(client.delivered, wanted ? 70 : 0);
        assert_true(fake_most_at_once() <= 2);
        rig_close(&client.rig);
    }
}

static void waiting_results_are_bounded_by_their_bytes(void **state)
{
    (void)state;
    uint64_t ended = 5; /* that all but the slow one's fit into the lanes there are in any case */
    open_client(false);
    client.options.count = 70;
    client.options.in_flight = 2;
    client.options.waiting_bytes = 1;
    fake_hold(1, FAKE_ANY, FAKE_ANY);
    pthread_t thread;
    pthread_create(&thread, NULL, release_after, &ended);
    assert_int_equal(measure(NULL), MLY_OK);
    pthread_join(thread, NULL);
    assert_false(client.wrong);
    assert_int_equal(client.delivered, 70);
    assert_true(client.most_ahead >= 5 && client.most_ahead <= 6);
    rig_close(&client.rig);
}

static void inputs_may_end_the_stream(void **state)
{
    (void)state;
    open_client(false);
    client.limit = 5;
    struct mly_error err = {0};
    assert_int_equal(measure(&err), MLY_OK);
    assert_int_equal(err.message[0], '\0'); /* the end is no error */
    assert_int_equal(client.result.batches, 5);
    client.asked = client.delivered = 0;
    client.limit = 2;
    client.options.warm_up = 4; /* nothing is left to measure */
    assert_int_equal(measure(&err), MLY_OK);
    assert_int_equal(client.result.batches, 0);
    assert_int_equal(client.delivered, 2);
    rig_close(&client.rig);
}

static void duration_ends_the_stream(void **state)
{
    (void)state;
    open_client(false);
    client.options.duration_ns = 1000000;
    client.limit = RIG_RECORDS;
    assert_int_equal(measure(NULL), MLY_OK);
    assert_true(client.result.batches > 0);
    assert_int_equal(client.delivered, client.asked);
    assert_false(client.wrong);
    rig_close(&client.rig);
}

static void the_first_failure_ends_it_and_what_was_done_counts(void **state)
{
    (void)state;
    open_client(false);
    client.options.count = 1000;
    fake_poison(10, 0, MLY_E_BACKEND);
    struct mly_error err = {0};
    assert_int_equal(measure(&err), MLY_E_BACKEND);
    assert_non_null(strstr(err.message, "batch 10 is poisoned"));
    assert_int_equal(client.result.failed, 1);
    assert_true(client.result.batches >= 7 && client.result.batches < 1000);
    struct mly_engine_stats stats;
    mly_engine_get_stats(client.rig.engine, &stats);
    assert_int_equal(stats.queued + stats.running, 0);
    rig_close(&client.rig);

    open_client(false);
    client.options.count = 1000;
    client.fail_output_at = 20;
    assert_int_equal(measure(&err), MLY_E_NO_SPACE);
    assert_string_equal(err.message, "told to fail");
    assert_int_equal(err.status, MLY_E_NO_SPACE);
    assert_true(client.result.batches >= 20 && client.result.batches < 1000);
    rig_close(&client.rig);
}

static void *stop_when_held(void *unused)
{
    (void)unused;
    fake_await_held(21, FAKE_ANY, FAKE_ANY);
    atomic_store(&client.stop, true);
    return NULL;
}

static void stop_flag_keeps_what_is_done(void **state)
{
    (void)state;
    open_client(true);
    client.options.in_flight = 4;
    fake_hold(21, FAKE_ANY, FAKE_ANY); /* stays shut: only cancelling ends it */
    pthread_t thread;
    pthread_create(&thread, NULL, stop_when_held, NULL);
    struct mly_error err = {0};
    assert_int_equal(measure(&err), MLY_E_CANCELLED);
    pthread_join(thread, NULL);
    assert_non_null(strstr(err.message, "stopped"));
    assert_false(client.wrong);
    assert_true(client.result.batches >= 20);
    assert_int_equal(client.result.failed, 0);
    assert_true(client.result.latency_ns.count == client.result.batches);
    rig_close(&client.rig);

    open_client(false);
    client.stop_at_output = 30;
    assert_int_equal(measure(&err), MLY_E_CANCELLED);
    assert_true(client.result.batches >= 30);
    rig_close(&client.rig);
}

static void wrong_options_and_inputs_are_refused(void **state)
{
    (void)state;
    open_client(false);
    client.options.in_flight = 0;
    assert_int_equal(measure(NULL), MLY_E_INVALID);
    client.options.in_flight = 1;
    client.options.inputs = NULL;
    assert_int_equal(measure(NULL), MLY_E_INVALID);
    rig_close(&client.rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(count_is_exact_and_results_come_in_order),
        cmocka_unit_test(a_finished_batch_makes_place_before_older_ones_are_delivered),
        cmocka_unit_test(a_slow_processor_does_not_hold_the_others_back),
        cmocka_unit_test(waiting_results_are_bounded_by_their_bytes),
        cmocka_unit_test(inputs_may_end_the_stream),
        cmocka_unit_test(duration_ends_the_stream),
        cmocka_unit_test(the_first_failure_ends_it_and_what_was_done_counts),
        cmocka_unit_test(stop_flag_keeps_what_is_done),
        cmocka_unit_test(wrong_options_and_inputs_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

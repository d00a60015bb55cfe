/*
 * The contract of executors, ends: cancelling, failing, full queues, stopping; and what is recorded of
 * all that.
 */
#include "support/executor_contract.h"

#include <sched.h>
#include <string.h>

#include "base/json.h"

/* --- cancelling --- */

static void queued_work_is_cancelled_without_running(void **state)
{
    (void)state;
    contract_open_whole(NULL);
    fake_hold(1, FAKE_ANY, FAKE_ANY);
    contract_send(1, 3);
    fake_await_held(1, FAKE_ANY, FAKE_ANY);
    mly_request_cancel(batches[1].request);
    struct mly_error err = {0};
    assert_int_equal(contract_wait(2, &err), MLY_E_CANCELLED); /* although the processor is busy */
    assert_non_null(strstr(err.message, "cancelled"));
    assert_null(mly_request_outputs(batches[1].request, NULL));
    fake_release_all();
    contract_expect_all(1, 1, MLY_OK);
    contract_expect_all(2, 2, MLY_E_CANCELLED);
    contract_expect_all(3, 3, MLY_OK);
    assert_int_equal(fake_begun(2, FAKE_ANY, FAKE_ANY), 0);
    struct mly_engine_stats stats;
    mly_engine_get_stats(rig.engine, &stats);
    assert_int_equal(stats.cancelled, 1);
    assert_int_equal(stats.completed, 2);
    contract_release(0, 3);
    rig_close(&rig);
}

static void running_work_is_stopped_where_the_back_end_can(void **state)
{
    (void)state;
    contract_open(&fake_ops, NULL, "0", "3", 3, contract_chain, 3);
    fake_hold(1, 1, FAKE_ANY);
    contract_send(1, 2);
    fake_await_held(1, 1, FAKE_ANY);
    mly_request_cancel(batches[0].request);
    contract_expect_all(1, 1,
                        MLY_E_CANCELLED); /* the gate stays shut: the run itself was stopped */
    contract_expect_all(2, 2, MLY_OK);
    assert_int_equal(fake_begun(1, 2, FAKE_ANY), 0);
    mly_request_cancel(batches[0].request); /* both are over already */
    mly_request_cancel(batches[1].request);
    contract_expect_all(2, 2, MLY_OK);
    contract_release(0, 2);
    rig_close(&rig);
}

static void running_work_ends_by_itself_where_it_cannot_be_stopped(void **state)
{
    (void)state;
    contract_open(&fake_ops_no_cancel, NULL, "0", "3", 3, contract_chain, 3);
    fake_hold(1, 1, FAKE_ANY);
    contract_send(1, 2);
    fake_await_held(1, 1, FAKE_ANY);
    mly_request_cancel(batches[0].request);
    assert_int_equal(rig_done_count(&rig), 0);
    fake_release_all();
    contract_expect_all(1, 1, MLY_E_CANCELLED);
    contract_expect_all(2, 2, MLY_OK);
    assert_int_equal(fake_begun(1, 2, FAKE_ANY), 0);
    contract_release(0, 2);
    rig_close(&rig);
}

/* --- errors --- */

static void errors_of_one_request_harm_no_other(void **state)
{
    (void)state;
    contract_open(&fake_ops, NULL, "0", "3", 3, contract_chain, 3);
    fake_poison(2, 0, MLY_E_BACKEND);
    fake_poison(4, 1, MLY_E_NO_MEMORY);
    fake_poison(6, 2, MLY_E_BACKEND);
    contract_send(1, 8);
    for (int64_t tag = 1; tag <= 8; tag++) {
        enum mly_status expected = tag == 4               ? MLY_E_NO_MEMORY
                                   : tag == 2 || tag == 6 ? MLY_E_BACKEND
                                                          : MLY_OK;
        contract_expect_all(tag, tag, expected);
    }
    struct mly_error err = {0};
    assert_int_equal(contract_wait(4, &err), MLY_E_NO_MEMORY);
    assert_int_equal(err.status, MLY_E_NO_MEMORY);
    assert_string_equal(err.message, "segment 's1' on fake:1: fake: batch 4 is poisoned");
    assert_int_equal(fake_begun(4, 2, FAKE_ANY), 0);
    struct mly_engine_stats stats;
    mly_engine_get_stats(rig.engine, &stats);
    assert_int_equal(stats.failed, 3);
    assert_int_equal(stats.processors[1].failures, 1);
    contract_release(0, 8);
    rig_close(&rig);
}

static void failing_branch_stops_its_sibling(void **state)
{
    (void)state;
    contract_open(&fake_ops, NULL, "0", "5", 3, contract_diamond, 4);
    fake_poison(1, 1, MLY_E_BACKEND);
    fake_hold(1, 1, FAKE_ANY);
    fake_hold(1, 2, FAKE_ANY);
    contract_send(1, 1);
    fake_await_held(1, 1, FAKE_ANY);
    fake_await_held(1, 2, FAKE_ANY);
    fake_release(1, 1, FAKE_ANY);
    contract_expect_all(1, 1, MLY_E_BACKEND); /* the sibling's gate stays shut */
    fake_release_all();
    contract_send(2, 2);
    contract_expect_all(2, 2, MLY_OK);
    contract_release(0, 2);
    rig_close(&rig);
}

/* --- back-pressure --- */

static void full_queue_says_busy(void **state)
{
    (void)state;
    struct mly_engine_options options = {.queue_capacity = 2};
    contract_open_whole(&options);
    fake_hold(FAKE_ANY, FAKE_ANY, FAKE_ANY);
    contract_send(1, 3); /* one runs, two wait */
    struct mly_error err = {0};
    rig_fill(&rig, &batches[3], 4);
    assert_int_equal(rig_submit(&batches[3], false, true, &err), MLY_E_BUSY);
    assert_non_null(strstr(err.message, "2"));
    assert_null(batches[3].request);
    struct mly_engine_stats stats;
    mly_engine_get_stats(rig.engine, &stats);
    assert_int_equal(stats.queued, 2);
    assert_int_equal(stats.running, 1);
    mly_request_cancel(batches[2].request); /* makes room */
    assert_int_equal(contract_wait(3, NULL), MLY_E_CANCELLED);
    assert_int_equal(rig_submit(&batches[3], false, true, &err), MLY_OK);
    fake_release_all();
    contract_expect_all(4, 4, MLY_OK);
    contract_expect_all(1, 2, MLY_OK);
    contract_release(0, 4);
    rig_close(&rig);
}

static void slow_stage_holds_back_fast_ones(void **state)
{
    (void)state;
    struct mly_engine_options options = {.queue_capacity = 4};
    contract_open(&fake_ops, &options, "0", "3", 3, contract_chain, 3);
    fake_hold(FAKE_ANY, 2, FAKE_ANY);
    contract_send(1, 1);
    fake_await_held(1, 2, FAKE_ANY);
    contract_send(2, 5);
    fake_await_ended(5, FAKE_ANY, 1, FAKE_ANY);
    mly_request *extra = NULL;
    rig_fill(&rig, &batches[5], 6);
    /* All four wait for the last stage, though the first two are idle. */
    struct mly_engine_stats stats;
    for (mly_engine_get_stats(rig.engine, &stats); stats.running > 1;) {
        sched_yield(); /* the last completion is being booked */
        mly_engine_get_stats(rig.engine, &stats);
    }
    assert_int_equal(
        mly_engine_submit(rig.engine, batches[5].inputs, 1, NULL, false, NULL, NULL, &extra, NULL),
        MLY_E_BUSY);
    fake_release_all();
    contract_expect_all(1, 5, MLY_OK);
    contract_release(0, 5);
    rig_close(&rig);
}

/* --- stopping --- */

static void drain_waits_for_all_submitted(void **state)
{
    (void)state;
    contract_open(&fake_ops, NULL, "0", "5", 3, contract_diamond, 4);
    mly_engine_drain(rig.engine); /* nothing to wait for */
    for (int64_t tag = 1; tag <= 200; tag++) {
        rig_fill(&rig, &batches[tag - 1], tag);
        assert_int_equal(rig_submit(&batches[tag - 1], true, false, NULL), MLY_OK);
    }
    mly_engine_drain(rig.engine);
    assert_int_equal(rig_done_count(&rig), 200);
    rig_close(&rig);
}

static void *destroy_engine(void *engine)
{
    mly_engine_destroy(engine);
    return NULL;
}

struct late {
    pthread_t thread;
    struct rig_batch *batch;
    enum mly_status status;
};

static void *submit_late(void *argument)
{
    struct late *late = argument;
    late->status = rig_submit(late->batch, true, false, NULL);
    return NULL;
}

static void destroying_under_load_ends_every_request_once(void **state)
{
    (void)state;
    struct mly_engine_options options = {.queue_capacity = 4};
    contract_open(&fake_ops, &options, "0", "3", 3, contract_chain, 3);
    fake_hold(1, 2, FAKE_ANY);
    fake_hold(2, 1, FAKE_ANY);
    contract_send(1, 2);
    fake_await_held(1, 2, FAKE_ANY);
    fake_await_held(2, 1, FAKE_ANY);
    fake_hold(3, 0, FAKE_ANY);
    contract_send(3, 7);
    struct late late[2];
    for (uint32_t i = 0; i < 2; i++) {
        rig_fill(&rig, &batches[7 + i], 8 + i);
        late[i].batch = &batches[7 + i];
        pthread_create(&late[i].thread, NULL, submit_late, &late[i]);
    }
    pthread_t destroyer;
    pthread_create(&destroyer, NULL, destroy_engine, rig.engine);
    /* Both are woken, or come too late, while runs are still held. */
    for (uint32_t i = 0; i < 2; i++) {
        pthread_join(late[i].thread, NULL);
        assert_int_equal(late[i].status, MLY_E_CLOSED);
    }
    rig_await_done(&rig, 4); /* what waited: 4 to 7 */
    fake_release_all();
    pthread_join(destroyer, NULL);
    assert_int_equal(rig_done_count(&rig), 7);
    assert_int_equal(batches[0].status, MLY_OK); /* its last segment was running */
    for (int i = 1; i < 7; i++)
        assert_int_equal(batches[i].status, MLY_E_CANCELLED);
    for (int i = 0; i < 7; i++)
        assert_int_equal(batches[i].done_calls, 1);
    assert_int_equal(fake_live_tensors(), 0); /* results died with the back end */
    contract_release(0, 7);
    rig.engine = NULL;
    rig_close(&rig);
}

static void destroying_at_any_moment_is_clean(void **state)
{
    (void)state;
    for (int64_t n = 0; n < 60; n++) {
        struct mly_engine_options options = {.ordered = n % 2};
        contract_open(n % 3 ? &fake_ops : &fake_ops_no_cancel, &options, "0 1", "7 5 2", 3,
                      contract_tangled, 4);
        int64_t count = n % 7;
        contract_send(1, count);
        for (int64_t i = 0; i < count; i += 2)
            mly_request_cancel(batches[i].request);
        bool early = n % 5 == 0;
        if (early)
            contract_release(0, (uint32_t)count);
        mly_engine_destroy(rig.engine);
        rig.engine = NULL;
        for (int64_t i = 0; i < count; i++)
            assert_int_equal(batches[i].done_calls, 1);
        if (!early)
            contract_release(0, (uint32_t)count);
        rig_close(&rig);
    }
    mly_engine_destroy(NULL);
}

/* --- timeline --- */

static double number_of(struct mly_json object, const char *key)
{
    double number = -1;
    assert_int_equal(mly_json_number(object, key, -1, 1e18, &number, NULL), MLY_OK);
    return number;
}

/* Of one event: that phase and category, in lane `tid` (or any: -1). */
static bool is_event(struct mly_json event, const char *phase, const char *category, double tid)
{
    const char *ph = "", *cat = "";
    (void)!mly_json_string(event, "ph", &ph, NULL);
    (void)!mly_json_string(event, "cat", &cat, NULL);
    return strcmp(ph, phase) == 0 && strcmp(cat, category) == 0 &&
           (tid < 0 || number_of(event, "tid") == tid);
}

/* Tasks of a lane follow each other; returns how many there are. */
static uint64_t check_lane(struct mly_json events, double tid)
{
    uint64_t count = 0;
    double end = 0;
    for (size_t i = 0; i < mly_json_length(events); i++) {
        struct mly_json event = mly_json_element(events, i);
        if (!is_event(event, "X", "task", tid))
            continue;
        assert_true(number_of(event, "ts") >= end - 0.001);
        end = number_of(event, "ts") + number_of(event, "dur");
        count++;
    }
    return count;
}

static void every_task_and_request_is_recorded(void **state)
{
    (void)state;
    struct mly_error err = {0};
    mly_timeline *timeline = NULL;
    char *folder = scratch_create();
    const char *path = scratch_path(folder, "t.json");
    expect_ok(mly_timeline_create(NULL, &timeline, &err), err);
    struct mly_engine_options options = {.timeline = timeline};
    contract_open(&fake_ops, &options, "0 1", "7 5 2", 3, contract_tangled, 4);
    fake_poison(7, 3, MLY_E_INVALID);
    contract_send(1, 30);
    mly_engine_drain(rig.engine);
    struct mly_engine_stats stats;
    mly_engine_get_stats(rig.engine, &stats);
    contract_release(0, 30);
    rig_close(&rig);
    struct mly_timeline_counts counts;
    mly_timeline_get_counts(timeline, &counts);
    assert_int_equal(counts.kept, 30 * 4 + 30);
    assert_int_equal(counts.dropped, 0);
    expect_ok(mly_timeline_save(timeline, path, &err), err);
    mly_timeline_destroy(timeline);

    mly_json_doc *doc = NULL;
    expect_ok(mly_json_load(path, 1 << 24, &doc, &err), err);
    struct mly_json events = mly_json_member_opt(mly_json_root(doc), "traceEvents");
    uint64_t requests = 0;
    for (uint32_t p = 0; p < 3; p++)
        assert_int_equal(check_lane(events, 2 * p + 1), stats.processors[p].tasks);
    for (size_t i = 0; i < mly_json_length(events); i++)
        requests += is_event(mly_json_element(events, i), "b", "request", -1);
    assert_int_equal(requests, 30);
    mly_json_destroy(doc);
    scratch_remove(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(queued_work_is_cancelled_without_running),
        cmocka_unit_test(running_work_is_stopped_where_the_back_end_can),
        cmocka_unit_test(running_work_ends_by_itself_where_it_cannot_be_stopped),
        cmocka_unit_test(errors_of_one_request_harm_no_other),
        cmocka_unit_test(failing_branch_stops_its_sibling),
        cmocka_unit_test(full_queue_says_busy),
        cmocka_unit_test(slow_stage_holds_back_fast_ones),
        cmocka_unit_test(drain_waits_for_all_submitted),
        cmocka_unit_test(destroying_under_load_ends_every_request_once),
        cmocka_unit_test(destroying_at_any_moment_is_clean),
        cmocka_unit_test(every_task_and_request_is_recorded),
    };
    return contract_run(tests, sizeof tests / sizeof *tests);
}

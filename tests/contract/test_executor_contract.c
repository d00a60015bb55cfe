/*
 * The contract of executors, results: what comes out, in which order, what runs at once, what is refused
 * at the door.
 */
#include "support/executor_contract.h"

#include <string.h>

/* --- results --- */

static void results_are_right_on_every_shape_of_plan(void **state)
{
    (void)state;
    static const struct {
        const char *inputs, *outputs;
        const char *const *segments;
        uint32_t count, processors;
    } flows[] = {
        {"0", "1", contract_whole, 1, 1},         {"0", "1", contract_two_replicas, 1, 2},
        {"0", "3", contract_chain, 3, 3},         {"0", "3 1", contract_chain, 3, 3},
        {"0", "5", contract_diamond, 4, 3},       {"0", "5 2", contract_diamond, 4, 3},
        {"0 1", "7 5 2", contract_tangled, 4, 3},
    };
    for (size_t f = 0; f < sizeof flows / sizeof *flows; f++) {
        for (int ordered = 0; ordered < 2; ordered++) {
            struct mly_engine_options options = {.ordered = ordered};
            contract_open(&fake_ops, &options, flows[f].inputs, flows[f].outputs,
                          flows[f].processors, flows[f].segments, flows[f].count);
            contract_send(1, 50);
            contract_expect_all(1, 50, MLY_OK);
            for (int64_t tag = 1; tag <= 50; tag++) {
                for (uint32_t s = 0; s < flows[f].count; s++)
                    assert_int_equal(fake_begun(tag, (int)s, FAKE_ANY), 1);
            }
            contract_release(0, 50);
            rig_close(&rig);
        }
    }
}

static void results_land_in_the_callers_memory(void **state)
{
    (void)state;
    contract_open(&fake_ops, NULL, "0", "3 1", 3, contract_chain, 3); /* 1 is read later, too */
    int64_t memory[2][FAKE_WIDTH];
    struct mly_tensor outputs[2];
    fake_fill(&outputs[0], memory[0], 1, 0, 0);
    fake_fill(&outputs[1], memory[1], 1, 0, 0);
    outputs[0].shape.dims[0] = MLY_DIM_UNKNOWN; /* takes the result's */
    rig_fill(&rig, &batches[0], 3);
    mly_request *request = NULL;
    assert_int_equal(mly_engine_submit(rig.engine, batches[0].inputs, 1, outputs, true, NULL, NULL,
                                       &request, NULL),
                     MLY_OK);
    assert_int_equal(mly_request_wait(request, NULL), MLY_OK);
    size_t count = 0;
    const struct mly_tensor *results = mly_request_outputs(request, &count);
    assert_int_equal(count, 2);
    assert_ptr_equal(results[0].data, memory[0]);
    assert_ptr_equal(results[1].data, memory[1]);
    assert_true(fake_is_right(&rig.flow, batches[0].inputs, results));
    mly_request_release(request);
    rig_close(&rig);
}

static void infer_copies_results_out(void **state)
{
    (void)state;
    contract_open(&fake_ops, NULL, "0", "5 2", 3, contract_diamond, 4);
    int64_t memory[FAKE_WIDTH * RIG_ROWS];
    struct mly_tensor outputs[2] = {0};
    rig_fill(&rig, &batches[0], 4);
    fake_fill(&outputs[1], memory, batches[0].inputs[0].shape.dims[0], 0, 0);
    struct mly_error err = {0};
    assert_int_equal(mly_engine_infer(rig.engine, batches[0].inputs, 1, outputs, 2, &err), MLY_OK);
    assert_true(fake_is_right(&rig.flow, batches[0].inputs, outputs));
    assert_ptr_equal(outputs[1].data, memory);
    assert_int_equal(mly_engine_infer(rig.engine, batches[0].inputs, 1, outputs, 1, &err),
                     MLY_E_MISMATCH);
    mly_tensor_fini(&outputs[0]);
    rig_close(&rig);
}

static void tensors_between_segments_go_after_their_last_use(void **state)
{
    (void)state;
    static const char *const segments[] = {"0>1 2@0", "1>3@1", "2>4@2", "3 4>5@3"};
    contract_open(&fake_ops, NULL, "0", "5", 4, segments, 4);
    fake_hold(1, 3, FAKE_ANY);
    fake_hold(2, 1, FAKE_ANY);
    fake_hold(2, 2, FAKE_ANY);
    contract_send(1, 2);
    fake_await_held(1, 3, FAKE_ANY);
    fake_await_held(2, 1, FAKE_ANY); /* these have put batch 1 behind them */
    fake_await_held(2, 2, FAKE_ANY);
    assert_int_equal(fake_live_tensors(), 4); /* 3 and 4 of the first, 1 and 2 of the second */
    fake_release_all();
    contract_expect_all(1, 2, MLY_OK);
    contract_release(0, 2);
    rig_close(&rig);
}

/* --- order --- */

static void in_order_of_submission_when_asked(void **state)
{
    (void)state;
    struct mly_engine_options options = {.ordered = true};
    contract_open(&fake_ops, &options, "0", "1", 2, contract_two_replicas, 1);
    fake_hold(1, FAKE_ANY, FAKE_ANY);
    contract_send(1, 1);
    fake_await_held(1, FAKE_ANY, FAKE_ANY);
    fake_hold(4, FAKE_ANY, FAKE_ANY);
    contract_send(2, 8);
    if (executor->sharing != CONTRACT_LOOSE) /* in its order: 2, 3, 4, …, or 2, 4, … */
        fake_await_held(4, FAKE_ANY, FAKE_ANY);
    fake_release(4, FAKE_ANY, FAKE_ANY);
    /* The other replica takes what comes, or has its own share: 2, 4, 6, 8. */
    fake_await_ended(executor->sharing == CONTRACT_ANY     ? 7
                     : executor->sharing == CONTRACT_TURNS ? 4
                                                           : 1,
                     FAKE_ANY, FAKE_ANY, FAKE_ANY);
    assert_int_equal(rig_done_count(&rig), 0);
    fake_release_all();
    rig_await_done(&rig, 8);
    for (int64_t i = 0; i < 8; i++)
        assert_int_equal(rig.order[i], i + 1);
    contract_expect_all(1, 8, MLY_OK);
    contract_release(0, 8);
    rig_close(&rig);
}

static void failures_and_cancellations_keep_their_place_in_order(void **state)
{
    (void)state;
    struct mly_engine_options options = {.ordered = true};
    contract_open(&fake_ops, &options, "0", "1", 2, contract_two_replicas, 1);
    fake_poison(2, 0, MLY_E_BACKEND);
    fake_hold(1, FAKE_ANY, FAKE_ANY);
    contract_send(1, 6);
    fake_await_held(1, FAKE_ANY, FAKE_ANY);
    mly_request_cancel(batches[4].request);
    mly_request_cancel(batches[5].request);
    assert_int_equal(rig_done_count(&rig), 0);
    fake_release_all();
    rig_await_done(&rig, 6);
    for (int64_t i = 0; i < 6; i++)
        assert_int_equal(rig.order[i], i + 1);
    assert_int_equal(batches[1].status, MLY_E_BACKEND);
    contract_release(0, 6);
    rig_close(&rig);
}

static void in_order_of_completion_otherwise(void **state)
{
    (void)state;
    contract_open(&fake_ops, NULL, "0", "1", 2, contract_two_replicas, 1);
    fake_hold(1, FAKE_ANY, FAKE_ANY);
    contract_send(1, 1);
    fake_await_held(1, FAKE_ANY, FAKE_ANY);
    if (executor->sharing != CONTRACT_LOOSE) { /* the other replica is idle, so it has 2 */
        contract_send(2, 2);
        rig_await_done(&rig, 1);
        assert_int_equal(rig.order[0], 2);
        contract_send(3, 8);
    } else {
        contract_send(2, 8);
        rig_await_done(&rig, 1);
        assert_int_not_equal(rig.order[0], 1);
    }
    assert_int_equal(contract_wait(rig.order[0], NULL), MLY_OK);
    fake_release_all();
    contract_expect_all(1, 8, MLY_OK);
    contract_release(0, 8);
    rig_close(&rig);
}

struct sender {
    pthread_t thread;
    int64_t first, last;
    uint32_t failures;
};

static void *send_many(void *argument)
{
    struct sender *sender = argument;
    for (int64_t tag = sender->first; tag <= sender->last; tag++) {
        struct rig_batch *batch = &batches[tag - 1];
        rig_fill(&rig, batch, tag);
        sender->failures += rig_submit(batch, true, false, NULL) != MLY_OK;
    }
    return NULL;
}

static void every_request_exactly_once_from_many_threads(void **state)
{
    (void)state;
    struct sender senders[4];
    struct mly_engine_options options = {.queue_capacity = 3};
    for (int ordered = 0; ordered < 2; ordered++) {
        options.ordered = ordered;
        contract_open(&fake_ops, &options, "0 1", "7 5 2", 3, contract_tangled, 4);
        for (int i = 0; i < 4; i++) {
            senders[i] = (struct sender){.first = i * 100 + 1, .last = i * 100 + 100};
            pthread_create(&senders[i].thread, NULL, send_many, &senders[i]);
        }
        for (int i = 0; i < 4; i++) {
            pthread_join(senders[i].thread, NULL);
            assert_int_equal(senders[i].failures, 0);
        }
        mly_engine_drain(rig.engine);
        for (int64_t tag = 1; tag <= 400; tag++) {
            assert_int_equal(batches[tag - 1].done_calls, 1);
            assert_true(batches[tag - 1].right);
            for (int s = 0; s < 4; s++)
                assert_int_equal(fake_begun(tag, s, FAKE_ANY), 1);
        }
        struct mly_engine_stats stats;
        mly_engine_get_stats(rig.engine, &stats);
        assert_int_equal(stats.submitted, 400);
        assert_int_equal(stats.completed, 400);
        assert_int_equal(stats.queued + stats.running, 0);
        uint64_t tasks = 0;
        for (uint32_t i = 0; i < stats.processor_count; i++)
            tasks += stats.processors[i].tasks;
        assert_int_equal(tasks, 1600);
        rig_close(&rig);
    }
}

/* --- at the same time --- */

static void segments_of_different_requests_run_at_once(void **state)
{
    (void)state;
    contract_open(&fake_ops, NULL, "0", "3", 3, contract_chain, 3);
    fake_hold(1, 2, FAKE_ANY);
    fake_hold(2, 1, FAKE_ANY);
    fake_hold(3, 0, FAKE_ANY);
    contract_send(1, 3);
    fake_await_held(1, 2, 2);
    fake_await_held(2, 1, 1);
    fake_await_held(3, 0, 0);
    assert_int_equal(fake_most_at_once(), 3);
    fake_release_all();
    contract_expect_all(1, 3, MLY_OK);
    contract_release(0, 3);
    rig_close(&rig);
}

static void branches_of_one_request_run_at_once(void **state)
{
    (void)state;
    contract_open(&fake_ops, NULL, "0", "5", 3, contract_diamond, 4);
    fake_hold(1, 1, FAKE_ANY);
    fake_hold(1, 2, FAKE_ANY);
    contract_send(1, 1);
    fake_await_held(1, 1, FAKE_ANY);
    fake_await_held(1, 2, FAKE_ANY);
    fake_release(1, 1, FAKE_ANY);
    fake_await_ended(1, 1, 1, FAKE_ANY);
    assert_int_equal(fake_begun(1, 3, FAKE_ANY), 0); /* both branches are needed */
    fake_release_all();
    contract_expect_all(1, 1, MLY_OK);
    contract_release(0, 1);
    rig_close(&rig);
}

static void replicas_share_the_work(void **state)
{
    (void)state;
    contract_open(&fake_ops, NULL, "0", "1", 2, contract_two_replicas, 1);
    fake_hold(FAKE_ANY, FAKE_ANY, FAKE_ANY);
    contract_send(1, 4);
    fake_await_held(FAKE_ANY, 0, 0);
    fake_await_held(FAKE_ANY, 0, 1);
    assert_int_equal(fake_begun(FAKE_ANY, FAKE_ANY, FAKE_ANY), 2);
    if (executor->sharing != CONTRACT_LOOSE) /* the oldest first */
        assert_int_equal(fake_begun(1, FAKE_ANY, FAKE_ANY) + fake_begun(2, FAKE_ANY, FAKE_ANY), 2);
    fake_release_all();
    contract_expect_all(1, 4, MLY_OK);
    contract_release(0, 4);
    rig_close(&rig);
}

/* --- times, callbacks, arguments --- */

static void times_add_up(void **state)
{
    (void)state;
    contract_open(&fake_ops, NULL, "0", "3", 3, contract_chain, 3);
    contract_send(1, 20);
    contract_expect_all(1, 20, MLY_OK);
    for (int64_t i = 0; i < 20; i++) {
        int64_t queue_ns = -1, execute_ns = -1, total_ns = -1;
        mly_request_times(batches[i].request, &queue_ns, &execute_ns, &total_ns);
        assert_true(queue_ns >= 0 && execute_ns > 0);
        assert_true(queue_ns + execute_ns == total_ns); /* a chain does one or the other */
        mly_request_times(batches[i].request, NULL, NULL, NULL);
    }
    contract_release(0, 20);
    rig_close(&rig);
}

static void again(mly_request *request, enum mly_status status, void *user)
{
    (void)request;
    (void)status;
    struct rig_batch *batch = user;
    rig_fill(&rig, batch, batch->tag);
    batch->status = rig_submit(batch, false, false, NULL);
}

static void callbacks_may_submit(void **state)
{
    (void)state;
    struct mly_engine_options options = {.queue_capacity = 1};
    contract_open_whole(&options);
    rig_fill(&rig, &batches[0], 1);
    assert_int_equal(mly_engine_submit(rig.engine, batches[0].inputs, 1, NULL, true, again,
                                       &batches[0], NULL, NULL),
                     MLY_OK);
    rig_await_done(&rig, 1); /* of the second one */
    mly_engine_drain(rig.engine);
    assert_true(batches[0].right);
    rig_close(&rig);
}

static void wrong_inputs_are_refused_by_name(void **state)
{
    (void)state;
    contract_open(&fake_ops, NULL, "0 1", "7", 3, contract_tangled, 4);
    static const struct {
        const char *words;
        int32_t rank;
        int64_t first, second;
        enum mly_dtype dtype;
        size_t count, bytes_less;
    } wrong[] = {
        {"2 inputs, not 1", 2, 1, 4, MLY_DTYPE_I64, 1, 0},
        {"input 'x' is i64, not f32", 2, 1, 4, MLY_DTYPE_F32, 2, 0},
        {"shape ?x4, not 1x5", 2, 1, 5, MLY_DTYPE_I64, 2, 0},
        {"shape ?x4, not 1", 1, 1, 4, MLY_DTYPE_I64, 2, 0},
        {"batch of 0", 2, 0, 4, MLY_DTYPE_I64, 2, 32},
        {"has 32 bytes, not 31", 2, 1, 4, MLY_DTYPE_I64, 2, 1},
        {"'N': 1 and 2", 2, 2, 4, MLY_DTYPE_I64, 2, 0},
        {"not fully known", 2, -1, 4, MLY_DTYPE_I64, 2, 0},
    };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        rig_fill(&rig, &batches[0], 3);
        struct mly_tensor inputs[2];
        memcpy(inputs, batches[0].inputs, sizeof inputs);
        struct mly_tensor *changed = &inputs[i == 6];
        changed->dtype = wrong[i].dtype;
        changed->shape.rank = wrong[i].rank;
        changed->shape.dims[0] = wrong[i].first;
        changed->shape.dims[1] = wrong[i].second;
        changed->size_bytes = (size_t)(i == 6 ? 2 : 1) * 32 - wrong[i].bytes_less;
        struct mly_error err = {0};
        mly_request *request = NULL;
        assert_int_equal(mly_engine_submit(rig.engine, inputs, wrong[i].count, NULL, true, NULL,
                                           NULL, &request, &err),
                         MLY_E_MISMATCH);
        if (!strstr(err.message, wrong[i].words))
            fail_msg("'%s' does not say '%s'", err.message, wrong[i].words);
        assert_null(request);
    }
    rig_fill(&rig, &batches[0], 3);
    struct mly_tensor output;
    int64_t memory[FAKE_WIDTH];
    fake_fill(&output, memory, 1, 0, 0);
    output.dtype = MLY_DTYPE_F64;
    mly_request *request = NULL;
    assert_int_equal(mly_engine_submit(rig.engine, batches[0].inputs, 2, &output, true, NULL, NULL,
                                       &request, NULL),
                     MLY_E_MISMATCH);
    assert_int_equal(
        mly_engine_submit(rig.engine, batches[0].inputs, 2, NULL, true, NULL, NULL, NULL, NULL),
        MLY_E_INVALID); /* nobody would hear of it */
    assert_int_equal(fake_begun(FAKE_ANY, FAKE_ANY, FAKE_ANY), 0);
    rig_close(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(results_are_right_on_every_shape_of_plan),
        cmocka_unit_test(results_land_in_the_callers_memory),
        cmocka_unit_test(infer_copies_results_out),
        cmocka_unit_test(tensors_between_segments_go_after_their_last_use),
        cmocka_unit_test(in_order_of_submission_when_asked),
        cmocka_unit_test(failures_and_cancellations_keep_their_place_in_order),
        cmocka_unit_test(in_order_of_completion_otherwise),
        cmocka_unit_test(every_request_exactly_once_from_many_threads),
        cmocka_unit_test(segments_of_different_requests_run_at_once),
        cmocka_unit_test(branches_of_one_request_run_at_once),
        cmocka_unit_test(replicas_share_the_work),
        cmocka_unit_test(times_add_up),
        cmocka_unit_test(callbacks_may_submit),
        cmocka_unit_test(wrong_inputs_are_refused_by_name),
    };
    return contract_run(tests, sizeof tests / sizeof *tests);
}

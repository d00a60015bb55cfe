/*
 * What every executor must do, whatever runs below it. A new executor adds a row to `executors`
 * and passes all of it. Order of events is made by the fake back end's gates.
 */
#include "support/executor_rig.h"
#include "support/expect.h"

#include <sched.h>
#include <string.h>

#include "base/json.h"
#include "runtime/native.h"
#include "runtime/starpu.h"

static enum mly_status native_earliest(struct mly_flow *flow,
                                       const struct mly_engine_options *options, mly_engine **out,
                                       struct mly_error *err)
{
    return mly__engine_create_flow(flow, options, MLY_SCHEDULE_EARLIEST, out, err);
}

static enum mly_status native_pinned(struct mly_flow *flow,
                                     const struct mly_engine_options *options, mly_engine **out,
                                     struct mly_error *err)
{
    return mly__engine_create_flow(flow, options, MLY_SCHEDULE_PINNED, out, err);
}

static enum mly_status on_starpu(struct mly_flow *flow, const struct mly_engine_options *options,
                                 const char *executor, mly_engine **out, struct mly_error *err)
{
    struct mly_engine_options with = options ? *options : (struct mly_engine_options){0};
    with.executor = executor;
    return mly__engine_create_flow(flow, &with, MLY_SCHEDULE_EARLIEST, out, err);
}

static enum mly_status starpu_dmda(struct mly_flow *flow, const struct mly_engine_options *options,
                                   mly_engine **out, struct mly_error *err)
{
    return on_starpu(flow, options, "starpu:dmda", out, err);
}

static enum mly_status starpu_eager(struct mly_flow *flow, const struct mly_engine_options *options,
                                    mly_engine **out, struct mly_error *err)
{
    return on_starpu(flow, options, "starpu:eager", out, err);
}

static const struct executor {
    const char *name;
    rig_create_fn create;
    bool shares; /* an idle processor takes what waits: nothing is tied to a busy one beforehand */
    bool starpu;
} executors[] = {{"native, earliest", native_earliest, true, false},
                 {"native, pinned", native_pinned, false, false},
                 {"starpu, eager", starpu_eager, true, true},
                 {"starpu, dmda", starpu_dmda, false, true}};

static const struct executor *executor; /* under test */

static struct rig rig;
static struct rig_batch batches[1024];

/* Whole model, chain of three, diamond; outputs that are read later; replicas. */
static const char *const whole[] = {"0>1@0"};
static const char *const two_replicas[] = {"0>1@0 1"};
static const char *const chain[] = {"0>1@0", "1>2@1", "2>3@2"};
static const char *const diamond[] = {"0>1 2@0", "1>3@1", "2>4@2", "3 4>5@0"};
static const char *const tangled[] = {"0 1>2 3@0 1", "2 0>4@1 2", "3 4 2>5 6@0 2", "6 1 4>7@0 1 2"};

static void open_with(const struct mly_backend_ops *ops, const struct mly_engine_options *options,
                      const char *inputs, const char *outputs, uint32_t processors,
                      const char *const *segments, uint32_t count)
{
    rig_open(&rig, executor->create, ops, options, inputs, outputs, processors, segments, count);
}

static void open_whole(const struct mly_engine_options *options)
{
    open_with(&fake_ops, options, "0", "1", 1, whole, 1);
}

static void release(uint32_t from, uint32_t to)
{
    for (uint32_t i = from; i < to; i++)
        mly_request_release(batches[i].request);
}

/* Tag t is batches[t - 1]; sends tags first…last. */
static void send(int64_t first, int64_t last)
{
    for (int64_t tag = first; tag <= last; tag++)
        rig_send(&rig, &batches[tag - 1], tag);
}

static enum mly_status wait_for(int64_t tag, struct mly_error *err)
{
    return mly_request_wait(batches[tag - 1].request, err);
}

static void expect_all(int64_t first, int64_t last, enum mly_status status)
{
    for (int64_t tag = first; tag <= last; tag++) {
        const struct rig_batch *batch = &batches[tag - 1];
        assert_int_equal(wait_for(tag, NULL), status);
        assert_int_equal(batch->status, status);
        assert_int_equal(batch->done_calls, 1);
        assert_int_equal(batch->right, status == MLY_OK);
    }
}

/* --- results --- */

static void results_are_right_on_every_shape_of_plan(void **state)
{
    (void)state;
    static const struct {
        const char *inputs, *outputs;
        const char *const *segments;
        uint32_t count, processors;
    } flows[] = {
        {"0", "1", whole, 1, 1},         {"0", "1", two_replicas, 1, 2},
        {"0", "3", chain, 3, 3},         {"0", "3 1", chain, 3, 3},
        {"0", "5", diamond, 4, 3},       {"0", "5 2", diamond, 4, 3},
        {"0 1", "7 5 2", tangled, 4, 3},
    };
    for (size_t f = 0; f < sizeof flows / sizeof *flows; f++) {
        for (int ordered = 0; ordered < 2; ordered++) {
            struct mly_engine_options options = {.ordered = ordered};
            open_with(&fake_ops, &options, flows[f].inputs, flows[f].outputs, flows[f].processors,
                      flows[f].segments, flows[f].count);
            send(1, 50);
            expect_all(1, 50, MLY_OK);
            for (int64_t tag = 1; tag <= 50; tag++) {
                for (uint32_t s = 0; s < flows[f].count; s++)
                    assert_int_equal(fake_begun(tag, (int)s, FAKE_ANY), 1);
            }
            release(0, 50);
            rig_close(&rig);
        }
    }
}

static void results_land_in_the_callers_memory(void **state)
{
    (void)state;
    open_with(&fake_ops, NULL, "0", "3 1", 3, chain, 3); /* 1 is read later, too */
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
    open_with(&fake_ops, NULL, "0", "5 2", 3, diamond, 4);
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
    open_with(&fake_ops, NULL, "0", "5", 4, segments, 4);
    fake_hold(1, 3, FAKE_ANY);
    fake_hold(2, 1, FAKE_ANY);
    fake_hold(2, 2, FAKE_ANY);
    send(1, 2);
    fake_await_held(1, 3, FAKE_ANY);
    fake_await_held(2, 1, FAKE_ANY); /* these have put batch 1 behind them */
    fake_await_held(2, 2, FAKE_ANY);
    assert_int_equal(fake_live_tensors(), 4); /* 3 and 4 of the first, 1 and 2 of the second */
    fake_release_all();
    expect_all(1, 2, MLY_OK);
    release(0, 2);
    rig_close(&rig);
}

/* --- order --- */

static void in_order_of_submission_when_asked(void **state)
{
    (void)state;
    struct mly_engine_options options = {.ordered = true};
    open_with(&fake_ops, &options, "0", "1", 2, two_replicas, 1);
    fake_hold(1, FAKE_ANY, FAKE_ANY);
    send(1, 1);
    fake_await_held(1, FAKE_ANY, FAKE_ANY);
    send(2, 8);
    /* The other replica takes what comes, or has its own share. */
    fake_await_ended(executor->shares ? 7 : 1, FAKE_ANY, FAKE_ANY, FAKE_ANY);
    assert_int_equal(rig_done_count(&rig), 0);
    fake_release_all();
    rig_await_done(&rig, 8);
    for (int64_t i = 0; i < 8; i++)
        assert_int_equal(rig.order[i], i + 1);
    expect_all(1, 8, MLY_OK);
    release(0, 8);
    rig_close(&rig);
}

static void failures_and_cancellations_keep_their_place_in_order(void **state)
{
    (void)state;
    struct mly_engine_options options = {.ordered = true};
    open_with(&fake_ops, &options, "0", "1", 2, two_replicas, 1);
    fake_poison(2, 0, MLY_E_BACKEND);
    fake_hold(1, FAKE_ANY, FAKE_ANY);
    send(1, 6);
    fake_await_held(1, FAKE_ANY, FAKE_ANY);
    mly_request_cancel(batches[4].request);
    mly_request_cancel(batches[5].request);
    assert_int_equal(rig_done_count(&rig), 0);
    fake_release_all();
    rig_await_done(&rig, 6);
    for (int64_t i = 0; i < 6; i++)
        assert_int_equal(rig.order[i], i + 1);
    assert_int_equal(batches[1].status, MLY_E_BACKEND);
    release(0, 6);
    rig_close(&rig);
}

static void in_order_of_completion_otherwise(void **state)
{
    (void)state;
    open_with(&fake_ops, NULL, "0", "1", 2, two_replicas, 1);
    fake_hold(1, FAKE_ANY, FAKE_ANY);
    send(1, 1);
    fake_await_held(1, FAKE_ANY, FAKE_ANY);
    send(2, 8);
    rig_await_done(&rig, 1);
    assert_int_not_equal(rig.order[0], 1);
    assert_int_equal(wait_for(rig.order[0], NULL), MLY_OK);
    fake_release_all();
    expect_all(1, 8, MLY_OK);
    release(0, 8);
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
        open_with(&fake_ops, &options, "0 1", "7 5 2", 3, tangled, 4);
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
    open_with(&fake_ops, NULL, "0", "3", 3, chain, 3);
    fake_hold(1, 2, FAKE_ANY);
    fake_hold(2, 1, FAKE_ANY);
    fake_hold(3, 0, FAKE_ANY);
    send(1, 3);
    fake_await_held(1, 2, 2);
    fake_await_held(2, 1, 1);
    fake_await_held(3, 0, 0);
    assert_int_equal(fake_most_at_once(), 3);
    fake_release_all();
    expect_all(1, 3, MLY_OK);
    release(0, 3);
    rig_close(&rig);
}

static void branches_of_one_request_run_at_once(void **state)
{
    (void)state;
    open_with(&fake_ops, NULL, "0", "5", 3, diamond, 4);
    fake_hold(1, 1, FAKE_ANY);
    fake_hold(1, 2, FAKE_ANY);
    send(1, 1);
    fake_await_held(1, 1, FAKE_ANY);
    fake_await_held(1, 2, FAKE_ANY);
    fake_release(1, 1, FAKE_ANY);
    fake_await_ended(1, 1, 1, FAKE_ANY);
    assert_int_equal(fake_begun(1, 3, FAKE_ANY), 0); /* both branches are needed */
    fake_release_all();
    expect_all(1, 1, MLY_OK);
    release(0, 1);
    rig_close(&rig);
}

static void replicas_share_the_work(void **state)
{
    (void)state;
    open_with(&fake_ops, NULL, "0", "1", 2, two_replicas, 1);
    fake_hold(FAKE_ANY, FAKE_ANY, FAKE_ANY);
    send(1, 4);
    fake_await_held(FAKE_ANY, 0, 0);
    fake_await_held(FAKE_ANY, 0, 1);
    assert_int_equal(fake_begun(FAKE_ANY, FAKE_ANY, FAKE_ANY), 2);
    if (executor->shares) /* the oldest first */
        assert_int_equal(fake_begun(1, FAKE_ANY, FAKE_ANY) + fake_begun(2, FAKE_ANY, FAKE_ANY), 2);
    fake_release_all();
    expect_all(1, 4, MLY_OK);
    release(0, 4);
    rig_close(&rig);
}

/* --- cancelling --- */

static void queued_work_is_cancelled_without_running(void **state)
{
    (void)state;
    open_whole(NULL);
    fake_hold(1, FAKE_ANY, FAKE_ANY);
    send(1, 3);
    fake_await_held(1, FAKE_ANY, FAKE_ANY);
    mly_request_cancel(batches[1].request);
    struct mly_error err = {0};
    assert_int_equal(wait_for(2, &err), MLY_E_CANCELLED); /* although the processor is busy */
    assert_non_null(strstr(err.message, "cancelled"));
    assert_null(mly_request_outputs(batches[1].request, NULL));
    fake_release_all();
    expect_all(1, 1, MLY_OK);
    expect_all(2, 2, MLY_E_CANCELLED);
    expect_all(3, 3, MLY_OK);
    assert_int_equal(fake_begun(2, FAKE_ANY, FAKE_ANY), 0);
    struct mly_engine_stats stats;
    mly_engine_get_stats(rig.engine, &stats);
    assert_int_equal(stats.cancelled, 1);
    assert_int_equal(stats.completed, 2);
    release(0, 3);
    rig_close(&rig);
}

static void running_work_is_stopped_where_the_back_end_can(void **state)
{
    (void)state;
    open_with(&fake_ops, NULL, "0", "3", 3, chain, 3);
    fake_hold(1, 1, FAKE_ANY);
    send(1, 2);
    fake_await_held(1, 1, FAKE_ANY);
    mly_request_cancel(batches[0].request);
    expect_all(1, 1, MLY_E_CANCELLED); /* the gate stays shut: the run itself was stopped */
    expect_all(2, 2, MLY_OK);
    assert_int_equal(fake_begun(1, 2, FAKE_ANY), 0);
    mly_request_cancel(batches[0].request); /* both are over already */
    mly_request_cancel(batches[1].request);
    expect_all(2, 2, MLY_OK);
    release(0, 2);
    rig_close(&rig);
}

static void running_work_ends_by_itself_where_it_cannot_be_stopped(void **state)
{
    (void)state;
    open_with(&fake_ops_no_cancel, NULL, "0", "3", 3, chain, 3);
    fake_hold(1, 1, FAKE_ANY);
    send(1, 2);
    fake_await_held(1, 1, FAKE_ANY);
    mly_request_cancel(batches[0].request);
    assert_int_equal(rig_done_count(&rig), 0);
    fake_release_all();
    expect_all(1, 1, MLY_E_CANCELLED);
    expect_all(2, 2, MLY_OK);
    assert_int_equal(fake_begun(1, 2, FAKE_ANY), 0);
    release(0, 2);
    rig_close(&rig);
}

/* --- errors --- */

static void errors_of_one_request_harm_no_other(void **state)
{
    (void)state;
    open_with(&fake_ops, NULL, "0", "3", 3, chain, 3);
    fake_poison(2, 0, MLY_E_BACKEND);
    fake_poison(4, 1, MLY_E_NO_MEMORY);
    fake_poison(6, 2, MLY_E_BACKEND);
    send(1, 8);
    for (int64_t tag = 1; tag <= 8; tag++) {
        enum mly_status expected = tag == 4               ? MLY_E_NO_MEMORY
                                   : tag == 2 || tag == 6 ? MLY_E_BACKEND
                                                          : MLY_OK;
        expect_all(tag, tag, expected);
    }
    struct mly_error err = {0};
    assert_int_equal(wait_for(4, &err), MLY_E_NO_MEMORY);
    assert_int_equal(err.status, MLY_E_NO_MEMORY);
    assert_string_equal(err.message, "segment 's1' on fake:1: fake: batch 4 is poisoned");
    assert_int_equal(fake_begun(4, 2, FAKE_ANY), 0);
    struct mly_engine_stats stats;
    mly_engine_get_stats(rig.engine, &stats);
    assert_int_equal(stats.failed, 3);
    assert_int_equal(stats.processors[1].failures, 1);
    release(0, 8);
    rig_close(&rig);
}

static void failing_branch_stops_its_sibling(void **state)
{
    (void)state;
    open_with(&fake_ops, NULL, "0", "5", 3, diamond, 4);
    fake_poison(1, 1, MLY_E_BACKEND);
    fake_hold(1, 1, FAKE_ANY);
    fake_hold(1, 2, FAKE_ANY);
    send(1, 1);
    fake_await_held(1, 1, FAKE_ANY);
    fake_await_held(1, 2, FAKE_ANY);
    fake_release(1, 1, FAKE_ANY);
    expect_all(1, 1, MLY_E_BACKEND); /* the sibling's gate stays shut */
    fake_release_all();
    send(2, 2);
    expect_all(2, 2, MLY_OK);
    release(0, 2);
    rig_close(&rig);
}

/* --- back-pressure --- */

static void full_queue_says_busy(void **state)
{
    (void)state;
    struct mly_engine_options options = {.queue_capacity = 2};
    open_whole(&options);
    fake_hold(FAKE_ANY, FAKE_ANY, FAKE_ANY);
    send(1, 3); /* one runs, two wait */
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
    assert_int_equal(wait_for(3, NULL), MLY_E_CANCELLED);
    assert_int_equal(rig_submit(&batches[3], false, true, &err), MLY_OK);
    fake_release_all();
    expect_all(4, 4, MLY_OK);
    expect_all(1, 2, MLY_OK);
    release(0, 4);
    rig_close(&rig);
}

static void slow_stage_holds_back_fast_ones(void **state)
{
    (void)state;
    struct mly_engine_options options = {.queue_capacity = 4};
    open_with(&fake_ops, &options, "0", "3", 3, chain, 3);
    fake_hold(FAKE_ANY, 2, FAKE_ANY);
    send(1, 1);
    fake_await_held(1, 2, FAKE_ANY);
    send(2, 5);
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
    expect_all(1, 5, MLY_OK);
    release(0, 5);
    rig_close(&rig);
}

/* --- stopping --- */

static void drain_waits_for_all_submitted(void **state)
{
    (void)state;
    open_with(&fake_ops, NULL, "0", "5", 3, diamond, 4);
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
    open_with(&fake_ops, &options, "0", "3", 3, chain, 3);
    fake_hold(1, 2, FAKE_ANY);
    fake_hold(2, 1, FAKE_ANY);
    send(1, 2);
    fake_await_held(1, 2, FAKE_ANY);
    fake_await_held(2, 1, FAKE_ANY);
    fake_hold(3, 0, FAKE_ANY);
    send(3, 7);
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
    release(0, 7);
    rig.engine = NULL;
    rig_close(&rig);
}

static void destroying_at_any_moment_is_clean(void **state)
{
    (void)state;
    for (int64_t n = 0; n < 60; n++) {
        struct mly_engine_options options = {.ordered = n % 2};
        open_with(n % 3 ? &fake_ops : &fake_ops_no_cancel, &options, "0 1", "7 5 2", 3, tangled, 4);
        int64_t count = n % 7;
        send(1, count);
        for (int64_t i = 0; i < count; i += 2)
            mly_request_cancel(batches[i].request);
        bool early = n % 5 == 0;
        if (early)
            release(0, (uint32_t)count);
        mly_engine_destroy(rig.engine);
        rig.engine = NULL;
        for (int64_t i = 0; i < count; i++)
            assert_int_equal(batches[i].done_calls, 1);
        if (!early)
            release(0, (uint32_t)count);
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
    open_with(&fake_ops, &options, "0 1", "7 5 2", 3, tangled, 4);
    fake_poison(7, 3, MLY_E_INVALID);
    send(1, 30);
    mly_engine_drain(rig.engine);
    struct mly_engine_stats stats;
    mly_engine_get_stats(rig.engine, &stats);
    release(0, 30);
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

/* --- times, callbacks, arguments --- */

static void times_add_up(void **state)
{
    (void)state;
    open_with(&fake_ops, NULL, "0", "3", 3, chain, 3);
    send(1, 20);
    expect_all(1, 20, MLY_OK);
    for (int64_t i = 0; i < 20; i++) {
        int64_t queue_ns = -1, execute_ns = -1, total_ns = -1;
        mly_request_times(batches[i].request, &queue_ns, &execute_ns, &total_ns);
        assert_true(queue_ns >= 0 && execute_ns > 0);
        assert_true(queue_ns + execute_ns == total_ns); /* a chain does one or the other */
        mly_request_times(batches[i].request, NULL, NULL, NULL);
    }
    release(0, 20);
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
    open_whole(&options);
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
    open_with(&fake_ops, NULL, "0 1", "7", 3, tangled, 4);
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
        cmocka_unit_test(times_add_up),
        cmocka_unit_test(callbacks_may_submit),
        cmocka_unit_test(wrong_inputs_are_refused_by_name),
    };
    int failures = 0;
    struct mly_error why = {0};
    bool has_starpu = mly__starpu_probe(NULL, NULL, NULL, &why) == MLY_OK;
    for (size_t i = 0; i < sizeof executors / sizeof *executors; i++) {
        executor = &executors[i];
        if (executor->starpu && !has_starpu) {
            printf("# %s\nok - %s # SKIP\n", why.message, executor->name);
            continue;
        }
        failures += cmocka_run_group_tests_name(executor->name, tests, NULL, NULL);
    }
    return failures;
}

/*
 * What engines do about time and about each other: priorities, deadlines, policies; several engines
 * on the same processors, created and destroyed while others run.
 */
#include "support/executor_rig.h"
#include "support/test.h"

#include <string.h>

#include "base/alloc.h"
#include "runtime/native.h"

static const char *const whole[] = {"0>1@0"};
static const char *const replicas[] = {"0>1@0 1"};
static const char *const chain[] = {"0>1@0", "1>2@1", "2>3@2"};

static struct rig rig, other;
static struct rig_batch batches[256], others[256];

static enum mly_status create(struct mly_flow *flow, const struct mly_engine_options *options,
                              mly_engine **out, struct mly_error *err)
{
    return mly__engine_create_flow(flow, options, MLY_SCHEDULE_EARLIEST, out, err);
}

static void open_whole(const struct mly_engine_options *options)
{
    rig_open(&rig, create, &fake_ops, options, "0", "1", 1, whole, 1);
}

/* --- priorities and deadlines --- */

static mly_request *send(int64_t tag, const struct mly_submit_options *options)
{
    struct rig_batch *batch = &batches[tag - 1];
    mly_request *request = NULL;
    struct mly_error err = {0};
    rig_fill(&rig, batch, tag);
    if (mly_engine_submit_with(rig.engine, batch->inputs, 1, NULL, options, &request, &err) !=
        MLY_OK)
        fail_msg("batch %lld: %s", (long long)tag, err.message);
    return request;
}

static int64_t order[16];
static uint32_t ordered;

/* One processor: one call at a time. */
static void note_order(mly_request *request, enum mly_status status, void *user)
{
    (void)request;
    (void)status;
    order[ordered++] = (int64_t)(intptr_t)user;
}

static void higher_priority_goes_first(void **state)
{
    (void)state;
    open_whole(NULL);
    static const int32_t priorities[] = {0, -1, 0, 7, 7, 0};
    mly_request *requests[6];
    fake_hold(1, FAKE_ANY, FAKE_ANY);
    ordered = 0;
    for (int64_t tag = 1; tag <= 6; tag++) {
        struct mly_submit_options options = {
            .priority = priorities[tag - 1], .done = note_order, .user = (void *)(intptr_t)tag};
        requests[tag - 1] = send(tag, &options);
    }
    fake_release_all();
    for (int i = 0; i < 6; i++) {
        assert_int_equal(mly_request_wait(requests[i], NULL), MLY_OK);
        mly_request_release(requests[i]);
    }
    static const int64_t expected[] = {1, 4, 5, 3, 6, 2};
    assert_memory_equal(order, expected, sizeof expected);
    rig_close(&rig);
}

static void a_late_request_is_dropped_although_nothing_happens(void **state)
{
    (void)state;
    open_whole(NULL);
    fake_hold(1, FAKE_ANY, FAKE_ANY);
    struct mly_submit_options soon = {.deadline_ns = 1000000},
                              hour = {.deadline_ns = INT64_C(3600000000000)};
    mly_request *first = send(1, NULL), *late = send(2, &soon), *in_time = send(3, &hour);
    struct mly_error err = {0};
    assert_int_equal(mly_request_wait(late, &err),
                     MLY_E_DEADLINE); /* the processor is still held */
    assert_non_null(strstr(err.message, "deadline"));
    fake_release_all();
    assert_int_equal(mly_request_wait(first, NULL), MLY_OK);
    assert_int_equal(mly_request_wait(in_time, NULL), MLY_OK);
    assert_int_equal(fake_begun(2, FAKE_ANY, FAKE_ANY), 0);
    struct mly_engine_stats stats;
    mly_engine_get_stats(rig.engine, &stats);
    assert_int_equal(stats.late, 1);
    assert_int_equal(stats.failed, 1);
    assert_int_equal(stats.completed, 2);
    mly_request_release(first);
    mly_request_release(late);
    mly_request_release(in_time);
    rig_close(&rig);
}

/* What runs at the deadline goes on to the end of its segment. */
static void a_late_request_begins_no_further_segment(void **state)
{
    (void)state;
    rig_open(&rig, create, &fake_ops, NULL, "0", "3", 3, chain, 3);
    fake_hold(1, 1, FAKE_ANY);
    struct mly_submit_options soon = {.deadline_ns = 20000000};
    mly_request *late = send(1, &soon);
    /* One with the same deadline was submitted later, and is late: so is the first. */
    fake_hold(2, 0, FAKE_ANY);
    mly_request *blocker = send(2, NULL), *second = send(3, &soon);
    assert_int_equal(mly_request_wait(second, NULL), MLY_E_DEADLINE);
    mly_request_release(second);
    fake_release_all();
    assert_int_equal(mly_request_wait(blocker, NULL), MLY_OK);
    mly_request_release(blocker);
    assert_int_equal(mly_request_wait(late, NULL), MLY_E_DEADLINE);
    assert_int_equal(fake_begun(1, 2, FAKE_ANY), 0);
    mly_request_release(late);
    rig_close(&rig);
}

static void a_late_request_may_run_last_instead(void **state)
{
    (void)state;
    open_whole(NULL);
    fake_hold(1, FAKE_ANY, FAKE_ANY);
    ordered = 0;
    struct mly_submit_options options = {.done = note_order, .user = (void *)1};
    mly_request *requests[4];
    requests[0] = send(1, &options);
    options.deadline_ns = 1;
    options.late_last = true;
    options.priority = 9;
    options.user = (void *)2;
    requests[1] = send(2, &options);
    options = (struct mly_submit_options){.done = note_order, .user = (void *)3};
    requests[2] = send(3, &options);
    options.user = (void *)4;
    requests[3] = send(4, &options);
    fake_release_all();
    for (int i = 0; i < 4; i++) {
        assert_int_equal(mly_request_wait(requests[i], NULL), MLY_OK);
        mly_request_release(requests[i]);
    }
    static const int64_t expected[] = {1, 3, 4, 2};
    assert_memory_equal(order, expected, sizeof expected);
    rig_close(&rig);
}

static void wrong_submissions_are_refused(void **state)
{
    (void)state;
    open_whole(NULL);
    struct mly_submit_options options = {.deadline_ns = -1};
    struct mly_error err = {0};
    mly_request *request = NULL;
    rig_fill(&rig, &batches[0], 1);
    assert_int_equal(
        mly_engine_submit_with(rig.engine, batches[0].inputs, 1, NULL, &options, &request, &err),
        MLY_E_INVALID);
    assert_non_null(strstr(err.message, "-1 ns"));
    assert_int_equal(
        mly_engine_submit_with(rig.engine, batches[0].inputs, 1, NULL, NULL, NULL, &err),
        MLY_E_INVALID);
    assert_null(request);
    rig_close(&rig);
}

/* --- several engines --- */

static void open_beside(const struct mly_engine_options *options, uint32_t processors,
                        const char *const *segments, uint32_t count, const char *output)
{
    struct mly_engine_options beside = options ? *options : (struct mly_engine_options){0};
    beside.beside = rig.engine;
    rig_open(&other, create, &fake_ops, &beside, "0", output, processors, segments, count);
}

static void close_both(void)
{
    mly_engine_destroy(rig.engine);
    mly_engine_destroy(other.engine);
    rig.engine = other.engine = NULL;
    rig_close(&rig);
    rig_close(&other);
}

static void expect_right(struct rig_batch *all, int count)
{
    for (int i = 0; i < count; i++) {
        assert_int_equal(mly_request_wait(all[i].request, NULL), MLY_OK);
        assert_true(all[i].right);
        assert_int_equal(all[i].done_calls, 1);
        mly_request_release(all[i].request);
    }
}

static void engines_share_their_processors(void **state)
{
    (void)state;
    struct mly_engine_stats stats;
    rig_open(&rig, create, &fake_ops, NULL, "0", "1", 2, replicas, 1);
    open_beside(NULL, 3, chain, 3, "3"); /* on a third one as well */
    for (int64_t tag = 1; tag <= 100; tag++) {
        rig_send(&rig, &batches[tag - 1], tag);
        rig_send(&other, &others[tag - 1], tag);
    }
    expect_right(batches, 100);
    expect_right(others, 100);
    assert_true(fake_most_at_once() <= 3);
    mly_engine_get_stats(rig.engine, &stats);
    assert_int_equal(stats.completed, 100);
    assert_int_equal(stats.processor_count, 2);
    assert_int_equal(stats.processors[0].tasks + stats.processors[1].tasks, 100);
    mly_engine_get_stats(other.engine, &stats);
    assert_int_equal(stats.completed, 100);
    assert_int_equal(stats.processor_count, 3);
    for (int p = 0; p < 3; p++)
        assert_int_equal(stats.processors[p].tasks, 100);
    close_both();
}

/* One engine's flood does not keep the other waiting for more than a task. */
static void a_flooded_engine_leaves_the_other_its_share(void **state)
{
    (void)state;
    struct mly_engine_options deep = {.queue_capacity = 300};
    open_whole(&deep);
    open_beside(&deep, 1, whole, 1, "1");
    fake_hold(1, FAKE_ANY, FAKE_ANY);
    for (int64_t tag = 1; tag <= 200; tag++)
        rig_send(&rig, &batches[tag - 1], tag);
    for (int64_t tag = 201; tag <= 220; tag++)
        rig_send(&other, &others[tag - 201], tag);
    fake_hold(100, FAKE_ANY, FAKE_ANY);
    fake_release(1, FAKE_ANY, FAKE_ANY);
    fake_await_held(100, FAKE_ANY, FAKE_ANY);
    rig_await_done(&other, 20); /* long before the flood is over */
    fake_release_all();
    expect_right(batches, 200);
    expect_right(others, 20);
    close_both();
}

static void an_engine_comes_and_goes_while_another_runs(void **state)
{
    (void)state;
    rig_open(&rig, create, &fake_ops, NULL, "0", "1", 2, replicas, 1);
    rig.flow.free_batch = true;
    fake_hold(1, FAKE_ANY, 0);
    rig_send(&rig, &batches[0], 1); /* is on a processor all the time */
    for (int round = 0; round < 10; round++) {
        struct mly_flow flow;
        struct mly_engine_options beside = {.beside = rig.engine, .no_warm_up = true};
        mly_engine *engine = NULL;
        assert_int_equal(fake_flow_init(&fake_ops, "0", "3", 3, chain, 3, &flow, NULL), MLY_OK);
        assert_int_equal(create(&flow, &beside, &engine, NULL), MLY_OK);
        mly_request *request = NULL;
        rig_fill(&rig, &others[0], 50);
        assert_int_equal(
            mly_engine_submit(engine, others[0].inputs, 1, NULL, true, NULL, NULL, &request, NULL),
            MLY_OK);
        rig_send(&rig, &batches[1], 2); /* on the free one */
        assert_int_equal(mly_request_wait(batches[1].request, NULL), MLY_OK);
        mly_request_release(batches[1].request);
        /* Its first segment waits for the busy processor: destroying it takes that back. */
        mly_engine_destroy(engine);
        mly_request_release(request);
    }
    assert_int_equal(rig_done_count(&rig), 10);
    fake_release_all();
    assert_int_equal(mly_request_wait(batches[0].request, NULL), MLY_OK);
    mly_request_release(batches[0].request);
    rig_close(&rig);
}

static void the_first_engine_may_go_before_the_others(void **state)
{
    (void)state;
    rig_open(&rig, create, &fake_ops, NULL, "0", "1", 2, replicas, 1);
    open_beside(NULL, 2, replicas, 1, "1");
    fake_hold(7, FAKE_ANY, FAKE_ANY);
    rig_send(&rig, &batches[0], 5);
    rig_send(&other, &others[0], 7);
    fake_await_held(7, FAKE_ANY, FAKE_ANY);
    mly_engine_destroy(rig.engine);
    rig.engine = NULL;
    mly_request_release(batches[0].request);
    fake_release_all();
    expect_right(others, 1);
    for (int64_t tag = 1; tag <= 20; tag++)
        rig_send(&other, &others[tag - 1], tag);
    expect_right(others, 20);
    close_both();
}

static void every_failing_allocation_fails_joining_only(void **state)
{
    (void)state;
    rig_open(&rig, create, &fake_ops, NULL, "0", "1", 2, replicas, 1);
    uint32_t sessions = fake_open_sessions();
    bool reached = true;
    for (uint64_t n = 1; reached; n++) {
        struct mly_flow flow;
        struct mly_engine_options beside = {.beside = rig.engine};
        mly_engine *engine = NULL;
        struct mly_error err = {0};
        assert_int_equal(fake_flow_init(&fake_ops, "0", "3", 3, chain, 3, &flow, NULL), MLY_OK);
        uint64_t before = mly_alloc_count();
        mly_alloc_fail_once(n);
        enum mly_status status = create(&flow, &beside, &engine, &err);
        reached = mly_alloc_count() - before >= n;
        mly_alloc_fail_once(0);
        assert_true(status == MLY_OK || status == MLY_E_NO_MEMORY);
        mly_engine_destroy(engine);
        assert_int_equal(fake_open_sessions(), sessions);
        rig_send(&rig, &batches[0], 3); /* harms nobody */
        expect_right(batches, 1);
    }
    rig_close(&rig);
}

/* --- split batches --- */

static const uint32_t *shares_wanted;

static enum mly_status create_split(struct mly_flow *flow, const struct mly_engine_options *options,
                                    mly_engine **out, struct mly_error *err)
{
    struct mly_flow_segment *segment = &flow->segments[0];
    segment->shares = mly_alloc_array(segment->processor_count, sizeof *segment->shares);
    if (!segment->shares) {
        mly_flow_fini(flow);
        return mly_error_set(err, MLY_E_NO_MEMORY, "no memory");
    }
    memcpy(segment->shares, shares_wanted, segment->processor_count * sizeof *segment->shares);
    return create(flow, options, out, err);
}

static struct mly_tensor rows_of(const struct mly_tensor *all, int64_t first, int64_t count)
{
    struct mly_tensor part = *all;
    size_t row_bytes = FAKE_WIDTH * sizeof(int64_t);
    part.data = (unsigned char *)all->data + (size_t)first * row_bytes;
    part.size_bytes = (size_t)count * row_bytes;
    part.shape.dims[0] = count;
    return part;
}

/* The fake back end's results depend on where a part begins: each part by itself must be right. */
static void expect_parts(const struct mly_tensor *input, const struct mly_tensor *output,
                         const int64_t *counts, uint32_t parts)
{
    int64_t first = 0;
    for (uint32_t i = 0; i < parts; first += counts[i++]) {
        if (counts[i] == 0)
            continue;
        struct mly_tensor in = rows_of(input, first, counts[i]),
                          out = rows_of(output, first, counts[i]);
        assert_true(fake_is_right(&rig.flow, &in, &out));
    }
    assert_int_equal(first, input->shape.dims[0]);
}

static void parts_of_a_batch_run_at_once_and_meet(void **state)
{
    (void)state;
    static const uint32_t shares[] = {3, 1};
    static const int64_t counts[][2] = {{3, 1}, {6, 2}, {0, 1}, {1, 1}, {3, 2}};
    shares_wanted = shares;
    rig_open(&rig, create_split, &fake_ops, NULL, "0", "1", 2, replicas, 1);
    int64_t memory[8 * FAKE_WIDTH];
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) {
        struct mly_tensor input;
        mly_request *request = NULL;
        fake_fill(&input, memory, counts[i][0] + counts[i][1], 7, 0);
        if (i < 2)
            fake_hold(FAKE_ANY, FAKE_ANY, FAKE_ANY);
        assert_int_equal(
            mly_engine_submit(rig.engine, &input, 1, NULL, true, NULL, NULL, &request, NULL),
            MLY_OK);
        if (i < 2) {
            fake_await_held(FAKE_ANY, 0, 0);
            fake_await_held(FAKE_ANY, 0, 1);
            fake_release_all();
        }
        assert_int_equal(mly_request_wait(request, NULL), MLY_OK);
        const struct mly_tensor *output = mly_request_outputs(request, NULL);
        assert_true(mly_shape_equal(&output->shape, &input.shape));
        expect_parts(&input, output, counts[i], 2);
        mly_request_release(request);
    }
    struct mly_engine_stats stats;
    mly_engine_get_stats(rig.engine, &stats);
    assert_int_equal(stats.processors[0].tasks, 4);
    assert_int_equal(stats.processors[1].tasks, 5);
    rig_close(&rig);
}

static void parts_write_into_the_clients_memory(void **state)
{
    (void)state;
    static const uint32_t shares[] = {1, 1};
    static const int64_t counts[] = {2, 2};
    int64_t memory[4 * FAKE_WIDTH], result[4 * FAKE_WIDTH];
    struct mly_tensor input, output;
    struct mly_error err = {0};
    shares_wanted = shares;
    rig_open(&rig, create_split, &fake_ops, NULL, "0", "1", 2, replicas, 1);
    fake_fill(&input, memory, 4, 7, 0);
    fake_fill(&output, result, 4, 0, 0);
    output.shape.dims[0] = MLY_DIM_UNKNOWN;
    assert_int_equal(mly_engine_infer(rig.engine, &input, 1, &output, 1, &err), MLY_OK);
    assert_ptr_equal(output.data, result);
    assert_true(mly_shape_equal(&output.shape, &input.shape));
    expect_parts(&input, &output, counts, 2);
    output.size_bytes -= FAKE_WIDTH * sizeof(int64_t);
    output.shape.dims[0] = MLY_DIM_UNKNOWN;
    assert_int_equal(mly_engine_infer(rig.engine, &input, 1, &output, 1, &err), MLY_E_MISMATCH);
    rig_close(&rig);
}

static void a_part_that_fails_is_computed_elsewhere(void **state)
{
    (void)state;
    static const uint32_t shares[] = {1, 1};
    static const int64_t counts[] = {2, 2};
    int64_t memory[4 * FAKE_WIDTH];
    struct mly_tensor input, output = {0};
    shares_wanted = shares;
    rig_open(&rig, create_split, &fake_ops, NULL, "0", "1", 2, replicas, 1);
    fake_break(1, MLY_E_BACKEND);
    for (int i = 0; i < 10; i++) { /* set aside before the end */
        fake_fill(&input, memory, 4, 7 + i, 0);
        assert_int_equal(mly_engine_infer(rig.engine, &input, 1, &output, 1, NULL), MLY_OK);
        expect_parts(&input, &output, counts, 2);
        mly_tensor_fini(&output);
    }
    /* And where nobody can, the request fails once, and the other part is stopped. */
    fake_break(0, MLY_E_BACKEND);
    assert_int_equal(mly_engine_infer(rig.engine, &input, 1, &output, 1, NULL), MLY_E_BACKEND);
    rig_close(&rig);
}

/* Computes, unless it has to provide the memory: then says that there is no result. */
static enum mly_status run_absent(mly_session *session, const struct mly_tensor *inputs,
                                  struct mly_tensor *outputs, struct mly_error *err)
{
    if (outputs[0].data)
        return fake_ops.run(session, inputs, outputs, err);
    outputs[0] = (struct mly_tensor){.dtype = MLY_DTYPE_I64, .shape = inputs[0].shape};
    return MLY_OK;
}

static enum mly_status create_modelled(struct mly_flow *flow,
                                       const struct mly_engine_options *options, mly_engine **out,
                                       struct mly_error *err)
{
    static struct mly_backend_ops absent_ops;
    absent_ops = fake_ops;
    absent_ops.run = run_absent;
    flow->processors[1].ops = &absent_ops;
    flow->processors[1].device.modelled = true;
    flow->processors[1].session.results = options->results;
    return create_split(flow, options, out, err);
}

/* Zeros are not shown as results: with a part the whole batch's are absent. */
static void a_part_without_results_leaves_the_whole_without(void **state)
{
    (void)state;
    static const uint32_t shares[] = {1, 1};
    static const int64_t counts[] = {2, 2};
    int64_t memory[4 * FAKE_WIDTH];
    struct mly_tensor input;
    shares_wanted = shares;
    for (int always = 0; always < 2; always++) {
        struct mly_engine_options options = {.results = always ? MLY_RESULTS_ALWAYS
                                                               : MLY_RESULTS_WHEN_FAST};
        mly_request *request = NULL;
        rig_open(&rig, create_modelled, &fake_ops, &options, "0", "1", 2, replicas, 1);
        fake_fill(&input, memory, 4, 7, 0);
        assert_int_equal(
            mly_engine_submit(rig.engine, &input, 1, NULL, true, NULL, NULL, &request, NULL),
            MLY_OK);
        assert_int_equal(mly_request_wait(request, NULL), MLY_OK);
        const struct mly_tensor *output = mly_request_outputs(request, NULL);
        assert_true(mly_shape_equal(&output->shape, &input.shape));
        assert_int_equal(mly_tensor_is_absent(output), !always);
        if (always)
            expect_parts(&input, output, counts, 2);
        mly_request_release(request);
        rig_close(&rig);
    }
}

static void parts_are_cancelled_together(void **state)
{
    (void)state;
    static const uint32_t shares[] = {1, 1};
    int64_t memory[4 * FAKE_WIDTH];
    struct mly_tensor input;
    mly_request *request = NULL;
    shares_wanted = shares;
    rig_open(&rig, create_split, &fake_ops, NULL, "0", "1", 2, replicas, 1);
    fake_hold(FAKE_ANY, FAKE_ANY, FAKE_ANY);
    fake_fill(&input, memory, 4, 7, 0);
    assert_int_equal(
        mly_engine_submit(rig.engine, &input, 1, NULL, true, NULL, NULL, &request, NULL), MLY_OK);
    fake_await_held(FAKE_ANY, 0, 0);
    fake_await_held(FAKE_ANY, 0, 1);
    mly_request_cancel(request);
    assert_int_equal(mly_request_wait(request, NULL), MLY_E_CANCELLED);
    mly_request_release(request);
    /* Memory that is short fails the submission, and nothing else. */
    fake_release_all();
    struct mly_error err = {0};
    mly_alloc_fail_once(1);
    assert_int_equal(
        mly_engine_submit(rig.engine, &input, 1, NULL, true, NULL, NULL, &request, &err),
        MLY_E_NO_MEMORY);
    mly_alloc_fail_once(0);
    assert_int_equal(
        mly_engine_submit(rig.engine, &input, 1, NULL, true, NULL, NULL, &request, &err), MLY_OK);
    assert_int_equal(mly_request_wait(request, NULL), MLY_OK);
    mly_request_release(request);
    rig_close(&rig);
}

/* --- families of plans --- */

/* The same model on one processor, and on two; from the first arrivals on the second is better. */
static enum mly_status create_family(struct mly_flow *flow,
                                     const struct mly_engine_options *options, mly_engine **out,
                                     struct mly_error *err)
{
    static const double max_rates[] = {1e-6, 1e9}, memory_bytes[] = {0, 0};
    const struct mly__family family = {.max_rates = max_rates, .memory_bytes = memory_bytes};
    struct mly_flow flows[2] = {*flow};
    *flow = (struct mly_flow){0};
    enum mly_status status = fake_flow_init(&fake_ops, "0", "1", 2, replicas, 1, &flows[1], err);
    if (status != MLY_OK) {
        mly_flow_fini(&flows[0]);
        return status;
    }
    status = mly__engine_create_flows(flows, 2, &family, options, MLY_SCHEDULE_EARLIEST, out, err);
    if (status == MLY_OK)
        mly__variants_await(*out);
    return status;
}

static void changing_plans_loses_and_reorders_nothing(void **state)
{
    (void)state;
    struct mly_engine_options options = {.ordered = true, .queue_capacity = 64};
    struct mly_engine_stats stats;
    rig_open(&rig, create_family, &fake_ops, &options, "0", "1", 2, whole, 1);
    mly_engine_get_stats(rig.engine, &stats);
    assert_int_equal(stats.plan_count, 2);
    assert_int_equal(stats.plan, 0);
    fake_hold(1, FAKE_ANY, FAKE_ANY); /* under way by the first plan when the second begins */
    int64_t sent = 0;
    do {
        rig_send(&rig, &batches[sent], sent + 1);
        sent++;
        if (sent == 3)
            fake_release_all();
        if (sent == 200) { /* a fast box: all at once, before there is a rate */
            rig_await_done(&rig, (uint32_t)sent);
            for (int64_t i = 0; i < sent; i++) {
                assert_int_equal(rig.order[i], i + 1);
                mly_request_release(batches[i].request);
            }
            fake_reset(); /* its log has an end */
            rig.done_count = 0;
            sent = 0;
        }
        mly_engine_get_stats(rig.engine, &stats);
    } while (stats.plan == 0);
    fake_release_all();
    for (int i = 0; i < 20; i++, sent++)
        rig_send(&rig, &batches[sent], sent + 1);
    expect_right(batches, (int)sent);
    for (int64_t i = 0; i < sent; i++)
        assert_int_equal(rig.order[i], i + 1);
    mly_engine_get_stats(rig.engine, &stats);
    assert_int_equal(stats.plan_changes, 1);
    assert_true(stats.arrivals_per_s > 0);
    assert_int_equal(stats.completed, stats.submitted);
    rig_close(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(higher_priority_goes_first),
        cmocka_unit_test(a_late_request_is_dropped_although_nothing_happens),
        cmocka_unit_test(a_late_request_begins_no_further_segment),
        cmocka_unit_test(a_late_request_may_run_last_instead),
        cmocka_unit_test(wrong_submissions_are_refused),
        cmocka_unit_test(engines_share_their_processors),
        cmocka_unit_test(a_flooded_engine_leaves_the_other_its_share),
        cmocka_unit_test(an_engine_comes_and_goes_while_another_runs),
        cmocka_unit_test(the_first_engine_may_go_before_the_others),
        cmocka_unit_test(every_failing_allocation_fails_joining_only),
        cmocka_unit_test(parts_of_a_batch_run_at_once_and_meet),
        cmocka_unit_test(parts_write_into_the_clients_memory),
        cmocka_unit_test(a_part_that_fails_is_computed_elsewhere),
        cmocka_unit_test(a_part_without_results_leaves_the_whole_without),
        cmocka_unit_test(parts_are_cancelled_together),
        cmocka_unit_test(changing_plans_loses_and_reorders_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

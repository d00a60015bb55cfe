/*
 * The part of the executors' contract that concerns the virtual one, which has no clients and
 * computes nothing: on the same plans every segment of every request runs once, where it may, after
 * what it needs, one at a time on a processor; a full queue refuses; it stops when told, and leaves
 * nothing behind.
 */
#include "support/expect.h"
#include "support/fake_backend.h"

#include "runtime/virtual.h"

enum { REQUESTS = 200, SEGMENTS_MAX = 4, PROCESSORS_MAX = 3 };

static struct mly_error err;

static const char *const whole[] = {"0>1@0"};
static const char *const two_replicas[] = {"0>1@0 1"};
static const char *const chain[] = {"0>1@0", "1>2@1", "2>3@2"};
static const char *const diamond[] = {"0>1 2@0", "1>3@1", "2>4@2", "3 4>5@0"};
static const char *const tangled[] = {"0 1>2 3@0 1", "2 0>4@1 2", "3 4 2>5 6@0 2", "6 1 4>7@0 1 2"};

static const struct shape {
    const char *inputs, *outputs;
    const char *const *segments;
    uint32_t count, processors;
} shapes[] = {
    {"0", "1", whole, 1, 1},   {"0", "1", two_replicas, 1, 2},  {"0", "3", chain, 3, 3},
    {"0", "5", diamond, 4, 3}, {"0 1", "7 5 2", tangled, 4, 3},
};

static const char *const arrivals[] = {"closed:4", "constant:300", "poisson:300", "closed:1"};

/* What was run. */
struct log {
    const struct mly_flow *flow;
    uint32_t times[REQUESTS][SEGMENTS_MAX];
    int64_t end_ns[REQUESTS][SEGMENTS_MAX];
    int64_t busy_until_ns[PROCESSORS_MAX];
    uint64_t tasks;
};

static bool may_run(const struct mly_flow_segment *segment, uint32_t processor)
{
    for (uint32_t i = 0; i < segment->processor_count; i++) {
        if (segment->processors[i] == processor)
            return true;
    }
    return false;
}

static void note(void *user, const struct mly_virtual_task *task)
{
    struct log *log = user;
    const struct mly_flow_segment *segment = &log->flow->segments[task->segment];
    assert_true(task->request < REQUESTS);
    assert_true(may_run(segment, task->processor));
    assert_true(task->ready_ns <= task->begin_ns && task->begin_ns < task->end_ns);
    assert_true(task->begin_ns >= log->busy_until_ns[task->processor]);
    for (uint32_t i = 0; i < segment->input_count; i++) {
        uint32_t producer = log->flow->slots[segment->inputs[i]].producer;
        if (producer == MLY_NO_INDEX)
            continue;
        assert_int_equal(log->times[task->request][producer], 1);
        assert_true(task->ready_ns >= log->end_ns[task->request][producer]);
    }
    log->busy_until_ns[task->processor] = task->end_ns;
    log->end_ns[task->request][task->segment] = task->end_ns;
    log->times[task->request][task->segment]++;
    log->tasks++;
}

/* Unlike processors: the n-th takes n + 1 ms. */
static void run(const struct shape *shape, const char *arriving, enum mly_schedule_policy policy,
                bool ordered, struct log *log)
{
    struct mly_flow flow;
    struct mly_arrivals process;
    struct mly_virtual_cost costs[SEGMENTS_MAX * PROCESSORS_MAX] = {0};
    struct mly_virtual_result result;
    expect_ok(fake_flow_init(&fake_ops, shape->inputs, shape->outputs, shape->processors,
                             shape->segments, shape->count, &flow, &err),
              err);
    expect_ok(mly_arrivals_parse(arriving, &process, &err), err);
    for (uint32_t i = 0; i < shape->count * shape->processors; i++)
        costs[i] = (struct mly_virtual_cost){.known = true,
                                             .spread = MLY_VIRTUAL_EXPONENTIAL,
                                             .median_ns = 1e6 * (1 + i % shape->processors)};
    *log = (struct log){.flow = &flow};
    struct mly_virtual_options options = {.flow = &flow,
                                          .costs = costs,
                                          .policy = policy,
                                          .ordered = ordered,
                                          .arrivals = &process,
                                          .seed = 7,
                                          .count = REQUESTS,
                                          .task = note,
                                          .user = log};
    expect_ok(mly_virtual_run(&options, &result, &err), err);
    assert_int_equal(result.completed, REQUESTS);
    assert_int_equal(result.rejected, 0);
    mly_virtual_result_fini(&result);
    mly_arrivals_fini(&process);
    mly_flow_fini(&flow);
}

static void every_segment_of_every_request_runs_once_where_and_when_it_may(void **state)
{
    (void)state;
    static struct log log;
    for (size_t s = 0; s < sizeof shapes / sizeof *shapes; s++) {
        for (size_t a = 0; a < sizeof arrivals / sizeof *arrivals; a++) {
            for (int policy = 0; policy < MLY_SCHEDULE_POLICY_COUNT; policy++) {
                for (int ordered = 0; ordered < 2; ordered++) {
                    run(&shapes[s], arrivals[a], (enum mly_schedule_policy)policy, ordered, &log);
                    assert_int_equal(log.tasks, (uint64_t)REQUESTS * shapes[s].count);
                }
            }
        }
    }
}

/* --- who gets what waits: as the native executor's contract has it --- */

struct begun {
    uint64_t by[2][REQUESTS]; /* requests in the order in which each processor began them */
    uint32_t count[2];
    uint64_t all[REQUESTS], all_count;
};

static void note_begun(void *user, const struct mly_virtual_task *task)
{
    struct begun *begun = user;
    begun->by[task->processor][begun->count[task->processor]++] = task->request;
    begun->all[begun->all_count++] = task->request;
}

/* Eight requests at once; the first one takes processor 0 for longer than all others together. */
static void replicas_share_in_order(void **state)
{
    (void)state;
    static struct begun begun;
    static const enum mly_schedule_policy policies[] = {MLY_SCHEDULE_EAGER, MLY_SCHEDULE_EARLIEST,
                                                        MLY_SCHEDULE_PINNED};
    for (size_t i = 0; i < sizeof policies / sizeof *policies; i++) {
        const bool turns = policies[i] == MLY_SCHEDULE_PINNED;
        struct mly_flow flow;
        struct mly_arrivals process;
        struct mly_virtual_result result;
        struct mly_virtual_cost costs[2];
        expect_ok(fake_flow_init(&fake_ops, "0", "1", 2, two_replicas, 1, &flow, &err), err);
        expect_ok(mly_arrivals_parse("closed:8", &process, &err), err);
        for (int p = 0; p < 2; p++)
            costs[p] = (struct mly_virtual_cost){
                .known = true, .median_ns = 1e6, .first_ns = p == 0 ? 1e8 : 0};
        begun = (struct begun){.all_count = 0};
        struct mly_virtual_options options = {.flow = &flow,
                                              .costs = costs,
                                              .policy = policies[i],
                                              .ordered = true,
                                              .arrivals = &process,
                                              .count = 8,
                                              .task = note_begun,
                                              .user = &begun};
        expect_ok(mly_virtual_run(&options, &result, &err), err);
        assert_int_equal(result.completed, 8);
        /* The other replica takes all the rest, oldest first, or has its own share: 1, 3, 5, 7. */
        assert_int_equal(begun.by[0][0], 0);
        assert_int_equal(begun.count[1], turns ? 4 : 7);
        for (uint32_t k = 0; k < begun.count[1]; k++)
            assert_int_equal(begun.by[1][k], turns ? 2 * k + 1 : k + 1);
        assert_int_equal(begun.all[0], 1); /* done first, although it came second */
        mly_virtual_result_fini(&result);
        mly_arrivals_fini(&process);
        mly_flow_fini(&flow);
    }
}

static bool count_down(void *user, double fraction)
{
    (void)fraction;
    return --*(int *)user > 0;
}

static void it_refuses_when_full_and_stops_when_told(void **state)
{
    (void)state;
    struct mly_flow flow;
    struct mly_arrivals process;
    struct mly_virtual_result result;
    struct mly_virtual_cost cost = {.known = true, .median_ns = 1e6};
    int calls = 2;
    expect_ok(fake_flow_init(&fake_ops, "0", "1", 1, whole, 1, &flow, &err), err);
    expect_ok(mly_arrivals_parse("constant:4000", &process, &err), err);
    struct mly_virtual_options options = {
        .flow = &flow, .costs = &cost, .queue_capacity = 3, .arrivals = &process, .count = 4000};
    expect_ok(mly_virtual_run(&options, &result, &err), err);
    assert_true(result.rejected > 2000);
    assert_int_equal(result.arrived, result.rejected + result.completed);
    assert_int_equal(result.most_waiting, 3);
    mly_virtual_result_fini(&result);
    options.count = 100000000;
    options.progress = count_down;
    options.user = &calls;
    expect_error(mly_virtual_run(&options, &result, &err), MLY_E_CANCELLED, err, "");
    mly_arrivals_fini(&process);
    mly_flow_fini(&flow);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_segment_of_every_request_runs_once_where_and_when_it_may),
        cmocka_unit_test(replicas_share_in_order),
        cmocka_unit_test(it_refuses_when_full_and_stops_when_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/*
 * Families on the virtual clock: the rate of arrivals moves requests from way to way and back, none is lost or
 * overtakes another, the same seed gives the same run, memory does not grow; and what a timeline has of
 * a virtual run.
 */
#include "support/expect.h"
#include "support/fake_backend.h"

#include <math.h>

#include "base/alloc.h"
#include "base/json.h"
#include "runtime/virtual.h"

enum { WAYS = 3, PROCESSORS = 2 };
#define MS 1e6

static struct mly_error err;

/* On the first processor, in two stages, and on both. */
static const char *const first[] = {"0>1@0"};
static const char *const stages[] = {"0>2@0", "2>1@1"};
static const char *const both[] = {"0>1@0 1"};

struct sim {
    struct mly_flow flows[WAYS];
    struct mly_virtual_cost costs[WAYS][2 * PROCESSORS];
    struct mly_virtual_way ways[WAYS];
    struct mly_arrivals arrivals;
    struct mly_virtual_options options;
    struct mly_virtual_result result;
};

static struct sim sim;

/* 10 ms by the first way, so 100 requests per second; 200 by the others; they are said to take less. */
static void open_sim(const char *arrivals)
{
    static const char *const *const segments[WAYS] = {first, stages, both};
    static const uint32_t counts[WAYS] = {1, 2, 1};
    static const double max_rates[WAYS] = {60, 120, 200};
    memset(&sim, 0, sizeof sim);
    expect_ok(mly_arrivals_parse(arrivals, &sim.arrivals, &err), err);
    for (int w = 0; w < WAYS; w++) {
        expect_ok(fake_flow_init(&fake_ops, "0", "1", PROCESSORS, segments[w], counts[w],
                                 &sim.flows[w], &err),
                  err);
        for (int i = 0; i < 2 * PROCESSORS; i++)
            sim.costs[w][i] = (struct mly_virtual_cost){.known = true,
                                                        .modelled = true,
                                                        .median_ns = (w == 1 ? 5 : 10) * MS,
                                                        .input_ns = 1 * MS,
                                                        .output_ns = 0.5 * MS,
                                                        .input_bytes = 4000,
                                                        .output_bytes = 40};
        sim.ways[w] = (struct mly_virtual_way){&sim.flows[w], sim.costs[w], max_rates[w]};
    }
    sim.options = (struct mly_virtual_options){
        .ways = sim.ways, .way_count = WAYS, .ordered = true, .arrivals = &sim.arrivals, .seed = 1};
}

static const struct mly_virtual_result *run(void)
{
    mly_virtual_result_fini(&sim.result);
    expect_ok(mly_virtual_run(&sim.options, &sim.result, &err), err);
    const struct mly_virtual_result *r = &sim.result;
    assert_int_equal(r->arrived, r->rejected + r->completed);
    return r;
}

static void close_sim(void)
{
    mly_virtual_result_fini(&sim.result);
    mly_arrivals_fini(&sim.arrivals);
    for (int w = 0; w < WAYS; w++)
        mly_flow_fini(&sim.flows[w]);
}

/* --- following the rate --- */

/* Every task once, by the way that its request began with. */
struct seen {
    uint64_t hash, tasks;
    uint32_t way[20000];  /* by request, plus 1 */
    uint32_t done[20000]; /* its tasks */
    uint64_t ups, downs;  /* of the way, from request to the next one */
};

static void note(void *user, const struct mly_virtual_task *task)
{
    struct seen *seen = user;
    assert_true(task->request < 20000);
    assert_true(seen->way[task->request] == 0 || seen->way[task->request] == task->way + 1);
    seen->way[task->request] = task->way + 1;
    seen->done[task->request]++;
    seen->tasks++;
    const uint64_t values[] = {task->request, task->way, task->processor, (uint64_t)task->begin_ns,
                               (uint64_t)task->end_ns};
    for (size_t i = 0; i < sizeof values / sizeof *values; i++)
        seen->hash = (seen->hash ^ values[i]) * UINT64_C(0x100000001b3);
}

static void look(struct seen *seen, uint64_t completed)
{
    for (uint64_t i = 0; i < completed; i++) {
        assert_int_equal(seen->done[i], sim.flows[seen->way[i] - 1].segment_count);
        if (i > 0) {
            seen->ups += seen->way[i] > seen->way[i - 1];
            seen->downs += seen->way[i] < seen->way[i - 1];
        }
    }
}

static void run_bursts(uint64_t seed, struct seen *seen)
{
    open_sim("bursty:20/10,180/5");
    *seen = (struct seen){0};
    sim.options.seed = seed;
    sim.options.duration_ns = 100000000000;
    sim.options.task = note;
    sim.options.user = seen;
    const struct mly_virtual_result *r = run();
    assert_int_equal(r->rejected, 0);
    look(seen, r->completed);
    assert_int_equal(r->way_count, WAYS);
    assert_int_equal(r->way_changes, seen->ups + seen->downs);
    uint64_t requests = 0, tasks = 0;
    double share = 0;
    for (int w = 0; w < WAYS; w++) {
        requests += r->ways[w].requests;
        share += r->ways[w].share;
        assert_true((r->ways[w].mean_latency_ns > 0) == (r->ways[w].requests > 0));
        assert_int_equal(r->ways[w].stage_count, sim.flows[w].segment_count);
        for (uint32_t s = 0; s < r->ways[w].stage_count; s++)
            tasks += r->stages[r->ways[w].first_stage + s].tasks;
    }
    assert_true(fabs(share - 1) < 1e-9);
    assert_int_equal(requests, r->completed);
    assert_true(tasks <= seen->tasks &&
                tasks + 20 > seen->tasks); /* the last end after the window */
    assert_true(r->ways[0].share > 0.2 && r->ways[2].share > 0.05);
    close_sim();
}

static void bursts_move_requests_up_and_down(void **state)
{
    (void)state;
    static struct seen seen;
    for (uint64_t seed = 1; seed <= 5; seed++) {
        run_bursts(seed, &seen);
        assert_true(seen.ups >= 2 && seen.downs >= 1);
    }
}

static void a_seed_gives_the_same_run(void **state)
{
    (void)state;
    static struct seen a, b, c;
    run_bursts(3, &a);
    run_bursts(3, &b);
    run_bursts(4, &c);
    assert_true(a.hash == b.hash && a.tasks == b.tasks);
    assert_true(a.hash != c.hash);
}

static void a_steady_rate_has_its_way(void **state)
{
    (void)state;
    static const char *const rates[] = {"constant:30", "constant:100", "constant:180"};
    for (int i = 0; i < WAYS; i++) {
        open_sim(rates[i]);
        sim.options.warm_up_ns = 5000000000;
        sim.options.duration_ns = 60000000000;
        const struct mly_virtual_result *r = run();
        assert_true(r->ways[i].share == 1);
        assert_true(r->way_changes <= 2);
        close_sim();
    }
}

/* Samples count, not requests: 8 times 20 of them are what the last way is for. */
static void rates_are_of_samples(void **state)
{
    (void)state;
    open_sim("constant:20");
    sim.options.batch = 8;
    sim.options.warm_up_ns = 5000000000;
    sim.options.duration_ns = 20000000000;
    assert_true(run()->ways[2].share == 1);
    close_sim();
}

static void a_full_queue_goes_up(void **state)
{
    (void)state;
    open_sim("closed:4"); /* which has no rate but what is done */
    for (int w = 0; w < WAYS; w++)
        sim.ways[w].max_rate_per_s = 1e6 * (w + 1);
    sim.options.queue_capacity = 4;
    sim.options.duration_ns = 5000000000;
    assert_int_equal(run()->way_changes, 0);
    close_sim();
    open_sim("constant:1000");
    for (int w = 0; w < WAYS; w++)
        sim.ways[w].max_rate_per_s = 1e6 * (w + 1);
    sim.options.queue_capacity = 4;
    sim.options.duration_ns = 1500000000; /* nothing goes back down so soon */
    const struct mly_virtual_result *r = run();
    assert_true(r->rejected > 0 && r->ways[2].share > 0.7);
    close_sim();
}

static uint64_t allocations_of(uint64_t count)
{
    open_sim("bursty:20/10,180/5");
    sim.options.count = count;
    uint64_t before = mly_alloc_count();
    run();
    uint64_t allocations = mly_alloc_count() - before;
    close_sim();
    return allocations;
}

static void memory_does_not_grow_with_requests(void **state)
{
    (void)state;
    assert_int_equal(allocations_of(10000), allocations_of(500000));
}

static void what_cannot_be_is_refused_and_memory_may_fail(void **state)
{
    (void)state;
    enum mly_status status = MLY_E_NO_MEMORY;
    uint64_t n = 0;
    open_sim("closed:4");
    sim.options.count = 100;
    sim.options.queue_capacity = 8;
    sim.costs[2][1].known = false;
    expect_error(mly_virtual_run(&sim.options, &sim.result, &err), MLY_E_INVALID, err, "not known");
    sim.costs[2][1].known = true;
    mly_flow_fini(&sim.flows[1]);
    expect_ok(fake_flow_init(&fake_ops, "0", "1", 1, first, 1, &sim.flows[1], &err), err);
    expect_error(mly_virtual_run(&sim.options, &sim.result, &err), MLY_E_INVALID, err,
                 "same processors");
    mly_flow_fini(&sim.flows[1]);
    expect_ok(fake_flow_init(&fake_ops, "0", "1", 2, both, 1, &sim.flows[1], &err), err);
    for (; status == MLY_E_NO_MEMORY; n++) {
        mly_timeline *timeline = NULL;
        expect_ok(mly_timeline_create(NULL, &timeline, &err), err);
        sim.options.timeline = timeline;
        mly_alloc_fail_once(n + 1);
        status = mly_virtual_run(&sim.options, &sim.result, &err);
        mly_alloc_fail_once(0);
        assert_true(status == MLY_OK || strstr(err.message, "memory"));
        mly_timeline_destroy(timeline);
    }
    expect_ok(status, err);
    assert_true(n > 40);
    close_sim();
}

/* --- timelines --- */

static double number_of(struct mly_json object, const char *key)
{
    double number = -1;
    if (mly_json_number(object, key, -1e18, 1e18, &number, NULL) != MLY_OK)
        return -1;
    return number;
}

static bool has_text(struct mly_json object, const char *key, const char *text)
{
    const char *value = "";
    return mly_json_string(object, key, &value, NULL) == MLY_OK && strcmp(value, text) == 0;
}

struct counts {
    uint32_t tasks, copies_in, copies_out, begun, ended, marks;
    double bytes, copy_us;
};

static struct counts count_events(mly_timeline *timeline)
{
    char *folder = scratch_create();
    const char *path = scratch_path(folder, "t.json");
    struct counts counts = {0};
    mly_json_doc *doc = NULL;
    expect_ok(mly_timeline_save(timeline, path, &err), err);
    expect_ok(mly_json_load(path, (size_t)1 << 30, &doc, &err), err);
    assert_true(has_text(mly_json_member_opt(mly_json_root(doc), "otherData"), "clock", "virtual"));
    struct mly_json events = mly_json_member_opt(mly_json_root(doc), "traceEvents");
    for (size_t i = 0; i < mly_json_length(events); i++) {
        struct mly_json e = mly_json_element(events, i), args = mly_json_member_opt(e, "args");
        counts.tasks += has_text(e, "cat", "task");
        counts.begun += has_text(e, "cat", "request") && has_text(e, "ph", "b");
        counts.ended += has_text(e, "cat", "request") && has_text(e, "ph", "e");
        counts.marks += has_text(e, "cat", "mark");
        if (!has_text(e, "cat", "copy"))
            continue;
        counts.copies_in += has_text(args, "direction", "in");
        counts.copies_out += has_text(args, "direction", "out");
        counts.bytes += number_of(args, "bytes");
        counts.copy_us += number_of(e, "dur");
    }
    mly_json_destroy(doc);
    scratch_remove(folder);
    return counts;
}

static void timelines_have_tasks_copies_requests_and_changes(void **state)
{
    (void)state;
    mly_timeline *timeline = NULL;
    expect_ok(mly_timeline_create(NULL, &timeline, &err), err);
    open_sim("bursty:20/10,180/5");
    static struct seen seen;
    seen = (struct seen){0};
    sim.options.timeline = timeline;
    sim.options.duration_ns = 40000000000;
    sim.options.task = note;
    sim.options.user = &seen;
    const struct mly_virtual_result *r = run();
    struct counts counts = count_events(timeline);
    assert_int_equal(counts.begun, r->completed);
    assert_int_equal(counts.ended, r->completed);
    assert_int_equal(counts.tasks, seen.tasks);
    assert_int_equal(counts.copies_in, seen.tasks);
    assert_int_equal(counts.copies_out, seen.tasks);
    assert_int_equal(counts.marks, r->way_changes);
    assert_true(r->way_changes > 0);
    assert_true(counts.bytes == 4040.0 * (double)seen.tasks);
    assert_true(fabs(counts.copy_us / (1500.0 * (double)seen.tasks) - 1) < 1e-9);
    mly_timeline_destroy(timeline);
    close_sim();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bursts_move_requests_up_and_down),
        cmocka_unit_test(a_seed_gives_the_same_run),
        cmocka_unit_test(a_steady_rate_has_its_way),
        cmocka_unit_test(rates_are_of_samples),
        cmocka_unit_test(a_full_queue_goes_up),
        cmocka_unit_test(memory_does_not_grow_with_requests),
        cmocka_unit_test(what_cannot_be_is_refused_and_memory_may_fail),
        cmocka_unit_test(timelines_have_tasks_copies_requests_and_changes),
    };
    return cmocka_run_group_tests_name("families on the virtual clock", tests, NULL, NULL);
}

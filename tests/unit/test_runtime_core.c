/*
 * The core driven by one thread on a virtual clock, as a virtual executor will: random plans,
 * durations, failures and cancellations. And the request pool.
 */
#include "support/fake_backend.h"
#include "support/test.h"

#include <string.h>

#include "base/alloc.h"
#include "base/random.h"
#include "model/graph.h"
#include "runtime/core.h"

enum { SEGMENTS = 6, PROCESSORS = 4, REQUESTS = 120 };

/* A simulated executor. */
struct world {
    struct mly_flow flow;
    struct mly__core core;
    struct mly_random random;
    int64_t now_ns;
    struct mly__task *running[PROCESSORS];
    int64_t ends_ns[PROCESSORS];
    mly_request *requests[REQUESTS];
    uint32_t begun[REQUESTS][SEGMENTS];
    bool over[REQUESTS][SEGMENTS];
    enum mly_status statuses[REQUESTS];
    uint32_t submitted, delivered, most_waiting;
    uint64_t last_delivered, history; /* history: hash of all decisions */
    uint32_t failure_percent, cancel_percent;
};

static int live; /* tensors made by simulated segments */

static void release_tensor(void *owner)
{
    (void)owner;
    live--;
}

static const struct mly_tensor made = {.release = release_tensor, .dtype = MLY_DTYPE_I64};

/*
 * A random convex plan: each segment reads one to three tensors made before and makes one or two.
 */
static void make_flow(struct world *w)
{
    char texts[SEGMENTS][64];
    const char *segments[SEGMENTS];
    uint32_t tensors = 1;
    char outputs[64];
    for (uint32_t s = 0; s < SEGMENTS; s++) {
        int n = 0;
        uint32_t first = (uint32_t)mly_random_below(&w->random, tensors);
        for (uint32_t i = 0; i < 3 && first + i < tensors; i++)
            n += snprintf(texts[s] + n, 16, "%u ", first + i);
        n += snprintf(texts[s] + n, 16, ">%u", tensors++);
        if (mly_random_below(&w->random, 2))
            n += snprintf(texts[s] + n, 16, " %u", tensors++);
        n += snprintf(texts[s] + n, 16, "@");
        uint32_t p = (uint32_t)mly_random_below(&w->random, PROCESSORS);
        for (uint32_t i = 0; i <= mly_random_below(&w->random, 3) && p + i < PROCESSORS; i++)
            n += snprintf(texts[s] + n, 16, "%u ", p + i);
        segments[s] = texts[s];
    }
    snprintf(outputs, sizeof outputs, "%u 1", tensors - 1);
    assert_int_equal(
        fake_flow_init(&fake_ops, "0", outputs, PROCESSORS, segments, SEGMENTS, &w->flow, NULL),
        MLY_OK);
}

static void note(struct world *w, uint64_t value)
{
    w->history = (w->history ^ value) * UINT64_C(0x100000001b3);
}

static bool may_run(const struct world *w, uint32_t segment, uint32_t processor)
{
    const struct mly_flow_segment *s = &w->flow.segments[segment];
    for (uint32_t i = 0; i < s->processor_count; i++) {
        if (s->processors[i] == processor)
            return true;
    }
    return false;
}

/* A task that was failed once waits for a processor above suspicion, if there is one. */
static bool waits_for(const struct world *w, const struct mly__task *task, uint32_t processor)
{
    return task->state == MLY__TASK_WAITING && !task->schedule.avoid &&
           may_run(w, task->schedule.segment, processor);
}

/*
 * No processor idles while a task waits that it may run; none got a task while an older one
 * waited for it.
 */
static void check_work_is_conserved(const struct world *w)
{
    for (uint32_t p = 0; p < PROCESSORS; p++) {
        if (w->running[p] || mly_scheduler_is_aside(w->core.scheduler, p, NULL))
            continue;
        for (mly_request *r = w->core.first; r; r = r->next) {
            for (uint32_t s = 0; s < SEGMENTS; s++)
                assert_false(waits_for(w, &r->tasks[s], p));
        }
    }
}

static void check_inputs_exist(const struct world *w, const struct mly__task *task)
{
    const struct mly_flow_segment *segment = &w->flow.segments[task->schedule.segment];
    for (uint32_t i = 0; i < segment->input_count; i++) {
        uint32_t slot = segment->inputs[i], producer = w->flow.slots[slot].producer;
        if (producer == MLY_NO_INDEX)
            continue;
        assert_true(w->over[task->request->sequence][producer]);
        assert_ptr_equal(task->request->tensors[slot].release, release_tensor); /* not yet freed */
    }
}

static void dispatch(struct world *w)
{
    struct mly__task *task;
    while ((task = mly__core_next(&w->core))) {
        uint64_t sequence = task->request->sequence;
        uint32_t segment = task->schedule.segment, p = task->processor;
        assert_null(w->running[p]);
        assert_true(may_run(w, segment, p));
        for (mly_request *r = w->core.first; r && r != task->request; r = r->next) {
            for (uint32_t s = 0; s < SEGMENTS; s++)
                assert_false(waits_for(w, &r->tasks[s], p));
        }
        note(w, sequence * 1000 + segment * 10 + p);
        assert_true(mly__core_begin(task, w->now_ns));
        assert_int_equal(w->begun[sequence][segment]++, task->retried);
        check_inputs_exist(w, task);
        w->running[p] = task;
        w->ends_ns[p] = w->now_ns + 1 + (int64_t)mly_random_below(&w->random, 100);
    }
    check_work_is_conserved(w);
}

static void deliver(struct world *w)
{
    mly_request *request;
    while ((request = mly__core_take_finished(&w->core, w->now_ns))) {
        uint64_t sequence = request->sequence;
        if (w->core.ordered && w->delivered > 0)
            assert_int_equal(sequence, w->last_delivered + 1);
        w->last_delivered = sequence;
        w->delivered++;
        w->statuses[sequence] = request->status;
        for (uint32_t s = 0; s < SEGMENTS && request->status == MLY_OK; s++)
            assert_int_equal(w->begun[sequence][s], 1 + request->tasks[s].retried);
        int before = live, owned = 0;
        for (uint32_t i = 0; i < w->flow.slot_count; i++)
            owned += request->tensors[i].release != NULL;
        if (request->status == MLY_OK)
            assert_int_equal(owned, w->flow.output_count); /* all between are gone */
        mly__request_drop_tensors(&w->flow, request);
        assert_int_equal(live, before - owned);
        assert_true(request->queue_ns >= 0 && request->total_ns >= request->queue_ns);
        mly__core_delivered(&w->core, request);
        mly__request_give(&w->core.pool, request);
        w->requests[sequence] = NULL;
    }
}

static void complete(struct world *w, uint32_t p)
{
    struct mly__task *task = w->running[p];
    w->running[p] = NULL;
    uint64_t sequence = task->request->sequence;
    const struct mly_flow_segment *segment = &w->flow.segments[task->schedule.segment];
    struct mly_error why = {.message = "told to fail"};
    bool fails = mly_random_below(&w->random, 100) < w->failure_percent;
    for (uint32_t i = 0; i < segment->output_count && !fails; i++) {
        task->request->tensors[segment->outputs[i]] = made;
        live++;
    }
    w->over[sequence][task->schedule.segment] = true;
    struct mly_tensor garbage[16];
    uint32_t garbage_count = 0;
    mly__core_complete(&w->core, task, fails ? MLY_E_BACKEND : MLY_OK, &why, w->now_ns, garbage,
                       &garbage_count);
    assert_true(garbage_count <= w->flow.max_inputs + w->flow.max_outputs);
    for (uint32_t i = 0; i < garbage_count; i++)
        mly_tensor_fini(&garbage[i]);
    deliver(w);
    mly__core_release(&w->core, p, w->now_ns);
}

static void submit(struct world *w)
{
    mly_request *request = mly__request_take(&w->core.pool);
    assert_non_null(request);
    struct mly_tensor input = {.dtype = MLY_DTYPE_I64};
    w->requests[w->submitted++] = request;
    mly__core_submit(&w->core, request, &input, NULL, w->now_ns);
}

static void cancel_some(struct world *w)
{
    for (uint32_t i = 0; i < w->submitted; i++) {
        if (w->requests[i] && mly_random_below(&w->random, 1000) < w->cancel_percent)
            mly__core_cancel(&w->core, w->requests[i]);
    }
    deliver(w);
}

static void simulate(struct world *w, uint64_t seed, bool ordered, uint32_t failures,
                     uint32_t cancels, uint32_t close_after)
{
    memset(w, 0, sizeof *w);
    mly_random_init(&w->random, seed);
    w->failure_percent = failures;
    w->cancel_percent = cancels;
    make_flow(w);
    uint32_t capacity = 1 + (uint32_t)mly_random_below(&w->random, 8);
    assert_int_equal(
        mly__core_init(&w->core, &w->flow, NULL, MLY_SCHEDULE_EAGER, ordered, capacity, NULL),
        MLY_OK);
    uint64_t allocations = mly_alloc_count();
    while (w->delivered < w->submitted || w->submitted < REQUESTS) {
        while (w->submitted < REQUESTS && !w->core.closing && mly__core_has_room(&w->core)) {
            submit(w);
            dispatch(w);
        }
        if (mly__core_waiting(&w->core) > w->most_waiting)
            w->most_waiting = mly__core_waiting(&w->core);
        cancel_some(w);
        if (w->submitted >= close_after && !w->core.closing) {
            mly__core_close(&w->core);
            deliver(w);
        }
        dispatch(w);
        uint32_t next = PROCESSORS;
        for (uint32_t p = 0; p < PROCESSORS; p++) {
            if (w->running[p] && (next == PROCESSORS || w->ends_ns[p] < w->ends_ns[next]))
                next = p;
        }
        if (next == PROCESSORS) {
            assert_int_equal(w->delivered, w->submitted);
            if (w->core.closing)
                break;
            continue;
        }
        w->now_ns = w->ends_ns[next];
        complete(w, next);
    }
    assert_int_equal(mly_alloc_count(), allocations); /* the pool was enough */
    assert_true(w->most_waiting <= capacity + PROCESSORS);
    assert_int_equal(mly_scheduler_length(w->core.scheduler), 0);
    assert_int_equal(w->core.completed + w->core.failed + w->core.cancelled, w->submitted);
    assert_int_equal(w->core.occupied + w->core.on_processors, 0);
    assert_int_equal(live, 0);
    mly__core_fini(&w->core);
    mly_flow_fini(&w->flow);
}

static struct world world, other;

static void everything_runs_once_in_order_and_work_is_conserved(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 60; seed++) {
        simulate(&world, seed, seed % 2, 0, 0, UINT32_MAX);
        assert_int_equal(world.core.completed, REQUESTS);
        for (uint32_t i = 0; i < REQUESTS; i++)
            assert_int_equal(world.statuses[i], MLY_OK);
    }
}

static void failures_and_cancellations_lose_nothing(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 60; seed++)
        simulate(&world, seed, seed % 2, 5, 5, UINT32_MAX);
}

static void closing_ends_everything(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 60; seed++) {
        simulate(&world, seed, seed % 2, 2, 2, (uint32_t)seed);
        assert_true(world.submitted < REQUESTS);
    }
}

static void same_seed_same_schedule(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 10; seed++) {
        simulate(&world, seed, false, 3, 3, UINT32_MAX);
        simulate(&other, seed, false, 3, 3, UINT32_MAX);
        assert_int_equal(world.history, other.history);
        assert_int_equal(world.now_ns, other.now_ns);
    }
}

static void pool_reuses_and_grows(void **state)
{
    (void)state;
    static const char *const segments[] = {"0>1@0"};
    struct mly_flow flow;
    struct mly__request_pool pool;
    assert_int_equal(fake_flow_init(&fake_ops, "0", "1", 1, segments, 1, &flow, NULL), MLY_OK);
    assert_int_equal(mly__request_pool_init(&pool, &flow, NULL, 2, NULL), MLY_OK);
    uint64_t before = mly_alloc_count();
    mly_request *a = mly__request_take(&pool), *b = mly__request_take(&pool);
    assert_true(a && b && a != b);
    assert_int_equal(mly_alloc_count(), before);
    a->status = MLY_E_BACKEND;
    a->references = 1;
    mly__request_give(&pool, a);
    mly_request *c = mly__request_take(&pool);
    assert_ptr_equal(c, a);
    assert_int_equal(c->status, MLY_OK);
    assert_int_equal(c->state, MLY__REQUEST_ACTIVE);
    assert_int_equal(mly_alloc_count(), before);
    mly_alloc_fail_once(1);
    assert_null(mly__request_take(&pool));
    mly_alloc_fail_once(0);
    assert_non_null(mly__request_take(&pool));
    assert_int_equal(pool.count, 3);
    mly__request_pool_fini(&pool);
    mly_alloc_fail_once(2);
    assert_int_equal(mly__request_pool_init(&pool, &flow, NULL, 2, NULL), MLY_E_NO_MEMORY);
    mly_alloc_fail_once(0);
    mly__request_pool_fini(&pool);
    mly_flow_fini(&flow);
}

static void impossible_flows_are_refused(void **state)
{
    (void)state;
    static const struct {
        const char *inputs, *outputs, *segments[2], *words;
        enum mly_status status;
    } wrong[] = {
        {"0", "2", {"3>1@0", "1>2@0"}, "'s0' reads tensor '3'", MLY_E_INVALID},
        {"0", "2", {"0>2@0", "0>2@0"}, "'s0' and 's1' both make tensor '2'", MLY_E_INVALID},
        {"0", "2 5", {"0>1@0", "1>2@0"}, "output '5'", MLY_E_UNSUPPORTED},
        {"0", "0", {"0>1@0", "1>2@0"}, "output '0'", MLY_E_UNSUPPORTED},
    };
    struct mly_flow flow;
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        struct mly_error err = {0};
        assert_int_equal(fake_flow_init(&fake_ops, wrong[i].inputs, wrong[i].outputs, 1,
                                        wrong[i].segments, 2, &flow, &err),
                         wrong[i].status);
        if (!strstr(err.message, wrong[i].words))
            fail_msg("'%s' does not say '%s'", err.message, wrong[i].words);
    }
}

static void an_input_that_is_also_an_output_passes_through_its_segment(void **state)
{
    (void)state;
    static const char *const segments[] = {"0>0 1@0", "0 1>2@0"};
    struct mly_flow flow;
    assert_int_equal(fake_flow_init(&fake_ops, "0", "2 0", 1, segments, 2, &flow, NULL), MLY_OK);
    assert_int_equal(flow.slot_count, 4);
    assert_int_equal(flow.segments[0].outputs[0], 1); /* written to output 1 … */
    assert_int_equal(flow.segments[1].inputs[0], 2);  /* … read from the input */
    mly_flow_fini(&flow);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(everything_runs_once_in_order_and_work_is_conserved),
        cmocka_unit_test(failures_and_cancellations_lose_nothing),
        cmocka_unit_test(closing_ends_everything),
        cmocka_unit_test(same_seed_same_schedule),
        cmocka_unit_test(pool_reuses_and_grows),
        cmocka_unit_test(impossible_flows_are_refused),
        cmocka_unit_test(an_input_that_is_also_an_output_passes_through_its_segment),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

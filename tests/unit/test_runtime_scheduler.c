/* The scheduler's decisions, against an oracle that looks at every task and processor. */
#include "support/test.h"

#include <stdbool.h>
#include <string.h>

#include "base/alloc.h"
#include "base/random.h"
#include "model/graph.h"
#include "runtime/scheduler.h"

static const uint32_t p0[] = {0}, p1[] = {1}, p01[] = {0, 1}, p12[] = {1, 2}, p012[] = {0, 1, 2};

static mly_scheduler *make(enum mly_schedule_policy policy, uint32_t processors,
                           const struct mly_schedule_eligible *eligible, uint32_t segments)
{
    mly_scheduler *scheduler = NULL;
    assert_int_equal(mly_scheduler_create(policy, processors, eligible, segments, &scheduler, NULL),
                     MLY_OK);
    return scheduler;
}

static struct mly_schedule_task task(uint64_t order, uint32_t segment)
{
    return (struct mly_schedule_task){.order = order, .segment = segment, .home = MLY_NO_INDEX};
}

static void expect(mly_scheduler *scheduler, const struct mly_schedule_task *expected,
                   uint32_t on_processor)
{
    struct mly_schedule_task *decided = NULL;
    uint32_t processor = MLY_NO_INDEX;
    assert_int_equal(mly_scheduler_decide(scheduler, &decided, &processor), expected != NULL);
    assert_ptr_equal(decided, expected);
    if (expected)
        assert_int_equal(processor, on_processor);
}

static void oldest_request_first_and_its_last_segment_first(void **state)
{
    (void)state;
    const struct mly_schedule_eligible eligible[] = {{p0, 1}, {p0, 1}};
    mly_scheduler *s = make(MLY_SCHEDULE_EARLIEST, 1, eligible, 2);
    struct mly_schedule_task a = task(5, 0), b = task(3, 1), c = task(4, 0), d = task(4, 1);
    mly_scheduler_push(s, &a);
    mly_scheduler_push(s, &b);
    mly_scheduler_push(s, &c);
    mly_scheduler_push(s, &d);
    assert_int_equal(mly_scheduler_length(s), 4);
    const struct mly_schedule_task *const order[] = {&b, &d, &c, &a, NULL};
    for (int i = 0; i < 5; i++) {
        expect(s, order[i], 0);
        expect(s, NULL, 0); /* busy */
        mly_scheduler_release(s, 0, i);
    }
    mly_scheduler_destroy(s);
}

static void removed_tasks_are_gone(void **state)
{
    (void)state;
    const struct mly_schedule_eligible eligible[] = {{p0, 1}};
    mly_scheduler *s = make(MLY_SCHEDULE_EARLIEST, 1, eligible, 1);
    struct mly_schedule_task tasks[5];
    for (uint32_t i = 0; i < 5; i++) {
        tasks[i] = task(i, 0);
        mly_scheduler_push(s, &tasks[i]);
    }
    mly_scheduler_remove(s, &tasks[0]);
    mly_scheduler_remove(s, &tasks[2]);
    mly_scheduler_remove(s, &tasks[2]);
    mly_scheduler_remove(s, &tasks[4]);
    assert_int_equal(mly_scheduler_length(s), 2);
    expect(s, &tasks[1], 0);
    mly_scheduler_remove(s, &tasks[1]); /* decided on: not waiting any more */
    mly_scheduler_release(s, 0, 1);
    expect(s, &tasks[3], 0);
    mly_scheduler_release(s, 0, 2);
    mly_scheduler_push(s, &tasks[0]);
    expect(s, &tasks[0], 0);
    mly_scheduler_destroy(s);
}

static void cheapest_then_home_then_warmest_processor(void **state)
{
    (void)state;
    const struct mly_schedule_eligible eligible[] = {{p012, 3}};
    mly_scheduler *s = make(MLY_SCHEDULE_EARLIEST, 3, eligible, 1);
    struct mly_schedule_task a = task(1, 0);
    mly_scheduler_push(s, &a);
    expect(s, &a, 0); /* all alike: the first */
    mly_scheduler_release(s, 0, 10);
    a.home = 2;
    mly_scheduler_push(s, &a);
    expect(s, &a, 2);
    mly_scheduler_release(s, 2, 20);
    a.home = MLY_NO_INDEX;
    mly_scheduler_push(s, &a);
    expect(s, &a, 2); /* worked last */
    mly_scheduler_release(s, 2, 30);
    for (uint32_t p = 0; p < 3; p++)
        mly_scheduler_set_cost(s, 0, p, p == 1 ? 100 : 200);
    a.home = 2;
    mly_scheduler_push(s, &a);
    expect(s, &a, 1);
    mly_scheduler_destroy(s);
}

static void pinned_requests_take_turns(void **state)
{
    (void)state;
    const struct mly_schedule_eligible eligible[] = {{p01, 2}, {p12, 2}};
    mly_scheduler *s = make(MLY_SCHEDULE_PINNED, 3, eligible, 2);
    struct mly_schedule_task even = task(2, 0), odd = task(3, 0), later = task(4, 0),
                             next = task(5, 1);
    mly_scheduler_push(s, &later);
    mly_scheduler_push(s, &even);
    expect(s, &even, 0);
    expect(s, NULL, 0); /* `later` waits for 0, although 1 is idle */
    mly_scheduler_push(s, &odd);
    expect(s, &odd, 1);
    mly_scheduler_push(s, &next);
    expect(s, &next, 2);
    mly_scheduler_release(s, 0, 1);
    expect(s, &later, 0);
    mly_scheduler_destroy(s);
}

enum { SEGMENTS = 5, PROCESSORS = 4, TASKS = 400 };

struct world {
    enum mly_schedule_policy policy;
    uint32_t lists[SEGMENTS][PROCESSORS];
    struct mly_schedule_eligible eligible[SEGMENTS];
    struct mly_schedule_task tasks[TASKS];
    bool waiting[TASKS], busy[PROCESSORS];
};

static bool may_run(const struct world *w, const struct mly_schedule_task *t, uint32_t processor)
{
    const struct mly_schedule_eligible *e = &w->eligible[t->segment];
    if (w->policy == MLY_SCHEDULE_PINNED)
        return e->processors[t->order % e->count] == processor;
    for (uint32_t i = 0; i < e->count; i++) {
        if (e->processors[i] == processor)
            return true;
    }
    return false;
}

/* The best waiting task that some idle processor may run; NULL if there is none. */
static const struct mly_schedule_task *oracle(const struct world *w)
{
    const struct mly_schedule_task *best = NULL;
    for (uint32_t i = 0; i < TASKS; i++) {
        const struct mly_schedule_task *t = &w->tasks[i];
        bool runnable = false;
        for (uint32_t p = 0; p < PROCESSORS && w->waiting[i]; p++)
            runnable = runnable || (!w->busy[p] && may_run(w, t, p));
        if (runnable && (!best || t->order < best->order ||
                         (t->order == best->order && t->segment > best->segment)))
            best = t;
    }
    return best;
}

static void shuffle_eligible(struct world *w, struct mly_random *random)
{
    for (uint32_t s = 0; s < SEGMENTS; s++) {
        uint32_t n = 0;
        for (uint32_t p = 0; p < PROCESSORS; p++) {
            if (mly_random_below(random, 2))
                w->lists[s][n++] = p;
        }
        if (n == 0)
            w->lists[s][n++] = (uint32_t)mly_random_below(random, PROCESSORS);
        w->eligible[s] = (struct mly_schedule_eligible){w->lists[s], n};
    }
}

/* Random pushes, removals, releases; every decision is the oracle's. */
static void decides_as_the_oracle_does(void **state)
{
    (void)state;
    static struct world w;
    for (uint64_t seed = 1; seed <= 40; seed++) {
        struct mly_random random;
        mly_random_init(&random, seed);
        memset(&w, 0, sizeof w);
        w.policy = seed % 2 ? MLY_SCHEDULE_EARLIEST : MLY_SCHEDULE_PINNED;
        shuffle_eligible(&w, &random);
        mly_scheduler *s = make(w.policy, PROCESSORS, w.eligible, SEGMENTS);
        uint32_t pushed = 0, decided_count = 0, removed = 0;
        for (int64_t now = 0; decided_count + removed < TASKS; now++) {
            if (pushed < TASKS && mly_random_below(&random, 3)) {
                /* Request numbers arrive nearly in order, segments of one request apart. */
                w.tasks[pushed] =
                    task((pushed + mly_random_below(&random, 20)) / SEGMENTS, pushed % SEGMENTS);
                mly_scheduler_push(s, &w.tasks[pushed]);
                w.waiting[pushed++] = true;
            }
            uint32_t victim = (uint32_t)mly_random_below(&random, TASKS);
            if (w.waiting[victim] && mly_random_below(&random, 4) == 0) {
                mly_scheduler_remove(s, &w.tasks[victim]);
                w.waiting[victim] = false;
                removed++;
            }
            uint32_t p = (uint32_t)mly_random_below(&random, PROCESSORS);
            if (w.busy[p]) {
                mly_scheduler_release(s, p, now);
                w.busy[p] = false;
            }
            for (;;) {
                const struct mly_schedule_task *expected = oracle(&w);
                struct mly_schedule_task *decided = NULL;
                uint32_t processor = 0;
                assert_int_equal(mly_scheduler_decide(s, &decided, &processor), expected != NULL);
                if (!expected)
                    break;
                /* Requests may tie in order and segment here: any of the equal ones is right. */
                assert_int_equal(decided->order, expected->order);
                assert_int_equal(decided->segment, expected->segment);
                assert_true(w.waiting[decided - w.tasks] && !w.busy[processor]);
                assert_true(may_run(&w, decided, processor));
                w.waiting[decided - w.tasks] = false;
                w.busy[processor] = true;
                decided_count++;
            }
        }
        assert_int_equal(mly_scheduler_length(s), 0);
        mly_scheduler_destroy(s);
    }
}

static void wrong_plans_and_lack_of_memory_are_refused(void **state)
{
    (void)state;
    static const uint32_t twice[] = {1, 1};
    const struct mly_schedule_eligible none[] = {{p0, 1}, {p0, 0}}, beyond[] = {{p1, 1}},
                                       doubled[] = {{twice, 2}}, good[] = {{p01, 2}};
    mly_scheduler *s = NULL;
    struct mly_error err = {0};
    assert_int_equal(mly_scheduler_create(MLY_SCHEDULE_EARLIEST, 2, none, 2, &s, &err),
                     MLY_E_INVALID);
    assert_int_equal(mly_scheduler_create(MLY_SCHEDULE_EARLIEST, 1, beyond, 1, &s, &err),
                     MLY_E_INVALID);
    assert_int_equal(mly_scheduler_create(MLY_SCHEDULE_EARLIEST, 2, doubled, 1, &s, &err),
                     MLY_E_INVALID);
    assert_int_equal(mly_scheduler_create(MLY_SCHEDULE_EARLIEST, 2, good, 0, &s, &err),
                     MLY_E_INVALID);
    for (uint64_t n = 1; n <= 7; n++) {
        mly_alloc_fail_once(n);
        assert_int_equal(mly_scheduler_create(MLY_SCHEDULE_EARLIEST, 2, good, 1, &s, &err),
                         MLY_E_NO_MEMORY);
    }
    mly_alloc_fail_once(0);
    assert_null(s);
    mly_scheduler_destroy(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(oldest_request_first_and_its_last_segment_first),
        cmocka_unit_test(removed_tasks_are_gone),
        cmocka_unit_test(cheapest_then_home_then_warmest_processor),
        cmocka_unit_test(pinned_requests_take_turns),
        cmocka_unit_test(decides_as_the_oracle_does),
        cmocka_unit_test(wrong_plans_and_lack_of_memory_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

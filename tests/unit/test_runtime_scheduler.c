/* The scheduler's decisions, against an oracle that looks at every task and processor. */
#include "support/scheduler_rig.h"

#include <string.h>

#include "base/alloc.h"
#include "base/random.h"
#include "model/graph.h"

static void oldest_request_first_and_its_last_segment_first(void **state)
{
    (void)state;
    const struct mly_schedule_eligible eligible[] = {{schedule_p0, 1}, {schedule_p0, 1}};
    mly_scheduler *s = schedule_make(MLY_SCHEDULE_EARLIEST, 1, eligible, 2);
    struct mly_schedule_task a = schedule_task(5, 0), b = schedule_task(3, 1),
                             c = schedule_task(4, 0), d = schedule_task(4, 1);
    mly_scheduler_push(s, &a);
    mly_scheduler_push(s, &b);
    mly_scheduler_push(s, &c);
    mly_scheduler_push(s, &d);
    assert_int_equal(mly_scheduler_length(s), 4);
    const struct mly_schedule_task *const order[] = {&b, &d, &c, &a, NULL};
    for (int i = 0; i < 5; i++) {
        schedule_expect(s, order[i], 0);
        schedule_expect(s, NULL, 0); /* busy */
        mly_scheduler_release(s, 0, i);
    }
    mly_scheduler_destroy(s);
}

static void removed_tasks_are_gone(void **state)
{
    (void)state;
    const struct mly_schedule_eligible eligible[] = {{schedule_p0, 1}};
    mly_scheduler *s = schedule_make(MLY_SCHEDULE_EARLIEST, 1, eligible, 1);
    struct mly_schedule_task tasks[5];
    for (uint32_t i = 0; i < 5; i++) {
        tasks[i] = schedule_task(i, 0);
        mly_scheduler_push(s, &tasks[i]);
    }
    mly_scheduler_remove(s, &tasks[0]);
    mly_scheduler_remove(s, &tasks[2]);
    mly_scheduler_remove(s, &tasks[2]);
    mly_scheduler_remove(s, &tasks[4]);
    assert_int_equal(mly_scheduler_length(s), 2);
    schedule_expect(s, &tasks[1], 0);
    mly_scheduler_remove(s, &tasks[1]); /* decided on: not waiting any more */
    mly_scheduler_release(s, 0, 1);
    schedule_expect(s, &tasks[3], 0);
    mly_scheduler_release(s, 0, 2);
    mly_scheduler_push(s, &tasks[0]);
    schedule_expect(s, &tasks[0], 0);
    mly_scheduler_destroy(s);
}

static void cheapest_then_home_then_warmest_processor(void **state)
{
    (void)state;
    const struct mly_schedule_eligible eligible[] = {{schedule_p012, 3}};
    mly_scheduler *s = schedule_make(MLY_SCHEDULE_EARLIEST, 3, eligible, 1);
    struct mly_schedule_task a = schedule_task(1, 0);
    mly_scheduler_push(s, &a);
    schedule_expect(s, &a, 0); /* all alike: the first */
    mly_scheduler_release(s, 0, 10);
    a.home = 2;
    mly_scheduler_push(s, &a);
    schedule_expect(s, &a, 2);
    mly_scheduler_release(s, 2, 20);
    a.home = MLY_NO_INDEX;
    mly_scheduler_push(s, &a);
    schedule_expect(s, &a, 2); /* worked last */
    mly_scheduler_release(s, 2, 30);
    for (uint32_t p = 0; p < 3; p++)
        mly_scheduler_set_cost(s, 0, p, p == 1 ? 100 : 200);
    a.home = 2;
    mly_scheduler_push(s, &a);
    schedule_expect(s, &a, 1);
    mly_scheduler_destroy(s);
}

static void pinned_requests_take_turns(void **state)
{
    (void)state;
    const struct mly_schedule_eligible eligible[] = {{schedule_p01, 2}, {schedule_p12, 2}};
    mly_scheduler *s = schedule_make(MLY_SCHEDULE_PINNED, 3, eligible, 2);
    struct mly_schedule_task even = schedule_task(2, 0), odd = schedule_task(3, 0),
                             later = schedule_task(4, 0), next = schedule_task(5, 1);
    mly_scheduler_push(s, &later);
    mly_scheduler_push(s, &even);
    schedule_expect(s, &even, 0);
    schedule_expect(s, NULL, 0); /* `later` waits for 0, although 1 is idle */
    mly_scheduler_push(s, &odd);
    schedule_expect(s, &odd, 1);
    mly_scheduler_push(s, &next);
    schedule_expect(s, &next, 2);
    mly_scheduler_release(s, 0, 1);
    schedule_expect(s, &later, 0);
    mly_scheduler_destroy(s);
}

/* --- earliest finish --- */

static void waits_for_a_busy_processor_that_ends_sooner(void **state)
{
    (void)state;
    mly_scheduler *s = schedule_make_unlike();
    struct mly_schedule_task t[5];
    for (uint32_t i = 0; i < 5; i++) {
        t[i] = schedule_task(i, 0);
        mly_scheduler_push(s, &t[i]);
        if (i == 0)
            schedule_expect_at(s, 0, &t[0], 0);
        else if (i < 3)
            schedule_expect_at(s, 0, NULL, 0); /* 200 and 300 there, 350 here */
    }
    /* There 400, so here: 350. */
    schedule_expect_at(s, 0, &t[3], 1);
    schedule_expect_at(s, 0, NULL, 0);
    mly_scheduler_release(s, 0, 100);
    schedule_expect_at(s, 100, &t[1], 0);
    schedule_expect_at(s, 100, NULL, 0);
    mly_scheduler_destroy(s);
}

static void a_stalled_processor_is_not_waited_for_without_end(void **state)
{
    (void)state;
    mly_scheduler *s = schedule_make_unlike();
    struct mly_schedule_task a = schedule_task(1, 0), b = schedule_task(2, 0);
    mly_scheduler_push(s, &a);
    mly_scheduler_push(s, &b);
    schedule_expect_at(s, 0, &a, 0);
    schedule_expect_at(s, 0, NULL, 0); /* 200 there, 350 here */
    int64_t review_ns = mly_scheduler_review_ns(s);
    assert_true(review_ns > 100 && review_ns < INT64_MAX);
    schedule_expect_at(s, 150, NULL, 0); /* 50 late: 50 more, 100: 300 there, 500 here */
    schedule_expect_at(s, review_ns, &b, 1);
    assert_int_equal(review_ns, 350);
    schedule_expect_at(s, 400, NULL, 0);
    assert_int_equal(mly_scheduler_review_ns(s), INT64_MAX);
    mly_scheduler_destroy(s);
}

static void an_unknown_end_is_not_waited_for(void **state)
{
    (void)state;
    const struct mly_schedule_eligible eligible[] = {{schedule_p01, 2}};
    mly_scheduler *s = schedule_make(MLY_SCHEDULE_EARLIEST, 2, eligible, 1);
    mly_scheduler_set_cost(s, 0, 1, 1000000000);
    struct mly_schedule_task a = schedule_task(1, 0), b = schedule_task(2, 0);
    mly_scheduler_push(s, &a);
    mly_scheduler_push(s, &b);
    schedule_expect_at(s, 0, &a, 0); /* nothing speaks against it */
    schedule_expect_at(s, 0, &b, 1);
    mly_scheduler_destroy(s);
}

static void moving_inputs_counts(void **state)
{
    (void)state;
    mly_scheduler *s = schedule_make_unlike();
    int64_t far[] = {300, 0};
    struct mly_schedule_task a = schedule_task(1, 0);
    a.move_ns = far;
    mly_scheduler_push(s, &a);
    schedule_expect_at(s, 0, &a, 1); /* 350, not 300 + 100 */
    mly_scheduler_release(s, 1, 350);
    far[0] = 200;
    mly_scheduler_push(s, &a);
    schedule_expect_at(s, 400, &a, 0);
    mly_scheduler_ran(s, &a, 0, 300); /* what ran was moving, too */
    assert_int_equal(mly_scheduler_cost(s, 0, 0, 0, 0), 100);
    mly_scheduler_destroy(s);
}

/* --- order --- */

static void priority_then_age_and_the_late_ones_last(void **state)
{
    (void)state;
    const struct mly_schedule_eligible eligible[] = {{schedule_p0, 1}};
    for (int policy = 0; policy < MLY_SCHEDULE_POLICY_COUNT; policy++) {
        mly_scheduler *s = schedule_make((enum mly_schedule_policy)policy, 1, eligible, 1);
        struct mly_schedule_task t[5];
        for (uint32_t i = 0; i < 5; i++)
            t[i] = schedule_task(i, 0);
        t[2].priority = 5;
        t[4].priority = 5;
        t[1].priority = -5;
        t[0].late = true;
        t[0].priority = 9;
        for (uint32_t i = 0; i < 5; i++)
            mly_scheduler_push(s, &t[i]);
        static const uint32_t order[] = {2, 4, 3, 1, 0};
        for (int i = 0; i < 5; i++) {
            schedule_expect_at(s, i, &t[order[i]], 0);
            mly_scheduler_release(s, 0, i);
        }
        mly_scheduler_destroy(s);
    }
}

/* Two groups with always enough to do: time is shared as their weights say. */
static void groups_share_by_weight(void **state)
{
    (void)state;
    const struct mly_schedule_eligible eligible[] = {{schedule_p01, 2}};
    for (int policy = 0; policy < MLY_SCHEDULE_POLICY_COUNT; policy++) {
        mly_scheduler *s = NULL;
        uint32_t groups[2];
        assert_int_equal(mly_scheduler_create_empty((enum mly_schedule_policy)policy, &s, NULL),
                         MLY_OK);
        assert_int_equal(mly_scheduler_add_group(s, 2, eligible, 1, 1, &groups[0], NULL), MLY_OK);
        assert_int_equal(mly_scheduler_add_group(s, 2, eligible, 1, 3, &groups[1], NULL), MLY_OK);
        struct mly_schedule_task tasks[2][8], *running[2] = {NULL, NULL};
        int64_t took_ns[2] = {0, 0}, ends_ns[2] = {0, 0}, now_ns = 0;
        uint64_t order[2] = {0, 0};
        for (uint32_t g = 0; g < 2; g++) {
            for (uint32_t i = 0; i < 8; i++) {
                tasks[g][i] = schedule_task(order[g]++, 0);
                tasks[g][i].group = groups[g];
                mly_scheduler_push(s, &tasks[g][i]);
            }
        }
        for (int turn = 0; turn < 4000; turn++) {
            struct mly_schedule_task *t;
            uint32_t p;
            while (mly_scheduler_decide_at(s, now_ns, &t, &p)) {
                running[p] = t;
                ends_ns[p] = now_ns + (t->group == groups[0] ? 500 : 2000); /* of unlike length */
            }
            p = !running[0] || (running[1] && ends_ns[1] < ends_ns[0]);
            assert_non_null(running[p]);
            uint32_t g = running[p]->group == groups[1];
            now_ns = ends_ns[p];
            took_ns[g] += g ? 2000 : 500;
            mly_scheduler_ran(s, running[p], p, g ? 2000 : 500);
            mly_scheduler_release(s, p, now_ns);
            running[p]->order = order[g]++;
            mly_scheduler_push(s, running[p]);
            running[p] = NULL;
        }
        double ratio = (double)took_ns[1] / (double)took_ns[0];
        if (ratio < 2.8 || ratio > 3.2)
            fail_msg("%s: %.3f", mly_schedule_policy_name((enum mly_schedule_policy)policy), ratio);
        mly_scheduler_destroy(s);
    }
}

static void idleness_is_not_saved_up(void **state)
{
    (void)state;
    const struct mly_schedule_eligible eligible[] = {{schedule_p0, 1}};
    mly_scheduler *s = NULL;
    uint32_t a, b;
    assert_int_equal(mly_scheduler_create_empty(MLY_SCHEDULE_EARLIEST, &s, NULL), MLY_OK);
    assert_int_equal(mly_scheduler_add_group(s, 1, eligible, 1, 1, &a, NULL), MLY_OK);
    assert_int_equal(mly_scheduler_add_group(s, 1, eligible, 1, 1, &b, NULL), MLY_OK);
    struct mly_schedule_task of_a[200], of_b[100], *t;
    uint32_t p;
    for (uint32_t i = 0; i < 200; i++) {
        of_a[i] = schedule_task(i, 0);
        of_a[i].group = a;
        mly_scheduler_push(s, &of_a[i]);
    }
    for (uint32_t i = 0; i < 100; i++) { /* a alone */
        assert_true(mly_scheduler_decide(s, &t, &p));
        mly_scheduler_ran(s, t, p, 1000);
        mly_scheduler_release(s, p, i);
    }
    uint32_t given[2] = {0, 0};
    for (uint32_t i = 0; i < 100; i++) {
        of_b[i] = schedule_task(i, 0);
        of_b[i].group = b;
        mly_scheduler_push(s, &of_b[i]);
    }
    for (uint32_t i = 0; i < 20; i++) {
        assert_true(mly_scheduler_decide(s, &t, &p));
        given[t->group == b]++;
        mly_scheduler_ran(s, t, p, 1000);
        mly_scheduler_release(s, p, 100 + i);
    }
    assert_true(given[0] >= 8 && given[1] >= 8);
    while (mly_scheduler_length(s) > 0) {
        assert_true(mly_scheduler_decide(s, &t, &p));
        mly_scheduler_release(s, p, 200);
    }
    mly_scheduler_remove_group(s, a);
    assert_int_equal(mly_scheduler_add_group(s, 3, eligible, 1, 1, &p, NULL), MLY_OK);
    assert_int_equal(p, a); /* numbers are used again; processors have been added */
    mly_scheduler_destroy(s);
}

/* --- policies --- */

static void policies_have_names(void **state)
{
    (void)state;
    enum mly_schedule_policy policy;
    struct mly_error err = {0};
    for (int i = 0; i < MLY_SCHEDULE_POLICY_COUNT; i++) {
        const char *name = mly_schedule_policy_name((enum mly_schedule_policy)i);
        assert_int_equal(mly_schedule_policy_parse(name, &policy, NULL), MLY_OK);
        assert_int_equal(policy, i);
    }
    assert_int_equal(mly_schedule_policy_parse("fastest", &policy, &err), MLY_E_INVALID);
    assert_non_null(strstr(err.message, "'fastest'"));
    assert_non_null(strstr(err.message, "earliest-finish"));
}

static void eager_takes_any_idle_one(void **state)
{
    (void)state;
    const struct mly_schedule_eligible eligible[] = {{schedule_p01, 2}};
    mly_scheduler *s = schedule_make(MLY_SCHEDULE_EAGER, 2, eligible, 1);
    mly_scheduler_set_cost(s, 0, 0, 1);
    mly_scheduler_set_cost(s, 0, 1, 1000000);
    struct mly_schedule_task a = schedule_task(1, 0), b = schedule_task(2, 0);
    mly_scheduler_push(s, &a);
    mly_scheduler_push(s, &b);
    schedule_expect_at(s, 0, &a, 0);
    schedule_expect_at(s, 0, &b, 1);
    mly_scheduler_destroy(s);
}

static void random_uses_all_processors_the_same_way_each_time(void **state)
{
    (void)state;
    const struct mly_schedule_eligible eligible[] = {{schedule_p012, 3}};
    uint32_t drawn[2][300], counts[3] = {0};
    for (int round = 0; round < 2; round++) {
        mly_scheduler *s = schedule_make(MLY_SCHEDULE_RANDOM, 3, eligible, 1);
        for (uint32_t i = 0; i < 300; i++) {
            struct mly_schedule_task a = schedule_task(i, 0), *t;
            mly_scheduler_push(s, &a);
            assert_true(mly_scheduler_decide(s, &t, &drawn[round][i]));
            mly_scheduler_release(s, drawn[round][i], i);
            counts[drawn[round][i]]++;
        }
        mly_scheduler_destroy(s);
    }
    assert_memory_equal(drawn[0], drawn[1], sizeof drawn[0]);
    for (int p = 0; p < 3; p++)
        assert_true(counts[p] > 150);
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
        mly_scheduler *s = schedule_make(w.policy, PROCESSORS, w.eligible, SEGMENTS);
        uint32_t pushed = 0, decided_count = 0, removed = 0;
        for (int64_t now = 0; decided_count + removed < TASKS; now++) {
            if (pushed < TASKS && mly_random_below(&random, 3)) {
                /* Request numbers arrive nearly in order, segments of one request apart. */
                w.tasks[pushed] = schedule_task((pushed + mly_random_below(&random, 20)) / SEGMENTS,
                                                pushed % SEGMENTS);
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
    const struct mly_schedule_eligible none[] = {{schedule_p0, 1}, {schedule_p0, 0}},
                                       beyond[] = {{schedule_p1, 1}}, doubled[] = {{twice, 2}},
                                       good[] = {{schedule_p01, 2}};
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
    enum mly_status status = MLY_E_NO_MEMORY;
    for (uint64_t n = 1; status != MLY_OK; n++) {
        assert_null(s);
        mly_alloc_fail_once(n);
        status = mly_scheduler_create(MLY_SCHEDULE_EARLIEST, 2, good, 1, &s, &err);
        mly_alloc_fail_once(0);
        assert_true(status == MLY_E_NO_MEMORY || n > 7);
    }
    uint32_t group;
    assert_int_equal(mly_scheduler_add_group(s, 2, good, 1, 0, &group, &err), MLY_E_INVALID);
    assert_int_equal(mly_scheduler_add_group(s, 2, good, 1, 10001, &group, &err), MLY_E_INVALID);
    status = MLY_E_NO_MEMORY;
    for (uint64_t n = 1; status != MLY_OK; n++) {
        mly_alloc_fail_once(n);
        status = mly_scheduler_add_group(s, 3, good, 1, 1, &group, &err);
        mly_alloc_fail_once(0);
    }
    mly_scheduler_destroy(s);
    mly_scheduler_destroy(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(oldest_request_first_and_its_last_segment_first),
        cmocka_unit_test(removed_tasks_are_gone),
        cmocka_unit_test(cheapest_then_home_then_warmest_processor),
        cmocka_unit_test(pinned_requests_take_turns),
        cmocka_unit_test(waits_for_a_busy_processor_that_ends_sooner),
        cmocka_unit_test(a_stalled_processor_is_not_waited_for_without_end),
        cmocka_unit_test(an_unknown_end_is_not_waited_for),
        cmocka_unit_test(moving_inputs_counts),
        cmocka_unit_test(priority_then_age_and_the_late_ones_last),
        cmocka_unit_test(groups_share_by_weight),
        cmocka_unit_test(idleness_is_not_saved_up),
        cmocka_unit_test(policies_have_names),
        cmocka_unit_test(eager_takes_any_idle_one),
        cmocka_unit_test(random_uses_all_processors_the_same_way_each_time),
        cmocka_unit_test(decides_as_the_oracle_does),
        cmocka_unit_test(wrong_plans_and_lack_of_memory_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

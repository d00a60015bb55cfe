/* What the scheduler expects of processors: costs that runs correct, and processors that fail. */
#include "support/scheduler_rig.h"

/* --- costs --- */

static void one_stall_poisons_nothing(void **state)
{
    (void)state;
    mly_scheduler *s = schedule_make_unlike();
    for (int i = 0; i < 10; i++) {
        schedule_run(s, 0, 0, 100 + i);
        schedule_run(s, 0, 0, 10000);
        schedule_run(s, 0, 0, 100 - i);
        int64_t ns = mly_scheduler_cost(s, 0, 0, 0, 0);
        assert_true(ns >= 90 && ns <= 110);
    }
    mly_scheduler_destroy(s);
}

static void a_lasting_change_is_believed_after_three_runs(void **state)
{
    (void)state;
    mly_scheduler *s = schedule_make_unlike();
    for (int i = 0; i < 5; i++)
        schedule_run(s, 0, 0, 100);
    schedule_run(s, 0, 0, 300);
    schedule_run(s, 0, 0, 300);
    assert_int_equal(mly_scheduler_cost(s, 0, 0, 0, 0), 100);
    schedule_run(s, 0, 0, 300);
    assert_int_equal(mly_scheduler_cost(s, 0, 0, 0, 0), 300);
    mly_scheduler_destroy(s);
}

static void a_first_run_that_stalled_shuts_no_processor_out(void **state)
{
    (void)state;
    const struct mly_schedule_eligible eligible[] = {{schedule_p01, 2}};
    mly_scheduler *s = schedule_make(MLY_SCHEDULE_EARLIEST, 2, eligible, 1);
    schedule_run(s, 0, 0, 100000); /* stalled */
    for (int i = 0; i < 3; i++)
        schedule_run(s, 1, 0, 1000);
    assert_int_equal(mly_scheduler_cost(s, 0, 0, 0, 0), 1000);
    schedule_run(s, 0, 0, 900);
    schedule_run(s, 0, 0, 950);
    assert_int_equal(mly_scheduler_cost(s, 0, 0, 0, 0), 950);
    mly_scheduler_destroy(s);
}

static void who_was_slow_is_tried_again_after_long(void **state)
{
    (void)state;
    mly_scheduler *s = schedule_make_unlike();
    schedule_run(s, 1, 0, 350);
    for (int i = 0; i < 255; i++)
        schedule_run(s, 0, 0, 100);
    assert_int_equal(mly_scheduler_cost(s, 0, 0, 1, 0), 350);
    schedule_run(s, 0, 0, 100);
    assert_int_equal(mly_scheduler_cost(s, 0, 0, 1, 0), 175);
    for (int i = 0; i < 2000; i++)
        schedule_run(s, 0, 0, 100);
    assert_int_equal(mly_scheduler_cost(s, 0, 0, 1, 0), 87);
    schedule_run(s, 1, 0, 90); /* what is old proves nothing any more */
    assert_int_equal(mly_scheduler_cost(s, 0, 0, 1, 0), 90);
    mly_scheduler_destroy(s);
}

static void what_is_gained_by_waiting_must_be_more_than_noise(void **state)
{
    (void)state;
    const struct mly_schedule_eligible eligible[] = {{schedule_p01, 2}};
    for (int noisy = 0; noisy < 2; noisy++) {
        mly_scheduler *s = schedule_make(MLY_SCHEDULE_EARLIEST, 2, eligible, 1);
        for (int i = 0; i < 10; i++) {
            schedule_run(s, 0, 0, 100 + (noisy ? i % 5 * 20 - 40 : 0)); /* 60 to 140 */
            schedule_run(s, 1, 0, 230);
        }
        struct mly_schedule_task a = schedule_task(1, 0), b = schedule_task(2, 0);
        mly_scheduler_push(s, &a);
        mly_scheduler_push(s, &b);
        schedule_expect_at(s, 0, &a, 0);
        schedule_expect_at(s, 0, noisy ? &b : NULL, 1); /* 200 there, 230 here */
        mly_scheduler_destroy(s);
    }
}

static void batch_sizes_have_costs_of_their_own(void **state)
{
    (void)state;
    const struct mly_schedule_eligible eligible[] = {{schedule_p01, 2}};
    mly_scheduler *s = schedule_make(MLY_SCHEDULE_EARLIEST, 2, eligible, 1);
    mly_scheduler_set_batch_cost(s, 0, 0, 0, 1, 100);
    mly_scheduler_set_batch_cost(s, 0, 0, 0, 8, 800);
    mly_scheduler_set_batch_cost(s, 0, 0, 1, 1, 200);
    mly_scheduler_set_batch_cost(s, 0, 0, 1, 8, 300);
    struct mly_schedule_task small = schedule_task(1, 0), large = schedule_task(2, 0),
                             other = schedule_task(3, 0);
    small.batch = 1;
    large.batch = 8;
    other.batch = 16;
    mly_scheduler_push(s, &small);
    schedule_expect_at(s, 0, &small, 0);
    mly_scheduler_release(s, 0, 1);
    mly_scheduler_push(s, &large);
    schedule_expect_at(s, 1, &large, 1);
    mly_scheduler_release(s, 1, 2);
    assert_int_equal(mly_scheduler_cost(s, 0, 0, 1, 16), 600); /* by the nearest */
    mly_scheduler_push(s, &other);
    schedule_expect_at(s, 2, &other, 1);
    mly_scheduler_ran(s, &other, 1, 500);
    /* More sizes than are kept: the nearest one stands for the others. */
    for (uint32_t batch = 20; batch < 60; batch += 2)
        schedule_run(s, 0, batch, 10 * batch);
    assert_int_equal(mly_scheduler_cost(s, 0, 0, 0, 1), 100);
    assert_true(mly_scheduler_cost(s, 0, 0, 0, 40) > 300);
    mly_scheduler_destroy(s);
}

/* --- failing processors --- */

static void set_aside(mly_scheduler *s, uint32_t processor, int64_t now_ns)
{
    bool aside = false;
    for (int i = 0; i < 3 && !aside; i++)
        aside = mly_scheduler_failed(s, processor, true, now_ns);
    assert_true(aside);
}

static void the_third_failure_sets_a_processor_aside_for_a_while(void **state)
{
    (void)state;
    const struct mly_schedule_eligible eligible[] = {{schedule_p01, 2}};
    for (int policy = 0; policy < MLY_SCHEDULE_POLICY_COUNT; policy++) {
        mly_scheduler *s = schedule_make((enum mly_schedule_policy)policy, 2, eligible, 1);
        int64_t until_ns = 0, pause_ns = 0, now_ns = 1000;
        assert_false(mly_scheduler_failed(s, 0, true, now_ns));
        assert_false(mly_scheduler_failed(s, 0, true, now_ns));
        schedule_run(s, 0, 0, 100); /* a success in between */
        assert_false(mly_scheduler_failed(s, 0, true, now_ns));
        assert_false(mly_scheduler_failed(s, 0, true, now_ns));
        assert_true(mly_scheduler_failed(s, 0, true, now_ns));
        assert_true(mly_scheduler_is_aside(s, 0, &until_ns));
        pause_ns = until_ns - now_ns;
        assert_true(pause_ns > 0);
        struct mly_schedule_task t[4];
        for (uint32_t i = 0; i < 4; i++) {
            t[i] = schedule_task(i, 0);
            mly_scheduler_push(s, &t[i]);
        }
        schedule_expect_at(s, now_ns, &t[0], 1);
        schedule_expect_at(s, now_ns, NULL, 0); /* 0 is idle, and gets none */
        assert_true(mly_scheduler_review_ns(s) <= until_ns);
        mly_scheduler_release(s, 1, now_ns);
        schedule_expect_at(s, now_ns, &t[1], 1);
        mly_scheduler_release(s, 1, now_ns);
        schedule_expect_at(s, now_ns, &t[2], 1); /* 1 is busy */
        struct mly_schedule_task *decided = NULL;
        uint32_t p = 9;
        if (policy != MLY_SCHEDULE_PINNED && policy != MLY_SCHEDULE_RANDOM) {
            assert_true(mly_scheduler_decide_at(s, until_ns, &decided, &p)); /* on trial */
            assert_int_equal(p, 0);
        }
        (void)mly_scheduler_decide_at(s, until_ns, &decided, &p);
        assert_false(mly_scheduler_is_aside(s, 0, NULL));
        assert_true(mly_scheduler_failed(s, 0, true, until_ns)); /* once is enough now */
        int64_t again_ns = 0;
        assert_true(mly_scheduler_is_aside(s, 0, &again_ns));
        assert_int_equal(again_ns - until_ns, 2 * pause_ns);
        mly_scheduler_destroy(s);
    }
}

static void where_all_are_set_aside_the_first_one_is_tried_at_once(void **state)
{
    (void)state;
    const struct mly_schedule_eligible eligible[] = {{schedule_p01, 2}};
    for (int policy = 0; policy < MLY_SCHEDULE_POLICY_COUNT; policy++) {
        mly_scheduler *s = schedule_make((enum mly_schedule_policy)policy, 2, eligible, 1);
        set_aside(s, 1, 1000);
        set_aside(s, 0, 2000);
        struct mly_schedule_task a = schedule_task(0, 0);
        mly_scheduler_push(s, &a);
        schedule_expect_at(s, 3000, &a, 1);
        assert_true(mly_scheduler_is_aside(s, 0, NULL));
        mly_scheduler_destroy(s);
    }
}

static void doubtful_failures_make_suspect_and_only_many_set_aside(void **state)
{
    (void)state;
    const struct mly_schedule_eligible eligible[] = {{schedule_p012, 3}};
    for (int policy = 0; policy < MLY_SCHEDULE_POLICY_COUNT; policy++) {
        mly_scheduler *s = schedule_make((enum mly_schedule_policy)policy, 3, eligible, 1);
        for (int i = 0; i < 11; i++)
            assert_false(mly_scheduler_failed(s, 1, false, 0));
        /* What processor 0 failed goes to 2, which is above suspicion; else to 1 again. */
        struct mly_schedule_task a = schedule_task(1, 0);
        a.avoid = 1;
        mly_scheduler_push(s, &a);
        schedule_expect_at(s, 0, &a, 2);
        mly_scheduler_release(s, 2, 1);
        assert_false(mly_scheduler_failed(s, 2, false, 0));
        a.order = 1;
        mly_scheduler_push(s, &a);
        struct mly_schedule_task *decided;
        uint32_t p;
        assert_true(mly_scheduler_decide(s, &decided, &p));
        assert_int_not_equal(p, 0);
        /* A task that succeeds somewhere shows that it was the tasks. */
        mly_scheduler_ran(s, &a, p, 1000);
        for (int i = 0; i < 11; i++)
            assert_false(mly_scheduler_failed(s, 1, false, 0));
        assert_true(mly_scheduler_failed(s, 1, false, 0));
        assert_true(mly_scheduler_is_aside(s, 1, NULL));
        mly_scheduler_destroy(s);
    }
}

static void a_task_avoids_who_failed_it(void **state)
{
    (void)state;
    const struct mly_schedule_eligible eligible[] = {{schedule_p01, 2}};
    for (int policy = 0; policy < MLY_SCHEDULE_POLICY_COUNT; policy++) {
        mly_scheduler *s = schedule_make((enum mly_schedule_policy)policy, 2, eligible, 1);
        struct mly_schedule_task a = schedule_task(0, 0), b = schedule_task(2, 0);
        mly_scheduler_push(s, &a);
        assert_false(policy == MLY_SCHEDULE_EARLIEST && mly_scheduler_length(s) != 1);
        struct mly_schedule_task *t;
        uint32_t first, second;
        assert_true(mly_scheduler_decide(s, &t, &first));
        assert_true(mly_scheduler_has_other(s, t, first));
        a.avoid = first + 1;
        mly_scheduler_push(s, &a);
        assert_true(mly_scheduler_decide(s, &t, &second));
        assert_int_equal(second, 1 - first);
        /* With the other one busy it waits, and those behind it do not. */
        mly_scheduler_push(s, &a);
        b.only = first + 1;
        mly_scheduler_push(s, &b);
        mly_scheduler_release(s, first, 10);
        schedule_expect_at(s, 10, &b, first);
        mly_scheduler_release(s, first, 20);
        schedule_expect_at(s, 20, NULL, 0);
        /* With the other one set aside it takes what there is. */
        set_aside(s, second, 30);
        schedule_expect_at(s, 30, &a, first);
        mly_scheduler_destroy(s);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_stall_poisons_nothing),
        cmocka_unit_test(a_lasting_change_is_believed_after_three_runs),
        cmocka_unit_test(a_first_run_that_stalled_shuts_no_processor_out),
        cmocka_unit_test(who_was_slow_is_tried_again_after_long),
        cmocka_unit_test(what_is_gained_by_waiting_must_be_more_than_noise),
        cmocka_unit_test(batch_sizes_have_costs_of_their_own),
        cmocka_unit_test(the_third_failure_sets_a_processor_aside_for_a_while),
        cmocka_unit_test(where_all_are_set_aside_the_first_one_is_tried_at_once),
        cmocka_unit_test(doubtful_failures_make_suspect_and_only_many_set_aside),
        cmocka_unit_test(a_task_avoids_who_failed_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

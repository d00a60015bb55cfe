/* What tests of the scheduler share. */
#include "support/scheduler_rig.h"

#include "model/graph.h"

const uint32_t schedule_p0[1] = {0}, schedule_p1[1] = {1}, schedule_p01[2] = {0, 1},
               schedule_p12[2] = {1, 2}, schedule_p012[3] = {0, 1, 2};

mly_scheduler *schedule_make(enum mly_schedule_policy policy, uint32_t processors,
                             const struct mly_schedule_eligible *eligible, uint32_t segments)
{
    mly_scheduler *scheduler = NULL;
    assert_int_equal(mly_scheduler_create(policy, processors, eligible, segments, &scheduler, NULL),
                     MLY_OK);
    return scheduler;
}

struct mly_schedule_task schedule_task(uint64_t order, uint32_t segment)
{
    return (struct mly_schedule_task){.order = order, .segment = segment, .home = MLY_NO_INDEX};
}

void schedule_expect(mly_scheduler *scheduler, const struct mly_schedule_task *expected,
                     uint32_t on_processor)
{
    struct mly_schedule_task *decided = NULL;
    uint32_t processor = MLY_NO_INDEX;
    assert_int_equal(mly_scheduler_decide(scheduler, &decided, &processor), expected != NULL);
    assert_ptr_equal(decided, expected);
    if (expected)
        assert_int_equal(processor, on_processor);
}

mly_scheduler *schedule_make_unlike(void)
{
    const struct mly_schedule_eligible eligible[] = {{schedule_p01, 2}};
    mly_scheduler *s = schedule_make(MLY_SCHEDULE_EARLIEST, 2, eligible, 1);
    mly_scheduler_set_cost(s, 0, 0, 100);
    mly_scheduler_set_cost(s, 0, 1, 350);
    return s;
}

void schedule_expect_at(mly_scheduler *scheduler, int64_t now_ns,
                        const struct mly_schedule_task *expected, uint32_t on_processor)
{
    struct mly_schedule_task *decided = NULL;
    uint32_t processor = MLY_NO_INDEX;
    assert_int_equal(mly_scheduler_decide_at(scheduler, now_ns, &decided, &processor),
                     expected != NULL);
    assert_ptr_equal(decided, expected);
    if (expected)
        assert_int_equal(processor, on_processor);
}

void schedule_run(mly_scheduler *s, uint32_t processor, uint32_t batch, int64_t took_ns)
{
    struct mly_schedule_task a = schedule_task(1, 0), *decided = NULL;
    uint32_t p;
    a.batch = batch;
    a.only = processor + 1;
    mly_scheduler_push(s, &a);
    assert_true(mly_scheduler_decide(s, &decided, &p));
    assert_int_equal(p, processor);
    mly_scheduler_ran(s, &a, processor, took_ns);
    mly_scheduler_release(s, processor, 0);
}

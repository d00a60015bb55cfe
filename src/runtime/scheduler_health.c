/*
 * Processors that fail.
 *
 *   1. Three failures without a success in between set a processor aside for a quarter of a second.
 *      Those for which the task may be to blame, because another processor failed it, too, make it
 *      suspect: tasks that another one failed go to processors above suspicion, if there are any. Twelve
 *      of these set it aside, if no task at all succeeded anywhere meanwhile.
 *   2. Then one more failure sets it aside again, for twice as long, up to a minute; one success
 *      clears it.
 *   3. Where all processors that may run a waiting task are set aside, the one whose time comes
 *      first is tried at once: waiting for nothing helps nobody, and the client learns.
 */
#include "scheduler_private.h"

enum { SUSPECT = 1, CERTAIN = 4, TOO_MANY = 3 * CERTAIN, DOUBTS_MAX = 12 };
#define FIRST_PAUSE_NS 250000000
#define LONGEST_PAUSE_NS 60000000000

bool mly_scheduler_failed(mly_scheduler *scheduler, uint32_t processor, bool certain,
                          int64_t now_ns)
{
    struct mly__processor *p = &scheduler->processors[processor];
    if (p->doubts_since != scheduler->successes)
        p->doubts = 0;
    p->doubts_since = scheduler->successes;
    if (!certain)
        p->doubts++;
    if (certain && p->failures < TOO_MANY)
        p->failures += CERTAIN;
    else if (p->failures < CERTAIN)
        p->failures = SUSPECT;
    if (p->aside || (p->failures < TOO_MANY && p->doubts < DOUBTS_MAX))
        return false;
    p->pause_ns = p->pause_ns == 0 ? FIRST_PAUSE_NS : p->pause_ns * 2; /* (1), (2) */
    if (p->pause_ns > LONGEST_PAUSE_NS)
        p->pause_ns = LONGEST_PAUSE_NS;
    p->until_ns = now_ns + p->pause_ns;
    mly__scheduler_set_state(scheduler, processor, p->busy, true);
    mly__scheduler_rebind(scheduler, processor);
    return true;
}

static void try_again(mly_scheduler *s, uint32_t processor)
{
    s->processors[processor].failures = TOO_MANY - CERTAIN; /* (2) */
    mly__scheduler_set_state(s, processor, s->processors[processor].busy, false);
}

/* (3) */
static void free_task(mly_scheduler *s, const struct mly__group *g,
                      const struct mly_schedule_task *task)
{
    const int64_t *expected_ns = g->expected_ns + (size_t)task->row * g->stride;
    uint32_t first = MLY_NO_INDEX;
    for (uint32_t p = 0; p < g->stride; p++) {
        if (expected_ns[p] == MLY__NEVER_NS)
            continue;
        if (!s->processors[p].aside)
            return;
        if (first == MLY_NO_INDEX || s->processors[p].until_ns < s->processors[first].until_ns)
            first = p;
    }
    try_again(s, first);
    for (uint32_t p = 0; p < s->processor_count; p++) {
        if (s->processors[p].aside)
            mly__scheduler_rebind(s, p);
    }
}

void mly__health_refresh(mly_scheduler *scheduler)
{
    for (uint32_t p = 0; p < scheduler->processor_count; p++) {
        if (scheduler->processors[p].aside &&
            scheduler->processors[p].until_ns <= scheduler->now_ns)
            try_again(scheduler, p);
    }
    for (uint32_t i = 0; i < scheduler->group_count; i++) {
        const struct mly__group *g = scheduler->groups[i];
        for (uint32_t l = 0; g && l < g->lane_count && scheduler->aside > 0; l++) {
            const struct mly_schedule_task *t = g->lanes[l].first;
            for (; t && scheduler->aside > 0; t = t->next)
                free_task(scheduler, g, t);
        }
    }
}

bool mly_scheduler_has_other(const mly_scheduler *scheduler, const struct mly_schedule_task *task,
                             uint32_t processor)
{
    const struct mly__group *g = scheduler->groups[task->group];
    for (uint32_t p = 0; p < g->stride; p++) {
        if (p != processor && !scheduler->processors[p].aside &&
            g->expected_ns[(size_t)task->row * g->stride + p] != MLY__NEVER_NS)
            return true;
    }
    return false;
}

bool mly__health_may_retry(const mly_scheduler *scheduler, const struct mly_schedule_task *task,
                           uint32_t processor)
{
    const struct mly__group *g = scheduler->groups[task->group];
    const int64_t *expected_ns = g->expected_ns + (size_t)task->row * g->stride;
    if (processor + 1 == task->avoid)
        return !mly_scheduler_has_other(scheduler, task, processor);
    if (scheduler->processors[processor].failures == 0)
        return true;
    for (uint32_t p = 0; p < g->stride; p++) {
        const struct mly__processor *other = &scheduler->processors[p];
        if (p + 1 != task->avoid && !other->aside && other->failures == 0 &&
            expected_ns[p] != MLY__NEVER_NS)
            return false;
    }
    return true;
}

bool mly_scheduler_is_aside(const mly_scheduler *scheduler, uint32_t processor, int64_t *until_ns)
{
    const struct mly__processor *p = &scheduler->processors[processor];
    if (until_ns)
        *until_ns = p->until_ns;
    return p->aside;
}

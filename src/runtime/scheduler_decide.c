/*
 * The scheduler's decisions.
 *
 * Tasks are looked at in one order: of the groups that which has had the least for its weight; of
 * its tasks those that are not late, of highest priority, of the oldest request, nearest to the end.
 *
 * Earliest finish. Nothing is bound to a processor before it is idle; what "is queued there" follows
 * from the same rule, applied anew at each decision to what is known by then. So no queue has to be
 * stolen from: an idle processor gets any task that it is expected to finish sooner.
 *   1. A processor is available now if it is idle, when its task is expected to end if it is busy.
 *      A task that takes longer than expected is expected to take as long again as it is late by
 *      now. An unknown end is not waited for.
 *   2. Each task in turn goes to the processor where it would end first: available + moving of its
 *      inputs + cost. Ties: idle, then cheaper, then where the inputs are, then the one that worked
 *      last (its caches are warm, the others stay asleep).
 *   3. If that one is idle, this is the decision. If it is busy, the task is counted there, and the
 *      next one is looked at.
 *   4. But if an idle one could take it, and would end it later by no more than runs on the two vary,
 *      it does: what is gained by waiting must be more than noise.
 *   5. When a task waits for a busy processor although an idle one could take it, `review` is when
 *      it would have been better not to have waited.
 *
 * The other policies give a lane's first task to one of its idle processors, by the same ties
 * without costs.
 */
#include "scheduler_private.h"

/* What a task of unknown cost counts for in its group's share, until it has run. */
#define UNKNOWN_NS 1000.0

static int64_t task_cost_ns(const struct mly__group *g, const struct mly_schedule_task *task,
                            uint32_t processor)
{
    int64_t ns = g->expected_ns[(size_t)task->row * g->stride + processor];
    return ns + (task->move_ns ? task->move_ns[processor] : 0);
}

static double share(const struct mly__group *g, int64_t cost_ns)
{
    return (cost_ns > 0 ? (double)cost_ns : UNKNOWN_NS) / g->weight;
}

/* Puts the task on the processor. */
static void assign(mly_scheduler *s, struct mly__group *g, struct mly_schedule_task *task,
                   uint32_t processor)
{
    struct mly__processor *p = &s->processors[processor];
    bool known = g->expected_ns[(size_t)task->row * g->stride + processor] > 0;
    mly_scheduler_remove(s, task);
    task->cost_ns = task_cost_ns(g, task, processor);
    p->ends_ns = known ? s->now_ns + task->cost_ns : 0;
    if (task->cost_ns == 0)
        task->cost_ns = (int64_t)UNKNOWN_NS;
    g->served += share(g, task->cost_ns);
    mly__scheduler_set_state(s, processor, true, false);
}

/* --- the order of tasks --- */

/* The group whose tasks are to be looked at next; NULL: none is left. */
static struct mly__group *least_served(const mly_scheduler *s)
{
    struct mly__group *g = NULL;
    for (uint32_t i = 0; i < s->group_count; i++) {
        struct mly__group *other = s->groups[i];
        if (other && other->used && (!g || other->scratch < g->scratch))
            g = other;
    }
    return g;
}

/* The next task by the cursors, which move on; NULL at the end. */
static struct mly_schedule_task *look_at_next(const mly_scheduler *s, struct mly__group **group)
{
    struct mly__group *g;
    while ((g = least_served(s))) {
        struct mly_schedule_task *task = g->cursor;
        if (task) {
            g->cursor = task->next;
            *group = g;
            return task;
        }
        g->used = false;
    }
    return NULL;
}

static void rewind(mly_scheduler *s)
{
    for (uint32_t i = 0; i < s->group_count; i++) {
        struct mly__group *g = s->groups[i];
        if (!g)
            continue;
        g->used = g->length > 0;
        g->scratch = g->served;
        g->cursor = g->lanes[0].first;
    }
}

/* --- earliest finish --- */

/* (1) */
static void foresee(mly_scheduler *s)
{
    for (uint32_t i = 0; i < s->processor_count; i++) {
        const struct mly__processor *p = &s->processors[i];
        int64_t now = s->now_ns;
        if (p->aside)
            s->available_ns[i] = MLY__NEVER_NS;
        else if (!p->busy)
            s->available_ns[i] = now;
        else if (p->ends_ns == 0)
            s->available_ns[i] = MLY__NEVER_NS;
        else
            s->available_ns[i] = p->ends_ns > now ? p->ends_ns : now + (now - p->ends_ns);
    }
}

struct choice {
    uint32_t processor; /* MLY_NO_INDEX: none */
    int64_t finish_ns;
};

/* (2) of two that end at the same time */
static bool wins_tie(const mly_scheduler *s, const struct mly_schedule_task *task,
                     const int64_t *cost_ns, uint32_t a, uint32_t best)
{
    const struct mly__processor *pa = &s->processors[a], *pb = &s->processors[best];
    if (mly__is_open(pa) != mly__is_open(pb))
        return mly__is_open(pa);
    if (cost_ns[a] != cost_ns[best])
        return cost_ns[a] < cost_ns[best];
    if (a == task->home || best == task->home)
        return a == task->home;
    return pa->released_ns > pb->released_ns;
}

/*
 * When the task would end on this processor. Who is busy, or was counted on already, is not waited
 * for where its cost is unknown.
 */
static int64_t finish_ns(const mly_scheduler *s, const struct mly_schedule_task *task,
                         const int64_t *cost_ns, uint32_t p)
{
    if (cost_ns[p] == 0 && s->available_ns[p] != s->now_ns)
        return MLY__NEVER_NS;
    return s->available_ns[p] + cost_ns[p] + (task->move_ns ? task->move_ns[p] : 0);
}

static struct choice choose(const mly_scheduler *s, const struct mly__group *g,
                            const struct mly_schedule_task *task)
{
    const int64_t *cost_ns = g->expected_ns + (size_t)task->row * g->stride;
    struct choice choice = {MLY_NO_INDEX, MLY__NEVER_NS};
    for (uint32_t p = 0; p < g->stride; p++) {
        int64_t ns = finish_ns(s, task, cost_ns, p);
        if (ns >= MLY__NEVER_NS || (task->avoid && !mly__health_may_retry(s, task, p)))
            continue;
        if (ns < choice.finish_ns || (ns == choice.finish_ns && choice.processor != MLY_NO_INDEX &&
                                      wins_tie(s, task, cost_ns, p, choice.processor))) {
            choice.processor = p;
            choice.finish_ns = ns;
        }
    }
    return choice;
}

/* The usual case, for speed: nothing has to be moved and no processor to be avoided. */
static struct choice choose_quickly(const mly_scheduler *s, const struct mly__group *g,
                                    const struct mly_schedule_task *task)
{
    const int64_t *cost_ns = g->expected_ns + (size_t)task->row * g->stride;
    struct choice choice = {MLY_NO_INDEX, MLY__NEVER_NS};
    uint32_t best = 0, ties = 0;
    int64_t least_ns = INT64_MAX;
    for (uint32_t p = 0; p < g->stride; p++) {
        int64_t ns = s->available_ns[p] + cost_ns[p];
        ties = ns < least_ns ? 0 : ties + (ns == least_ns);
        best = ns < least_ns ? p : best;
        least_ns = ns < least_ns ? ns : least_ns;
    }
    if (ties > 0 || cost_ns[best] == 0)
        return choose(s, g, task);
    if (least_ns < MLY__NEVER_NS)
        choice = (struct choice){best, least_ns};
    return choice;
}

/* A task that may run on one processor only: there, as long as it is not set aside. */
static struct choice choose_only(const mly_scheduler *s, const struct mly__group *g,
                                 const struct mly_schedule_task *task)
{
    uint32_t p = task->only - 1;
    struct choice choice = {MLY_NO_INDEX, MLY__NEVER_NS};
    if (s->available_ns[p] < MLY__NEVER_NS)
        choice = (struct choice){p, s->available_ns[p] + task_cost_ns(g, task, p)};
    return choice;
}

static bool has_only(const mly_scheduler *s, const struct mly__group *g,
                     const struct mly_schedule_task *task)
{
    uint32_t p = task->only - 1; /* wraps around for 0 */
    return p < g->stride && task->avoid != task->only && !s->processors[p].aside &&
           g->expected_ns[(size_t)task->row * g->stride + p] != MLY__NEVER_NS;
}

static struct choice place(const mly_scheduler *s, const struct mly__group *g,
                           const struct mly_schedule_task *task)
{
    if (!task->only && !task->avoid && !task->move_ns)
        return choose_quickly(s, g, task);
    if (has_only(s, g, task))
        return choose_only(s, g, task);
    return choose(s, g, task);
}

/* Of the idle processors that where the task would end first. */
static struct choice find_idle(const mly_scheduler *s, const struct mly__group *g,
                               const struct mly_schedule_task *task)
{
    const int64_t *cost_ns = g->expected_ns + (size_t)task->row * g->stride;
    struct choice choice = {MLY_NO_INDEX, MLY__NEVER_NS};
    for (uint32_t p = 0; p < g->stride; p++) {
        if (!mly__is_open(&s->processors[p]))
            continue;
        int64_t ns = finish_ns(s, task, cost_ns, p);
        if (ns < choice.finish_ns && (!task->avoid || mly__health_may_retry(s, task, p)))
            choice = (struct choice){p, ns};
    }
    return choice;
}

/* What find_idle found of tasks that are alike; a decision changes nothing about it. */
struct idle_cache {
    const struct mly__group *group;
    uint32_t row;
    struct choice choice;
};
enum { IDLE_CACHES = 16 };

static struct choice find_idle_quickly(const mly_scheduler *s, const struct mly__group *g,
                                       const struct mly_schedule_task *task,
                                       struct idle_cache *caches)
{
    struct choice none = {MLY_NO_INDEX, MLY__NEVER_NS};
    if (has_only(s, g, task))
        return none;
    if (task->avoid || task->move_ns)
        return find_idle(s, g, task);
    struct idle_cache *cache = &caches[task->row / MLY__BATCH_SIZES % IDLE_CACHES];
    if (cache->group != g || cache->row != task->row)
        *cache = (struct idle_cache){g, task->row, find_idle(s, g, task)};
    return cache->choice;
}

/* (4) How much runs on these two vary: by less than that none is sooner. */
static int64_t doubt_ns(const struct mly__group *g, const struct mly_schedule_task *task,
                        uint32_t a, uint32_t b)
{
    const struct mly__cost *costs = g->costs + (size_t)task->row * g->stride;
    return (int64_t)(costs[a].spread_ns + costs[b].spread_ns);
}

/* (5) The idle one wins when the busy one's task is late by what was to be gained. */
static int64_t review_at(const mly_scheduler *s, const struct choice *busy,
                         const struct choice *idle)
{
    int64_t gain_ns = idle->finish_ns - busy->finish_ns, now_ns = s->now_ns;
    int64_t ends_ns = s->processors[busy->processor].ends_ns;
    return ends_ns > now_ns ? ends_ns + (ends_ns - now_ns) + gain_ns : now_ns + gain_ns;
}

static bool decide_earliest(mly_scheduler *s, struct mly_schedule_task **task, uint32_t *processor)
{
    struct idle_cache caches[IDLE_CACHES] = {{.group = NULL}};
    struct mly__group *g = NULL;
    struct mly_schedule_task *t;
    foresee(s);
    while ((t = look_at_next(s, &g))) {
        struct choice choice = place(s, g, t);
        if (choice.processor == MLY_NO_INDEX)
            continue;
        if (!mly__is_open(&s->processors[choice.processor])) {
            struct choice idle = find_idle_quickly(s, g, t, caches);
            if (idle.processor != MLY_NO_INDEX &&
                idle.finish_ns - choice.finish_ns <=
                    doubt_ns(g, t, choice.processor, idle.processor))
                choice = idle; /* (4) */
            else if (idle.processor != MLY_NO_INDEX && s->review_ns == INT64_MAX)
                s->review_ns = review_at(s, &choice, &idle); /* the first has the most to gain */
        }
        if (mly__is_open(&s->processors[choice.processor])) { /* (3) */
            *task = t;
            *processor = choice.processor;
            assign(s, g, t, choice.processor);
            return true;
        }
        g->scratch += share(g, task_cost_ns(g, t, choice.processor));
        s->available_ns[choice.processor] = choice.finish_ns;
    }
    return false;
}

/* --- the other policies --- */

static bool may_take(const mly_scheduler *s, const struct mly__group *g,
                     const struct mly_schedule_task *task, uint32_t processor)
{
    if (!mly__is_open(&s->processors[processor]))
        return false;
    if (has_only(s, g, task))
        return task->only == processor + 1;
    return !task->avoid || mly__health_may_retry(s, task, processor);
}

static uint32_t idle_processor(const mly_scheduler *s, const struct mly__group *g,
                               const struct mly__lane *lane, const struct mly_schedule_task *task)
{
    uint32_t best = MLY_NO_INDEX;
    for (uint32_t i = 0; i < lane->processor_count; i++) {
        uint32_t p = lane->processors[i];
        if (!may_take(s, g, task, p))
            continue;
        const struct mly__processor *a = &s->processors[p],
                                    *b = best == MLY_NO_INDEX ? NULL : &s->processors[best];
        if (!b || p == task->home || (best != task->home && a->released_ns > b->released_ns))
            best = p;
    }
    return best;
}

/* The first task of the lane that an idle processor may take, and that processor. */
static struct mly_schedule_task *first_runnable(const mly_scheduler *s, const struct mly__group *g,
                                                const struct mly__lane *lane, uint32_t *processor)
{
    struct mly_schedule_task *t = lane->first;
    for (; t; t = t->next) {
        *processor = idle_processor(s, g, lane, t);
        if (*processor != MLY_NO_INDEX)
            return t;
        /* Those behind it want the same processors, unless this one is choosy. */
        if (!t->avoid && !t->only)
            return NULL;
    }
    return NULL;
}

static bool decide_in_group(mly_scheduler *s, struct mly__group *g, struct mly_schedule_task **task,
                            uint32_t *processor)
{
    struct mly_schedule_task *best = NULL;
    for (uint32_t i = 0; i < g->lane_count; i++) {
        uint32_t p = MLY_NO_INDEX;
        if (!g->lanes[i].first || (best && mly__goes_before(best, g->lanes[i].first)))
            continue;
        struct mly_schedule_task *t = first_runnable(s, g, &g->lanes[i], &p);
        if (t && (!best || mly__goes_before(t, best))) {
            best = t;
            *processor = p;
        }
    }
    *task = best;
    return best != NULL;
}

static bool decide_first_idle(mly_scheduler *s, struct mly_schedule_task **task,
                              uint32_t *processor)
{
    struct mly__group *g;
    while ((g = least_served(s))) {
        if (decide_in_group(s, g, task, processor)) {
            assign(s, g, *task, *processor);
            return true;
        }
        g->used = false;
    }
    return false;
}

bool mly_scheduler_decide_at(mly_scheduler *scheduler, int64_t now_ns,
                             struct mly_schedule_task **task, uint32_t *processor)
{
    if (now_ns > scheduler->now_ns)
        scheduler->now_ns = now_ns;
    scheduler->review_ns = INT64_MAX;
    if (scheduler->length == 0)
        return false;
    if (scheduler->aside > 0)
        mly__health_refresh(scheduler);
    if (scheduler->idle > 0) {
        rewind(scheduler);
        if (scheduler->policy == MLY_SCHEDULE_EARLIEST
                ? decide_earliest(scheduler, task, processor)
                : decide_first_idle(scheduler, task, processor))
            return true;
    }
    for (uint32_t p = 0; p < scheduler->processor_count && scheduler->aside > 0; p++) {
        if (scheduler->processors[p].aside &&
            scheduler->processors[p].until_ns < scheduler->review_ns)
            scheduler->review_ns = scheduler->processors[p].until_ns;
    }
    return false;
}

bool mly_scheduler_decide(mly_scheduler *scheduler, struct mly_schedule_task **task,
                          uint32_t *processor)
{
    return mly_scheduler_decide_at(scheduler, scheduler->now_ns, task, processor);
}

int64_t mly_scheduler_review_ns(const mly_scheduler *scheduler)
{
    return scheduler->review_ns;
}

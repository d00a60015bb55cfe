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
 * What would be found anyway is not worked out:
 *   6. No processor is idle that may run a task of any waiting row: there is no decision.
 *   7. Tasks of one group that share no processor, not even by way of others, with what an idle one may
 *      run change nothing, and are passed over. (Of several groups they would count in their group's share.)
 *   8. After the first task that waits although an idle processor could take it: if the busy ones end
 *      all that waits sooner in any case, there is no decision. All work that waits, spread over the
 *      processors that may run a row, is an upper bound on when the first of them is available.
 *
 * The other policies give a lane's first task to one of its idle processors, by the same ties
 * without costs.
 */
#include "scheduler_private.h"

/* What a task of unknown cost counts for in its group's share, until it has run. */
#define UNKNOWN_NS 1000.0
/* So few tasks are looked at sooner than a bound is worked out for them, and for so many kinds at most. */
enum { FEW = 6, ROWS_MAX = 32 };

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

/* The only group that has tasks; NULL if there are several. */
static struct mly__group *only_group(const mly_scheduler *s)
{
    for (uint32_t i = 0; i < s->group_count; i++) {
        if (s->groups[i] && s->groups[i]->length > 0)
            return s->groups[i]->length == s->length ? s->groups[i] : NULL;
    }
    return NULL;
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

static void start_over(mly_scheduler *s)
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
    const int64_t now = s->now_ns;
    s->open_count = s->awaited_count = 0;
    for (uint32_t i = 0; i < s->processor_count; i++) {
        const struct mly__processor *p = &s->processors[i];
        s->available_ns[i] = now;
        if (mly__is_open(p)) {
            s->sorted[s->open_count++] = i;
            continue;
        }
        s->available_ns[i] = MLY__NEVER_NS;
        if (p->aside || p->ends_ns == 0)
            continue;
        s->available_ns[i] = p->ends_ns > now ? p->ends_ns : now + (now - p->ends_ns);
        s->sorted[s->processor_count - ++s->awaited_count] = i;
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

/* The processors that may run a task, ascending. */
struct list {
    const uint32_t *items;
    uint32_t count;
};

static struct list processors_of(const struct mly__group *g, uint32_t row)
{
    const uint32_t *first = &g->first_ascending[row / MLY__BATCH_SIZES];
    return (struct list){g->ascending + first[0], first[1] - first[0]};
}

/* Those that are idle; those that are waited for. */
static struct list open_ones(const mly_scheduler *s)
{
    return (struct list){s->sorted, s->open_count};
}

static struct list awaited_ones(const mly_scheduler *s)
{
    return (struct list){s->sorted + s->processor_count - s->awaited_count, s->awaited_count};
}

static struct choice choose(const mly_scheduler *s, const struct mly__group *g,
                            const struct mly_schedule_task *task)
{
    const int64_t *cost_ns = g->expected_ns + (size_t)task->row * g->stride;
    const struct list list = processors_of(g, task->row);
    struct choice choice = {MLY_NO_INDEX, MLY__NEVER_NS};
    for (uint32_t i = 0; i < list.count; i++) {
        uint32_t p = list.items[i];
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

/* Of the idle processors that where the task would end first. */
static struct choice find_idle(const mly_scheduler *s, const struct mly__group *g,
                               const struct mly_schedule_task *task)
{
    const int64_t *cost_ns = g->expected_ns + (size_t)task->row * g->stride;
    const struct list list = open_ones(s);
    struct choice choice = {MLY_NO_INDEX, MLY__NEVER_NS};
    for (uint32_t i = 0; i < list.count && list.items[i] < g->stride; i++) {
        uint32_t p = list.items[i];
        int64_t ns = finish_ns(s, task, cost_ns, p);
        if (ns < choice.finish_ns && (!task->avoid || mly__health_may_retry(s, task, p)))
            choice = (struct choice){p, ns};
    }
    return choice;
}

/* The same for all tasks of a row that are not choosy: within a decision nothing changes about it. */
static const struct mly__row *find_idle_once(const mly_scheduler *s, struct mly__group *g,
                                             uint32_t index)
{
    struct mly__row *row = &g->rows[index];
    const int64_t *cost_ns = g->expected_ns + (size_t)index * g->stride;
    const struct list list = open_ones(s);
    int64_t least_ns = MLY__NEVER_NS;
    if (row->decision == s->decisions)
        return row;
    row->decision = s->decisions;
    row->idle = MLY_NO_INDEX;
    row->idle_ties = false;
    for (uint32_t i = 0; i < list.count && list.items[i] < g->stride; i++) {
        uint32_t p = list.items[i];
        if (cost_ns[p] < least_ns) {
            least_ns = cost_ns[p];
            row->idle = p;
            row->idle_ties = false;
        } else if (cost_ns[p] == least_ns) {
            row->idle_ties = true;
        }
    }
    row->idle_ns = row->idle == MLY_NO_INDEX ? MLY__NEVER_NS : s->now_ns + least_ns;
    return row;
}

/* Least of available + cost so far. */
static inline void keep_least(const mly_scheduler *s, const int64_t *cost_ns, uint32_t p,
                              struct choice *least, uint32_t *ties)
{
    int64_t ns = s->available_ns[p] + cost_ns[p];
    *ties = ns < least->finish_ns ? 0 : *ties + (ns == least->finish_ns);
    least->processor = ns < least->finish_ns ? p : least->processor;
    least->finish_ns = ns < least->finish_ns ? ns : least->finish_ns;
}

/*
 * Where a task that is not choosy would end first of the processors that are waited for. None if that is
 * not one only, or the cost there is not known; then finish_ns is no later than it would be.
 */
static struct choice find_awaited(const mly_scheduler *s, const struct mly__group *g, uint32_t row)
{
    const int64_t *cost_ns = g->expected_ns + (size_t)row * g->stride;
    const struct list awaited = awaited_ones(s), own = processors_of(g, row);
    struct choice least = {MLY_NO_INDEX, MLY__NEVER_NS};
    uint32_t ties = 0;
    if (own.count <= awaited.count || g->stride < s->processor_count) {
        for (uint32_t i = 0; i < own.count; i++) {
            if (!mly__is_open(&s->processors[own.items[i]]))
                keep_least(s, cost_ns, own.items[i], &least, &ties);
        }
    } else {
        for (uint32_t i = 0; i < awaited.count; i++)
            keep_least(s, cost_ns, awaited.items[i], &least, &ties);
    }
    if (least.processor != MLY_NO_INDEX && (ties > 0 || cost_ns[least.processor] == 0))
        least.processor = MLY_NO_INDEX;
    return least;
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

/* (6) */
static bool may_decide(const mly_scheduler *s)
{
    for (uint32_t i = 0; i < s->group_count; i++) {
        const struct mly__group *g = s->groups[i];
        for (uint32_t k = 0; g && k < g->active_count; k++) {
            if (g->sets[g->active[k] / MLY__BATCH_SIZES] & s->idle_set)
                return true;
        }
    }
    return false;
}

/* (7) The processors that what an idle one may run depends on. */
static uint64_t find_related(const mly_scheduler *s, const struct mly__group *g)
{
    uint64_t related = s->idle_set, before;
    do {
        before = related;
        for (uint32_t k = 0; k < g->active_count; k++) {
            uint64_t set = g->sets[g->active[k] / MLY__BATCH_SIZES];
            related |= set & related ? set : 0;
        }
    } while (related != before);
    return related;
}

/* What is known of a row's tasks on the processors that are waited for. */
struct busy {
    struct mly__group *group;
    uint32_t row;
    uint32_t count;
    double available_ns; /* from now on, all together */
    double most_ns;      /* a task, at most */
    double spread_ns;    /* at most */
};

static struct busy sum_busy(const mly_scheduler *s, struct mly__group *g, uint32_t row)
{
    const int64_t *cost_ns = g->expected_ns + (size_t)row * g->stride;
    const struct mly__cost *costs = g->costs + (size_t)row * g->stride;
    struct busy busy = {.group = g, .row = row};
    int64_t available_ns = 0, most_ns = 0;
    const struct list list = awaited_ones(s);
    for (uint32_t i = 0; i < list.count; i++) {
        uint32_t p = list.items[i];
        if (p >= g->stride || cost_ns[p] == MLY__NEVER_NS || cost_ns[p] == 0)
            continue;
        busy.count++;
        available_ns += s->available_ns[p] - s->now_ns;
        most_ns = cost_ns[p] > most_ns ? cost_ns[p] : most_ns;
        if (costs[p].spread_ns > busy.spread_ns)
            busy.spread_ns = costs[p].spread_ns;
    }
    busy.available_ns = (double)available_ns;
    busy.most_ns = (double)most_ns;
    return busy;
}

/* (8) Are the busy processors sooner for all tasks of a row, with so much work for them before? */
static bool is_better_off_busy(mly_scheduler *s, const struct busy *busy, double work_ns)
{
    struct mly__group *g = busy->group;
    if (!(g->sets[busy->row / MLY__BATCH_SIZES] & s->idle_set))
        return true;
    const struct mly__row *row = find_idle_once(s, g, busy->row);
    if (row->idle == MLY_NO_INDEX)
        return true;
    if (busy->count == 0)
        return false;
    const struct mly__cost *cost = &g->costs[(size_t)busy->row * g->stride + row->idle];
    const double latest_ns = (busy->available_ns + work_ns) / busy->count + busy->most_ns +
                             busy->spread_ns + cost->spread_ns;
    return (double)(row->idle_ns - s->now_ns) > latest_ns * (1 + 1e-6) + 2; /* rounding */
}

/* (8) Of more kinds of tasks it is not worked out. */
static bool all_are_better_off_busy(mly_scheduler *s)
{
    struct busy busy[ROWS_MAX];
    uint32_t count = 0;
    double work_ns = 0;
    for (uint32_t i = 0; i < s->group_count; i++) {
        struct mly__group *g = s->groups[i];
        if (g && (g->choosy > 0 || g->active_count > ROWS_MAX - count))
            return false;
        for (uint32_t k = 0; g && k < g->active_count; k++) {
            busy[count] = sum_busy(s, g, g->active[k]);
            work_ns += g->rows[g->active[k]].waiting * busy[count++].most_ns;
        }
    }
    for (uint32_t i = 0; i < count; i++) {
        if (!is_better_off_busy(s, &busy[i], work_ns))
            return false;
    }
    return true;
}

/* Is (8) worth working out? Not if tasks like the first one that waits alone would fill the gap. */
static bool may_be_better_off_busy(const mly_scheduler *s, const struct mly_schedule_task *first,
                                   const struct choice *busy)
{
    const struct mly__group *g = s->groups[first->group];
    const struct mly__row *row = &g->rows[first->row];
    double gap_ns = (double)(row->idle_ns - busy->finish_ns);
    return row->decision == s->decisions &&
           gap_ns * s->awaited_count >
               (double)task_cost_ns(g, first, busy->processor) * (double)(s->length - 1);
}

/* (4), and (5): the task could be waited with, or run on an idle processor. */
static struct choice weigh(mly_scheduler *s, const struct mly__group *g,
                           const struct mly_schedule_task *task, struct choice choice,
                           struct choice idle)
{
    if (idle.finish_ns - choice.finish_ns <= doubt_ns(g, task, choice.processor, idle.processor))
        return idle;
    if (s->review_ns == INT64_MAX)
        s->review_ns = review_at(s, &choice, &idle); /* the first has the most to gain */
    return choice;
}

/* (2) to (5) of a task that is not choosy, for speed. */
static struct choice settle_plain(mly_scheduler *s, struct mly__group *g,
                                  const struct mly_schedule_task *task)
{
    const struct mly__row *row = find_idle_once(s, g, task->row);
    const struct choice idle = {row->idle, row->idle_ns};
    struct choice choice = find_awaited(s, g, task->row);
    if (row->idle_ns < choice.finish_ns && !row->idle_ties)
        return idle;
    if (choice.processor == MLY_NO_INDEX || row->idle_ns <= choice.finish_ns) {
        choice = choose(s, g, task);
        if (choice.processor == MLY_NO_INDEX || mly__is_open(&s->processors[choice.processor]))
            return choice;
    }
    return idle.processor == MLY_NO_INDEX ? choice : weigh(s, g, task, choice, idle);
}

/* (2) to (5) */
static struct choice settle(mly_scheduler *s, struct mly__group *g,
                            const struct mly_schedule_task *task)
{
    if (!task->choosy)
        return settle_plain(s, g, task);
    const bool bound = has_only(s, g, task);
    struct choice choice = bound ? choose_only(s, g, task) : choose(s, g, task);
    if (bound || choice.processor == MLY_NO_INDEX || mly__is_open(&s->processors[choice.processor]))
        return choice;
    struct choice idle = find_idle(s, g, task);
    return idle.processor == MLY_NO_INDEX ? choice : weigh(s, g, task, choice, idle);
}

static bool decide_earliest(mly_scheduler *s, struct mly_schedule_task **task, uint32_t *processor)
{
    struct mly__group *g = only_group(s);
    const bool alone = g != NULL;
    bool asked = s->length < FEW;
    if (!may_decide(s))
        return false;
    if (!alone)
        start_over(s);
    const uint64_t related = alone ? find_related(s, g) : 0;
    struct mly_schedule_task *t = alone ? g->lanes[0].first : NULL;
    s->decisions++;
    foresee(s);
    for (; alone ? t != NULL : (t = look_at_next(s, &g)) != NULL; t = alone ? t->next : NULL) {
        if (alone && !(g->sets[t->segment] & related))
            continue; /* (7) */
        struct choice choice = settle(s, g, t);
        if (choice.processor == MLY_NO_INDEX)
            continue;
        if (mly__is_open(&s->processors[choice.processor])) { /* (3) */
            *task = t;
            *processor = choice.processor;
            assign(s, g, t, choice.processor);
            return true;
        }
        if (!alone)
            g->scratch += share(g, task_cost_ns(g, t, choice.processor));
        s->available_ns[choice.processor] = choice.finish_ns;
        if (!asked && s->review_ns != INT64_MAX) {
            asked = true;
            if (may_be_better_off_busy(s, t, &choice) && all_are_better_off_busy(s)) /* (8) */
                return false;
        }
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
    start_over(s);
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
    if (scheduler->idle > 0 && (scheduler->policy == MLY_SCHEDULE_EARLIEST
                                    ? decide_earliest(scheduler, task, processor)
                                    : decide_first_idle(scheduler, task, processor)))
        return true;
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

/*
 * The scheduler takes short cuts. Here every decision under earliest-finish is worked out once more in the
 * plainest way, from the raw runs and the tasks' own fields, on random instances: groups of unlike weight,
 * batch sizes, processors that fail, tasks that are bound, that avoid one, or whose inputs are far.
 */
#include "support/test.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/random.h"
#include "runtime/scheduler_private.h"

enum { PROCESSORS = 70, GROUPS = 3, SEGMENTS = 6, TASKS = 120, KINDS = 10 };
#define NEVER MLY__NEVER_NS
#define MS INT64_C(1000000)

/* What an instance is like. */
struct setting {
    uint64_t seed;
    uint32_t processors, groups, segments, tasks;
    bool chain;   /* each segment on a few processors of its own, as in a pipeline */
    bool alike;   /* many processors end at the same time */
    bool unknown; /* nothing is known at first */
    bool choosy;  /* some tasks are bound, avoid one, or are moved */
    bool fails;
    uint32_t slow_ratio; /* of every other processor */
};

struct world {
    const struct setting *setting;
    struct mly_random random;
    mly_scheduler *scheduler;
    uint32_t groups[GROUPS];
    bool may[GROUPS][SEGMENTS][PROCESSORS];
    int64_t now_ns;
    struct mly_schedule_task tasks[TASKS];
    int64_t move_ns[TASKS][PROCESSORS];
    uint32_t pushed[TASKS]; /* when, for those that are alike otherwise */
    bool running[TASKS];
    uint32_t on[TASKS];
    uint32_t pushes;
    uint64_t order, decided, declined, reviews;
};

static struct world world;

/* --- the plain way --- */

static int compare_floats(const void *a, const void *b)
{
    float x = *(const float *)a, y = *(const float *)b;
    return (x > y) - (x < y);
}

static const struct mly__cost *cost_of(const struct mly__group *g, uint32_t row, uint32_t p)
{
    return &g->costs[(size_t)row * g->stride + p];
}

static bool has_session(const struct mly__group *g, uint32_t row, uint32_t p)
{
    uint32_t group = 0;
    while (world.scheduler->groups[group] != g)
        group++;
    return world.may[group][row / MLY__BATCH_SIZES][p];
}

static float spread_of(const struct mly__cost *cost)
{
    float sorted[MLY__COST_RUNS];
    if (cost->count < MLY__COST_RUNS)
        return 0;
    memcpy(sorted, cost->runs_ns, sizeof sorted);
    qsort(sorted, MLY__COST_RUNS, sizeof *sorted, compare_floats);
    return sorted[3] - sorted[1];
}

/* By one processor's own runs; 0: unknown. */
static int64_t by_its_runs(const struct mly__group *g, uint32_t row, uint32_t p)
{
    const struct mly__cost *cost = cost_of(g, row, p);
    float sorted[MLY__COST_RUNS];
    if (cost->count == 0)
        return 0;
    memcpy(sorted, cost->runs_ns, sizeof sorted);
    qsort(sorted, cost->count, sizeof *sorted, compare_floats);
    float middle = cost->count < 3 ? sorted[0] : sorted[(cost->count - 1) / 2];
    uint64_t halves = (g->rows[row].runs - cost->seen) / 256;
    int64_t ns = (int64_t)middle >> (halves < 2 ? halves : 2);
    return ns > 1 ? ns : 1;
}

static int64_t expected(const struct mly__group *g, uint32_t row, uint32_t p)
{
    int64_t least = NEVER;
    if (p >= g->stride || !has_session(g, row, p))
        return NEVER;
    if (cost_of(g, row, p)->count == 0 || cost_of(g, row, p)->count >= 3)
        return by_its_runs(g, row, p);
    for (uint32_t q = 0; q < g->stride; q++) {
        if (has_session(g, row, q) && cost_of(g, row, q)->count > 0 &&
            by_its_runs(g, row, q) < least)
            least = by_its_runs(g, row, q);
    }
    return least;
}

static bool has_other(const struct world *w, const struct mly_schedule_task *t, uint32_t p)
{
    const struct mly__group *g = w->scheduler->groups[t->group];
    for (uint32_t q = 0; q < g->stride; q++) {
        if (q != p && has_session(g, t->row, q) && !w->scheduler->processors[q].aside)
            return true;
    }
    return false;
}

static bool may_retry(const struct world *w, const struct mly_schedule_task *t, uint32_t p)
{
    const struct mly__group *g = w->scheduler->groups[t->group];
    if (!t->avoid)
        return true;
    if (p + 1 == t->avoid)
        return !has_other(w, t, p);
    if (w->scheduler->processors[p].failures == 0)
        return true;
    for (uint32_t q = 0; q < g->stride; q++) {
        const struct mly__processor *other = &w->scheduler->processors[q];
        if (q + 1 != t->avoid && has_session(g, t->row, q) && !other->aside && other->failures == 0)
            return false;
    }
    return true;
}

static bool is_idle(const struct world *w, uint32_t p)
{
    return !w->scheduler->processors[p].busy && !w->scheduler->processors[p].aside;
}

struct answer {
    const struct mly_schedule_task *task; /* NULL: none */
    uint32_t processor;
    int64_t review_ns;
};

struct plain {
    const struct world *w;
    int64_t available_ns[PROCESSORS];
    double share[GROUPS];
    bool looked_at[TASKS];
    struct answer answer;
};

static bool goes_before(const struct world *w, uint32_t a, uint32_t b)
{
    const struct mly_schedule_task *x = &w->tasks[a], *y = &w->tasks[b];
    if (x->late != y->late)
        return y->late;
    if (x->priority != y->priority)
        return x->priority > y->priority;
    if (x->order != y->order)
        return x->order < y->order;
    if (x->segment != y->segment)
        return x->segment > y->segment;
    return w->pushed[a] < w->pushed[b];
}

/* The next task to look at: of the group that has had least its first one. */
static uint32_t next_task(const struct plain *plain)
{
    const struct world *w = plain->w;
    uint32_t best = TASKS;
    for (uint32_t i = 0; i < w->setting->tasks; i++) {
        if (!w->tasks[i].waiting || plain->looked_at[i])
            continue;
        uint32_t group = w->tasks[i].group, of_best = best < TASKS ? w->tasks[best].group : 0;
        bool better = best == TASKS;
        if (!better && group != of_best)
            better = plain->share[group] < plain->share[of_best] ||
                     (!(plain->share[of_best] < plain->share[group]) && group < of_best);
        else if (!better)
            better = goes_before(w, i, best);
        if (better)
            best = i;
    }
    return best;
}

static int64_t ends_at(const struct plain *plain, const struct mly_schedule_task *t, uint32_t p)
{
    const struct mly_scheduler *s = plain->w->scheduler;
    int64_t cost = expected(s->groups[t->group], t->row, p);
    int64_t available = plain->available_ns[p];
    if (cost == NEVER || available == NEVER || (cost == 0 && available != s->now_ns))
        return NEVER;
    return available + cost + (t->move_ns ? t->move_ns[p] : 0);
}

/* Of two that end at the same time: idle, cheaper, where the inputs are, worked last. */
static bool wins_tie(const struct world *w, const struct mly_schedule_task *t, uint32_t a,
                     uint32_t b)
{
    const struct mly__group *g = w->scheduler->groups[t->group];
    int64_t cost_a = expected(g, t->row, a), cost_b = expected(g, t->row, b);
    if (is_idle(w, a) != is_idle(w, b))
        return is_idle(w, a);
    if (cost_a != cost_b)
        return cost_a < cost_b;
    if (a == t->home || b == t->home)
        return a == t->home;
    return w->scheduler->processors[a].released_ns > w->scheduler->processors[b].released_ns;
}

/* May it wait for no other processor than the one that it is bound to? */
static bool is_bound(const struct world *w, const struct mly_schedule_task *t)
{
    const struct mly__group *g = w->scheduler->groups[t->group];
    return t->only && t->only - 1 < g->stride && t->avoid != t->only &&
           has_session(g, t->row, t->only - 1) && !w->scheduler->processors[t->only - 1].aside;
}

static uint32_t where_first(const struct plain *plain, const struct mly_schedule_task *t, bool idle,
                            int64_t *end_ns)
{
    const struct world *w = plain->w;
    const struct mly__group *g = w->scheduler->groups[t->group];
    uint32_t best = MLY_NO_INDEX;
    *end_ns = NEVER;
    for (uint32_t p = 0; p < g->stride; p++) {
        int64_t ns = ends_at(plain, t, p);
        if (ns >= NEVER || (idle && !is_idle(w, p)) || !may_retry(w, t, p))
            continue;
        if (ns < *end_ns || (!idle && ns == *end_ns && wins_tie(w, t, p, best))) {
            best = p;
            *end_ns = ns;
        }
    }
    return best;
}

static void weigh_idle(struct plain *plain, const struct mly_schedule_task *t, uint32_t *p,
                       int64_t *end_ns)
{
    const struct mly_scheduler *s = plain->w->scheduler;
    const struct mly__group *g = s->groups[t->group];
    int64_t idle_ns, ends_ns = s->processors[*p].ends_ns;
    uint32_t idle = where_first(plain, t, true, &idle_ns);
    if (idle == MLY_NO_INDEX)
        return;
    int64_t gain_ns = idle_ns - *end_ns;
    float doubt = spread_of(cost_of(g, t->row, *p)) + spread_of(cost_of(g, t->row, idle));
    if (gain_ns <= (int64_t)doubt) {
        *p = idle;
        *end_ns = idle_ns;
    } else if (plain->answer.review_ns == INT64_MAX) {
        plain->answer.review_ns =
            ends_ns > s->now_ns ? ends_ns + (ends_ns - s->now_ns) + gain_ns : s->now_ns + gain_ns;
    }
}

/* Looks at the tasks in their order, until one is for an idle processor. */
static void look(struct plain *plain)
{
    const struct world *w = plain->w;
    for (uint32_t i; (i = next_task(plain)) < TASKS;) {
        const struct mly_schedule_task *t = &w->tasks[i];
        const struct mly__group *g = w->scheduler->groups[t->group];
        const bool bound = is_bound(w, t);
        int64_t end_ns = NEVER;
        uint32_t p = MLY_NO_INDEX;
        plain->looked_at[i] = true;
        if (!bound) {
            p = where_first(plain, t, false, &end_ns);
        } else if (plain->available_ns[t->only - 1] < NEVER) {
            p = t->only - 1;
            end_ns =
                plain->available_ns[p] + expected(g, t->row, p) + (t->move_ns ? t->move_ns[p] : 0);
        }
        if (p == MLY_NO_INDEX)
            continue;
        if (!is_idle(w, p) && !bound)
            weigh_idle(plain, t, &p, &end_ns);
        if (is_idle(w, p)) {
            plain->answer.task = t;
            plain->answer.processor = p;
            return;
        }
        int64_t cost = expected(g, t->row, p) + (t->move_ns ? t->move_ns[p] : 0);
        plain->share[t->group] += (cost > 0 ? (double)cost : 1000.0) / g->weight;
        plain->available_ns[p] = end_ns;
    }
}

static struct answer ask(const struct world *w)
{
    static struct plain plain;
    mly_scheduler *s = w->scheduler;
    plain = (struct plain){.w = w, .answer = {.review_ns = INT64_MAX}};
    if (w->now_ns > s->now_ns)
        s->now_ns = w->now_ns;
    if (s->length > 0 && s->aside > 0)
        mly__health_refresh(s);
    for (uint32_t p = 0; p < s->processor_count; p++) {
        const struct mly__processor *it = &s->processors[p];
        int64_t late = s->now_ns - it->ends_ns;
        plain.available_ns[p] = it->aside          ? NEVER
                                : !it->busy        ? s->now_ns
                                : it->ends_ns == 0 ? NEVER
                                : late < 0         ? it->ends_ns
                                                   : s->now_ns + late;
    }
    for (uint32_t g = 0; g < s->group_count; g++)
        plain.share[g] = s->groups[g]->served;
    bool any_idle = false;
    for (uint32_t p = 0; p < s->processor_count; p++)
        any_idle = any_idle || is_idle(w, p);
    if (any_idle)
        look(&plain);
    for (uint32_t p = 0; p < s->processor_count && s->length > 0 && !plain.answer.task; p++) {
        const struct mly__processor *it = &s->processors[p];
        if (it->aside && it->until_ns < plain.answer.review_ns)
            plain.answer.review_ns = it->until_ns;
    }
    return plain.answer;
}

/* --- random instances --- */

static uint32_t below(struct world *w, uint32_t bound)
{
    return (uint32_t)mly_random_below(&w->random, bound);
}

static int64_t draw_cost(struct world *w, uint32_t p)
{
    int64_t ns = w->setting->alike ? 4 * MS : MS + (int64_t)mly_random_below(&w->random, 9 * MS);
    return p % 2 ? ns * w->setting->slow_ratio : ns;
}

static void add_group(struct world *w, uint32_t index)
{
    static const uint32_t weights[GROUPS] = {1, 3, 7};
    const struct setting *setting = w->setting;
    struct mly_schedule_eligible eligible[SEGMENTS];
    uint32_t lists[SEGMENTS][PROCESSORS];
    for (uint32_t s = 0; s < setting->segments; s++) {
        uint32_t n = 0;
        for (uint32_t p = setting->processors; p-- > 0;) { /* not ascending */
            if (setting->chain ? p % setting->segments == s : below(w, 4) > 0)
                lists[s][n++] = p;
        }
        if (n == 0)
            lists[s][n++] = below(w, setting->processors);
        eligible[s] = (struct mly_schedule_eligible){lists[s], n};
        for (uint32_t i = 0; i < n; i++)
            w->may[index][s][lists[s][i]] = true;
    }
    assert_int_equal(mly_scheduler_add_group(w->scheduler, setting->processors, eligible,
                                             setting->segments, weights[index], &w->groups[index],
                                             NULL),
                     MLY_OK);
    for (uint32_t s = 0; s < setting->segments; s++) {
        for (uint32_t i = 0; i < eligible[s].count && !setting->unknown; i++) {
            uint32_t p = lists[s][i];
            if (below(w, 20) > 0)
                mly_scheduler_set_batch_cost(w->scheduler, w->groups[index], s, p, 0,
                                             draw_cost(w, p));
        }
    }
}

static void push(struct world *w, uint32_t i)
{
    const struct setting *setting = w->setting;
    struct mly_schedule_task *t = &w->tasks[i];
    *t = (struct mly_schedule_task){.order = w->order++ / setting->segments,
                                    .segment = below(w, setting->segments),
                                    .home =
                                        below(w, 3) ? below(w, setting->processors) : MLY_NO_INDEX,
                                    .group = w->groups[below(w, setting->groups)],
                                    .batch = below(w, 4) ? 0 : below(w, KINDS)};
    if (setting->choosy && below(w, 8) == 0) {
        t->priority = (int32_t)below(w, 3) - 1;
        t->late = below(w, 4) == 0;
    }
    if (setting->choosy && below(w, 10) == 0)
        t->avoid = 1 + below(w, setting->processors);
    if (setting->choosy && below(w, 10) == 0)
        t->only = 1 + below(w, setting->processors);
    if (setting->choosy && below(w, 5) == 0) {
        for (uint32_t p = 0; p < setting->processors; p++)
            w->move_ns[i][p] = below(w, 2) ? 0 : below(w, 5 * MS);
        t->move_ns = w->move_ns[i];
    }
    w->pushed[i] = w->pushes++;
    mly_scheduler_push(w->scheduler, t);
}

/* Decides until there is nothing to give, as the plain way does. */
static void decide(struct world *w)
{
    for (;;) {
        struct mly_schedule_task *task = NULL;
        uint32_t p = 0;
        const struct answer answer = ask(w);
        bool found = mly_scheduler_decide_at(w->scheduler, w->now_ns, &task, &p);
        if (found != (answer.task != NULL) || (found && task != answer.task) ||
            (found && p != answer.processor))
            fail_msg("seed %u, decision %u: task %d on %u; the plain way: %d on %u",
                     (unsigned)w->setting->seed, (unsigned)(w->decided + w->declined),
                     found ? (int)(task - w->tasks) : -1, p,
                     answer.task ? (int)(answer.task - w->tasks) : -1, answer.processor);
        if (!found) {
            if (mly_scheduler_review_ns(w->scheduler) != answer.review_ns)
                fail_msg("seed %u, decision %u: review at %lld; the plain way: %lld",
                         (unsigned)w->setting->seed, (unsigned)(w->decided + w->declined),
                         (long long)mly_scheduler_review_ns(w->scheduler),
                         (long long)answer.review_ns);
            w->declined++;
            w->reviews += answer.review_ns != INT64_MAX;
            return;
        }
        w->decided++;
        w->running[task - w->tasks] = true;
        w->on[task - w->tasks] = p;
    }
}

static void end(struct world *w, uint32_t i)
{
    struct mly_schedule_task *t = &w->tasks[i];
    int64_t ns = t->cost_ns > 1000 ? t->cost_ns : draw_cost(w, w->on[i]);
    w->running[i] = false;
    if (w->setting->fails && below(w, 12) == 0) {
        (void)mly_scheduler_failed(w->scheduler, w->on[i], below(w, 3) > 0, w->now_ns);
    } else {
        if (!w->setting->alike)
            ns = ns - ns / 8 + (int64_t)mly_random_below(&w->random, (uint64_t)ns / 4 + 1);
        mly_scheduler_ran(w->scheduler, t, w->on[i], ns);
    }
    mly_scheduler_release(w->scheduler, w->on[i], w->now_ns);
}

/* Some tasks end, are taken back and come; not always is everything decided before the next change. */
static void step(struct world *w)
{
    const uint32_t tasks = w->setting->tasks;
    for (uint32_t i = 0; i < tasks; i++) {
        if (w->running[i] && below(w, 6) == 0)
            end(w, i);
        else if (w->tasks[i].waiting && below(w, 200) == 0)
            mly_scheduler_remove(w->scheduler, &w->tasks[i]);
    }
    /* At times there is little, at times much to do. */
    uint32_t to_push = below(w, 3) ? below(w, 4) : below(w, tasks);
    for (uint32_t i = 0; i < tasks && to_push > 0; i++) {
        if (!w->running[i] && !w->tasks[i].waiting && to_push-- > 0)
            push(w, i);
    }
    w->now_ns += (int64_t)mly_random_below(&w->random, w->setting->alike ? 2 : 3) * MS;
    decide(w);
}

static void simulate(const struct setting *setting, uint32_t steps)
{
    struct world *w = &world;
    memset(w, 0, sizeof *w);
    w->setting = setting;
    mly_random_init(&w->random, setting->seed);
    assert_int_equal(mly_scheduler_create_empty(MLY_SCHEDULE_EARLIEST, &w->scheduler, NULL),
                     MLY_OK);
    for (uint32_t g = 0; g < setting->groups; g++)
        add_group(w, g);
    for (uint32_t i = 0; i < steps; i++)
        step(w);
    assert_true(w->decided > 0 && w->declined > 0);
    mly_scheduler_destroy(w->scheduler);
}

static void every_decision_is_that_of_the_plain_way(void **state)
{
    (void)state;
    static const uint32_t ratios[] = {1, 2, 5, 12, 100};
    uint64_t reviews = 0;
    for (uint64_t seed = 1; seed <= 240; seed++) {
        struct mly_random random;
        mly_random_init(&random, seed + 1000);
        const struct setting setting = {
            .seed = seed,
            .processors = 1 + (uint32_t)mly_random_below(&random, 20),
            .groups = seed % 3 ? 1 : 1 + (uint32_t)mly_random_below(&random, GROUPS),
            .segments = 1 + (uint32_t)mly_random_below(&random, SEGMENTS),
            .tasks = seed % 2 ? 12 : 64,
            .chain = seed % 5 == 0,
            .alike = seed % 4 == 0,
            .unknown = seed % 7 == 0,
            .choosy = seed % 2 == 0,
            .fails = seed % 6 == 0,
            .slow_ratio = ratios[mly_random_below(&random, 5)]};
        simulate(&setting, 60);
        reviews += world.reviews;
    }
    assert_true(reviews > 1000); /* waiting for a busy processor is not rare here */
}

/* More than one word of bits has room for. */
static void many_processors(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 6; seed++) {
        const struct setting setting = {.seed = seed,
                                        .processors = PROCESSORS,
                                        .groups = 1,
                                        .segments = 1 + seed % 3,
                                        .tasks = TASKS,
                                        .chain = seed % 2,
                                        .choosy = seed % 3 == 0,
                                        .slow_ratio = 20};
        simulate(&setting, 12);
    }
}

/* Fast processors are busy and slow ones idle: from clearly better off waiting to clearly not. */
static void waiting_tasks_at_every_ratio_of_speed(void **state)
{
    (void)state;
    for (uint32_t ratio = 1; ratio <= 40; ratio++) {
        const struct setting setting = {.seed = ratio,
                                        .processors = 8,
                                        .groups = 1,
                                        .segments = 1 + ratio % 3,
                                        .tasks = 64,
                                        .alike = ratio % 2,
                                        .slow_ratio = ratio};
        simulate(&setting, 60);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_decision_is_that_of_the_plain_way),
        cmocka_unit_test(many_processors),
        cmocka_unit_test(waiting_tasks_at_every_ratio_of_speed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/*
 * Whole schedules on a virtual clock: random plans, costs, arrivals, failures, cancellations,
 * deadlines and slow-downs, against what can be proved of them.
 */
#include "support/fake_backend.h"
#include "support/test.h"

#include <string.h>

#include "base/alloc.h"
#include "base/random.h"
#include "model/graph.h"
#include "runtime/core.h"

enum { SEGMENTS = 5, PROCESSORS = 6, REQUESTS = 100 };
#define NEVER INT64_MAX
#define MS INT64_C(1000000)

/* What one simulation is like. */
struct setting {
    uint64_t seed;
    bool alike;       /* all processors of equal speed, each may run everything */
    bool independent; /* one segment: requests are single tasks, all there at the start */
    bool ordered;
    bool exact;     /* the scheduler knows the costs; else it learns */
    bool deadlines; /* and priorities */
    uint32_t failure_percent, cancel_percent, slow_percent;
    bool dies; /* processor 0 fails everything from 200 ms to 1200 ms */
    enum mly_schedule_policy policy;
};

struct world {
    const struct setting *setting;
    struct mly_flow flow;
    struct mly__core core;
    struct mly_random random;
    uint32_t processors, capacity;
    int64_t now_ns, next_arrival_ns;
    int64_t cost_ns[SEGMENTS][PROCESSORS]; /* 0: may not run there */
    struct mly__task *running[PROCESSORS];
    int64_t ends_ns[PROCESSORS], expected_ns[PROCESSORS];
    mly_request *requests[REQUESTS];
    uint8_t runs[REQUESTS][SEGMENTS];
    uint32_t failed_on[REQUESTS][SEGMENTS]; /* 1 + processor */
    bool over[REQUESTS][SEGMENTS], delivered_once[REQUESTS];
    enum mly_status statuses[REQUESTS];
    uint32_t submitted, delivered;
    uint64_t last_delivered, history;
    int64_t work_ns, longest_chain_ns, least_work_ns, end_ns;
    uint32_t by_dead; /* tasks that processor 0 ran after it came back */
};

static struct world world, other;

static void make_flow(struct world *w)
{
    char texts[SEGMENTS][64];
    const char *segments[SEGMENTS];
    uint32_t count = w->setting->independent ? 1 : SEGMENTS;
    for (uint32_t s = 0; s < count; s++) {
        /* A chain, with side branches that the last one joins. */
        uint32_t from = s > 0 && mly_random_below(&w->random, 3) == 0 ? s - 1 : s;
        int n = snprintf(texts[s], 32, "%u", s + 1 == count ? s : from);
        for (uint32_t i = from + 1; s + 1 == count && i < s; i++)
            n += snprintf(texts[s] + n, 8, " %u", i);
        n += snprintf(texts[s] + n, 8, ">%u@", s + 1);
        for (uint32_t p = 0; p < w->processors; p++) {
            bool may =
                w->setting->alike || p == s % w->processors || mly_random_below(&w->random, 3) > 0;
            /* Odd enough that no two ways to an end take the same time. */
            int64_t ns = MS + (int64_t)mly_random_below(&w->random, 20 * MS);
            w->cost_ns[s][p] = !may ? 0 : w->setting->alike && p > 0 ? w->cost_ns[s][0] : ns;
            if (may)
                n += snprintf(texts[s] + n, 8, "%u ", p);
        }
        segments[s] = texts[s];
    }
    char output[16];
    snprintf(output, sizeof output, "%u", count);
    struct mly_error err = {0};
    if (fake_flow_init(&fake_ops, "0", output, w->processors, segments, count, &w->flow, &err) !=
        MLY_OK)
        fail_msg("seed %u: %s", (unsigned)w->setting->seed, err.message);
}

static void note(struct world *w, uint64_t value)
{
    w->history = (w->history ^ value) * UINT64_C(0x100000001b3);
}

/* --- the oracle: where each waiting task should go, worked out in the plainest way --- */

struct oracle {
    const struct mly__task *task; /* for an idle processor; NULL: none */
    uint32_t processor;
    int64_t finish_ns;
};

static int64_t foreseen_ns(const struct world *w, uint32_t p)
{
    if (!w->running[p])
        return w->now_ns;
    int64_t expected = w->expected_ns[p];
    return expected > w->now_ns ? expected : w->now_ns + (w->now_ns - expected);
}

static bool comes_first(const struct mly__task *a, const struct mly__task *b)
{
    if (a->schedule.late != b->schedule.late)
        return b->schedule.late;
    if (a->schedule.priority != b->schedule.priority)
        return a->schedule.priority > b->schedule.priority;
    if (a->request->sequence != b->request->sequence)
        return a->request->sequence < b->request->sequence;
    return a->schedule.segment > b->schedule.segment;
}

/* List scheduling of all waiting tasks, in their order, each where it ends first. */
static struct oracle ask_oracle(const struct world *w)
{
    static bool looked_at[REQUESTS][SEGMENTS];
    int64_t available_ns[PROCESSORS];
    memset(looked_at, 0, sizeof looked_at);
    for (uint32_t p = 0; p < w->processors; p++)
        available_ns[p] = foreseen_ns(w, p);
    for (;;) {
        const struct mly__task *first = NULL;
        for (const mly_request *r = w->core.first; r; r = r->next) {
            for (uint32_t s = 0; s < w->flow.segment_count; s++) {
                const struct mly__task *t = &r->tasks[s];
                if (t->state == MLY__TASK_WAITING && !looked_at[r->sequence][s] &&
                    (!first || comes_first(t, first)))
                    first = t;
            }
        }
        if (!first)
            return (struct oracle){0};
        uint32_t s = first->schedule.segment, best = MLY_NO_INDEX;
        looked_at[first->request->sequence][s] = true;
        int64_t best_ns = NEVER;
        for (uint32_t p = 0; p < w->processors; p++) {
            if (w->cost_ns[s][p] == 0 || p + 1 == first->schedule.avoid)
                continue;
            int64_t ns = available_ns[p] + w->cost_ns[s][p];
            if (ns < best_ns || (ns == best_ns && w->running[best] && !w->running[p])) {
                best = p;
                best_ns = ns;
            }
        }
        if (best != MLY_NO_INDEX && !w->running[best])
            return (struct oracle){first, best, best_ns};
        if (best != MLY_NO_INDEX)
            available_ns[best] = best_ns;
    }
}

/* --- the executor --- */

static void check_begin(struct world *w, const struct mly__task *task)
{
    uint64_t sequence = task->request->sequence;
    uint32_t segment = task->schedule.segment, p = task->processor;
    assert_null(w->running[p]);
    assert_true(w->cost_ns[segment][p] > 0);
    assert_int_equal(w->runs[sequence][segment]++, task->retried ? 1 : 0);
    if (task->retried && w->failed_on[sequence][segment] == p + 1) /* all others set aside since */
        assert_false(mly_scheduler_has_other(w->core.scheduler, &task->schedule, p));
    const struct mly_flow_segment *its = &w->flow.segments[segment];
    for (uint32_t i = 0; i < its->input_count; i++) {
        uint32_t producer = w->flow.slots[its->inputs[i]].producer;
        assert_true(producer == MLY_NO_INDEX || w->over[sequence][producer]);
    }
}

static void dispatch(struct world *w)
{
    const struct setting *setting = w->setting;
    bool checked = setting->exact && !setting->alike && !setting->independent &&
                   setting->policy == MLY_SCHEDULE_EARLIEST && setting->failure_percent == 0 &&
                   !setting->dies;
    if (w->now_ns >= w->core.next_deadline_ns)
        mly__core_expire(&w->core, w->now_ns);
    for (;;) {
        struct oracle oracle = checked ? ask_oracle(w) : (struct oracle){0};
        struct mly__task *task = mly__scheduler_next(w->core.scheduler, w->now_ns);
        if (checked)
            assert_int_equal(task != NULL, oracle.task != NULL);
        if (!task)
            return;
        uint32_t segment = task->schedule.segment, p = task->processor;
        if (checked) { /* of processors that end it at the same time any will do */
            assert_ptr_equal(task, oracle.task);
            assert_int_equal(w->now_ns + w->cost_ns[segment][p], oracle.finish_ns);
        }
        check_begin(w, task);
        note(w, task->request->sequence * 1000 + segment * 10 + p);
        note(w, (uint64_t)w->now_ns);
        assert_true(mly__core_begin(task, w->now_ns));
        int64_t ns = w->cost_ns[segment][p];
        w->work_ns += ns;
        w->expected_ns[p] = w->now_ns + ns;
        if (mly_random_below(&w->random, 100) < setting->slow_percent)
            ns *= 2 + (int64_t)mly_random_below(&w->random, 20);
        w->running[p] = task;
        w->ends_ns[p] = w->now_ns + ns;
        w->by_dead += p == 0 && w->now_ns > 1200 * MS;
    }
}

static void deliver(struct world *w)
{
    mly_request *request;
    while ((request = mly__core_take_finished(&w->core, w->now_ns))) {
        uint64_t sequence = request->sequence;
        if (w->core.ordered && w->delivered > 0)
            assert_int_equal(sequence, w->last_delivered + 1);
        assert_false(w->delivered_once[sequence]);
        w->delivered_once[sequence] = true;
        w->last_delivered = sequence;
        w->delivered++;
        w->statuses[sequence] = request->status;
        for (uint32_t s = 0; s < w->flow.segment_count && request->status == MLY_OK; s++)
            assert_true(w->over[sequence][s]);
        if (request->status == MLY_E_DEADLINE)
            assert_true(request->deadline_ns <= w->now_ns && !request->late_last);
        mly__request_drop_tensors(&w->flow, request);
        mly__core_delivered(&w->core, request);
        mly__request_give(request->pool, request);
        w->requests[sequence] = NULL;
    }
}

static bool fails(struct world *w, uint32_t p)
{
    if (w->setting->dies && p == 0 && w->now_ns >= 200 * MS && w->now_ns < 1200 * MS)
        return true;
    return mly_random_below(&w->random, 100) < w->setting->failure_percent;
}

static void complete(struct world *w, uint32_t p)
{
    struct mly__task *task = w->running[p];
    uint64_t sequence = task->request->sequence;
    uint32_t segment = task->schedule.segment;
    struct mly_error why = {.message = "told to fail"};
    bool failed = fails(w, p);
    w->running[p] = NULL;
    if (failed)
        w->failed_on[sequence][segment] = p + 1;
    else
        w->over[sequence][segment] = true;
    struct mly_tensor garbage[16];
    uint32_t garbage_count = 0;
    mly__core_complete(&w->core, task, failed ? MLY_E_BACKEND : MLY_OK, &why, w->now_ns, garbage,
                       &garbage_count);
    deliver(w);
    mly__core_release(&w->core, p, w->now_ns);
}

static void submit(struct world *w)
{
    const struct setting *setting = w->setting;
    mly_request *request = mly__request_take(&w->core.pool);
    assert_non_null(request);
    int64_t memory[FAKE_WIDTH];
    struct mly_tensor input;
    fake_fill(&input, memory, 1, 1, 0);
    if (setting->deadlines) {
        request->priority = (int32_t)mly_random_below(&w->random, 3) - 1;
        request->late_last = mly_random_below(&w->random, 2);
        if (mly_random_below(&w->random, 2))
            request->deadline_ns = w->now_ns + (int64_t)mly_random_below(&w->random, 100) * MS;
    }
    w->requests[w->submitted++] = request;
    mly__core_submit(&w->core, request, &input, NULL, w->now_ns);
}

static void cancel_some(struct world *w)
{
    for (uint32_t i = 0; i < w->submitted && w->setting->cancel_percent; i++) {
        if (w->requests[i] && mly_random_below(&w->random, 1000) < w->setting->cancel_percent)
            mly__core_cancel(&w->core, w->requests[i]);
    }
    deliver(w);
}

/* What any schedule needs: all work on its fastest processors; a request's longest chain. */
static void find_bounds(struct world *w)
{
    int64_t chain_ns[SEGMENTS] = {0};
    for (uint32_t s = 0; s < w->flow.segment_count; s++) {
        int64_t least = NEVER, before = 0;
        for (uint32_t p = 0; p < w->processors; p++) {
            if (w->cost_ns[s][p] > 0 && w->cost_ns[s][p] < least)
                least = w->cost_ns[s][p];
        }
        for (uint32_t i = 0; i < w->flow.segments[s].input_count; i++) {
            uint32_t producer = w->flow.slots[w->flow.segments[s].inputs[i]].producer;
            if (producer != MLY_NO_INDEX && chain_ns[producer] > before)
                before = chain_ns[producer];
        }
        chain_ns[s] = before + least;
        w->least_work_ns += least * REQUESTS;
        if (chain_ns[s] > w->longest_chain_ns)
            w->longest_chain_ns = chain_ns[s];
    }
}

static void begin(struct world *w, const struct setting *setting)
{
    memset(w, 0, sizeof *w);
    w->setting = setting;
    mly_random_init(&w->random, setting->seed);
    w->processors = 1 + (uint32_t)mly_random_below(&w->random, PROCESSORS);
    if (setting->dies && w->processors < 2)
        w->processors = 2;
    w->capacity = REQUESTS;
    if (!setting->independent && !setting->alike)
        w->capacity = 1 + (uint32_t)mly_random_below(&w->random, 40);
    make_flow(w);
    find_bounds(w);
    assert_int_equal(mly__core_init(&w->core, &w->flow, NULL, setting->policy, setting->ordered,
                                    w->capacity, NULL),
                     MLY_OK);
    for (uint32_t s = 0; s < w->flow.segment_count && setting->exact; s++) {
        for (uint32_t p = 0; p < w->processors; p++) {
            if (w->cost_ns[s][p] > 0)
                mly_scheduler_set_cost(w->core.scheduler, s, p, w->cost_ns[s][p]);
        }
    }
}

static void arrive(struct world *w)
{
    bool all_at_once = w->setting->independent || w->setting->alike;
    while (w->submitted < REQUESTS && mly__core_has_room(&w->core) &&
           (all_at_once || w->next_arrival_ns <= w->now_ns)) {
        submit(w);
        if (!all_at_once)
            dispatch(w);
        w->next_arrival_ns = w->now_ns + (int64_t)mly_random_below(&w->random, 12) * MS;
    }
}

/* The next thing to happen: a task ends, a request comes, a deadline or a review. */
static int64_t next_event_ns(const struct world *w)
{
    int64_t next = NEVER;
    for (uint32_t p = 0; p < w->processors; p++) {
        if (w->running[p] && w->ends_ns[p] < next)
            next = w->ends_ns[p];
    }
    if (w->submitted < REQUESTS && mly__core_has_room(&w->core) && w->next_arrival_ns < next)
        next = w->next_arrival_ns;
    if (w->core.next_deadline_ns < next)
        next = w->core.next_deadline_ns;
    int64_t review_ns = mly_scheduler_review_ns(w->core.scheduler);
    return review_ns < next ? review_ns : next;
}

static void simulate(struct world *w, const struct setting *setting)
{
    begin(w, setting);
    uint64_t allocations = mly_alloc_count();
    while (w->delivered < REQUESTS) {
        arrive(w);
        cancel_some(w);
        dispatch(w);
        deliver(w);
        if (w->delivered == REQUESTS)
            break;
        int64_t next = next_event_ns(w);
        if (next == NEVER && w->submitted < REQUESTS)
            continue;
        if (next == NEVER)
            fail_msg("seed %u: %u of %u delivered, and nothing will happen",
                     (unsigned)setting->seed, w->delivered, REQUESTS);
        if (next > w->now_ns)
            w->now_ns = next;
        for (uint32_t p = 0; p < w->processors; p++) {
            if (w->running[p] && w->ends_ns[p] <= w->now_ns)
                complete(w, p);
        }
    }
    w->end_ns = w->now_ns;
    assert_int_equal(mly_alloc_count(), allocations);
    assert_int_equal(mly_scheduler_length(w->core.scheduler), 0);
    assert_int_equal(w->core.completed + w->core.failed + w->core.cancelled, REQUESTS);
    mly__core_fini(&w->core);
    mly_flow_fini(&w->flow);
}

/* --- properties --- */

/*
 * Every decision is that of plain list scheduling, so no processor idles that would finish a waiting
 * task sooner, and none gets one that another would.
 */
static void every_task_goes_where_it_ends_first(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 80; seed++) {
        struct setting setting = {.seed = seed,
                                  .exact = true,
                                  .ordered = seed % 2,
                                  .deadlines = seed % 3 == 0,
                                  .cancel_percent = seed % 5 == 0 ? 5 : 0};
        simulate(&world, &setting);
    }
}

/* Graham: any schedule that leaves no processor idle while a task is ready. */
static void makespan_on_equal_processors_is_within_the_list_bound(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 150; seed++) {
        struct setting setting = {.seed = seed, .alike = true, .exact = seed % 2};
        simulate(&world, &setting);
        int64_t m = world.processors;
        assert_int_equal(world.work_ns, world.least_work_ns); /* each task once */
        assert_true(world.end_ns * m <= world.work_ns + (m - 1) * world.longest_chain_ns);
        assert_true(world.end_ns * m >= world.work_ns);
    }
}

/*
 * Ibarra and Kim: of independent tasks, each where it ends first, the last ends no later than if the
 * fastest processor of each were one and the same.
 */
static void makespan_on_unlike_processors_is_within_its_bound(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 150; seed++) {
        struct setting setting = {.seed = seed, .independent = true, .exact = true};
        simulate(&world, &setting);
        assert_true(world.end_ns <= world.least_work_ns);
        assert_true(world.end_ns * world.processors >= world.least_work_ns);
    }
}

/* Without being told any cost it comes close to what it would do if it knew. */
static void costs_are_learnt(void **state)
{
    (void)state;
    double told = 0, learnt = 0, random = 0;
    for (uint64_t seed = 1; seed <= 100; seed++) {
        struct setting setting = {.seed = seed, .independent = true, .exact = true};
        simulate(&world, &setting);
        told += (double)world.end_ns;
        setting.exact = false;
        simulate(&world, &setting);
        learnt += (double)world.end_ns;
        setting.policy = MLY_SCHEDULE_RANDOM;
        simulate(&world, &setting);
        random += (double)world.end_ns;
    }
    if (learnt > 1.1 * told || random < 1.2 * told)
        fail_msg("told %.0f, learnt %.0f, random %.0f ms", told / 1e6, learnt / 1e6, random / 1e6);
}

static void nothing_is_lost_or_run_twice_whatever_happens(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 200; seed++) {
        struct setting setting = {
            .seed = seed,
            .exact = seed % 2,
            .ordered = seed % 3 == 0,
            .deadlines = seed % 5 == 0,
            .failure_percent = seed % 4 ? 8 : 0,
            .cancel_percent = seed % 7 ? 4 : 0,
            .slow_percent = seed % 3 ? 10 : 0,
            .policy = (enum mly_schedule_policy)(seed / 2 % MLY_SCHEDULE_POLICY_COUNT)};
        simulate(&world, &setting);
    }
}

/* A processor dies for a second: no request notices, and it is used again afterwards. */
static void a_dead_processor_costs_no_request_and_comes_back(void **state)
{
    (void)state;
    uint32_t used_again = 0;
    for (uint64_t seed = 1; seed <= 60; seed++) {
        struct setting setting = {
            .seed = seed,
            .alike = true,
            .exact = seed % 2,
            .dies = true,
            .policy = (enum mly_schedule_policy)(seed / 2 % MLY_SCHEDULE_POLICY_COUNT)};
        simulate(&world, &setting);
        for (uint32_t i = 0; i < REQUESTS; i++)
            assert_int_equal(world.statuses[i], MLY_OK);
        used_again += world.by_dead > 0;
    }
    assert_true(used_again > 10); /* where there was work for so long */
}

/*
 * A stream with as many batches in flight as plans ask for, two per processor. One of two processors
 * becomes three times slower for a while; runs vary by a tenth and stall at times.
 */
static void throughput_recovers_when_a_processor_slows_down(void **state)
{
    (void)state;
    enum { IN_FLIGHT = 4 };
    const int64_t usual = 20 * MS, slow_from = 2000 * MS, slow_to = 8000 * MS, end = 14000 * MS;
    static const uint32_t both[] = {0, 1};
    const struct mly_schedule_eligible eligible[] = {{both, 2}};
    for (uint64_t seed = 1; seed <= 20; seed++) {
        struct mly_schedule_task tasks[IN_FLIGHT], *running[2] = {NULL, NULL}, *decided;
        int64_t begun[2] = {0, 0}, ends[2] = {0, 0}, now = 0, slow = 0, after = 0;
        uint64_t next_order = 0;
        uint32_t p;
        struct mly_random random;
        mly_scheduler *s = NULL;
        mly_random_init(&random, seed);
        assert_int_equal(mly_scheduler_create(MLY_SCHEDULE_EARLIEST, 2, eligible, 1, &s, NULL),
                         MLY_OK);
        mly_scheduler_set_cost(s, 0, 0, usual);
        mly_scheduler_set_cost(s, 0, 1, usual);
        for (int i = 0; i < IN_FLIGHT; i++) {
            tasks[i] = (struct mly_schedule_task){.order = next_order++, .home = MLY_NO_INDEX};
            mly_scheduler_push(s, &tasks[i]);
        }
        while (now < end) {
            while (mly_scheduler_decide_at(s, now, &decided, &p)) {
                int64_t ns = usual - usual / 10 + (int64_t)mly_random_below(&random, usual / 5);
                ns *= p == 0 && now >= slow_from && now < slow_to ? 3 : 1;
                ns *= mly_random_below(&random, 100) == 0 ? 5 : 1; /* a stall */
                running[p] = decided;
                begun[p] = now;
                ends[p] = now + ns;
            }
            p = !running[0] || (running[1] && ends[1] < ends[0]);
            int64_t review = mly_scheduler_review_ns(s);
            if (review > now && review < ends[p]) {
                now = review;
                continue;
            }
            now = ends[p];
            slow += now >= slow_from + 2000 * MS && now < slow_to;
            after += now >= slow_to + 2000 * MS && now < end;
            mly_scheduler_ran(s, running[p], p, now - begun[p]);
            mly_scheduler_release(s, p, now);
            running[p]->order = next_order++;
            mly_scheduler_push(s, running[p]);
            running[p] = NULL;
        }
        mly_scheduler_destroy(s);
        /* 4 s each; stalls take 4 % of everybody's time. */
        double best_slow = 4000.0 / 20 * (1 + 1.0 / 3) * 0.96, best = 4000.0 / 20 * 2 * 0.96;
        if ((double)slow < 0.9 * best_slow || (double)after < 0.9 * best)
            fail_msg("seed %u: %lld of %.0f while slow, %lld of %.0f afterwards", (unsigned)seed,
                     (long long)slow, best_slow, (long long)after, best);
    }
}

static void same_seed_same_schedule(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 30; seed++) {
        struct setting setting = {.seed = seed,
                                  .failure_percent = 5,
                                  .cancel_percent = 3,
                                  .slow_percent = 10,
                                  .deadlines = true,
                                  .policy =
                                      (enum mly_schedule_policy)(seed % MLY_SCHEDULE_POLICY_COUNT)};
        simulate(&world, &setting);
        simulate(&other, &setting);
        assert_int_equal(world.history, other.history);
        assert_int_equal(world.end_ns, other.end_ns);
        setting.seed += 1000;
        simulate(&other, &setting);
        assert_int_not_equal(world.history, other.history);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_task_goes_where_it_ends_first),
        cmocka_unit_test(makespan_on_equal_processors_is_within_the_list_bound),
        cmocka_unit_test(makespan_on_unlike_processors_is_within_its_bound),
        cmocka_unit_test(costs_are_learnt),
        cmocka_unit_test(nothing_is_lost_or_run_twice_whatever_happens),
        cmocka_unit_test(a_dead_processor_costs_no_request_and_comes_back),
        cmocka_unit_test(throughput_recovers_when_a_processor_slows_down),
        cmocka_unit_test(same_seed_same_schedule),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

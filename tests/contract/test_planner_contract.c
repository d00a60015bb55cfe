/*
 * What every planner of the registry, and auto, must keep, on random costs for several machines:
 *
 *   1. its plan is valid, and predicts what mly_plan_evaluate predicts from the same costs;
 *   2. exactly one candidate is chosen, the best comes first, the baseline is listed;
 *   3. the choice is within the noise of the best and never worse than the baseline by more;
 *   4. the same costs give the same plan, in whatever order they were measured;
 *   5. costs scaled by a constant leave the decision unchanged;
 *   6. one configuration more never worsens the predicted optimum (but for planners that `auto` leaves
 *      out: splits of a batch are predicted between measured batches, and a new one corrects that);
 *   7. nothing measured is MLY_E_NOT_FOUND.
 */
#include <math.h>
#include <string.h>

#include "base/alloc.h"
#include "base/random.h"
#include "support/expect.h"
#include "support/plan_fixture.h"
#include "support/test.h"

enum { ENTRIES_MAX = 64, ROUNDS = 60 };

/* No tie may cost more than this (src/plan/choose.c). */
static const double noise_max = 0.02;

static const char *const machines[] = {"core:1 pu:1", "core:2 pu:2", "core:3 pu:1",
                                       "pack:2 core:2 pu:1", "pack:2 numa:1 l3:2 core:8 pu:2"};

struct entry {
    uint32_t groups, threads, batch;
    bool spin;
    double median_ns, spread;
};

struct world {
    mly_model *model;
    mly_machine *machine;
    mly_cost_table *costs;
    struct entry entries[ENTRIES_MAX];
    size_t count;
    struct mly_plan_request request;
};

static void fill(struct world *w, double scale, bool backwards, size_t count)
{
    mly_cost_table_destroy(w->costs);
    w->costs = tiny_costs(w->model, w->machine);
    for (size_t i = 0; i < count; i++) {
        const struct entry *e = &w->entries[backwards ? count - 1 - i : i];
        tiny_cost(w->costs, e->groups, e->threads, e->batch, e->spin, e->median_ns * scale,
                  e->spread);
    }
    w->request.costs = w->costs;
}

/*
 * Times around a plausible law, with more or less noise so that there are both ties and clear
 * winners.
 */
static struct world random_world(struct mly_random *random)
{
    struct world w = {.model = tiny_chain(4, 0)};
    const double scatter = mly_random_below(random, 2) ? 0.01 : 0.5;
    w.machine = tiny_machine(machines[mly_random_below(random, 5)]);
    const uint32_t cores = mly_machine_info(w.machine)->cores;
    for (uint32_t groups = 0; groups <= cores; groups = groups ? 2 * groups : 1) {
        for (uint32_t batch = 1; batch <= 8; batch *= 2) {
            for (uint32_t spin = 0; spin < 2; spin++) {
                const uint32_t threads = groups ? cores / groups : 0;
                if (w.count == ENTRIES_MAX - 1 || mly_random_below(random, 4) == 0 ||
                    (!groups && spin))
                    continue;
                w.entries[w.count++] =
                    (struct entry){groups,
                                   threads,
                                   batch,
                                   spin != 0,
                                   (1e6 + 1e6 * batch / (groups ? threads : cores)) *
                                       (1 + scatter * mly_random_uniform(random)),
                                   0.05 * mly_random_uniform(random)};
            }
        }
    }
    /* In no order: shuffled as Fisher and Yates do. */
    for (size_t i = w.count; i > 1; i--) {
        const size_t k = mly_random_below(random, i);
        const struct entry kept = w.entries[k];
        w.entries[k] = w.entries[i - 1];
        w.entries[i - 1] = kept;
    }
    w.request = (struct mly_plan_request){
        .model = w.model,
        .machine = w.machine,
        .objective = mly_random_below(random, 2) ? MLY_OBJECTIVE_LATENCY : MLY_OBJECTIVE_THROUGHPUT,
        .batch = mly_random_below(random, 4) ? 0 : 4,
        .groups = mly_random_below(random, 4) ? 0 : 1 + (uint32_t)mly_random_below(random, 2)};
    if (w.request.groups > cores)
        w.request.groups = cores;
    fill(&w, 1, false, w.count);
    return w;
}

static void end_world(struct world *w)
{
    mly_cost_table_destroy(w->costs);
    mly_model_destroy(w->model);
    mly_machine_destroy(w->machine);
}

/* NULL if this planner cannot serve the request, for one of the reasons it may give. */
static mly_plan *make(const struct world *w, const char *planner)
{
    struct mly_error err = {0};
    mly_plan *plan = NULL;
    enum mly_status status = mly_plan_make(planner, &w->request, &plan, &err);
    if (status && status != MLY_E_NOT_FOUND && status != MLY_E_UNSUPPORTED)
        fail_msg("%s: %s: %s", planner, mly_status_name(status), err.message);
    assert_true((status == MLY_OK) == (plan != NULL));
    assert_true(plan || err.message[0]);
    return plan;
}

static double score(const struct world *w, const struct mly_prediction *p)
{
    return w->request.objective == MLY_OBJECTIVE_LATENCY ? 1 / p->latency_ns : p->throughput_per_s;
}

/* Such planners make what they are for, even where the baseline is better. */
static bool is_by_name_only(const char *planner)
{
    const struct mly_planner *named = mly_planner_find(planner);
    return named && named->by_name_only;
}

/* The best candidate that may win. */
static double optimum(const struct world *w, const mly_plan *plan)
{
    for (uint32_t i = 0; i < plan->candidate_count; i++)
        if (!plan->candidates[i].baseline ||
            (w->request.groups <= 1 && !is_by_name_only(plan->planner)))
            return score(w, &plan->candidates[i].prediction);
    return 0;
}

static bool baseline_measured(const struct world *w)
{
    for (size_t i = 0; i < w->count; i++)
        if (!w->entries[i].groups && (!w->request.batch || w->request.batch == w->entries[i].batch))
            return w->request.objective == MLY_OBJECTIVE_THROUGHPUT || w->request.batch;
    return false;
}

static char *text_of(const mly_plan *plan)
{
    struct mly_error err;
    size_t length;
    char *text = NULL;
    expect_ok(mly_plan_format(plan, &text, &length, &err), err);
    return text;
}

/* 1 to 3 */
static void check_plan(const struct world *w, const mly_plan *plan)
{
    struct mly_error err;
    struct mly_prediction p;
    uint32_t chosen = 0, baselines = 0;
    expect_ok(mly_plan_check(plan, w->model, w->machine, &err), err);
    expect_ok(mly_plan_evaluate(plan, w->model, w->costs, &p, &err), err);
    assert_true(p.known && plan->prediction.known);
    assert_true(p.throughput_per_s == plan->prediction.throughput_per_s &&
                p.latency_ns == plan->prediction.latency_ns &&
                p.memory_bytes == plan->prediction.memory_bytes &&
                p.spread == plan->prediction.spread && p.measured == plan->prediction.measured &&
                p.modelled == plan->prediction.modelled);
    const double reached = score(w, &plan->prediction);
    for (uint32_t i = 0; i < plan->candidate_count; i++) {
        const struct mly_plan_candidate *c = &plan->candidates[i];
        assert_true(!i || score(w, &c->prediction) <= score(w, &c[-1].prediction));
        assert_true(mly_planner_find(c->planner) != NULL);
        baselines += c->baseline;
        chosen += c->chosen;
        assert_true(!c->chosen || score(w, &c->prediction) == reached);
        if (!c->baseline || (w->request.groups <= 1 && !is_by_name_only(plan->planner)))
            assert_true(reached >= score(w, &c->prediction) * (1 - noise_max));
    }
    assert_int_equal(chosen, 1);
    /* Where the batch is theirs to choose, that batch's baseline may be unknown. */
    assert_true(baselines || !baseline_measured(w) ||
                (is_by_name_only(plan->planner) && !w->request.batch));
    assert_true(plan->why && plan->why[0]);
    assert_non_null(mly_planner_find(plan->planner));
}

static void check_planner(struct world *w, const char *planner)
{
    mly_plan *plan = make(w, planner), *other;
    if (!plan)
        return;
    check_plan(w, plan);
    char *text = text_of(plan), *what = mly_plan_describe(plan), *again;

    for (int backwards = 0; backwards < 2; backwards++) { /* 4 */
        fill(w, 1, backwards != 0, w->count);
        other = make(w, planner);
        again = text_of(other);
        assert_string_equal(text, again);
        mly_free(again);
        mly_plan_destroy(other);
    }
    static const double scales[] = {0x1p-20, 3, 1000}; /* 5 */
    for (size_t i = 0; i < sizeof scales / sizeof *scales; i++) {
        fill(w, scales[i], false, w->count);
        other = make(w, planner);
        again = mly_plan_describe(other);
        assert_string_equal(what, again);
        mly_free(again);
        mly_plan_destroy(other);
    }
    double best = 0; /* 6 */
    for (size_t count = 1; count <= w->count; count++) {
        fill(w, 1, false, count);
        other = make(w, planner);
        if (!other)
            continue;
        const double now = optimum(w, other);
        if (!is_by_name_only(planner) &&
            (w->request.objective == MLY_OBJECTIVE_THROUGHPUT || w->request.batch)) {
            assert_true(now >= best);
            best = now;
        }
        assert_true(score(w, &other->prediction) >= now * (1 - noise_max));
        mly_plan_destroy(other);
    }
    fill(w, 1, false, w->count);
    mly_free(text);
    mly_free(what);
    mly_plan_destroy(plan);
}

static const char *planner_name(size_t index)
{
    const struct mly_planner *planner = index ? mly_planner_at(index - 1) : NULL;
    return index ? planner ? planner->name : NULL : "auto";
}

static void every_planner_keeps_the_contract(void **state)
{
    (void)state;
    struct mly_random random;
    mly_random_init(&random, 2024);
    for (int round = 0; round < ROUNDS; round++) {
        struct world w = random_world(&random);
        for (size_t i = 0; planner_name(i); i++)
            check_planner(&w, planner_name(i));
        end_world(&w);
    }
}

static void nothing_measured_is_not_found(void **state)
{
    (void)state;
    struct mly_random random;
    mly_random_init(&random, 1);
    struct world w = random_world(&random);
    w.request.groups = w.request.batch = 0;
    fill(&w, 1, false, 0);
    for (size_t i = 0; planner_name(i); i++) { /* 7 */
        struct mly_error err;
        mly_plan *plan = NULL;
        expect_error(mly_plan_make(planner_name(i), &w.request, &plan, &err), MLY_E_NOT_FOUND, err,
                     "motley profile");
    }
    end_world(&w);
}

static void every_planner_is_found_by_its_name_and_says_what_it_does(void **state)
{
    (void)state;
    size_t count = 0;
    for (; mly_planner_at(count); count++) {
        const struct mly_planner *planner = mly_planner_at(count);
        assert_ptr_equal(mly_planner_find(planner->name), planner);
        assert_true(strlen(planner->name) < 16 && planner->summary[0]);
        assert_string_not_equal(planner->name, "auto");
    }
    assert_true(count >= 2);
    assert_null(mly_planner_find("none"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_planner_keeps_the_contract),
        cmocka_unit_test(nothing_measured_is_not_found),
        cmocka_unit_test(every_planner_is_found_by_its_name_and_says_what_it_does),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

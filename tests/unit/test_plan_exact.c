/*
 * `exact` against search over all sets of units up to 14, its proofs where there are too many first parts, and
 * lower bounds that never lie: of work shared out, of weights that chips do not hold, of problems with fewer
 * places to cut.
 */
#include <math.h>
#include <string.h>

#include "base/alloc.h"
#include "plan/problem_private.h"
#include "plan/stages.h"
#include "support/expect.h"
#include "support/plan_fixture.h"
#include "support/plan_world.h"
#include "support/test.h"

enum { UNITS_MAX = 14, MASKS = 16 };

/* --- search over sets of units --- */

struct oracle {
    const struct mly__problem *problem;
    uint32_t full;
    uint32_t needs[UNITS_MAX]; /* by unit, as bits */
    double *period_ns[MLY__CLASSES_MAX];
};

static struct oracle oracle_of(const struct mly__problem *problem)
{
    struct oracle o = {.problem = problem, .full = (1u << problem->unit_count) - 1};
    assert_true(problem->unit_count <= UNITS_MAX && problem->processor_count <= 4);
    for (uint32_t u = 0; u < problem->unit_count; u++) {
        for (uint32_t i = 0; i < problem->units[u].input_count; i++) {
            const uint32_t from = problem->crossings[problem->units[u].inputs[i]].producer;
            if (from != MLY_NO_INDEX)
                o.needs[u] |= 1u << from;
        }
    }
    for (uint32_t c = 0; c < problem->class_count; c++) {
        o.period_ns[c] = calloc((size_t)o.full + 1, sizeof(double));
        assert_non_null(o.period_ns[c]);
    }
    return o;
}

static void oracle_free(struct oracle *o)
{
    for (uint32_t c = 0; c < o->problem->class_count; c++)
        free(o->period_ns[c]);
}

static bool is_downset(const struct oracle *o, uint32_t set)
{
    for (uint32_t u = 0; u < o->problem->unit_count; u++)
        if (set >> u & 1 && o->needs[u] & ~set)
            return false;
    return true;
}

/* As plans are judged by; worked out when it is asked for. */
static double period_ns(struct oracle *o, uint32_t class, uint32_t set)
{
    double *known = &o->period_ns[class][set];
    if (*known == 0) {
        const struct mly__segment_cost cost = plan_set_cost(o->problem, class, set);
        *known = mly__stage_period_ns(&o->problem->classes[class], &cost);
    }
    return *known;
}

static double stage_ns(struct oracle *o, uint32_t set, uint32_t processors)
{
    double rate = 0;
    for (uint32_t c = 0; c < o->problem->class_count; c++)
        for (uint32_t k = 0; k < o->problem->classes[c].count; k++)
            if (processors >> o->problem->classes[c].processors[k] & 1)
                rate += 1 / period_ns(o, c, set);
    return 1 / rate;
}

/* Every chain of first parts, each stage on every set of processors that are left. */
static double best_bottleneck(struct oracle *o)
{
    const uint32_t all = (1u << o->problem->processor_count) - 1;
    double(*best)[MASKS] = calloc((size_t)o->full + 1, sizeof *best), least = INFINITY;
    assert_non_null(best);
    for (uint32_t done = 0; done <= o->full; done++)
        for (uint32_t used = 0; used <= all; used++)
            best[done][used] = done || used ? INFINITY : 0;
    for (uint32_t done = 0; done < o->full; done++) {
        if (!is_downset(o, done))
            continue;
        for (uint32_t set = o->full & ~done; set; set = (set - 1) & ~done & o->full) {
            if (!is_downset(o, done | set))
                continue;
            for (uint32_t more = 1; more <= all; more++) {
                const double ns = stage_ns(o, set, more);
                for (uint32_t used = 0; used <= all; used++) {
                    if (used & more || isinf(best[done][used]))
                        continue;
                    double *to = &best[done | set][used | more];
                    *to = fmin(*to, fmax(best[done][used], ns));
                }
            }
        }
    }
    for (uint32_t used = 0; used <= all; used++)
        least = fmin(least, best[o->full][used]);
    free(best);
    return least;
}

/* --- what the planners say --- */

/* The best bottleneck that was found; *bound: what was proved, or 0. */
static double found_ns(const struct mly__problem *problem, mly__find *find, double *bound)
{
    struct mly__found found = {0};
    struct mly_error err;
    struct mly__layout_value least;
    expect_ok(find(problem, &found, &err), err);
    expect_ok(mly__found_least(problem, &found, &least, &err), err);
    if (bound)
        *bound = found.bottleneck_ns;
    mly__found_fini(&found);
    return least.bottleneck_ns;
}

static void assert_near(double a, double b)
{
    if (!(fabs(a - b) <= 1e-9 * fabs(b)))
        fail_msg("%.17g is not %.17g", a, b);
}

static void assert_at_most(const char *what, double a, double b)
{
    if (!(a <= b * (1 + 1e-9)))
        fail_msg("%s: %.17g is more than %.17g", what, a, b);
}

static void exact_is_the_best_over_all_sets_of_units(void **state)
{
    (void)state;
    struct mly_random random;
    mly_random_init(&random, 14);
    for (uint32_t round = 0; round < 24; round++) {
        const uint32_t nodes = 8 + round % 7;
        mly_model *model = round % 3 ? plan_random_model(&random, nodes, true)
                                     : plan_series_parallel_model(&random, nodes);
        struct plan_world w;
        plan_world_of(&w, model, &random, round / 3 % 2, MLY_OBJECTIVE_THROUGHPUT);
        if (w.problem->unit_count <= UNITS_MAX) {
            struct oracle o = oracle_of(w.problem);
            double bound;
            const double best = best_bottleneck(&o);
            assert_near(found_ns(w.problem, mly__exact_find, &bound), best);
            assert_near(bound, best);
            oracle_free(&o);
        }
        plan_world_end(&w);
    }
}

/* --- bounds --- */

static void fewer_places_to_cut_are_never_slower(void **state)
{
    (void)state;
    static const double shares[] = {0, 0.05, 0.3, 1};
    struct mly_random random;
    uint32_t united = 0;
    mly_random_init(&random, 5);
    for (uint32_t round = 0; round < 40; round++) {
        const uint32_t nodes = 6 + (uint32_t)mly_random_below(&random, 12);
        mly_model *model = round % 2 ? plan_random_model(&random, nodes, round % 4 == 1)
                                     : plan_series_parallel_model(&random, nodes);
        struct plan_world w;
        plan_world_of(&w, model, &random, round / 4 % 2, MLY_OBJECTIVE_THROUGHPUT);
        const double best = found_ns(w.problem, mly__exact_find, NULL);
        double before = INFINITY;
        for (size_t i = 0; i < sizeof shares / sizeof *shares; i++) {
            struct mly__problem *relaxed;
            struct mly_error err;
            expect_ok(mly__problem_relax(w.problem, shares[i], &relaxed, &err), err);
            assert_true(relaxed->unit_count <= w.problem->unit_count);
            united += relaxed->unit_count < w.problem->unit_count;
            const double less = found_ns(relaxed, mly__exact_find, NULL);
            assert_at_most("relaxed", less, fmin(best, before));
            mly__problem_destroy(relaxed);
            before = i ? before : less;
        }
        plan_world_end(&w);
    }
    assert_true(united > 40);
}

/* Chips that hold some of the weights, and others beside them. */
static void bounds_hold_where_chips_do_not_hold_all_weights(void **state)
{
    (void)state;
    static const char *const networks[] = {"edge-fc-1700", "edge-fc-2640", "edge-conv-442",
                                           "edge-conv-582", "edge-conv-702"};
    static const char *const boxes[] = {"edgetpu-pcie", "edgetpu-pcie*2", "edgetpu-pcie*4",
                                        "edgetpu-pcie*2,p100", "jetson-nano,edgetpu-usb3"};
    for (size_t i = 0; i < sizeof networks / sizeof *networks; i++) {
        for (size_t k = 0; k < sizeof boxes / sizeof *boxes; k++) {
            for (int no_replicas = 0; no_replicas < 2; no_replicas++) {
                struct plan_world w;
                struct mly__bounds bounds;
                struct mly_error err;
                double proved;
                plan_world_zoo(&w, networks[i], boxes[k], 1);
                w.request.no_replicas = no_replicas;
                const double best = found_ns(w.problem, mly__exact_find, &proved);
                expect_ok(mly__problem_bounds(w.problem, &bounds, &err), err);
                assert_true(bounds.bottleneck_ns > 0 && bounds.bottleneck_by);
                assert_at_most(networks[i], bounds.bottleneck_ns, best);
                assert_near(proved, best);
                plan_world_end(&w);
            }
        }
    }
}

/*
 * The heads of a detector are side by side: too many first parts to look at all, few enough when what
 * merely moves data counts nothing.
 */
static void many_heads_side_by_side_are_proved_all_the_same(void **state)
{
    (void)state;
    static const char *const boxes[] = {"p100,gtx1650,xeon-e5-2683v4,jetson-nano",
                                        "edgetpu-pcie*4"};
    for (size_t i = 0; i < sizeof boxes / sizeof *boxes; i++) {
        struct plan_world w;
        struct mly__downsets downsets;
        struct mly_error err;
        double proved;
        plan_world_zoo(&w, "ssd-mobilenet-v1", boxes[i], 1);
        expect_error(mly__downsets_all(&downsets, w.problem, 10000, &err), MLY_E_LIMIT, err,
                     "more than 10000 possible first parts");
        const double best = found_ns(w.problem, mly__exact_find, &proved);
        assert_true(proved > 0 && best <= proved * 1.05);
        assert_at_most("proved", proved, best);
        plan_world_end(&w);
    }
}

/* Twelve branches side by side, joined one after the other. */
static mly_model *wide_model(void)
{
    enum { BRANCHES = 12 };
    struct tiny_node nodes[2 * BRANCHES - 1];
    static char names[2 * BRANCHES][2][8];
    for (uint32_t i = 0; i < 2 * BRANCHES - 1; i++) {
        const bool joins = i >= BRANCHES;
        snprintf(names[i][0], sizeof names[i][0], "n%u", i);
        snprintf(names[i][1], sizeof names[i][1], "t%u", i);
        nodes[i] = (struct tiny_node){
            .op = joins ? "Max" : "Sin",
            .name = names[i][0],
            .first = joins ? names[i == BRANCHES ? 0 : i - 1][1] : "x",
            .second = joins ? names[i - BRANCHES + 1][1] : NULL,
            .output = names[i][1],
        };
    }
    return tiny_model(
        &(struct tiny_spec){.nodes = nodes, .node_count = 2 * BRANCHES - 1, .width = 1 << 16});
}

/* In a hurry it may give up, and then says how far it came. */
static void what_is_given_up_is_said_with_how_much_was_seen(void **state)
{
    (void)state;
    struct plan_world w;
    struct mly__found found = {0};
    struct mly_random random;
    struct mly_error err = {0};
    mly_random_init(&random, 3);
    plan_world_of(&w, wide_model(), &random, true, MLY_OBJECTIVE_THROUGHPUT);
    w.request.brief = true;
    const enum mly_status status = mly__exact_find(w.problem, &found, &err);
    mly__found_fini(&found);
    assert_int_equal(status, MLY_E_LIMIT);
    assert_non_null(strstr(err.message, "possible first parts"));
    plan_world_end(&w);
}

static void a_plan_says_the_most_that_any_could_give(void **state)
{
    (void)state;
    static const char *const planners[] = {"exact", "pipeline", "metis", "auto"};
    static const char *const networks[] = {"squeezenet", "mobilenet-v2"};
    static const char *const boxes[] = {"p100,gtx1650", "edgetpu-pcie*3", "jetson-nano*2,p100"};
    for (size_t i = 0; i < sizeof networks / sizeof *networks; i++) {
        for (size_t k = 0; k < sizeof boxes / sizeof *boxes; k++) {
            struct plan_world w;
            plan_world_zoo(&w, networks[i], boxes[k], 1);
            w.request.batch = 1;
            for (size_t p = 0; p < sizeof planners / sizeof *planners; p++) {
                struct mly_error err;
                mly_plan *plan = NULL;
                expect_ok(mly_plan_make(planners[p], &w.request, &plan, &err), err);
                const double best = plan->candidates[0].prediction.throughput_per_s;
                assert_true(plan->most_per_s > 0 && plan->most_by[0]);
                assert_at_most(planners[p], best, plan->most_per_s);
                if (!strcmp(planners[p], "exact") || !strcmp(planners[p], "auto"))
                    assert_at_most(planners[p], plan->most_per_s, best * 1.02);
                mly_plan_destroy(plan);
            }
            plan_world_end(&w);
        }
    }
}

static void every_failing_allocation_is_reported(void **state)
{
    (void)state;
    struct mly_random random;
    struct plan_world w;
    mly_random_init(&random, 9);
    plan_world_of(&w, plan_series_parallel_model(&random, 8), &random, true,
                  MLY_OBJECTIVE_THROUGHPUT);
    for (uint64_t n = 1;; n++) {
        struct mly__problem *relaxed = NULL;
        struct mly_error err;
        mly_alloc_fail_after(n);
        enum mly_status status = mly__problem_relax(w.problem, 0.5, &relaxed, &err);
        mly_alloc_fail_after(0);
        mly__problem_destroy(relaxed);
        if (!status)
            break;
        assert_int_equal(status, MLY_E_NO_MEMORY);
    }
    plan_world_end(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(exact_is_the_best_over_all_sets_of_units),
        cmocka_unit_test(fewer_places_to_cut_are_never_slower),
        cmocka_unit_test(bounds_hold_where_chips_do_not_hold_all_weights),
        cmocka_unit_test(many_heads_side_by_side_are_proved_all_the_same),
        cmocka_unit_test(what_is_given_up_is_said_with_how_much_was_seen),
        cmocka_unit_test(a_plan_says_the_most_that_any_could_give),
        cmocka_unit_test(every_failing_allocation_is_reported),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

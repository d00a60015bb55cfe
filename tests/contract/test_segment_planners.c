/*
 * What every planner keeps where processors are unlike, measured and modelled:
 *
 *   1. its plan is valid, also after it was written and read, and predicts what mly_plan_evaluate and
 *      mly_plan_stages say;
 *   2. costs scaled by a constant leave the plan unchanged;
 *   3. one processor more never worsens what a planner predicts, and nothing exceeds the bound it gives;
 *   4. equal processors in another order change nothing but their names;
 *   5. a plan for modelled processors only needs no measurement, holds on any box, and says what it is.
 */
#include <math.h>
#include <string.h>

#include "base/alloc.h"
#include "base/random.h"
#include "device/modelled.h"
#include "support/expect.h"
#include "support/plan_fixture.h"
#include "support/test.h"

enum { NODES = 9, BATCH = 4 };

struct world {
    mly_model *model;
    mly_machine *machine;
    mly_cost_table *costs;
    struct mly_processor_list processors;
    struct mly_plan_request request;
    double one_ns[NODES], two_ns[NODES]; /* of each node with one thread, with two */
};

/* x → a, b side by side in three diamonds, one after the other. */
static mly_model *diamonds(void)
{
    static const struct tiny_node nodes[NODES] = {
        {"Sin", "a0", "x", NULL, "t0"},  {"Sin", "b0", "x", NULL, "u0"},
        {"Max", "c0", "t0", "u0", "v0"}, {"Sin", "a1", "v0", NULL, "t1"},
        {"Sin", "b1", "v0", NULL, "u1"}, {"Max", "c1", "t1", "u1", "v1"},
        {"Sin", "a2", "v1", NULL, "t2"}, {"Sin", "b2", "v1", NULL, "u2"},
        {"Max", "c2", "t2", "u2", "v2"}};
    return tiny_model(&(struct tiny_spec){.nodes = nodes, .node_count = NODES, .width = 1 << 14});
}

static void select_processors(struct world *w, const char *spec)
{
    struct mly_error err;
    char *word = NULL;
    mly_processor_list_fini(&w->processors);
    expect_ok(mly_device_models_load(&word, &err), err);
    mly_free(word);
    expect_ok(mly_machine_select(w->machine, spec, &w->processors, &err), err);
    w->request.processors = &w->processors;
}

static void fill(struct world *w, double scale)
{
    const struct mly_graph *graph = mly_model_graph(w->model);
    double one = 0, two = 0;
    mly_cost_table_destroy(w->costs);
    w->costs = tiny_costs(w->model, w->machine);
    for (uint32_t n = 0; n < NODES; n++) {
        for (uint32_t groups = 1; groups <= 2; groups++) {
            tiny_part_cost(w->costs, MLY_COST_NODE, graph->nodes[n].label, groups, 2, BATCH,
                           scale * w->two_ns[n]);
            tiny_part_cost(w->costs, MLY_COST_NODE, graph->nodes[n].label, groups, 1, BATCH,
                           scale * w->one_ns[n]);
        }
        one += w->one_ns[n];
        two += w->two_ns[n];
    }
    for (uint32_t groups = 1; groups <= 2; groups++) {
        tiny_cost(w->costs, groups, 1, BATCH, false, scale * one, 0.01);
        tiny_cost(w->costs, groups, 2, BATCH, false, scale * two, 0.01);
    }
    w->request.costs = w->costs;
}

static void begin(struct world *w, struct mly_random *random, const char *spec)
{
    *w = (struct world){.model = diamonds(), .machine = tiny_machine("core:4 pu:1")};
    for (uint32_t n = 0; n < NODES; n++) {
        w->one_ns[n] = 1e7 * (1 + mly_random_uniform(random));
        w->two_ns[n] = 0.6e7 * (1 + mly_random_uniform(random));
    }
    w->request =
        (struct mly_plan_request){.model = w->model, .machine = w->machine, .batch = BATCH};
    fill(w, 1);
    select_processors(w, spec);
}

static void end(struct world *w)
{
    mly_processor_list_fini(&w->processors);
    mly_cost_table_destroy(w->costs);
    mly_model_destroy(w->model);
    mly_machine_destroy(w->machine);
}

/* NULL if the planner is not made for the request. */
static mly_plan *make(const struct world *w, const char *planner)
{
    struct mly_error err = {0};
    mly_plan *plan = NULL;
    enum mly_status status = mly_plan_make(planner, &w->request, &plan, &err);
    if (status && status != MLY_E_NOT_FOUND && status != MLY_E_UNSUPPORTED && status != MLY_E_LIMIT)
        fail_msg("%s: %s: %s", planner, mly_status_name(status), err.message);
    return plan;
}

static const char *planner_name(size_t index)
{
    const struct mly_planner *planner = index ? mly_planner_at(index - 1) : NULL;
    return index ? planner ? planner->name : NULL : "auto";
}

static void assert_near(double a, double b)
{
    if (!(fabs(a - b) <= 1e-9 * fabs(b)))
        fail_msg("%.17g is not %.17g", a, b);
}

/* Every processor's own time: of a split batch the longest is the batch's. */
static void check_part_times(const struct world *w, const mly_plan *plan)
{
    struct mly_plan_time times[NODES * 4];
    struct mly_error err;
    uint32_t count = 0;
    double longest = 0;
    for (uint32_t i = 0; i < plan->segment_count; i++)
        count += plan->segments[i].processor_count;
    assert_true(count <= NODES * 4);
    expect_ok(mly_plan_part_times(plan, w->model, w->request.costs, times, &err), err);
    for (uint32_t i = 0; i < count; i++) {
        assert_true(times[i].ns > 0 && times[i].processor < plan->processor_count);
        longest = fmax(longest, times[i].ns);
    }
    if (plan->segments[0].shares)
        assert_near(longest, plan->prediction.latency_ns);
    else if (count == 1)
        assert_near(times[0].ns, plan->prediction.latency_ns);
}

/* 1 */
static void check_plan(const struct world *w, const mly_plan *plan)
{
    struct mly_error err;
    struct mly_prediction p;
    struct mly_stage stages[NODES];
    mly_plan *again = NULL;
    char *text = NULL;
    size_t length;
    expect_ok(mly_plan_check(plan, w->model, w->machine, &err), err);
    expect_ok(mly_plan_evaluate(plan, w->model, w->request.costs, &p, &err), err);
    assert_true(p.throughput_per_s == plan->prediction.throughput_per_s &&
                p.latency_ns == plan->prediction.latency_ns &&
                p.modelled == plan->prediction.modelled);
    assert_true(plan->segment_count <= NODES);
    expect_ok(mly_plan_stages(plan, w->model, w->request.costs, stages, &err), err);
    double slowest = 0;
    bool modelled = false;
    for (uint32_t i = 0; i < plan->segment_count; i++) {
        slowest = fmax(slowest, stages[i].period_ns);
        modelled = modelled || stages[i].modelled;
    }
    assert_true(modelled == plan->prediction.modelled);
    assert_true(1e9 * plan->batch / slowest >= p.throughput_per_s * (1 - 1e-9));
    check_part_times(w, plan);
    expect_ok(mly_plan_format(plan, &text, &length, &err), err);
    expect_ok(mly_plan_parse("again", text, length, &again, &err), err);
    expect_ok(mly_plan_check(again, w->model, w->machine, &err), err);
    assert_near(again->prediction.throughput_per_s, p.throughput_per_s);
    mly_plan_destroy(again);
    mly_free(text);
}

/* Nodes of each segment, and how many processors of each kind run it: what a plan is but for names. */
static char *shape_of(const mly_plan *plan)
{
    char *text = mly_strdup("");
    for (uint32_t i = 0; i < plan->segment_count; i++) {
        const struct mly_plan_segment *s = &plan->segments[i];
        char *more = mly_strfmt("%s|", text);
        for (uint32_t k = 0; k < s->node_count; k++) {
            char *next = mly_strfmt("%s%u,", more, s->nodes[k]);
            mly_free(more);
            more = next;
        }
        uint32_t threads[3] = {0};
        for (uint32_t k = 0; k < s->processor_count; k++)
            threads[plan->processors[s->processors[k]].threads % 3]++;
        mly_free(text);
        text = mly_strfmt("%s%u+%u", more, threads[1], threads[2]);
        mly_free(more);
    }
    return text;
}

static void plans_are_valid_and_scale_with_their_costs(void **state)
{
    (void)state;
    static const char *const boxes[] = {"cpu:0-1,cpu:2,cpu:3", "cpu:0-1,cpu:2-3"};
    static const enum mly_objective objectives[] = {MLY_OBJECTIVE_THROUGHPUT,
                                                    MLY_OBJECTIVE_LATENCY};
    struct mly_random random;
    mly_random_init(&random, 1);
    for (int round = 0; round < 8; round++) {
        struct world w;
        begin(&w, &random, boxes[round % 2]);
        w.request.objective = objectives[round / 2 % 2];
        for (size_t i = 0; planner_name(i); i++) {
            fill(&w, 1);
            mly_plan *plan = make(&w, planner_name(i));
            if (!plan)
                continue;
            check_plan(&w, plan);
            char *shape = shape_of(plan);
            fill(&w, 8); /* 2 */
            mly_plan *slower = make(&w, planner_name(i));
            assert_non_null(slower);
            char *again = shape_of(slower);
            assert_string_equal(shape, again);
            mly_free(again);
            mly_free(shape);
            mly_plan_destroy(slower);
            mly_plan_destroy(plan);
        }
        end(&w);
    }
}

static void a_processor_more_never_worsens_the_optimum(void **state)
{
    (void)state;
    static const char *const growing[] = {"p100", "p100,gtx1650", "p100,gtx1650,roofline",
                                          "p100*2,gtx1650,roofline"};
    struct mly_random random;
    mly_random_init(&random, 2);
    for (size_t k = 0; planner_name(k); k++) {
        const struct mly_planner *planner = mly_planner_find(planner_name(k));
        struct world w;
        double before = 0;
        if (planner && planner->by_name_only)
            continue; /* it does what it is told */
        begin(&w, &random, growing[0]);
        for (size_t i = 0; i < sizeof growing / sizeof *growing; i++) {
            select_processors(&w, growing[i]);
            mly_plan *plan = make(&w, planner_name(k));
            if (!plan)
                continue;
            check_plan(&w, plan);
            /* A simpler plan within the noise may be chosen instead of the very best. */
            if (!(plan->candidates[0].prediction.throughput_per_s >= before * (1 - 1e-9)))
                fail_msg("%s on %s: %.9g where fewer processors gave %.9g", planner_name(k),
                         growing[i], plan->candidates[0].prediction.throughput_per_s, before);
            if (plan->most_per_s > 0)
                assert_true(plan->candidates[0].prediction.throughput_per_s <=
                            plan->most_per_s * (1 + 1e-9));
            before = plan->candidates[0].prediction.throughput_per_s;
            mly_plan_destroy(plan);
        }
        end(&w);
    }
}

static void the_order_of_equal_processors_does_not_matter(void **state)
{
    (void)state;
    static const char *const orders[] = {"cpu:0-1,cpu:2,cpu:3", "cpu:0-1,cpu:3,cpu:2",
                                         "cpu:3,cpu:0-1,cpu:2"};
    struct mly_random random;
    mly_random_init(&random, 3);
    for (int round = 0; round < 4; round++) {
        struct world w;
        begin(&w, &random, orders[0]);
        for (size_t i = 0; planner_name(i); i++) {
            char *first = NULL;
            for (size_t k = 0; k < sizeof orders / sizeof *orders; k++) {
                select_processors(&w, orders[k]);
                mly_plan *plan = make(&w, planner_name(i));
                if (!plan)
                    continue;
                char *shape = shape_of(plan);
                if (first)
                    assert_string_equal(first, shape);
                mly_free(first);
                first = shape;
                mly_plan_destroy(plan);
            }
            mly_free(first);
        }
        end(&w);
    }
}

static void modelled_processors_need_no_measurements(void **state)
{
    (void)state;
    struct mly_random random;
    struct mly_error err;
    mly_random_init(&random, 4);
    struct world w;
    begin(&w, &random, "p100,gtx1650,raspberry-pi-4");
    w.request.costs = NULL;
    mly_machine *other = tiny_machine("pack:2 core:8 pu:2");
    for (size_t i = 0; planner_name(i); i++) {
        mly_plan *plan = make(&w, planner_name(i));
        if (!plan)
            continue;
        check_plan(&w, plan);
        assert_true(plan->prediction.modelled && !plan->prediction.measured);
        assert_true(plan->prediction.energy_j > 0);
        for (uint32_t k = 0; k < plan->processor_count; k++)
            assert_string_equal(plan->processors[k].backend, "modelled");
        expect_ok(mly_plan_check(plan, w.model, other, &err), err);
        snprintf(plan->processors[0].kind, sizeof plan->processors[0].kind, "nothing");
        expect_error(mly_plan_check(plan, w.model, other, &err), MLY_E_ABSENT, err, "nothing");
        mly_plan_destroy(plan);
    }
    mly_machine_destroy(other);
    end(&w);
}

static void auto_says_who_ran_and_what_came_of_it(void **state)
{
    (void)state;
    struct mly_random random;
    struct mly_error err;
    mly_plan *plan = NULL;
    mly_random_init(&random, 5);
    struct world w;
    begin(&w, &random, "p100,gtx1650");
    expect_ok(mly_plan_make("auto", &w.request, &plan, &err), err);
    uint32_t made = 0;
    for (uint32_t i = 0; i < plan->run_count; i++) {
        const struct mly_plan_run *run = &plan->runs[i];
        assert_non_null(mly_planner_find(run->planner));
        assert_true(run->reason && run->reason[0] && run->elapsed_ns >= 0);
        assert_true(run->made == run->prediction.known);
        made += run->made;
    }
    assert_true(made >= 2);
    assert_true(plan->why && plan->note);
    mly_plan_destroy(plan);
    end(&w);
}

static void a_rate_decides_between_short_and_fast(void **state)
{
    (void)state;
    struct mly_random random;
    struct mly_error err;
    struct world w;
    mly_random_init(&random, 6);
    begin(&w, &random, "p100*2");
    w.request.batch = 0;
    w.request.objective = MLY_OBJECTIVE_LATENCY_AT_RATE;
    double before = 0;
    for (double rate = 10; rate < 1e9; rate *= 10) {
        mly_plan *plan = NULL;
        w.request.rate_per_s = rate;
        expect_ok(mly_plan_make("auto", &w.request, &plan, &err), err);
        const struct mly_prediction *p = &plan->prediction;
        assert_true(plan->rate_per_s == rate);
        assert_true(p->loaded_latency_ns >= p->latency_ns || isinf(p->loaded_latency_ns));
        assert_true(isinf(p->loaded_latency_ns) == (rate >= p->throughput_per_s));
        assert_true(p->throughput_per_s >= before * (1 - 1e-9) || p->throughput_per_s > rate);
        before = isinf(p->loaded_latency_ns) ? p->throughput_per_s : 0;
        mly_plan_destroy(plan);
    }
    end(&w);
}

static void least_energy_is_not_more_than_that_of_other_plans(void **state)
{
    (void)state;
    struct mly_random random;
    struct mly_error err;
    struct world w;
    mly_random_init(&random, 7);
    begin(&w, &random, "p100,raspberry-pi-4");
    mly_plan *least = NULL, *fast = NULL;
    expect_ok(mly_plan_make("auto", &w.request, &fast, &err), err);
    w.request.objective = MLY_OBJECTIVE_ENERGY;
    expect_ok(mly_plan_make("auto", &w.request, &least, &err), err);
    assert_true(least->prediction.energy_j <= fast->prediction.energy_j * 1.02);
    mly_plan_destroy(fast);
    mly_plan_destroy(least);
    /* Of cores nobody knows what they take. */
    select_processors(&w, "cpu:0-1,cpu:2-3");
    expect_error(mly_plan_make("pipeline", &w.request, &least, &err), MLY_E_NOT_FOUND, err,
                 "energy of segments on cpu:0-1 is not known");
    end(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(plans_are_valid_and_scale_with_their_costs),
        cmocka_unit_test(a_processor_more_never_worsens_the_optimum),
        cmocka_unit_test(the_order_of_equal_processors_does_not_matter),
        cmocka_unit_test(modelled_processors_need_no_measurements),
        cmocka_unit_test(auto_says_who_ran_and_what_came_of_it),
        cmocka_unit_test(a_rate_decides_between_short_and_fast),
        cmocka_unit_test(least_energy_is_not_more_than_that_of_other_plans),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/*
 * Branches side by side for the least latency: the way of one batch through segments, the search against
 * every way of dividing small graphs, and plans against the virtual executor.
 */
#include <math.h>
#include <string.h>

#include "base/alloc.h"
#include "plan/one_batch.h"
#include "plan/problem_private.h"
#include "plan/stages.h"
#include "runtime/virtual.h"
#include "support/expect.h"
#include "support/plan_fixture.h"
#include "support/plan_world.h"
#include "support/test.h"

/* --- one batch --- */

static void segments_without_need_of_each_other_run_at_once(void **state)
{
    (void)state;
    struct mly__one_batch b;
    struct mly_error err;
    /* 0 → 1, 2 → 3 on three processors, the last on the first. */
    expect_ok(mly__one_batch_init(&b, 4, 3, &err), err);
    const double ns[] = {5, 20, 30, 7};
    memcpy(b.ns, ns, sizeof ns);
    b.needs[1 * 4 + 0] = b.needs[2 * 4 + 0] = b.needs[3 * 4 + 1] = b.needs[3 * 4 + 2] = true;
    b.uses[0 * 3 + 0] = b.uses[1 * 3 + 1] = b.uses[2 * 3 + 2] = b.uses[3 * 3 + 0] = true;
    assert_true(mly__one_batch_run(&b) == 5 + 30 + 7);
    b.uses[2 * 3 + 2] = false;
    b.uses[2 * 3 + 1] = true; /* both branches on one processor: in turn */
    assert_true(mly__one_batch_run(&b) == 5 + 20 + 30 + 7);
    assert_true(b.begin_ns[2] == 5 && b.begin_ns[1] == 35);
    b.needs[1 * 4 + 3] = true; /* 1 needs 3, which needs 1 */
    assert_true(isinf(mly__one_batch_run(&b)));
    mly__one_batch_fini(&b);
}

/* An idle processor takes what is ready; of several segments the one nearest to the end. */
static void a_processor_takes_what_is_nearest_to_the_end(void **state)
{
    (void)state;
    struct mly__one_batch b;
    struct mly_error err;
    expect_ok(mly__one_batch_init(&b, 4, 3, &err), err);
    const double ns[] = {50, 5, 10, 20};
    memcpy(b.ns, ns, sizeof ns);
    b.needs[2 * 4 + 0] = b.needs[3 * 4 + 1] = true; /* 0 → 2, 1 → 3; 2 and 3 share a processor */
    b.uses[0 * 3 + 0] = b.uses[1 * 3 + 1] = b.uses[2 * 3 + 2] = b.uses[3 * 3 + 2] = true;
    assert_true(mly__one_batch_run(&b) == 60);
    assert_true(b.begin_ns[3] == 5 && b.begin_ns[2] == 50);
    b.ns[1] = 50; /* both are ready at 50 */
    assert_true(mly__one_batch_run(&b) == 80);
    assert_true(b.begin_ns[3] == 50 && b.begin_ns[2] == 70);
    mly__one_batch_fini(&b);
}

static void what_has_the_longest_way_to_go_gets_the_highest_rank(void **state)
{
    (void)state;
    struct mly__one_batch b;
    struct mly_error err;
    /* 0 → 1, 2; 1 → 3; of 1 and 2, on one processor, 1 has more to come. */
    expect_ok(mly__one_batch_init(&b, 4, 2, &err), err);
    const double ns[] = {1, 5, 6, 20};
    memcpy(b.ns, ns, sizeof ns);
    b.needs[1 * 4 + 0] = b.needs[2 * 4 + 0] = b.needs[3 * 4 + 1] = true;
    b.uses[0 * 2 + 0] = b.uses[1 * 2 + 0] = b.uses[2 * 2 + 0] = b.uses[3 * 2 + 1] = true;
    assert_true(mly__one_batch_run(&b) == 1 + 6 + 5 + 20);
    assert_true(mly__one_batch_rank(&b));
    assert_true(b.rank[0] < b.rank[2] && b.rank[2] < b.rank[1] && b.rank[1] < b.rank[3]);
    assert_true(mly__one_batch_run(&b) == 1 + 5 + 20);
    b.needs[0 * 4 + 3] = true;
    assert_false(mly__one_batch_rank(&b));
    mly__one_batch_fini(&b);
}

/* --- every way of dividing a small graph --- */

enum { UNITS_MAX = 7 };

struct every {
    const struct mly__problem *problem;
    uint32_t class_of[8];
    uint32_t part_of[UNITS_MAX], sets[UNITS_MAX], parts;
    double *latency_ns[MLY__CLASSES_MAX]; /* by set of units */
    double least;
};

static double segment_ns(struct every *e, uint32_t class, uint32_t set)
{
    double *known = &e->latency_ns[class][set];
    if (*known == 0) {
        const struct mly__segment_cost cost = plan_set_cost(e->problem, class, set);
        *known = mly__stage_latency_ns(&cost);
    }
    return *known;
}

/* All ways of giving each part a processor. */
static void place_parts(struct every *e)
{
    const struct mly__problem *problem = e->problem;
    struct mly__one_batch b;
    struct mly_error err;
    uint32_t ways = 1;
    expect_ok(mly__one_batch_init(&b, e->parts, problem->processor_count, &err), err);
    for (uint32_t c = 0; c < problem->crossing_count; c++) {
        const struct mly__crossing *crossing = &problem->crossings[c];
        for (uint32_t i = 0; crossing->producer != MLY_NO_INDEX && i < crossing->consumer_count;
             i++) {
            const uint32_t from = e->part_of[crossing->producer];
            const uint32_t to = e->part_of[crossing->consumers[i]];
            if (to != from)
                b.needs[e->parts * to + from] = true;
        }
    }
    for (uint32_t i = 0; i < e->parts; i++)
        ways *= problem->processor_count;
    for (uint32_t way = 0; way < ways; way++) {
        uint32_t rest = way;
        memset(b.uses, 0, (size_t)e->parts * problem->processor_count);
        for (uint32_t i = 0; i < e->parts; i++, rest /= problem->processor_count) {
            const uint32_t p = rest % problem->processor_count;
            b.uses[i * problem->processor_count + p] = true;
            b.ns[i] = segment_ns(e, e->class_of[p], e->sets[i]);
        }
        if (!mly__one_batch_rank(&b))
            break; /* parts need each other, wherever they run */
        e->least = fmin(e->least, mly__one_batch_run(&b));
    }
    mly__one_batch_fini(&b);
}

/* All partitions of the units from `unit` on. */
static void divide(struct every *e, uint32_t unit)
{
    if (unit == e->problem->unit_count) {
        place_parts(e);
        return;
    }
    for (uint32_t part = 0; part <= e->parts; part++) {
        const bool opens = part == e->parts;
        e->part_of[unit] = part;
        e->sets[part] = (opens ? 0 : e->sets[part]) | 1u << unit;
        e->parts += opens;
        divide(e, unit + 1);
        e->parts -= opens;
        e->sets[part] &= ~(1u << unit);
    }
}

static double least_latency(const struct mly__problem *problem)
{
    struct every e = {.problem = problem, .least = INFINITY};
    for (uint32_t c = 0; c < problem->class_count; c++) {
        e.latency_ns[c] = calloc((size_t)1 << UNITS_MAX, sizeof(double));
        assert_non_null(e.latency_ns[c]);
        for (uint32_t k = 0; k < problem->classes[c].count; k++)
            e.class_of[problem->classes[c].processors[k]] = c;
    }
    divide(&e, 0);
    for (uint32_t c = 0; c < problem->class_count; c++)
        free(e.latency_ns[c]);
    return e.least;
}

static double found_ns(const struct mly__problem *problem)
{
    struct mly__found found = {0};
    struct mly_error err;
    struct mly__layout_value least;
    expect_ok(mly__pipeline_find(problem, &found, &err), err);
    expect_ok(mly__found_least(problem, &found, &least, &err), err);
    mly__found_fini(&found);
    return least.latency_ns;
}

/* A search that may end in a local optimum: how far from the best it does is stated here. */
static const double gap_worst = 0.15, gap_mean = 0.01;

static void small_graphs_come_near_the_least_latency_there_is(void **state)
{
    (void)state;
    struct mly_random random;
    double sum = 0;
    uint32_t count = 0, gained = 0;
    mly_random_init(&random, 31);
    for (uint32_t round = 0; round < 30; round++) {
        const uint32_t nodes = 4 + round % 4;
        mly_model *model = round % 2 ? plan_random_model(&random, nodes, true)
                                     : plan_series_parallel_model(&random, nodes);
        struct plan_world w;
        plan_world_of(&w, model, &random, round % 3 != 0, MLY_OBJECTIVE_LATENCY);
        if (w.problem->unit_count <= UNITS_MAX) {
            struct mly__found row = {0};
            struct mly__layout_value value;
            struct mly_error err;
            const double least = least_latency(w.problem), found = found_ns(w.problem);
            if (!(found >= least * (1 - 1e-9) && found <= least * (1 + gap_worst)))
                fail_msg("round %u: %.9g where %.9g is the least", round, found, least);
            expect_ok(mly__exact_find(w.problem, &row, &err), err);
            expect_ok(mly__layout_value(w.problem, &row.layouts[0], &value, &err), err);
            gained += found < value.sum_ns * (1 - 1e-9);
            mly__found_fini(&row);
            sum += found / least - 1;
            count++;
        }
        plan_world_end(&w);
    }
    assert_true(count >= 20 && sum / count <= gap_mean);
    assert_true(gained >= 5);
}

/* --- plans --- */

/* Two long branches of equal work between a node before and one after. */
static mly_model *two_branches(int64_t width)
{
    static const struct tiny_node nodes[] = {
        {"Sin", "head", "x", NULL, "h"}, {"Sin", "a0", "h", NULL, "a"},
        {"Cos", "b0", "h", NULL, "b"},   {"Sin", "a1", "a", NULL, "aa"},
        {"Cos", "b1", "b", NULL, "bb"},  {"Max", "join", "aa", "bb", "y"}};
    return tiny_model(&(struct tiny_spec){
        .nodes = nodes, .node_count = sizeof nodes / sizeof *nodes, .width = width});
}

/* ends_ns: of the first and the last node. */
static void fill_costs(struct plan_world *w, double branch_ns, double ends_ns)
{
    const struct mly_graph *graph = mly_model_graph(w->model);
    double sum_ns = 0;
    w->costs = tiny_costs(w->model, w->machine);
    for (uint32_t n = 0; n < graph->node_count; n++) {
        const bool branch = graph->nodes[n].label[0] == 'a' || graph->nodes[n].label[0] == 'b';
        tiny_part_cost(w->costs, MLY_COST_NODE, graph->nodes[n].label, 2, 1, 1,
                       branch ? branch_ns : ends_ns);
        sum_ns += branch ? branch_ns : ends_ns;
    }
    tiny_cost(w->costs, 2, 1, 1, false, sum_ns, 0);
    tiny_cost(w->costs, 1, 1, 1, false, sum_ns, 0);
    w->request.costs = w->costs;
}

static void begin_two(struct plan_world *w, double branch_ns, double ends_ns)
{
    *w = (struct plan_world){.model = two_branches(16), .machine = tiny_machine("core:2 pu:1")};
    plan_world_select(w, "cpu:0,cpu:1");
    w->request = (struct mly_plan_request){.model = w->model,
                                           .machine = w->machine,
                                           .objective = MLY_OBJECTIVE_LATENCY,
                                           .batch = 1,
                                           .processors = &w->processors};
    fill_costs(w, branch_ns, ends_ns);
}

static void branches_run_on_two_groups_at_once_where_that_pays(void **state)
{
    (void)state;
    struct plan_world w;
    struct mly_error err;
    mly_plan *plan = NULL;
    begin_two(&w, 1e7, 1e5);
    expect_ok(mly_plan_make("pipeline", &w.request, &plan, &err), err);
    assert_int_equal(plan->processor_count, 2);
    assert_true(plan->prediction.latency_ns < 2.1e7 && plan->prediction.latency_ns > 2e7);
    mly_plan_destroy(plan);
    plan_world_end(&w);
    begin_two(&w, 1e3, 1e5); /* starting a segment takes more than a branch */
    expect_ok(mly_plan_make("pipeline", &w.request, &plan, &err), err);
    assert_int_equal(plan->segment_count, 1);
    mly_plan_destroy(plan);
    plan_world_end(&w);
}

static void an_estimate_has_to_beat_what_was_measured_by_more_than_its_error(void **state)
{
    (void)state;
    static const struct {
        double branch_ns;
        bool cut;
    } cases[] = {{1e6, false} /* 24 ms measured, 22.1 estimated */, {3e6, true} /* 32, 26.1 */};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct plan_world w;
        struct mly_error err;
        mly_plan *plan = NULL;
        begin_two(&w, cases[i].branch_ns, 1e7);
        expect_ok(mly_plan_make("auto", &w.request, &plan, &err), err);
        assert_int_equal(plan->segment_count > 1, cases[i].cut);
        if (!cases[i].cut)
            assert_non_null(strstr(plan->why, "but only estimated and may be off by 10 %"));
        if (cases[i].cut)
            assert_int_equal(plan->in_flight, 4); /* two per processor, however many segments */
        mly_plan_destroy(plan);
        plan_world_end(&w);
    }
}

/* Puts measurements of the plan's segments in the table by which one batch takes that long. */
static void measure_segments(struct plan_world *w, const mly_plan *plan, double latency_ns)
{
    struct mly_stage stages[8];
    struct mly_error err;
    const double factor = latency_ns / plan->prediction.latency_ns;
    assert_true(plan->segment_count <= 8);
    expect_ok(mly_plan_stages(plan, w->model, w->costs, stages, &err), err);
    for (uint32_t i = 0; i < plan->segment_count; i++) {
        struct mly_segment cut = {.nodes = plan->segments[i].nodes,
                                  .node_count = plan->segments[i].node_count};
        const double ns = stages[i].execution_ns * factor;
        char hash[65];
        expect_ok(mly_segment_hash(w->model, &cut, hash, &err), err);
        tiny_part_cost(w->costs, MLY_COST_SEGMENT, hash, 2, 1, 1, ns);
    }
}

static void segments_measured_apart_have_to_win_by_more_than_a_box_drifts(void **state)
{
    (void)state;
    static const struct {
        double gain;
        bool cut;
    } cases[] = {{0.03, false}, {0.09, true}}; /* of 28 ms */
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct plan_world w;
        struct mly_error err;
        mly_plan *plan = NULL;
        begin_two(&w, 2e6, 1e7);
        expect_ok(mly_plan_make("pipeline", &w.request, &plan, &err), err);
        measure_segments(&w, plan, 28e6 * (1 - cases[i].gain));
        mly_plan_destroy(plan);
        expect_ok(mly_plan_make("auto", &w.request, &plan, &err), err);
        assert_int_equal(plan->segment_count > 1, cases[i].cut);
        assert_true(plan->prediction.measured);
        mly_plan_destroy(plan);
        plan_world_end(&w);
    }
}

static void a_limit_on_segments_holds_for_branches_too(void **state)
{
    (void)state;
    struct plan_world w;
    struct mly_error err;
    begin_two(&w, 1e7, 1e5);
    double before = INFINITY;
    for (uint32_t most = 1; most <= 4; most++) {
        mly_plan *plan = NULL;
        w.request.segments_max = most;
        expect_ok(mly_plan_make("pipeline", &w.request, &plan, &err), err);
        assert_true(plan->segment_count <= most);
        assert_true(plan->prediction.latency_ns <= before);
        before = plan->prediction.latency_ns;
        mly_plan_destroy(plan);
    }
    assert_true(before < 2.1e7);
    plan_world_end(&w);
}

/* The plan, run on the virtual clock by the engine's own scheduler, one request at a time. */
static double virtual_latency_ns(const struct plan_world *w, const mly_plan *plan)
{
    struct mly_error err;
    struct mly_flow flow;
    struct mly_virtual_cost *costs = NULL;
    struct mly_virtual_result result;
    struct mly_arrivals arrivals;
    const struct mly_virtual_cost_request request = {
        .model = w->model, .plan = plan, .measured = w->costs, .batch = plan->batch, .exact = true};
    expect_ok(mly_flow_init(w->model, plan, true, &flow, &err), err);
    expect_ok(mly_virtual_costs(&request, &costs, &err), err);
    expect_ok(mly_arrivals_parse("closed:1", &arrivals, &err), err);
    const struct mly_virtual_options options = {
        .flow = &flow, .costs = costs, .batch = plan->batch, .arrivals = &arrivals, .count = 3};
    expect_ok(mly_virtual_run(&options, &result, &err), err);
    const double ns = result.latency.max_ns;
    mly_virtual_result_fini(&result);
    mly_arrivals_fini(&arrivals);
    mly_free(costs);
    mly_flow_fini(&flow);
    return ns;
}

static void the_virtual_executor_takes_as_long_as_predicted(void **state)
{
    (void)state;
    struct mly_random random;
    uint32_t parallel = 0;
    mly_random_init(&random, 77);
    for (uint32_t round = 0; round < 24; round++) {
        const uint32_t nodes = 5 + (uint32_t)mly_random_below(&random, 8);
        mly_model *model = round % 2 ? plan_random_model(&random, nodes, true)
                                     : plan_series_parallel_model(&random, nodes);
        struct plan_world w;
        struct mly_error err;
        mly_plan *plan = NULL;
        plan_world_of(&w, model, &random, round % 3 != 0, MLY_OBJECTIVE_LATENCY);
        w.request.batch = PLAN_BATCH;
        /* Where the whole model on one group is best: that was not measured. */
        if (mly_plan_make("pipeline", &w.request, &plan, &err) == MLY_E_NOT_FOUND) {
            plan_world_end(&w);
            continue;
        }
        const double predicted = plan->prediction.latency_ns;
        const double took = virtual_latency_ns(&w, plan);
        /* The virtual clock counts whole ns, a task at a time. */
        if (!(fabs(took - predicted) <= 2.0 * plan->segment_count + 1e-9 * predicted))
            fail_msg("round %u, %u segments: %.9g ns where %.9g were predicted", round,
                     plan->segment_count, took, predicted);
        parallel += plan->processor_count > 1 && plan->segment_count > 2;
        mly_plan_destroy(plan);
        plan_world_end(&w);
    }
    assert_true(parallel >= 5);
}

static void every_failing_allocation_is_reported(void **state)
{
    (void)state;
    struct plan_world w;
    begin_two(&w, 1e7, 1e5);
    for (uint64_t n = 1;; n++) {
        mly_plan *plan = NULL;
        struct mly_error err;
        mly_alloc_fail_after(n);
        enum mly_status status = mly_plan_make("pipeline", &w.request, &plan, &err);
        mly_alloc_fail_after(0);
        mly_plan_destroy(plan);
        if (!status)
            break;
        assert_int_equal(status, MLY_E_NO_MEMORY);
    }
    plan_world_end(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(segments_without_need_of_each_other_run_at_once),
        cmocka_unit_test(a_processor_takes_what_is_nearest_to_the_end),
        cmocka_unit_test(what_has_the_longest_way_to_go_gets_the_highest_rank),
        cmocka_unit_test(small_graphs_come_near_the_least_latency_there_is),
        cmocka_unit_test(branches_run_on_two_groups_at_once_where_that_pays),
        cmocka_unit_test(an_estimate_has_to_beat_what_was_measured_by_more_than_its_error),
        cmocka_unit_test(segments_measured_apart_have_to_win_by_more_than_a_box_drifts),
        cmocka_unit_test(a_limit_on_segments_holds_for_branches_too),
        cmocka_unit_test(the_virtual_executor_takes_as_long_as_predicted),
        cmocka_unit_test(every_failing_allocation_is_reported),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

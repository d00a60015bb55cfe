/*
 * Planners that cut the order of a network once: by parameters against the cuts that the vendor's compiler
 * made, by bisection against all cuts there are.
 */
#include <math.h>

#include "base/alloc.h"
#include "device/modelled.h"
#include "plan/in_order.h"
#include "plan/problem_private.h"
#include "support/expect.h"
#include "support/hollow.h"
#include "support/plan_fixture.h"

enum { UNITS_MAX = 64, PARTS_MAX = 4 };

static struct mly_error err;
static mly_machine *machine;

static int setup(void **state)
{
    (void)state;
    char *word = NULL;
    unsetenv("MOTLEY_DEVICES");
    machine = tiny_machine("core:2 pu:1");
    expect_ok(mly_device_models_load(&word, &err), err);
    mly_free(word);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    mly_machine_destroy(machine);
    return 0;
}

/* "2+1+2": nodes with weights of each segment. */
static const char *cuts_of(const mly_model *model, const mly_plan *plan)
{
    static char text[64];
    const struct mly_graph *graph = mly_model_graph(model);
    struct mly_shape *shapes = mly_alloc_array(graph->tensor_count, sizeof *shapes);
    size_t used = 0;
    assert_non_null(shapes);
    expect_ok(mly_graph_bind(model, 1, NULL, 0, shapes, &err), err);
    for (uint32_t s = 0; s < plan->segment_count; s++) {
        const struct mly_plan_segment *segment = &plan->segments[s];
        unsigned layers = 0;
        for (uint32_t i = 0; i < (segment->nodes ? segment->node_count : graph->node_count); i++) {
            struct mly_node_work work;
            mly_graph_node_work(graph, shapes, segment->nodes ? segment->nodes[i] : i, &work);
            layers += work.parameters > 0;
        }
        used += (size_t)snprintf(text + used, sizeof text - used, "%s%u", s ? "+" : "", layers);
        assert_true(used < sizeof text);
    }
    mly_free(shapes);
    return text;
}

static mly_plan *make(const mly_model *model, const char *planner, const char *processors,
                      uint32_t segments_max)
{
    struct mly_processor_list list = {0};
    mly_plan *plan = NULL;
    expect_ok(mly_machine_select(machine, processors, &list, &err), err);
    const struct mly_plan_request request = {
        .model = model, .machine = machine, .processors = &list, .segments_max = segments_max};
    expect_ok(mly_plan_make(planner, &request, &plan, &err), err);
    mly_processor_list_fini(&list);
    return plan;
}

/* Cuts of the compiler, by the published memory of its segments (data/published). */
static void parameters_cut_as_the_vendor_did(void **state)
{
    (void)state;
    static const struct {
        const char *network, *processors, *cuts;
    } cases[] = {
        {"edge-conv-582", "edgetpu-pcie*2", "2+3"},
        {"edge-conv-582", "edgetpu-pcie*3", "2+1+2"},
        {"edge-conv-582", "edgetpu-pcie*4", "1+1+1+2"},
        {"edge-fc-1980", "edgetpu-pcie*2", "2+3"},
        {"edge-fc-1980", "edgetpu-pcie*4", "1+1+1+2"},
        {"edge-fc-1980", "edgetpu-pcie", "5"},
        {"edge-fc-1980", "edgetpu-pcie*9", "1+1+1+1+1"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        mly_model *model = hollow_network(cases[i].network);
        mly_plan *plan = make(model, "parameters", cases[i].processors, 0);
        assert_string_equal(cuts_of(model, plan), cases[i].cuts);
        assert_true(plan->prediction.modelled && plan->why);
        for (uint32_t s = 0; s < plan->segment_count; s++)
            assert_int_equal(plan->segments[s].processor_count, 1);
        mly_plan_destroy(plan);
        mly_model_destroy(model);
    }
    mly_model *model = hollow_network("edge-conv-582");
    mly_plan *plan = make(model, "parameters", "edgetpu-pcie*4", 2);
    assert_string_equal(cuts_of(model, plan), "2+3");
    mly_plan_destroy(plan);
    mly_model_destroy(model);
}

static double period_of(struct mly__part_builder *builder, uint32_t begin, uint32_t end)
{
    struct mly__segment_cost cost;
    mly__part_builder_reset(builder, 0);
    for (uint32_t u = begin; u < end; u++)
        mly__part_builder_add(builder, u);
    mly__part_builder_cost(builder, &cost);
    return mly__stage_period_ns(builder->class, &cost);
}

/* The shortest bottleneck of all ways to cut the order in so many parts. */
static double best_of(const struct mly__problem *problem, uint32_t parts)
{
    static double period[UNITS_MAX][UNITS_MAX + 1], best[PARTS_MAX + 1][UNITS_MAX + 1];
    struct mly__part_builder builder;
    const uint32_t units = problem->unit_count;
    assert_true(units <= UNITS_MAX);
    expect_ok(mly__part_builder_init(&builder, problem, 0, &err), err);
    for (uint32_t i = 0; i < units; i++)
        for (uint32_t k = i + 1; k <= units; k++)
            period[i][k] = period_of(&builder, i, k);
    mly__part_builder_fini(&builder);
    for (uint32_t k = 0; k <= units; k++)
        best[1][k] = k ? period[0][k] : INFINITY;
    for (uint32_t p = 2; p <= parts; p++)
        for (uint32_t k = 0; k <= units; k++) {
            best[p][k] = INFINITY;
            for (uint32_t i = p - 1; i < k; i++)
                best[p][k] = fmin(best[p][k], fmax(best[p - 1][i], period[i][k]));
        }
    return best[parts][units];
}

/*
 * It is no optimum: greedy filling may end badly, and the last millisecond is not looked for. But never
 * below the optimum, never worse than what it begins with, and on chains of layers it is near.
 */
static void bisection_lies_between_its_start_and_the_best(void **state)
{
    (void)state;
    static const char *const networks[] = {"edge-conv-322", "edge-conv-582", "edge-conv-702",
                                           "edge-fc-1980",  "edge-fc-2620",  "squeezenet",
                                           "resnet50",      "mobilenet-v1"};
    for (size_t i = 0; i < sizeof networks / sizeof *networks; i++) {
        mly_model *model = hollow_network(networks[i]);
        for (uint32_t parts = 2; parts <= PARTS_MAX; parts++) {
            char processors[64];
            struct mly_processor_list list = {0};
            struct mly__problem *problem = NULL;
            snprintf(processors, sizeof processors, "edgetpu-pcie*%u", parts);
            expect_ok(mly_machine_select(machine, processors, &list, &err), err);
            const struct mly_plan_request request = {
                .model = model, .machine = machine, .processors = &list};
            expect_ok(mly__problem_create(&request, 1, MLY__UNITS_FUSED, &problem, &err), err);
            mly_plan *start = make(model, "parameters", processors, 0),
                     *plan = make(model, "bisection", processors, 0);
            const double best = best_of(problem, parts),
                         found = 1e9 / plan->prediction.throughput_per_s;
            assert_int_equal(plan->segment_count, parts);
            assert_true(found >= best * (1 - 1e-6));
            assert_true(found <= 1e9 / start->prediction.throughput_per_s * (1 + 1e-9));
            if (strncmp(networks[i], "edge-", 5) == 0)
                assert_true(found <= best + 1.001e6);
            mly_plan_destroy(start);
            mly_plan_destroy(plan);
            mly__problem_destroy(problem);
            mly_processor_list_fini(&list);
        }
        mly_model_destroy(model);
    }
}

static void what_does_not_suit_them_is_said(void **state)
{
    (void)state;
    mly_plan *plan = NULL;
    struct mly_processor_list list = {0};
    mly_model *model = hollow_network("cifarnet");
    expect_ok(mly_machine_select(machine, "edgetpu-pcie*2", &list, &err), err);
    const struct mly_plan_request request = {
        .model = model, .machine = machine, .processors = &list};
    expect_error(mly_plan_make("bisection", &request, &plan, &err), MLY_E_UNSUPPORTED, err, "LRN");
    expect_error(mly_plan_make("parameters", &request, &plan, &err), MLY_E_UNSUPPORTED, err, "LRN");
    mly_processor_list_fini(&list);
    mly_model_destroy(model);
}

static void every_allocation_may_fail(void **state)
{
    (void)state;
    static const char *const planners[] = {"parameters", "bisection"};
    mly_model *model = hollow_network("edge-conv-582");
    struct mly_processor_list list = {0};
    expect_ok(mly_machine_select(machine, "edgetpu-pcie*3", &list, &err), err);
    const struct mly_plan_request request = {
        .model = model, .machine = machine, .processors = &list};
    for (size_t i = 0; i < 2; i++) {
        for (uint64_t n = 1;; n++) {
            mly_plan *plan = NULL;
            mly_alloc_fail_once(n);
            enum mly_status status = mly_plan_make(planners[i], &request, &plan, &err);
            mly_alloc_fail_once(0);
            mly_plan_destroy(plan);
            if (status == MLY_OK)
                break;
            assert_null(plan);
            assert_int_equal(status, MLY_E_NO_MEMORY);
        }
    }
    mly_processor_list_fini(&list);
    mly_model_destroy(model);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(parameters_cut_as_the_vendor_did),
        cmocka_unit_test(bisection_lies_between_its_start_and_the_best),
        cmocka_unit_test(what_does_not_suit_them_is_said),
        cmocka_unit_test(every_allocation_may_fail),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}

/*
 * The planners that cut for unlike processors, on networks of the zoo and modelled processors: min-cut
 * against the exact search, ratios, splits of a batch against the list of all, families at every rate.
 */
#include <math.h>
#include <string.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/random.h"
#include "plan/family.h"
#include "plan/internal.h"
#include "plan/splits.h"
#include "plan/under_load.h"
#include "support/expect.h"
#include "support/hollow.h"
#include "support/plan_fixture.h"
#include "support/test.h"

static const char *const networks[] = {"squeezenet", "mobilenet-v2", "googlenet"};
static const char *const pairs[] = {"p100,xeon-e5-2683v4", "jetson-nano,gtx1650",
                                    "raspberry-pi-4,edgetpu-usb3"};

struct world {
    mly_model *model;
    mly_machine *machine;
    struct mly_processor_list processors;
    struct mly_plan_request request;
};

/* Into the caller's storage, which the request points into. */
static void begin(struct world *w, const char *network, const char *processors,
                  enum mly_objective objective, uint32_t batch)
{
    char *word = NULL;
    struct mly_error err;
    *w = (struct world){.model = hollow_network(network), .machine = tiny_machine("core:2 pu:1")};
    expect_ok(mly_device_models_load(&word, &err), err);
    mly_free(word);
    expect_ok(mly_machine_select(w->machine, processors, &w->processors, &err), err);
    w->request = (struct mly_plan_request){.model = w->model,
                                           .machine = w->machine,
                                           .processors = &w->processors,
                                           .objective = objective,
                                           .batch = batch};
}

static void end(struct world *w)
{
    mly_processor_list_fini(&w->processors);
    mly_model_destroy(w->model);
    mly_machine_destroy(w->machine);
}

static mly_plan *make(const struct world *w, const char *planner)
{
    struct mly_error err;
    mly_plan *plan = NULL;
    expect_ok(mly_plan_make(planner, &w->request, &plan, &err), err);
    assert_true(plan->prediction.known && plan->prediction.modelled && !plan->prediction.measured);
    return plan;
}

/* --- min-cut --- */

static void min_cut_is_as_good_as_every_pipeline_of_two(void **state)
{
    (void)state;
    for (size_t n = 0; n < sizeof networks / sizeof *networks; n++) {
        for (size_t p = 0; p < sizeof pairs / sizeof *pairs; p++) {
            struct world w;
            begin(&w, networks[n], pairs[p], MLY_OBJECTIVE_LATENCY, 4);
            w.request.segments_max = 2;
            mly_plan *cut = make(&w, "min-cut"), *exact = make(&w, "exact");
            assert_true(
                cut->prediction.latency_ns <= exact->prediction.latency_ns * (1 + 1e-6) ||
                strstr(pairs[p], "edgetpu")); /* where weights share a chip, times do not add */
            assert_true(cut->note && strstr(cut->note, "least latency"));
            mly_plan_destroy(cut);
            mly_plan_destroy(exact);
            end(&w);
        }
    }
}

static void equal_processors_are_not_cut_for(void **state)
{
    (void)state;
    struct world w;
    mly_plan *plan = NULL;
    struct mly_error err;
    begin(&w, "squeezenet", "p100*2", MLY_OBJECTIVE_LATENCY, 1);
    expect_error(mly_plan_make("min-cut", &w.request, &plan, &err), MLY_E_UNSUPPORTED, err,
                 "two unlike processors");
    end(&w);
    begin(&w, "squeezenet", "p100", MLY_OBJECTIVE_LATENCY, 1);
    expect_error(mly_plan_make("metis", &w.request, &plan, &err), MLY_E_UNSUPPORTED, err,
                 "two processors or more");
    expect_error(mly_plan_make("data", &w.request, &plan, &err), MLY_E_UNSUPPORTED, err,
                 "two processors or more");
    end(&w);
}

/* --- metis --- */

/* The first part's share of the time, if all of it ran on the first processor. */
static double share_of_first(const struct world *w, mly_plan *plan)
{
    struct mly_stage stages[2];
    struct mly_error err;
    uint32_t *second = &plan->segments[1].processors[0];
    const uint32_t kept = *second;
    *second = plan->segments[0].processors[0];
    expect_ok(mly_plan_stages(plan, w->model, NULL, stages, &err), err);
    *second = kept;
    return stages[0].execution_ns / (stages[0].execution_ns + stages[1].execution_ns);
}

static void named_ratios_make_two_parts_in_order(void **state)
{
    (void)state;
    static const struct {
        const char *planner;
        double share;
    } ratios[] = {
        {"metis:75/25", 0.75}, {"metis:80/20", 0.8}, {"metis:85/15", 0.85}, {"metis:90/10", 0.9}};
    struct world w;
    begin(&w, "googlenet", pairs[0], MLY_OBJECTIVE_THROUGHPUT, 16);
    for (size_t i = 0; i < sizeof ratios / sizeof *ratios; i++) {
        mly_plan *plan = make(&w, ratios[i].planner);
        struct mly_error err;
        assert_int_equal(plan->segment_count, 2);
        assert_string_equal(plan->processors[plan->segments[0].processors[0]].id, "p100:0");
        expect_ok(mly_plan_check(plan, w.model, w.machine, &err), err);
        /* The first may exceed its share by a twentieth, and the second its own. */
        const double share = share_of_first(&w, plan);
        assert_true(share <= ratios[i].share * 1.06 && 1 - share <= (1 - ratios[i].share) * 1.1);
        assert_non_null(strstr(plan->note, "METIS in 2 parts"));
        mly_plan_destroy(plan);
    }
    end(&w);
}

static void ratios_that_are_none_are_refused(void **state)
{
    (void)state;
    static const char *const wrong[] = {"metis:",        "metis:80",   "metis:80/",  "metis:80-20",
                                        "metis:0/1",     "metis:-1/2", "metis:1/2/", "metis:/1/2",
                                        "metis:1e999/1", "metis:nan/1"};
    struct world w;
    struct mly_error err;
    mly_plan *plan = NULL;
    begin(&w, "squeezenet", pairs[0], MLY_OBJECTIVE_THROUGHPUT, 1);
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        expect_error(mly_plan_make(wrong[i], &w.request, &plan, &err), MLY_E_INVALID, err,
                     "is no ratio");
    expect_error(mly_plan_make("metis:1/1/1", &w.request, &plan, &err), MLY_E_UNSUPPORTED, err,
                 "needs 3 processors");
    expect_error(mly_plan_make("auto:80/20", &w.request, &plan, &err), MLY_E_INVALID, err,
                 "takes no ratio");
    expect_error(mly_plan_make("exact:3", &w.request, &plan, &err), MLY_E_INVALID, err,
                 "exact takes no ratio");
    expect_ok(mly_planner_check("metis:3/2/1", &err), err);
    expect_ok(mly_planner_check("auto", &err), err);
    expect_error(mly_plan_make("metsi:80/20", &w.request, &plan, &err), MLY_E_INVALID, err,
                 "no planner 'metsi'");
    const double sum_of_two[] = {1, 1};
    w.request.ratio = sum_of_two;
    w.request.ratio_count = 2;
    expect_error(mly_plan_make("metis", &w.request, &plan, &err), MLY_E_INVALID, err, "sum to 1");
    end(&w);
}

static void several_processors_get_parts_of_their_speed(void **state)
{
    (void)state;
    struct world w;
    begin(&w, "googlenet", "p100,gtx1650,jetson-nano,i9-9900k", MLY_OBJECTIVE_THROUGHPUT, 8);
    mly_plan *plan = make(&w, "metis"), *again = make(&w, "metis");
    char *a = NULL, *b = NULL;
    size_t length;
    struct mly_error err;
    expect_ok(mly_plan_format(plan, &a, &length, &err), err);
    expect_ok(mly_plan_format(again, &b, &length, &err), err);
    assert_string_equal(a, b);
    bool cut = false;
    for (uint32_t i = 0; i < plan->candidate_count; i++)
        cut = cut || strstr(plan->candidates[i].description, "4 segments");
    assert_true(cut);
    mly_free(a);
    mly_free(b);
    mly_plan_destroy(plan);
    mly_plan_destroy(again);
    end(&w);
}

/* --- data --- */

struct least {
    double makespan_ns;
    uint64_t rows;
};

static enum mly_status note_row(const struct mly_split_head *head, const struct mly_split_row *row,
                                void *user, struct mly_error *err)
{
    struct least *least = user;
    uint32_t sum = 0;
    (void)err;
    assert_true(head->modelled && head->processor_count == 3);
    assert_string_equal(head->processors[0].id, "p100:0");
    for (uint32_t i = 0; i < head->processor_count; i++)
        sum += row->shares[i];
    assert_int_equal(sum, head->batch);
    if (!least->rows++ || row->makespan_ns < least->makespan_ns)
        least->makespan_ns = row->makespan_ns;
    return MLY_OK;
}

static void a_split_batch_is_the_best_of_all_splits(void **state)
{
    (void)state;
    struct world w;
    struct mly_error err;
    struct least least = {0};
    begin(&w, "squeezenet", "p100,jetson-nano,xeon-e5-2683v4", MLY_OBJECTIVE_LATENCY, 20);
    mly_plan *plan = make(&w, "data");
    struct mly_prediction prediction;
    expect_ok(mly_plan_list_splits(&w.request, 1, note_row, &least, &err), err);
    assert_int_equal(least.rows, 231); /* 22 over 2 */
    assert_true(fabs(plan->prediction.latency_ns - least.makespan_ns) <= 1e-9 * least.makespan_ns);
    expect_ok(mly_plan_check(plan, w.model, w.machine, &err), err);
    expect_ok(mly_plan_evaluate(plan, w.model, NULL, &prediction, &err), err);
    assert_true(prediction.latency_ns == plan->prediction.latency_ns &&
                prediction.throughput_per_s == plan->prediction.throughput_per_s &&
                prediction.memory_bytes == plan->prediction.memory_bytes &&
                prediction.energy_j == plan->prediction.energy_j);
    assert_non_null(plan->segments[0].shares);
    expect_error(mly_plan_list_splits(&w.request, 3, note_row, &least, &err), MLY_E_INVALID, err,
                 "steps of 3");
    w.request.batch = 0;
    expect_error(mly_plan_list_splits(&w.request, 1, note_row, &least, &err), MLY_E_INVALID, err,
                 "1 to 65536");
    mly_plan_destroy(plan);
    end(&w);
}

static void auto_leaves_splits_of_batches_out(void **state)
{
    (void)state;
    struct world w;
    begin(&w, "squeezenet", pairs[0], MLY_OBJECTIVE_LATENCY, 64);
    mly_plan *plan = make(&w, "auto");
    for (uint32_t i = 0; i < plan->segment_count; i++)
        assert_null(plan->segments[i].shares);
    for (uint32_t i = 0; i < plan->run_count; i++)
        assert_string_not_equal(plan->runs[i].planner, "data");
    mly_plan_destroy(plan);
    end(&w);
}

/* --- families --- */

static double latency_at(const struct world *w, const mly_plan *plan, double rate_per_s)
{
    struct mly_error err;
    struct mly__under_load load;
    struct mly_prediction prediction;
    expect_ok(mly__plan_under_load(plan, w->model, w->request.costs, &load, &prediction, &err),
              err);
    const double ns = mly__under_load_latency_ns(&load, rate_per_s);
    mly__under_load_fini(&load);
    return ns;
}

static void check_family(const struct world *w, const mly_plan *plan, double tolerance)
{
    struct mly_error err;
    const double greatest = plan->family[plan->family_count - 1].max_rate_per_s;
    mly_plan *members[64] = {NULL};
    assert_true(plan->family_count > 0 && plan->family_count <= 64);
    expect_ok(mly_plan_check(plan, w->model, w->machine, &err), err);
    for (uint32_t i = 0; i < plan->family_count; i++) {
        assert_true(!i || plan->family[i].max_rate_per_s > plan->family[i - 1].max_rate_per_s);
        expect_ok(mly_plan_take_member(plan, i, &members[i], &err), err);
        assert_int_equal(members[i]->family_count, 0);
        expect_ok(mly_plan_check(members[i], w->model, w->machine, &err), err);
    }
    const mly_plan *last = members[plan->family_count - 1];
    assert_true(last && greatest == last->prediction.throughput_per_s);
    for (int step = 2; step < 98; step++) {
        const double rate = greatest * step / 100;
        const double ns = latency_at(w, members[mly_plan_member_at(plan, rate)], rate);
        assert_true(isfinite(ns));
        for (uint32_t i = 0; i < plan->family_count; i++)
            assert_true(ns <= (1 + tolerance) * latency_at(w, members[i], rate));
    }
    for (uint32_t i = 0; i < plan->family_count; i++)
        mly_plan_destroy(members[i]);
}

static void a_family_is_near_the_best_of_its_ways_at_every_rate(void **state)
{
    (void)state;
    for (size_t p = 0; p < sizeof pairs / sizeof *pairs; p++) {
        struct world w;
        struct mly_error err;
        mly_plan *plan = NULL;
        begin(&w, "mobilenet-v2", pairs[p], MLY_OBJECTIVE_THROUGHPUT, 0);
        expect_ok(mly_plan_make_family(&w.request, &plan, &err), err);
        check_family(&w, plan, 0.06);
        assert_true(plan->prediction.throughput_per_s ==
                    plan->family[plan->family_count - 1].prediction.throughput_per_s);
        mly_plan_destroy(plan);
        plan = NULL;
        w.request.objective = MLY_OBJECTIVE_LATENCY;
        w.request.batch = 4;
        expect_ok(mly_plan_make_family(&w.request, &plan, &err), err);
        check_family(&w, plan, 0.06);
        assert_true(plan->prediction.latency_ns == plan->family[0].prediction.latency_ns);
        for (uint32_t i = 0; i < plan->family_count; i++)
            assert_int_equal(plan->family[i].batch, 4);
        mly_plan_destroy(plan);
        end(&w);
    }
}

/* As fast as planning for just that rate, up to the rates given. */
static void a_family_is_as_good_as_a_plan_for_the_rate(void **state)
{
    (void)state;
    static const double parts[] = {0.02, 0.15, 0.4, 0.65, 0.85, 0.95};
    for (size_t p = 0; p < 2; p++) {
        struct world w;
        struct mly_error err;
        mly_plan *family = NULL;
        begin(&w, "squeezenet", pairs[p], MLY_OBJECTIVE_THROUGHPUT, 0);
        expect_ok(mly_plan_make_family(&w.request, &family, &err), err);
        const double greatest = family->family[family->family_count - 1].max_rate_per_s;
        w.request.objective = MLY_OBJECTIVE_LATENCY_AT_RATE;
        for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
            const double rate = w.request.rate_per_s = parts[i] * greatest;
            const uint32_t index = mly_plan_member_at(family, rate);
            mly_plan *member = NULL, *plan = make(&w, "auto");
            expect_ok(mly_plan_take_member(family, index, &member, &err), err);
            const double ns = latency_at(&w, member, rate);
            /* What is within the way's slack, and a little for the curves between loads. */
            if (!(ns <= 1.07 * plan->prediction.loaded_latency_ns))
                fail_msg("%s at %g: %g ms by the family, %g by a plan", pairs[p], rate, ns / 1e6,
                         plan->prediction.loaded_latency_ns / 1e6);
            mly_plan_destroy(member);
            mly_plan_destroy(plan);
        }
        mly_plan_destroy(family);
        end(&w);
    }
}

/* Whole models in core groups, as measured: one group answers sooner, two take more. */
static void measured_core_groups_make_a_family(void **state)
{
    (void)state;
    struct mly_error err;
    struct world w = {.model = tiny_chain(4, 0), .machine = tiny_machine("core:2 pu:1")};
    mly_cost_table *costs = tiny_costs(w.model, w.machine);
    tiny_cost(costs, 1, 2, 1, false, 1.2e6, 0);
    tiny_cost(costs, 2, 1, 1, false, 1.8e6, 0);
    tiny_cost(costs, 2, 1, 8, false, 9e6, 0);
    w.request = (struct mly_plan_request){.model = w.model, .machine = w.machine, .costs = costs};
    mly_plan *plan = NULL;
    expect_ok(mly_plan_make_family(&w.request, &plan, &err), err);
    check_family(&w, plan, 0.06);
    assert_int_equal(plan->family_count, 3);
    assert_int_equal(plan->family[0].segments[0].processor_count, 1);
    assert_int_equal(plan->family[1].segments[0].processor_count, 2);
    assert_int_equal(plan->family[2].batch, 8);
    mly_plan_destroy(plan);
    plan = NULL;
    mly_cost_table_destroy(costs);
    w.request.costs = costs = tiny_costs(w.model, w.machine);
    expect_error(mly_plan_make_family(&w.request, &plan, &err), MLY_E_NOT_FOUND, err, "profile");
    mly_cost_table_destroy(costs);
    end(&w);
}

static void members_that_are_none_are_refused(void **state)
{
    (void)state;
    struct mly_error err;
    struct world w = {.model = tiny_chain(4, 0), .machine = tiny_machine("core:2 pu:1")};
    mly_plan *plan = tiny_plan(w.model, w.machine, 1, 1), *member = NULL;
    assert_int_equal(mly_plan_member_at(plan, 1), MLY_NO_INDEX);
    expect_error(mly_plan_take_member(plan, 0, &member, &err), MLY_E_INVALID, err, "0 members");
    mly_plan_destroy(plan);
    end(&w);
}

static void every_failing_allocation_is_reported(void **state)
{
    (void)state;
    static const char *const planners[] = {"metis:80/20", "min-cut", "data", "family"};
    struct world w;
    begin(&w, "squeezenet", pairs[0], MLY_OBJECTIVE_THROUGHPUT, 4);
    for (size_t i = 0; i < sizeof planners / sizeof *planners; i++) {
        for (uint64_t n = 1;; n += 1 + n / 40) {
            struct mly_error err = {0};
            mly_plan *plan = NULL;
            mly_alloc_fail_once(n);
            enum mly_status status = strcmp(planners[i], "family")
                                         ? mly_plan_make(planners[i], &w.request, &plan, &err)
                                         : mly_plan_make_family(&w.request, &plan, &err);
            mly_alloc_fail_once(0);
            mly_plan_destroy(plan);
            if (!status)
                break;
            if (status != MLY_E_NO_MEMORY || !err.message[0])
                fail_msg("%s, allocation %llu: %s: %s", planners[i], (unsigned long long)n,
                         mly_status_name(status), err.message);
        }
    }
    end(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(min_cut_is_as_good_as_every_pipeline_of_two),
        cmocka_unit_test(equal_processors_are_not_cut_for),
        cmocka_unit_test(named_ratios_make_two_parts_in_order),
        cmocka_unit_test(ratios_that_are_none_are_refused),
        cmocka_unit_test(several_processors_get_parts_of_their_speed),
        cmocka_unit_test(a_split_batch_is_the_best_of_all_splits),
        cmocka_unit_test(auto_leaves_splits_of_batches_out),
        cmocka_unit_test(a_family_is_near_the_best_of_its_ways_at_every_rate),
        cmocka_unit_test(a_family_is_as_good_as_a_plan_for_the_rate),
        cmocka_unit_test(measured_core_groups_make_a_family),
        cmocka_unit_test(members_that_are_none_are_refused),
        cmocka_unit_test(every_failing_allocation_is_reported),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

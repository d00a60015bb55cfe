/*
 * Checking plans: every rule, one broken at a time; order and convexity against a search of all
 * paths.
 */
#include <string.h>

#include "base/alloc.h"
#include "base/random.h"
#include "support/expect.h"
#include "support/plan_fixture.h"
#include "support/test.h"

static mly_model *model;
static mly_machine *machine;

static int set_up(void **state)
{
    (void)state;
    model = tiny_chain(20, 0);
    machine = tiny_machine("pack:2 core:2 pu:2");
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    mly_model_destroy(model);
    mly_machine_destroy(machine);
    return 0;
}

static void expect_checked(const mly_plan *plan, enum mly_status wanted, const char *part)
{
    struct mly_error err = {0};
    enum mly_status status = mly_plan_check(plan, model, machine, &err);
    if (status != wanted || (wanted && !strstr(err.message, part)))
        fail_msg("expected %s about '%s', got %s: %s", mly_status_name(wanted), part,
                 mly_status_name(status), err.message);
}

static void good_plans_pass(void **state)
{
    (void)state;
    for (uint32_t groups = 1; groups <= 4; groups++) {
        mly_plan *plan = tiny_plan(model, machine, groups, 4);
        expect_checked(plan, MLY_OK, "");
        tiny_cut(plan, (const uint32_t[]){5, 13, 20}, 3);
        expect_checked(plan, MLY_OK, "");
        mly_plan_destroy(plan);
    }
}

/* Each breaks one rule of a plan of two segments on two processors. */
static void other_model(mly_plan *plan)
{
    plan->model_hash[0] ^= 1;
}
static void other_host(mly_plan *plan)
{
    snprintf(plan->host_id, sizeof plan->host_id, "elsewhere");
}
static void no_batch(mly_plan *plan)
{
    plan->batch = 0;
}
static void batch_off_ladder(mly_plan *plan)
{
    plan->ladder[0] = 8;
}
static void nothing_in_flight(mly_plan *plan)
{
    plan->in_flight = 0;
}
static void cpu_missing(mly_plan *plan)
{
    plan->processors[1].cpus[1] = 99;
}
static void cpu_twice(mly_plan *plan)
{
    plan->processors[1].cpus[1] = plan->processors[1].cpus[0];
}
static void cpu_shared(mly_plan *plan)
{
    plan->processors[1].cpus[1] = plan->processors[0].cpus[0];
}
static void no_cpus(mly_plan *plan)
{
    plan->processors[0].cpu_count = 0;
}
static void many_threads(mly_plan *plan)
{
    plan->processors[0].threads = 3;
}
static void no_threads(mly_plan *plan)
{
    plan->processors[0].threads = 0;
}
static void same_id(mly_plan *plan)
{
    memcpy(plan->processors[1].id, plan->processors[0].id, sizeof plan->processors[0].id);
}
static void no_backend(mly_plan *plan)
{
    plan->processors[1].backend[0] = '\0';
}
static void unknown_device(mly_plan *plan)
{
    snprintf(plan->processors[1].kind, sizeof plan->processors[1].kind, "abacus");
    snprintf(plan->processors[1].id, sizeof plan->processors[1].id, "abacus:7");
}
static void no_processors(mly_plan *plan)
{
    plan->segments[1].processor_count = 0;
}
static void processor_missing(mly_plan *plan)
{
    plan->segments[1].processors[0] = 2;
}
static void node_missing(mly_plan *plan)
{
    plan->segments[1].node_count--;
}
static void node_unknown(mly_plan *plan)
{
    plan->segments[1].nodes[9] = 20;
}
static void node_in_two(mly_plan *plan)
{
    plan->segments[1].nodes[0] = 9;
}
static void nodes_descend(mly_plan *plan)
{
    plan->segments[1].nodes[0] = 12;
}
static void all_of_several(mly_plan *plan)
{
    plan->segments[1].node_count = 0;
}
static void out_of_order(mly_plan *plan)
{
    struct mly_plan_segment first = plan->segments[0];
    plan->segments[0] = plan->segments[1];
    plan->segments[1] = first;
}
static void not_convex(mly_plan *plan)
{
    plan->segments[0].nodes[9] = 10;
    plan->segments[1].nodes[0] = 9;
}

static void every_broken_rule_is_named(void **state)
{
    (void)state;
    static const struct {
        void (*damage)(mly_plan *plan);
        enum mly_status status;
        const char *part;
    } cases[] = {
        {other_model, MLY_E_MISMATCH, "another model"},
        {other_model, MLY_E_MISMATCH, "run `motley plan` again"},
        {other_host, MLY_E_MISMATCH, "run `motley plan` again here"},
        {no_batch, MLY_E_INVALID, "batch"},
        {batch_off_ladder, MLY_E_INVALID, "ladder"},
        {nothing_in_flight, MLY_E_INVALID, "in_flight"},
        {cpu_missing, MLY_E_ABSENT, "processors[1].cpus[1]: CPU 99"},
        {cpu_twice, MLY_E_INVALID, "processors[1].cpus[1]"},
        {cpu_shared, MLY_E_INVALID, "processors[1].cpus[1]"},
        {no_cpus, MLY_E_INVALID, "processors[0].cpus"},
        {many_threads, MLY_E_INVALID, "processors[0].threads"},
        {no_threads, MLY_E_INVALID, "processors[0].threads"},
        {same_id, MLY_E_INVALID, "processors[1].id"},
        {no_backend, MLY_E_INVALID, "processors[1].backend"},
        {unknown_device, MLY_E_ABSENT, "abacus:7"},
        {no_processors, MLY_E_INVALID, "segments[1].processors"},
        {processor_missing, MLY_E_INVALID, "segments[1].processors[0]"},
        {node_missing, MLY_E_INVALID, "node 19 (r19)"},
        {node_unknown, MLY_E_INVALID, "segments[1].nodes"},
        {node_in_two, MLY_E_INVALID, "node 9 (r9) lies in segments[0]"},
        {nodes_descend, MLY_E_INVALID, "segments[1].nodes"},
        {all_of_several, MLY_E_INVALID, "segments[1].nodes"},
        {out_of_order, MLY_E_INVALID, "out of order"},
        {not_convex, MLY_E_INVALID, "].nodes: not convex"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        mly_plan *plan = tiny_plan(model, machine, 2, 4);
        tiny_cut(plan, (const uint32_t[]){10, 20}, 2);
        expect_checked(plan, MLY_OK, "");
        cases[i].damage(plan);
        expect_checked(plan, cases[i].status, cases[i].part);
        mly_plan_destroy(plan);
    }
}

static void processors_without_sessions_or_with_the_runtimes_defaults_may_share_cpus(void **state)
{
    (void)state;
    mly_plan *plan = tiny_plan(model, machine, 2, 4);
    cpu_shared(plan);
    expect_checked(plan, MLY_E_INVALID, "already");
    plan->segments[0].processor_count = 1;
    expect_checked(plan, MLY_OK, "");
    plan->segments[0].processor_count = 2;
    plan->processors[0].runtime_defaults = true;
    plan->processors[0].threads = 0;
    expect_checked(plan, MLY_OK, "");
    mly_plan_destroy(plan);
}

static void second_hardware_threads_are_cpus_too(void **state)
{
    (void)state;
    mly_plan *plan = tiny_plan(model, machine, 2, 4);
    /* Synthetic CPUs are numbered core by core: 0 and 1 are one core's threads. */
    plan->processors[0].cpus[1] = 1;
    expect_checked(plan, MLY_OK, "");
    mly_plan_destroy(plan);
}

static void a_fixed_batch_is_the_only_one(void **state)
{
    (void)state;
    mly_model *kept = model;
    model = tiny_chain(3, 2);
    mly_plan *plan = tiny_plan(model, machine, 2, 2);
    expect_checked(plan, MLY_OK, "");
    plan->batch = plan->ladder[0] = 4;
    expect_checked(plan, MLY_E_INVALID, "fixed at 2");
    mly_plan_destroy(plan);
    mly_model_destroy(model);
    model = kept;
}

static void what_does_not_fit_in_memory_is_refused(void **state)
{
    (void)state;
    static const struct tiny_node nodes[] = {{"Add", "a", "x", "w", "t"},
                                             {"Relu", "b", "t", NULL, "y"}};
    mly_model *kept_model = model;
    mly_machine *kept_machine = machine;
    /* 1 MiB of weights, and 2 MiB of activations for each sample and session. */
    model = tiny_model(&(struct tiny_spec){
        .nodes = nodes, .node_count = 2, .width = 1 << 18, .weight_count = 1 << 18});
    machine = tiny_machine("numa:1(memory=16MB) core:4 pu:1");
    const double limit = (double)mly_machine_info(machine)->memory_bytes;
    for (uint32_t groups = 1; groups <= 4; groups++) {
        for (uint32_t batch = 1; batch <= 8; batch++) {
            const double needed = 0x1p20 + 2 * 0x1p20 * batch * groups;
            const bool fits = needed <= limit;
            mly_plan *plan = tiny_plan(model, machine, groups, batch);
            expect_checked(plan, fits ? MLY_OK : MLY_E_INVALID, "does not fit in memory");
            mly_plan_destroy(plan);
        }
    }
    /* Cut in two, each session holds one node's input and output. */
    mly_plan *plan = tiny_plan(model, machine, 2, 3);
    tiny_cut(plan, (const uint32_t[]){1, 2}, 2);
    expect_checked(plan, MLY_OK, "");
    plan->batch = plan->ladder[0] = 4;
    expect_checked(plan, limit < 17 * 0x1p20 ? MLY_E_INVALID : MLY_OK, "does not fit");
    mly_plan_destroy(plan);
    mly_model_destroy(model);
    mly_machine_destroy(machine);
    model = kept_model;
    machine = kept_machine;
}

/* --- random graphs and random partitions --- */

enum { NODES = 7 };

static mly_model *random_model(struct mly_random *random)
{
    static char names[NODES][2][8];
    static struct tiny_node nodes[NODES];
    for (uint32_t i = 0; i < NODES; i++) {
        const uint32_t a = (uint32_t)mly_random_below(random, i + 1);
        const uint32_t b = (uint32_t)mly_random_below(random, i + 1);
        snprintf(names[i][0], sizeof names[i][0], "n%u", i);
        snprintf(names[i][1], sizeof names[i][1], "t%u", i);
        nodes[i] = (struct tiny_node){"Add", names[i][0], a ? names[a - 1][1] : "x",
                                      b ? names[b - 1][1] : "x", names[i][1]};
    }
    return tiny_model(&(struct tiny_spec){.nodes = nodes, .node_count = NODES});
}

/* A plan whose node i lies in segment of[i]; false if a segment would be empty. */
static bool partition(mly_plan *plan, const uint32_t *of, uint32_t count)
{
    uint32_t cuts[NODES];
    for (uint32_t i = 0; i < count; i++)
        cuts[i] = i + 1 < count ? i + 1 : NODES;
    tiny_cut(plan, cuts, count);
    for (uint32_t i = 0; i < count; i++) {
        struct mly_plan_segment *segment = &plan->segments[i];
        mly_free(segment->nodes);
        segment->nodes = mly_alloc_array(NODES, sizeof *segment->nodes);
        segment->node_count = 0;
        for (uint32_t node = 0; node < NODES; node++)
            if (of[node] == i)
                segment->nodes[segment->node_count++] = node;
        if (!segment->node_count)
            return false;
    }
    return true;
}

/* Can b be reached from a, and does a path from a to b leave a's segment? By trying every path. */
static bool reaches(const struct mly_graph *graph, uint32_t a, uint32_t b, const uint32_t *of,
                    bool left)
{
    if (a == b)
        return left;
    for (uint32_t o = 0; o < graph->nodes[a].output_count; o++) {
        const struct mly_graph_tensor *t = &graph->tensors[graph->nodes[a].outputs[o]];
        for (uint32_t i = 0; i < t->consumer_count; i++)
            if (reaches(graph, t->consumers[i], b, of, left || of[t->consumers[i]] != of[b]))
                return true;
    }
    return false;
}

static void order_and_convexity_agree_with_all_paths(void **state)
{
    (void)state;
    struct mly_random random;
    size_t good = 0, torn = 0, disordered = 0;
    mly_random_init(&random, 11);
    for (int round = 0; round < 40; round++) {
        mly_model *random_dag = random_model(&random);
        const struct mly_graph *graph = mly_model_graph(random_dag);
        for (int trial = 0; trial < 60; trial++) {
            const uint32_t count = 2 + (uint32_t)mly_random_below(&random, 2);
            uint32_t of[NODES];
            for (uint32_t i = 0; i < NODES; i++)
                of[i] = trial % 2 ? (uint32_t)mly_random_below(&random, count) : i * count / NODES;
            bool convex = true, ordered = true;
            for (uint32_t a = 0; a < NODES; a++)
                for (uint32_t b = 0; b < NODES; b++) {
                    if (a != b && of[a] == of[b] && reaches(graph, a, b, of, false))
                        convex = false;
                    if (of[b] < of[a] && reaches(graph, a, b, of, true))
                        ordered = false;
                }
            mly_plan *plan = tiny_plan(random_dag, machine, 2, 1);
            if (partition(plan, of, count)) {
                struct mly_error err = {0};
                enum mly_status status = mly_plan_check(plan, random_dag, machine, &err);
                assert_int_equal(status, convex && ordered ? MLY_OK : MLY_E_INVALID);
                if (status)
                    assert_non_null(strstr(err.message, "not convex")
                                        ? err.message
                                        : strstr(err.message, "out of order"));
                good += !status;
                torn += !convex;
                disordered += convex && !ordered;
            }
            mly_plan_destroy(plan);
        }
        mly_model_destroy(random_dag);
    }
    assert_true(good > 50 && torn > 50 && disordered > 10);
}

static void set_shares(mly_plan *plan, uint32_t first, uint32_t second)
{
    struct mly_plan_segment *segment = &plan->segments[0];
    mly_free(segment->shares);
    segment->shares = mly_alloc_array(2, sizeof *segment->shares);
    assert_non_null(segment->shares);
    segment->shares[0] = first;
    segment->shares[1] = second;
}

static void shares_make_the_batch_of_a_whole_model(void **state)
{
    (void)state;
    mly_plan *plan = tiny_plan(model, machine, 2, 4);
    set_shares(plan, 3, 1);
    expect_checked(plan, MLY_OK, "");
    set_shares(plan, 3, 2);
    expect_checked(plan, MLY_E_INVALID, "shares: they sum to 5, but the batch is 4");
    set_shares(plan, 4, 0);
    expect_checked(plan, MLY_E_INVALID, "segments[0].shares[1]: is 0");
    mly_free(plan->segments[0].shares);
    plan->segments[0].shares = NULL;
    tiny_cut(plan, (const uint32_t[]){10, 20}, 2);
    set_shares(plan, 3, 1);
    expect_checked(plan, MLY_E_INVALID, "segments[0].shares: a batch is split only");
    mly_plan_destroy(plan);

    mly_model *fixed = tiny_chain(3, 4);
    struct mly_error err;
    plan = tiny_plan(fixed, machine, 2, 4);
    set_shares(plan, 3, 1);
    expect_error(mly_plan_check(plan, fixed, machine, &err), MLY_E_INVALID, err,
                 "the model's batch is fixed at 4");
    mly_plan_destroy(plan);
    mly_model_destroy(fixed);
}

/* The plan's own way as a member that is best up to that rate. */
static void add_member(mly_plan *plan, double rate)
{
    mly_plan *copy = NULL;
    struct mly_error err;
    expect_ok(mly_plan_dup(plan, &copy, &err), err);
    struct mly_plan_member *family =
        mly_realloc_array(plan->family, plan->family_count + 1u, sizeof *plan->family);
    assert_non_null(family);
    plan->family = family;
    family[plan->family_count++] = (struct mly_plan_member){.max_rate_per_s = rate,
                                                            .batch = copy->batch,
                                                            .ladder = copy->ladder,
                                                            .ladder_count = copy->ladder_count,
                                                            .in_flight = copy->in_flight,
                                                            .segments = copy->segments,
                                                            .segment_count = copy->segment_count};
    copy->ladder = NULL;
    copy->segments = NULL;
    copy->segment_count = copy->ladder_count = 0;
    mly_plan_destroy(copy);
}

static void each_member_of_a_family_is_checked(void **state)
{
    (void)state;
    mly_plan *plan = tiny_plan(model, machine, 2, 4);
    add_member(plan, 10);
    tiny_cut(plan, (const uint32_t[]){10, 20}, 2);
    add_member(plan, 20);
    expect_checked(plan, MLY_OK, "");
    plan->family[1].max_rate_per_s = 10;
    expect_checked(plan, MLY_E_INVALID, "family[1].max_rate_per_s: 10 does not ascend");
    plan->family[1].max_rate_per_s = 20;
    plan->family[1].batch = 3;
    expect_checked(plan, MLY_E_INVALID, "family[1]: plan: ladder");
    plan->family[1].batch = 4;
    plan->family[1].segments[1].nodes[0]++;
    expect_checked(plan, MLY_E_INVALID, "family[1]: plan: segments");
    plan->family[1].segments[1].nodes[0]--;
    plan->family[0].segments[0].processors[1] = 7;
    expect_checked(plan, MLY_E_INVALID, "family[0]: plan: segments[0].processors[1]");
    mly_plan_destroy(plan);
}

static void every_failing_allocation_is_reported(void **state)
{
    (void)state;
    mly_plan *plan = tiny_plan(model, machine, 2, 4);
    tiny_cut(plan, (const uint32_t[]){10, 20}, 2);
    for (uint64_t n = 1;; n++) {
        mly_alloc_fail_after(n);
        enum mly_status status = mly_plan_check(plan, model, machine, NULL);
        mly_alloc_fail_after(0);
        if (!status)
            break;
        assert_int_equal(status, MLY_E_NO_MEMORY);
    }
    mly_plan_destroy(plan);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(good_plans_pass),
        cmocka_unit_test(every_broken_rule_is_named),
        cmocka_unit_test(processors_without_sessions_or_with_the_runtimes_defaults_may_share_cpus),
        cmocka_unit_test(second_hardware_threads_are_cpus_too),
        cmocka_unit_test(a_fixed_batch_is_the_only_one),
        cmocka_unit_test(what_does_not_fit_in_memory_is_refused),
        cmocka_unit_test(order_and_convexity_agree_with_all_paths),
        cmocka_unit_test(shares_make_the_batch_of_a_whole_model),
        cmocka_unit_test(each_member_of_a_family_is_checked),
        cmocka_unit_test(every_failing_allocation_is_reported),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}

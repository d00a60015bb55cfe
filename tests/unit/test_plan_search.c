/*
 * The searches for pipelines against exhaustive search, on random graphs of units with random costs,
 * on unlike core groups and on modelled processors; sums of units against the costs that plans are
 * judged by; lower bounds that never lie.
 */
#include <math.h>
#include <string.h>

#include "base/alloc.h"
#include "base/random.h"
#include "plan/problem_private.h"
#include "plan/stages.h"
#include "support/expect.h"
#include "support/plan_fixture.h"
#include "support/plan_world.h"
#include "support/test.h"

static void assert_near(double a, double b)
{
    if (!(fabs(a - b) <= 1e-9 * fabs(b)))
        fail_msg("%.17g is not %.17g", a, b);
}

/* --- exhaustive search --- */

/* Periods, and latencies, of every set of units on every class. */
struct oracle {
    const struct mly__problem *problem;
    uint32_t sets;
    double *period_ns[MLY__CLASSES_MAX], *latency_ns[MLY__CLASSES_MAX];
};

static struct oracle oracle_of(const struct mly__problem *problem)
{
    struct oracle o = {.problem = problem, .sets = 1u << problem->unit_count};
    struct mly_error err;
    assert_true(problem->unit_count <= 16);
    for (uint32_t c = 0; c < problem->class_count; c++) {
        o.period_ns[c] = calloc(o.sets, sizeof(double));
        o.latency_ns[c] = calloc(o.sets, sizeof(double));
        for (uint32_t set = 1; set < o.sets; set++) {
            uint32_t units[16], count = 0;
            struct mly__segment_cost cost;
            for (uint32_t u = 0; u < problem->unit_count; u++)
                if (set >> u & 1)
                    units[count++] = u;
            expect_ok(mly__problem_cost(problem, c, units, count, &cost, NULL, 0, &err), err);
            o.period_ns[c][set] = mly__stage_period_ns(&problem->classes[c], &cost);
            o.latency_ns[c][set] = mly__stage_latency_ns(&cost);
        }
    }
    return o;
}

static void oracle_free(struct oracle *o)
{
    for (uint32_t c = 0; c < o->problem->class_count; c++) {
        free(o->period_ns[c]);
        free(o->latency_ns[c]);
    }
}

/* Units that a unit needs directly, as bits. */
static uint32_t needs_of(const struct mly__problem *problem, uint32_t unit)
{
    uint32_t needs = 0;
    for (uint32_t i = 0; i < problem->units[unit].input_count; i++) {
        const uint32_t from = problem->crossings[problem->units[unit].inputs[i]].producer;
        if (from != MLY_NO_INDEX)
            needs |= 1u << from;
    }
    return needs;
}

/* Can the parts run one after another? Takes parts away that need no other, until none is left. */
static bool is_acyclic(const struct mly__problem *problem, const uint32_t *sets, uint32_t parts)
{
    uint32_t done = 0;
    for (uint32_t round = 0; round < parts; round++) {
        for (uint32_t p = 0; p < parts; p++) {
            uint32_t needs = 0;
            for (uint32_t u = 0; u < problem->unit_count; u++)
                if (sets[p] >> u & 1)
                    needs |= needs_of(problem, u);
            if (!(needs & ~(done | sets[p])))
                done |= sets[p];
        }
    }
    return done == (1u << problem->unit_count) - 1;
}

/* The shortest bottleneck for these parts: every way of giving each processor a part or none. */
static double best_placing(const struct oracle *o, const uint32_t *sets, uint32_t parts)
{
    const struct mly__problem *problem = o->problem;
    double best = INFINITY;
    uint32_t ways = 1;
    for (uint32_t i = 0; i < problem->processor_count; i++)
        ways *= parts + 1;
    for (uint32_t way = 0; way < ways; way++) {
        double rate[8] = {0}, slowest = 0;
        uint32_t rest = way;
        for (uint32_t c = 0; c < problem->class_count; c++) {
            for (uint32_t k = 0; k < problem->classes[c].count; k++, rest /= parts + 1) {
                const uint32_t part = rest % (parts + 1);
                if (part < parts)
                    rate[part] += 1 / o->period_ns[c][sets[part]];
            }
        }
        for (uint32_t p = 0; p < parts; p++)
            slowest = fmax(slowest, 1 / rate[p]);
        best = fmin(best, slowest);
    }
    return best;
}

static double exhaustive_bottleneck(const struct oracle *o)
{
    const uint32_t units = o->problem->unit_count, parts_max = o->problem->processor_count;
    double best = INFINITY;
    uint64_t ways = 1;
    for (uint32_t u = 0; u < units; u++)
        ways *= parts_max;
    for (uint64_t way = 0; way < ways; way++) {
        uint32_t sets[8] = {0}, parts = 0;
        uint64_t rest = way;
        for (uint32_t u = 0; u < units; u++, rest /= parts_max)
            sets[rest % parts_max] |= 1u << u;
        for (uint32_t p = 0; p < parts_max; p++)
            if (sets[p])
                sets[parts++] = sets[p];
        if (is_acyclic(o->problem, sets, parts))
            best = fmin(best, best_placing(o, sets, parts));
    }
    return best;
}

/* The least sum of latencies of segments, one after another: by what is done. */
static double exhaustive_latency(const struct oracle *o)
{
    const uint32_t full = o->sets - 1;
    double *best = calloc(o->sets, sizeof *best), result;
    for (uint32_t done = 1; done <= full; done++)
        best[done] = INFINITY;
    for (uint32_t done = 0; done < full; done++) {
        if (isinf(best[done]))
            continue;
        for (uint32_t set = full & ~done; set; set = (set - 1) & ~done) {
            uint32_t needs = 0;
            for (uint32_t u = 0; u < o->problem->unit_count; u++)
                if (set >> u & 1)
                    needs |= needs_of(o->problem, u);
            if (needs & ~(done | set))
                continue;
            for (uint32_t c = 0; c < o->problem->class_count; c++)
                best[done | set] = fmin(best[done | set], best[done] + o->latency_ns[c][set]);
        }
    }
    result = best[full];
    free(best);
    return result;
}

/* --- what the searches find --- */

static double found_value(const struct mly__problem *problem, mly__find *find, bool latency)
{
    struct mly__found found = {0};
    struct mly_error err;
    double best = INFINITY;
    expect_ok(find(problem, &found, &err), err);
    assert_true(found.count > 0);
    for (uint32_t i = 0; i < found.count; i++) {
        struct mly__layout_value value;
        expect_ok(mly__layout_value(problem, &found.layouts[i], &value, &err), err);
        best = fmin(best, latency ? value.sum_ns : value.bottleneck_ns);
    }
    mly__found_fini(&found);
    return best;
}

static void exact_finds_the_shortest_bottleneck_there_is(void **state)
{
    (void)state;
    struct mly_random random;
    mly_random_init(&random, 20261121);
    for (int round = 0; round < 24; round++) {
        struct plan_world w;
        plan_world_random(&w, &random, 3 + (uint32_t)mly_random_below(&random, 5), round % 2,
                          MLY_OBJECTIVE_THROUGHPUT);
        if (w.problem->unit_count <= 9) {
            struct oracle o = oracle_of(w.problem);
            assert_near(found_value(w.problem, mly__exact_find, false), exhaustive_bottleneck(&o));
            oracle_free(&o);
        }
        plan_world_end(&w);
    }
}

static void exact_finds_the_least_latency_of_segments_in_a_row(void **state)
{
    (void)state;
    struct mly_random random;
    mly_random_init(&random, 7);
    for (int round = 0; round < 24; round++) {
        struct plan_world w;
        plan_world_random(&w, &random, 3 + (uint32_t)mly_random_below(&random, 6), round % 2,
                          MLY_OBJECTIVE_LATENCY);
        if (w.problem->unit_count <= 10) {
            struct oracle o = oracle_of(w.problem);
            assert_near(found_value(w.problem, mly__exact_find, true), exhaustive_latency(&o));
            oracle_free(&o);
        }
        plan_world_end(&w);
    }
}

static void a_limit_on_segments_is_kept(void **state)
{
    (void)state;
    struct mly_random random;
    mly_random_init(&random, 3);
    for (int round = 0; round < 6; round++) {
        struct plan_world w;
        plan_world_random(&w, &random, 8, true, MLY_OBJECTIVE_THROUGHPUT);
        double before = INFINITY;
        for (uint32_t parts = 1; parts <= 3; parts++) {
            struct mly__found found = {0};
            struct mly_error err;
            w.request.segments_max = parts;
            expect_ok(mly__exact_find(w.problem, &found, &err), err);
            for (uint32_t i = 0; i < found.count; i++)
                assert_true(found.layouts[i].part_count <= parts);
            mly__found_fini(&found);
            const double now = found_value(w.problem, mly__exact_find, false);
            assert_true(now <= before * (1 + 1e-12));
            before = now;
        }
        plan_world_end(&w);
    }
}

/* The stated gap of the planner `pipeline` on graphs that are small enough for `exact`. */
static const double pipeline_gap = 0.01;

static void pipelines_come_near_the_best_and_no_bound_lies(void **state)
{
    (void)state;
    struct mly_random random;
    mly_random_init(&random, 11);
    for (int round = 0; round < 60; round++) {
        const bool latency = round % 3 == 0;
        struct plan_world w;
        plan_world_random(&w, &random, 4 + (uint32_t)mly_random_below(&random, 11), round % 2,
                          latency ? MLY_OBJECTIVE_LATENCY : MLY_OBJECTIVE_THROUGHPUT);
        struct mly__bounds bounds;
        struct mly_error err;
        expect_ok(mly__problem_bounds(w.problem, &bounds, &err), err);
        const double exact = found_value(w.problem, mly__exact_find, latency);
        const double pipeline = found_value(w.problem, mly__pipeline_find, latency);
        const double bound = latency ? bounds.latency_ns : bounds.bottleneck_ns;
        if (!(pipeline <= exact * (1 + pipeline_gap)))
            fail_msg("round %d: the pipeline's %.9g is more than %g above %.9g", round, pipeline,
                     pipeline_gap, exact);
        assert_true(pipeline >= exact * (1 - 1e-9));
        assert_true(bound > 0 && bound <= exact * (1 + 1e-9));
        plan_world_end(&w);
    }
}

/* --- networks --- */

/* Sums that grow and shrink unit by unit are the device's own cost of the segment. */
static void check_sums(const struct plan_world *w, uint32_t class, struct mly_random *random)
{
    const struct mly__problem *problem = w->problem;
    struct mly__part_builder builder;
    struct mly__segment_cost sums, cost;
    struct mly_error err;
    uint32_t *units = calloc(problem->unit_count, sizeof *units);
    expect_ok(mly__part_builder_init(&builder, problem, class, &err), err);
    for (int round = 0; round < 40; round++) {
        const uint32_t first = (uint32_t)mly_random_below(random, problem->unit_count);
        const uint32_t last =
            first + (uint32_t)mly_random_below(random, problem->unit_count - first);
        uint32_t count = 0;
        mly__part_builder_reset(&builder, class);
        for (uint32_t u = 0; u < problem->unit_count; u++)
            mly__part_builder_add(&builder, u);
        for (uint32_t u = 0; u < problem->unit_count; u++) {
            if (u < first || u > last)
                mly__part_builder_remove(&builder, u);
            else
                units[count++] = u;
        }
        mly__part_builder_cost(&builder, &sums);
        expect_ok(mly__problem_cost(problem, class, units, count, &cost, NULL, 0, &err), err);
        assert_near(sums.input_bytes, cost.input_bytes);
        assert_near(sums.output_bytes, cost.output_bytes);
        assert_true(fabs(sums.weight_bytes - cost.weight_bytes) <= 1e-9 * cost.weight_bytes);
        assert_true(fabs(sums.off_chip_bytes - cost.off_chip_bytes) <=
                    1e-9 * (1 + cost.off_chip_bytes));
        /* Activations that are cut off from what makes their input cost a little more there. */
        if (!(fabs(sums.execution_ns - cost.execution_ns) <= 0.01 * cost.execution_ns))
            fail_msg("units %u to %u on %s: %.9g by units, %.9g by the device", first, last,
                     problem->classes[class].name, sums.execution_ns, cost.execution_ns);
    }
    mly__part_builder_fini(&builder);
    free(units);
}

static void sums_of_units_are_what_segments_cost(void **state)
{
    (void)state;
    static const char *const networks[] = {"squeezenet", "edge-fc-1700", "mobilenet-v2"};
    struct mly_random random;
    mly_random_init(&random, 5);
    for (size_t i = 0; i < sizeof networks / sizeof *networks; i++) {
        struct plan_world w;
        plan_world_zoo(&w, networks[i], "p100,edgetpu-pcie*2,raspberry-pi-4", 1);
        for (uint32_t c = 0; c < w.problem->class_count; c++)
            check_sums(&w, c, &random);
        plan_world_end(&w);
    }
}

static void pipelines_of_networks_come_near_the_best(void **state)
{
    (void)state;
    static const char *const networks[] = {"squeezenet", "edge-fc-1700", "mobilenet-v2"};
    static const char *const boxes[] = {"edgetpu-pcie*4", "p100,gtx1650,edgetpu-usb3*2"};
    for (size_t i = 0; i < sizeof networks / sizeof *networks; i++) {
        for (size_t k = 0; k < sizeof boxes / sizeof *boxes; k++) {
            struct plan_world w;
            plan_world_zoo(&w, networks[i], boxes[k], 1);
            struct mly__bounds bounds;
            struct mly_error err;
            const double exact = found_value(w.problem, mly__exact_find, false);
            const double pipeline = found_value(w.problem, mly__pipeline_find, false);
            expect_ok(mly__problem_bounds(w.problem, &bounds, &err), err);
            assert_true(pipeline <= exact * (1 + pipeline_gap));
            assert_true(bounds.bottleneck_ns <= fmin(exact, pipeline) * (1 + 1e-9));
            plan_world_end(&w);
        }
    }
}

/* With four chips nothing of 9 MB of weights need be streamed. */
static void weights_are_spread_until_they_fit_on_the_chips(void **state)
{
    (void)state;
    struct plan_world w;
    plan_world_zoo(&w, "edge-fc-1700", "edgetpu-pcie*2", 1);
    mly_plan *plan = NULL;
    struct mly_stage stages[2];
    struct mly_error err;
    expect_ok(mly_plan_make("exact", &w.request, &plan, &err), err);
    assert_int_equal(plan->segment_count, 2);
    expect_ok(mly_plan_stages(plan, w.model, NULL, stages, &err), err);
    for (uint32_t i = 0; i < 2; i++)
        assert_true(stages[i].modelled && stages[i].weight_bytes > 1e6 &&
                    stages[i].off_chip_bytes == 0);
    assert_true(plan->prediction.modelled && !plan->prediction.measured);
    assert_true(plan->prediction.energy_j > 0);
    mly_plan_destroy(plan);
    plan_world_end(&w);
}

static double streamed_bytes(const char *network, const char *chips, uint32_t segments)
{
    struct plan_world w;
    struct mly_stage stages[4];
    struct mly_error err;
    mly_plan *plan = NULL;
    double bytes = 0;
    plan_world_zoo(&w, network, chips, 1);
    w.request.no_replicas = true;
    expect_ok(mly_plan_make("exact", &w.request, &plan, &err), err);
    assert_int_equal(plan->segment_count, segments);
    expect_ok(mly_plan_stages(plan, w.model, NULL, stages, &err), err);
    for (uint32_t k = 0; k < segments; k++) {
        assert_int_equal(plan->segments[k].processor_count, 1);
        bytes += stages[k].off_chip_bytes;
    }
    mly_plan_destroy(plan);
    plan_world_end(&w);
    return bytes;
}

/*
 * Five convolutions on two chips, as measured by the first author of Villarrubia et al., PDP 2023 (public
 * repository Jorgitou98/EdgeTPU-QuantRL-Evaluation, commit ecd386c): MiB on and off each chip, as the
 * compiler says. The vendor's cut, after two, streams two layers; the profiled one, after four, one. After
 * three: the author's rows for three and four chips have the last two layers as a segment, of which one is
 * streamed, and those for one chip say that it keeps what the first three weigh.
 */
static const struct conv_row {
    uint32_t filters;
    double vendor_on[2], vendor_off[2], profiled_on[2], profiled_off[2], last_two_on, last_two_off;
} conv_rows[] = {
    {572, {2.86, 5.66}, {0, 2.83}, {5.69, 5.66}, {0, 0}, 5.66, 0},
    {582, {3.24, 3.21}, {0, 6.43}, {6.45, 3.21}, {3.21, 0}, 3.21, 3.21},
    {592, {3.28, 3.26}, {0, 6.51}, {6.54, 3.26}, {3.26, 0}, 3.26, 3.26},
    {602, {3.35, 3.32}, {0, 6.65}, {6.67, 3.32}, {3.32, 0}, 3.32, 3.32},
    {612, {3.39, 3.37}, {0, 6.73}, {6.80, 3.39}, {3.39, 0}, 3.37, 3.37},
    {622, {3.46, 3.43}, {0, 6.87}, {6.89, 3.43}, {3.43, 0}, 3.43, 3.43},
    {632, {3.50, 3.48}, {0, 6.95}, {7.02, 3.50}, {3.50, 0}, 3.48, 3.48},
};

/* Two segments, cut after so many units. */
struct conv_split {
    double on_mib[2], off_mib[2], slowest_ns;
};

static struct conv_split split_after(const struct mly__problem *problem, uint32_t first)
{
    struct conv_split split = {0};
    for (uint32_t part = 0; part < 2; part++) {
        uint32_t units[8], count = 0;
        struct mly__segment_cost cost;
        struct mly_error err;
        for (uint32_t u = 0; u < problem->unit_count; u++)
            if ((u >= first) == part)
                units[count++] = u;
        expect_ok(mly__problem_cost(problem, 0, units, count, &cost, NULL, 0, &err), err);
        split.on_mib[part] = cost.on_chip_bytes / 0x1p20;
        split.off_mib[part] = cost.off_chip_bytes / 0x1p20;
        split.slowest_ns =
            fmax(split.slowest_ns, mly__stage_period_ns(&problem->classes[0], &cost));
    }
    return split;
}

/* The author rounds to 0.01 MiB, and counts a few KiB more. */
static void assert_mib(uint32_t filters, const double *ours, const double *theirs)
{
    for (int i = 0; i < 2; i++)
        if (fabs(ours[i] - theirs[i]) > 0.05)
            fail_msg("f = %u, segment %d: %.3f MiB where %.2f were measured", filters, i, ours[i],
                     theirs[i]);
}

/*
 * So from f = 582 on there is no cut in two that streams nothing, neither by the compiler's columns nor by the
 * model: one layer is the least. That is what is found, in the cut that is fastest.
 */
static void convolutions_are_cut_where_least_is_streamed(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof conv_rows / sizeof *conv_rows; i++) {
        const struct conv_row *row = &conv_rows[i];
        struct plan_world w;
        char name[32];
        double least_mib = INFINITY, fastest_ns = INFINITY, fastest_mib = 0;
        snprintf(name, sizeof name, "edge-conv-%u", row->filters);
        plan_world_zoo(&w, name, "edgetpu-pcie*2", 1);
        assert_int_equal(w.problem->unit_count, 5);
        for (uint32_t first = 1; first < 5; first++) {
            const struct conv_split split = split_after(w.problem, first);
            const double off = split.off_mib[0] + split.off_mib[1];
            least_mib = fmin(least_mib, off);
            if (split.slowest_ns < fastest_ns) {
                fastest_ns = split.slowest_ns;
                fastest_mib = off;
            }
            if (first == 2) {
                assert_mib(row->filters, split.on_mib, row->vendor_on);
                assert_mib(row->filters, split.off_mib, row->vendor_off);
            }
            if (first == 4 && row->filters >= 582) {
                assert_mib(row->filters, split.on_mib, row->profiled_on);
                assert_mib(row->filters, split.off_mib, row->profiled_off);
            }
            if (first == 3) {
                assert_true(split.off_mib[0] == 0);
                assert_true(fabs(split.on_mib[1] - row->last_two_on) < 0.05);
                assert_true(fabs(split.off_mib[1] - row->last_two_off) < 0.05);
            }
        }
        assert_true(row->filters < 582 ? least_mib == 0 : least_mib > 3.1);
        assert_near(fastest_mib, least_mib);
        plan_world_end(&w);
        assert_near(streamed_bytes(name, "edgetpu-pcie*2", 2) / 0x1p20, least_mib);
        assert_true(streamed_bytes(name, "edgetpu-pcie*3", 3) == 0);
    }
}

/* Diamonds one after the other: x → a, b → c → … */
static mly_model *many_diamonds(uint32_t diamonds)
{
    struct tiny_node *nodes = calloc((size_t)4 * diamonds, sizeof *nodes);
    char(*names)[16] = calloc((size_t)8 * diamonds, sizeof *names);
    assert_true(nodes && names);
    const char *before = "x";
    for (uint32_t i = 0; i < 4 * diamonds; i++) {
        char *name = names[2 * i], *made = names[2 * i + 1];
        const uint32_t place = i % 4;
        snprintf(name, sizeof names[0], "n%u", i);
        snprintf(made, sizeof names[0], "t%u", i);
        nodes[i] = (struct tiny_node){.op = place == 2 ? "Max" : "Sin",
                                      .name = name,
                                      .first = place < 2 ? before : nodes[i - 1].output,
                                      .second = place == 2 ? nodes[i - 2].output : NULL,
                                      .output = made};
        if (place == 3)
            before = made;
    }
    mly_model *model = tiny_model(
        &(struct tiny_spec){.nodes = nodes, .node_count = (size_t)4 * diamonds, .width = 1 << 16});
    free(nodes);
    free(names);
    return model;
}

static void graphs_of_thousands_of_nodes_are_planned(void **state)
{
    (void)state;
    struct mly_error err;
    mly_plan *plan = NULL;
    struct plan_world w = {.machine = tiny_machine("core:4 pu:1"), .model = many_diamonds(1250)};
    plan_world_select(&w, "p100,gtx1650,jetson-nano*2");
    w.request = (struct mly_plan_request){
        .model = w.model, .machine = w.machine, .batch = 1, .processors = &w.processors};
    expect_ok(mly_plan_make("pipeline", &w.request, &plan, &err), err);
    assert_non_null(plan->note);
    mly_plan_destroy(plan);
    plan = NULL;
    w.request.objective = MLY_OBJECTIVE_LATENCY;
    expect_ok(mly_plan_make("pipeline", &w.request, &plan, &err), err);
    mly_plan_destroy(plan);
    plan_world_end(&w);
}

static void every_failing_allocation_is_reported(void **state)
{
    (void)state;
    struct mly_random random;
    mly_random_init(&random, 9);
    struct plan_world w;
    plan_world_random(&w, &random, 6, true, MLY_OBJECTIVE_THROUGHPUT);
    for (uint64_t n = 1;; n++) {
        mly_plan *plan = NULL;
        struct mly_error err;
        mly_alloc_fail_after(n);
        enum mly_status status = mly_plan_make("exact", &w.request, &plan, &err);
        mly_alloc_fail_after(0);
        mly_plan_destroy(plan);
        if (!status)
            break;
        assert_int_equal(status, MLY_E_NO_MEMORY);
    }
    plan_world_end(&w);
}

static void too_many_ways_to_cut_are_refused_with_their_number(void **state)
{
    (void)state;
    struct mly__downsets downsets;
    struct mly_random random;
    struct mly_error err;
    mly_random_init(&random, 2);
    struct plan_world w;
    plan_world_random(&w, &random, 12, true, MLY_OBJECTIVE_THROUGHPUT);
    expect_error(mly__downsets_all(&downsets, w.problem, 4, &err), MLY_E_LIMIT, err,
                 "more than 4 possible first parts");
    plan_world_end(&w);
}

static void nodes_without_costs_are_named(void **state)
{
    (void)state;
    struct mly_random random;
    struct mly_error err;
    mly_random_init(&random, 2);
    struct plan_world w = {.machine = tiny_machine("core:4 pu:1")};
    w.model = plan_random_model(&random, 6, true);
    w.costs = tiny_costs(w.model, w.machine);
    plan_world_select(&w, PLAN_UNLIKE_CORES);
    w.request = (struct mly_plan_request){
        .model = w.model, .machine = w.machine, .costs = w.costs, .processors = &w.processors};
    mly_plan *plan = NULL;
    expect_error(mly_plan_make("pipeline", &w.request, &plan, &err), MLY_E_NOT_FOUND, err,
                 "motley profile");
    plan_world_end(&w);
}

/* For what is measured whatever estimates say against it. */
static void where_only_cuts_count_some_are_found(void **state)
{
    (void)state;
    static const enum mly_objective objectives[] = {MLY_OBJECTIVE_THROUGHPUT, MLY_OBJECTIVE_LATENCY,
                                                    MLY_OBJECTIVE_ENERGY};
    for (size_t i = 0; i < sizeof objectives / sizeof *objectives; i++) {
        struct mly_error err;
        struct plan_world w;
        mly_plan *plan = NULL;
        plan_world_zoo(&w, "squeezenet", "p100*2", 4); /* replicas are twice as fast as any cut */
        w.request.objective = objectives[i];
        expect_ok(mly_plan_make("pipeline", &w.request, &plan, &err), err);
        assert_int_equal(plan->segment_count, 1);
        mly_plan_destroy(plan);
        w.request.must_cut = true;
        for (uint32_t most = 2; most <= 4; most++) {
            w.request.segments_max = most;
            expect_ok(mly_plan_make("pipeline", &w.request, &plan, &err), err);
            assert_in_range(plan->segment_count, 2, most);
            mly_plan_destroy(plan);
        }
        plan_world_end(&w);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(exact_finds_the_shortest_bottleneck_there_is),
        cmocka_unit_test(exact_finds_the_least_latency_of_segments_in_a_row),
        cmocka_unit_test(a_limit_on_segments_is_kept),
        cmocka_unit_test(pipelines_come_near_the_best_and_no_bound_lies),
        cmocka_unit_test(sums_of_units_are_what_segments_cost),
        cmocka_unit_test(pipelines_of_networks_come_near_the_best),
        cmocka_unit_test(weights_are_spread_until_they_fit_on_the_chips),
        cmocka_unit_test(convolutions_are_cut_where_least_is_streamed),
        cmocka_unit_test(graphs_of_thousands_of_nodes_are_planned),
        cmocka_unit_test(every_failing_allocation_is_reported),
        cmocka_unit_test(too_many_ways_to_cut_are_refused_with_their_number),
        cmocka_unit_test(nodes_without_costs_are_named),
        cmocka_unit_test(where_only_cuts_count_some_are_found),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

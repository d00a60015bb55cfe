/* Pictures of a small plan, letter by letter; what Graphviz must be able to read and what is refused. */
#include <string.h>

#include "base/alloc.h"
#include "plan/dot.h"
#include "support/expect.h"
#include "support/plan_fixture.h"
#include "support/test.h"

/* x → a → b → d, and a → d: so that `a` passes to two segments. */
static const struct tiny_node nodes[] = {{"Relu", "a", "x", NULL, "ta"},
                                         {"Relu", "b", "ta", NULL, "tb"},
                                         {"Sigmoid", "c\"1\"", "ta", NULL, "tc"},
                                         {"Add", "d", "tb", "tc", "td"}};

struct fixture {
    mly_model *model;
    mly_machine *machine;
    mly_plan *plan;
    struct mly_shape *shapes;
    struct mly_stage stages[3];
};

static int set_up(void **state)
{
    static struct fixture f;
    const struct tiny_spec spec = {.nodes = nodes, .node_count = 4, .width = 256};
    struct mly_error err;
    f = (struct fixture){.model = tiny_model(&spec), .machine = tiny_machine("core:3 pu:1")};
    f.plan = tiny_plan(f.model, f.machine, 3, 4);
    tiny_cut(f.plan, (const uint32_t[]){1, 3, 4}, 3);
    for (uint32_t i = 0; i < 3; i++) {
        f.plan->segments[i].processors[0] = i;
        f.plan->segments[i].processor_count = 1;
    }
    snprintf(f.plan->model_name, sizeof f.plan->model_name, "tiny.onnx");
    f.plan->prediction = (struct mly_prediction){
        .known = true, .modelled = true, .throughput_per_s = 1234, .latency_ns = 5.67e6};
    f.stages[0] = (struct mly_stage){
        .execution_ns = 1.234e6, .input_ns = 2000, .output_ns = 350, .modelled = true};
    f.stages[1] = (struct mly_stage){.execution_ns = 99950, .measured = true};
    f.stages[2] = (struct mly_stage){.execution_ns = 7, .off_chip_bytes = 3 << 20};
    f.shapes = mly_alloc_array(mly_model_graph(f.model)->tensor_count, sizeof *f.shapes);
    assert_non_null(f.shapes);
    expect_ok(mly_graph_bind(f.model, 4, NULL, 0, f.shapes, &err), err);
    *state = &f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    mly_free(f->shapes);
    mly_plan_destroy(f->plan);
    mly_model_destroy(f->model);
    mly_machine_destroy(f->machine);
    return 0;
}

static void expect_picture(const struct fixture *f, const struct mly_dot_options *options,
                           const char *wanted)
{
    struct mly_buffer text = {0};
    struct mly_error err;
    expect_ok(mly_dot_plan(f->plan, mly_model_graph(f->model), f->shapes, options, &text, &err),
              err);
    assert_string_equal(text.data, wanted);
    mly_buffer_fini(&text);
}

#define HEAD                                                                                       \
    "digraph plan {\n"                                                                             \
    "  graph [style=\"filled,rounded\", fontname=\"sans\", labelloc=t, color=\"#888888\"];\n"      \
    "  node [shape=box, style=\"filled,rounded\", fillcolor=white, fontname=\"sans\"];\n"          \
    "  edge [fontname=\"sans\", fontsize=10];\n"                                                   \
    "  label=\"tiny.onnx: 3 segments on 3 processors (cpu:0, cpu:1, cpu:2), batch 4\\n"            \
    "1234 samples/s, 5.67 ms per batch (modelled)\";\n"

static void every_node_lies_in_its_segments_box(void **state)
{
    const struct fixture *f = *state;
    const struct mly_dot_options options = {.stages = f->stages};
    expect_picture(f, &options,
                   HEAD
                   "  subgraph cluster_0 {\n"
                   "    label=\"s0 on cpu:0\\n1.23 ms (modelled), in 2 us, out 350 ns\\n1 node\";\n"
                   "    fillcolor=\"#8dd3c7\";\n"
                   "    n0 [label=\"Relu\", tooltip=\"a\"];\n"
                   "  }\n"
                   "  subgraph cluster_1 {\n"
                   "    label=\"s1 on cpu:1\\n100 us (measured)\\n2 nodes\";\n"
                   "    fillcolor=\"#ffffb3\";\n"
                   "    n1 [label=\"Relu\", tooltip=\"b\"];\n"
                   "    n2 [label=\"Sigmoid\", tooltip=\"c\\\"1\\\"\"];\n"
                   "  }\n"
                   "  subgraph cluster_2 {\n"
                   "    label=\"s2 on cpu:2\\n7 ns (estimated)\\n3 MiB off chip\\n1 node\";\n"
                   "    fillcolor=\"#bebada\";\n"
                   "    n3 [label=\"Add\", tooltip=\"d\"];\n"
                   "  }\n"
                   "  t0 [shape=ellipse, fillcolor=white, label=\"x\"];\n"
                   "  t0 -> n0 [penwidth=2, label=\"4 KiB\"];\n"
                   "  n0 -> n1 [penwidth=2, label=\"4 KiB\"];\n"
                   "  n0 -> n2 [penwidth=2];\n"
                   "  n1 -> n3 [penwidth=2, label=\"4 KiB\"];\n"
                   "  n2 -> n3 [penwidth=2, label=\"4 KiB\"];\n"
                   "  t4 [shape=ellipse, fillcolor=white, label=\"td\"];\n"
                   "  n3 -> t4 [penwidth=2, label=\"4 KiB\"];\n"
                   "}\n");
}

static void contracted_a_segment_is_one_node(void **state)
{
    const struct fixture *f = *state;
    const struct mly_dot_options options = {.contracted = true};
    expect_picture(
        f, &options,
        HEAD "  s0 [label=\"s0 on cpu:0\\n1 node\\n1 Relu\", fillcolor=\"#8dd3c7\"];\n"
             "  s1 [label=\"s1 on cpu:1\\n2 nodes\\n1 Relu, 1 Sigmoid\", fillcolor=\"#ffffb3\"];\n"
             "  s2 [label=\"s2 on cpu:2\\n1 node\\n1 Add\", fillcolor=\"#bebada\"];\n"
             "  t0 [shape=ellipse, fillcolor=white, label=\"x\"];\n"
             "  t0 -> s0 [penwidth=2, label=\"4 KiB\"];\n"
             "  t4 [shape=ellipse, fillcolor=white, label=\"td\"];\n"
             "  s2 -> t4 [penwidth=2, label=\"4 KiB\"];\n"
             "  s0 -> s1 [penwidth=2, label=\"4 KiB\"];\n"
             "  s1 -> s2 [penwidth=2, label=\"2 tensors, 8 KiB\"];\n"
             "}\n");
}

/* What the picture has of a plan of one segment on three processors with these times of theirs, in ms. */
static char *label_of(struct fixture *f, const double ms[3], const char *const kinds[3],
                      const uint32_t *shares)
{
    const struct mly_stage stage = {.execution_ns = 5e6, .modelled = true};
    struct mly_plan_time times[3];
    struct mly_buffer text = {0};
    struct mly_error err;
    mly_plan *plan = tiny_plan(f->model, f->machine, 3, 4);
    for (uint32_t i = 0; i < 3; i++) {
        times[i] = (struct mly_plan_time){
            .processor = i, .batch = shares ? shares[i] : 4, .ns = ms[i] * 1e6, .basis = i ? 2 : 0};
        snprintf(plan->processors[i].kind, sizeof plan->processors[i].kind, "%s", kinds[i]);
    }
    if (shares) {
        plan->segments[0].shares = mly_alloc_array(3, sizeof(uint32_t));
        memcpy(plan->segments[0].shares, shares, 3 * sizeof(uint32_t));
    }
    plan->prediction = (struct mly_prediction){
        .known = true, .throughput_per_s = 100, .latency_ns = 5e6, .modelled = true};
    const struct mly_dot_options options = {.contracted = true, .stages = &stage, .times = times};
    expect_ok(mly_dot_plan(plan, mly_model_graph(f->model), f->shapes, &options, &text, &err), err);
    mly_plan_destroy(plan);
    return text.data;
}

static void expect_label(struct fixture *f, const double ms[3], const char *const kinds[3],
                         const uint32_t *shares, const char *wanted)
{
    char *text = label_of(f, ms, kinds, shares);
    if (!strstr(text, wanted))
        fail_msg("%s is not in %s", wanted, text);
    mly_free(text);
}

static void unlike_processors_have_their_own_times(void **state)
{
    struct fixture *f = *state;
    static const char *const cpus[] = {"cpu", "cpu", "cpu"};
    static const char *const unlike[] = {"p100", "cpu", "cpu"};
    static const uint32_t shares[] = {2, 1, 1}, uneven_shares[] = {1, 2, 1};
    static const double alike[] = {5, 5, 5}, slow[] = {3, 9, 9}, split[] = {4.5, 4.65, 2},
                        unknown[] = {3, 0, 9};
    expect_label(f, alike, cpus, NULL, "cpu:2\\n5 ms (modelled)\\n4 nodes");
    expect_label(f, alike, cpus, NULL, "100 samples/s, 5 ms per batch");
    expect_label(f, slow, unlike, NULL,
                 "cpu:2\\ncpu:0: 3 ms (measured)\\ncpu x 2: 9 ms (slowest, modelled)\\n4 nodes");
    expect_label(f, slow, unlike, NULL, "100 samples/s, on average 5 ms per batch");
    expect_label(f, unknown, unlike, NULL, "cpu:2\\nmean 5 ms (modelled)\\n4 nodes");
    expect_label(f, split, cpus, uneven_shares,
                 "cpu:2\\ncpu:0: 1 sample in 4.5 ms (measured)\\ncpu:1: 2 samples in 4.65 ms "
                 "(slowest, modelled)\\ncpu:2: 1 sample in 2 ms (modelled)\\n4 nodes");
    expect_label(f, alike, cpus, shares,
                 "cpu:0: 2 samples in 5 ms (slowest, measured)\\ncpu x 2: 1 sample in 5 ms "
                 "(slowest, modelled)");
}

static void of_a_family_it_is_said_which_way_is_drawn(void **state)
{
    struct fixture *f = *state;
    mly_plan *plan;
    struct mly_buffer text = {0};
    struct mly_error err;
    const struct mly_dot_options options = {.contracted = true};
    expect_ok(mly_plan_dup(f->plan, &plan, &err), err);
    plan->family = mly_alloc_array(2, sizeof *plan->family);
    assert_non_null(plan->family);
    plan->family_count = 2;
    for (uint32_t i = 0; i < 2; i++)
        plan->family[i] = (struct mly_plan_member){.max_rate_per_s = 10 + i,
                                                   .batch = plan->batch,
                                                   .segment_count = i ? plan->segment_count : 1,
                                                   .prediction = plan->prediction};
    expect_ok(mly_dot_plan(plan, mly_model_graph(f->model), f->shapes, &options, &text, &err), err);
    assert_non_null(strstr(text.data, "drawn is way 2 of 2, best up to 11 samples/s\";"));
    mly_buffer_fini(&text);
    plan->family[0].segment_count = plan->family[1].segment_count = 0;
    mly_plan_destroy(plan);
}

static void what_is_not_of_the_graph_is_refused(void **state)
{
    struct fixture *f = *state;
    const struct mly_dot_options options = {0};
    struct mly_buffer text = {0};
    struct mly_error err;
    f->plan->segments[2].nodes[0] = 9;
    expect_error(mly_dot_plan(f->plan, mly_model_graph(f->model), f->shapes, &options, &text, &err),
                 MLY_E_INVALID, err, "segments[2].nodes: the model has 4 nodes");
    f->plan->segments[2].nodes[0] = 2;
    expect_error(mly_dot_plan(f->plan, mly_model_graph(f->model), f->shapes, &options, &text, &err),
                 MLY_E_INVALID, err, "node 3 (d) lies in none");
    f->plan->segments[2].nodes[0] = 3;
    mly_buffer_fini(&text);
    text = (struct mly_buffer){.max_bytes = 100};
    expect_error(mly_dot_plan(f->plan, mly_model_graph(f->model), f->shapes, &options, &text, &err),
                 MLY_E_LIMIT, err, "too large");
    mly_buffer_fini(&text);
}

static void every_failing_allocation_is_reported(void **state)
{
    const struct fixture *f = *state;
    const struct mly_dot_options options = {.contracted = true};
    for (uint64_t n = 1;; n++) {
        struct mly_buffer text = {0};
        struct mly_error err = {0};
        mly_alloc_fail_once(n);
        enum mly_status status =
            mly_dot_plan(f->plan, mly_model_graph(f->model), f->shapes, &options, &text, &err);
        mly_alloc_fail_once(0);
        mly_buffer_fini(&text);
        if (!status)
            break;
        assert_int_equal(status, MLY_E_NO_MEMORY);
        assert_true(err.message[0]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_node_lies_in_its_segments_box),
        cmocka_unit_test(contracted_a_segment_is_one_node),
        cmocka_unit_test(unlike_processors_have_their_own_times),
        cmocka_unit_test(of_a_family_it_is_said_which_way_is_drawn),
        cmocka_unit_test(what_is_not_of_the_graph_is_refused),
        cmocka_unit_test(every_failing_allocation_is_reported),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}

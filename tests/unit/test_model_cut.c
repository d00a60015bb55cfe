/*
 * Choosing where to cut: groups against their definition, cuts by tensor by what they promise, balanced cuts against
 * exhaustive search, and what is written of a split.
 */
#include <dirent.h>
#include <math.h>

#include "backend/backend.h"
#include "base/alloc.h"
#include "base/json.h"
#include "base/random.h"
#include "model/cut.h"
#include "model/split.h"
#include "test_model_rig.h"

#define NODES_MAX 64

/* One of tests/data/models, with types and shapes as the runtime infers them. */
static mly_model *fixture(const char *name)
{
    char path[4096];
    const char *version;
    mly_model *model = NULL;
    const struct mly_backend_ops *ort = mly_backend_find("ort");
    if (!ort || ort->probe(&version, &err) != MLY_OK)
        TEST_SKIP("ONNX Runtime is not there");
    snprintf(path, sizeof path, "%s/tests/data/models/%s.onnx", test_env("MOTLEY_SOURCE_ROOT"),
             name);
    expect_ok(mly_model_load(path, NULL, &model, &err), err);
    expect_ok(ort->infer_shapes(model, NULL, 0, &err), err);
    return model;
}

static uint32_t node_that_makes(const struct mly_graph *graph, const char *tensor)
{
    const uint32_t index = mly_graph_find_tensor(graph, tensor);
    assert_int_not_equal(index, MLY_NO_INDEX);
    return graph->tensors[index].producer;
}

/* --- groups --- */

/* Numbered in topological order, and each convex. */
static void expect_groups_valid(const struct mly_graph *graph, const uint32_t *group,
                                uint32_t count)
{
    for (uint32_t t = 0; t < graph->tensor_count; t++) {
        const struct mly_graph_tensor *tensor = &graph->tensors[t];
        for (uint32_t c = 0; tensor->producer != MLY_NO_INDEX && c < tensor->consumer_count; c++)
            assert_true(group[tensor->producer] <= group[tensor->consumers[c]]);
    }
    for (uint32_t g = 0; g < count; g++) {
        uint32_t *nodes = calloc(graph->node_count + 1, sizeof *nodes), n = 0;
        assert_non_null(nodes);
        for (uint32_t i = 0; i < graph->node_count; i++)
            if (group[i] == g)
                nodes[n++] = i;
        assert_true(n > 0);
        assert_true(mly_graph_is_convex(graph, nodes, n, NULL, NULL));
        free(nodes);
    }
}

/* Any operators in any order: what they would compute does not matter here. */
static mly_model *random_model(struct mly_random *random, uint32_t nodes, bool typed)
{
    static const char *const ops[] = {"Conv",
                                      "BatchNormalization",
                                      "Relu",
                                      "Add",
                                      "Mul",
                                      "Sigmoid",
                                      "MatMul",
                                      "Softmax",
                                      "Erf",
                                      "Div",
                                      "Sqrt",
                                      "ReduceMean",
                                      "Sub",
                                      "Pow",
                                      "Tanh",
                                      "Reshape",
                                      "Shape",
                                      "Transpose",
                                      "QuantizeLinear",
                                      "Pad",
                                      "Cast",
                                      "Constant"};
    struct wire g = {0};
    for (uint32_t i = 0; i < nodes; i++) {
        const char *op = ops[mly_random_below(random, sizeof ops / sizeof *ops)];
        char inputs[64] = "x", output[16];
        if (i > 0)
            snprintf(inputs, sizeof inputs, "t%u t%u", (unsigned)mly_random_below(random, i),
                     (unsigned)(i - 1 - mly_random_below(random, i < 3 ? i : 3)));
        snprintf(output, sizeof output, "t%u", i);
        wire_put(&g, GRAPH_NODE,
                 onnx_node(op, "", strcmp(op, "Constant") == 0 ? "" : inputs, output));
        if (typed && mly_random_below(random, 12) > 0)
            wire_put(&g, GRAPH_VALUE_INFO, onnx_value(output, F32, "4"));
        if (mly_random_below(random, 8) == 0 || i + 1 == nodes)
            wire_put(&g, GRAPH_OUTPUT, onnx_value(output, F32, "4"));
    }
    wire_put(&g, GRAPH_INPUT, onnx_value("x", F32, "4"));
    return load(onnx_model(g));
}

static void groups_are_convex_and_in_order_on_random_graphs(void **state)
{
    (void)state;
    struct mly_random random;
    uint32_t group[NODES_MAX], groups = 0, nodes = 0;
    mly_random_init(&random, 3);
    for (unsigned round = 0; round < 300; round++) {
        mly_model *model = random_model(
            &random, 2 + (uint32_t)mly_random_below(&random, NODES_MAX - 2), round % 2 == 0);
        const struct mly_graph *graph = mly_model_graph(model);
        for (unsigned rule = 0; rule < 2; rule++) {
            uint32_t count = 0;
            expect_ok(mly_graph_fusion_groups(graph, (enum mly_cut_rule)rule, group, &count, &err),
                      err);
            expect_groups_valid(graph, group, count);
            groups += count;
            nodes += graph->node_count;
        }
        mly_model_destroy(model);
    }
    printf("# %u groups of %u nodes\n", groups, nodes);
    assert_true(groups > 1000 && groups < nodes);
}

/* The groups' nodes that make these tensors, one string per group. */
static void expect_together(const char *name, const char *const *sets, size_t count)
{
    mly_model *model = fixture(name);
    const struct mly_graph *graph = mly_model_graph(model);
    uint32_t *group = calloc(graph->node_count, sizeof *group), group_count = 0;
    assert_non_null(group);
    expect_ok(mly_graph_fusion_groups(graph, MLY_CUT_BETWEEN_PATTERNS, group, &group_count, &err),
              err);
    expect_groups_valid(graph, group, group_count);
    for (size_t s = 0; s < count; s++) {
        char words[512];
        char *rest = NULL;
        uint32_t wanted = MLY_NO_INDEX, members = 0;
        snprintf(words, sizeof words, "%s", sets[s]);
        for (char *word = strtok_r(words, " ", &rest); word; word = strtok_r(NULL, " ", &rest)) {
            const uint32_t node = node_that_makes(graph, word);
            if (wanted == MLY_NO_INDEX)
                wanted = group[node];
            if (group[node] != wanted)
                fail_msg("%s: '%s' is not with the others of '%s'", name, word, sets[s]);
            members++;
        }
        for (uint32_t i = 0; i < graph->node_count; i++)
            if (group[i] == wanted && members-- == 0)
                fail_msg("%s: more than '%s' is together", name, sets[s]);
    }
    assert_int_equal(group_count, count);
    expect_ok(mly_graph_fusion_groups(graph, MLY_CUT_ANYWHERE, group, &group_count, &err), err);
    assert_int_equal(group_count, graph->node_count);
    free(group);
    mly_model_destroy(model);
}

static void what_a_runtime_computes_as_one_stays_together(void **state)
{
    (void)state;
    static const char *const convolutions[] = {"pad c1 bn r1", "c2 sum r2", "c3 g silu", "y"};
    /* the runtime's attention begins with the LayerNorm before it */
    static const char attention[] = "ln1_m ln1_d ln1_q ln1_v ln1_e ln1_s ln1_n ln1_g l "
                                    "q_p q_r q k_p k_r k v_p v_r v qk sc p pv pt pr";
    static const char *const transformer[] = {attention, "o res",
                                              "ln2_m ln2_d ln2_q ln2_v ln2_e ln2_s ln2_n ln2_g l2",
                                              "f fb gd ge ga gm gelu", "f2 y"};
    static const char *const qdq[] = {"x_q",   "x_d a a_q", "a_d",  "w",
                                      "b b_q", "b_d c c_q", "c_d y"};
    expect_together("convolutions", convolutions, sizeof convolutions / sizeof *convolutions);
    expect_together("qdq", qdq, sizeof qdq / sizeof *qdq);
    expect_together("transformer", transformer, sizeof transformer / sizeof *transformer);
}

/* --- by tensor --- */

/* x -> a -> b1, b2 -> join -> c -> y; side: x -> s, read by c */
static mly_model *branching(void)
{
    struct wire g = {0};
    wire_put(&g, GRAPH_NODE, onnx_node("Abs", "na", "x", "a"));
    wire_put(&g, GRAPH_NODE, onnx_node("Neg", "ns", "x", "s"));
    wire_put(&g, GRAPH_NODE, onnx_node("Exp", "nb1", "a", "b1"));
    wire_put(&g, GRAPH_NODE, onnx_node("Log", "nb2", "a", "b2"));
    wire_put(&g, GRAPH_NODE, onnx_node("Sum", "nj", "b1 b2", "j"));
    wire_put(&g, GRAPH_NODE, onnx_node("Sum", "nc", "j s", "c"));
    wire_put(&g, GRAPH_NODE, onnx_node("Neg", "ny", "c", "y"));
    wire_put(&g, GRAPH_NODE, onnx_node("Exp", "nd", "b1", "dead"));
    wire_put(&g, GRAPH_INPUT, onnx_value("x", F32, "N 4"));
    wire_put(&g, GRAPH_OUTPUT, onnx_value("y", F32, "N 4"));
    for (const char *const *at =
             (const char *const[]){"a", "s", "b1", "b2", "j", "c", "dead", NULL};
         *at; at++)
        wire_put(&g, GRAPH_VALUE_INFO, onnx_value(*at, F32, "N 4"));
    return load(onnx_model(g));
}

static void expect_parts(const mly_model *model, const char *names, const char *makes,
                         const char *parts)
{
    const struct mly_graph *graph = mly_model_graph(model);
    const char *list[8];
    char words[128], tensors[256];
    size_t count = 0;
    uint32_t part[NODES_MAX], part_count = 0, i = 0;
    char *rest = NULL;
    snprintf(words, sizeof words, "%s", names);
    for (char *word = strtok_r(words, " ", &rest); word; word = strtok_r(NULL, " ", &rest))
        list[count++] = word;
    expect_ok(mly_cut_at(graph, MLY_CUT_BETWEEN_PATTERNS, list, count, part, &part_count, &err),
              err);
    snprintf(tensors, sizeof tensors, "%s", makes);
    rest = NULL;
    for (char *word = strtok_r(tensors, " ", &rest); word; word = strtok_r(NULL, " ", &rest), i++)
        if (part[node_that_makes(graph, word)] != (uint32_t)(parts[i] - '0'))
            fail_msg("after '%s': '%s' lies in part %u, not %c", names, word,
                     part[node_that_makes(graph, word)], parts[i]);
}

static void named_tensors_divide_the_graph(void **state)
{
    (void)state;
    mly_model *model = branching();
    const char *all = "a s b1 b2 j c y dead";
    expect_parts(model, "a", all, "01111111");     /* s goes late: only a crosses */
    expect_parts(model, "j", all, "01000110");     /* dead stays with what makes its input */
    expect_parts(model, "b1 b2", all, "01001110"); /* side by side: one cut */
    expect_parts(model, "j a", all, "02111221");   /* one after another: two, in any order */
    expect_parts(model, "b1", all, "01011110");    /* b2 goes late */
    expect_parts(model, "s", all, "10111111");     /* what s does not need goes late */
    mly_model_destroy(model);
}

static void places_that_are_none_are_refused_with_the_reason(void **state)
{
    (void)state;
    mly_model *model = branching();
    uint32_t part[NODES_MAX], count = 0;
    const struct mly_graph *graph = mly_model_graph(model);
    const struct {
        const char *name;
        enum mly_status status;
        const char *reason;
    } rows[] = {{"b3", MLY_E_NOT_FOUND, "near names: "},
                {"dea", MLY_E_NOT_FOUND, "near names: 'dead'"},
                {"nothing like it", MLY_E_NOT_FOUND, "nor by a name near it"},
                {"x", MLY_E_INVALID, "input of the model"},
                {"y", MLY_E_INVALID, "nothing lies behind it"},
                {"dead", MLY_E_INVALID, "nothing lies behind it"}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        expect_error(mly_cut_at(graph, MLY_CUT_ANYWHERE, &rows[i].name, 1, part, &count, &err),
                     rows[i].status, err, rows[i].reason);
    expect_error(mly_cut_at(graph, MLY_CUT_ANYWHERE, NULL, 0, part, &count, &err), MLY_E_INVALID,
                 err, "no tensor");
    mly_model_destroy(model);
    model = fixture("convolutions");
    const char *inner = "bn";
    graph = mly_model_graph(model);
    expect_error(mly_cut_at(graph, MLY_CUT_BETWEEN_PATTERNS, &inner, 1, part, &count, &err),
                 MLY_E_INVALID, err, "'pad' to 'relu1'); the next place is 'r1'");
    expect_ok(mly_cut_at(graph, MLY_CUT_ANYWHERE, &inner, 1, part, &count, &err), err);
    assert_int_equal(count, 2);
    mly_model_destroy(model);
}

/* --- balanced --- */

/* Loads by node; a chain of products with side branches. */
static mly_model *products(struct mly_random *random, uint32_t nodes)
{
    struct wire g = {0};
    for (uint32_t i = 0; i < nodes; i++) {
        char inputs[64], output[16], dims[32];
        const uint32_t from =
            i == 0 ? 0 : i - 1 - (uint32_t)mly_random_below(random, i < 3 ? i : 3);
        snprintf(inputs, sizeof inputs, i == 0 ? "x x" : "t%u t%u", from, i - 1);
        snprintf(output, sizeof output, "t%u", i);
        snprintf(dims, sizeof dims, "%u 8 8", 1 + (unsigned)mly_random_below(random, 9));
        wire_put(&g, GRAPH_NODE, onnx_node("MatMul", "", inputs, output));
        if (i + 1 < nodes)
            wire_put(&g, GRAPH_VALUE_INFO, onnx_value(output, F32, dims));
        else
            wire_put(&g, GRAPH_OUTPUT, onnx_value(output, F32, dims));
    }
    wire_put(&g, GRAPH_INPUT, onnx_value("x", F32, "1 8 8"));
    return load(onnx_model(g));
}

/* Largest load and bytes across of a division; loads as the planner counts them. */
static void judge(const struct mly_graph *graph, const struct mly_shape *shapes,
                  const uint32_t *part, uint32_t parts, double *largest, double *bytes)
{
    double loads[8] = {0}, total = 0;
    for (uint32_t i = 0; i < graph->node_count; i++) {
        struct mly_node_work work;
        mly_graph_node_work(graph, shapes, i, &work);
        total += work.macs;
        loads[part[i]] += work.macs;
    }
    for (uint32_t i = 0; i < graph->node_count; i++)
        loads[part[i]] += total / graph->node_count * 1e-3;
    *largest = *bytes = 0;
    for (uint32_t p = 0; p < parts; p++)
        *largest = fmax(*largest, loads[p]);
    for (uint32_t t = 0; t < graph->tensor_count; t++) {
        uint32_t last = 0;
        const struct mly_graph_tensor *tensor = &graph->tensors[t];
        for (uint32_t c = 0; tensor->producer != MLY_NO_INDEX && c < tensor->consumer_count; c++)
            if (part[tensor->consumers[c]] > last)
                last = part[tensor->consumers[c]];
        if (tensor->producer != MLY_NO_INDEX && last > part[tensor->producer])
            *bytes += (last - part[tensor->producer]) * mly_cut_tensor_bytes(graph, shapes, t);
    }
}

/* All ways of cutting the order into three. */
static void search(const struct mly_graph *graph, const struct mly_shape *shapes, double limit,
                   double *smallest, double *fewest)
{
    uint32_t part[NODES_MAX];
    *smallest = *fewest = INFINITY;
    for (uint32_t a = 1; a + 1 < graph->node_count; a++)
        for (uint32_t b = a + 1; b < graph->node_count; b++) {
            double largest, bytes;
            for (uint32_t i = 0; i < graph->node_count; i++)
                part[i] = (i >= a) + (i >= b);
            judge(graph, shapes, part, 3, &largest, &bytes);
            *smallest = fmin(*smallest, largest);
            if (largest <= limit)
                *fewest = fmin(*fewest, bytes);
        }
}

static void balanced_cuts_agree_with_exhaustive_search(void **state)
{
    (void)state;
    struct mly_random random;
    mly_random_init(&random, 11);
    for (unsigned round = 0; round < 60; round++) {
        mly_model *model = products(&random, 4 + (uint32_t)mly_random_below(&random, 20));
        const struct mly_graph *graph = mly_model_graph(model);
        struct mly_shape *shapes = calloc(graph->tensor_count, sizeof *shapes);
        uint32_t part[NODES_MAX];
        double smallest, fewest, largest, bytes;
        expect_ok(mly_graph_bind(model, 1, NULL, 0, shapes, &err), err);
        expect_ok(mly_cut_balanced(graph, MLY_CUT_ANYWHERE, shapes, 3, part, &err), err);
        for (uint32_t i = 1; i < graph->node_count; i++)
            assert_true(part[i] >= part[i - 1]);
        assert_int_equal(part[graph->node_count - 1], 2);
        judge(graph, shapes, part, 3, &largest, &bytes);
        search(graph, shapes, INFINITY, &smallest, &fewest);
        search(graph, shapes, smallest * 1.1 * (1 + 1e-9), &smallest, &fewest);
        assert_true(largest <= smallest * 1.1 * (1 + 1e-9));
        assert_true(bytes <= fewest);
        free(shapes);
        mly_model_destroy(model);
    }
}

static void parts_are_even_where_all_cuts_cost_the_same(void **state)
{
    (void)state;
    struct wire g = {0};
    for (unsigned i = 0; i < 48; i++) {
        char input[16], output[16];
        snprintf(input, sizeof input, i ? "t%u" : "x", i - 1);
        snprintf(output, sizeof output, "t%u", i);
        wire_put(&g, GRAPH_NODE, onnx_node("Abs", "", input, output));
        wire_put(&g, i < 47 ? GRAPH_VALUE_INFO : GRAPH_OUTPUT, onnx_value(output, F32, "4"));
    }
    wire_put(&g, GRAPH_INPUT, onnx_value("x", F32, "4"));
    mly_model *model = load(onnx_model(g));
    struct mly_shape shapes[64];
    uint32_t part[NODES_MAX], count[6] = {0};
    expect_ok(mly_graph_bind(model, 4, NULL, 0, shapes, &err), err);
    expect_ok(mly_cut_balanced(mly_model_graph(model), MLY_CUT_ANYWHERE, shapes, 6, part, &err),
              err);
    for (unsigned i = 0; i < 48; i++)
        count[part[i]]++;
    for (unsigned p = 0; p < 6; p++)
        assert_int_equal(count[p], 8);
    mly_model_destroy(model);
}

static void impossible_numbers_of_parts_are_refused(void **state)
{
    (void)state;
    mly_model *model = branching();
    struct mly_shape shapes[32];
    uint32_t part[NODES_MAX];
    const struct mly_graph *graph = mly_model_graph(model);
    expect_ok(mly_graph_bind(model, 1, NULL, 0, shapes, &err), err);
    expect_error(mly_cut_balanced(graph, MLY_CUT_ANYWHERE, shapes, 0, part, &err), MLY_E_INVALID,
                 err, "from 1 to 256");
    expect_error(mly_cut_balanced(graph, MLY_CUT_ANYWHERE, shapes, 257, part, &err), MLY_E_INVALID,
                 err, "from 1 to 256");
    /* seven nodes are needed, the eighth is dead */
    expect_error(mly_cut_balanced(graph, MLY_CUT_ANYWHERE, shapes, 8, part, &err), MLY_E_INVALID,
                 err, "only 7 pieces");
    expect_ok(mly_cut_balanced(graph, MLY_CUT_ANYWHERE, shapes, 7, part, &err), err);
    assert_int_equal(part[node_that_makes(graph, "dead")], part[node_that_makes(graph, "b1")]);
    expect_ok(mly_cut_balanced(graph, MLY_CUT_ANYWHERE, shapes, 1, part, &err), err);
    mly_model_destroy(model);
}

/* --- what is written --- */

struct written {
    mly_model *model;
    struct mly_shape *shapes;
    uint32_t part[NODES_MAX];
    struct mly_split split;
    struct mly_split_part *parts;
};

static struct written cut_fixture(const char *name, const char *tensor)
{
    struct written it = {.model = fixture(name)};
    const struct mly_graph *graph = mly_model_graph(it.model);
    it.shapes = calloc(graph->tensor_count + 1, sizeof *it.shapes);
    assert_true(graph->node_count <= NODES_MAX && it.shapes);
    const int64_t fixed = mly_model_fixed_batch(it.model);
    it.split =
        (struct mly_split){.model = it.model, .shapes = it.shapes, .batch = fixed ? fixed : 1};
    expect_ok(mly_graph_bind(it.model, it.split.batch, NULL, 0, it.shapes, &err), err);
    expect_ok(mly_cut_at(graph, MLY_CUT_ANYWHERE, &tensor, 1, it.part, &it.split.part_count, &err),
              err);
    return it;
}

static void written_free(struct written *it)
{
    mly_split_parts_fini(it->parts, it->split.part_count);
    mly_model_destroy(it->model);
    free(it->shapes);
}

static bool nothing_at(const char *folder)
{
    DIR *directory = opendir(scratch);
    bool nothing = true;
    const char *name = strrchr(folder, '/') + 1;
    assert_non_null(directory);
    for (const struct dirent *at; (at = readdir(directory));)
        nothing = nothing && strncmp(at->d_name, name, strlen(name)) != 0;
    closedir(directory);
    return nothing;
}

static bool has(const struct mly_segment *segment, const char *text)
{
    return memmem(segment->onnx, segment->onnx_bytes, text, strlen(text)) != NULL;
}

static void everything_about_the_model_is_kept(void **state)
{
    (void)state;
    static const struct {
        const char *name, *tensor, *kept[2];
    } rows[] = {{"functions", "a", {"HalfRelu", "purpose"}},
                {"domains", "a", {"com.microsoft", "ai.onnx.ml"}},
                {"initialisers", "a", {"w", "purpose"}},
                {"if", "a", {"purpose", "if"}},
                {"symbols", "a", {"length", "purpose"}},
                {"sparse", "a", {"sparse_w", "purpose"}}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct written it = cut_fixture(rows[i].name, rows[i].tensor);
        it.split.part_of_node = it.part;
        expect_ok(mly_split_parts(&it.split, &it.parts, &err), err);
        for (uint32_t p = 0; p < it.split.part_count; p++) {
            const char *path = scratch_path(scratch, "part.onnx");
            mly_model *again = NULL;
            for (size_t k = 0; k < 2; k++)
                if (!has(&it.parts[p].segment, rows[i].kept[k]))
                    fail_msg("%s: part %u has no '%s'", rows[i].name, p, rows[i].kept[k]);
            expect_ok(mly_segment_save(&it.parts[p].segment, path, &err), err);
            expect_ok(mly_model_load(path, NULL, &again, &err), err);
            assert_int_equal(mly_model_graph(again)->ir_version, 8);
            mly_model_destroy(again);
        }
        written_free(&it);
    }
}

/* The runtime refuses such models, so their types are in the file. */
static void nodes_of_one_name_are_cut_like_others(void **state)
{
    (void)state;
    char path[4096];
    mly_model *model = NULL;
    uint32_t part[NODES_MAX], count = 0;
    const char *tensor = "d";
    snprintf(path, sizeof path, "%s/tests/data/models/duplicates.onnx",
             test_env("MOTLEY_SOURCE_ROOT"));
    expect_ok(mly_model_load(path, NULL, &model, &err), err);
    const struct mly_graph *graph = mly_model_graph(model);
    expect_ok(mly_cut_at(graph, MLY_CUT_ANYWHERE, &tensor, 1, part, &count, &err), err);
    struct mly_shape shapes[32];
    struct mly_split_part *parts = NULL;
    expect_ok(mly_graph_bind(model, 1, NULL, 0, shapes, &err), err);
    const struct mly_split split = {
        .model = model, .part_of_node = part, .part_count = count, .shapes = shapes, .batch = 1};
    expect_ok(mly_split_parts(&split, &parts, &err), err);
    const char *saved = scratch_path(scratch, "part.onnx");
    unsigned given = 0;
    for (uint32_t p = 0; p < count; p++) {
        mly_model *again = NULL;
        expect_ok(mly_segment_save(&parts[p].segment, saved, &err), err);
        expect_ok(mly_model_load(saved, NULL, &again, &err), err);
        mly_model_destroy(again);
        for (uint32_t i = 0; i < parts[p].segment.output_count; i++)
            given += graph->tensors[parts[p].segment.outputs[i]].is_output;
    }
    assert_int_equal(given, graph->output_count); /* y, c, a, and x, which is an input as well */
    mly_split_parts_fini(parts, count);
    mly_model_destroy(model);
}

static void a_dequantised_tensor_crosses_as_integers(void **state)
{
    (void)state;
    struct written it = cut_fixture("qdq", "b_q");
    const struct mly_graph *graph = mly_model_graph(it.model);
    it.split.part_of_node = it.part;
    expect_ok(mly_split_parts(&it.split, &it.parts, &err), err);
    assert_int_equal(it.split.part_count, 2);
    const struct mly_segment *second = &it.parts[1].segment;
    for (uint32_t i = 0; i < second->input_count;
         i++) /* a_q, which a copied node dequantises, and b_q */
        assert_int_equal(graph->tensors[second->inputs[i]].dtype, MLY_DTYPE_U8);
    assert_int_equal(second->input_count, 2);
    written_free(&it);
}

static void a_split_is_written_whole_or_not_at_all(void **state)
{
    (void)state;
    struct written it = cut_fixture("external", "b");
    char *folder = strdup(scratch_path(scratch, "out"));
    uint64_t n = 0;
    it.split.part_of_node = it.part;
    enum mly_status status = MLY_E_NO_MEMORY;
    for (n = 1; status != MLY_OK; n++) {
        it.split.link_weights = false;
        mly_alloc_fail_once(n);
        status = mly_split_parts(&it.split, &it.parts, &err);
        if (status == MLY_OK)
            status = mly_split_save(&it.split, it.parts, folder, &err);
        mly_alloc_fail_once(0);
        if (status != MLY_OK) {
            assert_int_equal(status, MLY_E_NO_MEMORY);
            assert_true(nothing_at(folder));
            mly_split_parts_fini(it.parts, it.split.part_count);
            it.parts = NULL;
        }
        assert_true(n < 5000);
    }
    assert_true(n > 20);
    mly_json_doc *manifest;
    expect_ok(mly_json_load(scratch_path(folder, "manifest.json"), 1 << 20, &manifest, &err), err);
    assert_int_equal(mly_json_length(mly_json_member_opt(mly_json_root(manifest), "segments")), 2);
    mly_json_destroy(manifest);
    expect_error(mly_split_save(&it.split, it.parts, folder, &err), MLY_E_INVALID, err,
                 "not empty");
    free(folder);
    written_free(&it);
}

static bool stop(uint32_t written, void *user)
{
    (void)user;
    return written == 0;
}

static void an_interrupted_split_leaves_nothing(void **state)
{
    (void)state;
    struct written it = cut_fixture("external", "b");
    const char *folder = scratch_path(scratch, "stopped");
    it.split.part_of_node = it.part;
    it.split.go_on = stop;
    expect_ok(mly_split_parts(&it.split, &it.parts, &err), err);
    expect_error(mly_split_save(&it.split, it.parts, folder, &err), MLY_E_CANCELLED, err,
                 "interrupted");
    assert_true(nothing_at(folder));
    written_free(&it);
}

static void choosing_survives_every_failed_allocation(void **state)
{
    (void)state;
    mly_model *model = branching();
    const struct mly_graph *graph = mly_model_graph(model);
    struct mly_shape shapes[32];
    uint32_t part[NODES_MAX], count;
    const char *name = "j";
    expect_ok(mly_graph_bind(model, 1, NULL, 0, shapes, &err), err);
    for (unsigned way = 0; way < 2; way++) {
        enum mly_status status = MLY_E_NO_MEMORY;
        for (uint64_t n = 1; status != MLY_OK; n++) {
            mly_alloc_fail_once(n);
            status = way ? mly_cut_at(graph, MLY_CUT_BETWEEN_PATTERNS, &name, 1, part, &count, &err)
                         : mly_cut_balanced(graph, MLY_CUT_BETWEEN_PATTERNS, shapes, 2, part, &err);
            mly_alloc_fail_once(0);
            assert_true(status == MLY_OK || status == MLY_E_NO_MEMORY);
            assert_true(n < 200);
        }
    }
    mly_model_destroy(model);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(groups_are_convex_and_in_order_on_random_graphs),
        cmocka_unit_test(what_a_runtime_computes_as_one_stays_together),
        cmocka_unit_test(named_tensors_divide_the_graph),
        cmocka_unit_test(places_that_are_none_are_refused_with_the_reason),
        cmocka_unit_test(balanced_cuts_agree_with_exhaustive_search),
        cmocka_unit_test(parts_are_even_where_all_cuts_cost_the_same),
        cmocka_unit_test(impossible_numbers_of_parts_are_refused),
        cmocka_unit_test(everything_about_the_model_is_kept),
        cmocka_unit_test(nodes_of_one_name_are_cut_like_others),
        cmocka_unit_test(a_dequantised_tensor_crosses_as_integers),
        cmocka_unit_test(a_split_is_written_whole_or_not_at_all),
        cmocka_unit_test(an_interrupted_split_leaves_nothing),
        cmocka_unit_test(choosing_survives_every_failed_allocation),
    };
    return cmocka_run_group_tests(tests, group_setup, group_teardown);
}

/* Reading models: real ones, damaged ones, hostile ones. */
#include <ftw.h>
#include <sys/stat.h>

#include "base/alloc.h"
#include "model/graph.h"
#include "model/segment.h"
#include "test_model_rig.h"

static void refuse(struct wire w, enum mly_status status, const char *fragment)
{
    mly_model *model = NULL;
    const char *path = scratch_path(scratch, "m.onnx");
    wire_save(w, path);
    expect_error(mly_model_load(path, NULL, &model, &err), status, err, fragment);
    assert_null(model);
}

/* --- real models --- */

static const char *const must_refuse[][2] = {
    {"test_arbitrary_external_file.onnx", "/etc/passwd"},
    {"mul_1.noopset.onnx", "opset_import"},
    {"corrupt-model.onnx", "byte 0"},
    {"weightless.conv.onnx", "tensor 'b'"},
    {"models/empty.onnx", "no nodes"},
    {"Polygraphy/tests/models/ext_weights.onnx", "ext_weights.data"},
    {"bad_graph_with_no_import_domains.onnx", "opset_import"},
    {"bad_graph_with_dup_value_info.onnx", "'inp'"},
};
static unsigned seen, refused;

static int visit_model(const char *path, const struct stat *info, int type, struct FTW *where)
{
    (void)info;
    (void)where;
    size_t length = strlen(path);
    if (type != FTW_F || length < 5 || strcmp(path + length - 5, ".onnx") != 0)
        return 0;
    mly_model *model = NULL;
    const char *wanted = NULL;
    for (size_t i = 0; i < sizeof must_refuse / sizeof *must_refuse; i++)
        if (strstr(path, must_refuse[i][0]))
            wanted = must_refuse[i][1];
    seen++;
    err.message[0] = '\0';
    enum mly_status status = mly_model_load(path, NULL, &model, &err);
    if ((status != MLY_OK) != (wanted != NULL))
        fail_msg("%s: %s", path, status != MLY_OK ? err.message : "was not refused");
    if (status != MLY_OK) {
        refused++;
        if (!strstr(err.message, wanted) || !strstr(err.message, path))
            fail_msg("'%s' does not say '%s' and the path", err.message, wanted);
        return 0;
    }
    const struct mly_graph *graph = mly_model_graph(model);
    assert_true(graph->node_count > 0);
    for (uint32_t i = 0; i < graph->node_count; i++)
        for (uint32_t k = 0; k < graph->nodes[i].input_count; k++) {
            uint32_t tensor = graph->nodes[i].inputs[k];
            if (tensor != MLY_NO_INDEX && graph->tensors[tensor].producer != MLY_NO_INDEX)
                assert_true(graph->tensors[tensor].producer < i);
        }
    for (uint32_t i = 0; i < graph->tensor_count; i++)
        assert_int_equal(mly_graph_find_tensor(graph, graph->tensors[i].name), i);
    mly_model_destroy(model);
    return 0;
}

static void every_real_model_loads_or_is_refused_with_its_reason(void **state)
{
    (void)state;
    const char *data = test_env("MOTLEY_SHARED_DATA");
    if (access(data, R_OK) != 0)
        TEST_SKIP("no test data at %s", data);
    seen = refused = 0;
    assert_int_equal(nftw(data, visit_model, 16, FTW_PHYS), 0);
    printf("# %u models, %u refused\n", seen, refused);
    assert_true(seen > 200);
    assert_int_equal(refused, sizeof must_refuse / sizeof *must_refuse);
}

static char *mnist_path(void)
{
    static char path[4096];
    snprintf(path, sizeof path, "%s/xboot+libonnx/tests/model/mnist_8/model.onnx",
             test_env("MOTLEY_SHARED_DATA"));
    if (access(path, R_OK) != 0)
        TEST_SKIP("no %s", path);
    return path;
}

static void mnist_has_the_counts_worked_out_by_hand(void **state)
{
    (void)state;
    mly_model *model = NULL;
    expect_ok(mly_model_load(mnist_path(), NULL, &model, &err), err);
    const struct mly_graph *graph = mly_model_graph(model);
    struct mly_shape shapes[64];
    assert_true(graph->tensor_count <= 64);
    expect_ok(mly_graph_bind(model, 1, NULL, 0, shapes, &err), err);
    struct mly_graph_totals totals;
    expect_ok(mly_graph_totals(graph, shapes, &totals, &err), err);
    assert_int_equal(graph->node_count, 12);
    assert_int_equal(mly_model_fixed_batch(model), 1);
    assert_int_equal(mly_model_input_count(model), 1);
    assert_string_equal(mly_model_input(model, 0)->name, "Input3");
    assert_null(mly_model_input(model, 1));
    assert_string_equal(mly_model_output(model, 0)->name, "Plus214_Output_0");
    assert_null(mly_model_output(model, 1));
    /* conv 5x5, 1 -> 8 channels at 28x28; 5x5, 8 -> 16 at 14x14; 256 -> 10 */
    assert_true(totals.macs == 8 * 784 * 25 + 16 * 196 * 200 + 2560);
    /* their weights and biases, and two shapes of two numbers each */
    assert_true(totals.parameters == 200 + 8 + 3200 + 16 + 2560 + 10 + 4);
    assert_true(totals.weight_bytes == (200 + 8 + 3200 + 16 + 2560 + 10) * 4 + 4 * 8);
    /* adds and relus once per element, pools once per window element */
    assert_true(totals.flops ==
                2 * totals.macs + 2 * 6272 + 2 * 3136 + 8 * 196 * 4 + 16 * 16 * 9 + 10);
    assert_int_equal(totals.unknown_nodes, 0);
    /* two tensors of 8 x 28 x 28 */
    assert_true(totals.peak_activation_bytes >= 2 * 6272 * 4);
    mly_model_destroy(model);
}

static void a_truncated_file_is_an_error_never_a_crash(void **state)
{
    (void)state;
    char *bytes;
    size_t length;
    expect_ok(mly_file_read(mnist_path(), 1 << 20, &bytes, &length, &err), err);
    const char *path = scratch_path(scratch, "cut.onnx");
    unsigned accepted = 0;
    expect_ok(mly_file_write(path, bytes, length, &err), err);
    for (size_t cut = (length - 1) / 97 * 97 + 97; cut > 0;) {
        mly_model *model = NULL;
        cut -= 97;
        assert_int_equal(truncate(path, (off_t)cut), 0);
        err.message[0] = '\0';
        if (mly_model_load(path, NULL, &model, &err) == MLY_OK)
            accepted++;
        else
            assert_true(err.message[0] != '\0' && model == NULL);
        mly_model_destroy(model);
    }
    assert_int_equal(accepted, 0);
    mly_free(bytes);
}

/* --- hostile files --- */

static void wrong_files_are_refused_with_position_or_name(void **state)
{
    (void)state;
    mly_model *model = NULL;
    expect_error(mly_model_load(scratch_path(scratch, "none.onnx"), NULL, &model, &err),
                 MLY_E_NOT_FOUND, err, "none.onnx");
    refuse((struct wire){0}, MLY_E_FORMAT, "empty");
    struct wire w = {0};
    wire_raw(&w, "\x20\0\0\0TFL3....", 12);
    refuse(w, MLY_E_UNSUPPORTED, "TensorFlow Lite");
    w = (struct wire){0};
    wire_int(&w, 1, 8);
    refuse(w, MLY_E_FORMAT, "no graph");
    w = onnx_model(onnx_chain_graph());
    wire_bytes(&w, 7, "", 0);
    refuse(w, MLY_E_FORMAT, "graph is there twice");
    w = (struct wire){0};
    wire_raw(&w, "\x3b", 1); /* a group, long gone from protobuf */
    refuse(w, MLY_E_FORMAT, "byte 0");
    w = (struct wire){0};
    wire_int(&w, 7, 3);
    refuse(w, MLY_E_FORMAT, "ModelProto.graph is encoded as wire type 0");
    w = (struct wire){0};
    wire_bytes(&w, 2, "a\0b", 3);
    refuse(w, MLY_E_FORMAT, "zero byte");
    w = (struct wire){0};
    wire_raw(&w, "\x3a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 11);
    refuse(w, MLY_E_FORMAT, "truncated");
}

static void wrong_graphs_are_refused_by_name(void **state)
{
    (void)state;
    struct wire g = {0};
    wire_put(&g, GRAPH_INPUT, onnx_value("x", F32, "4"));
    wire_put(&g, GRAPH_OUTPUT, onnx_value("y", F32, "4"));
    struct wire base = g;
#define FRESH() (g = (struct wire){0}, wire_raw(&g, base.data, base.length))
    FRESH();
    wire_put(&g, GRAPH_NODE, onnx_node("Relu", "start", "x", "p"));
    wire_put(&g, GRAPH_NODE, onnx_node("Add", "one", "p r", "q"));
    wire_put(&g, GRAPH_NODE, onnx_node("Relu", "two", "q", "r"));
    wire_put(&g, GRAPH_NODE, onnx_node("Relu", "end", "r", "y"));
    refuse(onnx_model(g), MLY_E_FORMAT, "cycle through node '");
    FRESH();
    wire_put(&g, GRAPH_NODE, onnx_node("Add", "lost", "x ghost", "y"));
    refuse(onnx_model(g), MLY_E_FORMAT, "node 'lost' (Add) uses tensor 'ghost'");
    FRESH();
    wire_put(&g, GRAPH_NODE, onnx_node("Relu", "", "x", "y"));
    wire_put(&g, GRAPH_NODE, onnx_node("Relu", "again", "x", "y"));
    refuse(onnx_model(g), MLY_E_FORMAT, "'y' is defined twice");
    FRESH();
    wire_put(&g, GRAPH_NODE, onnx_node("Relu", "", "x", "z"));
    refuse(onnx_model(g), MLY_E_FORMAT, "output 'y' is made by no node");
    FRESH();
    wire_put(&g, GRAPH_NODE, onnx_node("", "nameless", "x", "y"));
    refuse(onnx_model(g), MLY_E_FORMAT, "node 'nameless' has no operator");
    FRESH();
    refuse(onnx_model(g), MLY_E_FORMAT, "no nodes");
    g = (struct wire){0};
    wire_put(&g, GRAPH_NODE, onnx_node("Relu", "", "x", "y"));
    wire_put(&g, GRAPH_INPUT, onnx_value("x", F32, "4"));
    refuse(onnx_model(g), MLY_E_FORMAT, "no outputs");
    wire_drop(&base);
#undef FRESH
}

static void wrong_tensors_are_refused_by_name(void **state)
{
    (void)state;
    const struct {
        const char *dims;
        size_t bytes;
        enum mly_status status;
        const char *fragment;
    } cases[] = {
        {"3", 8, MLY_E_FORMAT, "'bad' has 8 bytes"},
        {"3", 4096, MLY_E_FORMAT, "'bad' has 4096 bytes"},
        {"-3", 8, MLY_E_FORMAT, "dimension 0 is -3"},
        {"4294967296 4294967296 4294967296", 8, MLY_E_LIMIT, "'bad'"},
        {"4611686018427387904 1", 8, MLY_E_LIMIT, "'bad'"},
        {"1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1", 4, MLY_E_LIMIT, "17 dimensions"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct wire g = onnx_chain_graph();
        wire_put(&g, GRAPH_INITIALISER,
                 onnx_raw_tensor("bad", F32, cases[i].dims, cases[i].bytes, 0));
        refuse(onnx_model(g), cases[i].status, cases[i].fragment);
    }
    struct wire g = onnx_chain_graph();
    struct wire tensor = onnx_tensor("bad", F32, "2");
    wire_bytes(&tensor, 4, "12345678abcd", 12); /* float_data, packed */
    wire_put(&g, GRAPH_INITIALISER, tensor);
    refuse(onnx_model(g), MLY_E_FORMAT, "'bad' has 3 elements");
    g = onnx_chain_graph();
    tensor = onnx_tensor("bad", F32, "0");
    wire_int(&tensor, 14, 2); /* data_location, which the reader itself uses inside */
    wire_put(&g, GRAPH_INITIALISER, tensor);
    refuse(onnx_model(g), MLY_E_FORMAT, "data_location is 2");
    g = onnx_chain_graph();
    wire_put(&g, GRAPH_VALUE_INFO, onnx_value("q", F32, "1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1"));
    mly_model_destroy(load(onnx_model(g))); /* of a tensor that is not there: of no matter */
    g = onnx_chain_graph();
    wire_put(&g, GRAPH_NODE, onnx_node("Relu", "", "x", "q"));
    wire_put(&g, GRAPH_VALUE_INFO, onnx_value("q", F32, "1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1"));
    refuse(onnx_model(g), MLY_E_LIMIT, "tensor 'q'");
}

/* `levels` graphs within graphs, made from the inside out in one buffer. */
static struct wire nested(unsigned levels)
{
    struct wire inner = {0};
    wire_put(&inner, GRAPH_NODE, onnx_node("Relu", "", "x", "y"));
    wire_put(&inner, GRAPH_OUTPUT, onnx_value("y", 0, NULL));
    for (unsigned i = 0; i < levels; i++) {
        struct wire node = onnx_node("If", "deep", "x", "y"), graph = {0};
        wire_put(&node, 5, onnx_attribute("then_branch", 6, 5, inner));
        wire_put(&graph, GRAPH_NODE, node);
        wire_put(&graph, GRAPH_OUTPUT, onnx_value("y", 0, NULL));
        inner = graph;
    }
    wire_put(&inner, GRAPH_INPUT, onnx_value("x", F32, "1"));
    return onnx_model(inner);
}

static void deep_nesting_is_a_limit_not_a_stack_overflow(void **state)
{
    (void)state;
    mly_model_destroy(load(nested(30)));
    refuse(nested(40), MLY_E_LIMIT, "nested over 100");
    refuse(nested(10000), MLY_E_LIMIT, "nested over 100");
}

static void a_million_nodes_pass_the_limit_and_one_more_does_not(void **state)
{
    (void)state;
    struct wire node = onnx_node("Relu", "", "x", ""), g = {0};
    for (unsigned i = 0; i < 1000001; i++)
        wire_bytes(&g, GRAPH_NODE, node.data, node.length);
    wire_drop(&node);
    refuse(onnx_model(g), MLY_E_LIMIT, "over 1000000 nodes");
}

/* --- external data --- */

static void external_data_is_read_from_the_models_own_folder_only(void **state)
{
    (void)state;
    uint8_t data[64];
    for (unsigned i = 0; i < sizeof data; i++)
        data[i] = (uint8_t)i;
    expect_ok(mly_dir_create(scratch_path(scratch, "sub"), &err), err);
    expect_ok(mly_file_write(scratch_path(scratch, "sub/w.bin"), data, sizeof data, &err), err);
    expect_ok(mly_file_write(scratch_path(scratch, "w.bin"), data, sizeof data, &err), err);
    assert_int_equal(symlink("w.bin", scratch_path(scratch, "inside")), 0);
    assert_int_equal(symlink("/etc/passwd", scratch_path(scratch, "outside")), 0);
    assert_int_equal(symlink("/etc", scratch_path(scratch, "etc")), 0);
    const struct {
        const char *location, *offset, *length;
        enum mly_status status;
        const char *fragment;
    } cases[] = {
        {"w.bin", "16", "8", MLY_OK, ""},
        {"./w.bin", "16", NULL, MLY_OK, ""},
        {"sub/w.bin", NULL, NULL, MLY_OK, ""},
        {"inside", "0", "8", MLY_OK, ""},
        {"w.bin", "60", "8", MLY_E_FORMAT, "'e' lies at 60"},
        {"w.bin", "18446744073709551615", "8", MLY_E_FORMAT, "'e'"},
        {"w.bin", "18446744073709551616", "8", MLY_E_FORMAT, "is no size"},
        {"w.bin", "-1", "8", MLY_E_FORMAT, "is no size"},
        {"w.bin", "0", "4", MLY_E_FORMAT, "'e' has 4 bytes"},
        {"gone.bin", "0", "8", MLY_E_NOT_FOUND, "gone.bin"},
        {"outside", "0", "8", MLY_E_INVALID, "leaves the model's own folder"},
        {"etc/passwd", "0", "8", MLY_E_INVALID, "leaves the model's own folder"},
        {"/etc/passwd", "0", "8", MLY_E_INVALID, "refused"},
        {"../../etc/passwd", "0", "8", MLY_E_INVALID, "refused"},
        {"sub/../w.bin", "0", "8", MLY_E_INVALID, "refused"},
        {"", "0", "8", MLY_E_INVALID, "refused"},
        {"sub", "0", "8", MLY_E_INVALID, ""},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct wire g = onnx_chain_graph();
        wire_put(&g, GRAPH_INITIALISER,
                 onnx_external_tensor("e", F32, "2", cases[i].location, cases[i].offset,
                                      cases[i].length));
        const char *path = scratch_path(scratch, "m.onnx");
        wire_save(onnx_model(g), path);
        mly_model *model = NULL;
        enum mly_status status = mly_model_load(path, NULL, &model, &err);
        if ((status == MLY_OK) != (cases[i].status == MLY_OK) ||
            (status != MLY_OK && !strstr(err.message, cases[i].fragment)))
            fail_msg("location '%s': %s %s", cases[i].location, mly_status_name(status),
                     err.message);
        if (cases[i].fragment[0] != '\0')
            assert_int_equal(status, cases[i].status);
        mly_model_destroy(model);
    }
}

/* --- the graph --- */

static void overridable_initialisers_become_constants_unless_kept(void **state)
{
    (void)state;
    struct wire g = onnx_chain_graph();
    wire_put(&g, GRAPH_INPUT, onnx_value("w", F32, "512"));
    mly_model *model = load(onnx_model(g));
    const struct mly_graph *graph = mly_model_graph(model);
    assert_int_equal(mly_model_input_count(model), 1);
    assert_int_equal(graph->tensors[mly_graph_find_tensor(graph, "w")].kind,
                     MLY_TENSOR_INITIALISER);
    mly_model_destroy(model);
    model = NULL;
    const struct mly_model_options options = {.keep_overridable = true};
    expect_ok(mly_model_load(scratch_path(scratch, "m.onnx"), &options, &model, &err), err);
    graph = mly_model_graph(model);
    assert_int_equal(mly_model_input_count(model), 2);
    assert_int_equal(graph->tensors[mly_graph_find_tensor(graph, "w")].kind, MLY_TENSOR_INPUT);
    mly_model_destroy(model);
}

static void nodes_are_put_in_order_and_stay_where_they_are_when_in_order(void **state)
{
    (void)state;
    struct wire g = {0};
    wire_put(&g, GRAPH_NODE, onnx_node("Add", "last", "p q", "y"));
    wire_put(&g, GRAPH_NODE, onnx_node("Relu", "left", "x", "p"));
    wire_put(&g, GRAPH_NODE, onnx_node("Relu", "right", "x", "q"));
    wire_put(&g, GRAPH_INPUT, onnx_value("x", F32, "4"));
    wire_put(&g, GRAPH_OUTPUT, onnx_value("y", F32, "4"));
    mly_model *model = load(onnx_model(g));
    const struct mly_graph *graph = mly_model_graph(model);
    assert_string_equal(graph->nodes[0].name, "left");
    assert_string_equal(graph->nodes[1].name, "right");
    assert_string_equal(graph->nodes[2].name, "last");
    const struct mly_graph_tensor *x = &graph->tensors[mly_graph_find_tensor(graph, "x")];
    assert_int_equal(x->consumer_count, 2);
    assert_int_equal(x->consumers[0], 0);
    assert_int_equal(x->consumers[1], 1);
    mly_model_destroy(model);
}

static void labels_are_unique_whatever_the_names(void **state)
{
    (void)state;
    struct wire g = {0};
    wire_put(&g, GRAPH_NODE, onnx_node("Relu", "same", "x", "p"));
    wire_put(&g, GRAPH_NODE, onnx_node("Relu", "same", "x", "q"));
    wire_put(&g, GRAPH_NODE, onnx_node("Relu", "", "x", "r"));
    wire_put(&g, GRAPH_NODE, onnx_node("Relu", "Relu_2", "x", "s"));
    wire_put(&g, GRAPH_NODE, onnx_node("Sum", "mine", "p q r s x x", "y"));
    wire_put(&g, GRAPH_INPUT, onnx_value("x", F32, "4"));
    wire_put(&g, GRAPH_OUTPUT, onnx_value("y", F32, "4"));
    mly_model *model = load(onnx_model(g));
    const struct mly_graph *graph = mly_model_graph(model);
    assert_string_equal(graph->nodes[4].label, "mine");
    assert_string_equal(graph->nodes[3].label, "Relu_2");
    for (uint32_t i = 0; i < 5; i++)
        for (uint32_t k = 0; k < i; k++)
            assert_string_not_equal(graph->nodes[i].label, graph->nodes[k].label);
    mly_model_destroy(model);
}

/* y = If(c) { Add(x, w) } else { Identity(x) }; the branch graph is given. */
static struct wire branch(const char *op, const char *inputs)
{
    struct wire g = {0};
    wire_put(&g, GRAPH_NODE, onnx_node(op, "", inputs, "inner"));
    wire_put(&g, GRAPH_OUTPUT, onnx_value("inner", F32, "512"));
    return g;
}

static struct wire conditional(const char *else_inputs)
{
    struct wire g = {0}, node = onnx_node("If", "choice", "c", "y");
    wire_put(&node, 5, onnx_attribute("then_branch", 6, 5, branch("Add", "x w")));
    wire_put(&node, 5, onnx_attribute("else_branch", 6, 5, branch("Identity", else_inputs)));
    wire_put(&g, GRAPH_NODE, node);
    wire_put(&g, GRAPH_INPUT, onnx_value("x", F32, "512"));
    wire_put(&g, GRAPH_INPUT, onnx_value("c", 9, ""));
    wire_put(&g, GRAPH_INITIALISER, onnx_raw_tensor("w", F32, "512", 2048, 7));
    wire_put(&g, GRAPH_OUTPUT, onnx_value("y", F32, "512"));
    return onnx_model(g);
}

static void sub_graphs_capture_what_they_use_from_outside(void **state)
{
    (void)state;
    mly_model *model = load(conditional("x"));
    const struct mly_graph *graph = mly_model_graph(model);
    assert_true(graph->nodes[0].has_subgraph);
    assert_int_equal(graph->nodes[0].captured_count, 2);
    assert_string_equal(graph->tensors[graph->nodes[0].captured[0]].name, "x");
    assert_string_equal(graph->tensors[graph->nodes[0].captured[1]].name, "w");
    assert_int_equal(graph->tensors[mly_graph_find_tensor(graph, "w")].consumer_count, 1);
    mly_model_destroy(model);
    refuse(conditional("ghost"), MLY_E_FORMAT, "sub-graph of node 'choice'");
}

/* --- batch and shapes --- */

static int64_t batch_of(const char *first, const char *second)
{
    struct wire g = {0};
    wire_put(&g, GRAPH_NODE, onnx_node("Add", "", "x z", "y"));
    wire_put(&g, GRAPH_INPUT, onnx_value("x", F32, first));
    wire_put(&g, GRAPH_INPUT, onnx_value("z", F32, second));
    wire_put(&g, GRAPH_OUTPUT, onnx_value("y", F32, NULL));
    mly_model *model = load(onnx_model(g));
    int64_t batch = mly_model_fixed_batch(model);
    mly_model_destroy(model);
    return batch;
}

static void the_batch_is_free_where_the_first_inputs_dimension_is(void **state)
{
    (void)state;
    assert_int_equal(batch_of("N 4", "N 4"), 0);
    assert_int_equal(batch_of("N 4", "1 4"), 0);
    assert_int_equal(batch_of("? 4", "? 4"), 0);
    assert_int_equal(batch_of("? 4", "2 4"), 1);
    assert_int_equal(batch_of("-1 4", "-1 4"), 0);
    assert_int_equal(batch_of("3 4", "N 4"), 3);
    assert_int_equal(batch_of("", "N 4"), 1);
    assert_int_equal(batch_of(NULL, "4"), 1);
}

static void shapes_are_bound_to_a_batch(void **state)
{
    (void)state;
    struct wire g = onnx_chain_graph();
    wire_put(&g, GRAPH_NODE, onnx_node("Foo", "", "x", "z"));
    wire_put(&g, GRAPH_VALUE_INFO, onnx_value("z", F32, "S N ?"));
    mly_model *model = load(onnx_model(g));
    const struct mly_graph *graph = mly_model_graph(model);
    struct mly_shape shapes[16];
    const uint32_t z = mly_graph_find_tensor(graph, "z");
    expect_ok(mly_graph_bind(model, 5, NULL, 0, shapes, &err), err);
    assert_int_equal(shapes[mly_graph_find_tensor(graph, "ta")].dims[0], 5);
    assert_int_equal(shapes[z].dims[0], -1);
    assert_int_equal(shapes[z].dims[1], 5);
    assert_int_equal(shapes[z].dims[2], -1);
    const struct mly_dim_binding binding = {"S", 9};
    expect_ok(mly_graph_bind(model, 5, &binding, 1, shapes, &err), err);
    assert_int_equal(shapes[z].dims[0], 9);
    expect_error(mly_graph_bind(model, 0, NULL, 0, shapes, &err), MLY_E_INVALID, err, "at least 1");
    struct mly_node_work work;
    mly_graph_node_work(graph, shapes, 1, &work);
    assert_true(work.known && work.flops == 5 * 512 && work.macs == 0 && work.parameters == 512 &&
                work.weight_bytes == 2048 && work.input_bytes == 5 * 2048 &&
                work.output_bytes == 5 * 2048);
    mly_graph_node_work(graph, shapes, 3, &work);
    assert_false(work.known);
    mly_model_destroy(model);
}

static void shapes_that_a_runtime_tells_are_added_and_the_files_own_stay(void **state)
{
    (void)state;
    struct wire g = {0};
    wire_put(&g, GRAPH_NODE, onnx_node("Relu", "", "x", "p"));
    wire_put(&g, GRAPH_NODE, onnx_node("Relu", "", "p", "q"));
    wire_put(&g, GRAPH_NODE, onnx_node("Relu", "", "q", "y"));
    wire_put(&g, GRAPH_INPUT, onnx_value("x", F32, "? 4"));
    wire_put(&g, GRAPH_OUTPUT, onnx_value("y", F32, "? 4"));
    mly_model *model = load(onnx_model(g));
    const struct mly_graph *graph = mly_model_graph(model);
    const struct mly_value_type types[] = {
        {.name = "p", .dtype = MLY_DTYPE_F32, .shape = {2, {-1, 4}}, .dim_names = {"motley_batch"}},
        {.name = "q", .is_sequence_or_optional = true},
        {.name = "x", .dtype = MLY_DTYPE_F32, .shape = {2, {7, 7}}},
        {.name = "y", .dtype = MLY_DTYPE_F32, .shape = {2, {-1, 8}}, .dim_names = {"motley_batch"}},
        {.name = "elsewhere", .dtype = MLY_DTYPE_F32, .shape = {0, {0}}},
    };
    void *onnx;
    size_t length;
    expect_ok(mly_value_types_pack(types, 5, &onnx, &length, &err), err);
    expect_ok(mly_model_add_shapes(model, onnx, length, &err), err);
    mly_free(onnx);
    struct mly_shape shapes[8];
    expect_ok(mly_graph_bind(model, 3, NULL, 0, shapes, &err), err);
    const uint32_t p = mly_graph_find_tensor(graph, "p");
    assert_int_equal(graph->tensors[p].dtype, MLY_DTYPE_F32);
    assert_int_equal(shapes[p].dims[0], 3);
    assert_int_equal(shapes[p].dims[1], 4);
    assert_true(graph->tensors[mly_graph_find_tensor(graph, "q")].is_sequence_or_optional);
    assert_int_equal(shapes[mly_graph_find_tensor(graph, "x")].dims[1], 4);
    const uint32_t y = mly_graph_find_tensor(graph, "y");
    assert_int_equal(shapes[y].dims[0], 3);
    assert_int_equal(shapes[y].dims[1], 4);
    expect_error(mly_model_add_shapes(model, "\x3b", 1, &err), MLY_E_FORMAT, err, "byte 0");
    mly_model_destroy(model);
}

/* --- identity --- */

static const char *hash_of(const char *path, bool keep_overridable)
{
    static char text[4][65];
    static unsigned next;
    const struct mly_model_options options = {.keep_overridable = keep_overridable};
    mly_model *model = NULL;
    const char *hash;
    expect_ok(mly_model_load(path, &options, &model, &err), err);
    expect_ok(mly_model_hash(model, &hash, &err), err);
    assert_int_equal(strlen(hash), 64);
    char *kept = memcpy(text[next++ % 4], hash, 65);
    mly_model_destroy(model);
    return kept;
}

static void the_hash_follows_content_and_options(void **state)
{
    (void)state;
    const char *one = scratch_path(scratch, "one.onnx"), *two = scratch_path(scratch, "two.onnx");
    wire_save(onnx_model(onnx_chain_graph()), one);
    wire_save(onnx_model(onnx_chain_graph()), two);
    assert_string_equal(hash_of(one, false), hash_of(two, false));
    assert_string_not_equal(hash_of(one, false), hash_of(one, true));
    struct wire g = onnx_chain_graph();
    wire_put(&g, GRAPH_INITIALISER, onnx_external_tensor("e", F32, "2", "h.bin", NULL, NULL));
    expect_ok(mly_file_write(scratch_path(scratch, "h.bin"), "12345678", 8, &err), err);
    wire_save(onnx_model(g), two);
    const char *before = hash_of(two, false);
    expect_ok(mly_file_write(scratch_path(scratch, "h.bin"), "12345679", 8, &err), err);
    assert_string_not_equal(before, hash_of(two, false));
}

static void the_hash_is_remembered_and_a_damaged_memo_ignored(void **state)
{
    (void)state;
    const char *memo = scratch_path(scratch, "cache/hashes/models.txt");
    const char *path = mnist_path();
    const char *hash = hash_of(path, false);
    char *text;
    size_t length;
    if (mly_file_read(memo, 1 << 20, &text, &length, &err) != MLY_OK)
        TEST_SKIP("the model file is too fresh for its hash to be kept");
    assert_int_equal(length, 130);
    text[128] = text[128] == '0' ? '1' : '0';
    expect_ok(mly_file_write(memo, text, length, &err), err);
    assert_string_not_equal(hash_of(path, false), hash); /* so it was read */
    text[64] = 'x';
    expect_ok(mly_file_write(memo, text, length, &err), err);
    assert_string_equal(hash_of(path, false), hash);
    mly_free(text);
}

/* --- memory --- */

static void every_failing_allocation_is_an_error_and_leaks_nothing(void **state)
{
    (void)state;
    const char *path = scratch_path(scratch, "m.onnx");
    const char *out = scratch_path(scratch, "saved.onnx");
    struct wire g = onnx_chain_graph(), node = onnx_node("If", "choice", "c", "z");
    wire_put(&node, 5, onnx_attribute("then_branch", 6, 5, branch("Add", "x w")));
    wire_put(&node, 5, onnx_attribute("else_branch", 6, 5, branch("Identity", "x")));
    wire_put(&g, GRAPH_NODE, node);
    wire_put(&g, GRAPH_INPUT, onnx_value("c", 9, ""));
    wire_put(&g, GRAPH_INITIALISER, onnx_external_tensor("e", F32, "2", "w.bin", NULL, NULL));
    wire_save(onnx_model(g), path);
    expect_ok(mly_file_write(scratch_path(scratch, "w.bin"), "12345678", 8, &err), err);
    const uint32_t nodes[] = {0, 1};
    bool done = false;
    uint64_t n = 1;
    for (; !done; n++) {
        mly_model *model = NULL;
        struct mly_segment segment = {0};
        struct mly_graph_totals totals;
        struct mly_shape shapes[32];
        char hash[65];
        err.message[0] = '\0';
        mly_alloc_fail_after(n);
        enum mly_status status = mly_model_load(path, NULL, &model, &err);
        if (status == MLY_OK)
            status = mly_segment_extract(model, nodes, 2, &segment, &err);
        if (status == MLY_OK)
            status = mly_graph_bind(model, 1, NULL, 0, shapes, &err);
        if (status == MLY_OK)
            status = mly_graph_totals(mly_model_graph(model), shapes, &totals, &err);
        if (status == MLY_OK)
            status = mly_segment_hash(model, &segment, hash, &err);
        if (status == MLY_OK)
            status = mly_segment_save(&segment, out, &err);
        mly_alloc_fail_after(0);
        if (status != MLY_OK && status != MLY_E_NO_MEMORY)
            fail_msg("allocation %llu: %s", (unsigned long long)n, err.message);
        assert_true(status == MLY_OK || err.message[0] != '\0');
        done = status == MLY_OK;
        mly_segment_fini(&segment);
        mly_model_destroy(model);
    }
    printf("# %llu allocations failed in turn\n", (unsigned long long)n - 2);
    assert_true(n > 50);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_real_model_loads_or_is_refused_with_its_reason),
        cmocka_unit_test(mnist_has_the_counts_worked_out_by_hand),
        cmocka_unit_test(a_truncated_file_is_an_error_never_a_crash),
        cmocka_unit_test(wrong_files_are_refused_with_position_or_name),
        cmocka_unit_test(wrong_graphs_are_refused_by_name),
        cmocka_unit_test(wrong_tensors_are_refused_by_name),
        cmocka_unit_test(deep_nesting_is_a_limit_not_a_stack_overflow),
        cmocka_unit_test(a_million_nodes_pass_the_limit_and_one_more_does_not),
        cmocka_unit_test(external_data_is_read_from_the_models_own_folder_only),
        cmocka_unit_test(overridable_initialisers_become_constants_unless_kept),
        cmocka_unit_test(nodes_are_put_in_order_and_stay_where_they_are_when_in_order),
        cmocka_unit_test(labels_are_unique_whatever_the_names),
        cmocka_unit_test(sub_graphs_capture_what_they_use_from_outside),
        cmocka_unit_test(the_batch_is_free_where_the_first_inputs_dimension_is),
        cmocka_unit_test(shapes_are_bound_to_a_batch),
        cmocka_unit_test(shapes_that_a_runtime_tells_are_added_and_the_files_own_stay),
        cmocka_unit_test(the_hash_follows_content_and_options),
        cmocka_unit_test(the_hash_is_remembered_and_a_damaged_memo_ignored),
        cmocka_unit_test(every_failing_allocation_is_an_error_and_leaks_nothing),
    };
    return cmocka_run_group_tests(tests, group_setup, group_teardown);
}

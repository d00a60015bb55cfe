/* Cutting models: convexity against brute force, segments that load again, what may not cross. */
#include <ftw.h>
#include <sys/stat.h>

#include "base/alloc.h"
#include "base/random.h"
#include "model/segment.h"
#include "test_model_rig.h"

/* Of segment_save.c: the limit given, so that a small model goes the way of one over 2 GB. */
enum mly_status mly__segment_save(const struct mly_segment *segment, const char *path,
                                  uint64_t inside_max_bytes, struct mly_error *err);

/* The serialised segment, as a file beside nothing: what it refers to is put in. */
static mly_model *reload(const struct mly_segment *segment)
{
    const char *path = scratch_path(scratch, "s.onnx");
    expect_ok(mly_segment_save(segment, path, &err), err);
    return open_model(path);
}

static bool contains(const uint32_t *list, uint32_t count, uint32_t item)
{
    for (uint32_t i = 0; i < count; i++)
        if (list[i] == item)
            return true;
    return false;
}

/* --- convexity --- */

/* Closure of "reaches", then the definition itself: no node outside lies between two inside. */
static bool convex_by_definition(bool reaches[8][8], unsigned count, unsigned set)
{
    for (unsigned middle = 0; middle < count; middle++) {
        bool from = false, to = false;
        for (unsigned i = 0; i < count; i++) {
            from = from || ((set >> i & 1) && reaches[i][middle]);
            to = to || ((set >> i & 1) && reaches[middle][i]);
        }
        if (from && to && !(set >> middle & 1))
            return false;
    }
    return true;
}

static void convexity_agrees_with_its_definition_on_all_subsets_of_small_graphs(void **state)
{
    (void)state;
    struct mly_random random;
    mly_random_init(&random, 7);
    unsigned convex = 0, not_convex = 0;
    for (unsigned round = 0; round < 60; round++) {
        const unsigned count = 2 + (unsigned)mly_random_below(&random, 7);
        bool reaches[8][8] = {{false}};
        struct wire g = {0};
        for (unsigned i = 0; i < count; i++) {
            char inputs[64] = "x", output[16];
            for (unsigned k = 0; k < i; k++)
                if (mly_random_below(&random, 3) == 0) {
                    snprintf(inputs + strlen(inputs), sizeof inputs - strlen(inputs), " t%u", k);
                    reaches[k][i] = true;
                }
            snprintf(output, sizeof output, "t%u", i);
            wire_put(&g, GRAPH_NODE, onnx_node("Sum", "", inputs, output));
            wire_put(&g, GRAPH_OUTPUT, onnx_value(output, F32, "4"));
        }
        wire_put(&g, GRAPH_INPUT, onnx_value("x", F32, "4"));
        for (unsigned k = 0; k < count; k++)
            for (unsigned i = 0; i < count; i++)
                for (unsigned j = 0; j < count; j++)
                    reaches[i][j] = reaches[i][j] || (reaches[i][k] && reaches[k][j]);
        mly_model *model = load(onnx_model(g));
        for (unsigned set = 1; set < 1u << count; set++) {
            uint32_t nodes[8], n = 0, leaving = 0, returning = 0;
            for (unsigned i = 0; i < count; i++)
                if (set >> i & 1)
                    nodes[n++] = i;
            const bool expected = convex_by_definition(reaches, count, set);
            assert_int_equal(
                mly_graph_is_convex(mly_model_graph(model), nodes, n, &leaving, &returning),
                expected);
            if (!expected)
                assert_true(contains(nodes, n, leaving) && contains(nodes, n, returning) &&
                            reaches[leaving][returning]);
            struct mly_segment segment = {0};
            enum mly_status status = mly_segment_extract(model, nodes, n, &segment, &err);
            assert_int_equal(status, expected ? MLY_OK : MLY_E_INVALID);
            mly_segment_fini(&segment);
            convex += expected;
            not_convex += !expected;
        }
        mly_model_destroy(model);
    }
    printf("# %u convex sets, %u others\n", convex, not_convex);
    assert_true(convex > 1000 && not_convex > 1000);
}

static void a_set_that_is_no_segment_is_refused_with_the_reason(void **state)
{
    (void)state;
    mly_model *model = load(onnx_model(onnx_chain_graph()));
    struct mly_segment segment = {0};
    const uint32_t hole[] = {0, 2}, falling[] = {1, 0}, far[] = {3};
    expect_error(mly_segment_extract(model, hole, 2, &segment, &err), MLY_E_INVALID, err,
                 "after 'a' and comes back at 'c'");
    expect_error(mly_segment_extract(model, hole, 0, &segment, &err), MLY_E_INVALID, err,
                 "at least one node");
    expect_error(mly_segment_extract(model, falling, 2, &segment, &err), MLY_E_INVALID, err,
                 "ascend");
    expect_error(mly_segment_extract(model, far, 1, &segment, &err), MLY_E_INVALID, err, "under 3");
    assert_false(mly_graph_is_convex(mly_model_graph(model), far, 1, NULL, NULL));
    mly_segment_fini(&segment);
    mly_segment_fini(NULL);
    mly_model_destroy(model);
}

/* --- what crosses --- */

static void tensors_that_cross_go_in_and_out(void **state)
{
    (void)state;
    mly_model *model = load(onnx_model(onnx_chain_graph()));
    const struct mly_graph *graph = mly_model_graph(model);
    struct mly_segment segment = {0};
    const uint32_t middle[] = {1};
    expect_ok(mly_segment_extract(model, middle, 1, &segment, &err), err);
    assert_int_equal(segment.input_count, 1);
    assert_string_equal(graph->tensors[segment.inputs[0]].name, "ta");
    assert_int_equal(segment.output_count, 1);
    assert_string_equal(graph->tensors[segment.outputs[0]].name, "tb");
    assert_int_equal(segment.region_count, 1);
    assert_true(segment.onnx_bytes < 1024); /* w has 2048 */
    mly_model *again = reload(&segment);
    const struct mly_graph *cut = mly_model_graph(again);
    assert_int_equal(cut->node_count, 1);
    assert_int_equal(cut->ir_version, 8);
    assert_string_equal(mly_model_input(again, 0)->name, "ta");
    assert_string_equal(mly_model_input(again, 0)->dim_names[0], "N");
    const uint32_t w = mly_graph_find_tensor(cut, "w");
    assert_int_equal(cut->tensors[w].weight_bytes, 2048);
    mly_model_destroy(again);
    mly_segment_fini(&segment);
    mly_model_destroy(model);
}

static void what_cannot_cross_is_refused_by_name(void **state)
{
    (void)state;
    struct wire g = {0};
    wire_put(&g, GRAPH_NODE, onnx_node("SequenceConstruct", "pack", "x", "seq"));
    wire_put(&g, GRAPH_NODE, onnx_node("ConcatFromSequence", "unpack", "seq", "t"));
    wire_put(&g, GRAPH_NODE, onnx_node("Relu", "end", "t", "y"));
    wire_put(&g, GRAPH_INPUT, onnx_value("x", F32, "4"));
    wire_put(&g, GRAPH_OUTPUT, onnx_value("y", F32, "4"));
    mly_model *model = load(onnx_model(g));
    struct mly_segment segment = {0};
    const uint32_t first[] = {0}, two[] = {0, 1};
    expect_error(mly_segment_extract(model, first, 1, &segment, &err), MLY_E_INVALID, err,
                 "'seq' cannot cross");
    expect_error(mly_segment_extract(model, two, 2, &segment, &err), MLY_E_UNSUPPORTED, err,
                 "type of tensor 't' is not known");
    expect_ok(mly_segment_whole(model, &segment, &err), err);
    mly_segment_fini(&segment);
    mly_model_destroy(model);
}

static void outputs_that_no_node_makes_belong_to_exactly_one_segment(void **state)
{
    (void)state;
    struct wire g = onnx_chain_graph();
    wire_put(&g, GRAPH_OUTPUT, onnx_value("w", F32, "512"));
    wire_put(&g, GRAPH_OUTPUT, onnx_value("x", F32, "N 512"));
    wire_put(&g, GRAPH_INITIALISER, onnx_raw_tensor("alone", F32, "2", 8, 3));
    wire_put(&g, GRAPH_OUTPUT, onnx_value("alone", F32, "2"));
    mly_model *model = load(onnx_model(g));
    const struct mly_graph *graph = mly_model_graph(model);
    unsigned given[16] = {0};
    for (uint32_t node = 0; node < 3; node++) {
        struct mly_segment segment = {0};
        expect_ok(mly_segment_extract(model, &node, 1, &segment, &err), err);
        for (uint32_t i = 0; i < segment.output_count; i++)
            given[segment.outputs[i]]++;
        mly_model_destroy(reload(&segment));
        mly_segment_fini(&segment);
    }
    for (uint32_t i = 0; i < graph->output_count; i++)
        assert_int_equal(given[graph->outputs[i]], 1);
    mly_model_destroy(model);
}

static void a_large_constant_node_is_written_as_an_initialiser(void **state)
{
    (void)state;
    struct wire g = onnx_chain_graph(), node = onnx_node("Constant", "k", "", "kt");
    wire_put(&node, 5, onnx_attribute("value", 5, 4, onnx_raw_tensor("", F32, "512", 2048, 9)));
    wire_put(&g, GRAPH_NODE, node);
    wire_put(&g, GRAPH_NODE, onnx_node("Add", "", "kt x", "z"));
    wire_put(&g, GRAPH_OUTPUT, onnx_value("z", F32, "N 512"));
    mly_model *model = load(onnx_model(g));
    struct mly_segment segment = {0};
    expect_ok(mly_segment_whole(model, &segment, &err), err);
    assert_true(segment.onnx_bytes < 1500);
    mly_model *again = reload(&segment);
    const struct mly_graph *graph = mly_model_graph(again);
    assert_int_equal(graph->node_count, 4);
    assert_int_equal(graph->tensors[mly_graph_find_tensor(graph, "kt")].kind,
                     MLY_TENSOR_INITIALISER);
    mly_model_destroy(again);
    mly_segment_fini(&segment);
    const uint32_t alone[] = {3}; /* the Constant itself: a graph without nodes would be none */
    const uint32_t index = mly_graph_find_tensor(mly_model_graph(model), "kt");
    assert_int_equal(mly_model_graph(model)->tensors[index].producer, 3);
    expect_ok(mly_segment_extract(model, alone, 1, &segment, &err), err);
    mly_model_destroy(reload(&segment));
    mly_segment_fini(&segment);
    mly_model_destroy(model);
}

static void a_constant_node_is_copied_to_the_segments_that_read_it(void **state)
{
    (void)state;
    struct wire g = {0}, node = onnx_node("Constant", "k", "", "kt");
    wire_put(&node, 5, onnx_attribute("value", 5, 4, onnx_raw_tensor("", F32, "4", 16, 9)));
    wire_put(&g, GRAPH_NODE, node);
    wire_put(&g, GRAPH_NODE, onnx_node("Add", "one", "x kt", "t"));
    wire_put(&g, GRAPH_NODE, onnx_node("Add", "two", "t kt", "y"));
    wire_put(&g, GRAPH_INPUT, onnx_value("x", F32, "4"));
    wire_put(&g, GRAPH_OUTPUT, onnx_value("y", F32, "4"));
    wire_put(&g, GRAPH_VALUE_INFO, onnx_value("t", F32, "4"));
    mly_model *model = load(onnx_model(g));
    const uint32_t first[] = {0, 1}, second[] = {2}, constant[] = {0};
    struct mly_segment segment = {0};
    expect_ok(mly_segment_extract(model, first, 2, &segment, &err), err);
    assert_int_equal(segment.output_count, 1);
    mly_segment_fini(&segment);
    expect_ok(mly_segment_extract(model, second, 1, &segment, &err), err);
    assert_int_equal(segment.input_count, 1);
    assert_int_equal(segment.node_count, 1);
    mly_model *again = reload(&segment);
    assert_int_equal(mly_model_graph(again)->node_count, 2);
    mly_model_destroy(again);
    mly_segment_fini(&segment);
    expect_ok(mly_segment_extract(model, constant, 1, &segment, &err), err);
    assert_int_equal(segment.output_count, 1);
    mly_model_destroy(reload(&segment));
    mly_segment_fini(&segment);
    mly_model_destroy(model);
}

static void fields_newer_than_our_schema_survive(void **state)
{
    (void)state;
    struct wire g = onnx_chain_graph(), w;
    wire_text(&g, 900, "future-graph-field");
    w = onnx_model(g);
    wire_text(&w, 901, "future-model-field");
    wire_put(&w, 14, onnx_entry("author", "somebody"));
    mly_model *model = load(w);
    struct mly_segment segment = {0};
    expect_ok(mly_segment_whole(model, &segment, &err), err);
    assert_non_null(memmem(segment.onnx, segment.onnx_bytes, "future-graph-field", 18));
    assert_non_null(memmem(segment.onnx, segment.onnx_bytes, "future-model-field", 18));
    assert_non_null(memmem(segment.onnx, segment.onnx_bytes, "somebody", 8));
    mly_segment_fini(&segment);
    mly_model_destroy(model);
}

static void a_model_too_large_for_one_message_is_saved_with_its_weights_beside(void **state)
{
    (void)state;
    mly_model *model = load(onnx_model(onnx_chain_graph()));
    struct mly_segment segment = {0};
    expect_ok(mly_segment_whole(model, &segment, &err), err);
    const char *path = scratch_path(scratch, "big.onnx");
    expect_ok(mly__segment_save(&segment, path, 1000, &err), err);
    char *bytes;
    size_t length;
    expect_ok(mly_file_read(scratch_path(scratch, "big.onnx.data"), 1 << 20, &bytes, &length, &err),
              err);
    assert_int_equal(length, 2048);
    for (size_t i = 0; i < length; i++)
        assert_int_equal((uint8_t)bytes[i], (uint8_t)(1 + i));
    mly_free(bytes);
    mly_model *again = open_model(path);
    assert_int_equal(mly_model_graph(again)
                         ->tensors[mly_graph_find_tensor(mly_model_graph(again), "w")]
                         .weight_bytes,
                     2048);
    mly_model_destroy(again);
    expect_error(mly_segment_save(&segment, scratch_path(scratch, "no/such/folder.onnx"), &err),
                 MLY_E_NOT_FOUND, err, "folder.onnx");
    mly_segment_fini(&segment);
    mly_model_destroy(model);
}

static void the_hash_tells_node_sets_apart(void **state)
{
    (void)state;
    mly_model *model = load(onnx_model(onnx_chain_graph()));
    char hashes[3][65];
    for (uint32_t i = 0; i < 3; i++) {
        const uint32_t nodes[] = {0, 1, 2};
        struct mly_segment segment = {0};
        expect_ok(mly_segment_extract(model, nodes, i + 1, &segment, &err), err);
        expect_ok(mly_segment_hash(model, &segment, hashes[i], &err), err);
        mly_segment_fini(&segment);
    }
    assert_string_not_equal(hashes[0], hashes[1]);
    assert_string_not_equal(hashes[1], hashes[2]);
    mly_model_destroy(model);
}

/* --- real models --- */

static void same_tensors(const struct mly_graph *before, const struct mly_graph *after)
{
    for (uint32_t i = 0; i < before->tensor_count; i++) {
        const struct mly_graph_tensor *a = &before->tensors[i];
        const uint32_t index = mly_graph_find_tensor(after, a->name);
        if (index == MLY_NO_INDEX)
            fail_msg("tensor '%s' is gone", a->name);
        const struct mly_graph_tensor *b = &after->tensors[index];
        if (a->dtype != b->dtype || !mly_shape_equal(&a->shape, &b->shape) ||
            a->is_output != b->is_output || a->consumer_count != b->consumer_count ||
            (a->kind != b->kind && b->kind != MLY_TENSOR_INITIALISER))
            fail_msg("tensor '%s' changed", a->name);
    }
    assert_int_equal(before->input_count, after->input_count);
    for (uint32_t i = 0; i < before->input_count; i++)
        assert_string_equal(before->tensors[before->inputs[i]].name,
                            after->tensors[after->inputs[i]].name);
    assert_int_equal(before->output_count, after->output_count);
    for (uint32_t i = 0; i < before->output_count; i++)
        assert_string_equal(before->tensors[before->outputs[i]].name,
                            after->tensors[after->outputs[i]].name);
}

static unsigned models, cuts, unknown_types;
static struct mly_random cut_random;

/* Cuts in the topological order and, within a piece, what depends on a random node of it. */
static void cut_at_random(const mly_model *model, const char *path)
{
    const struct mly_graph *graph = mly_model_graph(model);
    uint32_t *nodes = malloc(graph->node_count * sizeof *nodes);
    bool *late = calloc(graph->node_count, sizeof *late);
    assert_true(nodes && late);
    const uint32_t pivot = (uint32_t)mly_random_below(&cut_random, graph->node_count);
    late[pivot] = true;
    for (uint32_t i = pivot; i < graph->node_count; i++)
        for (uint32_t k = 0; late[i] && k < graph->nodes[i].output_count; k++) {
            const uint32_t tensor = graph->nodes[i].outputs[k];
            for (uint32_t c = 0;
                 tensor != MLY_NO_INDEX && c < graph->tensors[tensor].consumer_count; c++)
                late[graph->tensors[tensor].consumers[c]] = true;
        }
    for (unsigned part = 0; part < 2; part++) {
        uint32_t count = 0;
        for (uint32_t i = 0; i < graph->node_count; i++)
            if (late[i] == (part == 1))
                nodes[count++] = i;
        if (count == 0)
            continue;
        assert_true(mly_graph_is_convex(graph, nodes, count, NULL, NULL));
        struct mly_segment segment = {0};
        enum mly_status status = mly_segment_extract(model, nodes, count, &segment, &err);
        if (status != MLY_OK) {
            if (!strstr(err.message, "is not known") && !strstr(err.message, "cannot cross") &&
                !strstr(err.message, "nothing needs"))
                fail_msg("%s: %s", path, err.message);
            unknown_types++;
            continue;
        }
        cuts++;
        mly_model *again = reload(&segment);
        const struct mly_graph *piece = mly_model_graph(again);
        assert_true(piece->node_count > 0);
        assert_int_equal(piece->input_count, segment.input_count);
        assert_int_equal(piece->output_count, segment.output_count);
        for (uint32_t i = 0; i < segment.input_count; i++)
            assert_string_equal(mly_model_input(again, i)->name,
                                graph->tensors[segment.inputs[i]].name);
        for (uint32_t i = 0; i < segment.output_count; i++)
            assert_string_equal(mly_model_output(again, i)->name,
                                graph->tensors[segment.outputs[i]].name);
        mly_model_destroy(again);
        mly_segment_fini(&segment);
    }
    free(nodes);
    free(late);
}

static int visit_model(const char *path, const struct stat *info, int type, struct FTW *where)
{
    (void)info;
    (void)where;
    size_t length = strlen(path);
    mly_model *model = NULL;
    if (type != FTW_F || length < 5 || strcmp(path + length - 5, ".onnx") != 0 ||
        mly_model_load(path, NULL, &model, NULL) != MLY_OK)
        return 0;
    models++;
    struct mly_segment segment = {0};
    expect_ok(mly_segment_whole(model, &segment, &err), err);
    mly_model *again = reload(&segment);
    same_tensors(mly_model_graph(model), mly_model_graph(again));
    mly_model_destroy(again);
    mly_segment_fini(&segment);
    if (models % 4 == 0)
        cut_at_random(model, path);
    mly_model_destroy(model);
    return 0;
}

static void every_real_model_survives_the_round_trip_and_random_cuts(void **state)
{
    (void)state;
    const char *data = test_env("MOTLEY_SHARED_DATA");
    if (access(data, R_OK) != 0)
        TEST_SKIP("no test data at %s", data);
    mly_random_init(&cut_random, 3);
    models = cuts = unknown_types = 0;
    assert_int_equal(nftw(data, visit_model, 16, FTW_PHYS), 0);
    printf("# %u models; %u segments cut and read back, %u refused for types or sequences\n",
           models, cuts, unknown_types);
    assert_true(models > 200);
}

static void the_observed_model_gives_every_tensor_out(void **state)
{
    (void)state;
    mly_model *model = load(onnx_model(onnx_chain_graph()));
    struct mly_segment segment = {0};
    expect_ok(mly_segment_observed(model, &segment, &err), err);
    assert_int_equal(segment.output_count, 3);
    assert_string_equal(mly_model_graph(model)->tensors[segment.outputs[0]].name, "y");
    mly_model *again = reload(&segment);
    assert_int_equal(mly_model_output_count(again), 3);
    mly_model_destroy(again);
    mly_segment_fini(&segment);
    mly_model_destroy(model);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(convexity_agrees_with_its_definition_on_all_subsets_of_small_graphs),
        cmocka_unit_test(a_set_that_is_no_segment_is_refused_with_the_reason),
        cmocka_unit_test(tensors_that_cross_go_in_and_out),
        cmocka_unit_test(what_cannot_cross_is_refused_by_name),
        cmocka_unit_test(outputs_that_no_node_makes_belong_to_exactly_one_segment),
        cmocka_unit_test(a_large_constant_node_is_written_as_an_initialiser),
        cmocka_unit_test(a_constant_node_is_copied_to_the_segments_that_read_it),
        cmocka_unit_test(fields_newer_than_our_schema_survive),
        cmocka_unit_test(a_model_too_large_for_one_message_is_saved_with_its_weights_beside),
        cmocka_unit_test(the_hash_tells_node_sets_apart),
        cmocka_unit_test(every_real_model_survives_the_round_trip_and_random_cuts),
        cmocka_unit_test(the_observed_model_gives_every_tensor_out),
    };
    return cmocka_run_group_tests(tests, group_setup, group_teardown);
}

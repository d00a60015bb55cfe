/* Names and places in the models that a runtime writes. */
#include <inttypes.h>

#include "base/alloc.h"
#include "model/onnx_external.h"
#include "model/onnx_nodes.h"
#include "unit/test_model_wire.h"

static struct mly_error err;

/* One node, and weights a and b in files of those names; packed may be NULL. */
static struct wire make_model(const char *file_a, const char *offset_a, const char *file_b,
                              const char *offset_b, const char *packed)
{
    struct wire graph = {0};
    struct wire a = onnx_external_tensor("a", F32, "257", file_a, offset_a, "1028");
    if (packed)
        wire_put(&a, 13, onnx_entry("prepacked_0", packed));
    wire_put(&graph, GRAPH_NODE, onnx_node("Add", "sum", "a b", "y"));
    wire_put(&graph, GRAPH_NODE, onnx_node("Relu", "", "y", "z"));
    wire_put(&graph, GRAPH_INITIALISER, a);
    wire_put(&graph, GRAPH_INITIALISER,
             onnx_external_tensor("b", F32, "257", file_b, offset_b, "1028"));
    wire_put(&graph, GRAPH_INITIALISER, onnx_raw_tensor("inside", F32, "300", 1200, 7));
    wire_put(&graph, GRAPH_OUTPUT, onnx_value("z", F32, "257"));
    return onnx_model(graph);
}

static bool holds(const void *bytes, size_t length, const char *text)
{
    return memmem(bytes, length, text, strlen(text)) != NULL;
}

static void reads_names_of_nodes(void **state)
{
    (void)state;
    struct mly_onnx_nodes nodes = {0};
    struct wire model = make_model("w", "0", "w", "1028", NULL);
    expect_ok(mly_onnx_nodes_read(model.data, model.length, &nodes, &err), err);
    assert_int_equal(nodes.count, 2);
    assert_string_equal(nodes.items[0].name, "sum");
    assert_string_equal(nodes.items[0].op_type, "Add");
    assert_string_equal(nodes.items[0].domain, "");
    assert_int_equal(nodes.items[0].input_count, 2);
    assert_string_equal(nodes.items[0].inputs[1], "b");
    assert_string_equal(nodes.items[1].name, "");
    assert_string_equal(nodes.items[1].outputs[0], "z");
    mly_onnx_nodes_fini(&nodes);
    expect_error(mly_onnx_nodes_read("\377\377\377", 3, &nodes, &err), MLY_E_FORMAT, err, "byte");
    mly_onnx_nodes_fini(&nodes);
    wire_drop(&model);
}

static void leaves_aligned_data_alone(void **state)
{
    (void)state;
    struct mly_onnx_layout layout = {0};
    struct wire model = make_model("w", "0", "w", "1088", "K|2176;640;0|2816;64;0");
    expect_ok(mly_onnx_layout_align(model.data, model.length, 64, &layout, &err), err);
    assert_true(layout.is_aligned);
    assert_null(layout.onnx);
    mly_onnx_layout_fini(&layout);
    wire_drop(&model);
}

static void aligns_every_piece_and_keeps_the_rest(void **state)
{
    (void)state;
    struct mly_onnx_layout layout = {0};
    struct mly_onnx_nodes nodes = {0};
    struct wire model = make_model("w", "0", "w", "1028", "K|2056;640;0|2696;60;9");
    expect_ok(mly_onnx_layout_align(model.data, model.length, 64, &layout, &err), err);
    assert_false(layout.is_aligned);
    static const struct mly_onnx_move wanted[] = {
        {0, 0, 1028}, {1028, 1088, 1028}, {2056, 2176, 640}, {2696, 2816, 60}};
    assert_int_equal(layout.move_count, 4);
    for (size_t i = 0; i < 4; i++) {
        assert_int_equal(layout.moves[i].from, wanted[i].from);
        assert_int_equal(layout.moves[i].to, wanted[i].to);
        assert_int_equal(layout.moves[i].length, wanted[i].length);
    }
    assert_true(holds(layout.onnx, layout.onnx_bytes, "K|2176;640;0|2816;60;9"));
    assert_true(holds(layout.onnx, layout.onnx_bytes, "1088"));
    expect_ok(mly_onnx_nodes_read(layout.onnx, layout.onnx_bytes, &nodes, &err), err);
    assert_int_equal(nodes.count, 2);
    mly_onnx_nodes_fini(&nodes);
    /* Data inside the model is still there, and the new layout is one that stays. */
    uint8_t inside[1200];
    for (size_t i = 0; i < sizeof inside; i++)
        inside[i] = (uint8_t)(7 + i);
    assert_non_null(memmem(layout.onnx, layout.onnx_bytes, inside, sizeof inside));
    struct mly_onnx_layout again = {0};
    expect_ok(mly_onnx_layout_align(layout.onnx, layout.onnx_bytes, 64, &again, &err), err);
    assert_true(again.is_aligned);
    mly_onnx_layout_fini(&layout);
    wire_drop(&model);
}

static void pieces_that_are_shared_move_once(void **state)
{
    (void)state;
    struct mly_onnx_layout layout = {0};
    struct wire model = make_model("w", "4", "w", "4", NULL);
    expect_ok(mly_onnx_layout_align(model.data, model.length, 64, &layout, &err), err);
    assert_int_equal(layout.move_count, 1);
    assert_int_equal(layout.moves[0].from, 4);
    assert_int_equal(layout.moves[0].to, 0);
    mly_onnx_layout_fini(&layout);
    wire_drop(&model);
}

static void refuse(struct wire model, enum mly_status status, const char *fragment)
{
    struct mly_onnx_layout layout = {0};
    expect_error(mly_onnx_layout_align(model.data, model.length, 64, &layout, &err), status, err,
                 fragment);
    assert_null(layout.onnx);
    wire_drop(&model);
}

static void refuses_what_it_cannot_place(void **state)
{
    (void)state;
    refuse(make_model("w", "0", "v", "1028", NULL), MLY_E_UNSUPPORTED, "several files");
    refuse(make_model("w", "here", "w", "1028", NULL), MLY_E_FORMAT, "'a'");
    refuse(make_model("w", "0", "w", "1028", "K"), MLY_E_FORMAT, "'K'");
    refuse(make_model("w", "0", "w", "1028", "K|12"), MLY_E_FORMAT, "'K|12'");
    refuse(make_model("w", "0", "w", "1028", "K|1;2;3|x"), MLY_E_FORMAT, "'a'");
}

static void survives_every_failed_allocation(void **state)
{
    (void)state;
    struct wire model = make_model("w", "0", "w", "1028", "K|2056;640;0|2696;60;9");
    for (uint64_t n = 1, failed = 1; failed; n++) {
        struct mly_onnx_layout layout = {0};
        struct mly_onnx_nodes nodes = {0};
        const uint64_t before = mly_alloc_count();
        mly_alloc_fail_once(n);
        const enum mly_status first =
            mly_onnx_layout_align(model.data, model.length, 64, &layout, &err);
        const enum mly_status second = mly_onnx_nodes_read(model.data, model.length, &nodes, &err);
        mly_alloc_fail_once(0);
        failed = mly_alloc_count() - before >= n;
        assert_true(first == MLY_OK || first == MLY_E_NO_MEMORY);
        assert_true(second == MLY_OK || second == MLY_E_NO_MEMORY);
        assert_true(!failed || first != MLY_OK || second != MLY_OK);
        mly_onnx_layout_fini(&layout);
        mly_onnx_nodes_fini(&nodes);
    }
    wire_drop(&model);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_names_of_nodes),
        cmocka_unit_test(leaves_aligned_data_alone),
        cmocka_unit_test(aligns_every_piece_and_keeps_the_rest),
        cmocka_unit_test(pieces_that_are_shared_move_once),
        cmocka_unit_test(refuses_what_it_cannot_place),
        cmocka_unit_test(survives_every_failed_allocation),
    };
    return cmocka_run_group_tests_name("models that a runtime writes", tests, NULL, NULL);
}

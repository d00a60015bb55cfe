/* Modelled costs: what crosses, what is kept, what a device refuses; sums, batches and faults. */
#include <math.h>

#include "base/alloc.h"
#include "cost/modelled.h"
#include "device/modelled.h"
#include "support/hollow.h"
#include "test_model_wire.h"

static char *scratch;
static struct mly_error err;

static int setup(void **state)
{
    (void)state;
    scratch = scratch_create();
    return unsetenv("MOTLEY_DEVICES");
}

static int teardown(void **state)
{
    (void)state;
    scratch_remove(scratch);
    return 0;
}

static const struct mly_device_model *device(const char *name)
{
    const struct mly_device_model *found = mly_device_model_find(name);
    assert_non_null(found);
    return found;
}

static mly_model *load(struct wire w)
{
    mly_model *model = NULL;
    const char *path = scratch_path(scratch, "m.onnx");
    wire_save(w, path);
    expect_ok(mly_model_load(path, NULL, &model, &err), err);
    return model;
}

static mly_modelled *modelled_on(const struct mly_device_model *on, const mly_model *model,
                                 uint32_t batch)
{
    mly_modelled *modelled = NULL;
    expect_ok(mly_modelled_create(on, model, batch, NULL, 0, &modelled, &err), err);
    return modelled;
}

static struct mly_modelled_cost cost(const mly_modelled *modelled, const uint32_t *nodes,
                                     uint32_t count)
{
    struct mly_modelled_cost out;
    expect_ok(mly_modelled_segment(modelled, nodes, count, &out, &err), err);
    return out;
}

static struct mly_modelled_cost whole(const char *name, const char *on, uint32_t batch)
{
    mly_model *model = hollow_network(name);
    mly_modelled *modelled = modelled_on(device(on), model, batch);
    struct mly_modelled_cost out = cost(modelled, NULL, 0);
    mly_modelled_destroy(modelled);
    mly_model_destroy(model);
    return out;
}

static void expect_near(double a, double b)
{
    if (fabs(a - b) > 1e-9 * fmax(fabs(a), fabs(b)))
        fail_msg("%.17g is not %.17g", a, b);
}

/* --- what crosses --- */

static void what_crosses_is_counted_once(void **state)
{
    (void)state;
    mly_model *model = hollow_network("edge-conv-64");
    mly_modelled *real = modelled_on(device("roofline"), model, 2),
                 *edge = modelled_on(device("edgetpu-pcie"), model, 2);
    struct mly_modelled_cost a = cost(real, NULL, 0), b = cost(edge, NULL, 0);
    expect_near(a.input_bytes, 2 * 3 * 64 * 64 * 4.0);
    expect_near(a.output_bytes, 2 * 64 * 64 * 64 * 4.0);
    expect_near(b.input_bytes, 2 * 3 * 64 * 64.0); /* as if quantised */
    expect_near(b.output_bytes, 2 * 64 * 64 * 64.0);
    /* of a segment in the middle: one tensor in, one out */
    const uint32_t middle[] = {2, 3};
    struct mly_modelled_cost c = cost(real, middle, 2);
    expect_near(c.input_bytes, a.output_bytes);
    expect_near(c.output_bytes, a.output_bytes);
    expect_near(c.activation_bytes, 2 * a.output_bytes);
    expect_near(c.weight_bytes, (64 * 64 * 9 + 64) * 4.0);
    mly_modelled_destroy(real);
    mly_modelled_destroy(edge);
    mly_model_destroy(model);
}

static void links_take_a_latency_and_their_bytes(void **state)
{
    (void)state;
    const struct mly_device_link link = {.latency_ns = 1000, .bytes_per_s = 1e9};
    expect_near(mly_device_link_ns(&link, 500), 1500);
    assert_true(mly_device_link_ns(&link, 0) == 0);
    struct mly_modelled_cost c = whole("edge-fc-100", "p100", 1);
    expect_near(c.input_ns, mly_device_link_ns(&device("p100")->to_device, c.input_bytes));
    expect_near(c.output_ns, mly_device_link_ns(&device("p100")->to_host, c.output_bytes));
}

/* Residual networks read a tensor twice, far apart: it lives that long, and crosses once. */
static void parts_make_the_whole(void **state)
{
    (void)state;
    static const char *const devices[] = {"p100", "edgetpu-pcie", "roofline"};
    mly_model *model = hollow_network("resnet18");
    const struct mly_graph *graph = mly_model_graph(model);
    for (size_t d = 0; d < 3; d++) {
        mly_modelled *modelled = modelled_on(device(devices[d]), model, 1);
        struct mly_modelled_cost all = cost(modelled, NULL, 0);
        uint32_t *nodes = calloc(graph->node_count, sizeof *nodes);
        double weights = 0, macs = 0;
        assert_non_null(nodes);
        for (uint32_t i = 0; i < graph->node_count; i++) {
            nodes[i] = i;
            struct mly_modelled_cost one = cost(modelled, &nodes[i], 1);
            weights += one.weight_bytes;
            macs += one.macs;
            assert_true(one.execution_ns > 0 && one.activation_bytes <= all.activation_bytes);
        }
        expect_near(weights, all.weight_bytes);
        expect_near(macs, all.macs);
        struct mly_modelled_cost listed = cost(modelled, nodes, graph->node_count);
        assert_memory_equal(&listed, &all, sizeof all);
        for (uint32_t k = 1; k < graph->node_count; k += 7) {
            struct mly_modelled_cost a = cost(modelled, nodes, k),
                                     b = cost(modelled, nodes + k, graph->node_count - k);
            expect_near(a.weight_bytes + b.weight_bytes, all.weight_bytes);
            expect_near(a.output_bytes, b.input_bytes);
            expect_near(a.input_bytes, all.input_bytes);
            expect_near(b.output_bytes, all.output_bytes);
        }
        free(nodes);
        mly_modelled_destroy(modelled);
    }
    mly_model_destroy(model);
}

/* --- families --- */

static void a_larger_network_takes_longer(void **state)
{
    (void)state;
    static const char *const on[] = {"edgetpu-pcie", "edgetpu-usb2", "p100", "raspberry-pi-4"};
    for (size_t d = 0; d < sizeof on / sizeof *on; d++) {
        struct mly_modelled_cost last = {0};
        for (int n = 64; n <= 4096; n *= 2) {
            char name[32];
            snprintf(name, sizeof name, "edge-fc-%d", n);
            struct mly_modelled_cost c = whole(name, on[d], 1);
            assert_true(c.execution_ns > last.execution_ns && c.macs > last.macs);
            expect_near(c.energy_j,
                        (device(on[d])->active_w - device(on[d])->idle_w) * c.execution_ns * 1e-9);
            last = c;
        }
    }
}

static void an_edge_tpu_computes_one_sample_at_a_time(void **state)
{
    (void)state;
    struct mly_modelled_cost one = whole("edge-conv-522", "edgetpu-pcie", 1),
                             four = whole("edge-conv-522", "edgetpu-pcie", 4);
    expect_near(four.execution_ns, 4 * one.execution_ns);
    expect_near(four.weight_bytes, one.weight_bytes);
    expect_near(four.on_chip_bytes, one.on_chip_bytes);
    expect_near(four.first_ns, one.first_ns);
    expect_near(four.activation_bytes, one.activation_bytes);
    expect_near(one.weight_bytes, one.on_chip_bytes + one.off_chip_bytes);
    assert_true(one.off_chip_bytes > 0);
}

static void others_gain_by_batches(void **state)
{
    (void)state;
    struct mly_modelled_cost one = whole("resnet50", "p100", 1),
                             many = whole("resnet50", "p100", 32);
    assert_true(many.execution_ns > one.execution_ns);
    assert_true(many.execution_ns < 0.7 * 32 * one.execution_ns);
}

/* A runtime's half precision: half the bytes, the rate of that type; what crosses stays as the model has it. */
static void floats_may_be_computed_in_fewer_bits(void **state)
{
    (void)state;
    mly_model *model = hollow_network("vgg16");
    struct mly_device_model half = *device("roofline");
    half.float_bits = 16;
    mly_modelled *plain = modelled_on(device("roofline"), model, 1),
                 *halved = modelled_on(&half, model, 1);
    struct mly_modelled_cost a = cost(plain, NULL, 0), b = cost(halved, NULL, 0);
    expect_near(b.weight_bytes, a.weight_bytes / 2);
    expect_near(b.input_bytes, a.input_bytes);
    expect_near(b.macs, a.macs);
    const double fixed = half.launch_ns,
                 ratio = (b.execution_ns - fixed) / (a.execution_ns - fixed);
    assert_true(ratio > 0.5 && ratio < 0.52); /* node_ns stays */
    mly_modelled_destroy(plain);
    mly_modelled_destroy(halved);
    mly_model_destroy(model);
}

/*
 * Five 3x3 convolutions of 64x64: a tile holds 16x16 of each channel, 18x18 with the borders. Up to 300 channels input and
 * result lie there with them, up to 380 without, and beyond not at all.
 */
static void activations_that_outgrow_the_tiles_are_moved_again(void **state)
{
    (void)state;
    static const struct {
        int filters, times;
    } rows[] = {{300, 1}, {304, 2}, {380, 2}, {384, 3}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char name[32];
        const double f = rows[i].filters, positions = 64 * 64;
        const struct mly_device_model *tpu = device("edgetpu-pcie");
        snprintf(name, sizeof name, "edge-conv-%d", rows[i].filters);
        struct mly_modelled_cost c = whole(name, "edgetpu-pcie", 1);
        double products = positions * 9 * (4 + 4 * f) * ceil(f / 64) * 64;
        double moved = positions * ((3 + f) + 4 * rows[i].times * 2 * f);
        expect_near(c.execution_ns, tpu->launch_ns + products / tpu->edgetpu.conv_macs_per_s * 1e9 +
                                        moved / tpu->edgetpu.activation_bytes_per_s * 1e9);
    }
}

/* Spilling takes whole layers, the largest, and no more than it must. */
static void whole_layers_are_streamed(void **state)
{
    (void)state;
    struct mly_modelled_cost fits = whole("edge-fc-1580", "edgetpu-pcie", 1),
                             spills = whole("edge-fc-1620", "edgetpu-pcie", 1);
    assert_true(fits.off_chip_bytes == 0 && spills.off_chip_bytes > 0);
    expect_near(spills.off_chip_bytes, 1620 * 64 * ceil(1620 / 64.0));
    assert_true(spills.execution_ns > 20 * fits.execution_ns);
    /* weights that stay are loaded once */
    assert_true(fits.first_ns > spills.first_ns);
}

/* --- what cannot be computed --- */

static void an_edge_tpu_names_what_it_cannot_compute(void **state)
{
    (void)state;
    struct mly_modelled_cost out;
    mly_model *model = hollow_network("vit-base-16");
    mly_modelled *modelled = modelled_on(device("edgetpu-usb3"), model, 1);
    expect_error(mly_modelled_segment(modelled, NULL, 0, &out, &err), MLY_E_UNSUPPORTED, err,
                 "edgetpu-usb3 (modelled) cannot compute node '");
    mly_modelled_destroy(modelled);
    mly_model_destroy(model);

    model = hollow_network("c3d");
    modelled = modelled_on(device("edgetpu-usb3"), model, 1);
    expect_error(mly_modelled_segment(modelled, NULL, 0, &out, &err), MLY_E_UNSUPPORTED, err,
                 "the Edge TPU has no Conv over three dimensions");
    mly_modelled_destroy(modelled);
    mly_model_destroy(model);

    struct wire g = {0};
    wire_put(&g, GRAPH_NODE, onnx_node("MatMul", "product", "a b", "y"));
    wire_text(&g, 2, "product");
    wire_put(&g, GRAPH_INPUT, onnx_value("a", F32, "8 8"));
    wire_put(&g, GRAPH_INPUT, onnx_value("b", F32, "8 8"));
    wire_put(&g, GRAPH_OUTPUT, onnx_value("y", F32, "8 8"));
    model = load(onnx_model(g));
    modelled = modelled_on(device("edgetpu-pcie"), model, 8);
    expect_error(mly_modelled_segment(modelled, NULL, 0, &out, &err), MLY_E_UNSUPPORTED, err,
                 "'product': the Edge TPU has no MatMul of two computed tensors");
    mly_modelled_destroy(modelled);
    mly_model_destroy(model);
}

/* Conditions of Coral's table, and what it has instead. */
static void an_edge_tpu_has_some_operators_with_conditions(void **state)
{
    (void)state;
    static const struct {
        const char *op, *inputs, *constant, *says; /* NULL: it can */
    } rows[] = {
        {"Div", "x c", "c", NULL},
        {"Div", "c x", "c",
         "node 'node': the Edge TPU has no Div by what is computed, but has Mul; the vendor's "
         "compiler leaves this node and what follows to the host"},
        {"LeakyRelu", "x", NULL, "has no LeakyRelu, but has PRelu"},
        {"HardSwish", "x", NULL, "has no HardSwish, but has Add, Clip and Mul;"},
        {"Erf", "x", NULL, "has no Erf; the vendor's compiler"},
        {"Softmax", "x", NULL, "has no Softmax of over 16000 numbers;"},
        {"Relu", "x", NULL, NULL},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct wire g = {0};
        struct mly_modelled_cost out;
        wire_put(&g, GRAPH_NODE, onnx_node(rows[i].op, "node", rows[i].inputs, "y"));
        wire_text(&g, 2, "conditions");
        if (rows[i].constant)
            wire_put(&g, GRAPH_INITIALISER, onnx_raw_tensor("c", F32, "1", 4, 1));
        wire_put(&g, GRAPH_INPUT, onnx_value("x", F32, "N 16001"));
        wire_put(&g, GRAPH_OUTPUT, onnx_value("y", F32, "N 16001"));
        mly_model *model = load(onnx_model(g));
        mly_modelled *modelled = modelled_on(device("edgetpu-pcie"), model, 2);
        if (!rows[i].says)
            expect_ok(mly_modelled_segment(modelled, NULL, 0, &out, &err), err);
        else
            expect_error(mly_modelled_segment(modelled, NULL, 0, &out, &err), MLY_E_UNSUPPORTED,
                         err, rows[i].says);
        mly_modelled_destroy(modelled);
        mly_model_destroy(model);
    }
}

static void a_type_without_a_rate_is_refused(void **state)
{
    (void)state;
    struct mly_modelled_cost out;
    struct mly_device_model none = *device("p100");
    none.macs_per_s[MLY_DTYPE_F32] = 0;
    mly_model *model = hollow_network("edge-fc-100");
    mly_modelled *modelled = modelled_on(&none, model, 1);
    expect_error(mly_modelled_segment(modelled, NULL, 0, &out, &err), MLY_E_UNSUPPORTED, err,
                 "(Gemm) in f32");
    mly_modelled_destroy(modelled);
    mly_model_destroy(model);
}

static void memory_has_an_end(void **state)
{
    (void)state;
    struct mly_modelled_cost out;
    mly_model *model = hollow_network("vgg16");
    mly_modelled *modelled = modelled_on(device("raspberry-pi-3"), model, 32);
    expect_error(mly_modelled_segment(modelled, NULL, 0, &out, &err), MLY_E_LIMIT, err,
                 "raspberry-pi-3 (modelled) has 1074 MB of memory; 553 MB of weights and");
    mly_modelled_destroy(modelled);
    expect_error(mly_modelled_create(device("p100"), model, 0, NULL, 0, &modelled, &err),
                 MLY_E_INVALID, err, "batch");
    mly_model_destroy(model);
}

/* --- quantised models --- */

static void weights_may_come_through_dequantising(void **state)
{
    (void)state;
    struct wire g = {0};
    wire_put(&g, GRAPH_NODE, onnx_node("DequantizeLinear", "dq", "w s", "wf"));
    wire_put(&g, GRAPH_NODE, onnx_node("Conv", "conv", "x wf", "c"));
    wire_put(&g, GRAPH_NODE, onnx_node("Relu", "relu", "c", "y"));
    wire_text(&g, 2, "quantised");
    wire_put(&g, GRAPH_INITIALISER, onnx_raw_tensor("w", 3, "70 6 3 3", 70 * 6 * 9, 1));
    wire_put(&g, GRAPH_INITIALISER, onnx_raw_tensor("s", F32, "1", 4, 1));
    wire_put(&g, GRAPH_INPUT, onnx_value("x", F32, "N 6 10 10"));
    wire_put(&g, GRAPH_OUTPUT, onnx_value("y", F32, "N 70 8 8"));
    wire_put(&g, GRAPH_VALUE_INFO, onnx_value("wf", F32, "70 6 3 3"));
    wire_put(&g, GRAPH_VALUE_INFO, onnx_value("c", F32, "N 70 8 8"));
    mly_model *model = load(onnx_model(g));
    mly_modelled *modelled = modelled_on(device("edgetpu-pcie"), model, 1);
    struct mly_modelled_cost c = cost(modelled, NULL, 0);
    expect_near(c.weight_bytes, 128 * (8 * 9 + 8)); /* 70 padded to 128, 6 to 8 */
    expect_near(c.macs, 70 * 64 * 54.0);
    expect_near(c.input_bytes, 600);
    /* the activation costs nothing beside what makes its input, and something alone */
    const uint32_t conv[] = {0, 1}, relu[] = {2};
    expect_near(cost(modelled, conv, 2).execution_ns, c.execution_ns);
    assert_true(cost(modelled, relu, 1).execution_ns > device("edgetpu-pcie")->launch_ns);
    mly_modelled_destroy(modelled);
    mly_model_destroy(model);
}

static void sizes_that_are_not_known_count_as_one(void **state)
{
    (void)state;
    const struct mly_dim_binding binding = {"L", 7};
    struct wire g = {0};
    wire_put(&g, GRAPH_NODE, onnx_node("Relu", "relu", "x", "y"));
    wire_text(&g, 2, "free");
    wire_put(&g, GRAPH_INPUT, onnx_value("x", F32, "N L 5"));
    wire_put(&g, GRAPH_OUTPUT, onnx_value("y", F32, "N L 5"));
    mly_model *model = load(onnx_model(g));
    mly_modelled *modelled = modelled_on(device("p100"), model, 3);
    expect_near(cost(modelled, NULL, 0).input_bytes, 3 * 5 * 4);
    mly_modelled_destroy(modelled);
    expect_ok(mly_modelled_create(device("p100"), model, 3, &binding, 1, &modelled, &err), err);
    expect_near(cost(modelled, NULL, 0).input_bytes, 3 * 7 * 5 * 4);
    mly_modelled_destroy(modelled);
    mly_model_destroy(model);
}

static void every_allocation_may_fail(void **state)
{
    (void)state;
    mly_model *model = hollow_network("squeezenet");
    static const char *const on[] = {"p100", "edgetpu-pcie"};
    for (size_t d = 0; d < 2; d++)
        for (uint64_t n = 1;; n++) {
            const struct mly_device_model *chosen = device(on[d]);
            mly_modelled *modelled = NULL;
            struct mly_modelled_cost out;
            mly_alloc_fail_once(n);
            uint64_t before = mly_alloc_count();
            enum mly_status status =
                mly_modelled_create(chosen, model, 1, NULL, 0, &modelled, &err);
            if (!status)
                status = mly_modelled_segment(modelled, NULL, 0, &out, &err);
            uint64_t made = mly_alloc_count() - before;
            mly_alloc_fail_after(0);
            mly_modelled_destroy(modelled);
            if (status == MLY_OK && made < n)
                break;
            assert_int_equal(status, MLY_E_NO_MEMORY);
            assert_true(n < 100);
        }
    mly_model_destroy(model);
}

int main(void)
{
    const struct CMUnitTest cases[] = {
        cmocka_unit_test(what_crosses_is_counted_once),
        cmocka_unit_test(links_take_a_latency_and_their_bytes),
        cmocka_unit_test(parts_make_the_whole),
        cmocka_unit_test(a_larger_network_takes_longer),
        cmocka_unit_test(an_edge_tpu_computes_one_sample_at_a_time),
        cmocka_unit_test(others_gain_by_batches),
        cmocka_unit_test(floats_may_be_computed_in_fewer_bits),
        cmocka_unit_test(activations_that_outgrow_the_tiles_are_moved_again),
        cmocka_unit_test(whole_layers_are_streamed),
        cmocka_unit_test(an_edge_tpu_names_what_it_cannot_compute),
        cmocka_unit_test(an_edge_tpu_has_some_operators_with_conditions),
        cmocka_unit_test(a_type_without_a_rate_is_refused),
        cmocka_unit_test(memory_has_an_end),
        cmocka_unit_test(weights_may_come_through_dequantising),
        cmocka_unit_test(sizes_that_are_not_known_count_as_one),
        cmocka_unit_test(every_allocation_may_fail),
    };
    return cmocka_run_group_tests(cases, setup, teardown);
}

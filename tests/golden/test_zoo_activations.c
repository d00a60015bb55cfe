/*
 * The zoo's weights are scaled so that activations neither vanish nor explode: every layer's output
 * on standard normal input, as ONNX Runtime computes it. Networks over 120 MB only with
 * MOTLEY_TEST_LARGE set: they need gigabytes of disk and memory.
 */
#include <math.h>
#include <string.h>

#include "backend/backend.h"
#include "base/alloc.h"
#include "base/random.h"
#include "model/graph.h"
#include "model/segment.h"
#include "model/zoo.h"
#include "support/expect.h"

#define DEVIATION_MIN 0.05
#define DEVIATION_MAX 20.0
#define LARGE_BYTES 120e6
/* Of dense networks: a layer of two units says nothing of one sample. */
#define DENSE_BATCH 64

static char *scratch;
static const struct mly_backend_ops *ort;

/* The members of families that are looked at: the smallest, one in the middle, a large one. */
static const char *const members[] = {
    "matmul-16",    "matmul-256",   "matmul-1024",   "fc-1", "fc-1.5",      "fc-2",
    "fc-2.5",       "fc-3",         "fc-3.5",        "fc-4", "fc-4.5",      "fc-5",
    "fc-5.5",       "fc-6",         "fc-6.5",        "fc-7", "edge-fc-100", "edge-fc-620",
    "edge-fc-1500", "edge-conv-32", "edge-conv-202",
};

static struct mly_tensor random_input(const struct mly_port *port)
{
    struct mly_tensor tensor;
    struct mly_error err = {0};
    struct mly_shape shape = port->shape;
    struct mly_random random;
    int64_t count;
    shape.dims[0] = shape.rank == 2 ? DENSE_BATCH : 1;
    expect_ok(mly_tensor_init(MLY_DTYPE_F32, &shape, &tensor, &err), err);
    expect_ok(mly_shape_count(&shape, &count, &err), err);
    mly_random_init(&random, 1);
    for (int64_t i = 0; i < count; i++)
        ((float *)tensor.data)[i] = (float)mly_random_normal(&random);
    return tensor;
}

static double deviation(const struct mly_tensor *tensor)
{
    const float *data = tensor->data;
    size_t count = tensor->size_bytes / sizeof(float);
    double sum = 0, squares = 0;
    for (size_t i = 0; i < count; i++)
        sum += (double)data[i];
    double mean = sum / (double)count;
    for (size_t i = 0; i < count; i++)
        squares += ((double)data[i] - mean) * ((double)data[i] - mean);
    return sqrt(squares / (double)count);
}

/* Probabilities are small by nature, and constants are no layers. */
static bool is_judged(const struct mly_graph *graph, uint32_t tensor)
{
    uint32_t producer = graph->tensors[tensor].producer;
    if (producer == MLY_NO_INDEX)
        return false;
    const char *op = graph->nodes[producer].op_type;
    return strcmp(op, "Softmax") != 0 && strcmp(op, "Constant") != 0;
}

static void expect_scaled(const char *name)
{
    const char *path = scratch_path(scratch, "network.onnx");
    struct mly_error err = {0};
    mly_model *model;
    struct mly_segment segment;
    mly_session *session;
    expect_ok(mly_zoo_write(name, path, &err), err);
    expect_ok(mly_model_load(path, NULL, &model, &err), err);
    expect_ok(mly_segment_observed(model, &segment, &err), err);
    uint32_t cpu = 0;
    const struct mly_processor processor = {
        .id = "cpu:0", .kind = "cpu", .usable = true, .cpus = &cpu, .cpu_count = 1};
    const struct mly_session_options options = {
        .processor = &processor, .threads = 1, .no_prepared_copy = true};
    expect_ok(ort->open(model, &segment, &options, &session, &err), err);

    struct mly_tensor input = random_input(mly_model_input(model, 0));
    struct mly_tensor *outputs = mly_alloc_array(segment.output_count, sizeof *outputs);
    assert_non_null(outputs);
    expect_ok(ort->run(session, &input, outputs, &err), err);
    const struct mly_graph *graph = mly_model_graph(model);
    uint32_t judged = 0;
    for (uint32_t i = 0; i < segment.output_count; i++) {
        if (outputs[i].dtype == MLY_DTYPE_F32 && is_judged(graph, segment.outputs[i])) {
            double found = deviation(&outputs[i]);
            judged++;
            if (!(found >= DEVIATION_MIN && found <= DEVIATION_MAX))
                fail_msg("%s: '%s' has a standard deviation of %g", name,
                         graph->tensors[segment.outputs[i]].name, found);
        }
        mly_tensor_fini(&outputs[i]);
    }
    assert_true(judged > 0);
    mly_free(outputs);
    mly_tensor_fini(&input);
    ort->close(session);
    mly_segment_fini(&segment);
    mly_model_destroy(model);
}

static void need_runtime(void)
{
    struct mly_error err = {0};
    const char *version;
    ort = mly_backend_find("ort");
    assert_non_null(ort);
    if (ort->probe(&version, &err) != MLY_OK)
        TEST_SKIP("ONNX Runtime: %s", err.message);
}

static void networks(bool large)
{
    need_runtime();
    for (size_t i = 0; i < mly_zoo_count(); i++) {
        const struct mly_zoo_entry *entry = mly_zoo_entry(i);
        struct mly_zoo_measures measures;
        struct mly_error err = {0};
        if (entry->is_family)
            continue;
        expect_ok(mly_zoo_measure(entry->name, &measures, &err), err);
        if ((measures.weight_bytes > LARGE_BYTES) == large)
            expect_scaled(entry->name);
    }
}

static void activations_keep_their_scale(void **state)
{
    (void)state;
    networks(false);
}

static void activations_of_large_networks_keep_their_scale(void **state)
{
    (void)state;
    if (!getenv("MOTLEY_TEST_LARGE"))
        TEST_SKIP("MOTLEY_TEST_LARGE is not set");
    networks(true);
}

static void activations_of_families_keep_their_scale(void **state)
{
    (void)state;
    need_runtime();
    for (size_t i = 0; i < sizeof members / sizeof members[0]; i++)
        expect_scaled(members[i]);
}

static int set_up(void **state)
{
    (void)state;
    scratch = scratch_create();
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    scratch_remove(scratch);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(activations_of_families_keep_their_scale),
        cmocka_unit_test(activations_keep_their_scale),
        cmocka_unit_test(activations_of_large_networks_keep_their_scale),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}

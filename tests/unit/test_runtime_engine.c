/*
 * Engines from real models and plans, on ONNX Runtime: cut plans compute what the whole model
 * computes; wrong plans are refused.
 */
#include "support/plan_fixture.h"
#include "support/test.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <motley/engine.h>

#include "backend/backend.h"
#include "base/alloc.h"
#include "base/random.h"
#include "model/zoo.h"
#include "runtime/flow.h"
#include "runtime/native.h"

enum { NODES = 7, WIDTH = 4, BATCH_MAX = 5 };

static mly_machine *machine;
static mly_model *model;

static int set_up(void **state)
{
    (void)state;
    const struct mly_backend_ops *ort = mly_backend_find("ort");
    const char *version;
    struct mly_error err = {0};
    if (!ort || ort->probe(&version, &err) != MLY_OK) {
        printf("# ONNX Runtime is not usable here: %s\n", err.message);
        exit(77);
    }
    static const struct tiny_node nodes[NODES] = {
        {"Relu", "a", "x", NULL, "ta"}, {"Exp", "b", "ta", NULL, "tb"},
        {"Sin", "c", "ta", NULL, "tc"}, {"Add", "d", "tb", "tc", "td"},
        {"Mul", "e", "td", "x", "te"},  {"Sigmoid", "f", "te", NULL, "tf"},
        {"Sub", "g", "tf", "ta", "tg"},
    };
    model = tiny_model(&(struct tiny_spec){.nodes = nodes, .node_count = NODES});
    machine = tiny_machine(NULL);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    mly_machine_destroy(machine);
    mly_model_destroy(model);
    return 0;
}

static mly_plan *make_plan(uint32_t groups, const uint32_t *cuts, uint32_t cut_count)
{
    mly_plan *plan = tiny_plan(model, machine, groups, 2);
    if (cut_count > 0)
        tiny_cut(plan, cuts, cut_count);
    return plan;
}

static mly_engine *make_engine(const mly_plan *plan)
{
    mly_engine *engine = NULL;
    struct mly_error err = {0};
    if (mly_engine_create(model, plan, NULL, &engine, &err) != MLY_OK)
        fail_msg("%s", err.message);
    return engine;
}

static struct mly_tensor make_input(int64_t batch)
{
    struct mly_tensor input = {0};
    struct mly_shape shape = {.rank = 2, .dims = {batch, WIDTH}};
    assert_int_equal(mly_tensor_init(MLY_DTYPE_F32, &shape, &input, NULL), MLY_OK);
    for (int64_t i = 0; i < batch * WIDTH; i++)
        ((float *)input.data)[i] = (float)(i - 3) * 0.37F + (float)batch;
    return input;
}

static void infer(mly_engine *engine, int64_t batch, struct mly_tensor *output)
{
    struct mly_error err = {0};
    struct mly_tensor input = make_input(batch);
    if (mly_engine_infer(engine, &input, 1, output, 1, &err) != MLY_OK)
        fail_msg("%s", err.message);
    mly_tensor_fini(&input);
}

static void cut_plans_compute_what_the_whole_model_computes(void **state)
{
    (void)state;
    static const uint32_t cuts[][NODES] = {{7}, {1, 7}, {3, 7}, {2, 5, 7}, {1, 2, 3, 4, 5, 6, 7}};
    static const uint32_t counts[] = {1, 2, 2, 3, 7};
    struct mly_tensor expected[BATCH_MAX + 1] = {0};
    mly_plan *plan = make_plan(1, NULL, 0);
    mly_engine *engine = make_engine(plan);
    for (int64_t batch = 1; batch <= BATCH_MAX; batch++)
        infer(engine, batch, &expected[batch]);
    mly_engine_destroy(engine);
    mly_plan_destroy(plan);

    uint32_t cores = mly_machine_info(machine)->cores;
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) {
        for (uint32_t groups = 1; groups <= 2 && groups <= cores; groups++) {
            plan = make_plan(groups, cuts[i], counts[i]);
            engine = make_engine(plan);
            for (int64_t batch = 1; batch <= BATCH_MAX; batch++) {
                struct mly_tensor output = {0};
                infer(engine, batch, &output);
                assert_true(mly_shape_equal(&output.shape, &expected[batch].shape));
                for (int64_t k = 0; k < batch * WIDTH; k++) /* fused or not: rounding may differ */
                    assert_float_equal(((float *)output.data)[k],
                                       ((float *)expected[batch].data)[k], 1e-5);
                mly_tensor_fini(&output);
            }
            mly_engine_destroy(engine);
            mly_plan_destroy(plan);
        }
    }
    for (int64_t batch = 1; batch <= BATCH_MAX; batch++)
        mly_tensor_fini(&expected[batch]);
}

static void replicas_run_one_plan(void **state)
{
    (void)state;
    if (mly_machine_info(machine)->cores < 2)
        TEST_SKIP("this process may use one core only");
    mly_plan *plan = make_plan(2, NULL, 0);
    mly_engine *engine = make_engine(plan);
    struct mly_tensor input = make_input(2);
    mly_request *requests[32];
    for (int i = 0; i < 32; i++)
        assert_int_equal(
            mly_engine_submit(engine, &input, 1, NULL, true, NULL, NULL, &requests[i], NULL),
            MLY_OK);
    const struct mly_tensor *first = NULL;
    for (int i = 0; i < 32; i++) {
        assert_int_equal(mly_request_wait(requests[i], NULL), MLY_OK);
        const struct mly_tensor *output = mly_request_outputs(requests[i], NULL);
        first = first ? first : output;
        assert_memory_equal(output->data, first->data, first->size_bytes);
    }
    for (int i = 0; i < 32; i++)
        mly_request_release(requests[i]);
    mly_tensor_fini(&input);
    mly_engine_destroy(engine);
    mly_plan_destroy(plan);
}

static void expect_refused(const mly_plan *plan, enum mly_status status, const char *words)
{
    mly_engine *engine = NULL;
    struct mly_error err = {0};
    assert_int_equal(mly_engine_create(model, plan, NULL, &engine, &err), status);
    assert_null(engine);
    if (!strstr(err.message, words))
        fail_msg("'%s' does not say '%s'", err.message, words);
}

static void wrong_plans_are_refused(void **state)
{
    (void)state;
    mly_plan *plan = make_plan(1, NULL, 0);
    plan->host_id[0] ^= 1;
    expect_refused(plan, MLY_E_MISMATCH, "box");
    plan->host_id[0] ^= 1;
    uint32_t cpu = plan->processors[0].cpus[0];
    plan->processors[0].cpus[0] = 60000;
    expect_refused(plan, MLY_E_ABSENT, "60000");
    plan->processors[0].cpus[0] = cpu;
    memcpy(plan->processors[0].backend, "abacus", 7);
    expect_refused(plan, MLY_E_NOT_FOUND, "abacus");
    mly_plan_destroy(plan);
}

static int64_t first_cost(const mly_plan *plan, uint32_t segment, uint32_t processor,
                          uint32_t batch)
{
    struct mly_error err = {0};
    mly_engine *engine = NULL;
    const struct mly_engine_options options = {.no_warm_up = true};
    if (mly_engine_create(model, plan, &options, &engine, &err) != MLY_OK)
        fail_msg("%s", err.message);
    int64_t ns = mly_scheduler_cost(engine->crew->scheduler, engine->variants[0].group, segment,
                                    processor, batch);
    mly_engine_destroy(engine);
    return ns;
}

static void an_engine_starts_with_the_times_of_its_plan(void **state)
{
    (void)state;
    static const uint32_t cuts[] = {2, 7};
    mly_plan *plan = make_plan(1, cuts, 2);
    assert_int_equal(first_cost(plan, 1, 0, 2), 0); /* to be learnt */
    struct mly_plan_segment *segment = &plan->segments[1];
    segment->times = mly_alloc_array(2, sizeof *segment->times);
    assert_non_null(segment->times);
    segment->time_count = 2;
    segment->times[0] = (struct mly_plan_time){.batch = 2, .ns = 5e6};
    segment->times[1] = (struct mly_plan_time){.batch = 8, .ns = 12e6};
    assert_int_equal(first_cost(plan, 1, 0, 2), 5000000);
    assert_int_equal(first_cost(plan, 1, 0, 8), 12000000);
    assert_int_equal(first_cost(plan, 0, 0, 2), 0);
    mly_plan_destroy(plan);
    /* Without them what the plan predicts of one batch on processors that are alike. */
    plan = make_plan(1, NULL, 0);
    plan->prediction = (struct mly_prediction){.known = true, .latency_ns = 7e6};
    assert_int_equal(first_cost(plan, 0, 0, 2), 7000000);
    mly_plan_destroy(plan);
}

static void flows_survive_failing_allocations(void **state)
{
    (void)state;
    static const uint32_t cuts[] = {2, 5, 7};
    mly_plan *plan = make_plan(1, cuts, 3);
    enum mly_status status = MLY_E_NO_MEMORY;
    for (uint64_t n = 1; status != MLY_OK; n++) {
        struct mly_flow flow;
        struct mly_error err = {0};
        mly_alloc_fail_once(n);
        status = mly_flow_init(model, plan, false, &flow, &err);
        mly_alloc_fail_once(0);
        if (status == MLY_OK) {
            assert_true(n > 20);
            assert_int_equal(flow.segment_count, 3);
            mly_flow_fini(&flow);
        } else {
            assert_int_equal(status, MLY_E_NO_MEMORY);
        }
    }
    mly_plan_destroy(plan);
}

/* Sessions are warmed with the sizes that the plan was made for. */
static void sizes_of_the_plan_are_those_that_warm(void **state)
{
    (void)state;
    struct mly_error err = {0};
    char path[4096];
    mly_model *symbols = NULL;
    snprintf(path, sizeof path, "%s/tests/data/models/symbols.onnx",
             test_env("MOTLEY_SOURCE_ROOT"));
    assert_int_equal(mly_model_load(path, NULL, &symbols, &err), MLY_OK);
    mly_plan *plan = tiny_plan(symbols, machine, 1, 2);
    for (int given = 0; given < 2; given++) {
        struct mly_flow flow;
        snprintf(plan->shapes, sizeof plan->shapes, "%s", given ? "length=9" : "");
        if (mly_flow_init(symbols, plan, false, &flow, &err) != MLY_OK)
            fail_msg("%s", err.message);
        const struct mly_shape *shape = &flow.segments[0].warm_shapes[flow.ladder_count - 1];
        assert_int_equal(shape->dims[0], 2);
        assert_int_equal(shape->dims[1], given ? 9 : -1);
        assert_int_equal(shape->dims[2], 4);
        mly_flow_fini(&flow);
    }
    snprintf(plan->shapes, sizeof plan->shapes, "length");
    struct mly_flow flow;
    assert_int_equal(mly_flow_init(symbols, plan, false, &flow, &err), MLY_E_INVALID);
    mly_plan_destroy(plan);
    mly_model_destroy(symbols);
}

/* --- split batches --- */

static mly_plan *make_split(const mly_model *of, uint32_t first, uint32_t second)
{
    mly_plan *plan = tiny_plan(of, machine, 2, first + second);
    plan->segments[0].shares = mly_alloc_array(2, sizeof(uint32_t));
    assert_non_null(plan->segments[0].shares);
    plan->segments[0].shares[0] = first;
    plan->segments[0].shares[1] = second;
    return plan;
}

static void split_batches_compute_what_whole_ones_do(void **state)
{
    (void)state;
    static const uint32_t shares[][2] = {{1, 1}, {3, 1}, {1, 4}};
    if (mly_machine_info(machine)->cores < 2)
        TEST_SKIP("one core only");
    mly_plan *whole = make_plan(2, NULL, 0);
    mly_engine *reference = make_engine(whole);
    for (size_t i = 0; i < sizeof shares / sizeof *shares; i++) {
        mly_plan *plan = make_split(model, shares[i][0], shares[i][1]);
        mly_engine *engine = make_engine(plan);
        for (int64_t batch = 1; batch <= BATCH_MAX; batch++) {
            struct mly_tensor expected = {0}, output = {0};
            infer(reference, batch, &expected);
            infer(engine, batch, &output);
            assert_true(mly_shape_equal(&output.shape, &expected.shape));
            assert_int_equal(output.size_bytes, expected.size_bytes);
            assert_memory_equal(output.data, expected.data, expected.size_bytes);
            mly_tensor_fini(&expected);
            mly_tensor_fini(&output);
        }
        mly_engine_destroy(engine);
        mly_plan_destroy(plan);
    }
    mly_engine_destroy(reference);
    mly_plan_destroy(whole);
}

/* A network of the papers: equal processors, so equal results, to the last bit. */
static void split_batches_of_a_real_network_are_the_same_bit_for_bit(void **state)
{
    (void)state;
    if (mly_machine_info(machine)->cores < 2)
        TEST_SKIP("one core only");
    char path[] = "/tmp/motley-split-XXXXXX.onnx";
    struct mly_error err = {0};
    int file = mkstemps(path, 5);
    assert_true(file >= 0);
    close(file);
    mly_model *network = NULL;
    if (mly_zoo_write("squeezenet", path, &err) != MLY_OK ||
        mly_model_load(path, NULL, &network, &err) != MLY_OK)
        fail_msg("%s", err.message);
    mly_plan *plans[] = {tiny_plan(network, machine, 2, 4), make_split(network, 2, 2)};
    struct mly_tensor input = {0}, outputs[2] = {{0}, {0}};
    struct mly_shape shape = mly_model_input(network, 0)->shape;
    struct mly_random random;
    mly_random_init(&random, 1);
    shape.dims[0] = 4;
    assert_int_equal(mly_tensor_init(MLY_DTYPE_F32, &shape, &input, NULL), MLY_OK);
    for (size_t i = 0; i < input.size_bytes / sizeof(float); i++)
        ((float *)input.data)[i] = (float)mly_random_normal(&random);
    for (int i = 0; i < 2; i++) {
        mly_engine *engine = NULL;
        struct mly_engine_options options = {.no_warm_up = true};
        struct mly_engine_stats stats;
        if (mly_engine_create(network, plans[i], &options, &engine, &err) != MLY_OK ||
            mly_engine_infer(engine, &input, 1, &outputs[i], 1, &err) != MLY_OK)
            fail_msg("%s", err.message);
        mly_engine_get_stats(engine, &stats);
        assert_int_equal(stats.processors[0].tasks + stats.processors[1].tasks, i + 1);
        mly_engine_destroy(engine);
        mly_plan_destroy(plans[i]);
    }
    assert_true(mly_shape_equal(&outputs[0].shape, &outputs[1].shape));
    assert_memory_equal(outputs[0].data, outputs[1].data, outputs[0].size_bytes);
    for (int i = 0; i < 2; i++)
        mly_tensor_fini(&outputs[i]);
    mly_tensor_fini(&input);
    mly_model_destroy(network);
    unlink(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(cut_plans_compute_what_the_whole_model_computes),
        cmocka_unit_test(sizes_of_the_plan_are_those_that_warm),
        cmocka_unit_test(replicas_run_one_plan),
        cmocka_unit_test(wrong_plans_are_refused),
        cmocka_unit_test(an_engine_starts_with_the_times_of_its_plan),
        cmocka_unit_test(flows_survive_failing_allocations),
        cmocka_unit_test(split_batches_compute_what_whole_ones_do),
        cmocka_unit_test(split_batches_of_a_real_network_are_the_same_bit_for_bit),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}

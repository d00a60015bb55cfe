/*
 * In steady state a request allocates nothing: counted, with a back end that allocates nothing
 * itself, and with ONNX Runtime, whose results are given out in memory that is used again.
 */
#include "support/fake_backend.h"
#include "support/plan_fixture.h"
#include "support/test.h"
#include "support/work_backend.h"

#include <string.h>

#include <motley/engine.h>

#include "base/alloc.h"
#include "runtime/native.h"

enum { WINDOW = 6, REQUESTS = 600, WIDTH = 4 };

static void submit(mly_engine *engine, const struct mly_tensor *input, mly_request **out)
{
    struct mly_error err = {0};
    if (mly_engine_submit(engine, input, 1, NULL, true, NULL, NULL, out, &err) != MLY_OK)
        fail_msg("%s", err.message);
}

static void await(mly_request *request)
{
    struct mly_error err = {0};
    if (mly_request_wait(request, &err) != MLY_OK)
        fail_msg("%s", err.message);
}

/* WINDOW requests at once, held until all are done: no later moment needs more. */
static void warm(mly_engine *engine, const struct mly_tensor *input)
{
    mly_request *requests[WINDOW];
    for (int i = 0; i < WINDOW; i++)
        submit(engine, input, &requests[i]);
    for (int i = 0; i < WINDOW; i++)
        await(requests[i]);
    for (int i = 0; i < WINDOW; i++)
        mly_request_release(requests[i]);
}

/* Keeps up to WINDOW requests in flight; how many allocations were made meanwhile. */
static uint64_t count_allocations(mly_engine *engine, const struct mly_tensor *input)
{
    mly_request *window[WINDOW] = {0};
    uint64_t before = mly_alloc_count();
    for (int i = 0; i < REQUESTS + WINDOW; i++) {
        mly_request **place = &window[i % WINDOW];
        if (*place) {
            await(*place);
            mly_request_release(*place);
            *place = NULL;
        }
        if (i < REQUESTS)
            submit(engine, input, place);
    }
    mly_engine_drain(engine);
    return mly_alloc_count() - before;
}

static void the_engine_allocates_nothing_per_request(void **state)
{
    (void)state;
    /* A diamond: a tensor with two readers, a segment with two inputs, three processors. */
    static const char *const segments[] = {"0>1@0 1", "1>2@1 2", "1>3@0 2", "2 3>4@0 1 2"};
    for (int ordered = 0; ordered < 2; ordered++) {
        const struct mly_engine_options options = {.queue_capacity = WINDOW, .ordered = ordered};
        struct mly_flow flow;
        struct mly_error err = {0};
        mly_engine *engine = NULL;
        if (fake_flow_init(&work_ops, "0", "4", 3, segments, 4, &flow, &err) != MLY_OK ||
            mly__engine_create_flow(&flow, &options, MLY_SCHEDULE_EARLIEST, &engine, &err) !=
                MLY_OK)
            fail_msg("%s", err.message);
        int64_t memory[FAKE_WIDTH];
        struct mly_tensor input;
        fake_fill(&input, memory, 1, 1, 0);
        warm(engine, &input);
        assert_int_equal(count_allocations(engine, &input), 0);
        mly_engine_destroy(engine);
    }
}

/* --- ONNX Runtime --- */

static const struct mly_backend_ops *runtime(void)
{
    const struct mly_backend_ops *ort = mly_backend_find("ort");
    const char *version;
    struct mly_error err = {0};
    if (!ort || ort->probe(&version, &err) != MLY_OK)
        TEST_SKIP("ONNX Runtime is not usable here: %s", err.message);
    return ort;
}

static mly_model *make_model(void)
{
    static const struct tiny_node nodes[] = {{"Relu", "a", "x", NULL, "ta"},
                                             {"Exp", "b", "ta", NULL, "tb"},
                                             {"Sin", "c", "ta", NULL, "tc"},
                                             {"Add", "d", "tb", "tc", "td"}};
    return tiny_model(&(struct tiny_spec){.nodes = nodes, .node_count = 4});
}

static struct mly_tensor make_input(int64_t batch)
{
    struct mly_tensor input = {0};
    const struct mly_shape shape = {.rank = 2, .dims = {batch, WIDTH}};
    assert_int_equal(mly_tensor_init(MLY_DTYPE_F32, &shape, &input, NULL), MLY_OK);
    return input;
}

static mly_engine *make_engine(const mly_model *model, const mly_machine *machine,
                               const uint32_t *cuts, uint32_t cut_count)
{
    mly_engine *engine = NULL;
    struct mly_error err = {0};
    mly_plan *plan = tiny_plan(model, machine, 1, 2);
    if (cut_count > 0)
        tiny_cut(plan, cuts, cut_count);
    if (mly_engine_create(model, plan, NULL, &engine, &err) != MLY_OK)
        fail_msg("%s", err.message);
    mly_plan_destroy(plan);
    return engine;
}

static void a_real_model_allocates_nothing_per_request(void **state)
{
    (void)state;
    (void)runtime();
    mly_model *model = make_model();
    mly_machine *machine = tiny_machine(NULL);
    mly_engine *engine = make_engine(model, machine, NULL, 0);
    struct mly_tensor one = make_input(1), two = make_input(2);
    warm(engine, &two);
    assert_int_equal(count_allocations(engine, &two), 0);
    assert_int_equal(count_allocations(engine, &one), 0); /* a smaller batch fits where it was */
    mly_tensor_fini(&one);
    mly_tensor_fini(&two);
    mly_engine_destroy(engine);
    mly_machine_destroy(machine);
    mly_model_destroy(model);
}

/*
 * How many batches lie between two segments at once depends on threads, so memory may still be
 * taken after the first ones; never more than the window needs: a block is two allocations.
 */
static void a_pipeline_needs_what_its_window_needs(void **state)
{
    (void)state;
    (void)runtime();
    static const uint32_t cuts[] = {1, 3, 4};
    enum { TENSORS = 4 }; /* ta, tb, tc and the result */
    mly_model *model = make_model();
    mly_machine *machine = tiny_machine(NULL);
    mly_engine *engine = make_engine(model, machine, cuts, 3);
    struct mly_tensor input = make_input(2);
    uint64_t made = mly_alloc_count();
    warm(engine, &input);
    for (int i = 0; i < 3; i++)
        (void)count_allocations(engine, &input);
    made = mly_alloc_count() - made;
    assert_true(made <= (uint64_t)2 * TENSORS * WINDOW);
    mly_tensor_fini(&input);
    mly_engine_destroy(engine);
    mly_machine_destroy(machine);
    mly_model_destroy(model);
}

static void memory_of_results_is_used_again_once_released(void **state)
{
    (void)state;
    (void)runtime();
    mly_model *model = make_model();
    mly_machine *machine = tiny_machine(NULL);
    mly_engine *engine = make_engine(model, machine, NULL, 0);
    struct mly_tensor input = make_input(1);
    mly_request *first, *second, *third;
    submit(engine, &input, &first);
    await(first);
    const void *memory = mly_request_outputs(first, NULL)->data;
    submit(engine, &input, &second);
    await(second);
    assert_ptr_not_equal(mly_request_outputs(second, NULL)->data, memory); /* still held */
    mly_request_release(first);
    submit(engine, &input, &third);
    await(third);
    assert_ptr_equal(mly_request_outputs(third, NULL)->data, memory);
    mly_request_release(second);
    mly_request_release(third);
    mly_tensor_fini(&input);
    mly_engine_destroy(engine);
    mly_machine_destroy(machine);
    mly_model_destroy(model);
}

int main(void)
{
    const struct CMUnitTest cases[] = {
        cmocka_unit_test(the_engine_allocates_nothing_per_request),
        cmocka_unit_test(a_real_model_allocates_nothing_per_request),
        cmocka_unit_test(a_pipeline_needs_what_its_window_needs),
        cmocka_unit_test(memory_of_results_is_used_again_once_released),
    };
    return cmocka_run_group_tests(cases, NULL, NULL);
}

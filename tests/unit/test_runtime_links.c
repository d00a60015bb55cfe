/*
 * Moving tensors: what it is taken to cost, and that tasks prefer the processor where their inputs are,
 * in the core, on a virtual clock and in a real engine.
 */
#include "support/executor_rig.h"
#include "support/expect.h"
#include "support/plan_fixture.h"

#include "base/alloc.h"
#include "model/graph.h"
#include "plan/plan.h"
#include "runtime/core.h"
#include "runtime/native.h"
#include "runtime/virtual.h"

#define MS INT64_C(1000000)

static struct mly_error err;

/* Two stages, each on both processors; both tensors of the first go into the second, one of them twice. */
static const char *const twice[] = {"0>1 2@0 1", "1 2 1>3@0 1"};
static const char *const chain[] = {"0>1@0 1", "1>2@0 1"};

/* Processors with memory of their own behind links. */
static void make_flow(const char *output, const char *const *segments, double latency_ns,
                      double bytes_per_s, struct mly_flow *flow)
{
    expect_ok(fake_flow_init(&fake_ops, "0", output, 2, segments, 2, flow, &err), err);
    flow->links = mly_alloc_array(2, sizeof *flow->links);
    assert_non_null(flow->links);
    for (int p = 0; p < 2; p++) {
        flow->links[p][0] = (struct mly_flow_link){latency_ns, bytes_per_s};
        flow->links[p][1] = (struct mly_flow_link){2 * latency_ns, bytes_per_s};
    }
}

static void run_task(struct mly__core *core, struct mly__task *task, int64_t now_ns, int64_t ns)
{
    struct mly_tensor garbage[8];
    uint32_t garbage_count = 0;
    assert_true(mly__core_begin(task, now_ns));
    for (uint32_t i = 0; i < core->flow->segments[task->schedule.segment].output_count; i++)
        task->request->tensors[core->flow->segments[task->schedule.segment].outputs[i]] =
            (struct mly_tensor){.dtype = MLY_DTYPE_I64, .shape = {.rank = 1}, .size_bytes = 3000};
    assert_false(
        mly__core_complete(core, task, MLY_OK, NULL, now_ns + ns, garbage, &garbage_count));
    mly__core_release(core, task->processor, now_ns + ns);
}

static mly_request *submit(struct mly__core *core, int64_t now_ns)
{
    mly_request *request = mly__request_take(&core->pool);
    assert_non_null(request);
    struct mly_tensor input = {
        .dtype = MLY_DTYPE_I64, .shape = {.rank = 2, .dims = {1, FAKE_WIDTH}}, .size_bytes = 500};
    mly__core_submit(core, request, &input, NULL, now_ns);
    return request;
}

static void each_input_counts_once_from_where_it_is(void **state)
{
    (void)state;
    struct mly_flow flow;
    struct mly__core core;
    make_flow("3", twice, 1000, 1e9, &flow);
    expect_ok(mly__core_init(&core, &flow, NULL, MLY_SCHEDULE_EARLIEST, true, 4, &err), err);
    mly_request *request = submit(&core, 0);
    const int64_t *move_ns = request->tasks[0].schedule.move_ns;
    assert_int_equal(move_ns[0], 1500); /* the client's: from the host */
    assert_int_equal(move_ns[1], 1500);
    struct mly__task *task = mly__core_next(&core);
    assert_ptr_equal(task, &request->tasks[0]);
    uint32_t home = task->processor;
    run_task(&core, task, 0, 10000);
    move_ns = request->tasks[1].schedule.move_ns;
    assert_int_equal(move_ns[home], 0);
    assert_int_equal(move_ns[1 - home], 2 * (1000 + 2000 + 2 * 3000)); /* two tensors, not three */
    mly__core_close(&core);
    mly__core_fini(&core);
    mly_flow_fini(&flow);
}

/* By how far the link is from being worth it, the second stage waits, or goes to the idle processor. */
static void a_task_waits_for_where_its_inputs_are_if_the_link_is_slow(void **state)
{
    (void)state;
    for (int slow = 0; slow < 2; slow++) {
        struct mly_flow flow;
        struct mly__core core;
        make_flow("2", chain, slow ? 10.0 * MS : 1000, 0, &flow);
        expect_ok(mly__core_init(&core, &flow, NULL, MLY_SCHEDULE_EARLIEST, true, 4, &err), err);
        for (uint32_t s = 0; s < 2; s++)
            for (uint32_t p = 0; p < 2; p++)
                mly_scheduler_set_cost(core.scheduler, s, p, 5 * MS);
        mly_request *first = submit(&core, 0);
        struct mly__task *task = mly__core_next(&core);
        uint32_t home = task->processor;
        run_task(&core, task, 0, 5 * MS);
        /* Home is taken by a more urgent one, whose inputs are with the client. */
        mly_request *urgent = mly__request_take(&core.pool);
        assert_non_null(urgent);
        urgent->priority = 1;
        urgent->only = home + 1;
        struct mly_tensor input = {.dtype = MLY_DTYPE_I64,
                                   .shape = {.rank = 2, .dims = {1, FAKE_WIDTH}}};
        mly__core_submit(&core, urgent, &input, NULL, 5 * MS);
        task = mly__core_next(&core);
        assert_ptr_equal(task, &urgent->tasks[0]);
        assert_int_equal(task->processor, home);
        struct mly__task *second = mly__core_next(&core);
        if (slow) {
            assert_null(second); /* 10 + 5 ms there at the most; 30 + 5 ms here */
            assert_true(mly_scheduler_review_ns(core.scheduler) < INT64_MAX);
        } else {
            assert_ptr_equal(second, &first->tasks[1]);
            assert_int_equal(second->processor, 1 - home);
        }
        mly__core_close(&core);
        mly__core_fini(&core);
        mly_flow_fini(&flow);
    }
}

/* --- NUMA nodes --- */

static void groups_of_unlike_nodes_are_joined_by_an_assumed_link(void **state)
{
    (void)state;
    mly_model *model = tiny_chain(4, 0);
    static const uint32_t cuts[] = {2, 4};
    static const struct {
        const char *machine;
        bool unlike;
    } boxes[] = {{"pack:2 numa:1 core:2 pu:1", true}, {"pack:1 numa:1 core:4 pu:1", false}};
    for (size_t i = 0; i < 2; i++) {
        mly_machine *machine = tiny_machine(boxes[i].machine);
        mly_plan *plan = tiny_plan(model, machine, 2, 3);
        struct mly_flow flow;
        tiny_cut(plan, cuts, 2);
        expect_ok(mly_flow_init(model, plan, false, &flow, &err), err);
        expect_ok(mly_flow_find_links(&flow, plan, machine, 3, &err), err);
        assert_int_equal(mly_flow_moves(&flow), boxes[i].unlike);
        assert_null(flow.links); /* all compute in the host's memory */
        assert_int_equal(flow.processors[0].node != flow.processors[1].node, boxes[i].unlike);
        for (uint32_t s = 0; s < flow.slot_count; s++)
            assert_int_equal(flow.slots[s].bytes > 0, boxes[i].unlike);
        enum mly_status status = boxes[i].unlike ? MLY_E_NO_MEMORY : MLY_OK;
        for (uint64_t n = 1; status != MLY_OK; n++) {
            mly_alloc_fail_once(n);
            status = mly_flow_find_links(&flow, plan, machine, 3, &err);
            mly_alloc_fail_once(0);
            assert_true(status == MLY_OK || status == MLY_E_NO_MEMORY);
        }
        expect_ok(mly_flow_find_links(&flow, plan, NULL, 3, &err), err); /* nothing is known */
        mly_flow_fini(&flow);
        mly_plan_destroy(plan);
        mly_machine_destroy(machine);
    }
    mly_model_destroy(model);
}

/* --- on a virtual clock --- */

struct places {
    uint32_t of[64][2];
    int64_t took_ns[64][2];
};

static void note(void *user, const struct mly_virtual_task *task)
{
    struct places *places = user;
    assert_true(task->request < 64);
    places->of[task->request][task->segment] = task->processor;
    places->took_ns[task->request][task->segment] = task->end_ns - task->begin_ns;
}

static void a_virtual_task_takes_the_time_of_its_moves(void **state)
{
    (void)state;
    for (int slow = 0; slow < 2; slow++) {
        struct mly_flow flow;
        struct mly_arrivals arrivals;
        struct mly_virtual_result result;
        struct places places = {0};
        struct mly_virtual_cost costs[4];
        make_flow("2", chain, 0, slow ? 1e6 : 1e9, &flow);
        for (uint32_t s = 0; s < flow.slot_count; s++)
            flow.slots[s].bytes = 4000; /* 4 ms one way, or 4 us */
        for (int i = 0; i < 4; i++)
            costs[i] = (struct mly_virtual_cost){.known = true, .median_ns = 1.0 * MS};
        expect_ok(mly_arrivals_parse("closed:4", &arrivals, &err), err);
        const struct mly_virtual_options options = {.flow = &flow,
                                                    .costs = costs,
                                                    .arrivals = &arrivals,
                                                    .seed = 3,
                                                    .count = 64,
                                                    .task = note,
                                                    .user = &places};
        expect_ok(mly_virtual_run(&options, &result, &err), err);
        const int64_t way_ns = slow ? 4 * MS : 4000;
        for (uint32_t r = 0; r < 64; r++) {
            assert_int_equal(places.took_ns[r][0], MS + way_ns); /* the client's tensors */
            bool stays = places.of[r][0] == places.of[r][1];
            assert_int_equal(places.took_ns[r][1], stays ? MS : MS + 2 * way_ns);
            assert_true(stays || !slow);
        }
        assert_true(result.stages[0].mean_link_ns == (double)way_ns);
        mly_virtual_result_fini(&result);
        mly_arrivals_fini(&arrivals);
        mly_flow_fini(&flow);
    }
}

/* --- in a real engine --- */

static enum mly_status create_far(struct mly_flow *flow, const struct mly_engine_options *options,
                                  mly_engine **out, struct mly_error *error)
{
    flow->links = mly_alloc_array(2, sizeof *flow->links);
    assert_non_null(flow->links);
    for (int p = 0; p < 2; p++)
        flow->links[p][0] = flow->links[p][1] = (struct mly_flow_link){1e9, 0};
    return mly__engine_create_flow(flow, options, MLY_SCHEDULE_EARLIEST, out, error);
}

static void an_engine_runs_the_next_stage_where_the_first_one_ran(void **state)
{
    (void)state;
    static struct rig rig;
    static struct rig_batch batch;
    rig_open(&rig, create_far, &fake_ops, NULL, "0", "2", 2, chain, 2);
    for (int64_t tag = 1; tag <= 30; tag++) {
        rig_send(&rig, &batch, tag);
        assert_int_equal(mly_request_wait(batch.request, NULL), MLY_OK);
        assert_true(batch.right);
        mly_request_release(batch.request);
        for (int p = 0; p < 2; p++)
            assert_int_equal(fake_begun(tag, 0, p), fake_begun(tag, 1, p));
    }
    rig_close(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_input_counts_once_from_where_it_is),
        cmocka_unit_test(a_task_waits_for_where_its_inputs_are_if_the_link_is_slow),
        cmocka_unit_test(groups_of_unlike_nodes_are_joined_by_an_assumed_link),
        cmocka_unit_test(a_virtual_task_takes_the_time_of_its_moves),
        cmocka_unit_test(an_engine_runs_the_next_stage_where_the_first_one_ran),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

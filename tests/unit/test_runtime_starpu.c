/*
 * What the starpu executor does beyond the contract of executors: its policies, limits, costs,
 * engines beside it, and the files and CPU time that it does not use.
 */
#include "support/executor_rig.h"
#include "support/expect.h"
#include "support/test.h"

#include <dirent.h>
#include <time.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "runtime/executor.h"
#include "runtime/native.h"
#include "runtime/starpu.h"

/*
 * For the leak sanitizer: one of StarPU 1.3.10's policies does not free what it keeps per worker (48
 * bytes). The contract of executors runs without this, on two policies that do.
 */
const char *__lsan_default_suppressions(void);
const char *__lsan_default_suppressions(void)
{
    return "leak:libstarpu";
}

static struct rig rig;
static struct rig_batch batches[512];
static const char *executor;

static const char *const whole[] = {"0>1@0"};
static const char *const two_replicas[] = {"0>1@0 1"};
static const char *const tangled[] = {"0 1>2 3@0 1", "2 0>4@1 2", "3 4 2>5 6@0 2", "6 1 4>7@0 1 2"};

static enum mly_status create(struct mly_flow *flow, const struct mly_engine_options *options,
                              mly_engine **out, struct mly_error *err)
{
    struct mly_engine_options with = options ? *options : (struct mly_engine_options){0};
    if (!with.beside)
        with.executor = executor;
    return mly__engine_create_flow(flow, &with, MLY_SCHEDULE_EARLIEST, out, err);
}

/* An engine of so many processors, or its failure. */
static enum mly_status try_open(uint32_t processors, const char *const *segments,
                                const struct mly_engine_options *options, mly_engine **out,
                                struct mly_error *err)
{
    struct mly_flow flow;
    expect_ok(fake_flow_init(&fake_ops, "0", "1", processors, segments, 1, &flow, err), *err);
    return create(&flow, options, out, err);
}

static void send(int64_t first, int64_t last)
{
    for (int64_t tag = first; tag <= last; tag++)
        rig_send(&rig, &batches[tag - 1], tag);
}

static void expect_all(int64_t first, int64_t last)
{
    for (int64_t tag = first; tag <= last; tag++) {
        assert_int_equal(mly_request_wait(batches[tag - 1].request, NULL), MLY_OK);
        assert_true(batches[tag - 1].right);
        mly_request_release(batches[tag - 1].request);
    }
}

static void every_policy_runs_unlike_segments(void **state)
{
    (void)state;
    char *policies = NULL, *rest = NULL;
    struct mly_error err = {0};
    expect_ok(mly__starpu_probe(NULL, &policies, NULL, &err), err);
    int count = 0;
    for (char *name = strtok_r(policies, " ", &rest); name; name = strtok_r(NULL, " ", &rest)) {
        char word[80];
        snprintf(word, sizeof word, "starpu:%s", name);
        executor = word;
        rig_open(&rig, create, &fake_ops, NULL, "0 1", "7 5 2", 3, tangled, 4);
        send(1, 60);
        expect_all(1, 60);
        for (int64_t tag = 1; tag <= 60; tag++) {
            for (int s = 0; s < 4; s++)
                assert_int_equal(fake_begun(tag, s, FAKE_ANY), 1);
        }
        rig_close(&rig);
        count++;
    }
    assert_true(count >= 8);
    mly_free(policies);
    executor = "starpu";
}

static void dmda_knows_our_costs(void **state)
{
    (void)state;
    executor = "starpu:dmda";
    rig_open(&rig, create, &fake_ops, NULL, "0", "1", 2, two_replicas, 1);
    struct mly__crew *crew = rig.engine->crew;
    pthread_mutex_lock(&crew->lock);
    for (uint32_t p = 0; p < 2; p++) {
        for (uint32_t batch = 1; batch <= RIG_ROWS; batch++)
            mly_scheduler_set_batch_cost(crew->scheduler, rig.engine->variants[0].group, 0, p,
                                         batch, p == 0 ? 400000000 : 100000000);
    }
    pthread_mutex_unlock(&crew->lock);
    /* Nothing runs until all are placed: the faster one is given four of five. */
    fake_hold(FAKE_ANY, FAKE_ANY, FAKE_ANY);
    send(1, 10);
    fake_release_all();
    expect_all(1, 10);
    struct mly_engine_stats stats;
    mly_engine_get_stats(rig.engine, &stats);
    assert_int_equal(stats.processors[0].tasks + stats.processors[1].tasks, 10);
    assert_true(stats.processors[1].tasks >= 7);
    rig_close(&rig);
    executor = "starpu";
}

static void limits_and_wrong_names_are_said(void **state)
{
    (void)state;
    struct mly_error err = {0};
    mly_engine *engine = NULL;
    uint32_t workers = 0;
    expect_ok(mly__starpu_probe(NULL, NULL, &workers, &err), err);
    char number[32];
    snprintf(number, sizeof number, "built for %u", workers);
    if (workers < 64)
        expect_error(try_open(workers + 1, whole, NULL, &engine, &err), MLY_E_LIMIT, err, number);
    static const char *const wrong[] = {"starpu:abacus", "starpu:pheft", "starpu:", "starpux",
                                        "abacus"};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        const char *word = i < 3 ? "dmda" : "starpu:POLICY";
        executor = wrong[i];
        expect_error(try_open(1, whole, NULL, &engine, &err), MLY_E_INVALID, err, word);
        expect_error(mly_executor_check(wrong[i], &err), MLY_E_INVALID, err, word);
    }
    static const char *const right[] = {NULL, "native", "starpu", "starpu:dmda", "starpu:eager"};
    for (size_t i = 0; i < sizeof right / sizeof *right; i++)
        expect_ok(mly_executor_check(right[i], &err), err);
    assert_null(engine);
    executor = "starpu";
    expect_ok(try_open(1, whole, NULL, &engine, &err), err); /* none of these left it taken */
    mly_engine *second = NULL;
    expect_error(try_open(1, whole, NULL, &second, &err), MLY_E_BUSY, err, "one at a time");
    executor = NULL;
    expect_ok(try_open(1, whole, NULL, &second, &err), err); /* a native one may run meanwhile */
    mly_engine_destroy(second);
    mly_engine_destroy(engine);
    executor = "starpu";
    expect_ok(try_open(2, two_replicas, NULL, &engine, &err), err); /* and it was given back */
    mly_engine_destroy(engine);
}

static void engines_beside_share_its_workers(void **state)
{
    (void)state;
    struct mly_error err = {0};
    executor = "starpu:eager";
    rig_open(&rig, create, &fake_ops, NULL, "0", "1", 2, two_replicas, 1);
    struct mly_engine_options beside = {.beside = rig.engine};
    mly_engine *second = NULL, *third = NULL;
    expect_ok(try_open(1, whole, &beside, &second, &err), err);
    expect_error(try_open(3, two_replicas, &beside, &third, &err), MLY_E_LIMIT, err,
                 "runs with 2 workers");
    expect_ok(try_open(2, two_replicas, &beside, &third, &err), err); /* that did no harm */
    send(1, 20);
    for (int64_t tag = 21; tag <= 40; tag++) {
        struct rig_batch *batch = &batches[tag - 1];
        rig_fill(&rig, batch, tag);
        assert_int_equal(mly_engine_submit(tag % 2 ? second : third, batch->inputs, 1, NULL, true,
                                           NULL, NULL, &batch->request, &err),
                         MLY_OK);
    }
    for (int64_t tag = 21; tag <= 40; tag++) {
        assert_int_equal(mly_request_wait(batches[tag - 1].request, NULL), MLY_OK);
        mly_request_release(batches[tag - 1].request);
    }
    expect_all(1, 20);
    mly_engine_destroy(rig.engine); /* the others go on */
    rig.engine = NULL;
    int64_t memory[FAKE_WIDTH];
    struct mly_tensor input, output = {0};
    fake_fill(&input, memory, 1, 50, 0);
    expect_ok(mly_engine_infer(second, &input, 1, &output, 1, &err), err);
    mly_tensor_fini(&output);
    mly_engine_destroy(second);
    mly_engine_destroy(third);
    rig_close(&rig);
    executor = "starpu";
}

/* Requests of a second engine, whose answers are not looked at. */
static void submit_to(mly_engine *engine, struct rig_batch *list, int64_t first, int64_t last)
{
    struct mly_error err = {0};
    for (int64_t tag = first; tag <= last; tag++) {
        struct rig_batch *batch = &list[tag - 1];
        rig_fill(&rig, batch, tag);
        expect_ok(mly_engine_submit(engine, batch->inputs, 1, NULL, true, NULL, NULL,
                                    &batch->request, &err),
                  err);
    }
}

/* StarPU knows of no weights; what it is given does. */
static void a_flooded_engine_leaves_the_other_its_share(void **state)
{
    (void)state;
    struct mly_error err = {0};
    static const char *const names[] = {"starpu:eager", "starpu:dmda"};
    for (size_t i = 0; i < 2; i++) {
        executor = names[i];
        struct mly_engine_options deep = {.queue_capacity = 300};
        rig_open(&rig, create, &fake_ops, &deep, "0", "1", 1, whole, 1);
        struct mly_engine_options beside = {.beside = rig.engine, .queue_capacity = 300};
        mly_engine *second = NULL;
        expect_ok(try_open(1, whole, &beside, &second, &err), err);
        fake_hold(1, FAKE_ANY, FAKE_ANY);
        send(1, 200);
        submit_to(second, batches, 301, 320);
        fake_hold(150, FAKE_ANY, FAKE_ANY);
        fake_release(1, FAKE_ANY, FAKE_ANY);
        fake_await_held(150, FAKE_ANY, FAKE_ANY);
        for (int64_t tag = 301; tag <= 320; tag++) { /* although the flood came before them */
            assert_int_equal(mly_request_wait(batches[tag - 1].request, NULL), MLY_OK);
            mly_request_release(batches[tag - 1].request);
        }
        fake_release_all();
        expect_all(1, 200);
        mly_engine_destroy(second);
        rig_close(&rig);
    }
}

/*
 * Two engines with enough to do, of unlike weight: until the one that matters is done, the other one gets
 * next to nothing, whichever came first. (With weights nearer to each other the shares are of measured
 * times, which a busy box spoils; unit/runtime-scheduler tests those on a virtual clock.)
 */
static void engines_share_by_weight(void **state)
{
    (void)state;
    struct mly_error err = {0};
    for (int second_matters = 0; second_matters < 2; second_matters++) {
        executor = "starpu:eager";
        struct mly_engine_options options = {.queue_capacity = 300,
                                             .weight = second_matters ? 1 : 10000};
        rig_open(&rig, create, &fake_ops, &options, "0", "1", 1, whole, 1);
        struct mly_engine_options beside = {
            .beside = rig.engine, .queue_capacity = 300, .weight = second_matters ? 10000 : 1};
        mly_engine *second = NULL;
        expect_ok(try_open(1, whole, &beside, &second, &err), err);
        fake_hold(1, FAKE_ANY, FAKE_ANY);
        send(1, 100);
        submit_to(second, batches, 301, 400);
        const int64_t last = second_matters ? 400 : 100;
        fake_hold(last, FAKE_ANY, FAKE_ANY);
        fake_release(1, FAKE_ANY, FAKE_ANY);
        fake_await_held(last, FAKE_ANY, FAKE_ANY);
        struct mly_engine_stats stats;
        mly_engine_get_stats(second_matters ? rig.engine : second, &stats);
        if (stats.completed > 30)
            fail_msg("%llu of the light one's while the heavy one had work",
                     (unsigned long long)stats.completed);
        fake_release_all();
        for (int64_t tag = 301; tag <= 400; tag++) {
            assert_int_equal(mly_request_wait(batches[tag - 1].request, NULL), MLY_OK);
            mly_request_release(batches[tag - 1].request);
        }
        expect_all(1, 100);
        mly_engine_destroy(second);
        rig_close(&rig);
    }
}

static void *destroy(void *engine)
{
    mly_engine_destroy(engine);
    return NULL;
}

/* Tasks that were not given to StarPU yet are forgotten, so that nobody waits for them. */
static void an_engine_goes_while_its_tasks_are_held_back(void **state)
{
    (void)state;
    struct mly_error err = {0};
    executor = "starpu:eager";
    for (int cancelled = 0; cancelled < 2; cancelled++) {
        struct mly_engine_options deep = {.queue_capacity = 300};
        rig_open(&rig, create, &fake_ops, &deep, "0", "1", 1, whole, 1);
        struct mly_engine_options beside = {.beside = rig.engine, .queue_capacity = 300};
        mly_engine *second = NULL;
        pthread_t destroyer;
        expect_ok(try_open(1, whole, &beside, &second, &err), err);
        fake_hold(1, FAKE_ANY, FAKE_ANY);
        send(1, 100);
        submit_to(second, batches, 301, 400);
        for (int64_t tag = 301; tag <= 400 && cancelled; tag++)
            mly_request_cancel(batches[tag - 1].request);
        assert_int_equal(pthread_create(&destroyer, NULL, destroy, second), 0);
        fake_release_all();
        pthread_join(destroyer, NULL);
        for (int64_t tag = 301; tag <= 400; tag++)
            mly_request_release(batches[tag - 1].request);
        expect_all(1, 100);
        rig_close(&rig);
    }
}

/* While tickets of stopped requests are still in StarPU's hands, their engine may go. */
static void stopped_requests_leave_nothing_behind(void **state)
{
    (void)state;
    executor = "starpu:dmda";
    for (int round = 0; round < 5; round++) {
        rig_open(&rig, create, &fake_ops, NULL, "0", "1", 2, two_replicas, 1);
        fake_hold(1, FAKE_ANY, FAKE_ANY);
        send(1, 12);
        fake_await_held(1, FAKE_ANY, FAKE_ANY);
        for (int i = 1; i < 12; i++)
            mly_request_cancel(batches[i].request);
        for (int i = 1; i < 12; i++) {
            enum mly_status status = mly_request_wait(batches[i].request, NULL);
            assert_true(status == MLY_E_CANCELLED || status == MLY_OK);
        }
        fake_release_all();
        for (int i = 0; i < 12; i++)
            mly_request_release(batches[i].request);
        rig_close(&rig);
    }
    executor = "starpu";
}

static void failed_tasks_are_tried_elsewhere(void **state)
{
    (void)state;
    rig_open(&rig, create, &fake_ops, NULL, "0", "1", 2, two_replicas, 1);
    fake_fail_run(1, MLY_E_BACKEND);
    send(1, 8);
    expect_all(1, 8);
    struct mly_engine_stats stats;
    mly_engine_get_stats(rig.engine, &stats);
    assert_int_equal(stats.retried, 1);
    rig_close(&rig);
}

/* Nothing asserted is a time: an engine that spun would use hundreds of times as much. */
static void idle_workers_sleep(void **state)
{
    (void)state;
    rig_open(&rig, create, &fake_ops, NULL, "0", "1", 2, two_replicas, 1);
    send(1, 20);
    expect_all(1, 20);
    mly_engine_drain(rig.engine);
    struct timespec nap = {.tv_nsec = 300000000};
    int64_t begin_ns = mly_cpu_time_ns();
    nanosleep(&nap, NULL);
    assert_true(mly_cpu_time_ns() - begin_ns < 150000000);
    rig_close(&rig);
}

static void files_stay_in_the_cache(void **state)
{
    (void)state;
    struct mly_error err = {0};
    char *cache = NULL;
    expect_ok(mly_cache_dir("starpu", &cache, &err), err);
    assert_string_equal(getenv("STARPU_HOME"), cache);
    const char *models = scratch_path(cache, ".starpu/sampling/codelets/45");
    DIR *folder = opendir(models); /* performance models would be here: none is calibrated */
    for (const struct dirent *e = folder ? readdir(folder) : NULL; e; e = readdir(folder))
        assert_true(e->d_name[0] == '.');
    if (folder)
        closedir(folder);
    mly_free(cache);
}

static void memory_may_fail(void **state)
{
    (void)state;
    struct mly_error err = {0};
    for (uint64_t n = 1;; n++) {
        mly_engine *engine = NULL;
        struct mly_flow flow;
        expect_ok(fake_flow_init(&fake_ops, "0", "1", 2, two_replicas, 1, &flow, &err), err);
        mly_alloc_fail_once(n);
        enum mly_status status = create(&flow, NULL, &engine, &err);
        mly_alloc_fail_once(0);
        mly_engine_destroy(engine);
        if (status == MLY_OK)
            break;
        assert_int_equal(status, MLY_E_NO_MEMORY);
        assert_true(n < 200);
    }
    /* A task without a ticket runs without StarPU. Workers stand still, so that none allocates. */
    rig_open(&rig, create, &fake_ops, NULL, "0", "1", 2, two_replicas, 1);
    fake_hold(FAKE_ANY, FAKE_ANY, FAKE_ANY);
    for (int64_t tag = 1; tag <= 4; tag++) {
        rig_fill(&rig, &batches[tag - 1], tag);
        mly_alloc_fail_once(1);
        enum mly_status status = rig_submit(&batches[tag - 1], true, true, &err);
        mly_alloc_fail_once(0);
        assert_int_equal(status, MLY_OK);
    }
    fake_release_all();
    expect_all(1, 4);
    rig_close(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_policy_runs_unlike_segments),
        cmocka_unit_test(dmda_knows_our_costs),
        cmocka_unit_test(limits_and_wrong_names_are_said),
        cmocka_unit_test(engines_beside_share_its_workers),
        cmocka_unit_test(a_flooded_engine_leaves_the_other_its_share),
        cmocka_unit_test(engines_share_by_weight),
        cmocka_unit_test(an_engine_goes_while_its_tasks_are_held_back),
        cmocka_unit_test(stopped_requests_leave_nothing_behind),
        cmocka_unit_test(failed_tasks_are_tried_elsewhere),
        cmocka_unit_test(idle_workers_sleep),
        cmocka_unit_test(files_stay_in_the_cache),
        cmocka_unit_test(memory_may_fail),
    };
    struct mly_error err = {0};
    if (mly__starpu_probe(NULL, NULL, NULL, &err) != MLY_OK) {
        printf("%s\n", err.message);
        return 77;
    }
    executor = "starpu";
    return cmocka_run_group_tests(tests, NULL, NULL);
}

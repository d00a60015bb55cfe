/* The n-th allocation fails, for every n: an error comes back, nothing leaks, the next call works. */
#include "backend/prepared.h"
#include "base/alloc.h"
#include "support/backend_rig.h"

static char *scratch;
static struct mly_error err;
static struct rig rig;
static const struct mly_backend_ops *ops;

static int group_setup(void **state)
{
    (void)state;
    scratch = scratch_create();
    ops = mly_backend_find("ort");
    if (setenv("MOTLEY_CACHE_DIR", scratch_path(scratch, "cache"), 1) != 0)
        return -1;
    rig_load(&rig, rig_zoo(scratch, "matmul-257"));
    return 0;
}

static int group_teardown(void **state)
{
    (void)state;
    mly_alloc_fail_once(0);
    rig_free(&rig);
    scratch_remove(scratch);
    return 0;
}

/* How many allocations an opening makes. */
static uint64_t count_opening(const struct mly_session_options *options, bool clear)
{
    mly_session *session = NULL;
    if (clear)
        expect_ok(mly_prepared_clear(NULL, NULL, &err), err);
    const uint64_t before = mly_alloc_count();
    expect_ok(ops->open(rig.model, &rig.whole, options, &session, &err), err);
    const uint64_t count = mly_alloc_count() - before;
    ops->close(session);
    return count;
}

static void each_allocation(const struct mly_session_options *options, bool clear)
{
    (void)count_opening(options, clear); /* what the first one makes is there */
    const uint64_t count = count_opening(options, clear);
    assert_true(count > 5);
    for (uint64_t n = 1; n <= count; n++) {
        mly_session *session = NULL;
        if (clear)
            expect_ok(mly_prepared_clear(NULL, NULL, &err), err);
        mly_alloc_fail_once(n);
        const enum mly_status status = ops->open(rig.model, &rig.whole, options, &session, &err);
        mly_alloc_fail_once(0);
        /* Where something else does as well (the plain way, say), opening goes on. */
        if (status == MLY_OK)
            ops->close(session);
        else
            assert_int_equal(status, MLY_E_NO_MEMORY);
        assert_true(status == MLY_OK || session == NULL);
    }
    (void)count_opening(options, clear); /* and the next one works */
}

static void opening_survives_every_failed_allocation(void **state)
{
    (void)state;
    struct mly_session_options options = rig_options(1);
    each_allocation(&options, false); /* a copy is there */
    each_allocation(&options, true);  /* none is */
    options.no_prepared_copy = true;
    each_allocation(&options, false);
    options = (struct mly_session_options){.runtime_defaults = true};
    each_allocation(&options, false);
}

static void running_survives_every_failed_allocation(void **state)
{
    (void)state;
    const struct mly_session_options options = rig_options(1);
    mly_session *session = NULL;
    expect_ok(ops->open(rig.model, &rig.whole, &options, &session, &err), err);
    const struct mly_session_info *info = ops->info(session);
    struct mly_tensor *inputs = rig_inputs(info, 1, 1);
    for (uint64_t n = 1; n <= 8; n++) {
        struct mly_tensor *outputs = rig_outputs(info);
        mly_alloc_fail_once(n);
        const enum mly_status status = ops->run(session, inputs, outputs, &err);
        mly_alloc_fail_once(0);
        assert_true(status == MLY_OK || status == MLY_E_NO_MEMORY);
        tensors_free(outputs, info->output_count);
    }
    tensors_free(inputs, info->input_count);
    ops->close(session);
}

static void times_and_shapes_survive_every_failed_allocation(void **state)
{
    (void)state;
    struct mly_session_options options = rig_options(1);
    options.profile_nodes = true;
    expect_ok(mly_dir_create(scratch_path(scratch, "tmp"), &err), err);
    assert_int_equal(setenv("TMPDIR", scratch_path(scratch, "tmp"), 1), 0);
    for (uint64_t n = 1, failed = 1; failed; n++) {
        mly_session *session = NULL;
        struct mly_node_times times = {0};
        expect_ok(ops->open(rig.model, &rig.whole, &options, &session, &err), err);
        const struct mly_session_info *info = ops->info(session);
        struct mly_tensor *inputs = rig_inputs(info, 1, 1), *outputs = rig_outputs(info);
        expect_ok(ops->run(session, inputs, outputs, &err), err);
        const uint64_t before = mly_alloc_count();
        mly_alloc_fail_once(n);
        const enum mly_status status = ops->node_times(session, &times, &err);
        mly_alloc_fail_once(0);
        failed = mly_alloc_count() - before >= n;
        mly_node_times_fini(&times);
        assert_true(status == MLY_OK || status == MLY_E_NO_MEMORY);
        tensors_free(inputs, info->input_count);
        tensors_free(outputs, info->output_count);
        ops->close(session);
    }
    assert_int_equal(rmdir(getenv("TMPDIR")), 0); /* nothing is left in it */
    unsetenv("TMPDIR");
    for (uint64_t n = 1, failed = 1; failed; n++) {
        const uint64_t before = mly_alloc_count();
        mly_alloc_fail_once(n);
        const enum mly_status status = ops->infer_shapes(rig.model, NULL, 0, &err);
        mly_alloc_fail_once(0);
        failed = mly_alloc_count() - before >= n;
        assert_true(status == MLY_OK || status == MLY_E_NO_MEMORY);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(opening_survives_every_failed_allocation),
        cmocka_unit_test(running_survives_every_failed_allocation),
        cmocka_unit_test(times_and_shapes_survive_every_failed_allocation),
    };
    return cmocka_run_group_tests_name("back end faults", tests, group_setup, group_teardown);
}

/*
 * Modelled processors in real time: how long runs take, when there are results and when they are
 * declared absent, and that it is said why. The devices are of this test.
 */
#include <pthread.h>
#include <stdatomic.h>

#include <motley/engine.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "support/backend_rig.h"

static char *scratch;
static struct mly_error err;
static struct rig rig;
static const struct mly_backend_ops *modelled, *ort;

/* A device whose every run takes so long, by its launch, and each copy there and back by its latency. */
static void write_device(const char *folder, const char *name, double launch_ns, double link_ns)
{
    char text[1024];
    int length =
        snprintf(text, sizeof text,
                 "{\"motley_device\": 1, \"name\": \"%s\", \"description\": \"of a test\",\n"
                 " \"family\": \"roofline\", \"constants\": {\n"
                 "  \"f32_macs_per_s\": {\"value\": 1e15, \"assumed\": true},\n"
                 "  \"i8_macs_per_s\": {\"value\": 1e15, \"assumed\": true},\n"
                 "  \"memory_bytes_per_s\": {\"value\": 1e13, \"assumed\": true},\n"
                 "  \"memory_bytes\": {\"value\": 1e12, \"assumed\": true},\n"
                 "  \"launch_ns\": {\"value\": %g, \"assumed\": true},\n"
                 "  \"node_ns\": {\"value\": 0, \"assumed\": true},\n"
                 "  \"to_device_latency_ns\": {\"value\": %g, \"assumed\": true},\n"
                 "  \"to_device_bytes_per_s\": {\"value\": 1e13, \"assumed\": true},\n"
                 "  \"to_host_latency_ns\": {\"value\": %g, \"assumed\": true},\n"
                 "  \"to_host_bytes_per_s\": {\"value\": 1e13, \"assumed\": true},\n"
                 "  \"idle_w\": {\"value\": 1, \"assumed\": true},\n"
                 "  \"active_w\": {\"value\": 2, \"assumed\": true}}}\n",
                 name, launch_ns, link_ns, link_ns / 2);
    char file[64];
    snprintf(file, sizeof file, "%s.json", name);
    expect_ok(mly_file_write(scratch_path(folder, file), text, (size_t)length, &err), err);
}

static int setup(void **state)
{
    (void)state;
    scratch = scratch_create();
    char *devices = strdup(scratch_path(scratch, "devices"));
    expect_ok(mly_dir_create(devices, &err), err);
    write_device(devices, "instant", 0, 0);
    write_device(devices, "patient", 3e8, 0); /* long enough for a small network on any box */
    write_device(devices, "endless", 1e9, 0);
    write_device(devices, "remote", 2e7, 1e7);
    setenv("MOTLEY_DEVICES", devices, 1);
    setenv("MOTLEY_CACHE_DIR", scratch_path(scratch, "cache"), 1);
    free(devices);
    modelled = mly_backend_find("modelled");
    ort = mly_backend_find("ort");
    rig_load(&rig, rig_zoo(scratch, "cnn1"));
    return modelled && ort ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    rig_free(&rig);
    scratch_remove(scratch);
    return 0;
}

static mly_session *open_on(const char *kind, enum mly_results results)
{
    static struct mly_processor processor;
    processor = (struct mly_processor){.modelled = true, .usable = true};
    snprintf(processor.id, sizeof processor.id, "%s:0", kind);
    snprintf(processor.kind, sizeof processor.kind, "%s", kind);
    const struct mly_session_options options = {.processor = &processor, .results = results};
    mly_session *session = NULL;
    expect_ok(modelled->open(rig.model, &rig.whole, &options, &session, &err), err);
    return session;
}

static void expect_absent(const mly_session *session, const struct mly_tensor *tensor)
{
    const struct mly_session_port *port = &modelled->info(session)->outputs[0];
    assert_true(mly_tensor_is_absent(tensor));
    assert_int_equal(tensor->dtype, port->dtype);
    assert_int_equal(tensor->shape.rank, port->shape.rank);
    assert_true(mly_shape_is_known(&tensor->shape));
}

static void drives_what_has_a_device_file(void **state)
{
    (void)state;
    assert_true(modelled->drives("patient") && modelled->drives("edgetpu-pcie"));
    assert_false(modelled->drives("cpu") || modelled->drives("abacus"));
    assert_non_null(strstr(modelled->description, "modelled"));
}

static void a_run_takes_as_long_as_is_modelled(void **state)
{
    (void)state;
    mly_session *session = open_on("patient", MLY_RESULTS_NEVER);
    const struct mly_session_info *info = modelled->info(session);
    struct mly_tensor *inputs = rig_inputs(info, 1, 1), *outputs = rig_outputs(info);
    int64_t begun_ns = mly_now_ns();
    expect_ok(modelled->run(session, inputs, outputs, &err), err);
    assert_true(mly_now_ns() - begun_ns >= 300000000);
    tensors_free(inputs, info->input_count);
    tensors_free(outputs, info->output_count);
    modelled->close(session);
}

/* The first run loads weights before; what is copied lies within the run, execution between. */
static void runs_say_what_they_copied(void **state)
{
    (void)state;
    struct mly_session_copy copies[MLY_SESSION_COPIES_MAX];
    mly_session *session = open_on("remote", MLY_RESULTS_NEVER);
    const struct mly_session_info *info = modelled->info(session);
    struct mly_tensor *inputs = rig_inputs(info, 1, 1), *outputs = rig_outputs(info);
    assert_int_equal(modelled->copies(session, copies), 0);
    for (int i = 0; i < 2; i++) {
        int64_t begun_ns = mly_now_ns();
        expect_ok(modelled->run(session, inputs, outputs, &err), err);
        int64_t took_ns = mly_now_ns() - begun_ns;
        assert_int_equal(modelled->copies(session, copies), 2);
        const struct mly_session_copy *in = &copies[0], *out = &copies[1];
        assert_true(!in->out && out->out);
        assert_true(in->ns >= 10000000 && in->ns < 11000000);
        assert_true(out->ns >= 5000000 && out->ns < 6000000);
        assert_true(i > 0 || in->offset_ns >= 10000000);
        assert_true(in->offset_ns >= 0 && out->offset_ns + out->ns <= took_ns);
        assert_int_equal(in->bytes, inputs[0].size_bytes);
        assert_true(out->bytes > 0);
    }
    inputs[0].shape.rank = 1;
    expect_error(modelled->run(session, inputs, outputs, &err), MLY_E_MISMATCH, err, "");
    assert_int_equal(modelled->copies(session, copies), 0);
    tensors_free(inputs, info->input_count);
    tensors_free(outputs, info->output_count);
    modelled->close(session);
}

/* Late wake-ups are made up for by runs that waited, but no device is faster than its model. */
static void runs_one_after_another_take_no_less_than_all_together(void **state)
{
    (void)state;
    mly_session *session = open_on("patient", MLY_RESULTS_NEVER);
    const struct mly_session_info *info = modelled->info(session);
    struct mly_tensor *inputs = rig_inputs(info, 1, 1), *outputs = rig_outputs(info);
    const int64_t begun_ns = mly_now_ns();
    for (int i = 0; i < 3; i++)
        expect_ok(modelled->run(session, inputs, outputs, &err), err);
    assert_true(mly_now_ns() - begun_ns >= 3 * (int64_t)300000000);
    nanosleep(&(struct timespec){.tv_nsec = 5000000}, NULL); /* the device idles */
    const int64_t again_ns = mly_now_ns();
    expect_ok(modelled->run(session, inputs, outputs, &err), err);
    assert_true(mly_now_ns() - again_ns >= 300000000);
    tensors_free(inputs, info->input_count);
    tensors_free(outputs, info->output_count);
    modelled->close(session);
}

static void results_are_the_cpus_where_it_is_fast_enough(void **state)
{
    (void)state;
    const struct mly_session_options cpu = rig_options(1);
    struct mly_tensor wanted;
    rig_run_once(ort, &rig, &cpu, 4, &wanted, NULL);
    mly_session *session = open_on("patient", MLY_RESULTS_WHEN_FAST);
    const struct mly_session_info *info = modelled->info(session);
    struct mly_tensor *inputs = rig_inputs(info, 1, 4), *outputs = rig_outputs(info);
    for (int i = 0; i < 2; i++) {
        expect_ok(modelled->run(session, inputs, outputs, &err), err);
        if (mly_tensor_is_absent(&outputs[0]))
            print_message("# this box needs over 150 ms for a tiny network\n");
        else
            assert_true(tensors_close(&outputs[0], &wanted, 1e-6, 1e-5));
        mly_tensor_fini(&outputs[0]);
    }
    mly_tensor_fini(&wanted);
    tensors_free(inputs, info->input_count);
    tensors_free(outputs, info->output_count);
    modelled->close(session);
}

static void results_that_would_take_too_long_are_absent_from_the_first_on(void **state)
{
    (void)state;
    mly_session *session = open_on("instant", MLY_RESULTS_WHEN_FAST);
    const struct mly_session_info *info = modelled->info(session);
    struct mly_tensor *inputs = rig_inputs(info, 3, 1), *outputs = rig_outputs(info), own;
    for (int i = 0; i < 3; i++) {
        expect_ok(modelled->run(session, inputs, outputs, &err), err);
        expect_absent(session, &outputs[0]);
        assert_int_equal(outputs[0].shape.dims[0], 3);
    }
    /* Whoever brings memory wants values. */
    expect_ok(mly_tensor_init(outputs[0].dtype, &outputs[0].shape, &own, &err), err);
    void *memory = own.data;
    expect_error(modelled->run(session, inputs, &own, &err), MLY_E_ABSENT, err,
                 info->outputs[0].name);
    assert_non_null(strstr(err.message, "modelled at"));
    assert_ptr_equal(own.data, memory);
    expect_error(mly_tensor_dup(&outputs[0], &own, &err), MLY_E_ABSENT, err, "absent");
    mly_tensor_fini(&own);
    tensors_free(inputs, info->input_count);
    tensors_free(outputs, info->output_count);
    modelled->close(session);
}

static void results_are_computed_in_any_case_if_wanted(void **state)
{
    (void)state;
    mly_session *session = open_on("instant", MLY_RESULTS_ALWAYS);
    const struct mly_session_info *info = modelled->info(session);
    struct mly_tensor *inputs = rig_inputs(info, 2, 1), *outputs = rig_outputs(info);
    expect_ok(modelled->run(session, inputs, outputs, &err), err);
    assert_false(mly_tensor_is_absent(&outputs[0]));
    assert_non_null(outputs[0].data);
    tensors_free(inputs, info->input_count);
    tensors_free(outputs, info->output_count);
    modelled->close(session);
}

static void nothing_comes_of_absent_inputs(void **state)
{
    (void)state;
    mly_session *session = open_on("instant", MLY_RESULTS_ALWAYS);
    const struct mly_session_info *info = modelled->info(session);
    struct mly_tensor *inputs = rig_inputs(info, 2, 1), *outputs = rig_outputs(info);
    struct mly_tensor absent = inputs[0], own;
    absent.data = NULL;
    absent.size_bytes = 0;
    absent.release = NULL;
    expect_ok(modelled->run(session, &absent, outputs, &err), err);
    expect_absent(session, &outputs[0]);
    expect_ok(mly_tensor_init(outputs[0].dtype, &outputs[0].shape, &own, &err), err);
    expect_error(modelled->run(session, &absent, &own, &err), MLY_E_ABSENT, err, "inputs");
    mly_tensor_fini(&own);
    tensors_free(inputs, info->input_count);
    tensors_free(outputs, info->output_count);
    modelled->close(session);
}

struct long_run {
    mly_session *session;
    struct mly_tensor *inputs, *outputs;
    enum mly_status status;
    atomic_bool done;
};

static void *run_long(void *argument)
{
    struct long_run *run = argument;
    struct mly_error ignored;
    do /* each takes a second: one that was not cancelled in time is followed by another */
        run->status = modelled->run(run->session, run->inputs, run->outputs, &ignored);
    while (run->status == MLY_OK);
    atomic_store(&run->done, true);
    return NULL;
}

static void cancelling_interrupts_the_sleep(void **state)
{
    (void)state;
    struct long_run run = {.session = open_on("endless", MLY_RESULTS_NEVER)};
    const struct mly_session_info *info = modelled->info(run.session);
    pthread_t thread;
    run.inputs = rig_inputs(info, 1, 1);
    run.outputs = rig_outputs(info);
    assert_int_equal(pthread_create(&thread, NULL, run_long, &run), 0);
    while (!atomic_load(&run.done))
        modelled->cancel(run.session);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_int_equal(run.status, MLY_E_CANCELLED);
    tensors_free(run.inputs, info->input_count);
    tensors_free(run.outputs, info->output_count);
    modelled->close(run.session);
}

static void what_a_device_cannot_run_is_named(void **state)
{
    (void)state;
    struct rig loop;
    char path[4096];
    mly_session *session = NULL;
    struct mly_processor processor = {.id = "edgetpu-pcie:0", .kind = "edgetpu-pcie"};
    struct mly_session_options options = {.processor = &processor};
    snprintf(path, sizeof path, "%s/tests/data/models/loop.onnx", test_env("MOTLEY_SOURCE_ROOT"));
    rig_load(&loop, path);
    expect_error(modelled->open(loop.model, &loop.whole, &options, &session, &err),
                 MLY_E_UNSUPPORTED, err, "edgetpu-pcie:0 (modelled)");
    assert_non_null(strstr(err.message, "Loop"));
    rig_free(&loop);
    snprintf(processor.kind, sizeof processor.kind, "abacus");
    expect_error(modelled->open(rig.model, &rig.whole, &options, &session, &err), MLY_E_UNSUPPORTED,
                 err, "abacus");
    assert_null(session);
}

static void every_allocation_of_opening_and_running_may_fail(void **state)
{
    (void)state;
    struct mly_processor processor = {.id = "instant:0", .kind = "instant"};
    const struct mly_session_options options = {.processor = &processor,
                                                .results = MLY_RESULTS_NEVER};
    mly_session *session = open_on("instant", MLY_RESULTS_NEVER);
    struct mly_tensor *inputs = rig_inputs(modelled->info(session), 5, 1);
    struct mly_tensor *outputs = rig_outputs(modelled->info(session));
    modelled->close(session);
    enum mly_status status = MLY_E_NO_MEMORY;
    uint64_t n = 0;
    while (status == MLY_E_NO_MEMORY) {
        session = NULL;
        mly_alloc_fail_once(++n);
        status = modelled->open(rig.model, &rig.whole, &options, &session, &err);
        if (status == MLY_OK)
            status = modelled->run(session, inputs, outputs, &err);
        mly_alloc_fail_once(0);
        if (session)
            modelled->close(session);
    }
    expect_ok(status, err);
    assert_true(n > 8);
    tensors_free(inputs, 1);
    tensors_free(outputs, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(drives_what_has_a_device_file),
        cmocka_unit_test(a_run_takes_as_long_as_is_modelled),
        cmocka_unit_test(runs_say_what_they_copied),
        cmocka_unit_test(runs_one_after_another_take_no_less_than_all_together),
        cmocka_unit_test(results_are_the_cpus_where_it_is_fast_enough),
        cmocka_unit_test(results_that_would_take_too_long_are_absent_from_the_first_on),
        cmocka_unit_test(results_are_computed_in_any_case_if_wanted),
        cmocka_unit_test(nothing_comes_of_absent_inputs),
        cmocka_unit_test(cancelling_interrupts_the_sleep),
        cmocka_unit_test(what_a_device_cannot_run_is_named),
        cmocka_unit_test(every_allocation_of_opening_and_running_may_fail),
    };
    return cmocka_run_group_tests_name("modelled back end", tests, setup, teardown);
}

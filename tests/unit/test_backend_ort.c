/* What is particular to ONNX Runtime: silence, refused models, inferred shapes, times of nodes. */
#include <dirent.h>
#include <math.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/alloc.h"
#include "support/backend_rig.h"
#include "unit/test_model_wire.h"

static char *scratch;
static struct mly_error err;
static const struct mly_backend_ops *ops;

static int group_setup(void **state)
{
    (void)state;
    scratch = scratch_create();
    ops = mly_backend_find("ort");
    return setenv("MOTLEY_CACHE_DIR", scratch_path(scratch, "cache"), 1);
}

static int group_teardown(void **state)
{
    (void)state;
    scratch_remove(scratch);
    return 0;
}

/* --- silence --- */

static size_t count_sockets(void)
{
    size_t count = 0;
    DIR *directory = opendir("/proc/self/fd");
    for (const struct dirent *at; directory && (at = readdir(directory));) {
        char target[256];
        const ssize_t length = readlinkat(dirfd(directory), at->d_name, target, sizeof target - 1);
        if (length > 0) {
            target[length] = '\0';
            count += strncmp(target, "socket:", 7) == 0;
        }
    }
    if (directory)
        closedir(directory);
    return count;
}

/* In a process of its own, where the variable is not set: 0 if all is well. */
static int silent_child(const char *path)
{
    struct rig rig;
    const char *version;
    const struct mly_session_options options = rig_options(2);
    unsetenv("ORT_DISABLE_TELEMETRY");
    const size_t before = count_sockets();
    if (mly_backend_find("ort")->probe(&version, &err) != MLY_OK)
        return 2;
    const char *value = getenv("ORT_DISABLE_TELEMETRY");
    if (!value || strcmp(value, "1") != 0)
        return 3;
    rig_load(&rig, path);
    rig_run_once(mly_backend_find("ort"), &rig, &options, 1, NULL, NULL);
    rig_free(&rig);
    return count_sockets() == before ? 0 : 4;
}

static void never_reports_home(void **state)
{
    (void)state;
    char self[4096] = "";
    const char *path = rig_zoo(scratch, "squeezenet");
    assert_true(readlink("/proc/self/exe", self, sizeof self - 1) > 0);
    const pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        execl(self, self, path, (char *)NULL);
        _exit(127);
    }
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

/* --- refused models --- */

static struct wire one_node(const char *op, const char *name, int type_in, int type_out)
{
    struct wire graph = {0};
    wire_put(&graph, GRAPH_NODE, onnx_node(op, name, "x", "y"));
    wire_put(&graph, GRAPH_INPUT, onnx_value("x", type_in, "N 4"));
    wire_put(&graph, GRAPH_OUTPUT, onnx_value("y", type_out, "N 4"));
    return onnx_model(graph);
}

static void refuse(struct wire model, enum mly_status status, const char *fragment)
{
    struct rig rig;
    mly_session *session = NULL;
    const char *path = scratch_path(scratch, "refused.onnx");
    struct mly_session_options options = rig_options(1);
    wire_save(model, path);
    rig_load(&rig, path);
    expect_error(ops->open(rig.model, &rig.whole, &options, &session, &err), status, err, fragment);
    options.no_prepared_copy = true;
    expect_error(ops->open(rig.model, &rig.whole, &options, &session, &err), status, err, fragment);
    assert_null(session);
    assert_null(strstr(err.message, "/onnxruntime_src"));
    assert_null(strchr(err.message, '\n'));
    rig_free(&rig);
}

static void says_what_it_does_not_take(void **state)
{
    (void)state;
    enum { STRING = 8, F64 = 11 };
    refuse(one_node("Frobnicate", "turn", F32, F32), MLY_E_UNSUPPORTED, "'turn'");
    refuse(one_node("Frobnicate", "", F32, F32), MLY_E_UNSUPPORTED, "'Frobnicate_0'");
    refuse(one_node("Identity", "same", STRING, STRING), MLY_E_UNSUPPORTED,
           "'x' is of type string");
    refuse(one_node("Relu", "r", F32, F64), MLY_E_BACKEND, "y");
}

/* --- shapes --- */

static void infers_shapes_of_everything(void **state)
{
    (void)state;
    struct rig rig;
    struct wire graph = {0};
    wire_put(&graph, GRAPH_NODE, onnx_node("Relu", "a", "x", "t"));
    wire_put(&graph, GRAPH_NODE, onnx_node("Shape", "b", "t", "s"));
    wire_put(&graph, GRAPH_NODE, onnx_node("Sigmoid", "c", "t", "u"));
    wire_put(&graph, GRAPH_NODE, onnx_node("MatMul", "d", "u w", "v"));
    wire_put(&graph, GRAPH_NODE, onnx_node("Softmax", "e", "v", "y"));
    wire_put(&graph, GRAPH_INITIALISER, onnx_raw_tensor("w", F32, "20 30", 2400, 0));
    wire_put(&graph, GRAPH_INPUT, onnx_value("x", F32, "N 20"));
    wire_put(&graph, GRAPH_OUTPUT, onnx_value("y", F32, NULL));
    const char *path = scratch_path(scratch, "shapes.onnx");
    wire_save(onnx_model(graph), path);
    rig_load(&rig, path);
    expect_ok(ops->infer_shapes(rig.model, NULL, 0, &err), err);
    const struct mly_graph *inferred = mly_model_graph(rig.model);
    static const struct {
        const char *name;
        enum mly_dtype dtype;
        int32_t rank;
        int64_t last;
    } wanted[] = {{"t", MLY_DTYPE_F32, 2, 20},
                  {"s", MLY_DTYPE_I64, 1, 2},
                  {"v", MLY_DTYPE_F32, 2, 30},
                  {"y", MLY_DTYPE_F32, 2, 30}};
    for (size_t i = 0; i < sizeof wanted / sizeof *wanted; i++) {
        const struct mly_graph_tensor *tensor =
            &inferred->tensors[mly_graph_find_tensor(inferred, wanted[i].name)];
        assert_int_equal(tensor->dtype, wanted[i].dtype);
        assert_int_equal(tensor->shape.rank, wanted[i].rank);
        assert_int_equal(tensor->shape.dims[wanted[i].rank - 1], wanted[i].last);
    }
    const uint32_t t = mly_graph_find_tensor(inferred, "t");
    assert_int_equal(inferred->tensors[t].shape.dims[0], -1);
    assert_string_equal(inferred->tensors[t].dim_names[0], "N");
    rig_free(&rig);

    wire_save(one_node("Frobnicate", "turn", F32, F32), path);
    rig_load(&rig, path);
    expect_error(ops->infer_shapes(rig.model, NULL, 0, &err), MLY_E_UNSUPPORTED, err, "'turn'");
    rig_free(&rig);
}

/* What a reshape makes of the batch: a multiple of it, or a constant where the batch moved elsewhere. */
static void multiples_of_the_batch_are_found(void **state)
{
    (void)state;
    struct rig rig;
    struct wire graph = {0}, wanted = onnx_tensor("to", I64, "2");
    const int64_t to[] = {-1, 5};
    wire_bytes(&wanted, 9, to, sizeof to);
    wire_put(&graph, GRAPH_NODE, onnx_node("Reshape", "a", "x to", "t"));
    wire_put(&graph, GRAPH_NODE, onnx_node("Relu", "b", "t", "y"));
    wire_put(&graph, GRAPH_INITIALISER, wanted);
    wire_put(&graph, GRAPH_INPUT, onnx_value("x", F32, "N 20"));
    wire_put(&graph, GRAPH_OUTPUT, onnx_value("y", F32, NULL));
    const char *path = scratch_path(scratch, "multiples.onnx");
    wire_save(onnx_model(graph), path);
    rig_load(&rig, path);
    expect_ok(ops->infer_shapes(rig.model, NULL, 0, &err), err);
    const struct mly_graph *inferred = mly_model_graph(rig.model);
    const uint32_t y = mly_graph_find_tensor(inferred, "y");
    assert_int_equal(inferred->tensors[y].shape.rank, 2);
    assert_string_equal(inferred->tensors[y].dim_names[0], "4*N");
    assert_int_equal(inferred->tensors[y].shape.dims[1], 5);
    struct mly_shape *shapes = calloc(inferred->tensor_count, sizeof *shapes);
    assert_non_null(shapes);
    expect_ok(mly_graph_bind(rig.model, 3, NULL, 0, shapes, &err), err);
    assert_int_equal(shapes[y].dims[0], 12);
    const struct mly_dim_binding seven = {.name = "N", .size = 7};
    expect_ok(mly_graph_bind(rig.model, 3, &seven, 1, shapes, &err), err);
    assert_int_equal(shapes[y].dims[0], 28);
    free(shapes);
    rig_free(&rig);
}

/* What follows from the size of another symbol is known once that is given. */
static void sizes_of_other_symbols_can_be_given(void **state)
{
    (void)state;
    struct rig rig;
    struct wire graph = {0}, wanted = onnx_tensor("to", I64, "3");
    const int64_t to[] = {0, -1, 2};
    const struct mly_dim_binding ten = {.name = "L", .size = 10};
    wire_bytes(&wanted, 9, to, sizeof to);
    wire_put(&graph, GRAPH_NODE, onnx_node("Reshape", "a", "x to", "t"));
    wire_put(&graph, GRAPH_NODE, onnx_node("Relu", "b", "t", "y"));
    wire_put(&graph, GRAPH_INITIALISER, wanted);
    wire_put(&graph, GRAPH_INPUT, onnx_value("x", F32, "N L"));
    wire_put(&graph, GRAPH_OUTPUT, onnx_value("y", F32, NULL));
    const char *path = scratch_path(scratch, "others.onnx");
    wire_save(onnx_model(graph), path);
    rig_load(&rig, path);
    expect_ok(ops->infer_shapes(rig.model, NULL, 0, &err), err);
    const struct mly_graph *inferred = mly_model_graph(rig.model);
    const struct mly_graph_tensor *y = &inferred->tensors[mly_graph_find_tensor(inferred, "y")];
    assert_int_equal(y->shape.dims[1], -1);
    expect_ok(ops->infer_shapes(rig.model, &ten, 1, &err), err);
    assert_int_equal(y->shape.dims[1], 5);
    assert_string_equal(y->dim_names[0], "N");
    rig_free(&rig);
}

/* --- times of nodes --- */

static bool completes(const struct mly_node_times *times, const char *tensor)
{
    for (uint32_t i = 0; i < times->count; i++)
        for (uint32_t k = 0; k < times->items[i].output_count; k++)
            if (strcmp(times->items[i].outputs[k], tensor) == 0)
                return true;
    return false;
}

static size_t count_profiles(void)
{
    size_t count = 0;
    DIR *directory = opendir(scratch_path(scratch, "tmp"));
    for (const struct dirent *at; directory && (at = readdir(directory));)
        count += at->d_name[0] != '.';
    if (directory)
        closedir(directory);
    return count;
}

/* Every tensor whose maker is heavy is completed by some node of the runtime. */
static void maps_times_back_to_the_model(void **state)
{
    (void)state;
    static const char *const names[] = {"squeezenet", "resnet18", "mobilenet-v2", "matmul-256"};
    enum { RUNS = 5 };
    setenv("TMPDIR", scratch_path(scratch, "tmp"), 1);
    expect_ok(mly_dir_create(scratch_path(scratch, "tmp"), &err), err);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        struct rig rig;
        struct mly_node_times times = {0};
        mly_session *session = NULL;
        struct mly_session_options options = rig_options(1);
        options.profile_nodes = true;
        rig_load(&rig, rig_zoo(scratch, names[i]));
        expect_ok(ops->open(rig.model, &rig.whole, &options, &session, &err), err);
        const struct mly_session_info *info = ops->info(session);
        assert_true(info->prepared_copy);
        struct mly_tensor *inputs = rig_inputs(info, 1, 1), *outputs = rig_outputs(info);
        for (int run = 0; run < RUNS; run++)
            expect_ok(ops->run(session, inputs, outputs, &err), err);
        expect_ok(ops->node_times(session, &times, &err), err);
        assert_true(times.count > 0 && times.overhead_ns >= 0);
        for (uint32_t k = 0; k < times.count; k++) {
            const struct mly_node_time *at = &times.items[k];
            assert_int_equal(at->samples, RUNS);
            assert_true(at->name[0] && at->op_type[0] && isfinite(at->median_ns));
            assert_true(at->p10_ns <= at->median_ns && at->median_ns <= at->p90_ns);
        }
        const struct mly_graph *graph = mly_model_graph(rig.model);
        for (uint32_t k = 0; k < graph->node_count; k++) {
            const struct mly_graph_node *node = &graph->nodes[k];
            const struct mly_graph_tensor *made = &graph->tensors[node->outputs[0]];
            if (strcmp(node->op_type, "Add") == 0 || strcmp(node->op_type, "MatMul") == 0 ||
                strcmp(node->op_type, "Gemm") == 0 || strcmp(node->op_type, "MaxPool") == 0)
                assert_true(completes(&times, made->name));
        }
        for (uint32_t k = 0; k < graph->output_count; k++)
            assert_true(completes(&times, graph->tensors[graph->outputs[k]].name));
        mly_node_times_fini(&times);
        expect_error(ops->node_times(session, &times, &err), MLY_E_INVALID, err, "profile_nodes");
        expect_ok(ops->run(session, inputs, outputs, &err), err); /* and it still runs */
        tensors_free(inputs, info->input_count);
        tensors_free(outputs, info->output_count);
        ops->close(session);
        rig_free(&rig);
        assert_int_equal(count_profiles(), 0);
    }
    unsetenv("TMPDIR");
}

static void notes_times_in_a_writable_folder_only(void **state)
{
    (void)state;
    struct rig rig;
    mly_session *session = NULL;
    struct mly_session_options options = rig_options(1);
    options.profile_nodes = true;
    rig_load(&rig, rig_zoo(scratch, "matmul-64"));
    setenv("TMPDIR", "/nonexistent", 1);
    expect_error(ops->open(rig.model, &rig.whole, &options, &session, &err), MLY_E_NOT_FOUND, err,
                 "/nonexistent");
    unsetenv("TMPDIR");
    options.profile_nodes = false;
    expect_ok(ops->open(rig.model, &rig.whole, &options, &session, &err), err);
    struct mly_node_times times = {0};
    expect_error(ops->node_times(session, &times, &err), MLY_E_INVALID, err, "profile_nodes");
    ops->close(session);
    rig_free(&rig);
}

/* --- overridable inputs --- */

static void overridable_inputs_have_their_default(void **state)
{
    (void)state;
    struct wire graph = {0};
    const float two[4] = {2, 2, 2, 2}, three[4] = {3, 3, 3, 3};
    struct wire b = onnx_tensor("b", F32, "4");
    wire_bytes(&b, 9, two, sizeof two);
    wire_put(&graph, GRAPH_NODE, onnx_node("Mul", "m", "x b", "y"));
    wire_put(&graph, GRAPH_INITIALISER, b);
    wire_put(&graph, GRAPH_INPUT, onnx_value("x", F32, "4"));
    wire_put(&graph, GRAPH_INPUT, onnx_value("b", F32, "4"));
    wire_put(&graph, GRAPH_OUTPUT, onnx_value("y", F32, "4"));
    const char *path = scratch_path(scratch, "overridable.onnx");
    wire_save(onnx_model(graph), path);
    for (int keep = 0; keep < 2; keep++) {
        const struct mly_model_options model_options = {.keep_overridable = keep == 1};
        const struct mly_session_options options = rig_options(1);
        struct rig rig = {0};
        mly_session *session = NULL;
        expect_ok(mly_model_load(path, &model_options, &rig.model, &err), err);
        expect_ok(mly_segment_whole(rig.model, &rig.whole, &err), err);
        expect_ok(ops->open(rig.model, &rig.whole, &options, &session, &err), err);
        const struct mly_session_info *info = ops->info(session);
        assert_int_equal(info->input_count, 1 + keep);
        struct mly_tensor *inputs = rig_inputs(info, 1, 1);
        float *x = inputs[0].data;
        const uint32_t last = info->input_count - 1;
        if (keep) {
            assert_string_equal(info->inputs[1].name, "b");
            memcpy(inputs[1].data, three, sizeof three);
        }
        for (int run = 0; run < 3; run++) {
            struct mly_tensor given[2] = {inputs[0], inputs[last]};
            struct mly_tensor *outputs = rig_outputs(info);
            const bool overrides = keep && run != 1;
            if (keep && !overrides)
                given[1] = (struct mly_tensor){0};
            expect_ok(ops->run(session, given, outputs, &err), err);
            for (int i = 0; i < 4; i++)
                assert_float_equal(((float *)outputs[0].data)[i], x[i] * (overrides ? 3 : 2), 1e-6);
            tensors_free(outputs, info->output_count);
        }
        tensors_free(inputs, info->input_count);
        ops->close(session);
        rig_free(&rig);
    }
}

/* --- outputs of no size, and of sizes that only the run knows --- */

static void outputs_may_have_any_size(void **state)
{
    (void)state;
    struct rig rig;
    struct wire graph = {0};
    const struct mly_session_options options = rig_options(1);
    mly_session *session = NULL;
    wire_put(&graph, GRAPH_NODE, onnx_node("NonZero", "nz", "x", "y"));
    wire_put(&graph, GRAPH_INPUT, onnx_value("x", F32, "8"));
    wire_put(&graph, GRAPH_OUTPUT, onnx_value("y", I64, NULL));
    const char *path = scratch_path(scratch, "nonzero.onnx");
    wire_save(onnx_model(graph), path);
    rig_load(&rig, path);
    expect_ok(ops->open(rig.model, &rig.whole, &options, &session, &err), err);
    const struct mly_session_info *info = ops->info(session);
    struct mly_tensor *inputs = rig_inputs(info, 1, 1), *outputs = rig_outputs(info);
    for (int filled = 0; filled <= 8; filled++) {
        for (int i = 0; i < 8; i++)
            ((float *)inputs[0].data)[i] = i < filled ? 1.0f : 0.0f;
        struct mly_tensor result = {0};
        int64_t memory[8] = {0};
        expect_ok(ops->run(session, inputs, &result, &err), err);
        assert_int_equal(result.shape.dims[1], filled);
        assert_int_equal(result.size_bytes, (size_t)filled * 8);
        mly_tensor_fini(&result);
        /* Into memory of the caller's that is large enough. */
        result = (struct mly_tensor){.dtype = MLY_DTYPE_I64,
                                     .shape = {.rank = -1},
                                     .data = memory,
                                     .size_bytes = sizeof memory};
        expect_ok(ops->run(session, inputs, &result, &err), err);
        assert_int_equal(result.size_bytes, (size_t)filled * 8);
        for (int i = 0; i < filled; i++)
            assert_int_equal(memory[i], i);
        if (filled > 2) {
            result = (struct mly_tensor){
                .dtype = MLY_DTYPE_I64, .shape = {.rank = -1}, .data = memory, .size_bytes = 16};
            expect_error(ops->run(session, inputs, &result, &err), MLY_E_MISMATCH, err, "'y'");
        }
    }
    tensors_free(inputs, info->input_count);
    tensors_free(outputs, info->output_count);
    ops->close(session);
    rig_free(&rig);
}

/* A file that says 3 where the run says otherwise: results are what the run says. */
static void files_may_be_wrong_about_sizes(void **state)
{
    (void)state;
    struct rig rig;
    struct wire graph = {0};
    const struct mly_session_options options = rig_options(1);
    mly_session *session = NULL;
    wire_put(&graph, GRAPH_NODE, onnx_node("NonZero", "nz", "x", "y"));
    wire_put(&graph, GRAPH_INPUT, onnx_value("x", F32, "8"));
    wire_put(&graph, GRAPH_OUTPUT, onnx_value("y", I64, "1 3"));
    const char *path = scratch_path(scratch, "wrong-size.onnx");
    wire_save(onnx_model(graph), path);
    rig_load(&rig, path);
    expect_ok(ops->open(rig.model, &rig.whole, &options, &session, &err), err);
    struct mly_tensor *inputs = rig_inputs(ops->info(session), 1, 1);
    static const int sizes[] = {3, 3, 5, 3, 1, 8};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        for (int k = 0; k < 8; k++)
            ((float *)inputs[0].data)[k] = k < sizes[i] ? 1.0f : 0.0f;
        struct mly_tensor result = {0};
        expect_ok(ops->run(session, inputs, &result, &err), err);
        assert_int_equal(result.shape.dims[1], sizes[i]);
        for (int k = 0; k < sizes[i]; k++)
            assert_int_equal(((int64_t *)result.data)[k], k);
        mly_tensor_fini(&result);
    }
    tensors_free(inputs, 1);
    ops->close(session);
    rig_free(&rig);
}

/* --- memory of results --- */

static void memory_of_results_is_used_again(void **state)
{
    (void)state;
    struct rig rig;
    const struct mly_session_options options = rig_options(1);
    mly_session *session = NULL;
    struct mly_tensor first = {0}, second = {0}, third = {0};
    rig_load(&rig, rig_zoo(scratch, "squeezenet"));
    expect_ok(ops->open(rig.model, &rig.whole, &options, &session, &err), err);
    struct mly_tensor *inputs = rig_inputs(ops->info(session), 1, 1);
    expect_ok(ops->run(session, inputs, &first, &err), err);
    expect_ok(ops->run(session, inputs, &second, &err), err);
    assert_ptr_not_equal(first.data, second.data);
    const void *memory = first.data;
    mly_tensor_fini(&first);
    uint64_t before = mly_alloc_count();
    expect_ok(ops->run(session, inputs, &third, &err), err);
    assert_int_equal(mly_alloc_count(), before);
    assert_ptr_equal(third.data, memory);
    assert_true(tensors_close(&third, &second, 0, 0));
    tensors_free(inputs, 1);
    ops->close(session); /* what is held stays valid */
    assert_true(tensors_close(&third, &second, 0, 0));
    mly_tensor_fini(&second);
    mly_tensor_fini(&third);
    rig_free(&rig);
}

/* --- the runtime's defaults --- */

static uint32_t count_threads(void)
{
    uint32_t count = 0;
    DIR *directory = opendir("/proc/self/task");
    for (const struct dirent *at; directory && (at = readdir(directory));)
        count += at->d_name[0] != '.';
    if (directory)
        closedir(directory);
    return count;
}

/* By itself the runtime would start a thread on every other core of the box. */
static void defaults_stay_on_the_cores_given(void **state)
{
    (void)state;
    struct rig rig;
    rig_load(&rig, rig_zoo(scratch, "squeezenet"));
    struct mly_session_options options = rig_options(1);
    struct mly_processor one = *options.processor;
    one.cpu_count = 1;
    options.processor = &one;
    options.runtime_defaults = true;
    const uint32_t before = count_threads();
    mly_session *session = NULL;
    expect_ok(ops->open(rig.model, &rig.whole, &options, &session, &err), err);
    assert_int_equal(count_threads(), before);
    ops->close(session);
    uint32_t nowhere = 60000;
    one.cpus = &nowhere;
    expect_error(ops->open(rig.model, &rig.whole, &options, &session, &err), MLY_E_ABSENT, err,
                 "CPU 60000");
    rig_free(&rig);
}

int main(int argc, char **argv)
{
    if (argc == 2)
        return silent_child(argv[1]);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(never_reports_home),
        cmocka_unit_test(says_what_it_does_not_take),
        cmocka_unit_test(infers_shapes_of_everything),
        cmocka_unit_test(multiples_of_the_batch_are_found),
        cmocka_unit_test(sizes_of_other_symbols_can_be_given),
        cmocka_unit_test(maps_times_back_to_the_model),
        cmocka_unit_test(notes_times_in_a_writable_folder_only),
        cmocka_unit_test(overridable_inputs_have_their_default),
        cmocka_unit_test(outputs_may_have_any_size),
        cmocka_unit_test(files_may_be_wrong_about_sizes),
        cmocka_unit_test(memory_of_results_is_used_again),
        cmocka_unit_test(defaults_stay_on_the_cores_given),
    };
    return cmocka_run_group_tests_name("ONNX Runtime", tests, group_setup, group_teardown);
}

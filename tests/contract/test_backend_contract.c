/* What every back end must do. Each case runs for every registered member that is usable here. */
#include <dirent.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/stat.h>

#include "model/tensor_pb.h"
#include "support/backend_rig.h"

static char *scratch;
static char model_path[4096];
static struct mly_error err;
static struct rig rig;

static int group_setup(void **state)
{
    (void)state;
    scratch = scratch_create();
    if (setenv("MOTLEY_CACHE_DIR", scratch_path(scratch, "cache"), 1) != 0)
        return -1;
    snprintf(model_path, sizeof model_path, "%s", rig_zoo(scratch, "squeezenet"));
    rig_load(&rig, model_path);
    return 0;
}

static int group_teardown(void **state)
{
    (void)state;
    rig_free(&rig);
    scratch_remove(scratch);
    return 0;
}

/* What modelled processors are tried on; results are wanted in any case. */
static struct mly_processor modelled = {
    .id = "roofline:0", .kind = "roofline", .modelled = true, .usable = true, .numa_node = -1};

static bool is_of_cpus(const struct mly_backend_ops *ops)
{
    return ops->drives("cpu");
}

/* The usable members that drive CPUs or modelled processors, one after another. */
static const struct mly_backend_ops *next_member(size_t *index)
{
    for (const struct mly_backend_ops *ops; (ops = mly_backend_at(*index));) {
        const char *version;
        (*index)++;
        if ((is_of_cpus(ops) || ops->drives(modelled.kind)) && ops->probe(&version, &err) == MLY_OK)
            return ops;
        print_message("# %s is not usable here\n", ops->name);
    }
    return NULL;
}

/* Threads mean nothing to a modelled processor. */
static struct mly_session_options options_for(const struct mly_backend_ops *ops, uint32_t threads)
{
    if (is_of_cpus(ops))
        return rig_options(threads);
    return (struct mly_session_options){.processor = &modelled, .results = MLY_RESULTS_ALWAYS};
}
#define for_each_member(ops)                                                                       \
    for (size_t member_ = 0; member_ != SIZE_MAX; member_ = SIZE_MAX)                              \
        for (const struct mly_backend_ops *ops; (ops = next_member(&member_));)

static mly_session *open_session(const struct mly_backend_ops *ops,
                                 const struct mly_session_options *options)
{
    mly_session *session = NULL;
    expect_ok(ops->open(rig.model, &rig.whole, options, &session, &err), err);
    return session;
}

static void names_its_members(void **state)
{
    (void)state;
    assert_non_null(mly_backend_at(0));
    for (size_t i = 0; mly_backend_at(i); i++) {
        const struct mly_backend_ops *ops = mly_backend_at(i);
        const char *version = NULL;
        assert_ptr_equal(mly_backend_find(ops->name), ops);
        assert_true(ops->description[0] != '\0');
        if (ops->probe(&version, &err) == MLY_OK)
            assert_true(version && version[0]);
    }
    assert_null(mly_backend_find("none"));
}

static void finds_the_back_end_of_a_processor(void **state)
{
    (void)state;
    const struct mly_backend_ops *ops = NULL;
    struct mly_processor other = {.id = "abacus:0", .kind = "abacus"};
    expect_ok(mly_backend_for(rig_processor(), &ops, &err), err);
    assert_true(ops->drives("cpu"));
    expect_error(mly_backend_for(&other, &ops, &err), MLY_E_ABSENT, err, "abacus");
}

static void tells_its_ports_in_the_segments_order(void **state)
{
    (void)state;
    const struct mly_graph *graph = mly_model_graph(rig.model);
    for_each_member(ops)
    {
        const struct mly_session_options options = options_for(ops, 1);
        mly_session *session = open_session(ops, &options);
        const struct mly_session_info *info = ops->info(session);
        assert_int_equal(info->input_count, rig.whole.input_count);
        assert_int_equal(info->output_count, rig.whole.output_count);
        for (uint32_t i = 0; i < info->input_count; i++) {
            assert_string_equal(info->inputs[i].name, graph->tensors[rig.whole.inputs[i]].name);
            assert_int_equal(info->inputs[i].dtype, MLY_DTYPE_F32);
            assert_int_equal(info->inputs[i].shape.rank, 4);
        }
        assert_string_equal(info->outputs[0].name, graph->tensors[rig.whole.outputs[0]].name);
        assert_true(info->open_ns > 0);
        ops->close(session); /* without a run */
    }
}

/* The runtime's own defaults, the plain way and the prepared copy agree. */
static void gives_the_same_results_in_every_way(void **state)
{
    (void)state;
    for_each_member(ops)
    {
        struct mly_session_options ways[3] = {options_for(ops, 2), options_for(ops, 2),
                                              options_for(ops, 2)};
        struct mly_tensor results[3] = {{0}};
        ways[0].runtime_defaults = true;
        ways[1].no_prepared_copy = true;
        for (int i = 0; i < 3; i++)
            rig_run_once(ops, &rig, &ways[i], 7, &results[i], NULL);
        for (int i = 1; i < 3; i++)
            assert_true(tensors_close(&results[i], &results[0], 1e-5, 1e-4));
        for (int i = 0; i < 3; i++)
            mly_tensor_fini(&results[i]);
    }
}

static void refuses_wrong_inputs_by_name(void **state)
{
    (void)state;
    for_each_member(ops)
    {
        const struct mly_session_options options = options_for(ops, 1);
        mly_session *session = open_session(ops, &options);
        const struct mly_session_info *info = ops->info(session);
        struct mly_tensor *right = rig_inputs(info, 1, 1), *outputs = rig_outputs(info);
        struct mly_tensor wrong = right[0];
        const char *name = info->inputs[0].name;
        wrong.dtype = MLY_DTYPE_I32;
        expect_error(ops->run(session, &wrong, outputs, &err), MLY_E_MISMATCH, err, name);
        wrong = right[0];
        wrong.shape.rank = 3;
        expect_error(ops->run(session, &wrong, outputs, &err), MLY_E_MISMATCH, err, name);
        wrong = right[0];
        wrong.shape.dims[1] = 4;
        expect_error(ops->run(session, &wrong, outputs, &err), MLY_E_MISMATCH, err, name);
        wrong = right[0];
        wrong.size_bytes -= 4;
        expect_error(ops->run(session, &wrong, outputs, &err), MLY_E_MISMATCH, err, name);
        wrong = right[0];
        wrong.data = NULL;
        expect_error(ops->run(session, &wrong, outputs, &err), MLY_E_MISMATCH, err, name);
        wrong = (struct mly_tensor){0};
        expect_error(ops->run(session, &wrong, outputs, &err), MLY_E_MISMATCH, err, name);
        assert_null(outputs[0].data);
        expect_ok(ops->run(session, right, outputs, &err), err); /* the session is still good */
        tensors_free(right, info->input_count);
        tensors_free(outputs, info->output_count);
        ops->close(session);
    }
}

static void writes_where_the_caller_wants_it(void **state)
{
    (void)state;
    for_each_member(ops)
    {
        const struct mly_session_options options = options_for(ops, 1);
        mly_session *session = open_session(ops, &options);
        const struct mly_session_info *info = ops->info(session);
        struct mly_tensor *inputs = rig_inputs(info, 2, 3), *given = rig_outputs(info);
        struct mly_tensor *own = rig_outputs(info);
        expect_ok(ops->run(session, inputs, given, &err), err); /* the back end's memory */
        assert_non_null(given[0].data);
        assert_non_null(given[0].release);
        assert_int_equal(given[0].shape.dims[0], 2);
        expect_ok(mly_tensor_init(MLY_DTYPE_F32, &given[0].shape, &own[0], &err), err);
        void *const memory = own[0].data;
        for (int open_dims = 0; open_dims < 3; open_dims++) {
            memset(memory, 0x55, own[0].size_bytes);
            if (open_dims >= 1)
                own[0].shape.dims[0] = -1;
            if (open_dims == 2)
                own[0].shape.rank = -1;
            expect_ok(ops->run(session, inputs, own, &err), err);
            assert_ptr_equal(own[0].data, memory);
            assert_true(tensors_close(&own[0], &given[0], 0, 0));
        }
        struct mly_tensor wrong = own[0];
        const char *name = info->outputs[0].name;
        wrong.shape.dims[0] = 3;
        expect_error(ops->run(session, inputs, &wrong, &err), MLY_E_MISMATCH, err, name);
        wrong = own[0];
        wrong.size_bytes -= 4;
        expect_error(ops->run(session, inputs, &wrong, &err), MLY_E_MISMATCH, err, name);
        wrong = own[0];
        wrong.dtype = MLY_DTYPE_F64;
        expect_error(ops->run(session, inputs, &wrong, &err), MLY_E_MISMATCH, err, name);
        /* What was given stays as it was when the session goes. */
        tensors_free(inputs, info->input_count);
        const uint32_t count = info->output_count;
        ops->close(session);
        assert_true(tensors_close(&own[0], &given[0], 0, 0));
        tensors_free(given, count);
        tensors_free(own, count);
    }
}

/* Results of the back end's own memory must not change when the session runs again. */
static void gives_fresh_memory_each_time(void **state)
{
    (void)state;
    for_each_member(ops)
    {
        const struct mly_session_options options = options_for(ops, 1);
        mly_session *session = open_session(ops, &options);
        const struct mly_session_info *info = ops->info(session);
        struct mly_tensor *a = rig_inputs(info, 1, 1), *b = rig_inputs(info, 1, 2);
        struct mly_tensor *first = rig_outputs(info), *second = rig_outputs(info), kept;
        expect_ok(ops->run(session, a, first, &err), err);
        expect_ok(mly_tensor_dup(&first[0], &kept, &err), err);
        expect_ok(ops->run(session, b, second, &err), err);
        assert_ptr_not_equal(first[0].data, second[0].data);
        assert_true(tensors_close(&first[0], &kept, 0, 0));
        assert_false(tensors_close(&second[0], &kept, 0, 0));
        mly_tensor_fini(&kept);
        tensors_free(a, info->input_count);
        tensors_free(b, info->input_count);
        tensors_free(first, info->output_count);
        tensors_free(second, info->output_count);
        ops->close(session);
    }
}

/* Each item of a batch comes out as if it were alone, whatever batches came before. */
static void takes_batches_of_any_size(void **state)
{
    (void)state;
    static const int64_t batches[] = {1, 4, 2, 1, 3};
    assert_int_equal(mly_model_fixed_batch(rig.model), 0);
    for_each_member(ops)
    {
        const struct mly_session_options options = options_for(ops, 2);
        mly_session *session = open_session(ops, &options);
        const struct mly_session_info *info = ops->info(session);
        struct mly_tensor *all = rig_inputs(info, 4, 9), *alone = rig_outputs(info);
        struct mly_tensor one = all[0];
        one.shape.dims[0] = 1;
        one.size_bytes /= 4;
        one.release = NULL;
        expect_ok(ops->run(session, &one, alone, &err), err);
        for (size_t i = 0; i < sizeof batches / sizeof *batches; i++) {
            struct mly_tensor *outputs = rig_outputs(info), input = all[0];
            input.shape.dims[0] = batches[i];
            input.size_bytes = all[0].size_bytes / 4 * (size_t)batches[i];
            expect_ok(ops->run(session, &input, outputs, &err), err);
            assert_int_equal(outputs[0].shape.dims[0], batches[i]);
            outputs[0].shape.dims[0] = 1;
            const size_t whole_bytes = outputs[0].size_bytes;
            outputs[0].size_bytes = alone[0].size_bytes;
            assert_true(tensors_close(&outputs[0], &alone[0], 1e-6, 1e-4));
            outputs[0].size_bytes = whole_bytes;
            tensors_free(outputs, info->output_count);
        }
        tensors_free(all, info->input_count);
        tensors_free(alone, info->output_count);
        ops->close(session);
    }
}

struct job {
    const struct mly_backend_ops *ops;
    mly_session *session; /* opened by the thread itself when NULL */
    uint64_t seed;
    struct mly_tensor result;
    enum mly_status status;
    struct mly_error err;
};

static void *work(void *argument)
{
    struct job *job = argument;
    const struct mly_session_options options = options_for(job->ops, 1);
    mly_session *own = job->session;
    if (!own)
        job->status = job->ops->open(rig.model, &rig.whole, &options, &own, &job->err);
    if (job->status != MLY_OK)
        return NULL;
    const struct mly_session_info *info = job->ops->info(own);
    struct mly_tensor *inputs = rig_inputs(info, 1, job->seed);
    struct mly_tensor *outputs = rig_outputs(info);
    for (int i = 0; i < 3 && job->status == MLY_OK; i++)
        job->status = job->ops->run(own, inputs, outputs, &job->err);
    job->result = outputs[0];
    outputs[0] = (struct mly_tensor){0};
    tensors_free(inputs, info->input_count);
    tensors_free(outputs, info->output_count);
    if (!job->session)
        job->ops->close(own);
    return NULL;
}

static void runs_on_any_thread_and_several_sessions_at_once(void **state)
{
    (void)state;
    enum { JOBS = 4 };
    for_each_member(ops)
    {
        const struct mly_session_options options = options_for(ops, 1);
        struct mly_tensor wanted;
        pthread_t threads[JOBS];
        struct job jobs[JOBS];
        rig_run_once(ops, &rig, &options, 11, &wanted, NULL);
        for (int i = 0; i < JOBS; i++) {
            /* Half of them open and close their sessions meanwhile. */
            jobs[i] = (struct job){.ops = ops, .seed = 11};
            if (i % 2 == 0)
                jobs[i].session = open_session(ops, &options);
        }
        for (int i = 0; i < JOBS; i++)
            assert_int_equal(pthread_create(&threads[i], NULL, work, &jobs[i]), 0);
        for (int i = 0; i < JOBS; i++) {
            assert_int_equal(pthread_join(threads[i], NULL), 0);
            expect_ok(jobs[i].status, jobs[i].err);
            assert_true(tensors_close(&jobs[i].result, &wanted, 1e-6, 1e-5));
            mly_tensor_fini(&jobs[i].result);
            if (jobs[i].session)
                ops->close(jobs[i].session);
        }
        mly_tensor_fini(&wanted);
    }
}

struct cancelled_run {
    const struct mly_backend_ops *ops;
    mly_session *session;
    const struct mly_tensor *inputs;
    struct mly_tensor *outputs;
    enum mly_status status;
    struct mly_error err;
    atomic_bool done;
};

static void *run_to_cancel(void *argument)
{
    struct cancelled_run *run = argument;
    run->status = run->ops->run(run->session, run->inputs, run->outputs, &run->err);
    atomic_store(&run->done, true);
    return NULL;
}

static void stops_when_cancelled(void **state)
{
    (void)state;
    for_each_member(ops)
    {
        const struct mly_session_options options = options_for(ops, 1);
        if (!ops->cancel)
            continue;
        mly_session *session = open_session(ops, &options);
        const struct mly_session_info *info = ops->info(session);
        struct mly_tensor *inputs = rig_inputs(info, 4, 1), *outputs = rig_outputs(info);
        bool cancelled = false;
        ops->cancel(session); /* nothing runs: nothing happens */
        for (int attempt = 0; attempt < 200 && !cancelled; attempt++) {
            struct cancelled_run run = {
                .ops = ops, .session = session, .inputs = inputs, .outputs = outputs};
            pthread_t thread;
            assert_int_equal(pthread_create(&thread, NULL, run_to_cancel, &run), 0);
            while (!atomic_load(&run.done))
                ops->cancel(session);
            assert_int_equal(pthread_join(thread, NULL), 0);
            cancelled = run.status == MLY_E_CANCELLED;
            assert_true(cancelled || run.status == MLY_OK); /* it may have been too fast */
        }
        assert_true(cancelled);
        expect_ok(ops->run(session, inputs, outputs, &err), err); /* the next one is not */
        tensors_free(inputs, info->input_count);
        tensors_free(outputs, info->output_count);
        ops->close(session);
    }
}

static void a_cancel_while_nothing_runs_changes_nothing(void **state)
{
    (void)state;
    for_each_member(ops)
    {
        const struct mly_session_options options = options_for(ops, 1);
        if (!ops->cancel)
            continue;
        mly_session *session = open_session(ops, &options);
        const struct mly_session_info *info = ops->info(session);
        struct mly_tensor *inputs = rig_inputs(info, 1, 1);
        for (int i = 0; i < 3; i++) { /* before the first run, and between runs */
            struct mly_tensor *outputs = rig_outputs(info);
            ops->cancel(session);
            ops->cancel(session);
            expect_ok(ops->run(session, inputs, outputs, &err), err);
            tensors_free(outputs, info->output_count);
        }
        tensors_free(inputs, info->input_count);
        ops->close(session);
    }
}

static void refuses_options_that_cannot_be(void **state)
{
    (void)state;
    for_each_member(ops)
    {
        mly_session *session = NULL;
        struct mly_session_options options = options_for(ops, 1);
        options.threads = rig_processor()->cpu_count + 1;
        expect_error(ops->open(rig.model, &rig.whole, &options, &session, &err), MLY_E_INVALID, err,
                     "threads");
        uint32_t cpus[] = {8000};
        struct mly_processor gone = *rig_processor();
        gone.cpus = cpus;
        gone.cpu_count = 1;
        options = (struct mly_session_options){.processor = &gone, .pin = true};
        if (is_of_cpus(ops))
            expect_error(ops->open(rig.model, &rig.whole, &options, &session, &err), MLY_E_ABSENT,
                         err, "8000");
        snprintf(gone.kind, sizeof gone.kind, "abacus");
        expect_error(ops->open(rig.model, &rig.whole, &options, &session, &err), MLY_E_UNSUPPORTED,
                     err, "cpu:rig");
        assert_null(session);
    }
}

static void runs_with_every_kind_of_threads(void **state)
{
    (void)state;
    for_each_member(ops)
    {
        struct mly_tensor wanted;
        struct mly_session_options options = options_for(ops, 1);
        rig_run_once(ops, &rig, &options, 5, &wanted, NULL);
        for (int i = 0; i < 4; i++) {
            struct mly_tensor result;
            options = options_for(ops, 0);
            options.pin = (i & 1) != 0;
            options.spin = (i & 2) != 0;
            rig_run_once(ops, &rig, &options, 5, &result, NULL);
            assert_true(tensors_close(&result, &wanted, 1e-5, 1e-4));
            mly_tensor_fini(&result);
        }
        mly_tensor_fini(&wanted);
    }
}

/* --- what others computed --- */

struct case_list {
    char **folders;
    size_t count;
};

/* Every folder with a model and test data of ONNX's layout. */
static void find_cases(const char *folder, int depth, struct case_list *list)
{
    DIR *directory = depth < 12 ? opendir(folder) : NULL;
    for (const struct dirent *at; directory && (at = readdir(directory));) {
        char path[4096];
        struct stat s;
        if (at->d_name[0] == '.' ||
            snprintf(path, sizeof path, "%s/%s", folder, at->d_name) >= (int)sizeof path ||
            lstat(path, &s) != 0 || !S_ISDIR(s.st_mode))
            continue;
        if (strncmp(at->d_name, "test_data_set_", 14) == 0) {
            list->folders = realloc(list->folders, (list->count + 1) * sizeof(char *));
            assert_non_null(list->folders);
            list->folders[list->count++] = strdup(path);
        }
        find_cases(path, depth + 1, list);
    }
    if (directory)
        closedir(directory);
}

/* The only .onnx file in the folder above; false if there is not exactly one. */
static bool find_model(const char *folder, char *path, size_t size)
{
    int found = 0;
    char above[4096];
    snprintf(above, sizeof above, "%s/..", folder);
    DIR *directory = opendir(above);
    for (const struct dirent *at; directory && (at = readdir(directory));) {
        const size_t length = strlen(at->d_name);
        if (length > 5 && strcmp(at->d_name + length - 5, ".onnx") == 0) {
            found++;
            snprintf(path, size, "%.3800s/%.200s", above, at->d_name);
        }
    }
    if (directory)
        closedir(directory);
    return found == 1;
}

static bool load_tensor(const char *folder, const char *kind, uint32_t index,
                        struct mly_tensor *out)
{
    char path[4200];
    snprintf(path, sizeof path, "%s/%s_%u.pb", folder, kind, index);
    return mly_tensor_load_pb(path, (size_t)64 << 20, out, NULL, &err) == MLY_OK;
}

/* Models that are known to differ from the file beside them, by the index of the shared data. */
static bool is_bugged(const char *folder)
{
    return strstr(folder, "/6_Plus112_Output_0/") != NULL;
}

/* True if the runtime, left to its defaults, cannot run it either. */
static bool fails_by_itself(const struct mly_backend_ops *ops, const struct rig *own,
                            const struct mly_tensor *inputs)
{
    const struct mly_session_options options = {.runtime_defaults = true};
    mly_session *session = NULL;
    if (ops->open(own->model, &own->whole, &options, &session, &err) != MLY_OK)
        return true;
    const struct mly_session_info *info = ops->info(session);
    struct mly_tensor *outputs = rig_outputs(info);
    const bool fails = ops->run(session, inputs, outputs, &err) != MLY_OK;
    tensors_free(outputs, info->output_count);
    ops->close(session);
    return fails;
}

enum outcome { SKIPPED, PASSED, FAILED };

static enum outcome run_case(const struct mly_backend_ops *ops, const char *folder)
{
    char path[4096];
    struct rig own = {0};
    mly_session *session = NULL;
    enum outcome outcome = SKIPPED;
    const struct mly_session_options options = rig_options(1);
    struct mly_tensor *inputs = NULL, *outputs = NULL;
    uint32_t input_count = 0, output_count = 0;
    if (is_bugged(folder) || !find_model(folder, path, sizeof path) ||
        mly_model_load(path, NULL, &own.model, &err) != MLY_OK)
        return SKIPPED;
    if (mly_segment_whole(own.model, &own.whole, &err) != MLY_OK ||
        ops->open(own.model, &own.whole, &options, &session, &err) != MLY_OK)
        goto skipped; /* strings, sequences, operators of other days */
    const struct mly_session_info *info = ops->info(session);
    input_count = info->input_count;
    output_count = info->output_count;
    inputs = calloc((size_t)input_count + 1, sizeof *inputs);
    outputs = rig_outputs(info);
    for (uint32_t i = 0; i < input_count; i++)
        if (!load_tensor(folder, "input", i, &inputs[i]))
            goto done;
    if (ops->run(session, inputs, outputs, &err) != MLY_OK) {
        if (fails_by_itself(ops, &own, inputs)) /* a wrong model */
            goto done;
        print_message("# %s: %s\n", folder, err.message);
        outcome = FAILED;
        goto done;
    }
    outcome = PASSED;
    for (uint32_t i = 0; i < output_count; i++) {
        struct mly_tensor wanted;
        if (!load_tensor(folder, "output", i, &wanted))
            continue;
        const bool half = wanted.dtype == MLY_DTYPE_F16;
        if (!tensors_close(&outputs[i], &wanted, half ? 1e-2 : 2e-4, half ? 1e-2 : 1e-3)) {
            print_message("# %s: output %u differs\n", folder, i);
            outcome = FAILED;
        }
        mly_tensor_fini(&wanted);
    }
    goto done;
skipped:
    if (getenv("RIG_VERBOSE"))
        print_message("# %s: skipped: %s\n", folder, err.message);
done:
    tensors_free(inputs, inputs ? input_count : 0);
    tensors_free(outputs, outputs ? output_count : 0);
    if (session)
        ops->close(session);
    rig_free(&own);
    return outcome;
}

static void agrees_with_what_others_computed(void **state)
{
    (void)state;
    struct case_list list = {0};
    const char *data = test_env("MOTLEY_SHARED_DATA");
    find_cases(data, 0, &list);
    if (list.count == 0)
        TEST_SKIP("there is no test data in %s", data);
    for_each_member(ops)
    {
        if (!is_of_cpus(ops))
            continue; /* its results are another member's */
        size_t outcomes[3] = {0};
        for (size_t i = 0; i < list.count; i++)
            outcomes[run_case(ops, list.folders[i])]++;
        print_message("# %s: %zu of %zu data sets agree, %zu are of models that it refuses\n",
                      ops->name, outcomes[PASSED], list.count, outcomes[SKIPPED]);
        assert_int_equal(outcomes[FAILED], 0);
        assert_true(outcomes[PASSED] > list.count / 2);
    }
    for (size_t i = 0; i < list.count; i++)
        free(list.folders[i]);
    free(list.folders);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_its_members),
        cmocka_unit_test(finds_the_back_end_of_a_processor),
        cmocka_unit_test(tells_its_ports_in_the_segments_order),
        cmocka_unit_test(gives_the_same_results_in_every_way),
        cmocka_unit_test(refuses_wrong_inputs_by_name),
        cmocka_unit_test(writes_where_the_caller_wants_it),
        cmocka_unit_test(gives_fresh_memory_each_time),
        cmocka_unit_test(takes_batches_of_any_size),
        cmocka_unit_test(runs_on_any_thread_and_several_sessions_at_once),
        cmocka_unit_test(stops_when_cancelled),
        cmocka_unit_test(a_cancel_while_nothing_runs_changes_nothing),
        cmocka_unit_test(refuses_options_that_cannot_be),
        cmocka_unit_test(runs_with_every_kind_of_threads),
        cmocka_unit_test(agrees_with_what_others_computed),
    };
    return cmocka_run_group_tests_name("back end contract", tests, group_setup, group_teardown);
}

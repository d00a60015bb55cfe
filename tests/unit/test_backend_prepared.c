/* Prepared copies: made once, shared, checked, bounded, and never in the way. */
#include <dirent.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "backend/prepared.h"
#include "backend/prepared_store.h"
#include "base/alloc.h"
#include "base/file.h"
#include "support/backend_rig.h"

static char *scratch;
static char cache[1024];
static struct mly_error err;
static struct rig rig; /* of squeezenet */
static struct mly_tensor wanted;
static const struct mly_backend_ops *ops;
static int cache_number;

/* Every case has a cache of its own. */
static int setup(void **state)
{
    (void)state;
    char name[32];
    snprintf(name, sizeof name, "cache-%d", cache_number++);
    snprintf(cache, sizeof cache, "%s", scratch_path(scratch, name));
    unsetenv("MOTLEY_CACHE_LIMIT");
    return setenv("MOTLEY_CACHE_DIR", cache, 1);
}

static int group_setup(void **state)
{
    const struct mly_session_options plain = {.runtime_defaults = true};
    scratch = scratch_create();
    ops = mly_backend_find("ort");
    if (setup(state) != 0 || !ops)
        return -1;
    rig_load(&rig, rig_zoo(scratch, "squeezenet"));
    rig_run_once(ops, &rig, &plain, 1, &wanted, NULL);
    return 0;
}

static int group_teardown(void **state)
{
    (void)state;
    mly_tensor_fini(&wanted);
    rig_free(&rig);
    scratch_remove(scratch);
    return 0;
}

static mly_session *open_it(const struct rig *from)
{
    const struct mly_session_options options = rig_options(1);
    mly_session *session = NULL;
    expect_ok(ops->open(from->model, &from->whole, &options, &session, &err), err);
    return session;
}

/* Opens, runs and closes; true if it was a prepared copy. The result must be right. */
static bool use(const struct rig *from, const struct mly_tensor *right)
{
    const struct mly_session_options options = rig_options(1);
    struct mly_tensor result;
    bool prepared = false;
    rig_run_once(ops, from, &options, 1, &result, &prepared);
    if (right)
        assert_true(tensors_close(&result, right, 1e-5, 1e-4));
    mly_tensor_fini(&result);
    return prepared;
}

static size_t entry_count(void)
{
    struct mly_prepared_entry *items = NULL;
    size_t count = 0;
    expect_ok(mly_prepared_list(&items, &count, &err), err);
    mly_free(items);
    return count;
}

/* The only entry, and the folder that it lies in. */
static struct mly_prepared_entry only_entry(char folder[2048])
{
    struct mly_prepared_entry *items = NULL, entry;
    size_t count = 0;
    expect_ok(mly_prepared_list(&items, &count, &err), err);
    assert_int_equal(count, 1);
    entry = items[0];
    mly_free(items);
    if (folder)
        snprintf(folder, 2048, "%s/prepared/%s", cache, entry.key);
    return entry;
}

static size_t leftovers(void)
{
    size_t count = 0;
    DIR *directory = opendir(scratch_path(cache, "prepared"));
    for (const struct dirent *at; directory && (at = readdir(directory));)
        count += strncmp(at->d_name, ".tmp-", 5) == 0 || strncmp(at->d_name, ".lock-", 6) == 0;
    if (directory)
        closedir(directory);
    return count;
}

/* Inode of the weights that this process has mapped, 0 if none; *maps counts the mappings. */
static unsigned long mapped_inode(size_t *maps)
{
    char line[8192];
    unsigned long inode = 0;
    FILE *file = fopen("/proc/self/maps", "r");
    assert_non_null(file);
    *maps = 0;
    while (fgets(line, sizeof line, file)) {
        if (!strstr(line, "/prepared/") || !strstr(line, "weights.bin"))
            continue;
        assert_int_equal(sscanf(line, "%*s %*s %*s %*s %lu", &inode), 1);
        (*maps)++;
    }
    fclose(file);
    return inode;
}

static void is_made_once_and_mapped_by_all_sessions(void **state)
{
    (void)state;
    mly_session *sessions[4];
    char folder[2048];
    struct stat s;
    size_t maps;
    for (int i = 0; i < 4; i++) {
        sessions[i] = open_it(&rig);
        assert_true(ops->info(sessions[i])->prepared_copy);
    }
    const struct mly_prepared_entry entry = only_entry(folder);
    assert_string_equal(entry.model_name, "squeezenet");
    assert_true(entry.runtime[0] != '\0' && entry.created_s > 0 && entry.used_s > 0);
    assert_int_equal(stat(scratch_path(folder, "weights.bin"), &s), 0);
    assert_true(entry.bytes > (uint64_t)s.st_size);
    assert_int_equal(s.st_mode & 0777, 0444);
    assert_int_equal(mapped_inode(&maps), s.st_ino);
    assert_true(maps >= 4);
    for (int i = 0; i < 4; i++)
        ops->close(sessions[i]);
    assert_int_equal(leftovers(), 0);
}

static void belongs_to_one_segment(void **state)
{
    (void)state;
    struct rig half = {.model = rig.model};
    uint32_t nodes[10];
    for (uint32_t i = 0; i < 10; i++)
        nodes[i] = i;
    expect_ok(mly_segment_extract(rig.model, nodes, 10, &half.whole, &err), err);
    assert_true(use(&rig, &wanted));
    assert_true(use(&half, NULL));
    assert_int_equal(entry_count(), 2);
    assert_true(use(&rig, &wanted));
    assert_int_equal(entry_count(), 2);
    mly_segment_fini(&half.whole);
}

static void rewrite(const char *path, off_t offset, const char *bytes, off_t truncated)
{
    assert_int_equal(chmod(path, 0600), 0);
    if (bytes) {
        const int fd = open(path, O_WRONLY);
        assert_true(fd >= 0);
        assert_int_equal(pwrite(fd, bytes, strlen(bytes), offset), strlen(bytes));
        assert_int_equal(close(fd), 0);
    }
    if (truncated >= 0)
        assert_int_equal(truncate(path, truncated), 0);
}

static void is_made_again_when_it_looks_wrong(void **state)
{
    (void)state;
    static const struct {
        const char *file, *bytes;
        off_t offset, truncated;
        bool remove, keep_time;
    } damages[] = {
        {.file = "manifest.json", .truncated = 20},
        {.file = "manifest.json", .truncated = 0},
        {.file = "manifest.json", .bytes = "{ \"format\": \"older\" }", .truncated = 21},
        {.file = "manifest.json", .remove = true},
        {.file = "model.onnx", .remove = true},
        {.file = "model.onnx", .truncated = 100},
        {.file = "model.onnx", .bytes = "xxxx", .offset = 1000, .truncated = -1, .keep_time = true},
        {.file = "weights.bin", .remove = true},
        {.file = "weights.bin", .truncated = 4096},
        {.file = "weights.bin", .bytes = "xxxx", .offset = 70000, .truncated = -1},
    };
    assert_true(use(&rig, &wanted));
    for (size_t i = 0; i < sizeof damages / sizeof *damages; i++) {
        char folder[2048], path[4096];
        struct stat before, after;
        only_entry(folder);
        assert_int_equal(stat(folder, &before), 0);
        snprintf(path, sizeof path, "%s/%s", folder, damages[i].file);
        struct stat s;
        assert_int_equal(stat(path, &s), 0);
        if (damages[i].remove)
            assert_int_equal(unlink(path), 0);
        else
            rewrite(path, damages[i].offset, damages[i].bytes, damages[i].truncated);
        if (damages[i].keep_time) {
            const struct timespec times[2] = {s.st_atim, s.st_mtim};
            assert_int_equal(utimensat(AT_FDCWD, path, times, 0), 0);
        }
        /* The new one is made before the old one is freed or after: its own time tells. */
        assert_true(use(&rig, &wanted));
        assert_int_equal(entry_count(), 1);
        only_entry(folder);
        assert_int_equal(stat(folder, &after), 0);
        assert_true(after.st_mtim.tv_sec != before.st_mtim.tv_sec ||
                    after.st_mtim.tv_nsec != before.st_mtim.tv_nsec);
        assert_int_equal(leftovers(), 0);
    }
}

static void may_vanish_while_it_is_used(void **state)
{
    (void)state;
    uint64_t freed = 0;
    mly_session *session = open_it(&rig);
    const struct mly_session_info *info = ops->info(session);
    struct mly_tensor *inputs = rig_inputs(info, 1, 1), *outputs = rig_outputs(info);
    const struct mly_prepared_entry entry = only_entry(NULL);
    expect_error(mly_prepared_clear("0123", &freed, &err), MLY_E_NOT_FOUND, err, "0123");
    expect_ok(mly_prepared_clear(entry.key, &freed, &err), err);
    assert_int_equal(freed, entry.bytes);
    assert_int_equal(entry_count(), 0);
    expect_ok(ops->run(session, inputs, outputs, &err), err);
    assert_true(tensors_close(&outputs[0], &wanted, 1e-5, 1e-4));
    tensors_free(inputs, info->input_count);
    tensors_free(outputs, info->output_count);
    assert_true(use(&rig, &wanted)); /* made again */
    expect_ok(mly_prepared_clear(NULL, &freed, &err), err);
    assert_int_equal(entry_count(), 0);
    assert_int_equal(leftovers(), 0);
    ops->close(session);
}

static void make_used_at(const char *key, int64_t seconds)
{
    char path[4300];
    const struct timespec times[2] = {{.tv_sec = seconds}, {.tv_sec = seconds}};
    snprintf(path, sizeof path, "%s/prepared/%s/used", cache, key);
    assert_int_equal(utimensat(AT_FDCWD, path, times, 0), 0);
}

static bool is_listed(const char *key)
{
    struct mly_prepared_entry *items = NULL;
    size_t count = 0;
    bool found = false;
    expect_ok(mly_prepared_list(&items, &count, &err), err);
    for (size_t i = 0; i < count; i++)
        found = found || strcmp(items[i].key, key) == 0;
    mly_free(items);
    return found;
}

static void least_recently_used_go_first_but_none_in_use(void **state)
{
    (void)state;
    static const char *const names[] = {"matmul-256", "matmul-257", "matmul-258", "matmul-259"};
    struct rig rigs[4];
    char keys[4][65];
    uint64_t bytes = 0;
    for (int i = 0; i < 4; i++) {
        struct mly_prepared_entry *items = NULL;
        size_t count = 0;
        rig_load(&rigs[i], rig_zoo(scratch, names[i]));
        assert_true(use(&rigs[i], NULL));
        expect_ok(mly_prepared_list(&items, &count, &err), err);
        assert_int_equal(count, i + 1);
        for (size_t k = 0; k < count; k++) {
            if (strcmp(items[k].model_name, names[i]) == 0) {
                snprintf(keys[i], sizeof keys[i], "%s", items[k].key);
                bytes = items[k].bytes;
            }
        }
        mly_free(items);
        make_used_at(keys[i], 1000 + i);
    }
    /* The first is in use, though oldest. */
    mly_session *session = open_it(&rigs[0]);
    make_used_at(keys[0], 1);
    char limit[32];
    snprintf(limit, sizeof limit, "%llu", (unsigned long long)(bytes * 7 / 2));
    setenv("MOTLEY_CACHE_LIMIT", limit, 1);
    expect_ok(mly_prepared_clear(keys[3], NULL, &err), err);
    assert_true(use(&rigs[3], NULL));
    assert_true(is_listed(keys[0]));
    assert_false(is_listed(keys[1]));
    assert_true(is_listed(keys[2]));
    assert_true(is_listed(keys[3]));
    ops->close(session);
    setenv("MOTLEY_CACHE_LIMIT", "1K", 1); /* nothing fits: the plain way */
    assert_false(use(&rigs[1], NULL));
    for (int i = 0; i < 4; i++)
        rig_free(&rigs[i]);
}

static void limit_is_a_size(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        uint64_t bytes;
    } sizes[] = {{"20G", UINT64_C(20) << 30},
                 {"512M", UINT64_C(512) << 20},
                 {"3k", 3072},
                 {"1TiB", UINT64_C(1) << 40},
                 {"7", 7},
                 {"0", 0}};
    unsetenv("MOTLEY_CACHE_LIMIT");
    const uint64_t usual = mly_prepared_limit_bytes();
    assert_true(usual <= UINT64_C(32) << 30);
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        setenv("MOTLEY_CACHE_LIMIT", sizes[i].text, 1);
        assert_int_equal(mly_prepared_limit_bytes(), sizes[i].bytes);
    }
    static const char *const wrong[] = {"much", "-3G", "20X", "99999999999999T", "3GG"};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        setenv("MOTLEY_CACHE_LIMIT", wrong[i], 1);
        assert_true(mly_prepared_limit_bytes() <= UINT64_C(32) << 30);
    }
    unsetenv("MOTLEY_CACHE_LIMIT");
}

/* Whose limit it is: the user's, or a part of what the disk has. */
static void what_does_not_fit_is_told_why(void **state)
{
    (void)state;
    expect_ok(mly_dir_create(cache, &err), err);
    setenv("MOTLEY_CACHE_LIMIT", "700K", 1);
    expect_error(mly__prepared_make_room(cache, 1 << 20, &err), MLY_E_LIMIT, err,
                 "takes 1.0 MiB, and all copies together may take 0.7 (MOTLEY_CACHE_LIMIT=700K)");
    unsetenv("MOTLEY_CACHE_LIMIT");
    expect_error(mly__prepared_make_room(cache, UINT64_C(1) << 60, &err), MLY_E_LIMIT, err,
                 "a quarter of what is free or theirs on the disk of");
}

/* --- files that change, and other places --- */

static void follows_a_model_that_is_replaced_but_not_one_that_is_changed(void **state)
{
    (void)state;
    struct rig own;
    char path[4096], other[4096];
    const struct mly_session_options options = rig_options(1);
    snprintf(path, sizeof path, "%s", rig_zoo(scratch, "squeezenet-1.1"));
    rig_load(&own, path);
    /* Replaced by another file: what was loaded is still what runs. */
    struct mly_tensor right, result;
    rig_run_once(ops, &own, &options, 1, &right, NULL);
    expect_ok(mly_prepared_clear(NULL, NULL, &err), err);
    snprintf(other, sizeof other, "%s", rig_zoo(scratch, "matmul-64"));
    assert_int_equal(rename(other, path), 0);
    rig_run_once(ops, &own, &options, 1, &result, NULL);
    assert_true(tensors_close(&result, &right, 1e-5, 1e-4));
    mly_tensor_fini(&result);
    mly_tensor_fini(&right);
    rig_free(&own);
    /* Written to: nothing can be relied upon. */
    rig_load(&own, path);
    rewrite(path, 200, "x", -1);
    const struct timespec later[2] = {{.tv_sec = 5000000000}, {.tv_sec = 5000000000}};
    assert_int_equal(utimensat(AT_FDCWD, path, later, 0), 0);
    mly_session *session = NULL;
    expect_error(ops->open(own.model, &own.whole, &options, &session, &err), MLY_E_MISMATCH, err,
                 "squeezenet-1.1");
    rig_free(&own);
}

static void opens_a_model_behind_a_link(void **state)
{
    (void)state;
    struct rig own;
    struct mly_session_options options = rig_options(1);
    struct mly_tensor result;
    char target[4096];
    const char *link = scratch_path(scratch, "link.onnx");
    assert_int_equal(mkdir(scratch_path(scratch, "elsewhere"), 0700), 0);
    snprintf(target, sizeof target, "%s", scratch_path(scratch, "elsewhere/blob"));
    const char *made = rig_zoo(scratch, "squeezenet-1.1");
    assert_int_equal(rename(made, target), 0);
    assert_int_equal(symlink(target, link), 0);
    rig_load(&own, link);
    assert_true(use(&own, NULL));
    options.no_prepared_copy = true;
    rig_run_once(ops, &own, &options, 1, &result, NULL);
    mly_tensor_fini(&result);
    rig_free(&own);
}

/* The runtime cannot read back this network's packed weights: it is made without. */
static void quantised_networks_have_a_copy_too(void **state)
{
    (void)state;
    struct rig own;
    char path[4096];
    snprintf(path, sizeof path,
             "%s/nnstreamer+nnstreamer/tests/test_models/models/mobilenet_v2_quant.onnx",
             test_env("MOTLEY_SHARED_DATA"));
    if (access(path, R_OK) != 0)
        TEST_SKIP("%s is not there", path);
    struct mly_tensor right;
    const struct mly_session_options options = {.runtime_defaults = true};
    rig_load(&own, path);
    rig_run_once(ops, &own, &options, 1, &right, NULL);
    assert_true(use(&own, &right));
    assert_true(use(&own, &right));
    mly_tensor_fini(&right);
    rig_free(&own);
}

/* The runtime cannot read this one back at all: it is tried once, and then goes the plain way. */
static void what_cannot_be_read_back_is_not_tried_again(void **state)
{
    (void)state;
    struct rig own;
    char path[4096];
    struct mly_tensor right;
    const struct mly_session_options options = {.runtime_defaults = true};
    snprintf(path, sizeof path, "%s/sonos+tract/onnx/test_cases/qlstm_3-2-3_T3_S1/model.onnx",
             test_env("MOTLEY_SHARED_DATA"));
    if (access(path, R_OK) != 0)
        TEST_SKIP("%s is not there", path);
    rig_load(&own, path);
    rig_run_once(ops, &own, &options, 1, &right, NULL);
    assert_false(use(&own, &right));
    assert_int_equal(leftovers(), 0);
    bool noted = false;
    struct stat before, after;
    DIR *directory = opendir(scratch_path(cache, "prepared"));
    for (const struct dirent *at; directory && (at = readdir(directory));)
        noted = noted || strncmp(at->d_name, ".refused-", 9) == 0;
    closedir(directory);
    assert_true(noted);
    assert_int_equal(stat(scratch_path(cache, "prepared"), &before), 0);
    assert_false(use(&own, &right));
    assert_int_equal(stat(scratch_path(cache, "prepared"), &after), 0);
    assert_int_equal(before.st_mtim.tv_nsec, after.st_mtim.tv_nsec); /* nothing was made there */
    expect_ok(mly_prepared_clear(NULL, NULL, &err), err);
    mly_tensor_fini(&right);
    rig_free(&own);
}

/* --- other processes --- */

/*
 * This program again, as a child: loads the model at path, opens it, runs it, prints whether it was
 * a prepared copy and the inode of the weights that it maps.
 */
static int child(const char *way, const char *path)
{
    struct rig own;
    size_t maps;
    const struct mly_session_options options = rig_options(1);
    if (strcmp(way, "nobody") == 0 && (setgid(65534) != 0 || setuid(65534) != 0))
        return 77;
    if (strcmp(way, "small-files") == 0) {
        const struct rlimit limit = {.rlim_cur = 65536, .rlim_max = 65536};
        signal(SIGXFSZ, SIG_IGN);
        if (setrlimit(RLIMIT_FSIZE, &limit) != 0)
            return 77;
    }
    ops = mly_backend_find("ort");
    rig_load(&own, path);
    mly_session *session = NULL;
    if (ops->open(own.model, &own.whole, &options, &session, &err) != MLY_OK)
        return 1;
    const struct mly_session_info *info = ops->info(session);
    struct mly_tensor *inputs = rig_inputs(info, 1, 1), *outputs = rig_outputs(info);
    if (ops->run(session, inputs, outputs, &err) != MLY_OK)
        return 1;
    double sum = 0;
    for (size_t i = 0; i < outputs[0].size_bytes / 4; i++)
        sum += ((const float *)outputs[0].data)[i] * (double)(i % 7 + 1);
    printf("%d %lu %.4f\n", info->prepared_copy, mapped_inode(&maps), sum);
    tensors_free(inputs, info->input_count);
    tensors_free(outputs, info->output_count);
    ops->close(session);
    rig_free(&own);
    return 0;
}

struct child {
    pid_t pid;
    int output;
};

static struct child start_child(const char *way, const char *path)
{
    int ends[2];
    char self[4096] = "";
    assert_true(readlink("/proc/self/exe", self, sizeof self - 1) > 0);
    assert_int_equal(pipe(ends), 0);
    struct child made = {.pid = fork(), .output = ends[0]};
    assert_true(made.pid >= 0);
    if (made.pid == 0) {
        dup2(ends[1], STDOUT_FILENO);
        close(ends[0]);
        execl(self, self, way, path, (char *)NULL);
        _exit(127);
    }
    close(ends[1]);
    return made;
}

struct answer {
    int status;
    int prepared;
    unsigned long inode;
    double sum;
};

static struct answer finish_child(struct child from)
{
    struct answer answer = {.status = -1};
    int status;
    FILE *file = fdopen(from.output, "r");
    assert_non_null(file);
    const int found = fscanf(file, "%d %lu %lf", &answer.prepared, &answer.inode, &answer.sum);
    fclose(file);
    assert_int_equal(waitpid(from.pid, &status, 0), from.pid);
    answer.status = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
    if (answer.status == 0)
        assert_int_equal(found, 3);
    return answer;
}

static struct answer run_child(const char *way, const char *path)
{
    return finish_child(start_child(way, path));
}

static void processes_share_one_copy_made_by_one_of_them(void **state)
{
    (void)state;
    enum { CHILDREN = 4 };
    struct child children[CHILDREN];
    unsigned long inode = 0;
    double sum = 0;
    for (int i = 0; i < CHILDREN; i++)
        children[i] = start_child("plain", mly_model_path(rig.model));
    for (int i = 0; i < CHILDREN; i++) {
        const struct answer answer = finish_child(children[i]);
        assert_int_equal(answer.status, 0);
        assert_true(answer.prepared);
        assert_true(answer.inode != 0);
        assert_true(i == 0 || (answer.inode == inode && answer.sum == sum));
        inode = answer.inode;
        sum = answer.sum;
    }
    assert_int_equal(entry_count(), 1);
    assert_int_equal(leftovers(), 0);
    /* And this process finds it as well. */
    mly_session *session = open_it(&rig);
    size_t maps;
    assert_int_equal(mapped_inode(&maps), inode);
    ops->close(session);
}

static void goes_the_plain_way_where_nothing_can_be_written(void **state)
{
    (void)state;
    const struct answer usual = run_child("plain", mly_model_path(rig.model));
    assert_int_equal(usual.status, 0);
    expect_ok(mly_prepared_clear(NULL, NULL, &err), err);

    const struct answer full = run_child("small-files", mly_model_path(rig.model));
    assert_int_equal(full.status, 0);
    assert_false(full.prepared);
    assert_true(full.sum - usual.sum < 1e-2 && usual.sum - full.sum < 1e-2);
    assert_int_equal(entry_count(), 0);
    assert_int_equal(leftovers(), 0);

    setenv("MOTLEY_CACHE_DIR", mly_model_path(rig.model), 1); /* a file */
    const struct answer no_folder = run_child("plain", mly_model_path(rig.model));
    assert_int_equal(no_folder.status, 0);
    assert_false(no_folder.prepared);
}

/* A copy that is there is used even where nothing can be written. */
static void uses_a_read_only_cache(void **state)
{
    (void)state;
    if (geteuid() != 0)
        TEST_SKIP("only root can become another user");
    assert_int_equal(chmod(scratch, 0755), 0);
    char folder[2048];
    assert_true(use(&rig, &wanted));
    only_entry(folder);
    assert_int_equal(chmod(cache, 0755), 0);
    assert_int_equal(chmod(scratch_path(cache, "prepared"), 0755), 0);
    assert_int_equal(chmod(folder, 0755), 0);
    const struct answer there = run_child("nobody", mly_model_path(rig.model));
    if (there.status == 77 || there.status == 127)
        TEST_SKIP("another user cannot run this program");
    assert_int_equal(there.status, 0);
    assert_true(there.prepared);
    expect_ok(mly_prepared_clear(NULL, NULL, &err), err);
    const struct answer none = run_child("nobody", mly_model_path(rig.model));
    assert_int_equal(none.status, 0);
    assert_false(none.prepared);
    assert_int_equal(entry_count(), 0);
}

static bool is_being_made(void)
{
    bool found = false;
    DIR *directory = opendir(scratch_path(cache, "prepared"));
    for (const struct dirent *at; directory && (at = readdir(directory));)
        found = found || strncmp(at->d_name, ".tmp-", 5) == 0;
    if (directory)
        closedir(directory);
    return found;
}

static void make_old(const char *folder)
{
    DIR *directory = opendir(folder);
    assert_non_null(directory);
    const struct timespec old[2] = {{.tv_sec = 1000}, {.tv_sec = 1000}};
    for (const struct dirent *at; (at = readdir(directory));)
        if (strcmp(at->d_name, "..") != 0)
            assert_int_equal(utimensat(dirfd(directory), at->d_name, old, 0), 0);
    closedir(directory);
}

static void a_killed_preparation_leaves_nothing_under_the_name(void **state)
{
    (void)state;
    char path[4096];
    snprintf(path, sizeof path, "%s", rig_zoo(scratch, "resnet18"));
    for (int attempt = 0; attempt < 20; attempt++) {
        struct child maker = start_child("plain", path);
        int status;
        while (!is_being_made() && waitpid(maker.pid, &status, WNOHANG) == 0)
            sched_yield();
        kill(maker.pid, SIGKILL);
        waitpid(maker.pid, &status, 0);
        close(maker.output);
        if (entry_count() == 0 && is_being_made())
            break;
        expect_ok(mly_prepared_clear(NULL, NULL, &err), err); /* it was too fast */
    }
    assert_int_equal(entry_count(), 0);
    assert_true(is_being_made());
    /* The next one makes it: the lock went with the process. What was left goes when it is old. */
    assert_int_equal(run_child("plain", path).status, 0);
    assert_int_equal(entry_count(), 1);
    assert_true(is_being_made());
    DIR *directory = opendir(scratch_path(cache, "prepared"));
    for (const struct dirent *at; directory && (at = readdir(directory));) {
        char left[2048];
        snprintf(left, sizeof left, "%s/prepared/%s", cache, at->d_name);
        if (strncmp(at->d_name, ".tmp-", 5) == 0)
            make_old(left);
    }
    closedir(directory);
    assert_true(use(&rig, &wanted));
    assert_false(is_being_made());
    assert_int_equal(unlink(path), 0);
}

int main(int argc, char **argv)
{
    if (argc == 3)
        return child(argv[1], argv[2]);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(is_made_once_and_mapped_by_all_sessions, setup),
        cmocka_unit_test_setup(belongs_to_one_segment, setup),
        cmocka_unit_test_setup(is_made_again_when_it_looks_wrong, setup),
        cmocka_unit_test_setup(may_vanish_while_it_is_used, setup),
        cmocka_unit_test_setup(least_recently_used_go_first_but_none_in_use, setup),
        cmocka_unit_test_setup(limit_is_a_size, setup),
        cmocka_unit_test_setup(what_does_not_fit_is_told_why, setup),
        cmocka_unit_test_setup(follows_a_model_that_is_replaced_but_not_one_that_is_changed, setup),
        cmocka_unit_test_setup(opens_a_model_behind_a_link, setup),
        cmocka_unit_test_setup(quantised_networks_have_a_copy_too, setup),
        cmocka_unit_test_setup(what_cannot_be_read_back_is_not_tried_again, setup),
        cmocka_unit_test_setup(processes_share_one_copy_made_by_one_of_them, setup),
        cmocka_unit_test_setup(goes_the_plain_way_where_nothing_can_be_written, setup),
        cmocka_unit_test_setup(uses_a_read_only_cache, setup),
        cmocka_unit_test_setup(a_killed_preparation_leaves_nothing_under_the_name, setup),
    };
    return cmocka_run_group_tests_name("prepared copies", tests, group_setup, group_teardown);
}

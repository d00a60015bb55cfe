/* Files and directories: bounded reads, atomic writes, trees, the cache directory. */
#include "support/expect.h"

#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "base/alloc.h"

static char *scratch;

static int setup(void **state)
{
    (void)state;
    scratch = scratch_create();
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    mly_alloc_fail_after(0);
    scratch_remove(scratch);
    return 0;
}

static const char *in(const char *name)
{
    return scratch_path(scratch, name);
}

static size_t entries(const char *path)
{
    size_t count = 0;
    DIR *stream = opendir(path);
    assert_non_null(stream);
    while (readdir(stream))
        count++;
    closedir(stream);
    return count - 2;
}

static void put(const char *path, const char *text)
{
    struct mly_error err = {0};
    expect_ok(mly_file_write(path, text, strlen(text), &err), err);
}

static void assert_content(const char *path, const char *wanted)
{
    struct mly_error err = {0};
    char *data = NULL;
    size_t length = 0;
    expect_ok(mly_file_read(path, 1 << 20, &data, &length, &err), err);
    assert_int_equal(length, strlen(wanted));
    assert_string_equal(data, wanted);
    mly_free(data);
}

static void what_is_written_is_read_and_mapped(void **state)
{
    (void)state;
    struct mly_error err;
    struct mly_file_map map = {0};
    struct mly_file_stamp stamp;
    put(in("f"), "hello");
    assert_content(in("f"), "hello");
    expect_ok(mly_file_map_open(in("f"), &map, &err), err);
    assert_int_equal(map.length, 5);
    assert_memory_equal(map.data, "hello", 5);
    mly_file_map_close(&map);
    assert_null(map.data);
    mly_file_map_close(NULL);
    expect_ok(mly_file_stamp(in("f"), &stamp, &err), err);
    assert_int_equal(stamp.size_bytes, 5);
    assert_true(stamp.inode && stamp.modified_ns > 0 && stamp.changed_ns > 0);
    put(in("e"), "");
    assert_content(in("e"), "");
    expect_ok(mly_file_map_open(in("e"), &map, &err), err);
    assert_int_equal(map.length, 0);
    assert_string_equal((const char *)map.data, "");
    mly_file_map_close(&map);
}

static void files_without_a_size_are_read(void **state)
{
    (void)state;
    struct mly_error err;
    char *data = NULL;
    size_t length = 0;
    expect_ok(mly_file_read("/proc/self/status", 1 << 20, &data, &length, &err), err);
    assert_true(length > 0);
    mly_free(data);
    expect_error(mly_file_read("/proc/self/status", 10, &data, &length, &err), MLY_E_LIMIT, err,
                 "10 bytes");
}

static void what_is_no_readable_file_is_refused(void **state)
{
    (void)state;
    struct mly_error err;
    struct mly_file_map map = {0};
    struct mly_file_stamp stamp;
    char *data = NULL;
    size_t length = 0;
    put(in("f"), "hello");
    assert_int_equal(mkfifo(in("fifo"), 0600), 0);
    expect_error(mly_file_read(in("f"), 4, &data, &length, &err), MLY_E_LIMIT, err, "4 bytes");
    expect_error(mly_file_read(in("g"), 9, &data, &length, &err), MLY_E_NOT_FOUND, err, "/g'");
    expect_error(mly_file_read(scratch, 9, &data, &length, &err), MLY_E_INVALID, err,
                 "a directory");
    expect_error(mly_file_read(in("fifo"), 9, &data, &length, &err), MLY_E_INVALID, err, "pipe");
    expect_error(mly_file_map_open(in("fifo"), &map, &err), MLY_E_INVALID, err, "fifo");
    expect_error(mly_file_map_open(in("g"), &map, &err), MLY_E_NOT_FOUND, err, "/g'");
    expect_error(mly_file_stamp(in("g"), &stamp, &err), MLY_E_NOT_FOUND, err, "/g'");
    mly_alloc_fail_once(1);
    expect_error(mly_file_read(in("f"), 9, &data, &length, &err), MLY_E_NO_MEMORY, err, "/f'");
    assert_null(data);
}

static void a_file_appears_only_on_commit(void **state)
{
    (void)state;
    struct mly_error err;
    mly_file_writer *writer = NULL;
    put(in("f"), "old");
    assert_int_equal(chmod(in("f"), 0640), 0);
    expect_ok(mly_file_writer_create(in("f"), &writer, &err), err);
    expect_ok(mly_file_writer_write(writer, "new ", 4, &err), err);
    expect_ok(mly_file_writer_write(writer, NULL, 0, &err), err);
    assert_content(in("f"), "old");
    expect_ok(mly_file_writer_write(writer, "text", 4, &err), err);
    expect_ok(mly_file_writer_commit(writer, &err), err);
    assert_content(in("f"), "new text");
    assert_int_equal(entries(scratch), 1);
    struct stat s;
    assert_int_equal(stat(in("f"), &s), 0);
    assert_int_equal(s.st_mode & 0777, 0640);
}

static void an_aborted_file_leaves_nothing(void **state)
{
    (void)state;
    struct mly_error err;
    mly_file_writer *writer = NULL;
    expect_ok(mly_file_writer_create(in("f"), &writer, &err), err);
    expect_ok(mly_file_writer_write(writer, "x", 1, &err), err);
    mly_file_writer_abort(writer);
    mly_file_writer_abort(NULL);
    assert_int_equal(entries(scratch), 0);
}

static void large_and_small_writes_keep_their_order(void **state)
{
    (void)state;
    struct mly_error err;
    mly_file_writer *writer = NULL;
    enum { TOTAL = 300000 };
    char *bytes = malloc(TOTAL + 1), *data = NULL;
    for (int i = 0; i < TOTAL; i++)
        bytes[i] = (char)('a' + i % 23);
    expect_ok(mly_file_writer_create(in("f"), &writer, &err), err);
    size_t steps[] = {1, 70000, 65536, 3, 65535, 1, 2}, at = 0;
    for (size_t i = 0; i < 7; at += steps[i++])
        expect_ok(mly_file_writer_write(writer, bytes + at, steps[i], &err), err);
    expect_ok(mly_file_writer_write(writer, bytes + at, TOTAL - at, &err), err);
    expect_ok(mly_file_writer_commit(writer, &err), err);
    size_t length = 0;
    expect_ok(mly_file_read(in("f"), TOTAL, &data, &length, &err), err);
    assert_int_equal(length, TOTAL);
    assert_memory_equal(data, bytes, TOTAL);
    mly_free(data);
    free(bytes);
}

static void a_link_is_followed_to_the_file_it_names(void **state)
{
    (void)state;
    put(in("real"), "old");
    assert_int_equal(symlink("real", in("link")), 0);
    put(in("link"), "new");
    assert_content(in("real"), "new");
    struct stat s;
    assert_int_equal(lstat(in("link"), &s), 0);
    assert_true(S_ISLNK(s.st_mode));
}

static void a_device_is_written_to_and_not_replaced(void **state)
{
    (void)state;
    struct mly_error err;
    struct stat s;
    expect_ok(mly_file_write("/dev/null", "x", 1, &err), err);
    assert_int_equal(stat("/dev/null", &s), 0);
    assert_true(S_ISCHR(s.st_mode));
    if (access("/dev/full", W_OK) == 0)
        expect_error(mly_file_write("/dev/full", "x", 1, &err), MLY_E_NO_SPACE, err, "/dev/full");
}

static void a_full_disk_leaves_the_old_file_and_no_other(void **state)
{
    (void)state;
    struct mly_error err;
    struct rlimit old, limit;
    mly_file_writer *writer = NULL;
    char block[100000] = {0};
    put(in("f"), "old");
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
    limit = old;
    limit.rlim_cur = 150000;
    void (*handler)(int) = signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
    expect_ok(mly_file_writer_create(in("f"), &writer, &err), err);
    expect_ok(mly_file_writer_write(writer, block, sizeof block, &err), err);
    expect_error(mly_file_writer_write(writer, block, sizeof block, &err), MLY_E_NO_SPACE, err,
                 "/f'");
    expect_error(mly_file_writer_write(writer, "x", 1, &err), MLY_E_NO_SPACE, err, "failed before");
    expect_error(mly_file_writer_commit(writer, &err), MLY_E_NO_SPACE, err, "failed before");
    /* Small writes meet the limit only when the buffer is flushed. */
    limit.rlim_cur = 10;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
    expect_error(mly_file_write(in("f"), block, 100, &err), MLY_E_NO_SPACE, err, "/f'");
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
    signal(SIGXFSZ, handler);
    assert_content(in("f"), "old");
    assert_int_equal(entries(scratch), 1);
}

static void destinations_that_cannot_be_are_refused(void **state)
{
    (void)state;
    struct mly_error err;
    mly_file_writer *writer = NULL;
    char longest[400];
    memset(longest, 'n', sizeof longest - 1);
    longest[sizeof longest - 1] = '\0';
    expect_error(mly_file_write(in("no/f"), "x", 1, &err), MLY_E_NOT_FOUND, err, "no/f");
    expect_error(mly_file_write(scratch, "x", 1, &err), MLY_E_INVALID, err, "directory");
    expect_error(mly_file_write(in(""), "x", 1, &err), MLY_E_INVALID, err, "name a file");
    expect_error(mly_file_write("", "x", 1, &err), MLY_E_INVALID, err, "name a file");
    expect_error(mly_file_write(in(".."), "x", 1, &err), MLY_E_INVALID, err, "name a file");
    expect_error(mly_file_write(in(longest), "x", 1, &err), MLY_E_INVALID, err, "too long");
    put(in("f"), "x");
    expect_error(mly_file_writer_create(in("f/g"), &writer, &err), MLY_E_NOT_FOUND, err, "f/g");
    assert_null(writer);
    assert_int_equal(entries(scratch), 1);
}

static void writing_survives_every_failed_allocation(void **state)
{
    (void)state;
    struct mly_error err;
    for (uint64_t n = 1;; n++) {
        mly_alloc_fail_once(n);
        enum mly_status status = mly_file_write(in("f"), "x", 1, &err);
        mly_alloc_fail_after(0);
        if (status == MLY_OK) {
            assert_true(n > 3);
            break;
        }
        assert_int_equal(status, MLY_E_NO_MEMORY);
        assert_int_equal(entries(scratch), 0);
    }
    assert_content(in("f"), "x");
}

static void directories_are_made_with_their_parents(void **state)
{
    (void)state;
    struct mly_error err;
    struct stat s;
    mode_t before = umask(027);
    expect_ok(mly_dir_create(in("a//b/c/"), &err), err);
    umask(before);
    expect_ok(mly_dir_create(in("a/b/c"), &err), err);
    assert_int_equal(stat(in("a/b"), &s), 0);
    assert_int_equal(s.st_mode & 0777, 0750); /* what the umask leaves */
    expect_ok(mly_dir_create("/", &err), err);
    put(in("f"), "x");
    expect_error(mly_dir_create(in("f"), &err), MLY_E_INVALID, err, "a file is in its place");
    expect_error(mly_dir_create(in("f/g"), &err), MLY_E_INVALID, err, "a file is in its place");
    expect_error(mly_dir_create("", &err), MLY_E_INVALID, err, "empty");
    mly_alloc_fail_once(1);
    expect_error(mly_dir_create(in("x/y"), &err), MLY_E_NO_MEMORY, err, "x/y");
}

static void trees_are_removed_without_following_links(void **state)
{
    (void)state;
    struct mly_error err;
    expect_ok(mly_dir_create(in("keep"), &err), err);
    put(in("keep/precious"), "x");
    expect_ok(mly_dir_create(in("t/a/b"), &err), err);
    put(in("t/a/b/f"), "x");
    assert_int_equal(symlink("../keep", in("t/link")), 0);
    assert_int_equal(symlink("keep", in("link")), 0);
    expect_ok(mly_dir_remove(in("t/"), &err), err);
    assert_int_equal(entries(scratch), 2);
    assert_content(in("keep/precious"), "x");
    expect_error(mly_dir_remove(in("link"), &err), MLY_E_INVALID, err, "no directory");
    expect_error(mly_dir_remove(in("keep/precious"), &err), MLY_E_INVALID, err, "no directory");
    expect_error(mly_dir_remove(in("keep/."), &err), MLY_E_INVALID, err, "refusing");
    expect_error(mly_dir_remove(in("keep/.."), &err), MLY_E_INVALID, err, "refusing");
    expect_error(mly_dir_remove("/", &err), MLY_E_INVALID, err, "refusing");
    expect_error(mly_dir_remove("//", &err), MLY_E_INVALID, err, "refusing");
    expect_error(mly_dir_remove("", &err), MLY_E_NOT_FOUND, err, "cannot remove ''");
    expect_ok(mly_dir_remove(in("missing"), &err), err);
    assert_content(in("keep/precious"), "x");
}

static void trees_too_deep_are_refused(void **state)
{
    (void)state;
    struct mly_error err;
    char path[4000];
    size_t length = (size_t)snprintf(path, sizeof path, "%s/deep", scratch);
    for (int i = 0; i < 250; i++)
        length += (size_t)snprintf(path + length, sizeof path - length, "/d");
    expect_ok(mly_dir_create(path, &err), err);
    expect_error(mly_dir_remove(in("deep"), &err), MLY_E_LIMIT, err, "levels");
    path[strlen(scratch) + 5 + 2 * 100] = '\0';
    expect_ok(mly_dir_remove(path, &err), err);
    expect_ok(mly_dir_remove(in("deep"), &err), err);
}

static void the_cache_directory_follows_the_environment(void **state)
{
    (void)state;
    struct mly_error err;
    char *path = NULL;
    setenv("MOTLEY_CACHE_DIR", in("own"), 1);
    setenv("XDG_CACHE_HOME", in("xdg"), 1);
    setenv("HOME", in("home"), 1);
    expect_ok(mly_cache_dir("costs/x", &path, &err), err);
    assert_string_equal(path, in("own/costs/x"));
    assert_int_equal(entries(path), 0);
    struct stat info;
    assert_int_equal(stat(in("own/costs"), &info), 0);
    assert_int_equal(info.st_mode & 0777, 0700); /* nobody else's */
    mly_free(path);
    unsetenv("MOTLEY_CACHE_DIR");
    expect_ok(mly_cache_dir(NULL, &path, &err), err);
    assert_string_equal(path, in("xdg/motley"));
    mly_free(path);
    setenv("XDG_CACHE_HOME", "relative", 1);
    expect_ok(mly_cache_dir("", &path, &err), err);
    assert_string_equal(path, in("home/.cache/motley"));
    mly_free(path);
    path = NULL;
    expect_error(mly_cache_dir("../x", &path, &err), MLY_E_INVALID, err, "below");
    expect_error(mly_cache_dir("a/..", &path, &err), MLY_E_INVALID, err, "below");
    expect_error(mly_cache_dir("/x", &path, &err), MLY_E_INVALID, err, "below");
    put(in("file"), "x");
    setenv("MOTLEY_CACHE_DIR", in("file"), 1);
    expect_error(mly_cache_dir("sub", &path, &err), MLY_E_IO, err, "cache directory: cannot make");
    setenv("MOTLEY_CACHE_DIR", in("own"), 1);
    for (uint64_t n = 1;; n++) {
        mly_alloc_fail_once(n);
        enum mly_status status = mly_cache_dir("new", &path, &err);
        mly_alloc_fail_after(0);
        if (status == MLY_OK)
            break;
        assert_true(status == MLY_E_NO_MEMORY || status == MLY_E_IO);
        assert_null(path);
    }
    mly_free(path);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(what_is_written_is_read_and_mapped),
        TEST(files_without_a_size_are_read),
        TEST(what_is_no_readable_file_is_refused),
        TEST(a_file_appears_only_on_commit),
        TEST(an_aborted_file_leaves_nothing),
        TEST(large_and_small_writes_keep_their_order),
        TEST(a_link_is_followed_to_the_file_it_names),
        TEST(a_device_is_written_to_and_not_replaced),
        TEST(a_full_disk_leaves_the_old_file_and_no_other),
        TEST(destinations_that_cannot_be_are_refused),
        TEST(writing_survives_every_failed_allocation),
        TEST(directories_are_made_with_their_parents),
        TEST(trees_are_removed_without_following_links),
        TEST(trees_too_deep_are_refused),
        TEST(the_cache_directory_follows_the_environment),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* Diagnostics, and clocks. */
#include "support/expect.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/log.h"

static char last[4096];
static int count;

static void keep(enum mly_log_level level, const char *text, void *user)
{
    (void)level;
    assert_ptr_equal(user, &count);
    snprintf(last, sizeof last, "%s", text);
    count++;
}

static void the_environment_sets_the_first_threshold(void **state)
{
    (void)state;
    setenv("MOTLEY_LOG", "Info", 1);
    mly_log_set_sink(keep, &count);
    mly_log(MLY_LOG_INFO, "n = %d", 5);
    assert_string_equal(last, "n = 5");
    count = 0;
    mly_log(MLY_LOG_DEBUG, "quiet");
    assert_int_equal(count, 0);
}

static void what_is_above_the_threshold_is_dropped(void **state)
{
    (void)state;
    mly_log_set_sink(keep, &count);
    mly_log_set_level(MLY_LOG_ERROR);
    count = 0;
    errno = 77;
    mly_log(MLY_LOG_WARNING, "w");
    mly_log((enum mly_log_level)99, "no such level");
    mly_log((enum mly_log_level) - 1, "no such level");
    assert_int_equal(count, 0);
    mly_log(MLY_LOG_ERROR, "e");
    assert_int_equal(count, 1);
    assert_int_equal(errno, 77);
}

static void a_message_is_one_line_without_control_characters(void **state)
{
    (void)state;
    mly_log_set_sink(keep, &count);
    mly_log(MLY_LOG_ERROR, "a\nb\x1b[31m%s", "\tü");
    assert_string_equal(last, "a b [31m ü");
    char text[5000];
    memset(text, 'x', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    mly_log(MLY_LOG_ERROR, "%s", text);
    assert_true(strlen(last) > 1900 && strlen(last) < 2048);
}

static void the_default_sink_is_standard_error(void **state)
{
    (void)state;
    int pipe_fds[2], saved = dup(STDERR_FILENO);
    assert_int_equal(pipe(pipe_fds), 0);
    dup2(pipe_fds[1], STDERR_FILENO);
    mly_log_set_sink(NULL, NULL);
    mly_log(MLY_LOG_ERROR, "hello %d", 1);
    dup2(saved, STDERR_FILENO);
    char line[100] = {0};
    assert_true(read(pipe_fds[0], line, sizeof line - 1) > 0);
    assert_string_equal(line, "motley: error: hello 1\n");
    close(saved);
    close(pipe_fds[0]);
    close(pipe_fds[1]);
}

static void real_time_runs_forward(void **state)
{
    (void)state;
    int64_t a = mly_now_ns(), cpu = mly_cpu_time_ns();
    assert_true(a > 0 && cpu > 0);
    mly_clock_advance_to(mly_clock_real(), INT64_MAX);
    assert_true(mly_clock_now_ns(mly_clock_real()) >= a);
    assert_true(mly_clock_now_ns(mly_clock_real()) < INT64_MAX);
    assert_true(mly_cpu_time_ns() >= cpu);
    mly_clock_destroy(mly_clock_real());
    char text[MLY_UTC_TEXT_BYTES];
    int year, month, day, hour, minute, second, end = 0;
    assert_int_equal(sscanf(mly_utc_now(text), "%4d-%2d-%2dT%2d:%2d:%2dZ%n", &year, &month, &day,
                            &hour, &minute, &second, &end),
                     6);
    assert_int_equal(end, 20);
    assert_true(year >= 2024);
}

static void virtual_time_moves_only_forward_and_when_told(void **state)
{
    (void)state;
    mly_clock *clock = mly_clock_create_virtual(100);
    assert_int_equal(mly_clock_now_ns(clock), 100);
    mly_clock_advance_to(clock, 500);
    mly_clock_advance_to(clock, 300);
    assert_int_equal(mly_clock_now_ns(clock), 500);
    mly_clock_destroy(clock);
    mly_clock_destroy(NULL);
    mly_alloc_fail_once(1);
    assert_null(mly_clock_create_virtual(0));
    mly_alloc_fail_after(0);
}

static void *log_and_allocate(void *clock)
{
    for (int64_t i = 0; i < 1000; i++) {
        mly_free(mly_alloc(8));
        mly_log(MLY_LOG_DEBUG, "dropped");
        mly_clock_advance_to(clock, i);
    }
    return NULL;
}

static void counters_and_clocks_may_be_shared_by_threads(void **state)
{
    (void)state;
    pthread_t threads[4];
    mly_clock *clock = mly_clock_create_virtual(0);
    uint64_t before = mly_alloc_count();
    for (int i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, log_and_allocate, clock), 0);
    for (int i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(mly_alloc_count() - before, 4000);
    assert_int_equal(mly_clock_now_ns(clock), 999);
    mly_clock_destroy(clock);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_environment_sets_the_first_threshold),
        cmocka_unit_test(what_is_above_the_threshold_is_dropped),
        cmocka_unit_test(a_message_is_one_line_without_control_characters),
        cmocka_unit_test(the_default_sink_is_standard_error),
        cmocka_unit_test(real_time_runs_forward),
        cmocka_unit_test(virtual_time_moves_only_forward_and_when_told),
        cmocka_unit_test(counters_and_clocks_may_be_shared_by_threads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

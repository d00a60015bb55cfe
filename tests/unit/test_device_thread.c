/* Pinning, and the noise of the box: what comes back, not how long anything takes. */
#include "support/expect.h"

#include <pthread.h>
#include <sched.h>

#include "base/alloc.h"
#include "device/internal.h"
#include "device/thread.h"

/* A thread of its own for each case, so that pinning stays there. */
static void in_thread(void *(*body)(void *))
{
    pthread_t thread;
    void *failure = NULL;
    assert_int_equal(pthread_create(&thread, NULL, body, NULL), 0);
    assert_int_equal(pthread_join(thread, &failure), 0);
    if (failure)
        fail_msg("%s", (const char *)failure);
}

/* Assertions of cmocka belong to the main thread. */
#define CHECK(condition)                                                                           \
    do {                                                                                           \
        if (!(condition))                                                                          \
            return (void *)#condition;                                                             \
    } while (0)

static uint32_t allowed[64], allowed_count;

static void read_allowed(void)
{
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof set, &set))
        TEST_SKIP("more CPUs than cpu_set_t holds");
    allowed_count = 0;
    for (uint32_t cpu = 0; cpu < CPU_SETSIZE && allowed_count < 64; cpu++)
        if (CPU_ISSET(cpu, &set))
            allowed[allowed_count++] = cpu;
}

static void *pin_to_each(void *argument)
{
    (void)argument;
    for (uint32_t i = 0; i < allowed_count; i++) {
        cpu_set_t set;
        CHECK(mly_thread_pin(allowed[i], NULL) == MLY_OK);
        CHECK(sched_getaffinity(0, sizeof set, &set) == 0);
        CHECK(CPU_COUNT(&set) == 1 && CPU_ISSET(allowed[i], &set));
        CHECK(sched_getcpu() == (int)allowed[i]);
    }
    CHECK(mly_thread_pin_set(allowed, allowed_count, NULL) == MLY_OK);
    return NULL;
}

static void a_pinned_thread_runs_there(void **state)
{
    (void)state;
    read_allowed();
    in_thread(pin_to_each);
}

static void *pin_to_absent(void *argument)
{
    (void)argument;
    static const uint32_t absent[] = {1023, MLY__MAX_CPU, MLY__MAX_CPU + 1, UINT32_MAX};
    struct mly_error err = {0};
    cpu_set_t before, after;
    CHECK(sched_getaffinity(0, sizeof before, &before) == 0);
    for (size_t i = 0; i < sizeof absent / sizeof absent[0]; i++) {
        const uint32_t with_one[] = {allowed[0], absent[i]};
        if (absent[i] < CPU_SETSIZE && CPU_ISSET(absent[i], &before))
            continue;
        CHECK(mly_thread_pin(absent[i], &err) == MLY_E_ABSENT);
        CHECK(err.status == MLY_E_ABSENT && strstr(err.message, "a thread cannot run on CPU"));
        CHECK(mly_thread_pin_set(with_one, 2, &err) == MLY_E_ABSENT);
        CHECK(sched_getaffinity(0, sizeof after, &after) == 0);
        CHECK(CPU_EQUAL(&before, &after));
    }
    CHECK(mly_thread_pin_set(allowed, 0, &err) == MLY_E_INVALID);
    return NULL;
}

static void a_cpu_that_is_not_there_is_absent_and_changes_nothing(void **state)
{
    (void)state;
    read_allowed();
    in_thread(pin_to_absent);
}

static void noise_is_measured_on_every_cpu(void **state)
{
    (void)state;
    struct mly_error err = {0};
    struct mly_noise noise = {0};
    cpu_set_t before, after;
    read_allowed();
    uint32_t count = allowed_count < 4 ? allowed_count : 4;
    assert_int_equal(sched_getaffinity(0, sizeof before, &before), 0);
    expect_ok(mly_noise_measure(allowed, count, 20000000, &noise, &err), err);
    assert_true(noise.samples >= count);
    assert_true(noise.relative_spread >= 0);
    assert_true(noise.slowdown >= 1);
    assert_true(noise.steal_fraction == -1 ||
                (noise.steal_fraction >= 0 && noise.steal_fraction <= 1));
    assert_int_equal(sched_getaffinity(0, sizeof after, &after), 0);
    assert_true(CPU_EQUAL(&before, &after));
    expect_ok(mly_noise_measure(allowed, 1, 1, &noise, &err), err);
    assert_int_equal(noise.samples, 1);
}

static void noise_of_wrong_cpus_is_refused(void **state)
{
    (void)state;
    struct mly_error err;
    struct mly_noise noise = {.samples = 77};
    read_allowed();
    const uint32_t cpus[] = {allowed[0], UINT32_MAX};
    expect_error(mly_noise_measure(cpus, 2, 1000000, &noise, &err), MLY_E_ABSENT, err,
                 "cannot run on CPU");
    expect_error(mly_noise_measure(cpus, 0, 1000000, &noise, &err), MLY_E_INVALID, err, "0 CPUs");
    expect_error(mly_noise_measure(cpus, 1, 0, &noise, &err), MLY_E_INVALID, err,
                 "a duration of 0 ns");
    expect_error(mly_noise_measure(cpus, 1, INT64_MAX, &noise, &err), MLY_E_INVALID, err,
                 "a duration");
    assert_int_equal(noise.samples, 77);
}

static void every_allocation_may_fail(void **state)
{
    (void)state;
    read_allowed();
    for (uint64_t n = 1; n <= 4; n++) {
        struct mly_error err = {0};
        struct mly_noise noise = {0};
        mly_alloc_fail_once(n);
        enum mly_status status = mly_noise_measure(allowed, 1, 1, &noise, &err);
        mly_alloc_fail_after(0);
        if (n <= 2)
            assert_int_equal(status, MLY_E_NO_MEMORY);
        else /* only the share of stolen time is lost */
            assert_true(status == MLY_OK && noise.steal_fraction == -1);
    }
}

int main(void)
{
    const struct CMUnitTest cases[] = {
        cmocka_unit_test(a_pinned_thread_runs_there),
        cmocka_unit_test(a_cpu_that_is_not_there_is_absent_and_changes_nothing),
        cmocka_unit_test(noise_is_measured_on_every_cpu),
        cmocka_unit_test(noise_of_wrong_cpus_is_refused),
        cmocka_unit_test(every_allocation_may_fail),
    };
    return cmocka_run_group_tests(cases, NULL, NULL);
}

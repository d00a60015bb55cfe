/* When another plan of a family is taken, on a clock of the test's own. */
#include "support/test.h"

#include <math.h>

#include "base/random.h"
#include "runtime/pace.h"

#define S INT64_C(1000000000)

static const double bounds[] = {100, 1000, 5000};

struct arrivals {
    struct mly__pace pace;
    struct mly_random random;
    int64_t now_ns;
};

static void begin(struct arrivals *a, uint64_t seed)
{
    a->now_ns = 5 * S;
    mly_random_init(&a->random, seed);
    mly__pace_init(&a->pace, bounds, 3);
}

/* Poisson arrivals of batches of 4 for so long. */
static void arrive(struct arrivals *a, double rate_per_s, int64_t for_ns, bool crowded)
{
    int64_t end_ns = a->now_ns + for_ns;
    for (;;) {
        double gap_s = -log(1 - mly_random_uniform(&a->random)) * 4 / rate_per_s;
        a->now_ns += (int64_t)(gap_s * 1e9);
        if (a->now_ns >= end_ns)
            break;
        (void)mly__pace_note(&a->pace, a->now_ns, 4, crowded);
    }
    a->now_ns = end_ns;
}

static void the_rate_is_that_of_the_last_second_or_so(void **state)
{
    (void)state;
    struct arrivals a;
    begin(&a, 1);
    assert_true(mly__pace_rate(&a.pace, a.now_ns) == 0);
    for (int i = 0; i < 3; i++) {
        static const double rates[] = {500, 4000, 800};
        arrive(&a, rates[i], 10 * S, false);
        double rate = mly__pace_rate(&a.pace, a.now_ns);
        assert_true(rate > 0.6 * rates[i] && rate < 1.5 * rates[i]);
    }
    assert_true(mly__pace_rate(&a.pace, a.now_ns + 20 * S) < 1);
    /* Nothing is said of the first moments. */
    begin(&a, 2);
    for (int i = 0; i < 50; i++)
        assert_false(mly__pace_note(&a.pace, a.now_ns + i, 1, false));
}

static void plans_follow_the_rate(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 20; seed++) {
        struct arrivals a;
        begin(&a, seed);
        arrive(&a, 50, 10 * S, false);
        assert_int_equal(a.pace.current, 0);
        arrive(&a, 500, 10 * S, false);
        assert_int_equal(a.pace.current, 1);
        arrive(&a, 50000, 2 * S, false); /* beyond all: the last one */
        assert_int_equal(a.pace.current, 2);
        arrive(&a, 40, 30 * S, false);
        assert_int_equal(a.pace.current, 0);
        assert_true(a.pace.changes >= 3 && a.pace.changes <= 6);
    }
}

/* Arrivals are random: their rate over a second wanders about the bound all the time. */
static void a_rate_near_a_bound_moves_nothing_to_and_fro(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 20; seed++) {
        struct arrivals a;
        begin(&a, seed);
        arrive(&a, 1000, 600 * S, false);
        assert_int_equal(a.pace.current, 2);
        assert_true(a.pace.changes <= 4);
    }
}

static void a_full_queue_moves_up_step_by_step(void **state)
{
    (void)state;
    struct arrivals a;
    begin(&a, 1);
    arrive(&a, 50, S, true);
    assert_true(a.pace.current >= 1);
    arrive(&a, 50, 5 * S, true);
    assert_int_equal(a.pace.current, 2);
    assert_int_equal(a.pace.changes, 2);
    arrive(&a, 50, 10 * S, false);
    assert_int_equal(a.pace.current, 0);
}

static void one_plan_stays(void **state)
{
    (void)state;
    struct arrivals a;
    begin(&a, 1);
    mly__pace_init(&a.pace, bounds, 1);
    arrive(&a, 5000, 5 * S, true);
    assert_int_equal(a.pace.current, 0);
    assert_int_equal(a.pace.changes, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_rate_is_that_of_the_last_second_or_so),
        cmocka_unit_test(plans_follow_the_rate),
        cmocka_unit_test(a_rate_near_a_bound_moves_nothing_to_and_fro),
        cmocka_unit_test(a_full_queue_moves_up_step_by_step),
        cmocka_unit_test(one_plan_stays),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* Rates of rounds without the box's drift: what is put together of both is told apart again. */
#include <math.h>
#include <string.h>

#include "base/alloc.h"
#include "base/random.h"
#include "profile/levels.h"
#include "support/expect.h"

enum { CELLS = 4 };

static struct mly_error err;
static struct cell cells[CELLS];
static const double rates[CELLS] = {218, 195, 205, 268};

/* The box as fast as `speeds` says, round by round; the cells in `fewer` leave after three. */
static struct profiler measured(const double *speeds, uint32_t rounds, uint32_t fewer)
{
    memset(cells, 0, sizeof cells);
    for (uint32_t i = 0; i < CELLS; i++)
        for (uint32_t k = 0; k < (i < fewer ? 3 : rounds); k++)
            cells[i].rates[cells[i].rate_count++] = rates[i] * speeds[k];
    return (struct profiler){.cells = cells, .cell_count = CELLS};
}

static void expect_near(double a, double b)
{
    if (!(fabs(a - b) <= 1e-9 * fabs(b)))
        fail_msg("%.12g is not %.12g", a, b);
}

static void the_median_round_is_the_boxs_speed(void **state)
{
    (void)state;
    const double speeds[] = {1, 0.5, 1, 0.5, 1, 0.5, 1};
    struct profiler p = measured(speeds, 7, 0);
    expect_ok(profile_levels(&p, &err), err);
    for (uint32_t i = 0; i < CELLS; i++) {
        expect_near(cells[i].throughput, rates[i]);
        expect_near(cells[i].pace, 1);
        assert_true(cells[i].throughput_spread < 1e-9);
    }
    expect_near(p.drift, 0.5);
}

/* Those that leave early saw the fast half only: beside the others they are not the faster for it. */
static void who_ran_while_the_box_was_fast_gains_nothing(void **state)
{
    (void)state;
    const double speeds[] = {1, 1, 1, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5};
    for (uint32_t fewer = 1; fewer < 3; fewer++) {
        struct profiler p = measured(speeds, 9, fewer);
        expect_ok(profile_levels(&p, &err), err);
        for (uint32_t i = 0; i < CELLS; i++)
            expect_near(cells[i].throughput, rates[i] / 2);
        expect_near(cells[0].pace, 0.5);
        expect_near(cells[3].pace, 1);
    }
}

/* A neighbour that comes and goes within rounds, 200 times: the best is found nearly always. */
static void the_best_is_found_on_a_box_of_two_speeds(void **state)
{
    (void)state;
    struct mly_random random;
    int found = 0, found_plainly = 0;
    mly_random_init(&random, 7);
    for (int trial = 0; trial < 200; trial++) {
        bool slow = false;
        memset(cells, 0, sizeof cells);
        struct profiler p = {.cells = cells, .cell_count = CELLS};
        uint32_t best = 0, plainly = 0;
        double most = 0;
        for (uint32_t k = 0; k < PROFILE_ROUNDS_MAX; k++) {
            for (uint32_t i = 0; i < CELLS; i++) {
                slow = mly_random_uniform(&random) < 0.15 ? !slow : slow;
                cells[i].rates[cells[i].rate_count++] =
                    rates[i] * (slow ? 0.56 : 1) * (1 + 0.02 * mly_random_uniform(&random));
            }
        }
        expect_ok(profile_levels(&p, &err), err);
        for (uint32_t i = 0; i < CELLS; i++) {
            best = cells[i].throughput > cells[best].throughput ? i : best;
            if (cells[i].throughput / cells[i].pace > most) {
                most = cells[i].throughput / cells[i].pace;
                plainly = i;
            }
        }
        found += best == 3;
        found_plainly += plainly == 3;
    }
    if (found < 194 || found <= found_plainly)
        fail_msg("found %d times of 200, by plain medians %d times", found, found_plainly);
}

static void one_alone_is_taken_as_it_is(void **state)
{
    (void)state;
    const double speeds[] = {1, 0.5, 0.5, 1, 0.8};
    struct profiler p = measured(speeds, 5, 0);
    p.cell_count = 1;
    expect_ok(profile_levels(&p, &err), err);
    expect_near(cells[0].throughput, 0.8 * rates[0]);
    assert_true(cells[0].throughput_spread > 0.5);
    assert_true(p.drift == 0);
    memset(cells, 0, sizeof cells);
    expect_ok(profile_levels(&p, &err), err); /* nothing was measured */
    assert_true(cells[0].throughput == 0);
}

static void two_rounds_say_nothing_of_the_box(void **state)
{
    (void)state;
    const double speeds[] = {1, 0.5};
    struct profiler p = measured(speeds, 2, 0);
    expect_ok(profile_levels(&p, &err), err);
    assert_true(p.drift == 0);
    for (uint32_t i = 1; i < CELLS; i++)
        expect_near(cells[i].throughput / cells[0].throughput, rates[i] / rates[0]);
}

static void memory_may_be_short(void **state)
{
    (void)state;
    const double speeds[] = {1, 0.5, 1};
    struct profiler p = measured(speeds, 3, 0);
    for (uint64_t n = 1; n <= 2; n++) {
        mly_alloc_fail_once(n);
        assert_int_equal(profile_levels(&p, &err), MLY_E_NO_MEMORY);
        assert_true(cells[0].throughput == 0);
    }
    mly_alloc_fail_once(0);
    expect_ok(profile_levels(&p, &err), err);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_median_round_is_the_boxs_speed),
        cmocka_unit_test(who_ran_while_the_box_was_fast_gains_nothing),
        cmocka_unit_test(the_best_is_found_on_a_box_of_two_speeds),
        cmocka_unit_test(one_alone_is_taken_as_it_is),
        cmocka_unit_test(two_rounds_say_nothing_of_the_box),
        cmocka_unit_test(memory_may_be_short),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/*
 * Latency at a rate: formulas against numbers of the literature, and the estimate against the virtual
 * executor on plans of all forms at loads from 10 to 90 %.
 */
#include <math.h>

#include "plan/internal.h"
#include "plan/queueing.h"
#include "plan/under_load.h"
#include "support/expect.h"
#include "support/load_scenes.h"
#include "support/test.h"

static void expect_near(double value, double wanted, double tolerance)
{
    if (!(fabs(value - wanted) <= tolerance * fabs(wanted)))
        fail_msg("%g is not within %g of %g", value, tolerance, wanted);
}

/* Pollaczek and Khinchine; processors that take batches in turn; Kingman. */
static void waits_of_processors_alike_are_exact(void **state)
{
    (void)state;
    for (int step = 1; step < 20; step++) {
        const double load = step / 20.0;
        const struct mly__batches one = {1, 1 / load}, two = {1, 1 / (2 * load)};
        expect_near(mly__wait_alike_ns(one, 1, 1), load / (2 * (1 - load)), 1e-9);
        /* Two that take in turn: every second batch. */
        expect_near(mly__wait_alike_ns(two, 2, 1),
                    mly__wait_alike_ns((struct mly__batches){2, 1 / load}, 1, 1), 1e-9);
    }
    /* Kingman's bound is the limit. */
    for (uint32_t batch = 1; batch <= 32; batch *= 2)
        expect_near(mly__wait_alike_ns((struct mly__batches){batch, 1 / 0.999}, 1, 1),
                    1 / (2 * 0.001 * batch), 0.05);
    assert_true(isinf(mly__wait_alike_ns((struct mly__batches){4, 1}, 1, 1)));
    assert_true(mly__wait_alike_ns((struct mly__batches){32, 2}, 1, 1) < 1e-4);
}

static void rates_of_batches_add_up(void **state)
{
    (void)state;
    for (uint32_t batch = 1; batch <= 64; batch *= 4) {
        const struct mly__batches batches = {batch, 1000};
        double sum = 0;
        for (int i = 0; i < 20000; i++)
            sum += mly__batches_density(batches, i + 0.5);
        /* Renewals until t: t / interval + (1 / b - 1) / 2. */
        expect_near(sum, 20 + (1.0 / batch - 1) / 2, 1e-3);
    }
}

static void unlike_processors_are_no_better_than_one_as_fast_as_all(void **state)
{
    (void)state;
    const double ns[] = {1, 2, 4};
    double before = 0;
    for (int step = 5; step < 99; step++) {
        const double load = step / 100.0;
        const double wait = mly__wait_unlike_ns((struct mly__batches){1, 1 / (load * 1.75)}, ns, 3);
        assert_true(wait >= before * 0.97);
        before = wait;
    }
    assert_true(isinf(mly__wait_unlike_ns((struct mly__batches){1, 1 / 1.75}, ns, 3)));
    /* One that is so slow that it is of no use. */
    const double slow[] = {1, 1000};
    expect_near(mly__wait_unlike_ns((struct mly__batches){1, 2}, slow, 2), 0.5, 1e-9);
}

/* docs/internals/planning.md states the bounds. */
static void estimates_are_near_the_virtual_executor(void **state)
{
    (void)state;
    struct mly_error err;
    for (size_t s = 0; s < load_scene_count; s++) {
        const struct load_scene *scene = &load_scenes[s];
        for (uint32_t batch = 1; batch <= 16; batch *= 16) {
            for (size_t l = 0; l < load_scene_load_count; l += l < 4 ? 2 : 1) {
                const double load = load_scene_loads[l];
                const bool high = load > 0.85;
                double estimate, simulated;
                expect_ok(load_scene_estimate(scene, batch, load, &estimate, &err), err);
                expect_ok(load_scene_simulate(scene, batch, load,
                                              high && batch == 1 ? 100000 : 20000, &simulated,
                                              &err),
                          err);
                if (!(fabs(estimate / simulated - 1) <=
                      (high ? scene->bound_at_most : scene->bound)))
                    fail_msg("%s, batch %u, %g %%: %g ms estimated, %g simulated", scene->name,
                             batch, load * 100, estimate, simulated);
            }
        }
    }
}

/* Varying times wait longer, as Allen and Cunneen say; none beyond what can be taken. */
static void variation_and_rates_beyond_count(void **state)
{
    (void)state;
    struct mly_error err;
    struct mly__under_load load;
    expect_ok(mly__under_load_init(&load, 4, 1, 1, &err), err);
    load.ns[0] = 1e6;
    expect_ok(mly__under_load_ready(&load, &err), err);
    assert_true(load.most_per_s == 4000);
    const double steady = mly__under_load_latency_ns(&load, 3000);
    load.spread = 2.563;
    expect_near(mly__under_load_latency_ns(&load, 3000) - steady, 0.75 / 0.25 * 1e6 / 2, 1e-9);
    assert_true(isinf(mly__under_load_latency_ns(&load, 4000)));
    expect_near(mly__queue_latency_ns(3000, 4, 1, 4000, 1e6, 0), steady, 1e-9);
    assert_true(isinf(mly__queue_latency_ns(4000, 4, 1, 4000, 1e6, 0)));
    mly__under_load_fini(&load);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(waits_of_processors_alike_are_exact),
        cmocka_unit_test(rates_of_batches_add_up),
        cmocka_unit_test(unlike_processors_are_no_better_than_one_as_fast_as_all),
        cmocka_unit_test(estimates_are_near_the_virtual_executor),
        cmocka_unit_test(variation_and_rates_beyond_count),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

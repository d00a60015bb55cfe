/* Percentiles of a stream against those of the sorted values. */
#include "support/test.h"

#include <math.h>

#include "base/histogram.h"
#include "base/random.h"
#include "base/stats.h"

static struct mly_histogram histogram;

static void clear(void)
{
    histogram = (struct mly_histogram){0};
}

static void nothing_is_zero(void **state)
{
    (void)state;
    clear();
    assert_true(mly_histogram_percentile(&histogram, 0.5) == 0);
    assert_true(mly_histogram_mean(&histogram) == 0);
}

static void one_value_is_every_percentile(void **state)
{
    (void)state;
    static const int64_t values[] = {0,        1, 127, 128, 255, 256, 1000003, INT64_C(1) << 40,
                                     INT64_MAX};
    for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
        clear();
        mly_histogram_add(&histogram, values[i]);
        for (double p = 0; p <= 1; p += 0.25)
            assert_true(mly_histogram_percentile(&histogram, p) == (double)values[i]);
        assert_true(mly_histogram_mean(&histogram) == (double)values[i]);
    }
    clear();
    mly_histogram_add(&histogram, -5);
    assert_int_equal(histogram.max, 0);
}

static void percentiles_are_within_their_precision(void **state)
{
    (void)state;
    enum { COUNT = 50000 };
    static double sorted[COUNT];
    static const double ps[] = {0, 0.01, 0.1, 0.5, 0.9, 0.99, 0.999, 1};
    struct mly_random random;
    mly_random_init(&random, 3);
    clear();
    for (int i = 0; i < COUNT; i++) {
        int64_t value = (int64_t)exp(30 * mly_random_uniform(&random)); /* 13 decades */
        sorted[i] = (double)value;
        mly_histogram_add(&histogram, value);
    }
    for (size_t i = 0; i < sizeof ps / sizeof *ps; i++) {
        double exact = mly_percentile(sorted, COUNT, ps[i]);
        assert_true(fabs(mly_histogram_percentile(&histogram, ps[i]) / exact - 1) < 0.006);
    }
    assert_true(mly_histogram_percentile(&histogram, 1) == sorted[COUNT - 1]);
    assert_int_equal(histogram.count, COUNT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_is_zero),
        cmocka_unit_test(one_value_is_every_percentile),
        cmocka_unit_test(percentiles_are_within_their_precision),
    };
    return cmocka_run_group_tests_name("histogram", tests, NULL, NULL);
}

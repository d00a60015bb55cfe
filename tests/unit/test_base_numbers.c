/* Seeded numbers, order statistics, 16-bit floats and hashes. */
#include "support/expect.h"

#include <math.h>

#include "base/alloc.h"
#include "base/half.h"
#include "base/hash.h"
#include "base/random.h"
#include "base/stats.h"

static void splitmix64_gives_the_published_sequence(void **state)
{
    (void)state;
    /* The generator's usual reference outputs for seed 1234567. */
    static const uint64_t wanted[] = {
        UINT64_C(6457827717110365317),  UINT64_C(3203168211198807973),
        UINT64_C(9817491932198370423),  UINT64_C(4593380528125082431),
        UINT64_C(16408922859458223821),
    };
    struct mly_random random;
    mly_random_init(&random, 1234567);
    for (size_t i = 0; i < 5; i++)
        assert_true(mly_random_next(&random) == wanted[i]);
}

static void distributions_have_their_moments(void **state)
{
    (void)state;
    struct mly_random random;
    mly_random_init(&random, 7);
    enum { COUNT = 200000 };
    double sum = 0, square = 0, fourth = 0, uniform = 0;
    uint64_t histogram[7] = {0};
    for (int i = 0; i < COUNT; i++) {
        double z = mly_random_normal(&random), u = mly_random_uniform(&random);
        assert_true(u >= 0 && u < 1);
        sum += z;
        square += z * z;
        fourth += z * z * z * z;
        uniform += u;
        uint64_t below = mly_random_below(&random, 7);
        assert_true(below < 7);
        histogram[below]++;
    }
    assert_true(fabs(sum / COUNT) < 0.01);
    assert_true(fabs(square / COUNT - 1) < 0.02);
    assert_true(fabs(fourth / COUNT - 3) < 0.15);
    assert_true(fabs(uniform / COUNT - 0.5) < 0.005);
    for (int i = 0; i < 7; i++)
        assert_true(fabs((double)histogram[i] / COUNT - 1.0 / 7) < 0.005);
    assert_int_equal(mly_random_below(&random, 1), 0);
    assert_int_equal(mly_random_below(&random, 0), 0); /* against the rule, but no crash */
}

static void percentiles_interpolate(void **state)
{
    (void)state;
    double samples[] = {4, 1, 3, 2};
    assert_true(mly_percentile(samples, 4, 0.5) == 2.5);
    assert_true(samples[0] == 1 && samples[3] == 4);
    assert_true(mly_percentile(samples, 4, 0) == 1);
    assert_true(mly_percentile(samples, 4, 1) == 4);
    assert_true(mly_percentile(samples, 4, -3) == 1);
    assert_true(mly_percentile(samples, 4, 9) == 4);
    assert_true(mly_percentile(samples, 4, NAN) == 1);
    assert_true(mly_percentile(samples, 1, 0.99) == 1);
    assert_true(mly_percentile(NULL, 0, 0.5) == 0);
    double odd[] = {NAN, 2, 1};
    assert_true(mly_percentile(odd, 3, 0) == 1 && isnan(odd[2]));
}

static void summaries_hold_the_order_statistics(void **state)
{
    (void)state;
    double samples[101];
    for (int i = 0; i <= 100; i++)
        samples[i] = 100 - i;
    struct mly_summary s = mly_summarise(samples, 101);
    assert_int_equal(s.count, 101);
    assert_true(s.min == 0 && s.p10 == 10 && s.median == 50 && s.p90 == 90 && s.p99 == 99);
    assert_true(s.max == 100 && s.mean == 50 && s.relative_spread == 80.0 / 50);
    s = mly_summarise(NULL, 0);
    assert_true(s.count == 0 && s.max == 0 && s.relative_spread == 0);
    double zero[] = {0, 0}, one[] = {5};
    assert_true(mly_summarise(zero, 2).relative_spread == 0);
    assert_true(mly_summarise(one, 1).relative_spread == 0);
}

static void every_half_survives_the_round_trip(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < 65536; i++) {
        float f = mly_f16_to_f32((uint16_t)i), b = mly_bf16_to_f32((uint16_t)i);
        if (isnan(f))
            assert_true(isnan(mly_f16_to_f32(mly_f16_from_f32(f))));
        else
            assert_int_equal(mly_f16_from_f32(f), i);
        if (isnan(b))
            assert_true(isnan(mly_bf16_to_f32(mly_bf16_from_f32(b))));
        else
            assert_int_equal(mly_bf16_from_f32(b), i);
    }
    assert_true(mly_f16_to_f32(0x3C00) == 1 && mly_f16_to_f32(0xC000) == -2);
    assert_true(mly_f16_to_f32(0x0001) == 0x1p-24F && mly_f16_to_f32(0x7BFF) == 65504);
    assert_true(mly_bf16_to_f32(0x3F80) == 1);
}

/* Oracle: of the two neighbours, the nearer; at equal distance the even one. */
static void halves_round_to_nearest_even(void **state)
{
    (void)state;
    struct mly_random random;
    mly_random_init(&random, 3);
    for (uint32_t i = 0; i < 0x7BFF; i++) {
        double low = mly_f16_to_f32((uint16_t)i), high = mly_f16_to_f32((uint16_t)(i + 1));
        double middle = (low + high) / 2;
        assert_int_equal(mly_f16_from_f32((float)middle), i + (i & 1));
        float below = nextafterf((float)middle, 0), above = nextafterf((float)middle, INFINITY);
        assert_int_equal(mly_f16_from_f32(below), i);
        assert_int_equal(mly_f16_from_f32(above), i + 1);
        assert_int_equal(mly_f16_from_f32(-above), 0x8000 | (i + 1));
    }
    assert_int_equal(mly_f16_from_f32(65519.996F), 0x7BFF);
    assert_int_equal(mly_f16_from_f32(65520), 0x7C00);
    assert_int_equal(mly_f16_from_f32(INFINITY), 0x7C00);
    assert_int_equal(mly_f16_from_f32(-1e30F), 0xFC00);
    assert_int_equal(mly_f16_from_f32(0x1p-26F), 0);
    assert_int_equal(mly_bf16_from_f32(1.00390625F), 0x3F80);
    assert_int_equal(mly_bf16_from_f32(1.01171875F), 0x3F82);
    assert_int_equal(mly_bf16_from_f32(3.4e38F), 0x7F80);
}

static void sha256_gives_the_standards_digests(void **state)
{
    (void)state;
    struct mly_error err;
    char text[MLY_HASH_TEXT_BYTES];
    /* FIPS 180-4 examples */
    expect_ok(mly_hash_bytes("abc", 3, text, &err), err);
    assert_string_equal(text, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    expect_ok(mly_hash_bytes(NULL, 0, text, &err), err);
    assert_string_equal(text, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    mly_hasher *hasher = NULL;
    expect_ok(mly_hasher_create(&hasher, &err), err);
    assert_int_equal(mly_hasher_update(hasher, "a", 1), MLY_OK);
    assert_int_equal(mly_hasher_update(hasher, "bc", 2), MLY_OK);
    assert_int_equal(mly_hasher_finish(hasher, text), MLY_OK);
    assert_string_equal(text, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    expect_ok(mly_hasher_create(&hasher, &err), err);
    mly_hasher_destroy(hasher);
    mly_hasher_destroy(NULL);
    mly_alloc_fail_once(1);
    expect_error(mly_hash_bytes("abc", 3, text, &err), MLY_E_NO_MEMORY, err, "no memory");
    mly_alloc_fail_after(0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(splitmix64_gives_the_published_sequence),
        cmocka_unit_test(distributions_have_their_moments),
        cmocka_unit_test(percentiles_interpolate),
        cmocka_unit_test(summaries_hold_the_order_statistics),
        cmocka_unit_test(every_half_survives_the_round_trip),
        cmocka_unit_test(halves_round_to_nearest_even),
        cmocka_unit_test(sha256_gives_the_standards_digests),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* Sizes of symbolic dimensions as text. */
#include "support/expect.h"

#include "base/alloc.h"
#include "cost/sizes.h"

static void names_and_sizes_are_read(void **state)
{
    (void)state;
    struct mly_error err = {0};
    struct mly_sizes sizes = {0};
    expect_ok(mly_sizes_parse("", &sizes, &err), err);
    assert_int_equal(sizes.count, 0);
    mly_sizes_fini(&sizes);
    expect_ok(mly_sizes_parse("height=480,state[1]=7,a=b=2147483647", &sizes, &err), err);
    assert_int_equal(sizes.count, 3);
    assert_string_equal(sizes.items[0].name, "height");
    assert_int_equal(sizes.items[0].size, 480);
    assert_string_equal(sizes.items[1].name, "state[1]");
    assert_string_equal(sizes.items[2].name, "a=b");
    assert_int_equal(sizes.items[2].size, INT32_MAX);
    mly_sizes_fini(&sizes);
    assert_int_equal(sizes.count, 0);
}

static void what_is_none_is_refused(void **state)
{
    (void)state;
    static const char *const wrong[] = {"a",    "a=",   "=1",     "a=0",  "a=-1",         ",",
                                        "a=1,", ",a=1", "a=1,,b", "a=1x", "a=2147483648", "a= 1"};
    struct mly_error err = {0};
    struct mly_sizes sizes = {0};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        expect_error(mly_sizes_parse(wrong[i], &sizes, &err), MLY_E_INVALID, err, "NAME=N");
        assert_null(sizes.items);
    }
    char text[MLY_SIZES_BYTES + 1];
    memset(text, 'a', sizeof text);
    text[MLY_SIZES_BYTES] = '\0';
    expect_error(mly_sizes_parse(text, &sizes, &err), MLY_E_LIMIT, err, "511");
}

static void every_allocation_may_fail(void **state)
{
    (void)state;
    for (uint64_t n = 1; n <= 2; n++) {
        struct mly_error err = {0};
        struct mly_sizes sizes = {0};
        mly_alloc_fail_once(n);
        expect_error(mly_sizes_parse("a=1", &sizes, &err), MLY_E_NO_MEMORY, err, "memory");
        mly_alloc_fail_once(0);
        assert_null(sizes.items);
    }
}

int main(void)
{
    const struct CMUnitTest cases[] = {
        cmocka_unit_test(names_and_sizes_are_read),
        cmocka_unit_test(what_is_none_is_refused),
        cmocka_unit_test(every_allocation_may_fail),
    };
    return cmocka_run_group_tests(cases, NULL, NULL);
}

/* Statuses and error messages, and errno's conversion. */
#include "support/expect.h"

#include <errno.h>

#include <motley/version.h>

#include "base/os.h"

static void every_status_has_a_distinct_name_and_a_meaning(void **state)
{
    (void)state;
    for (int i = 0; i < MLY_STATUS_COUNT; i++) {
        assert_true(mly_status_name((enum mly_status)i)[0] != '\0');
        assert_true(mly_status_meaning((enum mly_status)i)[0] != '\0');
        for (int k = 0; k < i; k++)
            assert_string_not_equal(mly_status_name((enum mly_status)i),
                                    mly_status_name((enum mly_status)k));
    }
}

static void a_status_out_of_range_is_unknown(void **state)
{
    (void)state;
    assert_string_equal(mly_status_name(MLY_STATUS_COUNT), "unknown");
    assert_string_equal(mly_status_name((enum mly_status) - 1), "unknown");
    assert_string_equal(mly_status_meaning((enum mly_status)999), "an unknown status");
}

static void set_formats_and_returns_the_status(void **state)
{
    (void)state;
    struct mly_error err = {0};
    assert_int_equal(mly_error_set(&err, MLY_E_LIMIT, "%d of %s", 3, "x"), MLY_E_LIMIT);
    assert_int_equal(err.status, MLY_E_LIMIT);
    assert_string_equal(err.message, "3 of x");
    assert_int_equal(mly_error_set(NULL, MLY_E_IO, "x"), MLY_E_IO);
}

static void set_may_quote_the_message_that_it_replaces(void **state)
{
    (void)state;
    struct mly_error err = {MLY_E_IO, "inner"};
    mly_error_set(&err, MLY_E_FORMAT, "outer (%s)", err.message);
    assert_string_equal(err.message, "outer (inner)");
}

static void a_message_is_cut_between_characters(void **state)
{
    (void)state;
    char text[2 * MLY_ERROR_MESSAGE_BYTES];
    for (size_t shift = 0; shift < 4; shift++) {
        memset(text, 'a', shift);
        for (size_t i = shift; i + 3 < sizeof text; i += 3)
            memcpy(text + i, "…", 4);
        struct mly_error err = {0};
        mly_error_set(&err, MLY_E_IO, "%s", text);
        size_t length = strlen(err.message);
        assert_true(length < MLY_ERROR_MESSAGE_BYTES && length > MLY_ERROR_MESSAGE_BYTES - 5);
        assert_int_equal((length - shift) % 3, 0);
    }
}

static void prefix_keeps_the_inner_status_and_message(void **state)
{
    (void)state;
    struct mly_error err = {MLY_E_NO_SPACE, "disk full"};
    assert_int_equal(mly_error_prefix(&err, MLY_E_IO, "m.onnx: node '%s'", "n"), MLY_E_NO_SPACE);
    assert_string_equal(err.message, "m.onnx: node 'n': disk full");
    assert_int_equal(mly_error_prefix(NULL, MLY_E_IO, "x"), MLY_E_IO);
}

static void a_prefix_that_does_not_fit_cuts_the_end(void **state)
{
    (void)state;
    struct mly_error err = {.status = MLY_E_IO};
    memset(err.message, 'm', sizeof err.message - 1);
    mly_error_prefix(&err, MLY_E_IO, "where");
    assert_memory_equal(err.message, "where: mmm", 10);
    assert_int_equal(strlen(err.message), sizeof err.message - 1);
    char longest[2 * MLY_ERROR_MESSAGE_BYTES];
    memset(longest, 'p', sizeof longest - 1);
    longest[sizeof longest - 1] = '\0';
    mly_error_prefix(&err, MLY_E_IO, "%s", longest);
    assert_int_equal(strlen(err.message), sizeof err.message - 1);
}

static void errno_values_become_statuses_with_words(void **state)
{
    (void)state;
    struct mly_error err;
    expect_error(mly_error_os(&err, ENOENT, "cannot open '%s'", "f"), MLY_E_NOT_FOUND, err,
                 "cannot open 'f': No such file");
    assert_int_equal(mly_status_from_errno(ENOSPC), MLY_E_NO_SPACE);
    assert_int_equal(mly_status_from_errno(EDQUOT), MLY_E_NO_SPACE);
    assert_int_equal(mly_status_from_errno(ENOMEM), MLY_E_NO_MEMORY);
    assert_int_equal(mly_status_from_errno(ENAMETOOLONG), MLY_E_INVALID);
    assert_int_equal(mly_status_from_errno(EMFILE), MLY_E_LIMIT);
    assert_int_equal(mly_status_from_errno(12345), MLY_E_IO);
    assert_int_equal(mly_error_os(NULL, EIO, "x"), MLY_E_IO);
}

static void the_library_has_the_headers_version(void **state)
{
    (void)state;
    char text[32];
    snprintf(text, sizeof text, "%d.%d.%d", MLY_VERSION_MAJOR, MLY_VERSION_MINOR,
             MLY_VERSION_PATCH);
    assert_string_equal(mly_version(), MLY_VERSION);
    assert_string_equal(text, MLY_VERSION);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_status_has_a_distinct_name_and_a_meaning),
        cmocka_unit_test(a_status_out_of_range_is_unknown),
        cmocka_unit_test(set_formats_and_returns_the_status),
        cmocka_unit_test(set_may_quote_the_message_that_it_replaces),
        cmocka_unit_test(a_message_is_cut_between_characters),
        cmocka_unit_test(prefix_keeps_the_inner_status_and_message),
        cmocka_unit_test(a_prefix_that_does_not_fit_cuts_the_end),
        cmocka_unit_test(errno_values_become_statuses_with_words),
        cmocka_unit_test(the_library_has_the_headers_version),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

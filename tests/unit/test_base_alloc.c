/* Allocation, its fault injection, and growable buffers. */
#include "support/expect.h"

#include "base/alloc.h"
#include "base/buffer.h"

static int disarm(void **state)
{
    (void)state;
    mly_alloc_fail_after(0);
    return 0;
}

static void memory_is_zeroed_and_never_null_for_no_bytes(void **state)
{
    (void)state;
    unsigned char *p = mly_alloc(100);
    for (int i = 0; i < 100; i++)
        assert_int_equal(p[i], 0);
    mly_free(p);
    p = mly_alloc(0);
    assert_non_null(p);
    mly_free(p);
    p = mly_alloc_array(0, 8);
    assert_non_null(p);
    mly_free(p);
    mly_free(NULL);
}

static void products_that_overflow_are_refused(void **state)
{
    (void)state;
    assert_null(mly_alloc_array(SIZE_MAX / 2, 3));
    char *p = mly_alloc(1);
    assert_null(mly_realloc_array(p, SIZE_MAX, 2));
    mly_free(p);
    size_t capacity = 0;
    int *array = NULL;
    assert_int_equal(mly_array_reserve(&array, &capacity, SIZE_MAX / 2, sizeof *array), -1);
    assert_null(array);
    assert_int_equal(capacity, 0);
}

static void aligned_memory_is_aligned(void **state)
{
    (void)state;
    for (size_t alignment = 1; alignment <= 4096; alignment *= 2) {
        void *p = mly_alloc_aligned(alignment, 10);
        assert_non_null(p);
        assert_int_equal((uintptr_t)p % alignment, 0);
        mly_free(p);
    }
    assert_null(mly_alloc_aligned(24, 10)); /* no power of two */
}

static void strings_are_copied(void **state)
{
    (void)state;
    char *a = mly_strdup("text"), *b = mly_strndup("text", 2), *c = mly_strndup("text", 99);
    char *d = mly_strfmt("%s-%d", "x", 7);
    assert_string_equal(a, "text");
    assert_string_equal(b, "te");
    assert_string_equal(c, "text");
    assert_string_equal(d, "x-7");
    mly_free(a);
    mly_free(b);
    mly_free(c);
    mly_free(d);
}

static void reserve_doubles_and_keeps_the_elements(void **state)
{
    (void)state;
    size_t capacity = 0;
    uint32_t *array = NULL;
    for (uint32_t i = 0; i < 1000; i++) {
        assert_int_equal(mly_array_reserve(&array, &capacity, i + 1, sizeof *array), 0);
        array[i] = i;
    }
    assert_int_equal(capacity, 1024);
    for (uint32_t i = 0; i < 1000; i++)
        assert_int_equal(array[i], i);
    mly_free(array);
}

static void fail_once_fails_exactly_the_nth(void **state)
{
    (void)state;
    mly_alloc_fail_once(2);
    void *a = mly_alloc(1), *b = mly_alloc(1), *c = mly_alloc(1);
    assert_non_null(a);
    assert_null(b);
    assert_non_null(c);
    mly_free(a);
    mly_free(c);
}

static void fail_after_fails_the_nth_and_all_later(void **state)
{
    (void)state;
    mly_alloc_fail_after(2);
    void *a = mly_alloc(1);
    assert_non_null(a);
    assert_null(mly_strdup("x"));
    assert_null(mly_strfmt("x"));
    assert_null(mly_alloc_aligned(64, 1));
    assert_null(mly_realloc_array(a, 2, 1));
    mly_alloc_fail_after(0);
    mly_free(a);
    a = mly_alloc(1);
    assert_non_null(a);
    mly_free(a);
}

static void allocations_are_counted(void **state)
{
    (void)state;
    uint64_t before = mly_alloc_count();
    mly_free(mly_alloc(1));
    mly_free(mly_strdup("x"));
    assert_int_equal(mly_alloc_count(), before + 2);
}

static void a_buffer_grows_and_stays_terminated(void **state)
{
    (void)state;
    struct mly_buffer b = {0};
    assert_int_equal(mly_buffer_append(&b, NULL, 0), MLY_OK);
    assert_string_equal(b.data, "");
    for (int i = 0; i < 100; i++)
        assert_int_equal(mly_buffer_append(&b, "ab", 2), MLY_OK);
    assert_int_equal(mly_buffer_printf(&b, "%d%s", 42, "!"), MLY_OK);
    assert_int_equal(b.length, 203);
    assert_string_equal(b.data + 200, "42!");
    mly_buffer_fini(&b);
    assert_null(b.data);
    assert_int_equal(b.length, 0);
    mly_buffer_fini(NULL);
}

static void a_buffer_refuses_to_pass_its_maximum(void **state)
{
    (void)state;
    struct mly_buffer b = {.max_bytes = 5};
    assert_int_equal(mly_buffer_append(&b, "12345", 5), MLY_OK);
    assert_int_equal(mly_buffer_append(&b, "6", 1), MLY_E_LIMIT);
    assert_int_equal(mly_buffer_printf(&b, "6"), MLY_E_LIMIT);
    assert_string_equal(b.data, "12345");
    mly_buffer_fini(&b);
}

static void a_buffer_survives_a_lack_of_memory(void **state)
{
    (void)state;
    struct mly_buffer b = {0};
    assert_int_equal(mly_buffer_append(&b, "12345", 5), MLY_OK);
    char more[100] = {0};
    memset(more, 'x', sizeof more - 1);
    mly_alloc_fail_once(1);
    assert_int_equal(mly_buffer_append(&b, more, sizeof more), MLY_E_NO_MEMORY);
    mly_alloc_fail_once(1);
    assert_int_equal(mly_buffer_printf(&b, "%s", more), MLY_E_NO_MEMORY);
    assert_string_equal(b.data, "12345");
    assert_int_equal(mly_buffer_printf(&b, "%s", more), MLY_OK);
    assert_int_equal(b.length, 104);
    mly_buffer_fini(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(memory_is_zeroed_and_never_null_for_no_bytes),
        cmocka_unit_test(products_that_overflow_are_refused),
        cmocka_unit_test(aligned_memory_is_aligned),
        cmocka_unit_test(strings_are_copied),
        cmocka_unit_test(reserve_doubles_and_keeps_the_elements),
        cmocka_unit_test_teardown(fail_once_fails_exactly_the_nth, disarm),
        cmocka_unit_test_teardown(fail_after_fails_the_nth_and_all_later, disarm),
        cmocka_unit_test(allocations_are_counted),
        cmocka_unit_test(a_buffer_grows_and_stays_terminated),
        cmocka_unit_test(a_buffer_refuses_to_pass_its_maximum),
        cmocka_unit_test_teardown(a_buffer_survives_a_lack_of_memory, disarm),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* Tables of published measurements: what is read, and what is refused with its line. */
#include "base/alloc.h"
#include "bench/published.h"
#include "support/expect.h"

static struct mly_error err;

static enum mly_status parse(const char *text, struct mly_published *out)
{
    *out = (struct mly_published){0};
    return mly_published_parse("t.csv", text, strlen(text), out, &err);
}

static void rows_of_one_and_of_several(void **state)
{
    (void)state;
    struct mly_published p;
    expect_ok(parse("Hidden neurons,# MACs,On,Off,Time\r\n"
                    "100,37400,0.05,0.0,0.113\r\n"
                    "\n"
                    "200,5,,,\n"
                    "300,6,\"[1.5, 2]\",\"[0.0, 0.25]\",0.5",
                    &p),
              err);
    assert_int_equal(p.count, 2);
    const struct mly_published_row *row = mly_published_find(&p, 300);
    assert_int_equal(row->segment_count, 2);
    assert_true(row->on_chip_mib[1] == 2 && row->off_chip_mib[1] == 0.25 && row->time_ms == 0.5);
    assert_true(mly_published_find(&p, 100)->time_ms == 0.113);
    assert_null(mly_published_find(&p, 200)); /* it has no time */
    mly_published_fini(&p);
    expect_ok(parse("", &p), err);
    assert_int_equal(p.count, 0);
}

static void several_tables_add_up(void **state)
{
    (void)state;
    struct mly_published p = {0};
    expect_ok(mly_published_parse("a", "1,2,3,4,5\n", 10, &p, &err), err);
    expect_ok(mly_published_parse("b", "1,2,3,4,6\n2,2,3,4,7\n", 20, &p, &err), err);
    assert_int_equal(p.count, 3);
    assert_true(mly_published_find(&p, 1)->time_ms == 5); /* the first */
    mly_published_fini(&p);
    mly_published_fini(&p);
}

static void wrong_lines_are_named(void **state)
{
    (void)state;
    static const char *const wrong[] = {
        "1,2,3,4,5\nx,2,3,4,5\n",
        "1,2,3,4,5\n1,2,3\n",
        "1,2,3,4,5\n1,2,3,4,5,6\n",
        "1,2,3,4,5\n1,2,\"[1, 2]\",\"[1]\",5\n",
        "1,2,3,4,5\n1,2,\"[1, 2\",\"[1, 2]\",5\n",
        "1,2,3,4,5\n1,2,\"[1,2,3,4,5,6,7,8,9]\",\"[1,2,3,4,5,6,7,8,9]\",5\n",
        "1,2,3,4,5\n1,2,3,4,-5\n",
        "1,2,3,4,5\n1,2,3,4,nan\n",
        "1,2,3,4,5\n1,2,3,4,1e400\n",
        "1,2,3,4,5\n9999999999,2,3,4,5\n",
    };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        struct mly_published p;
        expect_error(parse(wrong[i], &p), MLY_E_FORMAT, err, "t.csv:2: ");
        mly_published_fini(&p);
    }
}

static void too_much_is_refused(void **state)
{
    (void)state;
    struct mly_published p = {0};
    const size_t length = MLY_PUBLISHED_BYTES_MAX + 1;
    char *text = mly_alloc(length);
    assert_non_null(text);
    expect_error(mly_published_parse("t", text, length, &p, &err), MLY_E_LIMIT, err, "bytes");
    for (size_t i = 0; i + 10 <= length; i += 10)
        memcpy(text + i, "1,2,3,4,5\n", 10);
    expect_error(mly_published_parse("t", text, length - 1, &p, &err), MLY_E_LIMIT, err, "rows");
    mly_free(text);
    mly_published_fini(&p);
}

static void memory_may_be_short(void **state)
{
    (void)state;
    struct mly_published p = {0};
    mly_alloc_fail_once(1);
    expect_error(mly_published_parse("t", "1,2,3,4,5\n", 10, &p, &err), MLY_E_NO_MEMORY, err, "");
    mly_alloc_fail_once(0);
    mly_published_fini(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_of_one_and_of_several), cmocka_unit_test(several_tables_add_up),
        cmocka_unit_test(wrong_lines_are_named),      cmocka_unit_test(too_much_is_refused),
        cmocka_unit_test(memory_may_be_short),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* JSON: positions, paths and limits when reading; layout and round trips when writing. */
#include "support/expect.h"

#include <float.h>
#include <locale.h>
#include <math.h>

#include "base/alloc.h"
#include "base/json.h"
#include "base/random.h"

static mly_json_doc *parse(const char *text)
{
    struct mly_error err = {0};
    mly_json_doc *doc = NULL;
    expect_ok(mly_json_parse("f.json", text, strlen(text), &doc, &err), err);
    return doc;
}

static void syntax_errors_name_line_and_column(void **state)
{
    (void)state;
    static const struct {
        const char *text, *fragment;
    } cases[] = {
        {"", "f.json:1:1: empty"},
        {"   \n ", "empty"},
        {"{\n  \"a\": 1,\n  \"b\": x\n}", "f.json:3:8:"},
        {"[1, 2", "f.json:1:6:"},
        {"[\"äö\", ?]", "f.json:1:8:"},
        {"{} {}", "f.json:1:4:"},
        {"{\"a\" 1}", "f.json:1:6:"},
        {"[1e999]", "f.json:1:2:"},
        {"\"\xff\"", "f.json:1:2:"},
        {"[1,]", "f.json:1:3:"},
        {"// c\n1", "f.json:1:1:"},
    };
    struct mly_error err;
    mly_json_doc *doc = NULL;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        expect_error(mly_json_parse("f.json", cases[i].text, strlen(cases[i].text), &doc, &err),
                     MLY_E_FORMAT, err, cases[i].fragment);
    expect_error(mly_json_parse("f.json", NULL, 0, &doc, &err), MLY_E_FORMAT, err, "empty");
    assert_null(doc);
    mly_json_destroy(NULL);
}

static void nesting_is_limited(void **state)
{
    (void)state;
    char text[300];
    struct mly_error err;
    mly_json_doc *doc = NULL;
    memset(text, '[', 150);
    memset(text + 150, ']', 150);
    expect_error(mly_json_parse("f", text, 300, &doc, &err), MLY_E_LIMIT, err,
                 "f:1:129: more than 128 levels");
    expect_ok(mly_json_parse("f", text + 22, 256, &doc, &err), err);
    mly_json_destroy(doc);
    doc = parse("[\"[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[["
                "[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[\\\"[[[[[[[[\"]");
    mly_json_destroy(doc);
}

static void values_have_kinds(void **state)
{
    (void)state;
    mly_json_doc *doc = parse("{\"n\":null,\"o\":{},\"a\":[],\"s\":\"\",\"d\":1,\"b\":false}");
    struct mly_json root = mly_json_root(doc);
    assert_true(mly_json_is_object(root));
    assert_int_equal(mly_json_length(root), 6);
    assert_true(mly_json_is_null(mly_json_member_opt(root, "n")));
    assert_true(mly_json_is_null(mly_json_member_opt(root, "absent")));
    assert_true(mly_json_is_object(mly_json_member_opt(root, "o")));
    assert_true(mly_json_is_array(mly_json_member_opt(root, "a")));
    assert_true(mly_json_is_string(mly_json_member_opt(root, "s")));
    assert_true(mly_json_is_number(mly_json_member_opt(root, "d")));
    assert_true(mly_json_is_bool(mly_json_member_opt(root, "b")));
    assert_false(mly_json_is_array(root));
    assert_false(mly_json_is_null(root));
    assert_false(mly_json_is_object(mly_json_member_opt(mly_json_member_opt(root, "s"), "x")));
    assert_int_equal(mly_json_length(mly_json_member_opt(root, "d")), 0);
    mly_json_destroy(doc);
    assert_true(mly_json_is_null(mly_json_root(NULL)));
}

static void typed_members_are_read(void **state)
{
    (void)state;
    struct mly_error err;
    mly_json_doc *doc =
        parse("{\"s\":\"tëxt\",\"i\":-5,\"r\":4.0,\"x\":0.25,\"b\":true,\"e\":1e3}");
    struct mly_json root = mly_json_root(doc), value;
    const char *text;
    int64_t integer;
    double number;
    bool flag;
    expect_ok(mly_json_string(root, "s", &text, &err), err);
    assert_string_equal(text, "tëxt");
    expect_ok(mly_json_int(root, "i", -5, 5, &integer, &err), err);
    assert_int_equal(integer, -5);
    expect_ok(mly_json_int(root, "r", 0, 5, &integer, &err), err);
    assert_int_equal(integer, 4);
    expect_ok(mly_json_int(root, "e", 0, 1000, &integer, &err), err);
    assert_int_equal(integer, 1000);
    expect_ok(mly_json_number(root, "x", 0, 1, &number, &err), err);
    assert_true(number == 0.25);
    expect_ok(mly_json_number(root, "i", -INFINITY, INFINITY, &number, &err), err);
    assert_true(number == -5);
    expect_ok(mly_json_bool(root, "b", &flag, &err), err);
    assert_true(flag);
    expect_ok(mly_json_member(root, "b", &value, &err), err);
    expect_ok(mly_json_as_bool(value, &flag, &err), err);
    mly_json_destroy(doc);
}

static void errors_name_the_path_and_the_rule(void **state)
{
    (void)state;
    struct mly_error err;
    mly_json_doc *doc =
        parse("{\"segments\":[{},{},{\"batch\":0,\"name\":7,\"big\":18446744073709551615,"
              "\"half\":0.5,\"nul\":\"a\\u0000b\",\"deep\":{\"x\":[[1,[null]]]},\"f\":1e300}]}");
    struct mly_json root = mly_json_root(doc), segments, s, v;
    const char *text = "untouched";
    int64_t i = 77;
    double d = 77;
    bool b;
    expect_ok(mly_json_member(root, "segments", &segments, &err), err);
    s = mly_json_element(segments, 2);
    expect_error(mly_json_int(s, "batch", 1, 65536, &i, &err), MLY_E_FORMAT, err,
                 "f.json: segments[2].batch: 0 is not in 1…65536");
    expect_error(mly_json_int(s, "batch", 1, INT64_MAX, &i, &err), MLY_E_FORMAT, err,
                 "0 is less than 1");
    expect_error(mly_json_int(s, "batch", INT64_MIN, -1, &i, &err), MLY_E_FORMAT, err,
                 "0 is more than -1");
    expect_error(mly_json_int(s, "big", INT64_MIN, INT64_MAX, &i, &err), MLY_E_FORMAT, err,
                 "18446744073709551615 is more than");
    expect_error(mly_json_int(s, "f", 0, 9, &i, &err), MLY_E_FORMAT, err, "1e300 is not in 0…9");
    expect_error(mly_json_int(s, "half", 0, 9, &i, &err), MLY_E_FORMAT, err,
                 "segments[2].half: expected an integer, found 0.5");
    expect_error(mly_json_int(s, "deep", 0, 9, &i, &err), MLY_E_FORMAT, err,
                 "expected an integer, found an object");
    expect_error(mly_json_string(s, "name", &text, &err), MLY_E_FORMAT, err,
                 "segments[2].name: expected a string, found a number");
    expect_error(mly_json_string(s, "nul", &text, &err), MLY_E_FORMAT, err, "NUL");
    expect_error(mly_json_string(s, "none", &text, &err), MLY_E_FORMAT, err,
                 "segments[2].none: missing");
    expect_error(mly_json_bool(s, "batch", &b, &err), MLY_E_FORMAT, err, "expected a boolean");
    expect_error(mly_json_number(s, "half", 1, 2, &d, &err), MLY_E_FORMAT, err,
                 "0.5 is not in 1…2");
    expect_error(mly_json_number(s, "half", 1, INFINITY, &d, &err), MLY_E_FORMAT, err,
                 "0.5 is less than 1");
    expect_error(mly_json_number(s, "name2", 1, 2, &d, &err), MLY_E_FORMAT, err, "missing");
    expect_error(mly_json_member(segments, "x", &v, &err), MLY_E_FORMAT, err,
                 "segments: expected an object, found an array");
    expect_error(mly_json_member(mly_json_element(segments, 3), "x", &v, &err), MLY_E_FORMAT, err,
                 "segments[3]: missing");
    v = mly_json_element(mly_json_member_opt(mly_json_member_opt(s, "deep"), "x"), 0);
    v = mly_json_element(mly_json_element(v, 1), 0);
    expect_error(mly_json_as_number(v, 0, 1, &d, &err), MLY_E_FORMAT, err,
                 "segments[2].deep.x[0][1][0]: expected a number, found null");
    expect_error(mly_json_as_int(root, 0, 1, &i, &err), MLY_E_FORMAT, err,
                 "f.json: expected an integer, found an object");
    expect_error(mly_json_as_bool((struct mly_json){0}, &b, &err), MLY_E_FORMAT, err,
                 "JSON: missing");
    expect_error(mly_json_as_string(root, &text, &err), MLY_E_FORMAT, err, "expected a string");
    assert_string_equal(text, "untouched");
    assert_int_equal(i, 77);
    assert_true(d == 77);
    mly_json_destroy(doc);
}

static void long_paths_lose_their_beginning(void **state)
{
    (void)state;
    char text[512];
    snprintf(text, sizeof text, "{\"%0*d\":{\"ööööööööööööööööööööööööööö\":{\"\\nlast\":[1]}}}",
             200, 0);
    mly_json_doc *doc = parse(text);
    const char *key;
    struct mly_json v = mly_json_entry(mly_json_root(doc), 0, &key);
    assert_int_equal(strlen(key), 200);
    assert_memory_equal(v.where, "000", 3);
    v = mly_json_entry(mly_json_entry(v, 0, &key), 0, &key);
    v = mly_json_element(v, 0);
    assert_memory_equal(v.where, "…0", 4);
    assert_non_null(strstr(v.where, "ö.?last[0]"));
    assert_true(strlen(v.where) < sizeof v.where);
    mly_json_destroy(doc);
}

static void walks_are_right_in_any_order(void **state)
{
    (void)state;
    struct mly_error err;
    char text[20000] = "{\"a\":[";
    size_t length = strlen(text);
    for (int i = 0; i < 500; i++)
        length +=
            (size_t)snprintf(text + length, sizeof text - length, "%s{\"v\":%d}", i ? "," : "", i);
    snprintf(text + length, sizeof text - length, "],\"b\":[9,8,7]}");
    mly_json_doc *doc = parse(text), *other = parse(text);
    struct mly_json a = mly_json_member_opt(mly_json_root(doc), "a");
    struct mly_json b = mly_json_member_opt(mly_json_root(doc), "b");
    struct mly_json c = mly_json_member_opt(mly_json_root(other), "a");
    struct mly_random random;
    mly_random_init(&random, 1);
    for (int n = 0; n < 3000; n++) {
        int64_t got;
        size_t i = n < 500 ? (size_t)n : (size_t)mly_random_below(&random, 500);
        expect_ok(mly_json_int(mly_json_element(n % 3 ? a : c, i), "v", 0, 500, &got, &err), err);
        assert_int_equal(got, i);
        expect_ok(mly_json_as_int(mly_json_element(b, i % 3), 0, 9, &got, &err), err);
        assert_int_equal(got, 9 - (int64_t)(i % 3));
    }
    assert_null(mly_json_element(b, 3).impl);
    assert_null(mly_json_element(mly_json_root(doc), 0).impl);
    const char *key = "x";
    assert_null(mly_json_entry(mly_json_root(doc), 2, &key).impl);
    assert_null(key);
    mly_json_destroy(doc);
    mly_json_destroy(other);
}

static void unknown_and_repeated_fields_are_refused(void **state)
{
    (void)state;
    static const char *const known[] = {"a", "b", NULL};
    struct mly_error err;
    mly_json_doc *doc = parse("{\"good\":{\"b\":1},\"bad\":{\"a\":1,\"c\":2},\"twice\":{\"a\":1,"
                              "\"b\":1,\"a\":2},\"nul\":{\"a\\u0000\":1}}");
    struct mly_json root = mly_json_root(doc);
    expect_ok(mly_json_only(mly_json_member_opt(root, "good"), known, &err), err);
    expect_error(mly_json_only(mly_json_member_opt(root, "bad"), known, &err), MLY_E_FORMAT, err,
                 "f.json: bad.c: unknown field");
    expect_error(mly_json_only(mly_json_member_opt(root, "twice"), known, &err), MLY_E_FORMAT, err,
                 "twice.a: given twice");
    expect_error(mly_json_only(mly_json_member_opt(root, "nul"), known, &err), MLY_E_FORMAT, err,
                 "unknown field");
    expect_error(mly_json_only(mly_json_member_opt(root, "none"), known, &err), MLY_E_FORMAT, err,
                 "none: missing");
    mly_json_destroy(doc);
}

static void files_are_loaded_with_a_limit(void **state)
{
    (void)state;
    struct mly_error err;
    mly_json_doc *doc = NULL;
    char *scratch = scratch_create();
    const char *path = scratch_path(scratch, "x.json");
    expect_ok(mly_file_write(path, "{\"a\":\n}", 7, &err), err);
    expect_error(mly_json_load(path, 100, &doc, &err), MLY_E_FORMAT, err, "x.json:2:1:");
    expect_error(mly_json_load(path, 6, &doc, &err), MLY_E_LIMIT, err, "x.json");
    expect_error(mly_json_load(scratch_path(scratch, "y"), 6, &doc, &err), MLY_E_NOT_FOUND, err,
                 "y");
    expect_ok(mly_file_write(path, "[]", 2, &err), err);
    expect_ok(mly_json_load(path, 100, &doc, &err), err);
    assert_true(mly_json_is_array(mly_json_root(doc)));
    mly_json_destroy(doc);
    scratch_remove(scratch);
}

/* A document with everything in it. */
static void write_sample(struct mly_json_writer *w)
{
    mly_json_begin_object(w, NULL);
    mly_json_put_string(w, "name", "q\"b\\s\n\x01 ü \xff|\xed\xa0\x80");
    mly_json_put_string(w, "none", NULL);
    mly_json_put_int(w, "int", INT64_MIN);
    mly_json_put_number(w, "number", 0.1);
    mly_json_put_bool(w, "yes", true);
    mly_json_put_null(w, "null");
    mly_json_begin_array(w, "shape");
    mly_json_put_int(w, NULL, 1);
    mly_json_put_int(w, NULL, 224);
    mly_json_begin_object(w, NULL);
    mly_json_put_bool(w, "inner", false);
    mly_json_end_object(w);
    mly_json_end_array(w);
    mly_json_begin_array(w, "parts");
    mly_json_begin_object(w, NULL);
    mly_json_put_number(w, "nan", NAN);
    mly_json_end_object(w);
    mly_json_begin_array(w, NULL);
    mly_json_end_array(w);
    mly_json_end_array(w);
    mly_json_begin_object(w, "empty");
    mly_json_end_object(w);
    mly_json_end_object(w);
}

static void the_writer_lays_out_what_it_is_told(void **state)
{
    (void)state;
    struct mly_error err;
    char *text = NULL;
    size_t length = 0;
    struct mly_json_writer w;
    mly_json_writer_init(&w, true);
    write_sample(&w);
    expect_ok(mly_json_finish(&w, &text, &length, &err), err);
    assert_int_equal(length, strlen(text));
    assert_string_equal(text, "{\n"
                              "  \"name\": \"q\\\"b\\\\s\\n\\u0001 ü \xEF\xBF\xBD|\xEF\xBF\xBD"
                              "\xEF\xBF\xBD\xEF\xBF\xBD\",\n"
                              "  \"none\": null,\n"
                              "  \"int\": -9223372036854775808,\n"
                              "  \"number\": 0.1,\n"
                              "  \"yes\": true,\n"
                              "  \"null\": null,\n"
                              "  \"shape\": [1, 224, {\"inner\": false}],\n"
                              "  \"parts\": [\n"
                              "    {\n"
                              "      \"nan\": null\n"
                              "    },\n"
                              "    []\n"
                              "  ],\n"
                              "  \"empty\": {}\n"
                              "}\n");
    mly_free(text);
    mly_json_writer_init(&w, false);
    write_sample(&w);
    expect_ok(mly_json_finish(&w, &text, NULL, &err), err);
    assert_null(strchr(text, '\n'));
    assert_non_null(
        strstr(text, "\"shape\":[1,224,{\"inner\":false}],\"parts\":[{\"nan\":null},[]]"));
    mly_free(text);
}

static void numbers_and_strings_survive_a_round_trip(void **state)
{
    (void)state;
    struct mly_error err;
    struct mly_random random;
    mly_random_init(&random, 42);
    double numbers[400] = {0.0,  -0.0,          1, -1, 0.1, DBL_MAX, DBL_MIN, DBL_TRUE_MIN,
                           1e21, 123456789012.5};
    char strings[400][16];
    for (size_t i = 0; i < 400; i++) {
        uint64_t bits = mly_random_next(&random);
        if (i >= 10)
            memcpy(&numbers[i], &bits, 8);
        if (!isfinite(numbers[i]))
            numbers[i] = 0;
        for (size_t k = 0; k < 15; k++)
            strings[i][k] = (char)(1 + mly_random_below(&random, 127));
        strings[i][15] = '\0';
    }
    struct mly_json_writer w;
    mly_json_writer_init(&w, false);
    mly_json_begin_array(&w, NULL);
    for (size_t i = 0; i < 400; i++) {
        mly_json_put_number(&w, NULL, numbers[i]);
        mly_json_put_string(&w, NULL, strings[i]);
    }
    mly_json_end_array(&w);
    char *text = NULL;
    expect_ok(mly_json_finish(&w, &text, NULL, &err), err);
    mly_json_doc *doc = parse(text);
    mly_free(text);
    struct mly_json root = mly_json_root(doc);
    for (size_t i = 0; i < 400; i++) {
        double number;
        const char *string;
        expect_ok(
            mly_json_as_number(mly_json_element(root, 2 * i), -INFINITY, INFINITY, &number, &err),
            err);
        assert_memory_equal(&number, &numbers[i], 8);
        expect_ok(mly_json_as_string(mly_json_element(root, 2 * i + 1), &string, &err), err);
        assert_string_equal(string, strings[i]);
    }
    mly_json_destroy(doc);
}

static void misuse_of_the_writer_is_reported(void **state)
{
    (void)state;
    struct mly_error err;
    char *text = NULL;
    struct mly_json_writer w;
    mly_json_writer_init(&w, true);
    expect_error(mly_json_finish(&w, &text, NULL, &err), MLY_E_INTERNAL, err, "left open");
    mly_json_writer_init(&w, true);
    mly_json_begin_object(&w, NULL);
    expect_error(mly_json_finish(&w, &text, NULL, &err), MLY_E_INTERNAL, err, "left open");
    mly_json_writer_init(&w, true);
    mly_json_begin_object(&w, NULL);
    mly_json_put_int(&w, NULL, 1);
    mly_json_end_object(&w);
    expect_error(mly_json_finish(&w, &text, NULL, &err), MLY_E_INTERNAL, err, "misplaced");
    mly_json_writer_init(&w, true);
    mly_json_begin_array(&w, NULL);
    mly_json_put_int(&w, "key", 1);
    mly_json_end_object(&w);
    expect_error(mly_json_finish(&w, &text, NULL, &err), MLY_E_INTERNAL, err, "misplaced");
    mly_json_writer_init(&w, true);
    mly_json_put_int(&w, NULL, 1);
    mly_json_put_int(&w, NULL, 2);
    expect_error(mly_json_finish(&w, &text, NULL, &err), MLY_E_INTERNAL, err, "misplaced");
    mly_json_writer_init(&w, true);
    for (int i = 0; i < 200; i++)
        mly_json_begin_array(&w, NULL);
    expect_error(mly_json_finish(&w, &text, NULL, &err), MLY_E_LIMIT, err, "limit");
    mly_json_writer_init(&w, false);
    w.buffer.max_bytes = 10;
    mly_json_put_string(&w, NULL, "more than ten bytes");
    expect_error(mly_json_finish(&w, &text, NULL, &err), MLY_E_LIMIT, err, "limit");
    assert_null(text);
    mly_json_writer_fini(NULL);
}

static void parsing_survives_every_failed_allocation(void **state)
{
    (void)state;
    static const char text[] = "{\"a\":[1,2,{\"b\":\"c\"}]}";
    struct mly_error err;
    for (uint64_t n = 1;; n++) {
        mly_json_doc *doc = NULL;
        mly_alloc_fail_once(n);
        enum mly_status status = mly_json_parse("f", text, strlen(text), &doc, &err);
        mly_alloc_fail_after(0);
        if (status == MLY_OK) {
            assert_true(n > 2);
            mly_json_destroy(doc);
            break;
        }
        assert_int_equal(status, MLY_E_NO_MEMORY);
        assert_null(doc);
    }
}

static void writing_survives_every_failed_allocation(void **state)
{
    (void)state;
    struct mly_error err;
    for (uint64_t n = 1;; n++) {
        char *text = NULL;
        struct mly_json_writer w;
        mly_alloc_fail_once(n);
        mly_json_writer_init(&w, true);
        write_sample(&w);
        enum mly_status status = mly_json_finish(&w, &text, NULL, &err);
        mly_alloc_fail_after(0);
        if (status == MLY_OK) {
            assert_true(n > 2);
            mly_free(text);
            break;
        }
        assert_int_equal(status, MLY_E_NO_MEMORY);
        assert_null(text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(syntax_errors_name_line_and_column),
        cmocka_unit_test(nesting_is_limited),
        cmocka_unit_test(values_have_kinds),
        cmocka_unit_test(typed_members_are_read),
        cmocka_unit_test(errors_name_the_path_and_the_rule),
        cmocka_unit_test(long_paths_lose_their_beginning),
        cmocka_unit_test(walks_are_right_in_any_order),
        cmocka_unit_test(unknown_and_repeated_fields_are_refused),
        cmocka_unit_test(files_are_loaded_with_a_limit),
        cmocka_unit_test(the_writer_lays_out_what_it_is_told),
        cmocka_unit_test(numbers_and_strings_survive_a_round_trip),
        cmocka_unit_test(misuse_of_the_writer_is_reported),
        cmocka_unit_test(parsing_survives_every_failed_allocation),
        cmocka_unit_test(writing_survives_every_failed_allocation),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

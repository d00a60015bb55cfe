/*
 * Results of experiments: what is built is what is written, as JSON, CSV, for people and as figures; what
 * cannot be is refused; nothing is half written.
 */
#include <math.h>
#include <sys/stat.h>

#include "base/alloc.h"
#include "base/json.h"
#include "bench/bench.h"
#include "bench/result_private.h"
#include "support/expect.h"

static struct mly_error err;

static const struct mly_result_column columns[] = {
    {"size", "size", "", MLY_ORIGIN_SET, false, 0},
    {"way", "cut by", "", MLY_ORIGIN_SET, true, 0},
    {"time_ms", "time", "ms", MLY_ORIGIN_ROW, false, 2},
    {"published_ms", "time", "ms", MLY_ORIGIN_PUBLISHED, false, 2},
};
static const struct mly_series series[] = {
    {.table = "fc",
     .x = "size",
     .y = "time_ms",
     .where = {{.column = "way", .text = "a"}},
     .title = "it's \"a\""},
    {.table = "fc", .x = "size", .y = "published_ms", .title = "published", .points = true},
    {.table = "fc",
     .x = "size",
     .y = "time_ms",
     .where = {{.column = "size", .number = 99}},
     .title = "none"},
};
static const struct mly_figure figure = {"curve", "A\ntitle", "size", "ms", true, series, 3};
static const struct mly_result_head head = {.experiment = "trial",
                                            .summary = "of a test",
                                            .source = "nobody, figure 0",
                                            .processors = "p100",
                                            .host_id = "abc",
                                            .host = "a box",
                                            .seed = 7,
                                            .quick = true};

static mly_result *made(void)
{
    mly_result *result = NULL;
    expect_ok(mly_result_create(&head, &result, &err), err);
    mly_result_table *table =
        mly_result_add_table(result, "fc", "Fully connected", true, columns, 4);
    mly_result_begin_row(table, MLY_ORIGIN_MODELLED);
    mly_result_number(table, 100);
    mly_result_text(table, "a");
    mly_result_number(table, 1.5);
    mly_result_number(table, 2);
    mly_result_begin_row(table, MLY_ORIGIN_MEASURED);
    mly_result_number(table, 200);
    mly_result_text(table, "b, \"c\"");
    mly_result_number(table, NAN); /* and the last one is left out */
    mly_result_find(result, &(struct mly_finding){.what = "speed-up",
                                                  .value = 3,
                                                  .unit = "x",
                                                  .origin = MLY_ORIGIN_MODELLED,
                                                  .published = 4,
                                                  .published_by = "they",
                                                  .bar = 3.5,
                                                  .note = "at size 100"});
    mly_result_find(
        result,
        &(struct mly_finding){
            .what = "share", .value = 0.99, .unit = "", .origin = MLY_ORIGIN_MEASURED, .bar = NAN});
    mly_result_note(result, "%d words", 2);
    mly_result_model(result, "net-1", "00ff");
    mly_result_model(result, "net-1", "00ff");
    mly_result_add_figure(result, &figure);
    return result;
}

static char *printed(const mly_result *result, bool details, size_t *hidden)
{
    char *text = NULL;
    size_t length = 0;
    FILE *to = open_memstream(&text, &length);
    assert_non_null(to);
    mly_result_print(result, details, hidden, to);
    fclose(to);
    assert_non_null(text);
    return text;
}

static void expect_text(const char *text, const char *fragment)
{
    assert_non_null(text);
    if (!strstr(text, fragment))
        fail_msg("nothing says '%s' in:\n%s", fragment, text);
}

/* --- reading --- */

static void every_number_says_where_it_comes_from(void **state)
{
    (void)state;
    size_t hidden = 9;
    mly_result *result = made();
    expect_ok(mly_result_check(result, &err), err);
    char *text = printed(result, true, &hidden);
    assert_int_equal(hidden, 0);
    expect_text(text, "trial: of a test\nre-creates: nobody, figure 0\nprocessors: p100; commit ");
    expect_text(text, "quick: a few sizes only\n");
    expect_text(text, "size  cut by  time, ms   time, ms\n");
    expect_text(text, "                        published\n");
    expect_text(text, " 100  a           1.50       2.00  modelled\n");
    expect_text(text, " 200  b, \"c\"         -          -  measured\n");
    expect_text(text, "- speed-up: 3 x (modelled); published: 4 x (they); wanted: at least 3.5 x: "
                      "DOES NOT HOLD; at size 100\n");
    expect_text(text, "- share: 0.99 (measured)\n");
    expect_text(text, "\n2 words\n");
    free(text);
    text = printed(result, false, &hidden);
    assert_int_equal(hidden, 2);
    assert_null(strstr(text, "1.50"));
    free(text);
    mly_result_destroy(result);
}

static struct mly_json member(struct mly_json object, const char *key)
{
    struct mly_json value;
    expect_ok(mly_json_member(object, key, &value, &err), err);
    return value;
}

static void expect_described(const char *document, struct mly_json value)
{
    for (size_t i = 0; i < mly_json_length(value); i++) {
        const char *name = NULL;
        struct mly_json inner =
            mly_json_is_array(value) ? mly_json_element(value, i) : mly_json_entry(value, i, &name);
        char field[128], part[128];
        snprintf(field, sizeof field, "`%s`", name ? name : "");
        snprintf(part, sizeof part, ".%s`", name ? name : "");
        if (name && !strstr(document, field) && !strstr(document, part))
            fail_msg("docs/reference/formats.md says nothing of `%s`", name);
        expect_described(document, inner);
    }
}

static void json_has_all_of_it_and_is_documented(void **state)
{
    (void)state;
    char path[4096], *text = NULL, *document = NULL;
    const char *word;
    size_t length = 0;
    int64_t number;
    double value;
    mly_json_doc *doc = NULL;
    mly_result *result = made();
    expect_ok(mly_result_format_json(result, &text, &length, &err), err);
    expect_ok(mly_json_parse("result", text, length, &doc, &err), err);
    struct mly_json root = mly_json_root(doc);
    expect_ok(mly_json_int(root, "motley_result", 1, 1, &number, &err), err);
    expect_ok(mly_json_string(root, "experiment", &word, &err), err);
    assert_string_equal(word, "trial");
    expect_ok(mly_json_int(root, "seed", 7, 7, &number, &err), err);
    assert_int_equal(mly_json_length(member(root, "models")), 1);
    struct mly_json table = mly_json_element(member(root, "tables"), 0);
    assert_int_equal(mly_json_length(member(table, "columns")), 4);
    struct mly_json row = mly_json_element(member(table, "rows"), 1);
    expect_ok(mly_json_string(row, "origin", &word, &err), err);
    assert_string_equal(word, "measured");
    struct mly_json values = member(row, "values");
    assert_int_equal(mly_json_length(values), 4);
    assert_true(mly_json_is_null(mly_json_element(values, 2)));
    assert_true(mly_json_is_null(mly_json_element(values, 3)));
    expect_ok(mly_json_as_string(mly_json_element(values, 1), &word, &err), err);
    assert_string_equal(word, "b, \"c\"");
    struct mly_json finding = mly_json_element(member(root, "findings"), 0);
    expect_ok(mly_json_number(finding, "value", 3, 3, &value, &err), err);
    bool holds = true;
    expect_ok(mly_json_bool(finding, "holds", &holds, &err), err);
    assert_false(holds);
    snprintf(path, sizeof path, "%s/docs/reference/formats.md", test_env("MOTLEY_SOURCE_ROOT"));
    expect_ok(mly_file_read(path, 1 << 20, &document, &length, &err), err);
    expect_described(document, root);
    mly_free(document);
    mly_json_destroy(doc);
    mly_free(text);
    mly_result_destroy(result);
}

static void csv_quotes_what_must_be(void **state)
{
    (void)state;
    char *text = NULL;
    size_t length = 0;
    mly_result *result = made();
    assert_int_equal(mly_result_table_count(result), 1);
    expect_ok(mly_result_format_csv(result, 0, &text, &length, &err), err);
    assert_string_equal(text, "size,way,time_ms,published_ms,origin\n"
                              "100,a,1.5,2,modelled\n"
                              "200,\"b, \"\"c\"\"\",,,measured\n");
    assert_int_equal(length, strlen(text));
    mly_free(text);
    mly_result_destroy(result);
}

/* --- wrong building --- */

static void what_fits_no_column_is_refused(void **state)
{
    (void)state;
    mly_result *result = made();
    mly_result_table *table = mly_result_add_table(result, "other", "", false, columns, 4);
    mly_result_begin_row(table, MLY_ORIGIN_MEASURED);
    mly_result_text(table, "a number is wanted");
    mly_result_number(table, 1); /* does nothing any more */
    expect_error(mly_result_check(result, &err), MLY_E_INTERNAL, err, "fits no column");
    char *word = NULL;
    expect_error(mly_result_save(result, "/nowhere", &word, &err), MLY_E_INTERNAL, err, "column");
    mly_result_destroy(result);

    result = made();
    mly_result_add_table(result, "fc", "", false, columns, 4);
    expect_error(mly_result_check(result, &err), MLY_E_INTERNAL, err, "two tables");
    mly_result_destroy(result);

    static const struct mly_series lost = {.table = "fc", .x = "size", .y = "nothing"};
    result = made();
    mly_result_add_figure(result,
                          &(struct mly_figure){.name = "f", .series = &lost, .series_count = 1});
    expect_error(mly_result_check(result, &err), MLY_E_INTERNAL, err, "figure");
    mly_result_destroy(result);
}

static void every_allocation_may_fail(void **state)
{
    (void)state;
    for (uint64_t n = 1;; n++) {
        char *text = NULL;
        size_t length = 0;
        mly_result *result = NULL;
        mly_alloc_fail_after(n);
        enum mly_status status = mly_result_create(&head, &result, &err);
        if (status == MLY_OK) {
            mly_result_table *table = mly_result_add_table(result, "fc", "t", false, columns, 4);
            mly_result_begin_row(table, MLY_ORIGIN_MODELLED);
            mly_result_number(table, 1);
            mly_result_text(table, "a");
            mly_result_note(result, "n");
            mly_result_model(result, "m", "h");
            mly_result_find(result, &(struct mly_finding){.what = "w", .unit = "", .note = "n"});
            mly_result_add_figure(result, &figure);
            status = mly_result_check(result, &err);
        }
        if (status == MLY_OK)
            status = mly_result_format_json(result, &text, &length, &err);
        mly_free(text);
        text = NULL;
        if (status == MLY_OK)
            status = mly_result_format_csv(result, 0, &text, &length, &err);
        mly_free(text);
        mly_alloc_fail_after(0);
        mly_result_destroy(result);
        if (status == MLY_OK)
            return;
        assert_int_equal(status, MLY_E_NO_MEMORY);
    }
}

/* --- figures and files --- */

static char *scratch, *path_before;

static int setup(void **state)
{
    (void)state;
    scratch = scratch_create();
    path_before = strdup(getenv("PATH") ? getenv("PATH") : "");
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    setenv("PATH", path_before, 1);
    free(path_before);
    scratch_remove(scratch);
    return 0;
}

/* SCRATCH/NAME into a buffer of the caller's. */
static char *folder_path(const char *name, char path[1024])
{
    snprintf(path, 1024, "%s/%s", scratch, name);
    return path;
}

/* A program of that name, and nothing else, where programs are looked for; NULL: none at all. */
static void install_gnuplot(const char *script)
{
    char path[1024];
    const char *folder = folder_path(script ? "with" : "without", path),
               *file = scratch_path(folder, "gnuplot");
    expect_ok(mly_dir_create(folder, &err), err);
    if (script) {
        expect_ok(mly_file_write(file, script, strlen(script), &err), err);
        assert_int_equal(chmod(file, 0755), 0);
    }
    setenv("PATH", folder, 1);
}

static void a_script_has_the_points_that_there_are(void **state)
{
    (void)state;
    struct mly_buffer script = {0};
    mly_result *result = made();
    expect_ok(mly__figure_script(result, &figure, &script, &err), err);
    expect_text(script.data, "set title 'A title'\n");
    expect_text(script.data, "$d0 << EOD\n100 1.5\nEOD\n$d1 << EOD\n100 2\nEOD\n$d2 << EOD\nEOD\n");
    expect_text(script.data, "with lines lw 2 title 'it''s \"a\"', $d1 using");
    assert_null(strstr(script.data, "'none'"));
    mly_buffer_fini(&script);
    const struct mly_figure empty = {"e", "", "", "", false, &series[2], 1};
    expect_error(mly__figure_script(result, &empty, &script, &err), MLY_E_NOT_FOUND, err,
                 "no points");
    mly_buffer_fini(&script);
    mly_result_destroy(result);
}

static void expect_file(const char *folder, const char *name, bool there)
{
    struct stat s;
    const char *path = scratch_path(folder, name);
    if ((stat(path, &s) == 0) != there)
        fail_msg("%s is %sthere", path, there ? "not " : "");
}

static void figures_are_drawn_where_gnuplot_is(void **state)
{
    (void)state;
    char *word = NULL, path[1024];
    const char *folder = folder_path("drawn", path);
    mly_result *result = made();
    /* the builtins of a shell will do: it reads the script and writes it back as a comment */
    install_gnuplot("#!/bin/sh\nwhile read -r line; do echo \"$line\"; done\necho '</svg>'\n");
    expect_ok(mly_result_save(result, folder, &word, &err), err);
    assert_null(word);
    expect_file(folder, "trial.result.json", true);
    expect_file(folder, "trial.fc.csv", true);
    expect_file(folder, "trial.curve.svg", true);
    char *text = NULL;
    size_t length = 0;
    expect_ok(mly_file_read(scratch_path(folder, "trial.curve.svg"), 1 << 20, &text, &length, &err),
              err);
    expect_text(text, "set terminal svg");
    mly_free(text);
    mly_result_destroy(result);
}

static void where_it_is_not_that_is_said(void **state)
{
    (void)state;
    static const struct {
        const char *script, *word;
    } cases[] = {{NULL, "no picture: gnuplot is not installed"},
                 {"#!/bin/sh\necho 'no such terminal' >&2\nexit 3\n", "no such terminal"},
                 {"#!/bin/sh\necho nothing\n", "wrote no picture"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char *word = NULL, name[32], path[1024];
        snprintf(name, sizeof name, "undrawn%zu", i);
        const char *folder = folder_path(name, path);
        mly_result *result = made();
        install_gnuplot(cases[i].script);
        expect_ok(mly_result_save(result, folder, &word, &err), err);
        assert_non_null(word);
        expect_text(word, cases[i].word);
        expect_file(folder, "trial.result.json", true);
        expect_file(folder, "trial.curve.svg", false);
        mly_free(word);
        mly_result_destroy(result);
    }
}

static void a_folder_that_cannot_be_is_an_error(void **state)
{
    (void)state;
    char *word = NULL, path[1024];
    mly_result *result = made();
    install_gnuplot(NULL);
    expect_ok(mly_file_write(scratch_path(scratch, "file"), "x", 1, &err), err);
    expect_error(mly_result_save(result, scratch_path(scratch, "file"), &word, &err), MLY_E_INVALID,
                 err, "a file is in its place");
    assert_null(word);
    /* a folder stands where the last file goes: the others are there, and no piece of it */
    const char *folder = folder_path("blocked", path);
    expect_ok(mly_dir_create(scratch_path(folder, "trial.result.json"), &err), err);
    expect_error(mly_result_save(result, folder, &word, &err), MLY_E_INVALID, err, "result.json");
    assert_null(word);
    expect_file(folder, "trial.fc.csv", true);
    mly_result_destroy(result);
}

/* --- the registry --- */

static void experiments_are_found_by_their_names(void **state)
{
    (void)state;
    const struct mly_experiment *e;
    char *names = mly_experiment_names();
    size_t count = 0;
    for (; (e = mly_experiment_at(count)); count++) {
        assert_ptr_equal(mly_experiment_find(e->name), e);
        expect_text(names, e->name);
        assert_true(e->summary[0] && e->source[0] && e->numbers[0] && e->run);
    }
    assert_true(count >= 4);
    assert_null(mly_experiment_find("tpu"));
    mly_free(names);
}

static void processors_that_it_does_not_take_are_refused(void **state)
{
    (void)state;
    mly_machine *machine = NULL;
    mly_result *result = NULL;
    expect_ok(mly_machine_create("core:2 pu:1", &machine, &err), err);
    const struct mly_bench_options options = {
        .machine = machine, .processors = "abacus", .quick = true};
    expect_error(mly_experiment_run(mly_experiment_find("tpu-capacity"), &options, &result, &err),
                 MLY_E_INVALID, err, "abacus");
    atomic_bool stop = true;
    const struct mly_bench_options stopped = {.machine = machine, .quick = true, .stop = &stop};
    expect_error(mly_experiment_run(mly_experiment_find("tpu-capacity"), &stopped, &result, &err),
                 MLY_E_CANCELLED, err, "stopped");
    const struct mly_bench_options lost = {.machine = machine, .published = "/nowhere"};
    expect_error(mly_experiment_run(mly_experiment_find("tpu-capacity"), &lost, &result, &err),
                 MLY_E_NOT_FOUND, err, "/nowhere/fc/");
    assert_null(result);
    mly_machine_destroy(machine);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_number_says_where_it_comes_from),
        cmocka_unit_test(json_has_all_of_it_and_is_documented),
        cmocka_unit_test(csv_quotes_what_must_be),
        cmocka_unit_test(what_fits_no_column_is_refused),
        cmocka_unit_test(every_allocation_may_fail),
        cmocka_unit_test(a_script_has_the_points_that_there_are),
        cmocka_unit_test(figures_are_drawn_where_gnuplot_is),
        cmocka_unit_test(where_it_is_not_that_is_said),
        cmocka_unit_test(a_folder_that_cannot_be_is_an_error),
        cmocka_unit_test(experiments_are_found_by_their_names),
        cmocka_unit_test(processors_that_it_does_not_take_are_refused),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}

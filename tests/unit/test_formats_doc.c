/*
 * docs/reference/formats.md tells the truth: its examples are read and written back the same, its
 * fields are all there are.
 */
#include <string.h>

#include "base/alloc.h"
#include "base/file.h"
#include "base/json.h"
#include "cost/table.h"
#include "device/modelled.h"
#include "plan/plan.h"
#include "support/expect.h"
#include "support/test.h"

static char *document;

static int read_document(void **state)
{
    (void)state;
    const char *root = getenv("MOTLEY_SOURCE_ROOT");
    char path[4096];
    size_t length;
    snprintf(path, sizeof path, "%s/docs/reference/formats.md", root ? root : ".");
    return mly_file_read(path, 1 << 20, &document, &length, NULL) ? -1 : 0;
}

static int free_document(void **state)
{
    (void)state;
    mly_free(document);
    return 0;
}

/*
 * The text of the document's index-th block marked json, with its last newline; NULL past the end.
 */
static char *example(size_t index)
{
    static const char begin[] = "\n```json\n", end[] = "\n```\n";
    const char *at = document;
    for (;; index--) {
        at = strstr(at, begin);
        if (!at)
            return NULL;
        at += sizeof begin - 1;
        if (!index)
            break;
    }
    const char *last = strstr(at, end);
    assert_non_null(last);
    return mly_strndup(at, (size_t)(last - at) + 1);
}

static void expect_described(const char *name)
{
    char as_field[128], as_part[128];
    snprintf(as_field, sizeof as_field, "`%s`", name);
    snprintf(as_part, sizeof as_part, ".%s`", name);
    if (!strstr(document, as_field) && !strstr(document, as_part))
        fail_msg("the document says nothing of `%s`", name);
}

static void expect_all_described(struct mly_json value)
{
    for (size_t i = 0; i < mly_json_length(value); i++) {
        if (mly_json_is_array(value)) {
            expect_all_described(mly_json_element(value, i));
            continue;
        }
        const char *name;
        struct mly_json member = mly_json_entry(value, i, &name);
        expect_described(name);
        expect_all_described(member);
    }
}

static void check_plan(const char *text, bool written_by_motley)
{
    struct mly_error err;
    mly_plan *plan;
    char *again;
    size_t length;
    expect_ok(mly_plan_parse("formats.md", text, strlen(text), &plan, &err), err);
    expect_ok(mly_plan_format(plan, &again, &length, &err), err);
    if (written_by_motley)
        assert_string_equal(text, again);
    mly_free(again);
    mly_plan_destroy(plan);
}

static void check_costs(const char *text)
{
    struct mly_error err;
    mly_cost_table *costs;
    char *folder = scratch_create(), *again;
    const char *path = scratch_path(folder, "again.costs.json");
    size_t length;
    expect_ok(mly_cost_table_parse("formats.md", text, strlen(text), &costs, &err), err);
    expect_ok(mly_cost_table_save(costs, path, &err), err);
    expect_ok(mly_file_read(path, 1 << 20, &again, &length, &err), err);
    assert_string_equal(text, again);
    mly_free(again);
    mly_cost_table_destroy(costs);
    scratch_remove(folder);
}

/* The example is read; every constant that there is has a row. */
static void check_device(const char *text)
{
    struct mly_error err;
    struct mly_device_model device;
    expect_ok(mly_device_model_parse("formats.md", text, strlen(text), &device, &err), err);
    for (size_t i = 0; mly_device_constant_at(i); i++)
        expect_described(mly_device_constant_at(i)->key);
}

static void the_examples_are_what_motley_reads_and_writes(void **state)
{
    (void)state;
    size_t plans = 0, costs = 0, devices = 0;
    char *text;
    for (size_t i = 0; (text = example(i)); i++) {
        struct mly_error err;
        mly_json_doc *doc;
        expect_ok(mly_json_parse("formats.md", text, strlen(text), &doc, &err), err);
        const bool is_plan = mly_json_member_opt(mly_json_root(doc), "motley_plan").impl;
        const bool is_costs = mly_json_member_opt(mly_json_root(doc), "motley_costs").impl;
        const bool is_split = mly_json_member_opt(mly_json_root(doc), "motley_split").impl;
        const bool is_device = mly_json_member_opt(mly_json_root(doc), "motley_device").impl;
        if (is_plan || is_costs || is_split || is_device)
            expect_all_described(mly_json_root(doc));
        mly_json_destroy(doc);
        if (is_plan)
            check_plan(text, plans++ == 0);
        if (is_costs)
            check_costs(text);
        if (is_device)
            check_device(text);
        costs += is_costs;
        devices += is_device;
        mly_free(text);
    }
    assert_int_equal(plans, 2);
    assert_int_equal(costs, 1);
    assert_int_equal(devices, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_examples_are_what_motley_reads_and_writes),
    };
    return cmocka_run_group_tests(tests, read_document, free_document);
}

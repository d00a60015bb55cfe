/* Cost files and the store: nothing is lost on the way, everything wrong is named by its path. */
#include <math.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/file.h"
#include "base/random.h"
#include "cost/table.h"
#include "support/json_edit.h"
#include "support/test.h"

static char folder[64];

static const struct mly_cost_identity identity = {
    .model_hash = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
    .model_name = "tiny.onnx",
    .host_id = "host-1",
    .host_description = "a box",
    .runtime = "ort 1.31.1",
};

static int make_folder(void **state)
{
    (void)state;
    snprintf(folder, sizeof folder, "/tmp/motley-test-cost-XXXXXX");
    if (!mkdtemp(folder))
        return -1;
    return setenv("MOTLEY_CACHE_DIR", folder, 1);
}

static int remove_folder(void **state)
{
    (void)state;
    return (int)mly_dir_remove(folder, NULL);
}

/* A finite number of any size from random bits, as a clock or a rate might give. */
static double random_number(struct mly_random *random)
{
    for (;;) {
        uint64_t bits = mly_random_next(random) >> 1;
        double number;
        memcpy(&number, &bits, sizeof number);
        if (isfinite(number) && number <= 1e18)
            return number;
    }
}

static mly_cost_table *random_table(uint64_t seed, size_t count)
{
    static const char *const ids[] = {"", "conv \"1\"\n", "größe/β", "Add_2", "tab\t\x01"};
    struct mly_random random;
    mly_random_init(&random, seed);
    mly_cost_table *table;
    assert_int_equal(mly_cost_table_create(&identity, &table, NULL), MLY_OK);
    *mly_cost_table_noise(table) = (struct mly_cost_noise){0.0123456789012345678, 1.1, -1};
    for (size_t i = 0; i < count; i++) {
        const uint32_t id = (uint32_t)mly_random_below(&random, 5);
        struct mly_cost_entry entry = {
            .scope = !id      ? MLY_COST_MODEL
                     : id & 1 ? MLY_COST_NODE
                              : MLY_COST_SEGMENT,
            .scope_id = ids[id],
            .config = {.backend = "ort",
                       .processor_kind = "cpu",
                       .groups = 1 + (uint32_t)mly_random_below(&random, 65536),
                       .threads = (uint32_t)mly_random_below(&random, 65537),
                       .batch = 1 + (uint32_t)mly_random_below(&random, 1000000),
                       .spin = mly_random_below(&random, 2) != 0,
                       .runtime_defaults = mly_random_below(&random, 4) == 0},
            .modelled = mly_random_below(&random, 2) != 0,
            .p10_ns = random_number(&random),
            .median_ns = random_number(&random),
            .p90_ns = random_number(&random),
            .throughput_per_s = random_number(&random),
            .throughput_spread = random_number(&random),
            .memory_bytes = random_number(&random),
            .samples = mly_random_next(&random) >> 1,
        };
        assert_int_equal(mly_cost_table_put(table, &entry, NULL), MLY_OK);
    }
    return table;
}

static void assert_tables_equal(mly_cost_table *a, mly_cost_table *b)
{
    assert_memory_equal(mly_cost_table_identity(a), mly_cost_table_identity(b),
                        sizeof(struct mly_cost_identity));
    assert_memory_equal(mly_cost_table_noise(a), mly_cost_table_noise(b),
                        sizeof(struct mly_cost_noise));
    assert_int_equal(mly_cost_table_count(a), mly_cost_table_count(b));
    for (size_t i = 0; i < mly_cost_table_count(a); i++) {
        const struct mly_cost_entry *x = mly_cost_table_at(a, i), *y = mly_cost_table_at(b, i);
        assert_int_equal(x->scope, y->scope);
        assert_string_equal(x->scope_id, y->scope_id);
        assert_string_equal(x->config.backend, y->config.backend);
        assert_string_equal(x->config.processor_kind, y->config.processor_kind);
        assert_int_equal(x->config.groups, y->config.groups);
        assert_int_equal(x->config.threads, y->config.threads);
        assert_int_equal(x->config.batch, y->config.batch);
        assert_int_equal(x->config.spin, y->config.spin);
        assert_int_equal(x->config.runtime_defaults, y->config.runtime_defaults);
        assert_int_equal(x->modelled, y->modelled);
        assert_true(x->p10_ns == y->p10_ns && x->median_ns == y->median_ns &&
                    x->p90_ns == y->p90_ns && x->throughput_per_s == y->throughput_per_s &&
                    x->throughput_spread == y->throughput_spread &&
                    x->memory_bytes == y->memory_bytes && x->energy_j == y->energy_j &&
                    x->rested_ns == y->rested_ns && x->rested_p90_ns == y->rested_p90_ns &&
                    x->measured_s == y->measured_s && x->noise_spread == y->noise_spread);
        assert_true(x->samples == y->samples);
    }
}

static char *saved_text(const mly_cost_table *table, size_t *length)
{
    char path[128], *text;
    snprintf(path, sizeof path, "%s/saved.costs.json", folder);
    assert_int_equal(mly_cost_table_save(table, path, NULL), MLY_OK);
    assert_int_equal(mly_file_read(path, 64 << 20, &text, length, NULL), MLY_OK);
    return text;
}

/* What is left out where it is not known. */
static void give_energy(mly_cost_table *table)
{
    for (size_t i = 0; i < mly_cost_table_count(table); i += 2) {
        struct mly_cost_entry entry = *mly_cost_table_at(table, i);
        entry.energy_j = 0.1 * (double)(i + 1);
        entry.rested_ns = 1.5 * (double)(i + 1);
        entry.rested_p90_ns = 1.7 * (double)(i + 1);
        entry.measured_s = 1700000000 + (int64_t)i;
        entry.noise_spread = 0.01 * (double)(i + 1);
        assert_int_equal(mly_cost_table_put(table, &entry, NULL), MLY_OK);
    }
}

static void a_round_trip_loses_nothing(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < 4; seed++) {
        mly_cost_table *table = random_table(seed, seed * 150), *back;
        size_t length, again_length;
        give_energy(table);
        char *text = saved_text(table, &length), *again;
        struct mly_error err;
        if (mly_cost_table_parse("x", text, length, &back, &err))
            fail_msg("%s", err.message);
        assert_tables_equal(table, back);
        again = saved_text(back, &again_length);
        assert_string_equal(text, again);
        mly_free(text);
        mly_free(again);
        mly_cost_table_destroy(table);
        mly_cost_table_destroy(back);
    }
}

/* Parses what must be refused and expects every one of `parts` in the message. */
static void expect_refused(const char *text, size_t length, enum mly_status wanted,
                           const char *part)
{
    mly_cost_table *table = NULL;
    struct mly_error err = {0};
    enum mly_status status = mly_cost_table_parse("costs.json", text, length, &table, &err);
    if (status != wanted || table || !strstr(err.message, part) ||
        !strstr(err.message, "costs.json"))
        fail_msg("expected %s about '%s', got %s: %s, for %s", mly_status_name(wanted), part,
                 mly_status_name(status), err.message, text);
}

static void every_damaged_place_is_named(void **state)
{
    (void)state;
    static const enum json_edit edits[] = {JSON_EDIT_TYPE, JSON_EDIT_ADD, JSON_EDIT_REMOVE,
                                           JSON_EDIT_REPEAT};
    mly_cost_table *table = random_table(3, 2);
    size_t length;
    char *text = saved_text(table, &length);
    for (size_t e = 0; e < sizeof edits / sizeof *edits; e++) {
        char *wrong, where[96];
        size_t wrong_length, index = 0;
        while (json_edit(text, length, edits[e], index++, &wrong, &wrong_length, where)) {
            expect_refused(wrong, wrong_length, MLY_E_FORMAT, where);
            mly_free(wrong);
        }
        assert_true(index > 3);
    }
    mly_free(text);
    mly_cost_table_destroy(table);
}

static void every_value_out_of_its_range_is_named(void **state)
{
    (void)state;
    static const char good[] =
        "{\"motley_costs\": 1, \"identity\": {\"model_hash\": \"abc\", \"model_name\": \"m\", "
        "\"host_id\": \"h\", \"host_description\": \"d\", \"runtime\": \"r\"},\n"
        "\"noise\": {\"relative_spread\": 0.5, \"slowdown\": 1.5, \"steal_fraction\": 0.25},\n"
        "\"entries\": [{\"scope\": \"model\", \"id\": \"\", \"backend\": \"ort\", \"kind\": "
        "\"cpu\", \"groups\": 2, \"threads\": 3, \"batch\": 4, \"spin\": true, "
        "\"runtime_defaults\": false, \"modelled\": false, \"p10_ns\": 1.5, \"median_ns\": 2.5, "
        "\"p90_ns\": 3.5, \"throughput_per_s\": 4.5, \"throughput_spread\": 5.5, "
        "\"memory_bytes\": 6.5, \"samples\": 7}]}";
    static const struct {
        const char *from, *to, *where;
        enum mly_status status;
    } cases[] = {
        {"_costs\": 1", "_costs\": 2", "motley_costs: written by a newer motley",
         MLY_E_UNSUPPORTED},
        {"_costs\": 1", "_costs\": 0", "motley_costs", MLY_E_FORMAT},
        {"motley_costs", "motley_plan", "motley_costs", MLY_E_FORMAT},
        {"\"abc\"", "\"\"", "identity.model_hash", MLY_E_FORMAT},
        {"\"abc\"", "\"0123456789012345678901234567890123456789012345678901234567890123x\"",
         "identity.model_hash", MLY_E_FORMAT},
        {"\"h\"", "\"\"", "identity.host_id", MLY_E_FORMAT},
        {"\"r\"", "\"\"", "identity.runtime", MLY_E_FORMAT},
        {"\"r\"", "\"r\", \"shapes\": \"\"", "identity.shapes", MLY_E_FORMAT},
        {"\"r\"", "\"r\", \"shapes\": 3", "identity.shapes", MLY_E_FORMAT},
        {"0.5,", "-0.5,", "noise.relative_spread", MLY_E_FORMAT},
        {"0.25}", "x", "costs.json:", MLY_E_FORMAT},
        {"\"slowdown\": 1.5", "\"slowdown\": -1", "noise.slowdown", MLY_E_FORMAT},
        {"0.25", "1.25", "noise.steal_fraction", MLY_E_FORMAT},
        {"0.25", "-1", "noise.steal_fraction", MLY_E_FORMAT},
        {"\"model\"", "\"modell\"", "entries[0].scope", MLY_E_FORMAT},
        {"\"model\"", "\"node\"", "entries[0].id", MLY_E_FORMAT},
        {"\"id\": \"\"", "\"id\": \"x\"", "entries[0].id", MLY_E_FORMAT},
        {"\"ort\"", "\"\"", "entries[0].backend", MLY_E_FORMAT},
        {"\"ort\"", "\"0123456789abcdef\"", "entries[0].backend", MLY_E_FORMAT},
        {"\"cpu\"", "\"0123456789abcdef0123456789abcdef\"", "entries[0].kind", MLY_E_FORMAT},
        {"\"groups\": 2", "\"groups\": 0", "entries[0].groups", MLY_E_FORMAT},
        {"\"groups\": 2", "\"groups\": 70000", "entries[0].groups", MLY_E_FORMAT},
        {"\"threads\": 3", "\"threads\": -1", "entries[0].threads", MLY_E_FORMAT},
        {"\"threads\": 3", "\"threads\": 3.5", "entries[0].threads", MLY_E_FORMAT},
        {"\"batch\": 4", "\"batch\": 0", "entries[0].batch", MLY_E_FORMAT},
        {"\"batch\": 4", "\"batch\": 1000001", "entries[0].batch", MLY_E_FORMAT},
        {"\"spin\": true", "\"spin\": 1", "entries[0].spin", MLY_E_FORMAT},
        {"defaults\": false", "defaults\": true", "entries[0].groups", MLY_E_FORMAT},
        {"\"p10_ns\": 1.5", "\"p10_ns\": -1.5", "entries[0].p10_ns", MLY_E_FORMAT},
        {"2.5", "2e18", "entries[0].median_ns", MLY_E_FORMAT},
        {"3.5", "null", "entries[0].p90_ns", MLY_E_FORMAT},
        {"4.5", "-4.5", "entries[0].throughput_per_s", MLY_E_FORMAT},
        {"5.5", "\"5.5\"", "entries[0].throughput_spread", MLY_E_FORMAT},
        {"6.5", "-6.5", "entries[0].memory_bytes", MLY_E_FORMAT},
        {"6.5", "6.5, \"energy_j\": -1", "entries[0].energy_j", MLY_E_FORMAT},
        {"6.5", "6.5, \"rested_ns\": \"long\"", "entries[0].rested_ns", MLY_E_FORMAT},
        {": 7", ": -7", "entries[0].samples", MLY_E_FORMAT},
        {": 7", ": 7, \"measured_s\": 0", "entries[0].measured_s", MLY_E_FORMAT},
        {": 7", ": 7, \"measured_s\": 253402300800", "entries[0].measured_s", MLY_E_FORMAT},
        {": 7", ": 7, \"measured_s\": \"today\"", "entries[0].measured_s", MLY_E_FORMAT},
        {": 7", ": 7, \"noise_spread\": -1", "entries[0].noise_spread", MLY_E_FORMAT},
        {": 7}]", ": 7}, 5]", "entries[1]", MLY_E_FORMAT},
        {": 7}]}", ": 7}]", "costs.json:", MLY_E_FORMAT},
    };
    mly_cost_table *table;
    struct mly_error err;
    if (mly_cost_table_parse("costs.json", good, sizeof good - 1, &table, &err))
        fail_msg("%s", err.message);
    mly_cost_table_destroy(table);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char *wrong = text_replace(good, cases[i].from, cases[i].to);
        expect_refused(wrong, strlen(wrong), cases[i].status, cases[i].where);
        mly_free(wrong);
    }
    /* The same configuration twice. */
    const char *entry = strstr(good, "{\"scope\"");
    char *twice = mly_strfmt("%.*s%.*s, %s", (int)(entry - good), good, (int)(strlen(entry) - 2),
                             entry, entry);
    expect_refused(twice, strlen(twice), MLY_E_FORMAT, "entries[1]: a second entry for the whole");
    mly_free(twice);
    char *no_array = mly_strfmt("%.*s5}", (int)(entry - good - 1), good);
    expect_refused(no_array, strlen(no_array), MLY_E_FORMAT, "entries: expected an array");
    mly_free(no_array);
    expect_refused("", 0, MLY_E_FORMAT, "costs.json");
    expect_refused("[1]", 3, MLY_E_FORMAT, "motley_costs");
}

static void impossible_noise_is_not_saved(void **state)
{
    (void)state;
    mly_cost_table *table = random_table(1, 1);
    char path[128];
    struct mly_error err;
    snprintf(path, sizeof path, "%s/never.costs.json", folder);
    mly_cost_table_noise(table)->slowdown = NAN;
    assert_int_equal(mly_cost_table_save(table, path, &err), MLY_E_INVALID);
    assert_int_equal(access(path, F_OK), -1);
    mly_cost_table_noise(table)->slowdown = 1;
    assert_int_equal(mly_cost_table_save(table, "/nowhere/at/all.json", &err), MLY_E_NOT_FOUND);
    assert_int_equal(mly_cost_table_load(path, &table, &err), MLY_E_NOT_FOUND);
    mly_cost_table_destroy(table);
}

static void tables_of_other_shapes_and_runtimes_lie_beside(void **state)
{
    (void)state;
    struct mly_cost_identity one = identity, two = identity, fake = identity;
    mly_cost_table *table = NULL, *again;
    struct mly_error err = {0};
    char *word = NULL, *paths[4];
    snprintf(one.shapes, sizeof one.shapes, "height=480,width=640");
    snprintf(two.shapes, sizeof two.shapes, "height=480");
    snprintf(fake.runtime, sizeof fake.runtime, "fake 1");
    assert_int_equal(mly_cost_table_create(&one, &table, NULL), MLY_OK);
    assert_int_equal(mly_cost_store_save(table, NULL), MLY_OK);
    assert_int_equal(mly_cost_store_open(&one, &again, &word, NULL), MLY_OK);
    assert_null(word);
    assert_string_equal(mly_cost_table_identity(again)->shapes, one.shapes);
    mly_cost_table_destroy(again);

    const struct mly_cost_identity *all[4] = {&identity, &one, &two, &fake};
    for (int i = 0; i < 4; i++) {
        assert_int_equal(mly_cost_store_path(all[i], &paths[i], NULL), MLY_OK);
        for (int k = 0; k < i; k++)
            assert_string_not_equal(paths[i], paths[k]);
    }
    /* One that came to lie under another's name. */
    assert_int_equal(rename(paths[1], paths[2]), 0);
    assert_int_equal(mly_cost_store_open(&two, &again, &word, NULL), MLY_OK);
    assert_non_null(strstr(word, "height=480,width=640; wanted: height=480"));
    mly_cost_table_destroy(again);
    for (int i = 0; i < 4; i++)
        mly_free(paths[i]);
    mly_free(word);
    mly_cost_table_destroy(table);

    snprintf(one.shapes, sizeof one.shapes, "\xff=3");
    assert_int_equal(mly_cost_table_create(&one, &table, &err), MLY_E_INVALID);
    assert_non_null(strstr(err.message, "identity.shapes"));
}

static void the_store_keeps_what_belongs_together(void **state)
{
    (void)state;
    mly_cost_table *table = NULL, *again;
    char *word = NULL, *path;
    assert_int_equal(mly_cost_store_open(&identity, &table, &word, NULL), MLY_OK);
    assert_int_equal(mly_cost_table_count(table), 0);
    assert_null(word);
    mly_cost_table_destroy(table);

    table = random_table(5, 20);
    assert_int_equal(mly_cost_store_save(table, NULL), MLY_OK);
    assert_int_equal(mly_cost_store_open(&identity, &again, &word, NULL), MLY_OK);
    assert_null(word);
    assert_tables_equal(table, again);
    mly_cost_table_destroy(again);

    struct mly_cost_identity other = identity;
    snprintf(other.runtime, sizeof other.runtime, "ort 1.32.0");
    assert_int_equal(mly_cost_store_open(&other, &again, &word, NULL), MLY_OK);
    assert_int_equal(mly_cost_table_count(again), 0);
    assert_string_equal(mly_cost_table_identity(again)->runtime, "ort 1.32.0");
    assert_non_null(strstr(word, "ort 1.31.1"));
    assert_non_null(strstr(word, "ort 1.32.0"));
    mly_free(word);
    mly_cost_table_destroy(again);
    mly_cost_table_destroy(table);

    /* A table of another host that came to lie under this host's name. */
    other = identity;
    snprintf(other.host_id, sizeof other.host_id, "host/1");
    char *host_path;
    assert_int_equal(mly_cost_store_path(&other, &host_path, NULL), MLY_OK);
    assert_null(strstr(host_path, "host/1"));
    assert_int_equal(mly_cost_store_path(&identity, &path, NULL), MLY_OK);
    assert_int_equal(rename(path, host_path), 0);
    assert_int_equal(mly_cost_store_open(&other, &again, &word, NULL), MLY_OK);
    assert_int_equal(mly_cost_table_count(again), 0);
    assert_non_null(strstr(word, "another host"));
    mly_free(word);
    mly_free(host_path);
    mly_cost_table_destroy(again);

    /* Damaged. */
    assert_int_equal(mly_file_write(path, "{\"motley", 8, NULL), MLY_OK);
    assert_int_equal(mly_cost_store_open(&identity, &again, &word, NULL), MLY_OK);
    assert_int_equal(mly_cost_table_count(again), 0);
    assert_non_null(strstr(word, "cannot be read"));
    mly_free(word);
    mly_free(path);
    mly_cost_table_destroy(again);

    other.model_hash[0] = '\0';
    assert_int_equal(mly_cost_store_path(&other, &path, NULL), MLY_E_INVALID);
}

static void every_failing_allocation_is_reported(void **state)
{
    (void)state;
    mly_cost_table *table = random_table(2, 100), *back = NULL;
    size_t length;
    char *text = saved_text(table, &length), path[128], *word = NULL;
    enum mly_status status;
    snprintf(path, sizeof path, "%s/failing.costs.json", folder);
    for (uint64_t n = 1, ended = 0; !ended; n++) {
        mly_alloc_fail_after(n);
        status = mly_cost_table_parse("x", text, length, &back, NULL);
        mly_alloc_fail_after(0);
        ended = !status;
        assert_true(ended || (status == MLY_E_NO_MEMORY && !back));
    }
    assert_tables_equal(table, back);
    mly_cost_table_destroy(back);
    back = NULL;
    for (uint64_t n = 1, ended = 0; !ended; n++) {
        mly_alloc_fail_after(n);
        status = mly_cost_table_save(table, path, NULL);
        mly_alloc_fail_after(0);
        ended = !status;
        assert_true(ended || (status == MLY_E_NO_MEMORY && access(path, F_OK)));
    }
    assert_int_equal(mly_cost_store_save(table, NULL), MLY_OK);
    struct mly_cost_identity other = identity;
    snprintf(other.runtime, sizeof other.runtime, "ort 2");
    for (uint64_t n = 1, ended = 0; !ended; n++) {
        mly_alloc_fail_once(n);
        struct mly_error err = {0};
        status = mly_cost_store_open(&other, &back, &word, &err);
        mly_alloc_fail_once(0);
        ended = !status;
        if (!ended && (!err.message[0] || back || word))
            fail_msg("allocation %d: %s", (int)n, err.message);
    }
    assert_non_null(word);
    mly_free(word);
    mly_cost_table_destroy(back);
    mly_free(text);
    mly_cost_table_destroy(table);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_round_trip_loses_nothing),
        cmocka_unit_test(every_damaged_place_is_named),
        cmocka_unit_test(every_value_out_of_its_range_is_named),
        cmocka_unit_test(impossible_noise_is_not_saved),
        cmocka_unit_test(tables_of_other_shapes_and_runtimes_lie_beside),
        cmocka_unit_test(the_store_keeps_what_belongs_together),
        cmocka_unit_test(every_failing_allocation_is_reported),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}

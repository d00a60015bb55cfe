/* Cost tables in memory: what is put is found, estimates are what the header says, wrong values are
 * refused. */
#include <math.h>
#include <string.h>

#include "base/alloc.h"
#include "base/random.h"
#include "cost/table.h"
#include "support/test.h"

static const struct mly_cost_identity identity = {
    .model_hash = "0123", .model_name = "tiny.onnx", .host_id = "host", .runtime = "ort 1.31.1"};

static mly_cost_table *new_table(void)
{
    mly_cost_table *table;
    assert_int_equal(mly_cost_table_create(&identity, &table, NULL), MLY_OK);
    return table;
}

static struct mly_cost_entry whole(uint32_t groups, uint32_t threads, uint32_t batch, bool spin,
                                   double median_ns)
{
    return (struct mly_cost_entry){
        .scope = MLY_COST_MODEL,
        .scope_id = "",
        .config = {.backend = "ort",
                   .processor_kind = "cpu",
                   .groups = groups,
                   .threads = threads,
                   .batch = batch,
                   .spin = spin},
        .p10_ns = median_ns * 0.9,
        .median_ns = median_ns,
        .p90_ns = median_ns * 1.1,
        .throughput_per_s = groups * batch / median_ns * 1e9,
        .samples = 10,
    };
}

static void put(mly_cost_table *table, struct mly_cost_entry entry)
{
    struct mly_error err;
    if (mly_cost_table_put(table, &entry, &err))
        fail_msg("%s", err.message);
}

static void what_was_put_is_found_and_replaced(void **state)
{
    (void)state;
    mly_cost_table *table = new_table();
    struct mly_cost_entry entry = whole(2, 1, 4, false, 1e6);
    assert_null(mly_cost_table_find(table, MLY_COST_MODEL, "", &entry.config));
    put(table, entry);
    put(table, whole(2, 1, 4, true, 2e6));
    put(table, whole(2, 1, 8, false, 3e6));
    assert_int_equal(mly_cost_table_count(table), 3);
    const struct mly_cost_entry *found =
        mly_cost_table_find(table, MLY_COST_MODEL, "", &entry.config);
    assert_non_null(found);
    assert_ptr_equal(found, mly_cost_table_at(table, 0));
    assert_true(found->median_ns == 1e6);
    entry.median_ns = 5e6;
    put(table, entry);
    assert_int_equal(mly_cost_table_count(table), 3);
    found = mly_cost_table_find(table, MLY_COST_MODEL, "", &entry.config);
    assert_true(found->median_ns == 5e6);
    assert_null(mly_cost_table_find(table, MLY_COST_NODE, "x", &entry.config));
    assert_null(mly_cost_table_at(table, 3));
    assert_string_equal(mly_cost_table_identity(table)->model_hash, "0123");
    mly_cost_table_destroy(table);
    mly_cost_table_destroy(NULL);
}

static void the_table_keeps_copies(void **state)
{
    (void)state;
    mly_cost_table *table = new_table();
    char id[] = "Conv_17";
    struct mly_cost_entry entry = whole(1, 1, 1, false, 1e3);
    entry.scope = MLY_COST_NODE;
    entry.scope_id = id;
    put(table, entry);
    memset(id, 'x', sizeof id - 1);
    assert_non_null(mly_cost_table_find(table, MLY_COST_NODE, "Conv_17", &entry.config));
    assert_string_equal(mly_cost_table_at(table, 0)->scope_id, "Conv_17");
    /* Putting back an entry that the table itself lent changes nothing. */
    assert_int_equal(mly_cost_table_put(table, mly_cost_table_at(table, 0), NULL), MLY_OK);
    assert_string_equal(mly_cost_table_at(table, 0)->scope_id, "Conv_17");
    mly_cost_table_destroy(table);
}

static void the_baseline_is_one_whatever_else_is_said_of_it(void **state)
{
    (void)state;
    mly_cost_table *table = new_table();
    struct mly_cost_entry entry = whole(1, 0, 4, true, 1e6);
    entry.config.runtime_defaults = true;
    put(table, entry);
    entry.config.groups = 7;
    entry.config.threads = 3;
    entry.config.spin = false;
    const struct mly_cost_entry *found =
        mly_cost_table_find(table, MLY_COST_MODEL, "", &entry.config);
    assert_non_null(found);
    assert_int_equal(found->config.groups, 1);
    assert_int_equal(found->config.threads, 0);
    assert_false(found->config.spin);
    entry.config.batch = 8;
    assert_null(mly_cost_table_find(table, MLY_COST_MODEL, "", &entry.config));
    mly_cost_table_destroy(table);
}

static struct mly_cost_entry random_entry(struct mly_random *random, char *id, size_t id_size)
{
    struct mly_cost_entry entry =
        whole(1 + (uint32_t)mly_random_below(random, 4), 1 + (uint32_t)mly_random_below(random, 3),
              1 + (uint32_t)mly_random_below(random, 12), mly_random_below(random, 2) != 0,
              1 + floor(mly_random_uniform(random) * 1e9));
    snprintf(id, id_size, "node %d", (int)mly_random_below(random, 30));
    entry.scope = (enum mly_cost_scope)mly_random_below(random, 3);
    entry.scope_id = entry.scope == MLY_COST_MODEL ? "" : id;
    if (mly_random_below(random, 5) == 0)
        snprintf(entry.config.backend, sizeof entry.config.backend, "openvino");
    return entry;
}

static bool same_but_batch(const struct mly_cost_entry *a, const struct mly_cost_entry *b)
{
    return a->scope == b->scope && !strcmp(a->scope_id, b->scope_id) &&
           a->config.groups == b->config.groups && a->config.threads == b->config.threads &&
           a->config.spin == b->config.spin && !strcmp(a->config.backend, b->config.backend) &&
           !strcmp(a->config.processor_kind, b->config.processor_kind);
}

/* The oracle is a plain list searched from end to end. */
static double slow_estimate(const struct mly_cost_entry *list, size_t count,
                            const struct mly_cost_entry *wanted, bool *interpolated)
{
    const struct mly_cost_entry *below = NULL, *above = NULL;
    const double batch = wanted->config.batch;
    for (size_t i = 0; i < count; i++) {
        if (!same_but_batch(&list[i], wanted))
            continue;
        if (list[i].config.batch <= batch && (!below || list[i].config.batch > below->config.batch))
            below = &list[i];
        if (list[i].config.batch >= batch && (!above || list[i].config.batch < above->config.batch))
            above = &list[i];
    }
    *interpolated = !below || below != above;
    if (!below && !above)
        return -1;
    if (!*interpolated)
        return below->median_ns;
    if (!below || !above) {
        const struct mly_cost_entry *nearest = below ? below : above;
        return nearest->median_ns * (batch / nearest->config.batch);
    }
    return below->median_ns + (batch - below->config.batch) /
                                  ((double)above->config.batch - below->config.batch) *
                                  (above->median_ns - below->median_ns);
}

static void a_thousand_random_entries_agree_with_a_plain_list(void **state)
{
    (void)state;
    enum { COUNT = 3000 };
    struct mly_random random;
    mly_random_init(&random, 7);
    mly_cost_table *table = new_table();
    struct mly_cost_entry *list = calloc(COUNT, sizeof *list);
    char(*ids)[32] = calloc(COUNT, sizeof *ids);
    size_t count = 0;
    assert_true(list && ids);
    for (size_t i = 0; i < COUNT; i++) {
        struct mly_cost_entry entry = random_entry(&random, ids[count], sizeof ids[count]);
        put(table, entry);
        size_t k = 0;
        while (k < count &&
               !(same_but_batch(&list[k], &entry) && list[k].config.batch == entry.config.batch))
            k++;
        if (k == count)
            list[count++] = entry;
        else
            list[k].median_ns = entry.median_ns;
    }
    assert_int_equal(mly_cost_table_count(table), count);
    for (size_t i = 0; i < count; i++) {
        const struct mly_cost_entry *found =
            mly_cost_table_find(table, list[i].scope, list[i].scope_id, &list[i].config);
        assert_non_null(found);
        assert_true(found->median_ns == list[i].median_ns);
    }
    for (size_t i = 0; i < COUNT; i++) {
        char id[32];
        struct mly_cost_entry wanted = random_entry(&random, id, sizeof id);
        wanted.config.batch = 1 + (uint32_t)mly_random_below(&random, 20);
        bool slow_interpolated, interpolated;
        double ns, slow_ns = slow_estimate(list, count, &wanted, &slow_interpolated);
        enum mly_status status = mly_cost_estimate_ns(table, wanted.scope, wanted.scope_id,
                                                      &wanted.config, &ns, &interpolated, NULL);
        assert_int_equal(status, slow_ns < 0 ? MLY_E_NOT_FOUND : MLY_OK);
        if (status)
            continue;
        assert_int_equal(interpolated, slow_interpolated);
        assert_true(fabs(ns - slow_ns) <= 1e-12 * slow_ns);
    }
    free(list);
    free(ids);
    mly_cost_table_destroy(table);
}

static void estimates_follow_the_neighbouring_batches(void **state)
{
    (void)state;
    mly_cost_table *table = new_table();
    put(table, whole(1, 2, 8, false, 700));
    put(table, whole(1, 2, 2, false, 100));
    put(table, whole(1, 2, 4, false, 300));
    static const struct {
        uint32_t batch;
        double ns;
        bool interpolated;
    } cases[] = {{1, 50, true},  {2, 100, false}, {3, 200, true},  {4, 300, false},
                 {6, 500, true}, {8, 700, false}, {16, 1400, true}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct mly_cost_entry wanted = whole(1, 2, cases[i].batch, false, 0);
        double ns;
        bool interpolated;
        assert_int_equal(mly_cost_estimate_ns(table, MLY_COST_MODEL, "", &wanted.config, &ns,
                                              &interpolated, NULL),
                         MLY_OK);
        assert_true(ns == cases[i].ns);
        assert_int_equal(interpolated, cases[i].interpolated);
        assert_int_equal(
            mly_cost_estimate_ns(table, MLY_COST_MODEL, "", &wanted.config, &ns, NULL, NULL),
            MLY_OK);
    }
    mly_cost_table_destroy(table);
}

static void a_missing_cost_is_named(void **state)
{
    (void)state;
    mly_cost_table *table = new_table();
    struct mly_cost_entry wanted = whole(2, 1, 4, true, 0);
    struct mly_error err;
    double ns = 17;
    assert_int_equal(
        mly_cost_estimate_ns(table, MLY_COST_NODE, "Conv_3", &wanted.config, &ns, NULL, &err),
        MLY_E_NOT_FOUND);
    assert_true(ns == 17);
    assert_non_null(strstr(err.message, "Conv_3"));
    assert_non_null(strstr(err.message, "2 groups x 1 thread, batch 4, spin"));
    mly_cost_table_destroy(table);
}

static void wrong_values_are_refused_and_named(void **state)
{
    (void)state;
    mly_cost_table *table = new_table();
    static const struct {
        size_t offset;
        double value;
        const char *name;
    } cases[] = {
        {offsetof(struct mly_cost_entry, p10_ns), NAN, "p10_ns"},
        {offsetof(struct mly_cost_entry, median_ns), -1, "median_ns"},
        {offsetof(struct mly_cost_entry, p90_ns), INFINITY, "p90_ns"},
        {offsetof(struct mly_cost_entry, throughput_per_s), -0.5, "throughput_per_s"},
        {offsetof(struct mly_cost_entry, throughput_spread), NAN, "throughput_spread"},
        {offsetof(struct mly_cost_entry, memory_bytes), 2e18, "memory_bytes"},
        {offsetof(struct mly_cost_entry, energy_j), -1, "energy_j"},
        {offsetof(struct mly_cost_entry, rested_ns), -1, "rested_ns"},
        {offsetof(struct mly_cost_entry, rested_p90_ns), -1, "rested_p90_ns"},
        {offsetof(struct mly_cost_entry, noise_spread), NAN, "noise_spread"},
    };
    struct mly_error err;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct mly_cost_entry entry = whole(1, 1, 1, false, 1e3);
        memcpy((char *)&entry + cases[i].offset, &cases[i].value, sizeof(double));
        assert_int_equal(mly_cost_table_put(table, &entry, &err), MLY_E_INVALID);
        assert_non_null(strstr(err.message, cases[i].name));
    }
    struct mly_cost_entry entry = whole(1, 1, 0, false, 1e3);
    assert_int_equal(mly_cost_table_put(table, &entry, &err), MLY_E_INVALID);
    assert_non_null(strstr(err.message, "batch"));
    entry = whole(0, 1, 1, false, 1e3);
    assert_int_equal(mly_cost_table_put(table, &entry, &err), MLY_E_INVALID);
    assert_non_null(strstr(err.message, "groups"));
    entry = whole(1, 1, 1, false, 1e3);
    entry.measured_s = -1;
    assert_int_equal(mly_cost_table_put(table, &entry, &err), MLY_E_INVALID);
    assert_non_null(strstr(err.message, "measured_s"));
    entry = whole(1, 1, 1, false, 1e3);
    entry.scope_id = "x";
    assert_int_equal(mly_cost_table_put(table, &entry, &err), MLY_E_INVALID);
    entry.scope = MLY_COST_NODE;
    entry.scope_id = "";
    assert_int_equal(mly_cost_table_put(table, &entry, &err), MLY_E_INVALID);
    entry.scope_id = "caf\xe9";
    assert_int_equal(mly_cost_table_put(table, &entry, &err), MLY_E_INVALID);
    assert_non_null(strstr(err.message, "UTF-8"));
    entry.scope_id = "ok";
    memset(entry.config.backend, 'b', sizeof entry.config.backend);
    assert_int_equal(mly_cost_table_put(table, &entry, &err), MLY_E_INVALID);
    assert_non_null(strstr(err.message, "backend"));
    entry.scope = (enum mly_cost_scope)9;
    assert_int_equal(mly_cost_table_put(table, &entry, NULL), MLY_E_INVALID);
    assert_int_equal(mly_cost_table_count(table), 0);

    struct mly_cost_identity wrong = identity;
    wrong.host_id[0] = '\0';
    mly_cost_table *none = NULL;
    assert_int_equal(mly_cost_table_create(&wrong, &none, &err), MLY_E_INVALID);
    assert_non_null(strstr(err.message, "host_id"));
    assert_null(none);
    mly_cost_table_destroy(table);
}

static void entries_of_several_measurings_are_told_apart(void **state)
{
    (void)state;
    mly_cost_table *table = new_table();
    const int64_t now = mly_cost_table_next_s(table), ahead = INT64_C(4000000000);
    struct mly_cost_times times = mly_cost_table_times(table, MLY_COST_MODEL);
    assert_true(now > 0 && !times.first_s && !times.last_s && !times.unknown);
    struct mly_cost_entry entry = whole(1, 1, 1, false, 1e3);
    put(table, entry);
    times = mly_cost_table_times(table, MLY_COST_MODEL);
    assert_true(!times.last_s && times.unknown);
    entry.measured_s = 1000;
    entry.noise_spread = 0.5;
    put(table, entry);
    entry.config.batch = 2;
    entry.measured_s = ahead; /* by a clock that was put back since */
    entry.noise_spread = 0.25;
    put(table, entry);
    entry.scope = MLY_COST_NODE;
    entry.scope_id = "Conv_1";
    entry.measured_s = 10;
    entry.noise_spread = 0.75;
    put(table, entry);
    times = mly_cost_table_times(table, MLY_COST_MODEL);
    assert_true(times.first_s == 1000 && times.last_s == ahead && !times.unknown);
    assert_true(times.noise_spread == 0.5);
    assert_true(mly_cost_table_next_s(table) == ahead + 1);
    mly_cost_table_destroy(table);
}

static void every_failing_allocation_leaves_the_table_as_it_was(void **state)
{
    (void)state;
    mly_cost_table *table = new_table();
    char id[32];
    for (int i = 0; i < 400; i++) {
        snprintf(id, sizeof id, "node %d", i);
        struct mly_cost_entry entry = whole(1, 1, 1, false, i + 1);
        entry.scope = MLY_COST_NODE;
        entry.scope_id = id;
        for (uint64_t n = 1;; n++) {
            mly_alloc_fail_once(n);
            enum mly_status status = mly_cost_table_put(table, &entry, NULL);
            mly_alloc_fail_once(0);
            if (!status)
                break;
            assert_int_equal(status, MLY_E_NO_MEMORY);
            assert_int_equal(mly_cost_table_count(table), i);
            assert_null(mly_cost_table_find(table, entry.scope, id, &entry.config));
        }
        assert_int_equal(mly_cost_table_count(table), i + 1);
        assert_non_null(mly_cost_table_find(table, entry.scope, id, &entry.config));
    }
    mly_alloc_fail_once(1);
    mly_cost_table *none = NULL;
    assert_int_equal(mly_cost_table_create(&identity, &none, NULL), MLY_E_NO_MEMORY);
    mly_alloc_fail_once(0);
    mly_cost_table_destroy(table);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_put_is_found_and_replaced),
        cmocka_unit_test(the_table_keeps_copies),
        cmocka_unit_test(the_baseline_is_one_whatever_else_is_said_of_it),
        cmocka_unit_test(a_thousand_random_entries_agree_with_a_plain_list),
        cmocka_unit_test(estimates_follow_the_neighbouring_batches),
        cmocka_unit_test(a_missing_cost_is_named),
        cmocka_unit_test(wrong_values_are_refused_and_named),
        cmocka_unit_test(entries_of_several_measurings_are_told_apart),
        cmocka_unit_test(every_failing_allocation_leaves_the_table_as_it_was),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

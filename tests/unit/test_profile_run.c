/* Measuring with a back end that only counts: what is measured, what is not, and what is kept. */
#include <pthread.h>
#include <stdatomic.h>

#include "support/plan_fixture.h"
#include "support/profile_rig.h"

/* Time enough for everything, and rounds of one run each. */
static const int64_t budget_ns = 1000000000000;

static mly_machine *machine;
static uint32_t configs;

static int set_up(void **state)
{
    (void)state;
    counting_reset(NULL);
    machine = rig_machine();
    configs = rig_configs(machine);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    mly_machine_destroy(machine);
    return 0;
}

/* A model with an empty table for it, and options that are quick. */
struct bench {
    mly_model *model;
    mly_cost_table *table;
    struct remarks remarks;
    struct mly_profile_options options;
};

static const uint32_t one_two[] = {1, 2};

static void bench_open(struct bench *bench, mly_model *model, const struct counting_orders *orders)
{
    struct mly_error err = {0};
    struct mly_cost_identity identity;
    *bench = (struct bench){.model = model,
                            .options = {.backend = COUNTING,
                                        .batches = one_two,
                                        .batch_count = 2,
                                        .budget_ns = budget_ns,
                                        .slice_ns = 1,
                                        .remark = remarks_take}};
    bench->options.user = &bench->remarks;
    counting_reset(orders);
    expect_ok(mly_profile_identity(model, machine, &bench->options, &identity, &err), err);
    assert_string_equal(identity.runtime, COUNTING " 1");
    expect_ok(mly_cost_table_create(&identity, &bench->table, &err), err);
}

static void bench_close(struct bench *bench)
{
    assert_int_equal(counting_left(), 0);
    mly_cost_table_destroy(bench->table);
    mly_model_destroy(bench->model);
}

static enum mly_status run(struct bench *bench, struct mly_error *err)
{
    return mly_profile_run(bench->model, machine, &bench->options, bench->table, err);
}

/* Entries of the whole model; each is checked to be sound. */
static uint32_t models_in(const mly_cost_table *table)
{
    uint32_t count = 0;
    const struct mly_cost_entry *entry;
    for (size_t i = 0; (entry = mly_cost_table_at(table, i)); i++) {
        if (entry->scope != MLY_COST_MODEL)
            continue;
        count++;
        assert_string_equal(entry->config.backend, COUNTING);
        assert_true(entry->samples > 0);
        assert_true(entry->median_ns > 0 && entry->p10_ns <= entry->median_ns &&
                    entry->median_ns <= entry->p90_ns);
        assert_true(entry->throughput_per_s > 0 && entry->throughput_spread >= 0);
        assert_false(entry->modelled);
    }
    return count;
}

static void every_configuration_is_measured(void **state)
{
    (void)state;
    struct bench bench;
    struct mly_error err = {0};
    bench_open(&bench, tiny_chain(2, 0), NULL);
    expect_ok(run(&bench, &err), err);
    assert_int_equal(models_in(bench.table), 2 * configs);
    const struct mly_cost_entry *entry;
    bool rested = false;
    for (size_t i = 0; (entry = mly_cost_table_at(bench.table, i)); i++) {
        uint32_t threads = entry->config.runtime_defaults ? 0 : entry->config.threads;
        uint64_t runs = counting_runs_of(threads, entry->config.spin, entry->config.batch);
        /* What was timed in rounds, and the warm-up. Groupings may share a number of threads. */
        assert_true(runs > entry->samples);
        rested = rested || entry->rested_ns > 0;
        assert_true(entry->config.threads * entry->config.groups <=
                    mly_machine_info(machine)->cores);
    }
    assert_true(rested); /* the fastest, at least */
    assert_int_equal(bench.remarks.count, 0);
    assert_true(mly_cost_table_noise(bench.table)->slowdown > 0);
    bench_close(&bench);
}

static void nothing_is_measured_twice_unless_asked(void **state)
{
    (void)state;
    struct bench bench;
    struct mly_error err = {0};
    bench_open(&bench, tiny_chain(2, 0), NULL);
    expect_ok(run(&bench, &err), err);
    counting_reset(NULL);
    expect_ok(run(&bench, &err), err);
    assert_int_equal(counting_opens(), 0);
    assert_int_equal(counting_runs(), 0);
    bench.options.again = true;
    expect_ok(run(&bench, &err), err);
    assert_true(counting_runs_of(0, false, 1) > 0 && counting_runs_of(0, false, 2) > 0);
    assert_int_equal(models_in(bench.table), 2 * configs);
    bench_close(&bench);
}

static void only_what_is_missing_is_measured(void **state)
{
    (void)state;
    struct bench bench;
    struct mly_error err = {0};
    const uint32_t groups[] = {1};
    bench_open(&bench, tiny_chain(2, 0), NULL);
    bench.options.batch_count = 1;
    expect_ok(run(&bench, &err), err);
    counting_reset(NULL);
    bench.options.batch_count = 2;
    bench.options.group_counts = groups;
    bench.options.group_count_count = 1;
    expect_ok(run(&bench, &err), err);
    assert_int_equal(counting_runs_of(0, false, 1), 0);
    assert_true(counting_runs_of(0, false, 2) > 0);
    const uint32_t cores = mly_machine_info(machine)->cores;
    assert_true(counting_runs_of(cores, false, 2) > 0);
    assert_int_equal(models_in(bench.table), configs + (cores > 1 ? 3 : 2));
    bench_close(&bench);
}

static void a_fixed_batch_is_the_only_one(void **state)
{
    (void)state;
    struct bench bench;
    struct mly_error err = {0};
    bench_open(&bench, tiny_chain(2, 3), NULL);
    expect_error(run(&bench, &err), MLY_E_INVALID, err, "fixed at 3");
    bench.options.batches = NULL;
    expect_ok(run(&bench, &err), err);
    assert_int_equal(models_in(bench.table), configs);
    assert_true(counting_runs_of(0, false, 3) > 0);
    bench_close(&bench);
}

static void options_that_make_no_sense_are_refused(void **state)
{
    (void)state;
    struct bench bench;
    struct mly_error err = {0};
    struct mly_cost_identity identity;
    bench_open(&bench, tiny_chain(2, 0), NULL);
    const struct mly_profile_options good = bench.options;
    const uint32_t wrong[][2] = {{0, 1}, {2, 2}, {2, 1}, {1, 1000001}};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        bench.options.batches = wrong[i];
        expect_error(run(&bench, &err), MLY_E_INVALID, err, "must ascend");
    }
    uint32_t many[65];
    for (uint32_t i = 0; i < 65; i++)
        many[i] = i + 1;
    bench.options.batches = many;
    bench.options.batch_count = 65;
    expect_error(run(&bench, &err), MLY_E_LIMIT, err, "65 batch sizes");
    bench.options = good;
    bench.options.backend = "no such thing";
    expect_error(run(&bench, &err), MLY_E_NOT_FOUND, err, "no such thing");
    expect_error(mly_profile_identity(bench.model, machine, &bench.options, &identity, &err),
                 MLY_E_NOT_FOUND, err, "no such thing");
    bench.options = good;
    const uint32_t cores = mly_machine_info(machine)->cores + 1;
    bench.options.group_counts = &cores;
    bench.options.group_count_count = 1;
    expect_error(run(&bench, &err), MLY_E_INVALID, err, "groups cannot be made of");
    bench.options = good;
    bench.options.bindings = &(struct mly_dim_binding){"Q", 2};
    bench.options.binding_count = 1;
    expect_error(run(&bench, &err), MLY_E_INVALID, err, "'Q'");
    mly_machine *synthetic = tiny_machine("core:2 pu:1");
    expect_error(mly_profile_run(bench.model, synthetic, &good, bench.table, &err), MLY_E_INVALID,
                 err, "synthetic");
    mly_machine_destroy(synthetic);
    assert_int_equal(counting_opens(), 0);
    assert_int_equal(mly_cost_table_count(bench.table), 0);
    bench_close(&bench);
}

/* --- stopping --- */

struct stopper {
    struct remarks remarks; /* first: the remark callback takes it for that */
    int left;               /* reports until it stops; 0: never */
    int reports;
    double fraction;
    atomic_bool *flag; /* set instead of saying so; may be NULL */
};

static bool count_down(const struct mly_profile_progress *progress, void *user)
{
    struct stopper *stopper = user;
    stopper->reports++;
    assert_true(progress->fraction >= stopper->fraction && progress->fraction <= 1);
    assert_true(progress->text[0] != '\0');
    stopper->fraction = progress->fraction;
    if (stopper->left == 0 || --stopper->left > 0)
        return true;
    if (stopper->flag)
        atomic_store(stopper->flag, true);
    return stopper->flag != NULL;
}

static void stopping_keeps_what_was_measured(void **state)
{
    (void)state;
    struct bench bench;
    struct mly_error err = {0};
    atomic_bool stop;
    uint32_t kept_last = 0;
    for (int n = 1;; n += 1 + n / 4) {
        struct stopper stopper = {.left = n, .flag = n % 2 ? &stop : NULL};
        bench_open(&bench, tiny_chain(2, 0), NULL);
        atomic_init(&stop, false);
        bench.options.stop = &stop;
        bench.options.progress = count_down;
        bench.options.user = &stopper;
        enum mly_status status = run(&bench, &err);
        uint32_t kept = models_in(bench.table);
        if (status == MLY_OK) {
            assert_int_equal(kept, 2 * configs);
            bench_close(&bench);
            break;
        }
        assert_int_equal(status, MLY_E_CANCELLED);
        assert_string_equal(err.message, "measuring was interrupted");
        assert_int_equal(counting_left(), 0);
        assert_true(kept >= kept_last && kept <= 2 * configs);
        kept_last = kept;
        /* The next call goes on: what is kept is not measured again. */
        stopper = (struct stopper){0};
        atomic_store(&stop, false);
        counting_reset(NULL);
        expect_ok(run(&bench, &err), err);
        assert_int_equal(models_in(bench.table), 2 * configs);
        if (kept == 2 * configs)
            assert_int_equal(counting_runs(), 0);
        bench_close(&bench);
    }
    /* Some stop came late enough for something to be kept. */
    assert_true(kept_last > 0);
}

/* Entries of the whole model with that batch. */
static uint32_t models_with(const mly_cost_table *table, uint32_t batch)
{
    uint32_t count = 0;
    const struct mly_cost_entry *entry;
    for (size_t i = 0; (entry = mly_cost_table_at(table, i)); i++)
        count += entry->scope == MLY_COST_MODEL && entry->config.batch == batch;
    return count;
}

/* Who waits for part of a measuring only gets the small batches of every configuration. */
static void small_batches_are_kept_first(void **state)
{
    (void)state;
    struct bench bench;
    struct mly_error err = {0};
    bool half = false;
    for (int n = 1;; n++) {
        struct stopper stopper = {.left = n};
        bench_open(&bench, tiny_chain(2, 0), NULL);
        bench.options.progress = count_down;
        bench.options.user = &stopper;
        const enum mly_status status = run(&bench, &err);
        const uint32_t one = models_with(bench.table, 1), two = models_with(bench.table, 2);
        assert_true(one == configs || two == 0);
        half = half || (one == configs && two == 0);
        bench_close(&bench);
        if (two > 0)
            break;
        assert_int_equal(status, MLY_E_CANCELLED);
    }
    assert_true(half);
}

static void entries_know_their_measuring(void **state)
{
    (void)state;
    struct bench bench;
    struct mly_error err = {0};
    const struct mly_cost_entry *entry;
    bench_open(&bench, tiny_chain(2, 0), NULL);
    bench.options.batch_count = 1;
    expect_ok(run(&bench, &err), err);
    const struct mly_cost_times first = mly_cost_table_times(bench.table, MLY_COST_MODEL);
    assert_true(first.first_s > 0 && first.first_s == first.last_s && !first.unknown);
    const double noise = mly_cost_table_noise(bench.table)->relative_spread;
    bench.options.batch_count = 2;
    expect_ok(run(&bench, &err), err);
    const struct mly_cost_times both = mly_cost_table_times(bench.table, MLY_COST_MODEL);
    assert_true(both.first_s == first.first_s && both.last_s > first.last_s);
    const double newest = mly_cost_table_noise(bench.table)->relative_spread;
    for (size_t i = 0; (entry = mly_cost_table_at(bench.table, i)); i++) {
        const bool old = entry->config.batch == 1;
        assert_true(entry->measured_s == (old ? both.first_s : both.last_s));
        assert_true(entry->noise_spread == (old ? noise : newest));
    }
    bench_close(&bench);
}

/* A stop in the middle of measuring again: what is new and what is old can be told apart. */
static void half_of_measuring_again_is_kept_beside_the_rest(void **state)
{
    (void)state;
    struct bench bench;
    struct mly_error err = {0};
    const struct mly_cost_entry *entry;
    bool mixed = false;
    for (int n = 1; !mixed; n++) {
        struct stopper stopper = {.left = n};
        bench_open(&bench, tiny_chain(2, 0), NULL);
        expect_ok(run(&bench, &err), err);
        const struct mly_cost_times before = mly_cost_table_times(bench.table, MLY_COST_MODEL);
        const double noise = mly_cost_table_noise(bench.table)->relative_spread;
        bench.options.again = true;
        bench.options.progress = count_down;
        bench.options.user = &stopper;
        assert_int_equal(run(&bench, &err), MLY_E_CANCELLED);
        const struct mly_cost_times after = mly_cost_table_times(bench.table, MLY_COST_MODEL);
        assert_int_equal(models_in(bench.table), 2 * configs);
        assert_true(after.first_s == before.first_s);
        mixed = after.last_s > before.last_s;
        const double newest = mly_cost_table_noise(bench.table)->relative_spread;
        assert_true(mixed || newest == noise);
        for (size_t i = 0; (entry = mly_cost_table_at(bench.table, i)); i++)
            assert_true(entry->noise_spread ==
                        (entry->measured_s > before.last_s ? newest : noise));
        bench_close(&bench);
    }
}

/* A segment that was measured at some other time. */
static void put_old(mly_cost_table *table)
{
    struct mly_error err;
    struct mly_cost_entry old = *mly_cost_table_at(table, 0);
    old.scope = MLY_COST_SEGMENT;
    old.scope_id = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
    expect_ok(mly_cost_table_put(table, &old, &err), err);
}

static void measuring_again_forgets_what_was_there_when_it_is_done(void **state)
{
    (void)state;
    struct bench bench;
    struct mly_error err = {0};
    struct stopper stopper = {.left = 3};
    bench_open(&bench, tiny_chain(2, 0), NULL);
    expect_ok(run(&bench, &err), err);
    put_old(bench.table);
    const size_t before = mly_cost_table_count(bench.table);
    bench.options.again = true;
    bench.options.progress = count_down;
    bench.options.user = &stopper;
    assert_int_equal(run(&bench, &err), MLY_E_CANCELLED);
    assert_int_equal(mly_cost_table_count(bench.table), before);
    bench.options.progress = NULL;
    expect_ok(run(&bench, &err), err);
    assert_int_equal(models_in(bench.table), 2 * configs);
    assert_int_equal(mly_cost_table_count(bench.table), 2 * configs);
    bench_close(&bench);
}

static void *stop_when_held(void *flag)
{
    counting_wait_held();
    atomic_store((atomic_bool *)flag, true);
    return NULL;
}

/* A run that takes for ever is cancelled from where the flag is watched. */
static void a_run_in_progress_is_cancelled(void **state)
{
    (void)state;
    struct bench bench;
    struct mly_error err = {0};
    atomic_bool stop;
    pthread_t thread;
    atomic_init(&stop, false);
    bench_open(&bench, tiny_chain(2, 0), &(struct counting_orders){.hold = true});
    bench.options.stop = &stop;
    assert_int_equal(pthread_create(&thread, NULL, stop_when_held, &stop), 0);
    expect_error(run(&bench, &err), MLY_E_CANCELLED, err, "cancelled");
    pthread_join(thread, NULL);
    assert_int_equal(models_in(bench.table), 0);
    bench_close(&bench);
}

/* --- what fails --- */

static void a_configuration_that_cannot_be_opened_is_named(void **state)
{
    (void)state;
    struct bench bench;
    struct mly_error err = {0};
    bench_open(&bench, tiny_chain(2, 0), &(struct counting_orders){.fail_open = 1});
    expect_error(run(&bench, &err), MLY_E_UNSUPPORTED, err,
                 "opening the runtime's defaults: counting: this one");
    counting_reset(&(struct counting_orders){.fail_open = 2});
    expect_error(run(&bench, &err), MLY_E_UNSUPPORTED, err, "opening 1 group x");
    assert_int_equal(counting_left(), 0);
    assert_int_equal(mly_cost_table_count(bench.table), 0);
    bench_close(&bench);
}

static void a_batch_that_fails_is_left_out(void **state)
{
    (void)state;
    struct bench bench;
    struct mly_error err = {0};
    const enum mly_status statuses[] = {MLY_E_BACKEND, MLY_E_NO_MEMORY};
    for (size_t i = 0; i < 2; i++) {
        bench_open(&bench, tiny_chain(2, 0),
                   &(struct counting_orders){.fail_batch = 2, .fail_status = statuses[i]});
        expect_ok(run(&bench, &err), err);
        assert_int_equal(models_in(bench.table), configs);
        assert_int_equal(bench.remarks.count, configs);
        assert_non_null(strstr(bench.remarks.text, "left out: running the runtime's defaults, "
                                                   "batch 2: counting: batch 2 is too large"));
        bench_close(&bench);
    }
    bench_open(&bench, tiny_chain(2, 0),
               &(struct counting_orders){.fail_batch = 1, .fail_status = MLY_E_BACKEND});
    expect_error(run(&bench, &err), MLY_E_BACKEND, err, "running the runtime's defaults, batch 1");
    assert_non_null(strstr(err.message, "random values, zeros and ones"));
    assert_int_equal(mly_cost_table_count(bench.table), 0);
    bench_close(&bench);
}

/* A run that fails in the middle costs its own cell, not the others. */
static void a_cell_that_fails_in_a_round_leaves(void **state)
{
    (void)state;
    struct bench bench;
    struct mly_error err = {0};
    uint32_t lost = 0, all = 0; /* runs when every group runs once with each batch */
    bench_open(&bench, tiny_chain(2, 0), NULL);
    expect_ok(run(&bench, &err), err);
    for (size_t i = 0; i < mly_cost_table_count(bench.table); i++)
        all += mly_cost_table_at(bench.table, i)->config.groups;
    bench_close(&bench);
    /* `all` is both batches: 1 warms up in `all` runs and has its first round, then 2; 3 * all, and all go on. */
    for (uint64_t n = all + 1; n <= 4 * all;
         n += n <= all + all / 2 || n > 3 * all ? 1 + all / 5 : 3 * all + 1 - n) {
        bench_open(&bench, tiny_chain(2, 0), &(struct counting_orders){.fail_run = n});
        expect_ok(run(&bench, &err), err);
        uint32_t kept = models_in(bench.table);
        assert_int_equal(kept, 2 * configs - 1);
        assert_int_equal(bench.remarks.count, 1);
        assert_non_null(strstr(bench.remarks.text, "counting: told to fail"));
        lost += 2 * configs - kept;
        bench_close(&bench);
    }
    assert_true(lost > 0);
}

static void other_values_are_tried_where_random_ones_fail(void **state)
{
    (void)state;
    struct bench bench;
    struct mly_error err = {0};
    bench_open(&bench, tiny_chain(2, 0), &(struct counting_orders){.refuses_random = true});
    expect_ok(run(&bench, &err), err);
    assert_string_equal(bench.remarks.text,
                        "the model fails for random values: it is measured with zeros\n");
    assert_int_equal(models_in(bench.table), 2 * configs);
    bench_close(&bench);

    bench_open(&bench, tiny_chain(2, 0),
               &(struct counting_orders){.refuses_random = true, .refuses_zeros = true});
    expect_ok(run(&bench, &err), err);
    assert_string_equal(bench.remarks.text,
                        "the model fails for random values: it is measured with ones\n");
    bench_close(&bench);

    bench_open(&bench, tiny_chain(2, 0),
               &(struct counting_orders){
                   .refuses_random = true, .refuses_zeros = true, .refuses_ones = true});
    expect_error(run(&bench, &err), MLY_E_BACKEND, err,
                 "random values, zeros and ones, which are all that is measured with: counting");
    bench_close(&bench);

    const struct mly_dim_binding given = {"W", 7};
    bench_open(&bench, rig_free_dims_model(),
               &(struct counting_orders){
                   .refuses_random = true, .refuses_zeros = true, .refuses_ones = true});
    bench.options.bindings = &given;
    bench.options.binding_count = 1;
    expect_error(run(&bench, &err), MLY_E_BACKEND, err,
                 "--dim NAME=N for what is 1 now (H): count");
    bench_close(&bench);
}

static void results_of_changing_shapes_are_measured_too(void **state)
{
    (void)state;
    struct bench bench;
    struct mly_error err = {0};
    bench_open(&bench, tiny_chain(2, 0), &(struct counting_orders){.changing_shapes = true});
    expect_ok(run(&bench, &err), err);
    assert_int_equal(models_in(bench.table), 2 * configs);
    bench_close(&bench);
}

/* --- limits --- */

static void batches_that_memory_would_not_hold_are_left_out(void **state)
{
    (void)state;
    struct bench bench;
    struct mly_error err = {0};
    /* 1 MB of input per sample, and as much of results. */
    const struct tiny_node nodes[] = {{"Relu", "a", "x", NULL, "y"}};
    const struct tiny_spec spec = {.nodes = nodes, .node_count = 1, .width = 250000};
    const uint32_t batches[] = {1, 1000};
    bench_open(&bench, tiny_model(&spec), NULL);
    bench.options.batches = batches;
    bench.options.memory_bytes = (uint64_t)8 * configs * mly_machine_info(machine)->cores * 1000000;
    expect_ok(run(&bench, &err), err);
    assert_int_equal(models_in(bench.table), configs);
    assert_int_equal(bench.remarks.count, 1);
    assert_non_null(strstr(bench.remarks.text, "batch 1000 is not measured with"));
    bench_close(&bench);

    bench_open(&bench, tiny_model(&spec), NULL);
    bench.options.memory_bytes = 1000000;
    expect_error(run(&bench, &err), MLY_E_LIMIT, err, "batch 1 needs about");
    assert_int_equal(counting_runs(), 0);
    bench_close(&bench);
}

/* With no time at all, the least batch is measured once, and the others are named. */
static void batches_that_time_does_not_allow_are_named(void **state)
{
    (void)state;
    struct bench bench;
    struct mly_error err = {0};
    bench_open(&bench, tiny_chain(2, 0), NULL);
    bench.options.batches = NULL;
    bench.options.budget_ns = 1;
    expect_ok(run(&bench, &err), err);
    assert_int_equal(models_in(bench.table), configs);
    assert_int_equal(bench.remarks.count, 1);
    assert_non_null(strstr(bench.remarks.text, "left out"));
    assert_non_null(strstr(bench.remarks.text, "2, 4, 8, 16 (more time: --budget"));
    bench_close(&bench);
}

static void sizes_of_dimensions_belong_to_the_identity(void **state)
{
    (void)state;
    struct bench bench;
    struct mly_error err = {0};
    struct mly_cost_identity identity;
    const struct mly_dim_binding given[] = {{"W", 7}, {"H", 3}};
    bench_open(&bench, rig_free_dims_model(), NULL);
    expect_ok(run(&bench, &err), err);
    assert_int_equal(bench.remarks.count, 1);
    assert_non_null(strstr(bench.remarks.text, "W, H"));
    /* Nothing to measure: nothing to say. */
    expect_ok(run(&bench, &err), err);
    assert_int_equal(bench.remarks.count, 1);
    bench.options.bindings = given;
    bench.options.binding_count = 2;
    bench.options.again = true;
    expect_ok(run(&bench, &err), err);
    assert_int_equal(bench.remarks.count, 1);
    expect_ok(mly_profile_identity(bench.model, machine, &bench.options, &identity, &err), err);
    assert_string_equal(identity.shapes, "H=3,W=7");
    bench_close(&bench);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_configuration_is_measured),
        cmocka_unit_test(nothing_is_measured_twice_unless_asked),
        cmocka_unit_test(only_what_is_missing_is_measured),
        cmocka_unit_test(a_fixed_batch_is_the_only_one),
        cmocka_unit_test(options_that_make_no_sense_are_refused),
        cmocka_unit_test(stopping_keeps_what_was_measured),
        cmocka_unit_test(small_batches_are_kept_first),
        cmocka_unit_test(entries_know_their_measuring),
        cmocka_unit_test(half_of_measuring_again_is_kept_beside_the_rest),
        cmocka_unit_test(measuring_again_forgets_what_was_there_when_it_is_done),
        cmocka_unit_test(a_run_in_progress_is_cancelled),
        cmocka_unit_test(a_configuration_that_cannot_be_opened_is_named),
        cmocka_unit_test(a_batch_that_fails_is_left_out),
        cmocka_unit_test(a_cell_that_fails_in_a_round_leaves),
        cmocka_unit_test(other_values_are_tried_where_random_ones_fail),
        cmocka_unit_test(results_of_changing_shapes_are_measured_too),
        cmocka_unit_test(batches_that_memory_would_not_hold_are_left_out),
        cmocka_unit_test(batches_that_time_does_not_allow_are_named),
        cmocka_unit_test(sizes_of_dimensions_belong_to_the_identity),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}

/* The parts of measuring: samples in bounded memory, configurations of a box, dimensions, inputs. */
#include "support/plan_fixture.h"
#include "support/profile_rig.h"

#include "profile/configs.h"
#include "profile/dims.h"
#include "profile/inputs.h"
#include "profile/memory.h"
#include "profile/samples.h"

/* --- samples --- */

static void few_samples_are_all_kept(void **state)
{
    (void)state;
    struct samples samples = {0};
    struct mly_error err = {0};
    for (int i = 0; i < 100; i++)
        expect_ok(samples_add(&samples, i, &err), err);
    struct mly_summary summary = samples_summarise(&samples);
    assert_int_equal(summary.count, 100);
    assert_int_equal(samples.added, 100);
    assert_true(summary.min >= 0 && summary.min <= 0 && summary.max >= 99 && summary.max <= 99);
    samples_fini(&samples);
    assert_null(samples.values);
}

/* Even when they are sorted in between, what is kept stands for all. */
static void many_samples_are_thinned_out_evenly(void **state)
{
    (void)state;
    struct samples samples = {0};
    struct mly_error err = {0};
    enum { COUNT = 100000 };
    for (int i = 0; i < COUNT; i++) {
        expect_ok(samples_add(&samples, i, &err), err);
        if (i % 7000 == 0)
            samples_summarise(&samples);
    }
    struct mly_summary summary = samples_summarise(&samples);
    assert_true(summary.count <= SAMPLES_MAX && summary.count >= SAMPLES_MAX / 2);
    assert_int_equal(samples.added, COUNT);
    assert_true(summary.median > 0.45 * COUNT && summary.median < 0.55 * COUNT);
    assert_true(summary.p10 > 0.07 * COUNT && summary.p10 < 0.13 * COUNT);
    assert_true(summary.p90 > 0.87 * COUNT && summary.p90 < 0.93 * COUNT);
    samples_fini(&samples);
}

/* 50000 runs of 1 ns and 5000 of 9 ns: a tenth is 9, however few of each were kept. */
static void merged_samples_weigh_what_they_were(void **state)
{
    (void)state;
    struct mly_error err = {0};
    for (int order = 0; order < 2; order++) {
        struct samples many = {0}, few = {0};
        for (int i = 0; i < 50000; i++)
            expect_ok(samples_add(&many, 1, &err), err);
        for (int i = 0; i < 5000; i++)
            expect_ok(samples_add(&few, 9, &err), err);
        struct samples *into = order ? &many : &few, *from = order ? &few : &many;
        expect_ok(samples_merge(into, from, &err), err);
        assert_int_equal(into->added, 55000);
        assert_true(into->count <= SAMPLES_MAX);
        size_t nines = 0;
        for (size_t i = 0; i < into->count; i++)
            nines += into->values[i] > 5;
        double share = (double)nines / (double)into->count;
        assert_true(share > 0.08 && share < 0.10);
        samples_fini(&many);
        samples_fini(&few);
    }
    struct samples a = {0}, b = {0};
    expect_ok(samples_merge(&a, &b, &err), err);
    assert_int_equal(a.count, 0);
    samples_fini(&a);
}

/* --- configurations --- */

static bool has(const struct profile_configs *configs, uint32_t groups, uint32_t threads, bool spin)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < configs->count; i++) {
        const struct mly_cost_config *config = &configs->items[i];
        assert_string_equal(config->backend, "b");
        assert_string_equal(config->processor_kind, "cpu");
        count += !config->runtime_defaults && config->groups == groups &&
                 config->threads == threads && config->spin == spin;
    }
    assert_true(count <= 1);
    return count == 1;
}

static void groupings_follow_the_box(void **state)
{
    (void)state;
    struct mly_error err = {0};
    struct profile_configs configs = {0};
    mly_machine *machine = tiny_machine("package:2 l3:3 core:2 pu:2"); /* 12 cores */
    expect_ok(profile_configs_init(machine, "b", NULL, 0, &configs, &err), err);
    assert_true(configs.items[0].runtime_defaults);
    /* 1, 2 (packages), 4, 6 (caches), 12: with one thread there is nothing to spin. */
    assert_int_equal(configs.count, 1 + 4 * 2 + 1);
    for (int spin = 0; spin < 2; spin++) {
        assert_true(has(&configs, 1, 12, spin != 0));
        assert_true(has(&configs, 2, 6, spin != 0));
        assert_true(has(&configs, 4, 3, spin != 0));
        assert_true(has(&configs, 6, 2, spin != 0));
    }
    assert_true(has(&configs, 12, 1, false));
    profile_configs_fini(&configs);

    /* 5 groups of 12 cores: the smallest has 2, and that is what all get. Once each. */
    const uint32_t given[] = {5, 5, 1};
    expect_ok(profile_configs_init(machine, "b", given, 3, &configs, &err), err);
    assert_int_equal(configs.count, 5);
    assert_true(has(&configs, 5, 2, false) && has(&configs, 5, 2, true));
    profile_configs_fini(&configs);

    const uint32_t wrong[] = {0, 13};
    for (int i = 0; i < 2; i++)
        expect_error(profile_configs_init(machine, "b", &wrong[i], 1, &configs, &err),
                     MLY_E_INVALID, err, "of 12 cores");
    uint32_t many[65];
    for (uint32_t i = 0; i < 65; i++)
        many[i] = 1;
    expect_error(profile_configs_init(machine, "b", many, 65, &configs, &err), MLY_E_LIMIT, err,
                 "65 ways");
    mly_machine_destroy(machine);
}

static void configurations_have_names(void **state)
{
    (void)state;
    char text[PROFILE_CONFIG_TEXT_BYTES];
    struct mly_cost_config config = {.groups = 2, .threads = 3, .spin = true};
    assert_string_equal(profile_config_text(&config, 8, text),
                        "2 groups x 3 threads, spinning, batch 8");
    config = (struct mly_cost_config){.groups = 1, .threads = 2};
    assert_string_equal(profile_config_text(&config, 0, text), "1 group x 2 threads, blocking");
    config = (struct mly_cost_config){.groups = 4, .threads = 1};
    assert_string_equal(profile_config_text(&config, 1, text), "4 groups x 1 thread, batch 1");
    config.runtime_defaults = true;
    assert_string_equal(profile_config_text(&config, 1, text), "the runtime's defaults, batch 1");
}

/* --- dimensions --- */

static void dimensions_without_a_size_are_one_and_named(void **state)
{
    (void)state;
    struct mly_error err = {0};
    struct profile_dims dims = {0};
    char text[256];
    mly_model *model = rig_free_dims_model();
    expect_ok(profile_dims_init(model, NULL, 0, &dims, &err), err);
    assert_int_equal(dims.count, 2);
    assert_true(profile_dims_remark(&dims, text, sizeof text));
    assert_non_null(strstr(text, "W, H"));
    expect_ok(profile_dims_text(&dims, text, sizeof text, &err), err);
    assert_string_equal(text, "");
    profile_dims_fini(&dims);

    const struct mly_dim_binding both[] = {{"W", 640}, {"H", 480}, {"W", 640}};
    expect_ok(profile_dims_init(model, both, 3, &dims, &err), err);
    assert_false(profile_dims_remark(&dims, text, sizeof text));
    expect_ok(profile_dims_text(&dims, text, sizeof text, &err), err);
    assert_string_equal(text, "H=480,W=640");
    expect_error(profile_dims_text(&dims, text, 11, &err), MLY_E_LIMIT, err, "10 bytes");
    profile_dims_fini(&dims);

    /* 1 is what it is without being said. */
    const struct mly_dim_binding one[] = {{"H", 1}};
    expect_ok(profile_dims_init(model, one, 1, &dims, &err), err);
    assert_true(profile_dims_remark(&dims, text, sizeof text));
    assert_null(strstr(text, "H,"));
    expect_ok(profile_dims_text(&dims, text, sizeof text, &err), err);
    assert_string_equal(text, "");
    profile_dims_fini(&dims);
    mly_model_destroy(model);
}

static void dimensions_that_do_not_fit_are_refused(void **state)
{
    (void)state;
    struct mly_error err = {0};
    struct profile_dims dims = {0};
    mly_model *model = rig_free_dims_model();
    static const struct {
        struct mly_dim_binding given[2];
        const char *says;
    } cases[] = {
        {{{"Q", 3}, {"W", 2}}, "no input has a dimension 'Q'; there are: W, H"},
        {{{"N", 3}, {"W", 2}}, "'N' is the batch"},
        {{{"W", 3}, {"W", 2}}, "two sizes, 3 and 2"},
        {{{"W", 3}, {"H", 0}}, "'H' = 0"},
        {{{"W", -3}, {"H", 1}}, "'W' = -3"},
        {{{"", 3}, {"H", 1}}, "no input has a dimension ''"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        expect_error(profile_dims_init(model, cases[i].given, 2, &dims, &err), MLY_E_INVALID, err,
                     cases[i].says);
    mly_model_destroy(model);
    model = tiny_chain(1, 3);
    expect_error(profile_dims_init(model, cases[0].given, 1, &dims, &err), MLY_E_INVALID, err,
                 "all are fixed");
    mly_model_destroy(model);
}

static void nameless_dimensions_are_called_by_their_place(void **state)
{
    (void)state;
    struct mly_error err = {0};
    struct profile_dims dims = {0};
    struct mly_tensor *inputs = NULL;
    char text[256];
    mly_model *model = rig_nameless_model();
    const struct mly_dim_binding given[] = {{"state[1]", 7}};
    expect_ok(profile_dims_init(model, given, 1, &dims, &err), err);
    assert_true(profile_dims_remark(&dims, text, sizeof text));
    assert_non_null(strstr(text, ": x[1]; and input 'any', whose rank is not known"));
    expect_ok(profile_dims_text(&dims, text, sizeof text, &err), err);
    assert_string_equal(text, "state[1]=7");
    expect_ok(profile_inputs_make(model, &dims, 1, FILL_ZEROS, &inputs, &err), err);
    assert_int_equal(inputs[0].shape.dims[1], 1);
    assert_int_equal(inputs[1].shape.dims[0], 2);
    assert_int_equal(inputs[1].shape.dims[1], 7);
    assert_int_equal(inputs[2].shape.rank, 0);
    profile_inputs_free(model, inputs);
    profile_dims_fini(&dims);
    const struct mly_dim_binding wrong[] = {{"state[0]", 7}};
    expect_error(profile_dims_init(model, wrong, 1, &dims, &err), MLY_E_INVALID, err,
                 "there are: x[1], state[1]");
    mly_model_destroy(model);
}

/* --- inputs --- */

static void inputs_have_the_shapes_that_were_given(void **state)
{
    (void)state;
    struct mly_error err = {0};
    struct profile_dims dims = {0};
    struct mly_tensor *inputs = NULL;
    const struct mly_dim_binding given[] = {{"H", 5}};
    mly_model *model = rig_free_dims_model();
    expect_ok(profile_dims_init(model, given, 1, &dims, &err), err);
    for (int fill = 0; fill < FILL_COUNT; fill++) {
        expect_ok(profile_inputs_make(model, &dims, 3, (enum profile_fill)fill, &inputs, &err),
                  err);
        assert_int_equal(inputs[0].shape.rank, 3);
        assert_int_equal(inputs[0].shape.dims[0], 3);
        assert_int_equal(inputs[0].shape.dims[1], 1);
        assert_int_equal(inputs[0].shape.dims[2], 5);
        const float *values = inputs[0].data;
        for (int i = 0; i < 15; i++)
            assert_true(fill == FILL_RANDOM ? values[i] >= -1 && values[i] <= 1
                                            : values[i] >= (float)(fill == FILL_ONES) &&
                                                  values[i] <= (float)(fill == FILL_ONES));
        profile_inputs_free(model, inputs);
    }
    profile_dims_fini(&dims);
    profile_inputs_free(model, NULL);
    mly_model_destroy(model);
}

static void memory_is_known_here(void **state)
{
    (void)state;
    double mine = private_memory_bytes();
    assert_true(mine > 0);
    assert_true(available_memory_bytes(0) > 0);
    assert_true(available_memory_bytes((uint64_t)mine + (1 << 24)) <= 1 << 25);
    assert_true(available_memory_bytes(1) > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(few_samples_are_all_kept),
        cmocka_unit_test(many_samples_are_thinned_out_evenly),
        cmocka_unit_test(merged_samples_weigh_what_they_were),
        cmocka_unit_test(groupings_follow_the_box),
        cmocka_unit_test(configurations_have_names),
        cmocka_unit_test(dimensions_without_a_size_are_one_and_named),
        cmocka_unit_test(dimensions_that_do_not_fit_are_refused),
        cmocka_unit_test(nameless_dimensions_are_called_by_their_place),
        cmocka_unit_test(inputs_have_the_shapes_that_were_given),
        cmocka_unit_test(memory_is_known_here),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* What `motley run` says of its processors: failures, those set aside, more than 64, times and energy. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "backend/backend.h"
#include "base/alloc.h"
#include "base/file.h"
#include "cli/cli.h"
#include "cli/run_processors.h"
#include "support/expect.h"

/* --- the report --- */

static struct mly_plan_processor plan_processors[] = {
    {.id = "cpu:0", .kind = "cpu"},
    {.id = "p100:0", .kind = "p100"},
    {.id = "edgetpu-pcie:0", .kind = "edgetpu-pcie"},
};
static const mly_plan plan = {.processors = plan_processors, .processor_count = 3};

/* What the function writes, in a static buffer. */
static const char *printed(const struct run_processors *processors, bool busy)
{
    static char text[4096];
    memset(text, 0, sizeof text);
    FILE *file = fmemopen(text, sizeof text - 1, "w");
    if (file) {
        run_times_print(processors, file);
        run_processors_print(processors, busy, file);
        fclose(file);
        return text;
    }
    fail_msg("no memory for a stream");
    return "";
}

static const char *as_json(const struct run_processors *processors)
{
    static char copy[4096];
    struct mly_json_writer json;
    struct mly_error err;
    char *text = NULL;
    size_t length = 0;
    mly_json_writer_init(&json, true);
    mly_json_begin_object(&json, NULL);
    run_times_put(processors, &json);
    run_processors_put(processors, &json);
    mly_json_end_object(&json);
    expect_ok(mly_json_finish(&json, &text, &length, &err), err);
    snprintf(copy, sizeof copy, "%s", text);
    mly_free(text);
    return copy;
}

static void processors_that_work_are_listed_where_that_means_something(void **state)
{
    (void)state;
    struct mly_processor_stats list[] = {{.id = "cpu:0", .tasks = 30, .busy_ns = 500}};
    struct run_processors p = {
        .plan = &plan, .list = list, .count = 1, .real = 1, .elapsed_ns = 1000};
    assert_string_equal(printed(&p, true), "cpu:0: 30 tasks, busy 50 %\n");
    assert_string_equal(printed(&p, false), "");
    assert_non_null(strstr(as_json(&p), "\"measured\": true"));
    assert_non_null(strstr(as_json(&p), "\"failures\": 0"));
    assert_non_null(strstr(as_json(&p), "\"set_aside\": false"));
    assert_null(strstr(as_json(&p), "retry_s"));
}

static void failures_and_who_is_set_aside_are_always_told(void **state)
{
    (void)state;
    struct mly_processor_stats list[] = {
        {.id = "cpu:0", .tasks = 3},
        {.id = "p100:0", .tasks = 4, .failures = 4, .set_aside = true, .retry_ns = 500000000}};
    struct run_processors p = {.plan = &plan,
                               .list = list,
                               .count = 2,
                               .real = 1,
                               .modelled = 1,
                               .tasks = 4,
                               .retried = 4,
                               .elapsed_ns = 1000};
    const char *text = printed(&p, false);
    assert_null(strstr(text, "cpu:0"));
    assert_non_null(strstr(text, "p100:0 (modelled): 4 tasks, 4 failed; set aside: it failed too "
                                 "often, and gets no work for another 0.5 s\n"));
    assert_non_null(strstr(text, "4 tasks that a processor failed were given to another one\n"));
    text = as_json(&p);
    assert_non_null(strstr(text, "\"retried_tasks\": 4"));
    assert_non_null(strstr(text, "\"failures\": 4"));
    assert_non_null(strstr(text, "\"set_aside\": true"));
    assert_non_null(strstr(text, "\"retry_s\": 0.5"));
}

static void times_are_called_what_they_are(void **state)
{
    (void)state;
    struct mly_processor_stats list[] = {{.id = "p100:0", .tasks = 7}};
    struct run_processors p = {.plan = &plan, .list = list, .count = 1, .modelled = 1, .tasks = 7};
    assert_true(run_times_are_modelled(&p));
    assert_non_null(strstr(printed(&p, false), "(modelled: tasks took as long as models "));
    assert_non_null(strstr(as_json(&p), "\"times\": \"modelled\""));
    p.computed = true;
    assert_non_null(strstr(printed(&p, false), "; this box's CPU computed their results mean"));
    p.real = 1;
    assert_non_null(strstr(printed(&p, false), "(measured and modelled: "));
    list[0].slowed = p.slowed = 5;
    assert_false(run_times_are_modelled(&p));
    assert_non_null(strstr(printed(&p, false), "(not modelled: 5 of 7 tasks "));
    assert_non_null(strstr(printed(&p, true), ", 5 slowed by computing results"));
    const char *text = as_json(&p);
    assert_non_null(strstr(text, "\"modelled\": false"));
    assert_non_null(strstr(text, "\"times\": \"of computing results\""));
    assert_non_null(strstr(text, "\"slowed_tasks\": 5"));
}

static void energy_of_what_is_not_here_is_that_of_its_model(void **state)
{
    (void)state;
    struct mly_processor_stats list[] = {{.id = "cpu:0", .tasks = 1},
                                         {.id = "p100:0", .tasks = 7, .modelled_energy_j = 3},
                                         {.id = "edgetpu-pcie:0"}};
    struct run_processors p = {.plan = &plan,
                               .list = list,
                               .count = 3,
                               .real = 1,
                               .modelled = 2,
                               .elapsed_ns = 1000000000};
    struct run_modelled_energy energy = run_processors_energy(&p);
    assert_int_equal(energy.processors, 2);
    assert_true(energy.known && energy.idle_included && !energy.all);
    assert_true(energy.energy_j > 3); /* both are idle for a second */
    p.slowed = 1;                     /* then how long they would be is not known */
    energy = run_processors_energy(&p);
    assert_true(energy.known && !energy.idle_included && energy.energy_j == 3);
    p = (struct run_processors){.plan = &plan, .list = list, .count = 1, .real = 1};
    assert_int_equal(run_processors_energy(&p).processors, 0);
}

static void results_are_computed_where_somebody_reads_them(void **state)
{
    (void)state;
    uint32_t cpu[] = {0}, gpu[] = {1}, both[] = {0, 1};
    struct mly_plan_segment one[] = {{.processors = both, .processor_count = 2}};
    struct mly_plan_segment ends_here[] = {{.processors = gpu, .processor_count = 1},
                                           {.processors = cpu, .processor_count = 1}};
    struct mly_plan_segment begins_here[] = {{.processors = cpu, .processor_count = 1},
                                             {.processors = gpu, .processor_count = 1}};
    struct mly_plan_member member = {.segments = ends_here, .segment_count = 2};
    mly_plan p = plan;
    p.segments = one;
    p.segment_count = 1;
    assert_true(run_is_modelled(&p));
    assert_int_equal(run_results_mode(&p, true), MLY_RESULTS_ALWAYS);
    assert_int_equal(run_results_mode(&p, false), MLY_RESULTS_NEVER);
    p.family = &member;
    p.family_count = 1;
    assert_int_equal(run_results_mode(&p, false), MLY_RESULTS_ALWAYS);
    p.family_count = 0;
    p.segment_count = 2;
    p.segments = ends_here;
    assert_int_equal(run_results_mode(&p, false), MLY_RESULTS_ALWAYS);
    p.segments = begins_here;
    assert_int_equal(run_results_mode(&p, false), MLY_RESULTS_NEVER);
}

/* --- the command --- */

static char *directory;
static struct mly_backend_ops failing_ops;
static char failing_id[80]; /* as JSON has it */

static enum mly_status always_fail(mly_session *session, const struct mly_tensor *inputs,
                                   struct mly_tensor *outputs, struct mly_error *err)
{
    (void)session;
    (void)inputs;
    (void)outputs;
    return mly_error_set(err, MLY_E_BACKEND, "its fan stands still");
}

/* A command line with its standard output; the text is the caller's. */
static char *ran(int expected_status, const char *const *words)
{
    char *argv[24];
    int argc = 0;
    struct mly_error err;
    char *text = NULL;
    size_t length = 0;
    for (; words[argc]; argc++)
        argv[argc] = (char *)(uintptr_t)words[argc];
    argv[argc] = NULL;
    fflush(stdout);
    int before = dup(STDOUT_FILENO);
    FILE *file = freopen("out", "w", stdout);
    assert_non_null(file);
    int status = cli_main(argc, argv);
    fflush(stdout);
    dup2(before, STDOUT_FILENO);
    close(before);
    assert_int_equal(status, expected_status);
    expect_ok(mly_file_read("out", 1 << 20, &text, &length, &err), err);
    return text;
}

#define RAN(status, ...) ran(status, (const char *const[]){"motley", __VA_ARGS__, NULL})

/* This box's cores, run by the back end that fails. */
static void set_failing(const mly_machine *machine, struct mly_plan_processor *p)
{
    struct mly_processor_list whole = {0};
    struct mly_error err;
    expect_ok(mly_machine_group(machine, MLY_GROUP_WHOLE, 1, false, &whole, &err), err);
    snprintf(p->id, sizeof p->id, "%s", whole.items[0].id);
    snprintf(p->kind, sizeof p->kind, "cpu");
    snprintf(p->backend, sizeof p->backend, "failing");
    p->cpu_count = whole.items[0].cpu_count;
    p->cpus = mly_alloc_array(p->cpu_count, sizeof *p->cpus);
    assert_non_null(p->cpus);
    memcpy(p->cpus, whole.items[0].cpus, p->cpu_count * sizeof *p->cpus);
    snprintf(failing_id, sizeof failing_id, "\"%s\"", p->id);
    mly_processor_list_fini(&whole);
}

/* A plan of the whole model on so many Edge TPUs, or this box's cores as the last one. */
static void save_plan(const char *path, uint32_t count, bool failing)
{
    struct mly_error err;
    mly_model *model = NULL;
    mly_machine *machine = NULL;
    mly_plan *made = NULL;
    expect_ok(mly_model_load("cnn1.onnx", NULL, &model, &err), err);
    expect_ok(mly_machine_create(NULL, &machine, &err), err);
    expect_ok(mly_plan_create(model, machine, &made, &err), err);
    made->processors = mly_alloc_array(count, sizeof *made->processors);
    made->segments = mly_alloc(sizeof *made->segments);
    made->ladder = mly_alloc(sizeof *made->ladder);
    assert_true(made->processors && made->segments && made->ladder);
    made->processor_count = count;
    made->segment_count = made->ladder_count = made->ladder[0] = made->batch = 1;
    made->in_flight = 2 * count;
    snprintf(made->planner, sizeof made->planner, "test");
    struct mly_plan_segment *segment = made->segments;
    segment->name = mly_strdup("whole");
    segment->processors = mly_alloc_array(count, sizeof *segment->processors);
    assert_true(segment->name && segment->processors);
    segment->processor_count = count;
    for (uint32_t i = 0; i < count; i++) {
        struct mly_plan_processor *p = &made->processors[i];
        snprintf(p->id, sizeof p->id, "edgetpu-pcie:%u", i);
        snprintf(p->kind, sizeof p->kind, "edgetpu-pcie");
        snprintf(p->backend, sizeof p->backend, "modelled");
        p->threads = 1;
        if (failing && i + 1 == count)
            set_failing(machine, p);
        segment->processors[i] = i;
    }
    expect_ok(mly_plan_save(made, path, &err), err);
    mly_plan_destroy(made);
    mly_machine_destroy(machine);
    mly_model_destroy(model);
}

/* After the first place of `start` the number that follows `key`. */
static double number_after(const char *text, const char *start, const char *key)
{
    const char *at = strstr(text, start);
    at = at ? strstr(at, key) : NULL;
    if (at)
        return strtod(at + strlen(key), NULL);
    fail_msg("no %s after %s in %s", key, start, text);
    return 0;
}

static void a_failing_processor_shows(void **state)
{
    (void)state;
    save_plan("failing.plan.json", 2, true);
    char *text = RAN(0, "run", "failing.plan.json", "--policy", "eager", "--count", "50", "--json");
    double failures = number_after(text, failing_id, "\"failures\": ");
    assert_true(failures >= 1);
    assert_true(number_after(text, failing_id, "\"tasks\": ") == failures);
    assert_true(number_after(text, "{", "\"retried_tasks\": ") == failures);
    assert_true(number_after(text, "\"edgetpu-pcie:0\"", "\"failures\": ") == 0);
    assert_true(number_after(text, "\"edgetpu-pcie:0\"", "\"tasks\": ") == 50);
    assert_true(number_after(text, "{", "\"batches\": ") == 50);
    mly_free(text);
    text = RAN(0, "run", "failing.plan.json", "--policy", "eager", "--count", "8");
    assert_non_null(strstr(text, " failed"));
    assert_null(strstr(text, "edgetpu-pcie:0: ")); /* too few batches to say more */
    assert_non_null(strstr(text, " that a processor failed "));
    mly_free(text);
}

static void all_of_many_processors_are_told(void **state)
{
    (void)state;
    save_plan("many.plan.json", 70, false);
    char *text = RAN(0, "run", "many.plan.json", "--count", "140", "--json");
    double tasks = 0;
    const char *at = text;
    uint32_t count = 0;
    while ((at = strstr(at, "\"id\": \"edgetpu-pcie:"))) {
        tasks += number_after(at, "edgetpu", "\"tasks\": ");
        count++;
        at++;
    }
    assert_int_equal(count, 70);
    assert_true(tasks == 140);
    mly_free(text);
}

static int set_up(void **state)
{
    struct mly_error err;
    (void)state;
    unsetenv("MOTLEY_DEVICES");
    directory = scratch_create();
    assert_int_equal(chdir(directory), 0);
    failing_ops = *mly_backend_find("ort");
    failing_ops.name = "failing";
    failing_ops.run = always_fail;
    expect_ok(mly_backend_register(&failing_ops), err);
    mly_free(RAN(0, "zoo", "cnn1", "-o", "cnn1.onnx", "-q"));
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    assert_int_equal(chdir("/"), 0);
    scratch_remove(directory);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(processors_that_work_are_listed_where_that_means_something),
        cmocka_unit_test(failures_and_who_is_set_aside_are_always_told),
        cmocka_unit_test(times_are_called_what_they_are),
        cmocka_unit_test(energy_of_what_is_not_here_is_that_of_its_model),
        cmocka_unit_test(results_are_computed_where_somebody_reads_them),
        cmocka_unit_test(a_failing_processor_shows),
        cmocka_unit_test(all_of_many_processors_are_told),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}

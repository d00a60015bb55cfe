/* Plan files: nothing is lost on the way, everything wrong is named by its path. */
#include <string.h>

#include "base/alloc.h"
#include "base/file.h"
#include "support/expect.h"
#include "support/json_edit.h"
#include "support/plan_fixture.h"
#include "support/test.h"

static mly_model *model;
static mly_machine *machine;

static int set_up(void **state)
{
    (void)state;
    model = tiny_chain(20, 0);
    machine = tiny_machine("pack:2 core:4 pu:1");
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    mly_model_destroy(model);
    mly_machine_destroy(machine);
    return 0;
}

static void set_nodes(struct mly_plan_segment *segment, const uint32_t *nodes, uint32_t count)
{
    mly_free(segment->nodes);
    segment->nodes = mly_alloc_array(count, sizeof *nodes);
    assert_non_null(segment->nodes);
    memcpy(segment->nodes, nodes, count * sizeof *nodes);
    segment->node_count = count;
}

/* A time for each processor, and a second batch size for the last one. */
static void add_times(struct mly_plan_segment *segment)
{
    const uint32_t count = segment->processor_count;
    segment->times = mly_alloc_array((size_t)count + 1, sizeof *segment->times);
    assert_non_null(segment->times);
    segment->time_count = count + 1;
    for (uint32_t i = 0; i <= count; i++)
        segment->times[i] =
            (struct mly_plan_time){.processor = segment->processors[i < count ? i : count - 1],
                                   .batch = i < count ? 4 : 8,
                                   .ns = 1e6 / 3 + i,
                                   .basis = (enum mly_plan_basis)(i % MLY_PLAN_BASIS_COUNT)};
}

/* A family of two: the whole model on one processor, and a split of the batch over two. */
static void add_family(mly_plan *plan)
{
    plan->family = mly_alloc_array(2, sizeof *plan->family);
    assert_non_null(plan->family);
    plan->family_count = 2;
    for (uint32_t i = 0; i < 2; i++) {
        struct mly_plan_member *m = &plan->family[i];
        m->max_rate_per_s = i ? 1e3 / 3 : 12.5;
        m->batch = 4;
        m->in_flight = 2 + i;
        m->ladder = mly_alloc_array(2, sizeof *m->ladder);
        m->segments = mly_alloc_array(1, sizeof *m->segments);
        assert_true(m->ladder && m->segments);
        m->ladder[0] = 1;
        m->ladder[1] = 4;
        m->ladder_count = 2;
        m->segment_count = 1;
        struct mly_plan_segment *s = &m->segments[0];
        s->name = mly_strfmt("f%u", i);
        s->processor_count = 1 + i;
        s->processors = mly_alloc_array(2, sizeof *s->processors);
        s->shares = i ? mly_alloc_array(2, sizeof *s->shares) : NULL;
        assert_true(s->name && s->processors && (s->shares || !i));
        if (i) {
            s->processors[1] = 2;
            s->shares[0] = 3;
            s->shares[1] = 1;
        } else {
            add_times(s);
        }
    }
    plan->family[1].prediction = plan->prediction;
}

/* A plan with something in every field. */
static mly_plan *full_plan(void)
{
    static const uint32_t gaps[] = {0, 1, 2, 5, 7, 8, 19}, rest[] = {3, 4, 6, 9, 10, 11, 12, 18};
    mly_plan *plan = tiny_plan(model, machine, 3, 4);
    const uint32_t cuts[] = {10, 20};
    tiny_cut(plan, cuts, 2);
    set_nodes(&plan->segments[0], gaps, sizeof gaps / sizeof *gaps);
    set_nodes(&plan->segments[1], rest, sizeof rest / sizeof *rest);
    add_times(&plan->segments[0]);
    plan->objective = MLY_OBJECTIVE_LATENCY;
    snprintf(plan->shapes, sizeof plan->shapes, "height=480,width=640");
    plan->in_flight = 7;
    plan->keep_overridable = true;
    assert_string_equal(plan->host_cpus, "cpu:0-7");
    plan->processors[1].spin = true;
    plan->processors[2].runtime_defaults = true;
    plan->processors[2].pin = false;
    plan->prediction = (struct mly_prediction){.known = true,
                                               .measured = true,
                                               .throughput_per_s = 61.234567890123456,
                                               .latency_ns = 1.0 / 3,
                                               .spread = 0.1,
                                               .memory_bytes = 123456789,
                                               .energy_j = 0.1 + 0.2,
                                               .loaded_latency_ns = 1e9 / 7};
    plan->rate_per_s = 12.5;
    plan->note = mly_strdup("as good as it gets");
    add_family(plan);
    plan->why = mly_strdup("because of \"größe\"\n");
    plan->candidates = mly_alloc_array(2, sizeof *plan->candidates);
    plan->candidate_count = 2;
    for (uint32_t i = 0; i < 2; i++) {
        plan->candidates[i].description = mly_strfmt("candidate %u", i);
        snprintf(plan->candidates[i].planner, sizeof plan->candidates[i].planner, "groups");
    }
    plan->candidates[0].prediction = plan->prediction;
    plan->candidates[0].prediction.measured = false;
    plan->candidates[0].prediction.modelled = true;
    plan->candidates[0].chosen = true;
    plan->candidates[1].baseline = true;
    return plan;
}

static void assert_predictions_equal(const struct mly_prediction *a, const struct mly_prediction *b)
{
    assert_int_equal(a->known, b->known);
    assert_int_equal(a->measured, b->measured);
    assert_int_equal(a->modelled, b->modelled);
    assert_true(a->throughput_per_s == b->throughput_per_s && a->latency_ns == b->latency_ns &&
                a->spread == b->spread && a->memory_bytes == b->memory_bytes &&
                a->energy_j == b->energy_j && a->loaded_latency_ns == b->loaded_latency_ns);
}

static void assert_numbers_equal(const uint32_t *a, uint32_t a_count, const uint32_t *b,
                                 uint32_t b_count)
{
    assert_int_equal(a_count, b_count);
    for (uint32_t i = 0; i < a_count; i++)
        assert_int_equal(a[i], b[i]);
}

static void assert_segments_equal(const struct mly_plan_segment *a, uint32_t a_count,
                                  const struct mly_plan_segment *b, uint32_t b_count)
{
    assert_int_equal(a_count, b_count);
    for (uint32_t i = 0; i < a_count; i++) {
        const struct mly_plan_segment *x = &a[i], *y = &b[i];
        assert_string_equal(x->name, y->name);
        assert_numbers_equal(x->nodes, x->node_count, y->nodes, y->node_count);
        assert_numbers_equal(x->processors, x->processor_count, y->processors, y->processor_count);
        assert_int_equal(!x->shares, !y->shares);
        if (x->shares)
            assert_numbers_equal(x->shares, x->processor_count, y->shares, y->processor_count);
        assert_int_equal(x->time_count, y->time_count);
        for (uint32_t k = 0; k < x->time_count; k++) {
            assert_int_equal(x->times[k].processor, y->times[k].processor);
            assert_int_equal(x->times[k].batch, y->times[k].batch);
            assert_int_equal(x->times[k].basis, y->times[k].basis);
            assert_true(x->times[k].ns == y->times[k].ns);
        }
    }
}

static void assert_plans_equal(const mly_plan *a, const mly_plan *b)
{
    assert_string_equal(a->model_path, b->model_path);
    assert_string_equal(a->model_name, b->model_name);
    assert_string_equal(a->model_hash, b->model_hash);
    assert_int_equal(a->keep_overridable, b->keep_overridable);
    assert_string_equal(a->host_id, b->host_id);
    assert_string_equal(a->host_cpus, b->host_cpus);
    assert_string_equal(a->runtime, b->runtime);
    assert_string_equal(a->shapes, b->shapes);
    assert_string_equal(a->planner, b->planner);
    assert_int_equal(a->objective, b->objective);
    assert_true(a->rate_per_s == b->rate_per_s);
    assert_int_equal(!a->note, !b->note);
    if (a->note)
        assert_string_equal(a->note, b->note);
    assert_int_equal(a->batch, b->batch);
    assert_numbers_equal(a->ladder, a->ladder_count, b->ladder, b->ladder_count);
    assert_int_equal(a->in_flight, b->in_flight);
    assert_predictions_equal(&a->prediction, &b->prediction);
    assert_int_equal(!a->why, !b->why);
    if (a->why)
        assert_string_equal(a->why, b->why);
    assert_int_equal(a->processor_count, b->processor_count);
    for (uint32_t i = 0; i < a->processor_count; i++) {
        const struct mly_plan_processor *x = &a->processors[i], *y = &b->processors[i];
        assert_string_equal(x->id, y->id);
        assert_string_equal(x->kind, y->kind);
        assert_string_equal(x->backend, y->backend);
        assert_numbers_equal(x->cpus, x->cpu_count, y->cpus, y->cpu_count);
        assert_int_equal(x->threads, y->threads);
        assert_int_equal(x->spin, y->spin);
        assert_int_equal(x->pin, y->pin);
        assert_int_equal(x->runtime_defaults, y->runtime_defaults);
    }
    assert_segments_equal(a->segments, a->segment_count, b->segments, b->segment_count);
    assert_int_equal(a->family_count, b->family_count);
    for (uint32_t i = 0; i < a->family_count; i++) {
        const struct mly_plan_member *x = &a->family[i], *y = &b->family[i];
        assert_true(x->max_rate_per_s == y->max_rate_per_s);
        assert_int_equal(x->batch, y->batch);
        assert_int_equal(x->in_flight, y->in_flight);
        assert_numbers_equal(x->ladder, x->ladder_count, y->ladder, y->ladder_count);
        assert_segments_equal(x->segments, x->segment_count, y->segments, y->segment_count);
        assert_predictions_equal(&x->prediction, &y->prediction);
    }
    assert_int_equal(a->candidate_count, b->candidate_count);
    for (uint32_t i = 0; i < a->candidate_count; i++) {
        const struct mly_plan_candidate *x = &a->candidates[i], *y = &b->candidates[i];
        assert_string_equal(x->description, y->description);
        assert_string_equal(x->planner, y->planner);
        assert_int_equal(x->chosen, y->chosen);
        assert_int_equal(x->baseline, y->baseline);
        assert_predictions_equal(&x->prediction, &y->prediction);
    }
}

static char *format(const mly_plan *plan, size_t *length)
{
    struct mly_error err;
    char *text = NULL;
    expect_ok(mly_plan_format(plan, &text, length, &err), err);
    return text;
}

static mly_plan *parse(const char *text)
{
    struct mly_error err;
    mly_plan *plan = NULL;
    expect_ok(mly_plan_parse("plan.json", text, strlen(text), &plan, &err), err);
    return plan;
}

static void a_round_trip_and_a_copy_lose_nothing(void **state)
{
    (void)state;
    mly_plan *plans[] = {full_plan(), tiny_plan(model, machine, 1, 1),
                         tiny_plan(model, machine, 8, 16)};
    for (size_t i = 0; i < sizeof plans / sizeof *plans; i++) {
        struct mly_error err;
        size_t length;
        char *text = format(plans[i], &length), *again;
        assert_int_equal(strlen(text), length);
        mly_plan *back = parse(text), *copy = NULL;
        assert_plans_equal(plans[i], back);
        expect_ok(mly_plan_dup(plans[i], &copy, &err), err);
        mly_plan_destroy(plans[i]);
        assert_plans_equal(back, copy);
        again = format(copy, &length);
        assert_string_equal(text, again);
        mly_free(text);
        mly_free(again);
        mly_plan_destroy(back);
        mly_plan_destroy(copy);
    }
    mly_plan_destroy(NULL);
}

static void nodes_are_written_as_ranges(void **state)
{
    (void)state;
    mly_plan *plan = full_plan();
    size_t length;
    char *text = format(plan, &length), *plain = mly_alloc(length + 1);
    size_t k = 0;
    for (size_t i = 0; i < length; i++)
        if (text[i] != ' ' && text[i] != '\n')
            plain[k++] = text[i];
    assert_non_null(strstr(plain, "\"nodes\":[[0,2],[5,5],[7,8],[19,19]]"));
    mly_free(plain);
    mly_free(text);
    mly_plan_destroy(plan);

    plan = tiny_plan(model, machine, 2, 1);
    text = format(plan, &length);
    assert_non_null(strstr(text, "\"nodes\": \"all\""));
    mly_free(text);
    mly_plan_destroy(plan);
}

static void a_saved_plan_is_loaded_again(void **state)
{
    (void)state;
    char *folder = scratch_create();
    const char *path = scratch_path(folder, "tiny.plan.json");
    struct mly_error err;
    mly_plan *plan = full_plan(), *back = NULL;
    expect_ok(mly_plan_save(plan, path, &err), err);
    expect_ok(mly_plan_load(path, &back, &err), err);
    assert_plans_equal(plan, back);
    assert_string_equal(mly_plan_model_path(back), mly_model_path(model));
    assert_int_equal(mly_plan_batch(back), 4);
    assert_true(mly_plan_throughput_per_s(back) == plan->prediction.throughput_per_s);
    assert_true(mly_plan_latency_ns(back) == plan->prediction.latency_ns);
    back->prediction.known = false;
    assert_true(mly_plan_throughput_per_s(back) == 0 && mly_plan_latency_ns(back) == 0);
    mly_plan_destroy(back);
    back = NULL;
    expect_error(mly_plan_load(scratch_path(folder, "none.json"), &back, &err), MLY_E_NOT_FOUND,
                 err, "none.json");
    expect_error(mly_plan_save(plan, scratch_path(folder, "no/where.json"), &err), MLY_E_NOT_FOUND,
                 err, "where.json");
    assert_null(back);
    mly_plan_destroy(plan);
    scratch_remove(folder);
}

/* A short plan as a person might write it. */
static const char by_hand[] =
    "{\"motley_plan\": 1,\n"
    " \"model\": {\"path\": \"m.onnx\", \"hash\": "
    "\"0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef\"},\n"
    " \"host\": \"h\",\n \"batch\": 2,\n"
    " \"processors\": [{\"id\": \"cpu:0-1\", \"kind\": \"cpu\", \"cpus\": [0, 1]},\n"
    "  {\"id\": \"cuda:0\", \"kind\": \"cuda\"}],\n"
    " \"segments\": [{\"nodes\": [[0, 17]], \"processors\": [0]},\n"
    "  {\"nodes\": [[18, 19]], \"processors\": [0, 1]}]}";

static void what_is_left_out_has_a_default(void **state)
{
    (void)state;
    mly_plan *plan = parse(by_hand);
    assert_string_equal(plan->processors[0].backend, "ort");
    assert_int_equal(plan->processors[0].threads, 2);
    assert_true(plan->processors[0].pin);
    assert_false(plan->processors[0].spin);
    assert_int_equal(plan->processors[1].cpu_count, 0);
    assert_int_equal(plan->processors[1].threads, 1);
    assert_false(plan->processors[1].pin);
    assert_int_equal(plan->objective, MLY_OBJECTIVE_THROUGHPUT);
    assert_int_equal(plan->ladder_count, 1);
    assert_int_equal(plan->ladder[0], 2);
    assert_int_equal(plan->in_flight, 4);
    assert_string_equal(plan->segments[1].name, "s1");
    assert_false(plan->prediction.known);
    assert_null(plan->why);
    mly_plan_destroy(plan);
}

static void expect_refused(const char *text, size_t length, enum mly_status wanted,
                           const char *part)
{
    mly_plan *plan = NULL;
    struct mly_error err = {0};
    enum mly_status status = mly_plan_parse("plan.json", text, length, &plan, &err);
    if (status != wanted || plan || !strstr(err.message, part) || !strstr(err.message, "plan.json"))
        fail_msg("expected %s about '%s', got %s: %s, for %s", mly_status_name(wanted), part,
                 mly_status_name(status), err.message, text);
}

static void every_damaged_place_is_named(void **state)
{
    (void)state;
    static const enum json_edit edits[] = {JSON_EDIT_TYPE, JSON_EDIT_ADD, JSON_EDIT_REPEAT};
    mly_plan *plan = full_plan();
    size_t length;
    char *text = format(plan, &length);
    for (size_t e = 0; e < sizeof edits / sizeof *edits; e++) {
        char *wrong, where[96];
        size_t wrong_length, index = 0;
        while (json_edit(text, length, edits[e], index++, &wrong, &wrong_length, where)) {
            expect_refused(wrong, wrong_length, MLY_E_FORMAT, where);
            mly_free(wrong);
        }
        assert_true(index > 5);
    }
    mly_free(text);
    mly_plan_destroy(plan);
}

static void what_is_needed_is_missed_by_name(void **state)
{
    (void)state;
    static const char *const needed[] = {
        "motley_plan", "model",    "path",     "hash",         "host",           "batch",
        "processors",  "id",       "kind",     "nodes",        "segments",       "spread",
        "description", "measured", "modelled", "memory_bytes", "max_rate_per_s", "processor",
        "ns",          "basis",    NULL};
    mly_plan *plan = full_plan();
    size_t length, removed = 0;
    char *text = format(plan, &length), *wrong, where[96];
    for (size_t index = 0, wrong_length;
         json_edit(text, length, JSON_EDIT_REMOVE, index, &wrong, &wrong_length, where); index++) {
        struct mly_error err = {0};
        mly_plan *back = NULL;
        const char *name = strrchr(where, '.');
        name = name ? name + 1 : where;
        const char *const *known = needed;
        while (*known && strcmp(*known, name))
            known++;
        enum mly_status status = mly_plan_parse("plan.json", wrong, wrong_length, &back, &err);
        if (*known ? status != MLY_E_FORMAT || !strstr(err.message, where)
                   : status && !strstr(err.message, where))
            fail_msg("without %s: %s: %s", where, mly_status_name(status), err.message);
        removed += *known != NULL;
        mly_plan_destroy(back);
        mly_free(wrong);
    }
    assert_true(removed > 20);
    mly_free(text);
    mly_plan_destroy(plan);
}

/* The second segment with a time. */
#define TIME(text) "[0, 1], \"times\": [" text "]}]"

/* A member of a family up to that rate. */
#define ONE_WAY(rate)                                                                              \
    "{\"max_rate_per_s\": " rate                                                                   \
    ", \"batch\": 1, \"segments\": [{\"nodes\": \"all\", \"processors\": [0]}]}"

static void every_value_out_of_its_range_is_named(void **state)
{
    (void)state;
    static const struct {
        const char *from, *to, *where;
        enum mly_status status;
    } cases[] = {
        {"_plan\": 1", "_plan\": 2", "motley_plan: written by a newer motley", MLY_E_UNSUPPORTED},
        {"_plan\": 1", "_plan\": 0", "motley_plan", MLY_E_FORMAT},
        {"motley_plan", "motley_costs", "motley_plan", MLY_E_FORMAT},
        {"m.onnx", "", "model.path", MLY_E_FORMAT},
        {"0123456789abcdef", "0123456789ABCDEF", "model.hash", MLY_E_FORMAT},
        {"\"0123456789abcdef", "\"123456789abcdef", "model.hash", MLY_E_FORMAT},
        {"\"0123456789abcdef", "\"00123456789abcdef", "model.hash", MLY_E_FORMAT},
        {"\"h\"", "\"\"", "host", MLY_E_FORMAT},
        {"\"batch\": 2", "\"batch\": 0", "batch", MLY_E_FORMAT},
        {"\"batch\": 2", "\"batch\": 1000001", "batch", MLY_E_FORMAT},
        {"\"batch\": 2", "\"batch\": 2, \"ladder\": []", "ladder", MLY_E_FORMAT},
        {"\"batch\": 2", "\"batch\": 2, \"ladder\": [1, 4]", "ladder", MLY_E_FORMAT},
        {"\"batch\": 2", "\"batch\": 2, \"ladder\": [2, 1]", "ladder[1]", MLY_E_FORMAT},
        {"\"batch\": 2", "\"batch\": 2, \"ladder\": [0, 2]", "ladder[0]", MLY_E_FORMAT},
        {"\"batch\": 2", "\"batch\": 2, \"in_flight\": 0", "in_flight", MLY_E_FORMAT},
        {"\"batch\": 2", "\"batch\": 2, \"host_cpus\": \"p100\"", "host_cpus", MLY_E_FORMAT},
        {"\"batch\": 2", "\"batch\": 2, \"host_cpus\": \"cpu:\"", "host_cpus", MLY_E_FORMAT},
        {"\"batch\": 2", "\"batch\": 2, \"host_cpus\": \"cpu:0,p100\"", "host_cpus", MLY_E_FORMAT},
        {"\"batch\": 2", "\"batch\": 2, \"shapes\": \"height\"", "shapes", MLY_E_FORMAT},
        {"\"batch\": 2", "\"batch\": 2, \"shapes\": \"a=1,b=0\"", "shapes", MLY_E_FORMAT},
        {"\"batch\": 2", "\"batch\": 2, \"objective\": \"speed\"", "objective", MLY_E_FORMAT},
        {"\"batch\": 2", "\"batch\": 2, \"rate_per_s\": -1", "rate_per_s", MLY_E_FORMAT},
        {"\"batch\": 2", "\"batch\": 2, \"note\": 7", "note", MLY_E_FORMAT},
        {"\"batch\": 2", "\"batch\": 2, \"planner\": \"0123456789abcdef\"", "planner",
         MLY_E_FORMAT},
        {"\"batch\": 2",
         "\"batch\": 2, \"prediction\": {\"measured\": true, \"modelled\": false, "
         "\"throughput_per_s\": -1, \"latency_ns\": 1, \"spread\": 0, \"memory_bytes\": 0}",
         "prediction.throughput_per_s", MLY_E_FORMAT},
        {"\"batch\": 2", "\"batch\": 2, \"candidates\": [{}]", "candidates[0].description",
         MLY_E_FORMAT},
        {"\"cpu:0-1\"", "\"\"", "processors[0].id", MLY_E_FORMAT},
        {"\"cuda\"", "\"\"", "processors[1].kind", MLY_E_FORMAT},
        {"\"cuda\"", "\"cuda\", \"backend\": \"\"", "processors[1].backend", MLY_E_FORMAT},
        {"\"cuda\"", "\"cuda\", \"threads\": -1", "processors[1].threads", MLY_E_FORMAT},
        {"[0, 1]}", "[0, -1]}", "processors[0].cpus[1]", MLY_E_FORMAT},
        {"[0, 1]}", "5}", "processors[0].cpus", MLY_E_FORMAT},
        {"[[0, 17]]", "\"everything\"", "segments[0].nodes", MLY_E_FORMAT},
        {"[[0, 17]]", "\"all\"", "segments[0].nodes", MLY_E_FORMAT},
        {"[[0, 17]]", "[]", "segments[0].nodes", MLY_E_FORMAT},
        {"[[0, 17]]", "[0, 17]", "segments[0].nodes[0]", MLY_E_FORMAT},
        {"[[0, 17]]", "[[0, 17, 18]]", "segments[0].nodes[0]", MLY_E_FORMAT},
        {"[[0, 17]]", "[[17, 0]]", "segments[0].nodes[0]", MLY_E_FORMAT},
        {"[[0, 17]]", "[[-1, 17]]", "segments[0].nodes[0][0]", MLY_E_FORMAT},
        {"[[0, 17]]", "[[0, 4194304]]", "segments[0].nodes[0][1]", MLY_E_FORMAT},
        {"[[0, 17]]", "[[0, 4194303]]", "segments[1].nodes[0]", MLY_E_FORMAT},
        {"[[0, 17]]", "[[0, 9], [9, 17]]", "segments[0].nodes[1]", MLY_E_FORMAT},
        {"[0]}", "[]}", "segments[0].processors", MLY_E_FORMAT},
        {"[0]}", "[2]}", "segments[0].processors[0]", MLY_E_FORMAT},
        {"[0, 1]}]", "[0, 1], \"shares\": [1]}]", "segments[1].shares: has 1 elements; there are 2",
         MLY_E_FORMAT},
        {"[0, 1]}]", "[0, 1], \"shares\": [2, 0]}]", "segments[1].shares[1]", MLY_E_FORMAT},
        {"[0, 1]}]", "[0, 1], \"shares\": 2}]", "segments[1].shares", MLY_E_FORMAT},
        {"\"batch\": 2", "\"batch\": 2, \"family\": {}", "family", MLY_E_FORMAT},
        {"\"batch\": 2", "\"batch\": 2, \"family\": [{}]", "family[0].max_rate_per_s",
         MLY_E_FORMAT},
        {"\"batch\": 2", "\"batch\": 2, \"family\": [{\"max_rate_per_s\": 1}]",
         "family[0].segments: missing", MLY_E_FORMAT},
        {"\"batch\": 2", "\"batch\": 2, \"family\": [" ONE_WAY("0") "]", "family[0].max_rate_per_s",
         MLY_E_FORMAT},
        {"\"batch\": 2", "\"batch\": 2, \"family\": [" ONE_WAY("5") ", " ONE_WAY("5") "]",
         "family[1].max_rate_per_s: 5 follows 5", MLY_E_FORMAT},
        {"[0, 1]}]", "[1, 0]}]", "segments[1].processors[1]", MLY_E_FORMAT},
        {"[0, 1]}]", "[1, 1]}]", "segments[1].processors[1]", MLY_E_FORMAT},
        {"[0, 1]}]", TIME("{}"), "segments[1].times[0].processor", MLY_E_FORMAT},
        {"[0, 1]}]", TIME("7"), "segments[1].times[0]", MLY_E_FORMAT},
        {"[0, 1]}]", TIME("{\"processor\": 2, \"batch\": 1, \"ns\": 5, \"basis\": \"measured\"}"),
         "segments[1].times[0].processor", MLY_E_FORMAT},
        {"[0]}",
         "[0], \"times\": [{\"processor\": 1, \"batch\": 1, \"ns\": 5, \"basis\": "
         "\"measured\"}]}",
         "segments[0].times[0].processor: processor 1 does not run this segment", MLY_E_FORMAT},
        {"[0, 1]}]", TIME("{\"processor\": 1, \"batch\": 0, \"ns\": 5, \"basis\": \"measured\"}"),
         "segments[1].times[0].batch", MLY_E_FORMAT},
        {"[0, 1]}]", TIME("{\"processor\": 1, \"batch\": 1, \"ns\": 0, \"basis\": \"measured\"}"),
         "segments[1].times[0].ns: is not above 0", MLY_E_FORMAT},
        {"[0, 1]}]", TIME("{\"processor\": 1, \"batch\": 1, \"ns\": -5, \"basis\": \"measured\"}"),
         "segments[1].times[0].ns", MLY_E_FORMAT},
        {"[0, 1]}]", TIME("{\"processor\": 1, \"batch\": 1, \"ns\": NaN, \"basis\": \"measured\"}"),
         "plan.json:", MLY_E_FORMAT},
        {"[0, 1]}]",
         TIME("{\"processor\": 1, \"batch\": 1, \"ns\": 1e16, \"basis\": \"measured\"}"),
         "segments[1].times[0].ns", MLY_E_FORMAT},
        {"[0, 1]}]", TIME("{\"processor\": 1, \"batch\": 1, \"ns\": 5, \"basis\": \"guessed\"}"),
         "segments[1].times[0].basis: 'guessed' is not measured, estimated or modelled",
         MLY_E_FORMAT},
        {"[0, 1]}]",
         TIME("{\"processor\": 1, \"batch\": 1, \"ns\": 5, \"basis\": \"measured\"}, "
              "{\"processor\": 1, \"batch\": 1, \"ns\": 5, \"basis\": \"measured\"}"),
         "segments[1].times[1]: processor 1, batch 1 follows processor 1, batch 1", MLY_E_FORMAT},
        {"}]}", "}]", "plan.json:", MLY_E_FORMAT},
    };
    mly_plan_destroy(parse(by_hand));
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char *wrong = text_replace(by_hand, cases[i].from, cases[i].to);
        expect_refused(wrong, strlen(wrong), cases[i].status, cases[i].where);
        mly_free(wrong);
    }
    expect_refused("", 0, MLY_E_FORMAT, "plan.json");
    expect_refused("[1]", 3, MLY_E_FORMAT, "motley_plan");
}

static void every_failing_allocation_is_reported(void **state)
{
    (void)state;
    mly_plan *plan = full_plan(), *other = NULL;
    size_t length;
    char *text = format(plan, &length), *again = NULL;
    enum mly_status status;
    for (uint64_t n = 1, ended = 0; !ended; n++) {
        mly_alloc_fail_after(n);
        status = mly_plan_parse("x", text, length, &other, NULL);
        mly_alloc_fail_after(0);
        ended = !status;
        assert_true(ended || (status == MLY_E_NO_MEMORY && !other));
    }
    assert_plans_equal(plan, other);
    mly_plan_destroy(other);
    other = NULL;
    for (uint64_t n = 1, ended = 0; !ended; n++) {
        mly_alloc_fail_after(n);
        status = mly_plan_dup(plan, &other, NULL);
        mly_alloc_fail_after(0);
        ended = !status;
        assert_true(ended || (status == MLY_E_NO_MEMORY && !other));
    }
    mly_plan_destroy(other);
    for (uint64_t n = 1, ended = 0; !ended; n++) {
        mly_alloc_fail_after(n);
        status = mly_plan_format(plan, &again, &length, NULL);
        mly_alloc_fail_after(0);
        ended = !status;
        assert_true(ended || (status == MLY_E_NO_MEMORY && !again));
    }
    assert_string_equal(text, again);
    mly_free(again);
    for (uint64_t n = 1; n < 10; n++) {
        mly_alloc_fail_once(n);
        again = mly_plan_describe(plan);
        mly_alloc_fail_once(0);
        mly_free(again);
    }
    other = NULL;
    for (uint64_t n = 1, ended = 0; !ended; n++) {
        mly_alloc_fail_after(n);
        status = mly_plan_create(model, machine, &other, NULL);
        mly_alloc_fail_after(0);
        ended = !status;
        assert_true(ended || (status == MLY_E_NO_MEMORY && !other));
    }
    mly_plan_destroy(other);
    mly_free(text);
    mly_plan_destroy(plan);
}

static void a_plan_is_described_in_a_line(void **state)
{
    (void)state;
    mly_plan *plan = tiny_plan(model, machine, 8, 4);
    char *text = mly_plan_describe(plan);
    assert_string_equal(text,
                        "8 groups x 1 thread (cpu:0, cpu:1, cpu:2, cpu:3, cpu:4, cpu:5, cpu:6, "
                        "cpu:7), batch 4, blocking");
    mly_free(text);
    mly_plan_destroy(plan);
    plan = tiny_plan(model, machine, 1, 1);
    plan->processors[0].spin = true;
    text = mly_plan_describe(plan);
    assert_string_equal(text, "1 group x 8 threads (cpu:0-7), batch 1, spinning");
    mly_free(text);
    plan->processors[0].runtime_defaults = true;
    text = mly_plan_describe(plan);
    assert_string_equal(text, "the runtime's defaults, batch 1");
    mly_free(text);
    mly_plan_destroy(plan);
    plan = full_plan();
    text = mly_plan_describe(plan);
    assert_string_equal(text, "2 segments on 3 processors (cpu:0-2, cpu:3-5, cpu:6-7), batch 4; "
                              "2 ways by rate, up to 333.3 samples/s");
    mly_free(text);
    plan->family_count = 1;
    text = mly_plan_describe(plan);
    plan->family_count = 2;
    assert_non_null(strstr(text, "; 1 way by rate, up to "));
    mly_free(text);
    mly_plan_destroy(plan);
    plan = tiny_plan(model, machine, 2, 4);
    plan->segments[0].shares = mly_alloc_array(2, sizeof(uint32_t));
    assert_non_null(plan->segments[0].shares);
    plan->segments[0].shares[0] = 3;
    plan->segments[0].shares[1] = 1;
    text = mly_plan_describe(plan);
    assert_string_equal(text, "batch 4 split 3 + 1 on 2 processors (cpu:0-3, cpu:4-7)");
    mly_free(text);
    mly_plan_destroy(plan);
}

static void objectives_have_names(void **state)
{
    (void)state;
    struct mly_error err;
    enum mly_objective objective = MLY_OBJECTIVE_THROUGHPUT;
    expect_ok(mly_objective_parse("latency", &objective, &err), err);
    assert_int_equal(objective, MLY_OBJECTIVE_LATENCY);
    expect_ok(mly_objective_parse("throughput", &objective, &err), err);
    assert_int_equal(objective, MLY_OBJECTIVE_THROUGHPUT);
    expect_error(mly_objective_parse("speed", &objective, &err), MLY_E_INVALID, err, "'speed'");
    assert_non_null(strstr(err.message, "latency"));
    assert_string_equal(mly_objective_name(MLY_OBJECTIVE_LATENCY), "latency");
    assert_string_equal(mly_objective_name((enum mly_objective)9), "unknown");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_round_trip_and_a_copy_lose_nothing),
        cmocka_unit_test(nodes_are_written_as_ranges),
        cmocka_unit_test(a_saved_plan_is_loaded_again),
        cmocka_unit_test(what_is_left_out_has_a_default),
        cmocka_unit_test(every_damaged_place_is_named),
        cmocka_unit_test(what_is_needed_is_missed_by_name),
        cmocka_unit_test(every_value_out_of_its_range_is_named),
        cmocka_unit_test(every_failing_allocation_is_reported),
        cmocka_unit_test(a_plan_is_described_in_a_line),
        cmocka_unit_test(objectives_have_names),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}

/* Timelines: what is recorded is what is written, in both forms; bounds, faults, many threads. */
#include "support/expect.h"
#include "support/test.h"

#include <pthread.h>
#include <stdatomic.h>

#include "base/alloc.h"
#include "base/json.h"
#include "runtime/timeline.h"

#define MS 1000000

static char *folder;

static int set_up(void **state)
{
    (void)state;
    folder = scratch_create();
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    scratch_remove(folder);
    return 0;
}

/* A timeline with names, and one writer. */
struct fixture {
    mly_timeline *timeline;
    mly__timeline_writer *writer;
    uint32_t processors[3], model, segments[2];
};

static void open_fixture(struct fixture *f, uint64_t max_records)
{
    struct mly_error err = {0};
    struct mly_timeline_options options = {.max_records = max_records,
                                           .title = "a <\"test\"> & more"};
    expect_ok(mly_timeline_create(&options, &f->timeline, &err), err);
    expect_ok(mly__timeline_add_processor(f->timeline, "cpu:0", false, &f->processors[0], &err),
              err);
    expect_ok(mly__timeline_add_processor(f->timeline, "tpu \"x\"", true, &f->processors[1], &err),
              err);
    expect_ok(mly__timeline_add_processor(f->timeline, "cpu:2-3", false, &f->processors[2], &err),
              err);
    expect_ok(mly__timeline_add_model(f->timeline, "m\xFF\\odel", &f->model, &err), err);
    expect_ok(mly__timeline_add_segment(f->timeline, f->model, "front", &f->segments[0], &err),
              err);
    expect_ok(mly__timeline_add_segment(f->timeline, f->model, "b<a>ck\x01", &f->segments[1], &err),
              err);
    expect_ok(mly__timeline_add_writer(f->timeline, &f->writer, &err), err);
}

static struct mly__timeline_record task(const struct fixture *f, uint64_t request, uint32_t segment,
                                        uint32_t processor, int64_t ready_ns, int64_t begin_ns,
                                        int64_t end_ns)
{
    return (struct mly__timeline_record){.kind = MLY__TIMELINE_TASK,
                                         .request = request,
                                         .ready_ns = ready_ns,
                                         .begin_ns = begin_ns,
                                         .end_ns = end_ns,
                                         .processor = f->processors[processor],
                                         .segment = f->segments[segment],
                                         .model = f->model,
                                         .batch = 4};
}

static void add_task(struct fixture *f, uint64_t request, uint32_t segment, uint32_t processor,
                     int64_t ready_ns, int64_t begin_ns, int64_t end_ns)
{
    struct mly__timeline_record record =
        task(f, request, segment, processor, ready_ns, begin_ns, end_ns);
    mly__timeline_add(f->writer, &record);
}

static struct mly_timeline_counts counts_of(const struct fixture *f)
{
    struct mly_timeline_counts counts;
    mly_timeline_get_counts(f->timeline, &counts);
    return counts;
}

/* Two requests through two segments, a copy, a failure, a mark. */
static void add_some(struct fixture *f)
{
    const int64_t t = 5000000001;
    add_task(f, 1, 0, 0, t + MS, t + 2 * MS, t + 3 * MS);
    add_task(f, 0, 0, 0, t, t, t + 2 * MS);
    add_task(f, 0, 1, 1, t + 2 * MS, t + 2 * MS + 500000, t + 4 * MS);
    struct mly__timeline_record record =
        task(f, 0, 1, 1, t + 2 * MS, t + 2 * MS, t + 2 * MS + 400000);
    record.kind = MLY__TIMELINE_COPY;
    record.bytes = 4096;
    mly__timeline_add(f->writer, &record);
    record.begin_ns = t + 4 * MS - 2000; /* too narrow to be drawn by itself */
    record.end_ns = t + 4 * MS;
    record.out = true;
    mly__timeline_add(f->writer, &record);
    record = task(f, 1, 1, 1, t + 3 * MS, t + 4 * MS, t + 4 * MS + 1234);
    record.status = MLY_E_BACKEND;
    record.request_class = 7;
    mly__timeline_add(f->writer, &record);
    record = (struct mly__timeline_record){.kind = MLY__TIMELINE_REQUEST,
                                           .request = 0,
                                           .begin_ns = t,
                                           .end_ns = t + 4 * MS,
                                           .processor = MLY_NO_INDEX,
                                           .segment = MLY_NO_INDEX,
                                           .model = f->model,
                                           .batch = 4};
    mly__timeline_add(f->writer, &record);
    mly__timeline_mark(f->timeline, MLY_NO_INDEX, t + 3 * MS, "plan %d <next>", 2);
    mly__timeline_mark(f->timeline, f->processors[1], t + MS, "set aside");
}

/* --- the trace --- */

static const char *save(const struct fixture *f, const char *name)
{
    struct mly_error err = {0};
    const char *path = scratch_path(folder, name);
    expect_ok(mly_timeline_save(f->timeline, path, &err), err);
    return path;
}

static mly_json_doc *saved_trace(const struct fixture *f)
{
    struct mly_error err = {0};
    mly_json_doc *doc = NULL;
    expect_ok(mly_json_load(save(f, "t.json"), (size_t)1 << 30, &doc, &err), err);
    return doc;
}

static struct mly_json events_of(const mly_json_doc *doc)
{
    return mly_json_member_opt(mly_json_root(doc), "traceEvents");
}

static const char *text_of(struct mly_json object, const char *key)
{
    const char *text = NULL;
    if (mly_json_string(object, key, &text, NULL) != MLY_OK)
        return "";
    return text;
}

static double number_of(struct mly_json object, const char *key)
{
    double number = -1;
    if (mly_json_number(object, key, -1e18, 1e18, &number, NULL) != MLY_OK)
        return -1;
    return number;
}

/* The n-th event of that phase and category; fails if there is none. */
static struct mly_json event(const mly_json_doc *doc, const char *phase, const char *category,
                             size_t n)
{
    struct mly_json events = events_of(doc);
    for (size_t i = 0; i < mly_json_length(events); i++) {
        struct mly_json e = mly_json_element(events, i);
        if (strcmp(text_of(e, "ph"), phase) == 0 && strcmp(text_of(e, "cat"), category) == 0 &&
            n-- == 0)
            return e;
    }
    fail_msg("no such %s %s", phase, category);
    return events;
}

static size_t count_events(const mly_json_doc *doc, const char *phase, const char *category)
{
    struct mly_json events = events_of(doc);
    size_t count = 0;
    for (size_t i = 0; i < mly_json_length(events); i++) {
        struct mly_json e = mly_json_element(events, i);
        count += strcmp(text_of(e, "ph"), phase) == 0 && strcmp(text_of(e, "cat"), category) == 0;
    }
    return count;
}

static bool has_lane(const mly_json_doc *doc, const char *name, double *tid)
{
    struct mly_json events = events_of(doc);
    for (size_t i = 0; i < mly_json_length(events); i++) {
        struct mly_json e = mly_json_element(events, i);
        if (strcmp(text_of(e, "name"), "thread_name") != 0 ||
            strcmp(text_of(mly_json_member_opt(e, "args"), "name"), name) != 0)
            continue;
        *tid = number_of(e, "tid");
        return true;
    }
    return false;
}

static void traces_say_what_was_recorded(void **state)
{
    (void)state;
    struct fixture f;
    open_fixture(&f, 0);
    add_some(&f);
    mly_json_doc *doc = saved_trace(&f);
    struct mly_json other = mly_json_member_opt(mly_json_root(doc), "otherData");
    assert_string_equal(text_of(other, "title"), "a <\"test\"> & more");
    assert_string_equal(text_of(other, "clock"), "monotonic");
    assert_int_equal((int)number_of(other, "records"), 7);
    assert_int_equal((int)number_of(other, "dropped"), 0);
    assert_int_equal(mly_json_length(mly_json_member_opt(other, "modelled")), 1);

    double cpu, tpu, copies, other_lane;
    assert_true(has_lane(doc, "cpu:0", &cpu));
    assert_true(has_lane(doc, "tpu \"x\" (modelled)", &tpu));
    assert_true(has_lane(doc, "copies to and from tpu \"x\" (modelled)", &copies));
    assert_true(has_lane(doc, "cpu:2-3", &other_lane)); /* although it did nothing */
    assert_false(has_lane(doc, "copies to and from cpu:0", &other_lane));

    assert_int_equal(count_events(doc, "X", "task"), 4);
    struct mly_json first = event(doc, "X", "task", 0);
    assert_string_equal(text_of(first, "name"), "front");
    assert_float_equal(number_of(first, "ts"), 0, 1e-9);
    assert_float_equal(number_of(first, "dur"), 2000, 1e-9);
    assert_float_equal(number_of(first, "tid"), cpu, 0);
    struct mly_json arguments = mly_json_member_opt(first, "args");
    assert_int_equal((int)number_of(arguments, "request"), 0);
    assert_int_equal((int)number_of(arguments, "batch"), 4);
    assert_string_equal(text_of(arguments, "model"), "m\xEF\xBF\xBD\\odel");
    struct mly_json last = event(doc, "X", "task", 3);
    assert_float_equal(number_of(last, "dur"), 1.234, 1e-9);
    assert_float_equal(number_of(last, "tid"), tpu, 0);
    assert_string_equal(text_of(mly_json_member_opt(last, "args"), "status"),
                        mly_status_name(MLY_E_BACKEND));
    struct mly_json copy = event(doc, "X", "copy", 0);
    assert_float_equal(number_of(copy, "tid"), copies, 0);
    assert_string_equal(text_of(copy, "name"), "to b<a>ck\x01");
    assert_int_equal((int)number_of(mly_json_member_opt(copy, "args"), "bytes"), 4096);
    assert_string_equal(text_of(mly_json_member_opt(copy, "args"), "direction"), "in");
    copy = event(doc, "X", "copy", 1);
    assert_string_equal(text_of(copy, "name"), "from b<a>ck\x01");
    assert_string_equal(text_of(mly_json_member_opt(copy, "args"), "direction"), "out");

    assert_int_equal(count_events(doc, "b", "wait"), 3); /* the first one waited for nothing */
    assert_int_equal(count_events(doc, "e", "wait"), 3);
    assert_float_equal(number_of(event(doc, "b", "wait", 0), "ts"), 1000, 1e-9);
    assert_float_equal(number_of(event(doc, "e", "wait", 0), "ts"), 2000, 1e-9);
    assert_float_equal(number_of(event(doc, "e", "request", 0), "ts"), 4000, 1e-9);
    assert_int_equal((int)number_of(event(doc, "b", "wait", 2), "tid"), 8); /* class 7 */
    assert_string_equal(text_of(event(doc, "i", "mark", 0), "name"), "set aside");
    assert_float_equal(number_of(event(doc, "i", "mark", 0), "tid"), tpu, 0);
    assert_string_equal(text_of(event(doc, "i", "mark", 1), "s"), "g");
    mly_json_destroy(doc);
    mly_timeline_destroy(f.timeline);
}

static void virtual_time_is_named_so(void **state)
{
    (void)state;
    struct fixture f;
    struct mly_error err = {0};
    open_fixture(&f, 0);
    mly__timeline_set_virtual(f.timeline);
    add_some(&f);
    mly_json_doc *doc = saved_trace(&f);
    assert_string_equal(text_of(mly_json_member_opt(mly_json_root(doc), "otherData"), "clock"),
                        "virtual");
    mly_json_destroy(doc);
    char *svg = NULL;
    size_t length;
    expect_ok(mly_file_read(save(&f, "v.svg"), (size_t)1 << 24, &svg, &length, &err), err);
    assert_non_null(strstr(svg, "of virtual time"));
    assert_non_null(strstr(svg, "(modelled)"));
    mly_free(svg);
    mly_timeline_destroy(f.timeline);
}

static void several_models_are_told_apart(void **state)
{
    (void)state;
    struct fixture f;
    struct mly_error err = {0};
    open_fixture(&f, 0);
    add_some(&f);
    expect_ok(mly__timeline_add_model(f.timeline, "second", &f.model, &err), err);
    expect_ok(mly__timeline_add_segment(f.timeline, f.model, "front", &f.segments[0], &err), err);
    add_task(&f, 0, 0, 2, 5010 * (int64_t)MS, 5011 * (int64_t)MS, 5012 * (int64_t)MS);
    mly_json_doc *doc = saved_trace(&f);
    assert_string_equal(text_of(event(doc, "X", "task", 4), "name"), "second / front");
    mly_json_destroy(doc);
    mly_timeline_destroy(f.timeline);
}

/* --- the picture --- */

/* Every tag is closed in its order, and nothing but markup has brackets. */
static void expect_well_formed(const char *text)
{
    char stack[16][16];
    size_t depth = 0;
    for (const char *at = text; (at = strchr(at, '<'));) {
        const char *end = strchr(at, '>');
        assert_non_null(end);
        const char *inner = memchr(at + 1, '<', (size_t)(end - at - 1));
        assert_null(inner);
        char name[16];
        assert_int_equal(sscanf(at + 1 + (at[1] == '/'), "%15[a-z]", name), 1);
        if (at[1] == '/') {
            assert_true(depth > 0);
            assert_string_equal(stack[--depth], name);
        } else if (end[-1] != '/') {
            assert_true(depth < 16);
            memcpy(stack[depth++], name, sizeof name);
        }
        at = end;
    }
    assert_int_equal(depth, 0);
    for (const char *at = text; (at = strchr(at, '&')); at++)
        assert_true(at[1] == '#');
    for (const char *at = text; *at; at++)
        assert_true((unsigned char)*at >= 0x20 || *at == '\n');
    assert_null(strstr(text, "nan"));
    assert_null(strstr(text, "inf"));
}

static char *saved_picture(const struct fixture *f, size_t *length)
{
    struct mly_error err = {0};
    char *svg = NULL;
    expect_ok(mly_file_read(save(f, "t.svg"), (size_t)1 << 26, &svg, length, &err), err);
    expect_well_formed(svg);
    return svg;
}

static size_t count_text(const char *text, const char *part)
{
    size_t count = 0;
    for (; (text = strstr(text, part)); text++)
        count++;
    return count;
}

static void pictures_show_every_wide_task(void **state)
{
    (void)state;
    struct fixture f;
    size_t length;
    open_fixture(&f, 0);
    char *svg = saved_picture(&f, &length); /* empty */
    assert_int_equal(count_text(svg, "class=\"lane\""), 3);
    mly_free(svg);
    add_some(&f);
    svg = saved_picture(&f, &length);
    assert_int_equal(count_text(svg, "class=\"task\""), 3);
    assert_int_equal(count_text(svg, "class=\"copy\""), 1);
    assert_int_equal(count_text(svg, "class=\"mark\""), 2);
    assert_int_equal(count_text(svg, "class=\"waiting\""), 1);
    assert_int_equal(count_text(svg, "many short tasks"), 1); /* 1.2 us in 4 ms */
    assert_int_equal(count_text(svg, "many short copies"), 1);
    assert_non_null(strstr(svg, "copy to b&#60;a&#62;ck?"));
    assert_non_null(strstr(svg, "; 4096 bytes"));
    assert_non_null(strstr(svg, "a &#60;&#34;test&#34;&#62; &#38; more"));
    assert_non_null(strstr(svg, "b&#60;a&#62;ck?"));
    assert_non_null(strstr(svg, "4 tasks, 1 requests, 2 copies in"));
    assert_non_null(strstr(svg, "waited 1 ms"));
    mly_free(svg);
    mly_timeline_destroy(f.timeline);
}

static void pictures_of_many_tasks_stay_small(void **state)
{
    (void)state;
    struct fixture f;
    size_t length, few;
    open_fixture(&f, 0);
    for (uint32_t count = 0; count < 100000; count++) {
        if (count == 1000) {
            mly_free(saved_picture(&f, &few));
        }
        int64_t begin_ns = (int64_t)count * 10000;
        add_task(&f, count, count % 2, count % 3, begin_ns - 25000, begin_ns,
                 begin_ns + 5000 + count % 5000);
    }
    char *svg = saved_picture(&f, &length);
    assert_true(length < 2 * 1024 * 1024);
    assert_non_null(strstr(svg, "100000 tasks"));
    assert_non_null(strstr(svg, "most 3"));
    mly_free(svg);
    mly_json_doc *doc = saved_trace(&f);
    assert_int_equal(count_events(doc, "X", "task"), 100000);
    mly_json_destroy(doc);
    mly_timeline_destroy(f.timeline);
}

static void odd_times_do_no_harm(void **state)
{
    (void)state;
    struct fixture f;
    size_t length;
    open_fixture(&f, 0);
    add_task(&f, 0, 0, 0, 5, 5, 5);
    mly_free(saved_picture(&f, &length));
    add_task(&f, 1, 1, 1, 9, 4, 3); /* backwards */
    struct mly__timeline_record record = task(&f, 2, 0, 0, 0, INT64_MAX / 4, INT64_MAX / 2);
    record.processor = record.segment = record.model = 77; /* nothing of that number */
    mly__timeline_add(f.writer, &record);
    mly_free(saved_picture(&f, &length));
    mly_json_destroy(saved_trace(&f));
    mly_timeline_destroy(f.timeline);
}

/* --- limits and faults --- */

static void full_timelines_keep_the_newest(void **state)
{
    (void)state;
    enum { RECORDS = 5000, MAX = 1000 };
    struct fixture f;
    open_fixture(&f, MAX);
    for (uint32_t i = 0; i < RECORDS; i++)
        add_task(&f, i, 0, 0, i, i, i + 1);
    struct mly_timeline_counts counts = counts_of(&f);
    assert_int_equal(counts.kept + counts.dropped, RECORDS);
    assert_true(counts.kept <= MAX + 255 && counts.kept > MAX / 2);
    mly_json_doc *doc = saved_trace(&f);
    size_t events = count_events(doc, "X", "task");
    assert_int_equal(events, counts.kept);
    struct mly_json newest = event(doc, "X", "task", events - 1);
    assert_int_equal((int)number_of(mly_json_member_opt(newest, "args"), "request"), RECORDS - 1);
    struct mly_json other = mly_json_member_opt(mly_json_root(doc), "otherData");
    assert_int_equal((uint64_t)number_of(other, "dropped"), counts.dropped);
    mly_json_destroy(doc);
    size_t length;
    char *svg = saved_picture(&f, &length);
    assert_non_null(strstr(svg, "older records were dropped"));
    mly_free(svg);
    for (int i = 0; i < 5000; i++)
        mly__timeline_mark(f.timeline, 0, i, "mark %d", i);
    assert_int_equal(counts_of(&f).dropped, counts.dropped + 5000 - 4096);
    mly_timeline_destroy(f.timeline);
}

static void wrong_arguments_are_named(void **state)
{
    (void)state;
    struct fixture f;
    struct mly_error err = {0};
    mly_timeline *timeline = NULL;
    struct mly_timeline_options options = {.max_records = UINT64_MAX};
    expect_error(mly_timeline_create(&options, &timeline, &err), MLY_E_INVALID, err, "18446744");
    assert_null(timeline);
    mly_timeline_destroy(NULL);
    open_fixture(&f, 0);
    static const char *const wrong[] = {"t.txt", "json", "folder.svg/t", "t.", ".svgz", ""};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        expect_error(mly__timeline_check_path(wrong[i], &err), MLY_E_INVALID, err, ".svg");
        expect_error(mly_timeline_save(f.timeline, wrong[i], &err), MLY_E_INVALID, err, ".json");
    }
    expect_ok(mly__timeline_check_path("a/b.json", &err), err);
    expect_error(mly_timeline_save(f.timeline, scratch_path(folder, "none/t.svg"), &err),
                 MLY_E_NOT_FOUND, err, "none");
    mly_timeline_destroy(f.timeline);
}

static void memory_may_fail_anywhere(void **state)
{
    (void)state;
    struct fixture f;
    struct mly_error err = {0};
    open_fixture(&f, 0);
    add_some(&f);
    static const char *const names[] = {"f.json", "f.svg"};
    for (int i = 0; i < 2; i++) {
        const char *path = scratch_path(folder, names[i]);
        enum mly_status status = MLY_E_NO_MEMORY;
        for (uint64_t n = 1; status != MLY_OK; n++) {
            mly_alloc_fail_once(n);
            status = mly_timeline_save(f.timeline, path, &err);
            mly_alloc_fail_once(0);
            assert_true(status == MLY_OK || status == MLY_E_NO_MEMORY);
            assert_int_equal(access(path, F_OK), status == MLY_OK ? 0 : -1);
            assert_true(n < 1000);
        }
    }
    struct mly_timeline_counts before = counts_of(&f);
    mly_alloc_fail_after(1);
    for (uint32_t i = 0; i < 600; i++) /* recording goes on, without what is older */
        add_task(&f, i, 0, 0, i, i, i + 1);
    mly__timeline_mark(f.timeline, 0, 1, "lost");
    mly_alloc_fail_after(0);
    struct mly_timeline_counts after = counts_of(&f);
    assert_int_equal(after.kept + after.dropped, before.kept + before.dropped + 601);
    assert_true(after.dropped > 0);
    mly_timeline_destroy(f.timeline);

    for (uint64_t n = 1; n < 3; n++) {
        mly_timeline *timeline = NULL;
        mly_alloc_fail_once(n);
        expect_error(mly_timeline_create(NULL, &timeline, &err), MLY_E_NO_MEMORY, err, "memory");
        mly_alloc_fail_once(0);
        assert_null(timeline);
    }
}

/* --- many threads --- */

enum { WRITERS = 4, EACH = 20000 };

struct recorder {
    pthread_t thread;
    struct fixture *fixture;
    mly__timeline_writer *writer;
    uint32_t number;
};

static void *record_many(void *argument)
{
    struct recorder *r = argument;
    for (uint32_t i = 0; i < EACH; i++) {
        struct mly__timeline_record record =
            task(r->fixture, i, i % 2, r->number % 3, i, i + 1, i + 2);
        mly__timeline_add(r->writer, &record);
        if (i % 5000 == 0)
            mly__timeline_mark(r->fixture->timeline, MLY_NO_INDEX, i, "%u", r->number);
    }
    return NULL;
}

static void many_threads_record_while_one_saves(void **state)
{
    (void)state;
    struct fixture f;
    struct mly_error err = {0};
    struct recorder recorders[WRITERS];
    open_fixture(&f, 20000);
    for (uint32_t i = 0; i < WRITERS; i++) {
        recorders[i] = (struct recorder){.fixture = &f, .number = i};
        expect_ok(mly__timeline_add_writer(f.timeline, &recorders[i].writer, &err), err);
    }
    for (uint32_t i = 0; i < WRITERS; i++)
        assert_int_equal(pthread_create(&recorders[i].thread, NULL, record_many, &recorders[i]), 0);
    for (int i = 0; i < 3; i++)
        mly_json_destroy(saved_trace(&f));
    for (uint32_t i = 0; i < WRITERS; i++)
        pthread_join(recorders[i].thread, NULL);
    struct mly_timeline_counts counts = counts_of(&f);
    assert_int_equal(counts.kept + counts.dropped, WRITERS * EACH + WRITERS * (EACH / 5000));
    mly_timeline_destroy(f.timeline);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(traces_say_what_was_recorded),
        cmocka_unit_test(virtual_time_is_named_so),
        cmocka_unit_test(several_models_are_told_apart),
        cmocka_unit_test(pictures_show_every_wide_task),
        cmocka_unit_test(pictures_of_many_tasks_stay_small),
        cmocka_unit_test(odd_times_do_no_harm),
        cmocka_unit_test(full_timelines_keep_the_newest),
        cmocka_unit_test(wrong_arguments_are_named),
        cmocka_unit_test(memory_may_fail_anywhere),
        cmocka_unit_test(many_threads_record_while_one_saves),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}

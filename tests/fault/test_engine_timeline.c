/* Timelines of engines: memory that fails while they are made, processors that are set aside. */
#include "support/executor_rig.h"
#include "support/expect.h"

#include "base/alloc.h"
#include "base/json.h"
#include "runtime/native.h"

static struct rig rig;
static struct rig_batch batches[64];

static const char *const two_replicas[] = {"0>1@0 1"};

static enum mly_status create(struct mly_flow *flow, const struct mly_engine_options *options,
                              mly_engine **out, struct mly_error *err)
{
    return mly__engine_create_flow(flow, options, MLY_SCHEDULE_EARLIEST, out, err);
}

static void memory_may_fail_while_an_engine_is_made(void **state)
{
    (void)state;
    struct mly_error err = {0};
    enum mly_status status = MLY_E_NO_MEMORY;
    for (uint64_t n = 1; status != MLY_OK; n++) {
        mly_timeline *timeline = NULL;
        mly_engine *engine = NULL;
        struct mly_flow flow;
        expect_ok(mly_timeline_create(NULL, &timeline, &err), err);
        expect_ok(fake_flow_init(&fake_ops, "0", "1", 2, two_replicas, 1, &flow, &err), err);
        struct mly_engine_options options = {.timeline = timeline, .no_warm_up = true};
        mly_alloc_fail_once(n);
        status = create(&flow, &options, &engine, &err);
        mly_alloc_fail_once(0);
        assert_true(status == MLY_OK || status == MLY_E_NO_MEMORY);
        mly_engine_destroy(engine);
        assert_int_equal(fake_open_sessions(), 0);
        mly_timeline_destroy(timeline);
        assert_true(n < 500);
    }
}

/* The texts of all marks, one per line. */
static char *marks_of(mly_timeline *timeline)
{
    struct mly_error err = {0};
    char *folder = scratch_create(), *texts = strdup("");
    const char *path = scratch_path(folder, "t.json");
    mly_json_doc *doc = NULL;
    expect_ok(mly_timeline_save(timeline, path, &err), err);
    expect_ok(mly_json_load(path, 1 << 24, &doc, &err), err);
    struct mly_json events = mly_json_member_opt(mly_json_root(doc), "traceEvents");
    for (size_t i = 0; i < mly_json_length(events); i++) {
        const char *phase = "", *name = "";
        (void)!mly_json_string(mly_json_element(events, i), "ph", &phase, NULL);
        (void)!mly_json_string(mly_json_element(events, i), "name", &name, NULL);
        if (strcmp(phase, "i") != 0)
            continue;
        texts = realloc(texts, strlen(texts) + strlen(name) + 2);
        strcat(strcat(texts, name), "\n");
    }
    mly_json_destroy(doc);
    scratch_remove(folder);
    return texts;
}

static void a_processor_that_is_set_aside_is_marked(void **state)
{
    (void)state;
    struct mly_error err = {0};
    mly_timeline *timeline = NULL;
    expect_ok(mly_timeline_create(NULL, &timeline, &err), err);
    struct mly_engine_options options = {.timeline = timeline};
    rig_open(&rig, create, &fake_ops, &options, "0", "1", 1, (const char *const[]){"0>1@0"}, 1);
    for (int64_t tag = 1; tag <= 8; tag++)
        fake_poison(tag, 0, MLY_E_BACKEND);
    for (int64_t tag = 1; tag <= 12; tag++) {
        rig_send(&rig, &batches[tag - 1], tag);
        (void)!mly_request_wait(batches[tag - 1].request, NULL);
        mly_request_release(batches[tag - 1].request);
    }
    rig_close(&rig);
    char *marks = marks_of(timeline);
    if (!strstr(marks, "set aside") || !strstr(marks, "works again"))
        fail_msg("marks: %s", marks);
    free(marks);
    mly_timeline_destroy(timeline);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(memory_may_fail_while_an_engine_is_made),
        cmocka_unit_test(a_processor_that_is_set_aside_is_marked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

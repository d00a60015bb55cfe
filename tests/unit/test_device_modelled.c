/* Device files: what is read, what is refused and where, and which folders they come from. */
#include "support/expect.h"

#include <pthread.h>
#include <stdlib.h>

#include <motley/device.h>

#include "base/alloc.h"
#include "base/file.h"
#include "device/internal.h"
#include "device/modelled.h"
#include "support/json_edit.h"

static const char roofline_text[] =
    "{\n"
    "  \"motley_device\": 1,\n"
    "  \"name\": \"small\",\n"
    "  \"description\": \"a small device\",\n"
    "  \"family\": \"roofline\",\n"
    "  \"constants\": {\n"
    "    \"f32_macs_per_s\": {\"value\": 2e9, \"source\": \"its data sheet\"},\n"
    "    \"memory_bytes_per_s\": {\"value\": 1e9, \"assumed\": true},\n"
    "    \"memory_bytes\": {\"value\": 1e8, \"assumed\": true},\n"
    "    \"launch_ns\": {\"value\": 1000, \"assumed\": true},\n"
    "    \"node_ns\": {\"value\": 10, \"assumed\": true, \"source\": \"a guess: \\\"short\\\"\"},\n"
    "    \"to_device_latency_ns\": {\"value\": 100, \"assumed\": true},\n"
    "    \"to_device_bytes_per_s\": {\"value\": 1e9, \"assumed\": true},\n"
    "    \"to_host_latency_ns\": {\"value\": 200, \"assumed\": true},\n"
    "    \"to_host_bytes_per_s\": {\"value\": 5e8, \"assumed\": true},\n"
    "    \"idle_w\": {\"value\": 1, \"assumed\": true},\n"
    "    \"active_w\": {\"value\": 5, \"source\": \"measured\"}\n"
    "  }\n"
    "}\n";

static char *folder; /* of the user's device files */

static int setup(void **state)
{
    (void)state;
    folder = scratch_create();
    return setenv("MOTLEY_DEVICES", folder, 1);
}

static int teardown(void **state)
{
    (void)state;
    mly__device_models_forget();
    scratch_remove(folder);
    return 0;
}

static void put_file(const char *name, const char *text)
{
    struct mly_error err = {0};
    expect_ok(mly_file_write(scratch_path(folder, name), text, strlen(text), &err), err);
    mly__device_models_forget();
}

static void every_file_that_comes_with_motley_is_read(void **state)
{
    (void)state;
    static const char *const names[] = {
        "edgetpu-pcie",   "edgetpu-usb2", "edgetpu-usb3",   "gtx1650",
        "i9-9900k",       "jetson-nano",  "p100",           "raspberry-pi-3",
        "raspberry-pi-4", "roofline",     "xeon-e5-2683v4",
    };
    struct mly_error err = {0};
    char *word = NULL;
    expect_ok(mly_device_models_load(&word, &err), err);
    assert_null(word);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        const struct mly_device_model *model = mly_device_model_find(names[i]);
        assert_non_null(model);
        assert_string_equal(model->name, names[i]);
        assert_non_null(strstr(model->path, names[i]));
        for (size_t k = 0; k < MLY_DEVICE_CONSTANT_COUNT; k++) {
            const struct mly_device_origin *origin = &model->origins[k];
            assert_true(!origin->given || origin->assumed || origin->source[0]);
        }
    }
    assert_non_null(mly_device_model_at(sizeof names / sizeof *names - 1));
    assert_null(mly_device_model_at(sizeof names / sizeof *names));
    assert_null(mly_device_model_find("p200"));
}

static void constants_are_read_with_their_origin(void **state)
{
    (void)state;
    struct mly_error err = {0};
    struct mly_device_model model;
    expect_ok(
        mly_device_model_parse("small.json", roofline_text, strlen(roofline_text), &model, &err),
        err);
    assert_string_equal(model.description, "a small device");
    assert_int_equal(model.family, MLY_DEVICE_ROOFLINE);
    assert_true(model.macs_per_s[MLY_DTYPE_F32] == 2e9 && model.macs_per_s[MLY_DTYPE_I8] == 0);
    assert_true(model.to_host.latency_ns == 200 && model.to_host.bytes_per_s == 5e8);
    assert_true(model.idle_w == 1 && model.active_w == 5);
    assert_string_equal(model.origins[MLY_DEVICE_F32_MACS_PER_S].source, "its data sheet");
    assert_false(model.origins[MLY_DEVICE_F32_MACS_PER_S].assumed);
    assert_true(model.origins[MLY_DEVICE_NODE_NS].assumed);
    assert_string_equal(model.origins[MLY_DEVICE_NODE_NS].source, "a guess: \"short\"");
    assert_false(model.origins[MLY_DEVICE_HALF_BATCH].given);
}

static void what_is_written_is_read_back_the_same(void **state)
{
    (void)state;
    struct mly_error err = {0};
    for (size_t i = 0; mly_device_model_at(i); i++) {
        const struct mly_device_model *model = mly_device_model_at(i);
        struct mly_device_model again;
        char *text;
        size_t length;
        expect_ok(mly_device_model_format(model, &text, &length, &err), err);
        expect_ok(mly_device_model_parse(model->path, text, length, &again, &err), err);
        assert_memory_equal(&again, model, sizeof again);
        mly_free(text);
    }
}

static void expect_refused(const char *text, size_t length, const char *says)
{
    struct mly_error err;
    struct mly_device_model model;
    expect_error(mly_device_model_parse("small.json", text, length, &model, &err), MLY_E_FORMAT,
                 err, says);
    if (strncmp(err.message, "small.json:", 11) != 0 || err.message[11] < '1' ||
        err.message[11] > '9')
        fail_msg("'%s' names no line", err.message);
}

static void every_damaged_place_is_named(void **state)
{
    (void)state;
    static const enum json_edit edits[] = {JSON_EDIT_TYPE, JSON_EDIT_ADD, JSON_EDIT_REPEAT};
    for (size_t e = 0; e < sizeof edits / sizeof *edits; e++) {
        char *wrong, where[96];
        size_t length, index = 0;
        while (json_edit(roofline_text, strlen(roofline_text), edits[e], index++, &wrong, &length,
                         where)) {
            expect_refused(wrong, length, where);
            mly_free(wrong);
        }
        assert_true(index > 10);
    }
}

static void wrong_values_are_named_with_field_and_line(void **state)
{
    (void)state;
    static const struct {
        const char *from, *to, *says;
    } cases[] = {
        {"{\"value\": 2e9, \"source\": \"its data sheet\"}", "{\"value\": 2e9}",
         "small.json:7: constants.f32_macs_per_s: has no source"},
        {"2e9", "-2e9", "small.json:7: constants.f32_macs_per_s.value: -2000000000"},
        {"2e9", "2e19",
         "small.json:7: constants.f32_macs_per_s.value: 20000000000000000000.0 is not in"},
        {"2e9", "0", "small.json:7: constants.f32_macs_per_s.value: 0 is not in 1e+06…1e+18"},
        {"2e9", "\"fast\"", "expected a number, found a string"},
        {"2e9", "1e999", "small.json:7"},
        {"    \"launch_ns\": {\"value\": 1000, \"assumed\": true},\n", "",
         "small.json:6: constants.launch_ns: missing (fixed time of running a segment, in ns)"},
        {"\"launch_ns\"", "\"lunch_ns\"", "small.json:10: constants.lunch_ns: unknown field"},
        {"\"launch_ns\"", "\"lanes\": {\"value\": 64, \"assumed\": true}, \"launch_ns\"",
         "small.json:10: constants.lanes: has no meaning in family roofline"},
        {"\"small\"", "\"Small\"", "small.json:3: name: 'Small': lower-case letters"},
        {"\"small\"", "\"small:0\"", "small.json:3: name"},
        {"\"small\"", "\"-small\"", "small.json:3: name"},
        {"\"small\"", "\"\"", "small.json:3: name: is empty"},
        {"\"small\"", "\"a-name-of-more-than-thirty-one-bytes\"", "at most 31"},
        {"\"roofline\"", "\"roof\"", "small.json:5: family: 'roof' is neither"},
        {"\"a small device\"", "\"a small\\ndevice\"",
         "small.json:4: description: has a control character"},
        {"\"active_w\": {\"value\": 5", "\"active_w\": {\"value\": 0.5",
         "small.json:17: constants.active_w: 0.5 W is less than idle_w, 1 W"},
        {"\"launch_ns\"", "\"float_bits\": {\"value\": 12, \"assumed\": true}, \"launch_ns\"",
         "small.json:10: constants.float_bits: 12 is none of 8, 16, 32 and 64"},
        {"\"launch_ns\"", "\"float_bits\": {\"value\": 16, \"assumed\": true}, \"launch_ns\"",
         "small.json:10: constants.float_bits: 16 needs f16_macs_per_s"},
        {"\"motley_device\": 1", "\"motley_device\": 0", "small.json:2: motley_device"},
        {"motley_device", "motley_plan", "this is no device file"},
        {"\"family\"", "\"family", "small.json:5:"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char *wrong = text_replace(roofline_text, cases[i].from, cases[i].to);
        expect_refused(wrong, strlen(wrong), cases[i].says);
        mly_free(wrong);
    }
    expect_refused("", 0, "empty");
    expect_refused("[]", 2, "this is no device file");
}

static void other_versions_and_long_files_are_refused(void **state)
{
    (void)state;
    struct mly_error err;
    struct mly_device_model model;
    char *newer = text_replace(roofline_text, "\"motley_device\": 1", "\"motley_device\": 2");
    expect_error(mly_device_model_parse("f", newer, strlen(newer), &model, &err), MLY_E_UNSUPPORTED,
                 err, "f:2: motley_device: format 2 of a newer motley");
    mly_free(newer);
    char *blank = mly_alloc(MLY_DEVICE_TEXT_BYTES_MAX + 1);
    assert_non_null(blank);
    expect_error(mly_device_model_parse("f", blank, MLY_DEVICE_TEXT_BYTES_MAX + 1, &model, &err),
                 MLY_E_LIMIT, err, "at most 65536 are read");
    mly_free(blank);
}

static void an_edge_tpu_keeps_room_for_weights(void **state)
{
    (void)state;
    struct mly_error err = {0};
    struct mly_device_model wrong = *mly_device_model_find("edgetpu-pcie"), out;
    char *text;
    size_t length;
    wrong.edgetpu.reserve_bytes = wrong.on_chip_bytes;
    expect_ok(mly_device_model_format(&wrong, &text, &length, &err), err);
    expect_error(mly_device_model_parse("f", text, length, &out, &err), MLY_E_FORMAT, err,
                 "constants.reserve_bytes");
    mly_free(text);
}

static void the_users_files_add_and_replace(void **state)
{
    (void)state;
    struct mly_error err = {0};
    char *word = NULL;
    char *p100 = text_replace(roofline_text, "\"small\"", "\"p100\"");
    mly__device_models_forget();
    const size_t before = 11;
    put_file("small.json", roofline_text);
    put_file("p100.json", p100);
    put_file("notes.txt", "no device file");
    expect_ok(mly_device_models_load(&word, &err), err);
    assert_null(word);
    assert_non_null(mly_device_model_find("small"));
    assert_string_equal(mly_device_model_find("p100")->description, "a small device");
    assert_non_null(mly_device_model_at(before));
    assert_null(mly_device_model_at(before + 1));
    mly_free(p100);
    assert_int_equal(unlink(scratch_path(folder, "p100.json")), 0);
    mly__device_models_forget();
}

static void a_wrong_file_is_left_out_and_named(void **state)
{
    (void)state;
    struct mly_error err = {0};
    char *word = NULL;
    put_file("other.json", roofline_text);
    put_file("broken.json", "{");
    expect_ok(mly_device_models_load(&word, &err), err);
    assert_non_null(word);
    assert_non_null(strstr(word, "broken.json:1:"));
    assert_non_null(strstr(word, "other.json: name: 'small'; the file must be small.json"));
    mly_free(word);
    assert_null(mly_device_model_find("other"));
    assert_non_null(mly_device_model_find("small"));

    mly_machine *machine = NULL;
    struct mly_processor_list list = {0};
    expect_ok(mly_machine_create("core:2 pu:1", &machine, &err), err);
    expect_error(mly_machine_select(machine, "broken", &list, &err), MLY_E_INVALID, err,
                 "broken.json:1:");
    mly_machine_destroy(machine);
    assert_int_equal(unlink(scratch_path(folder, "other.json")), 0);
    assert_int_equal(unlink(scratch_path(folder, "broken.json")), 0);
    mly__device_models_forget();
}

static void a_folder_that_was_asked_for_must_be_there(void **state)
{
    (void)state;
    struct mly_error err = {0};
    char *word = NULL;
    setenv("MOTLEY_DEVICES", scratch_path(folder, "absent"), 1);
    mly__device_models_forget();
    expect_ok(mly_device_models_load(&word, &err), err);
    assert_non_null(word);
    assert_non_null(strstr(word, "absent"));
    assert_non_null(mly_device_model_find("p100"));
    mly_free(word);
    setenv("MOTLEY_DEVICES", folder, 1);
    mly__device_models_forget();
}

static void *load_models(void *argument)
{
    (void)argument;
    assert_non_null(mly_device_model_find("small"));
    return NULL;
}

static void many_threads_may_be_first(void **state)
{
    (void)state;
    pthread_t threads[8];
    mly__device_models_forget();
    for (size_t i = 0; i < 8; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, load_models, NULL), 0);
    for (size_t i = 0; i < 8; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
}

static void every_allocation_may_fail(void **state)
{
    (void)state;
    put_file("broken.json", "{");
    for (uint64_t n = 1;; n++) {
        struct mly_error err = {0};
        char *word = NULL;
        mly__device_models_forget();
        mly_alloc_fail_once(n);
        uint64_t before = mly_alloc_count();
        enum mly_status status = mly_device_models_load(&word, &err);
        uint64_t made = mly_alloc_count() - before;
        mly_alloc_fail_after(0);
        if (status == MLY_OK && made < n) {
            assert_non_null(word);
            mly_free(word);
            break;
        }
        mly_free(word);
        assert_int_equal(status, MLY_E_NO_MEMORY);
        assert_int_equal(err.status, MLY_E_NO_MEMORY);
        assert_true(n < 20000);
    }
    assert_int_equal(unlink(scratch_path(folder, "broken.json")), 0);
    mly__device_models_forget();
}

int main(void)
{
    const struct CMUnitTest cases[] = {
        cmocka_unit_test(every_file_that_comes_with_motley_is_read),
        cmocka_unit_test(constants_are_read_with_their_origin),
        cmocka_unit_test(what_is_written_is_read_back_the_same),
        cmocka_unit_test(every_damaged_place_is_named),
        cmocka_unit_test(wrong_values_are_named_with_field_and_line),
        cmocka_unit_test(other_versions_and_long_files_are_refused),
        cmocka_unit_test(an_edge_tpu_keeps_room_for_weights),
        cmocka_unit_test(the_users_files_add_and_replace),
        cmocka_unit_test(a_wrong_file_is_left_out_and_named),
        cmocka_unit_test(a_folder_that_was_asked_for_must_be_there),
        cmocka_unit_test(many_threads_may_be_first),
        cmocka_unit_test(every_allocation_may_fail),
    };
    return cmocka_run_group_tests(cases, setup, teardown);
}

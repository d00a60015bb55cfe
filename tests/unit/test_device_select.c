/* Processors by the words of a user: what is understood, and what is said of the rest. */
#include "support/expect.h"

#include <motley/device.h>

#include "base/alloc.h"

static mly_machine *machine;

static int setup(void **state)
{
    (void)state;
    struct mly_error err = {0};
    expect_ok(mly_machine_create("pack:2 numa:1 l3:2 core:4 pu:2", &machine, &err), err);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    mly_machine_destroy(machine);
    return 0;
}

static void specifications_are_understood(void **state)
{
    (void)state;
    static const struct {
        const char *spec, *ids;
    } cases[] = {
        {"cpu", "cpu:0-30:2"},
        {"cpu:smt", "cpu:0-31"},
        {"cpu:0-3+8", "cpu:0-3+8"},
        {"cpu:8+0-3", "cpu:0-3+8"},
        {"cpu:0x1f", "cpu:0-4"},
        {"cpu:0-12:4", "cpu:0-12:4"},
        {"cpu:0 , cpu:1", "cpu:0 cpu:1"},
        {"cpu:groups=2", "cpu:0-14:2 cpu:16-30:2"},
        {"cpu:groups=2:smt", "cpu:0-15 cpu:16-31"},
        {"cpu:smt:threads=8", "cpu:0-15 cpu:16-31"},
        {"cpu:by=package", "cpu:0-14:2 cpu:16-30:2"},
        {"cpu:by=numa", "cpu:0-14:2 cpu:16-30:2"},
        {"cpu:by=cache:smt", "cpu:0-7 cpu:8-15 cpu:16-23 cpu:24-31"},
        {"cpu:threads=12", "cpu:0-22:2"},
        {"p100", "p100:0"},
        {"p100:3, p100", "p100:3 p100:0"},
        {"edgetpu-pcie*4", "edgetpu-pcie:0 edgetpu-pcie:1 edgetpu-pcie:2 edgetpu-pcie:3"},
        {"roofline*1,cpu:groups=2,p100", "roofline:0 cpu:0-14:2 cpu:16-30:2 p100:0"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct mly_error err = {0};
        struct mly_processor_list list = {0};
        char ids[512] = "";
        expect_ok(mly_machine_select(machine, cases[i].spec, &list, &err), err);
        for (size_t k = 0; k < list.count; k++) {
            strcat(ids, k ? " " : "");
            strcat(ids, list.items[k].id);
        }
        assert_string_equal(ids, cases[i].ids);
        mly_processor_list_fini(&list);
    }
    struct mly_error err = {0};
    struct mly_processor_list list = {0};
    expect_ok(mly_machine_select(machine, "cpu:by=core", &list, &err), err);
    assert_int_equal(list.count, 16);
    mly_processor_list_fini(&list);
}

static void modelled_processors_say_so(void **state)
{
    (void)state;
    struct mly_error err = {0};
    struct mly_processor_list list = {0};
    expect_ok(mly_machine_select(machine, "p100*2,cpu:0", &list, &err), err);
    assert_int_equal(list.count, 3);
    for (size_t i = 0; i < 2; i++) {
        const struct mly_processor *processor = &list.items[i];
        assert_string_equal(processor->kind, "p100");
        assert_true(processor->modelled && processor->usable);
        assert_int_equal(processor->memory_bytes, UINT64_C(16) << 30);
        assert_non_null(strstr(processor->description, "P100"));
        assert_null(processor->cpus);
    }
    assert_false(list.items[2].modelled);
    mly_processor_list_fini(&list);
}

static void the_rest_is_refused_with_word_and_column(void **state)
{
    (void)state;
    static const struct {
        const char *spec;
        enum mly_status status;
        const char *says;
    } cases[] = {
        {"", MLY_E_INVALID, "column 1: a processor is missing"},
        {"cpu:0,", MLY_E_INVALID, "column 7: a processor is missing"},
        {",cpu", MLY_E_INVALID, "column 1: a processor is missing"},
        {"cpu:", MLY_E_INVALID, "nothing follows ':'"},
        {"cpu::", MLY_E_INVALID, "column 5"},
        {"gpu", MLY_E_INVALID,
         "column 1: 'gpu' is no kind of processor; known are cpu, cuda, edgetpu"},
        {"cpu:0,tpu:0", MLY_E_INVALID, "column 7: 'tpu:0' is no kind"},
        {"CPU", MLY_E_INVALID, "no kind"},
        {"cpu*2", MLY_E_INVALID, "write cpu:groups=N"},
        {"cpu:0-3*2", MLY_E_INVALID, "write cpu:groups=N"},
        {"cpu:32", MLY_E_ABSENT, "CPU 32 is not there or not for this process, which may use 0-31"},
        {"cpu:0-65535", MLY_E_ABSENT, "CPU 32 is not there"},
        {"cpu:65536", MLY_E_INVALID, "column 5: a number over 65535"},
        {"cpu:0-", MLY_E_INVALID, "column 7: a number is missing"},
        {"cpu:3-0", MLY_E_INVALID, "column 7: a range that runs backward"},
        {"cpu:0-3:0", MLY_E_INVALID, "a step of 0"},
        {"cpu:0-3:smt", MLY_E_INVALID, "a number is missing"},
        {"cpu:0+", MLY_E_INVALID, "a number is missing"},
        {"cpu:0;1", MLY_E_INVALID, "column 6: an unexpected character"},
        {"cpu:0x", MLY_E_INVALID, "an unexpected character"},
        {"cpu:0x0", MLY_E_INVALID, "an empty mask"},
        {"cpu:0xfg", MLY_E_INVALID, "no hexadecimal digit"},
        {"cpu:0x100000000", MLY_E_ABSENT, "CPU 32"},
        {"cpu:1+1", MLY_E_INVALID, "CPU 1 is named twice"},
        {"cpu:0-3,cpu:3-4", MLY_E_INVALID, "column 9: 'cpu:3-4': CPU 3 is in 'cpu:0-3' already"},
        {"cpu,cpu:2", MLY_E_INVALID, "groups must not overlap"},
        {"cpu:2,cpu", MLY_E_INVALID, "CPU 2 is in 'cpu:2' already"},
        {"cpu:groups=2,cpu:by=numa", MLY_E_INVALID, "groups must not overlap"},
        {"cpu:groups=0", MLY_E_INVALID, "groups: 0 is not from 1 to 16"},
        {"cpu:groups=17", MLY_E_INVALID, "groups: 17 is not from 1 to 16"},
        {"cpu:threads=17", MLY_E_INVALID, "threads: 17 is not from 1 to 16"},
        {"cpu:groups=", MLY_E_INVALID, "a number"},
        {"cpu:groups=-1", MLY_E_INVALID, "a number"},
        {"cpu:groups=99999999999999999999", MLY_E_INVALID, "a number"},
        {"cpu:by=socket", MLY_E_INVALID,
         "column 8: 'socket': groups are by numa, package, cache or core"},
        {"cpu:by=", MLY_E_INVALID, "groups are by"},
        {"cpu:group=2", MLY_E_INVALID, "column 5: 'group=2' is no option of cpu"},
        {"cpu:groups=2:threads=2", MLY_E_INVALID, "column 14: 'threads=2'"},
        {"cuda:0", MLY_E_ABSENT, "column 1: 'cuda:0': absent: a synthetic machine has only CPUs"},
        {"edgetpu", MLY_E_ABSENT, "absent"},
        {"remote:host:8001", MLY_E_UNSUPPORTED, "remote servers"},
        {"gpu", MLY_E_INVALID, "; modelled: edgetpu-pcie, edgetpu-usb2"},
        {"p100*", MLY_E_INVALID, "column 1: 'p100*': a number from 1 to 1024 is wanted after '*'"},
        {"p100*0", MLY_E_INVALID, "a number from 1 to 1024"},
        {"cpu:0,p100*1025", MLY_E_INVALID, "column 7: 'p100*1025': a number from 1 to 1024"},
        {"p100*-1", MLY_E_INVALID, "'-1' is no number of a device, such as p100:0"},
        {"p100*99999999999999999999", MLY_E_INVALID, "is no number"},
        {"p100:", MLY_E_INVALID, "nothing follows ':'"},
        {"p100:x", MLY_E_INVALID, "column 6: 'x' is no number of a device, such as p100:0"},
        {"p100:1024", MLY_E_INVALID, "modelled processors count from 0 to 1023"},
        {"p100:0*2", MLY_E_INVALID, "'0*2' is no number"},
        {"p100*2:0", MLY_E_INVALID, "'p100*2:0' is no kind"},
        {"p100*2,p100:1", MLY_E_INVALID, "column 8: 'p100:1': p100:1 is named twice"},
        {"p1000", MLY_E_INVALID, "'p1000' is no kind"},
        {"edgetpu*2", MLY_E_INVALID, "write edgetpu:0,edgetpu:1"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct mly_error err;
        struct mly_processor_list list = {0};
        expect_error(mly_machine_select(machine, cases[i].spec, &list, &err), cases[i].status, err,
                     cases[i].says);
        assert_null(list.items);
        assert_int_equal(mly_machine_select(machine, cases[i].spec, &list, NULL), cases[i].status);
    }
}

static void long_input_is_refused(void **state)
{
    (void)state;
    struct mly_error err;
    struct mly_processor_list list = {0};
    char spec[8192];
    memset(spec, ' ', sizeof spec - 1);
    spec[sizeof spec - 1] = '\0';
    expect_error(mly_machine_select(machine, spec, &list, &err), MLY_E_LIMIT, err,
                 "over 4096 bytes");
}

static void every_allocation_may_fail(void **state)
{
    (void)state;
    for (uint64_t n = 1;; n++) {
        struct mly_error err = {0};
        struct mly_processor_list list = {0};
        mly_alloc_fail_once(n);
        uint64_t before = mly_alloc_count();
        enum mly_status status =
            mly_machine_select(machine, "cpu:1+3+5,cpu:8,p100*3,cpu:12", &list, &err);
        uint64_t made = mly_alloc_count() - before;
        mly_alloc_fail_after(0);
        mly_processor_list_fini(&list);
        if (status == MLY_OK && made < n)
            break;
        assert_int_equal(status, MLY_E_NO_MEMORY);
        assert_int_equal(err.status, MLY_E_NO_MEMORY);
        assert_true(n < 1000);
    }
    for (uint64_t n = 1; n < 8; n++) {
        struct mly_error err = {0};
        struct mly_processor_list list = {0};
        mly_alloc_fail_once(n);
        enum mly_status status = mly_machine_select(machine, "cpu:groups=2,cuda", &list, &err);
        mly_alloc_fail_after(0);
        assert_int_equal(status, err.status);
        assert_true(status == MLY_E_NO_MEMORY || status == MLY_E_ABSENT);
    }
}

int main(void)
{
    const struct CMUnitTest cases[] = {
        cmocka_unit_test(specifications_are_understood),
        cmocka_unit_test(modelled_processors_say_so),
        cmocka_unit_test(the_rest_is_refused_with_word_and_column),
        cmocka_unit_test(long_input_is_refused),
        cmocka_unit_test(every_allocation_may_fail),
    };
    return cmocka_run_group_tests(cases, setup, teardown);
}

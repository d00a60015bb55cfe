/* Machines: what is taken out of hwloc, for synthetic, recorded and live boxes. */
#include "support/expect.h"

#include <sched.h>
#include <sys/wait.h>

#include <motley/device.h>

#include "base/alloc.h"
#include "base/buffer.h"
#include "device/internal.h"

static mly_machine *make(const char *synthetic)
{
    struct mly_error err = {0};
    mly_machine *machine = NULL;
    expect_ok(mly_machine_create(synthetic, &machine, &err), err);
    return machine;
}

static void assert_text(const char *synthetic, const char *wanted)
{
    struct mly_error err = {0};
    mly_machine *machine = make(synthetic);
    char *text = NULL;
    expect_ok(mly_machine_topology_text(machine, &text, &err), err);
    assert_string_equal(text, wanted);
    free(text);
    mly_machine_destroy(machine);
}

static void synthetic_machines_have_what_they_describe(void **state)
{
    (void)state;
    static const struct {
        const char *description;
        uint32_t packages, numa, caches, cores, threads;
    } cases[] = {
        {"pack:2 numa:1 l3:1 core:16 pu:2", 2, 2, 2, 32, 64},
        {"core:1 pu:1", 1, 1, 0, 1, 1},
        {"pu:4", 1, 1, 0, 4, 4},
        {"group:2 numa:2 pack:2 l3:2 core:2 pu:1", 8, 4, 16, 32, 32},
        {"pack:1 l2:8 core:16 pu:1", 1, 1, 8, 128, 128},
        {"2 3 2", 2, 6, 0, 12, 12},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        mly_machine *machine = make(cases[i].description);
        const struct mly_machine_info *info = mly_machine_info(machine);
        assert_int_equal(info->packages, cases[i].packages);
        assert_int_equal(info->numa_nodes, cases[i].numa);
        assert_int_equal(info->last_level_caches, cases[i].caches);
        assert_int_equal(info->cores, cases[i].cores);
        assert_int_equal(info->cores_total, cases[i].cores);
        assert_int_equal(info->hardware_threads, cases[i].threads);
        assert_true(info->synthetic);
        assert_int_equal(strlen(info->host_id), 64);
        mly_machine_destroy(machine);
    }
}

static void sizes_are_those_of_the_description(void **state)
{
    (void)state;
    mly_machine *machine = make("numa:2(memory=4GiB) l3:1(size=8MiB) core:2 pu:1");
    const struct mly_machine_info *info = mly_machine_info(machine);
    assert_int_equal(info->last_level_cache_bytes, 8 << 20);
    assert_true(info->memory_bytes > 7000000000u);
    mly_machine_destroy(machine);
}

static void text_folds_equal_siblings(void **state)
{
    (void)state;
    assert_text("pack:2 numa:1 l3:1 core:8 pu:2", "Machine, 2 GiB, cpu 0-31\n"
                                                  "  2 x Package\n"
                                                  "    NUMA node, 1 GiB\n"
                                                  "    L3 16 MiB\n"
                                                  "      8 x Core with 2 threads\n");
    assert_text("core:1 pu:1", "Machine, 1 GiB, cpu 0\n"
                               "  Core, cpu 0\n"
                               "    NUMA node 0, 1 GiB\n");
}

static void wrong_descriptions_say_what_and_where(void **state)
{
    (void)state;
    static const struct {
        const char *description;
        enum mly_status status;
        const char *says;
    } cases[] = {
        {"", MLY_E_INVALID, "column 1: an empty description"},
        {"   ", MLY_E_INVALID, "an empty description"},
        {"core:2 foo:2", MLY_E_INVALID, "column 8: an unknown level"},
        {"core", MLY_E_INVALID, "column 1: a level without ':'"},
        {"core:x", MLY_E_INVALID, "column 6: a count of 1 or more"},
        {"core:0", MLY_E_INVALID, "a count of 1 or more"},
        {"core:2;pu:2", MLY_E_INVALID, "column 7: an unexpected character"},
        {"core:4097", MLY_E_LIMIT, "more than 4096"},
        {"core:64 pu:65", MLY_E_LIMIT, "column 12: more than 4096"},
        {"pu:99999999999999999999", MLY_E_LIMIT, "more than 4096"},
        {"l3:1(colour=red) pu:1", MLY_E_INVALID, "column 6: an unknown attribute"},
        {"l3:1(size=", MLY_E_INVALID, "an attribute without a value"},
        {"l3:1(size=1", MLY_E_INVALID, "an unexpected character"},
        {"l3:1(", MLY_E_INVALID, "an unknown attribute"},
        {"[numa] core:2", MLY_E_INVALID, "column 1"},
        {"pu:2 core:2", MLY_E_INVALID, "do not fit together"},
        {"pack:2 pack:2 pu:1", MLY_E_INVALID, "do not fit together"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct mly_error err;
        mly_machine *machine = NULL;
        expect_error(mly_machine_create(cases[i].description, &machine, &err), cases[i].status, err,
                     cases[i].says);
        assert_null(machine);
    }
    char long_one[4096];
    struct mly_error err;
    mly_machine *machine = NULL;
    memset(long_one, ' ', sizeof long_one - 1);
    long_one[sizeof long_one - 1] = '\0';
    expect_error(mly_machine_create(long_one, &machine, &err), MLY_E_LIMIT, err, "over 1024 bytes");
}

static void identity_depends_on_the_machine_alone(void **state)
{
    (void)state;
    mly_machine *a = make("pack:2 core:4 pu:1"), *b = make("pack:2 core:4 pu:1");
    mly_machine *c = make("pack:1 core:8 pu:1");
    assert_string_equal(mly_machine_info(a)->host_id, mly_machine_info(b)->host_id);
    assert_string_not_equal(mly_machine_info(a)->host_id, mly_machine_info(c)->host_id);
    mly_machine_destroy(a);
    mly_machine_destroy(b);
    mly_machine_destroy(c);
    mly_machine_destroy(NULL);
}

static void a_restricted_machine_keeps_its_total(void **state)
{
    (void)state;
    struct mly_error err = {0};
    mly_machine *machine = NULL;
    const struct mly__machine_source source = {.synthetic = "pack:2 numa:1 core:4 pu:2",
                                               .keep = "1+8-13"};
    expect_ok(mly__machine_create(&source, &machine, &err), err);
    const struct mly_machine_info *info = mly_machine_info(machine);
    assert_int_equal(info->cores, 4);
    assert_int_equal(info->cores_total, 8);
    assert_int_equal(info->hardware_threads, 7);
    assert_int_equal(info->packages, 2);
    assert_int_equal(info->memory_bytes, 2u << 30);
    assert_int_equal(machine->cpus[0].os_index, 1);
    assert_int_equal(mly__cpu_position(machine, 8), 1);
    assert_int_equal(mly__cpu_position(machine, 0), UINT32_MAX);
    mly_machine_destroy(machine);

    const struct mly__machine_source none = {.synthetic = "core:2 pu:1", .keep = "7"};
    machine = NULL;
    expect_error(mly__machine_create(&none, &machine, &err), MLY_E_ABSENT, err,
                 "none of this machine's CPUs");
    assert_null(machine);
}

static void restricted_trees_show_each_part(void **state)
{
    (void)state;
    struct mly_error err = {0};
    mly_machine *machine = NULL;
    char *text = NULL;
    const struct mly__machine_source source = {.synthetic = "pack:3 core:4 pu:1", .keep = "0-7+9"};
    expect_ok(mly__machine_create(&source, &machine, &err), err);
    expect_ok(mly_machine_topology_text(machine, &text, &err), err);
    assert_string_equal(text, "Machine, 1 GiB, cpu 0-7,9\n"
                              "  NUMA node 0, 1 GiB\n"
                              "  2 x Package\n"
                              "    4 x Core\n"
                              "  Package 2 + Core, cpu 9\n");
    free(text);
    mly_machine_destroy(machine);
}

static void this_box_is_read(void **state)
{
    (void)state;
    mly_machine *machine = make(NULL);
    const struct mly_machine_info *info = mly_machine_info(machine);
    assert_true(info->cores >= 1 && info->cores <= info->hardware_threads);
    assert_true(info->cores_total >= info->cores);
    assert_true(info->packages >= 1 && info->numa_nodes >= 1);
    assert_true(info->cpu_model[0] != '\0');
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof set, &set) == 0)
        assert_true((int)info->hardware_threads <= CPU_COUNT(&set));
    mly_machine_destroy(machine);
}

/* What this program does as "see-only --see-only CPU": 0 if that CPU is all that it sees. */
static int see_only(uint32_t cpu)
{
    struct mly_error err = {0};
    mly_machine *machine = NULL;
    struct mly_processor_list list = {0};
    if (mly_machine_create(NULL, &machine, &err))
        return 1;
    const struct mly_machine_info *info = mly_machine_info(machine);
    int wrong = info->hardware_threads != 1 || info->cores != 1;
    wrong |= mly_machine_group(machine, MLY_GROUP_WHOLE, 0, true, &list, &err) != MLY_OK;
    wrong |= list.count != 1 || list.items[0].cpu_count != 1 || list.items[0].cpus[0] != cpu;
    mly_processor_list_fini(&list);
    mly_machine_destroy(machine);
    return wrong;
}

/* Started anew, so that every thread, a sanitizer's too, inherits the affinity. */
static void start_restricted(uint32_t cpu)
{
    cpu_set_t set;
    char text[16];
    CPU_ZERO(&set);
    CPU_SET(cpu, &set);
    snprintf(text, sizeof text, "%u", cpu);
    if (sched_setaffinity(0, sizeof set, &set) == 0)
        execl("/proc/self/exe", "see-only", "--see-only", text, (char *)NULL);
    _exit(2);
}

static void affinity_restricts_this_box(void **state)
{
    (void)state;
    mly_machine *machine = make(NULL);
    uint32_t last = machine->cpus[machine->info.hardware_threads - 1].os_index;
    mly_machine_destroy(machine);
    if (last >= CPU_SETSIZE)
        TEST_SKIP("CPU %u is over the size of cpu_set_t", last);
    fflush(stdout);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0)
        start_restricted(last);
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
}

/* One object of hwloc's XML up to what is special to its type; the caller closes it. */
static void open_object(struct mly_buffer *xml, const char *type, unsigned cpus)
{
    static unsigned gp_index;
    assert_int_equal(
        mly_buffer_printf(xml,
                          "<object type=\"%s\" gp_index=\"%u\" cpuset=\"0x%x\" "
                          "complete_cpuset=\"0x%x\" nodeset=\"0x1\" complete_nodeset=\"0x1\"",
                          type, ++gp_index, cpus, cpus),
        MLY_OK);
}

static void put_text(struct mly_buffer *xml, const char *text)
{
    assert_int_equal(mly_buffer_append(xml, text, strlen(text)), MLY_OK);
}

static void put_core(struct mly_buffer *xml, unsigned core, unsigned first, unsigned threads)
{
    open_object(xml, "Core", ((1u << threads) - 1) << first);
    assert_int_equal(mly_buffer_printf(xml, " os_index=\"%u\">", core), MLY_OK);
    for (unsigned t = first; t < first + threads; t++) {
        open_object(xml, "PU", 1u << t);
        assert_int_equal(mly_buffer_printf(xml, " os_index=\"%u\"/>", t), MLY_OK);
    }
    put_text(xml, "</object>");
}

/* A recorded box: two fast cores with two threads each and four slow ones, below one cache. */
static void put_hybrid(struct mly_buffer *xml)
{
    put_text(xml, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
                  "<!DOCTYPE topology SYSTEM \"hwloc2.dtd\">\n<topology version=\"2.0\">");
    open_object(xml, "Machine", 0xff);
    put_text(xml, " os_index=\"0\" allowed_cpuset=\"0xff\" allowed_nodeset=\"0x1\">");
    open_object(xml, "Package", 0xff);
    put_text(xml, " os_index=\"0\"><info name=\"CPUModel\" value=\"Mixed CPU\"/>");
    open_object(xml, "NUMANode", 0xff);
    put_text(xml, " os_index=\"0\" local_memory=\"1073741824\"/>");
    open_object(xml, "L3Cache", 0xff);
    put_text(xml, " cache_size=\"12582912\" depth=\"3\" cache_linesize=\"64\" "
                  "cache_associativity=\"12\" cache_type=\"0\">");
    for (unsigned core = 0; core < 6; core++)
        put_core(xml, core, core < 2 ? 2 * core : core + 2, core < 2 ? 2 : 1);
    put_text(xml, "</object></object></object>"
                  "<cpukind cpuset=\"0xf\"><info name=\"CoreType\" value=\"IntelCore\"/></cpukind>"
                  "<cpukind cpuset=\"0xf0\"><info name=\"CoreType\" value=\"IntelAtom\"/></cpukind>"
                  "</topology>\n");
}

static mly_machine *make_hybrid(void)
{
    struct mly_error err = {0};
    struct mly_buffer xml = {0};
    mly_machine *machine = NULL;
    put_hybrid(&xml);
    expect_ok(mly__machine_create(&(struct mly__machine_source){.xml = xml.data}, &machine, &err),
              err);
    mly_buffer_fini(&xml);
    return machine;
}

static void kinds_of_cores_are_named(void **state)
{
    (void)state;
    struct mly_error err = {0};
    mly_machine *machine = make_hybrid();
    char *text = NULL;
    assert_int_equal(machine->kind_count, 2);
    assert_string_equal(machine->kind_names[0], "P");
    assert_string_equal(machine->kind_names[1], "E");
    assert_string_equal(mly_machine_info(machine)->cpu_model, "Mixed CPU");
    expect_ok(mly_machine_topology_text(machine, &text, &err), err);
    assert_non_null(strstr(text, "2 x P Core with 2 threads\n"));
    assert_non_null(strstr(text, "4 x E Core\n"));
    free(text);
    mly_machine_destroy(machine);
}

static void assert_ids(const mly_machine *machine, uint32_t count, const char *const *ids)
{
    struct mly_error err = {0};
    struct mly_processor_list list = {0};
    expect_ok(mly_machine_group(machine, MLY_GROUP_COUNT, count, false, &list, &err), err);
    assert_int_equal(list.count, count);
    for (uint32_t i = 0; i < count; i++)
        assert_string_equal(list.items[i].id, ids[i]);
    mly_processor_list_fini(&list);
}

static void groups_keep_kinds_apart(void **state)
{
    (void)state;
    mly_machine *machine = make_hybrid();
    assert_ids(machine, 1, (const char *const[]){"cpu:0+2+4-7"});
    assert_ids(machine, 2, (const char *const[]){"cpu:0+2", "cpu:4-7"});
    assert_ids(machine, 3, (const char *const[]){"cpu:0+2", "cpu:4-5", "cpu:6-7"});
    assert_ids(machine, 6,
               (const char *const[]){"cpu:0", "cpu:2", "cpu:4", "cpu:5", "cpu:6", "cpu:7"});
    mly_machine_destroy(machine);
}

static void broken_recordings_are_refused(void **state)
{
    (void)state;
    struct mly_error err;
    mly_machine *machine = NULL;
    enum mly_status status =
        mly__machine_create(&(struct mly__machine_source){.xml = "<nothing/>"}, &machine, &err);
    assert_true(status == MLY_E_FORMAT || status == MLY_E_INVALID);
    assert_null(machine);
}

static void every_allocation_may_fail(void **state)
{
    (void)state;
    for (uint64_t n = 1;; n++) {
        struct mly_error err = {0};
        mly_machine *machine = NULL;
        char *text = NULL;
        mly_alloc_fail_once(n);
        uint64_t before = mly_alloc_count();
        enum mly_status status =
            mly_machine_create("pack:2 numa:1 l3:1 core:4 pu:2", &machine, &err);
        if (status == MLY_OK)
            status = mly_machine_topology_text(machine, &text, &err);
        uint64_t made = mly_alloc_count() - before;
        mly_alloc_fail_after(0);
        free(text);
        mly_machine_destroy(machine);
        if (status == MLY_OK && made < n)
            break;
        assert_int_equal(status, MLY_E_NO_MEMORY);
        assert_int_equal(err.status, MLY_E_NO_MEMORY);
        assert_true(n < 1000);
    }
}

int main(int argument_count, char **arguments)
{
    if (argument_count == 3 && strcmp(arguments[1], "--see-only") == 0)
        return see_only((uint32_t)strtoul(arguments[2], NULL, 10));
    const struct CMUnitTest cases[] = {
        cmocka_unit_test(synthetic_machines_have_what_they_describe),
        cmocka_unit_test(sizes_are_those_of_the_description),
        cmocka_unit_test(text_folds_equal_siblings),
        cmocka_unit_test(wrong_descriptions_say_what_and_where),
        cmocka_unit_test(identity_depends_on_the_machine_alone),
        cmocka_unit_test(a_restricted_machine_keeps_its_total),
        cmocka_unit_test(restricted_trees_show_each_part),
        cmocka_unit_test(this_box_is_read),
        cmocka_unit_test(affinity_restricts_this_box),
        cmocka_unit_test(kinds_of_cores_are_named),
        cmocka_unit_test(groups_keep_kinds_apart),
        cmocka_unit_test(broken_recordings_are_refused),
        cmocka_unit_test(every_allocation_may_fail),
    };
    return cmocka_run_group_tests(cases, NULL, NULL);
}

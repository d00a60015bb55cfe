/* Core groups: on many machines, groups are disjoint, together all cores, even, and near. */
#include "support/expect.h"

#include <motley/device.h>

#include "base/alloc.h"
#include "device/internal.h"

/* Descriptions with CPUs that are kept; NULL keeps all. */
static const struct mly__machine_source machines[] = {
    {.synthetic = "pack:2 numa:1 l3:1 core:16 pu:2"},
    {.synthetic = "core:1 pu:1"},
    {.synthetic = "core:1 pu:2"},
    {.synthetic = "pack:2 numa:2 l3:2 core:3 pu:1"},
    {.synthetic = "group:2 numa:2 pack:1 l3:2 l2:2 core:2 pu:2"},
    {.synthetic = "pack:1 l3:16 core:8 pu:1"},
    {.synthetic = "core:6 pu:2(indexes=0,6,1,7,2,8,3,9,4,10,5,11)"},
    {.synthetic = "pack:2 l3:2 core:4 pu:2", .keep = "0-7+17+20-31"},
    {.synthetic = "pack:3 numa:1 core:5 pu:1", .keep = "0-2+5-13"},
};
enum { MACHINES = sizeof machines / sizeof machines[0] };

static mly_machine *make(const struct mly__machine_source *source)
{
    struct mly_error err = {0};
    mly_machine *machine = NULL;
    expect_ok(mly__machine_create(source, &machine, &err), err);
    return machine;
}

static uint32_t core_of(const mly_machine *machine, uint32_t os_index)
{
    uint32_t position = mly__cpu_position(machine, os_index);
    assert_true(position < machine->info.hardware_threads);
    return machine->cpus[position].core;
}

/* No CPU and no core is in two groups, and ids fit. Returns the number of cores in all groups. */
static uint32_t assert_disjoint(const mly_machine *machine, const struct mly_processor_list *list,
                                bool smt)
{
    bool seen[4096] = {false}, core_seen[4096] = {false};
    uint32_t cores = 0;
    for (size_t i = 0; i < list->count; i++) {
        const struct mly_processor *group = &list->items[i];
        uint32_t own = 0, last_core = UINT32_MAX;
        assert_true(group->usable && group->cpu_count > 0);
        assert_string_equal(group->kind, "cpu");
        assert_int_equal(strncmp(group->id, "cpu:", 4), 0);
        assert_true(group->description[0] != '\0');
        for (uint32_t c = 0; c < group->cpu_count; c++) {
            uint32_t position = mly__cpu_position(machine, group->cpus[c]);
            uint32_t core = core_of(machine, group->cpus[c]);
            assert_false(seen[position]);
            seen[position] = true;
            if (core != last_core) {
                assert_false(core_seen[core]);
                core_seen[core] = true;
                own++;
                if (!smt)
                    assert_int_equal(position, machine->cores[core].first);
            }
            last_core = core;
        }
        if (!smt)
            assert_int_equal(own, group->cpu_count);
        cores += own;
    }
    return cores;
}

static uint32_t cores_in(const mly_machine *machine, const struct mly_processor *group)
{
    uint32_t count = 0, last = UINT32_MAX;
    for (uint32_t c = 0; c < group->cpu_count; c++) {
        uint32_t core = core_of(machine, group->cpus[c]);
        count += core != last;
        last = core;
    }
    return count;
}

/* An id, read back, names the same CPUs in the same order. */
static void assert_round_trip(const mly_machine *machine, const struct mly_processor *group)
{
    struct mly_error err = {0};
    struct mly_processor_list again = {0};
    expect_ok(mly_machine_select(machine, group->id, &again, &err), err);
    assert_int_equal(again.count, 1);
    assert_string_equal(again.items[0].id, group->id);
    assert_int_equal(again.items[0].cpu_count, group->cpu_count);
    assert_int_equal(again.items[0].numa_node, group->numa_node);
    assert_memory_equal(again.items[0].cpus, group->cpus, group->cpu_count * sizeof *group->cpus);
    mly_processor_list_fini(&again);
}

static void every_grouping_covers_all_cores_once(void **state)
{
    (void)state;
    for (size_t m = 0; m < MACHINES; m++) {
        mly_machine *machine = make(&machines[m]);
        for (int by = MLY_GROUP_WHOLE; by < MLY_GROUP_COUNT; by++) {
            for (int smt = 0; smt < 2; smt++) {
                struct mly_error err = {0};
                struct mly_processor_list list = {0};
                expect_ok(mly_machine_group(machine, (enum mly_grouping)by, 0, smt, &list, &err),
                          err);
                assert_int_equal(assert_disjoint(machine, &list, smt), machine->info.cores);
                if (by == MLY_GROUP_WHOLE)
                    assert_int_equal(list.count, 1);
                if (by == MLY_GROUP_PACKAGE)
                    assert_int_equal(list.count, machine->info.packages);
                if (by == MLY_GROUP_NUMA)
                    assert_int_equal(list.count, machine->info.numa_nodes);
                if (by == MLY_GROUP_CACHE && machine->info.last_level_caches)
                    assert_int_equal(list.count, machine->info.last_level_caches);
                if (by == MLY_GROUP_CORE)
                    assert_int_equal(list.count, machine->info.cores);
                for (size_t i = 0; i < list.count; i++)
                    assert_round_trip(machine, &list.items[i]);
                mly_processor_list_fini(&list);
            }
        }
        mly_machine_destroy(machine);
    }
}

static void groups_by_count_are_even_and_cover(void **state)
{
    (void)state;
    for (size_t m = 0; m < MACHINES; m++) {
        mly_machine *machine = make(&machines[m]);
        for (uint32_t count = 1; count <= machine->info.cores; count++) {
            struct mly_error err = {0};
            struct mly_processor_list list = {0};
            bool smt = count % 2;
            expect_ok(mly_machine_group(machine, MLY_GROUP_COUNT, count, smt, &list, &err), err);
            assert_int_equal(list.count, count);
            assert_int_equal(assert_disjoint(machine, &list, smt), machine->info.cores);
            for (size_t i = 0; i < list.count; i++) {
                uint32_t cores = cores_in(machine, &list.items[i]);
                assert_true(cores == machine->info.cores / count ||
                            cores == machine->info.cores / count + 1);
            }
            mly_processor_list_fini(&list);
        }
        mly_machine_destroy(machine);
    }
}

static uint32_t package_of(const mly_machine *machine, uint32_t cpu)
{
    return machine->cpus[mly__cpu_position(machine, cpu)].package;
}

static void groups_stay_inside_a_package_when_the_count_divides(void **state)
{
    (void)state;
    static const struct mly__machine_source source = {.synthetic =
                                                          "pack:2 numa:1 l3:1 core:5 pu:2"};
    mly_machine *machine = make(&source);
    for (uint32_t count = 2; count <= 10; count += 2) {
        struct mly_error err = {0};
        struct mly_processor_list list = {0};
        expect_ok(mly_machine_group(machine, MLY_GROUP_COUNT, count, false, &list, &err), err);
        for (size_t i = 0; i < list.count; i++) {
            const struct mly_processor *group = &list.items[i];
            for (uint32_t c = 1; c < group->cpu_count; c++)
                assert_int_equal(package_of(machine, group->cpus[c]),
                                 package_of(machine, group->cpus[0]));
            assert_true(group->numa_node == 0 || group->numa_node == 1);
            assert_int_equal(group->memory_bytes, 1 << 30);
        }
        mly_processor_list_fini(&list);
    }
    mly_machine_destroy(machine);
}

static void assert_ids(const char *synthetic, const char *spec, const char *wanted)
{
    struct mly_error err = {0};
    struct mly_processor_list list = {0};
    char text[512] = "";
    mly_machine *machine = make(&(struct mly__machine_source){.synthetic = synthetic});
    expect_ok(mly_machine_select(machine, spec, &list, &err), err);
    for (size_t i = 0; i < list.count; i++) {
        strcat(text, i ? " " : "");
        strcat(text, list.items[i].id + 4);
    }
    assert_string_equal(text, wanted);
    mly_processor_list_fini(&list);
    mly_machine_destroy(machine);
}

static void cores_left_over_go_to_the_first_groups(void **state)
{
    (void)state;
    assert_ids("core:16 pu:1", "cpu:groups=3", "0-5 6-10 11-15");
    assert_ids("pack:2 core:5 pu:1", "cpu:groups=4", "0-2 3-4 5-7 8-9");
    assert_ids("pack:2 l3:1 core:16 pu:1", "cpu:groups=4", "0-7 8-15 16-23 24-31");
    assert_ids("pack:2 core:16 pu:1", "cpu:groups=3", "0-10 11-21 22-31");
    assert_ids("core:4 pu:2(indexes=0,4,1,5,2,6,3,7)", "cpu:groups=2:smt", "0-1+4-5 2-3+6-7");
}

static void groups_by_size_are_exact_and_near(void **state)
{
    (void)state;
    assert_ids("pack:2 core:5 pu:1", "cpu:threads=4", "0-3 5-8");
    assert_ids("pack:2 core:6 pu:1", "cpu:threads=4", "0-3 4-5+10-11 6-9");
    assert_ids("pack:2 core:6 pu:1", "cpu:threads=12", "0-11");
    for (size_t m = 0; m < MACHINES; m++) {
        mly_machine *machine = make(&machines[m]);
        for (uint32_t size = 1; size <= machine->info.cores; size++) {
            struct mly_error err = {0};
            struct mly_processor_list list = {0};
            expect_ok(mly__group_by_size(machine, size, false, &list, &err), err);
            assert_int_equal(list.count, machine->info.cores / size);
            assert_int_equal(assert_disjoint(machine, &list, false), list.count * size);
            for (size_t i = 0; i < list.count; i++)
                assert_int_equal(list.items[i].cpu_count, size);
            mly_processor_list_fini(&list);
        }
        mly_machine_destroy(machine);
    }
}

static void a_group_says_what_it_has(void **state)
{
    (void)state;
    struct mly_error err = {0};
    struct mly_processor_list list = {0};
    mly_machine *machine = make(&machines[0]);
    expect_ok(mly_machine_group(machine, MLY_GROUP_WHOLE, 0, true, &list, &err), err);
    assert_string_equal(list.items[0].description,
                        "synthetic CPU, 32 cores, 64 threads, 2 x 16 MiB L3");
    assert_int_equal(list.items[0].numa_node, -1);
    assert_int_equal(list.items[0].memory_bytes, 2u << 30);
    mly_processor_list_fini(&list);
    expect_ok(mly_machine_select(machine, "cpu:2", &list, &err), err);
    assert_string_equal(list.items[0].description, "synthetic CPU, 1 core, 16 MiB L3");
    mly_processor_list_fini(&list);
    mly_machine_destroy(machine);
}

static void wrong_counts_are_refused(void **state)
{
    (void)state;
    struct mly_error err;
    struct mly_processor_list list = {0};
    mly_machine *machine = make(&machines[0]);
    expect_error(mly_machine_group(machine, MLY_GROUP_COUNT, 0, false, &list, &err), MLY_E_INVALID,
                 err, "0 is not from 1 to 32");
    expect_error(mly_machine_group(machine, MLY_GROUP_COUNT, 33, false, &list, &err), MLY_E_INVALID,
                 err, "33 is not from 1 to 32");
    expect_error(mly__group_by_size(machine, 33, false, &list, &err), MLY_E_INVALID, err,
                 "threads: 33");
    expect_error(mly_machine_group(machine, (enum mly_grouping)17, 1, false, &list, &err),
                 MLY_E_INVALID, err, "grouping 17");
    assert_null(list.items);
    assert_int_equal(mly_machine_group(machine, MLY_GROUP_COUNT, 0, false, &list, NULL),
                     MLY_E_INVALID);
    mly_processor_list_fini(&list);
    mly_processor_list_fini(NULL);
    mly_machine_destroy(machine);
}

static void ids_of_scattered_cpus_stay_short(void **state)
{
    (void)state;
    char id[64];
    uint32_t cpus[200], count = 0;
    const uint32_t steps[] = {1, 2, 5, 3, 2, 7};
    for (uint32_t cpu = 0; cpu < 200; cpu += steps[count++ % 6])
        cpus[count] = cpu;
    mly__cpu_id(cpus, count, id, sizeof id);
    assert_int_equal(strncmp(id, "cpu:0x", 6), 0);
    cpus[count - 1] = 60000;
    mly__cpu_id(cpus, count, id, sizeof id);
    assert_non_null(strchr(id, '~'));
    assert_true(strlen(id) < sizeof id);
    mly__cpu_id(cpus, 1, id, sizeof id);
    assert_string_equal(id, "cpu:0");
}

static void masks_are_read_back(void **state)
{
    (void)state;
    mly_machine *machine = make(&(struct mly__machine_source){
        .synthetic = "core:128 pu:1",
        .keep = "0+1+3+8+10+15+18+20+27+28+30+35+38+40+47+48+50+55+58+60+67+68+70+75"});
    struct mly_error err = {0};
    struct mly_processor_list list = {0};
    expect_ok(mly_machine_group(machine, MLY_GROUP_WHOLE, 0, false, &list, &err), err);
    assert_int_equal(strncmp(list.items[0].id, "cpu:0x", 6), 0);
    assert_round_trip(machine, &list.items[0]);
    mly_processor_list_fini(&list);
    mly_machine_destroy(machine);
}

static void every_allocation_may_fail(void **state)
{
    (void)state;
    mly_machine *machine = make(&machines[3]);
    for (uint64_t n = 1;; n++) {
        struct mly_error err = {0};
        struct mly_processor_list list = {0}, other = {0};
        mly_alloc_fail_once(n);
        uint64_t before = mly_alloc_count();
        enum mly_status status = mly_machine_group(machine, MLY_GROUP_COUNT, 3, true, &list, &err);
        if (status == MLY_OK)
            status = mly__group_by_size(machine, 2, false, &other, &err);
        uint64_t made = mly_alloc_count() - before;
        mly_alloc_fail_after(0);
        mly_processor_list_fini(&list);
        mly_processor_list_fini(&other);
        if (status == MLY_OK && made < n)
            break;
        assert_int_equal(status, MLY_E_NO_MEMORY);
        assert_int_equal(err.status, MLY_E_NO_MEMORY);
        assert_true(n < 1000);
    }
    mly_machine_destroy(machine);
}

int main(void)
{
    const struct CMUnitTest cases[] = {
        cmocka_unit_test(every_grouping_covers_all_cores_once),
        cmocka_unit_test(groups_by_count_are_even_and_cover),
        cmocka_unit_test(groups_stay_inside_a_package_when_the_count_divides),
        cmocka_unit_test(cores_left_over_go_to_the_first_groups),
        cmocka_unit_test(groups_by_size_are_exact_and_near),
        cmocka_unit_test(a_group_says_what_it_has),
        cmocka_unit_test(wrong_counts_are_refused),
        cmocka_unit_test(ids_of_scattered_cpus_stay_short),
        cmocka_unit_test(masks_are_read_back),
        cmocka_unit_test(every_allocation_may_fail),
    };
    return cmocka_run_group_tests(cases, NULL, NULL);
}

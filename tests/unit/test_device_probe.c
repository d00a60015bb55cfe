/* What is found in recorded trees of /sys, /proc and /dev, and through a stand-in for CUDA. */
#include "support/expect.h"

#include <sys/stat.h>

#include <motley/device.h>

#include "base/alloc.h"
#include "device/internal.h"

static char *root;

static int setup(void **state)
{
    (void)state;
    root = scratch_create();
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    mly_alloc_fail_after(0);
    scratch_remove(root);
    return 0;
}

/* Writes ROOT/PATH with its folders. */
static void put(const char *path, const char *text)
{
    struct mly_error err = {0};
    char folder[4096];
    snprintf(folder, sizeof folder, "%s/%s", root, path);
    *strrchr(folder, '/') = '\0';
    expect_ok(mly_dir_create(folder, &err), err);
    expect_ok(mly_file_write(scratch_path(root, path), text, strlen(text), &err), err);
}

static mly_machine *make(void)
{
    struct mly_error err = {0};
    mly_machine *machine = NULL;
    const struct mly__machine_source source = {.synthetic = "core:4 pu:1", .root = root};
    expect_ok(mly__machine_create(&source, &machine, &err), err);
    return machine;
}

static const struct mly_processor *find(const struct mly_processor_list *list, const char *id)
{
    for (size_t i = 0; i < list->count; i++)
        if (strcmp(list->items[i].id, id) == 0)
            return &list->items[i];
    fail_msg("no processor %s", id);
    return NULL;
}

static struct mly_processor_list probe(const mly_machine *machine)
{
    struct mly_error err = {0};
    struct mly_processor_list list = {0};
    expect_ok(mly_machine_processors(machine, &list, &err), err);
    assert_true(list.count >= 1 + mly__kind_count);
    assert_string_equal(list.items[0].kind, "cpu");
    assert_true(list.items[0].usable);
    assert_string_equal(list.items[0].reason, "");
    for (size_t i = 1; i < list.count; i++)
        assert_true(list.items[i].usable == (list.items[i].reason[0] == '\0'));
    return list;
}

static void an_empty_box_says_why_each_kind_is_absent(void **state)
{
    (void)state;
    mly_machine *machine = make();
    struct mly_processor_list list = probe(machine);
    assert_string_equal(find(&list, "cuda")->reason,
                        "absent: libcuda.so.1 not found (no NVIDIA driver)");
    assert_non_null(strstr(find(&list, "edgetpu")->reason, "absent: no Edge TPU found"));
    assert_non_null(strstr(find(&list, "intel-gpu")->reason, "absent: no Intel GPU"));
    assert_non_null(strstr(find(&list, "intel-npu")->reason, "absent: no Intel NPU"));
    mly_processor_list_fini(&list);
    mly_machine_destroy(machine);
}

/* Two PCIe boards and two USB sticks, one of them not started yet, among other devices. */
static void record_edgetpus(void)
{
    put("dev/apex_0", "");
    put("dev/apex_1", "");
    put("sys/bus/usb/devices/usb1/idVendor", "1d6b\n");
    put("sys/bus/usb/devices/usb1/idProduct", "0002\n");
    put("sys/bus/usb/devices/1-2/idVendor", "1a6e\n");
    put("sys/bus/usb/devices/1-2/idProduct", "089a\n");
    put("sys/bus/usb/devices/2-1.4/idVendor", "18d1\n");
    put("sys/bus/usb/devices/2-1.4/idProduct", "9302\n");
    put("sys/bus/usb/devices/2-3/idVendor", "18d1\n");
    put("sys/bus/usb/devices/2-3/idProduct", "4ee7\n");
    put("sys/bus/usb/devices/2-3:1.0/bInterfaceClass", "ff\n");
}

static void recorded_edge_tpus_are_found(void **state)
{
    (void)state;
    struct mly_error err;
    struct mly_processor_list chosen = {0};
    record_edgetpus();
    mly_machine *machine = make();
    struct mly_processor_list list = probe(machine);
    assert_string_equal(find(&list, "edgetpu:0")->description, "Edge TPU, PCIe apex_0, 8 MiB");
    assert_string_equal(find(&list, "edgetpu:1")->description, "Edge TPU, PCIe apex_1, 8 MiB");
    assert_string_equal(find(&list, "edgetpu:2")->description, "Edge TPU, USB 1-2, 8 MiB");
    assert_string_equal(find(&list, "edgetpu:3")->description, "Edge TPU, USB 2-1.4, 8 MiB");
    assert_int_equal(find(&list, "edgetpu:3")->memory_bytes, 8 << 20);
    assert_false(find(&list, "edgetpu:0")->usable);
    assert_int_equal(list.count, 1 + 1 + 4 + 1 + 1);
    mly_processor_list_fini(&list);

    expect_error(mly_machine_select(machine, "edgetpu:4", &chosen, &err), MLY_E_ABSENT, err,
                 "this machine has 4");
    expect_error(mly_machine_select(machine, "edgetpu:3", &chosen, &err), MLY_E_ABSENT, err,
                 "USB 2-1.4");
    expect_error(mly_machine_select(machine, "edgetpu:x", &chosen, &err), MLY_E_INVALID, err,
                 "column 9: 'x' is no number of a device, such as edgetpu:0");
    expect_error(mly_machine_select(machine, "edgetpu:99999999999999999999", &chosen, &err),
                 MLY_E_INVALID, err, "no number");
    mly_machine_destroy(machine);
}

static void what_is_on_the_bus_without_driver_is_said(void **state)
{
    (void)state;
    put("sys/bus/pci/devices/0000:01:00.0/vendor", "0x10de\n");
    put("sys/bus/pci/devices/0000:01:00.0/class", "0x030200\n");
    put("sys/bus/pci/devices/0000:02:00.0/vendor", "0x1ac1\n");
    put("sys/bus/pci/devices/0000:02:00.0/class", "0x0880ff\n");
    put("sys/class/drm/renderD128/device/vendor", "0x8086\n");
    put("sys/class/drm/renderD129/device/vendor", "0x1002\n");
    put("sys/class/accel/accel0/device/vendor", "0x8086\n");
    mly_machine *machine = make();
    struct mly_processor_list list = probe(machine);
    assert_non_null(strstr(find(&list, "cuda")->reason, "install its driver"));
    assert_non_null(strstr(find(&list, "edgetpu")->reason, "gasket"));
    assert_string_equal(find(&list, "intel-gpu:0")->description, "Intel GPU (renderD128)");
    assert_string_equal(find(&list, "intel-npu:0")->description, "Intel NPU (accel0)");
    assert_int_equal(list.count, 5);
    mly_processor_list_fini(&list);
    mly_machine_destroy(machine);
}

/* --- control groups --- */

static void assert_limits(double cpu_quota, uint64_t memory_bytes)
{
    double quota = -1;
    uint64_t memory = 1;
    mly__read_cgroup(root, &quota, &memory);
    assert_true(quota == cpu_quota);
    assert_int_equal(memory, memory_bytes);
}

static void no_control_groups_mean_no_limit(void **state)
{
    (void)state;
    assert_limits(0, 0);
    put("proc/self/cgroup", "garbage\n::\n0::\n1:cpu\n0::/..\n");
    assert_limits(0, 0);
}

static void limits_of_version_2_bind_from_the_outside_too(void **state)
{
    (void)state;
    put("proc/self/cgroup", "0::/a/b\n");
    put("sys/fs/cgroup/a/b/cpu.max", "max 100000\n");
    put("sys/fs/cgroup/a/b/memory.max", "4294967296\n");
    assert_limits(0, UINT64_C(4) << 30);
    put("sys/fs/cgroup/a/cpu.max", "150000 100000\n");
    put("sys/fs/cgroup/a/memory.max", "max\n");
    assert_limits(1.5, UINT64_C(4) << 30);
    put("sys/fs/cgroup/a/b/cpu.max", "50000 100000\n");
    put("sys/fs/cgroup/a/memory.max", "1048576\n");
    assert_limits(0.5, 1 << 20);
}

static void a_container_reads_the_mount_itself(void **state)
{
    (void)state;
    put("proc/self/cgroup", "0::/system.slice/docker-0123.scope\n");
    put("sys/fs/cgroup/cpu.max", "200000 100000\n");
    put("sys/fs/cgroup/memory.max", "536870912\n");
    assert_limits(2, 512 << 20);
    put("proc/self/cgroup", "0::/\n");
    assert_limits(2, 512 << 20);
}

static void limits_of_version_1_are_read(void **state)
{
    (void)state;
    put("proc/self/cgroup", "5:memory:/docker/1\n4:cpuset:/x\n3:cpu,cpuacct:/docker/1\n0::/\n");
    put("sys/fs/cgroup/cpu,cpuacct/docker/1/cpu.cfs_quota_us", "300000\n");
    put("sys/fs/cgroup/cpu,cpuacct/docker/1/cpu.cfs_period_us", "100000\n");
    put("sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us", "-1\n");
    put("sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us", "100000\n");
    put("sys/fs/cgroup/memory/docker/1/memory.limit_in_bytes", "1073741824\n");
    put("sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n");
    assert_limits(3, 1 << 30);
}

static void limits_show_in_the_machine(void **state)
{
    (void)state;
    put("proc/self/cgroup", "0::/\n");
    put("sys/fs/cgroup/cpu.max", "50000 100000\n");
    put("sys/fs/cgroup/memory.max", "536870912\n");
    mly_machine *machine = make();
    struct mly_processor_list list = probe(machine);
    assert_true(mly_machine_info(machine)->cpu_quota == 0.5);
    assert_int_equal(mly_machine_info(machine)->memory_bytes, 512 << 20);
    assert_int_equal(list.items[0].memory_bytes, 512 << 20);
    mly_processor_list_fini(&list);
    mly_machine_destroy(machine);
}

/* --- the CPU --- */

static void features_are_those_that_matter(void **state)
{
    (void)state;
    char model[64], features[256];
    mly__read_cpu(root, model, sizeof model, features, sizeof features);
    assert_string_equal(model, "");
    assert_string_equal(features, "");
    put("proc/cpuinfo",
        "processor\t: 0\nmodel name\t: Some CPU @ 3 GHz\nflags\t\t: fpu avx sse4_2 avx2x fma "
        "avx512_vnni\nvmx flags\t: ept\n\nprocessor\t: 1\n");
    mly__read_cpu(root, model, sizeof model, features, sizeof features);
    assert_string_equal(model, "Some CPU @ 3 GHz");
    assert_string_equal(features, "sse4_2 avx fma avx512_vnni");
    put("proc/cpuinfo",
        "processor\t: 0\nFeatures\t: fp asimd asimddp i8mm bf16\nCPU implementer\t: 0x41\n"
        "CPU part\t: 0xd40\n");
    mly__read_cpu(root, model, sizeof model, features, sizeof features);
    assert_string_equal(model, "ARM Neoverse V1");
    assert_string_equal(features, "asimd asimddp i8mm bf16");
    put("proc/cpuinfo", "CPU implementer\t: 0x61\nCPU part\t: 0x22");
    mly__read_cpu(root, model, sizeof model, features, 8);
    assert_string_equal(model, "CPU implementer 0x61 part 0x22");
    assert_string_equal(features, "");
}

/* --- CUDA --- */

static int fake_result, fake_count;

static int fake_init(unsigned flags)
{
    (void)flags;
    return fake_result;
}

static int fake_device_count(int *count)
{
    *count = fake_count;
    return 0;
}

static int fake_device_get(int *device, int ordinal)
{
    *device = ordinal + 40;
    return 0;
}

static int fake_device_name(char *name, int length, int device)
{
    snprintf(name, (size_t)length, "Fake %d", device);
    return 0;
}

static int fake_device_memory(size_t *bytes, int device)
{
    (void)device;
    *bytes = (size_t)80 << 30;
    return 0;
}

static int fake_ok(void)
{
    return 0;
}

static int fake_managed_count(unsigned *count)
{
    *count = 1;
    return 0;
}

static int fake_handle(unsigned index, void **handle)
{
    (void)index;
    *handle = NULL;
    return 0;
}

static int fake_managed_name(void *handle, char *name, unsigned length)
{
    (void)handle;
    snprintf(name, length, "Managed");
    return 0;
}

static struct mly_processor_list cuda(const struct mly__cuda_api *api)
{
    struct mly__builder builder = {0};
    assert_int_equal(mly__cuda_list(api, &builder), MLY_OK);
    assert_true(builder.list.count > 0);
    return builder.list;
}

static void cuda_devices_are_listed_with_what_is_missing(void **state)
{
    (void)state;
    struct mly__cuda_api api = {.init = fake_init,
                                .device_count = fake_device_count,
                                .device_get = fake_device_get,
                                .device_name = fake_device_name,
                                .device_memory = fake_device_memory};
    fake_result = 0;
    fake_count = 2;
    struct mly_processor_list list = cuda(&api);
    assert_int_equal(list.count, 2);
    assert_string_equal(list.items[1].id, "cuda:1");
    assert_string_equal(list.items[1].description, "Fake 41, 80 GiB");
    assert_string_equal(list.items[1].reason, "motley has no CUDA back end yet");
    mly_processor_list_fini(&list);

    fake_count = 0;
    list = cuda(&api);
    assert_string_equal(list.items[0].reason,
                        "absent: the NVIDIA driver offers no device to this process");
    mly_processor_list_fini(&list);

    fake_result = 999;
    list = cuda(&api);
    assert_string_equal(list.items[0].id, "cuda");
    assert_non_null(strstr(list.items[0].reason, "CUDA error 999"));
    mly_processor_list_fini(&list);

    api.management_init = api.management_shutdown = fake_ok;
    api.management_count = fake_managed_count;
    api.management_handle = fake_handle;
    api.management_name = fake_managed_name;
    list = cuda(&api);
    assert_string_equal(list.items[0].id, "cuda:0");
    assert_string_equal(list.items[0].description, "Managed");
    assert_non_null(strstr(list.items[0].reason, "CUDA error 999"));
    mly_processor_list_fini(&list);

    list = cuda(&(struct mly__cuda_api){0});
    assert_non_null(strstr(list.items[0].reason, "lacks cuInit"));
    mly_processor_list_fini(&list);
}

/* --- all together --- */

static void this_box_is_probed_without_failing(void **state)
{
    (void)state;
    struct mly_error err = {0};
    mly_machine *machine = NULL;
    expect_ok(mly_machine_create(NULL, &machine, &err), err);
    struct mly_processor_list list = probe(machine);
    mly_processor_list_fini(&list);
    mly_machine_destroy(machine);
}

static void every_allocation_may_fail(void **state)
{
    (void)state;
    record_edgetpus();
    put("sys/class/accel/accel0/device/vendor", "0x8086\n");
    mly_machine *machine = make();
    for (uint64_t n = 1;; n++) {
        struct mly_error err = {0};
        struct mly_processor_list list = {0};
        mly_alloc_fail_once(n);
        uint64_t before = mly_alloc_count();
        enum mly_status status = mly_machine_processors(machine, &list, &err);
        uint64_t made = mly_alloc_count() - before;
        mly_alloc_fail_after(0);
        mly_processor_list_fini(&list);
        if (status == MLY_OK && made < n)
            break;
        assert_int_equal(status, MLY_E_NO_MEMORY);
        assert_int_equal(err.status, MLY_E_NO_MEMORY);
        assert_true(n < 1000);
    }
    mly_machine_destroy(machine);
}

static void cores_are_all_there_are_or_only_some(void **state)
{
    (void)state;
    static const uint32_t firsts[] = {0, 1}, both_of_one[] = {0, 2}, more[] = {0, 1, 9};
    assert_false(mly__cpus_are_whole_box(root, firsts, 2)); /* the kernel does not tell */
    put("sys/devices/system/cpu/online", "0-3\n");
    assert_false(mly__cpus_are_whole_box(root, firsts, 2));
    put("sys/devices/system/cpu/cpu0/topology/thread_siblings_list", "0,2\n");
    put("sys/devices/system/cpu/cpu1/topology/thread_siblings_list", "1,3\n");
    assert_true(mly__cpus_are_whole_box(root, firsts, 2));
    assert_true(mly__cpus_are_whole_box(root, more, 3));
    assert_false(mly__cpus_are_whole_box(root, both_of_one, 2));
    assert_false(mly__cpus_are_whole_box(root, NULL, 0));
    put("sys/devices/system/cpu/online", "0-3-\n");
    assert_false(mly__cpus_are_whole_box(root, firsts, 2));
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest cases[] = {
        CASE(an_empty_box_says_why_each_kind_is_absent),
        CASE(recorded_edge_tpus_are_found),
        CASE(what_is_on_the_bus_without_driver_is_said),
        CASE(no_control_groups_mean_no_limit),
        CASE(limits_of_version_2_bind_from_the_outside_too),
        CASE(a_container_reads_the_mount_itself),
        CASE(limits_of_version_1_are_read),
        CASE(limits_show_in_the_machine),
        CASE(features_are_those_that_matter),
        CASE(cuda_devices_are_listed_with_what_is_missing),
        CASE(this_box_is_probed_without_failing),
        CASE(cores_are_all_there_are_or_only_some),
        CASE(every_allocation_may_fail),
    };
    return cmocka_run_group_tests(cases, NULL, NULL);
}

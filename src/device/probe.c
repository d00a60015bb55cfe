/* Processors that are no CPU: what there is of each kind, or why there is none. Looking never fails
 * the program. */
#include "device/internal.h"

#include <dlfcn.h>
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"

#define MAX_DEVICES 64 /* of one kind; more are not listed */

struct mly_processor *mly__builder_add(struct mly__builder *builder, const char *kind, int index,
                                       const char *reason)
{
    if (mly_array_reserve(&builder->list.items, &builder->capacity, builder->list.count + 1,
                          sizeof *builder->list.items))
        return NULL;
    struct mly_processor *item = &builder->list.items[builder->list.count++];
    *item = (struct mly_processor){.usable = reason == NULL, .numa_node = -1};
    snprintf(item->kind, sizeof item->kind, "%s", kind);
    if (index < 0)
        snprintf(item->id, sizeof item->id, "%s", kind);
    else
        snprintf(item->id, sizeof item->id, "%s:%d", kind, index);
    snprintf(item->reason, sizeof item->reason, "%s", reason ? reason : "");
    return item;
}

/* --- Edge TPU --- */

/* "8 MB of SRAM": Google Coral, Edge TPU compiler documentation, "Parameter data caching". */
#define EDGETPU_MEMORY_BYTES (UINT64_C(8) << 20)

/* Before and after the device's firmware is loaded: Google Coral, libedgetpu's udev rules. */
static const struct {
    const char *vendor, *product;
} edgetpu_usb[] = {{"1a6e", "089a"}, {"18d1", "9302"}};

static bool is_usb_edgetpu(const char *root, const char *device)
{
    char path[128], vendor[16], product[16];
    snprintf(path, sizeof path, "/sys/bus/usb/devices/%s/idVendor", device);
    if (!mly__read_text(root, path, vendor, sizeof vendor))
        return false;
    snprintf(path, sizeof path, "/sys/bus/usb/devices/%s/idProduct", device);
    if (!mly__read_text(root, path, product, sizeof product))
        return false;
    for (size_t i = 0; i < sizeof edgetpu_usb / sizeof edgetpu_usb[0]; i++)
        if (strcmp(vendor, edgetpu_usb[i].vendor) == 0 &&
            strcmp(product, edgetpu_usb[i].product) == 0)
            return true;
    return false;
}

static bool library_exists(const char *name)
{
    void *library = dlopen(name, RTLD_LAZY | RTLD_LOCAL);
    if (library)
        dlclose(library);
    return library != NULL;
}

static bool add_edgetpu(struct mly__builder *builder, int index, const char *reason,
                        const char *where, const char *device)
{
    struct mly_processor *item = mly__builder_add(builder, "edgetpu", index, reason);
    if (!item)
        return false;
    item->memory_bytes = EDGETPU_MEMORY_BYTES;
    snprintf(item->description, sizeof item->description, "Edge TPU, %s %s, 8 MiB", where, device);
    return true;
}

static enum mly_status probe_edgetpu(const mly_machine *machine, struct mly__builder *builder)
{
    static const char no_library[] =
        "libedgetpu.so.1 not found (install Google Coral's libedgetpu1-std)";
    static const char no_back_end[] = "motley has no Edge TPU back end yet";
    char names[MAX_DEVICES][MLY__NAME_BYTES];
    const char *reason = NULL; /* the library is looked for only where there is a device */
    int index = 0;
    size_t count = mly__read_names(machine->root, "/dev", "apex_", names, MAX_DEVICES);
    for (size_t i = 0; i < count; i++) {
        if (!reason)
            reason = library_exists("libedgetpu.so.1") ? no_back_end : no_library;
        if (!add_edgetpu(builder, index++, reason, "PCIe", names[i]))
            return MLY_E_NO_MEMORY;
    }
    count = mly__read_names(machine->root, "/sys/bus/usb/devices", "", names, MAX_DEVICES);
    for (size_t i = 0; i < count; i++) {
        if (!is_usb_edgetpu(machine->root, names[i]))
            continue;
        if (!reason)
            reason = library_exists("libedgetpu.so.1") ? no_back_end : no_library;
        if (!add_edgetpu(builder, index++, reason, "USB", names[i]))
            return MLY_E_NO_MEMORY;
    }
    if (index > 0)
        return MLY_OK;
    const char *absent =
        mly__pci_has(machine->root, "0x1ac1", "0x")
            ? "absent: an Edge TPU is on the PCI bus, but /dev/apex_* is missing (load "
              "the gasket and apex kernel modules)"
            : "absent: no Edge TPU found (/dev/apex_*, USB 1a6e:089a or 18d1:9302)";
    return mly__builder_add(builder, "edgetpu", -1, absent) ? MLY_OK : MLY_E_NO_MEMORY;
}

/* --- Intel GPU and NPU --- */

static enum mly_status probe_intel(const mly_machine *machine, struct mly__builder *builder,
                                   const char *kind, const char *folder, const char *prefix,
                                   const char *name)
{
    char names[MAX_DEVICES][MLY__NAME_BYTES], path[192], vendor[16], reason[128];
    size_t count = mly__read_names(machine->root, folder, prefix, names, MAX_DEVICES);
    int index = 0;
    snprintf(reason, sizeof reason, "motley has no back end for the %s yet", name);
    for (size_t i = 0; i < count; i++) {
        snprintf(path, sizeof path, "%s/%s/device/vendor", folder, names[i]);
        if (!mly__read_text(machine->root, path, vendor, sizeof vendor) ||
            strcmp(vendor, "0x8086") != 0) /* Intel, PCI-SIG's list of vendors */
            continue;
        struct mly_processor *item = mly__builder_add(builder, kind, index++, reason);
        if (!item)
            return MLY_E_NO_MEMORY;
        snprintf(item->description, sizeof item->description, "%s (%s)", name, names[i]);
    }
    if (index > 0)
        return MLY_OK;
    snprintf(reason, sizeof reason, "absent: no %s found (%s/%s*)", name, folder, prefix);
    return mly__builder_add(builder, kind, -1, reason) ? MLY_OK : MLY_E_NO_MEMORY;
}

static enum mly_status probe_intel_gpu(const mly_machine *machine, struct mly__builder *builder)
{
    return probe_intel(machine, builder, "intel-gpu", "/sys/class/drm", "renderD", "Intel GPU");
}

static enum mly_status probe_intel_npu(const mly_machine *machine, struct mly__builder *builder)
{
    return probe_intel(machine, builder, "intel-npu", "/sys/class/accel", "accel", "Intel NPU");
}

/* --- all --- */

const struct mly__kind mly__kinds[] = {
    {"cuda", mly__cuda_probe},
    {"edgetpu", probe_edgetpu},
    {"intel-gpu", probe_intel_gpu},
    {"intel-npu", probe_intel_npu},
};
const size_t mly__kind_count = sizeof mly__kinds / sizeof mly__kinds[0];

enum mly_status mly__probe_kind(const mly_machine *machine, const struct mly__kind *kind,
                                struct mly__builder *builder, struct mly_error *err)
{
    enum mly_status status = MLY_OK;
    if (!machine->info.synthetic || machine->root[0] != '\0')
        status = kind->probe(machine, builder);
    else if (!mly__builder_add(builder, kind->name, -1,
                               "absent: a synthetic machine has only CPUs"))
        status = MLY_E_NO_MEMORY;
    return status ? mly_error_set(err, status, "no memory for the list of processors") : MLY_OK;
}

enum mly_status mly_machine_processors(const mly_machine *machine, struct mly_processor_list *out,
                                       struct mly_error *err)
{
    struct mly__builder builder = {0};
    enum mly_status status =
        mly_machine_group(machine, MLY_GROUP_WHOLE, 0, false, &builder.list, err);
    if (status)
        return status;
    builder.capacity = builder.list.count;
    for (size_t i = 0; i < mly__kind_count && status == MLY_OK; i++)
        status = mly__probe_kind(machine, &mly__kinds[i], &builder, err);
    if (status)
        mly_processor_list_fini(&builder.list);
    else
        *out = builder.list;
    return status;
}

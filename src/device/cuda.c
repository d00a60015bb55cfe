/*
 * NVIDIA GPUs, seen through the driver's libraries, which are loaded at run time and never linked.
 * Source of the functions' signatures: NVIDIA CUDA Driver API and NVML API references.
 */
#include "device/internal.h"

#include <dlfcn.h>
#include <stdio.h>
#include <string.h>

#define CUDA_SUCCESS 0
#define CUDA_ERROR_NO_DEVICE 100
#define MAX_DEVICES 64

static const char no_back_end[] = "motley has no CUDA back end yet";

/* ISO C has no conversion from an object's address to a function's; POSIX promises that the bytes
 * are the same. */
static void find(void *library, const char *name, void *function)
{
    void *address = library ? dlsym(library, name) : NULL;
    memcpy(function, &address, sizeof address);
}

static void name_item(struct mly_processor *item, const char *name)
{
    if (item->memory_bytes)
        snprintf(item->description, sizeof item->description, "%.80s, %.0f GiB", name,
                 (double)item->memory_bytes / (1 << 30));
    else
        snprintf(item->description, sizeof item->description, "%.80s", name);
}

static enum mly_status list_devices(const struct mly__cuda_api *api, int count,
                                    struct mly__builder *builder)
{
    for (int i = 0; i < count && i < MAX_DEVICES; i++) {
        char name[96] = "NVIDIA GPU";
        size_t bytes = 0;
        int device;
        struct mly_processor *item = mly__builder_add(builder, "cuda", i, no_back_end);
        if (!item)
            return MLY_E_NO_MEMORY;
        if (api->device_get && api->device_get(&device, i) == CUDA_SUCCESS) {
            if (api->device_name)
                (void)api->device_name(name, (int)sizeof name, device);
            if (api->device_memory && api->device_memory(&bytes, device) == CUDA_SUCCESS)
                item->memory_bytes = bytes;
        }
        name[sizeof name - 1] = '\0';
        name_item(item, name);
    }
    return MLY_OK;
}

/* CUDA does not work: NVML may still know what is in the box. Adds nothing if it does not. */
static enum mly_status list_managed(const struct mly__cuda_api *api, const char *reason,
                                    struct mly__builder *builder)
{
    unsigned count = 0;
    enum mly_status status = MLY_OK;
    if (!api->management_init || !api->management_count || api->management_init() != CUDA_SUCCESS)
        return MLY_OK;
    if (api->management_count(&count) != CUDA_SUCCESS)
        count = 0;
    for (unsigned i = 0; status == MLY_OK && i < count && i < MAX_DEVICES; i++) {
        char name[96] = "NVIDIA GPU";
        void *handle;
        struct mly_processor *item = mly__builder_add(builder, "cuda", (int)i, reason);
        if (item && api->management_handle && api->management_name &&
            api->management_handle(i, &handle) == CUDA_SUCCESS)
            (void)api->management_name(handle, name, (unsigned)sizeof name);
        name[sizeof name - 1] = '\0';
        if (item)
            name_item(item, name);
        else
            status = MLY_E_NO_MEMORY;
    }
    if (api->management_shutdown)
        (void)api->management_shutdown();
    return status;
}

enum mly_status mly__cuda_list(const struct mly__cuda_api *api, struct mly__builder *builder)
{
    char reason[96];
    int count = 0, result = CUDA_SUCCESS;
    const size_t before = builder->list.count;
    if (!api->init || !api->device_count) {
        snprintf(reason, sizeof reason, "absent: libcuda.so.1 lacks cuInit or cuDeviceGetCount");
    } else if ((result = api->init(0)) == CUDA_SUCCESS &&
               (result = api->device_count(&count)) == CUDA_SUCCESS && count > 0) {
        return list_devices(api, count, builder);
    } else if (result == CUDA_SUCCESS || result == CUDA_ERROR_NO_DEVICE) {
        snprintf(reason, sizeof reason,
                 "absent: the NVIDIA driver offers no device to this process");
    } else {
        snprintf(reason, sizeof reason, "absent: the NVIDIA driver does not start (CUDA error %d)",
                 result);
    }
    enum mly_status status = list_managed(api, reason, builder);
    if (status == MLY_OK && builder->list.count == before &&
        !mly__builder_add(builder, "cuda", -1, reason))
        status = MLY_E_NO_MEMORY;
    return status;
}

enum mly_status mly__cuda_probe(const mly_machine *machine, struct mly__builder *builder)
{
    /* A recorded box has no libraries. */
    void *cuda = machine->root[0] ? NULL : dlopen("libcuda.so.1", RTLD_NOW | RTLD_LOCAL);
    if (!cuda) {
        const char *reason =
            mly__pci_has(machine->root, "0x10de", "0x03")
                ? "absent: libcuda.so.1 not found (an NVIDIA GPU is on the PCI bus: "
                  "install its driver)"
                : "absent: libcuda.so.1 not found (no NVIDIA driver)";
        return mly__builder_add(builder, "cuda", -1, reason) ? MLY_OK : MLY_E_NO_MEMORY;
    }
    struct mly__cuda_api api = {0};
    find(cuda, "cuInit", &api.init);
    find(cuda, "cuDeviceGetCount", &api.device_count);
    find(cuda, "cuDeviceGet", &api.device_get);
    find(cuda, "cuDeviceGetName", &api.device_name);
    find(cuda, "cuDeviceTotalMem_v2", &api.device_memory);
    void *management = dlopen("libnvidia-ml.so.1", RTLD_NOW | RTLD_LOCAL);
    find(management, "nvmlInit_v2", &api.management_init);
    find(management, "nvmlShutdown", &api.management_shutdown);
    find(management, "nvmlDeviceGetCount_v2", &api.management_count);
    find(management, "nvmlDeviceGetHandleByIndex_v2", &api.management_handle);
    find(management, "nvmlDeviceGetName", &api.management_name);
    enum mly_status status = mly__cuda_list(&api, builder);
    if (management)
        dlclose(management);
    /* The CUDA driver stays loaded: once started it keeps state that must not be unmapped. */
    return status;
}

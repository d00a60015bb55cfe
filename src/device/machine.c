/* Machines: hwloc's topology, the control groups' limits and the CPU's features, put together. */
#include "device/internal.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/hash.h"

/* What makes measurements of two boxes comparable: no names, no addresses, no OS indices. */
static enum mly_status identify(mly_machine *machine, const char *synthetic, struct mly_error *err)
{
    struct mly_machine_info *info = &machine->info;
    char *text = mly_strfmt(
        "motley host 1\nmodel %s\nfeatures %s\npackages %" PRIu32 " numa %" PRIu32
        " caches %" PRIu32 " x %" PRIu64 " cores %" PRIu32 " of %" PRIu32 " threads %" PRIu32
        " kinds %" PRIu32 " quota %.2f\nsynthetic %s\n",
        info->cpu_model, info->cpu_features, info->packages, info->numa_nodes,
        info->last_level_caches, info->last_level_cache_bytes, info->cores, info->cores_total,
        info->hardware_threads, machine->kind_count, info->cpu_quota, synthetic ? synthetic : "");
    if (!text)
        return mly_error_set(err, MLY_E_NO_MEMORY, "no memory for the machine's identity");
    enum mly_status status = mly_hash_bytes(text, strlen(text), info->host_id, err);
    mly_free(text);
    return status;
}

static void read_box(mly_machine *machine)
{
    struct mly_machine_info *info = &machine->info;
    uint64_t limit_bytes;
    char model[sizeof info->cpu_model];
    mly__read_cpu(machine->root, model, sizeof model, info->cpu_features,
                  sizeof info->cpu_features);
    if (info->cpu_model[0] == '\0')
        memcpy(info->cpu_model, model, sizeof model);
    /* A node's size is read at boot; a virtual machine's memory may have grown since. */
    uint64_t all_bytes = (uint64_t)sysconf(_SC_PHYS_PAGES) * (uint64_t)sysconf(_SC_PAGESIZE);
    if (machine->root[0] == '\0' && info->numa_nodes <= 1 && all_bytes > info->memory_bytes)
        info->memory_bytes = all_bytes;
    mly__read_cgroup(machine->root, &info->cpu_quota, &limit_bytes);
    if (limit_bytes && (info->memory_bytes == 0 || limit_bytes < info->memory_bytes))
        info->memory_bytes = limit_bytes;
}

enum mly_status mly__machine_create(const struct mly__machine_source *source, mly_machine **out,
                                    struct mly_error *err)
{
    enum mly_status status;
    mly_machine *machine = mly_alloc(sizeof *machine);
    if (!machine)
        return mly_error_set(err, MLY_E_NO_MEMORY, "no memory for a machine");
    if (source->root && (size_t)snprintf(machine->root, sizeof machine->root, "%s", source->root) >=
                            sizeof machine->root) {
        status = mly_error_set(err, MLY_E_LIMIT, "'%s': over %zu bytes", source->root,
                               sizeof machine->root - 1);
        goto fail;
    }
    if ((status = mly__topology_read(source, machine, err)))
        goto fail;
    if (!machine->info.synthetic || source->root)
        read_box(machine);
    if (machine->info.cpu_model[0] == '\0')
        snprintf(machine->info.cpu_model, sizeof machine->info.cpu_model, "%s",
                 machine->info.synthetic ? "synthetic CPU" : "unknown CPU");
    if ((status = identify(machine, source->synthetic, err)))
        goto fail;
    *out = machine;
    return MLY_OK;
fail:
    mly_machine_destroy(machine);
    return status;
}

enum mly_status mly_machine_create(const char *synthetic, mly_machine **out, struct mly_error *err)
{
    return mly__machine_create(&(struct mly__machine_source){.synthetic = synthetic}, out, err);
}

void mly_machine_destroy(mly_machine *machine)
{
    if (!machine)
        return;
    mly_free(machine->cpus);
    mly_free(machine->by_os_index);
    mly_free(machine->cores);
    mly_free(machine->numa_nodes);
    mly_free(machine->topology_text);
    mly_free(machine);
}

const struct mly_machine_info *mly_machine_info(const mly_machine *machine)
{
    return &machine->info;
}

enum mly_status mly_machine_topology_text(const mly_machine *machine, char **out,
                                          struct mly_error *err)
{
    char *copy = mly_strdup(machine->topology_text);
    if (!copy)
        return mly_error_set(err, MLY_E_NO_MEMORY, "no memory for the topology's text");
    *out = copy;
    return MLY_OK;
}

void mly_processor_list_fini(struct mly_processor_list *list)
{
    if (!list)
        return;
    for (size_t i = 0; i < list->count; i++)
        mly_free(list->items[i].cpus);
    mly_free(list->items);
    *list = (struct mly_processor_list){0};
}

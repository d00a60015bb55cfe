/*
 * What hwloc knows of a machine, as plain arrays and as text. The only file that sees hwloc.
 *
 *  1. Load: this box, a synthetic description or recorded XML, all of it, also what this process
 * may not use.
 *  2. Take what belongs to the whole box: cores, memory.
 *  3. Restrict to what this process may use (control groups, affinity).
 *  4. Number cores, packages, NUMA nodes, last-level caches and kinds thread by thread.
 *  5. Write the tree as text.
 */
#include "device/internal.h"

#include <hwloc.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/buffer.h"

struct reading {
    hwloc_topology_t topology;
    const struct mly__machine_source *source;
    mly_machine *machine;
    struct mly_error *err;
};

static enum mly_status no_memory(struct mly_error *err)
{
    return mly_error_set(err, MLY_E_NO_MEMORY, "no memory for the machine's topology");
}

/* --- 1. load --- */

static enum mly_status load(struct reading *reading)
{
    const char *synthetic = reading->source->synthetic, *xml = reading->source->xml;
    hwloc_topology_t topology = reading->topology;
    if (synthetic) {
        enum mly_status status = mly__synthetic_check(synthetic, reading->err);
        if (status)
            return status;
        if (hwloc_topology_set_synthetic(topology, synthetic) < 0)
            return mly_error_set(
                reading->err, MLY_E_INVALID,
                "synthetic machine '%s': the levels do not fit together; order them package, "
                "numa, l3, l2, l1, core, pu, each at most once",
                synthetic);
    } else if (xml && hwloc_topology_set_xmlbuffer(topology, xml, (int)strlen(xml) + 1) < 0) {
        return mly_error_set(reading->err, MLY_E_FORMAT, "recorded machine: not hwloc's XML");
    }
    if (hwloc_topology_set_flags(topology, HWLOC_TOPOLOGY_FLAG_INCLUDE_DISALLOWED) < 0 ||
        hwloc_topology_load(topology) < 0)
        return mly_error_set(reading->err, synthetic || xml ? MLY_E_INVALID : MLY_E_IO,
                             synthetic ? "synthetic machine '%s': hwloc cannot build it"
                                       : "hwloc cannot read this machine's topology%s",
                             synthetic ? synthetic : "");
    return MLY_OK;
}

/* --- 2. the whole box --- */

static unsigned count_of(hwloc_topology_t topology, hwloc_obj_type_t type)
{
    int count = hwloc_get_nbobjs_by_type(topology, type);
    return count > 0 ? (unsigned)count : 0;
}

static void read_totals(struct reading *reading)
{
    struct mly_machine_info *info = &reading->machine->info;
    hwloc_topology_t topology = reading->topology;
    unsigned cores = count_of(topology, HWLOC_OBJ_CORE);
    info->cores_total = cores ? cores : count_of(topology, HWLOC_OBJ_PU);
    info->synthetic = !hwloc_topology_is_thissystem(topology);
    hwloc_const_nodeset_t allowed = hwloc_topology_get_allowed_nodeset(topology);
    for (hwloc_obj_t node = NULL;
         (node = hwloc_get_next_obj_by_type(topology, HWLOC_OBJ_NUMANODE, node));)
        if (hwloc_bitmap_isset(allowed, node->os_index))
            info->memory_bytes += node->attr->numanode.local_memory;
    hwloc_obj_t package = hwloc_get_obj_by_type(topology, HWLOC_OBJ_PACKAGE, 0);
    const char *model = package ? hwloc_obj_get_info_by_name(package, "CPUModel") : NULL;
    if (model)
        snprintf(info->cpu_model, sizeof info->cpu_model, "%s", model);
}

/* --- 3. what this process may use --- */

static enum mly_status keep_cpu(uint32_t cpu, void *user, struct mly_error *err)
{
    if (hwloc_bitmap_set(user, cpu) < 0)
        return no_memory(err);
    return MLY_OK;
}

static enum mly_status usable_set(struct reading *reading, hwloc_bitmap_t usable)
{
    hwloc_topology_t topology = reading->topology;
    const char *keep = reading->source->keep;
    if (hwloc_bitmap_copy(usable, hwloc_topology_get_allowed_cpuset(topology)) < 0)
        return no_memory(reading->err);
    if (keep) {
        hwloc_bitmap_zero(usable);
        return mly__cpu_list_parse(keep, strlen(keep), 1, keep_cpu, usable, reading->err);
    }
    if (!hwloc_topology_is_thissystem(topology))
        return MLY_OK;
    hwloc_bitmap_t bound = hwloc_bitmap_alloc();
    if (!bound)
        return no_memory(reading->err);
    /* Affinity is unknown where the kernel does not tell; then only control groups count. */
    if (hwloc_get_cpubind(topology, bound, HWLOC_CPUBIND_PROCESS) == 0 &&
        hwloc_bitmap_intersects(usable, bound))
        hwloc_bitmap_and(usable, usable, bound);
    hwloc_bitmap_free(bound);
    return MLY_OK;
}

static enum mly_status restrict_to_usable(struct reading *reading)
{
    hwloc_bitmap_t usable = hwloc_bitmap_alloc();
    if (!usable)
        return no_memory(reading->err);
    enum mly_status status = usable_set(reading, usable);
    hwloc_const_cpuset_t all = hwloc_topology_get_topology_cpuset(reading->topology);
    if (status == MLY_OK && !hwloc_bitmap_isincluded(all, usable) &&
        hwloc_topology_restrict(reading->topology, usable, HWLOC_RESTRICT_FLAG_REMOVE_CPULESS) < 0)
        status = mly_error_set(reading->err, MLY_E_ABSENT,
                               "none of this machine's CPUs may be used by this process");
    hwloc_bitmap_free(usable);
    return status;
}

/* --- 4. numbers --- */

/* What tells kinds of cores apart; of several, the first that any kind carries. */
static const char *const kind_keys[] = {"CoreType", "LinuxCapacity", "FrequencyMaxMHz"};

static const char *info_value(const struct hwloc_info_s *infos, unsigned count, const char *name)
{
    for (unsigned i = 0; i < count; i++)
        if (strcmp(infos[i].name, name) == 0)
            return infos[i].value;
    return NULL;
}

static const char *kind_value(hwloc_topology_t topology, unsigned kind, const char *key)
{
    unsigned count = 0;
    struct hwloc_info_s *infos = NULL;
    if (hwloc_cpukinds_get_info(topology, kind, NULL, NULL, &count, &infos, 0) < 0)
        return NULL;
    return info_value(infos, count, key);
}

static void name_kind(char name[32], const char *key, const char *value)
{
    if (strcmp(value, "IntelCore") == 0)
        snprintf(name, 32, "P");
    else if (strcmp(value, "IntelAtom") == 0)
        snprintf(name, 32, "E");
    else if (strcmp(key, "LinuxCapacity") == 0)
        snprintf(name, 32, "capacity %.20s", value);
    else if (strcmp(key, "FrequencyMaxMHz") == 0)
        snprintf(name, 32, "%.20s MHz", value);
    else
        snprintf(name, 32, "%.31s", value);
}

/*
 * hwloc lists kinds from slow to fast, and tells apart even cores that differ only in their turbo
 * clock; here kinds with the same value of the deciding key are one, numbered from the fastest.
 * kinds[i] is the number of hwloc's i-th.
 */
static void read_kinds(struct reading *reading, uint32_t *kinds, unsigned count)
{
    mly_machine *machine = reading->machine;
    const char *key = NULL;
    for (size_t k = 0; !key && k < sizeof kind_keys / sizeof kind_keys[0]; k++)
        for (unsigned i = 0; !key && i < count; i++)
            if (kind_value(reading->topology, i, kind_keys[k]))
                key = kind_keys[k];
    machine->kind_count = 0;
    const char *values[MLY__MAX_KINDS];
    for (unsigned i = count; key && i-- > 0;) {
        const char *value = kind_value(reading->topology, i, key);
        if (!value)
            value = "other";
        uint32_t k = 0;
        while (k < machine->kind_count && strcmp(values[k], value) != 0)
            k++;
        if (k == MLY__MAX_KINDS) {
            k--;
        } else if (k == machine->kind_count) {
            values[k] = value;
            name_kind(machine->kind_names[k], key, value);
            machine->kind_count++;
        }
        kinds[i] = k;
    }
    if (machine->kind_count == 0)
        machine->kind_count = 1;
}

static uint32_t kind_of(const struct reading *reading, const uint32_t *kinds, hwloc_obj_t thread)
{
    int kind = hwloc_cpukinds_get_by_cpuset(reading->topology, thread->cpuset, 0);
    return kind >= 0 && kinds && kind < MLY__MAX_KINDS * 8 ? kinds[kind] : 0;
}

static hwloc_obj_t ancestor(hwloc_obj_t object, hwloc_obj_type_t type)
{
    while (object && object->type != type)
        object = object->parent;
    return object;
}

/* The nearest NUMA node; memory-side caches may stand before it. */
static hwloc_obj_t numa_node_of(hwloc_obj_t object)
{
    while (object && object->memory_arity == 0)
        object = object->parent;
    hwloc_obj_t node = object ? object->memory_first_child : NULL;
    while (node && node->type != HWLOC_OBJ_NUMANODE)
        node = node->memory_first_child;
    return node;
}

/* The outermost data cache. */
static hwloc_obj_t last_level_cache_of(hwloc_obj_t object)
{
    hwloc_obj_t last = NULL;
    for (; object; object = object->parent)
        if (hwloc_obj_type_is_dcache(object->type))
            last = object;
    return last;
}

/* Counts the objects that are met one after the other; NULL is one object too. */
struct numbering {
    hwloc_obj_t last;
    bool any;
    uint32_t count;
};

/* True if object differs from the one before. Objects hold neighbouring threads, so each is met
 * once. */
static bool numbering_next(struct numbering *numbering, hwloc_obj_t object)
{
    bool is_new = !numbering->any || numbering->last != object;
    numbering->count += is_new;
    numbering->last = object;
    numbering->any = true;
    return is_new;
}

static void add_cache(mly_machine *machine, hwloc_obj_t cache)
{
    if (cache->attr->cache.size > machine->info.last_level_cache_bytes) {
        machine->info.last_level_cache_bytes = cache->attr->cache.size;
        machine->cache_level = cache->attr->cache.depth;
    }
    machine->info.last_level_caches++;
}

static void number_threads(struct reading *reading, const uint32_t *kinds)
{
    mly_machine *machine = reading->machine;
    struct mly_machine_info *info = &machine->info;
    struct numbering cores = {0}, packages = {0}, nodes = {0}, caches = {0};
    hwloc_obj_t thread = NULL;
    for (uint32_t i = 0; i < info->hardware_threads; i++) {
        thread = hwloc_get_next_obj_by_type(reading->topology, HWLOC_OBJ_PU, thread);
        hwloc_obj_t core = ancestor(thread, HWLOC_OBJ_CORE);
        hwloc_obj_t package = ancestor(thread, HWLOC_OBJ_PACKAGE);
        hwloc_obj_t node = numa_node_of(thread), cache = last_level_cache_of(thread);

        if (numbering_next(&cores, core ? core : thread))
            machine->cores[cores.count - 1] = (struct mly__core){.first = i};
        machine->cores[cores.count - 1].count++;
        if (numbering_next(&packages, package) && package)
            info->packages++;
        if (numbering_next(&nodes, node))
            machine->numa_nodes[nodes.count - 1] = (struct mly__numa_node){
                .os_index = node ? (int32_t)node->os_index : -1,
                .memory_bytes = node ? node->attr->numanode.local_memory : 0,
            };
        /* Where no cache is reported, cores that share a memory count as sharing one. */
        if (numbering_next(&caches, cache ? cache : node ? node : package) && cache)
            add_cache(machine, cache);
        machine->cpus[i] = (struct mly__cpu){
            .os_index = thread->os_index,
            .core = cores.count - 1,
            .package = packages.count - 1,
            .numa = nodes.count - 1,
            .cache = caches.count - 1,
            .kind = kind_of(reading, kinds, thread),
        };
    }
    info->cores = cores.count;
    if (info->packages == 0)
        info->packages = 1;
    info->numa_nodes = machine->numa_count = nodes.count;
    machine->cache_count = caches.count;
}

static int compare_threads(const void *a, const void *b)
{
    uint32_t x = ((const uint32_t *)a)[0], y = ((const uint32_t *)b)[0];
    return (x > y) - (x < y);
}

/* Sorted pairs (OS index, position) need no comparison that knows the machine. */
static enum mly_status index_threads(mly_machine *machine)
{
    uint32_t count = machine->info.hardware_threads;
    uint32_t(*pairs)[2] = mly_alloc_array(count, sizeof *pairs);
    if (!pairs)
        return MLY_E_NO_MEMORY;
    for (uint32_t i = 0; i < count; i++) {
        pairs[i][0] = machine->cpus[i].os_index;
        pairs[i][1] = i;
    }
    qsort(pairs, count, sizeof *pairs, compare_threads);
    for (uint32_t i = 0; i < count; i++)
        machine->by_os_index[i] = pairs[i][1];
    mly_free(pairs);
    return MLY_OK;
}

static enum mly_status read_threads(struct reading *reading)
{
    mly_machine *machine = reading->machine;
    uint32_t count = count_of(reading->topology, HWLOC_OBJ_PU);
    if (count == 0)
        return mly_error_set(reading->err, MLY_E_ABSENT, "hwloc reports no CPU on this machine");
    machine->info.hardware_threads = count;
    machine->cpus = mly_alloc_array(count, sizeof *machine->cpus);
    machine->by_os_index = mly_alloc_array(count, sizeof *machine->by_os_index);
    machine->cores = mly_alloc_array(count, sizeof *machine->cores);
    machine->numa_nodes = mly_alloc_array(count, sizeof *machine->numa_nodes);
    if (!machine->cpus || !machine->by_os_index || !machine->cores || !machine->numa_nodes)
        return no_memory(reading->err);

    uint32_t kinds[MLY__MAX_KINDS * 8] = {0};
    int kind_count = hwloc_cpukinds_get_nr(reading->topology, 0);
    bool some = kind_count > 0 && kind_count <= MLY__MAX_KINDS * 8;
    machine->kind_count = 1;
    if (some)
        read_kinds(reading, kinds, (unsigned)kind_count);
    number_threads(reading, some ? kinds : NULL);
    return index_threads(machine) ? no_memory(reading->err) : MLY_OK;
}

/* --- 5. the tree as text --- */

/* Indentation of the root; each level adds two. */
struct writing {
    const struct reading *reading;
    struct mly_buffer *out;
};

static const char *size_text(uint64_t bytes, char text[32])
{
    static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB"};
    double value = (double)bytes;
    size_t unit = 0;
    while (value >= 1024 && unit + 1 < sizeof units / sizeof units[0]) {
        value /= 1024;
        unit++;
    }
    snprintf(text, 32, "%.*f %s", value < 10 && value != (double)(uint64_t)value, value,
             units[unit]);
    return text;
}

static bool is_joined(hwloc_obj_t object)
{
    return object->arity == 1 && object->memory_arity == 0 && object->type != HWLOC_OBJ_CORE &&
           object->type != HWLOC_OBJ_MACHINE;
}

/* A core's kind, if the machine has several. */
static const char *core_kind(const struct writing *writing, hwloc_obj_t core)
{
    const mly_machine *machine = writing->reading->machine;
    hwloc_obj_t thread = core;
    while (thread->first_child)
        thread = thread->first_child;
    return machine->kind_count > 1 && thread->logical_index < machine->info.hardware_threads
               ? machine->kind_names[machine->cpus[thread->logical_index].kind]
               : NULL;
}

static enum mly_status write_label(const struct writing *writing, hwloc_obj_t object, bool named)
{
    struct mly_buffer *out = writing->out;
    char size[32];
    const char *kind;
    switch (object->type) {
    case HWLOC_OBJ_MACHINE:
        return mly_buffer_printf(out, "Machine, %s", size_text(object->total_memory, size));
    case HWLOC_OBJ_NUMANODE:
        size_text(object->attr->numanode.local_memory, size);
        return named ? mly_buffer_printf(out, "NUMA node %u, %s", object->os_index, size)
                     : mly_buffer_printf(out, "NUMA node, %s", size);
    case HWLOC_OBJ_CORE:
        kind = core_kind(writing, object);
        if (object->arity > 1)
            return mly_buffer_printf(out, "%s%sCore with %u threads", kind ? kind : "",
                                     kind ? " " : "", object->arity);
        return mly_buffer_printf(out, "%s%sCore", kind ? kind : "", kind ? " " : "");
    case HWLOC_OBJ_PU:
        return mly_buffer_printf(out, "Hardware thread");
    default:
        break;
    }
    const char *type = object->type == HWLOC_OBJ_GROUP && object->subtype
                           ? object->subtype
                           : hwloc_obj_type_string(object->type);
    if (hwloc_obj_type_is_cache(object->type))
        return mly_buffer_printf(out, "L%u%s %s", object->attr->cache.depth,
                                 object->attr->cache.type == HWLOC_OBJ_CACHE_DATA ? "d" : "",
                                 size_text(object->attr->cache.size, size));
    return named && object->os_index != HWLOC_UNKNOWN_INDEX && object->type == HWLOC_OBJ_PACKAGE
               ? mly_buffer_printf(out, "%s %u", type, object->os_index)
               : mly_buffer_printf(out, "%s", type);
}

static enum mly_status write_cpus(const struct writing *writing, hwloc_obj_t object)
{
    char *text = NULL;
    if (hwloc_bitmap_list_asprintf(&text, object->cpuset) < 0)
        return MLY_E_NO_MEMORY;
    size_t length = strlen(text);
    enum mly_status status =
        mly_buffer_printf(writing->out, ", cpu %.*s%s", length > 48 ? 48 : (int)length, text,
                          length > 48 ? "..." : "");
    free(text);
    return status;
}

static enum mly_status write_object(const struct writing *writing, hwloc_obj_t object,
                                    unsigned depth, bool named);

/*
 * Equal neighbours become one line: each child is written without names into a buffer of its own;
 * as long as the next one's text is the same it is only counted.
 */
static enum mly_status write_children(const struct writing *writing, hwloc_obj_t object,
                                      unsigned depth, bool named)
{
    struct mly_buffer first = {0}, other = {0};
    enum mly_status status = MLY_OK;
    for (unsigned i = 0, count; status == MLY_OK && i < object->arity; i += count) {
        struct writing to_first = {writing->reading, &first}, to_other = {writing->reading, &other};
        first.length = 0;
        status = write_object(&to_first, object->children[i], depth, false);
        for (count = 1; status == MLY_OK && i + count < object->arity; count++) {
            other.length = 0;
            status = write_object(&to_other, object->children[i + count], depth, false);
            if (status || other.length != first.length ||
                memcmp(other.data, first.data, first.length) != 0)
                break;
        }
        if (status)
            break;
        if (count == 1)
            status = write_object(writing, object->children[i], depth, named);
        else if (!(status =
                       mly_buffer_printf(writing->out, "%*s%u x ", (int)(2 * depth), "", count)))
            status =
                mly_buffer_append(writing->out, first.data + 2 * depth, first.length - 2 * depth);
    }
    mly_buffer_fini(&first);
    mly_buffer_fini(&other);
    return status;
}

/* Objects with one child share its line: "L2 1 MiB + L1d 32 KiB + Core". */
static enum mly_status write_object(const struct writing *writing, hwloc_obj_t object,
                                    unsigned depth, bool named)
{
    enum mly_status status = mly_buffer_printf(writing->out, "%*s", (int)(2 * depth), "");
    if (status == MLY_OK)
        status = write_label(writing, object, named);
    while (status == MLY_OK && is_joined(object) && object->first_child->type != HWLOC_OBJ_PU) {
        object = object->first_child;
        if (!(status = mly_buffer_printf(writing->out, " + ")))
            status = write_label(writing, object, named);
    }
    if (status == MLY_OK && named)
        status = write_cpus(writing, object);
    if (status == MLY_OK)
        status = mly_buffer_append(writing->out, "\n", 1);
    for (hwloc_obj_t node = object->memory_first_child; status == MLY_OK && node;
         node = node->next_sibling) {
        hwloc_obj_t shown = node; /* memory-side caches are passed over */
        while (shown->type != HWLOC_OBJ_NUMANODE && shown->memory_first_child)
            shown = shown->memory_first_child;
        status = mly_buffer_printf(writing->out, "%*s", (int)(2 * (depth + 1)), "");
        if (status == MLY_OK)
            status = write_label(writing, shown, named);
        if (status == MLY_OK)
            status = mly_buffer_append(writing->out, "\n", 1);
    }
    if (status || object->type == HWLOC_OBJ_CORE)
        return status;
    return write_children(writing, object, depth + 1, named);
}

static enum mly_status write_tree(struct reading *reading)
{
    struct mly_buffer text = {.max_bytes = 4 << 20};
    struct writing writing = {reading, &text};
    enum mly_status status = write_object(&writing, hwloc_get_root_obj(reading->topology), 0, true);
    if (status == MLY_OK)
        reading->machine->topology_text = mly_strdup(text.data);
    mly_buffer_fini(&text);
    return reading->machine->topology_text ? MLY_OK : no_memory(reading->err);
}

enum mly_status mly__topology_read(const struct mly__machine_source *source, mly_machine *machine,
                                   struct mly_error *err)
{
    struct reading reading = {.source = source, .machine = machine, .err = err};
    if (hwloc_topology_init(&reading.topology) < 0)
        return no_memory(err);
    enum mly_status status = load(&reading);
    if (status == MLY_OK) {
        read_totals(&reading);
        status = restrict_to_usable(&reading);
    }
    if (status == MLY_OK)
        status = read_threads(&reading);
    if (status == MLY_OK)
        status = write_tree(&reading);
    hwloc_topology_destroy(reading.topology);
    return status;
}

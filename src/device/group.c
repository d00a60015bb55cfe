/*
 * Core groups.
 *
 * By place (package, NUMA node, cache, core) a group is what lies there. By count (N groups of C
 * cores, S = C / N):
 *
 *  1. Kinds of cores are kept apart if there are groups enough: each kind gets one, and every
 * further group goes to the kind whose groups are the largest so far.
 *  2. Else, from the outermost place to the innermost: if a place holds D > 1 equal parts and D
 * divides N, each part is divided by itself into N / D groups, so that no group reaches over its
 * edge.
 *  3. What cannot be divided further is cut in order into pieces of S cores; the C mod N cores left
 * over go to the first pieces, one each (16 cores in 3 groups: 6, 5, 5).
 *
 * By size (groups of exactly S cores): from the innermost place to the outermost, each place makes
 * as many groups as it can of the cores that its parts left over, which gives C / S groups, with as
 * few as possible that reach over an edge.
 */
#include "device/internal.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"

enum place { PLACE_KIND, PLACE_PACKAGE, PLACE_NUMA, PLACE_CACHE, PLACE_CORE, PLACE_COUNT };

struct span {
    uint32_t first, count; /* in grouping.cores */
};

struct grouping {
    const mly_machine *machine;
    uint32_t *cores;     /* core numbers, group after group */
    struct span *groups; /* each a piece of cores */
    uint32_t core_count, group_count;
};

static uint32_t place_of(const mly_machine *machine, uint32_t core, enum place place)
{
    const struct mly__cpu *cpu = &machine->cpus[machine->cores[core].first];
    const uint32_t numbers[PLACE_COUNT] = {
        [PLACE_KIND] = cpu->kind, [PLACE_PACKAGE] = cpu->package,
        [PLACE_NUMA] = cpu->numa, [PLACE_CACHE] = cpu->cache,
        [PLACE_CORE] = core,
    };
    return numbers[place];
}

/* Length of the piece from `at` on whose cores share a place. */
static uint32_t part_length(const struct grouping *grouping, uint32_t at, uint32_t end,
                            enum place place)
{
    uint32_t number = place_of(grouping->machine, grouping->cores[at], place), length = 1;
    while (at + length < end &&
           place_of(grouping->machine, grouping->cores[at + length], place) == number)
        length++;
    return length;
}

static void add_group(struct grouping *grouping, uint32_t first, uint32_t count)
{
    grouping->groups[grouping->group_count++] = (struct span){first, count};
}

static void group_by_place(struct grouping *grouping, enum place place)
{
    uint32_t end = grouping->core_count;
    for (uint32_t at = 0, length; at < end; at += length) {
        length = part_length(grouping, at, end, place);
        add_group(grouping, at, length);
    }
}

/* --- by count --- */

static void divide(struct grouping *grouping, struct span span, uint32_t count, enum place place);

/* 1: no more kinds than groups, and no more groups than cores, so that every group has a core. */
static void divide_by_kind(struct grouping *grouping, struct span span, uint32_t count)
{
    struct span kinds[MLY__MAX_KINDS];
    uint32_t given[MLY__MAX_KINDS] = {0}, kind_count = 0, end = span.first + span.count;
    for (uint32_t at = span.first, length; at < end; at += length) {
        length = part_length(grouping, at, end, PLACE_KIND);
        kinds[kind_count] = (struct span){at, length};
        given[kind_count++] = 1;
    }
    for (uint32_t left = count - kind_count; left > 0; left--) {
        uint32_t largest = 0;
        for (uint32_t k = 1; k < kind_count;
             k++) /* kinds[k] / given[k] > kinds[largest] / given[largest] */
            if ((uint64_t)kinds[k].count * given[largest] >
                (uint64_t)kinds[largest].count * given[k])
                largest = k;
        given[largest]++;
    }
    for (uint32_t k = 0; k < kind_count; k++)
        divide(grouping, kinds[k], given[k], PLACE_PACKAGE);
}

/* Number of equal parts that span has by place, or 0 if they differ in size. */
static uint32_t equal_parts(const struct grouping *grouping, struct span span, enum place place)
{
    uint32_t end = span.first + span.count, parts = 0;
    uint32_t size = part_length(grouping, span.first, end, place);
    for (uint32_t at = span.first; at < end; at += size, parts++)
        if (part_length(grouping, at, end, place) != size)
            return 0;
    return parts;
}

static void divide(struct grouping *grouping, struct span span, uint32_t count, enum place place)
{
    for (; place < PLACE_CORE; place++) { /* 2 */
        uint32_t parts = equal_parts(grouping, span, place);
        if (parts < 2 || count % parts != 0)
            continue;
        uint32_t size = span.count / parts;
        for (uint32_t i = 0; i < parts; i++)
            divide(grouping, (struct span){span.first + i * size, size}, count / parts, place + 1);
        return;
    }
    uint32_t size = span.count / count, larger = span.count % count, at = span.first; /* 3 */
    for (uint32_t i = 0; i < count; i++) {
        uint32_t length = size + (i < larger);
        add_group(grouping, at, length);
        at += length;
    }
}

/* Fast kinds first; within a kind the machine's order. */
static void sort_by_kind(struct grouping *grouping)
{
    uint32_t at = 0;
    for (uint32_t kind = 0; kind < grouping->machine->kind_count; kind++)
        for (uint32_t core = 0; core < grouping->core_count; core++)
            if (place_of(grouping->machine, core, PLACE_KIND) == kind)
                grouping->cores[at++] = core;
}

static enum mly_status check_count(const mly_machine *machine, const char *what, uint32_t count,
                                   struct mly_error *err)
{
    if (count >= 1 && count <= machine->info.cores)
        return MLY_OK;
    return mly_error_set(err, MLY_E_INVALID,
                         "%s: %" PRIu32 " is not from 1 to %" PRIu32
                         ", the number of cores that this "
                         "process may use",
                         what, count, machine->info.cores);
}

static void group_by_count(struct grouping *grouping, uint32_t count)
{
    struct span all = {0, grouping->core_count};
    if (count == 1) {
        add_group(grouping, 0, all.count);
        return;
    }
    sort_by_kind(grouping);
    if (grouping->machine->kind_count > 1 && count >= grouping->machine->kind_count)
        divide_by_kind(grouping, all, count);
    else
        divide(grouping, all, count, PLACE_PACKAGE);
}

/* --- by size --- */

/*
 * Takes the cores left[0…count) that share a place, makes groups of them from the inside out and
 * moves the rest to the front of left. Returns how many are left.
 */
static uint32_t fill_place(struct grouping *grouping, uint32_t *left, uint32_t count, int place,
                           uint32_t size, uint32_t *taken)
{
    uint32_t rest = count;
    if (place < PLACE_CACHE) {
        rest = 0;
        for (uint32_t at = 0, length; at < count; at += length) {
            uint32_t number = place_of(grouping->machine, left[at], (enum place)(place + 1));
            for (length = 1; at + length < count; length++)
                if (place_of(grouping->machine, left[at + length], (enum place)(place + 1)) !=
                    number)
                    break;
            uint32_t kept = fill_place(grouping, left + at, length, place + 1, size, taken);
            memmove(left + rest, left + at, kept * sizeof *left);
            rest += kept;
        }
    }
    uint32_t used = 0;
    for (; rest - used >= size; used += size) {
        memcpy(grouping->cores + *taken, left + used, size * sizeof *left);
        add_group(grouping, *taken, size);
        *taken += size;
    }
    memmove(left, left + used, (rest - used) * sizeof *left);
    return rest - used;
}

/* --- processors --- */

static int compare_numbers(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

static int compare_spans(const void *a, const void *b, void *user)
{
    const struct grouping *grouping = user;
    return compare_numbers(&grouping->cores[((const struct span *)a)->first],
                           &grouping->cores[((const struct span *)b)->first]);
}

/* Counts the different values of one number among the positions; near ones are neighbours. */
static uint32_t count_places(const mly_machine *machine, const uint32_t *positions, uint32_t count,
                             enum place place)
{
    uint32_t different = 0, last = UINT32_MAX;
    for (uint32_t i = 0; i < count; i++) {
        uint32_t number = place_of(machine, machine->cpus[positions[i]].core, place);
        different += number != last;
        last = number;
    }
    return different;
}

static void describe(const mly_machine *machine, const uint32_t *positions, uint32_t count,
                     struct mly_processor *out)
{
    const struct mly_machine_info *info = &machine->info;
    uint32_t cores = count_places(machine, positions, count, PLACE_CORE);
    char tail[96], kind[40] = "", threads[32] = "", cache[48] = "";
    if (machine->kind_count > 1 && count_places(machine, positions, count, PLACE_KIND) == 1)
        snprintf(kind, sizeof kind, "%s ", machine->kind_names[machine->cpus[positions[0]].kind]);
    if (count > cores)
        snprintf(threads, sizeof threads, ", %" PRIu32 " threads", count);
    if (info->last_level_caches) {
        uint32_t caches = count_places(machine, positions, count, PLACE_CACHE);
        char several[16] = "";
        if (caches > 1)
            snprintf(several, sizeof several, "%" PRIu32 " x ", caches);
        bool mega = info->last_level_cache_bytes >= 1 << 20;
        snprintf(cache, sizeof cache, ", %s%" PRIu64 " %s L%" PRIu32, several,
                 info->last_level_cache_bytes >> (mega ? 20 : 10), mega ? "MiB" : "KiB",
                 machine->cache_level);
    }
    int length = snprintf(tail, sizeof tail, ", %" PRIu32 " %score%s%s%s", cores, kind,
                          cores == 1 ? "" : "s", threads, cache);
    /* The model gives way: what the group has comes last and must be seen. */
    snprintf(out->description, sizeof out->description, "%.*s%s",
             (int)sizeof out->description - 1 - length, info->cpu_model, tail);
}

enum mly_status mly__processor_fill(const mly_machine *machine, const uint32_t *positions,
                                    uint32_t count, struct mly_processor *out,
                                    struct mly_error *err)
{
    uint32_t *cpus = mly_alloc_array(count, sizeof *cpus);
    uint32_t *sorted = mly_alloc_array(count, sizeof *sorted);
    if (!cpus || !sorted) {
        mly_free(cpus);
        mly_free(sorted);
        return mly_error_set(err, MLY_E_NO_MEMORY, "no memory for a core group");
    }
    *out = (struct mly_processor){.kind = "cpu", .usable = true, .cpus = cpus, .cpu_count = count};
    const struct mly__cpu *first = &machine->cpus[positions[0]];
    bool one_node = true;
    for (uint32_t i = 0; i < count; i++) {
        const struct mly__cpu *cpu = &machine->cpus[positions[i]];
        cpus[i] = sorted[i] = cpu->os_index;
        one_node &= cpu->numa == first->numa;
    }
    qsort(sorted, count, sizeof *sorted, compare_numbers);
    mly__cpu_id(sorted, count, out->id, sizeof out->id);
    mly_free(sorted);
    const struct mly__numa_node *node = &machine->numa_nodes[first->numa];
    out->numa_node = one_node ? node->os_index : -1;
    out->memory_bytes = machine->info.memory_bytes;
    if (one_node && node->memory_bytes && node->memory_bytes < out->memory_bytes)
        out->memory_bytes = node->memory_bytes;
    describe(machine, positions, count, out);
    return MLY_OK;
}

/* One processor from the cores of one group; positions has room for every hardware thread. */
static enum mly_status build(const struct grouping *grouping, struct span group, bool smt,
                             uint32_t *positions, struct mly_processor *out, struct mly_error *err)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < group.count; i++) {
        const struct mly__core *core = &grouping->machine->cores[grouping->cores[group.first + i]];
        for (uint32_t t = 0; t < (smt ? core->count : 1); t++)
            positions[count++] = core->first + t;
    }
    return mly__processor_fill(grouping->machine, positions, count, out, err);
}

static enum mly_status build_all(const struct grouping *grouping, bool smt,
                                 struct mly_processor_list *out, struct mly_error *err)
{
    uint32_t *positions =
        mly_alloc_array(grouping->machine->info.hardware_threads, sizeof *positions);
    struct mly_processor_list list = {
        .items = mly_alloc_array(grouping->group_count, sizeof *list.items)};
    enum mly_status status = MLY_OK;
    if (!positions || !list.items)
        status = mly_error_set(err, MLY_E_NO_MEMORY, "no memory for %" PRIu32 " core groups",
                               grouping->group_count);
    while (status == MLY_OK && list.count < grouping->group_count) {
        status = build(grouping, grouping->groups[list.count], smt, positions,
                       &list.items[list.count], err);
        if (status == MLY_OK)
            list.count++;
    }
    mly_free(positions);
    if (status)
        mly_processor_list_fini(&list);
    else
        *out = list;
    return status;
}

static enum mly_status grouping_init(struct grouping *grouping, const mly_machine *machine,
                                     struct mly_error *err)
{
    uint32_t count = machine->info.cores;
    *grouping = (struct grouping){
        .machine = machine,
        .core_count = count,
        .cores = mly_alloc_array(count, sizeof *grouping->cores),
        .groups = mly_alloc_array(count, sizeof *grouping->groups),
    };
    if (!grouping->cores || !grouping->groups)
        return mly_error_set(err, MLY_E_NO_MEMORY, "no memory to group %" PRIu32 " cores", count);
    for (uint32_t i = 0; i < count; i++)
        grouping->cores[i] = i;
    return MLY_OK;
}

static void grouping_fini(struct grouping *grouping)
{
    mly_free(grouping->cores);
    mly_free(grouping->groups);
}

enum mly_status mly_machine_group(const mly_machine *machine, enum mly_grouping by, uint32_t count,
                                  bool smt, struct mly_processor_list *out, struct mly_error *err)
{
    static const enum place places[] = {
        [MLY_GROUP_PACKAGE] = PLACE_PACKAGE,
        [MLY_GROUP_NUMA] = PLACE_NUMA,
        [MLY_GROUP_CACHE] = PLACE_CACHE,
        [MLY_GROUP_CORE] = PLACE_CORE,
    };
    if ((unsigned)by > MLY_GROUP_COUNT)
        return mly_error_set(err, MLY_E_INVALID, "grouping %d is none of enum mly_grouping",
                             (int)by);
    enum mly_status status = MLY_OK;
    if (by == MLY_GROUP_COUNT && (status = check_count(machine, "groups", count, err)))
        return status;
    struct grouping grouping;
    if (!(status = grouping_init(&grouping, machine, err))) {
        if (by == MLY_GROUP_WHOLE)
            group_by_count(&grouping, 1);
        else if (by == MLY_GROUP_COUNT)
            group_by_count(&grouping, count);
        else
            group_by_place(&grouping, places[by]);
        status = build_all(&grouping, smt, out, err);
    }
    grouping_fini(&grouping);
    return status;
}

enum mly_status mly__group_by_size(const mly_machine *machine, uint32_t size, bool smt,
                                   struct mly_processor_list *out, struct mly_error *err)
{
    enum mly_status status = check_count(machine, "threads", size, err);
    if (status)
        return status;
    struct grouping grouping;
    uint32_t *left = NULL, taken = 0;
    if ((status = grouping_init(&grouping, machine, err)))
        goto done;
    left = mly_alloc_array(machine->info.cores, sizeof *left);
    if (!left) {
        status = mly_error_set(err, MLY_E_NO_MEMORY, "no memory to group cores");
        goto done;
    }
    sort_by_kind(&grouping);
    memcpy(left, grouping.cores, machine->info.cores * sizeof *left);
    fill_place(&grouping, left, machine->info.cores, PLACE_KIND - 1, size, &taken);
    qsort_r(grouping.groups, grouping.group_count, sizeof *grouping.groups, compare_spans,
            &grouping);
    status = build_all(&grouping, smt, out, err);
done:
    mly_free(left);
    grouping_fini(&grouping);
    return status;
}

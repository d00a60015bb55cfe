/*
 * Processors: what this box has, in core groups, and what is absent and why.
 *
 * Threads: every function here may be called from any thread at any time; a machine is never
 * changed once it is made.
 */
#ifndef MOTLEY_DEVICE_H
#define MOTLEY_DEVICE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <motley/status.h>

MLY_BEGIN_DECLS

/* A box's topology, real or synthetic, as it was when it was made. Immutable. */
typedef struct mly_machine mly_machine;

/*
 * Looks at a box. synthetic (borrowed for the call) NULL: this box, restricted to the CPUs that
 * this process may use (control groups, affinity); else a description in a subset of hwloc's
 * notation, outermost level first ("package:2 numa:1 l3:1 core:16 pu:2"). *out is owned by the
 * caller (mly_machine_destroy).
 * Errors: MLY_E_INVALID (word and column of what a description does not say right), MLY_E_LIMIT
 * (over 1024 bytes, 4096 hardware threads), MLY_E_ABSENT (no CPU may be used), MLY_E_IO,
 * MLY_E_NO_MEMORY.
 * Threads: any; may bind the calling thread for moments.
 * Cost: milliseconds.
 * Source: hwloc's documentation, "Synthetic topologies".
 */
MLY_API enum mly_status mly_machine_create(const char *synthetic, mly_machine **out,
                                           struct mly_error *err) MLY_MUST_CHECK;
/* Frees a machine; NULL is fine. Processors that came from it stay valid. */
MLY_API void mly_machine_destroy(mly_machine *machine);

/*
 * A processor: runs one task at a time. For CPU core groups `cpus` lists one logical CPU (OS index)
 * per thread, near ones together, and the id names them: "cpu:0-3+8", "cpu:0-14:2" (every second
 * one), "cpu:0x5a" (a mask). mly_machine_select reads an id back; only one of CPUs so many and so
 * scattered that no form fits ends in "~" and a hash, and cannot be read.
 */
struct mly_processor {
    char id[64];   /* "cpu:0-3", "cuda:0" */
    char kind[32]; /* "cpu", "cuda", "edgetpu", "p100": the row of the cost table */
    bool modelled; /* not here: its times are worked out from a device file */
    bool usable;
    char reason[192];      /* why not usable; "" when usable */
    char description[128]; /* "AMD EPYC, 2 cores, 32 MiB L3" */
    uint32_t *cpus;        /* owned by the processor list */
    uint32_t cpu_count;
    int32_t numa_node;     /* -1 when it spans several or is unknown */
    uint64_t memory_bytes; /* of its memory space; 0 unknown */
};

/* Owns items[count] and their CPU lists; zero-initialised is a valid empty list. */
struct mly_processor_list {
    struct mly_processor *items;
    size_t count;
};
/* Frees what the list owns and zeroes it. NULL and empty lists are fine. */
MLY_API void mly_processor_list_fini(struct mly_processor_list *list);

/*
 * Everything known about: the CPU as one processor, then GPUs, Edge TPUs, … usable or absent with
 * the reason. A kind that is absent is one row whose id has no number ("cuda"). What is not there,
 * or does not work, is a row and no error. *out: free with mly_processor_list_fini.
 * Errors: MLY_E_NO_MEMORY only.
 * Cost: milliseconds; starts the CUDA driver where there is one, which may take a second.
 */
MLY_API enum mly_status mly_machine_processors(const mly_machine *machine,
                                               struct mly_processor_list *out,
                                               struct mly_error *err) MLY_MUST_CHECK;

/* How cores are grouped. */
enum mly_grouping {
    MLY_GROUP_WHOLE,   /* one group of all cores */
    MLY_GROUP_PACKAGE, /* one per package (socket) */
    MLY_GROUP_NUMA,    /* one per NUMA node */
    MLY_GROUP_CACHE,   /* one per last-level cache */
    MLY_GROUP_CORE,    /* one per physical core */
    MLY_GROUP_COUNT    /* a given number of groups of equal size, close cores together */
};

/*
 * Core groups as processors: disjoint, together all usable cores. One thread per physical core (its
 * first hardware thread) unless smt. count is used by MLY_GROUP_COUNT only. *out: free with
 * mly_processor_list_fini.
 *
 * MLY_GROUP_COUNT: groups keep to one kind of cores where there are at least as many groups as
 * kinds (then sizes differ from kind to kind). Else sizes differ by one core at most: where
 * packages, NUMA nodes or caches are equal parts whose number divides count, each part is divided
 * by itself, and cores that are left over in a part go to its first groups (16 cores in 3 groups:
 * 6, 5, 5). Where no cache is reported, MLY_GROUP_CACHE groups by NUMA node.
 *
 * Errors: MLY_E_INVALID for a count that is not 1…cores; MLY_E_NO_MEMORY.
 */
MLY_API enum mly_status mly_machine_group(const mly_machine *machine, enum mly_grouping by,
                                          uint32_t count, bool smt, struct mly_processor_list *out,
                                          struct mly_error *err) MLY_MUST_CHECK;

/*
 * Processors named by a specification as users write it after -d (borrowed for the call),
 * comma-separated:
 *
 *   cpu                     one group of all cores
 *   cpu:0-3+8               a group of these logical CPUs; also 0-14:2 and masks, 0xff
 *   cpu:groups=2            MLY_GROUP_COUNT
 *   cpu:threads=4           groups of exactly 4 cores, near ones together; up to 3 stay unused
 *   cpu:by=numa             or package, cache, core
 *   cpu:smt, cpu:…:smt      every hardware thread of the cores, not only the first
 *   cuda:0, edgetpu:0, …    a device; without number the first
 *   p100, p100:2            a modelled processor: the name of a device file (docs/howto/modelled.md)
 *   edgetpu-pcie*4          four of them, edgetpu-pcie:0 to edgetpu-pcie:3
 *
 * What is really a kind of processor is never taken for a modelled one of equal name.
 *
 * *out: free with mly_processor_list_fini.
 *
 * Errors: MLY_E_INVALID with the column (from 1) and the word: unknown kinds and options, counts
 * out of range, groups that overlap, devices named twice; MLY_E_ABSENT with the reason: a processor
 * that is not there or not usable; MLY_E_UNSUPPORTED: remote servers; MLY_E_LIMIT: over 4096 bytes;
 * MLY_E_NO_MEMORY.
 */
MLY_API enum mly_status mly_machine_select(const mly_machine *machine, const char *spec,
                                           struct mly_processor_list *out,
                                           struct mly_error *err) MLY_MUST_CHECK;

/* What a machine is. Counts are of what this process may use; 0 where nothing is known. */
struct mly_machine_info {
    char cpu_model[128];
    uint32_t packages, numa_nodes, last_level_caches, cores,
        hardware_threads;            /* usable by this process */
    uint32_t cores_total;            /* of the box; more than cores in a restricted container */
    uint64_t last_level_cache_bytes; /* of one */
    uint64_t memory_bytes;
    double cpu_quota; /* cgroup CPU quota in cores; 0 when there is none */
    bool synthetic;
    char host_id[65]; /* stable identity: cpu model, topology, features; keys stored costs and plans
                       */
    char cpu_features[256]; /* "avx2 avx512f …" */
};
/* Borrowed until the machine is destroyed. */
MLY_API const struct mly_machine_info *mly_machine_info(const mly_machine *machine);
/*
 * Tree of packages, NUMA nodes, caches and cores as text with indentation. *out is owned by the
 * caller (free()).
 * Errors: MLY_E_NO_MEMORY.
 */
MLY_API enum mly_status mly_machine_topology_text(const mly_machine *machine, char **out,
                                                  struct mly_error *err) MLY_MUST_CHECK;

MLY_END_DECLS

#endif

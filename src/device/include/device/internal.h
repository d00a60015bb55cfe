/*
 * What the files of the device layer share. For these files and their tests only.
 *
 * A machine is taken out of hwloc once, into plain arrays: hardware threads in an order in which
 * near ones are neighbours, each with the number of its core, package, NUMA node, last-level cache
 * and kind.
 */
#ifndef MLY_DEVICE_INTERNAL_H
#define MLY_DEVICE_INTERNAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <motley/device.h>
#include <motley/status.h>

#define MLY__MAX_CPU 65535       /* highest logical CPU number that is spoken of */
#define MLY__MAX_KINDS 8         /* kinds of cores told apart; more are one */
#define MLY__MAX_TEXT_BYTES 4096 /* longest description or specification that is read */

/* A hardware thread that this process may use. Numbers count from 0 without holes. */
struct mly__cpu {
    uint32_t os_index;
    uint32_t core, package, numa, cache;
    uint32_t kind; /* 0 is the fastest */
};

/* A physical core: its threads are cpus[first] … cpus[first + count - 1]. */
struct mly__core {
    uint32_t first, count;
};

struct mly__numa_node {
    int32_t os_index; /* -1: the box reports none */
    uint64_t memory_bytes;
};

struct mly_machine {
    struct mly_machine_info info;
    struct mly__cpu
        *cpus; /* [info.hardware_threads], near ones together, a core's threads adjacent */
    uint32_t *by_os_index;             /* positions in cpus by ascending os_index */
    struct mly__core *cores;           /* [info.cores] */
    struct mly__numa_node *numa_nodes; /* [numa_count] */
    uint32_t numa_count;
    uint32_t cache_count; /* groups of cores that share what is nearest memory */
    uint32_t cache_level; /* 3 for L3; 0: no caches reported */
    uint32_t kind_count;  /* at least 1 */
    char kind_names[MLY__MAX_KINDS][32];
    char root[128]; /* goes before /proc, /sys and /dev; "" but in tests */
    char *topology_text;
};

/* Where a machine comes from; all NULL is this box. Strings are borrowed for the call. */
struct mly__machine_source {
    const char *synthetic; /* hwloc's synthetic description */
    const char *xml;       /* hwloc's XML, a recorded box */
    const char *keep;      /* only these logical CPUs, as after "cpu:" */
    const char *root;      /* a recorded tree with proc/, sys/ and dev/ */
};
enum mly_status mly__machine_create(const struct mly__machine_source *source, mly_machine **out,
                                    struct mly_error *err) MLY_MUST_CHECK;

/* topology.c: fills what hwloc knows; what was allocated is freed by mly_machine_destroy, on
 * failure too. */
enum mly_status mly__topology_read(const struct mly__machine_source *source, mly_machine *machine,
                                   struct mly_error *err) MLY_MUST_CHECK;

/* synthetic.c: MLY_E_INVALID or MLY_E_LIMIT with word and column unless hwloc can be given the
 * description. */
enum mly_status mly__synthetic_check(const char *description, struct mly_error *err) MLY_MUST_CHECK;

/* sysfs.c: short texts of the kernel. */

/* The file's beginning without the white space at its end; false if it cannot be read. */
bool mly__read_text(const char *root, const char *path, char *text, size_t text_bytes);
/* Names in a directory that begin with prefix, sorted, at most max; 0 if there are none. */
#define MLY__NAME_BYTES 64
size_t mly__read_names(const char *root, const char *path, const char *prefix,
                       char (*names)[MLY__NAME_BYTES], size_t max);
/* As mly_cpus_are_whole_box, of the box recorded under root. */
bool mly__cpus_are_whole_box(const char *root, const uint32_t *cpus, uint32_t count);
/* CPU quota in cores and memory limit of this process's control groups, the tightest; 0 is none. */
void mly__read_cgroup(const char *root, double *cpu_quota, uint64_t *memory_bytes);
/* CPU model and the features that matter to kernels; "" when unknown. */
void mly__read_cpu(const char *root, char *model, size_t model_bytes, char *features,
                   size_t features_bytes);

/* cpu_list.c: CPUs as text: "0-3+8", "0-30:2" (every second), "0x5555" (a mask). */

/* Ascending numbers into text, as many whole ranges as fit; false if not all. separator: '+' in
 * names, ',' in messages. */
bool mly__cpu_list_text(const uint32_t *cpus, size_t count, char separator, char *text,
                        size_t text_bytes);
/* "cpu:..." of ascending CPUs, in the first form that fits: list, mask, or (not readable back) a
 * hash. count > 0. */
void mly__cpu_id(const uint32_t *cpus, size_t count, char *id, size_t id_bytes);
/*
 * Calls each() for every CPU of text[0...length) in the order written, until that fails. Syntax is
 * MLY_E_INVALID with the column, where the text itself begins in `column`.
 */
typedef enum mly_status mly__cpu_visitor(uint32_t cpu, void *user, struct mly_error *err);
enum mly_status mly__cpu_list_parse(const char *text, size_t length, size_t column,
                                    mly__cpu_visitor *each, void *user,
                                    struct mly_error *err) MLY_MUST_CHECK;

/* Position in machine->cpus, or UINT32_MAX if this process may not use that CPU. */
uint32_t mly__cpu_position(const mly_machine *machine, uint32_t os_index);
/* "0-3,8": the CPUs that this process may use; cut when long. */
void mly__usable_text(const mly_machine *machine, char *text, size_t text_bytes);

/* group.c */

/* Groups of exactly `size` cores, as near as can be; up to size - 1 cores are left out. */
enum mly_status mly__group_by_size(const mly_machine *machine, uint32_t size, bool smt,
                                   struct mly_processor_list *out,
                                   struct mly_error *err) MLY_MUST_CHECK;
/* Fills a CPU processor from positions in machine->cpus. */
enum mly_status mly__processor_fill(const mly_machine *machine, const uint32_t *positions,
                                    uint32_t count, struct mly_processor *out,
                                    struct mly_error *err) MLY_MUST_CHECK;

/* probe.c: processors that are no CPU. */

struct mly__builder {
    struct mly_processor_list list;
    size_t capacity;
};
/* Appends a processor of a kind, usable only if reason is NULL; index -1 stands for the kind as a
 * whole. */
struct mly_processor *mly__builder_add(struct mly__builder *builder, const char *kind, int index,
                                       const char *reason);

struct mly__kind {
    const char *name;
    /* Appends what there is of it, or one row that says why there is none. Only memory can fail. */
    enum mly_status (*probe)(const mly_machine *machine, struct mly__builder *builder);
};
extern const struct mly__kind mly__kinds[];
extern const size_t mly__kind_count;
/* The rows of one kind; a synthetic machine has none of any. */
enum mly_status mly__probe_kind(const mly_machine *machine, const struct mly__kind *kind,
                                struct mly__builder *builder, struct mly_error *err) MLY_MUST_CHECK;

/* cuda.c */

/* The functions of the NVIDIA libraries that are asked; a test brings its own. Any may be NULL. */
struct mly__cuda_api {
    int (*init)(unsigned flags);
    int (*device_count)(int *count);
    int (*device_get)(int *device, int ordinal);
    int (*device_name)(char *name, int length, int device);
    int (*device_memory)(size_t *bytes, int device);
    int (*management_init)(void);
    int (*management_shutdown)(void);
    int (*management_count)(unsigned *count);
    int (*management_handle)(unsigned index, void **handle);
    int (*management_name)(void *handle, char *name, unsigned length);
};
enum mly_status mly__cuda_list(const struct mly__cuda_api *api,
                               struct mly__builder *builder) MLY_MUST_CHECK;
enum mly_status mly__cuda_probe(const mly_machine *machine,
                                struct mly__builder *builder) MLY_MUST_CHECK;

/* modelled_folders.c: for tests: the next question reads device files again; nobody may hold a model
 * meanwhile. */
void mly__device_models_forget(void);

/* True when some PCI device of the vendor ("0x10de") has a class that begins with class_prefix
 * ("0x03"). */
bool mly__pci_has(const char *root, const char *vendor, const char *class_prefix);

#endif

/* Short texts of the kernel: /proc/cpuinfo, CPUs switched on, control groups, directories of sysfs. */
#include "device/internal.h"
#include "device/thread.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PATH_BYTES 1024

static bool join(char path[PATH_BYTES], const char *root, const char *rest)
{
    int length = snprintf(path, PATH_BYTES, "%s%s", root, rest);
    return length > 0 && length < PATH_BYTES;
}

/* Files of the kernel have no size: read until the end or until text is full. */
bool mly__read_text(const char *root, const char *path, char *text, size_t text_bytes)
{
    char full[PATH_BYTES];
    if (!join(full, root, path))
        return false;
    int fd = open(full, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0)
        return false;
    size_t length = 0;
    ssize_t got = 1;
    while (length < text_bytes - 1 && got != 0) {
        got = read(fd, text + length, text_bytes - 1 - length);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            break;
        length += (size_t)got;
    }
    close(fd);
    while (length > 0 && strchr(" \t\r\n", text[length - 1]))
        length--;
    text[length] = '\0';
    return got >= 0;
}

/* --- all CPUs --- */

/* CPUs that are not covered yet. */
struct cover {
    unsigned char *left; /* [MLY__MAX_CPU / 8 + 1] */
};

static enum mly_status put_left(uint32_t cpu, void *user, struct mly_error *err)
{
    struct cover *cover = user;
    (void)err;
    if (cpu <= MLY__MAX_CPU)
        cover->left[cpu / 8] |= (unsigned char)(1u << cpu % 8);
    return MLY_OK;
}

static enum mly_status take_left(uint32_t cpu, void *user, struct mly_error *err)
{
    struct cover *cover = user;
    (void)err;
    if (cpu <= MLY__MAX_CPU)
        cover->left[cpu / 8] &= (unsigned char)~(1u << cpu % 8);
    return MLY_OK;
}

/* "0-3,8" of a file of the kernel; false if there is none. */
static bool visit_file(const char *root, const char *path, mly__cpu_visitor *each,
                       struct cover *cover)
{
    char text[4096];
    struct mly_error why;
    if (!mly__read_text(root, path, text, sizeof text))
        return false;
    for (char *c = text; *c; c++)
        if (*c == ',')
            *c = '+'; /* as ids of processors have it */
    return text[0] != '\0' &&
           mly__cpu_list_parse(text, strlen(text), 1, each, cover, &why) == MLY_OK;
}

bool mly__cpus_are_whole_box(const char *root, const uint32_t *cpus, uint32_t count)
{
    static const unsigned char none[MLY__MAX_CPU / 8 + 1];
    unsigned char left[sizeof none] = {0};
    struct cover cover = {left};
    if (!visit_file(root, "/sys/devices/system/cpu/online", put_left, &cover))
        return false;
    for (uint32_t i = 0; i < count; i++) {
        char path[96];
        snprintf(path, sizeof path, "/sys/devices/system/cpu/cpu%u/topology/thread_siblings_list",
                 (unsigned)cpus[i]);
        (void)take_left(cpus[i], &cover, NULL);
        (void)visit_file(root, path, take_left, &cover);
    }
    return memcmp(left, none, sizeof none) == 0;
}

bool mly_cpus_are_whole_box(const uint32_t *cpus, uint32_t count)
{
    return mly__cpus_are_whole_box("", cpus, count);
}

/* --- directories --- */

static int compare_names(const void *a, const void *b)
{
    return strverscmp(a, b);
}

size_t mly__read_names(const char *root, const char *path, const char *prefix,
                       char (*names)[MLY__NAME_BYTES], size_t max)
{
    char full[PATH_BYTES];
    DIR *directory = join(full, root, path) ? opendir(full) : NULL;
    if (!directory)
        return 0;
    size_t count = 0;
    const struct dirent *entry;
    while (count < max && (entry = readdir(directory))) {
        size_t length = strlen(entry->d_name);
        if (entry->d_name[0] == '.' || length >= MLY__NAME_BYTES ||
            strncmp(entry->d_name, prefix, strlen(prefix)) != 0)
            continue;
        memcpy(names[count++], entry->d_name, length + 1);
    }
    closedir(directory);
    qsort(names, count, sizeof names[0], compare_names);
    return count;
}

bool mly__pci_has(const char *root, const char *vendor, const char *class_prefix)
{
    enum { MAX_DEVICES = 512 };
    char names[MAX_DEVICES][MLY__NAME_BYTES];
    size_t count = mly__read_names(root, "/sys/bus/pci/devices", "", names, MAX_DEVICES);
    for (size_t i = 0; i < count; i++) {
        char path[PATH_BYTES], text[32];
        snprintf(path, sizeof path, "/sys/bus/pci/devices/%s/vendor", names[i]);
        if (!mly__read_text(root, path, text, sizeof text) || strcmp(text, vendor) != 0)
            continue;
        snprintf(path, sizeof path, "/sys/bus/pci/devices/%s/class", names[i]);
        if (mly__read_text(root, path, text, sizeof text) &&
            strncmp(text, class_prefix, strlen(class_prefix)) == 0)
            return true;
    }
    return false;
}

/* --- control groups (kernel documentation: admin-guide/cgroup-v2.rst, cgroup-v1/memory.rst) --- */

/* Version 1 says "no limit" with the largest multiple of the page size; no box has this much. */
#define NO_LIMIT_BYTES (UINT64_C(1) << 60)

struct limits {
    double cpu_quota;
    uint64_t memory_bytes;
};

static void tighten_quota(struct limits *limits, double quota_us, double period_us)
{
    if (quota_us <= 0 || period_us <= 0)
        return;
    double cores = quota_us / period_us;
    if (limits->cpu_quota <= 0 || cores < limits->cpu_quota)
        limits->cpu_quota = cores;
}

static void tighten_memory(struct limits *limits, const char *text)
{
    char *end;
    errno = 0;
    unsigned long long bytes = strtoull(text, &end, 10);
    if (end == text || errno || bytes == 0 || bytes >= NO_LIMIT_BYTES)
        return; /* "max" */
    if (limits->memory_bytes == 0 || bytes < limits->memory_bytes)
        limits->memory_bytes = bytes;
}

static void read_group_v2(const char *root, const char *group, struct limits *limits)
{
    char path[PATH_BYTES], text[128];
    if (join(path, group, "/cpu.max") && mly__read_text(root, path, text, sizeof text)) {
        double quota_us, period_us;
        if (sscanf(text, "%lf %lf", &quota_us, &period_us) == 2) /* "max 100000" is no limit */
            tighten_quota(limits, quota_us, period_us);
    }
    if (join(path, group, "/memory.max") && mly__read_text(root, path, text, sizeof text))
        tighten_memory(limits, text);
}

static void read_group_v1(const char *root, const char *group, struct limits *limits)
{
    char path[PATH_BYTES], quota[64], period[64];
    if (join(path, group, "/cpu.cfs_quota_us") && mly__read_text(root, path, quota, sizeof quota) &&
        join(path, group, "/cpu.cfs_period_us") &&
        mly__read_text(root, path, period, sizeof period))
        tighten_quota(limits, strtod(quota, NULL), strtod(period, NULL));
    if (join(path, group, "/memory.limit_in_bytes") &&
        mly__read_text(root, path, quota, sizeof quota))
        tighten_memory(limits, quota);
}

/*
 * A limit of an outer group binds too, so every group from this process's own up to the mount is
 * read. In a container the path may be the host's and lead nowhere; its own group is then the mount
 * itself, where the walk ends.
 */
static void read_groups_up(const char *root, const char *mount, const char *path,
                           void (*read_group)(const char *, const char *, struct limits *),
                           struct limits *limits)
{
    char group[PATH_BYTES];
    if (!join(group, mount, path))
        return;
    for (size_t mount_length = strlen(mount);;) {
        char *slash = strrchr(group, '/');
        while (slash && slash[1] == '\0' && slash > group) { /* "/" at the end */
            *slash = '\0';
            slash = strrchr(group, '/');
        }
        read_group(root, group, limits);
        if (!slash || (size_t)(slash - group) < mount_length)
            return;
        *slash = '\0';
    }
}

/* Whether name is one of the comma-separated controllers. */
static bool has_controller(const char *controllers, const char *name)
{
    size_t length = strlen(name);
    for (const char *p = controllers; (p = strstr(p, name)); p += length)
        if ((p == controllers || p[-1] == ',') && (p[length] == '\0' || p[length] == ','))
            return true;
    return false;
}

/* One line of /proc/self/cgroup: "hierarchy:controllers:path". */
static void read_membership(const char *root, char *line, struct limits *limits)
{
    static const char *const mounts_v2[] = {"/sys/fs/cgroup", "/sys/fs/cgroup/unified"};
    static const char *const mounts_v1[] = {"/sys/fs/cgroup/cpu", "/sys/fs/cgroup/cpu,cpuacct",
                                            "/sys/fs/cgroup/memory"};
    char *controllers = strchr(line, ':');
    char *second = controllers ? strchr(controllers + 1, ':') : NULL;
    if (!second)
        return;
    controllers++;
    *second = '\0';
    const char *path = second + 1;
    if (strncmp(path, "/..", 3) == 0) /* outside of our cgroup namespace */
        path = "/";
    if (*controllers == '\0') {
        for (size_t i = 0; i < sizeof mounts_v2 / sizeof mounts_v2[0]; i++)
            read_groups_up(root, mounts_v2[i], path, read_group_v2, limits);
    } else if (has_controller(controllers, "cpu") || has_controller(controllers, "memory")) {
        for (size_t i = 0; i < sizeof mounts_v1 / sizeof mounts_v1[0]; i++)
            read_groups_up(root, mounts_v1[i], path, read_group_v1, limits);
    }
}

void mly__read_cgroup(const char *root, double *cpu_quota, uint64_t *memory_bytes)
{
    char text[8192], *rest = NULL;
    struct limits limits = {0};
    if (mly__read_text(root, "/proc/self/cgroup", text, sizeof text))
        for (char *line = strtok_r(text, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest))
            read_membership(root, line, &limits);
    *cpu_quota = limits.cpu_quota;
    *memory_bytes = limits.memory_bytes;
}

/* --- /proc/cpuinfo --- */

/* Flags that decide which kernels a runtime picks, as Linux names them. */
static const char *const kernel_flags[] = {
    /* x86-64 */
    "sse4_1", "sse4_2", "avx", "f16c", "fma", "avx2", "avx_vnni", "avx_vnni_int8", "avx_ne_convert",
    "avx512f", "avx512dq", "avx512bw", "avx512vl", "avx512_vnni", "avx512_bf16", "avx512_fp16",
    "amx_tile", "amx_int8", "amx_bf16", "amx_fp16",
    /* arm64 */
    "asimd", "asimdhp", "asimddp", "asimdfhm", "i8mm", "bf16", "sve", "sve2", "svei8mm", "svebf16",
    "sme", "sme2"};

/* CPU parts as in Linux, arch/arm64/include/asm/cputype.h. */
static const struct {
    unsigned implementer, part;
    const char *name;
} arm_parts[] = {
    {0x41, 0xd03, "ARM Cortex-A53"},  {0x41, 0xd05, "ARM Cortex-A55"},
    {0x41, 0xd07, "ARM Cortex-A57"},  {0x41, 0xd08, "ARM Cortex-A72"},
    {0x41, 0xd09, "ARM Cortex-A73"},  {0x41, 0xd0a, "ARM Cortex-A75"},
    {0x41, 0xd0b, "ARM Cortex-A76"},  {0x41, 0xd0c, "ARM Neoverse N1"},
    {0x41, 0xd0d, "ARM Cortex-A77"},  {0x41, 0xd40, "ARM Neoverse V1"},
    {0x41, 0xd41, "ARM Cortex-A78"},  {0x41, 0xd44, "ARM Cortex-X1"},
    {0x41, 0xd49, "ARM Neoverse N2"}, {0x41, 0xd4f, "ARM Neoverse V2"},
};

/* The value of the first line that begins with key, as a slice of text; NULL if there is none. */
static const char *cpuinfo_value(const char *text, const char *key, size_t *length)
{
    size_t key_length = strlen(key);
    for (const char *line = text; line && *line; line = strchr(line, '\n')) {
        line += *line == '\n';
        if (strncmp(line, key, key_length) != 0)
            continue;
        const char *value = line + key_length;
        value += strspn(value, " \t");
        if (*value != ':')
            continue;
        value++;
        value += strspn(value, " \t");
        *length = strcspn(value, "\n");
        return value;
    }
    return NULL;
}

static unsigned cpuinfo_number(const char *text, const char *key)
{
    size_t length;
    const char *value = cpuinfo_value(text, key, &length);
    return value ? (unsigned)strtoul(value, NULL, 0) : 0;
}

static bool has_word(const char *words, size_t length, const char *word)
{
    size_t word_length = strlen(word);
    for (size_t at = 0; at < length;) {
        size_t end = at;
        while (end < length && words[end] != ' ')
            end++;
        if (end - at == word_length && memcmp(words + at, word, word_length) == 0)
            return true;
        at = end + 1;
    }
    return false;
}

static void arm_model(const char *root, const char *text, char *model, size_t model_bytes)
{
    unsigned implementer = cpuinfo_number(text, "CPU implementer");
    unsigned part = cpuinfo_number(text, "CPU part");
    for (size_t i = 0; i < sizeof arm_parts / sizeof arm_parts[0]; i++)
        if (arm_parts[i].implementer == implementer && arm_parts[i].part == part) {
            snprintf(model, model_bytes, "%s", arm_parts[i].name);
            return;
        }
    if (implementer)
        snprintf(model, model_bytes, "CPU implementer 0x%x part 0x%x", implementer, part);
    else if (!mly__read_text(root, "/proc/device-tree/model", model, model_bytes))
        model[0] = '\0';
}

void mly__read_cpu(const char *root, char *model, size_t model_bytes, char *features,
                   size_t features_bytes)
{
    char text[16384]; /* the first CPUs are enough */
    model[0] = features[0] = '\0';
    if (!mly__read_text(root, "/proc/cpuinfo", text, sizeof text))
        return;
    size_t length;
    const char *value = cpuinfo_value(text, "model name", &length);
    if (value)
        snprintf(model, model_bytes, "%.*s", (int)length, value);
    else
        arm_model(root, text, model, model_bytes);

    value = cpuinfo_value(text, "flags", &length);
    if (!value)
        value = cpuinfo_value(text, "Features", &length);
    if (!value)
        return;
    size_t used = 0;
    for (size_t i = 0; i < sizeof kernel_flags / sizeof kernel_flags[0]; i++) {
        size_t needed = strlen(kernel_flags[i]) + (used > 0);
        if (!has_word(value, length, kernel_flags[i]) || used + needed >= features_bytes)
            continue;
        used += (size_t)snprintf(features + used, features_bytes - used, "%s%s", used ? " " : "",
                                 kernel_flags[i]);
    }
}

/* Pinning the calling thread. */
#include "device/thread.h"

#include <errno.h>
#include <inttypes.h>
#include <sched.h>
#include <string.h>

#include "base/os.h"
#include "device/internal.h"

/* Holds every CPU number that is spoken of; the kernel refuses a set smaller than its own. */
#define SET_BYTES CPU_ALLOC_SIZE(MLY__MAX_CPU + 1)
union set {
    cpu_set_t first;
    unsigned char bytes[(MLY__MAX_CPU + 1) / 8];
};

/* What the calling thread may use, for messages. */
static void allowed_text(const union set *allowed, char *text, size_t text_bytes)
{
    uint32_t cpus[512], count = 0;
    for (uint32_t cpu = 0; cpu <= MLY__MAX_CPU && count < sizeof cpus / sizeof cpus[0]; cpu++)
        if (CPU_ISSET_S(cpu, SET_BYTES, &allowed->first))
            cpus[count++] = cpu;
    (void)mly__cpu_list_text(cpus, count, ',', text, text_bytes);
}

static enum mly_status absent(uint32_t cpu, struct mly_error *err)
{
    union set now;
    char text[128] = "unknown";
    memset(&now, 0, sizeof now);
    if (sched_getaffinity(0, SET_BYTES, &now.first) == 0)
        allowed_text(&now, text, sizeof text);
    return mly_error_set(err, MLY_E_ABSENT,
                         "a thread cannot run on CPU %" PRIu32
                         ": it is not there, switched off, or not "
                         "allowed to this process (this thread may use %s)",
                         cpu, text);
}

enum mly_status mly_thread_pin(uint32_t cpu, struct mly_error *err)
{
    return mly_thread_pin_set(&cpu, 1, err);
}

/* The kernel takes a set of which it can use a part; all or nothing is made of it here. */
enum mly_status mly_thread_pin_set(const uint32_t *cpus, uint32_t count, struct mly_error *err)
{
    union set wanted, old, now;
    if (count == 0)
        return mly_error_set(err, MLY_E_INVALID, "a thread cannot be pinned to no CPU at all");
    memset(&wanted, 0, sizeof wanted);
    for (uint32_t i = 0; i < count; i++) {
        if (cpus[i] > MLY__MAX_CPU)
            return absent(cpus[i], err);
        CPU_SET_S(cpus[i], SET_BYTES, &wanted.first);
    }
    memset(&old, 0, sizeof old);
    memset(&now, 0, sizeof now);
    bool known = sched_getaffinity(0, SET_BYTES, &old.first) == 0;
    if (sched_setaffinity(0, SET_BYTES, &wanted.first) < 0) {
        if (errno == EINVAL || errno == EPERM || errno == ENOSYS)
            return absent(cpus[0], err);
        return mly_error_os(err, errno, "cannot pin a thread to CPU %" PRIu32, cpus[0]);
    }
    if (!known || sched_getaffinity(0, SET_BYTES, &now.first) < 0)
        return MLY_OK;
    for (uint32_t i = 0; i < count; i++) {
        if (CPU_ISSET_S(cpus[i], SET_BYTES, &now.first))
            continue;
        (void)sched_setaffinity(0, SET_BYTES, &old.first);
        return absent(cpus[i], err);
    }
    return MLY_OK;
}

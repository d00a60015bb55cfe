/* What a session is told about threads, memory and logging. */
#include <inttypes.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/alloc.h"
#include "device/thread.h"
#include "ort_session.h"

/* Room for CPU numbers; the kernel refuses a set smaller than its own (at most 8192 CPUs). */
#define CPU_MAX 8192
union cpus {
    cpu_set_t first;
    unsigned char bytes[CPU_MAX / 8];
};

enum mly_status mly__ort_option(const struct mly__ort *ort, OrtSessionOptions *options,
                                const char *key, const char *value, struct mly_error *err)
{
    return mly__ort_check(ort, ort->api->AddSessionConfigEntry(options, key, value), err);
}

static uint32_t thread_count(const struct mly_session_options *options)
{
    return options->threads && !options->runtime_defaults ? options->threads
                                                          : options->processor->cpu_count;
}

/* The runtime's defaults, but on some cores of the box only. */
static bool is_confined(const struct mly_session_options *options)
{
    const struct mly_processor *processor = options->processor;
    return options->runtime_defaults && processor && processor->cpu_count > 0 &&
           !mly_cpus_are_whole_box(processor->cpus, processor->cpu_count);
}

/*
 * The runtime does not refuse CPUs that this process must not use: its threads then run anywhere. So
 * they are checked here, against what this thread and the process's first thread may use: the
 * caller of open may have pinned itself already.
 */
static enum mly_status check_cpus(const struct mly_session_options *options, struct mly_error *err)
{
    union cpus own, first;
    memset(&own, 0, sizeof own);
    memset(&first, 0, sizeof first);
    if (sched_getaffinity(0, sizeof own, &own.first) != 0 ||
        sched_getaffinity(getpid(), sizeof first, &first.first) != 0)
        return mly_error_set(err, MLY_E_ABSENT,
                             "the CPUs that this process may use are not to be learnt");
    for (uint32_t i = 0; i < thread_count(options); i++) {
        const uint32_t cpu = options->processor->cpus[i];
        if (cpu >= CPU_MAX || (!CPU_ISSET_S(cpu, sizeof own, &own.first) &&
                               !CPU_ISSET_S(cpu, sizeof first, &first.first)))
            return mly_error_set(err, MLY_E_ABSENT,
                                 "%s: CPU %" PRIu32 " is not there or not allowed to this process",
                                 options->processor->id, cpu);
    }
    return MLY_OK;
}

enum mly_status mly__ort_check_options(const struct mly_session_options *options,
                                       struct mly_error *err)
{
    const struct mly_processor *processor = options->processor;
    if (options->runtime_defaults)
        return is_confined(options) ? check_cpus(options, err) : MLY_OK;
    if (!processor)
        return mly_error_set(err, MLY_E_INVALID, "a session needs a processor");
    if (strcmp(processor->kind, "cpu") != 0)
        return mly_error_set(err, MLY_E_UNSUPPORTED, "%s: this back end drives CPUs only",
                             processor->id);
    if (processor->cpu_count == 0 || options->threads > processor->cpu_count)
        return mly_error_set(err, MLY_E_INVALID,
                             "%s: %" PRIu32 " threads asked for; it has %" PRIu32 " CPUs",
                             processor->id, options->threads, processor->cpu_count);
    return options->pin ? check_cpus(options, err) : MLY_OK;
}

/* "3;4": the CPU of each thread but the calling one, counted from 1. */
static enum mly_status set_affinity(const struct mly__ort *ort,
                                    const struct mly_session_options *options,
                                    OrtSessionOptions *to, struct mly_error *err)
{
    const uint32_t threads = thread_count(options);
    const size_t room = (size_t)threads * 12;
    char *text = mly_alloc(room);
    if (!text)
        return mly_error_set(err, MLY_E_NO_MEMORY, "memory is short");
    size_t length = 0;
    for (uint32_t i = 1; i < threads; i++)
        length += (size_t)snprintf(text + length, room - length, "%s%" PRIu32, i > 1 ? ";" : "",
                                   options->processor->cpus[i] + 1);
    enum mly_status status =
        mly__ort_option(ort, to, "session.intra_op_thread_affinities", text, err);
    mly_free(text);
    return status;
}

static enum mly_status fill(const struct mly__ort *ort, const struct mly_session_options *options,
                            OrtSessionOptions *to, struct mly_error *err)
{
    const OrtApi *api = ort->api;
    /* An explicit count also turns off the runtime's own pinning, which fails in containers. */
    enum mly_status status =
        mly__ort_check(ort, api->SetIntraOpNumThreads(to, (int)thread_count(options)), err);
    if (status == MLY_OK)
        status = mly__ort_check(ort, api->SetInterOpNumThreads(to, 1), err);
    if (status == MLY_OK && options->pin && thread_count(options) > 1)
        status = set_affinity(ort, options, to, err);
    if (status == MLY_OK)
        status = mly__ort_option(ort, to, "session.intra_op.allow_spinning",
                                 options->spin ? "1" : "0", err);
    if (status == MLY_OK && options->spin) /* between runs nobody spins */
        status = mly__ort_option(ort, to, "session.force_spinning_stop", "1", err);
    /* Patterns keep one block per shape seen; the session's arena alone takes less. */
    if (status == MLY_OK)
        status = mly__ort_check(ort, api->DisableMemPattern(to), err);
    return status;
}

/* By itself the runtime starts a thread for every core of the box, and pins each. */
static enum mly_status confine(const struct mly__ort *ort,
                               const struct mly_session_options *options, OrtSessionOptions *to,
                               struct mly_error *err)
{
    enum mly_status status =
        mly__ort_check(ort, ort->api->SetIntraOpNumThreads(to, (int)thread_count(options)), err);
    if (status == MLY_OK && thread_count(options) > 1)
        status = set_affinity(ort, options, to, err);
    return status;
}

enum mly_status mly__ort_options(const struct mly__ort *ort,
                                 const struct mly_session_options *options, OrtSessionOptions **out,
                                 struct mly_error *err)
{
    OrtSessionOptions *made = NULL;
    enum mly_status status = mly__ort_check(ort, ort->api->CreateSessionOptions(&made), err);
    if (status == MLY_OK && is_confined(options))
        status = confine(ort, options, made, err);
    if (status == MLY_OK && !options->runtime_defaults)
        status = fill(ort, options, made, err);
    if (status != MLY_OK) {
        if (made)
            ort->api->ReleaseSessionOptions(made);
        return status;
    }
    *out = made;
    return MLY_OK;
}

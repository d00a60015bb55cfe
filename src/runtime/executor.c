/* What a crew is equipped with: an executor by its name, and a timeline. */
#include "runtime/executor.h"

#include <string.h>

#include "runtime/native.h"
#include "runtime/starpu.h"

/* Is it StarPU, and with which policy (NULL: none is named)? */
static enum mly_status parse(const char *executor, bool *starpu, const char **policy,
                             struct mly_error *err)
{
    static const char prefix[] = "starpu";
    const size_t length = sizeof prefix - 1;
    *policy = NULL;
    *starpu = executor && strncmp(executor, prefix, length) == 0 &&
              (executor[length] == '\0' || executor[length] == ':');
    if (*starpu && executor[length] == ':')
        *policy = executor + length + 1;
    if (*policy && **policy == '\0')
        return mly_error_set(err, MLY_E_INVALID,
                             "executor '%.64s': a policy's name follows, as in starpu:dmda",
                             executor);
    if (!*starpu && executor && strcmp(executor, "native") != 0)
        return mly_error_set(err, MLY_E_INVALID,
                             "executor '%.64s': there are native, starpu and starpu:POLICY",
                             executor);
    return MLY_OK;
}

static enum mly_status choose(struct mly__crew *crew, const char *executor, struct mly_error *err)
{
    bool starpu;
    const char *policy;
    enum mly_status status = parse(executor, &starpu, &policy, err);
    if (status == MLY_OK && starpu)
        status = mly__starpu_create(crew, policy, &crew->starpu, err);
    return status;
}

enum mly_status mly_executor_check(const char *executor, struct mly_error *err)
{
    bool starpu;
    const char *policy;
    enum mly_status status = parse(executor, &starpu, &policy, err);
    if (status == MLY_OK && starpu)
        status = mly__starpu_check(policy, err);
    return status;
}

enum mly_status mly__crew_equip(struct mly__crew *crew, const char *executor,
                                mly_timeline *timeline, struct mly_error *err)
{
    enum mly_status status = choose(crew, executor, err);
    if (status != MLY_OK || !timeline)
        return status;
    crew->timeline = timeline;
    return mly__timeline_add_writer(timeline, &crew->request_writer, err);
}

void mly__crew_mark_health(struct mly__crew *crew, int64_t now_ns)
{
    for (uint32_t i = 0; i < crew->worker_count; i++) {
        struct mly__worker *worker = crew->workers[i];
        bool aside = mly_scheduler_is_aside(crew->scheduler, i, NULL);
        if (aside == worker->marked_aside || !worker->lane.writer)
            continue;
        worker->marked_aside = aside;
        mly__timeline_mark(crew->timeline, worker->lane.processor, now_ns, "%s %s", worker->id,
                           aside ? "is set aside: it failed too often" : "works again");
    }
}

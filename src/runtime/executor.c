/* What a crew is equipped with: an executor by its name, and a timeline. */
#include <string.h>

#include "runtime/native.h"
#include "runtime/starpu.h"

static enum mly_status choose(struct mly__crew *crew, const char *executor, struct mly_error *err)
{
    static const char starpu[] = "starpu";
    size_t length = sizeof starpu - 1;
    if (!executor || strcmp(executor, "native") == 0)
        return MLY_OK;
    if (strncmp(executor, starpu, length) == 0 &&
        (executor[length] == '\0' || executor[length] == ':'))
        return mly__starpu_create(crew, executor[length] ? executor + length + 1 : NULL,
                                  &crew->starpu, err);
    return mly_error_set(err, MLY_E_INVALID,
                         "executor '%.64s': there are native, starpu and starpu:POLICY", executor);
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

/* The timeline of a run: made before the engine, saved after the stream, told at the end. */
#include "run_timeline.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "plan/plan.h"
#include "runtime/timeline.h"

enum mly_status run_timeline_check(const char *path, struct mly_error *err)
{
    return path ? mly__timeline_check_path(path, err) : MLY_OK;
}

enum mly_status run_timeline_open(struct run_timeline *timeline, const char *path,
                                  const mly_plan *plan, struct mly_error *err)
{
    if (!path)
        return MLY_OK;
    const char *model = mly_plan_model_path(plan);
    const char *slash = strrchr(model, '/');
    char *words = mly_plan_describe(plan);
    char *title = mly_strfmt("%s: %s", slash ? slash + 1 : model, words ? words : "");
    struct mly_timeline_options options = {.title = title};
    enum mly_status status = mly_timeline_create(&options, &timeline->timeline, err);
    mly_free(title);
    mly_free(words);
    timeline->path = path;
    return status;
}

enum mly_status run_timeline_save(struct run_timeline *timeline, struct mly_error *err)
{
    if (!timeline->path)
        return MLY_OK;
    mly_timeline_get_counts(timeline->timeline, &timeline->counts);
    return mly_timeline_save(timeline->timeline, timeline->path, err);
}

void run_timeline_put(const struct run_timeline *timeline, struct mly_json_writer *json)
{
    if (!timeline->path)
        return;
    mly_json_begin_object(json, "timeline");
    mly_json_put_string(json, "path", timeline->path);
    mly_json_put_int(json, "records", (int64_t)timeline->counts.kept);
    mly_json_put_int(json, "dropped", (int64_t)timeline->counts.dropped);
    mly_json_end_object(json);
}

void run_timeline_print(const struct run_timeline *timeline)
{
    if (!timeline->path)
        return;
    printf("timeline of %" PRIu64 " records written to %s", timeline->counts.kept, timeline->path);
    if (timeline->counts.dropped > 0)
        printf("; %" PRIu64 " older ones were dropped", timeline->counts.dropped);
    putchar('\n');
}

void run_timeline_close(struct run_timeline *timeline)
{
    mly_timeline_destroy(timeline->timeline);
    timeline->timeline = NULL;
}

/* The timeline of a run: --timeline. */
#ifndef MLY_CLI_RUN_TIMELINE_H
#define MLY_CLI_RUN_TIMELINE_H

#include <motley/plan.h>
#include <motley/timeline.h>

#include "base/json.h"

struct run_timeline {
    const char *path; /* NULL: none is wanted */
    mly_timeline *timeline;
    struct mly_timeline_counts counts; /* once it is saved */
};

/* Refuses a path of which no form follows, before anything is measured. path may be NULL. */
enum mly_status run_timeline_check(const char *path, struct mly_error *err) MLY_MUST_CHECK;
/* An empty timeline headed by the plan's description; nothing if path is NULL. */
enum mly_status run_timeline_open(struct run_timeline *timeline, const char *path,
                                  const mly_plan *plan, struct mly_error *err) MLY_MUST_CHECK;
enum mly_status run_timeline_save(struct run_timeline *timeline,
                                  struct mly_error *err) MLY_MUST_CHECK;
void run_timeline_put(const struct run_timeline *timeline, struct mly_json_writer *json);
void run_timeline_print(const struct run_timeline *timeline);
/* After every engine that records into it. */
void run_timeline_close(struct run_timeline *timeline);

#endif

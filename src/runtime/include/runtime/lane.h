/*
 * What an engine records into a timeline: a lane per processor with its tasks, the names of its
 * segments, and its requests. Zeroed lanes and NULL names record nothing.
 */
#ifndef MLY_RUNTIME_LANE_H
#define MLY_RUNTIME_LANE_H

#include "runtime/flow.h"
#include "runtime/request.h"
#include "runtime/timeline.h"

/* A processor in a timeline, and the writer of its worker. */
struct mly__lane {
    mly__timeline_writer *writer; /* borrowed from the timeline; NULL: there is none */
    uint32_t processor;
};

/* Errors of mly__timeline_add_processor. *out is untouched on failure. */
enum mly_status mly__lane_open(mly_timeline *timeline, const struct mly_processor *device,
                               struct mly__lane *out, struct mly_error *err) MLY_MUST_CHECK;

/*
 * Gives a flow's model and segments their names in a timeline; `way` tells the flows of a family apart, from
 * 1 (0: there is one), `batch` is that of requests whose tensors have no dimensions. *out is the caller's.
 */
enum mly_status mly__flow_names_create(mly_timeline *timeline, const struct mly_flow *flow,
                                       uint32_t way, uint32_t batch, struct mly__flow_names **out,
                                       struct mly_error *err) MLY_MUST_CHECK;
/* NULL is fine. */
void mly__flow_names_destroy(struct mly__flow_names *names);

/*
 * A task that began (task->started_ns) is over, and not completed yet. From the lane's thread; needs
 * no lock.
 */
void mly__lane_record_task(const struct mly__lane *lane, const struct mly__task *task,
                           int64_t end_ns, enum mly_status status);
/* Tensors that the task moved meanwhile, or `out` of the processor. As before. */
void mly__lane_record_copy(const struct mly__lane *lane, const struct mly__task *task, bool out,
                           int64_t begin_ns, int64_t end_ns, uint64_t bytes);
/* A request is about to be delivered. Calls with one writer one at a time. */
void mly__lane_record_request(mly__timeline_writer *writer, const mly_request *request,
                              int64_t now_ns);

#endif

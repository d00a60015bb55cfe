/* An engine's part of a timeline: lanes, names, and records of its tasks and requests. */
#include "runtime/lane.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"

#define WAY_BYTES 24 /* of ", plan 4294967295" and more */

struct mly__flow_names {
    uint32_t model;
    uint32_t batch;      /* of requests whose tensors do not say */
    uint32_t segments[]; /* their numbers in the timeline */
};

enum mly_status mly__lane_open(mly_timeline *timeline, const struct mly_processor *device,
                               struct mly__lane *out, struct mly_error *err)
{
    struct mly__lane lane = {0};
    enum mly_status status =
        mly__timeline_add_processor(timeline, device->id, device->modelled, &lane.processor, err);
    if (status == MLY_OK)
        status = mly__timeline_add_writer(timeline, &lane.writer, err);
    if (status == MLY_OK)
        *out = lane;
    return status;
}

/* "googlenet" for "models/googlenet.onnx", cut where out ends. */
static void name_of(const char *path, char *out, size_t out_bytes)
{
    const char *slash = strrchr(path, '/');
    const char *name = slash ? slash + 1 : path;
    size_t length = strlen(name);
    if (length > 5 && strcmp(name + length - 5, ".onnx") == 0)
        length -= 5;
    if (length >= out_bytes)
        length = out_bytes - 1;
    memcpy(out, name, length);
    out[length] = '\0';
}

enum mly_status mly__flow_names_create(mly_timeline *timeline, const struct mly_flow *flow,
                                       uint32_t way, uint32_t batch, struct mly__flow_names **out,
                                       struct mly_error *err)
{
    char model[256] = "model";
    if (flow->model && mly_model_path(flow->model))
        name_of(mly_model_path(flow->model), model, sizeof model - WAY_BYTES);
    if (way > 0) {
        size_t length = strlen(model);
        snprintf(model + length, sizeof model - length, ", plan %" PRIu32, way);
    }
    struct mly__flow_names *names =
        mly_alloc(sizeof *names + flow->segment_count * sizeof *names->segments);
    if (!names)
        return mly_error_set(err, MLY_E_NO_MEMORY, "no memory for the names in a timeline");
    names->batch = batch;
    enum mly_status status = mly__timeline_add_model(timeline, model, &names->model, err);
    for (uint32_t s = 0; s < flow->segment_count && status == MLY_OK; s++) {
        const char *segment = flow->segments[s].name;
        status =
            mly__timeline_add_segment(timeline, names->model, segment && *segment ? segment : model,
                                      &names->segments[s], err);
    }
    if (status == MLY_OK)
        *out = names;
    else
        mly__flow_names_destroy(names);
    return status;
}

void mly__flow_names_destroy(struct mly__flow_names *names)
{
    mly_free(names);
}

/* Dimension 0 of the first input, if it has one. */
static uint32_t batch_of(const mly_request *request)
{
    const struct mly_flow *flow = request->pool->flow;
    const struct mly_shape *shape = &request->tensors[flow->output_count].shape;
    if (flow->input_count > 0 && shape->rank > 0 && shape->dims[0] > 0)
        return (uint32_t)shape->dims[0];
    return request->pool->names->batch;
}

static uint32_t class_of(const mly_request *request)
{
    return request->priority > 0 ? (uint32_t)request->priority : 0;
}

/* What all records of a task share. */
static struct mly__timeline_record record_of(const struct mly__lane *lane,
                                             const struct mly__task *task)
{
    const mly_request *request = task->request;
    const struct mly__flow_names *names = request->pool->names;
    return (struct mly__timeline_record){.request = request->sequence,
                                         .processor = lane->processor,
                                         .segment = names->segments[task->schedule.segment],
                                         .model = names->model,
                                         .batch = task->rows > 0 ? task->rows : batch_of(request),
                                         .request_class = class_of(request)};
}

void mly__lane_record_task(const struct mly__lane *lane, const struct mly__task *task,
                           int64_t end_ns, enum mly_status status)
{
    if (!lane->writer || !task->request->pool->names)
        return;
    struct mly__timeline_record record = record_of(lane, task);
    record.kind = MLY__TIMELINE_TASK;
    record.status = (uint16_t)status;
    record.ready_ns = task->ready_ns;
    record.begin_ns = task->started_ns;
    record.end_ns = end_ns;
    mly__timeline_add(lane->writer, &record);
}

void mly__lane_record_copy(const struct mly__lane *lane, const struct mly__task *task, bool out,
                           int64_t begin_ns, int64_t end_ns, uint64_t bytes)
{
    if (!lane->writer || !task->request->pool->names)
        return;
    struct mly__timeline_record record = record_of(lane, task);
    record.kind = MLY__TIMELINE_COPY;
    record.out = out;
    record.ready_ns = record.begin_ns = begin_ns;
    record.end_ns = end_ns;
    record.bytes = bytes;
    mly__timeline_add(lane->writer, &record);
}

void mly__lane_record_request(mly__timeline_writer *writer, const mly_request *request,
                              int64_t now_ns)
{
    const struct mly__flow_names *names = request->pool->names;
    if (!writer || !names)
        return;
    struct mly__timeline_record record = {.kind = MLY__TIMELINE_REQUEST,
                                          .status = (uint16_t)request->status,
                                          .request = request->sequence,
                                          .ready_ns = request->submitted_ns,
                                          .begin_ns = request->submitted_ns,
                                          .end_ns = now_ns,
                                          .processor = MLY_NO_INDEX,
                                          .segment = MLY_NO_INDEX,
                                          .model = names->model,
                                          .batch = batch_of(request),
                                          .request_class = class_of(request)};
    mly__timeline_add(writer, &record);
}

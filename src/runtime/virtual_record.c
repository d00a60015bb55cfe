/*
 * What a virtual run leaves in a timeline: what the native executor records, by the same functions, at
 * the clock's times.
 *
 *   1. A task of a modelled processor ends with its output's copy; its input's is as long before that as the
 *      task takes when nothing comes before it. What does (the weights of a first task) is no copy of its
 *      own.
 *   2. Tensors of another NUMA node come first.
 */
#include "virtual_private.h"

enum mly_status mly__virtual_open_timeline(struct mly__virtual_run *run, struct mly_error *err)
{
    mly_timeline *timeline = run->options->timeline;
    enum mly_status status = MLY_OK;
    if (!timeline)
        return MLY_OK;
    mly__timeline_set_virtual(timeline);
    for (uint32_t p = 0; p < run->processor_count && status == MLY_OK; p++)
        status = mly__lane_open(timeline, &run->sides[0].flow->processors[p].device,
                                &run->seats[p].lane, err);
    for (uint32_t i = 0; i < run->side_count && status == MLY_OK; i++) {
        struct mly__virtual_side *side = &run->sides[i];
        status = mly__flow_names_create(timeline, side->flow, run->side_count > 1 ? i + 1 : 0,
                                        run->samples, &side->names, err);
        side->pool->names = side->names;
    }
    return status == MLY_OK ? mly__timeline_add_writer(timeline, &run->request_writer, err)
                            : status;
}

/* (2) Of the task's inputs that lie elsewhere. */
static double moved_bytes(const struct mly__virtual_side *side, const struct mly__task *task)
{
    const struct mly_flow_segment *segment = &side->flow->segments[task->schedule.segment];
    const int32_t node = side->flow->processors[task->processor].node;
    double bytes = 0;
    for (uint32_t i = 0; i < segment->input_count; i++) {
        const struct mly_flow_slot *slot = &side->flow->slots[segment->inputs[i]];
        bool again = slot->producer == MLY_NO_INDEX; /* the client's counts nowhere */
        for (uint32_t k = 0; k < i && !again; k++)
            again = segment->inputs[k] == segment->inputs[i];
        if (again)
            continue;
        const uint32_t maker = task->request->tasks[slot->producer].processor;
        if (side->flow->processors[maker].node != node)
            bytes += slot->bytes;
    }
    return bytes;
}

void mly__virtual_record(struct mly__virtual_run *run, const struct mly__virtual_seat *seat)
{
    const struct mly__task *task = seat->task;
    const struct mly__virtual_side *side = mly__virtual_side_of(run, task->request);
    const struct mly_virtual_cost *cost = mly__virtual_cost_of(side, task);
    const int64_t move_ns = task->schedule.move_ns ? task->schedule.move_ns[task->processor] : 0;
    const int64_t in_ns = seat->end_ns - (int64_t)cost->median_ns; /* (1) */
    mly__lane_record_task(&seat->lane, task, seat->end_ns, MLY_OK);
    if (move_ns > 0)
        mly__lane_record_copy(&seat->lane, task, false, seat->begin_ns, seat->begin_ns + move_ns,
                              (uint64_t)moved_bytes(side, task));
    if (cost->input_bytes > 0)
        mly__lane_record_copy(&seat->lane, task, false, in_ns, in_ns + (int64_t)cost->input_ns,
                              (uint64_t)cost->input_bytes);
    if (cost->output_bytes > 0)
        mly__lane_record_copy(&seat->lane, task, true, seat->end_ns - (int64_t)cost->output_ns,
                              seat->end_ns, (uint64_t)cost->output_bytes);
}

/* Pictures of graphs and of plans, in Graphviz's language. */
#ifndef MLY_PLAN_DOT_H
#define MLY_PLAN_DOT_H

#include "base/buffer.h"
#include "plan/plan.h"

/*
 * Appends a digraph of the model: operators coloured by kind, shapes at the edges, what a runtime
 * computes as one in boxes (in graphs of up to 300 nodes). shapes[tensor_count] as mly_graph_bind
 * fills them. Errors: MLY_E_LIMIT beyond the buffer's maximum; MLY_E_NO_MEMORY. Thread-safe.
 */
enum mly_status mly_dot_graph(const struct mly_graph *graph, const struct mly_shape *shapes,
                              struct mly_buffer *out, struct mly_error *err) MLY_MUST_CHECK;

struct mly_dot_options {
    /* [segment_count], as mly_plan_stages fills them; NULL: the picture has no times. Borrowed. */
    const struct mly_stage *stages;
    /* As mly_plan_part_times fills them; NULL: of several processors only a mean is told. Borrowed. */
    const struct mly_plan_time *times;
    bool contracted; /* one node per segment; graphs of more than 300 nodes always are */
};

/*
 * Appends a digraph of a plan (one that mly_plan_check has accepted): segments as boxes, each of its
 * own colour, with their processors, their times (said to be modelled where they are; where processors of one take
 * unlike times, or split the batch, each kind's, and which is the slowest) and numbers of nodes; bytes where tensors pass from one to another, or come in or go out. shapes[tensor_count] as
 * mly_graph_bind fills them for the plan's batch. Contracted, a segment is one node with its most
 * frequent operators. Errors as above; MLY_E_INVALID for a plan whose nodes are not the graph's.
 * Thread-safe.
 */
enum mly_status mly_dot_plan(const mly_plan *plan, const struct mly_graph *graph,
                             const struct mly_shape *shapes, const struct mly_dot_options *options,
                             struct mly_buffer *out, struct mly_error *err) MLY_MUST_CHECK;

#endif

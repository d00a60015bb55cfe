/*
 * `bisection`: what libcoral's profiling partitioner for Edge TPUs does, written from its description, for
 * comparison. Segments' times come from the costs that all planners use; libcoral measures them.
 *
 *   1. It begins with the split by parameters (parameters.c). The wanted time of the slowest segment lies
 *      between the least and the largest of that split's.
 *   2. Bisection: each segment but the last gets the longest run of operators whose time is within the
 *      wanted one; if the rest is, too, that can be reached, else it cannot.
 *   3. It stops when less than a millisecond is left between the two. The split whose slowest segment is
 *      fastest, of all that were seen, is the answer.
 */
#include <string.h>

#include "base/alloc.h"
#include "in_order.h"
#include "problem_private.h"

#define STOP_NS 1e6 /* libcoral's diff_threshold_ns by default */

struct search {
    const struct mly__problem *problem;
    const uint32_t *class_of_part;
    uint32_t part_count;
    struct mly__part_builder builder;
};

static double time_of(const struct search *s)
{
    struct mly__segment_cost cost;
    mly__part_builder_cost(&s->builder, &cost);
    return mly__stage_period_ns(s->builder.class, &cost);
}

/* Times of a split's slowest and fastest segments. */
static void measure(struct search *s, const uint32_t *ends, double *least, double *most)
{
    *least = INFINITY;
    *most = 0;
    for (uint32_t part = 0, u = 0; part < s->part_count; part++) {
        mly__part_builder_reset(&s->builder, s->class_of_part[part]);
        for (; u < ends[part]; u++)
            mly__part_builder_add(&s->builder, u);
        const double ns = time_of(s);
        *least = fmin(*least, ns);
        *most = fmax(*most, ns);
    }
}

/* 2. A segment may take too long by its first operator alone: it needs one. */
static void fill(struct search *s, double wanted, uint32_t *ends)
{
    const uint32_t units = s->problem->unit_count;
    uint32_t begin = 0;
    for (uint32_t part = 0; part + 1 < s->part_count; part++) {
        const uint32_t last = units - (s->part_count - part - 1); /* one for each that follows */
        ends[part] = begin + 1;
        mly__part_builder_reset(&s->builder, s->class_of_part[part]);
        for (uint32_t u = begin; u < last; u++) {
            mly__part_builder_add(&s->builder, u);
            if (time_of(s) <= wanted)
                ends[part] = u + 1;
        }
        begin = ends[part];
    }
    ends[s->part_count - 1] = units;
}

static void bisect(struct search *s, uint32_t *ends, uint32_t *tried)
{
    double low, high, best, ignored;
    measure(s, ends, &low, &high);
    best = high;
    while (high - low > STOP_NS) { /* 3 */
        const double wanted = low + (high - low) / 2;
        double slowest;
        fill(s, wanted, tried);
        measure(s, tried, &ignored, &slowest);
        if (slowest < best) {
            best = slowest;
            memcpy(ends, tried, s->part_count * sizeof *ends);
        }
        if (slowest <= wanted)
            high = wanted;
        else
            low = wanted;
    }
}

static enum mly_status cut(const struct mly__problem *problem, const uint32_t *class_of_part,
                           uint32_t part_count, uint32_t *ends, struct mly_error *err)
{
    struct search s = {
        .problem = problem, .class_of_part = class_of_part, .part_count = part_count};
    enum mly_status status =
        mly__cut_by_parameters(problem, class_of_part, part_count, ends, err); /* 1 */
    if (status || part_count == 1)
        return status;
    uint32_t *tried = mly_alloc_array(part_count, sizeof *tried);
    status = tried ? mly__part_builder_init(&s.builder, problem, class_of_part[0], err)
                   : mly__problem_no_memory(err);
    if (!status)
        bisect(&s, ends, tried);
    mly__part_builder_fini(&s.builder);
    mly_free(tried);
    return status;
}

static enum mly_status make(const struct mly_plan_request *request, mly_plan **out,
                            struct mly_error *err)
{
    return mly__plan_in_order(request, "bisection", cut, out, err);
}

const struct mly_planner mly__planner_bisection = {
    .name = "bisection",
    .summary =
        "segments by bisection on the slowest one's time, as libcoral's profiling partitioner",
    .by_name_only = true,
    .make = make,
};

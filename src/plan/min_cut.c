/*
 * The best division of a graph between two processors.
 *
 * The source's side of the cut is the first processor, the sink's the second.
 *
 *   1. Node v: source → v costs its time on the second, v → sink that on the first; v's results
 *      that go out are added to both. A time that is no option is an arc without limit.
 *   2. Net from u: a node x of its own, u → x with what crossing costs, x → each reader without
 *      limit: if a reader is on the second, so is x, and the net is paid once. Reader → u without
 *      limit: u is on the first if a reader is.
 *   3. Net from outside: paid where it is read. Reader → y without limit, y → sink: the first's
 *      price; source → z, z → reader without limit: the second's.
 *   4. What a processor costs just because it is used is the same for all divisions that use both;
 *      so the best of these stands against everything on one processor.
 */
#include "min_cut.h"

#include <math.h>
#include <string.h>

#include "base/alloc.h"
#include "max_flow.h"

/* What all finite times together are in units: far below what counts as without limit. */
#define UNITS ((double)((int64_t)1 << 57))

static bool reads_any(const struct mly__dag_net *net, const bool *second, bool side)
{
    for (uint32_t k = 0; k < net->to_count; k++)
        if (second[net->to[k]] == side)
            return true;
    return false;
}

static double net_cost(const struct mly__min_cut *problem, uint32_t index, const bool *second)
{
    const struct mly__dag_net *net = &problem->dag->nets[index];
    double sum = 0;
    if (net->from == MLY_NO_INDEX) {
        for (int side = 0; side < 2; side++)
            if (reads_any(net, second, side == 1))
                sum += problem->in_ns[side][index];
        return sum;
    }
    if (second[net->from] && reads_any(net, second, false))
        return INFINITY;
    if (!second[net->from] && reads_any(net, second, true))
        sum += problem->cross_ns[index];
    return net->goes_out ? sum + problem->out_ns[second[net->from]][index] : sum;
}

double mly__min_cut_cost(const struct mly__min_cut *problem, const bool *second)
{
    double sum = 0;
    bool used[2] = {false, false};
    for (uint32_t v = 0; v < problem->dag->node_count; v++) {
        used[second[v]] = true;
        sum += problem->node_ns[second[v]][v];
    }
    for (uint32_t i = 0; i < problem->dag->net_count; i++)
        sum += net_cost(problem, i, second);
    for (int side = 0; side < 2; side++)
        sum += used[side] ? problem->fixed_ns[side] : 0;
    return sum;
}

/* A time in units of the flow; scale is units per ns. */
static int64_t units(double scale, double ns)
{
    return isinf(ns) ? MLY__FLOW_INFINITE : (int64_t)llround(ns * scale);
}

/* Adds to the sum of finite times; false for what is no time. */
static bool count_time(double ns, double *sum)
{
    *sum += isfinite(ns) ? ns : 0;
    return ns >= 0;
}

static enum mly_status measure(const struct mly__min_cut *problem, double *scale,
                               struct mly_error *err)
{
    const struct mly__dag *dag = problem->dag;
    double sum = 0;
    bool valid = true;
    for (int side = 0; side < 2; side++)
        for (uint32_t v = 0; v < dag->node_count; v++)
            valid = count_time(problem->node_ns[side][v], &sum) && valid;
    for (uint32_t i = 0; i < dag->net_count; i++) {
        const struct mly__dag_net *net = &dag->nets[i];
        if (net->from != MLY_NO_INDEX)
            valid = count_time(problem->cross_ns[i], &sum) && valid;
        for (int side = 0; side < 2; side++) {
            if (net->from == MLY_NO_INDEX)
                valid = count_time(problem->in_ns[side][i], &sum) && valid;
            else if (net->goes_out)
                valid = count_time(problem->out_ns[side][i], &sum) && valid;
        }
    }
    if (!valid || !isfinite(sum))
        return mly_error_set(err, MLY_E_INVALID, "a time of the graph to be cut is no number >= 0");
    *scale = sum > 0 ? UNITS / sum : 1;
    return MLY_OK;
}

/* 2, 3. helper is the net's own node (x, or y, and one after it z). */
static enum mly_status add_net(const struct mly__min_cut *problem, double scale, uint32_t index,
                               uint32_t helper, uint32_t source, uint32_t sink,
                               struct mly__flow *flow, struct mly_error *err)
{
    const struct mly__dag_net *net = &problem->dag->nets[index];
    const bool made = net->from != MLY_NO_INDEX;
    enum mly_status status = MLY_OK;
    if (made) {
        status =
            mly__flow_add(flow, net->from, helper, units(scale, problem->cross_ns[index]), err);
    } else {
        status = mly__flow_add(flow, helper, sink, units(scale, problem->in_ns[0][index]), err);
        if (!status)
            status = mly__flow_add(flow, source, helper + 1, units(scale, problem->in_ns[1][index]),
                                   err);
    }
    for (uint32_t k = 0; !status && k < net->to_count; k++) {
        const uint32_t reader = net->to[k];
        status = mly__flow_add(flow, made ? helper : helper + 1, reader, MLY__FLOW_INFINITE, err);
        if (!status)
            status =
                mly__flow_add(flow, reader, made ? net->from : helper, MLY__FLOW_INFINITE, err);
    }
    return status;
}

static double out_ns(const struct mly__min_cut *problem, const struct mly__dag_index *index,
                     uint32_t node, int side)
{
    double sum = 0;
    for (uint32_t i = index->made_begin[node]; i < index->made_begin[node + 1]; i++)
        if (problem->dag->nets[index->made[i]].goes_out)
            sum += problem->out_ns[side][index->made[i]];
    return sum;
}

/* 1 to 3. */
static enum mly_status build(const struct mly__min_cut *problem, double scale,
                             const struct mly__dag_index *index, uint32_t source, uint32_t sink,
                             struct mly__flow *flow, struct mly_error *err)
{
    const struct mly__dag *dag = problem->dag;
    enum mly_status status = MLY_OK;
    for (uint32_t v = 0; !status && v < dag->node_count; v++) {
        const double first = problem->node_ns[0][v] + out_ns(problem, index, v, 0);
        const double second = problem->node_ns[1][v] + out_ns(problem, index, v, 1);
        status = mly__flow_add(flow, source, v, units(scale, second), err);
        if (!status)
            status = mly__flow_add(flow, v, sink, units(scale, first), err);
    }
    uint32_t helper = dag->node_count;
    for (uint32_t i = 0; !status && i < dag->net_count; i++) {
        status = add_net(problem, scale, i, helper, source, sink, flow, err);
        helper += dag->nets[i].from == MLY_NO_INDEX ? 2 : 1;
    }
    return status;
}

/* The best division by flow alone: without what processors cost just because they are used. */
static enum mly_status cut(const struct mly__min_cut *problem, double scale,
                           const struct mly__dag_index *index, bool *second, bool *found,
                           struct mly_error *err)
{
    const struct mly__dag *dag = problem->dag;
    struct mly__flow flow = {0};
    int64_t value = 0;
    uint32_t helpers = 0;
    for (uint32_t i = 0; i < dag->net_count; i++)
        helpers += dag->nets[i].from == MLY_NO_INDEX ? 2 : 1;
    const uint32_t source = dag->node_count + helpers, sink = source + 1;
    bool *side = mly_alloc_array((size_t)sink + 1, sizeof *side);
    enum mly_status status = side ? mly__flow_init(&flow, sink + 1, err)
                                  : mly_error_set(err, MLY_E_NO_MEMORY, "no memory for a cut");
    if (!status)
        status = build(problem, scale, index, source, sink, &flow, err);
    if (!status) {
        mly__flow_run(&flow, source, sink, &value);
        *found = value < MLY__FLOW_INFINITE;
        if (*found)
            mly__flow_cut(&flow, source, side);
        for (uint32_t v = 0; v < dag->node_count; v++)
            second[v] = !side[v];
    }
    mly__flow_fini(&flow);
    mly_free(side);
    return status;
}

enum mly_status mly__min_cut_solve(const struct mly__min_cut *problem, bool *second, double *ns,
                                   struct mly_error *err)
{
    const uint32_t count = problem->dag->node_count;
    struct mly__dag_index index;
    double scale = 1;
    bool found = false;
    enum mly_status status = measure(problem, &scale, err);
    if (!status)
        status = mly__dag_index_init(&index, problem->dag, err);
    if (status)
        return status;
    status = cut(problem, scale, &index, second, &found, err);
    mly__dag_index_fini(&index);
    if (status)
        return status;
    /* 4. */
    double least = found ? mly__min_cut_cost(problem, second) : INFINITY;
    bool *whole = mly_alloc_array((size_t)count + 1, sizeof *whole);
    if (!whole)
        return mly_error_set(err, MLY_E_NO_MEMORY, "no memory for a cut");
    for (int side = 0; side < 2; side++) {
        for (uint32_t v = 0; v < count; v++)
            whole[v] = side == 1;
        const double alone = mly__min_cut_cost(problem, whole);
        if (alone <= least && isfinite(alone)) {
            least = alone;
            memcpy(second, whole, count * sizeof *whole);
        }
    }
    mly_free(whole);
    *ns = least;
    return MLY_OK;
}

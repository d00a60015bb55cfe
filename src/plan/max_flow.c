/*
 * Maximum flow by levels.
 *
 *   1. Breadth first from the source: the level of a node is its distance over arcs that have
 *      capacity left. Without a way to the sink the flow is the greatest one.
 *   2. Depth first along ascending levels, without recursion: the path is a stack of arcs, and each
 *      node remembers the first arc that may still lead on.
 *   3. A path that reaches the sink carries its narrowest arc's capacity; the walk goes on from
 *      where that arc begins.
 */
#include "max_flow.h"

#include <string.h>

#include "base/alloc.h"

#define NONE UINT32_MAX

enum mly_status mly__flow_init(struct mly__flow *flow, uint32_t node_count, struct mly_error *err)
{
    const size_t width = (size_t)node_count + 1;
    *flow = (struct mly__flow){
        .node_count = node_count,
        .first = mly_alloc_array(width, sizeof(uint32_t)),
        .level = mly_alloc_array(width, sizeof(uint32_t)),
        .current = mly_alloc_array(width, sizeof(uint32_t)),
        .path = mly_alloc_array(width, sizeof(uint32_t)),
        .queue = mly_alloc_array(width, sizeof(uint32_t)),
    };
    if (!flow->first || !flow->level || !flow->current || !flow->path || !flow->queue) {
        mly__flow_fini(flow);
        return mly_error_set(err, MLY_E_NO_MEMORY, "no memory for a flow through %u nodes",
                             node_count);
    }
    for (uint32_t i = 0; i < node_count; i++)
        flow->first[i] = NONE;
    return MLY_OK;
}

void mly__flow_fini(struct mly__flow *flow)
{
    mly_free(flow->first);
    mly_free(flow->arcs);
    mly_free(flow->level);
    mly_free(flow->current);
    mly_free(flow->path);
    mly_free(flow->queue);
    *flow = (struct mly__flow){0};
}

static void put_arc(struct mly__flow *flow, uint32_t from, uint32_t to, int64_t capacity)
{
    const uint32_t arc = (uint32_t)flow->arc_count++;
    flow->arcs[arc] =
        (struct mly__flow_arc){.to = to, .next = flow->first[from], .capacity = capacity};
    flow->first[from] = arc;
}

enum mly_status mly__flow_add(struct mly__flow *flow, uint32_t from, uint32_t to, int64_t capacity,
                              struct mly_error *err)
{
    if (capacity <= 0)
        return MLY_OK;
    if (flow->arc_count + 2 >= NONE || mly_array_reserve(&flow->arcs, &flow->arc_capacity,
                                                         flow->arc_count + 2, sizeof *flow->arcs))
        return mly_error_set(err, MLY_E_NO_MEMORY, "no memory for a flow of %zu arcs",
                             flow->arc_count + 2);
    put_arc(flow, from, to, capacity);
    put_arc(flow, to, from, 0);
    return MLY_OK;
}

/* 1. */
static bool find_levels(struct mly__flow *flow, uint32_t source, uint32_t sink)
{
    uint32_t head = 0, tail = 0;
    for (uint32_t i = 0; i < flow->node_count; i++)
        flow->level[i] = NONE;
    flow->level[source] = 0;
    flow->queue[tail++] = source;
    while (head < tail) {
        const uint32_t node = flow->queue[head++];
        for (uint32_t a = flow->first[node]; a != NONE; a = flow->arcs[a].next) {
            const struct mly__flow_arc *arc = &flow->arcs[a];
            if (arc->capacity > 0 && flow->level[arc->to] == NONE) {
                flow->level[arc->to] = flow->level[node] + 1;
                flow->queue[tail++] = arc->to;
            }
        }
    }
    return flow->level[sink] != NONE;
}

/* 3. Sends along the path; *length becomes that of the part that can still be used. */
static int64_t send(struct mly__flow *flow, uint32_t *length)
{
    int64_t least = MLY__FLOW_INFINITE;
    for (uint32_t i = 0; i < *length; i++)
        if (flow->arcs[flow->path[i]].capacity < least)
            least = flow->arcs[flow->path[i]].capacity;
    if (least == MLY__FLOW_INFINITE)
        return least;
    uint32_t kept = *length;
    for (uint32_t i = *length; i-- > 0;) {
        struct mly__flow_arc *arc = &flow->arcs[flow->path[i]];
        struct mly__flow_arc *partner = &flow->arcs[flow->path[i] ^ 1];
        /* What has no limit keeps having none. */
        if (arc->capacity < MLY__FLOW_INFINITE)
            arc->capacity -= least;
        if (partner->capacity < MLY__FLOW_INFINITE)
            partner->capacity += least;
        if (arc->capacity == 0)
            kept = i;
    }
    *length = kept;
    return least;
}

/* 2. All paths of the levels; MLY__FLOW_INFINITE if one has no limit. */
static int64_t send_along_levels(struct mly__flow *flow, uint32_t source, uint32_t sink)
{
    int64_t sum = 0;
    uint32_t length = 0;
    memcpy(flow->current, flow->first, flow->node_count * sizeof *flow->current);
    for (;;) {
        const uint32_t node = length ? flow->arcs[flow->path[length - 1]].to : source;
        if (node == sink) {
            const int64_t sent = send(flow, &length);
            if (sent == MLY__FLOW_INFINITE)
                return sent;
            sum += sent;
            continue;
        }
        uint32_t a = flow->current[node];
        while (a != NONE && (flow->arcs[a].capacity <= 0 ||
                             flow->level[flow->arcs[a].to] != flow->level[node] + 1))
            a = flow->arcs[a].next;
        flow->current[node] = a;
        if (a != NONE) {
            flow->path[length++] = a;
        } else if (length) {
            /* A dead end: the arc that led here is passed over from now on. */
            const uint32_t back = flow->path[--length];
            flow->current[flow->arcs[back ^ 1].to] = flow->arcs[back].next;
        } else {
            return sum;
        }
    }
}

void mly__flow_run(struct mly__flow *flow, uint32_t source, uint32_t sink, int64_t *value)
{
    *value = 0;
    while (find_levels(flow, source, sink)) {
        const int64_t sent = send_along_levels(flow, source, sink);
        if (sent == MLY__FLOW_INFINITE) {
            *value = sent;
            return;
        }
        *value += sent;
    }
}

void mly__flow_cut(const struct mly__flow *flow, uint32_t source, bool *side)
{
    uint32_t head = 0, tail = 0;
    memset(side, 0, flow->node_count * sizeof *side);
    side[source] = true;
    flow->queue[tail++] = source;
    while (head < tail) {
        const uint32_t node = flow->queue[head++];
        for (uint32_t a = flow->first[node]; a != NONE; a = flow->arcs[a].next) {
            if (flow->arcs[a].capacity > 0 && !side[flow->arcs[a].to]) {
                side[flow->arcs[a].to] = true;
                flow->queue[tail++] = flow->arcs[a].to;
            }
        }
    }
}

/* Maximum flow and the minimum cut that goes with it, in whole numbers so that it is exact. */
#ifndef MLY_PLAN_MAX_FLOW_H
#define MLY_PLAN_MAX_FLOW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <motley/status.h>

/* More than all finite capacities together may be; an arc that may not be cut has it. */
#define MLY__FLOW_INFINITE ((int64_t)1 << 60)

struct mly__flow_arc {
    uint32_t to;
    uint32_t next;    /* arc of the same node; its partner backwards is the arc's number xor 1 */
    int64_t capacity; /* what is left */
};

/* Zero-initialise; everything is owned by it. */
struct mly__flow {
    uint32_t node_count;
    uint32_t *first; /* by node: an arc that leaves it */
    struct mly__flow_arc *arcs;
    size_t arc_count, arc_capacity;
    uint32_t *level, *current, *path, *queue; /* while it runs */
};

enum mly_status mly__flow_init(struct mly__flow *flow, uint32_t node_count,
                               struct mly_error *err) MLY_MUST_CHECK;
void mly__flow_fini(struct mly__flow *flow);
/* An arc and its partner. capacity 0…MLY__FLOW_INFINITE; arcs without capacity are left out. */
enum mly_status mly__flow_add(struct mly__flow *flow, uint32_t from, uint32_t to, int64_t capacity,
                              struct mly_error *err) MLY_MUST_CHECK;
/*
 * Sends all it can from source to sink; the sum of finite capacities is below MLY__FLOW_INFINITE.
 * *value is the flow, or MLY__FLOW_INFINITE (and nothing else is defined) when a way leads through
 * arcs without limit only.
 * Source: Y. Dinitz, "Algorithm for solution of a problem of maximum flow in a network with power
 * estimation", Soviet Math. Doklady 11 (1970).
 */
void mly__flow_run(struct mly__flow *flow, uint32_t source, uint32_t sink, int64_t *value);
/*
 * The cut nearest to the source: side[node_count] (caller's) is true for what the source still
 * reaches. Of all minimum cuts it has the smallest source side.
 */
void mly__flow_cut(const struct mly__flow *flow, uint32_t source, bool *side);

#endif

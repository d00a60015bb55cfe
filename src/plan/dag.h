/*
 * What the algorithms that cut look at: a directed graph without cycles of weighted nodes, and nets
 * (tensors), each made by one node and read by several. Numbers only, so that they can be tested
 * against exhaustive search; what the numbers mean is for the planners.
 */
#ifndef MLY_PLAN_DAG_H
#define MLY_PLAN_DAG_H

#include <stdbool.h>
#include <stdint.h>

#include <motley/status.h>

#include "model/graph.h"

struct mly__dag_net {
    uint32_t from;      /* node that makes it; MLY_NO_INDEX: it comes from outside */
    const uint32_t *to; /* nodes that read it, ascending, each once; all after `from` */
    uint32_t to_count;
    double bytes;  /* what crosses, once for each part that reads it */
    bool goes_out; /* a result of the whole graph: read outside too */
};

/* All borrowed. Nodes are in topological order: every net goes from a smaller number to larger. */
struct mly__dag {
    uint32_t node_count;
    const double *weight; /* by node: time, or whatever is to be balanced; finite, >= 0 */
    uint32_t net_count;
    const struct mly__dag_net *nets;
};

/* The nets of each node: made[made_begin[v]…made_begin[v + 1]) and likewise those it reads. */
struct mly__dag_index {
    uint32_t *made_begin, *made;
    uint32_t *read_begin, *read;
};
/* MLY_E_INVALID for a net against the order; MLY_E_NO_MEMORY. O(nodes + pins). */
enum mly_status mly__dag_index_init(struct mly__dag_index *index, const struct mly__dag *dag,
                                    struct mly_error *err) MLY_MUST_CHECK;
void mly__dag_index_fini(struct mly__dag_index *index);

/* How good parts are that nodes were given: numbers from 0 to part_count - 1. */
struct mly__dag_quality {
    /* Bytes times the parts beyond the maker's that read them; of nets from outside, beyond the first. */
    double cut_bytes;
    /* By how much the fullest part exceeds its target: 0.25 is a quarter more; never below 0. */
    double imbalance;
    uint32_t backward_nets; /* nets with a reader in a part before the maker's */
    uint32_t empty_parts;
};
/* target[part_count]: shares of the whole weight, which sum to 1. O(pins * part_count). */
struct mly__dag_quality mly__dag_measure(const struct mly__dag *dag, const uint32_t *part,
                                         uint32_t part_count, const double *target);

#endif

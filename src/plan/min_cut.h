/* The best division of a graph between two processors, first one and then the other. */
#ifndef MLY_PLAN_MIN_CUT_H
#define MLY_PLAN_MIN_CUT_H

#include "dag.h"

/*
 * Times in ns; all borrowed. INFINITY says that a processor cannot compute a node. Arrays by net are
 * read only where they apply: in_ns for nets from outside, out_ns for nets that go out, cross_ns for
 * nets that a node makes.
 */
struct mly__min_cut {
    const struct mly__dag *dag; /* its weights are not looked at */
    const double *node_ns[2];   /* by node: on the first, on the second processor */
    const double *cross_ns;     /* by net: from the first to the second, once for all its readers */
    const double *in_ns[2];     /* by net: from outside to a processor that reads it */
    const double *out_ns[2];    /* by net: from the processor that makes it to outside */
    double fixed_ns[2];         /* of a processor that has any node at all */
};

/*
 * The division with the least sum of all times: what one batch takes from submit to result when
 * nothing else runs. Fills second[node_count] (caller's): false for what the first processor
 * computes, from which nothing ever depends on the second. *ns is its time, INFINITY (and the
 * division undefined) when none is possible. Everything on one processor counts too, and wins when
 * it is as good.
 *
 * By one maximum flow: a node's time on either side, every net once, and arcs without limit against
 * the direction of the nets, so that the cut leaves no way back. Exact but for 2^-50 of the sum of
 * all times. MLY_E_INVALID for a time that is negative or no number; MLY_E_NO_MEMORY.
 * Thread-safe.
 * Source: Picard, "Maximal closure of a graph", Management Science 22 (1976), for the arcs without
 * limit; Ihler, Wagner and Wagner, "Modeling hypergraphs by graphs with the same mincut properties",
 * Inf. Process. Lett. 45 (1993), for nets.
 */
enum mly_status mly__min_cut_solve(const struct mly__min_cut *problem, bool *second, double *ns,
                                   struct mly_error *err) MLY_MUST_CHECK;

/* What a division costs by the same rules; INFINITY if a net goes back or a node has no time. */
double mly__min_cut_cost(const struct mly__min_cut *problem, const bool *second);

#endif

/* Parts of given shares by METIS, made acyclic. */
#ifndef MLY_PLAN_METIS_CUT_H
#define MLY_PLAN_METIS_CUT_H

#include "acyclic.h"

/*
 * METIS alone: part[node_count] (caller's) becomes numbers below part_count, of weights near the
 * targets (shares that sum to 1), with few bytes between them; which part feeds which is not looked
 * at. The same seed gives the same parts. A graph of hardly more nodes than parts is cut along its
 * order instead, for METIS is not made for it.
 * Errors: MLY_E_NO_MEMORY; MLY_E_INTERNAL for what METIS refuses. One call at a time in a process:
 * others wait. While it runs METIS catches SIGABRT and SIGTERM; SIGTERM is held back from the calling
 * thread and what was to be done on either is restored.
 * Source: Karypis and Kumar, "A fast and high quality multilevel scheme for partitioning irregular
 * graphs", SIAM J. Sci. Comput. 20 (1998).
 */
enum mly_status mly__metis_partition(const struct mly__dag *dag, uint32_t part_count,
                                     const double *target, double tolerance, uint32_t seed,
                                     uint32_t *part, struct mly_error *err) MLY_MUST_CHECK;

struct mly__metis_options {
    uint32_t part_count;  /* 2 or more, at most the nodes */
    const double *target; /* [part_count], each above 0, sum 1 */
    double tolerance;     /* 0.05: a part may exceed its target by a twentieth */
    bool in_order;        /* the parts run in the order of the targets; else in any */
    uint32_t tries;       /* seeds, 1 or more */
};

/* What became of a division, step by step. */
struct mly__metis_report {
    struct mly__dag_quality by_metis, repaired, refined;
    double moved_fraction; /* of the weight, by the repair */
    uint32_t moves;        /* of nodes, by the refinement */
    enum mly__acyclic_repair repair;
    uint32_t seed;
};

/*
 * METIS with several seeds, each result repaired in all ways and refined; the best is kept: least
 * beyond the tolerance, then fewest bytes. part[] is ordered: part 0 runs first. order[part_count]
 * (caller's): whose target the parts have, identity if in_order. Errors of mly__metis_partition.
 */
enum mly_status mly__metis_cut(const struct mly__dag *dag, const struct mly__metis_options *options,
                               uint32_t *part, uint32_t *order, struct mly__metis_report *report,
                               struct mly_error *err) MLY_MUST_CHECK;

#endif

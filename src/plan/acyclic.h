/*
 * Parts without cycles. A partitioner for undirected graphs may leave two parts that need each other;
 * such parts cannot each run once. Here parts are numbered in the order in which they run, and a
 * division is *ordered* when no net goes from a part to an earlier one.
 *
 * The idea of repairing first and then refining without creating a cycle is dagP's: Herrmann, Özkaya,
 * Uçar, Kaya and Çatalyürek, "Multilevel algorithms for acyclic partitioning of directed acyclic
 * graphs", SIAM J. Sci. Comput. 41 (2019).
 */
#ifndef MLY_PLAN_ACYCLIC_H
#define MLY_PLAN_ACYCLIC_H

#include "dag.h"

/* Ways of making a division ordered. */
enum mly__acyclic_repair {
    MLY__REPAIR_FORWARD,  /* a node goes to the latest part that it reads from */
    MLY__REPAIR_BACKWARD, /* a node goes to the earliest part that reads it */
    MLY__REPAIR_LEAST,    /* as little weight as possible goes elsewhere */
    MLY__REPAIR_COUNT
};
const char *mly__acyclic_repair_name(enum mly__acyclic_repair repair);

/*
 * Makes part[node_count] (numbers below part_count) ordered. *moved is the weight that changed parts.
 * FORWARD and BACKWARD are O(pins); LEAST takes part_count - 1 maximum flows. MLY_E_NO_MEMORY.
 */
enum mly_status mly__acyclic_repair(const struct mly__dag *dag, const struct mly__dag_index *index,
                                    uint32_t part_count, enum mly__acyclic_repair repair,
                                    uint32_t *part, double *moved,
                                    struct mly_error *err) MLY_MUST_CHECK;

/*
 * Moves nodes at the borders of an ordered division, which stays ordered: first until no part exceeds
 * its target by more than `tolerance` (0.05: a twentieth), then as long as less crosses. Never worse
 * than what it is given: neither further beyond the tolerance, nor, where that is equal, in bytes. No
 * part loses its last node. *moves counts nodes that lie elsewhere at the end. MLY_E_NO_MEMORY.
 * Source: Fiduccia and Mattheyses, "A linear-time heuristic for improving network partitions", DAC
 * 1982, for passes of locked moves of which the best prefix is kept.
 */
enum mly_status mly__acyclic_refine(const struct mly__dag *dag, const struct mly__dag_index *index,
                                    uint32_t part_count, const double *target, double tolerance,
                                    uint32_t *part, uint32_t *moves,
                                    struct mly_error *err) MLY_MUST_CHECK;

#endif

/* A planning problem as the graph that the algorithms that cut look at. */
#ifndef MLY_PLAN_DAG_PROBLEM_H
#define MLY_PLAN_DAG_PROBLEM_H

#include "dag.h"
#include "problem.h"

/* Units are nodes, crossings are nets. It borrows the problem. */
struct mly__problem_dag {
    struct mly__dag dag;
    double
        *weight; /* the unit's time on a class; where that cannot compute it, the least of others */
    struct mly__dag_net *nets; /* parallel to problem->crossings */
};
/* MLY_E_NO_MEMORY. O(units * classes + crossings). */
enum mly_status mly__problem_dag_init(struct mly__problem_dag *dag,
                                      const struct mly__problem *problem, uint32_t class_index,
                                      struct mly_error *err) MLY_MUST_CHECK;
void mly__problem_dag_fini(struct mly__problem_dag *dag);

/*
 * Adds a layout of these parts to what was found (NULL: to nothing): part p on one processor of
 * class_of_part[p]. Parts without units are left out; one that does not run (memory, operators) is not
 * added. *value (may be NULL) is what it gives, infinite for such.
 */
enum mly_status mly__found_parts(struct mly__found *found, const struct mly__problem *problem,
                                 const uint32_t *part_of_unit, uint32_t part_count,
                                 const uint32_t *class_of_part, struct mly__layout_value *value,
                                 struct mly_error *err) MLY_MUST_CHECK;

#endif

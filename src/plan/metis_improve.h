/* Parts of a planning problem made better by what they really cost. */
#ifndef MLY_PLAN_METIS_IMPROVE_H
#define MLY_PLAN_METIS_IMPROVE_H

#include "problem.h"

/*
 * Moves units between parts (which stay in an order in which they can run, none empty), each on one
 * processor of class_of_part[p], as long as the slowest part becomes faster, or with `sum` as long as
 * the parts' times together become less. *moves counts moves. Parts that cannot run at all may come to.
 * MLY_E_CANCELLED; MLY_E_NO_MEMORY. O(moves * units) and what costs take.
 */
enum mly_status mly__parts_improve(const struct mly__problem *problem, uint32_t *part_of_unit,
                                   uint32_t part_count, const uint32_t *class_of_part, bool sum,
                                   uint32_t *moves, struct mly_error *err) MLY_MUST_CHECK;

#endif

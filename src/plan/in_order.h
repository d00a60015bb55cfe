/* Planners that cut the topological order once, a segment for each processor. */
#ifndef MLY_PLAN_IN_ORDER_H
#define MLY_PLAN_IN_ORDER_H

#include "problem.h"

/*
 * Where to cut: fills ends[part_count] (caller's), the units before the end of each part; ascending, the
 * last one all units. class_of_part[part_count] is what each part would run on. There are at least as
 * many units as parts.
 */
typedef enum mly_status mly__cut_in_order(const struct mly__problem *problem,
                                          const uint32_t *class_of_part, uint32_t part_count,
                                          uint32_t *ends, struct mly_error *err);
/*
 * What such a planner's `make` does: for each batch size that fits the request its one cut, a part on
 * each processor, the fastest kind first; the best batch wins. As many parts as there are processors, if there are
 * enough units and the request allows it. Errors: as mly__plan_by.
 */
enum mly_status mly__plan_in_order(const struct mly_plan_request *request, const char *planner,
                                   mly__cut_in_order *cut, mly_plan **out,
                                   struct mly_error *err) MLY_MUST_CHECK;

/* parameters.c, where bisection begins, too. */
mly__cut_in_order mly__cut_by_parameters;

#endif

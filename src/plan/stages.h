/* Searching pipelines along downsets, and the planners that do. */
#ifndef MLY_PLAN_STAGES_H
#define MLY_PLAN_STAGES_H

#include "downsets.h"

/*
 * The best layouts whose parts begin and end at downsets of the family: by bottleneck, or by the sum of
 * latencies or energies (`sums`, for the request's objective). What is worse than the bound by more than
 * a little is not looked at. Adds them to found, best first. MLY_E_LIMIT for too many states, or when there
 * are more stages to look at than *work_left (NULL: any number), which falls by those that were;
 * MLY_E_CANCELLED; MLY_E_NO_MEMORY. O(downsets^2 * ways of using processors^2), less what the bound excludes.
 */
enum mly_status mly__stages_search(const struct mly__downsets *downsets, bool sums, double bound,
                                   uint64_t *work_left, struct mly__found *found,
                                   struct mly_error *err) MLY_MUST_CHECK;
/* What a search compares: the bottleneck, or the sum of energies or latencies. */
double mly__stages_value(const struct mly__problem *problem, bool sums,
                         const struct mly__layout_value *value);
/*
 * May a stage use any processors together, as the best pipeline may? Beyond some number of ways of using
 * them only those of one class, or all there are, are tried.
 */
bool mly__stages_may_mix(const struct mly__problem *problem);

mly__find mly__exact_find, mly__pipeline_find;
mly__find mly__metis_find; /* metis_plan.c: by the request's ratio, or by speed */
/*
 * Makes rows of segments with the least latency there are in found, and the whole model, into graphs of segments
 * of which some run side by side, as long as that ends one batch sooner; adds the best of these.
 */
mly__find mly__branches_find;

/*
 * A good pipeline, quickly found: adds it to found (may be NULL) and says its value, by bottleneck or sum
 * as mly__stages_search counts; the best is no worse. Infinite, and nothing added, if there is none.
 */
enum mly_status mly__pipeline_reach(const struct mly__problem *problem, bool sums,
                                    struct mly__found *found, double *value,
                                    struct mly_error *err) MLY_MUST_CHECK;

/*
 * The problem with its cheapest units, together up to `share` of all work, computed for nothing beside what
 * makes their inputs, where that is one unit: so it has fewer places to cut, and no pipeline of the problem
 * is faster than the best of this one. *out is destroyed before `problem`. MLY_E_NO_MEMORY.
 */
enum mly_status mly__problem_relax(const struct mly__problem *problem, double share,
                                   struct mly__problem **out, struct mly_error *err) MLY_MUST_CHECK;

#endif

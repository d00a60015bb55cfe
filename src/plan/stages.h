/* Searching pipelines along downsets, and the planners that do. */
#ifndef MLY_PLAN_STAGES_H
#define MLY_PLAN_STAGES_H

#include "downsets.h"

/*
 * The best layouts whose parts begin and end at downsets of the family: by bottleneck, or by the sum of
 * latencies or energies (`sums`, for the request's objective). What is worse than the bound by more than
 * a little is not looked at. Adds them to found, best first. MLY_E_LIMIT for too many states;
 * MLY_E_NO_MEMORY. O(downsets^2 * ways of using processors^2), less what the bound excludes.
 */
enum mly_status mly__stages_search(const struct mly__downsets *downsets, bool sums, double bound,
                                   struct mly__found *found, struct mly_error *err) MLY_MUST_CHECK;

mly__find mly__exact_find, mly__pipeline_find;

/* The bottleneck of a good pipeline, quickly found: the best is no slower. */
enum mly_status mly__pipeline_reach(const struct mly__problem *problem, double *bottleneck_ns,
                                    struct mly_error *err) MLY_MUST_CHECK;

#endif
